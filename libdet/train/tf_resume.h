/* tf_resume.h: goes on with a training that TensorFlow began: weights, moving statistics, optimizer
 * state and step of a checkpoint of the API's train_loop() (model_lib_v2.py), which saves
 * Checkpoint(step, model, optimizer).
 *
 * What is not in it: the order of the data and the random state. Optimizer slots are those of
 * Keras' optimizers (keras.optimizers.legacy): KEY/.OPTIMIZER_SLOT/optimizer/SLOT, and with
 * use_moving_average optimizer/base_optimizer/SLOT (of newer tf-models-official
 * optimizer/ema_base_optimizer/SLOT) beside optimizer/average. */
#ifndef DET_TRAIN_TF_RESUME_H
#define DET_TRAIN_TF_RESUME_H

#include "train/learner.h"

enum det_tf_origin {
    DET_TF_NO_TRAINING, /* without a step: of the model zoo */
    DET_TF_UNBEGUN,     /* a step and no weights: a training without a fine-tune checkpoint saves
                           before its first step, when Keras has not made them */
    DET_TF_TRAINING,
};

/* What a bundle is of, as far as its keys tell. */
det_status det_tf_resume_origin(struct det_env *env, const char *prefix,
                                enum det_tf_origin *origin);

/* Fills parameters, slots and learner->updates; *step: the steps done. Weights must all be there
 * with their shapes (MISMATCH). Slots that are not there, or of another shape, begin as in a new
 * training, as TensorFlow lets them, and one warning says so. Push the learner afterwards. */
det_status det_tf_resume(struct det_env *env, const char *prefix, struct det_learner *learner,
                         int64_t *step);

#endif
