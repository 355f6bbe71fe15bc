/* det/coco.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_COCO_H
#define DET_COCO_H
#include "det/context.h"
#include "det/export.h"
#include "det/status.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#define DET_COCO_MAX_IOU_THRESHOLDS 32
#define DET_COCO_MAX_AREAS          8
#define DET_COCO_MAX_MAX_DETS       16
typedef struct det_coco_evaluator det_coco_evaluator;
typedef struct det_coco_area {
    const char *name;
    double min_px2;
    double max_px2;
} det_coco_area;
typedef struct det_coco_settings {
    size_t struct_size;
    const double *iou_thresholds;
    int32_t iou_threshold_count;
    const double *recall_thresholds;
    int32_t recall_threshold_count;
    const int32_t *max_dets;
    int32_t max_det_count;
    const det_coco_area *areas;
    int32_t area_count;
    int32_t use_categories;
    int32_t honour_ignore;
    int32_t first_row_follows_max_dets;
} det_coco_settings;
DET_API void det_coco_settings_init(det_coco_settings *settings, size_t struct_size);
static inline void det_coco_settings_default(det_coco_settings *settings)
{
    det_coco_settings_init(settings, sizeof *settings);
}
typedef enum det_coco_stat {
    DET_COCO_AP = 0,
    DET_COCO_AP50,
    DET_COCO_AP75,
    DET_COCO_AP_SMALL,
    DET_COCO_AP_MEDIUM,
    DET_COCO_AP_LARGE,
    DET_COCO_AR_1,
    DET_COCO_AR_10,
    DET_COCO_AR_100,
    DET_COCO_AR_SMALL,
    DET_COCO_AR_MEDIUM,
    DET_COCO_AR_LARGE,
    DET_COCO_STAT_COUNT
} det_coco_stat;
DET_API const char *det_coco_stat_name(det_coco_stat stat);
typedef struct det_coco_class {
    size_t struct_size;
    int64_t id;
    const char *name;
    double stats[DET_COCO_STAT_COUNT];
    const int64_t *objects;
    int64_t crowds;
    int64_t detections;
    int64_t detections_used;
} det_coco_class;
typedef struct det_coco_result {
    size_t struct_size;
    double stats[DET_COCO_STAT_COUNT];
    int64_t images;
    const int64_t *objects;
    int64_t crowds;
    int64_t detections;
    int64_t detections_used;
    int64_t truncated;
    int32_t iou_threshold_count;
    int32_t recall_threshold_count;
    int32_t class_count;
    int32_t area_count;
    int32_t max_det_count;
    const double *iou_thresholds;
    const double *recall_thresholds;
    const int32_t *max_dets;
    const det_coco_area *areas;
    const det_coco_class *const *classes;
    const double *precision;
    const double *scores;
    const double *recall;
} det_coco_result;
DET_NODISCARD DET_API det_status det_coco_evaluator_create(det_context *context,
                                                           const det_coco_settings *settings,
                                                           det_coco_evaluator **evaluator);
DET_API void det_coco_evaluator_destroy(det_coco_evaluator **evaluator);
DET_NODISCARD DET_API det_status det_coco_evaluator_add_category(det_coco_evaluator *evaluator,
                                                                 int64_t id, const char *name);
DET_NODISCARD DET_API det_status det_coco_evaluator_add_image(det_coco_evaluator *evaluator,
                                                              int64_t id);
DET_NODISCARD DET_API det_status det_coco_evaluator_add_ground_truth(
    det_coco_evaluator *evaluator, int64_t image_id, int64_t category_id, const double box_px[4],
    double area_px2, int is_crowd, int ignore);
typedef struct det_coco_object {
    size_t struct_size;
    int64_t image_id, category_id;
    double box_px[4];
    double area_px2;
    int is_crowd;
    int difficult;
    int group_of;
    int reserved;
} det_coco_object;
DET_NODISCARD DET_API det_status det_coco_evaluator_add_object(det_coco_evaluator *evaluator,
                                                               const det_coco_object *object);
DET_NODISCARD DET_API det_status det_coco_evaluator_add_detection(det_coco_evaluator *evaluator,
                                                                  int64_t image_id,
                                                                  int64_t category_id,
                                                                  const double box_px[4],
                                                                  double score);
DET_API void det_coco_evaluator_clear_detections(det_coco_evaluator *evaluator);
DET_NODISCARD DET_API det_status det_coco_evaluator_load_ground_truth(det_coco_evaluator *evaluator,
                                                                      const char *path);
DET_NODISCARD DET_API det_status det_coco_evaluator_load_detections(det_coco_evaluator *evaluator,
                                                                    const char *path);
DET_NODISCARD DET_API det_status det_coco_evaluator_save_ground_truth(det_coco_evaluator *evaluator,
                                                                      const char *path);
DET_NODISCARD DET_API det_status det_coco_evaluator_save_detections(det_coco_evaluator *evaluator,
                                                                    const char *path);
DET_NODISCARD DET_API det_status det_coco_evaluator_compute(det_coco_evaluator *evaluator,
                                                            const det_coco_result **result);
DET_API const det_coco_class *det_coco_evaluator_class(const det_coco_evaluator *evaluator,
                                                       int32_t index);
DET_NODISCARD DET_API det_status det_coco_evaluator_table(det_coco_evaluator *evaluator,
                                                          const char **text);
DET_NODISCARD DET_API det_status det_coco_evaluator_class_table(det_coco_evaluator *evaluator,
                                                                const char **text);
DET_NODISCARD DET_API det_status det_coco_evaluator_json(det_coco_evaluator *evaluator,
                                                         int with_curves, const char **text);
#ifdef __cplusplus
}
#endif
#endif
