/* cpu_step.c: a training step on the CPU. It reads the learner (model/learner_state.h), since that
 * is where a step is defined: its graph, settings and arrays. */
#include <math.h>
#include <string.h>

#include "base/pool.h"
#include "devices/cpu/cpu_device.h"
#include "devices/cpu/cpu_ranks.h"
#include "devices/precision.h"
#include "model/fold.h"
#include "model/learner_state.h"
#include "model/losses.h"
#include "model/net.h"
#include "model/optimizer.h"
#include "model/regularization.h"
#include "model/targets.h"
#include "ranks/communicator.h"
#include "support/mem.h"

struct det_step {
    struct det_learner *learner; /* borrowed */
    struct det_pool *pool;
    const struct det_ops *ops;
    struct det_net *net;
    bool rounds;          /* that is the folded network, trained with the rounding of 8 bits */
    struct det_fold fold; /* then */
    struct det_targets *targets;
    struct det_losses *losses;
    size_t net_bytes;
    /* Given by stage and begin, for end. */
    const float *images;
    const struct det_ground_truth *truths;
    float learning_rate;
    /* With accumulation: of the batches so far. */
    float *sums;                     /* [param_floats] */
    float *range_sums, *ranges_seen; /* vectors of act_ranges.h, with quantise */
    struct det_step_result so_far;
    /* With several ranks: made with the first batch, when it is known what is frozen. */
    struct det_cpu_ranks *ranks;
    bool joins;     /* the batch under way is part of an update of all ranks */
    double squares; /* of its gradients that are complete */
};

/* Bytes of the network, of the larger one where another follows. */
static det_status count_bytes(struct det_env *env, const struct det_device *device,
                              const struct det_learner *l, size_t *bytes)
{
    const int threads = det_pool_threads(device->pool);
    const int32_t batch = l->settings.batch_size;
    DET_TRY_RETURN(det_net_memory_bytes(env, &l->graph, device->ops, threads, batch,
                                        det_learner_mode(l), bytes));
    return l->settings.quantise
               ? det_fold_widen_bytes(env, &l->spec, device->ops, threads, batch, bytes)
               : DET_OK;
}

/* Of an update of several batches. */
static det_status make_sums(struct det_env *env, struct det_step *step)
{
    const struct det_learner *l = step->learner;
    const size_t ranges = det_act_ranges_values(&l->ranges);
    DET_TRY_RETURN(
        det_alloc(env, &step->sums, l->graph.param_floats, sizeof(float), "accumulated gradients"));
    if (!l->settings.quantise)
        return DET_OK;
    DET_TRY_RETURN(det_alloc(env, &step->range_sums, ranges, sizeof(float), "accumulated ranges"));
    return det_alloc(env, &step->ranges_seen, ranges, sizeof(float), "accumulated ranges");
}

det_status det_cpu_step_create(struct det_env *env, struct det_device *device,
                               struct det_learner *l, struct det_step **out)
{
    const struct det_learner_settings *settings = &l->settings;
    const int32_t batch = settings->batch_size, anchors = l->graph.anchor_count;
    struct det_step *step = NULL;
    det_status status = DET_OK;
    *out = NULL;
    DET_TRY_RETURN(det_precision_trains(env, device->precision));
    DET_TRY_RETURN(det_alloc(env, &step, 1, sizeof *step, "training step"));
    step->learner = l;
    step->pool = device->pool;
    step->ops = device->ops;
    DET_TRY(det_net_create(env, &l->graph, device->ops, device->pool, batch, det_learner_mode(l),
                           &step->net));
    DET_TRY(count_bytes(env, device, l, &step->net_bytes));
    DET_TRY(det_targets_create(env, &settings->targets, (const float(*)[4])l->anchors, anchors,
                               l->spec.num_classes, batch, &step->targets));
    DET_TRY(det_losses_create(env, &settings->loss, batch, anchors, l->spec.num_classes,
                              &step->losses));
    if (settings->accumulate > 1 && !det_ranks_are_many(settings->communicator))
        DET_TRY(make_sums(env, step));
    *out = step;
    return DET_OK;
fail:
    det_cpu_step_destroy(env, &step);
    return status;
}

void det_cpu_step_destroy(struct det_env *env, struct det_step **out)
{
    struct det_step *step = *out;
    if (step == NULL)
        return;
    det_net_destroy(env, &step->net);
    det_fold_free(env, &step->fold);
    det_targets_destroy(env, &step->targets);
    det_losses_destroy(env, &step->losses);
    det_cpu_ranks_destroy(env, &step->ranks);
    det_free(env, &step->sums);
    det_free(env, &step->range_sums);
    det_free(env, &step->ranges_seen);
    det_free(env, out);
}

struct det_net *det_cpu_step_net(struct det_step *step)
{
    return step->net;
}

size_t det_cpu_step_bytes(const struct det_step *step)
{
    return step->net_bytes;
}

/* Adds the gradient of the regularization to that of a parameter, and measures it. */
static void finish_gradient(void *user, int32_t p)
{
    struct det_step *step = user;
    struct det_learner *l = step->learner;
    const struct det_param *param = &l->graph.params[p];
    float *gradient = l->gradients + param->offset;
    if (param->l2 > 0 && l->settings.add_regularization_loss)
        det_l2_add_gradient(step->pool, l->params + param->offset, gradient, param->count,
                            param->l2);
    step->squares += det_sum_of_squares(step->pool, gradient, param->count);
}

/* Of a batch that is this process's alone. */
static void finish_gradients(struct det_step *step)
{
    const struct det_learner *l = step->learner;
    for (int32_t p = 0; p < l->graph.param_count; p++)
        if (l->trainable[p])
            finish_gradient(step, p);
}

static void passed(void *user, int32_t op)
{
    const struct det_step *step = user;
    det_cpu_ranks_passed(step->ranks, op);
}

/* The folded network in the other's place when its time has come: one memory, not two. */
static det_status choose_net(struct det_env *env, struct det_step *step)
{
    const struct det_learner *l = step->learner;
    det_status status = DET_OK;
    if (step->rounds || !det_learner_rounds(l))
        return DET_OK;
    det_net_destroy(env, &step->net);
    DET_TRY(det_fold_create(env, &l->spec, &l->graph, &step->fold));
    DET_TRY(det_net_create(env, &step->fold.graph, step->ops, step->pool, l->settings.batch_size,
                           DET_NET_TRAIN_FOLDED, &step->net));
    det_net_round(step->net, &l->ranges);
    step->rounds = true;
    return DET_OK;
fail:
    det_fold_free(env, &step->fold);
    return status;
}

static void forward(struct det_step *step, const float *images)
{
    const struct det_learner *l = step->learner;
    det_net_set_images(step->net, images, l->spec.input_height, l->spec.input_width);
    if (step->rounds)
        det_fold_params(&step->fold, step->pool, l->params, &l->ranges);
    det_net_forward(step->net, step->rounds ? step->fold.params : l->params);
}

static void backward(struct det_step *step)
{
    struct det_learner *l = step->learner;
    step->squares = 0;
    if (step->rounds) {
        det_net_backward(step->net, step->fold.params, step->fold.gradients);
        det_fold_gradients(&step->fold, step->pool, l->params, l->gradients);
    } else {
        det_net_watch_backward(step->net, step->joins ? passed : NULL, step);
        det_net_backward(step->net, l->params, l->gradients);
    }
    if (step->joins && !det_net_was_stopped(step->net))
        det_cpu_ranks_passed(step->ranks, 0);
    else if (!step->joins)
        finish_gradients(step);
}

static det_status check_stopped(struct det_env *env, const struct det_step *step)
{
    return step->joins && det_net_was_stopped(step->net)
               ? det_fail(env, DET_STATUS_CANCELLED, "the step was stopped")
               : DET_OK;
}

/* With several batches an update each begins with the ranges before it, as ranks do; their mean is
 * what the update leaves. */
static void accumulate_ranges(const struct det_step *step)
{
    struct det_learner *l = step->learner;
    const size_t count = det_act_ranges_values(&l->ranges);
    const bool first = l->batches_done == 0, last = l->batches_done + 1 == l->settings.accumulate;
    if (!step->rounds)
        return;
    det_net_seen_ranges(step->net, step->ranges_seen);
    if (first)
        memcpy(step->range_sums, step->ranges_seen, count * sizeof(float));
    else
        det_add(NULL, step->range_sums, step->ranges_seen, count);
    if (!last)
        return;
    det_scale(NULL, step->range_sums, count, (float)(1.0 / l->settings.accumulate));
    det_act_ranges_put(&l->ranges, step->range_sums);
}

/* What a batch leaves behind beside its gradients. */
static void update_moving(const struct det_step *step)
{
    det_net_update_moving(step->net, step->learner->params);
    if (step->range_sums != NULL)
        accumulate_ranges(step);
    else
        det_net_update_ranges(step->net, &step->learner->ranges);
}

static det_status check_loss(struct det_env *env, const struct det_net *net,
                             const struct det_step_result *result)
{
    if (isfinite(result->total_loss))
        return DET_OK;
    const char *layer = det_net_first_non_finite(net);
    return det_fail(env, DET_STATUS_NON_FINITE, "the loss is %g; first bad layer: %s",
                    result->total_loss, layer != NULL ? layer : "none, the loss itself");
}

/* Ranks that normalise together go backward together, or none of them does. */
static det_status agree_on_loss(struct det_env *env, const struct det_step *step, det_status mine)
{
    const struct det_learner_settings *s = &step->learner->settings;
    return step->joins && s->sync_batch_norm ? det_ranks_agree(env, s->communicator, mine) : mine;
}

det_status det_cpu_step_gradients(struct det_env *env, struct det_step *step, const float *images,
                                  const struct det_ground_truth *truths,
                                  struct det_step_result *result)
{
    struct det_learner *l = step->learner;
    *result = (struct det_step_result){.failed_rank = -1};
    DET_TRY_RETURN(choose_net(env, step));
    struct det_net *net = step->net;
    forward(step, images);
    DET_TRY_RETURN(check_stopped(env, step));
    if (step->joins)
        det_cpu_ranks_forward_done(step->ranks);
    DET_TRY_RETURN(
        det_targets_assign(env, step->targets, step->pool, truths, l->settings.batch_size));
    if (step->joins) {
        double normalizer;
        DET_TRY_RETURN(det_cpu_ranks_normalizer(step->ranks, step->targets, &normalizer));
        det_losses_divide_by(step->losses, normalizer);
    }
    struct det_loss_values values;
    DET_TRY_RETURN(det_losses_compute(
        env, step->losses, step->pool, step->targets, det_net_logits(net), det_net_encodings(net),
        &values, det_net_logit_gradients(net), det_net_encoding_gradients(net)));
    result->matched_anchors = step->targets->matched_count;
    result->localization_loss = values.localization;
    result->classification_loss = values.classification;
    if (l->settings.add_regularization_loss)
        result->regularization_loss = det_regularization_loss(&l->graph, step->pool, l->params);
    result->total_loss =
        result->localization_loss + result->classification_loss + result->regularization_loss;
    DET_TRY_RETURN(agree_on_loss(env, step, check_loss(env, net, result)));
    backward(step);
    DET_TRY_RETURN(check_stopped(env, step));
    result->gradient_norm = sqrt(step->squares);
    if (!isfinite(result->gradient_norm))
        return det_fail(env, DET_STATUS_NON_FINITE, "the gradient's norm is %g (loss %g)",
                        result->gradient_norm, result->total_loss);
    return DET_OK;
}

static void update_param(const struct det_step *step, const struct det_param *param,
                         float learning_rate)
{
    struct det_learner *l = step->learner;
    const struct det_learner_settings *s = &l->settings;
    const size_t at = param->offset, count = param->count;
    float *params = l->params + at, *gradient = l->gradients + at;
    switch (s->rule) {
    case DET_UPDATE_MOMENTUM:
        det_sgd_update(step->pool, params, gradient, l->slots[0] + at, count, learning_rate,
                       s->momentum);
        break;
    case DET_UPDATE_RMSPROP:
        det_rmsprop_update(step->pool, &s->rmsprop, params, gradient, l->slots[0] + at,
                           l->slots[1] + at, count, learning_rate);
        break;
    case DET_UPDATE_ADAM:
        det_adam_update(step->pool, &s->adam, params, gradient, l->slots[0] + at, l->slots[1] + at,
                        count, learning_rate, l->updates);
        break;
    }
}

/* Averages of the weights after an update. */
static void update_averages(const struct det_step *step)
{
    struct det_learner *l = step->learner;
    float *averages = l->slots[l->average_slot];
    const float rate = det_average_rate(l->settings.average_decay, l->updates + 1);
    for (int32_t p = 0; p < l->graph.param_count; p++) {
        const struct det_param *param = &l->graph.params[p];
        if (param->trainable)
            det_average_update(step->pool, l->params + param->offset, averages + param->offset,
                               param->count, rate);
    }
}

static void update(const struct det_step *step, float learning_rate,
                   const struct det_step_result *result)
{
    struct det_learner *l = step->learner;
    const struct det_learner_settings *s = &l->settings;
    const float clip =
        s->clip_norm > 0 ? det_clip_factor(result->gradient_norm, s->clip_norm) : 1.0f;
    if (s->rule == DET_UPDATE_RMSPROP)
        learning_rate *= det_rmsprop_rate_factor(s->rmsprop_decay, l->updates);
    for (int32_t p = 0; p < l->graph.param_count; p++) {
        const struct det_param *param = &l->graph.params[p];
        if (!l->trainable[p])
            continue;
        if (clip != 1.0f)
            det_scale(step->pool, l->gradients + param->offset, param->count, clip);
        update_param(step, param, learning_rate);
    }
    if (l->average_slot >= 0)
        update_averages(step);
}

det_status det_cpu_step_update(struct det_env *env, struct det_step *step, float learning_rate,
                               const struct det_step_result *result)
{
    (void)env;
    update(step, learning_rate, result);
    update_moving(step);
    return DET_OK;
}

det_status det_cpu_step_stage(struct det_env *env, struct det_step *step, const float *images,
                              const struct det_ground_truth *truths)
{
    (void)env;
    step->images = images;
    step->truths = truths;
    return DET_OK;
}

det_status det_cpu_step_begin(struct det_env *env, struct det_step *step, float learning_rate)
{
    (void)env;
    step->learning_rate = learning_rate;
    return DET_OK;
}

/* Takes one batch in; with the last one the gradients and the result become the means. */
static void accumulate(struct det_step *step, struct det_step_result *result)
{
    struct det_learner *l = step->learner;
    struct det_step_result *sum = &step->so_far;
    const bool first = l->batches_done == 0, last = l->batches_done + 1 == l->settings.accumulate;
    const double share = 1.0 / l->settings.accumulate;
    double squares = 0;
    if (first)
        *sum = (struct det_step_result){.failed_rank = -1};
    sum->localization_loss += result->localization_loss * share;
    sum->classification_loss += result->classification_loss * share;
    sum->regularization_loss += result->regularization_loss * share;
    sum->total_loss += result->total_loss * share;
    sum->matched_anchors += result->matched_anchors;
    for (int32_t p = 0; p < l->graph.param_count; p++) {
        const struct det_param *param = &l->graph.params[p];
        float *sums = step->sums + param->offset, *gradient = l->gradients + param->offset;
        if (!l->trainable[p])
            continue;
        if (first)
            memcpy(sums, gradient, param->count * sizeof *sums);
        else
            det_add(step->pool, sums, gradient, param->count);
        if (!last)
            continue;
        memcpy(gradient, sums, param->count * sizeof *sums);
        det_scale(step->pool, gradient, param->count, (float)share);
        squares += det_sum_of_squares(step->pool, gradient, param->count);
    }
    if (last) {
        *result = *sum;
        result->gradient_norm = sqrt(squares);
    }
}

/* A batch of this process alone. */
static det_status end_alone(struct det_env *env, struct det_step *step,
                            struct det_step_result *result)
{
    const struct det_learner *l = step->learner;
    DET_TRY_RETURN(det_cpu_step_gradients(env, step, step->images, step->truths, result));
    if (l->settings.accumulate > 1)
        accumulate(step, result);
    if (l->batches_done + 1 == l->settings.accumulate)
        update(step, step->learning_rate, result);
    update_moving(step);
    return DET_OK;
}

/* A batch of one rank of several. */
static det_status end_with_others(struct det_env *env, struct det_step *step,
                                  struct det_step_result *result)
{
    struct det_learner *l = step->learner;
    if (step->ranks == NULL)
        DET_TRY_RETURN(
            det_cpu_ranks_create(env, l, step->pool, finish_gradient, step, &step->ranks));
    DET_TRY_RETURN(choose_net(env, step));
    det_net_ask(step->net, l->settings.wants_stop, l->settings.wants_stop_user);
    det_cpu_ranks_begin(env, step->ranks, step->net);
    step->joins = true;
    const det_status mine = det_cpu_step_gradients(env, step, step->images, step->truths, result);
    step->joins = false;
    if (mine == DET_STATUS_CANCELLED) /* the others are told in another way, and do not wait */
        return mine;
    DET_TRY_RETURN(det_cpu_ranks_join(step->ranks, mine, result));
    if (l->batches_done + 1 == l->settings.accumulate)
        update(step, step->learning_rate, result);
    return DET_OK;
}

det_status det_cpu_step_end(struct det_env *env, struct det_step *step,
                            struct det_step_result *result)
{
    return det_ranks_are_many(step->learner->settings.communicator)
               ? end_with_others(env, step, result)
               : end_alone(env, step, result);
}
