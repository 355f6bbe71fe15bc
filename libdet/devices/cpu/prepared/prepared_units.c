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

/* May be in a unit. */
static bool in_form(const struct search *s, int32_t op)
{
    return s->quantised == NULL || s->quantised->eight_bits[op];
}

static bool is_stem(const struct search *s, int32_t op)
{
    const struct det_graph *g = s->graph;
    if (g->ops[op].kind != DET_OP_CONV || g->ops[op].in != 0)
        return false;
    if (s->quantised == NULL || !s->quantised->eight_bits[op])
        return true;
    const struct det_conv_shape shape = det_net_conv_shape(g, &g->ops[op], 1);
    const struct detk_view view = detk_view_of(&shape);
    return detk_q8_stem_fits(&view);
}

static bool match_separable(const struct search *s, int32_t op, struct detk_unit *unit)
{
    const struct det_graph *g = s->graph;
    if (!is_depthwise3(g, op) || !in_form(s, op))
        return false;
    const int32_t next = sole_reader(s, g->ops[op].out);
    if (!is_pointwise(g, next) || !(in_form(s, next) || det_graph_is_output(g, g->ops[next].out)))
        return false;
    unit->kind = DETK_SEPARABLE_UNIT;
    unit->depthwise = op;
    unit->pointwise = next;
    unit->in = g->ops[op].in;
    unit->out = g->ops[next].out;
    return true;
}

static bool match_block(const struct search *s, int32_t op, struct detk_unit *unit)
{
    const struct det_graph *g = s->graph;
    const struct det_op *expand = &g->ops[op];
    if (!(is_pointwise(g, op) && in_form(s, op)) && !is_stem(s, op))
        return false;
    const int32_t next = sole_reader(s, expand->out);
    if (next < 0 || !match_separable(s, next, unit) || !in_form(s, unit->pointwise))
        return false;
    unit->kind = DETK_BLOCK_UNIT;
    unit->expand = op;
    unit->in = expand->in;
    const int32_t join = sole_reader(s, unit->out);
    if (unit->in != 0 && join >= 0 && g->ops[join].kind == DET_OP_ADD && in_form(s, join) &&
        g->ops[join].in == unit->in && g->ops[join].in2 == unit->out &&
        g->ops[unit->pointwise].act == DET_ACTIVATION_NONE) {
        unit->join = join;
        unit->out = g->ops[join].out;
    }
    return true;
}

static bool match_pointwise(const struct search *s, int32_t op, struct detk_unit *unit)
{
    const struct det_graph *g = s->graph;
    if (!is_pointwise(g, op) || !in_form(s, op))
        return false;
    unit->kind = DETK_POINTWISE_UNIT;
    unit->pointwise = op;
    unit->in = g->ops[op].in;
    unit->out = g->ops[op].out;
    const int32_t join = sole_reader(s, unit->out);
    if (join >= 0 && g->ops[join].kind == DET_OP_UPSAMPLE_ADD && in_form(s, join) &&
        g->ops[join].in2 == unit->out) {
        unit->join = join;
        unit->in2 = g->ops[join].in;
        unit->out = g->ops[join].out;
    }
    return true;
}

/* Its input lies in blocks of 8 bits: it is neither the network's nor an output. */
static bool is_dense(const struct search *s, int32_t op)
{
    const struct det_graph *g = s->graph;
    return s->quantised != NULL && s->quantised->eight_bits[op] && g->ops[op].kind == DET_OP_CONV &&
           g->ops[op].in != 0 && !det_graph_is_output(g, g->ops[op].in);
}

static struct detk_unit match(const struct search *s, int32_t op)
{
    struct detk_unit unit = {
        .expand = -1, .depthwise = -1, .pointwise = -1, .join = -1, .other = -1, .in2 = -1};
    if (match_block(s, op, &unit) || match_separable(s, op, &unit) || match_pointwise(s, op, &unit))
        return unit;
    unit.kind = is_dense(s, op) ? DETK_DENSE_UNIT : DETK_OTHER_UNIT;
    unit.other = op;
    unit.in = s->graph->ops[op].in;
    unit.in2 = s->graph->ops[op].in2;
    unit.out = s->graph->ops[op].out;
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

/* Quadratic in some 60 units, once per network. A unit is higher than all that read its result,
 * also when it stands behind them in the list: so until nothing changes. */
static void find_heights(struct detk_unit *units, int32_t count)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (int32_t i = 0; i < count; i++) {
            for (int32_t j = 0; j < count; j++) {
                if ((units[j].in == units[i].out || units[j].in2 == units[i].out) &&
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
    find_heights(units, *count);
    sort_by_height(units, *count);
fail:
    det_free(env, &s.readers);
    det_free(env, &s.reader);
    det_free(env, &s.taken);
    return status;
}
