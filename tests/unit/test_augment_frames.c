/* data/augment_*.c beyond flips, crops and colours: boxes stay on their objects whatever the new
 * frame, and what is drawn has the distribution that core/preprocessor.py's code implies, derived
 * here: an integer in [a, b) is uniform over b - a values. Bounds are five standard deviations. */
#include <math.h>

#include "data/augment_ops.h"
#include "support/mem.h"
#include "support/test.h"
#include "support/workspace.h"

enum { TRIALS = 20000 };

static void grey_sample(struct det_env *env, struct det_sample *sample, int32_t height,
                        int32_t width, int value)
{
    assert_ok(env, det_image_resize_buffer(env, &sample->image, width, height));
    memset(sample->image.rgb, value, (size_t)(height * width * 3));
    det_sample_reset(sample);
}

static void set_box(struct det_env *env, struct det_sample *sample, float ymin, float xmin,
                    float ymax, float xmax)
{
    assert_ok(env, det_ground_truth_reserve(env, &sample->truth, 1));
    const float box[4] = {ymin, xmin, ymax, xmax};
    memcpy(sample->truth.boxes[0], box, sizeof box);
    sample->truth.class_index[0] = 0;
    sample->truth.count = 1;
}

static struct det_rng trial_rng(int trial)
{
    struct det_rng rng;
    det_rng_init(&rng, 17, (uint64_t)trial, 3);
    return rng;
}

/* Counts of values that should be uniform over [low, high): each within five standard
 * deviations. */
static void check_uniform(const char *name, const int *values, int low, int high)
{
    const int bins = high - low;
    int *counts = calloc((size_t)bins, sizeof *counts);
    assert_non_null(counts);
    for (int k = 0; k < TRIALS; k++) {
        if (values[k] < low || values[k] >= high)
            fail_msg("%s: drew %d, expected %d to %d", name, values[k], low, high - 1);
        counts[values[k] - low]++;
    }
    const double expected = (double)TRIALS / bins;
    for (int i = 0; i < bins; i++)
        if (!(fabs(counts[i] - expected) <= 5 * sqrt(expected)))
            fail_msg("%s: %d drawn %d times, expected %.0f", name, low + i, counts[i], expected);
    free(counts);
}

/* --- every operation keeps boxes on their objects --- */

static const enum det_augment_kind framing_kinds[] = {
    DET_AUGMENT_ROTATION90,
    DET_AUGMENT_CROP_PAD_IMAGE,
    DET_AUGMENT_CROP_TO_ASPECT,
    DET_AUGMENT_SSD_CROP_PAD,
    DET_AUGMENT_SSD_CROP_FIXED_ASPECT,
    DET_AUGMENT_SSD_CROP_PAD_FIXED_ASPECT,
    DET_AUGMENT_PAD_IMAGE,
    DET_AUGMENT_ABSOLUTE_PAD,
    DET_AUGMENT_SQUARE_CROP,
    DET_AUGMENT_SCALE_CROP_PAD,
    DET_AUGMENT_IMAGE_SCALE,
    DET_AUGMENT_DOWNSCALE,
    DET_AUGMENT_RESIZE,
    DET_AUGMENT_RESIZE_METHOD,
};

static struct det_augment_option small_option(enum det_augment_kind kind)
{
    struct det_augment_option option = det_augment_option_default(kind);
    for (int32_t i = 0; i < option.crop_count; i++)
        option.crops[i].has_color = true; /* black: the mean may be the object's own colour */
    if (kind == DET_AUGMENT_SCALE_CROP_PAD) {
        option.max_height = option.max_width = 80;
        option.low = 0.7f;
    } else if (kind == DET_AUGMENT_RESIZE || kind == DET_AUGMENT_RESIZE_METHOD) {
        option.max_height = 77;
        option.max_width = 60;
    } else if (kind == DET_AUGMENT_ABSOLUTE_PAD) {
        option.max_height = 9;
        option.max_width = 30;
    } else if (kind == DET_AUGMENT_DOWNSCALE) {
        option.from = 3000;
        option.to = 6000;
    }
    return option;
}

static void check_box(struct det_env *env, struct det_sample *sample, enum det_augment_kind kind)
{
    struct det_image picture = {0};
    assert_ok(env, det_sample_to_image(env, sample, &picture));
    const int32_t h = picture.height, w = picture.width;
    float seen[4] = {(float)h, (float)w, 0, 0};
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++)
            if (picture.rgb[(y * w + x) * 3] >= 120) {
                seen[0] = fminf(seen[0], (float)y);
                seen[1] = fminf(seen[1], (float)x);
                seen[2] = fmaxf(seen[2], (float)(y + 1));
                seen[3] = fmaxf(seen[3], (float)(x + 1));
            }
    const bool resampled = kind == DET_AUGMENT_SCALE_CROP_PAD || kind == DET_AUGMENT_IMAGE_SCALE ||
                           kind == DET_AUGMENT_DOWNSCALE || kind == DET_AUGMENT_RESIZE ||
                           kind == DET_AUGMENT_RESIZE_METHOD;
    const double tolerance = resampled                         ? 2.0
                             : kind == DET_AUGMENT_SQUARE_CROP ? 1.01 /* the lost row and column */
                                                               : 0.01;
    if (sample->truth.count == 1) {
        for (int c = 0; c < 4; c++)
            if (!(fabs((double)(sample->truth.boxes[0][c] * (float)(c % 2 == 0 ? h : w) -
                                seen[c])) <= tolerance))
                fail_msg("%s: side %d of the box at %g, of the object at %g in %d x %d",
                         det_augment_name(kind), c,
                         (double)(sample->truth.boxes[0][c] * (float)(c % 2 == 0 ? h : w)),
                         (double)seen[c], w, h);
    }
    det_image_free(env, &picture);
}

static void boxes_stay_on_their_objects(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    const int32_t height = 60, width = 90;
    for (size_t i = 0; i < sizeof framing_kinds / sizeof framing_kinds[0]; i++) {
        const struct det_augment_option options[4] = {
            det_augment_option_default(DET_AUGMENT_VERTICAL_FLIP),
            small_option(framing_kinds[i]),
            det_augment_option_default(DET_AUGMENT_HORIZONTAL_FLIP),
            det_augment_option_default(DET_AUGMENT_CROP_IMAGE),
        };
        int objects = 0;
        for (int k = 0; k < 100; k++) {
            grey_sample(&t.env, &sample, height, width, 0);
            for (int32_t y = 18; y < 36; y++)
                memset(sample.image.rgb + (y * width + 27) * 3, 240, 36 * 3);
            set_box(&t.env, &sample, 18.0f / 60, 27.0f / 90, 36.0f / 60, 63.0f / 90);
            struct det_rng rng = trial_rng(k);
            assert_ok(&t.env,
                      det_augment_apply(&t.env, options, k % 2 == 0 ? 3 : 4, &rng, &sample));
            objects += sample.truth.count;
            check_box(&t.env, &sample, framing_kinds[i]);
        }
        assert_true(objects > 50);
    }
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

static void self_concat_repeats_picture_and_objects(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    struct det_augment_option option = det_augment_option_default(DET_AUGMENT_SELF_CONCAT);
    option.probability = 0.3f;
    option.probability_x = 0.6f;
    int down = 0, across = 0, both = 0;
    for (int k = 0; k < TRIALS; k++) {
        grey_sample(&t.env, &sample, 4, 6, 0);
        sample.image.rgb[(1 * 6 + 2) * 3] = 200;
        set_box(&t.env, &sample, 0.25f, 2.0f / 6, 0.5f, 0.5f);
        struct det_rng rng = trial_rng(k);
        assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
        const bool tall = sample.window.height == 8, wide = sample.window.width == 12;
        down += tall;
        across += wide;
        both += tall && wide;
        assert_int_equal(sample.truth.count, (tall ? 2 : 1) * (wide ? 2 : 1));
        for (int32_t i = 0; i < sample.truth.count && sample.in_float; i++) {
            const float *box = sample.truth.boxes[i];
            const int32_t y = (int32_t)lrintf(box[0] * (float)sample.window.height);
            const int32_t x = (int32_t)lrintf(box[1] * (float)sample.window.width);
            assert_near(sample.pixels[(y * sample.stride + x) * 3], 200, 0);
        }
    }
    assert_near(down, .3 * TRIALS, 5 * sqrt(.21 * TRIALS));
    assert_near(across, .6 * TRIALS, 5 * sqrt(.24 * TRIALS));
    assert_near(both, .18 * TRIALS, 5 * sqrt(.1476 * TRIALS));
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

/* --- distributions --- */

static int drawn[4][TRIALS];

/* A 20 x 30 image in a frame: sides uniform in [20, 40) and [30, 60); given the side s, the offset
 * uniform in [0, s - 20), 0 when s is 20. */
static void pads_are_uniform(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    struct det_augment_option option = det_augment_option_default(DET_AUGMENT_PAD_IMAGE);
    double offset_sum = 0, offset_expected = 0;
    for (int k = 0; k < TRIALS; k++) {
        grey_sample(&t.env, &sample, 20, 30, 100);
        sample.image.rgb[0] = 255; /* marks the corner */
        set_box(&t.env, &sample, 0, 0, 1, 1);
        struct det_rng rng = trial_rng(k);
        assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
        drawn[0][k] = sample.window.height;
        drawn[1][k] = sample.window.width;
        const int y = (int)lrintf(sample.truth.boxes[0][0] * (float)sample.window.height);
        const int x = (int)lrintf(sample.truth.boxes[0][1] * (float)sample.window.width);
        assert_near(sample.pixels[(y * sample.stride + x) * 3], 255, 0);
        assert_true(y >= 0 && (y < sample.window.height - 20 || sample.window.height == 20));
        offset_sum += y;
        offset_expected += sample.window.height > 20 ? (sample.window.height - 21) / 2.0 : 0;
        if (y > 0) /* the mean colour: red is above 100 by 155 / 600 */
            assert_near(sample.pixels[0], 100 + 155.0 / 600, 1e-3);
    }
    check_uniform("height", drawn[0], 20, 40);
    check_uniform("width", drawn[1], 30, 60);
    assert_near(offset_sum / TRIALS, offset_expected / TRIALS, 5 * 5.8 / sqrt(TRIALS));

    /* Limits below the image's own size count as that; a given colour is taken. */
    option.min_height = option.min_width = 25;
    option.max_height = 26;
    option.max_width = 28;
    option.has_color = true;
    option.color[0] = 7;
    grey_sample(&t.env, &sample, 20, 30, 100);
    struct det_rng rng = trial_rng(1);
    assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
    assert_int_equal(sample.window.height, 25);
    assert_int_equal(sample.window.width, 30);
    const float last = sample.pixels[24 * 30 * 3], first = sample.pixels[0];
    assert_true(last == 7 || first == 7);

    option = det_augment_option_default(DET_AUGMENT_ABSOLUTE_PAD);
    option.max_height = 10;
    option.max_width = 3;
    for (int k = 0; k < TRIALS; k++) {
        grey_sample(&t.env, &sample, 5, 6, 100);
        rng = trial_rng(k);
        assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
        drawn[0][k] = sample.window.height - 5;
        drawn[1][k] = sample.window.width - 6;
    }
    check_uniform("added height", drawn[0], 0, 10);
    check_uniform("added width", drawn[1], 0, 3);
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

/* 40 x 20 to aspect 1: 20 x 20, offset uniform in [0, 20]; with aspect 4 (width / height): 5 x
 * 20. */
static void crops_to_an_aspect_ratio_are_uniform(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    struct det_augment_option option = det_augment_option_default(DET_AUGMENT_CROP_TO_ASPECT);
    for (int k = 0; k < TRIALS; k++) {
        grey_sample(&t.env, &sample, 40, 20, 100);
        struct det_rng rng = trial_rng(k);
        option.aspect = 1;
        assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
        assert_int_equal(sample.window.height, 20);
        assert_int_equal(sample.window.width, 20);
        drawn[0][k] = sample.window.y;
        det_sample_reset(&sample);
        option.aspect = 4;
        assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
        assert_int_equal(sample.window.height, 5);
        drawn[1][k] = sample.window.y;
    }
    check_uniform("offset at aspect 1", drawn[0], 0, 21);
    check_uniform("offset at aspect 4", drawn[1], 0, 36);
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

/* 50 x 100 with border 32: ceil(log2(64 / 50)) = 1, so 32 / 2 = 16 rows and 32 / 1 columns (64 /
 * 100 gives 2^0) are no centres: centres uniform in [16, 34] and [32, 68]. Scales .5, .75, 1 of
 * 100. */
static void square_crops_follow_the_derivation(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    struct det_augment_option option = det_augment_option_default(DET_AUGMENT_SQUARE_CROP);
    option.border_px = 32;
    option.low = 0.5f;
    option.high = 1.0f;
    option.count = 3;
    for (int k = 0; k < TRIALS; k++) {
        grey_sample(&t.env, &sample, 50, 100, 100);
        set_box(&t.env, &sample, 0, 0, 1, 1);
        struct det_rng rng = trial_rng(k);
        assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
        const int side = sample.window.height;
        assert_int_equal(sample.window.width, side);
        assert_true(side == 50 || side == 75 || side == 100);
        drawn[0][k] = side / 25 - 2;
        /* Where the image begins in the square, or the square in the image: seen in unclipped
         * boxes, of which the clipped one tells the side that is inside. */
        const float *box = sample.truth.boxes[0];
        drawn[1][k] = box[1] > 0   ? side / 2 - (int)lrintf(box[1] * (float)side)
                      : box[3] < 1 ? 100 - (int)lrintf(box[3] * (float)side) + side / 2
                                   : -1;
    }
    check_uniform("scale", drawn[0], 0, 3);
    int known = 0;
    for (int k = 0; k < TRIALS; k++) {
        if (drawn[1][k] < 0)
            continue;
        known++;
        assert_true(drawn[1][k] >= 32 && drawn[1][k] <= 68);
    }
    /* Side 50 shows an edge for no centre in [32, 68] of 100 but those within 25 of it: none. Side
     * 75 (half 37): centres below 37 or above 63, 5 + 5 of 37 (100 - 63 = 37 is not above: 64..68).
     * Side 100: all but 50. A third each. */
    const double share = (0 + 10.0 / 37 + 36.0 / 37) / 3;
    assert_near(known, share * TRIALS, 5 * sqrt(share * (1 - share) * TRIALS));
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

/* 30 x 60 to 40 x 40 with a scale s in [.5, 2): 20 s rows and 40 s columns, truncated. The share of
 * trials with w columns or fewer is (w + 1) / 40 up to 2, less .5, over 1.5; what is wider than 40
 * is cut at an offset of u (w - 40), truncated. */
static void scale_crop_and_pad_follows_the_derivation(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    struct det_augment_option option = det_augment_option_default(DET_AUGMENT_SCALE_CROP_PAD);
    option.max_height = option.max_width = 40;
    option.low = 0.5f;
    int narrow = 0;
    double rows = 0;
    for (int k = 0; k < TRIALS / 4; k++) {
        grey_sample(&t.env, &sample, 30, 60, 200);
        set_box(&t.env, &sample, 0, 0, 1, 1);
        struct det_rng rng = trial_rng(k);
        assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
        assert_int_equal(sample.window.height, 40);
        assert_int_equal(sample.window.width, 40);
        const float *box = sample.truth.boxes[0];
        narrow += lrintf(box[3] * 40) <= 29;
        rows += (double)lrintf(box[2] * 40);
        int seen = 0;
        for (int32_t y = 0; y < 40; y++)
            seen += sample.pixels[y * 40 * 3] > 100;
        assert_near(seen, box[2] * 40, 1e-3);
    }
    const double trials = TRIALS / 4.0, share = (30.0 / 40 - .5) / 1.5;
    assert_near(narrow, share * trials, 5 * sqrt(share * (1 - share) * trials));
    /* Mean of floor(20 s), 20 s uniform in [10, 40): 10..39, each as likely. */
    assert_near(rows / trials, 24.5, 5 * sqrt((900.0 - 1) / 12 / trials));
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

/* Frames of aspect 1 round a 30 x 20 image: 30 x 30 at least, 60 x 40 at most: the scale is limited
 * by the width to 40 / 30. Sides round(30 s), s uniform in [1, 4/3): 30..40. */
static void pads_to_an_aspect_ratio_follow_the_derivation(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    static const float least[2] = {1, 1}, most[2] = {2, 2};
    double sum = 0;
    for (int k = 0; k < TRIALS; k++) {
        grey_sample(&t.env, &sample, 30, 20, 100);
        set_box(&t.env, &sample, 0, 0, 1, 1);
        struct det_rng rng = trial_rng(k);
        assert_ok(&t.env, det_augment_pad_to_aspect(&t.env, &rng, 1, least, most, &sample));
        const int side = sample.window.height;
        assert_int_equal(sample.window.width, side);
        assert_true(side >= 30 && side <= 40);
        sum += side;
        assert_near(sample.truth.boxes[0][2] * (float)side, 30, 1e-4);
        assert_near(sample.truth.boxes[0][3] * (float)side, 20, 1e-4);
        if (side > 30)
            assert_near(sample.pixels[(side * side - 1) * 3], 0, 0);
    }
    assert_near(sum / TRIALS, 35, 5 * (10 / sqrt(12.0)) / sqrt(TRIALS));
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

static void sizes_of_scaled_images_follow_the_derivation(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    struct det_augment_option option = det_augment_option_default(DET_AUGMENT_IMAGE_SCALE);
    option.low = 1.0f;
    for (int k = 0; k < TRIALS; k++) {
        grey_sample(&t.env, &sample, 10, 20, 100);
        struct det_rng rng = trial_rng(k);
        assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
        drawn[0][k] = sample.window.height; /* floor(10 s), s in [1, 2) */
        drawn[1][k] = sample.window.width;
    }
    check_uniform("height", drawn[0], 10, 20);
    check_uniform("width", drawn[1], 20, 40);

    /* 1000 pixels to 250 or 250..499: sides times sqrt(target / 1000); half of the time nothing. */
    option = det_augment_option_default(DET_AUGMENT_DOWNSCALE);
    option.random_coef = 0.5f;
    option.from = option.to = 250;
    int shrunk = 0;
    for (int k = 0; k < TRIALS; k++) {
        grey_sample(&t.env, &sample, 20, 50, 100);
        struct det_rng rng = trial_rng(k);
        assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
        if (sample.window.height == 20)
            continue;
        shrunk++;
        assert_int_equal(sample.window.height, 10);
        assert_int_equal(sample.window.width, 25);
    }
    assert_near(shrunk, .5 * TRIALS, 5 * sqrt(.25 * TRIALS));
    option.random_coef = 0;
    option.from = option.to = 1000; /* not larger than the target */
    grey_sample(&t.env, &sample, 20, 50, 100);
    struct det_rng rng = trial_rng(0);
    assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
    assert_int_equal(sample.window.height, 20);
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

/* --- the augmenter of the public API --- */

static void the_augmenter_shows_what_training_sees(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct workspace w;
    workspace_make(&w, "augmenter");
    workspace_edit_config(&w, "random_horizontal_flip { }", "random_pad_image { }");
    det_context *context = workspace_context(&t, 1);
    det_pipeline_config *config = NULL;
    det_augmenter *augmenter = NULL;
    assert_context_ok(context, det_pipeline_config_load(context, w.config, &config));
    assert_context_ok(context, det_augmenter_create(context, config, &augmenter));
    det_pipeline_config_destroy(&config);
    assert_int_equal(det_augmenter_count(augmenter), 2);
    assert_string_equal(det_augmenter_name(augmenter, 0), "random_pad_image");
    assert_null(det_augmenter_name(augmenter, 2));
    uint8_t pixels[20 * 30 * 3];
    memset(pixels, 90, sizeof pixels);
    const det_image_view view = {
        .pixels = pixels, .width = 30, .height = 20, .format = DET_PIXEL_BGR8};
    const det_detection object = {
        .class_id = 2, .ymin = .1f, .xmin = .2f, .ymax = .6f, .xmax = .9f};
    det_augmented first = {.struct_size = sizeof first}, again = {.struct_size = sizeof again};
    assert_context_ok(context, det_augmenter_run(augmenter, &view, &object, 1, 5, 9, &first));
    const int32_t width = first.image.width, height = first.image.height;
    assert_int_equal(first.count, 1);
    assert_int_equal(first.objects[0].class_id, 2);
    const det_detection found = first.objects[0];
    assert_int_equal(first.image.pixels[0], 90);
    assert_context_ok(context, det_augmenter_run(augmenter, &view, &object, 1, 5, 10, &again));
    assert_true(again.image.width != width || again.image.height != height);
    assert_context_ok(context, det_augmenter_run(augmenter, &view, &object, 1, 5, 9, &again));
    assert_int_equal(again.image.width, width);
    assert_memory_equal(&again.objects[0], &found, sizeof found);
    assert_context_fails(context, DET_STATUS_INVALID_ARGUMENT, "objects is NULL",
                         det_augmenter_run(augmenter, &view, NULL, 1, 5, 9, &again));
    static const int32_t ids[] = {0, -1, INT32_MIN};
    det_detection wrong = object;
    for (int i = 0; i < 3; i++) {
        wrong.class_id = ids[i];
        assert_context_fails(context, DET_STATUS_INVALID_ARGUMENT, "expected 1 or more",
                             det_augmenter_run(augmenter, &view, &wrong, 1, 5, 9, &again));
        assert_true(again.image.pixels == NULL && again.count == 0);
    }
    wrong = object;
    wrong.ymax = NAN;
    assert_context_fails(context, DET_STATUS_NON_FINITE, "object 0 is not finite",
                         det_augmenter_run(augmenter, &view, &wrong, 1, 5, 9, &again));
    /* What it gave is taken again. */
    assert_context_ok(context, det_augmenter_run(augmenter, &view, &object, 1, 5, 9, &again));
    assert_context_ok(context, det_augmenter_run(augmenter, &again.image, again.objects,
                                                 again.count, 5, 9, &again));
    assert_true(again.image.pixels != NULL && again.count == 1);
    det_augmenter_destroy(&augmenter);
    det_context_destroy(&context);
    workspace_remove(&w);
    test_env_check(&t);
}

int test_augment_frames(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boxes_stay_on_their_objects),
        cmocka_unit_test(self_concat_repeats_picture_and_objects),
        cmocka_unit_test(pads_are_uniform),
        cmocka_unit_test(crops_to_an_aspect_ratio_are_uniform),
        cmocka_unit_test(square_crops_follow_the_derivation),
        cmocka_unit_test(scale_crop_and_pad_follows_the_derivation),
        cmocka_unit_test(pads_to_an_aspect_ratio_follow_the_derivation),
        cmocka_unit_test(sizes_of_scaled_images_follow_the_derivation),
        cmocka_unit_test(the_augmenter_shows_what_training_sees),
    };
    return cmocka_run_group_tests_name("augment_frames", tests, NULL, NULL);
}
