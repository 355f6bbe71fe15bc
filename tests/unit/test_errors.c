/* Statuses and messages of det_context_error(): an empty memory is told from a bad file wherever it
 * shows, and a failure that was handled leaves no message behind. */
#include <unistd.h>
#include <zlib.h>

#include "det/event_log.h"
#include "det/plot.h"
#include "formats/coco_json.h"
#include "formats/label_map.h"
#include "formats/tf_bundle.h"
#include "formats/tfrecord.h"
#include "model/model.h"
#include "support/bundle_writer.h"
#include "support/fail_malloc.h"
#include "support/formula.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/records.h"
#include "support/workspace.h"

/* --- no memory, wherever it is missed --- */

static det_status load_model(struct det_env *env, void *argument)
{
    det_model *model = NULL;
    const det_status status = det_model_read(env, argument, &model);
    det_model_destroy(&model);
    return status;
}

static det_status load_coco(struct det_env *env, void *argument)
{
    struct det_coco_dataset dataset;
    const det_status status = det_coco_json_read_dataset(env, argument, &dataset);
    det_coco_dataset_free(env, &dataset);
    return status;
}

static det_status load_records(struct det_env *env, void *argument)
{
    const char *const patterns[] = {argument};
    struct det_record_set set;
    struct det_record record = {0};
    det_status status = det_record_set_open(env, patterns, 1, &set);
    if (status == DET_OK)
        status = det_record_set_get(env, &set, 0, &record);
    det_record_free(env, &record);
    det_record_set_close(env, &set);
    return status;
}

static det_status load_bundle(struct det_env *env, void *argument)
{
    struct det_tf_bundle *bundle = NULL;
    float values[4];
    det_status status = det_tf_bundle_open(env, argument, &bundle);
    if (status == DET_OK)
        status = det_tf_bundle_read_float(env, bundle, det_tf_bundle_entry(bundle, 0), values, 4);
    det_tf_bundle_close(env, &bundle);
    return status;
}

static det_status load_label_map(struct det_env *env, void *argument)
{
    struct det_label_map map = {0};
    const det_status status = det_label_map_read(env, argument, &map);
    det_label_map_free(env, &map);
    return status;
}

/* A program's whole way to detections; the test's env only takes the message. */
static det_status detect(struct det_env *env, void *argument)
{
    static const uint8_t pixels[40 * 30 * 3];
    const det_image_view view = {.pixels = pixels, .width = 40, .height = 30};
    det_context *context = NULL;
    det_pipeline_config *config = NULL;
    det_model *model = NULL;
    det_detector *detector = NULL;
    const det_detection *found = NULL;
    size_t count = 0;
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.threads = 1;
    det_status status = DET_OK;
    DET_TRY(det_context_create(&context, &settings));
    DET_TRY(det_pipeline_config_load(context, "tests/golden/configs/raccoon_320.config", &config));
    DET_TRY(det_model_load(context, argument, &model));
    DET_TRY(det_detector_create(context, model, NULL, &detector));
    DET_TRY(det_detector_run(detector, &view, &found, &count));
fail:
    det_fail(env, status, "%s", det_context_error(context));
    det_detector_destroy(&detector);
    det_model_destroy(&model);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
    return status;
}

static void write_small_model(struct det_env *env, const char *path)
{
    struct det_model_spec spec;
    det_model *model = NULL;
    formula_spec(&spec, 64, 2);
    assert_ok(env, det_model_create(env, &spec, true, NULL, &model));
    assert_ok(env, det_model_write(env, model, path, NULL));
    det_model_destroy(&model);
}

static void no_memory_is_not_a_bad_file(void **state)
{
    (void)state;
    static const char coco[] =
        "{\"images\": [{\"id\": \"a\", \"file_name\": \"a.jpg\"}], "
        "\"categories\": [{\"id\": 1, \"name\": \"x\"}], \"annotations\": "
        "[{\"image_id\": \"a\", \"category_id\": 1, \"bbox\": [1, 2, 3, 4]}]}";
    static const float values[4] = {1, 2, 3, 4};
    struct test_env t;
    char directory[256], path[300], records[320];
    size_t bytes = 0;
    test_env_init(&t);
    test_make_directory(directory, "errors");
    snprintf(path, sizeof path, "%s/small.det", directory);
    write_small_model(&t.env, path);
    test_each_malloc_fails(load_model, path);
    test_each_malloc_fails(detect, path);

    snprintf(path, sizeof path, "%s/coco.json", directory);
    assert_ok(&t.env, det_write_file(&t.env, path, coco, strlen(coco)));
    test_each_malloc_fails(load_coco, path);

    snprintf(path, sizeof path, "%s/map.pbtxt", directory);
    assert_ok(&t.env, det_write_file(&t.env, path, "item { id: 1 name: 'a' }", 24));
    test_each_malloc_fails(load_label_map, path);

    snprintf(path, sizeof path, "%s/plain.tfrecord", directory);
    test_write_records(&t.env, path, 3);
    snprintf(records, sizeof records, "%s/plain.tfrecor*", directory);
    test_each_malloc_fails(load_records, records);
    char *const plain = test_read_bytes(path, &bytes);
    snprintf(path, sizeof path, "%s/packed.gz", directory);
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, plain, (unsigned)bytes), bytes);
    assert_int_equal(gzclose(file), Z_OK);
    free(plain);
    test_each_malloc_fails(load_records, path);

    const struct test_bundle_tensor tensor = {.key = "a/.ATTRIBUTES/VARIABLE_VALUE",
                                              .dtype = DET_TF_FLOAT,
                                              .dims = 1,
                                              .shape = {4},
                                              .data = values,
                                              .bytes = sizeof values};
    snprintf(path, sizeof path, "%s/ckpt", directory);
    test_bundle_write(path, &tensor, 1, (struct test_bundle_options){.snappy = true});
    test_each_malloc_fails(load_bundle, path);
    test_remove_tree(directory);
    test_env_check(&t);
}

/* --- what was handled --- */

struct session {
    struct workspace w;
    det_context *context;
    det_pipeline_config *config;
    int warnings;
};

static void count_warnings(void *user, det_log_level level, const char *message)
{
    (void)message;
    *(int *)user += level == DET_LOG_WARNING;
}

static void open_session(struct session *s)
{
    det_context_settings settings;
    s->warnings = 0;
    workspace_make(&s->w, "handled");
    det_context_settings_default(&settings);
    settings.logger = &(det_logger){sizeof(det_logger), &s->warnings, count_warnings};
    assert_int_equal(det_context_create(&s->context, &settings), DET_OK);
    assert_context_ok(s->context, det_pipeline_config_load(s->context, s->w.config, &s->config));
}

static void close_session(struct session *s)
{
    det_pipeline_config_destroy(&s->config);
    det_context_destroy(&s->context);
    workspace_remove(&s->w);
}

static void train(struct session *s, int64_t steps)
{
    det_trainer *trainer = NULL;
    det_trainer_settings settings;
    det_trainer_settings_default(&settings);
    settings.model_dir = s->w.model_dir;
    settings.num_steps = steps;
    settings.summary_every_steps = 1;
    assert_context_ok(s->context, det_trainer_create(s->context, s->config, &settings, &trainer));
    assert_string_equal(det_context_error(s->context), "");
    assert_context_ok(s->context, det_trainer_run(trainer, NULL, NULL));
    assert_string_equal(det_context_error(s->context), "");
    det_trainer_destroy(&trainer);
}

static void damage(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    fputc('#', file);
    fclose(file);
}

/* The n-th record's first byte of data in the only file of a folder. */
static void damage_events(const char *folder)
{
    struct test_env t;
    struct det_path_list files = {0};
    test_env_init(&t);
    assert_ok(&t.env, det_list_directory(&t.env, folder, &files));
    assert_true(files.count >= 1);
    damage(files.paths[0], 60);
    det_path_list_free(&t.env, &files);
    test_env_check(&t);
}

static void handled_failures_leave_no_message(void **state)
{
    (void)state;
    struct session s;
    char path[400], folder[400];
    det_model *model = NULL;
    det_event_log *log = NULL;
    open_session(&s);
    train(&s, 1);
    train(&s, 2);
    /* The newest checkpoint is damaged, the one before it serves. */
    snprintf(path, sizeof path, "%s/ckpt-2.det", s.w.model_dir);
    damage(path, 300);
    s.warnings = 0;
    train(&s, 3);
    assert_true(s.warnings > 0);
    /* The file that names the newest is no text format: the highest number serves. Then there is no
     * label map either: the checkpoint's own names serve. */
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/checkpoint", s.w.model_dir);
        if (i == 0)
            damage(path, 0);
        else
            assert_int_equal(unlink(path), 0);
        snprintf(path, sizeof path, "%s/label_map.pbtxt", s.w.directory);
        if (i == 1)
            assert_int_equal(unlink(path), 0);
        s.warnings = 0;
        assert_context_ok(s.context,
                          det_model_load_checkpoint(s.context, s.config, s.w.model_dir, &model));
        assert_int_equal(s.warnings, 1);
        assert_string_equal(det_model_class_name(model, 1), "cat");
        assert_string_equal(det_context_error(s.context), "");
        det_model_destroy(&model);
    }
    /* A damaged event ends a log, and there are no evaluations to plot. */
    snprintf(folder, sizeof folder, "%s/train", s.w.model_dir);
    damage_events(folder);
    s.warnings = 0;
    assert_context_ok(s.context, det_event_log_read(s.context, folder, &log));
    assert_true(s.warnings > 0);
    assert_string_equal(det_context_error(s.context), "");
    det_event_log_destroy(&log);
    /* A failure after all that has its own message, and a success leaves it alone or empty. */
    assert_int_equal(det_model_load(s.context, "nowhere.det", &model), DET_STATUS_NOT_FOUND);
    assert_contains(det_context_error(s.context), "nowhere.det");
    close_session(&s);
}

int test_errors(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory_is_not_a_bad_file),
        cmocka_unit_test(handled_failures_leave_no_message),
    };
    return cmocka_run_group_tests_name("errors", tests, NULL, NULL);
}
