#include "quantise/equalise.h"

#include <math.h>

#define MOST_FACTOR 16.0

/* How many operations use a parameter: weights that levels share cannot follow one level. */
static int32_t users(const struct det_graph *g, int32_t param)
{
    int32_t count = 0;
    for (int32_t i = 0; i < g->op_count; i++)
        count += g->ops[i].weight == param;
    return count;
}

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

static void equalise(const struct det_graph *g, const struct det_observed *o,
                     const struct det_op *writer, const struct det_op *reader, float *params)
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
        if (!(reach > 0))
            continue;
        double factor = fmin(range / reach, MOST_FACTOR);
        /* A depthwise channel's scale follows. A dense one's does not: half of the gain goes where
         * the weights would lose more than the activation wins. */
        if (!depthwise) {
            const double weight = reader_weight(g, reader, params, c);
            factor = fmax(fmin(factor, sqrt(factor * fmax(weight / most_weight, 1e-6))), 1);
        }
        scale_writer(g, writer, params, c, factor);
        scale_reader(g, reader, params, c, factor);
    }
}

int32_t det_equalise(const struct det_graph *g, const struct det_observed *observed, float *params)
{
    int32_t count = 0;
    for (int32_t i = 0; i < g->op_count; i++) {
        const struct det_op *writer = &g->ops[i];
        const struct det_op *reader = det_op_is_convolution(writer) ? sole_reader(g, writer) : NULL;
        if (reader == NULL || !det_op_is_convolution(reader) || users(g, writer->weight) > 1 ||
            users(g, reader->weight) > 1)
            continue;
        equalise(g, &observed[writer->out], writer, reader, params);
        count++;
    }
    return count;
}
