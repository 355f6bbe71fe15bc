/* augment_pad.c: operations that give the image a new frame: pads, square crops, concatenation,
 * quarter turns. Sizes are truncated or rounded where core/preprocessor.py does it. */
#include <math.h>
#include <string.h>

#include "data/augment_ops.h"
#include "support/mem.h"

static void fill(float *pixels, size_t count, const float color[3])
{
    for (size_t i = 0; i < count; i++)
        memcpy(pixels + 3 * i, color, 3 * sizeof *color);
}

/* The settled picture's rectangle (y, x, height, width) into the spare one at (to_y, to_x). */
static void copy_part(const struct det_sample *sample, int32_t y, int32_t x, int32_t height,
                      int32_t width, int32_t spare_width, int32_t to_y, int32_t to_x)
{
    for (int32_t i = 0; i < height; i++)
        memcpy(sample->spare + ((size_t)(to_y + i) * (size_t)spare_width + (size_t)to_x) * 3,
               sample->pixels + ((size_t)(y + i) * (size_t)sample->stride + (size_t)x) * 3,
               (size_t)width * 3 * sizeof(float));
}

/* Puts the picture into a frame of one colour (NULL: its mean) at this offset; boxes follow. */
static det_status put_into_frame(struct det_env *env, struct det_sample *sample, int32_t height,
                                 int32_t width, int32_t y, int32_t x, const float *color)
{
    DET_TRY_RETURN(det_sample_settle(env, sample));
    DET_TRY_RETURN(det_sample_reserve_spare(env, sample, height, width));
    const int32_t old_height = sample->window.height, old_width = sample->window.width;
    float mean[3];
    if (color == NULL) {
        const size_t count = (size_t)old_height * (size_t)old_width;
        double sums[3] = {0, 0, 0};
        for (size_t i = 0; i < count; i++)
            for (size_t c = 0; c < 3; c++)
                sums[c] += (double)sample->pixels[i * 3 + c];
        for (int c = 0; c < 3; c++)
            mean[c] = (float)(sums[c] / (double)count);
        color = mean;
    }
    fill(sample->spare, (size_t)height * (size_t)width, color);
    copy_part(sample, 0, 0, old_height, old_width, width, y, x);
    det_sample_take_spare(sample, height, width);
    const float window[4] = {
        (float)-y / (float)old_height,
        (float)-x / (float)old_width,
        (float)(height - y) / (float)old_height,
        (float)(width - x) / (float)old_width,
    };
    det_sample_move_boxes(sample, window);
    return DET_OK;
}

/* random_rotation90, once it is drawn: a quarter turn against the clock. */
det_status det_augment_rotation90(struct det_env *env, struct det_sample *sample)
{
    DET_TRY_RETURN(det_sample_settle(env, sample));
    const int32_t height = sample->window.height, width = sample->window.width;
    DET_TRY_RETURN(det_sample_reserve_spare(env, sample, width, height));
    for (int32_t y = 0; y < width; y++)
        for (int32_t x = 0; x < height; x++)
            memcpy(sample->spare + ((size_t)y * (size_t)height + (size_t)x) * 3,
                   sample->pixels + ((size_t)x * (size_t)width + (size_t)(width - 1 - y)) * 3,
                   3 * sizeof(float));
    det_sample_take_spare(sample, width, height);
    for (int32_t i = 0; i < sample->truth.count; i++) {
        float *box = sample->truth.boxes[i];
        const float old[4] = {box[0], box[1], box[2], box[3]};
        box[0] = 1.0f - old[3];
        box[1] = old[0];
        box[2] = 1.0f - old[1];
        box[3] = old[2];
    }
    return DET_OK;
}

/* random_pad_image: each side of the new frame uniform in [min, max), neither below the image's own
 * (max itself when the range is empty); the image anywhere in it. */
det_status det_augment_pad_image(struct det_env *env, struct det_rng *rng,
                                 const int32_t min_size[2], const int32_t max_size[2],
                                 const float *color, struct det_sample *sample)
{
    const int32_t present[2] = {sample->window.height, sample->window.width};
    int32_t size[2], offset[2];
    for (int i = 0; i < 2; i++) {
        const int32_t most = max_size[i] > present[i] ? max_size[i] : present[i];
        const int32_t least = min_size[i] > present[i] ? min_size[i] : present[i];
        size[i] = most > least ? det_draw_integer(rng, least, most) : most;
    }
    for (int i = 0; i < 2; i++)
        offset[i] = det_draw_integer(rng, 0, size[i] - present[i]);
    return put_into_frame(env, sample, size[0], size[1], offset[0], offset[1], color);
}

/* random_crop_pad_image: a crop, then a pad whose limits are multiples of the image before it. */
det_status det_augment_crop_pad_image(struct det_env *env, struct det_rng *rng,
                                      const struct det_crop_settings *settings,
                                      struct det_sample *sample)
{
    const float before[2] = {(float)sample->window.height, (float)sample->window.width};
    int32_t least[2], most[2];
    det_augment_crop_image(rng, settings, sample);
    for (int i = 0; i < 2; i++) {
        least[i] = (int32_t)(before[i] * settings->min_padded[i]);
        most[i] = (int32_t)(before[i] * settings->max_padded[i]);
    }
    return det_augment_pad_image(env, rng, least, most,
                                 settings->has_color ? settings->color : NULL, sample);
}

/* random_pad_to_aspect_ratio: the smallest frame of this aspect ratio times a scale that is uniform
 * between what the ratios allow; black to the right and below. */
det_status det_augment_pad_to_aspect(struct det_env *env, struct det_rng *rng, float aspect,
                                     const float min_padded[2], const float max_padded[2],
                                     struct det_sample *sample)
{
    static const float black[3] = {0, 0, 0};
    const float height = (float)sample->window.height, width = (float)sample->window.width;
    const float target_height = width / height <= aspect ? height : width / aspect;
    const float target_width = width / height >= aspect ? width : height * aspect;
    const float most = fminf(fmaxf(max_padded[0] * height, target_height) / target_height,
                             fmaxf(max_padded[1] * width, target_width) / target_width);
    const float least =
        fminf(most, fmaxf(fmaxf(min_padded[0] * height, target_height) / target_height,
                          fmaxf(min_padded[1] * width, target_width) / target_width));
    const float scale = det_rng_range(rng, least, most);
    /* Rounding down must not cut the image: TensorFlow would fail. */
    const int32_t new_height = (int32_t)fmaxf(rintf(scale * target_height), height);
    const int32_t new_width = (int32_t)fmaxf(rintf(scale * target_width), width);
    return put_into_frame(env, sample, new_height, new_width, 0, 0, black);
}

/* Distance from the edge within which no square is centred: max_border halved until it is below
 * half of the side. */
static int32_t border_of(int32_t max_border, int32_t side)
{
    const float border = (float)max_border;
    const float power = ceilf(logf(2.0f * border / (float)side) / logf(2.0f));
    float divisor = powf(2.0f, power);
    divisor = fminf(fmaxf(divisor, 1.0f), border);
    return max_border / (int32_t)divisor;
}

/* random_square_crop_by_scale: a square whose side is the larger side of the image times one of
 * `count` evenly spaced scales, centred anywhere but near the edge; black where it leaves the
 * image. The last row and column of the image are never part of it, as there. */
det_status det_augment_square_crop(struct det_env *env, struct det_rng *rng,
                                   const struct det_augment_option *option,
                                   struct det_sample *sample)
{
    static const float black[3] = {0, 0, 0};
    DET_TRY_RETURN(det_sample_settle(env, sample));
    const int32_t sides[2] = {sample->window.height, sample->window.width};
    const int32_t drawn = (int32_t)det_rng_below(rng, (uint32_t)option->count);
    const float scale = option->count == 1
                            ? option->low
                            : option->low + (option->high - option->low) * (float)drawn /
                                                (float)(option->count - 1);
    const int32_t side =
        (int32_t)fmaxf(scale * (float)(sides[0] > sides[1] ? sides[0] : sides[1]), 1.0f);
    int32_t crop_from[2], from[2], to[2];
    for (int i = 0; i < 2; i++) {
        const int32_t border = border_of(option->border_px, sides[i]);
        const int32_t centre = det_draw_integer(rng, border, sides[i] - border + 1);
        crop_from[i] = centre - side / 2;
        from[i] = crop_from[i] > 0 ? crop_from[i] : 0;
        to[i] = centre + side / 2 < sides[i] - 1 ? centre + side / 2 : sides[i] - 1;
        to[i] = to[i] > from[i] ? to[i] : from[i];
    }
    DET_TRY_RETURN(det_sample_reserve_spare(env, sample, side, side));
    fill(sample->spare, (size_t)side * (size_t)side, black);
    copy_part(sample, from[0], from[1], to[0] - from[0], to[1] - from[1], side,
              from[0] - crop_from[0], from[1] - crop_from[1]);
    det_sample_take_spare(sample, side, side);
    const float window[4] = {
        (float)crop_from[0] / (float)sides[0],
        (float)crop_from[1] / (float)sides[1],
        (float)(crop_from[0] + side) / (float)sides[0],
        (float)(crop_from[1] + side) / (float)sides[1],
    };
    det_sample_move_boxes(sample, window);
    det_sample_clip_boxes(sample);
    return DET_OK;
}

/* random_scale_crop_and_pad_to_square: the larger side becomes output_size times a uniform scale;
 * of what is then larger than the output a part is taken, what is smaller is padded with black to
 * the right and below. */
det_status det_augment_scale_crop_pad(struct det_env *env, struct det_rng *rng,
                                      const struct det_augment_option *option,
                                      struct det_sample *sample)
{
    static const float black[3] = {0, 0, 0};
    const int32_t out = option->max_height;
    const float sides[2] = {(float)sample->window.height, (float)sample->window.width};
    const float largest = fmaxf(sides[0], sides[1]);
    const float scale = det_rng_range(rng, option->low, option->high);
    int32_t scaled[2], offset[2], part[2];
    for (int i = 0; i < 2; i++)
        scaled[i] = (int32_t)fmaxf(scale * (float)out * (sides[i] / largest), 1.0f);
    for (int i = 0; i < 2; i++) {
        offset[i] = (int32_t)(fmaxf((float)(scaled[i] - out), 0.0f) * det_rng_uniform(rng));
        part[i] = scaled[i] - offset[i] < out ? scaled[i] - offset[i] : out;
    }
    DET_TRY_RETURN(
        det_sample_resample(env, sample, DET_RESAMPLE_BILINEAR, false, scaled[0], scaled[1]));
    DET_TRY_RETURN(det_sample_reserve_spare(env, sample, out, out));
    fill(sample->spare, (size_t)out * (size_t)out, black);
    copy_part(sample, offset[0], offset[1], part[0], part[1], out, 0, 0);
    det_sample_take_spare(sample, out, out);
    const float window[4] = {
        (float)offset[0] / (float)scaled[0],
        (float)offset[1] / (float)scaled[1],
        (float)(offset[0] + out) / (float)scaled[0],
        (float)(offset[1] + out) / (float)scaled[1],
    };
    det_sample_move_boxes(sample, window);
    det_sample_clip_boxes(sample);
    return DET_OK;
}

/* The picture twice along an axis (0: one above the other), the objects of the second one behind
 * those of the first. */
static det_status concat(struct det_env *env, struct det_sample *sample, int axis)
{
    struct det_ground_truth *truth = &sample->truth;
    DET_TRY_RETURN(det_sample_settle(env, sample));
    const int32_t height = sample->window.height, width = sample->window.width;
    const int32_t new_height = axis == 0 ? 2 * height : height;
    const int32_t new_width = axis == 1 ? 2 * width : width;
    if (truth->count > INT32_MAX / 2)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%d objects are too many",
                        (int)truth->count);
    DET_TRY_RETURN(det_ground_truth_reserve(env, truth, 2 * truth->count));
    DET_TRY_RETURN(det_sample_reserve_spare(env, sample, new_height, new_width));
    copy_part(sample, 0, 0, height, width, new_width, 0, 0);
    copy_part(sample, 0, 0, height, width, new_width, axis == 0 ? height : 0,
              axis == 1 ? width : 0);
    det_sample_take_spare(sample, new_height, new_width);
    for (int32_t i = 0; i < truth->count; i++) {
        const int32_t second = truth->count + i;
        truth->boxes[i][axis] *= 0.5f;
        truth->boxes[i][axis + 2] *= 0.5f;
        det_ground_truth_move(truth, second, i);
        truth->boxes[second][axis] += 0.5f;
        truth->boxes[second][axis + 2] += 0.5f;
    }
    truth->count *= 2;
    return DET_OK;
}

/* random_self_concat_image: two independent draws. */
det_status det_augment_self_concat(struct det_env *env, struct det_rng *rng, float probability_y,
                                   float probability_x, struct det_sample *sample)
{
    const bool vertical = det_rng_uniform(rng) < probability_y;
    const bool horizontal = det_rng_uniform(rng) < probability_x;
    if (vertical)
        DET_TRY_RETURN(concat(env, sample, 0));
    return horizontal ? concat(env, sample, 1) : DET_OK;
}
