/* det/version.h: the version of this header and of the library that was linked.
 *
 * The ABI has a number of its own, that of the shared library's name (libdet.so.1): it changes when
 * programs that were built before must be compiled anew. Until then an older program runs with a
 * newer library; docs/abi.md has the rules. */
#ifndef DET_VERSION_H
#define DET_VERSION_H

#include "det/export.h"

#define DET_VERSION_MAJOR  0
#define DET_VERSION_MINOR  3
#define DET_VERSION_PATCH  0
#define DET_VERSION_STRING "0.3.0"
#define DET_VERSION        (DET_VERSION_MAJOR << 16 | DET_VERSION_MINOR << 8 | DET_VERSION_PATCH)
#define DET_ABI_VERSION    1

#ifdef __cplusplus
extern "C" {
#endif

/** DET_VERSION of the library that runs: at least the macro's where what the macro's version
 * brought is used. */
DET_API int det_version(void);

/** DET_ABI_VERSION of the library that runs. det_context_create() says MISMATCH where it is not the
 * macro's. */
DET_API int det_abi_version(void);

/** Static text such as "0.3.0". */
DET_API const char *det_version_string(void);

#ifdef __cplusplus
}
#endif
#endif
