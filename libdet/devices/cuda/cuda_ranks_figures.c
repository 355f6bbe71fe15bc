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

static det_status compare_weights(struct det_env *env, const struct det_cuda_ranks *r)
{
    for (int32_t i = 1; i < r->size; i++)
        if (r->figures[i].weights != r->figures[0].weights)
            return det_ranks_have_drifted(env, r->communicator, i);
    return DET_OK;
}

det_status det_cuda_ranks_exchange(struct det_env *env, const struct det_learner *l,
                                   struct det_cuda_ranks *r, const struct detk_step_result *mine,
                                   bool *met)
{
    double wait;
    struct det_cuda_rank_figures own = {
        .step = *mine,
        .weights = compares(l) ? *r->told_weights : 0,
    };
    *met = false;
    DET_TRY_RETURN(take_times(env, r, &own.seconds, &wait));
    DET_TRY_RETURN(det_ranks_gather(env, r->communicator, &own, r->figures, sizeof own));
    *met = true;
    r->wait_seconds = (l->batches_done > 0 ? r->wait_seconds : 0) + wait;
    r->together_ns = det_clock_ns();
    return compare_weights(env, r);
}

/* What one rank does not know of a batch is not known of the update. */
static const double *add_seconds(const struct det_learner *l, struct det_cuda_ranks *r)
{
    bool known = true;
    for (int32_t i = 0; i < r->size; i++) {
        const double before = l->batches_done > 0 ? r->seconds[i] : 0;
        const double seconds = r->figures[i].seconds;
        r->seconds[i] = before < 0 || seconds < 0 ? -1 : before + seconds;
        known = known && r->seconds[i] >= 0;
    }
    return known ? r->seconds : NULL;
}

/* In the order of the ranks, so that all come to the same. */
void det_cuda_ranks_add_up(const struct det_learner *l, struct det_cuda_ranks *r,
                           struct det_step_result *result)
{
    const double share = 1.0 / r->size;
    struct det_step_result sum = {
        .gradient_norm = result->gradient_norm,
        .rank_wait_seconds = r->wait_seconds,
        .rank_seconds = add_seconds(l, r),
    };
    for (int32_t i = 0; i < r->size; i++) {
        const struct detk_step_result *of = &r->figures[i].step;
        sum.localization_loss += of->localization_loss * share;
        sum.classification_loss += of->classification_loss * share;
        sum.regularization_loss += of->regularization_loss * share;
        sum.total_loss += of->total_loss * share;
        sum.matched_anchors += of->matched_anchors;
    }
    *result = sum;
}
