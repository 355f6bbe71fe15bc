/* det/event_log.h: reads the event files of a folder, libdet's and TensorFlow's.
 *
 * Of a training that was interrupted the same step may stand in two files: the later file's value
 * is taken. A file that ends in the middle of a record (it is being written, or its writer was
 * killed) is read up to there.
 */
#ifndef DET_EVENT_LOG_H
#define DET_EVENT_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_event_log det_event_log;

typedef enum det_event_kind {
    DET_EVENT_SCALAR = 0, /**< values [1] */
    DET_EVENT_IMAGES,     /**< blobs: PNG files */
    DET_EVENT_TEXT,       /**< blobs: the text, no NUL */
    /** values [6][columns]: see det_pr_curve; true positives, false positives, true negatives,
     * false negatives, precision, recall */
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
    double wall_time; /**< seconds since 1970 */
    const float *values;
    int32_t columns;
    const det_event_blob *blobs;
    size_t blob_count;
} det_event;

/** All events.out.tfevents.* files of a folder. NOT_FOUND when there is none; a damaged record is a
 * warning, and the end of its file. Everything belongs to the log. */
DET_NODISCARD DET_API det_status det_event_log_read(det_context *context, const char *directory,
                                                    det_event_log **log);
DET_API void det_event_log_destroy(det_event_log **log);

/** Sorted by tag (bytewise), then step. */
DET_API size_t det_event_log_count(const det_event_log *log);
DET_API const det_event *det_event_log_at(const det_event_log *log, size_t index);

/** The events of one tag: *first and how many; 0 when there is none. They stand one behind the
 * other. */
DET_API size_t det_event_log_find(const det_event_log *log, const char *tag,
                                  const det_event **first);

#ifdef __cplusplus
}
#endif
#endif
