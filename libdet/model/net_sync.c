#include "model/net_sync.h"

#include <string.h>

#include "support/mem.h"

static size_t most_channels(const struct det_graph *graph)
{
    size_t most = 1;
    for (int32_t i = 0; i < graph->op_count; i++) {
        const size_t channels = (size_t)graph->tensors[graph->ops[i].out].channels;
        if (graph->ops[i].kind == DET_OP_BATCH_NORM && channels > most)
            most = channels;
    }
    return most;
}

det_status det_net_sync_create(struct det_env *env, const struct det_graph *graph, int32_t ranks,
                               void (*gather)(void *user, const void *mine, void *all,
                                              size_t bytes),
                               void *user, struct det_net_sync *sync)
{
    const size_t values = 2 * most_channels(graph);
    det_status status = DET_OK;
    *sync = (struct det_net_sync){.ranks = ranks, .gather = gather, .user = user};
    DET_TRY(det_alloc(env, &sync->mine, values, sizeof *sync->mine, "statistics of the ranks"));
    DET_TRY(det_alloc(env, &sync->all, (size_t)ranks * values, sizeof(double),
                      "statistics of the ranks"));
    return DET_OK;
fail:
    det_net_sync_free(env, sync);
    return status;
}

void det_net_sync_free(struct det_env *env, struct det_net_sync *sync)
{
    det_free(env, &sync->mine);
    det_free(env, &sync->all);
}

void det_net_sync_statistics(const struct det_net_sync *sync, struct det_net_bn *bn)
{
    const size_t c = (size_t)bn->channels;
    const float *all = sync->all;
    memcpy(sync->mine, bn->mean, c * sizeof *bn->mean);
    memcpy(sync->mine + c, bn->variance, c * sizeof *bn->variance);
    sync->gather(sync->user, sync->mine, sync->all, 2 * c * sizeof *sync->mine);
    for (size_t i = 0; i < c; i++) {
        double mean = 0, variance = 0;
        for (size_t r = 0; r < (size_t)sync->ranks; r++)
            mean += (double)all[2 * c * r + i];
        mean /= sync->ranks;
        for (size_t r = 0; r < (size_t)sync->ranks; r++) {
            const double off = (double)all[2 * c * r + i] - mean;
            variance += (double)all[2 * c * r + c + i] + off * off;
        }
        bn->mean[i] = (float)mean;
        bn->variance[i] = (float)(variance / sync->ranks);
    }
}

void det_net_sync_sums(const struct det_net_sync *sync, struct det_net_bn *bn)
{
    const size_t values = 2 * (size_t)bn->channels;
    const double *all = sync->all;
    sync->gather(sync->user, bn->sums, sync->all, values * sizeof *bn->sums);
    for (size_t i = 0; i < values; i++) {
        bn->sums[i] = all[i];
        for (size_t r = 1; r < (size_t)sync->ranks; r++)
            bn->sums[i] += all[values * r + i];
    }
}
