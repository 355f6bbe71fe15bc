/* context.h: what is behind a det_context. */
#ifndef DET_BASE_CONTEXT_H
#define DET_BASE_CONTEXT_H

#include "base/env.h"

struct det_pool;
struct det_ops;
struct det_backend;
struct det_device;

struct det_context {
    struct det_env env;
    struct det_pool *pool;
    const struct det_ops *ops; /* for what stays on the CPU */
    const struct det_backend *backend;
    struct det_device *device;
    char device_text[256]; /* "cpu: avx512, 2 threads" */
};

/* NULL for a context that is NULL (base/arguments.h). */
struct det_env *det_context_env(det_context *context);
struct det_pool *det_context_pool(det_context *context);

#endif
