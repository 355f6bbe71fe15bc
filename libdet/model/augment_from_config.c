/* augment_from_config.c: data_augmentation_options as options of data/augment.h: what
 * builders/preprocessor_builder.py does. Differs: an aspect_ratio beside an empty list of
 * operations counts (there it is dropped). */
#include <string.h>

#include "model/from_config.h"
#include "support/mem.h"

static struct det_crop_settings crop_from(const struct det_crop_rule *rule)
{
    struct det_crop_settings crop = {
        .min_object_covered = rule->min_object_covered,
        .min_aspect = rule->min_aspect_ratio,
        .max_aspect = rule->max_aspect_ratio,
        .min_area = rule->min_area,
        .max_area = rule->max_area,
        .overlap_thresh = rule->overlap_thresh,
        .random_coef = rule->random_coef,
        .clip_boxes = rule->clip_boxes,
        .has_color = rule->has_pad_color,
    };
    memcpy(crop.min_padded, rule->min_padded_size_ratio, sizeof crop.min_padded);
    memcpy(crop.max_padded, rule->max_padded_size_ratio, sizeof crop.max_padded);
    memcpy(crop.color, rule->pad_color, sizeof crop.color);
    return crop;
}

static void color_from(const struct det_float_list *list, struct det_augment_option *option)
{
    option->has_color = list->count == 3;
    for (size_t c = 0; c < 3 && option->has_color; c++)
        option->color[c] = list->values[c];
}

/* What stands in the way of an option; NULL: nothing. */
static const char *ssd_crops_from(const struct det_augmentation *from,
                                  struct det_augment_option *option)
{
    const size_t count = from->as.ssd_random_crop.count;
    if (count > DET_AUGMENT_MOST_CROPS)
        return "has more than 16 operations";
    option->crop_count = (int32_t)count;
    option->aspect = from->as.ssd_random_crop.aspect_ratio;
    for (size_t i = 0; i < count; i++) {
        option->crops[i] = crop_from(&from->as.ssd_random_crop.operations[i]);
        if (option->kind == DET_AUGMENT_SSD_CROP_FIXED_ASPECT)
            option->crops[i].min_aspect = option->crops[i].max_aspect = option->aspect;
        if (option->kind == DET_AUGMENT_SSD_CROP_PAD_FIXED_ASPECT) {
            memcpy(option->crops[i].min_padded,
                   from->as.ssd_random_crop.min_padded_size_ratio.values, 2 * sizeof(float));
            memcpy(option->crops[i].max_padded,
                   from->as.ssd_random_crop.max_padded_size_ratio.values, 2 * sizeof(float));
        }
    }
    return NULL;
}

static enum det_jitter jitter_from(int32_t mode)
{
    switch ((enum det_jitter_mode)mode) {
    case DET_JITTER_DEFAULT:
        break;
    case DET_JITTER_EXPAND:
        return DET_JITTER_SIDES_OUT;
    case DET_JITTER_SHRINK:
        return DET_JITTER_SIDES_IN;
    case DET_JITTER_EXPAND_SYMMETRIC:
        return DET_JITTER_SYMMETRIC_OUT;
    case DET_JITTER_SHRINK_SYMMETRIC:
        return DET_JITTER_SYMMETRIC_IN;
    case DET_JITTER_EXPAND_SYMMETRIC_XY:
        return DET_JITTER_SYMMETRIC_XY_OUT;
    case DET_JITTER_SHRINK_SYMMETRIC_XY:
        return DET_JITTER_SYMMETRIC_XY_IN;
    }
    return DET_JITTER_SIDES;
}

static enum det_resample resample_from(int32_t method)
{
    return method == DET_RESIZE_IMAGE_AREA               ? DET_RESAMPLE_AREA
           : method == DET_RESIZE_IMAGE_BICUBIC          ? DET_RESAMPLE_BICUBIC
           : method == DET_RESIZE_IMAGE_NEAREST_NEIGHBOR ? DET_RESAMPLE_NEAREST
                                                         : DET_RESAMPLE_BILINEAR;
}

static const char *labels_from(const struct det_augmentation *from,
                               struct det_augment_option *option)
{
    if (from->as.remap_labels.original_label_count > DET_AUGMENT_MOST_LABELS)
        return "has more than 64 original_labels";
    option->label = from->as.remap_labels.new_label;
    option->label_count = (int32_t)from->as.remap_labels.original_label_count;
    for (int32_t i = 0; i < option->label_count; i++)
        option->labels[i] = from->as.remap_labels.original_labels[i];
    return NULL;
}

/* The kind of the config's option; false where there is none. */
static bool kind_from(const char *name, enum det_augment_kind *kind)
{
    const char *known = NULL;
    for (int i = 0; (known = det_augment_name((enum det_augment_kind)i)) != NULL; i++) {
        *kind = (enum det_augment_kind)i;
        if (strcmp(name, known) == 0)
            return true;
    }
    return false;
}

static const char *why_not(int32_t kind)
{
    switch (kind) {
    case DET_AUGMENTATION_SCALE_BOXES_TO_PIXEL_COORDINATES:
        return "is not supported: the network learns normalised boxes, this would make them pixels";
    case DET_AUGMENTATION_RGB_TO_GRAY:
        return "is not supported: it leaves one channel and the network has three; "
               "random_rgb_to_gray { probability: 1 } gives grey images of three";
    case DET_AUGMENTATION_CONVERT_CLASS_LOGITS_TO_SOFTMAX:
        return "is not supported: multiclass scores are not read from the records";
    case DET_AUGMENTATION_AUTOAUGMENT_IMAGE:
        return "is not supported: its policies are not built; ssd_random_crop and "
               "random_distort_color do most of what they do";
    default:
        return "is not supported";
    }
}

static const char *option_from(const struct det_augmentation *from,
                               struct det_augment_option *option)
{
    enum det_augment_kind kind;
    if (!kind_from(det_augmentation_name(from->kind), &kind))
        return why_not(from->kind);
    *option = det_augment_option_default(kind);
    switch (kind) {
    case DET_AUGMENT_HORIZONTAL_FLIP:
    case DET_AUGMENT_VERTICAL_FLIP:
    case DET_AUGMENT_ROTATION90:
        option->probability = from->as.flip.probability;
        break;
    case DET_AUGMENT_CROP_IMAGE:
    case DET_AUGMENT_CROP_PAD_IMAGE:
        option->crops[0] = crop_from(&from->as.crop);
        break;
    case DET_AUGMENT_CROP_TO_ASPECT:
        option->aspect = from->as.random_crop_to_aspect_ratio.aspect_ratio;
        option->crops[0].overlap_thresh = from->as.random_crop_to_aspect_ratio.overlap_thresh;
        option->crops[0].clip_boxes = from->as.random_crop_to_aspect_ratio.clip_boxes;
        break;
    case DET_AUGMENT_SSD_CROP:
    case DET_AUGMENT_SSD_CROP_PAD:
    case DET_AUGMENT_SSD_CROP_FIXED_ASPECT:
    case DET_AUGMENT_SSD_CROP_PAD_FIXED_ASPECT:
        return ssd_crops_from(from, option);
    case DET_AUGMENT_PAD_IMAGE:
        option->min_height = from->as.random_pad_image.min_image_height;
        option->min_width = from->as.random_pad_image.min_image_width;
        option->max_height = from->as.random_pad_image.max_image_height;
        option->max_width = from->as.random_pad_image.max_image_width;
        color_from(&from->as.random_pad_image.pad_color, option);
        break;
    case DET_AUGMENT_ABSOLUTE_PAD:
        option->max_height = from->as.random_absolute_pad_image.max_height_padding;
        option->max_width = from->as.random_absolute_pad_image.max_width_padding;
        color_from(&from->as.random_absolute_pad_image.pad_color, option);
        break;
    case DET_AUGMENT_SQUARE_CROP:
        option->border_px = from->as.random_square_crop_by_scale.max_border;
        option->low = from->as.random_square_crop_by_scale.scale_min;
        option->high = from->as.random_square_crop_by_scale.scale_max;
        option->count = from->as.random_square_crop_by_scale.num_scales;
        break;
    case DET_AUGMENT_SCALE_CROP_PAD:
        option->max_height = option->max_width =
            from->as.random_scale_crop_and_pad_to_square.output_size;
        option->low = from->as.random_scale_crop_and_pad_to_square.scale_min;
        option->high = from->as.random_scale_crop_and_pad_to_square.scale_max;
        break;
    case DET_AUGMENT_SELF_CONCAT:
        option->probability = from->as.random_self_concat_image.concat_vertical_probability;
        option->probability_x = from->as.random_self_concat_image.concat_horizontal_probability;
        break;
    case DET_AUGMENT_IMAGE_SCALE:
        option->low = from->as.random_image_scale.min_scale_ratio;
        option->high = from->as.random_image_scale.max_scale_ratio;
        break;
    case DET_AUGMENT_DOWNSCALE:
        option->random_coef = from->as.random_downscale_to_target_pixels.random_coef;
        option->from = from->as.random_downscale_to_target_pixels.min_target_pixels;
        option->to = from->as.random_downscale_to_target_pixels.max_target_pixels;
        break;
    case DET_AUGMENT_RESIZE:
        option->max_height = from->as.resize_image.new_height;
        option->max_width = from->as.resize_image.new_width;
        option->resample = resample_from(from->as.resize_image.method);
        break;
    case DET_AUGMENT_RESIZE_METHOD:
        option->max_height = from->as.random_resize_method.target_height;
        option->max_width = from->as.random_resize_method.target_width;
        break;
    case DET_AUGMENT_BRIGHTNESS:
    case DET_AUGMENT_HUE:
        option->high = from->as.random_adjust.max_delta;
        break;
    case DET_AUGMENT_CONTRAST:
    case DET_AUGMENT_SATURATION:
        option->low = from->as.random_adjust_range.min_delta;
        option->high = from->as.random_adjust_range.max_delta;
        break;
    case DET_AUGMENT_DISTORT_COLOR:
        option->ordering = from->as.random_distort_color.color_ordering;
        break;
    case DET_AUGMENT_RGB_TO_GRAY:
        option->probability = from->as.random_rgb_to_gray.probability;
        break;
    case DET_AUGMENT_PIXEL_VALUE_SCALE:
        option->low = from->as.random_pixel_value_scale.minval;
        option->high = from->as.random_pixel_value_scale.maxval;
        break;
    case DET_AUGMENT_GAMMA:
        option->gamma = from->as.adjust_gamma.gamma;
        option->gain = from->as.adjust_gamma.gain;
        break;
    case DET_AUGMENT_NORMALIZE:
        option->low = from->as.normalize_image.original_minval;
        option->high = from->as.normalize_image.original_maxval;
        option->target_low = from->as.normalize_image.target_minval;
        option->target_high = from->as.normalize_image.target_maxval;
        break;
    case DET_AUGMENT_SUBTRACT_MEAN:
        color_from(&from->as.subtract_channel_mean.means, option);
        break;
    case DET_AUGMENT_BLACK_PATCHES:
        option->count = from->as.random_black_patches.max_black_patches;
        option->probability = from->as.random_black_patches.probability;
        option->high = from->as.random_black_patches.size_to_image_ratio;
        break;
    case DET_AUGMENT_PATCH_GAUSSIAN:
        option->random_coef = from->as.random_patch_gaussian.random_coef;
        option->from = from->as.random_patch_gaussian.min_patch_size;
        option->to = from->as.random_patch_gaussian.max_patch_size;
        option->low = from->as.random_patch_gaussian.min_gaussian_stddev;
        option->high = from->as.random_patch_gaussian.max_gaussian_stddev;
        break;
    case DET_AUGMENT_JPEG_QUALITY:
        option->random_coef = from->as.random_jpeg_quality.random_coef;
        option->from = from->as.random_jpeg_quality.min_jpeg_quality;
        option->to = from->as.random_jpeg_quality.max_jpeg_quality;
        break;
    case DET_AUGMENT_JITTER_BOXES:
        option->high = from->as.random_jitter_boxes.ratio;
        option->jitter = jitter_from(from->as.random_jitter_boxes.jitter_mode);
        break;
    case DET_AUGMENT_DROP_LABEL:
        option->label = from->as.drop_label_probabilistically.label;
        option->probability = from->as.drop_label_probabilistically.drop_probability;
        break;
    case DET_AUGMENT_REMAP_LABELS:
        return labels_from(from, option);
    }
    return NULL;
}

/* A class that the network does not have would only be found when an object gets it. */
static bool label_is_known(const struct det_augment_option *option, int32_t class_count)
{
    return (option->kind != DET_AUGMENT_DROP_LABEL && option->kind != DET_AUGMENT_REMAP_LABELS) ||
           option->label <= class_count;
}

det_status det_augment_from_config(struct det_env *env, const struct det_pipeline_config *config,
                                   struct det_augment_option **options, size_t *count)
{
    const struct det_train_config *train = &config->train;
    *options = NULL;
    *count = train->augmentation_count;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, options, *count, sizeof **options, "augmentation options"));
    for (size_t i = 0; i < *count; i++) {
        const struct det_augmentation *from = &train->augmentations[i];
        struct det_augment_option *option = &(*options)[i];
        const char *fault = option_from(from, option);
        if (fault != NULL)
            DET_TRY(det_fail(env, DET_STATUS_UNSUPPORTED, "%s:%d:%d: data augmentation `%s` %s",
                             config->path, (int)from->position.line, (int)from->position.column,
                             det_augmentation_name(from->kind), fault));
        status = det_augment_check(env, option);
        if (status == DET_OK && !label_is_known(option, config->ssd.num_classes))
            status = det_fail(
                env, DET_STATUS_INVALID_ARGUMENT, "%s: label %d, but the network has %d classes",
                det_augment_name(option->kind), (int)option->label, (int)config->ssd.num_classes);
        if (status != DET_OK)
            DET_TRY(det_fail_prefix(env, status, "%s:%d:%d", config->path, (int)from->position.line,
                                    (int)from->position.column));
    }
    return DET_OK;
fail:
    det_free(env, options);
    *count = 0;
    return status;
}
