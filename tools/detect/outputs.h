/* outputs.h: detections as files: JSON lines, CSV, COCO JSON, CVAT XML, YOLO texts. Each frame is
 * written as it comes, so memory stays flat; what was written is kept when the run ends early.
 * Standard output, FIFOs and devices get each frame at once; a regular file is there, whole, when
 * the run has ended (support/writer.h). */
#ifndef DET_TOOLS_DETECT_OUTPUTS_H
#define DET_TOOLS_DETECT_OUTPUTS_H

#include "common/tool.h"
#include "detect/frame.h"

struct output_paths {
    const char *json, *csv, *coco, *coco_results, *cvat; /* files; "-": standard output */
    const char *yolo;                                    /* a folder */
};

struct outputs;

/* several: frames of more than one video, or images too, so that a frame's name needs its video's.
 * `context`: of the thread that calls, until the close. */
det_status outputs_open(struct det_env *env, det_context *context, const det_model *model,
                        const struct output_paths *paths, bool several, struct outputs **outputs);
det_status outputs_frame(struct det_env *env, struct outputs *outputs, const struct frame *frame);
/* Ends and keeps all files; the first failure is returned. */
det_status outputs_close(struct det_env *env, struct outputs **outputs);

#endif
