/* model/population, train/recalibrate, det/recalibration.h: an exported model whose batch norm
 * statistics were taken anew computes what the trained network computes. */
#include <math.h>

#include "devices/backend.h"
#include "devices/context.h"
#include "formats/weights.h"
#include "model/model.h"
#include "model/net.h"
#include "model/population.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/workspace.h"
#include "train/recalibrate.h"
#include "train/trainer.h"

struct run {
    struct test_env t;
    det_context *context;
    det_pipeline_config *config;
    char log[8000]; /* all lines of the context's logger */
};

static void take_line(void *user, det_log_level level, const char *message)
{
    struct run *r = user;
    const size_t used = strlen(r->log);
    snprintf(r->log + used, sizeof r->log - used, "%s%s\n",
             level == DET_LOG_WARNING ? "warning: " : "", message);
}

static void start(struct run *r, const struct workspace *w, int threads)
{
    *r = (struct run){0};
    test_env_init(&r->t);
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.allocator = test_env_hooks(&r->t);
    settings.threads = threads;
    settings.cpu = "ref";
    settings.device = "cpu";
    settings.logger = &(det_logger){sizeof(det_logger), r, take_line};
    assert_int_equal(det_context_create(&r->context, &settings), DET_OK);
    assert_context_ok(r->context, det_pipeline_config_load(r->context, w->config, &r->config));
}

static void stop(struct run *r)
{
    det_pipeline_config_destroy(&r->config);
    det_context_destroy(&r->context);
    test_env_check(&r->t);
}

/* Trains in w->model_dir; `recalibrate` pictures at the end. */
static void train(struct run *r, const struct workspace *w, int64_t recalibrate)
{
    det_trainer_settings settings;
    det_trainer *trainer = NULL;
    det_trainer_settings_default(&settings);
    settings.model_dir = w->model_dir;
    settings.summary_every_steps = 0;
    settings.recalibrate_images = recalibrate;
    assert_context_ok(r->context, det_trainer_create(r->context, r->config, &settings, &trainer));
    assert_context_ok(r->context, det_trainer_run(trainer, NULL, NULL));
    det_trainer_destroy(&trainer);
}

static void load(struct run *r, const struct workspace *w, const char *folder, det_model **model)
{
    char path[500];
    snprintf(path, sizeof path, "%s/%s", w->directory, folder);
    assert_context_ok(r->context, det_model_load_checkpoint(r->context, r->config, path, model));
}

static det_status recalibrate(struct run *r, const det_model *model, int64_t images,
                              det_model **recalibrated)
{
    det_recalibration_settings settings;
    det_recalibration_settings_default(&settings);
    settings.images = images;
    return det_model_recalibrate(r->context, r->config, model, &settings, recalibrated);
}

/* --- population --- */

/* One batch norm of three channels, whose statistics lie at 0 and 16. */
static struct det_param norm_params[2] = {
    {.count = 3, .offset = 0, .role = DET_PARAM_MOVING_MEAN},
    {.count = 3, .offset = 16, .role = DET_PARAM_MOVING_VARIANCE}};
static struct det_op norm_op = {.kind = DET_OP_BATCH_NORM, .mean = 0, .variance = 1, .name = "bn"};
static const struct det_graph norm_graph = {
    .params = norm_params, .param_count = 2, .param_floats = 32, .ops = &norm_op, .op_count = 1};

static void batches_make_a_population(void **state)
{
    (void)state;
    enum { BATCHES = 7, ROWS = 5 };
    struct test_env t;
    test_env_init(&t);
    struct det_population population;
    float values[BATCHES * ROWS * 3], params[32];
    test_fill(values, BATCHES * ROWS * 3, 3);
    for (int i = 0; i < BATCHES * ROWS; i++) { /* a mean far from 0, a drift between batches */
        values[3 * i + 1] = 1000 + values[3 * i + 1];
        values[3 * i + 2] += (float)(i / ROWS);
    }
    assert_ok(&t.env, det_population_create(&t.env, &norm_graph, &population));
    for (int b = 0; b < BATCHES; b++) {
        float mean[3], variance[3];
        for (int c = 0; c < 3; c++) {
            double sum = 0, squares = 0;
            for (int i = 0; i < ROWS; i++)
                sum += (double)values[(b * ROWS + i) * 3 + c] / ROWS;
            for (int i = 0; i < ROWS; i++)
                squares += pow((double)values[(b * ROWS + i) * 3 + c] - sum, 2) / ROWS;
            mean[c] = (float)sum;
            variance[c] = (float)squares;
        }
        det_population_count_batch(&population);
        det_population_add(&population, &norm_op, mean, variance);
    }
    assert_ok(&t.env, det_population_store(&t.env, &population, params));
    for (int c = 0; c < 3; c++) {
        double mean = 0, variance = 0;
        for (int i = 0; i < BATCHES * ROWS; i++)
            mean += (double)values[3 * i + c] / (BATCHES * ROWS);
        for (int i = 0; i < BATCHES * ROWS; i++)
            variance += pow((double)values[3 * i + c] - mean, 2) / (BATCHES * ROWS);
        assert_near(params[c], mean, 1e-6 * (1 + fabs(mean)));
        assert_near(params[16 + c], variance, 2e-4 * variance);
    }
    /* What is not finite is named. */
    const float bad[3] = {0, NAN, 0}, good[3] = {1, 1, 1};
    det_population_count_batch(&population);
    det_population_add(&population, &norm_op, bad, good);
    assert_fails(&t.env, DET_STATUS_NON_FINITE, "bn: channel 1 has mean nan",
                 det_population_store(&t.env, &population, params));
    det_population_free(&t.env, &population);
    test_env_check(&t);
}

/* --- the exported form --- */

/* With all pictures in one batch the folded network gives what the training form does with that
 * batch's statistics. */
static void one_batch_is_exact(void **state)
{
    (void)state;
    enum { IMAGES = 10, SIDE = 96, PIXELS = IMAGES * SIDE * SIDE * 3 };
    struct workspace w;
    struct run r;
    det_model *model = NULL;
    workspace_make(&w, "exact");
    start(&r, &w, 2);
    train(&r, &w, 0);
    load(&r, &w, "run", &model);
    const struct det_graph *graph = &model->graph;
    struct det_env *env = &r.context->env;
    float *images = NULL, *recalibrated = NULL, *folded_params = NULL;
    struct det_dataset dataset = {0};
    struct det_loader *loader = NULL;
    struct det_batch batch;
    char records[500];
    const char *pattern = records;
    snprintf(records, sizeof records, "%s/train.tfrecord", w.directory);
    const struct det_dataset_settings data = {
        .patterns = &pattern, .pattern_count = 1, .class_count = 2, .images_only = true};
    assert_ok(env, det_dataset_open(env, &data, &dataset));
    struct det_recalibration question = {.spec = &model->spec,
                                         .graph = graph,
                                         .params = model->params,
                                         .dataset = &dataset,
                                         .resize = {.height = SIDE, .width = SIDE},
                                         .batch = IMAGES};
    int64_t used = 0;
    assert_ok(env, det_alloc(env, &recalibrated, graph->param_floats, sizeof(float), "test"));
    assert_ok(env, det_recalibrate(r.context, &question, recalibrated, &used));
    assert_int_equal(used, IMAGES);
    /* The same pictures, their order does not matter. */
    const struct det_loader_settings loading = {.dataset = &dataset,
                                                .batch_size = IMAGES,
                                                .height = SIDE,
                                                .width = SIDE,
                                                .end_sample = IMAGES};
    assert_ok(env, det_loader_create(env, &loading, &loader));
    assert_ok(env, det_loader_next(env, loader, &batch));
    assert_ok(env, det_alloc(env, &images, PIXELS, sizeof(float), "test"));
    memcpy(images, batch.images, PIXELS * sizeof(float));
    struct det_graph folded = {0};
    struct det_net *trained = NULL, *exported = NULL;
    assert_ok(env, det_graph_build(env, &model->spec, true, &folded));
    assert_ok(env, det_alloc(env, &folded_params, folded.param_floats, sizeof(float), "test"));
    assert_ok(env, det_net_create(env, graph, det_context_compute(r.context)->ops, NULL, IMAGES,
                                  DET_NET_TRAIN, &trained));
    assert_ok(env, det_net_create(env, &folded, det_context_compute(r.context)->ops, NULL, IMAGES,
                                  DET_NET_INFER, &exported));
    det_net_set_images(trained, images, SIDE, SIDE);
    det_net_forward(trained, model->params);
    const size_t logits = (size_t)IMAGES * (size_t)graph->anchor_count * 3;
    for (int round = 0; round < 2; round++) {
        /* First as it would be without: the test must see a difference. */
        det_graph_fold_params(graph, round == 0 ? model->params : recalibrated, &folded,
                              folded_params);
        det_net_set_images(exported, images, SIDE, SIDE);
        det_net_forward(exported, folded_params);
        const double error =
            test_relative_l2(det_net_encodings(exported), det_net_encodings(trained),
                             (size_t)IMAGES * (size_t)graph->anchor_count * 4) +
            test_relative_l2(det_net_logits(exported), det_net_logits(trained), logits);
        if (round == 0)
            assert_true(error > 0.01);
        else
            assert_near(error, 0, 1e-4);
    }
    /* Other parameters than statistics are as they were. */
    for (int32_t p = 0; p < graph->param_count; p++) {
        const struct det_param *param = &graph->params[p];
        const bool statistic =
            param->role == DET_PARAM_MOVING_MEAN || param->role == DET_PARAM_MOVING_VARIANCE;
        const int differ = memcmp(recalibrated + param->offset, model->params + param->offset,
                                  param->count * sizeof(float));
        assert_int_equal(differ != 0, statistic);
    }
    det_net_destroy(env, &trained);
    det_net_destroy(env, &exported);
    det_graph_free(env, &folded);
    det_free(env, &folded_params);
    det_free(env, &recalibrated);
    det_free(env, &images);
    det_loader_destroy(env, &loader);
    det_dataset_close(env, &dataset);
    det_model_destroy(&model);
    stop(&r);
    workspace_remove(&w);
}

/* A training's own statistics, those of another number of threads, and those that are taken from
 * its checkpoint later. */
static void same_bits_for_any_threads_and_place(void **state)
{
    (void)state;
    enum { RUNS = 3 };
    struct workspace w[RUNS];
    struct run r[RUNS];
    det_model *models[RUNS] = {NULL}, *again = NULL;
    for (int i = 0; i < RUNS; i++) {
        char name[40];
        snprintf(name, sizeof name, "bits%d", i);
        workspace_make(&w[i], name);
        start(&r[i], &w[i], 1 + i);
        train(&r[i], &w[i], 7);
        load(&r[i], &w[i], "run", &models[i]);
        assert_int_equal(det_model_recalibrated_images(models[i]), 7);
        const size_t bytes = models[0]->graph.param_floats * sizeof(float);
        assert_memory_equal(models[i]->recalibrated, models[0]->recalibrated, bytes);
        assert_memory_equal(models[i]->params, models[0]->params, bytes);
    }
    /* Taken from the checkpoint later, in batches of 16, the trained weights and their moving
     * averages are the same. */
    assert_context_ok(r[2].context, recalibrate(&r[2], models[2], 7, &again));
    assert_int_equal(det_model_recalibrated_images(again), 7);
    assert_memory_equal(again->params, models[2]->params,
                        again->graph.param_floats * sizeof(float));
    det_model_destroy(&again);
    for (int i = 0; i < RUNS; i++) {
        det_model_destroy(&models[i]);
        stop(&r[i]);
        workspace_remove(&w[i]);
    }
}

/* A measurer with a network of its own gives the bits of one that borrows a training step's. */
static void a_borrowed_network_measures_the_same(void **state)
{
    (void)state;
    struct workspace w;
    struct run r;
    workspace_make(&w, "borrowed");
    start(&r, &w, 2);
    det_trainer_settings settings;
    det_trainer *trainer = NULL;
    det_step_report report = {.struct_size = sizeof report};
    det_trainer_settings_default(&settings);
    assert_context_ok(r.context, det_trainer_create(r.context, r.config, &settings, &trainer));
    assert_context_ok(r.context, det_trainer_step(trainer, &report));
    struct det_learner *learner = trainer->learner;
    struct det_recalibration question = {.spec = &learner->spec,
                                         .graph = &learner->graph,
                                         .params = learner->params,
                                         .dataset = &trainer->dataset,
                                         .resize = trainer->resize,
                                         .batch = learner->settings.batch_size};
    const size_t floats = learner->graph.param_floats;
    float *own = calloc(floats, sizeof *own), *borrowed = calloc(floats, sizeof *borrowed);
    assert_true(own != NULL && borrowed != NULL);
    int64_t used = 0;
    assert_context_ok(r.context, det_recalibrate(r.context, &question, own, &used));
    question.idle = learner->step;
    assert_context_ok(r.context, det_recalibrate(r.context, &question, borrowed, &used));
    assert_int_equal(used, 10);
    assert_memory_equal(own, borrowed, floats * sizeof *own);
    free(own);
    free(borrowed);
    det_trainer_destroy(&trainer);
    stop(&r);
    workspace_remove(&w);
}

static det_decay_advice advice_of(const det_model *model)
{
    det_decay_advice advice = {.struct_size = sizeof advice};
    assert_int_equal(det_model_decay_advice(model, &advice), DET_OK);
    return advice;
}

static void a_checkpoint_keeps_both(void **state)
{
    (void)state;
    struct workspace with, without;
    struct run r, plain;
    det_model *a = NULL, *b = NULL, *exported = NULL;
    char path[500];
    workspace_make(&with, "with");
    workspace_make(&without, "without");
    start(&r, &with, 2);
    start(&plain, &without, 2);
    train(&r, &with, DET_RECALIBRATION_IMAGES);
    train(&plain, &without, 0);
    load(&r, &with, "run", &a);
    load(&plain, &without, "run", &b);
    /* The training and its moving averages do not depend on it. */
    assert_memory_equal(a->params, b->params, a->graph.param_floats * sizeof(float));
    assert_int_equal(det_model_recalibrated_images(a), 10);
    assert_int_equal(det_model_recalibrated_images(b), 0);
    assert_null(b->recalibrated);
    /* .9^12 is .28. */
    assert_contains(r.log, "warning: batch_norm { decay: 0.9 } leaves 28 % of the statistics that "
                           "the batch norms begin with after 12 steps (0.681 fits): for the "
                           "exported model they are taken anew");
    assert_contains(plain.log, "the exported model will be worse than the trained one unless");
    assert_int_equal(advice_of(a).warn, 0);
    assert_int_equal(advice_of(b).warn, 1);
    assert_near(advice_of(b).left, pow(0.9, 12), 1e-6);
    /* The exported file has them folded, and says so. */
    snprintf(path, sizeof path, "%s/model.det", with.directory);
    assert_context_ok(r.context, det_model_export(r.context, a, path));
    assert_context_ok(r.context, det_model_load(r.context, path, &exported));
    assert_int_equal(det_model_recalibrated_images(exported), 10);
    assert_int_equal(advice_of(exported).warn, 0);
    float *folded = calloc(exported->graph.param_floats, sizeof *folded);
    assert_non_null(folded);
    det_graph_fold_params(&a->graph, a->recalibrated, &exported->graph, folded);
    assert_memory_equal(folded, exported->params, exported->graph.param_floats * sizeof(float));
    free(folded);
    det_model_destroy(&exported);
    /* Half-precision weights to train from are the training's alone. */
    assert_context_ok(r.context, det_model_save_half(r.context, a, path));
    assert_context_ok(r.context, det_model_load(r.context, path, &exported));
    assert_int_equal(det_model_recalibrated_images(exported), 0);
    det_model_destroy(&exported);
    /* det_model_load() finds them in the checkpoint too. */
    snprintf(path, sizeof path, "%s/ckpt-12.det", with.model_dir);
    assert_context_ok(r.context, det_model_load(r.context, path, &exported));
    assert_memory_equal(exported->recalibrated, a->recalibrated,
                        a->graph.param_floats * sizeof(float));
    det_model_destroy(&exported);
    det_model_destroy(&a);
    det_model_destroy(&b);
    stop(&r);
    stop(&plain);
    workspace_remove(&with);
    workspace_remove(&without);
}

/* Statistics of averaged weights do not suit the weights themselves. */
static void averages_have_their_own(void **state)
{
    (void)state;
    struct workspace w;
    struct run r;
    det_model *averaged = NULL, *raw = NULL, *again = NULL;
    char path[500];
    workspace_make(&w, "averages");
    workspace_edit_config(&w, "use_moving_average: false",
                          "use_moving_average: true moving_average_decay: 0.5");
    workspace_edit_config(&w, "eval_config { ", "eval_config { use_moving_averages: true ");
    start(&r, &w, 2);
    train(&r, &w, 5);
    load(&r, &w, "run", &averaged);
    assert_int_equal(det_model_recalibrated_images(averaged), 5);
    snprintf(path, sizeof path, "%s/ckpt-12.det", w.model_dir);
    assert_context_ok(r.context, det_model_load(r.context, path, &raw));
    assert_int_equal(det_model_recalibrated_images(raw), 0);
    assert_context_ok(r.context, recalibrate(&r, raw, 5, &again));
    assert_true(memcmp(again->recalibrated, averaged->recalibrated,
                       raw->graph.param_floats * sizeof(float)) != 0);
    det_model_destroy(&averaged);
    det_model_destroy(&raw);
    det_model_destroy(&again);
    stop(&r);
    workspace_remove(&w);
}

/* --- misuse --- */

static int stop_after_one(void *user, int64_t done, int64_t total)
{
    int64_t *seen = user;
    seen[0] = done;
    seen[1] = total;
    return 1;
}

static void what_cannot_be_is_said(void **state)
{
    (void)state;
    struct workspace w;
    struct run r;
    det_model *model = NULL, *folded = NULL, *out = NULL;
    det_recalibration_settings settings;
    char path[500];
    int64_t seen[2] = {0};
    workspace_make(&w, "misuse");
    start(&r, &w, 2);
    train(&r, &w, 0);
    load(&r, &w, "run", &model);
    snprintf(path, sizeof path, "%s/model.det", w.directory);
    assert_context_ok(r.context, det_model_export(r.context, model, path));
    assert_context_ok(r.context, det_model_load(r.context, path, &folded));
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "the model is exported",
                         recalibrate(&r, folded, 0, &out));
    assert_null(out);
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "images is -1",
                         recalibrate(&r, model, -1, &out));
    det_recalibration_settings_default(&settings);
    const char *missing = "not/there.tfrecord";
    settings.records = &missing;
    settings.record_count = 1;
    assert_context_fails(r.context, DET_STATUS_NOT_FOUND, missing,
                         det_model_recalibrate(r.context, r.config, model, &settings, &out));
    settings.record_count = 0;
    settings.progress = stop_after_one;
    settings.progress_user = seen;
    assert_context_fails(r.context, DET_STATUS_CANCELLED, "recalibration was stopped",
                         det_model_recalibrate(r.context, r.config, model, &settings, &out));
    assert_int_equal(seen[0], 16);
    assert_int_equal(seen[1], 16); /* ten pictures and six of the next round */
    assert_null(out);
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "model is NULL",
                         det_model_recalibrate(r.context, r.config, NULL, NULL, &out));
    assert_int_equal(det_model_recalibrate(NULL, r.config, model, NULL, &out),
                     DET_STATUS_INVALID_ARGUMENT);
    /* Trained with the statistics that it has. */
    model->spec.freeze_batchnorm = true;
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "freeze_batchnorm",
                         recalibrate(&r, model, 0, &out));
    model->spec.freeze_batchnorm = false;
    /* A network that is broken. */
    const struct det_op *norm = &model->graph.ops[1];
    assert_int_equal(norm->kind, DET_OP_BATCH_NORM);
    model->owned[model->graph.params[norm->gamma].offset] = NAN;
    assert_context_fails(r.context, DET_STATUS_NON_FINITE,
                         "recalibration: ", recalibrate(&r, model, 0, &out));
    assert_null(out);
    det_model_destroy(&model);
    det_model_destroy(&folded);
    stop(&r);
    workspace_remove(&w);
}

static void frozen_batch_norms_are_left_alone(void **state)
{
    (void)state;
    struct workspace w;
    struct run r;
    det_model *model = NULL;
    workspace_make(&w, "frozen");
    workspace_edit_config(&w, "num_classes: 2", "num_classes: 2 freeze_batchnorm: true");
    start(&r, &w, 2);
    train(&r, &w, 10);
    load(&r, &w, "run", &model);
    assert_int_equal(det_model_recalibrated_images(model), 0);
    assert_null(strstr(r.log, "leaves"));
    assert_int_equal(det_evaluation_forms_differ(model), 0);
    det_model_destroy(&model);
    stop(&r);
    workspace_remove(&w);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct workspace w;
    struct run r;
    det_model *model = NULL, *out = NULL;
    workspace_make(&w, "allocations");
    start(&r, &w, 1);
    train(&r, &w, 0);
    load(&r, &w, "run", &model);
    const long live = test_env_live(&r.t);
    long failures = 0;
    for (long n = 1;; n++, failures++) {
        test_env_fail_at(&r.t, n);
        const det_status status = recalibrate(&r, model, 3, &out);
        test_env_fail_at(&r.t, 0);
        if (status == DET_OK)
            break;
        assert_int_equal(status, DET_STATUS_OUT_OF_MEMORY);
        assert_null(out);
        assert_int_equal(test_env_live(&r.t), live);
    }
    assert_true(failures > 20);
    det_model_destroy(&out);
    det_model_destroy(&model);
    stop(&r);
    workspace_remove(&w);
}

int test_recalibration(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_make_a_population),
        cmocka_unit_test(one_batch_is_exact),
        cmocka_unit_test(same_bits_for_any_threads_and_place),
        cmocka_unit_test(a_borrowed_network_measures_the_same),
        cmocka_unit_test(a_checkpoint_keeps_both),
        cmocka_unit_test(averages_have_their_own),
        cmocka_unit_test(what_cannot_be_is_said),
        cmocka_unit_test(frozen_batch_norms_are_left_alone),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("recalibration", tests, NULL, NULL);
}
