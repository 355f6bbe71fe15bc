/* bias_act.h: bias and activation in place: what the libraries' matrix products and convolutions
 * leave to be done. They have no ReLU6 among their epilogues, and a convolution by cuDNN has none
 * at all. */
#ifndef DET_KERNELS_BIAS_ACT_H
#define DET_KERNELS_BIAS_ACT_H

#include "kernel.h"

DETK_BEGIN

/* values [rows, c] = act(values + bias); bias [c] float32, or NULL for none. */
cudaError_t detk_bias_act(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t c,
                          const float *bias, enum det_activation act, void *values);

DETK_END
#endif
