/* COCO evaluation: cases small enough to work out by hand. */
#include <cjson/cJSON.h>
#include <locale.h>
#include <math.h>

#include "eval/coco_report.h"
#include "support/test.h"

struct fixture {
    struct test_env t;
    struct det_coco_eval *eval;
};

/* Images 1 and 2, categories 1 "cat" and 2 "dog". */
static void begin(struct fixture *f, const det_coco_settings *settings)
{
    test_env_init(&f->t);
    assert_ok(&f->t.env, det_coco_eval_create(&f->t.env, settings, &f->eval));
    assert_ok(&f->t.env, det_coco_eval_add_category(&f->t.env, f->eval, 2, "dog"));
    assert_ok(&f->t.env, det_coco_eval_add_category(&f->t.env, f->eval, 1, "cat"));
    assert_ok(&f->t.env, det_coco_eval_add_image(&f->t.env, f->eval, 2));
    assert_ok(&f->t.env, det_coco_eval_add_image(&f->t.env, f->eval, 1));
}

static void end(struct fixture *f)
{
    det_coco_eval_destroy(&f->t.env, &f->eval);
    assert_null(f->eval);
    det_coco_eval_destroy(&f->t.env, &f->eval);
    test_env_check(&f->t);
}

static void add_gt(struct fixture *f, int64_t image, double x, double y, double w, double h)
{
    const struct det_coco_annotation object = {
        .id = 1, .image_id = image, .category_id = 1, .box_px = {x, y, w, h}, .area_px2 = NAN};
    assert_ok(&f->t.env, det_coco_eval_add_object(&f->t.env, f->eval, &object));
}

static void add_dt_of(struct fixture *f, int64_t image, int64_t category, double x, double y,
                      double w, double h, double score)
{
    const struct det_coco_detection detection = {image, category, {x, y, w, h}, score};
    assert_ok(&f->t.env, det_coco_eval_add_detection(&f->t.env, f->eval, &detection));
}

static void add_dt(struct fixture *f, int64_t image, double x, double y, double w, double h,
                   double score)
{
    add_dt_of(f, image, 1, x, y, w, h, score);
}

static const det_coco_result *compute(struct fixture *f)
{
    const det_coco_result *result = NULL;
    assert_ok(&f->t.env, det_coco_eval_compute(&f->t.env, f->eval, NULL, &result));
    assert_ptr_equal(result, det_coco_eval_result(f->eval));
    return result;
}

static void assert_stats(const det_coco_result *result, const double wanted[DET_COCO_STAT_COUNT])
{
    for (int i = 0; i < DET_COCO_STAT_COUNT; i++)
        assert_near(result->stats[i], wanted[i], 1e-12);
}

static void one_object_found(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    add_gt(&f, 1, 10, 20, 100, 100);
    add_dt(&f, 1, 10, 20, 100, 100, .5);
    const det_coco_result *r = compute(&f);
    assert_stats(r, (double[]){1, 1, 1, -1, -1, 1, 1, 1, 1, -1, -1, 1});
    assert_int_equal(r->images, 2);
    assert_int_equal(r->class_count, 2);
    assert_string_equal(r->classes[0]->name, "cat"); /* by id, not by arrival */
    assert_int_equal(r->classes[1]->id, 2);
    assert_int_equal(r->objects[0], 1);
    assert_int_equal(r->objects[1], 0);
    assert_int_equal(r->objects[3], 1);
    assert_int_equal(r->detections, 1);
    assert_near(r->classes[0]->stats[DET_COCO_AP], 1, 1e-12);
    assert_near(r->classes[1]->stats[DET_COCO_AP], -1, 0);
    /* IoU exactly at a threshold counts: 50 of 100. */
    det_coco_eval_clear_detections(f.eval);
    add_dt(&f, 1, 10, 20, 100, 50, .5);
    r = compute(&f);
    assert_near(r->stats[DET_COCO_AP50], 1, 1e-12);
    assert_near(r->stats[DET_COCO_AP75], 0, 0);
    assert_near(r->stats[DET_COCO_AP], .1, 1e-12);
    end(&f);
}

static void nothing_to_find_or_nothing_found(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    const double none[] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    assert_stats(compute(&f), none);
    add_dt(&f, 1, 10, 20, 100, 100, .5);
    assert_stats(compute(&f), none);
    det_coco_eval_clear_detections(f.eval);
    add_gt(&f, 2, 0, 0, 10, 10);
    assert_stats(compute(&f), (double[]){0, 0, 0, 0, -1, -1, 0, 0, 0, 0, -1, -1});
    end(&f);

    /* Not even a category or an image. */
    test_env_init(&f.t);
    assert_ok(&f.t.env, det_coco_eval_create(&f.t.env, NULL, &f.eval));
    const det_coco_result *r = compute(&f);
    assert_stats(r, none);
    assert_int_equal(r->class_count, 0);
    end(&f);
}

static void crowds_are_matched_many_times(void **state)
{
    (void)state;
    for (int is_crowd = 0; is_crowd <= 1; is_crowd++) {
        struct fixture f;
        begin(&f, NULL);
        add_gt(&f, 1, 200, 200, 50, 50);
        const struct det_coco_annotation crowd = {.id = 2,
                                                  .image_id = 1,
                                                  .category_id = 1,
                                                  .box_px = {0, 0, 100, 100},
                                                  .area_px2 = 10000,
                                                  .is_crowd = is_crowd};
        assert_ok(&f.t.env, det_coco_eval_add_object(&f.t.env, f.eval, &crowd));
        for (int i = 0; i < 3; i++)
            add_dt(&f, 1, 20 * i, 5, 10, 10, .9);
        add_dt(&f, 1, 200, 200, 50, 50, .3);
        const det_coco_result *r = compute(&f);
        /* Crowd: the three lie inside it and are ignored. Else three false ones come first: 1 of 4,
         * recall 1 of 2. */
        assert_near(r->stats[DET_COCO_AP], is_crowd ? 1 : .25 * 51 / 101, 1e-12);
        assert_near(r->stats[DET_COCO_AR_100], is_crowd ? 1 : .5, 1e-12);
        assert_int_equal(r->crowds, is_crowd);
        assert_int_equal(r->objects[0], is_crowd ? 1 : 2);
        end(&f);
    }
}

static void ignore_is_overwritten_unless_honoured(void **state)
{
    (void)state;
    for (int honour = 0; honour <= 1; honour++) {
        det_coco_settings settings;
        det_coco_settings_default(&settings);
        settings.honour_ignore = honour;
        struct fixture f;
        begin(&f, &settings);
        add_gt(&f, 1, 200, 200, 50, 50);
        const struct det_coco_annotation ignored = {.id = 2,
                                                    .image_id = 1,
                                                    .category_id = 1,
                                                    .box_px = {0, 0, 100, 100},
                                                    .area_px2 = 10000,
                                                    .ignore = true};
        assert_ok(&f.t.env, det_coco_eval_add_object(&f.t.env, f.eval, &ignored));
        add_dt(&f, 1, 200, 200, 50, 50, .3);
        assert_near(compute(&f)->stats[DET_COCO_AP], honour ? 1 : 51. / 101, 1e-12);
        /* An ignored object takes one detection out, not two. */
        add_dt(&f, 1, 0, 0, 100, 100, .9);
        add_dt(&f, 1, 0, 0, 100, 100, .8);
        assert_near(compute(&f)->stats[DET_COCO_AP], honour ? .5 : (51 + 50 * 2. / 3) / 101, 1e-12);
        end(&f);
    }
}

static void equal_scores_keep_their_order(void **state)
{
    (void)state;
    /* Within an image by arrival. */
    for (int right_first = 0; right_first <= 1; right_first++) {
        struct fixture f;
        begin(&f, NULL);
        add_gt(&f, 1, 0, 0, 50, 50);
        add_dt(&f, 1, right_first ? 0 : 300, 0, 50, 50, right_first ? 0. : -0.);
        add_dt(&f, 1, right_first ? 300 : 0, 0, 50, 50, right_first ? -0. : 0.);
        assert_near(compute(&f)->stats[DET_COCO_AP], right_first ? 1 : .5, 1e-12);
        end(&f);
    }
    /* Between images by id, whatever arrived first. */
    for (int64_t right_image = 1; right_image <= 2; right_image++) {
        struct fixture f;
        begin(&f, NULL);
        add_gt(&f, right_image, 0, 0, 50, 50);
        add_dt(&f, 2, right_image == 2 ? 0 : 300, 0, 50, 50, .5);
        add_dt(&f, 1, right_image == 1 ? 0 : 300, 0, 50, 50, .5);
        assert_near(compute(&f)->stats[DET_COCO_AP], right_image == 1 ? 1 : .5, 1e-12);
        end(&f);
    }
}

static void last_of_equal_objects_wins_and_id_0_does_not_count(void **state)
{
    (void)state;
    for (int64_t last_id = 0; last_id <= 1; last_id++) {
        struct fixture f;
        begin(&f, NULL);
        for (int64_t id = 0; id < 2; id++) {
            const struct det_coco_annotation object = {.id = id == 1 ? last_id : 1 - last_id,
                                                       .image_id = 1,
                                                       .category_id = 1,
                                                       .box_px = {0, 0, 50, 50},
                                                       .area_px2 = 2500};
            assert_ok(&f.t.env, det_coco_eval_add_object(&f.t.env, f.eval, &object));
        }
        add_dt(&f, 1, 0, 0, 50, 50, .5);
        assert_near(compute(&f)->stats[DET_COCO_AR_100], last_id == 1 ? .5 : 0, 1e-12);
        end(&f);
    }
}

static void unmatched_outside_the_area_do_not_count(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    add_gt(&f, 1, 0, 0, 20, 20);
    add_dt(&f, 1, 0, 0, 20, 20, .5);
    add_dt(&f, 1, 300, 0, 200, 200, .9);
    const det_coco_result *r = compute(&f);
    assert_near(r->stats[DET_COCO_AP], .5, 1e-12);
    assert_near(r->stats[DET_COCO_AP_SMALL], 1, 1e-12);
    assert_near(r->stats[DET_COCO_AP_MEDIUM], -1, 0);
    end(&f);
}

static void more_detections_than_max_dets(void **state)
{
    (void)state;
    const int32_t more[] = {200, 1, 10}; /* sorted by the evaluator */
    for (int round = 0; round < 3; round++) {
        det_coco_settings settings;
        det_coco_settings_default(&settings);
        if (round > 0) {
            settings.max_dets = more;
            settings.max_det_count = 3;
        }
        settings.first_row_follows_max_dets = round == 2;
        struct fixture f;
        begin(&f, &settings);
        add_gt(&f, 1, 0, 0, 50, 50);
        add_dt(&f, 1, 0, 0, 50, 50, 0);
        for (int i = 1; i < 150; i++)
            add_dt(&f, 1, 300, 300, 50, 50, i / 200.);
        const det_coco_result *r = compute(&f);
        const double first[] = {0, -1, 1. / 150}; /* 100 is asked for and not in the list: -1 */
        assert_near(r->stats[DET_COCO_AP], first[round], 1e-12);
        assert_near(r->stats[DET_COCO_AP50], round > 0 ? 1. / 150 : 0, 1e-12);
        assert_near(r->stats[DET_COCO_AR_10], 0, 0);
        assert_near(r->stats[DET_COCO_AR_100], round > 0, 1e-12);
        assert_int_equal(r->truncated, round == 0);
        assert_int_equal(r->detections, 150);
        assert_int_equal(r->detections_used, round > 0 ? 150 : 100);
        struct det_text text = {0};
        assert_ok(&f.t.env, det_coco_report_table(&f.t.env, f.eval, &text));
        assert_non_null(strstr(text.data, round == 2 ? "area=   all | maxDets=200 ] = 0.007\n"
                                                     : "area=   all | maxDets=100 ] ="));
        det_text_free(&f.t.env, &text);
        end(&f);
    }
}

static void without_categories_classes_compete(void **state)
{
    (void)state;
    for (int use = 0; use <= 1; use++) {
        det_coco_settings settings;
        det_coco_settings_default(&settings);
        settings.use_categories = use;
        struct fixture f;
        begin(&f, &settings);
        add_gt(&f, 1, 0, 0, 50, 50);
        add_dt_of(&f, 1, 2, 0, 0, 50, 50, .5);
        const det_coco_result *r = compute(&f);
        assert_near(r->stats[DET_COCO_AP], use ? 0 : 1, 1e-12);
        assert_int_equal(r->class_count, use ? 2 : 1);
        if (!use)
            assert_string_equal(r->classes[0]->name, "all");
        end(&f);
    }
}

static void curves_are_there(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    add_gt(&f, 1, 0, 0, 50, 50);
    add_gt(&f, 1, 100, 0, 50, 50);
    add_dt(&f, 1, 0, 0, 50, 50, .75);
    add_dt(&f, 1, 300, 0, 50, 50, .5);
    const det_coco_result *r = compute(&f);
    assert_int_equal(r->iou_threshold_count, 10);
    assert_int_equal(r->recall_threshold_count, 101);
    /* [t=0, r, k=0, a=0, m=2] */
    const size_t step = (size_t)r->class_count * (size_t)r->area_count * (size_t)r->max_det_count;
    assert_near(r->precision[50 * step + 2], 1, 1e-12);
    assert_near(r->scores[50 * step + 2], .75, 0);
    assert_near(r->precision[51 * step + 2], 0, 0);
    assert_near(r->scores[51 * step + 2], 0, 0);
    assert_near(r->precision[50 * step + step / 2 + 2], -1, 0); /* k=1 */
    assert_near(r->recall[2], .5, 0);
    end(&f);
}

static void wrong_input_is_named(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    struct det_env *env = &f.t.env;
    struct det_coco_detection d = {1, 1, {0, 0, 1, 1}, NAN};
    assert_fails(env, DET_STATUS_NON_FINITE, "detection in image 1: score",
                 det_coco_eval_add_detection(env, f.eval, &d));
    d.score = .5;
    d.box_px[2] = INFINITY;
    assert_fails(env, DET_STATUS_NON_FINITE, "box", det_coco_eval_add_detection(env, f.eval, &d));
    d.box_px[2] = 1;
    d.image_id = 77;
    assert_fails(env, DET_STATUS_NOT_FOUND, "image 77",
                 det_coco_eval_add_detection(env, f.eval, &d));
    d.image_id = 1;
    d.category_id = -5;
    assert_fails(env, DET_STATUS_NOT_FOUND, "no category -5",
                 det_coco_eval_add_detection(env, f.eval, &d));
    struct det_coco_annotation object = {.image_id = 9, .category_id = 1};
    assert_fails(env, DET_STATUS_NOT_FOUND, "image 9",
                 det_coco_eval_add_object(env, f.eval, &object));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "\"cat\"",
                 det_coco_eval_add_category(env, f.eval, 1, "again"));
    assert_ok(env, det_coco_eval_add_image(env, f.eval, 1));
    assert_int_equal(det_coco_eval_image_count(f.eval), 2);
    struct det_text text = {0};
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "compute it first",
                 det_coco_report_table(env, f.eval, &text));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "compute it first",
                 det_coco_report_classes(env, f.eval, &text));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "compute it first",
                 det_coco_report_json(env, f.eval, true, &text));
    end(&f);
}

static void wrong_settings_are_named(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_coco_eval *eval = NULL;
    const double nan = NAN, many[33] = {0};
    const int32_t zero = 0;
    const det_coco_area nameless = {NULL, 0, 1};
    det_coco_settings s;
    const det_coco_settings empty = {0};
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "struct_size",
                 det_coco_eval_create(&t.env, &empty, &eval));
    det_coco_settings_default(&s);
    s.iou_thresholds = many;
    s.iou_threshold_count = 33;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "at most 32",
                 det_coco_eval_create(&t.env, &s, &eval));
    s.iou_thresholds = &nan;
    s.iou_threshold_count = 1;
    assert_fails(&t.env, DET_STATUS_NON_FINITE, "IoU thresholds: number 0",
                 det_coco_eval_create(&t.env, &s, &eval));
    det_coco_settings_default(&s);
    s.recall_thresholds = many;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "recall thresholds: got 0",
                 det_coco_eval_create(&t.env, &s, &eval));
    det_coco_settings_default(&s);
    s.max_dets = &zero;
    s.max_det_count = 1;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "max_dets: number 0 is 0",
                 det_coco_eval_create(&t.env, &s, &eval));
    det_coco_settings_default(&s);
    s.areas = &nameless;
    s.area_count = 1;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "areas: number 0",
                 det_coco_eval_create(&t.env, &s, &eval));
    assert_null(eval);
    test_env_check(&t);
}

static void reports_say_what_is_missing(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL);
    add_gt(&f, 1, 10, 20, 100, 100);
    add_dt(&f, 1, 10, 20, 100, 100, .5);
    compute(&f);
    /* A decimal comma, where the machine has such a locale. */
    char *const old = strdup(setlocale(LC_NUMERIC, NULL));
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") == NULL)
        setlocale(LC_NUMERIC, "de_DE");
    struct det_text text = {0};
    assert_ok(&f.t.env, det_coco_report_table(&f.t.env, f.eval, &text));
    assert_non_null(strstr(
        text.data,
        " Average Precision  (AP) @[ IoU=0.50:0.95 | area= small | maxDets=100 ] = -1.000\n"));
    text.length = 0;
    assert_ok(&f.t.env, det_coco_report_classes(&f.t.env, f.eval, &text));
    assert_string_equal(
        text.data,
        "COCO boxes: IoU 0.50:0.95 (10 thresholds), 101 recall points, at most 100 detections per "
        "image and class\n"
        "2 images, objects: 1 all, 0 small, 0 medium, 1 large, 0 ignored; 1 detections, 1 used\n"
        "class     id  objects detections     AP   AP50   AP75  AR100    APs    APm    APl\n"
        "cat        1        1          1  1.000  1.000  1.000  1.000    n/a    n/a  1.000\n"
        "dog        2        0          0  n/a (0 objects)\n");
    text.length = 0;
    assert_ok(&f.t.env, det_coco_report_json(&f.t.env, f.eval, true, &text));
    setlocale(LC_NUMERIC, old);
    free(old);
    cJSON *root = cJSON_Parse(text.data);
    assert_non_null(root);
    const cJSON *stats = cJSON_GetObjectItem(root, "stats");
    assert_near(cJSON_GetObjectItem(stats, "AP")->valuedouble, 1, 1e-12);
    assert_near(cJSON_GetObjectItem(stats, "AR_small")->valuedouble, -1, 0);
    const cJSON *classes = cJSON_GetObjectItem(root, "classes");
    assert_int_equal(cJSON_GetArraySize(classes), 2);
    const cJSON *curve = cJSON_GetObjectItem(cJSON_GetArrayItem(classes, 0), "precision");
    assert_int_equal(cJSON_GetArraySize(curve), 10);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetArrayItem(curve, 9)), 101);
    cJSON_Delete(root);
    det_text_free(&f.t.env, &text);
    end(&f);
}

int test_coco_eval(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_object_found),
        cmocka_unit_test(nothing_to_find_or_nothing_found),
        cmocka_unit_test(crowds_are_matched_many_times),
        cmocka_unit_test(ignore_is_overwritten_unless_honoured),
        cmocka_unit_test(equal_scores_keep_their_order),
        cmocka_unit_test(last_of_equal_objects_wins_and_id_0_does_not_count),
        cmocka_unit_test(unmatched_outside_the_area_do_not_count),
        cmocka_unit_test(more_detections_than_max_dets),
        cmocka_unit_test(without_categories_classes_compete),
        cmocka_unit_test(curves_are_there),
        cmocka_unit_test(wrong_input_is_named),
        cmocka_unit_test(wrong_settings_are_named),
        cmocka_unit_test(reports_say_what_is_missing),
    };
    return cmocka_run_group_tests_name("coco_eval", tests, NULL, NULL);
}
