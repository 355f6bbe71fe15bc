/* model/net: a small network with every kind of joint (a norm between convolutions, one before a
 * sum, one whose result is kept, one that only an upsampling completes) against central
 * differences, frozen and not, on every table. */
#include <math.h>

#include "model/net.h"
#include "support/mem.h"
#include "support/ops.h"

enum { BATCH = 2, H = 4, W = 6, KERNELS = 6, NORMS = 4 };

struct small_net {
    struct det_graph graph;
    struct det_tensor tensors[13];
    struct det_op ops[12];
    struct det_param params[KERNELS + 1 + 4 * NORMS];
};

static int32_t add_param(struct small_net *s, size_t count)
{
    struct det_graph *g = &s->graph;
    s->params[g->param_count] =
        (struct det_param){.count = count, .offset = g->param_floats, .trainable = true};
    g->param_floats += (count + 15) / 16 * 16;
    return g->param_count++;
}

static int32_t add_op(struct small_net *s, struct det_op op, struct det_tensor result)
{
    struct det_graph *g = &s->graph;
    op.out = g->tensor_count;
    s->tensors[g->tensor_count++] = result;
    s->ops[g->op_count++] = op;
    return op.out;
}

static int32_t convolution(struct small_net *s, enum det_op_kind kind, int32_t in, int32_t channels,
                           int32_t stride)
{
    const struct det_tensor t = s->tensors[in];
    const bool dense = kind == DET_OP_CONV;
    const size_t count = dense ? (size_t)(t.channels * channels) : 9 * (size_t)t.channels;
    const struct det_op op = {.kind = kind,
                              .in = in,
                              .in2 = -1,
                              .weight = add_param(s, count),
                              .bias = -1,
                              .kernel = dense ? 1 : 3,
                              .stride = stride,
                              .name = "convolution"};
    return add_op(s, op,
                  (struct det_tensor){(t.height + stride - 1) / stride,
                                      (t.width + stride - 1) / stride, channels});
}

static int32_t norm(struct small_net *s, int32_t in, enum det_activation act)
{
    const size_t c = (size_t)s->tensors[in].channels;
    struct det_op op = {.kind = DET_OP_BATCH_NORM,
                        .in = in,
                        .in2 = -1,
                        .weight = -1,
                        .bias = -1,
                        .gamma = add_param(s, c),
                        .beta = add_param(s, c),
                        .act = act,
                        .epsilon = 1e-3f,
                        .decay = 0.9f,
                        .name = "norm"};
    op.mean = add_param(s, c);
    op.variance = add_param(s, c);
    s->params[op.mean].trainable = s->params[op.variance].trainable = false;
    return add_op(s, op, s->tensors[in]);
}

/* input -> 1x1 -> norm, relu6 (a feature) -> depthwise -> norm, relu6 -> 1x1 -> norm -> + the
 * feature -> outputs, one of them on the sum of it and an upsampled depthwise stride 2 -> norm of
 * itself. */
static void build(struct small_net *s)
{
    *s = (struct small_net){0};
    s->graph = (struct det_graph){
        .tensors = s->tensors, .params = s->params, .ops = s->ops, .tensor_count = 1, .levels = 1};
    s->tensors[0] = (struct det_tensor){H, W, 3};
    const int32_t feature = norm(s, convolution(s, DET_OP_CONV, 0, 4, 1), DET_ACTIVATION_RELU6);
    const int32_t spread =
        norm(s, convolution(s, DET_OP_DWCONV, feature, 4, 1), DET_ACTIVATION_RELU6);
    const int32_t project = norm(s, convolution(s, DET_OP_CONV, spread, 4, 1), DET_ACTIVATION_NONE);
    const struct det_tensor full = s->tensors[feature];
    const struct det_op add = {
        .kind = DET_OP_ADD, .in = feature, .in2 = project, .weight = -1, .bias = -1, .gamma = -1};
    const int32_t sum = add_op(s, add, full);
    const int32_t box = convolution(s, DET_OP_CONV, sum, 4, 1);
    s->ops[s->graph.op_count - 1].bias = add_param(s, 4);
    const int32_t low = norm(s, convolution(s, DET_OP_DWCONV, sum, 4, 2), DET_ACTIVATION_RELU6);
    const struct det_op up = {
        .kind = DET_OP_UPSAMPLE_ADD, .in = low, .in2 = sum, .weight = -1, .bias = -1, .gamma = -1};
    const int32_t top = add_op(s, up, full);
    const int32_t classes = convolution(s, DET_OP_CONV, top, 2, 1);
    s->graph.box_outputs[0] = box;
    s->graph.class_outputs[0] = classes;
    s->graph.features[0] = feature;
    s->graph.anchors_per_cell = 1;
    s->graph.anchor_count = H * W;
    s->graph.class_slots = 2;
}

static void set_values(const struct small_net *s, float *params)
{
    for (int32_t p = 0; p < s->graph.param_count; p++)
        test_fill(params + s->params[p].offset, s->params[p].count, 20 + (uint32_t)p);
    for (int32_t i = 0; i < s->graph.op_count; i++) {
        const struct det_op *op = &s->ops[i];
        if (op->kind != DET_OP_BATCH_NORM)
            continue;
        for (size_t c = 0; c < s->params[op->gamma].count; c++) {
            params[s->params[op->gamma].offset + c] += 1.5f;
            params[s->params[op->beta].offset + c] += 2.5f; /* few values near a kink */
            params[s->params[op->variance].offset + c] += 1.5f;
        }
    }
}

struct projection {
    float boxes[BATCH * H * W * 4], classes[BATCH * H * W * 2];
};

static double loss(struct det_net *net, const float *input, const float *params,
                   const struct projection *projection)
{
    memcpy(det_net_input(net), input, sizeof(float) * BATCH * H * W * 3);
    det_net_forward(net, params);
    double sum = 0;
    for (size_t i = 0; i < BATCH * H * W * 4; i++)
        sum += (double)det_net_encodings(net)[i] * projection->boxes[i];
    for (size_t i = 0; i < BATCH * H * W * 2; i++)
        sum += (double)det_net_logits(net)[i] * projection->classes[i];
    return sum;
}

static void check_gradients(const struct det_ops *ops, enum det_net_mode mode)
{
    struct test_env t;
    test_env_init(&t);
    struct small_net s;
    build(&s);
    struct det_net *net = NULL;
    assert_ok(&t.env, det_net_create(&t.env, &s.graph, ops, NULL, BATCH, mode, &net));
    const size_t floats = s.graph.param_floats;
    float *params = ops_buffer(floats, NULL), *gradients = ops_buffer(floats, NULL);
    float *input = ops_random(BATCH * H * W * 3, 3);
    struct projection projection = {{0}, {0}};
    test_fill(projection.boxes, BATCH * H * W * 4, 4);
    test_fill(projection.classes, BATCH * H * W * 2, 5);
    set_values(&s, params);
    assert_true(isfinite(loss(net, input, params, &projection)));
    memcpy(det_net_encoding_gradients(net), projection.boxes, sizeof projection.boxes);
    memcpy(det_net_logit_gradients(net), projection.classes, sizeof projection.classes);
    det_net_backward(net, params, gradients);
    for (int32_t p = 0; p < s.graph.param_count; p++) {
        const struct det_param *param = &s.params[p];
        if (!param->trainable)
            continue;
        for (size_t i = param->offset; i < param->offset + param->count; i++) {
            const float value = params[i], step = 0x1p-9f;
            params[i] = value + step;
            const double high = loss(net, input, params, &projection);
            params[i] = value - step;
            const double low = loss(net, input, params, &projection);
            params[i] = value;
            const double want = (high - low) / (2.0 * (double)step);
            if (!(fabs(gradients[i] - want) <= 5e-3 * (1 + fabs(want))))
                fail_msg("%s: parameter %d, value %zu: gradient %.9g, central difference %.9g",
                         ops->name, p, i - param->offset, (double)gradients[i], want);
        }
    }
    det_net_destroy(&t.env, &net);
    ops_free(params);
    ops_free(gradients);
    ops_free(input);
    test_env_check(&t);
}

static void gradients_are_the_slopes(void **state)
{
    (void)state;
    const struct det_ops *tables[OPS_TABLES_MAX];
    const int count = ops_tables(tables);
    for (int t = -1; t < count; t++) {
        const struct det_ops *ops = t < 0 ? det_ops_ref() : tables[t];
        check_gradients(ops, DET_NET_TRAIN);
        check_gradients(ops, DET_NET_TRAIN_FROZEN);
    }
}

/* The name of the first operation with a bad result, also where nobody stores that. */
static void bad_norm_is_found(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct small_net s;
    build(&s);
    struct det_net *net = NULL;
    assert_ok(&t.env,
              det_net_create(&t.env, &s.graph, det_ops_ref(), NULL, BATCH, DET_NET_TRAIN, &net));
    float *params = ops_buffer(s.graph.param_floats, NULL);
    float *input = ops_random(BATCH * H * W * 3, 3);
    struct projection projection = {{0}, {0}};
    set_values(&s, params);
    loss(net, input, params, &projection);
    assert_null(det_net_first_non_finite(net));
    s.ops[3].name = "second norm";
    params[s.params[s.ops[3].gamma].offset + 1] = NAN;
    loss(net, input, params, &projection);
    assert_string_equal(det_net_first_non_finite(net), "second norm");
    det_net_destroy(&t.env, &net);
    ops_free(params);
    ops_free(input);
    test_env_check(&t);
}

static void a_norm_needs_a_convolution(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct small_net s;
    build(&s);
    struct det_net *net = NULL;
    s.ops[1].in = 0;
    assert_fails(&t.env, DET_STATUS_INTERNAL, "alone reads a convolution",
                 det_net_create(&t.env, &s.graph, det_ops_ref(), NULL, BATCH, DET_NET_TRAIN, &net));
    assert_null(net);
    test_env_check(&t);
}

int test_net(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_the_slopes),
        cmocka_unit_test(bad_norm_is_found),
        cmocka_unit_test(a_norm_needs_a_convolution),
    };
    return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
