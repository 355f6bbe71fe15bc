/* What a forked child can do with what it inherited: use it, and destroy it without waiting for
 * threads that it has not. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/forks.h"
#include "base/pool.h"
#include "support/workspace.h"

/* ThreadSanitizer cannot start threads in the child of a process that had some. */
#ifdef __SANITIZE_THREAD__
#define CAN_START_THREADS false
#else
#define CAN_START_THREADS true
#endif

/* Runs `body` in a child and asserts that it returns true, within a minute. */
static void in_child(bool (*body)(void *argument), void *argument)
{
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(60);
        _exit(body(argument) ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        fail_msg("the child was ended by signal %d", WTERMSIG(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

struct fixture {
    struct test_env t;
    det_context *context;
    det_model *model;
    det_detector *detector;
    det_image_view view;
    det_detection found[100]; /* by the parent */
    size_t count;
};

static uint8_t pixels[120 * 90 * 3];

static void make(struct fixture *f, int threads)
{
    *f = (struct fixture){0};
    test_env_init(&f->t);
    det_context_settings settings;
    det_detector_settings detector;
    const det_detection *found = NULL;
    det_context_settings_default(&settings);
    det_detector_settings_default(&detector);
    settings.allocator = test_env_hooks(&f->t);
    settings.threads = threads;
    detector.score_threshold = 0;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 31 % 251);
    f->view = (det_image_view){.pixels = pixels, .width = 120, .height = 90};
    assert_int_equal(det_context_create(&f->context, &settings), DET_OK);
    assert_context_ok(f->context, det_model_load(f->context, "data/vehicles.det", &f->model));
    assert_context_ok(f->context,
                      det_detector_create(f->context, f->model, &detector, &f->detector));
    assert_context_ok(f->context, det_detector_run(f->detector, &f->view, &found, &f->count));
    assert_true(f->count > 0 && f->count <= 100);
    memcpy(f->found, found, f->count * sizeof *found);
}

static bool destroy(struct fixture *f)
{
    det_detector_destroy(&f->detector);
    det_model_destroy(&f->model);
    det_context_destroy(&f->context);
    const bool clean = test_env_live(&f->t) == 0;
    test_env_check(&f->t);
    return clean;
}

static bool finds_the_same(struct fixture *f, det_detector *detector)
{
    const det_detection *found = NULL;
    size_t count = 0;
    return det_detector_run(detector, &f->view, &found, &count) == DET_OK && count == f->count &&
           memcmp(found, f->found, count * sizeof *found) == 0;
}

static bool use_and_destroy(void *argument)
{
    struct fixture *f = argument;
    return finds_the_same(f, f->detector) && destroy(f);
}

static bool only_destroy(void *argument)
{
    return destroy(argument);
}

static bool fork_again(void *argument)
{
    in_child(use_and_destroy, argument);
    return use_and_destroy(argument);
}

/* A context of its own has threads of its own. */
static bool begin_anew(void *argument)
{
    struct fixture *f = argument;
    struct fixture own;
    if (!CAN_START_THREADS)
        return true;
    make(&own, 3);
    const bool same =
        own.count == f->count && memcmp(own.found, f->found, own.count * sizeof *own.found) == 0;
    return same && det_context_threads(own.context) == 3 && destroy(&own) && destroy(f);
}

static void a_child_has_what_its_parent_had(void **state)
{
    (void)state;
    static bool (*const bodies[])(void *) = {use_and_destroy, only_destroy, fork_again, begin_anew};
    for (int threads = 1; threads <= 4; threads++) {
        struct fixture f;
        make(&f, threads);
        for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
            in_child(bodies[i], &f);
            assert_true(finds_the_same(&f, f.detector)); /* the parent notices nothing */
        }
        assert_true(destroy(&f));
    }
}

/* --- a fork while the threads are at work --- */

struct busy {
    struct test_env t;
    struct det_pool *pool;
    atomic_bool stop;
    atomic_int done;
};

static void count_task(void *argument, int32_t task, int32_t worker)
{
    (void)task;
    (void)worker;
    atomic_fetch_add((atomic_int *)argument, 1);
}

static void *keep_busy(void *argument)
{
    struct busy *b = argument;
    while (!atomic_load(&b->stop))
        det_pool_run(b->pool, 50, count_task, &b->done);
    return NULL;
}

static bool drop_pool(void *argument)
{
    struct busy *b = argument;
    det_pool_destroy(&b->t.env, &b->pool);
    return b->pool == NULL;
}

static void whatever_the_threads_were_doing(void **state)
{
    (void)state;
    struct busy b = {0};
    pthread_t thread;
    test_env_init(&b.t);
    assert_ok(&b.t.env, det_pool_create(&b.t.env, 3, &b.pool));
    assert_int_equal(pthread_create(&thread, NULL, keep_busy, &b), 0);
    for (int i = 0; i < 50; i++)
        in_child(drop_pool, &b);
    atomic_store(&b.stop, true);
    pthread_join(thread, NULL);
    det_pool_destroy(&b.t.env, &b.pool);
    test_env_check(&b.t);
}

/* --- a training --- */

struct training {
    struct workspace w;
    det_context *context;
    det_pipeline_config *config;
    det_trainer *trainer;
};

static void end_training(struct training *r)
{
    det_trainer_destroy(&r->trainer);
    det_pipeline_config_destroy(&r->config);
    det_context_destroy(&r->context);
}

static bool train_in_child(void *argument)
{
    struct training *r = argument;
    det_step_report report = {.struct_size = sizeof report};
    const det_status status = det_trainer_step(r->trainer, &report);
    const bool clear = status == DET_STATUS_UNSUPPORTED &&
                       strstr(det_context_error(r->context), "child of a fork") != NULL;
    end_training(r);
    return clear;
}

static void a_trainer_says_so(void **state)
{
    (void)state;
    struct training r = {0};
    det_trainer_settings settings;
    det_step_report report = {.struct_size = sizeof report};
    det_context_settings context;
    workspace_make(&r.w, "forks");
    /* The C library's allocator: it sees to it that a child finds no lock of a thread that it has
     * not. */
    det_context_settings_default(&context);
    context.threads = 2;
    assert_int_equal(det_context_create(&r.context, &context), DET_OK);
    det_trainer_settings_default(&settings);
    assert_context_ok(r.context, det_pipeline_config_load(r.context, r.w.config, &r.config));
    assert_context_ok(r.context, det_trainer_create(r.context, r.config, &settings, &r.trainer));
    assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
    in_child(train_in_child, &r);
    assert_context_ok(r.context, det_trainer_step(r.trainer, &report));
    end_training(&r);
    workspace_remove(&r.w);
}

/* --- an event file --- */

struct events {
    det_context *context;
    det_summary_writer *writer;
};

static bool write_in_child(void *argument)
{
    struct events *e = argument;
    const bool refused = det_summary_flush(e->writer) == DET_STATUS_UNSUPPORTED;
    det_summary_writer_destroy(&e->writer);
    det_context_destroy(&e->context);
    return refused;
}

static void what_is_pending_is_written_once(void **state)
{
    (void)state;
    struct events e = {0};
    char directory[256];
    size_t before = 0, after = 0;
    test_make_directory(directory, "fork-events");
    assert_int_equal(det_context_create(&e.context, NULL), DET_OK);
    assert_context_ok(e.context, det_summary_writer_create(e.context, directory, &e.writer));
    assert_context_ok(e.context, det_summary_scalar(e.writer, "x", 1, 2));
    free(test_read_bytes(det_summary_writer_path(e.writer), &before));
    in_child(write_in_child, &e);
    free(test_read_bytes(det_summary_writer_path(e.writer), &after));
    assert_int_equal(before, after);
    assert_context_ok(e.context, det_summary_flush(e.writer));
    free(test_read_bytes(det_summary_writer_path(e.writer), &after));
    assert_true(after > before);
    det_summary_writer_destroy(&e.writer);
    det_context_destroy(&e.context);
    test_remove_tree(directory);
}

int test_forks(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_has_what_its_parent_had),
        cmocka_unit_test(whatever_the_threads_were_doing),
        cmocka_unit_test(a_trainer_says_so),
        cmocka_unit_test(what_is_pending_is_written_once),
    };
    return cmocka_run_group_tests_name("forks", tests, NULL, NULL);
}
