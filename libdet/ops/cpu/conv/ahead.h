/* ahead.h: memory that will be needed soon, fetched while something else is multiplied: a line now
 * and then, so that it arrives neither in a burst (the processor drops what is too much) nor
 * late. */
#ifndef DET_OPS_CPU_CONV_AHEAD_H
#define DET_OPS_CPU_CONV_AHEAD_H

#include "ops/cpu/conv/conv_view.h"

#define DETK_AHEAD_PARTS 4
#define DETK_AHEAD_LINE  16 /* floats */

/* Ranges of floats, fetched one after the other. */
struct detk_ahead {
    struct {
        const float *at, *end;
    } part[DETK_AHEAD_PARTS];
    int32_t parts, now;
    int64_t floats;
    ptrdiff_t step; /* floats for each step of a loop: a line, or less (detk_ahead_spread()) */
};

static inline void detk_ahead_add(struct detk_ahead *ahead, const float *from, int64_t floats)
{
    ahead->part[ahead->parts].at = from;
    ahead->part[ahead->parts].end = from + floats;
    ahead->parts++;
    ahead->floats += floats;
}

/* Evenly over so many steps; what does not fit is not fetched. */
static inline void detk_ahead_spread(struct detk_ahead *ahead, int64_t steps)
{
    ahead->step =
        (ptrdiff_t)detk_min(DETK_AHEAD_LINE, detk_div_up(ahead->floats, detk_max(1, steps)));
}

/* What one loop fetches: from `at` on, `step` floats further in each of its steps. */
struct detk_fetch {
    const float *at;
    ptrdiff_t step;
};

/* The share of a loop of so many steps; when all is fetched it stays at `nothing`, any address. */
static inline struct detk_fetch detk_ahead_take(struct detk_ahead *ahead, int64_t steps,
                                                const float *nothing)
{
    for (; ahead->now < ahead->parts; ahead->now++) {
        const float *at = ahead->part[ahead->now].at, *end = ahead->part[ahead->now].end;
        const int64_t floats = ahead->step * steps;
        if (at == end)
            continue;
        ahead->part[ahead->now].at = end - at > floats ? at + floats : end;
        return (struct detk_fetch){at, ahead->step};
    }
    return (struct detk_fetch){nothing, 0};
}

/* The share of one call of a tile's kernel. */
static inline void detk_ahead_tile(struct detk_ahead *ahead, struct detk_tile *tile)
{
    const int64_t steps = (int64_t)tile->segments * tile->run * detk_max(1, tile->tiles);
    const struct detk_fetch fetch = detk_ahead_take(ahead, steps, tile->b);
    tile->ahead = fetch.at;
    tile->ahead_step = fetch.step;
}

#endif
