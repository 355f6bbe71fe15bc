#include <stdio.h>
#include <string.h>

#include "export/program_nodes.h"
#include "support/mem.h"

/* What the inputs of a kind are, a letter each: f floats, w whole numbers, a any, b any but the
 * same as the other b; a capital one may be missing, the last is repeated where + follows. */
struct kind {
    const char *inputs;
    int32_t outputs;
    det_status (*run)(struct det_node_run *run);
};

static const struct kind kinds[DET_NODE_KINDS] = {
    [DET_NODE_CONV] = {"ffF", 1, det_node_conv},
    [DET_NODE_CLIP] = {"f", 1, det_node_unary},
    [DET_NODE_SIGMOID] = {"f", 1, det_node_unary},
    [DET_NODE_EXP] = {"f", 1, det_node_unary},
    [DET_NODE_ROUND] = {"f", 1, det_node_unary},
    [DET_NODE_TO_FLOAT] = {"a", 1, det_node_cast},
    [DET_NODE_TO_WHOLE] = {"a", 1, det_node_cast},
    [DET_NODE_QUANTIZE] = {"ffw", 1, det_node_quantize},
    [DET_NODE_DEQUANTIZE] = {"wfW", 1, det_node_dequantize},
    [DET_NODE_ADD] = {"bb", 1, det_node_binary},
    [DET_NODE_SUB] = {"bb", 1, det_node_binary},
    [DET_NODE_MUL] = {"bb", 1, det_node_binary},
    [DET_NODE_DIV] = {"bb", 1, det_node_binary},
    [DET_NODE_MIN] = {"bb", 1, det_node_binary},
    [DET_NODE_MAX] = {"bb", 1, det_node_binary},
    [DET_NODE_GREATER] = {"bb", 1, det_node_binary},
    [DET_NODE_EQUAL] = {"bb", 1, det_node_binary},
    [DET_NODE_WHERE] = {"wbb", 1, det_node_where},
    [DET_NODE_SHAPE] = {"a", 1, det_node_shape},
    [DET_NODE_RESHAPE] = {"aw", 1, det_node_reshape},
    [DET_NODE_TRANSPOSE] = {"a", 1, det_node_transpose},
    [DET_NODE_CONCAT] = {"b+", 1, det_node_concat},
    [DET_NODE_SLICE] = {"a", 1, det_node_slice},
    [DET_NODE_PAD] = {"aw", 1, det_node_pad},
    [DET_NODE_GATHER] = {"aw", 1, det_node_gather},
    [DET_NODE_GATHER_ND] = {"aw", 1, det_node_gather_nd},
    [DET_NODE_RANGE] = {"www", 1, det_node_range},
    [DET_NODE_REDUCE_SUM] = {"a", 1, det_node_reduce_sum},
    [DET_NODE_RESIZE] = {"aW", 1, det_node_resize},
    [DET_NODE_TOP_K] = {"fw", 2, det_node_top_k},
    [DET_NODE_NMS] = {"ffwff", 1, det_node_nms},
    [DET_NODE_EFFICIENT_NMS] = {"ff", 4, det_node_efficient_nms},
    [DET_NODE_DECODE] = {"ff", 1, det_node_decode},
    [DET_NODE_DETECTIONS] = {"ff", 4, det_node_detections},
    [DET_NODE_Q8_CONV] = {"wwwf", 1, det_node_q8_conv},
    [DET_NODE_Q8_ADD] = {"ww", 1, det_node_q8_add},
    [DET_NODE_Q8_FROM_FLOAT] = {"f", 1, det_node_q8_from_float},
    [DET_NODE_Q8_TO_FLOAT] = {"w", 1, det_node_q8_to_float},
};

det_status det_node_fail(const struct det_node_run *run, const char *format, ...)
{
    char what[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return det_fail(run->env, DET_STATUS_CORRUPT, "node `%s`: %s", run->node->name, what);
}

det_status det_node_make(struct det_node_run *run, int32_t index, bool whole, int32_t dims,
                         const int64_t *shape)
{
    return det_array_create(run->env, whole, dims, shape, run->node->name, &run->out[index]);
}

int32_t det_node_axis(int32_t axis, int32_t dims)
{
    const int32_t at = axis < 0 ? axis + dims : axis;
    return at < 0 || at >= dims ? -1 : at;
}

size_t det_node_extent(const struct det_array *array, int32_t begin, int32_t end)
{
    size_t extent = 1;
    for (int32_t i = begin; i < end; i++)
        extent *= (size_t)array->shape[i];
    return extent;
}

static bool is_missing(const struct det_node_run *run, int32_t index)
{
    return index >= run->node->in_count || run->in[index] == NULL;
}

static det_status check_inputs(const struct det_node_run *run, const struct kind *kind)
{
    const struct det_array *same = NULL;
    int32_t index = 0;
    for (const char *want = kind->inputs; *want != '\0'; index++) {
        const char letter = (char)(*want | 0x20);
        if (!is_missing(run, index)) {
            const struct det_array *array = run->in[index];
            if ((letter == 'f' && array->whole) || (letter == 'w' && !array->whole) ||
                (letter == 'b' && same != NULL && same->whole != array->whole))
                return det_node_fail(run, "input %d has the wrong type", index);
            if (letter == 'b')
                same = array;
        } else if (letter == *want) {
            return det_node_fail(run, "input %d is missing", index);
        }
        if (want[1] != '+')
            want++;
        else if (index + 1 >= run->node->in_count)
            want += 2;
    }
    if (index < run->node->in_count)
        return det_node_fail(run, "%d inputs, expected %d", run->node->in_count, index);
    if (run->node->out_count > kind->outputs)
        return det_node_fail(run, "%d outputs, expected %d", run->node->out_count, kind->outputs);
    return DET_OK;
}

/* The program while it runs. */
struct running {
    const struct det_program *program;
    struct det_array *arrays; /* [value_count]; of constants empty */
    int32_t *last_use;        /* [value_count] node, node_count for probes */
};

static const struct det_array *array_of(const struct running *r, int32_t value)
{
    if (value < 0)
        return NULL;
    return r->program->values[value].constant ? &r->program->values[value].array
                                              : &r->arrays[value];
}

static void find_last_uses(struct running *r)
{
    const struct det_program *p = r->program;
    for (int32_t n = 0; n < p->node_count; n++) {
        for (int32_t i = 0; i < p->nodes[n].in_count; i++)
            if (p->nodes[n].in[i] >= 0)
                r->last_use[p->nodes[n].in[i]] = n;
        for (int32_t i = 0; i < p->nodes[n].out_count; i++)
            if (p->nodes[n].out[i] >= 0)
                r->last_use[p->nodes[n].out[i]] = n;
    }
    for (int i = 0; i < DET_PROBES; i++)
        if (p->probes[i] >= 0)
            r->last_use[p->probes[i]] = p->node_count;
}

static void drop_used(struct det_env *env, struct running *r, int32_t n)
{
    const struct det_node *node = &r->program->nodes[n];
    for (int32_t i = 0; i < node->in_count; i++)
        if (node->in[i] >= 0 && r->last_use[node->in[i]] == n)
            det_array_free(env, &r->arrays[node->in[i]]);
    for (int32_t i = 0; i < node->out_count; i++)
        if (node->out[i] >= 0 && r->last_use[node->out[i]] == n)
            det_array_free(env, &r->arrays[node->out[i]]);
}

static det_status run_node(struct det_env *env, struct running *r, const struct det_ops *ops,
                           struct det_pool *pool, int32_t n)
{
    const struct det_node *node = &r->program->nodes[n];
    struct det_node_run run = {.env = env, .ops = ops, .pool = pool, .node = node};
    for (int32_t i = 0; i < node->in_count; i++)
        run.in[i] = array_of(r, node->in[i]);
    const struct kind *kind = &kinds[node->kind];
    DET_TRY_RETURN(check_inputs(&run, kind));
    const det_status status = kind->run(&run);
    for (int32_t i = 0; i < DET_PROGRAM_MOST_OUTPUTS; i++) {
        if (status == DET_OK && i < node->out_count && node->out[i] >= 0)
            r->arrays[node->out[i]] = run.out[i];
        else
            det_array_free(env, &run.out[i]);
    }
    if (status == DET_OK)
        drop_used(env, r, n);
    return status;
}

static det_status copy(struct det_env *env, const struct det_array *from, struct det_array *to)
{
    DET_TRY_RETURN(det_array_create(env, from->whole, from->dims, from->shape, "program", to));
    memcpy(to->data, from->data,
           from->count * (from->whole ? sizeof *from->wholes : sizeof *from->floats));
    return DET_OK;
}

/* Two probes may be one value. */
static det_status take_probes(struct det_env *env, const struct running *r,
                              struct det_array probes[DET_PROBES])
{
    for (int i = 0; i < DET_PROBES; i++) {
        const int32_t value = r->program->probes[i];
        if (value < 0)
            continue;
        const struct det_array *array = array_of(r, value);
        if (array->data == NULL)
            return det_fail(env, DET_STATUS_CORRUPT, "nothing makes output `%s`",
                            r->program->values[value].name);
        DET_TRY_RETURN(copy(env, array, &probes[i]));
    }
    return DET_OK;
}

det_status det_program_run(struct det_env *env, const struct det_program *program,
                           const struct det_ops *ops, struct det_pool *pool,
                           const struct det_array *input, struct det_array probes[DET_PROBES])
{
    det_status status = DET_OK;
    struct running r = {.program = program};
    const size_t values = (size_t)program->value_count;
    memset(probes, 0, DET_PROBES * sizeof *probes);
    if (program->input < 0)
        return det_fail(env, DET_STATUS_CORRUPT, "the network has no input");
    DET_TRY(det_alloc(env, &r.arrays, values, sizeof *r.arrays, "program"));
    DET_TRY(det_alloc(env, &r.last_use, values, sizeof *r.last_use, "program"));
    find_last_uses(&r);
    DET_TRY(copy(env, input, &r.arrays[program->input]));
    for (int32_t n = 0; n < program->node_count; n++)
        DET_TRY(run_node(env, &r, ops, pool, n));
    DET_TRY(take_probes(env, &r, probes));
fail:
    for (size_t i = 0; r.arrays != NULL && i < values; i++)
        det_array_free(env, &r.arrays[i]);
    det_free(env, &r.arrays);
    det_free(env, &r.last_use);
    for (int i = 0; status != DET_OK && i < DET_PROBES; i++)
        det_array_free(env, &probes[i]);
    return status;
}
