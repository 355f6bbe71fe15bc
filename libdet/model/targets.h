/* targets.h: which anchor learns which ground truth: IoU, argmax matcher, encoded targets and
 * weights, for a batch.
 *
 * Agrees with core/target_assigner.py, matchers/argmax_matcher.py,
 * core/region_similarity_calculator.py (IoU) of the TF Object Detection API:
 *  - an anchor takes the box of highest IoU (ties: the lowest box); IoU >= matched: matched;
 * between the thresholds or below them: background (-1) or ignored (-2) according to
 * negatives_lower_than_unmatched;
 *  - force_match_for_each_row: then each box of weight > 0 also takes its best anchor (ties: the
 * lowest anchor), whatever that anchor had; of boxes that want the same anchor the lowest wins. The
 * others' own best anchor is then lost to them: no second choice. A box that touches no anchor
 * takes anchor 0, as argmax over zeros does;
 *  - no boxes: all background;
 *  - weights of a matched anchor are its box's weight, for class and box; background has
 * unmatched_class_weight and box weight 0; ignored has none. Differs: the class target is kept as
 * an index instead of one-hot columns, since one-hot targets of 90 classes and 51,150 anchors are
 * 18 MB an image. Never an A x G matrix either: memory is O(A + G).
 */
#ifndef DET_MODEL_TARGETS_H
#define DET_MODEL_TARGETS_H

#include "base/pool.h"
#include "data/ground_truth.h"
#include "model/box_coder.h"

#define DET_MATCH_BACKGROUND (-1)
#define DET_MATCH_IGNORED    (-2)

struct det_target_settings {
    bool ignore_thresholds; /* every anchor is matched to its best box */
    float matched_threshold, unmatched_threshold;
    bool negatives_lower_than_unmatched;
    bool force_match_for_each_row;
    float unmatched_class_weight;
    struct det_box_coder coder;
};

/* .5/.5, negatives lower, force match, weight 1, scales 10 10 5 5. */
void det_target_settings_default(struct det_target_settings *settings);

/* INVALID_ARGUMENT for what cannot be, as det_targets_create() says it. */
det_status det_target_settings_check(struct det_env *env,
                                     const struct det_target_settings *settings);
/* What det_targets_assign() expects of a batch. */
det_status det_truths_check(struct det_env *env, const struct det_ground_truth *truths,
                            int32_t images, int32_t class_count);

struct det_gt_best {
    float iou;
    int32_t anchor;
};

/* Everything [N][A], valid after det_targets_assign(). */
struct det_targets {
    int32_t images;        /* N of the last assignment */
    int32_t *matched;      /* ground truth index, DET_MATCH_BACKGROUND or DET_MATCH_IGNORED */
    int32_t *class_index;  /* 0..K-1 where matched, else -1 */
    float *class_weight;   /* of every column of the anchor */
    float *box_weight;     /* 0 where not matched */
    float (*encodings)[4]; /* 0 where not matched */
    int64_t matched_count; /* anchors matched, all images */
    double box_weight_sum; /* sum of box_weight: what the losses are divided by */

    int32_t images_max, anchor_count, class_count;
    const float (*anchors)[4]; /* borrowed */
    struct det_target_settings settings;
    /* per image, chunk and ground truth: best anchor within the chunk */
    struct det_gt_best *best;
    size_t best_capacity;
    double *weight_partial; /* per image and chunk */
    int64_t *count_partial;
};

/* Room for `images_max` images; the anchors must outlive the targets. */
det_status det_targets_create(struct det_env *env, const struct det_target_settings *settings,
                              const float (*anchors)[4], int32_t anchor_count, int32_t class_count,
                              int32_t images_max, struct det_targets **targets);
void det_targets_destroy(struct det_env *env, struct det_targets **targets);

/* truths: `images` of them. Allocates only when an image has more boxes than any batch before.
 * Fails on a class out of range, a box or weight that is not finite, a negative weight. Same bits
 * for any number of threads. */
det_status det_targets_assign(struct det_env *env, struct det_targets *targets,
                              struct det_pool *pool, const struct det_ground_truth *truths,
                              int32_t images);

/* Intersection over union in float32; 0 when the boxes do not overlap. */
float det_box_iou(const float a[4], const float b[4]);

#endif
