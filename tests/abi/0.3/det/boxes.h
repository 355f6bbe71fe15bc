/* det/boxes.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_BOXES_H
#define DET_BOXES_H
#include "det/context.h"
#include "det/detector.h"
#include "det/model.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
DET_NODISCARD DET_API det_status det_model_anchors(det_context *context, const det_model *model,
                                                   float *anchors);
DET_NODISCARD DET_API det_status det_boxes_encode(det_context *context, const float *scales,
                                                  const float *boxes, const float *anchors,
                                                  size_t count, float *encodings);
DET_NODISCARD DET_API det_status det_boxes_decode(det_context *context, const float *scales,
                                                  const float *encodings, const float *anchors,
                                                  size_t count, float *boxes);
DET_NODISCARD DET_API det_status det_boxes_iou(det_context *context, const float *first,
                                               size_t first_count, const float *second,
                                               size_t second_count, float *iou);
DET_NODISCARD DET_API det_status det_boxes_suppress(det_context *context, const float *boxes,
                                                    const float *scores, size_t count,
                                                    float score_threshold, float iou_threshold,
                                                    int32_t limit, int32_t *kept,
                                                    size_t *kept_count);
typedef struct det_nms_settings {
    size_t struct_size;
    float score_threshold;
    float iou_threshold;
    int32_t max_per_class;
    int32_t max_detections;
    float scales[4];
} det_nms_settings;
DET_API void det_nms_settings_init(det_nms_settings *settings, size_t struct_size);
static inline void det_nms_settings_default(det_nms_settings *settings)
{
    det_nms_settings_init(settings, sizeof *settings);
}
DET_NODISCARD DET_API det_status det_model_nms_settings(det_context *context,
                                                        const det_model *model,
                                                        det_nms_settings *settings);
DET_NODISCARD DET_API det_status det_boxes_postprocess(det_context *context,
                                                       const det_nms_settings *settings,
                                                       const float *logits, const float *encodings,
                                                       const float *anchors, int32_t anchor_count,
                                                       int32_t class_count, const float *window,
                                                       det_detection *detections, size_t *count);
#ifdef __cplusplus
}
#endif
#endif
