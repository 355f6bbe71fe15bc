/* augment_color.c: random colour operations as core/preprocessor.py random_adjust_* over
 * tf.image.adjust_*: pixels are divided by 255, changed, multiplied by 255 and clipped to 0..255,
 * and only the window that is seen takes part (which matters for the contrast's mean).
 * kernels/color.cuh does the same to the bit.
 */
#include <math.h>
#include <string.h>

#include "data/augment_ops.h"

#define PIXEL_MOST 255.0f

static float clip_pixel(float value)
{
    return value < 0.0f ? 0.0f : value > PIXEL_MOST ? PIXEL_MOST : value;
}

/* --- what an operation does to a row of `width` pixels --- */

static void add_brightness(float delta, float *row, int32_t width)
{
    for (int32_t i = 0; i < width * 3; i++)
        row[i] = clip_pixel((row[i] / PIXEL_MOST + delta) * PIXEL_MOST);
}

/* Sums of a channel's values, divided by 255. */
struct sum {
    uint64_t units; /* of values of 0..1, see DET_COLOR_UNITS */
    double rest;    /* of others */
};

static void add_to_sum(struct sum *sum, float value)
{
    if (value >= 0.0f && value <= 1.0f)
        sum->units += (uint64_t)(value * DET_COLOR_UNITS);
    else
        sum->rest += (double)value;
}

static void take_means(const float *pixels, int32_t stride, int32_t height, int32_t width,
                       float means[3])
{
    struct sum sums[3] = {0};
    for (int32_t y = 0; y < height; y++) {
        const float *rgb = pixels + (size_t)y * (size_t)stride * 3;
        for (int32_t x = 0; x < width; x++, rgb += 3)
            for (int c = 0; c < 3; c++)
                add_to_sum(&sums[c], rgb[c] / PIXEL_MOST);
    }
    for (int c = 0; c < 3; c++)
        means[c] = (float)(((double)sums[c].units / (double)DET_COLOR_UNITS + sums[c].rest) /
                           ((double)height * (double)width));
}

static void stretch_contrast(float factor, const float means[3], float *rgb, int32_t width)
{
    for (int32_t x = 0; x < width; x++, rgb += 3)
        for (int c = 0; c < 3; c++) {
            const float value = rgb[c] / PIXEL_MOST;
            rgb[c] = clip_pixel(((value - means[c]) * factor + means[c]) * PIXEL_MOST);
        }
}

/* As hue and value stay, that scales each channel's distance to the largest one. */
static void scale_saturation(float factor, float *rgb, int32_t width)
{
    for (int32_t x = 0; x < width; x++, rgb += 3) {
        const float most = fmaxf(rgb[0], fmaxf(rgb[1], rgb[2]));
        const float range = most - fminf(rgb[0], fminf(rgb[1], rgb[2]));
        if (range <= 0.0f)
            continue; /* grey stays grey */
        const float saturation = range / most;
        const float scale = fminf(saturation * factor, 1.0f) / saturation;
        for (int c = 0; c < 3; c++)
            rgb[c] = clip_pixel(most - (most - rgb[c]) * scale);
    }
}

/* Position on the colour circle in sextants, [0, 6): red 0, green 2, blue 4. */
static float hue_of(const float rgb[3], float most, float range)
{
    if (most == rgb[0])
        return (rgb[1] - rgb[2]) / range + (rgb[1] < rgb[2] ? 6.0f : 0.0f);
    if (most == rgb[1])
        return (rgb[2] - rgb[0]) / range + 2.0f;
    return (rgb[0] - rgb[1]) / range + 4.0f;
}

/* A channel's share of the range at a hue; the three channels are the same trapezium a third of the
 * circle apart. */
static float trapezium(float hue)
{
    hue = hue < 0.0f ? hue + 6.0f : hue >= 6.0f ? hue - 6.0f : hue;
    const float value = fabsf(hue - 3.0f) - 1.0f;
    return value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value;
}

static void turn_hue(float turn, float *rgb, int32_t width)
{
    for (int32_t x = 0; x < width; x++, rgb += 3) {
        const float most = fmaxf(rgb[0], fmaxf(rgb[1], rgb[2]));
        const float least = fminf(rgb[0], fminf(rgb[1], rgb[2]));
        const float range = most - least;
        if (range <= 0.0f)
            continue; /* grey has no hue */
        float hue = hue_of(rgb, most, range) + turn;
        while (hue < 0.0f)
            hue += 6.0f;
        while (hue >= 6.0f)
            hue -= 6.0f;
        rgb[0] = clip_pixel(least + range * trapezium(hue));
        rgb[1] = clip_pixel(least + range * trapezium(hue - 2.0f));
        rgb[2] = clip_pixel(least + range * trapezium(hue - 4.0f));
    }
}

/* random_rgb_to_gray with its luma weights. */
static void make_gray(float *rgb, int32_t width)
{
    for (int32_t x = 0; x < width; x++, rgb += 3) {
        const float gray = rgb[0] * 0.2989f + rgb[1] * 0.5870f + rgb[2] * 0.1140f;
        rgb[0] = rgb[1] = rgb[2] = gray;
    }
}

static void scale_linearly(const float values[6], float *rgb, int32_t width)
{
    for (int32_t x = 0; x < width; x++, rgb += 3)
        for (int c = 0; c < 3; c++)
            rgb[c] = rgb[c] * values[c] + values[3 + c];
}

void det_color_apply(const struct det_color_op *op, float *pixels, int32_t stride, int32_t height,
                     int32_t width)
{
    float means[3];
    if (op->kind == DET_COLOR_CONTRAST)
        take_means(pixels, stride, height, width, means);
    for (int32_t y = 0; y < height; y++) {
        float *row = pixels + (size_t)y * (size_t)stride * 3;
        switch (op->kind) {
        case DET_COLOR_BRIGHTNESS:
            add_brightness(op->values[0], row, width);
            break;
        case DET_COLOR_CONTRAST:
            stretch_contrast(op->values[0], means, row, width);
            break;
        case DET_COLOR_SATURATION:
            scale_saturation(op->values[0], row, width);
            break;
        case DET_COLOR_HUE:
            turn_hue(op->values[0], row, width);
            break;
        case DET_COLOR_GRAY:
            make_gray(row, width);
            break;
        case DET_COLOR_LINEAR:
            scale_linearly(op->values, row, width);
            break;
        }
    }
}

/* --- the list --- */

static bool has_color(const struct det_sample *sample, enum det_color kind)
{
    for (int32_t i = 0; i < sample->color_count; i++)
        if (sample->colors[i].kind == kind)
            return true;
    return false;
}

det_status det_sample_reserve_colors(struct det_env *env, struct det_sample *sample,
                                     enum det_augment_kind kind)
{
    const bool distorts = kind == DET_AUGMENT_DISTORT_COLOR;
    const bool takes_means = distorts || kind == DET_AUGMENT_CONTRAST;
    if (sample->in_float && takes_means) /* sums in the order in which pixels are seen */
        return det_sample_settle(env, sample);
    if (sample->color_count + (distorts ? 4 : 1) > DET_MOST_COLORS ||
        (takes_means && has_color(sample, DET_COLOR_LINEAR)))
        return det_sample_to_float(env, sample);
    return DET_OK;
}

det_status det_sample_keep_means(struct det_env *env, struct det_sample *sample)
{
    return has_color(sample, DET_COLOR_CONTRAST) ? det_sample_to_float(env, sample) : DET_OK;
}

static float *row_of(struct det_sample *sample, int32_t y)
{
    return sample->pixels +
           ((size_t)(sample->window.y + y) * (size_t)sample->stride + (size_t)sample->window.x) * 3;
}

static void recolor(struct det_sample *sample, struct det_color_op op)
{
    if (sample->in_float)
        det_color_apply(&op, row_of(sample, 0), sample->stride, sample->window.height,
                        sample->window.width);
    else
        sample->colors[sample->color_count++] = op;
}

/* Adds one delta, uniform in [-max_delta, max_delta), to every value (on the scale 0..1). */
void det_augment_brightness(struct det_rng *rng, float max_delta, struct det_sample *sample)
{
    const float delta = det_rng_range(rng, -max_delta, max_delta);
    recolor(sample, (struct det_color_op){DET_COLOR_BRIGHTNESS, {delta}});
}

/* Stretches each channel about its mean over the window by one factor, uniform in [low, high). */
void det_augment_contrast(struct det_rng *rng, float low, float high, struct det_sample *sample)
{
    const float factor = det_rng_range(rng, low, high);
    recolor(sample, (struct det_color_op){DET_COLOR_CONTRAST, {factor}});
}

/* Multiplies the saturation (of hue, saturation, value) by one factor, uniform in [low, high),
 * clipped to 1. */
void det_augment_saturation(struct det_rng *rng, float low, float high, struct det_sample *sample)
{
    const float factor = det_rng_range(rng, low, high);
    recolor(sample, (struct det_color_op){DET_COLOR_SATURATION, {factor}});
}

/* Turns the hue by one delta, uniform in [-max_delta, max_delta) of a full turn. */
void det_augment_hue(struct det_rng *rng, float max_delta, struct det_sample *sample)
{
    const float turn = det_rng_range(rng, -max_delta, max_delta) * 6.0f;
    recolor(sample, (struct det_color_op){DET_COLOR_HUE, {turn}});
}

void det_augment_to_gray(struct det_sample *sample)
{
    recolor(sample, (struct det_color_op){.kind = DET_COLOR_GRAY});
}

void det_augment_linear(const float factor[3], const float offset[3], struct det_sample *sample)
{
    struct det_color_op op = {.kind = DET_COLOR_LINEAR};
    memcpy(op.values, factor, 3 * sizeof *factor);
    memcpy(op.values + 3, offset, 3 * sizeof *offset);
    recolor(sample, op);
}

/* Brightness (32/255), then saturation (.5 to 1.5), hue (.2), contrast (.5 to 1.5); with ordering 1
 * contrast, saturation, hue. */
void det_augment_distort_color(struct det_rng *rng, int32_t ordering, struct det_sample *sample)
{
    det_augment_brightness(rng, 32.0f / 255.0f, sample);
    if (ordering == 1)
        det_augment_contrast(rng, 0.5f, 1.5f, sample);
    det_augment_saturation(rng, 0.5f, 1.5f, sample);
    det_augment_hue(rng, 0.2f, sample);
    if (ordering == 0)
        det_augment_contrast(rng, 0.5f, 1.5f, sample);
}

/* --- on float pixels alone --- */

/* Multiplies every value by its own factor, uniform in [low, high). */
void det_augment_pixel_value_scale(struct det_rng *rng, float low, float high,
                                   struct det_sample *sample)
{
    for (int32_t y = 0; y < sample->window.height; y++) {
        float *row = row_of(sample, y);
        for (int32_t i = 0; i < sample->window.width * 3; i++)
            row[i] = clip_pixel(row[i] * det_rng_range(rng, low, high));
    }
}

/* adjust_gamma: (value / 255)^gamma * gain, back to 0..255 and clipped. */
void det_augment_gamma(float gamma, float gain, struct det_sample *sample)
{
    for (int32_t y = 0; y < sample->window.height; y++) {
        float *row = row_of(sample, y);
        for (int32_t i = 0; i < sample->window.width * 3; i++)
            row[i] = clip_pixel(gain * powf(fmaxf(row[i], 0.0f) / PIXEL_MOST, gamma) * PIXEL_MOST);
    }
}
