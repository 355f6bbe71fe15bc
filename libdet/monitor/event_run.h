/* event_run.h: the event files of a folder as one run, whose steps rise and are there once: what a
 * training that was killed has written beyond its last checkpoint is made anew by the next one, and
 * must not stay beside it.
 *
 * TensorBoard passes over such events when a SessionLog START says from which step on (the summary
 * writer puts one at the beginning), but its EventAccumulator, which scripts use, does so for old
 * kinds of summaries only: so they are taken out of the files too. A file that somebody still
 * writes is left as it is.
 */
#ifndef DET_MONITOR_EVENT_RUN_H
#define DET_MONITOR_EVENT_RUN_H

#include "support/env.h"

/* The highest step of a summary; -1 when there is none. */
det_status det_event_run_last_step(struct det_env *env, const char *directory, int64_t *step);

/* Takes out the summaries of first_step and later; says how many there were. */
det_status det_event_run_cut(struct det_env *env, const char *directory, int64_t first_step);

/* Moves all summaries to DIRECTORY.old, .old-2, ...: a run begins that has nothing to do with them.
 * Nothing when there are none. */
det_status det_event_run_set_aside(struct det_env *env, const char *directory);

/* Somebody writes one of its files now. */
det_status det_event_run_in_use(struct det_env *env, const char *directory, bool *in_use);

/* Marks an event file as being written, by a lock of the kernel's that goes with the descriptor. */
void det_event_file_hold(int descriptor);

#endif
