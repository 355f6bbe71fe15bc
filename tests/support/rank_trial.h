/* rank_trial.h: one job done by ranks that are threads, or by one process alone, and how it went on
 * each of them. */
#ifndef DET_TESTS_SUPPORT_RANK_TRIAL_H
#define DET_TESTS_SUPPORT_RANK_TRIAL_H

#include "support/rank_models.h"
#include "support/thread_ranks.h"

enum { RANK_TRIAL_MOST = 5 };

/* One rank's. */
struct rank_seen {
    det_status status;
    char message[DET_ERROR_BYTES];
    int64_t last, total; /* of its progress */
    int calls, stop_at;  /* 0: never */
    bool fell;
};

/* Begins a struct of the test's. */
struct rank_trial {
    int32_t size; /* 0: one process without a communicator */
    struct rank_model *ranks;
    /* A rank's part. It runs in threads, where nothing may be asserted. */
    det_status (*part)(struct rank_trial *trial, int32_t rank, det_communicator *communicator);
    struct rank_seen seen[RANK_TRIAL_MOST];
};

void rank_trial_run(struct rank_trial *trial);
/* The progress of a rank, `user` is its rank_seen. */
int rank_trial_note(void *user, int64_t done, int64_t total);

/* The same status everywhere, with the same words. */
void rank_trial_assert_fails(const struct rank_trial *trial, det_status status, const char *text);
void rank_trial_assert_ok(const struct rank_trial *trial);

#endif
