#include "model/net.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/plan.h"

struct det_net {
    const struct det_graph *graph;
    const struct det_ops *ops;
    struct det_exec exec;
    int32_t batch;
    enum det_net_mode mode;

    uint8_t *arena;
    float **values;       /* per tensor */
    float **gradients;    /* per tensor, NULL where none is kept */
    bool *accumulate_in;  /* per operation: its gradient for `in` is added */
    bool *accumulate_in2; /* ... for `in2` */
    bool *skip_in2;       /* ... for `in2` is the output's own gradient: the same memory */
    bool *
        accumulate_param; /* per operation: its parameter gradients are added (weights shared by levels) */
    float **statistics; /* per operation: batch norm's mean [c], variance [c] */
    float *statistics_block;
    float *encodings, *logits, *encoding_gradients, *logit_gradients;
    void *workspace;
};

/* Everything that is decided before memory is taken. */
struct net_plan {
    struct det_plan_block *blocks; /* values, then gradients */
    int32_t *alias;                /* gradient of tensor t lives in the block of tensor alias[t] */
    bool *accumulate_in, *accumulate_in2, *skip_in2, *accumulate_param;
    size_t arena_bytes, workspace_bytes, statistics_floats;
};

static bool is_training(enum det_net_mode mode)
{
    return mode == DET_NET_TRAIN || mode == DET_NET_TRAIN_FROZEN;
}

static void plan_free(struct det_env *env, struct net_plan *plan)
{
    det_free(env, &plan->blocks);
    det_free(env, &plan->alias);
    det_free(env, &plan->accumulate_in);
    det_free(env, &plan->accumulate_in2);
    det_free(env, &plan->skip_in2);
    det_free(env, &plan->accumulate_param);
}

static struct det_conv_shape conv_shape(const struct det_graph *graph, const struct det_op *op,
                                        int32_t batch)
{
    const struct det_tensor in = graph->tensors[op->in], out = graph->tensors[op->out];
    return det_conv_same(batch, in.height, in.width, in.channels, out.channels, op->kernel,
                         op->stride);
}

static int64_t rows_of(const struct det_graph *graph, int32_t tensor, int32_t batch)
{
    return (int64_t)batch * graph->tensors[tensor].height * graph->tensors[tensor].width;
}

static det_status tensor_bytes(struct det_env *env, const struct det_graph *graph, int32_t tensor,
                               int32_t batch, size_t *bytes)
{
    const struct det_tensor t = graph->tensors[tensor];
    size_t n = sizeof(float);
    if (!det_size_mul(n, (size_t)batch, &n) || !det_size_mul(n, (size_t)t.height, &n) ||
        !det_size_mul(n, (size_t)t.width, &n) || !det_size_mul(n, (size_t)t.channels, &n))
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY,
                        "a tensor of %d x %d x %d x %d values is too large", batch, t.height,
                        t.width, t.channels);
    *bytes = n;
    return DET_OK;
}

static void use(struct det_plan_block *block, int32_t time)
{
    if (time < block->first)
        block->first = time;
    if (time > block->last)
        block->last = time;
}

/* Times: forward of operation i is i + 1, loss is T + 1, backward of operation i is 2T + 1 - i. */
static void plan_values(const struct det_graph *graph, enum det_net_mode mode,
                        struct det_plan_block *values)
{
    const int32_t operations = graph->op_count;
    use(&values[0], 0);
    for (int32_t i = 0; i < operations; i++) {
        const struct det_op *op = &graph->ops[i];
        const int32_t forward = i + 1, backward = 2 * operations + 1 - i;
        use(&values[op->in], forward);
        if (op->in2 >= 0)
            use(&values[op->in2], forward);
        use(&values[op->out], forward);
        if (!is_training(mode))
            continue;
        if (op->kind == DET_OP_CONV || op->kind == DET_OP_DWCONV || op->kind == DET_OP_BATCH_NORM)
            use(&values[op->in], backward);
    }
    for (int32_t l = 0; l < graph->levels; l++) {
        use(&values[graph->box_outputs[l]], operations + 1);
        use(&values[graph->class_outputs[l]], operations + 1);
    }
}

static int32_t consumers_of(const struct det_graph *graph, int32_t tensor)
{
    int32_t count = 0;
    for (int32_t i = 0; i < graph->op_count; i++)
        count += (graph->ops[i].in == tensor) + (graph->ops[i].in2 == tensor);
    return count;
}

/* Where a gradient may be computed in the memory of the next one: batch norm works in place, an addition hands its
 * gradient on unchanged. */
static void plan_aliases(const struct det_graph *graph, struct net_plan *plan)
{
    for (int32_t t = 0; t < graph->tensor_count; t++)
        plan->alias[t] = t;
    for (int32_t i = graph->op_count - 1; i >= 0; i--) {
        const struct det_op *op = &graph->ops[i];
        if (op->kind == DET_OP_BATCH_NORM && consumers_of(graph, op->in) == 1)
            plan->alias[op->in] = plan->alias[op->out];
        if ((op->kind == DET_OP_ADD || op->kind == DET_OP_UPSAMPLE_ADD) &&
            consumers_of(graph, op->in2) == 1) {
            plan->alias[op->in2] = plan->alias[op->out];
            plan->skip_in2[i] = true;
        }
    }
}

static void touch_gradient(struct net_plan *plan, struct det_plan_block *gradients, bool *written,
                           int32_t tensor, int32_t time, bool *accumulate)
{
    *accumulate = written[tensor];
    written[tensor] = true;
    use(&gradients[plan->alias[tensor]], time);
}

static det_status plan_gradients(struct det_env *env, const struct det_graph *graph,
                                 struct net_plan *plan, struct det_plan_block *gradients)
{
    const int32_t operations = graph->op_count;
    bool *written = NULL, *param_written = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &written, (size_t)graph->tensor_count, sizeof *written, "memory plan"));
    DET_TRY(det_alloc(env, &param_written, (size_t)graph->param_count, sizeof *param_written,
                      "memory plan"));
    plan_aliases(graph, plan);
    for (int32_t l = 0; l < graph->levels; l++) {
        const int32_t outputs[2] = {graph->box_outputs[l], graph->class_outputs[l]};
        for (int32_t k = 0; k < 2; k++) {
            written[outputs[k]] = true;
            use(&gradients[outputs[k]], operations + 1);
        }
    }
    for (int32_t i = operations - 1; i >= 0; i--) {
        const struct det_op *op = &graph->ops[i];
        const int32_t time = 2 * operations + 1 - i;
        use(&gradients[plan->alias[op->out]], time);
        if (op->in != 0) /* nobody wants the gradient of the image */
            touch_gradient(plan, gradients, written, op->in, time, &plan->accumulate_in[i]);
        if (op->in2 >= 0)
            touch_gradient(plan, gradients, written, op->in2, time, &plan->accumulate_in2[i]);
        const int32_t first = op->weight >= 0 ? op->weight : op->gamma;
        if (first >= 0) {
            plan->accumulate_param[i] = param_written[first];
            param_written[first] = true;
        }
    }
fail:
    det_free(env, &written);
    det_free(env, &param_written);
    return status;
}

static void plan_workspace(const struct det_graph *graph, const struct det_ops *ops, int threads,
                           int32_t batch, enum det_net_mode mode, struct net_plan *plan)
{
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        size_t need = 0;
        if (op->kind == DET_OP_CONV || op->kind == DET_OP_DWCONV) {
            const struct det_conv_shape s = conv_shape(graph, op, batch);
            need = ops->conv_workspace(&s, op->kind == DET_OP_DWCONV, threads);
        } else if (op->kind == DET_OP_BATCH_NORM) {
            plan->statistics_floats += 2 * (size_t)graph->tensors[op->out].channels;
        }
        if (need > plan->workspace_bytes)
            plan->workspace_bytes = need;
        if (is_training(mode) || op->kind == DET_OP_BATCH_NORM) {
            need = ops->bn_workspace(rows_of(graph, op->out, batch),
                                     graph->tensors[op->out].channels, threads);
            if (need > plan->workspace_bytes)
                plan->workspace_bytes = need;
        }
    }
}

static det_status make_plan(struct det_env *env, const struct det_graph *graph,
                            const struct det_ops *ops, int threads, int32_t batch,
                            enum det_net_mode mode, struct net_plan *plan)
{
    *plan = (struct net_plan){0};
    det_status status = DET_OK;
    if (batch < 1 || batch > 65536)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "batch size: got %d, expected 1 to 65536",
                        batch);
    if (mode != DET_NET_INFER && graph->folded)
        return det_fail(
            env, DET_STATUS_INVALID_ARGUMENT,
            "a model exported for inference cannot be trained: start from a checkpoint");
    const size_t tensors = (size_t)graph->tensor_count, operations = (size_t)graph->op_count;
    DET_TRY(det_alloc(env, &plan->blocks, 2 * tensors, sizeof *plan->blocks, "memory plan"));
    DET_TRY(det_alloc(env, &plan->alias, tensors, sizeof *plan->alias, "memory plan"));
    DET_TRY(det_alloc(env, &plan->accumulate_in, operations, sizeof(bool), "memory plan"));
    DET_TRY(det_alloc(env, &plan->accumulate_in2, operations, sizeof(bool), "memory plan"));
    DET_TRY(det_alloc(env, &plan->skip_in2, operations, sizeof(bool), "memory plan"));
    DET_TRY(det_alloc(env, &plan->accumulate_param, operations, sizeof(bool), "memory plan"));
    struct det_plan_block *values = plan->blocks, *gradients = plan->blocks + tensors;
    for (size_t t = 0; t < 2 * tensors; t++)
        plan->blocks[t] = (struct det_plan_block){.first = INT32_MAX, .last = -1};
    plan_values(graph, mode, values);
    if (is_training(mode))
        DET_TRY(plan_gradients(env, graph, plan, gradients));
    for (int32_t t = 0; t < graph->tensor_count; t++) {
        size_t bytes = 0;
        DET_TRY(tensor_bytes(env, graph, t, batch, &bytes));
        values[t].bytes = bytes;
        gradients[t].bytes = gradients[t].last < 0 ? 0 : bytes;
    }
    DET_TRY(det_plan_arena(env, plan->blocks, 2 * graph->tensor_count, &plan->arena_bytes));
    plan_workspace(graph, ops, threads, batch, mode, plan);
    return DET_OK;
fail:
    plan_free(env, plan);
    return status;
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
    struct net_plan plan;
    *bytes = 0;
    DET_TRY_RETURN(make_plan(env, graph, ops, threads, batch, mode, &plan));
    *bytes = plan.arena_bytes + plan.workspace_bytes +
             sizeof(float) * (plan.statistics_floats +
                              output_floats(graph, batch) * (is_training(mode) ? 2 : 1));
    plan_free(env, &plan);
    return DET_OK;
}

static det_status allocate(struct det_env *env, struct det_net *net, struct net_plan *plan)
{
    const struct det_graph *graph = net->graph;
    const size_t tensors = (size_t)graph->tensor_count, operations = (size_t)graph->op_count;
    const size_t anchors = (size_t)net->batch * (size_t)graph->anchor_count;
    const bool training = is_training(net->mode);
    DET_TRY_RETURN(det_alloc_raw(env, &net->arena, plan->arena_bytes, 1, "network tensors"));
    DET_TRY_RETURN(det_alloc_raw(env, &net->workspace, plan->workspace_bytes, 1, "workspace"));
    DET_TRY_RETURN(det_alloc(env, &net->values, tensors, sizeof(float *), "network"));
    DET_TRY_RETURN(det_alloc(env, &net->gradients, tensors, sizeof(float *), "network"));
    DET_TRY_RETURN(det_alloc(env, &net->statistics, operations, sizeof(float *), "network"));
    DET_TRY_RETURN(det_alloc(env, &net->statistics_block, plan->statistics_floats, sizeof(float),
                             "batch norm statistics"));
    DET_TRY_RETURN(det_alloc(env, &net->encodings, anchors, 4 * sizeof(float), "box encodings"));
    DET_TRY_RETURN(det_alloc(env, &net->logits, anchors, (size_t)graph->class_slots * sizeof(float),
                             "class logits"));
    if (training) {
        DET_TRY_RETURN(det_alloc(env, &net->encoding_gradients, anchors, 4 * sizeof(float),
                                 "box encoding gradients"));
        DET_TRY_RETURN(det_alloc(env, &net->logit_gradients, anchors,
                                 (size_t)graph->class_slots * sizeof(float),
                                 "class logit gradients"));
    }
    for (size_t t = 0; t < tensors; t++) {
        net->values[t] = (float *)(void *)(net->arena + plan->blocks[t].offset);
        const struct det_plan_block *gradient = &plan->blocks[tensors + (size_t)plan->alias[t]];
        if (training && gradient->bytes > 0)
            net->gradients[t] = (float *)(void *)(net->arena + gradient->offset);
    }
    float *statistics = net->statistics_block;
    for (size_t i = 0; i < operations; i++) {
        if (graph->ops[i].kind != DET_OP_BATCH_NORM)
            continue;
        net->statistics[i] = statistics;
        statistics += 2 * graph->tensors[graph->ops[i].out].channels;
    }
    return DET_OK;
}

det_status det_net_create(struct det_env *env, const struct det_graph *graph,
                          const struct det_ops *ops, struct det_pool *pool, int32_t batch,
                          enum det_net_mode mode, struct det_net **out)
{
    *out = NULL;
    struct net_plan plan;
    DET_TRY_RETURN(make_plan(env, graph, ops, det_pool_threads(pool), batch, mode, &plan));
    struct det_net *net = NULL;
    det_status status = det_alloc(env, &net, 1, sizeof *net, "network");
    if (status == DET_OK) {
        *net = (struct det_net){.graph = graph, .ops = ops, .batch = batch, .mode = mode};
        status = allocate(env, net, &plan);
        net->exec = (struct det_exec){
            .pool = pool, .workspace = net->workspace, .workspace_bytes = plan.workspace_bytes};
        /* The flags move over. */
        net->accumulate_in = plan.accumulate_in;
        net->accumulate_in2 = plan.accumulate_in2;
        net->skip_in2 = plan.skip_in2;
        net->accumulate_param = plan.accumulate_param;
        plan.accumulate_in = plan.accumulate_in2 = plan.skip_in2 = plan.accumulate_param = NULL;
    }
    plan_free(env, &plan);
    if (status != DET_OK) {
        det_net_destroy(env, &net);
        return status;
    }
    *out = net;
    return DET_OK;
}

void det_net_destroy(struct det_env *env, struct det_net **pointer)
{
    struct det_net *net = *pointer;
    if (net == NULL)
        return;
    det_free(env, &net->arena);
    det_free(env, &net->workspace);
    det_free(env, &net->values);
    det_free(env, &net->gradients);
    det_free(env, &net->statistics);
    det_free(env, &net->statistics_block);
    det_free(env, &net->accumulate_in);
    det_free(env, &net->accumulate_in2);
    det_free(env, &net->skip_in2);
    det_free(env, &net->accumulate_param);
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

void det_net_set_images(struct det_net *net, const float *images, int32_t height, int32_t width)
{
    const struct det_tensor t = net->graph->tensors[0];
    const size_t row = (size_t)width * 3, full_row = (size_t)t.width * 3;
    float *input = net->values[0];
    for (int32_t n = 0; n < net->batch; n++) {
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
    const int64_t rows = rows_of(g, op->out, net->batch);
    switch (op->kind) {
    case DET_OP_CONV: {
        const struct det_conv_shape s = conv_shape(g, op, net->batch);
        k->conv_forward(x, &s, in, param_of(net, params, op->weight),
                        param_of(net, params, op->bias), op->act, out);
        break;
    }
    case DET_OP_DWCONV: {
        const struct det_conv_shape s = conv_shape(g, op, net->batch);
        k->dwconv_forward(x, &s, in, param_of(net, params, op->weight),
                          param_of(net, params, op->bias), op->act, out);
        break;
    }
    case DET_OP_BATCH_NORM: {
        const float *gamma = param_of(net, params, op->gamma);
        const float *beta = param_of(net, params, op->beta);
        float *mean = net->statistics[index];
        if (net->mode == DET_NET_TRAIN || (net->mode == DET_NET_EVALUATE && op->head))
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
    const struct det_conv_shape s = conv_shape(g, op, net->batch);
    const float *in = net->values[op->in], *dout = net->gradients[op->out];
    const float *weight = param_of(net, params, op->weight);
    float *dweight = gradient_of(net, gradients, op->weight);
    const bool depthwise = op->kind == DET_OP_DWCONV;
    const bool accumulate = net->accumulate_param[index];
    if (op->bias >= 0)
        k->bias_backward(x, rows_of(g, op->out, net->batch), s.out_c, dout,
                         gradient_of(net, gradients, op->bias), accumulate);
    (depthwise ? k->dwconv_backward_weight : k->conv_backward_weight)(x, &s, in, dout, dweight,
                                                                      accumulate);
    if (op->in != 0)
        (depthwise ? k->dwconv_backward_data : k->conv_backward_data)(
            x, &s, dout, weight, net->gradients[op->in], net->accumulate_in[index]);
}

static void backward_norm(struct det_net *net, const float *params, float *gradients, int32_t index)
{
    const struct det_graph *g = net->graph;
    const struct det_op *op = &g->ops[index];
    const bool frozen = net->mode == DET_NET_TRAIN_FROZEN;
    const int32_t channels = g->tensors[op->out].channels;
    const float *mean = frozen ? param_of(net, params, op->mean) : net->statistics[index];
    const float *variance =
        frozen ? param_of(net, params, op->variance) : net->statistics[index] + channels;
    (frozen ? net->ops->bn_frozen_backward : net->ops->bn_backward)(
        &net->exec, rows_of(g, op->out, net->batch), channels, net->values[op->in],
        net->gradients[op->out], param_of(net, params, op->gamma), param_of(net, params, op->beta),
        mean, variance, op->epsilon, op->act, net->gradients[op->in], net->accumulate_in[index],
        gradient_of(net, gradients, op->gamma), gradient_of(net, gradients, op->beta));
}

static void backward_op(struct det_net *net, const float *params, float *gradients, int32_t index)
{
    const struct det_graph *g = net->graph;
    const struct det_op *op = &g->ops[index];
    const struct det_exec *x = &net->exec;
    const float *dout = net->gradients[op->out];
    const int64_t count = rows_of(g, op->out, net->batch) * g->tensors[op->out].channels;
    switch (op->kind) {
    case DET_OP_CONV:
    case DET_OP_DWCONV:
        backward_conv(net, params, gradients, index);
        return;
    case DET_OP_BATCH_NORM:
        backward_norm(net, params, gradients, index);
        return;
    case DET_OP_ADD:
        net->ops->accumulate(x, count, dout, net->gradients[op->in], net->accumulate_in[index]);
        break;
    case DET_OP_UPSAMPLE_ADD:
        net->ops->upsample_backward(x, net->batch, g->tensors[op->in].height,
                                    g->tensors[op->in].width, g->tensors[op->in].channels,
                                    g->tensors[op->out].height, g->tensors[op->out].width, dout,
                                    net->gradients[op->in], net->accumulate_in[index]);
        break;
    }
    if (!net->skip_in2[index])
        net->ops->accumulate(x, count, dout, net->gradients[op->in2], net->accumulate_in2[index]);
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
        const double rows = (double)rows_of(g, op->out, net->batch);
        const float unbiased = (float)(rows / (rows > 1 ? rows - 1 : 1));
        const float *mean = net->statistics[i], *variance = mean + channels;
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
    *count = (size_t)rows_of(net->graph, tensor, net->batch) *
             (size_t)net->graph->tensors[tensor].channels;
    return net->values[tensor];
}

const char *det_net_first_non_finite(const struct det_net *net)
{
    const struct det_graph *g = net->graph;
    for (int32_t i = 0; i < g->op_count; i++) {
        const struct det_op *op = &g->ops[i];
        const size_t count =
            (size_t)rows_of(g, op->out, net->batch) * (size_t)g->tensors[op->out].channels;
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
