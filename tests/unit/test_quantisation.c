/* det/quantisation.h, quantise/, model/quantised*, devices/cpu/q8_net: a network in 8 bits is close
 * to its float32 one, runs as it was measured, and comes back from a file as it was. */
#include <math.h>

#include "base/context.h"
#include "devices/context.h"
#include "devices/cpu/q8_net.h"
#include "model/inference.h"
#include "model/net.h"
#include "model/quantised.h"
#include "quantise/equalise.h"
#include "quantise/observe.h"
#include "support/exports.h"
#include "support/mem.h"
#include "support/networks.h"
#include "support/ops.h"
#include "support/workspace.h"

/* --- observers --- */

static void observers_choose_ranges(void **state)
{
    (void)state;
    enum { ROWS = 20000 };
    struct test_env t;
    test_env_init(&t);
    struct det_observed o;
    static float values[ROWS * 2];
    assert_ok(&t.env, det_observed_create(&t.env, 2, &o));
    for (int image = 0; image < 2; image++) {
        test_fill(values, ROWS * 2, (uint32_t)image + 5);
        for (int i = 0; i < ROWS; i++)
            values[2 * i] = fabsf(values[2 * i]); /* 0 .. 1 in channel 0, -1 .. 1 in channel 1 */
        values[100] = image == 0 ? 40 : 1;        /* one outlier */
        det_observed_add(&o, values, ROWS);
    }
    assert_int_equal(o.pixels, 2 * ROWS);
    assert_near(o.high[0], 40, 0);
    assert_near(o.low[1], -1, .01);
    assert_near(o.sum[0] / (double)o.pixels, .5, .02);
    int64_t counted = 0;
    for (int i = 0; i < DET_OBSERVED_BINS; i++)
        counted += o.bins[i];
    assert_int_equal(counted, 4 * ROWS);
    const struct det_real_range all = det_observed_range(&o, DET_OBSERVER_MINMAX);
    assert_near(all.low, -1, .01);
    assert_near(all.high, 40, 0);
    assert_near(det_observed_range(&o, DET_OBSERVER_AVERAGE).high, 20.5, .01);
    const struct det_real_range most = det_observed_range(&o, DET_OBSERVER_PERCENTILE);
    assert_near(most.high, 1, .05);
    assert_near(most.low, -1, .05);
    const struct det_real_range squares = det_observed_range(&o, DET_OBSERVER_SQUARES);
    /* A bit less of the outlier costs less than finer steps gain: d^2 against 8.4 d. */
    assert_near(squares.high, 35.8, 1);
    det_observed_clear(&o);
    memset(values, 0, sizeof values);
    det_observed_add(&o, values, ROWS);
    for (det_quantisation_observer which = DET_OBSERVER_MINMAX; which <= DET_OBSERVER_SQUARES;
         which++) {
        const struct det_real_range none = det_observed_range(&o, which);
        assert_true(none.low <= 0 && none.high >= 0 && none.high - none.low < .01);
    }
    det_observed_free(&t.env, &o);
    test_env_check(&t);
}

static void a_range_holds_zero_exactly(void **state)
{
    (void)state;
    static const double ranges[][2] = {{0, 6},   {-1, 1},      {-6, 0},    {2, 5},
                                       {-5, -2}, {-.001, 100}, {-100, .1}, {0, 0}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        const struct det_q8_tensor t = det_q8_tensor_of(ranges[i][0], ranges[i][1]);
        assert_true(t.scale > 0 && t.zero >= -128 && t.zero <= 127);
        assert_true(det_q8_real((int8_t)t.zero, t.scale, t.zero) == 0);
        if (ranges[i][0] <= 0 && ranges[i][1] >= 0 && ranges[i][0] < ranges[i][1]) {
            assert_near(det_q8_real(127, t.scale, t.zero), ranges[i][1], (double)t.scale);
            assert_near(det_q8_real(-128, t.scale, t.zero), ranges[i][0], (double)t.scale);
        }
    }
}

/* --- equalisation --- */

static struct det_observed *observe_anything(struct det_env *env, const struct det_graph *g)
{
    struct det_observed *o = NULL;
    assert_ok(env, det_alloc(env, &o, (size_t)g->tensor_count, sizeof *o, "test"));
    for (int32_t t = 0; t < g->tensor_count; t++) {
        assert_ok(env, det_observed_create(env, g->tensors[t].channels, &o[t]));
        test_fill(o[t].high, (size_t)g->tensors[t].channels, (uint32_t)t + 3);
        test_fill(o[t].low, (size_t)g->tensors[t].channels, (uint32_t)t + 300);
        for (int32_t c = 0; c < g->tensors[t].channels; c++) {
            o[t].high[c] = fabsf(o[t].high[c]);
            o[t].low[c] = -fabsf(o[t].low[c]);
        }
    }
    return o;
}

static void keep_outputs(struct det_env *env, const struct network *n, const struct det_graph *g,
                         const float *params, const float *pixels, float **outputs)
{
    struct det_net *net = NULL;
    const size_t boxes = (size_t)n->batch * (size_t)g->anchor_count * 4;
    const size_t logits = (size_t)n->batch * (size_t)g->anchor_count * (size_t)g->class_slots;
    assert_ok(env, det_net_create(env, g, det_ops_ref(), NULL, n->batch, DET_NET_INFER, &net));
    det_net_set_images(net, pixels, n->height, n->width);
    det_net_forward(net, params);
    assert_ok(env, det_alloc(env, outputs, boxes + logits, sizeof **outputs, "test"));
    memcpy(*outputs, det_net_encodings(net), boxes * sizeof **outputs);
    memcpy(*outputs + boxes, det_net_logits(net), logits * sizeof **outputs);
    det_net_destroy(env, &net);
}

/* What a channel is scaled by comes off again. */
static void equalising_changes_no_output(void **state)
{
    (void)state;
    for (int i = 0; i < NETWORKS; i++) {
        struct test_env t;
        struct det_graph training = {0}, folded = {0};
        float *params = NULL, *pixels = NULL, *before = NULL, *after = NULL;
        test_env_init(&t);
        network_make(&t.env, &networks[i], &training, &folded, &params, &pixels);
        /* So small that no factor brings a channel to relu6's 6. */
        for (int64_t k = 0; k < (int64_t)folded.param_floats; k++)
            params[k] *= .02f;
        keep_outputs(&t.env, &networks[i], &folded, params, pixels, &before);
        struct det_observed *o = observe_anything(&t.env, &folded);
        int32_t count = 0;
        assert_ok(&t.env, det_equalise(&t.env, &folded, o, params, &count));
        assert_true(count > 0);
        keep_outputs(&t.env, &networks[i], &folded, params, pixels, &after);
        const size_t outputs = (size_t)networks[i].batch * (size_t)folded.anchor_count *
                               (size_t)(4 + folded.class_slots);
        float most = 0;
        for (size_t k = 0; k < outputs; k++)
            most = fmaxf(most, fabsf(before[k]));
        assert_true(most > 0);
        for (size_t k = 0; k < outputs; k++)
            assert_near(after[k], before[k], 1e-5 * (double)most);
        for (int32_t k = 0; k < folded.tensor_count; k++)
            det_observed_free(&t.env, &o[k]);
        det_free(&t.env, &o);
        det_free(&t.env, &before);
        det_free(&t.env, &after);
        det_free(&t.env, &params);
        det_free(&t.env, &pixels);
        det_graph_free(&t.env, &training);
        det_graph_free(&t.env, &folded);
        test_env_check(&t);
    }
}

/* Of a channel of zeros only the bias is left, which a scale of its own would round coarsely. */
static void a_channel_of_zeros_has_a_scale_like_the_others(void **state)
{
    (void)state;
    static const float values[6] = {0, -1, .5f, 0, .25f, 2};
    static const float limits[3] = {0, 1, 2}, none[3] = {0};
    struct test_env t;
    struct det_q8_weights w;
    test_env_init(&t);
    assert_ok(&t.env, det_q8_weights_round(&t.env, values, 6, 3, limits, &w));
    assert_true(w.scales[0] == 2 / 127.0f && w.scales[1] == 1 / 127.0f);
    assert_int_equal(w.values[0], 0);
    assert_int_equal(w.values[1], -127);
    det_free(&t.env, &w.values);
    det_free(&t.env, &w.scales);
    assert_ok(&t.env, det_q8_weights_round(&t.env, values, 6, 3, none, &w));
    assert_true(w.scales[0] == 1);
    det_free(&t.env, &w.values);
    det_free(&t.env, &w.scales);
    test_env_check(&t);
}

/* --- a model --- */

enum { PICTURES = 5, SIDE = 70 };

static uint8_t pictures[PICTURES][SIDE * SIDE * 3];

static struct exports_squares squares = {pictures[0], SIDE};

static const det_sample_source source = {.struct_size = sizeof(det_sample_source),
                                         .user = &squares,
                                         .count = PICTURES,
                                         .fill = exports_fill_square};

static void draw_pictures(void)
{
    static float values[SIDE * SIDE * 3];
    for (int p = 0; p < PICTURES; p++) {
        test_fill(values, SIDE * SIDE * 3, (uint32_t)p + 40);
        for (int i = 0; i < SIDE * SIDE * 3; i++)
            pictures[p][i] =
                (uint8_t)(127.5f + 100 * sinf((float)(i / 3 % SIDE) * .1f * (float)(p + 1)) +
                          27 * values[i]);
    }
}

struct run {
    struct test_env t;
    det_context *context;
    det_model *model, *quantised;
};

static void start(struct run *r, int threads, const char *precision)
{
    *r = (struct run){0};
    test_env_init(&r->t);
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.allocator = test_env_hooks(&r->t);
    settings.threads = threads;
    settings.device = "cpu";
    settings.precision = precision;
    assert_int_equal(det_context_create(&r->context, &settings), DET_OK);
    draw_pictures();
}

static void make_model(struct run *r, int32_t variant)
{
    struct det_model_spec spec;
    exports_spec(&spec, 96, 64 + 32 * (variant % 2), 2);
    spec.share_tower = variant != 1;
    spec.head_depthwise = variant != 2;
    struct det_env *env = det_context_env(r->context);
    assert_ok(env, exports_model(env, &spec, NULL, &r->model));
}

static void stop(struct run *r)
{
    det_model_destroy(&r->model);
    det_model_destroy(&r->quantised);
    det_context_destroy(&r->context);
    test_env_check(&r->t);
}

static det_status quantise(struct run *r, det_quantisation_observer observer,
                           det_quantisation_floats floats, const det_model *model,
                           det_model **quantised)
{
    det_quantisation_settings s;
    det_quantisation_settings_default(&s);
    s.samples = &source;
    s.observer = observer;
    s.floats = floats;
    return det_model_quantise(r->context, model, &s, quantised);
}

static det_quantisation_info info_of(struct run *r, const det_model *model)
{
    det_quantisation_info info = {.struct_size = sizeof info};
    assert_context_ok(r->context, det_model_quantisation(r->context, model, &info));
    return info;
}

/* Encodings, then logits, of picture 0. */
static size_t outputs_of(struct run *r, const det_model *model, float **values)
{
    det_detector_settings settings;
    det_detector *detector = NULL;
    const det_detection *found = NULL;
    det_detector_raw raw = {.struct_size = sizeof raw};
    size_t count = 0, slots = (size_t)det_model_class_count(model) + 1;
    const size_t anchors = (size_t)det_model_anchor_count(model);
    det_detector_settings_default(&settings);
    settings.keep_outputs = 1;
    assert_context_ok(r->context, det_detector_create(r->context, model, &settings, &detector));
    const det_image_view view = {.pixels = pictures[0], .width = SIDE, .height = SIDE};
    assert_context_ok(r->context, det_detector_run(detector, &view, &found, &count));
    assert_context_ok(r->context, det_detector_outputs(detector, 0, &raw));
    *values = malloc(anchors * (4 + slots) * sizeof **values);
    memcpy(*values, raw.encodings, anchors * 4 * sizeof **values);
    memcpy(*values + anchors * 4, raw.logits, anchors * slots * sizeof **values);
    det_detector_destroy(&detector);
    return anchors * (4 + slots);
}

static void it_is_close_to_float32(void **state)
{
    (void)state;
    for (int variant = 0; variant < 3; variant++) {
        struct run r;
        start(&r, 2, "auto");
        make_model(&r, variant);
        assert_context_ok(r.context, quantise(&r, DET_OBSERVER_AUTO, DET_QUANTISATION_FLOATS_AUTO,
                                              r.model, &r.quantised));
        const det_quantisation_info info = info_of(&r, r.quantised);
        assert_int_equal(info.is_quantised, 1);
        assert_int_equal(info.images, PICTURES);
        assert_true(info.layers > 60 && info.float_layers < info.layers / 4);
        assert_true(info.score_error > 0 && info.score_error < .1);
        assert_true(info.box_error > 0 && info.box_error < .1);
        float *exact = NULL, *rounded = NULL;
        const size_t count = outputs_of(&r, r.model, &exact);
        assert_int_equal(outputs_of(&r, r.quantised, &rounded), count);
        const double off = test_relative_l2(rounded, exact, count);
        if (!(off > 0 && off < .1))
            fail_msg("variant %d: outputs differ by %g of them", variant, off);
        free(exact);
        free(rounded);
        stop(&r);
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
    struct run r;
    start(&r, 1, "auto");
    make_model(&r, 0);
    struct det_env *env = det_context_env(r.context);
    assert_context_ok(r.context, quantise(&r, DET_OBSERVER_MINMAX, DET_QUANTISATION_FLOATS_NONE,
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
    stop(&r);
}

static void a_file_brings_it_back(void **state)
{
    (void)state;
    struct run r;
    char folder[256], path[300];
    start(&r, 2, "int8");
    make_model(&r, 0);
    test_make_directory(folder, "quantised");
    snprintf(path, sizeof path, "%s/q.det", folder);
    assert_context_ok(r.context, quantise(&r, DET_OBSERVER_AUTO, DET_QUANTISATION_FLOATS_AUTO,
                                          r.model, &r.quantised));
    assert_context_ok(r.context, det_model_save(r.context, r.quantised, path));
    det_model *loaded = NULL;
    assert_context_ok(r.context, det_model_load(r.context, path, &loaded));
    const det_quantisation_info before = info_of(&r, r.quantised), after = info_of(&r, loaded);
    assert_memory_equal(&before, &after, sizeof before);
    float *a = NULL, *b = NULL;
    const size_t count = outputs_of(&r, r.quantised, &a);
    assert_int_equal(outputs_of(&r, loaded, &b), count);
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
    stop(&r);
}

static void threads_change_nothing(void **state)
{
    (void)state;
    float *first = NULL;
    for (int threads = 1; threads <= 3; threads++) {
        struct run r;
        float *values = NULL;
        start(&r, threads, "auto");
        make_model(&r, 1);
        assert_context_ok(r.context, quantise(&r, DET_OBSERVER_SQUARES,
                                              DET_QUANTISATION_FLOATS_AUTO, r.model, &r.quantised));
        const size_t count = outputs_of(&r, r.quantised, &values);
        if (first == NULL)
            first = values;
        else
            assert_memory_equal(values, first, count * sizeof *values);
        if (values != first)
            free(values);
        stop(&r);
    }
    free(first);
}

static void all_in_8_bits_means_all(void **state)
{
    (void)state;
    struct run r;
    start(&r, 2, "auto");
    make_model(&r, 0);
    assert_context_ok(r.context, quantise(&r, DET_OBSERVER_AVERAGE, DET_QUANTISATION_FLOATS_NONE,
                                          r.model, &r.quantised));
    assert_int_equal(info_of(&r, r.quantised).float_layers, 0);
    assert_int_equal(info_of(&r, r.quantised).observer, DET_OBSERVER_AVERAGE);
    const struct det_graph *g = &r.quantised->graph;
    for (int32_t i = 0; i < g->op_count; i++)
        assert_true(r.quantised->quantised->eight_bits[i]);
    /* Levels are joined: one scale for the outputs of a kind. */
    for (int32_t l = 1; l < g->levels; l++) {
        const struct det_q8_tensor *t = r.quantised->quantised->tensors;
        assert_memory_equal(&t[g->box_outputs[l]], &t[g->box_outputs[0]], sizeof *t);
        assert_memory_equal(&t[g->class_outputs[l]], &t[g->class_outputs[0]], sizeof *t);
    }
    stop(&r);
}

static int stop_at_once(void *user, int64_t done, int64_t total)
{
    (void)user;
    return done > 0 && done <= total;
}

static void what_cannot_be_is_told(void **state)
{
    (void)state;
    struct run r;
    det_quantisation_settings s;
    start(&r, 2, "auto");
    make_model(&r, 0);
    det_quantisation_settings_default(&s);
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "needs pictures",
                         det_model_quantise(r.context, r.model, &s, &r.quantised));
    s.samples = &source;
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
    assert_int_equal(info_of(&r, r.model).is_quantised, 0);
    /* Weights that give no numbers. */
    r.model->owned[r.model->graph.params[0].offset] = INFINITY;
    assert_context_fails(r.context, DET_STATUS_NON_FINITE, "is inf",
                         det_model_quantise(r.context, r.model, &s, &again));
    stop(&r);
}

static void precision_int8_is_for_models_in_8_bits(void **state)
{
    (void)state;
    struct run r;
    det_detector *detector = NULL;
    start(&r, 1, "int8");
    make_model(&r, 0);
    assert_context_fails(r.context, DET_STATUS_INVALID_ARGUMENT, "the model is in float32",
                         det_detector_create(r.context, r.model, NULL, &detector));
    assert_contains(det_context_device(r.context), "int8");
    stop(&r);
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
                                            {"tensor 1 has no scale", no_scale},
                                            {"is -128", least_byte},
                                            {"scale of channel 0", zero_scale},
                                            {"observer", unknown_observer},
                                            {"images", no_images}};
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        struct run r;
        char folder[256], path[300];
        det_model *loaded = NULL;
        start(&r, 2, "auto");
        make_model(&r, 0);
        test_make_directory(folder, "quantised_damaged");
        snprintf(path, sizeof path, "%s/q.det", folder);
        assert_context_ok(r.context, quantise(&r, DET_OBSERVER_MINMAX, DET_QUANTISATION_FLOATS_NONE,
                                              r.model, &r.quantised));
        damages[i].apply(r.quantised->quantised);
        assert_context_ok(r.context, det_model_save(r.context, r.quantised, path));
        assert_context_fails(r.context, DET_STATUS_CORRUPT, damages[i].message,
                             det_model_load(r.context, path, &loaded));
        assert_null(loaded);
        test_remove_tree(folder);
        stop(&r);
    }
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
    struct run r;
    char folder[256], path[300];
    start(&r, 2, "auto");
    make_model(&r, 0);
    test_make_directory(folder, "quantised_memory");
    snprintf(path, sizeof path, "%s/q.det", folder);
    assert_context_ok(r.context, quantise(&r, DET_OBSERVER_MINMAX, DET_QUANTISATION_FLOATS_AUTO,
                                          r.model, &r.quantised));
    assert_context_ok(r.context, det_model_save(r.context, r.quantised, path));
    struct reading reading = {path, det_context_compute(r.context)->ops};
    test_each_allocation_fails(read_and_plan, &reading);
    test_remove_tree(folder);
    stop(&r);
}

int test_quantisation(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(observers_choose_ranges),
        cmocka_unit_test(a_range_holds_zero_exactly),
        cmocka_unit_test(equalising_changes_no_output),
        cmocka_unit_test(a_channel_of_zeros_has_a_scale_like_the_others),
        cmocka_unit_test(it_is_close_to_float32),
        cmocka_unit_test(it_runs_as_it_was_measured),
        cmocka_unit_test(a_file_brings_it_back),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(all_in_8_bits_means_all),
        cmocka_unit_test(what_cannot_be_is_told),
        cmocka_unit_test(precision_int8_is_for_models_in_8_bits),
        cmocka_unit_test(damaged_files_are_told),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests_name("quantisation", tests, NULL, NULL);
}
