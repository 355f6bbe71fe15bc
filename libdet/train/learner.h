/* learner.h: one training step: forward, targets, losses, backward, weight decay, clipping, update. What a training run
 * repeats; knows nothing of files, data order or schedules.
 *
 * Agrees with model_lib_v2.py eager_train_step() of the TF Object Detection API: the moving averages are updated in the
 * forward pass, regularization is part of the total and of the gradient, clipping is by the global norm.
 */
#ifndef DET_TRAIN_LEARNER_H
#define DET_TRAIN_LEARNER_H

#include "backend/backend.h"
#include "model/losses.h"
#include "model/net.h"
#include "model/optimizer.h"
#include "model/targets.h"

enum det_update_rule { DET_UPDATE_MOMENTUM, DET_UPDATE_RMSPROP, DET_UPDATE_ADAM };

enum { DET_MOST_SLOTS = 3 };

struct det_learner_settings {
    int32_t batch_size;
    struct det_target_settings targets;
    struct det_loss_settings loss;
    bool add_regularization_loss;
    float clip_norm; /* gradient_clipping_by_norm; 0: none */
    enum det_update_rule rule;
    float momentum; /* MOMENTUM */
    struct det_rmsprop rmsprop;
    float rmsprop_decay; /* see det_rmsprop_rate_factor() */
    struct det_adam adam;
    float average_decay; /* moving averages of the weights, see det_average_rate(); 0: none */
    int32_t accumulate;  /* batches whose mean gradient makes one update; 1: each its own. As with
                            that many replicas in the API: each batch is normalised on its own, batch
                            norms see one batch at a time and keep their moving statistics after each */
};

/* Zoo defaults: batch 8, momentum .9. */
void det_learner_settings_default(struct det_learner_settings *settings);

struct det_step_result {
    double localization_loss, classification_loss, regularization_loss, total_loss;
    double gradient_norm; /* global, before clipping */
    int64_t matched_anchors;
};

struct det_learner {
    struct det_learner_settings settings;
    struct det_model_spec spec;
    struct det_graph graph;
    float (*anchors)[4];
    const struct det_backend *backend; /* borrowed, like the device */
    struct det_device *device;
    struct det_step *step;
    /* The host's copy of what a device may have of its own: det_learner_pull() and det_learner_push(). */
    float *params, *gradients; /* [graph.param_floats] */
    float *slots
        [DET_MOST_SLOTS]; /* optimizer state: velocity; mean square and moment; first and second moment; then averages */
    int32_t slot_count;
    int32_t average_slot; /* -1: none are kept */
    int32_t batches_done; /* of the update under way */
    bool *trainable;      /* [graph.param_count], to be cleared for frozen variables */
    int64_t updates;      /* steps done: Adam and RMSProp count them */
};

/* Parameters are the initial ones drawn from `seed`; the caller overwrites those it restores, then pushes. Backend and device
 * must outlive the learner. */
det_status det_learner_create(struct det_env *env, const struct det_model_spec *spec,
                              const struct det_learner_settings *settings,
                              const struct det_backend *backend, struct det_device *device,
                              uint64_t seed, struct det_learner **learner);
void det_learner_destroy(struct det_env *env, struct det_learner **learner);

/* Parameters and optimizer state to the device after the host has changed them; back from it before the host reads them. Moving
 * averages begin as the parameters pushed before the first update. */
det_status det_learner_push(struct det_env *env, struct det_learner *learner);
det_status det_learner_pull(struct det_env *env, struct det_learner *learner);

/* Puts the averages of what is trained into a copy of the parameters; pull first. */
void det_learner_averages(const struct det_learner *learner, float *params);

/* How the network runs in a step. */
static inline enum det_net_mode det_learner_mode(const struct det_learner *learner)
{
    return learner->spec.freeze_batchnorm ? DET_NET_TRAIN_FROZEN : DET_NET_TRAIN;
}

/* Losses and gradients for a batch, nothing updated. images [N, input_height, input_width, 3] of 0..255; truths [N].
 * NON_FINITE names the first operation whose output is not finite. The gradients are in learner->gradients. */
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
/* The same in pieces, as backend.h says: where learner->backend->stages_ahead, the next batch may be staged between begin and
 * end; else a staged batch must be left alone until end. */
det_status det_learner_stage(struct det_env *env, struct det_learner *learner, const float *images,
                             const struct det_ground_truth *truths);
/* Where learner->backend->step_stage_pictures is. */
det_status det_learner_stage_pictures(struct det_env *env, struct det_learner *learner,
                                      const struct det_picture *pictures,
                                      const struct det_ground_truth *truths);
det_status det_learner_begin(struct det_env *env, struct det_learner *learner, float learning_rate);
det_status det_learner_end(struct det_env *env, struct det_learner *learner,
                           struct det_step_result *result);
/* With settings.accumulate each batch is staged, begun and ended; the last one's end updates and gives the means of the losses,
 * the norm of the mean gradient and all matched anchors. After a failure the update begins anew. */

/* Sum over regularised parameters, as the API adds to its loss. */
double det_regularization_loss(const struct det_graph *graph, struct det_pool *pool,
                               const float *params);

#endif
