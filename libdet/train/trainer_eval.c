/* trainer_eval.c: evaluation between steps: when, the best checkpoint, early stop. The weights go
 * through det_trainer_snapshot() and so through the backend; the step's own memory and state are
 * left as they are.
 *
 * The evaluation of a step comes before its checkpoint, which therefore always tells of it. Where a
 * run ended in between, the checkpoint says that the evaluation is still to be made, and a resumed
 * run makes it first: best checkpoint and early stop come out as without the interruption. */
#include <string.h>

#include "base/arguments.h"
#include "det/quantisation.h"
#include "ranks/communicator.h"
#include "support/clock.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/text.h"
#include "train/trainer.h"

det_status det_trainer_eval_take(const struct det_trainer *trainer, const det_trainer_settings *s,
                                 det_evaluation_settings *taken)
{
    det_evaluation_settings_default(taken);
    if (s->eval_every_steps == 0)
        return DET_OK;
    return DET_TAKE(trainer->env, det_evaluation_settings, taken, s->evaluation);
}

det_status det_trainer_eval_set_up(struct det_trainer *trainer,
                                   const struct det_pipeline_config *config,
                                   const det_trainer_settings *s)
{
    struct det_env *env = trainer->env;
    if (s->eval_every_steps < 0 || s->patience < 0 || !(s->min_delta >= 0))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "trainer settings: eval_every_steps, patience or min_delta is negative");
    if (s->eval_every_steps == 0) {
        if (s->keep_best != NULL || s->patience > 0)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "trainer settings: keep_best and patience need eval_every_steps");
        return DET_OK;
    }
    trainer->config = config;
    trainer->eval_every_steps = s->eval_every_steps;
    trainer->patience = s->patience;
    trainer->min_delta = s->min_delta;
    DET_TRY_RETURN(det_trainer_eval_take(trainer, s, &trainer->eval_settings));
    trainer->eval_settings.as_exported = 1;
    /* With tiles the exported form is the only one. */
    trainer->wants_api_evaluation = s->api_evaluation != 0 && trainer->eval_settings.tiles == NULL;
    DET_TRY_RETURN(det_best_metric(env, s->keep_best, trainer->state.best.metric));
    return det_evaluation_check(trainer->context, config, &trainer->eval_settings);
}

void det_trainer_eval_resume(struct det_trainer *trainer, struct det_checkpoint_state *state)
{
    const struct det_best *asked = &trainer->state.best;
    if (strcmp(state->best.metric, asked->metric) == 0)
        return;
    /* Without evaluations in this run the memory of earlier ones is kept for a later run. */
    if (asked->metric[0] == '\0')
        return;
    if (state->best.known)
        det_log(trainer->env, DET_LOG_WARNING,
                "the best checkpoint so far was chosen by %s: the choice by %s begins anew",
                state->best.metric, asked->metric);
    state->best = *asked;
}

bool det_trainer_eval_is_due(const struct det_trainer *trainer)
{
    const int64_t step = trainer->state.step;
    return trainer->eval_every_steps > 0 && step > 0 &&
           trainer->state.best.evaluated_step != step &&
           (step % trainer->eval_every_steps == 0 || step == trainer->num_steps);
}

bool det_trainer_is_done(const struct det_trainer *trainer)
{
    return trainer->state.step >= trainer->num_steps || trainer->stopped_early;
}

/* MODEL_DIR/best/ckpt-STEP.det, alone there, with a `checkpoint` file so that the folder can be
 * given to other programs. */
static det_status save_best(struct det_trainer *trainer)
{
    struct det_env *env = trainer->env;
    char *folder = NULL, *path = NULL;
    det_status status = DET_OK;
    DET_TRY(det_dir_lock_beat(env, &trainer->lock, true));
    DET_TRY(det_path_join(env, &folder, trainer->model_dir, "best"));
    DET_TRY(det_make_directories(env, folder));
    DET_TRY(
        det_path_join_printf(env, &path, folder, "ckpt-%lld.det", (long long)trainer->state.step));
    DET_TRY(det_trainer_write_checkpoint(trainer, path));
    DET_TRY(det_checkpoint_rotate(env, folder, path, 1));
fail:
    det_free(env, &folder);
    det_free(env, &path);
    return status;
}

/* A full disk leaves the best one before in its place: a later better one has another chance. */
static det_status take_in(struct det_trainer *trainer, det_step_report *report)
{
    struct det_best *best = &trainer->state.best;
    const struct det_best before = *best;
    det_evaluation_losses losses = {.struct_size = sizeof losses};
    DET_TRY_RETURN(det_evaluation_get_losses(trainer->evaluation, &losses));
    const double value =
        det_best_value(best->metric, det_evaluation_coco(trainer->evaluation), &losses);
    report->is_best = det_best_update(best, value, trainer->state.step, trainer->min_delta);
    det_trainer_check_patience(trainer);
    if (!report->is_best || trainer->model_dir == NULL)
        return DET_OK;
    const det_status status = save_best(trainer);
    if (!det_trainer_disk_failed(status))
        return status;
    det_log(trainer->env, DET_LOG_WARNING, "the best checkpoint could not be saved: %s",
            trainer->env->error);
    det_forget_error(trainer->env);
    best->known = before.known;
    best->value = before.value;
    best->step = before.step;
    report->is_best = 0;
    return DET_OK;
}

void det_trainer_check_patience(struct det_trainer *trainer)
{
    trainer->stopped_early =
        trainer->patience > 0 && trainer->state.best.stale >= trainer->patience;
}

/* An evaluation may take longer than a folder's lock stands without a sign of life. That it is lost
 * is told by the next step. */
int det_trainer_progress(void *user, int64_t done, int64_t total)
{
    struct det_trainer *trainer = user;
    const det_evaluation_settings *s = &trainer->eval_settings;
    if (det_trainer_is_stopped(trainer) ||
        det_dir_lock_beat(trainer->env, &trainer->lock, false) != DET_OK)
        return 1;
    return s->progress != NULL ? s->progress(s->progress_user, done, total) : 0;
}

/* Where that is another thing; pictures are of the exported form alone. */
static det_status evaluate_as_api(struct det_trainer *trainer, const det_model *model,
                                  det_evaluation_settings settings)
{
    if (!trainer->wants_api_evaluation || det_model_is_trained_in_8_bits(model) ||
        !det_evaluation_forms_differ(model))
        return DET_OK;
    settings.as_exported = 0;
    settings.summaries = trainer->api_summaries;
    settings.pictures = 0;
    return det_evaluation_run(trainer->context, trainer->config, model, &settings,
                              &trainer->api_evaluation);
}

/* In 8 bits, where it is trained so and the device can. */
static det_status evaluate(struct det_trainer *trainer, const det_model *model,
                           const det_evaluation_settings *settings)
{
    struct det_env *env = trainer->env;
    det_model *rounded = NULL;
    det_status status = DET_STATUS_UNSUPPORTED;
    if (det_model_is_trained_in_8_bits(model)) {
        DET_TRY_RETURN(det_model_quantise(trainer->context, model, NULL, &rounded));
        status = det_evaluation_run(trainer->context, trainer->config, rounded, settings,
                                    &trainer->evaluation);
        det_model_destroy(&rounded);
        if (status == DET_STATUS_UNSUPPORTED) {
            det_log(env, DET_LOG_INFO, "step %lld: evaluated in float32: %s",
                    (long long)trainer->state.step, env->error);
            det_forget_error(env);
        }
    }
    return status == DET_STATUS_UNSUPPORTED
               ? det_evaluation_run(trainer->context, trainer->config, model, settings,
                                    &trainer->evaluation)
               : status;
}

det_status det_trainer_evaluate_now(struct det_trainer *trainer, det_step_report *report)
{
    det_model *model = NULL;
    det_status status = DET_OK;
    const uint64_t begin_ns = det_clock_ns();
    det_evaluation_settings settings = trainer->eval_settings;
    settings.progress = det_trainer_progress;
    settings.progress_user = trainer;
    settings.communicator = trainer->communicator;
    det_evaluation_destroy(&trainer->evaluation);
    det_evaluation_destroy(&trainer->api_evaluation);
    DET_TRY(det_trainer_recalibrate(trainer));
    DET_TRY(det_trainer_snapshot(trainer, &model));
    DET_TRY(evaluate_as_api(trainer, model, settings));
    DET_TRY(evaluate(trainer, model, &settings));
    DET_TRY(det_ranks_give_up(trainer->env, trainer->communicator, take_in(trainer, report)));
    DET_TRY(det_trainer_share_best(trainer, report));
    report->evaluation = trainer->evaluation;
    report->api_evaluation = trainer->api_evaluation;
    trainer->saved_step =
        -1; /* a checkpoint of this step that is there already does not tell of it */
fail:
    det_model_destroy(&model);
    report->eval_seconds = (double)(det_clock_ns() - begin_ns) * 1e-9;
    /* By the progress function: still due after a resume. */
    status =
        det_forgive(trainer->env, det_trainer_why_stopped(trainer, status), DET_STATUS_CANCELLED);
    return status == DET_OK ? DET_OK
                            : det_fail_prefix(trainer->env, status, "evaluation after step %lld",
                                              (long long)trainer->state.step);
}

det_status det_trainer_get_best(const det_trainer *trainer, det_trainer_best *best)
{
    struct det_env *env = trainer == NULL ? NULL : trainer->env;
    DET_NEED(env, trainer);
    DET_NEED_REPORT(env, det_trainer_best, best);
    const struct det_best *b = &trainer->state.best;
    const det_trainer_best made = {
        .metric = b->metric,
        .known = b->known,
        .value = b->value,
        .step = b->step,
        .evaluations_since = b->stale,
        .stopped_early = trainer->stopped_early,
    };
    det_fill_report(best, &made, sizeof made);
    return DET_OK;
}
