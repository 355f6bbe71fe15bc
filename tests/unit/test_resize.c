/* data/resize.h: fast and reference give the same bits; windows, flips, formats and bands equal
 * a copied crop; known values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "data/resize.h"
#include "support/mem.h"
#include "support/pixels.h"
#include "support/test.h"

static void random_image(struct det_env *env, struct det_image *image, int32_t height,
                         int32_t width, uint32_t seed)
{
    struct det_rng rng;
    det_rng_init(&rng, seed, 0, 0);
    assert_ok(env, det_image_resize_buffer(env, image, width, height));
    for (int32_t i = 0; i < height * width * 3; i++)
        image->rgb[i] = (uint8_t)det_rng_u32(&rng);
}

static void same_bits_as_reference(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    static const int32_t sizes[] = {1, 2, 3, 5, 8, 17, 32, 61, 97};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    struct det_resizer resizer = {0};
    struct det_rng rng;
    det_rng_init(&rng, 1, 2, 3);
    for (int round = 0; round < 400; round++) {
        struct det_image image = {0};
        const int32_t height = sizes[det_rng_below(&rng, COUNT)];
        const int32_t width = sizes[det_rng_below(&rng, COUNT)];
        const int32_t out_height = sizes[det_rng_below(&rng, COUNT)];
        const int32_t out_width = sizes[det_rng_below(&rng, COUNT)];
        random_image(&t.env, &image, height, width, (uint32_t)round);
        struct det_window window = det_window_whole(height, width);
        if (round % 4 != 0) {
            window.height = 1 + (int32_t)det_rng_below(&rng, (uint32_t)height);
            window.width = 1 + (int32_t)det_rng_below(&rng, (uint32_t)width);
            window.y = (int32_t)det_rng_below(&rng, (uint32_t)(height - window.height + 1));
            window.x = (int32_t)det_rng_below(&rng, (uint32_t)(width - window.width + 1));
            window.flip_x = round % 2 == 1;
            window.flip_y = round % 3 == 1;
        }
        const size_t stride = (size_t)out_width * 3 + 2;
        const size_t count = (size_t)out_height * stride;
        float *a = NULL, *b = NULL, *c = NULL, *pixels = NULL;
        assert_ok(&t.env, det_alloc(&t.env, &a, count, sizeof *a, "a"));
        assert_ok(&t.env, det_alloc(&t.env, &b, count, sizeof *b, "b"));
        assert_ok(&t.env, det_alloc(&t.env, &c, count, sizeof *c, "c"));
        const size_t values = (size_t)height * (size_t)width * 3;
        assert_ok(&t.env, det_alloc(&t.env, &pixels, values, sizeof *pixels, "pixels"));
        for (size_t i = 0; i < values; i++)
            pixels[i] = image.rgb[i];
        assert_ok(&t.env, det_resize_rgb8(&t.env, &resizer, &image, &window, a, stride, out_height,
                                          out_width));
        det_resize_reference(&image, &window, b, stride, out_height, out_width);
        assert_ok(&t.env, det_resize_float(&t.env, &resizer, pixels, width, &window, c, stride,
                                           out_height, out_width));
        assert_memory_equal(a, b, count * sizeof *a);
        assert_memory_equal(c, b, count * sizeof *a);
        det_free(&t.env, &a);
        det_free(&t.env, &b);
        det_free(&t.env, &c);
        det_free(&t.env, &pixels);
        det_image_free(&t.env, &image);
    }
    det_resizer_free(&t.env, &resizer);
    test_env_check(&t);
}

/* Every format, row distance and cut into bands gives the packed image's bits. */
static void formats_and_bands_agree(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    static const struct det_pixels formats[] = {
        {.bytes = 3, .green = 1, .blue = 2}, {.bytes = 3, .red = 2, .green = 1}, {.bytes = 1},
        {.bytes = 4, .green = 1, .blue = 2}, {.bytes = 4, .red = 2, .green = 1},
    };
    enum { FORMATS = sizeof formats / sizeof formats[0], MOST = 50, WORKERS = 3 };
    float wanted[MOST * MOST * 3], got[MOST * MOST * 3];
    struct det_resizer one = {0}, many = {0};
    struct det_rng rng;
    det_rng_init(&rng, 5, 0, 0);
    for (uint32_t round = 0; round < 300; round++) {
        struct det_image image = {0};
        const int32_t height = 1 + (int32_t)det_rng_below(&rng, 60);
        const int32_t width = 1 + (int32_t)det_rng_below(&rng, 60);
        const int32_t out_height = 1 + (int32_t)det_rng_below(&rng, MOST);
        const int32_t out_width = 1 + (int32_t)det_rng_below(&rng, MOST);
        const size_t stride = (size_t)out_width * 3;
        random_image(&t.env, &image, height, width, round);
        struct det_pixels pixels = formats[round % FORMATS];
        for (int32_t i = 0; pixels.bytes == 1 && i < height * width * 3; i++)
            image.rgb[i] = image.rgb[i / 3 * 3];
        pixels.height = height;
        pixels.width = width;
        const int32_t padding = (int32_t)det_rng_below(&rng, 6);
        uint8_t *memory =
            test_pixels_copy(image.rgb, &pixels, padding, det_rng_below(&rng, 2) == 1);
        struct det_window window = det_window_whole(height, width);
        window.flip_x = det_rng_below(&rng, 2) == 1;
        window.flip_y = det_rng_below(&rng, 2) == 1;
        assert_ok(&t.env, det_resize_rgb8(&t.env, &one, &image, &window, wanted, stride, out_height,
                                          out_width));
        assert_ok(&t.env,
                  det_resizer_set(&t.env, &many, &pixels, &window, out_height, out_width, WORKERS));
        memset(got, 0xFF, sizeof got);
        for (int32_t y = 0, band; y < out_height; y += band) {
            band = 1 + (int32_t)det_rng_below(&rng, (uint32_t)(out_height - y));
            det_resizer_rows(&many, (int32_t)det_rng_below(&rng, WORKERS), y, band,
                             got + (size_t)y * stride, stride);
        }
        assert_memory_equal(got, wanted, (size_t)out_height * stride * sizeof *got);
        det_image_free(&t.env, &image);
        free(memory);
    }
    det_resizer_free(&t.env, &one);
    det_resizer_free(&t.env, &many);
    test_env_check(&t);
}

static void known_values(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_image image = {0};
    assert_ok(&t.env, det_image_resize_buffer(&t.env, &image, 2, 2));
    for (int i = 0; i < 4; i++) {
        for (int c = 0; c < 3; c++)
            image.rgb[i * 3 + c] = (uint8_t)(i * 40 + c);
    }
    float out[4 * 4 * 3];
    struct det_resizer resizer = {0};
    const struct det_window whole = det_window_whole(2, 2);
    assert_ok(&t.env, det_resize_rgb8(&t.env, &resizer, &image, &whole, out, 12, 4, 4));
    /* Positions 0, .5, 1, 1.5; behind the last pixel it is repeated. */
    const float row[4] = {0, 20, 40, 40};
    const float column[4] = {0, 40, 80, 80};
    for (int y = 0; y < 4; y++) {
        for (int x = 0; x < 4; x++) {
            for (int c = 0; c < 3; c++)
                assert_near(out[(y * 4 + x) * 3 + c], row[x] + column[y] + (float)c, 0);
        }
    }
    /* The same size: unchanged. */
    assert_ok(&t.env, det_resize_rgb8(&t.env, &resizer, &image, &whole, out, 6, 2, 2));
    for (int i = 0; i < 12; i++)
        assert_near(out[i], image.rgb[i], 0);
    const struct det_window outside = {.y = 1, .height = 2, .width = 2};
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "outside the image",
                 det_resize_rgb8(&t.env, &resizer, &image, &outside, out, 6, 2, 2));
    float pixels[7] = {0, 127.5f, 255, 1, 2, 3, 254};
    det_normalize_pixels(pixels, pixels, 7);
    const float expected[7] = {0, 127.5f, 255, 1, 2, 3, 254};
    for (int i = 0; i < 7; i++) {
        const float want = (2.0f / 255.0f) * expected[i] - 1.0f;
        assert_memory_equal(&pixels[i], &want, sizeof want);
    }
    det_resizer_free(&t.env, &resizer);
    det_image_free(&t.env, &image);
    test_env_check(&t);
}

static void keep_aspect(void **state)
{
    (void)state;
    const struct {
        int32_t height, width, least, most, out_height, out_width;
    } cases[] = {
        {480, 640, 600, 1024, 600, 800},   {500, 1200, 600, 1024, 427, 1024},
        {1200, 500, 600, 1024, 1024, 427}, {640, 640, 640, 640, 640, 640},
        {100, 50, 320, 320, 320, 160},     {333, 500, 800, 1333, 800, 1201},
        {10000, 1, 320, 320, 320, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t height = 0, width = 0;
        det_keep_aspect_size(cases[i].height, cases[i].width, cases[i].least, cases[i].most,
                             &height, &width);
        assert_int_equal(height, cases[i].out_height);
        assert_int_equal(width, cases[i].out_width);
    }
}

int test_resize(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits_as_reference),
        cmocka_unit_test(formats_and_bands_agree),
        cmocka_unit_test(known_values),
        cmocka_unit_test(keep_aspect),
    };
    return cmocka_run_group_tests_name("resize", tests, NULL, NULL);
}
