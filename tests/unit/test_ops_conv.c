/* Convolutions of every table against the reference: dense and depthwise, forward and both
 * gradients. */
#include <math.h>

#include "support/ops.h"

struct conv_case {
    struct det_conv_shape s;
    bool depthwise, bias, accumulate, nan;
    enum det_activation act;
    char name[160];
};

/* The tensors of a case; `norm` are the squares that give the size of the terms. */
struct conv_data {
    float *in, *w, *bias, *dout, *old_din, *old_dw;
};

enum { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHT, OPS };
static const char *const op_names[OPS] = {"forward", "backward_data", "backward_weight"};

static size_t in_size(const struct det_conv_shape *s)
{
    return (size_t)s->n * (size_t)s->in_h * (size_t)s->in_w * (size_t)s->in_c;
}

static size_t out_size(const struct det_conv_shape *s)
{
    return (size_t)s->n * (size_t)s->out_h * (size_t)s->out_w * (size_t)s->out_c;
}

static size_t weight_size(const struct conv_case *k)
{
    const size_t taps = (size_t)k->s.kernel_h * (size_t)k->s.kernel_w * (size_t)k->s.out_c;
    return k->depthwise ? taps : taps * (size_t)k->s.in_c;
}

static struct conv_data make_data(const struct conv_case *k, uint32_t seed)
{
    struct conv_data d = {
        .in = ops_random(in_size(&k->s), seed),
        .w = ops_random(weight_size(k), seed + 1),
        .bias = ops_random((size_t)k->s.out_c, seed + 2),
        .dout = ops_random(out_size(&k->s), seed + 3),
        .old_din = ops_random(in_size(&k->s), seed + 4),
        .old_dw = ops_random(weight_size(k), seed + 5),
    };
    for (size_t i = 0; i < ops_count(d.in); i++) /* so that relu6 cuts on both sides */
        d.in[i] *= 4;
    if (k->nan) {
        d.in[ops_count(d.in) / 2] = NAN;
        d.dout[ops_count(d.dout) / 2] = NAN;
    }
    return d;
}

static void free_data(struct conv_data *d)
{
    ops_free(d->in);
    ops_free(d->w);
    ops_free(d->bias);
    ops_free(d->dout);
    ops_free(d->old_din);
    ops_free(d->old_dw);
}

/* The result of an operation in a new buffer. */
static float *run(const struct det_ops *ops, struct ops_rig *rig, int threads,
                  const struct conv_case *k, const struct conv_data *d, int op)
{
    const struct det_conv_shape *s = &k->s;
    const struct ops_parts *parts = ops_parts(ops);
    const struct det_exec x = ops_exec(
        rig, threads, (k->depthwise ? ops->dwconv_workspace : ops->conv_workspace)(s, threads));
    float *result;
    if (op == FORWARD) {
        result = ops_buffer(out_size(s), NULL);
        (k->depthwise ? ops->dwconv_forward : ops->conv_forward)(
            &x, s, d->in, d->w, k->bias ? d->bias : NULL, k->act, result);
    } else if (op == BACKWARD_DATA) {
        result = ops_buffer(in_size(s), k->accumulate ? d->old_din : NULL);
        if (k->depthwise)
            parts->dwconv_backward_data(&x, s, d->dout, d->w, result, k->accumulate);
        else
            ops_conv_backward_data(parts, &x, s, d->dout, d->w, result, k->accumulate);
    } else {
        result = ops_buffer(weight_size(k), k->accumulate ? d->old_dw : NULL);
        if (k->depthwise)
            parts->dwconv_backward_weight(&x, s, d->in, d->dout, result, k->accumulate);
        else
            ops_conv_backward_weight(parts, &x, s, d->in, d->dout, result, k->accumulate);
    }
    ops_exec_done(rig);
    return result;
}

/* Sum of the squares of each result's terms: the reference on the squares. */
static float *norm(struct ops_rig *rig, const struct conv_case *k, const struct conv_data *d,
                   int op)
{
    struct conv_case linear = *k;
    linear.act = DET_ACTIVATION_NONE;
    struct conv_data squares = {
        .in = ops_squares(d->in),
        .w = ops_squares(d->w),
        .bias = ops_squares(d->bias),
        .dout = ops_squares(d->dout),
        .old_din = ops_squares(d->old_din),
        .old_dw = ops_squares(d->old_dw),
    };
    float *result = run(det_ops_ref(), rig, 1, &linear, &squares, op);
    free_data(&squares);
    return result;
}

static void check_case(struct ops_rig *rig, struct conv_case *k, uint32_t seed)
{
    const struct det_ops *tables[OPS_TABLES_MAX];
    const int count = ops_tables(tables);
    struct conv_data d = make_data(k, seed);
    for (int op = 0; op < OPS; op++) {
        float *want = run(det_ops_ref(), rig, 1, k, &d, op);
        float *norm2 = norm(rig, k, &d, op);
        for (int t = 0; t < count; t++) {
            const struct det_conv_shape *s = &k->s;
            snprintf(k->name, sizeof k->name,
                     "%s %s%s in %dx%dx%dx%d out %dx%dx%d kernel %dx%d stride %d pad %d,%d "
                     "bias %d act %d accumulate %d",
                     tables[t]->name, k->depthwise ? "dw" : "", op_names[op], s->n, s->in_h,
                     s->in_w, s->in_c, s->out_h, s->out_w, s->out_c, s->kernel_h, s->kernel_w,
                     s->stride, s->pad_top, s->pad_left, k->bias, k->act, k->accumulate);
            float *got = run(tables[t], rig, 1, k, &d, op);
            ops_compare(k->name, got, want, norm2, k->nan && !k->depthwise);
            for (int threads = 2; threads <= OPS_THREADS; threads++) {
                float *again = run(tables[t], rig, threads, k, &d, op);
                ops_same(k->name, again, got);
                ops_free(again);
            }
            ops_free(got);
        }
        ops_free(want);
        ops_free(norm2);
    }
    free_data(&d);
}

/* Each combination of flags comes up, one per shape. */
static void check_shape(struct ops_rig *rig, struct det_conv_shape s, bool depthwise,
                        uint32_t *serial)
{
    const uint32_t i = (*serial)++;
    struct conv_case k = {.s = s,
                          .depthwise = depthwise,
                          .bias = (i & 1) != 0,
                          .accumulate = (i & 2) != 0,
                          .act = (i & 4) != 0 ? DET_ACTIVATION_RELU6 : DET_ACTIVATION_NONE,
                          .nan = i % 16 >= 12};
    check_case(rig, &k, i);
}

static const int32_t sizes[][2] = {{1, 1}, {1, 5}, {2, 2}, {3, 3}, {4, 7}, {5, 5}, {17, 9}};
#define SIZES (sizeof sizes / sizeof sizes[0])

static void depthwise_agrees(void **state)
{
    (void)state;
    static const int32_t channels[] = {1, 3, 7, 8, 15, 16, 17, 24, 31, 32, 33, 96, 130};
    static const int32_t kernels[] = {3, 1, 5, 2};
    struct ops_rig rig;
    ops_rig_open(&rig);
    uint32_t serial = 0;
    for (size_t c = 0; c < sizeof channels / sizeof channels[0]; c++) {
        for (size_t k = 0; k < sizeof kernels / sizeof kernels[0]; k++) {
            for (size_t z = 0; z < SIZES; z++) {
                for (int32_t stride = 1; stride <= 3; stride++) {
                    const int32_t n = 1 + (int32_t)(serial % 3);
                    check_shape(&rig,
                                det_conv_same(n, sizes[z][0], sizes[z][1], channels[c], channels[c],
                                              kernels[k], stride),
                                true, &serial);
                }
            }
        }
    }
    ops_rig_close(&rig);
}

static void dense_agrees(void **state)
{
    (void)state;
    static const int32_t channels[][2] = {{1, 1},   {3, 8},   {7, 15},  {16, 17}, {24, 3},
                                          {31, 33}, {32, 16}, {33, 96}, {96, 24}, {130, 7}};
    struct ops_rig rig;
    ops_rig_open(&rig);
    uint32_t serial = 0;
    for (size_t c = 0; c < sizeof channels / sizeof channels[0]; c++) {
        for (int32_t kernel = 1; kernel <= 3; kernel++) {
            for (size_t z = 0; z < SIZES; z++) {
                for (int32_t stride = 1; stride <= 2; stride++) {
                    const int32_t n = 1 + (int32_t)(serial % 3);
                    check_shape(&rig,
                                det_conv_same(n, sizes[z][0], sizes[z][1], channels[c][0],
                                              channels[c][1], kernel, stride),
                                false, &serial);
                }
                serial++; /* other flags for this stride next time */
            }
        }
    }
    ops_rig_close(&rig);
}

/* Padding that SAME never gives, outputs beyond the image, inputs that no output sees, kernels that
 * are not square. */
static void odd_paddings_agree(void **state)
{
    (void)state;
    static const struct det_conv_shape shapes[] = {
        {2, 4, 7, 17, 6, 9, 17, 3, 3, 1, 2, 2},   {2, 4, 7, 17, 2, 5, 17, 3, 3, 1, 0, 0},
        {1, 9, 9, 33, 3, 3, 33, 3, 3, 2, 0, 0},   {1, 8, 8, 33, 3, 3, 33, 3, 3, 2, 0, 0},
        {1, 6, 6, 16, 5, 5, 16, 3, 3, 2, 2, 2},   {2, 3, 3, 8, 9, 9, 8, 3, 3, 1, 2, 2},
        {1, 3, 3, 8, 7, 7, 8, 3, 3, 2, 2, 1},     {1, 5, 8, 24, 5, 8, 24, 1, 3, 1, 0, 1},
        {1, 8, 5, 24, 4, 5, 24, 3, 1, 2, 1, 0},   {1, 7, 7, 5, 2, 2, 5, 3, 3, 4, 1, 1},
        {1, 6, 30, 16, 6, 30, 16, 3, 3, 1, 0, 2}, {1, 6, 30, 16, 6, 30, 16, 3, 3, 1, 2, 0},
    };
    struct ops_rig rig;
    ops_rig_open(&rig);
    uint32_t serial = 0;
    for (uint32_t flags = 0; flags < 16; flags++) {
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            serial = flags;
            check_shape(&rig, shapes[i], true, &serial);
            serial = flags;
            check_shape(&rig, shapes[i], false, &serial);
        }
    }
    ops_rig_close(&rig);
}

/* Several tasks, tiles and flushes. */
static void large_shapes_agree(void **state)
{
    (void)state;
    static const struct {
        int32_t n, h, w, c, kernel, stride;
    } shapes[] = {
        {3, 64, 64, 33, 3, 1}, {3, 64, 64, 33, 3, 2},  {1, 3, 900, 1, 3, 1},
        {1, 3, 900, 1, 3, 2},  {2, 40, 40, 130, 3, 1}, {2, 40, 40, 130, 3, 2},
        {1, 2, 1300, 3, 5, 1}, {2, 61, 53, 96, 3, 2},  {2, 33, 35, 144, 5, 2},
    };
    struct ops_rig rig;
    ops_rig_open(&rig);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (uint32_t flags = 0; flags < 8; flags += 7) {
            uint32_t serial = flags;
            check_shape(&rig,
                        det_conv_same(shapes[i].n, shapes[i].h, shapes[i].w, shapes[i].c,
                                      shapes[i].c, shapes[i].kernel, shapes[i].stride),
                        true, &serial);
        }
    }
    ops_rig_close(&rig);
}

/* Weights are read in place but for the last columns, which may be those of two vectors: of all
 * passes it is forward that needs most of the workspace here. */
static void many_channels_of_few_pixels_agree(void **state)
{
    (void)state;
    static const int32_t columns[] = {5, 6, 8, 12, 13, 16, 24, 29, 32, 56};
    struct ops_rig rig;
    ops_rig_open(&rig);
    uint32_t serial = 0;
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        check_shape(&rig, det_conv_same(1, 1, 2, 1120, columns[i], 1, 1), false, &serial);
    ops_rig_close(&rig);
}

static void same_padding_is_tensorflows(void **state)
{
    (void)state;
    const struct det_conv_shape even = det_conv_same(1, 320, 320, 3, 32, 3, 2);
    assert_int_equal(even.out_h, 160);
    assert_int_equal(even.pad_top, 0);
    const struct det_conv_shape odd = det_conv_same(1, 5, 3, 8, 8, 3, 2);
    assert_int_equal(odd.out_h, 3);
    assert_int_equal(odd.pad_top, 1);
    assert_int_equal(odd.out_w, 2);
    const struct det_conv_shape one = det_conv_same(1, 10, 10, 8, 8, 1, 1);
    assert_int_equal(one.pad_left, 0);
    const struct det_conv_shape five = det_conv_same(2, 10, 11, 8, 8, 5, 1);
    assert_int_equal(five.pad_top, 2);
    assert_int_equal(five.out_w, 11);
}

static void tables_are_found_by_name(void **state)
{
    (void)state;
    const char *reason = "";
    assert_ptr_equal(det_ops_cpu("ref", &reason), det_ops_ref());
    assert_null(reason);
    const struct det_ops *best = det_ops_cpu("auto", &reason);
    assert_non_null(best);
    assert_ptr_equal(det_ops_cpu(best->name, &reason), best);
    assert_ptr_equal(det_ops_cpu("generic", &reason), det_ops_cpu(det_ops_cpu_name(1), &reason));
    assert_non_null(det_ops_cpu("generic", &reason));
    assert_string_equal(det_ops_cpu_name(0), "ref");
    assert_null(det_ops_cpu_name(-1));
    assert_null(det_ops_cpu("mmx", &reason));
    assert_non_null(strstr(reason, "unknown"));
}

int test_ops_conv(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_found_by_name),
        cmocka_unit_test(same_padding_is_tensorflows),
        cmocka_unit_test(depthwise_agrees),
        cmocka_unit_test(dense_agrees),
        cmocka_unit_test(odd_paddings_agree),
        cmocka_unit_test(large_shapes_agree),
        cmocka_unit_test(many_channels_of_few_pixels_agree),
    };
    return cmocka_run_group_tests_name("ops_conv", tests, NULL, NULL);
}
