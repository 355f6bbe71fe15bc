/* det-train killed at random points, and a long run in little memory. A few kills and few steps
 * here; `make test-endurance` sets DET_KILLS=200 and DET_RSS_STEPS=2000.
 *
 * Each trial trains in a fresh folder with a checkpoint at every second step and an evaluation at
 * every third, is killed at a random time, and run again: what had been reported as saved must be
 * gone on from, and the last checkpoint and the best one must be the bytes of a run that nothing
 * happened to. Numbers of threads are drawn anew for each run. */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "support/training_runs.h"

/* --- det-train as a process --- */

static pid_t start(const struct workspace *w, const char *log, int threads)
{
    char program[600], count[16];
    const char *folder = getenv("DET_BIN_DIR");
    snprintf(program, sizeof program, "%s/det-train",
             folder != NULL ? folder : "build/release/bin");
    snprintf(count, sizeof count, "%d", threads);
    /* Emptied before there is anybody to be killed: it must not tell of the run before. */
    const int out = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(out >= 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0) {
        close(out);
        return child;
    }
    if (dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(126);
    execl(program, program, "--pipeline_config_path", w->config, "--model_dir", w->model_dir,
          "--threads", count, "--checkpoint_every_n", "2", "--keep", "3", "--log_every", "1",
          "--pictures_every", "3", "--eval_every", "3", "--eval_max_images", "3", "--keep_best",
          "total_loss", (char *)NULL);
    _exit(127);
}

/* Its exit status, or minus the signal that ended it. */
static int finish(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* --- trials --- */

struct trials {
    struct workspace workspace;
    struct det_rng rng;
    struct training_result expected;
    double seconds; /* of a whole run */
    char log[400];
};

static void begin_trials(struct trials *t, const char *name, uint64_t seed)
{
    workspace_make(&t->workspace, name);
    snprintf(t->log, sizeof t->log, "%s/log", t->workspace.directory);
    det_rng_init(&t->rng, seed, 0, 0);
    const double begin = now_seconds();
    assert_int_equal(finish(start(&t->workspace, t->log, 1)), 0);
    t->seconds = now_seconds() - begin;
    t->expected = training_result_read(&t->workspace, 12);
}

static void end_trials(struct trials *t)
{
    training_result_free(&t->expected);
    workspace_remove(&t->workspace);
}

/* True when the signal came before the end. */
static bool run_trial(struct trials *t, int signal_number, long trial)
{
    const struct workspace *w = &t->workspace;
    test_remove_tree(w->model_dir);
    const double delay = det_rng_uniform_double(&t->rng) * t->seconds;
    const pid_t child = start(w, t->log, 1 + (int)det_rng_below(&t->rng, 3));
    sleep_seconds(delay);
    kill(child, signal_number);
    const int ended = finish(child);
    char *log = test_read_text(t->log);
    const long saved = last_step(w, log, "saved");
    const bool caught = strstr(log, "run the same command to go on") != NULL;
    if (ended != -signal_number && ended != 0)
        fail_msg("trial %ld: signal %d made it end with %d:\n%s", trial, signal_number, ended, log);
    assert_best_is_there(w, log);

    const int again = finish(start(w, t->log, 1 + (int)det_rng_below(&t->rng, 3)));
    char *second = test_read_text(t->log);
    if (again != 0)
        fail_msg("trial %ld: after %.3f s: the next run ended with %d:\n%s", trial, delay, again,
                 second);
    const long resumed = last_step(w, second, "resumed from");
    const long finished = last_step(w, second, "schedule already finished:");
    if (resumed < saved && finished < saved)
        fail_msg("trial %ld: step %ld was reported as saved, then:\n%s", trial, saved, second);
    struct training_result result = training_result_read(w, 12);
    assert_same_result(&t->expected, &result, trial);
    training_result_free(&result);
    free(log);
    free(second);
    return ended == -signal_number || caught;
}

/* Trials until `wanted` of them were ended by the signal: the others came too late. */
static void run_trials(const char *name, int signal_number, long wanted, uint64_t seed)
{
    struct trials trials = {0};
    begin_trials(&trials, name, seed);
    long ended = 0, trial = 0;
    for (; ended < wanted && trial < 20 * wanted; trial++)
        ended += run_trial(&trials, signal_number, trial);
    assert_int_equal(ended, wanted);
    if (wanted > 10)
        print_message("signal %d: %ld of %ld runs that it ended came out the same, %ld came too "
                      "late\n",
                      signal_number, ended, wanted, trial - ended);
    end_trials(&trials);
}

static void killed_runs_lose_nothing(void **state)
{
    (void)state;
    run_trials("killed", SIGKILL, number_from_env("DET_KILLS", 3), 1);
}

static void interrupted_runs_lose_nothing(void **state)
{
    (void)state;
    const long kills = number_from_env("DET_KILLS", 0);
    run_trials("sigint", SIGINT, kills / 10 + 1, 2);
    run_trials("sigterm", SIGTERM, kills / 10 + 1, 3);
}

/* --- memory --- */

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { IS_SANITIZED = 1 };
#else
enum { IS_SANITIZED = 0 };
#endif

static double resident_mb(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;
    if (file == NULL)
        return -1;
    const int read = fscanf(file, "%*d %ld", &pages);
    fclose(file);
    return read == 1 ? (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20) : -1;
}

/* With everything on: summaries, pictures, evaluations, checkpoints, the best one. */
static void memory_stays_the_same(void **state)
{
    (void)state;
    enum { MOST_GROWTH_MB = 4 };
    if (IS_SANITIZED) {
        print_message("skipped: a sanitizer keeps memory of its own\n");
        skip();
    }
    const long steps = number_from_env("DET_RSS_STEPS", 120);
    struct workspace w;
    det_trainer_settings settings;
    det_context *context = NULL;
    det_pipeline_config *config = NULL;
    det_trainer *trainer = NULL;
    double early = 0;
    workspace_make(&w, "memory");
    det_trainer_settings_default(&settings);
    settings.model_dir = w.model_dir;
    settings.num_steps = steps;
    settings.checkpoint_every_steps = 20;
    settings.eval_every_steps = 20;
    settings.summary_every_steps = 10;
    settings.picture_every_steps = 20;
    assert_int_equal(det_context_create(&context, NULL), DET_OK);
    assert_context_ok(context, det_pipeline_config_load(context, w.config, &config));
    assert_context_ok(context, det_trainer_create(context, config, &settings, &trainer));
    for (long step = 1; step <= steps; step++) {
        det_step_report report = {.struct_size = sizeof report};
        assert_context_ok(context, det_trainer_step(trainer, &report));
        if (step == steps / 4)
            early = resident_mb();
    }
    const double late = resident_mb();
    det_trainer_destroy(&trainer);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
    workspace_remove(&w);
    if (early < 0) {
        print_message("skipped: no /proc/self/statm\n");
        skip();
    }
    if (steps > 1000)
        print_message("resident memory: %.1f MB after %ld steps, %.1f MB after %ld\n", early,
                      steps / 4, late, steps);
    if (!(late - early <= MOST_GROWTH_MB))
        fail_msg("resident memory grew from %.1f MB after %ld steps to %.1f MB after %ld", early,
                 steps / 4, late, steps);
}

int test_endurance(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_runs_lose_nothing),
        cmocka_unit_test(interrupted_runs_lose_nothing),
        cmocka_unit_test(memory_stays_the_same),
    };
    return cmocka_run_group_tests_name("endurance", tests, NULL, NULL);
}
