/* det/coco.h: COCO box evaluation, the same figures as pycocotools 2.0.11 (within 1e-9), for any
 * number of threads the same bits.
 *
 * Order of use: create; add_category and add_image; add_ground_truth and add_detection (or the load
 * functions); compute; read the result or render it. More detections may be added and computed
 * again; clear_detections keeps the ground truth for the next checkpoint.
 *
 * Boxes are x, y, width, height in pixels of the image, areas in square pixels. A figure of -1
 * means that there was no object to find, as in pycocotools.
 *
 * Thread safety: as the context it was made with.
 */
#ifndef DET_COCO_H
#define DET_COCO_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"
#include "det/export.h"
#include "det/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DET_COCO_MAX_IOU_THRESHOLDS 32
#define DET_COCO_MAX_AREAS          8
#define DET_COCO_MAX_MAX_DETS       16

typedef struct det_coco_evaluator det_coco_evaluator;

/** An area range, both ends included. The rows of the table look for the names "all", "small",
 * "medium", "large". */
typedef struct det_coco_area {
    const char *name;
    double min_px2;
    double max_px2;
} det_coco_area;

typedef struct det_coco_settings {
    size_t struct_size;              /**< sizeof(det_coco_settings), set by the default function */
    const double *iou_thresholds;    /**< NULL: .5, .55, ... .95 */
    int32_t iou_threshold_count;     /**< at most DET_COCO_MAX_IOU_THRESHOLDS */
    const double *recall_thresholds; /**< NULL: 0, .01, ... 1 */
    int32_t recall_threshold_count;
    /** detections kept per image and category; NULL: 1, 10, 100; sorted by us */
    const int32_t *max_dets;
    int32_t max_det_count;      /**< at most DET_COCO_MAX_MAX_DETS */
    const det_coco_area *areas; /**< NULL: all, small (to 32^2), medium (to 96^2), large */
    int32_t area_count;         /**< at most DET_COCO_MAX_AREAS */
    int32_t use_categories;     /**< 0: boxes of all categories compete as one; default 1 */
    int32_t honour_ignore; /**< 0, the default: `ignore` of an object is overwritten by `iscrowd`,
                              as pycocotools does; 1: either of them takes the object out */
    int32_t first_row_follows_max_dets; /**< 0, the default: the first row always asks for 100
                                           detections, as pycocotools 2.0.11 does, and is -1 when
                                           max_dets lacks 100; 1: it uses the largest of the first
                                           three max_dets as the other rows */
} det_coco_settings;

/** Fills in the defaults, as far as a struct of `struct_size` bytes goes, which is noted in it. */
DET_API void det_coco_settings_init(det_coco_settings *settings, size_t struct_size);
static inline void det_coco_settings_default(det_coco_settings *settings)
{
    det_coco_settings_init(settings, sizeof *settings);
}

/** The 12 rows of pycocotools' table, in its order. */
typedef enum det_coco_stat {
    DET_COCO_AP = 0,
    DET_COCO_AP50,
    DET_COCO_AP75,
    DET_COCO_AP_SMALL,
    DET_COCO_AP_MEDIUM,
    DET_COCO_AP_LARGE,
    DET_COCO_AR_1,   /**< with max_dets[0] */
    DET_COCO_AR_10,  /**< with max_dets[1] */
    DET_COCO_AR_100, /**< with max_dets[2] */
    DET_COCO_AR_SMALL,
    DET_COCO_AR_MEDIUM,
    DET_COCO_AR_LARGE,
    DET_COCO_STAT_COUNT
} det_coco_stat;

/** The TF Object Detection API's name of a row: "DetectionBoxes_Precision/mAP", ...,
 * "DetectionBoxes_Recall/AR@100 (large)". Static text, NULL for a value out of range. */
DET_API const char *det_coco_stat_name(det_coco_stat stat);

typedef struct det_coco_class {
    size_t struct_size;                /**< as far as this library knows the struct */
    int64_t id;                        /**< -1 without categories */
    const char *name;                  /**< never NULL */
    double stats[DET_COCO_STAT_COUNT]; /**< the same rows, this class alone */
    const int64_t *objects; /**< [area_count] objects that count, crowds not among them */
    /** objects that are ignored in every area: crowds (and `ignore`, if honoured) */
    int64_t crowds;
    int64_t detections;      /**< all that were added */
    int64_t detections_used; /**< after the cut at the largest max_dets */
} det_coco_class;

/** Owned by the evaluator, valid until it computes again or is destroyed. */
typedef struct det_coco_result {
    size_t struct_size; /**< as far as this library knows the struct */
    double stats[DET_COCO_STAT_COUNT];
    int64_t images;
    const int64_t *objects; /**< [area_count], as in det_coco_class */
    int64_t crowds;
    int64_t detections;
    int64_t detections_used;
    int64_t truncated; /**< image-category pairs with more detections than the largest max_dets */
    int32_t iou_threshold_count;    /**< T */
    int32_t recall_threshold_count; /**< R */
    int32_t class_count;            /**< K, by rising id; 1 without categories */
    int32_t area_count;             /**< A */
    int32_t max_det_count;          /**< M */
    const double *iou_thresholds;
    const double *recall_thresholds;
    const int32_t *max_dets;
    const det_coco_area *areas;
    const det_coco_class *const *classes; /**< [K] */
    const double *precision;              /**< [T,R,K,A,M], -1 where there is no object */
    const double *scores; /**< [T,R,K,A,M] score at which that recall is reached, 0 if never */
    const double *recall; /**< [T,K,A,M] the highest recall */
} det_coco_result;

/** Creates an evaluator; `settings` may be NULL for the defaults (they are copied). *evaluator is
 * NULL on failure. */
DET_NODISCARD DET_API det_status det_coco_evaluator_create(det_context *context,
                                                           const det_coco_settings *settings,
                                                           det_coco_evaluator **evaluator);
/** Releases it and sets *evaluator to NULL. NULL is allowed. */
DET_API void det_coco_evaluator_destroy(det_coco_evaluator **evaluator);

/** A category; the same id twice is an error. `name` is copied, NULL is "". */
DET_NODISCARD DET_API det_status det_coco_evaluator_add_category(det_coco_evaluator *evaluator,
                                                                 int64_t id, const char *name);
/** An image, also one without objects. Adding it again changes nothing. */
DET_NODISCARD DET_API det_status det_coco_evaluator_add_image(det_coco_evaluator *evaluator,
                                                              int64_t id);
/** One object. `area_px2`: the object's own area if it is known (of its mask), NaN for width *
 * height. Image and category must have been added. */
DET_NODISCARD DET_API det_status det_coco_evaluator_add_ground_truth(
    det_coco_evaluator *evaluator, int64_t image_id, int64_t category_id, const double box_px[4],
    double area_px2, int is_crowd, int ignore);
/** One object with all that annotations say about it. */
typedef struct det_coco_object {
    size_t struct_size; /**< sizeof(det_coco_object) */
    int64_t image_id, category_id;
    double box_px[4]; /**< x, y, width, height */
    double area_px2;  /**< NaN: width * height */
    int is_crowd;
    /** stored as `ignore`: without honour_ignore COCO's figures do not look at it */
    int difficult;
    /** a box around many; Pascal VOC's AP leaves it out, COCO's figures take it as it is */
    int group_of;
    int reserved; /**< 0 */
} det_coco_object;
DET_NODISCARD DET_API det_status det_coco_evaluator_add_object(det_coco_evaluator *evaluator,
                                                               const det_coco_object *object);
/** One detection. An image or category that was not added, or a value that is not finite, is an
 * error. */
DET_NODISCARD DET_API det_status det_coco_evaluator_add_detection(det_coco_evaluator *evaluator,
                                                                  int64_t image_id,
                                                                  int64_t category_id,
                                                                  const double box_px[4],
                                                                  double score);
/** Drops all detections and keeps the rest. */
DET_API void det_coco_evaluator_clear_detections(det_coco_evaluator *evaluator);

/** Adds images, categories and objects of a COCO ground truth file. Objects of images or categories
 * that the file does not list are dropped with a warning to the logger, as pycocotools drops them.
 */
DET_NODISCARD DET_API det_status det_coco_evaluator_load_ground_truth(det_coco_evaluator *evaluator,
                                                                      const char *path);
/** Adds the detections of a COCO result file. An image that the ground truth does not have is an
 * error; detections of categories it does not have are dropped with a warning. */
DET_NODISCARD DET_API det_status det_coco_evaluator_load_detections(det_coco_evaluator *evaluator,
                                                                    const char *path);
/** Write what was added as files that pycocotools reads. */
DET_NODISCARD DET_API det_status det_coco_evaluator_save_ground_truth(det_coco_evaluator *evaluator,
                                                                      const char *path);
DET_NODISCARD DET_API det_status det_coco_evaluator_save_detections(det_coco_evaluator *evaluator,
                                                                    const char *path);

/** Evaluates on the context's threads. */
DET_NODISCARD DET_API det_status det_coco_evaluator_compute(det_coco_evaluator *evaluator,
                                                            const det_coco_result **result);
/** Class 0..class_count-1 of the last result by rising id, NULL if there is none. */
DET_API const det_coco_class *det_coco_evaluator_class(const det_coco_evaluator *evaluator,
                                                       int32_t index);

/* The last result as text, owned by the evaluator and valid until the next call that uses it. */

/** Byte for byte the 12 lines that pycocotools prints. */
DET_NODISCARD DET_API det_status det_coco_evaluator_table(det_coco_evaluator *evaluator,
                                                          const char **text);
/** What was measured, counts, and one line a class. */
DET_NODISCARD DET_API det_status det_coco_evaluator_class_table(det_coco_evaluator *evaluator,
                                                                const char **text);
/** All of it as JSON; `with_curves` adds precision and score at each recall, per class and IoU
 * threshold. */
DET_NODISCARD DET_API det_status det_coco_evaluator_json(det_coco_evaluator *evaluator,
                                                         int with_curves, const char **text);

#ifdef __cplusplus
}
#endif
#endif
