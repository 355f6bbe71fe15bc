/* Inference by the CUDA backend against the CPU's network and post-processing. */
#include <math.h>

#include "cuda/support/inference.h"
#include "devices/cuda/cuda_fit.h"
#include "model/input.h"
#include "support/formula.h"

/* The same objects in the same order. */
static void compare_detections(const struct det_detections *got,
                               const struct det_detections *wanted, double bound)
{
    assert_int_equal(got->count, wanted->count);
    assert_true(got->count > 0);
    for (int32_t i = 0; i < got->count; i++) {
        assert_int_equal(got->anchor[i], wanted->anchor[i]);
        assert_int_equal(got->class_index[i], wanted->class_index[i]);
        assert_near(got->score[i], wanted->score[i], bound);
        for (int c = 0; c < 4; c++)
            assert_near(got->boxes[i][c], wanted->boxes[i][c], bound);
    }
}

static const float windows[TINY_BATCH][4] = {{0, 0, 1, 1}, {0, 0, 0.75f, 0.9f}};

static void evaluate_at(enum det_precision precision, double bound)
{
    struct inference f;
    const struct det_device_settings device = {.precision = precision};
    inference_open(&f, &(struct inference_settings){.evaluate = true, .device = device});
    const size_t image = (size_t)TINY_SIDE * TINY_SIDE * 3;
    const size_t anchors = (size_t)f.settings.anchor_count;
    const size_t slots = (size_t)f.graph.class_slots;
    float *images = malloc(TINY_BATCH * image * sizeof *images);
    assert_non_null(images);
    for (int run = 0; run < 3; run++) { /* eager, recorded, replayed */
        const float *logits = NULL, *encodings = NULL;
        for (int32_t n = 0; n < TINY_BATCH; n++)
            formula_image(run * TINY_BATCH + n, TINY_SIDE, TINY_SIDE, images + (size_t)n * image);
        det_net_set_images(f.net, images, TINY_SIDE, TINY_SIDE);
        det_net_forward(f.net, f.params);
        assert_ok(f.env, f.backend->runner_set_images(f.env, f.runner, images, TINY_SIDE, TINY_SIDE,
                                                      windows));
        assert_ok(f.env, det_backend_run(f.env, f.backend, f.runner));
        assert_ok(f.env, f.backend->runner_outputs(f.env, f.runner, &logits, &encodings));
        const double logit_error =
            test_max_abs_error(logits, det_net_logits(f.net), TINY_BATCH * anchors * slots);
        const double encoding_error =
            test_max_abs_error(encodings, det_net_encodings(f.net), TINY_BATCH * anchors * 4);
        if (!(logit_error <= bound) || !(encoding_error <= bound))
            fail_msg("logits differ by %g, encodings by %g, bound %g", logit_error, encoding_error,
                     bound);
        for (int32_t n = 0; n < TINY_BATCH; n++) {
            const struct det_detections *got = NULL;
            const float *own = logits + (size_t)n * anchors * slots;
            float score[2];
            int32_t class_index[2];
            assert_ok(f.env, f.backend->runner_detections(f.env, f.runner, n, &got));
            compare_detections(got,
                               det_postprocess_run(f.postprocess, own,
                                                   encodings + (size_t)n * anchors * 4, windows[n]),
                               1e-5);
            assert_ok(f.env,
                      f.backend->runner_top_score(f.env, f.runner, n, &score[0], &class_index[0]));
            det_top_score(own, f.settings.anchor_count, f.spec.num_classes, &score[1],
                          &class_index[1]);
            assert_near(score[0], score[1], 0);
            assert_int_equal(class_index[0], class_index[1]);
        }
    }
    free(images);
    inference_close(&f);
}

static void evaluation(void **state)
{
    (void)state;
    evaluate_at(DET_PRECISION_F32, 2e-4);
    evaluate_at(DET_PRECISION_BF16, 0.5);
}

/* Images of other sizes from run to run, also given while a run is under way: a recording knows the
 * size that it was made for. At the end one of the two inputs changes alone. */
static void other_sizes(void **state)
{
    (void)state;
    static const int32_t sizes[][2] = {{80, 80}, {80, 80}, {80, 80}, {80, 64}, {80, 64}, {80, 64},
                                       {48, 64}, {48, 64}, {48, 64}, {64, 48}, {80, 80}, {80, 80},
                                       {33, 80}, {80, 33}, {80, 80}, {80, 80}, {80, 80}, {80, 80},
                                       {80, 80}, {48, 64}, {80, 80}};
    enum { RUNS = sizeof sizes / sizeof *sizes };
    for (int ahead = 0; ahead < 2; ahead++) {
        struct inference f;
        inference_open(&f, &(struct inference_settings){.evaluate = true});
        const size_t anchors = TINY_BATCH * (size_t)f.settings.anchor_count;
        const size_t count = anchors * (size_t)f.graph.class_slots;
        const size_t floats = (size_t)TINY_BATCH * TINY_SIDE * TINY_SIDE * 3;
        float *images[RUNS];
        for (int run = 0; run < RUNS; run++) {
            images[run] = malloc(floats * sizeof(float));
            assert_non_null(images[run]);
            for (int32_t n = 0; n < TINY_BATCH; n++)
                formula_image(run * TINY_BATCH + n, sizes[run][0], sizes[run][1],
                              images[run] + (ptrdiff_t)n * sizes[run][0] * sizes[run][1] * 3);
        }
        for (int run = 0; run < RUNS; run++) {
            const int next = ahead ? run + 1 : run;
            const float *logits = NULL, *encodings = NULL;
            if (ahead && run == 0)
                assert_ok(f.env, f.backend->runner_set_images(f.env, f.runner, images[0],
                                                              sizes[0][0], sizes[0][1], windows));
            if (ahead)
                assert_ok(f.env, f.backend->runner_begin(f.env, f.runner));
            if (next < RUNS)
                assert_ok(f.env,
                          f.backend->runner_set_images(f.env, f.runner, images[next],
                                                       sizes[next][0], sizes[next][1], windows));
            if (!ahead)
                assert_ok(f.env, f.backend->runner_begin(f.env, f.runner));
            assert_ok(f.env, f.backend->runner_end(f.env, f.runner));
            assert_ok(f.env, f.backend->runner_outputs(f.env, f.runner, &logits, &encodings));
            det_net_set_images(f.net, images[run], sizes[run][0], sizes[run][1]);
            det_net_forward(f.net, f.params);
            const double error = test_max_abs_error(logits, det_net_logits(f.net), count);
            const double encoding_error =
                test_max_abs_error(encodings, det_net_encodings(f.net), anchors * 4);
            if (!(error <= 2e-4) || !(encoding_error <= 2e-4))
                fail_msg("run %d, %d x %d%s: logits differ by %g, encodings by %g", run,
                         sizes[run][0], sizes[run][1], ahead ? ", staged ahead" : "", error,
                         encoding_error);
        }
        for (int run = 0; run < RUNS; run++)
            free(images[run]);
        inference_close(&f);
    }
}

/* A picture of bytes with padded rows, in memory upside down if the stride is negative; planes of
 * colour lie behind it. */
struct picture {
    uint8_t *bytes;
    det_image_view view;
};

static struct picture make_picture(int index, int32_t height, int32_t width,
                                   det_pixel_format format, bool upside_down)
{
    static const ptrdiff_t pixels[] = {3, 3, 1, 4, 4, 1, 1, 2};
    const ptrdiff_t pixel = pixels[format], stride = width * pixel + 5;
    const ptrdiff_t chroma = stride * height, chroma_rows = (height + 1) / 2;
    const ptrdiff_t bytes = chroma + 2 * stride * chroma_rows;
    struct picture p = {.bytes = malloc((size_t)bytes)};
    assert_non_null(p.bytes);
    for (ptrdiff_t i = 0; i < bytes; i++)
        p.bytes[i] = (uint8_t)(128 + 100 * sin(0.37 * (double)(i % stride) / (double)pixel +
                                               0.05 * (double)(i / stride) * (index + 1)));
    p.view = (det_image_view){
        .pixels = upside_down ? p.bytes + (height - 1) * stride : p.bytes,
        .width = width,
        .height = height,
        .stride_bytes = upside_down ? -stride : stride,
        .format = format,
        .yuv_color = DET_YUV_BT709,
        .chroma = {p.bytes + chroma, p.bytes + chroma + stride * chroma_rows},
        .chroma_stride_bytes = {stride, stride},
    };
    return p;
}

static struct det_frame frame_of(const struct inference *f, const det_image_view *view)
{
    const struct det_window window = det_window_of_view(view);
    return det_frame_of(&f->spec, window.height, window.width);
}

/* What det_detector does on the CPU. */
static const struct det_detections *detect_on_cpu(struct inference *f, int32_t place,
                                                  const det_image_view *view)
{
    struct det_resizer resizer = {0};
    const struct det_tensor in = f->graph.tensors[0];
    const size_t floats = (size_t)in.height * (size_t)in.width * 3;
    const struct det_frame frame = frame_of(f, view);
    for (size_t n = 0; n < TINY_BATCH; n++) /* forward works in the memory of its input */
        assert_ok(f->env, det_input_fill(f->env, &resizer, NULL, view, &frame,
                                         det_net_input(f->net) + n * floats, in.height, in.width));
    det_resizer_free(f->env, &resizer);
    det_net_forward(f->net, f->params);
    const size_t anchors = (size_t)place * (size_t)f->settings.anchor_count;
    return det_postprocess_run(f->postprocess,
                               det_net_logits(f->net) + anchors * (size_t)f->graph.class_slots,
                               det_net_encodings(f->net) + anchors * 4, frame.window);
}

static void pictures(void **state)
{
    (void)state;
    static const struct {
        int32_t height, width;
        det_pixel_format format;
        bool upside_down;
        det_region region;
    } cases[][TINY_BATCH] = {
        {{64, 48, DET_PIXEL_RGB8, false, {0}}, {TINY_SIDE, TINY_SIDE, DET_PIXEL_BGR8, false, {0}}},
        {{100, 120, DET_PIXEL_RGBA8, true, {0}}, {1, 1, DET_PIXEL_GRAY8, false, {0}}},
        {{33, 90, DET_PIXEL_BGRA8, false, {0}}, {200, 31, DET_PIXEL_GRAY8, true, {0}}},
        {{63, 91, DET_PIXEL_NV12, false, {0}}, {50, 40, DET_PIXEL_I420, true, {0}}},
        {{64, 75, DET_PIXEL_YUYV, true, {0}}, {99, 77, DET_PIXEL_NV12, true, {7, 11, 60, 45}}},
        {{64, 48, DET_PIXEL_BGR8, true, {9, 1, 33, 40}},
         {33, 90, DET_PIXEL_YUYV, false, {32, 89, 1, 1}}},
    };
    struct inference f;
    inference_open(&f, &(struct inference_settings){.folded = true});
    for (size_t run = 0; run < sizeof cases / sizeof cases[0]; run++) {
        struct picture p[TINY_BATCH];
        for (int32_t n = 0; n < TINY_BATCH; n++) {
            p[n] = make_picture((int)run * 2 + n, cases[run][n].height, cases[run][n].width,
                                cases[run][n].format, cases[run][n].upside_down);
            p[n].view.region = cases[run][n].region;
            const struct det_frame frame = frame_of(&f, &p[n].view);
            /* Twice: only the last one counts. */
            assert_ok(f.env, f.backend->runner_set_picture(f.env, f.runner, n, &p[0].view, &frame));
            assert_ok(f.env, f.backend->runner_set_picture(f.env, f.runner, n, &p[n].view, &frame));
        }
        assert_ok(f.env, det_backend_run(f.env, f.backend, f.runner));
        for (int32_t n = 0; n < TINY_BATCH; n++) {
            const struct det_detections *got = NULL;
            assert_ok(f.env, f.backend->runner_detections(f.env, f.runner, n, &got));
            compare_detections(got, detect_on_cpu(&f, n, &p[n].view), 2e-4);
        }
        for (int32_t n = 0; n < TINY_BATCH; n++)
            free(p[n].bytes);
    }
    assert_true(f.backend->runner_bytes(f.runner) > f.graph.param_floats * sizeof(float));
    uint64_t ns[3] = {0};
    f.backend->runner_times(f.runner, ns);
    assert_true(ns[0] > 0 && ns[1] > 0);
    inference_close(&f);
}

/* Of an image whose outputs are not finite nothing is shown; of the others everything is. */
static void non_finite_images(void **state)
{
    (void)state;
    const size_t floats = (size_t)TINY_SIDE * TINY_SIDE * 3;
    struct inference f;
    inference_open(&f, &(struct inference_settings){.evaluate = true, .folded = true});
    float *images = malloc(TINY_BATCH * floats * sizeof *images);
    assert_non_null(images);
    for (int32_t bad = -1; bad < TINY_BATCH; bad++) {
        for (int32_t n = 0; n < TINY_BATCH; n++)
            formula_image(n, TINY_SIDE, TINY_SIDE, images + (size_t)n * floats);
        if (bad >= 0)
            images[(size_t)bad * floats + floats / 2] = NAN;
        assert_ok(f.env, f.backend->runner_set_images(f.env, f.runner, images, TINY_SIDE, TINY_SIDE,
                                                      windows));
        assert_ok(f.env, det_backend_run(f.env, f.backend, f.runner));
        for (int32_t n = 0; n < TINY_BATCH; n++) {
            const struct det_detections *found = NULL;
            const det_status status = f.backend->runner_detections(f.env, f.runner, n, &found);
            if ((status == DET_STATUS_NON_FINITE) != (n == bad) || (found == NULL) != (n == bad))
                fail_msg("image %d is bad, image %d is %s", bad, n, det_status_text(status));
        }
    }
    free(images);
    inference_close(&f);
}

/* Between runs, recorded ones too; and the outputs of pictures. */
static void thresholds_of_classes_change(void **state)
{
    (void)state;
    const float whole[4] = {0, 0, 1, 1};
    struct inference f;
    inference_open(&f, &(struct inference_settings){.folded = true});
    const size_t classes = (size_t)f.spec.num_classes, anchors = (size_t)f.settings.anchor_count;
    float *thresholds = calloc(classes, sizeof *thresholds);
    struct det_postprocess *reference = NULL;
    assert_non_null(thresholds);
    f.nms.class_thresholds = thresholds;
    f.settings.outputs = true;
    f.backend->runner_destroy(f.env, &f.runner);
    assert_ok(f.env, f.backend->runner_create(f.env, f.device, &f.settings, &f.runner));
    assert_ok(f.env,
              det_postprocess_create(f.env, &f.nms, f.settings.anchors, f.settings.anchor_count,
                                     f.spec.num_classes, NULL, &reference));
    for (size_t run = 0; run < 6; run++) {
        const float *logits = NULL, *encodings = NULL;
        for (size_t c = 0; c < classes; c++)
            thresholds[c] = run % 2 == 1 && c == run / 2 % classes ? INFINITY : .005F;
        assert_ok(f.env, det_backend_run(f.env, f.backend, f.runner)); /* black pictures */
        assert_ok(f.env, f.backend->runner_outputs(f.env, f.runner, &logits, &encodings));
        for (int32_t n = 0; n < TINY_BATCH; n++) {
            const size_t row = (size_t)n * anchors;
            const struct det_detections *got = NULL;
            const struct det_detections *wanted = det_postprocess_run(
                reference, logits + row * (classes + 1), encodings + row * 4, whole);
            assert_ok(f.env, f.backend->runner_detections(f.env, f.runner, n, &got));
            assert_true(wanted->count > 0 || classes == 1);
            assert_int_equal(got->count, wanted->count);
            assert_memory_equal(got->anchor, wanted->anchor,
                                (size_t)got->count * sizeof *got->anchor);
            assert_memory_equal(got->class_index, wanted->class_index,
                                (size_t)got->count * sizeof *got->class_index);
        }
    }
    det_postprocess_destroy(f.env, &reference);
    free(thresholds);
    inference_close(&f);
}

static void non_finite_and_misuse(void **state)
{
    (void)state;
    struct inference f;
    const struct det_detections *found = NULL;
    const float *logits = NULL, *encodings = NULL, *image = NULL;
    inference_open(&f, &(struct inference_settings){.folded = true});
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "made to evaluate",
                 f.backend->runner_set_images(f.env, f.runner, image, 8, 8, windows));
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "made to show them",
                 f.backend->runner_outputs(f.env, f.runner, &logits, &encodings));
    assert_ok(f.env, det_backend_run(f.env, f.backend, f.runner)); /* black pictures */
    assert_ok(f.env, f.backend->runner_detections(f.env, f.runner, 1, &found));
    f.backend->runner_destroy(f.env, &f.runner);
    f.params[f.graph.params[0].offset] = NAN;
    assert_ok(f.env, f.backend->runner_create(f.env, f.device, &f.settings, &f.runner));
    assert_ok(f.env, det_backend_run(f.env, f.backend, f.runner));
    assert_fails(f.env, DET_STATUS_NON_FINITE, "NaN or infinity",
                 f.backend->runner_detections(f.env, f.runner, 0, &found));
    assert_null(found);
    inference_close(&f);
}

#ifdef DET_CUDA_EMU

/* After its first two runs a run is one launch and one wait; pictures no larger than before take no
 * memory. */
static void counts(void **state)
{
    (void)state;
    struct inference f;
    inference_open(&f, &(struct inference_settings){.folded = true});
    struct picture p = make_picture(0, 50, 60, DET_PIXEL_RGB8, false);
    const struct det_frame frame = det_frame_of(&f.spec, 50, 60);
    for (int run = 0; run < 4; run++) {
        const struct cuda_emu_counts before = cuda_emu_read_counts();
        for (int32_t n = 0; n < TINY_BATCH; n++)
            assert_ok(f.env, f.backend->runner_set_picture(f.env, f.runner, n, &p.view, &frame));
        assert_ok(f.env, det_backend_run(f.env, f.backend, f.runner));
        const struct cuda_emu_counts after = cuda_emu_read_counts();
        assert_int_equal(after.host_waits - before.host_waits, 1);
        assert_int_equal(after.graph_launches - before.graph_launches, run >= 1);
        assert_int_equal(after.device_allocations - before.device_allocations,
                         run == 0 ? TINY_BATCH : 0);
        assert_int_equal(after.pinned_allocations - before.pinned_allocations,
                         run == 0 ? TINY_BATCH : 0);
        assert_int_equal(after.unpinned_copies - before.unpinned_copies, 0);
        assert_int_equal(after.reports - before.reports, 0);
    }
    /* The memory of a picture on its way must not be written. */
    const struct cuda_emu_counts before = cuda_emu_read_counts();
    for (int i = 0; i < 3; i++) {
        assert_ok(f.env, f.backend->runner_set_picture(f.env, f.runner, 0, &p.view, &frame));
        assert_int_equal(cuda_emu_read_counts().host_waits - before.host_waits, i);
    }
    free(p.bytes);
    inference_close(&f);
}

static void each_device_allocation_fails(void **state)
{
    (void)state;
    struct inference f;
    inference_open(&f, &(struct inference_settings){.folded = true});
    f.backend->runner_destroy(f.env, &f.runner);
    const struct cuda_emu_counts before = cuda_emu_read_counts();
    long failures = 0;
    for (long n = 1;; n++, failures++) {
        cuda_emu_fail_at(n);
        const det_status status = f.backend->runner_create(f.env, f.device, &f.settings, &f.runner);
        cuda_emu_fail_at(0);
        if (status == DET_OK)
            break;
        assert_true(status == DET_STATUS_OUT_OF_MEMORY || status == DET_STATUS_DEVICE);
        assert_null(f.runner);
        const struct cuda_emu_counts after = cuda_emu_read_counts();
        assert_int_equal(after.live_device_blocks, before.live_device_blocks);
        assert_int_equal(after.live_pinned_blocks, before.live_pinned_blocks);
        assert_int_equal(after.live_handles, before.live_handles);
    }
    assert_true(failures >= 4);
    f.backend->runner_destroy(f.env, &f.runner);
    cuda_emu_set_memory(DET_CUDA_MARGIN + (8 << 20));
    f.settings.batch = 64;
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "largest batch size that fits is",
                 f.backend->runner_create(f.env, f.device, &f.settings, &f.runner));
    cuda_emu_set_memory(0);
    inference_close(&f);
}

#endif

int test_cuda_runner(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evaluation),
        cmocka_unit_test(other_sizes),
        cmocka_unit_test(pictures),
        cmocka_unit_test(thresholds_of_classes_change),
        cmocka_unit_test(non_finite_and_misuse),
        cmocka_unit_test(non_finite_images),
#ifdef DET_CUDA_EMU
        cmocka_unit_test(counts),
        cmocka_unit_test(each_device_allocation_fails),
#endif
    };
    return cmocka_run_group_tests_name("cuda_runner", tests, NULL, NULL);
}
