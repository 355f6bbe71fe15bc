/* results.h: detections as text. */
#ifndef DET_DETECT_RESULTS_H
#define DET_DETECT_RESULTS_H

#include "det/detector.h"
#include "support/text.h"

/* Appends the JSON object of one image, without a newline; see det_detections_to_json(). */
det_status det_results_json(struct det_env *env, struct det_text *text, const det_model *model,
                            const char *image, int32_t width, int32_t height,
                            const det_detection *detections, size_t count);

/* A frame of a video, or an image, with what is known about it. */
struct det_results_frame {
    const char *name; /* of the image file or the video */
    bool of_video;    /* frame and time are written, "video" instead of "image" */
    int64_t frame;
    double time_s;
    int32_t width, height;
    const int64_t *track_ids; /* of each detection, 0: none is written; NULL: none at all */
};

/* The same with more:
 * {"video":"a.mp4","frame":3,"time_s":0.12,"width":...,"detections":[{"track_id":7,...}]} */
det_status det_results_frame_json(struct det_env *env, struct det_text *text,
                                  const det_model *model, const struct det_results_frame *frame,
                                  const det_detection *detections, size_t count);

/* "car 87%"; a class that the model (or NULL) does not know is "class N". Cut to the buffer at the
 * start of a UTF-8 character. */
void det_results_label(char *buffer, size_t bytes, const det_model *model,
                       const det_detection *detection);

#endif
