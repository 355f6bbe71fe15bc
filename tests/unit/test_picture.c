/* det/image.h: files in and out, drawing. */
#include "base/context.h"
#include "base/io.h"
#include "det/image.h"
#include "model/model.h"
#include "support/records.h"
#include "support/test.h"

static det_status decode_draw_and_write(struct det_env *env, void *argument)
{
    const char *folder = argument;
    det_context context = {.env = *env};
    size_t bytes = 0;
    unsigned char *jpeg = test_make_jpeg(120, 80, 3, &bytes);
    det_picture *picture = NULL, *again = NULL, *plain = NULL;
    det_status status = det_picture_decode(&context, "a.jpg", jpeg, bytes, &picture);
    const det_detection list[] = {{1, 0.87f, 0.25f, 0.25f, 0.75f, 0.75f}, {9, 0.5f, 0, 0, 1, 1}};
    char path[300];
    snprintf(path, sizeof path, "%s/out.png", folder);
    if (status == DET_OK)
        status = det_picture_draw(picture, NULL, list, 2);
    if (status == DET_OK)
        status = det_picture_write(picture, path);
    if (status == DET_OK)
        status = det_picture_read(&context, path, &again);
    if (status == DET_OK)
        status = det_picture_decode(&context, "a.jpg", jpeg, bytes, &plain);
    if (status == DET_OK) {
        const det_image_view a = det_picture_view(picture), b = det_picture_view(again);
        assert_true(a.width == 120 && a.height == 80 && a.format == DET_PIXEL_RGB8);
        assert_true(b.width == 120 && b.height == 80);
        assert_memory_equal(a.pixels, b.pixels, 120 * 80 * 3);
        assert_memory_not_equal(a.pixels, det_picture_view(plain).pixels, 120 * 80 * 3);
    }
    free(jpeg);
    det_picture_destroy(&picture);
    det_picture_destroy(&again);
    det_picture_destroy(&plain);
    *env = context.env;
    return status;
}

static void pictures_survive_files_and_failures(void **state)
{
    (void)state;
    char folder[256];
    test_make_directory(folder, "picture");
    test_each_allocation_fails(decode_draw_and_write, folder);
    test_remove_tree(folder);
}

static void failures_are_named(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    det_context context = {.env = t.env};
    struct det_env *env = &context.env;
    det_picture *picture = NULL;
    assert_fails(env, DET_STATUS_NOT_FOUND, "/nowhere/a.jpg",
                 det_picture_read(&context, "/nowhere/a.jpg", &picture));
    assert_null(picture);
    assert_fails(env, DET_STATUS_CORRUPT, "b.png: not a JPEG, PNG, BMP, GIF or WebP image",
                 det_picture_decode(&context, "b.png", "hello", 5, &picture));
    assert_fails(env, DET_STATUS_CORRUPT, "image: the image is empty",
                 det_picture_decode(&context, NULL, "", 0, &picture));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "c: data is NULL",
                 det_picture_decode(&context, "c", NULL, 5, &picture));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "path is NULL",
                 det_picture_read(&context, NULL, &picture));
    assert_int_equal(det_picture_read(NULL, "a", &picture), DET_STATUS_INVALID_ARGUMENT);
    size_t bytes = 0;
    unsigned char *jpeg = test_make_jpeg(20, 20, 3, &bytes);
    assert_ok(env, det_picture_decode(&context, "a.jpg", jpeg, bytes, &picture));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "must end in",
                 det_picture_write(picture, "/tmp/a.gif"));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "path is NULL",
                 det_picture_write(picture, NULL));
    assert_fails(env, DET_STATUS_NOT_FOUND, "/nowhere/a.png",
                 det_picture_write(picture, "/nowhere/a.png"));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "detections are NULL",
                 det_picture_draw(picture, NULL, NULL, 1));
    assert_ok(env, det_picture_draw(picture, NULL, NULL, 0));
    assert_int_equal(det_picture_draw(NULL, NULL, NULL, 0), DET_STATUS_INVALID_ARGUMENT);
    assert_int_equal(det_picture_write(NULL, "a.png"), DET_STATUS_INVALID_ARGUMENT);
    assert_null(det_picture_view(NULL).pixels);
    free(jpeg);
    det_picture_destroy(&picture);
    det_picture_destroy(&picture);
    det_picture_destroy(NULL);
    test_env_check(&t);
}

int test_picture(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_survive_files_and_failures),
        cmocka_unit_test(failures_are_named),
    };
    return cmocka_run_group_tests_name("picture", tests, NULL, NULL);
}
