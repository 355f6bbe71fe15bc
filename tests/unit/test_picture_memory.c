/* det/image.h without files: the bytes of a picture to the caller's pixels, the caller's pixels to
 * a picture, a picture to bytes. */
#include <math.h>

#include "base/context.h"
#include "det/image.h"
#include "support/pictures.h"
#include "support/records.h"
#include "support/test.h"

enum { WIDTH = 37, HEIGHT = 23 };

static det_context make_context(struct test_env *t)
{
    test_env_init(t);
    return (det_context){.env = t->env};
}

static void fill(uint8_t *rgb, int width, int height)
{
    for (int i = 0; i < width * height * 3; i++)
        rgb[i] = (uint8_t)(i * 7 + i / 31);
}

/* In every format, with and without padding, into memory of exactly the size it takes. */
static void pixels_come_out(void **state)
{
    (void)state;
    static const struct {
        det_pixel_format format;
        int bytes, red, green, blue;
    } formats[] = {
        {DET_PIXEL_RGB8, 3, 0, 1, 2},  {DET_PIXEL_BGR8, 3, 2, 1, 0},  {DET_PIXEL_GRAY8, 1, 0, 0, 0},
        {DET_PIXEL_RGBA8, 4, 0, 1, 2}, {DET_PIXEL_BGRA8, 4, 2, 1, 0},
    };
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    struct test_env t;
    det_context context = make_context(&t);
    det_picture *picture = NULL;
    fill(rgb, WIDTH, HEIGHT);
    const det_image_view view = {.pixels = rgb, .width = WIDTH, .height = HEIGHT};
    assert_ok(&context.env, det_picture_from_pixels(&context, &view, &picture));
    for (size_t f = 0; f < sizeof formats / sizeof formats[0]; f++)
        for (size_t padding = 0; padding < 10; padding += 9) {
            const size_t bytes = (size_t)formats[f].bytes, row = WIDTH * bytes;
            const size_t stride = row + padding, need = stride * (HEIGHT - 1) + row;
            const det_pixel_format format = formats[f].format;
            uint8_t *out = malloc(need);
            assert_non_null(out);
            memset(out, 77, need);
            assert_fails(&context.env, DET_STATUS_INVALID_ARGUMENT, "too few for 23 rows",
                         det_picture_to_pixels(picture, format, out, need - 1, stride));
            assert_ok(&context.env,
                      det_picture_to_pixels(picture, format, out, need, padding == 0 ? 0 : stride));
            for (size_t i = 0; i < need; i++) {
                const size_t y = i / stride, x = i % stride / bytes;
                const uint8_t *from = rgb + (y * WIDTH + x) * 3;
                const int at = (int)(i % stride % bytes);
                int wanted = 255;
                if (x >= WIDTH)
                    wanted = 77;
                else if (bytes == 1)
                    wanted = (int)(.299 * from[0] + .587 * from[1] + .114 * from[2] + .5);
                else if (at < 3)
                    wanted = from[at == formats[f].red ? 0 : at == formats[f].green ? 1 : 2];
                assert_int_equal(out[i], wanted);
            }
            free(out);
        }
    uint8_t out[4] = {0};
    assert_fails(&context.env, DET_STATUS_INVALID_ARGUMENT, "format is 5",
                 det_picture_to_pixels(picture, DET_PIXEL_NV12, out, 4, 0));
    assert_fails(&context.env, DET_STATUS_INVALID_ARGUMENT, "format is -1",
                 det_picture_to_pixels(picture, (det_pixel_format)-1, out, 4, 0));
    assert_fails(&context.env, DET_STATUS_INVALID_ARGUMENT, "a row of 37 pixels has 111",
                 det_picture_to_pixels(picture, DET_PIXEL_RGB8, out, 4, 110));
    assert_fails(&context.env, DET_STATUS_INVALID_ARGUMENT, "is too large",
                 det_picture_to_pixels(picture, DET_PIXEL_RGB8, out, SIZE_MAX, SIZE_MAX));
    assert_fails(&context.env, DET_STATUS_INVALID_ARGUMENT, "too few",
                 det_picture_to_pixels(picture, DET_PIXEL_RGB8, out, 0, 0));
    det_picture_destroy(&picture);
    test_env_check(&t);
}

/* What was copied stays when the caller's pixels are written to; a region becomes the picture. */
static void pictures_are_made_of_pixels(void **state)
{
    (void)state;
    static uint8_t y[WIDTH * HEIGHT], uv[(HEIGHT + 1) / 2 * (WIDTH + 1)];
    struct test_env t;
    det_context context = make_context(&t);
    det_picture *picture = NULL;
    memset(y, 235, sizeof y);
    memset(uv, 128, sizeof uv);
    y[5 * WIDTH + 9] = 16;
    const det_image_view view = {.pixels = y,
                                 .width = WIDTH,
                                 .height = HEIGHT,
                                 .format = DET_PIXEL_NV12,
                                 .chroma = {uv},
                                 .region = {5, 9, 10, 12}};
    assert_ok(&context.env, det_picture_from_pixels(&context, &view, &picture));
    memset(y, 0, sizeof y);
    const det_image_view made = det_picture_view(picture);
    assert_true(made.width == 12 && made.height == 10 && made.format == DET_PIXEL_RGB8);
    for (int i = 0; i < 12 * 10 * 3; i++)
        assert_int_equal(made.pixels[i], i < 3 ? 0 : 255);
    assert_int_equal(det_picture_orientation(picture), 1);
    assert_ok(&context.env, det_picture_as_stored(picture));
    det_picture_destroy(&picture);
    det_image_view bad = view;
    bad.chroma[0] = NULL;
    assert_fails(&context.env, DET_STATUS_INVALID_ARGUMENT, "chroma[0] is NULL",
                 det_picture_from_pixels(&context, &bad, &picture));
    assert_null(picture);
    test_env_check(&t);
}

/* A JPEG with an EXIF turn, to the caller's pixels: upright. And each kind that is written is read
 * again. */
static void bytes_become_pixels_and_bytes(void **state)
{
    (void)state;
    static uint8_t rgb[WIDTH * HEIGHT * 3], again[WIDTH * HEIGHT * 3];
    struct test_env t;
    det_context context = make_context(&t);
    det_picture *picture = NULL, *copy = NULL;
    const uint8_t *data = NULL;
    size_t bytes = 0, marked = 0, first = 0;
    unsigned char *jpeg = test_make_jpeg(32, 16, 3, &bytes);
    uint8_t *turned = test_put_orientation(jpeg, bytes, 6, true, &marked);
    assert_ok(&context.env, det_picture_decode(&context, NULL, turned, marked, &picture));
    assert_ok(&context.env, det_picture_to_pixels(picture, DET_PIXEL_RGB8, rgb, 32 * 16 * 3, 0));
    const det_image_view view = det_picture_view(picture);
    assert_true(view.width == 16 && view.height == 32);
    assert_memory_equal(rgb, view.pixels, 32 * 16 * 3);
    assert_ok(&context.env, det_picture_encode(picture, DET_PICTURE_PNG, 0, &data, &bytes));
    assert_ok(&context.env, det_picture_decode(&context, "x.png", data, bytes, &copy));
    assert_ok(&context.env, det_picture_to_pixels(copy, DET_PIXEL_RGB8, again, 32 * 16 * 3, 0));
    assert_memory_equal(again, rgb, 32 * 16 * 3);
    det_picture_destroy(&copy);
    assert_ok(&context.env, det_picture_encode(picture, DET_PICTURE_JPEG, 0, &data, &first));
    assert_ok(&context.env, det_picture_decode(&context, "x.jpg", data, first, &copy));
    assert_int_equal(det_picture_orientation(copy), 1);
    det_picture_destroy(&copy);
    assert_ok(&context.env, det_picture_encode(picture, DET_PICTURE_JPEG, 10, &data, &bytes));
    assert_true(bytes < first);
    assert_ok(&context.env, det_picture_encode(picture, DET_PICTURE_JPEG, 95, &data, &bytes));
    assert_int_equal(bytes, first);
    assert_fails(&context.env, DET_STATUS_INVALID_ARGUMENT, "quality is 101",
                 det_picture_encode(picture, DET_PICTURE_JPEG, 101, &data, &bytes));
    assert_true(data == NULL && bytes == 0);
    assert_fails(&context.env, DET_STATUS_INVALID_ARGUMENT, "kind is 2",
                 det_picture_encode(picture, (det_picture_kind)2, 0, &data, &bytes));
    det_picture_destroy(&picture);
    free(turned);
    free(jpeg);
    test_env_check(&t);
}

static void any_detection_can_be_drawn(void **state)
{
    (void)state;
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    static const int32_t ids[] = {INT32_MIN, -1, 0, 1, INT32_MAX};
    static const float values[] = {NAN, -INFINITY, -3e38F, 0, .5F, 3e38F};
    struct test_env t;
    det_context context = make_context(&t);
    det_picture *picture = NULL;
    const det_image_view view = {.pixels = rgb, .width = WIDTH, .height = HEIGHT};
    assert_ok(&context.env, det_picture_from_pixels(&context, &view, &picture));
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
            const float x = values[v];
            const det_detection d[] = {{ids[i], x, 0, 0, 1, 1}, {ids[i], .5F, x, x, 1, x}};
            assert_ok(&context.env, det_picture_draw(picture, NULL, d, 2));
        }
    det_picture_destroy(&picture);
    test_env_check(&t);
}

/* A picture cut off anywhere is an error, and nothing is left. */
static void cut_pictures_are_errors(void **state)
{
    (void)state;
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    struct test_env t;
    det_context context = make_context(&t);
    det_picture *picture = NULL, *cut = NULL;
    fill(rgb, WIDTH, HEIGHT);
    const det_image_view view = {.pixels = rgb, .width = WIDTH, .height = HEIGHT};
    assert_ok(&context.env, det_picture_from_pixels(&context, &view, &picture));
    for (int kind = 0; kind < 2; kind++) {
        const uint8_t *data = NULL;
        size_t bytes = 0;
        assert_ok(&context.env,
                  det_picture_encode(picture, (det_picture_kind)kind, 0, &data, &bytes));
        for (size_t length = 0; length + 12 < bytes; length++) { /* a PNG's IEND is not needed */
            uint8_t *part = malloc(length + 1);
            assert_non_null(part);
            memcpy(part, data, length);
            assert_true(det_picture_decode(&context, "cut", part, length, &cut) != DET_OK);
            assert_contains(context.env.error, "cut: ");
            assert_null(cut);
            free(part);
        }
    }
    det_picture_destroy(&picture);
    test_env_check(&t);
}

static det_status there_and_back(struct det_env *env, void *argument)
{
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    det_context context = {.env = *env};
    det_picture *picture = NULL, *packed = NULL, *read = NULL;
    const uint8_t *data = NULL;
    size_t bytes = 0;
    det_status status = DET_OK;
    const det_image_view bgr = {
        .pixels = rgb, .width = WIDTH, .height = HEIGHT, .format = DET_PIXEL_BGR8};
    const det_image_view view = {.pixels = rgb, .width = WIDTH, .height = HEIGHT};
    (void)argument;
    DET_TRY(det_picture_from_pixels(&context, &bgr, &picture));
    DET_TRY(det_picture_from_pixels(&context, &view, &packed));
    DET_TRY(det_picture_encode(picture, DET_PICTURE_JPEG, 0, &data, &bytes));
    DET_TRY(det_picture_encode(picture, DET_PICTURE_PNG, 0, &data, &bytes));
    DET_TRY(det_picture_decode(&context, "x", data, bytes, &read));
fail:
    assert_true(status == DET_OK || read == NULL);
    det_picture_destroy(&picture);
    det_picture_destroy(&packed);
    det_picture_destroy(&read);
    return status;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    test_each_allocation_fails(there_and_back, NULL);
}

/* One file after the other into one picture, larger and smaller, good and bad. */
static void memory_is_used_again(void **state)
{
    (void)state;
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    struct test_env t;
    det_context context = make_context(&t);
    det_picture *large = NULL, *small = NULL, *again = NULL;
    const uint8_t *files[2] = {NULL, NULL};
    size_t bytes[2] = {0, 0};
    fill(rgb, WIDTH, HEIGHT);
    det_image_view view = {.pixels = rgb, .width = WIDTH, .height = HEIGHT};
    assert_ok(&context.env, det_picture_from_pixels(&context, &view, &large));
    view.region = (det_region){3, 4, 5, 6};
    assert_ok(&context.env, det_picture_from_pixels(&context, &view, &small));
    assert_ok(&context.env, det_picture_encode(large, DET_PICTURE_PNG, 0, &files[0], &bytes[0]));
    assert_ok(&context.env, det_picture_encode(small, DET_PICTURE_PNG, 0, &files[1], &bytes[1]));
    assert_ok(&context.env, det_picture_decode(&context, "a", files[0], bytes[0], &again));
    const uint8_t *memory = det_picture_view(again).pixels;
    for (int i = 1; i < 5; i++) {
        const det_picture *wanted = i % 2 == 0 ? large : small;
        assert_ok(&context.env, det_picture_decode_again(again, NULL, files[i % 2], bytes[i % 2],
                                                         INT32_MAX, INT32_MAX));
        const det_image_view got = det_picture_view(again), same = det_picture_view(wanted);
        assert_true(got.pixels == memory);
        assert_int_equal(got.width, same.width);
        assert_int_equal(got.height, same.height);
        assert_memory_equal(got.pixels, same.pixels, (size_t)got.width * (size_t)got.height * 3);
    }
    uint8_t pixel[3] = {0};
    assert_fails(&context.env, DET_STATUS_CORRUPT, "b.png: not a JPEG",
                 det_picture_decode_again(again, "b.png", "no picture", 10, INT32_MAX, INT32_MAX));
    assert_null(det_picture_view(again).pixels);
    assert_null(det_picture_canvas(again).pixels);
    assert_fails(&context.env, DET_STATUS_INVALID_ARGUMENT, "no pixels",
                 det_picture_to_pixels(again, DET_PIXEL_RGB8, pixel, 3, 0));
    assert_fails(&context.env, DET_STATUS_INVALID_ARGUMENT, "no pixels",
                 det_picture_encode(again, DET_PICTURE_PNG, 0, &files[0], &bytes[0]));
    assert_fails(&context.env, DET_STATUS_INVALID_ARGUMENT, "no pixels",
                 det_picture_write(again, "build/none.png"));
    assert_fails(&context.env, DET_STATUS_INVALID_ARGUMENT, "no pixels",
                 det_picture_as_stored(again));
    assert_ok(&context.env, det_picture_draw(again, NULL, &(det_detection){.ymax = 1}, 1));
    assert_ok(&context.env, det_picture_decode_again(again, "a", files[1], bytes[1], 1, 1));
    assert_int_equal(det_picture_view(again).width, 6);
    det_picture_destroy(&again);
    det_picture_destroy(&small);
    det_picture_destroy(&large);
    test_env_check(&t);
}

int test_picture_memory(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_come_out),
        cmocka_unit_test(pictures_are_made_of_pixels),
        cmocka_unit_test(bytes_become_pixels_and_bytes),
        cmocka_unit_test(any_detection_can_be_drawn),
        cmocka_unit_test(cut_pictures_are_errors),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(memory_is_used_again),
    };
    return cmocka_run_group_tests_name("picture_memory", tests, NULL, NULL);
}
