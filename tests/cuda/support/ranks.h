/* ranks.h: what the tests of several ranks on CUDA share, each a process with a GPU of its own.
 * Under the emulation any number of GPUs is there; elsewhere as many as there are. */
#ifndef DET_TESTS_CUDA_RANKS_H
#define DET_TESTS_CUDA_RANKS_H

#include "cuda/support/tiny.h"
#include "ranks/communicator.h"
#include "support/process_ranks.h"

/* Under the emulation the machine has so many GPUs from now on. */
void ranks_machine(int32_t gpus);
/* tiny_close(), and the emulation had nothing to say. */
void ranks_finish(struct tiny *tiny);

/* All ranks have the same bytes; the same figures, but for the times that each knows of itself. */
void ranks_assert_same(struct tiny *tiny, struct det_communicator *c, const void *data,
                       size_t bytes);
void ranks_assert_same_figures(struct tiny *tiny, struct det_communicator *c,
                               const struct det_step_result *result);

/* process_ranks_run() of a part of `group`, or a word where the machine has not the GPUs. */
void ranks_run(const char *group, const char *part, int32_t size, int32_t lost);

#endif
