/* data/image.h: what pictures may cost: sizes, scans, memory. */
#include <zlib.h>

#include "data/image.h"
#include "support/image_files.h"
#include "support/mem.h"

static det_status decode_all(struct det_env *env, void *argument)
{
    const struct test_bytes *files = argument;
    struct det_image image = {0};
    det_status status = DET_OK;
    for (int i = 0; i < 3 && status == DET_OK; i++) {
        status = det_image_decode(env, "x", files[i].data, files[i].count, &image);
        uint8_t *data = NULL;
        size_t bytes = 0;
        if (status == DET_OK)
            status = i == 0 ? det_image_encode_jpeg(env, &image, 80, &data, &bytes)
                            : det_image_encode_png(env, &image, &data, &bytes);
        if ((data == NULL) != (status != DET_OK))
            status = DET_STATUS_INTERNAL;
        det_free(env, &data);
        det_image_free(env, &image);
    }
    return status;
}

/* libpng's own included. */
static void failed_allocations(void **state)
{
    (void)state;
    struct test_bytes files[3] = {
        make_jpeg_file(20, 10, 3, JCS_YCbCr, true),
        make_jpeg_file(20, 10, 4, JCS_YCCK, false),
        make_png_file(20, 10, PNG_COLOR_TYPE_PALETTE, 8, PNG_INTERLACE_ADAM7),
    };
    test_each_allocation_fails(decode_all, files);
    for (int i = 0; i < 3; i++)
        free(files[i].data);
}

static det_status encode_noise(struct det_env *env, void *argument)
{
    (void)argument;
    struct det_image image = {0};
    uint8_t *data = NULL;
    size_t bytes = 0;
    det_status status = det_image_resize_buffer(env, &image, 500, 300);
    uint32_t noise = 1;
    for (int i = 0; status == DET_OK && i < 500 * 300 * 3; i++) {
        noise = noise * 1664525 + 1013904223;
        image.rgb[i] = (uint8_t)(noise >> 24);
    }
    if (status == DET_OK)
        status = det_image_encode_jpeg(env, &image, 100, &data, &bytes);
    if (status == DET_OK)
        assert_true(bytes > 200000 && memcmp(data + bytes - 2, "\xff\xd9", 2) == 0);
    else
        assert_null(data);
    det_free(env, &data);
    det_image_free(env, &image);
    return status;
}

/* Its output grows more than once; nothing is released twice when it cannot. */
static void failed_growth_of_a_jpeg(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    assert_ok(&t.env, encode_noise(&t.env, NULL));
    assert_true(test_env_allocations(&t) >= 4); /* the picture, and blocks that grow */
    test_env_check(&t);
    test_each_allocation_fails(encode_noise, NULL);
}

/* A program's hooks see what a PNG takes, and can refuse it. */
static void pngs_take_their_memory_from_the_env(void **state)
{
    (void)state;
    struct test_env t;
    struct det_image image = {0};
    test_env_init(&t);
    struct test_bytes file = make_png_file(19, 11, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE);
    assert_ok(&t.env, det_image_decode(&t.env, "x", file.data, file.count, &image));
    const long before = test_env_allocations(&t), live = test_env_live(&t);
    assert_ok(&t.env, det_image_decode(&t.env, "x", file.data, file.count, &image));
    assert_true(test_env_allocations(&t) - before > 3);
    assert_int_equal(test_env_live(&t), live);
    free(file.data);
    det_image_free(&t.env, &image);
    test_env_check(&t);
}

/* libjpeg's memory is its own; what it cannot have is no fault of the file. */
static void libjpeg_without_memory(void **state)
{
    (void)state;
    struct test_env t;
    struct det_image image = {0};
    test_env_init(&t);
    struct test_bytes file = make_jpeg_file(200, 100, 3, JCS_YCbCr, true);
    assert_int_equal(setenv("JPEGMEM", "1", 1), 0); /* kilobytes */
    const det_status status = det_image_decode(&t.env, "x.jpg", file.data, file.count, &image);
    assert_int_equal(unsetenv("JPEGMEM"), 0);
    if (status != DET_STATUS_OUT_OF_MEMORY)
        fail_msg("%s: %s", det_status_text(status), t.env.error);
    assert_ok(&t.env, det_image_decode(&t.env, "x.jpg", file.data, file.count, &image));
    free(file.data);
    det_image_free(&t.env, &image);
    test_env_check(&t);
}

/* --- limits --- */

/* A grey progressive JPEG of `scans` + 1 scans, which say that every coefficient is 0: a few bytes
 * each, and each is a pass over the whole picture. */
static struct test_bytes make_scans(int side, int scans)
{
    static const uint8_t head[] = {0xff, 0xd8, 0xff, 0xc4, 0,    20, 0x00, 1, 0,   0, 0, 0, 0,
                                   0,    0,    0,    0,    0,    0,  0,    0, 0,   0, 0, /* DC: 0 */
                                   0xff, 0xc4, 0,    20,   0x10, 1,  0,    0, 0,   0, 0, 0, 0,
                                   0,    0,    0,    0,    0,    0,  0,    0, 0xe0}; /* AC: EOB14 */
    const int blocks = side / 8 * (side / 8);
    struct test_bytes file = {malloc((size_t)(blocks / 8 + 200 + scans * (20 + blocks / 8000))), 0};
    assert_non_null(file.data);
#define PUT(...)                                           \
    do {                                                   \
        const uint8_t put_[] = {__VA_ARGS__};              \
        memcpy(file.data + file.count, put_, sizeof put_); \
        file.count += sizeof put_;                         \
    } while (0)
    memcpy(file.data, head, sizeof head);
    file.count = sizeof head;
    PUT(0xff, 0xdb, 0, 67, 0);
    memset(file.data + file.count, 16, 64);
    file.count += 64;
    PUT(0xff, 0xc2, 0, 11, 8, (uint8_t)(side >> 8), (uint8_t)side, (uint8_t)(side >> 8),
        (uint8_t)side, 1, 1, 0x11, 0);
    PUT(0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0);
    memset(file.data + file.count, 0, (size_t)(blocks / 8));
    file.count += (size_t)(blocks / 8);
    for (int scan = 0; scan < scans; scan++) {
        PUT(0xff, 0xda, 0, 8, 1, 1, 0, 1, 1, 0);
        uint32_t bits = 0;
        int count = 0;
        for (int left = blocks; left > 0;
             left -= 16384) { /* code 0, then 14 bits: a run of 16384 */
            bits <<= 15;
            for (count += 15; count >= 8; count -= 8)
                PUT((uint8_t)(bits >> (count - 8)));
        }
        PUT((uint8_t)(bits << (8 - count) | ((1U << (8 - count)) - 1)));
    }
    PUT(0xff, 0xd9);
#undef PUT
    return file;
}

static void scans_are_limited(void **state)
{
    (void)state;
    static const struct {
        int side, scans;     /* of the file, the first one not counted */
        uint64_t max_pixels; /* 0: the default */
        int max_scans;
        bool refused;
        const char *message;
    } cases[] = {
        {256, 99, 0, 0, false, ""},
        {256, 100, 0, 0, true, "progressive JPEG of 256 x 256 pixels with more than 100 scans"},
        {256, 3000, 0, 0, true, "max_jpeg_scans and max_image_pixels allow no more"},
        {256, 150, 0, 200, false, ""},
        {256, 5, 0, 5, true, "with more than 5 scans"},
        /* scans x pixels: 20 times the largest picture, or 40 times half of it */
        {256, 19, 65536, 0, false, ""},
        {256, 20, 65536, 0, true, "with more than 20 scans"},
        {256, 39, 131072, 0, false, ""},
        {256, 40, 131072, 0, true, "with more than 40 scans"},
        {256, 1, 65535, 0, true,
         "x: JPEG of 256 x 256 pixels is too large: max_image_pixels allows 65535"},
    };
    struct test_env t;
    struct det_image image = {0};
    test_env_init(&t);
    const struct det_limits defaults = t.env.limits;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct test_bytes file = make_scans(cases[i].side, cases[i].scans);
        t.env.limits = defaults;
        if (cases[i].max_pixels > 0)
            t.env.limits.max_image_pixels = cases[i].max_pixels;
        if (cases[i].max_scans > 0)
            t.env.limits.max_jpeg_scans = cases[i].max_scans;
        const det_status status = det_image_decode(&t.env, "x", file.data, file.count, &image);
        if (status != (cases[i].refused ? DET_STATUS_UNSUPPORTED : DET_OK))
            fail_msg("case %zu: %s: %s", i, det_status_text(status), t.env.error);
        if (cases[i].refused)
            assert_contains(t.env.error, cases[i].message);
        free(file.data);
    }
    det_image_free(&t.env, &image);
    test_env_check(&t);
}

/* Before memory is taken; a grey picture becomes RGB, so its components do not count. */
static void sizes_are_limited(void **state)
{
    (void)state;
    struct test_env t;
    struct det_image image = {0};
    test_env_init(&t);
    struct test_bytes file = make_scans(256, 1);
    /* The frame header's sides. */
    uint8_t *size = file.data + 2 + 22 + 22 + 69 + 5;
    assert_true(size[0] == 1 && size[1] == 0 && size[2] == 1 && size[3] == 0);
    size[0] = size[2] = 11000 >> 8;
    size[1] = size[3] = 11000 & 255;
    const long before = test_env_allocations(&t);
    assert_fails(&t.env, DET_STATUS_UNSUPPORTED,
                 "x: JPEG of 11000 x 11000 pixels is too large: max_image_pixels allows 120000000",
                 det_image_decode(&t.env, "x", file.data, file.count, &image));
    assert_int_equal(test_env_allocations(&t), before);
    free(file.data);
    file = make_png_file(30, 20, PNG_COLOR_TYPE_GRAY, 8, PNG_INTERLACE_NONE);
    t.env.limits.max_image_pixels = 599;
    assert_fails(&t.env, DET_STATUS_UNSUPPORTED,
                 "x.png: PNG of 30 x 20 pixels is too large: max_image_pixels allows 599",
                 det_image_decode(&t.env, "x.png", file.data, file.count, &image));
    t.env.limits.max_image_pixels = 600;
    assert_ok(&t.env, det_image_decode(&t.env, "x.png", file.data, file.count, &image));
    free(file.data);
    det_image_free(&t.env, &image);
    test_env_check(&t);
}

/* A text that unpacks to 50 MB, and a profile that is none: no pixel depends on them, and they are
 * not looked at. */
static void other_chunks_of_a_png_cost_nothing(void **state)
{
    (void)state;
    enum { UNPACKED = 50 << 20, HEAD = 33 }; /* behind IHDR */
    static const char keyword[] = "Comment\0";
    struct test_env t;
    struct det_image plain = {0}, image = {0};
    test_env_init(&t);
    struct test_bytes png = make_png_file(19, 11, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE);
    uLongf packed = compressBound(UNPACKED);
    uint8_t *text = calloc(1, UNPACKED), *data = malloc(packed + 4 + sizeof keyword);
    assert_true(text != NULL && data != NULL);
    memcpy(data, "zTXt", 4);
    memcpy(data + 4, keyword, sizeof keyword);
    assert_int_equal(compress2(data + 4 + sizeof keyword, &packed, text, UNPACKED, 9), Z_OK);
    free(text);
    assert_ok(&t.env, det_image_decode(&t.env, "x", png.data, png.count, &plain));
    for (int chunk = 0; chunk < 2; chunk++) {
        const size_t length = sizeof keyword + packed, all = length + 12;
        if (chunk == 1) /* the same as a profile, which it is not */
            memcpy(data, "iCCP", 4);
        uint8_t *file = malloc(png.count + all);
        assert_non_null(file);
        memcpy(file, png.data, HEAD);
        const uint32_t crc = (uint32_t)crc32(0, data, (uInt)length + 4);
        for (int i = 0; i < 4; i++) {
            file[HEAD + i] = (uint8_t)(length >> (24 - 8 * i));
            file[HEAD + all - 4 + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        }
        memcpy(file + HEAD + 4, data, length + 4);
        memcpy(file + HEAD + all, png.data + HEAD, png.count - HEAD);
        assert_ok(&t.env, det_image_decode(&t.env, "x", file, png.count + all, &image));
        assert_memory_equal(image.rgb, plain.rgb, 19 * 11 * 3);
        free(file);
    }
    free(data);
    free(png.data);
    det_image_free(&t.env, &plain);
    det_image_free(&t.env, &image);
    test_env_check(&t);
}

int test_image_limits(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_allocations),
        cmocka_unit_test(libjpeg_without_memory),
        cmocka_unit_test(failed_growth_of_a_jpeg),
        cmocka_unit_test(pngs_take_their_memory_from_the_env),
        cmocka_unit_test(scans_are_limited),
        cmocka_unit_test(sizes_are_limited),
        cmocka_unit_test(other_chunks_of_a_png_cost_nothing),
    };
    return cmocka_run_group_tests_name("image_limits", tests, NULL, NULL);
}
