/* event_records.h: the records of an event file, read up to where it is whole: one that is being
 * written is no error. */
#ifndef DET_MONITOR_EVENT_RECORDS_H
#define DET_MONITOR_EVENT_RECORDS_H

#include "support/io.h"

#define DET_EVENT_FILE_BEGIN "events.out.tfevents."

/* Field numbers of tensorflow/core/util/event.proto and framework/summary.proto that more than one
 * file needs. */
enum {
    DET_EVENT_WALL_TIME = 1,
    DET_EVENT_STEP = 2,
    DET_EVENT_FILE_VERSION = 3,
    DET_EVENT_SUMMARY = 5,
    DET_EVENT_SESSION_LOG = 7,
};
enum { DET_SESSION_LOG_STATUS = 1, DET_SESSION_START = 1 };

struct det_event_records {
    const struct det_file_bytes *contents;
    size_t at; /* of the next record */
    bool damaged;
};

/* The next record's payload; false at the end of what is whole, `damaged` then says whether more
 * follows. */
bool det_event_records_next(struct det_event_records *records, const uint8_t **data, size_t *bytes);

/* Paths of the event files of a folder, in the order that TensorBoard reads them in; the list is
 * empty before and after a failure. A folder that is not there has none. */
det_status det_event_files(struct det_env *env, const char *directory, struct det_path_list *list);

#endif
