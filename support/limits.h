/* limits.h: how much a file may make the library do, and the account that is kept of it.
 *
 * A file of two megabytes can ask for a network that takes 35 GB. So while one file is worked on (a
 * model loaded, its detector planned, records inflated) a budget is open in the env: every
 * allocation is added to it, and one that goes beyond the limit fails with OUT_OF_MEMORY before it
 * is tried. Where a plan knows its sum beforehand it asks first. Pictures have limits of their own:
 * a small file can stand for a large one, or for thousands of passes over one.
 */
#ifndef DET_SUPPORT_LIMITS_H
#define DET_SUPPORT_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "det/status.h"

struct det_env;

/* A picture of 108 million pixels, the most that common cameras make, passes. */
#define DET_DEFAULT_IMAGE_PIXELS 120000000
/* Three bytes a pixel are counted in 32 bits here and there. */
#define DET_MOST_IMAGE_PIXELS (INT32_MAX / 3)
/* Encoders write 3 to 20. */
#define DET_DEFAULT_JPEG_SCANS 100

/* Set by det_context_settings. */
struct det_limits {
    uint64_t max_image_pixels; /* width x height of a picture in its file */
    /* of a progressive JPEG; scans x pixels stay within 20 x max_image_pixels besides */
    int32_t max_jpeg_scans;
    size_t max_file_memory_bytes; /* 0: what the system has available when it is asked for */
};

/* Of the env: the environment variable DET_MAX_FILE_MEMORY stands in for a memory limit that is not
 * set. INVALID_ARGUMENT: it is no number of bytes. */
det_status det_limits_complete(struct det_env *env);

struct det_budget {
    const char *what; /* for messages: the file; NULL: no budget is open */
    size_t taken;
    size_t most; /* 0: not looked up yet */
};

/* Opens a budget for `what` (borrowed) and returns the one before, for det_budget_close(). While
 * one is open already it stays: the outermost counts. */
struct det_budget det_budget_open(struct det_env *env, const char *what);
void det_budget_close(struct det_env *env, struct det_budget before);

/* Whether `bytes` more for `part` are within the budget, if one is open. OUT_OF_MEMORY says what
 * asks for how much, the limit and how it is set. */
det_status det_budget_ask(struct det_env *env, size_t bytes, const char *part);
/* The same, and counts them. */
det_status det_budget_take(struct det_env *env, size_t bytes, const char *part);
/* For what is released while the budget is open. */
void det_budget_return(struct det_env *env, size_t bytes);

#endif
