#include "model/moving.h"

#include <string.h>

/* The parameters that the vector is made of, one after the other, then NULL; *at begins as 0. */
static const struct det_param *next_param(const struct det_graph *graph, int32_t *at)
{
    while (*at < 2 * graph->op_count) {
        const struct det_op *op = &graph->ops[*at / 2];
        const int32_t param = (*at)++ % 2 == 0 ? op->mean : op->variance;
        if (op->kind == DET_OP_BATCH_NORM)
            return &graph->params[param];
    }
    return NULL;
}

size_t det_moving_count(const struct det_graph *graph)
{
    size_t count = 0;
    int32_t at = 0;
    for (const struct det_param *p; (p = next_param(graph, &at)) != NULL;)
        count += p->count;
    return count;
}

void det_moving_rates(const struct det_graph *graph, float *rates)
{
    int32_t at = 0;
    for (const struct det_param *p; (p = next_param(graph, &at)) != NULL;)
        for (size_t c = 0; c < p->count; c++)
            *rates++ = 1.0f - graph->ops[(at - 1) / 2].decay;
}

void det_moving_take(const struct det_graph *graph, const float *params, float *moving)
{
    int32_t at = 0;
    for (const struct det_param *p; (p = next_param(graph, &at)) != NULL; moving += p->count)
        memcpy(moving, params + p->offset, p->count * sizeof *moving);
}

void det_moving_put(const struct det_graph *graph, const float *moving, float *params)
{
    int32_t at = 0;
    for (const struct det_param *p; (p = next_param(graph, &at)) != NULL; moving += p->count)
        memcpy(params + p->offset, moving, p->count * sizeof *moving);
}
