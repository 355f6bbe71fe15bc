/* cuda_fit.h: whether a plan fits into the device's free memory, said before any of it is taken.
 *
 * A plan knows its own block. Beside it the driver takes memory when a step runs first: since CUDA
 * 12 the code of a kernel is loaded with its first launch (CUDA_MODULE_LOADING=LAZY), ours and
 * those that cublasLt and cuDNN choose, and so is room for recorded graphs. Our kernels are about 8
 * MB for an architecture, a library's 1 to 10 MB each of which a network uses some dozen; none of
 * this was measured. DET_CUDA_MARGIN stays free for it; trying algorithms (cuda_tune.h) takes half
 * of it at most. */
#ifndef DET_DEVICES_CUDA_FIT_H
#define DET_DEVICES_CUDA_FIT_H

#include "support/env.h"

/* Bytes of device memory for a batch size; SIZE_MAX when they cannot be counted. */
typedef det_status (*det_cuda_bytes_for)(struct det_env *env, void *argument, int32_t batch,
                                         size_t *bytes);

#define DET_CUDA_MARGIN ((size_t)256 << 20)

/* OUT_OF_MEMORY naming the bytes needed, margin included, those there and the largest batch that
 * fits, found by asking `bytes_for`. */
det_status det_cuda_fit(struct det_env *env, const char *what, int32_t batch, size_t bytes,
                        det_cuda_bytes_for bytes_for, void *argument);

#endif
