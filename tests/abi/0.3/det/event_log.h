/* det/event_log.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_EVENT_LOG_H
#define DET_EVENT_LOG_H
#include "det/context.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_event_log det_event_log;
typedef enum det_event_kind {
    DET_EVENT_SCALAR = 0,
    DET_EVENT_IMAGES,
    DET_EVENT_TEXT,
    DET_EVENT_PR_CURVE
} det_event_kind;
typedef struct det_event_blob {
    const uint8_t *data;
    size_t bytes;
} det_event_blob;
typedef struct det_event {
    const char *tag;
    det_event_kind kind;
    int64_t step;
    double wall_time;
    const float *values;
    int32_t columns;
    const det_event_blob *blobs;
    size_t blob_count;
} det_event;
DET_NODISCARD DET_API det_status det_event_log_read(det_context *context, const char *directory,
                                                    det_event_log **log);
DET_API void det_event_log_destroy(det_event_log **log);
DET_API size_t det_event_log_count(const det_event_log *log);
DET_API const det_event *det_event_log_at(const det_event_log *log, size_t index);
DET_API size_t det_event_log_find(const det_event_log *log, const char *tag,
                                  const det_event **first);
#ifdef __cplusplus
}
#endif
#endif
