/* file_sum.h: which file it was that something was made of: size, time and SHA-256. */
#ifndef DET_SUPPORT_FILE_SUM_H
#define DET_SUPPORT_FILE_SUM_H

#include "support/env.h"
#include "support/sha256.h"

struct det_file_sum {
    uint64_t bytes;
    int64_t modified_ns; /* since 1970 */
    char sha256[65];     /* "": not taken */
};

/* Size and time alone, of a regular file. */
det_status det_file_sum_look(struct det_env *env, const char *path, struct det_file_sum *sum);
/* All of it; reads the file once. */
det_status det_file_sum_take(struct det_env *env, const char *path, struct det_file_sum *sum);
/* Adds the content of a file to a sum over several. */
det_status det_file_sum_add(struct det_env *env, const char *path, struct det_sha256 *sum);

#endif
