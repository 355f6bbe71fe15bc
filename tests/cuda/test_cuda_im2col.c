/* im2col against its definition, col2im against the gradient that it is: each patch's columns added
 * where they came from. */
#include <math.h>

#include "cuda/support/device.h"
#include "im2col.h"
#include "ops/ops.h"

/* The input that a column of a patch shows, -1 for padding and for columns beyond the kernel. */
static int64_t source(const struct det_conv_shape *s, int64_t patch, int32_t column)
{
    const int32_t tap = column / s->in_c, channel = column % s->in_c;
    const int64_t oy = patch / s->out_w % s->out_h, n = patch / s->out_w / s->out_h;
    const int64_t iy = oy * s->stride - s->pad_top + tap / s->kernel_w;
    const int64_t ix = patch % s->out_w * s->stride - s->pad_left + tap % s->kernel_w;
    if (tap >= s->kernel_h * s->kernel_w || iy < 0 || iy >= s->in_h || ix < 0 || ix >= s->in_w)
        return -1;
    return ((n * s->in_h + iy) * s->in_w + ix) * s->in_c + channel;
}

struct sizes {
    int32_t width;
    int64_t patches;
    size_t inputs, columns; /* elements */
};

static struct sizes sizes_of(enum detk_type type, const struct det_conv_shape *s)
{
    struct sizes z = {.width = detk_im2col_width(type, s),
                      .patches = (int64_t)s->n * s->out_h * s->out_w,
                      .inputs = (size_t)s->n * (size_t)s->in_h * (size_t)s->in_w * (size_t)s->in_c};
    z.columns = (size_t)z.patches * (size_t)z.width;
    return z;
}

/* Copies: equal to the bit, but a NaN is any NaN. */
static void check_im2col(enum detk_type type, const struct det_conv_shape *s, const float *in)
{
    const struct sizes z = sizes_of(type, s);
    float *got = test_values(type, z.columns, 2, 1);
    void *from = test_device_values(type, in, z.inputs);
    void *to = test_device_values(type, got, z.columns);
    assert_cuda(detk_im2col(0, type, s, from, to));
    test_device_read_values(type, got, to, z.columns);
    for (size_t i = 0; i < z.columns; i++) {
        const int64_t k = source(s, (int64_t)i / z.width, (int32_t)((int64_t)i % z.width));
        const float wanted = k < 0 ? 0 : in[k];
        if (isnan(wanted) ? !isnan(got[i]) : !(got[i] == wanted))
            fail_msg("type %d, %dx%d c %d kernel %d stride %d: patch %zu, column %zu is %g not %g",
                     type, s->in_h, s->in_w, s->in_c, s->kernel_h, s->stride, i / (size_t)z.width,
                     i % (size_t)z.width, (double)got[i], (double)wanted);
    }
    free(got);
    test_device_free(from);
    test_device_free(to);
}

static void check_col2im(enum detk_type type, const struct det_conv_shape *s, bool accumulate,
                         bool nan)
{
    const struct sizes z = sizes_of(type, s);
    float *columns = test_values(type, z.columns, 3, 1),
          *wanted = test_values(type, z.inputs, 4, 1);
    float *got = test_values(type, z.inputs, 5, 1);
    if (nan) {
        columns[z.columns / 2] = NAN;
        for (int64_t i = z.width - 1; i < (int64_t)z.columns; i += z.width) {
            if (source(s, i / z.width, z.width - 1) < 0)
                columns[i] = NAN;
        }
    }
    void *from = test_device_values(type, columns, z.columns);
    void *to = test_device_values(type, wanted, z.inputs);
    assert_cuda(detk_col2im(0, type, s, from, to, accumulate));
    test_device_read_values(type, got, to, z.inputs);
    for (size_t i = 0; i < z.inputs && !accumulate; i++)
        wanted[i] = 0;
    for (size_t i = 0; i < z.columns; i++) {
        const int64_t k = source(s, (int64_t)i / z.width, (int32_t)((int64_t)i % z.width));
        if (k >= 0)
            wanted[k] += columns[i];
    }
    for (size_t i = 0; i < z.inputs; i++) {
        if (!isnan(wanted[i]))
            continue;
        if (!isnan(got[i]))
            fail_msg("input %zu is %g, expected NaN", i, (double)got[i]);
        got[i] = wanted[i] = 0;
    }
    const double error = test_relative_l2(got, wanted, z.inputs);
    if (!(error <= test_bound(type)))
        fail_msg("type %d, %dx%d c %d kernel %d stride %d: %g", type, s->in_h, s->in_w, s->in_c,
                 s->kernel_h, s->stride, error);
    free(columns);
    free(wanted);
    free(got);
    test_device_free(from);
    test_device_free(to);
}

static void check(const struct det_conv_shape *s)
{
    for (int type = DETK_F32; type <= DETK_BF16; type++) {
        const struct sizes z = sizes_of(type, s);
        const int32_t used = s->kernel_h * s->kernel_w * s->in_c, unit = type == DETK_F32 ? 4 : 8;
        assert_true(z.width >= used && z.width < used + unit && z.width % unit == 0);
        float *in = test_values(type, z.inputs, 1, 1);
        check_im2col(type, s, in);
        free(in);
        check_col2im(type, s, false, false);
        check_col2im(type, s, true, false);
    }
}

static void check_same(int32_t n, int32_t h, int32_t w, int32_t c, int32_t kernel)
{
    for (int32_t stride = 1; stride <= 2; stride++) {
        const struct det_conv_shape s = det_conv_same(n, h, w, c, 5, kernel, stride);
        check(&s);
    }
}

static void test_channels(void **state)
{
    (void)state;
    static const int32_t channels[] = {1, 3, 4, 7, 8, 16, 24, 33, 96};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        check_same(2, 3, 5, channels[i], 3);
    check_same(1, 2, 2, 1036, 1); /* more than a block of vectors along the channels */
}

static void test_sizes(void **state)
{
    (void)state;
    static const int32_t sizes[] = {1, 2, 3, 6, 7};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
            check_same(1, sizes[i], sizes[k], 3, 3);
    }
    check_same(2, 19, 17, 3, 3); /* several blocks of pixels */
}

static void test_kernels(void **state)
{
    (void)state;
    for (int32_t kernel = 1; kernel <= 7; kernel += 2) {
        check_same(1, 6, 9, 8, kernel);
        check_same(1, 5, 4, 3, kernel);
    }
    struct det_conv_shape s = det_conv_same(1, 6, 7, 4, 5, 3, 2);
    s.kernel_w = 2; /* not square, and padded by more than SAME */
    s.pad_top = 2;
    s.pad_left = 3;
    s.out_h = s.out_w = 5;
    check(&s);
}

/* Through both; and columns that pad a row are no operand of the gradient. */
static void test_nan(void **state)
{
    (void)state;
    static const int32_t channels[] = {3, 8};
    for (int i = 0; i < 2; i++) {
        const struct det_conv_shape s = det_conv_same(1, 4, 5, channels[i], 5, 3, 1);
        for (int type = DETK_F32; type <= DETK_BF16; type++) {
            const struct sizes z = sizes_of(type, &s);
            float *in = test_values(type, z.inputs, 1, 1);
            in[z.inputs / 2] = NAN;
            check_im2col(type, &s, in);
            free(in);
            check_col2im(type, &s, true, true);
        }
    }
}

static void test_nothing(void **state)
{
    (void)state;
    const struct det_conv_shape s = det_conv_same(0, 4, 5, 3, 5, 3, 1);
    check(&s);
}

int test_cuda_im2col(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channels), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_kernels),  cmocka_unit_test(test_nan),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests_name("cuda_im2col", tests, NULL, NULL);
}
