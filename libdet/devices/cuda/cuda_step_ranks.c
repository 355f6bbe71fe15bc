#include <math.h>

#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_net_ops.h"
#include "devices/cuda/cuda_step.h"
#include "ranks/communicator.h"

/* --- enqueued --- */

/* The statistics of all ranks' batches, which move those of the batch norms. */
static det_status gather_statistics(struct det_env *env, const struct det_step *s)
{
    if (s->net.mode != DET_NET_TRAIN)
        return DET_OK;
    DET_TRY_RETURN(det_cuda_ranks_ready(env, s->device, s->ranks));
    return det_cuda_ranks_gather(env, s->ranks, s->net.statistics, s->net.plan.statistics_floats);
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

static det_status backward(struct det_env *env, const struct det_step *s)
{
    DET_TRY_RETURN(det_cuda_net_scatter(env, &s->net));
    for (int32_t i = s->net.graph->op_count - 1; i >= 0; i--) {
        DET_TRY_RETURN(det_cuda_net_backward_op(env, &s->net, i));
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
    DET_TRY_RETURN(det_cuda_net_forward(env, &s->net));
    DET_TRY_RETURN(gather_statistics(env, s));
    DET_TRY_RETURN(det_cuda_step_enqueue_losses(env, s));
    DET_TRY_RETURN(backward(env, s));
    DET_TRY_RETURN(finish_norm(env, s));
    DET_TRY_RETURN(det_cuda_ranks_done(env, s->device, s->ranks));
    return det_cuda_check(env,
                          detk_mean_gradients(s->device->stream, s->chunks, s->chunk_count,
                                              s->ranks->size, s->learner->settings.clip_norm,
                                              s->ranks->left, s->gradients, s->found,
                                              s->ranks->squares),
                          "averaging the gradients");
}

/* --- at the end --- */

/* In the order of the ranks, so that all come to the same. */
static void add_up(const struct det_cuda_ranks *r, struct det_step_result *result)
{
    const double share = 1.0 / r->size;
    struct det_step_result sum = {.gradient_norm = result->gradient_norm};
    for (int32_t i = 0; i < r->size; i++) {
        const struct detk_step_result *of = &r->gathered[i];
        sum.localization_loss += of->localization_loss * share;
        sum.classification_loss += of->classification_loss * share;
        sum.regularization_loss += of->regularization_loss * share;
        sum.total_loss += of->total_loss * share;
        sum.matched_anchors += of->matched_anchors;
    }
    *result = sum;
}

det_status det_cuda_step_part(struct det_env *env, struct det_step *s, det_status status)
{
    if (s->ranks == NULL)
        return status;
    for (int i = 0; i < DET_CUDA_BATCHES; i++)
        det_cuda_graph_forget(&s->batches[i].graph);
    return det_cuda_ranks_fail(env, s->ranks, status);
}

/* What is finite is the same on all ranks, as they have asked each other on the device. */
det_status det_cuda_step_join(struct det_env *env, struct det_step *s, det_status mine,
                              struct det_step_result *result)
{
    struct det_cuda_ranks *r = s->ranks;
    det_status status =
        det_ranks_gather(env, r->communicator, s->result, r->gathered, sizeof *r->gathered);
    if (status != DET_OK)
        return det_cuda_step_part(env, s, status);
    if (s->result->finite == 0) {
        status = det_cuda_ranks_agree(env, r, mine);
        return status != DET_OK
                   ? status
                   : det_cuda_ranks_fail(env, r,
                                         det_fail(env, DET_STATUS_INTERNAL,
                                                  "no rank says why a step was not finite"));
    }
    add_up(r, result);
    return DET_OK;
}
