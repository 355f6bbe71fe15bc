#include "devices/cuda/cuda_ranks.h"

#include <time.h>

#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_ranks_start.h"
#include "elementwise.h"
#include "ranks/communicator.h"
#include "support/clock.h"
#include "support/mem.h"

/* Between two looks at the device. */
#define NAP_NS 50000
/* NCCL may notice before anybody else that a rank is gone, but not which: so long the one who can
 * name it has to do so. */
#define NAMING_NS ((uint64_t)10 * 1000 * 1000 * 1000)

det_status det_cuda_ranks_agree(struct det_env *env, struct det_cuda_ranks *r, det_status mine)
{
    return r == NULL ? mine : det_ranks_agree(env, r->communicator, mine);
}

/* --- life --- */

static det_status create(struct det_env *env, const struct det_learner *learner,
                         struct det_cuda_ranks *r)
{
    static const char what[] = "figures of the ranks";
    const struct det_learner_settings *s = &learner->settings;
    const size_t size = (size_t)r->size;
    r->wants_stop = s->wants_stop;
    r->wants_stop_user = s->wants_stop_user;
    /* What waits for the others all the time knows of no time of its own. */
    r->timed = !s->sync_batch_norm;
    DET_TRY_RETURN(det_alloc(env, &r->figures, size, sizeof *r->figures, what));
    DET_TRY_RETURN(det_alloc(env, &r->seconds, size, sizeof *r->seconds, what));
    return det_cuda_buckets_create(env, &learner->graph,
                                   s->bucket_floats > 0 ? s->bucket_floats
                                                        : det_cuda_bucket_floats(&learner->graph),
                                   &r->buckets);
}

static det_status create_streams(struct det_env *env, const struct det_device *device,
                                 struct det_cuda_ranks *r)
{
    DET_TRY_RETURN(det_cuda_device_use(env, device));
    DET_TRY_RETURN(det_cuda_check(env, cudaStreamCreateWithFlags(&r->stream, cudaStreamNonBlocking),
                                  "creating a stream"));
    cudaEvent_t *const order[] = {&r->ready, &r->done};
    cudaEvent_t *const clocks[] = {&r->begun, &r->worked, &r->met};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        DET_TRY_RETURN(det_cuda_check(
            env, cudaEventCreateWithFlags(order[i], cudaEventDisableTiming), "creating an event"));
    for (size_t i = 0; r->timed && i < sizeof clocks / sizeof *clocks; i++)
        DET_TRY_RETURN(det_cuda_check(env, cudaEventCreateWithFlags(clocks[i], cudaEventDefault),
                                      "creating an event"));
    return DET_OK;
}

/* Each part is done when all ranks have done it. */
static det_status start(struct det_env *env, struct det_device *device,
                        const struct det_learner *learner, struct det_cuda_ranks *r)
{
    DET_TRY_RETURN(det_cuda_ranks_agree(env, r, create(env, learner, r)));
    DET_TRY_RETURN(det_cuda_ranks_place(env, device, r));
    DET_TRY_RETURN(det_cuda_ranks_agree(env, r, create_streams(env, device, r)));
    return det_cuda_ranks_tie(env, device, &learner->settings, r);
}

det_status det_cuda_ranks_open(struct det_env *env, struct det_device *device,
                               const struct det_learner *learner, struct det_cuda_ranks **out)
{
    struct det_communicator *communicator = learner->settings.communicator;
    struct det_cuda_ranks *r = NULL;
    det_status status;
    *out = NULL;
    if (!det_ranks_are_many(communicator))
        return DET_OK;
    status = det_alloc(env, &r, 1, sizeof *r, "ranks");
    DET_TRY_RETURN(det_ranks_agree(env, communicator, status));
    r->communicator = communicator;
    r->rank = det_communicator_rank(communicator);
    r->size = det_communicator_size(communicator);
    status = start(env, device, learner, r);
    if (status != DET_OK)
        det_cuda_ranks_close(env, &r);
    *out = r;
    return status;
}

/* After a kernel that trapped nothing on the device can be ended, or waited for. */
static bool is_alive(const struct det_cuda_ranks *r)
{
    const cudaError_t error = cudaStreamQuery(r->stream);
    (void)cudaGetLastError();
    return error == cudaSuccess || error == cudaErrorNotReady;
}

/* NCCL ends what is under way on the device; without that nothing on it ends. */
static void cut(struct det_cuda_ranks *r)
{
    r->over = true;
    if (r->left != NULL)
        *(volatile int32_t *)r->left = 1;
    if (r->tie != NULL && is_alive(r))
        (void)r->nccl->ncclCommAbort(r->tie);
    r->tie = NULL;
}

void det_cuda_ranks_close(struct det_env *env, struct det_cuda_ranks **out)
{
    struct det_cuda_ranks *r = *out;
    struct det_env unheard;
    if (r == NULL)
        return;
    /* Taking leave waits for the others. */
    det_env_fork(&unheard, env);
    if (det_ranks_check(&unheard, r->communicator) != DET_OK)
        cut(r);
    if (r->tie != NULL)
        (void)r->nccl->ncclCommDestroy(r->tie);
    const cudaEvent_t events[] = {r->ready, r->done, r->begun, r->worked, r->met};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i] != NULL)
            (void)cudaEventDestroy(events[i]);
    if (r->stream != NULL)
        (void)cudaStreamDestroy(r->stream);
    det_cuda_buckets_free(env, &r->buckets);
    det_free(env, &r->figures);
    det_free(env, &r->seconds);
    det_free(env, out);
}

det_status det_cuda_ranks_fail(struct det_env *env, struct det_cuda_ranks *r, det_status status)
{
    if (r == NULL || status == DET_OK)
        return status;
    (void)det_ranks_give_up(env, r->communicator, status);
    cut(r);
    return status;
}

/* --- waiting --- */

/* NCCL's own troubles; whose they are, the communicator knows sooner or later. */
static det_status look_at_nccl(struct det_env *env, const struct det_cuda_ranks *r,
                               uint64_t *trouble_ns, const char *what)
{
    int error = DET_NCCL_SUCCESS;
    DET_TRY_RETURN(
        det_nccl_check(env, r->nccl, r->nccl->ncclCommGetAsyncError(r->tie, &error), what));
    if (error == DET_NCCL_SUCCESS || error == DET_NCCL_IN_PROGRESS)
        return DET_OK;
    if (*trouble_ns == 0)
        *trouble_ns = det_clock_ns();
    return det_clock_ns() - *trouble_ns < NAMING_NS ? DET_OK
                                                    : det_nccl_check(env, r->nccl, error, what);
}

static det_status wait_for_both(struct det_env *env, const struct det_device *device,
                                struct det_cuda_ranks *r, const char *what)
{
    uint64_t trouble_ns = 0;
    for (;;) {
        const cudaError_t error = cudaStreamQuery(device->stream);
        if (error != cudaErrorNotReady)
            return det_cuda_check(env, error, what);
        (void)cudaGetLastError(); /* "not ready" is no error that a launch is to find */
        if (r->wants_stop != NULL && r->wants_stop(r->wants_stop_user))
            return det_fail(env, DET_STATUS_CANCELLED, "the step was stopped");
        DET_TRY_RETURN(det_ranks_check(env, r->communicator));
        DET_TRY_RETURN(look_at_nccl(env, r, &trouble_ns, what));
        nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
}

det_status det_cuda_ranks_wait(struct det_env *env, const struct det_device *device,
                               struct det_cuda_ranks *r, const char *what)
{
    if (r == NULL)
        return det_cuda_device_wait(env, device, what);
    det_ranks_begin_wait(r->communicator);
    const det_status status = wait_for_both(env, device, r, what);
    det_ranks_end_wait(r->communicator);
    DET_TRY_RETURN(status);
    return det_cuda_device_wait(env, device, what);
}

/* --- enqueued --- */

det_status det_cuda_ranks_ready(struct det_env *env, const struct det_device *device,
                                const struct det_cuda_ranks *r)
{
    static const char what[] = "handing over to the ranks";
    DET_TRY_RETURN(det_cuda_check(env, cudaEventRecord(r->ready, device->stream), what));
    return det_cuda_check(env, cudaStreamWaitEvent(r->stream, r->ready, 0), what);
}

det_status det_cuda_ranks_done(struct det_env *env, const struct det_device *device,
                               const struct det_cuda_ranks *r)
{
    static const char what[] = "waiting for the ranks";
    DET_TRY_RETURN(det_cuda_check(env, cudaEventRecord(r->done, r->stream), what));
    return det_cuda_check(env, cudaStreamWaitEvent(device->stream, r->done, 0), what);
}

det_status det_cuda_ranks_sum(struct det_env *env, const struct det_cuda_ranks *r,
                              const struct det_cuda_bucket *bucket, float *gradients)
{
    static const char what[] = "adding up the ranks' gradients";
    const size_t count = bucket->end - bucket->begin;
    float *values = gradients + bucket->begin;
    const struct det_nccl *nccl = r->nccl;
    if (r->wire == NULL)
        return det_nccl_check(env, nccl,
                              nccl->ncclAllReduce(values, values, count, DET_NCCL_FLOAT32,
                                                  DET_NCCL_SUM, r->tie, r->stream),
                              what);
    DET_TRY_RETURN(
        det_cuda_check(env, detk_cast_to_bf16(r->stream, (int64_t)count, values, r->wire), what));
    DET_TRY_RETURN(det_nccl_check(env, nccl,
                                  nccl->ncclAllReduce(r->wire, r->wire, count, DET_NCCL_BF16,
                                                      DET_NCCL_SUM, r->tie, r->stream),
                                  what));
    return det_cuda_check(env, detk_cast_to_f32(r->stream, (int64_t)count, r->wire, values), what);
}

det_status det_cuda_ranks_gather(struct det_env *env, const struct det_cuda_ranks *r,
                                 const void *mine, size_t count, enum det_nccl_type type, void *all)
{
    return det_nccl_check(env, r->nccl,
                          r->nccl->ncclAllGather(mine, all, count, (int)type, r->tie, r->stream),
                          "gathering what the ranks have seen");
}

det_status det_cuda_ranks_lowest(struct det_env *env, const struct det_cuda_ranks *r,
                                 int32_t *number)
{
    return det_nccl_check(
        env, r->nccl,
        r->nccl->ncclAllReduce(number, number, 1, DET_NCCL_INT32, DET_NCCL_MIN, r->tie, r->stream),
        "asking the ranks whether all is finite");
}
