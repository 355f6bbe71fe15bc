#include "export/tflite_model.h"

#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "det/version.h"
#include "support/mem.h"

/* What we write of each operator is in the runtime since (lite/tools/versioning/
 * runtime_version.cc). The custom operator has no entry there. */
static const struct {
    enum det_tflite_operator kind;
    int32_t version;
    const char *since;
} runtimes[] = {
    {DET_TFLITE_ADD, 1, "1.5.0"},
    {DET_TFLITE_ADD, 2, "1.14.0"},
    {DET_TFLITE_CONCATENATION, 1, "1.5.0"},
    {DET_TFLITE_CONCATENATION, 2, "1.14.0"},
    {DET_TFLITE_CONV_2D, 1, "1.5.0"},
    {DET_TFLITE_CONV_2D, 3, "1.14.0"},
    {DET_TFLITE_DEPTHWISE_CONV_2D, 1, "1.5.0"},
    {DET_TFLITE_DEPTHWISE_CONV_2D, 3, "1.14.0"},
    {DET_TFLITE_DEQUANTIZE, 2, "1.14.0"},
    {DET_TFLITE_DEQUANTIZE, 3, "1.15.0"},
    {DET_TFLITE_LOGISTIC, 1, "1.14.0"},
    {DET_TFLITE_MUL, 1, "1.5.0"},
    {DET_TFLITE_RESHAPE, 1, "1.5.0"},
    {DET_TFLITE_RESIZE_BILINEAR, 1, "1.7.0"},
    {DET_TFLITE_CUSTOM, 1, "1.5.0"},
    {DET_TFLITE_PAD, 1, "1.5.0"},
    {DET_TFLITE_PAD, 2, "1.14.0"},
    {DET_TFLITE_STRIDED_SLICE, 1, "1.6.0"},
    {DET_TFLITE_STRIDED_SLICE, 2, "1.14.0"},
    {DET_TFLITE_CAST, 1, "1.5.0"},
    {DET_TFLITE_RESIZE_NEAREST_NEIGHBOR, 1, "1.13.1"},
    {DET_TFLITE_RESIZE_NEAREST_NEIGHBOR, 2, "1.14.0"},
    {DET_TFLITE_QUANTIZE, 1, "1.14.0"},
};

/* --- the parts --- */

static det_status take_buffer(struct det_env *env, struct det_tflite_model *model, const void *data,
                              size_t bytes, uint32_t *buffer)
{
    const uint32_t sum = det_crc32c(0, data, bytes);
    for (size_t i = 1; i < model->buffer_count; i++) {
        const struct det_tflite_buffer *b = &model->buffers[i];
        if (b->sum == sum && b->bytes == bytes && memcmp(b->data, data, bytes) == 0) {
            *buffer = (uint32_t)i;
            return DET_OK;
        }
    }
    DET_TRY_RETURN(det_grow(env, &model->buffers, &model->buffer_capacity, model->buffer_count + 1,
                            sizeof *model->buffers, "TFLite buffers"));
    struct det_tflite_buffer *b = &model->buffers[model->buffer_count];
    DET_TRY_RETURN(det_alloc_raw(env, &b->data, bytes, 1, "a constant"));
    memcpy(b->data, data, bytes);
    b->bytes = bytes;
    b->sum = sum;
    *buffer = (uint32_t)model->buffer_count++;
    return DET_OK;
}

det_status det_tflite_model_init(struct det_env *env, struct det_tflite_model *model)
{
    *model = (struct det_tflite_model){0};
    DET_TRY_RETURN(det_grow(env, &model->buffers, &model->buffer_capacity, 1,
                            sizeof *model->buffers, "TFLite buffers"));
    model->buffer_count = 1;
    return DET_OK;
}

void det_tflite_model_free(struct det_env *env, struct det_tflite_model *model)
{
    for (size_t i = 0; i < model->tensor_count; i++) {
        det_free(env, &model->tensors[i].name);
        det_free(env, &model->tensors[i].scales.values);
    }
    for (size_t i = 0; i < model->buffer_count; i++)
        det_free(env, &model->buffers[i].data);
    for (size_t i = 0; i < model->op_count; i++)
        det_text_free(env, &model->ops[i].custom_options);
    det_free(env, &model->tensors);
    det_free(env, &model->buffers);
    det_free(env, &model->ops);
    det_free(env, &model->codes);
    det_text_free(env, &model->metadata);
}

det_status det_tflite_add_tensor(struct det_env *env, struct det_tflite_model *model,
                                 const char *name, enum det_tflite_type type, int32_t dims,
                                 const int32_t *shape, int32_t *tensor)
{
    DET_TRY_RETURN(det_grow(env, &model->tensors, &model->tensor_capacity, model->tensor_count + 1,
                            sizeof *model->tensors, "TFLite tensors"));
    struct det_tflite_tensor *t = &model->tensors[model->tensor_count];
    *t = (struct det_tflite_tensor){.type = type, .dims = dims};
    memcpy(t->shape, shape, (size_t)dims * sizeof *shape);
    DET_TRY_RETURN(det_strdup(env, &t->name, name));
    *tensor = (int32_t)model->tensor_count++;
    return DET_OK;
}

det_status det_tflite_set_scales(struct det_env *env, struct det_tflite_model *model,
                                 int32_t tensor, const struct det_tflite_scales *scales)
{
    const size_t count = (size_t)scales->count;
    float *copy = NULL;
    DET_TRY_RETURN(det_alloc_raw(env, &copy, count, sizeof *copy, "scales of a tensor"));
    memcpy(copy, scales->values, count * sizeof *copy);
    model->tensors[tensor].scales = *scales;
    model->tensors[tensor].scales.values = copy;
    return DET_OK;
}

static det_status store(struct det_env *env, struct det_tflite_model *model,
                        enum det_tflite_type type, int32_t dims, const int32_t *shape,
                        const void *data, uint32_t *buffer)
{
    size_t bytes = det_tflite_type_bytes(type);
    for (int32_t i = 0; i < dims; i++)
        bytes *= (size_t)shape[i];
    return take_buffer(env, model, data, bytes, buffer);
}

det_status det_tflite_add_constant(struct det_env *env, struct det_tflite_model *model,
                                   const char *name, enum det_tflite_type type, int32_t dims,
                                   const int32_t *shape, const void *data, int32_t *tensor)
{
    uint32_t buffer = 0;
    DET_TRY_RETURN(store(env, model, type, dims, shape, data, &buffer));
    for (size_t i = 0; i < model->tensor_count; i++) {
        const struct det_tflite_tensor *t = &model->tensors[i];
        if (t->buffer == buffer && t->type == type && t->dims == dims && t->scales.values == NULL &&
            memcmp(t->shape, shape, (size_t)dims * sizeof *shape) == 0) {
            *tensor = (int32_t)i;
            return DET_OK;
        }
    }
    DET_TRY_RETURN(det_tflite_add_tensor(env, model, name, type, dims, shape, tensor));
    model->tensors[*tensor].buffer = buffer;
    return DET_OK;
}

det_status det_tflite_add_scaled_constant(struct det_env *env, struct det_tflite_model *model,
                                          const char *name, enum det_tflite_type type, int32_t dims,
                                          const int32_t *shape, const void *data,
                                          const struct det_tflite_scales *scales, int32_t *tensor)
{
    uint32_t buffer = 0;
    DET_TRY_RETURN(store(env, model, type, dims, shape, data, &buffer));
    DET_TRY_RETURN(det_tflite_add_tensor(env, model, name, type, dims, shape, tensor));
    model->tensors[*tensor].buffer = buffer;
    return det_tflite_set_scales(env, model, *tensor, scales);
}

static det_status take_code(struct det_env *env, struct det_tflite_model *model,
                            struct det_tflite_op *op)
{
    for (size_t i = 0; i < model->code_count; i++)
        if (model->codes[i].kind == op->kind && model->codes[i].version == op->version) {
            op->code = (uint32_t)i;
            return DET_OK;
        }
    DET_TRY_RETURN(det_grow(env, &model->codes, &model->code_capacity, model->code_count + 1,
                            sizeof *model->codes, "TFLite operators"));
    model->codes[model->code_count] = (struct det_tflite_code){
        .kind = op->kind,
        .version = op->version,
        .custom = op->kind == DET_TFLITE_CUSTOM ? DET_TFLITE_DETECTION_POSTPROCESS : NULL,
    };
    op->code = (uint32_t)model->code_count++;
    return DET_OK;
}

det_status det_tflite_add_op(struct det_env *env, struct det_tflite_model *model,
                             struct det_tflite_op *op)
{
    det_status status = DET_OK;
    DET_TRY(take_code(env, model, op));
    DET_TRY(det_grow(env, &model->ops, &model->op_capacity, model->op_count + 1, sizeof *model->ops,
                     "TFLite operators"));
    model->ops[model->op_count++] = *op;
    return DET_OK;
fail:
    det_text_free(env, &op->custom_options);
    return status;
}

/* "1.14.0" as a number that rises with it. */
static int version_number(const char *version)
{
    int major = 0, minor = 0, patch = 0;
    sscanf(version, "%d.%d.%d", &major, &minor, &patch);
    return (major * 1000 + minor) * 1000 + patch;
}

static const char *min_runtime_version(const struct det_tflite_model *model)
{
    const char *version = "1.5.0";
    for (size_t i = 0; i < model->code_count; i++)
        for (size_t r = 0; r < sizeof runtimes / sizeof *runtimes; r++)
            if (runtimes[r].kind == model->codes[i].kind &&
                runtimes[r].version == model->codes[i].version &&
                version_number(runtimes[r].since) > version_number(version))
                version = runtimes[r].since;
    return version;
}

/* --- the file --- */

static void put_ints(struct det_flat_writer *w, det_flat_place place, const int32_t *values,
                     int32_t count)
{
    det_flat_put_vector(w, place, values, (size_t)count, sizeof *values, sizeof *values);
}

static void put_codes(struct det_flat_writer *w, det_flat_place place,
                      const struct det_tflite_model *model)
{
    det_flat_place each = det_flat_put_references(w, place, model->code_count);
    for (size_t i = 0; i < model->code_count; i++, each += DET_FLAT_REFERENCE_BYTES) {
        const struct det_tflite_code *code = &model->codes[i];
        det_flat_place custom = 0;
        const struct det_flat_field fields[] = {
            DET_FLAT_U8(DET_TFLITE_CODE_DEPRECATED_BUILTIN, code->kind),
            DET_FLAT_U32(DET_TFLITE_CODE_VERSION, code->version),
            DET_FLAT_U32(DET_TFLITE_CODE_BUILTIN, code->kind),
            DET_FLAT_REFERENCE(DET_TFLITE_CODE_CUSTOM, &custom),
        };
        det_flat_put_table(w, each, fields, code->custom != NULL ? 4 : 3);
        if (code->custom != NULL)
            det_flat_put_string(w, custom, code->custom);
    }
}

/* One zero for each scale, in 64 bits. */
static void put_zeros(struct det_flat_writer *w, det_flat_place place,
                      const struct det_tflite_tensor *t)
{
    int64_t *zeros = NULL;
    if (w->status == DET_OK)
        w->status = det_alloc_raw(w->env, &zeros, (size_t)t->scales.count, sizeof *zeros,
                                  "zero points of a tensor");
    if (w->status != DET_OK)
        return;
    for (int32_t i = 0; i < t->scales.count; i++)
        zeros[i] = t->scales.zero;
    det_flat_put_vector(w, place, zeros, (size_t)t->scales.count, sizeof *zeros, sizeof *zeros);
    det_free(w->env, &zeros);
}

static void put_quantization(struct det_flat_writer *w, det_flat_place place,
                             const struct det_tflite_tensor *t)
{
    det_flat_place scales = 0, zeros = 0;
    DET_FLAT_PUT_TABLE(w, place, DET_FLAT_REFERENCE(DET_TFLITE_QUANTIZATION_SCALE, &scales),
                       DET_FLAT_REFERENCE(DET_TFLITE_QUANTIZATION_ZERO_POINT, &zeros),
                       DET_FLAT_U32(DET_TFLITE_QUANTIZATION_DIMENSION, t->scales.dimension));
    det_flat_put_vector(w, scales, t->scales.values, (size_t)t->scales.count, sizeof(float),
                        sizeof(float));
    put_zeros(w, zeros, t);
}

static void put_tensors(struct det_flat_writer *w, det_flat_place place,
                        const struct det_tflite_model *model)
{
    det_flat_place each = det_flat_put_references(w, place, model->tensor_count);
    for (size_t i = 0; i < model->tensor_count; i++, each += DET_FLAT_REFERENCE_BYTES) {
        const struct det_tflite_tensor *t = &model->tensors[i];
        det_flat_place shape = 0, name = 0, signature = 0, quantization = 0;
        struct det_flat_field fields[6] = {
            DET_FLAT_REFERENCE(DET_TFLITE_TENSOR_SHAPE, &shape),
            DET_FLAT_U8(DET_TFLITE_TENSOR_TYPE, t->type),
            DET_FLAT_U32(DET_TFLITE_TENSOR_BUFFER, t->buffer),
            DET_FLAT_REFERENCE(DET_TFLITE_TENSOR_NAME, &name),
        };
        size_t count = 4;
        if (t->any_size)
            fields[count++] = (struct det_flat_field)DET_FLAT_REFERENCE(
                DET_TFLITE_TENSOR_SHAPE_SIGNATURE, &signature);
        if (t->scales.values != NULL)
            fields[count++] = (struct det_flat_field)DET_FLAT_REFERENCE(
                DET_TFLITE_TENSOR_QUANTIZATION, &quantization);
        det_flat_put_table(w, each, fields, count);
        put_ints(w, shape, t->shape, t->dims);
        det_flat_put_string(w, name, t->name);
        if (t->any_size)
            put_ints(w, signature, (const int32_t[]){t->shape[0], -1, -1, t->shape[3]}, 4);
        if (t->scales.values != NULL)
            put_quantization(w, quantization, t);
    }
}

static void put_options(struct det_flat_writer *w, det_flat_place place,
                        const struct det_tflite_model *model, const struct det_tflite_op *op)
{
    det_flat_place shape = 0;
    const struct det_flat_field new_shape = DET_FLAT_REFERENCE(DET_TFLITE_RESHAPE_SHAPE, &shape);
    if (op->options_type != DET_TFLITE_RESHAPE_OPTIONS) {
        det_flat_put_table(w, place, op->options, (size_t)op->option_count);
        return;
    }
    const struct det_tflite_tensor *out = &model->tensors[op->out[0]];
    det_flat_put_table(w, place, &new_shape, 1);
    put_ints(w, shape, out->shape, out->dims);
}

static void put_ops(struct det_flat_writer *w, det_flat_place place,
                    const struct det_tflite_model *model)
{
    det_flat_place each = det_flat_put_references(w, place, model->op_count);
    for (size_t i = 0; i < model->op_count; i++, each += DET_FLAT_REFERENCE_BYTES) {
        const struct det_tflite_op *op = &model->ops[i];
        det_flat_place in = 0, out = 0, options = 0, custom = 0;
        struct det_flat_field fields[5] = {
            DET_FLAT_U32(DET_TFLITE_OP_CODE, op->code),
            DET_FLAT_REFERENCE(DET_TFLITE_OP_INPUTS, &in),
            DET_FLAT_REFERENCE(DET_TFLITE_OP_OUTPUTS, &out),
        };
        size_t count = 3;
        if (op->custom_options.length > 0) {
            fields[count++] =
                (struct det_flat_field)DET_FLAT_REFERENCE(DET_TFLITE_OP_CUSTOM_OPTIONS, &custom);
        } else if (op->options_type != DET_TFLITE_NO_OPTIONS) {
            fields[count++] =
                (struct det_flat_field)DET_FLAT_U8(DET_TFLITE_OP_OPTIONS_TYPE, op->options_type);
            fields[count++] =
                (struct det_flat_field)DET_FLAT_REFERENCE(DET_TFLITE_OP_OPTIONS, &options);
        }
        det_flat_put_table(w, each, fields, count);
        put_ints(w, in, op->in, op->in_count);
        put_ints(w, out, op->out, op->out_count);
        if (custom != 0)
            det_flat_put_vector(w, custom, op->custom_options.data, op->custom_options.length, 1,
                                DET_TFLITE_BUFFER_ALIGNMENT);
        else if (options != 0)
            put_options(w, options, model, op);
    }
}

static void put_subgraph(struct det_flat_writer *w, det_flat_place place,
                         const struct det_tflite_model *model)
{
    det_flat_place tensors = 0, inputs = 0, outputs = 0, ops = 0, name = 0;
    DET_FLAT_PUT_TABLE(w, det_flat_put_references(w, place, 1),
                       DET_FLAT_REFERENCE(DET_TFLITE_SUBGRAPH_TENSORS, &tensors),
                       DET_FLAT_REFERENCE(DET_TFLITE_SUBGRAPH_INPUTS, &inputs),
                       DET_FLAT_REFERENCE(DET_TFLITE_SUBGRAPH_OUTPUTS, &outputs),
                       DET_FLAT_REFERENCE(DET_TFLITE_SUBGRAPH_OPERATORS, &ops),
                       DET_FLAT_REFERENCE(DET_TFLITE_SUBGRAPH_NAME, &name));
    put_tensors(w, tensors, model);
    put_ints(w, inputs, &model->input, 1);
    put_ints(w, outputs, model->outputs, model->output_count);
    put_ops(w, ops, model);
    det_flat_put_string(w, name, "main");
}

static void put_tensor_maps(struct det_flat_writer *w, det_flat_place place,
                            const struct det_tflite_signature *maps, int32_t count)
{
    det_flat_place each = det_flat_put_references(w, place, (size_t)count);
    for (int32_t i = 0; i < count; i++, each += DET_FLAT_REFERENCE_BYTES) {
        det_flat_place name = 0;
        DET_FLAT_PUT_TABLE(w, each, DET_FLAT_REFERENCE(DET_TFLITE_TENSOR_MAP_NAME, &name),
                           DET_FLAT_U32(DET_TFLITE_TENSOR_MAP_TENSOR, maps[i].tensor));
        det_flat_put_string(w, name, maps[i].name);
    }
}

static void put_signature(struct det_flat_writer *w, det_flat_place place,
                          const struct det_tflite_model *model)
{
    det_flat_place inputs = 0, outputs = 0, key = 0;
    DET_FLAT_PUT_TABLE(w, det_flat_put_references(w, place, 1),
                       DET_FLAT_REFERENCE(DET_TFLITE_SIGNATURE_INPUTS, &inputs),
                       DET_FLAT_REFERENCE(DET_TFLITE_SIGNATURE_OUTPUTS, &outputs),
                       DET_FLAT_REFERENCE(DET_TFLITE_SIGNATURE_KEY, &key),
                       DET_FLAT_U32(DET_TFLITE_SIGNATURE_SUBGRAPH, 0));
    put_tensor_maps(w, inputs, &model->signature_input, 1);
    put_tensor_maps(w, outputs, model->signature_outputs, model->output_count);
    det_flat_put_string(w, key, "serving_default");
}

static void put_metadata_entries(struct det_flat_writer *w, det_flat_place place,
                                 const struct det_tflite_model *model, const char *const *names,
                                 size_t count)
{
    det_flat_place each = det_flat_put_references(w, place, count);
    for (size_t i = 0; i < count; i++, each += DET_FLAT_REFERENCE_BYTES) {
        det_flat_place name = 0;
        DET_FLAT_PUT_TABLE(w, each, DET_FLAT_REFERENCE(DET_TFLITE_METADATA_ENTRY_NAME, &name),
                           DET_FLAT_U32(DET_TFLITE_METADATA_ENTRY_BUFFER, model->buffer_count + i));
        det_flat_put_string(w, name, names[i]);
    }
}

/* The constants', then those of the metadata. */
static void put_buffers(struct det_flat_writer *w, det_flat_place place,
                        const struct det_tflite_model *model,
                        const struct det_tflite_buffer *metadata, size_t metadata_count)
{
    det_flat_place each = det_flat_put_references(w, place, model->buffer_count + metadata_count);
    for (size_t i = 0; i < model->buffer_count + metadata_count;
         i++, each += DET_FLAT_REFERENCE_BYTES) {
        const struct det_tflite_buffer *b =
            i < model->buffer_count ? &model->buffers[i] : &metadata[i - model->buffer_count];
        det_flat_place data = 0;
        const struct det_flat_field field = DET_FLAT_REFERENCE(DET_TFLITE_BUFFER_DATA, &data);
        det_flat_put_table(w, each, &field, b->bytes > 0 ? 1 : 0);
        if (b->bytes > 0)
            det_flat_put_vector(w, data, b->data, b->bytes, 1, DET_TFLITE_BUFFER_ALIGNMENT);
    }
}

det_status det_tflite_model_write(struct det_env *env, struct det_tflite_model *model,
                                  struct det_text *text)
{
    static const char *const names[] = {DET_TFLITE_MIN_RUNTIME_VERSION_NAME,
                                        DET_TFLITE_METADATA_NAME};
    char runtime[16] = ""; /* zeros behind it, as the converter leaves them */
    snprintf(runtime, sizeof runtime, "%s", min_runtime_version(model));
    const struct det_tflite_buffer metadata[] = {
        {.data = runtime, .bytes = sizeof runtime},
        {.data = model->metadata.data, .bytes = model->metadata.length},
    };
    struct det_flat_writer writer, *w = &writer;
    det_flat_place codes = 0, subgraphs = 0, description = 0, buffers = 0, entries = 0,
                   signatures = 0;
    det_flat_begin(w, env, text, DET_TFLITE_IDENTIFIER);
    DET_FLAT_PUT_TABLE(w, 0, DET_FLAT_U32(DET_TFLITE_MODEL_VERSION, DET_TFLITE_SCHEMA_VERSION),
                       DET_FLAT_REFERENCE(DET_TFLITE_MODEL_OPERATOR_CODES, &codes),
                       DET_FLAT_REFERENCE(DET_TFLITE_MODEL_SUBGRAPHS, &subgraphs),
                       DET_FLAT_REFERENCE(DET_TFLITE_MODEL_DESCRIPTION, &description),
                       DET_FLAT_REFERENCE(DET_TFLITE_MODEL_BUFFERS, &buffers),
                       DET_FLAT_REFERENCE(DET_TFLITE_MODEL_METADATA, &entries),
                       DET_FLAT_REFERENCE(DET_TFLITE_MODEL_SIGNATURES, &signatures));
    put_codes(w, codes, model);
    put_subgraph(w, subgraphs, model);
    det_flat_put_string(w, description, "Written by libdet " DET_VERSION_STRING);
    put_metadata_entries(w, entries, model, names, sizeof names / sizeof *names);
    put_signature(w, signatures, model);
    put_buffers(w, buffers, model, metadata, sizeof metadata / sizeof *metadata);
    return det_flat_end(w);
}
