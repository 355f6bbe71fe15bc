/* communicator_parts.h: what is behind a det_communicator: communicator.c makes it and waits,
 * communicator_agree.c has what all ranks come to together. */
#ifndef DET_RANKS_COMMUNICATOR_PARTS_H
#define DET_RANKS_COMMUNICATOR_PARTS_H

#include "ranks/communicator.h"

/* How a part of the work went on a rank. */
struct det_rank_outcome {
    int32_t status;
    char message[DET_ERROR_BYTES];
};

struct det_communicator {
    struct det_env *env; /* of the context that made it */
    struct det_transport *transport;
    struct det_lifeline *lifeline;
    char (*hosts)[DET_HOST_BYTES]; /* [size] */
    /* [size], both, of one collective at a time: a rank that has no memory left has to say so */
    int64_t *numbers;
    struct det_rank_outcome *outcomes;
    int32_t over;        /* transfers, of all slots; from 0 again where it would overflow */
    bool waits;          /* for the other ranks */
    bool broken;         /* somebody is lost or has given up, this rank too */
    int32_t failed_rank; /* what all agreed on last was that one's failure; -1 */
    bool agreed;         /* on a failure, and nothing was done together since: all know it */
};

#endif
