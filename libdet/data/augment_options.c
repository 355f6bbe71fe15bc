/* augment_options.c: names, defaults and limits of the augmentations' parameters. */
#include "data/augment.h"

const char *det_augment_name(enum det_augment_kind kind)
{
    switch (kind) {
#define NAME(value, text)     \
    case DET_AUGMENT_##value: \
        return text;
        DET_AUGMENT_KINDS(NAME)
#undef NAME
    }
    return NULL;
}

/* --- defaults --- */

struct det_crop_settings det_crop_settings_default(void)
{
    return (struct det_crop_settings){
        .min_object_covered = 1.0f,
        .min_aspect = 0.75f,
        .max_aspect = 1.33f,
        .min_area = 0.1f,
        .max_area = 1.0f,
        .overlap_thresh = 0.3f,
        .clip_boxes = true,
        .min_padded = {1.0f, 1.0f},
        .max_padded = {2.0f, 2.0f},
    };
}

/* The operations that the ssd family has when the config gives none: core/preprocessor.py. */
static void set_ssd_crops(struct det_augment_option *option, int32_t skipped, float fixed_aspect)
{
    static const float covered[7] = {0.0f, 0.1f, 0.3f, 0.5f, 0.7f, 0.9f, 1.0f};
    option->crop_count = 7 - skipped;
    for (int32_t i = 0; i < option->crop_count; i++) {
        struct det_crop_settings *crop = &option->crops[i];
        *crop = det_crop_settings_default();
        crop->min_object_covered = crop->overlap_thresh = covered[i + skipped];
        crop->min_aspect = fixed_aspect > 0 ? fixed_aspect : 0.5f;
        crop->max_aspect = fixed_aspect > 0 ? fixed_aspect : 2.0f;
        crop->random_coef = 0.15f;
    }
    option->aspect = 1.0f;
}

static void set_range(struct det_augment_option *option, float low, float high)
{
    option->low = low;
    option->high = high;
}

static void set_integers(struct det_augment_option *option, int32_t from, int32_t to)
{
    option->from = from;
    option->to = to;
}

static void set_size(struct det_augment_option *option, int32_t height, int32_t width)
{
    option->max_height = height;
    option->max_width = width;
}

struct det_augment_option det_augment_option_default(enum det_augment_kind kind)
{
    struct det_augment_option option = {.kind = kind};
    switch (kind) {
    case DET_AUGMENT_HORIZONTAL_FLIP:
    case DET_AUGMENT_VERTICAL_FLIP:
    case DET_AUGMENT_ROTATION90:
        option.probability = 0.5f;
        break;
    case DET_AUGMENT_CROP_IMAGE:
    case DET_AUGMENT_CROP_PAD_IMAGE:
    case DET_AUGMENT_CROP_TO_ASPECT:
        option.crop_count = 1;
        option.crops[0] = det_crop_settings_default();
        option.aspect = 1.0f;
        break;
    case DET_AUGMENT_SSD_CROP:
    case DET_AUGMENT_SSD_CROP_PAD_FIXED_ASPECT:
        set_ssd_crops(&option, 0, 0);
        break;
    case DET_AUGMENT_SSD_CROP_PAD:
        set_ssd_crops(&option, 1, 0);
        break;
    case DET_AUGMENT_SSD_CROP_FIXED_ASPECT:
        set_ssd_crops(&option, 0, 1);
        break;
    case DET_AUGMENT_PAD_IMAGE:
    case DET_AUGMENT_DISTORT_COLOR:
    case DET_AUGMENT_SUBTRACT_MEAN:
        break;
    case DET_AUGMENT_ABSOLUTE_PAD:
        set_size(&option, 1, 1);
        break;
    case DET_AUGMENT_SQUARE_CROP:
        option.border_px = 128;
        set_range(&option, 0.6f, 1.3f);
        option.count = 8;
        break;
    case DET_AUGMENT_SCALE_CROP_PAD:
        set_size(&option, 512, 512);
        set_range(&option, 0.1f, 2.0f);
        break;
    case DET_AUGMENT_SELF_CONCAT:
        option.probability = option.probability_x = 0.1f;
        break;
    case DET_AUGMENT_IMAGE_SCALE:
        set_range(&option, 0.5f, 2.0f);
        break;
    case DET_AUGMENT_DOWNSCALE:
        set_integers(&option, 300000, 500000);
        break;
    case DET_AUGMENT_RESIZE:
    case DET_AUGMENT_RESIZE_METHOD:
        set_size(&option, 600, 1024);
        break;
    case DET_AUGMENT_BRIGHTNESS:
        option.high = 0.2f;
        break;
    case DET_AUGMENT_CONTRAST:
    case DET_AUGMENT_SATURATION:
        set_range(&option, 0.8f, 1.25f);
        break;
    case DET_AUGMENT_HUE:
        option.high = 0.02f;
        break;
    case DET_AUGMENT_RGB_TO_GRAY:
        option.probability = 0.1f;
        break;
    case DET_AUGMENT_PIXEL_VALUE_SCALE:
        set_range(&option, 0.9f, 1.1f);
        break;
    case DET_AUGMENT_GAMMA:
        option.gamma = option.gain = 1.0f;
        break;
    case DET_AUGMENT_NORMALIZE: /* the config must give the first two */
        set_range(&option, 0.0f, 255.0f);
        option.target_high = 1.0f;
        break;
    case DET_AUGMENT_BLACK_PATCHES:
        option.count = 10;
        option.probability = 0.5f;
        option.high = 0.1f;
        break;
    case DET_AUGMENT_PATCH_GAUSSIAN:
        set_integers(&option, 1, 250);
        set_range(&option, 0.0f, 1.0f);
        break;
    case DET_AUGMENT_JPEG_QUALITY:
        set_integers(&option, 0, 100);
        break;
    case DET_AUGMENT_JITTER_BOXES:
        option.high = 0.05f;
        break;
    case DET_AUGMENT_DROP_LABEL:
        option.label = 1;
        option.probability = 1.0f;
        break;
    case DET_AUGMENT_REMAP_LABELS:
        option.label = 1;
        break;
    }
    return option;
}

/* --- limits --- */

static det_status check_range(struct det_env *env, const char *option, const char *field, float low,
                              float high, float least, float most)
{
    if (low >= least && low <= high && high <= most) /* false for NaN */
        return DET_OK;
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                    "%s: %s: got %g to %g, expected a range within %g to %g", option, field,
                    (double)low, (double)high, (double)least, (double)most);
}

static det_status check_share(struct det_env *env, const char *option, const char *field,
                              float value)
{
    if (value >= 0.0f && value <= 1.0f)
        return DET_OK;
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: %s: got %g, expected 0 to 1", option,
                    field, (double)value);
}

static det_status check_integers(struct det_env *env, const char *option, const char *field,
                                 int32_t low, int32_t high, int32_t least, int32_t most)
{
    if (low >= least && low <= high && high <= most)
        return DET_OK;
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                    "%s: %s: got %d to %d, expected a range within %d to %d", option, field,
                    (int)low, (int)high, (int)least, (int)most);
}

static det_status check_crops(struct det_env *env, const struct det_augment_option *option,
                              int32_t most)
{
    const char *name = det_augment_name(option->kind);
    if (option->crop_count < 1 || option->crop_count > most)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: %d operations, expected 1 to %d",
                        name, (int)option->crop_count, (int)most);
    for (int32_t i = 0; i < option->crop_count; i++) {
        const struct det_crop_settings *crop = &option->crops[i];
        DET_TRY_RETURN(check_share(env, name, "min_object_covered", crop->min_object_covered));
        DET_TRY_RETURN(check_share(env, name, "overlap_thresh", crop->overlap_thresh));
        DET_TRY_RETURN(check_share(env, name, "random_coef", crop->random_coef));
        DET_TRY_RETURN(check_range(env, name, "min_aspect_ratio, max_aspect_ratio",
                                   crop->min_aspect, crop->max_aspect, 1e-6f, 1e6f));
        DET_TRY_RETURN(
            check_range(env, name, "min_area, max_area", crop->min_area, crop->max_area, 1e-9f, 1));
        for (int c = 0; c < 2; c++)
            DET_TRY_RETURN(check_range(env, name, "min_padded_size_ratio, max_padded_size_ratio",
                                       crop->min_padded[c], crop->max_padded[c], 0, 100));
    }
    return DET_OK;
}

static det_status check_labels(struct det_env *env, const struct det_augment_option *option)
{
    const char *name = det_augment_name(option->kind);
    if (option->label < 1)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: label: got %d, expected a class id from 1 on", name,
                        (int)option->label);
    if (option->label_count < 0 || option->label_count > DET_AUGMENT_MOST_LABELS)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: %d original labels, expected at most %d", name,
                        (int)option->label_count, DET_AUGMENT_MOST_LABELS);
    return DET_OK;
}

det_status det_augment_check(struct det_env *env, const struct det_augment_option *option)
{
    const char *name = det_augment_name(option->kind);
    const float most = 1e6f;
    const int32_t side = 65500;
    if (name == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "unknown augmentation %d",
                        (int)option->kind);
    switch (option->kind) {
    case DET_AUGMENT_HORIZONTAL_FLIP:
    case DET_AUGMENT_VERTICAL_FLIP:
    case DET_AUGMENT_ROTATION90:
    case DET_AUGMENT_RGB_TO_GRAY:
        return check_share(env, name, "probability", option->probability);
    case DET_AUGMENT_BRIGHTNESS:
    case DET_AUGMENT_HUE:
        return check_share(env, name, "max_delta", option->high);
    case DET_AUGMENT_CONTRAST:
    case DET_AUGMENT_SATURATION:
        return check_range(env, name, "min_delta, max_delta", option->low, option->high, 0, most);
    case DET_AUGMENT_PIXEL_VALUE_SCALE:
        return check_range(env, name, "minval, maxval", option->low, option->high, 0, most);
    case DET_AUGMENT_DISTORT_COLOR:
        if (option->ordering != 0 && option->ordering != 1)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "%s: color_ordering: got %d, expected 0 or 1", name,
                            (int)option->ordering);
        return DET_OK;
    case DET_AUGMENT_CROP_IMAGE:
    case DET_AUGMENT_CROP_PAD_IMAGE:
        return check_crops(env, option, 1);
    case DET_AUGMENT_CROP_TO_ASPECT:
    case DET_AUGMENT_SSD_CROP_FIXED_ASPECT:
    case DET_AUGMENT_SSD_CROP_PAD_FIXED_ASPECT:
        DET_TRY_RETURN(
            check_range(env, name, "aspect_ratio", option->aspect, option->aspect, 1e-3f, 1e3f));
        return check_crops(env, option, DET_AUGMENT_MOST_CROPS);
    case DET_AUGMENT_SSD_CROP:
    case DET_AUGMENT_SSD_CROP_PAD:
        return check_crops(env, option, DET_AUGMENT_MOST_CROPS);
    case DET_AUGMENT_PAD_IMAGE:
        DET_TRY_RETURN(check_integers(
            env, name, "min_image_height, min_image_width",
            option->min_height < option->min_width ? option->min_height : option->min_width,
            option->min_height > option->min_width ? option->min_height : option->min_width, 0,
            side));
        return check_integers(env, name, "max_image_height, max_image_width", 0,
                              option->max_height > option->max_width ? option->max_height
                                                                     : option->max_width,
                              0, side);
    case DET_AUGMENT_ABSOLUTE_PAD:
    case DET_AUGMENT_RESIZE:
    case DET_AUGMENT_RESIZE_METHOD:
        DET_TRY_RETURN(
            check_integers(env, name, "height", option->max_height, option->max_height, 1, side));
        return check_integers(env, name, "width", option->max_width, option->max_width, 1, side);
    case DET_AUGMENT_SCALE_CROP_PAD:
        DET_TRY_RETURN(check_integers(env, name, "output_size", option->max_height,
                                      option->max_height, 1, 16384));
        return check_range(env, name, "scale_min, scale_max", option->low, option->high, 1e-3f,
                           1e3f);
    case DET_AUGMENT_SQUARE_CROP:
        DET_TRY_RETURN(
            check_integers(env, name, "max_border", option->border_px, option->border_px, 1, side));
        DET_TRY_RETURN(
            check_integers(env, name, "num_scales", option->count, option->count, 1, 100000));
        return check_range(env, name, "scale_min, scale_max", option->low, option->high, 1e-3f,
                           1e3f);
    case DET_AUGMENT_IMAGE_SCALE:
        return check_range(env, name, "min_scale_ratio, max_scale_ratio", option->low, option->high,
                           1e-3f, 1e3f);
    case DET_AUGMENT_SELF_CONCAT:
        DET_TRY_RETURN(check_share(env, name, "concat_vertical_probability", option->probability));
        return check_share(env, name, "concat_horizontal_probability", option->probability_x);
    case DET_AUGMENT_DOWNSCALE:
        DET_TRY_RETURN(check_share(env, name, "random_coef", option->random_coef));
        return check_integers(env, name, "min_target_pixels, max_target_pixels", option->from,
                              option->to, 1, INT32_MAX);
    case DET_AUGMENT_JPEG_QUALITY:
        DET_TRY_RETURN(check_share(env, name, "random_coef", option->random_coef));
        return check_integers(env, name, "min_jpeg_quality, max_jpeg_quality", option->from,
                              option->to, 0, 100);
    case DET_AUGMENT_PATCH_GAUSSIAN:
        DET_TRY_RETURN(check_share(env, name, "random_coef", option->random_coef));
        DET_TRY_RETURN(check_integers(env, name, "min_patch_size, max_patch_size", option->from,
                                      option->to, 1, side));
        return check_range(env, name, "min_gaussian_stddev, max_gaussian_stddev", option->low,
                           option->high, 0, most);
    case DET_AUGMENT_BLACK_PATCHES:
        DET_TRY_RETURN(check_integers(env, name, "max_black_patches", option->count, option->count,
                                      0, 1000000));
        DET_TRY_RETURN(check_share(env, name, "probability", option->probability));
        return check_share(env, name, "size_to_image_ratio", option->high);
    case DET_AUGMENT_GAMMA:
        DET_TRY_RETURN(check_range(env, name, "gamma", option->gamma, option->gamma, 0, most));
        return check_range(env, name, "gain", option->gain, option->gain, 0, most);
    case DET_AUGMENT_NORMALIZE:
        if (!(option->low < option->high) || !(option->target_low <= option->target_high))
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "%s: got %g to %g for %g to %g, expected rising ranges", name,
                            (double)option->target_low, (double)option->target_high,
                            (double)option->low, (double)option->high);
        return DET_OK;
    case DET_AUGMENT_SUBTRACT_MEAN:
        for (int c = 0; c < 3; c++)
            DET_TRY_RETURN(
                check_range(env, name, "means", option->color[c], option->color[c], -most, most));
        return DET_OK;
    case DET_AUGMENT_JITTER_BOXES:
        return check_share(env, name, "ratio", option->high);
    case DET_AUGMENT_DROP_LABEL:
        DET_TRY_RETURN(check_share(env, name, "drop_probability", option->probability));
        return check_labels(env, option);
    case DET_AUGMENT_REMAP_LABELS:
        return check_labels(env, option);
    }
    return DET_OK;
}
