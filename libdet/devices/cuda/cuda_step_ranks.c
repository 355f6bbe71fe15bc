#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_net_ops.h"
#include "devices/cuda/cuda_ranks_figures.h"
#include "devices/cuda/cuda_step.h"
#include "ranks/communicator.h"

/* --- enqueued --- */

/* What a forward leaves beside its outputs, of all ranks: the statistics of their batches, which
 * move those of the batch norms, unless these have them already; in 8 bits the ranges. */
static det_status gather_seen(struct det_env *env, const struct det_step *s)
{
    const struct det_cuda_ranks *r = s->ranks;
    const float *mine = s->rounds ? det_cuda_fold_seen(&s->fold) : s->net.statistics;
    const size_t count =
        s->rounds ? det_cuda_fold_seen_count(&s->fold) : s->net.plan.statistics_floats;
    if (!s->rounds && (s->net.mode != DET_NET_TRAIN || s->net.sync != NULL))
        return DET_OK;
    DET_TRY_RETURN(det_cuda_ranks_ready(env, s->device, r));
    return det_cuda_ranks_gather(env, r, mine, count, DET_NCCL_FLOAT32, r->seen);
}

/* A bucket that has all its gradients gets its weight decay and leaves. */
static det_status send(struct det_env *env, const struct det_step *s,
                       const struct det_cuda_bucket *bucket)
{
    DET_TRY_RETURN(det_cuda_check(
        env,
        detk_gradient_norm_chunks(s->device->stream, s->chunks, bucket->first_chunk,
                                  bucket->chunk_count, s->learner->settings.add_regularization_loss,
                                  s->params, s->gradients, s->ranks->squares),
        "measuring the gradients"));
    DET_TRY_RETURN(det_cuda_ranks_ready(env, s->device, s->ranks));
    return det_cuda_ranks_sum(env, s->ranks, bucket, s->gradients);
}

static det_status send_complete(struct det_env *env, const struct det_step *s, int32_t passed)
{
    const struct det_cuda_buckets *b = &s->ranks->buckets;
    for (int32_t i = 0; i < b->count; i++)
        if (b->buckets[i].complete_at == passed)
            DET_TRY_RETURN(send(env, s, &b->buckets[i]));
    return DET_OK;
}

/* Folded gradients become the parameters' all at once. */
static det_status backward_folded(struct det_env *env, const struct det_step *s)
{
    const struct det_cuda_buckets *b = &s->ranks->buckets;
    DET_TRY_RETURN(det_cuda_fold_backward(env, &s->fold, s->params, s->gradients));
    for (int32_t i = 0; i < b->count; i++)
        DET_TRY_RETURN(send(env, s, &b->buckets[i]));
    return DET_OK;
}

static det_status backward(struct det_env *env, const struct det_step *s)
{
    struct det_cuda_net rest;
    DET_TRY_RETURN(det_cuda_net_scatter(env, &s->net));
    DET_TRY_RETURN(det_cuda_branches_backward(env, &s->net, &rest));
    for (int32_t i = s->net.graph->op_count - 1; i >= 0; i--) {
        if (det_cuda_branches_left(&rest, i))
            DET_TRY_RETURN(det_cuda_net_backward_op(env, &rest, i));
        DET_TRY_RETURN(send_complete(env, s, i));
    }
    return DET_OK;
}

/* Of this rank; then whether it is finite on all. */
static det_status finish_norm(struct det_env *env, const struct det_step *s)
{
    DET_TRY_RETURN(det_cuda_check(env,
                                  detk_gradient_norm_finish(s->device->stream, s->chunk_count,
                                                            s->learner->settings.clip_norm,
                                                            s->losses, s->found, s->ranks->squares),
                                  "measuring the gradients"));
    DET_TRY_RETURN(det_cuda_ranks_ready(env, s->device, s->ranks));
    return det_cuda_ranks_lowest(env, s->ranks, &s->found->finite);
}

det_status det_cuda_step_enqueue_joined(struct det_env *env, const struct det_step *s)
{
    DET_TRY_RETURN(det_cuda_step_enqueue_input(env, s));
    DET_TRY_RETURN(det_cuda_step_enqueue_forward(env, s));
    DET_TRY_RETURN(gather_seen(env, s));
    DET_TRY_RETURN(det_cuda_step_enqueue_losses(env, s));
    DET_TRY_RETURN(s->rounds ? backward_folded(env, s) : backward(env, s));
    DET_TRY_RETURN(finish_norm(env, s));
    DET_TRY_RETURN(det_cuda_ranks_worked(env, s->device, s->ranks));
    DET_TRY_RETURN(det_cuda_ranks_done(env, s->device, s->ranks));
    DET_TRY_RETURN(det_cuda_ranks_met(env, s->device, s->ranks));
    return det_cuda_check(env,
                          detk_mean_gradients(s->device->stream, s->chunks, s->chunk_count,
                                              s->ranks->size, s->learner->settings.clip_norm,
                                              s->ranks->left, s->gradients, s->found,
                                              s->ranks->squares),
                          "averaging the gradients");
}

/* --- at the end --- */

det_status det_cuda_step_part(struct det_env *env, struct det_step *s, det_status status)
{
    if (s->ranks == NULL)
        return status;
    for (int i = 0; i < DET_CUDA_BATCHES; i++)
        det_cuda_graph_forget(&s->batches[i].graph);
    return det_cuda_ranks_fail(env, s->ranks, status);
}

/* Its figures are this rank's own then. */
det_status det_cuda_step_salvage(struct det_env *env, struct det_step *s, det_status status)
{
    const bool over = cudaStreamQuery(s->device->stream) == cudaSuccess;
    (void)cudaGetLastError();
    if (s->ranks == NULL || !over || s->result->finite == 0)
        return status;
    s->learned->under_way = false;
    det_forget_error(env);
    return DET_OK;
}

/* What is finite is the same on all ranks, as they have asked each other on the device. With batch
 * norms over all ranks it may be none's own part that is not. */
static det_status say_why(struct det_env *env, const struct det_step *s, det_status mine)
{
    DET_TRY_RETURN(det_cuda_ranks_agree(env, s->ranks, mine));
    return det_fail(env, DET_STATUS_NON_FINITE,
                    "a step of all ranks was not finite (loss %g here), and no rank's part alone "
                    "is why",
                    s->result->total_loss);
}

det_status det_cuda_step_join(struct det_env *env, struct det_step *s, det_status mine,
                              struct det_step_result *result)
{
    struct det_cuda_ranks *r = s->ranks;
    bool met;
    const det_status status = det_cuda_ranks_exchange(env, s->learner, r, result, &met);
    if (status != DET_OK) {
        (void)det_cuda_step_part(env, s, status);
        return met ? status : det_cuda_step_salvage(env, s, status);
    }
    if (s->result->finite == 0)
        return say_why(env, s, mine);
    det_cuda_ranks_add_up(s->learner, r, result);
    return DET_OK;
}
