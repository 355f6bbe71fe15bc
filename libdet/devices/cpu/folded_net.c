#include "devices/cpu/folded_net.h"

det_status det_folded_net_create(struct det_env *env, const struct det_graph *graph,
                                 const struct det_quantised *quantised, const float *params,
                                 const struct det_ops *ops, struct det_pool *pool, int32_t batch,
                                 struct det_folded_net *net)
{
    *net = (struct det_folded_net){0};
    if (quantised != NULL && ops->q8 == NULL) {
        DET_TRY_RETURN(
            det_q8_net_create(env, graph, quantised, params, ops, pool, batch, &net->q8));
        net->input = det_q8_net_input(net->q8);
        net->encodings = det_q8_net_encodings(net->q8);
        net->logits = det_q8_net_logits(net->q8);
        net->bytes = det_q8_net_bytes(net->q8);
        return DET_OK;
    }
    DET_TRY_RETURN(
        det_prepared_create(env, graph, quantised, params, ops, pool, batch, &net->prepared));
    net->input = det_prepared_input(net->prepared);
    net->encodings = det_prepared_encodings(net->prepared);
    net->logits = det_prepared_logits(net->prepared);
    net->bytes = det_prepared_bytes(net->prepared);
    return DET_OK;
}

void det_folded_net_forward(struct det_folded_net *net)
{
    if (net->q8 != NULL)
        det_q8_net_forward(net->q8);
    else
        det_prepared_forward(net->prepared);
}

void det_folded_net_free(struct det_env *env, struct det_folded_net *net)
{
    det_prepared_destroy(env, &net->prepared);
    det_q8_net_destroy(env, &net->q8);
    *net = (struct det_folded_net){0};
}
