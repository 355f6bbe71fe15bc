/* conv_ops.c: the dense convolutions, one set per instruction set.
 *
 * All three passes are matrix products on the micro-kernels of gemm.h; no im2col matrix is ever
 * made:
 *
 *   forward          C[pixels][out_c]             from the input, weights as they are
 *   backward data    C[pixels][in_c]              from dout, weights transposed; one product per
 *                                                 residue of the pixel modulo the stride, so that
 *                                                 each element of din is written once and by one
 *                                                 task
 *   backward weight  C[kh * kw * in_c][out_c]     reduced over pixels
 *
 * A 1x1 convolution of stride 1 reads its operands in place; another one copies a block of rows
 * into a slab padded with zeros, where each row of taps is a contiguous run.
 *
 * Same bits for any number of threads: tasks are cut by the shape alone. */
#include "ops/cpu/conv/conv_view.h"
#include "ops/cpu/isa/cpu_ops.h"

static size_t workspace(const struct detk_gemm *gemm, const struct det_conv_shape *s, int threads)
{
    int64_t floats = detk_conv_pixels_floats(gemm, s, false, threads);
    floats = detk_max(floats, detk_conv_pixels_floats(gemm, s, true, threads));
    floats = detk_max(floats, detk_conv_weights_floats(gemm, s, threads));
    return (size_t)floats * sizeof(float);
}

#define CONV_OPS(isa)                                                                       \
    size_t detk_conv_workspace__##isa(const struct det_conv_shape *shape, int threads)      \
    {                                                                                       \
        return workspace(&detk_gemm_##isa, shape, threads);                                 \
    }                                                                                       \
    void detk_conv_forward__##isa(const struct det_exec *x, const struct det_conv_shape *s, \
                                  const float *in, const float *w, const float *bias,       \
                                  enum det_activation act, float *out)                      \
    {                                                                                       \
        detk_conv_pixels_forward(&detk_gemm_##isa, x, s, in, w, bias, act, out);            \
    }

DETK_ISAS(CONV_OPS)
