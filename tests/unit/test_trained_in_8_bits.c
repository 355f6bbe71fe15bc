/* graph_rewriter { quantization { } } of a pipeline.config: when it begins, exact resume around
 * that, what its checkpoints and exports are, and what is refused. */
#include <math.h>
#include <unistd.h>

#include "devices/context.h"
#include "model/fold.h"
#include "model/model.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/ops.h"
#include "support/run_tool.h"
#include "support/workspace.h"
#include "train/trainer.h"

enum { DELAY = 4, STEPS = 9 };

struct run {
    struct test_env t;
    struct test_warnings warnings;
    det_context *context;
    det_pipeline_config *config;
    det_trainer *trainer;
};

static void make(struct workspace *w, const char *name)
{
    char rewriter[128];
    workspace_make(w, name);
    snprintf(rewriter, sizeof rewriter,
             "graph_rewriter { quantization { delay: %d weight_bits: 8 } } eval_config {", DELAY);
    workspace_edit_config(w, "eval_config {", rewriter);
}

static det_status open_trainer(struct run *r, const struct workspace *w, int64_t steps,
                               det_trainer_settings settings)
{
    settings.model_dir = w->model_dir;
    settings.num_steps = steps;
    settings.checkpoint_every_steps = 0;
    const det_status status = det_pipeline_config_load(r->context, w->config, &r->config);
    return status != DET_OK ? status
                            : det_trainer_create(r->context, r->config, &settings, &r->trainer);
}

static det_trainer_settings defaults(void)
{
    det_trainer_settings settings;
    det_trainer_settings_default(&settings);
    return settings;
}

static void begin(struct run *r, int threads)
{
    *r = (struct run){0};
    test_env_init(&r->t);
    r->context = workspace_context(&r->t, threads);
}

static void end(struct run *r)
{
    det_trainer_destroy(&r->trainer);
    det_pipeline_config_destroy(&r->config);
    det_context_destroy(&r->context);
    test_env_check(&r->t);
}

/* Trains to step `steps`; the last checkpoint's bytes (malloc). */
static char *train_to(const struct workspace *w, int threads, int64_t steps,
                      det_trainer_settings settings, size_t *bytes)
{
    struct run r;
    char path[400];
    begin(&r, threads);
    assert_context_ok(r.context, open_trainer(&r, w, steps, settings));
    assert_context_ok(r.context, det_trainer_run(r.trainer, NULL, NULL));
    end(&r);
    snprintf(path, sizeof path, "%s/ckpt-%lld.det", w->model_dir, (long long)steps);
    return test_read_bytes(path, bytes);
}

static void check_resume(const struct workspace *w, det_trainer_settings settings)
{
    size_t whole_bytes = 0, parts_bytes = 0, unused = 0;
    char *whole = train_to(w, 1, STEPS, settings, &whole_bytes);
    test_remove_tree(w->model_dir);
    /* before it, right before its first step, behind that, and at the end */
    free(train_to(w, 2, DELAY - 1, settings, &unused));
    free(train_to(w, 3, DELAY, settings, &unused));
    free(train_to(w, 1, DELAY + 1, settings, &unused));
    free(train_to(w, 2, DELAY + 3, settings, &unused));
    char *parts = train_to(w, 2, STEPS, settings, &parts_bytes);
    assert_int_equal(whole_bytes, parts_bytes);
    assert_memory_equal(whole, parts, whole_bytes);
    free(whole);
    free(parts);
    test_remove_tree(w->model_dir);
}

static void resume_is_exact(void **state)
{
    (void)state;
    struct workspace w;
    make(&w, "in_8_bits");
    det_trainer_settings settings = defaults();
    check_resume(&w, settings);
    settings.accumulate = 2;
    check_resume(&w, settings);
    settings.accumulate = 1;
    settings.recalibrate_images = 0;
    check_resume(&w, settings);
    settings.recalibrate_images = DET_RECALIBRATION_IMAGES;
    workspace_edit_config(&w, "use_moving_average: false", "use_moving_average: true");
    workspace_edit_config(&w, "eval_config { metrics_set",
                          "eval_config { use_moving_averages: true metrics_set");
    check_resume(&w, settings);
    workspace_remove(&w);
}

/* Before the delay nothing differs from a training without it. */
static void the_delay_is_kept(void **state)
{
    (void)state;
    struct workspace w, plain;
    size_t a_bytes = 0, b_bytes = 0;
    make(&w, "delay");
    workspace_make(&plain, "no_delay");
    det_trainer_settings settings = defaults();
    settings.recalibrate_images = 0;
    char *a = train_to(&w, 1, DELAY, settings, &a_bytes);
    char *b = train_to(&plain, 1, DELAY, settings, &b_bytes);
    assert_int_equal(a_bytes, b_bytes);
    assert_memory_equal(a, b, a_bytes);
    free(a);
    free(b);
    a = train_to(&w, 1, DELAY + 1, settings, &a_bytes);
    b = train_to(&plain, 1, DELAY + 1, settings, &b_bytes);
    assert_true(a_bytes > b_bytes); /* it has ranges */
    free(a);
    free(b);
    workspace_remove(&w);
    workspace_remove(&plain);
}

static const float *param_at(const struct det_learner *l, int32_t p)
{
    return l->params + l->graph.params[p].offset;
}

/* The statistics are those of the training pictures when it begins, and then constant. */
static void statistics_are_frozen(void **state)
{
    (void)state;
    struct workspace w;
    struct run r;
    det_step_report report = {.struct_size = sizeof report};
    make(&w, "frozen");
    begin(&r, 1);
    assert_context_ok(r.context, open_trainer(&r, &w, STEPS, defaults()));
    const struct det_learner *l = r.trainer->learner;
    for (int i = 0; i < DELAY; i++)
        assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
    assert_int_equal(l->ranges.updates, 0);
    float *moving = ops_buffer(l->graph.param_floats, l->params);
    assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
    assert_int_equal(l->ranges.updates, 1);
    float *frozen = ops_buffer(l->graph.param_floats, l->params);
    for (int i = 0; i < 2; i++)
        assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
    assert_int_equal(l->ranges.updates, 3);
    int32_t statistics = 0, changed = 0, learning = 0;
    for (int32_t p = 0; p < l->graph.param_count; p++) {
        const struct det_param *param = &l->graph.params[p];
        const size_t bytes = param->count * sizeof(float);
        if (param->role == DET_PARAM_MOVING_MEAN || param->role == DET_PARAM_MOVING_VARIANCE) {
            statistics++;
            changed += memcmp(moving + param->offset, frozen + param->offset, bytes) != 0;
            assert_memory_equal(param_at(l, p), frozen + param->offset, bytes);
        } else if (param->trainable) {
            learning += memcmp(param_at(l, p), frozen + param->offset, bytes) != 0 ? 1 : -1;
        }
    }
    assert_true(statistics > 0 && changed == statistics);
    assert_true(learning > 0); /* most of them: of small networks some units are dead */
    ops_free(moving);
    ops_free(frozen);
    end(&r);
    workspace_remove(&w);
}

/* --- export --- */

static int refuse(void *user, const det_model *candidate)
{
    int *asked = user;
    assert_non_null(candidate);
    ++*asked;
    return 0;
}

/* The training's own last forward against the model in 8 bits: weights to the bit, outputs within
 * a step of what rounding in whole numbers and in float32 may differ by. */
static void check_export(struct run *r, det_model *model, det_model *quantised)
{
    struct det_env *env = &r->t.env;
    struct det_fold fold;
    assert_ok(env, det_fold_create(env, &model->spec, &model->graph, &fold));
    det_fold_params(&fold, NULL, model->params, &model->ranges);
    for (int32_t p = 0; p < fold.graph.param_count; p++) {
        const struct det_param *param = &fold.graph.params[p];
        if (param->role != DET_PARAM_BIAS)
            assert_memory_equal(fold.params + param->offset, quantised->params + param->offset,
                                param->count * sizeof(float));
    }
    det_fold_free(env, &fold);
}

static void the_export_is_what_was_trained(void **state)
{
    (void)state;
    struct workspace w;
    struct run r;
    size_t bytes = 0;
    char path[400];
    make(&w, "export_8");
    free(train_to(&w, 2, STEPS, defaults(), &bytes));
    begin(&r, 1);
    snprintf(path, sizeof path, "%s/ckpt-%d.det", w.model_dir, STEPS);
    assert_context_ok(r.context, det_pipeline_config_load(r.context, w.config, &r.config));
    for (int way = 0; way < 3; way++) {
        det_model *model = NULL, *quantised = NULL, *other = NULL;
        det_quantisation_info info = {.struct_size = sizeof info};
        assert_context_ok(r.context,
                          way == 0   ? det_model_load(r.context, path, &model)
                          : way == 1 ? det_model_load_checkpoint(r.context, r.config, path, &model)
                                     : det_model_load_resumable(r.context, r.config, path, &model));
        assert_true(det_model_is_trained_in_8_bits(model));
        assert_int_equal(model->ranges.updates, STEPS - DELAY);
        assert_context_ok(r.context, det_model_quantise(r.context, model, NULL, &quantised));
        assert_false(det_model_is_trained_in_8_bits(quantised));
        assert_context_ok(r.context, det_model_quantisation(r.context, quantised, &info));
        assert_int_equal(info.observer, DET_OBSERVER_TRAINED);
        assert_string_equal(det_quantisation_observer_name(info.observer), "trained");
        assert_int_equal(info.float_layers, 0);
        assert_int_equal(info.images, 0);
        check_export(&r, model, quantised);
        /* through a file and back */
        snprintf(path, sizeof path, "%s/saved.det", w.directory);
        assert_context_ok(r.context, det_model_save(r.context, quantised, path));
        assert_context_ok(r.context, det_model_load(r.context, path, &other));
        assert_context_ok(r.context, det_model_quantisation(r.context, other, &info));
        assert_int_equal(info.observer, DET_OBSERVER_TRAINED);
        det_model_destroy(&other);
        /* the training form keeps its ranges, and so do copies */
        assert_context_ok(r.context, det_model_save(r.context, model, path));
        assert_context_ok(r.context, det_model_load(r.context, path, &other));
        assert_memory_equal(other->ranges.high, model->ranges.high,
                            (size_t)model->ranges.count * sizeof(float));
        det_model_destroy(&other);
        assert_context_ok(r.context, det_model_copy(r.context, model, NULL, 0, &other));
        assert_int_equal(other->ranges.updates, model->ranges.updates);
        det_model_destroy(&other);
        /* what it was trained with is not taken anew, nor are its ranges */
        assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "trained in 8 bits",
                             det_model_recalibrate(r.context, r.config, model, NULL, &other));
        det_quantisation_settings s;
        det_quantisation_settings_default(&s);
        const char *records[] = {"x.tfrecord"};
        s.records = records;
        s.record_count = 1;
        assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT,
                             "neither pictures nor an observer can be given",
                             det_model_quantise(r.context, model, &s, &other));
        /* and no layer of it goes back to float32 */
        int asked = 0;
        s.record_count = 0;
        s.accept = refuse;
        s.accept_user = &asked;
        assert_context_fails(r.context, DET_STATUS_MISMATCH, "stays as it was trained",
                             det_model_quantise(r.context, model, &s, &other));
        assert_int_equal(asked, 1);
        det_model_destroy(&model);
        det_model_destroy(&quantised);
        snprintf(path, sizeof path, "%s/ckpt-%d.det", w.model_dir, STEPS);
    }
    end(&r);
    workspace_remove(&w);
}

/* What the training's network computes, the one in 8 bits does: the same integers but where
 * rounding in float32 and in whole numbers meet a half, and what follows from that. */
static void the_engine_computes_what_was_trained(void **state)
{
    (void)state;
    struct workspace w;
    struct run r;
    size_t bytes = 0, count = 0;
    char path[400];
    det_model *model = NULL, *quantised = NULL;
    struct det_net *net = NULL;
    struct det_fold fold;
    enum { SIDE = 96 };
    static uint8_t pixels[SIDE * SIDE * 3];
    static float images[SIDE * SIDE * 3];
    make(&w, "engine_8");
    free(train_to(&w, 2, STEPS, defaults(), &bytes));
    begin(&r, 1);
    struct det_env *env = &r.t.env;
    snprintf(path, sizeof path, "%s/ckpt-%d.det", w.model_dir, STEPS);
    assert_context_ok(r.context, det_model_load(r.context, path, &model));
    for (int i = 0; i < SIDE * SIDE * 3; i++) {
        pixels[i] = (uint8_t)(128 + 100 * sin(i / 3 % SIDE * .2) * cos(i / 3 / SIDE * .15));
        images[i] = pixels[i];
    }
    assert_ok(env, det_fold_create(env, &model->spec, &model->graph, &fold));
    assert_ok(env,
              det_net_create(env, &fold.graph, det_ops_ref(), NULL, 1, DET_NET_TRAIN_FOLDED, &net));
    det_fold_params(&fold, NULL, model->params, &model->ranges);
    model->ranges.updates = 0; /* this picture's ranges, not the averages with it */
    det_net_round(net, &model->ranges);
    det_net_set_images(net, images, SIDE, SIDE);
    det_net_forward(net, fold.params);
    det_net_update_ranges(net, &model->ranges);
    assert_context_ok(r.context, det_model_quantise(r.context, model, NULL, &quantised));
    det_detector_settings settings;
    det_detector *detector = NULL;
    const det_detection *found = NULL;
    det_detector_raw raw = {.struct_size = sizeof raw};
    det_detector_settings_default(&settings);
    settings.keep_outputs = 1;
    assert_context_ok(r.context, det_detector_create(r.context, quantised, &settings, &detector));
    const det_image_view view = {.pixels = pixels, .width = SIDE, .height = SIDE};
    assert_context_ok(r.context, det_detector_run(detector, &view, &found, &count));
    assert_context_ok(r.context, det_detector_outputs(detector, 0, &raw));
    const size_t logits =
        (size_t)det_model_anchor_count(model) * (size_t)(det_model_class_count(model) + 1);
    const float step = quantised->quantised->tensors[fold.graph.class_outputs[0]].scale;
    size_t same = 0;
    for (size_t i = 0; i < logits; i++) {
        const float off = fabsf(raw.logits[i] - det_net_logits(net)[i]) / step;
        same += off < .5f;
        if (!(off < 12.5f))
            fail_msg("logit %zu is %g steps off", i, (double)off);
    }
    if (same < logits * 7 / 10)
        fail_msg("%zu of %zu logits are the same", same, logits);
    det_detector_destroy(&detector);
    det_net_destroy(env, &net);
    det_fold_free(env, &fold);
    det_model_destroy(&model);
    det_model_destroy(&quantised);
    end(&r);
    workspace_remove(&w);
}

/* --- evaluations --- */

static int stop_at_once(void *user, int64_t done, int64_t total)
{
    (void)done;
    (void)total;
    return *(int *)user;
}

static void evaluations_are_in_8_bits(void **state)
{
    (void)state;
    struct workspace w;
    struct run r;
    int stop = 0;
    det_step_report report = {.struct_size = sizeof report};
    det_trainer_settings settings = defaults();
    det_evaluation_settings evaluation;
    make(&w, "eval_8");
    begin(&r, 1);
    det_evaluation_settings_default(&evaluation);
    evaluation.progress = stop_at_once;
    evaluation.progress_user = &stop;
    settings.evaluation = &evaluation;
    settings.eval_every_steps = 3;
    settings.api_evaluation = 1;
    assert_context_ok(r.context, open_trainer(&r, &w, STEPS, settings));
    for (int i = 0; i < DELAY; i++)
        assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
    /* stopped before it begins it is begun by the next step */
    stop = 1;
    assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
    assert_int_equal(report.step, DELAY);
    stop = 0;
    assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
    assert_int_equal(report.step, DELAY + 1);
    assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
    assert_int_equal(report.step, 6);
    assert_non_null(report.evaluation);
    assert_null(report.api_evaluation);
    end(&r);
    workspace_remove(&w);
}

/* --- tools --- */

static char out[1 << 16];

static bool has_scalar(const struct workspace *w)
{
    struct det_env env;
    struct det_path_list files = {0};
    char folder[400];
    bool found = false;
    det_env_default(&env);
    snprintf(folder, sizeof folder, "%s/train", w->model_dir);
    assert_ok(&env, det_list_directory(&env, folder, &files));
    for (size_t i = 0; i < files.count; i++) {
        size_t bytes = 0;
        char *text = test_read_bytes(files.paths[i], &bytes);
        for (size_t at = 0; at + 12 < bytes; at++)
            found = found || memcmp(text + at, "quantization", 12) == 0;
        free(text);
    }
    det_path_list_free(&env, &files);
    return found;
}

static int export_tool(const struct workspace *w, const char *options)
{
    return run_tool(out, sizeof out,
                    "det-export --pipeline_config_path %s --trained_checkpoint_dir %s "
                    "--output_directory %s/o --precision int8 %s",
                    w->config, w->model_dir, w->directory, options);
}

static void tools_know_it(void **state)
{
    (void)state;
    struct workspace w;
    char options[500];
    make(&w, "tool_8");
    const char *const train = "det-train --device cpu --pipeline_config_path %s --model_dir %s "
                              "--num_train_steps %d";
    assert_int_equal(run_tool(out, sizeof out, train, w.config, w.model_dir, DELAY), 0);
    assert_contains(out, "nothing is trained in 8 bits");
    assert_int_equal(export_tool(&w, ""), 1);
    assert_contains(out, "--precision int8 needs --calibration");
    assert_int_equal(run_tool(out, sizeof out, train, w.config, w.model_dir, STEPS), 0);
    assert_contains(out, "step 5: training in 8 bits begins");
    assert_contains(out, "taken over 10 training pictures");
    assert_true(has_scalar(&w));
    snprintf(options, sizeof options, "--calibration %s/train.tfrecord", w.directory);
    assert_int_equal(export_tool(&w, options), 1);
    assert_contains(out, "was trained in 8 bits and has its ranges: leave out --calibration");
    snprintf(options, sizeof options, "--eval %s/test.tfrecord --max_drop 1", w.directory);
    assert_int_equal(export_tool(&w, options), 0);
    assert_contains(out, "convolutions, ranges and rounding as they were trained");
    assert_contains(out, "float32    int8");
    assert_int_equal(run_tool(out, sizeof out, "det-info %s/o/model.det", w.directory), 0);
    assert_contains(out, "convolutions, as they were trained");
    assert_int_equal(run_tool(out, sizeof out, "det-info %s/ckpt-%d.det", w.model_dir, STEPS), 0);
    assert_contains(out, "trained in 8 bits");
    workspace_remove(&w);
}

/* --- memory that is not there --- */

/* From nothing to the first step in 8 bits and the model in 8 bits. */
static det_status whole_way(struct run *r, const struct workspace *w)
{
    det_step_report report = {.struct_size = sizeof report};
    det_model *model = NULL, *quantised = NULL;
    det_status status = open_trainer(r, w, STEPS, defaults());
    if (status == DET_OK)
        status = det_trainer_step(r->trainer, &report);
    if (status == DET_OK)
        status = det_trainer_save(r->trainer);
    if (status == DET_OK)
        status = det_trainer_snapshot(r->trainer, &model);
    if (status == DET_OK)
        status = det_model_quantise(r->context, model, NULL, &quantised);
    if (status != DET_OK)
        assert_null(quantised);
    det_model_destroy(&model);
    det_model_destroy(&quantised);
    return status;
}

static void failed_allocations_leave_nothing(void **state)
{
    (void)state;
    struct workspace w;
    struct run r;
    make(&w, "alloc_8");
    workspace_edit_config(&w, "delay: 4", "delay: 0");
    bool failed = true;
    for (long n = 1; failed; n += 1 + n / 12) {
        begin(&r, 1);
        const long before = test_env_allocations(&r.t);
        test_env_fail_at(&r.t, n);
        const det_status status = whole_way(&r, &w);
        test_env_fail_at(&r.t, 0);
        /* Without statistics taken anew it goes on with the moving ones. */
        if (status != DET_OK && status != DET_STATUS_OUT_OF_MEMORY)
            fail_msg("allocation %ld: %s: %s", n, det_status_text(status),
                     det_context_error(r.context));
        failed = test_env_allocations(&r.t) - before >= n;
        end(&r);
        test_remove_tree(w.model_dir);
    }
    workspace_remove(&w);
}

/* --- what is refused, and told --- */

static void wrong_values_are_told(void **state)
{
    (void)state;
    static const struct {
        det_status status;
        const char *text, *message;
    } cases[] = {
        {DET_STATUS_UNSUPPORTED, "weight_bits: 4", "weight_bits: 4 is not supported, only 8 is"},
        {DET_STATUS_UNSUPPORTED, "activation_bits: 16",
         "activation_bits: 16 is not supported, only 8 is"},
        {DET_STATUS_UNSUPPORTED, "weight_bits: -8", "weight_bits: -8 is not supported"},
        {DET_STATUS_PARSE, "delay: -1", "delay"},
        {DET_STATUS_PARSE, "delay: 2147483648", "delay"},
        {DET_STATUS_PARSE, "delays: 3", "unknown field `delays`"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct workspace w;
        struct run r;
        char text[200];
        workspace_make(&w, "wrong_8");
        snprintf(text, sizeof text, "graph_rewriter { quantization { %s } } eval_config {",
                 cases[i].text);
        workspace_edit_config(&w, "eval_config {", text);
        begin(&r, 1);
        assert_context_fails(r.context, cases[i].status, cases[i].message,
                             open_trainer(&r, &w, STEPS, defaults()));
        assert_non_null(strstr(det_context_error(r.context), "pipeline.config:"));
        end(&r);
        workspace_remove(&w);
    }
}

/* Its ranges and frozen statistics cannot be gone on with in another way. */
static void a_config_without_it_is_refused(void **state)
{
    (void)state;
    struct workspace w, plain;
    struct run r;
    size_t bytes = 0;
    make(&w, "without_8");
    workspace_make(&plain, "plain_8");
    free(train_to(&w, 1, DELAY + 1, defaults(), &bytes));
    snprintf(plain.model_dir, sizeof plain.model_dir, "%s", w.model_dir);
    begin(&r, 1);
    assert_context_fails(r.context, DET_STATUS_MISMATCH,
                         "is trained in 8 bits, but the config has no graph_rewriter",
                         open_trainer(&r, &plain, STEPS, defaults()));
    end(&r);
    /* One that was added late begins at once. */
    test_remove_tree(w.model_dir);
    workspace_edit_config(&w, "delay: 4", "delay: 400");
    free(train_to(&w, 1, 5, defaults(), &bytes));
    workspace_edit_config(&w, "delay: 400", "delay: 2");
    begin(&r, 1);
    assert_context_ok(r.context, open_trainer(&r, &w, STEPS, defaults()));
    det_step_report report = {.struct_size = sizeof report};
    assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
    assert_int_equal(r.trainer->learner->ranges.updates, 1);
    end(&r);
    workspace_remove(&w);
    workspace_remove(&plain);
}

/* A damaged checkpoint is refused by name, with nothing lost. */
static void damaged_ranges_are_refused(void **state)
{
    (void)state;
    struct workspace w;
    struct run r;
    size_t bytes = 0;
    char path[400];
    make(&w, "damaged_8");
    free(train_to(&w, 1, DELAY + 1, defaults(), &bytes));
    begin(&r, 1);
    struct det_env *env = &r.t.env;
    snprintf(path, sizeof path, "%s/ckpt-%d.det", w.model_dir, DELAY + 1);
    det_model *model = NULL, *read = NULL;
    assert_context_ok(r.context, det_model_load(r.context, path, &model));
    snprintf(path, sizeof path, "%s/bad.det", w.directory);
    static const struct {
        float low, high;
        int64_t updates;
    } cases[] = {{NAN, 1, 1}, {-1, INFINITY, 1}, {1, 2, 1}, {-2, -1, 1}, {-1, 1, -3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct det_weights_writer *writer = NULL;
        struct det_weights *file = NULL;
        struct det_act_ranges bad;
        assert_ok(env, det_act_ranges_copy(env, &model->ranges, &bad));
        bad.low[3] = cases[i].low;
        bad.high[3] = cases[i].high;
        bad.updates = cases[i].updates;
        assert_ok(env, det_weights_writer_create(env, path, NULL, &writer));
        assert_ok(env, det_weights_writer_set_meta(env, writer, "{}"));
        assert_ok(env, det_act_ranges_add(env, writer, &bad));
        assert_ok(env, det_weights_writer_finish(env, &writer));
        assert_ok(env, det_weights_open(env, path, true, &file));
        assert_true(det_act_ranges_are_in(file));
        assert_fails(env, DET_STATUS_CORRUPT, "bad.det: range",
                     det_act_ranges_read(env, file, &bad));
        bad.count--; /* another network's */
        assert_fails(env, DET_STATUS_MISMATCH, "act_quant/min",
                     det_act_ranges_read(env, file, &bad));
        det_weights_close(env, &file);
        det_act_ranges_free(env, &bad);
    }
    det_model_destroy(&model);
    det_model_destroy(&read);
    end(&r);
    workspace_remove(&w);
}

int test_trained_in_8_bits(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resume_is_exact),
        cmocka_unit_test(the_delay_is_kept),
        cmocka_unit_test(statistics_are_frozen),
        cmocka_unit_test(the_export_is_what_was_trained),
        cmocka_unit_test(the_engine_computes_what_was_trained),
        cmocka_unit_test(evaluations_are_in_8_bits),
        cmocka_unit_test(tools_know_it),
        cmocka_unit_test(failed_allocations_leave_nothing),
        cmocka_unit_test(wrong_values_are_told),
        cmocka_unit_test(a_config_without_it_is_refused),
        cmocka_unit_test(damaged_ranges_are_refused),
    };
    return cmocka_run_group_tests_name("trained_in_8_bits", tests, NULL, NULL);
}
