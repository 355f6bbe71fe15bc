/* docs/abi.md: a context that cannot be made says why, headers of another ABI too. */
#include "det/det.h"
#include "support/test.h"

static void drop(void *user, void *memory)
{
    (void)user;
    (void)memory;
}

static void a_context_says_why_it_is_not_there(void **state)
{
    (void)state;
    det_context *context = NULL;
    det_context_settings settings;
    det_error error;
    const det_allocator half = {.struct_size = sizeof half, .release = drop};
    det_context_settings_default(&settings);
    settings.allocator = &half;
    assert_int_equal(det_context_create_explained(&context, &settings, &error),
                     DET_STATUS_INVALID_ARGUMENT);
    assert_contains(error.text, "allocate is NULL");
    settings.allocator = NULL;
    settings.cpu = "z80";
    assert_int_equal(det_context_create_explained(&context, &settings, &error),
                     DET_STATUS_UNSUPPORTED);
    assert_contains(error.text, "z80");
    assert_null(context);
    settings.cpu = "auto";
    settings.device = "tpu";
    assert_true(det_context_create_explained(&context, &settings, &error) != DET_OK);
    assert_contains(error.text, "tpu");
    settings.device = "cpu";
    settings.precision = "f8";
    assert_int_equal(det_context_create_explained(&context, &settings, &error),
                     DET_STATUS_INVALID_ARGUMENT);
    assert_contains(error.text, "f8");
    settings.precision = "auto";
    settings.max_jpeg_scans = -1;
    assert_int_equal(det_context_create_explained(&context, &settings, &error),
                     DET_STATUS_INVALID_ARGUMENT);
    assert_contains(error.text, "max_jpeg_scans is -1");
    settings.max_jpeg_scans = 0;
    settings.max_image_pixels = UINT64_MAX;
    assert_int_equal(det_context_create_explained(&context, &settings, &error),
                     DET_STATUS_INVALID_ARGUMENT);
    assert_contains(error.text, "max_image_pixels");
    settings.max_image_pixels = 0;
    assert_int_equal(det_context_create_explained(&context, &settings, &error), DET_OK);
    assert_string_equal(error.text, "");
    det_context_destroy(&context);
    assert_int_equal(det_context_create(NULL, &settings), DET_STATUS_INVALID_ARGUMENT);
}

static det_status create_hooked(struct det_env *env, void *argument)
{
    (void)argument;
    det_context *context = NULL;
    det_context_settings settings;
    det_error error;
    det_context_settings_default(&settings);
    settings.allocator = &env->allocator;
    settings.threads = 2;
    const det_status status = det_context_create_explained(&context, &settings, &error);
    assert_int_equal(status == DET_OK, error.text[0] == '\0');
    assert_int_equal(status == DET_OK, context != NULL);
    det_context_destroy(&context);
    return status;
}

static void a_context_without_memory_says_so(void **state)
{
    (void)state;
    test_each_allocation_fails(create_hooked, NULL);
}

static void headers_of_another_abi_are_told(void **state)
{
    (void)state;
    det_context *context = NULL;
    det_error error;
    assert_int_equal(det_context_create_for(DET_ABI_VERSION - 1, 1 << 8, &context, NULL, &error),
                     DET_STATUS_MISMATCH);
    assert_contains(error.text, "built with the headers of libdet 0.1.0 (ABI 0)");
    assert_contains(error.text, DET_VERSION_STRING);
    assert_null(context);
    assert_int_equal(
        det_context_create_for(DET_ABI_VERSION + 1, DET_VERSION + 256, &context, NULL, &error),
        DET_STATUS_MISMATCH);
    /* A newer version of the same ABI is no fault by itself. */
    assert_int_equal(
        det_context_create_for(DET_ABI_VERSION, DET_VERSION + 256, &context, NULL, &error), DET_OK);
    det_context_destroy(&context);
    assert_int_equal(det_version(), DET_VERSION);
    assert_int_equal(det_abi_version(), DET_ABI_VERSION);
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", DET_VERSION_MAJOR, DET_VERSION_MINOR,
             DET_VERSION_PATCH);
    assert_string_equal(text, DET_VERSION_STRING);
    assert_string_equal(text, det_version_string());
}

int test_abi_context(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_context_says_why_it_is_not_there),
        cmocka_unit_test(a_context_without_memory_says_so),
        cmocka_unit_test(headers_of_another_abi_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
