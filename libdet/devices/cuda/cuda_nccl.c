#include "devices/cuda/cuda_nccl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "devices/cuda/cuda_search.h"

/* Its header wants CUDA's own, not those of the emulation. */
#if __has_include(<nccl.h>) && !defined(DET_EMU_CUDA_RUNTIME_API_H)
#include <nccl.h>
_Static_assert((int)ncclSuccess == DET_NCCL_SUCCESS && (int)ncclInProgress == DET_NCCL_IN_PROGRESS,
               "results");
_Static_assert((int)ncclInt32 == DET_NCCL_INT32 && (int)ncclFloat32 == DET_NCCL_FLOAT32 &&
                   (int)ncclFloat64 == DET_NCCL_FLOAT64 && (int)ncclBfloat16 == DET_NCCL_BF16,
               "types");
_Static_assert((int)ncclSum == DET_NCCL_SUM && (int)ncclMin == DET_NCCL_MIN, "operations");
_Static_assert(sizeof(ncclUniqueId) == sizeof(struct det_nccl_id), "id");
_Static_assert(sizeof(ncclResult_t) == sizeof(int) && sizeof(ncclDataType_t) == sizeof(int) &&
                   sizeof(ncclRedOp_t) == sizeof(int),
               "what is passed as a number");
_Static_assert(NCCL_MAJOR == 2, "the version that is loaded");
#endif

static struct det_nccl loaded;

static det_status find(struct det_env *env, void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    if (symbol == NULL)
        return det_fail(env, DET_STATUS_DEVICE, "libnccl.so.2 is too old or too new: it has no %s",
                        name);
    *(void **)function = symbol;
    return DET_OK;
}

static det_status load(struct det_env *env)
{
    void *library = NULL;
    DET_TRY_RETURN(det_cuda_library_open(env, "libnccl.so.2", &library));
#define FIND(type, name, parameters) DET_TRY_RETURN(find(env, library, #name, &loaded.name));
    DET_EACH_NCCL(FIND)
#undef FIND
    const int result = loaded.ncclGetVersion(&loaded.version);
    return result == DET_NCCL_SUCCESS
               ? DET_OK
               : det_fail(env, DET_STATUS_DEVICE, "libnccl.so.2: it does not say its version: %s",
                          loaded.ncclGetErrorString(result));
}

det_status det_cuda_nccl_load(struct det_env *env, const struct det_nccl **nccl)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool done;
    pthread_mutex_lock(&lock);
    const det_status status = done ? DET_OK : load(env);
    done = status == DET_OK;
    pthread_mutex_unlock(&lock);
    *nccl = status == DET_OK ? &loaded : NULL;
    return status;
}
