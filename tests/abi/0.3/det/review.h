/* det/review.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_REVIEW_H
#define DET_REVIEW_H
#include "det/dataset.h"
#include "det/detector.h"
#include "det/model.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_review det_review;
typedef enum det_review_kind {
    DET_REVIEW_AGREES = 0,
    DET_REVIEW_MISSING = 1,
    DET_REVIEW_SPURIOUS = 2,
    DET_REVIEW_RENAMED = 3,
    DET_REVIEW_MOVED = 4
} det_review_kind;
typedef struct det_review_settings {
    size_t struct_size;
    double least_score;
    double proposed_score;
    int (*progress)(void *user, size_t done, size_t total);
    void *user;
} det_review_settings;
DET_API void det_review_settings_init(det_review_settings *settings, size_t struct_size);
static inline void det_review_settings_default(det_review_settings *settings)
{
    det_review_settings_init(settings, sizeof *settings);
}
typedef struct det_review_row {
    size_t struct_size;
    det_review_kind kind;
    int reserved;
    double suspicion;
    size_t image;
    int64_t object;
    int32_t class_id;
    int32_t detected_class_id;
    double box[4], detected_box[4];
    double score;
    double iou;
} det_review_row;
typedef struct det_review_choice {
    size_t struct_size;
    size_t image;
    double uncertainty;
    double distance;
    size_t detection_count;
} det_review_choice;
DET_NODISCARD DET_API det_status det_review_create(det_context *context, const det_model *model,
                                                   det_annotation_set *set,
                                                   const det_review_settings *settings,
                                                   det_review **review);
DET_API void det_review_destroy(det_review **review);
DET_API size_t det_review_row_count(const det_review *review);
DET_NODISCARD DET_API det_status det_review_row_at(const det_review *review, size_t index,
                                                   det_review_row *row);
DET_API const char *det_review_kind_name(det_review_kind kind);
DET_NODISCARD DET_API det_status det_review_choose(det_review *review, const det_model *model,
                                                   det_annotation_set *unlabelled, size_t most);
DET_API size_t det_review_choice_count(const det_review *review);
DET_NODISCARD DET_API det_status det_review_choice_at(const det_review *review, size_t index,
                                                      det_review_choice *choice);
DET_NODISCARD DET_API det_status det_review_choice_detections(const det_review *review,
                                                              size_t index,
                                                              const det_detection **detections,
                                                              size_t *count);
DET_NODISCARD DET_API det_status det_review_write(det_review *review, const char *folder,
                                                  size_t most);
DET_API const char *det_review_file(size_t index);
DET_NODISCARD DET_API det_status det_review_json(det_review *review, const char **text);
#ifdef __cplusplus
}
#endif
#endif
