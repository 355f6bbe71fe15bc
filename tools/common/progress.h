/* progress.h: what det-train tells while it trains: the API's line on stdout every so many steps, a
 * progress line with the time left, evaluations, and the sum at the end. */
#ifndef DET_TOOLS_COMMON_PROGRESS_H
#define DET_TOOLS_COMMON_PROGRESS_H

#include "common/tool.h"

struct progress {
    struct tool *tool;
    int64_t log_every;
    int64_t eval_every; /* 0: no evaluations */
    int64_t steps;      /* since the last line on stdout */
    double seconds;     /* of those */
    int64_t all_steps;  /* of this run */
    double all_seconds, all_wait_seconds;
    double rate; /* smoothed seconds a step */
    int64_t evaluations;
    double eval_seconds; /* of all of them */
    det_status status;   /* the first failure while telling */
};

/* Takes in a report, prints what is due. */
void progress_step(struct progress *progress, const det_step_report *report);
/* One line about the whole run. */
void progress_sum(const struct progress *progress);
/* For det_evaluation_settings.progress: stops on Ctrl-C. */
int progress_evaluating(void *user, int64_t done, int64_t total);

#endif
