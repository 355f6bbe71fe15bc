/* model_tensors.c: parameters of det/model.h by number and by name. */
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "model/model.h"

static void show(const det_model *model, const struct det_param *param, det_model_tensor *tensor)
{
    det_model_tensor shown = {
        .name = param->key,
        .values = model->params + param->offset,
        .count = param->count,
        .dims = param->dims,
        .trainable = param->trainable,
    };
    for (int32_t d = 0; d < param->dims; d++)
        shown.shape[d] = param->shape[d];
    det_fill_report(tensor, &shown, sizeof shown);
}

static void show_none(det_model_tensor *tensor)
{
    const det_model_tensor none = {0};
    det_fill_report(tensor, &none, sizeof none);
}

size_t det_model_tensor_count(const det_model *model)
{
    size_t count = 0;
    for (int32_t i = 0; model != NULL && i < model->graph.param_count; i++)
        count += model->graph.params[i].stored;
    return count;
}

det_status det_model_tensor_at(det_context *context, const det_model *model, size_t index,
                               det_model_tensor *tensor)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED(env, model);
    DET_NEED_REPORT(env, det_model_tensor, tensor);
    size_t place = 0;
    show_none(tensor);
    for (int32_t i = 0; i < model->graph.param_count; i++) {
        const struct det_param *param = &model->graph.params[i];
        if (!param->stored || place++ != index)
            continue;
        show(model, param, tensor);
        return DET_OK;
    }
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                    "model: tensor %zu is asked for, it has %zu (counted from 0)", index, place);
}

det_status det_model_tensor_find(det_context *context, const det_model *model, const char *name,
                                 det_model_tensor *tensor)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED(env, model);
    DET_NEED(env, name);
    DET_NEED_REPORT(env, det_model_tensor, tensor);
    show_none(tensor);
    const int32_t found = det_graph_find_param(&model->graph, name);
    if (found < 0 || !model->graph.params[found].stored)
        return det_fail(env, DET_STATUS_NOT_FOUND, "model: no tensor is called \"%s\"", name);
    show(model, &model->graph.params[found], tensor);
    return DET_OK;
}
