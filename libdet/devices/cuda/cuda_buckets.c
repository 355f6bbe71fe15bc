#include "devices/cuda/cuda_buckets.h"

#include "devices/cuda/cuda_tables.h"
#include "support/mem.h"

/* The first operation that uses each parameter; op_count: none. */
static void find_first_uses(const struct det_graph *g, int32_t *first)
{
    for (int32_t p = 0; p < g->param_count; p++)
        first[p] = g->op_count;
    for (int32_t i = g->op_count - 1; i >= 0; i--) {
        const struct det_op *op = &g->ops[i];
        const int32_t used[] = {op->weight, op->bias, op->gamma, op->beta};
        for (size_t k = 0; k < sizeof used / sizeof *used; k++)
            if (used[k] >= 0)
                first[used[k]] = i;
    }
}

/* Where a parameter's room ends: padding goes along. */
static size_t end_of(const struct det_graph *g, int32_t param)
{
    return param + 1 < g->param_count ? g->params[param + 1].offset : g->param_floats;
}

static void fill(const struct det_graph *g, size_t floats, const int32_t *first,
                 struct det_cuda_buckets *b)
{
    struct det_cuda_bucket *open = NULL;
    size_t gradients = 0;
    int32_t chunks = det_cuda_chunk_count(g);
    for (int32_t p = g->param_count - 1; p >= 0; p--) {
        const struct det_param *param = &g->params[p];
        if (open == NULL) {
            open = &b->buckets[b->count++];
            *open = (struct det_cuda_bucket){.end = end_of(g, p), .complete_at = g->op_count};
            gradients = 0;
        }
        const int32_t own = det_cuda_param_chunks(param);
        chunks -= own;
        open->begin = param->offset;
        open->first_chunk = chunks;
        open->chunk_count += own;
        if (param->trainable) {
            gradients += param->count;
            if (first[p] < open->complete_at)
                open->complete_at = first[p];
        }
        if (open->end - open->begin > b->most_floats)
            b->most_floats = open->end - open->begin;
        if (gradients >= floats)
            open = NULL;
    }
    /* What is in front of the last gradient has none: it is complete with the pass. */
    for (int32_t i = 0; i < b->count; i++)
        if (b->buckets[i].complete_at == g->op_count)
            b->buckets[i].complete_at = 0;
}

det_status det_cuda_buckets_create(struct det_env *env, const struct det_graph *g, size_t floats,
                                   struct det_cuda_buckets *b)
{
    int32_t *first = NULL;
    const size_t params = (size_t)g->param_count;
    det_status status = DET_OK;
    *b = (struct det_cuda_buckets){0};
    DET_TRY(det_alloc(env, &first, params, sizeof *first, "buckets of gradients"));
    DET_TRY(det_alloc(env, &b->buckets, params, sizeof *b->buckets, "buckets of gradients"));
    find_first_uses(g, first);
    fill(g, floats, first, b);
fail:
    det_free(env, &first);
    return status;
}

void det_cuda_buckets_free(struct det_env *env, struct det_cuda_buckets *b)
{
    det_free(env, &b->buckets);
    *b = (struct det_cuda_buckets){0};
}
