#include "model/net_parts.h"

static float *gradient_of(const struct det_net *net, float *gradients, int32_t index)
{
    return index < 0 ? NULL : gradients + net->graph->params[index].offset;
}

/* A gradient that is complete behind a norm; without one (NULL) just a gradient. */
static struct det_gradient_to to_bn(const struct det_net *net, const struct det_net_bn *bn,
                                    float *gradient)
{
    struct det_gradient_to to = {.din = gradient};
    if (bn != NULL) {
        to.x = net->values[net->graph->ops[bn->op].in];
        to.bn = &bn->bn;
        to.sums = bn->sums;
    }
    return to;
}

static void backward_conv(struct det_net *net, const float *params, float *gradients, int32_t index)
{
    const struct det_graph *g = net->graph;
    const struct det_op *op = &g->ops[index];
    const struct det_conv_shape s = det_net_conv_shape(g, op, net->batch);
    const bool accumulate = net->plan.accumulate_param[index];
    const struct det_operand in = det_net_operand(net, op->in);
    struct det_gradient dout = {.dy = net->gradients[op->out]};
    const struct det_net_bn *after = det_net_bn_at(net, net->bns.of_maker[index]);
    if (after != NULL) {
        dout.x = net->values[op->out];
        dout.bn = &after->bn;
        dout.constant = after->constant;
        dout.slope = after->slope;
    }
    /* Nobody wants the gradient of the image. */
    float *din = op->in == 0 ? NULL : net->gradients[op->in];
    struct det_gradient_to to = to_bn(net, det_net_bn_at(net, net->bns.fed_by[index]), din);
    to.accumulate = net->plan.accumulate_in[index];
    if (op->bias >= 0)
        net->ops->bias_backward(&net->exec, det_net_rows(g, op->out, net->batch), s.out_c, dout.dy,
                                gradient_of(net, gradients, op->bias), accumulate);
    net->ops->bn_conv_backward(&net->exec, &s, op->kind == DET_OP_DWCONV, &in, &dout,
                               det_net_param(net, params, op->weight), &to,
                               gradient_of(net, gradients, op->weight), accumulate);
}

static void backward_op(struct det_net *net, const float *params, float *gradients, int32_t index)
{
    const struct det_graph *g = net->graph;
    const struct det_op *op = &g->ops[index];
    const struct det_exec *x = &net->exec;
    const float *dout = net->gradients[op->out];
    const int64_t count = det_net_rows(g, op->out, net->batch) * g->tensors[op->out].channels;
    if (net->mode == DET_NET_TRAIN_FOLDED)
        net->ops->fake_quant_backward(x, count,
                                      net->rounding.passes + net->rounding.offsets[op->out],
                                      net->gradients[op->out]);
    switch (op->kind) {
    case DET_OP_CONV:
    case DET_OP_DWCONV:
        backward_conv(net, params, gradients, index);
        return;
    case DET_OP_BATCH_NORM: {
        struct det_net_bn *bn = det_net_bn_at(net, net->bns.of_result[op->out]);
        const int64_t rows = det_net_rows(g, op->out, net->batch);
        const struct det_gradient_to to = to_bn(net, bn, net->gradients[op->out]);
        if (!bn->fed)
            net->ops->bn_sums(x, rows, bn->channels, &to);
        const bool synced = det_net_is_synced(net, op);
        if (synced)
            det_net_sync_sums(net->sync, bn);
        det_net_bn_finish(g, net->mode, params, rows, synced ? net->sync->ranks : 1, bn, gradients);
        return;
    }
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
    det_net_copy_levels(net, net->gradients, g->box_outputs, 4, net->encoding_gradients,
                        DET_NET_SCATTER);
    det_net_copy_levels(net, net->gradients, g->class_outputs, g->class_slots, net->logit_gradients,
                        DET_NET_SCATTER);
    for (int32_t i = g->op_count - 1; i >= 0 && !det_net_is_stopped(net); i--) {
        backward_op(net, params, gradients, i);
        if (net->passed != NULL)
            net->passed(net->passed_user, i);
    }
}
