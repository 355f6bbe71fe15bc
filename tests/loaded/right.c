/* A backend called cuda that computes as the CPU does, by this library's own copy of libdet. */
#include <stdio.h>

#include "base/build.h"
#include "det/export.h"
#include "devices/backend_library.h"

static struct det_backend backend;

static void describe(const struct det_device *device, char *text, size_t bytes)
{
    (void)device;
    snprintf(text, bytes, "cuda:0: pretended");
}

__attribute__((constructor)) static void fill(void)
{
    backend = *det_backend_cpu();
    backend.name = "cuda";
    backend.device_describe = describe;
}

DET_API extern const struct det_backend_library det_backend_library;
const struct det_backend_library det_backend_library = {.build = det_build, .backend = &backend};
