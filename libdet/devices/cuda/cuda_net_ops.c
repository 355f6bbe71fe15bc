#include "devices/cuda/cuda_net_ops.h"

#include "bn.h"
#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_sync.h"
#include "dwconv.h"

static void *value_of(const struct det_cuda_net *net, int32_t tensor)
{
    return net->arena + net->plan.value_offsets[tensor];
}

static void *gradient_of(const struct det_cuda_net *net, int32_t tensor)
{
    return net->arena + net->plan.gradient_offsets[tensor];
}

static const float *param_of(const struct det_cuda_net *net, int32_t index)
{
    return index < 0 ? NULL : net->params + net->graph->params[index].offset;
}

static float *param_gradient_of(const struct det_cuda_net *net, int32_t index)
{
    return net->gradients + (net->graph->params[index].offset - net->gradients_from);
}

static struct det_cuda_param both_of(const struct det_cuda_net *net, int32_t index)
{
    if (index < 0)
        return (struct det_cuda_param){0};
    const size_t offset = net->graph->params[index].offset;
    return (struct det_cuda_param){
        .master = net->params + offset,
        .typed = (const uint8_t *)net->typed_params + offset * det_cuda_element_bytes(net->device),
    };
}

/* Mean [c] and variance [c] that batch norm `index` applies. */
struct statistics {
    float *mean, *variance;
};

static struct statistics batch_statistics(const struct det_cuda_net *net, int32_t index)
{
    float *mean = net->statistics + net->plan.statistics_offsets[index];
    return (struct statistics){mean,
                               mean + net->graph->tensors[net->graph->ops[index].out].channels};
}

/* Mean and variance that batch norm `index` applies. */
static struct statistics statistics_of(const struct det_cuda_net *net, int32_t index)
{
    const struct det_op *op = &net->graph->ops[index];
    if (det_net_uses_batch_statistics(net->mode, op))
        return batch_statistics(net, index);
    return (struct statistics){net->params + net->graph->params[op->mean].offset,
                               net->params + net->graph->params[op->variance].offset};
}

/* Where a depthwise convolution's input lies, and what is to be done to it. */
static const void *input_of(const struct det_cuda_net *net, const struct det_op *op,
                            struct detk_load *load)
{
    *load = (struct detk_load){.kind = net->late_relu6[op->in] ? DETK_LOAD_RELU6 : DETK_LOAD_PLAIN};
    const int32_t index = net->late_norm[op->in];
    if (index < 0)
        return value_of(net, op->in);
    const struct det_op *norm = &net->graph->ops[index];
    const struct statistics s = statistics_of(net, index);
    *load = (struct detk_load){
        .kind = DETK_LOAD_NORM_RELU6,
        .gamma = param_of(net, norm->gamma),
        .beta = param_of(net, norm->beta),
        .mean = s.mean,
        .variance = s.variance,
        .epsilon = norm->epsilon,
    };
    return value_of(net, norm->in);
}

static det_status forward_norm(struct det_env *env, const struct det_cuda_net *net, int32_t index)
{
    const struct det_device *d = net->device;
    const struct det_op *op = &net->graph->ops[index];
    const int64_t rows = det_net_rows(net->graph, op->out, net->batch);
    const int32_t channels = net->graph->tensors[op->out].channels;
    const void *in = value_of(net, op->in);
    const struct statistics use = statistics_of(net, index);
    const bool of_batch = det_net_uses_batch_statistics(net->mode, op);
    if (of_batch)
        DET_TRY_RETURN(det_cuda_check(env,
                                      detk_bn_statistics(d->stream, d->type, rows, channels, in,
                                                         use.mean, use.variance, net->workspace),
                                      op->name));
    if (of_batch && net->sync != NULL)
        DET_TRY_RETURN(det_cuda_sync_statistics(env, d, net->sync, channels, use.mean));
    if (net->late_norm[op->out] >= 0)
        return DET_OK;
    return det_cuda_check(env,
                          detk_bn_apply(d->stream, d->type, rows, channels, in,
                                        param_of(net, op->gamma), param_of(net, op->beta), use.mean,
                                        use.variance, op->epsilon, op->act, value_of(net, op->out)),
                          op->name);
}

/* --- training in 8 bits --- */

static int64_t values_of(const struct det_cuda_net *net, int32_t tensor)
{
    return det_net_rows(net->graph, tensor, net->batch) * net->graph->tensors[tensor].channels;
}

static det_status learn_range(struct det_env *env, const struct det_cuda_net *net, int32_t tensor)
{
    return det_cuda_check(env,
                          detk_learn_range(net->device->stream, det_cuda_net_type(net, tensor),
                                           values_of(net, tensor), value_of(net, tensor),
                                           &net->ranges, tensor, net->workspace),
                          "learning a range");
}

static det_status round_tensor(struct det_env *env, const struct det_cuda_net *net, int32_t tensor,
                               const struct detk_alike *alike, bool relu6)
{
    return det_cuda_check(
        env,
        detk_fake_quant_forward(net->device->stream, det_cuda_net_type(net, tensor),
                                values_of(net, tensor), &net->ranges, alike, relu6,
                                value_of(net, tensor), net->passes + net->passes_offsets[tensor]),
        "rounding to 8 bits");
}

static det_status round_made(struct det_env *env, const struct det_cuda_net *net, int32_t index)
{
    const struct det_op *op = &net->graph->ops[index];
    const struct detk_alike alone = {1, {op->out}};
    if (net->mode != DET_NET_TRAIN_FOLDED || det_graph_is_output(net->graph, op->out))
        return DET_OK;
    DET_TRY_RETURN(learn_range(env, net, op->out));
    return round_tensor(env, net, op->out, &alone, op->act == DET_ACTIVATION_RELU6);
}

static det_status round_alike(struct det_env *env, const struct det_cuda_net *net,
                              const int32_t *outputs)
{
    struct detk_alike alike = {.count = net->graph->levels};
    for (int32_t l = 0; l < alike.count; l++) {
        alike.tensors[l] = outputs[l];
        DET_TRY_RETURN(learn_range(env, net, outputs[l]));
    }
    for (int32_t l = 0; l < alike.count; l++)
        DET_TRY_RETURN(round_tensor(env, net, outputs[l], &alike, false));
    return DET_OK;
}

det_status det_cuda_net_round_outputs(struct det_env *env, const struct det_cuda_net *net)
{
    DET_TRY_RETURN(round_alike(env, net, net->graph->box_outputs));
    return round_alike(env, net, net->graph->class_outputs);
}

det_status det_cuda_net_round_input(struct det_env *env, const struct det_cuda_net *net)
{
    return det_cuda_check(env,
                          detk_round_pixels(net->device->stream, net->device->type,
                                            values_of(net, 0), value_of(net, 0)),
                          "rounding the input to grey levels");
}

static det_status pass_gradient(struct det_env *env, const struct det_cuda_net *net, int32_t index)
{
    const int32_t tensor = net->graph->ops[index].out;
    if (net->mode != DET_NET_TRAIN_FOLDED)
        return DET_OK;
    return det_cuda_check(env,
                          detk_fake_quant_backward(
                              net->device->stream, net->device->type, values_of(net, tensor),
                              net->passes + net->passes_offsets[tensor], gradient_of(net, tensor)),
                          "passing gradients through 8 bits");
}

/* --- operations --- */

/* In the device's type. */
static det_status forward_float(struct det_env *env, const struct det_cuda_net *net, int32_t index)
{
    const struct det_device *d = net->device;
    const struct det_graph *g = net->graph;
    const struct det_op *op = &g->ops[index];
    const struct det_tensor in = g->tensors[op->in], out = g->tensors[op->out];
    const int64_t count = det_net_rows(g, op->out, net->batch) * out.channels;
    cudaError_t error = cudaSuccess;
    switch (op->kind) {
    case DET_OP_CONV:
        return det_cuda_conv_forward(env, d, &net->convs[index], value_of(net, op->in),
                                     both_of(net, op->weight), both_of(net, op->bias),
                                     net->late_relu6[op->out] ? DET_ACTIVATION_NONE : op->act,
                                     value_of(net, op->out), net->workspace, op->name);
    case DET_OP_DWCONV: {
        const struct det_conv_shape shape = det_net_conv_shape(g, op, net->batch);
        struct detk_load load;
        const void *from = input_of(net, op, &load);
        error =
            detk_dwconv_forward(d->stream, d->type, &shape, from, &load, param_of(net, op->weight),
                                param_of(net, op->bias), op->act, value_of(net, op->out));
        break;
    }
    case DET_OP_BATCH_NORM:
        return forward_norm(env, net, index);
    case DET_OP_ADD:
        error = detk_add(d->stream, d->type, count, value_of(net, op->in), value_of(net, op->in2),
                         value_of(net, op->out));
        break;
    case DET_OP_UPSAMPLE_ADD:
        error = detk_upsample_add(d->stream, d->type, net->batch, in.height, in.width, in.channels,
                                  out.height, out.width, value_of(net, op->in),
                                  value_of(net, op->in2), value_of(net, op->out));
        break;
    }
    return det_cuda_check(env, error, op->name);
}

det_status det_cuda_net_forward_op(struct det_env *env, const struct det_cuda_net *net,
                                   int32_t index)
{
    DET_TRY_RETURN(det_cuda_q8_has(&net->q8, index) ? det_cuda_q8_forward_op(env, net, index)
                                                    : forward_float(env, net, index));
    DET_TRY_RETURN(round_made(env, net, index));
    return det_cuda_q8_convert(env, net, index);
}

static det_status backward_conv(struct det_env *env, const struct det_cuda_net *net, int32_t index)
{
    const struct det_device *d = net->device;
    const struct det_op *op = &net->graph->ops[index];
    const struct det_cuda_conv *conv = &net->convs[index];
    DET_TRY_RETURN(
        det_cuda_conv_backward_weight(env, d, conv, value_of(net, op->in),
                                      gradient_of(net, op->out), param_gradient_of(net, op->weight),
                                      net->plan.accumulate_param[index], net->workspace, op->name));
    if (op->in == 0)
        return DET_OK;
    return det_cuda_conv_backward_data(env, d, conv, gradient_of(net, op->out),
                                       both_of(net, op->weight), gradient_of(net, op->in),
                                       net->plan.accumulate_in[index], net->workspace, op->name);
}

static det_status backward_dwconv(struct det_env *env, const struct det_cuda_net *net,
                                  int32_t index)
{
    const struct det_device *d = net->device;
    const struct det_op *op = &net->graph->ops[index];
    const struct det_conv_shape shape = det_net_conv_shape(net->graph, op, net->batch);
    struct detk_load load;
    const void *from = input_of(net, op, &load);
    DET_TRY_RETURN(det_cuda_check(
        env,
        detk_dwconv_backward_weight(d->stream, d->type, &shape, from, &load,
                                    gradient_of(net, op->out), param_gradient_of(net, op->weight),
                                    net->plan.accumulate_param[index], net->workspace),
        op->name));
    if (op->in == 0)
        return DET_OK;
    return det_cuda_check(
        env,
        detk_dwconv_backward_data(d->stream, d->type, &shape, gradient_of(net, op->out),
                                  param_of(net, op->weight), gradient_of(net, op->in),
                                  net->plan.accumulate_in[index]),
        op->name);
}

static det_status backward_bias(struct det_env *env, const struct det_cuda_net *net, int32_t index)
{
    const struct det_device *d = net->device;
    const struct det_op *op = &net->graph->ops[index];
    if (op->bias < 0)
        return DET_OK;
    return det_cuda_check(
        env,
        detk_bias_backward(d->stream, d->type, det_net_rows(net->graph, op->out, net->batch),
                           net->graph->tensors[op->out].channels, gradient_of(net, op->out),
                           param_gradient_of(net, op->bias), net->plan.accumulate_param[index],
                           net->workspace),
        op->name);
}

/* Of all ranks' pictures. */
static det_status backward_joined(struct det_env *env, const struct det_cuda_net *net,
                                  int32_t index)
{
    const struct det_device *d = net->device;
    const struct det_op *op = &net->graph->ops[index];
    const int64_t rows = det_net_rows(net->graph, op->out, net->batch);
    const int32_t channels = net->graph->tensors[op->out].channels;
    const struct statistics batch = batch_statistics(net, index);
    const void *in = value_of(net, op->in), *dout = gradient_of(net, op->out);
    const float *gamma = param_of(net, op->gamma), *beta = param_of(net, op->beta);
    float *dgamma = param_gradient_of(net, op->gamma), *dbeta = param_gradient_of(net, op->beta);
    float *mine = net->sync->mine;
    DET_TRY_RETURN(
        det_cuda_check(env,
                       detk_bn_backward_sums(d->stream, d->type, rows, channels, in, dout, gamma,
                                             beta, batch.mean, batch.variance, op->epsilon, op->act,
                                             mine + channels, mine, net->workspace),
                       op->name));
    DET_TRY_RETURN(det_cuda_sync_sums(env, d, net->sync, channels, dbeta, dgamma));
    return det_cuda_check(env,
                          detk_bn_backward_rows(d->stream, d->type, rows, channels, in, dout, gamma,
                                                beta, batch.mean, batch.variance, op->epsilon,
                                                op->act, dgamma, dbeta, gradient_of(net, op->in),
                                                net->plan.accumulate_in[index]),
                          op->name);
}

static det_status backward_norm(struct det_env *env, const struct det_cuda_net *net, int32_t index)
{
    if (net->sync != NULL)
        return backward_joined(env, net, index);
    const struct det_device *d = net->device;
    const struct det_op *op = &net->graph->ops[index];
    const int64_t rows = det_net_rows(net->graph, op->out, net->batch);
    const int32_t channels = net->graph->tensors[op->out].channels;
    const struct statistics batch = batch_statistics(net, index);
    const bool frozen = net->mode == DET_NET_TRAIN_FROZEN;
    return det_cuda_check(
        env,
        (frozen ? detk_bn_frozen_backward : detk_bn_backward)(
            d->stream, d->type, rows, channels, value_of(net, op->in), gradient_of(net, op->out),
            param_of(net, op->gamma), param_of(net, op->beta),
            frozen ? param_of(net, op->mean) : batch.mean,
            frozen ? param_of(net, op->variance) : batch.variance, op->epsilon, op->act,
            gradient_of(net, op->in), net->plan.accumulate_in[index],
            param_gradient_of(net, op->gamma), param_gradient_of(net, op->beta), net->workspace),
        op->name);
}

/* ADD and UPSAMPLE_ADD: what `in2` gets, unless it is the same memory. */
static det_status backward_in2(struct det_env *env, const struct det_cuda_net *net, int32_t index)
{
    const struct det_device *d = net->device;
    const struct det_op *op = &net->graph->ops[index];
    const int64_t count =
        det_net_rows(net->graph, op->out, net->batch) * net->graph->tensors[op->out].channels;
    if (net->plan.skip_in2[index])
        return DET_OK;
    return det_cuda_check(env,
                          detk_accumulate(d->stream, d->type, count, gradient_of(net, op->out),
                                          gradient_of(net, op->in2),
                                          net->plan.accumulate_in2[index]),
                          op->name);
}

det_status det_cuda_net_backward_op(struct det_env *env, const struct det_cuda_net *net,
                                    int32_t index)
{
    const struct det_device *d = net->device;
    const struct det_graph *g = net->graph;
    const struct det_op *op = &g->ops[index];
    const struct det_tensor in = g->tensors[op->in], out = g->tensors[op->out];
    const int64_t count = det_net_rows(g, op->out, net->batch) * out.channels;
    DET_TRY_RETURN(pass_gradient(env, net, index));
    switch (op->kind) {
    case DET_OP_CONV:
        DET_TRY_RETURN(backward_bias(env, net, index));
        return backward_conv(env, net, index);
    case DET_OP_DWCONV:
        DET_TRY_RETURN(backward_bias(env, net, index));
        return backward_dwconv(env, net, index);
    case DET_OP_BATCH_NORM:
        return backward_norm(env, net, index);
    case DET_OP_ADD:
        DET_TRY_RETURN(det_cuda_check(
            env,
            detk_accumulate(d->stream, d->type, count, gradient_of(net, op->out),
                            gradient_of(net, op->in), net->plan.accumulate_in[index]),
            op->name));
        break;
    case DET_OP_UPSAMPLE_ADD:
        DET_TRY_RETURN(det_cuda_check(
            env,
            detk_upsample_backward(d->stream, d->type, net->batch, in.height, in.width, in.channels,
                                   out.height, out.width, gradient_of(net, op->out),
                                   gradient_of(net, op->in), net->plan.accumulate_in[index]),
            op->name));
        break;
    }
    return backward_in2(env, net, index);
}

det_status det_cuda_net_tune_op(struct det_env *env, const struct det_cuda_net *net, int32_t index,
                                struct det_cuda_tuner *tuner)
{
    const struct det_op *op = &net->graph->ops[index];
    if (det_cuda_q8_has(&net->q8, index))
        return det_cuda_q8_tune_op(env, net, index, tuner);
    if (op->kind != DET_OP_CONV)
        return DET_OK;
    struct det_cuda_conv_operands operands = {
        .in = value_of(net, op->in),
        .weight = both_of(net, op->weight),
        .bias = both_of(net, op->bias),
        .out = value_of(net, op->out),
    };
    if (det_net_is_training(net->mode)) {
        operands.dout = gradient_of(net, op->out);
        operands.din = op->in != 0 ? gradient_of(net, op->in) : NULL;
        operands.dweight = param_gradient_of(net, op->weight);
    }
    return det_cuda_conv_tune(env, tuner, &net->convs[index], &operands, net->workspace);
}
