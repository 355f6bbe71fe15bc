/* cpu_ranks.h: a training step on the CPU whose gradients, figures and batch norm statistics become
 * those of all ranks (ranks/reduction.h): the same bits as one process that accumulates the ranks'
 * batches one after the other (accumulate() of cpu_step.c).
 *
 * Gradients are packed into buckets in the order in which the backward pass completes them, and a
 * bucket is on its way while the pass goes on. All ranks start the same, also those on which
 * something went wrong: that is told by the figures, at the end. */
#ifndef DET_DEVICES_CPU_CPU_RANKS_H
#define DET_DEVICES_CPU_CPU_RANKS_H

#include "base/pool.h"
#include "model/learner_state.h"

struct det_cpu_ranks;

/* Adds what a parameter's gradient lacks when the backward pass is through with it. */
typedef void (*det_finish_gradient_fn)(void *user, int32_t param);

/* For the learner's graph and settings, of which the communicator is one. */
det_status det_cpu_ranks_create(struct det_env *env, struct det_learner *learner,
                                struct det_pool *pool, det_finish_gradient_fn finish, void *user,
                                struct det_cpu_ranks **ranks);
void det_cpu_ranks_destroy(struct det_env *env, struct det_cpu_ranks **ranks);

/* Before a batch's forward; `net` is what it runs in. */
void det_cpu_ranks_begin(struct det_env *env, struct det_cpu_ranks *ranks, struct det_net *net);
/* Behind its forward. */
void det_cpu_ranks_forward_done(struct det_cpu_ranks *ranks);
/* Behind the assignment of its targets: with sync_batch_norm, what the losses of all ranks are
 * divided by, so that the mean over the ranks is the whole batch's; else 0. */
det_status det_cpu_ranks_normalizer(struct det_cpu_ranks *ranks, const struct det_targets *targets,
                                    double *normalizer);
/* Behind the operation `op` of its backward. */
void det_cpu_ranks_passed(struct det_cpu_ranks *ranks, int32_t op);
/* Behind the batch, `mine` is how it went here and `result` what came out. All ranks get the same:
 * with the last batch of an update the mean gradient in learner->gradients, the moving statistics
 * in its parameters and the means in *result; what one of them failed with. Nothing of the
 * parameters is changed then. */
det_status det_cpu_ranks_join(struct det_cpu_ranks *ranks, det_status mine,
                              struct det_step_result *result);

#endif
