#include "model/model.h"

#include "formats/weights.h"
#include "model/optimizer_state.h"
#include "model/quantised.h"
#include "support/mem.h"

static det_status copy_names(struct det_env *env, struct det_model *model, const char *const *names)
{
    const int32_t count = model->spec.num_classes;
    DET_TRY_RETURN(det_alloc(env, &model->class_unused, (size_t)count, sizeof *model->class_unused,
                             "class names"));
    DET_TRY_RETURN(det_alloc(env, &model->class_names, (size_t)count, sizeof *model->class_names,
                             "class names"));
    model->class_count = count;
    for (int32_t i = 0; i < count; i++) {
        model->class_unused[i] = names != NULL && (names[i] == NULL || names[i][0] == '\0');
        DET_TRY_RETURN(names != NULL && !model->class_unused[i]
                           ? det_strdup(env, &model->class_names[i], names[i])
                           : det_format(env, &model->class_names[i], "class %d", i + 1));
    }
    return DET_OK;
}

det_status det_model_prepare(struct det_env *env, const struct det_model_spec *spec, bool folded,
                             const char *const *names, det_model **out)
{
    *out = NULL;
    DET_TRY_RETURN(det_model_spec_check(env, spec));
    struct det_model *model = NULL;
    det_status status = DET_OK;
    DET_TRY_RETURN(det_alloc(env, &model, 1, sizeof *model, "model"));
    det_env_fork(&model->env, env);
    model->spec = *spec;
    DET_TRY(copy_names(env, model, names));
    DET_TRY(det_graph_build(env, spec, folded, &model->graph));
    *out = model;
    return DET_OK;
fail:
    det_model_destroy(&model);
    return status;
}

det_status det_model_create(struct det_env *env, const struct det_model_spec *spec, bool folded,
                            const char *const *names, det_model **out)
{
    DET_TRY_RETURN(det_model_prepare(env, spec, folded, names, out));
    struct det_model *model = *out;
    const det_status status = det_alloc(env, &model->owned, model->graph.param_floats,
                                        sizeof *model->owned, "parameters");
    if (status != DET_OK)
        det_model_destroy(out);
    else
        model->params = model->owned;
    return status;
}

void det_model_destroy(det_model **out)
{
    if (out == NULL || *out == NULL)
        return;
    struct det_model *model = *out;
    struct det_env env; /* outlives the memory that holds model->env */
    det_env_fork(&env, &model->env);
    for (int32_t i = 0; i < model->class_count; i++)
        det_free(&env, &model->class_names[i]);
    det_free(&env, &model->class_names);
    det_free(&env, &model->class_unused);
    det_graph_free(&env, &model->graph);
    det_free(&env, &model->owned);
    det_free(&env, &model->recalibrated);
    det_quantised_destroy(&env, &model->quantised);
    det_act_ranges_free(&env, &model->ranges);
    det_optimizer_state_destroy(&env, &model->optimizer);
    det_weights_close(&env, &model->file);
    det_free(&env, out);
}

int32_t det_model_class_count(const det_model *model)
{
    return model == NULL ? 0 : model->class_count;
}

const char *det_model_class_name(const det_model *model, int32_t class_id)
{
    if (model == NULL || class_id < 1 || class_id > model->class_count)
        return NULL;
    return model->class_names[class_id - 1];
}

int det_model_class_is_used(const det_model *model, int32_t class_id)
{
    return model != NULL && class_id >= 1 && class_id <= model->class_count &&
           !model->class_unused[class_id - 1];
}

det_status det_model_names(struct det_env *env, const struct det_model *model, const char ***names)
{
    const size_t count = (size_t)model->class_count;
    DET_TRY_RETURN(det_alloc(env, names, count, sizeof **names, "class names"));
    for (size_t i = 0; i < count; i++)
        (*names)[i] = model->class_unused[i] ? NULL : model->class_names[i];
    return DET_OK;
}

int32_t det_model_input_height(const det_model *model)
{
    return model == NULL ? 0 : model->spec.input_height;
}

int32_t det_model_input_width(const det_model *model)
{
    return model == NULL ? 0 : model->spec.input_width;
}

int64_t det_model_step(const det_model *model)
{
    return model == NULL ? 0 : model->step;
}

int64_t det_model_parameter_count(const det_model *model)
{
    int64_t count = 0;
    for (int32_t i = 0; model != NULL && i < model->graph.param_count; i++)
        if (model->graph.params[i].stored)
            count += (int64_t)model->graph.params[i].count;
    return count;
}

int det_model_is_folded(const det_model *model)
{
    return model != NULL && model->graph.folded;
}

int32_t det_model_anchor_count(const det_model *model)
{
    return model == NULL ? 0 : model->graph.anchor_count;
}
