/* The detector: its settings and their bounds, and what it is refused: arguments, settings,
 * weights, memory. */
#include "devices/context.h"
#include "support/small_detector.h"

static void bad_arguments_are_named(void **state)
{
    (void)state;
    struct small_detector f;
    small_detector_make(&f, NULL);
    uint8_t *rgb = make_rgb_picture(10, 10, false);
    const det_image_view good = rgb_picture_view(rgb, 10, 10);
    const struct {
        det_image_view view;
        const char *text;
    } cases[] = {
        {{.width = 10, .height = 10}, "pixels are NULL"},
        {{.pixels = rgb, .width = 0, .height = 10, .stride_bytes = 0, .format = DET_PIXEL_RGB8},
         "0 x 10 pixels"},
        {{.pixels = rgb, .width = 10, .height = 0, .stride_bytes = 0, .format = DET_PIXEL_RGB8},
         "10 x 0 pixels"},
        {{.pixels = rgb, .width = -1, .height = 10, .stride_bytes = 0, .format = DET_PIXEL_RGB8},
         "-1 x 10 pixels"},
        {{.pixels = rgb,
          .width = INT32_MIN,
          .height = INT32_MIN,
          .stride_bytes = 0,
          .format = DET_PIXEL_RGB8},
         "each side must be 1 to 65500"},
        {{.pixels = rgb, .width = 65501, .height = 10, .stride_bytes = 0, .format = DET_PIXEL_RGB8},
         "each side must be 1 to 65500"},
        {{.pixels = rgb,
          .width = INT32_MAX,
          .height = INT32_MAX,
          .stride_bytes = 0,
          .format = DET_PIXEL_BGRA8},
         "each side must be 1 to 65500"},
        {{.pixels = rgb, .width = 10, .height = 10, .stride_bytes = 29, .format = DET_PIXEL_RGB8},
         "stride is 29 bytes, a row of 10 pixels has 30"},
        {{.pixels = rgb, .width = 10, .height = 10, .stride_bytes = -39, .format = DET_PIXEL_RGBA8},
         "stride is -39 bytes, a row of 10 pixels has 40"},
        {{.pixels = rgb,
          .width = 10,
          .height = 10,
          .stride_bytes = PTRDIFF_MIN,
          .format = DET_PIXEL_RGB8},
         "is too large"},
        {{.pixels = rgb,
          .width = 10,
          .height = 10,
          .stride_bytes = PTRDIFF_MAX,
          .format = DET_PIXEL_RGB8},
         "is too large"},
        {{.pixels = rgb,
          .width = 10,
          .height = 10,
          .stride_bytes = 0,
          .format = (det_pixel_format)8},
         "format is 8"},
        {{.pixels = rgb,
          .width = 10,
          .height = 10,
          .stride_bytes = 0,
          .format = (det_pixel_format)77},
         "format is 77"},
    };
    const det_detection *detections = NULL;
    size_t count = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        detections = (const det_detection *)(const void *)rgb;
        count = 7;
        assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, cases[i].text,
                     det_detector_run(f.detector, &cases[i].view, &detections, &count));
        assert_null(detections);
        assert_int_equal(count, 0);
    }
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "image is NULL",
                 det_detector_run(f.detector, NULL, &detections, &count));
    assert_int_equal(det_detector_run(NULL, &good, &detections, &count),
                     DET_STATUS_INVALID_ARGUMENT);
    assert_int_equal(det_detector_run(f.detector, &good, NULL, &count),
                     DET_STATUS_INVALID_ARGUMENT);
    assert_int_equal(det_detector_run(f.detector, &good, &detections, NULL),
                     DET_STATUS_INVALID_ARGUMENT);
    assert_ok(f.env, det_detector_run(f.detector, &good, &detections, &count));
    free(rgb);
    small_detector_drop(&f);
}

static void bad_settings_are_named(void **state)
{
    (void)state;
    struct small_detector f;
    small_detector_make(&f, NULL);
    det_detector *detector = f.detector;
    det_detector_settings settings;
    const float thresholds[] = {-0.01f, 1.01f, NAN, INFINITY};
    for (size_t i = 0; i < sizeof thresholds / sizeof thresholds[0]; i++) {
        det_detector_settings_default(&settings);
        settings.score_threshold = thresholds[i];
        assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "score threshold",
                     det_detector_create(f.context, f.model, &settings, &detector));
        assert_null(detector);
    }
    det_detector_settings_default(&settings);
    settings.max_detections = -1;
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "max_detections is -1",
                 det_detector_create(f.context, f.model, &settings, &detector));
    settings = (det_detector_settings){0};
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "det_detector_settings: struct_size is 0",
                 det_detector_create(f.context, f.model, &settings, &detector));
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "model is NULL",
                 det_detector_create(f.context, NULL, NULL, &detector));
    assert_int_equal(det_detector_create(NULL, f.model, NULL, &detector),
                     DET_STATUS_INVALID_ARGUMENT);
    assert_int_equal(det_detector_create(f.context, f.model, NULL, NULL),
                     DET_STATUS_INVALID_ARGUMENT);
    det_detector_destroy(NULL);
    det_detector_destroy(&detector);
    assert_int_equal(det_detector_memory_bytes(NULL), 0);
    small_detector_drop(&f);
}

/* A threshold cuts the list at the end and nowhere else; so does max_detections. */
static void thresholds_and_limits(void **state)
{
    (void)state;
    struct small_detector f;
    small_detector_make(&f, NULL);
    uint8_t *rgb = make_rgb_picture(64, 64, false);
    const det_image_view view = rgb_picture_view(rgb, 64, 64);
    struct detected all, some;
    small_detector_run(&f, &view, &all);
    assert_int_equal(all.count, 100);
    const struct {
        float threshold;
        int32_t max;
        size_t count;
    } cases[] = {
        {all.list[9].score, 0, 10}, /* reported: the threshold itself */
        {all.list[0].score, 0, 1},  {1, 0, 0}, {0, 7, 7}, {0, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        det_detector_settings settings;
        det_detector_settings_default(&settings);
        assert_near(settings.score_threshold, .5, 0);
        settings.score_threshold = cases[i].threshold;
        settings.max_detections = cases[i].max;
        det_detector_destroy(&f.detector);
        assert_ok(f.env, det_detector_create(f.context, f.model, &settings, &f.detector));
        small_detector_run(&f, &view, &some);
        assert_int_equal(some.count, cases[i].count);
        assert_memory_equal(some.list, all.list, some.count * sizeof some.list[0]);
    }
    det_detector_settings more;
    det_detector_settings_default(&more);
    more.score_threshold = 0;
    more.max_detections = 400;
    det_detector_destroy(&f.detector);
    assert_ok(f.env, det_detector_create(f.context, f.model, &more, &f.detector));
    small_detector_run(&f, &view, &some);
    assert_true(some.count > 100 && some.count <= 400);
    assert_sound_detections(&some);
    free(rgb);
    small_detector_drop(&f);
}

static void weights_that_are_not_numbers(void **state)
{
    (void)state;
    struct small_detector f;
    small_detector_make(&f, NULL);
    det_model *folded = small_detector_fold(f.env, f.model);
    uint8_t *rgb = make_rgb_picture(20, 20, false);
    const det_image_view view = rgb_picture_view(rgb, 20, 20);
    const det_detection *detections = NULL;
    size_t count = 0;
    const float bad[] = {NAN, INFINITY};
    for (int output = 0; output < 2; output++) {
        /* The bias of the convolution that makes this output. */
        const int32_t tensor =
            output ? folded->graph.class_outputs[0] : folded->graph.box_outputs[0];
        int32_t bias = -1;
        for (int32_t i = 0; i < folded->graph.op_count; i++)
            if (folded->graph.ops[i].out == tensor)
                bias = folded->graph.ops[i].bias;
        assert_true(bias >= 0);
        float *value = folded->owned + folded->graph.params[bias].offset;
        const float good = *value;
        for (int i = 0; i < 2; i++) {
            *value = bad[i];
            det_detector_destroy(&f.detector);
            assert_ok(f.env, det_detector_create(f.context, folded, NULL, &f.detector));
            assert_fails(f.env, DET_STATUS_NON_FINITE, output ? "class logits" : "box encodings",
                         det_detector_run(f.detector, &view, &detections, &count));
            assert_int_equal(count, 0);
        }
        *value = good;
        det_detector_destroy(&f.detector);
        assert_ok(f.env, det_detector_create(f.context, folded, NULL, &f.detector));
        assert_ok(f.env, det_detector_run(f.detector, &view, &detections, &count));
    }
    det_detector_destroy(&f.detector);
    det_model_destroy(&folded);
    free(rgb);
    small_detector_drop(&f);
}

struct sweep {
    const det_model *model;
    const det_image_view *view;
};

static det_status create_and_run(struct det_env *env, void *argument)
{
    const struct sweep *sweep = argument;
    const char *reason = NULL;
    struct det_compute compute = {.context = {.env = *env},
                                  .ops = det_ops_cpu("auto", &reason),
                                  .backend = det_backend_cpu()};
    det_context *context = &compute.context;
    const struct det_device_settings settings = {.ops = compute.ops};
    DET_TRY_RETURN(compute.backend->device_open(env, &settings, &compute.device));
    det_detector *detector = NULL;
    const det_detection *detections = NULL;
    size_t count = 0;
    char *json = NULL;
    det_status status = det_detector_create(context, sweep->model, NULL, &detector);
    assert_true((status == DET_OK) == (detector != NULL));
    if (status == DET_OK)
        status = det_detector_run(detector, sweep->view, &detections, &count);
    if (status == DET_OK)
        status = det_detections_to_json(context, sweep->model, "a.jpg", 10, 10, detections, count,
                                        &json);
    det_json_destroy(context, &json);
    det_detector_destroy(&detector);
    *env = context->env;
    compute.backend->device_close(env, &compute.device);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct small_detector f;
    small_detector_make(&f, NULL);
    uint8_t *rgb = make_rgb_picture(20, 20, false), *bgr = NULL;
    const det_image_view view = convert_picture(rgb, 20, 20, DET_PIXEL_BGR8, 0, false, &bgr);
    struct sweep sweep = {f.model, &view};
    test_each_allocation_fails(create_and_run, &sweep);
    free(rgb);
    free(bgr);
    small_detector_drop(&f);
}

int test_detector_refusals(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_arguments_are_named),   cmocka_unit_test(bad_settings_are_named),
        cmocka_unit_test(thresholds_and_limits),     cmocka_unit_test(weights_that_are_not_numbers),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("detector_refusals", tests, NULL, NULL);
}
