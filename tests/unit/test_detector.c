/* The detector: any pixel format, frames, memory, bad input, threads, and its parts put together.
 */
#include <math.h>
#include <pthread.h>

#include "devices/backend.h"
#include "devices/context.h"
#include "devices/cpu/prepared/prepared.h"
#include "model/input.h"
#include "model/model.h"
#include "model/net.h"
#include "model/postprocess.h"
#include "model/spec_anchors.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/mem.h"
#include "support/pixels.h"
#include "support/test.h"
#include "train/learner.h"

enum { SIDE = 96, CLASSES = 3 };

static void small_spec(struct det_model_spec *spec)
{
    det_model_spec_default(spec, SIDE, CLASSES);
    spec->depth_multiplier = 0.1f;
    spec->min_depth = 8;
    spec->fpn_depth = 16;
    spec->head_depth = 16;
    spec->head_layers = 1;
}

static void keep_aspect_spec(struct det_model_spec *spec)
{
    small_spec(spec);
    spec->resize_mode = DET_RESIZE_KEEP_ASPECT;
    spec->min_dimension = spec->max_dimension = SIDE;
    spec->pad_to_max = true;
}

static det_model *make_model(struct det_env *env, const struct det_model_spec *spec)
{
    static const char *const names[CLASSES] = {"car", "bus", "bicycle"};
    det_model *model = NULL;
    assert_ok(env, det_model_create(env, spec, false, names, &model));
    formula_params(&model->graph, model->owned);
    return model;
}

/* The same model as it is after an export. */
static det_model *fold_model(struct det_env *env, const det_model *model)
{
    det_model *folded = NULL;
    assert_ok(env, det_model_create(env, &model->spec, true, NULL, &folded));
    det_graph_fold_params(&model->graph, model->params, &folded->graph, folded->owned);
    return folded;
}

struct fixture {
    struct test_env t;
    det_context *context;
    struct det_env *env; /* the context's */
    det_model *model;
    det_detector *detector;
};

static void make(struct fixture *f, const struct det_model_spec *spec)
{
    *f = (struct fixture){0};
    test_env_init(&f->t);
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.allocator = test_env_hooks(&f->t);
    settings.threads = 2;
    assert_int_equal(det_context_create(&f->context, &settings), DET_OK);
    f->env = det_context_env(f->context);
    f->model = make_model(f->env, spec);
    det_detector_settings detector;
    det_detector_settings_default(&detector);
    detector.score_threshold = 0; /* formula weights are sure of nothing */
    assert_ok(f->env, det_detector_create(f->context, f->model, &detector, &f->detector));
}

static void drop(struct fixture *f)
{
    det_detector_destroy(&f->detector);
    det_model_destroy(&f->model);
    det_context_destroy(&f->context);
    test_env_check(&f->t);
}

/* A smooth picture with one channel's share of noise; `grey`: all channels the same. */
static uint8_t *make_rgb(int32_t width, int32_t height, bool grey)
{
    uint8_t *rgb = malloc((size_t)width * (size_t)height * 3);
    assert_non_null(rgb);
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++)
            for (int32_t c = 0; c < 3; c++)
                rgb[(y * width + x) * 3 + c] =
                    (uint8_t)(40 * (grey ? 1 : c) + x * 3 + y * 2 + (x * 7 + y * 13) % 31);
    return rgb;
}

static det_image_view rgb_view(const uint8_t *rgb, int32_t width, int32_t height)
{
    return (det_image_view){.pixels = rgb, .width = width, .height = height};
}

/* The picture in another format with `pad` bytes behind each row, upside down in memory for a
 * negative stride. *memory is to be freed. */
static det_image_view convert(const uint8_t *rgb, int32_t width, int32_t height,
                              det_pixel_format format, int32_t pad, bool upwards, uint8_t **memory)
{
    const bool reversed = format == DET_PIXEL_BGR8 || format == DET_PIXEL_BGRA8;
    struct det_pixels pixels = {.height = height, .width = width};
    pixels.bytes = format == DET_PIXEL_GRAY8 ? 1 : format <= DET_PIXEL_BGR8 ? 3 : 4;
    if (pixels.bytes > 1) {
        pixels.red = reversed ? 2 : 0;
        pixels.green = 1;
        pixels.blue = reversed ? 0 : 2;
    }
    *memory = test_pixels_copy(rgb, &pixels, pad, upwards);
    return (det_image_view){.pixels = pixels.first,
                            .width = width,
                            .height = height,
                            .stride_bytes = pad == 0 && !upwards ? 0 : pixels.stride,
                            .format = format};
}

/* Copies of a run's detections. */
struct run {
    det_detection list[512];
    size_t count;
};

static void detect(struct fixture *f, const det_image_view *view, struct run *run)
{
    const det_detection *detections = NULL;
    assert_ok(f->env, det_detector_run(f->detector, view, &detections, &run->count));
    assert_in_range(run->count, 0, 512);
    memcpy(run->list, detections, run->count * sizeof *detections);
}

static void assert_same(const struct run *a, const struct run *b)
{
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->list, b->list, a->count * sizeof a->list[0]);
}

static void assert_sound(const struct run *run)
{
    for (size_t i = 0; i < run->count; i++) {
        const det_detection *d = &run->list[i];
        assert_in_range(d->class_id, 1, CLASSES);
        assert_true(d->score >= 0 && d->score <= 1);
        assert_true(i == 0 || run->list[i - 1].score >= d->score);
        assert_true(d->ymin >= 0 && d->ymin < d->ymax && d->ymax <= 1);
        assert_true(d->xmin >= 0 && d->xmin < d->xmax && d->xmax <= 1);
    }
}

static void every_format_and_stride_is_the_same_picture(void **state)
{
    (void)state;
    struct fixture f;
    struct det_model_spec spec;
    small_spec(&spec);
    make(&f, &spec);
    const int32_t width = 75, height = 53;
    for (int grey = 0; grey < 2; grey++) {
        uint8_t *rgb = make_rgb(width, height, grey);
        struct run plain, other;
        const det_image_view view = rgb_view(rgb, width, height);
        detect(&f, &view, &plain);
        assert_int_equal(plain.count, 100);
        assert_sound(&plain);
        for (int format = 0; format <= DET_PIXEL_BGRA8; format++)
            for (int variant = 0; variant < 6; variant++) {
                if (format == DET_PIXEL_GRAY8 && !grey)
                    continue;
                uint8_t *memory = NULL;
                const int32_t pads[3] = {0, 1, 37};
                const det_image_view changed = convert(rgb, width, height, (det_pixel_format)format,
                                                       pads[variant % 3], variant >= 3, &memory);
                detect(&f, &changed, &other);
                assert_same(&other, &plain);
                free(memory);
            }
        free(rgb);
    }
    drop(&f);
}

static void pictures_of_any_size(void **state)
{
    (void)state;
    struct det_model_spec specs[2];
    small_spec(&specs[0]);
    keep_aspect_spec(&specs[1]);
    static const int32_t sizes[][2] = {{1, 1},   {1, 200}, {300, 1}, {95, 97},
                                       {96, 96}, {97, 95}, {640, 3}, {333, 251}};
    for (int s = 0; s < 2; s++) {
        struct fixture f;
        make(&f, &specs[s]);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            uint8_t *rgb = make_rgb(sizes[i][0], sizes[i][1], false);
            const det_image_view view = rgb_view(rgb, sizes[i][0], sizes[i][1]);
            struct run run;
            detect(&f, &view, &run);
            assert_sound(&run);
            free(rgb);
        }
        drop(&f);
    }
}

/* The steps one by one, with the slow definition of the resize. */
static void plain_pipeline(struct fixture *f, const struct det_graph *graph, const float *params,
                           uint8_t *rgb, int32_t width, int32_t height, struct run *run)
{
    const struct det_model_spec *spec = &f->model->spec;
    const struct det_ops *ops = det_context_compute(f->context)->ops;
    struct det_prepared *net = NULL;
    struct det_postprocess *post = NULL;
    float(*anchors)[4] = NULL;
    int32_t count = 0, out_h = spec->input_height, out_w = spec->input_width;
    float window[4] = {0, 0, 1, 1};
    if (spec->resize_mode == DET_RESIZE_KEEP_ASPECT) {
        det_keep_aspect_size(height, width, spec->min_dimension, spec->max_dimension, &out_h,
                             &out_w);
        window[2] = (float)out_h / (float)spec->input_height;
        window[3] = (float)out_w / (float)spec->input_width;
    }
    float *pixels = calloc((size_t)out_h * (size_t)out_w * 3, sizeof *pixels);
    const struct det_image image = {.width = width, .height = height, .rgb = rgb};
    const struct det_window whole = det_window_whole(height, width);
    det_resize_reference(&image, &whole, pixels, (size_t)out_w * 3, out_h, out_w);
    assert_ok(f->env,
              det_prepared_create(f->env, graph, NULL, params, ops, f->context->pool, 1, &net));
    assert_ok(f->env, det_spec_anchors(f->env, spec, &anchors, &count));
    struct det_postprocess_settings settings;
    det_postprocess_settings_default(&settings);
    assert_ok(f->env, det_postprocess_create(f->env, &settings, (const float(*)[4])anchors, count,
                                             CLASSES, NULL, &post));
    det_net_fill_input(graph, 1, pixels, out_h, out_w, det_prepared_input(net));
    det_prepared_forward(net);
    const struct det_detections *found =
        det_postprocess_run(post, det_prepared_logits(net), det_prepared_encodings(net), window);
    run->count = (size_t)found->count;
    for (size_t i = 0; i < run->count; i++) {
        const float *b = found->boxes[i];
        run->list[i] =
            (det_detection){found->class_index[i] + 1, found->score[i],     b[0] > 1 ? 1 : b[0],
                            b[1] > 1 ? 1 : b[1],       b[2] > 1 ? 1 : b[2], b[3] > 1 ? 1 : b[3]};
    }
    free(pixels);
    det_postprocess_destroy(f->env, &post);
    det_prepared_destroy(f->env, &net);
    det_free(f->env, &anchors);
}

static void equals_its_parts(void **state)
{
    (void)state;
    struct det_model_spec specs[3];
    small_spec(&specs[0]);
    keep_aspect_spec(&specs[1]);
    small_spec(&specs[2]);
    specs[2].input_height = 70; /* padded to 96 x 128 */
    specs[2].input_width = 101;
    specs[2].pad_to_multiple = 32;
    for (int s = 0; s < 3; s++) {
        struct fixture f;
        make(&f, &specs[s]);
        det_model *folded = fold_model(f.env, f.model);
        uint8_t *rgb = make_rgb(83, 121, false);
        const det_image_view view = rgb_view(rgb, 83, 121);
        struct run plain, ours;
        plain_pipeline(&f, &folded->graph, folded->params, rgb, 83, 121, &plain);
        detect(&f, &view, &ours);
        assert_true(plain.count > 0);
        assert_same(&ours, &plain);
        /* An exported model is used as it is. */
        det_detector_settings settings;
        det_detector_settings_default(&settings);
        settings.score_threshold = 0;
        det_detector_destroy(&f.detector);
        assert_ok(f.env, det_detector_create(f.context, folded, &settings, &f.detector));
        detect(&f, &view, &ours);
        assert_same(&ours, &plain);
        free(rgb);
        det_detector_destroy(&f.detector);
        det_model_destroy(&folded);
        drop(&f);
    }
}

/* One sure anchor whose box is known: where does it land in the image? */
static void frames_map_back_to_the_image(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_model_spec spec;
    keep_aspect_spec(&spec);
    static const struct {
        int32_t width, height, frame_width, frame_height;
    } cases[] = {{200, 100, 96, 48}, {30, 120, 24, 96}, {50, 50, 96, 96}, {7, 500, 1, 96}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct det_frame frame = det_frame_of(&spec, cases[i].height, cases[i].width);
        assert_int_equal(frame.height, cases[i].frame_height);
        assert_int_equal(frame.width, cases[i].frame_width);
        /* A box from 25% to 75% of the image, as the network's frame has it, is the anchor. */
        const float y = (float)frame.height / SIDE, x = (float)frame.width / SIDE;
        const float anchors[2][4] = {{.25f * y, .25f * x, .75f * y, .75f * x},
                                     {.5f * y, .5f * x, 2, 2}};
        const float encodings[8] = {0}, logits[4] = {0, 2, 0, 1};
        struct det_postprocess_settings settings;
        det_postprocess_settings_default(&settings);
        struct det_postprocess *post = NULL;
        assert_ok(&t.env, det_postprocess_create(&t.env, &settings, anchors, 2, 1, NULL, &post));
        const struct det_detections *found =
            det_postprocess_run(post, logits, encodings, frame.window);
        assert_int_equal(found->count, 2);
        static const float wanted[2][4] = {{.25f, .25f, .75f, .75f}, {.5f, .5f, 1, 1}};
        for (int b = 0; b < 2; b++)
            for (int c = 0; c < 4; c++)
                assert_near(found->boxes[b][c], wanted[b][c], 1e-5);
        det_postprocess_destroy(&t.env, &post);
    }
    small_spec(&spec);
    const struct det_frame whole = det_frame_of(&spec, 10, 900);
    assert_true(whole.height == SIDE && whole.width == SIDE && whole.window[2] == 1);
    test_env_check(&t);
}

static void padding_is_zero_after_normalisation(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_model_spec spec;
    keep_aspect_spec(&spec);
    uint8_t *rgb = make_rgb(40, 20, false);
    const det_image_view view = rgb_view(rgb, 40, 20);
    const struct det_frame frame = det_frame_of(&spec, 20, 40);
    assert_int_equal(frame.height, 48);
    enum { OUT_H = 100, OUT_W = 110 };
    float *out = malloc(sizeof(float) * OUT_H * OUT_W * 3);
    for (int i = 0; i < OUT_H * OUT_W * 3; i++)
        out[i] = NAN;
    struct det_resizer resizer = {0};
    assert_ok(&t.env, det_input_fill(&t.env, &resizer, NULL, &view, &frame, out, OUT_H, OUT_W));
    assert_near(out[0], rgb[0] * (2.0 / 255) - 1, 1e-6);
    for (int y = 0; y < OUT_H; y++)
        for (int x = 0; x < OUT_W * 3; x++) {
            const float value = out[y * OUT_W * 3 + x];
            assert_true(value >= -1 && value <= 1);
            if (y >= 48 || x >= 96 * 3)
                assert_true(value == 0);
        }
    /* On three threads: bands that end in the picture, at its edge and in the padding. */
    struct det_pool *pool = NULL;
    float *again = malloc(sizeof(float) * OUT_H * OUT_W * 3);
    memset(again, 0xFF, sizeof(float) * OUT_H * OUT_W * 3);
    assert_ok(&t.env, det_pool_create(&t.env, 3, &pool));
    assert_ok(&t.env, det_input_fill(&t.env, &resizer, pool, &view, &frame, again, OUT_H, OUT_W));
    assert_memory_equal(again, out, sizeof(float) * OUT_H * OUT_W * 3);
    det_pool_destroy(&t.env, &pool);
    det_resizer_free(&t.env, &resizer);
    free(again);
    free(out);
    free(rgb);
    test_env_check(&t);
}

static void nothing_is_allocated_after_the_first_picture(void **state)
{
    (void)state;
    for (int keep = 0; keep < 2; keep++) {
        struct fixture f;
        struct det_model_spec spec;
        if (keep)
            keep_aspect_spec(&spec);
        else
            small_spec(&spec);
        make(&f, &spec);
        uint8_t *rgb = make_rgb(300, 200, false), *bgr = NULL;
        det_image_view view = convert(rgb, 300, 200, DET_PIXEL_BGR8, 5, false, &bgr);
        struct run run;
        const size_t before = det_detector_memory_bytes(f.detector);
        assert_true(before > 100000);
        detect(&f, &view, &run);
        assert_int_equal(det_detector_memory_bytes(f.detector), before);
        const long allocations = test_env_allocations(&f.t);
        for (int i = 0; i < 20; i++) {
            view.width = 300 - i * 14;
            view.height = 200 - i * i / 2;
            detect(&f, &view, &run);
            const det_image_view packed = rgb_view(rgb, 100 + i * 10, 150 - i * 5);
            detect(&f, &packed, &run);
        }
        assert_int_equal(test_env_allocations(&f.t), allocations);
        det_detector_times times = {.struct_size = sizeof times};
        assert_int_equal(det_detector_last_times(f.detector, &times), DET_OK);
        assert_true(times.preprocess_ns > 0 && times.network_ns > 0 && times.postprocess_ns > 0);
        assert_true(times.network_ns < 60ULL * 1000000000);
        free(rgb);
        free(bgr);
        drop(&f);
    }
}

static void bad_arguments_are_named(void **state)
{
    (void)state;
    struct fixture f;
    struct det_model_spec spec;
    small_spec(&spec);
    make(&f, &spec);
    uint8_t *rgb = make_rgb(10, 10, false);
    const det_image_view good = rgb_view(rgb, 10, 10);
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
    drop(&f);
}

static void bad_settings_are_named(void **state)
{
    (void)state;
    struct fixture f;
    struct det_model_spec spec;
    small_spec(&spec);
    make(&f, &spec);
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
    drop(&f);
}

/* A threshold cuts the list at the end and nowhere else; so does max_detections. */
static void thresholds_and_limits(void **state)
{
    (void)state;
    struct fixture f;
    struct det_model_spec spec;
    small_spec(&spec);
    make(&f, &spec);
    uint8_t *rgb = make_rgb(64, 64, false);
    const det_image_view view = rgb_view(rgb, 64, 64);
    struct run all, some;
    detect(&f, &view, &all);
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
        detect(&f, &view, &some);
        assert_int_equal(some.count, cases[i].count);
        assert_memory_equal(some.list, all.list, some.count * sizeof some.list[0]);
    }
    det_detector_settings more;
    det_detector_settings_default(&more);
    more.score_threshold = 0;
    more.max_detections = 400;
    det_detector_destroy(&f.detector);
    assert_ok(f.env, det_detector_create(f.context, f.model, &more, &f.detector));
    detect(&f, &view, &some);
    assert_true(some.count > 100 && some.count <= 400);
    assert_sound(&some);
    free(rgb);
    drop(&f);
}

static void weights_that_are_not_numbers(void **state)
{
    (void)state;
    struct fixture f;
    struct det_model_spec spec;
    small_spec(&spec);
    make(&f, &spec);
    det_model *folded = fold_model(f.env, f.model);
    uint8_t *rgb = make_rgb(20, 20, false);
    const det_image_view view = rgb_view(rgb, 20, 20);
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
    drop(&f);
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
    struct fixture f;
    struct det_model_spec spec;
    small_spec(&spec);
    make(&f, &spec);
    uint8_t *rgb = make_rgb(20, 20, false), *bgr = NULL;
    const det_image_view view = convert(rgb, 20, 20, DET_PIXEL_BGR8, 0, false, &bgr);
    struct sweep sweep = {f.model, &view};
    test_each_allocation_fails(create_and_run, &sweep);
    free(rgb);
    free(bgr);
    drop(&f);
}

struct worker {
    pthread_t thread;
    const det_model *model;
    const det_image_view *view;
    struct run run;
    det_status status;
};

static void *detect_in_thread(void *argument)
{
    struct worker *worker = argument;
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.threads = 2;
    det_context *context = NULL;
    det_detector *detector = NULL;
    det_detector_settings detector_settings;
    det_detector_settings_default(&detector_settings);
    detector_settings.score_threshold = 0;
    worker->status = det_context_create(&context, &settings);
    if (worker->status == DET_OK)
        worker->status = det_detector_create(context, worker->model, &detector_settings, &detector);
    for (int i = 0; i < 5 && worker->status == DET_OK; i++) {
        const det_detection *detections = NULL;
        worker->status = det_detector_run(detector, worker->view, &detections, &worker->run.count);
        if (worker->status == DET_OK)
            memcpy(worker->run.list, detections, worker->run.count * sizeof *detections);
    }
    det_detector_destroy(&detector);
    det_context_destroy(&context);
    return NULL;
}

static void threads_share_a_model(void **state)
{
    (void)state;
    struct fixture f;
    struct det_model_spec spec;
    small_spec(&spec);
    make(&f, &spec);
    det_model *folded = fold_model(f.env, f.model);
    uint8_t *rgb = make_rgb(90, 70, false);
    const det_image_view view = rgb_view(rgb, 90, 70);
    struct run plain;
    detect(&f, &view, &plain);
    static struct worker workers[4];
    for (int i = 0; i < 4; i++) {
        workers[i] = (struct worker){.model = i < 2 ? f.model : folded, .view = &view};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, detect_in_thread, &workers[i]),
                         0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].status, DET_OK);
        assert_same(&workers[i].run, &plain);
    }
    free(rgb);
    det_model_destroy(&folded);
    drop(&f);
}

int test_detector(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_and_stride_is_the_same_picture),
        cmocka_unit_test(pictures_of_any_size),
        cmocka_unit_test(equals_its_parts),
        cmocka_unit_test(frames_map_back_to_the_image),
        cmocka_unit_test(padding_is_zero_after_normalisation),
        cmocka_unit_test(nothing_is_allocated_after_the_first_picture),
        cmocka_unit_test(bad_arguments_are_named),
        cmocka_unit_test(bad_settings_are_named),
        cmocka_unit_test(thresholds_and_limits),
        cmocka_unit_test(weights_that_are_not_numbers),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(threads_share_a_model),
    };
    return cmocka_run_group_tests_name("detector", tests, NULL, NULL);
}
