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

#include "data/image.h"
#include "support/env.h"

/* The part of an image that is seen; the flips mirror it within itself. */
struct det_window {
    int32_t y, x, height, width;
    bool flip_y, flip_x;
};

struct det_window det_window_whole(int32_t height, int32_t width);

/* Pixels of 8 bits as whoever owns them has them. */
struct det_pixels {
    const uint8_t *first; /* of the top row */
    ptrdiff_t stride;     /* bytes from one row to the next, negative where rows go upwards */
    int32_t height, width;
    int32_t bytes;             /* of a pixel: 1, 3 or 4; from one Y to the next: 1 or 2 */
    int32_t red, green, blue;  /* where in a pixel: 0 1 2, 2 1 0, or 0 0 0 of one byte */
    const struct det_yuv *yuv; /* NULL unless they are Y, and have their colour here: */
    const uint8_t *u, *v;      /* of the top row's first two pixels */
    ptrdiff_t u_stride, v_stride;
    int32_t chroma_step;  /* bytes from one U to the next */
    int32_t chroma_shift; /* 1: two rows share one of colour; 0: each has its own */
};

struct det_pixels det_pixels_of_image(const struct det_image *image);

/* `width` pixels of row y from column x on, as RGB. */
void det_pixels_row(const struct det_pixels *pixels, int32_t y, int32_t x, int32_t width,
                    uint8_t *rgb);

/* Tables and row buffers, kept between images. Start with zeros. */
struct det_resizer {
    /* [out_width] offsets of the two pixels in a source row, of Y and its colour their columns */
    int32_t *left, *right;
    float *x_share; /* [out_width] t */
    float *rows;    /* [workers][2][out_width * 3 + 1] horizontally interpolated rows */
    size_t left_capacity, right_capacity, share_capacity, row_capacity;

    /* What det_resizer_set() said: one of the two sources. */
    struct det_pixels pixels;
    const float *floats;
    int32_t floats_stride;
    struct det_window window;
    int32_t out_height, out_width;
};

void det_resizer_free(struct det_env *env, struct det_resizer *resizer);
size_t det_resizer_bytes(const struct det_resizer *resizer);

/* Chooses what det_resizer_rows() resizes: the window of an image, to out_height x out_width. The
 * pixels must stay while that is called, by as many as `workers` threads. */
det_status det_resizer_set(struct det_env *env, struct det_resizer *resizer,
                           const struct det_pixels *pixels, const struct det_window *window,
                           int32_t out_height, int32_t out_width, int32_t workers);

/* Output rows y .. y + count as floats of 0..255, [count][out_width][3], rows of `out` `out_stride`
 * floats apart. Threads may call it at the same time, each with a worker number of its own. */
void det_resizer_rows(const struct det_resizer *resizer, int32_t worker, int32_t y, int32_t count,
                      float *out, size_t out_stride);

/* All rows at once. */
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
