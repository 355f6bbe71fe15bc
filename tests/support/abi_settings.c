#include "support/abi_settings.h"

#include <stddef.h>

/* --- what takes them --- */

static det_status make_context(struct abi_fixture *f, const det_context_settings *settings)
{
    det_context *context = NULL;
    const det_status status = det_context_create_explained(&context, settings, &f->context_error);
    det_context_destroy(&context);
    return status;
}

static det_status use_context(struct abi_fixture *f, const void *settings)
{
    return make_context(f, settings);
}

static det_status use_allocator(struct abi_fixture *f, const void *allocator)
{
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.allocator = allocator;
    return make_context(f, &settings);
}

static det_status use_logger(struct abi_fixture *f, const void *logger)
{
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.logger = logger;
    return make_context(f, &settings);
}

static det_status use_nms(struct abi_fixture *f, const void *settings)
{
    static const float logits[2], encodings[4], anchor[4] = {0, 0, 1, 1};
    det_detection found[100];
    size_t count = 0;
    return det_boxes_postprocess(f->context, settings, logits, encodings, anchor, 1, 1, NULL, found,
                                 &count);
}

/* What is made with settings and not looked at any further. */
#define USE(stem, type, create)                                               \
    static det_status use_##stem(struct abi_fixture *f, const void *settings) \
    {                                                                         \
        type *made = NULL;                                                    \
        const det_status status = create;                                     \
        type##_destroy(&made);                                                \
        return status;                                                        \
    }
USE(detector, det_detector, det_detector_create(f->context, f->model, settings, &made))
USE(recalibration, det_model,
    det_model_recalibrate(f->context, f->config, f->model, settings, &made))
USE(rounded, det_model, det_model_quantise(f->context, f->model, settings, &made))
USE(trainer, det_trainer, det_trainer_create(f->context, f->config, settings, &made))
USE(tracker, det_tracker, det_tracker_create(f->context, settings, &made))
USE(coco, det_coco_evaluator, det_coco_evaluator_create(f->context, settings, &made))
USE(report, det_detection_report,
    det_detection_report_create(f->context, f->evaluator, settings, &made))
USE(values, det_model, det_model_copy(f->context, f->model, settings, 1, &made))
USE(review, det_review, det_review_create(f->context, f->model, f->set, settings, &made))
USE(set, det_annotation_set, det_annotation_set_create(f->context, settings, &made))
USE(export, det_export, det_export_create(f->context, f->model, "det", settings, &made))

/* Settings within settings, of a detector and of an evaluation; and of their own. */
static det_status use_tiles(struct abi_fixture *f, const void *tiles)
{
    det_detector_settings detecting;
    det_evaluation_settings evaluating;
    det_region region;
    size_t count = 0;
    det_detector_settings_default(&detecting);
    det_evaluation_settings_default(&evaluating);
    detecting.tiles = evaluating.tiles = tiles;
    const det_status status = use_detector(f, &detecting);
    assert_int_equal(det_evaluation_check(f->context, f->config, &evaluating), status);
    const det_status planned = det_tile_plan(f->context, tiles, 8, 8, &region, 1, &count);
    if (status != DET_OK)
        assert_int_equal(planned, status);
    return status;
}

static det_status use_evaluation(struct abi_fixture *f, const void *settings)
{
    return det_evaluation_check(f->context, f->config, settings);
}

/* The default is without pictures, which is found when the struct is known to be sound. */
static det_status use_quantisation(struct abi_fixture *f, const void *settings)
{
    const det_status status = use_rounded(f, settings);
    return strstr(det_context_error(f->context), "needs pictures") != NULL ? DET_OK : status;
}

/* A trainer's evaluations: settings within settings. */
static det_status use_inner(struct abi_fixture *f, const void *evaluation)
{
    det_trainer_settings settings;
    det_trainer_settings_default(&settings);
    settings.evaluation = evaluation;
    settings.eval_every_steps = 1;
    return use_trainer(f, &settings);
}

static det_status use_communicator(struct abi_fixture *f, const void *settings)
{
    det_communicator *communicator = NULL;
    const det_status status = det_communicator_open_mpi(f->context, settings, &communicator);
    return strstr(det_context_error(f->context), "silence_seconds is 1,") != NULL ? DET_OK : status;
}

static det_status use_object(struct abi_fixture *f, const void *object)
{
    return det_coco_evaluator_add_object(f->evaluator, object);
}

static det_status use_curve(struct abi_fixture *f, const void *curve)
{
    return det_summary_pr_curve(f->writer, "curve", 1, curve);
}

static det_status use_starter(struct abi_fixture *f, const void *settings)
{
    char path[400];
    snprintf(path, sizeof path, "%s/starter.config", f->w.directory);
    return det_starter_config_write(f->context, f->set, path, settings, NULL);
}

static det_status use_page(struct abi_fixture *f, const void *settings)
{
    char path[400];
    snprintf(path, sizeof path, "%s/page.html", f->w.directory);
    return det_annotation_set_write_report(f->set, path, settings);
}

/* In a set of its own: the fixture's stays resolved. */
static det_status use_image_and_object(struct abi_fixture *f, const void *image, const void *object)
{
    static const uint8_t none[1] = {0};
    const det_annotation_image plain = {
        .struct_size = sizeof plain, .data = none, .bytes = 1, .where = "plain"};
    det_annotation_set *set = NULL;
    size_t position = 0;
    assert_context_ok(f->context, det_annotation_set_create(f->context, NULL, &set));
    det_status status =
        det_annotation_set_add_image(set, image != NULL ? image : &plain, &position);
    if (status == DET_OK && object != NULL)
        status = det_annotation_set_add_object(set, position, object);
    det_annotation_set_destroy(&set);
    return status;
}

static det_status use_image(struct abi_fixture *f, const void *image)
{
    return use_image_and_object(f, image, NULL);
}

static det_status use_annotation(struct abi_fixture *f, const void *object)
{
    return use_image_and_object(f, NULL, object);
}

static det_status use_sheet(struct abi_fixture *f, const void *settings)
{
    char path[400];
    snprintf(path, sizeof path, "%s/sheet.png", f->w.directory);
    return det_annotation_set_write_sheet(f->set, path, settings, NULL, NULL);
}

static det_status use_write(struct abi_fixture *f, const void *settings)
{
    char path[400];
    snprintf(path, sizeof path, "%s/written", f->w.directory);
    return det_annotation_set_write(f->set, "csv", path, settings, NULL);
}

static det_status use_cutting(struct abi_fixture *f, const void *settings)
{
    return det_annotation_set_tile(f->set, settings, NULL);
}

static det_status use_frame(struct abi_fixture *f, const void *frame)
{
    det_results *results = NULL;
    const char *text = NULL;
    det_status status = det_results_create(f->context, f->model, &results);
    if (status == DET_OK)
        status = det_results_text(results, DET_RESULTS_JSON, frame, NULL, 0, &text);
    det_results_destroy(&results);
    return status;
}

/* --- what sets them up --- */

#define INIT(stem)                                              \
    static void init_##stem(void *settings, size_t struct_size) \
    {                                                           \
        det_##stem##_settings_init(settings, struct_size);      \
    }
INIT(context)
INIT(detector)
INIT(tile)
INIT(nms)
INIT(evaluation)
INIT(quantisation)
INIT(recalibration)
INIT(trainer)
INIT(tracker)
INIT(coco)
INIT(review)
INIT(starter)
INIT(detection_report)
INIT(annotation_set)
INIT(annotation_report)
INIT(annotation_sheet)
INIT(annotation_write)
INIT(export)

/* A silence that is refused when the struct is known to be sound: MPI is not started. */
static void init_communicator(void *settings, size_t struct_size)
{
    const double silence_seconds = 1;
    const size_t at = offsetof(det_communicator_settings, silence_seconds);
    det_communicator_settings_init(settings, struct_size);
    if (struct_size >= at + sizeof silence_seconds)
        memcpy((unsigned char *)settings + at, &silence_seconds, sizeof silence_seconds);
}

static void init_cutting(void *settings, size_t struct_size)
{
    const det_tile_settings *tiles = &abi_large_tiles;
    det_annotation_tile_settings_init(settings, struct_size);
    if (struct_size > offsetof(det_annotation_tile_settings, tiles))
        memcpy((char *)settings + offsetof(det_annotation_tile_settings, tiles), &tiles,
               sizeof tiles);
}

/* Those without a default function. */
static void set_size(void *into, const void *from, size_t size, size_t struct_size)
{
    memset(into, 0, struct_size);
    memcpy(into, from, struct_size < size ? struct_size : size);
    memcpy(into, &struct_size, sizeof struct_size);
}

static void init_allocator(void *allocator, size_t struct_size)
{
    const det_allocator none = {0};
    set_size(allocator, &none, sizeof none, struct_size);
}

static void init_logger(void *logger, size_t struct_size)
{
    const det_logger none = {0};
    set_size(logger, &none, sizeof none, struct_size);
}

static void init_object(void *object, size_t struct_size)
{
    const det_coco_object one = {.image_id = 1, .category_id = 1, .box_px = {1, 1, 4, 4}};
    set_size(object, &one, sizeof one, struct_size);
}

static void init_annotation(void *object, size_t struct_size)
{
    det_annotation_object_init(object, struct_size);
}

static void init_image(void *image, size_t struct_size)
{
    const det_annotation_image one = {.path = "a.jpg"};
    set_size(image, &one, sizeof one, struct_size);
}

static void init_curve(void *curve, size_t struct_size)
{
    const det_pr_curve one = {.thresholds = 2};
    set_size(curve, &one, sizeof one, struct_size);
}

static void init_values(void *values, size_t struct_size)
{
    static const float bias[24];
    const det_tensor_values one = {
        .name = "model/_box_predictor/_box_prediction_head/_box_encoder_layers/0/bias",
        .values = bias,
        .count = 24};
    set_size(values, &one, sizeof one, struct_size);
}

static void init_frame(void *frame, size_t struct_size)
{
    const det_results_frame one = {.name = "a.jpg", .width = 8, .height = 8};
    set_size(frame, &one, sizeof one, struct_size);
}

#define STRUCT(type) #type, sizeof(type)

const struct abi_settings abi_settings[ABI_SETTINGS] = {
    {STRUCT(det_context_settings), init_context, use_context, false},
    {STRUCT(det_allocator), init_allocator, use_allocator, false},
    {STRUCT(det_logger), init_logger, use_logger, false},
    {STRUCT(det_detector_settings), init_detector, use_detector, false},
    {STRUCT(det_tile_settings), init_tile, use_tiles, false},
    {STRUCT(det_nms_settings), init_nms, use_nms, false},
    {STRUCT(det_evaluation_settings), init_evaluation, use_evaluation, false},
    {STRUCT(det_evaluation_settings), init_evaluation, use_inner, false},
    {STRUCT(det_communicator_settings), init_communicator, use_communicator, false},
    {STRUCT(det_quantisation_settings), init_quantisation, use_quantisation, false},
    {STRUCT(det_recalibration_settings), init_recalibration, use_recalibration, false},
    {STRUCT(det_trainer_settings), init_trainer, use_trainer, false},
    {STRUCT(det_tracker_settings), init_tracker, use_tracker, false},
    {STRUCT(det_coco_settings), init_coco, use_coco, false},
    {STRUCT(det_detection_report_settings), init_detection_report, use_report, false},
    {STRUCT(det_coco_object), init_object, use_object, false},
    {STRUCT(det_annotation_set_settings), init_annotation_set, use_set, false},
    {STRUCT(det_annotation_image), init_image, use_image, false},
    {STRUCT(det_annotation_object), init_annotation, use_annotation, false},
    {STRUCT(det_annotation_sheet_settings), init_annotation_sheet, use_sheet, false},
    {STRUCT(det_annotation_report_settings), init_annotation_report, use_page, false},
    {STRUCT(det_annotation_tile_settings), init_cutting, use_cutting, false},
    {STRUCT(det_annotation_write_settings), init_annotation_write, use_write, false},
    {STRUCT(det_pr_curve), init_curve, use_curve, true},
    {STRUCT(det_starter_settings), init_starter, use_starter, false},
    {STRUCT(det_tensor_values), init_values, use_values, true},
    {STRUCT(det_results_frame), init_frame, use_frame, false},
    {STRUCT(det_export_settings), init_export, use_export, false},
    {STRUCT(det_review_settings), init_review, use_review, false},
};
