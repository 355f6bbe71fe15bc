/* conv_ops.h: the dense convolutions of the CPU tables (struct det_ops), one set per instruction
 * set.
 *
 * All three passes are matrix products on the micro-kernels of gemm.h; no im2col matrix is ever
 * made: forward          C[pixels][out_c]   from the input,  weights as they are backward data
 * C[pixels][in_c]    from dout, weights transposed; one product per residue of the pixel modulo the
 *                                       stride, so that each element of din is written once and by
 * one task backward weight  C[kh * kw * in_c][out_c], reduced over pixels A 1x1 convolution of
 * stride 1 reads its operands in place; another one copies a block of rows into a slab padded with
 * zeros, where each row of taps is a contiguous run.
 *
 * Same bits for any number of threads: tasks are cut by the shape alone.
 */
#ifndef DET_OPS_CPU_CONV_CONV_OPS_H
#define DET_OPS_CPU_CONV_CONV_OPS_H

#include "ops/cpu/isa/isas.h"
#include "ops/ops.h"

/* workspace: of dense convolutions; 0 when `depthwise`. */
#define DETK_CONV_OPS(isa)                                                                        \
    size_t detk_conv_workspace__##isa(const struct det_conv_shape *shape, bool depthwise,         \
                                      int threads);                                               \
    void detk_conv_forward__##isa(const struct det_exec *x, const struct det_conv_shape *s,       \
                                  const float *in, const float *w, const float *bias,             \
                                  enum det_activation act, float *out);                           \
    void detk_conv_backward_data__##isa(const struct det_exec *x, const struct det_conv_shape *s, \
                                        const float *dout, const float *w, float *din,            \
                                        bool accumulate);                                         \
    void detk_conv_backward_weight__##isa(const struct det_exec *x,                               \
                                          const struct det_conv_shape *s, const float *in,        \
                                          const float *dout, float *dw, bool accumulate);

DETK_ISAS(DETK_CONV_OPS)
#undef DETK_CONV_OPS

#endif
