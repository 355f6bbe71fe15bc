#include "export/onnx_proto.h"

#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "export/onnx_fields.h"
#include "support/mem.h"

static void note(struct det_onnx *o, det_status status)
{
    if (o->status == DET_OK)
        o->status = status;
}

/* Each does nothing after a failure. */
static void put_varint(struct det_onnx *o, uint32_t number, uint64_t value)
{
    if (o->status == DET_OK)
        note(o, det_wire_put_varint(o->env, o->text, number, value));
}

static void put_bytes(struct det_onnx *o, uint32_t number, const void *data, size_t bytes)
{
    if (o->status == DET_OK)
        note(o, det_wire_put_bytes(o->env, o->text, number, data, bytes));
}

static void put_string(struct det_onnx *o, uint32_t number, const char *value)
{
    put_bytes(o, number, value, strlen(value));
}

static size_t begin(struct det_onnx *o, uint32_t number)
{
    size_t mark = 0;
    if (o->status == DET_OK)
        note(o, det_wire_begin(o->env, o->text, number, &mark));
    return mark;
}

static void end(struct det_onnx *o, size_t mark)
{
    if (o->status == DET_OK)
        note(o, det_wire_end(o->env, o->text, mark));
}

static void put_opset(struct det_onnx *o, const char *domain, uint64_t version)
{
    const size_t mark = begin(o, ONNX_MODEL_OPSET_IMPORT);
    put_string(o, ONNX_OPSET_DOMAIN, domain);
    put_varint(o, ONNX_OPSET_VERSION, version);
    end(o, mark);
}

void det_onnx_begin(struct det_onnx *o, struct det_env *env, struct det_text *text, int32_t opset,
                    const char *producer_version, const char *graph_name, const char *domain)
{
    *o = (struct det_onnx){.env = env, .text = text, .opset = opset};
    put_varint(o, ONNX_MODEL_IR_VERSION, DET_ONNX_IR);
    put_string(o, ONNX_MODEL_PRODUCER_NAME, "libdet");
    put_string(o, ONNX_MODEL_PRODUCER_VERSION, producer_version);
    put_opset(o, "", (uint64_t)opset);
    if (domain != NULL)
        put_opset(o, domain, 1);
    o->graph = begin(o, ONNX_MODEL_GRAPH);
    put_string(o, ONNX_GRAPH_NAME, graph_name);
}

void det_onnx_end_graph(struct det_onnx *o)
{
    end(o, o->graph);
}

void det_onnx_put_metadata(struct det_onnx *o, const char *key, const char *value)
{
    const size_t mark = begin(o, ONNX_MODEL_METADATA);
    put_string(o, ONNX_ENTRY_KEY, key);
    put_string(o, ONNX_ENTRY_VALUE, value);
    end(o, mark);
}

det_status det_onnx_end(struct det_onnx *o)
{
    /* Readers of Protocol Buffers take no more. */
    if (o->status == DET_OK && o->text->length > INT32_MAX)
        note(o, det_fail(o->env, DET_STATUS_UNSUPPORTED,
                         "onnx: the file would have %zu bytes, at most %d are possible",
                         o->text->length, INT32_MAX));
    for (int32_t i = 0; i < o->name_count; i++)
        det_free(o->env, &o->names[i]);
    det_free(o->env, &o->names);
    return o->status;
}

static int32_t new_value(struct det_onnx *o, const char *name)
{
    if (o->status == DET_OK)
        note(o, det_grow(o->env, &o->names, &o->name_capacity, (size_t)o->name_count + 1,
                         sizeof *o->names, "onnx names"));
    if (o->status == DET_OK)
        note(o, det_strdup(o->env, &o->names[o->name_count], name));
    return o->status == DET_OK ? o->name_count++ : DET_ONNX_NO_VALUE;
}

static void put_value_info(struct det_onnx *o, uint32_t number, const char *name,
                           enum det_onnx_type type, int32_t dims, const int64_t *shape,
                           const char *const *free_names)
{
    const size_t info = begin(o, number);
    put_string(o, ONNX_VALUE_NAME, name);
    const size_t value_type = begin(o, ONNX_VALUE_TYPE), tensor = begin(o, ONNX_TYPE_TENSOR);
    put_varint(o, ONNX_TENSOR_TYPE_ELEMENT, type);
    const size_t shape_mark = begin(o, ONNX_TENSOR_TYPE_SHAPE);
    for (int32_t i = 0; i < dims; i++) {
        const size_t dim = begin(o, ONNX_SHAPE_DIM);
        if (shape[i] == DET_ONNX_FREE)
            put_string(o, ONNX_DIM_NAME, free_names[i]);
        else
            put_varint(o, ONNX_DIM_VALUE, (uint64_t)shape[i]);
        end(o, dim);
    }
    end(o, shape_mark);
    end(o, tensor);
    end(o, value_type);
    end(o, info);
}

int32_t det_onnx_input(struct det_onnx *o, const char *name, enum det_onnx_type type, int32_t dims,
                       const int64_t *shape, const char *const *free_names)
{
    put_value_info(o, ONNX_GRAPH_INPUT, name, type, dims, shape, free_names);
    return new_value(o, name);
}

void det_onnx_output(struct det_onnx *o, int32_t value, enum det_onnx_type type, int32_t dims,
                     const int64_t *shape, const char *const *free_names)
{
    if (o->status == DET_OK)
        put_value_info(o, ONNX_GRAPH_OUTPUT, o->names[value], type, dims, shape, free_names);
}

/* --- initialisers --- */

static size_t count_of(int32_t dims, const int64_t *shape)
{
    size_t count = 1;
    for (int32_t i = 0; i < dims; i++)
        count *= (size_t)shape[i];
    return count;
}

static int32_t put_tensor(struct det_onnx *o, const char *name, enum det_onnx_type type,
                          int32_t dims, const int64_t *shape, const void *data, size_t bytes)
{
    const size_t mark = begin(o, ONNX_GRAPH_INITIALIZER);
    for (int32_t i = 0; i < dims; i++)
        put_varint(o, ONNX_TENSOR_DIMS, (uint64_t)shape[i]);
    put_varint(o, ONNX_TENSOR_TYPE, type);
    put_string(o, ONNX_TENSOR_NAME, name);
    put_bytes(o, ONNX_TENSOR_RAW, data, bytes);
    end(o, mark);
    return new_value(o, name);
}

int32_t det_onnx_floats(struct det_onnx *o, const char *name, int32_t dims, const int64_t *shape,
                        const float *values)
{
    return put_tensor(o, name, DET_ONNX_FLOAT, dims, shape, values,
                      count_of(dims, shape) * sizeof *values);
}

int32_t det_onnx_halves(struct det_onnx *o, const char *name, int32_t dims, const int64_t *shape,
                        const float *values)
{
    const size_t count = count_of(dims, shape);
    uint16_t *halves = NULL;
    if (o->status == DET_OK)
        note(o, det_alloc_raw(o->env, &halves, count, sizeof *halves, "half precision weights"));
    for (size_t i = 0; o->status == DET_OK && i < count; i++)
        halves[i] = det_float_to_half(values[i]);
    const int32_t value =
        put_tensor(o, name, DET_ONNX_FLOAT16, dims, shape, halves, count * sizeof *halves);
    det_free(o->env, &halves);
    return value;
}

int32_t det_onnx_float(struct det_onnx *o, const char *name, float value)
{
    return det_onnx_floats(o, name, 0, NULL, &value);
}

int32_t det_onnx_bytes(struct det_onnx *o, const char *name, int32_t dims, const int64_t *shape,
                       const int8_t *values)
{
    return put_tensor(o, name, DET_ONNX_INT8, dims, shape, values, count_of(dims, shape));
}

int32_t det_onnx_byte(struct det_onnx *o, const char *name, uint8_t value)
{
    return put_tensor(o, name, DET_ONNX_UINT8, 0, NULL, &value, sizeof value);
}

int32_t det_onnx_ints(struct det_onnx *o, const char *name, int32_t count, const int32_t *values)
{
    return put_tensor(o, name, DET_ONNX_INT32, 1, (const int64_t[]){count}, values,
                      (size_t)count * sizeof *values);
}

int32_t det_onnx_wholes(struct det_onnx *o, const char *name, int32_t count, const int64_t *values)
{
    const int64_t shape[1] = {count};
    const int32_t dims = count < 0 ? 0 : 1;
    return put_tensor(o, name, DET_ONNX_INT64, dims, shape, values,
                      count_of(dims, shape) * sizeof *values);
}

/* --- nodes --- */

void det_onnx_open(struct det_onnx *o, const char *operator_name, int32_t input_count,
                   const int32_t *inputs)
{
    o->node = begin(o, ONNX_GRAPH_NODE);
    o->operator_name = operator_name;
    o->domain = NULL;
    for (int32_t i = 0; o->status == DET_OK && i < input_count; i++)
        put_string(o, ONNX_NODE_INPUT, inputs[i] == DET_ONNX_NO_VALUE ? "" : o->names[inputs[i]]);
}

static size_t begin_attribute(struct det_onnx *o, const char *name, uint64_t type)
{
    const size_t mark = begin(o, ONNX_NODE_ATTRIBUTE);
    put_string(o, ONNX_ATTRIBUTE_NAME, name);
    put_varint(o, ONNX_ATTRIBUTE_TYPE, type);
    return mark;
}

void det_onnx_put_int(struct det_onnx *o, const char *name, int64_t value)
{
    const size_t mark = begin_attribute(o, name, ONNX_INT);
    put_varint(o, ONNX_ATTRIBUTE_INT, (uint64_t)value);
    end(o, mark);
}

void det_onnx_put_ints(struct det_onnx *o, const char *name, int32_t count, const int64_t *values)
{
    const size_t mark = begin_attribute(o, name, ONNX_INTS);
    for (int32_t i = 0; i < count; i++)
        put_varint(o, ONNX_ATTRIBUTE_INTS, (uint64_t)values[i]);
    end(o, mark);
}

void det_onnx_put_float(struct det_onnx *o, const char *name, float value)
{
    const size_t mark = begin_attribute(o, name, ONNX_FLOAT);
    if (o->status == DET_OK)
        note(o, det_wire_put_float(o->env, o->text, ONNX_ATTRIBUTE_FLOAT, value));
    end(o, mark);
}

void det_onnx_put_string(struct det_onnx *o, const char *name, const char *value)
{
    const size_t mark = begin_attribute(o, name, ONNX_STRING);
    put_string(o, ONNX_ATTRIBUTE_STRING, value);
    end(o, mark);
}

void det_onnx_put_domain(struct det_onnx *o, const char *domain)
{
    o->domain = domain;
}

void det_onnx_close_many(struct det_onnx *o, int32_t count, const char *const *names,
                         int32_t *values)
{
    char name[96];
    snprintf(name, sizeof name, "%s_%d", o->operator_name, o->node_count++);
    for (int32_t i = 0; i < count; i++) {
        const char *chosen = names[i] == NULL ? name : names[i];
        put_string(o, ONNX_NODE_OUTPUT, chosen);
        values[i] = new_value(o, chosen);
    }
    put_string(o, ONNX_NODE_NAME, name);
    put_string(o, ONNX_NODE_OPERATOR, o->operator_name);
    if (o->domain != NULL)
        put_string(o, ONNX_NODE_DOMAIN, o->domain);
    end(o, o->node);
}

int32_t det_onnx_close(struct det_onnx *o, const char *name)
{
    int32_t value = DET_ONNX_NO_VALUE;
    det_onnx_close_many(o, 1, &name, &value);
    return value;
}

int32_t det_onnx_unary(struct det_onnx *o, const char *operator_name, int32_t x)
{
    det_onnx_open(o, operator_name, 1, &x);
    return det_onnx_close(o, NULL);
}

int32_t det_onnx_binary(struct det_onnx *o, const char *operator_name, int32_t a, int32_t b)
{
    det_onnx_open(o, operator_name, 2, (const int32_t[]){a, b});
    return det_onnx_close(o, NULL);
}

int32_t det_onnx_cast(struct det_onnx *o, int32_t x, enum det_onnx_type type)
{
    det_onnx_open(o, "Cast", 1, &x);
    det_onnx_put_int(o, "to", type);
    return det_onnx_close(o, NULL);
}

int32_t det_onnx_concat(struct det_onnx *o, int32_t count, const int32_t *values, int64_t axis,
                        const char *name)
{
    det_onnx_open(o, "Concat", count, values);
    det_onnx_put_int(o, "axis", axis);
    return det_onnx_close(o, name);
}

int32_t det_onnx_gather(struct det_onnx *o, int32_t x, int32_t indices, int64_t axis)
{
    det_onnx_open(o, "Gather", 2, (const int32_t[]){x, indices});
    det_onnx_put_int(o, "axis", axis);
    return det_onnx_close(o, NULL);
}

struct det_onnx_bounds det_onnx_put_bounds(struct det_onnx *o, const char *low_name, float low,
                                           const char *high_name, float high)
{
    struct det_onnx_bounds bounds = {low, high, DET_ONNX_NO_VALUE, DET_ONNX_NO_VALUE};
    if (o->opset == DET_ONNX_OPSET_OLD)
        return bounds;
    bounds.low_value = det_onnx_float(o, low_name, low);
    bounds.high_value = det_onnx_float(o, high_name, high);
    return bounds;
}

int32_t det_onnx_clip(struct det_onnx *o, int32_t x, const struct det_onnx_bounds *bounds)
{
    if (o->opset == DET_ONNX_OPSET_OLD) {
        det_onnx_open(o, "Clip", 1, &x);
        det_onnx_put_float(o, "min", bounds->low);
        det_onnx_put_float(o, "max", bounds->high);
    } else {
        det_onnx_open(o, "Clip", 3, (const int32_t[]){x, bounds->low_value, bounds->high_value});
    }
    return det_onnx_close(o, NULL);
}
