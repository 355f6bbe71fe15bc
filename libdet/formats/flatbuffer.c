#include "formats/flatbuffer.h"

#include <string.h>

#include "support/mem.h"

#define MOST_BYTES ((size_t)INT32_MAX)

enum {
    VTABLE_HEADER = 4,
    TABLE_HEADER = 4,
    MOST_SLOTS = 32, /* of a table that is written */
};

uint32_t det_flat_float_bits(float value)
{
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* --- writing --- */

static size_t end_of(const struct det_flat_writer *writer)
{
    return writer->text->length - writer->start;
}

static void append(struct det_flat_writer *writer, const void *data, size_t bytes)
{
    if (writer->status == DET_OK && bytes > MOST_BYTES - end_of(writer))
        writer->status =
            det_fail(writer->env, DET_STATUS_UNSUPPORTED,
                     "a FlatBuffer of more than %zu bytes, the format's limit", MOST_BYTES);
    if (writer->status == DET_OK && bytes > 0)
        writer->status = det_text_append(writer->env, writer->text, data, bytes);
}

/* Zeros until what comes `ahead` bytes later is aligned. */
static void align(struct det_flat_writer *writer, size_t ahead, size_t alignment)
{
    static const uint8_t zeros[DET_ALIGNMENT];
    const size_t over = (end_of(writer) + ahead) % alignment;
    if (over > 0)
        append(writer, zeros, alignment - over);
}

static void append_word(struct det_flat_writer *writer, size_t value)
{
    const uint32_t word = (uint32_t)value;
    append(writer, &word, sizeof word);
}

/* What is appended next is what the reference at `place` means. */
static void refer(struct det_flat_writer *writer, det_flat_place place)
{
    if (writer->status != DET_OK)
        return;
    const uint32_t distance = (uint32_t)(end_of(writer) - place);
    memcpy(writer->text->data + writer->start + place, &distance, sizeof distance);
}

void det_flat_begin(struct det_flat_writer *writer, struct det_env *env, struct det_text *text,
                    const char *identifier)
{
    *writer = (struct det_flat_writer){.env = env, .text = text, .start = text->length};
    append_word(writer, 0);
    append(writer, identifier, 4);
}

det_status det_flat_end(struct det_flat_writer *writer)
{
    det_free(writer->env, &writer->vtables);
    return writer->status;
}

/* The place of a vtable with these contents, written when there is none. */
static size_t take_vtable(struct det_flat_writer *writer, const uint16_t *vtable)
{
    const char *written = writer->text->data + writer->start;
    for (size_t i = 0; i < writer->vtable_count; i++)
        if (memcmp(written + writer->vtables[i], vtable, sizeof *vtable) == 0 &&
            memcmp(written + writer->vtables[i], vtable, vtable[0]) == 0)
            return writer->vtables[i];
    align(writer, 0, sizeof *vtable);
    const size_t at = end_of(writer);
    append(writer, vtable, vtable[0]);
    if (writer->status == DET_OK)
        writer->status = det_grow(writer->env, &writer->vtables, &writer->vtable_capacity,
                                  writer->vtable_count + 1, sizeof *writer->vtables, "vtables");
    if (writer->status == DET_OK)
        writer->vtables[writer->vtable_count++] = at;
    return at;
}

void det_flat_put_table(struct det_flat_writer *writer, det_flat_place place,
                        const struct det_flat_field *fields, size_t count)
{
    uint16_t vtable[2 + MOST_SLOTS] = {VTABLE_HEADER, TABLE_HEADER};
    if (writer->status != DET_OK)
        return;
    /* The larger fields first: all are aligned then. */
    for (uint8_t bytes = 4; bytes > 0; bytes = bytes == 4 ? 1 : 0)
        for (size_t i = 0; i < count; i++) {
            const uint16_t end = (uint16_t)(VTABLE_HEADER + 2 * (fields[i].slot + 1));
            if (fields[i].bytes != bytes)
                continue;
            vtable[2 + fields[i].slot] = vtable[1];
            vtable[1] = (uint16_t)(vtable[1] + bytes);
            if (vtable[0] < end)
                vtable[0] = end;
        }
    const size_t shared = take_vtable(writer, vtable);
    align(writer, 0, TABLE_HEADER);
    refer(writer, place);
    const size_t at = end_of(writer);
    append_word(writer, at - shared);
    for (uint8_t bytes = 4; bytes > 0; bytes = bytes == 4 ? 1 : 0)
        for (size_t i = 0; i < count; i++) {
            if (fields[i].bytes != bytes)
                continue;
            if (fields[i].place != NULL)
                *fields[i].place = end_of(writer);
            append(writer, &fields[i].value, bytes);
        }
}

void det_flat_put_vector(struct det_flat_writer *writer, det_flat_place place, const void *data,
                         size_t count, size_t size, size_t alignment)
{
    size_t bytes = 0;
    if (!det_size_mul(count, size, &bytes) || bytes > MOST_BYTES)
        bytes = MOST_BYTES + 1; /* append() says it */
    const size_t header = sizeof(uint32_t);
    align(writer, header, alignment > header ? alignment : header);
    refer(writer, place);
    append_word(writer, count);
    append(writer, data, bytes);
}

void det_flat_put_string(struct det_flat_writer *writer, det_flat_place place, const char *value)
{
    det_flat_put_vector(writer, place, value, strlen(value), 1, 1);
    append(writer, "", 1);
}

det_flat_place det_flat_put_references(struct det_flat_writer *writer, det_flat_place place,
                                       size_t count)
{
    align(writer, 0, DET_FLAT_REFERENCE_BYTES);
    refer(writer, place);
    append_word(writer, count);
    const det_flat_place first = end_of(writer);
    for (size_t i = 0; i < count && writer->status == DET_OK; i++)
        append_word(writer, 0);
    return first;
}

/* --- reading --- */

static uint16_t u16_at(const struct det_flat_reader *reader, size_t at)
{
    uint16_t value = 0;
    memcpy(&value, reader->data + at, sizeof value);
    return value;
}

static uint32_t u32_at(const struct det_flat_reader *reader, size_t at)
{
    uint32_t value = 0;
    memcpy(&value, reader->data + at, sizeof value);
    return value;
}

static void corrupt(struct det_flat_reader *reader, size_t at, const char *what)
{
    if (reader->status == DET_OK)
        reader->status = det_fail(reader->env, DET_STATUS_CORRUPT, "byte %zu: %s", at, what);
}

/* Whether `bytes` bytes from `at` on are there. */
static bool inside(const struct det_flat_reader *reader, size_t at, size_t bytes)
{
    return at <= reader->bytes && bytes <= reader->bytes - at;
}

/* Where the reference at `at`, which is inside, leads to: `bytes` bytes are there. 0: it does
 * not. */
static size_t follow(struct det_flat_reader *reader, size_t at, size_t bytes, const char *what)
{
    const size_t to = at + u32_at(reader, at);
    if (to != at && inside(reader, to, bytes))
        return to;
    corrupt(reader, at, what);
    return 0;
}

static struct det_flat_table table_at(struct det_flat_reader *reader, size_t reference)
{
    static const struct det_flat_table none = {0};
    struct det_flat_table table = {
        .at = follow(reader, reference, TABLE_HEADER, "a table outside the file")};
    if (table.at == 0)
        return none;
    const int64_t vtable = (int64_t)table.at - (int32_t)u32_at(reader, table.at);
    if (vtable < 0 || !inside(reader, (size_t)vtable, VTABLE_HEADER)) {
        corrupt(reader, table.at, "a table whose description is outside the file");
        return none;
    }
    table.vtable = (size_t)vtable;
    table.vtable_bytes = u16_at(reader, table.vtable);
    table.bytes = u16_at(reader, table.vtable + 2);
    if (table.vtable_bytes < VTABLE_HEADER || table.vtable_bytes % 2 != 0 ||
        table.bytes < TABLE_HEADER || !inside(reader, table.vtable, table.vtable_bytes) ||
        !inside(reader, table.at, table.bytes)) {
        corrupt(reader, table.at, "a table that is longer than the file");
        return none;
    }
    return table;
}

struct det_flat_table det_flat_open(struct det_flat_reader *reader, struct det_env *env,
                                    const void *data, size_t bytes, const char *identifier)
{
    *reader = (struct det_flat_reader){.env = env, .data = data, .bytes = bytes};
    if (bytes >= 8 && memcmp(reader->data + 4, identifier, 4) == 0)
        return table_at(reader, 0);
    reader->status = det_fail(env, DET_STATUS_CORRUPT,
                              "no FlatBuffer of the kind %s (%zu bytes without that at byte 4)",
                              identifier, bytes);
    return (struct det_flat_table){0};
}

/* Where the field of `bytes` bytes stands; 0: it is absent. */
static size_t field_at(struct det_flat_reader *reader, struct det_flat_table table, int slot,
                       size_t bytes)
{
    const size_t entry = VTABLE_HEADER + 2 * (size_t)slot;
    if (reader->status != DET_OK || entry + 2 > table.vtable_bytes)
        return 0;
    const size_t offset = u16_at(reader, table.vtable + entry);
    if (offset == 0)
        return 0;
    if (offset >= TABLE_HEADER && offset + bytes <= table.bytes)
        return table.at + offset;
    corrupt(reader, table.at, "a field outside its table");
    return 0;
}

uint8_t det_flat_u8(struct det_flat_reader *reader, struct det_flat_table table, int slot,
                    uint8_t absent)
{
    const size_t at = field_at(reader, table, slot, 1);
    return at == 0 ? absent : reader->data[at];
}

uint32_t det_flat_u32(struct det_flat_reader *reader, struct det_flat_table table, int slot,
                      uint32_t absent)
{
    const size_t at = field_at(reader, table, slot, sizeof absent);
    return at == 0 ? absent : u32_at(reader, at);
}

float det_flat_float(struct det_flat_reader *reader, struct det_flat_table table, int slot,
                     float absent)
{
    const uint32_t bits = det_flat_u32(reader, table, slot, det_flat_float_bits(absent));
    float value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

struct det_flat_table det_flat_child(struct det_flat_reader *reader, struct det_flat_table table,
                                     int slot)
{
    const size_t at = field_at(reader, table, slot, DET_FLAT_REFERENCE_BYTES);
    return at == 0 ? (struct det_flat_table){0} : table_at(reader, at);
}

static struct det_flat_vector vector_at(struct det_flat_reader *reader, size_t reference,
                                        size_t size)
{
    static const struct det_flat_vector none = {0};
    const size_t header = sizeof(uint32_t);
    const size_t at = follow(reader, reference, header, "a vector outside the file");
    if (at == 0)
        return none;
    const size_t count = u32_at(reader, at);
    if (count <= (reader->bytes - at - header) / size)
        return (struct det_flat_vector){reader->data + at + header, at + header, count};
    corrupt(reader, at, "a vector that is longer than the file");
    return none;
}

struct det_flat_vector det_flat_vector(struct det_flat_reader *reader, struct det_flat_table table,
                                       int slot, size_t size)
{
    const size_t at = field_at(reader, table, slot, DET_FLAT_REFERENCE_BYTES);
    return at == 0 ? (struct det_flat_vector){0} : vector_at(reader, at, size);
}

static const char *string_at(struct det_flat_reader *reader, size_t reference)
{
    const struct det_flat_vector v = vector_at(reader, reference, 1);
    if (v.data == NULL)
        return NULL;
    /* The zero behind it is the string's end, and there is no other. */
    if (inside(reader, v.at + v.count, 1) && v.data[v.count] == 0 &&
        memchr(v.data, 0, v.count) == NULL)
        return (const char *)v.data;
    corrupt(reader, v.at, "a string without an end, or with a zero in it");
    return NULL;
}

const char *det_flat_string(struct det_flat_reader *reader, struct det_flat_table table, int slot)
{
    const size_t at = field_at(reader, table, slot, DET_FLAT_REFERENCE_BYTES);
    return at == 0 ? NULL : string_at(reader, at);
}

uint32_t det_flat_word(struct det_flat_vector vector, size_t i)
{
    uint32_t value = 0;
    memcpy(&value, vector.data + i * sizeof value, sizeof value);
    return value;
}

struct det_flat_table det_flat_element(struct det_flat_reader *reader,
                                       struct det_flat_vector vector, size_t i)
{
    if (reader->status != DET_OK || i >= vector.count)
        return (struct det_flat_table){0};
    return table_at(reader, vector.at + i * DET_FLAT_REFERENCE_BYTES);
}

const char *det_flat_string_element(struct det_flat_reader *reader, struct det_flat_vector vector,
                                    size_t i)
{
    if (reader->status != DET_OK || i >= vector.count)
        return NULL;
    return string_at(reader, vector.at + i * DET_FLAT_REFERENCE_BYTES);
}
