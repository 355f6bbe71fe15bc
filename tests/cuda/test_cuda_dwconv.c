/* Depthwise convolution and its gradients against the reference. */
#include <math.h>

#include "cuda/support/device.h"
#include "dwconv.h"
#include "dwconv_plan.h"
#include "ops/ref/ref_ops.h"

struct tensors {
    size_t inputs, outputs, weights, channels; /* elements */
    float *in, *w, *bias, *dout, *old_din, *old_dw;
};

static struct tensors make_tensors(enum detk_type type, const struct det_conv_shape *s)
{
    const size_t c = (size_t)s->in_c, n = (size_t)s->n;
    struct tensors t = {.inputs = n * (size_t)s->in_h * (size_t)s->in_w * c,
                        .outputs = n * (size_t)s->out_h * (size_t)s->out_w * c,
                        .weights = (size_t)s->kernel_h * (size_t)s->kernel_w * c,
                        .channels = c};
    t.in = test_values(type, t.inputs, 1, 8); /* so that relu6 cuts on both sides */
    t.w = test_values(DETK_F32, t.weights, 2, 1);
    t.bias = test_values(DETK_F32, t.channels, 3, 1);
    t.dout = test_values(type, t.outputs, 4, 1);
    t.old_din = test_values(type, t.inputs, 5, 1);
    t.old_dw = test_values(DETK_F32, t.weights, 6, 1);
    return t;
}

static void free_tensors(struct tensors *t)
{
    free(t->in);
    free(t->w);
    free(t->bias);
    free(t->dout);
    free(t->old_din);
    free(t->old_dw);
}

/* NaN in the same places; the rest within `bound` of the reference. Releases both. */
static void compare(const char *what, enum detk_type type, const struct det_conv_shape *s,
                    float *got, float *wanted, size_t count, double bound)
{
    for (size_t i = 0; i < count; i++) {
        if (!isnan(wanted[i]))
            continue;
        if (!isnan(got[i]))
            fail_msg("%s: element %zu is %g, expected NaN", what, i, (double)got[i]);
        got[i] = wanted[i] = 0;
    }
    const double error = test_relative_l2(got, wanted, count);
    if (!(error <= bound))
        fail_msg("%s, type %d: n %d in %dx%d c %d out %dx%d kernel %d stride %d pad %d,%d: %g",
                 what, type, s->n, s->in_h, s->in_w, s->in_c, s->out_h, s->out_w, s->kernel_h,
                 s->stride, s->pad_top, s->pad_left, error);
    free(got);
    free(wanted);
}

/* What the kernels do to the input as they load it, done on the host. */
struct loaded {
    struct detk_load load;
    float *values;
};

static struct loaded load_on_host(const struct det_conv_shape *s, const struct tensors *t,
                                  enum detk_load_kind kind)
{
    const size_t c = (size_t)s->in_c;
    struct loaded l = {{.kind = kind, .epsilon = 1e-3f}, malloc((t->inputs + 1) * sizeof(float))};
    float *host[4]; /* gamma, beta, mean, variance */
    assert_non_null(l.values);
    memcpy(l.values, t->in, t->inputs * sizeof *l.values);
    for (uint32_t i = 0; i < 4; i++)
        host[i] = test_values(DETK_F32, c, 20 + i, 1);
    for (size_t k = 0; k < c; k++)
        host[3][k] = .1f + host[3][k] * host[3][k];
    for (size_t i = 0; kind != DETK_LOAD_PLAIN && i < t->inputs; i++) {
        const size_t k = i % c;
        double value = (double)t->in[i];
        if (kind == DETK_LOAD_NORM_RELU6)
            value = (value - (double)host[2][k]) * (double)host[0][k] /
                        sqrt((double)host[3][k] + (double)l.load.epsilon) +
                    (double)host[1][k];
        l.values[i] = (float)(value < 0 ? 0 : value > 6 ? 6 : value);
    }
    if (kind == DETK_LOAD_NORM_RELU6) {
        l.load.gamma = test_device_copy(host[0], c * sizeof(float));
        l.load.beta = test_device_copy(host[1], c * sizeof(float));
        l.load.mean = test_device_copy(host[2], c * sizeof(float));
        l.load.variance = test_device_copy(host[3], c * sizeof(float));
    }
    for (int i = 0; i < 4; i++)
        free(host[i]);
    return l;
}

static void drop_loaded(struct loaded *l)
{
    const float *const device[] = {l->load.gamma, l->load.beta, l->load.mean, l->load.variance};
    for (int i = 0; i < 4; i++)
        test_device_free((void *)(uintptr_t)device[i]);
    free(l->values);
}

static void check_forward(enum detk_type type, const struct det_conv_shape *s,
                          const struct tensors *t, bool bias, enum det_activation act)
{
    const struct det_exec x = {.pool = NULL};
    float *wanted = test_values(DETK_F32, t->outputs, 7, 1),
          *got = test_values(type, t->outputs, 8, 1);
    struct loaded loaded = load_on_host(s, t,
                                        act == DET_ACTIVATION_NONE ? DETK_LOAD_RELU6
                                        : bias                     ? DETK_LOAD_NORM_RELU6
                                                                   : DETK_LOAD_PLAIN);
    det_ops_ref()->dwconv_forward(&x, s, loaded.values, t->w, bias ? t->bias : NULL, act, wanted);
    void *in = test_device_values(type, t->in, t->inputs);
    void *w = test_device_copy(t->w, t->weights * sizeof(float));
    void *b = bias ? test_device_copy(t->bias, t->channels * sizeof(float)) : NULL;
    void *out = test_device_values(type, got, t->outputs);
    assert_cuda(detk_dwconv_forward(0, type, s, in, &loaded.load, w, b, act, out));
    test_device_read_values(type, got, out, t->outputs);
    compare("forward", type, s, got, wanted, t->outputs, test_bound(type));
    test_device_free(in);
    test_device_free(w);
    test_device_free(b);
    test_device_free(out);
    drop_loaded(&loaded);
}

static void check_backward_data(enum detk_type type, const struct det_conv_shape *s,
                                const struct tensors *t, bool accumulate)
{
    const struct det_exec x = {.pool = NULL};
    float *wanted = test_values(type, t->inputs, 5, 1), *got = test_values(type, t->inputs, 8, 1);
    detk_dwconv_backward_data__ref(&x, s, t->dout, t->w, wanted, accumulate);
    void *dout = test_device_values(type, t->dout, t->outputs);
    void *w = test_device_copy(t->w, t->weights * sizeof(float));
    void *din = test_device_values(type, t->old_din, t->inputs);
    assert_cuda(detk_dwconv_backward_data(0, type, s, dout, w, din, accumulate));
    test_device_read_values(type, got, din, t->inputs);
    compare("backward data", type, s, got, wanted, t->inputs, test_bound(type));
    test_device_free(dout);
    test_device_free(w);
    test_device_free(din);
}

/* Its result is float32 for both types. */
static void check_backward_weight(enum detk_type type, const struct det_conv_shape *s,
                                  const struct tensors *t, bool accumulate)
{
    const struct det_exec x = {.pool = NULL};
    const size_t bytes = t->weights * sizeof(float);
    float *wanted = test_values(DETK_F32, t->weights, 6, 1), *got = malloc(bytes);
    float *again = malloc(bytes);
    assert_true(got != NULL && again != NULL);
    static unsigned turn;
    struct loaded loaded =
        load_on_host(s, t, turn++ % 2 == 0 ? DETK_LOAD_PLAIN : DETK_LOAD_NORM_RELU6);
    detk_dwconv_backward_weight__ref(&x, s, loaded.values, t->dout, wanted, accumulate);
    void *in = test_device_values(type, t->in, t->inputs);
    void *dout = test_device_values(type, t->dout, t->outputs);
    float *const results[2] = {got, again};
    for (int run = 0; run < 2; run++) {
        void *workspace = test_device_alloc(detk_dwconv_backward_weight_workspace(type, s));
        void *dw = test_device_copy(t->old_dw, bytes);
        assert_cuda(detk_dwconv_backward_weight(0, type, s, in, &loaded.load, dout, dw, accumulate,
                                                workspace));
        test_device_read(results[run], dw, bytes);
        test_device_free(workspace);
        test_device_free(dw);
    }
    assert_memory_equal(got, again, bytes);
    compare("backward weight", type, s, got, wanted, t->weights, TEST_BOUND_F32);
    free(again);
    test_device_free(in);
    test_device_free(dout);
    drop_loaded(&loaded);
}

/* The three operations, plain and with everything switched on. */
static void check(const struct det_conv_shape *s)
{
    for (int type = DETK_F32; type <= DETK_BF16; type++) {
        struct tensors t = make_tensors(type, s);
        check_forward(type, s, &t, false, DET_ACTIVATION_NONE);
        check_forward(type, s, &t, true, DET_ACTIVATION_RELU6);
        for (int accumulate = 0; accumulate < 2; accumulate++) {
            check_backward_data(type, s, &t, accumulate);
            check_backward_weight(type, s, &t, accumulate);
        }
        free_tensors(&t);
    }
}

static void check_same(int32_t n, int32_t h, int32_t w, int32_t c, int32_t kernel)
{
    for (int32_t stride = 1; stride <= 2; stride++) {
        const struct det_conv_shape s = det_conv_same(n, h, w, c, c, kernel, stride);
        check(&s);
    }
}

/* Vectors of 4 and 8 and what is none, channels of one block and of several. */
static void test_channels(void **state)
{
    (void)state;
    static const int32_t channels[] = {1, 3, 4, 7, 8, 16, 24, 33, 96};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        check_same(2, 3, 5, channels[i], 3);
    check_same(1, 2, 3, 136, 3); /* 34 vectors of 4 */
    check_same(1, 2, 1, 516, 3); /* 129 vectors of 4 */
}

/* Around the DWCONV_PIXELS 4 of a thread. */
static void test_sizes(void **state)
{
    (void)state;
    static const int32_t widths[] = {1, 2, 3, 4, 5, 7, 8, 9, 10}, heights[] = {1, 2, 3, 6};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        for (size_t k = 0; k < sizeof heights / sizeof *heights; k++)
            check_same(1, heights[k], widths[i], 8, 3);
    }
}

/* Several blocks of pixels, several strips, of which the last is not full. */
static void test_many_pixels(void **state)
{
    (void)state;
    check_same(3, 17, 19, 4, 3);
    check_same(2, 21, 12, 33, 3);
}

static void test_other_kernels(void **state)
{
    (void)state;
    for (int32_t kernel = 1; kernel <= 7; kernel += 2) {
        check_same(2, 6, 9, 8, kernel);
        check_same(1, 3, 5, 3, kernel);
    }
}

/* Padding that is not SAME's: none, the larger half first, more than the kernel. */
static void test_paddings(void **state)
{
    (void)state;
    for (int32_t pad = 0; pad < 16; pad++) {
        for (int32_t stride = 1; stride <= 2; stride++) {
            const struct det_conv_shape s = {.n = 1,
                                             .in_h = 6,
                                             .in_w = 7,
                                             .in_c = 4,
                                             .out_h = 4 / stride + pad / 4,
                                             .out_w = 6 / stride + pad % 4,
                                             .out_c = 4,
                                             .kernel_h = 3,
                                             .kernel_w = 3,
                                             .stride = stride,
                                             .pad_top = pad / 4,
                                             .pad_left = pad % 4};
            check(&s);
        }
    }
}

static void test_bias_and_activation_alone(void **state)
{
    (void)state;
    const struct det_conv_shape s = det_conv_same(1, 4, 5, 8, 8, 3, 1);
    for (int type = DETK_F32; type <= DETK_BF16; type++) {
        struct tensors t = make_tensors(type, &s);
        check_forward(type, &s, &t, true, DET_ACTIVATION_NONE);
        check_forward(type, &s, &t, false, DET_ACTIVATION_RELU6);
        free_tensors(&t);
    }
}

static int32_t forward_rows(const struct det_conv_shape *s)
{
    return dwconv_strip_rows(s, s->out_h, dwconv_groups(s->out_w));
}

/* Parameters may lie anywhere: here one float beyond an aligned place. */
static void check_unaligned(enum detk_type type, const struct det_conv_shape *s, int which)
{
    const struct det_exec x = {.pool = NULL};
    const struct detk_load plain = {.kind = DETK_LOAD_PLAIN};
    struct tensors t = make_tensors(type, s);
    float *wanted = test_values(DETK_F32, t.outputs, 7, 1),
          *got = test_values(type, t.outputs, 8, 1);
    float *wanted_din = test_values(type, t.inputs, 5, 1), *din = test_values(type, t.inputs, 8, 1);
    det_ops_ref()->dwconv_forward(&x, s, t.in, t.w, t.bias, DET_ACTIVATION_NONE, wanted);
    detk_dwconv_backward_data__ref(&x, s, t.dout, t.w, wanted_din, false);
    void *in = test_device_values(type, t.in, t.inputs);
    void *dout = test_device_values(type, t.dout, t.outputs);
    void *out = test_device_values(type, got, t.outputs);
    float *w = test_device_alloc((t.weights + 1) * sizeof(float));
    float *bias = test_device_alloc((t.channels + 1) * sizeof(float));
    float *const at_w = w + (which == 0), *const at_bias = bias + (which == 1);
    assert_cuda(cudaMemcpy(at_w, t.w, t.weights * sizeof(float), cudaMemcpyHostToDevice));
    assert_cuda(cudaMemcpy(at_bias, t.bias, t.channels * sizeof(float), cudaMemcpyHostToDevice));
    assert_cuda(
        detk_dwconv_forward(0, type, s, in, &plain, at_w, at_bias, DET_ACTIVATION_NONE, out));
    test_device_read_values(type, got, out, t.outputs);
    compare("unaligned", type, s, got, wanted, t.outputs, test_bound(type));
    assert_cuda(detk_dwconv_backward_data(0, type, s, dout, at_w, in, false));
    test_device_read_values(type, din, in, t.inputs);
    compare("unaligned, backward data", type, s, din, wanted_din, t.inputs, test_bound(type));
    void *const device[] = {in, dout, out, w, bias};
    for (size_t i = 0; i < sizeof device / sizeof *device; i++)
        test_device_free(device[i]);
    free_tensors(&t);
}

static void test_unaligned_parameters(void **state)
{
    (void)state;
    const struct det_conv_shape rows = det_conv_same(1, 4, 5, 8, 8, 3, 1);
    const struct det_conv_shape strips = det_conv_same(300, 4, 1, 264, 264, 3, 1);
    assert_true(forward_rows(&rows) == 1 && forward_rows(&strips) > 1);
    for (int type = DETK_F32; type <= DETK_BF16; type++)
        for (int which = 0; which < 2; which++) {
            check_unaligned(type, &rows, which);
            check_unaligned(type, &strips, which);
        }
}

/* What may have strips: all but the gradient of the weights. */
static void check_results(const struct det_conv_shape *s)
{
    for (int type = DETK_F32; type <= DETK_BF16; type++) {
        struct tensors t = make_tensors(type, s);
        check_forward(type, s, &t, false, DET_ACTIVATION_NONE);
        check_forward(type, s, &t, true, DET_ACTIVATION_RELU6);
        check_backward_data(type, s, &t, false);
        check_backward_data(type, s, &t, true);
        free_tensors(&t);
    }
}

static void check_strips(const struct det_conv_shape *s, int32_t rows)
{
    assert_int_equal(forward_rows(s), rows);
    assert_int_equal(dwconv_strip_rows(s, s->in_h, dwconv_groups(s->in_w)) > 1, rows > 1);
    check_results(s);
}

/* Shapes large enough for strips of rows: one strip a column, several, of which the last has one
 * row, some or all; one column, part of the pixels of a thread, all, more; 260 channels are blocks
 * of 65 vectors and one pixel, so that the rest is small. */
static void test_strips(void **state)
{
    (void)state;
    static const struct {
        int32_t n, h, w, c, stride, rows;
    } cases[] = {
        {3, 361, 1, 260, 1, 4}, {300, 4, 2, 260, 1, 4},  {300, 5, 3, 260, 1, 5},
        {3, 181, 5, 260, 1, 4}, {2, 1200, 1, 260, 1, 7}, {1, 33, 80, 516, 1, 4},
        {2, 270, 9, 260, 1, 5}, {330, 10, 3, 260, 2, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int32_t c = cases[i].c;
        const struct det_conv_shape s =
            det_conv_same(cases[i].n, cases[i].h, cases[i].w, c, c, 3, cases[i].stride);
        check_strips(&s, cases[i].rows);
    }
    /* Stride 2 has none above, and another kernel neither, however many there would be. */
    const struct det_conv_shape five = det_conv_same(300, 4, 1, 264, 264, 5, 1);
    assert_int_equal(forward_rows(&five), 1);
    check_results(&five);
}

/* Groups of 8 rows of the weights' gradient are above; here of 16 and of 32, the last of each with
 * fewer. */
static void test_rows_of_weights(void **state)
{
    (void)state;
    static const int32_t images[] = {220, 330}, heights[] = {40, 33}, rows[] = {16, 32};
    for (int i = 0; i < 2; i++) {
        const struct det_conv_shape s = det_conv_same(images[i], heights[i], 1, 260, 260, 3, 1);
        const struct det_tile_sides sides =
            det_tile_sides_of(260 / DWCONV_WEIGHT_VECTOR, DWCONV_WEIGHT_LANES, DWCONV_THREADS);
        assert_int_equal(dwconv_weight_rows(&s, dwconv_weight_groups(&sides)), rows[i]);
        struct tensors t = make_tensors(DETK_F32, &s);
        check_backward_weight(DETK_F32, &s, &t, false);
        free_tensors(&t);
    }
}

static void test_paddings_of_strips(void **state)
{
    (void)state;
    for (int32_t pad = 0; pad < 4; pad++) {
        const struct det_conv_shape s = {.n = 160,
                                         .in_h = 6,
                                         .in_w = 7,
                                         .in_c = 260,
                                         .out_h = 4 + pad,
                                         .out_w = 5 + pad,
                                         .out_c = 260,
                                         .kernel_h = 3,
                                         .kernel_w = 3,
                                         .stride = 1,
                                         .pad_top = pad,
                                         .pad_left = 3 - pad};
        check_strips(&s, 4 + pad);
    }
}

static void *values_of_image(enum detk_type type, const float *values, size_t count, int32_t image)
{
    return test_device_values(type, values + count * (size_t)image, count);
}

/* Images are alone in rows and together in strips: the same bits. */
static void check_bits(enum detk_type type, const struct det_conv_shape *all,
                       enum detk_load_kind kind)
{
    struct tensors t = make_tensors(type, all);
    struct loaded loaded = load_on_host(all, &t, kind);
    struct det_conv_shape one = *all;
    one.n = 1;
    assert_true(forward_rows(all) > 1 && forward_rows(&one) == 1);
    const size_t outputs = t.outputs / (size_t)all->n, inputs = t.inputs / (size_t)all->n;
    float *wanted_out = test_values(type, outputs, 7, 1),
          *wanted_din = test_values(type, inputs, 7, 1);
    float *outs = test_values(type, t.outputs, 8, 1), *dins = test_values(type, t.inputs, 8, 1);
    float *w = test_device_copy(t.w, t.weights * sizeof(float));
    float *bias = test_device_copy(t.bias, t.channels * sizeof(float));
    void *in = test_device_values(type, t.in, t.inputs);
    void *dout = test_device_values(type, t.dout, t.outputs);
    void *out = test_device_values(type, outs, t.outputs);
    void *din = test_device_values(type, t.old_din, t.inputs);
    assert_cuda(
        detk_dwconv_forward(0, type, all, in, &loaded.load, w, bias, DET_ACTIVATION_NONE, out));
    assert_cuda(detk_dwconv_backward_data(0, type, all, dout, w, din, true));
    test_device_read_values(type, outs, out, t.outputs);
    test_device_read_values(type, dins, din, t.inputs);
    for (int32_t i = 0; i < all->n; i++) {
        void *one_in = values_of_image(type, t.in, inputs, i);
        void *one_dout = values_of_image(type, t.dout, outputs, i);
        void *one_out = values_of_image(type, t.dout, outputs, i);
        void *one_din = values_of_image(type, t.old_din, inputs, i);
        assert_cuda(detk_dwconv_forward(0, type, &one, one_in, &loaded.load, w, bias,
                                        DET_ACTIVATION_NONE, one_out));
        assert_cuda(detk_dwconv_backward_data(0, type, &one, one_dout, w, one_din, true));
        test_device_read_values(type, wanted_out, one_out, outputs);
        test_device_read_values(type, wanted_din, one_din, inputs);
        assert_memory_equal(outs + outputs * (size_t)i, wanted_out, outputs * sizeof(float));
        assert_memory_equal(dins + inputs * (size_t)i, wanted_din, inputs * sizeof(float));
        void *const device[] = {one_in, one_dout, one_out, one_din};
        for (size_t k = 0; k < sizeof device / sizeof *device; k++)
            test_device_free(device[k]);
    }
    void *const device[] = {w, bias, in, dout, out, din};
    for (size_t k = 0; k < sizeof device / sizeof *device; k++)
        test_device_free(device[k]);
    free(wanted_out);
    free(wanted_din);
    free(outs);
    free(dins);
    drop_loaded(&loaded);
    free_tensors(&t);
}

static void test_strips_and_rows_agree(void **state)
{
    (void)state;
    const struct det_conv_shape s = det_conv_same(8, 50, 9, 264, 264, 3, 1);
    for (int type = DETK_F32; type <= DETK_BF16; type++)
        for (int kind = DETK_LOAD_PLAIN; kind <= DETK_LOAD_NORM_RELU6; kind++)
            check_bits(type, &s, kind);
}

/* NaN here and there in a strip, at its edges too. */
static void test_nan_in_strips(void **state)
{
    (void)state;
    const struct det_conv_shape s = det_conv_same(390, 5, 3, 260, 260, 3, 1);
    assert_true(forward_rows(&s) > 1);
    struct tensors t = make_tensors(DETK_F32, &s);
    for (size_t i = 0; i < t.inputs; i += 7919)
        t.in[i] = NAN;
    for (size_t i = 0; i < t.outputs; i += 7919)
        t.dout[i] = NAN;
    check_forward(DETK_F32, &s, &t, true, DET_ACTIVATION_RELU6);
    check_forward(DETK_F32, &s, &t, false, DET_ACTIVATION_RELU6);
    check_forward(DETK_F32, &s, &t, false, DET_ACTIVATION_NONE);
    check_backward_data(DETK_F32, &s, &t, false);
    free_tensors(&t);
}

/* NaN at each place in turn reaches what it takes part in, through ReLU6 too, and nothing else:
 * padding is no operand. */
static void check_nan(const struct det_conv_shape *s)
{
    struct tensors t = make_tensors(DETK_F32, s);
    for (size_t i = 0; i < t.inputs; i += t.channels) {
        const float kept = t.in[i];
        t.in[i] = NAN;
        check_forward(DETK_F32, s, &t, false, DET_ACTIVATION_RELU6);
        check_backward_weight(DETK_F32, s, &t, false);
        t.in[i] = kept;
    }
    for (size_t i = 0; i < t.outputs; i += t.channels) {
        const float kept = t.dout[i];
        t.dout[i] = NAN;
        check_backward_data(DETK_F32, s, &t, true);
        check_backward_weight(DETK_F32, s, &t, true);
        t.dout[i] = kept;
    }
    for (size_t i = 0; i < t.weights; i += t.channels) {
        const float kept = t.w[i];
        t.w[i] = NAN;
        check_forward(DETK_F32, s, &t, true, DET_ACTIVATION_NONE);
        check_backward_data(DETK_F32, s, &t, false);
        t.w[i] = kept;
    }
    free_tensors(&t);
}

static void test_nan(void **state)
{
    (void)state;
    for (int32_t stride = 1; stride <= 2; stride++) {
        const struct det_conv_shape one = det_conv_same(1, 3, 5, 1, 1, 3, stride);
        const struct det_conv_shape vector = det_conv_same(1, 2, 6, 4, 4, 3, stride);
        const struct det_conv_shape wide = det_conv_same(1, 3, 4, 4, 4, 5, stride);
        check_nan(&one);
        check_nan(&vector);
        check_nan(&wide);
    }
    const struct det_conv_shape s = det_conv_same(1, 3, 5, 8, 8, 3, 1);
    struct tensors t = make_tensors(DETK_BF16, &s);
    t.in[17] = t.dout[44] = NAN;
    check_forward(DETK_BF16, &s, &t, true, DET_ACTIVATION_RELU6);
    check_backward_data(DETK_BF16, &s, &t, false);
    check_backward_weight(DETK_BF16, &s, &t, false);
    free_tensors(&t);
}

/* No images: nothing but a gradient of the weights that is zero. */
static void test_nothing(void **state)
{
    (void)state;
    struct det_conv_shape s = det_conv_same(0, 4, 5, 8, 8, 3, 1);
    check(&s);
}

/* ReLU6 at the load is inference's: the gradient of the weights has no kernel for it, and says
 * so. */
static void test_load_of_inference(void **state)
{
    (void)state;
    const struct det_conv_shape s = det_conv_same(1, 2, 3, 4, 4, 3, 1);
    const struct detk_load load = {.kind = DETK_LOAD_RELU6};
    for (int type = DETK_F32; type <= DETK_BF16; type++)
        assert_int_equal(detk_dwconv_backward_weight(0, (enum detk_type)type, &s, NULL, &load, NULL,
                                                     NULL, false, NULL),
                         cudaErrorInvalidValue);
}

int test_cuda_dwconv(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_many_pixels),
        cmocka_unit_test(test_other_kernels),
        cmocka_unit_test(test_paddings),
        cmocka_unit_test(test_bias_and_activation_alone),
        cmocka_unit_test(test_unaligned_parameters),
        cmocka_unit_test(test_strips),
        cmocka_unit_test(test_rows_of_weights),
        cmocka_unit_test(test_paddings_of_strips),
        cmocka_unit_test(test_strips_and_rows_agree),
        cmocka_unit_test(test_nan_in_strips),
        cmocka_unit_test(test_nan),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_load_of_inference),
    };
    return cmocka_run_group_tests_name("cuda_dwconv", tests, NULL, NULL);
}
