/* det-train: trains what a pipeline.config describes, or a data set, of which it makes one. Flags
 * as object_detection/model_main_tf2.py has them. */
#include <stdio.h>
#include <string.h>

#include "common/class_options.h"
#include "common/console.h"
#include "common/options.h"
#include "common/progress.h"
#include "common/tf_flags.h"
#include "common/tool.h"
#include "data/data.h"
#include "det/det.h"
#include "support/mem.h"
#include "train/data_source.h"
#include "train/finish.h"
#include "train/ranks.h"

/* Of --eval_every: so many evaluations in a training. */
enum { EVALUATIONS = 10 };

struct arguments {
    const char *config, *model_dir, *fine_tune_checkpoint;
    const char *keep_best, *batch_size, *replay, *json;
    int64_t num_steps, batch, memory_limit, checkpoint_every, keep, seed, log_every, pictures_every;
    int64_t eval_every, eval_max_images, patience, accumulate, recalibrate_images;
    double checkpoint_seconds, min_delta;
    struct option_list images, set, command_line, data;
    struct data_arguments source; /* how --data is read */
    struct class_options classes;
    bool resume, summaries, eval_api, scale_lr, fast_decode, strict, allow_no_boxes;
    int64_t batch_per_rank;
    bool sync_batch_norm, bf16_gradients;
    struct ranks_limits ranks;
};

/* Asked between the operations of a step of several ranks. */
static int wants_stop(void *user)
{
    (void)user;
    return tool_interrupted();
}

static int after_step(void *user, const det_step_report *report)
{
    struct progress *progress = user;
    progress_step(progress, report);
    return tool_interrupted() || progress->status != DET_OK;
}

static det_status prepare_config(struct tool *tool, const struct arguments *a,
                                 det_pipeline_config **config)
{
    det_status status = det_pipeline_config_load_with(tool->context, a->config, a->set.values,
                                                      a->set.count, config);
    if (status == DET_OK && a->fine_tune_checkpoint != NULL)
        status =
            det_pipeline_config_set_fine_tune_checkpoint(*config, a->fine_tune_checkpoint, NULL);
    if (status == DET_OK)
        status = class_options_apply(&a->classes, *config);
    if (status == DET_OK)
        det_pipeline_config_set_strict(*config, a->strict);
    return status;
}

/* How it ended, and where the best is. */
static void finish(struct tool *tool, const struct arguments *a, const struct progress *progress,
                   const det_trainer *trainer)
{
    const long long step = (long long)det_trainer_steps_done(trainer);
    det_trainer_best best = {.struct_size = sizeof best};
    const det_status status = det_trainer_get_best(trainer, &best);
    if (status != DET_OK)
        tool_log(tool, DET_LOG_WARNING, "%s", tool_message(tool, status));
    if (tool_interrupted())
        tool_log(tool, DET_LOG_INFO, "stopped after step %lld; run the same command to go on",
                 step);
    else if (best.stopped_early)
        tool_log(tool, DET_LOG_INFO,
                 "stopped early after step %lld: %lld evaluations without a gain", step,
                 (long long)best.evaluations_since);
    if (best.known)
        tool_log(tool, DET_LOG_INFO, "best %s: %.6g at step %lld, in %s/best", best.metric,
                 best.value, (long long)best.step, a->model_dir);
    progress_sum(progress);
}

static void trainer_settings(const struct arguments *a, det_trainer_settings *settings,
                             det_evaluation_settings *evaluation)
{
    det_trainer_settings_default(settings);
    det_evaluation_settings_default(evaluation);
    settings->evaluation = evaluation;
    settings->model_dir = a->model_dir;
    settings->num_steps = a->num_steps;
    settings->seed = (uint64_t)a->seed;
    settings->checkpoint_every_steps = a->checkpoint_every;
    settings->checkpoint_every_seconds = a->checkpoint_seconds;
    settings->keep_checkpoints = (int32_t)a->keep;
    settings->fast_decode = a->fast_decode;
    settings->image_dirs = a->images.values;
    settings->image_dir_count = a->images.count;
    settings->resume = a->resume;
    settings->batch_size = (int32_t)a->batch;
    settings->accumulate = (int32_t)a->accumulate;
    settings->scale_learning_rate = a->scale_lr;
    settings->memory_limit_bytes = (size_t)a->memory_limit << 20;
    settings->eval_every_steps = a->eval_every;
    evaluation->image_dirs = a->images.values;
    evaluation->image_dir_count = a->images.count;
    evaluation->max_images = a->eval_max_images;
    evaluation->progress = countdown_show;
    settings->keep_best = a->keep_best;
    settings->patience = (int32_t)a->patience;
    settings->min_delta = a->min_delta;
    settings->summary_every_steps = a->summaries ? a->log_every : 0;
    settings->picture_every_steps = a->pictures_every;
    settings->allow_no_boxes = a->allow_no_boxes;
    settings->recalibrate_images = a->recalibrate_images;
    settings->api_evaluation = a->eval_api;
    settings->arguments = a->command_line.values;
    settings->argument_count = a->command_line.count;
    settings->sync_batch_norm = a->sync_batch_norm;
    settings->bf16_gradients = a->bf16_gradients;
    settings->wants_stop = wants_stop;
}

/* 0 when all was finite this time. */
static int replay(struct tool *tool, const struct arguments *a)
{
    det_pipeline_config *config = NULL;
    det_step_report report = {.struct_size = sizeof report};
    det_status status = prepare_config(tool, a, &config);
    if (status == DET_OK)
        status = det_trainer_replay(tool->context, config, a->replay, &report);
    det_pipeline_config_destroy(&config);
    if (status != DET_OK)
        return tool_fail(tool, status);
    console_print(
        "step %lld is finite here: total loss %.6g (localization %.6g, classification %.6g, "
        "regularization %.6g), norm of the gradient %.6g\n",
        (long long)report.step, report.total_loss, report.localization_loss,
        report.classification_loss, report.regularization_loss, report.gradient_norm);
    return 0;
}

/* "auto" or a number; false for anything else. */
static bool read_batch_size(const char *text, int64_t *batch)
{
    *batch = 0;
    if (text != NULL && strcmp(text, "auto") == 0) {
        *batch = DET_BATCH_SIZE_AUTO;
        return true;
    }
    for (; text != NULL && *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        *batch = *batch * 10 + (*text - '0');
        if (*batch > 65536)
            return false;
    }
    return true;
}

/* The trainings of a data set are evaluated, so that the best model is kept. */
static int64_t own_eval_every(const det_pipeline_config *config, int64_t steps)
{
    if (det_pipeline_config_eval_path_count(config) == 0)
        return 0;
    if (steps == 0)
        steps = det_pipeline_config_num_steps(config);
    return steps == 0 ? 1000 : (steps + EVALUATIONS - 1) / EVALUATIONS;
}

static det_status run(struct tool *tool, const struct arguments *a, const struct ranks *ranks,
                      const det_pipeline_config *config)
{
    det_trainer *trainer = NULL;
    det_trainer_settings settings;
    det_evaluation_settings evaluation;
    struct progress progress = PROGRESS_INIT(tool, a->log_every, a->eval_every);
    trainer_settings(a, &settings, &evaluation);
    evaluation.progress_user = &progress.evaluating;
    settings.communicator = ranks->communicator;
    if (a->batch_per_rank > 0)
        settings.batch_size =
            (int32_t)a->batch_per_rank * det_communicator_size(ranks->communicator);
    det_status status =
        ranks_is_first(ranks) ? progress_json_open(tool, &progress.json, a->json) : DET_OK;
    status = ranks_agree(tool, ranks, status);
    if (status == DET_OK)
        status = det_trainer_create(tool->context, config, &settings, &trainer);
    if (status == DET_STATUS_FINISHED) {
        tool_log(tool, DET_LOG_INFO, "%s", tool_message(tool, status));
        status = DET_OK;
    } else {
        if (status == DET_OK)
            status = det_trainer_run(trainer, after_step, &progress);
        if (status == DET_OK)
            status = progress.status;
        if (status == DET_OK)
            finish(tool, a, &progress, trainer);
    }
    const det_status closed = progress_close(&progress);
    det_trainer_destroy(&trainer);
    if (status == DET_OK)
        status = closed;
    return status;
}

/* The config of what is trained; *own is its path where it is that of --data or of the folder. */
static det_status open_config(struct tool *tool, struct arguments *a, char **own,
                              det_pipeline_config **config)
{
    const bool is_own = a->config == NULL;
    if (is_own)
        DET_TRY_RETURN(data_source_config(tool, a->model_dir, own));
    a->config = is_own ? *own : a->config;
    DET_TRY_RETURN(prepare_config(tool, a, config));
    if (a->eval_every < 0)
        a->eval_every = is_own ? own_eval_every(*config, a->num_steps) : 0;
    return DET_OK;
}

/* What rank 0 has made of the data the others read. */
static det_status prepare_data(struct tool *tool, const struct arguments *a,
                               const struct ranks *ranks)
{
    const bool makes = a->data.count > 0 && ranks_is_first(ranks);
    return ranks_agree(tool, ranks,
                       makes ? data_source_prepare(tool, &a->data, &a->source) : DET_OK);
}

static int train(struct tool *tool, const struct arguments *given, struct ranks *ranks)
{
    struct arguments a = *given;
    det_pipeline_config *config = NULL;
    char *own = NULL;
    const bool is_own = a.config == NULL;
    det_status status = DET_OK;
    console_outlive_output();
    DET_TRY(ranks_open(tool, ranks, &a.ranks));
    DET_TRY(prepare_data(tool, &a, ranks));
    /* Before, an interruption leaves nothing that would have to be saved. */
    if (ranks->communicator != NULL)
        tool_catch_repeated_signals("\nstopping: saving the last whole step\n");
    else
        tool_catch_signals(
            "\nstopping: finishing this step, then saving; once more to stop at once\n");
    DET_TRY(ranks_agree(tool, ranks, open_config(tool, &a, &own, &config)));
    DET_TRY(run(tool, &a, ranks, config));
    if (is_own && ranks_is_first(ranks) && !tool_interrupted())
        DET_TRY(finish_export(tool, config, a.model_dir));
fail:
    det_pipeline_config_destroy(&config);
    det_free(&tool->env, &own);
    const int result = status == DET_OK ? 0 : ranks_fail(tool, ranks, status);
    ranks_close(ranks);
    return result;
}

/* What det-data init takes of det-train's options. */
static void fill_source(struct arguments *a)
{
    a->source.output = a->model_dir;
    a->source.images = a->images;
    a->source.set = a->set;
    a->source.seed = a->seed;
    a->source.strict = a->strict;
    a->source.allow_no_boxes = a->allow_no_boxes;
    a->source.fine_tune_checkpoint = a->fine_tune_checkpoint;
    a->source.steps = a->num_steps;
    a->source.batch_size = a->batch > 0 ? a->batch : 0;
}

/* Whether something is wrong with --data and the options for it. */
static bool source_fault(const struct arguments *a, char text[DATA_FAULT_BYTES])
{
    const struct data_arguments *s = &a->source;
    const bool options = s->from != NULL || s->label_map != NULL || s->encoding != NULL ||
                         s->input_px != 0 || s->tiles.size.given;
    text[0] = '\0';
    if (a->data.count == 0 && options)
        snprintf(text, DATA_FAULT_BYTES,
                 "--from, --label_map, --encoding, --size and --tiles are for --data");
    else if (a->data.count > 0 && a->config != NULL)
        snprintf(text, DATA_FAULT_BYTES,
                 "--data makes a pipeline.config: it goes without --pipeline_config_path");
    else if (a->data.count > 0)
        (void)data_arguments_fault(s, text);
    return text[0] != '\0';
}

int main(int argc, char **argv)
{
    console_begin("det-train");
    struct tool tool = TOOL_INIT("det-train");
    struct ranks ranks = {0};
    struct arguments a = {
        .checkpoint_every = 1000,
        .checkpoint_seconds = 300,
        .ranks = {.meeting_seconds = 300, .standstill_seconds = 60},
        .keep = 5,
        .accumulate = 1,
        .seed = 1,
        .log_every = 100,
        .pictures_every = 1000,
        .resume = true,
        .summaries = true,
        .eval_api = true,
        .eval_every = -1,
        .source = DATA_ARGUMENTS_INIT,
        .recalibrate_images = DET_RECALIBRATION_IMAGES,
        .command_line = {(const char **)argv, (size_t)argc},
    };
    const struct option table[] = {
        {"pipeline_config_path", OPTION_STRING, &a.config, "FILE",
         "the pipeline.config; without it --model_dir's, and at the end --model_dir/model.det is "
         "exported"},
        {"data", OPTION_LIST, &a.data, "SOURCE",
         "instead of a config: a folder, file or .zip with annotations of any kind that det-data "
         "reads, or SPLIT=SOURCE; may be repeated. Records and a pipeline.config that fits them "
         "are made in --model_dir, then trained; the same command goes on"},
        {"size", OPTION_INT, &a.source.input_px, "PX",
         "--data: side of the network's input; 0: 320, or 640 where the boxes would be too small"},
        {"tiles", OPTION_SIZE, &a.source.tiles.size, "SIZE",
         "--data: cut large pictures into overlapping tiles of SIZE pixels, N or WIDTHxHEIGHT, for "
         "small objects"},
        {"tile_overlap", OPTION_DOUBLE, &a.source.tiles.overlap, "SHARE",
         "of a tile's side that neighbours have in common, 0 to 0.9"},
        {"from", OPTION_STRING, &a.source.from, "FORMAT", "--data: its format"},
        {"label_map", OPTION_STRING, &a.source.label_map, "FILE",
         "--data: label_map.pbtxt with the classes in their order"},
        {"encoding", OPTION_STRING, &a.source.encoding, "NAME",
         "--data: of text that is not UTF-8 and does not say what it is"},
        {"set", OPTION_LIST, &a.set, "FIELD=VALUE",
         "a field of the config for this run, as in --set train_config.batch_size=4; may be "
         "repeated. --model_dir's pipeline.config is what ran"},
        {"model_dir", OPTION_STRING, &a.model_dir, "DIR",
         "where checkpoints and, in train/, curves for TensorBoard go; training resumes from the "
         "newest checkpoint there"},
        {"num_train_steps", OPTION_INT, &a.num_steps, "N", "last step, 0: as the config says"},
        {"checkpoint_every_n", OPTION_INT, &a.checkpoint_every, "N",
         "save every N steps, 0: only by time and at the end"},
        {"checkpoint_every_seconds", OPTION_DOUBLE, &a.checkpoint_seconds, "S",
         "save when the last checkpoint is older, 0: only by steps"},
        {"keep", OPTION_INT, &a.keep, "N", "checkpoints kept"},
        {"batch_size", OPTION_STRING, &a.batch_size, "N",
         "instead of the config's; auto: the largest power of two up to 128 that fits in memory"},
        {"scale_lr", OPTION_FLAG, &a.scale_lr, NULL,
         "scale the learning rate linearly where it does not suit the batch; else that is a "
         "warning"},
        {"memory_limit", OPTION_INT, &a.memory_limit, "MIB",
         "what training may take on the CPU, 0: what the system says is available"},
        {"replay", OPTION_STRING, &a.replay, "FILE",
         "repeat the step that MODEL_DIR/replay-STEP.det was written for, without learning, and "
         "tell the first layer that is not finite"},
        {"accumulate", OPTION_INT, &a.accumulate, "N",
         "batches whose mean gradient makes one step: as many replicas of the API"},
        {"batch_per_rank", OPTION_INT, &a.batch_per_rank, "N",
         "under mpirun or srun: images of a batch of each rank; 0: the config's batch, or "
         "--batch_size, is shared by all"},
        {"sync_batch_norm", OPTION_FLAG, &a.sync_batch_norm, NULL,
         "of several ranks: normalise by all pictures of a step, as one process does that has them "
         "in one batch; else each rank by its own"},
        {"bf16_gradients", OPTION_FLAG, &a.bf16_gradients, NULL,
         "of several ranks: half as many bytes between them; gradients are rounded to bf16"},
        {"meeting_seconds", OPTION_DOUBLE, &a.ranks.meeting_seconds, "S",
         "of several ranks: how long one waits for the others to start"},
        {"standstill_seconds", OPTION_DOUBLE, &a.ranks.standstill_seconds, "S",
         "of several ranks: when all wait and so long nothing has come, the network between them "
         "counts as cut, and training ends; 2 to 86400"},
        {"fine_tune_checkpoint", OPTION_STRING, &a.fine_tune_checkpoint, "PREFIX",
         "instead of the config's; a TensorFlow prefix or a .det file"},
        {"seed", OPTION_INT, &a.seed, "N", "of initial weights, data order and augmentation"},
        {"images", OPTION_LIST, &a.images, "DIR",
         "folder of the image files, for records without image/encoded; may be repeated"},
        {"fast_decode", OPTION_FLAG, &a.fast_decode, NULL,
         "decode large JPEGs at a half, a quarter or an eighth of their size, never below the "
         "network's input: "
         "quicker, but not TensorFlow's pixels"},
        {"log_every", OPTION_INT, &a.log_every, "N",
         "steps between lines of the log (standard output, when that or standard error is no "
         "terminal) and between points of the curves in MODEL_DIR/train"},
        {"json", OPTION_OUTPUT, &a.json, "FILE",
         "the log as JSON lines, an object for each of its lines and for each evaluation; -: "
         "standard output, all else then goes to standard error"},
        {"pictures_every", OPTION_INT, &a.pictures_every, "N",
         "steps between pictures of the augmented training input for TensorBoard; 0: none, and "
         "none of "
         "evaluations"},
        {"summaries", OPTION_FLAG, &a.summaries, NULL,
         "write event files for TensorBoard into MODEL_DIR/train and MODEL_DIR/eval"},
        {"eval_every", OPTION_INT, &a.eval_every, "N",
         "evaluate on the eval_input_reader every N steps and after the last, in this process; 0: "
         "not; -1: not with --pipeline_config_path, else ten times in all"},
        {"eval_max_images", OPTION_INT, &a.eval_max_images, "N",
         "evaluate on the first N images, 0: all"},
        {"eval_api", OPTION_FLAG, &a.eval_api, NULL,
         "evaluate as the API does too, not only as the exported model will run: see det-eval "
         "--form"},
        {"recalibrate_images", OPTION_INT, &a.recalibrate_images, "N",
         "training pictures over which the exported form's batch norm statistics are taken anew, "
         "before evaluations and after the last step; 0: its are the moving averages"},
        {"keep_best", OPTION_STRING, &a.keep_best, "METRIC",
         "figure by which the checkpoint in MODEL_DIR/best is chosen: mAP (if not given), "
         "mAP@.50IOU, AR@100, total_loss, ..."},
        {"patience", OPTION_INT, &a.patience, "N",
         "stop after N evaluations without a gain of that figure, 0: never"},
        {"min_delta", OPTION_DOUBLE, &a.min_delta, "D", "a gain is more than this"},
        {"resume", OPTION_FLAG, &a.resume, NULL,
         "go on from the newest checkpoint in model_dir, libdet's or TensorFlow's; --noresume "
         "starts anew"},
        STRICT_OPTION(&a.strict),
        {"allow_no_boxes", OPTION_FLAG, &a.allow_no_boxes, NULL,
         "train even when the data has not a single box"},
        CLASS_OPTIONS(&a.classes),
        TOOL_IMAGE_OPTIONS(&tool),
        TOOL_OPTIONS(&tool),
        {0},
    };
    struct options options = {
        .program = "det-train",
        .description =
            "Trains the detector that a TF Object Detection API pipeline.config describes, or one "
            "for a data set.",
        .table = table,
        .aliases = tf_flags_of_train,
    };
    char fault[DATA_FAULT_BYTES];
    int result = 0;
    if (!options_parse(&options, argc, argv, &result))
        return console_end(result);
    if (a.replay != NULL ? a.config == NULL : a.model_dir == NULL)
        result = options_error(
            &options, "--model_dir is needed, with --data or --pipeline_config_path to begin with; "
                      "--replay needs --pipeline_config_path");
    else if (a.num_steps < 0 || a.checkpoint_every < 0 || a.checkpoint_seconds < 0 || a.keep < 1 ||
             a.keep > 1000000 || !read_batch_size(a.batch_size, &a.batch) || a.memory_limit < 0 ||
             a.memory_limit > INT64_C(1) << 40 || a.accumulate < 1 || a.accumulate > 65536 ||
             a.log_every < 1 || a.pictures_every < 0 || a.eval_every < -1 || a.batch_per_rank < 0 ||
             a.batch_per_rank > 65536 || a.eval_max_images < 0 || a.patience < 0 ||
             a.patience > 1000000 || a.min_delta < 0 || !(a.ranks.meeting_seconds >= 1) ||
             a.ranks.meeting_seconds > 1e6)
        result =
            options_error(&options, "a number is out of range: steps and seconds are 0 or more, "
                                    "--keep and --log_every 1 or more");
    else if (class_options_fault(&a.classes) != NULL)
        result = options_error(&options, "%s", class_options_fault(&a.classes));
    else if ((a.eval_every == 0 || (a.eval_every < 0 && a.config != NULL)) &&
             (a.keep_best != NULL || a.patience > 0))
        result = options_error(&options, "--keep_best and --patience need --eval_every");
    else if (a.batch_per_rank > 0 && a.batch_size != NULL)
        result = options_error(&options, "--batch_per_rank goes without --batch_size");
    else if (a.replay != NULL && a.json != NULL)
        result = options_error(&options, "--json is of a training, not of --replay");
    else if (fill_source(&a), source_fault(&a, fault))
        result = options_error(&options, "%s", fault);
    else if (ranks_prepare(&ranks), tool_open(&tool, &result)) {
        result = a.replay != NULL ? replay(&tool, &a) : train(&tool, &a, &ranks);
        tool_close(&tool);
    }
    options_free(&options);
    return console_end(result);
}
