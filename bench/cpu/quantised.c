/* quantised.c: a network in 8 bits with made-up ranges, as det-export makes it: all of it but the
 * last layers. What it takes does not depend on the numbers. */
#include <math.h>
#include <stdlib.h>

#include "bench.h"
#include "model/quantised.h"
#include "support/env.h"

static det_status round_weights(struct det_env *env, const struct det_param *p, const float *values,
                                struct det_q8_weights *weights)
{
    const size_t channels = (size_t)det_param_channels(p);
    float *limits = bench_floats(channels);
    for (size_t c = 0; c < channels; c++)
        limits[c] = 0;
    for (size_t i = 0; i < p->count; i++)
        limits[i % channels] = fmaxf(limits[i % channels], fabsf(values[i]));
    const det_status status =
        det_q8_weights_round(env, values, p->count, (int32_t)channels, limits, weights);
    free(limits);
    return status;
}

det_status bench_quantise(struct det_env *env, const struct det_graph *graph, const float *params,
                          struct det_quantised **quantised)
{
    det_status status = DET_OK;
    DET_TRY(det_quantised_create(env, graph, quantised));
    struct det_quantised *q = *quantised;
    for (int32_t t = 0; t < graph->tensor_count; t++)
        q->tensors[t] = det_q8_tensor_of(-4, 4);
    q->tensors[0] = det_q8_input_tensor();
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        q->eight_bits[i] = !det_graph_is_output(graph, op->out);
        if (op->act == DET_ACTIVATION_RELU6)
            q->tensors[op->out] = det_q8_tensor_of(0, 6);
        if (op->weight < 0 || q->weights[op->weight].values != NULL || !q->eight_bits[i])
            continue;
        const struct det_param *p = &graph->params[op->weight];
        DET_TRY(round_weights(env, p, params + p->offset, &q->weights[op->weight]));
    }
fail:
    if (status != DET_OK)
        det_quantised_destroy(env, quantised);
    return status;
}
