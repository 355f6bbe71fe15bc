/* backend_library.h: a backend in a shared library of its own, det-NAME.so. It is linked with
 * copies of what it needs of libdet, as libdet has no state that would have to be one, and shows
 * one symbol. Structs of internal headers are handed over, so library and caller have to be of one
 * build (base/build.h). */
#ifndef DET_DEVICES_BACKEND_LIBRARY_H
#define DET_DEVICES_BACKEND_LIBRARY_H

#include "devices/backend.h"

#define DET_BACKEND_LIBRARY "det_backend_library"

/* What the symbol is. */
struct det_backend_library {
    const char *build; /* det_build of what it was linked with */
    const struct det_backend *backend;
};

/* The backend in the library `name` ("det-cuda.so"), from any thread. Looked for, until one is
 * found that can be loaded and is of this build:
 *
 *   1. in the folders of the environment's `variable`
 *   2. in libdet/ beside the file that holds this code, and in ../lib/libdet/: in build/ as when
 *      installed
 *   3. in PREFIX/lib/libdet/, as the build was told
 *   4. where the loader looks (LD_LIBRARY_PATH, ld.so.cache)
 *
 * It stays loaded as long as the process lives: CUDA's runtime in it keeps threads and handles.
 * DEVICE: what was searched, and why the first that was there would not do. */
det_status det_backend_library_open(struct det_env *env, const char *name, const char *variable,
                                    const struct det_backend **backend);

#endif
