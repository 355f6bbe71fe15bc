#include "model/moving.h"

#include <string.h>

static size_t channels_of(const struct det_graph *graph, const struct det_op *op)
{
    return op->kind == DET_OP_BATCH_NORM ? (size_t)graph->tensors[op->out].channels : 0;
}

size_t det_moving_count(const struct det_graph *graph)
{
    size_t count = 0;
    for (int32_t i = 0; i < graph->op_count; i++)
        count += 2 * channels_of(graph, &graph->ops[i]);
    return count;
}

void det_moving_rates(const struct det_graph *graph, float *rates)
{
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        for (size_t c = 0; c < 2 * channels_of(graph, op); c++)
            *rates++ = 1.0f - op->decay;
    }
}

void det_moving_take(const struct det_graph *graph, const float *params, float *moving)
{
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        const size_t channels = channels_of(graph, op);
        if (channels == 0)
            continue;
        memcpy(moving, params + graph->params[op->mean].offset, channels * sizeof *moving);
        moving += channels;
        memcpy(moving, params + graph->params[op->variance].offset, channels * sizeof *moving);
        moving += channels;
    }
}

void det_moving_put(const struct det_graph *graph, const float *moving, float *params)
{
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        const size_t channels = channels_of(graph, op);
        if (channels == 0)
            continue;
        memcpy(params + graph->params[op->mean].offset, moving, channels * sizeof *moving);
        moving += channels;
        memcpy(params + graph->params[op->variance].offset, moving, channels * sizeof *moving);
        moving += channels;
    }
}
