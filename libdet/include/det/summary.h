/* det/summary.h: event files for TensorBoard, as tf.summary of TensorFlow 2 writes them.
 *
 * A writer makes one file DIR/events.out.tfevents.SECONDS.HOST.PID.N.v2 and appends to it:
 * TensorBoard shows what was flushed while training goes on, and a crash costs at most what was not
 * yet flushed. A resumed training gets a file of its own (det_summary_writer_resume); TensorBoard
 * joins the files of a folder, by their names. Belongs to its context's thread.
 */
#ifndef DET_SUMMARY_H
#define DET_SUMMARY_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"
#include "det/detector.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_summary_writer det_summary_writer;

/** Makes the folder if need be, and the file. */
DET_NODISCARD DET_API det_status det_summary_writer_create(det_context *context,
                                                           const char *directory,
                                                           det_summary_writer **writer);
/** The same for a run that goes on: what the folder's files tell of first_step (>= 0) and later, as
 * a training does that was killed after its last checkpoint, is taken out, and a SessionLog START
 * tells a TensorBoard that has read it already. A file that another writer still writes is left as
 * it is. */
DET_NODISCARD DET_API det_status det_summary_writer_resume(det_context *context,
                                                           const char *directory,
                                                           int64_t first_step,
                                                           det_summary_writer **writer);
/** What there is in a folder of event files before one writes there: *in_use (may be NULL) is 1
 * when somebody writes a file of it now, *last_step (may be NULL: the files are not read then) the
 * highest step that is told of, -1: none. */
DET_NODISCARD DET_API det_status det_summary_run_state(det_context *context, const char *directory,
                                                       int *in_use, int64_t *last_step);
/** Flushes and closes; a failing flush is logged. NULL is allowed. */
DET_API void det_summary_writer_destroy(det_summary_writer **writer);

/** One point of the curve `tag` ("Loss/total_loss"). */
DET_NODISCARD DET_API det_status det_summary_scalar(det_summary_writer *writer, const char *tag,
                                                    int64_t step, double value);

/** Pictures side by side under `tag`; each is stored as a PNG, of one with a region that part. All
 *  of one size (the first's is announced). */
DET_NODISCARD DET_API det_status det_summary_images(det_summary_writer *writer, const char *tag,
                                                    int64_t step, const det_image_view *images,
                                                    size_t count);

/** A text in Markdown. */
DET_NODISCARD DET_API det_status det_summary_text(det_summary_writer *writer, const char *tag,
                                                  int64_t step, const char *text);

/** A precision-recall curve at `thresholds` (2 to 1,000,000) score thresholds i / (thresholds - 1).
 * Arrays [thresholds]: counts of true and false positives at or above the threshold and of missed
 * objects, precision and recall. There are no true negatives in detection: zero is written, as it
 * is for an array that is NULL. */
typedef struct det_pr_curve {
    size_t struct_size; /**< sizeof(det_pr_curve) */
    int32_t thresholds;
    const float *true_positives, *false_positives, *false_negatives, *precision, *recall;
} det_pr_curve;
DET_NODISCARD DET_API det_status det_summary_pr_curve(det_summary_writer *writer, const char *tag,
                                                      int64_t step, const det_pr_curve *curve);

/** Hands everything written so far to the operating system. Happens by itself whenever 64 KiB have
 * come together. */
DET_NODISCARD DET_API det_status det_summary_flush(det_summary_writer *writer);

/** Path of the file. */
DET_API const char *det_summary_writer_path(const det_summary_writer *writer);

#ifdef __cplusplus
}
#endif
#endif
