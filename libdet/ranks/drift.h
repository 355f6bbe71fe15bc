/* drift.h: ranks whose weights are no longer the same. All make the same updates, so that is a
 * fault of a machine, and all go on from what is wrong: they look every hundred updates. */
#ifndef DET_RANKS_DRIFT_H
#define DET_RANKS_DRIFT_H

#include "ranks/communicator.h"

/* Whether they look before a batch: the first one of such an update. */
static inline bool det_ranks_compare_weights(int64_t updates, int32_t batches_done)
{
    return updates % 100 == 0 && batches_done == 0;
}

/* MISMATCH: a rank has other weights than rank 0. */
det_status det_ranks_have_drifted(struct det_env *env, const det_communicator *communicator,
                                  int32_t rank);

#endif
