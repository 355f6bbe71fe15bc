/* training_runs.h: what tests that end det-train in the middle look at: its log, and the folder
 * that it leaves. */
#ifndef DET_TESTS_SUPPORT_TRAINING_RUNS_H
#define DET_TESTS_SUPPORT_TRAINING_RUNS_H

#include "support/workspace.h"

/* A number above 0 of an environment variable. */
long number_from_env(const char *name, long otherwise);
double now_seconds(void);
void sleep_seconds(double seconds);

/* The step in the last line "WORDS MODEL_DIR/ckpt-STEP.det" of a log, -1 when there is none. */
long last_step(const struct workspace *w, const char *log, const char *words);

/* The checkpoint of the last step and the best one. */
struct training_result {
    char *last, *best; /* malloc */
    size_t last_bytes, best_bytes;
};
struct training_result training_result_read(const struct workspace *w, int step);
void training_result_free(struct training_result *result);
void assert_same_result(const struct training_result *a, const struct training_result *b,
                        long trial);

/* Straight after a kill: the best checkpoint that was reported, or a newer one, is there and
 * whole. */
void assert_best_is_there(const struct workspace *w, const char *log);
/* And so is each checkpoint of the folder. */
void assert_checkpoints_are_whole(const struct workspace *w);

#endif
