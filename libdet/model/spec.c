#include "model/spec.h"

#include "model/anchors.h"

#define MOST_SIDE     16384
#define MOST_DEPTH    4096
#define LEAST_EPSILON 1e-12F

void det_model_spec_default(struct det_model_spec *spec, int32_t size, int32_t num_classes)
{
    const struct det_hyper_spec hyper = {
        .init = {.kind = DET_INIT_NORMAL, .a = 0.0f, .b = 0.01f},
        .l2 = 4e-5f,
        .bn_decay = 0.997f,
        .bn_epsilon = 0.001f,
        .bn_scale = true,
        .bn_center = true,
    };
    *spec = (struct det_model_spec){
        .num_classes = num_classes,
        .resize_mode = DET_RESIZE_FIXED,
        .input_height = size,
        .input_width = size,
        .pad_to_multiple = 1,
        .depth_multiplier = 1.0f,
        .min_depth = 16,
        .min_level = 3,
        .max_level = 7,
        .fpn_depth = 128,
        .fpn_depthwise = true,
        .backbone = hyper,
        .fpn = hyper,
        .head = hyper,
        .head_depth = 128,
        .head_layers = 4,
        .head_kernel = 3,
        .head_depthwise = true,
        .share_tower = true,
        .class_bias_init = -4.6f,
        .anchor_scale = 4.0f,
        .scales_per_octave = 2,
        .aspect_count = 3,
        .aspects = {1.0f, 2.0f, 0.5f},
        .normalize_anchors = true,
        .y_scale = 10.0f,
        .x_scale = 10.0f,
        .height_scale = 5.0f,
        .width_scale = 5.0f,
        .score_threshold = 1e-8f,
        .iou_threshold = 0.6f,
        .max_per_class = 100,
        .max_total = 100,
    };
}

int32_t det_model_spec_anchors_per_cell(const struct det_model_spec *spec)
{
    return spec->scales_per_octave * spec->aspect_count;
}

int32_t det_model_spec_pyramid_depth(const struct det_model_spec *spec)
{
    const int32_t depth = (int32_t)((double)spec->fpn_depth * (double)spec->depth_multiplier);
    return depth < spec->min_depth ? spec->min_depth : depth;
}

static det_status check_int(struct det_env *env, const char *name, int32_t value, int32_t low,
                            int32_t high)
{
    if (value >= low && value <= high)
        return DET_OK;
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "model: %s is %d, expected %d to %d", name,
                    value, low, high);
}

/* NaN is in no range. */
static det_status check_float(struct det_env *env, const char *name, float value, float low,
                              float high)
{
    if (value >= low && value <= high)
        return DET_OK;
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "model: %s is %g, expected %g to %g", name,
                    (double)value, (double)low, (double)high);
}

static det_status check_init(struct det_env *env, const struct det_init_spec *init)
{
    DET_TRY_RETURN(check_int(env, "initializer", (int32_t)init->kind, DET_INIT_CONSTANT,
                             DET_INIT_VARIANCE_SCALING));
    DET_TRY_RETURN(check_int(env, "initializer's fan mode", (int32_t)init->fan_mode,
                             DET_INIT_FAN_IN, DET_INIT_FAN_AVG));
    if (init->kind == DET_INIT_VARIANCE_SCALING)
        return check_float(env, "initializer's factor", init->a, 0, 1e6F);
    DET_TRY_RETURN(check_float(env, "initializer's mean", init->a, -1e6F, 1e6F));
    return check_float(env, "initializer's stddev", init->b, 0, 1e6F);
}

static det_status check_hyper(struct det_env *env, const char *part,
                              const struct det_hyper_spec *hyper)
{
    det_status status = DET_OK;
    DET_TRY(check_float(env, "l2 weight", hyper->l2, 0, 1e6F));
    DET_TRY(check_float(env, "batch norm decay", hyper->bn_decay, 0, 1));
    DET_TRY(check_float(env, "batch norm epsilon", hyper->bn_epsilon, LEAST_EPSILON, 1));
    DET_TRY(check_init(env, &hyper->init));
    return DET_OK;
fail:
    return det_fail_prefix(env, status, "%s hyperparams", part);
}

static det_status check_input(struct det_env *env, const struct det_model_spec *spec)
{
    /* The API's shape_utils.check_min_image_dim(33, ...) */
    DET_TRY_RETURN(check_int(env, "input height", spec->input_height, 33, MOST_SIDE));
    DET_TRY_RETURN(check_int(env, "input width", spec->input_width, 33, MOST_SIDE));
    DET_TRY_RETURN(check_int(env, "pad_to_multiple", spec->pad_to_multiple, 1, 1024));
    DET_TRY_RETURN(check_int(env, "resize mode", (int32_t)spec->resize_mode, DET_RESIZE_FIXED,
                             DET_RESIZE_KEEP_ASPECT));
    if (spec->resize_mode == DET_RESIZE_FIXED)
        return DET_OK;
    DET_TRY_RETURN(check_int(env, "min_dimension", spec->min_dimension, 1, MOST_SIDE));
    DET_TRY_RETURN(check_int(env, "max_dimension", spec->max_dimension, 1, MOST_SIDE));
    if (spec->input_height == spec->max_dimension && spec->input_width == spec->max_dimension)
        return DET_OK;
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                    "model: input of %d x %d, expected a square of max_dimension %d",
                    spec->input_height, spec->input_width, spec->max_dimension);
}

/* All anchors of an image, and with them its predictions. */
static det_status check_predictions(struct det_env *env, const struct det_model_spec *spec)
{
    const int64_t per_cell = det_model_spec_anchors_per_cell(spec);
    int64_t anchors = 0;
    if (per_cell * (spec->num_classes + 1) > DET_MOST_CHANNELS)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "model: %lld anchors in a cell times %d classes, at most %d scores of a "
                        "cell are supported",
                        (long long)per_cell, spec->num_classes + 1, DET_MOST_CHANNELS);
    for (int32_t level = spec->min_level; level <= spec->max_level; level++)
        anchors += (int64_t)det_anchor_grid_side(spec->input_height, spec->pad_to_multiple, level) *
                   det_anchor_grid_side(spec->input_width, spec->pad_to_multiple, level) * per_cell;
    if (anchors > DET_MOST_VALUES / (spec->num_classes + 1))
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "model: %lld anchors times %d classes, at most %d scores of an image are "
                        "supported",
                        (long long)anchors, spec->num_classes + 1, DET_MOST_VALUES);
    return DET_OK;
}

static det_status check_anchors(struct det_env *env, const struct det_model_spec *spec)
{
    DET_TRY_RETURN(check_int(env, "fpn min_level", spec->min_level, DET_MIN_LEVEL, 5));
    DET_TRY_RETURN(
        check_int(env, "fpn max_level", spec->max_level, 5, spec->min_level + DET_MAX_LEVELS - 1));
    DET_TRY_RETURN(check_int(env, "scales_per_octave", spec->scales_per_octave, 1, 64));
    DET_TRY_RETURN(check_int(env, "aspect_ratios", spec->aspect_count, 1, DET_MAX_ASPECTS));
    DET_TRY_RETURN(check_float(env, "anchor_scale", spec->anchor_scale, 1e-3F, 1e3F));
    for (int32_t i = 0; i < spec->aspect_count; i++)
        DET_TRY_RETURN(check_float(env, "aspect ratio", spec->aspects[i], 1e-3F, 1e3F));
    DET_TRY_RETURN(check_float(env, "y_scale", spec->y_scale, 1e-6F, 1e6F));
    DET_TRY_RETURN(check_float(env, "x_scale", spec->x_scale, 1e-6F, 1e6F));
    DET_TRY_RETURN(check_float(env, "height_scale", spec->height_scale, 1e-6F, 1e6F));
    DET_TRY_RETURN(check_float(env, "width_scale", spec->width_scale, 1e-6F, 1e6F));
    return check_predictions(env, spec);
}

static det_status check_layers(struct det_env *env, const struct det_model_spec *spec)
{
    DET_TRY_RETURN(check_float(env, "depth_multiplier", spec->depth_multiplier, 0.01F, 16));
    DET_TRY_RETURN(check_int(env, "min_depth", spec->min_depth, 0, MOST_DEPTH));
    DET_TRY_RETURN(check_int(env, "additional_layer_depth", spec->fpn_depth, 1, MOST_DEPTH));
    /* Channels are rounded down; the backbone's are never fewer than 8. */
    if (det_model_spec_pyramid_depth(spec) < 1)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "model: the feature pyramid has no channels: additional_layer_depth %d "
                        "times depth_multiplier %g, min_depth %d",
                        spec->fpn_depth, (double)spec->depth_multiplier, spec->min_depth);
    DET_TRY_RETURN(check_int(env, "box predictor depth", spec->head_depth, 1, MOST_DEPTH));
    DET_TRY_RETURN(check_int(env, "num_layers_before_predictor", spec->head_layers, 0, 64));
    DET_TRY_RETURN(check_int(env, "kernel_size", spec->head_kernel, 1, 15));
    DET_TRY_RETURN(
        check_float(env, "class_prediction_bias_init", spec->class_bias_init, -1e6F, 1e6F));
    DET_TRY_RETURN(check_hyper(env, "backbone", &spec->backbone));
    DET_TRY_RETURN(check_hyper(env, "feature extractor", &spec->fpn));
    return check_hyper(env, "box predictor", &spec->head);
}

det_status det_model_spec_check(struct det_env *env, const struct det_model_spec *spec)
{
    DET_TRY_RETURN(check_int(env, "num_classes", spec->num_classes, 1, 100000));
    DET_TRY_RETURN(check_input(env, spec));
    DET_TRY_RETURN(check_layers(env, spec));
    DET_TRY_RETURN(check_anchors(env, spec));
    DET_TRY_RETURN(check_float(env, "score_threshold", spec->score_threshold, -1e6F, 1e6F));
    DET_TRY_RETURN(check_float(env, "iou_threshold", spec->iou_threshold, 0, 1));
    DET_TRY_RETURN(check_int(env, "max_detections_per_class", spec->max_per_class, 1, 1000000));
    return check_int(env, "max_total_detections", spec->max_total, 1, 1000000);
}
