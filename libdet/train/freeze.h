/* freeze.h: train_config.update_trainable_variables and freeze_variables: which variables are
 * learnt.
 *
 * A variable is learnt when any pattern of the first list is found in its name (or that list is
 * empty) and none of the second is: tf.contrib.framework.filter_variables() as model_lib.py calls
 * it; the API's TF2 loop reads neither. Names are the checkpoint keys, as
 * "model/_feature_extractor/classification_backbone/layer_with_weights-0/kernel"; patterns are
 * POSIX extended regular expressions, which agree with Python's but for classes like \d and lazy
 * quantifiers, which are refused. They are limited in length, nesting and repetition, so that a
 * pattern from a foreign config costs neither the stack nor minutes. Batch norms of frozen layers
 * keep their moving statistics up: freeze_batchnorm is another thing. */
#ifndef DET_TRAIN_FREEZE_H
#define DET_TRAIN_FREEZE_H

#include "formats/pipeline_config.h"
#include "train/learner.h"

/* Clears learner->trainable of what is not to be learnt (before a push) and logs how much is left.
 * A pattern that cannot be read or is found in no name, and nothing left to learn, are
 * INVALID_ARGUMENT with the field's line. */
det_status det_freeze_variables(struct det_env *env, const struct det_pipeline_config *config,
                                struct det_learner *learner);

#endif
