#include "model/inference.h"

#include "model/spec_anchors.h"
#include "support/mem.h"

struct det_postprocess_settings det_spec_postprocess(const struct det_model_spec *spec)
{
    return (struct det_postprocess_settings){
        .score_threshold = spec->score_threshold,
        .iou_threshold = spec->iou_threshold,
        .max_detections_per_class = spec->max_per_class,
        .max_total_detections = spec->max_total,
        .change_coordinate_frame = true,
        .coder = {spec->y_scale, spec->x_scale, spec->height_scale, spec->width_scale},
    };
}

static det_status take_network(struct det_env *env, const det_model *model,
                               const struct det_model_spec *spec, enum det_inference_form form,
                               struct det_inference *inference)
{
    const bool folded = form == DET_INFERENCE_FOLDED || model->graph.folded;
    const bool same_size = spec->input_height == model->spec.input_height &&
                           spec->input_width == model->spec.input_width;
    inference->graph = &model->graph;
    inference->params = model->params;
    inference->quantised = model->quantised;
    if (folded == model->graph.folded && same_size)
        return DET_OK;
    DET_TRY_RETURN(det_graph_build(env, spec, folded, &inference->own_graph));
    inference->graph = &inference->own_graph;
    if (folded == model->graph.folded) /* the input's size moves no parameter */
        return DET_OK;
    DET_TRY_RETURN(det_alloc(env, &inference->own_params, inference->own_graph.param_floats,
                             sizeof(float), "folded parameters"));
    det_graph_fold_params(&model->graph, det_model_export_params(model), &inference->own_graph,
                          inference->own_params);
    inference->params = inference->own_params;
    return DET_OK;
}

det_status det_inference_open(struct det_env *env, const det_model *model,
                              const struct det_model_spec *spec, enum det_inference_form form,
                              struct det_inference *inference)
{
    *inference = (struct det_inference){.postprocess = det_spec_postprocess(spec)};
    det_status status = DET_OK;
    DET_TRY(take_network(env, model, spec, form, inference));
    DET_TRY(det_spec_anchors(env, spec, &inference->anchors, &inference->anchor_count));
    return DET_OK;
fail:
    det_inference_close(env, inference);
    return status;
}

void det_inference_close(struct det_env *env, struct det_inference *inference)
{
    det_free(env, &inference->anchors);
    det_free(env, &inference->own_params);
    det_graph_free(env, &inference->own_graph);
    *inference = (struct det_inference){0};
}
