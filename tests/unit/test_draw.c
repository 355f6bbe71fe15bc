/* draw/draw.h and font.h: coverage, clipping, labels, odd input; guards around the pixels by the
 * counting allocator. */
#include "draw/draw.h"

#include <math.h>

#include "draw/font.h"
#include "support/mem.h"
#include "support/test.h"

/* data/image.c is not needed here: pixels straight from the guarded allocator. */
static struct det_image make_image(struct test_env *t, int32_t width, int32_t height)
{
    struct det_image image = {.width = width, .height = height};
    assert_ok(&t->env, det_alloc(&t->env, &image.rgb, (size_t)width * (size_t)height, 3, "pixels"));
    return image;
}

static const uint8_t *pixel(const struct det_image *image, int32_t x, int32_t y)
{
    return image->rgb + 3 * ((size_t)y * (size_t)image->width + (size_t)x);
}

static size_t count_touched(const struct det_image *image)
{
    size_t touched = 0;
    for (size_t i = 0; i < (size_t)image->width * (size_t)image->height * 3; i++)
        touched += image->rgb[i] != 0;
    return touched;
}

static void edges_are_blended_by_area(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_image image = make_image(&t, 8, 8);
    const det_rgb white = {255, 255, 255};
    const float area[4] = {1.5F, 2.25F, 4, 5};
    det_fill_rectangle(det_surface_of(&image), area, 1, white);
    assert_int_equal(pixel(&image, 3, 2)[0], 255);
    assert_int_equal(pixel(&image, 3, 1)[1], 128);
    assert_int_equal(pixel(&image, 2, 2)[2], 191);
    assert_int_equal(pixel(&image, 2, 1)[0], 96); /* .5 * .75 */
    assert_int_equal(pixel(&image, 5, 2)[0], 0);
    assert_int_equal(pixel(&image, 3, 4)[0], 0);
    memset(image.rgb, 0, 8 * 8 * 3);
    const float frame[4] = {1.5F, 1.5F, 6.5F, 6.5F};
    det_draw_rectangle(det_surface_of(&image), frame, 1, white);
    for (int32_t y = 0; y < 8; y++)
        for (int32_t x = 0; x < 8; x++) {
            const bool ring =
                x >= 1 && x <= 6 && y >= 1 && y <= 6 && (x == 1 || x == 6 || y == 1 || y == 6);
            assert_int_equal(pixel(&image, x, y)[0], ring ? 255 : 0);
        }
    det_free(&t.env, &image.rgb);
    test_env_check(&t);
}

static void any_box_stays_inside_the_image(void **state)
{
    (void)state;
    static const int32_t sizes[][2] = {{1, 1},   {2, 1},   {1, 3},   {17, 9},
                                       {64, 48}, {200, 3}, {101, 99}};
    static const float values[] = {-1e30F, -3, -0.5F, 0, 0.01F, 0.5F, 0.99F, 1, 1.5F, 7, 1e30F};
    enum { value_count = sizeof values / sizeof values[0] };
    struct test_env t;
    test_env_init(&t);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct det_image image = make_image(&t, sizes[s][0], sizes[s][1]);
        for (int i = 0; i < value_count; i++)
            for (int j = 0; j < value_count; j++)
                for (int k = j; k < value_count; k += 2) {
                    const float box[4] = {values[i], values[j], values[(i + j) % value_count],
                                          values[k]};
                    det_draw_box(det_surface_of(&image), box, i - 3, "car: 97%");
                }
        det_free(&t.env, &image.rgb);
    }
    test_env_check(&t); /* checks the guard bytes on release */
}

static void odd_boxes(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_image image = make_image(&t, 40, 30);
    const float bad[][4] = {{NAN, 0, 1, 1},     {0, NAN, 1, 1},       {0, 0, NAN, 1},
                            {0, 0, 1, NAN},     {0, 0, INFINITY, 1},  {0.5F, 0, 0.2F, 1},
                            {0, 0.5F, 1, 0.2F}, {-INFINITY, 0, 1, 1}, {3e38F, 3e38F, 3e38F, 3e38F}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        det_draw_box(det_surface_of(&image), bad[i], 0, "x");
    assert_int_equal(count_touched(&image), 0);
    const float away[4] = {2, 2, 3, 3};
    det_draw_box(det_surface_of(&image), away, 0, "x");
    assert_int_equal(count_touched(&image), 0);
    const float point[4] = {0.5F, 0.5F, 0.5F, 0.5F};
    det_draw_box(det_surface_of(&image), point, 0, NULL);
    assert_true(count_touched(&image) > 0 && count_touched(&image) <= 4 * 4 * 3);
    struct det_image empty = {0};
    det_draw_box(det_surface_of(&empty), point, 0, "x");
    det_draw_text(det_surface_of(&image), NAN, 0, 12, (det_rgb){1, 2, 3}, "x");
    det_draw_text(det_surface_of(&image), 0, 0, NAN, (det_rgb){1, 2, 3}, "x");
    det_free(&t.env, &image.rgb);
    test_env_check(&t);
}

static void labels_are_kept_inside(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_image image = make_image(&t, 320, 240);
    const det_rgb plate = det_palette_colour(2);
    const float boxes[][4] = {{0, 0.97F, 0.2F, 1}, {0.5F, 0.2F, 0.7F, 0.6F}, {0.99F, 0, 1, 0.1F}};
    for (size_t i = 0; i < 3; i++) {
        memset(image.rgb, 0, 320 * 240 * 3);
        det_draw_box(det_surface_of(&image), boxes[i], 2, NULL);
        const size_t frame = count_touched(&image);
        det_draw_box(det_surface_of(&image), boxes[i], 2, "truck 88%");
        const float size = det_draw_text_size_px(det_surface_of(&image));
        const float area = size * det_text_width_px("truck 88%", size);
        /* The whole plate is there: its pixels are all non-zero in blue except where black text
         * covers it. */
        assert_true(count_touched(&image) > frame + (size_t)(1.5F * area));
    }
    assert_int_equal(plate.b, 255);
    det_free(&t.env, &image.rgb);
    test_env_check(&t);
}

static void text_is_utf8(void **state)
{
    (void)state;
    const char *text = "a\xC3\xA9\xE2\x82\xAC\x80\tz";
    const char wanted[] = "a????z";
    for (size_t i = 0; i < sizeof wanted; i++)
        assert_int_equal(det_font_next(&text), (unsigned char)wanted[i]);
    const char *cut = "\xE2\x82";
    assert_int_equal(det_font_next(&cut), '?');
    assert_int_equal(det_font_next(&cut), 0);
    assert_near(det_text_width_px("\xC3\xA9", 20), det_text_width_px("?", 20), 0);
    /* Each glyph but the blank has strokes inside its box, and no two are the same. */
    for (unsigned c = 33; c < 127; c++) {
        struct det_font_segment segments[DET_FONT_MAX_SEGMENTS];
        const struct det_glyph *glyph = det_font_glyph(c);
        const int count = det_font_segments(glyph, segments);
        assert_true(count > 0 && count < DET_FONT_MAX_SEGMENTS);
        for (int i = 0; i < count; i++) {
            assert_true(segments[i].x1 >= 0 && segments[i].x1 <= glyph->width_units);
            assert_true(segments[i].y1 >= 0 && segments[i].y1 <= 18);
        }
        for (unsigned other = 33; other < c; other++)
            assert_string_not_equal(glyph->strokes, det_font_glyph(other)->strokes);
    }
}

static void palette_is_distinct(void **state)
{
    (void)state;
    for (int32_t i = 0; i < 24; i++)
        for (int32_t j = 0; j < i; j++) {
            const det_rgb a = det_palette_colour(i), b = det_palette_colour(j);
            assert_true(abs(a.r - b.r) + abs(a.g - b.g) + abs(a.b - b.b) >= 48);
        }
    for (int32_t i = 24; i < 90; i++) {
        const det_rgb a = det_palette_colour(i), b = det_palette_colour(i + 1);
        assert_true(abs(a.r - b.r) + abs(a.g - b.g) + abs(a.b - b.b) >= 48);
    }
    (void)det_palette_colour(-1);
    (void)det_palette_colour(INT32_MIN);
    assert_int_equal(det_text_colour_on((det_rgb){250, 240, 10}).r, 0);
    assert_int_equal(det_text_colour_on((det_rgb){20, 30, 120}).r, 255);
}

int test_draw(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_are_blended_by_area),
        cmocka_unit_test(any_box_stays_inside_the_image),
        cmocka_unit_test(odd_boxes),
        cmocka_unit_test(labels_are_kept_inside),
        cmocka_unit_test(text_is_utf8),
        cmocka_unit_test(palette_is_distinct),
    };
    return cmocka_run_group_tests_name("draw", tests, NULL, NULL);
}
