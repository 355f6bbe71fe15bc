/* sightings.h: what was found in overlapping tiles of a picture, and in the picture as a whole,
 * becomes one list: each object once, none in halves.
 *
 * A sighting is a detection of one tile. It is *cut* where it ends at a border of its tile that is
 * none of the picture's: there the object may go on. What the network found in one tile it has
 * suppressed itself, so that only sightings of different tiles are compared, of one class.
 *
 *  1. Halves are joined: two cut sightings that face each other across the border of neighbouring
 *     tiles, both all the way through what the tiles have in common and at the same height (width),
 *     neither much surer than the other, are one object; so are rows and quarters. The box is that
 *     of both, the score the higher one. Objects that are larger than the overlap can be
 *     whole in no tile.
 *  2. All are gone through by how much they are trusted, which is the score times a share: 1 for a
 *     sighting that is whole in a tile, less for one of the picture scaled down, whose box is
 *     coarse, less again for halves that were joined, least for those that are cut. One is dropped
 *     when a sighting that was kept shows the same object: their IoU is above the threshold, or it
 *     is cut and more than half of it lies in the other. A half box so goes where the
 *     neighbour or the whole picture has all of it, however sure the half was, and never suppresses
 *     what is whole unless it is much surer.
 *  3. What is kept has the highest score of those it stands for (cut ones aside), and the
 *     surest are reported.
 *
 * Work is in the order of tiles and scores alone. A sighting is compared with those of tiles that
 * its box reaches into. */
#ifndef DET_DETECT_SIGHTINGS_H
#define DET_DETECT_SIGHTINGS_H

#include "data/tile_grid.h"

/* Of more than these in one picture the surest are looked at. */
enum { DET_MOST_SIGHTINGS = 1 << 18 };

struct det_sighting {
    det_detection found;       /* normalised to the frame */
    float box_px[4];           /* ymin, xmin, ymax, xmax within the grid's picture */
    int32_t first[2], last[2]; /* row and column of its tiles: one, or those of joined halves */
    uint8_t cut;               /* DET_CUT_* */
    uint8_t kind;              /* of enum det_sighting_kind */
    uint8_t kept;
};

enum det_sighting_kind { DET_SEEN_IN_TILE, DET_SEEN_AS_WHOLE, DET_SEEN_JOINED };

/* Bits of the four sides, as coordinates of a box stand. */
enum { DET_CUT_TOP = 1, DET_CUT_LEFT = 2, DET_CUT_BOTTOM = 4, DET_CUT_RIGHT = 8 };

/* Arrays are kept between pictures. Start with zeros. */
struct det_sightings {
    struct det_sighting *list; /* tile by tile, then the whole picture's, then joined ones */
    size_t count, capacity;
    size_t *begins; /* [tiles + 2] of each tile's, the whole picture's, what comes behind */
    size_t begin_capacity;
    uint64_t *heap;
    size_t heap_capacity;
    struct det_sighting *pieces; /* scratch: those that are cut */
    size_t piece_capacity;

    struct det_tile_grid grid;
    det_region window; /* of the picture that the grid is laid over, in the frame */
    int32_t frame_height, frame_width;
    float iou_threshold;
    int32_t tile; /* the next to come */
};

/* A new picture: a window of a frame of height x width pixels. */
det_status det_sightings_begin(struct det_env *env, struct det_sightings *s,
                               const struct det_tile_grid *grid, const det_region *window,
                               int32_t frame_height, int32_t frame_width, float iou_threshold);
/* What was found in the next tile, by falling score, boxes normalised to the frame; after the last
 * tile that of the picture as a whole, which may be left out. */
det_status det_sightings_add(struct det_env *env, struct det_sightings *s,
                             const det_detection *found, size_t count);
/* Appends those that are kept, by falling score, at most `most`, to *list of *used. */
det_status det_sightings_merge(struct det_env *env, struct det_sightings *s, size_t most,
                               det_detection **list, size_t *used, size_t *capacity);
void det_sightings_free(struct det_env *env, struct det_sightings *s);
size_t det_sightings_bytes(const struct det_sightings *s);

#endif
