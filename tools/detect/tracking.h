/* tracking.h: --track, --count_line and --count_zone: ids for detections, and what passed where. */
#ifndef DET_TOOLS_DETECT_TRACKING_H
#define DET_TOOLS_DETECT_TRACKING_H

#include "common/options.h"
#include "det/tracker.h"
#include "detect/classes.h"
#include "detect/frame.h"
#include "support/text.h"

#define TRACKING_LOW_SCORE 0.1F

struct count_place {
    bool is_line;
    char name[24];      /* "line 1", "zone 2" */
    float (*points)[2]; /* as given: pixels, or shares when all are at most 1 */
    float (*shares)[2];
    size_t count;
    det_counter *counter; /* of the present video, or the images */
};

struct tracking {
    bool on;
    det_context *context; /* of the thread that tracks: the painter */
    const det_model *model;
    const struct class_filter *filter;
    struct count_place *places;
    size_t place_count, place_capacity;
    det_tracker *tracker;
    det_counter *everywhere; /* objects by class */
};

/* Lines and zones from the options: "x0,y0,x1,y1"; a zone of two points is a rectangle, of more a
 * polygon. Counting turns tracking on. */
det_status tracking_parse(struct det_env *env, struct tracking *tracking,
                          const struct option_list *lines, const struct option_list *zones);
/* A new video of that size: everything counts from 0. */
det_status tracking_begin_video(struct det_env *env, struct tracking *tracking, int32_t width,
                                int32_t height, double frame_rate);
/* All images, taken for the frames of one sequence in their order; points in pixels are of the
 * first one that can be read. */
void tracking_begin_images(struct tracking *tracking);
/* Whether there was a frame: not if no image could be read. */
bool tracking_begun(const struct tracking *tracking);
/* Replaces the frame's detections by its tracks. */
det_status tracking_frame(struct det_env *env, struct tracking *tracking, struct frame *frame);
/* Appends one line of JSON on what was counted in `source`. */
det_status tracking_json(struct det_env *env, const struct tracking *tracking, const char *source,
                         struct det_text *text);
void tracking_free(struct det_env *env, struct tracking *tracking);

#endif
