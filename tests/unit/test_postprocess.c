/* model/postprocess: equal to a plain implementation that sorts everything and follows the API step
 * by step. */
#include <math.h>

#include "model/postprocess.h"
#include "support/mem.h"
#include "support/test.h"

struct candidate {
    float box[4], score;
    int32_t class_index, anchor, order;
};

static int by_score(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->score != b->score)
        return a->score < b->score ? 1 : -1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static float iou(const float a[4], const float b[4])
{
    const float area_a = (a[2] - a[0]) * (a[3] - a[1]), area_b = (b[2] - b[0]) * (b[3] - b[1]);
    if (area_a <= 0 || area_b <= 0)
        return 0;
    const float height = fmaxf(fminf(a[2], b[2]) - fmaxf(a[0], b[0]), 0);
    const float width = fmaxf(fminf(a[3], b[3]) - fmaxf(a[1], b[1]), 0);
    return height * width / (area_a + area_b - height * width);
}

/* Returns the number of detections in `out` (room for all). */
static int32_t naive(const struct det_postprocess_settings *s, const float (*anchors)[4], int32_t a,
                     int32_t k, const float *logits, const float *encodings, const float window[4],
                     struct candidate *out)
{
    struct candidate *one = malloc((size_t)a * sizeof *one);
    assert_non_null(one);
    int32_t total = 0;
    for (int32_t c = 0; c < k; c++) {
        int32_t count = 0;
        for (int32_t i = 0; i < a; i++) {
            struct candidate it = {.class_index = c, .anchor = i, .order = i};
            it.score = det_sigmoid(logits[i * (k + 1) + c + 1]);
            det_box_decode(&s->coder, encodings + 4 * i, anchors[i], it.box);
            bool finite = true;
            for (int e = 0; e < 4; e++)
                finite = finite && isfinite(it.box[e]);
            if (finite && it.score > s->score_threshold)
                one[count++] = it;
        }
        qsort(one, (size_t)count, sizeof *one, by_score);
        const int32_t start = total;
        for (int32_t i = 0; i < count; i++) {
            bool keep = total - start < s->max_detections_per_class;
            for (int32_t j = start; j < total && keep; j++)
                keep = iou(one[i].box, out[j].box) <= s->iou_threshold;
            if (keep) {
                out[total] = one[i];
                out[total].order = total;
                total++;
            }
        }
    }
    free(one);
    qsort(out, (size_t)total, sizeof *out, by_score);
    int32_t left = 0;
    for (int32_t i = 0; i < total; i++) {
        struct candidate it = out[i];
        for (int e = 0; e < 4; e++)
            it.box[e] = fmaxf(fminf(it.box[e], window[2 + e % 2]), window[e % 2]);
        if (!((it.box[2] - it.box[0]) * (it.box[3] - it.box[1]) > 0))
            continue;
        if (s->change_coordinate_frame)
            for (int e = 0; e < 4; e++)
                it.box[e] = (it.box[e] - window[e % 2]) * (1 / (window[2 + e % 2] - window[e % 2]));
        if (left < s->max_total_detections)
            out[left++] = it;
    }
    return left;
}

enum content { PLAIN, TIES, SATURATED, WITH_NAN, ALL_NAN, ONE_PLACE, HUGE_BOXES, CONTENTS };

static void fill_inputs(enum content content, int32_t a, int32_t k, uint32_t seed,
                        float (*anchors)[4], float *logits, float *encodings)
{
    test_fill(anchors[0], (size_t)a * 4, seed);
    test_fill(logits, (size_t)a * (size_t)(k + 1), seed + 1);
    test_fill(encodings, (size_t)a * 4, seed + 2);
    for (int32_t i = 0; i < a; i++)
        for (int e = 0; e < 2; e++) { /* some reach out of the image, some lie outside */
            anchors[i][e] = content == ONE_PLACE ? 0.5f : 0.5f + 0.6f * anchors[i][e];
            anchors[i][e + 2] = anchors[i][e] + 0.2f + 0.15f * anchors[i][e + 2];
        }
    for (int32_t i = 0; i < a * 4; i++) {
        encodings[i] *= content == HUGE_BOXES ? 600 : 2;
        if (content == WITH_NAN && i % 11 == 0)
            encodings[i] = i % 2 ? NAN : INFINITY;
        if (content == TIES)
            encodings[i] = roundf(encodings[i]);
    }
    for (int32_t i = 0; i < a * (k + 1); i++) {
        logits[i] *= 8;
        if (content == TIES)
            logits[i] = roundf(logits[i] / 4);
        if (content == SATURATED) /* different logits, one score */
            logits[i] = 30 + fabsf(logits[i]);
        if (content == ALL_NAN || (content == WITH_NAN && i % 7 == 0))
            logits[i] = NAN;
    }
}

static void compare(struct test_env *t, const struct det_postprocess_settings *s,
                    enum content content, int32_t a, int32_t k, const float window[4],
                    uint32_t seed, int threads)
{
    float(*anchors)[4] = malloc((size_t)a * sizeof *anchors);
    float *logits = malloc((size_t)a * (size_t)(k + 1) * sizeof *logits);
    float *encodings = malloc((size_t)a * 4 * sizeof *encodings);
    struct candidate *expected = malloc((size_t)a * (size_t)k * sizeof *expected);
    assert_true(anchors != NULL && logits != NULL && encodings != NULL && expected != NULL);
    struct det_pool *pool = NULL;
    assert_ok(&t->env, det_pool_create(&t->env, threads, &pool));
    struct det_postprocess *p = NULL;
    assert_ok(&t->env,
              det_postprocess_create(&t->env, s, (const float(*)[4])anchors, a, k, pool, &p));
    const long before = test_env_allocations(t);
    for (uint32_t round = 0; round < 2; round++) { /* nothing is left from the run before */
        fill_inputs(content, a, k, seed + 10 * round, anchors, logits, encodings);
        const int32_t count =
            naive(s, (const float(*)[4])anchors, a, k, logits, encodings, window, expected);
        const struct det_detections *found = det_postprocess_run(p, logits, encodings, window);
        assert_int_equal(found->count, count);
        for (int32_t i = 0; i < count; i++) {
            assert_int_equal(found->anchor[i], expected[i].anchor);
            assert_int_equal(found->class_index[i], expected[i].class_index);
            assert_near(found->score[i], expected[i].score, 0);
            for (int e = 0; e < 4; e++)
                assert_near(found->boxes[i][e], expected[i].box[e], 0);
        }
        if (content == ALL_NAN)
            assert_int_equal(count, 0);
    }
    assert_int_equal(test_env_allocations(t), before);
    det_postprocess_destroy(&t->env, &p);
    det_pool_destroy(&t->env, &pool);
    free(anchors);
    free(logits);
    free(encodings);
    free(expected);
}

static void equals_naive(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const int32_t anchors[] = {1, 2, 33, 700, 2047, 2048, 2049};
    const int32_t classes[] = {1, 2, 7};
    const float windows[2][4] = {{0, 0, 1, 1}, {0, 0, 0.75f, 0.5f}};
    uint32_t seed = 1;
    for (int content = 0; content < CONTENTS; content++)
        for (size_t i = 0; i < sizeof anchors / sizeof *anchors; i++)
            for (size_t c = 0; c < 3; c++, seed++) {
                struct det_postprocess_settings s;
                det_postprocess_settings_default(&s);
                if (seed % 3 == 0) {
                    s.score_threshold = 0.5f;
                    s.max_detections_per_class = 5;
                }
                if (seed % 4 == 1)
                    s.max_total_detections = seed % 8 == 1 ? 1 : 13;
                if (seed % 5 == 2)
                    s.iou_threshold = seed % 2 ? 0 : 1;
                if (seed % 7 == 3)
                    s.max_total_detections = s.max_detections_per_class = 100000;
                s.change_coordinate_frame = seed % 2 == 0;
                compare(&t, &s, (enum content)content, anchors[i], classes[c],
                        windows[seed / 3 % 2], seed, 1 + (int)(seed % 3));
            }
    test_env_check(&t);
}

/* The shortcut over logits loses no score that is just above the threshold, and lets none through
 * at it. */
static void scores_at_the_threshold(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const float anchors[1][4] = {{0.2f, 0.2f, 0.6f, 0.6f}}, window[4] = {0, 0, 1, 1};
    const float encodings[4] = {0, 0, 0, 0};
    for (int i = 0; i < 4000; i++) {
        const float logits[2] = {0, -21 + 0.01f * (float)i + 1e-6f * (float)(i % 17)};
        const float score = det_sigmoid(logits[1]);
        for (int at = 0; at < 2; at++) {
            struct det_postprocess_settings s;
            struct det_postprocess *p = NULL;
            det_postprocess_settings_default(&s);
            s.score_threshold = at == 1 ? score : nextafterf(score, 0);
            assert_ok(&t.env, det_postprocess_create(&t.env, &s, anchors, 1, 1, NULL, &p));
            assert_int_equal(det_postprocess_run(p, logits, encodings, window)->count, 1 - at);
            det_postprocess_destroy(&t.env, &p);
        }
    }
    test_env_check(&t);
}

static void iou_at_threshold_is_kept(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    /* IoU exactly .5: 1 x 1 and 1 x .5. Not above the threshold, so both stay. */
    const float anchors[2][4] = {{0, 0, 1, 1}, {0, 0, 1, 0.5f}};
    const float logits[4] = {0, 1, 0, 2}, encodings[8] = {0}, window[4] = {0, 0, 1, 1};
    struct det_postprocess_settings s;
    det_postprocess_settings_default(&s);
    s.iou_threshold = 0.5f;
    struct det_postprocess *p = NULL;
    assert_ok(&t.env, det_postprocess_create(&t.env, &s, anchors, 2, 1, NULL, &p));
    assert_int_equal(det_postprocess_run(p, logits, encodings, window)->count, 2);
    det_postprocess_destroy(&t.env, &p);
    s.iou_threshold = 0.499f;
    assert_ok(&t.env, det_postprocess_create(&t.env, &s, anchors, 2, 1, NULL, &p));
    const struct det_detections *found = det_postprocess_run(p, logits, encodings, window);
    assert_int_equal(found->count, 1);
    assert_int_equal(found->anchor[0], 1);
    det_postprocess_destroy(&t.env, &p);
    test_env_check(&t);
}

static void wrong_settings(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const float anchors[1][4] = {{0, 0, 1, 1}};
    struct det_postprocess_settings good, s;
    det_postprocess_settings_default(&good);
    struct det_postprocess *p = NULL;
    s = good;
    s.iou_threshold = NAN;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "iou_threshold",
                 det_postprocess_create(&t.env, &s, anchors, 1, 1, NULL, &p));
    s = good;
    s.max_total_detections = 0;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "max_total_detections 0",
                 det_postprocess_create(&t.env, &s, anchors, 1, 1, NULL, &p));
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "0 anchors",
                 det_postprocess_create(&t.env, &good, anchors, 0, 1, NULL, &p));
    assert_null(p);
    det_postprocess_destroy(&t.env, &p);
    test_env_check(&t);
}

static det_status create_body(struct det_env *env, void *argument)
{
    (void)argument;
    const float anchors[1][4] = {{0, 0, 1, 1}};
    struct det_postprocess_settings s;
    det_postprocess_settings_default(&s);
    struct det_postprocess *p = NULL;
    const det_status status = det_postprocess_create(env, &s, anchors, 1, 2, NULL, &p);
    det_postprocess_destroy(env, &p);
    return status;
}

static void failed_allocations(void **state)
{
    (void)state;
    test_each_allocation_fails(create_body, NULL);
}

static void sigmoid_values(void **state)
{
    (void)state;
    assert_near(det_sigmoid(0), 0.5, 0);
    assert_near(det_sigmoid(1e4f), 1, 0);
    assert_near(det_sigmoid(-1e4f), 0, 0);
    assert_near(det_sigmoid(-20), 1 / (1 + exp(20)), 1e-15);
    assert_true(isnan(det_sigmoid(NAN)));
}

int test_postprocess(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_naive),
        cmocka_unit_test(scores_at_the_threshold),
        cmocka_unit_test(iou_at_threshold_is_kept),
        cmocka_unit_test(wrong_settings),
        cmocka_unit_test(failed_allocations),
        cmocka_unit_test(sigmoid_values),
    };
    return cmocka_run_group_tests_name("postprocess", tests, NULL, NULL);
}
