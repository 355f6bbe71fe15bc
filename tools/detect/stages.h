/* stages.h: what the reader and the workers do with one frame. */
#ifndef DET_TOOLS_DETECT_STAGES_H
#define DET_TOOLS_DETECT_STAGES_H

#include "detect/pipeline.h"

struct reading {
    const struct pipeline_source *source;
    det_context *context; /* of the reader's thread */
    size_t next;          /* image */
    double begin_s;
};

/* The next frame, or *end. A bad image is no failure of the run: frame->status tells. */
det_status stage_read(struct det_env *env, struct reading *reading, struct frame *frame, bool *end);
/* Room for `count` detections. */
det_status frame_reserve(struct det_env *env, struct frame *frame, size_t count);
void frame_free(struct det_env *env, struct frame *frame);

/* RGB where it is not yet, and what is found in it. */
det_status stage_detect(struct det_env *env, const struct pipeline_source *source,
                        struct video_converter **converter, det_context *context,
                        det_detector *detector, struct frame *frame);

#endif
