#include "quantise/ranges.h"

#include <math.h>
#include <string.h>

#include "support/mem.h"

struct work {
    struct det_env *env;
    const struct det_graph *graph;
    struct det_observed *observed;
    const float *params;
    const struct det_ranges_choice *choice;
    float *real;
    struct det_quantised *q;
};

static bool has_scale(const struct work *w, int32_t tensor)
{
    return w->q->tensors[tensor].scale > 0;
}

/* --- tensors --- */

static void set_tensor(const struct work *w, int32_t tensor, struct det_real_range range)
{
    w->q->tensors[tensor] =
        tensor == 0 ? det_q8_input_tensor() : det_q8_tensor_of(range.low, range.high);
}

static struct det_real_range range_of(const struct work *w, int32_t tensor)
{
    return w->choice->trained != NULL
               ? w->choice->trained[tensor]
               : det_observed_range(&w->observed[tensor], w->choice->observer);
}

/* The levels' outputs of one kind are joined, so they have one scale. */
static void join(const struct work *w, const int32_t *outputs)
{
    struct det_real_range all = {0, 0};
    bool any = false;
    for (int32_t l = 0; l < w->graph->levels; l++) {
        const struct det_real_range one = range_of(w, outputs[l]);
        all.low = fmin(all.low, one.low);
        all.high = fmax(all.high, one.high);
        any = any || has_scale(w, outputs[l]);
    }
    for (int32_t l = 0; l < w->graph->levels && any; l++)
        set_tensor(w, outputs[l], all);
}

static void choose_tensors(const struct work *w)
{
    const struct det_graph *g = w->graph;
    for (int32_t i = 0; i < g->op_count; i++) {
        const struct det_op *op = &g->ops[i];
        if (!det_op_is_convolution(op) || !w->choice->eight_bits[i])
            continue;
        w->q->eight_bits[i] = true;
        set_tensor(w, op->in, range_of(w, op->in));
        set_tensor(w, op->out, range_of(w, op->out));
    }
    /* Additions follow their surroundings, which come earlier and later in the list. */
    for (bool changed = true; changed;) {
        changed = false;
        for (int32_t i = 0; i < g->op_count; i++) {
            const struct det_op *op = &g->ops[i];
            if (det_op_is_convolution(op) || w->q->eight_bits[i] ||
                !(has_scale(w, op->in) && has_scale(w, op->in2)))
                continue;
            w->q->eight_bits[i] = changed = true;
            if (!has_scale(w, op->out))
                set_tensor(w, op->out, range_of(w, op->out));
        }
    }
    join(w, g->box_outputs);
    join(w, g->class_outputs);
}

/* --- weights --- */

static det_status round_weights(const struct work *w, const struct det_op *op)
{
    const struct det_param *param = &w->graph->params[op->weight];
    const int32_t channels = w->graph->tensors[op->out].channels;
    const float *values = w->params + param->offset;
    struct det_q8_weights *to = &w->q->weights[op->weight];
    float *limits = NULL;
    if (to->values != NULL)
        return DET_OK; /* another level's, the same */
    DET_TRY_RETURN(det_alloc(w->env, &limits, (size_t)channels, sizeof *limits, "weights' ranges"));
    det_q8_weight_limits(w->graph, w->q->tensors, w->q->eight_bits, w->params, op->weight, limits);
    const det_status status =
        det_q8_weights_round(w->env, values, param->count, channels, limits, to);
    det_free(w->env, &limits);
    DET_TRY_RETURN(status);
    det_q8_weights_real(to, param->count, channels, w->real + param->offset);
    return DET_OK;
}

/* --- biases --- */

static double mean_of(const struct det_observed *o, int32_t channel)
{
    return o->pixels > 0 ? o->sum[channel] / (double)o->pixels : 0;
}

/* What rounding adds to a channel of `op` on the average: the weights' differences times the means
 * of what they meet. */
static double added(const struct work *w, const struct det_op *op, int32_t channel)
{
    const struct det_param *param = &w->graph->params[op->weight];
    const int32_t channels = w->graph->tensors[op->out].channels;
    const bool depthwise = op->kind == DET_OP_DWCONV;
    const int32_t in_c = depthwise ? 1 : param->shape[2];
    const float *now = w->real + param->offset, *before = w->params + param->offset;
    double sum = 0;
    for (size_t i = (size_t)channel, row = 0; i < param->count; i += (size_t)channels, row++) {
        const int32_t from = depthwise ? channel : (int32_t)(row % (size_t)in_c);
        sum += ((double)now[i] - (double)before[i]) * mean_of(&w->observed[op->in], from);
    }
    return sum;
}

/* The mean over the operations that share the bias, by their pixels. */
static void correct_bias(const struct work *w, int32_t bias)
{
    const struct det_graph *g = w->graph;
    const struct det_param *param = &g->params[bias];
    for (int32_t c = 0; c < param->shape[0]; c++) {
        double sum = 0, pixels = 0;
        for (int32_t i = 0; i < g->op_count; i++) {
            if (g->ops[i].bias != bias || !w->q->eight_bits[i])
                continue;
            const double weight = (double)w->observed[g->ops[i].out].pixels;
            sum += weight * added(w, &g->ops[i], c);
            pixels += weight;
        }
        if (pixels > 0)
            w->real[param->offset + (size_t)c] -= (float)(sum / pixels);
    }
}

/* Whole steps of the sums they are added to, as they will be when it runs (det_q8_layer_create()):
 * what is measured is then what runs. Not of biases that levels with different steps share, and of
 * the first, to which half a grey level is still added. */
static void round_bias(const struct work *w, const struct det_op *op)
{
    const struct det_param *param = &w->graph->params[op->bias];
    const struct det_q8_weights *weights = &w->q->weights[op->weight];
    float *bias = w->real + param->offset;
    for (int32_t i = 0; i < w->graph->op_count; i++) {
        if (w->graph->ops[i].bias == op->bias && &w->graph->ops[i] != op)
            return;
    }
    for (int32_t c = 0; c < param->shape[0] && op->in != 0; c++) {
        const double step = (double)w->q->tensors[op->in].scale * (double)weights->scales[c];
        bias[c] = (float)(round((double)bias[c] / step) * step);
    }
}

static det_status make(const struct work *w)
{
    const struct det_graph *g = w->graph;
    memcpy(w->real, w->params, g->param_floats * sizeof *w->real);
    choose_tensors(w);
    for (int32_t i = 0; i < g->op_count; i++) {
        if (det_op_is_convolution(&g->ops[i]) && w->q->eight_bits[i])
            DET_TRY_RETURN(round_weights(w, &g->ops[i]));
    }
    for (int32_t p = 0; p < g->param_count && w->choice->correct_biases; p++) {
        if (g->params[p].role == DET_PARAM_BIAS)
            correct_bias(w, p);
    }
    for (int32_t i = 0; i < g->op_count; i++) {
        if (g->ops[i].bias >= 0 && w->q->eight_bits[i])
            round_bias(w, &g->ops[i]);
    }
    return DET_OK;
}

det_status det_ranges_make(struct det_env *env, const struct det_graph *graph,
                           struct det_observed *observed, const float *params,
                           const struct det_ranges_choice *choice, float *real,
                           struct det_quantised **quantised)
{
    struct work w = {.env = env,
                     .graph = graph,
                     .observed = observed,
                     .params = params,
                     .choice = choice,
                     .real = real};
    DET_TRY_RETURN(det_quantised_create(env, graph, &w.q));
    const det_status status = make(&w);
    if (status != DET_OK)
        det_quantised_destroy(env, &w.q);
    *quantised = w.q;
    return status;
}
