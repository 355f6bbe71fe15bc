/* flatbuffer.h: FlatBuffers (flatbuffers.dev/internals), written from the front to the back into a
 * growing buffer, and read in place. No schema: callers know the slots of fields.
 *
 *   table     = i32 distance back to its vtable, then the fields, each aligned to its size
 *   vtable    = u16 bytes of it, u16 bytes of the table, u16 where field 0, 1, ... stands in the
 *               table (0: it has its default)
 *   vector    = u32 count, elements; a string is a vector of bytes with a zero behind it
 *   reference = u32 distance forward to a table or vector
 *   file      = reference to the root table, four characters that name the schema
 *
 * A FlatBuffer is at most 2 GB long.
 */
#ifndef DET_FORMATS_FLATBUFFER_H
#define DET_FORMATS_FLATBUFFER_H

#include "support/env.h"
#include "support/text.h"

/* --- writing --- */

/* The first failure is kept and the calls behind it do nothing: det_flat_end() returns it. Places
 * are counted from where the FlatBuffer begins. */
struct det_flat_writer {
    struct det_env *env;
    struct det_text *text;
    det_status status;
    size_t start;
    size_t *vtables; /* places of those that are written, which tables share */
    size_t vtable_count, vtable_capacity;
};

/* A reference that is written later: 0 for the root's. */
typedef size_t det_flat_place;

struct det_flat_field {
    uint16_t slot;
    uint8_t bytes; /* 1 or 4 */
    uint32_t value;
    det_flat_place *place; /* NULL, or gets the place of a reference */
};

uint32_t det_flat_float_bits(float value);
#define DET_FLAT_U8(number, byte)                              \
    {                                                          \
        .slot = (number), .bytes = 1, .value = (uint8_t)(byte) \
    }
#define DET_FLAT_U32(number, word)                              \
    {                                                           \
        .slot = (number), .bytes = 4, .value = (uint32_t)(word) \
    }
#define DET_FLAT_FLOAT(number, real)                                     \
    {                                                                    \
        .slot = (number), .bytes = 4, .value = det_flat_float_bits(real) \
    }
/* *to: for the call that writes what the field refers to; it must be made. */
#define DET_FLAT_REFERENCE(number, to)              \
    {                                               \
        .slot = (number), .bytes = 4, .place = (to) \
    }

/* Appends to `text` (borrowed); identifier: four characters. */
void det_flat_begin(struct det_flat_writer *writer, struct det_env *env, struct det_text *text,
                    const char *identifier);
det_status det_flat_end(struct det_flat_writer *writer);

/* What follows is what `place` refers to. */
void det_flat_put_table(struct det_flat_writer *writer, det_flat_place place,
                        const struct det_flat_field *fields, size_t count);
#define DET_FLAT_PUT_TABLE(writer, place, ...)                                      \
    det_flat_put_table(writer, place, (const struct det_flat_field[]){__VA_ARGS__}, \
                       sizeof((const struct det_flat_field[]){__VA_ARGS__}) /       \
                           sizeof(struct det_flat_field))
/* `count` elements of `size` bytes, the first at a multiple of `alignment`. */
void det_flat_put_vector(struct det_flat_writer *writer, det_flat_place place, const void *data,
                         size_t count, size_t size, size_t alignment);
void det_flat_put_string(struct det_flat_writer *writer, det_flat_place place, const char *value);
/* A vector of references; returns the place of the first, the others follow at
 * DET_FLAT_REFERENCE_BYTES. */
enum { DET_FLAT_REFERENCE_BYTES = 4 };
det_flat_place det_flat_put_references(struct det_flat_writer *writer, det_flat_place place,
                                       size_t count);

/* --- reading --- */

/* The first failure is kept in `status` (CORRUPT, "byte N: ..."); from then on everything is absent,
 * so that callers may look once after several reads. Nothing outside the bytes is ever touched. */
struct det_flat_reader {
    struct det_env *env;
    const uint8_t *data;
    size_t bytes;
    det_status status;
};

/* Zeros: absent, and so are all of its fields. */
struct det_flat_table {
    size_t at;
    size_t vtable;
    uint16_t vtable_bytes, bytes;
};

struct det_flat_vector {
    const uint8_t *data; /* not aligned; NULL: absent */
    size_t at;
    size_t count;
};

/* The root. */
struct det_flat_table det_flat_open(struct det_flat_reader *reader, struct det_env *env,
                                    const void *data, size_t bytes, const char *identifier);

static inline bool det_flat_absent(struct det_flat_table table)
{
    return table.vtable_bytes == 0;
}

uint8_t det_flat_u8(struct det_flat_reader *reader, struct det_flat_table table, int slot,
                    uint8_t absent);
uint32_t det_flat_u32(struct det_flat_reader *reader, struct det_flat_table table, int slot,
                      uint32_t absent);
static inline int32_t det_flat_i32(struct det_flat_reader *reader, struct det_flat_table table,
                                   int slot, int32_t absent)
{
    return (int32_t)det_flat_u32(reader, table, slot, (uint32_t)absent);
}
float det_flat_float(struct det_flat_reader *reader, struct det_flat_table table, int slot,
                     float absent);
struct det_flat_table det_flat_child(struct det_flat_reader *reader, struct det_flat_table table,
                                     int slot);
/* Of elements of `size` bytes. */
struct det_flat_vector det_flat_vector(struct det_flat_reader *reader, struct det_flat_table table,
                                       int slot, size_t size);
/* NUL-terminated, in place; NULL: absent. */
const char *det_flat_string(struct det_flat_reader *reader, struct det_flat_table table, int slot);

/* Of a vector of four-byte elements; i < count. */
uint32_t det_flat_word(struct det_flat_vector vector, size_t i);
/* Of a vector of references. */
struct det_flat_table det_flat_element(struct det_flat_reader *reader,
                                       struct det_flat_vector vector, size_t i);
const char *det_flat_string_element(struct det_flat_reader *reader, struct det_flat_vector vector,
                                    size_t i);

#endif
