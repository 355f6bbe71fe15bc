/* train/recalibrate over ranks: the statistics of one process, bit for bit, whatever the batches
 * are and whoever has too little memory for them; what goes wrong on one rank ends it on all. */
#include "devices/context.h"
#include "model/from_config.h"
#include "model/model.h"
#include "support/rank_trial.h"
#include "support/records.h"
#include "train/recalibrate.h"

enum { MOST = RANK_TRIAL_MOST, IMAGES = 45 };

struct trial {
    struct rank_trial all;
    const struct workspace *workspace;
    int32_t batch;
    int64_t images;
    long fail_at; /* allocation of rank 1; 0: none */
    bool reached;
    float *recalibrated[MOST];
    int64_t used[MOST];
};

static det_status recalibrate(struct rank_trial *all, int32_t rank, det_communicator *communicator)
{
    struct trial *trial = (struct trial *)all;
    struct rank_model *r = &all->ranks[rank];
    struct det_env *env = &r->context->env;
    struct det_dataset dataset = {0};
    char records[400];
    const char *pattern = records;
    struct det_recalibration question = {
        .spec = &r->model->spec,
        .graph = &r->model->graph,
        .params = r->model->params,
        .dataset = &dataset,
        .images = trial->images,
        .batch = trial->batch,
        .progress = rank_trial_note,
        .progress_user = &all->seen[rank],
        .communicator = communicator,
    };
    snprintf(records, sizeof records, "%s/train.tfrecord", trial->workspace->directory);
    det_config_resize(r->config, &r->model->spec, &question.resize);
    trial->recalibrated[rank] = calloc(r->model->graph.param_floats, sizeof(float));
    det_status status = det_dataset_open(
        env,
        &(struct det_dataset_settings){
            .patterns = &pattern, .pattern_count = 1, .class_count = 2, .images_only = true},
        &dataset);
    const long before = test_env_allocations(&r->t);
    test_env_fail_at(&r->t, rank == 1 ? trial->fail_at : 0);
    if (status == DET_OK)
        status =
            det_recalibrate(r->context, &question, trial->recalibrated[rank], &trial->used[rank]);
    test_env_fail_at(&r->t, 0);
    if (rank == 1)
        trial->reached = test_env_allocations(&r->t) - before >= trial->fail_at;
    det_dataset_close(env, &dataset);
    return status;
}

static void end_trial(struct trial *trial)
{
    for (int32_t r = 0; r < MOST; r++)
        free(trial->recalibrated[r]);
}

static bool is_same(const struct trial *a, int32_t rank_a, const struct trial *b, int32_t rank_b)
{
    return memcmp(a->recalibrated[rank_a], b->recalibrated[rank_b],
                  a->all.ranks[0].model->graph.param_floats * sizeof(float)) == 0;
}

static void assert_all_fail(const struct trial *trial, det_status status, const char *text)
{
    rank_trial_assert_fails(&trial->all, status, text);
    for (int32_t r = 0; r < trial->all.size; r++)
        assert_int_equal(trial->used[r], 0);
}

static void write_images(const struct workspace *w, int images)
{
    struct det_env env;
    char path[400];
    det_env_default(&env);
    snprintf(path, sizeof path, "%s/train.tfrecord", w->directory);
    test_write_records(&env, path, images);
}

/* One trained network for all tests. */
static struct workspace space;
static char checkpoint[400];

static int make_space(void **state)
{
    (void)state;
    workspace_make(&space, "recalibration_ranks");
    write_images(&space, IMAGES);
    rank_models_train(&space, checkpoint);
    return 0;
}

static int remove_space(void **state)
{
    (void)state;
    workspace_remove(&space);
    return 0;
}

static struct trial trial_of(struct rank_model *ranks, int32_t size, int32_t batch, int64_t images)
{
    return (struct trial){.all = {.size = size, .ranks = ranks, .part = recalibrate},
                          .workspace = &space,
                          .batch = batch,
                          .images = images};
}

static void any_number_of_ranks_is_one_process(void **state)
{
    /* The last batch is filled up with pictures of the next round, the last round has a batch for
     * some ranks only; one batch in all; one picture in all. */
    static const struct {
        int32_t batch;
        int64_t images, samples;
    } cases[] = {{4, 0, 48}, {3, 40, 42}, {0, 0, 48}, {0, 16, 16}, {1, 7, 7}, {1, 1, 1}};
    struct rank_model ranks[MOST];
    (void)state;
    rank_models_open(ranks, MOST, &space, checkpoint);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct trial one = trial_of(ranks, 0, cases[i].batch, cases[i].images);
        rank_trial_run(&one.all);
        rank_trial_assert_ok(&one.all);
        assert_memory_not_equal(one.recalibrated[0], ranks[0].model->params,
                                ranks[0].model->graph.param_floats * sizeof(float));
        for (int32_t size = 1; size <= MOST; size++) {
            struct trial many = trial_of(ranks, size, cases[i].batch, cases[i].images);
            rank_trial_run(&many.all);
            rank_trial_assert_ok(&many.all);
            for (int32_t r = 0; r < size; r++) {
                assert_true(is_same(&one, 0, &many, r));
                assert_int_equal(many.used[r], one.used[0]);
                assert_int_equal(many.all.seen[r].last, cases[i].samples);
                assert_int_equal(many.all.seen[r].total, cases[i].samples);
            }
            end_trial(&many);
        }
        end_trial(&one);
    }
    rank_models_close(ranks, MOST);
}

static void one_rank_stops_all(void **state)
{
    struct rank_model ranks[3];
    (void)state;
    rank_models_open(ranks, 3, &space, checkpoint);
    struct trial trial = trial_of(ranks, 3, 4, 0);
    trial.all.seen[1].stop_at = 2;
    rank_trial_run(&trial.all);
    assert_all_fail(&trial, DET_STATUS_CANCELLED, "recalibration was stopped");
    assert_contains(trial.all.seen[0].message, "recalibration: rank 1 on ");
    for (int32_t r = 0; r < 3; r++) {
        assert_int_equal(trial.all.seen[r].last, 24);
        assert_int_equal(trial.all.seen[r].calls, 2);
    }
    end_trial(&trial);
    rank_models_close(ranks, 3);
}

/* Batch 17 of the order that all take is broken. */
static void a_broken_image_ends_all(void **state)
{
    struct rank_model ranks[3];
    struct workspace other;
    struct det_env env;
    struct det_writer writer;
    char path[400];
    (void)state;
    det_env_default(&env);
    workspace_make(&other, "recalibration_broken");
    snprintf(path, sizeof path, "%s/train.tfrecord", other.directory);
    assert_ok(&env, det_writer_open(&env, path, &writer));
    for (unsigned i = 0; i < 20; i++) {
        size_t bytes = 0;
        unsigned char *jpeg = test_make_jpeg(40, 30, i, &bytes);
        const struct det_example example = {.encoded = {jpeg, i == 17 ? bytes / 2 : bytes}};
        test_write_example(&env, &writer, &example);
        free(jpeg);
    }
    assert_ok(&env, det_writer_commit(&env, &writer));
    rank_models_open(ranks, 3, &space, checkpoint);
    for (int32_t size = 1; size <= 3; size++) {
        struct trial trial = trial_of(ranks, size, 1, 0);
        trial.workspace = &other;
        rank_trial_run(&trial.all);
        assert_all_fail(&trial, DET_STATUS_CORRUPT, "record 17: truncated JPEG");
        end_trial(&trial);
    }
    rank_models_close(ranks, 3);
    workspace_remove(&other);
}

/* Rank 1 has too little memory once: for a batch of 16, and then all take one of 8, or for
 * something else, and then it ends for all. */
static void each_allocation_may_fail_on_one_rank(void **state)
{
    struct rank_model ranks[2];
    int failures = 0, halved = 0;
    (void)state;
    rank_models_open(ranks, 2, &space, checkpoint);
    struct trial whole = trial_of(ranks, 0, 16, 0), half = trial_of(ranks, 0, 8, 0);
    rank_trial_run(&whole.all);
    rank_trial_run(&half.all);
    rank_trial_assert_ok(&whole.all);
    rank_trial_assert_ok(&half.all);
    assert_false(is_same(&whole, 0, &half, 0));
    for (long n = 1;; n += 1 + n / 16) {
        struct trial trial = trial_of(ranks, 2, 0, 0);
        trial.fail_at = n;
        rank_trial_run(&trial.all);
        assert_int_equal(trial.all.seen[0].status, trial.all.seen[1].status);
        if (trial.all.seen[0].status == DET_OK) {
            const bool is_half = is_same(&half, 0, &trial, 0);
            assert_true(is_half || is_same(&whole, 0, &trial, 0));
            assert_true(is_same(&trial, 0, &trial, 1));
            halved += is_half;
        } else {
            assert_int_equal(trial.all.seen[0].status, DET_STATUS_OUT_OF_MEMORY);
            assert_contains(trial.all.seen[0].message, "rank 1 on ");
            failures++;
        }
        end_trial(&trial);
        if (!trial.reached)
            break;
    }
    assert_true(failures > 20);
    assert_true(halved > 2);
    end_trial(&whole);
    end_trial(&half);
    rank_models_close(ranks, 2);
}

int test_recalibration_ranks(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_ranks_is_one_process),
        cmocka_unit_test(one_rank_stops_all),
        cmocka_unit_test(a_broken_image_ends_all),
        cmocka_unit_test(each_allocation_may_fail_on_one_rank),
    };
    return cmocka_run_group_tests_name("recalibration_ranks", tests, make_space, remove_space);
}
