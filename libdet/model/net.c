#include "model/net.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

struct det_net {
    const struct det_graph *graph;
    const struct det_ops *ops;
    struct det_exec exec;
    int32_t batch;
    enum det_net_mode mode;

    uint8_t *arena;
    float **values;    /* per tensor */
    float **gradients; /* per tensor, NULL where none is kept */
    struct det_net_plan plan;
    float *statistics; /* where the plan says: batch norms' mean [c], variance [c] */
    float *encodings, *logits, *encoding_gradients, *logit_gradients;
};

/* The most that an operation needs. */
static size_t workspace_bytes(const struct det_graph *graph, const struct det_ops *ops, int threads,
                              int32_t batch, enum det_net_mode mode)
{
    size_t most = 0;
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        size_t need = 0;
        if (op->kind == DET_OP_CONV || op->kind == DET_OP_DWCONV) {
            const struct det_conv_shape s = det_net_conv_shape(graph, op, batch);
            need = ops->conv_workspace(&s, op->kind == DET_OP_DWCONV, threads);
        }
        if (need > most)
            most = need;
        if (det_net_is_training(mode) || op->kind == DET_OP_BATCH_NORM) {
            need = ops->bn_workspace(det_net_rows(graph, op->out, batch),
                                     graph->tensors[op->out].channels, threads);
            if (need > most)
                most = need;
        }
    }
    return most;
}

static det_status make_plan(struct det_env *env, const struct det_graph *graph, int32_t batch,
                            enum det_net_mode mode, struct det_net_plan *plan)
{
    const struct det_net_plan_settings settings = {
        .batch = batch,
        .mode = mode,
        .element_bytes = sizeof(float),
        .alignment = DET_ALIGNMENT,
    };
    return det_net_plan_create(env, graph, &settings, plan);
}

/* Floats of encodings + logits, once for inference, twice (gradients) for training. */
static size_t output_floats(const struct det_graph *graph, int32_t batch)
{
    return (size_t)batch * (size_t)graph->anchor_count * (size_t)(4 + graph->class_slots);
}

det_status det_net_memory_bytes(struct det_env *env, const struct det_graph *graph,
                                const struct det_ops *ops, int threads, int32_t batch,
                                enum det_net_mode mode, size_t *bytes)
{
    struct det_net_plan plan;
    *bytes = 0;
    DET_TRY_RETURN(make_plan(env, graph, batch, mode, &plan));
    *bytes = plan.arena_bytes + workspace_bytes(graph, ops, threads, batch, mode) +
             sizeof(float) * (plan.statistics_floats +
                              output_floats(graph, batch) * (det_net_is_training(mode) ? 2 : 1));
    det_net_plan_free(env, &plan);
    return DET_OK;
}

static det_status allocate(struct det_env *env, struct det_net *net)
{
    const struct det_graph *graph = net->graph;
    const struct det_net_plan *plan = &net->plan;
    const size_t tensors = (size_t)graph->tensor_count;
    const size_t anchors = (size_t)net->batch * (size_t)graph->anchor_count;
    DET_TRY_RETURN(det_alloc_raw(env, &net->arena, plan->arena_bytes, 1, "network tensors"));
    DET_TRY_RETURN(
        det_alloc_raw(env, &net->exec.workspace, net->exec.workspace_bytes, 1, "workspace"));
    DET_TRY_RETURN(det_alloc(env, &net->values, tensors, sizeof(float *), "network"));
    DET_TRY_RETURN(det_alloc(env, &net->gradients, tensors, sizeof(float *), "network"));
    DET_TRY_RETURN(det_alloc(env, &net->statistics, plan->statistics_floats, sizeof(float),
                             "batch norm statistics"));
    DET_TRY_RETURN(det_alloc(env, &net->encodings, anchors, 4 * sizeof(float), "box encodings"));
    DET_TRY_RETURN(det_alloc(env, &net->logits, anchors, (size_t)graph->class_slots * sizeof(float),
                             "class logits"));
    if (det_net_is_training(net->mode)) {
        DET_TRY_RETURN(det_alloc(env, &net->encoding_gradients, anchors, 4 * sizeof(float),
                                 "box encoding gradients"));
        DET_TRY_RETURN(det_alloc(env, &net->logit_gradients, anchors,
                                 (size_t)graph->class_slots * sizeof(float),
                                 "class logit gradients"));
    }
    for (size_t t = 0; t < tensors; t++) {
        net->values[t] = (float *)(void *)(net->arena + plan->value_offsets[t]);
        if (plan->gradient_offsets[t] != DET_NO_GRADIENT)
            net->gradients[t] = (float *)(void *)(net->arena + plan->gradient_offsets[t]);
    }
    return DET_OK;
}

det_status det_net_create(struct det_env *env, const struct det_graph *graph,
                          const struct det_ops *ops, struct det_pool *pool, int32_t batch,
                          enum det_net_mode mode, struct det_net **out)
{
    *out = NULL;
    struct det_net *net = NULL;
    DET_TRY_RETURN(det_alloc(env, &net, 1, sizeof *net, "network"));
    *net = (struct det_net){.graph = graph, .ops = ops, .batch = batch, .mode = mode};
    det_status status = DET_OK;
    DET_TRY(make_plan(env, graph, batch, mode, &net->plan));
    net->exec.pool = pool;
    net->exec.workspace_bytes = workspace_bytes(graph, ops, det_pool_threads(pool), batch, mode);
    DET_TRY(allocate(env, net));
    *out = net;
    return DET_OK;
fail:
    det_net_destroy(env, &net);
    return status;
}

void det_net_destroy(struct det_env *env, struct det_net **pointer)
{
    struct det_net *net = *pointer;
    if (net == NULL)
        return;
    det_net_plan_free(env, &net->plan);
    det_free(env, &net->arena);
    det_free(env, &net->exec.workspace);
    det_free(env, &net->values);
    det_free(env, &net->gradients);
    det_free(env, &net->statistics);
    det_free(env, &net->encodings);
    det_free(env, &net->logits);
    det_free(env, &net->encoding_gradients);
    det_free(env, &net->logit_gradients);
    det_free(env, pointer);
}

/* Batch norm `index`: mean [c], then variance [c]. */
static float *statistics_of(const struct det_net *net, int32_t index)
{
    return net->statistics + net->plan.statistics_offsets[index];
}

float *det_net_input(struct det_net *net)
{
    return net->values[0];
}

void det_net_fill_input(const struct det_graph *graph, int32_t batch, const float *images,
                        int32_t height, int32_t width, float *input)
{
    const struct det_tensor t = graph->tensors[0];
    const size_t row = (size_t)width * 3, full_row = (size_t)t.width * 3;
    for (int32_t n = 0; n < batch; n++) {
        for (int32_t y = 0; y < t.height; y++, input += full_row) {
            size_t filled = 0;
            if (y < height) {
                const float *from = images + ((size_t)n * (size_t)height + (size_t)y) * row;
                for (; filled < row; filled++)
                    input[filled] = (2.0f / 255.0f) * from[filled] - 1.0f;
            }
            memset(input + filled, 0, (full_row - filled) * sizeof *input);
        }
    }
}

void det_net_set_images(struct det_net *net, const float *images, int32_t height, int32_t width)
{
    det_net_fill_input(net->graph, net->batch, images, height, width, net->values[0]);
}

static const float *param_of(const struct det_net *net, const float *params, int32_t index)
{
    return index < 0 ? NULL : params + net->graph->params[index].offset;
}

static void forward_op(struct det_net *net, const float *params, int32_t index)
{
    const struct det_graph *g = net->graph;
    const struct det_op *op = &g->ops[index];
    const struct det_ops *k = net->ops;
    const struct det_exec *x = &net->exec;
    const float *in = net->values[op->in];
    const float *in2 = op->in2 < 0 ? NULL : net->values[op->in2];
    float *out = net->values[op->out];
    const int32_t channels = g->tensors[op->out].channels;
    const int64_t rows = det_net_rows(g, op->out, net->batch);
    switch (op->kind) {
    case DET_OP_CONV: {
        const struct det_conv_shape s = det_net_conv_shape(g, op, net->batch);
        k->conv_forward(x, &s, in, param_of(net, params, op->weight),
                        param_of(net, params, op->bias), op->act, out);
        break;
    }
    case DET_OP_DWCONV: {
        const struct det_conv_shape s = det_net_conv_shape(g, op, net->batch);
        k->dwconv_forward(x, &s, in, param_of(net, params, op->weight),
                          param_of(net, params, op->bias), op->act, out);
        break;
    }
    case DET_OP_BATCH_NORM: {
        const float *gamma = param_of(net, params, op->gamma);
        const float *beta = param_of(net, params, op->beta);
        float *mean = statistics_of(net, index);
        if (det_net_uses_batch_statistics(net->mode, op))
            k->bn_forward(x, rows, channels, in, gamma, beta, op->epsilon, op->act, out, mean,
                          mean + channels);
        else
            k->bn_frozen_forward(x, rows, channels, in, gamma, beta,
                                 param_of(net, params, op->mean),
                                 param_of(net, params, op->variance), op->epsilon, op->act, out);
        break;
    }
    case DET_OP_ADD:
        k->add_forward(x, rows * channels, in, in2, out);
        break;
    case DET_OP_UPSAMPLE_ADD:
        k->upsample_add_forward(x, net->batch, g->tensors[op->in].height, g->tensors[op->in].width,
                                channels, g->tensors[op->out].height, g->tensors[op->out].width, in,
                                in2, out);
        break;
    }
}

enum copy_direction { GATHER, SCATTER };

/* Between the per-level tensors [N, h, w, 6 * width] and the flat arrays [N, A, width]. */
static void copy_levels(const struct det_net *net, float *const *tensors, const int32_t *outputs,
                        int32_t width, float *flat, enum copy_direction direction)
{
    const struct det_graph *g = net->graph;
    size_t place = 0;
    for (int32_t l = 0; l < g->levels; l++) {
        const struct det_tensor t = g->tensors[outputs[l]];
        const size_t floats = (size_t)t.height * (size_t)t.width * (size_t)t.channels;
        for (int32_t n = 0; n < net->batch; n++) {
            float *level = tensors[outputs[l]] + (size_t)n * floats;
            float *at = flat + (size_t)n * (size_t)g->anchor_count * (size_t)width + place;
            if (direction == GATHER)
                memcpy(at, level, floats * sizeof *at);
            else
                memcpy(level, at, floats * sizeof *at);
        }
        place += floats;
    }
}

void det_net_forward(struct det_net *net, const float *params)
{
    const struct det_graph *g = net->graph;
    for (int32_t i = 0; i < g->op_count; i++)
        forward_op(net, params, i);
    copy_levels(net, net->values, g->box_outputs, 4, net->encodings, GATHER);
    copy_levels(net, net->values, g->class_outputs, g->class_slots, net->logits, GATHER);
}

const float *det_net_encodings(const struct det_net *net)
{
    return net->encodings;
}

const float *det_net_logits(const struct det_net *net)
{
    return net->logits;
}

float *det_net_encoding_gradients(struct det_net *net)
{
    return net->encoding_gradients;
}

float *det_net_logit_gradients(struct det_net *net)
{
    return net->logit_gradients;
}

static float *gradient_of(const struct det_net *net, float *gradients, int32_t index)
{
    return index < 0 ? NULL : gradients + net->graph->params[index].offset;
}

static void backward_conv(struct det_net *net, const float *params, float *gradients, int32_t index)
{
    const struct det_graph *g = net->graph;
    const struct det_op *op = &g->ops[index];
    const struct det_ops *k = net->ops;
    const struct det_exec *x = &net->exec;
    const struct det_conv_shape s = det_net_conv_shape(g, op, net->batch);
    const float *in = net->values[op->in], *dout = net->gradients[op->out];
    const float *weight = param_of(net, params, op->weight);
    float *dweight = gradient_of(net, gradients, op->weight);
    const bool depthwise = op->kind == DET_OP_DWCONV;
    const bool accumulate = net->plan.accumulate_param[index];
    if (op->bias >= 0)
        k->bias_backward(x, det_net_rows(g, op->out, net->batch), s.out_c, dout,
                         gradient_of(net, gradients, op->bias), accumulate);
    (depthwise ? k->dwconv_backward_weight : k->conv_backward_weight)(x, &s, in, dout, dweight,
                                                                      accumulate);
    if (op->in != 0)
        (depthwise ? k->dwconv_backward_data : k->conv_backward_data)(
            x, &s, dout, weight, net->gradients[op->in], net->plan.accumulate_in[index]);
}

static void backward_norm(struct det_net *net, const float *params, float *gradients, int32_t index)
{
    const struct det_graph *g = net->graph;
    const struct det_op *op = &g->ops[index];
    const bool frozen = net->mode == DET_NET_TRAIN_FROZEN;
    const int32_t channels = g->tensors[op->out].channels;
    const float *mean = frozen ? param_of(net, params, op->mean) : statistics_of(net, index);
    const float *variance =
        frozen ? param_of(net, params, op->variance) : statistics_of(net, index) + channels;
    (frozen ? net->ops->bn_frozen_backward : net->ops->bn_backward)(
        &net->exec, det_net_rows(g, op->out, net->batch), channels, net->values[op->in],
        net->gradients[op->out], param_of(net, params, op->gamma), param_of(net, params, op->beta),
        mean, variance, op->epsilon, op->act, net->gradients[op->in],
        net->plan.accumulate_in[index], gradient_of(net, gradients, op->gamma),
        gradient_of(net, gradients, op->beta));
}

static void backward_op(struct det_net *net, const float *params, float *gradients, int32_t index)
{
    const struct det_graph *g = net->graph;
    const struct det_op *op = &g->ops[index];
    const struct det_exec *x = &net->exec;
    const float *dout = net->gradients[op->out];
    const int64_t count = det_net_rows(g, op->out, net->batch) * g->tensors[op->out].channels;
    switch (op->kind) {
    case DET_OP_CONV:
    case DET_OP_DWCONV:
        backward_conv(net, params, gradients, index);
        return;
    case DET_OP_BATCH_NORM:
        backward_norm(net, params, gradients, index);
        return;
    case DET_OP_ADD:
        net->ops->accumulate(x, count, dout, net->gradients[op->in],
                             net->plan.accumulate_in[index]);
        break;
    case DET_OP_UPSAMPLE_ADD:
        net->ops->upsample_backward(x, net->batch, g->tensors[op->in].height,
                                    g->tensors[op->in].width, g->tensors[op->in].channels,
                                    g->tensors[op->out].height, g->tensors[op->out].width, dout,
                                    net->gradients[op->in], net->plan.accumulate_in[index]);
        break;
    }
    if (!net->plan.skip_in2[index])
        net->ops->accumulate(x, count, dout, net->gradients[op->in2],
                             net->plan.accumulate_in2[index]);
}

void det_net_backward(struct det_net *net, const float *params, float *gradients)
{
    const struct det_graph *g = net->graph;
    copy_levels(net, net->gradients, g->box_outputs, 4, net->encoding_gradients, SCATTER);
    copy_levels(net, net->gradients, g->class_outputs, g->class_slots, net->logit_gradients,
                SCATTER);
    for (int32_t i = g->op_count - 1; i >= 0; i--)
        backward_op(net, params, gradients, i);
}

void det_net_update_moving(const struct det_net *net, float *params)
{
    const struct det_graph *g = net->graph;
    if (net->mode != DET_NET_TRAIN)
        return;
    for (int32_t i = 0; i < g->op_count; i++) {
        const struct det_op *op = &g->ops[i];
        if (op->kind != DET_OP_BATCH_NORM)
            continue;
        const int32_t channels = g->tensors[op->out].channels;
        const double rows = (double)det_net_rows(g, op->out, net->batch);
        const float unbiased = (float)(rows / (rows > 1 ? rows - 1 : 1));
        const float *mean = statistics_of(net, i), *variance = mean + channels;
        float *moving_mean = params + g->params[op->mean].offset;
        float *moving_variance = params + g->params[op->variance].offset;
        const float rate = 1.0f - op->decay;
        for (int32_t c = 0; c < channels; c++) {
            moving_mean[c] -= (moving_mean[c] - mean[c]) * rate;
            moving_variance[c] -= (moving_variance[c] - variance[c] * unbiased) * rate;
        }
    }
}

const float *det_net_feature(const struct det_net *net, int32_t level_index, size_t *count)
{
    const int32_t tensor = net->graph->features[level_index];
    *count = (size_t)det_net_rows(net->graph, tensor, net->batch) *
             (size_t)net->graph->tensors[tensor].channels;
    return net->values[tensor];
}

const char *det_net_first_non_finite(const struct det_net *net)
{
    const struct det_graph *g = net->graph;
    for (int32_t i = 0; i < g->op_count; i++) {
        const struct det_op *op = &g->ops[i];
        const size_t count =
            (size_t)det_net_rows(g, op->out, net->batch) * (size_t)g->tensors[op->out].channels;
        const float *out = net->values[op->out];
        /* Infinities and NaN survive a sum of 0 * x. */
        float probe = 0.0f;
        for (size_t j = 0; j < count; j++)
            probe += 0.0f * out[j];
        if (!(probe == 0.0f))
            return op->name;
    }
    return NULL;
}
