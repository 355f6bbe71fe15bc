/* draw/labels.h: labels in a crowd stand beside one another, inside the picture, at their boxes. */
#include "draw/labels.h"

#include <math.h>

#include "base/rng.h"
#include "support/mem.h"
#include "support/test.h"

static struct det_image make_image(struct test_env *t, int32_t width, int32_t height)
{
    struct det_image image = {.width = width, .height = height};
    assert_ok(&t->env, det_alloc(&t->env, &image.rgb, (size_t)width * (size_t)height, 3, "pixels"));
    return image;
}

static void copy_area(const struct det_image *image, const float area[4], uint8_t *to)
{
    for (int32_t y = (int32_t)area[0]; y < (int32_t)area[2]; y++)
        for (int32_t x = (int32_t)area[1]; x < (int32_t)area[3]; x++, to += 3)
            memcpy(to, image->rgb + 3 * (y * image->width + x), 3);
}

static void assert_areas(const struct det_labels *taken, const struct det_image *image)
{
    for (int32_t i = 0; i < taken->count; i++) {
        const float *a = taken->areas_px[i];
        assert_true(a[0] >= 0 && a[1] >= 0 && a[2] <= (float)image->height &&
                    a[3] <= (float)image->width);
        for (int32_t k = 0; k < i; k++) {
            const float *b = taken->areas_px[k];
            if (a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3])
                fail_msg("labels %d and %d cover each other", (int)i, (int)k);
        }
    }
}

enum { CROWD = 300, PLATE_BYTES = 3 * 40 * 400 };

static void crowds_keep_apart(void **state)
{
    (void)state;
    static const int32_t sizes[][2] = {{640, 480}, {1920, 1080}, {200, 900}, {90, 60}};
    static uint8_t kept[CROWD][PLATE_BYTES], again[PLATE_BYTES];
    static float boxes[CROWD][4];
    struct test_env t;
    test_env_init(&t);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct det_image image = make_image(&t, sizes[s][0], sizes[s][1]);
        struct det_labels taken = {0}, repeated = {0};
        struct det_rng rng;
        int32_t plate_of[CROWD], whole = 0;
        det_rng_init(&rng, s, 0, 0);
        for (int i = 0; i < CROWD; i++) {
            const float y = det_rng_uniform(&rng) * 1.2F - .1F;
            const float x = det_rng_uniform(&rng) * 1.2F - .1F;
            const float size = .02F + .1F * det_rng_uniform(&rng);
            const float box[4] = {y, x, y + size, x + size};
            memcpy(boxes[i], box, sizeof box);
            det_draw_box(det_surface_of(&image), box, i);
        }
        for (int i = 0; i < CROWD; i++) {
            char text[32];
            snprintf(text, sizeof text, "person %d%%", 99 - i / 4);
            plate_of[i] = det_draw_label(&taken, det_surface_of(&image), boxes[i], i, text)
                              ? taken.count - 1
                              : -1;
            det_draw_label(&repeated, det_surface_of(&image), boxes[i], i, text);
            if (plate_of[i] < 0)
                continue;
            const float *area = taken.areas_px[plate_of[i]];
            const float height = area[2] - area[0], width = area[3] - area[1];
            assert_true(3 * height * width <= PLATE_BYTES);
            copy_area(&image, area, kept[i]);
            whole += width > det_text_width_px("person", height / 1.1F);
            /* It touches its box, up to the frame's breadth. */
            const float h = (float)image.height, w = (float)image.width;
            const float near = det_draw_thickness_px(det_surface_of(&image)) + 1;
            assert_true(area[0] <= boxes[i][2] * h + near && area[2] >= boxes[i][0] * h - near);
            assert_true(area[1] <= boxes[i][3] * w + near && area[3] >= boxes[i][1] * w - near);
        }
        assert_areas(&taken, &image);
        assert_memory_equal(&taken, &repeated, sizeof taken);
        /* No later one was drawn over it. */
        for (int i = 0; i < CROWD; i++)
            if (plate_of[i] >= 0) {
                const float *area = taken.areas_px[plate_of[i]];
                copy_area(&image, area, again);
                assert_memory_equal(kept[i], again,
                                    3 * (size_t)((area[2] - area[0]) * (area[3] - area[1])));
            }
        /* The picture is used: at least a third of what plates of this size could cover. */
        float covered = 0;
        for (int32_t i = 0; i < taken.count; i++)
            covered += (taken.areas_px[i][2] - taken.areas_px[i][0]) *
                       (taken.areas_px[i][3] - taken.areas_px[i][1]);
        assert_true(covered > (float)image.width * (float)image.height / 3);
        assert_true(whole > 0);
        det_free(&t.env, &image.rgb);
    }
    test_env_check(&t);
}

static void places_come_in_order(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_image image = make_image(&t, 400, 400);
    const struct det_surface to = det_surface_of(&image);
    const float box[4] = {.4F, .4F, .6F, .6F}; /* 160 to 240 px; the frame is 1.5 px */
    struct det_labels taken = {0};
    /* Eleven labels of one box: size 13, so 14 high; "ab 1" and padding. */
    const float width = det_text_width_px("ab 1", 13) + 6;
    const float wanted[][2] = {
        {145, 159},         {145, 241 - width}, {161, 159},         {241, 159}, {225, 159},
        {241, 241 - width}, {161, 241 - width}, {225, 241 - width}, {161, 241}, {161, 159 - width},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (!det_draw_label(&taken, to, box, 0, "ab 1"))
            fail_msg("place %zu", i);
        const float *area = taken.areas_px[i];
        assert_near(area[0], wanted[i][0], 1);
        assert_near(area[1], wanted[i][1], 1);
        assert_near(area[2] - area[0], 14, 0);
        assert_near(area[3] - area[1], width, 0);
    }
    assert_areas(&taken, &image);
    /* A whole box's worth is taken; elsewhere there is room. */
    const float other[4] = {.1F, .1F, .2F, .2F};
    assert_true(det_draw_label(&taken, to, other, 0, "ab 1"));
    /* Corners: inside the picture. */
    static const float corners[][4] = {{-.1F, -.1F, .05F, .05F},
                                       {-.1F, .95F, .05F, 1.1F},
                                       {.95F, -.1F, 1.1F, .05F},
                                       {.95F, .95F, 1.1F, 1.1F},
                                       {0, 0, 1, 1}};
    for (size_t i = 0; i < sizeof corners / sizeof corners[0]; i++)
        assert_true(det_draw_label(&taken, to, corners[i], 0, "truck 12%"));
    assert_areas(&taken, &image);
    det_free(&t.env, &image.rgb);
    test_env_check(&t);
}

static void labels_are_shortened_or_left_out(void **state)
{
    (void)state;
    /* In a picture so wide, the text that fits. */
    static const struct {
        const char *text, *shown;
    } cases[] = {{"traffic light 87%", "87%"},
                 {"car 97% #12", "#12"},
                 {"excavator", "exc."},
                 {"\303\266\303\266\303\266\303\266\303\266\303\266", "\303\266\303\266\303\266."},
                 {"a wonderfullylongwordandmore", NULL},
                 {"horse", NULL}};
    struct test_env t;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *fits = cases[i].shown != NULL ? cases[i].shown : "ho";
        const float width = det_text_width_px(fits, 13) + 6;
        struct det_image image = make_image(&t, (int32_t)width, 60);
        struct det_labels taken = {0};
        const float box[4] = {.5F, .1F, .9F, .9F};
        const bool drawn = det_draw_label(&taken, det_surface_of(&image), box, 0, cases[i].text);
        assert_int_equal(drawn, cases[i].shown != NULL);
        assert_int_equal(taken.count, drawn);
        if (drawn)
            assert_near(taken.areas_px[0][3] - taken.areas_px[0][1], width, 0);
        det_free(&t.env, &image.rgb);
    }
    /* Bytes that begin no character. */
    struct det_image narrow = make_image(&t, 20, 60);
    struct det_labels none = {0};
    const float whole[4] = {0, 0, 1, 1};
    (void)det_draw_label(&none, det_surface_of(&narrow), whole, 0, "\x80\x80\x80\x80\x80\x80\x80");
    det_free(&t.env, &narrow.rgb);
    /* More labels than there are places for. */
    static struct det_labels full;
    struct det_image image = make_image(&t, 100, 100);
    const float box[4] = {.5F, .1F, .9F, .9F};
    full.count = DET_MOST_LABELS;
    assert_false(det_draw_label(&full, det_surface_of(&image), box, 0, "x"));
    assert_int_equal(full.count, DET_MOST_LABELS);
    det_free(&t.env, &image.rgb);
    test_env_check(&t);
}

static void a_legend_is_kept_free(void **state)
{
    (void)state;
    enum { LINES = 40 };
    char names[LINES][40];
    det_legend_line lines[LINES];
    struct test_env t;
    test_env_init(&t);
    struct det_image image = make_image(&t, 640, 200);
    struct det_labels taken = {0};
    for (int i = 0; i < LINES; i++) {
        snprintf(names[i], sizeof names[i], "class %d: %d", i, 1000 * i);
        lines[i] = (det_legend_line){det_palette_colour(i), names[i]};
    }
    det_draw_legend(&taken, det_surface_of(&image), lines, LINES);
    assert_int_equal(taken.count, LINES); /* in five columns */
    assert_areas(&taken, &image);
    assert_near(taken.areas_px[0][0], 0, 0);
    assert_near(taken.areas_px[0][1], 0, 0);
    for (int i = 0; i < 20; i++) {
        const float y = (float)(i % 5) * .2F, x = (float)(i / 5) * .25F;
        const float box[4] = {y, x, y + .1F, x + .1F};
        det_draw_label(&taken, det_surface_of(&image), box, i, "car 50%");
    }
    assert_areas(&taken, &image);
    det_free(&t.env, &image.rgb);
    test_env_check(&t);
}

int test_draw_labels(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crowds_keep_apart),
        cmocka_unit_test(places_come_in_order),
        cmocka_unit_test(labels_are_shortened_or_left_out),
        cmocka_unit_test(a_legend_is_kept_free),
    };
    return cmocka_run_group_tests_name("draw_labels", tests, NULL, NULL);
}
