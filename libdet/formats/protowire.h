/* protowire.h: the protobuf wire format (protobuf.dev/programming-guides/encoding), read in place
 * and written into a growing buffer. No schema: callers switch on field numbers and ignore those
 * they do not know.
 *
 *   field = varint(number << 3 | type), then by type
 *           0: varint | 1: 8 bytes | 2: varint length, bytes | 5: 4 bytes
 *
 * Groups (types 3 and 4, deprecated; TensorFlow writes none) are rejected. Every length is checked
 * against what is left before it is used; a message that nests is read by a reader whose bounds lie
 * inside its parent's.
 */
#ifndef DET_FORMATS_PROTOWIRE_H
#define DET_FORMATS_PROTOWIRE_H

#include "support/env.h"
#include "support/text.h"

enum det_wire_type {
    DET_WIRE_VARINT = 0,
    DET_WIRE_FIXED64 = 1,
    DET_WIRE_BYTES = 2,
    DET_WIRE_FIXED32 = 5,
};

/* A reader: a span and how far it was read. `base` is the span's place in the outermost message,
 * for messages. */
struct det_wire {
    const uint8_t *data;
    size_t bytes;
    size_t at;
    size_t base;
};

struct det_wire_field {
    uint32_t number; /* 0 at the end of the message */
    enum det_wire_type type;
    uint64_t value;          /* varint, fixed64, fixed32 */
    struct det_wire payload; /* length-delimited: its bytes, ready to be read as a message */
};

static inline struct det_wire det_wire_start(const uint8_t *data, size_t bytes)
{
    return (struct det_wire){.data = data, .bytes = bytes};
}

/* The next field, or number 0 when the message is over. Errors are CORRUPT, "byte N: ...": callers
 * add the file's name with det_fail_prefix. */
det_status det_wire_next(struct det_env *env, struct det_wire *wire, struct det_wire_field *field);
/* CORRUPT unless the field has the wire type; `what` names it. */
det_status det_wire_expect(struct det_env *env, const struct det_wire_field *field,
                           enum det_wire_type type, const char *what);
/* Elements of packed lists. */
det_status det_wire_read_varint(struct det_env *env, struct det_wire *wire, uint64_t *value);
det_status det_wire_read_fixed32(struct det_env *env, struct det_wire *wire, uint32_t *value);

float det_wire_float(uint32_t bits);

/* Writing: fields are appended to `text`, which is used as a byte buffer. */
det_status det_wire_put_varint(struct det_env *env, struct det_text *text, uint32_t number,
                               uint64_t value);
det_status det_wire_put_fixed32(struct det_env *env, struct det_text *text, uint32_t number,
                                uint32_t value);
det_status det_wire_put_fixed64(struct det_env *env, struct det_text *text, uint32_t number,
                                uint64_t value);
det_status det_wire_put_float(struct det_env *env, struct det_text *text, uint32_t number,
                              float value);
det_status det_wire_put_double(struct det_env *env, struct det_text *text, uint32_t number,
                               double value);
det_status det_wire_put_bytes(struct det_env *env, struct det_text *text, uint32_t number,
                              const void *data, size_t bytes);
/* A bare varint or float: an element of a packed list. */
det_status det_wire_append_varint(struct det_env *env, struct det_text *text, uint64_t value);
det_status det_wire_append_float(struct det_env *env, struct det_text *text, float value);

/* A nested message or packed list: what is appended between begin and end becomes its payload.
 * *mark is the caller's to keep until the end. */
det_status det_wire_begin(struct det_env *env, struct det_text *text, uint32_t number,
                          size_t *mark);
det_status det_wire_end(struct det_env *env, struct det_text *text, size_t mark);

#endif
