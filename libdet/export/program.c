#include "export/program.h"

#include <string.h>

#include "support/mem.h"

/* A value of a network; larger ones are a damaged file. */
#define MOST_COUNT ((size_t)1 << 40)

det_status det_array_create(struct det_env *env, bool whole, int32_t dims, const int64_t *shape,
                            const char *what, struct det_array *array)
{
    *array = (struct det_array){.dims = dims, .whole = whole, .count = 1};
    if (dims < 0 || dims > DET_ARRAY_MOST_DIMS)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: %d dimensions, expected 0 to %d", what, dims,
                        DET_ARRAY_MOST_DIMS);
    for (int32_t i = 0; i < dims; i++) {
        if (shape[i] < 0 || !det_size_mul(array->count, (size_t)shape[i], &array->count) ||
            array->count > MOST_COUNT) {
            *array = (struct det_array){0};
            return det_fail(env, DET_STATUS_CORRUPT, "%s: dimension %d is %lld", what, i,
                            (long long)shape[i]);
        }
        array->shape[i] = shape[i];
    }
    const size_t size = whole ? sizeof *array->wholes : sizeof *array->floats;
    const det_status status = det_alloc(env, &array->data, array->count, size, what);
    if (status != DET_OK)
        *array = (struct det_array){0};
    return status;
}

void det_array_free(struct det_env *env, struct det_array *array)
{
    det_free(env, &array->data);
    *array = (struct det_array){0};
}

void det_array_put_frame(struct det_array *input, int64_t n, bool channels_first,
                         const float *frame, int32_t row_pixels)
{
    const int64_t *size = input->shape + (channels_first ? 2 : 1);
    const size_t height = (size_t)size[0], width = (size_t)size[1], plane = height * width;
    float *to = input->floats + (size_t)n * plane * 3;
    for (size_t i = 0; i < plane; i++) {
        const float *from = frame + (i / width * (size_t)row_pixels + i % width) * 3;
        for (size_t c = 0; c < 3; c++)
            to[channels_first ? c * plane + i : i * 3 + c] = from[c];
    }
}

void det_program_init(struct det_program *program)
{
    *program = (struct det_program){.input = -1};
    for (int i = 0; i < DET_PROBES; i++)
        program->probes[i] = -1;
}

void det_program_free(struct det_env *env, struct det_program *program)
{
    for (int32_t i = 0; i < program->value_count; i++) {
        det_free(env, &program->values[i].name);
        det_array_free(env, &program->values[i].array);
    }
    for (int32_t i = 0; i < program->node_count; i++)
        det_free(env, &program->nodes[i].name);
    det_free(env, &program->values);
    det_free(env, &program->nodes);
    det_program_init(program);
}

int32_t det_program_find(const struct det_program *program, const char *name)
{
    for (int32_t i = 0; i < program->value_count; i++)
        if (strcmp(program->values[i].name, name) == 0)
            return i;
    return -1;
}

det_status det_program_add_value(struct det_env *env, struct det_program *program, const char *name,
                                 int32_t *value)
{
    *value = -1;
    if (det_program_find(program, name) >= 0)
        return det_fail(env, DET_STATUS_CORRUPT, "value `%s` is there twice", name);
    DET_TRY_RETURN(det_grow(env, &program->values, &program->value_capacity,
                            (size_t)program->value_count + 1, sizeof *program->values,
                            "program values"));
    struct det_program_value *added = &program->values[program->value_count];
    DET_TRY_RETURN(det_strdup(env, &added->name, name));
    added->maker = -1;
    *value = program->value_count++;
    return DET_OK;
}

det_status det_program_add_constant(struct det_env *env, struct det_program *program,
                                    const char *name, bool whole, int32_t dims,
                                    const int64_t *shape, int32_t *value)
{
    struct det_array array;
    DET_TRY_RETURN(det_array_create(env, whole, dims, shape, name, &array));
    const det_status status = det_program_add_value(env, program, name, value);
    if (status != DET_OK) {
        det_array_free(env, &array);
        return status;
    }
    program->values[*value].constant = true;
    program->values[*value].array = array;
    return DET_OK;
}

const struct det_array *det_program_constant(const struct det_program *program,
                                             const struct det_node *node, int32_t index)
{
    if (index >= node->in_count || node->in[index] < 0)
        return NULL;
    const struct det_program_value *value = &program->values[node->in[index]];
    return value->constant ? &value->array : NULL;
}

static bool is_filled(const struct det_program *program, int32_t value)
{
    return program->values[value].constant || program->values[value].maker >= 0 ||
           value == program->input;
}

static det_status check_places(struct det_env *env, const struct det_program *program,
                               const struct det_node *node)
{
    for (int32_t i = 0; i < node->in_count; i++) {
        const int32_t value = node->in[i];
        if (value >= program->value_count || (value >= 0 && !is_filled(program, value)))
            return det_fail(env, DET_STATUS_CORRUPT, "node `%s`: nothing has made its input %d%s%s",
                            node->name, i, value < program->value_count ? ", " : "",
                            value < program->value_count ? program->values[value].name : "");
    }
    for (int32_t i = 0; i < node->out_count; i++) {
        const int32_t value = node->out[i];
        if (value >= program->value_count || (value >= 0 && is_filled(program, value)))
            return det_fail(env, DET_STATUS_CORRUPT, "node `%s`: its output %d is made already",
                            node->name, i);
    }
    return DET_OK;
}

det_status det_program_add_node(struct det_env *env, struct det_program *program,
                                const struct det_node *node)
{
    DET_TRY_RETURN(check_places(env, program, node));
    DET_TRY_RETURN(det_grow(env, &program->nodes, &program->node_capacity,
                            (size_t)program->node_count + 1, sizeof *program->nodes,
                            "program nodes"));
    struct det_node *added = &program->nodes[program->node_count];
    *added = *node;
    DET_TRY_RETURN(det_strdup(env, &added->name, node->name));
    for (int32_t i = 0; i < node->out_count; i++)
        if (node->out[i] >= 0)
            program->values[node->out[i]].maker = program->node_count;
    program->node_count++;
    return DET_OK;
}

const struct det_node *det_program_maker(const struct det_program *program, int32_t value)
{
    const int32_t maker = value < 0 ? -1 : program->values[value].maker;
    return maker < 0 ? NULL : &program->nodes[maker];
}

det_status det_program_find_logits(struct det_env *env, struct det_program *program)
{
    const struct det_node *node = det_program_maker(program, program->probes[DET_PROBE_SCORES]);
    if (node == NULL || node->kind != DET_NODE_SIGMOID)
        return det_fail(env, DET_STATUS_CORRUPT, "the scores are not made by a sigmoid");
    program->probes[DET_PROBE_LOGITS] = node->in[0];
    return DET_OK;
}

void det_program_widen_logits(const float *from, int32_t columns, int32_t anchors, int32_t slots,
                              float *logits)
{
    for (size_t a = 0; a < (size_t)anchors; a++)
        memcpy(logits + a * (size_t)slots + (size_t)(slots - columns), from + a * (size_t)columns,
               (size_t)columns * sizeof *from);
}
