/* data/image_bmp.c, image_gif.c: each kind of file that has this extension, pixel by pixel, and
 * what is none. The builders' files were compared with PIL, FFmpeg and TensorFlow's
 * decode_image. */
#include "data/image.h"
#include "support/pictures.h"

static const uint8_t *colour_of(uint32_t index)
{
    static uint8_t rgb[3];
    rgb[0] = (uint8_t)(7 * index);
    rgb[1] = (uint8_t)(255 - 5 * index);
    rgb[2] = (uint8_t)(3 * index);
    return rgb;
}

/* --- BMP --- */

enum { WIDTH = 5, HEIGHT = 3 };

static const uint32_t masks_565[3] = {0xf800, 0x7e0, 0x1f};
static const uint32_t masks_rgba[3] = {0xff, 0xff00, 0xff0000};
static const uint32_t masks_10[3] = {0x3ff00000, 0xffc00, 0x3ff};

static const struct {
    uint32_t header_bytes, bits, compression, colours;
    const uint32_t *masks;
    bool top_down;
} bmps[] = {
    {40, 1, 0, 2, NULL, false},        {40, 2, 0, 4, NULL, false},
    {40, 4, 0, 16, NULL, false},       {40, 4, 0, 11, NULL, false},
    {40, 8, 0, 256, NULL, false},      {40, 8, 0, 60, NULL, true},
    {12, 4, 0, 16, NULL, false},       {12, 24, 0, 0, NULL, false},
    {40, 16, 0, 0, NULL, false},       {40, 16, 3, 0, masks_565, false},
    {108, 16, 3, 0, masks_565, true},  {40, 24, 0, 0, NULL, false},
    {40, 24, 0, 0, NULL, true},        {40, 32, 0, 0, NULL, false},
    {124, 32, 3, 0, masks_rgba, true}, {40, 32, 3, 0, masks_10, false},
    {108, 24, 0, 0, NULL, false},      {56, 32, 6, 0, masks_rgba, false},
};
enum { BMPS = sizeof bmps / sizeof bmps[0] };

/* A pixel's bits, and what it must become. */
static uint32_t pixel_of(size_t which, int y, int x, uint8_t rgb[3])
{
    const uint32_t n = (uint32_t)(y * WIDTH + x), bits = bmps[which].bits;
    if (bits <= 8) {
        const uint32_t index = n * 3 % (bmps[which].colours < 60 ? bmps[which].colours : 60);
        memcpy(rgb, colour_of(index), 3);
        return index;
    }
    const uint32_t all = bits == 16 ? 0xffff : bits == 24 ? 0xffffff : 0xffffffff;
    const uint32_t pixel = n * 2654435761U & all;
    static const uint32_t masks_555[3] = {0x7c00, 0x3e0, 0x1f}, plain[3] = {0xff0000, 0xff00, 0xff};
    const uint32_t *masks = bmps[which].masks != NULL ? bmps[which].masks
                            : bits == 16              ? masks_555
                                                      : plain;
    for (int c = 0; c < 3; c++) {
        uint32_t mask = masks[c], value = pixel & mask;
        for (; (mask & 1) == 0; mask >>= 1)
            value >>= 1;
        rgb[c] = (uint8_t)(value * 255.0 / mask + 0.5);
    }
    return pixel;
}

static struct test_bytes make_bmp(size_t which)
{
    const uint32_t bits = bmps[which].bits;
    const size_t stride = (WIDTH * bits + 31) / 32 * 4;
    uint8_t pixels[HEIGHT * WIDTH * 4 + 16] = {0};
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            uint8_t rgb[3];
            const uint32_t pixel = pixel_of(which, y, x, rgb);
            uint8_t *row = pixels + (size_t)(bmps[which].top_down ? y : HEIGHT - 1 - y) * stride;
            const size_t bit = (size_t)x * bits;
            if (bits < 8)
                row[bit / 8] |= (uint8_t)(pixel << (8 - bits - bit % 8));
            for (size_t i = 0; i < bits / 8; i++)
                row[bit / 8 + i] = (uint8_t)(pixel >> 8 * i);
        }
    const struct test_bmp bmp = {.header_bytes = bmps[which].header_bytes,
                                 .width = WIDTH,
                                 .height = bmps[which].top_down ? -HEIGHT : HEIGHT,
                                 .bits = bits,
                                 .compression = bmps[which].compression,
                                 .masks = bmps[which].masks,
                                 .colours = bmps[which].colours,
                                 .pixels = pixels,
                                 .pixel_bytes = HEIGHT * stride};
    return test_make_bmp(&bmp);
}

static void bmps_become_rgb(void **state)
{
    (void)state;
    struct test_env t;
    struct det_image image = {0};
    test_env_init(&t);
    for (size_t i = 0; i < BMPS; i++) {
        struct test_bytes file = make_bmp(i);
        assert_ok(&t.env, det_image_decode(&t.env, "x.bmp", file.data, file.count, &image));
        assert_true(image.width == WIDTH && image.height == HEIGHT);
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++) {
                uint8_t rgb[3];
                pixel_of(i, y, x, rgb);
                const uint8_t *got = image.rgb + (y * WIDTH + x) * 3;
                if (memcmp(got, rgb, 3) != 0)
                    fail_msg("case %zu, pixel %d, %d: %d %d %d, expected %d %d %d", i, y, x, got[0],
                             got[1], got[2], rgb[0], rgb[1], rgb[2]);
            }
        test_damage_picture(&t, &file);
        free(file.data);
    }
    det_image_free(&t.env, &image);
    test_env_check(&t);
}

/* 8 bits: 5 x 1; 1 2 3 as they are, two 4; nothing, moved by 2; 5. 4 bits: the same in halves of
 * bytes. */
static void bmp_run_lengths(void **state)
{
    (void)state;
    static const uint8_t rle8[] = {5, 1, 0, 0, 0, 3, 1, 2, 3, 0, 2,
                                   4, 0, 0, 0, 2, 2, 0, 1, 5, 0, 1};
    static const uint8_t rle4[] = {6, 0x11, 0, 0, 0, 3, 0x12, 0x30, 2, 0x44,
                                   0, 0,    0, 2, 2, 0, 1,    0x50, 0, 1};
    static const uint8_t indices[HEIGHT][WIDTH] = {
        {0, 0, 5, 0, 0}, {1, 2, 3, 4, 4}, {1, 1, 1, 1, 1}};
    struct test_env t;
    struct det_image image = {0};
    test_env_init(&t);
    for (uint32_t kind = 1; kind <= 2; kind++) {
        const struct test_bmp bmp = {.header_bytes = 40,
                                     .width = WIDTH,
                                     .height = HEIGHT,
                                     .bits = kind == 1 ? 8 : 4,
                                     .compression = kind,
                                     .colours = 16,
                                     .pixels = kind == 1 ? rle8 : rle4,
                                     .pixel_bytes = kind == 1 ? sizeof rle8 : sizeof rle4};
        struct test_bytes file = test_make_bmp(&bmp);
        assert_ok(&t.env, det_image_decode(&t.env, "x.bmp", file.data, file.count, &image));
        for (int i = 0; i < HEIGHT * WIDTH; i++)
            assert_memory_equal(image.rgb + i * 3, colour_of(indices[i / WIDTH][i % WIDTH]), 3);
        test_damage_picture(&t, &file);
        assert_fails(&t.env, DET_STATUS_CORRUPT, "y.bmp: truncated BMP: the data ends at row ",
                     det_image_decode(&t.env, "y.bmp", file.data, file.count - 12, &image));
        free(file.data);
    }
    det_image_free(&t.env, &image);
    test_env_check(&t);
}

static void bmps_that_are_refused(void **state)
{
    (void)state;
    static const uint8_t pixels[64] = {0, 1, 99};
    static const struct {
        struct test_bmp bmp;
        det_status status;
        const char *message;
    } cases[] = {
        {{40, 0, 3, 24, 0, NULL, 0, pixels, 36}, DET_STATUS_CORRUPT, "x: BMP of 0 x 3 pixels"},
        {{40, 3, INT32_MIN, 24, 0, NULL, 0, pixels, 36}, DET_STATUS_UNSUPPORTED, "65500 at most"},
        {{40, -3, 3, 24, 0, NULL, 0, pixels, 36}, DET_STATUS_UNSUPPORTED, "65500 at most"},
        {{40, 20000, 20000, 24, 0, NULL, 0, pixels, 36},
         DET_STATUS_UNSUPPORTED,
         "BMP of 20000 x 20000 pixels is too large: max_image_pixels allows 120000000"},
        {{16, 3, 3, 24, 0, NULL, 0, pixels, 36}, DET_STATUS_CORRUPT, "a header of 16 bytes"},
        {{40, 3, 3, 24, 4, NULL, 0, pixels, 36},
         DET_STATUS_UNSUPPORTED,
         "24 bits a pixel and compression 4"},
        {{40, 3, 3, 13, 0, NULL, 0, pixels, 36}, DET_STATUS_UNSUPPORTED, "13 bits a pixel"},
        {{40, 3, -3, 8, 1, NULL, 9, pixels, 36}, DET_STATUS_UNSUPPORTED, "top row first"},
        {{40, 3, 3, 8, 0, NULL, 9, pixels, 36}, DET_STATUS_CORRUPT, "colour 99 of a palette of 9"},
        {{40, 3, 3, 24, 0, NULL, 0, pixels, 30}, DET_STATUS_CORRUPT, "ends at row 2 of 3"},
    };
    struct test_env t;
    struct det_image image = {0};
    test_env_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct test_bytes file = test_make_bmp(&cases[i].bmp);
        assert_fails(&t.env, cases[i].status, cases[i].message,
                     det_image_decode(&t.env, "x", file.data, file.count, &image));
        free(file.data);
    }
    /* The padding of the last row may be missing. */
    const struct test_bmp bmp = {40, 3, 3, 24, 0, NULL, 0, pixels, 33};
    struct test_bytes file = test_make_bmp(&bmp);
    assert_ok(&t.env, det_image_decode(&t.env, "x", file.data, file.count, &image));
    free(file.data);
    det_image_free(&t.env, &image);
    test_env_check(&t);
}

/* --- GIF --- */

static void check_gif(struct test_env *t, const struct test_gif *gif, bool damage)
{
    struct det_image image = {0};
    struct test_bytes file = test_make_gif(gif);
    assert_ok(&t->env, det_image_decode(&t->env, "x.gif", file.data, file.count, &image));
    const int right = gif->left + gif->width, bottom = gif->top + gif->height;
    assert_int_equal(image.width, right > gif->screen_width ? right : gif->screen_width);
    assert_int_equal(image.height, bottom > gif->screen_height ? bottom : gif->screen_height);
    for (int y = 0; y < image.height; y++)
        for (int x = 0; x < image.width; x++) {
            static const uint8_t black[3] = {0, 0, 0};
            const uint8_t *got = image.rgb + ((size_t)y * (size_t)image.width + (size_t)x) * 3;
            const bool inside = y >= gif->top && y < bottom && x >= gif->left && x < right;
            const int index =
                inside ? gif->colours[(y - gif->top) * gif->width + x - gif->left] : -1;
            const uint8_t *wanted =
                index < 0 || index == gif->transparent ? black : colour_of((uint32_t)index);
            if (memcmp(got, wanted, 3) != 0)
                fail_msg("pixel %d, %d of %d x %d: %d %d %d, expected %d %d %d", y, x, image.width,
                         image.height, got[0], got[1], got[2], wanted[0], wanted[1], wanted[2]);
        }
    if (damage)
        test_damage_picture(t, &file);
    free(file.data);
    det_image_free(&t->env, &image);
}

static void gifs_become_rgb(void **state)
{
    (void)state;
    enum { MOST = 200 * 170 };
    static uint8_t colours[MOST];
    struct test_env t;
    test_env_init(&t);
    for (int bits = 1; bits <= 8; bits++) {
        for (int i = 0; i < MOST; i++)
            colours[i] = (uint8_t)((uint32_t)i * 2654435761U >> 20 & ((1U << bits) - 1));
        for (int kind = 0; kind < 4; kind++) {
            struct test_gif gif = {9, 7, 0, 0, 9, 7, bits, kind == 1, kind == 2, -1, colours};
            if (kind == 3)
                gif.transparent = 1;
            check_gif(&t, &gif, true);
        }
        /* The table fills up and is emptied. */
        const struct test_gif large = {200, 170, 0, 0, 200, 170, bits, false, true, -1, colours};
        check_gif(&t, &large, bits == 8);
    }
    /* Runs: the longest texts, and codes that stand for the entry that they make. */
    memset(colours, 1, sizeof colours);
    const struct test_gif flat = {200, 170, 0, 0, 200, 170, 2, false, false, -1, colours};
    check_gif(&t, &flat, true);
    for (int height = 1; height <= 9; height++) { /* passes without a row */
        for (int i = 0; i < 3 * height; i++)
            colours[i] = (uint8_t)(i % 4);
        const struct test_gif rows = {3, height, 0, 0, 3, height, 2, false, true, -1, colours};
        check_gif(&t, &rows, false);
    }
    static const int places[][6] = {
        {6, 5, 2, 1, 3, 2}, {2, 2, 1, 1, 3, 2}, {0, 0, 0, 0, 4, 4}, {1, 1, 5, 6, 1, 1}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const int *p = places[i];
        const struct test_gif gif = {p[0], p[1],  p[2],  p[3], p[4],   p[5],
                                     2,    false, false, -1,   colours};
        check_gif(&t, &gif, false);
    }
    test_env_check(&t);
}

static void gifs_that_are_refused(void **state)
{
    (void)state;
    static const uint8_t colours[12] = {0, 1, 2, 3, 0, 1, 2, 3, 3, 2, 1, 0};
    static const struct test_gif gif = {4, 3, 0, 0, 4, 3, 2, false, false, -1, colours};
    enum { FLAGS = 10, EXTENSION = 25, FRAME = 34, FRAME_FLAGS = 43, BITS = 44 };
    static const struct {
        size_t at;
        uint8_t value;
        det_status status;
        const char *message;
    } cases[] = {
        {EXTENSION, 0x3b, DET_STATUS_CORRUPT, "x: GIF without a picture"},
        {EXTENSION, 0x77, DET_STATUS_CORRUPT, "GIF: byte 25 is 77, no block begins so"},
        {FRAME + 5, 0, DET_STATUS_CORRUPT, "GIF with a frame of 0 x 3 pixels"},
        {FRAME + 6, 0xff, DET_STATUS_CORRUPT, "truncated GIF: the data ends at pixel 12 of "},
        {BITS, 0, DET_STATUS_CORRUPT, "GIF: codes of 0 bits"},
        {BITS, 12, DET_STATUS_CORRUPT, "GIF: codes of 12 bits"},
        {BITS + 2, 0xff, DET_STATUS_CORRUPT, "GIF: code 7 is not in the table yet"},
    };
    struct test_env t;
    struct det_image image = {0};
    test_env_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct test_bytes file = test_make_gif(&gif);
        file.data[cases[i].at] = cases[i].value;
        assert_fails(&t.env, cases[i].status, cases[i].message,
                     det_image_decode(&t.env, "x", file.data, file.count, &image));
        free(file.data);
    }
    struct test_bytes file = test_make_gif(&gif);
    /* No palette at all. */
    file.data[FLAGS] = 0;
    memmove(file.data + 13, file.data + EXTENSION, file.count - EXTENSION);
    assert_fails(&t.env, DET_STATUS_CORRUPT, "GIF without a palette",
                 det_image_decode(&t.env, "x", file.data, file.count - 12, &image));
    free(file.data);
    /* 2 colours, pixels of up to 3. */
    const struct test_gif narrow = {4, 3, 0, 0, 4, 3, 1, false, false, -1, colours};
    file = test_make_gif(&narrow);
    assert_fails(&t.env, DET_STATUS_CORRUPT, "GIF: a pixel has colour 2 of a palette of 2",
                 det_image_decode(&t.env, "x", file.data, file.count, &image));
    free(file.data);
    test_env_check(&t);
}

/* --- all --- */

static det_status decode_all(struct det_env *env, void *argument)
{
    const struct test_bytes *files = argument;
    det_status status = DET_OK;
    for (int i = 0; i < 2 && status == DET_OK; i++) {
        struct det_image image = {0};
        status = det_image_decode(env, "x", files[i].data, files[i].count, &image);
        det_image_free(env, &image);
    }
    return status;
}

static void failed_allocations(void **state)
{
    (void)state;
    static const uint8_t colours[12] = {0, 1, 2, 3, 0, 1, 2, 3, 3, 2, 1, 0};
    const struct test_gif gif = {4, 3, 0, 0, 4, 3, 2, false, false, -1, colours};
    struct test_bytes files[2] = {make_bmp(0), test_make_gif(&gif)};
    test_each_allocation_fails(decode_all, files);
    free(files[0].data);
    free(files[1].data);
}

static void names_tell_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum det_image_kind kind;
        const char *extension;
    } cases[] = {
        {"a.jpg", DET_IMAGE_JPEG, ".jpg"},       {"x/b.c.JPEG", DET_IMAGE_JPEG, ".JPEG"},
        {"a.Png", DET_IMAGE_PNG, ".Png"},        {"a.bmp", DET_IMAGE_BMP, ".bmp"},
        {"a.gif", DET_IMAGE_GIF, ".gif"},        {"a.webp", DET_IMAGE_WEBP, ".webp"},
        {"a.tif", DET_IMAGE_UNKNOWN, NULL},      {"jpg", DET_IMAGE_UNKNOWN, NULL},
        {"x.jpg/data", DET_IMAGE_UNKNOWN, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *extension = det_image_extension(cases[i].name);
        assert_int_equal(det_image_kind_of_name(cases[i].name), cases[i].kind);
        assert_int_equal(extension == NULL, cases[i].extension == NULL);
        if (extension != NULL)
            assert_string_equal(extension, cases[i].extension);
    }
}

int test_image_kinds(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bmps_become_rgb),       cmocka_unit_test(bmp_run_lengths),
        cmocka_unit_test(bmps_that_are_refused), cmocka_unit_test(gifs_become_rgb),
        cmocka_unit_test(gifs_that_are_refused), cmocka_unit_test(failed_allocations),
        cmocka_unit_test(names_tell_kinds),
    };
    return cmocka_run_group_tests_name("image_kinds", tests, NULL, NULL);
}
