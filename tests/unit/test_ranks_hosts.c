/* Two hosts, which are network namespaces (tests/ranks/hosts.sh), a rank of det-train on each. What
 * they learn is what one process learns; when the link between them is cut, or one is killed, both
 * end and name the other, and the same command goes on afterwards. So do three, when what is cut is
 * between two that both reach rank 0. */
#include <signal.h>
#include <unistd.h>

#include "support/mpi_job.h"
#include "support/run_tool.h"
#include "support/shell.h"
#include "support/training_runs.h"

#define HOSTS "tests/ranks/hosts.sh"

enum { STEPS = 60, SECONDS_TO_TRAIN = 300, SECONDS_TO_END = 20, STANDSTILL_SECONDS = 5 };

struct hosts {
    struct workspace workspace;
    char name[20];    /* NAME-a and NAME-b are theirs */
    char output[300]; /* folder of what each rank writes, whoever of the two can still be reached */
    char log[300];
    char *expected; /* last checkpoint of one process (malloc) */
    size_t expected_bytes;
    struct mpi_job job;
};

/* --- det-train --- */

static void command(const struct hosts *h, const char *model_dir, const char *batch,
                    char line[1000])
{
    snprintf(
        line, 1000,
        "det-train --pipeline_config_path %s --model_dir %s --threads 1 %s --num_train_steps %d "
        "--checkpoint_every_n 2 --log_every 1 --pictures_every 0 --standstill_seconds %d",
        h->workspace.config, model_dir, batch, (int)STEPS, (int)STANDSTILL_SECONDS);
}

static void start(struct hosts *h, int hosts)
{
    char launcher[600], line[1000];
    test_remove_tree(h->output);
    snprintf(launcher, sizeof launcher, HOSTS " mpirun %s --output-filename %s", h->name,
             h->output);
    command(h, h->workspace.model_dir, "--batch_size 12", line);
    mpi_job_start(&h->job, launcher, hosts, h->log, "%s", line);
}

static void fail_hosts(struct hosts *h, const char *what)
{
    const char *log = test_read_text(h->log);
    mpi_job_print(&h->job);
    mpi_job_end(&h->job);
    fail_msg("%s (status %d):\n%s", what, h->job.status, log);
}

/* What a rank wrote to standard error; malloc. */
static char *words_of(const struct hosts *h, int rank)
{
    char path[400];
    snprintf(path, sizeof path, "%s/1/rank.%d/stderr", h->output, rank);
    return test_read_text(path);
}

static char *last_checkpoint(const char *model_dir, size_t *bytes)
{
    char path[500];
    snprintf(path, sizeof path, "%s/ckpt-%d.det", model_dir, (int)STEPS);
    return test_read_bytes(path, bytes);
}

static void wait_for_whole_run(struct hosts *h)
{
    if (!mpi_job_wait(&h->job, SECONDS_TO_TRAIN))
        fail_hosts(h, "it does not end");
    if (h->job.status != 0)
        fail_hosts(h, "it ended badly");
}

static void check_whole_run(struct hosts *h)
{
    size_t bytes = 0;
    char words[100];
    wait_for_whole_run(h);
    char *log = test_read_text(h->log);
    snprintf(words, sizeof words, "2 ranks on 2 machines (%s-a: 1, %s-b: 1)", h->name, h->name);
    assert_contains(log, words);
    char *got = last_checkpoint(h->workspace.model_dir, &bytes);
    assert_int_equal(bytes, h->expected_bytes);
    assert_memory_equal(got, h->expected, bytes);
    free(got);
    free(log);
}

/* --- the tests --- */

static void two_hosts_learn_what_one_process_learns(void **state)
{
    struct hosts *h = *state;
    if (h == NULL)
        skip();
    test_remove_tree(h->workspace.model_dir);
    start(h, 2);
    check_whole_run(h);
}

static void wait_for_a_checkpoint(struct hosts *h)
{
    const double end = now_seconds() + SECONDS_TO_TRAIN;
    long saved = -1;
    while (saved < 0) {
        char *log = test_read_text(h->log);
        saved = last_step(&h->workspace, log, "saved");
        free(log);
        if (now_seconds() > end || !mpi_job_is_there(&h->job))
            fail_hosts(h, "it did not begin");
        sleep_seconds(.01);
    }
}

static void check_names(struct hosts *h, int who, int other)
{
    char name[100];
    char *words = words_of(h, who);
    snprintf(name, sizeof name, "rank %d on %s-%c", other, h->name, "ab"[other]);
    assert_contains(words, name);
    free(words);
}

static void check_resumed(const struct hosts *h, long saved)
{
    char *log = test_read_text(h->log);
    assert_true(last_step(&h->workspace, log, "resumed from") >= saved);
    free(log);
}

/* The same command goes on, to the same end. */
static void check_going_on(struct hosts *h, long saved)
{
    start(h, 2);
    check_whole_run(h);
    check_resumed(h, saved);
}

/* The last step that rank 0 said it has saved. */
static long saved_step(const struct hosts *h)
{
    char *words = words_of(h, 0);
    const long saved = last_step(&h->workspace, words, "saved");
    free(words);
    assert_true(saved > 0);
    return saved;
}

static void a_cut_link_ends_both_sides(void **state)
{
    struct hosts *h = *state;
    if (h == NULL)
        skip();
    test_remove_tree(h->workspace.model_dir);
    start(h, 2);
    wait_for_a_checkpoint(h);
    assert_int_equal(shell(HOSTS " cut %s", h->name), 0);
    const double begin = now_seconds();
    /* mpirun, which can not reach the other host any more, may stay. */
    if (!mpi_job_wait_for_ranks(&h->job, 0, SECONDS_TO_END))
        fail_hosts(h, "not all ranks have ended");
    print_message("all ranks had ended %.1f s after the link was cut\n", now_seconds() - begin);
    mpi_job_end(&h->job);
    check_names(h, 0, 1);
    check_names(h, 1, 0);
    assert_int_equal(shell(HOSTS " join %s", h->name), 0);
    check_going_on(h, saved_step(h));
}

static void a_killed_rank_is_named_on_the_other_host(void **state)
{
    struct hosts *h = *state;
    if (h == NULL)
        skip();
    for (int who = 0; who < 2; who++) {
        test_remove_tree(h->workspace.model_dir);
        start(h, 2);
        wait_for_a_checkpoint(h);
        const pid_t rank = mpi_job_rank(&h->job, who);
        assert_true(rank > 0);
        assert_int_equal(kill(rank, SIGKILL), 0);
        if (!mpi_job_wait(&h->job, SECONDS_TO_END))
            fail_hosts(h, "not all ranks have ended");
        assert_true(h->job.status != 0);
        check_names(h, 1 - who, who);
        check_going_on(h, 2);
    }
}

static void a_cut_that_rank_0_does_not_see_ends_all(void **state)
{
    struct hosts *h = *state;
    if (h == NULL)
        skip();
    assert_int_equal(shell(HOSTS " third %s", h->name), 0);
    test_remove_tree(h->workspace.model_dir);
    start(h, 3);
    wait_for_a_checkpoint(h);
    assert_int_equal(shell(HOSTS " part %s", h->name), 0);
    const double begin = now_seconds();
    if (!mpi_job_wait_for_ranks(&h->job, 0, STANDSTILL_SECONDS + SECONDS_TO_END))
        fail_hosts(h, "not all ranks have ended");
    print_message("all ranks had ended %.1f s after two were parted\n", now_seconds() - begin);
    if (!mpi_job_wait(&h->job, SECONDS_TO_END))
        fail_hosts(h, "mpirun has not ended");
    assert_true(h->job.status != 0);
    char *words = words_of(h, 0);
    assert_contains(words, "nothing has moved between the ranks for 5 seconds");
    free(words);
    assert_int_equal(shell(HOSTS " reunite %s", h->name), 0);
    const long saved = saved_step(h);
    start(h, 3);
    wait_for_whole_run(h);
    check_resumed(h, saved);
}

/* --- the hosts --- */

static void train_alone(struct hosts *h)
{
    static char out[50000];
    char folder[400], line[1000];
    snprintf(folder, sizeof folder, "%s/alone", h->workspace.directory);
    command(h, folder, "--batch_size 6 --accumulate 2", line);
    if (run_tool(out, sizeof out, "%s", line) != 0)
        fail_msg("one process: %s", out);
    h->expected = last_checkpoint(folder, &h->expected_bytes);
}

static int make_hosts(void **state)
{
    static struct hosts h;
    *state = NULL;
    if (!has_fast_mpi())
        return 0;
    if (!is_open_mpi()) {
        print_message("skipped: the hosts are made for Open MPI\n");
        return 0;
    }
    snprintf(h.name, sizeof h.name, "dt%ld", (long)getpid());
    workspace_make(&h.workspace, "ranks_hosts");
    snprintf(h.log, sizeof h.log, "%s/log", h.workspace.directory);
    snprintf(h.output, sizeof h.output, "%s/output", h.workspace.directory);
    if (shell(HOSTS " up %s >%s 2>&1", h.name, h.log) != 0) {
        char *why = test_read_text(h.log);
        print_message("skipped: no network namespaces can be made here: %s\n", why);
        free(why);
        workspace_remove(&h.workspace);
        return 0;
    }
    *state = &h;
    train_alone(&h);
    return 0;
}

static int remove_hosts(void **state)
{
    struct hosts *h = *state;
    if (h == NULL)
        return 0;
    mpi_job_end(&h->job);
    free(h->expected);
    workspace_remove(&h->workspace);
    return shell(HOSTS " down %s", h->name);
}

int test_ranks_hosts(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hosts_learn_what_one_process_learns),
        cmocka_unit_test(a_cut_link_ends_both_sides),
        cmocka_unit_test(a_killed_rank_is_named_on_the_other_host),
        cmocka_unit_test(a_cut_that_rank_0_does_not_see_ends_all),
    };
    return cmocka_run_group_tests_name("ranks_hosts", tests, make_hosts, remove_hosts);
}
