/* tf_bundle.h: reads and writes TensorFlow checkpoints in the V2 format ("tensor bundle":
 * tensorflow/core/util/tensor_bundle, tensorflow/core/protobuf/tensor_bundle.proto).
 *
 *   PREFIX.index                 leveldb_table.h: key -> BundleEntryProto,
 *                                key "" -> BundleHeaderProto
 *   PREFIX.data-00000-of-00001   the tensors' bytes, little endian, C order, at the entries'
 *                                offsets
 *
 * Keys of variables end in DET_TF_VARIABLE_SUFFIX; DET_TF_OBJECT_GRAPH is a DT_STRING
 * (export/tf_object_graph.h). Partitioned variables are listed but cannot be read. The data files
 * are opened by the first read: an index alone can be listed.
 *
 * One string is: varint length | u32 masked crc32c(u32 length) | its bytes, and the entry's CRC is
 * that of (u32 length | u32 masked crc32c | bytes).
 */
#ifndef DET_FORMATS_TF_BUNDLE_H
#define DET_FORMATS_TF_BUNDLE_H

#include "support/text.h"

#define DET_TF_VARIABLE_SUFFIX "/.ATTRIBUTES/VARIABLE_VALUE"
#define DET_TF_OBJECT_GRAPH    "_CHECKPOINTABLE_OBJECT_GRAPH"
#define DET_TF_MOST_DIMS       8

/* tensorflow/core/framework/types.proto; other values occur and have det_tf_type_name "type N". */
enum det_tf_type {
    DET_TF_FLOAT = 1,
    DET_TF_DOUBLE = 2,
    DET_TF_INT32 = 3,
    DET_TF_UINT8 = 4,
    DET_TF_STRING = 7,
    DET_TF_INT64 = 9,
    DET_TF_BOOL = 10,
    DET_TF_BFLOAT16 = 14,
    DET_TF_HALF = 19,
};

struct det_tf_entry {
    char *key;
    uint32_t dtype; /* enum det_tf_type or another number */
    int32_t dims;
    int64_t shape[DET_TF_MOST_DIMS]; /* each >= 0 */
    size_t count;                    /* elements */
    bool sliced;                     /* a partitioned variable */
    uint32_t shard;
    uint64_t offset, bytes;
    uint32_t masked_crc;
};

struct det_tf_bundle;

/* *bundle is NULL after a failure. */
det_status det_tf_bundle_open(struct det_env *env, const char *prefix,
                              struct det_tf_bundle **bundle);
/* The same of a checkpoint in memory, index and one data file, which are borrowed; `name` stands
 * for the prefix in messages. */
det_status det_tf_bundle_open_memory(struct det_env *env, const char *name,
                                     const struct det_text *index, const struct det_text *data,
                                     struct det_tf_bundle **bundle);
void det_tf_bundle_close(struct det_env *env, struct det_tf_bundle **bundle);

const char *det_tf_bundle_prefix(const struct det_tf_bundle *bundle);
size_t det_tf_bundle_count(const struct det_tf_bundle *bundle);
/* Entry i in rising key order. */
const struct det_tf_entry *det_tf_bundle_entry(const struct det_tf_bundle *bundle, size_t i);
/* By the full key; NULL when there is none. */
const struct det_tf_entry *det_tf_bundle_find(const struct det_tf_bundle *bundle, const char *key);
/* The same with DET_TF_VARIABLE_SUFFIX added to `name`. */
const struct det_tf_entry *det_tf_bundle_find_variable(const struct det_tf_bundle *bundle,
                                                       const char *name);

/* Converts an entry's values (float, double, half, bfloat16) to float, CRC checked. `count` must be
 * the entry's. Opens data files: one caller at a time. */
det_status det_tf_bundle_read_float(struct det_env *env, struct det_tf_bundle *bundle,
                                    const struct det_tf_entry *entry, float *out, size_t count);
/* A single int64 or int32, such as the step. */
det_status det_tf_bundle_read_int64(struct det_env *env, struct det_tf_bundle *bundle,
                                    const struct det_tf_entry *entry, int64_t *value);

/* Appends an entry's values as they stand in the file, of a single string its bytes. */
det_status det_tf_bundle_read_bytes(struct det_env *env, struct det_tf_bundle *bundle,
                                    const struct det_tf_entry *entry, struct det_text *bytes);

/* The steps done as the API's training saves them, in the variable `step`; -1: there is none. */
det_status det_tf_bundle_step(struct det_env *env, struct det_tf_bundle *bundle, int64_t *step);

/* "float", "string", ... or "type 23" in the buffer. */
const char *det_tf_type_name(uint32_t dtype, char buffer[16]);

/* The prefix that a user's path means: PREFIX and PREFIX.index name themselves; a folder the
 * checkpoint that its file `checkpoint` calls the latest, or without that file the one with the
 * highest number N in ckpt-N.index. The caller frees *prefix with det_free. */
det_status det_tf_checkpoint_find(struct det_env *env, const char *path, char **prefix);

/* --- writing --- */

struct det_tf_tensor {
    char *key;
    uint32_t dtype; /* DET_TF_STRING: a single one */
    int32_t dims;
    int64_t shape[DET_TF_MOST_DIMS];
    const void *data; /* little endian; of a string its bytes */
    size_t bytes;
};

/* Appends to empty texts what PREFIX.index and PREFIX.data-00000-of-00001 hold. Sorts the tensors
 * by key; two of one key are INTERNAL. */
det_status det_tf_bundle_write(struct det_env *env, struct det_tf_tensor *tensors, size_t count,
                               struct det_text *index, struct det_text *data);

/* --- the file `checkpoint` --- */

/* Appends the file's text that calls `name` the latest checkpoint, and the only one. */
det_status det_checkpoint_state_text(struct det_env *env, const char *name, struct det_text *text);
/* What a file `checkpoint` calls the latest checkpoint, as it stands there; the caller frees *name.
 * PARSE when it names none. libdet's own folders have the same file. */
det_status det_checkpoint_state_read(struct det_env *env, const char *path, char **name);

#endif
