/* ahead.h: memory that will be needed soon, handed in equal shares to the tiles that are computed until then: each of their
 * steps fetches some of it (detk_tile.ahead), so that it arrives while they multiply, neither in a burst nor late. */
#ifndef DET_BACKEND_CPU_AHEAD_H
#define DET_BACKEND_CPU_AHEAD_H

#include "backend/cpu/conv_view.h"

#define DETK_AHEAD_PARTS 4

struct detk_ahead {
    struct {
        const float *at, *end;
    } part[DETK_AHEAD_PARTS];
    int32_t parts, now;
    int64_t floats;
    ptrdiff_t step; /* floats for each step of a tile, at most a line */
};

static inline void detk_ahead_add(struct detk_ahead *ahead, const float *from, int64_t floats)
{
    ahead->part[ahead->parts].at = from;
    ahead->part[ahead->parts].end = from + floats;
    ahead->parts++;
    ahead->floats += floats;
}

/* Over so many steps of tiles; what does not fit is not fetched. */
static inline void detk_ahead_spread(struct detk_ahead *ahead, int64_t steps)
{
    ahead->step = (ptrdiff_t)detk_min(16, detk_div_up(ahead->floats, detk_max(1, steps)));
}

/* The share of one call. */
static inline void detk_ahead_take(struct detk_ahead *ahead, struct detk_tile *tile)
{
    tile->ahead = tile->b;
    tile->ahead_step = 0;
    while (ahead->now < ahead->parts && ahead->part[ahead->now].at == ahead->part[ahead->now].end)
        ahead->now++;
    if (ahead->now == ahead->parts)
        return;
    const float *at = ahead->part[ahead->now].at, *end = ahead->part[ahead->now].end;
    const int64_t floats = ahead->step * tile->segments * tile->run * detk_max(1, tile->tiles);
    tile->ahead = at;
    tile->ahead_step = ahead->step;
    ahead->part[ahead->now].at = end - at > floats ? at + floats : end;
}

#endif
