/* evaluation_summary.h: an evaluation's figures for TensorBoard: COCO's table, the losses, each
 * class's row, Pascal VOC's AP, and precision over recall at IoU .5. Names as eager_eval_loop() of
 * the TF Object Detection API's model_lib_v2.py, metrics/ coco_evaluation.py and
 * utils/object_detection_evaluation.py (PascalDetectionEvaluator) write them; ours are
 * PR@.50IOU/CLASS and, of a class, more than the mAP. */
#ifndef DET_EVAL_EVALUATION_SUMMARY_H
#define DET_EVAL_EVALUATION_SUMMARY_H

#include "det/evaluation.h"
#include "support/text.h"

/* Writes and flushes. `coco` is what `evaluator` made. */
det_status det_evaluation_summary_write(det_context *context, det_summary_writer *writer,
                                        int64_t step, const det_coco_evaluator *evaluator,
                                        const det_coco_result *coco,
                                        const det_evaluation_losses *losses);

/* Appends the name of the run that the figures belong to: "eval" for those that eval_continuously()
 * of the API would give. What was made in another way cannot be compared with them and gets a run
 * of its own: "eval_exported", "eval_exported_max_images_100". */
det_status det_evaluation_append_run_name(struct det_env *env,
                                          const det_evaluation_settings *settings,
                                          struct det_text *name);

#endif
