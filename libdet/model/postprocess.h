/* postprocess.h: from an image's logits and box encodings to its detections: scores, decoding,
 * per-class non-maximum suppression, clipping.
 *
 * Agrees with core/post_processing.py multiclass_non_max_suppression() of the TF Object Detection
 * API (no static shapes, no soft NMS, score converter SIGMOID) on TensorFlow's CPU kernel of
 * NonMaxSuppressionV5:
 *  1. score = sigmoid(logit); an anchor is a candidate of a class when score > score_threshold, or
 * the class's own (NaN never is);
 *  2. per class, candidates by falling score (ties: lower anchor first) are kept unless their IoU
 * with a kept one is above iou_threshold, up to max_detections_per_class; this happens on boxes
 * that are *not yet clipped*;
 *  3. all classes' detections by falling score (ties: lower class, then lower anchor);
 *  4. clip to the window, drop what has no area, keep max_total_detections; optionally move to the
 * window's frame. Differs: an anchor whose decoded box is not finite is no candidate (TensorFlow
 * may keep it in step 2, where it suppresses everything below it, and drops it in step 4).
 *
 * Cost: O(A K) comparisons of logits, a sigmoid only where a score can pass, a box decoded only
 * where one does, plus O(log A) for each candidate that is looked at: candidates come out of a heap
 * in score order and a class stops when it is full. No allocation per call.
 *
 * logits: [A][K+1], column 0 = background, not looked at (see losses.h).
 */
#ifndef DET_MODEL_POSTPROCESS_H
#define DET_MODEL_POSTPROCESS_H

#include "base/pool.h"
#include "model/box_coder.h"

struct det_postprocess_settings {
    float score_threshold, iou_threshold;
    /* [K], borrowed: in place of score_threshold, as they are at each run; from 1 on none of the
     * class is a candidate. NULL: score_threshold for all. */
    const float *class_thresholds;
    int32_t max_detections_per_class, max_total_detections;
    bool change_coordinate_frame; /* results relative to the window (the API's default) */
    struct det_box_coder coder;
};

/* 1e-8, .6, 100, 100, true, scales 10 10 5 5. */
void det_postprocess_settings_default(struct det_postprocess_settings *settings);
/* INVALID_ARGUMENT for what cannot be, as det_postprocess_create() says it. */
det_status det_postprocess_settings_check(struct det_env *env,
                                          const struct det_postprocess_settings *settings);

struct det_detections {
    int32_t count; /* the arrays have room for max_total_detections */
    float (*boxes)[4];
    int32_t *class_index; /* 0..K-1 */
    float *score;
    int32_t *anchor;
};

struct det_postprocess; /* settings and workspace */

/* Anchors are borrowed. The pool is the one that det_postprocess_run() uses; NULL: the calling
 * thread. */
det_status det_postprocess_create(struct det_env *env,
                                  const struct det_postprocess_settings *settings,
                                  const float (*anchors)[4], int32_t anchor_count,
                                  int32_t class_count, struct det_pool *pool,
                                  struct det_postprocess **postprocess);
void det_postprocess_destroy(struct det_env *env, struct det_postprocess **postprocess);
/* Bytes it has allocated. */
size_t det_postprocess_bytes(const struct det_postprocess *postprocess);

/* One image. window: what of the network's input is image (0, 0, 1, 1 unless it was padded). The
 * result belongs to `postprocess` and holds until the next run. Same bits for any number of
 * threads. */
const struct det_detections *det_postprocess_run(struct det_postprocess *postprocess,
                                                 const float *logits, const float *encodings,
                                                 const float window[4]);

/* The highest of an image's scores, and its class, above the threshold or not; of equal ones the
 * first. */
void det_top_score(const float *logits, int32_t anchor_count, int32_t class_count, float *score,
                   int32_t *class_index);

/* 1 / (1 + exp(-logit)). */
float det_sigmoid(float logit);

#endif
