/* docs/abi.md: structs that grow, in both directions. The shared library is test_abi_library.c,
 * headers alone are compiled by abi.mk. */
#include <dirent.h>
#include <math.h>
#include <stddef.h>

#include "base/context.h"
#include "support/run_tool.h"
#include "support/workspace.h"

/* A field that is added changes the size: no struct that a caller fills has room behind its last
 * field. */
#define ENDS_WITH(type, last)                                                        \
    _Static_assert(offsetof(type, last) + sizeof(((type *)0)->last) == sizeof(type), \
                   #type " has padding behind its last field: make that `reserved`")
ENDS_WITH(det_allocator, release);
ENDS_WITH(det_logger, write);
ENDS_WITH(det_context_settings, reserved);
ENDS_WITH(det_tile_settings, whole);
ENDS_WITH(det_detector_settings, tiles);
ENDS_WITH(det_evaluation_settings, communicator);
ENDS_WITH(det_communicator_settings, standstill_seconds);
ENDS_WITH(det_recalibration_settings, samples);
ENDS_WITH(det_quantisation_settings, accept_user);
ENDS_WITH(det_sample_source, release);
ENDS_WITH(det_trainer_settings, wants_stop_user);
ENDS_WITH(det_tracker_settings, frame_rate);
ENDS_WITH(det_coco_settings, first_row_follows_max_dets);
ENDS_WITH(det_detection_report_settings, confusion_score);
ENDS_WITH(det_nms_settings, scales);
ENDS_WITH(det_tensor_values, count);
ENDS_WITH(det_starter_settings, assignment_count);
ENDS_WITH(det_coco_object, reserved);
ENDS_WITH(det_pr_curve, recall);
ENDS_WITH(det_results_frame, track_ids);
ENDS_WITH(det_annotation_set_settings, user);
ENDS_WITH(det_annotation_image, height_px);
ENDS_WITH(det_annotation_object, truncated);
ENDS_WITH(det_annotation_report_settings, seed);
ENDS_WITH(det_annotation_sheet_settings, augmentation);
ENDS_WITH(det_annotation_tile_settings, seed);
ENDS_WITH(det_annotation_write_settings, name);
ENDS_WITH(det_export_settings, onnx_opset);
ENDS_WITH(det_review_settings, user);

enum { STEP = sizeof(size_t), ROOM = 1024, GUARD = 0xA5 };

struct fixture {
    struct test_env t;
    struct workspace w;
    det_context *context;
    det_pipeline_config *config;
    det_trainer *trainer;
    det_model *model;
    det_coco_evaluator *evaluator;
    det_evaluation *evaluation;
    det_detector *detector;
    det_augmenter *augmenter;
    det_counter *counter;
    det_mot_measure *measure;
    det_summary_writer *writer;
    det_annotation_set *set, *unlabelled;
    det_review *review;
    det_export *exported;
};

/* The records that the trainer reads, too. */
static void make_set(struct fixture *f)
{
    char path[400];
    snprintf(path, sizeof path, "%s/train.tfrecord", f->w.directory);
    assert_context_ok(f->context, det_annotation_set_create(f->context, NULL, &f->set));
    assert_context_ok(f->context, det_annotation_set_read(f->set, "tfrecord", path, NULL));
    assert_context_ok(f->context, det_annotation_set_resolve(f->set));
}

/* A review of them, with a choice of one picture that is not among them. */
static void make_review(struct fixture *f)
{
    uint8_t pixels[16 * 16 * 3];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * i * 7 + i);
    const det_image_view view = {.pixels = pixels, .width = 16, .height = 16};
    det_annotation_image image = {.struct_size = sizeof image, .name = "a.png"};
    det_picture *picture = NULL;
    const uint8_t *data = NULL;
    size_t position = 0;
    det_context *c = f->context;
    assert_context_ok(c, det_picture_from_pixels(c, &view, &picture));
    assert_context_ok(c, det_picture_encode(picture, DET_PICTURE_PNG, 0, &data, &image.bytes));
    image.data = data;
    assert_context_ok(c, det_annotation_set_create(c, NULL, &f->unlabelled));
    assert_context_ok(c, det_annotation_set_add_image(f->unlabelled, &image, &position));
    assert_context_ok(c, det_annotation_set_resolve(f->unlabelled));
    det_picture_destroy(&picture);
    assert_context_ok(c, det_review_create(c, f->model, f->set, NULL, &f->review));
    assert_context_ok(c, det_review_choose(f->review, f->model, f->unlabelled, 1));
}

static void open_fixture(struct fixture *f)
{
    static const float line[2][2] = {{0, .5F}, {1, .5F}};
    char events[300];
    *f = (struct fixture){0};
    test_env_init(&f->t);
    workspace_make(&f->w, "abi");
    snprintf(events, sizeof events, "%s/events", f->w.directory);
    f->context = workspace_context(&f->t, 1);
    det_context *c = f->context;
    assert_context_ok(c, det_pipeline_config_load(c, f->w.config, &f->config));
    assert_context_ok(c, det_trainer_create(c, f->config, NULL, &f->trainer));
    assert_context_ok(c, det_trainer_snapshot(f->trainer, &f->model));
    assert_context_ok(c, det_coco_evaluator_create(c, NULL, &f->evaluator));
    assert_context_ok(c, det_coco_evaluator_add_category(f->evaluator, 1, "cat"));
    assert_context_ok(c, det_coco_evaluator_add_image(f->evaluator, 1));
    assert_context_ok(c, det_evaluation_run(c, f->config, f->model, NULL, &f->evaluation));
    det_detector_settings detecting;
    det_detector_settings_default(&detecting);
    detecting.keep_outputs = 1;
    assert_context_ok(c, det_detector_create(c, f->model, &detecting, &f->detector));
    static const uint8_t pixels[8 * 8 * 3];
    const det_image_view view = {.pixels = pixels, .width = 8, .height = 8};
    const det_detection *found = NULL;
    size_t count = 0;
    assert_context_ok(c, det_detector_run(f->detector, &view, &found, &count));
    assert_context_ok(c, det_export_create(c, f->model, "det", NULL, &f->exported));
    assert_context_ok(c, det_augmenter_create(c, f->config, &f->augmenter));
    assert_context_ok(c, det_counter_create(c, line, 2, 1, &f->counter));
    assert_context_ok(c, det_mot_measure_create(c, .5F, &f->measure));
    assert_context_ok(c, det_summary_writer_create(c, events, &f->writer));
    make_set(f);
    make_review(f);
}

static void close_fixture(struct fixture *f)
{
    det_review_destroy(&f->review);
    det_annotation_set_destroy(&f->unlabelled);
    det_annotation_set_destroy(&f->set);
    det_export_destroy(&f->exported);
    det_summary_writer_destroy(&f->writer);
    det_mot_measure_destroy(&f->measure);
    det_counter_destroy(&f->counter);
    det_augmenter_destroy(&f->augmenter);
    det_detector_destroy(&f->detector);
    det_evaluation_destroy(&f->evaluation);
    det_coco_evaluator_destroy(&f->evaluator);
    det_model_destroy(&f->model);
    det_trainer_destroy(&f->trainer);
    det_pipeline_config_destroy(&f->config);
    det_context_destroy(&f->context);
    workspace_remove(&f->w);
    test_env_check(&f->t);
}

/* --- what the library reads of a caller's struct --- */

static det_error context_error;

static det_status make_context(const det_context_settings *settings)
{
    det_context *context = NULL;
    const det_status status = det_context_create_explained(&context, settings, &context_error);
    det_context_destroy(&context);
    return status;
}

static det_status use_context(struct fixture *f, const void *settings)
{
    (void)f;
    return make_context(settings);
}

static det_status use_allocator(struct fixture *f, const void *allocator)
{
    (void)f;
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.allocator = allocator;
    return make_context(&settings);
}

static det_status use_logger(struct fixture *f, const void *logger)
{
    (void)f;
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.logger = logger;
    return make_context(&settings);
}

static det_status use_nms(struct fixture *f, const void *settings)
{
    static const float logits[2], encodings[4], anchor[4] = {0, 0, 1, 1};
    det_detection found[100];
    size_t count = 0;
    return det_boxes_postprocess(f->context, settings, logits, encodings, anchor, 1, 1, NULL, found,
                                 &count);
}

static det_status use_detector(struct fixture *f, const void *settings)
{
    det_detector *detector = NULL;
    const det_status status = det_detector_create(f->context, f->model, settings, &detector);
    det_detector_destroy(&detector);
    return status;
}

/* Settings within settings, of a detector and of an evaluation; and of their own. */
static det_status use_tiles(struct fixture *f, const void *tiles)
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

static det_status use_evaluation(struct fixture *f, const void *settings)
{
    return det_evaluation_check(f->context, f->config, settings);
}

static det_status use_recalibration(struct fixture *f, const void *settings)
{
    det_model *model = NULL;
    const det_status status =
        det_model_recalibrate(f->context, f->config, f->model, settings, &model);
    det_model_destroy(&model);
    return status;
}

/* The default is without pictures, which is found when the struct is known to be sound. */
static det_status use_quantisation(struct fixture *f, const void *settings)
{
    det_model *model = NULL;
    const det_status status = det_model_quantise(f->context, f->model, settings, &model);
    det_model_destroy(&model);
    return strstr(det_context_error(f->context), "needs pictures") != NULL ? DET_OK : status;
}

static det_status use_trainer(struct fixture *f, const void *settings)
{
    det_trainer *trainer = NULL;
    const det_status status = det_trainer_create(f->context, f->config, settings, &trainer);
    det_trainer_destroy(&trainer);
    return status;
}

/* A trainer's evaluations: settings within settings. */
static det_status use_inner(struct fixture *f, const void *evaluation)
{
    det_trainer_settings settings;
    det_trainer_settings_default(&settings);
    settings.evaluation = evaluation;
    settings.eval_every_steps = 1;
    return use_trainer(f, &settings);
}

/* A silence that is refused when the struct is known to be sound: MPI is not started. */
static void init_communicator(void *settings, size_t struct_size)
{
    const double silence_seconds = 1;
    const size_t at = offsetof(det_communicator_settings, silence_seconds);
    det_communicator_settings_init(settings, struct_size);
    if (struct_size >= at + sizeof silence_seconds)
        memcpy((unsigned char *)settings + at, &silence_seconds, sizeof silence_seconds);
}

static det_status use_communicator(struct fixture *f, const void *settings)
{
    det_communicator *communicator = NULL;
    const det_status status = det_communicator_open_mpi(f->context, settings, &communicator);
    return strstr(det_context_error(f->context), "silence_seconds is 1,") != NULL ? DET_OK : status;
}

static det_status use_tracker(struct fixture *f, const void *settings)
{
    det_tracker *tracker = NULL;
    const det_status status = det_tracker_create(f->context, settings, &tracker);
    det_tracker_destroy(&tracker);
    return status;
}

static det_status use_coco(struct fixture *f, const void *settings)
{
    det_coco_evaluator *evaluator = NULL;
    const det_status status = det_coco_evaluator_create(f->context, settings, &evaluator);
    det_coco_evaluator_destroy(&evaluator);
    return status;
}

static det_status use_report(struct fixture *f, const void *settings)
{
    det_detection_report *report = NULL;
    const det_status status =
        det_detection_report_create(f->context, f->evaluator, settings, &report);
    det_detection_report_destroy(&report);
    return status;
}

static det_status use_object(struct fixture *f, const void *object)
{
    return det_coco_evaluator_add_object(f->evaluator, object);
}

static det_status use_curve(struct fixture *f, const void *curve)
{
    return det_summary_pr_curve(f->writer, "curve", 1, curve);
}

static det_status use_values(struct fixture *f, const void *values)
{
    det_model *copy = NULL;
    const det_status status = det_model_copy(f->context, f->model, values, 1, &copy);
    det_model_destroy(&copy);
    return status;
}

static det_status use_starter(struct fixture *f, const void *settings)
{
    char path[400];
    snprintf(path, sizeof path, "%s/starter.config", f->w.directory);
    return det_starter_config_write(f->context, f->set, path, settings, NULL);
}

static det_status use_review(struct fixture *f, const void *settings)
{
    det_review *review = NULL;
    const det_status status = det_review_create(f->context, f->model, f->set, settings, &review);
    det_review_destroy(&review);
    return status;
}

static det_status use_page(struct fixture *f, const void *settings)
{
    char path[400];
    snprintf(path, sizeof path, "%s/page.html", f->w.directory);
    return det_annotation_set_write_report(f->set, path, settings);
}

static det_status use_set(struct fixture *f, const void *settings)
{
    det_annotation_set *set = NULL;
    const det_status status = det_annotation_set_create(f->context, settings, &set);
    det_annotation_set_destroy(&set);
    return status;
}

/* In a set of its own: the fixture's stays resolved. */
static det_status use_image_and_object(struct fixture *f, const void *image, const void *object)
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

static det_status use_image(struct fixture *f, const void *image)
{
    return use_image_and_object(f, image, NULL);
}

static det_status use_annotation(struct fixture *f, const void *object)
{
    return use_image_and_object(f, NULL, object);
}

static det_status use_sheet(struct fixture *f, const void *settings)
{
    char path[400];
    snprintf(path, sizeof path, "%s/sheet.png", f->w.directory);
    return det_annotation_set_write_sheet(f->set, path, settings, NULL, NULL);
}

static det_status use_write(struct fixture *f, const void *settings)
{
    char path[400];
    snprintf(path, sizeof path, "%s/written", f->w.directory);
    return det_annotation_set_write(f->set, "csv", path, settings, NULL);
}

/* Larger than any image of the set, which so stays as it is. */
static const det_tile_settings large_tiles = {sizeof large_tiles, 4096, 4096, .2F, 1};

static det_status use_cutting(struct fixture *f, const void *settings)
{
    return det_annotation_set_tile(f->set, settings, NULL);
}

static det_status use_export(struct fixture *f, const void *settings)
{
    det_export *exported = NULL;
    const det_status status = det_export_create(f->context, f->model, "det", settings, &exported);
    det_export_destroy(&exported);
    return status;
}

typedef void init_function(void *, size_t);
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

static void init_cutting(void *settings, size_t struct_size)
{
    const det_tile_settings *tiles = &large_tiles;
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

static det_status use_frame(struct fixture *f, const void *frame)
{
    det_results *results = NULL;
    const char *text = NULL;
    det_status status = det_results_create(f->context, f->model, &results);
    if (status == DET_OK)
        status = det_results_text(results, DET_RESULTS_JSON, frame, NULL, 0, &text);
    det_results_destroy(&results);
    return status;
}

static const struct taken {
    const char *name;
    size_t size;
    init_function *init;
    det_status (*use)(struct fixture *f, const void *settings);
} takens[] = {
    {"det_context_settings", sizeof(det_context_settings), init_context, use_context},
    {"det_allocator", sizeof(det_allocator), init_allocator, use_allocator},
    {"det_logger", sizeof(det_logger), init_logger, use_logger},
    {"det_detector_settings", sizeof(det_detector_settings), init_detector, use_detector},
    {"det_tile_settings", sizeof(det_tile_settings), init_tile, use_tiles},
    {"det_nms_settings", sizeof(det_nms_settings), init_nms, use_nms},
    {"det_evaluation_settings", sizeof(det_evaluation_settings), init_evaluation, use_evaluation},
    {"det_evaluation_settings", sizeof(det_evaluation_settings), init_evaluation, use_inner},
    {"det_communicator_settings", sizeof(det_communicator_settings), init_communicator,
     use_communicator},
    {"det_quantisation_settings", sizeof(det_quantisation_settings), init_quantisation,
     use_quantisation},
    {"det_recalibration_settings", sizeof(det_recalibration_settings), init_recalibration,
     use_recalibration},
    {"det_trainer_settings", sizeof(det_trainer_settings), init_trainer, use_trainer},
    {"det_tracker_settings", sizeof(det_tracker_settings), init_tracker, use_tracker},
    {"det_coco_settings", sizeof(det_coco_settings), init_coco, use_coco},
    {"det_detection_report_settings", sizeof(det_detection_report_settings), init_detection_report,
     use_report},
    {"det_coco_object", sizeof(det_coco_object), init_object, use_object},
    {"det_annotation_set_settings", sizeof(det_annotation_set_settings), init_annotation_set,
     use_set},
    {"det_annotation_image", sizeof(det_annotation_image), init_image, use_image},
    {"det_annotation_object", sizeof(det_annotation_object), init_annotation, use_annotation},
    {"det_annotation_sheet_settings", sizeof(det_annotation_sheet_settings), init_annotation_sheet,
     use_sheet},
    {"det_annotation_report_settings", sizeof(det_annotation_report_settings),
     init_annotation_report, use_page},
    {"det_annotation_tile_settings", sizeof(det_annotation_tile_settings), init_cutting,
     use_cutting},
    {"det_annotation_write_settings", sizeof(det_annotation_write_settings), init_annotation_write,
     use_write},
    {"det_pr_curve", sizeof(det_pr_curve), init_curve, use_curve},
    {"det_starter_settings", sizeof(det_starter_settings), init_starter, use_starter},
    {"det_tensor_values", sizeof(det_tensor_values), init_values, use_values},
    {"det_results_frame", sizeof(det_results_frame), init_frame, use_frame},
    {"det_export_settings", sizeof(det_export_settings), init_export, use_export},
    {"det_review_settings", sizeof(det_review_settings), init_review, use_review},
};

enum { TAKENS = sizeof takens / sizeof takens[0] };

/* Settings of this size in memory whose other bytes would be a mistake to read. */
static void *settings_of(const struct taken *s, size_t struct_size)
{
    static _Alignas(max_align_t) unsigned char memory[ROOM];
    assert_true(struct_size <= ROOM - 64);
    memset(memory, GUARD, ROOM);
    s->init(memory, struct_size);
    for (size_t i = struct_size; i < ROOM; i++)
        assert_int_equal(memory[i], GUARD);
    size_t noted = 0;
    memcpy(&noted, memory, sizeof noted);
    assert_int_equal(noted, struct_size);
    return memory;
}

static void expect_status(struct fixture *f, const struct taken *s, const void *settings,
                          det_status wanted, const char *text)
{
    context_error.text[0] = '\0';
    const det_status status = s->use(f, settings);
    const char *said =
        context_error.text[0] != '\0' ? context_error.text : det_context_error(f->context);
    if (status != wanted || (text != NULL && strstr(said, text) == NULL) ||
        (text != NULL && strstr(said, s->name) == NULL))
        fail_msg("%s: got \"%s\" (%s), expected \"%s\" with \"%s\"", s->name,
                 det_status_text(status), said, det_status_text(wanted), text != NULL ? text : "");
}

static void settings_may_be_older_or_newer(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    for (int i = 0; i < TAKENS; i++) {
        const struct taken *s = &takens[i];
        expect_status(&f, s, settings_of(s, s->size), DET_OK, NULL);
        if (s->size > 2 * (size_t)STEP && s->init != init_curve && s->init != init_values)
            expect_status(&f, s, settings_of(s, s->size - STEP), DET_OK, NULL);
        /* A newer program: what it leaves alone is zero. */
        unsigned char *longer = settings_of(s, s->size + STEP);
        expect_status(&f, s, longer, DET_OK, NULL);
        longer[s->size + STEP - 1] = 1;
        expect_status(&f, s, longer, DET_STATUS_UNSUPPORTED, "newer version");
    }
    close_fixture(&f);
}

static void sizes_that_were_never_set_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    const size_t sizes[] = {0, 1, STEP, 3 * STEP + 1, (size_t)1 << 20, SIZE_MAX, SIZE_MAX - 7};
    for (int i = 0; i < TAKENS; i++)
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            void *settings = settings_of(&takens[i], takens[i].size);
            memcpy(settings, &sizes[k], sizeof sizes[k]);
            expect_status(&f, &takens[i], settings, DET_STATUS_INVALID_ARGUMENT, "struct_size is");
        }
    close_fixture(&f);
}

/* Every prefix of the defaults is what a program of that size gets. */
static void defaults_stay_within_the_callers_size(void **state)
{
    (void)state;
    for (int i = 0; i < TAKENS; i++) {
        const struct taken *s = &takens[i];
        unsigned char whole[ROOM];
        memcpy(whole, settings_of(s, s->size), s->size);
        for (size_t size = STEP; size < s->size; size += STEP) {
            const unsigned char *shorter = settings_of(s, size);
            assert_memory_equal(shorter + STEP, whole + STEP, size - STEP);
        }
    }
}

static void reserved_fields_must_be_zero(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    const struct {
        const char *name;
        size_t at;
    } fields[] = {
        {"det_context_settings", offsetof(det_context_settings, reserved)},
        {"det_evaluation_settings", offsetof(det_evaluation_settings, reserved)},
        {"det_coco_object", offsetof(det_coco_object, reserved)},
        {"det_results_frame", offsetof(det_results_frame, reserved)},
        {"det_annotation_sheet_settings", offsetof(det_annotation_sheet_settings, reserved)},
    };
    for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++)
        for (int i = 0; i < TAKENS; i++) {
            if (strcmp(takens[i].name, fields[k].name) != 0)
                continue;
            unsigned char *settings = settings_of(&takens[i], takens[i].size);
            settings[fields[k].at] = 1;
            expect_status(&f, &takens[i], settings, DET_STATUS_INVALID_ARGUMENT, "reserved is 1");
        }
    close_fixture(&f);
}

static void lists_of_strings_are_looked_at(void **state)
{
    (void)state;
    struct fixture f;
    const char *const hole[] = {"a", NULL};
    det_evaluation_settings evaluation;
    det_quantisation_settings quantisation;
    det_recalibration_settings recalibration;
    det_trainer_settings training;
    open_fixture(&f);
    det_quantisation_settings_default(&quantisation);
    det_evaluation_settings_default(&evaluation);
    det_recalibration_settings_default(&recalibration);
    det_trainer_settings_default(&training);
    evaluation.image_dir_count = recalibration.record_count = training.image_dir_count = 2;
    quantisation.record_count = 2;
    for (int with_hole = 0; with_hole < 2; with_hole++) {
        const char *text = with_hole ? "[1] is NULL" : " is NULL, with a count of 2";
        evaluation.image_dirs = recalibration.records = training.image_dirs =
            with_hole ? hole : NULL;
        quantisation.records = evaluation.image_dirs;
        assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, text,
                             use_quantisation(&f, &quantisation));
        assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, text,
                             use_evaluation(&f, &evaluation));
        assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, text,
                             use_recalibration(&f, &recalibration));
        assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, text,
                             use_trainer(&f, &training));
    }
    close_fixture(&f);
}

/* --- what the library fills for a caller --- */

static det_status fill_times(struct fixture *f, void *report)
{
    return det_detector_last_times(f->detector, report);
}

static det_status fill_raw(struct fixture *f, void *report)
{
    return det_detector_outputs(f->detector, 0, report);
}

static det_status fill_tensor(struct fixture *f, void *report)
{
    return det_model_tensor_at(f->context, f->model, 0, report);
}

static det_status fill_quantisation(struct fixture *f, void *report)
{
    return det_model_quantisation(f->context, f->model, report);
}

static det_status fill_nms(struct fixture *f, void *report)
{
    return det_model_nms_settings(f->context, f->model, report);
}

static det_status fill_losses(struct fixture *f, void *report)
{
    return det_evaluation_get_losses(f->evaluation, report);
}

static det_status fill_step(struct fixture *f, void *report)
{
    return det_trainer_step(f->trainer, report);
}

static det_status fill_best(struct fixture *f, void *report)
{
    return det_trainer_get_best(f->trainer, report);
}

static det_status fill_memory(struct fixture *f, void *report)
{
    return det_trainer_memory_plan(f->trainer, report);
}

static det_status fill_advice(struct fixture *f, void *report)
{
    return det_model_decay_advice(f->model, report);
}

static det_status fill_count(struct fixture *f, void *report)
{
    return det_counter_count(f->counter, 0, report);
}

static det_status fill_mot(struct fixture *f, void *report)
{
    return det_mot_measure_result(f->measure, report);
}

static det_status fill_augmented(struct fixture *f, void *report)
{
    static const uint8_t pixels[8 * 8 * 3];
    const det_image_view view = {.pixels = pixels, .width = 8, .height = 8};
    return det_augmenter_run(f->augmenter, &view, NULL, 0, 1, 1, report);
}

static det_status fill_image(struct fixture *f, void *report)
{
    return det_annotation_set_image(f->set, 0, report);
}

static det_status fill_annotation(struct fixture *f, void *report)
{
    size_t position = 0;
    det_annotation_image_info info = {.struct_size = sizeof info};
    while (det_annotation_set_image(f->set, position, &info) == DET_OK && info.object_count == 0)
        position++;
    return det_annotation_set_object(f->set, position, 0, report);
}

static det_status fill_repairs(struct fixture *f, void *report)
{
    return det_annotation_set_repair(f->set, report);
}

static det_status fill_split_stats(struct fixture *f, void *report)
{
    return det_annotation_set_split_stats(f->set, NULL, report);
}

static det_status fill_class_stats(struct fixture *f, void *report)
{
    return det_annotation_set_class_stats(f->set, NULL, 1, report);
}

static det_status fill_tiled(struct fixture *f, void *report)
{
    det_annotation_tile_settings settings;
    det_annotation_tile_settings_default(&settings);
    settings.tiles = &large_tiles;
    return det_annotation_set_tile(f->set, &settings, report);
}

static det_status fill_written(struct fixture *f, void *report)
{
    char path[400];
    snprintf(path, sizeof path, "%s/written", f->w.directory);
    return det_annotation_set_write(f->set, "csv", path, NULL, report);
}

static det_status fill_choices(struct fixture *f, void *report)
{
    char path[400];
    snprintf(path, sizeof path, "%s/starter.config", f->w.directory);
    return det_starter_config_write(f->context, f->set, path, NULL, report);
}

static det_status fill_row(struct fixture *f, void *report)
{
    return det_review_row_at(f->review, 0, report);
}

static det_status fill_choice(struct fixture *f, void *report)
{
    return det_review_choice_at(f->review, 0, report);
}

static det_status fill_file(struct fixture *f, void *report)
{
    return det_export_file_at(f->context, f->exported, 0, report);
}

static det_status fill_proof(struct fixture *f, void *report)
{
    return det_export_proof_of(f->context, f->exported, report);
}

static void reports_are_filled_as_far_as_they_go(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t size;
        det_status (*fill)(struct fixture *f, void *report);
    } reports[] = {
        {"det_detector_times", sizeof(det_detector_times), fill_times},
        {"det_detector_raw", sizeof(det_detector_raw), fill_raw},
        {"det_model_tensor", sizeof(det_model_tensor), fill_tensor},
        {"det_nms_settings", sizeof(det_nms_settings), fill_nms},
        {"det_quantisation_info", sizeof(det_quantisation_info), fill_quantisation},
        {"det_starter_choices", sizeof(det_starter_choices), fill_choices},
        {"det_evaluation_losses", sizeof(det_evaluation_losses), fill_losses},
        {"det_step_report", sizeof(det_step_report), fill_step},
        {"det_trainer_best", sizeof(det_trainer_best), fill_best},
        {"det_trainer_memory", sizeof(det_trainer_memory), fill_memory},
        {"det_decay_advice", sizeof(det_decay_advice), fill_advice},
        {"det_count", sizeof(det_count), fill_count},
        {"det_mot_result", sizeof(det_mot_result), fill_mot},
        {"det_augmented", sizeof(det_augmented), fill_augmented},
        {"det_annotation_image_info", sizeof(det_annotation_image_info), fill_image},
        {"det_annotation_object", sizeof(det_annotation_object), fill_annotation},
        {"det_annotation_repairs", sizeof(det_annotation_repairs), fill_repairs},
        {"det_annotation_split_stats", sizeof(det_annotation_split_stats), fill_split_stats},
        {"det_annotation_class_stats", sizeof(det_annotation_class_stats), fill_class_stats},
        {"det_annotations_tiled", sizeof(det_annotations_tiled), fill_tiled},
        {"det_annotations_written", sizeof(det_annotations_written), fill_written},
        {"det_export_file", sizeof(det_export_file), fill_file},
        {"det_export_proof", sizeof(det_export_proof), fill_proof},
        {"det_review_row", sizeof(det_review_row), fill_row},
        {"det_review_choice", sizeof(det_review_choice), fill_choice},
    };
    struct fixture f;
    open_fixture(&f);
    for (size_t i = 0; i < sizeof reports / sizeof reports[0]; i++) {
        _Alignas(max_align_t) unsigned char memory[ROOM];
        const size_t size = reports[i].size, sizes[] = {size - STEP, size, size + STEP};
        for (size_t k = 0; k < 3; k++) {
            memset(memory, GUARD, ROOM);
            memcpy(memory, &sizes[k], sizeof sizes[k]);
            if (reports[i].fill(&f, memory) != DET_OK)
                fail_msg("%s of %zu bytes: %s", reports[i].name, sizes[k],
                         det_context_error(f.context));
            assert_memory_equal(memory, &sizes[k], sizeof sizes[k]);
            for (size_t at = sizes[k]; at < ROOM; at++)
                if (memory[at] != GUARD)
                    fail_msg("%s of %zu bytes: byte %zu was written", reports[i].name, sizes[k],
                             at);
            for (size_t at = size; at < sizes[k]; at++)
                assert_int_equal(memory[at], 0);
        }
        const size_t wrong[] = {0, STEP, SIZE_MAX};
        for (size_t k = 0; k < 3; k++) {
            memcpy(memory, &wrong[k], sizeof wrong[k]);
            assert_int_equal(reports[i].fill(&f, memory), DET_STATUS_INVALID_ARGUMENT);
            if (reports[i].fill != fill_advice)
                assert_contains(det_context_error(f.context), reports[i].name);
        }
    }
    close_fixture(&f);
}

int test_abi(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_may_be_older_or_newer),
        cmocka_unit_test(sizes_that_were_never_set_are_refused),
        cmocka_unit_test(defaults_stay_within_the_callers_size),
        cmocka_unit_test(reserved_fields_must_be_zero),
        cmocka_unit_test(lists_of_strings_are_looked_at),
        cmocka_unit_test(reports_are_filled_as_far_as_they_go),
    };
    return cmocka_run_group_tests_name("abi", tests, NULL, NULL);
}
