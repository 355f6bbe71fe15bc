#include "devices/cuda/cuda_net.h"

#include "bn.h"
#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_net_ops.h"
#include "devices/cuda/cuda_tune.h"
#include "dwconv.h"
#include "support/mem.h"

static void need(size_t *needed, size_t bytes)
{
    if (bytes > *needed)
        *needed = bytes;
}

/* needed: the operation's workspace. */
static det_status plan_op(struct det_env *env, struct det_cuda_net *net, int32_t index,
                          size_t *needed)
{
    const struct det_graph *g = net->graph;
    const struct det_op *op = &g->ops[index];
    const bool training = det_net_is_training(net->mode);
    if (det_cuda_q8_has(&net->q8, index))
        return det_cuda_q8_plan_op(env, net, index, needed);
    if (op->kind == DET_OP_CONV) {
        const struct det_conv_shape shape = det_net_conv_shape(g, op, net->batch);
        const struct det_cuda_conv_uses uses = {
            .bias = op->bias >= 0,
            .backward_data = training && op->in != 0,
            .backward_weight = training,
            .float_out = det_graph_is_output(g, op->out),
        };
        DET_TRY_RETURN(det_cuda_conv_create(env, net->device, &shape, &uses, &net->convs[index]));
        need(needed, net->convs[index].workspace_bytes);
    }
    if (op->kind == DET_OP_DWCONV && training) {
        const struct det_conv_shape shape = det_net_conv_shape(g, op, net->batch);
        need(needed, detk_dwconv_backward_weight_workspace(net->device->type, &shape));
    }
    if (op->kind == DET_OP_BATCH_NORM || (op->bias >= 0 && training))
        need(needed,
             detk_bn_workspace(det_net_rows(g, op->out, net->batch), g->tensors[op->out].channels));
    return DET_OK;
}

static det_status plan_ops(struct det_env *env, struct det_cuda_net *net,
                           struct det_cuda_layout *layout)
{
    const size_t count = (size_t)net->graph->op_count;
    size_t *needed = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &net->convs, count, sizeof *net->convs, "network"));
    DET_TRY(det_alloc(env, &needed, count, sizeof *needed, "network"));
    for (size_t i = 0; i < count; i++) {
        DET_TRY(plan_op(env, net, (int32_t)i, &needed[i]));
        need(&net->workspace_bytes, needed[i]);
    }
    DET_TRY(det_cuda_branches_place(env, net, needed, layout));
fail:
    det_free(env, &needed);
    return status;
}

/* Whether depthwise convolutions alone read a tensor. */
static bool only_depthwise_reads(const struct det_graph *g, int32_t tensor)
{
    for (int32_t i = 0; i < g->op_count; i++) {
        const struct det_op *op = &g->ops[i];
        if ((op->in == tensor && op->kind != DET_OP_DWCONV) || op->in2 == tensor)
            return false;
    }
    return !det_graph_is_output(g, tensor);
}

/* A depthwise convolution activates and normalises what it loads: the pass that would have stored
 * such a tensor is saved. A dense convolution's ReLU6 (its library has none in an epilogue) waits
 * for that where nothing is learned, and nothing is rounded to 8 bits. In training batch norms do:
 * their input is still there, kept for the backward passes; without them another tensor may have
 * its place. */
static void find_late(struct det_cuda_net *net)
{
    const struct det_graph *g = net->graph;
    for (int32_t t = 0; t < g->tensor_count; t++)
        net->late_norm[t] = -1;
    for (int32_t i = 0; i < g->op_count && net->q8.quantised == NULL; i++) {
        const struct det_op *op = &g->ops[i];
        if (op->act != DET_ACTIVATION_RELU6 || !only_depthwise_reads(g, op->out))
            continue;
        if (op->kind == DET_OP_CONV && !det_net_is_training(net->mode))
            net->late_relu6[op->out] = true;
        if (op->kind == DET_OP_BATCH_NORM && det_net_is_training(net->mode))
            net->late_norm[op->out] = i;
    }
}

/* Of a tensor's bits, each beginning a vector. */
static size_t passes_bytes(const struct det_cuda_net *net, int32_t tensor)
{
    const struct det_graph *g = net->graph;
    const size_t values =
        (size_t)det_net_rows(g, tensor, net->batch) * (size_t)g->tensors[tensor].channels;
    return (values / 8 + 1 + 15) / 16 * 16;
}

static det_status plan_rounding(struct det_env *env, struct det_cuda_net *net,
                                struct det_cuda_layout *layout)
{
    size_t bytes = 0;
    if (net->mode != DET_NET_TRAIN_FOLDED)
        return DET_OK;
    DET_TRY_RETURN(det_alloc(env, &net->passes_offsets, (size_t)net->graph->tensor_count,
                             sizeof *net->passes_offsets, "network"));
    for (int32_t t = 0; t < net->graph->tensor_count; t++) {
        net->passes_offsets[t] = bytes;
        bytes += passes_bytes(net, t);
    }
    net->passes_at = det_cuda_layout_add(layout, bytes, 1);
    need(&net->workspace_bytes, detk_learn_range_workspace());
    return DET_OK;
}

static void place(struct det_cuda_net *net, struct det_cuda_layout *layout)
{
    const struct det_graph *g = net->graph;
    const size_t anchors = (size_t)net->batch * (size_t)g->anchor_count;
    const size_t encodings = anchors * 4, logits = anchors * (size_t)g->class_slots;
    net->arena_at = det_cuda_layout_add(layout, net->plan.arena_bytes, 1);
    net->statistics_at = det_cuda_layout_add(layout, net->plan.statistics_floats, sizeof(float));
    net->encodings_at = det_cuda_layout_add(layout, encodings, sizeof(float));
    net->logits_at = det_cuda_layout_add(layout, logits, sizeof(float));
    if (det_net_is_training(net->mode)) {
        net->encoding_gradients_at = det_cuda_layout_add(layout, encodings, sizeof(float));
        net->logit_gradients_at = det_cuda_layout_add(layout, logits, sizeof(float));
        net->flags_at = det_cuda_layout_add(layout, (size_t)g->op_count, sizeof(int32_t));
    }
    if (net->device->type != DETK_F32)
        net->typed_params_at =
            det_cuda_layout_add(layout, g->param_floats, det_cuda_element_bytes(net->device));
    net->q8.constants_at = det_cuda_layout_add(layout, net->q8.layout.bytes, 1);
    layout->too_large |= net->q8.layout.too_large;
}

/* Where tensors lie: of a network in the device's type. */
static det_status plan_tensors(struct det_env *env, struct det_cuda_net *net)
{
    const size_t tensors = (size_t)net->graph->tensor_count;
    bool *unstored = NULL;
    int32_t at_once = 0, back_at_once = 0;
    DET_TRY_RETURN(det_cuda_branches_find(env, net, &at_once, &back_at_once));
    DET_TRY_RETURN(det_alloc(env, &unstored, tensors, sizeof *unstored, "network"));
    for (size_t t = 0; t < tensors; t++)
        unstored[t] = net->late_norm[t] >= 0;
    const struct det_net_plan_settings settings = {
        .batch = net->batch,
        .mode = net->mode,
        .element_bytes = det_cuda_element_bytes(net->device),
        .output_bytes = sizeof(float),
        .alignment = DETK_ALIGN,
        .unstored = unstored,
        .at_once = at_once,
        .back_at_once = back_at_once,
    };
    const det_status status = det_net_plan_create(env, net->graph, &settings, &net->plan);
    det_free(env, &unstored);
    return status;
}

det_status det_cuda_net_plan(struct det_env *env, struct det_device *device,
                             const struct det_graph *graph, const struct det_quantised *quantised,
                             int32_t batch, enum det_net_mode mode, struct det_cuda_layout *layout,
                             struct det_cuda_net *net)
{
    *net = (struct det_cuda_net){
        .device = device,
        .graph = graph,
        .batch = batch,
        .mode = mode,
        .q8.quantised = quantised,
    };
    det_status status = DET_OK;
    device->used = true;
    DET_TRY(det_alloc(env, &net->late_relu6, (size_t)graph->tensor_count, sizeof *net->late_relu6,
                      "network"));
    DET_TRY(det_alloc(env, &net->late_norm, (size_t)graph->tensor_count, sizeof *net->late_norm,
                      "network"));
    find_late(net);
    DET_TRY(quantised != NULL ? det_cuda_q8_plan(env, net) : plan_tensors(env, net));
    DET_TRY(plan_ops(env, net, layout));
    place(net, layout);
    DET_TRY(plan_rounding(env, net, layout));
    return DET_OK;
fail:
    det_cuda_net_free(env, net);
    return status;
}

void det_cuda_net_free(struct det_env *env, struct det_cuda_net *net)
{
    for (int32_t i = 0; net->convs != NULL && i < net->graph->op_count; i++)
        det_cuda_conv_destroy(&net->convs[i]);
    det_free(env, &net->convs);
    det_free(env, &net->late_relu6);
    det_free(env, &net->late_norm);
    det_free(env, &net->passes_offsets);
    det_cuda_branches_free(env, net);
    det_cuda_q8_free(env, net);
    det_net_plan_free(env, &net->plan);
}

/* The levels' tensors [N, h, w, anchors_per_cell * width], their values or their gradients. */
static struct detk_levels levels_of(const struct det_cuda_net *net, const int32_t *outputs,
                                    int32_t width, const size_t *offsets)
{
    const struct det_graph *g = net->graph;
    struct detk_levels levels = {
        .levels = g->levels, .n = net->batch, .anchors = g->anchor_count, .width = width};
    for (int32_t l = 0; l < g->levels; l++) {
        const struct det_tensor t = g->tensors[outputs[l]];
        levels.values[l] = (int64_t)t.height * t.width * t.channels;
        levels.tensor[l] = net->arena + offsets[outputs[l]];
    }
    return levels;
}

void det_cuda_net_bind(struct det_cuda_net *net, uint8_t *memory, float *params, float *gradients,
                       void *workspace)
{
    const struct det_graph *g = net->graph;
    net->arena = memory + net->arena_at;
    net->statistics = (float *)(void *)(memory + net->statistics_at);
    net->encodings = (float *)(void *)(memory + net->encodings_at);
    net->logits = (float *)(void *)(memory + net->logits_at);
    net->params = params;
    net->typed_params =
        net->device->type == DETK_F32 ? (void *)params : memory + net->typed_params_at;
    net->gradients = gradients;
    net->branches.gradients = (float *)(void *)(memory + net->branches.gradients_at);
    net->workspace = workspace;
    net->q8.constants = memory + net->q8.constants_at;
    net->box_levels = levels_of(net, g->box_outputs, 4, net->plan.value_offsets);
    net->class_levels = levels_of(net, g->class_outputs, g->class_slots, net->plan.value_offsets);
    if (!det_net_is_training(net->mode))
        return;
    net->passes = memory + net->passes_at;
    net->encoding_gradients = (float *)(void *)(memory + net->encoding_gradients_at);
    net->logit_gradients = (float *)(void *)(memory + net->logit_gradients_at);
    net->flags = (int32_t *)(void *)(memory + net->flags_at);
    net->box_gradient_levels = levels_of(net, g->box_outputs, 4, net->plan.gradient_offsets);
    net->class_gradient_levels =
        levels_of(net, g->class_outputs, g->class_slots, net->plan.gradient_offsets);
}

void det_cuda_net_round(struct det_cuda_net *net, const struct detk_ranges *ranges)
{
    net->ranges = *ranges;
}

/* Operands are zeros, whatever the memory held. */
static det_status clear_params(struct det_env *env, const struct det_cuda_net *net)
{
    static const char what[] = "timing algorithms";
    const size_t count = net->graph->param_floats;
    const struct det_device *d = net->device;
    DET_TRY_RETURN(det_cuda_check(
        env, cudaMemsetAsync(net->params, 0, count * sizeof(float), d->stream), what));
    if (d->type == DETK_F32)
        return DET_OK;
    return det_cuda_check(
        env, cudaMemsetAsync(net->typed_params, 0, count * det_cuda_element_bytes(d), d->stream),
        what);
}

static det_status tune_ops(struct det_env *env, const struct det_cuda_net *net,
                           struct det_cuda_tuner *tuner)
{
    DET_TRY_RETURN(clear_params(env, net));
    for (int32_t i = 0; i < net->graph->op_count; i++)
        DET_TRY_RETURN(det_cuda_net_tune_op(env, net, i, tuner));
    det_log(env, DET_LOG_DEBUG,
            "cublasLt: %d products timed, %d take another algorithm than its first; %d were left "
            "for lack of time or memory",
            tuner->timed, tuner->others, tuner->left);
    return DET_OK;
}

/* Whether any product has more than one plan. */
static bool has_candidates(const struct det_cuda_net *net)
{
    bool any = false;
    for (int32_t i = 0; i < net->graph->op_count; i++)
        any = any || det_cuda_conv_has_candidates(&net->convs[i]) ||
              det_cuda_q8_has_candidates(net, i);
    return any;
}

det_status det_cuda_net_tune(struct det_env *env, struct det_cuda_net *net)
{
    struct det_cuda_tuner tuner;
    if (!has_candidates(net))
        return DET_OK;
    det_status status =
        det_cuda_tuner_open(env, net->device, net->arena, net->plan.arena_bytes, &tuner);
    if (status == DET_OK)
        status = tune_ops(env, net, &tuner);
    det_cuda_tuner_close(&tuner);
    return status;
}

void *det_cuda_net_input(const struct det_cuda_net *net)
{
    const size_t offset = net->plan.value_offsets[0];
    return offset == DET_NO_FORM ? NULL : net->arena + offset;
}

int8_t *det_cuda_net_input_q8(const struct det_cuda_net *net)
{
    return det_cuda_q8_values(net, 0);
}

det_status det_cuda_net_refresh_params(struct det_env *env, const struct det_cuda_net *net)
{
    if (net->device->type == DETK_F32)
        return DET_OK;
    return det_cuda_check(env,
                          detk_cast_to_bf16(net->device->stream, (int64_t)net->graph->param_floats,
                                            net->params, net->typed_params),
                          "copying the parameters to bf16");
}

det_status det_cuda_net_gather(struct det_env *env, const struct det_cuda_net *net)
{
    const struct det_device *d = net->device;
    DET_TRY_RETURN(det_cuda_check(env,
                                  detk_gather_levels(d->stream, &net->box_levels, net->encodings),
                                  "collecting the box encodings"));
    return det_cuda_check(env, detk_gather_levels(d->stream, &net->class_levels, net->logits),
                          "collecting the class logits");
}

det_status det_cuda_net_scatter(struct det_env *env, const struct det_cuda_net *net)
{
    const struct det_device *d = net->device;
    DET_TRY_RETURN(det_cuda_check(
        env,
        detk_scatter_levels(d->stream, d->type, &net->box_gradient_levels, net->encoding_gradients),
        "spreading the box gradients"));
    return det_cuda_check(
        env,
        detk_scatter_levels(d->stream, d->type, &net->class_gradient_levels, net->logit_gradients),
        "spreading the class gradients");
}

det_status det_cuda_net_forward(struct det_env *env, const struct det_cuda_net *net)
{
    if (net->mode == DET_NET_TRAIN_FOLDED)
        DET_TRY_RETURN(det_cuda_net_round_input(env, net));
    DET_TRY_RETURN(det_cuda_branches_forward(env, net));
    if (net->mode == DET_NET_TRAIN_FOLDED)
        DET_TRY_RETURN(det_cuda_net_round_outputs(env, net));
    return det_cuda_net_gather(env, net);
}

det_status det_cuda_net_backward(struct det_env *env, const struct det_cuda_net *net)
{
    DET_TRY_RETURN(det_cuda_net_scatter(env, net));
    struct det_cuda_net rest;
    DET_TRY_RETURN(det_cuda_branches_backward(env, net, &rest));
    for (int32_t i = net->graph->op_count - 1; i >= 0; i--) {
        if (det_cuda_branches_left(&rest, i))
            DET_TRY_RETURN(det_cuda_net_backward_op(env, &rest, i));
    }
    return DET_OK;
}

static det_status check_each_op(struct det_env *env, const struct det_cuda_net *net,
                                int32_t *host_flags)
{
    const struct det_device *d = net->device;
    const struct det_graph *g = net->graph;
    const size_t bytes = (size_t)g->op_count * sizeof *host_flags;
    static const char what[] = "looking for the first bad layer";
    DET_TRY_RETURN(det_cuda_check(env, cudaMemsetAsync(net->flags, 0xFF, bytes, d->stream), what));
    for (int32_t i = 0; i < g->op_count; i++) {
        const int32_t out = g->ops[i].out;
        DET_TRY_RETURN(det_cuda_net_forward_op(env, net, i));
        if (net->late_norm[out] >= 0)
            continue; /* was not stored: what reads it will show */
        DET_TRY_RETURN(det_cuda_check(
            env,
            detk_check_finite(d->stream, det_cuda_net_type(net, out),
                              det_net_rows(g, out, net->batch) * g->tensors[out].channels,
                              net->arena + net->plan.value_offsets[out], net->flags + i),
            what));
    }
    DET_TRY_RETURN(det_cuda_check(
        env, cudaMemcpyAsync(host_flags, net->flags, bytes, cudaMemcpyDeviceToHost, d->stream),
        what));
    return det_cuda_device_wait(env, d, what);
}

det_status det_cuda_net_first_non_finite(struct det_env *env, const struct det_cuda_net *net,
                                         const char **name)
{
    struct det_cuda_net alone = *net; /* other ranks may have nothing to look for */
    alone.sync = NULL;
    *name = NULL;
    int32_t *flags = NULL;
    DET_TRY_RETURN(
        det_alloc(env, &flags, (size_t)net->graph->op_count, sizeof *flags, "flags of the layers"));
    const det_status status = check_each_op(env, &alone, flags);
    for (int32_t i = 0; status == DET_OK && *name == NULL && i < net->graph->op_count; i++) {
        if (flags[i] == 0)
            *name = net->graph->ops[i].name;
    }
    det_free(env, &flags);
    return status;
}
