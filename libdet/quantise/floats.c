#include "quantise/floats.h"

#include <string.h>

#include "support/mem.h"

static double products_of(const struct det_graph *g, const struct det_op *op)
{
    const struct det_tensor out = g->tensors[op->out];
    return (double)out.height * (double)out.width * (double)g->params[op->weight].count;
}

static double products_of_all(const struct det_graph *g)
{
    double sum = 0;
    for (int32_t i = 0; i < g->op_count; i++)
        sum += det_op_is_convolution(&g->ops[i]) ? products_of(g, &g->ops[i]) : 0;
    return sum;
}

double det_floats_share(const struct det_graph *g, const bool *eight_bits)
{
    double sum = 0;
    for (int32_t i = 0; i < g->op_count; i++) {
        if (det_op_is_convolution(&g->ops[i]) && !eight_bits[i])
            sum += products_of(g, &g->ops[i]);
    }
    return sum / products_of_all(g);
}

static void take_weights(const struct det_graph *g, int32_t weight, bool *eight_bits)
{
    for (int32_t i = 0; i < g->op_count; i++)
        eight_bits[i] = eight_bits[i] && g->ops[i].weight != weight;
}

/* A depthwise convolution and the 1 x 1 behind it have one form, so that they run as one with what
 * is before them; there is nothing to gain for a 1 x 1 in float32 that makes an output. */
static bool settle(const struct det_graph *g, const struct det_op *depthwise,
                   const struct det_op *pointwise, bool *eight_bits)
{
    const bool first = eight_bits[depthwise - g->ops], second = eight_bits[pointwise - g->ops];
    if (first == second || (first && det_graph_is_output(g, pointwise->out)))
        return false;
    take_weights(g, first ? depthwise->weight : pointwise->weight, eight_bits);
    return true;
}

static void take(const struct det_graph *g, int32_t weight, bool *eight_bits)
{
    take_weights(g, weight, eight_bits);
    for (bool changed = true; changed;) {
        changed = false;
        for (int32_t i = 0; i < g->op_count; i++) {
            for (int32_t k = 0; k < g->op_count && g->ops[i].kind == DET_OP_DWCONV; k++) {
                if (g->ops[k].kind == DET_OP_CONV && g->ops[k].in == g->ops[i].out)
                    changed |= settle(g, &g->ops[i], &g->ops[k], eight_bits);
            }
        }
    }
}

/* The squared errors of the layers that are in 8 bits `before` and not `after`, each once, for
 * their multiplications, which are *products. */
static double worth_of(const struct det_graph *g, const float *errors, const bool *before,
                       const bool *after, double *products)
{
    double sum = 0;
    *products = 0;
    for (int32_t i = 0; i < g->op_count; i++) {
        bool first = true;
        if (!before[i] || after[i])
            continue;
        for (int32_t k = 0; k < i; k++)
            first = first && g->ops[k].weight != g->ops[i].weight;
        sum += first ? (double)errors[i] * (double)errors[i] : 0;
        *products += products_of(g, &g->ops[i]);
    }
    return sum / *products;
}

/* The layer that is worth most with what follows it, of which there may be so many products; -1:
 * none. `tried` [operations]: workspace. */
static int32_t find_worst(const struct det_graph *g, const float *errors, double most,
                          const bool *eight_bits, bool *tried)
{
    double highest = -1;
    int32_t worst = -1;
    for (int32_t i = 0; i < g->op_count; i++) {
        double products = 0;
        if (!eight_bits[i] || !det_op_is_convolution(&g->ops[i]))
            continue;
        memcpy(tried, eight_bits, (size_t)g->op_count * sizeof *tried);
        take(g, g->ops[i].weight, tried);
        const double worth = worth_of(g, errors, eight_bits, tried, &products);
        if (products <= most && worth > highest) {
            highest = worth;
            worst = g->ops[i].weight;
        }
    }
    return worst;
}

det_status det_floats_take_worst(struct det_env *env, const struct det_graph *g,
                                 const float *errors, int32_t count, double most, bool *eight_bits,
                                 int32_t *taken)
{
    bool *tried = NULL;
    *taken = 0;
    DET_TRY_RETURN(det_alloc(env, &tried, (size_t)g->op_count, sizeof *tried, "layers in float32"));
    for (; *taken < count; ++*taken) {
        const double left = (most - det_floats_share(g, eight_bits)) * products_of_all(g);
        const int32_t worst = find_worst(g, errors, left, eight_bits, tried);
        if (worst < 0)
            break;
        take(g, worst, eight_bits);
    }
    det_free(env, &tried);
    return DET_OK;
}
