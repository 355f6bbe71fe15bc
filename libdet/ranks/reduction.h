/* reduction.h: what all ranks have computed becomes one, while they go on computing.
 *
 * Each rank fills a vector; it is cut into a piece for each rank, piece r of all ranks goes to rank
 * r, is combined there in the order of the ranks, and what came out goes to all: a reduce-scatter
 * and an all-gather, twice the vector's bytes over each link whatever the number of ranks is. MPI's
 * own reductions add in an order that depends on the transport and the number of ranks; here it is
 * the order in which one process would have added (--accumulate), so the bits are the same.
 *
 * A vector is combined by adding, and multiplied in the end, or, for moving averages, by
 * a -= (a - x) * rate with each rank's x in turn.
 *
 * A round is one vector set from each rank; an update can be of several rounds, over which the
 * combining goes on where it was: that of batch 0 of all ranks, then that of batch 1. What all have
 * goes out behind the last.
 *
 * The vectors are started in the same order by all ranks; each goes on by itself then, whenever
 * det_reduction_progress() is called.
 */
#ifndef DET_RANKS_REDUCTION_H
#define DET_RANKS_REDUCTION_H

#include "ranks/communicator.h"

struct det_reduction;

struct det_vector {
    size_t count;
    const float *rates; /* [count], borrowed: combined as moving averages; NULL: added */
};

/* At most DET_REDUCTION_VECTORS vectors. With `bf16` what is added goes over the wire in bf16, both
 * ways; sums are in float32, and all ranks get the same values. */
enum { DET_REDUCTION_VECTORS = DET_TRANSPORT_SLOTS - 1 };
det_status det_reduction_create(struct det_env *env, det_communicator *communicator,
                                const struct det_vector *vectors, int32_t count, bool bf16,
                                struct det_reduction **reduction);
void det_reduction_destroy(struct det_env *env, struct det_reduction **reduction);

struct det_round {
    bool first, last; /* of an update */
    float share;      /* what sums are multiplied by behind the last */
};
void det_reduction_begin(struct det_reduction *reduction, struct det_round round);

/* Where a vector's values of this rank are put before it is started, and where the result is when
 * the last round is over. Of a moving average the first round needs the present ones, which all
 * ranks have alike, in det_reduction_start(). */
float *det_reduction_values(struct det_reduction *reduction, int32_t vector);
det_status det_reduction_start(struct det_env *env, struct det_reduction *reduction, int32_t vector,
                               const float *moving);

/* Moves on what has come; never waits. */
det_status det_reduction_progress(struct det_env *env, struct det_reduction *reduction);
/* Until the round is over on this rank. */
det_status det_reduction_wait(struct det_env *env, struct det_reduction *reduction);

#endif
