/* Curves, best F1, confusion and Pascal VOC AP: cases worked out by hand, the COCO goldens,
 * files. */
#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "det/det.h"
#include "support/workspace.h"

/* --- a case small enough to be worked out by hand --- */

struct object {
    int64_t image, class_id;
    double box[4];
    int crowd, difficult, group_of;
};

struct found {
    int64_t image, class_id;
    double box[4];
    double score;
};

static det_coco_evaluator *evaluator_of(det_context *context, const struct object *objects,
                                        size_t object_count, const struct found *found,
                                        size_t found_count)
{
    det_coco_evaluator *evaluator = NULL;
    assert_context_ok(context, det_coco_evaluator_create(context, NULL, &evaluator));
    /* Not by rising id: the report is. */
    assert_context_ok(context, det_coco_evaluator_add_category(evaluator, 2, "dog"));
    assert_context_ok(context, det_coco_evaluator_add_category(evaluator, 1, "cat, \"big\""));
    for (int64_t i = 1; i <= 3; i++)
        assert_context_ok(context, det_coco_evaluator_add_image(evaluator, i));
    for (size_t i = 0; i < object_count; i++) {
        const struct object *o = &objects[i];
        const det_coco_object object = {sizeof object,
                                        o->image,
                                        o->class_id,
                                        {o->box[0], o->box[1], o->box[2], o->box[3]},
                                        NAN,
                                        o->crowd,
                                        o->difficult,
                                        o->group_of,
                                        0};
        assert_context_ok(context, det_coco_evaluator_add_object(evaluator, &object));
    }
    for (size_t i = 0; i < found_count; i++)
        assert_context_ok(context, det_coco_evaluator_add_detection(evaluator, found[i].image,
                                                                    found[i].class_id, found[i].box,
                                                                    found[i].score));
    return evaluator;
}

static const struct object objects[] = {
    {1, 1, {0, 0, 10, 10}, 0, 0, 0},   {1, 1, {20, 0, 10, 10}, 0, 0, 0},
    {2, 1, {0, 0, 10, 10}, 0, 0, 0},   {2, 2, {50, 50, 20, 20}, 0, 0, 0},
    {3, 1, {0, 0, 40, 40}, 0, 0, 1},   /* a group */
    {3, 1, {60, 60, 10, 10}, 0, 1, 0}, /* difficult */
};

static const struct found detections[] = {
    {1, 1, {0, 0, 10, 10}, .9},   /* true */
    {1, 1, {0, 1, 10, 10}, .8},   /* the same object again: false */
    {1, 1, {21, 0, 10, 10}, .7},  /* true, IoU 9/11 */
    {2, 1, {50, 50, 20, 20}, .6}, /* a dog taken for a cat: false */
    {3, 1, {5, 5, 10, 10}, .5},   /* in the group: VOC leaves it out, COCO: false */
    {3, 1, {60, 60, 10, 10}, .4}, /* difficult: VOC leaves it out, COCO: true */
    {2, 2, {0, 0, 5, 5}, .3},     /* nothing there: false */
};

enum {
    OBJECTS = sizeof objects / sizeof objects[0],
    DETECTIONS = sizeof detections / sizeof detections[0]
};

static void figures_are_those_worked_out_by_hand(void **state)
{
    (void)state;
    struct test_env t;
    det_detection_report *report = NULL;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    det_coco_evaluator *evaluator = evaluator_of(context, objects, OBJECTS, detections, DETECTIONS);
    assert_context_ok(context, det_detection_report_create(context, evaluator, NULL, &report));
    det_coco_evaluator_destroy(&evaluator); /* the report needs it no more */
    assert_int_equal(det_detection_report_class_count(report), 2);
    const det_class_report *cat = det_detection_report_class(report, 0),
                           *dog = det_detection_report_class(report, 1);
    assert_null(det_detection_report_class(report, 2));
    assert_string_equal(cat->name, "cat, \"big\"");
    assert_int_equal(cat->objects, 5);
    assert_int_equal(cat->detections, 6);
    assert_int_equal(cat->voc_objects, 3);
    assert_int_equal(cat->point_count, 6);
    static const double precision[6] = {1, 1 / 2., 2 / 3., 2 / 4., 2 / 5., 3 / 6.};
    static const double recall[6] = {.2, .2, .4, .4, .4, .6};
    for (int i = 0; i < 6; i++) {
        assert_near(cat->points[i].precision, precision[i], 1e-12);
        assert_near(cat->points[i].recall, recall[i], 1e-12);
        assert_near(cat->points[i].score, detections[i].score, 0);
    }
    /* F1 = 2 tp / (detections + objects): 1/3, 2/7, 1/2, 4/9, 2/5, 6/11 */
    assert_near(cat->best_f1, 6 / 11., 1e-12);
    assert_near(cat->best_threshold, .4, 0);
    /* VOC: true, false, true, false (the dog); of 3 objects: precision 1, 1/2, 2/3, 1/2; recall
     * 1/3, .., 2/3 */
    assert_near(cat->voc_ap, 1 / 3. * 1 + 1 / 3. * 2 / 3., 1e-12);
    assert_near(cat->voc_ap_11, (4 * 1 + 3 * 2 / 3.) / 11, 1e-12);
    assert_int_equal(dog->voc_objects, 1);
    assert_near(dog->voc_ap, 0, 0);
    assert_near(dog->best_f1, 0, 0);
    assert_near(det_detection_report_voc_map(report), (5 / 9. + 0) / 2, 1e-12);
    assert_near(det_detection_report_voc_map_11(report), 6 / 11. / 2, 1e-12);
    /* From .5 on: 2 cats found, 1 missed; the dog is taken for a cat; the second box on cat 1 is
     * nothing. */
    static const int64_t confusion[9] = {2, 0, 1, 1, 0, 0, 1, 0, 0};
    for (int i = 0; i < 9; i++)
        assert_int_equal(det_detection_report_confusion(report)[i], confusion[i]);
    det_detection_report_destroy(&report);
    det_context_destroy(&context);
    test_env_check(&t);
}

/* A class without objects, an evaluator without anything, settings that are wrong. */
static void edges(void **state)
{
    (void)state;
    struct test_env t;
    det_detection_report *report = NULL;
    const char *text = NULL;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    det_coco_evaluator *evaluator = evaluator_of(context, objects, 1, detections + 6, 1);
    assert_context_ok(context, det_detection_report_create(context, evaluator, NULL, &report));
    assert_near(det_detection_report_class(report, 1)->voc_ap, -1, 0);
    assert_near(det_detection_report_class(report, 1)->best_f1, -1, 0);
    assert_near(det_detection_report_class(report, 0)->best_threshold, 1, 0);
    assert_near(det_detection_report_voc_map(report), 0, 0);
    assert_context_ok(context, det_detection_report_table(report, &text));
    assert_non_null(strstr(text, "n/a"));
    det_detection_report_destroy(&report);
    det_detection_report_settings settings;
    det_detection_report_settings_default(&settings);
    settings.iou_threshold = 0;
    assert_context_fails(context, DET_STATUS_INVALID_ARGUMENT, "iou_threshold",
                         det_detection_report_create(context, evaluator, &settings, &report));
    assert_null(report);
    det_coco_evaluator_destroy(&evaluator);
    assert_context_ok(context, det_coco_evaluator_create(context, NULL, &evaluator));
    assert_context_ok(context, det_detection_report_create(context, evaluator, NULL, &report));
    assert_near(det_detection_report_voc_map(report), -1, 0);
    det_detection_report_destroy(&report);
    det_coco_evaluator_destroy(&evaluator);
    det_context_destroy(&context);
    test_env_check(&t);
}

/* --- the curve is COCO's: its 101 points give each class's AP50 --- */

static double ap_of_points(const det_class_report *c)
{
    double sum = 0;
    for (int r = 0; r <= 100; r++) {
        double best = 0;
        for (size_t i = 0; i < c->point_count; i++)
            if (c->points[i].recall >= r / 100. - 1e-12)
                best = fmax(best, c->points[i].precision);
        sum += best;
    }
    return sum / 101;
}

static void the_area_under_the_curve_is_ap50(void **state)
{
    (void)state;
    static const char *const cases[] = {"mixed", "over100", "one_class"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct test_env t;
        det_coco_evaluator *evaluator = NULL;
        det_detection_report *report = NULL;
        const det_coco_result *result = NULL;
        char path[256], name[64];
        test_env_init(&t);
        det_context *context = workspace_context(&t, 1);
        assert_context_ok(context, det_coco_evaluator_create(context, NULL, &evaluator));
        snprintf(name, sizeof name, "coco_eval/%s.gt.json", cases[i]);
        assert_context_ok(context,
                          det_coco_evaluator_load_ground_truth(evaluator, test_golden(path, name)));
        snprintf(name, sizeof name, "coco_eval/%s.dt.json", cases[i]);
        assert_context_ok(context,
                          det_coco_evaluator_load_detections(evaluator, test_golden(path, name)));
        assert_context_ok(context, det_coco_evaluator_compute(evaluator, &result));
        assert_context_ok(context, det_detection_report_create(context, evaluator, NULL, &report));
        assert_int_equal(det_detection_report_class_count(report), result->class_count);
        const char *table = NULL;
        assert_context_ok(context, det_coco_evaluator_class_table(evaluator, &table));
        assert_int_equal(result->truncated > 0,
                         strstr(table, "more than 100 detections in an image") != NULL);
        for (int32_t k = 0; k < result->class_count; k++) {
            const det_class_report *c = det_detection_report_class(report, k);
            assert_int_equal(c->id, result->classes[k]->id);
            assert_int_equal(c->objects, result->classes[k]->objects[0]);
            /* A point holds all detections of one score; COCO's curve has a point for each. */
            if (c->objects > 0)
                assert_near(ap_of_points(c), result->classes[k]->stats[DET_COCO_AP50], .003);
        }
        det_detection_report_destroy(&report);
        det_coco_evaluator_destroy(&evaluator);
        det_context_destroy(&context);
        test_env_check(&t);
    }
}

/* honour_ignore takes difficult objects out of COCO's figures. */
static void difficult_objects_can_be_left_out(void **state)
{
    (void)state;
    for (int honour = 0; honour < 2; honour++) {
        struct test_env t;
        det_coco_settings settings;
        det_coco_evaluator *evaluator = NULL;
        const det_coco_result *result = NULL;
        test_env_init(&t);
        det_context *context = workspace_context(&t, 1);
        det_coco_settings_default(&settings);
        settings.honour_ignore = honour;
        assert_context_ok(context, det_coco_evaluator_create(context, &settings, &evaluator));
        assert_context_ok(context, det_coco_evaluator_add_category(evaluator, 1, "cat"));
        assert_context_ok(context, det_coco_evaluator_add_image(evaluator, 1));
        const det_coco_object object = {sizeof object, 1, 1, {0, 0, 10, 10}, NAN, 0, 1, 0, 0};
        assert_context_ok(context, det_coco_evaluator_add_object(evaluator, &object));
        assert_context_ok(context, det_coco_evaluator_compute(evaluator, &result));
        assert_int_equal(result->objects[0], honour ? 0 : 1);
        det_coco_evaluator_destroy(&evaluator);
        det_context_destroy(&context);
        test_env_check(&t);
    }
}

/* --- files --- */

static void files_are_what_they_say(void **state)
{
    (void)state;
    struct test_env t;
    det_detection_report *report = NULL;
    char folder[256], path[300];
    test_env_init(&t);
    test_make_directory(folder, "report");
    det_context *context = workspace_context(&t, 1);
    det_coco_evaluator *evaluator = evaluator_of(context, objects, OBJECTS, detections, DETECTIONS);
    assert_context_ok(context, det_detection_report_create(context, evaluator, NULL, &report));
    assert_context_ok(context, det_detection_report_write(report, folder));
    const char *file = NULL;
    size_t files = 0;
    for (; (file = det_detection_report_file(files)) != NULL; files++) {
        snprintf(path, sizeof path, "%s/%s", folder, file);
        assert_int_equal(access(path, F_OK), 0);
    }
    assert_int_equal(files, 5);
    snprintf(path, sizeof path, "%s/thresholds.json", folder);
    char *text = test_read_text(path);
    cJSON *tree = cJSON_Parse(text);
    assert_non_null(tree);
    assert_int_equal(cJSON_GetArraySize(tree), 1); /* the dog was never hit: nothing to choose by */
    assert_near(cJSON_GetNumberValue(cJSON_GetObjectItem(tree, "cat, \"big\"")), .4, 0);
    cJSON_Delete(tree);
    free(text);
    snprintf(path, sizeof path, "%s/pr_curves.json", folder);
    text = test_read_text(path);
    tree = cJSON_Parse(text);
    assert_non_null(tree);
    const cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItem(tree, "classes"), 0);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(first, "recall")), 6);
    cJSON_Delete(tree);
    free(text);
    snprintf(path, sizeof path, "%s/pr_curves.csv", folder);
    text = test_read_text(path);
    assert_non_null(strstr(text, "\n\"cat, \"\"big\"\"\",0.9,1,0.2,1,0\n"));
    free(text);
    snprintf(path, sizeof path, "%s/confusion.csv", folder);
    text = test_read_text(path);
    assert_non_null(strstr(text, "\ndog,1,0,0\n(nothing there),1,0,0\n"));
    free(text);
    snprintf(path, sizeof path, "%s/pr_curves.svg", folder);
    text = test_read_text(path);
    assert_non_null(strstr(text, "</svg>"));
    free(text);
    det_detection_report_destroy(&report);
    det_coco_evaluator_destroy(&evaluator);
    det_context_destroy(&context);
    test_remove_tree(folder);
    test_env_check(&t);
}

/* The saved files under pycocotools itself, where it is installed. */
static void pycocotools_gives_the_same_figures(void **state)
{
    (void)state;
    struct test_env t;
    det_coco_evaluator *evaluator = NULL;
    const det_coco_result *result = NULL;
    char folder[256], path[256], command[900];
    test_env_init(&t);
    test_make_directory(folder, "pycoco");
    det_context *context = workspace_context(&t, 1);
    assert_context_ok(context, det_coco_evaluator_create(context, NULL, &evaluator));
    assert_context_ok(context, det_coco_evaluator_load_ground_truth(
                                   evaluator, test_golden(path, "coco_eval/mixed.gt.json")));
    assert_context_ok(context, det_coco_evaluator_load_detections(
                                   evaluator, test_golden(path, "coco_eval/mixed.dt.json")));
    assert_context_ok(context, det_coco_evaluator_compute(evaluator, &result));
    char saved[2][300];
    snprintf(saved[0], sizeof saved[0], "%s/gt.json", folder);
    snprintf(saved[1], sizeof saved[1], "%s/dt.json", folder);
    assert_context_ok(context, det_coco_evaluator_save_ground_truth(evaluator, saved[0]));
    assert_context_ok(context, det_coco_evaluator_save_detections(evaluator, saved[1]));
    snprintf(command, sizeof command, "python3 tests/parity/coco_eval.py '%s' '%s' 2>/dev/null",
             saved[0], saved[1]);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    int lines = 0;
    double value = 0;
    while (fscanf(pipe, "%lf", &value) == 1 && lines < DET_COCO_STAT_COUNT)
        assert_near(result->stats[lines++], value, 1e-9);
    const int status = pclose(pipe);
    det_coco_evaluator_destroy(&evaluator);
    det_context_destroy(&context);
    test_remove_tree(folder);
    test_env_check(&t);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        print_message("skipped: python3 with pycocotools is not here\n");
        skip();
    }
    assert_int_equal(lines, DET_COCO_STAT_COUNT);
}

static det_status report_of(struct det_env *env, void *argument)
{
    (void)argument;
    det_context_settings settings;
    det_context *context = NULL;
    det_coco_evaluator *evaluator = NULL;
    det_detection_report *report = NULL;
    const char *text = NULL;
    det_context_settings_default(&settings);
    settings.allocator = &env->allocator;
    settings.threads = 1;
    det_status status = det_context_create(&context, &settings);
    if (status == DET_OK)
        status = det_coco_evaluator_create(context, NULL, &evaluator);
    if (status == DET_OK)
        status = det_coco_evaluator_add_category(evaluator, 1, "cat");
    if (status == DET_OK)
        status = det_coco_evaluator_add_image(evaluator, 1);
    if (status == DET_OK)
        status = det_coco_evaluator_add_ground_truth(evaluator, 1, 1, objects[0].box, NAN, 0, 0);
    if (status == DET_OK)
        status = det_coco_evaluator_add_detection(evaluator, 1, 1, detections[0].box, .5);
    if (status == DET_OK)
        status = det_detection_report_create(context, evaluator, NULL, &report);
    if (status == DET_OK)
        status = det_detection_report_table(report, &text);
    det_detection_report_destroy(&report);
    if (evaluator != NULL)
        det_coco_evaluator_destroy(&evaluator);
    det_context_destroy(&context);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    test_each_allocation_fails(report_of, NULL);
}

int test_detection_report(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_worked_out_by_hand),
        cmocka_unit_test(edges),
        cmocka_unit_test(the_area_under_the_curve_is_ap50),
        cmocka_unit_test(difficult_objects_can_be_left_out),
        cmocka_unit_test(files_are_what_they_say),
        cmocka_unit_test(pycocotools_gives_the_same_figures),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("detection_report", tests, NULL, NULL);
}
