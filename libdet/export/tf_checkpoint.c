/* tf_checkpoint.c: a training's weights as the TF Object Detection API saves them (model_lib_v2.py
 * train_loop(): Checkpoint(step, model, optimizer)), with the optimizer's slots when the model has
 * them: a training goes on from it there, and exporter_main_v2.py makes a SavedModel of it.
 *
 * Moving statistics are those that every export has: taken anew, where the training did that.
 * `save_counter` is the step, so that what TensorFlow saves next has a higher number than this. */
#include <stdio.h>
#include <string.h>

#include "export/export.h"
#include "export/tf_object_graph.h"
#include "formats/tf_bundle.h"
#include "model/optimizer_state.h"
#include "support/mem.h"

enum { MOST_NUMBERS = 8, DATA = 0, INDEX = 1, STATE = 2 };

/* What is written: tensors, and the graph that leads to them. */
struct contents {
    struct det_tf_tensor *tensors;
    size_t count, capacity;
    struct det_tf_graph graph;
    struct det_text graph_bytes;
    float *params; /* of the model, with the weights that are trained */
    int64_t wholes[MOST_NUMBERS];
    float floats[MOST_NUMBERS];
    size_t number_count;
};

static void free_contents(struct det_env *env, struct contents *c)
{
    for (size_t i = 0; i < c->count; i++)
        det_free(env, &c->tensors[i].key);
    det_free(env, &c->tensors);
    det_free(env, &c->params);
    det_tf_graph_free(env, &c->graph);
    det_text_free(env, &c->graph_bytes);
}

static det_status add_tensor(struct det_env *env, struct contents *c, const char *key,
                             const struct det_tf_tensor *tensor)
{
    DET_TRY_RETURN(det_grow(env, &c->tensors, &c->capacity, c->count + 1, sizeof *c->tensors,
                            "checkpoint tensors"));
    c->tensors[c->count] = *tensor;
    DET_TRY_RETURN(det_strdup(env, &c->tensors[c->count].key, key));
    c->count++;
    return DET_OK;
}

static det_status add_scalar(struct det_env *env, struct contents *c, const char *path,
                             uint32_t dtype, const void *data, size_t bytes)
{
    int32_t node = 0;
    DET_TRY_RETURN(det_tf_graph_add_variable(env, &c->graph, path, &node));
    return add_tensor(env, c, c->graph.nodes[node].key,
                      &(struct det_tf_tensor){.dtype = dtype, .data = data, .bytes = bytes});
}

static det_status add_whole(struct det_env *env, struct contents *c, const char *path,
                            int64_t value)
{
    int64_t *kept = &c->wholes[c->number_count++];
    *kept = value;
    return add_scalar(env, c, path, DET_TF_INT64, kept, sizeof *kept);
}

static det_status add_float(struct det_env *env, struct contents *c, const char *path, float value)
{
    float *kept = &c->floats[c->number_count++];
    *kept = value;
    return add_scalar(env, c, path, DET_TF_FLOAT, kept, sizeof *kept);
}

static det_status add_param(struct det_env *env, struct contents *c, const struct det_param *param,
                            int32_t node, const float *values)
{
    struct det_tf_tensor tensor = {.dtype = DET_TF_FLOAT,
                                   .dims = param->dims,
                                   .data = values,
                                   .bytes = param->count * sizeof *values};
    for (int32_t d = 0; d < param->dims; d++)
        tensor.shape[d] = param->shape[d];
    return add_tensor(env, c, c->graph.nodes[node].key, &tensor);
}

/* The model's parameters, of what is trained the weights and not their averages. */
static det_status make_params(struct det_env *env, const det_model *model, struct contents *c)
{
    const struct det_graph *graph = &model->graph;
    const float *weights = model->optimizer != NULL ? model->optimizer->weights : NULL;
    DET_TRY_RETURN(
        det_alloc(env, &c->params, graph->param_floats, sizeof *c->params, "parameters"));
    memcpy(c->params, det_model_export_params(model), graph->param_floats * sizeof *c->params);
    for (int32_t p = 0; p < graph->param_count && weights != NULL; p++)
        if (graph->params[p].trainable)
            memcpy(c->params + graph->params[p].offset, weights + graph->params[p].offset,
                   graph->params[p].count * sizeof *weights);
    return DET_OK;
}

static det_status add_params(struct det_env *env, const det_model *model, struct contents *c)
{
    int32_t node = 0;
    for (int32_t p = 0; p < model->graph.param_count; p++) {
        const struct det_param *param = &model->graph.params[p];
        if (!param->stored)
            continue;
        DET_TRY_RETURN(det_tf_graph_add_variable(env, &c->graph, param->key, &node));
        DET_TRY_RETURN(add_param(env, c, param, node, c->params + param->offset));
    }
    return DET_OK;
}

static det_status add_slots(struct det_env *env, const det_model *model, int32_t slot,
                            int32_t optimizer, struct contents *c)
{
    const struct det_optimizer_state *state = model->optimizer;
    const char *name = det_optimizer_slot_name(state->settings.rule, slot, state->average_slot);
    for (int32_t p = 0; p < model->graph.param_count; p++) {
        const struct det_param *param = &model->graph.params[p];
        int32_t variable = 0, node = 0;
        if (!param->trainable)
            continue;
        DET_TRY_RETURN(det_tf_graph_add(env, &c->graph, param->key, &variable));
        DET_TRY_RETURN(det_tf_graph_add_slot(env, &c->graph, optimizer, variable, name, &node));
        DET_TRY_RETURN(add_param(env, c, param, node, state->slots[slot] + param->offset));
    }
    return DET_OK;
}

/* Keras' variables of an optimizer's numbers. */
static det_status add_numbers(struct det_env *env, const struct det_optimizer_state *state,
                              const char *optimizer, struct contents *c)
{
    const struct det_learner_settings *s = &state->settings;
    const struct {
        enum det_update_rule rule;
        const char *name;
        float value;
    } numbers[] = {
        {DET_UPDATE_MOMENTUM, "decay", 0},
        {DET_UPDATE_MOMENTUM, "momentum", s->momentum},
        {DET_UPDATE_RMSPROP, "decay", s->rmsprop_decay},
        {DET_UPDATE_RMSPROP, "momentum", s->rmsprop.momentum},
        {DET_UPDATE_RMSPROP, "rho", s->rmsprop.rho},
        {DET_UPDATE_ADAM, "beta_1", s->adam.beta1},
        {DET_UPDATE_ADAM, "beta_2", s->adam.beta2},
        {DET_UPDATE_ADAM, "decay", 0},
    };
    char path[64];
    snprintf(path, sizeof path, "%s/iter", optimizer);
    DET_TRY_RETURN(add_whole(env, c, path, state->updates));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (numbers[i].rule != s->rule)
            continue;
        snprintf(path, sizeof path, "%s/%s", optimizer, numbers[i].name);
        DET_TRY_RETURN(add_float(env, c, path, numbers[i].value));
    }
    return DET_OK;
}

/* With moving averages one optimizer is in another, under the names that older and newer
 * tf-models-official have for it. */
static det_status add_optimizer(struct det_env *env, const det_model *model, struct contents *c)
{
    const struct det_optimizer_state *state = model->optimizer;
    const bool averages = state->average_slot >= 0;
    int32_t outer = 0, inner = 0;
    DET_TRY_RETURN(det_tf_graph_add(env, &c->graph, "optimizer", &outer));
    inner = outer;
    if (averages) {
        DET_TRY_RETURN(det_tf_graph_add(env, &c->graph, "optimizer/base_optimizer", &inner));
        DET_TRY_RETURN(det_tf_graph_add_name(env, &c->graph, outer, "ema_base_optimizer", inner));
    }
    DET_TRY_RETURN(add_numbers(env, state, averages ? "optimizer/base_optimizer" : "optimizer", c));
    for (int32_t s = 0; s < state->slot_count; s++)
        DET_TRY_RETURN(add_slots(env, model, s, s == state->average_slot ? outer : inner, c));
    return DET_OK;
}

static det_status collect(struct det_env *env, const det_model *model, struct contents *c)
{
    DET_TRY_RETURN(make_params(env, model, c));
    DET_TRY_RETURN(add_params(env, model, c));
    if (model->optimizer != NULL)
        DET_TRY_RETURN(add_optimizer(env, model, c));
    DET_TRY_RETURN(add_whole(env, c, "step", model->step));
    DET_TRY_RETURN(add_whole(env, c, "save_counter", model->step));
    DET_TRY_RETURN(det_tf_graph_write(env, &c->graph, &c->graph_bytes));
    return add_tensor(env, c, DET_TF_OBJECT_GRAPH,
                      &(struct det_tf_tensor){.dtype = DET_TF_STRING,
                                              .data = c->graph_bytes.data,
                                              .bytes = c->graph_bytes.length});
}

static det_status check(struct det_env *env, const struct det_export_job *job)
{
    const det_export_settings *s = &job->settings;
    if (job->model->graph.folded)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "format tf_checkpoint has the weights of a training: in an exported .det "
                        "the batch norms are folded; export the checkpoint that it was made of");
    if (s->outputs != DET_EXPORT_OUTPUTS_AUTO || s->input != DET_EXPORT_INPUT_AUTO ||
        s->precision != DET_EXPORT_FLOAT32 || s->batch != 1)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "format tf_checkpoint has no outputs, input, precision or batch to choose: "
                        "it is a training's float32 weights");
    if (s->score_threshold >= 0 || s->iou_threshold >= 0 || s->max_detections > 0)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "format tf_checkpoint has no thresholds: with TensorFlow they are in the "
                        "pipeline.config");
    return DET_OK;
}

static det_status describe(struct det_env *env, const det_model *model, const struct contents *c,
                           struct det_text *signature)
{
    DET_TRY_RETURN(det_text_printf(env, signature, "step %lld, %zu tensors", (long long)model->step,
                                   c->count - 1));
    const struct det_optimizer_state *state = model->optimizer;
    for (int32_t s = 0; state != NULL && s < state->slot_count; s++)
        DET_TRY_RETURN(
            det_text_printf(env, signature, "%s%s", s == 0 ? ", optimizer slots " : " and ",
                            det_optimizer_slot_name(state->settings.rule, s, state->average_slot)));
    return det_text_printf(
        env, signature, "%s%s\n", state != NULL ? "" : ", no optimizer: momentum begins at 0",
        det_model_has_ranges(model) ? ", without the ranges of training in 8 bits" : "");
}

static det_status write_tf_checkpoint(struct det_env *env, const struct det_export_job *job,
                                      struct det_export *exported)
{
    struct contents c = {0};
    struct det_text *data = NULL, *index = NULL, *state = NULL;
    const char *name = job->settings.name;
    det_status status = DET_OK;
    DET_TRY(check(env, job));
    DET_TRY(collect(env, job->model, &c));
    DET_TRY(det_export_add_file(env, exported, name, ".data-00000-of-00001", &data));
    DET_TRY(det_export_add_file(env, exported, name, ".index", &index));
    DET_TRY(det_export_add_file(env, exported, "checkpoint", "", &state));
    DET_TRY(det_tf_bundle_write(env, c.tensors, c.count, index, data));
    DET_TRY(det_checkpoint_state_text(env, name, state));
    DET_TRY(describe(env, job->model, &c, &exported->signature));
fail:
    free_contents(env, &c);
    return status;
}

/* --- the proof: every bit is there again --- */

static det_status check_tensor(struct det_env *env, struct det_tf_bundle *bundle,
                               const struct det_tf_tensor *wanted)
{
    const struct det_tf_entry *entry = det_tf_bundle_find(bundle, wanted->key);
    struct det_text bytes = {0};
    det_status status = DET_OK;
    if (entry == NULL || entry->dtype != wanted->dtype || entry->dims != wanted->dims ||
        memcmp(entry->shape, wanted->shape, sizeof entry->shape) != 0)
        return det_fail(env, DET_STATUS_MISMATCH, "`%s` is not there, or with another shape",
                        wanted->key);
    DET_TRY(det_tf_bundle_read_bytes(env, bundle, entry, &bytes));
    if (bytes.length != wanted->bytes || memcmp(bytes.data, wanted->data, wanted->bytes) != 0)
        status = det_fail(env, DET_STATUS_MISMATCH, "`%s` has other values", wanted->key);
fail:
    det_text_free(env, &bytes);
    return status;
}

/* Every key of the graph is one of the tensors, and every tensor but the graph has its node. */
static det_status check_graph(struct det_env *env, struct det_tf_bundle *bundle)
{
    struct det_text bytes = {0};
    struct det_tf_graph graph = {0};
    size_t keys = 0;
    det_status status = DET_OK;
    DET_TRY(det_tf_bundle_read_bytes(env, bundle, det_tf_bundle_find(bundle, DET_TF_OBJECT_GRAPH),
                                     &bytes));
    DET_TRY(det_tf_graph_read(env, &bytes, &graph));
    for (size_t i = 0; i < graph.node_count; i++) {
        const char *key = graph.nodes[i].key;
        keys += key != NULL;
        if (key != NULL && det_tf_bundle_find(bundle, key) == NULL)
            DET_TRY(det_fail(env, DET_STATUS_MISMATCH, "object graph: `%s` is not there", key));
    }
    if (keys + 1 != det_tf_bundle_count(bundle))
        status = det_fail(env, DET_STATUS_MISMATCH, "object graph: %zu values of %zu", keys,
                          det_tf_bundle_count(bundle) - 1);
fail:
    det_text_free(env, &bytes);
    det_tf_graph_free(env, &graph);
    return status;
}

static det_status prove_tf_checkpoint(struct det_env *env, const struct det_export_job *job,
                                      struct det_export *exported)
{
    struct contents c = {0};
    struct det_tf_bundle *bundle = NULL;
    det_status status = DET_OK;
    DET_TRY(collect(env, job->model, &c));
    DET_TRY(det_tf_bundle_open_memory(env, job->settings.name, &exported->files[INDEX].data,
                                      &exported->files[DATA].data, &bundle));
    if (det_tf_bundle_count(bundle) != c.count)
        DET_TRY(det_fail(env, DET_STATUS_MISMATCH, "%zu tensors of %zu",
                         det_tf_bundle_count(bundle), c.count));
    for (size_t i = 0; i < c.count; i++)
        DET_TRY(check_tensor(env, bundle, &c.tensors[i]));
    DET_TRY(check_graph(env, bundle));
    exported->proof.proved = 1;
    exported->proof.tensors = (int32_t)c.count;
fail:
    det_tf_bundle_close(env, &bundle);
    free_contents(env, &c);
    return status;
}

const struct det_export_writer det_export_tf_checkpoint = {
    .format = {.struct_size = sizeof(det_export_format),
               .name = "tf_checkpoint",
               .description = "TensorFlow checkpoint: the Object Detection API trains on from it",
               .files = "NAME.data-00000-of-00001, NAME.index, checkpoint"},
    .named_by_step = true,
    .write = write_tf_checkpoint,
    .prove = prove_tf_checkpoint,
};
