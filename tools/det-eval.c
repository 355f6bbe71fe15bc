/* det-eval: evaluates checkpoints on the config's evaluation records, or two COCO JSON files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/detection_files.h"
#include "common/evaluation_report.h"
#include "common/options.h"
#include "common/progress.h"
#include "common/tool.h"
#include "common/watch.h"
#include "det/det.h"

struct arguments {
    const char *config, *model_dir, *checkpoint_dir, *checkpoint, *ground_truth, *detections, *json,
        *report_dir, *form;
    struct option_list images;
    bool once, all, honour_ignore;
    int64_t max_images, max_dets;
    double wait_interval, timeout;
};

/* The two ways of evaluating a model that is not exported yet (det_evaluation_forms_differ()). Where they give the same, it is done
 * once, and goes by the API's name. */
enum form { API, EXPORTED, FORMS };

/* What was found about a checkpoint; NULL: not asked for. */
struct evaluations {
    det_evaluation *of[FORMS];
    int64_t step, recalibrated_images;
};

struct app {
    struct tool tool;
    struct arguments arguments;
    det_summary_writer
        *summaries[FORMS]; /* made for the first checkpoint evaluated, kept for all */
};

static bool both(const struct evaluations *e)
{
    return e->of[API] != NULL && e->of[EXPORTED] != NULL;
}

/* What users of the model will see, where that was asked for. */
static det_evaluation *main_one(const struct evaluations *e)
{
    return e->of[EXPORTED] != NULL ? e->of[EXPORTED] : e->of[API];
}

static det_status json_of_evaluation(FILE *file, det_evaluation *evaluation)
{
    det_evaluation_losses losses;
    const char *coco = NULL;
    const det_status status =
        det_coco_evaluator_json(det_evaluation_evaluator(evaluation), 0, &coco);
    if (status != DET_OK)
        return status;
    det_evaluation_get_losses(evaluation, &losses);
    fprintf(file,
            "\"losses\": {\"localization_loss\": %.9g, \"classification_loss\": %.9g, "
            "\"regularization_loss\": %.9g, \"total_loss\": %.9g}, \"coco\": %s",
            losses.localization, losses.classification, losses.regularization, losses.total, coco);
    return DET_OK;
}

static det_status json_of_checkpoint(FILE *file, const char *checkpoint,
                                     const struct evaluations *e)
{
    det_evaluation *first = e->of[API] != NULL ? e->of[API] : e->of[EXPORTED];
    fprintf(file, "{\"checkpoint\": \"%s\", \"step\": %lld, \"form\": \"%s\", ", checkpoint,
            (long long)e->step, e->of[API] != NULL ? "api" : "exported");
    det_status status = json_of_evaluation(file, first);
    if (status == DET_OK && both(e)) {
        fprintf(file, ", \"exported\": {\"recalibrated_images\": %lld, ",
                (long long)e->recalibrated_images);
        status = json_of_evaluation(file, e->of[EXPORTED]);
        fputc('}', file);
    }
    fputs("}\n", file);
    return status;
}

/* Writes through a temporary name, so that a reader never sees half a report. With `checkpoint` NULL `coco` is all there is. */
static int write_json(struct app *app, const char *checkpoint, const struct evaluations *e,
                      const char *coco)
{
    const char *path = app->arguments.json;
    if (path == NULL)
        return 0;
    const bool to_stdout = strcmp(path, "-") == 0;
    char temporary[4200];
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    FILE *file = to_stdout ? stdout : fopen(temporary, "w");
    det_status status = DET_OK;
    if (file == NULL)
        return tool_error(&app->tool, "%s: cannot write", path);
    if (checkpoint != NULL)
        status = json_of_checkpoint(file, checkpoint, e);
    else
        fprintf(file, "{\"coco\": %s}\n", coco);
    const bool failed = ferror(file) != 0;
    if (to_stdout)
        return status != DET_OK ? tool_fail(&app->tool, status)
               : failed         ? tool_error(&app->tool, "cannot write to stdout")
                                : 0;
    if (fclose(file) != 0 || failed || status != DET_OK || rename(temporary, path) != 0) {
        remove(temporary);
        return status != DET_OK ? tool_fail(&app->tool, status)
                                : tool_error(&app->tool, "%s: cannot write", path);
    }
    return 0;
}

/* DIR/eval, as the API has it, or DIR/eval_exported, of the model_dir, else of the folder of checkpoints; nowhere for a single
 * file alone. */
static det_status open_summaries(struct app *app, enum form form)
{
    const struct arguments *a = &app->arguments;
    const char *directory = a->model_dir != NULL ? a->model_dir : a->checkpoint_dir;
    char folder[4200];
    if (directory == NULL || app->summaries[form] != NULL)
        return DET_OK;
    snprintf(folder, sizeof folder, "%s/%s", directory, form == API ? "eval" : "eval_exported");
    return det_summary_writer_create(app->tool.context, folder, &app->summaries[form]);
}

static int report(struct app *app, const struct evaluations *e, const char *from)
{
    det_status status = DET_OK;
    tool_progress_clear(&app->tool);
    if (e->of[API] != NULL)
        status =
            evaluation_print(e->of[API], both(e) ? EVALUATION_API : EVALUATION_ONLY, e->step, from);
    if (status == DET_OK && e->of[EXPORTED] != NULL)
        status = evaluation_print(e->of[EXPORTED], EVALUATION_EXPORTED, e->step, from);
    if (status == DET_OK && app->arguments.report_dir != NULL)
        status = detection_files_write(app->tool.context, det_evaluation_evaluator(main_one(e)),
                                       app->arguments.report_dir);
    return status == DET_OK ? write_json(app, from, e, NULL) : tool_fail(&app->tool, status);
}

/* An exported model knows its own network; weights in training are the config's, which says too whether their moving averages
 * are meant. */
static det_status load_model(det_context *context, const det_pipeline_config *config,
                             const det_checkpoint_info *from, det_model **model)
{
    if (!from->is_tensorflow) {
        const det_status status = det_model_load(context, from->path, model);
        if (status != DET_OK || det_model_is_folded(*model))
            return status;
        det_model_destroy(model);
    }
    return det_model_load_checkpoint(context, config, from->path, model);
}

static det_status evaluate_form(struct app *app, const det_pipeline_config *config,
                                const det_model *model, enum form form, bool pictures,
                                struct evaluations *e)
{
    const struct arguments *a = &app->arguments;
    det_evaluation_settings settings;
    det_evaluation_settings_default(&settings);
    settings.image_dirs = a->images.values;
    settings.image_dir_count = a->images.count;
    settings.max_images = a->max_images;
    settings.as_exported = form == EXPORTED;
    settings.honour_ignore = a->honour_ignore;
    settings.pictures = pictures;
    settings.progress = progress_evaluating;
    settings.progress_user = &app->tool;
    const int32_t max_dets[3] = {1, 10, (int32_t)a->max_dets};
    if (a->max_dets != 100) {
        settings.max_dets = max_dets;
        settings.max_det_count = 3;
    }
    const det_status status = open_summaries(app, form);
    if (status != DET_OK)
        return status;
    settings.summaries = app->summaries[form];
    return det_evaluation_run(app->tool.context, config, model, &settings, &e->of[form]);
}

/* In each way that was asked for and is another one; pictures are of the exported form. */
static det_status evaluate_model(struct app *app, const det_pipeline_config *config,
                                 const det_model *model, struct evaluations *e)
{
    const char *form = app->arguments.form;
    const bool differ = det_evaluation_forms_differ(model) != 0;
    const bool exported = differ && strcmp(form, "api") != 0;
    const bool api = !differ || strcmp(form, "exported") != 0;
    e->step = det_model_step(model);
    e->recalibrated_images = det_model_recalibrated_images(model);
    const det_decay_advice advice = det_model_decay_advice(model);
    if (exported && advice.warn)
        tool_log(&app->tool, DET_LOG_WARNING,
                 "batch_norm { decay: %g } leaves %.0f %% of the statistics that the batch norms "
                 "began with after %lld steps, and the exported form uses them: det-export "
                 "--recalibrate takes them anew",
                 advice.decay, 100 * advice.left, (long long)e->step);
    det_status status = DET_OK;
    if (api)
        status = evaluate_form(app, config, model, API, !exported, e);
    if (status == DET_OK && exported)
        status = evaluate_form(app, config, model, EXPORTED, true, e);
    return status;
}

static int evaluate_checkpoint(struct app *app, const det_pipeline_config *config,
                               const det_checkpoint_info *from)
{
    det_context *context = app->tool.context;
    const struct arguments *a = &app->arguments;
    det_model *model = NULL;
    struct evaluations e = {0};
    tool_log(&app->tool, DET_LOG_INFO, "checkpoint %s", from->path);
    det_status status = load_model(context, config, from, &model);
    /* The training removes old checkpoints while we are busy with the one before. */
    if (status == DET_STATUS_NOT_FOUND && a->checkpoint == NULL && !a->once) {
        tool_log(&app->tool, DET_LOG_WARNING, "%s: passed over", det_context_error(context));
        return 0;
    }
    if (status == DET_OK)
        status = evaluate_model(app, config, model, &e);
    int result = 0;
    if (status == DET_STATUS_CANCELLED)
        tool_log(&app->tool, DET_LOG_WARNING, "%s", det_context_error(context));
    else if (status != DET_OK)
        result = tool_fail(&app->tool, status);
    else
        result = report(app, &e, from->path);
    for (int form = 0; form < FORMS; form++)
        det_evaluation_destroy(&e.of[form]);
    det_model_destroy(&model);
    return result;
}

struct watched {
    struct app *app;
    const det_pipeline_config *config;
};

static int evaluate_watched(void *user, const det_checkpoint_info *found)
{
    const struct watched *watched = user;
    return evaluate_checkpoint(watched->app, watched->config, found);
}

static int evaluate_records(struct app *app)
{
    const struct arguments *a = &app->arguments;
    det_pipeline_config *config = NULL;
    det_status status = det_pipeline_config_load(app->tool.context, a->config, &config);
    if (status != DET_OK)
        return tool_fail(&app->tool, status);
    int result = 0;
    if (a->checkpoint != NULL) {
        det_checkpoint_info info;
        status = det_checkpoint_find(app->tool.context, a->checkpoint, &info);
        result = status == DET_OK ? evaluate_checkpoint(app, config, &info)
                                  : tool_fail(&app->tool, status);
    } else {
        const struct checkpoint_watch watch = {
            .folder = a->checkpoint_dir,
            .extent = a->all    ? WATCH_ALL
                      : a->once ? WATCH_NEWEST
                                : WATCH_FOLLOW,
            .interval_seconds = a->wait_interval,
            .timeout_seconds = a->timeout,
            .evaluate = evaluate_watched,
            .user = &(struct watched){app, config},
        };
        result = checkpoint_watch(&app->tool, &watch);
    }
    for (int form = 0; form < FORMS; form++)
        det_summary_writer_destroy(&app->summaries[form]);
    det_pipeline_config_destroy(&config);
    return result;
}

static int evaluate_files(struct app *app)
{
    const struct arguments *a = &app->arguments;
    det_coco_evaluator *evaluator = NULL;
    const det_coco_result *coco = NULL;
    det_coco_settings settings;
    det_coco_settings_default(&settings);
    settings.honour_ignore = a->honour_ignore;
    const int32_t max_dets[3] = {1, 10, (int32_t)a->max_dets};
    if (a->max_dets != 100) {
        settings.max_dets = max_dets;
        settings.max_det_count = 3;
        settings.first_row_follows_max_dets = 1;
    }
    const char *text = NULL;
    det_status status = det_coco_evaluator_create(app->tool.context, &settings, &evaluator);
    if (status == DET_OK)
        status = det_coco_evaluator_load_ground_truth(evaluator, a->ground_truth);
    if (status == DET_OK)
        status = det_coco_evaluator_load_detections(evaluator, a->detections);
    if (status == DET_OK)
        status = det_coco_evaluator_compute(evaluator, &coco);
    if (status == DET_OK)
        status = evaluation_print_tables(evaluator);
    if (status == DET_OK && a->report_dir != NULL)
        status = detection_files_write(app->tool.context, evaluator, a->report_dir);
    if (status == DET_OK)
        status = det_coco_evaluator_json(evaluator, 0, &text);
    const int result =
        status == DET_OK ? write_json(app, NULL, NULL, text) : tool_fail(&app->tool, status);
    det_coco_evaluator_destroy(&evaluator);
    return result;
}

int main(int argc, char **argv)
{
    struct app app = {
        .tool = TOOL_INIT("det-eval"),
        .arguments = {.form = "both", .max_dets = 100, .wait_interval = 10, .timeout = 3600},
    };
    struct arguments *a = &app.arguments;
    const struct option table[] = {
        {"pipeline_config_path", OPTION_STRING, &a->config, "FILE", "the pipeline.config"},
        {"model_dir", OPTION_STRING, &a->model_dir, "DIR",
         "where curves for TensorBoard go, in eval/; else into the checkpoint_dir, if there is "
         "one"},
        {"checkpoint_dir", OPTION_STRING, &a->checkpoint_dir, "DIR",
         "folder whose newest checkpoint is evaluated, then each new one in order"},
        {"once", OPTION_FLAG, &a->once, NULL, "evaluate the newest checkpoint and end"},
        {"all", OPTION_FLAG, &a->all, NULL,
         "evaluate all checkpoints of the folder, the oldest first, and end"},
        {"checkpoint", OPTION_STRING, &a->checkpoint, "FILE",
         "evaluate this .det file or TensorFlow checkpoint prefix alone"},
        {"form", OPTION_STRING, &a->form, "FORM",
         "api: as eval_continuously() of the API, which normalises in the box predictor by each "
         "image's own statistics; exported: as the exported model computes; both where they "
         "differ"},
        {"images", OPTION_LIST, &a->images, "DIR",
         "folder of the image files, for records without image/encoded; may be repeated"},
        {"max_images", OPTION_INT, &a->max_images, "N", "evaluate the first N images, 0: all"},
        {"max_dets", OPTION_INT, &a->max_dets, "N",
         "detections per image and class that count, in every row of the table"},
        {"honour_ignore", OPTION_FLAG, &a->honour_ignore, NULL,
         "leave out objects marked difficult or `ignore`; pycocotools counts them"},
        {"report_dir", OPTION_STRING, &a->report_dir, "DIR",
         "precision-recall curves (CSV, JSON, SVG), confusion matrix, the threshold of best F1 for "
         "each class (thresholds.json, for det-detect --threshold_file), and ground truth and "
         "detections as COCO JSON; those of a later checkpoint replace them"},
        {"json", OPTION_STRING, &a->json, "FILE", "write the results as JSON, - for stdout"},
        {"ground_truth", OPTION_STRING, &a->ground_truth, "FILE",
         "COCO ground truth JSON, with --detections"},
        {"detections", OPTION_STRING, &a->detections, "FILE", "COCO detections JSON"},
        {"wait_interval", OPTION_DOUBLE, &a->wait_interval, "SECONDS",
         "between looks for a new checkpoint"},
        {"eval_timeout", OPTION_DOUBLE, &a->timeout, "SECONDS",
         "end when no new checkpoint came for so long"},
        TOOL_IMAGE_OPTIONS(&app.tool),
        TOOL_OPTIONS(&app.tool),
        {0},
    };
    struct options options = {
        .program = "det-eval",
        .description = "Evaluates checkpoints (libdet's or TensorFlow's) with COCO's figures, or "
                       "two COCO JSON files.",
        .table = table,
    };
    int result = 0;
    if (!options_parse(&options, argc, argv, &result))
        return result;
    const bool files = a->ground_truth != NULL || a->detections != NULL;
    if (files && (a->ground_truth == NULL || a->detections == NULL))
        result = options_error(&options, "--ground_truth and --detections belong together");
    else if (!files && a->config == NULL)
        result = options_error(&options, "--pipeline_config_path is missing");
    else if (!files && a->checkpoint_dir == NULL && a->checkpoint == NULL)
        result = options_error(&options, "--checkpoint_dir or --checkpoint is missing");
    else if (a->once && a->all)
        result = options_error(&options, "--once and --all exclude each other");
    else if (a->all && a->checkpoint_dir == NULL)
        result = options_error(&options, "--all needs --checkpoint_dir");
    else if (strcmp(a->form, "api") != 0 && strcmp(a->form, "exported") != 0 &&
             strcmp(a->form, "both") != 0)
        result = options_error(&options, "--form: expected api, exported or both");
    else if (a->max_dets < 1 || a->max_dets > 1000000)
        result = options_error(&options, "--max_dets: expected 1 to 1000000");
    else if (tool_open(&app.tool, &result)) {
        tool_catch_signals(NULL);
        result = files ? evaluate_files(&app) : evaluate_records(&app);
        tool_close(&app.tool);
    }
    options_free(&options);
    return result;
}
