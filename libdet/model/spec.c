#include "model/spec.h"

#include <math.h>

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

static det_status check_int(struct det_env *env, const char *name, int32_t value, int32_t low,
                            int32_t high)
{
    if (value >= low && value <= high)
        return DET_OK;
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "model: %s is %d, expected %d to %d", name,
                    value, low, high);
}

static det_status check_positive(struct det_env *env, const char *name, float value)
{
    if (value > 0.0f && isfinite(value))
        return DET_OK;
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "model: %s is %g, expected a positive number",
                    name, (double)value);
}

static det_status check_hyper(struct det_env *env, const char *name,
                              const struct det_hyper_spec *hyper)
{
    if (!(hyper->bn_epsilon > 0.0f) || !(hyper->bn_decay >= 0.0f && hyper->bn_decay <= 1.0f) ||
        !(hyper->l2 >= 0.0f) || !isfinite(hyper->l2))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "model: %s hyperparams: l2 weight %g, batch norm decay %g, epsilon %g: "
                        "expected l2 >= 0, decay 0 to 1, epsilon > 0",
                        name, (double)hyper->l2, (double)hyper->bn_decay,
                        (double)hyper->bn_epsilon);
    return DET_OK;
}

det_status det_model_spec_check(struct det_env *env, const struct det_model_spec *spec)
{
    DET_TRY_RETURN(check_int(env, "num_classes", spec->num_classes, 1, 100000));
    /* The API's shape_utils.check_min_image_dim(33, ...) */
    DET_TRY_RETURN(check_int(env, "input height", spec->input_height, 33, 16384));
    DET_TRY_RETURN(check_int(env, "input width", spec->input_width, 33, 16384));
    DET_TRY_RETURN(check_int(env, "pad_to_multiple", spec->pad_to_multiple, 1, 1024));
    DET_TRY_RETURN(check_positive(env, "depth_multiplier", spec->depth_multiplier));
    DET_TRY_RETURN(
        check_int(env, "depth_multiplier * 100", (int32_t)(spec->depth_multiplier * 100), 1, 1000));
    DET_TRY_RETURN(check_int(env, "min_depth", spec->min_depth, 0, 4096));
    DET_TRY_RETURN(check_int(env, "fpn min_level", spec->min_level, DET_MIN_LEVEL, 5));
    DET_TRY_RETURN(
        check_int(env, "fpn max_level", spec->max_level, 5, spec->min_level + DET_MAX_LEVELS - 1));
    DET_TRY_RETURN(check_int(env, "additional_layer_depth", spec->fpn_depth, 1, 4096));
    DET_TRY_RETURN(check_int(env, "box predictor depth", spec->head_depth, 1, 4096));
    DET_TRY_RETURN(check_int(env, "num_layers_before_predictor", spec->head_layers, 0, 64));
    DET_TRY_RETURN(check_int(env, "kernel_size", spec->head_kernel, 1, 15));
    DET_TRY_RETURN(check_int(env, "scales_per_octave", spec->scales_per_octave, 1, 64));
    DET_TRY_RETURN(check_int(env, "aspect_ratios", spec->aspect_count, 1, DET_MAX_ASPECTS));
    DET_TRY_RETURN(check_positive(env, "anchor_scale", spec->anchor_scale));
    for (int32_t i = 0; i < spec->aspect_count; i++)
        DET_TRY_RETURN(check_positive(env, "aspect ratio", spec->aspects[i]));
    DET_TRY_RETURN(check_positive(env, "y_scale", spec->y_scale));
    DET_TRY_RETURN(check_positive(env, "x_scale", spec->x_scale));
    DET_TRY_RETURN(check_positive(env, "height_scale", spec->height_scale));
    DET_TRY_RETURN(check_positive(env, "width_scale", spec->width_scale));
    DET_TRY_RETURN(check_int(env, "max_detections_per_class", spec->max_per_class, 1, 1000000));
    DET_TRY_RETURN(check_int(env, "max_total_detections", spec->max_total, 1, 1000000));
    DET_TRY_RETURN(check_hyper(env, "backbone", &spec->backbone));
    DET_TRY_RETURN(check_hyper(env, "feature extractor", &spec->fpn));
    return check_hyper(env, "box predictor", &spec->head);
}
