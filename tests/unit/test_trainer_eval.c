/* train/trainer_eval, train/best: evaluation between steps changes nothing of the training; the
 * best checkpoint and the early stop come out the same with and without interruptions. */
#include <math.h>
#include <unistd.h>

#include "model/model.h"
#include "support/workspace.h"
#include "train/best.h"

static void run_settings(const struct workspace *w, det_trainer_settings *settings,
                         det_evaluation_settings *evaluation)
{
    det_trainer_settings_default(settings);
    det_evaluation_settings_default(evaluation);
    settings->evaluation = evaluation;
    settings->model_dir = w->model_dir;
    settings->checkpoint_every_steps = 0;
    settings->eval_every_steps = 4;
    evaluation->max_images = 4;
    settings->keep_best = "Loss/localization_loss";
    settings->summary_every_steps = 0;
}

static char *read_file(const char *folder, const char *name, size_t *bytes)
{
    char path[500];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return test_read_bytes(path, bytes);
}

static void assert_same_file(const char *folder_a, const char *folder_b, const char *name)
{
    size_t a_bytes = 0, b_bytes = 0;
    char *a = read_file(folder_a, name, &a_bytes), *b = read_file(folder_b, name, &b_bytes);
    assert_int_equal(a_bytes, b_bytes);
    if (memcmp(a, b, a_bytes) != 0)
        fail_msg("%s/%s and %s/%s differ", folder_a, name, folder_b, name);
    free(a);
    free(b);
}

static void evaluations_come_between_the_steps(void **state)
{
    (void)state;
    struct workspace w;
    struct workspace_run r;
    det_trainer_settings settings;
    det_evaluation_settings evaluating;
    det_trainer_best best = {.struct_size = sizeof best};
    double lowest = INFINITY;
    int64_t lowest_step = 0;
    workspace_make(&w, "between");
    run_settings(&w, &settings, &evaluating);
    assert_context_ok(r.context, workspace_run_open(&r, &w, &settings, 2));
    for (int64_t step = 1; step <= 12; step++) {
        det_step_report report = {.struct_size = sizeof report};
        assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
        assert_int_equal(report.step, step);
        assert_int_equal(report.evaluation != NULL, step % 4 == 0);
        assert_int_equal(report.api_evaluation != NULL, step % 4 == 0);
        if (report.evaluation == NULL)
            continue;
        det_evaluation_losses losses = {.struct_size = sizeof losses},
                              api = {.struct_size = sizeof api};
        assert_int_equal(det_evaluation_get_losses(report.evaluation, &losses), DET_OK);
        assert_int_equal(det_evaluation_get_losses(report.api_evaluation, &api), DET_OK);
        assert_true(fabs(losses.localization - api.localization) > 1e-4);
        assert_int_equal(det_evaluation_coco(report.evaluation)->images, 4);
        assert_int_equal(report.is_best, losses.localization < lowest);
        assert_true(report.eval_seconds > 0);
        if (report.is_best) {
            lowest = losses.localization;
            lowest_step = step;
        }
    }
    assert_int_equal(det_trainer_get_best(r.trainer, &best), DET_OK);
    assert_true(best.known);
    assert_string_equal(best.metric, "Loss/localization_loss");
    assert_int_equal(best.step, lowest_step);
    assert_near(best.value, lowest, 0);
    /* The file is that step's, alone in its folder, and gives the same figures again. */
    char folder[400];
    det_checkpoint_info info;
    det_model *model = NULL;
    det_evaluation *evaluation = NULL;
    det_evaluation_losses losses = {.struct_size = sizeof losses};
    snprintf(folder, sizeof folder, "%s/best", w.model_dir);
    assert_context_ok(r.context, det_checkpoint_find(r.context, folder, &info));
    assert_int_equal(info.step, lowest_step);
    assert_context_ok(r.context, det_model_load(r.context, info.path, &model));
    evaluating.as_exported = 1;
    assert_context_ok(r.context,
                      det_evaluation_run(r.context, r.config, model, &evaluating, &evaluation));
    assert_int_equal(det_evaluation_get_losses(evaluation, &losses), DET_OK);
    assert_near(losses.localization, lowest, 0);
    det_evaluation_destroy(&evaluation);
    det_model_destroy(&model);
    workspace_run_close(&r);
    workspace_remove(&w);
}

static void training_is_the_same_without_them(void **state)
{
    (void)state;
    struct workspace w;
    det_model *models[2] = {NULL, NULL};
    workspace_make(&w, "same");
    struct workspace_run runs[2];
    for (int i = 0; i < 2; i++) {
        det_trainer_settings settings;
        det_evaluation_settings evaluating;
        run_settings(&w, &settings, &evaluating);
        settings.model_dir = NULL;
        settings.num_steps = 6;
        settings.eval_every_steps = i == 0 ? 0 : 2;
        settings.keep_best = NULL;
        assert_context_ok(runs[i].context, workspace_run_open(&runs[i], &w, &settings, 1));
        assert_context_ok(runs[i].context, det_trainer_run(runs[i].trainer, NULL, NULL));
        assert_context_ok(runs[i].context, det_trainer_snapshot(runs[i].trainer, &models[i]));
    }
    assert_memory_equal(models[0]->params, models[1]->params,
                        models[0]->graph.param_floats * sizeof(float));
    for (int i = 0; i < 2; i++) {
        det_model_destroy(&models[i]);
        workspace_run_close(&runs[i]);
    }
    workspace_remove(&w);
}

/* Ends the run after a step, or in the middle of that step's evaluation. */
struct stop {
    int64_t step;
    bool in_evaluation;
    int64_t now;
    bool cancelled;
};

static int stop_evaluation(void *user, int64_t done, int64_t total)
{
    struct stop *stop = user;
    (void)total;
    stop->cancelled = stop->in_evaluation && stop->now + 1 == stop->step && done == 2;
    return stop->cancelled;
}

static int stop_step(void *user, const det_step_report *report)
{
    struct stop *stop = user;
    stop->now = report->step;
    return report->step >= stop->step;
}

static void run_until(const struct workspace *w, struct stop stop, int threads)
{
    struct workspace_run r;
    det_trainer_settings settings;
    det_evaluation_settings evaluating;
    run_settings(w, &settings, &evaluating);
    evaluating.progress = stop_evaluation;
    evaluating.progress_user = &stop;
    assert_context_ok(r.context, workspace_run_open(&r, w, &settings, threads));
    stop.now = det_trainer_steps_done(r.trainer);
    assert_context_ok(r.context, det_trainer_run(r.trainer, stop_step, &stop));
    assert_int_equal(det_trainer_steps_done(r.trainer), stop.step);
    assert_int_equal(stop.cancelled, stop.in_evaluation);
    workspace_run_close(&r);
}

static void interruptions_change_nothing(void **state)
{
    (void)state;
    struct workspace whole, parts;
    char a[400], b[400], name[64];
    workspace_make(&whole, "whole");
    workspace_make(&parts, "parts");
    run_until(&whole, (struct stop){.step = 12}, 1);
    run_until(&parts, (struct stop){.step = 3}, 2);
    run_until(&parts, (struct stop){.step = 4, .in_evaluation = true}, 1);
    run_until(&parts, (struct stop){.step = 8}, 3);
    run_until(&parts, (struct stop){.step = 12, .in_evaluation = true}, 2);
    /* All steps are done, one evaluation is not. */
    run_until(&parts, (struct stop){.step = 12}, 1);
    assert_same_file(whole.model_dir, parts.model_dir, "ckpt-12.det");
    snprintf(a, sizeof a, "%s/best", whole.model_dir);
    snprintf(b, sizeof b, "%s/best", parts.model_dir);
    assert_same_file(a, b, "checkpoint");
    char *text = NULL;
    size_t bytes = 0;
    text = read_file(a, "checkpoint", &bytes);
    text[bytes] = '\0';
    assert_int_equal(sscanf(text, "model_checkpoint_path: \"%60[^\"]", name), 1);
    free(text);
    assert_same_file(a, b, name);
    workspace_remove(&whole);
    workspace_remove(&parts);
}

static void patience_ends_a_training(void **state)
{
    (void)state;
    struct workspace w;
    struct workspace_run r;
    det_trainer_settings settings;
    det_evaluation_settings evaluating;
    det_trainer_best best = {.struct_size = sizeof best};
    det_step_report report = {.struct_size = sizeof report};
    workspace_make(&w, "patience");
    run_settings(&w, &settings, &evaluating);
    settings.eval_every_steps = 2;
    settings.patience = 2;
    settings.min_delta = 1e6; /* no gain is enough after the first */
    assert_context_ok(r.context, workspace_run_open(&r, &w, &settings, 1));
    assert_context_ok(r.context, det_trainer_run(r.trainer, NULL, NULL));
    assert_int_equal(det_trainer_steps_done(r.trainer), 6);
    assert_int_equal(det_trainer_get_best(r.trainer, &best), DET_OK);
    assert_int_equal(best.stopped_early, 1);
    assert_int_equal(best.evaluations_since, 2);
    assert_context_fails(r.context, DET_STATUS_FINISHED, "stopped early",
                         det_trainer_step(r.trainer, &report));
    workspace_run_close(&r);
    /* The same again has nothing to do; more patience goes on. */
    assert_context_fails(r.context, DET_STATUS_FINISHED, "stopped early",
                         workspace_run_open(&r, &w, &settings, 1));
    workspace_run_close(&r);
    settings.patience = 3;
    assert_context_ok(r.context, workspace_run_open(&r, &w, &settings, 1));
    assert_context_ok(r.context, det_trainer_run(r.trainer, NULL, NULL));
    assert_int_equal(det_trainer_steps_done(r.trainer), 8);
    workspace_run_close(&r);
    workspace_remove(&w);
}

static void another_metric_begins_anew(void **state)
{
    (void)state;
    struct workspace w;
    struct workspace_run r;
    det_trainer_settings settings;
    det_evaluation_settings evaluating;
    det_trainer_best best = {.struct_size = sizeof best};
    workspace_make(&w, "metric");
    run_settings(&w, &settings, &evaluating);
    settings.num_steps = 4;
    assert_context_ok(r.context, workspace_run_open(&r, &w, &settings, 1));
    assert_context_ok(r.context, det_trainer_run(r.trainer, NULL, NULL));
    workspace_run_close(&r);
    settings.num_steps = 12;
    settings.keep_best = "total_loss";
    assert_context_ok(r.context, workspace_run_open(&r, &w, &settings, 1));
    assert_int_equal(det_trainer_get_best(r.trainer, &best), DET_OK);
    assert_false(best.known);
    assert_string_equal(best.metric, "Loss/total_loss");
    workspace_run_close(&r);
    /* A run without evaluations hands on what it found. */
    settings.eval_every_steps = 0;
    settings.keep_best = NULL;
    settings.num_steps = 5;
    assert_context_ok(r.context, workspace_run_open(&r, &w, &settings, 1));
    assert_context_ok(r.context, det_trainer_run(r.trainer, NULL, NULL));
    assert_int_equal(det_trainer_get_best(r.trainer, &best), DET_OK);
    assert_true(best.known);
    assert_int_equal(best.step, 4);
    workspace_run_close(&r);
    workspace_remove(&w);
}

static void wrong_settings_are_named(void **state)
{
    (void)state;
    struct workspace w;
    struct workspace_run r;
    det_trainer_settings settings;
    det_evaluation_settings evaluating;
    workspace_make(&w, "wrong");
    run_settings(&w, &settings, &evaluating);
    settings.keep_best = "mAp";
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT,
                         "\"mAp\" is no figure of an evaluation, expected one of: mAP, mAP@.50IOU",
                         workspace_run_open(&r, &w, &settings, 1));
    workspace_run_close(&r);
    run_settings(&w, &settings, &evaluating);
    settings.eval_every_steps = 0;
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "need eval_every_steps",
                         workspace_run_open(&r, &w, &settings, 1));
    workspace_run_close(&r);
    run_settings(&w, &settings, &evaluating);
    settings.min_delta = NAN;
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "min_delta",
                         workspace_run_open(&r, &w, &settings, 1));
    workspace_run_close(&r);
    /* Evaluation data that cannot be read is told before the first step. */
    run_settings(&w, &settings, &evaluating);
    workspace_edit_config(&w, "'test.tfrecord'", "'none.tfrecord'");
    assert_context_fails(r.context, DET_STATUS_NOT_FOUND, "none.tfrecord",
                         workspace_run_open(&r, &w, &settings, 1));
    workspace_run_close(&r);
    workspace_remove(&w);
}

static void best_of_a_row_of_figures(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_best best = {0};
    assert_ok(&t.env, det_best_metric(&t.env, "", best.metric));
    assert_string_equal(best.metric, "DetectionBoxes_Precision/mAP");
    assert_ok(&t.env, det_best_metric(&t.env, "AR@100 (small)", best.metric));
    assert_string_equal(best.metric, "DetectionBoxes_Recall/AR@100 (small)");
    static const struct {
        double value;
        bool is_best;
        int64_t stale;
    } row[] = {
        {-1, false, 1},  {NAN, false, 2}, {.10, true, 0},  {.105, true, 1},
        {.109, true, 2}, {.12, true, 0},  {.12, false, 1}, {INFINITY, false, 2},
        {.05, false, 3}, {.125, true, 4}, {.2, true, 0},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        assert_int_equal(det_best_update(&best, row[i].value, (int64_t)i + 1, .01), row[i].is_best);
        assert_int_equal(best.stale, row[i].stale);
        assert_int_equal(best.evaluated_step, i + 1);
    }
    assert_int_equal(best.step, 11);
    /* Of a loss less is better, and it may be negative. */
    struct det_best loss = {.metric = "Loss/total_loss"};
    assert_true(det_best_update(&loss, 2, 1, 0));
    assert_true(det_best_update(&loss, -1, 2, 0));
    assert_false(det_best_update(&loss, 0, 3, 0));
    test_env_check(&t);
}

int test_trainer_eval(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evaluations_come_between_the_steps),
        cmocka_unit_test(training_is_the_same_without_them),
        cmocka_unit_test(interruptions_change_nothing),
        cmocka_unit_test(patience_ends_a_training),
        cmocka_unit_test(another_metric_begins_anew),
        cmocka_unit_test(wrong_settings_are_named),
        cmocka_unit_test(best_of_a_row_of_figures),
    };
    return cmocka_run_group_tests_name("trainer_eval", tests, NULL, NULL);
}
