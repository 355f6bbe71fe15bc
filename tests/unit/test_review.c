/* det/review.h and det-data review: errors that were planted are at the head of the list, what to
 * label next is no copy, and what is written can be read. */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "convert/read/xml.h"
#include "support/planted.h"
#include "support/run_tool.h"
#include "support/workspace.h"

enum { MANY = 80, FEW = 8, SEEDS = 3 };

static char out[100000];

/* The demo's scenes, with the model that its trainings begin from. */
struct scenes {
    char directory[256], records[300], label_map[300];
    struct test_env t;
    det_context *context;
    det_model *model;
};

static void make_scenes(struct scenes *s, const char *name, int count)
{
    *s = (struct scenes){0};
    test_make_directory(s->directory, name);
    if (run_tool(out, sizeof out, "det-demo-data %s --train %d --test 4", s->directory, count) != 0)
        fail_msg("%s", out);
    snprintf(s->records, sizeof s->records, "%s/annotations/train.tfrecord", s->directory);
    snprintf(s->label_map, sizeof s->label_map, "%s/annotations/label_map.pbtxt", s->directory);
    test_env_init(&s->t);
    s->context = workspace_machine(&s->t, 1);
    assert_context_ok(s->context, det_model_load(s->context, "data/vehicles.det", &s->model));
}

static void drop_scenes(struct scenes *s)
{
    det_model_destroy(&s->model);
    det_context_destroy(&s->context);
    test_env_check(&s->t);
    test_remove_tree(s->directory);
}

static det_annotation_set *read_set(struct scenes *s)
{
    det_annotation_set *set = NULL;
    assert_context_ok(s->context, det_annotation_set_create(s->context, NULL, &set));
    assert_context_ok(s->context, det_annotation_set_load_label_map(set, s->label_map));
    assert_context_ok(s->context, det_annotation_set_read(set, NULL, s->records, NULL));
    assert_context_ok(s->context, det_annotation_set_resolve(set));
    return set;
}

static void planted_errors_come_first(void **state)
{
    (void)state;
    const double shares[PLANT_KINDS] = {.05, .05, .05};
    size_t found[PLANT_KINDS] = {0}, of[PLANT_KINDS] = {0};
    struct scenes s;
    make_scenes(&s, "review_planted", MANY);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        det_annotation_set *set = read_set(&s);
        det_review *review = NULL;
        struct plants plants;
        size_t now[PLANT_KINDS], these[PLANT_KINDS];
        assert_context_ok(s.context, plant_errors(set, shares, seed, &plants));
        assert_context_ok(s.context, det_review_create(s.context, s.model, set, NULL, &review));
        plants_found(review, &plants, det_review_row_count(review) / 10, now, these);
        for (int k = 0; k < PLANT_KINDS; k++) {
            found[k] += now[k];
            of[k] += these[k];
        }
        det_review_destroy(&review);
        det_annotation_set_destroy(&set);
        free(plants.list);
    }
    const size_t all = found[0] + found[1] + found[2], total = of[0] + of[1] + of[2];
    assert_int_equal(total, SEEDS * 36);
    if (5 * all < 4 * total)
        fail_msg("moved %zu/%zu, dropped %zu/%zu, renamed %zu/%zu: %zu of %zu are less than 80 %%",
                 found[0], of[0], found[1], of[1], found[2], of[2], all, total);
    drop_scenes(&s);
}

static det_review_row row_at(const struct scenes *s, const det_review *review, size_t index)
{
    det_review_row row = {.struct_size = sizeof row};
    assert_context_ok(s->context, det_review_row_at(review, index, &row));
    return row;
}

/* Suspicion falls, each box that is no crowd is there once, and what is said of it is the set's. */
static void the_list_has_every_box_once(void **state)
{
    (void)state;
    struct scenes s;
    make_scenes(&s, "review_list", FEW);
    det_annotation_set *set = read_set(&s);
    det_review *review = NULL;
    /* An object that is not judged, and one whose box cannot be. */
    det_annotation_object object = {.struct_size = sizeof object};
    assert_context_ok(s.context, det_annotation_set_object(set, 0, 0, &object));
    object.is_crowd = 1;
    assert_context_ok(s.context, det_annotation_set_set_objects(set, 0, &object, 1));
    object.is_crowd = 0;
    object.box[2] = object.box[0];
    assert_context_ok(s.context, det_annotation_set_set_objects(set, 1, &object, 1));
    assert_context_ok(s.context, det_review_create(s.context, s.model, set, NULL, &review));
    size_t boxes = 0;
    for (size_t i = 0; i < det_review_row_count(review); i++) {
        const det_review_row row = row_at(&s, review, i);
        assert_true(row.suspicion >= 0 && row.suspicion <= 1);
        if (i > 0)
            assert_true(row.suspicion <= row_at(&s, review, i - 1).suspicion);
        boxes += row.object >= 0;
        assert_true((row.kind == DET_REVIEW_MISSING) == (row.object < 0));
        if (row.object < 0)
            continue;
        assert_context_ok(s.context,
                          det_annotation_set_object(set, row.image, (size_t)row.object, &object));
        assert_int_equal(object.class_id, row.class_id);
        assert_memory_equal(object.box, row.box, sizeof row.box);
    }
    assert_int_equal(boxes, det_annotation_set_object_count(set) - 2);
    /* A set that changes needs another review. */
    const char *text = NULL;
    assert_context_ok(s.context, det_review_json(review, &text));
    assert_contains(text, "\"findings\": [");
    assert_context_ok(s.context, det_annotation_set_set_objects(set, 2, NULL, 0));
    assert_context_fails(s.context, DET_STATUS_INVALID_ARGUMENT, "has changed",
                         det_review_json(review, &text));
    det_review_destroy(&review);
    det_annotation_set_destroy(&set);
    drop_scenes(&s);
}

static void classes_are_compared_by_name(void **state)
{
    (void)state;
    struct scenes s;
    make_scenes(&s, "review_classes", FEW);
    det_annotation_set *set = NULL;
    det_review *review = NULL;
    int32_t class_id = 0;
    det_annotation_image image = {.struct_size = sizeof image};
    size_t position = 0;
    char path[400];
    snprintf(path, sizeof path, "%s/images/train/train_00000.jpg", s.directory);
    image.path = path;
    assert_context_ok(s.context, det_annotation_set_create(s.context, NULL, &set));
    assert_context_ok(s.context, det_annotation_set_add_class(set, "zebra", &class_id));
    assert_context_ok(s.context, det_annotation_set_add_image(set, &image, &position));
    assert_context_ok(s.context, det_annotation_set_resolve(set));
    assert_context_fails(s.context, DET_STATUS_MISMATCH, "no class in common",
                         det_review_create(s.context, s.model, set, NULL, &review));
    assert_null(review);
    det_review_settings settings;
    det_review_settings_default(&settings);
    settings.least_score = 0;
    assert_context_fails(s.context, DET_STATUS_INVALID_ARGUMENT, "expected above 0",
                         det_review_create(s.context, s.model, set, &settings, &review));
    det_annotation_set_destroy(&set);
    drop_scenes(&s);
}

static int stop(void *user, size_t done, size_t total)
{
    size_t *calls = user;
    assert_int_equal(done, *calls);
    assert_int_equal(total, FEW);
    return ++*calls == 3;
}

static void it_can_be_stopped(void **state)
{
    (void)state;
    struct scenes s;
    make_scenes(&s, "review_stop", FEW);
    det_annotation_set *set = read_set(&s);
    det_review *review = NULL;
    det_review_settings settings;
    size_t calls = 0;
    det_review_settings_default(&settings);
    settings.progress = stop;
    settings.user = &calls;
    assert_context_fails(s.context, DET_STATUS_CANCELLED, "picture 2 of 8",
                         det_review_create(s.context, s.model, set, &settings, &review));
    assert_null(review);
    det_annotation_set_destroy(&set);
    drop_scenes(&s);
}

/* Two pictures of the labelled set, and each of the others twice: no copy is chosen. */
static void no_copy_is_chosen(void **state)
{
    (void)state;
    struct scenes s;
    make_scenes(&s, "review_choice", FEW);
    det_annotation_set *set = read_set(&s), *pool = NULL;
    det_review *review = NULL;
    static const char *const names[] = {"train/train_00000", "train/train_00001", "test/test_00000",
                                        "test/test_00000",   "test/test_00001",   "test/test_00001",
                                        "test/test_00002"};
    assert_context_ok(s.context, det_annotation_set_create(s.context, NULL, &pool));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[400];
        size_t position = 0;
        det_annotation_image image = {.struct_size = sizeof image, .path = path};
        snprintf(path, sizeof path, "%s/images/%s.jpg", s.directory, names[i]);
        assert_context_ok(s.context, det_annotation_set_add_image(pool, &image, &position));
    }
    assert_context_ok(s.context, det_annotation_set_resolve(pool));
    assert_context_ok(s.context, det_review_create(s.context, s.model, set, NULL, &review));
    assert_context_ok(s.context, det_review_choose(review, s.model, pool, 100));
    assert_int_equal(det_review_choice_count(review), 3);
    bool chosen[7] = {false};
    for (size_t i = 0; i < 3; i++) {
        det_review_choice choice = {.struct_size = sizeof choice};
        const det_detection *detections = NULL;
        size_t count = 0;
        assert_context_ok(s.context, det_review_choice_at(review, i, &choice));
        assert_true(choice.image >= 2 && choice.distance > .02);
        assert_true(choice.uncertainty >= 0 && choice.uncertainty <= 1);
        chosen[choice.image] = true;
        assert_context_ok(s.context, det_review_choice_detections(review, i, &detections, &count));
        assert_int_equal(count, choice.detection_count);
    }
    assert_true(chosen[2] != chosen[3] && chosen[4] != chosen[5] && chosen[6]);
    assert_context_ok(s.context, det_review_choose(review, s.model, pool, 1));
    assert_int_equal(det_review_choice_count(review), 1);
    det_review_destroy(&review);
    det_annotation_set_destroy(&pool);
    det_annotation_set_destroy(&set);
    drop_scenes(&s);
}

static size_t occurrences(const char *text, const char *of)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, of)) != NULL; at++)
        count++;
    return count;
}

/* Boxes go into CVAT's XML and come back in their places. */
static void the_tool_writes_what_can_be_read(void **state)
{
    (void)state;
    struct scenes s;
    char path[400];
    make_scenes(&s, "review_tool", FEW);
    if (run_tool(out, sizeof out,
                 "det-data review data/vehicles.det %s --unlabelled %s/images/test --most 10 "
                 "--next 2 --output %s/review --json %s/review.json",
                 s.records, s.directory, s.directory, s.directory) != 0)
        fail_msg("%s", out);
    assert_contains(out, "2 pictures to label next");
    assert_contains(out, "review/review.html in a browser");
    snprintf(path, sizeof path, "%s/review/review.html", s.directory);
    char *text = test_read_text(path);
    assert_int_equal(occurrences(text, "<figure>"), 12);
    assert_int_equal(occurrences(text, "data:image/jpeg;base64,"), 12);
    assert_null(strstr(text, "http"));
    free(text);
    snprintf(path, sizeof path, "%s/review/review.csv", s.directory);
    text = test_read_text(path);
    assert_contains(text, "rank,kind,suspicion,image,split,object,class,ymin");
    free(text);
    snprintf(path, sizeof path, "%s/review/unlabelled.xml", s.directory);
    text = test_read_text(path);
    assert_int_equal(occurrences(text, "<image "), 2);
    assert_contains(text, "<version>1.1</version>");
    assert_contains(text, "source=\"auto\"");
    free(text);
    if (det_xml_missing() == NULL) {
        if (run_tool(out, sizeof out, "det-data check %s/review/annotations.xml --images %s/images",
                     s.directory, s.directory) != 0)
            fail_msg("%s", out);
        assert_contains(out, "0 errors");
    }
    assert_int_equal(
        run_tool(out, sizeof out, "det-data review data/vehicles.det --output %s/x", s.directory),
        2);
    assert_contains(out, "a model and a source are needed");
    assert_int_equal(run_tool(out, sizeof out, "det-data review %s %s --output %s/x", s.label_map,
                              s.records, s.directory),
                     1);
    drop_scenes(&s);
}

/* Each allocation of a review of two pictures fails in turn. */
static void each_allocation_fails(void **state)
{
    (void)state;
    struct workspace w;
    struct test_env t;
    char path[400];
    workspace_make(&w, "review_memory");
    test_env_init(&t);
    det_context *c = workspace_context(&t, 1);
    det_pipeline_config *config = NULL;
    det_trainer *trainer = NULL;
    det_model *model = NULL;
    det_annotation_set *set = NULL;
    snprintf(path, sizeof path, "%s/train.tfrecord", w.directory);
    assert_context_ok(c, det_pipeline_config_load(c, w.config, &config));
    assert_context_ok(c, det_trainer_create(c, config, NULL, &trainer));
    assert_context_ok(c, det_trainer_snapshot(trainer, &model));
    assert_context_ok(c, det_annotation_set_create(c, NULL, &set));
    assert_context_ok(c, det_annotation_set_read(set, NULL, path, NULL));
    assert_context_ok(c, det_annotation_set_resolve(set));
    for (size_t i = 2; i < det_annotation_set_image_count(set); i++)
        assert_context_ok(c, det_annotation_set_drop_image(set, i));
    snprintf(path, sizeof path, "%s/review", w.directory);
    det_status status = DET_STATUS_OUT_OF_MEMORY;
    for (size_t n = 1; status == DET_STATUS_OUT_OF_MEMORY; n++) {
        det_review *review = NULL;
        test_env_fail_at(&t, (long)n);
        status = det_review_create(c, model, set, NULL, &review);
        if (status == DET_OK)
            status = det_review_choose(review, model, set, 2);
        if (status == DET_OK)
            status = det_review_write(review, path, 4);
        test_env_fail_at(&t, 0);
        if (status != DET_OK && status != DET_STATUS_OUT_OF_MEMORY)
            fail_msg("allocation %zu: %s", n, det_context_error(c));
        det_review_destroy(&review);
        assert_true(n < 100000);
    }
    det_annotation_set_destroy(&set);
    det_model_destroy(&model);
    det_trainer_destroy(&trainer);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&c);
    test_env_check(&t);
    workspace_remove(&w);
}

int test_review(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planted_errors_come_first),
        cmocka_unit_test(the_list_has_every_box_once),
        cmocka_unit_test(classes_are_compared_by_name),
        cmocka_unit_test(it_can_be_stopped),
        cmocka_unit_test(no_copy_is_chosen),
        cmocka_unit_test(the_tool_writes_what_can_be_read),
        cmocka_unit_test(each_allocation_fails),
    };
    return cmocka_run_group_tests_name("review", tests, NULL, NULL);
}
