/* model/quantised_file: a model in 8 bits comes back from a file as it was, and damaged ones are
 * told. */
#include <math.h>

#include "base/context.h"
#include "devices/context.h"
#include "devices/cpu/q8_net.h"
#include "model/quantised.h"
#include "support/quantise_run.h"
#include "support/workspace.h"

static void a_file_brings_it_back(void **state)
{
    (void)state;
    struct quantise_run r;
    char folder[256], path[300];
    quantise_run_start(&r, 2, "int8");
    quantise_run_model(&r, 0);
    test_make_directory(folder, "quantised");
    snprintf(path, sizeof path, "%s/q.det", folder);
    assert_context_ok(r.context, quantise_run(&r, DET_OBSERVER_AUTO, DET_QUANTISATION_FLOATS_AUTO,
                                              r.model, &r.quantised));
    assert_context_ok(r.context, det_model_save(r.context, r.quantised, path));
    det_model *loaded = NULL;
    assert_context_ok(r.context, det_model_load(r.context, path, &loaded));
    const det_quantisation_info before = quantise_run_info(&r, r.quantised),
                                after = quantise_run_info(&r, loaded);
    assert_memory_equal(&before, &after, sizeof before);
    float *a = NULL, *b = NULL;
    const size_t count = quantise_run_outputs(&r, r.quantised, &a);
    assert_int_equal(quantise_run_outputs(&r, loaded, &b), count);
    assert_memory_equal(a, b, count * sizeof *a);
    free(a);
    free(b);
    for (size_t i = 0; i < (size_t)before.layers; i++) {
        det_quantisation_layer one = {.struct_size = sizeof one}, two = {.struct_size = sizeof two};
        assert_context_ok(r.context, det_model_quantisation_layer(r.context, r.quantised, i, &one));
        assert_context_ok(r.context, det_model_quantisation_layer(r.context, loaded, i, &two));
        assert_string_equal(one.name, two.name);
        assert_int_equal(one.is_float, two.is_float);
        assert_true(one.error == two.error && one.error > 0);
    }
    det_model_destroy(&loaded);
    test_remove_tree(folder);
    quantise_run_stop(&r);
}

/* --- damaged files --- */

struct damage {
    const char *message;
    void (*apply)(struct det_quantised *q);
};

static void no_number(struct det_quantised *q)
{
    q->tensors[3].scale = NAN;
}
static void below_zero(struct det_quantised *q)
{
    q->tensors[3].scale = -1;
}
static void no_scale(struct det_quantised *q)
{
    q->tensors[1].scale = 0;
}
static struct det_q8_weights *first_weights(struct det_quantised *q)
{
    struct det_q8_weights *w = q->weights;
    while (w->values == NULL)
        w++;
    return w;
}
static void least_byte(struct det_quantised *q)
{
    first_weights(q)->values[0] = -128;
}
static void zero_scale(struct det_quantised *q)
{
    first_weights(q)->scales[0] = 0;
}
/* 3e36 is less than the largest number, 255 times that is not. */
static void huge(struct det_quantised *q)
{
    q->tensors[3].scale = 3e36f;
}
static void other_input(struct det_quantised *q)
{
    q->tensors[0].zero = 3;
}
static void unknown_observer(struct det_quantised *q)
{
    q->observer = 77;
}
static void no_images(struct det_quantised *q)
{
    q->images = -1;
}

static void damaged_files_are_told(void **state)
{
    (void)state;
    static const struct damage damages[] = {{"scale of tensor 3", no_number},
                                            {"scale of tensor 3", below_zero},
                                            {"scale of tensor 3", huge},
                                            {"input has scale", other_input},
                                            {"tensor 1 has no scale", no_scale},
                                            {"is -128", least_byte},
                                            {"scale of channel 0", zero_scale},
                                            {"observer", unknown_observer},
                                            {"images", no_images}};
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        struct quantise_run r;
        char folder[256], path[300];
        det_model *loaded = NULL;
        quantise_run_start(&r, 2, "auto");
        quantise_run_model(&r, 0);
        test_make_directory(folder, "quantised_damaged");
        snprintf(path, sizeof path, "%s/q.det", folder);
        assert_context_ok(r.context,
                          quantise_run(&r, DET_OBSERVER_MINMAX, DET_QUANTISATION_FLOATS_NONE,
                                       r.model, &r.quantised));
        damages[i].apply(r.quantised->quantised);
        assert_context_ok(r.context, det_model_save(r.context, r.quantised, path));
        assert_context_fails(r.context, DET_STATUS_CORRUPT, damages[i].message,
                             det_model_load(r.context, path, &loaded));
        assert_null(loaded);
        test_remove_tree(folder);
        quantise_run_stop(&r);
    }
}

/* The product of two scales leaves float32 where its quotient with a third does not. */
static void steps_without_end_are_told(void **state)
{
    (void)state;
    struct quantise_run r;
    struct det_q8_layer layer;
    quantise_run_start(&r, 2, "auto");
    quantise_run_model(&r, 0);
    assert_context_ok(r.context, quantise_run(&r, DET_OBSERVER_MINMAX, DET_QUANTISATION_FLOATS_NONE,
                                              r.model, &r.quantised));
    struct det_env *env = det_context_env(r.context);
    struct det_quantised *q = r.quantised->quantised;
    const struct det_graph *g = &r.quantised->graph;
    const struct det_op *op = &g->ops[1];
    assert_ok(env, det_q8_layer_create(env, g, q, r.quantised->params, 1, &layer));
    det_q8_layer_free(env, &layer);
    q->tensors[op->in].scale = q->tensors[op->out].scale = 1e31f;
    q->weights[op->weight].scales[0] = 1e8f;
    assert_fails(env, DET_STATUS_MISMATCH, "channel 0 is inf steps",
                 det_q8_layer_create(env, g, q, r.quantised->params, 1, &layer));
    quantise_run_stop(&r);
}

/* --- no memory --- */

struct reading {
    const char *path;
    const struct det_ops *ops;
};

static det_status read_and_plan(struct det_env *env, void *argument)
{
    const struct reading *reading = argument;
    det_model *model = NULL;
    struct det_q8_net *net = NULL;
    DET_TRY_RETURN(det_model_read(env, reading->path, &model));
    const det_status status = det_q8_net_create(env, &model->graph, model->quantised, model->params,
                                                reading->ops, NULL, 1, &net);
    det_q8_net_destroy(env, &net);
    det_model_destroy(&model);
    return status;
}

static void memory_may_run_out(void **state)
{
    (void)state;
    struct quantise_run r;
    char folder[256], path[300];
    quantise_run_start(&r, 2, "auto");
    quantise_run_model(&r, 0);
    test_make_directory(folder, "quantised_memory");
    snprintf(path, sizeof path, "%s/q.det", folder);
    assert_context_ok(r.context, quantise_run(&r, DET_OBSERVER_MINMAX, DET_QUANTISATION_FLOATS_AUTO,
                                              r.model, &r.quantised));
    assert_context_ok(r.context, det_model_save(r.context, r.quantised, path));
    struct reading reading = {path, det_context_compute(r.context)->ops};
    test_each_allocation_fails(read_and_plan, &reading);
    test_remove_tree(folder);
    quantise_run_stop(&r);
}

int test_quantised_file(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_brings_it_back),
        cmocka_unit_test(damaged_files_are_told),
        cmocka_unit_test(steps_without_end_are_told),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests_name("quantised_file", tests, NULL, NULL);
}
