/* resize.h: bilinear resize as the detector's input needs it.
 *
 * TF1's legacy bilinear (tf.compat.v1.image.resize_images: align_corners false, no half-pixel
 * centres, no anti-aliasing; tensorflow/core/kernels/image/resize_bilinear_op.cc): output pixel i
 * reads from i * in/out in float, low = floor, high = min(ceil, in - 1), t = position - low,  top +
 * (bottom - top) * ty  with  left + (right - left) * tx. The source is a window of an image,
 * perhaps mirrored, so that crop and flip cost nothing.
 */
#ifndef DET_DATA_RESIZE_H
#define DET_DATA_RESIZE_H

#include "base/env.h"
#include "data/image.h"

/* The part of an image that is seen; the flips mirror it within itself. */
struct det_window {
    int32_t y, x, height, width;
    bool flip_y, flip_x;
};

struct det_window det_window_whole(int32_t height, int32_t width);

/* Tables and row buffers, kept between images; one for each thread. Start with zeros. */
struct det_resizer {
    int32_t *left, *right; /* [out_width] element offsets of the two pixels in a source row */
    float *x_share;        /* [out_width] t */
    float *rows[2];        /* [out_width * 3 + 1] horizontally interpolated source rows */
    size_t left_capacity, right_capacity, share_capacity, row_capacity[2];
};

void det_resizer_free(struct det_env *env, struct det_resizer *resizer);

/* Resizes the window of an 8-bit image into [out_height][out_width][3] floats of 0..255; rows of
 * `out` are `out_stride` floats apart. */
det_status det_resize_rgb8(struct det_env *env, struct det_resizer *resizer,
                           const struct det_image *image, const struct det_window *window,
                           float *out, size_t out_stride, int32_t out_height, int32_t out_width);

/* The same from float pixels whose rows are `stride` pixels wide. */
det_status det_resize_float(struct det_env *env, struct det_resizer *resizer, const float *pixels,
                            int32_t stride, const struct det_window *window, float *out,
                            size_t out_stride, int32_t out_height, int32_t out_width);

/* The definition above written down: slow, the fast ones give the same bits. */
void det_resize_reference(const struct det_image *image, const struct det_window *window,
                          float *out, size_t out_stride, int32_t out_height, int32_t out_width);

/* keep_aspect_ratio_resizer (core/preprocessor.py resize_to_range): the largest size whose smaller
 * side is `min_dimension` and whose larger side is at most `max_dimension`; float arithmetic and
 * rounding to even as there. */
void det_keep_aspect_size(int32_t height, int32_t width, int32_t min_dimension,
                          int32_t max_dimension, int32_t *out_height, int32_t *out_width);

/* Preprocessing of MobileNet: (2/255) * x - 1, in this order of operations. `out` may be `in`. */
void det_normalize_pixels(float *out, const float *in, size_t count);

#endif
