#include <math.h>

#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_ranks_figures.h"
#include "devices/cuda/cuda_step.h"
#include "pictures.h"
#include "ranks/communicator.h"

/* Batch for the step after the one that is under way, or for the next when none is. */
det_status det_cuda_step_stage_pictures(struct det_env *env, struct det_step *s,
                                        const struct det_picture *pictures,
                                        const struct det_ground_truth *truths)
{
    const struct det_model_spec *spec = &s->learner->spec;
    DET_TRY_RETURN(det_cuda_device_use(env, s->device));
    DET_TRY_RETURN(det_truths_check(env, truths, s->batch, spec->num_classes));
    for (int32_t n = 0; n < s->batch; n++)
        DET_TRY_RETURN(det_picture_check(env, &pictures[n], spec->input_height, spec->input_width));
    if (s->running && s->filled == s->learned)
        s->filled = s->learned == &s->batches[0] ? &s->batches[1] : &s->batches[0];
    s->staged = false;
    DET_TRY_RETURN(
        det_cuda_batch_fill(env, s->device, s->filled, pictures, s->batch, s->image_bytes, truths));
    s->staged = true;
    return DET_OK;
}

det_status det_cuda_step_stage(struct det_env *env, struct det_step *s, const float *images,
                               const struct det_ground_truth *truths)
{
    const int32_t height = s->learner->spec.input_height, width = s->learner->spec.input_width;
    for (int32_t n = 0; n < s->batch; n++, images += (size_t)height * (size_t)width * 3)
        s->given[n] = (struct det_picture){.pixels = images,
                                           .in_float = true,
                                           .height = height,
                                           .width = width,
                                           .frame_height = height,
                                           .frame_width = width};
    return det_cuda_step_stage_pictures(env, s, s->given, truths);
}

/* What the stream gets from now on has the staged batch. */
static det_status take_staged(struct det_env *env, struct det_step *s)
{
    if (s->running || !s->staged)
        return det_fail(env, DET_STATUS_INTERNAL, "a training step without %s",
                        s->running ? "the end of the one before" : "a batch");
    s->learned = s->filled;
    s->staged = false;
    return det_cuda_input_awaited(env, s->device, s->learned->uploaded);
}

/* Which network is next: what was recorded of the other is of no use any more. */
static void choose_net(struct det_step *s)
{
    const struct det_learner *l = s->learner;
    if (!s->rounds && det_learner_rounds(l)) {
        s->rounds = true;
        for (int i = 0; i < DET_CUDA_BATCHES; i++)
            det_cuda_graph_forget(&s->batches[i].graph);
    }
    if (s->rounds)
        det_cuda_fold_stage(l, &s->fold);
}

/* What the update's kernels want to know: what depends on the number of updates done is in the
 * rates. */
static void stage_hyper(struct det_step *s, float learning_rate)
{
    const struct det_learner *l = s->learner;
    const struct det_learner_settings *settings = &l->settings;
    if (settings->rule == DET_UPDATE_RMSPROP)
        learning_rate *= det_rmsprop_rate_factor(settings->rmsprop_decay, l->updates);
    if (settings->rule == DET_UPDATE_ADAM)
        learning_rate *= det_adam_correction(&settings->adam, l->updates);
    *s->staged_hyper = (struct detk_hyper){
        .learning_rate = learning_rate,
        .average_rate = det_average_rate(settings->average_decay, l->updates + 1),
        .batches_done = l->batches_done,
    };
    s->result->finite = 0; /* until the device says something else */
}

/* Divides the losses by what was matched on all ranks. */
static bool joins_losses(const struct det_step *s)
{
    return s->ranks != NULL && s->learner->settings.sync_batch_norm;
}

det_status det_cuda_step_enqueue_losses(struct det_env *env, const struct det_step *s)
{
    const struct det_learner *l = s->learner;
    const cudaStream_t stream = s->device->stream;
    const int32_t anchors = l->graph.anchor_count;
    const struct det_cuda_truths *staged = &s->learned->truths;
    const struct det_cuda_net *net = det_cuda_step_net(s);
    const struct detk_truths truths = det_cuda_truths_of(staged);
    DET_TRY_RETURN(det_cuda_check(
        env,
        detk_targets_assign(stream, &l->settings.targets, (const float(*)[4])s->anchors, anchors,
                            s->batch, staged->capacity, &truths, &s->targets,
                            det_cuda_truths_workspace(staged)),
        "assigning the targets"));
    if (joins_losses(s))
        DET_TRY_RETURN(det_cuda_sync_weights(env, s->device, &s->sync, &s->targets));
    return det_cuda_check(
        env,
        detk_losses(stream, &l->settings.loss, s->batch, anchors, l->spec.num_classes, &s->targets,
                    joins_losses(s) ? s->ranks->size : 1, net->logits, net->encodings,
                    net->logit_gradients, net->encoding_gradients, s->losses, s->workspace),
        "computing the losses");
}

det_status det_cuda_step_enqueue_input(struct det_env *env, const struct det_step *s)
{
    const struct det_learner *l = s->learner;
    const struct det_tensor input = l->graph.tensors[0];
    DET_TRY_RETURN(det_cuda_truths_enqueue(env, s->device, &s->learned->truths));
    return det_cuda_check(env,
                          detk_pictures(s->device->stream, s->device->type, s->learned->table,
                                        s->batch, s->learned->contrasts, l->spec.input_height,
                                        l->spec.input_width, input.height, input.width,
                                        det_cuda_net_input(det_cuda_step_net(s)), s->picture_sums),
                          "making the input of the pictures");
}

det_status det_cuda_step_enqueue_norm(struct det_env *env, const struct det_step *s)
{
    const struct det_learner *l = s->learner;
    return det_cuda_check(env,
                          detk_gradient_norm(s->device->stream, s->chunks, s->chunk_count,
                                             l->settings.add_regularization_loss,
                                             l->settings.clip_norm, s->params, s->gradients,
                                             s->losses, s->found, s->workspace),
                          "measuring the gradients");
}

det_status det_cuda_step_enqueue_forward(struct det_env *env, const struct det_step *s)
{
    return s->rounds ? det_cuda_fold_forward(env, &s->fold, s->params)
                     : det_cuda_net_forward(env, &s->net);
}

/* From the images and boxes on the device to s->found. */
static det_status enqueue_gradients(struct det_env *env, const struct det_step *s)
{
    DET_TRY_RETURN(det_cuda_step_enqueue_input(env, s));
    DET_TRY_RETURN(det_cuda_step_enqueue_forward(env, s));
    DET_TRY_RETURN(det_cuda_step_enqueue_losses(env, s));
    DET_TRY_RETURN(s->rounds ? det_cuda_fold_backward(env, &s->fold, s->params, s->gradients)
                             : det_cuda_net_backward(env, &s->net));
    return det_cuda_step_enqueue_norm(env, s);
}

static cudaError_t update_params(const struct det_step *s)
{
    const struct det_learner_settings *settings = &s->learner->settings;
    const cudaStream_t stream = s->device->stream;
    switch (settings->rule) {
    case DET_UPDATE_MOMENTUM:
        break;
    case DET_UPDATE_RMSPROP:
        return detk_rmsprop(stream, s->chunks, s->chunk_count, &settings->rmsprop, s->hyper,
                            s->found, s->params, s->gradients, s->slots[0], s->slots[1]);
    case DET_UPDATE_ADAM:
        return detk_adam(stream, s->chunks, s->chunk_count, &settings->adam, s->hyper, s->found,
                         s->params, s->gradients, s->slots[0], s->slots[1]);
    }
    return detk_sgd(stream, s->chunks, s->chunk_count, settings->momentum, s->hyper, s->found,
                    s->params, s->gradients, s->slots[0]);
}

static det_status enqueue_hyper(struct det_env *env, const struct det_step *s)
{
    return det_cuda_enqueue_upload(env, s->device, s->hyper, s->staged_hyper, sizeof *s->hyper,
                                   "uploading the learning rate");
}

static cudaError_t accumulate(const struct det_step *s)
{
    const struct det_learner_settings *settings = &s->learner->settings;
    return detk_accumulate_gradients(s->device->stream, s->chunks, s->chunk_count,
                                     settings->accumulate, settings->clip_norm, s->hyper,
                                     s->gradients, s->sums, s->so_far, s->found, s->workspace);
}

/* Nothing is updated when s->found says that the step is not finite, and no weight before the last
 * of several batches. */
det_status det_cuda_step_enqueue_update(struct det_env *env, const struct det_step *s)
{
    const struct det_learner *l = s->learner;
    DET_TRY_RETURN(det_cuda_check(env, update_params(s), "updating the parameters"));
    if (l->average_slot >= 0)
        DET_TRY_RETURN(
            det_cuda_check(env,
                           detk_average(s->device->stream, s->chunks, s->chunk_count, s->hyper,
                                        s->found, s->params, s->slots[l->average_slot]),
                           "updating the moving averages"));
    if (s->rounds) /* its weights are made of the parameters before each forward */
        return det_cuda_fold_keep(env, &s->fold,
                                  s->ranks != NULL ? s->ranks->seen : det_cuda_fold_seen(&s->fold),
                                  s->ranks != NULL ? s->ranks->size : 1, s->hyper, s->found);
    if (s->net.mode == DET_NET_TRAIN)
        DET_TRY_RETURN(det_cuda_check(env,
                                      detk_bn_update_moving(s->device->stream, s->moving, s->heads,
                                                            s->moving_runs, &s->found->finite),
                                      "updating the moving statistics"));
    return det_cuda_net_refresh_params(env, &s->net);
}

static det_status enqueue_result(struct det_env *env, struct det_step *s)
{
    return det_cuda_enqueue_download(env, s->device, s->result, s->found, sizeof *s->result,
                                     "fetching the result");
}

static det_status whole_step(struct det_env *env, void *argument)
{
    struct det_step *s = argument;
    DET_TRY_RETURN(s->ranks == NULL ? enqueue_gradients(env, s)
                                    : det_cuda_step_enqueue_joined(env, s));
    DET_TRY_RETURN(enqueue_hyper(env, s));
    if (s->learner->settings.accumulate > 1)
        DET_TRY_RETURN(det_cuda_check(env, accumulate(s), "accumulating the gradients"));
    DET_TRY_RETURN(det_cuda_step_enqueue_update(env, s));
    return enqueue_result(env, s);
}

/* The step's figures, and an error when one is not finite, as det_learner_gradients() words it.
 * Where they are not finite on another rank only, this one has nothing to say. */
static det_status take_result(struct det_env *env, struct det_step *s,
                              struct det_step_result *result)
{
    const struct detk_step_result *found = s->result;
    *result = (struct det_step_result){
        .localization_loss = found->localization_loss,
        .classification_loss = found->classification_loss,
        .regularization_loss = found->regularization_loss,
        .total_loss = found->total_loss,
        .gradient_norm = found->gradient_norm,
        .matched_anchors = found->matched_anchors,
    };
    if (found->finite != 0 || (isfinite(found->total_loss) && isfinite(found->gradient_norm)))
        return DET_OK;
    if (isfinite(found->total_loss))
        return det_fail(env, DET_STATUS_NON_FINITE, "the gradient's norm is %g (loss %g)",
                        found->gradient_norm, found->total_loss);
    const char *layer = NULL;
    DET_TRY_RETURN(det_cuda_net_first_non_finite(env, det_cuda_step_net(s), &layer));
    if (layer == NULL && det_cuda_step_net(s)->sync != NULL)
        return DET_OK; /* as far as this rank goes */
    return det_fail(env, DET_STATUS_NON_FINITE, "the loss is %g; first bad layer: %s",
                    found->total_loss, layer != NULL ? layer : "none, the loss itself");
}

/* After a wait that succeeded the uploads before it are over. */
static det_status wait(struct det_env *env, struct det_step *s, const char *what)
{
    s->running = false;
    DET_TRY_RETURN(det_cuda_ranks_wait(env, s->device, s->ranks, what));
    s->learned->under_way = false;
    return DET_OK;
}

/* Half a step was enqueued, or nobody waited for its end: its input may be filled anew when it is
 * over. */
static det_status given_up(struct det_env *env, struct det_step *s, det_status status)
{
    (void)det_cuda_step_part(env, s, status);
    (void)cudaStreamSynchronize(s->device->stream);
    return status;
}

/* Ranks that have parted do not come together again. */
static det_status check_ranks(struct det_env *env, const struct det_step *s)
{
    if (s->ranks == NULL || !s->ranks->over)
        return DET_OK;
    DET_TRY_RETURN(det_ranks_check(env, s->ranks->communicator));
    return det_fail(env, DET_STATUS_DEVICE, "a training step after the ranks have parted");
}

/* As a recording where that is possible. */
static det_status run(struct det_env *env, struct det_step *s)
{
    return s->ranks == NULL || s->ranks->captures
               ? det_cuda_graph_run(env, s->device, &s->learned->graph, whole_step, s)
               : whole_step(env, s);
}

det_status det_cuda_step_gradients(struct det_env *env, struct det_step *s, const float *images,
                                   const struct det_ground_truth *truths,
                                   struct det_step_result *result)
{
    *result = (struct det_step_result){0};
    DET_TRY_RETURN(det_cuda_step_stage(env, s, images, truths));
    DET_TRY_RETURN(take_staged(env, s));
    choose_net(s);
    det_status status = enqueue_gradients(env, s);
    if (status == DET_OK)
        status = enqueue_result(env, s);
    if (status != DET_OK)
        return given_up(env, s, status);
    DET_TRY_RETURN(wait(env, s, "computing the gradients"));
    return take_result(env, s, result);
}

det_status det_cuda_step_update(struct det_env *env, struct det_step *s, float learning_rate,
                                const struct det_step_result *result)
{
    (void)result; /* the device has it */
    if (s->ranks != NULL)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "an update apart from its gradients by several ranks on cuda");
    DET_TRY_RETURN(det_cuda_device_use(env, s->device));
    stage_hyper(s, learning_rate);
    DET_TRY_RETURN(enqueue_hyper(env, s));
    DET_TRY_RETURN(det_cuda_step_enqueue_update(env, s));
    DET_TRY_RETURN(det_cuda_device_wait(env, s->device, "updating the parameters"));
    s->learner->ranges.updates += s->rounds;
    return DET_OK;
}

det_status det_cuda_step_begin(struct det_env *env, struct det_step *s, float learning_rate)
{
    DET_TRY_RETURN(check_ranks(env, s));
    det_status status = det_cuda_device_use(env, s->device);
    if (status == DET_OK && s->ranks != NULL)
        status =
            det_cuda_ranks_begin(env, s->device, s->learner, s->ranks, s->params, s->workspace);
    if (status == DET_OK)
        status = take_staged(env, s);
    if (status != DET_OK)
        return det_cuda_step_part(env, s, status);
    choose_net(s);
    stage_hyper(s, learning_rate);
    status = run(env, s);
    if (status != DET_OK)
        return given_up(env, s, status);
    s->running = true;
    return DET_OK;
}

det_status det_cuda_step_end(struct det_env *env, struct det_step *s,
                             struct det_step_result *result)
{
    *result = (struct det_step_result){0};
    if (!s->running)
        return det_fail(env, DET_STATUS_INTERNAL, "the end of no training step");
    det_status status = det_cuda_device_use(env, s->device);
    if (status != DET_OK)
        return det_cuda_step_part(env, s, status);
    status = wait(env, s, "a training step");
    if (status != DET_OK)
        DET_TRY_RETURN(det_cuda_step_salvage(env, s, given_up(env, s, status)));
    const bool alone = s->ranks == NULL || status != DET_OK;
    status = take_result(env, s, result);
    if (!alone)
        status = det_cuda_step_join(env, s, status, result);
    DET_TRY_RETURN(status);
    s->learner->ranges.updates +=
        s->rounds && s->learner->batches_done + 1 == s->learner->settings.accumulate;
    return DET_OK;
}
