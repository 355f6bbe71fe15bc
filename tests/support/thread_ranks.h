/* thread_ranks.h: ranks that are threads of the test: a transport (ranks/transport.h) over shared
 * memory, for everything that has to come out the same whatever the transport is. */
#ifndef DET_TESTS_SUPPORT_THREAD_RANKS_H
#define DET_TESTS_SUPPORT_THREAD_RANKS_H

#include "ranks/communicator.h"

/* One rank's part. Runs in a thread of its own, where nothing may be asserted: what came out goes
 * to `user`, and is looked at after thread_ranks_run(). The communicator is closed behind it. */
typedef void (*thread_rank_fn)(void *user, struct det_env *env, det_communicator *communicator);

struct thread_ranks_settings {
    int32_t size;
    /* looks at a transfer that find it not done yet, so that transfers overlap; each rank's
     * own number is drawn from 0 to this */
    int32_t most_looks;
    double silence_seconds, standstill_seconds; /* 0: the default */
};

/* Makes the ranks, runs `rank` in each and waits for all; asserts that each got its
 * communicator. */
void thread_ranks_run(const struct thread_ranks_settings *settings, thread_rank_fn rank,
                      void *user);

/* One rank alone, in the calling thread; asserts. */
det_communicator *thread_ranks_one(struct det_env *env);

#endif
