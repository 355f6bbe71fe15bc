#include "formats/protowire.h"

#include <string.h>

/* Field numbers have 29 bits. */
#define MOST_NUMBER  536870911u
#define VARINT_BYTES 10

det_status det_wire_read_varint(struct det_env *env, struct det_wire *wire, uint64_t *value)
{
    const size_t start = wire->base + wire->at;
    uint64_t result = 0;
    for (unsigned i = 0; i < VARINT_BYTES; i++) {
        if (wire->at >= wire->bytes)
            return det_fail(env, DET_STATUS_CORRUPT, "byte %zu: truncated: varint has no end",
                            start);
        const uint8_t byte = wire->data[wire->at++];
        if (i == VARINT_BYTES - 1 && byte > 1)
            break;
        result |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *value = result;
            return DET_OK;
        }
    }
    return det_fail(env, DET_STATUS_CORRUPT, "byte %zu: varint has more than 64 bits", start);
}

static det_status take(struct det_env *env, struct det_wire *wire, size_t bytes,
                       const uint8_t **data)
{
    const size_t left = wire->bytes - wire->at;
    if (bytes > left)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "byte %zu: truncated: needs %zu bytes, %zu are left", wire->base + wire->at,
                        bytes, left);
    *data = wire->data + wire->at;
    wire->at += bytes;
    return DET_OK;
}

static uint64_t little_endian(const uint8_t *data, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)data[i] << (8 * i);
    return value;
}

det_status det_wire_read_fixed32(struct det_env *env, struct det_wire *wire, uint32_t *value)
{
    const uint8_t *data = NULL;
    DET_TRY_RETURN(take(env, wire, 4, &data));
    *value = (uint32_t)little_endian(data, 4);
    return DET_OK;
}

static det_status read_bytes(struct det_env *env, struct det_wire *wire,
                             struct det_wire_field *field)
{
    uint64_t length = 0;
    DET_TRY_RETURN(det_wire_read_varint(env, wire, &length));
    const size_t start = wire->base + wire->at;
    const uint8_t *data = NULL;
    DET_TRY_RETURN(take(env, wire, length > SIZE_MAX ? SIZE_MAX : (size_t)length, &data));
    field->payload = (struct det_wire){.data = data, .bytes = (size_t)length, .base = start};
    return DET_OK;
}

det_status det_wire_next(struct det_env *env, struct det_wire *wire, struct det_wire_field *field)
{
    *field = (struct det_wire_field){0};
    if (wire->at >= wire->bytes)
        return DET_OK;
    const size_t start = wire->base + wire->at;
    uint64_t tag = 0;
    DET_TRY_RETURN(det_wire_read_varint(env, wire, &tag));
    const uint64_t number = tag >> 3;
    if (number == 0 || number > MOST_NUMBER)
        return det_fail(env, DET_STATUS_CORRUPT, "byte %zu: field number %llu", start,
                        (unsigned long long)number);
    const unsigned type = (unsigned)(tag & 7);
    const uint8_t *data = NULL;
    switch (type) {
    case DET_WIRE_VARINT:
        DET_TRY_RETURN(det_wire_read_varint(env, wire, &field->value));
        break;
    case DET_WIRE_FIXED64:
        DET_TRY_RETURN(take(env, wire, 8, &data));
        field->value = little_endian(data, 8);
        break;
    case DET_WIRE_BYTES:
        DET_TRY_RETURN(read_bytes(env, wire, field));
        break;
    case DET_WIRE_FIXED32:
        DET_TRY_RETURN(take(env, wire, 4, &data));
        field->value = little_endian(data, 4);
        break;
    default:
        return det_fail(env, DET_STATUS_CORRUPT, "byte %zu: field %llu has wire type %u (%s)",
                        start, (unsigned long long)number, type,
                        type == 3 || type == 4 ? "a group, not used here" : "unknown");
    }
    field->type = (enum det_wire_type)type;
    field->number = (uint32_t)number;
    return DET_OK;
}

det_status det_wire_expect(struct det_env *env, const struct det_wire_field *field,
                           enum det_wire_type type, const char *what)
{
    if (field->type == type)
        return DET_OK;
    return det_fail(env, DET_STATUS_CORRUPT, "%s (field %u) has wire type %d, expected %d", what,
                    field->number, (int)field->type, (int)type);
}

float det_wire_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Returns the number of bytes. */
static size_t encode_varint(char out[VARINT_BYTES], uint64_t value)
{
    size_t count = 0;
    do {
        const unsigned low = (unsigned)(value & 0x7f);
        value >>= 7;
        out[count++] = (char)(unsigned char)(low | (value != 0 ? 0x80u : 0u));
    } while (value != 0);
    return count;
}

det_status det_wire_append_varint(struct det_env *env, struct det_text *text, uint64_t value)
{
    char bytes[VARINT_BYTES];
    return det_text_append(env, text, bytes, encode_varint(bytes, value));
}

static det_status append_fixed(struct det_env *env, struct det_text *text, uint64_t value,
                               unsigned bytes)
{
    char out[8];
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (char)(unsigned char)(value >> (8 * i));
    return det_text_append(env, text, out, bytes);
}

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

det_status det_wire_append_float(struct det_env *env, struct det_text *text, float value)
{
    return append_fixed(env, text, float_bits(value), 4);
}

static det_status append_tag(struct det_env *env, struct det_text *text, uint32_t number,
                             enum det_wire_type type)
{
    return det_wire_append_varint(env, text, (uint64_t)number << 3 | (uint64_t)type);
}

det_status det_wire_put_varint(struct det_env *env, struct det_text *text, uint32_t number,
                               uint64_t value)
{
    DET_TRY_RETURN(append_tag(env, text, number, DET_WIRE_VARINT));
    return det_wire_append_varint(env, text, value);
}

det_status det_wire_put_fixed32(struct det_env *env, struct det_text *text, uint32_t number,
                                uint32_t value)
{
    DET_TRY_RETURN(append_tag(env, text, number, DET_WIRE_FIXED32));
    return append_fixed(env, text, value, 4);
}

det_status det_wire_put_fixed64(struct det_env *env, struct det_text *text, uint32_t number,
                                uint64_t value)
{
    DET_TRY_RETURN(append_tag(env, text, number, DET_WIRE_FIXED64));
    return append_fixed(env, text, value, 8);
}

det_status det_wire_put_float(struct det_env *env, struct det_text *text, uint32_t number,
                              float value)
{
    return det_wire_put_fixed32(env, text, number, float_bits(value));
}

det_status det_wire_put_double(struct det_env *env, struct det_text *text, uint32_t number,
                               double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return det_wire_put_fixed64(env, text, number, bits);
}

det_status det_wire_put_bytes(struct det_env *env, struct det_text *text, uint32_t number,
                              const void *data, size_t bytes)
{
    DET_TRY_RETURN(append_tag(env, text, number, DET_WIRE_BYTES));
    DET_TRY_RETURN(det_wire_append_varint(env, text, bytes));
    return det_text_append(env, text, data, bytes);
}

det_status det_wire_begin(struct det_env *env, struct det_text *text, uint32_t number, size_t *mark)
{
    DET_TRY_RETURN(append_tag(env, text, number, DET_WIRE_BYTES));
    *mark = text->length;
    return DET_OK;
}

det_status det_wire_end(struct det_env *env, struct det_text *text, size_t mark)
{
    /* The length is only known now: append room for it, then move the payload up. */
    char length[VARINT_BYTES];
    const size_t payload = text->length - mark;
    const size_t count = encode_varint(length, payload);
    DET_TRY_RETURN(det_text_append(env, text, length, count));
    memmove(text->data + mark + count, text->data + mark, payload);
    memcpy(text->data + mark, length, count);
    return DET_OK;
}
