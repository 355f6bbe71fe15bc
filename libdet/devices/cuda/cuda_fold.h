/* cuda_fold.h: training in 8 bits on the device: the folded network, its parameters and gradients,
 * the tables that fold and unfold them (kernels/fold.h), the ranges. What model/fold.h and
 * devices/cpu/cpu_step.c do.
 *
 * Nothing, all zeros, where the settings do not ask for it. */
#ifndef DET_DEVICES_CUDA_FOLD_H
#define DET_DEVICES_CUDA_FOLD_H

#include "devices/cuda/cuda_net.h"
#include "fold.h"
#include "model/fold.h"
#include "model/learner_state.h"

struct det_cuda_fold {
    struct det_graph graph; /* folded */
    struct det_cuda_net net;
    int32_t layer_count, head_count, most_channels;

    /* Offsets in the layout. */
    size_t params_at, gradients_at, layers_at, heads_at, ranges_at, rate_at, sums_at;

    /* Device memory. */
    float *params, *gradients; /* [graph.param_floats] */
    struct detk_fold_layer *layers;
    int32_t *heads;
    struct detk_ranges ranges;
    float *sums;     /* of the ranges of an update of several batches; NULL: of one */
    int32_t batches; /* of an update */
    float *rate;
    float *staged_rate; /* pinned */
};

/* `layout` is where the network's memory goes, which another network may have, too. */
det_status det_cuda_fold_plan(struct det_env *env, struct det_device *device,
                              const struct det_learner *learner, int32_t batch,
                              struct det_cuda_layout *layout, struct det_cuda_fold *fold);
/* The rest, which is its own. */
void det_cuda_fold_place(const struct det_learner *learner, struct det_cuda_layout *layout,
                         struct det_cuda_fold *fold);
void det_cuda_fold_bind(struct det_cuda_fold *fold, uint8_t *memory, void *workspace);
det_status det_cuda_fold_upload(struct det_env *env, const struct det_device *device,
                                const struct det_learner *learner, struct det_cuda_fold *fold);
void det_cuda_fold_free(struct det_env *env, struct det_cuda_fold *fold);

/* The ranges to the device and back. */
det_status det_cuda_fold_push(struct det_env *env, const struct det_device *device,
                              const struct det_learner *learner, const struct det_cuda_fold *fold);
det_status det_cuda_fold_pull(struct det_env *env, const struct det_device *device,
                              struct det_learner *learner, const struct det_cuda_fold *fold);

/* What the next batch weighs in the ranges, to be staged before a step. */
void det_cuda_fold_stage(const struct det_learner *learner, const struct det_cuda_fold *fold);
/* What forward has seen, as the `seen` of detk_keep_ranges() [det_cuda_fold_seen_count()]. */
static inline size_t det_cuda_fold_seen_count(const struct det_cuda_fold *fold)
{
    return 2 * (size_t)fold->graph.tensor_count;
}
static inline const float *det_cuda_fold_seen(const struct det_cuda_fold *fold)
{
    return fold->ranges.with_low;
}
/* Enqueued: weights before forward, gradients behind backward, the ranges of a batch of each rank,
 * as detk_keep_ranges(). */
det_status det_cuda_fold_forward(struct det_env *env, const struct det_cuda_fold *fold,
                                 const float *params);
det_status det_cuda_fold_backward(struct det_env *env, const struct det_cuda_fold *fold,
                                  const float *params, float *gradients);
det_status det_cuda_fold_keep(struct det_env *env, const struct det_cuda_fold *fold,
                              const float *seen, int32_t ranks, const struct detk_hyper *hyper,
                              const struct detk_step_result *step);

#endif
