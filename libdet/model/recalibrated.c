/* recalibrated.c: statistics of batch norms that were taken anew (train/recalibrate.h), in .det
 * files of the training form. They stand beside the moving ones, which a resumed training and
 * TensorFlow's way of evaluating go on with. */
#include <string.h>

#include "det/recalibration.h"
#include "formats/weights.h"
#include "model/model.h"
#include "support/mem.h"

static const char suffix[] = "/.RECALIBRATED";

static bool is_statistic(const struct det_param *param)
{
    return param->role == DET_PARAM_MOVING_MEAN || param->role == DET_PARAM_MOVING_VARIANCE;
}

det_status det_recalibrated_add(struct det_env *env, struct det_weights_writer *writer,
                                const struct det_graph *graph, const float *recalibrated)
{
    for (int32_t p = 0; p < graph->param_count; p++)
        if (is_statistic(&graph->params[p]))
            DET_TRY_RETURN(det_params_add(env, writer, &graph->params[p], suffix, recalibrated));
    return DET_OK;
}

det_status det_recalibrated_read(struct det_env *env, const struct det_weights *file,
                                 const struct det_graph *graph, float *recalibrated)
{
    for (int32_t p = 0; p < graph->param_count; p++) {
        const struct det_param *param = &graph->params[p];
        const struct det_weights_tensor *tensor = NULL;
        if (!is_statistic(param))
            continue;
        DET_TRY_RETURN(det_params_require(env, file, param, suffix, &tensor));
        DET_TRY_RETURN(det_params_check_finite(env, det_weights_path(file), param, tensor->data));
        memcpy(recalibrated + param->offset, tensor->data, tensor->bytes);
    }
    return DET_OK;
}

det_status det_model_take_recalibrated(struct det_env *env, const struct det_weights *file,
                                       const struct det_model_meta *meta, bool averages,
                                       struct det_model *model)
{
    const struct det_graph *graph = &model->graph;
    if (meta->recalibrated_images == 0 || meta->recalibrated_with_averages != averages)
        return DET_OK;
    DET_TRY_RETURN(det_alloc_raw(env, &model->recalibrated, graph->param_floats,
                                 sizeof *model->recalibrated, "recalibrated parameters"));
    memcpy(model->recalibrated, model->params, graph->param_floats * sizeof *model->params);
    model->recalibrated_images = meta->recalibrated_images;
    return det_recalibrated_read(env, file, graph, model->recalibrated);
}

int64_t det_model_recalibrated_images(const det_model *model)
{
    return model == NULL ? 0 : model->recalibrated_images;
}
