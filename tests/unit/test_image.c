/* data/image.h: every kind of JPEG and PNG that people have, and what they take for one. */
#include <math.h>
#include <stdio.h>

#include <jpeglib.h>
#include <png.h>
#include <zlib.h>

#include "data/image.h"
#include "support/mem.h"
#include "support/records.h"
#include "support/test.h"

struct bytes {
    uint8_t *data;
    size_t count;
};

static uint8_t pattern(int y, int x, int c)
{
    return (uint8_t)(c == 0 ? x * 7 + y : c == 1 ? y * 5 : 255 - x * 3 - y);
}

/* `components` 1, 3 or 4; 4 is CMYK with the pattern as ink and no black, written as `space`. */
static struct bytes make_jpeg(int width, int height, int components, J_COLOR_SPACE space,
                              bool progressive)
{
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    unsigned char *data = NULL;
    unsigned long count = 0;
    jpeg_mem_dest(&info, &data, &count);
    info.image_width = (JDIMENSION)width;
    info.image_height = (JDIMENSION)height;
    info.input_components = components;
    info.in_color_space = components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&info);
    if (components == 4)
        jpeg_set_colorspace(&info, space);
    jpeg_set_quality(&info, 98, TRUE);
    if (progressive)
        jpeg_simple_progression(&info);
    jpeg_start_compress(&info, TRUE);
    uint8_t *row = malloc((size_t)(width * components));
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            for (int c = 0; c < components; c++)
                row[x * components + c] = c < 3 ? pattern(y / 4, x / 4, c) : 200;
        }
        JSAMPROW rows = row;
        jpeg_write_scanlines(&info, &rows, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    free(row);
    return (struct bytes){data, count};
}

static void append(png_structp png, png_bytep from, size_t count)
{
    struct bytes *bytes = png_get_io_ptr(png);
    bytes->data = realloc(bytes->data, bytes->count + count);
    memcpy(bytes->data + bytes->count, from, count);
    bytes->count += count;
}

static void nothing(png_structp png)
{
    (void)png;
}

/* Any colour type; rows hold the pattern by channel (high byte for 16 bits; the index x % 4 for a
 * palette). */
static struct bytes make_png(int width, int height, int type, int depth, int interlace)
{
    struct bytes bytes = {0};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &bytes, append, nothing);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, depth, type, interlace,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    const png_color palette[4] = {{1, 2, 3}, {40, 50, 60}, {255, 0, 128}, {9, 8, 7}};
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, palette, 4);
    png_write_info(png, info);
    const int channels = type == PNG_COLOR_TYPE_RGB_ALPHA    ? 4
                         : type == PNG_COLOR_TYPE_RGB        ? 3
                         : type == PNG_COLOR_TYPE_GRAY_ALPHA ? 2
                                                             : 1;
    const int sample = depth == 16 ? 2 : 1;
    const size_t row_bytes = (size_t)(width * channels * sample);
    png_bytep *rows = calloc((size_t)height, sizeof *rows);
    for (int y = 0; y < height; y++) {
        rows[y] = calloc(row_bytes, 1);
        for (int x = 0; x < width; x++) {
            for (int c = 0; c < channels; c++) {
                const int at = (x * channels + c) * sample;
                rows[y][at] = (uint8_t)(type == PNG_COLOR_TYPE_PALETTE ? x % 4 : pattern(y, x, c));
                if (sample == 2)
                    rows[y][at + 1] = 0xf7; /* dropped, not rounded */
            }
        }
    }
    png_write_image(png, rows);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    for (int y = 0; y < height; y++)
        free(rows[y]);
    free(rows);
    return bytes;
}

static void jpegs_become_rgb(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const struct {
        int components;
        J_COLOR_SPACE space;
        bool progressive;
    } cases[] = {
        {1, JCS_GRAYSCALE, false}, {1, JCS_GRAYSCALE, true}, {3, JCS_YCbCr, false},
        {3, JCS_YCbCr, true},      {4, JCS_CMYK, false},     {4, JCS_YCCK, true},
    };
    struct det_image image = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes jpeg =
            make_jpeg(37, 29, cases[i].components, cases[i].space, cases[i].progressive);
        assert_ok(&t.env, det_image_decode(&t.env, "x.jpg", jpeg.data, jpeg.count, &image));
        assert_int_equal(image.width, 37);
        assert_int_equal(image.height, 29);
        double error = 0;
        for (int y = 0; y < 29; y++) {
            for (int x = 0; x < 37; x++) {
                for (int c = 0; c < 3; c++) {
                    const int source = pattern(y / 4, x / 4, cases[i].components == 1 ? 0 : c);
                    /* libjpeg writes an Adobe marker: the values are 255 - ink, so k * c / 255. */
                    const int expected = cases[i].components == 4 ? source * 200 / 255 : source;
                    error += abs(image.rgb[(y * 37 + x) * 3 + c] - expected);
                }
            }
        }
        error /= 37 * 29 * 3;
        if (error > 8) /* 4:2:0 blurs colours at the pattern's edges */
            fail_msg("case %zu: mean error %g", i, error);
        free(jpeg.data);
    }
    det_image_free(&t.env, &image);
    test_env_check(&t);
}

/* CMYK without Adobe's marker is plain ink. */
static void cmyk_without_adobe_marker(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct bytes jpeg = make_jpeg(16, 16, 4, JCS_CMYK, false);
    size_t at = 0;
    for (; at + 6 < jpeg.count && memcmp(jpeg.data + at,
                                         "\xff\xee\0\x0e"
                                         "Ad",
                                         6) != 0;
         at++)
        continue;
    assert_true(at + 16 < jpeg.count);
    struct det_image adobe = {0}, plain = {0};
    assert_ok(&t.env, det_image_decode(&t.env, "a", jpeg.data, jpeg.count, &adobe));
    memmove(jpeg.data + at, jpeg.data + at + 16, jpeg.count - at - 16);
    assert_ok(&t.env, det_image_decode(&t.env, "b", jpeg.data, jpeg.count - 16, &plain));
    const int first = pattern(0, 0, 2); /* 255 */
    assert_near(adobe.rgb[2], first * 200 / 255, 4);
    assert_near(plain.rgb[2], (255 - first) * (255 - 200) / 255, 4);
    det_image_free(&t.env, &adobe);
    det_image_free(&t.env, &plain);
    free(jpeg.data);
    test_env_check(&t);
}

static void pngs_become_rgb(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const struct {
        int type, depth;
    } cases[] = {
        {PNG_COLOR_TYPE_RGB, 8},        {PNG_COLOR_TYPE_RGB, 16},
        {PNG_COLOR_TYPE_GRAY, 8},       {PNG_COLOR_TYPE_GRAY, 16},
        {PNG_COLOR_TYPE_RGB_ALPHA, 8},  {PNG_COLOR_TYPE_RGB_ALPHA, 16},
        {PNG_COLOR_TYPE_GRAY_ALPHA, 8}, {PNG_COLOR_TYPE_PALETTE, 8},
    };
    const uint8_t palette[4][3] = {{1, 2, 3}, {40, 50, 60}, {255, 0, 128}, {9, 8, 7}};
    struct det_image image = {0};
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        const int type = cases[i / 2].type;
        struct bytes png = make_png(19, 11, type, cases[i / 2].depth,
                                    i % 2 == 0 ? PNG_INTERLACE_NONE : PNG_INTERLACE_ADAM7);
        assert_ok(&t.env, det_image_decode(&t.env, "x.png", png.data, png.count, &image));
        assert_int_equal(image.width, 19);
        assert_int_equal(image.height, 11);
        for (int y = 0; y < 11; y++) {
            for (int x = 0; x < 19; x++) {
                for (int c = 0; c < 3; c++) {
                    const int expected = type == PNG_COLOR_TYPE_PALETTE  ? palette[x % 4][c]
                                         : (type & PNG_COLOR_MASK_COLOR) ? pattern(y, x, c)
                                                                         : pattern(y, x, 0);
                    assert_int_equal(image.rgb[(y * 19 + x) * 3 + c], expected);
                }
            }
        }
        free(png.data);
    }
    det_image_free(&t.env, &image);
    test_env_check(&t);
}

static void other_content_is_named(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_image image = {0};
    const uint8_t tiff[] = "II*\0\1\0\1\0";
    assert_fails(&t.env, DET_STATUS_UNSUPPORTED,
                 "cat.jpg: not a JPEG, PNG, BMP, GIF or WebP image (starts with 49 49 2A 00: TIFF)",
                 det_image_decode(&t.env, "cat.jpg", tiff, sizeof tiff, &image));
    const uint8_t heic[] = "\0\0\0\x18"
                           "ftypheic\0\0";
    assert_fails(&t.env, DET_STATUS_UNSUPPORTED, ": HEIC)",
                 det_image_decode(&t.env, "x", heic, sizeof heic, &image));
    assert_fails(&t.env, DET_STATUS_CORRUPT, "rec 3: the image is empty (0 bytes)",
                 det_image_decode(&t.env, "rec 3", tiff, 0, &image));
    const uint8_t zeros[64] = {0};
    assert_fails(&t.env, DET_STATUS_CORRUPT, "starts with 00 00 00 00)",
                 det_image_decode(&t.env, "x", zeros, sizeof zeros, &image));
    const uint8_t pointer[] = "version https://git-lfs.github.com/spec/v1\n";
    assert_fails(&t.env, DET_STATUS_CORRUPT, "Git LFS pointer",
                 det_image_decode(&t.env, "x", pointer, sizeof pointer, &image));
    assert_null(image.rgb);
    test_env_check(&t);
}

/* Every cut is an error (TensorFlow's too), every flipped byte ends without a crash or a leak. */
static void damaged_files(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_image image = {0};
    for (int kind = 0; kind < 3; kind++) {
        struct bytes file = kind == 2 ? make_png(21, 17, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE)
                                      : make_jpeg(40, 33, 3, JCS_YCbCr, kind == 1);
        assert_ok(&t.env, det_image_decode(&t.env, "x", file.data, file.count, &image));
        for (size_t cut = 0; cut < file.count; cut += 1 + cut / 64) {
            /* An exact copy, so that a sanitizer sees a read behind the end. */
            uint8_t *part = malloc(cut ? cut : 1);
            memcpy(part, file.data, cut);
            const det_status status = det_image_decode(&t.env, "cut", part, cut, &image);
            if (status != DET_STATUS_CORRUPT)
                fail_msg("kind %d cut at %zu of %zu: %s", kind, cut, file.count,
                         det_status_text(status));
            assert_null(image.rgb);
            free(part);
        }
        for (size_t at = 0; at < file.count; at++) {
            for (int bit = 0; bit < 8; bit += 5) {
                file.data[at] = (uint8_t)(file.data[at] ^ (1 << bit));
                const det_status status =
                    det_image_decode(&t.env, "flip", file.data, file.count, &image);
                assert_true(status == DET_OK || t.env.error[0] != '\0');
                file.data[at] = (uint8_t)(file.data[at] ^ (1 << bit));
            }
        }
        free(file.data);
    }
    struct bytes file = make_jpeg(40, 33, 3, JCS_YCbCr, false);
    assert_fails(&t.env, DET_STATUS_CORRUPT, "half.jpg: truncated JPEG: the data ends at row",
                 det_image_decode(&t.env, "half.jpg", file.data, file.count * 2 / 3, &image));
    free(file.data);
    det_image_free(&t.env, &image);
    test_env_check(&t);
}

static det_status decode_all(struct det_env *env, void *argument)
{
    const struct bytes *files = argument;
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
    struct bytes files[3] = {
        make_jpeg(20, 10, 3, JCS_YCbCr, true),
        make_jpeg(20, 10, 4, JCS_YCCK, false),
        make_png(20, 10, PNG_COLOR_TYPE_PALETTE, 8, PNG_INTERLACE_ADAM7),
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
    struct bytes file = make_png(19, 11, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE);
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
    struct bytes file = make_jpeg(200, 100, 3, JCS_YCbCr, true);
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
static struct bytes make_scans(int side, int scans)
{
    static const uint8_t head[] = {0xff, 0xd8, 0xff, 0xc4, 0,    20, 0x00, 1, 0,   0, 0, 0, 0,
                                   0,    0,    0,    0,    0,    0,  0,    0, 0,   0, 0, /* DC: 0 */
                                   0xff, 0xc4, 0,    20,   0x10, 1,  0,    0, 0,   0, 0, 0, 0,
                                   0,    0,    0,    0,    0,    0,  0,    0, 0xe0}; /* AC: EOB14 */
    const int blocks = side / 8 * (side / 8);
    struct bytes file = {malloc((size_t)(blocks / 8 + 200 + scans * (20 + blocks / 8000))), 0};
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
        struct bytes file = make_scans(cases[i].side, cases[i].scans);
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
    struct bytes file = make_scans(256, 1);
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
    file = make_png(30, 20, PNG_COLOR_TYPE_GRAY, 8, PNG_INTERLACE_NONE);
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
    struct bytes png = make_png(19, 11, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE);
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

static void files_and_buffers(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    char directory[256], path[300];
    test_make_directory(directory, "image");
    struct det_image image = {0}, again = {0};
    assert_ok(&t.env, det_image_resize_buffer(&t.env, &image, 33, 21));
    for (int i = 0; i < 33 * 21 * 3; i++)
        image.rgb[i] = (uint8_t)(i * 31 / 7);
    snprintf(path, sizeof path, "%s/a.PNG", directory);
    assert_ok(&t.env, det_image_write(&t.env, path, &image));
    assert_ok(&t.env, det_image_read(&t.env, path, &again));
    assert_int_equal(again.width, 33);
    assert_memory_equal(again.rgb, image.rgb, 33 * 21 * 3);
    snprintf(path, sizeof path, "%s/a.jpeg", directory);
    assert_ok(&t.env, det_image_write(&t.env, path, &image));
    /* The block is kept when it is large enough. */
    const uint8_t *block = again.rgb;
    assert_ok(&t.env, det_image_read(&t.env, path, &again));
    assert_ptr_equal(again.rgb, block);
    assert_ok(&t.env, det_image_resize_buffer(&t.env, &again, 3, 2));
    assert_ok(&t.env, det_image_resize_buffer(&t.env, &again, 33, 21));
    assert_ptr_equal(again.rgb, block);
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "a.gif: the name must end in",
                 det_image_write(&t.env, "a.gif", &image));
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "0 x 5",
                 det_image_resize_buffer(&t.env, &image, 0, 5));
    assert_fails(&t.env, DET_STATUS_NOT_FOUND, "build/none.jpg",
                 det_image_read(&t.env, "build/none.jpg", &again));
    assert_null(again.rgb);
    det_image_free(&t.env, &image);
    det_image_free(&t.env, &again);
    test_remove_tree(directory);
    test_env_check(&t);
}

/* A half, a quarter, an eighth: the mean of the pixels it stands for, give or take what JPEG does
 * to a picture with jumps from white to black. */
static void reduced_decoding_averages(void **state)
{
    (void)state;
    static const struct {
        struct det_image_least least;
        int32_t width, height;
    } cases[] = {
        {{INT32_MAX, INT32_MAX}, 203, 150},
        {{76, 100}, 203, 150},
        {{75, 102}, 102, 75},
        {{38, 52}, 102, 75},
        {{38, 51}, 51, 38},
        {{19, 26}, 26, 19},
        {{1, 1}, 26, 19},
    };
    struct test_env t;
    test_env_init(&t);
    size_t bytes = 0;
    struct det_image full = {0}, image = {0};
    unsigned char *jpeg = test_make_jpeg(203, 150, 5, &bytes);
    assert_ok(&t.env, det_image_decode(&t.env, "x", jpeg, bytes, &full));
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        assert_ok(&t.env,
                  det_image_decode_reduced(&t.env, "x", jpeg, bytes, cases[c].least, &image));
        assert_int_equal(image.width, cases[c].width);
        assert_int_equal(image.height, cases[c].height);
        assert_int_equal(image.file_width, 203);
        assert_int_equal(image.file_height, 150);
        const int32_t step = (203 + image.width - 1) / image.width;
        double error = 0;
        for (int32_t y = 0; y < image.height; y++)
            for (int32_t x = 0; x < image.width * 3; x++) {
                double sum = 0, count = 0;
                for (int32_t i = y * step; i < (y + 1) * step && i < 150; i++)
                    for (int32_t k = x / 3 * step; k < (x / 3 + 1) * step && k < 203; k++, count++)
                        sum += full.rgb[(i * 203 + k) * 3 + x % 3];
                error += fabs(sum / count - image.rgb[y * image.width * 3 + x]);
            }
        error /= image.width * image.height * 3;
        if (!(step == 1 ? error == 0 : error < 6))
            fail_msg("case %zu: the pixels are %.2f off", c, error);
    }
    /* Cut off: the message counts the rows that were asked for. */
    assert_fails(&t.env, DET_STATUS_CORRUPT, "of 38 (",
                 det_image_decode_reduced(&t.env, "x", jpeg, bytes / 2, cases[4].least, &image));
    free(jpeg);
    det_image_free(&t.env, &full);
    det_image_free(&t.env, &image);
    test_env_check(&t);
}

int test_image(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reduced_decoding_averages),
        cmocka_unit_test(jpegs_become_rgb),
        cmocka_unit_test(cmyk_without_adobe_marker),
        cmocka_unit_test(pngs_become_rgb),
        cmocka_unit_test(other_content_is_named),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(failed_allocations),
        cmocka_unit_test(files_and_buffers),
        cmocka_unit_test(libjpeg_without_memory),
        cmocka_unit_test(failed_growth_of_a_jpeg),
        cmocka_unit_test(pngs_take_their_memory_from_the_env),
        cmocka_unit_test(scans_are_limited),
        cmocka_unit_test(sizes_are_limited),
        cmocka_unit_test(other_chunks_of_a_png_cost_nothing),
    };
    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
