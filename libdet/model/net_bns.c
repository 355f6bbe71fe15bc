#include "model/net_bns.h"

#include <math.h>

#include "support/mem.h"

enum { ARRAYS = 5 }; /* of floats: mean, variance, scale, constant, slope */

static bool is_feature(const struct det_graph *graph, int32_t tensor)
{
    for (int32_t l = 0; l < graph->levels; l++) {
        if (graph->features[l] == tensor)
            return true;
    }
    return false;
}

/* Whether all readers of a result can normalise what they load. Features are kept to be looked
 * at. */
static bool is_unstored(const struct det_graph *graph, int32_t tensor)
{
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        if ((op->in == tensor || op->in2 == tensor) && !det_op_is_convolution(op) &&
            op->kind != DET_OP_ADD)
            return false;
    }
    return !is_feature(graph, tensor);
}

static int32_t maker_of(const struct det_graph *graph, int32_t tensor, int32_t *readers)
{
    int32_t maker = -1;
    *readers = 0;
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        *readers += (op->in == tensor) + (op->in2 == tensor);
        if (op->out == tensor)
            maker = i;
    }
    return maker;
}

/* The operation whose backward completes the gradient of a tensor: its first reader. When that is
 * an addition that hands its gradient on (net_plan.h, skip_in2), the first reader of the sum. */
static int32_t completed_by(const struct det_graph *graph, int32_t tensor)
{
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        int32_t readers;
        if (op->in != tensor && op->in2 != tensor)
            continue;
        if (op->kind != DET_OP_ADD || op->in2 != tensor)
            return i;
        maker_of(graph, tensor, &readers);
        if (readers != 1)
            return i;
        tensor = op->out;
    }
    return -1;
}

static det_status connect(struct det_env *env, const struct det_graph *graph, struct det_net_bns *n,
                          int32_t index)
{
    const struct det_op *op = &graph->ops[n->bns[index].op];
    int32_t readers;
    const int32_t maker = maker_of(graph, op->in, &readers);
    const int32_t completer = completed_by(graph, op->out);
    if (maker < 0 || !det_op_is_convolution(&graph->ops[maker]) || readers != 1)
        return det_fail(env, DET_STATUS_INTERNAL,
                        "%s: a batch norm must be what alone reads a convolution", op->name);
    n->of_maker[maker] = index;
    if (completer >= 0 && det_op_is_convolution(&graph->ops[completer]) &&
        n->fed_by[completer] < 0) {
        n->fed_by[completer] = index;
        n->bns[index].fed = true;
    }
    n->of_result[op->out] = index;
    n->unstored[op->out] = is_unstored(graph, op->out);
    return DET_OK;
}

/* Channels of all batch norms, each rounded up to a cache line. */
static size_t padded(int32_t channels)
{
    return ((size_t)channels + 15) / 16 * 16;
}

static size_t channels_of(const struct det_graph *graph, int32_t *count)
{
    size_t channels = 0;
    *count = 0;
    for (int32_t i = 0; i < graph->op_count; i++) {
        if (graph->ops[i].kind != DET_OP_BATCH_NORM)
            continue;
        channels += padded(graph->tensors[graph->ops[i].out].channels);
        ++*count;
    }
    return channels;
}

size_t det_net_bns_bytes(const struct det_graph *graph)
{
    int32_t count;
    const size_t channels = channels_of(graph, &count);
    return channels * (ARRAYS * sizeof(float) + 2 * sizeof(double)) +
           (size_t)count * sizeof(struct det_net_bn) +
           (size_t)graph->tensor_count * (sizeof(bool) + sizeof(int32_t)) +
           (size_t)graph->op_count * 2 * sizeof(int32_t);
}

static void place(const struct det_graph *graph, enum det_net_mode mode, struct det_net_bns *n)
{
    float *at = n->coefficients;
    double *sums = n->sums;
    int32_t index = 0;
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        if (op->kind != DET_OP_BATCH_NORM)
            continue;
        struct det_net_bn *bn = &n->bns[index++];
        bn->op = i;
        bn->channels = graph->tensors[op->out].channels;
        float **const arrays[ARRAYS] = {&bn->mean, &bn->variance, &bn->scale, &bn->constant,
                                        &bn->slope};
        for (int k = 0; k < ARRAYS; k++, at += padded(bn->channels))
            *arrays[k] = at;
        bn->sums = sums;
        sums += 2 * padded(bn->channels);
        bn->bn = (struct det_bn){.scale = bn->scale, .act = op->act};
        if (det_net_uses_batch_statistics(mode, op))
            bn->bn.mean = bn->mean;
    }
}

det_status det_net_bns_create(struct det_env *env, const struct det_graph *graph,
                              enum det_net_mode mode, struct det_net_bns *n)
{
    const size_t tensors = (size_t)graph->tensor_count, operations = (size_t)graph->op_count;
    static const char what[] = "batch norms";
    *n = (struct det_net_bns){0};
    const size_t channels = channels_of(graph, &n->count);
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &n->bns, (size_t)n->count, sizeof *n->bns, what));
    DET_TRY(det_alloc(env, &n->unstored, tensors, sizeof *n->unstored, what));
    DET_TRY(det_alloc(env, &n->of_result, tensors, sizeof *n->of_result, what));
    DET_TRY(det_alloc(env, &n->of_maker, operations, sizeof *n->of_maker, what));
    DET_TRY(det_alloc(env, &n->fed_by, operations, sizeof *n->fed_by, what));
    DET_TRY(det_alloc(env, &n->coefficients, channels, ARRAYS * sizeof(float), what));
    DET_TRY(det_alloc(env, &n->sums, channels, 2 * sizeof(double), what));
    for (size_t t = 0; t < tensors; t++)
        n->of_result[t] = -1;
    for (size_t i = 0; i < operations; i++)
        n->of_maker[i] = n->fed_by[i] = -1;
    place(graph, mode, n);
    for (int32_t i = 0; i < n->count; i++)
        DET_TRY(connect(env, graph, n, i));
    return DET_OK;
fail:
    det_net_bns_free(env, n);
    return status;
}

void det_net_bns_free(struct det_env *env, struct det_net_bns *n)
{
    det_free(env, &n->bns);
    det_free(env, &n->unstored);
    det_free(env, &n->of_result);
    det_free(env, &n->of_maker);
    det_free(env, &n->fed_by);
    det_free(env, &n->coefficients);
    det_free(env, &n->sums);
    n->count = 0;
}

static const float *values_of(const struct det_graph *graph, const float *params, int32_t index)
{
    return params + graph->params[index].offset;
}

void det_net_bn_prepare(const struct det_graph *graph, enum det_net_mode mode, const float *params,
                        struct det_net_bn *bn)
{
    const struct det_op *op = &graph->ops[bn->op];
    const float *gamma = values_of(graph, params, op->gamma);
    const float *variance = bn->variance;
    bn->bn.beta = values_of(graph, params, op->beta);
    if (!det_net_uses_batch_statistics(mode, op)) {
        bn->bn.mean = values_of(graph, params, op->mean);
        variance = values_of(graph, params, op->variance);
    }
    for (int32_t c = 0; c < bn->channels; c++)
        bn->scale[c] = (float)(gamma[c] / sqrt((double)variance[c] + op->epsilon));
}

/* With xhat = (x - mean) / sqrt(variance + epsilon): dbeta = sum dy, dgamma = sum dy * xhat, and
 * the gradient of x is scale times dy (frozen) or dy - dbeta / rows - xhat * dgamma / rows. */
void det_net_bn_finish(const struct det_graph *graph, enum det_net_mode mode, const float *params,
                       int64_t rows, int32_t ranks, struct det_net_bn *bn, float *gradients)
{
    const struct det_op *op = &graph->ops[bn->op];
    const bool batch = det_net_uses_batch_statistics(mode, op);
    const float *gamma = values_of(graph, params, op->gamma);
    const float *variance = batch ? bn->variance : values_of(graph, params, op->variance);
    float *dgamma = gradients + graph->params[op->gamma].offset;
    float *dbeta = gradients + graph->params[op->beta].offset;
    for (int32_t c = 0; c < bn->channels; c++) {
        const double inverse = 1 / sqrt((double)variance[c] + op->epsilon);
        const double factor = -(gamma[c] * inverse) / ((double)rows * ranks);
        const double products = bn->sums[bn->channels + c];
        dbeta[c] = (float)(bn->sums[c] / ranks);
        dgamma[c] = (float)(products * inverse / ranks);
        bn->constant[c] = batch ? (float)(factor * bn->sums[c]) : 0;
        bn->slope[c] = batch ? (float)(factor * inverse * inverse * products) : 0;
    }
}
