/* backend_library.h: a backend in a shared library of its own (base/own_library.h), det-NAME.so. */
#ifndef DET_DEVICES_BACKEND_LIBRARY_H
#define DET_DEVICES_BACKEND_LIBRARY_H

#include "devices/backend.h"

#define DET_BACKEND_LIBRARY "det_backend_library"

/* What the symbol is. */
struct det_backend_library {
    const char *build; /* det_build of what it was linked with */
    const struct det_backend *backend;
};

/* The backend in the library `name` ("det-cuda.so"), `variable` and errors as
 * det_own_library_open() has them. */
det_status det_backend_library_open(struct det_env *env, const char *name, const char *variable,
                                    const struct det_backend **backend);

#endif
