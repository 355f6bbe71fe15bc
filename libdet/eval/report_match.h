/* report_match.h: detections and objects of a COCO evaluator, image by image, and who is whose. */
#ifndef DET_EVAL_REPORT_MATCH_H
#define DET_EVAL_REPORT_MATCH_H

#include "eval/coco_parts.h"

/* Positions in the evaluator's arrays, sorted by (image, class); detections of a class in an image
 * by falling score, equal ones by arrival. */
struct det_report_order {
    uint32_t *gts, *dts;
    size_t gt_count, dt_count;
};

det_status det_report_order_make(struct det_env *env, const struct det_coco_eval *eval,
                                 struct det_report_order *order);
void det_report_order_free(struct det_env *env, struct det_report_order *order);

enum det_report_label { DET_LABEL_FALSE, DET_LABEL_TRUE, DET_LABEL_LEFT_OUT };

enum det_report_rule {
    DET_MATCH_COCO, /* pycocotools' evaluateImg for the area "all": crowds are ignored */
    DET_MATCH_VOC,  /* the API's PerImageEvaluation: see det/detection_report.h */
};

/* labels[i]: of detection order->dts[i]. With DET_MATCH_COCO those beyond the largest max_dets of a
 * class in an image are left out. */
det_status det_report_match(struct det_env *env, const struct det_coco_eval *eval,
                            const struct det_report_order *order, enum det_report_rule rule,
                            double iou_threshold, uint8_t *labels);

/* counts: [K + 1][K + 1], class_of: position of a category -> row. */
det_status det_report_confusion(struct det_env *env, const struct det_coco_eval *eval,
                                const struct det_report_order *order, double iou_threshold,
                                double least_score, const uint32_t *class_of, int64_t *counts);

#endif
