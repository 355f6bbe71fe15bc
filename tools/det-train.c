/* det-train: trains what a pipeline.config describes. Flags as object_detection/model_main_tf2.py has them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/options.h"
#include "common/tool.h"
#include "det/det.h"

struct arguments {
    const char *config, *model_dir, *fine_tune_checkpoint;
    int64_t num_steps, batch_size, checkpoint_every, keep, seed, log_every;
    double checkpoint_seconds;
    struct option_list images;
    bool resume;
};

/* Sums over the steps since the last line on stdout, and over all for the end. */
struct progress {
    struct tool *tool;
    int64_t log_every;
    int64_t steps;                /* since the last line */
    double seconds, wait_seconds; /* of those */
    int64_t all_steps;
    double all_seconds, all_wait_seconds;
    double rate;                   /* smoothed seconds a step */
    det_summary_writer *summaries; /* NULL: none, or given up */
};

/* The API's names; the last two are ours. Returns the first failure. */
static det_status write_summaries(const struct progress *p, const det_step_report *r)
{
    const struct {
        const char *tag;
        double value;
    } scalars[] = {
        {"Loss/classification_loss", r->classification_loss},
        {"Loss/localization_loss", r->localization_loss},
        {"Loss/regularization_loss", r->regularization_loss},
        {"Loss/total_loss", r->total_loss},
        {"learning_rate", r->learning_rate},
        {"steps_per_sec", (double)p->steps / p->seconds},
        {"gradient_norm", r->gradient_norm},
        {"data_wait_percent", 100 * p->wait_seconds / p->seconds},
    };
    det_status status = DET_OK;
    for (size_t i = 0; status == DET_OK && i < sizeof scalars / sizeof scalars[0]; i++)
        status = det_summary_scalar(p->summaries, scalars[i].tag, r->step, scalars[i].value);
    return status == DET_OK ? det_summary_flush(p->summaries) : status;
}

/* A full disk must not end a training for the sake of its curves. */
static void give_up_summaries(struct progress *p)
{
    tool_log(p->tool, DET_LOG_WARNING, "%s; no more summaries for TensorBoard are written",
             det_context_error(p->tool->context));
    det_summary_writer_destroy(&p->summaries);
}

static void format_duration(char buffer[32], double seconds)
{
    const int64_t whole = seconds > 0 ? (int64_t)seconds : 0;
    if (whole >= 3600)
        snprintf(buffer, 32, "%" PRId64 "h%02dm", whole / 3600, (int)(whole / 60 % 60));
    else
        snprintf(buffer, 32, "%dm%02ds", (int)(whole / 60), (int)(whole % 60));
}

static void show_progress(struct progress *p, const det_step_report *r)
{
    char left[32];
    const double remaining = p->rate * (double)(r->num_steps - r->step);
    if (r->num_steps < INT64_MAX)
        format_duration(left, remaining);
    else
        snprintf(left, sizeof left, "no end");
    tool_progress(
        p->tool,
        "%lld/%lld  %.1f img/s  loss %.3f (loc %.3f cls %.3f reg %.3f)  lr %.5f  data wait "
        "%.0f%%  ETA %s",
        (long long)r->step, (long long)r->num_steps, r->images / p->rate, r->total_loss,
        r->localization_loss, r->classification_loss, r->regularization_loss, r->learning_rate,
        100 * p->all_wait_seconds / p->all_seconds, left);
}

static int after_step(void *user, const det_step_report *r)
{
    struct progress *p = user;
    p->steps++;
    p->seconds += r->step_seconds;
    p->wait_seconds += r->data_wait_seconds;
    p->all_steps++;
    p->all_seconds += r->step_seconds;
    p->all_wait_seconds += r->data_wait_seconds;
    p->rate = p->all_steps == 1 ? r->step_seconds : 0.95 * p->rate + 0.05 * r->step_seconds;
    show_progress(p, r);
    const bool line = r->step % p->log_every == 0, stopping = tool_interrupted() != 0;
    /* The first step too: a wrong start shows at once. */
    if (p->summaries != NULL &&
        (line || stopping || p->all_steps == 1 || r->step == r->num_steps) &&
        write_summaries(p, r) != DET_OK)
        give_up_summaries(p);
    if (line) {
        tool_progress_clear(p->tool);
        /* The API's own line. */
        printf("Step %lld per-step time %.3fs loss=%.3f\n", (long long)r->step,
               p->seconds / (double)p->steps, r->total_loss);
        fflush(stdout);
        p->steps = 0;
        p->seconds = 0;
        p->wait_seconds = 0;
    }
    return stopping;
}

static det_status prepare_config(struct tool *tool, const struct arguments *a,
                                 det_pipeline_config **config)
{
    det_status status = det_pipeline_config_load(tool->context, a->config, config);
    if (status == DET_OK && a->batch_size > 0)
        status = det_pipeline_config_set_batch_size(*config, (uint32_t)a->batch_size);
    if (status == DET_OK && a->fine_tune_checkpoint != NULL)
        status =
            det_pipeline_config_set_fine_tune_checkpoint(*config, a->fine_tune_checkpoint, NULL);
    return status;
}

static int finish(struct tool *tool, const struct arguments *a, const struct progress *p,
                  det_trainer *trainer)
{
    tool_progress_clear(tool);
    const long long step = (long long)det_trainer_steps_done(trainer);
    if (tool_interrupted())
        tool_log(tool, DET_LOG_INFO, "stopped after step %lld; run the same command to go on",
                 step);
    tool_log(tool, DET_LOG_INFO, "saved %s/ckpt-%lld.det", a->model_dir, step);
    if (p->all_steps > 0)
        tool_log(
            tool, DET_LOG_INFO,
            "%lld steps, mean %.3f s a step, %.1f%% of it waiting for data, peak memory %.0f MB",
            (long long)p->all_steps, p->all_seconds / (double)p->all_steps,
            100 * p->all_wait_seconds / p->all_seconds, tool_peak_mb());
    return 0;
}

/* MODEL_DIR/train, as the API has it. Opened with the trainer: a folder that cannot be written is told now. */
static det_status open_summaries(struct progress *p, const char *model_dir)
{
    char folder[4200];
    snprintf(folder, sizeof folder, "%s/train", model_dir);
    return det_summary_writer_create(p->tool->context, folder, &p->summaries);
}

static int train(struct tool *tool, const struct arguments *a)
{
    det_pipeline_config *config = NULL;
    det_trainer *trainer = NULL;
    det_trainer_settings settings;
    det_trainer_settings_default(&settings);
    settings.model_dir = a->model_dir;
    settings.num_steps = a->num_steps;
    settings.seed = (uint64_t)a->seed;
    settings.checkpoint_every_steps = a->checkpoint_every;
    settings.checkpoint_every_seconds = a->checkpoint_seconds;
    settings.keep_checkpoints = (int32_t)a->keep;
    settings.image_dirs = a->images.values;
    settings.image_dir_count = a->images.count;
    settings.resume = a->resume;
    struct progress progress = {.tool = tool, .log_every = a->log_every};
    int result = 0;
    det_status status = prepare_config(tool, a, &config);
    if (status == DET_OK)
        status = det_trainer_create(tool->context, config, &settings, &trainer);
    if (status == DET_STATUS_FINISHED) {
        tool_log(tool, DET_LOG_INFO, "%s", det_context_error(tool->context));
    } else {
        if (status == DET_OK)
            status = open_summaries(&progress, a->model_dir);
        if (status == DET_OK)
            status = det_trainer_run(trainer, after_step, &progress);
        if (status != DET_OK) {
            tool_progress_clear(tool);
            result = tool_fail(tool, status);
        } else {
            result = finish(tool, a, &progress, trainer);
        }
    }
    det_summary_writer_destroy(&progress.summaries);
    det_trainer_destroy(&trainer);
    det_pipeline_config_destroy(&config);
    return result;
}

int main(int argc, char **argv)
{
    struct tool tool = TOOL_INIT("det-train");
    struct arguments a = {
        .checkpoint_every = 1000,
        .checkpoint_seconds = 300,
        .keep = 5,
        .seed = 1,
        .log_every = 100,
        .resume = true,
    };
    const struct option table[] = {
        {"pipeline_config_path", OPTION_STRING, &a.config, "FILE", "the pipeline.config"},
        {"model_dir", OPTION_STRING, &a.model_dir, "DIR",
         "where checkpoints and, in train/, curves for TensorBoard go; training resumes from the "
         "newest checkpoint there"},
        {"num_train_steps", OPTION_INT, &a.num_steps, "N", "last step, 0: as the config says"},
        {"checkpoint_every_n", OPTION_INT, &a.checkpoint_every, "N",
         "save every N steps, 0: only by time and at the end"},
        {"checkpoint_every_seconds", OPTION_DOUBLE, &a.checkpoint_seconds, "S",
         "save when the last checkpoint is older, 0: only by steps"},
        {"keep", OPTION_INT, &a.keep, "N", "checkpoints kept"},
        {"batch_size", OPTION_INT, &a.batch_size, "N", "instead of the config's, 0: the config's"},
        {"fine_tune_checkpoint", OPTION_STRING, &a.fine_tune_checkpoint, "PREFIX",
         "instead of the config's; a TensorFlow prefix or a .det file"},
        {"seed", OPTION_INT, &a.seed, "N", "of initial weights, data order and augmentation"},
        {"images", OPTION_LIST, &a.images, "DIR",
         "folder of the image files, for records without image/encoded; may be repeated"},
        {"log_every", OPTION_INT, &a.log_every, "N",
         "steps between lines on stdout and between points of the curves in MODEL_DIR/train"},
        {"resume", OPTION_FLAG, &a.resume, NULL,
         "go on from the newest checkpoint in model_dir; --noresume starts anew"},
        TOOL_OPTIONS(&tool),
        {0},
    };
    struct options options = {
        .program = "det-train",
        .description =
            "Trains the detector that a TF Object Detection API pipeline.config describes.",
        .table = table,
    };
    int result = 0;
    if (!options_parse(&options, argc, argv, &result))
        return result;
    if (a.config == NULL || a.model_dir == NULL)
        result = options_error(&options, "--pipeline_config_path and --model_dir are needed");
    else if (a.num_steps < 0 || a.checkpoint_every < 0 || a.checkpoint_seconds < 0 || a.keep < 1 ||
             a.keep > 1000000 || a.batch_size < 0 || a.batch_size > 65536 || a.log_every < 1)
        result =
            options_error(&options, "a number is out of range: steps and seconds are 0 or more, "
                                    "--keep and --log_every 1 or more");
    else if (tool_open(&tool, &result)) {
        tool_catch_signals(
            "\nstopping: finishing this step, then saving; once more to stop at once\n");
        result = train(&tool, &a);
        tool_close(&tool);
    }
    options_free(&options);
    return result;
}
