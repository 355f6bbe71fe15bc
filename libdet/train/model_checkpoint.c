/* model_checkpoint.c: det_model_load_checkpoint: a config's network with the weights of a
 * checkpoint. */
#include "base/context.h"
#include "base/mem.h"
#include "formats/weights.h"
#include "model/model.h"
#include "train/checkpoint.h"
#include "train/from_config.h"
#include "train/restore.h"

/* The label map's names for people; map->display_names stays NULL when it cannot be read or has
 * another number of classes, which costs names, not the model. */
static det_status read_label_map(struct det_env *env, const struct det_pipeline_config *config,
                                 struct det_label_map *map)
{
    const char *named = det_pipeline_config_label_map_path(config);
    char *path = NULL;
    det_status status = named[0] == '\0'
                            ? det_fail(env, DET_STATUS_NOT_FOUND, "the config names no label map")
                            : det_pipeline_config_resolve_path(env, config, named, &path);
    if (status == DET_OK)
        status = det_label_map_read(env, path, map);
    det_free(env, &path);
    if (status == DET_OK)
        status = det_label_map_check(env, map, config);
    if (status == DET_OK)
        return DET_OK;
    det_label_map_free(env, map);
    if (status == DET_STATUS_OUT_OF_MEMORY)
        return status;
    det_log(env, DET_LOG_WARNING, "classes are named \"class 1\" and so on: %s", env->error);
    det_forget_error(env);
    return DET_OK;
}

/* Statistics that the training took anew, of these weights. */
static det_status take_recalibrated(struct det_env *env, const struct det_checkpoint_info *from,
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
    struct det_restore_report report;
    const bool averages = config->eval.use_moving_averages;
    det_status status = DET_OK;
    DET_TRY_RETURN(det_spec_from_config(env, config, &spec));
    DET_TRY(read_label_map(env, config, &map));
    DET_TRY(det_model_create(env, &spec, false, (const char *const *)map.display_names, model));
    struct det_model *made = *model;
    /* The file gives every stored parameter; the others are the constants of their initialisation.
     */
    for (int32_t p = 0; p < made->graph.param_count; p++) {
        const struct det_param *param = &made->graph.params[p];
        for (size_t i = 0; !param->stored && i < param->count; i++)
            made->owned[param->offset + i] = param->init.a;
    }
    DET_TRY(
        det_restore_params(env, from->path, DET_RESTORE_ALL, &made->graph, made->owned, &report));
    if (averages)
        DET_TRY(det_restore_averages(env, from->path, &made->graph, made->owned));
    made->step = report.step > 0 ? report.step : 0;
    DET_TRY(take_recalibrated(env, from, averages, made));
fail:
    det_label_map_free(env, &map);
    if (status != DET_OK)
        det_model_destroy(model);
    return status;
}

det_status det_model_load_checkpoint(det_context *context, const det_pipeline_config *config,
                                     const char *path, det_model **model)
{
    if (model != NULL)
        *model = NULL;
    if (context == NULL)
        return DET_STATUS_INVALID_ARGUMENT;
    struct det_env *env = det_context_env(context);
    if (config == NULL || path == NULL || model == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_model_load_checkpoint: an argument is NULL");
    const struct det_budget before = det_budget_open(env, path);
    struct det_checkpoint_info *from = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &from, 1, sizeof *from, "checkpoint path"));
    DET_TRY(det_checkpoint_locate(env, path, from));
    DET_TRY(load(env, config, from, model));
fail:
    det_free(env, &from);
    det_budget_close(env, before);
    return status;
}
