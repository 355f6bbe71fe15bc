#include "support/rank_trial.h"

static void run_one(struct rank_trial *trial, int32_t rank, det_communicator *communicator)
{
    struct rank_seen *seen = &trial->seen[rank];
    seen->status = trial->part(trial, rank, communicator);
    snprintf(seen->message, sizeof seen->message, "%s",
             det_context_error(trial->ranks[rank].context));
}

static void run_rank(void *user, struct det_env *env, det_communicator *communicator)
{
    (void)env;
    run_one(user, det_communicator_rank(communicator), communicator);
}

void rank_trial_run(struct rank_trial *trial)
{
    if (trial->size == 0)
        run_one(trial, 0, NULL);
    else
        thread_ranks_run(&(struct thread_ranks_settings){.size = trial->size, .most_looks = 3},
                         run_rank, trial);
}

int rank_trial_note(void *user, int64_t done, int64_t total)
{
    struct rank_seen *seen = user;
    seen->fell = seen->fell || done < seen->last || done > total;
    seen->last = done;
    seen->total = total;
    return ++seen->calls == seen->stop_at;
}

void rank_trial_assert_fails(const struct rank_trial *trial, det_status status, const char *text)
{
    for (int32_t r = 0; r < trial->size; r++) {
        assert_int_equal(trial->seen[r].status, status);
        assert_string_equal(trial->seen[r].message, trial->seen[0].message);
        assert_contains(trial->seen[r].message, text);
    }
}

void rank_trial_assert_ok(const struct rank_trial *trial)
{
    for (int32_t r = 0; r == 0 || r < trial->size; r++)
        if (trial->seen[r].status != DET_OK)
            fail_msg("rank %d of %d: %s", (int)r, (int)trial->size, trial->seen[r].message);
}
