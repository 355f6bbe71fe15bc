/* Training with products in bf16 (--precision bf16) on the CPU, as a user runs it: it follows
 * float32, its bits do not depend on the threads, and an interrupted training goes on exactly. The
 * kernels are compared in test_ops_bn.c. */
#include <math.h>

#include "support/workspace.h"

struct run {
    det_context *context;
    det_pipeline_config *config;
    det_trainer *trainer;
};

static void open_run(struct run *r, const struct workspace *w, const char *precision, int threads,
                     int64_t steps)
{
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.device = "cpu";
    settings.precision = precision;
    settings.threads = threads;
    assert_int_equal(det_context_create(&r->context, &settings), DET_OK);
    det_trainer_settings how;
    det_trainer_settings_default(&how);
    how.model_dir = w->model_dir;
    how.num_steps = steps;
    how.checkpoint_every_steps = 0;
    assert_context_ok(r->context, det_pipeline_config_load(r->context, w->config, &r->config));
    assert_context_ok(r->context, det_trainer_create(r->context, r->config, &how, &r->trainer));
}

static void close_run(struct run *r)
{
    det_trainer_destroy(&r->trainer);
    det_pipeline_config_destroy(&r->config);
    det_context_destroy(&r->context);
}

enum { STEPS = 60, AVERAGED = 10 };

/* Losses of a whole training; of the first step the gradient's norm too. */
struct course {
    double first, norm, begin, end;
};

static struct course train(const char *precision, bool frozen, int steps)
{
    struct workspace w;
    workspace_make(&w, "bf16_course");
    if (frozen)
        workspace_edit_config(&w, "num_classes: 2", "num_classes: 2 freeze_batchnorm: true");
    workspace_edit_config(&w, "num_steps: 12", "num_steps: 60");
    workspace_edit_config(&w, "total_steps: 12", "total_steps: 60");
    struct run r;
    struct course course = {0};
    open_run(&r, &w, precision, 2, steps);
    for (int i = 0; i < steps; i++) {
        det_step_report report = {.struct_size = sizeof report};
        assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
        if (i == 0) {
            course.first = report.total_loss;
            course.norm = report.gradient_norm;
        }
        if (i < AVERAGED)
            course.begin += report.total_loss / AVERAGED;
        else if (i >= STEPS - AVERAGED)
            course.end += report.total_loss / AVERAGED;
    }
    close_run(&r);
    workspace_remove(&w);
    return course;
}

static void print(const char *what, struct course c)
{
    print_message("%s: first loss %.6f, gradient norm %.6f, losses %.4f to %.4f\n", what, c.first,
                  c.norm, c.begin, c.end);
}

/* With the statistics of a batch norm over four values small changes become large ones: the order
 * of a sum moves the end of a course in float32 by several percent. So one step is compared with
 * frozen norms, and of a course with the batch's how it begins and how far the loss falls. */
static void the_loss_follows_float32(void **state)
{
    (void)state;
    const struct course step = train("f32", true, 1), step16 = train("bf16", true, 1);
    const struct course f32 = train("f32", false, STEPS), bf16 = train("bf16", false, STEPS);
    print("frozen, f32", step);
    print("frozen, bf16", step16);
    print("f32", f32);
    print("bf16", bf16);
    assert_true(f32.first != bf16.first); /* rounded for sure */
    assert_near(step16.first, step.first, 0.005 * step.first);
    assert_near(step16.norm, step.norm, 0.02 * step.norm);
    assert_near(bf16.begin, f32.begin, 0.05 * f32.begin);
    assert_true(bf16.begin - bf16.end > 0.75 * (f32.begin - f32.end));
}

static char *train_to(const struct workspace *w, int threads, int64_t steps, size_t *bytes)
{
    struct run r;
    char path[400];
    open_run(&r, w, "bf16", threads, steps);
    assert_context_ok(r.context, det_trainer_run(r.trainer, NULL, NULL));
    close_run(&r);
    snprintf(path, sizeof path, "%s/ckpt-%lld.det", w->model_dir, (long long)steps);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *bytes = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*bytes);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *bytes, file), *bytes);
    fclose(file);
    return data;
}

static void resume_is_exact_for_any_thread_count(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "bf16_resume");
    size_t whole_bytes = 0, parts_bytes = 0, unused = 0;
    char *whole = train_to(&w, 1, 6, &whole_bytes);
    test_remove_tree(w.model_dir);
    free(train_to(&w, 2, 2, &unused));
    char *parts = train_to(&w, 3, 6, &parts_bytes);
    assert_int_equal(whole_bytes, parts_bytes);
    assert_memory_equal(whole, parts, whole_bytes);
    free(whole);
    free(parts);
    workspace_remove(&w);
}

int test_bf16_training(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loss_follows_float32),
        cmocka_unit_test(resume_is_exact_for_any_thread_count),
    };
    return cmocka_run_group_tests_name("bf16_training", tests, NULL, NULL);
}
