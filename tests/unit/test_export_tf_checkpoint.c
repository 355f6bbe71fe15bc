/* Format tf_checkpoint: a training of libdet written as TensorFlow's goes on to the same bits; what
 * a TensorFlow checkpoint has comes back whole; what the proof finds. */
#include "base/context.h"
#include "export/export.h"
#include "export/tf_object_graph.h"
#include "formats/tf_bundle.h"
#include "model/optimizer_state.h"
#include "support/formula.h"
#include "support/run_tool.h"
#include "support/workspace.h"

enum { BEFORE = 3, AFTER = 5 };

static char out[100000];

struct run {
    struct test_env t;
    struct workspace w;
    det_context *context;
    det_pipeline_config *config;
    char ours[300], theirs[300];
};

/* A workspace with this optimizer. */
static void open_run(struct run *r, const char *name, const char *optimizer)
{
    char block[600], to[600];
    *r = (struct run){0};
    test_env_init(&r->t);
    workspace_make(&r->w, name);
    char *text = test_read_text(r->w.config);
    char *at = strstr(text, "optimizer {"), *end = strstr(at, "use_moving_average: false");
    snprintf(block, sizeof block, "%.*s", (int)(end + strlen("use_moving_average: false") - at),
             at);
    free(text);
    snprintf(to, sizeof to, "optimizer { %s", optimizer);
    workspace_edit_config(&r->w, block, to);
    snprintf(r->ours, sizeof r->ours, "%s/ours", r->w.directory);
    snprintf(r->theirs, sizeof r->theirs, "%s/theirs", r->w.directory);
    r->context = workspace_context(&r->t, 2);
    assert_context_ok(r->context, det_pipeline_config_load(r->context, r->w.config, &r->config));
}

static void close_run(struct run *r)
{
    det_pipeline_config_destroy(&r->config);
    det_context_destroy(&r->context);
    workspace_remove(&r->w);
    test_env_check(&r->t);
}

/* Step by step, without what happens at the end of a training. */
static void train(struct run *r, const char *model_dir, int64_t to)
{
    det_trainer_settings settings;
    det_trainer *trainer = NULL;
    det_step_report report = {.struct_size = sizeof report};
    det_trainer_settings_default(&settings);
    settings.model_dir = model_dir;
    settings.num_steps = 100;
    settings.checkpoint_every_steps = 0;
    settings.checkpoint_every_seconds = 0;
    settings.summary_every_steps = 0;
    settings.resume = 1;
    assert_context_ok(r->context, det_trainer_create(r->context, r->config, &settings, &trainer));
    while (det_trainer_steps_done(trainer) < to)
        assert_context_ok(r->context, det_trainer_step(trainer, &report));
    assert_context_ok(r->context, det_trainer_save(trainer));
    det_trainer_destroy(&trainer);
}

static void export_to(struct run *r, const char *checkpoint, const char *folder)
{
    det_model *model = NULL;
    det_export *exported = NULL;
    det_export_proof proof = {.struct_size = sizeof proof};
    assert_context_ok(r->context,
                      det_model_load_resumable(r->context, r->config, checkpoint, &model));
    assert_context_ok(r->context,
                      det_export_create(r->context, model, "tf_checkpoint", NULL, &exported));
    assert_context_ok(r->context, det_export_proof_of(r->context, exported, &proof));
    assert_int_equal(proof.proved, 1);
    assert_context_ok(r->context, det_export_write(r->context, exported, folder));
    det_export_destroy(&exported);
    det_model_destroy(&model);
}

static void assert_same_file(const char *a, const char *b, const char *name)
{
    char path[600];
    size_t bytes[2] = {0, 0};
    snprintf(path, sizeof path, "%s/%s", a, name);
    char *first = test_read_bytes(path, &bytes[0]);
    snprintf(path, sizeof path, "%s/%s", b, name);
    char *second = test_read_bytes(path, &bytes[1]);
    assert_int_equal(bytes[0], bytes[1]);
    assert_memory_equal(first, second, bytes[0]);
    free(first);
    free(second);
}

static const char *const optimizers[] = {
    "momentum_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.02 } } "
    "momentum_optimizer_value: 0.9 } use_moving_average: false",
    "rms_prop_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.02 } } } "
    "use_moving_average: false",
    "adam_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.02 } } } "
    "use_moving_average: true",
};

static void a_training_goes_on_to_the_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof optimizers / sizeof optimizers[0]; i++) {
        struct run r;
        char again[400];
        open_run(&r, "tf_export", optimizers[i]);
        train(&r, r.ours, BEFORE);
        export_to(&r, r.ours, r.theirs);
        train(&r, r.ours, AFTER);
        train(&r, r.theirs, AFTER);
        assert_same_file(r.ours, r.theirs, "ckpt-5.det");
        /* A TensorFlow checkpoint becomes the same one again. */
        snprintf(again, sizeof again, "%s/again", r.w.directory);
        char from[400];
        snprintf(from, sizeof from, "%s/ckpt-3.index", r.theirs);
        export_to(&r, from, again);
        assert_same_file(r.theirs, again, "ckpt-3.index");
        assert_same_file(r.theirs, again, "ckpt-3.data-00000-of-00001");
        close_run(&r);
    }
}

/* With eval_config.use_moving_averages the model has the averages; what is trained is written. */
static void averages_do_not_take_the_weights_place(void **state)
{
    (void)state;
    struct run r;
    det_model *model = NULL;
    open_run(&r, "tf_averages", optimizers[2]);
    train(&r, r.ours, BEFORE);
    export_to(&r, r.ours, r.theirs);
    workspace_edit_config(&r.w, "eval_config {", "eval_config { use_moving_averages: true");
    det_pipeline_config_destroy(&r.config);
    assert_context_ok(r.context, det_pipeline_config_load(r.context, r.w.config, &r.config));
    assert_context_ok(r.context, det_model_load_resumable(r.context, r.config, r.ours, &model));
    assert_non_null(model->optimizer->weights);
    det_model_destroy(&model);
    char averaged[400];
    snprintf(averaged, sizeof averaged, "%s/averaged", r.w.directory);
    export_to(&r, r.ours, averaged);
    assert_same_file(r.theirs, averaged, "ckpt-3.index");
    close_run(&r);
}

static void loading_for_going_on_is_told_what_is_wrong(void **state)
{
    (void)state;
    struct run r;
    det_model *model = NULL;
    char path[400];
    open_run(&r, "tf_wrong", optimizers[0]);
    train(&r, r.ours, BEFORE);
    workspace_edit_config(&r.w, "momentum_optimizer {", "adam_optimizer {");
    workspace_edit_config(&r.w, "momentum_optimizer_value: 0.9 }", "}");
    det_pipeline_config_destroy(&r.config);
    assert_context_ok(r.context, det_pipeline_config_load(r.context, r.w.config, &r.config));
    assert_context_fails(r.context, DET_STATUS_MISMATCH, "optimizer is \"momentum\"",
                         det_model_load_resumable(r.context, r.config, r.ours, &model));
    assert_null(model);
    /* Weights alone go without. */
    assert_context_ok(r.context, det_model_load_checkpoint(r.context, r.config, r.ours, &model));
    snprintf(path, sizeof path, "%s/half.det", r.w.directory);
    assert_context_ok(r.context, det_model_save_half(r.context, model, path));
    det_model_destroy(&model);
    assert_context_ok(r.context, det_model_load_resumable(r.context, r.config, path, &model));
    assert_null(model->optimizer);
    det_model_destroy(&model);
    close_run(&r);
}

struct resumable {
    const char *config, *path;
};

static det_status load_resumable(struct det_env *env, void *argument)
{
    const struct resumable *from = argument;
    det_context *context = NULL;
    det_pipeline_config *config = NULL;
    det_model *model = NULL;
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.threads = 1;
    settings.cpu = "ref";
    settings.allocator = &env->allocator;
    det_status status = DET_OK;
    DET_TRY(det_context_create(&context, &settings));
    DET_TRY(det_pipeline_config_load(context, from->config, &config));
    DET_TRY(det_model_load_resumable(context, config, from->path, &model));
fail:
    det_model_destroy(&model);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
    return status;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    struct run r;
    char path[400];
    open_run(&r, "tf_memory", optimizers[0]);
    train(&r, r.ours, 1);
    snprintf(path, sizeof path, "%s/ckpt-1.det", r.ours);
    struct resumable from = {r.w.config, path};
    test_each_allocation_fails(load_resumable, &from);
    close_run(&r);
}

/* --- what cannot be expressed --- */

static void make_model(struct test_env *t, bool folded, det_model **model)
{
    struct det_model_spec spec;
    formula_spec(&spec, 64, 2);
    assert_ok(&t->env, det_model_create(&t->env, &spec, folded, NULL, model));
    if (!folded)
        formula_params(&(*model)->graph, (*model)->owned);
    (*model)->step = 7;
}

static void what_it_is_not_for_is_told(void **state)
{
    (void)state;
    struct test_env t;
    det_model *model = NULL;
    det_export *exported = NULL;
    det_export_settings settings;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    make_model(&t, true, &model);
    assert_context_fails(context, DET_STATUS_UNSUPPORTED, "the batch norms are folded",
                         det_export_create(context, model, "tf_checkpoint", NULL, &exported));
    assert_null(exported);
    det_model_destroy(&model);
    make_model(&t, false, &model);
    det_export_settings_default(&settings);
    settings.score_threshold = .5f;
    assert_context_fails(context, DET_STATUS_UNSUPPORTED, "they are in the pipeline.config",
                         det_export_create(context, model, "tf_checkpoint", &settings, &exported));
    det_export_settings_default(&settings);
    settings.precision = DET_EXPORT_FLOAT16;
    assert_context_fails(context, DET_STATUS_UNSUPPORTED, "a training's float32 weights",
                         det_export_create(context, model, "tf_checkpoint", &settings, &exported));
    det_model_destroy(&model);
    det_context_destroy(&context);
    test_env_check(&t);
}

/* --- the proof --- */

struct proven {
    const struct det_export_job *job;
    det_export *exported;
};

static det_status prove(struct det_env *env, void *argument)
{
    const struct proven *p = argument;
    return det_export_tf_checkpoint.prove(env, p->job, p->exported);
}

static void planted_mistakes_are_found(void **state)
{
    (void)state;
    struct test_env t;
    det_model *model = NULL;
    det_export *exported = NULL;
    test_env_init(&t);
    struct det_env *env = &t.env;
    det_context *context = workspace_context(&t, 1);
    make_model(&t, false, &model);
    const struct det_export_job job = {.model = model, .settings = {.name = "x"}};
    assert_context_ok(context, det_export_create(context, model, "tf_checkpoint", NULL, &exported));
    assert_ok(env, det_export_tf_checkpoint.prove(env, &job, exported));
    /* Another weight than the file has. */
    float *weight = model->owned + model->graph.params[3].offset;
    const float before = *weight;
    *weight = before + 1e-6f;
    assert_fails(env, DET_STATUS_MISMATCH, "has other values",
                 det_export_tf_checkpoint.prove(env, &job, exported));
    assert_contains(env->error, model->graph.params[3].key);
    *weight = before;
    model->step = 8;
    assert_fails(env, DET_STATUS_MISMATCH, "step",
                 det_export_tf_checkpoint.prove(env, &job, exported));
    model->step = 7;
    /* Any byte of the file that is another, spread over it. */
    for (int f = 0; f < 2; f++) {
        struct det_text *data = &exported->files[f].data;
        /* behind the tables there are bytes that nobody reads */
        for (size_t at = 0; at + 100 < data->length; at += data->length / 40 + 1) {
            data->data[at] ^= 0x10;
            if (det_export_tf_checkpoint.prove(env, &job, exported) == DET_OK)
                fail_msg("byte %zu of file %d may be anything", at, f);
            data->data[at] ^= 0x10;
        }
    }
    assert_ok(env, det_export_tf_checkpoint.prove(env, &job, exported));
    struct proven proven = {&job, exported};
    test_each_allocation_fails(prove, &proven);
    det_export_destroy(&exported);
    det_model_destroy(&model);
    det_context_destroy(&context);
    test_env_check(&t);
}

/* --- the object graph --- */

static int32_t find_path(const struct det_tf_graph *graph, const char *path)
{
    for (size_t i = 0; i < graph->node_count; i++)
        if (strcmp(graph->nodes[i].path, path) == 0)
            return (int32_t)i;
    return -1;
}

static void read_graph(struct det_env *env, const char *prefix, struct det_tf_graph *graph)
{
    struct det_tf_bundle *bundle = NULL;
    struct det_text bytes = {0};
    assert_ok(env, det_tf_bundle_open(env, prefix, &bundle));
    assert_ok(env, det_tf_bundle_read_bytes(
                       env, bundle, det_tf_bundle_find(bundle, DET_TF_OBJECT_GRAPH), &bytes));
    assert_ok(env, det_tf_graph_read(env, &bytes, graph));
    det_text_free(env, &bytes);
    det_tf_bundle_close(env, &bundle);
}

/* The optimizer with the slots is in the one of the averages, by the names of two versions. */
static void averages_have_an_optimizer_within(void **state)
{
    (void)state;
    struct run r;
    struct det_tf_graph graph;
    char prefix[400];
    int names = 0;
    open_run(&r, "tf_graph", optimizers[2]);
    struct det_env *env = det_context_env(r.context);
    train(&r, r.ours, 1);
    export_to(&r, r.ours, r.theirs);
    snprintf(prefix, sizeof prefix, "%s/ckpt-1", r.theirs);
    read_graph(env, prefix, &graph);
    const int32_t outer = find_path(&graph, "optimizer");
    const int32_t inner = find_path(&graph, "optimizer/base_optimizer");
    assert_true(outer > 0 && inner > 0);
    assert_true(find_path(&graph, "optimizer/base_optimizer/beta_2") > 0);
    for (size_t e = 0; e < graph.edge_count; e++)
        if (graph.edges[e].from == outer && graph.edges[e].to == inner) {
            names++;
            assert_non_null(strstr(graph.edges[e].name, "base_optimizer"));
        }
    assert_int_equal(names, 2);
    for (size_t s = 0; s < graph.slot_count; s++)
        assert_int_equal(graph.slots[s].optimizer,
                         strcmp(graph.slots[s].name, "average") == 0 ? outer : inner);
    det_tf_graph_free(env, &graph);
    close_run(&r);
}

/* TensorFlow's own: the same tensors, and each of our ways through its graph. */
static void the_real_one_comes_back(void **state)
{
    (void)state;
    char shared[256], from[300], config_path[300];
    struct test_env t;
    det_pipeline_config *config = NULL;
    det_model *model = NULL;
    det_export *exported = NULL;
    struct det_tf_bundle *bundle = NULL, *made = NULL;
    struct det_tf_graph real, ours;
    struct det_text bytes = {0};
    if (test_shared(shared, "goldens/trained_raccoon") == NULL)
        test_skip_without_shared();
    test_env_init(&t);
    struct det_env *env = &t.env;
    det_context *context = workspace_context(&t, 1);
    snprintf(from, sizeof from, "%s/ckpt-2", shared);
    snprintf(config_path, sizeof config_path, "%s/pipeline.config", shared);
    assert_context_ok(context, det_pipeline_config_load(context, config_path, &config));
    assert_context_ok(context, det_model_load_resumable(context, config, from, &model));
    assert_context_ok(context, det_export_create(context, model, "tf_checkpoint", NULL, &exported));
    assert_string_equal(exported->files[1].name, "ckpt-600.index");
    assert_ok(env, det_tf_bundle_open(env, from, &bundle));
    assert_ok(env, det_tf_bundle_open_memory(env, "made", &exported->files[1].data,
                                             &exported->files[0].data, &made));
    assert_int_equal(det_tf_bundle_count(made), det_tf_bundle_count(bundle));
    for (size_t i = 0; i < det_tf_bundle_count(bundle); i++) {
        const struct det_tf_entry *a = det_tf_bundle_entry(bundle, i);
        const struct det_tf_entry *b = det_tf_bundle_entry(made, i);
        assert_string_equal(a->key, b->key);
        assert_int_equal(a->dtype, b->dtype);
        assert_int_equal(a->dims, b->dims);
        assert_memory_equal(a->shape, b->shape, sizeof a->shape);
        /* the graph has other ways too; the count of saves is that of our name */
        if (a->dtype != DET_TF_STRING && strncmp(a->key, "save_counter", 12) != 0)
            assert_int_equal(a->masked_crc, b->masked_crc);
    }
    read_graph(env, from, &real);
    assert_ok(env, det_tf_bundle_read_bytes(env, made,
                                            det_tf_bundle_find(made, DET_TF_OBJECT_GRAPH), &bytes));
    assert_ok(env, det_tf_graph_read(env, &bytes, &ours));
    for (size_t i = 0; i < ours.node_count; i++) {
        const int32_t node = find_path(&real, ours.nodes[i].path);
        assert_true(node >= 0);
        assert_int_equal(real.nodes[node].key != NULL, ours.nodes[i].key != NULL);
        if (ours.nodes[i].key != NULL)
            assert_string_equal(real.nodes[node].key, ours.nodes[i].key);
    }
    assert_int_equal(real.slot_count, ours.slot_count);
    det_text_free(env, &bytes);
    det_tf_graph_free(env, &real);
    det_tf_graph_free(env, &ours);
    det_tf_bundle_close(env, &bundle);
    det_tf_bundle_close(env, &made);
    det_export_destroy(&exported);
    det_model_destroy(&model);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
    test_env_check(&t);
}

/* --- the tool --- */

static void the_tool_writes_one_to_train_on_from(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "tf_tool");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path %s --model_dir %s "
                              "--num_train_steps 2 --threads 1",
                              w.config, w.model_dir),
                     0);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --pipeline_config_path %s --trained_checkpoint_dir %s "
                              "--format det,tf_checkpoint --output_directory %s/tf",
                              w.config, w.model_dir, w.directory),
                     0);
    assert_contains(out, "tf/ckpt-2.index (");
    assert_contains(out, "  step 2, ");
    assert_contains(out, ", optimizer slots momentum\n  proved: ");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path %s --model_dir %s/tf "
                              "--num_train_steps 3 --threads 1",
                              w.config, w.directory),
                     0);
    assert_null(strstr(out, "slots"));
    assert_contains(out, "ckpt-3.det");
    /* What is read stays: `checkpoint` of the training's own folder. */
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --pipeline_config_path %s --trained_checkpoint_dir %s "
                              "--format tf_checkpoint --output_directory %s",
                              w.config, w.model_dir, w.model_dir),
                     1);
    assert_contains(out, "/checkpoint");
    workspace_remove(&w);
}

int test_export_tf_checkpoint(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_training_goes_on_to_the_same_bits),
        cmocka_unit_test(averages_do_not_take_the_weights_place),
        cmocka_unit_test(loading_for_going_on_is_told_what_is_wrong),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(what_it_is_not_for_is_told),
        cmocka_unit_test(planted_mistakes_are_found),
        cmocka_unit_test(averages_have_an_optimizer_within),
        cmocka_unit_test(the_real_one_comes_back),
        cmocka_unit_test(the_tool_writes_one_to_train_on_from),
    };
    return cmocka_run_group_tests_name("export_tf_checkpoint", tests, NULL, NULL);
}
