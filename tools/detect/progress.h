/* progress.h: the line that tells how far it is, and the summary at the end. */
#ifndef DET_TOOLS_DETECT_PROGRESS_H
#define DET_TOOLS_DETECT_PROGRESS_H

#include "detect/pipeline.h"

struct progress {
    const struct pipeline_source *source;
    int64_t done, total; /* total 0: not known */
    double begin_s;
};

void progress_begin(struct progress *progress, const struct pipeline_source *source);
void progress_frame(struct progress *progress, const struct frame *frame);
void progress_end(struct progress *progress, struct tool *tool, int64_t dropped);
/* Frames a second, and what each stage took of each frame. */
void progress_summary(struct tool *tool, const struct pipeline_totals *totals, int64_t detections,
                      double seconds);

#endif
