/* The prepared network: its kernels against plain sums, whole networks against the reference walking the graph. */
#include <math.h>

#include "backend/cpu/bf16.h"
#include "backend/cpu/prepared.h"
#include "backend/cpu/prepared_units.h"
#include "backend/cpu/prepared_weights.h"
#include "base/mem.h"
#include "model/net.h"
#include "support/formula.h"
#include "support/ops.h"
#include "support/test.h"

/* An instruction set in one of the two forms of blocked.h. */
struct form {
    const struct det_ops *ops;
    const struct detk_blocked *kernels; /* ops->blocked */
    char name[32];
};
#define FORMS_MAX (2 * OPS_TABLES_MAX + 1)

static int forms(struct form list[FORMS_MAX])
{
    const struct det_ops *tables[OPS_TABLES_MAX];
    const int count = ops_tables(tables);
    int forms = 0;
    for (int i = 0; i < count; i++) {
        list[forms++].ops = tables[i];
        list[forms++].ops = tables[i]->bf16;
    }
    const char *reason = NULL;
    const struct det_ops *native = det_ops_cpu("avx512bf16", &reason);
    static bool said;
    if (native != NULL)
        list[forms++].ops = native->bf16;
    else if (!said)
        print_message("skipped: avx512bf16: %s\n", reason);
    said = true;
    for (int i = 0; i < forms; i++) {
        list[i].kernels = list[i].ops->blocked;
        snprintf(list[i].name, sizeof list[i].name, "%s %s", list[i].ops->name,
                 list[i].kernels->bf16 ? "bf16" : "f32");
    }
    return forms;
}

/* What the form makes of values that are stored in it. */
static void round_to(const struct form *form, float *values)
{
    for (size_t i = 0; form->kernels->bf16 && i < ops_count(values); i++)
        values[i] = detk_from_bf16(detk_to_bf16(values[i]));
}

/* Half a unit in the last of 8 significant bits: what storing a result in the form may change. */
static double rounding_of(const struct form *form)
{
    return form->kernels->bf16 ? 1.0 / 256 : 0;
}

/* --- kernels --- */

/* A tensor in blocks between guards; every lane that no channel uses is NaN and must not matter. */
struct blocks {
    struct detk_map map;
    float *memory;
};

static struct blocks blocks_of(const struct form *form, int32_t h, int32_t w, int32_t c,
                               bool framed, const float *plain)
{
    struct blocks b;
    size_t words = 0;
    b.map = detk_map_blocked(form->kernels, h, w, c, framed, 1, &words);
    b.memory = ops_buffer(words, NULL);
    memset(b.memory, 0xFF, words * sizeof(float)); /* a NaN in both forms */
    detk_map_place(&b.map, b.memory);
    if (plain != NULL)
        detk_map_write(&b.map, 0, plain);
    return b;
}

static float *plain_of(const struct blocks *b)
{
    float *plain = ops_buffer((size_t)b->map.h * (size_t)b->map.w * (size_t)b->map.c, NULL);
    detk_map_read(&b->map, 0, plain);
    return plain;
}

/* The reference's convolution and the sum of the squares of its terms. */
struct wanted {
    float *value, *norm2;
};

static struct wanted convolve(const struct det_conv_shape *s, bool depthwise, const float *in,
                              const float *w, const float *bias, enum det_activation act)
{
    const struct det_ops *ref = det_ops_ref();
    const struct det_exec x = {0};
    const size_t count = (size_t)s->out_h * (size_t)s->out_w * (size_t)s->out_c;
    float *in2 = ops_squares(in), *w2 = ops_squares(w), *bias2 = ops_squares(bias);
    struct wanted want = {ops_buffer(count, NULL), ops_buffer(count, NULL)};
    (depthwise ? ref->dwconv_forward : ref->conv_forward)(&x, s, in, w, bias, act, want.value);
    (depthwise ? ref->dwconv_forward : ref->conv_forward)(&x, s, in2, w2, bias2,
                                                          DET_ACTIVATION_NONE, want.norm2);
    ops_free(in2);
    ops_free(w2);
    ops_free(bias2);
    return want;
}

static void drop_wanted(struct wanted *want)
{
    ops_free(want->value);
    ops_free(want->norm2);
}

enum target { TO_BLOCKS, TO_FRAMED, TO_PLAIN, TARGETS };

static void check_pointwise(struct det_env *env, const struct form *form, int32_t h, int32_t w,
                            int32_t in_c, int32_t out_c, int variant, float special)
{
    const enum target target = (enum target)(variant % TARGETS);
    const bool relu6 = variant & 1, residual = (variant & 2) != 0 && !relu6 && target != TO_PLAIN;
    char name[128];
    snprintf(name, sizeof name, "%s pointwise %dx%d %d -> %d variant %d special %g", form->name, h,
             w, in_c, out_c, variant, (double)special);
    const struct det_conv_shape s = det_conv_same(1, h, w, in_c, out_c, 1, 1);
    const size_t pixels = (size_t)h * (size_t)w, count = pixels * (size_t)out_c;
    float *in = ops_random(pixels * (size_t)in_c, 1);
    float *weights = ops_random((size_t)in_c * (size_t)out_c, 2);
    float *bias = ops_random((size_t)out_c, 3), *added = ops_random(count, 4);
    for (size_t i = 0; i < ops_count(in); i++)
        in[i] *= 4;
    if (special != 0)
        in[ops_count(in) / 2] = special;
    round_to(form, in);
    round_to(form, weights);
    round_to(form, added);
    struct wanted want =
        convolve(&s, false, in, weights, bias, relu6 ? DET_ACTIVATION_RELU6 : DET_ACTIVATION_NONE);
    for (size_t i = 0; i < count && residual; i++) {
        want.value[i] += added[i];
        want.norm2[i] += added[i] * added[i];
    }
    struct detk_pointwise p;
    assert_ok(env, detk_pointwise_pack(env, form->kernels, in_c, out_c, weights, bias, relu6, &p));
    struct blocks from = blocks_of(form, h, w, in_c, (variant & 4) != 0, in);
    struct blocks add = blocks_of(form, h, w, out_c, false, added);
    struct blocks to = blocks_of(form, h, w, out_c, target == TO_FRAMED, NULL);
    float *got = ops_buffer(count, NULL);
    const struct detk_map plain = detk_map_plain(got, h, w, out_c, 0);
    for (int32_t i = 0; i < p.panels; i++) { /* in two parts, as tasks would */
        const struct detk_map *out = target == TO_PLAIN ? &plain : &to.map;
        const struct detk_map *sum = residual ? &add.map : NULL;
        detk_pointwise_run(&p, i, &from.map, 0, sum, out, 0, 0, h / 2);
        detk_pointwise_run(&p, i, &from.map, h / 2, sum, out, 0, h / 2, h);
    }
    if (target != TO_PLAIN)
        detk_map_read(&to.map, 0, got);
    ops_compare_rounded(name, got, want.value, want.norm2,
                        target == TO_PLAIN ? 0 : rounding_of(form));
    detk_pointwise_free(env, &p);
    drop_wanted(&want);
    float *const buffers[] = {in, weights, bias, added, from.memory, add.memory, to.memory, got};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        ops_free(buffers[i]);
}

static void pointwise_equals_plain_sums(void **state)
{
    (void)state;
    /* Around a block, around the lengths at which sums are cut, around panels and vectors. */
    static const int32_t ins[] = {1, 8, 15, 16, 17, 24, 255, 256, 257, 530};
    static const int32_t outs[] = {1, 7, 8, 12, 16, 24, 31, 40, 48, 56, 100};
    static const int32_t sizes[][2] = {{1, 1}, {1, 5}, {3, 7}, {2, 14}, {5, 6}};
    static const float special[] = {NAN, 0, 0, INFINITY, 0, 0, -INFINITY};
    struct form list[FORMS_MAX];
    const int count = forms(list);
    struct test_env t;
    test_env_init(&t);
    int variant = 0;
    for (int table = 0; table < count; table++) {
        for (size_t i = 0; i < sizeof ins / sizeof ins[0]; i++) {
            for (size_t j = 0; j < sizeof outs / sizeof outs[0]; j++, variant++) {
                const int32_t *size = sizes[variant % 5];
                check_pointwise(&t.env, &list[table], size[0], size[1], ins[i], outs[j], variant,
                                special[variant % 7]);
            }
        }
        /* Every height of a tile, of each width. */
        for (int32_t w = 1; w <= 30; w++)
            for (int32_t out = 8; out <= 56; out += 8)
                check_pointwise(&t.env, &list[table], 1, w, 17 + out / 8 % 2, out, w % 8, 0);
    }
    test_env_check(&t);
}

static void check_depthwise(struct det_env *env, const struct form *form, int32_t h, int32_t w,
                            int32_t c, int32_t stride, bool relu6, bool nan)
{
    char name[128];
    snprintf(name, sizeof name, "%s depthwise %dx%dx%d stride %d relu6 %d nan %d", form->name, h, w,
             c, stride, relu6, nan);
    const struct det_conv_shape s = det_conv_same(1, h, w, c, c, 3, stride);
    float *in = ops_random((size_t)h * (size_t)w * (size_t)c, 1);
    float *weights = ops_random(9 * (size_t)c, 2), *bias = ops_random((size_t)c, 3);
    for (size_t i = 0; i < ops_count(in); i++)
        in[i] *= 4;
    if (nan)
        in[ops_count(in) / 2] = NAN;
    round_to(form, in);
    struct wanted want =
        convolve(&s, true, in, weights, bias, relu6 ? DET_ACTIVATION_RELU6 : DET_ACTIVATION_NONE);
    struct detk_depthwise d;
    assert_ok(env, detk_depthwise_pack(env, form->kernels, &s, weights, bias, relu6, &d));
    struct blocks from = blocks_of(form, h, w, c, true, in);
    struct blocks to = blocks_of(form, s.out_h, s.out_w, c, false, NULL);
    const float **rows = calloc((size_t)h + 4, sizeof *rows);
    for (int32_t block = 0; block < detk_blocks(c); block++) {
        for (int32_t i = 0; i < (s.out_h - 1) * stride + 3; i++)
            rows[i] = detk_map_at(&from.map, 0, block, i - s.pad_top, -s.pad_left);
        detk_depthwise_run(&d, block, rows, s.out_h, s.out_w, detk_map_at(&to.map, 0, block, 0, 0),
                           to.map.row);
    }
    float *got = plain_of(&to);
    /* The frame's zeros times a NaN are none: nothing may spread. */
    ops_compare_rounded(name, got, want.value, want.norm2, rounding_of(form));
    free(rows);
    detk_depthwise_free(env, &d);
    drop_wanted(&want);
    float *const buffers[] = {in, weights, bias, from.memory, to.memory, got};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        ops_free(buffers[i]);
}

static void depthwise_equals_plain_sums(void **state)
{
    (void)state;
    static const int32_t sizes[][2] = {{1, 1}, {1, 2}, {2, 1},  {3, 3},   {5, 4},
                                       {4, 7}, {9, 8}, {7, 33}, {3, 171}, {45, 9}};
    static const int32_t channels[] = {1, 8, 16, 20, 33};
    struct form list[FORMS_MAX];
    const int count = forms(list);
    struct test_env t;
    test_env_init(&t);
    int variant = 0;
    for (int table = 0; table < count; table++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (size_t j = 0; j < sizeof channels / sizeof channels[0]; j++)
                for (int32_t stride = 1; stride <= 2; stride++, variant++)
                    check_depthwise(&t.env, &list[table], sizes[i][0], sizes[i][1], channels[j],
                                    stride, (variant & 2) != 0, variant % 5 == 0);
    test_env_check(&t);
}

/* --- whole networks --- */

struct network {
    const char *name;
    int32_t height, width, batch;
    float alpha;
    int32_t depth;
    bool dense_fpn, dense_head, apart;
    int32_t head_kernel, classes;
};

static const struct network networks[] = {
    {"small", 64, 64, 1, 0.25f, 24, false, false, false, 3, 3},
    {"odd sizes, batch of 2", 75, 101, 2, 0.35f, 32, false, false, false, 3, 1},
    {"as small as can be", 33, 33, 3, 0.1f, 8, false, false, true, 3, 20},
    {"wide", 40, 290, 1, 0.5f, 40, false, false, false, 3, 2},
    {"dense pyramid and head", 70, 66, 1, 0.25f, 16, true, true, false, 3, 1},
    {"head of 5 x 5", 65, 97, 2, 0.2f, 24, false, false, true, 5, 4},
    {"sums that are cut", 64, 48, 1, 1.0f, 272, false, false, false, 3, 7},
};

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
    struct det_model_spec spec;
    det_model_spec_default(&spec, 64, n->classes);
    spec.input_height = n->height;
    spec.input_width = n->width;
    spec.depth_multiplier = n->alpha;
    spec.min_depth = 8;
    spec.fpn_depth = spec.head_depth = n->depth;
    spec.head_layers = 2;
    spec.fpn_depthwise = !n->dense_fpn;
    spec.head_depthwise = !n->dense_head;
    spec.share_tower = !n->apart;
    spec.head_kernel = n->head_kernel;
    float *params = NULL;
    assert_ok(env, det_graph_build(env, &spec, false, &f->training));
    assert_ok(env, det_graph_build(env, &spec, true, &f->graph));
    assert_ok(env, det_alloc(env, &params, f->training.param_floats, sizeof(float), "params"));
    assert_ok(env, det_alloc(env, &f->params, f->graph.param_floats, sizeof(float), "params"));
    formula_params(&f->training, params);
    det_graph_fold_params(&f->training, params, &f->graph, f->params);
    det_free(env, &params);
    const size_t pixels = (size_t)n->batch * (size_t)n->height * (size_t)n->width * 3;
    assert_ok(env, det_alloc(env, &f->image, pixels, sizeof(float), "image"));
    test_fill(f->image, pixels, 5);
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
    assert_ok(env, det_prepared_create(env, &f->graph, f->params, form->ops, pool, n->batch, &net));
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

/* Of the largest output. Storing rounds by up to 1/256 of a value, once a layer; measured are .0008 to .006. */
#define BF16_BOUND 0.012

static void networks_equal_the_reference(void **state)
{
    (void)state;
    struct form list[FORMS_MAX];
    const int count = forms(list);
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
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

/* What the shipped configurations are made of is all fused. */
static void the_real_network_is_fused(void **state)
{
    (void)state;
    struct test_env t;
    struct det_model_spec spec;
    struct det_graph graph;
    int32_t count = 0, kinds[4] = {0};
    test_env_init(&t);
    det_model_spec_default(&spec, 320, 3);
    assert_ok(&t.env, det_graph_build(&t.env, &spec, true, &graph));
    struct detk_unit *units = calloc((size_t)graph.op_count, sizeof *units);
    assert_ok(&t.env, detk_units_find(&t.env, &graph, units, &count));
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
    const det_status status = det_prepared_create(env, &f->graph, f->params, ops, NULL, 1, &net);
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
                 det_prepared_create(env, &f.graph, f.params, ops, NULL, 0, &net));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "is a batch norm",
                 det_prepared_create(env, &f.training, f.params, ops, NULL, 1, &net));
    assert_null(net);
    drop(&f);
}

int test_prepared(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pointwise_equals_plain_sums),
        cmocka_unit_test(depthwise_equals_plain_sums),
        cmocka_unit_test(the_real_network_is_fused),
        cmocka_unit_test(networks_equal_the_reference),
        cmocka_unit_test(a_nan_is_not_lost),
        cmocka_unit_test(creation_can_fail),
    };
    return cmocka_run_group_tests_name("prepared", tests, NULL, NULL);
}
