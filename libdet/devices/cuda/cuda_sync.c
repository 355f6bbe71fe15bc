#include "devices/cuda/cuda_sync.h"

#include "bn.h"
#include "devices/cuda/cuda_error.h"

/* The computing stream goes on when all have what each has at `mine`. */
static det_status gather(struct det_env *env, const struct det_device *device,
                         const struct det_cuda_sync *sync, const void *mine, size_t count,
                         enum det_nccl_type type, void *all)
{
    DET_TRY_RETURN(det_cuda_ranks_ready(env, device, sync->ranks));
    DET_TRY_RETURN(det_cuda_ranks_gather(env, sync->ranks, mine, count, type, all));
    return det_cuda_ranks_done(env, device, sync->ranks);
}

det_status det_cuda_sync_statistics(struct det_env *env, const struct det_device *device,
                                    const struct det_cuda_sync *sync, int32_t channels,
                                    float *statistics)
{
    DET_TRY_RETURN(
        gather(env, device, sync, statistics, 2 * (size_t)channels, DET_NCCL_FLOAT32, sync->all));
    return det_cuda_check(env,
                          detk_bn_join_statistics(device->stream, sync->ranks->size, channels,
                                                  sync->all, statistics, statistics + channels),
                          "joining the ranks' statistics");
}

det_status det_cuda_sync_sums(struct det_env *env, const struct det_device *device,
                              const struct det_cuda_sync *sync, int32_t channels, float *dbeta,
                              float *dgamma)
{
    DET_TRY_RETURN(
        gather(env, device, sync, sync->mine, 2 * (size_t)channels, DET_NCCL_FLOAT32, sync->all));
    return det_cuda_check(
        env,
        detk_bn_join_sums(device->stream, sync->ranks->size, channels, sync->all, dbeta, dgamma),
        "joining the ranks' sums");
}

det_status det_cuda_sync_weights(struct det_env *env, const struct det_device *device,
                                 const struct det_cuda_sync *sync,
                                 const struct detk_targets *targets)
{
    DET_TRY_RETURN(
        gather(env, device, sync, targets->box_weight_sum, 1, DET_NCCL_FLOAT64, sync->weights));
    return det_cuda_check(
        env, detk_targets_join(device->stream, sync->weights, sync->ranks->size, targets),
        "joining the ranks' weights");
}
