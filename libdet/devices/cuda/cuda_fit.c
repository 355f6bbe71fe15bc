#include "devices/cuda/cuda_fit.h"

#include "devices/cuda/cuda_error.h"
#include "support/mem.h"

/* With the margin; SIZE_MAX when the sum is too large. */
static size_t with_margin(size_t bytes)
{
    size_t sum = 0;
    return det_size_add(bytes, DET_CUDA_MARGIN, &sum) ? sum : SIZE_MAX;
}

det_status det_cuda_fit(struct det_env *env, const char *what, int32_t batch, size_t bytes,
                        det_cuda_bytes_for bytes_for, void *argument)
{
    size_t free_bytes = 0, total = 0;
    DET_TRY_RETURN(det_cuda_check(env, cudaMemGetInfo(&free_bytes, &total), what));
    const size_t wanted = with_margin(bytes);
    if (wanted <= free_bytes)
        return DET_OK;
    int32_t fits = 0, too_large = batch; /* memory grows with the batch */
    while (too_large - fits > 1) {
        const int32_t middle = fits + (too_large - fits) / 2;
        size_t needed = 0;
        DET_TRY_RETURN(bytes_for(env, argument, middle, &needed));
        if (with_margin(needed) <= free_bytes)
            fits = middle;
        else
            too_large = middle;
    }
    if (fits == 0)
        return det_fail(
            env, DET_STATUS_OUT_OF_MEMORY,
            "%s with batch size %d needs %zu bytes of the GPU's memory, %zu of them for "
            "code that is loaded later; %zu of %zu are free: not even batch size 1 fits",
            what, batch, wanted, DET_CUDA_MARGIN, free_bytes, total);
    return det_fail(env, DET_STATUS_OUT_OF_MEMORY,
                    "%s with batch size %d needs %zu bytes of the GPU's memory, %zu of them for "
                    "code that is loaded later; %zu of %zu are free: the largest batch size that "
                    "fits is %d",
                    what, batch, wanted, DET_CUDA_MARGIN, free_bytes, total, fits);
}
