/* loaded_cuda.c: the CUDA backend of a program that is not linked with it
 * (devices/cuda/cuda_backend.c is for those that are). */
#include "devices/backend_library.h"

det_status det_backend_find_cuda(struct det_env *env, const struct det_backend **backend)
{
    return det_backend_library_open(env, "det-cuda.so", "DET_CUDA_LIBRARIES", backend);
}
