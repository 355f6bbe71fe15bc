#include "devices/cuda/cuda_q8_net.h"

#include <string.h>

#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_net.h"
#include "support/mem.h"

/* --- planning --- */

/* net->plan is what the operations in float32 look at. */
static det_status plan_floats(struct det_env *env, struct det_cuda_net *net)
{
    const struct det_quantised_plan *plan = &net->q8.plan;
    const size_t tensors = (size_t)net->graph->tensor_count;
    DET_TRY_RETURN(det_alloc(env, &net->plan.value_offsets, tensors, sizeof(size_t), "network"));
    memcpy(net->plan.value_offsets, plan->floats, tensors * sizeof(size_t));
    net->plan.arena_bytes = plan->arena_bytes;
    return DET_OK;
}

det_status det_cuda_q8_plan(struct det_env *env, struct det_cuda_net *net)
{
    const struct det_graph *g = net->graph;
    struct det_cuda_q8 *q8 = &net->q8;
    const size_t operations = (size_t)g->op_count;
    DET_TRY_RETURN(det_alloc(env, &q8->with_next, operations, sizeof *q8->with_next, "network"));
    DET_TRY_RETURN(det_alloc(env, &q8->convs, operations, sizeof *q8->convs, "network"));
    const bool *eight_bits = q8->quantised->eight_bits;
    for (int32_t i = 0; i + 1 < g->op_count; i++)
        q8->with_next[i] = eight_bits[i] && eight_bits[i + 1] && det_quantised_joins_next(g, i);
    struct det_quantised_plan_settings settings = {
        .batch = net->batch, .alignment = DETK_ALIGN, .with_next = q8->with_next};
    int32_t back_at_once = 0; /* nothing goes backward */
    DET_TRY_RETURN(det_cuda_branches_find(env, net, &settings.at_once, &back_at_once));
    DET_TRY_RETURN(det_quantised_plan_create(env, g, q8->quantised, &settings, &q8->plan));
    return plan_floats(env, net);
}

det_status det_cuda_q8_plan_op(struct det_env *env, struct det_cuda_net *net, int32_t index,
                               size_t *needed)
{
    const struct det_op *op = &net->graph->ops[index];
    struct det_cuda_q8_conv *conv = &net->q8.convs[index];
    if (!det_op_is_convolution(op))
        return DET_OK;
    const struct det_conv_shape shape = det_net_conv_shape(net->graph, op, net->batch);
    DET_TRY_RETURN(det_cuda_q8_conv_create(env, net->device, &shape, op->kind == DET_OP_DWCONV,
                                           &net->q8.layout, conv));
    *needed = conv->workspace_bytes;
    return DET_OK;
}

void det_cuda_q8_free(struct det_env *env, struct det_cuda_net *net)
{
    struct det_cuda_q8 *q8 = &net->q8;
    for (int32_t i = 0; q8->convs != NULL && i < net->graph->op_count; i++)
        det_cuda_q8_conv_destroy(&q8->convs[i]);
    det_free(env, &q8->convs);
    det_free(env, &q8->with_next);
    det_quantised_plan_free(env, &q8->plan);
}

/* --- constants --- */

static det_status pack(struct det_env *env, struct det_cuda_net *net, const float *params,
                       uint8_t *constants)
{
    const struct det_graph *g = net->graph;
    struct det_cuda_q8 *q8 = &net->q8;
    for (int32_t i = 0; i < g->op_count; i++) {
        struct det_q8_layer layer;
        if (!q8->quantised->eight_bits[i] || !det_op_is_convolution(&g->ops[i]))
            continue;
        DET_TRY_RETURN(det_q8_layer_create(env, g, q8->quantised, params, i, &layer));
        det_cuda_q8_conv_pack(&q8->convs[i], &layer.conv, constants);
        det_q8_layer_free(env, &layer);
    }
    return DET_OK;
}

det_status det_cuda_q8_upload(struct det_env *env, struct det_cuda_net *net, const float *params)
{
    const size_t bytes = net->q8.layout.bytes;
    uint8_t *constants = NULL;
    if (bytes == 0)
        return DET_OK;
    DET_TRY_RETURN(det_alloc(env, &constants, bytes, 1, "8-bit weights"));
    det_status status = pack(env, net, params, constants);
    if (status == DET_OK)
        status = det_cuda_upload(env, net->device, net->q8.constants, constants, bytes,
                                 "uploading the 8-bit weights");
    det_free(env, &constants);
    return status;
}

/* --- running --- */

int8_t *det_cuda_q8_values(const struct det_cuda_net *net, int32_t tensor)
{
    if (net->q8.quantised == NULL || net->q8.plan.bytes[tensor] == DET_NO_FORM)
        return NULL;
    return (int8_t *)(net->arena + net->q8.plan.bytes[tensor]);
}

static float *floats_of(const struct det_cuda_net *net, int32_t tensor)
{
    if (net->q8.plan.floats[tensor] == DET_NO_FORM)
        return NULL;
    return (float *)(void *)(net->arena + net->q8.plan.floats[tensor]);
}

static int64_t count_of(const struct det_cuda_net *net, int32_t tensor)
{
    return det_net_rows(net->graph, tensor, net->batch) * net->graph->tensors[tensor].channels;
}

/* What `addition` adds to the convolution's result `joined`, which becomes its `a`. */
static struct detk_q8_addend addend_of(const struct det_cuda_net *net,
                                       const struct det_op *addition, int32_t joined)
{
    const struct det_graph *g = net->graph;
    const struct det_q8_add add = det_q8_add_op(net->q8.quantised, addition);
    const bool joined_first = addition->in == joined;
    const int32_t other = joined_first ? addition->in2 : addition->in;
    const struct det_tensor from = g->tensors[other], out = g->tensors[addition->out];
    struct detk_q8_addend addend = {
        .add = add,
        .b = det_cuda_q8_values(net, other),
        .upsampled = addition->kind == DET_OP_UPSAMPLE_ADD,
        .h = from.height,
        .w = from.width,
        .out_h = out.height,
        .out_w = out.width,
    };
    if (!joined_first) {
        addend.add.a = add.b;
        addend.add.a_zero = add.b_zero;
        addend.add.b = add.a;
        addend.add.b_zero = add.a_zero;
    }
    return addend;
}

static det_status forward_conv(struct det_env *env, const struct det_cuda_net *net, int32_t index)
{
    const struct det_op *op = &net->graph->ops[index], *next = op + 1;
    const bool joined = net->q8.with_next[index];
    struct detk_q8_addend addend;
    if (joined)
        addend = addend_of(net, next, op->out);
    return det_cuda_q8_conv_forward(env, net->device, &net->q8.convs[index], net->q8.constants,
                                    det_cuda_q8_values(net, op->in), joined ? &addend : NULL,
                                    det_cuda_q8_values(net, joined ? next->out : op->out),
                                    net->workspace, op->name);
}

det_status det_cuda_q8_forward_op(struct det_env *env, const struct det_cuda_net *net,
                                  int32_t index)
{
    const struct det_op *op = &net->graph->ops[index];
    const cudaStream_t stream = net->device->stream;
    if (det_op_is_convolution(op))
        return forward_conv(env, net, index);
    if (index > 0 && net->q8.with_next[index - 1])
        return DET_OK;
    const struct det_q8_add add = det_q8_add_op(net->q8.quantised, op);
    const struct det_tensor in = net->graph->tensors[op->in], out = net->graph->tensors[op->out];
    const int8_t *a = det_cuda_q8_values(net, op->in), *b = det_cuda_q8_values(net, op->in2);
    int8_t *to = det_cuda_q8_values(net, op->out);
    return det_cuda_check(env,
                          op->kind == DET_OP_ADD
                              ? detk_q8_add(stream, count_of(net, op->out), &add, a, b, to)
                              : detk_q8_upsample_add(stream, net->batch, in.height, in.width,
                                                     in.channels, out.height, out.width, &add, a, b,
                                                     to),
                          op->name);
}

det_status det_cuda_q8_convert(struct det_env *env, const struct det_cuda_net *net, int32_t index)
{
    const struct det_op *op = &net->graph->ops[index];
    const cudaStream_t stream = net->device->stream;
    if (net->q8.quantised == NULL)
        return DET_OK;
    const struct det_q8_tensor tensor = net->q8.quantised->tensors[op->out];
    int8_t *bytes = det_cuda_q8_values(net, op->out);
    float *floats = floats_of(net, op->out);
    if (bytes == NULL || floats == NULL)
        return DET_OK;
    return det_cuda_check(
        env,
        net->q8.quantised->eight_bits[index]
            ? detk_q8_widen(stream, count_of(net, op->out), tensor, bytes, floats)
            : detk_q8_narrow(stream, count_of(net, op->out), tensor, floats, bytes),
        op->name);
}

bool det_cuda_q8_has_candidates(const struct det_cuda_net *net, int32_t index)
{
    return det_cuda_q8_has(&net->q8, index) && net->q8.convs[index].product.count > 1;
}

det_status det_cuda_q8_tune_op(struct det_env *env, const struct det_cuda_net *net, int32_t index,
                               struct det_cuda_tuner *tuner)
{
    const struct det_op *op = &net->graph->ops[index];
    if (!det_op_is_convolution(op))
        return DET_OK;
    return det_cuda_q8_conv_tune(env, tuner, &net->q8.convs[index], net->q8.constants,
                                 det_cuda_q8_values(net, op->in), net->workspace);
}
