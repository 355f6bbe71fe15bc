#include "support/samples.h"

#include "data/augment_ops.h"
#include "support/test.h"

void test_sample_make(struct det_env *env, struct det_sample *sample, int32_t height, int32_t width,
                      uint64_t seed)
{
    struct det_rng rng;
    det_rng_init(&rng, seed, 1, 0);
    assert_ok(env, det_image_resize_buffer(env, &sample->image, width, height));
    for (int32_t i = 0; i < height * width; i++) {
        uint8_t *rgb = sample->image.rgb + (size_t)i * 3;
        const uint32_t drawn = det_rng_u32(&rng);
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)(drawn >> 8 * c);
        if (drawn >> 30 == 0)
            memset(rgb, drawn >> 24 & 8 ? (int)(drawn & 255) : drawn >> 24 & 16 ? 0 : 255, 3);
        if (drawn >> 29 == 2)
            rgb[0] = rgb[drawn >> 24 & 1];
    }
    det_sample_reset(sample);
    struct det_window *w = &sample->window;
    w->height = det_draw_integer(&rng, (height + 1) / 2, height + 1);
    w->width = det_draw_integer(&rng, (width + 1) / 2, width + 1);
    w->y = det_draw_integer(&rng, 0, height - w->height + 1);
    w->x = det_draw_integer(&rng, 0, width - w->width + 1);
    w->flip_y = seed % 2 == 1;
    w->flip_x = seed / 2 % 2 == 1;
}

void test_sample_color(struct det_env *env, struct det_sample *sample, enum det_color kind,
                       struct det_rng *rng)
{
    static const enum det_augment_kind options[] = {
        [DET_COLOR_BRIGHTNESS] = DET_AUGMENT_BRIGHTNESS,
        [DET_COLOR_CONTRAST] = DET_AUGMENT_CONTRAST,
        [DET_COLOR_SATURATION] = DET_AUGMENT_SATURATION,
        [DET_COLOR_HUE] = DET_AUGMENT_HUE,
        [DET_COLOR_GRAY] = DET_AUGMENT_RGB_TO_GRAY,
        [DET_COLOR_LINEAR] = DET_AUGMENT_NORMALIZE,
    };
    struct det_augment_option option = det_augment_option_default(options[kind]);
    if (kind == DET_COLOR_LINEAR && det_rng_below(rng, 2) == 0) {
        const float means[3] = {12.5f, -30, 290}; /* other ones for each channel */
        option = det_augment_option_default(DET_AUGMENT_SUBTRACT_MEAN);
        memcpy(option.color, means, sizeof means);
    }
    switch (kind) {
    case DET_COLOR_BRIGHTNESS:
        option.high = 0.4f;
        break;
    case DET_COLOR_CONTRAST:
    case DET_COLOR_SATURATION:
        option.low = 0;
        option.high = 2.5f;
        break;
    case DET_COLOR_HUE:
        option.high = 1;
        break;
    case DET_COLOR_GRAY:
        option.probability = 1;
        break;
    case DET_COLOR_LINEAR:
        option.target_low = -100;
        option.target_high = 300;
        break;
    }
    assert_ok(env, det_augment_apply(env, &option, 1, rng, sample));
}

void test_sample_colors(struct det_env *env, struct det_sample *sample, int32_t count,
                        uint64_t seed)
{
    struct det_rng rng;
    det_rng_init(&rng, seed, 2, 0);
    for (int32_t i = 0; i < count; i++) {
        const bool linear = det_rng_below(&rng, 12) == 0;
        const uint32_t other = det_rng_below(&rng, DET_COLOR_LINEAR);
        test_sample_color(env, sample, linear ? DET_COLOR_LINEAR : (enum det_color)other, &rng);
    }
}
