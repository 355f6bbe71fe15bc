#include "eight_bits.h"

#include <math.h>

#include "support/mem.h"

/* The largest magnitude of each channel. */
static det_status round_weights(struct det_env *env, const struct det_param *param, float *values,
                                struct det_q8_weights *to)
{
    const size_t channels = (size_t)det_param_channels(param);
    float *limits = NULL;
    DET_TRY_RETURN(det_alloc(env, &limits, channels, sizeof *limits, "limits"));
    for (size_t i = 0; i < param->count; i++)
        limits[i % channels] = fmaxf(limits[i % channels], fabsf(values[i]));
    const det_status status =
        det_q8_weights_round(env, values, param->count, (int32_t)channels, limits, to);
    if (status == DET_OK)
        det_q8_weights_real(to, param->count, (int32_t)channels, values);
    det_free(env, &limits);
    return status;
}

static det_status make(struct det_env *env, const struct det_graph *g, float *params,
                       struct det_quantised *q)
{
    q->tensors[0] = det_q8_input_tensor();
    for (int32_t t = 1; t < g->tensor_count; t++)
        q->tensors[t] = det_q8_tensor_of(-6, 6);
    for (int32_t i = 0; i < g->op_count; i++) {
        const struct det_op *op = &g->ops[i];
        q->eight_bits[i] = true;
        if (op->act == DET_ACTIVATION_RELU6)
            q->tensors[op->out] = det_q8_tensor_of(0, 6);
        if (op->weight >= 0 && q->weights[op->weight].values == NULL)
            DET_TRY_RETURN(round_weights(env, &g->params[op->weight],
                                         params + g->params[op->weight].offset,
                                         &q->weights[op->weight]));
    }
    return DET_OK;
}

det_status eight_bits_make(struct det_env *env, const struct det_graph *graph, float *params,
                           struct det_quantised **quantised)
{
    DET_TRY_RETURN(det_quantised_create(env, graph, quantised));
    const det_status status = make(env, graph, params, *quantised);
    if (status != DET_OK)
        det_quantised_destroy(env, quantised);
    return status;
}
