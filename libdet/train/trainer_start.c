/* trainer_start.c: where a training begins, as train_loop() of the TF Object Detection API's
 * model_lib_v2.py has it: from the latest checkpoint of the model folder, libdet's or TensorFlow's,
 * else from the fine-tune checkpoint, else from initial values. Differs: with a latest checkpoint
 * the fine-tune checkpoint is not read at all. */
#include <string.h>

#include "formats/pipeline_paths.h"
#include "support/io.h"
#include "support/mem.h"
#include "train/restore.h"
#include "train/tf_resume.h"
#include "train/trainer.h"

det_status det_trainer_find_latest(struct det_trainer *trainer, det_checkpoint_info *info,
                                   enum det_trainer_latest *latest)
{
    enum det_tf_origin origin;
    *latest = DET_LATEST_NONE;
    if (trainer->model_dir == NULL || !det_is_directory(trainer->model_dir))
        return DET_OK;
    const det_status status = det_checkpoint_locate(trainer->env, trainer->model_dir, info);
    if (status != DET_OK)
        return det_forgive(trainer->env, status, DET_STATUS_NOT_FOUND);
    *latest = DET_LATEST_OWN;
    if (!info->is_tensorflow)
        return DET_OK;
    DET_TRY_RETURN(det_tf_resume_origin(trainer->env, info->path, &origin));
    *latest = origin == DET_TF_TRAINING  ? DET_LATEST_TENSORFLOW
              : origin == DET_TF_UNBEGUN ? DET_LATEST_UNBEGUN
                                         : DET_LATEST_ZOO;
    return DET_OK;
}

/* FINISHED when there is nothing left to do; `path` is where the state came from. */
static det_status take_up_state(struct det_trainer *trainer, const char *path,
                                struct det_checkpoint_state *state)
{
    struct det_env *env = trainer->env;
    det_trainer_eval_resume(trainer, state);
    const uint64_t asked_seed = trainer->state.seed;
    trainer->state = *state;
    det_trainer_check_patience(trainer);
    if (trainer->stopped_early)
        return det_fail(env, DET_STATUS_FINISHED,
                        "schedule already finished: %s was stopped early, no better %s than %g of "
                        "step %lld in %lld evaluations; a larger patience goes on",
                        path, state->best.metric, state->best.value, (long long)state->best.step,
                        (long long)state->best.stale);
    if (state->step >= trainer->num_steps && !det_trainer_eval_is_due(trainer))
        return det_fail(env, DET_STATUS_FINISHED,
                        "schedule already finished: %s is step %lld of %lld", path,
                        (long long)state->step, (long long)trainer->num_steps);
    if (state->seed != asked_seed)
        det_log(env, DET_LOG_INFO, "the checkpoint's seed %llu is used",
                (unsigned long long)state->seed);
    det_log(env, DET_LOG_INFO, "resumed from %s at step %lld", path, (long long)state->step);
    return DET_OK;
}

static det_status resume(struct det_trainer *trainer, const struct det_pipeline_config *config,
                         bool *resumed)
{
    struct det_env *env = trainer->env;
    const struct det_restore_classes classes = {&trainer->labels, config->class_match, false};
    struct det_checkpoint_state state = {0};
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY_RETURN(
        det_checkpoint_load_newest(env, trainer->model_dir, trainer->learner, &state, resumed));
    if (!*resumed)
        return DET_OK;
    DET_TRY(det_trainer_checkpoint_path(trainer, state.step, &path));
    DET_TRY(det_restore_check_classes(env, path, &classes));
    DET_TRY(take_up_state(trainer, path, &state));
    trainer->saved_step = state.step;
    trainer->learner->updates = state.step;
fail:
    det_free(env, &path);
    return status;
}

/* The data goes on where so many steps of ours would be in it. */
static det_status resume_tensorflow(struct det_trainer *trainer, const char *prefix)
{
    struct det_learner *learner = trainer->learner;
    struct det_checkpoint_state state = trainer->state;
    const det_status status = det_tf_resume(trainer->env, prefix, learner, &state.step);
    if (status == DET_STATUS_MISMATCH)
        return det_fail_prefix(trainer->env, status,
                               "%s holds a training of TensorFlow, which is gone on with (another "
                               "folder begins anew)",
                               trainer->model_dir);
    DET_TRY_RETURN(status);
    const uint64_t images = (uint64_t)trainer->batch_size * (uint64_t)trainer->ranks *
                            (uint64_t)learner->settings.accumulate;
    state.next_sample =
        (uint64_t)state.step < UINT64_MAX / images / 2 ? (uint64_t)state.step * images : 0;
    return take_up_state(trainer, prefix, &state);
}

bool det_trainer_is_fine_tuned(const struct det_pipeline_config *config)
{
    return config->train.fine_tune_checkpoint[0] != '\0';
}

/* model_lib_v2.py: an empty type follows the older field from_detection_checkpoint. */
static const char *fine_tune_type(const struct det_train_config *train)
{
    if (train->fine_tune_checkpoint_type != NULL && train->fine_tune_checkpoint_type[0] != '\0')
        return train->fine_tune_checkpoint_type;
    return train->from_detection_checkpoint ? "detection" : "classification";
}

static det_status fine_tune(struct det_trainer *trainer, const struct det_pipeline_config *config)
{
    static const struct {
        const char *type;
        enum det_restore_scope scope;
    } scopes[] = {{"full", DET_RESTORE_ALL},
                  {"detection", DET_RESTORE_FEATURE_EXTRACTOR},
                  {"classification", DET_RESTORE_BACKBONE},
                  {"fine_tune", DET_RESTORE_FITTING}};
    struct det_env *env = trainer->env;
    const char *type = fine_tune_type(&config->train);
    for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
        if (strcmp(type, scopes[i].type) != 0)
            continue;
        struct det_restore_report report;
        char *path = NULL;
        const struct det_restore_classes classes = {&trainer->labels, config->class_match, true};
        det_status status = det_pipeline_path_find(env, config, config->train.fine_tune_checkpoint,
                                                   DET_PATH_CHECKPOINT, &path);
        if (status == DET_OK) {
            det_log(env, DET_LOG_INFO, "fine-tuning from %s (%s)", path, type);
            status = det_restore_params(env, path, scopes[i].scope, &trainer->learner->graph,
                                        &classes, trainer->learner->params, &report);
        }
        if (status == DET_OK && scopes[i].scope == DET_RESTORE_BACKBONE && report.left_out > 0)
            det_log(
                env, DET_LOG_WARNING,
                "fine_tune_checkpoint_type %sclassification\" takes the backbone alone: %s is a "
                "whole detector, of which \"detection\" takes %d variables more",
                config->train.fine_tune_checkpoint_type[0] == '\0' ? "is not set and so \"" : "\"",
                path, (int)report.left_out);
        det_free(env, &path);
        return status;
    }
    return det_pipeline_config_fail(env, DET_STATUS_UNSUPPORTED, config,
                                    "train_config.fine_tune_checkpoint_type",
                                    "fine_tune_checkpoint_type \"%s\" is not supported", type);
}

static det_status refuse_zoo(struct det_trainer *trainer, const struct det_pipeline_config *config,
                             const det_checkpoint_info *info)
{
    return det_fail(trainer->env, DET_STATUS_UNSUPPORTED,
                    "%s holds a checkpoint of TensorFlow (%s) that no training saved, for it has "
                    "no step: to start with its weights set fine_tune_checkpoint: \"%s\" in %s; "
                    "to start anew choose another folder",
                    trainer->model_dir, det_path_name(info->path), info->path, config->path);
}

/* From what is found in the model folder; *resumed: nothing else needs to be restored. */
static det_status go_on(struct det_trainer *trainer, const struct det_pipeline_config *config,
                        const det_trainer_settings *s, bool *resumed)
{
    struct det_env *env = trainer->env;
    det_checkpoint_info info;
    enum det_trainer_latest latest;
    *resumed = false;
    DET_TRY_RETURN(det_trainer_find_latest(trainer, &info, &latest));
    if (latest == DET_LATEST_NONE)
        return DET_OK;
    if (latest == DET_LATEST_ZOO)
        return det_trainer_is_fine_tuned(config) ? DET_OK : refuse_zoo(trainer, config, &info);
    if (!s->resume)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s already holds checkpoints (%s): go on from them or choose another "
                        "folder",
                        trainer->model_dir, det_path_name(info.path));
    if (latest == DET_LATEST_UNBEGUN) {
        det_log(env, DET_LOG_INFO, "%s is from before the first step and has no weights",
                info.path);
        return DET_OK;
    }
    if (latest == DET_LATEST_TENSORFLOW) {
        *resumed = true;
        return resume_tensorflow(trainer, info.path);
    }
    DET_TRY_RETURN(resume(trainer, config, resumed));
    return *resumed
               ? DET_OK
               : det_fail(env, DET_STATUS_CORRUPT,
                          "%s: none of the checkpoints there can be loaded (%s): remove them or "
                          "choose another folder",
                          trainer->model_dir, det_path_name(info.path));
}

det_status det_trainer_restore(struct det_trainer *trainer,
                               const struct det_pipeline_config *config,
                               const det_trainer_settings *s)
{
    bool resumed = false;
    DET_TRY_RETURN(go_on(trainer, config, s, &resumed));
    if (resumed)
        return DET_OK;
    if (det_trainer_is_fine_tuned(config))
        return fine_tune(trainer, config);
    det_trainer_advise_start(trainer);
    return DET_OK;
}
