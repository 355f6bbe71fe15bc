#include "support/file_sum.h"

#include <errno.h>
#include <sys/stat.h>

#include "support/io.h"
#include "support/mem.h"

enum { PIECE_BYTES = 1 << 20 };

det_status det_file_sum_look(struct det_env *env, const char *path, struct det_file_sum *sum)
{
    struct stat info;
    *sum = (struct det_file_sum){0};
    if (stat(path, &info) != 0)
        return det_fail_errno(env, errno, "%s", path);
    sum->bytes = (uint64_t)info.st_size;
    sum->modified_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    return DET_OK;
}

det_status det_file_sum_add(struct det_env *env, const char *path, struct det_sha256 *sum)
{
    struct det_file file = {.descriptor = -1};
    uint8_t *piece = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc_raw(env, &piece, PIECE_BYTES, 1, "a part of a file"));
    DET_TRY(det_file_open(env, path, &file));
    for (uint64_t at = 0; at < file.bytes;) {
        const uint64_t left = file.bytes - at;
        const size_t bytes = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        DET_TRY(det_file_read_at(env, path, &file, at, piece, bytes));
        det_sha256_add(sum, piece, bytes);
        at += bytes;
    }
fail:
    if (file.descriptor >= 0)
        det_file_close(&file);
    det_free(env, &piece);
    return status;
}

det_status det_file_sum_take(struct det_env *env, const char *path, struct det_file_sum *sum)
{
    struct det_sha256 all;
    DET_TRY_RETURN(det_file_sum_look(env, path, sum));
    det_sha256_begin(&all);
    DET_TRY_RETURN(det_file_sum_add(env, path, &all));
    det_sha256_end(&all, sum->sha256);
    return DET_OK;
}
