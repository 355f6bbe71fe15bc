/* progress.h: what det-train tells while it trains: a progress line with the time left or, where
 * none is seen, a log with a line every so many steps and at least every minute; a row for each
 * evaluation; at the end the sum and the tables of one evaluation. */
#ifndef DET_TOOLS_COMMON_PROGRESS_H
#define DET_TOOLS_COMMON_PROGRESS_H

#include "common/countdown.h"
#include "common/progress_json.h"
#include "common/tool.h"
#include "support/text.h"

struct progress {
    struct tool *tool;
    int64_t log_every;
    int64_t eval_every; /* 0: no evaluations */
    struct countdown evaluating;
    struct progress_json json; /* where it was opened */

    int64_t steps;     /* since the last line of the log */
    double seconds;    /* of those */
    double logged_s;   /* when that was */
    int64_t all_steps; /* of this run */
    double all_seconds, all_wait_seconds, all_rank_wait_seconds;
    double rate; /* smoothed seconds a step */
    int64_t evaluations;
    double eval_seconds; /* of all of them */
    /* of the best evaluation of this run, if it is the best of all, else of the last */
    struct det_text tables;
    bool tables_are_best;
    det_status status; /* the first failure while telling */
};

#define PROGRESS_INIT(tool_, log, eval)                                            \
    {                                                                              \
        .tool = (tool_), .log_every = (log), .eval_every = (eval), .evaluating = { \
            .what = "evaluating"                                                   \
        }                                                                          \
    }

/* Takes in a report, prints what is due. */
void progress_step(struct progress *progress, const det_step_report *report);
/* The tables, and a line about the whole run. */
void progress_sum(const struct progress *progress);
/* Ends the JSON. */
det_status progress_close(struct progress *progress);

#endif
