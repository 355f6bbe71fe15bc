/* data/augment_{resize,noise,boxes}.c: resampling against its definition written down, noise and
 * patches against their derived statistics, and what happens to objects alone. */
#include <math.h>

#include "data/augment_ops.h"
#include "support/mem.h"
#include "support/test.h"

static void random_sample(struct det_env *env, struct det_sample *sample, int32_t height,
                          int32_t width)
{
    assert_ok(env, det_image_resize_buffer(env, &sample->image, width, height));
    for (int32_t i = 0; i < height * width * 3; i++)
        sample->image.rgb[i] = (uint8_t)((uint32_t)i * 2654435761u >> 24);
    det_sample_reset(sample);
}

static struct det_rng trial_rng(int trial)
{
    struct det_rng rng;
    det_rng_init(&rng, 23, (uint64_t)trial, 4);
    return rng;
}

/* --- resampling --- */

static double pixel(const struct det_image *image, int y, int x, int c)
{
    const int row = y < 0 ? 0 : y >= image->height ? image->height - 1 : y;
    const int column = x < 0 ? 0 : x >= image->width ? image->width - 1 : x;
    return image->rgb[(row * image->width + column) * 3 + c];
}

/* Keys' kernel with a = -.75. */
static double cubic(double x)
{
    const double a = -.75;
    x = fabs(x);
    return x <= 1  ? ((a + 2) * x - (a + 3)) * x * x + 1
           : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
                   : 0;
}

/* One output value as the definition has it, in two dimensions at once. */
static double defined(const struct det_image *image, enum det_resample method, bool aligned, int y,
                      int x, int c, int height, int width)
{
    const double sy =
        aligned ? (image->height - 1.0) / (height - 1) : (double)image->height / height;
    const double sx = aligned ? (image->width - 1.0) / (width - 1) : (double)image->width / width;
    const double py = y * sy, px = x * sx;
    const int iy = (int)floor(py + 1e-6), ix = (int)floor(px + 1e-6);
    double sum = 0;
    switch (method) {
    case DET_RESAMPLE_BILINEAR:
        for (int v = 0; v < 2; v++)
            for (int u = 0; u < 2; u++)
                sum += fabs(1 - v - (py - iy)) * fabs(1 - u - (px - ix)) *
                       pixel(image, iy + v, ix + u, c);
        return sum;
    case DET_RESAMPLE_NEAREST:
        return aligned ? pixel(image, (int)floor(py + .5), (int)floor(px + .5), c)
                       : pixel(image, iy, ix, c);
    case DET_RESAMPLE_BICUBIC:
        for (int v = -1; v <= 2; v++)
            for (int u = -1; u <= 2; u++)
                sum += cubic(py - iy - v) * cubic(px - ix - u) * pixel(image, iy + v, ix + u, c);
        return sum;
    case DET_RESAMPLE_AREA:
        for (int v = iy; v < (y + 1) * sy - 1e-9; v++)
            for (int u = ix; u < (x + 1) * sx - 1e-9; u++)
                sum += (fmin(v + 1, (y + 1) * sy) - fmax(v, py)) *
                       (fmin(u + 1, (x + 1) * sx) - fmax(u, px)) * pixel(image, v, u, c);
        return sum / (sy * sx);
    }
    return NAN;
}

static void resampling_is_as_defined(void **state)
{
    (void)state;
    static const int sizes[][4] = {{8, 8, 16, 4}, {13, 7, 5, 11},  {1, 9, 3, 3},
                                   {17, 1, 4, 6}, {6, 10, 24, 30}, {20, 30, 7, 9}};
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int kind = 0; kind < 5; kind++) {
            const bool aligned = kind == 4; /* bilinear, as random_image_scale has it */
            const enum det_resample method =
                aligned ? DET_RESAMPLE_BILINEAR : (enum det_resample)kind;
            const int height = sizes[i][2], width = sizes[i][3];
            random_sample(&t.env, &sample, sizes[i][0], sizes[i][1]);
            assert_ok(&t.env, det_sample_resample(&t.env, &sample, method, aligned, height, width));
            assert_int_equal(sample.window.height, height);
            assert_int_equal(sample.window.width, width);
            /* The cubic's table has 1024 places: 1/2048 times its steepest slope times 255. */
            const double tolerance = method == DET_RESAMPLE_BICUBIC ? .5 : 2e-3;
            for (int y = 0; y < height; y++)
                for (int x = 0; x < width; x++)
                    for (int c = 0; c < 3; c++)
                        assert_near(sample.pixels[(y * width + x) * 3 + c],
                                    defined(&sample.image, method, aligned, y, x, c, height, width),
                                    tolerance);
        }
    /* The same as the input's own resize. */
    struct det_resizer resizer = {0};
    float ours[5 * 7 * 3];
    random_sample(&t.env, &sample, 30, 40);
    assert_ok(&t.env, det_sample_resize(&t.env, &resizer, &sample, ours, 21, 5, 7));
    assert_ok(&t.env, det_sample_resample(&t.env, &sample, DET_RESAMPLE_BILINEAR, false, 5, 7));
    for (int i = 0; i < 105; i++)
        assert_near(sample.pixels[i], ours[i], 1e-3);
    det_resizer_free(&t.env, &resizer);
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

/* --- noise --- */

/* One try at probability .4 with squares of a quarter of 40: side 10, corner floor(u 40) with u in
 * [0, .75): uniform in [0, 30). */
static void black_patches_follow_the_derivation(void **state)
{
    (void)state;
    enum { TRIALS = 20000 };
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    struct det_augment_option option = det_augment_option_default(DET_AUGMENT_BLACK_PATCHES);
    option.count = 1;
    option.probability = 0.4f;
    option.high = 0.25f;
    int patched = 0;
    double y_sum = 0, x_sum = 0;
    for (int k = 0; k < TRIALS; k++) {
        assert_ok(&t.env, det_image_resize_buffer(&t.env, &sample.image, 40, 40));
        memset(sample.image.rgb, 50, 40 * 40 * 3);
        det_sample_reset(&sample);
        struct det_rng rng = trial_rng(k);
        assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
        int black = 0, first = -1;
        for (int i = 0; i < 1600; i++)
            if (sample.pixels[i * 3] == 0) {
                black++;
                first = first < 0 ? i : first;
            }
        assert_true(black == 0 || black == 100);
        if (black == 0)
            continue;
        patched++;
        y_sum += first / 40;
        x_sum += first % 40;
    }
    assert_near(patched, .4 * TRIALS, 5 * sqrt(.24 * TRIALS));
    assert_near(y_sum / patched, 14.5, 5 * sqrt(899.0 / 12 / patched));
    assert_near(x_sum / patched, 14.5, 5 * sqrt(899.0 / 12 / patched));
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

/* Grey, so that nothing is clipped: outside the patch nothing changes; inside, the deviation is the
 * one given. A patch of odd side 11 reaches 5 up and 6 down. */
static void gaussian_patches_follow_the_derivation(void **state)
{
    (void)state;
    enum { TRIALS = 400 };
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    struct det_augment_option option = det_augment_option_default(DET_AUGMENT_PATCH_GAUSSIAN);
    option.from = option.to = 11;
    option.low = option.high = 0.05f;
    double squares = 0, sum = 0, y_sum = 0;
    long count = 0;
    for (int k = 0; k < TRIALS; k++) {
        assert_ok(&t.env, det_image_resize_buffer(&t.env, &sample.image, 30, 50));
        memset(sample.image.rgb, 128, 50 * 30 * 3);
        det_sample_reset(&sample);
        struct det_rng rng = trial_rng(k);
        assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
        int box[4] = {50, 30, -1, -1};
        for (int i = 0; i < 1500; i++) {
            const double delta = (double)sample.pixels[i * 3] / 255 - 128.0 / 255;
            if (fabs(delta) < 1e-6)
                continue;
            squares += delta * delta;
            sum += delta;
            count++;
            const int y = i / 30, x = i % 30;
            box[0] = y < box[0] ? y : box[0];
            box[1] = x < box[1] ? x : box[1];
            box[2] = y > box[2] ? y : box[2];
            box[3] = x > box[3] ? x : box[3];
        }
        assert_true(box[2] - box[0] <= 10 && box[3] - box[1] <= 10);
        assert_true(box[2] - box[0] == 10 || box[0] == 0 || box[2] == 49);
        y_sum += box[0];
    }
    assert_near(sqrt(squares / (double)count), .05, 5 * .05 / sqrt(2.0 * (double)count));
    assert_near(sum / (double)count, 0, 5 * .05 / sqrt((double)count));
    /* First row max(centre - 5, 0), centre uniform in [0, 50): mean (1 + ... + 44) / 50 = 19.8. */
    assert_near(y_sum / TRIALS, 19.8, 5 * 14.0 / sqrt(TRIALS));
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

static void jpeg_quality_encodes_and_decodes(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    struct det_image expected = {0};
    struct det_augment_option option = det_augment_option_default(DET_AUGMENT_JPEG_QUALITY);
    for (int32_t quality = 0; quality <= 100; quality += 20) {
        uint8_t *data = NULL;
        size_t bytes = 0;
        random_sample(&t.env, &sample, 33, 21);
        assert_ok(&t.env, det_image_encode_jpeg(&t.env, &sample.image, quality < 1 ? 1 : quality,
                                                &data, &bytes));
        assert_ok(&t.env, det_image_decode(&t.env, "expected", data, bytes, &expected));
        option.from = option.to = quality;
        struct det_rng rng = trial_rng(1);
        assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
        assert_false(sample.in_float);
        assert_int_equal(sample.window.height, 33);
        assert_memory_equal(sample.image.rgb, expected.rgb, 33 * 21 * 3);
        det_free(&t.env, &data);
    }
    option.random_coef = 1; /* never */
    random_sample(&t.env, &sample, 33, 21);
    struct det_rng rng = trial_rng(1);
    assert_ok(&t.env, det_augment_apply(&t.env, &option, 1, &rng, &sample));
    assert_int_equal(sample.image.rgb[5], (uint8_t)(5u * 2654435761u >> 24));
    det_image_free(&t.env, &expected);
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

static void values_follow_their_formulas(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    struct det_augment_option options[3] = {
        det_augment_option_default(DET_AUGMENT_GAMMA),
        det_augment_option_default(DET_AUGMENT_NORMALIZE),
        det_augment_option_default(DET_AUGMENT_SUBTRACT_MEAN),
    };
    options[0].gamma = 2;
    options[0].gain = 0.5f;
    options[1].high = 200;
    options[1].target_low = -1;
    options[2].color[0] = 123.68f;
    options[2].color[1] = 116.779f;
    options[2].color[2] = 103.939f;
    struct det_rng rng = trial_rng(1);
    for (int kind = 0; kind < 3; kind++) {
        random_sample(&t.env, &sample, 11, 9);
        assert_ok(&t.env, det_augment_apply(&t.env, &options[kind], 1, &rng, &sample));
        assert_ok(&t.env, det_sample_to_float(&t.env, &sample));
        for (int i = 0; i < 11 * 9 * 3; i++) {
            const double v = sample.image.rgb[i];
            const double expected = kind == 0   ? v / 255 * v / 255 * .5 * 255
                                    : kind == 1 ? v * 2 / 200 - 1
                                                : v - (double)options[2].color[i % 3];
            assert_near(sample.pixels[i], expected, 1e-4);
        }
    }
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

/* --- objects --- */

static void set_box(struct det_env *env, struct det_sample *sample)
{
    static const float box[4] = {0.2f, 0.4f, 0.6f, 0.5f};
    assert_ok(env, det_ground_truth_reserve(env, &sample->truth, 1));
    memcpy(sample->truth.boxes[0], box, sizeof box);
    sample->truth.class_index[0] = 0;
    sample->truth.count = 1;
}

/* A side is the centre plus or minus half of the size times 1 + u: u uniform in [-r, r), [0, r) or
 * [-r, 0). */
static void jitter_has_its_range_and_mean(void **state)
{
    (void)state;
    enum { TRIALS = 20000 };
    static const double means[] = {0, .5, -.5, .5, -.5, .5, -.5};
    const float ratio = 0.2f;
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    for (int mode = DET_JITTER_SIDES; mode <= DET_JITTER_SYMMETRIC_XY_IN; mode++) {
        double sums[4] = {0};
        for (int k = 0; k < TRIALS; k++) {
            set_box(&t.env, &sample);
            struct det_rng rng = trial_rng(k);
            det_augment_jitter_boxes(&rng, ratio, (enum det_jitter)mode, &sample);
            const float *box = sample.truth.boxes[0];
            const double u[4] = {(.4 - (double)box[0]) / .2 - 1, (.45 - (double)box[1]) / .05 - 1,
                                 ((double)box[2] - .4) / .2 - 1, ((double)box[3] - .45) / .05 - 1};
            for (int c = 0; c < 4; c++) {
                sums[c] += u[c];
                assert_true(u[c] >= (means[mode] > 0 ? 0 : -.2) - 1e-5 &&
                            u[c] <= (means[mode] < 0 ? 0 : .2) + 1e-5);
            }
            if (mode >= DET_JITTER_SYMMETRIC_OUT) {
                assert_near(u[0], u[2], 1e-5);
                assert_near(u[1], u[3], 1e-5);
            }
            if (mode >= DET_JITTER_SYMMETRIC_XY_OUT)
                assert_near(u[0], u[1], 1e-5);
        }
        const double width = means[mode] == 0 ? .4 : .2;
        for (int c = 0; c < 4; c++)
            assert_near(sums[c] / TRIALS, means[mode] * .2, 5 * width / sqrt(12.0 * TRIALS));
    }
    /* At the image's edge a symmetric change stops for both sides, a plain one is clipped. */
    set_box(&t.env, &sample);
    sample.truth.boxes[0][0] = 0.01f;
    sample.truth.boxes[0][2] = 0.79f;
    struct det_rng rng = trial_rng(3);
    det_augment_jitter_boxes(&rng, 1.0f, DET_JITTER_SYMMETRIC_OUT, &sample);
    assert_near(sample.truth.boxes[0][0], 0, 1e-6);
    assert_near(sample.truth.boxes[0][2], 0.8, 1e-6);
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

static void labels_are_dropped_and_remapped(void **state)
{
    (void)state;
    enum { OBJECTS = 4000 };
    struct test_env t;
    test_env_init(&t);
    struct det_sample sample = {0};
    assert_ok(&t.env, det_ground_truth_reserve(&t.env, &sample.truth, OBJECTS));
    sample.truth.count = OBJECTS;
    for (int32_t i = 0; i < OBJECTS; i++)
        sample.truth.class_index[i] = i % 4;
    struct det_rng rng = trial_rng(1);
    det_augment_drop_label(&rng, 2, 0.3f, &sample);
    int of_class[4] = {0};
    for (int32_t i = 0; i < sample.truth.count; i++)
        of_class[sample.truth.class_index[i]]++;
    assert_int_equal(of_class[0] + of_class[2] + of_class[3], 3000);
    assert_near(of_class[1], 700, 5 * sqrt(210.0));
    const int32_t from[2] = {1, 4};
    det_augment_remap_labels(from, 2, 3, &sample);
    int third = 0;
    for (int32_t i = 0; i < sample.truth.count; i++)
        third += sample.truth.class_index[i] == 2;
    assert_int_equal(third, 3000);
    det_sample_free(&t.env, &sample);
    test_env_check(&t);
}

static det_status apply_all(struct det_env *env, void *argument)
{
    (void)argument;
    struct det_sample sample = {0};
    det_status status = DET_OK;
    DET_TRY(det_ground_truth_reserve(env, &sample.truth, 1));
    sample.truth.boxes[0][2] = sample.truth.boxes[0][3] = 1;
    for (int kind = 0; det_augment_name((enum det_augment_kind)kind) != NULL; kind++) {
        struct det_augment_option option = det_augment_option_default((enum det_augment_kind)kind);
        option.probability = option.probability_x = 1;
        if (kind == DET_AUGMENT_RESIZE || kind == DET_AUGMENT_RESIZE_METHOD ||
            kind == DET_AUGMENT_SCALE_CROP_PAD)
            option.max_height = option.max_width = 16;
        DET_TRY(det_image_resize_buffer(env, &sample.image, 12, 10));
        memset(sample.image.rgb, 9, 10 * 12 * 3);
        det_sample_reset(&sample);
        sample.truth.count = 1;
        struct det_rng rng = trial_rng(kind);
        DET_TRY(det_augment_apply(env, &option, 1, &rng, &sample));
    }
fail:
    det_sample_free(env, &sample);
    return status;
}

static void failed_allocations_leave_nothing(void **state)
{
    (void)state;
    test_each_allocation_fails(apply_all, NULL);
}

int test_augment_pixels(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resampling_is_as_defined),
        cmocka_unit_test(black_patches_follow_the_derivation),
        cmocka_unit_test(gaussian_patches_follow_the_derivation),
        cmocka_unit_test(jpeg_quality_encodes_and_decodes),
        cmocka_unit_test(values_follow_their_formulas),
        cmocka_unit_test(jitter_has_its_range_and_mean),
        cmocka_unit_test(labels_are_dropped_and_remapped),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests_name("augment_pixels", tests, NULL, NULL);
}
