#include "model/net_parts.h"

#include <math.h>
#include <string.h>

#include "support/mem.h"

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The most that an operation needs. */
static size_t workspace_bytes(const struct det_graph *graph, const struct det_ops *ops, int threads,
                              int32_t batch, enum det_net_mode mode)
{
    const bool trained = mode == DET_NET_TRAIN_FOLDED;
    size_t most = 0;
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        size_t need = 0;
        if (det_op_is_convolution(op)) {
            const struct det_conv_shape s = det_net_conv_shape(graph, op, batch);
            const bool depthwise = op->kind == DET_OP_DWCONV;
            if (graph->folded)
                need = (depthwise ? ops->dwconv_workspace : ops->conv_workspace)(&s, threads);
            if (!graph->folded || trained)
                need = larger(need, ops->bn_conv_workspace(&s, depthwise, threads));
        }
        const int64_t rows = det_net_rows(graph, op->out, batch);
        const int32_t channels = graph->tensors[op->out].channels;
        if (op->kind == DET_OP_BATCH_NORM)
            need = ops->bn_sums_workspace(rows, channels);
        most = larger(most, need);
        if (op->bias >= 0)
            most = larger(most, ops->bias_workspace(rows, channels));
        if (trained)
            most = larger(most, ops->value_range_workspace(rows * channels));
    }
    return most;
}

static det_status make_plan(struct det_env *env, const struct det_graph *graph,
                            const struct det_net_bns *bns, int32_t batch, enum det_net_mode mode,
                            struct det_net_plan *plan)
{
    const struct det_net_plan_settings settings = {
        .batch = batch,
        .mode = mode,
        .element_bytes = sizeof(float),
        .output_bytes = sizeof(float),
        .alignment = DET_ALIGNMENT,
        .unstored = bns->unstored,
        .late_norm_gradients = true,
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
    struct det_net_plan plan = {0};
    struct det_net_bns bns;
    det_status status = DET_OK;
    *bytes = 0;
    DET_TRY_RETURN(det_net_bns_create(env, graph, mode, &bns));
    DET_TRY(make_plan(env, graph, &bns, batch, mode, &plan));
    *bytes = plan.arena_bytes + workspace_bytes(graph, ops, threads, batch, mode) +
             det_net_bns_bytes(graph) + det_net_rounding_bytes(graph, batch, mode) +
             sizeof(float) * output_floats(graph, batch) * (det_net_is_training(mode) ? 2 : 1);
    det_net_plan_free(env, &plan);
fail:
    det_net_bns_free(env, &bns);
    return status;
}

static det_status allocate(struct det_env *env, struct det_net *net)
{
    const struct det_graph *graph = net->graph;
    const struct det_net_plan *plan = &net->plan;
    const size_t tensors = (size_t)graph->tensor_count;
    const size_t anchors = (size_t)net->batch * (size_t)graph->anchor_count;
    DET_TRY_RETURN(det_budget_ask(env, plan->arena_bytes + net->exec.workspace_bytes,
                                  "network tensors and workspace"));
    DET_TRY_RETURN(det_alloc_raw(env, &net->arena, plan->arena_bytes, 1, "network tensors"));
    DET_TRY_RETURN(
        det_alloc_raw(env, &net->exec.workspace, net->exec.workspace_bytes, 1, "workspace"));
    DET_TRY_RETURN(det_alloc(env, &net->values, tensors, sizeof(float *), "network"));
    DET_TRY_RETURN(det_alloc(env, &net->gradients, tensors, sizeof(float *), "network"));
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
    DET_TRY(det_net_bns_create(env, graph, mode, &net->bns));
    DET_TRY(make_plan(env, graph, &net->bns, batch, mode, &net->plan));
    net->exec.pool = pool;
    net->exec.workspace_bytes = workspace_bytes(graph, ops, det_pool_threads(pool), batch, mode);
    DET_TRY(allocate(env, net));
    DET_TRY(det_net_rounding_create(env, graph, batch, mode, &net->rounding));
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
    det_net_bns_free(env, &net->bns);
    det_net_rounding_free(env, &net->rounding);
    det_free(env, &net->encodings);
    det_free(env, &net->logits);
    det_free(env, &net->encoding_gradients);
    det_free(env, &net->logit_gradients);
    det_free(env, pointer);
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

static void forward_conv(struct det_net *net, const float *params, int32_t index)
{
    const struct det_op *op = &net->graph->ops[index];
    const struct det_ops *k = net->ops;
    const struct det_conv_shape s = det_net_conv_shape(net->graph, op, net->batch);
    const float *weight = det_net_param(net, params, op->weight);
    const float *bias = det_net_param(net, params, op->bias);
    const bool depthwise = op->kind == DET_OP_DWCONV;
    float *out = net->values[op->out];
    if (net->graph->folded) {
        (depthwise ? k->dwconv_forward : k->conv_forward)(&net->exec, &s, net->values[op->in],
                                                          weight, bias, op->act, out);
        return;
    }
    const struct det_operand in = det_net_operand(net, op->in);
    const struct det_net_bn *bn = det_net_bn_at(net, net->bns.of_maker[index]);
    const bool statistics =
        bn != NULL && det_net_uses_batch_statistics(net->mode, &net->graph->ops[bn->op]);
    k->bn_conv_forward(&net->exec, &s, depthwise, &in, weight, bias, out,
                       statistics ? bn->mean : NULL, statistics ? bn->variance : NULL);
}

static void forward_op(struct det_net *net, const float *params, int32_t index)
{
    const struct det_graph *g = net->graph;
    const struct det_op *op = &g->ops[index];
    const struct det_exec *x = &net->exec;
    float *out = net->values[op->out];
    const int32_t channels = g->tensors[op->out].channels;
    const int64_t rows = det_net_rows(g, op->out, net->batch);
    switch (op->kind) {
    case DET_OP_CONV:
    case DET_OP_DWCONV:
        forward_conv(net, params, index);
        break;
    case DET_OP_BATCH_NORM: {
        struct det_net_bn *bn = det_net_bn_at(net, net->bns.of_result[op->out]);
        if (det_net_is_synced(net, op))
            det_net_sync_statistics(net->sync, bn);
        det_net_bn_prepare(g, net->mode, params, bn);
        const struct det_operand in = {net->values[op->in], &bn->bn};
        if (!net->bns.unstored[op->out])
            net->ops->bn_add(x, rows, channels, &in, NULL, out);
        break;
    }
    case DET_OP_ADD: {
        const struct det_operand a = det_net_operand(net, op->in),
                                 b = det_net_operand(net, op->in2);
        if (g->folded)
            net->ops->add_forward(x, rows * channels, a.x, b.x, out);
        else
            net->ops->bn_add(x, rows, channels, &a, &b, out);
        break;
    }
    case DET_OP_UPSAMPLE_ADD:
        net->ops->upsample_add_forward(x, net->batch, g->tensors[op->in].height,
                                       g->tensors[op->in].width, channels,
                                       g->tensors[op->out].height, g->tensors[op->out].width,
                                       net->values[op->in], net->values[op->in2], out);
        break;
    }
}

void det_net_copy_levels(const struct det_net *net, float *const *tensors, const int32_t *outputs,
                         int32_t width, float *flat, enum det_net_copy direction)
{
    const struct det_graph *g = net->graph;
    size_t place = 0;
    for (int32_t l = 0; l < g->levels; l++) {
        const struct det_tensor t = g->tensors[outputs[l]];
        const size_t floats = (size_t)t.height * (size_t)t.width * (size_t)t.channels;
        for (int32_t n = 0; n < net->batch; n++) {
            float *level = tensors[outputs[l]] + (size_t)n * floats;
            float *at = flat + (size_t)n * (size_t)g->anchor_count * (size_t)width + place;
            if (direction == DET_NET_GATHER)
                memcpy(at, level, floats * sizeof *at);
            else
                memcpy(level, at, floats * sizeof *at);
        }
        place += floats;
    }
}

void det_net_watch(struct det_net *net, det_net_watch_fn watch, void *user)
{
    net->watch = watch;
    net->watch_user = user;
}

void det_net_round(struct det_net *net, const struct det_act_ranges *ranges)
{
    net->rounding.ranges = ranges;
}

void det_net_update_ranges(const struct det_net *net, struct det_act_ranges *ranges)
{
    const struct det_net_rounding *r = &net->rounding;
    if (r->ranges == NULL)
        return;
    memcpy(ranges->low, r->low, (size_t)ranges->count * sizeof *ranges->low);
    memcpy(ranges->high, r->high, (size_t)ranges->count * sizeof *ranges->high);
    ranges->updates++;
}

void det_net_seen_ranges(const struct det_net *net, float *values)
{
    const struct det_net_rounding *r = &net->rounding;
    const size_t count = (size_t)r->ranges->count;
    memcpy(values, r->low, count * sizeof *values);
    memcpy(values + count, r->high, count * sizeof *values);
}

void det_net_forward(struct det_net *net, const float *params)
{
    const struct det_graph *g = net->graph;
    const bool trained = net->mode == DET_NET_TRAIN_FOLDED;
    if (trained)
        det_net_rounding_input(&net->rounding, net->values[0],
                               det_net_rows(g, 0, net->batch) * g->tensors[0].channels);
    net->stopped = false;
    for (int32_t i = 0; i < g->op_count && !det_net_is_stopped(net); i++) {
        forward_op(net, params, i);
        if (trained)
            det_net_rounding_made(&net->rounding, g, net->ops, &net->exec, i, net->batch,
                                  net->values[g->ops[i].out]);
        if (net->watch != NULL)
            net->watch(net->watch_user, i, net->values[g->ops[i].out],
                       det_net_rows(g, g->ops[i].out, net->batch));
    }
    if (trained)
        det_net_rounding_outputs(&net->rounding, g, net->ops, &net->exec, net->batch, net->values);
    det_net_copy_levels(net, net->values, g->box_outputs, 4, net->encodings, DET_NET_GATHER);
    det_net_copy_levels(net, net->values, g->class_outputs, g->class_slots, net->logits,
                        DET_NET_GATHER);
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

void det_net_synchronise(struct det_net *net, const struct det_net_sync *sync)
{
    net->sync = sync;
}

void det_net_ask(struct det_net *net, det_net_stop_fn stop, void *user)
{
    net->stop = stop;
    net->stop_user = user;
}

bool det_net_was_stopped(const struct det_net *net)
{
    return net->stopped;
}

void det_net_watch_backward(struct det_net *net, det_net_passed_fn passed, void *user)
{
    net->passed = passed;
    net->passed_user = user;
}
