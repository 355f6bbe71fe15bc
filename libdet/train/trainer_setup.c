/* trainer_setup.c: from a config to a trainer that can step, in the order of train_loop() of the TF
 * Object Detection API's model_lib_v2.py: data, network, weights (trainer_start.c). */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "devices/backend.h"
#include "devices/context.h"
#include "formats/pipeline_paths.h"
#include "model/class_match.h"
#include "ranks/communicator.h"
#include "support/clock.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/memory_limit.h"
#include "support/text.h"
#include "train/freeze.h"
#include "train/memory_plan.h"
#include "train/trainer.h"

/* --- settings --- */

static det_status check_settings(struct det_env *env, const struct det_pipeline_config *config,
                                 const det_trainer_settings *s)
{
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

static det_status set_plain_values(struct det_trainer *trainer,
                                   const struct det_pipeline_config *config,
                                   const det_trainer_settings *s)
{
    trainer->checkpoint_every_steps = s->checkpoint_every_steps;
    trainer->checkpoint_every_seconds = s->checkpoint_every_seconds;
    trainer->keep_checkpoints = s->keep_checkpoints;
    trainer->batch_size = s->batch_size > 0 ? s->batch_size : (int32_t)config->train.batch_size;
    trainer->max_boxes = config->train_input_reader.max_number_of_boxes;
    trainer->use_averages =
        config->eval.use_moving_averages && config->train.optimizer.use_moving_average;
    trainer->num_steps = s->num_steps > 0              ? s->num_steps
                         : config->train.num_steps > 0 ? (int64_t)config->train.num_steps
                                                       : INT64_MAX;
    trainer->state = (struct det_checkpoint_state){.seed = s->seed};
    trainer->saved_step = -1;
    trainer->saved_ns = det_clock_ns();
    DET_TRY_RETURN(det_trainer_ranks_take(trainer, s));
    trainer->saves = s->model_dir != NULL;
    if (s->model_dir == NULL || trainer->rank > 0)
        return DET_OK;
    if (s->model_dir[0] == '\0')
        return det_fail(trainer->env, DET_STATUS_INVALID_ARGUMENT,
                        "trainer settings: model_dir is empty");
    return det_strndup(trainer->env, &trainer->model_dir, s->model_dir,
                       det_path_length(s->model_dir));
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
    DET_TRY(det_pipeline_path_find(env, config, written, DET_PATH_FILE, &path));
    DET_TRY(det_label_map_read(env, path, &trainer->labels));
    const int32_t highest = trainer->labels.count;
    DET_TRY(det_label_map_fit(env, &trainer->labels, config));
    if (highest < trainer->labels.count)
        det_log(env, DET_LOG_WARNING,
                "%s:%d: num_classes is %d, but %s has ids up to %d: the other classes learn "
                "nothing, num_classes: %d would do",
                config->path,
                (int)det_pipeline_config_position(config, "model.ssd.num_classes").line,
                (int)trainer->labels.count, path, (int)highest, (int)highest);
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
        const size_t boxes = data->boxes_of_class[c];
        if (name != NULL)
            DET_TRY(
                det_text_printf(env, &all, "%s%s %zu", all.length > 0 ? ", " : "", name, boxes));
        else if (boxes > 0)
            DET_TRY(det_text_printf(env, &all, "%sclass %d %zu", all.length > 0 ? ", " : "",
                                    (int)c + 1, boxes));
        if (name != NULL && boxes == 0)
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
                "train_input_reader.max_number_of_boxes",
                images, images == 1 ? " has" : "s have", (int)trainer->max_boxes, boxes);
}

static det_status open_data(struct det_trainer *trainer, const struct det_pipeline_config *config,
                            const det_trainer_settings *s)
{
    struct det_env *env = trainer->env;
    const struct det_input_reader_config *reader = &config->train_input_reader;
    struct det_path_list patterns = {0};
    det_status status = DET_OK;
    if (s->samples == NULL)
        DET_TRY(det_pipeline_path_records(env, config, reader, &patterns));
    const struct det_dataset_settings settings = {
        .role = "train",
        .patterns = (const char *const *)patterns.paths,
        .pattern_count = patterns.count,
        .source = s->samples,
        .labels = &trainer->labels,
        .class_count = trainer->labels.count,
        .image_dirs = s->image_dirs,
        .image_dir_count = s->image_dir_count,
        .box_policy = DET_BOX_FAIL,
        .strict = config->strict,
    };
    DET_TRY(det_dataset_open(env, &settings, &trainer->dataset));
    const struct det_dataset_counts *counts = &trainer->dataset.counts;
    if (counts->boxes == 0 && counts->unknown_class == 0 && !s->allow_no_boxes)
        DET_TRY(det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                         "train: %zu images without a single box, there is nothing to learn (were "
                         "the records made without annotations?); --allow_no_boxes trains on them",
                         counts->images));
    DET_TRY(log_classes(trainer));
    warn_of_cut_boxes(trainer);
fail:
    det_path_list_free(env, &patterns);
    return status;
}

/* Evaluations between the steps are of the model that is trained here: their label map is told to
 * have other classes before the training, not after its first part. */
static det_status check_eval_classes(struct det_trainer *trainer,
                                     const struct det_pipeline_config *config)
{
    struct det_env *env = trainer->env;
    /* what there is to say of the map was said when its data was looked into */
    struct det_env silent;
    const struct det_known_classes ours = {trainer->labels.path, trainer->labels.display_names,
                                           trainer->labels.count};
    struct det_label_map map = {0};
    struct det_class_order order = {0};
    char *path = NULL;
    det_status status = DET_OK;
    if (trainer->eval_every_steps == 0 || config->class_match != DET_CLASSES_CHECK)
        return DET_OK;
    det_env_fork(&silent, env);
    silent.logger.write = NULL;
    DET_TRY(det_pipeline_path_find(&silent, config, config->eval_input_readers[0].label_map_path,
                                   DET_PATH_FILE, &path));
    DET_TRY(det_label_map_read(&silent, path, &map));
    DET_TRY(det_class_order_make(&silent, &ours, &map, &order));
    if (!order.same)
        DET_TRY(det_class_order_fail(&silent, &ours, &map,
                                     "training and evaluation need the same; --remap_classes "
                                     "evaluates by name"));
fail:
    if (status != DET_OK)
        det_env_adopt_error(env, &silent);
    det_free(env, &order.from);
    det_label_map_free(env, &map);
    det_free(env, &path);
    return status;
}

static void loader_settings(const struct det_trainer *trainer,
                            const struct det_pipeline_config *config, const det_trainer_settings *s,
                            const struct det_model_spec *spec, struct det_loader_settings *loader)
{
    const struct det_backend *backend = det_context_compute(trainer->context)->backend;
    *loader = (struct det_loader_settings){
        .dataset = &trainer->dataset,
        .batch_size = trainer->batch_size,
        .seed = trainer->state.seed,
        .first_sample =
            trainer->state.next_sample + (uint64_t)trainer->rank * (uint64_t)trainer->batch_size,
        .stride = trainer->ranks,
        .held = backend->stages_ahead ? 2 : 1,
        .pictures = backend->step_stage_pictures != NULL,
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

/* What can be taken is divided by the ranks that share this machine's memory. */
static struct det_memory_question memory_question(const struct det_trainer *trainer,
                                                  const struct det_model_spec *spec,
                                                  const struct det_learner_settings *learner,
                                                  const struct det_loader_settings *loader,
                                                  size_t limit_bytes)
{
    const size_t here = (size_t)det_ranks_here(trainer->communicator);
    if (limit_bytes == 0 && here > 1)
        limit_bytes = det_memory_available() / here;
    return (struct det_memory_question){spec, learner, loader, limit_bytes};
}

/* With several ranks the smallest that one has chosen, which all come to. */
static det_status choose_batch(struct det_trainer *trainer,
                               const struct det_memory_question *question)
{
    int64_t smallest = 0;
    DET_TRY_RETURN(det_trainer_agree(
        trainer, det_memory_choose_batch(trainer, question, &trainer->batch_size)));
    DET_TRY_RETURN(
        det_ranks_smallest(trainer->env, trainer->communicator, trainer->batch_size, &smallest));
    trainer->batch_size = (int32_t)smallest;
    det_log(trainer->env, DET_LOG_INFO, "batch size %d chosen by memory%s",
            (int)trainer->batch_size, trainer->ranks > 1 ? ", of each rank" : "");
    return DET_OK;
}

/* On the CPU said before the memory is taken, so that a run which does not fit has told why;
 * another device's backend says itself what would fit. */
static det_status plan_memory(struct det_trainer *trainer, const struct det_pipeline_config *config,
                              const det_trainer_settings *s, const struct det_model_spec *spec,
                              const struct det_learner_settings *learner)
{
    struct det_loader_settings loader;
    loader_settings(trainer, config, s, spec, &loader);
    const struct det_memory_question question =
        memory_question(trainer, spec, learner, &loader, s->memory_limit_bytes);
    if (s->batch_size == DET_BATCH_SIZE_AUTO)
        DET_TRY_RETURN(choose_batch(trainer, &question));
    return det_memory_check(trainer, &question, trainer->batch_size);
}

/* With a batch that was chosen without the device's word, half of it again and again until it
 * fits. */
static det_status create_learner(struct det_trainer *trainer, const struct det_model_spec *spec,
                                 struct det_learner_settings *settings, bool may_shrink)
{
    const struct det_compute *compute = det_context_compute(trainer->context);
    for (;;) {
        settings->batch_size = trainer->batch_size;
        const det_status status =
            det_learner_create(trainer->env, spec, settings, compute->backend, compute->device,
                               trainer->state.seed, &trainer->learner);
        if (status != DET_STATUS_OUT_OF_MEMORY || !may_shrink || trainer->batch_size == 1)
            return status;
        det_forget_error(trainer->env);
        trainer->batch_size /= 2;
    }
}

/* What the step of each rank is to be told. */
static void take_learner_settings(struct det_trainer *trainer, const det_trainer_settings *s,
                                  struct det_learner_settings *learner)
{
    learner->accumulate = s->accumulate;
    learner->communicator = trainer->communicator;
    learner->sync_batch_norm = s->sync_batch_norm != 0;
    learner->bf16_gradients = s->bf16_gradients != 0;
    learner->wants_stop = det_trainer_is_stopped;
    learner->wants_stop_user = trainer;
}

static det_status build_network(struct det_trainer *trainer,
                                const struct det_pipeline_config *config,
                                const det_trainer_settings *s)
{
    struct det_env *env = trainer->env;
    const struct det_backend *backend = det_context_compute(trainer->context)->backend;
    struct det_model_spec spec;
    struct det_learner_settings learner;
    DET_TRY_RETURN(det_spec_from_config(env, config, &spec));
    DET_TRY_RETURN(det_learner_settings_from_config(env, config, &learner));
    take_learner_settings(trainer, s, &learner);
    det_trainer_advise_rounding(trainer, config, &learner);
    DET_TRY_RETURN(det_schedule_from_config(env, config, &trainer->schedule));
    DET_TRY_RETURN(plan_memory(trainer, config, s, &spec, &learner));
    DET_TRY_RETURN(create_learner(trainer, &spec, &learner,
                                  s->batch_size == DET_BATCH_SIZE_AUTO &&
                                      backend != det_backend_cpu() && trainer->ranks == 1));
    DET_TRY_RETURN(det_freeze_variables(env, config, trainer->learner));
    if (backend != det_backend_cpu()) {
        trainer->memory.activations_bytes = backend->step_bytes(trainer->learner->step);
        det_memory_log(trainer, trainer->batch_size);
    }
    DET_TRY_RETURN(det_trainer_log_ranks(trainer));
    det_trainer_advise_rate(trainer, config, s);
    DET_TRY_RETURN(det_trainer_log_coverage(trainer, &spec));
    det_trainer_advise_length(trainer);
    return det_trainer_recalibrate_set_up(trainer, config, s);
}

/* All that is going to be read is there: told before the first of it is read. */
static det_status check_files(struct det_trainer *trainer, const struct det_pipeline_config *config,
                              const det_trainer_settings *s)
{
    det_checkpoint_info info;
    enum det_trainer_latest latest;
    DET_TRY_RETURN(det_trainer_find_latest(trainer, &info, &latest));
    det_evaluation_settings evaluation;
    DET_TRY_RETURN(det_trainer_eval_take(trainer, s, &evaluation));
    const bool goes_on = latest == DET_LATEST_OWN || latest == DET_LATEST_TENSORFLOW;
    const struct det_pipeline_reading reading = {
        .train_input = true,
        .eval_input = s->eval_every_steps > 0,
        .fine_tune_checkpoint =
            trainer->rank == 0 && det_trainer_is_fine_tuned(config) && !(goes_on && s->resume),
        .train_samples = s->samples != NULL,
        .eval_samples = evaluation.samples != NULL,
    };
    return det_pipeline_paths_check(trainer->env, config, reading);
}

/* Settings and data: whatever is wrong with them on a rank is told before there is a network. */
static det_status look(struct det_trainer *trainer, const struct det_pipeline_config *config,
                       const det_trainer_settings *settings)
{
    DET_TRY_RETURN(check_files(trainer, config, settings));
    DET_TRY_RETURN(read_label_map(trainer, config));
    DET_TRY_RETURN(det_trainer_lock_model_dir(trainer, false));
    DET_TRY_RETURN(open_data(trainer, config, settings));
    DET_TRY_RETURN(det_trainer_eval_set_up(trainer, config, settings));
    trainer->eval_settings.quiet = 1; /* it has told what there is to say of the data */
    return check_eval_classes(trainer, config);
}

/* The model folder and what is in it are rank 0's. */
static det_status start(struct det_trainer *trainer, const struct det_pipeline_config *config,
                        const det_trainer_settings *settings)
{
    const det_status status =
        trainer->rank == 0 ? det_trainer_restore(trainer, config, settings) : DET_OK;
    DET_TRY_RETURN(det_ranks_follow(trainer->env, trainer->communicator, status));
    DET_TRY_RETURN(det_trainer_share_state(trainer));
    return det_learner_push(trainer->env, trainer->learner);
}

static det_status open_outputs(struct det_trainer *trainer,
                               const struct det_pipeline_config *config,
                               const det_trainer_settings *settings)
{
    DET_TRY_RETURN(det_trainer_lock_model_dir(trainer, true));
    DET_TRY_RETURN(det_trainer_prepare_model_dir(trainer, config));
    det_trainer_record_begin(trainer, config, settings);
    DET_TRY_RETURN(det_trainer_summary_set_up(trainer, settings));
    return start_loader(trainer, config, settings);
}

/* In stages, behind each of which all ranks know how it went on all: what fails on one is said
 * once, and nobody waits for it. */
static det_status set_up(struct det_trainer *trainer, const struct det_pipeline_config *config,
                         const det_trainer_settings *settings)
{
    DET_TRY_RETURN(det_trainer_agree(trainer, look(trainer, config, settings)));
    DET_TRY_RETURN(
        det_trainer_agree(trainer, det_trainer_compare_ranks(trainer, config, settings)));
    DET_TRY_RETURN(det_trainer_agree(trainer, build_network(trainer, config, settings)));
    DET_TRY_RETURN(start(trainer, config, settings));
    return det_trainer_agree(trainer, open_outputs(trainer, config, settings));
}

det_status det_trainer_set_up(struct det_trainer *trainer, const struct det_pipeline_config *config,
                              const det_trainer_settings *settings)
{
    struct det_env *env = trainer->env;
    det_status status = check_settings(env, config, settings);
    if (status == DET_OK)
        status = set_plain_values(trainer, config, settings);
    DET_TRY_RETURN(det_ranks_agree(env, settings->communicator, status));
    return det_ranks_give_up(env, trainer->communicator, set_up(trainer, config, settings));
}
