#include "ranks/drift.h"

det_status det_ranks_have_drifted(struct det_env *env, const det_communicator *communicator,
                                  int32_t rank)
{
    return det_fail(env, DET_STATUS_MISMATCH,
                    "the weights of rank %d on %s are no longer those of rank 0 on %s: one of "
                    "these machines computes or remembers wrongly",
                    (int)rank, det_communicator_host(communicator, rank),
                    det_communicator_host(communicator, 0));
}
