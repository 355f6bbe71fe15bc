/* det/quantisation.h, quantise/, devices/cpu/q8_net: a network in 8 bits is close to its float32
 * one and runs as it was measured. */
#include <math.h>

#include "base/context.h"
#include "devices/context.h"
#include "devices/cpu/q8_net.h"
#include "model/net.h"
#include "model/quantised.h"
#include "support/ops.h"
#include "support/quantise_run.h"
#include "support/workspace.h"

static void it_is_close_to_float32(void **state)
{
    (void)state;
    for (int variant = 0; variant < 3; variant++) {
        struct quantise_run r;
        quantise_run_start(&r, 2, "auto");
        quantise_run_model(&r, variant);
        assert_context_ok(r.context,
                          quantise_run(&r, DET_OBSERVER_AUTO, DET_QUANTISATION_FLOATS_AUTO, r.model,
                                       &r.quantised));
        const det_quantisation_info info = quantise_run_info(&r, r.quantised);
        assert_int_equal(info.is_quantised, 1);
        assert_int_equal(info.images, QUANTISE_RUN_PICTURES);
        assert_true(info.layers > 60 && info.float_layers < info.layers / 4);
        assert_true(info.score_error > 0 && info.score_error < .1);
        assert_true(info.box_error > 0 && info.box_error < .1);
        float *exact = NULL, *rounded = NULL;
        const size_t count = quantise_run_outputs(&r, r.model, &exact);
        assert_int_equal(quantise_run_outputs(&r, r.quantised, &rounded), count);
        const double off = test_relative_l2(rounded, exact, count);
        if (!(off > 0 && off < .1))
            fail_msg("variant %d: outputs differ by %g of them", variant, off);
        free(exact);
        free(rounded);
        quantise_run_stop(&r);
    }
}

/* What the rounded float32 network of det_measure_run() held after each operation. */
struct seen {
    const struct det_graph *graph;
    const struct det_quantised *quantised;
    float *tensors[400];
};

static void round_and_keep(void *user, int32_t op, float *made, int64_t rows)
{
    struct seen *seen = user;
    const int32_t tensor = seen->graph->ops[op].out;
    const struct det_q8_tensor t = seen->quantised->tensors[tensor];
    const size_t count = (size_t)rows * (size_t)seen->graph->tensors[tensor].channels;
    for (size_t i = 0; i < count; i++)
        made[i] = det_q8_real(det_q8_of(made[i], t.scale, t.zero), t.scale, t.zero);
    seen->tensors[tensor] = malloc(count * sizeof *made);
    memcpy(seen->tensors[tensor], made, count * sizeof *made);
}

static int8_t *in_8_bits(const struct seen *seen, int32_t tensor)
{
    const struct det_tensor t = seen->graph->tensors[tensor];
    const struct det_q8_tensor q = seen->quantised->tensors[tensor];
    const size_t count = (size_t)t.height * (size_t)t.width * (size_t)t.channels;
    int8_t *bytes = malloc(count);
    for (size_t i = 0; i < count; i++)
        bytes[i] = det_q8_of(seen->tensors[tensor][i], q.scale, q.zero);
    return bytes;
}

/* One operation in whole numbers, from what the rounded network gave it. */
static void run_alone(struct det_env *env, const struct seen *seen, const float *params, int32_t i,
                      int8_t *out)
{
    const struct det_graph *g = seen->graph;
    const struct det_op *op = &g->ops[i];
    const struct det_tensor in = g->tensors[op->in], to = g->tensors[op->out];
    const struct det_exec x = {0};
    int8_t *a = in_8_bits(seen, op->in), *b = op->in2 >= 0 ? in_8_bits(seen, op->in2) : NULL;
    if (b == NULL) {
        struct det_q8_layer layer;
        const struct det_conv_shape s = det_net_conv_shape(g, op, 1);
        assert_ok(env, det_q8_layer_create(env, g, seen->quantised, params, i, &layer));
        (op->kind == DET_OP_CONV ? detk_q8_conv__ref : detk_q8_dwconv__ref)(&x, &s, &layer.conv, a,
                                                                            out);
        det_q8_layer_free(env, &layer);
    } else {
        const struct det_q8_add add = det_q8_add_op(seen->quantised, op);
        if (op->kind == DET_OP_ADD)
            detk_q8_add__ref(&x, (int64_t)to.height * to.width * to.channels, &add, a, b, out);
        else
            detk_q8_upsample_add__ref(&x, 1, in.height, in.width, to.channels, to.height, to.width,
                                      &add, a, b, out);
    }
    free(a);
    free(b);
}

/* What every choice is judged by is what runs: each operation in whole numbers gives what the
 * rounded float32 network has there, but where a bias, rounded to steps of the sum, or float32's
 * own rounding carries it over an edge: never by more than one step. */
static void it_runs_as_it_was_measured(void **state)
{
    (void)state;
    struct quantise_run r;
    quantise_run_start(&r, 1, "auto");
    quantise_run_model(&r, 0);
    struct det_env *env = det_context_env(r.context);
    assert_context_ok(r.context, quantise_run(&r, DET_OBSERVER_MINMAX, DET_QUANTISATION_FLOATS_NONE,
                                              r.model, &r.quantised));
    const struct det_graph *g = &r.quantised->graph;
    struct seen seen = {.graph = g, .quantised = r.quantised->quantised};
    struct det_net *net = NULL;
    assert_ok(env, det_net_create(env, g, det_context_compute(r.context)->ops, NULL, 1,
                                  DET_NET_INFER, &net));
    test_fill(det_net_input(net), (size_t)g->tensors[0].height * (size_t)g->tensors[0].width * 3,
              9);
    det_net_watch(net, round_and_keep, &seen);
    det_net_forward(net, r.quantised->params);
    for (int32_t i = 0; i < g->op_count; i++) {
        const struct det_op *op = &g->ops[i];
        const struct det_tensor t = g->tensors[op->out];
        const size_t count = (size_t)t.height * (size_t)t.width * (size_t)t.channels;
        int8_t *made = malloc(count), *wanted = in_8_bits(&seen, op->out);
        size_t other = 0;
        if (op->in != 0)
            run_alone(env, &seen, r.quantised->params, i, made);
        for (size_t k = 0; k < count && op->in != 0; k++) {
            assert_in_range(made[k] - wanted[k] + 1, 0, 2);
            other += made[k] != wanted[k];
        }
        if (other > 2 + count / 50)
            fail_msg("%s: %zu of %zu differ", op->name, other, count);
        free(made);
        free(wanted);
    }
    for (int32_t t = 0; t < g->tensor_count; t++)
        free(seen.tensors[t]);
    det_net_destroy(env, &net);
    quantise_run_stop(&r);
}

static void threads_change_nothing(void **state)
{
    (void)state;
    float *first = NULL;
    for (int threads = 1; threads <= 3; threads++) {
        struct quantise_run r;
        float *values = NULL;
        quantise_run_start(&r, threads, "auto");
        quantise_run_model(&r, 1);
        assert_context_ok(r.context,
                          quantise_run(&r, DET_OBSERVER_SQUARES, DET_QUANTISATION_FLOATS_AUTO,
                                       r.model, &r.quantised));
        const size_t count = quantise_run_outputs(&r, r.quantised, &values);
        if (first == NULL)
            first = values;
        else
            assert_memory_equal(values, first, count * sizeof *values);
        if (values != first)
            free(values);
        quantise_run_stop(&r);
    }
    free(first);
}

static void all_in_8_bits_means_all(void **state)
{
    (void)state;
    struct quantise_run r;
    quantise_run_start(&r, 2, "auto");
    quantise_run_model(&r, 0);
    assert_context_ok(r.context, quantise_run(&r, DET_OBSERVER_AVERAGE,
                                              DET_QUANTISATION_FLOATS_NONE, r.model, &r.quantised));
    assert_int_equal(quantise_run_info(&r, r.quantised).float_layers, 0);
    assert_int_equal(quantise_run_info(&r, r.quantised).observer, DET_OBSERVER_AVERAGE);
    const struct det_graph *g = &r.quantised->graph;
    for (int32_t i = 0; i < g->op_count; i++)
        assert_true(r.quantised->quantised->eight_bits[i]);
    /* Levels are joined: one scale for the outputs of a kind. */
    for (int32_t l = 1; l < g->levels; l++) {
        const struct det_q8_tensor *t = r.quantised->quantised->tensors;
        assert_memory_equal(&t[g->box_outputs[l]], &t[g->box_outputs[0]], sizeof *t);
        assert_memory_equal(&t[g->class_outputs[l]], &t[g->class_outputs[0]], sizeof *t);
    }
    quantise_run_stop(&r);
}

static int stop_at_once(void *user, int64_t done, int64_t total)
{
    (void)user;
    return done > 0 && done <= total;
}

static void what_cannot_be_is_told(void **state)
{
    (void)state;
    struct quantise_run r;
    det_quantisation_settings s;
    quantise_run_start(&r, 2, "auto");
    quantise_run_model(&r, 0);
    det_quantisation_settings_default(&s);
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "needs pictures",
                         det_model_quantise(r.context, r.model, &s, &r.quantised));
    s.samples = &quantise_run_pictures;
    s.images = 0;
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "images: got 0",
                         det_model_quantise(r.context, r.model, &s, &r.quantised));
    s.images = 2;
    s.observer = (det_quantisation_observer)9;
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "observer: got 9",
                         det_model_quantise(r.context, r.model, &s, &r.quantised));
    s.observer = DET_OBSERVER_MINMAX;
    s.progress = stop_at_once;
    assert_context_fails(r.context, DET_STATUS_CANCELLED, "stopped",
                         det_model_quantise(r.context, r.model, &s, &r.quantised));
    assert_null(r.quantised);
    s.progress = NULL;
    assert_context_ok(r.context, det_model_quantise(r.context, r.model, &s, &r.quantised));
    det_model *again = NULL;
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "in 8 bits already",
                         det_model_quantise(r.context, r.quantised, &s, &again));
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "half precision",
                         det_model_save_half(r.context, r.quantised, "never.det"));
    det_export *exported = NULL;
    assert_context_fails(r.context, DET_STATUS_UNSUPPORTED, "in 8 bits",
                         det_export_create(r.context, r.quantised, "ncnn", NULL, &exported));
    det_quantisation_layer layer = {.struct_size = sizeof layer};
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "layer 100000",
                         det_model_quantisation_layer(r.context, r.quantised, 100000, &layer));
    assert_int_equal(quantise_run_info(&r, r.model).is_quantised, 0);
    /* Weights that give no numbers. */
    r.model->owned[r.model->graph.params[0].offset] = INFINITY;
    assert_context_fails(r.context, DET_STATUS_NON_FINITE, "is inf",
                         det_model_quantise(r.context, r.model, &s, &again));
    quantise_run_stop(&r);
}

static void precision_int8_is_for_models_in_8_bits(void **state)
{
    (void)state;
    struct quantise_run r;
    det_detector *detector = NULL;
    quantise_run_start(&r, 1, "int8");
    quantise_run_model(&r, 0);
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "the model is in float32",
                         det_detector_create(r.context, r.model, NULL, &detector));
    assert_contains(det_context_device(r.context), "int8");
    quantise_run_stop(&r);
}

int test_quantisation(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_close_to_float32),
        cmocka_unit_test(it_runs_as_it_was_measured),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(all_in_8_bits_means_all),
        cmocka_unit_test(what_cannot_be_is_told),
        cmocka_unit_test(precision_int8_is_for_models_in_8_bits),
    };
    return cmocka_run_group_tests_name("quantisation", tests, NULL, NULL);
}
