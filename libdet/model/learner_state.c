#include "model/learner_state.h"

void det_learner_settings_default(struct det_learner_settings *settings)
{
    *settings = (struct det_learner_settings){
        .batch_size = 8,
        .add_regularization_loss = true,
        .rule = DET_UPDATE_MOMENTUM,
        .momentum = 0.9f,
        .accumulate = 1,
        .adam = DET_ADAM_DEFAULT,
        .rmsprop = {.rho = 0.9f, .momentum = 0.9f, .epsilon = 1.0f},
    };
    det_target_settings_default(&settings->targets);
    det_loss_settings_default(&settings->loss);
}
