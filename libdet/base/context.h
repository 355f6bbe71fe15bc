/* context.h: what is behind a det_context for everything that does not compute on a device.
 * devices/context.h makes one, and has the rest of it. */
#ifndef DET_BASE_CONTEXT_H
#define DET_BASE_CONTEXT_H

#include "support/guard.h"

struct det_pool;

struct det_context {
    struct det_env env;
    struct det_pool *pool;
    struct det_guard guard; /* the env's, once a file was named to the context */
};

/* NULL for a context that is NULL (base/arguments.h). */
static inline struct det_env *det_context_env(det_context *context)
{
    return context == NULL ? NULL : &context->env;
}

static inline struct det_pool *det_context_pool(det_context *context)
{
    return context->pool;
}

#endif
