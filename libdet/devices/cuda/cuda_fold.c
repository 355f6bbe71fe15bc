#include "devices/cuda/cuda_fold.h"

#include "devices/cuda/cuda_error.h"
#include "support/mem.h"

static size_t tensors_of(const struct det_cuda_fold *fold)
{
    return (size_t)fold->graph.tensor_count;
}

det_status det_cuda_fold_plan(struct det_env *env, struct det_device *device,
                              const struct det_learner *learner, int32_t batch,
                              struct det_cuda_layout *layout, struct det_cuda_fold *fold)
{
    det_status status = DET_OK;
    *fold = (struct det_cuda_fold){0};
    if (!learner->settings.quantise)
        return DET_OK;
    DET_TRY(det_graph_build(env, &learner->spec, true, &fold->graph));
    DET_TRY(det_cuda_net_plan(env, device, &fold->graph, NULL, batch, DET_NET_TRAIN_FOLDED, layout,
                              &fold->net));
    return DET_OK;
fail:
    det_graph_free(env, &fold->graph);
    *fold = (struct det_cuda_fold){0};
    return status;
}

void det_cuda_fold_place(const struct det_learner *learner, struct det_cuda_layout *layout,
                         struct det_cuda_fold *fold)
{
    const struct det_graph *g = &fold->graph;
    if (!learner->settings.quantise)
        return;
    fold->params_at = det_cuda_layout_add(layout, g->param_floats, sizeof(float));
    fold->gradients_at = det_cuda_layout_add(layout, g->param_floats, sizeof(float));
    fold->layers_at = det_cuda_layout_add(layout, (size_t)g->op_count, sizeof *fold->layers);
    fold->heads_at = det_cuda_layout_add(layout, (size_t)g->op_count, sizeof *fold->heads);
    fold->ranges_at = det_cuda_layout_add(layout, 4 * tensors_of(fold), sizeof(float));
    fold->rate_at = det_cuda_layout_add(layout, 1, sizeof *fold->rate);
    fold->batches = learner->settings.accumulate;
    if (fold->batches > 1)
        fold->sums_at = det_cuda_layout_add(layout, 2 * tensors_of(fold), sizeof *fold->sums);
}

static void *in_memory(uint8_t *memory, size_t offset)
{
    return memory + offset;
}

void det_cuda_fold_bind(struct det_cuda_fold *fold, uint8_t *memory, void *workspace)
{
    const size_t tensors = tensors_of(fold);
    if (tensors == 0)
        return;
    fold->params = in_memory(memory, fold->params_at);
    fold->gradients = in_memory(memory, fold->gradients_at);
    fold->layers = in_memory(memory, fold->layers_at);
    fold->heads = in_memory(memory, fold->heads_at);
    fold->rate = in_memory(memory, fold->rate_at);
    fold->sums = fold->batches > 1 ? in_memory(memory, fold->sums_at) : NULL;
    float *ranges = in_memory(memory, fold->ranges_at);
    fold->ranges = (struct detk_ranges){ranges, ranges + tensors, ranges + 2 * tensors,
                                        ranges + 3 * tensors, fold->rate};
    det_cuda_net_bind(&fold->net, memory, fold->params, fold->gradients, workspace);
    det_cuda_net_round(&fold->net, &fold->ranges);
}

void det_cuda_fold_free(struct det_env *env, struct det_cuda_fold *fold)
{
    if (fold->graph.tensor_count > 0)
        det_cuda_net_free(env, &fold->net);
    det_graph_free(env, &fold->graph);
}

/* --- tables --- */

static int64_t offset_of(const struct det_graph *graph, int32_t param)
{
    return param < 0 ? -1 : (int64_t)graph->params[param].offset;
}

static struct detk_fold_layer layer_of(const struct det_fold *twins,
                                       const struct det_fold_layer *from)
{
    const struct det_graph *g = twins->training, *folded = &twins->graph;
    const struct det_op *op = &g->ops[from->convolution], *to = &folded->ops[from->folded];
    const struct det_param *kernel = &g->params[op->weight];
    struct detk_fold_layer layer = {
        .kernel = offset_of(g, op->weight),
        .bias = offset_of(g, op->bias),
        .gamma = -1,
        .folded_kernel = offset_of(folded, to->weight),
        .folded_bias = offset_of(folded, to->bias),
        .channels = det_param_channels(kernel),
        .rows = (int32_t)(kernel->count / (size_t)det_param_channels(kernel)),
        .next = -1,
    };
    if (from->norm >= 0) {
        const struct det_op *norm = &g->ops[from->norm];
        layer.gamma = offset_of(g, norm->gamma);
        layer.beta = offset_of(g, norm->beta);
        layer.mean = offset_of(g, norm->mean);
        layer.variance = offset_of(g, norm->variance);
        layer.epsilon = norm->epsilon;
    }
    return layer;
}

/* The layer whose folded weights these are, -1: none so far. */
static int32_t find_layer(const struct det_cuda_fold *fold, const struct detk_fold_layer *layers,
                          const struct detk_fold_layer *layer)
{
    for (int32_t i = 0; i < fold->layer_count; i++) {
        if (layers[i].folded_kernel == layer->folded_kernel)
            return i;
    }
    return -1;
}

/* Behind the layers of the same kernel, or as the first of a new one. */
static void chain(struct det_cuda_fold *fold, struct detk_fold_layer *layers, int32_t *heads,
                  int32_t added)
{
    for (int32_t i = 0; i < added; i++) {
        if (layers[i].kernel == layers[added].kernel && layers[i].next < 0) {
            layers[i].next = added;
            return;
        }
    }
    heads[fold->head_count++] = added;
}

static void fill_tables(struct det_cuda_fold *fold, const struct det_fold *twins,
                        struct detk_fold_layer *layers, int32_t *heads)
{
    fold->layer_count = fold->head_count = fold->most_channels = 0;
    for (int32_t i = 0; i < twins->layer_count; i++) {
        const struct detk_fold_layer layer = layer_of(twins, &twins->layers[i]);
        int32_t at = find_layer(fold, layers, &layer);
        if (at < 0) {
            at = fold->layer_count++;
            layers[at] = layer;
            chain(fold, layers, heads, at);
        }
        struct detk_alike *in = &layers[at].in;
        if (in->count < DETK_MOST_ALIKE)
            in->tensors[in->count++] = twins->graph.ops[twins->layers[i].folded].in;
        if (layer.channels > fold->most_channels)
            fold->most_channels = layer.channels;
    }
}

det_status det_cuda_fold_upload(struct det_env *env, const struct det_device *device,
                                const struct det_learner *learner, struct det_cuda_fold *fold)
{
    static const char what[] = "table of folded layers";
    struct det_fold twins = {0};
    struct detk_fold_layer *layers = NULL;
    int32_t *heads = NULL;
    det_status status = DET_OK;
    if (!learner->settings.quantise)
        return DET_OK;
    const size_t most = (size_t)fold->graph.op_count;
    DET_TRY(det_fold_create(env, &learner->spec, &learner->graph, &twins));
    DET_TRY(det_alloc(env, &layers, most, sizeof *layers, what));
    DET_TRY(det_alloc(env, &heads, most, sizeof *heads, what));
    fill_tables(fold, &twins, layers, heads);
    DET_TRY(det_cuda_upload(env, device, fold->layers, layers,
                            (size_t)fold->layer_count * sizeof *layers, what));
    DET_TRY(det_cuda_upload(env, device, fold->heads, heads,
                            (size_t)fold->head_count * sizeof *heads, what));
    /* Of what no operation makes, the input, nobody learns a range. */
    DET_TRY(det_cuda_check(
        env,
        cudaMemsetAsync(fold->ranges.low, 0, 4 * tensors_of(fold) * sizeof(float), device->stream),
        what));
fail:
    det_fold_free(env, &twins);
    det_free(env, &layers);
    det_free(env, &heads);
    return status;
}

/* --- ranges --- */

det_status det_cuda_fold_push(struct det_env *env, const struct det_device *device,
                              const struct det_learner *learner, const struct det_cuda_fold *fold)
{
    const size_t bytes = tensors_of(fold) * sizeof(float);
    if (!learner->settings.quantise)
        return DET_OK;
    DET_TRY_RETURN(det_cuda_upload(env, device, fold->ranges.low, learner->ranges.low, bytes,
                                   "uploading the ranges"));
    return det_cuda_upload(env, device, fold->ranges.high, learner->ranges.high, bytes,
                           "uploading the ranges");
}

det_status det_cuda_fold_pull(struct det_env *env, const struct det_device *device,
                              struct det_learner *learner, const struct det_cuda_fold *fold)
{
    const size_t bytes = tensors_of(fold) * sizeof(float);
    if (!learner->settings.quantise)
        return DET_OK;
    DET_TRY_RETURN(det_cuda_download(env, device, learner->ranges.low, fold->ranges.low, bytes,
                                     "fetching the ranges"));
    return det_cuda_download(env, device, learner->ranges.high, fold->ranges.high, bytes,
                             "fetching the ranges");
}

void det_cuda_fold_stage(const struct det_learner *learner, const struct det_cuda_fold *fold)
{
    const int64_t updates = learner->ranges.updates;
    *fold->staged_rate = updates > 0 ? det_average_rate(DET_ACT_RANGES_DECAY, updates) : 1;
}

/* --- a step --- */

det_status det_cuda_fold_forward(struct det_env *env, const struct det_cuda_fold *fold,
                                 const float *params)
{
    const struct det_device *d = fold->net.device;
    DET_TRY_RETURN(det_cuda_enqueue_upload(env, d, fold->rate, fold->staged_rate,
                                           sizeof *fold->rate, "uploading the ranges' rate"));
    DET_TRY_RETURN(
        det_cuda_check(env,
                       detk_fold_params(d->stream, fold->layers, fold->layer_count,
                                        fold->most_channels, params, &fold->ranges, fold->params),
                       "folding the parameters"));
    DET_TRY_RETURN(det_cuda_net_refresh_params(env, &fold->net));
    return det_cuda_net_forward(env, &fold->net);
}

det_status det_cuda_fold_backward(struct det_env *env, const struct det_cuda_fold *fold,
                                  const float *params, float *gradients)
{
    const struct det_device *d = fold->net.device;
    DET_TRY_RETURN(det_cuda_net_backward(env, &fold->net));
    return det_cuda_check(env,
                          detk_fold_gradients(d->stream, fold->layers, fold->heads,
                                              fold->head_count, fold->most_channels, params,
                                              fold->gradients, gradients),
                          "handing the gradients on");
}

det_status det_cuda_fold_keep(struct det_env *env, const struct det_cuda_fold *fold,
                              const float *seen, int32_t ranks, const struct detk_hyper *hyper,
                              const struct detk_step_result *step)
{
    return det_cuda_check(env,
                          detk_keep_ranges(fold->net.device->stream, fold->graph.tensor_count,
                                           &fold->ranges, seen, ranks, fold->batches, fold->sums,
                                           hyper, step),
                          "keeping the ranges");
}
