/* The order of the classes: names are compared wherever a model meets a label map, and the class
 * predictor is taken by name where that is asked for. */
#include "model/class_match.h"
#include "model/model.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/workspace.h"
#include "train/trainer.h"

static const char swapped[] = "item { id: 1 name: 'dog' }\nitem { id: 2 name: 'cat' }\n";
static const char other[] = "item { id: 1 name: 'dog' }\nitem { id: 2 name: 'bird' }\n";
static const char spelled[] = "item { id: 1 name: 'Cat' }\nitem { id: 2 name: 'Dog' }\n";
static const char three[] = "item { id: 1 name: 'dog' }\nitem { id: 2 name: 'bird' }\n"
                            "item { id: 3 name: 'cat' }\n";

static char messages[8192];

static void keep_message(void *user, det_log_level level, const char *message)
{
    (void)user;
    (void)level;
    const size_t used = strlen(messages);
    snprintf(messages + used, sizeof messages - used, "%s\n", message);
}

static void write_map(const struct workspace *w, const char *text)
{
    struct det_env env;
    char path[400];
    det_env_default(&env);
    snprintf(path, sizeof path, "%s/label_map.pbtxt", w->directory);
    assert_ok(&env, det_write_file(&env, path, text, strlen(text)));
}

/* --- the order alone --- */

static void check_order(const char *const *names, int32_t count, const char *map_text, bool same,
                        int32_t found, const int32_t *from)
{
    struct test_env t;
    struct det_label_map map;
    struct det_class_order order;
    test_env_init(&t);
    const struct det_known_classes theirs = {"m.det", names, count};
    assert_ok(&t.env, det_label_map_read_text(&t.env, "map", map_text, strlen(map_text), &map));
    assert_ok(&t.env, det_class_order_make(&t.env, &theirs, &map, &order));
    assert_int_equal(order.same, same);
    assert_int_equal(order.found, found);
    assert_int_equal(order.count, map.count);
    for (int32_t c = 0; c < map.count; c++)
        assert_int_equal(order.from[c], from[c]);
    det_free(&t.env, &order.from);
    det_label_map_free(&t.env, &map);
    test_env_check(&t);
}

static void orders(void **state)
{
    (void)state;
    static const char *const cat_dog[] = {"cat", "dog"}, *const gap[] = {"car", "", "truck"};
    static const char *const unnamed[] = {"class 1", "class 2"}, *const twice[] = {"a", "a"};
    static const char *const latin[] = {"caf%E9", "%E9t%E9"};
    check_order(cat_dog, 2, "item { id: 1 name: 'cat' } item { id: 2 name: 'dog' }", true, 2,
                (const int32_t[]){0, 1});
    check_order(cat_dog, 2, swapped, false, 2, (const int32_t[]){1, 0});
    check_order(cat_dog, 2, other, false, 1, (const int32_t[]){1, -1});
    check_order(cat_dog, 2, spelled, false, 0, (const int32_t[]){-1, -1});
    check_order(cat_dog, 2, three, false, 2, (const int32_t[]){1, -1, 0});
    /* A display name that came later; names by display name. */
    check_order(cat_dog, 2,
                "item { id: 1 name: 'cat' display_name: 'House cat' } item { id: 2 name: '/m/1' "
                "display_name: 'dog' }",
                true, 2, (const int32_t[]){0, 1});
    /* An id that one of them does not name is no difference, a name that moved to one is. */
    check_order(gap, 3,
                "item { id: 1 name: 'car' } item { id: 2 name: 'bus' } item { id: 3 name: "
                "'truck' }",
                true, 3, (const int32_t[]){0, 1, 2});
    check_order(gap, 3, "item { id: 1 name: 'car' } item { id: 3 name: 'truck' }", true, 2,
                (const int32_t[]){0, 1, 2});
    check_order(gap, 3, "item { id: 1 name: 'car' } item { id: 2 name: 'truck' }", false, 2,
                (const int32_t[]){0, 2});
    check_order(unnamed, 2, swapped, true, 2, (const int32_t[]){0, 1});
    check_order(twice, 2, "item { id: 1 name: 'a' } item { id: 2 name: 'a' }", true, 2,
                (const int32_t[]){0, 1});
    /* A map in another encoding: files hold UTF-8. */
    check_order(latin, 2, "item { id: 1 name: 'caf\xe9' } item { id: 2 name: '\xe9t\xe9' }", true,
                2, (const int32_t[]){0, 1});
    check_order(latin, 2, "item { id: 1 name: 'caf\xe8' } item { id: 2 name: '\xe9t' }", false, 0,
                (const int32_t[]){-1, -1});
}

/* --- where models meet maps --- */

struct session {
    struct test_env t;
    det_context *context;
    det_pipeline_config *config;
};

static void open_session(struct session *s, const struct workspace *w, det_class_match match)
{
    det_context_settings settings;
    det_context_settings_default(&settings);
    test_env_init(&s->t);
    settings.allocator = test_env_hooks(&s->t);
    settings.logger = &(det_logger){.struct_size = sizeof(det_logger), .write = keep_message};
    settings.threads = 2;
    settings.cpu = "ref";
    messages[0] = '\0';
    assert_int_equal(det_context_create(&s->context, &settings), DET_OK);
    assert_context_ok(s->context, det_pipeline_config_load(s->context, w->config, &s->config));
    assert_context_ok(s->context, det_pipeline_config_set_class_match(s->config, match));
}

static void close_session(struct session *s)
{
    det_pipeline_config_destroy(&s->config);
    det_context_destroy(&s->context);
    test_env_check(&s->t);
}

static det_status open_trainer(struct session *s, const char *model_dir, int64_t steps,
                               det_trainer **trainer)
{
    det_trainer_settings settings;
    det_trainer_settings_default(&settings);
    settings.model_dir = model_dir;
    settings.num_steps = steps;
    settings.summary_every_steps = 0;
    return det_trainer_create(s->context, s->config, &settings, trainer);
}

static void train(const struct workspace *w, const char *model_dir, int64_t steps)
{
    struct session s;
    det_trainer *trainer = NULL;
    open_session(&s, w, DET_CLASSES_CHECK);
    assert_context_ok(s.context, open_trainer(&s, model_dir, steps, &trainer));
    assert_context_ok(s.context, det_trainer_run(trainer, NULL, NULL));
    det_trainer_destroy(&trainer);
    close_session(&s);
}

/* The class predictor's bias, [anchors of a cell][1 + K]. */
static const float *class_bias(const struct det_graph *graph, const float *params)
{
    for (int32_t p = 0; p < graph->param_count; p++)
        if (det_param_is_by_class(&graph->params[p]) && graph->params[p].role == DET_PARAM_BIAS)
            return params + graph->params[p].offset;
    fail_msg("no bias of the class predictor");
    return NULL;
}

static void resuming_needs_the_same_classes(void **state)
{
    (void)state;
    struct workspace w;
    struct session s;
    det_trainer *trainer = NULL;
    workspace_make(&w, "class_resume");
    train(&w, w.model_dir, 2);
    write_map(&w, swapped);
    open_session(&s, &w, DET_CLASSES_CHECK);
    assert_context_fails(s.context, DET_STATUS_MISMATCH,
                         "ckpt-2.det: its classes are not those of ",
                         open_trainer(&s, w.model_dir, 3, &trainer));
    assert_contains(det_context_error(s.context), "id 1 is \"cat\" there and \"dog\" here, id 2 is "
                                                  "\"dog\" there and \"cat\" here; a training goes "
                                                  "on with the classes it began with");
    close_session(&s);
    open_session(&s, &w, DET_CLASSES_REMAP); /* the optimizer's state stays as it is */
    assert_context_fails(s.context, DET_STATUS_MISMATCH, "fine_tune_checkpoint",
                         open_trainer(&s, w.model_dir, 3, &trainer));
    close_session(&s);
    write_map(&w, spelled);
    open_session(&s, &w, DET_CLASSES_RENAME);
    assert_context_ok(s.context, open_trainer(&s, w.model_dir, 3, &trainer));
    assert_int_equal(det_trainer_steps_done(trainer), 2);
    det_trainer_destroy(&trainer);
    close_session(&s);
    workspace_remove(&w);
}

static void loading_takes_them_by_name(void **state)
{
    (void)state;
    struct workspace w;
    struct session s, first;
    det_model *before = NULL, *after = NULL;
    workspace_make(&w, "class_load");
    train(&w, w.model_dir, 3);
    open_session(&first, &w, DET_CLASSES_CHECK);
    assert_context_ok(first.context,
                      det_model_load_checkpoint(first.context, first.config, w.model_dir, &before));
    write_map(&w, swapped);
    open_session(&s, &w, DET_CLASSES_CHECK);
    assert_context_fails(s.context, DET_STATUS_MISMATCH,
                         "; --remap_classes takes the classes by name",
                         det_model_load_checkpoint(s.context, s.config, w.model_dir, &after));
    assert_null(after);
    close_session(&s);
    open_session(&s, &w, DET_CLASSES_REMAP);
    assert_context_ok(s.context,
                      det_model_load_checkpoint(s.context, s.config, w.model_dir, &after));
    assert_string_equal(det_model_class_name(after, 1), "dog");
    const float *was = class_bias(&before->graph, before->params);
    const float *is = class_bias(&after->graph, after->params);
    for (int32_t a = 0; a < before->graph.anchors_per_cell; a++) {
        assert_near(is[a * 3], was[a * 3], 0);
        assert_near(is[a * 3 + 1], was[a * 3 + 2], 0);
        assert_near(is[a * 3 + 2], was[a * 3 + 1], 0);
    }
    det_model_destroy(&after);
    close_session(&s);
    write_map(&w, spelled);
    open_session(&s, &w, DET_CLASSES_REMAP);
    assert_context_fails(s.context, DET_STATUS_MISMATCH, "has no class \"Cat\", \"Dog\", which",
                         det_model_load_checkpoint(s.context, s.config, w.model_dir, &after));
    close_session(&s);
    open_session(&s, &w, DET_CLASSES_RENAME);
    assert_context_ok(s.context,
                      det_model_load_checkpoint(s.context, s.config, w.model_dir, &after));
    assert_string_equal(det_model_class_name(after, 1), "Cat");
    is = class_bias(&after->graph, after->params);
    assert_memory_equal(is, was, (size_t)before->graph.anchors_per_cell * 3 * sizeof *is);
    det_model_destroy(&after);
    close_session(&s);
    /* No label map at hand: the checkpoint's own names. */
    char path[400];
    snprintf(path, sizeof path, "%s/label_map.pbtxt", w.directory);
    remove(path);
    open_session(&s, &w, DET_CLASSES_CHECK);
    assert_context_ok(s.context,
                      det_model_load_checkpoint(s.context, s.config, w.model_dir, &after));
    assert_string_equal(det_model_class_name(after, 1), "cat");
    assert_contains(messages, "classes have no names of a label map");
    det_model_destroy(&after);
    close_session(&s);
    /* Unless they are to be taken from it. */
    for (int match = DET_CLASSES_REMAP; match <= DET_CLASSES_RENAME; match++) {
        open_session(&s, &w, (det_class_match)match);
        assert_context_fails(s.context, DET_STATUS_NOT_FOUND, "label_map.pbtxt",
                             det_model_load_checkpoint(s.context, s.config, w.model_dir, &after));
        assert_null(after);
        close_session(&s);
    }
    det_model_destroy(&before);
    close_session(&first);
    workspace_remove(&w);
}

static void evaluate(const struct workspace *w, det_class_match match, const char *model_path,
                     det_status expected, double stats[DET_COCO_STAT_COUNT], char names[2][40])
{
    struct session s;
    det_model *model = NULL;
    det_evaluation *evaluation = NULL;
    det_evaluation_settings settings;
    det_evaluation_settings_default(&settings);
    open_session(&s, w, match);
    assert_context_ok(s.context, det_model_load(s.context, model_path, &model));
    if (expected != DET_OK) {
        assert_context_fails(
            s.context, expected, "the model: its classes are not those of",
            det_evaluation_run(s.context, s.config, model, &settings, &evaluation));
    } else {
        assert_context_ok(s.context,
                          det_evaluation_run(s.context, s.config, model, &settings, &evaluation));
        const det_coco_result *coco = det_evaluation_coco(evaluation);
        memcpy(stats, coco->classes[0]->stats, sizeof coco->classes[0]->stats);
        assert_int_equal(coco->class_count, 2);
        for (int i = 0; i < 2; i++)
            snprintf(names[i], 40, "%s", coco->classes[i]->name);
    }
    det_evaluation_destroy(&evaluation);
    det_model_destroy(&model);
    close_session(&s);
}

static void evaluation_compares_by_name(void **state)
{
    (void)state;
    struct workspace w;
    char model[400], names[2][40];
    double first[DET_COCO_STAT_COUNT], again[DET_COCO_STAT_COUNT];
    workspace_make(&w, "class_eval");
    train(&w, w.model_dir, 12);
    snprintf(model, sizeof model, "%s/ckpt-12.det", w.model_dir);
    evaluate(&w, DET_CLASSES_CHECK, model, DET_OK, first, names);
    write_map(&w, swapped);
    evaluate(&w, DET_CLASSES_CHECK, model, DET_STATUS_MISMATCH, again, names);
    evaluate(&w, DET_CLASSES_REMAP, model, DET_OK, again, names);
    assert_string_equal(names[0], "cat"); /* the model's order */
    for (int i = 0; i < DET_COCO_STAT_COUNT; i++)
        assert_near(again[i], first[i], 0);
    evaluate(&w, DET_CLASSES_RENAME, model, DET_OK, again, names);
    assert_string_equal(names[0], "dog");
    workspace_remove(&w);
}

/* Columns of our class in the start of a training from ckpt-3.det with this map. */
static void check_start(const char *map, const char *type, const char *classes,
                        det_class_match match, const int *from, int count, const char *message)
{
    struct workspace w;
    struct session s, first;
    char edit[300], source[400];
    det_trainer *fresh = NULL, *trainer = NULL;
    det_model *before = NULL;
    workspace_make(&w, "class_start");
    train(&w, w.model_dir, 3);
    open_session(&first, &w, DET_CLASSES_CHECK);
    snprintf(source, sizeof source, "%s/ckpt-3.det", w.model_dir);
    assert_context_ok(first.context, det_model_load(first.context, source, &before));
    write_map(&w, map);
    workspace_edit_config(&w, "num_classes: 2", classes);
    open_session(&s, &w, match);
    assert_context_ok(s.context, open_trainer(&s, NULL, 3, &fresh));
    snprintf(edit, sizeof edit,
             "batch_size: 4 fine_tune_checkpoint: 'run/ckpt-3.det' fine_tune_checkpoint_type: '%s'",
             type);
    det_pipeline_config_destroy(&s.config);
    workspace_edit_config(&w, "batch_size: 4", edit);
    assert_context_ok(s.context, det_pipeline_config_load(s.context, w.config, &s.config));
    assert_context_ok(s.context, det_pipeline_config_set_class_match(s.config, match));
    messages[0] = '\0';
    assert_context_ok(s.context, open_trainer(&s, NULL, 3, &trainer));
    if (message != NULL)
        assert_contains(messages, message);
    else
        assert_null(strstr(messages, "has other classes than"));
    const float *was = class_bias(&before->graph, before->params);
    const float *is = class_bias(&trainer->learner->graph, trainer->learner->params);
    const float *start = class_bias(&fresh->learner->graph, fresh->learner->params);
    for (int32_t a = 0; a < before->graph.anchors_per_cell; a++)
        for (int c = 0; c < count; c++)
            assert_near(is[a * (count + 1) + c + 1],
                        from[c] >= 0 ? was[a * 3 + from[c] + 1] : start[a * (count + 1) + c + 1],
                        0);
    det_model_destroy(&before);
    close_session(&first);
    det_trainer_destroy(&fresh);
    det_trainer_destroy(&trainer);
    close_session(&s);
    workspace_remove(&w);
}

static void a_start_takes_equal_names(void **state)
{
    (void)state;
    static const char same[] = "item { id: 1 name: 'cat' } item { id: 2 name: 'dog' }";
    check_start(same, "full", "num_classes: 2", DET_CLASSES_CHECK, (const int[]){0, 1}, 2, NULL);
    check_start(swapped, "full", "num_classes: 2", DET_CLASSES_CHECK, (const int[]){1, 0}, 2,
                "2 of 2 are taken by name\n");
    check_start(other, "fine_tune", "num_classes: 2", DET_CLASSES_CHECK, (const int[]){1, -1}, 2,
                "1 of 2 are taken by name, the others start from their initial values");
    check_start(spelled, "full", "num_classes: 2", DET_CLASSES_RENAME, (const int[]){0, 1}, 2,
                NULL);
    /* Another number of classes on purpose: as the API, unless it is asked for. */
    check_start(three, "fine_tune", "num_classes: 3", DET_CLASSES_CHECK, (const int[]){-1, -1, -1},
                3, NULL);
    check_start(three, "full", "num_classes: 3", DET_CLASSES_REMAP, (const int[]){1, -1, 0}, 3,
                "2 of 3 are taken by name");
    check_start(swapped, "detection", "num_classes: 2", DET_CLASSES_CHECK, (const int[]){-1, -1}, 2,
                NULL);
}

/* Told before the first step, when evaluations come between the steps. */
static void the_readers_maps_are_compared(void **state)
{
    (void)state;
    struct workspace w;
    struct session s;
    struct det_env env;
    char path[400];
    det_env_default(&env);
    det_trainer *trainer = NULL;
    det_trainer_settings settings;
    det_trainer_settings_default(&settings);
    settings.eval_every_steps = 1;
    workspace_make(&w, "class_readers");
    snprintf(path, sizeof path, "%s/swapped.pbtxt", w.directory);
    assert_ok(&env, det_write_file(&env, path, swapped, strlen(swapped)));
    workspace_edit_config(&w, "eval_input_reader { label_map_path: 'label_map.pbtxt'",
                          "eval_input_reader { label_map_path: 'swapped.pbtxt'");
    open_session(&s, &w, DET_CLASSES_CHECK);
    assert_context_fails(s.context, DET_STATUS_MISMATCH,
                         "label_map.pbtxt: its classes are not those of ",
                         det_trainer_create(s.context, s.config, &settings, &trainer));
    assert_contains(det_context_error(s.context), "training and evaluation need the same");
    close_session(&s);
    open_session(&s, &w, DET_CLASSES_REMAP);
    assert_context_ok(s.context, det_trainer_create(s.context, s.config, &settings, &trainer));
    det_step_report report = {.struct_size = sizeof report};
    assert_context_ok(s.context, det_trainer_step(trainer, &report));
    assert_string_equal(
        det_coco_evaluator_class(det_evaluation_evaluator(report.evaluation), 0)->name, "cat");
    det_trainer_destroy(&trainer);
    close_session(&s);
    workspace_remove(&w);
}

/* --- unused ids --- */

static void gaps_go_all_the_way(void **state)
{
    (void)state;
    struct workspace w;
    struct session s;
    det_model *model = NULL;
    det_evaluation *evaluation = NULL;
    det_evaluation_settings settings;
    char path[400];
    size_t bytes = 0;
    det_evaluation_settings_default(&settings);
    workspace_make(&w, "class_gaps");
    write_map(&w, "item { id: 4 name: 'dog' } item { id: 2 name: 'cat' }");
    workspace_edit_config(&w, "num_classes: 2", "num_classes: 5");
    train(&w, w.model_dir, 12);
    snprintf(path, sizeof path, "%s/ckpt-12.det", w.model_dir);
    char *file = test_read_bytes(path, &bytes);
    const char *classes = NULL;
    static const char expected[] = "\"classes\": [\"\", \"cat\", \"\", \"dog\", \"\"]";
    for (size_t i = 0; classes == NULL && i + sizeof expected < bytes; i++)
        if (memcmp(file + i, expected, sizeof expected - 1) == 0)
            classes = file + i;
    assert_non_null(classes);
    free(file);
    open_session(&s, &w, DET_CLASSES_CHECK);
    assert_context_ok(s.context,
                      det_model_load_checkpoint(s.context, s.config, w.model_dir, &model));
    snprintf(path, sizeof path, "%s/model.det", w.directory);
    assert_context_ok(s.context, det_model_export(s.context, model, path));
    for (int pass = 0; pass < 2; pass++) { /* the checkpoint's and the exported one */
        assert_int_equal(det_model_class_count(model), 5);
        for (int32_t id = 1; id <= 5; id++)
            assert_int_equal(det_model_class_is_used(model, id), id == 2 || id == 4);
        assert_string_equal(det_model_class_name(model, 2), "cat");
        assert_string_equal(det_model_class_name(model, 3), "class 3");
        assert_context_ok(s.context,
                          det_evaluation_run(s.context, s.config, model, &settings, &evaluation));
        const det_coco_result *coco = det_evaluation_coco(evaluation);
        assert_int_equal(coco->class_count, 2);
        assert_int_equal(coco->classes[0]->id, 2);
        assert_string_equal(coco->classes[1]->name, "dog");
        assert_int_equal(coco->objects[0], 9);
        det_evaluation_destroy(&evaluation);
        det_model_destroy(&model);
        if (pass == 0)
            assert_context_ok(s.context, det_model_load(s.context, path, &model));
    }
    close_session(&s);
    workspace_remove(&w);
}

static det_status order_two(struct det_env *env, void *argument)
{
    (void)argument;
    static const char *const names[] = {"cat", "dog"};
    const struct det_known_classes theirs = {"m", names, 2};
    struct det_label_map map = {0};
    struct det_class_order order = {0};
    det_status status = DET_OK;
    DET_TRY(det_label_map_read_text(env, "map", other, strlen(other), &map));
    DET_TRY(det_class_order_make(env, &theirs, &map, &order));
    status = det_class_order_fail(env, &theirs, &map, "x");
    if (status == DET_STATUS_MISMATCH)
        status = det_class_order_require_all(env, &theirs, &map, &order);
    status = status == DET_STATUS_MISMATCH ? DET_OK : status;
fail:
    det_free(env, &order.from);
    det_label_map_free(env, &map);
    return status;
}

static void failed_allocations(void **state)
{
    (void)state;
    test_each_allocation_fails(order_two, NULL);
}

int test_class_match(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders),
        cmocka_unit_test(resuming_needs_the_same_classes),
        cmocka_unit_test(loading_takes_them_by_name),
        cmocka_unit_test(evaluation_compares_by_name),
        cmocka_unit_test(a_start_takes_equal_names),
        cmocka_unit_test(the_readers_maps_are_compared),
        cmocka_unit_test(gaps_go_all_the_way),
        cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests_name("class_match", tests, NULL, NULL);
}
