/* tile.h: a data set's pictures cut into overlapping tiles with the boxes inside, so that a network
 * learns small objects at the size at which a detector with tiles sees them.
 *
 * A tile is an image that is a part of another one, which the set keeps apart; its pixels are cut
 * out when they are written. Objects of which too little is inside are left out: another tile has
 * them whole, unless they are larger than the overlap. */
#ifndef DET_CONVERT_TILE_H
#define DET_CONVERT_TILE_H

#include "convert/annotations.h"
#include "data/tile_grid.h"

/* The pictures that tiles are of, and the last one that was decoded. */
struct det_tiled_pictures {
    struct det_labelled_image *pictures;
    size_t count, capacity;
    size_t decoded; /* picture's place + 1, 0: none */
    struct det_image pixels;
};

/* What the pictures hold is freed with the set's images. */
void det_tiled_pictures_free(struct det_env *env, struct det_tiled_pictures **tiled);

struct det_tile_cutting {
    det_tile_settings tiles; /* checked, no side of 0 */
    double least_inside;     /* share of a box's area */
    double background;       /* most tiles without an object for one with some, in a split */
    uint64_t seed;           /* chooses these */
};

struct det_tile_counts {
    size_t images;           /* that were cut */
    size_t tiles;            /* kept, those without an object among them */
    size_t background;       /* of which */
    size_t left_out;         /* tiles without an object that are too many */
    size_t objects, clipped; /* in tiles; of which a part is outside */
    size_t dropped;          /* too little inside of this tile; most are in another one */
};

/* Of a resolved set, whose images are replaced; one that is no larger than a tile stays, and with
 * tiles.whole the others stay, too. After a failure the set is as it was. */
det_status det_annotations_tile(struct det_env *env, struct det_annotations *set,
                                const struct det_tile_cutting *cutting,
                                struct det_tile_counts *counts);

/* Whether an image is a part of a larger one. */
bool det_image_is_tile(const struct det_annotations *set, const struct det_labelled_image *image);
/* Its pixels, upright. The picture that it is of stays decoded for the next tile: one thread at a
 * time. */
det_status det_tile_load(struct det_env *env, const struct det_annotations *set,
                         const struct det_labelled_image *image, struct det_image *pixels);

/* The pixels of any image that is not broken, upright as its boxes are. */
det_status det_labelled_image_load(struct det_env *env, const struct det_annotations *set,
                                   const struct det_labelled_image *image,
                                   struct det_image *pixels);

#endif
