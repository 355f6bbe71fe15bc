/* guard.h: what a job reads is not replaced by what it writes, and no two of its outputs are one
 * file.
 *
 * A tool makes a guard, names its inputs and outputs before it reads or writes anything, and puts
 * it into its env. While it is there, a file that is read (det_file_open, det_file_read) becomes an
 * input too, and a writer refuses to replace an input. Files are told apart by what they are, not
 * by what they are called: links of both kinds, "." and ".." make no difference.
 *
 * Where the names of outputs come from the data, the job is rehearsed: while `rehearsing`, folders
 * are not made and writers only give their path to det_guard_output(), so that a conflict is known
 * before the first file is written.
 *
 * Belongs to one thread: envs of workers (det_env_fork) have none.
 */
#ifndef DET_SUPPORT_GUARD_H
#define DET_SUPPORT_GUARD_H

#include "support/id_map.h"

struct det_guard {
    struct det_guarded *files; /* [count] */
    size_t count, capacity;
    struct det_id_map places; /* from a file's identity to its place there */
    bool rehearsing;
};

void det_guard_free(struct det_env *env, struct det_guard *guard);

/* A file that is read; one that is not there is no input. INVALID_ARGUMENT: it was named as an
 * output, which would replace it. */
det_status det_guard_input(struct det_env *env, struct det_guard *guard, const char *path);
/* The inputs of another one, too. */
det_status det_guard_add_inputs(struct det_env *env, struct det_guard *guard,
                                const struct det_guard *other);
/* A file that will be written, by the option `what` ("--json"; NULL: by none). INVALID_ARGUMENT: it
 * is an input, or an output named before. Also what det_target_find() finds wrong with it, so that
 * a job need not come to its end to learn it. Devices may be written by several. */
det_status det_guard_output(struct det_env *env, struct det_guard *guard, const char *what,
                            const char *path);

/* --- for base/ --- */

det_status det_guard_reading(struct det_env *env, const char *path);
/* *rehearsed: the writer is not to write. */
det_status det_guard_writing(struct det_env *env, const char *path, bool *rehearsed);
bool det_guard_rehearses(const struct det_env *env);

#endif
