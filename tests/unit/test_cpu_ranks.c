/* devices/cpu/cpu_ranks: N ranks learn what one process learns that accumulates N batches, bit for
 * bit. */
#include <math.h>

#include "ranks/communicator.h"
#include "support/cpu_device.h"
#include "support/mem.h"
#include "support/networks.h"
#include "support/test.h"
#include "support/thread_ranks.h"
#include "train/learner.h"

enum { UPDATES = 3, MOST_RANKS = 8 };

struct job {
    struct det_model_spec spec;
    struct det_learner_settings settings; /* but for the communicator */
    int32_t batches;                      /* of one rank an update */
    int32_t broken_batch;                 /* number of the one with a NaN, -1: none */
    bool frozen;                          /* every third variable */
    int32_t parts; /* of which each batch is made, as if of so many ranks; 0: one */
    /* what came out on each rank; of one process [0] */
    float *params[MOST_RANKS]; /* and behind them the ranges */
    size_t floats;
    struct det_step_result results[MOST_RANKS][UPDATES];
    det_status status[MOST_RANKS];
    int32_t failed_rank[MOST_RANKS];
    char message[MOST_RANKS][DET_ERROR_BYTES];
};

/* Batch number `index` of the endless sequence. */
static void make_batch(const struct job *job, int32_t index, int32_t n, float *images,
                       struct det_ground_truth *truths)
{
    const size_t each = (size_t)job->spec.input_height * (size_t)job->spec.input_width * 3;
    test_fill(images, each * (size_t)n, (uint32_t)index + 1);
    for (size_t i = 0; i < each * (size_t)n; i++)
        images[i] = 127.5f + 127.5f * images[i];
    if (index == job->broken_batch)
        images[7] = NAN;
    for (int32_t k = 0; k < n; k++) {
        struct det_ground_truth *t = &truths[k];
        t->count = 1 + (index + k) % 2;
        for (int32_t g = 0; g < t->count; g++) {
            const float at = .1f + .07f * (float)((index + k + 3 * g) % 5);
            t->boxes[g][0] = t->boxes[g][1] = at;
            t->boxes[g][2] = t->boxes[g][3] = at + .4f;
            t->class_index[g] = (index + g) % job->spec.num_classes;
            t->weight[g] = 1;
            t->area_px[g] = 0;
            t->is_crowd[g] = t->difficult[g] = t->group_of[g] = 0;
        }
    }
}

static void make_parts(const struct job *job, int32_t index, float *images,
                       struct det_ground_truth *truths)
{
    const int32_t parts = job->parts > 0 ? job->parts : 1, n = job->settings.batch_size / parts;
    const size_t each = (size_t)job->spec.input_height * (size_t)job->spec.input_width * 3;
    for (int32_t p = 0; p < parts; p++)
        make_batch(job, index * parts + p, n, images + (size_t)(p * n) * each, truths + p * n);
}

static det_status learn(struct job *job, struct det_env *env, struct det_learner *l, int32_t rank,
                        int32_t size)
{
    const size_t n = (size_t)job->settings.batch_size;
    const size_t each = (size_t)job->spec.input_height * (size_t)job->spec.input_width * 3;
    float *images = NULL;
    struct det_ground_truth truths[4] = {{0}};
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &images, n * each, sizeof *images, "images"));
    for (size_t k = 0; k < n; k++)
        DET_TRY(det_ground_truth_reserve(env, &truths[k], 2));
    for (int32_t u = 0; u < UPDATES; u++)
        for (int32_t b = 0; b < l->settings.accumulate; b++) {
            const int32_t index = (u * l->settings.accumulate + b) * size + rank;
            make_parts(job, index, images, truths);
            DET_TRY(det_learner_step(env, l, images, truths, .01f, &job->results[rank][u]));
        }
fail:
    for (size_t k = 0; k < n; k++)
        det_ground_truth_free(env, &truths[k]);
    det_free(env, &images);
    return status;
}

/* malloc */
static float *take_learnt(const struct det_learner *l, size_t *floats)
{
    const size_t params = l->graph.param_floats, ranges = (size_t)l->ranges.count;
    float *all = malloc((params + 2 * ranges) * sizeof *all);
    *floats = params + 2 * ranges;
    if (all == NULL)
        return NULL;
    memcpy(all, l->params, params * sizeof *all);
    if (ranges > 0) {
        memcpy(all + params, l->ranges.low, ranges * sizeof *all);
        memcpy(all + params + ranges, l->ranges.high, ranges * sizeof *all);
    }
    return all;
}

static det_status run_alone(struct job *job, struct det_env *env, det_communicator *c,
                            int32_t batches)
{
    const int32_t rank = det_communicator_rank(c);
    struct det_device_settings device_settings = {.ops = det_ops_ref()};
    struct det_learner_settings settings = job->settings;
    struct det_device *device = NULL;
    struct det_learner *l = NULL;
    det_status status = DET_OK;
    settings.accumulate = batches;
    settings.communicator = c;
    const struct det_backend *backend = det_backend_cpu();
    DET_TRY(backend->device_open(env, &device_settings, &device));
    DET_TRY(det_learner_create(env, &job->spec, &settings, backend, device, 3, &l));
    for (int32_t p = 0; job->frozen && p < l->graph.param_count; p += 3)
        l->trainable[p] = false;
    DET_TRY(det_learner_push(env, l));
    job->status[rank] = learn(job, env, l, rank, det_communicator_size(c));
    memcpy(job->message[rank], env->error, sizeof job->message[rank]);
    job->failed_rank[rank] = det_ranks_failed_rank(c);
    size_t floats = 0;
    job->params[rank] = take_learnt(l, &floats);
    if (rank == 0) /* all ranks have as many */
        job->floats = floats;
fail:
    det_learner_destroy(env, &l);
    if (device != NULL)
        backend->device_close(env, &device);
    return status;
}

static void run_rank(void *user, struct det_env *env, det_communicator *c)
{
    struct job *job = user;
    const det_status status = run_alone(job, env, c, job->batches);
    if (status != DET_OK)
        job->status[det_communicator_rank(c)] = status;
}

static void small_job(struct job *job)
{
    *job = (struct job){.batches = 1, .broken_batch = -1};
    network_spec(&networks[0], &job->spec);
    det_learner_settings_default(&job->settings);
    job->settings.batch_size = 2;
    job->settings.clip_norm = 1;
    job->settings.bucket_floats = 3000; /* several buckets */
}

static void forget(struct job *job)
{
    for (int r = 0; r < MOST_RANKS; r++)
        free(job->params[r]);
}

static void check_equal(const struct job *ranks, int32_t size, const struct job *one)
{
    for (int32_t r = 0; r < size; r++) {
        if (ranks->status[r] != DET_OK)
            fail_msg("rank %d: %s", (int)r, ranks->message[r]);
        assert_memory_equal(ranks->params[r], one->params[0], one->floats * sizeof(float));
        for (int u = 0; u < UPDATES; u++) {
            const struct det_step_result *a = &ranks->results[r][u], *b = &one->results[0][u];
            assert_true(a->total_loss == b->total_loss && b->total_loss > 0);
            assert_true(a->localization_loss == b->localization_loss);
            assert_true(a->classification_loss == b->classification_loss);
            assert_true(a->regularization_loss == b->regularization_loss);
            assert_true(a->gradient_norm == b->gradient_norm && b->gradient_norm > 0);
            assert_int_equal(a->matched_anchors, b->matched_anchors);
        }
    }
}

/* `size` ranks of job->batches batches each, and one process of all of them. */
static void compare(struct job *job, int32_t size)
{
    struct test_env t;
    struct job one = *job;
    test_env_init(&t);
    assert_ok(&t.env, run_alone(&one, &t.env, NULL, size * job->batches));
    thread_ranks_run(&(struct thread_ranks_settings){.size = size, .most_looks = 9}, run_rank, job);
    check_equal(job, size, &one);
    forget(job);
    forget(&one);
    test_env_check(&t);
}

static void ranks_learn_what_one_process_accumulates(void **state)
{
    (void)state;
    static const int32_t sizes[] = {1, 2, 3, 4, 8};
    struct job job;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        small_job(&job);
        compare(&job, sizes[i]);
    }
}

static void ranks_accumulate_too(void **state)
{
    (void)state;
    struct job job;
    small_job(&job);
    job.batches = 3;
    job.settings.rule = DET_UPDATE_ADAM;
    job.settings.average_decay = .9f;
    compare(&job, 2);
}

static void frozen_variables_and_norms_stay_so(void **state)
{
    (void)state;
    struct job job;
    small_job(&job);
    job.frozen = true;
    compare(&job, 3);
    small_job(&job);
    job.spec.freeze_batchnorm = true;
    compare(&job, 2);
}

/* From the second update on with 8 bits in it. */
static void ranks_train_in_8_bits(void **state)
{
    (void)state;
    struct job job;
    small_job(&job);
    job.settings.quantise = true;
    job.settings.quantise_delay = 1;
    compare(&job, 3);
    small_job(&job);
    job.settings.quantise = true;
    job.batches = 2;
    compare(&job, 2);
}

static void what_is_not_finite_on_one_rank_ends_all(void **state)
{
    (void)state;
    struct job job, before;
    struct test_env t;
    small_job(&job);
    before = job;
    job.broken_batch = 4; /* the second update's, of rank 1 */
    thread_ranks_run(&(struct thread_ranks_settings){.size = 3, .most_looks = 5}, run_rank, &job);
    for (int r = 0; r < 3; r++) {
        assert_int_equal(job.status[r], DET_STATUS_NON_FINITE);
        assert_int_equal(strncmp(job.message[r], "rank 1 on ", 10), 0);
        assert_contains(job.message[r], "the loss is");
        assert_int_equal(job.failed_rank[r], 1);
        assert_memory_equal(job.params[r], job.params[0], job.floats * sizeof(float));
    }
    /* of the broken update nothing was taken: the weights are those behind the first */
    test_env_init(&t);
    before.broken_batch = 3;
    assert_ok(&t.env, run_alone(&before, &t.env, NULL, 3));
    assert_int_equal(before.status[0], DET_STATUS_NON_FINITE);
    for (size_t i = 0; i < job.floats; i++)
        assert_true(job.params[0][i] == before.params[0][i]);
    forget(&job);
    forget(&before);
    test_env_check(&t);
}

static void bf16_gradients_are_alike_everywhere(void **state)
{
    (void)state;
    struct job job, exact;
    struct test_env t;
    small_job(&job);
    exact = job;
    job.settings.bf16_gradients = true;
    thread_ranks_run(&(struct thread_ranks_settings){.size = 2, .most_looks = 5}, run_rank, &job);
    test_env_init(&t);
    assert_ok(&t.env, run_alone(&exact, &t.env, NULL, 2));
    assert_int_equal(job.status[0], DET_OK);
    assert_memory_equal(job.params[0], job.params[1], job.floats * sizeof(float));
    assert_true(test_relative_l2(job.params[0], exact.params[0], job.floats) < 1e-3);
    assert_true(test_relative_l2(job.params[0], exact.params[0], job.floats) > 0);
    forget(&job);
    forget(&exact);
    test_env_check(&t);
}

/* Normalised together: the whole batch of one process, whose pictures the ranks share. */
static void synchronised_ranks_are_one_batch(void **state)
{
    (void)state;
    for (int32_t size = 2; size <= 4; size *= 2) {
        struct job job, one;
        struct test_env t;
        small_job(&job);
        job.settings.batch_size = 4 / size;
        job.settings.sync_batch_norm = true;
        one = job;
        one.settings.batch_size = 4;
        one.parts = size;
        thread_ranks_run(&(struct thread_ranks_settings){.size = size, .most_looks = 5}, run_rank,
                         &job);
        test_env_init(&t);
        assert_ok(&t.env, run_alone(&one, &t.env, NULL, 1));
        assert_int_equal(one.status[0], DET_OK);
        for (int32_t r = 0; r < size; r++) {
            if (job.status[r] != DET_OK)
                fail_msg("rank %d: %s", (int)r, job.message[r]);
            assert_memory_equal(job.params[r], job.params[0], job.floats * sizeof(float));
            for (int u = 0; u < UPDATES; u++) {
                assert_near(job.results[r][u].total_loss, one.results[0][u].total_loss, 1e-6);
                assert_near(job.results[r][u].gradient_norm / one.results[0][u].gradient_norm, 1,
                            1e-5);
                assert_int_equal(job.results[r][u].matched_anchors,
                                 one.results[0][u].matched_anchors);
            }
        }
        const double off = test_relative_l2(job.params[0], one.params[0], job.floats);
        if (!(off < 1e-6))
            fail_msg("weights differ by %g", off);
        forget(&job);
        forget(&one);
        test_env_check(&t);
    }
}

int test_cpu_ranks(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_learn_what_one_process_accumulates),
        cmocka_unit_test(ranks_accumulate_too),
        cmocka_unit_test(frozen_variables_and_norms_stay_so),
        cmocka_unit_test(ranks_train_in_8_bits),
        cmocka_unit_test(what_is_not_finite_on_one_rank_ends_all),
        cmocka_unit_test(bf16_gradients_are_alike_everywhere),
        cmocka_unit_test(synchronised_ranks_are_one_batch),
    };
    return cmocka_run_group_tests_name("cpu_ranks", tests, NULL, NULL);
}
