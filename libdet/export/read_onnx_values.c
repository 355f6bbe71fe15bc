#include <string.h>

#include "base/half.h"
#include "export/onnx_fields.h"
#include "export/onnx_proto.h"
#include "export/read_onnx.h"
#include "support/mem.h"

/* --- initialisers --- */

struct tensor {
    det_onnx_span name, raw;
    int64_t shape[DET_ARRAY_MOST_DIMS], type;
    int32_t dims;
};

static size_t size_of_type(int64_t type)
{
    return type == DET_ONNX_FLOAT || type == DET_ONNX_INT32  ? 4
           : type == DET_ONNX_FLOAT16                        ? 2
           : type == DET_ONNX_INT64                          ? 8
           : type == DET_ONNX_INT8 || type == DET_ONNX_UINT8 ? 1
                                                             : 0;
}

static bool is_whole(int64_t type)
{
    return type == DET_ONNX_INT8 || type == DET_ONNX_UINT8 || type == DET_ONNX_INT32 ||
           type == DET_ONNX_INT64;
}

static void fill_constant(const struct tensor *t, struct det_array *array)
{
    if (t->type == DET_ONNX_FLOAT || t->type == DET_ONNX_INT64) {
        memcpy(array->data, t->raw.data, t->raw.bytes);
        return;
    }
    for (size_t i = 0; i < array->count; i++) {
        const uint8_t *from = t->raw.data + i * size_of_type(t->type);
        uint16_t half = 0;
        int32_t whole = 0;
        if (t->type == DET_ONNX_FLOAT16) {
            memcpy(&half, from, sizeof half);
            array->floats[i] = det_half_to_float(half);
        } else if (t->type == DET_ONNX_INT32) {
            memcpy(&whole, from, sizeof whole);
            array->wholes[i] = whole;
        } else {
            array->wholes[i] = t->type == DET_ONNX_INT8 ? (int8_t)*from : *from;
        }
    }
}

static det_status add_constant(struct det_onnx_reader *r, const struct tensor *t)
{
    const size_t size = size_of_type(t->type);
    size_t bytes = size;
    if (size == 0)
        return det_fail(r->env, DET_STATUS_UNSUPPORTED, "initialiser `%.*s` has type %lld",
                        (int)t->name.bytes, (const char *)t->name.data, (long long)t->type);
    bool fits = true;
    for (int32_t d = 0; fits && d < t->dims; d++)
        fits = t->shape[d] >= 0 && det_size_mul(bytes, (size_t)t->shape[d], &bytes);
    if (!fits || bytes != t->raw.bytes)
        return det_fail(r->env, DET_STATUS_CORRUPT,
                        "initialiser `%.*s`: %zu bytes are not what its shape asks for",
                        (int)t->name.bytes, (const char *)t->name.data, t->raw.bytes);
    int32_t value = -1;
    DET_TRY_RETURN(det_onnx_add_name(r, t->name, r->program->value_count));
    DET_TRY_RETURN(det_program_add_constant(r->env, r->program, r->names[r->name_count - 1].name,
                                            is_whole(t->type), t->dims, t->shape, &value));
    r->names[r->name_count - 1].type = (int32_t)t->type;
    if (bytes > 0)
        fill_constant(t, &r->program->values[value].array);
    return DET_OK;
}

det_status det_onnx_read_initialiser(struct det_onnx_reader *r, struct det_wire wire)
{
    struct tensor t = {0};
    struct det_wire_field field;
    for (;;) {
        DET_TRY_RETURN(det_wire_next(r->env, &wire, &field));
        switch (field.number) {
        case 0:
            return add_constant(r, &t);
        case ONNX_TENSOR_DIMS:
            DET_TRY_RETURN(det_onnx_take_whole(r, &field, "dims", t.shape, &t.dims));
            break;
        case ONNX_TENSOR_TYPE:
            DET_TRY_RETURN(det_onnx_take_varint(r, &field, "data_type", &t.type));
            break;
        case ONNX_TENSOR_NAME:
            DET_TRY_RETURN(det_onnx_take_string(r, &field, "name", &t.name));
            break;
        case ONNX_TENSOR_RAW:
            DET_TRY_RETURN(det_onnx_take_string(r, &field, "raw_data", &t.raw));
            break;
        default:
            return det_onnx_unknown_field(r, "TensorProto", &field);
        }
    }
}

/* --- inputs and outputs --- */

struct value_info {
    det_onnx_span name;
    int64_t type, shape[DET_ARRAY_MOST_DIMS]; /* -1: free */
    int32_t dims;
};

static det_status read_dim(struct det_onnx_reader *r, struct det_wire wire, int64_t *dim)
{
    struct det_wire_field field;
    det_onnx_span name;
    *dim = -1;
    for (;;) {
        DET_TRY_RETURN(det_wire_next(r->env, &wire, &field));
        if (field.number == 0)
            return DET_OK;
        if (field.number == ONNX_DIM_VALUE)
            DET_TRY_RETURN(det_onnx_take_varint(r, &field, "dim_value", dim));
        else if (field.number == ONNX_DIM_NAME)
            DET_TRY_RETURN(det_onnx_take_string(r, &field, "dim_param", &name));
        else
            return det_onnx_unknown_field(r, "TensorShapeProto.Dimension", &field);
    }
}

static det_status read_shape(struct det_onnx_reader *r, struct det_wire wire,
                             struct value_info *info)
{
    struct det_wire_field field;
    for (;;) {
        DET_TRY_RETURN(det_wire_next(r->env, &wire, &field));
        if (field.number == 0)
            return DET_OK;
        if (field.number != ONNX_SHAPE_DIM)
            return det_onnx_unknown_field(r, "TensorShapeProto", &field);
        if (info->dims == DET_ARRAY_MOST_DIMS)
            return det_fail(r->env, DET_STATUS_UNSUPPORTED, "shape: more than %d dimensions",
                            DET_ARRAY_MOST_DIMS);
        DET_TRY_RETURN(det_wire_expect(r->env, &field, DET_WIRE_BYTES, "dim"));
        DET_TRY_RETURN(read_dim(r, field.payload, &info->shape[info->dims++]));
    }
}

static det_status read_tensor_type(struct det_onnx_reader *r, struct det_wire wire,
                                   struct value_info *info)
{
    struct det_wire_field field;
    for (;;) {
        DET_TRY_RETURN(det_wire_next(r->env, &wire, &field));
        if (field.number == 0)
            return DET_OK;
        if (field.number == ONNX_TENSOR_TYPE_ELEMENT) {
            DET_TRY_RETURN(det_onnx_take_varint(r, &field, "elem_type", &info->type));
        } else if (field.number == ONNX_TENSOR_TYPE_SHAPE) {
            DET_TRY_RETURN(det_wire_expect(r->env, &field, DET_WIRE_BYTES, "shape"));
            DET_TRY_RETURN(read_shape(r, field.payload, info));
        } else {
            return det_onnx_unknown_field(r, "TypeProto.Tensor", &field);
        }
    }
}

static det_status read_value_info(struct det_onnx_reader *r, struct det_wire wire,
                                  struct value_info *info)
{
    struct det_wire_field field, inner;
    *info = (struct value_info){0};
    for (;;) {
        DET_TRY_RETURN(det_wire_next(r->env, &wire, &field));
        if (field.number == 0)
            return DET_OK;
        if (field.number == ONNX_VALUE_NAME) {
            DET_TRY_RETURN(det_onnx_take_string(r, &field, "name", &info->name));
        } else if (field.number == ONNX_VALUE_TYPE) {
            DET_TRY_RETURN(det_wire_expect(r->env, &field, DET_WIRE_BYTES, "type"));
            DET_TRY_RETURN(det_wire_next(r->env, &field.payload, &inner));
            if (inner.number != ONNX_TYPE_TENSOR)
                return det_onnx_unknown_field(r, "TypeProto", &inner);
            DET_TRY_RETURN(det_wire_expect(r->env, &inner, DET_WIRE_BYTES, "tensor_type"));
            DET_TRY_RETURN(read_tensor_type(r, inner.payload, info));
        } else {
            return det_onnx_unknown_field(r, "ValueInfoProto", &field);
        }
    }
}

det_status det_onnx_read_input(struct det_onnx_reader *r, struct det_wire wire)
{
    struct det_program *p = r->program;
    struct value_info info;
    DET_TRY_RETURN(read_value_info(r, wire, &info));
    if (p->input >= 0)
        return det_fail(r->env, DET_STATUS_UNSUPPORTED, "there is more than one input");
    if (info.type != DET_ONNX_UINT8 && info.type != DET_ONNX_FLOAT)
        return det_fail(r->env, DET_STATUS_UNSUPPORTED, "the input has type %lld",
                        (long long)info.type);
    DET_TRY_RETURN(det_onnx_add_value(r, info.name, &p->input));
    p->input_whole = info.type == DET_ONNX_UINT8;
    p->input_dims = info.dims;
    memcpy(p->input_shape, info.shape, sizeof info.shape);
    return DET_OK;
}

det_status det_onnx_read_output(struct det_onnx_reader *r, struct det_wire wire)
{
    struct value_info info;
    int32_t value = -1;
    DET_TRY_RETURN(read_value_info(r, wire, &info));
    DET_TRY_RETURN(det_onnx_value(r, info.name, &value));
    if (value < 0)
        return det_fail(r->env, DET_STATUS_CORRUPT, "an output has no name");
    return DET_OK;
}
