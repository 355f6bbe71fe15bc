/* train/dir_lock.h: one training a folder, and none that is kept out by somebody who is gone. */
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/context.h"
#include "det/trainer.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/run_tool.h"
#include "support/workspace.h"
#include "train/dir_lock.h"

struct folder {
    struct test_env t;
    char path[256], lock_path[300];
};

static void open_folder(struct folder *f)
{
    test_env_init(&f->t);
    test_make_directory(f->path, "lock");
    snprintf(f->lock_path, sizeof f->lock_path, "%s/" DET_LOCK_NAME, f->path);
}

static void close_folder(struct folder *f)
{
    test_remove_tree(f->path);
    test_env_check(&f->t);
}

static void assert_entries(struct folder *f, size_t count)
{
    struct det_path_list list = {0};
    assert_ok(&f->t.env, det_list_directory(&f->t.env, f->path, &list));
    assert_int_equal(list.count, count);
    det_path_list_free(&f->t.env, &list);
}

static bool in_use(struct folder *f)
{
    det_context context = {.env = f->t.env};
    int running = -1;
    assert_ok(&context.env, det_trainer_is_running(&context, f->path, &running));
    return running == 1;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* --- taking and giving back --- */

static void one_at_a_time(void **state)
{
    (void)state;
    struct folder f;
    struct det_dir_lock first, second;
    char host[256] = "", names[700];
    open_folder(&f);
    gethostname(host, sizeof host - 1);
    assert_false(in_use(&f));
    assert_ok(&f.t.env, det_dir_lock_take(&f.t.env, f.path, &first));
    assert_entries(&f, 1);
    assert_true(in_use(&f));
    snprintf(names, sizeof names,
             "%s: a training is running in this folder: on host %s, process %ld, since 2", f.path,
             host, (long)getpid());
    assert_fails(&f.t.env, DET_STATUS_IN_USE, names, det_dir_lock_take(&f.t.env, f.path, &second));
    assert_false(det_dir_lock_held(&second));
    /* Looking and failing to take it did not cost the owner anything. */
    assert_true(in_use(&f));
    assert_ok(&f.t.env, det_dir_lock_beat(&f.t.env, &first, true));
    det_dir_lock_release(&f.t.env, &first);
    assert_false(in_use(&f));
    assert_entries(&f, 0);
    assert_ok(&f.t.env, det_dir_lock_take(&f.t.env, f.path, &second));
    det_dir_lock_release(&f.t.env, &second);
    det_dir_lock_release(&f.t.env, &second); /* once more is no fault */
    close_folder(&f);
}

struct contender {
    const char *folder;
    struct det_dir_lock lock;
    det_status status;
};

static void *contend(void *argument)
{
    struct det_env env;
    struct contender *c = argument;
    det_env_default(&env);
    c->status = det_dir_lock_take(&env, c->folder, &c->lock);
    return NULL;
}

/* Four at the lock of a process that is gone. */
static void exactly_one_takes_over(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    struct folder f;
    struct contender contenders[THREADS];
    pthread_t threads[THREADS];
    struct det_env env;
    open_folder(&f);
    det_env_default(&env);
    for (int round = 0; round < 3; round++) {
        int taken = 0;
        assert_ok(&f.t.env, det_write_file(&f.t.env, f.lock_path, "stale", 5));
        for (int i = 0; i < THREADS; i++) {
            contenders[i].folder = f.path;
            assert_int_equal(pthread_create(&threads[i], NULL, contend, &contenders[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            taken += contenders[i].status == DET_OK;
            assert_true(contenders[i].status == DET_OK ||
                        contenders[i].status == DET_STATUS_IN_USE);
        }
        assert_int_equal(taken, 1);
        for (int i = 0; i < THREADS; i++)
            det_dir_lock_release(&env, &contenders[i].lock);
        assert_entries(&f, 0);
    }
    close_folder(&f);
}

/* A process that takes the lock and waits to be killed. */
static pid_t start_owner(struct folder *f)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct det_dir_lock lock;
        if (det_dir_lock_take(&f->t.env, f->path, &lock) == DET_OK && write(ready[1], "x", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void a_killed_owner_is_gone_at_once(void **state)
{
    (void)state;
    struct folder f;
    struct det_dir_lock lock;
    open_folder(&f);
    const pid_t owner = start_owner(&f);
    assert_true(in_use(&f));
    assert_fails(&f.t.env, DET_STATUS_IN_USE, "a training is running in this folder",
                 det_dir_lock_take(&f.t.env, f.path, &lock));
    /* Not waited for: as `kill -9; same command` in a shell. */
    assert_int_equal(kill(owner, SIGKILL), 0);
    const double begin = seconds();
    assert_ok(&f.t.env, det_dir_lock_take(&f.t.env, f.path, &lock));
    assert_true(seconds() - begin < 20);
    assert_entries(&f, 1);
    int status = 0;
    assert_int_equal(waitpid(owner, &status, 0), owner);
    /* Its number may be anybody's now, ours too: what the file says of it does not matter. */
    det_dir_lock_release(&f.t.env, &lock);
    close_folder(&f);
}

/* Left by another machine, by a power cut, cut short: on a disk of this machine alone nobody can be
 * behind it. */
static void leftovers_of_all_kinds_are_taken_over(void **state)
{
    (void)state;
    static const char *const records[] = {
        "", "garbage",
        "This folder is in use\nhost: elsewhere\nprocess: 1\nstarted: 1\nboot: "
        "another\nspace: x\nsince: 2025-01-01 00:00:00 UTC\ntoken: 0123456789abcdef\n"};
    struct folder f;
    struct det_dir_lock lock;
    open_folder(&f);
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        assert_ok(&f.t.env, det_write_file(&f.t.env, f.lock_path, records[i], strlen(records[i])));
        assert_false(in_use(&f));
        assert_ok(&f.t.env, det_dir_lock_take(&f.t.env, f.path, &lock));
        assert_true(in_use(&f));
        det_dir_lock_release(&f.t.env, &lock);
        assert_entries(&f, 0);
    }
    /* What a contender that was killed left behind goes with the next. */
    char name[400];
    snprintf(name, sizeof name, "%s/.training.lock.tmp-0123456789abcdef", f.path);
    assert_ok(&f.t.env, det_write_file(&f.t.env, name, "x", 1));
    assert_ok(&f.t.env, det_dir_lock_take(&f.t.env, f.path, &lock));
    assert_entries(&f, 1);
    det_dir_lock_release(&f.t.env, &lock);
    close_folder(&f);
}

static void a_fork_does_not_release(void **state)
{
    (void)state;
    struct folder f;
    struct det_dir_lock lock;
    open_folder(&f);
    assert_ok(&f.t.env, det_dir_lock_take(&f.t.env, f.path, &lock));
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        det_dir_lock_release(&f.t.env, &lock);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(in_use(&f));
    assert_true(det_file_exists(f.lock_path));
    det_dir_lock_release(&f.t.env, &lock);
    close_folder(&f);
}

/* --- losing it --- */

static void an_owner_learns_that_it_was_taken_for_dead(void **state)
{
    (void)state;
    static const char other[] = "x\nhost: elsewhere\nprocess: 77\nsince: today\ntoken: 1\n";
    struct folder f;
    struct det_dir_lock lock;
    open_folder(&f);
    assert_ok(&f.t.env, det_dir_lock_take(&f.t.env, f.path, &lock));
    assert_ok(&f.t.env, det_write_file(&f.t.env, f.lock_path, other, sizeof other - 1));
    assert_ok(&f.t.env, det_dir_lock_beat(&f.t.env, &lock, false)); /* not time for it yet */
    assert_fails(&f.t.env, DET_STATUS_IN_USE,
                 "taken for dead and is at its end: ", det_dir_lock_beat(&f.t.env, &lock, true));
    assert_non_null(strstr(f.t.env.error, "on host elsewhere, process 77, since today"));
    det_dir_lock_release(&f.t.env, &lock);
    char *text = test_read_text(f.lock_path); /* the other's stays */
    assert_string_equal(text, other);
    free(text);
    close_folder(&f);
}

static void a_lock_that_was_removed_comes_back(void **state)
{
    (void)state;
    struct folder f;
    struct det_dir_lock lock, other;
    open_folder(&f);
    assert_ok(&f.t.env, det_dir_lock_take(&f.t.env, f.path, &lock));
    assert_int_equal(unlink(f.lock_path), 0);
    assert_ok(&f.t.env, det_dir_lock_beat(&f.t.env, &lock, true));
    assert_true(in_use(&f));
    assert_fails(&f.t.env, DET_STATUS_IN_USE, "in this folder",
                 det_dir_lock_take(&f.t.env, f.path, &other));
    det_dir_lock_release(&f.t.env, &lock);
    assert_entries(&f, 0);
    /* A file that cannot be made any more does not end a training: its next checkpoint will
     * tell. */
    assert_ok(&f.t.env, det_dir_lock_take(&f.t.env, f.path, &lock));
    test_remove_tree(f.path);
    assert_ok(&f.t.env, det_dir_lock_beat(&f.t.env, &lock, true));
    det_dir_lock_release(&f.t.env, &lock);
    close_folder(&f);
}

/* --- who lives --- */

static void replace_value(char record[DET_LOCK_RECORD_BYTES], const char *name, const char *value)
{
    char before[32], copy[DET_LOCK_RECORD_BYTES];
    snprintf(before, sizeof before, "\n%s: ", name);
    char *at = strstr(record, before);
    assert_non_null(at);
    at += strlen(before);
    snprintf(copy, sizeof copy, "%.*s%s%s", (int)(at - record), record, value,
             at + strcspn(at, "\n"));
    snprintf(record, DET_LOCK_RECORD_BYTES, "%s", copy);
}

/* On a shared disk, where the kernel cannot speak for other machines; `what` tells the case. */
static void assert_lives(struct det_lock_sight sight, bool lives, const char *what)
{
    if (det_lock_owner_lives(&sight) != lives)
        fail_msg("%s: taken for %s", what, lives ? "dead" : "alive");
}

static void who_lives_on_a_shared_disk(void **state)
{
    (void)state;
    struct det_lock_sight ours = {.kernel_speaks = true, .beaten = (long long)time(NULL)};
    det_lock_record_make(ours.record);
    struct det_lock_sight s = ours;
    s.kernel_held = true;
    assert_lives(s, true, "the kernel's lock is held");
    assert_lives(ours, false, "the same kernel, which holds no lock");

    /* Another machine. */
    s = ours;
    replace_value(s.record, "host", "elsewhere");
    replace_value(s.record, "boot", "another");
    s.silence_s = DET_LOCK_STALE_SECONDS - 1;
    assert_lives(s, true, "another machine, shortly silent");
    s.silence_s = DET_LOCK_STALE_SECONDS + 1;
    assert_lives(s, false, "another machine, long silent");
    s.silence_s = 1;
    s.local = true;
    assert_lives(s, false, "another machine, on a disk that only this one has");

    /* This one, started again since; or another one of the same name. */
    s = ours;
    replace_value(s.record, "boot", "the one before");
    s.beaten = 1000;
    assert_lives(s, false, "this machine was started again since");
    s.beaten = (long long)time(NULL) + 1;
    assert_lives(s, true, "another machine of this name");

    /* No locks of the kernel's at all. */
    s = ours;
    s.kernel_speaks = false;
    assert_lives(s, true, "this very process");
    replace_value(s.record, "started", "1");
    assert_lives(s, false, "another process of this number");
    s = ours;
    s.kernel_speaks = false;
    replace_value(s.record, "process", "999999999");
    assert_lives(s, false, "no process of this number");
    replace_value(s.record, "space", "pid:[1]");
    assert_lives(s, true, "a process of another container, shortly silent");
    s.silence_s = DET_LOCK_STALE_SECONDS + 1;
    assert_lives(s, false, "a process of another container, long silent");

    /* Half of one, as another machine may be writing it. */
    s = ours;
    *strstr(s.record, "\ntoken") = '\0';
    s.kernel_speaks = false;
    assert_lives(s, true, "just begun");
    s.silence_s = 60;
    assert_lives(s, false, "never finished");
}

static void a_refusal_says_how_to_go_on(void **state)
{
    (void)state;
    struct test_env t;
    struct det_lock_sight s = {.silence_s = 41.7};
    test_env_init(&t);
    snprintf(s.record, sizeof s.record,
             "x\nhost: gpu-7\nprocess: 4711\nsince: 2025-11-28 08:00:00 UTC\ntoken: 1\n");
    assert_fails(&t.env, DET_STATUS_IN_USE,
                 "m: a training is running in this folder: on host gpu-7, process 4711, since "
                 "2025-11-28 08:00:00 UTC; its last sign of life is 42 s old: if it is gone, wait "
                 "until that is 600 s, or remove m/training.lock",
                 det_lock_fail(&t.env, "m/training.lock", &s));
    test_env_check(&t);
}

/* What only tidies up may fail in silence. */
static void each_allocation_fails(void **state)
{
    (void)state;
    struct folder f;
    struct det_dir_lock lock;
    int refused = 0;
    open_folder(&f);
    for (long n = 1; n < 30; n++) {
        test_env_fail_at(&f.t, n);
        const det_status status = det_dir_lock_take(&f.t.env, f.path, &lock);
        assert_true(status == DET_OK || status == DET_STATUS_OUT_OF_MEMORY);
        assert_int_equal(det_dir_lock_held(&lock), status == DET_OK);
        refused += status != DET_OK;
        det_dir_lock_release(&f.t.env, &lock);
        test_env_fail_at(&f.t, 0);
        assert_entries(&f, 0);
    }
    assert_true(refused >= 3);
    close_folder(&f);
}

/* --- trainers --- */

static det_status open_trainer(det_context *context, det_pipeline_config *config,
                               const char *model_dir, det_trainer **trainer)
{
    det_trainer_settings settings;
    det_trainer_settings_default(&settings);
    settings.model_dir = model_dir;
    settings.checkpoint_every_steps = 0;
    settings.summary_every_steps = 0;
    return det_trainer_create(context, config, &settings, trainer);
}

static void two_trainers_do_not_share_a_folder(void **state)
{
    (void)state;
    struct workspace w;
    struct test_env t;
    det_pipeline_config *config = NULL;
    det_trainer *first = NULL, *second = NULL;
    det_step_report report = {.struct_size = sizeof report};
    char path[400];
    workspace_make(&w, "two");
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    assert_context_ok(context, det_pipeline_config_load(context, w.config, &config));
    assert_context_ok(context, open_trainer(context, config, w.model_dir, &first));
    assert_context_fails(context, DET_STATUS_IN_USE, "a training is running in this folder",
                         open_trainer(context, config, w.model_dir, &second));
    assert_null(second);
    assert_context_ok(context, det_trainer_step(first, &report));
    assert_context_ok(context, det_trainer_save(first));
    /* Another machine has taken this one for dead: no checkpoint of its is touched. */
    snprintf(path, sizeof path, "%s/" DET_LOCK_NAME, w.model_dir);
    static const char other[] = "x\nhost: elsewhere\nprocess: 7\nsince: now\ntoken: 1\n";
    assert_ok(&t.env, det_write_file(&t.env, path, other, sizeof other - 1));
    assert_context_ok(context, det_trainer_step(first, &report));
    assert_context_fails(context, DET_STATUS_IN_USE, "taken for dead", det_trainer_save(first));
    snprintf(path, sizeof path, "%s/ckpt-2.det", w.model_dir);
    assert_false(det_file_exists(path));
    det_trainer_destroy(&first);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
    test_env_check(&t);
    workspace_remove(&w);
}

/* Read-only users are not hindered; a second training is refused, and after a kill the same command
 * goes on. */
static void as_a_user_runs_it(void **state)
{
    (void)state;
    static char out[100000];
    struct workspace w;
    char program[600], log[400];
    workspace_make(&w, "tools_lock");
    workspace_edit_config(&w, "num_steps: 12", "num_steps: 100000");
    snprintf(log, sizeof log, "%s/log", w.directory);
    const char *bin = getenv("DET_BIN_DIR") != NULL ? getenv("DET_BIN_DIR") : "build/release/bin";
    snprintf(program, sizeof program, "%s/det-train", bin);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (freopen(log, "w", stdout) == NULL || freopen(log, "a", stderr) == NULL)
            _exit(126);
        execl(program, program, "--pipeline_config_path", w.config, "--model_dir", w.model_dir,
              "--checkpoint_every_n", "5", (char *)NULL);
        _exit(127);
    }
    char checkpoint[400];
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint", w.model_dir);
    for (int i = 0; i < 600 && !det_file_exists(checkpoint); i++)
        usleep(50000);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path %s --model_dir %s --seed 9",
                              w.config, w.model_dir),
                     1);
    assert_contains(out, "a training is running in this folder: on host ");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint_dir %s --once "
                              "--max_images 1",
                              w.config, w.model_dir),
                     0);
    assert_int_equal(run_tool(out, sizeof out, "det-plot %s", w.model_dir), 0);
    assert_int_equal(kill(child, SIGKILL), 0); /* and the same command at once */
    assert_int_equal(run_tool(out, sizeof out,
                              "det-train --pipeline_config_path %s --model_dir %s "
                              "--num_train_steps 5",
                              w.config, w.model_dir),
                     0);
    assert_contains(out, "taken over from process ");
    assert_contains(out, "schedule already finished");
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    workspace_remove(&w);
}

int test_dir_lock(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(exactly_one_takes_over),
        cmocka_unit_test(a_killed_owner_is_gone_at_once),
        cmocka_unit_test(leftovers_of_all_kinds_are_taken_over),
        cmocka_unit_test(a_fork_does_not_release),
        cmocka_unit_test(an_owner_learns_that_it_was_taken_for_dead),
        cmocka_unit_test(a_lock_that_was_removed_comes_back),
        cmocka_unit_test(who_lives_on_a_shared_disk),
        cmocka_unit_test(a_refusal_says_how_to_go_on),
        cmocka_unit_test(each_allocation_fails),
        cmocka_unit_test(two_trainers_do_not_share_a_folder),
        cmocka_unit_test(as_a_user_runs_it),
    };
    return cmocka_run_group_tests_name("dir_lock", tests, NULL, NULL);
}
