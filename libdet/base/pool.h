/* pool.h: worker threads as an explicit handle.
 *
 * A job is `tasks` calls of one function; tasks are handed out in rising order to whichever worker
 * is free. Results must therefore not depend on which worker runs a task: a reduction writes one
 * partial result per task and adds them up in task order afterwards. That keeps every figure the
 * same, bit for bit, for any number of threads. Idle workers sleep on a condition variable; they
 * look for the next job for some 50 us first. With as many threads as the process may use
 * processors each worker stays on one of its own, not the one on which the pool was made.
 *
 * In the child of a fork the pool has no workers: the calling thread does all tasks, with the same
 * results.
 */
#ifndef DET_BASE_POOL_H
#define DET_BASE_POOL_H

#include "support/env.h"

struct det_pool;

/* task: 0..tasks-1, worker: 0..threads-1 (for scratch memory). Tasks cannot fail. */
typedef void (*det_task_fn)(void *argument, int32_t task, int32_t worker);

/* Processors that this process may keep busy, at least 1: those in its affinity mask, or as many as
 * the quota of its control group is worth. */
int det_processors(void);

/* As many threads as a process makes that was told nothing else: a processor each, but of ranks
 * that may use the same ones (base/launched.h) its share. */
int det_default_threads(void);

/* threads 0: det_default_threads(). The calling thread is worker 0, so threads - 1 are made. */
det_status det_pool_create(struct det_env *env, int threads, struct det_pool **pool);
void det_pool_destroy(struct det_env *env, struct det_pool **pool);

/* 1 for a NULL pool. */
int det_pool_threads(const struct det_pool *pool);

/* Runs all tasks and returns when the last is done. A NULL pool runs them in the calling thread.
 * One caller at a time; a task must not call det_pool_run on the same pool. */
void det_pool_run(struct det_pool *pool, int32_t tasks, det_task_fn function, void *argument);

#endif
