/* train/trainer: learning, exact resume, rotation, torn files, and what it says to bad input. */
#include <unistd.h>

#include "support/io.h"
#include "support/records.h"
#include "support/workspace.h"

struct run {
    det_context *context;
    det_pipeline_config *config;
    det_trainer *trainer;
};

static det_status open_run(struct run *r, const struct workspace *w, int64_t steps,
                           int64_t checkpoint_every)
{
    det_trainer_settings settings;
    det_trainer_settings_default(&settings);
    settings.model_dir = w->model_dir;
    settings.num_steps = steps;
    settings.checkpoint_every_steps = checkpoint_every;
    settings.keep_checkpoints = 2;
    const det_status status = det_pipeline_config_load(r->context, w->config, &r->config);
    return status != DET_OK ? status
                            : det_trainer_create(r->context, r->config, &settings, &r->trainer);
}

static void close_run(struct run *r)
{
    det_trainer_destroy(&r->trainer);
    det_pipeline_config_destroy(&r->config);
    det_context_destroy(&r->context);
}

/* Trains to step `steps`, the last checkpoint's bytes into `bytes` (malloc). */
static char *train_to(const struct workspace *w, int threads, int64_t steps, size_t *bytes)
{
    struct test_env t;
    test_env_init(&t);
    struct run r = {.context = workspace_context(&t, threads)};
    assert_context_ok(r.context, open_run(&r, w, steps, 0));
    assert_context_ok(r.context, det_trainer_run(r.trainer, NULL, NULL));
    assert_int_equal(det_trainer_steps_done(r.trainer), steps);
    close_run(&r);
    test_env_check(&t);
    char path[400];
    snprintf(path, sizeof path, "%s/ckpt-%lld.det", w->model_dir, (long long)steps);
    return test_read_bytes(path, bytes);
}

static void resume_is_exact_for_any_thread_count(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "trainer");
    size_t whole_bytes = 0, parts_bytes = 0;
    char *whole = train_to(&w, 1, 9, &whole_bytes);
    test_remove_tree(w.model_dir);
    size_t unused = 0;
    free(train_to(&w, 2, 2, &unused));
    free(train_to(&w, 3, 5, &unused));
    char *parts = train_to(&w, 2, 9, &parts_bytes);
    assert_int_equal(whole_bytes, parts_bytes);
    assert_memory_equal(whole, parts, whole_bytes);
    free(whole);
    free(parts);
    workspace_remove(&w);
}

/* The config as read stands beside the checkpoints; what stood there is kept, even an empty
 * file. */
static void another_config_is_kept(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "other_config");
    char path[400], old_path[420];
    snprintf(path, sizeof path, "%s/pipeline.config", w.model_dir);
    snprintf(old_path, sizeof old_path, "%s.old", path);
    static const char *const others[] = {"", "model { }"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct test_env t;
        size_t unused = 0;
        test_env_init(&t);
        assert_ok(&t.env, det_make_directories(&t.env, w.model_dir));
        assert_ok(&t.env, det_write_file(&t.env, path, others[i], strlen(others[i])));
        free(train_to(&w, 1, 1, &unused));
        char *kept = test_read_text(old_path), *now = test_read_text(path),
             *given = test_read_text(w.config);
        assert_string_equal(kept, others[i]);
        assert_string_equal(now, given);
        free(kept);
        free(now);
        free(given);
        test_env_check(&t);
        test_remove_tree(w.model_dir);
    }
    /* A folder in its place is named; what has the old one's place keeps it. */
    struct test_env t;
    test_env_init(&t);
    struct run r = {.context = workspace_context(&t, 1)};
    assert_ok(&t.env, det_make_directories(&t.env, path));
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "pipeline.config: is a folder",
                         open_run(&r, &w, 0, 0));
    close_run(&r);
    test_remove_tree(path);
    r = (struct run){.context = workspace_context(&t, 1)};
    assert_ok(&t.env, det_make_directories(&t.env, old_path));
    assert_ok(&t.env, det_write_file(&t.env, path, "x", 1));
    assert_context_ok(r.context, open_run(&r, &w, 0, 0));
    close_run(&r);
    snprintf(old_path, sizeof old_path, "%s.old-2", path);
    char *kept = test_read_text(old_path);
    assert_string_equal(kept, "x");
    free(kept);
    test_env_check(&t);
    workspace_remove(&w);
}

static void it_learns(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "learns");
    workspace_edit_config(&w, "num_steps: 12", "num_steps: 60");
    workspace_edit_config(&w, "total_steps: 12", "total_steps: 60");
    struct test_env t;
    test_env_init(&t);
    struct run r = {.context = workspace_context(&t, 2)};
    assert_context_ok(r.context, open_run(&r, &w, 0, 0));
    double first = 0, last = 0;
    det_step_report report = {.struct_size = sizeof report};
    for (int i = 0; i < 60; i++) {
        assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
        assert_int_equal(report.step, i + 1);
        assert_int_equal(report.num_steps, 60);
        assert_int_equal(report.images, 4);
        if (i < 5)
            first += report.total_loss;
        else if (i >= 55)
            last += report.total_loss;
    }
    assert_true(last < 0.8 * first);
    assert_context_fails(r.context, DET_STATUS_FINISHED, "60",
                         det_trainer_step(r.trainer, &report));
    /* The present weights as a model that runs. */
    det_model *model = NULL;
    assert_context_ok(r.context, det_trainer_snapshot(r.trainer, &model));
    assert_int_equal(det_model_class_count(model), 2);
    assert_string_equal(det_model_class_name(model, 2), "dog");
    det_model_destroy(&model);
    close_run(&r);
    test_env_check(&t);
    workspace_remove(&w);
}

static int count_checkpoints(const struct workspace *w)
{
    struct det_env env;
    det_env_default(&env);
    struct det_path_list list = {0};
    char pattern[400];
    snprintf(pattern, sizeof pattern, "%s/ckpt-*.det", w->model_dir);
    assert_ok(&env, det_glob(&env, pattern, &list));
    const int count = (int)list.count;
    det_path_list_free(&env, &list);
    return count;
}

static void checkpoints_rotate_and_torn_ones_are_passed_over(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "rotate");
    struct test_env t;
    test_env_init(&t);
    struct run r = {.context = workspace_context(&t, 1)};
    assert_context_ok(r.context, open_run(&r, &w, 0, 3));
    assert_context_ok(r.context, det_trainer_run(r.trainer, NULL, NULL));
    assert_int_equal(count_checkpoints(&w), 2); /* of 3, 6, 9, 12 the newest two */
    det_checkpoint_info info;
    assert_context_ok(r.context, det_checkpoint_find(r.context, w.model_dir, &info));
    assert_int_equal(info.step, 12);
    assert_int_equal(info.is_tensorflow, 0);
    close_run(&r);
    /* All done: said so. */
    r.context = workspace_context(&t, 1);
    assert_context_fails(r.context, DET_STATUS_FINISHED, "12", open_run(&r, &w, 0, 3));
    close_run(&r);
    /* A torn newest file: the one before it is taken. */
    char path[400];
    snprintf(path, sizeof path, "%s/ckpt-12.det", w.model_dir);
    assert_int_equal(truncate(path, 5000), 0);
    r.context = workspace_context(&t, 1);
    assert_context_ok(r.context, open_run(&r, &w, 0, 3));
    assert_int_equal(det_trainer_steps_done(r.trainer), 9);
    close_run(&r);
    test_env_check(&t);
    workspace_remove(&w);
}

static int stop_after_four(void *user, const det_step_report *report)
{
    (void)user;
    return report->step >= 4;
}

static void a_callback_stops_and_saves(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "stops");
    struct test_env t;
    test_env_init(&t);
    struct run r = {.context = workspace_context(&t, 1)};
    assert_context_ok(r.context, open_run(&r, &w, 0, 0));
    assert_context_ok(r.context, det_trainer_run(r.trainer, stop_after_four, NULL));
    det_checkpoint_info info;
    assert_context_ok(r.context, det_checkpoint_find(r.context, w.model_dir, &info));
    assert_int_equal(info.step, 4);
    close_run(&r);
    test_env_check(&t);
    workspace_remove(&w);
}

static void bad_input_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        det_status status;
        const char *message;
    } cases[] = {
        {"num_classes: 2", "num_classes: 1", DET_STATUS_MISMATCH, "num_classes is 1"},
        {"'train.tfrecord'", "'none-*.tfrecord'", DET_STATUS_NOT_FOUND, "none-*.tfrecord"},
        {"label_map_path: 'label_map.pbtxt'", "label_map_path: 'gone.pbtxt'", DET_STATUS_NOT_FOUND,
         "gone.pbtxt"},
        {"batch_size: 4", "batch_sice: 4", DET_STATUS_PARSE, "batch_size"},
        {"batch_size: 4", "batch_size: 4 fine_tune_checkpoint: 'no/ckpt-0'", DET_STATUS_NOT_FOUND,
         "no/ckpt-0"},
        {"random_horizontal_flip { }", "rgb_to_gray { }", DET_STATUS_UNSUPPORTED,
         "pipeline.config:41:3: data augmentation `rgb_to_gray` is not supported"},
        {"random_horizontal_flip { }", "remap_labels { original_labels: 1 new_label: 3 }",
         DET_STATUS_INVALID_ARGUMENT, "remap_labels: label 3, but the network has 2 classes"},
        {"activation: RELU_6", "activation: RELU", DET_STATUS_UNSUPPORTED, "RELU_6"},
        {"learning_rate_base: 0.1", "learning_rate_base: 9e5", DET_STATUS_OK, ""},
    };
    struct test_env t;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct workspace w;
        workspace_make(&w, "bad");
        workspace_edit_config(&w, cases[i].from, cases[i].to);
        struct run r = {.context = workspace_context(&t, 1)};
        if (cases[i].status != DET_OK) {
            assert_context_fails(r.context, cases[i].status, cases[i].message,
                                 open_run(&r, &w, 0, 0));
            assert_null(r.trainer);
        } else {
            /* A rate that blows up: named with step and records, the files before it stand. */
            assert_context_ok(r.context, open_run(&r, &w, 0, 0));
            assert_context_fails(r.context, DET_STATUS_NON_FINITE, "train.tfrecord: record",
                                 det_trainer_run(r.trainer, NULL, NULL));
        }
        close_run(&r);
        workspace_remove(&w);
    }
    test_env_check(&t);
}

static struct test_warnings warnings;

/* What is legal, as in the API, and not what anybody means: a warning each, with what to do. */
static void slips_are_warned_of(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *message;
    } cases[] = {
        {"num_steps: 12", "num_steps: 0",
         "the learning rate is 0 from step 12 on (total_steps), training has no end (num_steps: "
         "0): "
         "set num_steps to 12"},
        {"num_steps: 12", "num_steps: 13",
         "the learning rate is 0 from step 12 on (total_steps), training goes to step 13: make "
         "them "
         "the same"},
        {"batch_size: 4", "batch_size: 11", "a batch of 11 is more than the 10 images there are"},
        {"batch_size: 4", "batch_size: 4",
         "10 images are few to learn everything from: set fine_tune_checkpoint"},
        {"num_classes: 2", "num_classes: 90", "pipeline.config:2: num_classes is 90, but "},
        {"batch_size: 4", "batch_size: 4 bias_grad_multiplier: 2",
         "pipeline.config:40:17: `bias_grad_multiplier` does nothing here"},
        {"eval_config {", "graph_rewriter { quantization { delay: 48000 } } eval_config {",
         "training in 8 bits begins after step 48000 (delay) and training ends after step 12: "
         "nothing is trained in 8 bits"},
        {"batch_size: 4", "batch_size: 4 batch_size: 5",
         "pipeline.config:40:17: `batch_size` counts instead of that of line 40"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct workspace w;
        struct test_env t;
        test_env_init(&t);
        workspace_make(&w, "slips");
        workspace_edit_config(&w, cases[i].from, cases[i].to);
        det_context_settings settings;
        det_context_settings_default(&settings);
        settings.allocator = test_env_hooks(&t);
        settings.logger = &(det_logger){
            .struct_size = sizeof(det_logger), .user = &warnings, .write = test_keep_warning};
        settings.threads = 1;
        settings.cpu = "ref";
        struct run r = {0};
        warnings = (struct test_warnings){{0}, 0};
        assert_int_equal(det_context_create(&r.context, &settings), DET_OK);
        assert_context_ok(r.context, open_run(&r, &w, 0, 0));
        assert_contains(warnings.text, cases[i].message);
        const char *once = strstr(warnings.text, cases[i].message);
        assert_null(strstr(once + 1, cases[i].message));
        close_run(&r);
        workspace_remove(&w);
        test_env_check(&t);
    }
}

/* Records without annotations: nothing to learn, unless that is meant. */
static void data_without_boxes_is_an_error(void **state)
{
    (void)state;
    struct workspace w;
    struct test_env t;
    char path[400];
    test_env_init(&t);
    workspace_make(&w, "no_boxes");
    snprintf(path, sizeof path, "%s/train.tfrecord", w.directory);
    test_write_records(&t.env, path, 1); /* picture 0 has no box */
    struct run r = {.context = workspace_context(&t, 1)};
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "1 images without a single box",
                         open_run(&r, &w, 0, 0));
    det_trainer_settings settings;
    det_trainer_settings_default(&settings);
    settings.allow_no_boxes = 1;
    assert_context_ok(r.context, det_trainer_create(r.context, r.config, &settings, &r.trainer));
    close_run(&r);
    workspace_remove(&w);
    test_env_check(&t);
}

static void failed_allocations_leave_nothing(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "alloc");
    /* Every 11th allocation in turn: the parts have sweeps of their own. */
    for (long n = 1;; n += 11) {
        struct test_env t;
        test_env_init(&t);
        struct run r = {.context = workspace_context(&t, 1)};
        test_env_fail_at(&t, n);
        const det_status status = open_run(&r, &w, 0, 0);
        test_env_fail_at(&t, 0);
        if (status != DET_OK && status != DET_STATUS_OUT_OF_MEMORY)
            fail_msg("allocation %ld: %s: %s", n, det_status_text(status),
                     det_context_error(r.context));
        close_run(&r);
        test_env_check(&t);
        if (status == DET_OK)
            break;
    }
    workspace_remove(&w);
}

int test_trainer(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resume_is_exact_for_any_thread_count),
        cmocka_unit_test(another_config_is_kept),
        cmocka_unit_test(it_learns),
        cmocka_unit_test(checkpoints_rotate_and_torn_ones_are_passed_over),
        cmocka_unit_test(a_callback_stops_and_saves),
        cmocka_unit_test(bad_input_is_named),
        cmocka_unit_test(slips_are_warned_of),
        cmocka_unit_test(data_without_boxes_is_an_error),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests_name("trainer", tests, NULL, NULL);
}
