/* det/dataset.h: a set that is changed: what a change costs, what a failed one leaves; names that
 * go into a table and come back. */
#include <math.h>
#include <time.h>

#include "base/context.h"
#include "convert/annotations.h"
#include "support/annotation_sets.h"
#include "support/records.h"
#include "support/workspace.h"

static det_annotation_object object_of(const char *class_name, double ymax)
{
    det_annotation_object object;
    det_annotation_object_default(&object);
    object.class_name = class_name;
    object.box[2] = ymax;
    object.box[3] = 1;
    return object;
}

/* A set of pictures in memory, one box of a cat each, resolved. */
static det_annotation_set *make_set(det_context *context, det_annotation_set_settings *settings,
                                    int images)
{
    det_annotation_set *set = NULL;
    assert_context_ok(context, det_annotation_set_create(context, settings, &set));
    for (int i = 0; i < images; i++) {
        size_t bytes = 0, position = 0;
        char name[32];
        unsigned char *jpeg = test_make_jpeg(16, 16, (unsigned)i + 1, &bytes);
        snprintf(name, sizeof name, "%d.jpg", i);
        const det_annotation_image image = {
            .struct_size = sizeof image, .data = jpeg, .bytes = bytes, .name = name};
        const det_annotation_object cat = object_of("cat", 1);
        assert_context_ok(context, det_annotation_set_add_image(set, &image, &position));
        assert_context_ok(context, det_annotation_set_add_object(set, position, &cat));
        free(jpeg);
    }
    assert_context_ok(context, det_annotation_set_resolve(set));
    return set;
}

/* Any order and number of changes: each image has what it was given last. */
static void objects_follow_any_changes(void **state)
{
    (void)state;
    enum { IMAGES = 7, CHANGES = 3000 };
    struct test_env t;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    det_annotation_set *set = make_set(context, NULL, IMAGES);
    size_t counts[IMAGES] = {1, 1, 1, 1, 1, 1, 1}, total = IMAGES;
    double last[IMAGES] = {1, 1, 1, 1, 1, 1, 1};
    uint32_t random = 1;
    for (int change = 1; change <= CHANGES; change++) {
        det_annotation_object objects[5];
        random = random * 1664525u + 1013904223u;
        const size_t image = (random >> 8) % IMAGES, count = (random >> 16) % 6;
        for (size_t i = 0; i < count; i++)
            objects[i] = object_of("cat", (change + (double)i) / 10000);
        assert_context_ok(context, det_annotation_set_set_objects(set, image, objects, count));
        total = total - counts[image] + count;
        counts[image] = count;
        last[image] = change / 10000.;
        assert_int_equal(det_annotation_set_object_count(set), total);
        if (change % 100 == 0)
            assert_context_ok(context, det_annotation_set_check(set));
        for (size_t i = 0; i < IMAGES; i++) {
            assert_int_equal(test_image_info(context, set, i).object_count, counts[i]);
            for (size_t k = 0; k < counts[i]; k++)
                assert_near(test_object_at(context, set, i, k).box[2],
                            last[i] == 1 ? 1 : last[i] + (double)k / 10000, 1e-12);
        }
    }
    /* And behind it, when it is added to. */
    const det_annotation_object added = object_of("dog", .75);
    assert_context_ok(context, det_annotation_set_add_object(set, 3, &added));
    assert_context_ok(context, det_annotation_set_resolve(set));
    assert_int_equal(det_annotation_set_object_count(set), total + 1);
    assert_string_equal(test_object_at(context, set, 3, counts[3]).class_name, "dog");
    assert_context_ok(context, det_annotation_set_drop_image(set, 3));
    assert_int_equal(det_annotation_set_object_count(set), total - counts[3]);
    const char *json = NULL;
    char boxes[40];
    assert_context_ok(context, det_annotation_set_findings_json(set, &json));
    snprintf(boxes, sizeof boxes, "\"boxes\": %zu", total - counts[3]);
    assert_contains(json, boxes);
    det_annotation_set_destroy(&set);
    det_context_destroy(&context);
    test_env_check(&t);
}

/* 100,000 images changed one by one are a moment; going through the set for each would be
 * minutes. */
static void changes_take_no_time_of_other_images(void **state)
{
    (void)state;
    enum { IMAGES = 100000 };
    struct test_env t;
    struct det_annotations set;
    struct det_findings findings = {0};
    size_t index = 0;
    test_env_init(&t);
    assert_ok(&t.env, det_annotations_init(&t.env, &set, NULL));
    for (int i = 0; i < IMAGES; i++) {
        assert_ok(&t.env, det_annotations_add_image(&t.env, &set, "x", NULL, false, &index));
        struct det_labelled_object object = det_annotations_object(index);
        assert_ok(&t.env, det_annotations_add_object(&t.env, &set, &object));
        object = det_annotations_object(index);
        assert_ok(&t.env, det_annotations_add_object(&t.env, &set, &object));
    }
    assert_ok(&t.env, det_annotations_finish(&t.env, &set, &findings));
    const struct det_labelled_object objects[3] = {
        det_annotations_object(0), det_annotations_object(0), det_annotations_object(0)};
    const clock_t begin = clock();
    for (size_t count = 0; count <= 3; count++) /* fewer, more */
        for (size_t i = 0; i < IMAGES; i++)
            assert_ok(&t.env, det_annotations_set_objects(&t.env, &set, i, objects, count));
    const double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    if (!(seconds < 10))
        fail_msg("%d changes took %.1f s", 4 * IMAGES, seconds);
    assert_int_equal(set.object_count - set.objects_lost, 3 * IMAGES);
    assert_true(set.object_count < 8 * IMAGES); /* what is lost is not kept for ever */
    det_annotations_free(&t.env, &set);
    test_env_check(&t);
}

/* --- what a failed change leaves --- */

static void count_finding(void *user, const det_annotation_finding *finding)
{
    (void)finding;
    ++*(int *)user;
}

static void failed_changes_leave_nothing(void **state)
{
    (void)state;
    struct test_env t;
    int findings = 0;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    det_annotation_set_settings settings;
    det_annotation_set_settings_default(&settings);
    settings.on_finding = count_finding;
    settings.user = &findings;
    det_annotation_set *set = make_set(context, &settings, 1);
    det_annotation_object objects[3] = {object_of("new", .5), object_of("", .5),
                                        object_of("newer", .5)};
    objects[2].weight = -1;
    assert_context_fails(context, DET_STATUS_INVALID_ARGUMENT, "weight -1",
                         det_annotation_set_set_objects(set, 0, objects, 3));
    objects[2].weight = 1;
    objects[2].struct_size -= 8;
    assert_context_fails(context, DET_STATUS_INVALID_ARGUMENT, "struct_size of object 2",
                         det_annotation_set_set_objects(set, 0, objects, 3));
    assert_int_equal(findings, 0);
    assert_int_equal(det_annotation_set_class_count(set), 1);
    assert_int_equal(det_annotation_set_object_count(set), 1);
    assert_string_equal(test_object_at(context, set, 0, 0).class_name, "cat");
    objects[2].struct_size += 8;
    assert_context_ok(context, det_annotation_set_set_objects(set, 0, objects, 3));
    assert_int_equal(findings, 1); /* the one without a class */
    assert_int_equal(det_annotation_set_class_count(set), 3);
    det_annotation_set_destroy(&set);
    det_context_destroy(&context);
    test_env_check(&t);
}

struct change {
    unsigned char *jpeg;
    size_t bytes;
};

static det_status change(struct det_env *env, void *argument)
{
    const struct change *c = argument;
    det_context *context = NULL;
    det_context_settings settings;
    det_annotation_set_settings of_set;
    det_annotation_set *set = NULL;
    size_t position = 0;
    int findings = 0;
    char names[12][16];
    det_annotation_object objects[13];
    const det_annotation_image image = {
        .struct_size = sizeof image, .data = c->jpeg, .bytes = c->bytes, .name = "a.jpg"};
    for (int i = 0; i < 12; i++) {
        snprintf(names[i], sizeof names[i], "new%d", i);
        objects[i] = object_of(names[i], .5);
    }
    objects[12] = object_of("", .5);
    det_context_settings_default(&settings);
    settings.allocator = &env->allocator;
    settings.threads = 1;
    det_annotation_set_settings_default(&of_set);
    of_set.on_finding = count_finding;
    of_set.user = &findings;
    det_status status = det_context_create(&context, &settings);
    if (status == DET_OK)
        status = det_annotation_set_create(context, &of_set, &set);
    if (status == DET_OK)
        status = det_annotation_set_add_image(set, &image, &position);
    if (status == DET_OK)
        status = det_annotation_set_resolve(set);
    if (status == DET_OK && findings > 0) /* no memory for the picture */
        status = DET_STATUS_OUT_OF_MEMORY;
    if (status == DET_OK) {
        status = det_annotation_set_set_objects(set, 0, objects, 13);
        const bool done = status == DET_OK;
        assert_int_equal(det_annotation_set_class_count(set), done ? 12 : 0);
        assert_int_equal(det_annotation_set_object_count(set), done ? 13 : 0);
        assert_int_equal(findings, done ? 1 : 0);
        /* Names that were taken back can be taken again. */
        if (!done) {
            status = det_annotation_set_set_objects(set, 0, objects, 13);
            assert_int_equal(det_annotation_set_class_count(set), 12);
            assert_string_equal(det_annotation_set_class_name(set, 12), "new11");
            status = status == DET_OK ? DET_STATUS_OUT_OF_MEMORY : status;
        }
    }
    det_annotation_set_destroy(&set);
    det_context_destroy(&context);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct change c;
    c.jpeg = test_make_jpeg(16, 16, 1, &c.bytes);
    test_each_allocation_fails(change, &c);
    free(c.jpeg);
}

/* --- names --- */

static void names_come_back_from_tables(void **state)
{
    (void)state;
    static const char *const names[] = {
        " cat",       "cat ",      "cat",    "\tcow",    "two  words", "a,b",      "say \"x\"",
        "\"quoted\"", "=formula",  "'=x",    " =spaced", "line\nfeed", "return\r", "'",
        "semi;colon", "d\xc3\xa9", "  all ", "\r\n",     "-1 ",        "x\t"};
    enum { NAMES = sizeof names / sizeof names[0] };
    struct test_env t;
    char folder[256], path[400];
    test_env_init(&t);
    test_make_directory(folder, "csv_names");
    det_context *context = workspace_context(&t, 1);
    det_annotation_set *set = make_set(context, NULL, 1), *again = NULL;
    det_annotation_object objects[NAMES];
    for (int i = 0; i < NAMES; i++)
        objects[i] = object_of(names[i], (i + 1.) / 32);
    assert_context_ok(context, det_annotation_set_set_objects(set, 0, objects, NAMES));
    det_annotation_write_settings settings;
    det_annotation_write_settings_default(&settings);
    assert_context_ok(context, det_annotation_set_write(set, "csv", folder, &settings, NULL));
    snprintf(path, sizeof path, "%s/data.csv", folder);
    assert_context_ok(context, det_annotation_set_create(context, NULL, &again));
    assert_context_ok(context, det_annotation_set_read(again, "csv", path, NULL));
    assert_context_ok(context, det_annotation_set_resolve(again));
    assert_int_equal(det_annotation_set_object_count(again), NAMES);
    for (size_t i = 0; i < NAMES; i++)
        assert_string_equal(test_object_at(context, again, 0, i).class_name, names[i]);
    det_annotation_set_destroy(&again);
    det_annotation_set_destroy(&set);
    /* Without quotes blanks are the writer's; behind a quote they are, too. */
    test_write_text(folder, "spaced.csv",
                    "filename, class ,xmin,ymin,xmax,ymax\n0.jpg , cat ,1, 2, 9,9\r\n"
                    "0.jpg,\" cat \" ,1,2,9,\"9\"\r\n0.jpg,\"dog\r\",1,2,9,9\n"
                    "0.jpg,\"a\"b ,1,2,9,9\n");
    snprintf(path, sizeof path, "%s/spaced.csv", folder);
    det_annotation_set *spaced = make_set(context, NULL, 0);
    snprintf(path, sizeof path, "%s/images", folder);
    assert_context_ok(context, det_annotation_set_add_image_folder(spaced, path));
    snprintf(path, sizeof path, "%s/spaced.csv", folder);
    assert_context_ok(context, det_annotation_set_read(spaced, "csv", path, NULL));
    assert_context_ok(context, det_annotation_set_resolve(spaced));
    static const char *const expected[] = {"cat", " cat ", "dog\r", "ab "};
    assert_int_equal(det_annotation_set_object_count(spaced), 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(test_object_at(context, spaced, 0, i).class_name, expected[i]);
    det_annotation_set_destroy(&spaced);
    det_context_destroy(&context);
    test_remove_tree(folder);
    test_env_check(&t);
}

int test_annotation_changes(void);
int test_annotation_changes(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_follow_any_changes),
        cmocka_unit_test(changes_take_no_time_of_other_images),
        cmocka_unit_test(failed_changes_leave_nothing),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(names_come_back_from_tables),
    };
    return cmocka_run_group_tests_name("annotation_changes", tests, NULL, NULL);
}
