/* cuda_ranks_start.h: how ranks find their GPUs and each other; part of cuda_ranks.h. */
#ifndef DET_DEVICES_CUDA_RANKS_START_H
#define DET_DEVICES_CUDA_RANKS_START_H

#include "devices/cuda/cuda_ranks.h"

/* Sees to it that each rank has a GPU of its own: moves a device that nobody named and nobody has
 * used to the GPU of the rank's place on its machine. DEVICE: two ranks have one. Collective. */
det_status det_cuda_ranks_place(struct det_env *env, struct det_device *device,
                                struct det_cuda_ranks *ranks);
/* Loads NCCL and makes the tie. Collective; ends when a rank is lost meanwhile, and what NCCL has
 * begun then is left to the end of the process. */
det_status det_cuda_ranks_tie(struct det_env *env, const struct det_device *device,
                              const struct det_learner_settings *settings,
                              struct det_cuda_ranks *ranks);

#endif
