/* The weights' gradient by one pass over both operands against the reference: of a product, and of
 * an image's patches. */
#include <math.h>

#include "cuda/support/device.h"
#include "ops/ref/ref_ops.h"
#include "weight_gradient.h"
#ifdef DET_CUDA_EMU
#include "cuda_emu_counts.h"
#endif

/* One gradient: `in` [rows][stride], or an image. */
struct problem {
    enum detk_type type;
    struct det_conv_shape shape; /* 1x1 for a product of n * out_h * out_w rows */
    int32_t stride;              /* of a product; 0: the image's */
};

static struct problem product_of(enum detk_type type, int32_t rows, int32_t k, int32_t n,
                                 int32_t stride)
{
    return (struct problem){type, det_conv_same(1, 1, rows, k, n, 1, 1), stride};
}

static struct problem image_of(enum detk_type type, int32_t n, int32_t h, int32_t w, int32_t out_c,
                               int32_t stride)
{
    return (struct problem){type, det_conv_same(n, h, w, 3, out_c, 3, stride), 0};
}

static size_t in_rows(const struct problem *p)
{
    return (size_t)p->shape.n * (size_t)p->shape.in_h * (size_t)p->shape.in_w;
}
static size_t outputs_of(const struct problem *p)
{
    return (size_t)p->shape.n * (size_t)p->shape.out_h * (size_t)p->shape.out_w *
           (size_t)p->shape.out_c;
}
static size_t weights_of(const struct problem *p)
{
    return (size_t)p->shape.kernel_h * (size_t)p->shape.kernel_w * (size_t)p->shape.in_c *
           (size_t)p->shape.out_c;
}

/* On the device; what lies between rows of `in` is NaN, and is no operand. */
static void compute(const struct problem *p, const float *in, const float *dout, float *dw,
                    bool accumulate)
{
    const struct det_conv_shape *s = &p->shape;
    const size_t rows = in_rows(p), k = (size_t)s->in_c, bytes = weights_of(p) * sizeof *dw;
    const size_t stride = p->stride > 0 ? (size_t)p->stride : k;
    float *spread = malloc((rows * stride + 1) * sizeof *spread);
    assert_non_null(spread);
    for (size_t i = 0; i < rows * stride; i++)
        spread[i] = i % stride < k ? in[i / stride * k + i % stride] : NAN;
    void *device_in = test_device_values(p->type, spread, rows * stride);
    void *device_dout = test_device_values(p->type, dout, outputs_of(p));
    float *device_dw = test_device_copy(dw, bytes);
    void *workspace = test_device_alloc(
        p->stride > 0 ? detk_weight_gradient_workspace((int64_t)rows, s->in_c, s->out_c)
                      : detk_image_weight_gradient_workspace(s));
    assert_cuda(p->stride > 0
                    ? detk_weight_gradient(0, p->type, (int64_t)rows, s->in_c, s->out_c, device_in,
                                           p->stride, device_dout, device_dw, accumulate, workspace)
                    : detk_image_weight_gradient(0, p->type, s, device_in, device_dout, device_dw,
                                                 accumulate, workspace));
    test_device_read(dw, device_dw, bytes);
    test_device_free(device_in);
    test_device_free(device_dout);
    test_device_free(device_dw);
    test_device_free(workspace);
    free(spread);
}

static void check_with(const struct problem *p, float *in, float *dout, bool accumulate)
{
    const struct det_conv_shape *s = &p->shape;
    const struct det_exec exec = {0};
    const size_t weights = weights_of(p);
    float *got = test_values(DETK_F32, weights, 3, 1),
          *wanted = test_values(DETK_F32, weights, 3, 1);
    detk_conv_backward_weight__ref(&exec, s, in, dout, wanted, accumulate);
    compute(p, in, dout, got, accumulate);
    for (size_t i = 0; i < weights; i++) {
        if (isnan(wanted[i]) != isnan(got[i]))
            fail_msg("weight %zu is %g, expected %g", i, (double)got[i], (double)wanted[i]);
        if (isnan(wanted[i]))
            got[i] = wanted[i] = 0;
    }
    const double error = test_relative_l2(got, wanted, weights);
    if (!(error <= TEST_BOUND_F32))
        fail_msg("type %d, n %d in %dx%dx%d (row of %d) out %dx%dx%d stride %d: %g", p->type, s->n,
                 s->in_h, s->in_w, s->in_c, p->stride, s->out_h, s->out_w, s->out_c, s->stride,
                 error);
    free(got);
    free(wanted);
}

static void check(const struct problem *p)
{
    float *in = test_values(p->type, in_rows(p) * (size_t)p->shape.in_c, 1, 1);
    float *dout = test_values(p->type, outputs_of(p), 2, 1);
    check_with(p, in, dout, false);
    check_with(p, in, dout, true);
    free(in);
    free(dout);
}

/* In bf16, too, where rows are whole vectors of it. */
static void check_product(int32_t rows, int32_t k, int32_t n, int32_t stride)
{
    for (int type = DETK_F32; type <= ((n | stride) % 8 == 0 ? DETK_BF16 : DETK_F32); type++) {
        const struct problem p = product_of((enum detk_type)type, rows, k, n, stride);
        check(&p);
    }
}

static int32_t whole_vectors(int32_t count)
{
    return (count + 7) / 8 * 8;
}

/* Below, at and above a tile, on both sides. */
static void test_matrices(void **state)
{
    (void)state;
    static const int32_t heights[] = {1, 3, 4, 7, 8, 9, 12, 16, 17, 24, 33},
                         widths[] = {4, 8, 12, 16, 24, 36, 40};
    for (size_t i = 0; i < sizeof heights / sizeof *heights; i++)
        for (size_t j = 0; j < sizeof widths / sizeof *widths; j++)
            check_product(67, heights[i], widths[j], whole_vectors(heights[i]));
    check_product(67, 4, 12, 4);
    check_product(67, 12, 4, 12);
    check_product(37, 144, 192, 144); /* more tiles than a block has threads */
    check_product(9, 4, 2056, 8);
}

/* One row, fewer than a block's threads, one more than a thread goes over at once, several
 * strips. */
static void test_rows(void **state)
{
    (void)state;
    static const int32_t rows[] = {1, 2, 63, 64, 65, 255, 256, 257, 513, 5001};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_product(rows[i], 8, 8, 8);
        check_product(rows[i], 27, 32, 32);
    }
    check_product(20011, 5, 8, 8);
    check_product(50021, 1, 8, 8);
}

/* Rows of `in` that are longer than k. */
static void test_strides(void **state)
{
    (void)state;
    static const int32_t sizes[][3] = {{27, 32, 28}, {27, 32, 32}, {27, 32, 40}, {25, 12, 28},
                                       {1, 8, 8},    {12, 12, 16}, {9, 16, 24}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_product(301, sizes[i][0], sizes[i][1], sizes[i][2]);
}

static void check_image(int32_t n, int32_t h, int32_t w, int32_t out_c, int32_t stride)
{
    for (int type = DETK_F32; type <= (out_c % 8 == 0 ? DETK_BF16 : DETK_F32); type++) {
        const struct problem p = image_of((enum detk_type)type, n, h, w, out_c, stride);
        check(&p);
    }
}

static void test_images(void **state)
{
    (void)state;
    static const int32_t sizes[] = {1, 2, 3, 6, 7}, channels[] = {4, 8, 12, 16, 32, 36, 40};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++)
            for (int32_t stride = 1; stride <= 2; stride++)
                check_image(2, sizes[i], sizes[j], 8, stride);
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        check_image(1, 10, 12, channels[i], 2);
    check_image(3, 4, 150, 32, 2); /* more pixels in a row than a block goes over at once */
    for (int32_t stride = 1; stride <= 2;
         stride++) /* the last of three pixels at once is at the edge */
        check_image(1, 4, 88 * stride, 32, stride);
    check_image(1, 700, 3, 8, 2); /* strips of several rows */
    check_image(1, 3, 5, 520, 1); /* more tiles than a block has threads */
    struct problem p = image_of(DETK_F32, 2, 6, 7, 8, 3);
    p.shape.pad_top = 2; /* more than SAME has */
    p.shape.pad_left = 3;
    p.shape.out_h = p.shape.out_w = 4;
    check(&p);
}

/* A NaN is in the sums that it takes part in, and in no others: not in those of a pixel whose tap
 * is padding, of columns beside. */
static void test_nan(void **state)
{
    (void)state;
    for (int type = DETK_F32; type <= DETK_BF16; type++) {
        const struct problem problems[] = {
            product_of((enum detk_type)type, 70, 9, type == DETK_F32 ? 12 : 24, 16),
            product_of((enum detk_type)type, 70, 8, 16, 8),
            image_of((enum detk_type)type, 1, 4, 6, type == DETK_F32 ? 12 : 16, 1),
        };
        for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
            const struct problem *p = &problems[i];
            const size_t inputs = in_rows(p) * (size_t)p->shape.in_c, outputs = outputs_of(p);
            for (int at = 0; at < 4; at++) {
                float *in = test_values(p->type, inputs, 1, 1);
                float *dout = test_values(p->type, outputs, 2, 1);
                float *const where[] = {&in[0], &in[inputs - 1], &dout[1], &dout[outputs - 2]};
                in[0] = 0; /* times NaN is NaN */
                *where[at] = NAN;
                check_with(p, in, dout, false);
                free(in);
                free(dout);
            }
        }
    }
}

/* The same bits each time, under any schedule. */
static void test_repeats(void **state)
{
    (void)state;
    const struct problem problems[] = {product_of(DETK_BF16, 9001, 27, 32, 32),
                                       image_of(DETK_F32, 2, 60, 60, 32, 2)};
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        const struct problem *p = &problems[i];
        float *in = test_values(p->type, in_rows(p) * (size_t)p->shape.in_c, 1, 1);
        float *dout = test_values(p->type, outputs_of(p), 2, 1);
        float *first = test_values(DETK_F32, weights_of(p), 3, 1);
        float *again = test_values(DETK_F32, weights_of(p), 4, 1);
        compute(p, in, dout, first, false);
#ifdef DET_CUDA_EMU
        cuda_emu_set_schedule("random:7");
#endif
        compute(p, in, dout, again, false);
#ifdef DET_CUDA_EMU
        cuda_emu_set_schedule(getenv("DET_EMU_SCHEDULE"));
#endif
        assert_memory_equal(first, again, weights_of(p) * sizeof *first);
        free(in);
        free(dout);
        free(first);
        free(again);
    }
}

static void test_nothing(void **state)
{
    (void)state;
    check_product(0, 5, 8, 8);
    check_image(0, 4, 5, 8, 2);
}

int test_cuda_weight_gradient(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matrices), cmocka_unit_test(test_rows),
        cmocka_unit_test(test_strides),  cmocka_unit_test(test_images),
        cmocka_unit_test(test_nan),      cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests_name("cuda_weight_gradient", tests, NULL, NULL);
}
