/* det/version.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
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
DET_API int det_version(void);
DET_API int det_abi_version(void);
DET_API const char *det_version_string(void);
#ifdef __cplusplus
}
#endif
#endif
