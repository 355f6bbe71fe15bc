/* limits.h: how much a file may make the library do, and the account that is kept of it.
 *
 * A file of two megabytes can ask for a network that takes 35 GB. So while one file is worked on (a model loaded, its
 * detector planned, records inflated) a budget is open in the env: every allocation is added to it, and one that goes
 * beyond the limit fails with OUT_OF_MEMORY before it is tried. Where a plan knows its sum beforehand it asks first.
 */
#ifndef DET_BASE_LIMITS_H
#define DET_BASE_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

#include "det/status.h"

struct det_env;

/* Settings of the context; zero: the default of each. */
struct det_limits {
    size_t max_file_memory_bytes; /* 0: what the system has available when it is asked for */
};

struct det_budget {
    const char *what; /* for messages: the file; NULL: no budget is open */
    size_t taken;
    size_t most; /* 0: not looked up yet */
};

/* Opens a budget for `what` (borrowed) and returns the one before, for det_budget_close(). While one is open already it
 * stays: the outermost counts. */
struct det_budget det_budget_open(struct det_env *env, const char *what);
void det_budget_close(struct det_env *env, struct det_budget before);

/* Whether `bytes` more for `part` are within the budget, if one is open. OUT_OF_MEMORY says what asks for how much, the
 * limit and how it is set. */
det_status det_budget_ask(struct det_env *env, size_t bytes, const char *part);
/* The same, and counts them. */
det_status det_budget_take(struct det_env *env, size_t bytes, const char *part);
/* For what is released while the budget is open. */
void det_budget_return(struct det_env *env, size_t bytes);

#endif
