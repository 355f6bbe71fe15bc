#include "support/small_detector.h"

#include "devices/context.h"
#include "support/formula.h"
#include "support/pixels.h"
#include "support/workspace.h"

det_model *small_detector_model(struct det_env *env, const struct det_model_spec *spec)
{
    static const char *const names[SMALL_CLASSES] = {"car", "bus", "bicycle"};
    det_model *model = NULL;
    assert_ok(env, det_model_create(env, spec, false, names, &model));
    formula_params(&model->graph, model->owned);
    return model;
}

det_model *small_detector_fold(struct det_env *env, const det_model *model)
{
    det_model *folded = NULL;
    assert_ok(env, det_model_create(env, &model->spec, true, NULL, &folded));
    det_graph_fold_params(&model->graph, model->params, &folded->graph, folded->owned);
    return folded;
}

void small_detector_make(struct small_detector *f, const struct det_model_spec *spec)
{
    struct det_model_spec usual;
    formula_spec(&usual, SMALL_SIDE, SMALL_CLASSES);
    *f = (struct small_detector){0};
    test_env_init(&f->t);
    f->context = workspace_machine(&f->t, 2);
    f->env = det_context_env(f->context);
    f->model = small_detector_model(f->env, spec == NULL ? &usual : spec);
    det_detector_settings detector;
    det_detector_settings_default(&detector);
    detector.score_threshold = 0; /* formula weights are sure of nothing */
    assert_ok(f->env, det_detector_create(f->context, f->model, &detector, &f->detector));
}

void small_detector_drop(struct small_detector *f)
{
    det_detector_destroy(&f->detector);
    det_model_destroy(&f->model);
    det_context_destroy(&f->context);
    test_env_check(&f->t);
}

uint8_t *make_rgb_picture(int32_t width, int32_t height, bool grey)
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

det_image_view rgb_picture_view(const uint8_t *rgb, int32_t width, int32_t height)
{
    return (det_image_view){.pixels = rgb, .width = width, .height = height};
}

det_image_view convert_picture(const uint8_t *rgb, int32_t width, int32_t height,
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

void small_detector_run(struct small_detector *f, const det_image_view *view, struct detected *run)
{
    const det_detection *detections = NULL;
    assert_ok(f->env, det_detector_run(f->detector, view, &detections, &run->count));
    assert_in_range(run->count, 0, 512);
    memcpy(run->list, detections, run->count * sizeof *detections);
}

void assert_sound_detections(const struct detected *run)
{
    for (size_t i = 0; i < run->count; i++) {
        const det_detection *d = &run->list[i];
        assert_in_range(d->class_id, 1, SMALL_CLASSES);
        assert_true(d->score >= 0 && d->score <= 1);
        assert_true(i == 0 || run->list[i - 1].score >= d->score);
        assert_true(d->ymin >= 0 && d->ymin < d->ymax && d->ymax <= 1);
        assert_true(d->xmin >= 0 && d->xmin < d->xmax && d->xmax <= 1);
    }
}
