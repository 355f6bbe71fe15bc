/* det/dataset.h in odd orders: names and classes lent by the set itself, failures in the middle,
 * what was found and is then changed. */
#include <math.h>

#include "base/context.h"
#include "support/annotation_sets.h"
#include "support/records.h"
#include "support/workspace.h"

enum { MOST_FINDINGS = 32 };

struct fixture {
    struct test_env t;
    det_context *context;
    det_annotation_set *set;
    char folder[256];
    char rule[MOST_FINDINGS][32], where[MOST_FINDINGS][300];
    int64_t image[MOST_FINDINGS], object[MOST_FINDINGS];
    int count;
};

static void note(void *user, const det_annotation_finding *finding)
{
    struct fixture *f = user;
    assert_true(f->count < MOST_FINDINGS);
    snprintf(f->rule[f->count], sizeof f->rule[0], "%s", finding->rule);
    f->image[f->count] = finding->image;
    f->object[f->count] = finding->object;
    snprintf(f->where[f->count++], sizeof f->where[0], "%s", finding->where);
}

static void open_fixture(struct fixture *f, const char *name)
{
    det_annotation_set_settings settings;
    *f = (struct fixture){0};
    test_env_init(&f->t);
    test_make_directory(f->folder, name);
    f->context = workspace_context(&f->t, 1);
    det_annotation_set_settings_default(&settings);
    settings.on_finding = note;
    settings.user = f;
    assert_context_ok(f->context, det_annotation_set_create(f->context, &settings, &f->set));
}

static void close_fixture(struct fixture *f)
{
    det_annotation_set_destroy(&f->set);
    det_context_destroy(&f->context);
    test_remove_tree(f->folder);
    test_env_check(&f->t);
}

/* A picture of its own, with a box of the class; NULL: with none. */
static size_t add(struct fixture *f, const char *name, const char *split, const char *class_name)
{
    size_t bytes = 0, position = 0;
    static unsigned seed;
    unsigned char *jpeg = test_make_jpeg(40, 20, ++seed, &bytes);
    const det_annotation_image image = {
        .struct_size = sizeof image, .data = jpeg, .bytes = bytes, .name = name, .split = split};
    det_annotation_object object;
    det_annotation_object_default(&object);
    object.class_name = class_name;
    object.box[2] = object.box[3] = .5;
    assert_context_ok(f->context, det_annotation_set_add_image(f->set, &image, &position));
    if (class_name != NULL)
        assert_context_ok(f->context, det_annotation_set_add_object(f->set, position, &object));
    free(jpeg);
    return position;
}

static void write_table(struct fixture *f, char path[400])
{
    size_t bytes = 0;
    unsigned char *jpeg = test_make_jpeg(40, 20, 77, &bytes);
    test_path_in(path, 400, f->folder, "q.jpg");
    test_write_bytes(path, jpeg, bytes);
    free(jpeg);
    test_write_text(f->folder, "q.csv",
                    "filename,width,height,class,xmin,ymin,xmax,ymax\n"
                    "q.jpg,40,20,zebra,0,0,20,10\nq.jpg,40,20,ant,0,0,20,10\n");
    test_path_in(path, 400, f->folder, "q.csv");
}

/* --- splits --- */

static void names_may_be_the_sets_own(void **state)
{
    (void)state;
    struct fixture f;
    static const double shares[] = {1, 1};
    open_fixture(&f, "orders_lent");
    add(&f, "a.jpg", "train", "cat");
    add(&f, "b.jpg", "val", "cat");
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    const char *names[] = {det_annotation_set_split_name(f.set, 1),
                           det_annotation_set_split_name(f.set, 0)};
    assert_context_ok(f.context, det_annotation_set_deal(f.set, names, shares, 2, 1));
    assert_string_equal(det_annotation_set_split_name(f.set, 0), "val");
    assert_string_equal(det_annotation_set_split_name(f.set, 1), "train");
    assert_context_ok(f.context, det_annotation_set_set_split(
                                     f.set, 0, test_image_info(f.context, f.set, 1).split));
    const det_annotation_object object = test_object_at(f.context, f.set, 0, 0);
    assert_context_ok(f.context, det_annotation_set_set_objects(f.set, 1, &object, 1));
    assert_string_equal(test_object_at(f.context, f.set, 1, 0).class_name, "cat");
    close_fixture(&f);
}

/* Two images of one id in two splits are sound; dealt into one they need two ids. */
static void ids_stay_unique_when_splits_are_dealt(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const names[] = {"all"};
    static const double shares[] = {1};
    open_fixture(&f, "orders_ids");
    add(&f, "a.jpg", "train", "cat");
    add(&f, "a.jpg", "val", "cat");
    add(&f, "a.jpg#2", "val", "cat");
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    assert_context_ok(f.context, det_annotation_set_check(f.set));
    assert_int_equal(f.count, 0);
    assert_context_ok(f.context, det_annotation_set_deal(f.set, names, shares, 1, 1));
    assert_int_equal(f.count, 1);
    assert_string_equal(f.rule[0], "name-changed");
    assert_string_equal(test_image_info(f.context, f.set, 0).source_id, "a.jpg");
    assert_string_equal(test_image_info(f.context, f.set, 1).source_id, "a.jpg#2");
    assert_string_equal(test_image_info(f.context, f.set, 2).source_id, "a.jpg#2#3");
    assert_context_ok(f.context, det_annotation_set_check(f.set));
    assert_int_equal(det_annotation_set_finding_count(f.set, NULL, DET_SEVERITY_ERROR), 0);
    close_fixture(&f);
}

/* What a source calls "a/b" is "a_b" here, which does not make a second one of it. */
static void splits_are_found_by_their_names_here(void **state)
{
    (void)state;
    struct fixture f;
    char path[400];
    det_annotation_split_stats stats = {.struct_size = sizeof stats};
    open_fixture(&f, "orders_splits");
    write_table(&f, path);
    test_write_text(f.folder, "q.csv",
                    "filename,width,height,class,xmin,ymin,xmax,ymax,split\n"
                    "q.jpg,40,20,zebra,0,0,20,10,a/b\n");
    assert_context_ok(f.context, det_annotation_set_read(f.set, "csv", path, NULL));
    const size_t position = add(&f, "a.jpg", "Big", "cat"), other = add(&f, "b.jpg", "a_b", "cat");
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    assert_string_equal(test_image_info(f.context, f.set, 0).split, "a_b");
    assert_string_equal(test_image_info(f.context, f.set, other).split, "a_b");
    assert_context_ok(f.context, det_annotation_set_set_split(
                                     f.set, position, test_image_info(f.context, f.set, 0).split));
    assert_int_equal(det_annotation_set_split_count(f.set), 2);
    assert_context_ok(f.context, det_annotation_set_set_split(f.set, position, "big"));
    assert_string_equal(test_image_info(f.context, f.set, position).split, "big_2");
    assert_context_ok(f.context, det_annotation_set_set_split(f.set, other, "big_2"));
    assert_context_ok(f.context, det_annotation_set_set_split(f.set, 0, "big"));
    assert_int_equal(det_annotation_set_split_count(f.set), 3);
    assert_context_ok(f.context, det_annotation_set_split_stats(f.set, "big", &stats));
    assert_int_equal(stats.images, 3);
    assert_context_ok(f.context, det_annotation_set_split_stats(f.set, "big_2", &stats));
    assert_int_equal(stats.images, 3);
    assert_context_fails(f.context, DET_STATUS_NOT_FOUND, "no split `none`",
                         det_annotation_set_split_stats(f.set, "none", &stats));
    close_fixture(&f);
}

/* Whatever failed, the splits are those there were or the new ones. */
static void a_failed_deal_leaves_splits(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const names[] = {"x", "y", "z"};
    static const double shares[] = {1, 1, 1};
    open_fixture(&f, "orders_deal");
    add(&f, "a.jpg", "train", "cat");
    add(&f, "b.jpg", "val", "cat");
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    det_status status = DET_STATUS_OUT_OF_MEMORY;
    for (long n = 1; status != DET_OK; n++) {
        test_env_fail_at(&f.t, n);
        status = det_annotation_set_deal(f.set, names, shares, 3, 1);
        test_env_fail_at(&f.t, 0);
        assert_true(status == DET_OK || status == DET_STATUS_OUT_OF_MEMORY);
        const size_t splits = det_annotation_set_split_count(f.set);
        assert_true(splits == 3 || (splits == 2 && status != DET_OK));
        for (size_t i = 0; i < 2; i++) {
            size_t s = 0;
            while (s < splits && det_annotation_set_split_name(f.set, s) !=
                                     test_image_info(f.context, f.set, i).split)
                s++;
            assert_true(s < splits);
        }
    }
    close_fixture(&f);
}

/* --- findings and failures of readers --- */

static det_status fail_alone(void *user, det_annotation_set *set, const char *path,
                             const char *split)
{
    (void)user;
    (void)set;
    (void)path;
    (void)split;
    return DET_STATUS_IO;
}

static det_status fail_in_a_call(void *user, det_annotation_set *set, const char *path,
                                 const char *split)
{
    size_t position = 0;
    const det_annotation_image image = {.struct_size = sizeof image};
    (void)user;
    (void)path;
    (void)split;
    return det_annotation_set_add_image(set, &image, &position);
}

static det_status succeed(void *user, det_annotation_set *set, const char *path, const char *split)
{
    const det_status handled = fail_in_a_call(user, set, path, split);
    assert_int_equal(handled, DET_STATUS_INVALID_ARGUMENT);
    return DET_OK;
}

static void a_readers_failure_has_a_message_of_its_own(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, "orders_reader");
    assert_context_ok(f.context, det_annotation_set_add_reader(f.set, "alone", fail_alone, NULL));
    assert_context_ok(f.context,
                      det_annotation_set_add_reader(f.set, "call", fail_in_a_call, NULL));
    assert_context_ok(f.context, det_annotation_set_add_reader(f.set, "well", succeed, NULL));
    assert_context_fails(f.context, DET_STATUS_UNSUPPORTED, "`none` has no reader",
                         det_annotation_set_read(f.set, "none", "a.txt", NULL));
    assert_context_fails(f.context, DET_STATUS_IO, "b.txt: its reader says: input/output error",
                         det_annotation_set_read(f.set, "alone", "b.txt", NULL));
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "one says which image",
                         det_annotation_set_read(f.set, "call", "c.txt", NULL));
    assert_context_fails(f.context, DET_STATUS_IO, "b.txt: its reader says",
                         det_annotation_set_read(f.set, "alone", "b.txt", NULL));
    assert_context_ok(f.context, det_annotation_set_read(f.set, "well", "d.txt", NULL));
    assert_contains(det_context_error(f.context), "b.txt: its reader says");
    close_fixture(&f);
}

static void findings_of_what_is_read_after_a_check_have_a_place(void **state)
{
    (void)state;
    struct fixture f;
    char path[400];
    open_fixture(&f, "orders_place");
    add(&f, "caf\xe9.jpg", "train", "cat");
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    assert_string_equal(f.rule[0], "name-changed");
    assert_string_equal(f.where[0], "caf\xe9.jpg");
    assert_context_ok(f.context, det_annotation_set_check(f.set));
    test_write_text(f.folder, "bad.csv", "filename,width\na.jpg,2\n");
    test_path_in(path, sizeof path, f.folder, "bad.csv");
    assert_context_ok(f.context, det_annotation_set_read(f.set, "csv", path, NULL));
    assert_string_equal(det_context_error(f.context), "");
    assert_int_equal(f.count, 2);
    assert_string_equal(f.rule[1], "source");
    assert_string_equal(f.where[1], path);
    size_t position = 0;
    const det_annotation_image missing = {.struct_size = sizeof missing, .name = "m.jpg"},
                               empty = {.struct_size = sizeof empty, .name = ""};
    assert_context_ok(f.context, det_annotation_set_add_image(f.set, &missing, &position));
    assert_context_ok(f.context, det_annotation_set_add_image(f.set, &empty, &position));
    assert_int_equal(f.count, 4);
    assert_string_equal(f.where[2], "m.jpg");
    assert_string_equal(f.where[3], "image 2");
    assert_int_equal(f.image[3], 2);
    close_fixture(&f);
}

/* --- classes and boxes --- */

/* An id that add_class gave stays what it is, whatever is read before or afterwards. */
static void classes_keep_the_ids_they_were_given(void **state)
{
    (void)state;
    struct fixture f;
    char path[400];
    int32_t id = 0;
    for (int later = 0; later < 2; later++) {
        open_fixture(&f, "orders_classes");
        write_table(&f, path);
        if (later)
            assert_context_ok(f.context, det_annotation_set_read(f.set, "csv", path, NULL));
        assert_context_ok(f.context, det_annotation_set_add_class(f.set, "newt", &id));
        assert_int_equal(id, later ? 3 : 1);
        if (!later)
            assert_context_ok(f.context, det_annotation_set_read(f.set, "csv", path, NULL));
        assert_context_ok(f.context, det_annotation_set_resolve(f.set));
        assert_string_equal(det_annotation_set_class_name(f.set, id), "newt");
        assert_string_equal(det_annotation_set_class_name(f.set, later ? 1 : 2), "ant");
        assert_string_equal(test_object_at(f.context, f.set, 0, 0).class_name, "zebra");
        assert_string_equal(test_object_at(f.context, f.set, 0, 1).class_name, "ant");
        assert_context_ok(f.context, det_annotation_set_add_class(f.set, "ant", &id));
        assert_int_equal(id, later ? 1 : 2);
        close_fixture(&f);
    }
}

/* The boxes of a table are in pixels; those that a program adds are what it says they are. */
static void boxes_are_measured_as_they_were_given(void **state)
{
    (void)state;
    struct fixture f;
    char path[400];
    det_annotation_object object;
    open_fixture(&f, "orders_boxes");
    write_table(&f, path);
    assert_context_ok(f.context, det_annotation_set_read(f.set, "csv", path, NULL));
    det_annotation_object_default(&object);
    object.class_name = "ant";
    object.box[2] = object.box[3] = .25;
    assert_context_ok(f.context, det_annotation_set_add_object(f.set, 0, &object));
    object.in_pixels = 1;
    object.box[2] = 5;
    object.box[3] = 10;
    assert_context_ok(f.context, det_annotation_set_add_object(f.set, 0, &object));
    size_t broken = 0;
    const det_annotation_image image = {
        .struct_size = sizeof image, .data = "x", .bytes = 1, .name = "x.jpg"};
    assert_context_ok(f.context, det_annotation_set_add_image(f.set, &image, &broken));
    assert_context_ok(f.context, det_annotation_set_add_object(f.set, broken, &object));
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    for (size_t i = 0; i < 4; i++) {
        const det_annotation_object at = test_object_at(f.context, f.set, 0, i);
        assert_int_equal(at.in_pixels, 0);
        assert_near(at.box[2], i < 2 ? .5 : .25, 1e-12);
        assert_near(at.box[3], i < 2 ? .5 : .25, 1e-12);
    }
    /* Of what size the picture is nobody knows. */
    assert_int_equal(test_object_at(f.context, f.set, broken, 0).in_pixels, 1);
    assert_near(test_object_at(f.context, f.set, broken, 0).box[3], 10, 0);
    close_fixture(&f);
}

static void weights_and_names_make_sense(void **state)
{
    (void)state;
    struct fixture f;
    int32_t id = 7;
    static const double bad[] = {NAN, INFINITY, -INFINITY, -1};
    open_fixture(&f, "orders_weights");
    const size_t position = add(&f, "a.jpg", "train", NULL);
    det_annotation_object object;
    for (size_t i = 0; i < 2 * sizeof bad / sizeof bad[0]; i++) {
        det_annotation_object_default(&object);
        object.class_name = "cat";
        *(i % 2 == 0 ? &object.weight : &object.area_px2) = bad[i / 2];
        assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "finite numbers",
                             det_annotation_set_add_object(f.set, position, &object));
    }
    assert_int_equal(det_annotation_set_object_count(f.set), 0);
    size_t none = 0;
    const det_annotation_image sizeless = {.path = "a.jpg"};
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT,
                         ": set it to sizeof(det_annotation_image)",
                         det_annotation_set_add_image(f.set, &sizeless, &none));
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "the name is empty",
                         det_annotation_set_add_class(f.set, "", &id));
    assert_int_equal(id, 0);
    det_annotation_object_default(&object);
    object.class_name = "";
    assert_context_ok(f.context, det_annotation_set_add_object(f.set, position, &object));
    assert_int_equal(f.count, 1);
    assert_string_equal(f.rule[0], "class-missing");
    assert_string_equal(f.where[0], "a.jpg");
    assert_int_equal(f.image[0], position);
    assert_int_equal(f.object[0], 0);
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    det_annotation_object objects[] = {object, object};
    assert_context_ok(f.context, det_annotation_set_set_objects(f.set, position, objects, 2));
    assert_int_equal(f.object[2], 1);
    objects[1].struct_size += 8;
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "struct_size of object 1 is",
                         det_annotation_set_set_objects(f.set, position, objects, 2));
    assert_int_equal(det_annotation_set_class_count(f.set), 0);
    close_fixture(&f);
}

/* A call that failed for want of memory may be made again. */
static void names_are_added_once(void **state)
{
    (void)state;
    struct fixture f;
    int32_t id = 0;
    open_fixture(&f, "orders_once");
    add(&f, "a.jpg", "train", "cat");
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    static const char *const names[] = {"b", "c", "d", "e", "f", "g", "h", "i", "j", "k"};
    for (int32_t i = 0; i < 10; i++) {
        det_status added = DET_STATUS_OUT_OF_MEMORY, put = DET_STATUS_OUT_OF_MEMORY;
        for (long n = 1; added != DET_OK; n++) {
            test_env_fail_at(&f.t, n);
            added = det_annotation_set_add_class(f.set, names[i], &id);
            test_env_fail_at(&f.t, 0);
        }
        assert_int_equal(id, i + 2);
        assert_int_equal(det_annotation_set_class_count(f.set), i + 2);
        for (long n = 1; put != DET_OK; n++) {
            test_env_fail_at(&f.t, n);
            put = det_annotation_set_set_split(f.set, 0, names[i]);
            test_env_fail_at(&f.t, 0);
        }
        assert_int_equal(det_annotation_set_split_count(f.set), i + 2);
        assert_string_equal(test_image_info(f.context, f.set, 0).split, names[i]);
    }
    close_fixture(&f);
}

static void a_write_that_succeeds_leaves_no_message(void **state)
{
    (void)state;
    struct fixture f;
    char path[400];
    open_fixture(&f, "orders_written");
    add(&f, "a.jpg", "train", "cat");
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    test_path_in(path, sizeof path, f.folder, "new/folder");
    assert_context_ok(f.context, det_annotation_set_write(f.set, "csv", path, NULL, NULL));
    assert_string_equal(det_context_error(f.context), "");
    close_fixture(&f);
}

int test_set_orders(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_may_be_the_sets_own),
        cmocka_unit_test(ids_stay_unique_when_splits_are_dealt),
        cmocka_unit_test(splits_are_found_by_their_names_here),
        cmocka_unit_test(a_failed_deal_leaves_splits),
        cmocka_unit_test(a_readers_failure_has_a_message_of_its_own),
        cmocka_unit_test(findings_of_what_is_read_after_a_check_have_a_place),
        cmocka_unit_test(classes_keep_the_ids_they_were_given),
        cmocka_unit_test(boxes_are_measured_as_they_were_given),
        cmocka_unit_test(weights_and_names_make_sense),
        cmocka_unit_test(names_are_added_once),
        cmocka_unit_test(a_write_that_succeeds_leaves_no_message),
    };
    return cmocka_run_group_tests_name("set_orders", tests, NULL, NULL);
}
