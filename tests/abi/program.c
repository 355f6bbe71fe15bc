/* program.c: what a program does that was built with an older version's headers: program
 * PIPELINE.config FOLDER. Built with the headers of tests/abi/VERSION and with those of a pretended
 * older version (older.sed), and linked with today's libdet.so. It uses no field that older.sed
 * takes away. Behind each struct stands a guard that no call may write into. */
#include <stdio.h>
#include <string.h>

#include "det/det.h"

enum { GUARD_BYTES = 64, GUARD_VALUE = 0xA5 };

static int failures;

static void expect(int right, const char *what, const char *detail)
{
    if (right)
        return;
    failures++;
    printf("%s: %s\n", what, detail);
}

/* A struct, its size set, with a guard behind it. */
#define GUARDED(type, name)               \
    struct {                              \
        type is;                          \
        unsigned char guard[GUARD_BYTES]; \
    } name;                               \
    memset(&name.is, 0, sizeof name.is);  \
    name.is.struct_size = sizeof name.is; \
    memset(name.guard, GUARD_VALUE, GUARD_BYTES)
/* Settings: as a program gets them. */
#define SETTINGS(stem, name)           \
    GUARDED(stem##_settings, name);    \
    stem##_settings_default(&name.is); \
    INTACT(stem##_settings, name)
#define INTACT(type, name)                                                         \
    do {                                                                           \
        for (int i_ = 0; i_ < GUARD_BYTES; i_++)                                   \
            if (name.guard[i_] != GUARD_VALUE) {                                   \
                expect(0, #type, "was written behind its end");                    \
                break;                                                             \
            }                                                                      \
        expect(name.is.struct_size == sizeof(type), #type, "its size is another"); \
    } while (0)
#define OK(call) expect((call) == DET_OK, #call, det_context_error(context))

static int logged;

static void log_line(void *user, det_log_level level, const char *message)
{
    (void)user;
    (void)level;
    (void)message;
    logged++;
}

static det_context *open_context(void)
{
    det_context *context = NULL;
    det_error error;
    det_logger logger;
    SETTINGS(det_context, settings);
    memset(&logger, 0, sizeof logger);
    logger.struct_size = sizeof logger;
    logger.write = log_line;
    settings.is.logger = &logger;
    settings.is.cpu = "no such set";
    expect(det_context_create_explained(&context, &settings.is, &error) == DET_STATUS_UNSUPPORTED &&
               strstr(error.text, "no such set") != NULL && context == NULL,
           "det_context_create", error.text);
    settings.is.cpu = "auto";
    settings.is.threads = 1;
    expect(det_context_create_explained(&context, &settings.is, &error) == DET_OK,
           "det_context_create", error.text);
    return context;
}

static void measure_boxes(det_context *context)
{
    det_coco_evaluator *evaluator = NULL;
    det_detection_report *report = NULL;
    const det_coco_result *result = NULL;
    const double box[4] = {1, 1, 8, 8};
    SETTINGS(det_coco, coco);
    SETTINGS(det_detection_report, reporting);
    GUARDED(det_coco_object, object);
    object.is.image_id = object.is.category_id = 1;
    memcpy(object.is.box_px, box, sizeof box);
    object.is.area_px2 = 64;
    OK(det_coco_evaluator_create(context, &coco.is, &evaluator));
    OK(det_coco_evaluator_add_category(evaluator, 1, "cat"));
    OK(det_coco_evaluator_add_image(evaluator, 1));
    OK(det_coco_evaluator_add_object(evaluator, &object.is));
    OK(det_coco_evaluator_add_detection(evaluator, 1, 1, box, .9));
    OK(det_coco_evaluator_compute(evaluator, &result));
    expect(result != NULL && result->stats[DET_COCO_AP] > .999 && result->classes[0]->id == 1,
           "det_coco_evaluator_compute", "AP of a perfect detection is not 1");
    OK(det_detection_report_create(context, evaluator, &reporting.is, &report));
    expect(det_detection_report_class_count(report) == 1, "det_detection_report", "classes");
    det_detection_report_destroy(&report);
    det_coco_evaluator_destroy(&evaluator);
}

static void follow_boxes(det_context *context)
{
    static const float line[2][2] = {{0, .5F}, {1, .5F}};
    det_tracker *tracker = NULL;
    det_counter *counter = NULL;
    det_mot_measure *measure = NULL;
    SETTINGS(det_tracker, settings);
    GUARDED(det_count, count);
    GUARDED(det_mot_result, mot);
    OK(det_tracker_create(context, &settings.is, &tracker));
    OK(det_counter_create(context, line, 2, 1, &counter));
    OK(det_mot_measure_create(context, .5F, &measure));
    for (int frame = 0; frame < 10; frame++) {
        const float bottom = .35F + .04F * (float)frame;
        const det_detection found = {1, .9F, bottom - .2F, .4F, bottom, .6F};
        const det_mot_box truth = {7, bottom - .2F, .4F, bottom, .6F};
        const det_track *tracks = NULL;
        det_mot_box box = truth;
        size_t tracked = 0;
        OK(det_tracker_update(tracker, .04 * frame, 100, 100, &found, 1, &tracks, &tracked));
        OK(det_counter_update(counter, .04 * frame, 100, 100, tracks, tracked));
        box.id = tracked > 0 ? tracks[0].id : 0;
        OK(det_mot_measure_frame(measure, &truth, 1, &box, tracked));
    }
    OK(det_counter_count(counter, 0, &count.is));
    OK(det_mot_measure_result(measure, &mot.is));
    INTACT(det_count, count);
    INTACT(det_mot_result, mot);
    expect(count.is.forward == 1, "det_counter_count", "the object did not cross the line");
    expect(mot.is.frames == 10 && mot.is.motp > .999, "det_mot_measure_result", "other figures");
    det_mot_measure_destroy(&measure);
    det_counter_destroy(&counter);
    det_tracker_destroy(&tracker);
}

static void use_model(det_context *context, const det_pipeline_config *config,
                      const det_model *model)
{
    static uint8_t pixels[32 * 32 * 3];
    const det_image_view view = {.pixels = pixels, .width = 32, .height = 32};
    const det_detection *found = NULL;
    size_t count = 0;
    det_detector *detector = NULL;
    det_augmenter *augmenter = NULL;
    det_evaluation *evaluation = NULL;
    det_model *recalibrated = NULL;
    SETTINGS(det_detector, detecting);
    SETTINGS(det_evaluation, evaluating);
    SETTINGS(det_recalibration, recalibrating);
    GUARDED(det_detector_times, times);
    GUARDED(det_evaluation_losses, losses);
    GUARDED(det_decay_advice, advice);
    GUARDED(det_augmented, augmented);
    detecting.is.score_threshold = 0;
    evaluating.is.max_images = 2;
    recalibrating.is.images = 2;
    OK(det_detector_create(context, model, &detecting.is, &detector));
    OK(det_detector_run(detector, &view, &found, &count));
    OK(det_detector_last_times(detector, &times.is));
    expect(count > 0 && times.is.network_ns > 0, "det_detector_run", "nothing was done");
    OK(det_evaluation_check(context, config, &evaluating.is));
    OK(det_evaluation_run(context, config, model, &evaluating.is, &evaluation));
    OK(det_evaluation_get_losses(evaluation, &losses.is));
    expect(losses.is.classification > 0, "det_evaluation_get_losses", "no loss");
    OK(det_model_recalibrate(context, config, model, &recalibrating.is, &recalibrated));
    OK(det_model_decay_advice(model, &advice.is));
    expect(advice.is.decay > 0, "det_model_decay_advice", "no decay");
    OK(det_augmenter_create(context, config, &augmenter));
    OK(det_augmenter_run(augmenter, &view, NULL, 0, 1, 1, &augmented.is));
    expect(augmented.is.image.width > 0, "det_augmenter_run", "no image");
    INTACT(det_detector_times, times);
    INTACT(det_evaluation_losses, losses);
    INTACT(det_decay_advice, advice);
    INTACT(det_augmented, augmented);
    det_augmenter_destroy(&augmenter);
    det_model_destroy(&recalibrated);
    det_evaluation_destroy(&evaluation);
    det_detector_destroy(&detector);
}

static void train(det_context *context, const det_pipeline_config *config, const char *folder)
{
    static const float row[2];
    char model_dir[1024];
    det_trainer *trainer = NULL;
    det_model *model = NULL;
    det_summary_writer *writer = NULL;
    SETTINGS(det_trainer, settings);
    SETTINGS(det_evaluation, evaluating);
    GUARDED(det_step_report, step);
    GUARDED(det_trainer_best, best);
    GUARDED(det_trainer_memory, memory);
    GUARDED(det_pr_curve, curve);
    snprintf(model_dir, sizeof model_dir, "%s/run", folder);
    evaluating.is.max_images = 1;
    settings.is.evaluation = &evaluating.is;
    settings.is.eval_every_steps = 1;
    settings.is.num_steps = 1;
    settings.is.model_dir = model_dir;
    OK(det_trainer_create(context, config, &settings.is, &trainer));
    OK(det_trainer_step(trainer, &step.is));
    OK(det_trainer_get_best(trainer, &best.is));
    OK(det_trainer_memory_plan(trainer, &memory.is));
    OK(det_trainer_snapshot(trainer, &model));
    expect(step.is.step == 1 && step.is.evaluation != NULL, "det_trainer_step", "no evaluation");
    expect(strlen(best.is.metric) > 0, "det_trainer_get_best", "no metric");
    expect(memory.is.parameters_bytes > 0, "det_trainer_memory_plan", "no parameters");
    INTACT(det_step_report, step);
    INTACT(det_trainer_best, best);
    INTACT(det_trainer_memory, memory);
    curve.is.thresholds = 2;
    curve.is.precision = row;
    OK(det_summary_writer_create(context, folder, &writer));
    OK(det_summary_pr_curve(writer, "curve", 1, &curve.is));
    det_summary_writer_destroy(&writer);
    use_model(context, config, model);
    det_model_destroy(&model);
    det_trainer_destroy(&trainer);
}

int main(int argc, char **argv)
{
    det_pipeline_config *config = NULL;
    if (argc != 3) {
        fprintf(stderr, "usage: program PIPELINE.config FOLDER\n");
        return 2;
    }
    det_context *context = open_context();
    if (context == NULL)
        return 1;
    expect(det_version() >= DET_VERSION && det_abi_version() == DET_ABI_VERSION, "det_version",
           det_version_string());
    measure_boxes(context);
    follow_boxes(context);
    OK(det_pipeline_config_load(context, argv[1], &config));
    train(context, config, argv[2]);
    expect(logged > 0, "det_logger", "nothing was logged");
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
    if (failures == 0)
        printf("built with %s: all right\n", DET_VERSION_STRING);
    return failures > 0;
}
