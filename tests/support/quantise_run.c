#include "support/quantise_run.h"

#include <math.h>

#include "base/context.h"
#include "support/workspace.h"

static uint8_t pictures[QUANTISE_RUN_PICTURES][QUANTISE_RUN_SIDE * QUANTISE_RUN_SIDE * 3];

static struct exports_squares squares = {pictures[0], QUANTISE_RUN_SIDE};

const det_sample_source quantise_run_pictures = {.struct_size = sizeof(det_sample_source),
                                                 .user = &squares,
                                                 .count = QUANTISE_RUN_PICTURES,
                                                 .fill = exports_fill_square};

det_image_view quantise_run_view(void)
{
    return (det_image_view){
        .pixels = pictures[0], .width = QUANTISE_RUN_SIDE, .height = QUANTISE_RUN_SIDE};
}

static void draw_pictures(void)
{
    static float values[QUANTISE_RUN_SIDE * QUANTISE_RUN_SIDE * 3];
    for (int p = 0; p < QUANTISE_RUN_PICTURES; p++) {
        test_fill(values, QUANTISE_RUN_SIDE * QUANTISE_RUN_SIDE * 3, (uint32_t)p + 40);
        for (int i = 0; i < QUANTISE_RUN_SIDE * QUANTISE_RUN_SIDE * 3; i++)
            pictures[p][i] =
                (uint8_t)(127.5f +
                          100 * sinf((float)(i / 3 % QUANTISE_RUN_SIDE) * .1f * (float)(p + 1)) +
                          27 * values[i]);
    }
}

void quantise_run_start(struct quantise_run *r, int threads, const char *precision)
{
    *r = (struct quantise_run){0};
    test_env_init(&r->t);
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.allocator = test_env_hooks(&r->t);
    settings.threads = threads;
    settings.device = "cpu";
    settings.precision = precision;
    assert_int_equal(det_context_create(&r->context, &settings), DET_OK);
    draw_pictures();
}

void quantise_run_model(struct quantise_run *r, int32_t variant)
{
    struct det_model_spec spec;
    exports_spec(&spec, 96, 64 + 32 * (variant % 2), 2);
    spec.share_tower = variant != 1;
    spec.head_depthwise = variant != 2;
    struct det_env *env = det_context_env(r->context);
    assert_ok(env, exports_model(env, &spec, NULL, &r->model));
}

void quantise_run_stop(struct quantise_run *r)
{
    det_model_destroy(&r->model);
    det_model_destroy(&r->quantised);
    det_context_destroy(&r->context);
    test_env_check(&r->t);
}

det_status quantise_run(struct quantise_run *r, det_quantisation_observer observer,
                        det_quantisation_floats floats, const det_model *model,
                        det_model **quantised)
{
    det_quantisation_settings s;
    det_quantisation_settings_default(&s);
    s.samples = &quantise_run_pictures;
    s.observer = observer;
    s.floats = floats;
    return det_model_quantise(r->context, model, &s, quantised);
}

det_quantisation_info quantise_run_info(struct quantise_run *r, const det_model *model)
{
    det_quantisation_info info = {.struct_size = sizeof info};
    assert_context_ok(r->context, det_model_quantisation(r->context, model, &info));
    return info;
}

size_t quantise_run_outputs(struct quantise_run *r, const det_model *model, float **values)
{
    det_detector_settings settings;
    det_detector *detector = NULL;
    const det_detection *found = NULL;
    det_detector_raw raw = {.struct_size = sizeof raw};
    size_t count = 0, slots = (size_t)det_model_class_count(model) + 1;
    const size_t anchors = (size_t)det_model_anchor_count(model);
    det_detector_settings_default(&settings);
    settings.keep_outputs = 1;
    assert_context_ok(r->context, det_detector_create(r->context, model, &settings, &detector));
    const det_image_view view = quantise_run_view();
    assert_context_ok(r->context, det_detector_run(detector, &view, &found, &count));
    assert_context_ok(r->context, det_detector_outputs(detector, 0, &raw));
    *values = malloc(anchors * (4 + slots) * sizeof **values);
    memcpy(*values, raw.encodings, anchors * 4 * sizeof **values);
    memcpy(*values + anchors * 4, raw.logits, anchors * slots * sizeof **values);
    det_detector_destroy(&detector);
    return anchors * (4 + slots);
}
