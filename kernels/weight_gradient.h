/* weight_gradient.h: the weights' gradient of a dense convolution whose matrix of weights is small
 * and whose outputs are many, by one pass over both operands: dw [k, n] (+)= in^T x dout, float32.
 * A thread sums a tile of dw over its rows in registers; a block its threads, in order; a second
 * kernel the blocks, in order. How the rows are split depends on the sizes alone. Agrees with the
 * CPU's conv_backward_weight() but for the order of the sum.
 *
 * Rows are whole vectors of 16 bytes: in_stride and n, or the image's out_c, are multiples of 4
 * values of float32, of 8 of bf16.
 *
 * It multiplies in float32 whatever the type is, outside of tensor cores: which shapes are its own
 * and which cublasLt's, devices/cuda/cuda_weight_gradient.h says. */
#ifndef DET_KERNELS_WEIGHT_GRADIENT_H
#define DET_KERNELS_WEIGHT_GRADIENT_H

#include "kernel.h"

DETK_BEGIN

/* in [rows, k], from row to row in_stride >= k values; dout [rows, n]; dw [k, n]. No rows: dw is
 * zero, or as it was. */
size_t detk_weight_gradient_workspace(int64_t rows, int32_t k, int32_t n);
cudaError_t detk_weight_gradient(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t k,
                                 int32_t n, const void *in, int32_t in_stride, const void *dout,
                                 float *dw, bool accumulate, void *workspace);

/* The same over the patches of an image of three channels, kernel 3 x 3, any stride and padding,
 * without their being copied out as rows: the network's first layer. dw HWIO. */
size_t detk_image_weight_gradient_workspace(const struct det_conv_shape *shape);
cudaError_t detk_image_weight_gradient(cudaStream_t stream, enum detk_type type,
                                       const struct det_conv_shape *shape, const void *in,
                                       const void *dout, float *dw, bool accumulate,
                                       void *workspace);

DETK_END
#endif
