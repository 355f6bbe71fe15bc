/* det/trainer.h with a communicator: the files of one process that accumulates, byte for byte, and
 * what happens when the ranks are not of one mind. */
#include <unistd.h>

#include "base/context.h"
#include "ranks/communicator.h"
#include "support/io.h"
#include "support/thread_ranks.h"
#include "support/workspace.h"
#include "train/trainer.h"

enum { MOST_RANKS = 4, STEPS = 6 };

struct job {
    const struct workspace *w;
    det_trainer_settings settings;
    int64_t stop_at[MOST_RANKS];    /* a rank's callback stops behind that step; 0: not */
    int64_t signal_at[MOST_RANKS];  /* wants_stop says so in the step behind that one; 0: not */
    const char *config[MOST_RANKS]; /* another one than the workspace's; NULL: that */
    int threads[MOST_RANKS];
    det_status status[MOST_RANKS];
    char message[MOST_RANKS][DET_ERROR_BYTES];
    int64_t steps[MOST_RANKS];
    double ap[MOST_RANKS];
};

struct rank {
    struct job *job;
    int32_t number;
    int64_t step;
};

static int after_step(void *user, const det_step_report *report)
{
    struct rank *r = user;
    r->step = report->step;
    return r->job->stop_at[r->number] > 0 && report->step >= r->job->stop_at[r->number];
}

static int wants_stop(void *user)
{
    const struct rank *r = user;
    const int64_t at = r->job->signal_at[r->number];
    return at > 0 && r->step >= at;
}

static det_status train(struct job *job, struct rank *r, det_context *context,
                        det_communicator *communicator)
{
    det_pipeline_config *config = NULL;
    det_trainer *trainer = NULL;
    det_trainer_settings settings = job->settings;
    const char *path = job->config[r->number] != NULL ? job->config[r->number] : job->w->config;
    settings.communicator = communicator;
    settings.wants_stop = wants_stop;
    settings.wants_stop_user = r;
    /* as det-train does, before the trainer */
    det_status status = det_pipeline_config_load(context, path, &config);
    if (communicator != NULL)
        status = det_ranks_agree(det_context_env(context), communicator, status);
    if (status == DET_OK)
        status = det_trainer_create(context, config, &settings, &trainer);
    if (status == DET_OK)
        status = det_trainer_run(trainer, after_step, r);
    job->steps[r->number] = det_trainer_steps_done(trainer);
    if (status == DET_OK && trainer->evaluation != NULL)
        job->ap[r->number] = det_evaluation_coco(trainer->evaluation)->stats[DET_COCO_AP];
    det_trainer_destroy(&trainer);
    det_pipeline_config_destroy(&config);
    return status;
}

static void run_rank(void *user, struct det_env *env, det_communicator *communicator)
{
    struct job *job = user;
    struct rank r = {job, det_communicator_rank(communicator), 0};
    det_context *context = NULL;
    det_context_settings settings;
    (void)env;
    det_context_settings_default(&settings);
    settings.threads = job->threads[r.number] > 0 ? job->threads[r.number] : 1;
    settings.cpu = "ref";
    settings.device = "cpu";
    job->status[r.number] = det_context_create(&context, &settings);
    if (job->status[r.number] == DET_OK)
        job->status[r.number] = train(job, &r, context, communicator);
    snprintf(job->message[r.number], DET_ERROR_BYTES, "%s", det_context_error(context));
    det_context_destroy(&context);
}

static void run_ranks(struct job *job, int32_t size)
{
    thread_ranks_run(&(struct thread_ranks_settings){.size = size, .most_looks = 3}, run_rank, job);
}

static void make_job(struct job *job, const struct workspace *w)
{
    *job = (struct job){.w = w};
    det_trainer_settings_default(&job->settings);
    job->settings.model_dir = w->model_dir;
    job->settings.num_steps = STEPS;
    job->settings.summary_every_steps = 0;
}

static void check_all_ok(const struct job *job, int32_t size)
{
    for (int32_t r = 0; r < size; r++)
        if (job->status[r] != DET_OK)
            fail_msg("rank %d: %s", (int)r, job->message[r]);
}

/* The checkpoint's bytes (malloc); the folder is removed. */
static char *take_checkpoint(const struct workspace *w, int64_t step, size_t *bytes)
{
    char path[400];
    snprintf(path, sizeof path, "%s/ckpt-%lld.det", w->model_dir, (long long)step);
    char *data = test_read_bytes(path, bytes);
    test_remove_tree(w->model_dir);
    return data;
}

/* One process, each of its batches a rank's. */
static char *train_alone(const struct job *like, int32_t batches, size_t *bytes)
{
    struct job job = *like;
    struct test_env t;
    struct rank r = {&job, 0, 0};
    test_env_init(&t);
    job.settings.batch_size = 4 / batches;
    job.settings.accumulate = batches;
    det_context *context = workspace_context(&t, 2);
    assert_context_ok(context, train(&job, &r, context, NULL));
    det_context_destroy(&context);
    test_env_check(&t);
    return take_checkpoint(like->w, job.steps[0], bytes);
}

static void files_are_those_of_one_process(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "trainer_ranks");
    for (int32_t size = 1; size <= 4; size *= 2) {
        struct job job;
        size_t bytes = 0, wanted_bytes = 0;
        make_job(&job, &w);
        job.settings.eval_every_steps = 3;
        run_ranks(&job, size);
        check_all_ok(&job, size);
        for (int32_t r = 0; r < size; r++) {
            assert_int_equal(job.steps[r], STEPS);
            assert_true(job.ap[r] == job.ap[0]);
        }
        char *got = take_checkpoint(&w, STEPS, &bytes);
        char *wanted = train_alone(&job, size, &wanted_bytes);
        assert_int_equal(bytes, wanted_bytes);
        assert_memory_equal(got, wanted, bytes);
        free(got);
        free(wanted);
    }
    workspace_remove(&w);
}

/* Ended by a rank's callback, gone on with; and with other numbers of ranks. */
static void what_was_stopped_goes_on(void **state)
{
    (void)state;
    struct workspace w;
    struct job job;
    size_t bytes = 0, wanted_bytes = 0;
    workspace_make(&w, "trainer_ranks_resume");
    make_job(&job, &w);
    job.stop_at[1] = 2;
    run_ranks(&job, 2);
    check_all_ok(&job, 2);
    assert_int_equal(job.steps[0], 2);
    assert_int_equal(job.steps[1], 2);
    job.stop_at[1] = 0;
    run_ranks(&job, 2);
    check_all_ok(&job, 2);
    char *got = take_checkpoint(&w, STEPS, &bytes);
    char *wanted = train_alone(&job, 2, &wanted_bytes);
    assert_int_equal(bytes, wanted_bytes);
    assert_memory_equal(got, wanted, bytes);
    free(got);
    free(wanted);
    job.settings.num_steps = 2;
    run_ranks(&job, 4);
    job.settings.num_steps = 4;
    run_ranks(&job, 1);
    check_all_ok(&job, 1);
    job.settings.num_steps = STEPS;
    run_ranks(&job, 2);
    check_all_ok(&job, 2);
    assert_int_equal(job.steps[1], STEPS);
    run_ranks(&job, 2); /* nothing is left */
    for (int r = 0; r < 2; r++)
        assert_int_equal(job.status[r], DET_STATUS_FINISHED);
    workspace_remove(&w);
}

/* Asked to stop within a step: that step is dropped, the one before is saved. */
static void a_signal_on_any_rank_stops_all(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "trainer_ranks_signal");
    for (int who = 0; who < 3; who++) {
        struct job job;
        size_t bytes = 0, wanted_bytes = 0;
        make_job(&job, &w);
        job.settings.batch_size = 6;
        job.signal_at[who] = 3;
        run_ranks(&job, 3);
        check_all_ok(&job, 3);
        /* rank 0 may have been in the step behind it, or not yet done with this one */
        const int64_t step = job.steps[0];
        assert_in_range(step, 2, 4);
        job.signal_at[who] = 0;
        char *got = take_checkpoint(&w, step, &bytes);
        job.settings.num_steps = step;
        run_ranks(&job, 3);
        check_all_ok(&job, 3);
        char *wanted = take_checkpoint(&w, step, &wanted_bytes);
        /* the last of its steps has recalibrated statistics, the stopped one none */
        assert_true(bytes > 0 && bytes < wanted_bytes);
        free(got);
        free(wanted);
    }
    workspace_remove(&w);
}

/* The status and a part of the message on each rank. */
static void check_all_fail(const struct job *job, int32_t size, det_status status, const char *text)
{
    for (int32_t r = 0; r < size; r++) {
        if (job->status[r] != status)
            fail_msg("rank %d: \"%s\" (%s), expected \"%s\"", (int)r,
                     det_status_text(job->status[r]), job->message[r], det_status_text(status));
        assert_contains(job->message[r], text);
    }
}

static void what_is_wrong_on_one_rank_is_said_by_all(void **state)
{
    (void)state;
    struct workspace w, other;
    struct job job;
    char missing[400];
    workspace_make(&w, "trainer_ranks_wrong");
    workspace_make(&other, "trainer_ranks_other");
    make_job(&job, &w);
    job.settings.batch_size = 6;
    snprintf(missing, sizeof missing, "%s/none.config", w.directory);
    job.config[2] = missing;
    run_ranks(&job, 3);
    check_all_fail(&job, 3, DET_STATUS_NOT_FOUND, "rank 2 on ");
    check_all_fail(&job, 3, DET_STATUS_NOT_FOUND, "none.config");

    make_job(&job, &w);
    job.settings.batch_size = 6;
    workspace_edit_config(&other, "num_steps: 12", "num_steps: 13");
    job.config[1] = other.config;
    run_ranks(&job, 3);
    check_all_fail(&job, 3, DET_STATUS_MISMATCH, "rank 1 on ");
    check_all_fail(&job, 3, DET_STATUS_MISMATCH, "another pipeline.config than rank 0");

    make_job(&job, &w);
    job.settings.batch_size = 4; /* not to be shared by three */
    run_ranks(&job, 3);
    check_all_fail(&job, 3, DET_STATUS_INVALID_ARGUMENT,
                   "a step's batch of 4 images cannot be shared alike by 3 ranks: 3 or 6 can");
    assert_false(det_file_exists(w.model_dir));
    workspace_remove(&other);
    workspace_remove(&w);
}

int test_trainer_ranks(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_those_of_one_process),
        cmocka_unit_test(what_was_stopped_goes_on),
        cmocka_unit_test(a_signal_on_any_rank_stops_all),
        cmocka_unit_test(what_is_wrong_on_one_rank_is_said_by_all),
    };
    return cmocka_run_group_tests_name("trainer_ranks", tests, NULL, NULL);
}
