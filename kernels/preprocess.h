/* preprocess.h: the network's input from pixels. Agrees with data/resize.h (TF1's legacy bilinear,
 * bit for bit in float32: same operations in the same order, no contraction into fma) and
 * model/input.h: the image stands in the top left corner of the frame, zeros around it after
 * normalisation x * (2 / 255) - 1. */
#ifndef DET_KERNELS_PREPROCESS_H
#define DET_KERNELS_PREPROCESS_H

#include "kernel.h"

DETK_BEGIN

enum detk_pixels { DETK_RGB8, DETK_BGR8, DETK_RGBA8, DETK_BGRA8, DETK_GRAY8 };

struct detk_image {
    const uint8_t *pixels; /* device memory, any alignment */
    int64_t stride;        /* bytes from row to row */
    int32_t height, width;
    enum detk_pixels format;
    int32_t frame_height, frame_width; /* what it is resized to, <= out_h, out_w */
};

/* images: `n` of them in DEVICE memory, so that a captured graph can be replayed with other images.
 * out [n, out_h, out_w, 3]. Resizes where the size differs from the frame's, copies where it does
 * not. */
cudaError_t detk_preprocess(cudaStream_t stream, enum detk_type type,
                            const struct detk_image *images, int32_t n, int32_t out_h,
                            int32_t out_w, void *out);
/* Training batches: images [n, h, w, 3] float32 0..255 already resized; zeros up to out_h,
 * out_w. */
cudaError_t detk_normalize(cudaStream_t stream, enum detk_type type, const float *images, int32_t n,
                           int32_t h, int32_t w, int32_t out_h, int32_t out_w, void *out);
/* Both for a network in 8 bits: out holds whole grey levels less 128, det_q8_grey_level() of the
 * values above. */
cudaError_t detk_preprocess_q8(cudaStream_t stream, const struct detk_image *images, int32_t n,
                               int32_t out_h, int32_t out_w, int8_t *out);
cudaError_t detk_normalize_q8(cudaStream_t stream, const float *images, int32_t n, int32_t h,
                              int32_t w, int32_t out_h, int32_t out_w, int8_t *out);

DETK_END
#endif
