#include "devices/cpu/q8_net.h"

#include <math.h>
#include <string.h>

#include "model/net_plan.h"
#include "model/quantised_plan.h"
#include "support/mem.h"

struct det_q8_net {
    const struct det_graph *graph;
    const struct det_quantised *quantised;
    const float *params;
    const struct det_ops *ops;
    struct det_exec exec;
    int32_t batch;
    struct det_q8_layer *layers; /* per operation */
    int8_t **bytes;              /* per tensor, NULL where there is no such form */
    float **floats;
    uint8_t *arena;
    float *input, *encodings, *logits;
    size_t planned_bytes;
};

static size_t values_of(const struct det_q8_net *net, int32_t tensor)
{
    return (size_t)det_net_rows(net->graph, tensor, net->batch) *
           (size_t)net->graph->tensors[tensor].channels;
}

static det_status allocate(struct det_env *env, void *out, struct det_q8_net *net, size_t count,
                           size_t size, const char *what)
{
    DET_TRY_RETURN(det_alloc(env, out, count, size, what));
    net->planned_bytes += count * size;
    return DET_OK;
}

static det_status take_memory(struct det_env *env, struct det_q8_net *net,
                              const struct det_quantised_plan *plan)
{
    const struct det_graph *g = net->graph;
    const size_t tensors = (size_t)g->tensor_count;
    const size_t anchors = (size_t)net->batch * (size_t)g->anchor_count;
    DET_TRY_RETURN(det_budget_ask(env, plan->arena_bytes, "network tensors"));
    DET_TRY_RETURN(allocate(env, &net->arena, net, plan->arena_bytes, 1, "network tensors"));
    DET_TRY_RETURN(allocate(env, &net->bytes, net, tensors, sizeof *net->bytes, "network"));
    DET_TRY_RETURN(allocate(env, &net->floats, net, tensors, sizeof *net->floats, "network"));
    DET_TRY_RETURN(
        allocate(env, &net->input, net, values_of(net, 0), sizeof *net->input, "network input"));
    DET_TRY_RETURN(
        allocate(env, &net->encodings, net, anchors, 4 * sizeof(float), "box encodings"));
    DET_TRY_RETURN(allocate(env, &net->logits, net, anchors, (size_t)g->class_slots * sizeof(float),
                            "class logits"));
    for (size_t t = 0; t < tensors; t++) {
        if (plan->bytes[t] != DET_NO_FORM)
            net->bytes[t] = (int8_t *)(net->arena + plan->bytes[t]);
        if (plan->floats[t] != DET_NO_FORM)
            net->floats[t] = (float *)(void *)(net->arena + plan->floats[t]);
    }
    net->floats[0] = net->input;
    return DET_OK;
}

static det_status plan(struct det_env *env, struct det_q8_net *net)
{
    const struct det_quantised_plan_settings settings = {
        .batch = net->batch, .alignment = DET_ALIGNMENT, .input_apart = true};
    struct det_quantised_plan plan;
    DET_TRY_RETURN(det_quantised_plan_create(env, net->graph, net->quantised, &settings, &plan));
    const det_status status = take_memory(env, net, &plan);
    det_quantised_plan_free(env, &plan);
    return status;
}

static det_status make_layers(struct det_env *env, struct det_q8_net *net, int threads)
{
    const struct det_graph *g = net->graph;
    DET_TRY_RETURN(
        allocate(env, &net->layers, net, (size_t)g->op_count, sizeof *net->layers, "8-bit layers"));
    for (int32_t i = 0; i < g->op_count; i++) {
        const struct det_op *op = &g->ops[i];
        if (!det_op_is_convolution(op))
            continue;
        const struct det_conv_shape s = det_net_conv_shape(g, op, net->batch);
        if (net->quantised->eight_bits[i]) {
            DET_TRY_RETURN(
                det_q8_layer_create(env, g, net->quantised, net->params, i, &net->layers[i]));
            continue;
        }
        const size_t bytes = op->kind == DET_OP_CONV ? net->ops->conv_workspace(&s, threads)
                                                     : net->ops->dwconv_workspace(&s, threads);
        if (bytes > net->exec.workspace_bytes)
            net->exec.workspace_bytes = bytes;
    }
    return allocate(env, &net->exec.workspace, net, net->exec.workspace_bytes, 1, "workspace");
}

det_status det_q8_net_create(struct det_env *env, const struct det_graph *graph,
                             const struct det_quantised *quantised, const float *params,
                             const struct det_ops *ops, struct det_pool *pool, int32_t batch,
                             struct det_q8_net **out)
{
    struct det_q8_net *net = NULL;
    det_status status = DET_OK;
    *out = NULL;
    DET_TRY(det_alloc(env, &net, 1, sizeof *net, "network"));
    *net = (struct det_q8_net){.graph = graph,
                               .quantised = quantised,
                               .params = params,
                               .ops = ops,
                               .exec.pool = pool,
                               .batch = batch,
                               .planned_bytes = sizeof *net};
    DET_TRY(plan(env, net));
    DET_TRY(make_layers(env, net, det_pool_threads(pool)));
fail:
    if (status != DET_OK)
        det_q8_net_destroy(env, &net);
    *out = net;
    return status;
}

void det_q8_net_destroy(struct det_env *env, struct det_q8_net **pointer)
{
    struct det_q8_net *net = *pointer;
    if (net == NULL)
        return;
    for (int32_t i = 0; net->layers != NULL && i < net->graph->op_count; i++)
        det_q8_layer_free(env, &net->layers[i]);
    det_free(env, &net->layers);
    det_free(env, &net->bytes);
    det_free(env, &net->floats);
    det_free(env, &net->arena);
    det_free(env, &net->input);
    det_free(env, &net->encodings);
    det_free(env, &net->logits);
    det_free(env, &net->exec.workspace);
    det_free(env, pointer);
}

/* --- running --- */

/* As det_q8_input_tensor() has it. */
static void round_input(struct det_q8_net *net)
{
    const size_t count = values_of(net, 0);
    for (size_t i = 0; net->bytes[0] != NULL && i < count; i++)
        net->bytes[0][i] = (int8_t)(det_q8_grey_level(net->input[i]) - 128);
}

static void run_8_bits(struct det_q8_net *net, int32_t index)
{
    const struct det_graph *g = net->graph;
    const struct det_op *op = &g->ops[index];
    const struct det_tensor in = g->tensors[op->in], out = g->tensors[op->out];
    const struct det_q8_conv *conv = &net->layers[index].conv;
    struct det_conv_shape s = {0};
    struct det_q8_add add = {0};
    if (det_op_is_convolution(op))
        s = det_net_conv_shape(g, op, net->batch);
    else
        add = det_q8_add_op(net->quantised, op);
    switch (op->kind) {
    case DET_OP_CONV:
        detk_q8_conv__ref(&net->exec, &s, conv, net->bytes[op->in], net->bytes[op->out]);
        break;
    case DET_OP_DWCONV:
        detk_q8_dwconv__ref(&net->exec, &s, conv, net->bytes[op->in], net->bytes[op->out]);
        break;
    case DET_OP_ADD:
        detk_q8_add__ref(&net->exec, (int64_t)values_of(net, op->out), &add, net->bytes[op->in],
                         net->bytes[op->in2], net->bytes[op->out]);
        break;
    case DET_OP_UPSAMPLE_ADD:
        detk_q8_upsample_add__ref(&net->exec, net->batch, in.height, in.width, out.channels,
                                  out.height, out.width, &add, net->bytes[op->in],
                                  net->bytes[op->in2], net->bytes[op->out]);
        break;
    case DET_OP_BATCH_NORM: /* a folded graph has none */
        break;
    }
}

static void run_float(struct det_q8_net *net, int32_t index)
{
    const struct det_graph *g = net->graph;
    const struct det_op *op = &g->ops[index];
    const struct det_tensor in = g->tensors[op->in], out = g->tensors[op->out];
    struct det_conv_shape s = {0};
    if (det_op_is_convolution(op))
        s = det_net_conv_shape(g, op, net->batch);
    const float *from = net->floats[op->in];
    const float *from2 = op->in2 >= 0 ? net->floats[op->in2] : NULL;
    const float *w = op->weight >= 0 ? net->params + g->params[op->weight].offset : NULL;
    const float *bias = op->bias >= 0 ? net->params + g->params[op->bias].offset : NULL;
    float *to = net->floats[op->out];
    switch (op->kind) {
    case DET_OP_CONV:
        net->ops->conv_forward(&net->exec, &s, from, w, bias, op->act, to);
        break;
    case DET_OP_DWCONV:
        net->ops->dwconv_forward(&net->exec, &s, from, w, bias, op->act, to);
        break;
    case DET_OP_ADD:
        net->ops->add_forward(&net->exec, (int64_t)values_of(net, op->out), from, from2, to);
        break;
    case DET_OP_UPSAMPLE_ADD:
        net->ops->upsample_add_forward(&net->exec, net->batch, in.height, in.width, out.channels,
                                       out.height, out.width, from, from2, to);
        break;
    case DET_OP_BATCH_NORM: /* a folded graph has none */
        break;
    }
}

/* What an operation made, in the form that it did not make it in, where somebody wants that. */
static void convert(struct det_q8_net *net, int32_t tensor, bool eight_bits)
{
    const struct det_q8_tensor t = net->quantised->tensors[tensor];
    int8_t *bytes = net->bytes[tensor];
    float *floats = net->floats[tensor];
    const size_t count = values_of(net, tensor);
    if (bytes == NULL || floats == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        if (eight_bits)
            floats[i] = det_q8_real(bytes[i], t.scale, t.zero);
        else
            bytes[i] = det_q8_of(floats[i], t.scale, t.zero);
    }
}

/* Of each image, its levels behind each other. */
static void gather(const struct det_q8_net *net, const int32_t *outputs, float *to)
{
    const struct det_graph *g = net->graph;
    for (int32_t n = 0; n < net->batch; n++) {
        for (int32_t l = 0; l < g->levels; l++) {
            const size_t count = values_of(net, outputs[l]) / (size_t)net->batch;
            memcpy(to, net->floats[outputs[l]] + (size_t)n * count, count * sizeof *to);
            to += count;
        }
    }
}

void det_q8_net_forward(struct det_q8_net *net)
{
    const struct det_graph *g = net->graph;
    round_input(net);
    for (int32_t i = 0; i < g->op_count; i++) {
        const bool eight_bits = net->quantised->eight_bits[i];
        if (eight_bits)
            run_8_bits(net, i);
        else
            run_float(net, i);
        convert(net, g->ops[i].out, eight_bits);
    }
    gather(net, g->box_outputs, net->encodings);
    gather(net, g->class_outputs, net->logits);
}

float *det_q8_net_input(struct det_q8_net *net)
{
    return net->input;
}

const float *det_q8_net_encodings(const struct det_q8_net *net)
{
    return net->encodings;
}

const float *det_q8_net_logits(const struct det_q8_net *net)
{
    return net->logits;
}

size_t det_q8_net_bytes(const struct det_q8_net *net)
{
    return net->planned_bytes;
}
