/* process_ranks.h: ranks that are processes of this machine, each the test's own program run anew:
 * for what belongs to a process, as a GPU's context does. They meet in a file that all of them map,
 * a transport (ranks/transport.h) for what is small; sums of gradients are not its business. A
 * process that is gone is noticed as with MPI and its lifeline: RANK_LOST from what waits for it.
 *
 * A group of tests that has ranks begins with process_rank(): in a process that is one, it does the
 * rank's part and gives the group's result. */
#ifndef DET_TESTS_SUPPORT_PROCESS_RANKS_H
#define DET_TESTS_SUPPORT_PROCESS_RANKS_H

#include "ranks/communicator.h"
#include "support/test.h"

/* A rank's part: an ordinary test, in which everything may be asserted. */
typedef void (*process_rank_fn)(struct det_communicator *communicator);

struct process_part {
    const char *name;
    process_rank_fn run;
    double standstill_seconds; /* det_communicator_settings'; 0: the default */
};

/* Runs part NAME of test group GROUP ("test_x") in `size` processes and waits for all. Fails, with
 * what it said, when one fails; `lost`: a rank that is to be killed, -1: none. */
void process_ranks_run(const char *group, const char *part, int32_t size, int32_t lost);

/* False in a process that is no rank. */
bool process_rank(const struct process_part *parts, size_t count, int *failures);

#endif
