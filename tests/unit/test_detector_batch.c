/* The detector on several images at once, and at another input size than the model's. */
#include "base/context.h"
#include "det/detector.h"
#include "model/model.h"
#include "support/formula.h"
#include "support/workspace.h"

enum { SIDE = 96, CLASSES = 2, IMAGES = 3 };

struct fixture {
    struct test_env t;
    det_context *context;
    struct det_env *env; /* the context's */
};

static void make(struct fixture *f)
{
    *f = (struct fixture){0};
    test_env_init(&f->t);
    f->context = workspace_machine(&f->t, 2);
    f->env = det_context_env(f->context);
}

static void drop(struct fixture *f)
{
    det_context_destroy(&f->context);
    test_env_check(&f->t);
}

static det_model *make_model(struct fixture *f, int32_t height, int32_t width, bool keep_aspect,
                             bool folded)
{
    struct det_model_spec spec;
    formula_spec(&spec, SIDE, CLASSES);
    spec.input_height = height;
    spec.input_width = width;
    if (keep_aspect) {
        spec.resize_mode = DET_RESIZE_KEEP_ASPECT;
        spec.min_dimension = height * 3 / 4;
        spec.max_dimension = height;
        spec.pad_to_max = true;
    }
    det_model *training = NULL, *model = NULL;
    assert_ok(f->env, det_model_create(f->env, &spec, false, NULL, &training));
    formula_params(&training->graph, training->owned);
    if (!folded)
        return training;
    assert_ok(f->env, det_model_create(f->env, &spec, true, NULL, &model));
    det_graph_fold_params(&training->graph, training->params, &model->graph, model->owned);
    det_model_destroy(&training);
    return model;
}

static det_detector_settings settings_for(int32_t height, int32_t width, int32_t batch)
{
    det_detector_settings settings;
    det_detector_settings_default(&settings);
    settings.score_threshold = 0;
    settings.input_height = height;
    settings.input_width = width;
    settings.batch = batch;
    return settings;
}

/* Three pictures of different sizes. */
static void make_views(det_image_view views[IMAGES], uint8_t *pixels[IMAGES])
{
    for (int32_t i = 0; i < IMAGES; i++) {
        const int32_t width = 50 + 31 * i, height = 90 - 17 * i;
        pixels[i] = malloc((size_t)(width * height * 3));
        assert_non_null(pixels[i]);
        for (int32_t at = 0; at < width * height * 3; at++)
            pixels[i][at] = (uint8_t)(at / 7 * (i + 1) + at % 23);
        views[i] = (det_image_view){.pixels = pixels[i], .width = width, .height = height};
    }
}

static void assert_same(const det_image_detections *a, const det_detection *list, size_t count)
{
    assert_int_equal(a->count, count);
    assert_true(count > 0);
    assert_memory_equal(a->detections, list, count * sizeof *list);
}

/* A batch finds in each image what a run of its own finds, full or not, without allocating. */
static void a_batch_is_its_images(void **state)
{
    (void)state;
    struct fixture f;
    make(&f);
    det_model *model = make_model(&f, SIDE, SIDE, false, true);
    det_detector *one = NULL, *many = NULL;
    const det_detector_settings single = settings_for(0, 0, 1);
    const det_detector_settings batch = settings_for(0, 0, IMAGES);
    assert_ok(f.env, det_detector_create(f.context, model, &single, &one));
    assert_ok(f.env, det_detector_create(f.context, model, &batch, &many));
    det_image_view views[IMAGES];
    uint8_t *pixels[IMAGES];
    make_views(views, pixels);
    det_image_detections results[IMAGES];
    for (size_t count = IMAGES; count > 0; count--) {
        const long before = test_env_allocations(&f.t);
        assert_ok(f.env, det_detector_run_batch(many, views, count, results));
        assert_int_equal(test_env_allocations(&f.t), before);
        for (size_t i = 0; i < count; i++) {
            const det_detection *list = NULL;
            size_t found = 0;
            assert_ok(f.env, det_detector_run(one, &views[i], &list, &found));
            assert_same(&results[i], list, found);
        }
    }
    det_detector_times times = {.struct_size = sizeof times};
    assert_int_equal(det_detector_last_times(many, &times), DET_OK);
    assert_true(times.preprocess_ns > 0 && times.network_ns > 0);
    assert_true(det_detector_memory_bytes(many) > det_detector_memory_bytes(one));

    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "got 4 images, expected 1 to 3",
                 det_detector_run_batch(many, views, 4, results));
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "got 0 images",
                 det_detector_run_batch(many, views, 0, results));
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "images is NULL",
                 det_detector_run_batch(many, NULL, 1, results));
    views[1].pixels = NULL;
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "pixels are NULL",
                 det_detector_run_batch(many, views, IMAGES, results));
    for (size_t i = 0; i < IMAGES; i++)
        assert_true(results[i].count == 0 && results[i].detections == NULL);
    for (size_t i = 0; i < IMAGES; i++)
        free(pixels[i]);
    det_detector_destroy(&one);
    det_detector_destroy(&many);
    det_model_destroy(&model);
    drop(&f);
}

/* A detector at another size is the detector of a model of that size. */
static void an_input_size_of_its_own(void **state)
{
    (void)state;
    static const struct {
        int32_t height, width;
        bool keep_aspect, folded;
    } cases[] = {{64, 64, false, true},
                 {128, 80, false, true},
                 {80, 96, false, false},
                 {160, 160, true, true}};
    struct fixture f;
    det_image_view views[IMAGES];
    uint8_t *pixels[IMAGES];
    make(&f);
    make_views(views, pixels);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        const int32_t height = cases[c].height, width = cases[c].width;
        det_model *given = make_model(&f, SIDE, SIDE, cases[c].keep_aspect, cases[c].folded);
        det_model *wanted = make_model(&f, height, width, cases[c].keep_aspect, cases[c].folded);
        const det_detector_settings other = settings_for(height, width, 1);
        const det_detector_settings own = settings_for(0, 0, 1);
        det_detector *a = NULL, *b = NULL;
        assert_ok(f.env, det_detector_create(f.context, given, &other, &a));
        assert_ok(f.env, det_detector_create(f.context, wanted, &own, &b));
        for (size_t i = 0; i < IMAGES; i++) {
            det_image_detections found = {0};
            const det_detection *list = NULL;
            size_t count = 0;
            assert_ok(f.env, det_detector_run(b, &views[i], &list, &count));
            assert_ok(f.env, det_detector_run_batch(a, &views[i], 1, &found));
            assert_same(&found, list, count);
        }
        det_detector_destroy(&a);
        det_detector_destroy(&b);
        det_model_destroy(&given);
        det_model_destroy(&wanted);
    }
    for (size_t i = 0; i < IMAGES; i++)
        free(pixels[i]);
    drop(&f);
}

static void bad_sizes_are_named(void **state)
{
    (void)state;
    struct fixture f;
    make(&f);
    det_model *fixed = make_model(&f, SIDE, SIDE, false, true);
    det_model *aspect = make_model(&f, SIDE, SIDE, true, true);
    det_detector *detector = NULL;
    det_detector_settings settings = settings_for(64, 0, 1);
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "input size is 64 x 0",
                 det_detector_create(f.context, fixed, &settings, &detector));
    settings = settings_for(-1, -1, 1);
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "input size is -1 x -1",
                 det_detector_create(f.context, fixed, &settings, &detector));
    settings = settings_for(1 << 30, 1 << 30, 1);
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "input height is 1073741824",
                 det_detector_create(f.context, fixed, &settings, &detector));
    settings = settings_for(64, 96, 1);
    assert_fails(f.env, DET_STATUS_UNSUPPORTED, "64 x 96 (height x width), but the model keeps",
                 det_detector_create(f.context, aspect, &settings, &detector));
    settings = settings_for(0, 0, 0);
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "batch is 0",
                 det_detector_create(f.context, fixed, &settings, &detector));
    assert_null(detector);
    det_model_destroy(&fixed);
    det_model_destroy(&aspect);
    drop(&f);
}

int test_detector_batch(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_its_images),
        cmocka_unit_test(an_input_size_of_its_own),
        cmocka_unit_test(bad_sizes_are_named),
    };
    return cmocka_run_group_tests_name("detector_batch", tests, NULL, NULL);
}
