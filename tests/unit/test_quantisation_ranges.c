/* quantise/observe, quantise/equalise, scales: which range of numbers 8 bits cover. */
#include <math.h>

#include "model/net.h"
#include "model/quantised.h"
#include "quantise/equalise.h"
#include "quantise/observe.h"
#include "support/mem.h"
#include "support/networks.h"
#include "support/ops.h"

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
    float tiny[3] = {0x1p-149f, 1, 2}, all_tiny[3] = {0x1p-149f, 0, 0x1p-146f};
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
    /* As those whose part of 127 is none. */
    det_q8_weight_scales(tiny, 3);
    assert_true(tiny[0] == 2 / 127.0f);
    det_q8_weight_scales(all_tiny, 3);
    assert_true(all_tiny[0] == 1 && all_tiny[1] == 1 && all_tiny[2] == 1);
    test_env_check(&t);
}

int test_quantisation_ranges(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(observers_choose_ranges),
        cmocka_unit_test(a_range_holds_zero_exactly),
        cmocka_unit_test(equalising_changes_no_output),
        cmocka_unit_test(a_channel_of_zeros_has_a_scale_like_the_others),
    };
    return cmocka_run_group_tests_name("quantisation_ranges", tests, NULL, NULL);
}
