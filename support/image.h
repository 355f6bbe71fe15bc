/* image.h: pixels in memory: 8-bit RGB, rows without padding, top row first; and turning them.
 *
 * How a picture's pixels lie is told as EXIF has it (2.32, 4.6.4), 1 to 8: 1 is upright, 2
 * mirrored, 3 half a turn, 4 flipped, 5 to 8 the same after exchanging the axes.
 */
#ifndef DET_SUPPORT_IMAGE_H
#define DET_SUPPORT_IMAGE_H

#include "support/env.h"

enum { DET_IMAGE_MOST_SIDE = 65500 };

struct det_image {
    int32_t width, height;
    uint8_t *rgb; /* [height][width][3] */
    /* room behind rgb, kept for the next image; may be 0 for foreign pixels */
    size_t capacity_bytes;
    int32_t file_width, file_height; /* as the file has it: larger after a reduced decoding */
};

/* Allocates the pixels, or keeps the block when it is large enough (the content is then undefined).
 * Sizes outside 1..DET_IMAGE_MOST_SIDE are INVALID_ARGUMENT. */
det_status det_image_resize_buffer(struct det_env *env, struct det_image *image, int32_t width,
                                   int32_t height);
void det_image_free(struct det_env *env, struct det_image *image);

/* True for the orientations that exchange width and height. */
bool det_exif_swaps_sides(int orientation);

/* Makes upright what an orientation describes; 1 leaves it. */
det_status det_exif_turn(struct det_env *env, struct det_image *image, int orientation);
/* The same into another picture, which has the upright one's size; orientation 1 to 8. */
void det_exif_turn_into(const struct det_image *from, int orientation, struct det_image *to);

#endif
