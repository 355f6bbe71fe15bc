/* The detector: any pixel format, frames, threads, and its parts put together. */
#include <pthread.h>

#include "devices/context.h"
#include "devices/cpu/prepared/prepared.h"
#include "model/input.h"
#include "model/postprocess.h"
#include "model/spec_anchors.h"
#include "support/formula.h"
#include "support/mem.h"
#include "support/small_detector.h"
#include "train/learner.h"

static void keep_aspect_spec(struct det_model_spec *spec)
{
    formula_spec(spec, SMALL_SIDE, SMALL_CLASSES);
    spec->resize_mode = DET_RESIZE_KEEP_ASPECT;
    spec->min_dimension = spec->max_dimension = SMALL_SIDE;
    spec->pad_to_max = true;
}

static void assert_same(const struct detected *a, const struct detected *b)
{
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->list, b->list, a->count * sizeof a->list[0]);
}

static void every_format_and_stride_is_the_same_picture(void **state)
{
    (void)state;
    struct small_detector f;
    small_detector_make(&f, NULL);
    const int32_t width = 75, height = 53;
    for (int grey = 0; grey < 2; grey++) {
        uint8_t *rgb = make_rgb_picture(width, height, grey);
        struct detected plain, other;
        const det_image_view view = rgb_picture_view(rgb, width, height);
        small_detector_run(&f, &view, &plain);
        assert_int_equal(plain.count, 100);
        assert_sound_detections(&plain);
        for (int format = 0; format <= DET_PIXEL_BGRA8; format++)
            for (int variant = 0; variant < 6; variant++) {
                if (format == DET_PIXEL_GRAY8 && !grey)
                    continue;
                uint8_t *memory = NULL;
                const int32_t pads[3] = {0, 1, 37};
                const det_image_view changed =
                    convert_picture(rgb, width, height, (det_pixel_format)format, pads[variant % 3],
                                    variant >= 3, &memory);
                small_detector_run(&f, &changed, &other);
                assert_same(&other, &plain);
                free(memory);
            }
        free(rgb);
    }
    small_detector_drop(&f);
}

static void pictures_of_any_size(void **state)
{
    (void)state;
    struct det_model_spec specs[2];
    formula_spec(&specs[0], SMALL_SIDE, SMALL_CLASSES);
    keep_aspect_spec(&specs[1]);
    static const int32_t sizes[][2] = {{1, 1},   {1, 200}, {300, 1}, {95, 97},
                                       {96, 96}, {97, 95}, {640, 3}, {333, 251}};
    for (int s = 0; s < 2; s++) {
        struct small_detector f;
        small_detector_make(&f, &specs[s]);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            uint8_t *rgb = make_rgb_picture(sizes[i][0], sizes[i][1], false);
            const det_image_view view = rgb_picture_view(rgb, sizes[i][0], sizes[i][1]);
            struct detected run;
            small_detector_run(&f, &view, &run);
            assert_sound_detections(&run);
            free(rgb);
        }
        small_detector_drop(&f);
    }
}

/* The steps one by one, with the slow definition of the resize. */
static void plain_pipeline(struct small_detector *f, const struct det_graph *graph,
                           const float *params, uint8_t *rgb, int32_t width, int32_t height,
                           struct detected *run)
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
                                             SMALL_CLASSES, NULL, &post));
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
    formula_spec(&specs[0], SMALL_SIDE, SMALL_CLASSES);
    keep_aspect_spec(&specs[1]);
    formula_spec(&specs[2], SMALL_SIDE, SMALL_CLASSES);
    specs[2].input_height = 70; /* padded to 96 x 128 */
    specs[2].input_width = 101;
    specs[2].pad_to_multiple = 32;
    for (int s = 0; s < 3; s++) {
        struct small_detector f;
        small_detector_make(&f, &specs[s]);
        det_model *folded = small_detector_fold(f.env, f.model);
        uint8_t *rgb = make_rgb_picture(83, 121, false);
        const det_image_view view = rgb_picture_view(rgb, 83, 121);
        struct detected plain, ours;
        plain_pipeline(&f, &folded->graph, folded->params, rgb, 83, 121, &plain);
        small_detector_run(&f, &view, &ours);
        assert_true(plain.count > 0);
        assert_same(&ours, &plain);
        /* An exported model is used as it is. */
        det_detector_settings settings;
        det_detector_settings_default(&settings);
        settings.score_threshold = 0;
        det_detector_destroy(&f.detector);
        assert_ok(f.env, det_detector_create(f.context, folded, &settings, &f.detector));
        small_detector_run(&f, &view, &ours);
        assert_same(&ours, &plain);
        free(rgb);
        det_detector_destroy(&f.detector);
        det_model_destroy(&folded);
        small_detector_drop(&f);
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
        const float y = (float)frame.height / SMALL_SIDE, x = (float)frame.width / SMALL_SIDE;
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
    formula_spec(&spec, SMALL_SIDE, SMALL_CLASSES);
    const struct det_frame whole = det_frame_of(&spec, 10, 900);
    assert_true(whole.height == SMALL_SIDE && whole.width == SMALL_SIDE && whole.window[2] == 1);
    test_env_check(&t);
}

static void padding_is_zero_after_normalisation(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_model_spec spec;
    keep_aspect_spec(&spec);
    uint8_t *rgb = make_rgb_picture(40, 20, false);
    const det_image_view view = rgb_picture_view(rgb, 40, 20);
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
        struct small_detector f;
        struct det_model_spec spec;
        if (keep)
            keep_aspect_spec(&spec);
        else
            formula_spec(&spec, SMALL_SIDE, SMALL_CLASSES);
        small_detector_make(&f, &spec);
        uint8_t *rgb = make_rgb_picture(300, 200, false), *bgr = NULL;
        det_image_view view = convert_picture(rgb, 300, 200, DET_PIXEL_BGR8, 5, false, &bgr);
        struct detected run;
        const size_t before = det_detector_memory_bytes(f.detector);
        assert_true(before > 100000);
        small_detector_run(&f, &view, &run);
        assert_int_equal(det_detector_memory_bytes(f.detector), before);
        const long allocations = test_env_allocations(&f.t);
        for (int i = 0; i < 20; i++) {
            view.width = 300 - i * 14;
            view.height = 200 - i * i / 2;
            small_detector_run(&f, &view, &run);
            const det_image_view packed = rgb_picture_view(rgb, 100 + i * 10, 150 - i * 5);
            small_detector_run(&f, &packed, &run);
        }
        assert_int_equal(test_env_allocations(&f.t), allocations);
        det_detector_times times = {.struct_size = sizeof times};
        assert_int_equal(det_detector_last_times(f.detector, &times), DET_OK);
        assert_true(times.preprocess_ns > 0 && times.network_ns > 0 && times.postprocess_ns > 0);
        assert_true(times.network_ns < 60ULL * 1000000000);
        free(rgb);
        free(bgr);
        small_detector_drop(&f);
    }
}

struct worker {
    pthread_t thread;
    const det_model *model;
    const det_image_view *view;
    struct detected run;
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
    struct small_detector f;
    small_detector_make(&f, NULL);
    det_model *folded = small_detector_fold(f.env, f.model);
    uint8_t *rgb = make_rgb_picture(90, 70, false);
    const det_image_view view = rgb_picture_view(rgb, 90, 70);
    struct detected plain;
    small_detector_run(&f, &view, &plain);
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
    small_detector_drop(&f);
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
        cmocka_unit_test(threads_share_a_model),
    };
    return cmocka_run_group_tests_name("detector", tests, NULL, NULL);
}
