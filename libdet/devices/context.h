/* context.h: what a det_context computes on. */
#ifndef DET_DEVICES_CONTEXT_H
#define DET_DEVICES_CONTEXT_H

#include "base/context.h"
#include "devices/backend.h"

/* Every det_context is the first member of one. */
struct det_compute {
    struct det_context context;
    const struct det_ops *ops; /* for what stays on the CPU */
    const struct det_backend *backend;
    struct det_device *device;
    char device_text[256]; /* "cpu: avx512, 2 threads" */
};

static inline struct det_compute *det_context_compute(det_context *context)
{
    return (struct det_compute *)context;
}

#endif
