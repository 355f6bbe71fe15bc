/* training_golden.h: runs a learner along a stored training of the TF Object Detection API and
 * compares every figure. */
#ifndef DET_TESTS_SUPPORT_TRAINING_GOLDEN_H
#define DET_TESTS_SUPPORT_TRAINING_GOLDEN_H

#include "train/learner.h"

struct training_golden {
    const char *name;
    /* path: one line a step: lr, localization, classification, regularization, total, and where
     * stored the noise of the first two */
    const char *steps;
    const char *gradients;      /* path of grads_step0 as "key n mean l2 first last noise" lines */
    const char *gradients_full; /* path of the .npz, '|' for '/' in its names */
    const char *variables;      /* path: like gradients, after the last step; NULL: not compared */
    int steps_compared;
    double loss_bound; /* relative; a part may differ by 5 times its stored noise if that is more */
    const float *images;
    const struct det_ground_truth *truths;
};

/* Formula weights, three boxes and one, frozen batch norms, K = 3 (goldens
 * train_scene_focal_frozen_bn). */
struct training_scene {
    struct det_model_spec spec;
    struct det_learner_settings settings;
    struct training_golden golden; /* of this scene */
    float *images;
    struct det_ground_truth truths[2];
};
void training_scene_open(struct det_env *env, struct training_scene *scene);
void training_scene_close(struct det_env *env, struct training_scene *scene);

/* One more object, weight 1. */
void training_golden_add_box(struct det_env *env, struct det_ground_truth *truth,
                             int32_t class_index, const float box[4]);

/* Asserts the bounds of the design document and prints what was measured. The learner's host
 * parameters are where it begins. */
void training_golden_run(struct det_env *env, const struct training_golden *golden,
                         struct det_learner *learner);

#endif
