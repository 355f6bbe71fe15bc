/* data/exif.h and det/image.h: which way is up, in every kind of file that says so, and pictures
 * that stand upright. The tag itself in JPEGs, and turning pixel by pixel, are tested with det-data
 * (test_convert). */
#include "base/context.h"
#include "data/exif.h"
#include "det/image.h"
#include "support/mem.h"
#include "support/pictures.h"
#include "support/records.h"

/* A TIFF header with the orientation; `prefixed`: as it stands in a JPEG. */
static struct test_bytes make_tiff(int orientation, bool big, bool prefixed)
{
    static const uint8_t little[26] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1};
    static const uint8_t large[26] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1};
    struct test_bytes b = {0};
    if (prefixed)
        test_append(&b, "Exif\0\0", 6);
    test_append(&b, big ? large : little, 26);
    b.data[b.count - 26 + (big ? 19 : 18)] = (uint8_t)orientation;
    return b;
}

static void append_chunk(struct test_bytes *b, const char *type, const struct test_bytes *data,
                         bool png)
{
    const uint32_t n = data != NULL ? (uint32_t)data->count : 3;
    const uint32_t swapped = n >> 24 | (n >> 8 & 0xff00) | (n << 8 & 0xff0000) | n << 24;
    if (png)
        test_append_number(b, swapped, 4);
    test_append(b, type, 4);
    if (!png)
        test_append_number(b, n, 4);
    test_append(b, data != NULL ? data->data : (const uint8_t *)"abc", n);
    if (png)
        test_append_number(b, 0, 4); /* the checksum; exif.c does not look */
    else if (n % 2 == 1)
        test_append_number(b, 0, 1);
}

/* Enough of a file for the tag: a chunk before it, the tag, the picture's data behind. */
static struct test_bytes make_file(bool png, const struct test_bytes *tiff)
{
    struct test_bytes b = {0};
    if (png) {
        test_append(&b, "\x89PNG\r\n\x1a\n", 8);
    } else {
        test_append(&b, "RIFF", 4);
        test_append_number(&b, 1000, 4);
        test_append(&b, "WEBP", 4);
    }
    append_chunk(&b, png ? "tEXt" : "VP8X", NULL, png);
    append_chunk(&b, png ? "eXIf" : "EXIF", tiff, png);
    append_chunk(&b, png ? "IDAT" : "VP8L", NULL, png);
    return b;
}

static void pngs_and_webps_say_it_too(void **state)
{
    (void)state;
    for (int kind = 0; kind < 8; kind++)
        for (int orientation = 0; orientation <= 9; orientation++) {
            const bool png = (kind & 1) != 0, big = (kind & 2) != 0, prefixed = (kind & 4) != 0;
            const bool sound = orientation >= 1 && orientation <= 8;
            size_t at = 0;
            struct test_bytes tiff = make_tiff(orientation, big, prefixed);
            struct test_bytes file = make_file(png, &tiff);
            assert_int_equal(det_exif_orientation(file.data, file.count, &at),
                             sound ? orientation : 1);
            if (png || !sound)
                assert_int_equal(at, 0);
            else
                assert_int_equal(file.data[at], orientation);
            for (size_t cut = 0; cut < file.count; cut++) { /* so that ASan sees a step too far */
                uint8_t *part = malloc(cut + 1);
                assert_non_null(part);
                memcpy(part, file.data, cut);
                const int found = det_exif_orientation(part, cut, NULL);
                assert_true(found >= 1 && found <= 8);
                free(part);
            }
            for (size_t flip = 0; flip < file.count; flip++) {
                file.data[flip] ^= 0xff;
                const int found = det_exif_orientation(file.data, file.count, NULL);
                assert_true(found >= 1 && found <= 8);
                file.data[flip] ^= 0xff;
            }
            free(file.data);
            free(tiff.data);
        }
}

/* Upright in each way of reading, also at a part of the size; the detector's sides are the upright
 * picture's. */
static void pictures_stand_upright(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    det_context context = {.env = t.env};
    size_t bytes = 0, marked = 0;
    unsigned char *jpeg = test_make_jpeg(160, 80, 3, &bytes);
    for (int orientation = 1; orientation <= 8; orientation++) {
        uint8_t *data = test_put_orientation(jpeg, bytes, orientation, false, &marked);
        const bool swap = orientation >= 5;
        det_picture *picture = NULL, *reduced = NULL;
        struct det_image stored = {0};
        assert_ok(&context.env, det_picture_decode(&context, "x.jpg", data, marked, &picture));
        assert_ok(&context.env, det_image_decode(&context.env, "x.jpg", data, marked, &stored));
        det_image_view view = det_picture_view(picture);
        assert_true(view.width == (swap ? 80 : 160) && view.height == (swap ? 160 : 80));
        assert_int_equal(det_picture_orientation(picture), orientation);
        struct det_image turned = {0};
        assert_ok(&context.env, det_image_resize_buffer(&context.env, &turned, 160, 80));
        memcpy(turned.rgb, stored.rgb, 160 * 80 * 3);
        assert_ok(&context.env, det_exif_turn(&context.env, &turned, orientation));
        assert_memory_equal(view.pixels, turned.rgb, 160 * 80 * 3);
        /* A half is enough for 40 x 80 upright, not for 80 x 40. */
        assert_ok(&context.env,
                  det_picture_decode_reduced(&context, "x.jpg", data, marked, swap ? 80 : 40,
                                             swap ? 40 : 80, &reduced));
        view = det_picture_view(reduced);
        int32_t height = 0, width = 0;
        det_picture_file_size(reduced, &height, &width);
        assert_true(view.width == (swap ? 40 : 80) && view.height == (swap ? 80 : 40));
        assert_true(width == (swap ? 80 : 160) && height == (swap ? 160 : 80));
        /* And back, once. */
        for (int i = 0; i < 2; i++) {
            assert_ok(&context.env, det_picture_as_stored(picture));
            view = det_picture_view(picture);
            assert_true(view.width == 160 && view.height == 80);
            assert_memory_equal(view.pixels, stored.rgb, 160 * 80 * 3);
        }
        det_picture_destroy(&picture);
        det_picture_destroy(&reduced);
        det_image_free(&context.env, &stored);
        det_image_free(&context.env, &turned);
        free(data);
    }
    free(jpeg);
    assert_int_equal(det_picture_as_stored(NULL), DET_STATUS_INVALID_ARGUMENT);
    assert_int_equal(det_picture_orientation(NULL), 1);
    test_env_check(&t);
}

static det_status decode_turned(struct det_env *env, void *argument)
{
    const struct test_bytes *file = argument;
    const struct det_image_least whole = {INT32_MAX, INT32_MAX};
    struct det_image image = {0};
    int orientation = 0;
    const det_status status =
        det_image_decode_upright(env, "x", file->data, file->count, whole, &image, &orientation);
    assert_int_equal(image.rgb == NULL, status != DET_OK);
    det_image_free(env, &image);
    return status;
}

static void failed_allocations(void **state)
{
    (void)state;
    size_t bytes = 0;
    struct test_bytes file;
    unsigned char *jpeg = test_make_jpeg(40, 30, 3, &bytes);
    file.data = test_put_orientation(jpeg, bytes, 6, true, &file.count);
    test_each_allocation_fails(decode_turned, &file);
    free(file.data);
    free(jpeg);
}

int test_exif(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pngs_and_webps_say_it_too),
        cmocka_unit_test(pictures_stand_upright),
        cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests_name("exif", tests, NULL, NULL);
}
