/* drift.h: ranks whose weights are no longer the same. All make the same updates, so that is a
 * fault of a machine, and all go on from what is wrong: they look every hundred updates. */
#ifndef DET_RANKS_DRIFT_H
#define DET_RANKS_DRIFT_H

#include "ranks/communicator.h"

enum { DET_COMPARE_WEIGHTS_EVERY = 100 };

/* MISMATCH: a rank has other weights than rank 0. */
det_status det_ranks_have_drifted(struct det_env *env, const det_communicator *communicator,
                                  int32_t rank);

#endif
