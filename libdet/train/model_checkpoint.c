/* model_checkpoint.c: a config's network with the weights of a checkpoint, and with what a training
 * goes on from. */
#include "base/arguments.h"
#include "base/context.h"
#include "formats/pipeline_paths.h"
#include "formats/weights.h"
#include "model/from_config.h"
#include "model/model.h"
#include "model/optimizer_state.h"
#include "support/mem.h"
#include "train/checkpoint.h"
#include "train/restore.h"
#include "train/tf_resume.h"

/* map->count stays 0 when it cannot be read or has a class too many, which costs names, not the
 * model, unless it is what decides about the classes. What there is to say about the map itself was
 * said when it was trained with. */
static det_status read_label_map(struct det_env *env, const struct det_pipeline_config *config,
                                 struct det_label_map *map)
{
    const char *named = det_pipeline_config_label_map_path(config);
    struct det_env silent;
    char *path = NULL;
    det_env_fork(&silent, env);
    silent.logger.write = NULL;
    det_status status =
        named[0] == '\0' ? det_fail(&silent, DET_STATUS_NOT_FOUND, "the config names no label map")
                         : det_pipeline_path_find(&silent, config, named, DET_PATH_FILE, &path);
    if (status == DET_OK)
        status = det_label_map_read(&silent, path, map);
    det_free(env, &path);
    if (status == DET_OK)
        status = det_label_map_fit(&silent, map, config);
    if (status == DET_OK)
        return DET_OK;
    det_label_map_free(env, map);
    if (status == DET_STATUS_OUT_OF_MEMORY || config->class_match != DET_CLASSES_CHECK) {
        det_env_adopt_error(env, &silent);
        return status;
    }
    det_log(env, DET_LOG_WARNING, "classes have no names of a label map: %s", silent.error);
    return DET_OK;
}

/* For a config without a label map; the names are the meta's. */
static det_status read_names(struct det_env *env, const struct det_checkpoint_info *from,
                             int32_t count, struct det_model_meta *meta)
{
    struct det_weights *file = NULL;
    det_status status = DET_OK;
    if (from->is_tensorflow)
        return DET_OK;
    DET_TRY(det_weights_open(env, from->path, false, &file));
    DET_TRY(det_model_meta_read(env, file, meta));
    if (meta->spec.num_classes != count)
        det_model_meta_free(env, meta); /* which is told when the weights are read */
fail:
    det_weights_close(env, &file);
    return status;
}

/* Statistics that the training took anew, of these weights, and the ranges of one in 8 bits. */
static det_status take_learnt(struct det_env *env, const struct det_checkpoint_info *from,
                              bool averages, struct det_model *model)
{
    struct det_weights *file = NULL;
    struct det_model_meta meta = {0};
    det_status status = DET_OK;
    if (from->is_tensorflow)
        return DET_OK;
    DET_TRY(det_weights_open(env, from->path, true, &file));
    DET_TRY(det_model_meta_read(env, file, &meta));
    DET_TRY(det_model_take_recalibrated(env, file, &meta, averages, model));
    DET_TRY(det_model_take_ranges(env, file, model));
fail:
    det_model_meta_free(env, &meta);
    det_weights_close(env, &file);
    return status;
}

static det_status load(struct det_env *env, const struct det_pipeline_config *config,
                       const struct det_checkpoint_info *from, det_model **model)
{
    struct det_model_spec spec;
    struct det_label_map map = {0};
    struct det_model_meta meta = {0};
    struct det_restore_report report;
    struct det_restore_classes classes = {.match = config->class_match};
    const bool averages = config->eval.use_moving_averages;
    det_status status = DET_OK;
    DET_TRY_RETURN(det_pipeline_config_check_stage(env, config, DET_STAGE_INFERENCE));
    DET_TRY_RETURN(det_spec_from_config(env, config, &spec));
    DET_TRY(read_label_map(env, config, &map));
    if (map.count > 0)
        classes.labels = &map;
    else
        DET_TRY(read_names(env, from, spec.num_classes, &meta));
    DET_TRY(
        det_model_create(env, &spec, false, map.count > 0 ? map.display_names : meta.names, model));
    struct det_model *made = *model;
    /* The file gives every stored parameter; the others are the constants of their initialisation.
     */
    for (int32_t p = 0; p < made->graph.param_count; p++) {
        const struct det_param *param = &made->graph.params[p];
        for (size_t i = 0; !param->stored && i < param->count; i++)
            made->owned[param->offset + i] = param->init.a;
    }
    DET_TRY(det_restore_params(env, from->path, DET_RESTORE_ALL, &made->graph, &classes,
                               made->owned, &report));
    if (averages)
        DET_TRY(det_restore_averages(env, from->path, &made->graph, &classes, made->owned));
    made->step = report.step > 0 ? report.step : 0;
    DET_TRY(take_learnt(env, from, averages, made));
fail:
    det_label_map_free(env, &map);
    det_model_meta_free(env, &meta);
    if (status != DET_OK)
        det_model_destroy(model);
    return status;
}

/* Whether a file has what an optimizer keeps. */
static det_status has_optimizer(struct det_env *env, const struct det_checkpoint_info *from,
                                bool *has)
{
    enum det_tf_origin origin = DET_TF_NO_TRAINING;
    struct det_weights *file = NULL;
    *has = false;
    if (from->is_tensorflow) {
        DET_TRY_RETURN(det_tf_resume_origin(env, from->path, &origin));
        *has = origin == DET_TF_TRAINING;
        return DET_OK;
    }
    DET_TRY_RETURN(det_weights_open(env, from->path, false, &file));
    *has = det_json_kind(det_json_get(det_weights_meta(file), "training")) != DET_JSON_NONE;
    det_weights_close(env, &file);
    return DET_OK;
}

/* The learner's arrays become the state's. */
static det_status take_optimizer(struct det_env *env, struct det_learner *learner, bool averages,
                                 struct det_model *model)
{
    DET_TRY_RETURN(
        det_alloc(env, &model->optimizer, 1, sizeof *model->optimizer, "optimizer state"));
    struct det_optimizer_state *state = model->optimizer;
    *state = (struct det_optimizer_state){
        .settings = learner->settings,
        .updates = learner->updates,
        .slot_count = learner->slot_count,
        .average_slot = learner->average_slot,
    };
    for (int32_t s = 0; s < learner->slot_count; s++) {
        state->slots[s] = learner->slots[s];
        learner->slots[s] = NULL;
    }
    if (averages) {
        state->weights = learner->params;
        learner->params = NULL;
    }
    return DET_OK;
}

/* What there is to say of the weights was said when they were read. */
static det_status read_training(struct det_env *env, const struct det_checkpoint_info *from,
                                struct det_learner *learner)
{
    struct det_env silent;
    struct det_checkpoint_state state;
    int64_t step = 0;
    det_env_fork(&silent, env);
    silent.logger.write = NULL;
    const det_status status = from->is_tensorflow
                                  ? det_tf_resume(&silent, from->path, learner, &step)
                                  : det_checkpoint_load(&silent, from->path, learner, &state);
    if (status != DET_OK)
        det_env_adopt_error(env, &silent);
    return status;
}

static det_status load_optimizer(struct det_env *env, const struct det_pipeline_config *config,
                                 const struct det_checkpoint_info *from, struct det_model *model)
{
    struct det_learner_settings settings;
    struct det_learner *learner = NULL;
    bool has = false;
    det_status status = DET_OK;
    if (!config->has_train_config || config->train.optimizer.kind == DET_OPTIMIZER_NONE)
        return DET_OK;
    DET_TRY_RETURN(has_optimizer(env, from, &has));
    if (!has)
        return DET_OK;
    if (config->class_match == DET_CLASSES_REMAP) {
        det_log(env, DET_LOG_WARNING,
                "%s: classes are taken by name: the optimizer's state is left out", from->path);
        return DET_OK;
    }
    DET_TRY(det_learner_settings_from_config(env, config, &settings));
    DET_TRY(det_learner_create_idle(env, &model->spec, &settings, 0, &learner));
    DET_TRY(read_training(env, from, learner));
    DET_TRY(take_optimizer(env, learner, config->eval.use_moving_averages, model));
fail:
    det_learner_destroy(env, &learner);
    return status;
}

static det_status load_from(struct det_env *env, const struct det_pipeline_config *config,
                            const char *path, bool with_optimizer, det_model **model)
{
    const struct det_budget before = det_budget_open(env, path);
    struct det_checkpoint_info *from = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &from, 1, sizeof *from, "checkpoint path"));
    DET_TRY(det_checkpoint_locate(env, path, from));
    DET_TRY(load(env, config, from, model));
    if (with_optimizer)
        DET_TRY(load_optimizer(env, config, from, *model));
fail:
    det_free(env, &from);
    det_budget_close(env, before);
    if (status != DET_OK)
        det_model_destroy(model);
    return status;
}

det_status det_model_load_checkpoint(det_context *context, const det_pipeline_config *config,
                                     const char *path, det_model **model)
{
    struct det_env *env = det_context_env(context);
    if (model != NULL)
        *model = NULL;
    DET_NEED(env, context);
    DET_NEED(env, config);
    DET_NEED(env, path);
    DET_NEED(env, model);
    return load_from(env, config, path, false, model);
}

det_status det_model_load_resumable(det_context *context, const det_pipeline_config *config,
                                    const char *path, det_model **model)
{
    struct det_env *env = det_context_env(context);
    if (model != NULL)
        *model = NULL;
    DET_NEED(env, context);
    DET_NEED(env, config);
    DET_NEED(env, path);
    DET_NEED(env, model);
    return load_from(env, config, path, true, model);
}
