#include "devices/cpu/prepared/prepared.h"

#include <stddef.h>

#include "devices/cpu/prepared/prepared_make.h"
#include "model/net_plan.h"
#include "model/plan.h"
#include "support/mem.h"

struct det_prepared {
    const struct det_graph *graph;
    const struct det_quantised *quantised;
    const struct det_ops *ops;
    struct detk_unit *units; /* of all steps */
    struct detk_step *steps;
    int32_t *step_ends; /* per step: the unit behind its last */
    int32_t step_count;
    struct detk_run run;
    float *arena, *input, *encodings, *logits;
    size_t bytes;
};

/* What is needed only while planning. */
struct work {
    const struct detk_unit *units;
    int32_t count;
    struct detk_map *maps;         /* by detk_place() */
    struct det_plan_block *blocks; /* likewise; 0 bytes: not in the arena */
};

static void use(struct det_plan_block *block, int32_t time)
{
    if (time < block->first)
        block->first = time;
    if (time > block->last)
        block->last = time;
}

/* The end of the group of units that one step does: a whole layer of the head, all its levels. */
static int32_t group_end(const struct work *w, int32_t first)
{
    int32_t end = first + 1;
    while (w->units[first].kind == DETK_SEPARABLE_UNIT && end < w->count &&
           w->units[end].kind == DETK_SEPARABLE_UNIT &&
           w->units[end].height == w->units[first].height)
        end++;
    return end;
}

static bool read_by_depthwise(const struct work *w, int32_t tensor, bool q8)
{
    for (int32_t i = 0; i < w->count; i++) {
        if (w->units[i].kind == DETK_SEPARABLE_UNIT && w->units[i].in == tensor &&
            w->units[i].in_q8 == q8)
            return true;
    }
    return false;
}

/* The outputs of one kind, level behind level in [N, A, width]. */
static void map_outputs(const struct det_graph *g, const int32_t *outputs, int32_t width,
                        float *flat, struct detk_map *maps)
{
    const ptrdiff_t image = (ptrdiff_t)g->anchor_count * width;
    for (int32_t l = 0; l < g->levels; l++) {
        const struct det_tensor t = g->tensors[outputs[l]];
        maps[detk_place(outputs[l], false)] = maps[detk_place(outputs[l], true)] =
            detk_map_plain(flat, t.height, t.width, t.channels, image);
        flat += (ptrdiff_t)t.height * t.width * t.channels;
    }
}

static det_status allocate(struct det_env *env, void *out, struct det_prepared *net, size_t count,
                           size_t size, const char *what)
{
    DET_TRY_RETURN(det_alloc(env, out, count, size, what));
    net->bytes += count * size;
    return DET_OK;
}

/* Input, encodings, logits and arena at once, after asking for their sum. */
static det_status allocate_tensors(struct det_env *env, struct det_prepared *net,
                                   size_t arena_bytes)
{
    const struct det_tensor in = net->graph->tensors[0];
    const size_t batch = (size_t)net->run.batch;
    const size_t pixels = batch * (size_t)in.height * (size_t)in.width;
    const size_t anchors = batch * (size_t)net->graph->anchor_count;
    const size_t slots = (size_t)net->graph->class_slots;
    const size_t floats = pixels * (size_t)in.channels + anchors * (4 + slots);
    DET_TRY_RETURN(det_budget_ask(env, arena_bytes + floats * sizeof(float), "network tensors"));
    DET_TRY_RETURN(allocate(env, &net->input, net, pixels, (size_t)in.channels * sizeof(float),
                            "network input"));
    DET_TRY_RETURN(
        allocate(env, &net->encodings, net, anchors, 4 * sizeof(float), "box encodings"));
    DET_TRY_RETURN(
        allocate(env, &net->logits, net, anchors, slots * sizeof(float), "class logits"));
    return allocate(env, &net->arena, net, arena_bytes, 1, "network tensors");
}

/* How what a unit makes lies in memory. */
static det_status plan_result(struct det_env *env, const struct det_prepared *net, struct work *w,
                              const struct detk_unit *unit)
{
    const struct det_tensor t = net->graph->tensors[unit->out];
    const int32_t place = detk_place(unit->out, unit->out_q8);
    size_t words = 0;
    w->maps[place] = detk_map_blocked(
        unit->out_q8 ? net->ops->q8 : net->ops->blocked,
        unit->out_q8 ? &net->quantised->tensors[unit->out] : NULL, t.height, t.width, t.channels,
        read_by_depthwise(w, unit->out, unit->out_q8), net->run.batch, &words);
    if (!det_size_mul(words, sizeof(float), &w->blocks[place].bytes))
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "network tensors are too large");
    return DET_OK;
}

static det_status plan_results(struct det_env *env, const struct det_prepared *net, struct work *w)
{
    int32_t time = 0;
    for (int32_t b = 0; b < 2 * net->graph->tensor_count; b++)
        w->blocks[b] = (struct det_plan_block){.first = INT32_MAX, .last = -1};
    for (int32_t i = 0; i < w->count; time++) {
        for (const int32_t end = group_end(w, i); i < end; i++) {
            const struct detk_unit *unit = &w->units[i];
            if (unit->in2 >= 0)
                use(&w->blocks[detk_place(unit->in2, unit->in2_q8)], time);
            use(&w->blocks[detk_place(unit->in, unit->in_q8)], time);
            use(&w->blocks[detk_place(unit->out, unit->out_q8)], time);
            if (!det_graph_is_output(net->graph, unit->out))
                DET_TRY_RETURN(plan_result(env, net, w, unit));
        }
    }
    return DET_OK;
}

static det_status plan_tensors(struct det_env *env, struct det_prepared *net, struct work *w)
{
    const struct det_graph *g = net->graph;
    const struct det_tensor in = g->tensors[0];
    size_t arena_bytes = 0;
    DET_TRY_RETURN(plan_results(env, net, w));
    DET_TRY_RETURN(det_plan_arena(env, w->blocks, 2 * g->tensor_count, &arena_bytes));
    DET_TRY_RETURN(allocate_tensors(env, net, arena_bytes));
    for (int32_t b = 0; b < 2 * g->tensor_count; b++) {
        if (w->blocks[b].bytes > 0)
            detk_map_place(&w->maps[b], net->arena + w->blocks[b].offset / sizeof(float));
    }
    w->maps[0] = w->maps[1] = detk_map_plain(net->input, in.height, in.width, in.channels,
                                             (ptrdiff_t)in.height * in.width * in.channels);
    map_outputs(g, g->box_outputs, 4, net->encodings, w->maps);
    map_outputs(g, g->class_outputs, g->class_slots, net->logits, w->maps);
    return DET_OK;
}

static det_status make_steps(struct det_env *env, struct det_prepared *net, const struct work *w,
                             const struct detk_source *source)
{
    DET_TRY_RETURN(
        allocate(env, &net->steps, net, (size_t)w->count, sizeof *net->steps, "inference plan"));
    DET_TRY_RETURN(allocate(env, &net->step_ends, net, (size_t)w->count, sizeof *net->step_ends,
                            "inference plan"));
    for (int32_t i = 0; i < w->count;) {
        const int32_t end = group_end(w, i);
        net->step_ends[net->step_count] = end;
        struct detk_step *step = &net->steps[net->step_count++];
        DET_TRY_RETURN(detk_step_make(env, source, &w->units[i], end - i, net->run.batch, step));
        net->bytes += detk_step_bytes(step);
        i = end;
    }
    return DET_OK;
}

static void at_least(size_t *value, size_t low)
{
    if (*value < low)
        *value = low;
}

static det_status allocate_scratch(struct det_env *env, struct det_prepared *net, int threads)
{
    size_t shared = 0;
    struct detk_run *run = &net->run;
    for (int32_t i = 0; i < net->step_count; i++) {
        const struct detk_step *step = &net->steps[i];
        if (step->kind == DETK_BLOCK_UNIT) {
            at_least(&run->scratch_floats, step->as.block.scratch_floats);
            at_least(&shared, step->as.block.shared_floats);
        } else if (step->kind == DETK_SEPARABLE_UNIT) {
            at_least(&run->scratch_floats, step->as.separable.scratch_floats);
        } else if (step->kind == DETK_POINTWISE_UNIT) {
            at_least(&shared, step->as.pointwise.shared_floats);
        } else if (step->kind == DETK_DENSE_UNIT) {
            at_least(&run->scratch_floats, step->as.dense.scratch_floats);
        } else if (step->kind == DETK_CONVERT_UNIT) {
            at_least(&run->scratch_floats, step->as.convert.scratch_floats);
        } else if (step->kind == DETK_OTHER_UNIT) {
            const struct detk_other_step *other = &step->as.other;
            at_least(&shared, other->shared_floats);
            if (other->op->kind == DET_OP_CONV)
                at_least(&run->exec.workspace_bytes,
                         other->ops->conv_workspace(&other->shape, threads));
            if (other->op->kind == DET_OP_DWCONV)
                at_least(&run->exec.workspace_bytes,
                         other->ops->dwconv_workspace(&other->shape, threads));
        }
    }
    run->scratch_floats = (size_t)detk_lines((int64_t)run->scratch_floats);
    DET_TRY_RETURN(allocate(env, &run->scratch, net, (size_t)threads,
                            run->scratch_floats * sizeof(float), "workspace"));
    DET_TRY_RETURN(allocate(env, &run->shared, net, shared, sizeof(float), "workspace"));
    return allocate(env, &run->exec.workspace, net, run->exec.workspace_bytes, 1, "workspace");
}

static det_status check(struct det_env *env, const struct det_graph *g, int32_t batch)
{
    if (batch < 1 || batch > 4096)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "batch: got %d, expected 1 to 4096",
                        batch);
    for (int32_t i = 0; i < g->op_count; i++) {
        if (g->ops[i].kind == DET_OP_BATCH_NORM)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "only a folded graph can be prepared, %s is a batch norm",
                            g->ops[i].name);
    }
    return DET_OK;
}

det_status det_prepared_create(struct det_env *env, const struct det_graph *graph,
                               const struct det_quantised *quantised, const float *params,
                               const struct det_ops *ops, struct det_pool *pool, int32_t batch,
                               struct det_prepared **out)
{
    *out = NULL;
    DET_TRY_RETURN(check(env, graph, batch));
    struct det_prepared *net = NULL;
    struct work w = {0};
    det_status status = DET_OK;
    const size_t places = 2 * (size_t)graph->tensor_count;
    DET_TRY(det_alloc(env, &net, 1, sizeof *net, "network"));
    net->graph = graph;
    net->quantised = quantised;
    net->ops = ops;
    net->bytes = sizeof *net;
    net->run.batch = batch;
    net->run.exec.pool = pool;
    DET_TRY(allocate(env, &net->units, net, detk_units_most(graph), sizeof *net->units,
                     "inference plan"));
    w.units = net->units;
    DET_TRY(det_alloc(env, &w.maps, places, sizeof *w.maps, "inference plan"));
    DET_TRY(det_alloc(env, &w.blocks, places, sizeof *w.blocks, "inference plan"));
    DET_TRY(detk_units_find(env, graph, quantised, net->units, &w.count));
    DET_TRY(plan_tensors(env, net, &w));
    const int threads = det_pool_threads(pool);
    const struct detk_source source = {graph, quantised, params, ops, w.maps, threads};
    DET_TRY(make_steps(env, net, &w, &source));
    DET_TRY(allocate_scratch(env, net, threads));
fail:
    det_free(env, &w.maps);
    det_free(env, &w.blocks);
    if (status != DET_OK)
        det_prepared_destroy(env, &net);
    *out = net;
    return status;
}

void det_prepared_destroy(struct det_env *env, struct det_prepared **pointer)
{
    struct det_prepared *net = *pointer;
    if (net == NULL)
        return;
    for (int32_t i = 0; i < net->step_count; i++)
        detk_step_free(env, &net->steps[i]);
    det_free(env, &net->units);
    det_free(env, &net->steps);
    det_free(env, &net->step_ends);
    det_free(env, &net->arena);
    det_free(env, &net->input);
    det_free(env, &net->encodings);
    det_free(env, &net->logits);
    det_free(env, &net->run.scratch);
    det_free(env, &net->run.shared);
    det_free(env, &net->run.exec.workspace);
    det_free(env, pointer);
}

float *det_prepared_input(struct det_prepared *net)
{
    return net->input;
}

void det_prepared_run_step(struct det_prepared *net, int32_t index)
{
    const struct detk_step *step = &net->steps[index];
    switch (step->kind) {
    case DETK_BLOCK_UNIT:
        detk_block_run(&step->as.block, &net->run);
        break;
    case DETK_SEPARABLE_UNIT:
        detk_separable_run(&step->as.separable, &net->run);
        break;
    case DETK_POINTWISE_UNIT:
        detk_pointwise_step_run(&step->as.pointwise, &net->run);
        break;
    case DETK_DENSE_UNIT:
        detk_dense_run(&step->as.dense, &net->run);
        break;
    case DETK_CONVERT_UNIT:
        detk_convert_run(&step->as.convert, &net->run);
        break;
    case DETK_OTHER_UNIT:
        detk_other_run(&step->as.other, &net->run);
        break;
    }
}

void det_prepared_forward(struct det_prepared *net)
{
    for (int32_t i = 0; i < net->step_count; i++)
        det_prepared_run_step(net, i);
}

const struct detk_unit *det_prepared_step(const struct det_prepared *net, int32_t step,
                                          int32_t *units)
{
    if (step < 0 || step >= net->step_count)
        return NULL;
    const int32_t first = step == 0 ? 0 : net->step_ends[step - 1];
    *units = net->step_ends[step] - first;
    return &net->units[first];
}

const float *det_prepared_encodings(const struct det_prepared *net)
{
    return net->encodings;
}

const float *det_prepared_logits(const struct det_prepared *net)
{
    return net->logits;
}

size_t det_prepared_bytes(const struct det_prepared *net)
{
    return net->bytes;
}
