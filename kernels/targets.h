/* targets.h: target assignment of a batch on the device. Agrees with model/targets.h
 * (det_targets_assign) in every index, weight and tie: IoU in the same float32 operations without
 * contraction, so the matches are equal, not close; encodings within 2 ulp (logf). Memory O(A + G),
 * never A x G. */
#ifndef DET_KERNELS_TARGETS_H
#define DET_KERNELS_TARGETS_H

#include "kernel.h"
#include "model/targets.h"

DETK_BEGIN

/* Ground truth of a batch, device memory. Image i's boxes are [offsets[i], offsets[i + 1]). */
struct detk_truths {
    const int32_t *offsets; /* [n + 1] */
    const float (*boxes)[4];
    const int32_t *class_index;
    const float *weight;
};

/* Everything [n][anchors], as in struct det_targets. */
struct detk_targets {
    int32_t *matched, *class_index;
    float *class_weight, *box_weight;
    float (*encodings)[4];
    double *box_weight_sum; /* [1] over the batch, fixed order */
    int64_t *matched_count; /* [1] */
};

/* For at most `most_boxes` boxes in a batch. */
size_t detk_targets_workspace(int32_t n, int32_t anchors, int32_t most_boxes);
/* The number of boxes is only known on the device (offsets), so that a captured graph serves any
 * batch; grids are sized by `most_boxes`. */
cudaError_t detk_targets_assign(cudaStream_t stream, const struct det_target_settings *settings,
                                const float (*anchors)[4], int32_t anchor_count, int32_t n,
                                int32_t most_boxes, const struct detk_truths *truths,
                                const struct detk_targets *targets, void *workspace);
/* Of ranks that learn together: *targets->box_weight_sum becomes the sum of theirs, all [ranks], in
 * their order. */
cudaError_t detk_targets_join(cudaStream_t stream, const double *all, int32_t ranks,
                              const struct detk_targets *targets);

DETK_END
#endif
