#include "backend/cuda/cuda_fit.h"

#include "backend/cuda/cuda_error.h"

det_status det_cuda_fit(struct det_env *env, const char *what, int32_t batch, size_t bytes,
                        det_cuda_bytes_for bytes_for, void *argument)
{
    size_t free_bytes = 0, total = 0;
    DET_TRY_RETURN(det_cuda_check(env, cudaMemGetInfo(&free_bytes, &total), what));
    if (bytes <= free_bytes)
        return DET_OK;
    int32_t fits = 0, too_large = batch; /* memory grows with the batch */
    while (too_large - fits > 1) {
        const int32_t middle = fits + (too_large - fits) / 2;
        size_t needed = 0;
        DET_TRY_RETURN(bytes_for(env, argument, middle, &needed));
        if (needed <= free_bytes)
            fits = middle;
        else
            too_large = middle;
    }
    if (fits == 0)
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY,
                        "%s with batch size %d needs %zu bytes of the GPU's memory, %zu of %zu are "
                        "free: not even batch size 1 fits",
                        what, batch, bytes, free_bytes, total);
    return det_fail(env, DET_STATUS_OUT_OF_MEMORY,
                    "%s with batch size %d needs %zu bytes of the GPU's memory, %zu of %zu are "
                    "free: the largest batch size that fits is %d",
                    what, batch, bytes, free_bytes, total, fits);
}
