/* communicator.h: the ranks that train together (det/communicator.h) as the library uses them: a
 * transport, a lifeline, and the few things that are done with both at once. A wait ends in three
 * ways: the transfer is done, a rank is lost, a rank has given up. After the latter two the
 * communicator is broken and every further call says so at once.
 *
 * NULL stands for one rank alone in all functions below that take a const communicator.
 *
 * "Collective": all ranks call it, in the same order, with the same sizes.
 */
#ifndef DET_RANKS_COMMUNICATOR_H
#define DET_RANKS_COMMUNICATOR_H

#include "det/communicator.h"
#include "ranks/lifeline.h"
#include "ranks/transport.h"

/* A communicator over a transport, which it owns from then on, also after a failure. Collective.
 * MISMATCH when a rank is of another libdet. */
det_status det_communicator_create(struct det_env *env, struct det_transport *transport,
                                   const det_communicator_settings *settings,
                                   det_communicator **communicator);

/* The communicator is there, and more than one rank. */
bool det_ranks_are_many(const det_communicator *communicator);

struct det_transport *det_ranks_transport(det_communicator *communicator);

/* --- waiting --- */

/* What a start function of the transport returned; what went wrong is told to the other ranks,
 * unless one of them is why. */
det_status det_ranks_started(struct det_env *env, det_communicator *communicator,
                             det_status status);
/* Looks once; *done as the transport's test. */
det_status det_ranks_test(struct det_env *env, det_communicator *communicator, int slot,
                          bool *done);
/* Between two looks of a wait that began at `begin_ns` (det_clock_ns()): none at first, then the
 * processor is left to others, on this machine perhaps another rank, for a moment. */
void det_ranks_pause(uint64_t begin_ns);
/* Around a wait for the other ranks that looks by det_ranks_test(), or at something else and by
 * det_ranks_check(): when all ranks wait, and nothing is over anywhere for standstill_seconds, it
 * ends. */
void det_ranks_begin_wait(det_communicator *communicator);
void det_ranks_end_wait(det_communicator *communicator);
/* Until the slot's transfer is over. */
det_status det_ranks_wait(struct det_env *env, det_communicator *communicator, int slot);

/* --- collective, done when they return; of one rank they are copies --- */

/* mine [bytes] of each rank into all [size][bytes]. */
det_status det_ranks_gather(struct det_env *env, det_communicator *communicator, const void *mine,
                            void *all, size_t bytes);
/* Rank 0's data into everybody's; any size. */
det_status det_ranks_broadcast(struct det_env *env, det_communicator *communicator, void *data,
                               size_t bytes);
/* Bytes of any number from each rank. all->data has them one behind the other; rank r's are
 * [begins[r], begins[r + 1]). A rank that has no room for them says so to the others: all fail. */
struct det_gathered {
    uint8_t *data;
    size_t *begins; /* [size + 1] */
};
det_status det_ranks_gather_bytes(struct det_env *env, det_communicator *communicator,
                                  const void *mine, size_t bytes, struct det_gathered *all);
void det_gathered_free(struct det_env *env, struct det_gathered *all);

/* How a part of the work went on each rank, which all know then: DET_OK when it went well
 * everywhere; else everybody gets the status and message of the lowest rank on which it did not,
 * with "rank 2 on HOST: " before it unless all ranks say the same. The env's message is this
 * rank's. A failure that was agreed on just before is told no second time. */
det_status det_ranks_agree(struct det_env *env, det_communicator *communicator, det_status mine);

/* Whose failure that was, the last time; -1: all went well, and for NULL. */
int32_t det_ranks_failed_rank(const det_communicator *communicator);
/* The same for work that rank 0 alone does: its status and message, as they are, for all. */
det_status det_ranks_follow(struct det_env *env, det_communicator *communicator, det_status mine);
/* The smallest of all ranks' values. */
det_status det_ranks_smallest(struct det_env *env, det_communicator *communicator, int64_t mine,
                              int64_t *smallest);

/* Whether somebody is lost or has given up, without waiting for anything: DET_OK, or as the waiting
 * functions say it. */
det_status det_ranks_check(struct det_env *env, det_communicator *communicator);
/* Ranks on this rank's machine, itself among them. */
int32_t det_ranks_here(const det_communicator *communicator);

/* --- giving up --- */

/* For a failure of one rank that the others are not going to ask about: they get it, with "rank 2
 * on HOST: " before it, from what they wait for. Returns `status`. Nothing is told for DET_OK, and
 * of what all have agreed on. */
det_status det_ranks_give_up(struct det_env *env, det_communicator *communicator,
                             det_status status);

#endif
