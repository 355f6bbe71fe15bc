#include "model/quantised_plan.h"

#include "model/net_plan.h"
#include "model/plan.h"
#include "support/mem.h"

/* Of tensor t, blocks 2 t and 2 t + 1: in bytes and in float32. */
struct work {
    const struct det_graph *graph;
    const struct det_quantised_plan_settings *settings;
    struct det_plan_block *blocks;
    bool *wanted; /* per block */
};

static int32_t readers_of(const struct det_graph *g, int32_t tensor)
{
    int32_t count = det_graph_is_output(g, tensor) ? 1 : 0;
    for (int32_t i = 0; i < g->op_count; i++)
        count += (g->ops[i].in == tensor) + (g->ops[i].in2 == tensor);
    return count;
}

bool det_quantised_joins_next(const struct det_graph *g, int32_t index)
{
    const struct det_op *op = &g->ops[index], *next = op + 1;
    if (index + 1 >= g->op_count || op->kind != DET_OP_CONV || readers_of(g, op->out) != 1)
        return false;
    if (next->kind == DET_OP_UPSAMPLE_ADD)
        return next->in2 == op->out; /* the other one is upsampled */
    return next->kind == DET_OP_ADD && (next->in == op->out || next->in2 == op->out);
}

static void want(struct work *w, int32_t tensor, bool eight_bits)
{
    if (tensor >= 0)
        w->wanted[2 * tensor + !eight_bits] = true;
}

/* Whether an operation is run together with the one before it. */
static bool with_last(const struct work *w, int32_t op)
{
    return op > 0 && w->settings->with_next != NULL && w->settings->with_next[op - 1];
}

static void find_forms(struct work *w, const struct det_quantised *quantised)
{
    const struct det_graph *g = w->graph;
    for (int32_t i = 0; i < g->op_count; i++) {
        const bool eight_bits = quantised->eight_bits[i];
        want(w, g->ops[i].in, eight_bits);
        want(w, g->ops[i].in2, eight_bits);
        want(w, g->ops[i].out, eight_bits);
    }
    for (int32_t l = 0; l < g->levels; l++) {
        want(w, g->box_outputs[l], false);
        want(w, g->class_outputs[l], false);
    }
    for (int32_t i = 0; i < g->op_count; i++) {
        if (with_last(w, i + 1))
            w->wanted[2 * g->ops[i].out] = false;
    }
    if (w->settings->input_apart)
        w->wanted[1] = false;
}

static void live(struct det_plan_block *block, int32_t time)
{
    if (time < block->first)
        block->first = time;
    if (time > block->last)
        block->last = time;
}

static void find_lives(struct work *w)
{
    const struct det_graph *g = w->graph;
    for (int32_t b = 0; b < 2 * g->tensor_count; b++)
        w->blocks[b] = (struct det_plan_block){.first = INT32_MAX, .last = -1};
    live(&w->blocks[0], 0);
    live(&w->blocks[1], 0);
    for (int32_t i = 0; i < g->op_count; i++) {
        const int32_t used[] = {g->ops[i].in, g->ops[i].in2, g->ops[i].out};
        for (int k = 0; k < 3; k++) {
            if (used[k] < 0)
                continue;
            live(&w->blocks[2 * used[k]], i);
            live(&w->blocks[2 * used[k] + 1], i);
            if (with_last(w, i))
                live(&w->blocks[2 * used[k]], i - 1);
        }
    }
    for (int32_t l = 0; l < g->levels; l++) {
        live(&w->blocks[2 * g->box_outputs[l] + 1], g->op_count);
        live(&w->blocks[2 * g->class_outputs[l] + 1], g->op_count);
    }
    if (w->settings->at_once > 0)
        det_plan_stretch(w->blocks, 2 * g->tensor_count, g->op_count - w->settings->at_once,
                         g->op_count - 1);
}

/* Rounded up to the alignment, so that the offsets, sums of sizes, are multiples of it too. */
static det_status find_sizes(struct det_env *env, struct work *w)
{
    const struct det_graph *g = w->graph;
    const size_t alignment = w->settings->alignment;
    for (int32_t b = 0; b < 2 * g->tensor_count; b++) {
        const struct det_tensor t = g->tensors[b / 2];
        size_t n = b % 2 == 0 ? 1 : sizeof(float);
        if (!w->wanted[b])
            continue;
        if (!det_size_mul(n, (size_t)w->settings->batch, &n) ||
            !det_size_mul(n, (size_t)t.height, &n) || !det_size_mul(n, (size_t)t.width, &n) ||
            !det_size_mul(n, (size_t)t.channels, &n) || !det_size_add(n, alignment - 1, &n))
            return det_fail(env, DET_STATUS_OUT_OF_MEMORY,
                            "a tensor of %d x %d x %d x %d values is too large", w->settings->batch,
                            t.height, t.width, t.channels);
        w->blocks[b].bytes = n / alignment * alignment;
    }
    return DET_OK;
}

static void take_offsets(const struct work *w, struct det_quantised_plan *plan)
{
    for (int32_t t = 0; t < w->graph->tensor_count; t++) {
        plan->bytes[t] = w->wanted[2 * t] ? w->blocks[2 * t].offset : DET_NO_FORM;
        plan->floats[t] = w->wanted[2 * t + 1] ? w->blocks[2 * t + 1].offset : DET_NO_FORM;
    }
}

det_status det_quantised_plan_create(struct det_env *env, const struct det_graph *graph,
                                     const struct det_quantised *quantised,
                                     const struct det_quantised_plan_settings *settings,
                                     struct det_quantised_plan *plan)
{
    static const char what[] = "inference plan";
    const size_t tensors = (size_t)graph->tensor_count;
    struct work w = {.graph = graph, .settings = settings};
    det_status status = DET_OK;
    *plan = (struct det_quantised_plan){0};
    DET_TRY(det_alloc(env, &w.wanted, 2 * tensors, sizeof *w.wanted, what));
    DET_TRY(det_alloc(env, &w.blocks, 2 * tensors, sizeof *w.blocks, what));
    DET_TRY(det_alloc(env, &plan->bytes, tensors, sizeof *plan->bytes, what));
    DET_TRY(det_alloc(env, &plan->floats, tensors, sizeof *plan->floats, what));
    find_forms(&w, quantised);
    find_lives(&w);
    DET_TRY(find_sizes(env, &w));
    DET_TRY(det_plan_arena(env, w.blocks, 2 * graph->tensor_count, &plan->arena_bytes));
    take_offsets(&w, plan);
fail:
    det_free(env, &w.wanted);
    det_free(env, &w.blocks);
    if (status != DET_OK)
        det_quantised_plan_free(env, plan);
    return status;
}

void det_quantised_plan_free(struct det_env *env, struct det_quantised_plan *plan)
{
    det_free(env, &plan->bytes);
    det_free(env, &plan->floats);
}
