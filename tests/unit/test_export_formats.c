/* det/export_formats.h: whatever format: files in memory and in a folder, settings that are
 * refused, folders and disks that cannot be written, no memory. What is in the files has tests of
 * its own. */
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/context.h"
#include "export/export.h"
#include "support/disk.h"
#include "support/formula.h"
#include "support/io.h"
#include "support/workspace.h"

enum { SIDE = 64, CLASSES = 2, STEP = 7 };

struct fixture {
    struct test_env t;
    det_context *context;
    det_model *model;
    char folder[256];
};

/* In the training form, of which every format can be made. */
static void make_model(struct fixture *f)
{
    static const char *const names[CLASSES] = {"cat", "d\xc3\xb6g \"2\""};
    struct det_env *env = det_context_env(f->context);
    struct det_model_spec spec;
    formula_spec(&spec, SIDE, CLASSES);
    assert_ok(env, det_model_create(env, &spec, false, names, &f->model));
    formula_params(&f->model->graph, f->model->owned);
    f->model->step = STEP;
}

static void open_fixture(struct fixture *f, const char *name)
{
    *f = (struct fixture){0};
    test_env_init(&f->t);
    test_make_directory(f->folder, name);
    f->context = workspace_context(&f->t, 1);
    make_model(f);
}

static void close_fixture(struct fixture *f)
{
    det_model_destroy(&f->model);
    det_context_destroy(&f->context);
    test_remove_tree(f->folder);
    test_env_check(&f->t);
}

/* --- what is made --- */

static void assert_written(struct fixture *f, const det_export *exported, const char *folder)
{
    det_export_file file = {.struct_size = sizeof file};
    for (size_t i = 0; i < det_export_file_count(exported); i++) {
        char path[600];
        size_t bytes = 0;
        assert_context_ok(f->context, det_export_file_at(f->context, exported, i, &file));
        snprintf(path, sizeof path, "%s/%s", folder, file.name);
        char *data = test_read_bytes(path, &bytes);
        assert_int_equal(bytes, file.bytes);
        assert_memory_equal(data, file.data, bytes);
        free(data);
    }
}

static void check_export(struct fixture *f, const det_export_format *format,
                         const det_export *exported)
{
    det_export_file file = {.struct_size = sizeof file};
    det_export_proof proof = {.struct_size = sizeof proof};
    char folder[400];
    assert_true(det_export_file_count(exported) > 0);
    for (size_t i = 0; i < det_export_file_count(exported); i++) {
        assert_context_ok(f->context, det_export_file_at(f->context, exported, i, &file));
        assert_true(file.bytes > 0);
        assert_null(strchr(file.name, '/'));
    }
    assert_context_fails(
        f->context, DET_STATUS_INVALID_ARGUMENT, "there are",
        det_export_file_at(f->context, exported, det_export_file_count(exported), &file));
    const char *signature = det_export_signature(exported);
    assert_true(signature[0] != '\0' && signature[strlen(signature) - 1] == '\n');
    assert_context_ok(f->context, det_export_proof_of(f->context, exported, &proof));
    assert_int_equal(proof.proved, strcmp(format->name, "det") != 0);
    assert_true(proof.encodings <= 1e-4 && proof.scores <= 1e-4);
    /* Into a folder that is not there, then over what is there. */
    snprintf(folder, sizeof folder, "%s/new/%s", f->folder, format->name);
    for (int time = 0; time < 2; time++) {
        assert_context_ok(f->context, det_export_write(f->context, exported, folder));
        assert_written(f, exported, folder);
    }
}

static void every_format_is_made_and_written(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, "export_formats");
    for (size_t i = 0; det_export_format_at(i) != NULL; i++) {
        const det_export_format *format = det_export_format_at(i);
        det_export *exported = NULL;
        assert_true(format->struct_size >= sizeof *format);
        assert_contains(format->files, "NAME");
        assert_true(format->description[0] != '\0');
        assert_context_ok(f.context,
                          det_export_create(f.context, f.model, format->name, NULL, &exported));
        check_export(&f, format, exported);
        det_export_destroy(&exported);
        assert_null(exported);
    }
    close_fixture(&f);
}

static void files_are_called_what_is_asked_for(void **state)
{
    (void)state;
    struct fixture f;
    det_export_settings settings;
    open_fixture(&f, "export_names");
    det_export_settings_default(&settings);
    settings.name = "w\xc3\xbcrfel v1.2";
    for (size_t i = 0; det_export_format_at(i) != NULL; i++) {
        det_export *exported = NULL;
        det_export_file file = {.struct_size = sizeof file};
        assert_context_ok(f.context,
                          det_export_create(f.context, f.model, det_export_format_at(i)->name,
                                            &settings, &exported));
        assert_context_ok(f.context, det_export_file_at(f.context, exported, 0, &file));
        assert_memory_equal(file.name, settings.name, strlen(settings.name));
        det_export_destroy(&exported);
    }
    close_fixture(&f);
}

/* The export outlives model and context, and .det bytes are a model. */
static void what_is_made_needs_nothing_else(void **state)
{
    (void)state;
    struct fixture f;
    det_export *exported = NULL;
    det_model *read = NULL;
    det_export_file file = {.struct_size = sizeof file};
    open_fixture(&f, "export_alone");
    assert_context_ok(f.context, det_export_create(f.context, f.model, "det", NULL, &exported));
    det_model_destroy(&f.model);
    assert_context_ok(f.context, det_export_file_at(f.context, exported, 0, &file));
    assert_string_equal(file.name, "model.det");
    assert_context_ok(f.context,
                      det_model_load_memory(f.context, file.name, file.data, file.bytes, &read));
    assert_int_equal(det_model_is_folded(read), 1);
    assert_int_equal(det_model_step(read), STEP);
    assert_string_equal(det_model_class_name(read, 2), "d\xc3\xb6g \"2\"");
    det_model_destroy(&read);
    det_context_destroy(&f.context);
    det_export_destroy(&exported);
    close_fixture(&f);
}

/* --- what is refused --- */

static void wrong_settings_are_told(void **state)
{
    (void)state;
    struct fixture f;
    det_export *exported = NULL;
    open_fixture(&f, "export_settings");
    det_export_settings good;
    det_export_settings_default(&good);
#define REFUSED(text, ...)                                                                 \
    do {                                                                                   \
        det_export_settings s = good;                                                      \
        __VA_ARGS__;                                                                       \
        assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, text,                 \
                             det_export_create(f.context, f.model, "det", &s, &exported)); \
        assert_null(exported);                                                             \
    } while (0)
    REFUSED("outputs 5", s.outputs = (det_export_outputs)5);
    REFUSED("outputs -1", s.outputs = (det_export_outputs)-1);
    REFUSED("input 6", s.input = (det_export_input)6);
    REFUSED("precision 2", s.precision = (det_export_precision)2);
    REFUSED("batch -1", s.batch = -1);
    REFUSED("max_detections -2", s.max_detections = -2);
    REFUSED("score_threshold 1.5", s.score_threshold = 1.5f);
    REFUSED("iou_threshold 2", s.iou_threshold = 2);
    REFUSED("score_threshold nan", s.score_threshold = (float)NAN);
    REFUSED("name `a/b`", s.name = "a/b");
    REFUSED("name ``", s.name = "");
#undef REFUSED
    assert_context_fails(f.context, DET_STATUS_UNSUPPORTED, "export format `pb`: expected one of",
                         det_export_create(f.context, f.model, "pb", NULL, &exported));
    assert_null(exported);
    for (size_t i = 0; det_export_format_at(i) != NULL; i++)
        assert_contains(det_context_error(f.context), det_export_format_at(i)->name);
    close_fixture(&f);
}

/* .det is what it is; its thresholds are chosen. */
static void a_det_file_keeps_its_thresholds(void **state)
{
    (void)state;
    struct fixture f;
    det_export *exported = NULL;
    det_model *read = NULL;
    det_nms_settings nms = {.struct_size = sizeof nms};
    det_export_file file = {.struct_size = sizeof file};
    det_export_settings settings;
    open_fixture(&f, "export_det");
    det_export_settings_default(&settings);
    settings.score_threshold = .25f;
    settings.iou_threshold = .5f;
    settings.max_detections = 17;
    assert_context_ok(f.context,
                      det_export_create(f.context, f.model, "det", &settings, &exported));
    assert_context_ok(f.context, det_export_file_at(f.context, exported, 0, &file));
    assert_context_ok(f.context,
                      det_model_load_memory(f.context, file.name, file.data, file.bytes, &read));
    assert_context_ok(f.context, det_model_nms_settings(f.context, read, &nms));
    assert_near(nms.score_threshold, .25, 0);
    assert_near(nms.iou_threshold, .5, 0);
    assert_int_equal(nms.max_detections, 17);
    det_model_destroy(&read);
    det_export_destroy(&exported);
    settings.precision = DET_EXPORT_FLOAT16;
    assert_context_fails(f.context, DET_STATUS_UNSUPPORTED, "format det has no",
                         det_export_create(f.context, f.model, "det", &settings, &exported));
    close_fixture(&f);
}

/* --- where it cannot be written --- */

static void assert_empty(struct fixture *f, const char *folder)
{
    struct det_env *env = det_context_env(f->context);
    struct det_path_list list = {0};
    assert_ok(env, det_list_directory(env, folder, &list));
    if (list.count > 0)
        fail_msg("%s was left behind", list.paths[0]);
    det_path_list_free(env, &list);
}

static void nothing_half_written_is_left(void **state)
{
    (void)state;
    struct fixture f;
    char folder[400], file[400];
    open_fixture(&f, "export_full");
    snprintf(file, sizeof file, "%s/file", f.folder);
    assert_ok(&f.t.env, det_write_file(&f.t.env, file, "x", 1));
    for (size_t i = 0; det_export_format_at(i) != NULL; i++) {
        const char *format = det_export_format_at(i)->name;
        det_export *exported = NULL;
        snprintf(folder, sizeof folder, "%s/%s", f.folder, format);
        assert_int_equal(mkdir(folder, 0755), 0);
        assert_context_ok(f.context,
                          det_export_create(f.context, f.model, format, NULL, &exported));
        disk_watch(folder, NULL, NULL);
        disk_set_full(true);
        assert_context_fails(f.context, DET_STATUS_NO_SPACE, "No space left",
                             det_export_write(f.context, exported, folder));
        disk_set_full(false);
        disk_unwatch();
        assert_empty(&f, folder);
        /* Where there is a file there can be no folder. */
        assert_int_not_equal(det_export_write(f.context, exported, file), DET_OK);
        assert_contains(det_context_error(f.context), "/file: exists and is not a folder");
        det_export_destroy(&exported);
    }
    close_fixture(&f);
}

/* The second file's name is a folder's: the first is not there either. */
static void all_files_come_or_none(void **state)
{
    (void)state;
    struct fixture f;
    char folder[400], path[700];
    open_fixture(&f, "export_all");
    for (size_t i = 0; det_export_format_at(i) != NULL; i++) {
        const char *format = det_export_format_at(i)->name;
        det_export *exported = NULL;
        det_export_file file = {.struct_size = sizeof file};
        assert_context_ok(f.context,
                          det_export_create(f.context, f.model, format, NULL, &exported));
        snprintf(folder, sizeof folder, "%s/%s", f.folder, format);
        assert_context_ok(
            f.context,
            det_export_file_at(f.context, exported, det_export_file_count(exported) - 1, &file));
        snprintf(path, sizeof path, "%s/%s", folder, file.name);
        assert_ok(&f.t.env, det_make_directories(&f.t.env, path));
        assert_int_not_equal(det_export_write(f.context, exported, folder), DET_OK);
        assert_contains(det_context_error(f.context), file.name);
        assert_int_equal(rmdir(path), 0);
        assert_empty(&f, folder);
        det_export_destroy(&exported);
    }
    close_fixture(&f);
}

/* --- no memory --- */

struct made {
    const det_model *model;
    const char *format, *folder;
};

/* With a context of its own, whose allocator is the one that fails. Each format's tests have its
 * proof, which runs a network. */
static det_status make_and_write(struct det_env *env, void *argument)
{
    const struct made *m = argument;
    det_context *context = NULL;
    det_export *exported = NULL;
    det_context_settings settings;
    det_export_settings exporting;
    det_context_settings_default(&settings);
    settings.threads = 1;
    settings.cpu = "ref";
    settings.allocator = &env->allocator;
    det_export_settings_default(&exporting);
    exporting.verify = 0;
    det_status status = DET_OK;
    DET_TRY(det_context_create(&context, &settings));
    DET_TRY(det_export_create(context, m->model, m->format, &exporting, &exported));
    DET_TRY(det_export_write(context, exported, m->folder));
fail:
    det_export_destroy(&exported);
    det_context_destroy(&context);
    return status;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, "export_memory");
    for (size_t i = 0; det_export_format_at(i) != NULL; i++) {
        struct made m = {f.model, det_export_format_at(i)->name, f.folder};
        test_each_allocation_fails(make_and_write, &m);
    }
    close_fixture(&f);
}

int test_export_formats(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_is_made_and_written),
        cmocka_unit_test(files_are_called_what_is_asked_for),
        cmocka_unit_test(what_is_made_needs_nothing_else),
        cmocka_unit_test(wrong_settings_are_told),
        cmocka_unit_test(a_det_file_keeps_its_thresholds),
        cmocka_unit_test(nothing_half_written_is_left),
        cmocka_unit_test(all_files_come_or_none),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("export_formats", tests, NULL, NULL);
}
