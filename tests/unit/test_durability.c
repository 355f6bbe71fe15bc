/* Checkpoints when the power goes or the disk is full, at every moment of writing them: what was
 * reported as saved is gone on from, to the same bits. */
#include <unistd.h>

#include "support/disk.h"
#include "support/workspace.h"

enum { STEPS = 4, SAVE_EVERY = 2 };

static det_status open_trainer(det_context *context, det_pipeline_config *config,
                               const char *model_dir, det_trainer **trainer)
{
    det_trainer_settings settings;
    det_trainer_settings_default(&settings);
    settings.model_dir = model_dir;
    settings.num_steps = STEPS;
    settings.checkpoint_every_steps = SAVE_EVERY;
    settings.checkpoint_every_seconds = 0;
    settings.keep_checkpoints = 2;
    settings.summary_every_steps = 0;
    return det_trainer_create(context, config, &settings, trainer);
}

struct run {
    struct test_env t;
    struct workspace w;
    det_context *context;
    det_pipeline_config *config;
    det_trainer *trainer;
    int64_t reported; /* newest step that the caller was told to be saved, 0: none */
    char image[400];  /* folder as a power cut left it */
    long cuts;
    char *expected; /* the last checkpoint of a run that nothing happened to */
    size_t expected_bytes;
};

static char *read_last(const char *model_dir, size_t *bytes)
{
    char path[500];
    snprintf(path, sizeof path, "%s/ckpt-%d.det", model_dir, STEPS);
    return test_read_bytes(path, bytes);
}

static void assert_expected(const struct run *r, const char *model_dir)
{
    size_t bytes = 0;
    char *data = read_last(model_dir, &bytes);
    assert_int_equal(bytes, r->expected_bytes);
    assert_memory_equal(data, r->expected, bytes);
    free(data);
}

static void open_run(struct run *r, const char *name)
{
    *r = (struct run){0};
    workspace_make(&r->w, name);
    test_env_init(&r->t);
    r->context = workspace_context(&r->t, 1);
    snprintf(r->image, sizeof r->image, "%s/image", r->w.directory);
    assert_context_ok(r->context, det_pipeline_config_load(r->context, r->w.config, &r->config));
    assert_context_ok(r->context, open_trainer(r->context, r->config, r->w.model_dir, &r->trainer));
    assert_context_ok(r->context, det_trainer_run(r->trainer, NULL, NULL));
    det_trainer_destroy(&r->trainer);
    r->expected = read_last(r->w.model_dir, &r->expected_bytes);
    test_remove_tree(r->w.model_dir);
}

static void close_run(struct run *r)
{
    free(r->expected);
    det_trainer_destroy(&r->trainer);
    det_pipeline_config_destroy(&r->config);
    det_context_destroy(&r->context);
    test_env_check(&r->t);
    workspace_remove(&r->w);
}

/* --- power --- */

/* In an env of its own, as after a restart of the machine. */
static void go_on_from_image(struct run *r, bool to_the_end)
{
    struct test_env t;
    det_trainer *trainer = NULL;
    det_pipeline_config *config = NULL;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    assert_context_ok(context, det_pipeline_config_load(context, r->w.config, &config));
    const det_status status = open_trainer(context, config, r->image, &trainer);
    if (status == DET_STATUS_FINISHED) {
        assert_expected(r, r->image);
    } else {
        if (status != DET_OK)
            fail_msg("cut %ld, step %lld was reported as saved: %s", r->cuts,
                     (long long)r->reported, det_context_error(context));
        if (det_trainer_steps_done(trainer) < r->reported)
            fail_msg("cut %ld: step %lld was reported as saved, gone on from %lld", r->cuts,
                     (long long)r->reported, (long long)det_trainer_steps_done(trainer));
        if (to_the_end) {
            assert_context_ok(context, det_trainer_run(trainer, NULL, NULL));
            assert_expected(r, r->image);
        }
    }
    det_trainer_destroy(&trainer);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
    test_env_check(&t);
}

static void cut_power(void *user)
{
    struct run *r = user;
    for (int loss = 0; loss < DISK_LOSSES; loss++) {
        r->cuts++;
        disk_cut(r->image, (enum disk_loss)loss);
        go_on_from_image(r, r->cuts % 20 == 0);
    }
}

static void power_cuts_lose_nothing(void **state)
{
    (void)state;
    struct run r;
    open_run(&r, "power");
    assert_context_ok(r.context, open_trainer(r.context, r.config, r.w.model_dir, &r.trainer));
    disk_watch(r.w.model_dir, cut_power, &r);
    for (int step = 1; step <= STEPS; step++) {
        det_step_report report = {.struct_size = sizeof report};
        assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
        assert_int_equal(report.saved, step % SAVE_EVERY == 0);
        if (report.saved)
            r.reported = step;
        cut_power(&r);
    }
    disk_unwatch();
    assert_true(r.cuts > 40);
    assert_expected(&r, r.w.model_dir);
    close_run(&r);
}

/* --- a full disk --- */

static void a_full_disk_loses_nothing(void **state)
{
    (void)state;
    struct run r;
    det_step_report report = {.struct_size = sizeof report};
    open_run(&r, "full");
    assert_context_ok(r.context, open_trainer(r.context, r.config, r.w.model_dir, &r.trainer));
    disk_watch(r.w.model_dir, NULL, NULL);
    for (int step = 1; step <= 2; step++)
        assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
    assert_int_equal(report.saved, 1);
    disk_set_full(true);
    /* A checkpoint on the way is passed over, the last one is an error. */
    for (int step = 3; step <= STEPS - 1; step++) {
        assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
        assert_int_equal(report.saved, 0);
    }
    assert_context_fails(r.context, DET_STATUS_NO_SPACE, "No space left",
                         det_trainer_step(r.trainer, &report));
    /* Room was made: it can be saved after all. */
    disk_set_full(false);
    assert_context_ok(r.context, det_trainer_save(r.trainer));
    assert_expected(&r, r.w.model_dir);
    det_trainer_destroy(&r.trainer);
    /* And where the program ended meanwhile, the next run goes on from what was reported. */
    char path[500];
    snprintf(path, sizeof path, "%s/ckpt-%d.det", r.w.model_dir, STEPS);
    assert_int_equal(remove(path), 0);
    assert_context_ok(r.context, open_trainer(r.context, r.config, r.w.model_dir, &r.trainer));
    assert_int_equal(det_trainer_steps_done(r.trainer), 2);
    assert_context_ok(r.context, det_trainer_run(r.trainer, NULL, NULL));
    assert_expected(&r, r.w.model_dir);
    disk_unwatch();
    close_run(&r);
}

int test_durability(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cuts_lose_nothing),
        cmocka_unit_test(a_full_disk_loses_nothing),
    };
    return cmocka_run_group_tests_name("durability", tests, NULL, NULL);
}
