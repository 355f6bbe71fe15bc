#include "model/net_rounding.h"

#include <math.h>

#include "model/optimizer.h"
#include "model/quantised.h"
#include "support/mem.h"

static int64_t values_of(const struct det_graph *graph, int32_t tensor, int32_t batch)
{
    return det_net_rows(graph, tensor, batch) * graph->tensors[tensor].channels;
}

/* Each tensor's bits begin a cache line. */
static size_t padded(int64_t count)
{
    return ((size_t)det_fake_quant_bytes(count) + 63) / 64 * 64;
}

static size_t bits_bytes(const struct det_graph *graph, int32_t batch)
{
    size_t bytes = 0;
    for (int32_t t = 0; t < graph->tensor_count; t++)
        bytes += padded(values_of(graph, t, batch));
    return bytes;
}

size_t det_net_rounding_bytes(const struct det_graph *graph, int32_t batch, enum det_net_mode mode)
{
    return mode != DET_NET_TRAIN_FOLDED
               ? 0
               : bits_bytes(graph, batch) +
                     (size_t)graph->tensor_count * (2 * sizeof(float) + sizeof(size_t));
}

det_status det_net_rounding_create(struct det_env *env, const struct det_graph *graph,
                                   int32_t batch, enum det_net_mode mode,
                                   struct det_net_rounding *r)
{
    const size_t tensors = (size_t)graph->tensor_count;
    static const char what[] = "rounding of tensors";
    det_status status = DET_OK;
    *r = (struct det_net_rounding){0};
    if (mode != DET_NET_TRAIN_FOLDED)
        return DET_OK;
    DET_TRY(det_alloc(env, &r->low, tensors, sizeof *r->low, what));
    DET_TRY(det_alloc(env, &r->high, tensors, sizeof *r->high, what));
    DET_TRY(det_alloc(env, &r->offsets, tensors, sizeof *r->offsets, what));
    DET_TRY(det_alloc_raw(env, &r->passes, bits_bytes(graph, batch), 1, what));
    for (size_t t = 1; t < tensors; t++)
        r->offsets[t] = r->offsets[t - 1] + padded(values_of(graph, (int32_t)t - 1, batch));
    return DET_OK;
fail:
    det_net_rounding_free(env, r);
    return status;
}

void det_net_rounding_free(struct det_env *env, struct det_net_rounding *r)
{
    det_free(env, &r->low);
    det_free(env, &r->high);
    det_free(env, &r->offsets);
    det_free(env, &r->passes);
}

void det_net_rounding_input(const struct det_net_rounding *r, float *input, int64_t count)
{
    for (int64_t i = 0; r->ranges != NULL && i < count; i++)
        input[i] = (det_q8_grey_level(input[i]) - 127.5f) / 127.5f;
}

/* The moving average of a tensor with this batch in it. */
static void learn_range(const struct det_net_rounding *r, const struct det_ops *ops,
                        const struct det_exec *x, int32_t tensor, int64_t count, const float *made)
{
    const struct det_act_ranges *before = r->ranges;
    float seen[2];
    ops->value_range(x, count, made, seen);
    if (before->updates > 0) {
        const float rate = det_average_rate(DET_ACT_RANGES_DECAY, before->updates);
        seen[0] = before->low[tensor] + rate * (seen[0] - before->low[tensor]);
        seen[1] = before->high[tensor] + rate * (seen[1] - before->high[tensor]);
    }
    r->low[tensor] = seen[0];
    r->high[tensor] = seen[1];
}

static struct det_fake_quant quant_of(const struct det_net_rounding *r, float low, float high,
                                      enum det_activation act)
{
    struct det_fake_quant q = {.pass_low = -INFINITY, .pass_high = INFINITY};
    if (r->ranges != NULL) {
        const struct det_q8_tensor t = det_q8_tensor_of((double)low, (double)high);
        q = (struct det_fake_quant){.scale = t.scale,
                                    .inverse = 1 / t.scale,
                                    .least = (float)(-128 - t.zero),
                                    .most = (float)(127 - t.zero)};
        q.pass_low = q.least * q.scale;
        q.pass_high = q.most * q.scale;
    }
    if (act == DET_ACTIVATION_RELU6) { /* its gradient is that of what lies between 0 and 6 */
        q.pass_low = fmaxf(q.pass_low, nextafterf(0, 1));
        q.pass_high = fminf(q.pass_high, nextafterf(6, 0));
    }
    return q;
}

void det_net_rounding_made(const struct det_net_rounding *r, const struct det_graph *graph,
                           const struct det_ops *ops, const struct det_exec *x, int32_t index,
                           int32_t batch, float *made)
{
    const struct det_op *op = &graph->ops[index];
    const int32_t tensor = op->out;
    const int64_t count = values_of(graph, tensor, batch);
    if (det_graph_is_output(graph, tensor))
        return;
    if (r->ranges != NULL)
        learn_range(r, ops, x, tensor, count, made);
    const struct det_fake_quant q = quant_of(r, r->low[tensor], r->high[tensor], op->act);
    ops->fake_quant_forward(x, count, &q, made, r->passes + r->offsets[tensor]);
}

static void round_joined(const struct det_net_rounding *r, const struct det_graph *graph,
                         const struct det_ops *ops, const struct det_exec *x, int32_t batch,
                         const int32_t *outputs, float *const *values)
{
    float low = 0, high = 0;
    for (int32_t l = 0; l < graph->levels && r->ranges != NULL; l++) {
        const int32_t t = outputs[l];
        learn_range(r, ops, x, t, values_of(graph, t, batch), values[t]);
        low = fminf(low, r->low[t]);
        high = fmaxf(high, r->high[t]);
    }
    const struct det_fake_quant q = quant_of(r, low, high, DET_ACTIVATION_NONE);
    for (int32_t l = 0; l < graph->levels; l++) {
        const int32_t t = outputs[l];
        ops->fake_quant_forward(x, values_of(graph, t, batch), &q, values[t],
                                r->passes + r->offsets[t]);
    }
}

void det_net_rounding_outputs(const struct det_net_rounding *r, const struct det_graph *graph,
                              const struct det_ops *ops, const struct det_exec *x, int32_t batch,
                              float *const *values)
{
    round_joined(r, graph, ops, x, batch, graph->box_outputs, values);
    round_joined(r, graph, ops, x, batch, graph->class_outputs, values);
}
