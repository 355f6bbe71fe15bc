/* augment_noise.c: patches and the losses of JPEG. */
#include <math.h>
#include <string.h>

#include "data/augment_ops.h"
#include "support/mem.h"

/* random_black_patches: `count` times, unless a uniform draw is above the probability, a square of
 * size_to_image_ratio of the smaller side, its corner uniform over 1 - ratio of the image. */
det_status det_augment_black_patches(struct det_env *env, struct det_rng *rng,
                                     const struct det_augment_option *option,
                                     struct det_sample *sample)
{
    DET_TRY_RETURN(det_sample_settle(env, sample));
    const int32_t height = sample->window.height, width = sample->window.width;
    const int32_t side = (int32_t)(fminf((float)height, (float)width) * option->high);
    for (int32_t i = 0; i < option->count; i++) {
        if (det_rng_uniform(rng) > option->probability)
            continue;
        int32_t y = (int32_t)(det_rng_range(rng, 0.0f, 1.0f - option->high) * (float)height);
        int32_t x = (int32_t)(det_rng_range(rng, 0.0f, 1.0f - option->high) * (float)width);
        y = y < height - side ? y : height - side;
        x = x < width - side ? x : width - side;
        for (int32_t row = y; row < y + side; row++)
            memset(sample->pixels + ((size_t)row * (size_t)width + (size_t)x) * 3, 0,
                   (size_t)side * 3 * sizeof(float));
    }
    return DET_OK;
}

/* random_patch_gaussian (Lopes et al., "Improving Robustness Without Sacrificing Accuracy with
 * Patch Gaussian Augmentation"): noise of a uniformly drawn deviation (on the scale 0..1) in a
 * square of a drawn side that is centred anywhere in the image; the result is clipped. */
det_status det_augment_patch_gaussian(struct det_env *env, struct det_rng *rng,
                                      const struct det_augment_option *option,
                                      struct det_sample *sample)
{
    if (!(det_rng_uniform(rng) >= option->random_coef))
        return DET_OK;
    DET_TRY_RETURN(det_sample_settle(env, sample));
    const int32_t sides[2] = {sample->window.height, sample->window.width};
    const int32_t side = det_draw_integer(rng, option->from, option->to);
    const float deviation = det_rng_range(rng, option->low, option->high);
    int32_t from[2], to[2];
    for (int i = 0; i < 2; i++) {
        const int32_t centre = det_draw_integer(rng, 0, sides[i]);
        from[i] = centre - side / 2 > 0 ? centre - side / 2 : 0;
        to[i] = centre + (side + 1) / 2 < sides[i] ? centre + (side + 1) / 2 : sides[i];
    }
    for (int32_t y = from[0]; y < to[0]; y++) {
        float *row = sample->pixels + (size_t)y * (size_t)sides[1] * 3;
        for (int32_t i = from[1] * 3; i < to[1] * 3; i++) {
            const float value = row[i] / 255.0f + deviation * det_rng_normal(rng);
            row[i] = fminf(fmaxf(value, 0.0f), 1.0f) * 255.0f;
        }
    }
    return DET_OK;
}

/* random_jpeg_quality: encodes and decodes at a drawn quality (libjpeg takes 0 as 1). Values are
 * truncated to 8 bits first, as there. The only operation that allocates for each image. */
det_status det_augment_jpeg_quality(struct det_env *env, struct det_rng *rng,
                                    const struct det_augment_option *option,
                                    struct det_sample *sample)
{
    if (!(det_rng_uniform(rng) >= option->random_coef))
        return DET_OK;
    const int32_t quality = det_draw_integer(rng, option->from, option->to);
    struct det_image whole = {0};
    uint8_t *data = NULL;
    size_t bytes = 0;
    det_status status = DET_OK;
    DET_TRY(det_sample_settle(env, sample));
    DET_TRY(det_image_resize_buffer(env, &whole, sample->window.width, sample->window.height));
    const size_t count = (size_t)whole.width * (size_t)whole.height * 3;
    for (size_t i = 0; i < count; i++)
        whole.rgb[i] = (uint8_t)fminf(fmaxf(sample->pixels[i], 0.0f), 255.0f);
    DET_TRY(det_image_encode_jpeg(env, &whole, quality < 1 ? 1 : quality, &data, &bytes));
    DET_TRY(det_image_decode(env, "random_jpeg_quality", data, bytes, &sample->image));
    det_sample_reset(sample);
fail:
    det_free(env, &data);
    det_image_free(env, &whole);
    return status;
}
