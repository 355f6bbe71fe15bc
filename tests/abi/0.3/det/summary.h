/* det/summary.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_SUMMARY_H
#define DET_SUMMARY_H
#include "det/context.h"
#include "det/detector.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_summary_writer det_summary_writer;
DET_NODISCARD DET_API det_status det_summary_writer_create(det_context *context,
                                                           const char *directory,
                                                           det_summary_writer **writer);
DET_NODISCARD DET_API det_status det_summary_writer_resume(det_context *context,
                                                           const char *directory,
                                                           int64_t first_step,
                                                           det_summary_writer **writer);
DET_NODISCARD DET_API det_status det_summary_run_state(det_context *context, const char *directory,
                                                       int *in_use, int64_t *last_step);
DET_API void det_summary_writer_destroy(det_summary_writer **writer);
DET_NODISCARD DET_API det_status det_summary_scalar(det_summary_writer *writer, const char *tag,
                                                    int64_t step, double value);
DET_NODISCARD DET_API det_status det_summary_images(det_summary_writer *writer, const char *tag,
                                                    int64_t step, const det_image_view *images,
                                                    size_t count);
DET_NODISCARD DET_API det_status det_summary_text(det_summary_writer *writer, const char *tag,
                                                  int64_t step, const char *text);
typedef struct det_pr_curve {
    size_t struct_size;
    int32_t thresholds;
    const float *true_positives, *false_positives, *false_negatives, *precision, *recall;
} det_pr_curve;
DET_NODISCARD DET_API det_status det_summary_pr_curve(det_summary_writer *writer, const char *tag,
                                                      int64_t step, const det_pr_curve *curve);
DET_NODISCARD DET_API det_status det_summary_flush(det_summary_writer *writer);
DET_API const char *det_summary_writer_path(const det_summary_writer *writer);
#ifdef __cplusplus
}
#endif
#endif
