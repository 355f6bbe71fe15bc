/* det/dataset.h: a set that a program builds, reads, looks at, changes, checks and repairs. */
#include <unistd.h>

#include "support/annotation_sets.h"
#include "support/own_set.h"
#include "support/pictures.h"
#include "support/records.h"

static void assert_box(const det_annotation_object *object, double ymin, double xmin, double ymax,
                       double xmax, double tolerance)
{
    assert_near(object->box[0], ymin, tolerance);
    assert_near(object->box[1], xmin, tolerance);
    assert_near(object->box[2], ymax, tolerance);
    assert_near(object->box[3], xmax, tolerance);
}

/* --- built up --- */

/* Two files and one picture in memory, boxes in pixels and as shares, through every format that can
 * be read again. */
static void own_boxes_come_back_from_records(void **state)
{
    (void)state;
    static const char *const formats[] = {"tfrecord", "coco", "csv"};
    static const char *const files[] = {"train.tfrecord", "annotations/instances_train.json",
                                        "train.csv"};
    struct own_set f;
    own_set_open(&f, "set_own");
    own_set_picture(&f, "a.jpg", 80, 40, 1);
    own_set_picture(&f, "b.jpg", 50, 60, 2);
    size_t bytes = 0, third = 0;
    unsigned char *jpeg = test_make_jpeg(32, 32, 3, &bytes);
    const size_t first = own_set_add_file(&f, "a.jpg", "train"),
                 second = own_set_add_file(&f, "b.jpg", "train");
    const det_annotation_image memory = {.struct_size = sizeof memory,
                                         .data = jpeg,
                                         .bytes = bytes,
                                         .name = "camera.jpg",
                                         .split = "train",
                                         .source_id = "frame 7"};
    assert_context_ok(f.context, det_annotation_set_add_image(f.set, &memory, &third));
    free(jpeg); /* copied */
    assert_int_equal(first, 0);
    assert_int_equal(third, 2);
    own_set_add_box(&f, first, "cat", 1, 10, 20, 30, 60);
    own_set_add_box(&f, third, "dog", 0, .25, .5, .75, 1);
    own_set_add_box(&f, first, "dog", 0, .5, 0, 1, .5);
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "resolve() first",
                         det_annotation_set_check(f.set));
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    assert_int_equal(det_annotation_set_image_count(f.set), 3);
    assert_int_equal(det_annotation_set_object_count(f.set), 3);
    assert_int_equal(det_annotation_set_class_count(f.set), 2);
    assert_string_equal(det_annotation_set_class_name(f.set, 1), "cat");
    assert_null(det_annotation_set_class_name(f.set, 3));
    assert_null(det_annotation_set_class_name(f.set, 0));
    assert_string_equal(det_annotation_set_split_name(f.set, 0), "train");
    assert_null(det_annotation_set_split_name(f.set, 1));
    const det_annotation_image_info a = test_image_info(f.context, f.set, first),
                                    c = test_image_info(f.context, f.set, third);
    assert_string_equal(a.name, "a.jpg");
    assert_int_equal(a.width_px, 80);
    assert_int_equal(a.height_px, 40);
    assert_int_equal(a.object_count, 2);
    assert_int_equal(test_image_info(f.context, f.set, second).object_count, 0);
    assert_null(c.path);
    assert_string_equal(c.source_id, "frame 7");
    const det_annotation_object cat = test_object_at(f.context, f.set, first, 0),
                                dog = test_object_at(f.context, f.set, third, 0);
    assert_box(&cat, .25, .25, .75, .75, 1e-12);
    assert_string_equal(dog.class_name, "dog");
    assert_int_equal(dog.class_id, 2);
    for (int i = 0; i < 3; i++) {
        char folder[400], path[500];
        det_annotations_written w = {.struct_size = sizeof w};
        struct found found = {0};
        own_set_path(&f, folder, formats[i]);
        assert_context_ok(f.context, det_annotation_set_write(f.set, formats[i], folder, NULL, &w));
        assert_int_equal(w.images, 3);
        assert_int_equal(w.objects, 3);
        assert_int_equal(w.copied, 3);
        det_annotation_set *back = own_set_create(f.context, &found), *mine = f.set;
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        if (i == 0) {
            char map[500];
            snprintf(map, sizeof map, "%s/label_map.pbtxt", folder);
            assert_context_ok(f.context, det_annotation_set_load_label_map(back, map));
        }
        assert_context_ok(f.context, det_annotation_set_read(back, formats[i], path, NULL));
        assert_context_ok(f.context, det_annotation_set_resolve(back));
        assert_context_ok(f.context, det_annotation_set_check(back));
        assert_int_equal(found.count, 0);
        f.set = back;
        /* CSV has no line for a picture without a box. */
        size_t objects = 0;
        for (size_t k = 0; k < det_annotation_set_image_count(back); k++) {
            const det_annotation_image_info info = test_image_info(f.context, f.set, k);
            assert_string_equal(info.split, "train");
            objects += info.object_count;
            if (strcmp(info.name, "a.jpg") == 0) {
                const det_annotation_object object = test_object_at(f.context, f.set, k, 0);
                assert_string_equal(object.class_name, "cat");
                assert_box(&object, .25, .25, .75, .75, 1e-4);
            }
        }
        assert_int_equal(objects, 3);
        f.set = mine;
        det_annotation_set_destroy(&back);
    }
    own_set_close(&f);
}

static void calls_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct own_set f;
    own_set_open(&f, "set_refused");
    size_t position = 5;
    int32_t id = 5;
    const det_annotation_image nothing = {.struct_size = sizeof nothing};
    const det_annotation_image both = {
        .struct_size = sizeof both, .path = "a.jpg", .data = "x", .bytes = 1};
    const det_annotation_image up = {.struct_size = sizeof up, .path = "a.jpg", .split = "../up"};
    const det_annotation_object object = own_object("cat", 0, 0, 0, 1, 1);
    det_annotation_object other = own_object(NULL, 0, 0, 0, 1, 1);
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "one says which image",
                         det_annotation_set_add_image(f.set, &nothing, &position));
    assert_int_equal(position, 0);
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "without path",
                         det_annotation_set_add_image(f.set, &both, &position));
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "a.jpg: `../up` is no name",
                         det_annotation_set_add_image(f.set, &up, &position));
    assert_int_equal(det_annotation_set_image_count(f.set), 0);
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "there is no image 0",
                         det_annotation_set_add_object(f.set, 0, &object));
    own_set_picture(&f, "a.jpg", 40, 40, 1);
    own_set_add_file(&f, "a.jpg", NULL);
    other.class_id = 3;
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "class id 3, expected 1 to 0",
                         det_annotation_set_add_object(f.set, 0, &other));
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "`nonsense` is no rule",
                         det_annotation_set_add_finding(f.set, "nonsense", SIZE_MAX, "x"));
    assert_context_fails(f.context, DET_STATUS_UNSUPPORTED, "format `pascal` has no reader here",
                         det_annotation_set_read(f.set, "pascal", f.folder, NULL));
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    assert_context_fails(f.context, DET_STATUS_UNSUPPORTED, "format `json`",
                         det_annotation_set_write(f.set, "json", f.folder, NULL, NULL));
    /* Nothing to write, and why. */
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "and not one box",
                         det_annotation_set_write(f.set, "csv", f.folder, NULL, NULL));
    assert_context_fails(
        f.context, DET_STATUS_NOT_FOUND, "there is no split `val`",
        det_annotation_set_split_stats(
            f.set, "val",
            &(det_annotation_split_stats){.struct_size = sizeof(det_annotation_split_stats)}));
    assert_context_ok(f.context, det_annotation_set_add_class(f.set, "cat", &id));
    assert_int_equal(id, 1);
    assert_context_ok(f.context, det_annotation_set_add_class(f.set, "cat", &id));
    assert_int_equal(det_annotation_set_class_count(f.set), 1);
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "a label map comes first",
                         det_annotation_set_load_label_map(f.set, "label_map.pbtxt"));
    det_annotation_set *set = NULL;
    det_annotation_set_settings settings;
    det_annotation_set_settings_default(&settings);
    settings.encoding = "klingon";
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "`klingon` is not known",
                         det_annotation_set_create(f.context, &settings, &set));
    assert_null(set);
    own_set_close(&f);
}

/* --- found, changed, repaired --- */

static void findings_say_file_box_rule_and_severity(void **state)
{
    (void)state;
    struct own_set f;
    own_set_open(&f, "set_found");
    own_set_picture(&f, "a.jpg", 80, 40, 1);
    const size_t a = own_set_add_file(&f, "a.jpg", NULL),
                 gone = own_set_add_file(&f, "gone.jpg", NULL);
    own_set_add_box(&f, a, "cat", 0, .1, .1, .5, .5);
    own_set_add_box(&f, a, "cat", 0, .1, .1, 1.5, .5);
    own_set_add_box(&f, a, NULL, 0, .1, .1, .5, .5);
    own_set_add_box(&f, gone, "cat", 0, 0, 0, 1, 1);
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    const struct finding *missing = found_rule(&f.found, "image-missing");
    assert_int_equal(missing->image, gone);
    assert_int_equal(missing->severity, DET_SEVERITY_ERROR);
    assert_contains(missing->where, "gone.jpg");
    assert_int_equal(test_image_info(f.context, f.set, gone).usable, 0);
    assert_context_ok(f.context, det_annotation_set_check(f.set));
    const struct finding *outside = found_rule(&f.found, "box-outside");
    assert_int_equal(outside->image, a);
    assert_int_equal(outside->object, 1);
    assert_contains(outside->message, "a.jpg: object 1: box ymin 0.1");
    assert_contains(found_rule(&f.found, "class-missing")->message,
                    "a.jpg: object 2: has no class");
    assert_int_equal(det_annotation_set_finding_count(f.set, NULL, DET_SEVERITY_ERROR), 3);
    /* Twice the same: what a check found is counted once. */
    assert_context_ok(f.context, det_annotation_set_check(f.set));
    assert_int_equal(det_annotation_set_finding_count(f.set, "box-outside", DET_SEVERITY_WARNING),
                     1);
    char out[400];
    own_set_path(&f, out, "out");
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "nothing was written: 3 errors",
                         det_annotation_set_write(f.set, "csv", out, NULL, NULL));
    assert_int_equal(access(out, F_OK), -1);
    const char *json = NULL;
    assert_context_ok(f.context, det_annotation_set_findings_json(f.set, &json));
    assert_contains(json, "\"box-outside\": 1");
    det_annotation_repairs repairs = {.struct_size = sizeof repairs};
    assert_context_ok(f.context, det_annotation_set_repair(f.set, &repairs));
    assert_int_equal(repairs.images_dropped, 1);
    assert_int_equal(repairs.boxes_clipped, 1);
    assert_int_equal(repairs.boxes_dropped, 1);
    assert_context_ok(f.context, det_annotation_set_write(f.set, "csv", out, NULL, NULL));
    assert_context_ok(f.context, det_annotation_set_check(f.set));
    assert_int_equal(det_annotation_set_finding_count(f.set, "box-outside", DET_SEVERITY_WARNING),
                     0);
    own_set_close(&f);
}

static void a_set_may_be_changed_and_added_to(void **state)
{
    (void)state;
    struct own_set f;
    char out[400];
    own_set_open(&f, "set_changed");
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.jpg", i);
        own_set_picture(&f, name, 100, 50, (unsigned)i + 1);
        if (i == 3)
            break;
        own_set_add_file(&f, name, "train");
        own_set_add_box(&f, (size_t)i, "cat", 1, 0, 0, 10 + i, 20);
    }
    own_set_add_box(&f, 1, "dog", 0, .5, .5, 2, 2);
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    own_set_path(&f, out, "out");
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "1 error, the first: ",
                         det_annotation_set_write(f.set, "csv", out, NULL, NULL));
    /* One fewer, the same number, more. */
    det_annotation_object objects[3] = {own_object("dog", 1, 25, 50, 50, 100),
                                        own_object("cat", 0, 0, 0, .5, .5),
                                        own_object("cow", 0, .5, .5, 1, 1)};
    assert_context_ok(f.context, det_annotation_set_set_objects(f.set, 1, objects, 1));
    assert_int_equal(det_annotation_set_object_count(f.set), 3);
    det_annotation_object got = test_object_at(f.context, f.set, 1, 0);
    assert_string_equal(got.class_name, "dog");
    assert_box(&got, .5, .5, 1, 1, 1e-12);
    got = test_object_at(f.context, f.set, 2, 0);
    assert_box(&got, 0, 0, .24, .2, 1e-12);
    assert_context_ok(f.context, det_annotation_set_set_objects(f.set, 0, objects, 3));
    assert_int_equal(det_annotation_set_object_count(f.set), 5);
    got = test_object_at(f.context, f.set, 0, 2);
    assert_int_equal(got.class_id, 3);
    got = test_object_at(f.context, f.set, 2, 0);
    assert_box(&got, 0, 0, .24, .2, 1e-12);
    assert_context_ok(f.context, det_annotation_set_set_split(f.set, 2, "val"));
    assert_string_equal(test_image_info(f.context, f.set, 2).split, "val");
    /* More, after it was resolved; what was is as it was. */
    own_set_add_file(&f, "3.jpg", "val");
    own_set_add_box(&f, 0, "cow", 1, 0, 50, 25, 100);
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "resolve() first",
                         det_annotation_set_drop_image(f.set, 0));
    own_set_add_box(&f, 3, "cow", 1, 0, 0, 25, 100);
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    got = test_object_at(f.context, f.set, 0, 3);
    assert_box(&got, 0, .5, .5, 1, 1e-12);
    got = test_object_at(f.context, f.set, 0, 0);
    assert_box(&got, .5, .5, 1, 1, 1e-12);
    got = test_object_at(f.context, f.set, 3, 0);
    assert_box(&got, 0, 0, .5, 1, 1e-12);
    assert_context_ok(f.context, det_annotation_set_drop_image(f.set, 1));
    assert_int_equal(test_image_info(f.context, f.set, 1).usable, 0);
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "cannot be used",
                         det_annotation_set_set_objects(f.set, 1, objects, 1));
    det_annotations_written w = {.struct_size = sizeof w};
    assert_context_ok(f.context, det_annotation_set_write(f.set, "csv", out, NULL, &w));
    assert_int_equal(w.images, 3);
    assert_int_equal(w.objects, 6);
    assert_int_equal(f.found.count, 1); /* the one box-outside */
    own_set_close(&f);
}

/* Tables have no order of classes: resolving gives them one, once. What comes later is behind
 * it. */
static void ids_of_classes_stay(void **state)
{
    (void)state;
    struct own_set f;
    char path[400];
    own_set_open(&f, "set_classes");
    own_set_picture(&f, "a.jpg", 40, 40, 1);
    test_write_text(f.folder, "one.csv",
                    "filename,width,height,class,xmin,ymin,xmax,ymax\n"
                    "a.jpg,40,40,fox,0,0,9,9\na.jpg,40,40,bee,0,0,19,19\n");
    own_set_picture(&f, "b.jpg", 40, 40, 2);
    test_write_text(f.folder, "two.csv",
                    "filename,width,height,class,xmin,ymin,xmax,ymax\n"
                    "b.jpg,40,40,ant,0,0,9,9\nb.jpg,40,40,fox,0,0,19,19\n");
    own_set_path(&f, path, "one.csv");
    assert_context_ok(f.context, det_annotation_set_read(f.set, "csv", path, NULL));
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    assert_string_equal(det_annotation_set_class_name(f.set, 1), "bee");
    assert_string_equal(det_annotation_set_class_name(f.set, 2), "fox");
    assert_int_equal(test_object_at(f.context, f.set, 0, 0).class_id, 2);
    own_set_path(&f, path, "two.csv");
    assert_context_ok(f.context, det_annotation_set_read(f.set, "csv", path, NULL));
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    assert_string_equal(det_annotation_set_class_name(f.set, 2), "fox");
    assert_string_equal(det_annotation_set_class_name(f.set, 3), "ant");
    assert_int_equal(test_object_at(f.context, f.set, 0, 0).class_id, 2);
    assert_int_equal(test_object_at(f.context, f.set, 1, 0).class_id, 3);
    assert_int_equal(test_object_at(f.context, f.set, 1, 1).class_id, 2);
    own_set_close(&f);
}

/* A picture that a camera has turned: boxes are for what a viewer shows, from a file and from
 * memory. */
static void boxes_are_for_the_upright_picture(void **state)
{
    (void)state;
    struct own_set f;
    own_set_open(&f, "set_turned");
    size_t bytes = 0, turned_bytes = 0, position = 0;
    unsigned char *jpeg = test_make_jpeg(80, 40, 1, &bytes);
    uint8_t *turned = test_put_orientation(jpeg, bytes, 6, false, &turned_bytes);
    char path[400];
    own_set_path(&f, path, "t.jpg");
    test_write_bytes(path, turned, turned_bytes);
    own_set_add_file(&f, "t.jpg", NULL);
    const det_annotation_image memory = {
        .struct_size = sizeof memory, .data = turned, .bytes = turned_bytes, .name = "m.jpg"};
    assert_context_ok(f.context, det_annotation_set_add_image(f.set, &memory, &position));
    for (size_t i = 0; i < 2; i++)
        own_set_add_box(&f, i, "cat", 1, 20, 10, 60, 30);
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    for (size_t i = 0; i < 2; i++) {
        const det_annotation_image_info info = test_image_info(f.context, f.set, i);
        const det_annotation_object object = test_object_at(f.context, f.set, i, 0);
        assert_int_equal(info.width_px, 40);
        assert_int_equal(info.height_px, 80);
        assert_int_equal(info.orientation, 6);
        assert_box(&object, .25, .25, .75, .75, 1e-12);
    }
    free(turned);
    free(jpeg);
    own_set_close(&f);
}

int test_annotation_set(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_boxes_come_back_from_records),
        cmocka_unit_test(calls_that_make_no_sense_are_refused),
        cmocka_unit_test(findings_say_file_box_rule_and_severity),
        cmocka_unit_test(a_set_may_be_changed_and_added_to),
        cmocka_unit_test(ids_of_classes_stay),
        cmocka_unit_test(boxes_are_for_the_upright_picture),
    };
    return cmocka_run_group_tests_name("annotation_set", tests, NULL, NULL);
}
