/* kernels/q8.h and what is in 8 bits of kernels/im2col.h and kernels/preprocess.h: the whole
 * numbers of ops/q8.h, all of them. */
#include <math.h>

#include "cuda/support/device.h"
#include "cuda/support/whole_numbers.h"
#include "im2col.h"
#include "preprocess.h"
#include "q8.h"

static const struct det_exec one_thread = {0};

/* The kernels' constants of a layer, on the device: its bias is to hold what in_zero adds. */
struct constants {
    struct detk_q8_scaling scaling;
    int32_t *bias;
    void *device_bias, *device_scales;
};

/* `terms` of the weights [terms][out_c]. */
static struct constants upload(const struct det_q8_conv *q, int32_t terms, int32_t out_c)
{
    struct constants k = {.bias = malloc((size_t)out_c * sizeof *k.bias)};
    assert_non_null(k.bias);
    for (int32_t o = 0; o < out_c; o++) {
        k.bias[o] = q->bias[o];
        for (int32_t t = 0; t < terms; t++)
            k.bias[o] -= q->in_zero * q->weights[t * out_c + o];
    }
    k.device_bias = test_device_copy(k.bias, (size_t)out_c * sizeof *k.bias);
    k.device_scales = test_device_copy(q->scale, (size_t)out_c * sizeof *q->scale);
    k.scaling = (struct detk_q8_scaling){k.device_bias, k.device_scales, q->to};
    return k;
}

static void release(struct constants *k)
{
    free(k->bias);
    test_device_free(k->device_bias);
    test_device_free(k->device_scales);
}

/* --- sums to 8 bits --- */

enum addend { NOTHING, SAME, UPSAMPLED };

static void fill_sums(int32_t *sums, size_t count, enum whole_scales scales)
{
    for (size_t i = 0; i < count; i++)
        sums[i] = scales == WHOLE_EXTREME ? whole_draw(-(1 << 30), 1 << 30)
                                          : whole_draw(-200000, 200000) >> whole_draw(0, 8);
}

/* Sums beyond 24 bits, which no float32 holds, half way between two whole numbers: where they are
 * rounded, and how often, decides. */
static void fill_halves(int32_t *sums, size_t rows, int32_t pitch, int32_t c,
                        const struct whole_layer *l)
{
    for (size_t row = 0; row < rows; row++)
        for (int32_t o = 0; o < c; o++) {
            const double half = (double)whole_draw(-120, 120) + 0.5;
            const double sum = half / (double)l->scales[o] + (double)whole_draw(-2, 2);
            if (sum > -1e9 && sum < 1e9)
                sums[row * (size_t)pitch + (size_t)o] = (int32_t)sum - l->bias[o] / 2;
        }
}

/* Rows `first` and on of an [1, h, w, c] output; those before stay as they are. */
static void check_finish(int32_t h, int32_t w, int32_t c, int32_t pitch, int64_t first,
                         enum addend kind, enum whole_scales scales, bool halves)
{
    const size_t rows = (size_t)(h * w), count = rows * (size_t)c;
    const size_t own = rows - (size_t)first;
    const int32_t low_h = (h + 1) / 2, low_w = (w + 1) / 2;
    const size_t b_count = kind == UPSAMPLED ? (size_t)(low_h * low_w * c) : count;
    struct whole_layer l = whole_layer_make(1, c, scales);
    const struct det_q8_add add = whole_draw_add();
    int32_t *sums = malloc(own * (size_t)pitch * sizeof *sums);
    int8_t *before = whole_bytes(count, WHOLE_ANY), *got = whole_bytes(count, WHOLE_ANY);
    int8_t *want = malloc(count), *b = whole_bytes(b_count, WHOLE_ANY);
    assert_true(sums != NULL && want != NULL);
    fill_sums(sums, own * (size_t)pitch, scales);
    if (halves) {
        for (int32_t o = 0; o < c; o++)
            l.scales[o] = 1e-6f * (1 + (float)o / 100);
        fill_halves(sums, own, pitch, c, &l);
    }
    for (size_t i = 0; i < count; i++) {
        const size_t row = i / (size_t)c, channel = i % (size_t)c;
        want[i] = before[i];
        if (row >= (size_t)first)
            want[i] = det_q8_clamp(
                l.q.to.zero + det_q8_steps(sums[(row - (size_t)first) * (size_t)pitch + channel] +
                                               l.bias[channel] / 2,
                                           l.scales[channel]),
                l.q.to.low, l.q.to.high);
    }
    for (int32_t o = 0; o < c; o++)
        l.bias[o] /= 2; /* sums and bias stay within 32 bits together */
    const size_t at = (size_t)first * (size_t)c;
    if (kind == SAME)
        detk_q8_add__ref(&one_thread, (int64_t)(count - at), &add, want + at, b + at, want + at);
    for (size_t i = at; kind == UPSAMPLED && i < count; i++) {
        const size_t row = i / (size_t)c, y = row / (size_t)w / 2, x = row % (size_t)w / 2;
        detk_q8_add__ref(&one_thread, 1, &add, want + i,
                         b + (y * (size_t)low_w + x) * (size_t)c + i % (size_t)c, want + i);
    }
    struct constants k = upload(&l.q, 0, c);
    void *device_sums = test_device_copy(sums, own * (size_t)pitch * sizeof *sums);
    void *device_b = test_device_copy(b, b_count), *out = test_device_copy(before, count);
    const struct detk_q8_addend addend = {add, device_b, kind == UPSAMPLED, low_h, low_w, h, w};
    assert_cuda(detk_q8_finish(NULL, first, (int64_t)own, c, pitch, device_sums, &k.scaling,
                               kind == NOTHING ? NULL : &addend, out));
    test_device_read(got, out, count);
    char name[128];
    snprintf(name, sizeof name, "%d x %d x %d, pitch %d, from row %d, addend %d, scales %d", h, w,
             c, pitch, (int)first, kind, scales);
    whole_assert_equal(name, got, want, count);
    release(&k);
    test_device_free(device_sums);
    test_device_free(device_b);
    test_device_free(out);
    whole_layer_drop(&l);
    free(sums);
    free(before);
    free(got);
    free(want);
    free(b);
}

static void sums_become_8_bits(void **state)
{
    (void)state;
    static const int32_t channels[] = {1, 3, 4, 6, 12, 24, 31, 96, 260, 1040};
    static const int32_t sizes[][2] = {{1, 1}, {3, 5}, {7, 2}, {9, 9}};
    int variant = 0;
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++, variant++) {
            const int32_t c = channels[i], h = sizes[s][0], w = sizes[s][1];
            const int32_t pitch = (c + 3) / 4 * 4 + variant % 2 * 4;
            check_finish(h, w, c, pitch, variant % 3 * (h * w / 4), (enum addend)(variant / 2 % 3),
                         (enum whole_scales)(variant % WHOLE_KINDS), false);
        }
    for (int i = 0; i < 4; i++) /* each draws where zero and the ends are */
        check_finish(15, 17, 96, 96, 0, NOTHING, WHOLE_USUAL, true);
    struct detk_q8_scaling none = {0};
    assert_cuda(detk_q8_finish(NULL, 0, 0, 8, 8, NULL, &none, NULL, NULL));
}

/* --- depthwise --- */

static void check_depthwise(const struct det_conv_shape *s, int variant)
{
    const int32_t taps = s->kernel_h * s->kernel_w, c = s->in_c;
    const size_t in_count = (size_t)s->n * (size_t)(s->in_h * s->in_w * c);
    const size_t count = (size_t)s->n * (size_t)(s->out_h * s->out_w * c);
    struct whole_layer l = whole_layer_make(taps, c, (enum whole_scales)(variant % WHOLE_KINDS));
    int8_t *in = whole_bytes(in_count, (enum whole_filling)(variant / 3 % WHOLE_FILLINGS));
    int8_t *want = malloc(count), *got = malloc(count);
    uint8_t *packed = calloc((size_t)c, 12);
    assert_true(want != NULL && got != NULL && packed != NULL);
    for (int32_t t = 0; t < 9 && taps == 9; t++)
        for (int32_t o = 0; o < c; o++)
            packed[(t / 3 * c + o) * 4 + t % 3] = (uint8_t)l.weights[t * c + o];
    detk_q8_dwconv__ref(&one_thread, s, &l.q, in, want);
    struct constants k = upload(&l.q, taps, c);
    const bool words = detk_q8_dwconv_packed(s);
    void *weights = words ? test_device_copy(packed, (size_t)c * 12)
                          : test_device_copy(l.weights, (size_t)(taps * c));
    void *from = test_device_copy(in, in_count), *to = test_device_alloc(count);
    assert_cuda(detk_q8_dwconv(NULL, s, from, l.q.in_zero, weights, &k.scaling, to));
    test_device_read(got, to, count);
    char name[128];
    snprintf(name, sizeof name, "%d x %d x %d x %d, kernel %d, stride %d, variant %d", s->n,
             s->in_h, s->in_w, c, s->kernel_h, s->stride, variant);
    whole_assert_equal(name, got, want, count);
    release(&k);
    test_device_free(weights);
    test_device_free(from);
    test_device_free(to);
    whole_layer_drop(&l);
    free(packed);
    free(in);
    free(want);
    free(got);
}

static void depthwise_sums(void **state)
{
    (void)state;
    static const int32_t sizes[][3] = {{1, 1, 1}, {1, 2, 3}, {2, 3, 1}, {1, 5, 4},
                                       {3, 4, 5}, {1, 6, 6}, {2, 7, 9}, {1, 3, 17}};
    static const int32_t channels[] = {1, 3, 4, 8, 17, 24, 36, 132, 516};
    int variant = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof channels / sizeof *channels; k++)
            for (int32_t stride = 1; stride <= 2; stride++) {
                const struct det_conv_shape s = det_conv_same(sizes[i][0], sizes[i][1], sizes[i][2],
                                                              channels[k], channels[k], 3, stride);
                check_depthwise(&s, variant++);
            }
    for (int32_t kernel = 1; kernel <= 7; kernel += 2) {
        const struct det_conv_shape s = det_conv_same(2, 6, 5, 8, 8, kernel, 1 + kernel % 4 / 2);
        check_depthwise(&s, variant++);
    }
    const struct det_conv_shape none = det_conv_same(0, 4, 4, 8, 8, 3, 1);
    assert_cuda(detk_q8_dwconv(NULL, &none, NULL, 0, NULL, NULL, NULL));
}

/* --- additions --- */

/* Every pair of values. */
static void additions(void **state)
{
    (void)state;
    const size_t count = 256 * 256 - 3;
    int8_t *a = malloc(count), *b = malloc(count), *want = malloc(count), *got = malloc(count);
    assert_true(a != NULL && b != NULL && want != NULL && got != NULL);
    for (size_t i = 0; i < count; i++) {
        a[i] = (int8_t)(i % 256);
        b[i] = (int8_t)(i / 256);
    }
    for (int variant = 0; variant < 12; variant++) {
        const size_t some = variant < 6 ? count : (size_t)whole_draw(0, 40);
        const struct det_q8_add add = whole_draw_add();
        void *left = test_device_copy(a, some), *right = test_device_copy(b, some);
        detk_q8_add__ref(&one_thread, (int64_t)some, &add, a, b, want);
        assert_cuda(detk_q8_add(NULL, (int64_t)some, &add, left, right, left));
        test_device_read(got, left, some);
        whole_assert_equal("a sum", got, want, some);
        test_device_free(left);
        test_device_free(right);
    }
    free(a);
    free(b);
    free(want);
    free(got);
}

static void upsampled_additions(void **state)
{
    (void)state;
    static const int32_t sizes[][4] = {{1, 1, 1, 1}, {1, 2, 2, 3}, {2, 3, 3, 6}, {3, 5, 6, 9}};
    static const int32_t channels[] = {1, 4, 7, 24, 300};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof channels / sizeof *channels; k++) {
            const int32_t h = sizes[i][0], w = sizes[i][1], out_h = sizes[i][2];
            const int32_t out_w = sizes[i][3], c = channels[k], n = 1 + (int32_t)(i % 2) * 2;
            const size_t low_count = (size_t)(n * h * w * c);
            const size_t count = (size_t)(n * out_h * out_w * c);
            const struct det_q8_add add = whole_draw_add();
            int8_t *low = whole_bytes(low_count, WHOLE_ANY), *got = malloc(count);
            int8_t *lateral = whole_bytes(count, WHOLE_ANY), *want = malloc(count);
            assert_true(got != NULL && want != NULL);
            void *a = test_device_copy(low, low_count), *b = test_device_copy(lateral, count);
            detk_q8_upsample_add__ref(&one_thread, n, h, w, c, out_h, out_w, &add, low, lateral,
                                      want);
            assert_cuda(detk_q8_upsample_add(NULL, n, h, w, c, out_h, out_w, &add, a, b, b));
            test_device_read(got, b, count);
            whole_assert_equal("an upsampled sum", got, want, count);
            test_device_free(a);
            test_device_free(b);
            free(low);
            free(lateral);
            free(got);
            free(want);
        }
    assert_cuda(detk_q8_upsample_add(NULL, 0, 1, 1, 8, 2, 2, NULL, NULL, NULL, NULL));
}

/* --- from and to float32 --- */

/* At halves, at the ends, infinite and not a number. */
static void floats_are_narrowed_and_widened(void **state)
{
    (void)state;
    enum { VALUES = 1031 };
    static float from[VALUES], back[VALUES];
    static int8_t got[VALUES];
    for (int32_t zero = -128; zero <= 127; zero += 51) {
        const struct det_q8_tensor tensor = {zero == -26 ? 0.5f : 0.0371f, zero};
        const size_t count = zero == 25 ? 5 : VALUES;
        for (size_t i = 0; i < count; i++)
            from[i] = tensor.scale * (float)whole_draw(-700, 700) / 2;
        from[0] = NAN;
        from[1] = INFINITY;
        from[2] = -INFINITY;
        from[3] = 0.49999997f * 0.5f; /* below a half of steps of .5 */
        from[4] = -3e38f;
        void *floats = test_device_copy(from, count * sizeof *from);
        void *bytes = test_device_alloc(count);
        assert_cuda(detk_q8_narrow(NULL, (int64_t)count, tensor, floats, bytes));
        test_device_read(got, bytes, count);
        assert_cuda(detk_q8_widen(NULL, (int64_t)count, tensor, bytes, floats));
        test_device_read(back, floats, count * sizeof *back);
        for (size_t i = 0; i < count; i++) {
            const int8_t wanted = det_q8_of(from[i], tensor.scale, zero);
            if (got[i] != wanted)
                fail_msg("%.9g is %d, not %d", (double)from[i], got[i], wanted);
            assert_true(back[i] == det_q8_real(wanted, tensor.scale, zero));
        }
        test_device_free(floats);
        test_device_free(bytes);
    }
    assert_cuda(detk_q8_narrow(NULL, 0, (struct det_q8_tensor){1, 0}, NULL, NULL));
    assert_cuda(detk_q8_widen(NULL, 0, (struct det_q8_tensor){1, 0}, NULL, NULL));
}

/* --- patches --- */

static void check_patches(const struct det_conv_shape *s, int64_t first, int64_t rows,
                          int8_t outside)
{
    const int32_t width = detk_im2col_q8_width(s), used = s->kernel_h * s->kernel_w * s->in_c;
    const size_t inputs = (size_t)s->n * (size_t)(s->in_h * s->in_w * s->in_c);
    const size_t columns = (size_t)rows * (size_t)width;
    assert_true(width >= used && width < used + 16 && width % 16 == 0);
    int8_t *in = whole_bytes(inputs, WHOLE_ANY), *got = malloc(columns + 1);
    assert_non_null(got);
    void *from = test_device_copy(in, inputs), *to = test_device_alloc(columns);
    assert_cuda(detk_im2col_q8(NULL, s, first, rows, outside, from, to));
    test_device_read(got, to, columns);
    for (size_t i = 0; i < columns; i++) {
        const int32_t column = (int32_t)(i % (size_t)width), tap = column / s->in_c;
        const int64_t patch = first + (int64_t)(i / (size_t)width);
        const int64_t oy = patch / s->out_w % s->out_h, n = patch / s->out_w / s->out_h;
        const int64_t y = oy * s->stride - s->pad_top + tap / s->kernel_w;
        const int64_t x = patch % s->out_w * s->stride - s->pad_left + tap % s->kernel_w;
        const bool inside = y >= 0 && y < s->in_h && x >= 0 && x < s->in_w;
        if (column >= used)
            continue; /* meets weights of 0 */
        const int8_t wanted =
            inside ? in[((n * s->in_h + y) * s->in_w + x) * s->in_c + column % s->in_c] : outside;
        if (got[i] != wanted)
            fail_msg("channels %d, kernel %d: value %zu is %d, not %d", s->in_c, s->kernel_h, i,
                     got[i], wanted);
    }
    free(in);
    free(got);
    test_device_free(from);
    test_device_free(to);
}

static void patches(void **state)
{
    (void)state;
    static const int32_t channels[] = {1, 3, 6, 16, 24, 48, 320};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        for (int32_t kernel = 1; kernel <= 5; kernel += 2)
            for (int32_t stride = 1; stride <= 2; stride++) {
                const struct det_conv_shape s =
                    det_conv_same(3, 5, 4, channels[i], 5, kernel, stride);
                const int64_t rows = (int64_t)s.n * s.out_h * s.out_w;
                check_patches(&s, 0, rows, (int8_t)whole_draw(-128, 127));
                check_patches(&s, rows / 3, rows / 2, -128);
                check_patches(&s, 0, 0, 127);
            }
}

/* --- the network's input --- */

static void check_levels(const int8_t *got, const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (got[i] != (int8_t)(det_q8_grey_level(values[i]) - 128))
            fail_msg("value %zu, %.9g, is %d", i, (double)values[i], got[i]);
}

/* Against the same pixels in float32, which test_cuda_preprocess.c looks at. */
static void pictures_become_grey_levels(void **state)
{
    (void)state;
    static const int32_t sizes[][6] = {/* picture, frame, output */
                                       {5, 7, 5, 7, 5, 7},
                                       {9, 4, 13, 11, 13, 12},
                                       {40, 31, 8, 12, 9, 12},
                                       {3, 3, 6, 5, 8, 7}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int32_t *z = sizes[i];
        const size_t bytes = (size_t)(z[0] * z[1] * 3), count = (size_t)(z[4] * z[5] * 3);
        int8_t *pixels = whole_bytes(bytes, WHOLE_ANY), *got = malloc(count);
        float *wanted = malloc(count * sizeof *wanted);
        assert_true(got != NULL && wanted != NULL);
        void *memory = test_device_copy(pixels, bytes);
        const struct detk_image image = {memory, z[1] * 3, z[0], z[1], DETK_RGB8, z[2], z[3]};
        void *table = test_device_copy(&image, sizeof image);
        void *floats = test_device_alloc(count * sizeof *wanted),
             *levels = test_device_alloc(count);
        assert_cuda(detk_preprocess(NULL, DETK_F32, table, 1, z[4], z[5], floats));
        assert_cuda(detk_preprocess_q8(NULL, table, 1, z[4], z[5], levels));
        test_device_read(wanted, floats, count * sizeof *wanted);
        test_device_read(got, levels, count);
        check_levels(got, wanted, count);
        test_device_free(memory);
        test_device_free(table);
        test_device_free(floats);
        test_device_free(levels);
        free(pixels);
        free(got);
        free(wanted);
    }
    assert_cuda(detk_preprocess_q8(NULL, NULL, 0, 4, 4, NULL));
}

/* Levels at halves, outside of 0 .. 255, and not a number. */
static void images_become_grey_levels(void **state)
{
    (void)state;
    static const int32_t sizes[][4] = {{4, 4, 4, 4}, {3, 5, 4, 7}, {6, 8, 8, 8}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int32_t n = 2, h = sizes[i][0], w = sizes[i][1], out_h = sizes[i][2];
        const int32_t out_w = sizes[i][3];
        const size_t inputs = (size_t)(n * h * w * 3), count = (size_t)(n * out_h * out_w * 3);
        float *images = malloc(inputs * sizeof *images), *wanted = malloc(count * sizeof *wanted);
        int8_t *got = malloc(count);
        assert_true(images != NULL && wanted != NULL && got != NULL);
        for (size_t k = 0; k < inputs; k++)
            images[k] = (float)whole_draw(-20, 530) / 2;
        images[7] = NAN;
        images[11] = INFINITY;
        void *from = test_device_copy(images, inputs * sizeof *images);
        void *floats = test_device_alloc(count * sizeof *wanted),
             *levels = test_device_alloc(count);
        assert_cuda(detk_normalize(NULL, DETK_F32, from, n, h, w, out_h, out_w, floats));
        assert_cuda(detk_normalize_q8(NULL, from, n, h, w, out_h, out_w, levels));
        test_device_read(wanted, floats, count * sizeof *wanted);
        test_device_read(got, levels, count);
        check_levels(got, wanted, count);
        test_device_free(from);
        test_device_free(floats);
        test_device_free(levels);
        free(images);
        free(wanted);
        free(got);
    }
    assert_cuda(detk_normalize_q8(NULL, NULL, 0, 4, 4, 4, 4, NULL));
}

int test_cuda_q8(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_become_8_bits),
        cmocka_unit_test(depthwise_sums),
        cmocka_unit_test(additions),
        cmocka_unit_test(upsampled_additions),
        cmocka_unit_test(floats_are_narrowed_and_widened),
        cmocka_unit_test(patches),
        cmocka_unit_test(pictures_become_grey_levels),
        cmocka_unit_test(images_become_grey_levels),
    };
    return cmocka_run_group_tests_name("cuda_q8", tests, NULL, NULL);
}
