/* cuda_sync.h: what ranks that normalise together share while a batch is under way: each batch
 * norm's statistics and backward its gradient's sums, and the weight by which losses are divided;
 * model/net_sync.h on the device. NCCL gathers, kernels put together in rank order, so that all
 * ranks have the same.
 *
 * The computing stream waits for each gather, and a gather for the gradients that left before it:
 * there is one stream of NCCL's. */
#ifndef DET_DEVICES_CUDA_SYNC_H
#define DET_DEVICES_CUDA_SYNC_H

#include "devices/cuda/cuda_ranks.h"
#include "targets.h"

struct det_cuda_sync {
    const struct det_cuda_ranks *ranks;
    /* In the step's memory: a norm's sums of this rank [2 * channels], of all ranks statistics or
     * sums [size][2 * channels], weights [size]. */
    float *mine, *all;
    double *weights;
};

/* Enqueued. Mean and variance [2 * channels] of this rank's pictures become those of all. */
det_status det_cuda_sync_statistics(struct det_env *env, const struct det_device *device,
                                    const struct det_cuda_sync *sync, int32_t channels,
                                    float *statistics);
/* Of the sums at `mine`, those of beta first: what detk_bn_backward_rows() wants. */
det_status det_cuda_sync_sums(struct det_env *env, const struct det_device *device,
                              const struct det_cuda_sync *sync, int32_t channels, float *dbeta,
                              float *dgamma);
det_status det_cuda_sync_weights(struct det_env *env, const struct det_device *device,
                                 const struct det_cuda_sync *sync,
                                 const struct detk_targets *targets);

#endif
