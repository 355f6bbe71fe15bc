#include "quantise/floats.h"

static double products_of(const struct det_graph *g, const struct det_op *op)
{
    const struct det_tensor out = g->tensors[op->out];
    return (double)out.height * (double)out.width * (double)g->params[op->weight].count;
}

/* Of all that use a convolution's weights. */
static double products_of_layer(const struct det_graph *g, int32_t weight)
{
    double sum = 0;
    for (int32_t i = 0; i < g->op_count; i++)
        sum += g->ops[i].weight == weight ? products_of(g, &g->ops[i]) : 0;
    return sum;
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

static void take(const struct det_graph *g, int32_t weight, bool *eight_bits)
{
    for (int32_t i = 0; i < g->op_count; i++)
        eight_bits[i] = eight_bits[i] && g->ops[i].weight != weight;
}

/* The layer whose squared error is largest for its multiplications, of which there may be so many;
 * -1: none. */
static int32_t find_worst(const struct det_graph *g, const float *errors, double most,
                          const bool *eight_bits)
{
    double highest = -1;
    int32_t worst = -1;
    for (int32_t i = 0; i < g->op_count; i++) {
        if (!eight_bits[i] || !det_op_is_convolution(&g->ops[i]))
            continue;
        const double products = products_of_layer(g, g->ops[i].weight);
        const double worth = (double)errors[i] * (double)errors[i] / products;
        if (products <= most && worth > highest) {
            highest = worth;
            worst = g->ops[i].weight;
        }
    }
    return worst;
}

int32_t det_floats_take_worst(const struct det_graph *g, const float *errors, int32_t count,
                              double most, bool *eight_bits)
{
    int32_t taken = 0;
    for (; taken < count; taken++) {
        const double left = (most - det_floats_share(g, eight_bits)) * products_of_all(g);
        const int32_t worst = find_worst(g, errors, left, eight_bits);
        if (worst < 0)
            break;
        take(g, worst, eight_bits);
    }
    return taken;
}

/* Whether some operation reads a tensor in 8 bits, or in float32. */
static bool is_read(const struct det_graph *g, const struct det_quantised *q, int32_t tensor,
                    bool in_8_bits)
{
    for (int32_t i = 0; i < g->op_count; i++) {
        if ((g->ops[i].in == tensor || g->ops[i].in2 == tensor) && q->eight_bits[i] == in_8_bits)
            return true;
    }
    return false;
}

bool det_floats_take_mixed(const struct det_graph *g, const struct det_quantised *q,
                           bool *eight_bits)
{
    bool any = false;
    for (int32_t i = 0; i < g->op_count; i++) {
        const int32_t made = g->ops[i].out;
        if (q->eight_bits[i] || !is_read(g, q, made, true) || !is_read(g, q, made, false))
            continue;
        for (int32_t k = 0; k < g->op_count; k++) {
            if (g->ops[k].in != made || !eight_bits[k])
                continue;
            take(g, g->ops[k].weight, eight_bits);
            any = true;
        }
    }
    return any;
}
