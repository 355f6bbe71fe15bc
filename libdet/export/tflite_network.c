/* tflite_network.c: the network as TFLite's converter would give it: convolutions with their bias
 * and ReLU6 inside, NHWC, SAME padding as TensorFlow has it. */
#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "export/tflite_network.h"
#include "support/mem.h"

/* Of an operator whose result is int8 (lite/tools/versioning/op_version.cc). */
static int32_t version_in_8_bits(enum det_tflite_operator kind)
{
    switch (kind) {
    case DET_TFLITE_CONV_2D:
    case DET_TFLITE_DEPTHWISE_CONV_2D:
        return 3;
    case DET_TFLITE_RESHAPE:
    case DET_TFLITE_QUANTIZE:
        return 1;
    default:
        return 2;
    }
}

static det_status put(struct det_tflite_network *n, struct det_tflite_op *op, const char *name,
                      enum det_tflite_type type, const struct det_tflite_scales *scales,
                      int32_t dims, const int32_t *shape, int32_t *out)
{
    if (type == DET_TFLITE_INT8)
        op->version = version_in_8_bits(op->kind);
    DET_TRY_RETURN(det_tflite_add_tensor(n->env, n->model, name, type, dims, shape, &op->out[0]));
    if (scales->values != NULL)
        DET_TRY_RETURN(det_tflite_set_scales(n->env, n->model, op->out[0], scales));
    *out = op->out[0];
    return det_tflite_add_op(n->env, n->model, op);
}

det_status det_tflite_put(struct det_tflite_network *n, struct det_tflite_op op, const char *name,
                          int32_t dims, const int32_t *shape, int32_t *out)
{
    return put(n, &op, name, DET_TFLITE_FLOAT32, &(struct det_tflite_scales){0}, dims, shape, out);
}

det_status det_tflite_put_like(struct det_tflite_network *n, struct det_tflite_op op,
                               const char *name, int32_t dims, const int32_t *shape, int32_t *out)
{
    const struct det_tflite_tensor first = n->model->tensors[op.in[0]];
    return put(n, &op, name, first.type, &first.scales, dims, shape, out);
}

det_status det_tflite_put_q8(struct det_tflite_network *n, struct det_tflite_op op,
                             const char *name, const struct det_q8_tensor *q8, int32_t dims,
                             const int32_t *shape, int32_t *out)
{
    float scale = q8->scale;
    const struct det_tflite_scales scales = {.values = &scale, .count = 1, .zero = q8->zero};
    return put(n, &op, name, DET_TFLITE_INT8, &scales, dims, shape, out);
}

det_status det_tflite_put_ints(struct det_tflite_network *n, const char *of, const char *part,
                               int32_t dims, const int32_t *shape, const int32_t *values,
                               int32_t *tensor)
{
    char *name = NULL;
    DET_TRY_RETURN(det_format(n->env, &name, "%s/%s", of, part));
    const det_status status = det_tflite_add_constant(n->env, n->model, name, DET_TFLITE_INT32,
                                                      dims, shape, values, tensor);
    det_free(n->env, &name);
    return status;
}

/* --- parameters --- */

void det_tflite_reorder(const struct det_param *param, const void *from, size_t size,
                        int32_t shape[4], void *to)
{
    const int32_t *s = param->shape;
    if (param->dims == 1) {
        shape[0] = s[0];
        memcpy(to, from, param->count * size);
        return;
    }
    const int32_t depthwise = param->role == DET_PARAM_DEPTHWISE;
    const size_t outs = (size_t)s[3], rest = param->count / outs;
    shape[0] = s[3]; /* of a depthwise one 1 */
    for (int32_t i = 0; i < 3; i++)
        shape[1 + i] = s[i];
    if (depthwise) {
        memcpy(to, from, param->count * size);
        return;
    }
    for (size_t o = 0; o < outs; o++)
        for (size_t r = 0; r < rest; r++)
            memcpy((char *)to + (o * rest + r) * size, (const char *)from + (r * outs + o) * size,
                   size);
}

/* A constant in half precision and the operator that brings it to float32. */
static det_status add_half(struct det_tflite_network *n, const char *name, int32_t dims,
                           const int32_t *shape, const float *values, size_t count, int32_t *tensor)
{
    det_status status = DET_OK;
    char *stored = NULL;
    uint16_t *halves = NULL;
    struct det_tflite_op op =
        det_tflite_op_of(DET_TFLITE_DEQUANTIZE, DET_TFLITE_DEQUANTIZE_OPTIONS, 1);
    op.version = 3;
    DET_TRY(det_alloc_raw(n->env, &halves, count, sizeof *halves, "weights in half precision"));
    for (size_t i = 0; i < count; i++)
        halves[i] = det_float_to_half(values[i]);
    DET_TRY(det_format(n->env, &stored, "%s/half", name));
    DET_TRY(det_tflite_add_constant(n->env, n->model, stored, DET_TFLITE_FLOAT16, dims, shape,
                                    halves, &op.in[0]));
    DET_TRY(det_tflite_put(n, op, name, dims, shape, tensor));
fail:
    det_free(n->env, &halves);
    det_free(n->env, &stored);
    return status;
}

static det_status take_param(struct det_tflite_network *n, int32_t index, int32_t *tensor)
{
    det_status status = DET_OK;
    const struct det_param *param = &n->graph->params[index];
    float *values = NULL;
    int32_t shape[DET_TFLITE_MOST_DIMS] = {0};
    if (n->params[index] < 0) {
        DET_TRY(det_alloc_raw(n->env, &values, param->count, sizeof *values, param->key));
        det_tflite_reorder(param, n->job->inference.params + param->offset, sizeof *values, shape,
                           values);
        if (n->job->settings.precision == DET_EXPORT_FLOAT16)
            DET_TRY(add_half(n, param->key, param->dims, shape, values, param->count,
                             &n->params[index]));
        else
            DET_TRY(det_tflite_add_constant(n->env, n->model, param->key, DET_TFLITE_FLOAT32,
                                            param->dims, shape, values, &n->params[index]));
    }
    *tensor = n->params[index];
fail:
    det_free(n->env, &values);
    return status;
}

/* TFLite's convolutions have a bias always. */
static det_status zero_bias(struct det_tflite_network *n, int32_t channels, int32_t *tensor)
{
    float *zeros = NULL;
    char name[64];
    snprintf(name, sizeof name, "no_bias_%d", channels);
    DET_TRY_RETURN(det_alloc(n->env, &zeros, (size_t)channels, sizeof *zeros, name));
    const det_status status = det_tflite_add_constant(n->env, n->model, name, DET_TFLITE_FLOAT32, 1,
                                                      &channels, zeros, tensor);
    det_free(n->env, &zeros);
    return status;
}

/* --- operations --- */

void det_tflite_shape_of(const struct det_tflite_network *n, int32_t tensor, int32_t shape[4])
{
    const struct det_tensor t = n->graph->tensors[tensor];
    shape[0] = n->batch;
    shape[1] = t.height;
    shape[2] = t.width;
    shape[3] = t.channels;
}

/* A result of the graph. Weights that several levels share have one key: the tensor's number tells
 * their results apart. */
static det_status add_result(struct det_tflite_network *n, const struct det_tflite_op *op,
                             const char *name, int32_t tensor)
{
    char *own = NULL;
    int32_t shape[4];
    det_tflite_shape_of(n, tensor, shape);
    DET_TRY_RETURN(det_format(n->env, &own, "%s/result_%d", name, tensor));
    const det_status status = n->quantised != NULL
                                  ? det_tflite_put_q8(n, *op, own, &n->quantised->tensors[tensor],
                                                      4, shape, &n->tensors[tensor])
                                  : det_tflite_put(n, *op, own, 4, shape, &n->tensors[tensor]);
    det_free(n->env, &own);
    return status;
}

static det_status add_params(struct det_tflite_network *n, const struct det_op *from,
                             struct det_tflite_op *op)
{
    if (n->quantised != NULL)
        return det_tflite_put_q8_params(n, (int32_t)(from - n->graph->ops), &op->in[1], &op->in[2]);
    DET_TRY_RETURN(take_param(n, from->weight, &op->in[1]));
    return from->bias >= 0 ? take_param(n, from->bias, &op->in[2])
                           : zero_bias(n, n->graph->tensors[from->out].channels, &op->in[2]);
}

static det_status add_conv(struct det_tflite_network *n, const struct det_op *from)
{
    const bool depthwise = from->kind == DET_OP_DWCONV;
    const uint8_t act = from->act == DET_ACTIVATION_RELU6 ? DET_TFLITE_ACTIVATION_RELU6
                                                          : DET_TFLITE_ACTIVATION_NONE;
    struct det_tflite_op op =
        depthwise ? det_tflite_op_of(DET_TFLITE_DEPTHWISE_CONV_2D,
                                     DET_TFLITE_DEPTHWISE_CONV_2D_OPTIONS, 3)
                  : det_tflite_op_of(DET_TFLITE_CONV_2D, DET_TFLITE_CONV_2D_OPTIONS, 3);
    op.in[0] = n->tensors[from->in];
    DET_TFLITE_OPTION_U8(&op, DET_TFLITE_CONV_PADDING, DET_TFLITE_PADDING_SAME);
    DET_TFLITE_OPTION_U32(&op, DET_TFLITE_CONV_STRIDE_W, from->stride);
    DET_TFLITE_OPTION_U32(&op, DET_TFLITE_CONV_STRIDE_H, from->stride);
    if (depthwise)
        DET_TFLITE_OPTION_U32(&op, DET_TFLITE_DWCONV_MULTIPLIER, 1);
    DET_TFLITE_OPTION_U8(&op, depthwise ? DET_TFLITE_DWCONV_ACTIVATION : DET_TFLITE_CONV_ACTIVATION,
                         act);
    DET_TRY_RETURN(add_params(n, from, &op));
    return add_result(n, &op, from->name, from->out);
}

static det_status add_sum(struct det_tflite_network *n, int32_t a, int32_t b, const char *name,
                          int32_t out)
{
    struct det_tflite_op op = det_tflite_op_of(DET_TFLITE_ADD, DET_TFLITE_ADD_OPTIONS, 2);
    op.in[0] = a;
    op.in[1] = b;
    DET_TFLITE_OPTION_U8(&op, DET_TFLITE_ADD_ACTIVATION, DET_TFLITE_ACTIVATION_NONE);
    return add_result(n, &op, name, out);
}

det_status det_tflite_put_slice(struct det_tflite_network *n, int32_t in, const char *name,
                                int32_t dims, const int32_t *begin, const int32_t *end,
                                int32_t *out)
{
    static const int32_t ones[DET_TFLITE_MOST_DIMS] = {1, 1, 1, 1};
    int32_t shape[DET_TFLITE_MOST_DIMS];
    struct det_tflite_op op =
        det_tflite_op_of(DET_TFLITE_STRIDED_SLICE, DET_TFLITE_STRIDED_SLICE_OPTIONS, 4);
    op.in[0] = in;
    for (int32_t i = 0; i < dims; i++)
        shape[i] = end[i] - begin[i];
    DET_TRY_RETURN(det_tflite_put_ints(n, name, "begin", 1, &dims, begin, &op.in[1]));
    DET_TRY_RETURN(det_tflite_put_ints(n, name, "end", 1, &dims, end, &op.in[2]));
    DET_TRY_RETURN(det_tflite_put_ints(n, name, "strides", 1, &dims, ones, &op.in[3]));
    return det_tflite_put_like(n, op, name, dims, shape, out);
}

/* Twice the size by repeating pixels, the surplus row and column cut off, and the sum. */
static det_status add_upsample(struct det_tflite_network *n, const struct det_op *from)
{
    static const int32_t two = 2, none[4] = {0};
    int32_t shape[4], sum_shape[4], upsampled = 0;
    char name[64];
    det_tflite_shape_of(n, from->in, shape);
    det_tflite_shape_of(n, from->out, sum_shape);
    shape[1] *= 2;
    shape[2] *= 2;
    struct det_tflite_op op = det_tflite_op_of(DET_TFLITE_RESIZE_NEAREST_NEIGHBOR,
                                               DET_TFLITE_RESIZE_NEAREST_NEIGHBOR_OPTIONS, 2);
    op.in[0] = n->tensors[from->in];
    snprintf(name, sizeof name, "upsample/result_%d", from->out);
    DET_TRY_RETURN(det_tflite_put_ints(n, name, "size", 1, &two, shape + 1, &op.in[1]));
    DET_TRY_RETURN(det_tflite_put_like(n, op, name, 4, shape, &upsampled));
    if (memcmp(shape, sum_shape, sizeof shape) != 0) {
        snprintf(name, sizeof name, "upsample/cut_%d", from->out);
        DET_TRY_RETURN(det_tflite_put_slice(n, upsampled, name, 4, none, sum_shape, &upsampled));
    }
    return add_sum(n, upsampled, n->tensors[from->in2], "upsample/sum", from->out);
}

static det_status add_operations(struct det_tflite_network *n)
{
    for (int32_t i = 0; i < n->graph->op_count; i++) {
        const struct det_op *op = &n->graph->ops[i];
        switch (op->kind) {
        case DET_OP_CONV:
        case DET_OP_DWCONV:
            DET_TRY_RETURN(add_conv(n, op));
            break;
        case DET_OP_ADD:
            DET_TRY_RETURN(
                add_sum(n, n->tensors[op->in], n->tensors[op->in2], "residual", op->out));
            break;
        case DET_OP_UPSAMPLE_ADD:
            DET_TRY_RETURN(add_upsample(n, op));
            break;
        case DET_OP_BATCH_NORM:
            return det_fail(n->env, DET_STATUS_INTERNAL, "tflite: %s is not folded", op->name);
        }
    }
    return DET_OK;
}

static det_status alloc_indices(struct det_env *env, int32_t **indices, int32_t count)
{
    DET_TRY_RETURN(
        det_alloc_raw(env, indices, (size_t)count, sizeof **indices, "places of tensors"));
    for (int32_t i = 0; i < count; i++)
        (*indices)[i] = -1;
    return DET_OK;
}

det_status det_tflite_add_network(struct det_env *env, const struct det_export_job *job,
                                  struct det_tflite_model *model)
{
    const struct det_graph *graph = job->inference.graph;
    struct det_tflite_network n = {.env = env,
                                   .job = job,
                                   .graph = graph,
                                   .quantised = job->inference.quantised,
                                   .model = model,
                                   .batch = job->settings.batch};
    det_status status = DET_OK;
    DET_TRY(alloc_indices(env, &n.tensors, graph->tensor_count));
    DET_TRY(alloc_indices(env, &n.params, graph->param_count));
    DET_TRY(det_tflite_put_input(&n));
    DET_TRY(add_operations(&n));
    DET_TRY(det_tflite_put_outputs(&n));
fail:
    det_free(env, &n.tensors);
    det_free(env, &n.params);
    return status;
}
