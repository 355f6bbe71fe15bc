#include "devices/cpu/prepared/prepared_units.h"

#include "devices/cpu/prepared/q8_stem.h"
#include "model/net_plan.h"
#include "support/mem.h"

struct search {
    const struct det_graph *graph;
    const struct det_quantised *quantised; /* or NULL */
    int32_t *readers; /* per tensor: how many operations read it; outputs count as read */
    int32_t *reader;  /* per tensor: the last of them */
    bool *taken;      /* per operation */
};

/* The only operation that reads the tensor, -1 when there are more or none. */
static int32_t sole_reader(const struct search *s, int32_t tensor)
{
    return s->readers[tensor] == 1 ? s->reader[tensor] : -1;
}

static bool is_pointwise(const struct det_graph *g, int32_t op)
{
    return op >= 0 && g->ops[op].kind == DET_OP_CONV && g->ops[op].kernel == 1 &&
           g->ops[op].stride == 1 && g->ops[op].in != 0;
}

/* The frame of one pixel must be all the padding there is. */
static bool is_depthwise3(const struct det_graph *g, int32_t op)
{
    return op >= 0 && g->ops[op].kind == DET_OP_DWCONV && g->ops[op].kernel == 3 &&
           g->ops[op].stride <= 2 && g->ops[op].in != 0;
}

static bool in_8_bits(const struct search *s, int32_t op)
{
    return s->quantised != NULL && s->quantised->eight_bits[op];
}

static bool is_stem(const struct search *s, int32_t op)
{
    const struct det_graph *g = s->graph;
    if (g->ops[op].kind != DET_OP_CONV || g->ops[op].in != 0)
        return false;
    if (!in_8_bits(s, op))
        return true;
    const struct det_conv_shape shape = det_net_conv_shape(g, &g->ops[op], 1);
    const struct detk_view view = detk_view_of(&shape);
    return detk_q8_stem_fits(&view);
}

static bool match_separable(const struct search *s, int32_t op, struct detk_unit *unit)
{
    const struct det_graph *g = s->graph;
    if (!is_depthwise3(g, op))
        return false;
    const int32_t next = sole_reader(s, g->ops[op].out);
    if (!is_pointwise(g, next))
        return false;
    unit->kind = DETK_SEPARABLE_UNIT;
    unit->depthwise = op;
    unit->pointwise = next;
    unit->in = g->ops[op].in;
    unit->out = g->ops[next].out;
    unit->in_q8 = in_8_bits(s, op);
    unit->out_q8 = in_8_bits(s, next);
    return true;
}

/* The addition of a tensor to what the unit makes. */
static void take_join(const struct search *s, int32_t join, struct detk_unit *unit)
{
    unit->join = join;
    unit->in2 = s->graph->ops[join].in;
    unit->in2_q8 = unit->out_q8;
    unit->out = s->graph->ops[join].out;
}

static bool match_block(const struct search *s, int32_t op, struct detk_unit *unit)
{
    const struct det_graph *g = s->graph;
    const struct det_op *expand = &g->ops[op];
    struct detk_unit found = *unit;
    if (!is_pointwise(g, op) && !is_stem(s, op))
        return false;
    const int32_t next = sole_reader(s, expand->out);
    if (next < 0 || !match_separable(s, next, &found) || found.in_q8 != found.out_q8)
        return false;
    *unit = found;
    unit->kind = DETK_BLOCK_UNIT;
    unit->expand = op;
    unit->in = expand->in;
    unit->in_q8 = in_8_bits(s, op);
    const int32_t join = sole_reader(s, unit->out);
    if (unit->in != 0 && join >= 0 && g->ops[join].kind == DET_OP_ADD &&
        in_8_bits(s, join) == unit->out_q8 && g->ops[join].in == unit->in &&
        g->ops[join].in2 == unit->out && g->ops[unit->pointwise].act == DET_ACTIVATION_NONE)
        take_join(s, join, unit);
    return true;
}

static bool match_pointwise(const struct search *s, int32_t op, struct detk_unit *unit)
{
    const struct det_graph *g = s->graph;
    if (!is_pointwise(g, op))
        return false;
    unit->kind = DETK_POINTWISE_UNIT;
    unit->pointwise = op;
    unit->in = g->ops[op].in;
    unit->out = g->ops[op].out;
    unit->in_q8 = unit->out_q8 = in_8_bits(s, op);
    const int32_t join = sole_reader(s, unit->out);
    if (join >= 0 && g->ops[join].kind == DET_OP_UPSAMPLE_ADD &&
        in_8_bits(s, join) == unit->out_q8 && g->ops[join].in2 == unit->out)
        take_join(s, join, unit);
    return true;
}

static bool made_in_8_bits(const struct search *s, int32_t tensor)
{
    for (int32_t i = 0; i < s->graph->op_count; i++) {
        if (s->graph->ops[i].out == tensor)
            return in_8_bits(s, i);
    }
    return false;
}

/* Its input lies in blocks of 8 bits: it is neither the network's nor an output. */
static bool is_dense(const struct search *s, int32_t op)
{
    const struct det_graph *g = s->graph;
    return in_8_bits(s, op) && g->ops[op].kind == DET_OP_CONV && g->ops[op].in != 0 &&
           !det_graph_is_output(g, g->ops[op].in);
}

/* By itself; what it adds is read in whatever form it is made in. */
static void take_other(const struct search *s, int32_t index, struct detk_unit *unit)
{
    const struct det_op *op = &s->graph->ops[index];
    const bool q8 = in_8_bits(s, index), sum = !q8 && !det_op_is_convolution(op);
    unit->kind = sum ? DETK_CONVERT_UNIT : is_dense(s, index) ? DETK_DENSE_UNIT : DETK_OTHER_UNIT;
    unit->other = index;
    unit->in = op->in;
    unit->in2 = op->in2;
    unit->out = op->out;
    unit->in_q8 = sum ? made_in_8_bits(s, op->in) : q8;
    unit->in2_q8 = sum ? made_in_8_bits(s, op->in2) : q8;
    unit->out_q8 = q8;
}

static struct detk_unit match(const struct search *s, int32_t op)
{
    struct detk_unit unit = {
        .expand = -1, .depthwise = -1, .pointwise = -1, .join = -1, .other = -1, .in2 = -1};
    if (!match_block(s, op, &unit) && !match_separable(s, op, &unit) &&
        !match_pointwise(s, op, &unit))
        take_other(s, op, &unit);
    return unit;
}

static void take(struct search *s, const struct detk_unit *unit)
{
    const int32_t ops[] = {unit->expand, unit->depthwise, unit->pointwise, unit->join, unit->other};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (ops[i] >= 0)
            s->taken[ops[i]] = true;
    }
}

static void count_readers(struct search *s)
{
    const struct det_graph *g = s->graph;
    for (int32_t i = 0; i < g->op_count; i++) {
        const int32_t read[2] = {g->ops[i].in, g->ops[i].in2};
        for (int j = 0; j < 2; j++) {
            if (read[j] >= 0) {
                s->readers[read[j]]++;
                s->reader[read[j]] = i;
            }
        }
    }
    for (int32_t l = 0; l < g->levels; l++) {
        s->readers[g->box_outputs[l]] += 2;
        s->readers[g->class_outputs[l]] += 2;
    }
}

static bool reads(const struct detk_unit *unit, int32_t tensor, bool q8)
{
    return (unit->in == tensor && unit->in_q8 == q8) || (unit->in2 == tensor && unit->in2_q8 == q8);
}

/* What is made in one form and read in the other one. */
static void add_conversions(const struct det_graph *g, struct detk_unit *units, int32_t *count)
{
    const int32_t makers = *count;
    for (int32_t i = 0; i < makers; i++) {
        const int32_t made = units[i].out;
        const bool q8 = units[i].out_q8;
        bool wanted = false;
        for (int32_t j = 0; j < makers; j++)
            wanted |= reads(&units[j], made, !q8);
        if (wanted && !det_graph_is_output(g, made))
            units[(*count)++] = (struct detk_unit){.kind = DETK_CONVERT_UNIT,
                                                   .expand = -1,
                                                   .depthwise = -1,
                                                   .pointwise = -1,
                                                   .join = -1,
                                                   .other = -1,
                                                   .in = made,
                                                   .in2 = -1,
                                                   .out = made,
                                                   .in_q8 = q8,
                                                   .out_q8 = !q8};
    }
}

/* Quadratic in some 60 units, once per network. A unit is higher than all that read its result,
 * also when it stands behind them in the list: so until nothing changes. */
static void find_heights(struct detk_unit *units, int32_t count)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (int32_t i = 0; i < count; i++) {
            for (int32_t j = 0; j < count; j++) {
                if (reads(&units[j], units[i].out, units[i].out_q8) &&
                    units[i].height <= units[j].height) {
                    units[i].height = units[j].height + 1;
                    changed = true;
                }
            }
        }
    }
}

static void sort_by_height(struct detk_unit *units, int32_t count)
{
    for (int32_t i = 1; i < count; i++) {
        const struct detk_unit unit = units[i];
        int32_t j = i;
        for (; j > 0 && units[j - 1].height < unit.height; j--)
            units[j] = units[j - 1];
        units[j] = unit;
    }
}

det_status detk_units_find(struct det_env *env, const struct det_graph *graph,
                           const struct det_quantised *quantised, struct detk_unit *units,
                           int32_t *count)
{
    struct search s = {.graph = graph, .quantised = quantised};
    const size_t tensors = (size_t)graph->tensor_count;
    det_status status = DET_OK;
    *count = 0;
    DET_TRY(det_alloc(env, &s.readers, tensors, sizeof *s.readers, "inference plan"));
    DET_TRY(det_alloc(env, &s.reader, tensors, sizeof *s.reader, "inference plan"));
    DET_TRY(det_alloc(env, &s.taken, (size_t)graph->op_count, sizeof *s.taken, "inference plan"));
    count_readers(&s);
    for (int32_t i = 0; i < graph->op_count; i++) {
        if (s.taken[i])
            continue;
        units[*count] = match(&s, i);
        take(&s, &units[*count]);
        (*count)++;
    }
    add_conversions(graph, units, count);
    find_heights(units, *count);
    sort_by_height(units, *count);
fail:
    det_free(env, &s.readers);
    det_free(env, &s.reader);
    det_free(env, &s.taken);
    return status;
}
