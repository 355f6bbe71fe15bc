/* det/draw.h: a program's own pixels of each format, with rows that do not follow one another. */
#include "det/draw.h"

#include <math.h>

#include "support/workspace.h"

enum { WIDTH = 150, HEIGHT = 90, PAD = 7 };

static const det_detection box = {2, .9F, .2F, .1F, .8F, .6F};

static const struct {
    det_pixel_format format;
    int bytes, red, green, blue;
} formats[] = {{DET_PIXEL_RGB8, 3, 0, 1, 2},
               {DET_PIXEL_BGR8, 3, 2, 1, 0},
               {DET_PIXEL_RGBA8, 4, 0, 1, 2},
               {DET_PIXEL_BGRA8, 4, 2, 1, 0},
               {DET_PIXEL_GRAY8, 1, 0, 0, 0}};

enum { FORMATS = sizeof formats / sizeof formats[0] };

static void draw_all(det_context *context, const det_canvas *canvas)
{
    float y_px = 3;
    assert_context_ok(context, det_canvas_draw_detection(context, canvas, &box, "car 87%"));
    assert_context_ok(context, det_canvas_draw_line(context, canvas, 140, 5, 100, 80, 0,
                                                    (det_rgb){200, 100, 50}));
    assert_context_ok(
        context, det_canvas_draw_note(context, canvas, 4, &y_px, det_class_color(7), "\xC3\xA9 2"));
    assert_true(y_px > 3 + 13);
}

/* As libjpeg has it; drawing rounds before and after. */
static int grey_of(const uint8_t *rgb)
{
    return (int)lround(.299 * rgb[0] + .587 * rgb[1] + .114 * rgb[2]);
}

static void compare(const uint8_t *rgb, const uint8_t *pixel, size_t f)
{
    if (formats[f].bytes == 1) {
        assert_near(pixel[0], grey_of(rgb), 4);
        return;
    }
    assert_int_equal(pixel[formats[f].red], rgb[0]);
    assert_int_equal(pixel[formats[f].green], rgb[1]);
    assert_int_equal(pixel[formats[f].blue], rgb[2]);
    if (formats[f].bytes == 4)
        assert_int_equal(pixel[3], 99);
}

static void each_format_is_drawn_alike(void **state)
{
    (void)state;
    static uint8_t rgb[HEIGHT * WIDTH * 3], pixels[HEIGHT * (WIDTH * 4 + PAD)];
    struct test_env t;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    memset(rgb, 99, sizeof rgb);
    const det_canvas packed = {.pixels = rgb, .width = WIDTH, .height = HEIGHT};
    draw_all(context, &packed);
    size_t drawn = 0;
    for (size_t i = 0; i < sizeof rgb; i++)
        drawn += rgb[i] != 99;
    assert_true(drawn > 3000);
    for (size_t f = 0; f < FORMATS; f++)
        for (int upwards = 0; upwards < 2; upwards++) {
            const ptrdiff_t stride = WIDTH * formats[f].bytes + PAD;
            memset(pixels, 99, sizeof pixels);
            const det_canvas canvas = {.pixels = pixels + (upwards ? (HEIGHT - 1) * stride : 0),
                                       .width = WIDTH,
                                       .height = HEIGHT,
                                       .stride_bytes = upwards ? -stride : stride,
                                       .format = formats[f].format};
            draw_all(context, &canvas);
            for (int y = 0; y < HEIGHT; y++) {
                const uint8_t *row = canvas.pixels + y * canvas.stride_bytes;
                for (int x = 0; x < WIDTH; x++)
                    compare(rgb + ((size_t)y * WIDTH + (size_t)x) * 3, row + x * formats[f].bytes,
                            f);
                for (int x = 0; x < PAD; x++)
                    assert_int_equal(row[WIDTH * formats[f].bytes + x], 99);
            }
        }
    det_context_destroy(&context);
    test_env_check(&t);
}

/* The same as the whole of det_picture_draw(). */
static void a_picture_is_drawn_into(void **state)
{
    (void)state;
    static uint8_t grey[HEIGHT * WIDTH];
    const det_image_view view = {
        .pixels = grey, .width = WIDTH, .height = HEIGHT, .format = DET_PIXEL_GRAY8};
    det_picture *whole = NULL, *piecewise = NULL;
    char label[64];
    struct test_env t;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    assert_context_ok(context, det_picture_from_pixels(context, &view, &whole));
    assert_context_ok(context, det_picture_from_pixels(context, &view, &piecewise));
    assert_context_ok(context, det_picture_draw(whole, NULL, &box, 1));
    const det_canvas canvas = det_picture_canvas(piecewise);
    assert_context_ok(context,
                      det_canvas_draw_detection(context, &canvas, &box,
                                                det_detection_label(NULL, &box, label, 64)));
    assert_string_equal(label, "class 2 90%");
    assert_memory_equal(canvas.pixels, det_picture_view(whole).pixels, HEIGHT * WIDTH * 3);
    det_picture_destroy(&whole);
    det_picture_destroy(&piecewise);
    det_context_destroy(&context);
    test_env_check(&t);
}

static void what_cannot_be_drawn_into(void **state)
{
    (void)state;
    static uint8_t pixels[8 * 8 * 3], before[8 * 8 * 3];
    struct test_env t;
    float y_px = 1;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    det_canvas canvas = {.pixels = pixels, .width = 8, .height = 8, .format = DET_PIXEL_NV12};
    assert_context_fails(context, DET_STATUS_INVALID_ARGUMENT, "format is 5, expected RGB",
                         det_canvas_draw_detection(context, &canvas, &box, NULL));
    canvas.format = (det_pixel_format)99;
    assert_context_fails(context, DET_STATUS_INVALID_ARGUMENT, "format is 99",
                         det_canvas_draw_detection(context, &canvas, &box, NULL));
    canvas.format = DET_PIXEL_RGB8;
    canvas.stride_bytes = 23;
    assert_context_fails(context, DET_STATUS_INVALID_ARGUMENT, "a row of 8 pixels has 24",
                         det_canvas_draw_line(context, &canvas, 0, 0, 1, 1, 1, det_class_color(1)));
    canvas.stride_bytes = 0;
    canvas.width = 0;
    assert_context_fails(context, DET_STATUS_INVALID_ARGUMENT, "0 x 8",
                         det_canvas_draw_note(context, &canvas, 0, &y_px, det_class_color(1), "x"));
    assert_near(y_px, 1, 0);
    canvas.width = 8;
    canvas.pixels = NULL;
    assert_context_fails(context, DET_STATUS_INVALID_ARGUMENT, "pixels are NULL",
                         det_canvas_draw_detection(context, &canvas, &box, NULL));
    /* What is nowhere in it, or no place at all. */
    canvas.pixels = pixels;
    det_detection none = {1, .5F, NAN, 0, 1, 1};
    assert_context_ok(context, det_canvas_draw_detection(context, &canvas, &none, "x"));
    assert_context_ok(context, det_canvas_draw_line(context, &canvas, NAN, 0, 1, INFINITY, 2,
                                                    det_class_color(-1)));
    assert_context_ok(context, det_canvas_draw_line(context, &canvas, 100, 100, 200, 100, -1,
                                                    det_class_color(INT32_MIN)));
    assert_memory_equal(pixels, before, sizeof pixels);
    none = (det_detection){INT32_MIN, .5F, -9, -9, 9, 9};
    assert_context_ok(context, det_canvas_draw_detection(context, &canvas, &none, "\xff"));
    det_context_destroy(&context);
    test_env_check(&t);
}

int test_canvas(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_format_is_drawn_alike),
        cmocka_unit_test(a_picture_is_drawn_into),
        cmocka_unit_test(what_cannot_be_drawn_into),
    };
    return cmocka_run_group_tests_name("canvas", tests, NULL, NULL);
}
