/* overlay.h: what is drawn into a frame: boxes, counts, time. */
#ifndef DET_TOOLS_DETECT_OVERLAY_H
#define DET_TOOLS_DETECT_OVERLAY_H

#include "det/model.h"
#include "detect/tracking.h"

struct overlay {
    det_context *context; /* of the thread that draws */
    const det_model *model;
    const struct tracking *tracking; /* its lines and zones are drawn */
    bool show_count;                 /* objects in the frame, by class */
    bool show_time;
};

det_status overlay_draw(struct det_env *env, const struct overlay *overlay, struct frame *frame);

#endif
