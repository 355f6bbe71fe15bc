/* det/status.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_STATUS_H
#define DET_STATUS_H
#include "det/export.h"
#ifdef __cplusplus
extern "C" {
#endif
#define DET_STATUS_TABLE(X)                    \
    X(OK, "ok")                                \
    X(INVALID_ARGUMENT, "invalid argument")    \
    X(OUT_OF_MEMORY, "out of memory")          \
    X(NOT_FOUND, "not found")                  \
    X(IO, "input/output error")                \
    X(NO_SPACE, "no space left on the device") \
    X(CORRUPT, "corrupt data")                 \
    X(PARSE, "syntax error")                   \
    X(UNSUPPORTED, "not supported")            \
    X(MISMATCH, "does not match")              \
    X(NON_FINITE, "non-finite value")          \
    X(CANCELLED, "cancelled")                  \
    X(FINISHED, "already finished")            \
    X(DEVICE, "device error")                  \
    X(INTERNAL, "internal error")              \
    X(IN_USE, "in use by another process")     \
    X(RANK_LOST, "another process was lost")
typedef enum det_status {
#define DET_STATUS_ENUM(name, text) DET_STATUS_##name,
    DET_STATUS_TABLE(DET_STATUS_ENUM)
#undef DET_STATUS_ENUM
        DET_STATUS_COUNT_
} det_status;
#define DET_OK          DET_STATUS_OK
#define DET_ERROR_BYTES 1024
DET_API const char *det_status_text(det_status status);
#ifdef __cplusplus
}
#endif
#endif
