/* model/hard_examples: the selection against HardExampleMiner's definition written down naively,
 * and the losses with it: sums and gradients of the selected anchors only. */
#include <math.h>

#include "model/losses.h"
#include "support/test.h"

enum { MOST = 300 };

static double naive_iou(const float a[4], const float b[4])
{
    const double h = fmin((double)a[2], (double)b[2]) - fmax((double)a[0], (double)b[0]);
    const double w = fmin((double)a[3], (double)b[3]) - fmax((double)a[1], (double)b[1]);
    if (h <= 0 || w <= 0)
        return 0;
    const double area_a = ((double)a[2] - (double)a[0]) * ((double)a[3] - (double)a[1]);
    const double area_b = ((double)b[2] - (double)b[0]) * ((double)b[3] - (double)b[1]);
    return h * w / (area_a + area_b - h * w);
}

/* Takes the largest loss that is left again and again. */
static void naive_select(const struct det_hard_example_settings *s, int n, const float (*boxes)[4],
                         const float *losses, const int32_t *matched, uint8_t *selected)
{
    bool gone[MOST] = {false};
    int order[MOST], count = 0;
    while (s->count == 0 || count < s->count) {
        int best = -1;
        for (int i = 0; i < n; i++)
            if (!gone[i] && (best < 0 || losses[i] > losses[best]))
                best = i;
        if (best < 0)
            break;
        gone[best] = true;
        order[count++] = best;
        for (int i = 0; i < n; i++)
            if (naive_iou(boxes[best], boxes[i]) > (double)s->iou_threshold)
                gone[i] = true;
    }
    int positives = 0, negatives = 0;
    for (int i = 0; i < count; i++)
        positives += matched[order[i]] >= 0;
    int most = positives * s->max_negatives_per_positive;
    most = most > s->min_negatives_per_image ? most : s->min_negatives_per_image;
    memset(selected, 0, (size_t)n);
    for (int i = 0; i < count; i++) {
        negatives += matched[order[i]] == DET_MATCH_BACKGROUND;
        selected[order[i]] =
            matched[order[i]] >= 0 || s->max_negatives_per_positive == 0 || negatives <= most;
    }
}

static void selection_is_as_defined(void **state)
{
    (void)state;
    static const struct det_hard_example_settings cases[] = {
        {true, 0, .7f, DET_HARD_EXAMPLES_BY_BOTH, 0, 0},
        {true, 64, .7f, DET_HARD_EXAMPLES_BY_BOTH, 3, 0},
        {true, 3000, .99f, DET_HARD_EXAMPLES_BY_CLASSIFICATION, 3, 3},
        {true, 20, .3f, DET_HARD_EXAMPLES_BY_LOCALIZATION, 1, 5},
        {true, 10, 1, DET_HARD_EXAMPLES_BY_BOTH, 2, 0},
    };
    uint64_t keys[MOST];
    float taken[MOST][4], boxes[MOST][4], losses[MOST];
    int32_t order[MOST], matched[MOST];
    uint8_t ours[MOST], theirs[MOST];
    struct det_hard_example_space space = {keys, taken, order};
    int differing = 0;
    for (uint32_t round = 0; round < 40; round++)
        for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
            const int n = 1 + (int)(round * 37 % MOST);
            test_fill(boxes[0], (size_t)n * 4, round * 11 + 1);
            test_fill(losses, (size_t)n, round * 7 + 2);
            for (int i = 0; i < n; i++) {
                for (int k = 0; k < 2; k++)
                    boxes[i][k + 2] = boxes[i][k] + .6f + .5f * boxes[i][k + 2];
                losses[i] = floorf(fabsf(losses[i]) * 40) / 8; /* with ties */
                matched[i] = i % 9 == 0 ? i : i % 5 == 0 ? DET_MATCH_IGNORED : DET_MATCH_BACKGROUND;
            }
            det_hard_examples_select(&cases[c], n, (const float(*)[4])boxes, losses, matched,
                                     &space, ours);
            naive_select(&cases[c], n, (const float(*)[4])boxes, losses, matched, theirs);
            assert_memory_equal(ours, theirs, (size_t)n);
            for (int i = 0; i < n; i++)
                differing += ours[i] == 0;
        }
    assert_true(differing > 1000);
    /* A NaN is not overlooked. */
    losses[0] = NAN;
    const struct det_hard_example_settings one = {true, 1, .7f, DET_HARD_EXAMPLES_BY_BOTH, 0, 0};
    det_hard_examples_select(&one, 20, (const float(*)[4])boxes, losses, matched, &space, ours);
    assert_int_equal(ours[0], 1);
    struct test_env t;
    test_env_init(&t);
    const struct det_hard_example_settings bad = {true, -1, .7f, DET_HARD_EXAMPLES_BY_BOTH, 0, 0};
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "hard examples",
                 det_hard_example_settings_check(&t.env, &bad));
    test_env_check(&t);
}

/* Two images: losses with the miner are those of the selected anchors, and the gradients of the
 * others are zero, of the selected ones as without it. */
static void losses_count_the_selected_anchors(void **state)
{
    (void)state;
    enum { A = 60, K = 2, C = K + 1, ROWS = 2 * A };
    struct test_env t;
    test_env_init(&t);
    float anchors[A][4], logits[ROWS * C], encodings[ROWS * 4];
    float dl[2][ROWS * C], de[2][ROWS * 4];
    test_fill(anchors[0], A * 4, 3);
    test_fill(logits, ROWS * C, 4);
    test_fill(encodings, ROWS * 4, 5);
    for (int i = 0; i < A; i++)
        for (int k = 0; k < 2; k++) {
            anchors[i][k] = .3f + .3f * anchors[i][k];
            anchors[i][k + 2] = anchors[i][k] + .3f + .1f * anchors[i][k + 2];
        }
    struct det_ground_truth truths[2] = {{0}};
    assert_ok(&t.env, det_ground_truth_reserve(&t.env, &truths[0], 1));
    memcpy(truths[0].boxes[0], anchors[7], sizeof anchors[7]);
    truths[0].weight[0] = 1;
    truths[0].count = 1;
    struct det_target_settings target_settings;
    det_target_settings_default(&target_settings);
    struct det_targets *targets = NULL;
    assert_ok(&t.env, det_targets_create(&t.env, &target_settings, (const float(*)[4])anchors, A, K,
                                         2, &targets));
    assert_ok(&t.env, det_targets_assign(&t.env, targets, NULL, truths, 2));
    struct det_loss_values values[2];
    for (int mined = 0; mined < 2; mined++) {
        struct det_loss_settings settings;
        det_loss_settings_default(&settings);
        settings.hard_examples = (struct det_hard_example_settings){
            .enabled = mined == 1,
            .count = 20,
            .iou_threshold = .6f,
            .by = DET_HARD_EXAMPLES_BY_BOTH,
            .max_negatives_per_positive = 3,
            .min_negatives_per_image = 2,
        };
        struct det_losses *losses = NULL;
        assert_ok(&t.env, det_losses_create(&t.env, &settings, 2, A, K, &losses));
        assert_ok(&t.env, det_losses_compute(&t.env, losses, NULL, targets, logits, encodings,
                                             &values[mined], dl[mined], de[mined]));
        det_losses_destroy(&t.env, &losses);
    }
    assert_true(values[1].classification < values[0].classification);
    assert_true(values[1].localization <= values[0].localization);
    assert_near(values[0].normalizer, values[1].normalizer, 0);
    int kept[2] = {0, 0};
    for (int i = 0; i < ROWS; i++) {
        const bool zero = dl[1][i * C] == 0;
        kept[i / A] += !zero;
        for (int c = 0; c < C; c++)
            assert_near(dl[1][i * C + c], zero ? 0 : dl[0][i * C + c], 0);
        for (int k = 0; k < 4; k++)
            assert_near(de[1][i * 4 + k], zero ? 0 : de[0][i * 4 + k], 0);
    }
    assert_int_equal(kept[1], 2); /* no positive: the least number of negatives */
    assert_true(kept[0] >= 3 && kept[0] <= 20);
    det_targets_destroy(&t.env, &targets);
    det_ground_truth_free(&t.env, &truths[0]);
    test_env_check(&t);
}

int test_hard_examples(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selection_is_as_defined),
        cmocka_unit_test(losses_count_the_selected_anchors),
    };
    return cmocka_run_group_tests_name("hard_examples", tests, NULL, NULL);
}
