/* det/dataset.h: sources of every format, read by a program: folders, files, archives, bytes in
 * memory; what is said of the format, and of libraries that are missing. */
#include <math.h>
#include <unistd.h>

#include "support/data_files.h"
#include "support/mem.h"
#include "support/pictures.h"
#include "support/records.h"
#include "support/run_tool.h"
#include "support/workspace.h"

#define VOC(name)                                                                         \
    "<annotation><filename>" name "</filename><size><width>40</width><height>30</height>" \
    "</size><object><name>cat</name><bndbox><xmin>4</xmin><ymin>3</ymin><xmax>24</xmax>"  \
    "<ymax>18</ymax></bndbox></object></annotation>"
#define CVAT                                                                              \
    "<annotations><version>1.1</version><image id=\"0\" name=\"a.jpg\" subset=\"train\" " \
    "width=\"40\" height=\"30\"><box label=\"cat\" xtl=\"4\" ytl=\"3\" xbr=\"24\" "       \
    "ybr=\"18\"/></image></annotations>"
#define COCO                                                                                   \
    "{\"images\": [{\"id\": 1, \"file_name\": \"a.jpg\", \"width\": 40, \"height\": 30}], "    \
    "\"annotations\": [{\"id\": 1, \"image_id\": 1, \"category_id\": 1, \"bbox\": [4, 3, 20, " \
    "15]}], \"categories\": [{\"id\": 1, \"name\": \"cat\"}]}"
#define CSV "filename,class,xmin,ymin,xmax,ymax\na.jpg,cat,4,3,24,18\n"

struct fixture {
    struct test_env t;
    det_context *context;
    det_annotation_set *set;
    char folder[256];
};

static void new_set(struct fixture *f)
{
    det_annotation_set_destroy(&f->set);
    assert_context_ok(f->context, det_annotation_set_create(f->context, NULL, &f->set));
}

static void open_fixture(struct fixture *f, const char *name)
{
    *f = (struct fixture){0};
    test_env_init(&f->t);
    test_make_directory(f->folder, name);
    f->context = workspace_context(&f->t, 2);
    new_set(f);
}

static void close_fixture(struct fixture *f)
{
    det_annotation_set_destroy(&f->set);
    det_context_destroy(&f->context);
    test_remove_tree(f->folder);
    test_env_check(&f->t);
}

static bool is_missing(const char *library)
{
    const char *what = NULL, *missing = NULL;
    for (size_t i = 0; (what = det_annotation_library(i, &missing)) != NULL; i++)
        if (library != NULL && strcmp(what, library) == 0 && missing != NULL) {
            print_message("skipped: %s: %s\n", what, missing);
            return true;
        }
    return false;
}

/* One image with the box above, of a cat, in this split. */
static void assert_the_box(struct fixture *f, const char *what, const char *split)
{
    det_annotation_object object;
    static const double box[4] = {3. / 30, 4. / 40, 18. / 30, 24. / 40};
    assert_context_ok(f->context, det_annotation_set_resolve(f->set));
    assert_context_ok(f->context, det_annotation_set_check(f->set));
    if (det_annotation_set_finding_count(f->set, NULL, DET_SEVERITY_ERROR) > 0 ||
        det_annotation_set_image_count(f->set) != 1 || det_annotation_set_object_count(f->set) != 1)
        fail_msg("%s: %zu images, %zu boxes", what, det_annotation_set_image_count(f->set),
                 det_annotation_set_object_count(f->set));
    det_annotation_object_default(&object);
    assert_context_ok(f->context, det_annotation_set_object(f->set, 0, 0, &object));
    assert_string_equal(object.class_name, "cat");
    for (int c = 0; c < 4; c++)
        assert_true(fabs(object.box[c] - box[c]) < 1e-6);
    assert_string_equal(det_annotation_set_split_name(f->set, 0), split);
}

static void every_source_is_seen_and_read(void **state)
{
    (void)state;
    static const struct {
        const char *library, *format, *split;
        struct data_file files[5];
    } cases[] = {
        {"XML",
         "voc",
         "val",
         {{"Annotations/a.xml", VOC("a.jpg")},
          {"JPEGImages/a.jpg", NULL},
          {"ImageSets/Main/val.txt", "a\n"},
          {NULL, NULL}}},
        {"XML", "cvat-xml", "train", {{"annotations.xml", CVAT}, {"a.jpg", NULL}, {NULL, NULL}}},
        {"YAML",
         "yolo",
         "val",
         {{"data.yaml", "val: images\nnames: [cat]\n"},
          {"images/a.jpg", NULL},
          {"labels/a.txt", "0 .35 .35 .5 .5\n"},
          {NULL, NULL}}},
        {NULL,
         "yolo",
         "data",
         {{"classes.txt", "cat\n"}, {"a.jpg", NULL}, {"a.txt", "0 .35 .35 .5 .5\n"}, {NULL, NULL}}},
        {NULL,
         "coco",
         "train",
         {{"train/_annotations.coco.json", COCO}, {"train/a.jpg", NULL}, {NULL, NULL}}},
        {NULL, "csv", "set", {{"set.csv", CSV}, {"a.jpg", NULL}, {NULL, NULL}}},
    };
    struct fixture f;
    char path[400];
    open_fixture(&f, "sources");
    assert_null(det_annotation_set_format(f.set));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (is_missing(cases[i].library))
            continue;
        snprintf(path, sizeof path, "%s/%zu", f.folder, i);
        data_files_write(path, cases[i].files);
        for (int named = 0; named < 2; named++) {
            new_set(&f);
            assert_context_ok(f.context, det_annotation_set_read(
                                             f.set, named ? cases[i].format : NULL, path, NULL));
            assert_string_equal(det_annotation_set_format(f.set), cases[i].format);
            assert_the_box(&f, cases[i].format, cases[i].split);
        }
        if (is_missing("zip"))
            continue;
        snprintf(path, sizeof path, "%s/%zu.zip", f.folder, i);
        data_files_zip(path, "export/", cases[i].files, ZIP_DEFLATED);
        new_set(&f);
        assert_context_ok(f.context, det_annotation_set_read(f.set, NULL, path, "mine"));
        assert_string_equal(det_annotation_set_format(f.set), cases[i].format);
        assert_the_box(&f, path, "mine");
    }
    close_fixture(&f);
}

static void what_is_no_source_is_said(void **state)
{
    (void)state;
    static const struct data_file two[] = {
        {"a.json", COCO}, {"b.csv", CSV}, {"a.jpg", NULL}, {NULL, NULL}};
    static const struct data_file none[] = {{"README.txt", "hello"}, {NULL, NULL}};
    struct fixture f;
    char path[400];
    open_fixture(&f, "no_sources");
    snprintf(path, sizeof path, "%s/two", f.folder);
    data_files_write(path, two);
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "holds coco (",
                         det_annotation_set_read(f.set, NULL, path, NULL));
    assert_context_ok(f.context, det_annotation_set_read(f.set, "csv", path, NULL));
    snprintf(path, sizeof path, "%s/none", f.folder);
    data_files_write(path, none);
    assert_context_fails(f.context, DET_STATUS_NOT_FOUND, "nothing in this folder holds boxes",
                         det_annotation_set_read(f.set, NULL, path, NULL));
    assert_context_fails(f.context, DET_STATUS_NOT_FOUND, "holds no file of format voc",
                         det_annotation_set_read(f.set, "voc", path, NULL));
    assert_context_fails(f.context, DET_STATUS_NOT_FOUND, "there is no such file",
                         det_annotation_set_read(f.set, NULL, "no/such.thing", NULL));
    assert_context_fails(f.context, DET_STATUS_UNSUPPORTED, "format `auto` has no reader here",
                         det_annotation_set_read(f.set, "auto", path, NULL));
    close_fixture(&f);
}

static void formats_have_names(void **state)
{
    (void)state;
    static const char *const formats[] = {"tfrecord", "voc", "coco", "yolo", "cvat-xml", "csv"};
    static const char *const libraries[] = {"XML", "YAML", "zip"};
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(det_annotation_format(i), formats[i]);
    assert_null(det_annotation_format(6));
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(det_annotation_library(i, NULL), libraries[i]);
    assert_null(det_annotation_library(3, NULL));
}

/* --- label maps --- */

static void label_maps_are_found(void **state)
{
    (void)state;
    static const char map[] = "item { id: 1 name: 'dog' } item { id: 2 name: 'cat' }";
    static const struct data_file own[] = {{"label_map.pbtxt", map}, {"a.csv", CSV}, {NULL, NULL}};
    static const struct data_file roboflow[] = {{"train/Pets.tfrecord", "x"},
                                                {"train/Pets_label_map.pbtxt", map},
                                                {"train/Other_label_map.pbtxt", map},
                                                {NULL, NULL}};
    static const struct data_file none[] = {{"Other_label_map.pbtxt", map}, {NULL, NULL}};
    static const struct {
        const struct data_file *files;
        const char *source, *found;
    } cases[] = {{own, "", "label_map.pbtxt"},
                 {own, "a.csv", "label_map.pbtxt"},
                 {roboflow, "", "train/Pets_label_map.pbtxt"},
                 {roboflow, "train/Pets.tfrecord", "train/Pets_label_map.pbtxt"},
                 {none, "", NULL}};
    struct fixture f;
    char root[400], source[500];
    const char *found = NULL;
    open_fixture(&f, "label_maps");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(root, sizeof root, "%s/%zu", f.folder, i);
        data_files_write(root, cases[i].files);
        snprintf(source, sizeof source, "%s/%s", root, cases[i].source);
        new_set(&f);
        assert_context_ok(f.context, det_annotation_set_find_label_map(f.set, source, &found));
        assert_int_equal(found != NULL, cases[i].found != NULL);
        if (found == NULL)
            continue;
        assert_string_equal(found + strlen(root) + 1, cases[i].found);
        assert_context_ok(f.context, det_annotation_set_load_label_map(f.set, found));
        assert_string_equal(det_annotation_set_class_name(f.set, 1), "dog");
    }
    close_fixture(&f);
}

/* --- memory --- */

static void write_image(const struct fixture *f, const char *name)
{
    const struct data_file files[] = {{name, NULL}, {NULL, NULL}};
    data_files_write(f->folder, files);
}

/* Bytes that are gone when the call is over. */
static det_status read_memory(struct fixture *f, const char *format, const char *name,
                              const void *data, size_t bytes)
{
    char *copy = malloc(bytes + 1);
    assert_non_null(copy);
    memcpy(copy, data, bytes);
    const det_status status =
        det_annotation_set_read_memory(f->set, format, name, copy, bytes, NULL);
    memset(copy, 0x55, bytes);
    free(copy);
    return status;
}

static void texts_in_memory_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *library, *format, *name, *text, *split;
    } cases[] = {{NULL, "coco", "instances_val.json", COCO, "val"},
                 {NULL, "csv", "table.csv", CSV, "table"},
                 {"XML", "cvat-xml", "annotations.xml", CVAT, "train"},
                 {"XML", "voc", "a.xml", VOC("a.jpg"), "mine"}};
    struct fixture f;
    open_fixture(&f, "memory");
    write_image(&f, "a.jpg");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (is_missing(cases[i].library))
            continue;
        for (int named = 0; named < 2; named++) {
            new_set(&f);
            assert_context_ok(f.context, det_annotation_set_add_image_folder(f.set, f.folder));
            if (strcmp(cases[i].split, "mine") == 0)
                assert_context_ok(
                    f.context, det_annotation_set_read_memory(f.set, named ? cases[i].format : NULL,
                                                              cases[i].name, cases[i].text,
                                                              strlen(cases[i].text), "mine"));
            else
                assert_context_ok(f.context,
                                  read_memory(&f, named ? cases[i].format : NULL, cases[i].name,
                                              cases[i].text, strlen(cases[i].text)));
            assert_string_equal(det_annotation_set_format(f.set), cases[i].format);
            assert_the_box(&f, cases[i].name, cases[i].split);
        }
    }
    /* Messages begin with the name; a fault of the text is a finding, as of a file. */
    new_set(&f);
    assert_context_ok(f.context, read_memory(&f, "coco", "x.json", "{", 1));
    assert_int_equal(det_annotation_set_finding_count(f.set, "source", DET_SEVERITY_FATAL), 1);
    assert_context_ok(f.context, read_memory(&f, "csv", "y.csv", "", 0));
    assert_int_equal(det_annotation_set_finding_count(f.set, "source", DET_SEVERITY_FATAL), 2);
    assert_context_fails(f.context, DET_STATUS_NOT_FOUND, "blob: its format is not plain",
                         read_memory(&f, NULL, "blob", "x", 1));
    close_fixture(&f);
}

/* Pictures stay in the bytes: they are decoded, shown and written after the call. */
static void records_in_memory_are_read(void **state)
{
    (void)state;
    struct fixture f;
    char path[400], out[400];
    size_t bytes = 0, other_bytes = 0;
    det_annotation_image_info info = {.struct_size = sizeof info};
    open_fixture(&f, "memory_records");
    snprintf(path, sizeof path, "%s/r.tfrecord", f.folder);
    snprintf(out, sizeof out, "%s/out", f.folder);
    test_write_records(&f.t.env, path, 3);
    char *data = test_read_bytes(path, &bytes);
    assert_context_ok(f.context, det_annotation_set_read(f.set, NULL, path, NULL));
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    const size_t images = det_annotation_set_image_count(f.set),
                 objects = det_annotation_set_object_count(f.set);
    assert_int_equal(unlink(path), 0);
    new_set(&f);
    assert_context_ok(f.context, read_memory(&f, "tfrecord", "train-00000-of-00001", data, bytes));
    /* One more of the same name: both keep their pictures. */
    test_write_records(&f.t.env, path, 4);
    char *other = test_read_bytes(path, &other_bytes);
    assert_int_equal(unlink(path), 0);
    assert_context_ok(f.context,
                      read_memory(&f, "tfrecord", "train-00000-of-00001", other, other_bytes));
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    assert_true(det_annotation_set_image_count(f.set) == 2 * images + 1);
    assert_true(det_annotation_set_object_count(f.set) > objects);
    for (size_t i = 0; i < 2 * images + 1; i++) {
        assert_context_ok(f.context, det_annotation_set_image(f.set, i, &info));
        assert_int_equal(info.usable, 1);
        assert_string_equal(info.split, "train");
        assert_null(info.path);
    }
    det_annotation_repairs repairs = {.struct_size = sizeof repairs};
    det_annotations_written written = {.struct_size = sizeof written};
    assert_context_ok(f.context, det_annotation_set_repair(f.set, &repairs));
    assert_context_ok(f.context, det_annotation_set_write(f.set, "csv", out, NULL, &written));
    assert_true(written.images > images);
    /* Damage is told as of a file. */
    new_set(&f);
    data[bytes / 2] ^= 0x55;
    assert_context_ok(f.context, read_memory(&f, "tfrecord", "x.tfrecord", data, bytes));
    assert_true(det_annotation_set_finding_count(f.set, "unreadable", DET_SEVERITY_ERROR) > 0);
    free(other);
    free(data);
    close_fixture(&f);
}

static void archives_in_memory_are_read(void **state)
{
    (void)state;
    static const struct data_file files[] = {{"a.csv", CSV}, {"a.jpg", NULL}, {NULL, NULL}};
    struct fixture f;
    char path[400];
    size_t bytes = 0;
    if (is_missing("zip"))
        return;
    open_fixture(&f, "memory_zip");
    snprintf(path, sizeof path, "%s/set.zip", f.folder);
    data_files_zip(path, "", files, ZIP_DEFLATED);
    char *data = test_read_bytes(path, &bytes);
    assert_int_equal(unlink(path), 0);
    assert_context_ok(f.context, read_memory(&f, NULL, "upload.zip", data, bytes));
    assert_string_equal(det_annotation_set_format(f.set), "csv");
    assert_the_box(&f, "upload.zip", "a");
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT,
                         "upload.zip: an archive of that name was read before",
                         read_memory(&f, NULL, "upload.zip", data, bytes));
    new_set(&f);
    assert_context_fails(f.context, DET_STATUS_CORRUPT,
                         "upload.zip: ", read_memory(&f, NULL, "upload.zip", data, bytes / 2));
    assert_context_fails(f.context, DET_STATUS_NOT_FOUND,
                         "upload.zip: ", read_memory(&f, NULL, "upload.zip", "", 0));
    free(data);
    close_fixture(&f);
}

struct packed {
    char *records, *archive;
    size_t record_bytes, archive_bytes;
    const struct fixture *f;
};

static det_status read_both(struct det_env *env, void *argument)
{
    const struct packed *p = argument;
    det_context *context = NULL;
    det_context_settings settings;
    det_annotation_set *set = NULL;
    det_context_settings_default(&settings);
    settings.allocator = &env->allocator;
    settings.threads = 1;
    det_status status = det_context_create(&context, &settings);
    if (status == DET_OK)
        status = det_annotation_set_create(context, NULL, &set);
    if (status == DET_OK)
        status = det_annotation_set_read_memory(set, NULL, "a.tfrecord", p->records,
                                                p->record_bytes, NULL);
    if (status == DET_OK && p->archive != NULL)
        status =
            det_annotation_set_read_memory(set, NULL, "a.zip", p->archive, p->archive_bytes, NULL);
    det_annotation_set_destroy(&set);
    det_context_destroy(&context);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const struct data_file files[] = {{"a.csv", CSV}, {"a.jpg", NULL}, {NULL, NULL}};
    struct fixture f;
    struct packed p = {.f = &f};
    char path[400];
    open_fixture(&f, "memory_fails");
    snprintf(path, sizeof path, "%s/r.tfrecord", f.folder);
    test_write_records(&f.t.env, path, 2);
    p.records = test_read_bytes(path, &p.record_bytes);
    if (!is_missing("zip")) {
        snprintf(path, sizeof path, "%s/set.zip", f.folder);
        data_files_zip(path, "", files, ZIP_DEFLATED);
        p.archive = test_read_bytes(path, &p.archive_bytes);
    }
    test_each_allocation_fails(read_both, &p);
    free(p.records);
    free(p.archive);
    close_fixture(&f);
}

/* --- a program's own reader in place of the library's --- */

/* Tables whose first line is a remark: the rest is the library's. */
static det_status read_remarked(void *user, det_annotation_set *set, const char *path,
                                const char *split)
{
    size_t bytes = 0;
    char *data = test_read_bytes(path, &bytes);
    const char *table = memchr(data, '\n', bytes);
    ++*(int *)user;
    assert_non_null(table);
    const det_status status = det_annotation_set_read_memory(
        set, "csv", path, table + 1, bytes - (size_t)(table + 1 - data), split);
    free(data);
    return status;
}

static det_status pass_on(void *user, det_annotation_set *set, const char *path, const char *split)
{
    ++*(int *)user;
    return det_annotation_set_read(set, "csv", path, split);
}

static void own_readers_have_the_ones_before(void **state)
{
    (void)state;
    static const struct data_file files[] = {
        {"mine.csv", "# a remark\n" CSV}, {"a.jpg", NULL}, {NULL, NULL}};
    struct fixture f;
    char path[400];
    int calls[2] = {0, 0};
    open_fixture(&f, "own_reader");
    data_files_write(f.folder, files);
    snprintf(path, sizeof path, "%s/mine.csv", f.folder);
    /* The last one has the one before it, which has the library's. */
    assert_context_ok(f.context,
                      det_annotation_set_add_reader(f.set, "csv", read_remarked, &calls[0]));
    assert_context_ok(f.context, det_annotation_set_add_reader(f.set, "csv", pass_on, &calls[1]));
    assert_context_ok(f.context, det_annotation_set_read(f.set, "csv", path, NULL));
    assert_int_equal(calls[0], 1);
    assert_int_equal(calls[1], 1);
    assert_string_equal(det_annotation_set_format(f.set), "csv");
    assert_the_box(&f, path, "mine");
    close_fixture(&f);
}

/* --- libraries that are missing when a file needs them --- */

static void missing_libraries_are_named(void **state)
{
    (void)state;
    static const struct data_file files[] = {{"a.xml", VOC("a.jpg")},
                                             {"a.jpg", NULL},
                                             {"yolo/data.yaml", "names: [cat]\n"},
                                             {"yolo/a.txt", "0 .35 .35 .5 .5\n"},
                                             {"yolo/a.jpg", NULL},
                                             {NULL, NULL}};
    static const struct data_file table[] = {{"a.csv", CSV}, {"a.jpg", NULL}, {NULL, NULL}};
    static const struct {
        const char *library, *file, *source, *says, *package;
    } cases[] = {{"XML", "libexpat.so.1", "a.xml", "a.xml: XML: ", "libexpat1"},
                 {"YAML", "libyaml-0.so.2", "yolo", "yolo/data.yaml: YAML: ", "libyaml-0-2"},
                 {"zip", "libzip.so.4", "set.zip", "set.zip: a zip archive: ", "libzip4"}};
    static char out[20000];
    struct fixture f;
    char folder[400], path[500];
    open_fixture(&f, "missing");
    data_files_write(f.folder, files);
    snprintf(path, sizeof path, "%s/set.zip", f.folder);
    data_files_zip(path, "", table, ZIP_SOUND);
    for (int i = 0; i < 3; i++) {
        if (is_missing(cases[i].library))
            continue;
        /* A file that is no library, in front of the right one. */
        const struct data_file broken[] = {
            {cases[i].file, ""}, {i == 2 ? "libzip.so.5" : cases[i].file, ""}, {NULL, NULL}};
        snprintf(folder, sizeof folder, "%s/broken%d", f.folder, i);
        data_files_write(folder, broken);
        assert_int_equal(
            run_tool(out, sizeof out, "det-data check %s/%s", f.folder, cases[i].source), 0);
        setenv("LD_LIBRARY_PATH", folder, 1);
        assert_int_equal(
            run_tool(out, sizeof out, "det-data check %s/%s", f.folder, cases[i].source), 1);
        assert_contains(out, cases[i].says);
        assert_contains(out, i == 2 ? "libzip.so." : cases[i].file);
        assert_contains(out, cases[i].package);
        assert_int_equal(run_tool(out, sizeof out, "det-data %s", "--help"), 0);
        snprintf(path, sizeof path, "%s: no: ", cases[i].library);
        assert_contains(out, path);
        assert_contains(out, cases[i].package);
        unsetenv("LD_LIBRARY_PATH");
    }
    close_fixture(&f);
}

int test_annotation_sources(void);
int test_annotation_sources(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_source_is_seen_and_read),
        cmocka_unit_test(what_is_no_source_is_said),
        cmocka_unit_test(formats_have_names),
        cmocka_unit_test(label_maps_are_found),
        cmocka_unit_test(texts_in_memory_are_read),
        cmocka_unit_test(records_in_memory_are_read),
        cmocka_unit_test(archives_in_memory_are_read),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(own_readers_have_the_ones_before),
        cmocka_unit_test(missing_libraries_are_named),
    };
    return cmocka_run_group_tests_name("annotation_sources", tests, NULL, NULL);
}
