/* The tools as processes: signals, limits, a folder that is trained in, evaluations one after the
 * other. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "monitor/event_records.h"
#include "support/annotation_sets.h"
#include "support/io.h"
#include "support/run_tool.h"
#include "support/workspace.h"
#include "train/dir_lock.h"

static char out[200000];

/* --- processes --- */

struct process {
    pid_t pid;
    char log[400];
};

/* argv[0] is a tool's name; `limit` 0: none. */
static void start(struct process *p, const struct workspace *w, const char *const argv[],
                  rlim_t limit_bytes, bool hangup_ignored)
{
    char program[600];
    const char *bin = getenv("DET_BIN_DIR") != NULL ? getenv("DET_BIN_DIR") : "build/release/bin";
    snprintf(program, sizeof program, "%s/%s", bin, argv[0]);
    snprintf(p->log, sizeof p->log, "%s/log", w->directory);
    const int log = open(p->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0666);
    assert_true(log >= 0);
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid > 0) {
        close(log);
        return;
    }
    const struct rlimit limit = {limit_bytes, limit_bytes};
    if (dup2(log, 1) < 0 || dup2(log, 2) < 0 ||
        (limit_bytes > 0 && setrlimit(RLIMIT_FSIZE, &limit) != 0))
        _exit(126);
    signal(SIGHUP, hangup_ignored ? SIG_IGN : SIG_DFL);
    execv(program, (char *const *)(uintptr_t)argv);
    _exit(127);
}

/* Waits until the log holds the text. */
static void wait_for(const struct process *p, const char *text)
{
    for (int i = 0; i < 1200; i++) {
        char *log = test_read_text(p->log);
        const bool there = strstr(log, text) != NULL;
        free(log);
        if (there)
            return;
        usleep(50000);
    }
    fail_msg("\"%s\" did not come", text);
}

/* Exit status, or minus the signal; the log is in `out`. */
static int finish(const struct process *p)
{
    int status = 0;
    size_t bytes = 0;
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    char *log = test_read_bytes(p->log, &bytes);
    snprintf(out, sizeof out, "%s", log);
    free(log);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static bool has_checkpoint(const struct workspace *w)
{
    char path[400];
    snprintf(path, sizeof path, "%s/checkpoint", w->model_dir);
    return det_file_exists(path);
}

/* Steps without an end, none of them saved on the way. */
static void start_training(struct process *p, struct workspace *w, rlim_t limit,
                           bool hangup_ignored)
{
    const char *const argv[] = {"det-train",  "--pipeline_config_path",
                                w->config,    "--model_dir",
                                w->model_dir, "--log_every",
                                "1",          "--checkpoint_every_n",
                                "0",          "--num_train_steps",
                                "100000",     NULL};
    start(p, w, argv, limit, hangup_ignored);
}

/* --- signals --- */

static void a_hangup_saves(void **state)
{
    (void)state;
    struct workspace w;
    struct process p;
    workspace_make(&w, "hangup");
    start_training(&p, &w, 0, false);
    wait_for(&p, "Step 2 ");
    /* As when a connection goes: the kernel's, the shell's, and what ends the session. */
    kill(p.pid, SIGHUP);
    kill(p.pid, SIGHUP);
    kill(p.pid, SIGTERM);
    assert_int_equal(finish(&p), 0);
    assert_contains(out, "run the same command to go on");
    assert_true(has_checkpoint(&w));
    workspace_remove(&w);
}

static void nohup_is_honoured(void **state)
{
    (void)state;
    struct workspace w;
    struct process p;
    workspace_make(&w, "nohup");
    start_training(&p, &w, 0, true);
    wait_for(&p, "Step 2 ");
    kill(p.pid, SIGHUP);
    char *log = test_read_text(p.log);
    char later[40];
    const char *last = log;
    for (const char *at = log; (at = strstr(at, "Step ")) != NULL; at++)
        last = at;
    snprintf(later, sizeof later, "Step %d ", atoi(last + 5) + 20);
    free(log);
    wait_for(&p, later);
    kill(p.pid, SIGTERM);
    assert_int_equal(finish(&p), 0);
    assert_true(has_checkpoint(&w));
    workspace_remove(&w);
}

static void a_second_wish_to_end_is_obeyed(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < 2; i++) {
        struct workspace w;
        struct process p;
        workspace_make(&w, "twice");
        start_training(&p, &w, 0, false);
        wait_for(&p, "Step 1 ");
        kill(p.pid, SIGSTOP); /* so that both come before it can end well */
        kill(p.pid, signals[i]);
        kill(p.pid, SIGCONT);
        wait_for(&p, "once more to stop at once");
        kill(p.pid, signals[i]);
        const int ended = finish(&p);
        assert_true(ended == -signals[i] || ended == 0); /* it may have been quick */
        workspace_remove(&w);
    }
}

/* --- limits --- */

static void output_may_end_and_training_goes_on(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "head");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path %s --model_dir %s --log_every 1 "
                              "2>/dev/null | head -n 1",
                              w.config, w.model_dir),
                     0);
    assert_contains(out, "Step 1 ");
    assert_null(strstr(out, "Step 3 "));
    char path[400];
    snprintf(path, sizeof path, "%s/ckpt-12.det", w.model_dir);
    assert_true(det_file_exists(path));
    test_remove_tree(w.model_dir);
    if (access("/dev/full", W_OK) == 0) {
        assert_int_equal(run_tool(out, sizeof out,
                                  "det-train --pipeline_config_path %s --model_dir %s --log_every "
                                  "1 2>%s/err >/dev/full",
                                  w.config, w.model_dir, w.directory),
                         0);
        assert_true(det_file_exists(path));
    }
    workspace_remove(&w);
}

static void a_limit_on_files_is_an_error(void **state)
{
    (void)state;
    struct workspace w;
    struct process p;
    workspace_make(&w, "limit");
    /* Enough for event files and the log, not for a checkpoint. */
    const char *const argv[] = {"det-train", "--pipeline_config_path", w.config, "--model_dir",
                                w.model_dir, "--nosummaries",          NULL};
    start(&p, &w, argv, 30000, false);
    assert_int_equal(finish(&p), 1);
    assert_contains(out, "ckpt-12.det: cannot write: the limit on the size of a file (ulimit -f");
    assert_false(has_checkpoint(&w));
    workspace_remove(&w);
}

static void too_little_memory_is_an_error(void **state)
{
    (void)state;
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    print_message("skipped: a sanitizer needs all the address space\n");
    skip();
#else
    if (getenv("DET_EMULATED") != NULL) {
        print_message("skipped: the emulator needs the memory itself\n");
        skip();
    }
    struct workspace w;
    workspace_make(&w, "memory");
    int refused = 0;
    for (int mb = 20; mb <= 260; mb += 40) {
        char commands[1000], line[300];
        const char *bin = getenv("DET_BIN_DIR");
        snprintf(commands, sizeof commands,
                 "ulimit -v %d; bin=%s; $bin/det-train --help >/dev/null 2>&1 || exit 127; "
                 "$bin/det-train --pipeline_config_path %s --model_dir %s --threads 1",
                 mb * 1024, bin != NULL ? bin : "build/release/bin", w.config, w.model_dir);
        test_write_text(w.directory, "memory.sh", commands);
        snprintf(line, sizeof line, "sh %s/memory.sh 2>&1", w.directory);
        FILE *pipe = popen(line, "r");
        assert_non_null(pipe);
        out[fread(out, 1, sizeof out - 1, pipe)] = '\0';
        const int status = pclose(pipe);
        assert_true(WIFEXITED(status));
        const int ended = WEXITSTATUS(status);
        if (ended == 0 || ended == 127) /* enough, or too little for the program itself */
            continue;
        refused++;
        if (strstr(out, "cannot allocate") == NULL && strstr(out, "out of memory") == NULL &&
            strstr(out, "Cannot allocate memory") == NULL)
            fail_msg("%d MB: exit status %d:\n%s", mb, ended, out);
    }
    assert_true(refused > 0);
    workspace_remove(&w);
#endif
}

/* --- evaluations --- */

/* Values of COCO's AP in a run's files, each file's. */
static size_t count_evaluations(const struct workspace *w, const char *run)
{
    struct test_env t;
    struct det_path_list files = {0};
    char folder[400];
    size_t count = 0;
    test_env_init(&t);
    snprintf(folder, sizeof folder, "%s/%s", w->model_dir, run);
    assert_ok(&t.env, det_event_files(&t.env, folder, &files));
    for (size_t i = 0; i < files.count; i++) {
        static const char tag[] = "DetectionBoxes_Precision/mAP@.75IOU";
        struct det_file_bytes contents;
        assert_ok(&t.env, det_file_read(&t.env, files.paths[i], &contents));
        for (size_t at = 0; at + sizeof tag - 1 <= contents.bytes; at++)
            count += memcmp(contents.data + at, tag, sizeof tag - 1) == 0;
        det_file_release(&contents);
    }
    det_path_list_free(&t.env, &files);
    test_env_check(&t);
    return count;
}

static void evaluate(const struct workspace *w, const char *options)
{
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint_dir %s %s",
                              w->config, w->model_dir, options),
                     0);
}

static void evaluations_do_not_falsify_each_other(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "comparable");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path %s --model_dir %s --eval_every 6 "
                              "--checkpoint_every_n 6",
                              w.config, w.model_dir),
                     0);
    assert_int_equal(count_evaluations(&w, "eval"), 2);
    evaluate(&w, "--once"); /* the newest anew */
    assert_int_equal(count_evaluations(&w, "eval"), 2);
    evaluate(&w, "--once --form exported");
    evaluate(&w, "--once --max_images 3");
    evaluate(&w, "--once --max_dets 5");
    assert_int_equal(count_evaluations(&w, "eval"), 2);
    assert_int_equal(count_evaluations(&w, "eval_exported"), 2);
    assert_int_equal(count_evaluations(&w, "eval_max_images_3"), 1);
    assert_int_equal(count_evaluations(&w, "eval_exported_max_images_3"), 1);
    assert_int_equal(count_evaluations(&w, "eval_max_dets_1_10_5"), 1);
    /* An earlier step than the newest has no place at the end of the curve. */
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint %s/ckpt-6.det "
                              "--model_dir %s",
                              w.config, w.model_dir, w.model_dir),
                     0);
    assert_contains(out,
                    "the curves there go on to step 12: this evaluation of step 6 is not added");
    assert_int_equal(count_evaluations(&w, "eval"), 2);
    evaluate(&w, "--all");
    assert_int_equal(count_evaluations(&w, "eval"), 2);
    /* Somebody else is at it. */
    struct test_env t;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    det_summary_writer *writer = NULL;
    char folder[400];
    snprintf(folder, sizeof folder, "%s/eval", w.model_dir);
    assert_context_ok(context, det_summary_writer_create(context, folder, &writer));
    evaluate(&w, "--once");
    assert_contains(out, "another process writes the curves there");
    det_summary_writer_destroy(&writer);
    det_context_destroy(&context);
    test_env_check(&t);
    assert_int_equal(count_evaluations(&w, "eval"), 2);
    /* A folder that may only be read. */
    test_remove_tree(folder);
    assert_int_equal(chmod(w.model_dir, 0555), 0);
    if (geteuid() != 0) {
        evaluate(&w, "--once");
        assert_contains(out, "no curves are written");
    }
    assert_int_equal(chmod(w.model_dir, 0777), 0);
    evaluate(&w, "--all");
    assert_int_equal(count_evaluations(&w, "eval"), 2);
    /* Other data. */
    char command[700];
    snprintf(command, sizeof command,
             "det-info >/dev/null; sed 's/test.tfrecord/train.tfrecord/' %s > %s/other.config",
             w.config, w.directory);
    assert_int_equal(run_tool(out, sizeof out, "%s", command), 0);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s/other.config --checkpoint_dir "
                              "%s --once",
                              w.directory, w.model_dir),
                     0);
    assert_int_equal(count_evaluations(&w, "eval"), 2);
    assert_int_equal(count_evaluations(&w, "eval_on_train"), 1);
    workspace_remove(&w);
}

/* README's line after a training: it evaluates and ends. While a training runs it waits for what is
 * still to come. */
static void watching_ends_with_the_training(void **state)
{
    (void)state;
    struct workspace w;
    struct process p;
    struct test_env t;
    struct det_dir_lock lock;
    struct timespec begin, end;
    workspace_make(&w, "ends");
    test_env_init(&t);
    assert_int_equal(run_tool(out, sizeof out, "det-train --pipeline_config_path %s --model_dir %s",
                              w.config, w.model_dir),
                     0);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    evaluate(&w, "");
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_contains(out, "no training is running in ");
    assert_contains(out, "Eval metrics at step 12 ");
    assert_true(end.tv_sec - begin.tv_sec < 60);
    /* This process trains, as far as others can see. */
    assert_ok(&t.env, det_dir_lock_take(&t.env, w.model_dir, &lock));
    const char *const argv[] = {"det-eval",  "--pipeline_config_path", w.config, "--checkpoint_dir",
                                w.model_dir, "--wait_interval",        "0.1",    NULL};
    start(&p, &w, argv, 0, false);
    wait_for(&p, "waiting for a new checkpoint");
    usleep(500000);
    assert_int_equal(waitpid(p.pid, NULL, WNOHANG), 0);
    det_dir_lock_release(&t.env, &lock);
    assert_int_equal(finish(&p), 0);
    assert_contains(out, "no training is running in ");
    test_env_check(&t);
    workspace_remove(&w);
}

int test_tool_life(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hangup_saves),
        cmocka_unit_test(nohup_is_honoured),
        cmocka_unit_test(a_second_wish_to_end_is_obeyed),
        cmocka_unit_test(output_may_end_and_training_goes_on),
        cmocka_unit_test(a_limit_on_files_is_an_error),
        cmocka_unit_test(too_little_memory_is_an_error),
        cmocka_unit_test(evaluations_do_not_falsify_each_other),
        cmocka_unit_test(watching_ends_with_the_training),
    };
    return cmocka_run_group_tests_name("tool_life", tests, NULL, NULL);
}
