/* learner_state.h: what a training step reads and writes: its settings, the network, and the host's
 * arrays of parameters, gradients and optimizer state. A device's step works on it
 * (devices/backend.h), train/learner.h makes and drives it. */
#ifndef DET_MODEL_LEARNER_STATE_H
#define DET_MODEL_LEARNER_STATE_H

#include "model/act_ranges.h"
#include "model/losses.h"
#include "model/net.h"
#include "model/optimizer.h"
#include "model/targets.h"

struct det_backend;
struct det_communicator;
struct det_device;
struct det_step;

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
    /* batches whose mean gradient makes one update; 1: each its own. As with that many replicas in
     * the API: each batch is normalised on its own, batch norms see one batch at a time and keep
     * their moving statistics after each */
    int32_t accumulate;
    /* graph_rewriter: after so many updates the network is trained with the rounding of 8 bits in
     * it (model/fold.h) */
    bool quantise;
    int64_t quantise_delay;
    struct det_communicator
        *communicator; /* borrowed: the ranks that learn together; NULL: alone */
    bool sync_batch_norm;
    bool bf16_gradients;
    size_t bucket_floats; /* gradients that travel together, at least; 0: what is usual */
    /* asked between the operations of a step of several ranks, on a GPU while its end is waited
     * for: it is dropped then, CANCELLED; NULL: nobody is asked */
    bool (*wants_stop)(void *user);
    void *wants_stop_user;
};

/* Zoo defaults: batch 8, momentum .9. */
void det_learner_settings_default(struct det_learner_settings *settings);

struct det_step_result {
    double localization_loss, classification_loss, regularization_loss, total_loss;
    double gradient_norm; /* global, before clipping */
    int64_t matched_anchors;
    /* With several ranks: what this one waited for the others and for bytes on their way; and how
     * long each rank needed for the update without waiting for others [size], the step's until the
     * next one, NULL where that is not known. */
    double rank_wait_seconds;
    const double *rank_seconds;
};

struct det_learner {
    struct det_learner_settings settings;
    struct det_model_spec spec;
    struct det_graph graph;
    float (*anchors)[4];
    const struct det_backend *backend; /* borrowed, like the device */
    struct det_device *device;
    struct det_step *step;
    /* The host's copy of what a device may have of its own: det_learner_pull() and
     * det_learner_push(). */
    float *params, *gradients; /* [graph.param_floats] */
    /* optimizer state: velocity; mean square and moment; first and second moment; then averages */
    float *slots[DET_MOST_SLOTS];
    int32_t slot_count;
    int32_t average_slot;         /* -1: none are kept */
    int32_t batches_done;         /* of the update under way */
    bool *trainable;              /* [graph.param_count], to be cleared for frozen variables */
    int64_t updates;              /* steps done: Adam and RMSProp count them */
    double data_wait_seconds;     /* for the batch under way, to be told to the other ranks */
    struct det_act_ranges ranges; /* with settings.quantise */
};

/* Whether the next step has the rounding of 8 bits in it. What has begun does not end. */
static inline bool det_learner_rounds(const struct det_learner *learner)
{
    return learner->settings.quantise &&
           (learner->ranges.updates > 0 || learner->updates >= learner->settings.quantise_delay);
}

/* How the network runs in a step without that. */
static inline enum det_net_mode det_learner_mode(const struct det_learner *learner)
{
    return learner->spec.freeze_batchnorm ? DET_NET_TRAIN_FROZEN : DET_NET_TRAIN;
}

#endif
