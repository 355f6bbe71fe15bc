/* weights.h: libdet's own file of named tensors, `.det`: weights for inference and training
 * checkpoints (the momentum, step and cursor of a run are tensors and meta data like any other).
 *
 *   byte 0   "DETWGHT\0"
 *        8   u32 version = 1
 *       12   u32 crc32c of bytes 16 .. 64 + header_bytes
 *       16   u64 header_bytes: length of the JSON text
 *       24   u64 file_bytes: of the whole file, so that a truncated one is known at once
 *       32   zeros
 *       64   JSON text, padded with zeros to a multiple of 64: there the data begins
 *            {"meta": {...},
 *             "tensors": [{"name": "a/kernel", "dtype": "f32", "shape": [3, 3, 8],
 *                          "offset": 0, "bytes": 288, "crc32c": 123}, ...]}
 *     data   each tensor at its offset from the data's beginning, a multiple of 64;
 *            zeros between
 *
 * Little endian; tensors rise in offset and do not overlap; `bytes` is the product of the shape
 * times the type's size. JSON numbers are doubles: keep integers above 2^53 (seeds) in a tensor or
 * a string.
 */
#ifndef DET_FORMATS_WEIGHTS_H
#define DET_FORMATS_WEIGHTS_H

#include "support/json.h"
#include "support/text.h"

#define DET_WEIGHTS_VERSION   1
#define DET_WEIGHTS_MOST_DIMS 8

/* X(name, text in the file, bytes) */
#define DET_WEIGHTS_TYPES(X) \
    X(F32, "f32", 4)         \
    X(F16, "f16", 2)         \
    X(BF16, "bf16", 2)       \
    X(I64, "i64", 8)         \
    X(U8, "u8", 1)           \
    X(I8, "i8", 1)

enum det_weights_type {
#define DET_WEIGHTS_ENUM(name, text, bytes) DET_WEIGHTS_##name,
    DET_WEIGHTS_TYPES(DET_WEIGHTS_ENUM)
#undef DET_WEIGHTS_ENUM
        DET_WEIGHTS_TYPE_COUNT
};

/* "f32", ... and bytes of one element. */
const char *det_weights_type_name(enum det_weights_type dtype);
size_t det_weights_type_bytes(enum det_weights_type dtype);

/* --- writing: create, add tensors, finish --- */

struct det_weights_writer;

/* Nothing is written before det_weights_writer_finish; `memory` (borrowed) NULL: to `path`, else
 * the file's bytes are appended there, and `path` is for messages. */
det_status det_weights_writer_create(struct det_env *env, const char *path, struct det_text *memory,
                                     struct det_weights_writer **writer);
/* Name and shape are copied; `data` must stay valid until the writer is finished. dims 0 is a
 * scalar. */
det_status det_weights_writer_add(struct det_env *env, struct det_weights_writer *writer,
                                  const char *name, enum det_weights_type dtype,
                                  const int64_t *shape, int32_t dims, const void *data);
/* The text of a JSON object, kept as it is; {} when never called. */
det_status det_weights_writer_set_meta(struct det_env *env, struct det_weights_writer *writer,
                                       const char *json);
/* Writes the file (the old one stands until the new one is whole) and destroys the writer, also
 * after a failure. */
det_status det_weights_writer_finish(struct det_env *env, struct det_weights_writer **writer);
/* Gives up. */
void det_weights_writer_destroy(struct det_env *env, struct det_weights_writer **writer);

/* --- reading --- */

struct det_weights;

struct det_weights_tensor {
    char *name;
    enum det_weights_type dtype;
    int32_t dims;
    int64_t shape[DET_WEIGHTS_MOST_DIMS];
    size_t count; /* elements */
    size_t bytes;
    const void *data; /* 64-byte aligned, as long as the file is open */
    uint32_t crc;
};

/* Reads the file and checks all of its structure, with `verify` each tensor's CRC too. Immutable
 * once open, whatever becomes of the file. *file is NULL after a failure. */
det_status det_weights_open(struct det_env *env, const char *path, bool verify,
                            struct det_weights **file);
/* The same of a file's bytes, which are copied; `name` stands for the path in messages. */
det_status det_weights_open_memory(struct det_env *env, const char *name, const void *data,
                                   size_t bytes, bool verify, struct det_weights **file);
void det_weights_close(struct det_env *env, struct det_weights **file);
/* CRC of one tensor; of every one. */
det_status det_weights_verify_tensor(struct det_env *env, const struct det_weights *file,
                                     const struct det_weights_tensor *tensor);
det_status det_weights_verify(struct det_env *env, const struct det_weights *file);

const char *det_weights_path(const struct det_weights *file);
size_t det_weights_count(const struct det_weights *file);
/* In the order in which they were added; NULL past the end. */
const struct det_weights_tensor *det_weights_tensor_at(const struct det_weights *file, size_t i);
/* NULL when there is none. */
const struct det_weights_tensor *det_weights_find(const struct det_weights *file, const char *name);
/* The tensor if it has this type and shape, else NOT_FOUND or MISMATCH naming file, tensor and
 * shapes. */
det_status det_weights_require(struct det_env *env, const struct det_weights *file,
                               const char *name, enum det_weights_type dtype, const int64_t *shape,
                               int32_t dims, const struct det_weights_tensor **tensor);

/* The values of an f32, f16 or bf16 tensor as floats, [tensor->count]; UNSUPPORTED for another
 * type. */
det_status det_weights_read_float(struct det_env *env, const struct det_weights *file,
                                  const struct det_weights_tensor *tensor, float *out);

/* The meta object; lives as long as the file is open. */
struct det_json det_weights_meta(const struct det_weights *file);

#endif
