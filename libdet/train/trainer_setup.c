/* trainer_setup.c: from a config to a trainer that can step, in the order of train_loop() of the TF
 * Object Detection API's model_lib_v2.py: data, network, fine-tune checkpoint, latest checkpoint.
 * Differs: an interrupted run does not read the fine-tune checkpoint again, and files of TensorFlow
 * in the model folder are not gone on from (their data order and random state are not in them). */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "backend/backend.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/text.h"
#include "train/freeze.h"
#include "train/input_paths.h"
#include "train/memory_plan.h"
#include "train/restore.h"
#include "train/trainer.h"

/* --- settings --- */

static det_status check_settings(struct det_env *env, const struct det_pipeline_config *config,
                                 const det_trainer_settings *s)
{
    if (s->struct_size != sizeof *s)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "trainer settings: struct_size is %zu, expected %zu: call "
                        "det_trainer_settings_default() first",
                        s->struct_size, sizeof *s);
    if (s->num_steps < 0 || s->checkpoint_every_steps < 0 || !(s->checkpoint_every_seconds >= 0) ||
        s->loader_threads < 0 || (s->batch_size < 0 && s->batch_size != DET_BATCH_SIZE_AUTO))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "trainer settings: a count or a time is negative");
    if (s->keep_checkpoints < 1)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "trainer settings: keep_checkpoints is %d, expected at least 1",
                        (int)s->keep_checkpoints);
    if (!config->has_train_config)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: has no train_config", config->path);
    if (!config->has_train_input_reader)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: has no train_input_reader",
                        config->path);
    return DET_OK;
}

/* What the config asks for and no part of libdet does. */
static det_status check_supported(struct det_env *env, const struct det_pipeline_config *config)
{
    const struct det_train_config *train = &config->train;
    const struct {
        bool asked;
        const char *field;
    } refused[] = {
        {train->bias_grad_multiplier != 0, "train_config.bias_grad_multiplier"},
        {train->merge_multiple_label_boxes, "train_config.merge_multiple_label_boxes"},
        {config->train_input_reader.sample_1_of_n_examples > 1,
         "train_input_reader.sample_1_of_n_examples"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (refused[i].asked)
            return det_pipeline_config_fail(env, DET_STATUS_UNSUPPORTED, config, refused[i].field,
                                            "`%s` is not supported in training",
                                            strrchr(refused[i].field, '.') + 1);
    return DET_OK;
}

/* num_epochs of the reader means nothing here: train_loop() repeats the input for ever. */
static det_status set_plain_values(struct det_trainer *trainer,
                                   const struct det_pipeline_config *config,
                                   const det_trainer_settings *s)
{
    trainer->checkpoint_every_steps = s->checkpoint_every_steps;
    trainer->checkpoint_every_seconds = s->checkpoint_every_seconds;
    trainer->keep_checkpoints = s->keep_checkpoints;
    trainer->batch_size = s->batch_size > 0 ? s->batch_size : (int32_t)config->train.batch_size;
    trainer->max_boxes = config->train.max_number_of_boxes;
    trainer->use_averages =
        config->eval.use_moving_averages && config->train.optimizer.use_moving_average;
    trainer->num_steps = s->num_steps > 0              ? s->num_steps
                         : config->train.num_steps > 0 ? (int64_t)config->train.num_steps
                                                       : INT64_MAX;
    trainer->state = (struct det_checkpoint_state){.seed = s->seed};
    trainer->saved_step = -1;
    trainer->saved_ns = det_trainer_clock_ns();
    if (s->model_dir == NULL)
        return DET_OK;
    size_t length = strlen(s->model_dir);
    if (length == 0)
        return det_fail(trainer->env, DET_STATUS_INVALID_ARGUMENT,
                        "trainer settings: model_dir is empty");
    while (length > 1 && s->model_dir[length - 1] == '/')
        length--;
    return det_strndup(trainer->env, &trainer->model_dir, s->model_dir, length);
}

/* --- data --- */

static det_status read_label_map(struct det_trainer *trainer,
                                 const struct det_pipeline_config *config)
{
    struct det_env *env = trainer->env;
    const char *written = config->train_input_reader.label_map_path;
    char *path = NULL;
    det_status status = DET_OK;
    if (written == NULL || written[0] == '\0')
        return det_pipeline_config_fail(env, DET_STATUS_INVALID_ARGUMENT, config,
                                        "train_input_reader", "no label_map_path is given");
    DET_TRY(det_pipeline_config_resolve_path(env, config, written, &path));
    DET_TRY(det_label_map_read(env, path, &trainer->labels));
    DET_TRY(det_label_map_check(env, &trainer->labels, config));
fail:
    det_free(env, &path);
    return status;
}

/* One line "boxes by class: cat 12, dog 9", and a warning for classes that nothing is learnt of. */
static det_status log_classes(const struct det_trainer *trainer)
{
    struct det_env *env = trainer->env;
    const struct det_dataset *data = &trainer->dataset;
    struct det_text all = {0}, none = {0};
    det_status status = DET_OK;
    for (int32_t c = 0; c < data->class_count; c++) {
        const char *name = det_trainer_class_names(trainer)[c];
        DET_TRY(det_text_printf(env, &all, "%s%s %zu", c > 0 ? ", " : "", name,
                                data->boxes_of_class[c]));
        if (data->boxes_of_class[c] == 0)
            DET_TRY(det_text_printf(env, &none, "%s%s", none.length > 0 ? ", " : "", name));
    }
    det_log(env, DET_LOG_INFO, "boxes by class: %s", all.data != NULL ? all.data : "");
    if (none.length > 0)
        det_log(env, DET_LOG_WARNING, "no boxes of class %s in the training data", none.data);
fail:
    det_text_free(env, &all);
    det_text_free(env, &none);
    return status;
}

static void warn_of_cut_boxes(const struct det_trainer *trainer)
{
    size_t images = 0, boxes = 0;
    for (size_t i = 0; i < trainer->dataset.count; i++) {
        const int32_t count = trainer->dataset.entries[i].object_count;
        if (count > trainer->max_boxes) {
            images++;
            boxes += (size_t)(count - trainer->max_boxes);
        }
    }
    if (images > 0)
        det_log(trainer->env, DET_LOG_WARNING,
                "%zu image%s more than %d boxes, up to %zu boxes are not learnt from: raise "
                "train_config.max_number_of_boxes",
                images, images == 1 ? " has" : "s have", (int)trainer->max_boxes, boxes);
}

static det_status open_data(struct det_trainer *trainer, const struct det_pipeline_config *config,
                            const det_trainer_settings *s)
{
    struct det_env *env = trainer->env;
    const struct det_input_reader_config *reader = &config->train_input_reader;
    struct det_path_list patterns = {0};
    det_status status = DET_OK;
    DET_TRY(det_input_paths_resolve(env, config, reader, &patterns));
    const struct det_dataset_settings settings = {
        .role = "train",
        .patterns = (const char *const *)patterns.paths,
        .pattern_count = patterns.count,
        .class_names =
            (const char *const *)(reader->use_display_name ? trainer->labels.display_names
                                                           : trainer->labels.names),
        .class_count = trainer->labels.count,
        .image_dirs = s->image_dirs,
        .image_dir_count = s->image_dir_count,
        .box_policy = DET_BOX_FAIL,
    };
    DET_TRY(det_dataset_open(env, &settings, &trainer->dataset));
    DET_TRY(log_classes(trainer));
    warn_of_cut_boxes(trainer);
fail:
    det_path_list_free(env, &patterns);
    return status;
}

static void loader_settings(const struct det_trainer *trainer,
                            const struct det_pipeline_config *config, const det_trainer_settings *s,
                            const struct det_model_spec *spec, struct det_loader_settings *loader)
{
    *loader = (struct det_loader_settings){
        .dataset = &trainer->dataset,
        .batch_size = trainer->batch_size,
        .seed = trainer->state.seed,
        .first_sample = trainer->state.next_sample,
        .held = trainer->context->backend->stages_ahead ? 2 : 1,
        .shuffle = config->train_input_reader.shuffle,
        .fast_decode = s->fast_decode != 0,
        .threads =
            s->loader_threads > 0 ? s->loader_threads : det_context_threads(trainer->context),
    };
    det_config_resize(config, spec, loader);
}

static det_status start_loader(struct det_trainer *trainer,
                               const struct det_pipeline_config *config,
                               const det_trainer_settings *s)
{
    struct det_env *env = trainer->env;
    struct det_augment_option *augment = NULL;
    struct det_loader_settings loader;
    det_status status = DET_OK;
    loader_settings(trainer, config, s, &trainer->learner->spec, &loader);
    DET_TRY(det_augment_from_config(env, config, &augment, &loader.augment_count));
    loader.augment = augment;
    DET_TRY(det_loader_create(env, &loader, &trainer->loader));
fail:
    det_free(env, &augment);
    return status;
}

/* --- network --- */

/* On the CPU said before the memory is taken, so that a run which does not fit has told why; another
 * device's backend says itself what would fit. */
static det_status plan_memory(struct det_trainer *trainer, const struct det_pipeline_config *config,
                              const det_trainer_settings *s, const struct det_model_spec *spec,
                              const struct det_learner_settings *learner)
{
    struct det_loader_settings loader;
    loader_settings(trainer, config, s, spec, &loader);
    const struct det_memory_question question = {spec, learner, &loader, s->memory_limit_bytes};
    if (s->batch_size == DET_BATCH_SIZE_AUTO) {
        DET_TRY_RETURN(det_memory_choose_batch(trainer, &question, &trainer->batch_size));
        det_log(trainer->env, DET_LOG_INFO, "batch size %d chosen by memory",
                (int)trainer->batch_size);
    }
    return det_memory_check(trainer, &question, trainer->batch_size);
}

/* With a batch that was chosen without the device's word, half of it again and again until it fits. */
static det_status create_learner(struct det_trainer *trainer, const struct det_model_spec *spec,
                                 struct det_learner_settings *settings, bool may_shrink)
{
    for (;;) {
        settings->batch_size = trainer->batch_size;
        const det_status status =
            det_learner_create(trainer->env, spec, settings, trainer->context->backend,
                               trainer->context->device, trainer->state.seed, &trainer->learner);
        if (status != DET_STATUS_OUT_OF_MEMORY || !may_shrink || trainer->batch_size == 1)
            return status;
        det_forget_error(trainer->env);
        trainer->batch_size /= 2;
    }
}

static det_status build_network(struct det_trainer *trainer,
                                const struct det_pipeline_config *config,
                                const det_trainer_settings *s)
{
    struct det_env *env = trainer->env;
    const struct det_backend *backend = trainer->context->backend;
    struct det_model_spec spec;
    struct det_learner_settings learner;
    DET_TRY_RETURN(det_spec_from_config(env, config, &spec));
    DET_TRY_RETURN(det_learner_settings_from_config(env, config, &learner));
    learner.accumulate = s->accumulate;
    DET_TRY_RETURN(det_schedule_from_config(env, config, &trainer->schedule));
    DET_TRY_RETURN(plan_memory(trainer, config, s, &spec, &learner));
    DET_TRY_RETURN(
        create_learner(trainer, &spec, &learner,
                       s->batch_size == DET_BATCH_SIZE_AUTO && backend != det_backend_cpu()));
    DET_TRY_RETURN(det_freeze_variables(env, config, trainer->learner));
    if (backend != det_backend_cpu()) {
        trainer->memory.activations_bytes = backend->step_bytes(trainer->learner->step);
        det_memory_log(trainer, trainer->batch_size);
    }
    det_trainer_advise_rate(trainer, config, s);
    DET_TRY_RETURN(det_trainer_log_coverage(trainer, &spec));
    const struct det_schedule *schedule = &trainer->schedule.schedule;
    if (schedule->kind == DET_SCHEDULE_COSINE_DECAY && trainer->num_steps != INT64_MAX &&
        trainer->num_steps > schedule->total_steps)
        det_log(env, DET_LOG_WARNING,
                "the learning rate is 0 from step %lld on (total_steps), training goes to step "
                "%lld",
                (long long)schedule->total_steps, (long long)trainer->num_steps);
    return DET_OK;
}

/* --- where to begin --- */

/* What is in the model folder besides checkpoints that could be loaded. */
static det_status look_into_model_dir(struct det_trainer *trainer, det_checkpoint_info *info,
                                      bool *found)
{
    *found = false;
    if (!det_is_directory(trainer->model_dir))
        return DET_OK;
    const det_status status = det_checkpoint_locate(trainer->env, trainer->model_dir, info);
    *found = status == DET_OK;
    return det_forgive(trainer->env, status, DET_STATUS_NOT_FOUND);
}

static det_status resume(struct det_trainer *trainer, bool *resumed)
{
    struct det_env *env = trainer->env;
    struct det_checkpoint_state state = {0};
    char *path = NULL;
    det_status status = DET_OK;
    *resumed = false;
    if (!det_is_directory(trainer->model_dir))
        return DET_OK;
    DET_TRY_RETURN(
        det_checkpoint_load_newest(env, trainer->model_dir, trainer->learner, &state, resumed));
    if (!*resumed)
        return DET_OK;
    DET_TRY(det_trainer_checkpoint_path(trainer, state.step, &path));
    det_trainer_eval_resume(trainer, &state);
    struct det_checkpoint_state asked = trainer->state;
    trainer->state = state;
    det_trainer_check_patience(trainer);
    if (trainer->stopped_early)
        DET_TRY(det_fail(env, DET_STATUS_FINISHED,
                         "schedule already finished: %s was stopped early, no better %s than %g "
                         "of step %lld in %lld evaluations; a larger patience goes on",
                         path, state.best.metric, state.best.value, (long long)state.best.step,
                         (long long)state.best.stale));
    if (state.step >= trainer->num_steps && !det_trainer_eval_is_due(trainer))
        DET_TRY(det_fail(env, DET_STATUS_FINISHED,
                         "schedule already finished: %s is step %lld of %lld", path,
                         (long long)state.step, (long long)trainer->num_steps));
    if (state.seed != asked.seed)
        det_log(env, DET_LOG_INFO, "the checkpoint's seed %llu is used",
                (unsigned long long)state.seed);
    det_log(env, DET_LOG_INFO, "resumed from %s at step %lld", path, (long long)state.step);
    trainer->saved_step = state.step;
    trainer->learner->updates = state.step;
fail:
    det_free(env, &path);
    return status;
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
        det_status status = det_pipeline_config_resolve_path(
            env, config, config->train.fine_tune_checkpoint, &path);
        if (status == DET_OK) {
            det_log(env, DET_LOG_INFO, "fine-tuning from %s (%s)", path, type);
            status = det_restore_params(env, path, scopes[i].scope, &trainer->learner->graph,
                                        trainer->learner->params, &report);
        }
        det_free(env, &path);
        return status;
    }
    return det_pipeline_config_fail(env, DET_STATUS_UNSUPPORTED, config,
                                    "train_config.fine_tune_checkpoint_type",
                                    "fine_tune_checkpoint_type \"%s\" is not supported", type);
}

static det_status restore(struct det_trainer *trainer, const struct det_pipeline_config *config,
                          const det_trainer_settings *s)
{
    struct det_env *env = trainer->env;
    const char *start = config->train.fine_tune_checkpoint;
    const bool fine_tuned = start != NULL && start[0] != '\0';
    if (trainer->model_dir != NULL) {
        det_checkpoint_info info;
        bool resumed = false, found = false;
        if (s->resume)
            DET_TRY_RETURN(resume(trainer, &resumed));
        if (resumed)
            return DET_OK;
        DET_TRY_RETURN(look_into_model_dir(trainer, &info, &found));
        if (found && !info.is_tensorflow && s->resume)
            return det_fail(env, DET_STATUS_CORRUPT,
                            "%s: none of the checkpoints there can be loaded (%s): remove them or "
                            "choose another folder",
                            trainer->model_dir, det_path_name(info.path));
        if (found && !info.is_tensorflow)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "%s already holds checkpoints (%s): go on from them or choose another "
                            "folder",
                            trainer->model_dir, det_path_name(info.path));
        if (found && !fine_tuned && s->resume)
            return det_fail(
                env, DET_STATUS_UNSUPPORTED,
                "%s holds checkpoints of TensorFlow (%s), which training cannot be resumed from: "
                "to start with their weights set fine_tune_checkpoint: \"%s\" and "
                "fine_tune_checkpoint_type: \"full\" in %s; to start anew choose another folder",
                trainer->model_dir, det_path_name(info.path), info.path, config->path);
    }
    if (fine_tuned)
        return fine_tune(trainer, config);
    det_log(env, DET_LOG_INFO, "starting from initial values, seed %llu",
            (unsigned long long)trainer->state.seed);
    return DET_OK;
}

det_status det_trainer_set_up(struct det_trainer *trainer, const struct det_pipeline_config *config,
                              const det_trainer_settings *settings)
{
    struct det_env *env = trainer->env;
    DET_TRY_RETURN(check_settings(env, config, settings));
    DET_TRY_RETURN(check_supported(env, config));
    DET_TRY_RETURN(set_plain_values(trainer, config, settings));
    DET_TRY_RETURN(read_label_map(trainer, config));
    DET_TRY_RETURN(open_data(trainer, config, settings));
    DET_TRY_RETURN(det_trainer_eval_set_up(trainer, config, settings));
    DET_TRY_RETURN(build_network(trainer, config, settings));
    DET_TRY_RETURN(det_trainer_recalibrate_set_up(trainer, config, settings));
    DET_TRY_RETURN(restore(trainer, config, settings));
    DET_TRY_RETURN(det_learner_push(trainer->env, trainer->learner));
    DET_TRY_RETURN(det_trainer_prepare_model_dir(trainer, config));
    DET_TRY_RETURN(det_trainer_summary_set_up(trainer, settings));
    return start_loader(trainer, config, settings);
}
