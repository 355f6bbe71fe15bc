/* elementwise.h: additions, nearest upsampling, casts, and the copies between the levels' tensors
 * and the flat arrays of the losses. Agrees with det_ops.add_forward, accumulate,
 * upsample_add_forward, upsample_backward and net.c copy_levels. */
#ifndef DET_KERNELS_ELEMENTWISE_H
#define DET_KERNELS_ELEMENTWISE_H

#include "kernel.h"

DETK_BEGIN

/* out = a + b; out may be a or b. */
cudaError_t detk_add(cudaStream_t stream, enum detk_type type, int64_t count, const void *a,
                     const void *b, void *out);
/* to (+)= from */
cudaError_t detk_accumulate(cudaStream_t stream, enum detk_type type, int64_t count,
                            const void *from, void *to, bool accumulate);
/* out [n, out_h, out_w, c] = lateral + nearest x2 of low [n, h, w, c]; out_h is 2h or 2h - 1, out_w
 * likewise. out may be lateral. */
cudaError_t detk_upsample_add(cudaStream_t stream, enum detk_type type, int32_t n, int32_t h,
                              int32_t w, int32_t c, int32_t out_h, int32_t out_w, const void *low,
                              const void *lateral, void *out);
/* dlow (+)= sums of the 2 x 2 blocks of dout. */
cudaError_t detk_upsample_backward(cudaStream_t stream, enum detk_type type, int32_t n, int32_t h,
                                   int32_t w, int32_t c, int32_t out_h, int32_t out_w,
                                   const void *dout, void *dlow, bool accumulate);
/* float32 <-> bf16, `count` values: the bf16 copy of the weights. Not aligned beyond the element:
 * any offsets. */
cudaError_t detk_cast_to_bf16(cudaStream_t stream, int64_t count, const float *from, void *to);
cudaError_t detk_cast_to_f32(cudaStream_t stream, int64_t count, const void *from, float *to);

#define DETK_MOST_LEVELS 8
struct detk_levels {
    int32_t levels, n;
    int64_t anchors;                  /* of one image: sum of cells * per_cell */
    int32_t width;                    /* values of one anchor: 4, or K + 1 */
    int64_t values[DETK_MOST_LEVELS]; /* of one image: cells * per_cell * width */
    void *tensor[DETK_MOST_LEVELS];   /* [n, h, w, per_cell * width] */
};
/* flat [n, anchors, width] <- the levels' tensors, both float32, one launch. */
cudaError_t detk_gather_levels(cudaStream_t stream, const struct detk_levels *levels, float *flat);
/* The levels' tensors, of `type` <- flat. */
cudaError_t detk_scatter_levels(cudaStream_t stream, enum detk_type type,
                                const struct detk_levels *levels, const float *flat);
/* *flag (int32) becomes 0 when a value is NaN or infinite, else stays as it is. */
cudaError_t detk_check_finite(cudaStream_t stream, enum detk_type type, int64_t count,
                              const void *values, int32_t *flag);

DETK_END
#endif
