/* det/results.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_RESULTS_H
#define DET_RESULTS_H
#include "det/context.h"
#include "det/detector.h"
#include "det/model.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_results det_results;
typedef enum det_results_format {
    DET_RESULTS_JSON = 0,
    DET_RESULTS_CVAT = 1,
    DET_RESULTS_YOLO = 2
} det_results_format;
typedef struct det_results_frame {
    size_t struct_size;
    const char *name;
    int64_t number;
    double time_s;
    int32_t width, height;
    int32_t of_video;
    int32_t reserved;
    const int64_t *track_ids;
} det_results_frame;
DET_NODISCARD DET_API det_status det_results_create(det_context *context, const det_model *model,
                                                    det_results **results);
DET_API void det_results_destroy(det_results **results);
DET_NODISCARD DET_API det_status det_results_head(det_results *results, det_results_format format,
                                                  const char **text);
DET_NODISCARD DET_API det_status det_results_text(det_results *results, det_results_format format,
                                                  const det_results_frame *frame,
                                                  const det_detection *detections, size_t count,
                                                  const char **text);
DET_NODISCARD DET_API det_status det_results_tail(det_results *results, det_results_format format,
                                                  const char **text);
DET_API const char *det_detection_label(const det_model *model, const det_detection *detection,
                                        char *label, size_t bytes);
#ifdef __cplusplus
}
#endif
#endif
