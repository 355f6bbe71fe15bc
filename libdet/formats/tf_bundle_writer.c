#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "formats/leveldb_table.h"
#include "formats/protowire.h"
#include "formats/tf_bundle.h"

/* Appends a string's bytes, and gives the CRC of what is checked of them. */
static det_status append_string(struct det_env *env, const struct det_tf_tensor *tensor,
                                struct det_text *data, uint32_t *crc)
{
    uint8_t length[4], masked[4];
    if (tensor->bytes > UINT32_MAX)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "`%s`: a string of %zu bytes", tensor->key,
                        tensor->bytes);
    for (int i = 0; i < 4; i++)
        length[i] = (uint8_t)(tensor->bytes >> (8 * i));
    const uint32_t of_length = det_crc32c_mask(det_crc32c(0, length, 4));
    for (int i = 0; i < 4; i++)
        masked[i] = (uint8_t)(of_length >> (8 * i));
    DET_TRY_RETURN(det_wire_append_varint(env, data, tensor->bytes));
    DET_TRY_RETURN(det_text_append(env, data, (const char *)masked, 4));
    DET_TRY_RETURN(det_text_append(env, data, tensor->data, tensor->bytes));
    *crc = det_crc32c(det_crc32c(det_crc32c(0, length, 4), masked, 4), tensor->data, tensor->bytes);
    return DET_OK;
}

static det_status append_values(struct det_env *env, const struct det_tf_tensor *tensor,
                                struct det_text *data, uint32_t *crc)
{
    if (tensor->dtype == DET_TF_STRING)
        return append_string(env, tensor, data, crc);
    *crc = det_crc32c(0, tensor->data, tensor->bytes);
    return det_text_append(env, data, tensor->data, tensor->bytes);
}

/* TensorShapeProto. */
static det_status put_shape(struct det_env *env, const struct det_tf_tensor *tensor,
                            struct det_text *entry)
{
    size_t shape = 0, dim = 0;
    DET_TRY_RETURN(det_wire_begin(env, entry, 2, &shape));
    for (int32_t d = 0; d < tensor->dims; d++) {
        DET_TRY_RETURN(det_wire_begin(env, entry, 2, &dim));
        DET_TRY_RETURN(det_wire_put_varint(env, entry, 1, (uint64_t)tensor->shape[d]));
        DET_TRY_RETURN(det_wire_end(env, entry, dim));
    }
    return det_wire_end(env, entry, shape);
}

/* BundleEntryProto, with proto3's rule that a zero is left out. */
static det_status put_entry(struct det_env *env, const struct det_tf_tensor *tensor, size_t offset,
                            size_t bytes, uint32_t crc, struct det_text *entry)
{
    DET_TRY_RETURN(det_wire_put_varint(env, entry, 1, tensor->dtype));
    DET_TRY_RETURN(put_shape(env, tensor, entry));
    if (offset != 0)
        DET_TRY_RETURN(det_wire_put_varint(env, entry, 4, offset));
    if (bytes != 0)
        DET_TRY_RETURN(det_wire_put_varint(env, entry, 5, bytes));
    return det_wire_put_fixed32(env, entry, 6, det_crc32c_mask(crc));
}

static det_status add_tensor(struct det_env *env, struct det_table_writer *table,
                             const struct det_tf_tensor *tensor, struct det_text *data,
                             struct det_text *entry)
{
    const size_t offset = data->length;
    uint32_t crc = 0;
    entry->length = 0;
    DET_TRY_RETURN(append_values(env, tensor, data, &crc));
    DET_TRY_RETURN(put_entry(env, tensor, offset, data->length - offset, crc, entry));
    return det_table_writer_add(env, table, tensor->key, strlen(tensor->key), entry->data,
                                entry->length);
}

/* BundleHeaderProto: num_shards 1, endianness 2 (little is 0), version 3 (producer 1). */
static det_status add_header(struct det_env *env, struct det_table_writer *table,
                             struct det_text *entry)
{
    size_t version = 0;
    DET_TRY_RETURN(det_wire_put_varint(env, entry, 1, 1));
    DET_TRY_RETURN(det_wire_begin(env, entry, 3, &version));
    DET_TRY_RETURN(det_wire_put_varint(env, entry, 1, 1));
    DET_TRY_RETURN(det_wire_end(env, entry, version));
    return det_table_writer_add(env, table, "", 0, entry->data, entry->length);
}

static int by_key(const void *a, const void *b)
{
    const struct det_tf_tensor *x = a, *y = b;
    return strcmp(x->key, y->key);
}

det_status det_tf_bundle_write(struct det_env *env, struct det_tf_tensor *tensors, size_t count,
                               struct det_text *index, struct det_text *data)
{
    struct det_table_writer table = {.file = index};
    struct det_text entry = {0};
    det_status status = DET_OK;
    if (count > 1)
        qsort(tensors, count, sizeof *tensors, by_key);
    DET_TRY(add_header(env, &table, &entry));
    for (size_t i = 0; i < count; i++)
        DET_TRY(add_tensor(env, &table, &tensors[i], data, &entry));
    DET_TRY(det_table_writer_finish(env, &table));
fail:
    det_text_free(env, &entry);
    det_table_writer_free(env, &table);
    return status;
}

/* A string of protobuf's text format. */
static det_status append_quoted(struct det_env *env, const char *name, struct det_text *text)
{
    DET_TRY_RETURN(det_text_append(env, text, "\"", 1));
    for (; *name != '\0'; name++) {
        if (*name == '"' || *name == '\\')
            DET_TRY_RETURN(det_text_append(env, text, "\\", 1));
        DET_TRY_RETURN(*name == '\n' ? det_text_append(env, text, "\\n", 2)
                                     : det_text_append(env, text, name, 1));
    }
    return det_text_append(env, text, "\"\n", 2);
}

det_status det_checkpoint_state_text(struct det_env *env, const char *name, struct det_text *text)
{
    DET_TRY_RETURN(det_text_printf(env, text, "model_checkpoint_path: "));
    DET_TRY_RETURN(append_quoted(env, name, text));
    DET_TRY_RETURN(det_text_printf(env, text, "all_model_checkpoint_paths: "));
    return append_quoted(env, name, text);
}
