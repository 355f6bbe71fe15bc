#include "model/net_plan.h"

#include "model/plan.h"
#include "support/mem.h"

/* What is needed only while planning. */
struct work {
    struct det_net_plan *plan;
    struct det_plan_block *blocks; /* values, then gradients */
    int32_t *alias;                /* gradient of tensor t lives in the block of tensor alias[t] */
};

struct det_conv_shape det_net_conv_shape(const struct det_graph *graph, const struct det_op *op,
                                         int32_t batch)
{
    const struct det_tensor in = graph->tensors[op->in], out = graph->tensors[op->out];
    return det_conv_same(batch, in.height, in.width, in.channels, out.channels, op->kernel,
                         op->stride);
}

int64_t det_net_rows(const struct det_graph *graph, int32_t tensor, int32_t batch)
{
    return (int64_t)batch * graph->tensors[tensor].height * graph->tensors[tensor].width;
}

/* Rounded up to the alignment, so that the offsets, sums of sizes, are multiples of it too. */
static det_status tensor_bytes(struct det_env *env, const struct det_graph *graph, int32_t tensor,
                               const struct det_net_plan_settings *settings, size_t element_bytes,
                               size_t *bytes)
{
    const struct det_tensor t = graph->tensors[tensor];
    size_t n = element_bytes;
    if (!det_size_mul(n, (size_t)settings->batch, &n) || !det_size_mul(n, (size_t)t.height, &n) ||
        !det_size_mul(n, (size_t)t.width, &n) || !det_size_mul(n, (size_t)t.channels, &n) ||
        !det_size_add(n, settings->alignment - 1, &n))
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY,
                        "a tensor of %d x %d x %d x %d values is too large", settings->batch,
                        t.height, t.width, t.channels);
    *bytes = n / settings->alignment * settings->alignment;
    return DET_OK;
}

static void use(struct det_plan_block *block, int32_t time)
{
    if (time < block->first)
        block->first = time;
    if (time > block->last)
        block->last = time;
}

/* A read of a tensor: of what it is made from when nobody stores it. */
static void use_value(const struct det_graph *graph, const struct det_net_plan_settings *settings,
                      struct det_plan_block *values, int32_t tensor, int32_t time)
{
    use(&values[tensor], time);
    if (settings->unstored == NULL || !settings->unstored[tensor])
        return;
    for (int32_t i = 0; i < graph->op_count; i++) {
        if (graph->ops[i].kind == DET_OP_BATCH_NORM && graph->ops[i].out == tensor)
            use(&values[graph->ops[i].in], time);
    }
}

/* When the operation that makes a tensor runs backward. */
static int32_t backward_of_maker(const struct det_graph *graph, int32_t tensor)
{
    int32_t maker = graph->op_count;
    for (int32_t i = 0; i < graph->op_count; i++) {
        if (graph->ops[i].out == tensor)
            maker = i;
    }
    return 2 * graph->op_count + 1 - maker;
}

/* Times: forward of operation i is i + 1, loss is T + 1, backward of operation i is 2T + 1 - i. */
static void plan_values(const struct det_graph *graph, const struct det_net_plan_settings *settings,
                        struct det_plan_block *values)
{
    const int32_t operations = graph->op_count;
    use(&values[0], 0);
    for (int32_t i = 0; i < operations; i++) {
        const struct det_op *op = &graph->ops[i];
        const int32_t forward = i + 1, backward = 2 * operations + 1 - i;
        use_value(graph, settings, values, op->in, forward);
        if (op->in2 >= 0)
            use_value(graph, settings, values, op->in2, forward);
        use(&values[op->out], forward);
        if (!det_net_is_training(settings->mode))
            continue;
        if (det_op_is_convolution(op) || op->kind == DET_OP_BATCH_NORM)
            use_value(graph, settings, values, op->in, backward);
        if (op->kind == DET_OP_BATCH_NORM && settings->late_norm_gradients)
            use(&values[op->in], backward_of_maker(graph, op->in));
    }
    for (int32_t l = 0; l < graph->levels; l++) {
        use(&values[graph->box_outputs[l]], operations + 1);
        use(&values[graph->class_outputs[l]], operations + 1);
    }
    if (settings->at_once > 0)
        det_plan_stretch(values, graph->tensor_count, operations - settings->at_once + 1,
                         operations);
}

static int32_t consumers_of(const struct det_graph *graph, int32_t tensor)
{
    int32_t count = 0;
    for (int32_t i = 0; i < graph->op_count; i++)
        count += (graph->ops[i].in == tensor) + (graph->ops[i].in2 == tensor);
    return count;
}

/* Where a gradient may be computed in the memory of the next one: batch norm works in place, an
 * addition hands its gradient on unchanged. */
static void plan_aliases(const struct det_graph *graph, struct work *work)
{
    for (int32_t t = 0; t < graph->tensor_count; t++)
        work->alias[t] = t;
    for (int32_t i = graph->op_count - 1; i >= 0; i--) {
        const struct det_op *op = &graph->ops[i];
        if (op->kind == DET_OP_BATCH_NORM && consumers_of(graph, op->in) == 1)
            work->alias[op->in] = work->alias[op->out];
        if ((op->kind == DET_OP_ADD || op->kind == DET_OP_UPSAMPLE_ADD) &&
            consumers_of(graph, op->in2) == 1) {
            work->alias[op->in2] = work->alias[op->out];
            work->plan->skip_in2[i] = true;
        }
    }
}

static void touch_gradient(struct work *work, struct det_plan_block *gradients, bool *written,
                           int32_t tensor, int32_t time, bool *accumulate)
{
    *accumulate = written[tensor];
    written[tensor] = true;
    use(&gradients[work->alias[tensor]], time);
}

static det_status plan_gradients(struct det_env *env, const struct det_graph *graph,
                                 struct work *work, struct det_plan_block *gradients)
{
    const int32_t operations = graph->op_count;
    bool *written = NULL, *param_written = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &written, (size_t)graph->tensor_count, sizeof *written, "memory plan"));
    DET_TRY(det_alloc(env, &param_written, (size_t)graph->param_count, sizeof *param_written,
                      "memory plan"));
    plan_aliases(graph, work);
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
        use(&gradients[work->alias[op->out]], time);
        if (op->in != 0) /* nobody wants the gradient of the image */
            touch_gradient(work, gradients, written, op->in, time, &work->plan->accumulate_in[i]);
        if (op->in2 >= 0)
            touch_gradient(work, gradients, written, op->in2, time, &work->plan->accumulate_in2[i]);
        const int32_t first = op->weight >= 0 ? op->weight : op->gamma;
        if (first >= 0) {
            work->plan->accumulate_param[i] = param_written[first];
            param_written[first] = true;
        }
    }
fail:
    det_free(env, &written);
    det_free(env, &param_written);
    return status;
}

static void place_statistics(const struct det_graph *graph, struct det_net_plan *plan)
{
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        plan->statistics_offsets[i] = plan->statistics_floats;
        if (op->kind == DET_OP_BATCH_NORM)
            plan->statistics_floats += 2 * (size_t)graph->tensors[op->out].channels;
    }
}

static det_status allocate(struct det_env *env, const struct det_graph *graph, struct work *work)
{
    struct det_net_plan *plan = work->plan;
    const size_t tensors = (size_t)graph->tensor_count, operations = (size_t)graph->op_count;
    static const char what[] = "memory plan";
    DET_TRY_RETURN(det_alloc(env, &work->blocks, 2 * tensors, sizeof *work->blocks, what));
    DET_TRY_RETURN(det_alloc(env, &work->alias, tensors, sizeof *work->alias, what));
    DET_TRY_RETURN(det_alloc(env, &plan->value_offsets, tensors, sizeof(size_t), what));
    DET_TRY_RETURN(det_alloc(env, &plan->gradient_offsets, tensors, sizeof(size_t), what));
    DET_TRY_RETURN(det_alloc(env, &plan->accumulate_in, operations, sizeof(bool), what));
    DET_TRY_RETURN(det_alloc(env, &plan->accumulate_in2, operations, sizeof(bool), what));
    DET_TRY_RETURN(det_alloc(env, &plan->skip_in2, operations, sizeof(bool), what));
    DET_TRY_RETURN(det_alloc(env, &plan->accumulate_param, operations, sizeof(bool), what));
    return det_alloc(env, &plan->statistics_offsets, operations, sizeof(size_t), what);
}

static det_status place_tensors(struct det_env *env, const struct det_graph *graph,
                                struct work *work)
{
    struct det_net_plan *plan = work->plan;
    const bool training = det_net_is_training(plan->settings.mode);
    const size_t tensors = (size_t)graph->tensor_count;
    struct det_plan_block *values = work->blocks, *gradients = work->blocks + tensors;
    for (size_t t = 0; t < 2 * tensors; t++)
        work->blocks[t] = (struct det_plan_block){.first = INT32_MAX, .last = -1};
    plan_values(graph, &plan->settings, values);
    if (training)
        DET_TRY_RETURN(plan_gradients(env, graph, work, gradients));
    if (training && plan->settings.back_at_once > 0)
        det_plan_stretch(work->blocks, 2 * graph->tensor_count, graph->op_count + 2,
                         graph->op_count + 1 + plan->settings.back_at_once);
    for (int32_t t = 0; t < graph->tensor_count; t++) {
        const struct det_net_plan_settings *s = &plan->settings;
        const bool output = det_graph_is_output(graph, t);
        size_t value = 0, gradient = 0;
        DET_TRY_RETURN(
            tensor_bytes(env, graph, t, s, output ? s->output_bytes : s->element_bytes, &value));
        DET_TRY_RETURN(tensor_bytes(env, graph, t, s, s->element_bytes, &gradient));
        values[t].bytes = s->unstored != NULL && s->unstored[t] ? 0 : value;
        gradients[t].bytes = gradients[t].last < 0 ? 0 : gradient;
    }
    DET_TRY_RETURN(det_plan_arena(env, work->blocks, 2 * graph->tensor_count, &plan->arena_bytes));
    for (size_t t = 0; t < tensors; t++) {
        const struct det_plan_block *gradient = &gradients[training ? work->alias[t] : 0];
        plan->value_offsets[t] = values[t].offset;
        plan->gradient_offsets[t] = gradient->bytes > 0 ? gradient->offset : DET_NO_GRADIENT;
    }
    return DET_OK;
}

det_status det_net_plan_create(struct det_env *env, const struct det_graph *graph,
                               const struct det_net_plan_settings *settings,
                               struct det_net_plan *plan)
{
    *plan = (struct det_net_plan){.settings = *settings};
    if (settings->batch < 1 || settings->batch > 65536)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "batch size: got %d, expected 1 to 65536",
                        settings->batch);
    if (settings->mode == DET_NET_TRAIN_FOLDED && !graph->folded)
        return det_fail(env, DET_STATUS_INTERNAL, "a folded network is trained, this one is not");
    if (settings->mode != DET_NET_INFER && settings->mode != DET_NET_TRAIN_FOLDED && graph->folded)
        return det_fail(
            env, DET_STATUS_INVALID_ARGUMENT,
            "a model exported for inference cannot be trained: start from a checkpoint");
    struct work work = {.plan = plan};
    det_status status = allocate(env, graph, &work);
    if (status == DET_OK)
        status = place_tensors(env, graph, &work);
    plan->settings.unstored = NULL;
    if (status == DET_OK)
        place_statistics(graph, plan);
    else
        det_net_plan_free(env, plan);
    det_free(env, &work.blocks);
    det_free(env, &work.alias);
    return status;
}

void det_net_plan_free(struct det_env *env, struct det_net_plan *plan)
{
    det_free(env, &plan->value_offsets);
    det_free(env, &plan->gradient_offsets);
    det_free(env, &plan->accumulate_in);
    det_free(env, &plan->accumulate_in2);
    det_free(env, &plan->skip_in2);
    det_free(env, &plan->accumulate_param);
    det_free(env, &plan->statistics_offsets);
}
