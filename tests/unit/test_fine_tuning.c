/* Fine-tuning practice: frozen variables, moving averages of the weights, gradient accumulation:
 * what they do to the parameters, and that a resumed training goes on with them bit for bit. */
#include <math.h>

#include "model/model.h"
#include "support/mem.h"
#include "support/workspace.h"
#include "train/trainer.h"

static det_status open_run(struct workspace_run *r, const struct workspace *w, int64_t steps,
                           int32_t accumulate)
{
    det_trainer_settings settings;
    det_trainer_settings_default(&settings);
    settings.model_dir = w->model_dir;
    settings.num_steps = steps;
    settings.checkpoint_every_steps = 0;
    settings.summary_every_steps = 0;
    settings.accumulate = accumulate;
    return workspace_run_open(r, w, &settings, 2);
}

static float *copy(const float *values, size_t count)
{
    float *to = malloc(count * sizeof *to);
    assert_non_null(to);
    memcpy(to, values, count * sizeof *to);
    return to;
}

/* Trains `steps` in one go and in two, and compares parameters and optimizer state. */
static void check_resume(const struct workspace *w, int32_t accumulate)
{
    struct workspace_run whole, parts;
    struct workspace other = *w;
    assert_context_ok(whole.context, open_run(&whole, w, 6, accumulate));
    assert_context_ok(whole.context, det_trainer_run(whole.trainer, NULL, NULL));
    snprintf(other.model_dir, sizeof other.model_dir, "%s/parts", w->directory);
    for (int64_t steps = 4; steps <= 6; steps += 2) {
        assert_context_ok(parts.context, open_run(&parts, &other, steps, accumulate));
        assert_context_ok(parts.context, det_trainer_run(parts.trainer, NULL, NULL));
        if (steps < 6)
            workspace_run_close(&parts);
    }
    const struct det_learner *a = whole.trainer->learner, *b = parts.trainer->learner;
    assert_memory_equal(a->params, b->params, a->graph.param_floats * sizeof(float));
    for (int32_t s = 0; s < a->slot_count; s++)
        assert_memory_equal(a->slots[s], b->slots[s], a->graph.param_floats * sizeof(float));
    assert_int_equal(whole.trainer->state.next_sample, parts.trainer->state.next_sample);
    workspace_run_close(&whole);
    workspace_run_close(&parts);
}

static void frozen_variables_stay(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "freeze");
    workspace_edit_config(&w, "batch_size: 4 ",
                          "batch_size: 4 update_trainable_variables: 'model/' "
                          "freeze_variables: 'classification_backbone/.*(kernel|gamma)$' "
                          "freeze_variables: '_box_predictor/.*box_encodings' ");
    struct workspace_run r;
    assert_context_ok(r.context, open_run(&r, &w, 3, 1));
    const struct det_learner *l = r.trainer->learner;
    float *before = copy(l->params, l->graph.param_floats);
    assert_context_ok(r.context, det_trainer_run(r.trainer, NULL, NULL));
    int frozen = 0, learnt = 0;
    for (int32_t p = 0; p < l->graph.param_count; p++) {
        const struct det_param *param = &l->graph.params[p];
        const size_t length = strlen(param->key);
        const bool expected =
            param->trainable && ((strstr(param->key, "classification_backbone/") != NULL &&
                                  (strcmp(param->key + length - 6, "kernel") == 0 ||
                                   strcmp(param->key + length - 5, "gamma") == 0)) ||
                                 (strstr(param->key, "_box_predictor/") != NULL &&
                                  strstr(param->key, "box_encodings") != NULL));
        const bool same = memcmp(before + param->offset, l->params + param->offset,
                                 param->count * sizeof(float)) == 0;
        if (expected)
            assert_true(same);
        frozen += expected;
        learnt += param->trainable && !expected && !same;
    }
    assert_true(frozen > 40 && learnt > 40);
    free(before);
    workspace_run_close(&r);
    workspace_remove(&w);
}

/* What costs regcomp() the stack or minutes: a limit says so at once, in pattern after pattern. */
static void hostile_patterns_are_refused(void **state)
{
    (void)state;
    static const char *const parts[] = {"a", "*", "(", "x{9}"};
    struct workspace_run r;
    struct workspace w;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const size_t length = strlen(parts[i]), count = 20000;
        char *edit = malloc(length * count + 200);
        assert_non_null(edit);
        char *at = edit + sprintf(edit, "batch_size: 4 freeze_variables: 'm");
        for (size_t n = 0; n < count; n++, at += length)
            memcpy(at, parts[i], length);
        strcpy(at, "' ");
        workspace_make(&w, "hostile_patterns");
        workspace_edit_config(&w, "batch_size: 4 ", edit);
        assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "is longer than 1000 bytes",
                             open_run(&r, &w, 3, 1));
        workspace_run_close(&r);
        workspace_remove(&w);
        free(edit);
    }
    char *edit = malloc(100000);
    assert_non_null(edit);
    char *at = edit + sprintf(edit, "batch_size: 4 ");
    for (int i = 0; i < 1000; i++)
        at += sprintf(at, "freeze_variables: 'classification_backbone' ");
    workspace_make(&w, "many_patterns");
    workspace_edit_config(&w, "batch_size: 4 ", edit);
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "are too many or too long",
                         open_run(&r, &w, 3, 1));
    workspace_run_close(&r);
    workspace_remove(&w);
    free(edit);
}

static void bad_patterns_are_named(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"freeze_variables: 'nothing_of_this_name' ", "is found in no variable's name"},
        {"freeze_variables: '(open' ", "pattern \"(open\""},
        {"freeze_variables: 'layer_\\\\d' ", "not part of POSIX"},
        {"freeze_variables: '.' ", "there is nothing to learn"},
        {"update_trainable_variables: 'x*?' ", "not part of POSIX"},
        {"freeze_variables: 'model' freeze_variables: '(?:x)' ",
         "pipeline.config:40:43: train_config.freeze_variables: pattern \"(?:x)\": (? is not part"},
        {"freeze_variables: 'a**' ", "a quantifier stands behind a quantifier"},
        {"freeze_variables: '(a{255}){255}' ", "asks for too many repetitions"},
        {"freeze_variables: 'a{99999999999999999999}' ", "asks for too many repetitions"},
        {"freeze_variables: '((((((((((((((((((((((x))))))))))))))))))))))' ", "nested too deep"},
        {"freeze_variables: '(a)\\\\1' ", "references to groups are not supported"},
        {"freeze_variables: '[(?*' ", "pattern \"[(?*\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct workspace w;
        char edited[200];
        workspace_make(&w, "patterns");
        snprintf(edited, sizeof edited, "batch_size: 4 %s", cases[i][0]);
        workspace_edit_config(&w, "batch_size: 4 ", edited);
        struct workspace_run r;
        assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, cases[i][1],
                             open_run(&r, &w, 3, 1));
        assert_non_null(strstr(det_context_error(r.context), "pipeline.config:"));
        workspace_run_close(&r);
        workspace_remove(&w);
    }
}

/* a1 begins as w0; after update t: a += (1 - min(decay, (1 + t) / (10 + t))) (w - a). */
static void averages_follow_the_weights(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "averages");
    workspace_edit_config(&w, "use_moving_average: false",
                          "use_moving_average: true moving_average_decay: 0.2");
    workspace_edit_config(&w, "eval_config {", "eval_config { use_moving_averages: true ");
    struct workspace_run r;
    assert_context_ok(r.context, open_run(&r, &w, 5, 1));
    const struct det_learner *l = r.trainer->learner;
    const size_t floats = l->graph.param_floats;
    double *expected = malloc(floats * sizeof *expected);
    assert_non_null(expected);
    for (size_t i = 0; i < floats; i++)
        expected[i] = (double)l->params[i];
    for (int t = 1; t <= 5; t++) {
        det_step_report report = {.struct_size = sizeof report};
        assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
        const double decay = fmin(.2, (1.0 + t) / (10.0 + t));
        for (size_t i = 0; i < floats; i++)
            expected[i] += (1 - decay) * ((double)l->params[i] - expected[i]);
    }
    assert_int_equal(l->average_slot, 1);
    det_model *snapshot = NULL, *loaded = NULL;
    assert_context_ok(r.context, det_trainer_snapshot(r.trainer, &snapshot));
    assert_context_ok(r.context,
                      det_model_load_checkpoint(r.context, r.config, w.model_dir, &loaded));
    int moved = 0;
    for (int32_t p = 0; p < l->graph.param_count; p++) {
        const struct det_param *param = &l->graph.params[p];
        for (size_t i = param->offset; i < param->offset + param->count; i++) {
            const float value = param->trainable ? l->slots[1][i] : l->params[i];
            if (param->trainable)
                assert_near(value, expected[i], 1e-5);
            moved += value != l->params[i];
            assert_memory_equal(&snapshot->owned[i], &value, sizeof value);
            if (param->stored)
                assert_memory_equal(&loaded->owned[i], &value, sizeof value);
        }
    }
    assert_true(moved > 1000);
    det_model_destroy(&snapshot);
    det_model_destroy(&loaded);
    free(expected);
    workspace_run_close(&r);
    workspace_remove(&w);

    workspace_make(&w, "averages");
    workspace_edit_config(&w, "use_moving_average: false", "use_moving_average: true");
    check_resume(&w, 1);
    /* Another setting than the checkpoint's is said. */
    workspace_edit_config(&w, "use_moving_average: true", "use_moving_average: false");
    assert_context_fails(r.context, DET_STATUS_MISMATCH, "with use_moving_average",
                         open_run(&r, &w, 8, 1));
    workspace_run_close(&r);
    workspace_remove(&w);
}

/* A model of a training without averages cannot be evaluated with them. */
static void missing_averages_are_named(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "no_averages");
    struct workspace_run r;
    assert_context_ok(r.context, open_run(&r, &w, 1, 1));
    assert_context_ok(r.context, det_trainer_run(r.trainer, NULL, NULL));
    workspace_run_close(&r);
    workspace_edit_config(&w, "eval_config {", "eval_config { use_moving_averages: true ");
    assert_int_equal(open_run(&r, &w, 2, 1), DET_OK);
    det_model *model = NULL;
    assert_context_fails(r.context, DET_STATUS_MISMATCH, "use_moving_average",
                         det_model_load_checkpoint(r.context, r.config, w.model_dir, &model));
    assert_null(model);
    workspace_run_close(&r);
    workspace_remove(&w);
}

/* One step of three batches against the gradients of the three taken one by one. */
static void accumulation_takes_the_mean(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "accumulate");
    workspace_edit_config(&w, "batch_size: 4 ", "batch_size: 2 gradient_clipping_by_norm: 0.5 ");
    struct workspace_run r, single;
    struct workspace other = w;
    snprintf(other.model_dir, sizeof other.model_dir, "%s/single", w.directory);
    assert_context_ok(r.context, open_run(&r, &w, 2, 3));
    assert_context_ok(single.context, open_run(&single, &other, 2, 1));
    struct det_learner *l = single.trainer->learner;
    const struct det_learner *accumulated = r.trainer->learner;
    const size_t floats = l->graph.param_floats;
    double *mean = calloc(floats, sizeof *mean), total = 0, squares = 0;
    float *before = copy(l->params, floats);
    assert_non_null(mean);
    for (int i = 0; i < 3; i++) {
        struct det_batch batch;
        struct det_step_result result;
        assert_ok(&single.t.env,
                  det_loader_next(single.trainer->env, single.trainer->loader, &batch));
        assert_ok(&single.t.env, det_learner_gradients(single.trainer->env, l, batch.images,
                                                       batch.truths, &result));
        total += result.total_loss / 3;
        for (size_t k = 0; k < floats; k++)
            mean[k] += (double)l->gradients[k] / 3;
    }
    det_step_report report = {.struct_size = sizeof report};
    assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
    assert_int_equal(report.images, 6);
    assert_int_equal(r.trainer->state.next_sample, 6);
    assert_int_equal(accumulated->updates, 1);
    assert_near(report.total_loss, total, 1e-5 * total);
    for (int32_t p = 0; p < l->graph.param_count; p++)
        if (l->graph.params[p].trainable)
            for (size_t k = 0; k < l->graph.params[p].count; k++)
                squares += pow(mean[l->graph.params[p].offset + k], 2);
    assert_near(report.gradient_norm, sqrt(squares), 1e-4 * sqrt(squares));
    /* The first update of momentum: - rate * gradient, clipped. */
    const double factor = fmin(1, .5 / sqrt(squares)) * report.learning_rate;
    double error = 0, size = 0;
    for (int32_t p = 0; p < l->graph.param_count; p++) {
        const struct det_param *param = &l->graph.params[p];
        for (size_t k = param->offset; param->trainable && k < param->offset + param->count; k++) {
            error +=
                pow((double)accumulated->params[k] - ((double)before[k] - factor * mean[k]), 2);
            size += pow(factor * mean[k], 2);
        }
    }
    assert_true(size > 0);
    assert_true(sqrt(error) <= 1e-4 * sqrt(size) + 1e-6);
    free(mean);
    free(before);
    workspace_run_close(&r);
    workspace_run_close(&single);
    workspace_remove(&w);
    workspace_make(&w, "accumulate");
    workspace_edit_config(&w, "batch_size: 4 ", "batch_size: 2 ");
    check_resume(&w, 2);
    workspace_remove(&w);
}

/* All together learn, resume and stay finite. */
static void everything_at_once_resumes(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "everything");
    workspace_edit_config(&w, "momentum_optimizer", "adam_optimizer");
    workspace_edit_config(&w, "momentum_optimizer_value: 0.9 } use_moving_average: false",
                          "epsilon: 1e-7 } use_moving_average: true");
    workspace_edit_config(&w, "learning_rate_base: 0.1", "learning_rate_base: 0.02");
    workspace_edit_config(&w, "classification_weight: 1",
                          "hard_example_miner { num_hard_examples: 50 iou_threshold: 0.9 "
                          "loss_type: CLASSIFICATION max_negatives_per_positive: 3 } "
                          "classification_weight: 1");
    workspace_edit_config(&w, "batch_size: 4 ",
                          "batch_size: 2 freeze_variables: 'classification_backbone' ");
    workspace_edit_config(
        &w, "random_horizontal_flip { }",
        "random_absolute_pad_image { max_height_padding: 20 max_width_padding: 9 }");
    check_resume(&w, 2);
    workspace_remove(&w);
}

int test_fine_tuning(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frozen_variables_stay),
        cmocka_unit_test(bad_patterns_are_named),
        cmocka_unit_test(hostile_patterns_are_refused),
        cmocka_unit_test(averages_follow_the_weights),
        cmocka_unit_test(missing_averages_are_named),
        cmocka_unit_test(accumulation_takes_the_mean),
        cmocka_unit_test(everything_at_once_resumes),
    };
    return cmocka_run_group_tests_name("fine_tuning", tests, NULL, NULL);
}
