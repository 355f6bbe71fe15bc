/* det/losses.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_LOSSES_H
#define DET_LOSSES_H
#include "det/context.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
DET_NODISCARD DET_API det_status det_loss_sigmoid_focal(det_context *context, float gamma,
                                                        float alpha, const float *logits,
                                                        const uint8_t *targets, size_t count,
                                                        float *losses, float *gradients);
DET_NODISCARD DET_API det_status det_loss_smooth_l1(det_context *context, float delta,
                                                    const float *encodings, const float *targets,
                                                    size_t count, float *losses, float *gradients);
#ifdef __cplusplus
}
#endif
#endif
