/* data/image.h: every kind of JPEG and PNG that people have, and what they take for one. */
#include <math.h>

#include "data/image.h"
#include "support/image_files.h"
#include "support/records.h"

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
        struct test_bytes jpeg =
            make_jpeg_file(37, 29, cases[i].components, cases[i].space, cases[i].progressive);
        assert_ok(&t.env, det_image_decode(&t.env, "x.jpg", jpeg.data, jpeg.count, &image));
        assert_int_equal(image.width, 37);
        assert_int_equal(image.height, 29);
        double error = 0;
        for (int y = 0; y < 29; y++) {
            for (int x = 0; x < 37; x++) {
                for (int c = 0; c < 3; c++) {
                    const int source =
                        pixel_pattern(y / 4, x / 4, cases[i].components == 1 ? 0 : c);
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
    struct test_bytes jpeg = make_jpeg_file(16, 16, 4, JCS_CMYK, false);
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
    const int first = pixel_pattern(0, 0, 2); /* 255 */
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
        struct test_bytes png =
            make_png_file(19, 11, type, cases[i / 2].depth,
                          i % 2 == 0 ? PNG_INTERLACE_NONE : PNG_INTERLACE_ADAM7);
        assert_ok(&t.env, det_image_decode(&t.env, "x.png", png.data, png.count, &image));
        assert_int_equal(image.width, 19);
        assert_int_equal(image.height, 11);
        for (int y = 0; y < 11; y++) {
            for (int x = 0; x < 19; x++) {
                for (int c = 0; c < 3; c++) {
                    const int expected = type == PNG_COLOR_TYPE_PALETTE  ? palette[x % 4][c]
                                         : (type & PNG_COLOR_MASK_COLOR) ? pixel_pattern(y, x, c)
                                                                         : pixel_pattern(y, x, 0);
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
        struct test_bytes file =
            kind == 2 ? make_png_file(21, 17, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE)
                      : make_jpeg_file(40, 33, 3, JCS_YCbCr, kind == 1);
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
    struct test_bytes file = make_jpeg_file(40, 33, 3, JCS_YCbCr, false);
    assert_fails(&t.env, DET_STATUS_CORRUPT, "half.jpg: truncated JPEG: the data ends at row",
                 det_image_decode(&t.env, "half.jpg", file.data, file.count * 2 / 3, &image));
    free(file.data);
    det_image_free(&t.env, &image);
    test_env_check(&t);
}

/* --- limits --- */

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
        cmocka_unit_test(reduced_decoding_averages), cmocka_unit_test(jpegs_become_rgb),
        cmocka_unit_test(cmyk_without_adobe_marker), cmocka_unit_test(pngs_become_rgb),
        cmocka_unit_test(other_content_is_named),    cmocka_unit_test(damaged_files),
        cmocka_unit_test(files_and_buffers),
    };
    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
