/* postprocess against det_postprocess_run(): the same detections in the same order, ties and
 * windows included. */
#include <math.h>

#include "cuda/support/device.h"
#include "model/targets.h"
#include "postprocess.h"
#include "support/mem.h"

/* A batch on the host and on the device. */
struct batch {
    int32_t n, anchor_count, classes;
    float (*anchors)[4], *logits, *encodings, (*windows)[4]; /* host */
    float (*device_anchors)[4];
};

static float *random_floats(size_t count, uint32_t seed)
{
    float *values = malloc((count + 1) * sizeof *values);
    assert_non_null(values);
    test_fill(values, count, seed);
    return values;
}

/* Anchors a grid of overlapping squares; `coarse` logits have many equal scores. */
static struct batch make_batch(int32_t n, int32_t side, int32_t classes, float spread, bool coarse)
{
    struct batch b = {.n = n, .anchor_count = side * side, .classes = classes};
    const size_t rows = (size_t)n * (size_t)b.anchor_count;
    b.anchors = malloc((size_t)b.anchor_count * sizeof *b.anchors);
    b.windows = malloc((size_t)n * sizeof *b.windows);
    assert_true(b.anchors != NULL && b.windows != NULL);
    for (int32_t a = 0; a < b.anchor_count; a++) {
        const float y = ((float)(a / side) + .5f) / (float)side;
        const float x = ((float)(a % side) + .5f) / (float)side;
        const float half = .75f / (float)side;
        const float anchor[] = {y - half, x - half, y + half, x + half};
        memcpy(b.anchors[a], anchor, sizeof anchor);
    }
    b.logits = random_floats(rows * (size_t)(classes + 1), 1);
    b.encodings = random_floats(rows * 4, 2);
    for (size_t i = 0; i < rows * (size_t)(classes + 1); i++)
        b.logits[i] = coarse ? (float)(int)(b.logits[i] * 3) : b.logits[i] * spread;
    for (int32_t i = 0; i < n; i++) {
        const float whole[] = {0, 0, 1, 1}, part[] = {0, 0, .75f, .6f};
        memcpy(b.windows[i], i % 2 == 0 ? whole : part, sizeof whole);
    }
    return b;
}

static void drop_batch(struct batch *b)
{
    free(b->anchors);
    free(b->windows);
    free(b->logits);
    free(b->encodings);
}

struct results {
    int32_t *count, *class_index, *anchor, *finite;
    float (*boxes)[4], *score;
};

/* Runs on the device; host arrays, malloc. */
static struct results run(const struct batch *b, const struct det_postprocess_settings *settings)
{
    const size_t n = (size_t)b->n, most = n * (size_t)settings->max_total_detections;
    const size_t rows = n * (size_t)b->anchor_count;
    struct results r = {malloc(n * sizeof(int32_t)),      malloc(most * sizeof(int32_t)),
                        malloc(most * sizeof(int32_t)),   malloc(n * sizeof(int32_t)),
                        malloc(most * 4 * sizeof(float)), malloc(most * sizeof(float))};
    const struct detk_detections d = {
        .count = test_device_alloc(n * sizeof(int32_t)),
        .boxes = test_device_alloc(most * 4 * sizeof(float)),
        .class_index = test_device_alloc(most * sizeof(int32_t)),
        .score = test_device_alloc(most * sizeof(float)),
        .anchor = test_device_alloc(most * sizeof(int32_t)),
        .finite = test_device_alloc(n * sizeof(int32_t)),
    };
    float(*anchors)[4] = test_device_copy(b->anchors, (size_t)b->anchor_count * sizeof *anchors);
    float(*windows)[4] = test_device_copy(b->windows, n * sizeof *windows);
    float *logits = test_device_copy(b->logits, rows * (size_t)(b->classes + 1) * sizeof *logits);
    float *encodings = test_device_copy(b->encodings, rows * 4 * sizeof *encodings);
    struct det_postprocess_settings on_device = *settings;
    float *thresholds = NULL;
    if (settings->class_thresholds != NULL)
        on_device.class_thresholds = thresholds =
            test_device_copy(settings->class_thresholds, (size_t)b->classes * sizeof *thresholds);
    void *workspace =
        test_device_alloc(detk_postprocess_workspace(settings, b->n, b->anchor_count, b->classes));
    assert_cuda(detk_postprocess(0, &on_device, (const float(*)[4])anchors, b->n, b->anchor_count,
                                 b->classes, logits, encodings, (const float(*)[4])windows, &d,
                                 workspace));
    test_device_read(r.count, d.count, n * sizeof(int32_t));
    test_device_read(r.finite, d.finite, n * sizeof(int32_t));
    test_device_read(r.boxes, d.boxes, most * 4 * sizeof(float));
    test_device_read(r.class_index, d.class_index, most * sizeof(int32_t));
    test_device_read(r.score, d.score, most * sizeof(float));
    test_device_read(r.anchor, d.anchor, most * sizeof(int32_t));
    void *const device[] = {d.count, d.boxes, d.class_index, d.score,   d.anchor, d.finite,
                            anchors, windows, logits,        encodings, workspace};
    if (thresholds != NULL)
        test_device_free(thresholds);
    for (size_t i = 0; i < sizeof device / sizeof *device; i++)
        test_device_free(device[i]);
    return r;
}

static void drop_results(struct results *r)
{
    free(r->count);
    free(r->class_index);
    free(r->anchor);
    free(r->finite);
    free(r->boxes);
    free(r->score);
}

/* Returns the number of detections of the whole batch. */
static int64_t compare(const struct batch *b, const struct det_postprocess_settings *settings)
{
    struct test_env t;
    struct det_postprocess *reference = NULL;
    int64_t all = 0;
    test_env_init(&t);
    struct results got = run(b, settings);
    assert_ok(&t.env, det_postprocess_create(&t.env, settings, (const float(*)[4])b->anchors,
                                             b->anchor_count, b->classes, NULL, &reference));
    for (int32_t i = 0; i < b->n; i++) {
        const size_t rows = (size_t)i * (size_t)b->anchor_count;
        const size_t first = (size_t)i * (size_t)settings->max_total_detections;
        const struct det_detections *wanted =
            det_postprocess_run(reference, b->logits + rows * (size_t)(b->classes + 1),
                                b->encodings + rows * 4, b->windows[i]);
        if (got.count[i] != wanted->count)
            fail_msg("image %d: %d detections, expected %d", i, got.count[i], wanted->count);
        for (int32_t k = 0; k < wanted->count; k++) {
            const size_t at = first + (size_t)k;
            if (got.anchor[at] != wanted->anchor[k] ||
                got.class_index[at] != wanted->class_index[k])
                fail_msg("image %d, detection %d: anchor %d class %d, expected %d and %d", i, k,
                         got.anchor[at], got.class_index[at], wanted->anchor[k],
                         wanted->class_index[k]);
            assert_near(got.score[at], wanted->score[k], 4.8e-7f * wanted->score[k]);
            for (int c = 0; c < 4; c++)
                assert_near(got.boxes[at][c], wanted->boxes[k][c], 1e-6);
        }
        all += wanted->count;
    }
    det_postprocess_destroy(&t.env, &reference);
    drop_results(&got);
    test_env_check(&t);
    return all;
}

static void detections_are_equal(void **state)
{
    (void)state;
    static const struct {
        int32_t n, side, classes;
        float spread;
        bool coarse;
    } cases[] = {
        {1, 1, 1, 4, false}, {1, 7, 1, 6, false},  {3, 12, 3, 5, false}, {2, 20, 1, 1, true},
        {1, 33, 2, 2, true}, {1, 9, 90, 4, false}, {2, 31, 5, 3, false},
    };
    static const struct {
        float score_threshold, iou_threshold;
        int32_t per_class, total;
        bool change_frame;
    } variants[] = {
        {1e-8f, .6f, 100, 100, true}, {.5f, .3f, 5, 8, false},    {1e-8f, 1, 3, 100, true},
        {1e-8f, 0, 100, 20, false},   {.999f, .6f, 10, 10, true},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct batch b = make_batch(cases[c].n, cases[c].side, cases[c].classes, cases[c].spread,
                                    cases[c].coarse);
        for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
            struct det_postprocess_settings settings;
            det_postprocess_settings_default(&settings);
            settings.score_threshold = variants[v].score_threshold;
            settings.iou_threshold = variants[v].iou_threshold;
            settings.max_detections_per_class = variants[v].per_class;
            settings.max_total_detections = variants[v].total;
            settings.change_coordinate_frame = variants[v].change_frame;
            if (v % 2 == 1)
                settings.coder = (struct det_box_coder){9, 11, 4, 6};
            const int64_t found = compare(&b, &settings);
            if (v == 0)
                assert_true(found > 0);
        }
        drop_batch(&b);
    }
}

/* Thousands of boxes on top of each other: suppression must look through many rounds of
 * candidates. */
static void deep_suppression(void **state)
{
    (void)state;
    struct det_postprocess_settings settings;
    struct batch b = make_batch(1, 50, 1, 3, false);
    det_postprocess_settings_default(&settings);
    settings.iou_threshold = .05f;
    for (int32_t a = 0; a < b.anchor_count; a++) {
        const float corner = a % 100 == 99 ? .02f * (float)(a / 100) : .4f;
        const float anchor[] = {corner, corner, corner + .05f, corner + .05f};
        memcpy(b.anchors[a], anchor, sizeof anchor);
        for (int k = 0; k < 4; k++)
            b.encodings[4 * a + k] *= .1f;
    }
    assert_true(compare(&b, &settings) > 3);
    drop_batch(&b);
}

/* Multiples of `step`: scores are equal or further apart than a device's expf() is from the CPU's,
 * so that their order is known. */
static void round_logits(struct batch *b, float step)
{
    const size_t count = (size_t)b->n * (size_t)b->anchor_count * (size_t)(b->classes + 1);
    for (size_t i = 0; i < count; i++)
        b->logits[i] = roundf(b->logits[i] / step) * step + 0.0f; /* no -0 */
}

/* Everything that is a candidate is kept, so that all of the order shows: below, at and above what
 * a list holds (4096), what a block lists (2048) and what a vector has (4). */
static void every_candidate_in_order(void **state)
{
    (void)state;
    static const int32_t counts[] = {2047, 2048, 2049, 4095, 4096, 4097, 4098, 4225};
    struct det_postprocess_settings settings;
    det_postprocess_settings_default(&settings);
    settings.iou_threshold = 1;
    settings.max_detections_per_class = settings.max_total_detections = 5000;
    settings.change_coordinate_frame = false;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct batch b = make_batch(1, 65, 1, 3, i % 2 == 1);
        b.anchor_count = counts[i];
        round_logits(&b, 1.0f / 512);
        assert_true(compare(&b, &settings) > counts[i] / 2);
        drop_batch(&b);
    }
}

enum { ONE_SCORE, FEW_SCORES, SATURATED, NEAR_SCORES, SCORES };

/* More candidates in one bin of a histogram than a list holds: they are found all the same, as ties
 * are ordered. */
static void more_than_a_list_holds(void **state)
{
    (void)state;
    struct det_postprocess_settings settings;
    det_postprocess_settings_default(&settings);
    for (int kind = 0; kind < SCORES; kind++) {
        struct batch b = make_batch(2, 72, 2, 1, false);
        for (int32_t i = 0; i < b.n * b.anchor_count * (b.classes + 1); i++) {
            const float any = b.logits[i];
            const float values[] = {-4.6f, any > .9f ? 1 : -1.f, any > -.9f ? 40 : any,
                                    -4.6f + any * .005f};
            b.logits[i] = values[kind];
        }
        round_logits(&b, 1.0f / 65536);
        assert_true(compare(&b, &settings) > 50);
        drop_batch(&b);
    }
}

/* The best of the candidates, as many as a list holds and more, lie on top of each other: what else
 * is kept comes from below the list. */
static void suppression_below_the_list(void **state)
{
    (void)state;
    static const int32_t on_top[] = {4090, 4200, 5000};
    struct det_postprocess_settings settings;
    det_postprocess_settings_default(&settings);
    for (size_t i = 0; i < sizeof on_top / sizeof *on_top; i++) {
        struct batch b = make_batch(1, 72, 1, 2, false);
        memset(b.encodings, 0, (size_t)b.anchor_count * 4 * sizeof *b.encodings);
        for (int32_t a = 0; a < b.anchor_count; a++) {
            const int32_t rank = a * 5 % b.anchor_count; /* 5 and 72 * 72 have no common divisor */
            const float box[] = {.4f, .4f, .45f, .45f};
            if (rank < on_top[i])
                memcpy(b.anchors[a], box, sizeof box);
            b.logits[2 * a + 1] += rank < on_top[i] ? 4 : -4;
        }
        round_logits(&b, 1.0f / 512);
        assert_true(compare(&b, &settings) > 50);
        drop_batch(&b);
    }
}

/* Each class has its own, and nothing passes infinity; the one for all is not looked at. */
static void thresholds_of_classes(void **state)
{
    (void)state;
    static const float thresholds[] = {.5f, INFINITY, .9f, -1, 1};
    struct det_postprocess_settings settings;
    struct batch b = make_batch(2, 31, 5, 4, false);
    round_logits(&b, 1.0f / 512);
    det_postprocess_settings_default(&settings);
    settings.max_detections_per_class = settings.max_total_detections = 3000;
    settings.iou_threshold = 1;
    const int64_t all = compare(&b, &settings);
    settings.class_thresholds = thresholds;
    settings.score_threshold = 2;
    const int64_t some = compare(&b, &settings);
    assert_true(some > 0 && some < all);
    drop_batch(&b);
}

/* A score of 0 is a candidate below a threshold that is negative, and of no other. */
static void thresholds_about_zero(void **state)
{
    (void)state;
    static const float thresholds[] = {-1, 0, 1e-30f, 1};
    struct det_postprocess_settings settings;
    det_postprocess_settings_default(&settings);
    struct batch b = make_batch(2, 11, 35, 200, false);
    round_logits(&b, 8);
    for (size_t i = 0; i < sizeof thresholds / sizeof *thresholds; i++) {
        settings.score_threshold = thresholds[i];
        settings.max_total_detections = 121 * 35;
        settings.max_detections_per_class = 121;
        settings.iou_threshold = 1;
        const int64_t found = compare(&b, &settings);
        if (i == 0)
            assert_true(found > 4000);
        if (i == 3)
            assert_int_equal(found, 0);
    }
    drop_batch(&b);
}

/* The last anchor of many blocks' counts as well, a logit or an encoding. */
static void bad_numbers_anywhere(void **state)
{
    (void)state;
    struct det_postprocess_settings settings;
    struct batch b = make_batch(2, 40, 2, 4, false);
    det_postprocess_settings_default(&settings);
    float *const numbers[] = {&b.logits[1599 * 3 + 1], &b.logits[1200 * 3],
                              &b.encodings[1599 * 4 + 3], &b.encodings[700 * 4]};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const float sound = *numbers[i];
        *numbers[i] = NAN;
        struct results bad = run(&b, &settings);
        assert_int_equal(bad.finite[0], 0);
        assert_int_equal(bad.finite[1], 1);
        drop_results(&bad);
        *numbers[i] = sound;
    }
    drop_batch(&b);
}

/* NaN is no candidate, boxes that are not finite neither; the image's flag tells, and only its
 * own. */
static void bad_numbers(void **state)
{
    (void)state;
    struct det_postprocess_settings settings;
    struct batch b = make_batch(3, 10, 2, 4, false);
    det_postprocess_settings_default(&settings);
    struct results fine = run(&b, &settings);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fine.finite[i], 1);
    drop_results(&fine);
    b.logits[(100 + 17) * 3 + 1] = NAN;
    b.logits[(100 + 18) * 3] = INFINITY; /* the background's */
    b.encodings[(100 + 30) * 4 + 1] = NAN;
    b.encodings[(100 + 31) * 4] = INFINITY;
    b.encodings[(100 + 32) * 4 + 2] = -INFINITY;
    compare(&b, &settings);
    /* Nor does such a box take the place of another, whatever its score. */
    for (int k = 30; k < 32; k++)
        b.logits[(100 + k) * 3 + 1] = b.logits[(100 + k) * 3 + 2] = 20;
    settings.max_detections_per_class = 3;
    compare(&b, &settings);
    struct results bad = run(&b, &settings);
    assert_int_equal(bad.finite[0], 1);
    assert_int_equal(bad.finite[1], 0);
    assert_int_equal(bad.finite[2], 1);
    drop_results(&bad);
    drop_batch(&b);
}

/* NaN or infinity in `values`, one after the other: the flag of its image falls, and no other's. */
static void expect_looked_at(struct batch *b, float *values, size_t of_image)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    struct det_postprocess_settings settings;
    det_postprocess_settings_default(&settings);
    settings.score_threshold = 1;
    for (size_t i = 0; i < of_image * (size_t)b->n; i++) {
        const float kept = values[i];
        values[i] = bad[i % 3];
        struct results got = run(b, &settings);
        for (int32_t n = 0; n < b->n; n++)
            if (got.finite[n] != ((size_t)n != i / of_image))
                fail_msg("%g as number %zu: image %d is %s", (double)bad[i % 3], i, n,
                         got.finite[n] ? "finite" : "not finite");
        values[i] = kept;
        drop_results(&got);
    }
}

/* Each of them, in whole and in partial tiles of anchors and of classes. */
static void each_number_is_looked_at(void **state)
{
    (void)state;
    static const int32_t sizes[][3] = {{2, 9, 1}, {1, 2, 35}}; /* images, side, classes */
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct batch b = make_batch(sizes[s][0], sizes[s][1], sizes[s][2], 4, false);
        const size_t anchors = (size_t)b.anchor_count;
        expect_looked_at(&b, b.logits, anchors * (size_t)(b.classes + 1));
        expect_looked_at(&b, b.encodings, anchors * 4);
        drop_batch(&b);
    }
}

/* Boxes whose areas are infinite: their IoU is NaN, and of all of them one is kept. Beside a box of
 * a picture's size the IoU is 0. */
static void overlap_without_a_number(void **state)
{
    (void)state;
    struct det_postprocess_settings settings;
    det_postprocess_settings_default(&settings);
    for (int normal = 0; normal < 2; normal++) {
        struct batch b = make_batch(1, 6, 2, 4, false);
        for (int32_t a = 0; a < b.anchor_count; a++) {
            const bool huge = !normal || a % 3 != 0;
            const float size = huge ? 1000 : 0; /* exp() of its tenth is cut off at e^80 */
            const float encoding[] = {0, 0, size, size};
            memcpy(b.encodings + 4 * a, encoding, sizeof encoding);
        }
        const int64_t found = compare(&b, &settings);
        if (!normal)
            assert_int_equal(found, b.classes);
        else
            assert_true(found > b.classes);
        drop_batch(&b);
    }
}

/* In the first image. */
static int32_t detections_of(const struct batch *b, const struct det_postprocess_settings *settings)
{
    struct results r = run(b, settings);
    const int32_t count = r.count[0];
    drop_results(&r);
    return count;
}

/* Two boxes of any sizes, with the threshold at their IoU and just below it: whether the second
 * stays is a matter of each bit. */
static void overlaps_to_the_bit(void **state)
{
    (void)state;
    enum { PAIRS = 50, SIDES = 8 };
    struct det_postprocess_settings settings;
    det_postprocess_settings_default(&settings);
    struct batch b = make_batch(1, 2, 1, 1, false);
    const float logits[] = {0, 2, 0, 1}; /* the background's, the class' */
    b.anchor_count = 2;
    memset(b.encodings, 0, sizeof(float) * 2 * 4);
    memcpy(b.logits, logits, sizeof logits);
    float *random = random_floats((size_t)PAIRS * SIDES, 7);
    int apart = 0;
    for (int pair = 0; pair < PAIRS; pair++) {
        for (int i = 0; i < 2; i++) {
            const float *r = random + pair * SIDES + i * 4;
            const float anchor[] = {.3f + .2f * r[0], .3f + .2f * r[1], .7f + .2f * r[2],
                                    .7f + .2f * r[3]};
            memcpy(b.anchors[i], anchor, sizeof anchor);
        }
        settings.iou_threshold = 1;
        struct results boxes = run(&b, &settings);
        assert_int_equal(boxes.count[0], 2);
        const float iou = det_box_iou(boxes.boxes[0], boxes.boxes[1]);
        assert_true(iou > 0 && iou < 1);
        drop_results(&boxes);
        settings.iou_threshold = iou;
        const int32_t at = detections_of(&b, &settings);
        settings.iou_threshold = nextafterf(iou, 0);
        apart += at == 2 && detections_of(&b, &settings) == 1;
    }
    assert_int_equal(apart, PAIRS);
    free(random);
    drop_batch(&b);
}

/* Boxes without area overlap nothing, not even each other: each takes a place among its class'
 * detections, of which none is shown. */
static void overlaps_of_nothing(void **state)
{
    (void)state;
    struct det_postprocess_settings settings;
    det_postprocess_settings_default(&settings);
    settings.max_detections_per_class = 12;
    struct batch b = make_batch(1, 4, 1, 4, false);
    for (int32_t a = 0; a < b.anchor_count; a++) {
        const bool empty = a % 8 < 5;
        const float size = empty ? -2000 : 0; /* exp() of its fifth is 0 */
        const float encoding[] = {0, 0, size, size};
        memcpy(b.encodings + 4 * a, encoding, sizeof encoding);
        b.logits[2 * a + 1] += empty ? 20 : 0;
    }
    assert_int_equal(compare(&b, &settings), 12 - 10);
    drop_batch(&b);
}

/* Boxes in a row from corner to corner do not touch: they lie apart on both axes. */
static void overlaps_across(void **state)
{
    (void)state;
    struct det_postprocess_settings settings;
    det_postprocess_settings_default(&settings);
    settings.iou_threshold = 0;
    struct batch b = make_batch(1, 4, 1, 4, false);
    memset(b.encodings, 0, (size_t)b.anchor_count * 4 * sizeof *b.encodings);
    for (int32_t a = 0; a < b.anchor_count; a++) {
        const float corner = .0625f * (float)a;
        const float anchor[] = {corner, corner, corner + .03125f, corner + .03125f};
        memcpy(b.anchors[a], anchor, sizeof anchor);
    }
    assert_int_equal(compare(&b, &settings), b.anchor_count);
    drop_batch(&b);
}

int test_cuda_postprocess(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_numbers),
        cmocka_unit_test(bad_numbers_anywhere),
        cmocka_unit_test(overlap_without_a_number),
        cmocka_unit_test(overlaps_to_the_bit),
        cmocka_unit_test(overlaps_of_nothing),
        cmocka_unit_test(overlaps_across),
        cmocka_unit_test(each_number_is_looked_at),
        cmocka_unit_test(thresholds_of_classes),
        cmocka_unit_test(thresholds_about_zero),
        cmocka_unit_test(detections_are_equal),
        cmocka_unit_test(deep_suppression),
        cmocka_unit_test(every_candidate_in_order),
        cmocka_unit_test(more_than_a_list_holds),
        cmocka_unit_test(suppression_below_the_list),
    };
    return cmocka_run_group_tests_name("cuda_postprocess", tests, NULL, NULL);
}
