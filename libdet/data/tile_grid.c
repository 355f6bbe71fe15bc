/* tile_grid.c: also what is public of it. */
#include "data/tile_grid.h"

#include "base/arguments.h"
#include "base/context.h"

#define MOST_OVERLAP .9F

det_status det_tile_settings_check(struct det_env *env, const det_tile_settings *settings)
{
    const int32_t height = settings->height, width = settings->width;
    if (height < 0 || width < 0 || (height == 0) != (width == 0))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "tiles of %d x %d pixels (width x height): expected two positive numbers, "
                        "or 0 x 0 for the size of the network's input",
                        width, height);
    if (!(settings->overlap >= 0 && settings->overlap <= MOST_OVERLAP))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "tiles: overlap is %g, expected 0 to %g of a tile's side",
                        (double)settings->overlap, (double)MOST_OVERLAP);
    return DET_OK;
}

static struct det_tile_axis axis_of(int32_t whole, int32_t tile, float overlap)
{
    if (whole <= tile)
        return (struct det_tile_axis){whole, whole, 1};
    /* The longest step that leaves the overlap; a little is added since .2F is above .2. */
    const int32_t most = (int32_t)((double)tile * (1 - (double)overlap) + 1e-4);
    const int32_t step = most > 1 ? most : 1;
    return (struct det_tile_axis){whole, tile, 1 + (whole - tile - 1) / step + 1};
}

det_status det_tile_grid_make(struct det_env *env, const det_tile_settings *settings,
                              int32_t height, int32_t width, struct det_tile_grid *grid)
{
    grid->axes[0] = axis_of(height, settings->height, settings->overlap);
    grid->axes[1] = axis_of(width, settings->width, settings->overlap);
    const int64_t count = (int64_t)grid->axes[0].count * grid->axes[1].count;
    if (count > DET_MOST_TILES)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "a picture of %d x %d pixels has %lld tiles of %d x %d that overlap by "
                        "%g, expected at most %d: take larger ones",
                        width, height, (long long)count, settings->width, settings->height,
                        (double)settings->overlap, DET_MOST_TILES);
    return DET_OK;
}

int32_t det_tile_axis_start(const struct det_tile_axis *axis, int32_t index)
{
    if (axis->count == 1)
        return 0;
    const int64_t steps = axis->count - 1;
    return (int32_t)((index * (int64_t)(axis->whole - axis->tile) + steps / 2) / steps);
}

det_region det_tile_grid_at(const struct det_tile_grid *grid, int32_t index)
{
    const struct det_tile_axis *y = &grid->axes[0], *x = &grid->axes[1];
    return (det_region){.y = det_tile_axis_start(y, index / x->count),
                        .x = det_tile_axis_start(x, index % x->count),
                        .height = y->tile,
                        .width = x->tile};
}

/* --- det/detector.h --- */

void det_tile_settings_init(det_tile_settings *settings, size_t struct_size)
{
    static const det_tile_settings defaults = {.overlap = .2F, .whole = 1};
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

det_status det_tile_plan(det_context *context, const det_tile_settings *settings, int32_t height,
                         int32_t width, det_region *tiles, size_t capacity, size_t *count)
{
    struct det_env *env = det_context_env(context);
    det_tile_settings taken;
    struct det_tile_grid grid;
    if (count != NULL)
        *count = 0;
    DET_NEED(env, context);
    DET_NEED(env, settings);
    DET_NEED_ARRAY(env, tiles, capacity);
    DET_NEED(env, count);
    det_tile_settings_default(&taken);
    DET_TRY_RETURN(DET_TAKE(env, det_tile_settings, &taken, settings));
    DET_TRY_RETURN(det_tile_settings_check(env, &taken));
    if (taken.height == 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "tiles: the size is 0 x 0, expected that of a tile");
    if (height < 1 || width < 1)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "tiles of a picture of %d x %d pixels: each side must be 1 or more", width,
                        height);
    DET_TRY_RETURN(det_tile_grid_make(env, &taken, height, width, &grid));
    *count = (size_t)det_tile_grid_count(&grid);
    for (size_t i = 0; i < *count && i < capacity; i++)
        tiles[i] = det_tile_grid_at(&grid, (int32_t)i);
    return DET_OK;
}
