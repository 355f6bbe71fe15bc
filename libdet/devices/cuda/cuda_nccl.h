/* cuda_nccl.h: NCCL, which sums over GPUs, as far as a training step uses it. It is loaded when
 * several ranks learn together on GPUs and no machine needs it for anything else, neither to build
 * nor to run: what is said of it here is said in its own header, too, which has kept it through all
 * versions 2 and is compared with where it is found (cuda_nccl.c). */
#ifndef DET_DEVICES_CUDA_NCCL_H
#define DET_DEVICES_CUDA_NCCL_H

#include <cuda_runtime_api.h>

#include "support/env.h"

/* Its version as one number: 2.28.3 is 22803. */
enum {
    DET_NCCL_CAPTURES = 20900, /* from then on its calls can be recorded in a CUDA graph */
    DET_NCCL_HAS_BF16 = 21000,
};

enum det_nccl_result { DET_NCCL_SUCCESS = 0, DET_NCCL_IN_PROGRESS = 7 };
enum det_nccl_type {
    DET_NCCL_INT32 = 2,
    DET_NCCL_FLOAT32 = 7,
    DET_NCCL_FLOAT64 = 8,
    DET_NCCL_BF16 = 9
};
enum det_nccl_operation { DET_NCCL_SUM = 0, DET_NCCL_MIN = 3 };

struct det_nccl_id {
    char bytes[128];
};

/* ncclComm_t is a pointer to it. */
struct ncclComm;

/* X(type of the answer, name, parameters) */
#define DET_EACH_NCCL(X)                                                                  \
    X(int, ncclGetVersion, (int *version))                                                \
    X(int, ncclGetUniqueId, (struct det_nccl_id * id))                                    \
    X(int, ncclCommInitRank,                                                              \
      (struct ncclComm * *communicator, int size, struct det_nccl_id id, int rank))       \
    X(int, ncclCommDestroy, (struct ncclComm * communicator))                             \
    X(int, ncclCommAbort, (struct ncclComm * communicator))                               \
    X(int, ncclCommGetAsyncError, (struct ncclComm * communicator, int *error))           \
    X(const char *, ncclGetErrorString, (int result))                                     \
    X(int, ncclAllReduce,                                                                 \
      (const void *from, void *to, size_t count, int type, int operation,                 \
       struct ncclComm *communicator, cudaStream_t stream))                               \
    X(int, ncclAllGather,                                                                 \
      (const void *from, void *to, size_t count, int type, struct ncclComm *communicator, \
       cudaStream_t stream))

/* Its functions under their own names. */
struct det_nccl {
#define DET_NCCL_MEMBER(type, name, parameters) type(*name) parameters;
    DET_EACH_NCCL(DET_NCCL_MEMBER)
#undef DET_NCCL_MEMBER
    int version;
};

/* Loads libnccl.so.2 once for the process, from any thread; where it is looked for is in
 * cuda_search.h. DEVICE: what was searched. */
det_status det_cuda_nccl_load(struct det_env *env, const struct det_nccl **nccl);

/* DEVICE with "what: NCCL: its own words" unless the result is a success. */
static inline det_status det_nccl_check(struct det_env *env, const struct det_nccl *nccl,
                                        int result, const char *what)
{
    return result == DET_NCCL_SUCCESS
               ? DET_OK
               : det_fail(env, DET_STATUS_DEVICE, "%s: NCCL %d.%d: %s", what, nccl->version / 10000,
                          nccl->version / 100 % 100, nccl->ncclGetErrorString(result));
}

#endif
