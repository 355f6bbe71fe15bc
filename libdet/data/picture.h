/* picture.h: what a network is shown of an image, and how it becomes the network's floats: flips,
 * colour operations, the resize, the frame around it. The CPU does that for each sample
 * (data/augment.h); a device that makes the floats itself (kernels/pictures.h) gets the 8-bit
 * pixels of the window, a quarter of the bytes of as many floats, and gives the same bits.
 */
#ifndef DET_DATA_PICTURE_H
#define DET_DATA_PICTURE_H

#include "support/env.h"

struct det_sample;
struct det_resizer;

/* Operations on the colours of a pixel (augment_color.c), their random numbers drawn. */
enum det_color {
    DET_COLOR_BRIGHTNESS, /* values[0]: added, on the scale 0..1 */
    DET_COLOR_CONTRAST,   /* values[0]: factor about each channel's mean over the picture */
    DET_COLOR_SATURATION, /* values[0]: factor */
    DET_COLOR_HUE,        /* values[0]: turn in sextants of the colour circle */
    DET_COLOR_GRAY,
    DET_COLOR_LINEAR, /* values[0..2]: factor, values[3..5]: offset of each channel; not clipped */
};

struct det_color_op {
    enum det_color kind;
    float values[6];
};

/* Of a picture; what comes behind them is done to float pixels on the host. */
enum { DET_MOST_COLORS = 8 };

/* The mean of a channel, 0..1, is the sum of whole multiples of this: of such sums the order does
 * not matter, so threads of a device may add them up as they come. What an 8-bit pixel can be is
 * such a multiple; other values are rounded down to one. 65,500 x 65,500 pixels do not overflow 64
 * bits. */
#define DET_COLOR_UNITS 4294967296.0f

struct det_picture {
    /* bytes [height][width][3], or, `in_float`, [frame_height][frame_width][3] floats of 0..255
     * that are resized and coloured */
    const void *pixels;
    bool in_float;
    bool flip_y, flip_x; /* mirrored within itself */
    int32_t height, width;
    int32_t frame_height, frame_width;   /* what it is resized to, in the input's top left corner */
    float outside[3];                    /* a pixel right of or below the frame, 0..255 */
    int32_t color_count, contrast_count; /* operations, and how many of them are CONTRAST */
    struct det_color_op colors[DET_MOST_COLORS];
};

/* Bytes of its pixels. */
size_t det_picture_bytes(const struct det_picture *picture);
/* The most that a picture taken for a frame of this size has. */
size_t det_picture_most_bytes(int32_t frame_height, int32_t frame_width);

/* The picture that a sample shows, its pixels put into `room` of det_picture_most_bytes(): bytes of
 * the window where they are no more than resized floats would be, else, and where the sample's
 * pixels are floats already, resized floats. The rest (outside) stays as it is. */
det_status det_picture_take(struct det_env *env, struct det_resizer *resizer,
                            struct det_sample *sample, int32_t frame_height, int32_t frame_width,
                            void *room, struct det_picture *picture);

/* What is not to be given to a device: sizes that do not fit an input of height x width, or each
 * other. INTERNAL. */
det_status det_picture_check(struct det_env *env, const struct det_picture *picture, int32_t height,
                             int32_t width);

/* The floats [height][width][3] of 0..255 that the picture stands for. */
det_status det_picture_to_floats(struct det_env *env, const struct det_picture *picture,
                                 int32_t height, int32_t width, float *out);
/* The part of them right of and below a frame. */
void det_picture_fill_outside(const float outside[3], int32_t frame_height, int32_t frame_width,
                              int32_t height, int32_t width, float *out);

#endif
