/* augment.c: the sample, and the list of options applied to it; the operations are in
 * augment_*.c. */
#include "data/augment.h"

#include <math.h>
#include <string.h>

#include "data/augment_ops.h"
#include "support/mem.h"

#define SIDE_MOST 65500

/* --- the sample --- */

void det_sample_reset(struct det_sample *sample)
{
    sample->window = det_window_whole(sample->image.height, sample->image.width);
    sample->in_float = false;
    sample->color_count = 0;
}

void det_sample_free(struct det_env *env, struct det_sample *sample)
{
    det_image_free(env, &sample->image);
    det_free(env, &sample->pixels);
    det_free(env, &sample->spare);
    det_ground_truth_free(env, &sample->truth);
    *sample = (struct det_sample){0};
}

det_status det_sample_resize(struct det_env *env, struct det_resizer *resizer,
                             struct det_sample *sample, float *out, size_t out_stride,
                             int32_t out_height, int32_t out_width)
{
    if (sample->color_count > 0)
        DET_TRY_RETURN(det_sample_to_float(env, sample));
    if (sample->in_float)
        return det_resize_float(env, resizer, sample->pixels, sample->stride, &sample->window, out,
                                out_stride, out_height, out_width);
    return det_resize_rgb8(env, resizer, &sample->image, &sample->window, out, out_stride,
                           out_height, out_width);
}

/* Row y of what is seen, mirrors included, as floats. */
static void copy_row(const struct det_sample *sample, int32_t y, float *to)
{
    const struct det_window *w = &sample->window;
    const int32_t row = w->y + (w->flip_y ? w->height - 1 - y : y);
    const size_t stride = (size_t)(sample->in_float ? sample->stride : sample->image.width);
    for (int32_t x = 0; x < w->width; x++) {
        const int32_t column = w->x + (w->flip_x ? w->width - 1 - x : x);
        const size_t at = ((size_t)row * stride + (size_t)column) * 3;
        for (size_t c = 0; c < 3; c++)
            to[(size_t)x * 3 + c] =
                sample->in_float ? sample->pixels[at + c] : sample->image.rgb[at + c];
    }
}

det_status det_sample_reserve_spare(struct det_env *env, struct det_sample *sample, int64_t height,
                                    int64_t width)
{
    if (height < 1 || width < 1 || height > SIDE_MOST || width > SIDE_MOST)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "an augmented image would have %lld x %lld pixels: each side must be 1 to "
                        "%d",
                        (long long)width, (long long)height, SIDE_MOST);
    return det_grow(env, &sample->spare, &sample->spare_capacity,
                    (size_t)height * (size_t)width * 3, sizeof(float),
                    "pixels of an augmented image");
}

void det_sample_take_spare(struct det_sample *sample, int32_t height, int32_t width)
{
    float *pixels = sample->pixels;
    const size_t capacity = sample->pixels_capacity;
    sample->pixels = sample->spare;
    sample->pixels_capacity = sample->spare_capacity;
    sample->spare = pixels;
    sample->spare_capacity = capacity;
    sample->stride = width;
    sample->window = det_window_whole(height, width);
    sample->in_float = true;
}

det_status det_sample_to_float(struct det_env *env, struct det_sample *sample)
{
    return sample->in_float ? DET_OK : det_sample_settle(env, sample);
}

det_status det_sample_settle(struct det_env *env, struct det_sample *sample)
{
    const struct det_window w = sample->window;
    if (sample->in_float && w.y == 0 && w.x == 0 && w.width == sample->stride && !w.flip_y &&
        !w.flip_x)
        return DET_OK;
    DET_TRY_RETURN(det_sample_reserve_spare(env, sample, w.height, w.width));
    for (int32_t y = 0; y < w.height; y++)
        copy_row(sample, y, sample->spare + (size_t)y * (size_t)w.width * 3);
    det_sample_take_spare(sample, w.height, w.width);
    for (int32_t i = 0; i < sample->color_count; i++)
        det_color_apply(&sample->colors[i], sample->pixels, w.width, w.height, w.width);
    sample->color_count = 0;
    return DET_OK;
}

det_status det_sample_to_image(struct det_env *env, struct det_sample *sample,
                               struct det_image *image)
{
    if (sample->color_count > 0)
        DET_TRY_RETURN(det_sample_to_float(env, sample));
    const struct det_window w = sample->window;
    float *row = NULL;
    det_status status = DET_OK;
    DET_TRY(det_image_resize_buffer(env, image, w.width, w.height));
    DET_TRY(det_alloc(env, &row, (size_t)w.width * 3, sizeof *row, "row of an image"));
    for (int32_t y = 0; y < w.height; y++) {
        uint8_t *to = image->rgb + (size_t)y * (size_t)w.width * 3;
        copy_row(sample, y, row);
        for (int32_t i = 0; i < w.width * 3; i++)
            to[i] = row[i] > 0.0f ? (uint8_t)lrintf(fminf(row[i], 255.0f)) : 0; /* NaN: 0 */
    }
fail:
    det_free(env, &row);
    return status;
}

void det_sample_move_boxes(struct det_sample *sample, const float window[4])
{
    const float y_scale = 1.0f / (window[2] - window[0]);
    const float x_scale = 1.0f / (window[3] - window[1]);
    for (int32_t i = 0; i < sample->truth.count; i++)
        for (int c = 0; c < 4; c++)
            sample->truth.boxes[i][c] =
                (sample->truth.boxes[i][c] - window[c % 2]) * (c % 2 == 0 ? y_scale : x_scale);
}

void det_sample_clip_boxes(struct det_sample *sample)
{
    struct det_ground_truth *truth = &sample->truth;
    int32_t kept = 0;
    for (int32_t i = 0; i < truth->count; i++) {
        const float *box = truth->boxes[i];
        if (!(box[0] < 1.0f && box[1] < 1.0f && box[2] > 0.0f && box[3] > 0.0f))
            continue;
        det_ground_truth_move(truth, kept, i);
        for (int c = 0; c < 4; c++)
            truth->boxes[kept][c] = fminf(fmaxf(truth->boxes[kept][c], 0.0f), 1.0f);
        kept++;
    }
    truth->count = kept;
}

int32_t det_draw_integer(struct det_rng *rng, int32_t low, int32_t high)
{
    return high > low ? low + (int32_t)det_rng_below(rng, (uint32_t)(high - low)) : low;
}

/* --- mirrors --- */

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

/* --- the list --- */

static det_status apply_color(struct det_env *env, const struct det_augment_option *option,
                              struct det_rng *rng, struct det_sample *sample)
{
    DET_TRY_RETURN(det_sample_reserve_colors(env, sample, option->kind));
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
    case DET_AUGMENT_RGB_TO_GRAY:
        det_augment_to_gray(sample);
        break;
    case DET_AUGMENT_NORMALIZE: {
        const float k = (option->target_high - option->target_low) / (option->high - option->low);
        const float offset = option->target_low - option->low * k;
        det_augment_linear((const float[3]){k, k, k}, (const float[3]){offset, offset, offset},
                           sample);
        break;
    }
    case DET_AUGMENT_SUBTRACT_MEAN:
        det_augment_linear(
            (const float[3]){1, 1, 1},
            (const float[3]){-option->color[0], -option->color[1], -option->color[2]}, sample);
        break;
    default:
        return det_fail(env, DET_STATUS_INTERNAL, "augmentation %d has no code", (int)option->kind);
    }
    return DET_OK;
}

static det_status apply_size(struct det_env *env, const struct det_augment_option *option,
                             struct det_rng *rng, struct det_sample *sample)
{
    const float *color = option->has_color ? option->color : NULL;
    const int32_t height = sample->window.height, width = sample->window.width;
    switch (option->kind) {
    case DET_AUGMENT_ROTATION90:
        return det_rng_uniform(rng) < option->probability ? det_augment_rotation90(env, sample)
                                                          : DET_OK;
    case DET_AUGMENT_PAD_IMAGE:
        return det_augment_pad_image(
            env, rng, (const int32_t[2]){option->min_height, option->min_width},
            (const int32_t[2]){option->max_height > 0 ? option->max_height : 2 * height,
                               option->max_width > 0 ? option->max_width : 2 * width},
            color, sample);
    case DET_AUGMENT_ABSOLUTE_PAD:
        return det_augment_pad_image(
            env, rng, (const int32_t[2]){0, 0},
            (const int32_t[2]){height + option->max_height, width + option->max_width}, color,
            sample);
    case DET_AUGMENT_CROP_PAD_IMAGE:
        return det_augment_crop_pad_image(env, rng, &option->crops[0], sample);
    case DET_AUGMENT_SSD_CROP_PAD:
        return det_augment_crop_pad_image(
            env, rng, &option->crops[det_rng_below(rng, (uint32_t)option->crop_count)], sample);
    case DET_AUGMENT_SSD_CROP_PAD_FIXED_ASPECT:
        det_augment_ssd_crop(rng, option->crops, option->crop_count, sample);
        return det_augment_pad_to_aspect(env, rng, option->aspect, option->crops[0].min_padded,
                                         option->crops[0].max_padded, sample);
    case DET_AUGMENT_SQUARE_CROP:
        return det_augment_square_crop(env, rng, option, sample);
    case DET_AUGMENT_SCALE_CROP_PAD:
        return det_augment_scale_crop_pad(env, rng, option, sample);
    case DET_AUGMENT_SELF_CONCAT:
        return det_augment_self_concat(env, rng, option->probability, option->probability_x,
                                       sample);
    case DET_AUGMENT_IMAGE_SCALE:
        return det_augment_image_scale(env, rng, option->low, option->high, sample);
    case DET_AUGMENT_DOWNSCALE:
        return det_augment_downscale(env, rng, option, sample);
    case DET_AUGMENT_RESIZE:
        return det_sample_resample(env, sample, option->resample, false, option->max_height,
                                   option->max_width);
    case DET_AUGMENT_RESIZE_METHOD:
        return det_sample_resample(env, sample, (enum det_resample)det_rng_below(rng, 4), false,
                                   option->max_height, option->max_width);
    case DET_AUGMENT_BLACK_PATCHES:
        return det_augment_black_patches(env, rng, option, sample);
    case DET_AUGMENT_PATCH_GAUSSIAN:
        return det_augment_patch_gaussian(env, rng, option, sample);
    case DET_AUGMENT_JPEG_QUALITY:
        return det_augment_jpeg_quality(env, rng, option, sample);
    case DET_AUGMENT_PIXEL_VALUE_SCALE:
        /* A number for each value, in the order in which they are seen. */
        DET_TRY_RETURN(det_sample_settle(env, sample));
        det_augment_pixel_value_scale(rng, option->low, option->high, sample);
        return DET_OK;
    case DET_AUGMENT_GAMMA:
        DET_TRY_RETURN(det_sample_to_float(env, sample));
        det_augment_gamma(option->gamma, option->gain, sample);
        return DET_OK;
    default:
        return apply_color(env, option, rng, sample);
    }
}

static det_status apply(struct det_env *env, const struct det_augment_option *option,
                        struct det_rng *rng, struct det_sample *sample)
{
    if (option->crop_count > 0)
        DET_TRY_RETURN(det_sample_keep_means(env, sample));
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
    case DET_AUGMENT_CROP_TO_ASPECT:
        det_augment_crop_to_aspect(rng, option->aspect, option->crops[0].overlap_thresh,
                                   option->crops[0].clip_boxes, sample);
        return DET_OK;
    case DET_AUGMENT_SSD_CROP_FIXED_ASPECT:
        /* The second step's threshold is that function's default, and it always clips. */
        det_augment_ssd_crop(rng, option->crops, option->crop_count, sample);
        det_augment_crop_to_aspect(rng, option->aspect, 0.3f, true, sample);
        return DET_OK;
    case DET_AUGMENT_JITTER_BOXES:
        det_augment_jitter_boxes(rng, option->high, option->jitter, sample);
        return DET_OK;
    case DET_AUGMENT_DROP_LABEL:
        det_augment_drop_label(rng, option->label, option->probability, sample);
        return DET_OK;
    case DET_AUGMENT_REMAP_LABELS:
        det_augment_remap_labels(option->labels, option->label_count, option->label, sample);
        return DET_OK;
    case DET_AUGMENT_RGB_TO_GRAY:
        /* Grey unless the uniform draw is above the probability. */
        if (det_rng_uniform(rng) > option->probability)
            return DET_OK;
        return apply_color(env, option, rng, sample);
    default:
        return apply_size(env, option, rng, sample);
    }
}

det_status det_augment_apply(struct det_env *env, const struct det_augment_option *options,
                             size_t count, struct det_rng *rng, struct det_sample *sample)
{
    for (size_t i = 0; i < count; i++) {
        const det_status status = apply(env, &options[i], rng, sample);
        if (status != DET_OK)
            return det_fail_prefix(env, status, "%s", det_augment_name(options[i].kind));
    }
    return DET_OK;
}
