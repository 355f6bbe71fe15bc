#include "formats/leveldb_table.h"

#include <snappy-c.h>
#include <string.h>

#include "base/crc32c.h"
#include "formats/protowire.h"
#include "support/mem.h"
#include "support/text.h"

#define FOOTER_BYTES  48u
#define HANDLES_BYTES 40u
#define MAGIC         UINT64_C(0xdb4775248b80fb57)
#define TRAILER_BYTES 5u /* compression, CRC */
#define MOST_KEY      4096u

/* Snappy's densest element makes 64 bytes of 3. */
#define SNAPPY_RATIO 22u

struct handle {
    uint64_t offset, bytes;
};

struct table {
    const uint8_t *data;
    size_t bytes;
};

/* Contents of a block, in the file or unpacked. */
struct block {
    const uint8_t *data;
    size_t bytes;
    uint8_t *unpacked;
};

static uint32_t read_u32(const uint8_t *data)
{
    return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
           (uint32_t)data[3] << 24;
}

static det_status read_handle(struct det_env *env, struct det_wire *wire, struct handle *handle)
{
    DET_TRY_RETURN(det_wire_read_varint(env, wire, &handle->offset));
    return det_wire_read_varint(env, wire, &handle->bytes);
}

static det_status unpack(struct det_env *env, const struct handle *handle, struct block *block)
{
    size_t bytes = 0;
    const char *packed = (const char *)block->data;
    if (snappy_uncompressed_length(packed, block->bytes, &bytes) != SNAPPY_OK ||
        bytes / SNAPPY_RATIO > block->bytes)
        return det_fail(env, DET_STATUS_CORRUPT, "block at byte %llu: bad Snappy length",
                        (unsigned long long)handle->offset);
    DET_TRY_RETURN(det_alloc_raw(env, &block->unpacked, bytes, 1, "unpacked index block"));
    if (snappy_uncompress(packed, block->bytes, (char *)block->unpacked, &bytes) != SNAPPY_OK)
        return det_fail(env, DET_STATUS_CORRUPT, "block at byte %llu: bad Snappy data",
                        (unsigned long long)handle->offset);
    block->data = block->unpacked;
    block->bytes = bytes;
    return DET_OK;
}

/* `block->unpacked` is the caller's to free, also after a failure. */
static det_status read_block(struct det_env *env, const struct table *table,
                             const struct handle *handle, struct block *block)
{
    *block = (struct block){0};
    const unsigned long long offset = handle->offset;
    if (handle->offset > table->bytes || handle->bytes > table->bytes - handle->offset ||
        table->bytes - handle->offset - handle->bytes < TRAILER_BYTES)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "block at byte %llu of %llu bytes lies outside of the %zu bytes there are",
                        offset, (unsigned long long)handle->bytes, table->bytes);
    block->data = table->data + handle->offset;
    block->bytes = (size_t)handle->bytes;
    const uint8_t *trailer = block->data + block->bytes;
    const uint32_t stored = read_u32(trailer + 1);
    const uint32_t computed = det_crc32c_mask(det_crc32c(0, block->data, block->bytes + 1));
    if (stored != computed)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "block at byte %llu: CRC mismatch: stored 0x%08x, computed 0x%08x", offset,
                        stored, computed);
    if (trailer[0] == 1)
        DET_TRY_RETURN(unpack(env, handle, block));
    else if (trailer[0] != 0)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "block at byte %llu: compression %u", offset,
                        trailer[0]);
    const size_t restarts = block->bytes < 4 ? 0 : read_u32(block->data + block->bytes - 4);
    if (block->bytes < 4 || restarts > (block->bytes - 4) / 4)
        return det_fail(env, DET_STATUS_CORRUPT, "block at byte %llu: bad restart points", offset);
    block->bytes -= 4 + 4 * restarts;
    return DET_OK;
}

/* Rebuilds the key in *key and finds the value. */
static det_status read_entry(struct det_env *env, struct det_wire *wire, struct det_text *key,
                             const uint8_t **value, size_t *value_bytes)
{
    uint64_t shared = 0, unshared = 0, length = 0;
    DET_TRY_RETURN(det_wire_read_varint(env, wire, &shared));
    DET_TRY_RETURN(det_wire_read_varint(env, wire, &unshared));
    DET_TRY_RETURN(det_wire_read_varint(env, wire, &length));
    const size_t left = wire->bytes - wire->at;
    if (unshared > left || length > left - unshared || shared > key->length)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "entry needs %llu + %llu bytes and %llu of the key before, of %zu and %zu",
                        (unsigned long long)unshared, (unsigned long long)length,
                        (unsigned long long)shared, left, key->length);
    if (shared + unshared > MOST_KEY)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "key of %llu bytes (at most %u)",
                        (unsigned long long)shared + (unsigned long long)unshared, MOST_KEY);
    key->length = (size_t)shared;
    DET_TRY_RETURN(
        det_text_append(env, key, (const char *)wire->data + wire->at, (size_t)unshared));
    *value = wire->data + wire->at + unshared;
    *value_bytes = (size_t)length;
    wire->at += (size_t)(unshared + length);
    return DET_OK;
}

struct walk {
    const struct table *table;
    struct det_text last_key;
    bool any;
    det_table_entry_fn function;
    void *argument;
};

static int compare(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    const size_t common = a_bytes < b_bytes ? a_bytes : b_bytes;
    const int order = common > 0 ? memcmp(a, b, common) : 0;
    return order != 0 ? order : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}

static det_status give_entry(struct det_env *env, struct walk *walk, const struct det_text *key,
                             const uint8_t *value, size_t value_bytes)
{
    const struct det_text *last = &walk->last_key;
    if (walk->any && compare(last->data, last->length, key->data, key->length) >= 0)
        return det_fail(env, DET_STATUS_CORRUPT, "key `%.200s` does not rise", key->data);
    walk->any = true;
    walk->last_key.length = 0;
    DET_TRY_RETURN(det_text_append(env, &walk->last_key, key->data, key->length));
    return walk->function(env, walk->argument, key->data, key->length, value, value_bytes);
}

static det_status walk_data_block(struct det_env *env, struct walk *walk,
                                  const struct handle *handle)
{
    struct block block;
    struct det_text key = {0};
    det_status status = DET_OK;
    DET_TRY(read_block(env, walk->table, handle, &block));
    struct det_wire wire = det_wire_start(block.data, block.bytes);
    while (wire.at < wire.bytes) {
        const size_t at = wire.at;
        const uint8_t *value = NULL;
        size_t value_bytes = 0;
        status = read_entry(env, &wire, &key, &value, &value_bytes);
        if (status != DET_OK) {
            det_fail_prefix(env, status, "block at byte %llu: entry at %zu",
                            (unsigned long long)handle->offset, at);
            goto fail;
        }
        DET_TRY(give_entry(env, walk, &key, value, value_bytes));
    }
fail:
    det_text_free(env, &key);
    det_free(env, &block.unpacked);
    return status;
}

static det_status walk_index_block(struct det_env *env, struct walk *walk,
                                   const struct handle *handle)
{
    struct block block;
    struct det_text key = {0};
    det_status status = DET_OK;
    DET_TRY(read_block(env, walk->table, handle, &block));
    struct det_wire wire = det_wire_start(block.data, block.bytes);
    while (wire.at < wire.bytes) {
        const uint8_t *value = NULL;
        size_t value_bytes = 0;
        struct handle data_block = {0};
        DET_TRY(read_entry(env, &wire, &key, &value, &value_bytes));
        struct det_wire handle_wire = det_wire_start(value, value_bytes);
        DET_TRY(read_handle(env, &handle_wire, &data_block));
        DET_TRY(walk_data_block(env, walk, &data_block));
    }
fail:
    det_text_free(env, &key);
    det_free(env, &block.unpacked);
    return status;
}

det_status det_table_walk(struct det_env *env, const uint8_t *data, size_t bytes,
                          det_table_entry_fn function, void *argument)
{
    if (bytes < FOOTER_BYTES)
        return det_fail(env, DET_STATUS_CORRUPT, "truncated: %zu bytes, the footer alone has %u",
                        bytes, FOOTER_BYTES);
    const uint8_t *footer = data + bytes - FOOTER_BYTES;
    const uint64_t magic =
        read_u32(footer + HANDLES_BYTES) | (uint64_t)read_u32(footer + HANDLES_BYTES + 4) << 32;
    if (magic != MAGIC)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "truncated, or not a checkpoint index: it ends in 0x%016llx",
                        (unsigned long long)magic);
    struct det_wire wire = det_wire_start(footer, HANDLES_BYTES);
    struct handle metaindex = {0}, index = {0};
    DET_TRY_RETURN(read_handle(env, &wire, &metaindex));
    DET_TRY_RETURN(read_handle(env, &wire, &index));
    const struct table table = {.data = data, .bytes = bytes - FOOTER_BYTES};
    struct walk walk = {.table = &table, .function = function, .argument = argument};
    const det_status status = walk_index_block(env, &walk, &index);
    det_text_free(env, &walk.last_key);
    return status;
}
