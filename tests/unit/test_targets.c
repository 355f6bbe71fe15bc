/* model/targets: against a matcher that builds the whole matrix, in the API's own steps. */
#include <math.h>

#include "model/targets.h"
#include "support/mem.h"
#include "support/test.h"

static void make_truth(struct test_env *t, struct det_ground_truth *truth, int32_t count)
{
    *truth = (struct det_ground_truth){0};
    assert_ok(&t->env, det_ground_truth_reserve(&t->env, truth, count));
    truth->count = count;
    for (int32_t g = 0; g < count; g++)
        truth->weight[g] = 1;
}

/* Boxes on a coarse grid, so that equal overlaps are common. */
static void random_boxes(float (*boxes)[4], int32_t count, uint32_t seed)
{
    float *values = malloc((size_t)count * 4 * sizeof *values + 1);
    assert_non_null(values);
    test_fill(values, (size_t)count * 4, seed);
    for (int32_t i = 0; i < count; i++) {
        const float *v = values + 4 * i;
        boxes[i][0] = (float)(int)((v[0] + 1) * 8) / 16;
        boxes[i][1] = (float)(int)((v[1] + 1) * 8) / 16;
        boxes[i][2] = boxes[i][0] + (float)(1 + (int)((v[2] + 1) * 3)) / 16;
        boxes[i][3] = boxes[i][1] + (float)(1 + (int)((v[3] + 1) * 3)) / 16;
    }
    free(values);
}

static void naive_match(const struct det_target_settings *s, const float (*anchors)[4], int32_t a,
                        const struct det_ground_truth *truth, int32_t *match)
{
    const int32_t count = truth->count;
    float *iou = malloc(((size_t)count * (size_t)a + 1) * sizeof *iou);
    assert_non_null(iou);
    for (int32_t g = 0; g < count; g++)
        for (int32_t i = 0; i < a; i++)
            iou[g * a + i] = det_box_iou(truth->boxes[g], anchors[i]);
    for (int32_t i = 0; i < a; i++) {
        int32_t best = 0;
        for (int32_t g = 1; g < count; g++)
            if (iou[g * a + i] > iou[best * a + i])
                best = g;
        match[i] = -1;
        if (count == 0)
            continue;
        const float value = iou[best * a + i];
        match[i] = best;
        if (!s->ignore_thresholds) {
            if (s->unmatched_threshold > value)
                match[i] = s->negatives_lower_than_unmatched ? -1 : -2;
            else if (s->matched_threshold > value)
                match[i] = s->negatives_lower_than_unmatched ? -2 : -1;
        }
    }
    if (s->force_match_for_each_row)
        for (int32_t i = 0; i < a; i++)
            for (int32_t g = 0; g < count; g++) {
                int32_t column = 0;
                for (int32_t k = 1; k < a; k++)
                    if (iou[g * a + k] > iou[g * a + column])
                        column = k;
                if (column == i && truth->weight[g] > 0) {
                    match[i] = g;
                    break; /* argmax over the rows: the first one */
                }
            }
    free(iou);
}

static void compare(struct test_env *t, const struct det_target_settings *settings, int32_t a,
                    const int32_t counts[2], uint32_t seed, struct det_pool *pool)
{
    float(*anchors)[4] = malloc((size_t)a * sizeof *anchors);
    int32_t *expected = malloc((size_t)a * sizeof *expected);
    assert_non_null(anchors);
    assert_non_null(expected);
    random_boxes(anchors, a, seed);
    struct det_ground_truth truths[2];
    for (uint32_t n = 0; n < 2; n++) {
        make_truth(t, &truths[n], counts[n]);
        random_boxes(truths[n].boxes, counts[n], seed + 100 + n);
        for (int32_t g = 0; g < counts[n]; g++) {
            truths[n].class_index[g] = g % 3;
            truths[n].weight[g] = g % 4 == 3 ? 0 : 1 / (float)(1 + g % 2);
        }
    }
    struct det_targets *targets = NULL;
    assert_ok(&t->env,
              det_targets_create(&t->env, settings, (const float(*)[4])anchors, a, 3, 2, &targets));
    for (int32_t round = 0; round < 2; round++)
        assert_ok(&t->env, det_targets_assign(&t->env, targets, pool, truths, 2));
    int64_t matched = 0;
    double weights = 0;
    for (int32_t n = 0; n < 2; n++) {
        naive_match(settings, (const float(*)[4])anchors, a, &truths[n], expected);
        for (int32_t i = 0; i < a; i++) {
            const size_t at = (size_t)n * (size_t)a + (size_t)i;
            const int32_t g = expected[i];
            assert_int_equal(targets->matched[at], g);
            float encoding[4] = {0};
            if (g >= 0) {
                matched++;
                weights += (double)truths[n].weight[g];
                det_box_encode(&settings->coder, truths[n].boxes[g], anchors[i], encoding);
            }
            assert_int_equal(targets->class_index[at], g >= 0 ? truths[n].class_index[g] : -1);
            assert_near(targets->box_weight[at], g >= 0 ? truths[n].weight[g] : 0, 0);
            assert_near(targets->class_weight[at],
                        g >= 0    ? truths[n].weight[g]
                        : g == -1 ? settings->unmatched_class_weight
                                  : 0,
                        0);
            assert_memory_equal(targets->encodings[at], encoding, sizeof encoding);
        }
    }
    assert_int_equal(targets->matched_count, matched);
    assert_near(targets->box_weight_sum, weights, 1e-9);
    det_targets_destroy(&t->env, &targets);
    for (int n = 0; n < 2; n++)
        det_ground_truth_free(&t->env, &truths[n]);
    free(anchors);
    free(expected);
}

static void agrees_with_matrix(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const int32_t sizes[] = {1, 7, 2047, 2048, 2049, 5000};
    const int32_t counts[][2] = {{0, 0}, {1, 0}, {0, 5}, {3, 9}, {40, 1}};
    for (int threads = 1; threads <= 3; threads++) {
        struct det_pool *pool = NULL;
        assert_ok(&t.env, det_pool_create(&t.env, threads, &pool));
        uint32_t seed = 0;
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
                struct det_target_settings s;
                det_target_settings_default(&s);
                switch (seed++ % 5) {
                case 1:
                    s.unmatched_threshold = 0.3f;
                    break;
                case 2:
                    s.unmatched_threshold = 0.3f;
                    s.negatives_lower_than_unmatched = false;
                    s.unmatched_class_weight = 0.25f;
                    break;
                case 3:
                    s.force_match_for_each_row = false;
                    break;
                case 4:
                    s.ignore_thresholds = true;
                    break;
                default:
                    break;
                }
                if (sizes[i] > 100 && threads > 1 && c % 2 == 0)
                    continue;
                compare(&t, &s, sizes[i], counts[c], seed, pool);
            }
        det_pool_destroy(&t.env, &pool);
    }
    test_env_check(&t);
}

static void forcing_order(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    /* Both boxes want anchor 1; box 2 touches nothing and takes anchor 0. */
    const float anchors[3][4] = {{0, 0, 0.1f, 0.1f}, {0.4f, 0.4f, 0.8f, 0.8f}, {0, 0, 1, 1}};
    struct det_ground_truth truth;
    make_truth(&t, &truth, 3);
    const float boxes[3][4] = {{0.5f, 0.5f, 0.6f, 0.6f}, {0.4f, 0.4f, 0.7f, 0.7f}, {2, 2, 3, 3}};
    memcpy(truth.boxes, boxes, sizeof boxes);
    for (int32_t g = 0; g < 3; g++)
        truth.class_index[g] = g;
    struct det_target_settings settings;
    det_target_settings_default(&settings);
    struct det_targets *targets = NULL;
    assert_ok(&t.env, det_targets_create(&t.env, &settings, anchors, 3, 3, 1, &targets));
    assert_ok(&t.env, det_targets_assign(&t.env, targets, NULL, &truth, 1));
    assert_int_equal(targets->matched[0], 2);
    assert_int_equal(targets->matched[1], 0); /* IoU .56 with box 1, but box 0 comes first */
    assert_int_equal(targets->matched[2], -1);
    truth.weight[0] = 0; /* a box without weight forces nothing */
    assert_ok(&t.env, det_targets_assign(&t.env, targets, NULL, &truth, 1));
    assert_int_equal(targets->matched[1], 1);
    det_targets_destroy(&t.env, &targets);
    det_ground_truth_free(&t.env, &truth);
    test_env_check(&t);
}

static void bad_input(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const float anchors[1][4] = {{0, 0, 1, 1}};
    struct det_target_settings settings;
    det_target_settings_default(&settings);
    struct det_targets *targets = NULL;
    settings.unmatched_threshold = 0.6f;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "above matched_threshold",
                 det_targets_create(&t.env, &settings, anchors, 1, 1, 1, &targets));
    settings.unmatched_threshold = 0.5f;
    settings.negatives_lower_than_unmatched = false;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "different thresholds",
                 det_targets_create(&t.env, &settings, anchors, 1, 1, 1, &targets));
    settings.negatives_lower_than_unmatched = true;
    settings.coder.x_scale = 0;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "box coder",
                 det_targets_create(&t.env, &settings, anchors, 1, 1, 1, &targets));
    det_target_settings_default(&settings);
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "0 classes",
                 det_targets_create(&t.env, &settings, anchors, 1, 0, 1, &targets));
    assert_null(targets);
    assert_ok(&t.env, det_targets_create(&t.env, &settings, anchors, 1, 2, 1, &targets));
    struct det_ground_truth truth;
    make_truth(&t, &truth, 1);
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "2 images",
                 det_targets_assign(&t.env, targets, NULL, &truth, 2));
    truth.class_index[0] = 2;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "class index 2",
                 det_targets_assign(&t.env, targets, NULL, &truth, 1));
    truth.class_index[0] = 1;
    truth.boxes[0][2] = NAN;
    assert_fails(&t.env, DET_STATUS_NON_FINITE, "not finite",
                 det_targets_assign(&t.env, targets, NULL, &truth, 1));
    truth.boxes[0][2] = 1;
    truth.weight[0] = -1;
    assert_fails(&t.env, DET_STATUS_NON_FINITE, "weight -1",
                 det_targets_assign(&t.env, targets, NULL, &truth, 1));
    assert_int_equal(targets->images, 0);
    det_targets_destroy(&t.env, &targets);
    det_targets_destroy(&t.env, &targets);
    det_ground_truth_free(&t.env, &truth);
    test_env_check(&t);
}

static det_status assign_body(struct det_env *env, void *argument)
{
    const float anchors[2][4] = {{0, 0, 1, 1}, {0, 0, 0.5f, 0.5f}};
    struct det_target_settings settings;
    det_target_settings_default(&settings);
    struct det_targets *targets = NULL;
    det_status status = det_targets_create(env, &settings, anchors, 2, 1, 1, &targets);
    if (status == DET_OK)
        status = det_targets_assign(env, targets, NULL, argument, 1);
    det_targets_destroy(env, &targets);
    return status;
}

static void failed_allocations(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_ground_truth truth;
    make_truth(&t, &truth, 2);
    test_each_allocation_fails(assign_body, &truth);
    det_ground_truth_free(&t.env, &truth);
    test_env_check(&t);
}

int test_targets(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_matrix),
        cmocka_unit_test(forcing_order),
        cmocka_unit_test(bad_input),
        cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests_name("targets", tests, NULL, NULL);
}
