/* Arrays of more than 2^31 elements: each index is computed in 64 bits. Device memory of the
 * emulation takes no room where nobody writes, and of each grid only the first and the last blocks
 * run: what they read and write must lie in the arrays, and be right. */
#ifdef DET_CUDA_EMU

#include <math.h>

#include "bias_act.h"
#include "bn.h"
#include "cuda/support/device.h"
#include "cuda_emu_counts.h"
#include "dwconv.h"
#include "elementwise.h"
#include "im2col.h"
#include "losses.h"
#include "ops/q8.h"
#include "postprocess.h"
#include "preprocess.h"
#include "q8.h"
#include "weight_gradient.h"

enum { EDGE_BLOCKS = 2 };
/* Not a multiple of anything. */
static const int64_t many = ((int64_t)1 << 31) + 4099;

static void begin(void)
{
    cuda_emu_set_memory((size_t)1 << 42);
    cuda_emu_set_edge_blocks(EDGE_BLOCKS);
}

static void end(void)
{
    cuda_emu_set_edge_blocks(0);
    cuda_emu_set_memory(0);
}

static size_t bytes_of(enum detk_type type)
{
    return type == DETK_F32 ? 4 : 2;
}

/* `count` zeros of the type, of which the host may look at single ones. */
static void *zeros(enum detk_type type, int64_t count)
{
    void *device = NULL;
    assert_cuda(cudaMalloc(&device, (size_t)count * bytes_of(type)));
    return device;
}

/* The bits of a value that bf16 can hold. */
static void set(enum detk_type type, void *device, int64_t at, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (type == DETK_F32)
        ((float *)device)[at] = value;
    else
        ((uint16_t *)device)[at] = (uint16_t)(bits >> 16);
}

static float get(enum detk_type type, const void *device, int64_t at)
{
    if (type == DETK_F32)
        return ((const float *)device)[at];
    const uint32_t bits = (uint32_t)((const uint16_t *)device)[at] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The value nearest to the end that is not zero: of a kernel that goes over an array in rounds of
 * fewer than 2^24 elements, of which an edge block has some in each. */
static float last_written(enum detk_type type, const void *device, int64_t count)
{
    for (int64_t at = count - 1; at >= count - (1 << 24); at--)
        if (get(type, device, at) != 0)
            return get(type, device, at);
    return 0;
}

static float *ones(int32_t c)
{
    float *host = malloc((size_t)c * sizeof *host);
    assert_non_null(host);
    for (int32_t i = 0; i < c; i++)
        host[i] = 1;
    float *device = test_device_copy(host, (size_t)c * sizeof *host);
    free(host);
    return device;
}

static void elementwise(void **state)
{
    (void)state;
    begin();
    for (int type = DETK_F32; type <= DETK_BF16; type++) {
        const enum detk_type t = (enum detk_type)type;
        void *a = zeros(t, many), *b = zeros(t, many), *out = zeros(t, many);
        int32_t *flag = test_device_alloc(sizeof *flag);
        *flag = 1;
        set(t, a, 0, 1);
        set(t, a, many - 1, 2);
        set(t, b, many - 1, 3);
        assert_cuda(detk_add(0, t, many, a, b, out));
        assert_near(get(t, out, 0), 1, 0);
        assert_near(get(t, out, many - 1), 5, 0);
        assert_cuda(detk_check_finite(0, t, many, a, flag));
        assert_int_equal(*flag, 1);
        set(t, a, many - 1, INFINITY);
        assert_cuda(detk_check_finite(0, t, many, a, flag));
        assert_int_equal(*flag, 0);
        test_device_free(a);
        test_device_free(b);
        test_device_free(out);
        test_device_free(flag);
    }
    void *wide = zeros(DETK_F32, many), *narrow = zeros(DETK_BF16, many);
    set(DETK_F32, wide, many - 1, 7);
    assert_cuda(detk_cast_to_bf16(0, many, wide, narrow));
    assert_near(get(DETK_BF16, narrow, many - 1), 7, 0);
    set(DETK_F32, wide, many - 1, 0);
    assert_cuda(detk_cast_to_f32(0, many, narrow, wide));
    assert_near(get(DETK_F32, wide, many - 1), 7, 0);
    test_device_free(wide);
    test_device_free(narrow);
    end();
}

static void upsampling(void **state)
{
    (void)state;
    enum { N = 9, SIDE = 1100, C = 64 };
    const int64_t low_count = (int64_t)N * SIDE * SIDE * C, count = 4 * low_count;
    assert_true(count > many);
    begin();
    for (int type = DETK_F32; type <= DETK_BF16; type++) {
        const enum detk_type t = (enum detk_type)type;
        void *low = zeros(t, low_count), *lateral = zeros(t, count), *out = zeros(t, count);
        set(t, low, low_count - 1, 1);
        set(t, lateral, count - 1, 2);
        assert_cuda(
            detk_upsample_add(0, t, N, SIDE, SIDE, C, 2 * SIDE, 2 * SIDE, low, lateral, out));
        assert_near(get(t, out, count - 1), 3, 0);
        assert_cuda(
            detk_upsample_backward(0, t, N, SIDE, SIDE, C, 2 * SIDE, 2 * SIDE, out, low, false));
        assert_true(get(t, low, low_count - 1) >= 3);
        test_device_free(low);
        test_device_free(lateral);
        test_device_free(out);
    }
    end();
}

static void normalisation(void **state)
{
    (void)state;
    static const int32_t channels[] = {96, 33};
    begin();
    for (int type = DETK_F32; type <= DETK_BF16; type++)
        for (int i = 0; i < 2; i++) {
            const enum detk_type t = (enum detk_type)type;
            const int32_t c = channels[i];
            const int64_t rows = many / c + 1, count = rows * c;
            void *in = zeros(t, count), *out = zeros(t, count);
            float *one = ones(c), *a = test_device_alloc((size_t)c * sizeof *a);
            float *b = test_device_alloc((size_t)c * sizeof *b);
            void *workspace = zeros(DETK_BF16, (int64_t)detk_bn_workspace(rows, c) / 2);
            assert_cuda(detk_bias_act(0, t, rows, c, one, DET_ACTIVATION_RELU6, in));
            assert_near(last_written(t, in, count), 1, 0);
            set(t, in, count - 1, 4);
            /* gamma, beta, mean and variance 1: the value itself */
            assert_cuda(
                detk_bn_apply(0, t, rows, c, in, one, one, one, one, 0, DET_ACTIVATION_NONE, out));
            assert_near(get(t, out, count - 1), 4, 0);
            assert_cuda(detk_bn_statistics(0, t, rows, c, in, a, b, workspace));
            assert_cuda(detk_bias_backward(0, t, rows, c, in, a, false, workspace));
            assert_true(a[c - 1] >= 4);
            assert_cuda(detk_bn_backward(0, t, rows, c, in, out, one, one, one, one, 0,
                                         DET_ACTIVATION_RELU6, out, false, a, b, workspace));
            test_device_free(in);
            test_device_free(out);
            test_device_free(one);
            test_device_free(a);
            test_device_free(b);
            test_device_free(workspace);
        }
    end();
}

/* Depthwise: the last pixel by the tap in the middle. */
static void depthwise(void **state)
{
    (void)state;
    static const int32_t kernels[] = {3, 3, 5, 3, 3}, strides[] = {1, 2, 1, 1, 2};
    /* 3x3 of 48: strips of rows; with stride 2 a thread for each row, and so many images that the
     * outputs are as many. */
    static const int32_t channels[] = {48, 48, 48, 47, 47}, images[] = {32, 128, 32, 32, 32};
    const struct detk_load plain = {.kind = DETK_LOAD_PLAIN};
    begin();
    for (int type = DETK_F32; type <= DETK_BF16; type++)
        for (int i = 0; i < 5; i++) {
            const enum detk_type t = (enum detk_type)type;
            const int32_t side = 1201, c = channels[i], n = images[i],
                          taps = kernels[i] * kernels[i];
            const struct det_conv_shape s =
                det_conv_same(n, side, side, c, c, kernels[i], strides[i]);
            const int64_t inputs = (int64_t)n * side * side * c;
            const int64_t outputs = (int64_t)n * s.out_h * s.out_w * c;
            assert_true(inputs > many);
            void *in = zeros(t, inputs), *out = zeros(t, outputs);
            float *w = ones(taps * c), *dw = test_device_alloc((size_t)(taps * c) * sizeof *dw);
            void *workspace = test_device_alloc(detk_dwconv_backward_weight_workspace(t, &s));
            set(t, in, 0, 2);
            set(t, in, inputs - 1, 3);
            assert_cuda(
                detk_dwconv_forward(0, t, &s, in, &plain, w, NULL, DET_ACTIVATION_NONE, out));
            assert_near(get(t, out, 0), 2, 0);
            assert_near(get(t, out, outputs - 1), 3, 0);
            assert_cuda(
                detk_dwconv_backward_weight(0, t, &s, in, &plain, out, dw, false, workspace));
            set(t, in, inputs - 1, 0);
            assert_cuda(detk_dwconv_backward_data(0, t, &s, out, w, in, false));
            assert_true(get(t, in, inputs - 1) >= 3);
            test_device_free(in);
            test_device_free(out);
            test_device_free(w);
            test_device_free(dw);
            test_device_free(workspace);
        }
    end();
}

static void columns(void **state)
{
    (void)state;
    const struct det_conv_shape s = det_conv_same(128, 640, 640, 8, 16, 3, 1);
    begin();
    for (int type = DETK_F32; type <= DETK_BF16; type++) {
        const enum detk_type t = (enum detk_type)type;
        const int32_t width = detk_im2col_width(t, &s);
        const int64_t inputs = (int64_t)s.n * s.in_h * s.in_w * s.in_c;
        const int64_t rows = (int64_t)s.n * s.out_h * s.out_w, count = rows * width;
        assert_true(count > many);
        void *in = zeros(t, inputs), *to = zeros(t, count);
        set(t, in, inputs - 1, 5);
        assert_cuda(detk_im2col(0, t, &s, in, to));
        /* The last input is the last of the middle tap's channels in the last row. */
        assert_near(get(t, to, (rows - 1) * width + 4 * s.in_c + s.in_c - 1), 5, 0);
        set(t, in, inputs - 1, 0);
        assert_cuda(detk_col2im(0, t, &s, to, in, false));
        assert_true(get(t, in, inputs - 1) >= 5);
        test_device_free(in);
        test_device_free(to);
    }
    end();
}

/* The first and the last row, or pixel, have a product each, by which the first and the last weight
 * are known. */
static void weight_gradients(void **state)
{
    (void)state;
    /* So that the last strip begins beyond 2^31. */
    const int32_t rows_of_products = (int32_t)(many / 256 / 64 * 65);
    struct det_conv_shape products[] = {
        det_conv_same(1, 1, rows_of_products, 256, 8, 1, 1),
        det_conv_same(1, 1, rows_of_products, 8, 256, 1, 1),
        det_conv_same(1800, 640, 640, 3, 16, 3, 2),
    };
    products[2].in_h = products[2].in_w = 641; /* the last pixel is under the last tap */
    begin();
    for (int type = DETK_F32; type <= DETK_BF16; type++)
        for (int i = 0; i < 3; i++) {
            const enum detk_type t = (enum detk_type)type;
            const struct det_conv_shape *s = &products[i];
            const bool image = s->kernel_h > 1;
            const int64_t inputs = (int64_t)s->n * s->in_h * s->in_w * s->in_c;
            const int64_t rows = (int64_t)s->n * s->out_h * s->out_w, outputs = rows * s->out_c;
            const int32_t count = s->kernel_h * s->kernel_w * s->in_c * s->out_c;
            assert_true(inputs > many || outputs > many);
            void *in = zeros(t, inputs), *dout = zeros(t, outputs);
            float *dw = zeros(DETK_F32, count);
            void *workspace =
                zeros(DETK_BF16,
                      (int64_t)(image ? detk_image_weight_gradient_workspace(s)
                                      : detk_weight_gradient_workspace(rows, s->in_c, s->out_c)) /
                          2);
            set(t, in, 0, 2);
            set(t, dout, 0, 5);
            set(t, in, inputs - 1, 3);
            set(t, dout, outputs - 1, 7);
            assert_cuda(image ? detk_image_weight_gradient(0, t, s, in, dout, dw, false, workspace)
                              : detk_weight_gradient(0, t, rows, s->in_c, s->out_c, in, s->in_c,
                                                     dout, dw, false, workspace));
            assert_near(dw[0], 2 * 5, 0);
            assert_near(dw[count - 1], 3 * 7, 0);
            test_device_free(in);
            test_device_free(dout);
            test_device_free(dw);
            test_device_free(workspace);
        }
    end();
}

/* Outputs of very many images with very many classes. */
static void outputs(void **state)
{
    (void)state;
    enum { N = 512, ANCHORS = 51150, CLASSES = 90, WIDTH = CLASSES + 1 };
    const int64_t of_image = (int64_t)ANCHORS * WIDTH, count = N * of_image;
    assert_true(count > many);
    begin();
    for (int type = DETK_F32; type <= DETK_BF16; type++) {
        const enum detk_type t = (enum detk_type)type;
        struct detk_levels levels = {
            .levels = 1, .n = N, .anchors = ANCHORS, .width = WIDTH, .values = {of_image}};
        float *flat = zeros(DETK_F32, count);
        if (t == DETK_F32) {
            levels.tensor[0] = zeros(t, count);
            set(t, levels.tensor[0], count - 1, 5);
            assert_cuda(detk_gather_levels(0, &levels, flat));
            assert_near(flat[count - 1], 5, 0);
            test_device_free(levels.tensor[0]);
        }
        levels.tensor[0] = zeros(t, count);
        flat[count - 1] = 6;
        assert_cuda(detk_scatter_levels(0, t, &levels, flat));
        assert_near(get(t, levels.tensor[0], count - 1), 6, 0);
        test_device_free(levels.tensor[0]);
        test_device_free(flat);
    }
    end();
}

static void detections(void **state)
{
    (void)state;
    enum { N = 512, ANCHORS = 51150, CLASSES = 90 };
    struct det_postprocess_settings settings;
    det_postprocess_settings_default(&settings);
    settings.score_threshold = 0.9f;
    begin();
    const size_t most = (size_t)N * (size_t)settings.max_total_detections;
    float *logits = zeros(DETK_F32, (int64_t)N * ANCHORS * (CLASSES + 1));
    float *encodings = zeros(DETK_F32, (int64_t)N * ANCHORS * 4);
    float(*anchors)[4] = zeros(DETK_F32, (int64_t)ANCHORS * 4);
    float(*windows)[4] = zeros(DETK_F32, (int64_t)N * 4);
    const struct detk_detections found = {
        .count = test_device_alloc(N * sizeof(int32_t)),
        .boxes = test_device_alloc(most * 4 * sizeof(float)),
        .class_index = test_device_alloc(most * sizeof(int32_t)),
        .score = test_device_alloc(most * sizeof(float)),
        .anchor = test_device_alloc(most * sizeof(int32_t)),
        .finite = test_device_alloc(N * sizeof(int32_t)),
    };
    void *workspace = NULL;
    assert_cuda(cudaMalloc(&workspace, detk_postprocess_workspace(&settings, N, ANCHORS, CLASSES)));
    const float box[] = {.25f, .25f, .5f, .5f}, whole[] = {0, 0, 1, 1};
    memcpy(anchors[ANCHORS - 1], box, sizeof box);
    memcpy(windows[N - 1], whole, sizeof whole);
    logits[(int64_t)N * ANCHORS * (CLASSES + 1) - 1] = 5;
    assert_cuda(detk_postprocess(0, &settings, (const float(*)[4])anchors, N, ANCHORS, CLASSES,
                                 logits, encodings, (const float(*)[4])windows, &found, workspace));
    const size_t first = (size_t)(N - 1) * (size_t)settings.max_total_detections;
    assert_int_equal(found.count[N - 1], 1);
    assert_int_equal(found.anchor[first], ANCHORS - 1);
    assert_int_equal(found.class_index[first], CLASSES - 1);
    assert_near(found.boxes[first][2], .5, 1e-6);
    void *const device[] = {logits,       encodings,    anchors,           windows,
                            found.count,  found.boxes,  found.class_index, found.score,
                            found.anchor, found.finite, workspace};
    for (size_t i = 0; i < sizeof device / sizeof *device; i++)
        test_device_free(device[i]);
    end();
}

static void pixels(void **state)
{
    (void)state;
    enum { N = 1800, SIDE = 640 };
    const int64_t count = (int64_t)N * SIDE * SIDE * 3;
    assert_true(count > many);
    begin();
    for (int type = DETK_F32; type <= DETK_BF16; type++) {
        const enum detk_type t = (enum detk_type)type;
        float *images = zeros(DETK_F32, count);
        void *out = zeros(t, count);
        images[count - 1] = 255;
        assert_cuda(detk_normalize(0, t, images, N, SIDE, SIDE, SIDE, SIDE, out));
        assert_near(get(t, out, count - 1), 1, 0);
        test_device_free(images);
        test_device_free(out);
    }
    end();
}

static int8_t *bytes(int64_t count)
{
    void *device = NULL;
    assert_cuda(cudaMalloc(&device, (size_t)count));
    return device;
}

/* A scale that keeps whole numbers as they are, for `c` channels. */
static struct detk_q8_scaling keeping(int32_t c)
{
    float *scales = malloc((size_t)c * sizeof *scales);
    assert_non_null(scales);
    for (int32_t i = 0; i < c; i++)
        scales[i] = 1;
    const struct detk_q8_scaling scaling = {
        .bias = zeros(DETK_F32, c),
        .scales = test_device_copy(scales, (size_t)c * sizeof *scales),
        .to = {0, -128, 127}};
    free(scales);
    return scaling;
}

static void release(const struct detk_q8_scaling *scaling)
{
    test_device_free((void *)(uintptr_t)scaling->bias);
    test_device_free((void *)(uintptr_t)scaling->scales);
}

static void eight_bits(void **state)
{
    (void)state;
    const struct det_q8_target to = {0, -128, 127};
    const struct det_q8_add add = det_q8_add_of(1, 0, 1, 0, 1, to);
    const struct det_q8_tensor one = {1, 0};
    begin();
    int8_t *a = bytes(many), *b = bytes(many), *out = bytes(many);
    float *floats = zeros(DETK_F32, many);
    a[many - 1] = 5;
    b[many - 1] = 3;
    assert_cuda(detk_q8_add(0, many, &add, a, b, out));
    assert_int_equal(out[many - 1], 8);
    assert_cuda(detk_q8_widen(0, many, one, out, floats));
    assert_near(floats[many - 1], 8, 0);
    assert_cuda(detk_q8_narrow(0, many, one, floats, a));
    assert_int_equal(a[many - 1], 8);
    test_device_free(a);
    test_device_free(b);
    test_device_free(out);
    test_device_free(floats);
    end();
}

/* Of 24 and of 7 channels: vectors, and one by one. */
static void eight_bit_layers(void **state)
{
    (void)state;
    begin();
    for (int32_t c = 7; c <= 24; c += 17) {
        const int32_t pitch = (c + 3) / 4 * 4, rows = (int32_t)(many / c) / 64 * 64;
        const int64_t last = (int64_t)rows * c - 1;
        const struct det_conv_shape s = det_conv_same(1, rows / 64, 64, c, c, 3, 1);
        const struct det_conv_shape up = det_conv_same(1, rows / 64 / 2 * 2, 64, c, c, 3, 1);
        const struct detk_q8_scaling scaling = keeping(c);
        const struct det_q8_add add = det_q8_add_of(1, 0, 1, 0, 1, scaling.to);
        int32_t *sums = zeros(DETK_F32, (int64_t)rows * pitch);
        int8_t *in = bytes(last + 1), *out = bytes(last + 1);
        uint8_t *weights = calloc((size_t)c, 12);
        assert_non_null(weights);
        for (int32_t i = 0; i < c * 12; i++) /* in packed ones each fourth is 0 */
            weights[i] = c % 4 != 0 || i % 4 != 3;
        sums[(int64_t)(rows - 1) * pitch + c - 1] = 9;
        const struct detk_q8_addend addend = {.add = add, .b = in};
        in[last] = 4;
        assert_cuda(detk_q8_finish(0, 0, rows, c, pitch, sums, &scaling, &addend, out));
        assert_int_equal(out[last], 13);
        void *device_weights = test_device_copy(weights, (size_t)c * 12);
        assert_cuda(detk_q8_dwconv(0, &s, in, 0, device_weights, &scaling, out));
        assert_int_equal(out[last], 4);
        const int64_t up_last = (int64_t)up.in_h * up.in_w * c - 1;
        out[up_last] = 6;
        assert_cuda(detk_q8_upsample_add(0, 1, up.in_h / 2, up.in_w / 2, c, up.in_h, up.in_w, &add,
                                         in, out, out));
        assert_int_equal(out[up_last], 6);
        test_device_free(sums);
        test_device_free(in);
        test_device_free(out);
        test_device_free(device_weights);
        release(&scaling);
        free(weights);
    }
    end();
}

/* The last patches, of an input and of columns that are more than 2^31 bytes. */
static void eight_bit_columns(void **state)
{
    (void)state;
    begin();
    const int32_t h = 4096 * 4 + 1;
    const struct det_conv_shape s = det_conv_same(1, h, 8192, 16, 16, 1, 1);
    const int64_t count = (int64_t)h * 8192 * 16, rows = (int64_t)h * 8192;
    int8_t *in = bytes(count), *columns = bytes(count), *some = bytes(32);
    in[count - 1] = 7;
    assert_cuda(detk_im2col_q8(0, &s, 0, rows, 0, in, columns));
    assert_int_equal(columns[count - 1], 7);
    assert_cuda(detk_im2col_q8(0, &s, rows - 2, 2, 0, in, some));
    assert_int_equal(some[31], 7);
    test_device_free(in);
    test_device_free(columns);
    test_device_free(some);
    end();
}

int test_cuda_large(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elementwise),      cmocka_unit_test(upsampling),
        cmocka_unit_test(normalisation),    cmocka_unit_test(depthwise),
        cmocka_unit_test(columns),          cmocka_unit_test(outputs),
        cmocka_unit_test(detections),       cmocka_unit_test(pixels),
        cmocka_unit_test(weight_gradients), cmocka_unit_test(eight_bits),
        cmocka_unit_test(eight_bit_layers), cmocka_unit_test(eight_bit_columns),
    };
    return cmocka_run_group_tests_name("cuda_large", tests, NULL, NULL);
}

#else

int test_cuda_large(void);

/* On a GPU it would take its memory. */
int test_cuda_large(void)
{
    return 0;
}

#endif
