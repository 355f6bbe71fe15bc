#include "model/plan.h"

#include <stdlib.h>

#include "support/mem.h"

static int by_size_then_time(const void *a, const void *b)
{
    const struct det_plan_block *x = *(struct det_plan_block *const *)a;
    const struct det_plan_block *y = *(struct det_plan_block *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x < y ? -1 : x > y;
}

static int by_offset(const void *a, const void *b)
{
    const struct det_plan_block *x = *(struct det_plan_block *const *)a;
    const struct det_plan_block *y = *(struct det_plan_block *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

det_status det_plan_arena(struct det_env *env, struct det_plan_block *blocks, int32_t count,
                          size_t *total)
{
    *total = 0;
    struct det_plan_block **order = NULL, **alive = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &order, (size_t)count, sizeof(struct det_plan_block *), "memory plan"));
    DET_TRY(det_alloc(env, &alive, (size_t)count, sizeof(struct det_plan_block *), "memory plan"));
    int32_t used = 0;
    for (int32_t i = 0; i < count; i++) {
        if (blocks[i].bytes > SIZE_MAX / 4 / ((size_t)count + 1))
            DET_TRY(det_fail(env, DET_STATUS_OUT_OF_MEMORY,
                             "memory plan: a tensor of %zu bytes is too large", blocks[i].bytes));
        if (blocks[i].bytes > 0)
            order[used++] = &blocks[i];
    }
    if (used > 0)
        qsort(order, (size_t)used, sizeof(struct det_plan_block *), by_size_then_time);
    for (int32_t i = 0; i < used; i++) {
        struct det_plan_block *block = order[i];
        const size_t bytes = (block->bytes + DET_ALIGNMENT - 1) / DET_ALIGNMENT * DET_ALIGNMENT;
        int32_t conflicts = 0;
        for (int32_t j = 0; j < i; j++) {
            if (order[j]->first <= block->last && block->first <= order[j]->last)
                alive[conflicts++] = order[j];
        }
        if (conflicts > 0)
            qsort(alive, (size_t)conflicts, sizeof(struct det_plan_block *), by_offset);
        size_t offset = 0;
        for (int32_t j = 0; j < conflicts; j++) {
            if (offset + bytes <= alive[j]->offset)
                break;
            const size_t end = alive[j]->offset + (alive[j]->bytes + DET_ALIGNMENT - 1) /
                                                      DET_ALIGNMENT * DET_ALIGNMENT;
            if (end > offset)
                offset = end;
        }
        block->offset = offset;
        if (offset + bytes > *total)
            *total = offset + bytes;
    }
fail:
    det_free(env, &order);
    det_free(env, &alive);
    return status;
}

void det_plan_stretch(struct det_plan_block *blocks, int32_t count, int32_t begin, int32_t end)
{
    for (int32_t b = 0; b < count; b++) {
        if (blocks[b].last < begin || blocks[b].first > end)
            continue;
        if (blocks[b].first > begin)
            blocks[b].first = begin;
        if (blocks[b].last < end)
            blocks[b].last = end;
    }
}
