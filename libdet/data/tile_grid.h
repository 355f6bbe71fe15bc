/* tile_grid.h: a picture cut into overlapping tiles of one size (det_tile_settings).
 *
 * Tiles stand in rows and columns. Each side is covered by as few as have at least the overlap that
 * was asked for; they are spread evenly, the last one ends at the border, and what they overlap by
 * more than was asked is shared among all. A side that is shorter than the tile's is taken whole.
 */
#ifndef DET_DATA_TILE_GRID_H
#define DET_DATA_TILE_GRID_H

#include "data/resize.h"
#include "det/detector.h"

enum { DET_MOST_TILES = 65536 }; /* of one picture */

/* One side: `count` tiles of `tile` pixels over `whole`. */
struct det_tile_axis {
    int32_t whole, tile, count;
};

struct det_tile_grid {
    struct det_tile_axis axes[2]; /* y, x */
};

/* INVALID_ARGUMENT for what cannot be. Sides of 0 are right. */
det_status det_tile_settings_check(struct det_env *env, const det_tile_settings *settings);

/* `settings` is checked and has no side of 0; the picture's sides are at least 1. UNSUPPORTED:
 * beyond DET_MOST_TILES. */
det_status det_tile_grid_make(struct det_env *env, const det_tile_settings *settings,
                              int32_t height, int32_t width, struct det_tile_grid *grid);

static inline int32_t det_tile_grid_count(const struct det_tile_grid *grid)
{
    return grid->axes[0].count * grid->axes[1].count;
}

/* Where tile `index` of an axis begins. */
int32_t det_tile_axis_start(const struct det_tile_axis *axis, int32_t index);

/* Tile `index`, row by row. */
det_region det_tile_grid_at(const struct det_tile_grid *grid, int32_t index);

#endif
