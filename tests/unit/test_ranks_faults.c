/* det-train under mpirun, hit at random times: a rank is killed or stopped, mpirun is asked to end.
 * A few trials here; `make test-rank-kills` sets DET_RANK_KILLS=1000.
 *
 * Each trial trains in a fresh folder on 2 to 4 ranks, with a checkpoint at every second step and
 * an evaluation at every third. All ranks must end soon, and say which rank on which host is gone;
 * the checkpoints must be whole. The same command goes on from what had been reported as saved, and
 * then the last checkpoint and the best one must be the bytes of a run that nothing happened to.
 * Every fourth goes on with another number of ranks, which must know where to go on. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "support/mpi_job.h"
#include "support/training_runs.h"

enum { LEAST_RANKS = 2, MOST_RANKS = 4 };
/* Those that are asked to end are long: mpirun lets a second pass until it asks the ranks. */
enum { SHORT_STEPS = 12, LONG_STEPS = 60, LAUNCHER_SECONDS = 1 };

/* Whatever else the machine does. */
enum { SECONDS_TO_BEGIN = 120, SECONDS_TO_TRAIN = 300 };

enum hit {
    KILL,       /* of a rank; mpirun ends the others 2 seconds later */
    KILL_ALONE, /* mpirun leaves the others alone */
    STOP,       /* of a rank, which goes silent */
    TERM,       /* to mpirun */
    INTERRUPT,  /* to mpirun */
    HITS
};
static const char *const hit_names[HITS] = {"kill -9", "kill -9 with recovery", "SIGSTOP",
                                            "SIGTERM", "SIGINT"};

/* A run that nothing happened to. */
struct undisturbed {
    struct training_result result;
    double seconds;     /* once all ranks are there */
    double seconds_met; /* once they have met */
};

struct trials {
    struct workspace workspace;
    struct det_rng rng;
    struct undisturbed short_runs[MOST_RANKS + 1], long_runs[MOST_RANKS + 1]; /* by ranks */
    double most_seconds; /* from the hit until all ranks have ended */
    double longest;      /* that it took */
    long stuck;          /* launchers, see is_stuck_launcher() */
    char log[400], host[256];
};

struct trial {
    long number;
    enum hit hit;
    int ranks;
    int victim;
    double delay;
    struct mpi_job job;
};

/* --- det-train --- */

static bool is_to_launcher(enum hit hit)
{
    return hit == TERM || hit == INTERRUPT;
}

static int steps_of(enum hit hit)
{
    return is_to_launcher(hit) ? LONG_STEPS : SHORT_STEPS;
}

static struct undisturbed *undisturbed_of(struct trials *t, enum hit hit, int ranks)
{
    return is_to_launcher(hit) ? &t->long_runs[ranks] : &t->short_runs[ranks];
}

static bool have_met(const struct trials *t)
{
    char *log = test_read_text(t->log);
    const bool have = strstr(log, "each learns from") != NULL;
    free(log);
    return have;
}

/* False: they do not. */
static bool wait_for_meeting(const struct trials *t, struct trial *trial)
{
    const double end = now_seconds() + SECONDS_TO_BEGIN;
    while (!have_met(t)) {
        if (now_seconds() > end || !mpi_job_is_there(&trial->job))
            return false;
        sleep_seconds(.005);
    }
    return true;
}

static void start(struct trials *t, struct trial *trial, int ranks)
{
    mpi_job_start(&trial->job, NULL, ranks, t->log,
                  "det-train --pipeline_config_path %s --model_dir %s --threads 1 --batch_size 12 "
                  "--checkpoint_every_n 2 --keep 3 --log_every 1 --pictures_every 0 --eval_every 3 "
                  "--eval_max_images 3 --keep_best total_loss --num_train_steps %d",
                  t->workspace.config, t->workspace.model_dir, steps_of(trial->hit));
}

static void fail_trial(const struct trials *t, struct trial *trial, const char *what)
{
    const char *log = test_read_text(t->log);
    mpi_job_print(&trial->job);
    mpi_job_end(&trial->job);
    fail_msg("trial %ld: %s of rank %d of %d after %.3f s: %s (status %d):\n%s", trial->number,
             hit_names[trial->hit], trial->victim, trial->ranks, trial->delay, what,
             trial->job.status, log);
}

static void run_undisturbed(struct trials *t, enum hit hit, int ranks)
{
    struct trial trial = {.number = -1, .hit = hit, .ranks = ranks};
    struct undisturbed *run = undisturbed_of(t, hit, ranks);
    test_remove_tree(t->workspace.model_dir);
    start(t, &trial, ranks);
    if (!mpi_job_wait_for_ranks(&trial.job, ranks, SECONDS_TO_BEGIN))
        fail_trial(t, &trial, "the ranks did not begin");
    const double begin = now_seconds();
    const double met = wait_for_meeting(t, &trial) ? now_seconds() : begin;
    if (!mpi_job_wait(&trial.job, SECONDS_TO_TRAIN) || trial.job.status != 0)
        fail_trial(t, &trial, "a run that nothing happened to did not end well");
    run->seconds = now_seconds() - begin;
    run->seconds_met = now_seconds() - met;
    run->result = training_result_read(&t->workspace, steps_of(hit));
}

/* --- the hit --- */

/* Others are hit at any time. */
static bool is_of_trained(enum hit hit)
{
    return hit == KILL_ALONE || hit == STOP;
}

/* What mpirun and the ranks do before they have met can be hit, too, but for where nobody would end
 * the others: MPI itself waits for ever. */
static void wait_for_the_moment(struct trials *t, struct trial *trial)
{
    if (!is_to_launcher(trial->hit) &&
        !mpi_job_wait_for_ranks(&trial->job, trial->ranks, SECONDS_TO_BEGIN))
        fail_trial(t, trial, "the ranks did not begin");
    if (is_of_trained(trial->hit) && !wait_for_meeting(t, trial))
        fail_trial(t, trial, "the ranks did not meet");
    sleep_seconds(trial->delay);
}

/* False: there is nobody any more. */
static bool strike(struct trial *trial)
{
    const pid_t rank = mpi_job_rank(&trial->job, trial->victim);
    switch (trial->hit) {
    case TERM:
    case INTERRUPT:
        return mpi_job_is_there(&trial->job) &&
               kill(trial->job.launcher, trial->hit == TERM ? SIGTERM : SIGINT) == 0;
    case STOP:
        return rank > 0 && kill(rank, SIGSTOP) == 0;
    default:
        return rank > 0 && kill(rank, SIGKILL) == 0;
    }
}

/* --- what must be --- */

static bool is_of_whole_training(const char *log)
{
    return strstr(log, " s a step, ") != NULL && strstr(log, "stopped after step") == NULL;
}

static bool has_come_to_its_end(const struct trials *t)
{
    char *log = test_read_text(t->log);
    const bool has = is_of_whole_training(log);
    free(log);
    return has;
}

/* A training that was under way: before, the ranks do not know each other; behind, nobody misses
 * anybody. */
static bool was_training(const char *log)
{
    return strstr(log, "each learns from") != NULL && !is_of_whole_training(log);
}

static void check_words(const struct trials *t, struct trial *trial, const char *log)
{
    char name[400];
    if (!was_training(log))
        return;
    if (is_to_launcher(trial->hit)) {
        if (strstr(log, "stopping: ") == NULL)
            fail_trial(t, trial, "it did not say that it is stopping");
        return;
    }
    snprintf(name, sizeof name, "rank %d on %s", trial->victim, t->host);
    if (strstr(log, name) == NULL)
        fail_trial(t, trial, "nobody named the rank and its host");
}

/* All ranks have ended, and mpirun has not. Open MPI 4.1's (PMIx 4.2) waits in its own end for a
 * lock that nobody holds any more, when a rank was killed while it made itself known to it: before
 * the ranks have met. No rank is there that could do anything about it. */
static bool is_stuck_launcher(struct trials *t, struct trial *trial)
{
    char *log = test_read_text(t->log);
    const bool is =
        is_open_mpi() && mpi_job_ranks(&trial->job) == 0 && strstr(log, "each learns from") == NULL;
    free(log);
    t->stuck += is;
    return is;
}

/* Until all have ended; a rank that was stopped when all was done may go on. */
static bool wait_for_end(struct trials *t, struct trial *trial)
{
    /* until silence is one, see det/communicator.h */
    const double silence = trial->hit == STOP ? 8 : 0;
    const double begin = now_seconds(), end = begin + t->most_seconds + silence;
    bool has_ended = false, was_done = false;
    while (!has_ended && !was_done && now_seconds() < end) {
        has_ended = mpi_job_wait(&trial->job, .2);
        was_done = has_come_to_its_end(t);
    }
    if (was_done && trial->hit == STOP)
        kill(mpi_job_rank(&trial->job, trial->victim), SIGCONT);
    if (was_done)
        return mpi_job_wait(&trial->job, SECONDS_TO_TRAIN);
    if (!has_ended && is_stuck_launcher(t, trial)) {
        mpi_job_end(&trial->job);
        return true;
    }
    if (now_seconds() - begin - silence > t->longest)
        t->longest = now_seconds() - begin - silence;
    return has_ended;
}

/* True when it was hit before its end. */
static bool check_end(struct trials *t, struct trial *trial, char **log)
{
    if (!wait_for_end(t, trial))
        fail_trial(t, trial, "not all ranks have ended");
    *log = test_read_text(t->log);
    const bool was_hit = !is_of_whole_training(*log);
    if (was_hit && trial->job.status == 0 && trial->hit != KILL_ALONE)
        fail_trial(t, trial, "mpirun knows of no failure");
    check_words(t, trial, *log);
    assert_checkpoints_are_whole(&t->workspace);
    assert_best_is_there(&t->workspace, *log);
    return was_hit;
}

/* Goes on from what had been reported. */
static void check_going_on(struct trials *t, struct trial *trial, const char *before, int ranks)
{
    const struct workspace *w = &t->workspace;
    const long saved = last_step(w, before, "saved");
    start(t, trial, ranks);
    if (!mpi_job_wait(&trial->job, SECONDS_TO_TRAIN))
        fail_trial(t, trial, "the next run does not end");
    char *log = test_read_text(t->log);
    if (trial->job.status != 0)
        fail_trial(t, trial, "the next run ended badly");
    const long resumed = last_step(w, log, "resumed from");
    const long finished = last_step(w, log, "schedule already finished:");
    if (resumed < saved && finished < saved) {
        print_message("%s", before);
        fail_trial(t, trial, "the next run did not go on from what was saved");
    }
    struct training_result result = training_result_read(w, steps_of(trial->hit));
    if (ranks == trial->ranks)
        assert_same_result(&undisturbed_of(t, trial->hit, ranks)->result, &result, trial->number);
    training_result_free(&result);
    free(log);
}

/* --- trials --- */

static int draw_ranks(struct trials *t)
{
    return LEAST_RANKS + (int)det_rng_below(&t->rng, MOST_RANKS - LEAST_RANKS + 1);
}

static double draw_delay(struct trials *t, const struct undisturbed *run, enum hit hit)
{
    double seconds = is_of_trained(hit) ? run->seconds_met : run->seconds;
    if (is_to_launcher(hit))
        seconds = seconds > LAUNCHER_SECONDS ? seconds - LAUNCHER_SECONDS : 0;
    /* Not quite all of it: most are to be hit in time. */
    return .9 * seconds * det_rng_uniform_double(&t->rng);
}

static bool run_trial(struct trials *t, long number, enum hit hit)
{
    struct trial trial = {.number = number, .hit = hit, .ranks = draw_ranks(t)};
    char *log = NULL;
    const struct undisturbed *run = undisturbed_of(t, hit, trial.ranks);
    if (run->result.last == NULL)
        run_undisturbed(t, hit, trial.ranks);
    trial.victim = (int)det_rng_below(&t->rng, (uint32_t)trial.ranks);
    trial.delay = draw_delay(t, run, hit);
    test_remove_tree(t->workspace.model_dir);
    if (hit == KILL_ALONE)
        setenv("OMPI_MCA_orte_enable_recovery", "1", 1);
    start(t, &trial, trial.ranks);
    unsetenv("OMPI_MCA_orte_enable_recovery");
    wait_for_the_moment(t, &trial);
    const bool struck = strike(&trial);
    const bool was_hit = check_end(t, &trial, &log) && struck;
    check_going_on(t, &trial, log, number % 4 == 3 ? draw_ranks(t) : trial.ranks);
    free(log);
    return was_hit;
}

/* Trials until `wanted` of them were hit: for the others it came too late. */
static void run_trials(void **state, const char *name, const enum hit *hits, long hit_count,
                       long wanted)
{
    struct trials *t = *state;
    long done = 0, number = 0;
    if (t == NULL)
        skip();
    const double begin = now_seconds();
    t->longest = 0;
    t->stuck = 0;
    t->most_seconds = wanted > 3 ? 10 : 20;
    for (; done < wanted && number < 20 * wanted; number++)
        done += run_trial(t, number, hits[number % hit_count]);
    assert_int_equal(done, wanted);
    if (wanted > 3)
        print_message(
            "%s: %ld of %ld trials came out the same, %ld more came too late; all ranks "
            "had ended after %.1f s at most, %ld mpiruns hung without a rank; %.1f trials "
            "a minute\n",
            name, done, number, number - done, t->longest, t->stuck,
            60 * (double)number / (now_seconds() - begin));
}

static void killed_ranks_lose_nothing(void **state)
{
    static const enum hit hits[] = {KILL, KILL_ALONE};
    run_trials(state, "kills", hits, is_open_mpi() ? 2 : 1, number_from_env("DET_RANK_KILLS", 3));
}

static void a_silent_rank_is_lost(void **state)
{
    static const enum hit hits[] = {STOP};
    run_trials(state, "stops", hits, 1, number_from_env("DET_RANK_KILLS", 0) / 100 + 1);
}

static void ranks_asked_to_end_lose_nothing(void **state)
{
    static const enum hit hits[] = {TERM, INTERRUPT};
    run_trials(state, "signals", hits, 2, number_from_env("DET_RANK_KILLS", 0) / 10 + 2);
}

static int begin_trials(void **state)
{
    static struct trials t;
    *state = NULL;
    if (!has_fast_mpi())
        return 0;
    workspace_make(&t.workspace, "ranks_faults");
    snprintf(t.log, sizeof t.log, "%s/log", t.workspace.directory);
    det_rng_init(&t.rng, 1, 0, 0);
    *state = &t;
    return gethostname(t.host, sizeof t.host - 1);
}

static int end_trials(void **state)
{
    struct trials *t = *state;
    if (t == NULL)
        return 0;
    for (int ranks = 0; ranks <= MOST_RANKS; ranks++) {
        training_result_free(&t->short_runs[ranks].result);
        training_result_free(&t->long_runs[ranks].result);
    }
    workspace_remove(&t->workspace);
    return 0;
}

int test_ranks_faults(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_ranks_lose_nothing),
        cmocka_unit_test(a_silent_rank_is_lost),
        cmocka_unit_test(ranks_asked_to_end_lose_nothing),
    };
    return cmocka_run_group_tests_name("ranks_faults", tests, begin_trials, end_trials);
}
