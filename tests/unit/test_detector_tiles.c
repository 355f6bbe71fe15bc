/* A detector that looks at pictures in tiles: the same bits whatever threads, batch and pixel
 * format; pictures of any size; and what it is for: small objects of drawn scenes. */
#include <math.h>

#include "base/context.h"
#include "det/det.h"
#include "model/model.h"
#include "support/formula.h"
#include "support/pixels.h"
#include "support/run_tool.h"
#include "support/test.h"

enum { SIDE = 96, CLASSES = 2, WIDTH = 250, HEIGHT = 170 };

struct fixture {
    struct test_env t;
    det_context *context;
    struct det_env *env; /* the context's */
    det_model *model;
};

static det_model *make_model(struct det_env *env)
{
    struct det_model_spec spec;
    det_model *model = NULL;
    formula_spec(&spec, SIDE, CLASSES);
    spec.max_total = 20; /* formula weights see something everywhere */
    assert_ok(env, det_model_create(env, &spec, false, NULL, &model));
    formula_params(&model->graph, model->owned);
    return model;
}

static void make(struct fixture *f, int32_t threads, const char *precision)
{
    *f = (struct fixture){0};
    test_env_init(&f->t);
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.allocator = test_env_hooks(&f->t);
    settings.threads = threads;
    settings.precision = precision;
    assert_int_equal(det_context_create(&f->context, &settings), DET_OK);
    f->env = det_context_env(f->context);
    f->model = make_model(f->env);
}

static void drop(struct fixture *f)
{
    det_model_destroy(&f->model);
    det_context_destroy(&f->context);
    test_env_check(&f->t);
}

static det_detector *make_detector(struct fixture *f, int32_t width, int32_t height, int32_t batch)
{
    det_tile_settings tiles;
    det_detector_settings settings;
    det_detector *detector = NULL;
    det_tile_settings_default(&tiles);
    tiles.width = width;
    tiles.height = height;
    det_detector_settings_default(&settings);
    settings.score_threshold = 0;
    settings.batch = batch;
    settings.tiles = &tiles;
    assert_ok(f->env, det_detector_create(f->context, f->model, &settings, &detector));
    memset(&tiles, 0xFF, sizeof tiles); /* it was copied */
    return detector;
}

static uint8_t *make_rgb(int32_t width, int32_t height)
{
    uint8_t *rgb = malloc((size_t)width * (size_t)height * 3);
    assert_non_null(rgb);
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++)
            for (int32_t c = 0; c < 3; c++)
                rgb[((size_t)y * (size_t)width + (size_t)x) * 3 + (size_t)c] =
                    (uint8_t)(40 * c + x * 3 + y * 2 + (x * 7 + y * 13) % 31);
    return rgb;
}

/* Copies of a run's detections. */
struct run {
    det_detection list[2000];
    size_t count;
};

static void detect(struct fixture *f, det_detector *detector, const det_image_view *view,
                   struct run *run)
{
    const det_detection *detections = NULL;
    assert_ok(f->env, det_detector_run(detector, view, &detections, &run->count));
    assert_in_range(run->count, 0, 2000);
    memcpy(run->list, detections, run->count * sizeof *detections);
    for (size_t i = 0; i < run->count; i++) {
        const det_detection *d = &run->list[i];
        assert_in_range(d->class_id, 1, CLASSES);
        assert_true(i == 0 || run->list[i - 1].score >= d->score);
        assert_true(d->ymin >= 0 && d->ymin < d->ymax && d->ymax <= 1);
        assert_true(d->xmin >= 0 && d->xmin < d->xmax && d->xmax <= 1);
    }
}

static void assert_same(const struct run *a, const struct run *b)
{
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->list, b->list, a->count * sizeof a->list[0]);
}

static void threads_and_batches_give_the_same_bits(void **state)
{
    (void)state;
    uint8_t *rgb = make_rgb(WIDTH, HEIGHT);
    const det_image_view view = {.pixels = rgb, .width = WIDTH, .height = HEIGHT};
    static const char *const precisions[] = {"f32", "bf16"};
    for (int p = 0; p < 2; p++) {
        struct run first = {.count = 0}, other;
        for (int32_t threads = 1; threads <= 3; threads++)
            for (int32_t batch = 1; batch <= 4; batch += 3) {
                struct fixture f;
                make(&f, threads, precisions[p]);
                det_detector *detector = make_detector(&f, 0, 0, batch);
                detect(&f, detector, &view, &other);
                if (first.count == 0)
                    first = other;
                assert_true(first.count > 40); /* more than of one look at it */
                assert_same(&other, &first);
                det_detector_destroy(&detector);
                drop(&f);
            }
    }
    free(rgb);
}

/* A view of a part is the part; other formats and strides are the same picture. */
static void any_view_of_the_same_pixels(void **state)
{
    (void)state;
    struct fixture f;
    struct run plain, other;
    make(&f, 2, NULL);
    det_detector *detector = make_detector(&f, 80, 60, 1);
    uint8_t *rgb = make_rgb(WIDTH, HEIGHT);
    const det_image_view view = {.pixels = rgb, .width = WIDTH, .height = HEIGHT};
    detect(&f, detector, &view, &plain);
    struct det_pixels pixels = {.height = HEIGHT, .width = WIDTH, .bytes = 4, .red = 2, .green = 1};
    uint8_t *copy = test_pixels_copy(rgb, &pixels, 37, true);
    const det_image_view bgra = {.pixels = pixels.first,
                                 .width = WIDTH,
                                 .height = HEIGHT,
                                 .stride_bytes = pixels.stride,
                                 .format = DET_PIXEL_BGRA8};
    detect(&f, detector, &bgra, &other);
    assert_same(&other, &plain);
    free(copy);

    det_image_view part = view;
    part.region = (det_region){.y = 21, .x = 13, .height = 131, .width = 200};
    const det_image_view cut = {.pixels = rgb + (21 * WIDTH + 13) * 3,
                                .width = 200,
                                .height = 131,
                                .stride_bytes = (ptrdiff_t)WIDTH * 3};
    detect(&f, detector, &cut, &plain);
    detect(&f, detector, &part, &other);
    assert_true(plain.count > 0);
    assert_int_equal(other.count, plain.count);
    for (size_t i = 0; i < plain.count; i++) {
        assert_true(other.list[i].score == plain.list[i].score);
        assert_near(other.list[i].xmin * WIDTH, plain.list[i].xmin * 200 + 13, 1e-3);
        assert_near(other.list[i].ymax * HEIGHT, plain.list[i].ymax * 131 + 21, 1e-3);
    }

    /* Planes of Y, U and V, whose tiles may begin at any pixel. */
    uint8_t *planes = malloc((size_t)WIDTH * HEIGHT * 2);
    assert_non_null(planes);
    memcpy(planes, rgb, (size_t)WIDTH * HEIGHT * 2);
    const uint8_t *chroma = planes + (size_t)WIDTH * HEIGHT;
    const det_image_view i420 = {.pixels = planes,
                                 .width = WIDTH,
                                 .height = HEIGHT,
                                 .format = DET_PIXEL_I420,
                                 .chroma = {chroma, chroma + WIDTH / 2 * HEIGHT / 2}};
    det_picture *picture = NULL;
    assert_ok(f.env, det_picture_from_pixels(f.context, &i420, &picture));
    const det_image_view converted = det_picture_view(picture);
    detect(&f, detector, &i420, &other);
    detect(&f, detector, &converted, &plain);
    assert_same(&other, &plain);
    det_picture_destroy(&picture);
    free(planes);
    free(rgb);
    det_detector_destroy(&detector);
    drop(&f);
}

static void pictures_of_any_size(void **state)
{
    (void)state;
    static const int32_t sizes[][2] = {{1, 1},   {SIDE, SIDE}, {4097, 3}, {3, 300},
                                       {97, 96}, {96, 97},     {95, 1},   {333, 251}};
    struct fixture f;
    make(&f, 2, NULL);
    det_detector *tiled = make_detector(&f, 0, 0, 1), *plain = NULL;
    det_detector_settings settings;
    det_detector_settings_default(&settings);
    settings.score_threshold = 0;
    assert_ok(f.env, det_detector_create(f.context, f.model, &settings, &plain));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct run a, b;
        float top[2] = {0};
        int32_t top_class[2] = {0};
        uint8_t *rgb = make_rgb(sizes[i][0], sizes[i][1]);
        const det_image_view view = {.pixels = rgb, .width = sizes[i][0], .height = sizes[i][1]};
        detect(&f, tiled, &view, &a);
        detect(&f, plain, &view, &b);
        assert_ok(f.env, det_detector_top_score(tiled, 0, &top[0], &top_class[0]));
        assert_ok(f.env, det_detector_top_score(plain, 0, &top[1], &top_class[1]));
        if (sizes[i][0] <= SIDE && sizes[i][1] <= SIDE) { /* one tile is the picture */
            assert_same(&a, &b);
            assert_true(top[0] == top[1] && top_class[0] == top_class[1]);
        } else {
            assert_true(a.count > b.count);
            assert_true(top[0] >= top[1]); /* the whole is looked at, too */
        }
        free(rgb);
    }
    det_detector_destroy(&tiled);
    det_detector_destroy(&plain);
    drop(&f);
}

/* Pictures of a batch share the network's places; each has its own result, and again takes no
 * memory. */
static void a_batch_of_pictures(void **state)
{
    (void)state;
    enum { PICTURES = 3 };
    struct fixture f;
    make(&f, 2, NULL);
    det_detector *many = make_detector(&f, 0, 0, PICTURES), *one = make_detector(&f, 0, 0, 1);
    det_image_view views[PICTURES];
    uint8_t *rgb[PICTURES];
    for (int i = 0; i < PICTURES; i++) {
        views[i] = (det_image_view){.width = 90 + 70 * i, .height = 200 - 60 * i};
        views[i].pixels = rgb[i] = make_rgb(views[i].width, views[i].height);
    }
    det_image_detections results[PICTURES];
    assert_ok(f.env, det_detector_run_batch(many, views, PICTURES, results));
    const long before = test_env_allocations(&f.t);
    assert_ok(f.env, det_detector_run_batch(many, views, PICTURES, results));
    assert_int_equal(test_env_allocations(&f.t), before);
    for (int i = 0; i < PICTURES; i++) {
        struct run alone;
        detect(&f, one, &views[i], &alone);
        assert_int_equal(results[i].count, alone.count);
        assert_memory_equal(results[i].detections, alone.list, alone.count * sizeof alone.list[0]);
    }
    det_detector_times times = {.struct_size = sizeof times};
    assert_ok(f.env, det_detector_last_times(many, &times));
    assert_true(times.preprocess_ns > 0 && times.network_ns > 0 && times.postprocess_ns > 0);
    views[1].pixels = NULL;
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "pixels are NULL",
                 det_detector_run_batch(many, views, PICTURES, results));
    float top = 0;
    int32_t top_class = 0;
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "the last run has left 0",
                 det_detector_top_score(many, 0, &top, &top_class));
    for (int i = 0; i < PICTURES; i++) {
        assert_true(results[i].count == 0 && results[i].detections == NULL);
        free(rgb[i]);
    }
    det_detector_destroy(&many);
    det_detector_destroy(&one);
    drop(&f);
}

static void settings_and_limits(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 1, NULL);
    det_tile_settings tiles;
    det_tile_settings_default(&tiles);
    det_detector_settings settings;
    det_detector_settings_default(&settings);
    settings.score_threshold = 0;
    settings.tiles = &tiles;
    det_detector *detector = NULL;
    tiles.overlap = 1;
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "overlap is 1",
                 det_detector_create(f.context, f.model, &settings, &detector));
    tiles.overlap = .2F;
    settings.keep_outputs = 1;
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "keep_outputs is set, and tiles",
                 det_detector_create(f.context, f.model, &settings, &detector));
    settings.keep_outputs = 0;
    settings.max_detections = 30;
    assert_ok(f.env, det_detector_create(f.context, f.model, &settings, &detector));
    uint8_t *rgb = make_rgb(WIDTH, HEIGHT);
    const det_image_view view = {.pixels = rgb, .width = WIDTH, .height = HEIGHT};
    struct run limited, all, chosen;
    detect(&f, detector, &view, &limited);
    assert_int_equal(limited.count, 30);
    /* Between runs: classes and scores, as without tiles. */
    const int32_t second = 2;
    assert_ok(f.env, det_detector_choose_classes(detector, &second, 1));
    detect(&f, detector, &view, &chosen);
    for (size_t i = 0; i < chosen.count; i++)
        assert_int_equal(chosen.list[i].class_id, 2);
    assert_ok(f.env, det_detector_set_score(detector, 2, chosen.list[9].score));
    detect(&f, detector, &view, &all);
    assert_in_range(all.count, 1, chosen.count);
    for (size_t i = 0; i < all.count; i++)
        assert_true(all.list[i].class_id == 2 && all.list[i].score >= chosen.list[9].score);
    /* Too many tiles is told before any is looked at. */
    det_detector_destroy(&detector);
    tiles.width = tiles.height = 1;
    tiles.overlap = .9F;
    assert_ok(f.env, det_detector_create(f.context, f.model, &settings, &detector));
    uint8_t *large = make_rgb(300, 300);
    const det_image_view too_many = {.pixels = large, .width = 300, .height = 300};
    const det_detection *list = NULL;
    size_t count = 1;
    assert_fails(f.env, DET_STATUS_UNSUPPORTED, "has 90000 tiles",
                 det_detector_run(detector, &too_many, &list, &count));
    assert_int_equal(count, 0);
    det_detector_destroy(&detector);
    free(large);
    free(rgb);
    drop(&f);
}

/* From each failure on the detector can be used again. */
static void each_allocation_may_fail(void **state)
{
    (void)state;
    uint8_t *rgb = make_rgb(WIDTH, HEIGHT);
    const det_image_view view = {.pixels = rgb, .width = WIDTH, .height = HEIGHT};
    struct fixture f;
    make(&f, 1, NULL);
    for (long n = 1;; n++) {
        det_tile_settings tiles;
        det_detector_settings settings;
        det_detector *detector = NULL;
        const det_detection *list = NULL;
        size_t count = 0;
        det_tile_settings_default(&tiles);
        det_detector_settings_default(&settings);
        settings.score_threshold = 0;
        settings.tiles = &tiles;
        test_env_fail_at(&f.t, n);
        det_status status = det_detector_create(f.context, f.model, &settings, &detector);
        if (status == DET_OK)
            status = det_detector_run(detector, &view, &list, &count);
        const bool done = status == DET_OK;
        test_env_fail_at(&f.t, 0);
        if (!done)
            assert_int_equal(status, DET_STATUS_OUT_OF_MEMORY);
        if (detector != NULL) {
            struct run again;
            detect(&f, detector, &view, &again);
            assert_true(again.count > 0);
        }
        det_detector_destroy(&detector);
        if (done)
            break;
    }
    free(rgb);
    drop(&f);
}

/* --- what it is for --- */

static double ap_of(det_context *context, const det_pipeline_config *config, const det_model *model,
                    const det_tile_settings *tiles, int stat)
{
    det_evaluation_settings settings;
    det_evaluation *evaluation = NULL;
    det_evaluation_settings_default(&settings);
    settings.as_exported = 1;
    settings.quiet = 1;
    settings.tiles = tiles;
    if (det_evaluation_run(context, config, model, &settings, &evaluation) != DET_OK)
        fail_msg("%s", det_context_error(context));
    const double ap = det_evaluation_coco(evaluation)->stats[stat];
    det_evaluation_destroy(&evaluation);
    return ap;
}

static int count_of(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
        count++;
    return count;
}

/* The same with the tools. */
static void check_tools(const char *folder)
{
    enum { ROOM = 1 << 20 };
    char *plain = malloc(ROOM), *tiled = malloc(ROOM);
    assert_true(plain != NULL && tiled != NULL);
    char picture[400], eval[900];
    snprintf(picture, sizeof picture, "%s/images/test/test_00000.jpg", folder);
    assert_int_equal(
        run_tool(plain, ROOM, "det-detect data/vehicles.det %s --json - --quiet", picture), 0);
    assert_int_equal(
        run_tool(tiled, ROOM, "det-detect data/vehicles.det --tiles %s --json - --quiet", picture),
        0);
    assert_true(count_of(plain, "class_id") < 5);
    assert_true(count_of(tiled, "class_id") > 20);
    const int found = count_of(tiled, "class_id");
    assert_int_equal(run_tool(plain, ROOM,
                              "det-detect data/vehicles.det %s --json - --quiet --tiles 320x320 "
                              "--tile_overlap 0.2 --threads 1",
                              picture),
                     0);
    assert_string_equal(strstr(plain, "{\"image\""), strstr(tiled, "{\"image\""));
    assert_int_equal(run_tool(plain, ROOM,
                              "det-detect data/vehicles.det %s --json - --quiet --tiles --max 20",
                              picture),
                     0);
    assert_int_equal(count_of(plain, "class_id"), found < 20 ? found : 20);
    snprintf(eval, sizeof eval,
             "det-eval --pipeline_config_path %s/models/demo/pipeline.config --checkpoint "
             "data/vehicles.det",
             folder);
    assert_int_equal(run_tool(tiled, ROOM, "%s --tiles", eval), 0);
    assert_contains(tiled, "(AP) @[ IoU=0.50:0.95 | area= small");
    assert_true(strstr(tiled, "area= small | maxDets=100 ] = 0.000") == NULL);
    static const char *const bad[][2] = {
        {"--tiles --form api", "--tiles evaluates the exported form"},
        {"--tiles --tile_overlap 0.95", "--tile_overlap: expected 0 to 0.9"},
        {"--tiles=a", "--tiles: got `a`, expected pixels"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(run_tool(tiled, ROOM, "%s %s", eval, bad[i][0]), 2);
        assert_contains(tiled, bad[i][1]);
    }
    assert_int_equal(
        run_tool(tiled, ROOM, "det-detect data/vehicles.det x.jpg --tiles --fast_decode"), 2);
    assert_contains(tiled, "exclude each other");
    free(plain);
    free(tiled);
}

/* A picture of some dozens of scenes at half size: nothing is found in it as a whole. */
static void small_objects_are_found(void **state)
{
    (void)state;
    char folder[256], path[400];
    test_make_directory(folder, "small_objects");
    char out[1000];
    if (run_tool(out, sizeof out, "det-demo-data %s --train 1 --test 1 --seed 5 --mosaic 1280x720",
                 folder) != 0)
        fail_msg("%s", out);
    det_context *context = NULL;
    det_pipeline_config *config = NULL;
    det_model *model = NULL;
    assert_int_equal(det_context_create(&context, NULL), DET_OK);
    snprintf(path, sizeof path, "%s/models/demo/pipeline.config", folder);
    assert_int_equal(det_pipeline_config_load(context, path, &config), DET_OK);
    assert_int_equal(det_model_load(context, "data/vehicles.det", &model), DET_OK);
    det_tile_settings tiles;
    det_tile_settings_default(&tiles);
    const double plain = ap_of(context, config, model, NULL, DET_COCO_AP50);
    const double tiled = ap_of(context, config, model, &tiles, DET_COCO_AP50);
    if (!(plain < .05 && tiled > .3))
        fail_msg("AP50 is %.3f without tiles and %.3f with", plain, tiled);
    tiles.whole = 0; /* of which small objects have little */
    assert_true(ap_of(context, config, model, &tiles, DET_COCO_AP50) > .3);
    det_model_destroy(&model);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
    check_tools(folder);
    test_remove_tree(folder);
}

int test_detector_tiles(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_batches_give_the_same_bits),
        cmocka_unit_test(any_view_of_the_same_pixels),
        cmocka_unit_test(pictures_of_any_size),
        cmocka_unit_test(a_batch_of_pictures),
        cmocka_unit_test(settings_and_limits),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(small_objects_are_found),
    };
    return cmocka_run_group_tests_name("detector_tiles", tests, NULL, NULL);
}
