#include "support/env.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "support/utf8.h"

/* A training step reads and writes hundreds of megabytes a few times each: with pages of 4 KB the
 * processor spends some percents of its time on finding them. */
#define HUGE_PAGE ((size_t)2 << 20)

static void *default_allocate(void *user, size_t bytes, size_t alignment)
{
    (void)user;
    const bool huge = bytes >= 2 * HUGE_PAGE;
    const size_t aligned = huge && alignment < HUGE_PAGE ? HUGE_PAGE : alignment;
    void *memory = NULL;
    if (posix_memalign(&memory, aligned, bytes ? bytes : alignment) != 0)
        return NULL;
#ifdef MADV_HUGEPAGE
    /* A wish: a kernel without it says no, which changes nothing. */
    if (huge)
        (void)madvise(memory, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return memory;
}

static void default_release(void *user, void *memory)
{
    (void)user;
    free(memory);
}

void det_env_default(struct det_env *env)
{
    *env = (struct det_env){
        .allocator = {.struct_size = sizeof(det_allocator),
                      .allocate = default_allocate,
                      .release = default_release},
        .logger = {.struct_size = sizeof(det_logger)},
        .limits = {.max_image_pixels = DET_DEFAULT_IMAGE_PIXELS,
                   .max_jpeg_scans = DET_DEFAULT_JPEG_SCANS},
    };
}

void det_env_fork(struct det_env *env, const struct det_env *from)
{
    *env = (struct det_env){
        .allocator = from->allocator, .logger = from->logger, .limits = from->limits};
}

void det_env_adopt_error(struct det_env *env, const struct det_env *from)
{
    memcpy(env->error, from->error, sizeof env->error);
}

const char *det_status_text(det_status status)
{
    static const char *const texts[] = {
#define DET_STATUS_TEXT(name, text) text,
        DET_STATUS_TABLE(DET_STATUS_TEXT)
#undef DET_STATUS_TEXT
    };
    const int index = (int)status;
    return index >= 0 && index < (int)DET_STATUS_COUNT_ ? texts[index] : "unknown status";
}

/* Longer than what is kept of it, so that it is not cut within a character. */
enum { RAW_BYTES = 4 * DET_ERROR_BYTES };

det_status det_fail(struct det_env *env, det_status status, const char *format, ...)
{
    /* A fresh buffer, so that the old message may be one of the arguments. */
    char message[RAW_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    det_utf8_shown(env->error, sizeof env->error, message, false);
    return status;
}

det_status det_fail_prefix(struct det_env *env, det_status status, const char *format, ...)
{
    char prefix[DET_ERROR_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(prefix, sizeof prefix, format, arguments);
    va_end(arguments);
    return det_fail(env, status, "%s: %s", prefix, env->error);
}

det_status det_fail_errno(struct det_env *env, int error_number, const char *format, ...)
{
    char what[DET_ERROR_BYTES];
    char detail[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    if (strerror_r(error_number, detail, sizeof detail) != 0)
        snprintf(detail, sizeof detail, "error %d", error_number);
    det_status status = DET_STATUS_IO;
    if (error_number == ENOSPC || error_number == EDQUOT)
        status = DET_STATUS_NO_SPACE;
    else if (error_number == ENOENT || error_number == ENOTDIR)
        status = DET_STATUS_NOT_FOUND;
    else if (error_number == ENOMEM)
        status = DET_STATUS_OUT_OF_MEMORY;
    return det_fail(env, status, "%s: %s", what, detail);
}

void det_forget_error(struct det_env *env)
{
    env->error[0] = '\0';
}

det_status det_forgive(struct det_env *env, det_status status, det_status handled)
{
    if (status != handled)
        return status;
    det_forget_error(env);
    return DET_OK;
}

void det_log(const struct det_env *env, det_log_level level, const char *format, ...)
{
    if (env->logger.write == NULL)
        return;
    char message[RAW_BYTES], shown[DET_ERROR_BYTES * 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    det_utf8_shown(shown, sizeof shown, message, false);
    env->logger.write(env->logger.user, level, shown);
}
