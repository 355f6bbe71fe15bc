/* forks.h: whether this process is the one that made an object. After fork() the child has all
 * memory of its parent and none of its threads: whoever waited for one would wait for ever.
 *
 * The count of forks is the one thing here that belongs to the process and not to a context, as
 * threads do; it is only ever written in a child before it runs anything else. Asking for the
 * process id at each job would cost a system call.
 */
#ifndef DET_BASE_FORKS_H
#define DET_BASE_FORKS_H

#include "support/env.h"

/* From now on forks are counted; whoever has threads calls it first. */
det_status det_forks_watch(struct det_env *env);

/* How many forks lie between this process and the first that was watched: another number than when
 * an object was made says that it was made by a parent. */
unsigned det_forks(void);

#endif
