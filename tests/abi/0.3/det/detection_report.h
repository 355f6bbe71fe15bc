/* det/detection_report.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_DETECTION_REPORT_H
#define DET_DETECTION_REPORT_H
#include "det/coco.h"
#include "det/context.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_detection_report det_detection_report;
typedef struct det_detection_report_settings {
    size_t struct_size;
    double iou_threshold;
    double confusion_score;
} det_detection_report_settings;
DET_API void det_detection_report_settings_init(det_detection_report_settings *settings,
                                                size_t struct_size);
static inline void det_detection_report_settings_default(det_detection_report_settings *settings)
{
    det_detection_report_settings_init(settings, sizeof *settings);
}
typedef struct det_curve_point {
    double score, precision, recall;
    int64_t true_positives, false_positives;
} det_curve_point;
typedef struct det_class_report {
    size_t struct_size;
    int64_t id;
    const char *name;
    int64_t objects;
    int64_t detections;
    const det_curve_point *points;
    size_t point_count;
    double best_f1, best_precision, best_recall;
    double best_threshold;
    int64_t voc_objects;
    double voc_ap;
    double voc_ap_11;
} det_class_report;
DET_NODISCARD DET_API det_status det_detection_report_create(
    det_context *context, const det_coco_evaluator *evaluator,
    const det_detection_report_settings *settings, det_detection_report **report);
DET_API void det_detection_report_destroy(det_detection_report **report);
DET_API int32_t det_detection_report_class_count(const det_detection_report *report);
DET_API const det_class_report *det_detection_report_class(const det_detection_report *report,
                                                           int32_t index);
DET_API double det_detection_report_voc_map(const det_detection_report *report);
DET_API double det_detection_report_voc_map_11(const det_detection_report *report);
DET_API const int64_t *det_detection_report_confusion(const det_detection_report *report);
DET_NODISCARD DET_API det_status det_detection_report_table(det_detection_report *report,
                                                            const char **text);
DET_NODISCARD DET_API det_status det_detection_report_write(const det_detection_report *report,
                                                            const char *directory);
DET_API const char *det_detection_report_file(size_t index);
#ifdef __cplusplus
}
#endif
#endif
