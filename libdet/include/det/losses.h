/* det/losses.h: the losses of training as functions on the caller's arrays: the terms that
 * det_trainer sums, with the same bits on the CPU, and their gradients. Without weights and
 * normalisation, which are the caller's.
 *
 * A finite prediction has a finite gradient, and a finite loss unless that is beyond the largest
 * float; NaN gives NaN. Arrays are the caller's and must not overlap. The context is for messages
 * alone: nothing is allocated.
 */
#ifndef DET_LOSSES_H
#define DET_LOSSES_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"

#ifdef __cplusplus
extern "C" {
#endif

/** losses [count] of logits [count] (before the sigmoid) whose targets [count] are 0 or 1, and
 * gradients [count] by the logits (NULL: not wanted). gamma is 0 or more, alpha 0..1 the weight of
 * targets of 1, 1 - alpha of those of 0; below 0: both count alike. gamma 0 without alpha is the
 * sigmoid cross entropy. Source: weighted_sigmoid_focal, core/losses.py; Lin et al., "Focal Loss
 * for Dense Object Detection", equation 5. */
DET_NODISCARD DET_API det_status det_loss_sigmoid_focal(det_context *context, float gamma,
                                                        float alpha, const float *logits,
                                                        const uint8_t *targets, size_t count,
                                                        float *losses, float *gradients);

/** losses [count] of encodings [count][4], each the sum over its four numbers, and gradients
 * [count][4] (NULL: not wanted): half the squared error up to `delta` (above 0), linear beyond. A
 * target that is NaN counts as met. Source: weighted_smooth_l1, core/losses.py
 * (WeightedSmoothL1LocalizationLoss). */
DET_NODISCARD DET_API det_status det_loss_smooth_l1(det_context *context, float delta,
                                                    const float *encodings, const float *targets,
                                                    size_t count, float *losses, float *gradients);

#ifdef __cplusplus
}
#endif
#endif
