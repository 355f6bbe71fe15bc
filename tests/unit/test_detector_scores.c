/* A detector's scores by class and choice of classes, and the network's outputs for those who
 * post-process on their own. */
#include <math.h>

#include "base/context.h"
#include "det/boxes.h"
#include "model/model.h"
#include "support/formula.h"
#include "support/mem.h"
#include "support/workspace.h"

enum { SIDE = 96, CLASSES = 3, MOST = 4000, IMAGES = 2 };

struct fixture {
    struct test_env t;
    det_context *context;
    det_model *model;
    uint8_t *pixels;
    det_image_view views[IMAGES]; /* of different shapes */
};

static void open_fixture(struct fixture *f, bool keep_aspect)
{
    static const char *const names[CLASSES] = {"car", "bus", "bicycle"};
    struct det_model_spec spec;
    formula_spec(&spec, SIDE, CLASSES);
    if (keep_aspect) {
        spec.resize_mode = DET_RESIZE_KEEP_ASPECT;
        spec.min_dimension = spec.max_dimension = SIDE;
        spec.pad_to_max = true;
    }
    *f = (struct fixture){0};
    test_env_init(&f->t);
    f->context = workspace_context(&f->t, 2);
    struct det_env *env = det_context_env(f->context);
    assert_ok(env, det_model_create(env, &spec, false, names, &f->model));
    formula_params(&f->model->graph, f->model->owned);
    f->pixels = malloc(90 * 60 * 3);
    assert_non_null(f->pixels);
    for (int i = 0; i < 90 * 60 * 3; i++)
        f->pixels[i] = (uint8_t)(i * 7 + i / 90 * 13);
    f->views[0] = (det_image_view){.pixels = f->pixels, .width = 90, .height = 60};
    f->views[1] = (det_image_view){.pixels = f->pixels, .width = 60, .height = 90};
}

static void close_fixture(struct fixture *f)
{
    free(f->pixels);
    det_model_destroy(&f->model);
    det_context_destroy(&f->context);
    test_env_check(&f->t);
}

static void all_scores(det_detector_settings *settings)
{
    det_detector_settings_default(settings);
    settings->score_threshold = 0; /* formula weights are sure of nothing */
    settings->max_detections = MOST;
}

static det_detector *make(struct fixture *f, const det_detector_settings *settings)
{
    det_detector *detector = NULL;
    assert_context_ok(f->context, det_detector_create(f->context, f->model, settings, &detector));
    return detector;
}

struct run {
    det_detection list[MOST];
    size_t count;
};

static struct run *detect(struct fixture *f, det_detector *detector)
{
    const det_detection *found = NULL;
    struct run *run = calloc(1, sizeof *run);
    assert_non_null(run);
    assert_context_ok(f->context, det_detector_run(detector, &f->views[0], &found, &run->count));
    if (run->count > 0)
        memcpy(run->list, found, run->count * sizeof *found);
    return run;
}

/* What stays of a run when each class has a lowest score, above 1: it is not wanted. */
static struct run *sort_out(const struct run *all, const float lowest[CLASSES], size_t limit)
{
    struct run *left = calloc(1, sizeof *left);
    assert_non_null(left);
    for (size_t i = 0; i < all->count && left->count < limit; i++)
        if (all->list[i].score >= lowest[all->list[i].class_id - 1])
            left->list[left->count++] = all->list[i];
    return left;
}

static void expect(struct fixture *f, det_detector *detector, const struct run *all,
                   const float lowest[CLASSES], size_t limit)
{
    struct run *wanted = sort_out(all, lowest, limit), *got = detect(f, detector);
    assert_int_equal(got->count, wanted->count);
    assert_memory_equal(got->list, wanted->list, got->count * sizeof got->list[0]);
    free(wanted);
    free(got);
}

/* The score of the detection of a class at a share of all of them. */
static float score_at(const struct run *all, int32_t class_id, double share)
{
    size_t count = 0, seen = 0;
    for (size_t i = 0; i < all->count; i++)
        count += all->list[i].class_id == class_id;
    assert_true(count > 4);
    for (size_t i = 0; i < all->count; i++)
        if (all->list[i].class_id == class_id && seen++ == (size_t)(share * (double)count))
            return all->list[i].score;
    return 0;
}

/* As if they were sorted out afterwards, a score that is met exactly included; set at the start or
 * between runs. */
static void scores_are_of_each_class(void **state)
{
    (void)state;
    struct fixture f;
    det_detector_settings settings;
    open_fixture(&f, false);
    all_scores(&settings);
    det_detector *detector = make(&f, &settings);
    struct run *all = detect(&f, detector);
    const float lowest[CLASSES] = {score_at(all, 1, .5), score_at(all, 2, .1),
                                   score_at(all, 3, .9)};
    const float only_first[CLASSES] = {lowest[0], 2, 2}, not_second[CLASSES] = {lowest[0], 2, 1};
    const float none[CLASSES] = {0}, same[CLASSES] = {lowest[0], lowest[0], lowest[0]};

    const long before = test_env_allocations(&f.t);
    for (int32_t id = 1; id <= CLASSES; id++)
        assert_context_ok(f.context, det_detector_set_score(detector, id, lowest[id - 1]));
    expect(&f, detector, all, lowest, MOST);
    const int32_t first[] = {1, 1}, two[] = {3, 1};
    assert_context_ok(f.context, det_detector_choose_classes(detector, first, 2));
    expect(&f, detector, all, only_first, MOST);
    assert_context_ok(f.context, det_detector_set_score(detector, 3, 1));
    assert_context_ok(f.context, det_detector_choose_classes(detector, two, 2));
    expect(&f, detector, all, not_second, MOST);
    assert_context_ok(f.context, det_detector_set_score(detector, 0, lowest[0]));
    assert_context_ok(f.context, det_detector_choose_classes(detector, NULL, 0));
    expect(&f, detector, all, same, MOST);
    assert_context_ok(f.context, det_detector_set_score(detector, 0, 0));
    expect(&f, detector, all, none, MOST);
    assert_int_equal(test_env_allocations(&f.t), before);
    det_detector_destroy(&detector);

    settings.class_score = lowest;
    settings.class_count = CLASSES;
    settings.chosen_classes = first;
    settings.chosen_count = 1;
    detector = make(&f, &settings);
    expect(&f, detector, all, only_first, MOST);
    assert_context_ok(f.context, det_detector_choose_classes(detector, NULL, 0));
    expect(&f, detector, all, lowest, MOST);
    det_detector_destroy(&detector);

    /* The limit counts what is reported. */
    const int32_t second = 2;
    const float only_second[CLASSES] = {2, 0, 2};
    all_scores(&settings);
    settings.max_detections = 7;
    detector = make(&f, &settings);
    expect(&f, detector, all, none, 7);
    assert_context_ok(f.context, det_detector_choose_classes(detector, &second, 1));
    expect(&f, detector, all, only_second, 7);
    det_detector_destroy(&detector);
    free(all);
    close_fixture(&f);
}

static void what_cannot_be_is_told_and_changes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    det_detector_settings settings;
    open_fixture(&f, false);
    all_scores(&settings);
    det_detector *detector = make(&f, &settings), *other = NULL;
    struct run *all = detect(&f, detector);
    const float none[CLASSES] = {0}, bad[] = {.5F, NAN, .5F};
    const float wrong_scores[] = {-.1F, 1.1F, NAN, INFINITY};
    const int32_t wrong_ids[] = {-1, 4, INT32_MAX, INT32_MIN}, holes[] = {1, 0};
    for (int i = 0; i < 4; i++) {
        assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "expected 0 to 1",
                             det_detector_set_score(detector, 1, wrong_scores[i]));
        assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "the model has 1 to 3",
                             det_detector_set_score(detector, wrong_ids[i], .5F));
    }
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "class 0 is chosen",
                         det_detector_choose_classes(detector, holes, 2));
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "class_ids is NULL",
                         det_detector_choose_classes(detector, NULL, 1));
    expect(&f, detector, all, none, MOST);

    const struct {
        const float *scores;
        int32_t class_count, chosen_count;
        const int32_t *chosen;
        const char *told;
    } wrong[] = {
        {none, 2, 0, NULL, "class_count is 2, expected 3"},
        {none, 0, 0, NULL, "class_count is 0, expected 3"},
        {NULL, 3, 0, NULL, "class_count is 3, expected 0"},
        {bad, 3, 0, NULL, "score is nan"},
        {NULL, 0, -1, holes, "chosen_count is -1"},
        {NULL, 0, 2, holes, "class 0 is chosen"},
        {NULL, 0, 1, NULL, "detector: chosen_classes is NULL"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        settings.class_score = wrong[i].scores;
        settings.class_count = wrong[i].class_count;
        settings.chosen_classes = wrong[i].chosen;
        settings.chosen_count = wrong[i].chosen_count;
        assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, wrong[i].told,
                             det_detector_create(f.context, f.model, &settings, &other));
        assert_null(other);
    }
    free(all);
    det_detector_destroy(&detector);
    close_fixture(&f);
}

static void the_top_score_is_of_an_image_of_the_last_run(void **state)
{
    (void)state;
    struct fixture f;
    det_detector_settings settings;
    det_image_detections results[IMAGES];
    float score = 1;
    int32_t class_id = 1;
    open_fixture(&f, false);
    all_scores(&settings);
    settings.batch = 3;
    det_detector *detector = make(&f, &settings);
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "the last run has left 0",
                         det_detector_top_score(detector, 0, &score, &class_id));
    assert_true(score == 0 && class_id == 0);
    assert_context_ok(f.context, det_detector_run_batch(detector, f.views, IMAGES, results));
    for (size_t i = 0; i < IMAGES; i++) {
        assert_context_ok(f.context, det_detector_top_score(detector, i, &score, &class_id));
        assert_true(score == results[i].detections[0].score);
    }
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "the last run has left 2",
                         det_detector_top_score(detector, IMAGES, &score, &class_id));
    f.views[1].pixels = NULL;
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "pixels are NULL",
                         det_detector_run_batch(detector, f.views, IMAGES, results));
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "the last run has left 0",
                         det_detector_top_score(detector, 0, &score, &class_id));
    det_detector_destroy(&detector);
    close_fixture(&f);
}

/* det_boxes_postprocess() makes of the outputs what the detector reports, padding or not. */
static void outputs_give_the_same_detections(void **state)
{
    (void)state;
    for (int keep_aspect = 0; keep_aspect <= 1; keep_aspect++) {
        struct fixture f;
        det_detector_settings settings;
        open_fixture(&f, keep_aspect == 1);
        det_detector_settings_default(&settings);
        settings.score_threshold = 0;
        settings.batch = IMAGES;
        settings.keep_outputs = 1;
        det_detector *detector = make(&f, &settings);
        det_image_detections found[IMAGES];
        det_detector_raw raw = {.struct_size = sizeof raw};
        det_nms_settings nms = {.struct_size = sizeof nms};
        assert_context_ok(f.context, det_model_nms_settings(f.context, f.model, &nms));
        assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "the last run has left 0",
                             det_detector_outputs(detector, 0, &raw));
        assert_context_ok(f.context, det_detector_run_batch(detector, f.views, IMAGES, found));
        for (size_t i = 0; i < IMAGES; i++) {
            det_detection list[100];
            size_t count = 0;
            assert_context_ok(f.context, det_detector_outputs(detector, i, &raw));
            assert_int_equal(raw.class_count, CLASSES);
            assert_int_equal(raw.anchor_count, det_model_anchor_count(f.model));
            assert_near(raw.window[keep_aspect == 1 ? i : 0], 0, 0);
            assert_true(keep_aspect == 0 || raw.window[i == 0 ? 2 : 3] < .7F);
            assert_context_ok(f.context,
                              det_boxes_postprocess(f.context, &nms, raw.logits, raw.encodings,
                                                    raw.anchors, raw.anchor_count, raw.class_count,
                                                    raw.window, list, &count));
            assert_true(count > 10);
            assert_int_equal(count, found[i].count);
            assert_memory_equal(list, found[i].detections, count * sizeof *list);
        }
        assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "the last run has left 2",
                             det_detector_outputs(detector, IMAGES, &raw));
        assert_null(raw.logits);
        det_image_view bad = f.views[0];
        bad.width = 0;
        assert_int_not_equal(det_detector_run_batch(detector, &bad, 1, found), DET_OK);
        assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "the last run has left 0",
                             det_detector_outputs(detector, 0, &raw));
        det_detector_destroy(&detector);

        settings.keep_outputs = 0;
        detector = make(&f, &settings);
        assert_context_ok(f.context, det_detector_run_batch(detector, f.views, 1, found));
        assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "keep_outputs",
                             det_detector_outputs(detector, 0, &raw));
        det_detector_destroy(&detector);
        close_fixture(&f);
    }
}

static det_status create_and_run(struct det_env *env, void *argument)
{
    const struct fixture *f = argument;
    static const float scores[CLASSES] = {0, .5F, 1};
    static const int32_t chosen[] = {3, 1};
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.allocator = &env->allocator;
    settings.threads = 1;
    det_context *context = NULL;
    det_detector *detector = NULL;
    const det_detection *found = NULL;
    size_t count = 0;
    det_detector_settings detecting;
    det_detector_raw raw = {.struct_size = sizeof raw};
    det_detector_settings_default(&detecting);
    detecting.class_score = scores;
    detecting.class_count = CLASSES;
    detecting.chosen_classes = chosen;
    detecting.chosen_count = 2;
    detecting.keep_outputs = 1;
    det_status status = DET_OK;
    DET_TRY(det_context_create(&context, &settings));
    DET_TRY(det_detector_create(context, f->model, &detecting, &detector));
    DET_TRY(det_detector_run(detector, &f->views[0], &found, &count));
    DET_TRY(det_detector_outputs(detector, 0, &raw));
fail:
    det_detector_destroy(&detector);
    det_context_destroy(&context);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, false);
    test_each_allocation_fails(create_and_run, &f);
    close_fixture(&f);
}

int test_detector_scores(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_of_each_class),
        cmocka_unit_test(what_cannot_be_is_told_and_changes_nothing),
        cmocka_unit_test(the_top_score_is_of_an_image_of_the_last_run),
        cmocka_unit_test(outputs_give_the_same_detections),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("detector_scores", tests, NULL, NULL);
}
