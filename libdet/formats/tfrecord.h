/* tfrecord.h: TFRecord files: what tf.io.TFRecordWriter writes.
 *
 *   one record:  u64 length | u32 masked crc32c(length) | length bytes | u32 masked crc32c(bytes)
 *                little endian
 *
 * A file whose first bytes are a gzip or zlib header is inflated into memory; of a plain one each
 * record is read when it is asked for. Offsets and data CRCs are found once when the file is opened
 * (each length's CRC is checked then), a record's data is compared with its CRC whenever it is
 * read: a file that is cut off or written to while it is in use, for hours in a training, is an
 * error and nothing else. One that is replaced by renaming stays what it was.
 */
#ifndef DET_FORMATS_TFRECORD_H
#define DET_FORMATS_TFRECORD_H

#include "support/env.h"
#include "support/io.h"

/* All records of the files that a list of paths, globs ("a/x-*.tfrecord") and shard patterns
 * ("x-?????-of-00010", "x@10") names, in sorted file order. Immutable once open: det_record_set_get
 * may be called by several threads. */
struct det_record_set {
    struct det_record_file *files;
    size_t file_count;
    size_t file_capacity;
    size_t record_count;
};

det_status det_record_set_open(struct det_env *env, const char *const *patterns,
                               size_t pattern_count, struct det_record_set *set);
/* One file, which is opened anew for each record: a data set may have more of them than a process
 * may have open. `lent`: its bytes in memory, which must outlive the set, NULL: on disk. Where its
 * framing is damaged, *damage says so (with the message) and the set holds the records before;
 * without any it is a failure. */
det_status det_record_set_open_file(struct det_env *env, const char *path,
                                    const struct det_file_bytes *lent, struct det_record_set *set,
                                    det_status *damage);
void det_record_set_close(struct det_env *env, struct det_record_set *set);

/* The files that one pattern names, added to a list. No match, or a missing shard, is NOT_FOUND. */
det_status det_record_paths(struct det_env *env, const char *pattern, struct det_path_list *list);

/* The bytes of a record, in memory that the next one is read into again. Start with zeros. */
struct det_record {
    const uint8_t *data; /* in `own`, or in the set where a file was compressed, or lent */
    size_t bytes;
    uint8_t *own;
    size_t room;
};
void det_record_free(struct det_env *env, struct det_record *record);

/* Record `index` (0..record_count-1), CRC checked; no bytes after a failure. */
det_status det_record_set_get(struct det_env *env, const struct det_record_set *set, size_t index,
                              struct det_record *record);
/* The same for a record by its place, which stays valid wherever the set's struct is moved, until
 * it is closed. */
struct det_record_place {
    const struct det_record_file *file;
    size_t number; /* in the file */
};
struct det_record_place det_record_set_place(const struct det_record_set *set, size_t index);
det_status det_record_read(struct det_env *env, struct det_record_place place,
                           struct det_record *record);

/* "path: record 12" for messages. Returns `buffer`. */
const char *det_record_set_name(const struct det_record_set *set, size_t index, char buffer[512]);
bool det_record_set_is_compressed(const struct det_record_set *set, size_t file);

/* What stands before and after a record's bytes. */
void det_tfrecord_frame(const void *data, size_t bytes, uint8_t head[12], uint8_t tail[4]);

/* Appends one record to an open writer (support/io.h). */
det_status det_tfrecord_write(struct det_env *env, struct det_writer *writer, const void *data,
                              size_t bytes);

#endif
