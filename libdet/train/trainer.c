#include "train/trainer.h"

#include <string.h>

#include "base/arguments.h"
#include "model/model.h"
#include "support/clock.h"
#include "support/mem.h"
#include "support/text.h"

const char *const *det_trainer_class_names(const struct det_trainer *trainer)
{
    return trainer->labels.display_names;
}

/* --- life --- */

void det_trainer_settings_init(det_trainer_settings *settings, size_t struct_size)
{
    static const det_trainer_settings defaults = {
        .seed = 1,
        .checkpoint_every_steps = 1000,
        .checkpoint_every_seconds = 300,
        .keep_checkpoints = 5,
        .resume = 1,
        .accumulate = 1,
        .summary_every_steps = 100,
        .picture_every_steps = 1000,
        .recalibrate_images = DET_RECALIBRATION_IMAGES,
        .api_evaluation = 1,
    };
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

det_status det_trainer_create(det_context *context, const det_pipeline_config *config,
                              const det_trainer_settings *given, det_trainer **trainer)
{
    struct det_env *env = det_context_env(context);
    det_trainer_settings settings;
    if (trainer != NULL)
        *trainer = NULL;
    DET_NEED(env, context);
    DET_NEED(env, config);
    DET_NEED(env, trainer);
    det_trainer_settings_default(&settings);
    DET_TRY_RETURN(DET_TAKE(env, det_trainer_settings, &settings, given));
    DET_TRY_RETURN(det_check_strings(env, "det_trainer_settings: image_dirs", settings.image_dirs,
                                     settings.image_dir_count));
    DET_TRY_RETURN(det_check_strings(env, "det_trainer_settings: arguments", settings.arguments,
                                     settings.argument_count));
    struct det_trainer *made = NULL;
    DET_TRY_RETURN(det_alloc(env, &made, 1, sizeof *made, "trainer"));
    made->context = context;
    made->env = env;
    made->lock = (struct det_dir_lock)DET_DIR_LOCK_NONE;
    const det_status status = det_trainer_set_up(made, config, &settings);
    if (status != DET_OK)
        det_trainer_destroy(&made);
    *trainer = made;
    return status;
}

void det_trainer_destroy(det_trainer **out)
{
    if (out == NULL || *out == NULL)
        return;
    struct det_trainer *trainer = *out;
    struct det_env *env = trainer->env;
    det_trainer_record_end(trainer);
    det_evaluation_destroy(&trainer->evaluation);
    det_evaluation_destroy(&trainer->api_evaluation);
    det_trainer_summary_free(trainer);
    det_trainer_recalibrate_free(trainer);
    det_loader_destroy(env,
                       &trainer->loader); /* before the dataset: its threads read the dataset */
    det_dataset_close(env, &trainer->dataset);
    det_learner_destroy(env, &trainer->learner);
    det_config_schedule_free(env, &trainer->schedule);
    det_label_map_free(env, &trainer->labels);
    det_dir_lock_release(env, &trainer->lock);
    det_free(env, &trainer->model_dir);
    det_free(env, &trainer->rank_seconds);
    det_free(env, out);
}

/* --- saving --- */

det_status det_trainer_is_running(det_context *context, const char *model_dir, int *running)
{
    struct det_env *env = det_context_env(context);
    bool used = false;
    if (running != NULL)
        *running = 0;
    DET_NEED(env, context);
    DET_NEED(env, model_dir);
    DET_NEED(env, running);
    DET_TRY_RETURN(det_dir_lock_look(env, model_dir, &used));
    *running = used;
    return DET_OK;
}

det_status det_trainer_checkpoint_path(const struct det_trainer *trainer, int64_t step, char **path)
{
    return det_path_join_printf(trainer->env, path, trainer->model_dir, "ckpt-%lld.det",
                                (long long)step);
}

det_status det_trainer_write_checkpoint(struct det_trainer *trainer, const char *path)
{
    struct det_checkpoint_state state = trainer->state;
    if (det_trainer_is_recalibrated(trainer)) {
        state.recalibrated = trainer->recalibrated;
        state.recalibrated_images = trainer->recalibrated_count;
        state.recalibrated_with_averages = trainer->use_averages;
    }
    DET_TRY_RETURN(det_learner_pull(trainer->env, trainer->learner));
    return det_checkpoint_save(trainer->env, path, trainer->learner,
                               det_trainer_class_names(trainer), &state);
}

static struct det_env *env_of(const det_trainer *trainer)
{
    return trainer == NULL ? NULL : trainer->env;
}

det_status det_trainer_save(det_trainer *trainer)
{
    struct det_env *env = env_of(trainer);
    DET_NEED(env, trainer);
    char *path = NULL;
    det_status status = DET_OK;
    if (trainer->rank > 0) /* rank 0 does */
        return DET_OK;
    if (trainer->model_dir == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "no checkpoint can be written: the trainer has no model_dir");
    DET_TRY(det_dir_lock_beat(env, &trainer->lock, true));
    DET_TRY(det_trainer_checkpoint_path(trainer, trainer->state.step, &path));
    DET_TRY(det_trainer_write_checkpoint(trainer, path));
    trainer->saved_step = trainer->state.step;
    trainer->save_failed = false;
    trainer->saved_ns = det_clock_ns();
    DET_TRY(det_checkpoint_rotate(env, trainer->model_dir, path, trainer->keep_checkpoints));
    det_log(env, DET_LOG_INFO, "saved %s", path);
fail:
    det_free(env, &path);
    return status;
}

static bool save_is_due(const struct det_trainer *trainer)
{
    enum { RETRY_SECONDS = 60 };
    if (trainer->model_dir == NULL || trainer->saved_step == trainer->state.step)
        return false;
    if (det_trainer_is_done(trainer))
        return true;
    if (trainer->save_failed)
        return (double)(det_clock_ns() - trainer->saved_ns) * 1e-9 >= RETRY_SECONDS;
    if (trainer->checkpoint_every_steps > 0 &&
        trainer->state.step % trainer->checkpoint_every_steps == 0)
        return true;
    const double age_seconds = (double)(det_clock_ns() - trainer->saved_ns) * 1e-9;
    return trainer->checkpoint_every_seconds > 0 &&
           age_seconds >= trainer->checkpoint_every_seconds;
}

/* Of the last checkpoint, which is what is exported. Taken on all ranks, by their number alone. */
static det_status recalibrate_at_the_end(struct det_trainer *trainer)
{
    if (!trainer->saves || !det_trainer_is_done(trainer))
        return DET_OK;
    const det_status status = det_trainer_recalibrate(trainer);
    return det_forgive(trainer->env, det_trainer_why_stopped(trainer, status),
                       DET_STATUS_CANCELLED);
}

/* A full disk must not end a training that still has steps to do: somebody may make room. */
static det_status save_if_due(struct det_trainer *trainer, det_step_report *report)
{
    if (!save_is_due(trainer))
        return DET_OK;
    const det_status status = det_trainer_save(trainer);
    report->saved = status == DET_OK;
    trainer->save_failed = det_trainer_disk_failed(status);
    if (!trainer->save_failed || det_trainer_is_done(trainer))
        return status;
    trainer->saved_ns = det_clock_ns();
    det_log(trainer->env, DET_LOG_WARNING,
            "%s; training goes on and tries again after a minute, the checkpoints before stand",
            trainer->env->error);
    det_forget_error(trainer->env);
    return DET_OK;
}

/* --- stepping --- */

void det_trainer_limit_boxes(const struct det_trainer *trainer, struct det_batch *batch)
{
    for (int32_t i = 0; i < batch->count; i++)
        if (batch->truths[i].count > trainer->max_boxes)
            batch->truths[i].count = trainer->max_boxes;
}

/* Takes what the next step learns from and hands it to the learner, unless that has been done. */
static det_status stage_next(struct det_trainer *trainer)
{
    struct det_batch *next = &trainer->next;
    if (next->count == 0) {
        DET_TRY_RETURN(det_loader_next(trainer->env, trainer->loader, next));
        det_trainer_limit_boxes(trainer, next);
    }
    if (trainer->staged)
        return DET_OK;
    const det_status status =
        next->pictures != NULL
            ? det_learner_stage_pictures(trainer->env, trainer->learner, next->pictures,
                                         next->truths)
            : det_learner_stage(trainer->env, trainer->learner, next->images, next->truths);
    trainer->staged = status == DET_OK;
    return status == DET_OK ? DET_OK
                            : det_fail_prefix(trainer->env, status, "step %lld",
                                              (long long)trainer->state.step + 1);
}

/* One step on what was staged; where the device can, the next batch is staged while it works. What
 * fails there fails again, and is told, when its turn comes. */
static det_status learn_batch(struct det_trainer *trainer, float rate,
                              struct det_step_result *result)
{
    struct det_env *env = trainer->env;
    trainer->next.count = 0;
    trainer->staged = false;
    DET_TRY_RETURN(det_learner_begin(env, trainer->learner, rate));
    if (trainer->learner->backend->stages_ahead && trainer->state.step + 1 < trainer->num_steps)
        (void)stage_next(trainer);
    return det_learner_end(env, trainer->learner, result);
}

/* The batches of one update; *batch is the last one tried. */
static det_status learn(struct det_trainer *trainer, float rate, struct det_batch *batch,
                        struct det_step_result *result)
{
    for (int32_t i = 0; i < trainer->learner->settings.accumulate; i++) {
        DET_TRY_RETURN(det_dir_lock_beat(trainer->env, &trainer->lock, false));
        const uint64_t waited_ns = det_loader_wait_ns(trainer->loader);
        DET_TRY_RETURN(stage_next(trainer));
        trainer->learner->data_wait_seconds =
            (double)(det_loader_wait_ns(trainer->loader) - waited_ns) * 1e-9;
        *batch = trainer->next;
        DET_TRY_RETURN(learn_batch(trainer, rate, result));
    }
    return DET_OK;
}

static det_status make_step(struct det_trainer *trainer, det_step_report *report)
{
    struct det_env *env = trainer->env;
    struct det_checkpoint_state *state = &trainer->state;
    *report = (det_step_report){
        .struct_size = sizeof *report, .step = state->step, .num_steps = trainer->num_steps};
    if (trainer->stopped_early)
        return det_fail(env, DET_STATUS_FINISHED,
                        "stopped early after step %lld: no better %s in %lld evaluations",
                        (long long)state->step, state->best.metric, (long long)state->best.stale);
    if (det_trainer_eval_is_due(trainer)) { /* an earlier run was ended before it */
        DET_TRY_RETURN(det_trainer_evaluate_now(trainer, report));
        DET_TRY_RETURN(recalibrate_at_the_end(trainer));
        return save_if_due(trainer, report);
    }
    if (state->step >= trainer->num_steps)
        return det_fail(env, DET_STATUS_FINISHED, "all %lld steps are done",
                        (long long)trainer->num_steps);
    const det_status begun = det_trainer_begin_rounding(trainer);
    if (begun != DET_OK) /* what was stopped is begun by a resumed run */
        return det_forgive(env, begun, DET_STATUS_CANCELLED);
    const uint64_t begin_ns = det_clock_ns();
    const uint64_t waited_ns = det_loader_wait_ns(trainer->loader);
    DET_TRY_RETURN(stage_next(trainer));
    struct det_batch batch = trainer->next;
    const float rate = det_schedule_rate(&trainer->schedule.schedule, state->step);
    struct det_step_result result = {.failed_rank = -1};
    det_trainer_summary_batch(trainer, &batch);
    const det_status status = learn(trainer, rate, &batch, &result);
    const uint64_t wait_ns = det_loader_wait_ns(trainer->loader) - waited_ns;
    if (status == DET_STATUS_NON_FINITE)
        return det_trainer_keep_broken(trainer, &batch, result.failed_rank);
    if (status != DET_OK)
        return det_fail_prefix(env, det_trainer_why_stopped(trainer, status), "step %lld",
                               (long long)state->step + 1);
    state->step++;
    state->next_sample =
        batch.first_sample + (uint64_t)batch.count * (uint64_t)(trainer->ranks - trainer->rank);
    *report = (det_step_report){
        .struct_size = sizeof *report,
        .step = state->step,
        .num_steps = trainer->num_steps,
        .learning_rate = (double)rate,
        .localization_loss = result.localization_loss,
        .classification_loss = result.classification_loss,
        .regularization_loss = result.regularization_loss,
        .total_loss = result.total_loss,
        .gradient_norm = result.gradient_norm,
        .step_seconds = (double)(det_clock_ns() - begin_ns) * 1e-9,
        .data_wait_seconds = (double)wait_ns * 1e-9,
        .images = batch.count * trainer->learner->settings.accumulate * trainer->ranks,
        .rank_wait_seconds = result.rank_wait_seconds,
    };
    det_trainer_summary_step(trainer, report);
    det_trainer_time_ranks(trainer, &result);
    if (det_trainer_eval_is_due(trainer))
        DET_TRY_RETURN(det_trainer_evaluate_now(trainer, report));
    DET_TRY_RETURN(recalibrate_at_the_end(trainer));
    return save_if_due(trainer, report);
}

det_status det_trainer_step(det_trainer *trainer, det_step_report *report)
{
    struct det_env *env = env_of(trainer);
    det_step_report made;
    DET_NEED(env, trainer);
    DET_NEED_REPORT(env, det_step_report, report);
    const det_status status = det_trainer_tell_ranks(trainer, make_step(trainer, &made));
    det_trainer_record_note(trainer, status);
    det_fill_report(report, &made, sizeof made);
    return status;
}

/* *stop: somebody wants it. What of a step was dropped for that is nothing that has failed. */
static det_status run_step(struct det_trainer *trainer, det_step_callback callback, void *user,
                           bool *stop)
{
    det_step_report report;
    const det_status status = make_step(trainer, &report);
    if (trainer->stopped_by_rank && status == DET_STATUS_CANCELLED) {
        *stop = true;
        return det_forgive(trainer->env, status, DET_STATUS_CANCELLED);
    }
    DET_TRY_RETURN(status);
    *stop = callback != NULL && callback(user, &report) != 0;
    return det_trainer_agree_to_stop(trainer, stop);
}

static det_status run(struct det_trainer *trainer, det_step_callback callback, void *user)
{
    bool stop = false;
    while (!stop && (!det_trainer_is_done(trainer) || det_trainer_eval_is_due(trainer)))
        DET_TRY_RETURN(run_step(trainer, callback, user, &stop));
    if (trainer->model_dir == NULL || trainer->saved_step == trainer->state.step)
        return DET_OK;
    return det_trainer_save(trainer);
}

det_status det_trainer_run(det_trainer *trainer, det_step_callback callback, void *user)
{
    DET_NEED(NULL, trainer);
    const det_status status = det_trainer_tell_ranks(trainer, run(trainer, callback, user));
    det_trainer_record_note(trainer, status);
    return status;
}

/* --- what it knows --- */

int64_t det_trainer_steps_done(const det_trainer *trainer)
{
    return trainer == NULL ? 0 : trainer->state.step;
}

static det_status snapshot(struct det_trainer *trainer, det_model **out)
{
    struct det_learner *learner = trainer->learner;
    DET_TRY_RETURN(det_learner_pull(trainer->env, learner));
    DET_TRY_RETURN(det_model_create(trainer->env, &learner->spec, false,
                                    det_trainer_class_names(trainer), out));
    memcpy((*out)->owned, learner->params, learner->graph.param_floats * sizeof(float));
    if (trainer->use_averages && learner->updates > 0)
        det_learner_averages(learner, (*out)->owned);
    (*out)->step = trainer->state.step;
    det_status status = DET_OK;
    if (learner->ranges.updates > 0)
        DET_TRY(det_act_ranges_copy(trainer->env, &learner->ranges, &(*out)->ranges));
    if (!det_trainer_is_recalibrated(trainer))
        return DET_OK;
    const size_t bytes = learner->graph.param_floats * sizeof(float);
    DET_TRY(
        det_alloc_raw(trainer->env, &(*out)->recalibrated, bytes, 1, "recalibrated parameters"));
    memcpy((*out)->recalibrated, trainer->recalibrated, bytes);
    (*out)->recalibrated_images = trainer->recalibrated_count;
    return DET_OK;
fail:
    det_model_destroy(out);
    return status;
}

det_status det_trainer_snapshot(det_trainer *trainer, det_model **model)
{
    struct det_env *env = env_of(trainer);
    if (model != NULL)
        *model = NULL;
    DET_NEED(env, trainer);
    DET_NEED(env, model);
    return snapshot(trainer, model);
}

det_status det_trainer_memory_plan(const det_trainer *trainer, det_trainer_memory *memory)
{
    struct det_env *env = env_of(trainer);
    DET_NEED(env, trainer);
    DET_NEED_REPORT(env, det_trainer_memory, memory);
    det_fill_report(memory, &trainer->memory, sizeof trainer->memory);
    return DET_OK;
}
