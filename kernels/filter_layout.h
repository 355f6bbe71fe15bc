/* filter_layout.h: a dense convolution's weights between TensorFlow's order HWIO, float32, in which
 * they are kept, and cuDNN's KRSC [out_c][kernel_h][kernel_w][in_c] of `type`. As matrices:
 * [kernel_h * kernel_w * in_c, out_c] transposed. */
#ifndef DET_KERNELS_FILTER_LAYOUT_H
#define DET_KERNELS_FILTER_LAYOUT_H

#include "kernel.h"

DETK_BEGIN

cudaError_t detk_filter_to_krsc(cudaStream_t stream, enum detk_type type,
                                const struct det_conv_shape *shape, const float *hwio, void *krsc);
/* hwio (+)= krsc */
cudaError_t detk_filter_from_krsc(cudaStream_t stream, enum detk_type type,
                                  const struct det_conv_shape *shape, const void *krsc, float *hwio,
                                  bool accumulate);

DETK_END
#endif
