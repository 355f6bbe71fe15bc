/* learner.h: one training step: forward, targets, losses, backward, weight decay, clipping, update.
 * What a training run repeats; knows nothing of files, data order or schedules.
 *
 * Agrees with model_lib_v2.py eager_train_step() of the TF Object Detection API: the moving
 * averages are updated in the forward pass, regularization is part of the total and of the
 * gradient, clipping is by the global norm.
 */
#ifndef DET_TRAIN_LEARNER_H
#define DET_TRAIN_LEARNER_H

#include "devices/backend.h"
#include "model/learner_state.h"

/* Parameters are the initial ones drawn from `seed`; the caller overwrites those it restores, then
 * pushes. Backend and device must outlive the learner. */
det_status det_learner_create(struct det_env *env, const struct det_model_spec *spec,
                              const struct det_learner_settings *settings,
                              const struct det_backend *backend, struct det_device *device,
                              uint64_t seed, struct det_learner **learner);
/* The host's arrays alone, for reading and writing checkpoints: it can make no step. */
det_status det_learner_create_idle(struct det_env *env, const struct det_model_spec *spec,
                                   const struct det_learner_settings *settings, uint64_t seed,
                                   struct det_learner **learner);
void det_learner_destroy(struct det_env *env, struct det_learner **learner);

/* Parameters and optimizer state to the device after the host has changed them; back from it before
 * the host reads them. Moving averages begin as the parameters pushed before the first update. */
det_status det_learner_push(struct det_env *env, struct det_learner *learner);
det_status det_learner_pull(struct det_env *env, struct det_learner *learner);

/* Puts the averages of what is trained into a copy of the parameters; pull first. */
void det_learner_averages(const struct det_learner *learner, float *params);

/* Losses and gradients for a batch, nothing updated. images [N, input_height, input_width, 3] of
 * 0..255; truths [N]. NON_FINITE names the first operation whose output is not finite. The
 * gradients are in learner->gradients. */
det_status det_learner_gradients(struct det_env *env, struct det_learner *learner,
                                 const float *images, const struct det_ground_truth *truths,
                                 struct det_step_result *result);
/* Clips, updates parameters and moving averages. */
det_status det_learner_update(struct det_env *env, struct det_learner *learner, float learning_rate,
                              const struct det_step_result *result);

/* Both. After NON_FINITE nothing was updated. */
det_status det_learner_step(struct det_env *env, struct det_learner *learner, const float *images,
                            const struct det_ground_truth *truths, float learning_rate,
                            struct det_step_result *result);
/* The same in pieces, as backend.h says: where learner->backend->stages_ahead, the next batch may
 * be staged between begin and end; else a staged batch must be left alone until end. */
det_status det_learner_stage(struct det_env *env, struct det_learner *learner, const float *images,
                             const struct det_ground_truth *truths);
/* Where learner->backend->step_stage_pictures is. */
det_status det_learner_stage_pictures(struct det_env *env, struct det_learner *learner,
                                      const struct det_picture *pictures,
                                      const struct det_ground_truth *truths);
det_status det_learner_begin(struct det_env *env, struct det_learner *learner, float learning_rate);
det_status det_learner_end(struct det_env *env, struct det_learner *learner,
                           struct det_step_result *result);
/* With settings.accumulate each batch is staged, begun and ended; the last one's end updates and
 * gives the means of the losses, the norm of the mean gradient and all matched anchors. After a
 * failure the update begins anew. */

#endif
