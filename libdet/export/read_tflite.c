/* read_tflite.c: a TFLite file of ours as a program (program.h). Anything that tflite*.c does not
 * write is refused, so that what passes is understood. */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "export/read_tflite.h"
#include "export/tflite.h"
#include "model/quantised.h"
#include "support/mem.h"

det_status det_tflite_read_fail(const struct det_tflite_reader *r, int32_t tensor, const char *what)
{
    const bool known = tensor >= 0 && (size_t)tensor < r->tensor_count;
    return det_fail(r->env, DET_STATUS_CORRUPT, "tensor %d `%s`: %s", tensor,
                    known ? r->tensors[tensor].name : "", what);
}

/* --- constants --- */

det_status det_tflite_read_buffer(struct det_tflite_reader *r, uint32_t index,
                                  struct det_flat_vector *data)
{
    *data = (struct det_flat_vector){0};
    if (index >= r->buffers.count)
        return det_fail(r->env, DET_STATUS_CORRUPT, "buffer %u, there are %zu", index,
                        r->buffers.count);
    const struct det_flat_table buffer = det_flat_element(&r->flat, r->buffers, index);
    *data = det_flat_vector(&r->flat, buffer, DET_TFLITE_BUFFER_DATA, 1);
    return r->flat.status;
}

static void take_values(enum det_tflite_type type, const uint8_t *from, struct det_array *to)
{
    for (size_t i = 0; i < to->count; i++) {
        int32_t whole = 0;
        uint16_t half = 0;
        switch (type) {
        case DET_TFLITE_INT32:
            memcpy(&whole, from + i * sizeof whole, sizeof whole);
            to->wholes[i] = whole;
            break;
        case DET_TFLITE_INT8:
            to->wholes[i] = +(int8_t)from[i];
            break;
        case DET_TFLITE_FLOAT16:
            memcpy(&half, from + i * sizeof half, sizeof half);
            to->floats[i] = det_half_to_float(half);
            break;
        default:
            memcpy(&to->floats[i], from + i * sizeof(float), sizeof(float));
        }
    }
}

static det_status take_constant(struct det_tflite_reader *r, int32_t index, uint32_t buffer)
{
    struct det_tflite_read_tensor *t = &r->tensors[index];
    struct det_flat_vector data;
    int64_t shape[DET_TFLITE_READ_MOST_DIMS] = {0};
    size_t bytes = det_tflite_type_bytes(t->type);
    DET_TRY_RETURN(det_tflite_read_buffer(r, buffer, &data));
    for (int32_t i = 0; i < t->dims; i++) {
        shape[i] = t->shape[i];
        if (!det_size_mul(bytes, (size_t)t->shape[i], &bytes))
            return det_tflite_read_fail(r, index, "too large");
    }
    if (t->type == DET_TFLITE_UINT8)
        return det_tflite_read_fail(r, index, "a constant of bytes");
    if (data.count != bytes)
        return det_tflite_read_fail(r, index, "the buffer has not as many bytes as the shape says");
    const bool whole = t->type == DET_TFLITE_INT32 || t->type == DET_TFLITE_INT8;
    DET_TRY_RETURN(
        det_program_add_constant(r->env, r->program, t->name, whole, t->dims, shape, &t->value));
    take_values(t->type, data.data, &r->program->values[t->value].array);
    t->stored = true;
    return DET_OK;
}

/* --- tensors --- */

static det_status read_shape(struct det_tflite_reader *r, int32_t index,
                             struct det_flat_table table)
{
    struct det_tflite_read_tensor *t = &r->tensors[index];
    const struct det_flat_vector shape =
        det_flat_vector(&r->flat, table, DET_TFLITE_TENSOR_SHAPE, sizeof *t->shape);
    const struct det_flat_vector signature =
        det_flat_vector(&r->flat, table, DET_TFLITE_TENSOR_SHAPE_SIGNATURE, sizeof *t->shape);
    DET_TRY_RETURN(r->flat.status);
    if (shape.count > DET_TFLITE_READ_MOST_DIMS)
        return det_tflite_read_fail(r, index, "more than 4 dimensions");
    t->dims = (int32_t)shape.count;
    for (int32_t i = 0; i < t->dims; i++) {
        t->shape[i] = (int32_t)det_flat_word(shape, (size_t)i);
        if (t->shape[i] < 1)
            return det_tflite_read_fail(r, index, "a dimension below 1");
    }
    if (signature.data == NULL)
        return DET_OK;
    t->any_size = true;
    for (size_t i = 0; i < signature.count; i++)
        if (signature.count != 4 || t->dims != 4 ||
            (int32_t)det_flat_word(signature, i) != (i == 1 || i == 2 ? -1 : t->shape[i]))
            return det_tflite_read_fail(r, index,
                                        "another shape signature than free rows and columns");
    return DET_OK;
}

/* A word of a vector of 64 bits; *fits: it is one of 32. */
static int32_t wide_word(struct det_flat_vector vector, size_t i, bool *fits)
{
    int64_t word = 0;
    memcpy(&word, vector.data + i * sizeof word, sizeof word);
    *fits = word >= INT32_MIN && word <= INT32_MAX;
    return *fits ? (int32_t)word : 0;
}

static float scale_at(const struct det_tflite_read_tensor *t, size_t i)
{
    const uint32_t bits = det_flat_word(t->scales, i);
    float scale = 0;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}

struct det_q8_tensor det_tflite_read_q8(const struct det_tflite_read_tensor *tensor)
{
    return (struct det_q8_tensor){tensor->scales.count == 1 ? scale_at(tensor, 0) : 0,
                                  tensor->zero};
}

/* Of whole numbers alone; all zeros are the same one. */
static det_status check_scales(struct det_tflite_reader *r, int32_t index,
                               struct det_flat_vector zeros)
{
    struct det_tflite_read_tensor *t = &r->tensors[index];
    const int32_t low = t->type == DET_TFLITE_UINT8 ? 0 : -128;
    bool right =
        t->type == DET_TFLITE_UINT8 || t->type == DET_TFLITE_INT8 || t->type == DET_TFLITE_INT32;
    right = right && t->scales.count > 0 && zeros.count == t->scales.count && t->dimension >= 0 &&
            t->dimension < t->dims &&
            (t->scales.count == 1 || t->scales.count == (size_t)t->shape[t->dimension]);
    for (size_t i = 0; right && i < t->scales.count; i++) {
        const float scale = scale_at(t, i);
        bool fits = false;
        const int32_t zero = wide_word(zeros, i, &fits);
        t->zero = i == 0 ? zero : t->zero;
        right = scale > 0 && isfinite(scale) && fits && zero == t->zero && zero >= low &&
                zero <= low + 255 && (t->type != DET_TFLITE_INT32 || zero == 0);
    }
    return right ? DET_OK
                 : det_tflite_read_fail(r, index, "scales or zero points that we do not write");
}

static det_status read_scales(struct det_tflite_reader *r, int32_t index,
                              struct det_flat_table table)
{
    struct det_tflite_read_tensor *t = &r->tensors[index];
    struct det_flat_reader *f = &r->flat;
    const struct det_flat_table q = det_flat_child(f, table, DET_TFLITE_TENSOR_QUANTIZATION);
    const struct det_flat_vector zeros =
        det_flat_vector(f, q, DET_TFLITE_QUANTIZATION_ZERO_POINT, sizeof(int64_t));
    t->scales = det_flat_vector(f, q, DET_TFLITE_QUANTIZATION_SCALE, sizeof(float));
    t->dimension = det_flat_i32(f, q, DET_TFLITE_QUANTIZATION_DIMENSION, 0);
    const bool more = det_flat_u8(f, q, DET_TFLITE_QUANTIZATION_DETAILS_TYPE, 0) != 0;
    DET_TRY_RETURN(f->status);
    if (det_flat_absent(q))
        return t->type == DET_TFLITE_INT8 ? det_tflite_read_fail(r, index, "int8 without a scale")
                                          : DET_OK;
    if (more || t->scales.data == NULL)
        return det_tflite_read_fail(r, index, "quantised in another way than we write");
    return check_scales(r, index, zeros);
}

static det_status read_tensor(struct det_tflite_reader *r, int32_t index,
                              struct det_flat_table table)
{
    struct det_tflite_read_tensor *t = &r->tensors[index];
    *t = (struct det_tflite_read_tensor){.value = -1, .kernel = -1};
    t->name = det_flat_string(&r->flat, table, DET_TFLITE_TENSOR_NAME);
    const uint8_t type = det_flat_u8(&r->flat, table, DET_TFLITE_TENSOR_TYPE, 0);
    const uint32_t buffer = det_flat_u32(&r->flat, table, DET_TFLITE_TENSOR_BUFFER, 0);
    DET_TRY_RETURN(r->flat.status);
    if (t->name == NULL)
        t->name = "";
    if (type > DET_TFLITE_UINT8 && type != DET_TFLITE_INT8)
        return det_tflite_read_fail(r, index, "a type that we do not write");
    t->type = (enum det_tflite_type)type;
    if (!det_flat_absent(det_flat_child(&r->flat, table, DET_TFLITE_TENSOR_SPARSITY)) ||
        det_flat_u8(&r->flat, table, DET_TFLITE_TENSOR_IS_VARIABLE, 0) != 0)
        return det_tflite_read_fail(r, index, "sparse or variable");
    DET_TRY_RETURN(read_shape(r, index, table));
    DET_TRY_RETURN(read_scales(r, index, table));
    return buffer == 0 ? DET_OK : take_constant(r, index, buffer);
}

static det_status read_tensors(struct det_tflite_reader *r)
{
    const struct det_flat_vector list = det_flat_vector(
        &r->flat, r->subgraph, DET_TFLITE_SUBGRAPH_TENSORS, DET_FLAT_REFERENCE_BYTES);
    DET_TRY_RETURN(r->flat.status);
    DET_TRY_RETURN(
        det_alloc(r->env, &r->tensors, list.count, sizeof *r->tensors, "tensors of a TFLite file"));
    for (size_t i = 0; i < list.count; i++) {
        r->tensor_count = i;
        DET_TRY_RETURN(read_tensor(r, (int32_t)i, det_flat_element(&r->flat, list, i)));
    }
    r->tensor_count = list.count;
    return DET_OK;
}

/* --- the model's parts --- */

static det_status read_codes(struct det_tflite_reader *r)
{
    const struct det_flat_vector list = det_flat_vector(
        &r->flat, r->model, DET_TFLITE_MODEL_OPERATOR_CODES, DET_FLAT_REFERENCE_BYTES);
    DET_TRY_RETURN(r->flat.status);
    DET_TRY_RETURN(
        det_alloc(r->env, &r->codes, list.count, sizeof *r->codes, "operators of a TFLite file"));
    r->code_count = list.count;
    for (size_t i = 0; i < list.count; i++) {
        const struct det_flat_table table = det_flat_element(&r->flat, list, i);
        const int32_t old = det_flat_u8(&r->flat, table, DET_TFLITE_CODE_DEPRECATED_BUILTIN, 0);
        const int32_t kind = det_flat_i32(&r->flat, table, DET_TFLITE_CODE_BUILTIN, 0);
        const char *custom = det_flat_string(&r->flat, table, DET_TFLITE_CODE_CUSTOM);
        r->codes[i].version = det_flat_i32(&r->flat, table, DET_TFLITE_CODE_VERSION, 1);
        r->codes[i].kind = (enum det_tflite_operator)kind;
        DET_TRY_RETURN(r->flat.status);
        if (old != kind)
            return det_fail(r->env, DET_STATUS_CORRUPT,
                            "operator code %zu: %d for old readers, %d for new ones", i, old, kind);
        if (kind == DET_TFLITE_CUSTOM &&
            (custom == NULL || strcmp(custom, DET_TFLITE_DETECTION_POSTPROCESS) != 0))
            return det_fail(r->env, DET_STATUS_UNSUPPORTED, "custom operator `%s`",
                            custom == NULL ? "" : custom);
    }
    return DET_OK;
}

/* Tensor `i` of the list in a slot of the subgraph. */
static det_status read_end(struct det_tflite_reader *r, struct det_flat_vector list, size_t i,
                           int32_t *tensor)
{
    *tensor = (int32_t)det_flat_word(list, i);
    if (*tensor < 0 || (size_t)*tensor >= r->tensor_count || r->tensors[*tensor].stored)
        return det_fail(r->env, DET_STATUS_CORRUPT, "tensor %d cannot be input or output", *tensor);
    return DET_OK;
}

static det_status read_ends(struct det_tflite_reader *r)
{
    const struct det_flat_vector in =
        det_flat_vector(&r->flat, r->subgraph, DET_TFLITE_SUBGRAPH_INPUTS, sizeof(int32_t));
    const struct det_flat_vector out =
        det_flat_vector(&r->flat, r->subgraph, DET_TFLITE_SUBGRAPH_OUTPUTS, sizeof(int32_t));
    DET_TRY_RETURN(r->flat.status);
    if (in.count != 1 || (out.count != 2 && out.count != 4))
        return det_fail(r->env, DET_STATUS_CORRUPT,
                        "%zu inputs and %zu outputs, expected 1 and 2 or 4", in.count, out.count);
    DET_TRY_RETURN(read_end(r, in, 0, &r->input));
    for (size_t i = 0; i < out.count; i++)
        DET_TRY_RETURN(read_end(r, out, i, &r->outputs[i]));
    r->output_count = (int32_t)out.count;
    return DET_OK;
}

/* Whether an input of bytes has grey levels of the network's, or of a picture that is resized. */
static bool takes_levels(const struct det_tflite_read_tensor *t)
{
    const struct det_q8_tensor levels = det_q8_input_tensor();
    const int32_t zero = levels.zero + (t->type == DET_TFLITE_UINT8 ? 128 : 0);
    if (t->scales.data == NULL)
        return t->type == DET_TFLITE_UINT8 && t->any_size;
    return !t->any_size && t->scales.count == 1 && scale_at(t, 0) == levels.scale &&
           t->zero == zero;
}

static det_status set_input(struct det_tflite_reader *r)
{
    struct det_program *p = r->program;
    struct det_tflite_read_tensor *t = &r->tensors[r->input];
    const bool bytes = t->type == DET_TFLITE_UINT8 || t->type == DET_TFLITE_INT8;
    if (t->dims != 4 || (bytes ? !takes_levels(t) : t->type != DET_TFLITE_FLOAT32))
        return det_tflite_read_fail(r, r->input, "it cannot be the input");
    DET_TRY_RETURN(det_program_add_value(r->env, p, t->name, &t->value));
    p->input = t->value;
    p->input_whole = bytes;
    p->input_black = t->type == DET_TFLITE_INT8 ? -128 : 0;
    p->input_dims = 4;
    for (int i = 0; i < 4; i++)
        p->input_shape[i] = t->any_size && (i == 1 || i == 2) ? -1 : t->shape[i];
    return DET_OK;
}

det_status det_tflite_read_real(struct det_tflite_reader *r, int32_t tensor, int32_t *value)
{
    const struct det_tflite_read_tensor *t = &r->tensors[tensor];
    struct det_node node = {.kind = DET_NODE_Q8_TO_FLOAT,
                            .in = {t->value},
                            .in_count = 1,
                            .out_count = 1,
                            .q8 = {.in = det_tflite_read_q8(t)}};
    char *name = NULL;
    det_status status = DET_OK;
    DET_TRY(det_format(r->env, &name, "%s: real", t->name));
    DET_TRY(det_program_add_value(r->env, r->program, name, value));
    node.name = name;
    node.out[0] = *value;
    DET_TRY(det_program_add_node(r->env, r->program, &node));
fail:
    det_free(r->env, &name);
    return status;
}

/* Raw outputs in 8 bits: box encodings and logits. */
static det_status set_raw_outputs_in_8_bits(struct det_tflite_reader *r)
{
    struct det_program *p = r->program;
    struct det_node node = {.kind = DET_NODE_SIGMOID, .in_count = 1, .out_count = 1};
    DET_TRY_RETURN(det_tflite_read_real(r, r->outputs[0], &p->probes[DET_PROBE_ENCODINGS]));
    DET_TRY_RETURN(det_tflite_read_real(r, r->outputs[1], &node.in[0]));
    DET_TRY_RETURN(det_program_add_value(r->env, p, "scores", &node.out[0]));
    node.name = p->values[node.out[0]].name;
    DET_TRY_RETURN(det_program_add_node(r->env, p, &node));
    p->probes[DET_PROBE_SCORES] = node.out[0];
    return DET_OK;
}

static det_status set_outputs(struct det_tflite_reader *r)
{
    struct det_program *p = r->program;
    for (int32_t i = 0; i < r->output_count; i++)
        if (r->tensors[r->outputs[i]].value < 0)
            return det_tflite_read_fail(r, r->outputs[i], "an output that nothing makes");
    if (r->output_count == 2) {
        r->classes = r->tensors[r->outputs[1]].shape[2];
        r->raw_in_8_bits = r->tensors[r->outputs[1]].type == DET_TFLITE_INT8;
        if (r->raw_in_8_bits)
            return set_raw_outputs_in_8_bits(r);
        p->probes[DET_PROBE_ENCODINGS] = r->tensors[r->outputs[0]].value;
        p->probes[DET_PROBE_SCORES] = r->tensors[r->outputs[1]].value;
        return DET_OK;
    }
    for (int i = 0; i < 4; i++)
        if (r->postprocess[i] != r->outputs[i])
            return det_tflite_read_fail(r, r->outputs[i],
                                        "output that is not the " DET_TFLITE_DETECTION_POSTPROCESS
                                        "'s in its place");
    return DET_OK;
}

static det_status read_model(struct det_tflite_reader *r)
{
    r->model = det_flat_open(&r->flat, r->env, r->data, r->bytes, DET_TFLITE_IDENTIFIER);
    const uint32_t version = det_flat_u32(&r->flat, r->model, DET_TFLITE_MODEL_VERSION, 0);
    const struct det_flat_vector subgraphs =
        det_flat_vector(&r->flat, r->model, DET_TFLITE_MODEL_SUBGRAPHS, DET_FLAT_REFERENCE_BYTES);
    r->buffers =
        det_flat_vector(&r->flat, r->model, DET_TFLITE_MODEL_BUFFERS, DET_FLAT_REFERENCE_BYTES);
    DET_TRY_RETURN(r->flat.status);
    if (version != DET_TFLITE_SCHEMA_VERSION || subgraphs.count != 1)
        return det_fail(r->env, DET_STATUS_CORRUPT,
                        "schema %u with %zu subgraphs, expected %d with one", version,
                        subgraphs.count, DET_TFLITE_SCHEMA_VERSION);
    r->subgraph = det_flat_element(&r->flat, subgraphs, 0);
    DET_TRY_RETURN(read_codes(r));
    DET_TRY_RETURN(read_tensors(r));
    DET_TRY_RETURN(read_ends(r));
    DET_TRY_RETURN(set_input(r));
    DET_TRY_RETURN(det_tflite_read_ops(r));
    DET_TRY_RETURN(set_outputs(r));
    return det_tflite_read_metadata(r);
}

det_status det_tflite_read(struct det_env *env, const struct det_export *exported,
                           struct det_program *program)
{
    struct det_tflite_reader r = {.env = env, .program = program, .postprocess = {-1, -1, -1, -1}};
    if (exported->file_count != 1)
        return det_fail(env, DET_STATUS_CORRUPT, "%zu files, expected one", exported->file_count);
    r.data = (const uint8_t *)exported->files[0].data.data;
    r.bytes = exported->files[0].data.length;
    const det_status status = read_model(&r);
    det_free(env, &r.tensors);
    det_free(env, &r.codes);
    return status;
}
