/* Files that somebody changes while they are in use, and what is no file at all: errors, and never
 * a signal, a wait or other content than what was checked. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "formats/tf_bundle.h"
#include "formats/tfrecord.h"
#include "support/bundle_writer.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/records.h"
#include "support/run_tool.h"
#include "support/workspace.h"

struct folder {
    struct test_env t;
    struct det_env *env;
    char directory[256], path[300], other[300];
};

static void open_folder(struct folder *f)
{
    test_env_init(&f->t);
    f->env = &f->t.env;
    test_make_directory(f->directory, "live");
    snprintf(f->path, sizeof f->path, "%s/file", f->directory);
    snprintf(f->other, sizeof f->other, "%s/other", f->directory);
}

static void close_folder(struct folder *f)
{
    test_remove_tree(f->directory);
    test_env_check(&f->t);
}

/* As `cp` does: the same file has other bytes then. */
static void write_in_place(const char *path, const char *data, size_t bytes)
{
    const int descriptor = open(path, O_WRONLY | O_TRUNC);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, data, bytes), bytes);
    close(descriptor);
}

/* --- models --- */

static void detect(det_context *context, const det_model *model, det_detection found[100],
                   size_t *count)
{
    static const uint8_t grey[64 * 64 * 3];
    const det_image_view view = {.pixels = grey, .width = 64, .height = 64};
    det_detector_settings settings;
    det_detector *detector = NULL;
    const det_detection *list = NULL;
    det_detector_settings_default(&settings);
    settings.score_threshold = 0;
    assert_context_ok(context, det_detector_create(context, model, &settings, &detector));
    assert_context_ok(context, det_detector_run(detector, &view, &list, count));
    assert_true(*count > 0 && *count <= 100);
    memcpy(found, list, *count * sizeof *list);
    det_detector_destroy(&detector);
}

static void a_loaded_model_needs_no_file(void **state)
{
    (void)state;
    struct folder f;
    size_t bytes = 0;
    open_folder(&f);
    char *const whole = test_read_bytes("data/vehicles.det", &bytes);
    char *const others = malloc(bytes);
    assert_non_null(others);
    memcpy(others, whole, bytes);
    memset(others + bytes / 2, 0x3c, bytes / 2); /* other weights, finite ones */
    for (int change = 0; change < 4; change++) {
        det_context *context = NULL;
        det_model *model = NULL;
        det_detection before[100], after[100];
        size_t count_before = 0, count_after = 0;
        char exported[320];
        assert_ok(f.env, det_write_file(f.env, f.path, whole, bytes));
        assert_int_equal(det_context_create(&context, NULL), DET_OK);
        assert_context_ok(context, det_model_load(context, f.path, &model));
        detect(context, model, before, &count_before);
        if (change == 0)
            assert_int_equal(truncate(f.path, 0), 0);
        else if (change == 1)
            write_in_place(f.path, others, bytes);
        else if (change == 2)
            assert_int_equal(truncate(f.path, (off_t)bytes / 2), 0);
        else
            assert_int_equal(unlink(f.path), 0);
        detect(context, model, after, &count_after);
        assert_int_equal(count_before, count_after);
        assert_memory_equal(before, after, count_before * sizeof *before);
        snprintf(exported, sizeof exported, "%s/exported.det", f.directory);
        assert_context_ok(context, det_model_export(context, model, exported));
        det_model_destroy(&model);
        det_context_destroy(&context);
    }
    free(others);
    free(whole);
    close_folder(&f);
}

/* --- records --- */

static det_status get(struct folder *f, const struct det_record_set *set, size_t index)
{
    struct det_record record = {0};
    const det_status status = det_record_set_get(f->env, set, index, &record);
    assert_int_equal(record.bytes > 0, status == DET_OK);
    det_record_free(f->env, &record);
    return status;
}

static void records_that_change(void **state)
{
    (void)state;
    struct folder f;
    struct det_record_set set;
    size_t bytes = 0, other_bytes = 0;
    open_folder(&f);
    const char *const patterns[] = {f.path};
    test_write_records(f.env, f.path, 6);
    char *const whole = test_read_bytes(f.path, &bytes);
    assert_ok(f.env, det_record_set_open(f.env, patterns, 1, &set));
    assert_ok(f.env, get(&f, &set, 5));
    assert_int_equal(truncate(f.path, (off_t)bytes / 2), 0);
    assert_ok(f.env, get(&f, &set, 0));
    assert_fails(f.env, DET_STATUS_IO, "was cut off while it was in use", get(&f, &set, 5));
    assert_int_equal(truncate(f.path, 0), 0);
    assert_fails(f.env, DET_STATUS_IO, "was cut off while it was in use", get(&f, &set, 0));
    /* The same again is the same. */
    write_in_place(f.path, whole, bytes);
    assert_ok(f.env, get(&f, &set, 5));
    /* Sound records, but others. */
    whole[12 + 40] ^= 1;
    const uint32_t crc = det_crc32c_mask(
        det_crc32c(0, whole + 12, (size_t)(uint8_t)whole[0] + 256 * (size_t)(uint8_t)whole[1]));
    memcpy(whole + 12 + (uint8_t)whole[0] + 256 * (uint8_t)whole[1], &crc, 4);
    write_in_place(f.path, whole, bytes);
    assert_fails(f.env, DET_STATUS_CORRUPT, "record 0 at byte 0: data CRC mismatch",
                 get(&f, &set, 0));
    assert_contains(f.env->error, "changed since it was opened");
    assert_ok(f.env, get(&f, &set, 1));
    det_record_set_close(f.env, &set);
    /* What comes by renaming is another file: the open one stays. */
    test_write_records(f.env, f.path, 6);
    assert_ok(f.env, det_record_set_open(f.env, patterns, 1, &set));
    test_write_records(f.env, f.other, 2);
    assert_int_equal(rename(f.other, f.path), 0);
    for (size_t i = 0; i < 6; i++)
        assert_ok(f.env, get(&f, &set, i));
    det_record_set_close(f.env, &set);
    char *const other = test_read_bytes(f.path, &other_bytes);
    assert_true(other_bytes < bytes);
    free(other);
    free(whole);
    close_folder(&f);
}

/* More files than a process may have open. */
static void more_files_than_descriptors(void **state)
{
    (void)state;
    enum { FILES = 600 };
    struct folder f;
    struct det_record_set set;
    struct rlimit old, few;
    char path[400], pattern[300];
    open_folder(&f);
    test_write_records(f.env, f.path, 1);
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/r-%05d-of-%05d", f.directory, i, FILES);
        assert_int_equal(link(f.path, path), 0);
    }
    snprintf(pattern, sizeof pattern, "%s/r@%d", f.directory, FILES);
    const char *const patterns[] = {pattern};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = old;
    few.rlim_cur = 400;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_ok(f.env, det_record_set_open(f.env, patterns, 1, &set));
    assert_int_equal(set.record_count, FILES);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < FILES; i++)
            assert_ok(f.env, get(&f, &set, i));
    det_record_set_close(f.env, &set);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    close_folder(&f);
}

static void a_training_whose_records_are_cut_off(void **state)
{
    (void)state;
    struct workspace w;
    det_context *context = NULL;
    det_pipeline_config *config = NULL;
    det_trainer *trainer = NULL;
    det_trainer_settings settings;
    det_step_report report = {.struct_size = sizeof report};
    char path[400];
    det_status status = DET_OK;
    workspace_make(&w, "live-training");
    assert_int_equal(det_context_create(&context, NULL), DET_OK);
    det_trainer_settings_default(&settings);
    assert_context_ok(context, det_pipeline_config_load(context, w.config, &config));
    assert_context_ok(context, det_trainer_create(context, config, &settings, &trainer));
    assert_context_ok(context, det_trainer_step(trainer, &report));
    snprintf(path, sizeof path, "%s/train.tfrecord", w.directory);
    assert_int_equal(truncate(path, 100), 0);
    for (int i = 0; i < 10 && status == DET_OK; i++)
        status = det_trainer_step(trainer, &report);
    assert_int_equal(status, DET_STATUS_IO);
    assert_contains(det_context_error(context), "train.tfrecord: was cut off while it was in use");
    det_trainer_destroy(&trainer);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
    workspace_remove(&w);
}

/* --- checkpoints --- */

static void a_checkpoint_that_is_cut_off(void **state)
{
    (void)state;
    struct folder f;
    struct det_tf_bundle *bundle = NULL;
    static const float values[4] = {1, 2, 3, 4};
    float read[4];
    char data[400];
    open_folder(&f);
    const struct test_bundle_tensor tensor = {.key = "a/.ATTRIBUTES/VARIABLE_VALUE",
                                              .dtype = DET_TF_FLOAT,
                                              .dims = 1,
                                              .shape = {4},
                                              .data = values,
                                              .bytes = sizeof values};
    test_bundle_write(f.path, &tensor, 1, (struct test_bundle_options){0});
    snprintf(data, sizeof data, "%s.data-00000-of-00002", f.path);
    assert_ok(f.env, det_tf_bundle_open(f.env, f.path, &bundle));
    const struct det_tf_entry *entry = det_tf_bundle_find_variable(bundle, "a");
    assert_ok(f.env, det_tf_bundle_read_float(f.env, bundle, entry, read, 4));
    assert_memory_equal(read, values, sizeof values);
    assert_int_equal(truncate(data, 7), 0);
    assert_fails(f.env, DET_STATUS_IO, "was cut off while it was in use",
                 det_tf_bundle_read_float(f.env, bundle, entry, read, 4));
    det_tf_bundle_close(f.env, &bundle);
    close_folder(&f);
}

/* --- what is no file --- */

static void check_refused(struct folder *f, const char *path, const char *what)
{
    struct det_file_bytes contents;
    struct det_record_set set;
    static char out[2000];
    char expected[500];
    const char *const patterns[] = {path};
    snprintf(expected, sizeof expected, "%s: is %s, expected a file", path, what);
    assert_fails(f->env, DET_STATUS_INVALID_ARGUMENT, expected,
                 det_file_read(f->env, path, &contents));
    assert_int_equal(contents.bytes, 0);
    det_file_release(&contents);
    assert_fails(f->env, DET_STATUS_INVALID_ARGUMENT, expected,
                 det_record_set_open(f->env, patterns, 1, &set));
    assert_int_equal(run_tool(out, sizeof out, "det-info %s", path), 1);
    assert_contains(out, expected);
}

static void only_files_are_read(void **state)
{
    (void)state;
    struct folder f;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    open_folder(&f);
    assert_int_equal(mkfifo(f.path, 0600), 0);
    check_refused(&f, f.path, "a pipe");
    snprintf(address.sun_path, sizeof address.sun_path, "%.90s/s", f.directory);
    const int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(descriptor, (const struct sockaddr *)&address, sizeof address), 0);
    struct det_file_bytes contents;
    /* A socket cannot even be opened. */
    assert_int_equal(det_file_read(f.env, address.sun_path, &contents), DET_STATUS_IO);
    close(descriptor);
    check_refused(&f, "/dev/zero", "a device");
    check_refused(&f, f.directory, "a folder");
    close_folder(&f);
}

int test_live_files(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loaded_model_needs_no_file),
        cmocka_unit_test(records_that_change),
        cmocka_unit_test(more_files_than_descriptors),
        cmocka_unit_test(a_training_whose_records_are_cut_off),
        cmocka_unit_test(a_checkpoint_that_is_cut_off),
        cmocka_unit_test(only_files_are_read),
    };
    return cmocka_run_group_tests_name("live_files", tests, NULL, NULL);
}
