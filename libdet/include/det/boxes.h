/* det/boxes.h: anchors, box encodings, overlaps and non-maximum suppression as functions on the
 * caller's arrays: the same code, and the same bits, as training and detection use. For
 * post-processing of one's own, together with det_detector_outputs(), and for programs that make or
 * check training targets.
 *
 * Arrays are float32 and lie without gaps, [N][4] as N times 4 floats. Boxes are ymin, xmin, ymax,
 * xmax in any unit, the same for all of a call; encodings ty, tx, th, tw. They are the caller's and
 * are only read or filled; results may not overlap what is read. NaN and infinity give what
 * arithmetic makes of them, except where a function says more. The context is for messages,
 * workspace and threads.
 */
#ifndef DET_BOXES_H
#define DET_BOXES_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"
#include "det/detector.h"
#include "det/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The model's anchors, relative to its input, into anchors [det_model_anchor_count()][4]; by
 * level, row, column, aspect ratio, scale. Source:
 * anchor_generators/multiscale_grid_anchor_generator.py of the TF Object Detection API. */
DET_NODISCARD DET_API det_status det_model_anchors(det_context *context, const det_model *model,
                                                   float *anchors);

/** Encodings [count][4] of boxes [count][4] relative to anchors [count][4], one each. scales [4],
 * all above 0, are those of y, x, height, width; NULL: 10, 10, 5, 5. Source:
 * box_coders/faster_rcnn_box_coder.py; Ren et al., "Faster R-CNN", section 3.1.2. */
DET_NODISCARD DET_API det_status det_boxes_encode(det_context *context, const float *scales,
                                                  const float *boxes, const float *anchors,
                                                  size_t count, float *encodings);

/** Boxes [count][4] from encodings, the other way round. A logarithm of a size is taken for at most
 * 80, so that the box of a finite encoding stays finite. */
DET_NODISCARD DET_API det_status det_boxes_decode(det_context *context, const float *scales,
                                                  const float *encodings, const float *anchors,
                                                  size_t count, float *boxes);

/** iou [first_count][second_count]: intersection over union of each of `first` with each of
 * `second`; 0 for boxes that share no area. Source: core/box_list_ops.py iou(), which matches
 * anchors and objects. */
DET_NODISCARD DET_API det_status det_boxes_iou(det_context *context, const float *first,
                                               size_t first_count, const float *second,
                                               size_t second_count, float *iou);

/**
 * Non-maximum suppression of one class: boxes [count][4] whose score is above score_threshold (0 or
 * more), by falling score (of equal ones the lower index first), are kept unless their IoU with a
 * kept one is above iou_threshold (0..1), `limit` (1 or more) of them at most. kept [the smaller of
 * limit and count] gets their indices, *kept_count how many. Corners may be in any order. A box
 * that is not finite, or whose score is NaN, is never kept. Source: TensorFlow's
 * NonMaxSuppressionV5 without soft suppression.
 */
DET_NODISCARD DET_API det_status det_boxes_suppress(det_context *context, const float *boxes,
                                                    const float *scores, size_t count,
                                                    float score_threshold, float iou_threshold,
                                                    int32_t limit, int32_t *kept,
                                                    size_t *kept_count);

typedef struct det_nms_settings {
    size_t struct_size;     /**< sizeof(det_nms_settings), set by the default function */
    float score_threshold;  /**< detections have scores *above* it; default 1e-8 */
    float iou_threshold;    /**< 0..1; default .6 */
    int32_t max_per_class;  /**< 1 or more; default 100 */
    int32_t max_detections; /**< 1 or more; default 100 */
    float scales[4];        /**< of encodings: y, x, height, width; default 10, 10, 5, 5 */
} det_nms_settings;

/** Fills in the defaults, as far as a struct of `struct_size` bytes goes, which is noted in it. */
DET_API void det_nms_settings_init(det_nms_settings *settings, size_t struct_size);
static inline void det_nms_settings_default(det_nms_settings *settings)
{
    det_nms_settings_init(settings, sizeof *settings);
}
/** What the model's config says, into a struct whose size is set. */
DET_NODISCARD DET_API det_status det_model_nms_settings(det_context *context,
                                                        const det_model *model,
                                                        det_nms_settings *settings);

/**
 * All of the post-processing of one image: scores from logits [anchor_count][class_count + 1]
 * (column 0 is the background and not looked at), boxes from encodings [anchor_count][4] and
 * anchors [anchor_count][4], suppression by class, clipping to window [4] (NULL: 0, 0, 1, 1),
 * coordinates relative to it. detections [settings->max_detections] (100 without settings) get
 * those that stay, by falling score, *count how many. With what det_detector_outputs() gives and
 * the model's settings, they are those of the detector's run. Source: core/post_processing.py
 * multiclass_non_max_suppression(). NON_FINITE for a logit or encoding that is NaN or infinite.
 */
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
