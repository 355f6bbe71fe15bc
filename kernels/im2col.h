/* im2col.h: patches of a dense convolution as rows of a matrix, and their gradient: what a dense
 * convolution that the library does not support becomes a matrix product with. */
#ifndef DET_KERNELS_IM2COL_H
#define DET_KERNELS_IM2COL_H

#include "kernel.h"

DETK_BEGIN

/* columns [n * out_h * out_w, padded] with padded = detk_im2col_width(shape) >= kernel_h * kernel_w
 * * in_c, rounded up to 16 bytes of `type`; what is beyond is written as zero. Column order (kh,
 * kw, ci), as in the weights HWIO. */
int32_t detk_im2col_width(enum detk_type type, const struct det_conv_shape *shape);
cudaError_t detk_im2col(cudaStream_t stream, enum detk_type type,
                        const struct det_conv_shape *shape, const void *in, void *columns);
/* The same in 8 bits, of `rows` patches from `first` on: columns [rows, padded], where what is
 * outside the image is `outside`; rows are rounded up to 16 bytes. */
int32_t detk_im2col_q8_width(const struct det_conv_shape *shape);
cudaError_t detk_im2col_q8(cudaStream_t stream, const struct det_conv_shape *shape, int64_t first,
                           int64_t rows, int8_t outside, const int8_t *in, int8_t *columns);
/* din (+)= the columns' gradient, each input gathering the patches that it is in: no atomics. */
cudaError_t detk_col2im(cudaStream_t stream, enum detk_type type,
                        const struct det_conv_shape *shape, const void *columns, void *din,
                        bool accumulate);

DETK_END
#endif
