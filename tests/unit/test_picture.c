/* data/picture.h: what is listed and done later gives the bits of what is done at once, as bytes or
 * as floats. */
#include "data/augment_ops.h"
#include "support/samples.h"
#include "support/test.h"

enum { MOST_SIDE = 48, MOST_FLOATS = MOST_SIDE * MOST_SIDE * 3 };

/* The picture of a sample in a frame of an input of height x width must be the sample's resize. */
static void check_picture(struct det_env *env, struct det_sample *listed, struct det_sample *done,
                          const int32_t frame[2], int32_t height, int32_t width, bool in_float)
{
    static float room[MOST_FLOATS], got[MOST_FLOATS], wanted[MOST_FLOATS];
    struct det_resizer resizer = {0};
    struct det_picture picture = {.outside = {1, 2.5f, 250}};
    for (int i = 0; i < height * width * 3; i++)
        wanted[i] = picture.outside[i % 3];
    assert_ok(
        env, det_sample_resize(env, &resizer, done, wanted, (size_t)width * 3, frame[0], frame[1]));
    assert_ok(env, det_picture_take(env, &resizer, listed, frame[0], frame[1], room, &picture));
    assert_int_equal(picture.in_float, in_float);
    assert_true(det_picture_bytes(&picture) <= det_picture_most_bytes(frame[0], frame[1]));
    assert_ok(env, det_picture_to_floats(env, &picture, height, width, got));
    assert_memory_equal(got, wanted, (size_t)height * (size_t)width * 3 * sizeof *got);
    det_resizer_free(env, &resizer);
}

/* Every window, mirror and list; inputs with room beside the frame. */
static void pictures_show_the_sample(void **state)
{
    (void)state;
    static const int32_t cases[][6] = {
        /* image; frame; input */
        {1, 1, 1, 1, 1, 1},       {1, 1, 7, 5, 7, 5},       {9, 1, 4, 8, 8, 8},
        {17, 23, 12, 20, 20, 20}, {40, 37, 20, 19, 33, 19}, {16, 16, 16, 16, 16, 16},
        {5, 46, 48, 11, 48, 40},
    };
    struct test_env t;
    test_env_init(&t);
    struct det_sample listed = {0}, done = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (uint64_t seed = 0; seed < 40; seed++) {
            const int32_t *c = cases[i];
            const int32_t colors = (int32_t)(seed % 6);
            test_sample_make(&t.env, &listed, c[0], c[1], seed);
            test_sample_make(&t.env, &done, c[0], c[1], seed);
            assert_ok(&t.env, det_sample_settle(&t.env, &done));
            test_sample_colors(&t.env, &listed, colors, seed);
            test_sample_colors(&t.env, &done, colors, seed);
            assert_int_equal(done.color_count, 0);
            if (!listed.in_float)
                assert_int_equal(listed.color_count, colors);
            const bool in_float =
                listed.in_float || listed.window.height * listed.window.width > 4 * c[2] * c[3];
            check_picture(&t.env, &listed, &done, c + 2, c[4], c[5], in_float);
        }
    det_sample_free(&t.env, &listed);
    det_sample_free(&t.env, &done);
    test_env_check(&t);
}

/* Bytes as long as they are not more than floats would be. */
static void bytes_decide(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0}, same = {0};
    for (int32_t rows = 19; rows <= 22; rows++) {
        test_sample_make(&t.env, &sample, rows, 20, 3);
        sample.window = (struct det_window){.height = rows, .width = 20, .flip_x = true};
        test_sample_make(&t.env, &same, rows, 20, 3);
        same.window = sample.window;
        check_picture(&t.env, &sample, &same, (const int32_t[2]){10, 10}, 10, 10, rows > 20);
    }
    det_sample_free(&t.env, &sample);
    det_sample_free(&t.env, &same);
    test_env_check(&t);
}

/* Options of which some cannot follow others in a list: whatever is listed, the pixels are those of
 * an augmentation that works on floats from the beginning. */
static void options_may_stand_in_any_order(void **state)
{
    (void)state;
    static const enum det_augment_kind kinds[] = {
        DET_AUGMENT_HORIZONTAL_FLIP, DET_AUGMENT_CROP_IMAGE,    DET_AUGMENT_BRIGHTNESS,
        DET_AUGMENT_CONTRAST,        DET_AUGMENT_SATURATION,    DET_AUGMENT_HUE,
        DET_AUGMENT_DISTORT_COLOR,   DET_AUGMENT_RGB_TO_GRAY,   DET_AUGMENT_NORMALIZE,
        DET_AUGMENT_SUBTRACT_MEAN,   DET_AUGMENT_VERTICAL_FLIP, DET_AUGMENT_SSD_CROP_FIXED_ASPECT,
        DET_AUGMENT_CROP_TO_ASPECT,  DET_AUGMENT_GAMMA,         DET_AUGMENT_CROP_PAD_IMAGE,
        DET_AUGMENT_JPEG_QUALITY,    DET_AUGMENT_ROTATION90,    DET_AUGMENT_PIXEL_VALUE_SCALE,
    };
    enum { KINDS = sizeof kinds / sizeof *kinds, OPTIONS = 7, TRIALS = 400 };
    struct test_env t;
    test_env_init(&t);
    struct det_sample listed = {0}, done = {0};
    int bytes = 0;
    for (uint64_t seed = 0; seed < TRIALS; seed++) {
        struct det_augment_option options[OPTIONS];
        struct det_rng rng, same;
        det_rng_init(&rng, seed, 5, 0);
        test_sample_make(&t.env, &listed, 21, 24, seed);
        test_sample_make(&t.env, &done, 21, 24, seed);
        assert_ok(&t.env, det_sample_settle(&t.env, &done));
        for (int i = 0; i < OPTIONS; i++) {
            const uint32_t most = seed % 2 == 0 ? KINDS : 11;
            options[i] = det_augment_option_default(kinds[det_rng_below(&rng, most)]);
            options[i].crops[0].min_object_covered = 0;
        }
        same = rng;
        assert_ok(&t.env, det_augment_apply(&t.env, options, OPTIONS, &rng, &listed));
        for (int i = 0; i < OPTIONS; i++) {
            assert_ok(&t.env, det_augment_apply(&t.env, &options[i], 1, &same, &done));
            assert_ok(&t.env, det_sample_to_float(&t.env, &done));
        }
        bytes += !listed.in_float && listed.color_count > 0;
        check_picture(&t.env, &listed, &done, (const int32_t[2]){32, 32}, 32, 32, listed.in_float);
    }
    assert_true(bytes > TRIALS / 10 && bytes < TRIALS * 9 / 10);
    det_sample_free(&t.env, &listed);
    det_sample_free(&t.env, &done);
    test_env_check(&t);
}

/* What leaves the list for floats: a ninth operation, a contrast behind what is not clipped, a crop
 * behind a contrast. */
static void lists_have_limits(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    struct det_rng rng;
    det_rng_init(&rng, 1, 1, 1);
    test_sample_make(&t.env, &sample, 20, 20, 1);
    for (int i = 0; i < DET_MOST_COLORS; i++) {
        test_sample_color(&t.env, &sample, DET_COLOR_HUE, &rng);
        assert_false(sample.in_float);
    }
    test_sample_color(&t.env, &sample, DET_COLOR_HUE, &rng);
    assert_true(sample.in_float && sample.color_count == 0);

    test_sample_make(&t.env, &sample, 20, 20, 1);
    for (int i = 0; i < DET_MOST_COLORS - 3; i++)
        test_sample_color(&t.env, &sample, DET_COLOR_BRIGHTNESS, &rng);
    struct det_augment_option option = det_augment_option_default(DET_AUGMENT_DISTORT_COLOR);
    assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
    assert_true(sample.in_float);

    test_sample_make(&t.env, &sample, 20, 20, 1);
    test_sample_color(&t.env, &sample, DET_COLOR_CONTRAST, &rng);
    test_sample_color(&t.env, &sample, DET_COLOR_LINEAR, &rng);
    assert_false(sample.in_float);
    test_sample_color(&t.env, &sample, DET_COLOR_CONTRAST, &rng);
    assert_true(sample.in_float);

    option = det_augment_option_default(DET_AUGMENT_CROP_IMAGE);
    for (int contrast = 0; contrast < 2; contrast++) {
        test_sample_make(&t.env, &sample, 20, 20, 1);
        test_sample_color(&t.env, &sample, DET_COLOR_SATURATION, &rng);
        if (contrast == 1)
            test_sample_color(&t.env, &sample, DET_COLOR_CONTRAST, &rng);
        assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
        assert_int_equal(sample.in_float, contrast);
    }
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

/* Means are what they are in any order of adding up, and as exact as floats can say. */
static void means_are_exact(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample[2] = {{.in_float = false}};
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct det_rng rng;
        float *pixels[2];
        for (int i = 0; i < 2; i++) {
            det_rng_init(&rng, 4, seed, 0);
            test_sample_make(&t.env, &sample[i], 31, 29, 7);
            sample[i].window.flip_x = sample[i].window.flip_y = i == 1;
            assert_ok(&t.env, det_sample_settle(&t.env, &sample[i]));
            test_sample_color(&t.env, &sample[i], DET_COLOR_BRIGHTNESS, &rng);
            test_sample_color(&t.env, &sample[i], DET_COLOR_CONTRAST, &rng);
            pixels[i] = sample[i].pixels;
        }
        const int32_t count = sample[0].window.height * sample[0].window.width;
        for (int32_t i = 0; i < count; i++)
            assert_memory_equal(pixels[0] + i * 3, pixels[1] + (count - 1 - i) * 3,
                                3 * sizeof **pixels);
    }
    for (int i = 0; i < 2; i++)
        det_sample_free(&t.env, &sample[i]);
    test_env_check(&t);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    static const uint8_t pixels[300];
    static float out[MOST_FLOATS];
    const struct det_picture good = {
        .pixels = pixels, .height = 10, .width = 10, .frame_height = 8, .frame_width = 6};
    enum { BAD = 11 };
    struct det_picture bad[BAD];
    for (int i = 0; i < BAD; i++)
        bad[i] = good;
    assert_ok(&t.env, det_picture_check(&t.env, &good, 8, 6));
    assert_ok(&t.env, det_picture_to_floats(&t.env, &good, 8, 6, out));
    bad[0].height = 0;
    bad[1].width = -1;
    bad[2].frame_height = 9;
    bad[3].frame_width = 7;
    bad[4].frame_width = 0;
    bad[5].color_count = DET_MOST_COLORS + 1;
    bad[6].contrast_count = 1;
    bad[7].height = 20; /* more bytes than 8 x 6 floats */
    bad[8].color_count = -1;
    bad[9].height = 65501;
    bad[10].color_count = 1; /* a contrast that is not counted */
    bad[10].colors[0].kind = DET_COLOR_CONTRAST;
    for (int i = 0; i < BAD; i++) {
        assert_fails(&t.env, DET_STATUS_INTERNAL, "in an input of 6 x 8",
                     det_picture_check(&t.env, &bad[i], 8, 6));
        assert_fails(&t.env, DET_STATUS_INTERNAL, "a picture of",
                     det_picture_to_floats(&t.env, &bad[i], 8, 6, out));
    }
    test_env_check(&t);
}

static det_status take_and_show(struct det_env *env, void *argument)
{
    (void)argument;
    static float room[16 * 16 * 3], out[16 * 16 * 3];
    struct det_resizer resizer = {0};
    struct det_sample sample = {0};
    struct det_picture picture = {0};
    static const struct det_color_op gray = {.kind = DET_COLOR_GRAY};
    det_status status = DET_OK;
    for (int32_t side = 20; side <= 40; side += 20) { /* as bytes, and as floats */
        DET_TRY(det_image_resize_buffer(env, &sample.image, side, side));
        memset(sample.image.rgb, 9, (size_t)side * (size_t)side * 3);
        det_sample_reset(&sample);
        sample.colors[sample.color_count++] = gray;
        DET_TRY(det_picture_take(env, &resizer, &sample, 16, 16, room, &picture));
        DET_TRY(det_picture_to_floats(env, &picture, 16, 16, out));
    }
fail:
    det_sample_free(env, &sample);
    det_resizer_free(env, &resizer);
    return status;
}

static void failed_allocations(void **state)
{
    (void)state;
    test_each_allocation_fails(take_and_show, NULL);
}

int test_picture(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_show_the_sample),
        cmocka_unit_test(bytes_decide),
        cmocka_unit_test(options_may_stand_in_any_order),
        cmocka_unit_test(lists_have_limits),
        cmocka_unit_test(means_are_exact),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests_name("picture", tests, NULL, NULL);
}
