#include "model/fold.h"

#include <math.h>
#include <string.h>

#include "support/mem.h"

/* One builder made both, so the operations come in the same order, less the batch norms. */
static void connect(struct det_fold *fold)
{
    const struct det_graph *training = fold->training;
    int32_t folded = 0;
    for (int32_t i = 0; i < training->op_count; i++) {
        const struct det_op *op = &training->ops[i], *next = op + 1;
        if (op->kind == DET_OP_BATCH_NORM)
            continue;
        const bool normed =
            i + 1 < training->op_count && next->kind == DET_OP_BATCH_NORM && next->in == op->out;
        if (det_op_is_convolution(op))
            fold->layers[fold->layer_count++] =
                (struct det_fold_layer){i, normed ? i + 1 : -1, folded};
        folded++;
    }
}

det_status det_fold_create(struct det_env *env, const struct det_model_spec *spec,
                           const struct det_graph *training, struct det_fold *fold)
{
    det_status status = DET_OK;
    *fold = (struct det_fold){.training = training};
    DET_TRY(det_graph_build(env, spec, true, &fold->graph));
    const size_t floats = fold->graph.param_floats;
    DET_TRY(det_alloc(env, &fold->layers, (size_t)fold->graph.op_count, sizeof *fold->layers,
                      "folded network"));
    DET_TRY(det_alloc(env, &fold->params, floats, sizeof(float), "folded parameters"));
    DET_TRY(det_alloc(env, &fold->gradients, floats, sizeof(float), "folded gradients"));
    DET_TRY(det_alloc(env, &fold->limits, floats, sizeof(float), "weights' ranges"));
    DET_TRY(det_alloc(env, &fold->tensors, (size_t)fold->graph.tensor_count, sizeof *fold->tensors,
                      "tensors' scales"));
    connect(fold);
    return DET_OK;
fail:
    det_fold_free(env, fold);
    return status;
}

void det_fold_free(struct det_env *env, struct det_fold *fold)
{
    det_free(env, &fold->layers);
    det_free(env, &fold->params);
    det_free(env, &fold->gradients);
    det_free(env, &fold->limits);
    det_free(env, &fold->tensors);
    det_graph_free(env, &fold->graph);
    *fold = (struct det_fold){0};
}

det_status det_fold_widen_bytes(struct det_env *env, const struct det_model_spec *spec,
                                const struct det_ops *ops, int threads, int32_t batch,
                                size_t *bytes)
{
    struct det_graph folded = {0};
    size_t needed = 0;
    DET_TRY_RETURN(det_graph_build(env, spec, true, &folded));
    const det_status status =
        det_net_memory_bytes(env, &folded, ops, threads, batch, DET_NET_TRAIN_FOLDED, &needed);
    needed += 3 * folded.param_floats * sizeof(float);
    if (status == DET_OK && needed > *bytes)
        *bytes = needed;
    det_graph_free(env, &folded);
    return status;
}

/* --- parameters --- */

/* A folded parameter, if it is a convolution's weights. */
static void round_param(void *argument, int32_t p, int32_t worker)
{
    (void)worker;
    const struct det_fold *fold = argument;
    const struct det_param *param = &fold->graph.params[p];
    if (param->role == DET_PARAM_BIAS)
        return;
    const size_t channels = (size_t)det_param_channels(param);
    float *values = fold->params + param->offset, *scales = fold->limits + param->offset;
    det_q8_weight_limits(&fold->graph, fold->tensors, NULL, fold->params, p, scales);
    det_q8_weight_scales(scales, channels);
    for (size_t row = 0; row < param->count; row += channels)
        for (size_t c = 0; c < channels; c++)
            values[row + c] = scales[c] * (float)det_q8_weight_of(values[row + c], scales[c]);
}

/* Before the first batch no scale is known: 0. */
static void set_tensors(const struct det_fold *fold, const struct det_act_ranges *ranges)
{
    for (int32_t t = 1; t < fold->graph.tensor_count && ranges->updates > 0; t++)
        fold->tensors[t] = det_q8_tensor_of((double)ranges->low[t], (double)ranges->high[t]);
    fold->tensors[0] = det_q8_input_tensor();
}

void det_fold_params(const struct det_fold *fold, struct det_pool *pool, const float *params,
                     const struct det_act_ranges *ranges)
{
    struct det_fold with = *fold;
    det_graph_fold_params(fold->training, params, &fold->graph, fold->params);
    if (ranges == NULL)
        return;
    set_tensors(fold, ranges);
    det_pool_run(pool, fold->graph.param_count, round_param, &with);
}

/* --- gradients --- */

struct unfolding {
    const struct det_fold *fold;
    const float *params;
    float *gradients;
};

static const struct det_op *op_of(const struct det_graph *graph, int32_t index)
{
    return &graph->ops[index];
}

enum { AT_ONCE = 64 }; /* channels */

/* What a layer with a batch norm adds to its kernel's gradient; its norm's own are written. */
static void unfold_normed(const struct unfolding *u, const struct det_fold_layer *layer)
{
    const struct det_graph *training = u->fold->training, *folded = &u->fold->graph;
    const struct det_op *norm = op_of(training, layer->norm), *to = op_of(folded, layer->folded);
    const struct det_param *kernel = &training->params[op_of(training, layer->convolution)->weight];
    const size_t channels = (size_t)training->params[norm->gamma].shape[0];
    const float *w = u->params + kernel->offset;
    const float *gamma = u->params + training->params[norm->gamma].offset;
    const float *mean = u->params + training->params[norm->mean].offset;
    const float *variance = u->params + training->params[norm->variance].offset;
    const float *dfolded = u->fold->gradients + folded->params[to->weight].offset;
    const float *dbias = u->fold->gradients + folded->params[to->bias].offset;
    float *dw = u->gradients + kernel->offset;
    float *dgamma = u->gradients + training->params[norm->gamma].offset;
    float *dbeta = u->gradients + training->params[norm->beta].offset;
    for (size_t first = 0; first < channels; first += AT_ONCE) {
        const size_t end = first + AT_ONCE < channels ? first + AT_ONCE : channels;
        double inverse[AT_ONCE], products[AT_ONCE] = {0};
        for (size_t c = first; c < end; c++)
            inverse[c - first] = 1 / sqrt((double)variance[c] + (double)norm->epsilon);
        for (size_t row = 0; row < kernel->count; row += channels) {
            for (size_t c = first; c < end; c++) {
                const double gradient = (double)dfolded[row + c];
                dw[row + c] += (float)(gradient * (double)gamma[c] * inverse[c - first]);
                products[c - first] += gradient * (double)w[row + c];
            }
        }
        for (size_t c = first; c < end; c++) {
            dgamma[c] = (float)((products[c - first] - (double)dbias[c] * (double)mean[c]) *
                                inverse[c - first]);
            dbeta[c] = dbias[c];
        }
    }
}

static void copy_gradient(const struct unfolding *u, int32_t folded, int32_t training)
{
    const struct det_param *from = &u->fold->graph.params[folded];
    memcpy(u->gradients + u->fold->training->params[training].offset,
           u->fold->gradients + from->offset, from->count * sizeof(float));
}

/* A parameter of the training form, if it is a kernel, and what belongs to its layers. */
static void unfold_param(void *argument, int32_t p, int32_t worker)
{
    (void)worker;
    const struct unfolding *u = argument;
    const struct det_fold *fold = u->fold;
    const struct det_param *param = &fold->training->params[p];
    bool begun = false;
    for (int32_t i = 0; i < fold->layer_count; i++) {
        const struct det_fold_layer *layer = &fold->layers[i];
        const struct det_op *convolution = op_of(fold->training, layer->convolution);
        const struct det_op *folded = op_of(&fold->graph, layer->folded);
        if (convolution->weight != p)
            continue;
        if (layer->norm >= 0) { /* levels that share the kernel, each with a norm of its own */
            if (!begun)
                memset(u->gradients + param->offset, 0, param->count * sizeof(float));
            unfold_normed(u, layer);
        } else if (!begun) { /* the folded network has them once, too */
            copy_gradient(u, folded->weight, p);
            if (convolution->bias >= 0)
                copy_gradient(u, folded->bias, convolution->bias);
        }
        begun = true;
    }
}

void det_fold_gradients(const struct det_fold *fold, struct det_pool *pool, const float *params,
                        float *gradients)
{
    struct unfolding unfolding = {fold, params, gradients};
    det_pool_run(pool, fold->training->param_count, unfold_param, &unfolding);
}
