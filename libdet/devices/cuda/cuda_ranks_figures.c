#include "devices/cuda/cuda_ranks_figures.h"

#include "checksum.h"
#include "devices/cuda/cuda_error.h"
#include "ranks/communicator.h"
#include "ranks/drift.h"
#include "support/clock.h"

/* --- enqueued --- */

static bool compares(const struct det_learner *l)
{
    return det_ranks_compare_weights(l->updates, l->batches_done);
}

static det_status tell_weights(struct det_env *env, const struct det_device *device,
                               const struct det_learner *l, const struct det_cuda_ranks *r,
                               const float *params, void *workspace)
{
    DET_TRY_RETURN(det_cuda_check(env,
                                  detk_checksum(device->stream, (int64_t)l->graph.param_floats,
                                                params, r->weights, workspace),
                                  "comparing the weights"));
    return det_cuda_enqueue_download(env, device, r->told_weights, r->weights, sizeof *r->weights,
                                     "comparing the weights");
}

det_status det_cuda_ranks_begin(struct det_env *env, const struct det_device *device,
                                const struct det_learner *l, struct det_cuda_ranks *r,
                                const float *params, void *workspace)
{
    r->begin_ns = det_clock_ns();
    if (r->timed)
        DET_TRY_RETURN(
            det_cuda_check(env, cudaEventRecord(r->begun, device->stream), "taking the time"));
    return compares(l) ? tell_weights(env, device, l, r, params, workspace) : DET_OK;
}

/* In a recording an event is none of its own unless that is asked for. */
static det_status mark(struct det_env *env, const struct det_device *device,
                       const struct det_cuda_ranks *r, cudaEvent_t event)
{
    static const char what[] = "taking the time";
    enum cudaStreamCaptureStatus recording = cudaStreamCaptureStatusNone;
    if (!r->timed)
        return DET_OK;
    DET_TRY_RETURN(det_cuda_check(env, cudaStreamIsCapturing(device->stream, &recording), what));
    return det_cuda_check(env,
                          cudaEventRecordWithFlags(event, device->stream,
                                                   recording == cudaStreamCaptureStatusNone
                                                       ? cudaEventRecordDefault
                                                       : cudaEventRecordExternal),
                          what);
}

det_status det_cuda_ranks_worked(struct det_env *env, const struct det_device *device,
                                 const struct det_cuda_ranks *r)
{
    return mark(env, device, r, r->worked);
}

det_status det_cuda_ranks_met(struct det_env *env, const struct det_device *device,
                              const struct det_cuda_ranks *r)
{
    return mark(env, device, r, r->met);
}

/* --- at the end --- */

static det_status elapsed(struct det_env *env, cudaEvent_t from, cudaEvent_t to, double *seconds)
{
    float milliseconds = 0;
    DET_TRY_RETURN(
        det_cuda_check(env, cudaEventElapsedTime(&milliseconds, from, to), "taking the time"));
    *seconds = (double)milliseconds * 1e-3;
    return DET_OK;
}

/* *own: negative where it is not known. */
static det_status take_times(struct det_env *env, struct det_cuda_ranks *r, double *own,
                             double *wait)
{
    *own = -1;
    *wait = 0;
    if (!r->timed)
        return DET_OK;
    double worked;
    DET_TRY_RETURN(elapsed(env, r->begun, r->worked, &worked));
    DET_TRY_RETURN(elapsed(env, r->worked, r->met, wait));
    if (r->together_ns != 0)
        *own = (double)(r->begin_ns - r->together_ns) * 1e-9 + worked;
    return DET_OK;
}

det_status det_cuda_ranks_exchange(struct det_env *env, const struct det_learner *l,
                                   struct det_cuda_ranks *r, const struct det_step_result *mine,
                                   bool *met)
{
    double wait;
    struct det_rank_figures own = det_rank_figures_of(mine);
    own.weights = compares(l) ? *r->told_weights : 0;
    *met = false;
    DET_TRY_RETURN(take_times(env, r, &own.seconds, &wait));
    DET_TRY_RETURN(det_ranks_gather(env, r->communicator, &own, r->figures, sizeof own));
    *met = true;
    r->wait_seconds = (l->batches_done > 0 ? r->wait_seconds : 0) + wait;
    r->together_ns = det_clock_ns();
    return det_rank_figures_compare(env, r->communicator, r->figures);
}

void det_cuda_ranks_add_up(const struct det_learner *l, struct det_cuda_ranks *r,
                           struct det_step_result *result)
{
    struct det_step_result sum = {
        .gradient_norm = result->gradient_norm,
        .rank_wait_seconds = r->wait_seconds,
        .rank_seconds =
            det_rank_figures_add_seconds(r->figures, r->size, l->batches_done == 0, r->seconds),
    };
    det_rank_figures_add(r->figures, r->size, 1.0 / r->size, &sum);
    *result = sum;
}
