/* det/version.h: the version of this header and of the library that was linked. */
#ifndef DET_VERSION_H
#define DET_VERSION_H

#include "det/export.h"

#define DET_VERSION_MAJOR  0
#define DET_VERSION_MINOR  1
#define DET_VERSION_PATCH  0
#define DET_VERSION_STRING "0.1.0"
#define DET_VERSION        ((DET_VERSION_MAJOR << 16) | (DET_VERSION_MINOR << 8) | DET_VERSION_PATCH)

#ifdef __cplusplus
extern "C" {
#endif

/** DET_VERSION of the linked library; differs from the macro when header and library do not belong together. */
DET_API int det_version(void);

/** Static text such as "0.1.0". */
DET_API const char *det_version_string(void);

#ifdef __cplusplus
}
#endif
#endif
