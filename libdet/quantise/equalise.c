#include "quantise/equalise.h"

#include <math.h>
#include <string.h>

#include "support/mem.h"

#define MOST_FACTOR 16.0

/* The only operation that reads what `op` makes; NULL when there are others. */
static const struct det_op *sole_reader(const struct det_graph *g, const struct det_op *op)
{
    const struct det_op *reader = NULL;
    if (det_graph_is_output(g, op->out))
        return NULL;
    for (int32_t i = 0; i < g->op_count; i++) {
        if (g->ops[i].in == op->out || g->ops[i].in2 == op->out) {
            if (reader != NULL)
                return NULL;
            reader = &g->ops[i];
        }
    }
    return reader;
}

/* The weights that input channel `c` meets at a tap of the kernel, [*count]. */
static float *reader_row(const struct det_graph *g, const struct det_op *op, float *params,
                         int32_t tap, int32_t c, int32_t *count)
{
    const struct det_param *p = &g->params[op->weight];
    *count = p->shape[3];
    return params + p->offset + ((ptrdiff_t)tap * p->shape[2] + c) * p->shape[3];
}

static int32_t taps_of(const struct det_graph *g, const struct det_op *op)
{
    return g->params[op->weight].shape[0] * g->params[op->weight].shape[1];
}

static double reader_weight(const struct det_graph *g, const struct det_op *op, float *params,
                            int32_t c)
{
    double most = 0;
    for (int32_t tap = 0, count = 0; tap < taps_of(g, op); tap++) {
        const float *w = reader_row(g, op, params, tap, c, &count);
        for (int32_t i = 0; i < count; i++)
            most = fmax(most, fabs((double)w[i]));
    }
    return most;
}

static void scale_reader(const struct det_graph *g, const struct det_op *op, float *params,
                         int32_t c, double factor)
{
    for (int32_t tap = 0, count = 0; tap < taps_of(g, op); tap++) {
        float *w = reader_row(g, op, params, tap, c, &count);
        for (int32_t i = 0; i < count; i++)
            w[i] = (float)((double)w[i] / factor);
    }
}

static void scale_writer(const struct det_graph *g, const struct det_op *op, float *params,
                         int32_t c, double factor)
{
    const struct det_param *p = &g->params[op->weight];
    float *w = params + p->offset;
    const size_t channels = (size_t)g->tensors[op->out].channels;
    for (size_t i = (size_t)c; i < p->count; i += channels)
        w[i] = (float)((double)w[i] * factor);
    if (op->bias >= 0) {
        float *bias = params + g->params[op->bias].offset + c;
        *bias = (float)((double)*bias * factor);
    }
}

static double reach_of(const struct det_observed *o, int32_t c)
{
    return fmax((double)o->high[c], -(double)o->low[c]);
}

/* --- tensors that are scaled alike --- */

/* Levels share weights, so that what one of them writes or reads can only be scaled with what the
 * others do. */
struct group {
    const struct det_graph *graph;
    bool *tensors; /* per tensor: in it */
    bool possible; /* one convolution writes each of them and one reads it */
};

static const struct det_op *writer_of(const struct det_graph *g, int32_t tensor)
{
    for (int32_t i = 0; i < g->op_count; i++) {
        if (g->ops[i].out == tensor)
            return &g->ops[i];
    }
    return NULL;
}

static bool take(struct group *group, int32_t tensor)
{
    const struct det_op *writer = writer_of(group->graph, tensor);
    if (group->tensors[tensor])
        return false;
    group->tensors[tensor] = true;
    const struct det_op *reader = writer != NULL ? sole_reader(group->graph, writer) : NULL;
    group->possible = group->possible && reader != NULL && det_op_is_convolution(writer) &&
                      det_op_is_convolution(reader);
    return true;
}

/* What operations with the weights of `tensor`'s writer write, and with its reader's read. */
static bool take_sharers(struct group *group, int32_t tensor)
{
    const struct det_graph *g = group->graph;
    const struct det_op *writer = writer_of(g, tensor), *reader = sole_reader(g, writer);
    bool any = false;
    for (int32_t i = 0; i < g->op_count; i++) {
        if (g->ops[i].weight == writer->weight)
            any |= take(group, g->ops[i].out);
        if (g->ops[i].weight == reader->weight)
            any |= take(group, g->ops[i].in);
    }
    return any;
}

static void find_group(struct group *group, int32_t tensor)
{
    memset(group->tensors, 0, (size_t)group->graph->tensor_count * sizeof *group->tensors);
    group->possible = true;
    take(group, tensor);
    for (bool changed = true; changed && group->possible;) {
        changed = false;
        for (int32_t t = 0; t < group->graph->tensor_count && group->possible; t++) {
            if (group->tensors[t])
                changed |= take_sharers(group, t);
        }
    }
}

/* --- factors --- */

/* By how much a channel of a tensor may be scaled up, each [channels] that it was before. */
static void lower_factors(const struct det_graph *g, const struct det_observed *o,
                          const struct det_op *reader, float *params, double *factors)
{
    const bool depthwise = reader->kind == DET_OP_DWCONV;
    double range = 0, most_weight = 0;
    for (int32_t c = 0; c < o->channels; c++) {
        range = fmax(range, reach_of(o, c));
        if (!depthwise)
            most_weight = fmax(most_weight, reader_weight(g, reader, params, c));
    }
    for (int32_t c = 0; c < o->channels; c++) {
        const double reach = reach_of(o, c);
        double factor = reach > 0 ? fmin(range / reach, MOST_FACTOR) : MOST_FACTOR;
        /* A depthwise channel's scale follows. A dense one's does not: half of the gain goes where
         * the weights would lose more than the activation wins. */
        if (!depthwise && reach > 0) {
            const double weight = reader_weight(g, reader, params, c);
            factor = fmax(fmin(factor, sqrt(factor * fmax(weight / most_weight, 1e-6))), 1);
        }
        factors[c] = fmin(factors[c], factor);
    }
}

/* Whether no tensor of the group before this one has the same weights at its writer, or reader. */
static bool is_first(const struct group *group, int32_t tensor, bool of_writer)
{
    const struct det_graph *g = group->graph;
    const struct det_op *writer = writer_of(g, tensor), *reader = sole_reader(g, writer);
    for (int32_t t = 0; t < tensor; t++) {
        if (!group->tensors[t])
            continue;
        const struct det_op *other = writer_of(g, t);
        if (of_writer ? other->weight == writer->weight
                      : sole_reader(g, other)->weight == reader->weight)
            return false;
    }
    return true;
}

static void scale_group(const struct group *group, const double *factors, float *params)
{
    const struct det_graph *g = group->graph;
    for (int32_t t = 0; t < g->tensor_count; t++) {
        if (!group->tensors[t])
            continue;
        const struct det_op *writer = writer_of(g, t), *reader = sole_reader(g, writer);
        const bool write = is_first(group, t, true), read = is_first(group, t, false);
        for (int32_t c = 0; c < g->tensors[t].channels; c++) {
            if (write)
                scale_writer(g, writer, params, c, factors[c]);
            if (read)
                scale_reader(g, reader, params, c, factors[c]);
        }
    }
}

/* All tensors of a group have as many channels: they share weights. */
static void equalise(const struct group *group, const struct det_observed *observed,
                     int32_t channels, double *factors, float *params)
{
    const struct det_graph *g = group->graph;
    for (int32_t c = 0; c < channels; c++)
        factors[c] = MOST_FACTOR;
    for (int32_t t = 0; t < g->tensor_count; t++) {
        if (group->tensors[t])
            lower_factors(g, &observed[t], sole_reader(g, writer_of(g, t)), params, factors);
    }
    scale_group(group, factors, params);
}

det_status det_equalise(struct det_env *env, const struct det_graph *g,
                        const struct det_observed *observed, float *params, int32_t *count)
{
    struct group group = {.graph = g};
    double *factors = NULL;
    int32_t channels = 0;
    det_status status = DET_OK;
    *count = 0;
    for (int32_t t = 0; t < g->tensor_count; t++)
        channels = g->tensors[t].channels > channels ? g->tensors[t].channels : channels;
    DET_TRY(det_alloc(env, &group.tensors, (size_t)g->tensor_count, sizeof *group.tensors,
                      "equalisation"));
    DET_TRY(det_alloc(env, &factors, (size_t)channels, sizeof *factors, "equalisation"));
    for (int32_t t = 1; t < g->tensor_count; t++) {
        find_group(&group, t);
        bool earlier = false;
        for (int32_t k = 0; k < t; k++)
            earlier |= group.tensors[k];
        if (!group.possible || earlier)
            continue;
        equalise(&group, observed, g->tensors[t].channels, factors, params);
        (*count)++;
    }
fail:
    det_free(env, &group.tensors);
    det_free(env, &factors);
    return status;
}
