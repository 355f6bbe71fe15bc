/* Whole networks in 8 bits, and with any of their operations in float32, prepared (prepared.h)
 * against devices/cpu/q8_net.h.
 *
 * Sums in float32 have another order there, and a value that comes out differently may be rounded
 * to another integer behind them: so real weights allow a bound alone. Whether each operation reads
 * what it should is therefore seen in networks whose sums have no rounding, which must be equal:
 * all weights are 0 and +-1, all values whole multiples of 2^-6 and far below 2^17.
 */
#include <math.h>

#include "devices/cpu/prepared/prepared.h"
#include "devices/cpu/q8_net.h"
#include "quantise/floats.h"
#include "support/forms.h"
#include "support/mem.h"
#include "support/networks.h"
#include "support/test.h"

static uint32_t state_of_draws;

static int32_t draw(int32_t low, int32_t high)
{
    state_of_draws = state_of_draws * 1664525U + 1013904223U;
    const uint64_t range = (uint64_t)((int64_t)high - low + 1);
    return (int32_t)(low + (int64_t)((uint64_t)(state_of_draws >> 8) * range >> 24));
}

struct fixture {
    struct test_env t;
    struct det_graph graph;
    struct det_quantised *quantised;
    float *params, *image;
    size_t encodings, logits, pixels;
};

static void make_floats(struct fixture *f, const struct network *n)
{
    test_env_init(&f->t);
    struct det_env *env = &f->t.env;
    struct det_graph training;
    network_make(env, n, &training, &f->graph, &f->params, &f->image);
    det_graph_free(env, &training);
    f->quantised = NULL;
    f->pixels = (size_t)n->batch * (size_t)n->height * (size_t)n->width * 3;
    f->encodings = (size_t)n->batch * (size_t)f->graph.anchor_count * 4;
    f->logits = (size_t)n->batch * (size_t)(f->graph.anchor_count * f->graph.class_slots);
}

static void make(struct fixture *f, const struct network *n, enum network_floats floats)
{
    make_floats(f, n);
    network_quantise(&f->t.env, &f->graph, floats, f->params, &f->quantised);
}

static void drop(struct fixture *f)
{
    det_quantised_destroy(&f->t.env, &f->quantised);
    det_graph_free(&f->t.env, &f->graph);
    det_free(&f->t.env, &f->params);
    det_free(&f->t.env, &f->image);
    test_env_check(&f->t);
}

/* Encodings, then logits. */
static float *result_of(const struct fixture *f, const float *encodings, const float *logits)
{
    float *result = ops_buffer(f->encodings + f->logits, NULL);
    memcpy(result, encodings, f->encodings * sizeof(float));
    memcpy(result + f->encodings, logits, f->logits * sizeof(float));
    return result;
}

static float *plain(struct fixture *f, const struct det_ops *ops, int32_t batch)
{
    struct det_env *env = &f->t.env;
    struct det_q8_net *net = NULL;
    assert_ok(env,
              det_q8_net_create(env, &f->graph, f->quantised, f->params, ops, NULL, batch, &net));
    memcpy(det_q8_net_input(net), f->image, f->pixels * sizeof(float));
    det_q8_net_forward(net);
    float *result = result_of(f, det_q8_net_encodings(net), det_q8_net_logits(net));
    det_q8_net_destroy(env, &net);
    return result;
}

/* Twice: the second run must not see the first, which is of the picture upside down. */
static float *prepared(struct fixture *f, const struct det_ops *ops, int32_t batch, int threads)
{
    struct det_env *env = &f->t.env;
    struct det_pool *pool = NULL;
    struct det_prepared *net = NULL;
    assert_ok(env, det_pool_create(env, threads, &pool));
    assert_ok(env,
              det_prepared_create(env, &f->graph, f->quantised, f->params, ops, pool, batch, &net));
    for (size_t i = 0; i < f->pixels; i++)
        det_prepared_input(net)[i] = f->image[f->pixels - 1 - i];
    det_prepared_forward(net);
    const long before = test_env_allocations(&f->t);
    memcpy(det_prepared_input(net), f->image, f->pixels * sizeof(float));
    det_prepared_forward(net);
    assert_int_equal(test_env_allocations(&f->t), before);
    float *result = result_of(f, det_prepared_encodings(net), det_prepared_logits(net));
    det_prepared_destroy(env, &net);
    det_pool_destroy(env, &pool);
    return result;
}

/* --- without rounding --- */

enum { TAPS = 4 };

/* Of each output channel some taps are +-1. 127 / 64 becomes 127, so 1 is 64 whole steps. */
static void draw_weights(struct fixture *f, const struct det_op *op)
{
    const struct det_param *p = &f->graph.params[op->weight];
    const int32_t channels = f->graph.tensors[op->out].channels;
    const int32_t terms = (int32_t)(p->count / (size_t)channels);
    float *values = f->params + p->offset, *limits = malloc((size_t)channels * sizeof *limits);
    memset(values, 0, p->count * sizeof *values);
    for (int32_t c = 0; c < channels; c++) {
        limits[c] = 127.0f / 64;
        for (int i = 0; i < TAPS; i++)
            values[draw(0, terms - 1) * channels + c] = draw(0, 1) ? 1 : -1;
    }
    assert_ok(&f->t.env, det_q8_weights_round(&f->t.env, values, p->count, channels, limits,
                                              &f->quantised->weights[op->weight]));
    for (size_t i = 0; i < p->count; i++)
        assert_true((float)f->quantised->weights[op->weight].values[i] / 64 == values[i]);
    for (int32_t c = 0; c < channels && op->bias >= 0; c++)
        f->params[f->graph.params[op->bias].offset + (size_t)c] = (float)draw(-96, 96) / 64;
    free(limits);
}

/* All in float32; scales, zeros, weights and pixels as above. */
static void make_exact(struct fixture *f, const struct network *n)
{
    make_floats(f, n);
    assert_ok(&f->t.env, det_quantised_create(&f->t.env, &f->graph, &f->quantised));
    struct det_quantised *q = f->quantised;
    q->tensors[0] = det_q8_input_tensor();
    for (int32_t t = 1; t < f->graph.tensor_count; t++)
        q->tensors[t] = (struct det_q8_tensor){ldexpf(1, -draw(4, 6)), draw(-40, 40)};
    for (int32_t i = 0; i < f->graph.op_count; i++) {
        const struct det_op *op = &f->graph.ops[i];
        if (op->act == DET_ACTIVATION_RELU6)
            q->tensors[op->out].zero = -128;
        if (op->weight >= 0 && q->weights[op->weight].values == NULL)
            draw_weights(f, op);
    }
    for (size_t i = 0; i < f->pixels; i++)
        f->image[i] = (float)draw(-64, 64) / 64;
}

static bool touched_in_8_bits(const struct fixture *f, int32_t tensor)
{
    for (int32_t i = 0; i < f->graph.op_count; i++) {
        const struct det_op *op = &f->graph.ops[i];
        if (f->quantised->eight_bits[i] &&
            (op->in == tensor || op->in2 == tensor || op->out == tensor))
            return true;
    }
    return false;
}

/* As quantise/ranges.c has them. */
static void additions_follow(struct fixture *f)
{
    bool *eight_bits = f->quantised->eight_bits;
    for (bool changed = true; changed;) {
        changed = false;
        for (int32_t i = 0; i < f->graph.op_count; i++) {
            const struct det_op *op = &f->graph.ops[i];
            if (det_op_is_convolution(op) || eight_bits[i] || !touched_in_8_bits(f, op->in) ||
                !touched_in_8_bits(f, op->in2))
                continue;
            eight_bits[i] = changed = true;
        }
    }
}

/* Every operation by itself, in `eighths` of all cases in 8 bits; every other time additions are
 * left to themselves too. */
static void draw_forms(struct fixture *f, int32_t eighths, bool follow)
{
    for (int32_t i = 0; i < f->graph.op_count; i++)
        f->quantised->eight_bits[i] = draw(0, 7) < eighths && !(follow && f->graph.ops[i].in2 >= 0);
    if (follow)
        additions_follow(f);
}

/* What goes back to float32 when a model is not good enough: `layers` of them, with what goes with
 * them. */
static void draw_closure(struct fixture *f, int32_t layers)
{
    float *errors = malloc((size_t)f->graph.op_count * sizeof *errors);
    int32_t taken = 0;
    for (int32_t i = 0; i < f->graph.op_count; i++) {
        errors[i] = (float)draw(1, 1000);
        f->quantised->eight_bits[i] = det_op_is_convolution(&f->graph.ops[i]);
    }
    assert_ok(&f->t.env, det_floats_take_worst(&f->t.env, &f->graph, errors, layers, 1,
                                               f->quantised->eight_bits, &taken));
    assert_int_equal(taken, layers);
    additions_follow(f);
    free(errors);
}

/* What is NaN must be so, all else the same number. */
static void check_same(const char *what, const char *set, int threads, const float *got,
                       const float *want)
{
    for (size_t i = 0; i < ops_count(want); i++)
        if (isnan(want[i]) ? !isnan(got[i]) : got[i] != want[i])
            fail_msg("%s, %s, %d threads: output %zu is %g, not %g", what, set, threads, i,
                     (double)got[i], (double)want[i]);
}

/* Each set of instructions, the fastest by all numbers of threads. Returns what is right. */
static float *check_exact(struct fixture *f, const struct network *n, int index)
{
    struct form list[FORMS_MAX];
    const int count = forms_q8(list);
    float *want = plain(f, list[count - 1].ops, n->batch);
    for (int set = 0; set < count; set++) {
        const int first = set == count - 1 ? 1 : 1 + (index + set) % 3;
        for (int threads = first; threads <= (set == count - 1 ? 3 : first); threads++) {
            float *got = prepared(f, list[set].ops, n->batch, threads);
            check_same(n->name, list[set].name, threads, got, want);
            ops_free(got);
        }
    }
    return want;
}

/* That there is something to be seen: what is clamped to an end is less than half. */
static void check_lively(const char *what, const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t same = 0;
        for (size_t j = 0; j < count; j++)
            same += values[i] == values[j];
        if (2 * same > count)
            fail_msg("%s: %zu of %zu outputs are %g", what, same, count, (double)values[i]);
    }
}

enum { MIXTURES = 6 };

static void mixtures_equal_the_plain_network(void **state)
{
    (void)state;
    for (int n = 0; n < NETWORKS; n++) {
        struct fixture f;
        make_exact(&f, &networks[n]);
        for (int i = 0; i < MIXTURES; i++) {
            if (i < MIXTURES / 2)
                draw_forms(&f, 2 + 2 * i, (i + n) % 2 == 0);
            else
                draw_closure(&f, 1 << (i - MIXTURES / 2) * 2);
            float *want = check_exact(&f, &networks[n], n + i);
            check_lively(networks[n].name, want, f.encodings);
            ops_free(want);
        }
        drop(&f);
    }
}

static bool used_in_8_bits(const struct fixture *f, int32_t param)
{
    bool used = false;
    for (int32_t i = 0; i < f->graph.op_count; i++)
        used |= f->quantised->eight_bits[i] &&
                (f->graph.ops[i].weight == param || f->graph.ops[i].bias == param);
    return used;
}

/* NaN and infinities in every fourth bias that only float32 knows, and in a 1x1's weights, where no
 * zero beside the picture meets them. */
static void spoil(struct fixture *f)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int32_t i = 0, spoilt = 0; i < f->graph.op_count; i++) {
        const struct det_op *op = &f->graph.ops[i];
        if (op->weight < 0 || used_in_8_bits(f, op->weight) || used_in_8_bits(f, op->bias))
            continue;
        if (op->bias >= 0 && draw(0, 3) == 0)
            f->params[f->graph.params[op->bias].offset] = bad[draw(0, 2)];
        if (op->kind == DET_OP_CONV && op->kernel == 1 && spoilt++ == 2)
            f->params[f->graph.params[op->weight].offset] = NAN;
    }
}

/* NaN is real 0 in 8 bits, infinities are the ends. */
static void nan_and_infinities_pass_as_in_the_plain_network(void **state)
{
    (void)state;
    size_t count = 0, nan = 0;
    for (int n = 0; n < NETWORKS; n++) {
        struct fixture f;
        make_exact(&f, &networks[n]);
        draw_forms(&f, 5, n % 2 == 0);
        for (int32_t i = 0; i < f.graph.op_count; i++)
            if (det_graph_is_output(&f.graph, f.graph.ops[i].out))
                f.quantised->eight_bits[i] = false;
        spoil(&f);
        float *want = check_exact(&f, &networks[n], n);
        count += ops_count(want);
        for (size_t i = 0; i < ops_count(want); i++)
            nan += isnan(want[i]) ? 1U : 0U;
        ops_free(want);
        drop(&f);
    }
    assert_true(nan > 0 && nan < count / 2);
}

static det_status create_only(struct det_env *env, void *argument)
{
    const struct fixture *f = argument;
    const char *reason = NULL;
    const struct det_ops *ops = det_ops_cpu("auto", &reason);
    struct det_prepared *net = NULL;
    const det_status status =
        det_prepared_create(env, &f->graph, f->quantised, f->params, ops, NULL, 1, &net);
    det_prepared_destroy(env, &net);
    return status;
}

static void creation_can_fail(void **state)
{
    (void)state;
    struct fixture f;
    make_exact(&f, &networks[2]);
    draw_forms(&f, 4, false);
    test_each_allocation_fails(create_only, &f);
    drop(&f);
}

/* Returns how many convert. */
static int32_t check_fused(struct fixture *f)
{
    int32_t count = 0, converting = 0;
    struct detk_unit *units = calloc(detk_units_most(&f->graph), sizeof *units);
    assert_ok(&f->t.env, detk_units_find(&f->t.env, &f->graph, f->quantised, units, &count));
    for (int32_t i = 0; i < count; i++) {
        assert_true(units[i].kind != DETK_OTHER_UNIT);
        converting += units[i].kind == DETK_CONVERT_UNIT;
        for (int32_t j = 0; j < i; j++) { /* nobody reads what is made later */
            assert_true(units[j].in != units[i].out || units[j].in_q8 != units[i].out_q8);
            assert_true(units[j].in2 != units[i].out || units[j].in2_q8 != units[i].out_q8);
        }
    }
    free(units);
    return converting;
}

/* Whatever goes back to float32 of the shipped configurations' network, nothing in it is left to
 * plain operations. */
static void what_goes_back_is_fused(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct det_model_spec spec;
    test_env_init(&f.t);
    det_model_spec_default(&spec, 320, 3);
    assert_ok(&f.t.env, det_graph_build(&f.t.env, &spec, true, &f.graph));
    assert_ok(&f.t.env, det_quantised_create(&f.t.env, &f.graph, &f.quantised));
    assert_int_equal(check_fused(&f), 0);
    draw_closure(&f, 0);
    assert_int_equal(check_fused(&f), 0);
    for (int32_t layers = 1; layers < 30; layers++) {
        draw_closure(&f, layers);
        assert_true(check_fused(&f) > 0);
    }
    drop(&f);
}

/* Of the largest: what float32 layers may differ by, and what that makes of a rounding to 8 bits
 * behind them. */
static double bound_of(enum network_floats floats)
{
    return floats == NETWORK_NONE ? 0 : floats == NETWORK_LAST ? 1e-6 : 0.05;
}

/* The same bits by up to `most` threads. */
static void check_near(struct fixture *f, const struct network *n, const struct form *form,
                       int most, const float *want, double bound)
{
    double largest = 0;
    for (size_t j = 0; j < ops_count(want); j++)
        largest = fmax(largest, fabs((double)want[j]));
    float *got = prepared(f, form->ops, n->batch, 1);
    const double error = test_max_abs_error(got, want, ops_count(want));
    if (!(error <= bound * largest))
        fail_msg("%s, %s: differs by %g of %g", n->name, form->name, error, largest);
    for (int threads = 2; threads <= most; threads++) {
        float *again = prepared(f, form->ops, n->batch, threads);
        ops_same(n->name, again, got);
        ops_free(again);
    }
    ops_free(got);
}

/* With weights as they are. */
static void networks_equal_the_plain_ones(void **state)
{
    (void)state;
    struct form list[FORMS_MAX];
    const int count = forms_q8(list);
    /* The last, of float32 sums that are cut, is for the mixtures. */
    for (size_t i = 0; i < NETWORKS - 1; i++) {
        for (int floats = NETWORK_NONE; floats < NETWORK_FLOATS; floats++) {
            const double bound = bound_of((enum network_floats)floats);
            struct fixture f;
            make(&f, &networks[i], (enum network_floats)floats);
            float *want = plain(&f, list[count - 1].ops, networks[i].batch);
            for (int t = 0; t < count; t++)
                check_near(&f, &networks[i], &list[t], t == count - 1 ? 3 : 2, want, bound);
            ops_free(want);
            drop(&f);
        }
    }
}

/* Maps so large that products are made by Strassen's scheme: lines of 20 pixels, which are not
 * whole groups, of 39, which are not whole fours, and a block that goes by bands. */
static void groups_of_pixels_equal_the_plain_network(void **state)
{
    (void)state;
    static const struct network large[] = {
        {"groups of fours", 288, 312, 2, 0.75f, 64, false, false, false, 3, 1},
        {"bands of groups", 256, 1472, 1, 0.75f, 64, false, false, false, 3, 1},
    };
    struct form list[FORMS_MAX];
    const int count = forms_q8(list);
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        struct fixture f;
        make(&f, &large[i], NETWORK_NONE);
        float *want = prepared(&f, list[0].ops, large[i].batch, 2);
        for (int t = 1; t < count; t++)
            check_near(&f, &large[i], &list[t], 1 + t % 3, want, 0);
        ops_free(want);
        drop(&f);
    }
}

/* What no kernel is made for goes through plain C: 5 x 5 channel by channel, and a first
 * convolution and a sum where they are no part of a block. */
static void dense_networks_are_products(void **state)
{
    (void)state;
    int32_t dense = 0;
    for (int n = 0; n < NETWORKS; n++) {
        struct fixture f;
        int32_t count = 0;
        make(&f, &networks[n], NETWORK_NONE);
        struct detk_unit *units = calloc(detk_units_most(&f.graph), sizeof *units);
        assert_ok(&f.t.env, detk_units_find(&f.t.env, &f.graph, f.quantised, units, &count));
        for (int32_t i = 0; i < count; i++) {
            dense += units[i].kind == DETK_DENSE_UNIT;
            if (units[i].kind != DETK_OTHER_UNIT)
                continue;
            const struct det_op *op = &f.graph.ops[units[i].other];
            assert_true(op->kind != DET_OP_CONV || op->in == 0);
        }
        free(units);
        drop(&f);
    }
    assert_true(dense > 0);
}

int test_prepared_mixed(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_equal_the_plain_ones),
        cmocka_unit_test(groups_of_pixels_equal_the_plain_network),
        cmocka_unit_test(mixtures_equal_the_plain_network),
        cmocka_unit_test(nan_and_infinities_pass_as_in_the_plain_network),
        cmocka_unit_test(creation_can_fail),
        cmocka_unit_test(what_goes_back_is_fused),
        cmocka_unit_test(dense_networks_are_products),
    };
    return cmocka_run_group_tests_name("prepared mixed", tests, NULL, NULL);
}
