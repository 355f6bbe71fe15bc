/* What stands between a user and a lost night: memory that is too small, a learning rate that does
 * not suit the batch, boxes that no anchor reaches, and a step that is not finite, which can be
 * repeated. */
#include <math.h>

#include "model/spec_anchors.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/memory_limit.h"
#include "support/workspace.h"
#include "train/coverage.h"
#include "train/rate_advice.h"
#include "train/replay.h"
#include "train/trainer.h"

struct run {
    struct test_env t;
    det_context *context;
    det_pipeline_config *config;
    det_trainer *trainer;
    det_trainer_settings settings;
    char log[8000]; /* all lines of the context's logger */
};

static void take_line(void *user, det_log_level level, const char *message)
{
    struct run *r = user;
    const size_t used = strlen(r->log);
    snprintf(r->log + used, sizeof r->log - used, "%s%s\n",
             level == DET_LOG_WARNING ? "warning: " : "", message);
}

static void start(struct run *r, const struct workspace *w)
{
    *r = (struct run){0};
    test_env_init(&r->t);
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.allocator = test_env_hooks(&r->t);
    settings.threads = 2;
    settings.cpu = "ref";
    settings.logger = &(det_logger){sizeof(det_logger), r, take_line};
    assert_int_equal(det_context_create(&r->context, &settings), DET_OK);
    det_trainer_settings_default(&r->settings);
    r->settings.model_dir = w->model_dir;
    r->settings.summary_every_steps = 0;
    assert_context_ok(r->context, det_pipeline_config_load(r->context, w->config, &r->config));
}

static det_status open_run(struct run *r)
{
    return det_trainer_create(r->context, r->config, &r->settings, &r->trainer);
}

static void stop(struct run *r)
{
    det_trainer_destroy(&r->trainer);
    det_pipeline_config_destroy(&r->config);
    det_context_destroy(&r->context);
    test_env_check(&r->t);
}

static void assert_logged(const struct run *r, const char *text)
{
    if (strstr(r->log, text) == NULL)
        fail_msg("not logged: \"%s\"; log:\n%s", text, r->log);
}

static size_t planned(const det_trainer *trainer)
{
    det_trainer_memory memory = {.struct_size = sizeof memory};
    assert_int_equal(det_trainer_memory_plan(trainer, &memory), DET_OK);
    return memory.parameters_bytes + memory.activations_bytes + memory.loader_bytes;
}

static void memory_that_is_too_small_is_refused(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "memory");
    struct run r;
    size_t bytes[2]; /* of batches of 3 and 4 */
    for (int i = 0; i < 2; i++) {
        start(&r, &w);
        r.settings.model_dir = NULL;
        r.settings.batch_size = 3 + i;
        assert_context_ok(r.context, open_run(&r));
        bytes[i] = planned(r.trainer);
        stop(&r);
    }
    assert_true(bytes[1] > bytes[0]);
    for (int i = 0; i < 3; i++) {
        start(&r, &w);
        r.settings.batch_size = 7;
        r.settings.memory_limit_bytes = bytes[1] - (i == 1);
        if (i == 2)
            r.settings.memory_limit_bytes = 1000;
        assert_context_fails(r.context, DET_STATUS_OUT_OF_MEMORY,
                             i == 0   ? "the largest batch that fits is 4"
                             : i == 1 ? "the largest batch that fits is 3"
                                      : "not even one image fits",
                             open_run(&r));
        stop(&r);
    }
    /* Four fifths of the limit may be taken: 4, and below it 2, the power of two before. */
    for (int i = 0; i < 2; i++) {
        start(&r, &w);
        r.settings.model_dir = NULL;
        r.settings.batch_size = DET_BATCH_SIZE_AUTO;
        r.settings.memory_limit_bytes = bytes[1] / 4 * 5 + (i == 0 ? 100 : -(size_t)100);
        assert_context_ok(r.context, open_run(&r));
        assert_int_equal(r.trainer->batch_size, i == 0 ? 4 : 2);
        assert_logged(&r, "chosen by memory");
        det_step_report report = {.struct_size = sizeof report};
        assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
        assert_int_equal(report.images, i == 0 ? 4 : 2);
        stop(&r);
    }
    /* No more than there are images: 10, so 8. */
    start(&r, &w);
    r.settings.model_dir = NULL;
    r.settings.batch_size = DET_BATCH_SIZE_AUTO;
    assert_context_ok(r.context, open_run(&r));
    assert_int_equal(r.trainer->batch_size, 8);
    stop(&r);
    workspace_remove(&w);
}

static void the_systems_figures_are_read(void **state)
{
    (void)state;
    size_t bytes = 0;
    const char *text =
        "MemTotal:       100 kB\nMemAvailable:\t  42 kB\ninactive_file 7\nlimit max\n";
    assert_true(det_memory_parse_line(text, "MemAvailable", &bytes));
    assert_int_equal(bytes, 42 * 1024);
    assert_true(det_memory_parse_line(text, "inactive_file", &bytes));
    assert_int_equal(bytes, 7);
    assert_false(det_memory_parse_line(text, "Mem", &bytes));
    assert_false(det_memory_parse_line(text, "limit", &bytes));
    assert_false(det_memory_parse_line(text, "SwapFree", &bytes));
    assert_true(det_memory_available() > 1 << 20);
}

static void rates_are_advised_by_the_linear_rule(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "rates");
    struct run r;
    /* The config: .1 at batch 4, forty times the zoo's .0025. */
    start(&r, &w);
    r.settings.model_dir = NULL;
    assert_context_ok(r.context, open_run(&r));
    assert_logged(&r, "warning: learning rate 0.1 is high for batches of 4");
    assert_logged(&r, "at batch 128 would be 0.0025");
    det_step_report report = {.struct_size = sizeof report};
    assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
    assert_near(report.learning_rate, 0.02, 1e-7);
    stop(&r);
    /* Eight images a step instead of four: twice the rate, if asked for. */
    for (int scale = 0; scale < 2; scale++) {
        start(&r, &w);
        r.settings.model_dir = NULL;
        r.settings.batch_size = 2;
        r.settings.accumulate = 4;
        r.settings.scale_learning_rate = scale;
        assert_context_ok(r.context, open_run(&r));
        assert_logged(&r, scale ? "scaled to 0.2 for 8 images" : "the linear rule gives 0.2");
        assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
        assert_near(report.learning_rate, scale ? 0.04 : 0.02, 1e-7); /* warm-up scaled too */
        stop(&r);
    }
    workspace_edit_config(&w, "learning_rate_base: 0.1", "learning_rate_base: 0.02");
    start(&r, &w);
    assert_false(det_rate_advise(r.config, 4, 4).warn);
    stop(&r);
    workspace_remove(&w);
}

/* Boxes equal to anchors are covered, thin ones are not. */
static void coverage_counts_boxes_that_anchors_reach(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_model_spec spec;
    det_model_spec_default(&spec, 96, 2);
    float(*anchors)[4] = NULL;
    int32_t count = 0;
    assert_ok(&t.env, det_spec_anchors(&t.env, &spec, &anchors, &count));
    float boxes[40][4];
    struct det_dataset_entry entry = {.object_count = 40, .height_px = 200, .width_px = 100};
    for (int i = 0; i < 40; i++) {
        memcpy(boxes[i], anchors[i * 20], sizeof boxes[i]);
        if (i % 4 == 0) { /* a tenth of the height of an anchor: IoU of .1 with it, .4 at most */
            boxes[i][0] = .5f;
            boxes[i][2] = .51f;
        }
    }
    const struct det_dataset data = {
        .entries = &entry,
        .count = 1,
        .objects = {.count = 40, .boxes = boxes},
        .counts = {.boxes = 40},
    };
    struct det_coverage coverage;
    assert_ok(&t.env, det_coverage_measure(&t.env, NULL, &spec, &data, .5f, 1000, &coverage));
    assert_int_equal(coverage.boxes, 40);
    assert_int_equal(coverage.covered, 30);
    assert_true(coverage.mean_iou > .75 && coverage.mean_iou < .9);
    assert_ok(&t.env, det_coverage_measure(&t.env, NULL, &spec, &data, .5f, 10, &coverage));
    assert_int_equal(coverage.boxes, 10);
    assert_int_equal(coverage.covered, 0); /* every fourth box */
    /* Twice as high as wide in a square frame: half as wide as before. */
    spec.resize_mode = DET_RESIZE_KEEP_ASPECT;
    spec.min_dimension = spec.max_dimension = 96;
    assert_ok(&t.env, det_coverage_measure(&t.env, NULL, &spec, &data, .99f, 1000, &coverage));
    assert_true(coverage.covered < 10);
    det_free(&t.env, &anchors);
    test_env_check(&t);

    struct workspace w;
    workspace_make(&w, "coverage");
    struct run r;
    start(&r, &w);
    r.settings.model_dir = NULL;
    assert_context_ok(r.context, open_run(&r));
    assert_logged(&r, "anchors: ");
    assert_logged(&r, "boxes by class: cat ");
    stop(&r);
    workspace_remove(&w);
}

static void a_step_that_is_not_finite_can_be_repeated(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "replay");
    workspace_edit_config(&w, "learning_rate_base: 0.1", "learning_rate_base: 9e5");
    struct run r;
    start(&r, &w);
    r.settings.checkpoint_every_steps = 0;
    assert_context_ok(r.context, open_run(&r));
    /* A good step, saved; what follows would be refused by the save as soon as a statistic is
     * infinite. */
    det_step_report report = {.struct_size = sizeof report};
    assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
    assert_context_ok(r.context, det_trainer_save(r.trainer));
    assert_context_fails(r.context, DET_STATUS_NON_FINITE, "--replay ",
                         det_trainer_run(r.trainer, NULL, NULL));
    char message[2000], path[500], cause[200];
    snprintf(message, sizeof message, "%s", det_context_error(r.context));
    const long long failed = (long long)r.trainer->state.step + 1;
    assert_non_null(strstr(message, "train.tfrecord: record"));
    assert_non_null(strstr(message, "nothing was updated"));
    assert_non_null(strstr(message, "the last good checkpoint is ckpt-1.det"));
    snprintf(path, sizeof path, "%s/ckpt-1.det", w.model_dir);
    assert_true(det_file_exists(path));
    snprintf(path, sizeof path, "%s/replay-%lld.det", w.model_dir, failed);
    assert_true(det_file_exists(path));
    /* The same cause when repeated: "step N: the loss is ...; first bad layer: ...". */
    snprintf(cause, sizeof cause, "%.*s", (int)(strstr(message, "; nothing was") - message),
             message);
    assert_context_fails(r.context, DET_STATUS_NON_FINITE, cause,
                         det_trainer_replay(r.context, r.config, path, &report));
    assert_int_equal(report.step, failed);
    assert_int_equal(report.images, 4);
    /* The newest checkpoint of the folder is still the good one. */
    det_checkpoint_info info;
    assert_context_ok(r.context, det_checkpoint_find(r.context, w.model_dir, &info));
    assert_int_equal(info.step, 1);
    snprintf(path, sizeof path, "%s/ckpt-1.det", w.model_dir);
    assert_context_fails(r.context, DET_STATUS_CORRUPT, "no replay file",
                         det_trainer_replay(r.context, r.config, path, &report));
    stop(&r);
    workspace_remove(&w);
}

/* Batches come back as they were, also without objects. */
static void replay_files_hold_the_batch(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "batch");
    struct run r;
    start(&r, &w);
    assert_context_ok(r.context, open_run(&r));
    struct det_env *env = r.trainer->env;
    struct det_batch batch;
    assert_ok(env, det_loader_next(env, r.trainer->loader, &batch));
    char path[500];
    snprintf(path, sizeof path, "%s/replay-1.det", w.directory);
    for (int empty = 0; empty < 2; empty++) {
        for (int32_t n = 0; n < batch.count && empty; n++)
            batch.truths[n].count = 0;
        assert_ok(env,
                  det_replay_write(env, path, r.trainer->learner,
                                   det_trainer_class_names(r.trainer), &r.trainer->state, &batch));
        struct det_replay replay;
        assert_ok(env, det_replay_read(env, path, &replay));
        assert_int_equal(replay.count, batch.count);
        assert_int_equal(replay.height, 96);
        assert_memory_equal(replay.images, batch.images,
                            (size_t)batch.count * 96 * 96 * 3 * sizeof(float));
        for (int32_t n = 0; n < batch.count; n++) {
            assert_int_equal(replay.truths[n].count, batch.truths[n].count);
            for (int32_t g = 0; g < batch.truths[n].count; g++) {
                assert_memory_equal(replay.truths[n].boxes[g], batch.truths[n].boxes[g], 16);
                assert_int_equal(replay.truths[n].class_index[g], batch.truths[n].class_index[g]);
            }
        }
        det_replay_free(env, &replay);
        det_step_report report = {.struct_size = sizeof report};
        assert_context_ok(r.context, det_trainer_replay(r.context, r.config, path, &report));
        assert_true(report.total_loss > 0 && report.gradient_norm > 0);
    }
    stop(&r);
    workspace_remove(&w);
}

int test_guards(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_that_is_too_small_is_refused),
        cmocka_unit_test(the_systems_figures_are_read),
        cmocka_unit_test(rates_are_advised_by_the_linear_rule),
        cmocka_unit_test(coverage_counts_boxes_that_anchors_reach),
        cmocka_unit_test(a_step_that_is_not_finite_can_be_repeated),
        cmocka_unit_test(replay_files_hold_the_batch),
    };
    return cmocka_run_group_tests_name("guards", tests, NULL, NULL);
}
