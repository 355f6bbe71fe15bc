#include <string.h>

#include "base/crc32c.h"
#include "formats/leveldb_table.h"
#include "formats/protowire.h"

enum {
    BLOCK_BYTES = 256 * 1024,
    RESTART_ENTRIES = 16,
    HANDLES_BYTES = 40,
};

static det_status append_u32(struct det_env *env, struct det_text *text, uint32_t value)
{
    char bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (char)(value >> (8 * i));
    return det_text_append(env, text, bytes, sizeof bytes);
}

/* `contents` with its restart points becomes a block of the file, and its handle is appended to
 * `handle`. */
static det_status write_block(struct det_env *env, struct det_text *file, struct det_text *contents,
                              const struct det_text *restarts, uint32_t restart_count,
                              struct det_text *handle)
{
    const size_t start = file->length;
    if (restarts != NULL)
        DET_TRY_RETURN(det_text_append(env, contents, restarts->data, restarts->length));
    else
        DET_TRY_RETURN(append_u32(env, contents, 0));
    DET_TRY_RETURN(append_u32(env, contents, restart_count));
    DET_TRY_RETURN(det_text_append(env, file, contents->data, contents->length));
    DET_TRY_RETURN(det_text_append(env, file, "", 1)); /* not compressed */
    const size_t bytes = contents->length;
    DET_TRY_RETURN(
        append_u32(env, file, det_crc32c_mask(det_crc32c(0, file->data + start, bytes + 1))));
    DET_TRY_RETURN(det_wire_append_varint(env, handle, start));
    return det_wire_append_varint(env, handle, bytes);
}

static det_status append_entry(struct det_env *env, struct det_text *block, const char *key,
                               size_t key_bytes, size_t shared, const void *value,
                               size_t value_bytes)
{
    DET_TRY_RETURN(det_wire_append_varint(env, block, shared));
    DET_TRY_RETURN(det_wire_append_varint(env, block, key_bytes - shared));
    DET_TRY_RETURN(det_wire_append_varint(env, block, value_bytes));
    DET_TRY_RETURN(det_text_append(env, block, key + shared, key_bytes - shared));
    return det_text_append(env, block, value, value_bytes);
}

/* The block is full: it is written, its last key and its handle go to the index. */
static det_status flush(struct det_env *env, struct det_table_writer *w)
{
    struct det_text handle = {0};
    det_status status = DET_OK;
    if (w->entries == 0)
        return DET_OK;
    DET_TRY(write_block(env, w->file, &w->block, &w->restarts, w->restart_count, &handle));
    DET_TRY(append_entry(env, &w->index, w->last_key.data, w->last_key.length, 0, handle.data,
                         handle.length));
    w->block.length = w->restarts.length = 0;
    w->entries = w->restart_count = 0;
fail:
    det_text_free(env, &handle);
    return status;
}

static size_t shared_bytes(const struct det_text *before, const char *key, size_t key_bytes)
{
    size_t shared = 0;
    while (shared < before->length && shared < key_bytes && before->data[shared] == key[shared])
        shared++;
    return shared;
}

/* True also for the first one. */
static bool rises(const struct det_table_writer *w, const char *key, size_t key_bytes)
{
    const size_t shared = shared_bytes(&w->last_key, key, key_bytes);
    if (w->last_key.data == NULL)
        return true;
    if (shared == w->last_key.length)
        return key_bytes > shared;
    return shared < key_bytes && (uint8_t)w->last_key.data[shared] < (uint8_t)key[shared];
}

det_status det_table_writer_add(struct det_env *env, struct det_table_writer *w, const char *key,
                                size_t key_bytes, const void *value, size_t value_bytes)
{
    if (!rises(w, key, key_bytes))
        return det_fail(env, DET_STATUS_INTERNAL, "key `%.200s` does not follow `%.200s`", key,
                        w->last_key.data);
    size_t shared = 0;
    if (w->entries % RESTART_ENTRIES == 0) {
        DET_TRY_RETURN(append_u32(env, &w->restarts, (uint32_t)w->block.length));
        w->restart_count++;
    } else {
        shared = shared_bytes(&w->last_key, key, key_bytes);
    }
    DET_TRY_RETURN(append_entry(env, &w->block, key, key_bytes, shared, value, value_bytes));
    w->last_key.length = 0;
    DET_TRY_RETURN(det_text_append(env, &w->last_key, key, key_bytes));
    w->entries++;
    return w->block.length >= BLOCK_BYTES ? flush(env, w) : DET_OK;
}

det_status det_table_writer_finish(struct det_env *env, struct det_table_writer *w)
{
    static const uint8_t magic[8] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};
    static const char zeros[HANDLES_BYTES];
    struct det_text nothing = {0}, handles = {0};
    det_status status = DET_OK;
    DET_TRY(flush(env, w));
    DET_TRY(write_block(env, w->file, &nothing, NULL, 1, &handles)); /* metaindex */
    DET_TRY(write_block(env, w->file, &w->index, NULL, 1, &handles));
    DET_TRY(det_text_append(env, w->file, handles.data, handles.length));
    DET_TRY(det_text_append(env, w->file, zeros, HANDLES_BYTES - handles.length));
    DET_TRY(det_text_append(env, w->file, (const char *)magic, sizeof magic));
fail:
    det_text_free(env, &nothing);
    det_text_free(env, &handles);
    return status;
}

void det_table_writer_free(struct det_env *env, struct det_table_writer *w)
{
    det_text_free(env, &w->block);
    det_text_free(env, &w->restarts);
    det_text_free(env, &w->index);
    det_text_free(env, &w->last_key);
}
