/* net_look.c: what a forward left behind: statistics of the batch, and whether all is finite. */
#include <string.h>

#include "model/net_parts.h"

/* Of the variance over so many values the unbiased one is this many times it. */
static float unbiased(const struct det_net *net, const struct det_op *op)
{
    const double rows = (double)det_net_rows(net->graph, op->out, net->batch) *
                        (det_net_is_synced(net, op) ? net->sync->ranks : 1);
    return (float)(rows / (rows > 1 ? rows - 1 : 1));
}

void det_net_batch_statistics(const struct det_net *net, float *statistics)
{
    for (int32_t i = 0; i < net->bns.count; i++) {
        const struct det_net_bn *bn = &net->bns.bns[i];
        const float factor = unbiased(net, &net->graph->ops[bn->op]);
        memcpy(statistics, bn->mean, (size_t)bn->channels * sizeof *statistics);
        statistics += bn->channels;
        for (int32_t c = 0; c < bn->channels; c++)
            *statistics++ = bn->variance[c] * factor;
    }
}

void det_net_update_moving(const struct det_net *net, float *params)
{
    const struct det_graph *g = net->graph;
    if (net->mode != DET_NET_TRAIN)
        return;
    for (int32_t i = 0; i < net->bns.count; i++) {
        const struct det_net_bn *bn = &net->bns.bns[i];
        const struct det_op *op = &g->ops[bn->op];
        const float factor = unbiased(net, op);
        float *moving_mean = params + g->params[op->mean].offset;
        float *moving_variance = params + g->params[op->variance].offset;
        const float rate = 1.0f - op->decay;
        for (int32_t c = 0; c < bn->channels; c++) {
            moving_mean[c] -= (moving_mean[c] - bn->mean[c]) * rate;
            moving_variance[c] -= (moving_variance[c] - bn->variance[c] * factor) * rate;
        }
    }
}

void det_net_statistics(const struct det_net *net, int32_t op, const float **mean,
                        const float **variance)
{
    const struct det_net_bn *bn = det_net_bn_at(net, net->bns.of_result[net->graph->ops[op].out]);
    *mean = bn->mean;
    *variance = bn->variance;
}

/* Whether all values of a result are finite; those of a batch norm that nobody stores are made.
 * Infinities and NaN survive a sum of 0 * x. */
static bool is_finite(const struct det_net *net, int32_t tensor)
{
    const struct det_operand value = det_net_operand(net, tensor);
    const struct det_bn *n = value.bn;
    const int64_t rows = det_net_rows(net->graph, tensor, net->batch);
    const int32_t channels = net->graph->tensors[tensor].channels;
    float probe = 0.0f;
    for (int64_t row = 0; row < rows; row++) {
        for (int32_t c = 0; c < channels; c++) {
            const float x = value.x[row * channels + c];
            probe += 0.0f * (n == NULL ? x : (x - n->mean[c]) * n->scale[c] + n->beta[c]);
        }
    }
    return probe == 0.0f;
}

const char *det_net_first_non_finite(const struct det_net *net)
{
    const struct det_graph *g = net->graph;
    for (int32_t i = 0; i < g->op_count; i++) {
        if (!is_finite(net, g->ops[i].out))
            return g->ops[i].name;
    }
    return NULL;
}
