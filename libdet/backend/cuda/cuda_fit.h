/* cuda_fit.h: whether a plan fits into the device's free memory, said before any of it is taken. */
#ifndef DET_BACKEND_CUDA_FIT_H
#define DET_BACKEND_CUDA_FIT_H

#include "base/env.h"

/* Bytes of device memory for a batch size; SIZE_MAX when they cannot be counted. */
typedef det_status (*det_cuda_bytes_for)(struct det_env *env, void *argument, int32_t batch,
                                         size_t *bytes);

/* OUT_OF_MEMORY naming the bytes needed, those there and the largest batch that fits, found by asking `bytes_for`. */
det_status det_cuda_fit(struct det_env *env, const char *what, int32_t batch, size_t bytes,
                        det_cuda_bytes_for bytes_for, void *argument);

#endif
