/* The prepared network: whole networks against the reference walking the graph. */
#include <math.h>

#include "devices/cpu/prepared/prepared.h"
#include "devices/cpu/prepared/prepared_units.h"
#include "model/net.h"
#include "support/forms.h"
#include "support/mem.h"
#include "support/networks.h"
#include "support/ops.h"
#include "support/test.h"

struct fixture {
    struct test_env t;
    struct det_graph training, graph;
    float *params, *image;
    size_t encodings, logits;
};

static void make(struct fixture *f, const struct network *n)
{
    test_env_init(&f->t);
    struct det_env *env = &f->t.env;
    network_make(env, n, &f->training, &f->graph, &f->params, &f->image);
    f->encodings = (size_t)n->batch * (size_t)f->graph.anchor_count * 4;
    f->logits = (size_t)n->batch * (size_t)(f->graph.anchor_count * f->graph.class_slots);
}

static void drop(struct fixture *f)
{
    det_graph_free(&f->t.env, &f->training);
    det_graph_free(&f->t.env, &f->graph);
    det_free(&f->t.env, &f->params);
    det_free(&f->t.env, &f->image);
    test_env_check(&f->t);
}

/* Input, forward, twice: the second run must not see the first. Returns encodings, then logits. */
static float *infer(struct fixture *f, const struct network *n, const struct form *form,
                    int threads)
{
    struct det_env *env = &f->t.env;
    struct det_pool *pool = NULL;
    struct det_prepared *net = NULL;
    assert_ok(env, det_pool_create(env, threads, &pool));
    assert_ok(
        env, det_prepared_create(env, &f->graph, NULL, f->params, form->ops, pool, n->batch, &net));
    float *result = ops_buffer(f->encodings + f->logits, NULL);
    const size_t pixels = (size_t)n->batch * (size_t)n->height * (size_t)n->width * 3;
    memcpy(det_prepared_input(net), f->image, pixels * sizeof(float));
    det_prepared_forward(net);
    const long before = test_env_allocations(&f->t);
    det_prepared_forward(net);
    assert_int_equal(test_env_allocations(&f->t), before);
    memcpy(result, det_prepared_encodings(net), f->encodings * sizeof(float));
    memcpy(result + f->encodings, det_prepared_logits(net), f->logits * sizeof(float));
    det_prepared_destroy(env, &net);
    det_pool_destroy(env, &pool);
    return result;
}

static float *reference(struct fixture *f, const struct network *n)
{
    struct det_env *env = &f->t.env;
    struct det_net *net = NULL;
    assert_ok(env,
              det_net_create(env, &f->graph, det_ops_ref(), NULL, n->batch, DET_NET_INFER, &net));
    const size_t pixels = (size_t)n->batch * (size_t)n->height * (size_t)n->width * 3;
    memcpy(det_net_input(net), f->image, pixels * sizeof(float));
    det_net_forward(net, f->params);
    float *result = ops_buffer(f->encodings + f->logits, NULL);
    memcpy(result, det_net_encodings(net), f->encodings * sizeof(float));
    memcpy(result + f->encodings, det_net_logits(net), f->logits * sizeof(float));
    det_net_destroy(env, &net);
    return result;
}

/* Of the largest output. Storing rounds by up to 1/256 of a value, once a layer; measured are .0008
 * to .006. */
#define BF16_BOUND 0.012

static void networks_equal_the_reference(void **state)
{
    (void)state;
    struct form list[FORMS_MAX];
    const int count = forms(list);
    for (size_t i = 0; i < NETWORKS; i++) {
        const struct network *n = &networks[i];
        struct fixture f;
        make(&f, n);
        float *want = reference(&f, n);
        double largest = 0;
        for (size_t j = 0; j < ops_count(want); j++)
            largest = fmax(largest, fabs((double)want[j]));
        for (int t = 0; t < count; t++) {
            float *got = infer(&f, n, &list[t], 1);
            const double error = test_max_abs_error(got, want, ops_count(want));
            if (!(error <= (list[t].kernels->bf16 ? BF16_BOUND : 2e-5) * largest))
                fail_msg("%s, %s: differs by %g of %g", n->name, list[t].name, error, largest);
            for (int threads = 2; threads <= 3; threads++) {
                float *again = infer(&f, n, &list[t], threads);
                ops_same(n->name, again, got);
                ops_free(again);
            }
            ops_free(got);
        }
        ops_free(want);
        drop(&f);
    }
}

/* A NaN in the input must reach every output that the reference lets it reach. */
static void a_nan_is_not_lost(void **state)
{
    (void)state;
    struct form list[FORMS_MAX];
    const int count = forms(list);
    struct fixture f;
    make(&f, &networks[1]);
    f.image[75 * 101 * 3 / 2] = NAN;
    float *want = reference(&f, &networks[1]);
    for (int t = 0; t < count; t++) {
        float *got = infer(&f, &networks[1], &list[t], 2);
        size_t spread = 0;
        for (size_t j = 0; j < ops_count(want); j++) {
            if (isnan(want[j]) && !isnan(got[j]))
                fail_msg("%s: output %zu should be NaN", list[t].name, j);
            spread += isnan(want[j]) ? 1U : 0U;
        }
        assert_true(spread > 0);
        ops_free(got);
    }
    ops_free(want);
    drop(&f);
}

/* Everything about infinities is decided before anything is rounded: what is NaN or infinite must
 * be so exactly, the rest lies within `bound` of the largest. */
static void check_special(const char *what, const struct form *form, const float *got,
                          const float *want)
{
    double largest = 0;
    for (size_t i = 0; i < ops_count(want); i++)
        if (isfinite(want[i]))
            largest = fmax(largest, fabs((double)want[i]));
    const double bound = (form->kernels->bf16 ? BF16_BOUND : 2e-5) * largest;
    for (size_t i = 0; i < ops_count(want); i++)
        if (isfinite(want[i]) ? !(fabs((double)got[i] - (double)want[i]) <= bound)
            : isnan(want[i])  ? !isnan(got[i])
                              : got[i] != want[i])
            fail_msg("%s, %s: output %zu is %g, not %g", what, form->name, i, (double)got[i],
                     (double)want[i]);
}

/* Returns how many outputs should be NaN or infinite. */
static size_t check_forms(const char *what, struct fixture *f, const struct network *n)
{
    size_t special = 0;
    struct form list[FORMS_MAX];
    const int count = forms(list);
    float *want = reference(f, n);
    for (int t = 0; t < count; t++) {
        float *got = infer(f, n, &list[t], 2);
        check_special(what, &list[t], got, want);
        ops_free(got);
    }
    for (size_t i = 0; i < ops_count(want); i++)
        special += isfinite(want[i]) ? 0U : 1U;
    ops_free(want);
    return special;
}

/* relu6 makes 6 and 0 of infinities. */
static void infinite_pixels_are_clamped(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, &networks[1]);
    f.image[75 * 101 * 3 / 2] = INFINITY;
    f.image[75 * 101 * 3 / 2 + 60] = -INFINITY;
    assert_int_equal(check_forms("infinite pixels", &f, &networks[1]), 0);
    drop(&f);
}

/* The bias of channel `channel` of the first projection, which has no activation: the stem
 * block's. */
static float *projection_bias(struct fixture *f, int32_t channel)
{
    for (int32_t i = 0; i < f->graph.op_count; i++) {
        const struct det_op *op = &f->graph.ops[i];
        if (op->kind == DET_OP_CONV && op->kernel == 1 && op->act == DET_ACTIVATION_NONE) {
            assert_true(f->graph.tensors[op->out].channels > channel);
            return &f->params[f->graph.params[op->bias].offset + (size_t)channel];
        }
    }
    fail_msg("no projection");
    return NULL;
}

/* Between two layers a tensor is stored: an infinite channel must come through, and two of them
 * make NaN where their products have opposite signs. */
static void infinities_between_layers_survive(void **state)
{
    (void)state;
    for (int channels = 1; channels <= 2; channels++) {
        struct fixture f;
        make(&f, &networks[1]);
        *projection_bias(&f, 0) = INFINITY;
        if (channels == 2)
            *projection_bias(&f, 3) = -INFINITY;
        const size_t special = check_forms(
            channels == 1 ? "an infinite channel" : "two infinite channels", &f, &networks[1]);
        assert_true((special > 0) == (channels == 2));
        drop(&f);
    }
}

/* Step by step it is the same network, each unit in one step. */
static void steps_make_the_network(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, &networks[4]);
    struct det_env *env = &f.t.env;
    const char *reason = NULL;
    struct det_prepared *net = NULL;
    assert_ok(env, det_prepared_create(env, &f.graph, NULL, f.params, det_ops_cpu("auto", &reason),
                                       NULL, 1, &net));
    memcpy(det_prepared_input(net), f.image, (size_t)70 * 66 * 3 * sizeof(float));
    det_prepared_forward(net);
    float *whole = ops_buffer(f.logits, det_prepared_logits(net));
    memset(det_prepared_input(net), 0, (size_t)70 * 66 * 3 * sizeof(float));
    det_prepared_forward(net);
    memcpy(det_prepared_input(net), f.image, (size_t)70 * 66 * 3 * sizeof(float));
    int32_t steps = 0, units = 0, in_step = 0, count = 0;
    struct detk_unit *all = calloc(detk_units_most(&f.graph), sizeof *all);
    assert_ok(env, detk_units_find(env, &f.graph, NULL, all, &count));
    const struct detk_unit *unit = NULL;
    for (; (unit = det_prepared_step(net, steps, &in_step)) != NULL; steps++) {
        assert_memory_equal(unit, &all[units], (size_t)in_step * sizeof *unit);
        units += in_step;
        det_prepared_run_step(net, steps);
    }
    assert_int_equal(units, count);
    assert_null(det_prepared_step(net, -1, &in_step));
    assert_memory_equal(det_prepared_logits(net), whole, f.logits * sizeof(float));
    free(all);
    ops_free(whole);
    det_prepared_destroy(env, &net);
    drop(&f);
}

/* What the shipped configurations are made of is all fused. */
static void the_real_network_is_fused(void **state)
{
    (void)state;
    struct test_env t;
    struct det_model_spec spec;
    struct det_graph graph;
    int32_t count = 0, kinds[DETK_OTHER_UNIT + 1] = {0};
    test_env_init(&t);
    det_model_spec_default(&spec, 320, 3);
    assert_ok(&t.env, det_graph_build(&t.env, &spec, true, &graph));
    struct detk_unit *units = calloc(detk_units_most(&graph), sizeof *units);
    assert_ok(&t.env, detk_units_find(&t.env, &graph, NULL, units, &count));
    for (int32_t i = 0; i < count; i++) {
        kinds[units[i].kind]++;
        for (int32_t j = 0; j < i; j++) /* nobody reads what is made later */
            assert_true(units[j].in != units[i].out && units[j].in2 != units[i].out);
    }
    assert_int_equal(kinds[DETK_BLOCK_UNIT], 17);
    assert_int_equal(kinds[DETK_POINTWISE_UNIT], 4);
    assert_int_equal(kinds[DETK_SEPARABLE_UNIT], 4 + 5 * (4 + 2));
    assert_int_equal(kinds[DETK_OTHER_UNIT], 0);
    free(units);
    det_graph_free(&t.env, &graph);
    test_env_check(&t);
}

static det_status create_only(struct det_env *env, void *argument)
{
    const struct fixture *f = argument;
    const char *reason = NULL;
    const struct det_ops *ops = det_ops_cpu("auto", &reason);
    struct det_prepared *net = NULL;
    const det_status status =
        det_prepared_create(env, &f->graph, NULL, f->params, ops, NULL, 1, &net);
    det_prepared_destroy(env, &net);
    return status;
}

static void creation_can_fail(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, &networks[4]);
    struct det_env *env = &f.t.env;
    struct det_prepared *net = NULL;
    const char *reason = NULL;
    const struct det_ops *ops = det_ops_cpu("auto", &reason);
    test_each_allocation_fails(create_only, &f);
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "batch: got 0",
                 det_prepared_create(env, &f.graph, NULL, f.params, ops, NULL, 0, &net));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "is a batch norm",
                 det_prepared_create(env, &f.training, NULL, f.params, ops, NULL, 1, &net));
    assert_null(net);
    drop(&f);
}

int test_prepared(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_real_network_is_fused),
        cmocka_unit_test(networks_equal_the_reference),
        cmocka_unit_test(a_nan_is_not_lost),
        cmocka_unit_test(infinite_pixels_are_clamped),
        cmocka_unit_test(infinities_between_layers_survive),
        cmocka_unit_test(steps_make_the_network),
        cmocka_unit_test(creation_can_fail),
    };
    return cmocka_run_group_tests_name("prepared", tests, NULL, NULL);
}
