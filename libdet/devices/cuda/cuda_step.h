/* cuda_step.h: a training step on the device: struct det_step of the backend's interface. Follows
 * train/learner.c figure by figure.
 *
 * A step copies in (images, boxes, learning rate), computes everything on the device without the
 * host looking at anything, and copies a few numbers out; the host waits once, at the end. Whether
 * loss and gradients are finite is decided on the device, where a step that is not updates
 * nothing. */
#ifndef DET_DEVICES_CUDA_STEP_H
#define DET_DEVICES_CUDA_STEP_H

#include "devices/cuda/cuda_batch.h"
#include "devices/cuda/cuda_fold.h"
#include "devices/cuda/cuda_net.h"
#include "devices/cuda/cuda_sync.h"
#include "devices/cuda/cuda_tables.h"
#include "losses.h"
#include "model/learner_state.h"

struct det_step {
    struct det_device *device;
    struct det_learner *learner;
    int32_t batch;
    struct det_cuda_net net;
    bool rounds;                  /* the next step is of this network: */
    struct det_cuda_fold fold;    /* with settings.quantise; in the same memory as `net` */
    struct det_cuda_ranks *ranks; /* that learn with it; NULL: it learns alone */
    struct det_cuda_sync sync;    /* with sync_batch_norm, of these */
    struct det_cuda_block memory, pinned;

    struct det_cuda_batch batches[DET_CUDA_BATCHES];
    /* was or is filled next; the other one while a step is under way */
    struct det_cuda_batch *filled;
    struct det_cuda_batch *learned; /* the step that is or was last under way learns from it */
    bool staged;                    /* `filled` waits for a step */
    bool running;

    /* Sizes, and offsets of what is placed in `memory`. */
    int32_t chunk_count, moving_runs, norm_count;
    size_t image_bytes; /* of a picture's place: one image of floats */
    size_t params_at, gradients_at, slots_at[DET_MOST_SLOTS], anchors_at, targets_at[7], losses_at,
        picture_sums_at, found_at, sums_at, so_far_at, hyper_at, chunks_at, moving_at, heads_at,
        workspace_at;
    /* With ranks: places of what they have pointers to. */
    size_t seen_at, squares_at, wire_at, weights_at, sync_mine_at, sync_weights_at;
    struct det_cuda_layout layout;

    /* Device memory. */
    float *params, *gradients, *slots[DET_MOST_SLOTS];
    float (*anchors)[4];
    struct detk_targets targets;
    struct detk_loss_values *losses;
    struct detk_step_result *found;
    /* With accumulation: of the batches so far. */
    float *sums;
    struct detk_step_result *so_far;
    struct detk_hyper *hyper;
    struct detk_chunk *chunks;
    struct detk_bn_moving *moving;
    int32_t *heads;
    void *picture_sums; /* of detk_pictures() */
    void *workspace;

    /* Host memory. */
    struct det_picture *given; /* [batch] images that were given as floats */

    /* Pinned memory. */
    struct detk_hyper *staged_hyper;
    struct detk_step_result *result;
};

/* The network that a step runs. */
static inline const struct det_cuda_net *det_cuda_step_net(const struct det_step *step)
{
    return step->rounds ? &step->fold.net : &step->net;
}

/* Functions of struct det_backend. cuda_step.c: life and memory. */
det_status det_cuda_step_create(struct det_env *env, struct det_device *device,
                                struct det_learner *learner, struct det_step **step);
void det_cuda_step_destroy(struct det_env *env, struct det_step **step);
size_t det_cuda_step_bytes(const struct det_step *step);
det_status det_cuda_step_push(struct det_env *env, struct det_step *step);
det_status det_cuda_step_pull(struct det_env *env, struct det_step *step);
det_status det_cuda_step_pull_gradients(struct det_env *env, struct det_step *step);
/* cuda_step_run.c: running. A step in its pieces, each enqueued: boxes and the pictures as input,
 * the network forward, targets and losses, (the network backward,) weight decay and norm, update
 * with what follows from it. */
det_status det_cuda_step_enqueue_input(struct det_env *env, const struct det_step *step);
det_status det_cuda_step_enqueue_forward(struct det_env *env, const struct det_step *step);
det_status det_cuda_step_enqueue_losses(struct det_env *env, const struct det_step *step);
det_status det_cuda_step_enqueue_norm(struct det_env *env, const struct det_step *step);
det_status det_cuda_step_enqueue_update(struct det_env *env, const struct det_step *step);
/* cuda_step_ranks.c: the same of a step with other ranks: all from the input to the norm, which is
 * that of the ranks' mean gradients; and at its end, `mine` being how this rank's part went, the
 * figures of all ranks in *result, or the failure of one of them. Collective. */
det_status det_cuda_step_enqueue_joined(struct det_env *env, const struct det_step *step);
det_status det_cuda_step_join(struct det_env *env, struct det_step *step, det_status mine,
                              struct det_step_result *result);
/* This rank failed in the middle of a step, or a rank is lost: det_cuda_ranks_fail(). Nothing for a
 * step alone. */
det_status det_cuda_step_part(struct det_env *env, struct det_step *step, det_status status);
/* A step that was given up with `status` may have been through on the device all the same, and its
 * update is not to be taken back: then DET_OK, the step counts, and the next one says what was the
 * matter. */
det_status det_cuda_step_salvage(struct det_env *env, struct det_step *step, det_status status);
det_status det_cuda_step_gradients(struct det_env *env, struct det_step *step, const float *images,
                                   const struct det_ground_truth *truths,
                                   struct det_step_result *result);
det_status det_cuda_step_update(struct det_env *env, struct det_step *step, float learning_rate,
                                const struct det_step_result *result);
det_status det_cuda_step_stage(struct det_env *env, struct det_step *step, const float *images,
                               const struct det_ground_truth *truths);
det_status det_cuda_step_stage_pictures(struct det_env *env, struct det_step *step,
                                        const struct det_picture *pictures,
                                        const struct det_ground_truth *truths);
det_status det_cuda_step_begin(struct det_env *env, struct det_step *step, float learning_rate);
det_status det_cuda_step_end(struct det_env *env, struct det_step *step,
                             struct det_step_result *result);

#endif
