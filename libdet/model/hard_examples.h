/* hard_examples.h: which anchors of an image are learnt from: core/losses.py HardExampleMiner of
 * the TF Object Detection API. Anchors are taken by falling loss, each unless its decoded box
 * overlaps one taken before by more than iou_threshold, up to `count` of them; of the negatives
 * among them only the first max_negatives_per_positive times as many as there are positives stay,
 * or min_negatives_per_image if that is more (all, when max_negatives_per_positive is 0).
 *
 * Differs: a loss that is NaN is taken first, so that it shows in the sum. */
#ifndef DET_MODEL_HARD_EXAMPLES_H
#define DET_MODEL_HARD_EXAMPLES_H

#include "support/env.h"

enum det_hard_example_loss {
    DET_HARD_EXAMPLES_BY_BOTH, /* the two losses times their weights */
    DET_HARD_EXAMPLES_BY_CLASSIFICATION,
    DET_HARD_EXAMPLES_BY_LOCALIZATION,
};

struct det_hard_example_settings {
    bool enabled;
    int32_t count; /* 0: no limit */
    float iou_threshold;
    enum det_hard_example_loss by;
    int32_t max_negatives_per_positive, min_negatives_per_image;
};

/* What the selection of one image needs; [anchors] each. */
struct det_hard_example_space {
    uint64_t *keys;    /* loss and anchor, to be sorted */
    float (*taken)[4]; /* boxes taken so far, their corners in order */
    int32_t *order;    /* anchors taken so far */
};

det_status det_hard_example_settings_check(struct det_env *env,
                                           const struct det_hard_example_settings *settings);

/* For one image: selected[i] = 1 for the anchors that are learnt from, else 0. `losses` decide the
 * order; matched[i] is the object, or negative as in model/targets.h. Ties: the lower anchor. */
void det_hard_examples_select(const struct det_hard_example_settings *settings, int32_t anchors,
                              const float (*boxes)[4], const float *losses, const int32_t *matched,
                              struct det_hard_example_space *space, uint8_t *selected);

#endif
