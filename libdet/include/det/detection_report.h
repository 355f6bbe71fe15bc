/* det/detection_report.h: what the COCO table does not say: precision and recall at every score,
 * the threshold with the best F1 of each class, which classes are taken for which, and Pascal VOC's
 * AP.
 *
 * Everything is at one IoU threshold. Curves and F1 match as COCO does (crowds are ignored), so the
 * area under them is the class's AP at that IoU. VOC's AP matches as PascalDetectionEvaluator of
 * the TF Object Detection API (utils/per_image_evaluation.py, utils/metrics.py): an object is
 * matched only by the detection that overlaps it most of all objects, a detection on a `difficult`
 * object or, by its own area, in a `group_of` box is left out, and neither counts as an object.
 */
#ifndef DET_DETECTION_REPORT_H
#define DET_DETECTION_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "det/coco.h"
#include "det/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_detection_report det_detection_report;

typedef struct det_detection_report_settings {
    size_t struct_size;   /**< sizeof(det_detection_report_settings), set by the default function */
    double iou_threshold; /**< above 0, at most 1; default .5 */
    /** detections from this score on enter the confusion matrix; default .5 */
    double confusion_score;
} det_detection_report_settings;

/** Fills in the defaults, as far as a struct of `struct_size` bytes goes, which is noted in it. */
DET_API void det_detection_report_settings_init(det_detection_report_settings *settings,
                                                size_t struct_size);
static inline void det_detection_report_settings_default(det_detection_report_settings *settings)
{
    det_detection_report_settings_init(settings, sizeof *settings);
}

/** All detections with at least `score`. */
typedef struct det_curve_point {
    double score, precision, recall;
    int64_t true_positives, false_positives;
} det_curve_point;

/** A figure of -1: there is no object of the class. */
typedef struct det_class_report {
    size_t struct_size; /**< as far as this library knows the struct */
    int64_t id;
    const char *name;
    int64_t objects;    /**< without crowds */
    int64_t detections; /**< all of them */
    /** [point_count] by falling score, one for each different score */
    const det_curve_point *points;
    size_t point_count;
    double best_f1, best_precision, best_recall;
    /** between the lowest score that belongs to the best F1 and the next lower one; 1 when there is
     * no detection */
    double best_threshold;
    int64_t voc_objects; /**< neither difficult nor group_of */
    double voc_ap;       /**< area under the curve whose precision never rises, as VOC since 2010 */
    double voc_ap_11;    /**< mean precision at recalls 0, .1, ... 1, as VOC 2007 */
} det_class_report;

/** Works out the report of what the evaluator holds; `settings` may be NULL. The report is a copy:
 * the evaluator may go first. *report is NULL on failure. */
DET_NODISCARD DET_API det_status det_detection_report_create(
    det_context *context, const det_coco_evaluator *evaluator,
    const det_detection_report_settings *settings, det_detection_report **report);
/** Releases it and sets *report to NULL. NULL is allowed. */
DET_API void det_detection_report_destroy(det_detection_report **report);

/** Classes by rising id. */
DET_API int32_t det_detection_report_class_count(const det_detection_report *report);
/** NULL for an index out of range. Valid as long as the report. */
DET_API const det_class_report *det_detection_report_class(const det_detection_report *report,
                                                           int32_t index);
/** Mean over the classes that have objects, -1 when none has. PascalBoxes_Precision/mAP@0.5IOU. */
DET_API double det_detection_report_voc_map(const det_detection_report *report);
DET_API double det_detection_report_voc_map_11(const det_detection_report *report);
/** [K + 1][K + 1], row: what is there, column: what was detected; K is the background: the last
 * column counts objects that were missed, the last row detections where nothing is. Pairs of any
 * classes are made one to one by falling IoU. Valid as long as the report. */
DET_API const int64_t *det_detection_report_confusion(const det_detection_report *report);

/** A table with one line a class, owned by the report. */
DET_NODISCARD DET_API det_status det_detection_report_table(det_detection_report *report,
                                                            const char **text);
/** Writes pr_curves.csv, pr_curves.json, pr_curves.svg, confusion.csv and thresholds.json (a
 * class's name to its best threshold, for det-detect --threshold_file) into the folder, which is
 * made. */
DET_NODISCARD DET_API det_status det_detection_report_write(const det_detection_report *report,
                                                            const char *directory);
/** Their names: `index` 0, 1, ..., NULL behind the last. Static text. From any thread. */
DET_API const char *det_detection_report_file(size_t index);

#ifdef __cplusplus
}
#endif
#endif
