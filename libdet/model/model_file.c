/* model_file.c: det_model to and from .det files (formats/weights.h). The meta object of every .det
 * file:
 *
 *   {"format": "libdet", "kind": "inference" or "checkpoint", "libdet": "0.1.0", "step": 600,
 *    "classes": ["cat", ...], "spec": {...}, "preprocessing": {...}, "recalibration": {...},
 *    "training": {...}}
 *
 * "classes" are by id, 1 first; "" is an id that the label map has no item for.
 * "preprocessing" says in words what "spec" already fixes, for readers that are not libdet.
 * "recalibration" is there when batch norm statistics were taken anew (model/recalibrated.c).
 * "quantisation" is in the file of a network in 8 bits (model/quantised_file.h); the ranges of a
 * training in 8 bits are tensors (model/act_ranges.h).
 * "training" is only in checkpoints (train/checkpoint.c). Tensors are the graph's parameters by key
 * in the graph's order: in an inference file each then lies as far from the first as in the
 * parameter block, and the file as it was read serves as the block. */
#include <math.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "base/half.h"
#include "det/version.h"
#include "formats/weights.h"
#include "model/model.h"
#include "model/quantised_file.h"
#include "support/finite.h"
#include "support/json_writer.h"
#include "support/mem.h"

/* --- meta --- */

static void put_preprocessing(struct det_json_writer *json, const struct det_model_spec *spec)
{
    const bool fixed = spec->resize_mode == DET_RESIZE_FIXED;
    det_json_open_object(json, "preprocessing");
    det_json_put_string(json, "color", "RGB");
    det_json_put_string(json, "resize", fixed ? "fixed" : "keep_aspect");
    det_json_put_string(json, "interpolation", "bilinear");
    det_json_put_int(json, "height", spec->input_height);
    det_json_put_int(json, "width", spec->input_width);
    if (!fixed) {
        det_json_put_int(json, "min_dimension", spec->min_dimension);
        det_json_put_int(json, "max_dimension", spec->max_dimension);
        det_json_put_bool(json, "pad_to_max_dimension", spec->pad_to_max);
    }
    det_json_put_int(json, "pad_to_multiple", spec->pad_to_multiple);
    det_json_put_string(json, "normalize", "x * 2/255 - 1");
    det_json_close_object(json);
}

det_status det_model_meta_to_json(struct det_env *env, const struct det_model_meta *meta,
                                  const char *training, struct det_text *text)
{
    struct det_json_writer json;
    det_json_begin(&json, env, text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    det_json_line(&json, 2);
    det_json_put_string(&json, "format", "libdet");
    det_json_line(&json, 2);
    det_json_put_string(&json, "kind", meta->folded ? "inference" : "checkpoint");
    det_json_line(&json, 2);
    det_json_put_string(&json, "libdet", det_version_string());
    det_json_line(&json, 2);
    det_json_put_int(&json, "step", meta->step);
    det_json_line(&json, 2);
    det_json_open_list(&json, "classes");
    for (int32_t i = 0; i < meta->spec.num_classes; i++)
        det_json_put_string(&json, NULL, meta->names[i] != NULL ? meta->names[i] : "");
    det_json_close_list(&json);
    det_json_line(&json, 2);
    det_model_spec_to_json(&json, "spec", &meta->spec);
    det_json_line(&json, 2);
    put_preprocessing(&json, &meta->spec);
    if (meta->recalibrated_images > 0) {
        det_json_line(&json, 2);
        det_json_open_object(&json, "recalibration");
        det_json_put_int(&json, "images", meta->recalibrated_images);
        det_json_put_bool(&json, "averages", meta->recalibrated_with_averages);
        det_json_close_object(&json);
    }
    if (meta->quantised != NULL) {
        det_json_line(&json, 2);
        det_quantised_to_json(&json, meta->quantised);
    }
    if (training != NULL) {
        det_json_line(&json, 2);
        det_json_put_made(&json, "training", training);
    }
    det_json_line(&json, 0);
    det_json_close_object(&json);
    det_json_line(&json, 0);
    return det_json_end(&json);
}

/* {"images": 160, "averages": false}, or nothing. */
static det_status read_recalibration(struct det_env *env, const char *path, struct det_json json,
                                     struct det_model_meta *meta)
{
    double images = 0;
    if (det_json_kind(json) == DET_JSON_NONE)
        return DET_OK;
    if (!det_json_number(det_json_get(json, "images"), &images) || !(images >= 1) ||
        !(images < 9e15))
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: no valid number of images of the recalibration", path);
    meta->recalibrated_images = (int64_t)images;
    meta->recalibrated_with_averages = det_json_is_true(det_json_get(json, "averages"));
    return DET_OK;
}

static det_status read_names(struct det_env *env, const char *path, struct det_json classes,
                             struct det_model_meta *meta)
{
    const size_t count =
        det_json_kind(classes) == DET_JSON_LIST ? det_json_count(classes) : SIZE_MAX;
    if (count != (size_t)meta->spec.num_classes)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: %lld class names for %d classes", path,
                        (long long)count, meta->spec.num_classes);
    DET_TRY_RETURN(det_alloc(env, &meta->own_names, count, sizeof *meta->own_names, "class names"));
    meta->names = (const char *const *)meta->own_names;
    struct det_json_entry name;
    int i = 0;
    for (bool more = det_json_first(classes, &name); more; more = det_json_next(&name), i++) {
        if (det_json_kind(name.value) != DET_JSON_STRING)
            return det_fail(env, DET_STATUS_CORRUPT,
                            "%s: name of class %d is %s, expected a string", path, i + 1,
                            det_json_kind_text(name.value));
        DET_TRY_RETURN(det_json_string(env, name.value, &meta->own_names[i]));
    }
    return DET_OK;
}

det_status det_model_meta_read(struct det_env *env, const struct det_weights *file,
                               struct det_model_meta *meta)
{
    const char *path = det_weights_path(file);
    const struct det_json json = det_weights_meta(file);
    *meta = (struct det_model_meta){0};
    const struct det_json kind = det_json_get(json, "kind");
    double step = 0;
    det_status status = DET_OK;
    meta->folded = det_json_equals(kind, "inference");
    if (!det_json_equals(det_json_get(json, "format"), "libdet"))
        return det_fail(env, DET_STATUS_CORRUPT, "%s: holds tensors, but no libdet model", path);
    if (!meta->folded && !det_json_equals(kind, "checkpoint")) {
        size_t bytes = 0;
        const char *text = det_json_source(kind, &bytes);
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "%s: is of the kind %.*s, expected \"inference\" or \"checkpoint\"", path,
                        (int)(bytes < 40 ? bytes : 40), text != NULL ? text : "");
    }
    if (!det_json_number(det_json_get(json, "step"), &step) || !(step >= 0) || !(step < 9e15))
        return det_fail(env, DET_STATUS_CORRUPT, "%s: no valid step", path);
    meta->step = (int64_t)step;
    DET_TRY(det_model_spec_from_json(env, path, det_json_get(json, "spec"), &meta->spec));
    DET_TRY(read_names(env, path, det_json_get(json, "classes"), meta));
    DET_TRY(read_recalibration(env, path, det_json_get(json, "recalibration"), meta));
    return DET_OK;
fail:
    det_model_meta_free(env, meta);
    return status;
}

void det_model_meta_free(struct det_env *env, struct det_model_meta *meta)
{
    for (int32_t i = 0; meta->own_names != NULL && i < meta->spec.num_classes; i++)
        det_free(env, &meta->own_names[i]);
    det_free(env, &meta->own_names);
    meta->names = NULL;
}

/* --- parameters --- */

det_status det_params_check_finite(struct det_env *env, const char *path,
                                   const struct det_param *param, const float *values)
{
    if (det_all_finite(values, param->count))
        return DET_OK;
    size_t i = 0;
    while (isfinite(values[i]))
        i++;
    return det_fail(env, DET_STATUS_NON_FINITE, "%s: %s: value %zu of %zu is %g", path, param->key,
                    i, param->count, (double)values[i]);
}

det_status det_params_require(struct det_env *env, const struct det_weights *file,
                              const struct det_param *param, const char *suffix,
                              const struct det_weights_tensor **tensor)
{
    int64_t shape[4];
    for (int32_t d = 0; d < param->dims; d++)
        shape[d] = param->shape[d];
    char *name = NULL;
    DET_TRY_RETURN(det_format(env, &name, "%s%s", param->key, suffix));
    const det_status status =
        det_weights_require(env, file, name, DET_WEIGHTS_F32, shape, param->dims, tensor);
    det_free(env, &name);
    return status;
}

det_status det_params_add(struct det_env *env, struct det_weights_writer *writer,
                          const struct det_param *param, const char *suffix, const float *values)
{
    int64_t shape[4];
    for (int32_t d = 0; d < param->dims; d++)
        shape[d] = param->shape[d];
    char *name = NULL;
    DET_TRY_RETURN(det_format(env, &name, "%s%s", param->key, suffix));
    const det_status status = det_weights_writer_add(env, writer, name, DET_WEIGHTS_F32, shape,
                                                     param->dims, values + param->offset);
    det_free(env, &name);
    return status;
}

/* Each parameter where the block has it, seen from the first. */
static bool lies_as_block(const struct det_graph *graph, const struct det_weights_tensor *first,
                          int32_t index, const struct det_weights_tensor *tensor)
{
    return (size_t)((const uint8_t *)tensor->data - (const uint8_t *)first->data) ==
           graph->params[index].offset * sizeof(float);
}

/* A parameter's tensor, in single or half precision. */
static det_status require_float(struct det_env *env, const struct det_weights *file,
                                const struct det_param *param,
                                const struct det_weights_tensor **tensor)
{
    *tensor = det_weights_find(file, param->key);
    if (*tensor == NULL || (*tensor)->dtype != DET_WEIGHTS_F16)
        return det_params_require(env, file, param, "", tensor);
    int64_t shape[4];
    for (int32_t d = 0; d < param->dims; d++)
        shape[d] = param->shape[d];
    return det_weights_require(env, file, param->key, DET_WEIGHTS_F16, shape, param->dims, tensor);
}

static det_status check_all_finite(struct det_env *env, const char *path,
                                   const struct det_graph *graph, const float *params)
{
    for (int32_t p = 0; p < graph->param_count; p++)
        DET_TRY_RETURN(det_params_check_finite(env, path, &graph->params[p],
                                               params + graph->params[p].offset));
    return DET_OK;
}

/* NULL: in float32. */
static const struct det_q8_weights *weights_in_8_bits(const struct det_model *model, int32_t param)
{
    const struct det_quantised *q = model->quantised;
    return q != NULL && q->weights[param].values != NULL ? &q->weights[param] : NULL;
}

/* Uses the file as the parameter block where it is laid out like one, else copies out of it. The
 * padding after the last parameter may lie behind the file's end, where zeros are
 * (support/io.h). */
static det_status take_params(struct det_env *env, struct det_model *model,
                              struct det_weights **file)
{
    const struct det_graph *graph = &model->graph;
    const struct det_weights_tensor *first = NULL, *tensor = NULL;
    bool as_block = graph->folded && model->quantised == NULL;
    for (int32_t p = 0; p < graph->param_count; p++) {
        const struct det_param *param = &graph->params[p];
        if (!param->stored) {
            as_block = false;
            continue;
        }
        if (weights_in_8_bits(model, p) != NULL)
            continue;
        DET_TRY_RETURN(require_float(env, *file, param, &tensor));
        first = p == 0 ? tensor : first;
        as_block =
            as_block && tensor->dtype == DET_WEIGHTS_F32 && lies_as_block(graph, first, p, tensor);
    }
    if (as_block) {
        model->params = first->data;
        DET_TRY_RETURN(check_all_finite(env, det_weights_path(*file), graph, model->params));
        model->file = *file;
        *file = NULL;
        return DET_OK;
    }
    DET_TRY_RETURN(
        det_alloc(env, &model->owned, graph->param_floats, sizeof *model->owned, "parameters"));
    model->params = model->owned;
    for (int32_t p = 0; p < graph->param_count; p++) {
        const struct det_param *param = &graph->params[p];
        float *to = model->owned + param->offset;
        const struct det_q8_weights *weights = weights_in_8_bits(model, p);
        if (weights != NULL) {
            det_q8_weights_real(weights, param->count, det_param_channels(param), to);
            continue;
        }
        if (param->stored) {
            DET_TRY_RETURN(require_float(env, *file, param, &tensor));
            DET_TRY_RETURN(det_weights_read_float(env, *file, tensor, to));
        }
        for (size_t i = 0; !param->stored && i < param->count; i++)
            to[i] = param->init.a; /* what the config switches off is a constant */
    }
    return check_all_finite(env, det_weights_path(*file), graph, model->params);
}

det_status det_model_take_ranges(struct det_env *env, const struct det_weights *file,
                                 struct det_model *model)
{
    if (!det_act_ranges_are_in(file))
        return DET_OK;
    DET_TRY_RETURN(det_act_ranges_create(env, &model->spec, &model->ranges));
    return det_act_ranges_read(env, file, &model->ranges);
}

/* --- files --- */

/* *file is the model's afterwards where that spares a copy of the weights: then it is NULL. */
static det_status make_model(struct det_env *env, struct det_weights **file, det_model **out)
{
    struct det_model_meta meta = {0};
    det_status status = DET_OK;
    DET_TRY(det_model_meta_read(env, *file, &meta));
    DET_TRY(det_model_prepare(env, &meta.spec, meta.folded, meta.names, out));
    (*out)->step = meta.step;
    (*out)->recalibrated_images = meta.folded ? meta.recalibrated_images : 0;
    if (det_quantised_is_in(*file)) {
        if (!meta.folded)
            DET_TRY(det_fail(env, DET_STATUS_CORRUPT, "%s: a checkpoint in 8 bits",
                             det_weights_path(*file)));
        DET_TRY(det_quantised_read(env, *file, &(*out)->graph, &(*out)->quantised));
    }
    DET_TRY(take_params(env, *out, file));
    if (!meta.folded) {
        DET_TRY(det_model_take_recalibrated(env, *file, &meta, false, *out));
        DET_TRY(det_model_take_ranges(env, *file, *out));
    }
fail:
    det_model_meta_free(env, &meta);
    if (status != DET_OK)
        det_model_destroy(out);
    return status;
}

det_status det_model_read(struct det_env *env, const char *path, det_model **out)
{
    *out = NULL;
    struct det_weights *file = NULL;
    det_status status = DET_OK;
    const struct det_budget before = det_budget_open(env, path);
    DET_TRY(det_weights_open(env, path, true, &file));
    DET_TRY(make_model(env, &file, out));
fail:
    det_budget_close(env, before);
    det_weights_close(env, &file);
    return status;
}

/* In the model's own form, in single or half precision. */
static det_status write_model(struct det_env *env, const struct det_model *model, bool half,
                              const char *path, struct det_text *memory)
{
    struct det_weights_writer *writer = NULL;
    struct det_text json = {0};
    struct det_quantised_tables tables = {0};
    uint16_t *halves = NULL; /* laid out like the parameters; lives until the file is written */
    struct det_model_meta meta = {
        .folded = model->graph.folded,
        .spec = model->spec,
        .step = model->step,
        .quantised = model->quantised,
        .recalibrated_images = half && !model->graph.folded ? 0 : model->recalibrated_images};
    const char **names = NULL;
    det_status status = DET_OK;
    DET_TRY(det_model_names(env, model, &names));
    meta.names = names;
    DET_TRY(det_model_meta_to_json(env, &meta, NULL, &json));
    DET_TRY(det_weights_writer_create(env, path, memory, &writer));
    DET_TRY(det_weights_writer_set_meta(env, writer, json.data));
    DET_TRY(check_all_finite(env, path, &model->graph, model->params));
    if (half)
        DET_TRY(det_alloc_raw(env, &halves, model->graph.param_floats, sizeof *halves,
                              "half-precision weights"));
    for (int32_t p = 0; p < model->graph.param_count; p++) {
        const struct det_param *param = &model->graph.params[p];
        if (!param->stored || weights_in_8_bits(model, p) != NULL)
            continue;
        if (!half) {
            DET_TRY(det_params_add(env, writer, param, "", model->params));
            continue;
        }
        int64_t shape[4];
        for (int32_t d = 0; d < param->dims; d++)
            shape[d] = param->shape[d];
        for (size_t i = 0; i < param->count; i++)
            halves[param->offset + i] = det_float_to_half(model->params[param->offset + i]);
        DET_TRY(det_weights_writer_add(env, writer, param->key, DET_WEIGHTS_F16, shape, param->dims,
                                       halves + param->offset));
    }
    if (!half && model->recalibrated != NULL)
        DET_TRY(det_recalibrated_add(env, writer, &model->graph, model->recalibrated));
    if (!half && det_model_has_ranges(model))
        DET_TRY(det_act_ranges_add(env, writer, &model->ranges));
    if (model->quantised != NULL)
        DET_TRY(det_quantised_add(env, writer, &model->graph, model->quantised, &tables));
    DET_TRY(det_weights_writer_finish(env, &writer));
fail:
    det_free(env, &names);
    det_free(env, &halves);
    det_quantised_tables_free(env, &tables);
    det_weights_writer_destroy(env, &writer);
    det_text_free(env, &json);
    return status;
}

det_status det_model_write(struct det_env *env, const struct det_model *model, const char *path,
                           struct det_text *memory)
{
    if (model->graph.folded)
        return write_model(env, model, false, path, memory);
    struct det_model *folded = NULL;
    const char **names = NULL;
    det_status status = DET_OK;
    DET_TRY(det_model_names(env, model, &names));
    DET_TRY(det_model_create(env, &model->spec, true, names, &folded));
    folded->step = model->step;
    folded->recalibrated_images = model->recalibrated_images;
    det_graph_fold_params(&model->graph, det_model_export_params(model), &folded->graph,
                          folded->owned);
    status = write_model(env, folded, false, path, memory);
fail:
    det_model_destroy(&folded);
    det_free(env, &names);
    return status;
}

det_status det_model_load(det_context *context, const char *path, det_model **model)
{
    struct det_env *env = det_context_env(context);
    if (model != NULL)
        *model = NULL;
    DET_NEED(env, context);
    DET_NEED(env, path);
    DET_NEED(env, model);
    return det_model_read(env, path, model);
}

det_status det_model_load_memory(det_context *context, const char *name, const void *data,
                                 size_t bytes, det_model **model)
{
    struct det_env *env = det_context_env(context);
    struct det_weights *file = NULL;
    det_status status = DET_OK;
    if (model != NULL)
        *model = NULL;
    DET_NEED(env, context);
    DET_NEED(env, name);
    DET_NEED_ARRAY(env, data, bytes);
    DET_NEED(env, model);
    const struct det_budget before = det_budget_open(env, name);
    DET_TRY(det_weights_open_memory(env, name, data, bytes, true, &file));
    DET_TRY(make_model(env, &file, model));
fail:
    det_budget_close(env, before);
    det_weights_close(env, &file);
    return status;
}

det_status det_model_export(det_context *context, const det_model *model, const char *path)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED(env, model);
    DET_NEED(env, path);
    return det_model_write(env, model, path, NULL);
}

det_status det_model_save(det_context *context, const det_model *model, const char *path)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED(env, model);
    DET_NEED(env, path);
    return write_model(env, model, false, path, NULL);
}

det_status det_model_save_half(det_context *context, const det_model *model, const char *path)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED(env, model);
    DET_NEED(env, path);
    if (model->quantised != NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: the model is in 8 bits, which half precision would not keep", path);
    return write_model(env, model, true, path, NULL);
}
