/* Anchors, targets, losses, post-processing and learning rates against what the TF Object Detection
 * API computed. Small copies are in tests/golden/ (see its README); the whole arrays are compared
 * when the shared folder is here. */
#include <math.h>

#include "model/anchors.h"
#include "model/losses.h"
#include "model/postprocess.h"
#include "model/schedule.h"
#include "support/mem.h"
#include "support/test.h"

#define A 12804

static float (*make_anchors(struct test_env *t))[4]
{
    struct det_anchor_settings settings;
    det_anchor_settings_default(&settings);
    struct det_grid_size grids[5];
    for (int32_t level = 3; level <= 7; level++) {
        const int32_t side = det_anchor_grid_side(320, 32, level);
        grids[level - 3] = (struct det_grid_size){side, side};
    }
    float(*anchors)[4] = NULL;
    int32_t count = 0;
    assert_ok(&t->env, det_anchors_create(&t->env, &settings, grids, 320, 320, &anchors, &count));
    assert_int_equal(count, A);
    return anchors;
}

static void anchors_agree(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    float(*anchors)[4] = make_anchors(&t);
    char path[256];
    size_t count = 0;
    float *golden = test_npy_load_float(test_golden(path, "head_anchors320.npy"), &count);
    assert_int_equal(count, 4 * 257);
    double worst = 0;
    for (size_t i = 0; i < 257; i++)
        worst = fmax(worst, test_max_abs_error(anchors[50 * i], golden + 4 * i, 4));
    assert_near(worst, 0, 1e-7);
    free(golden);
    if (test_shared(path, "goldens/model320/anchors.npy") != NULL) {
        golden = test_npy_load_float(path, &count);
        assert_int_equal(count, 4 * A);
        worst = test_max_abs_error(anchors[0], golden, count);
        print_message("anchors: max abs error %.3g\n", worst);
        assert_near(worst, 0, 1e-7);
        free(golden);
    }
    det_free(&t.env, &anchors);
    test_env_check(&t);
}

static void set_truth(struct test_env *t, struct det_ground_truth *truth, const float (*boxes)[4],
                      const int32_t *classes, int32_t count)
{
    *truth = (struct det_ground_truth){0};
    assert_ok(&t->env, det_ground_truth_reserve(&t->env, truth, count));
    truth->count = count;
    for (int32_t g = 0; g < count; g++) {
        memcpy(truth->boxes[g], boxes[g], sizeof boxes[g]);
        truth->class_index[g] = classes[g];
        truth->weight[g] = 1;
    }
}

/* The two images of goldens/targets320, also used by train_scene_focal_frozen_bn. */
static void set_scene_truth(struct test_env *t, struct det_ground_truth truths[2])
{
    const float first[3][4] = {
        {0.1f, 0.1f, 0.45f, 0.5f}, {0.5f, 0.3f, 0.95f, 0.8f}, {0.2f, 0.6f, 0.3f, 0.75f}};
    const float second[1][4] = {{0.05f, 0.4f, 0.9f, 0.95f}};
    set_truth(t, &truths[0], first, (const int32_t[]){0, 1, 2}, 3);
    set_truth(t, &truths[1], second, (const int32_t[]){1}, 1);
}

static struct det_targets *assign(struct test_env *t, const float (*anchors)[4], int32_t classes,
                                  const struct det_ground_truth *truths)
{
    struct det_target_settings settings;
    det_target_settings_default(&settings);
    struct det_targets *targets = NULL;
    assert_ok(&t->env, det_targets_create(&t->env, &settings, anchors, A, classes, 2, &targets));
    assert_ok(&t->env, det_targets_assign(&t->env, targets, NULL, truths, 2));
    return targets;
}

static void targets_agree(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    float(*anchors)[4] = make_anchors(&t);
    struct det_ground_truth truths[2];
    set_scene_truth(&t, truths);
    struct det_targets *targets = assign(&t, (const float(*)[4])anchors, 3, truths);
    char path[256];
    test_golden(path, "head_targets320.npz");
    struct test_npy rows = test_npz_load(path, "matched_index"),
                    gts = test_npz_load(path, "matched_gt"),
                    encodings = test_npz_load(path, "box_targets");
    assert_int_equal(gts.count, 76);
    assert_int_equal(targets->matched_count, 76);
    assert_near(targets->box_weight_sum, 76, 0);
    size_t at = 0;
    double worst = 0, class_weights = 0;
    for (size_t i = 0; i < 2 * A; i++) {
        class_weights += 4 * (double)targets->class_weight[i];
        if (targets->matched[i] == DET_MATCH_BACKGROUND) {
            assert_int_equal(targets->class_index[i], -1);
            assert_near(targets->box_weight[i], 0, 0);
            continue;
        }
        assert_true(at < gts.count);
        const int32_t *row = (const int32_t *)rows.data + 2 * at;
        assert_int_equal((size_t)row[0] * A + (size_t)row[1], i);
        assert_int_equal(targets->matched[i], ((const int32_t *)gts.data)[at]);
        worst = fmax(worst, test_max_abs_error(targets->encodings[i],
                                               (const float *)encodings.data + 4 * at, 4));
        at++;
    }
    assert_int_equal(at, 76);
    assert_near(class_weights, 102432, 0);
    print_message("targets: all 76 matches equal, encodings max abs error %.3g\n", worst);
    assert_near(worst, 0, 2e-6);
    test_npy_free(&rows);
    test_npy_free(&gts);
    test_npy_free(&encodings);
    det_targets_destroy(&t.env, &targets);
    for (int n = 0; n < 2; n++)
        det_ground_truth_free(&t.env, &truths[n]);
    det_free(&t.env, &anchors);
    test_env_check(&t);
}

static void compare_losses(struct test_env *t, const char *name, enum det_class_loss kind,
                           const struct det_targets *targets, const float *logits,
                           const float *encodings, double localization, double classification)
{
    struct det_loss_settings settings;
    det_loss_settings_default(&settings);
    settings.class_loss = kind;
    struct det_losses *losses = NULL;
    struct det_loss_values values;
    assert_ok(&t->env, det_losses_create(&t->env, &settings, 2, A, targets->class_count, &losses));
    assert_ok(&t->env, det_losses_compute(&t->env, losses, NULL, targets, logits, encodings,
                                          &values, NULL, NULL));
    print_message("%s: relative error localization %.2g, classification %.2g\n", name,
                  fabs(values.localization / localization - 1),
                  fabs(values.classification / classification - 1));
    assert_near(values.localization, localization, 1e-6 * localization);
    assert_near(values.classification, classification, 1e-6 * classification);
    det_losses_destroy(&t->env, &losses);
}

#define RACCOON_LOCALIZATION 0.05218519642949104
#define RACCOON_FOCAL        0.09169749170541763
#define RACCOON_SIGMOID      23.184951782226562
#define SCENE_LOCALIZATION   0.6907917857170105
#define SCENE_FOCAL          1.1361711025238037

static void raccoon_losses_agree(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    float(*anchors)[4] = make_anchors(&t);
    char path[256];
    test_golden(path, "head_losses_raccoon.npz");
    struct test_npy logits = test_npz_load(path, "logits"),
                    rows = test_npz_load(path, "encoding_rows"),
                    some = test_npz_load(path, "encodings"), boxes = test_npz_load(path, "boxes");
    struct det_ground_truth truths[2];
    for (int n = 0; n < 2; n++)
        set_truth(&t, &truths[n], (const float(*)[4])boxes.data + n, (const int32_t[]){0}, 1);
    struct det_targets *targets = assign(&t, (const float(*)[4])anchors, 1, truths);
    float *encodings = calloc(2 * A * 4, sizeof *encodings);
    for (size_t i = 0; i < rows.shape[0]; i++) {
        const int32_t *row = (const int32_t *)rows.data + 2 * i;
        memcpy(encodings + 4 * ((size_t)row[0] * A + (size_t)row[1]),
               (const float *)some.data + 4 * i, 4 * sizeof(float));
    }
    assert_int_equal(logits.count, 2 * A * 2);
    compare_losses(&t, "raccoon focal", DET_CLASS_LOSS_SIGMOID_FOCAL, targets, logits.data,
                   encodings, RACCOON_LOCALIZATION, RACCOON_FOCAL);
    compare_losses(&t, "raccoon sigmoid", DET_CLASS_LOSS_SIGMOID, targets, logits.data, encodings,
                   RACCOON_LOCALIZATION, RACCOON_SIGMOID);
    free(encodings);
    test_npy_free(&logits);
    test_npy_free(&rows);
    test_npy_free(&some);
    test_npy_free(&boxes);
    det_targets_destroy(&t.env, &targets);
    for (int n = 0; n < 2; n++)
        det_ground_truth_free(&t.env, &truths[n]);
    det_free(&t.env, &anchors);
    test_env_check(&t);
}

static void scene_losses_agree(void **state)
{
    (void)state;
    char path[256];
    if (test_shared(path, "goldens/train_scene_focal_frozen_bn/box_encodings.npy") == NULL)
        test_skip_without_shared();
    struct test_env t;
    test_env_init(&t);
    float(*anchors)[4] = make_anchors(&t);
    struct det_ground_truth truths[2];
    set_scene_truth(&t, truths);
    struct det_targets *targets = assign(&t, (const float(*)[4])anchors, 3, truths);
    size_t count = 0;
    float *encodings = test_npy_load_float(path, &count);
    assert_int_equal(count, 2 * A * 4);
    assert_non_null(test_shared(
        path, "goldens/train_scene_focal_frozen_bn/class_predictions_with_background.npy"));
    float *logits = test_npy_load_float(path, &count);
    assert_int_equal(count, 2 * A * 4);
    compare_losses(&t, "scene focal", DET_CLASS_LOSS_SIGMOID_FOCAL, targets, logits, encodings,
                   SCENE_LOCALIZATION, SCENE_FOCAL);
    free(encodings);
    free(logits);
    det_targets_destroy(&t.env, &targets);
    for (int n = 0; n < 2; n++)
        det_ground_truth_free(&t.env, &truths[n]);
    det_free(&t.env, &anchors);
    test_env_check(&t);
}

static void compare_detections(struct test_env *t, const char *golden, const float (*anchors)[4],
                               const int32_t *anchor_map, int32_t count, const float *logits,
                               const float *encodings)
{
    struct det_postprocess_settings settings;
    det_postprocess_settings_default(&settings);
    struct det_postprocess *postprocess = NULL;
    assert_ok(&t->env,
              det_postprocess_create(&t->env, &settings, anchors, count, 3, NULL, &postprocess));
    const struct det_detections *found =
        det_postprocess_run(postprocess, logits, encodings, (const float[4]){0, 0, 1, 1});
    struct test_npy boxes = test_npz_load(golden, "boxes"),
                    scores = test_npz_load(golden, "scores"),
                    classes = test_npz_load(golden, "classes"),
                    places = test_npz_load(golden, "anchor_indices"),
                    multiclass = test_npz_load(golden, "multiclass");
    assert_int_equal(found->count, 100);
    double worst_box = 0, worst_score = 0;
    for (int32_t i = 0; i < 100; i++) {
        const int32_t anchor = found->anchor[i];
        assert_int_equal(anchor_map != NULL ? anchor_map[anchor] : anchor,
                         ((const int32_t *)places.data)[i]);
        assert_int_equal(found->class_index[i], ((const int32_t *)classes.data)[i]);
        worst_box = fmax(worst_box,
                         test_max_abs_error(found->boxes[i], (const float *)boxes.data + 4 * i, 4));
        worst_score =
            fmax(worst_score, fabs((double)(found->score[i] - ((const float *)scores.data)[i])));
        for (int32_t c = 0; c < 4; c++)
            assert_near(det_sigmoid(logits[4 * anchor + c]),
                        ((const float *)multiclass.data)[4 * i + c], 1e-6);
    }
    print_message("detections: all 100 anchors and classes equal, max abs error boxes %.2g, "
                  "scores %.2g\n",
                  worst_box, worst_score);
    assert_near(worst_box, 0, 1e-6);
    assert_near(worst_score, 0, 3e-7);
    test_npy_free(&boxes);
    test_npy_free(&scores);
    test_npy_free(&classes);
    test_npy_free(&places);
    test_npy_free(&multiclass);
    det_postprocess_destroy(&t->env, &postprocess);
}

static void detections_agree(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    float(*anchors)[4] = make_anchors(&t);
    char golden[256], path[256];
    test_golden(golden, "head_postprocess320.npz");
    struct test_npy map = test_npz_load(golden, "anchor"),
                    some_encodings = test_npz_load(golden, "encodings"),
                    some_logits = test_npz_load(golden, "logits");
    float(*some_anchors)[4] = calloc(map.count, sizeof *some_anchors);
    for (size_t i = 0; i < map.count; i++)
        memcpy(some_anchors[i], anchors[((const int32_t *)map.data)[i]], sizeof *some_anchors);
    compare_detections(&t, golden, (const float(*)[4])some_anchors, map.data, (int32_t)map.count,
                       some_logits.data, some_encodings.data);
    free(some_anchors);
    test_npy_free(&map);
    test_npy_free(&some_encodings);
    test_npy_free(&some_logits);
    if (test_shared(path, "goldens/model320/box_encodings.npy") != NULL) {
        size_t count = 0;
        float *encodings = test_npy_load_float(path, &count);
        assert_non_null(test_shared(path, "goldens/model320/class_logits.npy"));
        float *logits = test_npy_load_float(path, &count);
        assert_int_equal(count, 4 * A);
        for (size_t i = 0; i < count; i++) {
            encodings[i] *= 8;
            logits[i] = (logits[i] + 4.6f) * 20 - 2;
        }
        compare_detections(&t, golden, (const float(*)[4])anchors, NULL, A, logits, encodings);
        free(encodings);
        free(logits);
    }
    det_free(&t.env, &anchors);
    test_env_check(&t);
}

/* goldens/train320_focal/lr_schedule.json and the rates of the training runs' steps.json. */
static void learning_rates_agree(void **state)
{
    (void)state;
    const double long_run[22] = {0.009999999776482582,
                                 0.027499999850988388,
                                 0.04500000178813934,
                                 0.0625,
                                 0.07999999821186066,
                                 0.07923141121864319,
                                 0.07695517688989639,
                                 0.07325877994298935,
                                 0.06828427314758301,
                                 0.06222280487418175,
                                 0.055307336151599884,
                                 0.0478036105632782,
                                 0.03999999538064003,
                                 0.03219638764858246,
                                 0.024692658334970474,
                                 0.017777185887098312,
                                 0.011715728789567947,
                                 0.006741213612258434,
                                 0.0030448150355368853,
                                 0.0007685875752940774,
                                 0.0,
                                 0.0};
    struct det_schedule schedule = {.kind = DET_SCHEDULE_COSINE_DECAY,
                                    .learning_rate = 0.08f,
                                    .total_steps = 20,
                                    .warmup_learning_rate = 0.01f,
                                    .warmup_steps = 4};
    double worst = 0;
    for (int64_t step = 0; step < 22; step++)
        worst = fmax(worst, fabs((double)det_schedule_rate(&schedule, step) - long_run[step]));
    print_message("learning rates: max abs error %.2g of .08\n", worst);
    assert_near(worst, 0, 8e-9);
    const struct {
        float base;
        int steps;
        double rates[5];
    } runs[3] = {
        {0.02f,
         5,
         {0.0024999999441206455, 0.006874999962747097, 0.011250000447034836, 0.015625,
          0.019999999552965164}},
        {0.002f,
         4,
         {0.0002500000118743628, 0.0006874999962747097, 0.001125000067986548,
          0.0015625001396983862}},
        {0.001f, 3, {0.0001250000059371814, 0.00034374999813735485, 0.000562500033993274}}};
    for (int r = 0; r < 3; r++) {
        schedule.learning_rate = runs[r].base;
        schedule.warmup_learning_rate = runs[r].base / 8;
        for (int64_t step = 0; step < runs[r].steps; step++)
            assert_near(det_schedule_rate(&schedule, step), runs[r].rates[step],
                        1.3e-7 * runs[r].rates[step]);
    }
}

int test_head_goldens(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anchors_agree),        cmocka_unit_test(targets_agree),
        cmocka_unit_test(raccoon_losses_agree), cmocka_unit_test(scene_losses_agree),
        cmocka_unit_test(detections_agree),     cmocka_unit_test(learning_rates_agree),
    };
    return cmocka_run_group_tests_name("head_goldens", tests, NULL, NULL);
}
