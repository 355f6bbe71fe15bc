#include "model/from_config.h"

#include "support/mem.h"

#define EXTRACTOR_FIELD "model.ssd.feature_extractor"
#define PREDICTOR_FIELD "model.ssd.box_predictor.weight_shared_convolutional_box_predictor"

/* --- network --- */

static det_status init_from(struct det_env *env, const struct det_pipeline_config *config,
                            const char *field, const struct det_initializer_config *from,
                            struct det_init_spec *init)
{
    switch ((enum det_initializer_kind)from->kind) {
    case DET_INITIALIZER_NONE:
        *init = (struct det_init_spec){.kind = DET_INIT_GLOROT_UNIFORM};
        return DET_OK;
    case DET_INITIALIZER_TRUNCATED_NORMAL:
        *init = (struct det_init_spec){
            .kind = DET_INIT_TRUNCATED_NORMAL, .a = from->mean, .b = from->stddev};
        return DET_OK;
    case DET_INITIALIZER_RANDOM_NORMAL:
        *init = (struct det_init_spec){.kind = DET_INIT_NORMAL, .a = from->mean, .b = from->stddev};
        return DET_OK;
    case DET_INITIALIZER_VARIANCE_SCALING:
        *init = (struct det_init_spec){
            .kind = DET_INIT_VARIANCE_SCALING,
            .a = from->factor,
            .uniform = from->uniform,
            .fan_mode = from->mode == DET_FAN_OUT   ? DET_INIT_FAN_OUT
                        : from->mode == DET_FAN_AVG ? DET_INIT_FAN_AVG
                                                    : DET_INIT_FAN_IN,
        };
        return DET_OK;
    }
    return det_pipeline_config_fail(env, DET_STATUS_UNSUPPORTED, config, field,
                                    "initializer kind %d", from->kind);
}

static det_status hyper_from(struct det_env *env, const struct det_pipeline_config *config,
                             const char *field, const struct det_hyperparams *from,
                             struct det_hyper_spec *hyper)
{
    if (!from->has_batch_norm)
        return det_pipeline_config_fail(
            env, DET_STATUS_UNSUPPORTED, config, field,
            "conv_hyperparams without batch_norm are not supported: the network has one after "
            "every convolution");
    if (from->activation != DET_CONFIG_ACTIVATION_RELU_6)
        return det_pipeline_config_fail(env, DET_STATUS_UNSUPPORTED, config, field,
                                        "only `activation: RELU_6` is supported");
    if (from->regularizer.kind == DET_REGULARIZER_L1 && from->regularizer.weight != 0.0f)
        return det_pipeline_config_fail(env, DET_STATUS_UNSUPPORTED, config, field,
                                        "l1_regularizer is not supported, l2_regularizer is");
    *hyper = (struct det_hyper_spec){
        .l2 = from->regularizer.kind == DET_REGULARIZER_L2 ? from->regularizer.weight : 0.0f,
        .bn_decay = from->batch_norm.decay,
        .bn_epsilon = from->batch_norm.epsilon,
        .bn_scale = from->batch_norm.scale,
        .bn_center = from->batch_norm.center,
    };
    return init_from(env, config, field, &from->initializer, &hyper->init);
}

/* keras_models/mobilenet_v2.py _LayersOverride: what the backbone has without the config's
 * hyperparams. */
static struct det_hyper_spec keras_backbone_hyper(void)
{
    return (struct det_hyper_spec){
        .init = {.kind = DET_INIT_TRUNCATED_NORMAL, .a = 0.0f, .b = 0.09f},
        .l2 = 0.00004f,
        .bn_decay = 0.9997f,
        .bn_epsilon = 0.001f,
        .bn_scale = true,
        .bn_center = true,
    };
}

det_status det_spec_from_config(struct det_env *env, const struct det_pipeline_config *config,
                                struct det_model_spec *spec)
{
    const struct det_ssd_config *ssd = &config->ssd;
    const struct det_feature_extractor_config *extractor = &ssd->feature_extractor;
    const struct det_box_predictor_config *predictor = &ssd->box_predictor;
    const struct det_anchor_config *anchors = &ssd->anchor_generator;
    const struct det_resizer_config *resizer = &ssd->image_resizer;
    const struct det_nms_config *nms = &ssd->post_processing.nms;
    const bool keep_aspect = resizer->kind == DET_RESIZER_KEEP_ASPECT_RATIO;
    *spec = (struct det_model_spec){
        .num_classes = ssd->num_classes,
        .resize_mode = keep_aspect ? DET_RESIZE_KEEP_ASPECT : DET_RESIZE_FIXED,
        .min_dimension = resizer->min_dimension,
        .max_dimension = resizer->max_dimension,
        .pad_to_max = resizer->pad_to_max_dimension,
        .pad_to_multiple = extractor->pad_to_multiple > 0 ? extractor->pad_to_multiple : 1,
        .depth_multiplier = extractor->depth_multiplier,
        .min_depth = extractor->min_depth,
        .min_level = extractor->fpn.min_level,
        .max_level = extractor->fpn.max_level,
        .fpn_depth = extractor->fpn.additional_layer_depth,
        .fpn_depthwise = extractor->use_depthwise,
        .head_depth = predictor->depth,
        .head_layers = predictor->num_layers_before_predictor,
        .head_kernel = predictor->kernel_size,
        .head_depthwise = predictor->use_depthwise,
        .share_tower = predictor->share_prediction_tower,
        .hyper_on_heads = predictor->apply_conv_hyperparams_to_heads,
        .class_bias_init = predictor->class_prediction_bias_init,
        .anchor_scale = anchors->anchor_scale,
        .scales_per_octave = anchors->scales_per_octave,
        .aspect_count = (int32_t)anchors->aspect_ratios.count,
        .normalize_anchors = true,
        .y_scale = ssd->box_coder.y_scale,
        .x_scale = ssd->box_coder.x_scale,
        .height_scale = ssd->box_coder.height_scale,
        .width_scale = ssd->box_coder.width_scale,
        .score_threshold = nms->score_threshold,
        .iou_threshold = nms->iou_threshold,
        .max_per_class = nms->max_detections_per_class,
        .max_total = nms->max_total_detections,
        .freeze_batchnorm = ssd->freeze_batchnorm,
    };
    det_pipeline_config_input_size(config, &spec->input_height, &spec->input_width);
    if (anchors->aspect_ratios.count > DET_MAX_ASPECTS)
        return det_pipeline_config_fail(
            env, DET_STATUS_UNSUPPORTED, config,
            "model.ssd.anchor_generator.multiscale_anchor_generator.aspect_ratios",
            "%zu aspect ratios, at most %d are supported", anchors->aspect_ratios.count,
            DET_MAX_ASPECTS);
    for (size_t i = 0; i < anchors->aspect_ratios.count; i++)
        spec->aspects[i] = anchors->aspect_ratios.values[i];
    if (anchors->min_level != spec->min_level || anchors->max_level != spec->max_level)
        return det_pipeline_config_fail(
            env, DET_STATUS_MISMATCH, config, "model.ssd.anchor_generator",
            "anchors for levels %d to %d, but the feature extractor's fpn has %d to %d",
            anchors->min_level, anchors->max_level, spec->min_level, spec->max_level);
    if (predictor->use_dropout)
        return det_pipeline_config_fail(env, DET_STATUS_UNSUPPORTED, config,
                                        PREDICTOR_FIELD ".use_dropout",
                                        "dropout in the box predictor is not supported");
    if (predictor->has_box_encodings_clip_range)
        return det_pipeline_config_fail(env, DET_STATUS_UNSUPPORTED, config,
                                        PREDICTOR_FIELD ".box_encodings_clip_range",
                                        "clipping of box encodings is not supported");
    if (!ssd->add_background_class)
        return det_pipeline_config_fail(env, DET_STATUS_UNSUPPORTED, config,
                                        "model.ssd.add_background_class",
                                        "only add_background_class: true is supported");
    DET_TRY_RETURN(hyper_from(env, config, EXTRACTOR_FIELD ".conv_hyperparams",
                              &extractor->conv_hyperparams, &spec->fpn));
    DET_TRY_RETURN(hyper_from(env, config, PREDICTOR_FIELD ".conv_hyperparams",
                              &predictor->conv_hyperparams, &spec->head));
    spec->backbone =
        extractor->override_base_feature_extractor_hyperparams ? spec->fpn : keras_backbone_hyper();
    return det_model_spec_check(env, spec);
}

/* --- losses, optimizer --- */

static struct det_hard_example_settings
hard_examples_from(const struct det_hard_example_miner_config *from)
{
    return (struct det_hard_example_settings){
        .enabled = true,
        .count = from->num_hard_examples,
        .iou_threshold = from->iou_threshold,
        .by = from->loss_type == DET_MINER_CLASSIFICATION ? DET_HARD_EXAMPLES_BY_CLASSIFICATION
              : from->loss_type == DET_MINER_LOCALIZATION ? DET_HARD_EXAMPLES_BY_LOCALIZATION
                                                          : DET_HARD_EXAMPLES_BY_BOTH,
        .max_negatives_per_positive = from->max_negatives_per_positive,
        .min_negatives_per_image = from->min_negatives_per_image,
    };
}

void det_loss_settings_from_config(const struct det_pipeline_config *config,
                                   struct det_target_settings *targets,
                                   struct det_loss_settings *loss)
{
    const struct det_ssd_config *ssd = &config->ssd;
    const struct det_loss_config *from = &ssd->loss;
    *targets = (struct det_target_settings){
        .ignore_thresholds = ssd->matcher.ignore_thresholds,
        .matched_threshold = ssd->matcher.matched_threshold,
        .unmatched_threshold = ssd->matcher.unmatched_threshold,
        .negatives_lower_than_unmatched = ssd->matcher.negatives_lower_than_unmatched,
        .force_match_for_each_row = ssd->matcher.force_match_for_each_row,
        .unmatched_class_weight = ssd->negative_class_weight,
        .coder = {ssd->box_coder.y_scale, ssd->box_coder.x_scale, ssd->box_coder.height_scale,
                  ssd->box_coder.width_scale},
    };
    *loss = (struct det_loss_settings){
        .class_loss = from->classification.kind == DET_CLASSIFICATION_LOSS_SIGMOID_FOCAL
                          ? DET_CLASS_LOSS_SIGMOID_FOCAL
                          : DET_CLASS_LOSS_SIGMOID,
        .focal_gamma = from->classification.gamma,
        .focal_has_alpha = from->classification.has_alpha,
        .focal_alpha = from->classification.alpha,
        .huber_delta = from->localization.delta,
        .localization_weight = from->localization_weight,
        .classification_weight = from->classification_weight,
        .normalize_loss_by_num_matches = ssd->normalize_loss_by_num_matches,
        .normalize_loc_loss_by_codesize = ssd->normalize_loc_loss_by_codesize,
        .encode_background_as_zeros = ssd->encode_background_as_zeros,
    };
    if (from->has_hard_example_miner)
        loss->hard_examples = hard_examples_from(&from->hard_example_miner);
}

/* builders/graph_rewriter_builder.py: 8 bits and nothing else. The message is enough, its fields
 * have defaults. */
static det_status quantisation_from(struct det_env *env, const struct det_pipeline_config *config,
                                    struct det_learner_settings *settings)
{
    const struct det_quantization_config *from = &config->quantization;
    settings->quantise = config->has_graph_rewriter;
    settings->quantise_delay = from->delay;
    if (!settings->quantise || (from->weight_bits == 8 && from->activation_bits == 8))
        return DET_OK;
    const bool weights = from->weight_bits != 8;
    return det_pipeline_config_fail(env, DET_STATUS_UNSUPPORTED, config,
                                    weights ? "graph_rewriter.quantization.weight_bits"
                                            : "graph_rewriter.quantization.activation_bits",
                                    "%s: %d is not supported, only 8 is",
                                    weights ? "weight_bits" : "activation_bits",
                                    weights ? from->weight_bits : from->activation_bits);
}

det_status det_learner_settings_from_config(struct det_env *env,
                                            const struct det_pipeline_config *config,
                                            struct det_learner_settings *settings)
{
    const struct det_train_config *train = &config->train;
    const struct det_optimizer_config *optimizer = &train->optimizer;
    if (!config->has_train_config)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: has no train_config", config->path);
    det_learner_settings_default(settings);
    settings->batch_size = (int32_t)train->batch_size;
    settings->add_regularization_loss = train->add_regularization_loss;
    settings->clip_norm = train->gradient_clipping_by_norm;
    settings->average_decay =
        optimizer->use_moving_average ? optimizer->moving_average_decay : 0.0f;
    switch ((enum det_optimizer_kind)optimizer->kind) {
    case DET_OPTIMIZER_MOMENTUM:
        settings->rule = DET_UPDATE_MOMENTUM;
        settings->momentum = optimizer->momentum_optimizer_value;
        break;
    case DET_OPTIMIZER_RMS_PROP:
        settings->rule = DET_UPDATE_RMSPROP;
        settings->rmsprop = (struct det_rmsprop){.rho = 0.9f,
                                                 .momentum = optimizer->momentum_optimizer_value,
                                                 .epsilon = optimizer->epsilon};
        settings->rmsprop_decay = optimizer->decay;
        break;
    case DET_OPTIMIZER_ADAM:
        settings->rule = DET_UPDATE_ADAM;
        settings->adam = DET_ADAM_DEFAULT;
        settings->adam.epsilon = optimizer->epsilon;
        break;
    case DET_OPTIMIZER_NONE:
        return det_pipeline_config_fail(env, DET_STATUS_INVALID_ARGUMENT, config,
                                        "train_config.optimizer", "no optimizer is given");
    }
    det_loss_settings_from_config(config, &settings->targets, &settings->loss);
    return quantisation_from(env, config, settings);
}

det_status det_schedule_from_config(struct det_env *env, const struct det_pipeline_config *config,
                                    struct det_config_schedule *out)
{
    const struct det_learning_rate_config *from = &config->train.optimizer.learning_rate;
    *out = (struct det_config_schedule){0};
    struct det_schedule *s = &out->schedule;
    switch ((enum det_learning_rate_kind)from->kind) {
    case DET_LEARNING_RATE_NONE: /* a config without train_config */
        return det_pipeline_config_fail(env, DET_STATUS_INVALID_ARGUMENT, config,
                                        "train_config.optimizer", "no learning_rate is given");
    case DET_LEARNING_RATE_CONSTANT:
        s->kind = DET_SCHEDULE_CONSTANT;
        s->learning_rate = from->as.constant.learning_rate;
        break;
    case DET_LEARNING_RATE_EXPONENTIAL_DECAY:
        s->kind = DET_SCHEDULE_EXPONENTIAL_DECAY;
        s->learning_rate = from->as.exponential_decay.initial_learning_rate;
        s->decay_steps = from->as.exponential_decay.decay_steps;
        s->decay_factor = from->as.exponential_decay.decay_factor;
        s->staircase = from->as.exponential_decay.staircase;
        s->burnin_learning_rate = from->as.exponential_decay.burnin_learning_rate;
        s->burnin_steps = from->as.exponential_decay.burnin_steps;
        s->min_learning_rate = from->as.exponential_decay.min_learning_rate;
        break;
    case DET_LEARNING_RATE_MANUAL_STEP: {
        const size_t count = from->as.manual_step.count;
        det_status status = DET_OK;
        DET_TRY(det_alloc(env, &out->steps, count, sizeof *out->steps, "schedule"));
        DET_TRY(det_alloc(env, &out->rates, count, sizeof *out->rates, "schedule"));
        for (size_t i = 0; i < count; i++) {
            out->steps[i] = from->as.manual_step.schedule[i].step;
            out->rates[i] = from->as.manual_step.schedule[i].learning_rate;
        }
        s->kind = DET_SCHEDULE_MANUAL_STEP;
        s->learning_rate = from->as.manual_step.initial_learning_rate;
        s->steps = out->steps;
        s->rates = out->rates;
        s->step_count = (int32_t)count;
        s->warmup = from->as.manual_step.warmup;
        break;
    fail:
        det_config_schedule_free(env, out);
        return status;
    }
    case DET_LEARNING_RATE_COSINE_DECAY:
        s->kind = DET_SCHEDULE_COSINE_DECAY;
        s->learning_rate = from->as.cosine_decay.learning_rate_base;
        s->total_steps = from->as.cosine_decay.total_steps;
        s->warmup_learning_rate = from->as.cosine_decay.warmup_learning_rate;
        s->warmup_steps = from->as.cosine_decay.warmup_steps;
        s->hold_base_rate_steps = from->as.cosine_decay.hold_base_rate_steps;
        break;
    }
    return DET_OK;
}

void det_config_schedule_free(struct det_env *env, struct det_config_schedule *schedule)
{
    det_free(env, &schedule->steps);
    det_free(env, &schedule->rates);
    *schedule = (struct det_config_schedule){0};
}

void det_config_resize(const struct det_pipeline_config *config, const struct det_model_spec *spec,
                       struct det_loader_settings *loader)
{
    const struct det_float_list *pad = &config->ssd.image_resizer.per_channel_pad_value;
    const bool keep_aspect = spec->resize_mode == DET_RESIZE_KEEP_ASPECT;
    loader->height = spec->input_height;
    loader->width = spec->input_width;
    loader->min_dimension = keep_aspect ? spec->min_dimension : 0;
    loader->max_dimension = keep_aspect ? spec->max_dimension : 0;
    for (size_t i = 0; i < 3; i++)
        loader->pad_value[i] = i < pad->count ? pad->values[i] : 0;
}
