/* model/fold: a network trained in its folded form is the same network: its gradients are those of
 * the training form with frozen batch norms, its rounded weights those of the export; and
 * model/net_rounding. */
#include <math.h>

#include "model/fold.h"
#include "support/formula.h"
#include "support/mem.h"
#include "support/networks.h"
#include "support/ops.h"

struct twins {
    struct test_env t;
    struct det_model_spec spec;
    struct det_graph graph;
    struct det_fold fold;
    const struct network *network;
    struct det_pool *pool;
    float *params, *pixels;
};

static void open_twins(struct twins *w, const struct network *network, int threads)
{
    *w = (struct twins){.network = network};
    test_env_init(&w->t);
    struct det_env *env = &w->t.env;
    network_spec(network, &w->spec);
    assert_ok(env, det_graph_build(env, &w->spec, false, &w->graph));
    assert_ok(env, det_fold_create(env, &w->spec, &w->graph, &w->fold));
    assert_ok(env, det_pool_create(env, threads, &w->pool));
    w->params = ops_buffer(w->graph.param_floats, NULL);
    formula_params(&w->graph, w->params);
    w->pixels = ops_random(
        (size_t)network->batch * (size_t)network->height * (size_t)network->width * 3, 5);
    for (size_t i = 0; i < ops_count(w->pixels); i++)
        w->pixels[i] = 127.5f + 127.5f * w->pixels[i];
}

static void close_twins(struct twins *w)
{
    ops_free(w->params);
    ops_free(w->pixels);
    det_fold_free(&w->t.env, &w->fold);
    det_graph_free(&w->t.env, &w->graph);
    det_pool_destroy(&w->t.env, &w->pool);
    test_env_check(&w->t);
}

static size_t count_of(const struct twins *w, int32_t slots)
{
    return (size_t)w->network->batch * (size_t)w->graph.anchor_count * (size_t)slots;
}

static void set_loss(const struct twins *w, struct det_net *net)
{
    test_fill(det_net_encoding_gradients(net), count_of(w, 4), 3);
    test_fill(det_net_logit_gradients(net), count_of(w, w->graph.class_slots), 4);
}

static void create_net(struct twins *w, const struct det_ops *ops, const struct det_graph *graph,
                       enum det_net_mode mode, struct det_net **net)
{
    assert_ok(&w->t.env,
              det_net_create(&w->t.env, graph, ops, w->pool, w->network->batch, mode, net));
}

static void compare(const char *what, const float *got, const float *want, size_t count,
                    double tolerance)
{
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)want[i]));
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= tolerance * (most + 1e-6)))
            fail_msg("%s: value %zu is %.9g, expected %.9g (largest %.9g)", what, i, (double)got[i],
                     (double)want[i], most);
}

/* By their norms: where a value lies at a kink of relu6, rounding decides about its gradient. */
static void compare_norms(const char *what, const float *got, const float *want, size_t count)
{
    double difference = 0, all = 0;
    for (size_t i = 0; i < count; i++) {
        difference += pow((double)got[i] - (double)want[i], 2);
        all += pow((double)want[i], 2);
    }
    if (!(sqrt(difference) <= 2e-2 * sqrt(all) + 1e-6))
        fail_msg("%s: differs by %g of %g", what, sqrt(difference), sqrt(all));
}

static void compare_gradients(const struct twins *w, const char *name, const float *got,
                              const float *want)
{
    char what[300];
    for (int32_t p = 0; p < w->graph.param_count; p++) {
        const struct det_param *param = &w->graph.params[p];
        snprintf(what, sizeof what, "%s, %s: %s", w->network->name, name, param->key);
        if (param->trainable)
            compare_norms(what, got + param->offset, want + param->offset, param->count);
    }
}

static void check_gradients(const struct network *network, const struct det_ops *ops)
{
    struct twins w;
    struct det_net *frozen = NULL, *folded = NULL;
    open_twins(&w, network, 2);
    create_net(&w, ops, &w.graph, DET_NET_TRAIN_FROZEN, &frozen);
    create_net(&w, ops, &w.fold.graph, DET_NET_TRAIN_FOLDED, &folded);
    float *want = ops_buffer(w.graph.param_floats, NULL);
    float *got = ops_buffer(w.graph.param_floats, NULL);
    det_net_set_images(frozen, w.pixels, network->height, network->width);
    det_net_forward(frozen, w.params);
    set_loss(&w, frozen);
    det_net_backward(frozen, w.params, want);
    det_fold_params(&w.fold, w.pool, w.params, NULL);
    det_net_set_images(folded, w.pixels, network->height, network->width);
    det_net_forward(folded, w.fold.params);
    compare(network->name, det_net_encodings(folded), det_net_encodings(frozen), count_of(&w, 4),
            1e-4);
    compare(network->name, det_net_logits(folded), det_net_logits(frozen),
            count_of(&w, w.graph.class_slots), 1e-4);
    set_loss(&w, folded);
    det_net_backward(folded, w.fold.params, w.fold.gradients);
    det_fold_gradients(&w.fold, w.pool, w.params, got);
    compare_gradients(&w, ops->name, got, want);
    det_net_destroy(&w.t.env, &frozen);
    det_net_destroy(&w.t.env, &folded);
    ops_free(want);
    ops_free(got);
    close_twins(&w);
}

static void gradients_are_those_of_the_frozen_network(void **state)
{
    (void)state;
    const struct det_ops *tables[OPS_TABLES_MAX];
    const int count = ops_tables(tables);
    for (int n = 0; n < NETWORKS; n++) {
        if (networks[n].alpha < .5f)
            check_gradients(&networks[n], det_ops_ref());
        for (int t = 0; t < count; t++)
            check_gradients(&networks[n], tables[t]);
    }
}

/* Ranges that one batch has left. */
static void learn(struct twins *w, const struct det_ops *ops, struct det_act_ranges *ranges,
                  struct det_net **net)
{
    struct det_env *env = &w->t.env;
    assert_ok(env, det_act_ranges_create(env, &w->spec, ranges));
    create_net(w, ops, &w->fold.graph, DET_NET_TRAIN_FOLDED, net);
    det_net_round(*net, ranges);
    det_fold_params(&w->fold, w->pool, w->params, ranges);
    det_net_set_images(*net, w->pixels, w->network->height, w->network->width);
    det_net_forward(*net, w->fold.params);
    assert_int_equal(ranges->updates, 0); /* reads them */
    det_net_update_ranges(*net, ranges);
    assert_int_equal(ranges->updates, 1);
}

struct seen {
    const struct det_graph *graph;
    const struct det_act_ranges *ranges;
    int wrong;
};

/* What later operations read lies on the steps of its range. */
static void look(void *user, int32_t op, float *made, int64_t rows)
{
    struct seen *seen = user;
    const int32_t t = seen->graph->ops[op].out;
    const struct det_q8_tensor q =
        det_q8_tensor_of((double)seen->ranges->low[t], (double)seen->ranges->high[t]);
    if (det_graph_is_output(seen->graph, t))
        return;
    for (int64_t i = 0; i < rows * seen->graph->tensors[t].channels; i++) {
        const float steps = made[i] / q.scale;
        if (!(fabsf(steps - rintf(steps)) < 1e-3f && steps > -256 && steps < 256))
            seen->wrong++;
    }
}

static void tensors_and_weights_are_in_steps(void **state)
{
    (void)state;
    for (int n = 0; n < 3; n++) {
        struct twins w;
        struct det_net *net = NULL;
        struct det_act_ranges ranges, again;
        const char *reason = NULL;
        open_twins(&w, &networks[n], 1);
        const struct det_ops *ops = det_ops_cpu("auto", &reason);
        learn(&w, ops, &ranges, &net);
        /* With the same picture a moving average stays where it is, but for what its rounding
         * moves. */
        struct seen seen = {&w.fold.graph, &ranges, 0};
        assert_ok(&w.t.env, det_act_ranges_copy(&w.t.env, &ranges, &again));
        det_net_watch(net, look, &seen);
        det_net_set_images(net, w.pixels, w.network->height, w.network->width);
        again.updates = 0;
        det_net_round(net, &again);
        det_net_forward(net, w.fold.params);
        assert_int_equal(seen.wrong, 0);
        for (int32_t p = 0; p < w.fold.graph.param_count; p++) {
            const struct det_param *param = &w.fold.graph.params[p];
            const size_t channels = (size_t)det_param_channels(param);
            if (param->role == DET_PARAM_BIAS)
                continue;
            for (size_t i = 0; i < param->count; i++) {
                const float scale = w.fold.limits[param->offset + i % channels];
                const float steps = w.fold.params[param->offset + i] / scale;
                assert_true(fabsf(steps - rintf(steps)) < 1e-3f && fabsf(steps) < 127.5f);
            }
        }
        det_net_destroy(&w.t.env, &net);
        det_act_ranges_free(&w.t.env, &ranges);
        det_act_ranges_free(&w.t.env, &again);
        close_twins(&w);
    }
}

/* As tf.train.ExponentialMovingAverage with num_updates, the first batch the beginning. */
static void ranges_are_moving_averages(void **state)
{
    (void)state;
    struct twins w;
    struct det_net *net = NULL;
    struct det_act_ranges ranges;
    open_twins(&w, &networks[2], 1);
    learn(&w, det_ops_ref(), &ranges, &net);
    const int32_t t = w.fold.graph.ops[0].out;
    const float first = ranges.high[t];
    for (size_t i = 0; i < ops_count(w.pixels); i++)
        w.pixels[i] = 255 - w.pixels[i];
    det_net_set_images(net, w.pixels, w.network->height, w.network->width);
    det_net_forward(net, w.fold.params);
    assert_true(ranges.high[t] == first);
    det_net_update_ranges(net, &ranges);
    const float second = ranges.high[t];
    assert_int_equal(ranges.updates, 2);
    struct det_act_ranges alone;
    struct det_net *other = NULL;
    learn(&w, det_ops_ref(), &alone, &other); /* of the other pictures only */
    assert_true(first != alone.high[t]);
    assert_near(second, first + (1 - 2.0f / 11) * (alone.high[t] - first), 1e-5);
    for (int32_t l = 1; l < w.fold.graph.levels; l++) { /* each level's own, joined when used */
        assert_true(ranges.low[w.fold.graph.box_outputs[l]] <= 0);
        assert_true(ranges.high[w.fold.graph.box_outputs[l]] >= 0);
    }
    det_net_destroy(&w.t.env, &net);
    det_net_destroy(&w.t.env, &other);
    det_act_ranges_free(&w.t.env, &ranges);
    det_act_ranges_free(&w.t.env, &alone);
    close_twins(&w);
}

static void any_thread_count_gives_the_same_bits(void **state)
{
    (void)state;
    float *first = NULL;
    const char *reason = NULL;
    for (int threads = 1; threads <= 3; threads++) {
        struct twins w;
        struct det_net *net = NULL;
        struct det_act_ranges ranges;
        open_twins(&w, &networks[1], threads);
        float *gradients = ops_buffer(w.graph.param_floats, NULL);
        memset(gradients, 0, w.graph.param_floats * sizeof *gradients);
        learn(&w, det_ops_cpu("auto", &reason), &ranges, &net);
        set_loss(&w, net);
        det_net_backward(net, w.fold.params, w.fold.gradients);
        det_fold_gradients(&w.fold, w.pool, w.params, gradients);
        if (first == NULL)
            first = ops_buffer(w.graph.param_floats, gradients);
        else
            ops_same("gradients", gradients, first);
        det_net_destroy(&w.t.env, &net);
        det_act_ranges_free(&w.t.env, &ranges);
        ops_free(gradients);
        close_twins(&w);
    }
    ops_free(first);
}

static void the_training_form_is_refused(void **state)
{
    (void)state;
    struct twins w;
    struct det_net *net = NULL;
    open_twins(&w, &networks[2], 1);
    assert_fails(
        &w.t.env, DET_STATUS_INTERNAL, "a folded network is trained",
        det_net_create(&w.t.env, &w.graph, det_ops_ref(), NULL, 1, DET_NET_TRAIN_FOLDED, &net));
    assert_null(net);
    close_twins(&w);
}

int test_fold(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_the_frozen_network),
        cmocka_unit_test(tensors_and_weights_are_in_steps),
        cmocka_unit_test(ranges_are_moving_averages),
        cmocka_unit_test(any_thread_count_gives_the_same_bits),
        cmocka_unit_test(the_training_form_is_refused),
    };
    return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}
