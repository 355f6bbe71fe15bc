#include "quantise/equalise.h"

#include <math.h>

#include "support/mem.h"

#define MOST_FACTOR 16.0

struct work {
    const struct det_graph *graph;
    const struct det_observed *observed;
    float *params;
    int32_t *group;   /* per tensor: a tensor that is scaled alike, of the group's first itself */
    bool *fixed;      /* per first tensor of a group */
    ptrdiff_t *first; /* per tensor: of its factors */
    double *factors;  /* of each first tensor's channels */
    double *squares;  /* [of the most channels] */
};

/* --- what is scaled alike --- */

static int32_t group_of(const struct work *w, int32_t tensor)
{
    while (w->group[tensor] != tensor)
        tensor = w->group[tensor];
    return tensor;
}

static void join(struct work *w, int32_t a, int32_t b)
{
    const int32_t x = group_of(w, a), y = group_of(w, b);
    w->group[x > y ? x : y] = x < y ? x : y;
}

/* The first operation with these weights. */
static int32_t first_user(const struct det_graph *g, int32_t op)
{
    int32_t i = 0;
    while (g->ops[i].weight != g->ops[op].weight)
        i++;
    return i;
}

static void find_groups(struct work *w)
{
    const struct det_graph *g = w->graph;
    for (int32_t t = 0; t < g->tensor_count; t++)
        w->group[t] = t;
    for (int32_t i = 0; i < g->op_count; i++) {
        const struct det_op *op = &g->ops[i];
        if (det_op_is_convolution(op)) {
            const struct det_op *other = &g->ops[first_user(g, i)];
            join(w, op->in, other->in);
            join(w, op->out, other->out);
        } else {
            join(w, op->in, op->out);
            join(w, op->in2, op->out);
        }
    }
    for (int32_t t = 0; t < g->tensor_count; t++)
        w->fixed[group_of(w, t)] |= t == 0 || det_graph_is_output(g, t);
}

static double *factors_of(const struct work *w, int32_t tensor)
{
    return w->factors + w->first[group_of(w, tensor)];
}

/* --- factors --- */

static double reach_of(const struct det_observed *o, int32_t c)
{
    return fmax((double)o->high[c], -(double)o->low[c]);
}

/* No channel may leave the range of its tensor. */
static void bound_by_tensor(const struct work *w, int32_t tensor)
{
    const struct det_observed *o = &w->observed[tensor];
    double *factors = factors_of(w, tensor), range = 0;
    for (int32_t c = 0; c < o->channels; c++)
        range = fmax(range, reach_of(o, c));
    for (int32_t c = 0; c < o->channels; c++) {
        const double reach = reach_of(o, c);
        if (reach > 0)
            factors[c] = fmin(factors[c], range / reach);
    }
}

/* The weights that input channel `c` of a dense convolution meets at a tap, [*count]. */
static float *reader_row(const struct work *w, const struct det_op *op, int32_t tap, int32_t c,
                         int32_t *count)
{
    const struct det_param *p = &w->graph->params[op->weight];
    *count = p->shape[3];
    return w->params + p->offset + ((ptrdiff_t)tap * p->shape[2] + c) * p->shape[3];
}

static int32_t taps_of(const struct work *w, const struct det_op *op)
{
    const struct det_param *p = &w->graph->params[op->weight];
    return p->shape[0] * p->shape[1];
}

/* Adds the squares of what a channel's values are multiplied with to `squares` [channels], and
 * those of the output channels' largest weights, which their steps are shares of, to *largest. */
static void add_squares(const struct work *w, const struct det_op *op, double *squares,
                        double *largest)
{
    const int32_t channels = w->graph->tensors[op->in].channels;
    for (int32_t tap = 0, count = 0; tap < taps_of(w, op); tap++) {
        for (int32_t c = 0; c < channels; c++) {
            const float *row = reader_row(w, op, tap, c, &count);
            for (int32_t i = 0; i < count; i++)
                squares[c] += (double)row[i] * (double)row[i];
        }
    }
    for (int32_t o = 0; o < w->graph->tensors[op->out].channels; o++) {
        double most = 0;
        for (int32_t tap = 0, count = 0; tap < taps_of(w, op); tap++) {
            for (int32_t c = 0; c < channels; c++)
                most = fmax(most, fabs((double)reader_row(w, op, tap, c, &count)[o]));
        }
        *largest += most * most * taps_of(w, op);
    }
}

/* A depthwise channel's scale follows. A dense convolution's weights do not: the rounding of the
 * channel's values then counts for less, that of its weights for more, by the factor each. Together
 * they are least where the factor's square is the allowed one times this share, with values of a
 * quarter of their reach on the average. */
static void bound_by_readers(const struct work *w, int32_t group, double *squares)
{
    const struct det_graph *g = w->graph;
    const int32_t channels = g->tensors[group].channels;
    double *factors = w->factors + w->first[group], largest = 0;
    for (int32_t c = 0; c < channels; c++)
        squares[c] = 0;
    for (int32_t i = 0; i < g->op_count; i++) {
        if (g->ops[i].kind == DET_OP_CONV && group_of(w, g->ops[i].in) == group &&
            first_user(g, i) == i)
            add_squares(w, &g->ops[i], squares, &largest);
    }
    for (int32_t c = 0; c < channels && largest > 0; c++) {
        const double share = 2 * sqrt(squares[c] / largest);
        factors[c] = fmax(fmin(factors[c], sqrt(factors[c] * share)), 1);
    }
}

static void find_factors(struct work *w)
{
    const struct det_graph *g = w->graph;
    for (int32_t t = 0; t < g->tensor_count; t++) {
        double *factors = w->factors + w->first[t];
        for (int32_t c = 0; c < g->tensors[t].channels; c++)
            factors[c] = w->fixed[group_of(w, t)] ? 1 : MOST_FACTOR;
    }
    for (int32_t t = 0; t < g->tensor_count; t++)
        bound_by_tensor(w, t);
    for (int32_t t = 0; t < g->tensor_count; t++) {
        if (group_of(w, t) == t && !w->fixed[t])
            bound_by_readers(w, t, w->squares);
    }
}

/* --- scaling --- */

static void scale_reader(const struct work *w, const struct det_op *op, int32_t c, double factor)
{
    for (int32_t tap = 0, count = 0; tap < taps_of(w, op); tap++) {
        float *row = reader_row(w, op, tap, c, &count);
        for (int32_t i = 0; i < count; i++)
            row[i] = (float)((double)row[i] / factor);
    }
}

static void scale_writer(const struct work *w, const struct det_op *op, int32_t c, double factor)
{
    const struct det_graph *g = w->graph;
    const struct det_param *p = &g->params[op->weight];
    float *values = w->params + p->offset;
    const size_t channels = (size_t)g->tensors[op->out].channels;
    for (size_t i = (size_t)c; i < p->count; i += channels)
        values[i] = (float)((double)values[i] * factor);
}

static void scale_bias(const struct work *w, const struct det_op *op)
{
    const double *factors = factors_of(w, op->out);
    float *bias = w->params + w->graph->params[op->bias].offset;
    for (int32_t c = 0; c < w->graph->tensors[op->out].channels; c++)
        bias[c] = (float)((double)bias[c] * factors[c]);
}

static bool is_first_with_bias(const struct det_graph *g, int32_t op)
{
    if (g->ops[op].bias < 0)
        return false;
    for (int32_t i = 0; i < op; i++) {
        if (g->ops[i].bias == g->ops[op].bias)
            return false;
    }
    return true;
}

static bool scale(const struct work *w, const struct det_op *op)
{
    const struct det_graph *g = w->graph;
    const double *in = factors_of(w, op->in), *out = factors_of(w, op->out);
    bool changed = false;
    for (int32_t c = 0; c < g->tensors[op->in].channels; c++) {
        if (in[c] != 1)
            scale_reader(w, op, c, in[c]);
        changed |= in[c] != 1;
    }
    for (int32_t c = 0; c < g->tensors[op->out].channels; c++) {
        if (out[c] != 1)
            scale_writer(w, op, c, out[c]);
        changed |= out[c] != 1;
    }
    return changed;
}

static det_status allocate(struct det_env *env, struct work *w)
{
    const struct det_graph *g = w->graph;
    const size_t tensors = (size_t)g->tensor_count;
    size_t channels = 0, most = 1;
    DET_TRY_RETURN(det_alloc(env, &w->group, tensors, sizeof *w->group, "equalisation"));
    DET_TRY_RETURN(det_alloc(env, &w->fixed, tensors, sizeof *w->fixed, "equalisation"));
    DET_TRY_RETURN(det_alloc(env, &w->first, tensors, sizeof *w->first, "equalisation"));
    for (size_t t = 0; t < tensors; t++) {
        w->first[t] = (ptrdiff_t)channels;
        channels += (size_t)g->tensors[t].channels;
        if (most < (size_t)g->tensors[t].channels)
            most = (size_t)g->tensors[t].channels;
    }
    DET_TRY_RETURN(det_alloc(env, &w->squares, most, sizeof *w->squares, "equalisation"));
    return det_alloc(env, &w->factors, channels, sizeof *w->factors, "equalisation");
}

det_status det_equalise(struct det_env *env, const struct det_graph *g,
                        const struct det_observed *observed, float *params, bool *changed)
{
    struct work w = {.graph = g, .observed = observed, .params = params};
    det_status status = DET_OK;
    *changed = false;
    DET_TRY(allocate(env, &w));
    find_groups(&w);
    find_factors(&w);
    for (int32_t i = 0; i < g->op_count; i++) {
        if (det_op_is_convolution(&g->ops[i]) && first_user(g, i) == i)
            *changed |= scale(&w, &g->ops[i]);
        if (is_first_with_bias(g, i))
            scale_bias(&w, &g->ops[i]);
    }
fail:
    det_free(env, &w.group);
    det_free(env, &w.fixed);
    det_free(env, &w.first);
    det_free(env, &w.factors);
    det_free(env, &w.squares);
    return status;
}
