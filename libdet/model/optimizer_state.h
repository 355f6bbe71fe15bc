/* optimizer_state.h: what the optimizer of a training keeps beside the weights, under Keras' names
 * (keras.optimizers.legacy of TensorFlow 2.15, official/modeling/optimization/ema_optimizer.py), as
 * part of a model that a training can go on from. */
#ifndef DET_MODEL_OPTIMIZER_STATE_H
#define DET_MODEL_OPTIMIZER_STATE_H

#include "model/learner_state.h"

struct det_optimizer_state {
    struct det_learner_settings settings; /* the rule and its numbers */
    int64_t updates;
    int32_t slot_count, average_slot; /* as in a det_learner */
    float *slots[DET_MOST_SLOTS];     /* [the training form's param_floats] */
    /* NULL: the model's parameters are what is trained; else what is, where the model has their
     * averages */
    float *weights;
};

/* `floats`: param_floats of the training form. */
det_status det_optimizer_state_copy(struct det_env *env, const struct det_optimizer_state *state,
                                    size_t floats, struct det_optimizer_state **copy);
void det_optimizer_state_destroy(struct det_env *env, struct det_optimizer_state **state);

/* Keras' name of a slot: "momentum"; "rms", "momentum"; "m", "v"; "average" of the averages. */
const char *det_optimizer_slot_name(enum det_update_rule rule, int32_t slot, int32_t average_slot);

#endif
