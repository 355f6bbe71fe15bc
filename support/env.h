/* env.h: what every internal function gets instead of globals: allocator, logger and the place of
 * the error message.
 *
 * A det_context starts with one; each worker thread that can fail has its own, so no lock is
 * needed, and hands its message over with det_env_adopt_error().
 */
#ifndef DET_SUPPORT_ENV_H
#define DET_SUPPORT_ENV_H

#if __SIZEOF_POINTER__ != 8 || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "libdet is for 64-bit little-endian machines: its files are used as they lie in memory"
#endif

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "det/context.h"
#include "det/status.h"
#include "support/limits.h"

struct det_guard;

struct det_env {
    det_allocator allocator;
    det_logger logger;
    struct det_limits limits;
    struct det_budget budget;
    char error[DET_ERROR_BYTES];
    struct det_guard *guard; /* support/guard.h; NULL: nothing is guarded */
};

#define DET_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))

/* An env with the C library's allocator, no logger and the default limits. */
void det_env_default(struct det_env *env);

/* A worker's env: same allocator, logger and limits as `from`, an error buffer of its own, no
 * guard. */
void det_env_fork(struct det_env *env, const struct det_env *from);
void det_env_adopt_error(struct det_env *env, const struct det_env *from);

/* Records the message (truncated at DET_ERROR_BYTES) and returns `status`, so that callers can
 * `return det_fail(env, DET_STATUS_CORRUPT, "%s: ...", path)`. A message is one line that is fit to
 * be shown: what a name in it holds of control characters comes out escaped (support/utf8.h); that
 * of a log line too. */
det_status det_fail(struct det_env *env, det_status status, const char *format, ...)
    DET_PRINTF(3, 4);

/* Puts "prefix: " before the present message, so that outer layers add file or record. Returns
 * `status`. */
det_status det_fail_prefix(struct det_env *env, det_status status, const char *format, ...)
    DET_PRINTF(3, 4);

/* Status for the C library's errno (ENOSPC and EDQUOT -> NO_SPACE, ENOENT -> NOT_FOUND, ENOMEM,
 * else IO) with "what: strerror" as message. */
det_status det_fail_errno(struct det_env *env, int error_number, const char *format, ...)
    DET_PRINTF(3, 4);

/* For a failure that was handled: a call that succeeds must not leave its message for
 * det_context_error(). */
void det_forget_error(struct det_env *env);
/* DET_OK instead of the status `handled`, whose message is forgotten; any other as it is. */
det_status det_forgive(struct det_env *env, det_status status, det_status handled);

void det_log(const struct det_env *env, det_log_level level, const char *format, ...)
    DET_PRINTF(3, 4);

/* For functions with `det_status status` and one `fail:` label that releases what was taken. */
#define DET_TRY(expression)    \
    do {                       \
        status = (expression); \
        if (status != DET_OK)  \
            goto fail;         \
    } while (0)

/* For functions that own nothing yet. */
#define DET_TRY_RETURN(expression)                   \
    do {                                             \
        const det_status try_status_ = (expression); \
        if (try_status_ != DET_OK)                   \
            return try_status_;                      \
    } while (0)

#endif
