/* source_record.h: annotations/source.json: which data a workspace was made of, so that the same
 * command goes on with it and another source is not taken for it. */
#ifndef DET_TOOLS_DATA_SOURCE_RECORD_H
#define DET_TOOLS_DATA_SOURCE_RECORD_H

#include "data/data.h"

#define SOURCE_RECORD_NAME "source.json"

/* Looks at all sources of the job and writes `path`. */
det_status source_record_write(struct data_job *job, const char *path);

/* INVALID_ARGUMENT, in words for people, when `path` tells of other sources, or of options that are
 * given now and were others then. */
det_status source_record_compare(struct data_job *job, const char *path);

#endif
