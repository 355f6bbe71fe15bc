/* det-eval: evaluates checkpoints on the config's evaluation records, or two COCO JSON files. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/class_options.h"
#include "common/console.h"
#include "common/countdown.h"
#include "common/detection_files.h"
#include "common/eval_run.h"
#include "common/evaluation_report.h"
#include "common/options.h"
#include "common/output.h"
#include "common/tf_flags.h"
#include "common/tile_options.h"
#include "common/tool.h"
#include "common/watch.h"
#include "det/det.h"
#include "support/clock.h"
#include "support/json_writer.h"
#include "support/mem.h"
#include "support/path.h"

struct arguments {
    const char *config, *model_dir, *checkpoint_dir, *checkpoint, *ground_truth, *detections, *json,
        *report_dir, *form;
    struct option_list images;
    struct class_options classes;
    struct tile_options tiles;
    bool once, all, honour_ignore, strict;
    int64_t max_images, max_dets;
    double wait_interval, timeout;
};

/* The two ways of evaluating a model that is not exported yet (det_evaluation_forms_differ()).
 * Where they give the same, it is done once, and goes by the API's name. */
enum form { API, EXPORTED, FORMS };

/* What was found about a checkpoint; NULL: not asked for. */
struct evaluations {
    det_evaluation *of[FORMS];
    int64_t step, recalibrated_images;
    double seconds;
};

struct app {
    struct tool tool;
    struct arguments arguments;
    struct eval_run runs[FORMS];
    char *results; /* results.csv beside the runs, NULL: none */
    bool told;     /* what there is to say of the data */
    struct countdown evaluating;
    bool rows;              /* a line for each checkpoint, the tables of the last at the end */
    struct det_text tables; /* of the last one */
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

static det_status put_evaluation(struct det_json_writer *json, det_evaluation *evaluation)
{
    det_evaluation_losses losses = {.struct_size = sizeof losses};
    const char *coco = NULL;
    DET_TRY_RETURN(det_coco_evaluator_json(det_evaluation_evaluator(evaluation), 0, &coco));
    DET_TRY_RETURN(det_evaluation_get_losses(evaluation, &losses));
    det_json_open_object(json, "losses");
    det_json_put_float(json, "localization_loss", (float)losses.localization);
    det_json_put_float(json, "classification_loss", (float)losses.classification);
    det_json_put_float(json, "regularization_loss", (float)losses.regularization);
    det_json_put_float(json, "total_loss", (float)losses.total);
    det_json_close_object(json);
    det_json_put_made(json, "coco", coco);
    return DET_OK;
}

static det_status append_checkpoint(struct det_env *env, const char *checkpoint,
                                    const struct evaluations *e, struct det_text *text)
{
    const bool api = e->of[API] != NULL;
    struct det_json_writer json;
    det_json_begin(&json, env, text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    det_json_put_string(&json, "checkpoint", checkpoint);
    det_json_put_int(&json, "step", e->step);
    det_json_put_string(&json, "form", api ? "api" : "exported");
    DET_TRY_RETURN(put_evaluation(&json, e->of[api ? API : EXPORTED]));
    if (both(e)) {
        det_json_open_object(&json, "exported");
        det_json_put_int(&json, "recalibrated_images", e->recalibrated_images);
        DET_TRY_RETURN(put_evaluation(&json, e->of[EXPORTED]));
        det_json_close_object(&json);
    }
    det_json_close_object(&json);
    det_json_line(&json, 0);
    return det_json_end(&json);
}

static det_status append_coco(struct det_env *env, const char *coco, struct det_text *text)
{
    struct det_json_writer json;
    det_json_begin(&json, env, text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    det_json_put_made(&json, "coco", coco);
    det_json_close_object(&json);
    det_json_line(&json, 0);
    return det_json_end(&json);
}

static int write_json(struct app *app, det_status status, struct det_text *text)
{
    struct det_env *env = &app->tool.env;
    if (status == DET_OK)
        status = output_write(env, app->arguments.json, text->data, text->length);
    det_text_free(env, text);
    return status == DET_OK ? 0 : tool_fail(&app->tool, status);
}

static det_status announce_checkpoints(struct tool *tool, const char *folder)
{
    det_checkpoint_info *list = NULL;
    size_t count = 0;
    det_status status = DET_OK;
    if (det_checkpoint_list(tool->context, folder, &list, &count) != DET_OK)
        return DET_OK; /* it may be made yet */
    for (size_t i = 0; i < count && status == DET_OK; i++)
        status = tool_reads_checkpoint(tool, &list[i]);
    det_checkpoint_list_destroy(tool->context, &list);
    return status;
}

static det_status announce(struct app *app)
{
    const struct arguments *a = &app->arguments;
    struct tool *tool = &app->tool;
    DET_TRY_RETURN(tool_reads(tool, a->config));
    DET_TRY_RETURN(tool_reads(tool, a->checkpoint));
    if (a->checkpoint_dir != NULL)
        DET_TRY_RETURN(announce_checkpoints(tool, a->checkpoint_dir));
    DET_TRY_RETURN(tool_reads(tool, a->ground_truth));
    DET_TRY_RETURN(tool_reads(tool, a->detections));
    if (a->report_dir != NULL) /* makes the folder, which the other may be in */
        DET_TRY_RETURN(detection_files_announce(tool, "--report_dir", a->report_dir));
    return tool_writes(tool, "--json", a->json);
}

/* What is printed of a checkpoint, as a text. */
static det_status make_tables(struct app *app, const struct evaluations *e, const char *from)
{
    struct det_env *env = &app->tool.env;
    app->tables.length = 0;
    if (e->of[API] != NULL)
        DET_TRY_RETURN(evaluation_text(env, &app->tables, e->of[API],
                                       both(e) ? EVALUATION_API : EVALUATION_ONLY, e->step, from));
    if (e->of[EXPORTED] != NULL)
        DET_TRY_RETURN(evaluation_text(env, &app->tables, e->of[EXPORTED], EVALUATION_EXPORTED,
                                       e->step, from));
    return app->arguments.report_dir != NULL
               ? detection_files_write(&app->tool, det_evaluation_evaluator(main_one(e)),
                                       app->arguments.report_dir, &app->tables)
               : DET_OK;
}

static int report(struct app *app, const struct evaluations *e, const char *from)
{
    struct det_text text = {0};
    det_status status = make_tables(app, e, from);
    if (status == DET_OK && app->rows)
        status = evaluation_print_row(&(struct evaluation_row){.evaluation = main_one(e),
                                                               .api = both(e) ? e->of[API] : NULL,
                                                               .step = e->step,
                                                               .seconds = e->seconds});
    if (status != DET_OK)
        return tool_fail(&app->tool, status);
    if (!app->rows)
        console_print_text(app->tables.data);
    if (app->arguments.json == NULL)
        return 0;
    status = append_checkpoint(&app->tool.env, from, e, &text);
    return write_json(app, status, &text);
}

/* An exported model knows its own network; weights in training are the config's, which says too
 * whether their moving averages are meant. */
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
    settings.progress = countdown_show;
    settings.progress_user = &app->evaluating;
    settings.quiet = app->told;
    settings.results = app->results;
    det_tile_settings tiles;
    settings.tiles = tile_options_settings(&a->tiles, &tiles);
    const int32_t max_dets[3] = {1, 10, (int32_t)a->max_dets};
    if (a->max_dets != 100) {
        settings.max_dets = max_dets;
        settings.max_det_count = 3;
    }
    DET_TRY_RETURN(eval_run_open(&app->tool, &app->runs[form], config, model, &settings));
    DET_TRY_RETURN(det_evaluation_run(app->tool.context, config, model, &settings, &e->of[form]));
    app->told = true;
    return DET_OK;
}

/* In each way that was asked for and is another one; pictures are of the exported form. */
static det_status evaluate_model(struct app *app, const det_pipeline_config *config,
                                 const det_model *model, struct evaluations *e)
{
    /* A detector that looks at tiles runs the exported form. */
    const char *form = app->arguments.tiles.size.given ? "exported" : app->arguments.form;
    const bool differ = det_evaluation_forms_differ(model) != 0;
    const bool exported = differ && strcmp(form, "api") != 0;
    const bool api = !differ || strcmp(form, "exported") != 0;
    e->step = det_model_step(model);
    e->recalibrated_images = det_model_recalibrated_images(model);
    det_decay_advice advice = {.struct_size = sizeof advice};
    DET_TRY_RETURN(det_model_decay_advice(model, &advice));
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
    const double begin = det_clock_seconds();
    if (!app->rows)
        tool_log(&app->tool, DET_LOG_INFO, "checkpoint %s", from->path);
    det_status status = load_model(context, config, from, &model);
    /* The training removes old checkpoints while we are busy with the one before. */
    if (status == DET_STATUS_NOT_FOUND && a->checkpoint == NULL && !a->once) {
        tool_log(&app->tool, DET_LOG_WARNING, "%s: passed over", tool_message(&app->tool, status));
        return 0;
    }
    if (status == DET_OK)
        status = evaluate_model(app, config, model, &e);
    e.seconds = det_clock_seconds() - begin;
    int result = 0;
    if (status == DET_STATUS_CANCELLED)
        tool_log(&app->tool, DET_LOG_WARNING, "%s", tool_message(&app->tool, status));
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
    struct det_env *env = &app->tool.env;
    det_pipeline_config *config = NULL;
    det_status status = det_pipeline_config_load(app->tool.context, a->config, &config);
    if (status == DET_OK)
        status = class_options_apply(&a->classes, config);
    if (status != DET_OK) {
        det_pipeline_config_destroy(&config);
        return tool_fail(&app->tool, status);
    }
    det_pipeline_config_set_strict(config, a->strict);
    int result = 0;
    const char *directory = a->model_dir != NULL ? a->model_dir : a->checkpoint_dir;
    for (int form = 0; form < FORMS; form++)
        app->runs[form] = (struct eval_run){.directory = directory, .all = a->all};
    if (directory != NULL)
        status = det_path_join(env, &app->results, directory, "results.csv");
    if (status != DET_OK) {
        result = tool_fail(&app->tool, status);
    } else if (a->checkpoint != NULL) {
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
            .last_step = det_pipeline_config_num_steps(config),
            .evaluate = evaluate_watched,
            .user = &(struct watched){app, config},
        };
        app->rows = watch.extent != WATCH_NEWEST;
        result = checkpoint_watch(&app->tool, &watch);
        if (app->rows && app->tables.length > 0)
            console_print_text(app->tables.data);
    }
    for (int form = 0; form < FORMS; form++)
        eval_run_close(&app->runs[form]);
    det_free(env, &app->results);
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
    const char *coco_json = NULL;
    struct det_text text = {0};
    det_status status = det_coco_evaluator_create(app->tool.context, &settings, &evaluator);
    if (status == DET_OK)
        status = det_coco_evaluator_load_ground_truth(evaluator, a->ground_truth);
    if (status == DET_OK)
        status = det_coco_evaluator_load_detections(evaluator, a->detections);
    if (status == DET_OK)
        status = det_coco_evaluator_compute(evaluator, &coco);
    if (status == DET_OK)
        status = evaluation_tables(&app->tool.env, &app->tables, evaluator);
    if (status == DET_OK && a->report_dir != NULL)
        status = detection_files_write(&app->tool, evaluator, a->report_dir, &app->tables);
    if (status == DET_OK)
        console_print_text(app->tables.data);
    if (status == DET_OK && a->json != NULL)
        status = det_coco_evaluator_json(evaluator, 0, &coco_json);
    if (coco_json != NULL)
        status = append_coco(&app->tool.env, coco_json, &text);
    const int result = coco_json != NULL  ? write_json(app, status, &text)
                       : status != DET_OK ? tool_fail(&app->tool, status)
                                          : 0;
    det_coco_evaluator_destroy(&evaluator);
    return result;
}

int main(int argc, char **argv)
{
    console_begin("det-eval");
    struct app app = {
        .tool = TOOL_INIT("det-eval"),
        .arguments = {.form = "both",
                      .tiles = TILE_OPTIONS_INIT,
                      .max_dets = 100,
                      .wait_interval = 10,
                      .timeout = NAN},
        .evaluating = {.what = "evaluating"},
    };
    struct arguments *a = &app.arguments;
    const struct option table[] = {
        {"pipeline_config_path", OPTION_STRING, &a->config, "FILE", "the pipeline.config"},
        {"model_dir", OPTION_STRING, &a->model_dir, "DIR",
         "where curves for TensorBoard go, in eval/ or, with other settings or data than the "
         "training's, in a run beside it, and a row of results.csv; else into the checkpoint_dir, "
         "if there is one"},
        {"checkpoint_dir", OPTION_STRING, &a->checkpoint_dir, "DIR",
         "folder whose newest checkpoint is evaluated, then each new one in order while a training "
         "runs there"},
        {"once", OPTION_FLAG, &a->once, NULL, "evaluate the newest checkpoint and end"},
        {"all", OPTION_FLAG, &a->all, NULL,
         "evaluate all checkpoints of the folder, the oldest first, and end"},
        {"checkpoint", OPTION_STRING, &a->checkpoint, "FILE",
         "evaluate this .det file or TensorFlow checkpoint prefix alone"},
        {"form", OPTION_STRING, &a->form, "FORM",
         "api: as eval_continuously() of the API, which normalises in the box predictor by each "
         "image's own statistics; exported: as the exported model computes; both where they "
         "differ"},
        TILE_OPTIONS(&a->tiles),
        {"images", OPTION_LIST, &a->images, "DIR",
         "folder of the image files, for records without image/encoded; may be repeated"},
        {"max_images", OPTION_INT, &a->max_images, "N", "evaluate the first N images, 0: all"},
        {"max_dets", OPTION_INT, &a->max_dets, "N",
         "detections per image and class that count, in every row of the table"},
        {"honour_ignore", OPTION_FLAG, &a->honour_ignore, NULL,
         "leave out objects marked difficult or `ignore`; pycocotools counts them"},
        STRICT_OPTION(&a->strict),
        CLASS_OPTIONS(&a->classes),
        {"report_dir", OPTION_STRING, &a->report_dir, "DIR",
         "precision-recall curves (CSV, JSON, SVG), confusion matrix (CSV, SVG, and printed), the "
         "threshold of best F1 for "
         "each class (thresholds.json, for det-detect --threshold_file), and ground truth and "
         "detections as COCO JSON; those of a later checkpoint replace them"},
        {"json", OPTION_OUTPUT, &a->json, "FILE",
         "write the results as JSON, those of a later checkpoint replace them; -: standard output, "
         "the tables then go to "
         "standard error"},
        {"ground_truth", OPTION_STRING, &a->ground_truth, "FILE",
         "COCO ground truth JSON, with --detections"},
        {"detections", OPTION_STRING, &a->detections, "FILE", "COCO detections JSON"},
        {"wait_interval", OPTION_DOUBLE, &a->wait_interval, "SECONDS",
         "between looks for a new checkpoint"},
        {"eval_timeout", OPTION_DOUBLE, &a->timeout, "SECONDS",
         "end when no new checkpoint came for so long; not given: when no training runs in the "
         "folder, at the latest "
         "after 3600 s"},
        TOOL_IMAGE_OPTIONS(&app.tool),
        TOOL_OPTIONS(&app.tool),
        {0},
    };
    struct options options = {
        .program = "det-eval",
        .description = "Evaluates checkpoints (libdet's or TensorFlow's) with COCO's figures, or "
                       "two COCO JSON files.",
        .table = table,
        .aliases = tf_flags_of_eval,
    };
    int result = 0;
    if (!options_parse(&options, argc, argv, &result))
        return console_end(result);
    const bool files = a->ground_truth != NULL || a->detections != NULL;
    if (files && (a->ground_truth == NULL || a->detections == NULL))
        result = options_error(&options, "--ground_truth and --detections belong together");
    else if (!files && a->config == NULL)
        result = options_error(&options, "--pipeline_config_path is missing");
    else if (!files && a->checkpoint_dir == NULL && a->checkpoint == NULL)
        result = options_error(&options, "--checkpoint_dir or --checkpoint is missing");
    else if (class_options_fault(&a->classes) != NULL)
        result = options_error(&options, "%s", class_options_fault(&a->classes));
    else if (tile_options_fault(&a->tiles) != NULL)
        result = options_error(&options, "%s", tile_options_fault(&a->tiles));
    else if (files && a->tiles.size.given)
        result = options_error(&options, "--tiles goes with a checkpoint: detections of a file are "
                                         "evaluated as they are");
    else if (a->tiles.size.given && strcmp(a->form, "api") == 0)
        result = options_error(&options, "--tiles evaluates the exported form, not --form api");
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
        const det_status status = announce(&app);
        if (status != DET_OK)
            result = tool_fail(&app.tool, status);
        else
            result = files ? evaluate_files(&app) : evaluate_records(&app);
        det_text_free(&app.tool.env, &app.tables);
        tool_close(&app.tool);
    }
    options_free(&options);
    return console_end(result);
}
