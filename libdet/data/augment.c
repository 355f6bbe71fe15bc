/* augment.c: the sample and the list of options; the operations are in augment_crop.c and
 * augment_color.c. */
#include "data/augment.h"

#include <math.h>

#include "base/mem.h"

void det_sample_reset(struct det_sample *sample)
{
    sample->window = det_window_whole(sample->image.height, sample->image.width);
    sample->in_float = false;
}

void det_sample_free(struct det_env *env, struct det_sample *sample)
{
    det_image_free(env, &sample->image);
    det_free(env, &sample->pixels);
    det_ground_truth_free(env, &sample->truth);
    *sample = (struct det_sample){0};
}

det_status det_sample_resize(struct det_env *env, struct det_resizer *resizer,
                             const struct det_sample *sample, float *out, size_t out_stride,
                             int32_t out_height, int32_t out_width)
{
    if (sample->in_float)
        return det_resize_float(env, resizer, sample->pixels, sample->stride, &sample->window, out,
                                out_stride, out_height, out_width);
    return det_resize_rgb8(env, resizer, &sample->image, &sample->window, out, out_stride,
                           out_height, out_width);
}

det_status det_sample_to_float(struct det_env *env, struct det_sample *sample)
{
    if (sample->in_float)
        return DET_OK;
    const struct det_window w = sample->window;
    DET_TRY_RETURN(det_grow(env, &sample->pixels, &sample->pixels_capacity,
                            (size_t)w.height * (size_t)w.width * 3, sizeof(float),
                            "pixels of an augmented image"));
    for (int32_t y = 0; y < w.height; y++) {
        const int32_t row = w.y + (w.flip_y ? w.height - 1 - y : y);
        const uint8_t *from = sample->image.rgb + (size_t)row * (size_t)sample->image.width * 3;
        float *to = sample->pixels + (size_t)y * (size_t)w.width * 3;
        for (int32_t x = 0; x < w.width; x++) {
            const int32_t column = w.x + (w.flip_x ? w.width - 1 - x : x);
            for (int32_t c = 0; c < 3; c++)
                to[x * 3 + c] = from[column * 3 + c];
        }
    }
    sample->stride = w.width;
    sample->window = det_window_whole(w.height, w.width);
    sample->in_float = true;
    return DET_OK;
}

/* Mirrors image and boxes left to right with this probability. The draw is uniform in [0, 1), one
 * for each image. */
void det_augment_horizontal_flip(struct det_rng *rng, float probability, struct det_sample *sample)
{
    if (!(det_rng_uniform(rng) < probability))
        return;
    sample->window.flip_x = !sample->window.flip_x;
    for (int32_t i = 0; i < sample->truth.count; i++) {
        float *box = sample->truth.boxes[i];
        const float xmin = box[1];
        box[1] = 1.0f - box[3];
        box[3] = 1.0f - xmin;
    }
}

/* The same top to bottom. */
void det_augment_vertical_flip(struct det_rng *rng, float probability, struct det_sample *sample)
{
    if (!(det_rng_uniform(rng) < probability))
        return;
    sample->window.flip_y = !sample->window.flip_y;
    for (int32_t i = 0; i < sample->truth.count; i++) {
        float *box = sample->truth.boxes[i];
        const float ymin = box[0];
        box[0] = 1.0f - box[2];
        box[2] = 1.0f - ymin;
    }
}

/* X(kind, name) */
#define KINDS(X)                                 \
    X(HORIZONTAL_FLIP, "random_horizontal_flip") \
    X(VERTICAL_FLIP, "random_vertical_flip")     \
    X(CROP_IMAGE, "random_crop_image")           \
    X(SSD_CROP, "ssd_random_crop")               \
    X(BRIGHTNESS, "random_adjust_brightness")    \
    X(CONTRAST, "random_adjust_contrast")        \
    X(SATURATION, "random_adjust_saturation")    \
    X(HUE, "random_adjust_hue")                  \
    X(DISTORT_COLOR, "random_distort_color")     \
    X(RGB_TO_GRAY, "random_rgb_to_gray")         \
    X(PIXEL_VALUE_SCALE, "random_pixel_value_scale")

const char *det_augment_name(enum det_augment_kind kind)
{
    switch (kind) {
#define NAME(value, text)     \
    case DET_AUGMENT_##value: \
        return text;
        KINDS(NAME)
#undef NAME
    }
    return NULL;
}

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
    };
}

struct det_augment_option det_augment_option_default(enum det_augment_kind kind)
{
    struct det_augment_option option = {.kind = kind};
    switch (kind) {
    case DET_AUGMENT_HORIZONTAL_FLIP:
    case DET_AUGMENT_VERTICAL_FLIP:
        option.probability = 0.5f;
        break;
    case DET_AUGMENT_CROP_IMAGE:
        option.crop_count = 1;
        option.crops[0] = det_crop_settings_default();
        break;
    case DET_AUGMENT_SSD_CROP: {
        static const float covered[7] = {0.0f, 0.1f, 0.3f, 0.5f, 0.7f, 0.9f, 1.0f};
        option.crop_count = 7;
        for (int i = 0; i < 7; i++)
            option.crops[i] = (struct det_crop_settings){
                .min_object_covered = covered[i],
                .min_aspect = 0.5f,
                .max_aspect = 2.0f,
                .min_area = 0.1f,
                .max_area = 1.0f,
                .overlap_thresh = covered[i],
                .random_coef = 0.15f,
                .clip_boxes = true,
            };
        break;
    }
    case DET_AUGMENT_BRIGHTNESS:
        option.high = 0.2f;
        break;
    case DET_AUGMENT_CONTRAST:
    case DET_AUGMENT_SATURATION:
        option.low = 0.8f;
        option.high = 1.25f;
        break;
    case DET_AUGMENT_HUE:
        option.high = 0.02f;
        break;
    case DET_AUGMENT_DISTORT_COLOR:
        break;
    case DET_AUGMENT_RGB_TO_GRAY:
        option.probability = 0.1f;
        break;
    case DET_AUGMENT_PIXEL_VALUE_SCALE:
        option.low = 0.9f;
        option.high = 1.1f;
        break;
    }
    return option;
}

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

det_status det_augment_check(struct det_env *env, const struct det_augment_option *option)
{
    const char *name = det_augment_name(option->kind);
    if (name == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "unknown augmentation %d",
                        (int)option->kind);
    const float most = 1e6f;
    switch (option->kind) {
    case DET_AUGMENT_HORIZONTAL_FLIP:
    case DET_AUGMENT_VERTICAL_FLIP:
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
                            "%s: color_ordering: got %d, expected 0 or 1", name, option->ordering);
        return DET_OK;
    case DET_AUGMENT_CROP_IMAGE:
    case DET_AUGMENT_SSD_CROP:
        break;
    }
    const int32_t most_crops = option->kind == DET_AUGMENT_CROP_IMAGE ? 1 : DET_AUGMENT_MOST_CROPS;
    if (option->crop_count < 1 || option->crop_count > most_crops)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: %d operations, expected 1 to %d",
                        name, option->crop_count, most_crops);
    for (int32_t i = 0; i < option->crop_count; i++) {
        const struct det_crop_settings *crop = &option->crops[i];
        DET_TRY_RETURN(check_share(env, name, "min_object_covered", crop->min_object_covered));
        DET_TRY_RETURN(check_share(env, name, "overlap_thresh", crop->overlap_thresh));
        DET_TRY_RETURN(check_share(env, name, "random_coef", crop->random_coef));
        DET_TRY_RETURN(check_range(env, name, "min_aspect_ratio, max_aspect_ratio",
                                   crop->min_aspect, crop->max_aspect, 1e-6f, most));
        DET_TRY_RETURN(
            check_range(env, name, "min_area, max_area", crop->min_area, crop->max_area, 1e-9f, 1));
    }
    return DET_OK;
}

static det_status apply(struct det_env *env, const struct det_augment_option *option,
                        struct det_rng *rng, struct det_sample *sample)
{
    switch (option->kind) {
    case DET_AUGMENT_HORIZONTAL_FLIP:
        det_augment_horizontal_flip(rng, option->probability, sample);
        return DET_OK;
    case DET_AUGMENT_VERTICAL_FLIP:
        det_augment_vertical_flip(rng, option->probability, sample);
        return DET_OK;
    case DET_AUGMENT_CROP_IMAGE:
        det_augment_crop_image(rng, &option->crops[0], sample);
        return DET_OK;
    case DET_AUGMENT_SSD_CROP:
        det_augment_ssd_crop(rng, option->crops, option->crop_count, sample);
        return DET_OK;
    case DET_AUGMENT_RGB_TO_GRAY:
        /* Grey unless the uniform draw is above the probability. */
        if (det_rng_uniform(rng) > option->probability)
            return DET_OK;
        break;
    case DET_AUGMENT_BRIGHTNESS:
    case DET_AUGMENT_CONTRAST:
    case DET_AUGMENT_SATURATION:
    case DET_AUGMENT_HUE:
    case DET_AUGMENT_DISTORT_COLOR:
    case DET_AUGMENT_PIXEL_VALUE_SCALE:
        break;
    }
    DET_TRY_RETURN(det_sample_to_float(env, sample));
    switch (option->kind) {
    case DET_AUGMENT_BRIGHTNESS:
        det_augment_brightness(rng, option->high, sample);
        break;
    case DET_AUGMENT_CONTRAST:
        det_augment_contrast(rng, option->low, option->high, sample);
        break;
    case DET_AUGMENT_SATURATION:
        det_augment_saturation(rng, option->low, option->high, sample);
        break;
    case DET_AUGMENT_HUE:
        det_augment_hue(rng, option->high, sample);
        break;
    case DET_AUGMENT_DISTORT_COLOR:
        det_augment_distort_color(rng, option->ordering, sample);
        break;
    case DET_AUGMENT_PIXEL_VALUE_SCALE:
        det_augment_pixel_value_scale(rng, option->low, option->high, sample);
        break;
    case DET_AUGMENT_RGB_TO_GRAY:
        det_augment_to_gray(sample);
        break;
    default:
        break;
    }
    return DET_OK;
}

det_status det_augment_apply(struct det_env *env, const struct det_augment_option *options,
                             size_t count, struct det_rng *rng, struct det_sample *sample)
{
    for (size_t i = 0; i < count; i++)
        DET_TRY_RETURN(apply(env, &options[i], rng, sample));
    return DET_OK;
}
