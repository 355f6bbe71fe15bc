/* training_sets.h: the stored trainings besides the scene of training_golden.h, ready for any
 * backend. */
#ifndef DET_TESTS_SUPPORT_TRAINING_SETS_H
#define DET_TESTS_SUPPORT_TRAINING_SETS_H

#include "support/training_golden.h"

/* The API's training on two photographs from its own checkpoint (goldens train_real_focal,
 * train_real_sigmoid): needs the shared folder. 5 steps are stored. */
struct training_real {
    struct det_model_spec spec;
    struct det_learner_settings settings;
    struct training_golden golden;
    char checkpoint[256];
    char directory[256], steps[300], gradients[300], variables[300], full[256];
    float *images;
    struct det_ground_truth truths[2];
};
/* `name` with its class loss and bound; false when the shared folder is not there. */
bool training_real_open(struct det_env *env, const char *name, enum det_class_loss loss,
                        double loss_bound, struct training_real *real);
/* The checkpoint's values become the learner's. */
void training_real_restore(struct det_env *env, const struct training_real *real,
                           struct det_learner *learner);
void training_real_close(struct det_env *env, struct training_real *real);

/* Formula weights and images, batch statistics (goldens train320_focal, train320_sigmoid): the
 * losses of one step. A random network with batch statistics is chaotic, so that nothing behind
 * them was stored. */
struct training_formula {
    struct det_model_spec spec;
    struct det_learner_settings settings;
    float *images;
    struct det_ground_truth truths[2];
};
void training_formula_open(struct det_env *env, enum det_class_loss loss,
                           struct training_formula *formula);
void training_formula_close(struct det_env *env, struct training_formula *formula);
/* Asserts the losses of the learner's gradients. */
void training_formula_run(struct det_env *env, const struct training_formula *formula,
                          const char *name, struct det_learner *learner);

#endif
