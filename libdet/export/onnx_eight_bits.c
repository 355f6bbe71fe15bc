#include <stdio.h>

#include "export/onnx_network.h"
#include "model/quantised.h"
#include "support/mem.h"

/* A parameter's key and what stands behind it, once or twice. */
enum { NAME_BYTES = 300, LONG_NAME_BYTES = NAME_BYTES + 16 };

/* --- rounding --- */

static const char *part_of(char name[LONG_NAME_BYTES], const char *what, const char *part)
{
    snprintf(name, LONG_NAME_BYTES, "%s/%s", what, part);
    return name;
}

/* As uint8, of which 128 is libdet's 0: of int8 ONNX Runtime on x86 makes uint8 itself, but not
 * where two read a tensor, and computes these layers in float32. */
static void put_parameters(struct det_onnx_network *n, int32_t tensor)
{
    const struct det_q8_tensor t = n->quantised->tensors[tensor];
    struct det_onnx *onnx = n->o->onnx;
    struct det_onnx_tensor *values = &n->tensors[tensor];
    char what[32], name[LONG_NAME_BYTES];
    if (values->scale != DET_ONNX_NO_VALUE)
        return;
    snprintf(what, sizeof what, "tensor_%d", tensor);
    values->scale = det_onnx_float(onnx, part_of(name, what, ".SCALE"), t.scale);
    values->zero = det_onnx_byte(onnx, part_of(name, what, ".ZERO"), (uint8_t)(t.zero + 128));
}

static int32_t put_linear(struct det_onnx *onnx, const char *operator_name, int32_t x,
                          int32_t scale, int32_t zero)
{
    det_onnx_open(onnx, operator_name, 3, (const int32_t[]){x, scale, zero});
    return det_onnx_close(onnx, NULL);
}

/* x as it is in the 8 bits of a tensor. */
static int32_t put_rounded(struct det_onnx_network *n, int32_t tensor, int32_t x)
{
    const struct det_onnx_tensor *values = &n->tensors[tensor];
    struct det_onnx *onnx = n->o->onnx;
    put_parameters(n, tensor);
    const int32_t bytes = put_linear(onnx, "QuantizeLinear", x, values->scale, values->zero);
    return put_linear(onnx, "DequantizeLinear", bytes, values->scale, values->zero);
}

/* Normalised pixels lie half a level above what the 8 bits stand for (det_q8_input_tensor()), and
 * QuantizeLinear rounds halves to even, libdet upwards (det_q8_grey_level()): a bit less than half
 * a level is taken off. */
static int32_t put_levels(struct det_onnx_network *n, int32_t pixels)
{
    const float half = (float)((1.0 / 4096 - 0.5) * (double)n->quantised->tensors[0].scale);
    return det_onnx_binary(n->o->onnx, "Add", pixels,
                           det_onnx_float(n->o->onnx, "input/half_level", half));
}

static int32_t rounded_of(struct det_onnx_network *n, int32_t tensor)
{
    struct det_onnx_tensor *values = &n->tensors[tensor];
    if (values->rounded == DET_ONNX_NO_VALUE)
        values->rounded =
            put_rounded(n, tensor, tensor == 0 ? put_levels(n, values->exact) : values->exact);
    return values->rounded;
}

/* --- convolutions --- */

/* The first dimension has a scale for each place; `zero` or DET_ONNX_NO_VALUE. */
static int32_t put_channels(struct det_onnx *onnx, int32_t x, int32_t scale, int32_t zero)
{
    det_onnx_open(onnx, "DequantizeLinear", zero == DET_ONNX_NO_VALUE ? 2 : 3,
                  (const int32_t[]){x, scale, zero});
    det_onnx_put_int(onnx, "axis", 0);
    return det_onnx_close(onnx, NULL);
}

static int32_t put_kernel(struct det_onnx_network *n, const struct det_op *op)
{
    struct det_onnx *onnx = n->o->onnx;
    const struct det_param *p = &n->graph->params[op->weight];
    const struct det_q8_weights *w = &n->quantised->weights[op->weight];
    const int32_t channels = det_param_channels(p);
    int8_t *turned = NULL, *zeros = NULL;
    int32_t value = DET_ONNX_NO_VALUE;
    char name[LONG_NAME_BYTES];
    int64_t shape[4];
    det_onnx_kernel_shape(p, shape);
    if (onnx->status == DET_OK)
        onnx->status = det_alloc(onnx->env, &turned, p->count, 1, "onnx weights");
    if (onnx->status == DET_OK)
        onnx->status = det_alloc(onnx->env, &zeros, (size_t)channels, 1, "onnx weights");
    if (onnx->status == DET_OK) {
        for (size_t i = 0; i < p->count; i++)
            turned[det_onnx_kernel_place(p, i)] = w->values[i];
        const int32_t bytes =
            det_onnx_bytes(onnx, part_of(name, p->key, ".INT8"), 4, shape, turned);
        const int32_t scale =
            det_onnx_vector(onnx, part_of(name, p->key, ".SCALE"), channels, w->scales);
        const int32_t zero = det_onnx_bytes(onnx, part_of(name, p->key, ".ZERO"), 1,
                                            (const int64_t[]){channels}, zeros);
        value = put_channels(onnx, bytes, scale, zero);
    }
    det_free(onnx->env, &turned);
    det_free(onnx->env, &zeros);
    return value;
}

/* Of each level's own, in steps of its sums. */
static int32_t put_bias(struct det_onnx_network *n, int32_t index, const int32_t *bias)
{
    struct det_onnx *onnx = n->o->onnx;
    const struct det_op *op = &n->graph->ops[index];
    const struct det_q8_weights *w = &n->quantised->weights[op->weight];
    const int32_t channels = n->graph->tensors[op->out].channels;
    float *steps = NULL;
    int32_t value = DET_ONNX_NO_VALUE;
    char name[NAME_BYTES], scale_name[LONG_NAME_BYTES];
    snprintf(name, sizeof name, "%s/.INT32_%d",
             n->graph->params[op->bias >= 0 ? op->bias : op->weight].key, index);
    if (onnx->status == DET_OK)
        onnx->status =
            det_alloc(onnx->env, &steps, (size_t)channels, sizeof *steps, "onnx weights");
    if (onnx->status == DET_OK) {
        for (int32_t c = 0; c < channels; c++)
            steps[c] = n->quantised->tensors[op->in].scale * w->scales[c];
        const int32_t wholes = det_onnx_ints(onnx, name, channels, bias);
        const int32_t scale =
            det_onnx_vector(onnx, part_of(scale_name, name, ".SCALE"), channels, steps);
        value = put_channels(onnx, wholes, scale, DET_ONNX_NO_VALUE);
    }
    det_free(onnx->env, &steps);
    return value;
}

/* An activation that the range of the 8 bits is, QuantizeLinear does. */
static int32_t put_convolution(struct det_onnx_network *n, int32_t index)
{
    struct det_onnx *onnx = n->o->onnx;
    const struct det_inference *inference = &n->o->job->inference;
    const struct det_op *op = &n->graph->ops[index];
    struct det_q8_layer layer;
    onnx->status =
        det_q8_layer_create(onnx->env, n->graph, n->quantised, inference->params, index, &layer);
    if (onnx->status != DET_OK)
        return DET_ONNX_NO_VALUE;
    if (n->kernels[op->weight] == DET_ONNX_NO_VALUE)
        n->kernels[op->weight] = put_kernel(n, op);
    int32_t inputs[3] = {rounded_of(n, op->in), n->kernels[op->weight], DET_ONNX_NO_VALUE};
    if (op->bias >= 0 || op->in == 0)
        inputs[2] = put_bias(n, index, layer.bias);
    const int32_t out = det_onnx_put_conv(n, op, inputs);
    const bool clamps = layer.conv.to.low > -128 || layer.conv.to.high < 127;
    det_q8_layer_free(onnx->env, &layer);
    return clamps ? det_onnx_put_activation(n, op, out) : out;
}

/* --- additions --- */

/* What moves numbers and does not compute reads and makes the same 8 bits. */
static int32_t put_upsampled(struct det_onnx_network *n, const struct det_op *op)
{
    struct det_onnx *onnx = n->o->onnx;
    const struct det_tensor in = n->graph->tensors[op->in], out = n->graph->tensors[op->out];
    int32_t up = put_rounded(n, op->in, det_onnx_put_upsample(n, rounded_of(n, op->in)));
    if (out.height < 2 * in.height)
        up = put_rounded(n, op->in, det_onnx_slice(onnx, up, 2, 0, out.height, NULL));
    if (out.width < 2 * in.width)
        up = put_rounded(n, op->in, det_onnx_slice(onnx, up, 3, 0, out.width, NULL));
    return up;
}

static int32_t put_op(struct det_onnx_network *n, int32_t index)
{
    const struct det_op *op = &n->graph->ops[index];
    if (det_op_is_convolution(op))
        return put_convolution(n, index);
    const int32_t a =
        op->kind == DET_OP_UPSAMPLE_ADD ? put_upsampled(n, op) : rounded_of(n, op->in);
    return det_onnx_binary(n->o->onnx, "Add", a, rounded_of(n, op->in2));
}

void det_onnx_put_eight_bits(struct det_onnx_network *n, int32_t index)
{
    struct det_onnx_tensor *out = &n->tensors[n->graph->ops[index].out];
    out->exact = out->rounded = put_rounded(n, n->graph->ops[index].out, put_op(n, index));
}
