/* pipeline.h: frames through threads:
 *
 *   reader -> queue -> workers (RGB, detector) -> back in order -> painter (tracks, counts, boxes)
 *   -> queue -> caller (files)
 *
 * All frames are taken at the start and go round, so memory stays flat. Each worker has a context
 * and a detector of its own; one worker uses all threads of the tool's context, several have one
 * thread each, which detects more frames in a second and the same objects. So while it runs the
 * tool's context is a worker's: the reader has another, and so must have the painter and the
 * caller (tool_context()). */
#ifndef DET_TOOLS_DETECT_PIPELINE_H
#define DET_TOOLS_DETECT_PIPELINE_H

#include "common/tool.h"
#include "detect/frame.h"
#include "support/io.h"

struct pipeline_settings {
    struct tool *tool;
    const det_model *model;
    det_detector_settings detector;
    int32_t workers;
};

/* One run: either images or a video. */
struct pipeline_source {
    const struct det_path_list *images;
    char *const *image_names;          /* one each, for outputs */
    int32_t least_height, least_width; /* of images after decoding; INT32_MAX: as they are */
    bool as_stored;                    /* images are not turned upright */
    struct video_reader *reader;
    const char *video, *video_name;
    bool live; /* the newest frame wins; a file is read at its own speed */
    /* In the painter's thread, frames in order. A failure ends the run. */
    det_status (*paint)(void *user, struct det_env *env, struct frame *frame);
    /* In the caller's thread, frames in order, also those that have failed (frame->status). */
    det_status (*output)(void *user, struct det_env *env, struct frame *frame);
    bool (*stop)(void *user); /* asked before each frame is read */
    void *user;
};

struct pipeline_totals {
    int64_t frames, failed, dropped;
    double ms[STAGE_COUNT]; /* sums */
};

struct pipeline;

det_status pipeline_create(struct det_env *env, const struct pipeline_settings *settings,
                           struct pipeline **pipeline);
/* Adds to *totals. Frames that were read are written before it returns, also after a stop. */
det_status pipeline_run(struct det_env *env, struct pipeline *pipeline,
                        const struct pipeline_source *source, struct pipeline_totals *totals);
void pipeline_destroy(struct det_env *env, struct pipeline **pipeline);

#endif
