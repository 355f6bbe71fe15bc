#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "formats/weights_layout.h"
#include "support/io.h"
#include "support/json_writer.h"
#include "support/mem.h"

struct pending {
    char *name;
    enum det_weights_type dtype;
    int64_t shape[DET_WEIGHTS_MOST_DIMS];
    int32_t dims;
    const void *data;
    size_t bytes;
    size_t offset; /* from the data's beginning */
};

struct det_weights_writer {
    char *path;
    struct det_text *memory; /* NULL: the file is written */
    char *meta;
    struct pending *tensors;
    size_t count, capacity;
};

det_status det_weights_writer_create(struct det_env *env, const char *path, struct det_text *memory,
                                     struct det_weights_writer **writer)
{
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, writer, 1, sizeof **writer, "weights writer"));
    DET_TRY(det_strdup(env, &(*writer)->path, path));
    (*writer)->memory = memory;
    DET_TRY(det_strdup(env, &(*writer)->meta, "{}"));
    return DET_OK;
fail:
    det_weights_writer_destroy(env, writer);
    return status;
}

void det_weights_writer_destroy(struct det_env *env, struct det_weights_writer **writer)
{
    struct det_weights_writer *w = *writer;
    if (w == NULL)
        return;
    for (size_t i = 0; i < w->count; i++)
        det_free(env, &w->tensors[i].name);
    det_free(env, &w->tensors);
    det_free(env, &w->meta);
    det_free(env, &w->path);
    det_free(env, writer);
}

det_status det_weights_writer_add(struct det_env *env, struct det_weights_writer *writer,
                                  const char *name, enum det_weights_type dtype,
                                  const int64_t *shape, int32_t dims, const void *data)
{
    struct pending tensor = {.dtype = dtype, .dims = dims, .data = data};
    size_t count = 0;
    if ((unsigned)dtype >= DET_WEIGHTS_TYPE_COUNT)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "tensor `%s`: type %d", name, (int)dtype);
    if (dims < 0 || dims > DET_WEIGHTS_MOST_DIMS)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "tensor `%s`: %d dimensions (at most %d)",
                        name, dims, DET_WEIGHTS_MOST_DIMS);
    if (!det_weights_shape_bytes(dtype, shape, dims, &count, &tensor.bytes))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "tensor `%s`: bad shape", name);
    if (data == NULL && tensor.bytes > 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "tensor `%s`: no data", name);
    if (name[0] == '\0')
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "tensor without a name");
    for (size_t i = 0; i < writer->count; i++) {
        if (strcmp(writer->tensors[i].name, name) == 0)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "tensor `%s` was added before", name);
    }
    if (writer->count > 0) {
        const struct pending *last = &writer->tensors[writer->count - 1];
        size_t end = 0;
        if (!det_size_add(last->offset, last->bytes, &end) || !weights_align(end, &tensor.offset))
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "tensor `%s`: the file is too large",
                            name);
    }
    if (dims > 0)
        memcpy(tensor.shape, shape, (size_t)dims * sizeof *shape);
    DET_TRY_RETURN(det_grow(env, &writer->tensors, &writer->capacity, writer->count + 1,
                            sizeof *writer->tensors, "tensors to write"));
    DET_TRY_RETURN(det_strdup(env, &tensor.name, name));
    writer->tensors[writer->count++] = tensor;
    return DET_OK;
}

det_status det_weights_writer_set_meta(struct det_env *env, struct det_weights_writer *writer,
                                       const char *json)
{
    struct det_json root;
    if (det_json_parse(env, "meta data", json, strlen(json), &root) != DET_OK)
        return det_fail_prefix(env, DET_STATUS_INVALID_ARGUMENT, "%s", writer->path);
    if (det_json_kind(root) != DET_JSON_OBJECT)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: meta data is %s, expected an object",
                        writer->path, det_json_kind_text(root));
    char *copy = NULL;
    DET_TRY_RETURN(det_strdup(env, &copy, json));
    det_free(env, &writer->meta);
    writer->meta = copy;
    return DET_OK;
}

static void put_tensor(struct det_json_writer *json, const struct pending *tensor)
{
    det_json_open_object(json, NULL);
    det_json_put_string(json, "name", tensor->name);
    det_json_put_string(json, "dtype", det_weights_type_name(tensor->dtype));
    det_json_open_list(json, "shape");
    for (int32_t d = 0; d < tensor->dims; d++)
        det_json_put_int(json, NULL, tensor->shape[d]);
    det_json_close_list(json);
    det_json_put_size(json, "offset", tensor->offset);
    det_json_put_size(json, "bytes", tensor->bytes);
    det_json_put_int(json, "crc32c", det_crc32c(0, tensor->data, tensor->bytes));
    det_json_close_object(json);
}

static det_status put_json(struct det_env *env, const struct det_weights_writer *writer,
                           struct det_text *text)
{
    struct det_json_writer json;
    det_json_begin(&json, env, text, DET_JSON_COMPACT);
    det_json_open_object(&json, NULL);
    det_json_put_made(&json, "meta", writer->meta);
    det_json_line(&json, 0);
    det_json_open_list(&json, "tensors");
    for (size_t i = 0; i < writer->count; i++) {
        det_json_line(&json, 0);
        put_tensor(&json, &writer->tensors[i]);
    }
    det_json_close_list(&json);
    det_json_close_object(&json);
    det_json_line(&json, 0);
    return det_json_end(&json);
}

static void put_number(uint8_t *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static void make_fixed_header(uint8_t fixed[WEIGHTS_FIXED_BYTES], const struct det_text *json,
                              size_t file_bytes)
{
    memset(fixed, 0, WEIGHTS_FIXED_BYTES);
    memcpy(fixed, WEIGHTS_MAGIC, WEIGHTS_MAGIC_BYTES);
    put_number(fixed + WEIGHTS_AT_VERSION, DET_WEIGHTS_VERSION, 4);
    put_number(fixed + WEIGHTS_AT_HEADER_BYTES, json->length, 8);
    put_number(fixed + WEIGHTS_AT_FILE_BYTES, file_bytes, 8);
    const uint32_t crc = det_crc32c(0, fixed + WEIGHTS_AT_HEADER_BYTES,
                                    WEIGHTS_FIXED_BYTES - WEIGHTS_AT_HEADER_BYTES);
    put_number(fixed + WEIGHTS_AT_CRC, det_crc32c(crc, json->data, json->length), 4);
}

/* Zeros up to byte `offset` of the file. */
static det_status pad_to(struct det_env *env, struct det_writer *out, size_t offset)
{
    static const uint8_t zeros[WEIGHTS_ALIGN];
    return det_writer_write(env, out, zeros, offset - (size_t)out->offset);
}

static det_status write_file(struct det_env *env, const struct det_weights_writer *writer,
                             const struct det_text *json)
{
    struct det_writer out = {.descriptor = -1};
    uint8_t fixed[WEIGHTS_FIXED_BYTES];
    size_t data_start = 0, file_bytes = 0;
    det_status status = DET_OK;
    bool fits = json->length < SIZE_MAX - WEIGHTS_FIXED_BYTES &&
                weights_align(WEIGHTS_FIXED_BYTES + json->length, &data_start);
    file_bytes = data_start;
    if (writer->count > 0) {
        const struct pending *last = &writer->tensors[writer->count - 1];
        fits = fits && det_size_add(data_start, last->offset, &file_bytes) &&
               det_size_add(file_bytes, last->bytes, &file_bytes);
    }
    if (!fits)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: too large", writer->path);
    make_fixed_header(fixed, json, file_bytes);
    DET_TRY(writer->memory != NULL ? det_writer_open_memory(env, writer->memory, writer->path, &out)
                                   : det_writer_open(env, writer->path, &out));
    DET_TRY(det_writer_write(env, &out, fixed, sizeof fixed));
    DET_TRY(det_writer_write(env, &out, json->data, json->length));
    DET_TRY(pad_to(env, &out, data_start));
    for (size_t i = 0; i < writer->count; i++) {
        const struct pending *tensor = &writer->tensors[i];
        DET_TRY(pad_to(env, &out, data_start + tensor->offset));
        DET_TRY(det_writer_write(env, &out, tensor->data, tensor->bytes));
    }
    return det_writer_commit(env, &out);
fail:
    det_writer_discard(env, &out);
    return status;
}

det_status det_weights_writer_finish(struct det_env *env, struct det_weights_writer **writer)
{
    struct det_text json = {0};
    det_status status = DET_OK;
    DET_TRY(put_json(env, *writer, &json));
    DET_TRY(write_file(env, *writer, &json));
fail:
    det_text_free(env, &json);
    det_weights_writer_destroy(env, writer);
    return status;
}
