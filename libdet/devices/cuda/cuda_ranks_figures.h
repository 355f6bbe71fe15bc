/* cuda_ranks_figures.h: what the ranks tell each other at the end of a batch, on the host: losses,
 * the time that each needed for itself, and now and then a checksum of the weights it began with,
 * made on the device and fetched with the step's figures. Part of cuda_ranks.h.
 *
 * A rank's own time is what the others may have to wait for: on the host from where all were
 * together to its next batch, on the device from there to the last kernel that needs nobody else.
 * Events tell the latter, recorded in a recorded step, too. With batch norms over all ranks it is
 * not known, and of the first batch neither. */
#ifndef DET_DEVICES_CUDA_RANKS_FIGURES_H
#define DET_DEVICES_CUDA_RANKS_FIGURES_H

#include "devices/cuda/cuda_ranks.h"

/* Enqueued before a batch, never recorded. `workspace` is of detk_checksum(). */
det_status det_cuda_ranks_begin(struct det_env *env, const struct det_device *device,
                                const struct det_learner *learner, struct det_cuda_ranks *ranks,
                                const float *params, void *workspace);
/* Enqueued with the batch: this rank has done its part; it has what the others made. */
det_status det_cuda_ranks_worked(struct det_env *env, const struct det_device *device,
                                 const struct det_cuda_ranks *ranks);
det_status det_cuda_ranks_met(struct det_env *env, const struct det_device *device,
                              const struct det_cuda_ranks *ranks);

/* Behind a batch that is over: everybody's figures into ranks->figures. Collective; *met: all had
 * come. MISMATCH then: the weights were not the same. */
det_status det_cuda_ranks_exchange(struct det_env *env, const struct det_learner *learner,
                                   struct det_cuda_ranks *ranks, const struct det_step_result *mine,
                                   bool *met);
/* Of a finite batch: the means of the figures, of the device's sums over an update's batches, and
 * the times of the update so far. */
void det_cuda_ranks_add_up(const struct det_learner *learner, struct det_cuda_ranks *ranks,
                           struct det_step_result *result);

#endif
