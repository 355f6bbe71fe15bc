/* kernels/preprocess: the bits of detect/input and data/resize, bf16 the same rounded. */
#include "preprocess.h"

#include "cuda/support/device.h"
#include "model/input.h"

/* A source image and the frame that it goes into. */
struct source {
    int32_t height, width, frame_height, frame_width;
    det_pixel_format format;
    ptrdiff_t padding; /* bytes behind each row but the last */
    bool upside_down;  /* rows lie in memory from the bottom up: a negative stride */
};

static const struct {
    int32_t bytes;
    enum detk_pixels device;
} formats[] = {
    [DET_PIXEL_RGB8] = {3, DETK_RGB8},   [DET_PIXEL_BGR8] = {3, DETK_BGR8},
    [DET_PIXEL_GRAY8] = {1, DETK_GRAY8}, [DET_PIXEL_RGBA8] = {4, DETK_RGBA8},
    [DET_PIXEL_BGRA8] = {4, DETK_BGRA8},
};
enum { FORMATS = sizeof formats / sizeof *formats, MOST_IMAGES = 8 };

static uint8_t *random_bytes(size_t count, uint32_t seed)
{
    uint8_t *bytes = malloc(count);
    float *values = malloc(count * sizeof *values);
    assert_true(bytes != NULL && values != NULL);
    test_fill(values, count, seed);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(values[i] * 128 + 128);
    free(values);
    return bytes;
}

static void assert_same_bits(const float *got, const float *wanted, size_t count, int32_t width)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(got + i, wanted + i, sizeof *got) != 0) {
            const size_t row = i / ((size_t)width * 3), column = i / 3 % (size_t)width;
            fail_msg("row %zu, column %zu, colour %zu: got %.9g, expected %.9g", row, column, i % 3,
                     (double)got[i], (double)wanted[i]);
        }
}

/* The device's pixels start at an odd address and end where the memory ends. */
static void compare(enum detk_type type, const struct source *sources, int32_t n, int32_t out_h,
                    int32_t out_w)
{
    struct test_env t;
    test_env_init(&t);
    const size_t one = (size_t)out_h * (size_t)out_w * 3, count = (size_t)n * one;
    float *wanted = malloc(count * sizeof *wanted), *got = malloc(count * sizeof *got);
    assert_true(wanted != NULL && got != NULL && n <= MOST_IMAGES);
    struct detk_image images[MOST_IMAGES];
    uint8_t *memory[MOST_IMAGES];
    struct det_resizer resizer = {0};
    for (int32_t i = 0; i < n; i++) {
        const struct source *s = &sources[i];
        const ptrdiff_t row = (ptrdiff_t)s->width * formats[s->format].bytes;
        const ptrdiff_t stride = row + s->padding, to_last = (s->height - 1) * stride;
        const size_t bytes = (size_t)(1 + to_last + row);
        uint8_t *pixels = random_bytes(bytes, (uint32_t)(bytes + (size_t)i));
        memory[i] = test_device_copy(pixels, bytes);
        const ptrdiff_t start = 1 + (s->upside_down ? to_last : 0);
        const struct det_frame frame = {.height = s->frame_height, .width = s->frame_width};
        const det_image_view view = {.pixels = pixels + start,
                                     .width = s->width,
                                     .height = s->height,
                                     .stride_bytes = s->upside_down ? -stride : stride,
                                     .format = s->format};
        assert_ok(&t.env, det_image_view_check(&t.env, &view));
        assert_ok(&t.env, det_input_fill(&t.env, &resizer, NULL, &view, &frame,
                                         wanted + (size_t)i * one, out_h, out_w));
        images[i] = (struct detk_image){.pixels = memory[i] + start,
                                        .stride = view.stride_bytes,
                                        .height = s->height,
                                        .width = s->width,
                                        .format = formats[s->format].device,
                                        .frame_height = s->frame_height,
                                        .frame_width = s->frame_width};
        free(pixels);
    }
    test_round(type, wanted, count);

    void *table = test_device_copy(images, (size_t)n * sizeof *images);
    void *out = test_device_alloc(count * (type == DETK_F32 ? 4 : 2));
    assert_cuda(detk_preprocess(NULL, type, table, n, out_h, out_w, out));
    test_device_read_values(type, got, out, count);
    assert_same_bits(got, wanted, count, out_w);

    for (int32_t i = 0; i < n; i++)
        test_device_free(memory[i]);
    test_device_free(table);
    test_device_free(out);
    det_resizer_free(&t.env, &resizer);
    free(wanted);
    free(got);
    test_env_check(&t);
}

static void compare_both(const struct source *sources, int32_t n, int32_t out_h, int32_t out_w)
{
    compare(DETK_F32, sources, n, out_h, out_w);
    compare(DETK_BF16, sources, n, out_h, out_w);
}

/* Up, down, both, equal, one pixel to many and many to one; output widths that are whole vectors
 * and that are not. */
static void sizes(void **state)
{
    (void)state;
    static const int32_t cases[][6] = {
        /* source, frame, output: height and width */
        {1, 1, 1, 1, 1, 1},       {1, 1, 7, 9, 7, 9},       {1, 1, 8, 12, 8, 12},
        {13, 11, 1, 1, 1, 1},     {13, 1, 5, 8, 5, 8},      {1, 13, 8, 5, 8, 5},
        {16, 16, 16, 16, 16, 16}, {15, 17, 15, 17, 15, 17}, {37, 53, 16, 20, 16, 20},
        {9, 7, 33, 40, 33, 40},   {9, 40, 33, 7, 33, 7},    {640, 3, 31, 32, 31, 32},
        {3, 640, 32, 31, 32, 31}, {49, 50, 48, 49, 48, 49}, {21, 22, 22, 23, 22, 23},
        {16, 9, 16, 12, 16, 12},  {9, 16, 12, 16, 12, 16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int32_t *c = cases[i];
        const struct source source = {c[0], c[1], c[2], c[3], DET_PIXEL_RGB8, 0, false};
        compare_both(&source, 1, c[4], c[5]);
    }
}

/* Zeros right of and below a frame that is smaller than the output. */
static void frames(void **state)
{
    (void)state;
    static const int32_t cases[][4] = {/* frame, output */
                                       {1, 1, 2, 2},   {7, 8, 8, 8},   {8, 7, 8, 8},
                                       {5, 3, 16, 16}, {16, 4, 16, 5}, {3, 9, 17, 11},
                                       {1, 16, 16, 16}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int32_t *c = cases[i];
        const struct source resized = {6, 10, c[0], c[1], DET_PIXEL_RGB8, 0, false};
        const struct source copied = {c[0], c[1], c[0], c[1], DET_PIXEL_RGB8, 0, false};
        compare_both(&resized, 1, c[2], c[3]);
        compare_both(&copied, 1, c[2], c[3]);
    }
}

/* Every format, with and without padding behind the rows, from the top down and from the bottom
 * up. */
static void formats_and_strides(void **state)
{
    (void)state;
    for (int format = 0; format < FORMATS; format++)
        for (int padding = 0; padding < 6; padding += 5)
            for (int upside_down = 0; upside_down < 2; upside_down++) {
                const struct source source = {
                    9, 13, 11, 8, (det_pixel_format)format, padding, upside_down != 0};
                const struct source copied = {
                    11, 12, 11, 12, (det_pixel_format)format, padding, upside_down != 0};
                compare_both(&source, 1, 12, 12);
                compare_both(&copied, 1, 12, 12);
            }
}

/* A batch of unlike images; its blocks are several for each image, the last not full. */
static void batch(void **state)
{
    (void)state;
    const struct source sources[] = {
        {40, 30, 48, 36, DET_PIXEL_BGRA8, 2, false},
        {1, 1, 1, 1, DET_PIXEL_GRAY8, 0, false},
        {48, 44, 48, 44, DET_PIXEL_BGR8, 1, true},
        {97, 99, 30, 44, DET_PIXEL_RGB8, 0, false},
    };
    compare_both(sources, 4, 48, 44);
    compare_both(sources, 3, 49, 47);
    compare_both(sources, 0, 49, 47);
}

static void normalize(enum detk_type type, int32_t n, int32_t h, int32_t w, int32_t out_h,
                      int32_t out_w)
{
    const size_t in_count = (size_t)n * (size_t)h * (size_t)w * 3;
    const size_t out_row = (size_t)out_w * 3, count = (size_t)n * (size_t)out_h * out_row;
    float *in = malloc(in_count * sizeof *in);
    float *wanted = calloc(count, sizeof *wanted), *got = malloc(count * sizeof *got);
    assert_true(in != NULL && wanted != NULL && got != NULL);
    test_fill(in, in_count, (uint32_t)in_count);
    for (size_t i = 0; i < in_count; i++)
        in[i] = in[i] * 127.5f + 127.5f;
    for (int32_t row = 0; row < n * h; row++)
        det_normalize_pixels(wanted + (size_t)(row / h * out_h + row % h) * out_row,
                             in + (size_t)row * (size_t)w * 3, (size_t)w * 3);
    test_round(type, wanted, count);

    void *device_in = test_device_copy(in, in_count * sizeof *in);
    void *out = test_device_alloc(count * (type == DETK_F32 ? 4 : 2));
    assert_cuda(detk_normalize(NULL, type, device_in, n, h, w, out_h, out_w, out));
    test_device_read_values(type, got, out, count);
    assert_same_bits(got, wanted, count, out_w);
    test_device_free(device_in);
    test_device_free(out);
    free(in);
    free(wanted);
    free(got);
}

static void training_batches(void **state)
{
    (void)state;
    static const int32_t cases[][5] = {
        /* n, h, w, out_h, out_w */
        {1, 1, 1, 1, 1},     {1, 1, 1, 2, 3},     {1, 4, 4, 4, 4},
        {2, 7, 8, 9, 12},    {3, 7, 8, 9, 11},    {2, 5, 7, 8, 8},
        {1, 16, 20, 16, 20}, {3, 17, 16, 19, 36}, {2, 16, 23, 16, 23}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int32_t *c = cases[i];
        normalize(DETK_F32, c[0], c[1], c[2], c[3], c[4]);
        normalize(DETK_BF16, c[0], c[1], c[2], c[3], c[4]);
    }
}

int test_cuda_preprocess(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(frames),
        cmocka_unit_test(formats_and_strides),
        cmocka_unit_test(batch),
        cmocka_unit_test(training_batches),
    };
    return cmocka_run_group_tests_name("cuda_preprocess", tests, NULL, NULL);
}
