/* Models, configurations and label maps from memory: the same as from a file, with the caller's
 * name in messages, of bytes that may lie anywhere and be anything. */
#include "base/context.h"
#include "model/model.h"
#include "support/formula.h"
#include "support/mem.h"
#include "support/workspace.h"

enum { SIDE = 96, CLASSES = 2 };

struct memory {
    struct test_env t;
    struct workspace w;
    char model_path[300], map_path[300];
    det_context *context;
};

static void open_memory(struct memory *m)
{
    static const char *const names[CLASSES] = {"cat", "dog"};
    struct det_model_spec spec;
    det_model *model = NULL;
    *m = (struct memory){0};
    test_env_init(&m->t);
    workspace_make(&m->w, "memory");
    snprintf(m->model_path, sizeof m->model_path, "%s/model.det", m->w.directory);
    snprintf(m->map_path, sizeof m->map_path, "%s/label_map.pbtxt", m->w.directory);
    m->context = workspace_context(&m->t, 1);
    struct det_env *env = det_context_env(m->context);
    formula_spec(&spec, SIDE, CLASSES);
    assert_ok(env, det_model_create(env, &spec, false, names, &model));
    formula_params(&model->graph, model->owned);
    assert_context_ok(m->context, det_model_export(m->context, model, m->model_path));
    det_model_destroy(&model);
}

static void close_memory(struct memory *m)
{
    det_context_destroy(&m->context);
    workspace_remove(&m->w);
    test_env_check(&m->t);
}

/* Exactly these bytes, at an odd address, so that AddressSanitizer sees a step too far. *block is
 * to be freed. */
static char *odd_copy(const char *bytes, size_t count, char **block)
{
    *block = malloc(count + 1);
    assert_non_null(*block);
    memcpy(*block + 1, bytes, count);
    return *block + 1;
}

static void models_are_those_of_files(void **state)
{
    (void)state;
    struct memory m;
    det_model *read = NULL, *made = NULL;
    size_t bytes = 0;
    char *block = NULL;
    open_memory(&m);
    char *file = test_read_bytes(m.model_path, &bytes);
    char *copy = odd_copy(file, bytes, &block);
    assert_context_ok(m.context, det_model_load(m.context, m.model_path, &read));
    assert_context_ok(m.context, det_model_load_memory(m.context, "app://m", copy, bytes, &made));
    memset(copy, 0xff, bytes); /* not needed any more */
    free(block);
    assert_int_equal(det_model_is_folded(made), 1);
    assert_string_equal(det_model_class_name(made, 2), "dog");
    assert_int_equal(made->graph.param_floats, read->graph.param_floats);
    assert_memory_equal(made->params, read->params, read->graph.param_floats * sizeof(float));
    det_model_destroy(&made);
    det_model_destroy(&read);
    free(file);
    close_memory(&m);
}

static void damaged_models_are_found(void **state)
{
    (void)state;
    struct memory m;
    det_model *made = NULL;
    size_t bytes = 0;
    open_memory(&m);
    char *file = test_read_bytes(m.model_path, &bytes), *block = NULL;
    for (size_t cut = 0; cut < bytes; cut += cut < 600 ? 1 : bytes / 60) {
        const char *copy = odd_copy(file, cut, &block);
        assert_context_fails(m.context, DET_STATUS_CORRUPT, "app://m: ",
                             det_model_load_memory(m.context, "app://m", copy, cut, &made));
        assert_null(made);
        free(block);
    }
    for (size_t at = 0; at < bytes; at += at < 600 ? 1 : bytes / 60) {
        file[at] ^= 0x55;
        const det_status status = det_model_load_memory(m.context, "app://m", file, bytes, &made);
        if (status != DET_OK) /* what lies between tensors is nobody's */
            assert_contains(det_context_error(m.context), "app://m: ");
        det_model_destroy(&made);
        file[at] ^= 0x55;
    }
    assert_context_fails(m.context, DET_STATUS_CORRUPT,
                         "app://m: ", det_model_load_memory(m.context, "app://m", NULL, 0, &made));
    assert_context_fails(m.context, DET_STATUS_CORRUPT, "app://m: not a libdet file",
                         det_model_load_memory(m.context, "app://m", "GIF89a", 6, &made));
    free(file);
    close_memory(&m);
}

static void configs_are_those_of_files(void **state)
{
    (void)state;
    struct memory m;
    det_pipeline_config *read = NULL, *made = NULL;
    size_t bytes = 0;
    char *block = NULL;
    open_memory(&m);
    char *text = test_read_bytes(m.w.config, &bytes), name[400];
    char *copy = odd_copy(text, bytes, &block);
    snprintf(name, sizeof name, "%s/held in memory", m.w.directory);
    assert_context_ok(m.context, det_pipeline_config_load(m.context, m.w.config, &read));
    assert_context_ok(m.context, det_pipeline_config_parse(m.context, name, copy, bytes, &made));
    free(block);
    assert_string_equal(det_pipeline_config_path(made), name);
    assert_int_equal(det_pipeline_config_num_classes(made), CLASSES);
    assert_int_equal(det_pipeline_config_batch_size(made), det_pipeline_config_batch_size(read));
    assert_int_equal(det_pipeline_config_num_steps(made), det_pipeline_config_num_steps(read));
    assert_int_equal(det_pipeline_config_input_height(made), SIDE);
    assert_string_equal(det_pipeline_config_train_path(made, 0),
                        det_pipeline_config_train_path(read, 0));
    assert_string_equal(det_pipeline_config_label_map_path(made),
                        det_pipeline_config_label_map_path(read));
    /* It trains as the file does. */
    det_trainer_settings settings;
    det_trainer *trainer = NULL;
    det_step_report report = {.struct_size = sizeof report};
    det_trainer_settings_default(&settings);
    settings.model_dir = m.w.model_dir;
    assert_context_ok(m.context, det_trainer_create(m.context, made, &settings, &trainer));
    assert_context_ok(m.context, det_trainer_step(trainer, &report));
    det_trainer_destroy(&trainer);
    det_pipeline_config_destroy(&made);
    det_pipeline_config_destroy(&read);
    free(text);
    close_memory(&m);
}

static void damaged_configs_are_named(void **state)
{
    (void)state;
    struct memory m;
    det_pipeline_config *made = NULL;
    size_t bytes = 0;
    open_memory(&m);
    char *text = test_read_bytes(m.w.config, &bytes), *block = NULL;
    for (size_t cut = 0; cut < bytes; cut++) {
        const char *copy = odd_copy(text, cut, &block);
        if (det_pipeline_config_parse(m.context, "app://c", copy, cut, &made) != DET_OK) {
            assert_null(made);
            assert_contains(det_context_error(m.context), "app://c:");
        }
        det_pipeline_config_destroy(&made);
        free(block);
    }
    assert_context_fails(m.context, DET_STATUS_PARSE, "app://c:1:1: ",
                         det_pipeline_config_parse(m.context, "app://c", "}", 1, &made));
    assert_true(det_pipeline_config_parse(m.context, "app://c", NULL, 0, &made) != DET_OK);
    assert_contains(det_context_error(m.context), "app://c:");
    free(text);
    close_memory(&m);
}

static void label_maps_are_those_of_files(void **state)
{
    (void)state;
    struct memory m;
    det_label_map *made = NULL;
    size_t bytes = 0;
    open_memory(&m);
    char *text = test_read_bytes(m.map_path, &bytes), *block = NULL;
    const char *copy = odd_copy(text, bytes, &block);
    assert_context_ok(m.context, det_label_map_parse(m.context, "app://l", copy, bytes, &made));
    free(block);
    assert_int_equal(det_label_map_count(made), CLASSES);
    assert_string_equal(det_label_map_name(made, 1), "cat");
    assert_int_equal(det_label_map_id(made, "dog"), 2);
    det_label_map_destroy(&made);
    for (size_t cut = 0; cut < bytes; cut++) {
        copy = odd_copy(text, cut, &block);
        if (det_label_map_parse(m.context, "app://l", copy, cut, &made) != DET_OK) {
            assert_null(made);
            assert_contains(det_context_error(m.context), "app://l:");
        }
        det_label_map_destroy(&made);
        free(block);
    }
    assert_context_fails(m.context, DET_STATUS_PARSE,
                         "app://l:1:1: ", det_label_map_parse(m.context, "app://l", "}", 1, &made));
    assert_true(det_label_map_parse(m.context, "app://l", NULL, 0, &made) != DET_OK);
    assert_contains(det_context_error(m.context), "app://l:");
    free(text);
    close_memory(&m);
}

/* --- no memory --- */

struct bytes {
    const char *model, *config, *map;
    size_t model_bytes, config_bytes, map_bytes;
};

static det_status make_all(struct det_env *env, void *argument)
{
    const struct bytes *b = argument;
    det_context *context = NULL;
    det_context_settings settings;
    det_model *model = NULL;
    det_pipeline_config *config = NULL;
    det_label_map *map = NULL;
    det_status status = DET_OK;
    det_context_settings_default(&settings);
    settings.allocator = &env->allocator;
    settings.threads = 1;
    DET_TRY(det_context_create(&context, &settings));
    DET_TRY(det_model_load_memory(context, "m", b->model, b->model_bytes, &model));
    DET_TRY(det_pipeline_config_parse(context, "c", b->config, b->config_bytes, &config));
    DET_TRY(det_label_map_parse(context, "l", b->map, b->map_bytes, &map));
fail:
    assert_true(status == DET_OK || map == NULL);
    det_label_map_destroy(&map);
    det_pipeline_config_destroy(&config);
    det_model_destroy(&model);
    det_context_destroy(&context);
    return status;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    struct memory m;
    struct bytes b;
    open_memory(&m);
    char *const model = test_read_bytes(m.model_path, &b.model_bytes);
    char *const config = test_read_bytes(m.w.config, &b.config_bytes);
    char *const map = test_read_bytes(m.map_path, &b.map_bytes);
    b.model = model;
    b.config = config;
    b.map = map;
    test_each_allocation_fails(make_all, &b);
    free(model);
    free(config);
    free(map);
    close_memory(&m);
}

/* A model asks for no more than max_file_memory_bytes, wherever it comes from. */
static void limits_hold(void **state)
{
    (void)state;
    struct memory m;
    det_model *model = NULL;
    det_context *context = NULL;
    det_context_settings settings;
    size_t bytes = 0;
    open_memory(&m);
    char *file = test_read_bytes(m.model_path, &bytes);
    det_context_settings_default(&settings);
    settings.threads = 1;
    settings.max_file_memory_bytes = bytes / 2;
    assert_int_equal(det_context_create(&context, &settings), DET_OK);
    assert_context_fails(context, DET_STATUS_OUT_OF_MEMORY, "app://m",
                         det_model_load_memory(context, "app://m", file, bytes, &model));
    det_context_destroy(&context);
    free(file);
    close_memory(&m);
}

int test_from_memory(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_are_those_of_files),
        cmocka_unit_test(damaged_models_are_found),
        cmocka_unit_test(configs_are_those_of_files),
        cmocka_unit_test(damaged_configs_are_named),
        cmocka_unit_test(label_maps_are_those_of_files),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests_name("from_memory", tests, NULL, NULL);
}
