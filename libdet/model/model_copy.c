/* model_copy.c: copies of a model with other values in some of its tensors. */
#include <math.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "model/model.h"
#include "support/mem.h"

static det_status put(struct det_env *env, struct det_model *copy, bool *taken,
                      const det_tensor_values *values)
{
    DET_NEED(env, values->name);
    DET_NEED_ARRAY(env, values->values, values->count);
    const int32_t found = det_graph_find_param(&copy->graph, values->name);
    if (found < 0 || !copy->graph.params[found].stored)
        return det_fail(env, DET_STATUS_NOT_FOUND, "model: no tensor is called \"%s\"",
                        values->name);
    const struct det_param *param = &copy->graph.params[found];
    if (taken[found])
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "model: two values for tensor \"%s\"",
                        param->key);
    if (values->count != param->count)
        return det_fail(env, DET_STATUS_MISMATCH, "model: %zu values for tensor \"%s\", it has %zu",
                        values->count, param->key, param->count);
    taken[found] = true;
    memcpy(copy->owned + param->offset, values->values, param->count * sizeof *values->values);
    return det_params_check_finite(env, "model", param, copy->owned + param->offset);
}

static det_status put_all(struct det_env *env, struct det_model *copy,
                          const det_tensor_values *changed, size_t changed_count)
{
    const unsigned char *at = (const unsigned char *)changed;
    bool *taken = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &taken, (size_t)copy->graph.param_count, sizeof *taken, "model"));
    for (size_t i = 0; i < changed_count; i++, at += changed[0].struct_size) {
        det_tensor_values values = {.struct_size = sizeof values};
        size_t struct_size = 0;
        memcpy(&struct_size, at, sizeof struct_size);
        if (struct_size != changed[0].struct_size) {
            status = det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                              "det_model_copy: struct_size of element %zu is %zu, of the first %zu",
                              i, struct_size, changed[0].struct_size);
            goto fail;
        }
        DET_TRY(DET_TAKE(env, det_tensor_values, &values, at));
        DET_TRY(put(env, copy, taken, &values));
    }
fail:
    det_free(env, &taken);
    return status;
}

det_status det_model_copy(det_context *context, const det_model *model,
                          const det_tensor_values *changed, size_t changed_count, det_model **copy)
{
    struct det_env *env = det_context_env(context);
    const char **names = NULL;
    det_status status = DET_OK;
    if (copy != NULL)
        *copy = NULL;
    DET_NEED(env, context);
    DET_NEED(env, model);
    DET_NEED_ARRAY(env, changed, changed_count);
    DET_NEED(env, copy);
    DET_TRY(det_model_names(env, model, &names));
    DET_TRY(det_model_create(env, &model->spec, model->graph.folded, names, copy));
    memcpy((*copy)->owned, model->params, model->graph.param_floats * sizeof *model->params);
    (*copy)->step = model->step;
    DET_TRY(put_all(env, *copy, changed, changed_count));
    if (changed_count > 0)
        goto fail;
    (*copy)->recalibrated_images = model->recalibrated_images;
    if (model->recalibrated != NULL) {
        DET_TRY(det_alloc_raw(env, &(*copy)->recalibrated, model->graph.param_floats, sizeof(float),
                              "recalibrated parameters"));
        memcpy((*copy)->recalibrated, model->recalibrated,
               model->graph.param_floats * sizeof *model->recalibrated);
    }
    if (det_model_has_ranges(model))
        DET_TRY(det_act_ranges_copy(env, &model->ranges, &(*copy)->ranges));
fail:
    if (status != DET_OK)
        det_model_destroy(copy);
    det_free(env, &names);
    return status;
}
