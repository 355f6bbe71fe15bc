/* losses.h: focal / sigmoid classification loss and smooth L1, fused with their gradients. Agrees
 * with model/losses.h (det_losses_compute): sums in double, by fixed chunks in their order. */
#ifndef DET_KERNELS_LOSSES_H
#define DET_KERNELS_LOSSES_H

#include "kernel.h"
#include "model/losses.h"
#include "targets.h"

DETK_BEGIN

/* Device memory, written by detk_losses. */
struct detk_loss_values {
    double localization, classification, normalizer;
    int64_t matched; /* *targets->matched_count */
};

size_t detk_losses_workspace(int32_t n, int32_t anchors, int32_t class_count);
/* Of `ranks` that learn together, whose mean the losses become, they are divided by what is the
 * share of each, with *targets->box_weight_sum being that of all (detk_targets_join()); 1: alone.
 * logits [n][anchors][K + 1], encodings [n][anchors][4], gradients of the same shapes written (both
 * or neither NULL). */
cudaError_t detk_losses(cudaStream_t stream, const struct det_loss_settings *settings, int32_t n,
                        int32_t anchors, int32_t class_count, const struct detk_targets *targets,
                        int32_t ranks, const float *logits, const float *encodings,
                        float *logit_gradients, float *encoding_gradients,
                        struct detk_loss_values *values, void *workspace);

DETK_END
#endif
