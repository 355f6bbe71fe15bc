#include "train/learner.h"

#include <math.h>

#include "base/mem.h"
#include "model/anchors.h"

void det_learner_settings_default(struct det_learner_settings *settings)
{
    *settings = (struct det_learner_settings){
        .batch_size = 8,
        .add_regularization_loss = true,
        .rule = DET_UPDATE_MOMENTUM,
        .momentum = 0.9f,
        .adam = DET_ADAM_DEFAULT,
        .rmsprop = {.rho = 0.9f, .momentum = 0.9f, .epsilon = 1.0f},
    };
    det_target_settings_default(&settings->targets);
    det_loss_settings_default(&settings->loss);
}

det_status det_spec_anchors(struct det_env *env, const struct det_model_spec *spec,
                            float (**anchors)[4], int32_t *count)
{
    struct det_anchor_settings settings = {
        .min_level = spec->min_level,
        .max_level = spec->max_level,
        .anchor_scale = spec->anchor_scale,
        .aspect_ratio_count = spec->aspect_count,
        .scales_per_octave = spec->scales_per_octave,
        .normalize = spec->normalize_anchors,
    };
    for (int32_t i = 0; i < spec->aspect_count; i++)
        settings.aspect_ratios[i] = spec->aspects[i];
    struct det_grid_size grids[DET_MAX_LEVELS];
    for (int32_t level = spec->min_level; level <= spec->max_level; level++)
        grids[level - spec->min_level] = (struct det_grid_size){
            det_anchor_grid_side(spec->input_height, spec->pad_to_multiple, level),
            det_anchor_grid_side(spec->input_width, spec->pad_to_multiple, level)};
    return det_anchors_create(env, &settings, grids, spec->input_height, spec->input_width, anchors,
                              count);
}

det_status det_learner_create(struct det_env *env, const struct det_model_spec *spec,
                              const struct det_learner_settings *settings,
                              const struct det_ops *ops, struct det_pool *pool, uint64_t seed,
                              struct det_learner **out)
{
    *out = NULL;
    struct det_learner *l = NULL;
    DET_TRY_RETURN(det_alloc(env, &l, 1, sizeof *l, "learner"));
    *l = (struct det_learner){
        .settings = *settings,
        .spec = *spec,
        .ops = ops,
        .pool = pool,
        .slot_count = settings->rule == DET_UPDATE_MOMENTUM ? 1 : 2,
    };
    det_status status = DET_OK;
    DET_TRY(det_graph_build(env, spec, false, &l->graph));
    int32_t anchor_count = 0;
    DET_TRY(det_spec_anchors(env, spec, &l->anchors, &anchor_count));
    if (anchor_count != l->graph.anchor_count)
        DET_TRY(det_fail(env, DET_STATUS_INTERNAL, "%d anchors for %d predictions", anchor_count,
                         l->graph.anchor_count));
    DET_TRY(det_net_create(env, &l->graph, ops, pool, settings->batch_size,
                           spec->freeze_batchnorm ? DET_NET_TRAIN_FROZEN : DET_NET_TRAIN, &l->net));
    DET_TRY(det_targets_create(env, &settings->targets, (const float(*)[4])l->anchors, anchor_count,
                               spec->num_classes, settings->batch_size, &l->targets));
    DET_TRY(det_losses_create(env, &settings->loss, settings->batch_size, anchor_count,
                              spec->num_classes, &l->losses));
    const size_t floats = l->graph.param_floats;
    DET_TRY(det_alloc(env, &l->params, floats, sizeof(float), "parameters"));
    DET_TRY(det_alloc(env, &l->gradients, floats, sizeof(float), "gradients"));
    for (int32_t s = 0; s < l->slot_count; s++)
        DET_TRY(det_alloc(env, &l->slots[s], floats, sizeof(float), "optimizer state"));
    DET_TRY(det_alloc(env, &l->trainable, (size_t)l->graph.param_count, sizeof(bool),
                      "trainable flags"));
    for (int32_t p = 0; p < l->graph.param_count; p++)
        l->trainable[p] = l->graph.params[p].trainable;
    det_graph_init_params(&l->graph, seed, l->params);
    *out = l;
    return DET_OK;
fail:
    det_learner_destroy(env, &l);
    return status;
}

void det_learner_destroy(struct det_env *env, struct det_learner **out)
{
    struct det_learner *l = *out;
    if (l == NULL)
        return;
    det_net_destroy(env, &l->net);
    det_targets_destroy(env, &l->targets);
    det_losses_destroy(env, &l->losses);
    det_free(env, &l->anchors);
    det_free(env, &l->params);
    det_free(env, &l->gradients);
    for (int32_t s = 0; s < DET_MOST_SLOTS; s++)
        det_free(env, &l->slots[s]);
    det_free(env, &l->trainable);
    det_graph_free(env, &l->graph);
    det_free(env, out);
}

double det_regularization_loss(const struct det_graph *graph, struct det_pool *pool,
                               const float *params)
{
    double sum = 0;
    for (int32_t p = 0; p < graph->param_count; p++) {
        const struct det_param *param = &graph->params[p];
        if (param->l2 > 0)
            sum += det_l2_loss(pool, params + param->offset, param->count, param->l2);
    }
    return sum;
}

/* Adds the gradient of the regularization and measures the whole. */
static void finish_gradients(struct det_learner *l, struct det_step_result *result)
{
    double squares = 0;
    for (int32_t p = 0; p < l->graph.param_count; p++) {
        const struct det_param *param = &l->graph.params[p];
        if (!l->trainable[p])
            continue;
        float *gradient = l->gradients + param->offset;
        if (param->l2 > 0 && l->settings.add_regularization_loss)
            det_l2_add_gradient(l->pool, l->params + param->offset, gradient, param->count,
                                param->l2);
        squares += det_sum_of_squares(l->pool, gradient, param->count);
    }
    result->gradient_norm = sqrt(squares);
}

det_status det_learner_gradients(struct det_env *env, struct det_learner *l, const float *images,
                                 const struct det_ground_truth *truths,
                                 struct det_step_result *result)
{
    *result = (struct det_step_result){0};
    det_net_set_images(l->net, images, l->spec.input_height, l->spec.input_width);
    det_net_forward(l->net, l->params);
    DET_TRY_RETURN(det_targets_assign(env, l->targets, l->pool, truths, l->settings.batch_size));
    struct det_loss_values values;
    DET_TRY_RETURN(det_losses_compute(
        env, l->losses, l->pool, l->targets, det_net_logits(l->net), det_net_encodings(l->net),
        &values, det_net_logit_gradients(l->net), det_net_encoding_gradients(l->net)));
    result->matched_anchors = l->targets->matched_count;
    result->localization_loss = values.localization;
    result->classification_loss = values.classification;
    if (l->settings.add_regularization_loss)
        result->regularization_loss = det_regularization_loss(&l->graph, l->pool, l->params);
    result->total_loss =
        result->localization_loss + result->classification_loss + result->regularization_loss;
    if (!isfinite(result->total_loss)) {
        const char *layer = det_net_first_non_finite(l->net);
        return det_fail(env, DET_STATUS_NON_FINITE, "the loss is %g; first bad layer: %s",
                        result->total_loss, layer != NULL ? layer : "none, the loss itself");
    }
    det_net_backward(l->net, l->params, l->gradients);
    finish_gradients(l, result);
    if (!isfinite(result->gradient_norm))
        return det_fail(env, DET_STATUS_NON_FINITE, "the gradient's norm is %g (loss %g)",
                        result->gradient_norm, result->total_loss);
    return DET_OK;
}

void det_learner_update(struct det_learner *l, float learning_rate,
                        const struct det_step_result *result)
{
    const struct det_learner_settings *s = &l->settings;
    const float clip =
        s->clip_norm > 0 ? det_clip_factor(result->gradient_norm, s->clip_norm) : 1.0f;
    if (s->rule == DET_UPDATE_RMSPROP)
        learning_rate *= det_rmsprop_rate_factor(s->rmsprop_decay, l->updates);
    for (int32_t p = 0; p < l->graph.param_count; p++) {
        const struct det_param *param = &l->graph.params[p];
        if (!l->trainable[p])
            continue;
        const size_t at = param->offset, count = param->count;
        float *gradient = l->gradients + at;
        if (clip != 1.0f)
            det_scale(l->pool, gradient, count, clip);
        switch (s->rule) {
        case DET_UPDATE_MOMENTUM:
            det_sgd_update(l->pool, l->params + at, gradient, l->slots[0] + at, count,
                           learning_rate, s->momentum);
            break;
        case DET_UPDATE_RMSPROP:
            det_rmsprop_update(l->pool, &s->rmsprop, l->params + at, gradient, l->slots[0] + at,
                               l->slots[1] + at, count, learning_rate);
            break;
        case DET_UPDATE_ADAM:
            det_adam_update(l->pool, &s->adam, l->params + at, gradient, l->slots[0] + at,
                            l->slots[1] + at, count, learning_rate, l->updates);
            break;
        }
    }
    det_net_update_moving(l->net, l->params);
    l->updates++;
}

det_status det_learner_step(struct det_env *env, struct det_learner *l, const float *images,
                            const struct det_ground_truth *truths, float learning_rate,
                            struct det_step_result *result)
{
    DET_TRY_RETURN(det_learner_gradients(env, l, images, truths, result));
    det_learner_update(l, learning_rate, result);
    return DET_OK;
}
