#include "devices/cuda/cuda_tables.h"

#include "devices/cuda/cuda_sync.h"

/* A parameter that neither learns nor counts for the loss has no chunks. */
static bool has_chunks(const struct det_param *param)
{
    return param->trainable || param->l2 > 0;
}

int32_t det_cuda_param_chunks(const struct det_param *param)
{
    return has_chunks(param) ? (int32_t)((param->count + DETK_CHUNK - 1) / DETK_CHUNK) : 0;
}

int32_t det_cuda_chunk_count(const struct det_graph *graph)
{
    int32_t count = 0;
    for (int32_t p = 0; p < graph->param_count; p++)
        count += det_cuda_param_chunks(&graph->params[p]);
    return count;
}

void det_cuda_fill_chunks(const struct det_graph *graph, const bool *trainable,
                          struct detk_chunk *chunks)
{
    for (int32_t p = 0; p < graph->param_count; p++) {
        const struct det_param *param = &graph->params[p];
        if (!has_chunks(param))
            continue;
        for (size_t at = 0; at < param->count; at += DETK_CHUNK) {
            const size_t left = param->count - at;
            *chunks++ = (struct detk_chunk){
                .offset = (int64_t)(param->offset + at),
                .count = (int32_t)(left < DETK_CHUNK ? left : DETK_CHUNK),
                .l2 = param->l2,
                .trainable = trainable[p],
            };
        }
    }
}

int32_t det_cuda_norm_count(const struct det_graph *graph)
{
    int32_t count = 0;
    for (int32_t i = 0; i < graph->op_count; i++)
        count += graph->ops[i].kind == DET_OP_BATCH_NORM;
    return count;
}

static struct detk_bn_moving moving_of(const struct det_cuda_net *net, const float *statistics,
                                       int32_t index)
{
    const struct det_graph *g = net->graph;
    const struct det_op *op = &g->ops[index];
    const int32_t channels = g->tensors[op->out].channels;
    const double rows = (double)det_net_rows(g, op->out, net->batch) *
                        (net->sync != NULL ? net->sync->ranks->size : 1);
    const float *mean = statistics + net->plan.statistics_offsets[index];
    return (struct detk_bn_moving){
        .mean = mean,
        .variance = mean + channels,
        .moving_mean = net->params + g->params[op->mean].offset,
        .moving_variance = net->params + g->params[op->variance].offset,
        .unbiased = (float)(rows / (rows > 1 ? rows - 1 : 1)),
        .rate = 1.0f - op->decay,
        .c = channels,
    };
}

/* Whether an operation before `index` has the same moving statistics. */
static bool seen_before(const struct det_graph *graph, int32_t index)
{
    for (int32_t i = 0; i < index; i++) {
        const struct det_op *op = &graph->ops[i];
        if (op->kind == DET_OP_BATCH_NORM && op->mean == graph->ops[index].mean)
            return true;
    }
    return false;
}

int32_t det_cuda_fill_moving(const struct det_cuda_net *net, const float *statistics, int32_t ranks,
                             struct detk_bn_moving *entries, int32_t *heads)
{
    const struct det_graph *g = net->graph;
    int32_t filled = 0, runs = 0;
    for (int32_t first = 0; first < g->op_count; first++) {
        if (g->ops[first].kind != DET_OP_BATCH_NORM || seen_before(g, first))
            continue;
        heads[runs++] = filled;
        for (int32_t r = 0; r < ranks; r++) {
            const float *of_rank = statistics + (size_t)r * net->plan.statistics_floats;
            for (int32_t i = first; i < g->op_count; i++)
                if (g->ops[i].kind == DET_OP_BATCH_NORM && g->ops[i].mean == g->ops[first].mean)
                    entries[filled++] = moving_of(net, of_rank, i);
        }
    }
    heads[runs] = filled;
    return runs;
}
