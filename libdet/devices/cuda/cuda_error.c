#include "devices/cuda/cuda_error.h"

det_status det_cuda_check(struct det_env *env, cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return DET_OK;
    (void)cudaGetLastError();
    return det_fail(
        env, error == cudaErrorMemoryAllocation ? DET_STATUS_OUT_OF_MEMORY : DET_STATUS_DEVICE,
        "%s: CUDA: %s (%s)", what, cudaGetErrorString(error), cudaGetErrorName(error));
}

/* By number, as in cublasLt's documentation: its texts say no more than the names there. */
det_status det_cublas_check(struct det_env *env, cublasStatus_t error, const char *what)
{
    if (error == CUBLAS_STATUS_SUCCESS)
        return DET_OK;
    return det_fail(
        env, error == CUBLAS_STATUS_ALLOC_FAILED ? DET_STATUS_OUT_OF_MEMORY : DET_STATUS_DEVICE,
        "%s: cublasLt: status %d%s", what, (int)error,
        error == CUBLAS_STATUS_NOT_SUPPORTED ? ", not supported" : "");
}
