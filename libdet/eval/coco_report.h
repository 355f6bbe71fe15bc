/* coco_report.h: a COCO result as text. Nothing is printed, nothing depends on the locale. */
#ifndef DET_EVAL_COCO_REPORT_H
#define DET_EVAL_COCO_REPORT_H

#include "eval/coco_eval.h"
#include "support/text.h"

/* All of them append to `text`; INVALID_ARGUMENT when nothing was computed yet. */

/* Byte for byte the 12 lines that pycocotools' summarize() prints. */
det_status det_coco_report_table(struct det_env *env, const struct det_coco_eval *eval,
                                 struct det_text *text);
/* What was measured and counted, then one line a class; "n/a (0 objects)" instead of -1. */
det_status det_coco_report_classes(struct det_env *env, const struct det_coco_eval *eval,
                                   struct det_text *text);
/* One JSON object; -1 stays -1. with_curves: per class, for area "all" (else the first) and the
 * largest max_dets, "precision" and "scores" as lists [T][R]. */
det_status det_coco_report_json(struct det_env *env, const struct det_coco_eval *eval,
                                bool with_curves, struct det_text *text);

#endif
