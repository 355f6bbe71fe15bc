/* leveldb_table.h: the sorted table that TensorFlow keeps a checkpoint's index in
 * (tensorflow/core/lib/io/table; github.com/google/leveldb/blob/main/doc/table_format.md).
 *
 *   file   = data blocks | metaindex block | index block | footer of 48 bytes
 *   footer = handle(metaindex) | handle(index) | zeros up to byte 40 | u64 0xdb4775248b80fb57
 *   handle = varint offset, size
 *   block  = contents | u8 compression: 0 none, 1 Snappy
 *            | u32 masked crc32c(contents, compression)
 *   contents = entries | u32 restart points[n] | u32 n
 *   entry  = varint shared, varint unshared, varint value bytes
 *            | key's last `unshared` bytes | value
 *            (the key's first `shared` bytes are those of the entry before)
 *
 * The index block's values are the handles of the data blocks in order. The whole table is read
 * from start to end, each block's CRC is checked and keys must rise.
 */
#ifndef DET_FORMATS_LEVELDB_TABLE_H
#define DET_FORMATS_LEVELDB_TABLE_H

#include "support/text.h"

/* Key and value are the callee's for the call only. */
typedef det_status (*det_table_entry_fn)(struct det_env *env, void *argument, const char *key,
                                         size_t key_bytes, const uint8_t *value,
                                         size_t value_bytes);

/* Calls `function` with every entry until one fails. Messages lack the file's name: the caller
 * prefixes it. */
det_status det_table_walk(struct det_env *env, const uint8_t *data, size_t bytes,
                          det_table_entry_fn function, void *argument);

/* --- writing --- */

/* Begin with zeros and `file`; what is left is the writer's. */
struct det_table_writer {
    struct det_text *file; /* borrowed; empty at first: handles are places in it */
    struct det_text block, restarts, index, last_key;
    uint32_t entries, restart_count; /* of the block */
};

/* Keys must rise (INTERNAL). Blocks are not compressed, and end at TensorFlow's 256 KiB. */
det_status det_table_writer_add(struct det_env *env, struct det_table_writer *writer,
                                const char *key, size_t key_bytes, const void *value,
                                size_t value_bytes);
/* Metaindex, index and footer. */
det_status det_table_writer_finish(struct det_env *env, struct det_table_writer *writer);
void det_table_writer_free(struct det_env *env, struct det_table_writer *writer);

#endif
