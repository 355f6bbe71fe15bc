/* Convolutions in 8 bits as the backend runs them, products of cublasLt's or its own depthwise
 * ones, against the loops of ops/ref/q8_conv.c. */
#include "cuda/support/device.h"
#include "cuda/support/whole_numbers.h"
#include "devices/cuda/cuda_q8_conv.h"
#include "devices/cuda/cuda_tune.h"

#ifdef DET_CUDA_EMU
#include "cuda_emu_counts.h"
#endif

struct fixture {
    struct test_env t;
    struct det_env *env;
    struct det_device *device;
};

static void open_device(struct fixture *f, const struct det_device_settings *settings)
{
    test_env_init(&f->t);
    f->env = &f->t.env;
    assert_ok(f->env, det_cuda_device_open(f->env, settings, &f->device));
}

static void close_device(struct fixture *f)
{
    det_cuda_device_close(f->env, &f->device);
    test_env_check(&f->t);
}

/* What a convolution gives for a layer; `addend`: on the device, or NULL. */
static int8_t *run(struct fixture *f, const struct det_conv_shape *s, bool depthwise,
                   const struct det_q8_conv *layer, const int8_t *in,
                   const struct detk_q8_addend *addend)
{
    struct det_cuda_layout layout = {0};
    struct det_cuda_q8_conv conv;
    const size_t in_count = (size_t)s->n * (size_t)(s->in_h * s->in_w * s->in_c);
    const size_t count = (size_t)s->n * (size_t)(s->out_h * s->out_w * s->out_c);
    int8_t *got = malloc(count);
    assert_ok(f->env, det_cuda_q8_conv_create(f->env, f->device, s, depthwise, &layout, &conv));
    uint8_t *constants = calloc(layout.bytes, 1);
    assert_true(got != NULL && constants != NULL);
    det_cuda_q8_conv_pack(&conv, layer, constants);
    void *device_constants = test_device_copy(constants, layout.bytes);
    void *from = test_device_copy(in, in_count), *to = test_device_alloc(count);
    void *workspace = test_device_alloc(conv.workspace_bytes);
    assert_cuda(cudaDeviceSynchronize()); /* the stream of the copies is not the device's */
    assert_ok(f->env, det_cuda_q8_conv_forward(f->env, f->device, &conv, device_constants, from,
                                               addend, to, workspace, "a test"));
    assert_ok(f->env, det_cuda_device_wait(f->env, f->device, "a test"));
    test_device_read(got, to, count);
    det_cuda_q8_conv_destroy(&conv);
    test_device_free(device_constants);
    test_device_free(from);
    test_device_free(to);
    test_device_free(workspace);
    free(constants);
    return got;
}

static void check(struct fixture *f, const struct det_conv_shape *s, bool depthwise, int variant)
{
    const int32_t terms = s->kernel_h * s->kernel_w * (depthwise ? 1 : s->in_c);
    const size_t in_count = (size_t)s->n * (size_t)(s->in_h * s->in_w * s->in_c);
    const size_t count = (size_t)s->n * (size_t)(s->out_h * s->out_w * s->out_c);
    const bool adds = !depthwise && variant % 4 == 3;
    const struct det_exec x = {0};
    struct whole_layer l =
        whole_layer_make(terms, s->out_c, (enum whole_scales)(variant % WHOLE_KINDS));
    int8_t *in = whole_bytes(in_count, (enum whole_filling)(variant / 3 % WHOLE_FILLINGS));
    int8_t *added = whole_bytes(count, WHOLE_ANY), *want = malloc(count);
    assert_non_null(want);
    if (depthwise)
        detk_q8_dwconv__ref(&x, s, &l.q, in, want);
    else
        detk_q8_conv__ref(&x, s, &l.q, in, want);
    const struct detk_q8_addend addend = {.add = whole_draw_add(),
                                          .b = test_device_copy(added, count)};
    if (adds)
        detk_q8_add__ref(&x, (int64_t)count, &addend.add, want, added, want);
    int8_t *got = run(f, s, depthwise, &l.q, in, adds ? &addend : NULL);
    char name[128];
    snprintf(name, sizeof name, "%d x %d x %d, %d -> %d, kernel %d, stride %d, variant %d", s->n,
             s->in_h, s->in_w, s->in_c, s->out_c, s->kernel_h, s->stride, variant);
    whole_assert_equal(name, got, want, count);
    test_device_free((void *)(uintptr_t)addend.b);
    whole_layer_drop(&l);
    free(in);
    free(added);
    free(want);
    free(got);
}

static void check_dense_ones(void)
{
    static const int32_t ins[] = {1, 3, 4, 6, 12, 16, 24, 33, 130};
    static const int32_t outs[] = {1, 2, 4, 7, 12, 18, 32, 101};
    static const int32_t kernels[][2] = {{1, 1}, {3, 1}, {3, 2}, {5, 1}, {1, 2}};
    struct fixture f;
    int variant = 0;
    open_device(&f, &(struct det_device_settings){0});
    for (size_t i = 0; i < sizeof ins / sizeof *ins; i++)
        for (size_t o = 0; o < sizeof outs / sizeof *outs; o++)
            for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++, variant++) {
                const int32_t n = variant % 2 == 0 ? 1 : 3;
                const struct det_conv_shape s = det_conv_same(
                    n, 3 + variant % 4, 5, ins[i], outs[o], kernels[k][0], kernels[k][1]);
                check(&f, &s, false, variant);
            }
    close_device(&f);
}

static void dense_ones(void **state)
{
    (void)state;
    check_dense_ones();
#ifdef DET_CUDA_EMU
    cuda_emu_integer_multiples(16); /* then all is padded to that */
    check_dense_ones();
    cuda_emu_integer_multiples(4);
#endif
}

static void depthwise_ones(void **state)
{
    (void)state;
    struct fixture f;
    int variant = 0;
    open_device(&f, &(struct det_device_settings){.precision = DET_PRECISION_INT8});
    for (int32_t c = 1; c <= 40; c += 1 + c / 8)
        for (int32_t kernel = 3; kernel <= 5; kernel += 2)
            for (int32_t stride = 1; stride <= 2; stride++) {
                const struct det_conv_shape s =
                    det_conv_same(1 + variant % 3, 5, 6, c, c, kernel, stride);
                check(&f, &s, true, variant++);
            }
    close_device(&f);
}

/* More sums, and more patches, than a pass holds: the last pass ends with the last row. */
static void several_passes(void **state)
{
    (void)state;
    struct fixture f;
    open_device(&f, &(struct det_device_settings){.deterministic = true});
    const struct det_conv_shape shapes[] = {det_conv_same(3, 37, 41, 4, 1000, 1, 1),
                                            det_conv_same(2, 37, 41, 700, 4, 3, 1),
                                            det_conv_same(1, 73, 67, 5, 901, 1, 1)};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct det_cuda_layout layout = {0};
        struct det_cuda_q8_conv conv;
        assert_ok(f.env,
                  det_cuda_q8_conv_create(f.env, f.device, &shapes[i], false, &layout, &conv));
        assert_true(conv.passes > 1 && conv.passes * conv.pass_rows >= (int64_t)shapes[i].n *
                                                                           shapes[i].out_h *
                                                                           shapes[i].out_w);
        det_cuda_q8_conv_destroy(&conv);
        check(&f, &shapes[i], false, (int)i * 3);
        check(&f, &shapes[i], false, (int)i * 4 + 3); /* with an addition */
    }
    close_device(&f);
}

#ifdef DET_CUDA_EMU

/* The sum of a problem's whole numbers is the same with every algorithm. */
static void algorithms_are_timed(void **state)
{
    (void)state;
    struct cuda_emu_algorithm offers[] = {{.microseconds = 50, .workspace_bytes = 4096},
                                          {.microseconds = 10, .workspace_bytes = 64}};
    struct fixture f;
    struct det_cuda_tuner tuner;
    open_device(&f, &(struct det_device_settings){0});
    cuda_emu_set_algorithms(offers, 2);
    const struct det_conv_shape shapes[] = {det_conv_same(1, 4, 4, 8, 12, 1, 1),
                                            det_conv_same(1, 4, 4, 3, 12, 3, 2)};
    void *flush = test_device_alloc(4096);
    assert_cuda(cudaDeviceSynchronize());
    assert_ok(f.env, det_cuda_tuner_open(f.env, f.device, flush, 4096, &tuner));
    for (int i = 0; i < 2; i++) {
        struct det_cuda_layout layout = {0};
        struct det_cuda_q8_conv conv;
        assert_ok(f.env,
                  det_cuda_q8_conv_create(f.env, f.device, &shapes[i], false, &layout, &conv));
        assert_int_equal(conv.product.count, 2);
        void *constants = test_device_alloc(layout.bytes);
        void *in = test_device_alloc(4 * 4 * 8),
             *workspace = test_device_alloc(conv.workspace_bytes);
        assert_cuda(cudaDeviceSynchronize());
        assert_ok(f.env, det_cuda_q8_conv_tune(f.env, &tuner, &conv, constants, in, workspace));
        assert_int_equal(conv.product.count, 1);
        assert_int_equal(conv.product.candidates[0].workspace_bytes, 64);
        det_cuda_q8_conv_destroy(&conv);
        test_device_free(constants);
        test_device_free(in);
        test_device_free(workspace);
        check(&f, &shapes[i], false, i);
    }
    assert_int_equal(tuner.others, 2);
    det_cuda_tuner_close(&tuner);
    test_device_free(flush);
    cuda_emu_set_algorithms(NULL, 0);
    close_device(&f);
}

static void a_gpu_that_cannot(void **state)
{
    (void)state;
    struct fixture f;
    struct det_cuda_layout layout = {0};
    struct det_cuda_q8_conv conv;
    open_device(&f, &(struct det_device_settings){0});
    const struct det_conv_shape s = det_conv_same(1, 4, 4, 8, 12, 1, 1);
    cuda_emu_integer_multiples(0);
    assert_fails(f.env, DET_STATUS_UNSUPPORTED,
                 "cublasLt has no algorithm for a product of 16 x 16 x 16 in 8 bits on",
                 det_cuda_q8_conv_create(f.env, f.device, &s, false, &layout, &conv));
    cuda_emu_integer_multiples(4);
    assert_non_null(strstr(f.env->error, "compute capability"));
    close_device(&f);
}

#endif

int test_cuda_q8_conv(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_ones),           cmocka_unit_test(depthwise_ones),
        cmocka_unit_test(several_passes),
#ifdef DET_CUDA_EMU
        cmocka_unit_test(algorithms_are_timed), cmocka_unit_test(a_gpu_that_cannot),
#endif
    };
    return cmocka_run_group_tests_name("cuda_q8_conv", tests, NULL, NULL);
}
