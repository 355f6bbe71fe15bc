/* q8.h: what a network in 8 bits launches around cublasLt's products: sums of 32 bits brought to 8,
 * depthwise convolutions, additions, and the way from and to float32. The whole numbers of
 * ops/q8.h, all of them: `ref` of the same names.
 *
 * A convolution's bias here is b - in_zero * (sum of the channel's weights), so that inputs are
 * multiplied as they are; a tap outside the image counts as in_zero. Tensors are NHWC, contiguous,
 * aligned to DETK_ALIGN; constants are device memory, aligned to 16 bytes. */
#ifndef DET_KERNELS_Q8_H
#define DET_KERNELS_Q8_H

#include "dwconv_plan.h"
#include "kernel.h"
#include "ops/q8_types.h"

DETK_BEGIN

/* What becomes of a convolution's sums: clamp(zero + steps(bias + sum)). */
struct detk_q8_scaling {
    const int32_t *bias; /* [c] */
    const float *scales; /* [c] */
    struct det_q8_target to;
};

/* Something that is added to a convolution's result, which is `a` of the addition: b of the same
 * shape [n, out_h, out_w, c], or, with `upsampled`, nearest x2 of b [n, h, w, c]. */
struct detk_q8_addend {
    struct det_q8_add add;
    const int8_t *b;
    bool upsampled;
    int32_t h, w, out_h, out_w;
};

/* Of rows first .. first + rows - 1 of out [.., c]: from their sums [rows, pitch], pitch a multiple
 * of 4 and >= c. `addend`: NULL, or what is added. */
cudaError_t detk_q8_finish(cudaStream_t stream, int64_t first, int64_t rows, int32_t c,
                           int32_t pitch, const int32_t *sums,
                           const struct detk_q8_scaling *scaling,
                           const struct detk_q8_addend *addend, int8_t *out);

/* Whether a depthwise convolution's weights are packed: int32 [3][c], each of a row's three taps
 * from the lowest byte on and 0; else they are int8 [kernel_h][kernel_w][c]. */
static inline bool detk_q8_dwconv_packed(const struct det_conv_shape *s)
{
    return dwconv_has_vectors(s, 4);
}
cudaError_t detk_q8_dwconv(cudaStream_t stream, const struct det_conv_shape *shape,
                           const int8_t *in, int32_t in_zero, const void *weights,
                           const struct detk_q8_scaling *scaling, int8_t *out);

/* out may be a or b. */
cudaError_t detk_q8_add(cudaStream_t stream, int64_t count, const struct det_q8_add *add,
                        const int8_t *a, const int8_t *b, int8_t *out);
/* a: nearest x2 of low [n, h, w, c]; b: lateral [n, out_h, out_w, c]; out may be lateral. */
cudaError_t detk_q8_upsample_add(cudaStream_t stream, int32_t n, int32_t h, int32_t w, int32_t c,
                                 int32_t out_h, int32_t out_w, const struct det_q8_add *add,
                                 const int8_t *low, const int8_t *lateral, int8_t *out);

/* det_q8_of() and det_q8_real() of each value. */
cudaError_t detk_q8_narrow(cudaStream_t stream, int64_t count, struct det_q8_tensor tensor,
                           const float *from, int8_t *to);
cudaError_t detk_q8_widen(cudaStream_t stream, int64_t count, struct det_q8_tensor tensor,
                          const int8_t *from, float *to);

DETK_END
#endif
