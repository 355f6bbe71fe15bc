/* trainer_summary.c: what a training shows in TensorBoard, MODEL_DIR/train: the names of
 * model_lib_v2.py train_loop() of the TF Object Detection API, and the gradient's norm and the
 * share of time spent waiting for data as "gradient_norm" and "data_wait_percent". Differs: boxes
 * are drawn into train_input_images, and these are written less often than the curves, since each
 * is a PNG of some 100 KB. */
#include <math.h>
#include <string.h>

#include "det/summary.h"
#include "draw/labels.h"
#include "eval/evaluation_summary.h"
#include "eval/results_file.h"
#include "monitor/event_run.h"
#include "support/io.h"
#include "support/mem.h"
#include "train/trainer.h"

enum { MOST_PICTURES = 3 }; /* as the API */

/* In MODEL_DIR/RUN, what a killed training has told of step `first` and later goes, what is of
 * another training is kept in another folder. */
static det_status open_run(struct det_trainer *trainer, const char *run, int64_t first,
                           det_summary_writer **writer)
{
    struct det_env *env = trainer->env;
    char *folder = NULL;
    det_status status = DET_OK;
    DET_TRY(det_path_join(env, &folder, trainer->model_dir, run));
    if (trainer->state.step == 0)
        DET_TRY(det_event_run_set_aside(env, folder));
    DET_TRY(det_summary_writer_resume(trainer->context, folder, first, writer));
fail:
    det_free(env, &folder);
    return status;
}

/* Evaluations by another process, det-eval: all runs that are called eval or eval_... */
static det_status begin_eval_runs(struct det_trainer *trainer, int64_t first)
{
    struct det_env *env = trainer->env;
    struct det_path_list entries = {0};
    det_status status = DET_OK;
    DET_TRY(det_list_directory(env, trainer->model_dir, &entries));
    for (size_t i = 0; i < entries.count; i++) {
        const char *name = det_path_name(entries.paths[i]);
        if (strncmp(name, "eval", 4) != 0 || (name[4] != '\0' && name[4] != '_') ||
            strstr(name, ".old") != NULL)
            continue;
        DET_TRY(trainer->state.step > 0 ? det_event_run_cut(env, entries.paths[i], first)
                                        : det_event_run_set_aside(env, entries.paths[i]));
    }
fail:
    det_path_list_free(env, &entries);
    return status;
}

/* The run of evaluations that are made so. */
static det_status open_eval_run(struct det_trainer *trainer, bool as_exported, int64_t first,
                                det_summary_writer **writer)
{
    det_evaluation_settings settings = trainer->eval_settings;
    struct det_text name = {0};
    settings.as_exported = as_exported;
    det_status status = det_evaluation_append_run_name(trainer->env, &settings, &name);
    if (status == DET_OK)
        status = open_run(trainer, name.data, first, writer);
    det_text_free(trainer->env, &name);
    return status;
}

/* The table beside the runs, of this process's evaluations and of others'. One that cannot be
 * written is no reason not to train. */
static det_status open_results(struct det_trainer *trainer, int64_t first)
{
    struct det_env *env = trainer->env;
    DET_TRY_RETURN(det_path_join(env, &trainer->results, trainer->model_dir, DET_RESULTS_NAME));
    const det_status status = trainer->state.step > 0
                                  ? det_results_cut(env, trainer->results, first)
                                  : det_results_set_aside(env, trainer->results);
    if (status == DET_STATUS_OUT_OF_MEMORY)
        return status;
    if (status != DET_OK) {
        det_log(env, DET_LOG_WARNING, "%s; its rows stay as they are", env->error);
        det_forget_error(env);
    }
    if (trainer->eval_settings.results == NULL)
        trainer->eval_settings.results = trainer->results;
    return DET_OK;
}

det_status det_trainer_summary_set_up(struct det_trainer *trainer, const det_trainer_settings *s)
{
    struct det_env *env = trainer->env;
    if (s->summary_every_steps < 0 || s->picture_every_steps < 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "trainer settings: summary_every_steps or picture_every_steps is negative");
    if (trainer->model_dir == NULL || s->summary_every_steps == 0)
        return DET_OK;
    trainer->summary_every_steps = s->summary_every_steps;
    trainer->picture_every_steps = s->picture_every_steps;
    if (s->picture_every_steps == 0)
        trainer->eval_settings.pictures = 0;
    /* An evaluation of the very step that is gone on from may still be due. */
    const int64_t step = trainer->state.step;
    const int64_t first_evaluation = det_trainer_eval_is_due(trainer) ? step : step + 1;
    DET_TRY_RETURN(open_run(trainer, "train", step + 1, &trainer->train_summaries));
    DET_TRY_RETURN(begin_eval_runs(trainer, first_evaluation));
    DET_TRY_RETURN(open_results(trainer, first_evaluation));
    if (trainer->eval_every_steps == 0)
        return DET_OK;
    const bool differ = !trainer->learner->spec.freeze_batchnorm;
    if (differ && trainer->wants_api_evaluation)
        DET_TRY_RETURN(open_eval_run(trainer, false, first_evaluation, &trainer->api_summaries));
    if (trainer->eval_settings.summaries != NULL)
        return DET_OK;
    DET_TRY_RETURN(open_eval_run(trainer, differ, first_evaluation, &trainer->eval_summaries));
    trainer->eval_settings.summaries = trainer->eval_summaries;
    return DET_OK;
}

void det_trainer_summary_free(struct det_trainer *trainer)
{
    det_summary_writer_destroy(&trainer->train_summaries);
    det_summary_writer_destroy(&trainer->eval_summaries);
    det_summary_writer_destroy(&trainer->api_summaries);
    det_free(trainer->env, &trainer->results);
}

static det_status write_scalars(struct det_trainer *trainer, const det_step_report *r)
{
    const double seconds = trainer->summed_seconds, steps = (double)trainer->summed_steps;
    const struct {
        const char *tag;
        double value;
    } scalars[] = {
        {"Loss/classification_loss", r->classification_loss},
        {"Loss/localization_loss", r->localization_loss},
        {"Loss/regularization_loss", r->regularization_loss},
        {"Loss/total_loss", r->total_loss},
        {"learning_rate", r->learning_rate},
        {"steps_per_sec", seconds > 0 ? steps / seconds : 0},
        {"gradient_norm", r->gradient_norm},
        {"data_wait_percent", seconds > 0 ? 100 * trainer->summed_wait_seconds / seconds : 0},
    };
    for (size_t i = 0; i < sizeof scalars / sizeof scalars[0]; i++)
        DET_TRY_RETURN(det_summary_scalar(trainer->train_summaries, scalars[i].tag, r->step,
                                          scalars[i].value));
    if (trainer->ranks > 1)
        DET_TRY_RETURN(det_summary_scalar(
            trainer->train_summaries, "rank_wait_percent", r->step,
            seconds > 0 ? 100 * trainer->summed_rank_wait_seconds / seconds : 0));
    const struct det_learner *learner = trainer->learner;
    return !learner->settings.quantise
               ? DET_OK
               : det_summary_scalar(trainer->train_summaries, "quantization", r->step,
                                    learner->ranges.updates > 0);
}

static uint8_t to_byte(float value)
{
    return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)lrintf(value);
}

/* The first pictures of the batch as the network sees them, with their boxes. */
static det_status write_pictures(struct det_trainer *trainer, const struct det_batch *batch,
                                 int64_t step)
{
    struct det_env *env = trainer->env;
    struct det_image images[MOST_PICTURES] = {0};
    det_image_view views[MOST_PICTURES];
    const size_t values = (size_t)batch->height * (size_t)batch->width * 3;
    float *pixels = NULL;
    int32_t count = 0;
    det_status status = DET_OK;
    DET_TRY(det_alloc_raw(env, &pixels, values, sizeof *pixels, "picture for TensorBoard"));
    for (; count < batch->count && count < MOST_PICTURES; count++) {
        struct det_image *image = &images[count];
        const struct det_ground_truth *truth = &batch->truths[count];
        DET_TRY(det_batch_image(env, batch, count, pixels));
        DET_TRY(det_image_resize_buffer(env, image, batch->width, batch->height));
        for (size_t i = 0; i < values; i++)
            image->rgb[i] = to_byte(pixels[i]);
        det_draw_ground_truth(det_surface_of(image), (const float(*)[4])truth->boxes,
                              truth->class_index, (size_t)truth->count,
                              det_trainer_class_names(trainer));
        views[count] = (det_image_view){.pixels = image->rgb,
                                        .width = image->width,
                                        .height = image->height,
                                        .format = DET_PIXEL_RGB8};
    }
    DET_TRY(det_summary_images(trainer->train_summaries, "train_input_images", step, views,
                               (size_t)count));
fail:
    det_free(env, &pixels);
    for (int32_t i = 0; i < MOST_PICTURES; i++)
        det_image_free(env, &images[i]);
    return status;
}

/* A full disk must not end a training for the sake of its curves. */
static void give_up_after(struct det_trainer *trainer, det_status status)
{
    if (status == DET_OK)
        return;
    det_log(trainer->env, DET_LOG_WARNING, "%s; no more summaries for TensorBoard are written",
            trainer->env->error);
    det_forget_error(trainer->env);
    det_summary_writer_destroy(&trainer->train_summaries);
}

void det_trainer_summary_batch(struct det_trainer *trainer, const struct det_batch *batch)
{
    const int64_t step = trainer->state.step + 1;
    if (trainer->train_summaries == NULL || trainer->picture_every_steps == 0 ||
        (trainer->summary_begun && step % trainer->picture_every_steps != 0))
        return;
    give_up_after(trainer, write_pictures(trainer, batch, step));
}

void det_trainer_summary_step(struct det_trainer *trainer, const det_step_report *report)
{
    if (trainer->train_summaries == NULL)
        return;
    /* The first step too: a wrong start shows at once. */
    const bool first = !trainer->summary_begun;
    trainer->summary_begun = true;
    trainer->summed_steps++;
    trainer->summed_seconds += report->step_seconds;
    trainer->summed_wait_seconds += report->data_wait_seconds;
    trainer->summed_rank_wait_seconds += report->rank_wait_seconds;
    if (!first && report->step % trainer->summary_every_steps != 0 &&
        report->step != trainer->num_steps)
        return;
    det_status status = write_scalars(trainer, report);
    if (status == DET_OK)
        status = det_summary_flush(trainer->train_summaries);
    if (!first) {
        trainer->summed_steps = 0;
        trainer->summed_seconds = 0;
        trainer->summed_wait_seconds = 0;
        trainer->summed_rank_wait_seconds = 0;
    }
    give_up_after(trainer, status);
}
