#include "devices/cuda/cuda_ranks_start.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "devices/cuda/cuda_error.h"
#include "ranks/communicator.h"
#include "support/mem.h"

#define NAP_NS 1000000

/* --- GPUs --- */

/* How many lower ranks are on this rank's machine. */
static int32_t place_here(const struct det_cuda_ranks *r)
{
    const char *host = det_communicator_host(r->communicator, r->rank);
    int32_t place = 0;
    for (int32_t other = 0; other < r->rank; other++)
        place += strcmp(det_communicator_host(r->communicator, other), host) == 0;
    return place;
}

/* "0000:41:00.0", which names a GPU on a machine. */
struct bus {
    char id[32];
};

static det_status find_bus(struct det_env *env, struct det_device *device,
                           const struct det_cuda_ranks *r, struct bus *bus)
{
    DET_TRY_RETURN(det_cuda_device_prefer(env, device, place_here(r)));
    return det_cuda_check(env, cudaDeviceGetPCIBusId(bus->id, sizeof bus->id, device->index),
                          "asking the GPU for its place");
}

/* The same on all ranks. */
static det_status compare(struct det_env *env, const struct det_cuda_ranks *r,
                          const struct bus *all)
{
    for (int32_t b = 1; b < r->size; b++)
        for (int32_t a = 0; a < b; a++) {
            const char *host = det_communicator_host(r->communicator, b);
            if (strcmp(det_communicator_host(r->communicator, a), host) != 0 ||
                strcmp(all[a].id, all[b].id) != 0)
                continue;
            return det_fail(env, DET_STATUS_DEVICE,
                            "ranks %d and %d on %s have one GPU, %s: each rank needs one of its "
                            "own; start as many ranks as there are GPUs and say \"cuda\", or "
                            "another cuda:I for each rank",
                            (int)a, (int)b, host, all[a].id);
        }
    return DET_OK;
}

det_status det_cuda_ranks_place(struct det_env *env, struct det_device *device,
                                struct det_cuda_ranks *r)
{
    struct bus mine = {{0}}, *all = NULL;
    det_status status = det_alloc(env, &all, (size_t)r->size, sizeof *all, "GPUs of the ranks");
    if (status == DET_OK)
        status = find_bus(env, device, r, &mine);
    DET_TRY(det_cuda_ranks_agree(env, r, status));
    DET_TRY(det_ranks_gather(env, r->communicator, &mine, all, sizeof mine));
    DET_TRY(compare(env, r, all));
fail:
    det_free(env, &all);
    return status;
}

/* --- NCCL --- */

static det_status load(struct det_env *env, const struct det_learner_settings *settings,
                       struct det_cuda_ranks *r)
{
    char why[DET_ERROR_BYTES];
    const det_status status = det_cuda_nccl_load(env, &r->nccl);
    if (status != DET_OK) {
        snprintf(why, sizeof why, "%s", env->error);
        return det_fail(env, status,
                        "several ranks on GPUs need NCCL, on the CPU ranks need no NCCL: %s", why);
    }
    r->captures = r->nccl->version >= DET_NCCL_CAPTURES;
    if (settings->bf16_gradients && r->nccl->version < DET_NCCL_HAS_BF16)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "gradients as bf16 need NCCL 2.10 or newer, this is version %d",
                        r->nccl->version);
    det_log(env, DET_LOG_DEBUG, "NCCL %d.%d.%d, rank %d of %d: %s", r->nccl->version / 10000,
            r->nccl->version / 100 % 100, r->nccl->version % 100, (int)r->rank, (int)r->size,
            r->captures ? "recorded" : "too old to be recorded");
    return DET_OK;
}

/* Of a thread that waits for the other ranks in NCCL, which has no way to call it off: when a rank
 * is lost meanwhile, the thread and this stay behind. So it is no memory of an env's, which may be
 * gone by then. */
struct meeting {
    const struct det_nccl *nccl;
    struct det_nccl_id id;
    int32_t rank, size, device;
    struct ncclComm *tie;
    cudaError_t cuda;
    int result;
    atomic_int state;
};
enum { UNDER_WAY, OVER, LEFT_ALONE };

static void *meet(void *argument)
{
    struct meeting *m = argument;
    int expected = UNDER_WAY;
    m->cuda = cudaSetDevice(m->device);
    if (m->cuda == cudaSuccess)
        m->result = m->nccl->ncclCommInitRank(&m->tie, m->size, m->id, m->rank);
    if (!atomic_compare_exchange_strong(&m->state, &expected, OVER))
        free(m);
    return NULL;
}

/* Until the thread is done. False, with the status: a rank is lost. */
static bool await(struct det_env *env, struct meeting *m, const struct det_cuda_ranks *r,
                  det_status *status)
{
    int expected = UNDER_WAY;
    while (atomic_load(&m->state) == UNDER_WAY) {
        *status = det_ranks_check(env, r->communicator);
        if (*status != DET_OK)
            return !atomic_compare_exchange_strong(&m->state, &expected, LEFT_ALONE);
        nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
    return true;
}

static det_status make_tie(struct det_env *env, const struct det_device *device,
                           const struct det_nccl_id *id, struct det_cuda_ranks *r)
{
    static const char what[] = "bringing the ranks' GPUs together";
    pthread_t thread;
    det_status status = DET_OK;
    struct meeting *m = calloc(1, sizeof *m);
    if (m == NULL)
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "no memory for the ranks");
    *m = (struct meeting){
        .nccl = r->nccl, .id = *id, .rank = r->rank, .size = r->size, .device = device->index};
    const int error = pthread_create(&thread, NULL, meet, m);
    if (error != 0) {
        free(m);
        return det_fail_errno(env, error, "a thread for NCCL");
    }
    if (!await(env, m, r, &status)) {
        pthread_detach(thread);
        return status;
    }
    pthread_join(thread, NULL);
    r->tie = m->tie;
    if (status == DET_OK)
        status = det_cuda_check(env, m->cuda, what);
    if (status == DET_OK)
        status = det_nccl_check(env, r->nccl, m->result, what);
    free(m);
    return status;
}

det_status det_cuda_ranks_tie(struct det_env *env, const struct det_device *device,
                              const struct det_learner_settings *settings, struct det_cuda_ranks *r)
{
    static const char what[] = "asking NCCL for an id";
    struct det_nccl_id id = {{0}};
    det_status status = DET_OK;
    DET_TRY_RETURN(det_cuda_ranks_agree(env, r, load(env, settings, r)));
    if (r->rank == 0)
        status = det_nccl_check(env, r->nccl, r->nccl->ncclGetUniqueId(&id), what);
    DET_TRY_RETURN(det_cuda_ranks_agree(env, r, status));
    DET_TRY_RETURN(det_ranks_broadcast(env, r->communicator, &id, sizeof id));
    /* NCCL lets the others wait for a rank that could not: they do not ask about it. */
    return det_cuda_ranks_fail(env, r, make_tie(env, device, &id, r));
}
