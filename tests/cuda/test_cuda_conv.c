/* Dense convolutions by cublasLt and cuDNN against the reference: each way of computing them, each
 * pass. */
#include "cuda/support/device.h"
#include "devices/cuda/cuda_conv.h"
#include "ops/ref/ref_ops.h"

#ifdef DET_CUDA_EMU
#include "cuda_emu_counts.h"
#endif

/* Operands of 10 bits of mantissa. */
#define TF32_BOUND 2e-3

struct fixture {
    struct test_env t;
    struct det_device *device;
    double bound, float_bound; /* of results of the device's type, and of float32 ones */
    struct det_conv_shape shape;
    struct det_cuda_conv conv;
    size_t inputs, outputs, weights;
    void *workspace;
};

static float *random_values(enum detk_type type, size_t count, uint32_t seed)
{
    float *values = malloc((count + 1) * sizeof *values);
    assert_non_null(values);
    test_fill(values, count, seed);
    test_round(type, values, count);
    return values;
}

static void open_device(struct fixture *f, enum det_precision precision, bool deterministic)
{
    *f = (struct fixture){0};
    test_env_init(&f->t);
    const struct det_device_settings settings = {
        .index = 0, .precision = precision, .deterministic = deterministic};
    assert_ok(&f->t.env, det_cuda_device_open(&f->t.env, &settings, &f->device));
    f->bound = precision == DET_PRECISION_TF32 ? TF32_BOUND : test_bound(f->device->type);
    f->float_bound = precision == DET_PRECISION_TF32 ? TF32_BOUND : TEST_BOUND_F32;
}

static void close_device(struct fixture *f)
{
    det_cuda_device_close(&f->t.env, &f->device);
    test_env_check(&f->t);
}

static void open_conv(struct fixture *f, const struct det_conv_shape *s, bool bias, bool float_out,
                      enum det_cuda_conv_method method)
{
    const struct det_cuda_conv_uses uses = {
        .bias = bias, .backward_data = true, .backward_weight = true, .float_out = float_out};
    f->shape = *s;
    f->inputs = (size_t)s->n * (size_t)s->in_h * (size_t)s->in_w * (size_t)s->in_c;
    f->outputs = (size_t)s->n * (size_t)s->out_h * (size_t)s->out_w * (size_t)s->out_c;
    f->weights = (size_t)s->kernel_h * (size_t)s->kernel_w * (size_t)s->in_c * (size_t)s->out_c;
    assert_ok(&f->t.env, det_cuda_conv_create(&f->t.env, f->device, s, &uses, &f->conv));
    assert_int_equal(f->conv.method, method);
    f->workspace = test_device_alloc(f->conv.workspace_bytes);
}

static void close_conv(struct fixture *f)
{
    test_device_free(f->workspace);
    det_cuda_conv_destroy(&f->conv);
}

static void compare(const struct fixture *f, const char *pass, const float *got,
                    const float *wanted, size_t count, double bound)
{
    const struct det_conv_shape *s = &f->shape;
    const double error = test_relative_l2(got, wanted, count);
    if (!(error <= bound))
        fail_msg("%s, type %d, method %d: n %d in %dx%dx%d out %dx%dx%d kernel %d stride %d: %g",
                 pass, f->device->type, f->conv.method, s->n, s->in_h, s->in_w, s->in_c, s->out_h,
                 s->out_w, s->out_c, s->kernel_h, s->stride, error);
}

/* A parameter in both forms, of which the bf16 one is exact since the values were rounded. */
struct param {
    void *master, *typed;
};

static struct param make_param(enum detk_type type, const float *values, size_t count)
{
    return (struct param){test_device_copy(values, count * sizeof *values),
                          test_device_values(type, values, count)};
}

static struct det_cuda_param as_param(struct param p)
{
    return (struct det_cuda_param){.master = p.master, .typed = p.typed};
}

static void free_param(struct param p)
{
    test_device_free(p.master);
    test_device_free(p.typed);
}

static void check_forward(struct fixture *f, bool bias, enum det_activation act)
{
    const enum detk_type type = f->device->type, out_type = f->conv.out_type;
    const struct det_exec exec = {0};
    const size_t channels = (size_t)f->shape.out_c;
    float *in = random_values(type, f->inputs, 1), *w = random_values(type, f->weights, 2);
    float *b = random_values(type, channels, 3), *got = random_values(out_type, f->outputs, 4);
    float *wanted = random_values(DETK_F32, f->outputs, 5);
    det_ops_ref()->conv_forward(&exec, &f->shape, in, w, bias ? b : NULL, act, wanted);
    void *device_in = test_device_values(type, in, f->inputs);
    void *out = test_device_values(out_type, got, f->outputs);
    const struct param weight = make_param(type, w, f->weights);
    const struct param bias_param = make_param(type, b, channels);
    const struct det_cuda_param none = {0};
    assert_ok(&f->t.env, det_cuda_conv_forward(&f->t.env, f->device, &f->conv, device_in,
                                               as_param(weight), bias ? as_param(bias_param) : none,
                                               act, out, f->workspace, "test"));
    assert_ok(&f->t.env, det_cuda_device_wait(&f->t.env, f->device, "test"));
    test_device_read_values(out_type, got, out, f->outputs);
    compare(f, "forward", got, wanted, f->outputs, out_type == type ? f->bound : f->float_bound);
    test_device_free(device_in);
    test_device_free(out);
    free_param(weight);
    free_param(bias_param);
    free(in);
    free(w);
    free(b);
    free(got);
    free(wanted);
}

static void check_backward_data(struct fixture *f, bool accumulate)
{
    const enum detk_type type = f->device->type;
    const struct det_exec exec = {0};
    float *dout = random_values(type, f->outputs, 1), *w = random_values(type, f->weights, 2);
    float *got = random_values(type, f->inputs, 3), *wanted = random_values(type, f->inputs, 3);
    detk_conv_backward_data__ref(&exec, &f->shape, dout, w, wanted, accumulate);
    void *device_dout = test_device_values(type, dout, f->outputs);
    void *din = test_device_values(type, got, f->inputs);
    const struct param weight = make_param(type, w, f->weights);
    assert_ok(&f->t.env,
              det_cuda_conv_backward_data(&f->t.env, f->device, &f->conv, device_dout,
                                          as_param(weight), din, accumulate, f->workspace, "test"));
    assert_ok(&f->t.env, det_cuda_device_wait(&f->t.env, f->device, "test"));
    test_device_read_values(type, got, din, f->inputs);
    compare(f, "backward data", got, wanted, f->inputs, f->bound);
    test_device_free(device_dout);
    test_device_free(din);
    free_param(weight);
    free(dout);
    free(w);
    free(got);
    free(wanted);
}

static void check_backward_weight(struct fixture *f, bool accumulate)
{
    const enum detk_type type = f->device->type;
    const struct det_exec exec = {0};
    const size_t bytes = f->weights * sizeof(float);
    float *in = random_values(type, f->inputs, 1), *dout = random_values(type, f->outputs, 2);
    float *got = random_values(DETK_F32, f->weights, 3);
    float *wanted = random_values(DETK_F32, f->weights, 3);
    detk_conv_backward_weight__ref(&exec, &f->shape, in, dout, wanted, accumulate);
    void *device_in = test_device_values(type, in, f->inputs);
    void *device_dout = test_device_values(type, dout, f->outputs);
    void *dweight = test_device_copy(got, bytes);
    assert_ok(&f->t.env,
              det_cuda_conv_backward_weight(&f->t.env, f->device, &f->conv, device_in, device_dout,
                                            dweight, accumulate, f->workspace, "test"));
    assert_ok(&f->t.env, det_cuda_device_wait(&f->t.env, f->device, "test"));
    test_device_read(got, dweight, bytes);
    compare(f, "backward weight", got, wanted, f->weights, f->float_bound);
    test_device_free(device_in);
    test_device_free(device_dout);
    test_device_free(dweight);
    free(in);
    free(dout);
    free(got);
    free(wanted);
}

static void check(struct fixture *f, const struct det_conv_shape *s,
                  enum det_cuda_conv_method method)
{
    open_conv(f, s, false, false, method);
    check_forward(f, false, DET_ACTIVATION_NONE);
    check_forward(f, false, DET_ACTIVATION_RELU6);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        check_backward_data(f, accumulate);
        check_backward_weight(f, accumulate);
    }
    close_conv(f);
    open_conv(f, s, true, false, method);
    check_forward(f, true, DET_ACTIVATION_NONE);
    check_forward(f, true, DET_ACTIVATION_RELU6);
    close_conv(f);
    /* An output of the network, which is float32, with a gradient that is not. */
    const bool rounds = f->device->type == DETK_BF16;
    open_conv(f, s, true, true,
              rounds && method == DET_CUDA_CONV_LIBRARY ? DET_CUDA_CONV_COLUMNS : method);
    check_forward(f, true, DET_ACTIVATION_NONE);
    check_forward(f, true, DET_ACTIVATION_RELU6);
    check_backward_data(f, false);
    check_backward_weight(f, false);
    close_conv(f);
}

static void check_all(enum det_precision precision, bool deterministic)
{
    static const struct {
        int32_t n, h, w, in_c, out_c, kernel, stride;
        enum det_cuda_conv_method method;
    } cases[] = {
        {1, 1, 1, 1, 1, 1, 1, DET_CUDA_CONV_PRODUCT},
        {2, 3, 5, 3, 7, 1, 1, DET_CUDA_CONV_PRODUCT},
        {2, 8, 8, 16, 24, 1, 1, DET_CUDA_CONV_PRODUCT},
        {1, 9, 7, 33, 65, 1, 1, DET_CUDA_CONV_PRODUCT},
        {2, 10, 12, 3, 8, 3, 2, DET_CUDA_CONV_COLUMNS}, /* the network's first layer */
        {1, 6, 6, 5, 3, 3, 2, DET_CUDA_CONV_COLUMNS},
        {2, 7, 9, 8, 16, 3, 1, DET_CUDA_CONV_LIBRARY},
        {1, 7, 9, 5, 3, 3, 2, DET_CUDA_CONV_LIBRARY},
        {1, 5, 8, 4, 6, 1, 2, DET_CUDA_CONV_LIBRARY},
    };
    struct fixture f;
    open_device(&f, precision, deterministic);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct det_conv_shape s =
            det_conv_same(cases[i].n, cases[i].h, cases[i].w, cases[i].in_c, cases[i].out_c,
                          cases[i].kernel, cases[i].stride);
        check(&f, &s, cases[i].method);
    }
    close_device(&f);
}

/* Shapes whose weights' gradient is our own kernel's, and ones just beyond. */
static void check_own(enum det_precision precision)
{
    static const struct {
        int32_t n, h, w, in_c, out_c, kernel, stride;
        enum det_cuda_conv_method method;
        enum det_cuda_weight_way way, bf16_way;
    } cases[] = {
        {2, 100, 90, 3, 8, 3, 2, DET_CUDA_CONV_COLUMNS, DET_CUDA_WEIGHT_IMAGE,
         DET_CUDA_WEIGHT_IMAGE},
        {2, 110, 110, 8, 8, 1, 1, DET_CUDA_CONV_PRODUCT, DET_CUDA_WEIGHT_ROWS,
         DET_CUDA_WEIGHT_LIBRARY}, /* too few: half the bytes, and as many partial sums */
        {2, 160, 160, 8, 8, 1, 1, DET_CUDA_CONV_PRODUCT, DET_CUDA_WEIGHT_ROWS,
         DET_CUDA_WEIGHT_ROWS},
        {2, 160, 160, 8, 12, 1, 1, DET_CUDA_CONV_PRODUCT, DET_CUDA_WEIGHT_ROWS,
         DET_CUDA_WEIGHT_LIBRARY}, /* 24 bytes are no vectors of 16 */
        {2, 160, 160, 12, 8, 1, 1, DET_CUDA_CONV_PRODUCT, DET_CUDA_WEIGHT_ROWS,
         DET_CUDA_WEIGHT_LIBRARY},
        {2, 160, 160, 8, 7, 1, 1, DET_CUDA_CONV_PRODUCT, DET_CUDA_WEIGHT_LIBRARY,
         DET_CUDA_WEIGHT_LIBRARY},
        {2, 100, 90, 3, 12, 3, 2, DET_CUDA_CONV_COLUMNS, DET_CUDA_WEIGHT_IMAGE,
         DET_CUDA_WEIGHT_LIBRARY},
        {2, 10, 10, 8, 8, 1, 1, DET_CUDA_CONV_PRODUCT, DET_CUDA_WEIGHT_LIBRARY,
         DET_CUDA_WEIGHT_LIBRARY},
        {2, 100, 90, 4, 8, 3, 2, DET_CUDA_CONV_COLUMNS, DET_CUDA_WEIGHT_LIBRARY,
         DET_CUDA_WEIGHT_LIBRARY},
    };
    struct fixture f;
    open_device(&f, precision, false);
    f.float_bound = TEST_BOUND_F32; /* in TF32, too: our own multiplies in float32 */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct det_conv_shape s =
            det_conv_same(cases[i].n, cases[i].h, cases[i].w, cases[i].in_c, cases[i].out_c,
                          cases[i].kernel, cases[i].stride);
        open_conv(&f, &s, false, false, cases[i].method);
        const enum det_cuda_weight_way way =
            f.device->type == DETK_BF16 ? cases[i].bf16_way : cases[i].way;
        assert_int_equal(f.conv.weight_way, way);
        for (int accumulate = 0; accumulate < 2 && way != DET_CUDA_WEIGHT_LIBRARY; accumulate++)
            check_backward_weight(&f, accumulate);
        close_conv(&f);
    }
    close_device(&f);
}

static void own_weight_gradients(void **state)
{
    (void)state;
    check_own(DET_PRECISION_F32);
    check_own(DET_PRECISION_TF32);
    check_own(DET_PRECISION_BF16);
}

/* The network's products: which are whose (640, batch 8). */
static void ways_of_the_network(void **state)
{
    (void)state;
    static const struct {
        int32_t side, in_c, out_c, kernel, stride;
        enum det_cuda_weight_way way, bf16_way;
    } cases[] = {
        {640, 3, 32, 3, 2, DET_CUDA_WEIGHT_IMAGE, DET_CUDA_WEIGHT_IMAGE},
        {320, 32, 16, 1, 1, DET_CUDA_WEIGHT_ROWS, DET_CUDA_WEIGHT_ROWS},
        {320, 16, 96, 1, 1, DET_CUDA_WEIGHT_ROWS, DET_CUDA_WEIGHT_LIBRARY},
        {160, 96, 24, 1, 1, DET_CUDA_WEIGHT_ROWS, DET_CUDA_WEIGHT_LIBRARY},
        {160, 24, 144, 1, 1, DET_CUDA_WEIGHT_ROWS, DET_CUDA_WEIGHT_LIBRARY},
        {80, 144, 32, 1, 1, DET_CUDA_WEIGHT_LIBRARY, DET_CUDA_WEIGHT_LIBRARY},
        {80, 128, 128, 1, 1, DET_CUDA_WEIGHT_LIBRARY, DET_CUDA_WEIGHT_LIBRARY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct det_conv_shape s =
            det_conv_same(8, cases[i].side, cases[i].side, cases[i].in_c, cases[i].out_c,
                          cases[i].kernel, cases[i].stride);
        assert_int_equal(det_cuda_weight_way(&s, 4), cases[i].way);
        assert_int_equal(det_cuda_weight_way(&s, 2), cases[i].bf16_way);
    }
}

static void float32(void **state)
{
    (void)state;
    check_all(DET_PRECISION_F32, false);
    check_all(DET_PRECISION_F32, true);
}

enum pass { DATA, WEIGHT };

/* A gradient of one convolution, malloc; *count values. */
static float *gradient(struct fixture *f, enum pass pass, size_t *count)
{
    const enum detk_type type = f->device->type, to_type = pass == DATA ? type : DETK_F32;
    *count = pass == DATA ? f->inputs : f->weights;
    const size_t from_count = pass == DATA ? f->weights : f->inputs;
    float *dout = random_values(type, f->outputs, 2), *from = random_values(type, from_count, 1);
    float *got = malloc(*count * sizeof *got);
    assert_non_null(got);
    void *device_dout = test_device_values(type, dout, f->outputs);
    const struct param other = make_param(type, from, from_count);
    void *to = test_device_alloc(*count * sizeof *got);
    assert_cuda(cudaDeviceSynchronize());
    assert_ok(&f->t.env,
              pass == DATA
                  ? det_cuda_conv_backward_data(&f->t.env, f->device, &f->conv, device_dout,
                                                as_param(other), to, false, f->workspace, "test")
                  : det_cuda_conv_backward_weight(&f->t.env, f->device, &f->conv, other.typed,
                                                  device_dout, to, false, f->workspace, "test"));
    assert_ok(&f->t.env, det_cuda_device_wait(&f->t.env, f->device, "test"));
    test_device_read_values(to_type, got, to, *count);
    test_device_free(device_dout);
    test_device_free(to);
    free_param(other);
    free(dout);
    free(from);
    return got;
}

/* Whether many runs give the same bits. */
static bool repeats(enum det_precision precision, bool deterministic, enum pass pass,
                    const struct det_conv_shape *s, enum det_cuda_conv_method method)
{
    struct fixture f;
    bool same = true;
    size_t count = 0;
    open_device(&f, precision, deterministic);
    open_conv(&f, s, false, false, method);
    float *first = gradient(&f, pass, &count);
    for (int run = 0; run < 8; run++) {
        float *next = gradient(&f, pass, &count);
        same = same && memcmp(first, next, count * sizeof *next) == 0;
        free(next);
    }
    free(first);
    close_conv(&f);
    close_device(&f);
    return same;
}

/* Long sums by cublasLt and by cuDNN, whose fastest algorithms need not repeat themselves. */
static void deterministic(void **state)
{
    (void)state;
    const struct det_conv_shape pixels = det_conv_same(1, 60, 60, 8, 16, 1, 1);
    const struct det_conv_shape channels = det_conv_same(1, 4, 4, 8, 320, 1, 1);
    const struct det_conv_shape dense = det_conv_same(1, 30, 30, 8, 16, 3, 1);
    const struct det_conv_shape first = det_conv_same(1, 60, 60, 3, 8, 3, 2);
    for (int p = DET_PRECISION_F32; p <= DET_PRECISION_BF16; p++) {
        const enum det_precision precision = (enum det_precision)p;
        assert_true(repeats(precision, true, WEIGHT, &pixels, DET_CUDA_CONV_PRODUCT));
        assert_true(repeats(precision, true, DATA, &channels, DET_CUDA_CONV_PRODUCT));
        assert_true(repeats(precision, true, WEIGHT, &dense, DET_CUDA_CONV_LIBRARY));
        assert_true(repeats(precision, true, DATA, &dense, DET_CUDA_CONV_LIBRARY));
        assert_true(repeats(precision, true, WEIGHT, &first, DET_CUDA_CONV_COLUMNS));
    }
#ifdef DET_CUDA_EMU
    /* That the emulation tells the difference. */
    const enum det_precision f32 = DET_PRECISION_F32;
    assert_false(repeats(f32, false, WEIGHT, &pixels, DET_CUDA_CONV_PRODUCT));
    assert_false(repeats(f32, false, DATA, &channels, DET_CUDA_CONV_PRODUCT));
    assert_false(repeats(f32, false, WEIGHT, &dense, DET_CUDA_CONV_LIBRARY));
    assert_false(repeats(f32, false, DATA, &dense, DET_CUDA_CONV_LIBRARY));
#endif
}

#ifdef DET_CUDA_EMU

/* Relative difference between a gradient in TF32 and in float32. */
static double tf32_error(enum pass pass, const struct det_conv_shape *s,
                         enum det_cuda_conv_method method)
{
    float *got[2] = {NULL};
    size_t count = 0;
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        open_device(&f, i == 0 ? DET_PRECISION_F32 : DET_PRECISION_TF32, true);
        open_conv(&f, s, false, false, method);
        got[i] = gradient(&f, pass, &count);
        close_conv(&f);
        close_device(&f);
    }
    const double error = test_relative_l2(got[1], got[0], count);
    free(got[0]);
    free(got[1]);
    return error;
}

/* In float32 an algorithm on tensor cores is not taken, even if it is the first that cuDNN
 * lists. */
static void tensor_cores_are_passed_over(void **state)
{
    (void)state;
    const struct det_conv_shape dense = det_conv_same(2, 7, 9, 8, 16, 3, 1);
    struct fixture f;
    cuda_emu_offer_tensor_cores(1);
    open_device(&f, DET_PRECISION_F32, false);
    check(&f, &dense, DET_CUDA_CONV_LIBRARY);
    close_device(&f);
    cuda_emu_offer_tensor_cores(0);
}

/* Both libraries are asked for it. */
static void tf32_is_used(void **state)
{
    (void)state;
    const struct det_conv_shape product = det_conv_same(1, 9, 9, 8, 16, 1, 1);
    const struct det_conv_shape dense = det_conv_same(1, 9, 9, 8, 16, 3, 1);
    for (int pass = DATA; pass <= WEIGHT; pass++) {
        assert_true(tf32_error((enum pass)pass, &product, DET_CUDA_CONV_PRODUCT) > 1e-5);
        assert_true(tf32_error((enum pass)pass, &dense, DET_CUDA_CONV_LIBRARY) > 1e-5);
    }
}

#endif

static void tf32(void **state)
{
    (void)state;
    check_all(DET_PRECISION_TF32, false);
}

static void bf16(void **state)
{
    (void)state;
    check_all(DET_PRECISION_BF16, false);
}

int test_cuda_conv(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float32),
        cmocka_unit_test(tf32),
        cmocka_unit_test(bf16),
        cmocka_unit_test(deterministic),
        cmocka_unit_test(own_weight_gradients),
        cmocka_unit_test(ways_of_the_network),
#ifdef DET_CUDA_EMU
        cmocka_unit_test(tf32_is_used),
        cmocka_unit_test(tensor_cores_are_passed_over),
#endif
    };
    return cmocka_run_group_tests_name("cuda_conv", tests, NULL, NULL);
}
