/* writer.h: how a file is written: by every tool and everything in the library, but for event
 * files, which grow while they are read (monitor/summary_writer.c).
 *
 * A regular file is replaced whole. The new one is made in the target's folder under a name that
 * nobody can foresee (".NAME.tmp-" and 16 hexadecimal digits, by O_EXCL), synced, and renamed over
 * the old one, then the folder is synced: a reader never sees half a file, a full disk never costs
 * the old one, and two writers of one path, threads of a process or processes of two machines on a
 * shared disk, cannot get into each other's way: the last one stands. Symbolic links are followed,
 * the file that they lead to is replaced. The new file has the old one's mode and, where the
 * process may give it, owner and group; one that was not there the mode that the umask leaves.
 * Other names of the old file (hard links) keep the old content: a copy made by links is a copy. A
 * file that the process may not write is an error, whatever the folder's rights. What a killed
 * process was writing stays behind under its temporary name, hidden from patterns and never taken
 * for anything else; it may be removed.
 *
 * A device, a FIFO and what a process has open (/dev/stdout, /dev/fd/N, /proc/self/fd/N) are
 * written into as the data comes, after each det_writer_flush() all of it. A reader that goes away
 * is an error (EPIPE), no signal.
 */
#ifndef DET_SUPPORT_WRITER_H
#define DET_SUPPORT_WRITER_H

#include <sys/types.h>

#include "support/env.h"
#include "support/text.h"

struct det_writer {
    int descriptor; /* -1 when closed */
    char *path;     /* as the caller gave it, for messages */
    char *target;   /* what is replaced; NULL: written into */
    char *temporary_path;
    uint8_t *buffer;
    size_t used;
    uint64_t offset;         /* bytes written so far, buffered ones included */
    bool rehearsed;          /* support/guard.h: nothing is written */
    struct det_text *memory; /* NULL, or what is appended to: there is no file */
};

/* Until det_writer_commit() the old file stands; det_writer_discard() (also after a failure)
 * removes the temporary one. */
det_status det_writer_open(struct det_env *env, const char *path, struct det_writer *writer);
/* Writes into what `descriptor` stands for; `name` is for messages. The descriptor stays the
 * caller's. */
det_status det_writer_open_descriptor(struct det_env *env, int descriptor, const char *name,
                                      struct det_writer *writer);
/* Appends to `text` (borrowed), whatever becomes of the writer. */
det_status det_writer_open_memory(struct det_env *env, struct det_text *text, const char *name,
                                  struct det_writer *writer);
/* True: what is written is seen at once and cannot be taken back. */
bool det_writer_streams(const struct det_writer *writer);
det_status det_writer_write(struct det_env *env, struct det_writer *writer, const void *data,
                            size_t bytes);
/* Hands on what is still buffered. */
det_status det_writer_flush(struct det_env *env, struct det_writer *writer);
det_status det_writer_commit(struct det_env *env, struct det_writer *writer);
void det_writer_discard(struct det_env *env, struct det_writer *writer);

/* All of it at once. */
det_status det_write_file(struct det_env *env, const char *path, const void *data, size_t bytes);

/* Removes what killed processes left in a folder of files whose names begin so. For a folder that
 * nobody else writes such files into. */
void det_writer_remove_leftovers(struct det_env *env, const char *directory, const char *beginning);

/* write(2) for a host that may leave signals as they are: a reader that is gone and the limit on a
 * file's size are an errno (EPIPE, EFBIG) and never a signal, an interrupted call is made again. */
ssize_t det_write_some(int descriptor, const void *data, size_t bytes);
/* Status and message for a failed write of NAME. */
det_status det_fail_write(struct det_env *env, int error_number, const char *name);

#endif
