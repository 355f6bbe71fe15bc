/* own_library.h: a part of libdet in a shared library of its own ("det-cuda.so"), which is loaded
 * when it is needed. It is linked with copies of what it needs of libdet, as libdet has no state
 * that would have to be one, and shows one symbol. Structs of internal headers are handed over, so
 * library and caller have to be of one build (base/build.h). */
#ifndef DET_BASE_OWN_LIBRARY_H
#define DET_BASE_OWN_LIBRARY_H

#include "support/env.h"

struct det_own_library {
    const char *name;     /* of its file */
    const char *variable; /* of the environment, with folders to look in first */
    const char *symbol;   /* of a struct whose first member is its det_build */
    const char *kind;     /* for messages: "backend" */
};

/* What the symbol stands for, from any thread. Looked for, until one is found that can be loaded
 * and is of this build:
 *
 *   1. in the folders of the environment's `variable`
 *   2. in libdet/ beside the file that holds this code, and in ../lib/libdet/: in build/ as when
 *      installed
 *   3. in PREFIX/lib/libdet/, as the build was told
 *   4. where the loader looks (LD_LIBRARY_PATH, ld.so.cache)
 *
 * It stays loaded as long as the process lives: what it is linked with (CUDA's runtime, MPI) keeps
 * threads and handles. DEVICE: what was searched, and why the first that was there would not do. */
det_status det_own_library_open(struct det_env *env, const struct det_own_library *wanted,
                                const void **content);

#endif
