/* quantise_api.c: det/quantisation.h. */
#include <string.h>

#include "base/arguments.h"
#include "model/inference.h"
#include "quantise/floats.h"
#include "quantise/quantise.h"
#include "quantise/ranges.h"
#include "support/mem.h"

void det_quantisation_settings_init(det_quantisation_settings *settings, size_t struct_size)
{
    static const det_quantisation_settings defaults = {
        .images = DET_QUANTISATION_IMAGES, .equalise = 1, .correct_biases = 1};
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

const char *det_quantisation_observer_name(det_quantisation_observer observer)
{
    switch (observer) {
    case DET_OBSERVER_AUTO:
        return "auto";
    case DET_OBSERVER_MINMAX:
        return "minmax";
    case DET_OBSERVER_AVERAGE:
        return "average";
    case DET_OBSERVER_PERCENTILE:
        return "percentile";
    case DET_OBSERVER_SQUARES:
        return "squares";
    case DET_OBSERVER_TRAINED:
        return "trained";
    }
    return NULL;
}

static det_status check(struct det_env *env, const det_model *model,
                        const det_quantisation_settings *s)
{
    if (model->quantised != NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "the model is in 8 bits already");
    const bool trained = det_model_has_ranges(model);
    const bool pictures = s->record_count > 0 || s->samples != NULL;
    if (trained &&
        (pictures || (s->observer != DET_OBSERVER_AUTO && s->observer != DET_OBSERVER_TRAINED)))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "the model was trained in 8 bits and has its ranges: neither pictures nor "
                        "an observer can be given");
    if (!trained && s->observer == DET_OBSERVER_TRAINED)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "the model has no trained ranges: they come from a training with "
                        "graph_rewriter in its pipeline.config");
    if (!trained && !pictures)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "quantisation needs pictures: records or samples");
    if (s->images < 1)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "images: got %lld, expected 1 or more",
                        (long long)s->images);
    if (det_quantisation_observer_name(s->observer) == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "observer: got %d, expected 0 to 5 (det_quantisation_observer)",
                        (int)s->observer);
    if (s->floats != DET_QUANTISATION_FLOATS_AUTO && s->floats != DET_QUANTISATION_FLOATS_NONE)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "floats: got %d, expected 0 or 1 (det_quantisation_floats)",
                        (int)s->floats);
    return DET_OK;
}

static det_status open_pictures(struct det_env *env, const det_quantisation_settings *s,
                                int32_t classes, struct det_dataset *dataset)
{
    return det_dataset_open(env,
                            &(struct det_dataset_settings){
                                .role = "calibration",
                                .patterns = s->records,
                                .pattern_count = s->record_count,
                                .source = s->samples,
                                .class_count = classes,
                                .image_dirs = s->image_dirs,
                                .image_dir_count = s->image_dir_count,
                                .images_only = true,
                            },
                            dataset);
}

/* A model that is being made, and who judges it. */
struct judge {
    const det_quantisation_settings *settings;
    const det_model *model;
};

static int ask(void *user)
{
    const struct judge *judge = user;
    return judge->settings->accept(judge->settings->accept_user, judge->model);
}

/* From pictures, into a model of the same form. */
static det_status make_of_pictures(det_context *context, const det_model *model,
                                   const struct det_inference *inference,
                                   const det_quantisation_settings *s, det_model *out)
{
    struct det_env *env = det_context_env(context);
    struct det_dataset dataset = {0};
    det_status status = DET_OK;
    DET_TRY(open_pictures(env, s, model->spec.num_classes, &dataset));
    struct judge judge = {s, out};
    const struct det_quantise_job job = {
        .spec = &model->spec,
        .graph = &out->graph,
        .params = inference->params,
        .dataset = &dataset,
        .settings = *s,
        .accept = s->accept != NULL ? ask : NULL,
        .accept_user = &judge,
    };
    DET_TRY(det_quantise(context, &job, out->owned, &out->quantised));
fail:
    det_dataset_close(env, &dataset);
    return status;
}

/* From what training has learnt. */
static det_status make_of_ranges(struct det_env *env, const struct det_act_ranges *ranges,
                                 const float *params, det_model *out)
{
    const struct det_graph *g = &out->graph;
    struct det_real_range *trained = NULL;
    bool *eight_bits = NULL;
    det_status status = DET_OK;
    for (int32_t p = 0; p < g->param_count; p++)
        DET_TRY(det_params_check_finite(env, "model", &g->params[p], params + g->params[p].offset));
    DET_TRY(det_alloc(env, &trained, (size_t)g->tensor_count, sizeof *trained, "ranges"));
    DET_TRY(det_alloc(env, &eight_bits, (size_t)g->op_count, sizeof *eight_bits, "ranges"));
    for (int32_t t = 0; t < g->tensor_count; t++)
        trained[t] = (struct det_real_range){(double)ranges->low[t], (double)ranges->high[t]};
    for (int32_t i = 0; i < g->op_count; i++)
        eight_bits[i] = det_op_is_convolution(&g->ops[i]);
    const struct det_ranges_choice choice = {
        .observer = DET_OBSERVER_TRAINED, .eight_bits = eight_bits, .trained = trained};
    DET_TRY(det_ranges_make(env, g, NULL, params, &choice, out->owned, &out->quantised));
    out->quantised->observer = DET_OBSERVER_TRAINED;
fail:
    det_free(env, &trained);
    det_free(env, &eight_bits);
    return status;
}

/* No layer of a model that was trained in 8 bits goes back. */
static det_status ask_once(struct det_env *env, const det_quantisation_settings *s,
                           const det_model *out)
{
    const int answer = s->accept != NULL ? s->accept(s->accept_user, out) : 1;
    if (answer < 0)
        return det_fail(env, DET_STATUS_CANCELLED, "quantisation was stopped");
    return answer > 0 ? DET_OK
                      : det_fail(env, DET_STATUS_MISMATCH,
                                 "the model was not accepted, and stays as it was trained");
}

/* The model's names and step, the network of `inference`. */
static det_status make(det_context *context, const det_model *model,
                       const struct det_inference *inference, const det_quantisation_settings *s,
                       det_model **out)
{
    struct det_env *env = det_context_env(context);
    const char **names = NULL;
    det_status status = DET_OK;
    DET_TRY(det_model_names(env, model, &names));
    DET_TRY(det_model_create(env, &model->spec, true, names, out));
    (*out)->step = model->step;
    (*out)->recalibrated_images = model->recalibrated_images;
    if (!det_model_has_ranges(model))
        DET_TRY(make_of_pictures(context, model, inference, s, *out));
    if (det_model_has_ranges(model)) {
        DET_TRY(make_of_ranges(env, &model->ranges, inference->params, *out));
        DET_TRY(ask_once(env, s, *out));
    }
fail:
    det_free(env, &names);
    return status;
}

det_status det_model_quantise(det_context *context, const det_model *model,
                              const det_quantisation_settings *settings, det_model **quantised)
{
    struct det_env *env = det_context_env(context);
    det_quantisation_settings s;
    struct det_inference inference = {0};
    det_status status = DET_OK;
    if (quantised != NULL)
        *quantised = NULL;
    DET_NEED(env, context);
    DET_NEED(env, model);
    DET_NEED(env, quantised);
    det_quantisation_settings_default(&s);
    if (settings != NULL)
        DET_TRY_RETURN(DET_TAKE(env, det_quantisation_settings, &s, settings));
    DET_TRY_RETURN(
        det_check_strings(env, "det_quantisation_settings: records", s.records, s.record_count));
    DET_TRY_RETURN(det_check_strings(env, "det_quantisation_settings: image_dirs", s.image_dirs,
                                     s.image_dir_count));
    DET_TRY_RETURN(check(env, model, &s));
    DET_TRY(det_inference_open(env, model, &model->spec, DET_INFERENCE_FOLDED, &inference));
    DET_TRY(make(context, model, &inference, &s, quantised));
fail:
    det_inference_close(env, &inference);
    if (status != DET_OK)
        det_model_destroy(quantised);
    return status;
}

/* --- what is known --- */

int det_model_is_trained_in_8_bits(const det_model *model)
{
    return model != NULL && det_model_has_ranges(model);
}

det_status det_model_quantisation(det_context *context, const det_model *model,
                                  det_quantisation_info *info)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED(env, model);
    DET_NEED_REPORT(env, det_quantisation_info, info);
    det_quantisation_info made = {0};
    const struct det_quantised *q = model->quantised;
    for (int32_t i = 0; q != NULL && i < q->op_count; i++) {
        made.layers += det_op_is_convolution(&model->graph.ops[i]);
        made.float_layers += det_op_is_convolution(&model->graph.ops[i]) && !q->eight_bits[i];
    }
    if (q != NULL) {
        made.float_share = det_floats_share(&model->graph, q->eight_bits);
        made.is_quantised = 1;
        made.images = q->images;
        made.observer = (det_quantisation_observer)q->observer;
        made.equalised = q->equalised;
        made.biases_corrected = q->biases_corrected;
        made.score_error = q->score_error;
        made.box_error = q->box_error;
    }
    det_fill_report(info, &made, sizeof made);
    return DET_OK;
}

det_status det_model_quantisation_layer(det_context *context, const det_model *model, size_t index,
                                        det_quantisation_layer *layer)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED(env, model);
    DET_NEED_REPORT(env, det_quantisation_layer, layer);
    const struct det_quantised *q = model->quantised;
    det_quantisation_layer made = {0};
    size_t place = 0;
    det_fill_report(layer, &made, sizeof made);
    for (int32_t i = 0; q != NULL && i < q->op_count; i++) {
        if (!det_op_is_convolution(&model->graph.ops[i]) || place++ != index)
            continue;
        made.name = model->graph.ops[i].name;
        made.is_float = !q->eight_bits[i];
        made.error = (double)q->errors[i];
        det_fill_report(layer, &made, sizeof made);
        return DET_OK;
    }
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                    "model: 8-bit layer %zu is asked for, it has %zu (counted from 0)", index,
                    place);
}
