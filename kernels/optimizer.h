/* optimizer.h: weight decay, gradient norm, clipping and the update of all variables in three
 * launches whatever their number. Agrees with model/optimizer.h and train/learner.c
 * finish_gradients(), det_learner_update(). */
#ifndef DET_KERNELS_OPTIMIZER_H
#define DET_KERNELS_OPTIMIZER_H

#include "kernel.h"
#include "model/optimizer.h"

DETK_BEGIN

/* A piece of the parameter block [offset, offset + count), count <= DETK_CHUNK, within one
 * variable; offsets are multiples of 16 floats. Table in device memory, in the order of the
 * variables. */
#define DETK_CHUNK 4096
struct detk_chunk {
    int64_t offset;
    int32_t count;
    float l2;          /* weight of the regularization loss, 0: none */
    int32_t trainable; /* 0: only its regularization loss counts */
};

/* What changes from step to step and is decided on the host: device memory, uploaded before the
 * step, so that a captured graph can be replayed. */
struct detk_hyper {
    /* RMSProp: times det_rmsprop_rate_factor(); Adam: times det_adam_correction() */
    float learning_rate;
    float average_rate;   /* det_average_rate() of this update */
    int32_t batches_done; /* of the update under way, where several batches make one */
};

/* What a step found: device memory, copied to the host at its end. */
struct detk_step_result {
    double localization_loss, classification_loss, regularization_loss, total_loss;
    double gradient_norm;
    int64_t matched_anchors;
    float clip_factor;
    int32_t finite; /* 0: total loss or norm is not finite */
    int32_t update; /* 0: nothing is updated: not finite, or more batches of the update follow */
};

struct detk_loss_values;

size_t detk_gradient_norm_workspace(int32_t chunks);
/* gradients += l2 * params for trainable chunks with l2 > 0 when `regularize`; norm over trainable
 * chunks; regularization loss sum l2 / 2 * w^2 over all chunks when `regularize`, else 0; then
 * *step from `losses` and these, clip_factor as det_clip_factor(norm, clip_norm) (clip_norm 0: 1).
 * Sums in double, in the order of the chunks. */
cudaError_t detk_gradient_norm(cudaStream_t stream, const struct detk_chunk *chunks,
                               int32_t chunk_count, bool regularize, float clip_norm,
                               const float *params, float *gradients,
                               const struct detk_loss_values *losses, struct detk_step_result *step,
                               void *workspace);

/* The same in two: the pieces [first, first + count) of the table alone, whose sums wait in the
 * workspace, which is theirs until then; and *step, when all pieces are there. */
cudaError_t detk_gradient_norm_chunks(cudaStream_t stream, const struct detk_chunk *chunks,
                                      int32_t first, int32_t count, bool regularize,
                                      const float *params, float *gradients, void *workspace);
cudaError_t detk_gradient_norm_finish(cudaStream_t stream, int32_t chunk_count, float clip_norm,
                                      const struct detk_loss_values *losses,
                                      struct detk_step_result *step, const void *workspace);

/* After that, where several ranks learn together and the gradients are their sums by now: makes
 * means of them, and norm, clip_factor, finite and update in *step what these say. Nothing when
 * step->finite is 0: the ranks' lowest. *left is the host's, pinned: 1 when a rank was lost, and so
 * the sums may be none; that is as if they were not finite, whenever it is written: either all of
 * the update takes place or nothing. Workspace as detk_gradient_norm(). */
cudaError_t detk_mean_gradients(cudaStream_t stream, const struct detk_chunk *chunks,
                                int32_t chunk_count, int32_t ranks, float clip_norm,
                                const int32_t *left, float *gradients,
                                struct detk_step_result *step, void *workspace);

/* After detk_gradient_norm(), where `batches` of them make one update: takes the batch into `sums`
 * [floats] and *so_far, the first one (hyper->batches_done 0) in their place. With the last,
 * gradients and *step become the means over the batches, the norm that of the mean gradient;
 * before, step->update becomes 0. A batch that is not finite leaves all as it was, *step too.
 * Agrees with accumulate() of devices/cpu/cpu_step.c. Workspace as detk_gradient_norm(). */
cudaError_t detk_accumulate_gradients(cudaStream_t stream, const struct detk_chunk *chunks,
                                      int32_t chunk_count, int32_t batches, float clip_norm,
                                      const struct detk_hyper *hyper, float *gradients, float *sums,
                                      struct detk_step_result *so_far,
                                      struct detk_step_result *step, void *workspace);

/* Updates of trainable chunks with gradient * step->clip_factor; nothing when step->update is 0. */
cudaError_t detk_sgd(cudaStream_t stream, const struct detk_chunk *chunks, int32_t chunk_count,
                     float momentum, const struct detk_hyper *hyper,
                     const struct detk_step_result *step, float *params, const float *gradients,
                     float *velocity);
cudaError_t detk_rmsprop(cudaStream_t stream, const struct detk_chunk *chunks, int32_t chunk_count,
                         const struct det_rmsprop *settings, const struct detk_hyper *hyper,
                         const struct detk_step_result *step, float *params, const float *gradients,
                         float *mean_square, float *moment);
cudaError_t detk_adam(cudaStream_t stream, const struct detk_chunk *chunks, int32_t chunk_count,
                      const struct det_adam *settings, const struct detk_hyper *hyper,
                      const struct detk_step_result *step, float *params, const float *gradients,
                      float *first_moment, float *second_moment);
/* Moving averages of trainable chunks after such an update, as det_average_update(). */
cudaError_t detk_average(cudaStream_t stream, const struct detk_chunk *chunks, int32_t chunk_count,
                         const struct detk_hyper *hyper, const struct detk_step_result *step,
                         const float *params, float *averages);

DETK_END
#endif
