/* det/dataset.h: a set that a program builds, reads, looks at, changes, checks, repairs, deals out,
 * counts and writes. */
#include <math.h>
#include <unistd.h>

#include "base/context.h"
#include "support/annotation_sets.h"
#include "support/pictures.h"
#include "support/records.h"
#include "support/run_tool.h"
#include "support/workspace.h"

enum { MOST_FINDINGS = 64 };

/* What was found, in its order. */
struct found {
    struct finding {
        char rule[32], message[300], where[200];
        det_severity severity;
        int64_t image, object, line;
    } all[MOST_FINDINGS];
    int count;
};

static void note(void *user, const det_annotation_finding *finding)
{
    struct found *found = user;
    assert_true(found->count < MOST_FINDINGS);
    assert_int_equal(finding->struct_size, sizeof *finding);
    struct finding *at = &found->all[found->count++];
    snprintf(at->rule, sizeof at->rule, "%s", finding->rule);
    snprintf(at->message, sizeof at->message, "%s", finding->message);
    snprintf(at->where, sizeof at->where, "%s", finding->where);
    at->severity = finding->severity;
    at->image = finding->image;
    at->object = finding->object;
    at->line = finding->line;
}

static const struct finding *find(const struct found *found, const char *rule)
{
    for (int i = 0; i < found->count; i++)
        if (strcmp(found->all[i].rule, rule) == 0)
            return &found->all[i];
    fail_msg("%s was not found", rule);
    return &found->all[0];
}

struct fixture {
    struct test_env t;
    det_context *context;
    det_annotation_set *set;
    struct found found;
    char folder[256];
};

static det_annotation_set *new_set(det_context *context, struct found *found)
{
    det_annotation_set *set = NULL;
    det_annotation_set_settings settings;
    det_annotation_set_settings_default(&settings);
    settings.on_finding = note;
    settings.user = found;
    assert_context_ok(context, det_annotation_set_create(context, &settings, &set));
    return set;
}

static void open_fixture(struct fixture *f, const char *name)
{
    *f = (struct fixture){0};
    test_env_init(&f->t);
    test_make_directory(f->folder, name);
    f->context = workspace_context(&f->t, 2);
    f->set = new_set(f->context, &f->found);
}

static void close_fixture(struct fixture *f)
{
    det_annotation_set_destroy(&f->set);
    det_context_destroy(&f->context);
    test_remove_tree(f->folder);
    test_env_check(&f->t);
}

static void path_in(const struct fixture *f, char path[400], const char *name)
{
    snprintf(path, 400, "%s/%s", f->folder, name);
}

/* A JPEG of this size in the folder. */
static void write_picture(const struct fixture *f, const char *name, int width, int height,
                          unsigned seed)
{
    char path[400];
    size_t bytes = 0;
    unsigned char *jpeg = test_make_jpeg(width, height, seed, &bytes);
    path_in(f, path, name);
    test_write_bytes(path, jpeg, bytes);
    free(jpeg);
}

static size_t add_file(struct fixture *f, const char *name, const char *split)
{
    char path[400];
    size_t position = 99;
    path_in(f, path, name);
    const det_annotation_image image = {.struct_size = sizeof image, .path = path, .split = split};
    assert_context_ok(f->context, det_annotation_set_add_image(f->set, &image, &position));
    return position;
}

static det_annotation_object object_of(const char *class_name, int in_pixels, double ymin,
                                       double xmin, double ymax, double xmax)
{
    det_annotation_object object;
    det_annotation_object_default(&object);
    object.class_name = class_name;
    object.in_pixels = in_pixels;
    object.box[0] = ymin;
    object.box[1] = xmin;
    object.box[2] = ymax;
    object.box[3] = xmax;
    return object;
}

static void add_box(struct fixture *f, size_t position, const char *class_name, int in_pixels,
                    double ymin, double xmin, double ymax, double xmax)
{
    const det_annotation_object object = object_of(class_name, in_pixels, ymin, xmin, ymax, xmax);
    assert_context_ok(f->context, det_annotation_set_add_object(f->set, position, &object));
}

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
    struct fixture f;
    open_fixture(&f, "set_own");
    write_picture(&f, "a.jpg", 80, 40, 1);
    write_picture(&f, "b.jpg", 50, 60, 2);
    size_t bytes = 0, third = 0;
    unsigned char *jpeg = test_make_jpeg(32, 32, 3, &bytes);
    const size_t first = add_file(&f, "a.jpg", "train"), second = add_file(&f, "b.jpg", "train");
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
    add_box(&f, first, "cat", 1, 10, 20, 30, 60);
    add_box(&f, third, "dog", 0, .25, .5, .75, 1);
    add_box(&f, first, "dog", 0, .5, 0, 1, .5);
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
        path_in(&f, folder, formats[i]);
        assert_context_ok(f.context, det_annotation_set_write(f.set, formats[i], folder, NULL, &w));
        assert_int_equal(w.images, 3);
        assert_int_equal(w.objects, 3);
        assert_int_equal(w.copied, 3);
        det_annotation_set *back = new_set(f.context, &found), *mine = f.set;
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
    close_fixture(&f);
}

static void calls_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, "set_refused");
    size_t position = 5;
    int32_t id = 5;
    const det_annotation_image nothing = {.struct_size = sizeof nothing};
    const det_annotation_image both = {
        .struct_size = sizeof both, .path = "a.jpg", .data = "x", .bytes = 1};
    const det_annotation_image up = {.struct_size = sizeof up, .path = "a.jpg", .split = "../up"};
    const det_annotation_object object = object_of("cat", 0, 0, 0, 1, 1);
    det_annotation_object other = object_of(NULL, 0, 0, 0, 1, 1);
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
    write_picture(&f, "a.jpg", 40, 40, 1);
    add_file(&f, "a.jpg", NULL);
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
    close_fixture(&f);
}

/* --- found, changed, repaired --- */

static void findings_say_file_box_rule_and_severity(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, "set_found");
    write_picture(&f, "a.jpg", 80, 40, 1);
    const size_t a = add_file(&f, "a.jpg", NULL), gone = add_file(&f, "gone.jpg", NULL);
    add_box(&f, a, "cat", 0, .1, .1, .5, .5);
    add_box(&f, a, "cat", 0, .1, .1, 1.5, .5);
    add_box(&f, a, NULL, 0, .1, .1, .5, .5);
    add_box(&f, gone, "cat", 0, 0, 0, 1, 1);
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    const struct finding *missing = find(&f.found, "image-missing");
    assert_int_equal(missing->image, gone);
    assert_int_equal(missing->severity, DET_SEVERITY_ERROR);
    assert_contains(missing->where, "gone.jpg");
    assert_int_equal(test_image_info(f.context, f.set, gone).usable, 0);
    assert_context_ok(f.context, det_annotation_set_check(f.set));
    const struct finding *outside = find(&f.found, "box-outside");
    assert_int_equal(outside->image, a);
    assert_int_equal(outside->object, 1);
    assert_contains(outside->message, "a.jpg: object 1: box ymin 0.1");
    assert_contains(find(&f.found, "class-missing")->message, "a.jpg: object 2: has no class");
    assert_int_equal(det_annotation_set_finding_count(f.set, NULL, DET_SEVERITY_ERROR), 3);
    /* Twice the same: what a check found is counted once. */
    assert_context_ok(f.context, det_annotation_set_check(f.set));
    assert_int_equal(det_annotation_set_finding_count(f.set, "box-outside", DET_SEVERITY_WARNING),
                     1);
    char out[400];
    path_in(&f, out, "out");
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
    close_fixture(&f);
}

static void a_set_may_be_changed_and_added_to(void **state)
{
    (void)state;
    struct fixture f;
    char out[400];
    open_fixture(&f, "set_changed");
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.jpg", i);
        write_picture(&f, name, 100, 50, (unsigned)i + 1);
        if (i == 3)
            break;
        add_file(&f, name, "train");
        add_box(&f, (size_t)i, "cat", 1, 0, 0, 10 + i, 20);
    }
    add_box(&f, 1, "dog", 0, .5, .5, 2, 2);
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    path_in(&f, out, "out");
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "1 error, the first: ",
                         det_annotation_set_write(f.set, "csv", out, NULL, NULL));
    /* One fewer, the same number, more. */
    det_annotation_object objects[3] = {object_of("dog", 1, 25, 50, 50, 100),
                                        object_of("cat", 0, 0, 0, .5, .5),
                                        object_of("cow", 0, .5, .5, 1, 1)};
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
    add_file(&f, "3.jpg", "val");
    add_box(&f, 0, "cow", 1, 0, 50, 25, 100);
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "resolve() first",
                         det_annotation_set_drop_image(f.set, 0));
    add_box(&f, 3, "cow", 1, 0, 0, 25, 100);
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
    close_fixture(&f);
}

/* Tables have no order of classes: resolving gives them one, once. What comes later is behind
 * it. */
static void ids_of_classes_stay(void **state)
{
    (void)state;
    struct fixture f;
    char path[400];
    open_fixture(&f, "set_classes");
    write_picture(&f, "a.jpg", 40, 40, 1);
    test_write_text(f.folder, "one.csv",
                    "filename,width,height,class,xmin,ymin,xmax,ymax\n"
                    "a.jpg,40,40,fox,0,0,9,9\na.jpg,40,40,bee,0,0,19,19\n");
    write_picture(&f, "b.jpg", 40, 40, 2);
    test_write_text(f.folder, "two.csv",
                    "filename,width,height,class,xmin,ymin,xmax,ymax\n"
                    "b.jpg,40,40,ant,0,0,9,9\nb.jpg,40,40,fox,0,0,19,19\n");
    path_in(&f, path, "one.csv");
    assert_context_ok(f.context, det_annotation_set_read(f.set, "csv", path, NULL));
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    assert_string_equal(det_annotation_set_class_name(f.set, 1), "bee");
    assert_string_equal(det_annotation_set_class_name(f.set, 2), "fox");
    assert_int_equal(test_object_at(f.context, f.set, 0, 0).class_id, 2);
    path_in(&f, path, "two.csv");
    assert_context_ok(f.context, det_annotation_set_read(f.set, "csv", path, NULL));
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    assert_string_equal(det_annotation_set_class_name(f.set, 2), "fox");
    assert_string_equal(det_annotation_set_class_name(f.set, 3), "ant");
    assert_int_equal(test_object_at(f.context, f.set, 0, 0).class_id, 2);
    assert_int_equal(test_object_at(f.context, f.set, 1, 0).class_id, 3);
    assert_int_equal(test_object_at(f.context, f.set, 1, 1).class_id, 2);
    close_fixture(&f);
}

/* A picture that a camera has turned: boxes are for what a viewer shows, from a file and from
 * memory. */
static void boxes_are_for_the_upright_picture(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, "set_turned");
    size_t bytes = 0, turned_bytes = 0, position = 0;
    unsigned char *jpeg = test_make_jpeg(80, 40, 1, &bytes);
    uint8_t *turned = test_put_orientation(jpeg, bytes, 6, false, &turned_bytes);
    char path[400];
    path_in(&f, path, "t.jpg");
    test_write_bytes(path, turned, turned_bytes);
    add_file(&f, "t.jpg", NULL);
    const det_annotation_image memory = {
        .struct_size = sizeof memory, .data = turned, .bytes = turned_bytes, .name = "m.jpg"};
    assert_context_ok(f.context, det_annotation_set_add_image(f.set, &memory, &position));
    for (size_t i = 0; i < 2; i++)
        add_box(&f, i, "cat", 1, 20, 10, 60, 30);
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
    close_fixture(&f);
}

/* --- splits, figures, a sheet --- */

static void sets_are_dealt_out_counted_and_shown(void **state)
{
    (void)state;
    struct fixture f;
    char path[400];
    open_fixture(&f, "set_dealt");
    path_in(&f, path, "all.tfrecord");
    test_write_records(det_context_env(f.context), path, 30);
    assert_context_ok(f.context, det_annotation_set_read(f.set, "tfrecord", path, NULL));
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    static const char *const names[] = {"train", "val"};
    static const double shares[] = {2, 1};
    const char *const bad[] = {"train", "../val"};
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "`../val` is no name",
                         det_annotation_set_deal(f.set, bad, shares, 2, 1));
    assert_context_ok(f.context, det_annotation_set_deal(f.set, names, shares, 2, 1));
    det_annotation_split_stats all = {.struct_size = sizeof all}, train = all, val = all;
    assert_context_ok(f.context, det_annotation_set_split_stats(f.set, NULL, &all));
    assert_context_ok(f.context, det_annotation_set_split_stats(f.set, "train", &train));
    assert_context_ok(f.context, det_annotation_set_split_stats(f.set, "val", &val));
    assert_int_equal(all.images, 30);
    assert_int_equal(train.images, 20);
    assert_int_equal(val.images, 10);
    assert_int_equal(train.objects + val.objects, all.objects);
    assert_int_equal(all.images_without_objects, 10);
    assert_near(all.objects_per_image.mean, 1, 1e-12);
    assert_near(all.width_px.least, 40, 0);
    for (int32_t id = 1; id <= 2; id++) {
        det_annotation_class_stats in_all = {.struct_size = sizeof in_all}, in_val = in_all;
        assert_context_ok(f.context, det_annotation_set_class_stats(f.set, NULL, id, &in_all));
        assert_context_ok(f.context, det_annotation_set_class_stats(f.set, "val", id, &in_val));
        assert_near((double)in_val.images, (double)in_all.images / 3, 1);
        assert_int_equal(in_all.small + in_all.medium + in_all.large, in_all.objects);
    }
    assert_context_fails(
        f.context, DET_STATUS_INVALID_ARGUMENT, "class id 3",
        det_annotation_set_class_stats(
            f.set, NULL, 3,
            &(det_annotation_class_stats){.struct_size = sizeof(det_annotation_class_stats)}));
    const char *text = NULL;
    assert_context_ok(f.context, det_annotation_set_stats_table(f.set, &text));
    assert_contains(text, "train");
    assert_null(strstr(text, "det-data"));
    assert_context_ok(f.context, det_annotation_set_stats_json(f.set, &text));
    assert_contains(text, "\"images_without_boxes\": 10");
    det_annotation_sheet_settings sheet;
    det_annotation_sheet_settings_default(&sheet);
    sheet.count = 4;
    sheet.columns = 2;
    sheet.cell_px = 64;
    int32_t height = 0, width = 0;
    path_in(&f, path, "sheet.png");
    assert_context_ok(f.context,
                      det_annotation_set_write_sheet(f.set, path, &sheet, &height, &width));
    assert_int_equal(width, 146);
    assert_int_equal(height, 182);
    det_picture *picture = NULL;
    assert_context_ok(f.context, det_picture_read(f.context, path, &picture));
    assert_int_equal(det_picture_view(picture).width, 146);
    det_picture_destroy(&picture);
    sheet.columns = 0;
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "columns 0",
                         det_annotation_set_write_sheet(f.set, path, &sheet, NULL, NULL));
    close_fixture(&f);
}

/* --- nothing is overwritten --- */

static void what_was_read_is_not_overwritten(void **state)
{
    (void)state;
    struct fixture f;
    char path[400], other[400];
    size_t before = 0, after = 0;
    open_fixture(&f, "set_guard");
    path_in(&f, path, "train.tfrecord");
    test_write_records(det_context_env(f.context), path, 6);
    char *records = test_read_bytes(path, &before);
    assert_context_ok(f.context, det_annotation_set_read(f.set, "tfrecord", path, NULL));
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "would be overwritten",
                         det_annotation_set_write(f.set, "tfrecord", f.folder, NULL, NULL));
    char *same = test_read_bytes(path, &after);
    assert_int_equal(before, after);
    assert_memory_equal(records, same, before);
    free(records);
    free(same);
    path_in(&f, other, "label_map.pbtxt");
    assert_int_equal(access(other, F_OK), -1); /* nothing was begun */
    /* The same output twice is no fault of the second time. */
    path_in(&f, other, "out");
    assert_context_ok(f.context, det_annotation_set_write(f.set, "tfrecord", other, NULL, NULL));
    assert_context_ok(f.context, det_annotation_set_write(f.set, "tfrecord", other, NULL, NULL));
    /* A table is not read again when it would be replaced. */
    write_picture(&f, "b.jpg", 40, 40, 78);
    test_write_text(f.folder, "train.csv",
                    "filename,width,height,class,xmin,ymin,xmax,ymax\nb.jpg,40,40,fox,0,0,9,9\n");
    path_in(&f, path, "train.csv");
    det_annotation_set *table = new_set(f.context, &f.found);
    assert_context_ok(f.context, det_annotation_set_read(table, "csv", path, NULL));
    assert_context_ok(f.context, det_annotation_set_resolve(table));
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "would be overwritten",
                         det_annotation_set_write(table, "csv", f.folder, NULL, NULL));
    det_annotation_set_destroy(&table);
    path_in(&f, path, "images");
    assert_int_equal(access(path, F_OK), -1);
    /* A sheet on a picture of the set. */
    write_picture(&f, "a.jpg", 40, 40, 77);
    const size_t position = add_file(&f, "a.jpg", NULL);
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    assert_context_fails(
        f.context, DET_STATUS_INVALID_ARGUMENT, "would be overwritten",
        det_annotation_set_write_sheet(f.set, test_image_info(f.context, f.set, position).path,
                                       NULL, NULL, NULL));
    close_fixture(&f);
}

/* --- readers of programs, label maps --- */

/* A list of images, one a line, each with one cat in all of it; "?" is an entry that cannot be
 * read, "!" what ends the reading. */
static det_status read_list(void *user, det_annotation_set *set, const char *path,
                            const char *split)
{
    const struct fixture *f = user;
    char name[100];
    int line = 0;
    det_status status = DET_OK;
    FILE *list = fopen(path, "r");
    assert_non_null(list);
    while (status == DET_OK && fscanf(list, "%99s", name) == 1) {
        char where[500];
        size_t position = 0;
        snprintf(where, sizeof where, "%s: line %d", path, ++line);
        if (name[0] == '!') {
            status = det_context_fail(f->context, DET_STATUS_PARSE, where);
            continue;
        }
        if (name[0] == '?') {
            status = det_annotation_set_add_finding(set, "unreadable", SIZE_MAX, where);
            continue;
        }
        const det_annotation_image image = {.struct_size = sizeof image,
                                            .name = name,
                                            .folder = f->folder,
                                            .where = where,
                                            .split = split};
        const det_annotation_object object = object_of("cat", 0, 0, 0, 1, 1);
        status = det_annotation_set_add_image(set, &image, &position);
        if (status == DET_OK)
            status = det_annotation_set_add_object(set, position, &object);
    }
    fclose(list);
    return status;
}

static void programs_bring_readers(void **state)
{
    (void)state;
    struct fixture f;
    char path[400];
    open_fixture(&f, "set_reader");
    write_picture(&f, "a.jpg", 40, 30, 1);
    test_write_text(f.folder, "list.txt", "a.jpg\n?\nnowhere.jpg\n");
    path_in(&f, path, "list.txt");
    assert_context_ok(f.context, det_annotation_set_add_reader(f.set, "list", read_list, &f));
    assert_context_ok(f.context, det_annotation_set_read(f.set, "list", path, "mine"));
    assert_contains(find(&f.found, "unreadable")->message, "list.txt: line 2");
    assert_contains(find(&f.found, "unreadable")->where, "list.txt");
    assert_contains(find(&f.found, "image-missing")->message, "list.txt: line 3: image `nowhere");
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    assert_int_equal(test_image_info(f.context, f.set, 0).usable, 1);
    assert_string_equal(test_image_info(f.context, f.set, 0).split, "mine");
    assert_int_equal(test_image_info(f.context, f.set, 1).usable, 0);
    /* What it says itself when it fails by itself, in one line fit to be shown. */
    test_write_text(f.folder, "broken.txt", "a.jpg\n!\n");
    path_in(&f, path, "broken.txt");
    assert_context_fails(f.context, DET_STATUS_PARSE, "broken.txt: line 2",
                         det_annotation_set_read(f.set, "list", path, NULL));
    assert_int_equal(det_context_fail(f.context, DET_STATUS_FINISHED, "a\nb"), DET_STATUS_FINISHED);
    assert_string_equal(det_context_error(f.context), "a\\nb");
    close_fixture(&f);
}

static void label_maps_fix_the_classes(void **state)
{
    (void)state;
    struct fixture f;
    struct workspace w;
    char path[400];
    int32_t id = 9;
    workspace_make(&w, "set_map_workspace");
    open_fixture(&f, "set_map");
    test_write_text(f.folder, "bad.pbtxt", "item { id: 0 name: 'cat' }");
    path_in(&f, path, "bad.pbtxt");
    assert_context_ok(f.context, det_annotation_set_load_label_map(f.set, path));
    assert_int_equal(find(&f.found, "label-map")->severity, DET_SEVERITY_FATAL);
    assert_string_equal(det_context_error(f.context), "");
    det_annotation_set_destroy(&f.set);
    f.set = new_set(f.context, &f.found);
    snprintf(path, sizeof path, "%s/label_map.pbtxt", w.directory);
    assert_context_ok(f.context, det_annotation_set_load_label_map(f.set, path));
    det_pipeline_config *config = NULL;
    assert_context_ok(f.context, det_pipeline_config_load(f.context, w.config, &config));
    assert_context_ok(f.context, det_annotation_set_check_config(f.set, config));
    det_pipeline_config_destroy(&config);
    assert_int_equal(f.found.count, 1);
    assert_context_fails(f.context, DET_STATUS_MISMATCH, "\"cow\" is not in the label map",
                         det_annotation_set_add_class(f.set, "cow", &id));
    assert_int_equal(id, 0);
    assert_context_ok(f.context, det_annotation_set_add_class(f.set, "dog", &id));
    assert_int_equal(id, 2);
    write_picture(&f, "a.jpg", 40, 30, 1);
    add_file(&f, "a.jpg", NULL);
    add_box(&f, 0, "cow", 0, 0, 0, 1, 1);
    assert_contains(find(&f.found, "class-unknown")->message, "class \"cow\"");
    close_fixture(&f);
    workspace_remove(&w);
}

static void rules_have_names(void **state)
{
    (void)state;
    det_severity severity = DET_SEVERITY_FATAL;
    size_t count = 0;
    for (; det_annotation_rule(count, &severity) != NULL; count++)
        assert_true(severity >= DET_SEVERITY_WARNING && severity <= DET_SEVERITY_FATAL);
    assert_int_equal(count, DET_RULE_COUNT);
    assert_null(det_annotation_rule(SIZE_MAX, NULL));
}

/* --- no memory --- */

/* A context with the failing allocator, two pictures (one in memory), a box that is repaired,
 * records. */
static det_status use_all(struct det_env *env, void *argument)
{
    const struct fixture *f = argument;
    det_context *context = NULL;
    det_context_settings settings;
    det_annotation_set *set = NULL;
    det_annotation_repairs repairs = {.struct_size = sizeof repairs};
    size_t position = 0, bytes = 0;
    char path[400], out[400];
    static const char *const names[] = {"a", "b"};
    static const double shares[] = {1, 1};
    const char *text = NULL;
    det_context_settings_default(&settings);
    settings.allocator = &env->allocator;
    settings.threads = 1;
    path_in(f, path, "a.jpg");
    path_in(f, out, "out");
    char *data = test_read_bytes(path, &bytes);
    const det_annotation_image file = {.struct_size = sizeof file, .path = path};
    const det_annotation_image memory = {
        .struct_size = sizeof memory, .data = data, .bytes = bytes, .name = "m.jpg"};
    const det_annotation_object object = object_of("cat", 1, 0, 0, 10, 10),
                                outside = object_of("dog", 0, 0, 0, 2, 2);
    det_status status = det_context_create(&context, &settings);
#define NEXT(call)        \
    if (status == DET_OK) \
    status = (call)
    NEXT(det_annotation_set_create(context, NULL, &set));
    NEXT(det_annotation_set_add_image(set, &file, &position));
    NEXT(det_annotation_set_add_object(set, position, &object));
    NEXT(det_annotation_set_add_image(set, &memory, &position));
    NEXT(det_annotation_set_add_object(set, position, &outside));
    NEXT(det_annotation_set_resolve(set));
    /* A picture that there was no memory for became a finding: not sound, but told. */
    if (status == DET_OK && det_annotation_set_finding_count(set, NULL, DET_SEVERITY_ERROR) > 0)
        status = DET_STATUS_OUT_OF_MEMORY;
    NEXT(det_annotation_set_set_objects(set, 0, &object, 1));
    NEXT(det_annotation_set_repair(set, &repairs));
    NEXT(det_annotation_set_deal(set, names, shares, 2, 1));
    NEXT(det_annotation_set_stats_json(set, &text));
    NEXT(det_annotation_set_write(set, "tfrecord", out, NULL, NULL));
#undef NEXT
    det_annotation_set_destroy(&set);
    det_context_destroy(&context);
    free(data);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, "set_memory");
    write_picture(&f, "a.jpg", 40, 30, 1);
    test_each_allocation_fails(use_all, &f);
    close_fixture(&f);
}

/* --- the example --- */

static void the_example_makes_records(void **state)
{
    (void)state;
    static char out[100000];
    struct fixture f;
    open_fixture(&f, "set_example");
    char list[8000], line[500];
    size_t length = 0;
    for (int i = 0; i < 10; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.jpg", i);
        write_picture(&f, name, 60, 40, (unsigned)i + 1);
        length += (size_t)snprintf(list + length, sizeof list - length, "%s/%s 5 10 30 %d %s\n",
                                   f.folder, name, 20 + i, i % 2 == 0 ? "cat" : "big dog");
    }
    test_write_text(f.folder, "list.txt", list);
    assert_int_equal(run_tool(out, sizeof out, "../examples/make_dataset %s/list.txt %s/out",
                              f.folder, f.folder),
                     0);
    assert_contains(out, "10 images, 10 boxes in 2 classes");
    assert_int_equal(run_tool(out, sizeof out, "det-data check %s/out", f.folder), 0);
    assert_contains(out, "0 errors, 0 warnings in 10 images with 10 boxes");
    static const char *const bad[] = {"5 10 x", "x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(line, sizeof line, "%s/0.jpg %s\n", f.folder, bad[i]);
        test_write_text(f.folder, "bad.txt", line);
        assert_int_equal(run_tool(out, sizeof out, "../examples/make_dataset %s/bad.txt %s/bad",
                                  f.folder, f.folder),
                         1);
        assert_contains(out, "line 1: `");
        assert_contains(out, "nothing was written: ");
    }
    close_fixture(&f);
}

int test_annotation_set(void);
int test_annotation_set(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_boxes_come_back_from_records),
        cmocka_unit_test(calls_that_make_no_sense_are_refused),
        cmocka_unit_test(findings_say_file_box_rule_and_severity),
        cmocka_unit_test(a_set_may_be_changed_and_added_to),
        cmocka_unit_test(ids_of_classes_stay),
        cmocka_unit_test(boxes_are_for_the_upright_picture),
        cmocka_unit_test(sets_are_dealt_out_counted_and_shown),
        cmocka_unit_test(what_was_read_is_not_overwritten),
        cmocka_unit_test(programs_bring_readers),
        cmocka_unit_test(label_maps_fix_the_classes),
        cmocka_unit_test(rules_have_names),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_example_makes_records),
    };
    return cmocka_run_group_tests_name("annotation_set", tests, NULL, NULL);
}
