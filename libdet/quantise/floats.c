#include "quantise/floats.h"

double det_floats_share(const struct det_graph *g, const bool *eight_bits)
{
    double all = 0, in_float = 0;
    for (int32_t i = 0; i < g->op_count; i++) {
        if (!det_op_is_convolution(&g->ops[i]))
            continue;
        const struct det_tensor out = g->tensors[g->ops[i].out];
        const double products =
            (double)out.height * (double)out.width * (double)g->params[g->ops[i].weight].count;
        all += products;
        in_float += eight_bits[i] ? 0 : products;
    }
    return all > 0 ? in_float / all : 0;
}

static void take(const struct det_graph *g, int32_t weight, bool *eight_bits)
{
    for (int32_t i = 0; i < g->op_count; i++)
        eight_bits[i] = eight_bits[i] && g->ops[i].weight != weight;
}

int32_t det_floats_take_worst(const struct det_graph *g, const float *errors, int32_t count,
                              bool *eight_bits)
{
    int32_t taken = 0;
    for (; taken < count; taken++) {
        int32_t worst = -1;
        for (int32_t i = 0; i < g->op_count; i++) {
            if (eight_bits[i] && det_op_is_convolution(&g->ops[i]) &&
                (worst < 0 || errors[i] > errors[worst]))
                worst = i;
        }
        if (worst < 0)
            break;
        take(g, g->ops[worst].weight, eight_bits);
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
