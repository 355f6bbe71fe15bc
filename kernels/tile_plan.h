/* tile_plan.h: the arithmetic of tile.cuh, for the host's C as well: the roofline counts by it. */
#ifndef DET_KERNELS_TILE_PLAN_H
#define DET_KERNELS_TILE_PLAN_H

#include <stdint.h>

static inline int64_t det_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* A block's threads along the channels' vectors and along the pixels, and how many such blocks all
 * vectors need. */
struct det_tile_sides {
    int32_t vectors, pixels, channel_blocks;
};

/* Blocks of at most `threads`, `most` of them along the vectors. These are shared out evenly: 36 as
 * 2 x 18, not as 32 + 4. */
static inline struct det_tile_sides det_tile_sides_of(int32_t vectors, int32_t most,
                                                      int32_t threads)
{
    struct det_tile_sides sides;
    sides.channel_blocks = (int32_t)det_ceil_div(vectors, most);
    sides.vectors = (int32_t)det_ceil_div(vectors, sides.channel_blocks);
    sides.pixels = threads / sides.vectors;
    return sides;
}

#endif
