#include "export/onnx_network.h"

#include <stdio.h>

#include "model/net_plan.h"
#include "model/quantised.h"
#include "support/mem.h"

void det_onnx_kernel_shape(const struct det_param *p, int64_t shape[4])
{
    const bool depthwise = p->role == DET_PARAM_DEPTHWISE;
    shape[0] = depthwise ? p->shape[2] : p->shape[3];
    shape[1] = depthwise ? 1 : p->shape[2];
    shape[2] = p->shape[0];
    shape[3] = p->shape[1];
}

size_t det_onnx_kernel_place(const struct det_param *p, size_t from)
{
    const bool depthwise = p->role == DET_PARAM_DEPTHWISE;
    const size_t taps = (size_t)p->shape[0] * (size_t)p->shape[1];
    const size_t in = depthwise ? 1 : (size_t)p->shape[2];
    const size_t out = depthwise ? (size_t)p->shape[2] : (size_t)p->shape[3];
    const size_t c = from % out, i = from / out % in, t = from / out / in;
    return (c * in + i) * taps + t;
}

static int32_t put_param(struct det_onnx_network *n, int32_t index)
{
    struct det_onnx *onnx = n->o->onnx;
    const struct det_param *p = &n->graph->params[index];
    const float *values = n->o->job->inference.params + p->offset;
    const bool half = n->o->job->settings.precision == DET_EXPORT_FLOAT16;
    float *turned = NULL;
    int64_t shape[4] = {p->shape[0]};
    if (p->dims == 4) {
        det_onnx_kernel_shape(p, shape);
        if (onnx->status == DET_OK)
            onnx->status =
                det_alloc_raw(onnx->env, &turned, p->count, sizeof *turned, "onnx weights");
        if (onnx->status != DET_OK)
            return DET_ONNX_NO_VALUE;
        for (size_t i = 0; i < p->count; i++)
            turned[det_onnx_kernel_place(p, i)] = values[i];
        values = turned;
    }
    int32_t value =
        (half ? det_onnx_halves : det_onnx_floats)(onnx, p->key, p->dims, shape, values);
    det_free(onnx->env, &turned);
    if (half)
        value = det_onnx_cast(onnx, value, DET_ONNX_FLOAT);
    return value;
}

/* The head's kernels serve every level: each is written once. */
static int32_t param_of(struct det_onnx_network *n, int32_t index)
{
    if (index < 0)
        return DET_ONNX_NO_VALUE;
    if (n->params[index] == DET_ONNX_NO_VALUE)
        n->params[index] = put_param(n, index);
    return n->params[index];
}

static int64_t pad_end(int32_t in, int32_t out, int32_t kernel, int32_t stride, int32_t pad_begin)
{
    const int32_t end = (out - 1) * stride + kernel - in - pad_begin;
    return end > 0 ? end : 0;
}

int32_t det_onnx_put_activation(struct det_onnx_network *n, const struct det_op *op, int32_t value)
{
    if (op->act != DET_ACTIVATION_RELU6)
        return value;
    if (n->relu6.high == 0)
        n->relu6 = det_onnx_put_bounds(n->o->onnx, "relu6/low", 0, "relu6/high", 6);
    return det_onnx_clip(n->o->onnx, value, &n->relu6);
}

int32_t det_onnx_put_conv(struct det_onnx_network *n, const struct det_op *op,
                          const int32_t inputs[3])
{
    struct det_onnx *onnx = n->o->onnx;
    const struct det_conv_shape s = det_net_conv_shape(n->graph, op, 1);
    const int64_t pads[4] = {s.pad_top, s.pad_left,
                             pad_end(s.in_h, s.out_h, s.kernel_h, s.stride, s.pad_top),
                             pad_end(s.in_w, s.out_w, s.kernel_w, s.stride, s.pad_left)};
    det_onnx_open(onnx, "Conv", inputs[2] == DET_ONNX_NO_VALUE ? 2 : 3, inputs);
    det_onnx_put_ints(onnx, "kernel_shape", 2, (const int64_t[]){s.kernel_h, s.kernel_w});
    det_onnx_put_ints(onnx, "strides", 2, (const int64_t[]){s.stride, s.stride});
    det_onnx_put_ints(onnx, "pads", 4, pads);
    det_onnx_put_int(onnx, "group", op->kind == DET_OP_DWCONV ? s.in_c : 1);
    return det_onnx_close(onnx, NULL);
}

static int32_t put_convolution(struct det_onnx_network *n, const struct det_op *op)
{
    const int32_t inputs[3] = {n->tensors[op->in].exact, param_of(n, op->weight),
                               param_of(n, op->bias)};
    return det_onnx_put_activation(n, op, det_onnx_put_conv(n, op, inputs));
}

/* The old opset knows no other way to do it. */
int32_t det_onnx_put_upsample(struct det_onnx_network *n, int32_t x)
{
    struct det_onnx *onnx = n->o->onnx;
    const bool old = onnx->opset == DET_ONNX_OPSET_OLD;
    if (old)
        det_onnx_open(onnx, "Resize", 2, (const int32_t[]){x, n->twice});
    else
        det_onnx_open(onnx, "Resize", 3, (const int32_t[]){x, DET_ONNX_NO_VALUE, n->twice});
    det_onnx_put_string(onnx, "mode", "nearest");
    if (!old) {
        det_onnx_put_string(onnx, "coordinate_transformation_mode", "asymmetric");
        det_onnx_put_string(onnx, "nearest_mode", "floor");
    }
    return det_onnx_close(onnx, NULL);
}

static int32_t put_upsample_add(struct det_onnx_network *n, const struct det_op *op)
{
    struct det_onnx *onnx = n->o->onnx;
    const struct det_tensor in = n->graph->tensors[op->in], out = n->graph->tensors[op->out];
    int32_t up = det_onnx_put_upsample(n, n->tensors[op->in].exact);
    if (out.height < 2 * in.height)
        up = det_onnx_slice(onnx, up, 2, 0, out.height, NULL);
    if (out.width < 2 * in.width)
        up = det_onnx_slice(onnx, up, 3, 0, out.width, NULL);
    return det_onnx_binary(onnx, "Add", up, n->tensors[op->in2].exact);
}

static int32_t put_op(struct det_onnx_network *n, const struct det_op *op)
{
    switch (op->kind) {
    case DET_OP_CONV:
    case DET_OP_DWCONV:
        return put_convolution(n, op);
    case DET_OP_ADD:
        return det_onnx_binary(n->o->onnx, "Add", n->tensors[op->in].exact,
                               n->tensors[op->in2].exact);
    case DET_OP_UPSAMPLE_ADD:
        return put_upsample_add(n, op);
    default: /* a folded graph has no other */
        return DET_ONNX_NO_VALUE;
    }
}

/* All levels' outputs [N, a * columns, h, w] as one [N, A, columns]. */
static int32_t put_levels(struct det_onnx_network *n, const int32_t *outputs, int32_t columns,
                          const char *what, const char *name)
{
    struct det_onnx *onnx = n->o->onnx;
    int32_t levels[DET_MAX_LEVELS];
    for (int32_t l = 0; l < n->graph->levels; l++) {
        const struct det_tensor t = n->graph->tensors[outputs[l]];
        char shape_name[64];
        snprintf(shape_name, sizeof shape_name, "%s/shape_%d", what, l);
        /* 0: as it is. */
        const int64_t shape[3] = {n->o->batch == DET_ONNX_FREE ? 0 : n->o->batch,
                                  (int64_t)t.height * t.width * n->graph->anchors_per_cell,
                                  columns};
        det_onnx_open(onnx, "Transpose", 1, &n->tensors[outputs[l]].exact);
        det_onnx_put_ints(onnx, "perm", 4, (const int64_t[]){0, 2, 3, 1});
        const int32_t turned = det_onnx_close(onnx, NULL);
        levels[l] =
            det_onnx_binary(onnx, "Reshape", turned, det_onnx_wholes(onnx, shape_name, 3, shape));
    }
    return det_onnx_concat(onnx, n->graph->levels, levels, 1, name);
}

static void put_all(struct det_onnx_network *n, int32_t *encodings, int32_t *scores)
{
    struct det_onnx *onnx = n->o->onnx;
    n->twice = det_onnx_vector(onnx, "upsample/scales", 4, (const float[]){1, 1, 2, 2});
    for (int32_t i = 0; onnx->status == DET_OK && i < n->graph->op_count; i++) {
        const struct det_op *op = &n->graph->ops[i];
        if (n->quantised != NULL && n->quantised->eight_bits[i])
            det_onnx_put_eight_bits(n, i);
        else
            n->tensors[op->out].exact = put_op(n, op);
    }
    if (onnx->status != DET_OK)
        return;
    const int32_t slots = n->graph->class_slots;
    *encodings = put_levels(n, n->graph->box_outputs, 4, "boxes", DET_ONNX_ENCODINGS);
    int32_t logits = put_levels(n, n->graph->class_outputs, slots, "classes", NULL);
    /* The first column is the background's, which no score is made of. */
    logits = det_onnx_slice(onnx, logits, 2, 1, slots, "logits");
    det_onnx_open(onnx, "Sigmoid", 1, &logits);
    *scores = det_onnx_close(onnx, DET_ONNX_SCORES);
}

/* Nothing is written yet. */
static det_status begin(struct det_onnx_network *n)
{
    struct det_env *env = n->o->onnx->env;
    const size_t tensors = (size_t)n->graph->tensor_count, params = (size_t)n->graph->param_count;
    DET_TRY_RETURN(det_alloc(env, &n->tensors, tensors, sizeof *n->tensors, "onnx values"));
    DET_TRY_RETURN(det_alloc(env, &n->params, params, sizeof *n->params, "onnx values"));
    DET_TRY_RETURN(det_alloc(env, &n->kernels, params, sizeof *n->kernels, "onnx values"));
    for (size_t i = 0; i < tensors; i++)
        n->tensors[i] = (struct det_onnx_tensor){DET_ONNX_NO_VALUE, DET_ONNX_NO_VALUE,
                                                 DET_ONNX_NO_VALUE, DET_ONNX_NO_VALUE};
    for (size_t i = 0; i < params; i++)
        n->params[i] = n->kernels[i] = DET_ONNX_NO_VALUE;
    return DET_OK;
}

void det_onnx_put_network(struct det_onnx_job *o, int32_t input, int32_t *encodings,
                          int32_t *scores)
{
    const struct det_inference *inference = &o->job->inference;
    struct det_onnx_network n = {
        .o = o, .graph = inference->graph, .quantised = inference->quantised};
    struct det_onnx *onnx = o->onnx;
    *encodings = *scores = DET_ONNX_NO_VALUE;
    if (onnx->status == DET_OK)
        onnx->status = begin(&n);
    if (onnx->status == DET_OK) {
        n.tensors[0].exact = input;
        put_all(&n, encodings, scores);
    }
    det_free(onnx->env, &n.tensors);
    det_free(onnx->env, &n.params);
    det_free(onnx->env, &n.kernels);
}
