/* losses.h: localization and classification loss of a batch, and their gradients.
 *
 * Agrees with ssd_meta_arch.py loss() and core/losses.py of the TF Object Detection API:
 *
 *   localization   = localization_weight / (normalizer [* 4])
 *                    * sum of weight * huber(encoding - target)
 *   classification = classification_weight / normalizer
 *                    * sum of weight * (sigmoid cross entropy [* focal factor])
 *   normalizer     = max(sum of box weights over the batch, 1), or 1
 *
 * weighted_sigmoid_focal: Lin et al., "Focal Loss for Dense Object Detection", equation 5.
 *
 * Layout of logits: [N][A][K+1]. Column 0 is the background, a real output of the class head that
 * the API learns like any other column (its class head is K+1 wide: 6 * (K+1) channels), *not* a
 * constant. With encode_background_as_zeros its target is 0 for every anchor, matched or not, and
 * it is part of the classification loss; without, its target is 1 for background anchors.
 * Columns 1..K are the classes. Detection ignores column 0.
 *
 * With hard examples, which anchors count is decided per image from these losses (before the
 * factors in front of the sums); the others get no gradient.
 *
 * Any finite logit gives a finite loss and gradient. A NaN target counts as met
 * (ignore_nan_targets); a NaN prediction makes the loss NaN. Sums are in double, by fixed chunks in
 * their order: same bits for any number of threads.
 */
#ifndef DET_MODEL_LOSSES_H
#define DET_MODEL_LOSSES_H

#include "base/pool.h"
#include "model/hard_examples.h"
#include "model/targets.h"

enum det_class_loss { DET_CLASS_LOSS_SIGMOID, DET_CLASS_LOSS_SIGMOID_FOCAL };

struct det_loss_settings {
    enum det_class_loss class_loss;
    float focal_gamma;
    bool focal_has_alpha; /* false: positives and negatives count alike */
    float focal_alpha;
    float huber_delta; /* weighted_smooth_l1 */
    float localization_weight, classification_weight;
    bool normalize_loss_by_num_matches;
    bool normalize_loc_loss_by_codesize;
    bool encode_background_as_zeros;
    struct det_hard_example_settings hard_examples; /* only these anchors' losses count */
};

/* The zoo's: focal gamma 2 alpha .25, delta 1, weights 1, both normalisations, background as zeros.
 */
void det_loss_settings_default(struct det_loss_settings *settings);
/* INVALID_ARGUMENT for what cannot be, as det_losses_create() says it. */
det_status det_loss_settings_check(struct det_env *env, const struct det_loss_settings *settings);

struct det_loss_values {
    double localization, classification;
    double normalizer;
};

struct det_losses; /* settings and partial sums */

/* Whatever is computed from now on is divided by this instead of what the targets say; 0, as it
 * begins: by that. */
void det_losses_divide_by(struct det_losses *losses, double normalizer);

det_status det_losses_create(struct det_env *env, const struct det_loss_settings *settings,
                             int32_t images_max, int32_t anchor_count, int32_t class_count,
                             struct det_losses **losses);
void det_losses_destroy(struct det_env *env, struct det_losses **losses);

/* logits [N][A][K+1], encodings [N][A][4], N = targets->images. The gradients of localization +
 * classification are written, not added, to arrays of the same shapes; either may be NULL. No
 * allocation. */
det_status det_losses_compute(struct det_env *env, struct det_losses *losses, struct det_pool *pool,
                              const struct det_targets *targets, const float *logits,
                              const float *encodings, struct det_loss_values *values,
                              float *logit_gradients, float *encoding_gradients);

/* The terms of those sums. One anchor's Huber loss, and its gradient before any weight. */
float det_huber_loss(float delta, const float encoding[4], const float target[4],
                     float gradient[4]);
/* Loss and gradient [count] of each logit, whose target is 1 where `positive` is not 0. gradients
 * may be NULL. */
void det_class_losses(const struct det_loss_settings *settings, const float *logits,
                      const uint8_t *positive, size_t count, float *losses, float *gradients);

#endif
