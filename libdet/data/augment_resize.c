/* augment_resize.c: resampling of a sample as tf.compat.v1.image.resize_images does it (no
 * half-pixel centres;
 * tensorflow/core/kernels/image/resize_{bilinear,nearest_neighbor,bicubic,area}_op.cc), and the
 * operations that are nothing else. Each method is a weighted sum of source pixels along one axis
 * and then along the other. */
#include <math.h>

#include "data/augment_ops.h"
#include "support/mem.h"

/* Weights of one output coordinate: `count` source coordinates from `first` on; those outside the
 * image count for the pixel at its edge. */
struct taps {
    int32_t first, count;
    float weights[4]; /* not of AREA, see area_weight() */
    float begin, end; /* AREA */
    float scale;
};

/* Keys' cubic with a = -.75, at distances t and 1 + t, from a table of 1024 steps. */
static void cubic_weights(float delta, float weights[4])
{
    const float a = -0.75f;
    const float steps = 1024.0f;
    const float t[2] = {rintf(delta * steps) / steps, (steps - rintf(delta * steps)) / steps};
    for (int i = 0; i < 2; i++) {
        const float near_x = t[i], far_x = t[i] + 1.0f;
        const float near_weight = ((a + 2) * near_x - (a + 3)) * near_x * near_x + 1;
        const float far_weight = ((a * far_x - 5 * a) * far_x + 8 * a) * far_x - 4 * a;
        weights[i == 0 ? 1 : 2] = near_weight;
        weights[i == 0 ? 0 : 3] = far_weight;
    }
}

static float scale_of(int32_t in, int32_t out, bool align_corners)
{
    return align_corners && out > 1 ? (float)(in - 1) / (float)(out - 1) : (float)in / (float)out;
}

static struct taps taps_at(enum det_resample method, int32_t out, float scale, bool align_corners)
{
    const float position = (float)out * scale;
    struct taps taps = {.first = (int32_t)floorf(position), .count = 1, .scale = scale};
    const float share = position - floorf(position);
    switch (method) {
    case DET_RESAMPLE_BILINEAR:
        taps.count = 2;
        taps.weights[0] = 1 - share;
        taps.weights[1] = share;
        break;
    case DET_RESAMPLE_NEAREST:
        taps.first = (int32_t)(align_corners ? roundf(position) : floorf(position));
        taps.weights[0] = 1;
        break;
    case DET_RESAMPLE_BICUBIC:
        taps.first--;
        taps.count = 4;
        cubic_weights(share, taps.weights);
        break;
    case DET_RESAMPLE_AREA:
        taps.begin = position;
        taps.end = (float)(out + 1) * scale;
        taps.count = (int32_t)ceilf(taps.end) - taps.first;
        break;
    }
    return taps;
}

/* Share of source pixel i in the interval [begin, end), relative to the interval. */
static float area_weight(const struct taps *taps, int32_t i)
{
    const float low = fmaxf((float)i, taps->begin), high = fminf((float)(i + 1), taps->end);
    return (high - low) / taps->scale;
}

static int32_t clamp(int32_t value, int32_t limit)
{
    return value < 0 ? 0 : value >= limit ? limit - 1 : value;
}

/* to[x] = sum of from[clamped source of x] for `count` outputs along one axis; elements of an axis
 * are `step` floats apart, and `lines` lines of `line` floats are done. */
static void resample_axis(const float *from, float *to, enum det_resample method,
                          bool align_corners, int32_t in, int32_t out, size_t step, size_t lines,
                          size_t line_in, size_t line_out, size_t run)
{
    const float scale = scale_of(in, out, align_corners);
    for (int32_t x = 0; x < out; x++) {
        const struct taps taps = taps_at(method, x, scale, align_corners);
        for (size_t line = 0; line < lines; line++) {
            float *target = to + line * line_out + (size_t)x * step;
            for (size_t i = 0; i < run; i++)
                target[i] = 0;
            for (int32_t k = 0; k < taps.count; k++) {
                const float weight = method == DET_RESAMPLE_AREA
                                         ? area_weight(&taps, taps.first + k)
                                         : taps.weights[k];
                const float *source =
                    from + line * line_in + (size_t)clamp(taps.first + k, in) * step;
                for (size_t i = 0; i < run; i++)
                    target[i] += weight * source[i];
            }
        }
    }
}

det_status det_sample_resample(struct det_env *env, struct det_sample *sample,
                               enum det_resample method, bool align_corners, int32_t height,
                               int32_t width)
{
    DET_TRY_RETURN(det_sample_settle(env, sample));
    const int32_t old_height = sample->window.height, old_width = sample->window.width;
    if (height == old_height && width == old_width)
        return DET_OK;
    DET_TRY_RETURN(det_sample_reserve_spare(env, sample, old_height, width));
    const size_t row_in = (size_t)old_width * 3, row_out = (size_t)width * 3;
    resample_axis(sample->pixels, sample->spare, method, align_corners, old_width, width, 3,
                  (size_t)old_height, row_in, row_out, 3);
    det_sample_take_spare(sample, old_height, width);
    DET_TRY_RETURN(det_sample_reserve_spare(env, sample, height, width));
    resample_axis(sample->pixels, sample->spare, method, align_corners, old_height, height, row_out,
                  1, 0, 0, row_out);
    det_sample_take_spare(sample, height, width);
    return DET_OK;
}

/* random_image_scale: both sides times one factor, uniform in [low, high); corners aligned. */
det_status det_augment_image_scale(struct det_env *env, struct det_rng *rng, float low, float high,
                                   struct det_sample *sample)
{
    const float factor = det_rng_range(rng, low, high);
    const float height = (float)sample->window.height * factor;
    const float width = (float)sample->window.width * factor;
    return det_sample_resample(env, sample, DET_RESAMPLE_BILINEAR, true,
                               (int32_t)fmaxf(fminf(height, 1e6f), 1.0f),
                               (int32_t)fmaxf(fminf(width, 1e6f), 1.0f));
}

/* random_downscale_to_target_pixels: an image of more pixels than drawn shrinks to that number. */
det_status det_augment_downscale(struct det_env *env, struct det_rng *rng,
                                 const struct det_augment_option *option, struct det_sample *sample)
{
    const bool wanted = det_rng_uniform(rng) >= option->random_coef;
    const int32_t target = det_draw_integer(rng, option->from, option->to);
    const int64_t pixels = (int64_t)sample->window.height * sample->window.width;
    if (!wanted || pixels <= target)
        return DET_OK;
    const float factor = sqrtf((float)target / (float)pixels);
    return det_sample_resample(env, sample, DET_RESAMPLE_BILINEAR, false,
                               (int32_t)fmaxf(factor * (float)sample->window.height, 1.0f),
                               (int32_t)fmaxf(factor * (float)sample->window.width, 1.0f));
}
