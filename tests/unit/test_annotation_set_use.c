/* det/dataset.h: a program's set dealt out, counted, shown and written; readers and label maps of
 * its own; no memory. */
#include <unistd.h>

#include "base/context.h"
#include "support/annotation_sets.h"
#include "support/own_set.h"
#include "support/records.h"
#include "support/run_tool.h"

/* --- splits, figures, a sheet --- */

static void sets_are_dealt_out_counted_and_shown(void **state)
{
    (void)state;
    struct own_set f;
    char path[400];
    own_set_open(&f, "set_dealt");
    own_set_path(&f, path, "all.tfrecord");
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
    own_set_path(&f, path, "sheet.png");
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
    own_set_close(&f);
}

/* --- nothing is overwritten --- */

static void what_was_read_is_not_overwritten(void **state)
{
    (void)state;
    struct own_set f;
    char path[400], other[400];
    size_t before = 0, after = 0;
    own_set_open(&f, "set_guard");
    own_set_path(&f, path, "train.tfrecord");
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
    own_set_path(&f, other, "label_map.pbtxt");
    assert_int_equal(access(other, F_OK), -1); /* nothing was begun */
    /* The same output twice is no fault of the second time. */
    own_set_path(&f, other, "out");
    assert_context_ok(f.context, det_annotation_set_write(f.set, "tfrecord", other, NULL, NULL));
    assert_context_ok(f.context, det_annotation_set_write(f.set, "tfrecord", other, NULL, NULL));
    /* A table is not read again when it would be replaced. */
    own_set_picture(&f, "b.jpg", 40, 40, 78);
    test_write_text(f.folder, "train.csv",
                    "filename,width,height,class,xmin,ymin,xmax,ymax\nb.jpg,40,40,fox,0,0,9,9\n");
    own_set_path(&f, path, "train.csv");
    det_annotation_set *table = own_set_create(f.context, &f.found);
    assert_context_ok(f.context, det_annotation_set_read(table, "csv", path, NULL));
    assert_context_ok(f.context, det_annotation_set_resolve(table));
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "would be overwritten",
                         det_annotation_set_write(table, "csv", f.folder, NULL, NULL));
    det_annotation_set_destroy(&table);
    own_set_path(&f, path, "images");
    assert_int_equal(access(path, F_OK), -1);
    /* A sheet on a picture of the set. */
    own_set_picture(&f, "a.jpg", 40, 40, 77);
    const size_t position = own_set_add_file(&f, "a.jpg", NULL);
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    assert_context_fails(
        f.context, DET_STATUS_INVALID_ARGUMENT, "would be overwritten",
        det_annotation_set_write_sheet(f.set, test_image_info(f.context, f.set, position).path,
                                       NULL, NULL, NULL));
    own_set_close(&f);
}

/* --- readers of programs, label maps --- */

/* A list of images, one a line, each with one cat in all of it; "?" is an entry that cannot be
 * read, "!" what ends the reading. */
static det_status read_list(void *user, det_annotation_set *set, const char *path,
                            const char *split)
{
    const struct own_set *f = user;
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
        const det_annotation_object object = own_object("cat", 0, 0, 0, 1, 1);
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
    struct own_set f;
    char path[400];
    own_set_open(&f, "set_reader");
    own_set_picture(&f, "a.jpg", 40, 30, 1);
    test_write_text(f.folder, "list.txt", "a.jpg\n?\nnowhere.jpg\n");
    own_set_path(&f, path, "list.txt");
    assert_context_ok(f.context, det_annotation_set_add_reader(f.set, "list", read_list, &f));
    assert_context_ok(f.context, det_annotation_set_read(f.set, "list", path, "mine"));
    assert_contains(found_rule(&f.found, "unreadable")->message, "list.txt: line 2");
    assert_contains(found_rule(&f.found, "unreadable")->where, "list.txt");
    assert_contains(found_rule(&f.found, "image-missing")->message,
                    "list.txt: line 3: image `nowhere");
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    assert_int_equal(test_image_info(f.context, f.set, 0).usable, 1);
    assert_string_equal(test_image_info(f.context, f.set, 0).split, "mine");
    assert_int_equal(test_image_info(f.context, f.set, 1).usable, 0);
    /* What it says itself when it fails by itself, in one line fit to be shown. */
    test_write_text(f.folder, "broken.txt", "a.jpg\n!\n");
    own_set_path(&f, path, "broken.txt");
    assert_context_fails(f.context, DET_STATUS_PARSE, "broken.txt: line 2",
                         det_annotation_set_read(f.set, "list", path, NULL));
    assert_int_equal(det_context_fail(f.context, DET_STATUS_FINISHED, "a\nb"), DET_STATUS_FINISHED);
    assert_string_equal(det_context_error(f.context), "a\\nb");
    own_set_close(&f);
}

static void label_maps_fix_the_classes(void **state)
{
    (void)state;
    struct own_set f;
    struct workspace w;
    char path[400];
    int32_t id = 9;
    workspace_make(&w, "set_map_workspace");
    own_set_open(&f, "set_map");
    test_write_text(f.folder, "bad.pbtxt", "item { id: 0 name: 'cat' }");
    own_set_path(&f, path, "bad.pbtxt");
    assert_context_ok(f.context, det_annotation_set_load_label_map(f.set, path));
    assert_int_equal(found_rule(&f.found, "label-map")->severity, DET_SEVERITY_FATAL);
    assert_string_equal(det_context_error(f.context), "");
    det_annotation_set_destroy(&f.set);
    f.set = own_set_create(f.context, &f.found);
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
    own_set_picture(&f, "a.jpg", 40, 30, 1);
    own_set_add_file(&f, "a.jpg", NULL);
    own_set_add_box(&f, 0, "cow", 0, 0, 0, 1, 1);
    assert_contains(found_rule(&f.found, "class-unknown")->message, "class \"cow\"");
    own_set_close(&f);
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
    const struct own_set *f = argument;
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
    own_set_path(f, path, "a.jpg");
    own_set_path(f, out, "out");
    char *data = test_read_bytes(path, &bytes);
    const det_annotation_image file = {.struct_size = sizeof file, .path = path};
    const det_annotation_image memory = {
        .struct_size = sizeof memory, .data = data, .bytes = bytes, .name = "m.jpg"};
    const det_annotation_object object = own_object("cat", 1, 0, 0, 10, 10),
                                outside = own_object("dog", 0, 0, 0, 2, 2);
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
    struct own_set f;
    own_set_open(&f, "set_memory");
    own_set_picture(&f, "a.jpg", 40, 30, 1);
    test_each_allocation_fails(use_all, &f);
    own_set_close(&f);
}

/* --- the example --- */

static void the_example_makes_records(void **state)
{
    (void)state;
    static char out[100000];
    struct own_set f;
    own_set_open(&f, "set_example");
    char list[8000], line[500];
    size_t length = 0;
    for (int i = 0; i < 10; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.jpg", i);
        own_set_picture(&f, name, 60, 40, (unsigned)i + 1);
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
    own_set_close(&f);
}

int test_annotation_set_use(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_dealt_out_counted_and_shown),
        cmocka_unit_test(what_was_read_is_not_overwritten),
        cmocka_unit_test(programs_bring_readers),
        cmocka_unit_test(label_maps_fix_the_classes),
        cmocka_unit_test(rules_have_names),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_example_makes_records),
    };
    return cmocka_run_group_tests_name("annotation_set_use", tests, NULL, NULL);
}
