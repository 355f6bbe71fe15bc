#include "model/quantised.h"

#include <math.h>
#include <string.h>

#include "model/net_plan.h"
#include "support/mem.h"

det_status det_quantised_create(struct det_env *env, const struct det_graph *graph,
                                struct det_quantised **out)
{
    struct det_quantised *q = NULL;
    det_status status = DET_OK;
    *out = NULL;
    DET_TRY(det_alloc(env, &q, 1, sizeof *q, "quantisation"));
    q->tensor_count = graph->tensor_count;
    q->param_count = graph->param_count;
    q->op_count = graph->op_count;
    DET_TRY(det_alloc(env, &q->tensors, (size_t)graph->tensor_count, sizeof *q->tensors,
                      "quantisation"));
    DET_TRY(det_alloc(env, &q->weights, (size_t)graph->param_count, sizeof *q->weights,
                      "quantisation"));
    DET_TRY(det_alloc(env, &q->eight_bits, (size_t)graph->op_count, sizeof *q->eight_bits,
                      "quantisation"));
    DET_TRY(det_alloc(env, &q->errors, (size_t)graph->op_count, sizeof *q->errors, "quantisation"));
fail:
    if (status != DET_OK)
        det_quantised_destroy(env, &q);
    *out = q;
    return status;
}

void det_quantised_destroy(struct det_env *env, struct det_quantised **pointer)
{
    struct det_quantised *q = *pointer;
    if (q == NULL)
        return;
    for (int32_t i = 0; q->weights != NULL && i < q->param_count; i++) {
        det_free(env, &q->weights[i].values);
        det_free(env, &q->weights[i].scales);
    }
    det_free(env, &q->tensors);
    det_free(env, &q->weights);
    det_free(env, &q->eight_bits);
    det_free(env, &q->errors);
    det_free(env, pointer);
}

struct det_q8_tensor det_q8_tensor_of(double low, double high)
{
    low = fmin(low, 0);
    high = fmax(high, 0);
    const double scale = fmax((high - low) / 255, 1e-30);
    const double zero = round(-128 - low / scale);
    return (struct det_q8_tensor){(float)scale, (int32_t)fmin(fmax(zero, -128), 127)};
}

struct det_q8_tensor det_q8_input_tensor(void)
{
    return (struct det_q8_tensor){(float)(2.0 / 255), 0};
}

/* A bias must fit the sums of each operation that reads the weights: their step is not smaller than
 * this allows. */
static void widen(const struct det_graph *graph, const struct det_op *op,
                  const struct det_q8_tensor *tensors, const float *params, float *limits)
{
    const struct det_param *bias = &graph->params[op->bias];
    const double step = (double)tensors[op->in].scale * (0.25 * DET_Q8_MOST_BIAS);
    for (size_t c = 0; c < bias->count && step > 0; c++) {
        const double value = (double)params[bias->offset + c];
        limits[c] = fmaxf(limits[c], (float)(fabs(value) * 127 / step));
    }
}

void det_q8_weight_limits(const struct det_graph *graph, const struct det_q8_tensor *tensors,
                          const bool *eight_bits, const float *params, int32_t weight,
                          float *limits)
{
    const struct det_param *param = &graph->params[weight];
    const size_t channels = (size_t)det_param_channels(param);
    const float *values = params + param->offset;
    for (size_t c = 0; c < channels; c++)
        limits[c] = 0;
    for (size_t row = 0; row < param->count; row += channels)
        for (size_t c = 0; c < channels; c++)
            limits[c] = fmaxf(limits[c], fabsf(values[row + c]));
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        if (op->weight == weight && op->bias >= 0 && (eight_bits == NULL || eight_bits[i]))
            widen(graph, op, tensors, params, limits);
    }
}

void det_q8_weight_scales(float *values, size_t channels)
{
    float largest = 0;
    for (size_t c = 0; c < channels; c++)
        largest = fmaxf(largest, values[c]);
    const float most = largest / 127.0f, none = most > 0 ? most : 1.0f;
    for (size_t c = 0; c < channels; c++) {
        const float scale = values[c] / 127.0f;
        values[c] = scale > 0 ? scale : none;
    }
}

det_status det_q8_weights_round(struct det_env *env, const float *values, size_t count,
                                int32_t channels, const float *limits, struct det_q8_weights *to)
{
    *to = (struct det_q8_weights){0};
    DET_TRY_RETURN(det_alloc(env, &to->values, count, 1, "8-bit weights"));
    DET_TRY_RETURN(
        det_alloc(env, &to->scales, (size_t)channels, sizeof *to->scales, "8-bit weights"));
    memcpy(to->scales, limits, (size_t)channels * sizeof *limits);
    det_q8_weight_scales(to->scales, (size_t)channels);
    for (size_t i = 0; i < count; i++)
        to->values[i] = (int8_t)det_q8_weight_of(values[i], to->scales[i % (size_t)channels]);
    return DET_OK;
}

void det_q8_weights_real(const struct det_q8_weights *weights, size_t count, int32_t channels,
                         float *values)
{
    for (size_t i = 0; i < count; i++)
        values[i] = weights->scales[i % (size_t)channels] * (float)weights->values[i];
}

static int32_t in_steps(const struct det_q8_tensor *tensor, double real)
{
    return tensor->zero + (int32_t)round(real / (double)tensor->scale);
}

struct det_q8_target det_q8_target_in(const struct det_q8_tensor *out, enum det_activation act)
{
    struct det_q8_target to = {.zero = out->zero, .low = -128, .high = 127};
    if (act == DET_ACTIVATION_RELU6) {
        const int32_t six = 6 / (double)out->scale < 512 ? in_steps(out, 6) : 127;
        to.low = out->zero;
        to.high = six < 127 ? six : 127;
    }
    return to;
}

struct det_q8_target det_q8_target_of(const struct det_quantised *q, const struct det_op *op)
{
    return det_q8_target_in(&q->tensors[op->out], op->act);
}

struct det_q8_add det_q8_add_op(const struct det_quantised *q, const struct det_op *op)
{
    const struct det_q8_tensor *a = &q->tensors[op->in], *b = &q->tensors[op->in2];
    return det_q8_add_of(a->scale, a->zero, b->scale, b->zero, q->tensors[op->out].scale,
                         det_q8_target_of(q, op));
}

/* The real sum that half a grey level more in each tap inside the image makes. */
static double half_level(const struct det_q8_weights *w, size_t count, int32_t channels, int32_t c)
{
    int64_t sum = 0;
    for (size_t i = (size_t)c; i < count; i += (size_t)channels)
        sum += w->values[i];
    return (double)sum * (double)w->scales[c] * (double)det_q8_input_tensor().scale / 2;
}

static det_status make_layer(struct det_env *env, const struct det_graph *graph,
                             const struct det_quantised *q, const float *params,
                             const struct det_op *op, struct det_q8_layer *layer)
{
    const struct det_param *param = &graph->params[op->weight];
    const struct det_q8_weights *w = &q->weights[op->weight];
    const int32_t channels = graph->tensors[op->out].channels;
    const double in_scale = (double)q->tensors[op->in].scale;
    const float *bias = op->bias >= 0 ? params + graph->params[op->bias].offset : NULL;
    if (param->count / (size_t)channels > DET_Q8_MOST_TERMS)
        return det_fail(env, DET_STATUS_MISMATCH,
                        "%s: sums of %zu products could leave 32 bits, at most %d can be done",
                        op->name, param->count / (size_t)channels, DET_Q8_MOST_TERMS);
    DET_TRY_RETURN(
        det_alloc(env, &layer->bias, (size_t)channels, sizeof *layer->bias, "8-bit biases"));
    DET_TRY_RETURN(
        det_alloc(env, &layer->scales, (size_t)channels, sizeof *layer->scales, "8-bit biases"));
    for (int32_t c = 0; c < channels; c++) {
        const double step = in_scale * (double)w->scales[c];
        double real = bias != NULL ? (double)bias[c] : 0;
        if (op->in == 0)
            real += half_level(w, param->count, channels, c);
        const double steps = round(real / step);
        if (!(fabs(steps) <= DET_Q8_MOST_BIAS))
            return det_fail(env, DET_STATUS_MISMATCH,
                            "%s: bias %d is %g times the smallest step of its sum, at most %d "
                            "can be kept",
                            op->name, c, steps, DET_Q8_MOST_BIAS);
        layer->bias[c] = (int32_t)steps;
        /* In float32 it may be infinity where the real one is not. */
        layer->scales[c] =
            det_q8_scale_of(q->tensors[op->in].scale, w->scales[c], q->tensors[op->out].scale);
        if (!(layer->scales[c] < 0.5f * DET_Q8_MOST_BIAS))
            return det_fail(env, DET_STATUS_MISMATCH,
                            "%s: one step of the sum of channel %d is %g steps of its result",
                            op->name, c, (double)layer->scales[c]);
    }
    layer->conv = (struct det_q8_conv){
        .in_zero = q->tensors[op->in].zero,
        .weights = w->values,
        .bias = layer->bias,
        .scale = layer->scales,
        .to = det_q8_target_of(q, op),
    };
    return DET_OK;
}

det_status det_q8_layer_create(struct det_env *env, const struct det_graph *graph,
                               const struct det_quantised *quantised, const float *params,
                               int32_t op, struct det_q8_layer *layer)
{
    *layer = (struct det_q8_layer){0};
    const det_status status = make_layer(env, graph, quantised, params, &graph->ops[op], layer);
    if (status != DET_OK)
        det_q8_layer_free(env, layer);
    return status;
}

void det_q8_layer_free(struct det_env *env, struct det_q8_layer *layer)
{
    det_free(env, &layer->bias);
    det_free(env, &layer->scales);
}
