/* det/results.h: detections as text for other programs: lines of JSON with what is known of a
 * video's frame, annotations for CVAT, labels for YOLO; and the label that is drawn.
 *
 * A document is its head, the text of each image or frame, its tail, which the program writes one
 * behind the other; what is not needed any more is forgotten, so memory stays flat however many
 * there are. Belongs to its context's thread.
 */
#ifndef DET_RESULTS_H
#define DET_RESULTS_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"
#include "det/detector.h"
#include "det/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_results det_results;

typedef enum det_results_format {
    /** The line of det_detections_to_json(), with its line end. Of a video's frame it begins
     * {"video":"a.mp4","frame":3,"time_s":0.12, and a detection that is tracked {"track_id":7, */
    DET_RESULTS_JSON = 0,
    /** CVAT for images 1.1 (docs.cvat.ai): an XML document, whose head has the model's classes as
     * labels; `number` is the image's id */
    DET_RESULTS_CVAT = 1,
    /** A line a detection, "class_index x_centre y_centre width height", as shares of the image's
     * sides: for a file an image, without head and tail */
    DET_RESULTS_YOLO = 2
} det_results_format;

/** An image, or a frame of a video: {.struct_size = sizeof frame, .name = "a.jpg", ...}. */
typedef struct det_results_frame {
    size_t struct_size; /**< sizeof(det_results_frame) */
    const char *name;   /**< of the image's file or the video; needed, but for YOLO */
    int64_t number;     /**< of the frame in its video, or of the image */
    double time_s;      /**< of a video's frame */
    int32_t width, height;
    int32_t of_video; /**< 1: a frame of a video */
    int32_t reserved; /**< 0 */
    /** [count] one for each detection, 0: it has none; NULL: none has */
    const int64_t *track_ids;
} det_results_frame;

/** `model` gives names of classes and must outlive the results; NULL: "class N". */
DET_NODISCARD DET_API det_status det_results_create(det_context *context, const det_model *model,
                                                    det_results **results);
/** Releases them and sets *results to NULL. NULL is allowed. */
DET_API void det_results_destroy(det_results **results);

/** What stands before the first image, "" where there is nothing. *text belongs to the results and
 * holds until their next call, as that of the next two. CVAT's must come before the others of it,
 * and after a tail begins another document. INVALID_ARGUMENT: a format that is none. */
DET_NODISCARD DET_API det_status det_results_head(det_results *results, det_results_format format,
                                                  const char **text);
/** The text of one image. A value that is not finite is NON_FINITE. */
DET_NODISCARD DET_API det_status det_results_text(det_results *results, det_results_format format,
                                                  const det_results_frame *frame,
                                                  const det_detection *detections, size_t count,
                                                  const char **text);
/** What stands behind the last one. */
DET_NODISCARD DET_API det_status det_results_tail(det_results *results, det_results_format format,
                                                  const char **text);

/** Writes "car 87%" into label [bytes], cut at a character's start where it does not fit, and
 * returns it; a class that the model (or NULL) does not know is "class N". Any thread. */
DET_API const char *det_detection_label(const det_model *model, const det_detection *detection,
                                        char *label, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
