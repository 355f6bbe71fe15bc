/* cuda_error.h: what CUDA's libraries answer as det_status: memory that cannot be had is
 * OUT_OF_MEMORY, the rest DEVICE. The message is "what: the library's own text". */
#ifndef DET_DEVICES_CUDA_ERROR_H
#define DET_DEVICES_CUDA_ERROR_H

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "support/env.h"

/* The runtime's own memory of a failure is cleared: the caller has been told, and the next launch
 * must not find it. */
det_status det_cuda_check(struct det_env *env, cudaError_t error, const char *what);
det_status det_cublas_check(struct det_env *env, cublasStatus_t error, const char *what);

#endif
