/* plan.h: places blocks with known life times in one arena, so that a network's memory is known
 * before it runs and nothing is allocated while it does. */
#ifndef DET_MODEL_PLAN_H
#define DET_MODEL_PLAN_H

#include "support/env.h"

struct det_plan_block {
    size_t bytes;        /* 0: no memory */
    int32_t first, last; /* times of the first write and the last use, both included */
    size_t offset;       /* result, a multiple of 64 */
};

/* Gives every block an offset such that blocks alive at the same time do not overlap (largest
 * first, lowest gap that fits). *total is the size of the arena. OUT_OF_MEMORY when a sum of sizes
 * does not fit size_t. */
det_status det_plan_arena(struct det_env *env, struct det_plan_block *blocks, int32_t count,
                          size_t *total);

/* Blocks that are alive at one of the times from `begin` to `end` are so at all of them: what is
 * done at these times is done in another order, or at once. */
void det_plan_stretch(struct det_plan_block *blocks, int32_t count, int32_t begin, int32_t end);

#endif
