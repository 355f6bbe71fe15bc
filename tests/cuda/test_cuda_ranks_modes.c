/* What several ranks on CUDA do beside the usual step, against CUDA alone with all their batches:
 * training in 8 bits, batch norms over all ranks; and what they know of each other: whether their
 * weights are the same, how long each took, that one was asked to stop. */
#include <math.h>
#include <signal.h>
#include <unistd.h>

#include "cuda/support/ranks.h"
#include "devices/cuda/cuda_ranks_figures.h"
#include "devices/cuda/cuda_step.h"
#include "support/mem.h"

enum { MOST_RANKS = 3 };

/* --- one process --- */

/* CUDA alone, on rank 0's GPU, with batches as large as `parts` of a rank's; nothing on others. */
struct alone {
    struct det_learner *learner;
    int32_t parts;
    float *images;
    struct det_ground_truth truths[MOST_RANKS * TINY_BATCH];
};

static void open_alone(struct alone *alone, struct tiny *tiny, const struct tiny_settings *settings,
                       int32_t parts, int32_t accumulate)
{
    struct det_learner_settings learning;
    const size_t floats = tiny->gpu->graph.param_floats;
    *alone = (struct alone){.parts = parts};
    if (det_communicator_rank(settings->communicator) > 0)
        return;
    tiny_learning(settings, &learning);
    learning.batch_size *= parts;
    learning.accumulate = accumulate;
    assert_ok(tiny->env, det_learner_create(tiny->env, &tiny->gpu->spec, &learning, tiny->backend,
                                            tiny->device, 7, &alone->learner));
    alone->images =
        malloc((size_t)(parts * TINY_BATCH) * TINY_SIDE * TINY_SIDE * 3 * sizeof(float));
    assert_non_null(alone->images);
    memcpy(alone->learner->params, tiny->gpu->params, floats * sizeof(float));
    assert_ok(tiny->env, det_learner_push(tiny->env, alone->learner));
}

static void close_alone(struct alone *alone, struct tiny *tiny)
{
    det_learner_destroy(tiny->env, &alone->learner);
    for (int n = 0; n < MOST_RANKS * TINY_BATCH; n++)
        det_ground_truth_free(tiny->env, &alone->truths[n]);
    free(alone->images);
}

/* One batch of the batches from number `first` on. */
static void step_alone(struct alone *alone, struct tiny *tiny, int32_t first,
                       struct det_step_result *result)
{
    const size_t count = (size_t)TINY_BATCH * TINY_SIDE * TINY_SIDE * 3;
    if (alone->learner == NULL)
        return;
    for (int32_t p = 0; p < alone->parts; p++) {
        tiny_turn(tiny, first + p);
        memcpy(alone->images + (size_t)p * count, tiny->images, count * sizeof *tiny->images);
        for (int32_t n = 0; n < TINY_BATCH; n++) {
            struct det_ground_truth *at = &alone->truths[p * TINY_BATCH + n];
            const struct det_ground_truth kept = *at;
            *at = tiny->truths[n];
            tiny->truths[n] = kept;
        }
    }
    assert_ok(tiny->env, det_learner_step(tiny->env, alone->learner, alone->images, alone->truths,
                                          0.01f, result));
}

static void step_rank(struct tiny *tiny, int32_t number, struct det_step_result *result)
{
    tiny_turn(tiny, number);
    assert_ok(tiny->env,
              det_learner_step(tiny->env, tiny->gpu, tiny->images, tiny->truths, 0.01f, result));
}

static size_t param_bytes(const struct tiny *tiny)
{
    return tiny->gpu->graph.param_floats * sizeof(float);
}

/* What both have now; the former is the same on all ranks. */
static void pull_both(struct tiny *tiny, struct det_communicator *c, struct alone *alone)
{
    assert_ok(tiny->env, det_learner_pull(tiny->env, tiny->gpu));
    ranks_assert_same(tiny, c, tiny->gpu->params, param_bytes(tiny));
    if (alone->learner != NULL)
        assert_ok(tiny->env, det_learner_pull(tiny->env, alone->learner));
}

/* All ranks go on from what the process alone has. */
static void follow(struct tiny *tiny, struct det_communicator *c, const struct alone *alone)
{
    const struct det_learner *from = alone->learner;
    float *const to[] = {tiny->gpu->params, tiny->gpu->slots[0]};
    const size_t piece = 8192;
    for (int i = 0; i < 2; i++) {
        if (from != NULL)
            memcpy(to[i], i == 0 ? from->params : from->slots[0], param_bytes(tiny));
        for (size_t at = 0; at < param_bytes(tiny); at += piece) /* what the ranks' file takes */
            assert_ok(tiny->env,
                      det_ranks_broadcast(tiny->env, c, (uint8_t *)to[i] + at,
                                          param_bytes(tiny) - at < piece ? param_bytes(tiny) - at
                                                                         : piece));
    }
    assert_ok(tiny->env, det_learner_push(tiny->env, tiny->gpu));
}

static void open(struct tiny *tiny, struct det_communicator *c, struct tiny_settings *settings)
{
    ranks_machine(det_communicator_size(c));
    settings->communicator = c;
    settings->device.index = -1;
    settings->device.deterministic = true;
    tiny_open(tiny, settings);
}

/* --- 8 bits --- */

/* After `delay` updates in 8 bits. What a batch has seen depends on nobody else, so the ranges
 * are those of one process to the bit; so is all else of two ranks, whose sums have no order. */
static void learn_in_8_bits(struct det_communicator *c, int32_t delay, int32_t updates,
                            int32_t batches)
{
    struct tiny tiny;
    struct alone alone;
    struct det_step_result mine, all;
    const int32_t size = det_communicator_size(c), rank = det_communicator_rank(c);
    const bool exact = size == 2 && batches == 1;
    struct tiny_settings settings = {
        .quantise = true, .quantise_delay = delay, .accumulate = batches};
    open(&tiny, c, &settings);
    open_alone(&alone, &tiny, &settings, 1, size * batches);
    const size_t range_bytes = (size_t)tiny.gpu->ranges.count * sizeof(float);
    for (int32_t u = 0; u < updates; u++) {
        assert_int_equal(det_learner_rounds(tiny.gpu), u >= delay);
        for (int32_t b = 0; b < batches; b++) {
            for (int32_t r = 0; r < size; r++)
                step_alone(&alone, &tiny, (u * batches + b + r) % 4, &all);
            step_rank(&tiny, (u * batches + b + rank) % 4, &mine);
        }
        pull_both(&tiny, c, &alone);
        assert_int_equal(tiny.gpu->ranges.updates, u < delay ? 0 : u + 1 - delay);
        ranks_assert_same(&tiny, c, tiny.gpu->ranges.low, range_bytes);
        ranks_assert_same(&tiny, c, tiny.gpu->ranges.high, range_bytes);
        assert_true(u < delay || tiny.gpu->ranges.high[5] > 0);
        if (rank > 0)
            continue;
        assert_memory_equal(tiny.gpu->ranges.low, alone.learner->ranges.low, range_bytes);
        assert_memory_equal(tiny.gpu->ranges.high, alone.learner->ranges.high, range_bytes);
        if (exact)
            assert_memory_equal(tiny.gpu->params, alone.learner->params, param_bytes(&tiny));
        assert_near(mine.total_loss, all.total_loss, 1e-9 * all.total_loss);
        assert_near(mine.gradient_norm, all.gradient_norm, 1e-5 * all.gradient_norm);
        assert_int_equal(mine.matched_anchors, all.matched_anchors);
    }
    close_alone(&alone, &tiny);
    ranks_finish(&tiny);
}

static void eight_bits(struct det_communicator *c)
{
    if (det_communicator_size(c) == 2)
        learn_in_8_bits(c, 1, 3, 1);
    else
        learn_in_8_bits(c, 0, 1, 2);
}

/* A batch of one rank that is not finite changes no range on any. */
static void eight_bits_not_finite(struct det_communicator *c)
{
    struct tiny tiny;
    struct det_step_result result;
    char wanted[128];
    const int32_t bad = det_communicator_size(c) - 1;
    open(&tiny, c, &(struct tiny_settings){.quantise = true});
    step_rank(&tiny, det_communicator_rank(c), &result);
    assert_ok(tiny.env, det_learner_pull(tiny.env, tiny.gpu));
    const size_t bytes = (size_t)tiny.gpu->ranges.count * sizeof(float);
    float *before = malloc(bytes);
    assert_non_null(before);
    memcpy(before, tiny.gpu->ranges.high, bytes);
    for (int32_t p = 0; p < tiny.gpu->graph.param_count && det_communicator_rank(c) == bad; p++)
        if (tiny.gpu->graph.params[p].role == DET_PARAM_GAMMA)
            tiny.gpu->params[tiny.gpu->graph.params[p].offset] = NAN;
    assert_ok(tiny.env, det_learner_push(tiny.env, tiny.gpu));
    snprintf(wanted, sizeof wanted, "rank %d on %s: the loss is ", (int)bad,
             det_communicator_host(c, bad));
    assert_fails(tiny.env, DET_STATUS_NON_FINITE, wanted,
                 det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    assert_ok(tiny.env, det_learner_pull(tiny.env, tiny.gpu));
    assert_memory_equal(before, tiny.gpu->ranges.high, bytes);
    assert_int_equal(tiny.gpu->ranges.updates, 1);
    free(before);
    ranks_finish(&tiny);
}

/* --- batch norms over all ranks --- */

/* Moving statistics, each by itself. */
static void compare_moving(const struct tiny *tiny, const struct alone *alone)
{
    for (int32_t p = 0; p < tiny->gpu->graph.param_count; p++) {
        const struct det_param *param = &tiny->gpu->graph.params[p];
        if (param->role != DET_PARAM_MOVING_MEAN && param->role != DET_PARAM_MOVING_VARIANCE)
            continue;
        const double off = test_relative_l2(tiny->gpu->params + param->offset,
                                            alone->learner->params + param->offset, param->count);
        if (!(off < 1e-5))
            fail_msg("%s differs by %g", param->key, off);
    }
}

static void compare_together(const struct tiny *tiny, const struct alone *alone,
                             const struct det_step_result *mine, const struct det_step_result *all)
{
    const size_t count = tiny->gpu->graph.param_floats;
    const double off = test_relative_l2(tiny->gpu->params, alone->learner->params, count);
    if (!(off < 1e-5))
        fail_msg("weights differ by %g", off);
    compare_moving(tiny, alone);
    assert_near(mine->total_loss, all->total_loss, 1e-6 * all->total_loss);
    assert_near(mine->localization_loss, all->localization_loss, 1e-6 * all->localization_loss);
    assert_near(mine->gradient_norm, all->gradient_norm, 5e-3 * all->gradient_norm);
    assert_int_equal(mine->matched_anchors, all->matched_anchors);
}

/* One process with the whole batch. */
static void learn_together(struct det_communicator *c, struct tiny_settings settings,
                           int32_t updates)
{
    struct tiny tiny;
    struct alone alone;
    struct det_step_result mine, all;
    const int32_t size = det_communicator_size(c), rank = det_communicator_rank(c);
    const int32_t batches = settings.accumulate > 0 ? settings.accumulate : 1;
    settings.sync_batch_norm = true;
    open(&tiny, c, &settings);
    open_alone(&alone, &tiny, &settings, size, batches);
    for (int32_t u = 0; u < updates; u++) {
        for (int32_t b = 0; b < batches; b++) {
            step_alone(&alone, &tiny, (u + b) % 3, &all);
            step_rank(&tiny, (u + b) % 3 + rank, &mine);
        }
        pull_both(&tiny, c, &alone);
        assert_null(mine.rank_seconds); /* whoever waits all the time has no time of its own */
        ranks_assert_same_figures(&tiny, c, &mine);
        if (rank == 0)
            compare_together(&tiny, &alone, &mine, &all);
        follow(&tiny, c, &alone);
    }
    close_alone(&alone, &tiny);
    ranks_finish(&tiny);
}

static void together(struct det_communicator *c)
{
    learn_together(c, (struct tiny_settings){0}, det_communicator_size(c) == 2 ? 2 : 1);
    if (det_communicator_size(c) > 2)
        return;
    learn_together(c, (struct tiny_settings){.accumulate = 2}, 1);
    learn_together(c, (struct tiny_settings){.freeze_batchnorm = true}, 1);
}

#ifdef DET_CUDA_EMU
/* Recorded as the usual step is. */
static void together_recorded(struct det_communicator *c)
{
    const struct cuda_emu_counts begin = cuda_emu_read_counts();
    struct tiny tiny;
    struct det_step_result result;
    open(&tiny, c, &(struct tiny_settings){.sync_batch_norm = true});
    for (int i = 0; i < 3; i++)
        step_rank(&tiny, det_communicator_rank(c), &result);
    const struct cuda_emu_counts end = cuda_emu_read_counts();
    assert_int_equal(end.captures - begin.captures, 1);
    assert_int_equal(end.graph_launches - begin.graph_launches, 2);
    ranks_finish(&tiny);
}
#endif

/* Encodings that are finite, whose losses are not. */
static void spoil_losses(struct tiny *tiny)
{
    for (int32_t p = 0; p < tiny->gpu->graph.param_count; p++) {
        const struct det_param *param = &tiny->gpu->graph.params[p];
        const float value = param->role == DET_PARAM_BIAS ? 2e38f : 0;
        for (size_t i = 0; strstr(param->key, "_box_encoder_layers") != NULL && i < param->count;
             i++)
            tiny->gpu->params[param->offset + i] = value;
    }
    assert_ok(tiny->env, det_learner_push(tiny->env, tiny->gpu));
}

/* A picture of one rank spoils the statistics of all: the one whose picture it is is named. */
static void together_not_finite(struct det_communicator *c)
{
    struct tiny tiny;
    struct det_step_result result;
    char wanted[128];
    const int32_t bad = det_communicator_size(c) - 1;
    open(&tiny, c, &(struct tiny_settings){.sync_batch_norm = true});
    snprintf(wanted, sizeof wanted, "rank %d on %s: the loss is ", (int)bad,
             det_communicator_host(c, bad));
    for (int i = 0; i < 2; i++) {
        tiny_turn(&tiny, det_communicator_rank(c));
        if (det_communicator_rank(c) == bad)
            tiny.images[5] = NAN;
        assert_fails(
            tiny.env, DET_STATUS_NON_FINITE, wanted,
            det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
        assert_int_equal(det_ranks_failed_rank(c), bad);
        step_rank(&tiny, det_communicator_rank(c), &result);
    }
    spoil_losses(&tiny);
    tiny_turn(&tiny, det_communicator_rank(c));
    assert_fails(tiny.env, DET_STATUS_NON_FINITE, "no rank's part alone",
                 det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    ranks_finish(&tiny);
}

/* --- what they know of each other --- */

/* One bit of one weight of the last rank is another: found where it is time to look. */
static void drifted(struct det_communicator *c)
{
    struct tiny tiny;
    struct det_step_result result;
    char wanted[128];
    const int32_t rank = det_communicator_rank(c), bad = det_communicator_size(c) - 1;
    open(&tiny, c, &(struct tiny_settings){.freeze_batchnorm = true});
    snprintf(wanted, sizeof wanted, "the weights of rank %d on %s are no longer", (int)bad,
             det_communicator_host(c, bad));
    step_rank(&tiny, rank, &result);
    assert_ok(tiny.env, det_learner_pull(tiny.env, tiny.gpu));
    if (rank == bad) {
        float *last = &tiny.gpu->params[tiny.gpu->graph.params[3].offset];
        *last = nextafterf(*last, 9);
    }
    assert_ok(tiny.env, det_learner_push(tiny.env, tiny.gpu));
    tiny.gpu->updates = 99;
    step_rank(&tiny, rank, &result);
    assert_int_equal(tiny.gpu->updates, 100);
    tiny_turn(&tiny, rank);
    assert_fails(tiny.env, DET_STATUS_MISMATCH, wanted,
                 det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    ranks_finish(&tiny);
}

/* What each rank needed is known from the second batch on, and is the same to all. Weights are
 * looked at before the first of an update's batches, every hundred updates. */
static void times(struct det_communicator *c)
{
    enum { SLEEP_US = 20000 };
    struct tiny tiny;
    struct det_step_result result;
    const int32_t rank = det_communicator_rank(c), slow = det_communicator_size(c) - 1;
    for (int32_t batches = 1; batches <= 2; batches++) {
        open(&tiny, c, &(struct tiny_settings){.accumulate = batches, .freeze_batchnorm = true});
        for (int32_t u = 0; u < 4 - batches; u++) {
            for (int32_t b = 0; b < batches; b++) {
                if (rank == slow)
                    usleep(SLEEP_US);
                step_rank(&tiny, rank, &result);
                assert_int_equal(tiny.gpu->step->ranks->figures[slow].weights != 0,
                                 u == 0 && b == 0);
            }
            assert_int_equal(result.rank_seconds != NULL, u > 0);
            assert_true(result.rank_wait_seconds >= 0);
            ranks_assert_same_figures(&tiny, c, &result);
            for (int32_t r = 0; u > 0 && r <= slow; r++)
                assert_true(result.rank_seconds[r] > (r == slow ? batches * SLEEP_US * 1e-6 : 0));
        }
        ranks_finish(&tiny);
    }
}

static bool always(void *user)
{
    (void)user;
    return true;
}

/* Whoever waits for a rank that does not come, and is asked to stop, drops the step. */
static void stopped(struct det_communicator *c)
{
    struct tiny tiny;
    struct det_step_result result;
    open(&tiny, c, &(struct tiny_settings){.wants_stop = always});
    for (int i = 0; i < 3; i++)
        step_rank(&tiny, det_communicator_rank(c), &result);
    assert_ok(tiny.env, det_learner_pull(tiny.env, tiny.gpu));
    float *before = malloc(param_bytes(&tiny));
    assert_non_null(before);
    memcpy(before, tiny.gpu->params, param_bytes(&tiny));
    if (det_communicator_rank(c) == det_communicator_size(c) - 1)
        raise(SIGKILL);
    tiny_turn(&tiny, det_communicator_rank(c));
    assert_fails(tiny.env, DET_STATUS_CANCELLED, "stopped",
                 det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    assert_ok(tiny.env, det_learner_pull(tiny.env, tiny.gpu));
    assert_memory_equal(before, tiny.gpu->params, param_bytes(&tiny));
    free(before);
    ranks_finish(&tiny);
}

/* As many gradients travel together as are asked for. */
static void bucket_sizes(struct det_communicator *c)
{
    static const size_t floats[] = {1, 30000, SIZE_MAX};
    int32_t before = INT32_MAX;
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        struct tiny tiny;
        struct det_step_result result;
        open(&tiny, c, &(struct tiny_settings){.bucket_floats = floats[i]});
        const int32_t count = tiny.gpu->step->ranks->buckets.count;
        assert_true(count < before && (count == 1) == (floats[i] == SIZE_MAX));
        before = count;
        if (i == 1)
            step_rank(&tiny, det_communicator_rank(c), &result);
        ranks_finish(&tiny);
    }
}

static const struct process_part parts[] = {
    {.name = "eight_bits", .run = eight_bits},
    {.name = "eight_bits_not_finite", .run = eight_bits_not_finite},
    {.name = "together", .run = together},
    {.name = "together_not_finite", .run = together_not_finite},
    {.name = "drifted", .run = drifted},
    {.name = "times", .run = times},
    {.name = "stopped", .run = stopped},
    {.name = "bucket_sizes", .run = bucket_sizes},
#ifdef DET_CUDA_EMU
    {.name = "together_recorded", .run = together_recorded},
#endif
};

static void run(const char *part, int32_t size, int32_t lost)
{
    ranks_run("test_cuda_ranks_modes", part, size, lost);
}

static void in_8_bits(void **state)
{
    (void)state;
    run("eight_bits", 2, -1);
    run("eight_bits", 3, -1);
    run("eight_bits_not_finite", 2, -1);
}

static void normalised_together(void **state)
{
    (void)state;
    run("together", 2, -1);
    run("together", 3, -1);
    run("together_not_finite", 2, -1);
#ifdef DET_CUDA_EMU
    run("together_recorded", 2, -1);
#endif
}

static void weights_are_compared(void **state)
{
    (void)state;
    run("drifted", 3, -1);
}

static void times_are_known(void **state)
{
    (void)state;
    run("times", 2, -1);
}

static void settings_are_heard(void **state)
{
    (void)state;
    run("stopped", 2, 1);
    run("bucket_sizes", 2, -1);
}

/* --- arithmetic --- */

/* Means over the ranks in their order; seconds over an update's batches, and none of an update
 * of which one rank does not know a batch's, whose -1 is less than any second here. */
static void figures_are_added_up(void **state)
{
    (void)state;
    struct det_rank_figures figures[3];
    double seconds[3];
    struct det_learner learner = {.settings.accumulate = 2};
    struct det_cuda_ranks ranks = {
        .size = 3, .figures = figures, .seconds = seconds, .wait_seconds = .25};
    for (int unknown = 0; unknown < 4; unknown++)
        for (int32_t batch = 0; batch < 2; batch++) {
            struct det_step_result result = {.gradient_norm = 3};
            for (int32_t r = 0; r < 3; r++) {
                figures[r] = (struct det_rank_figures){.losses = {r + 1, 2 * r, .5, 3 * r + 1.5},
                                                       .matched_anchors = 10 + r,
                                                       .seconds = 1.5 * (r + 1) + batch};
            }
            if (unknown > 0 && batch == unknown % 2)
                figures[unknown - 1].seconds = -1;
            learner.batches_done = batch;
            det_cuda_ranks_add_up(&learner, &ranks, &result);
            assert_near(result.localization_loss, 2, 1e-12);
            assert_near(result.classification_loss, 2, 1e-12);
            assert_near(result.regularization_loss, .5, 1e-12);
            assert_near(result.total_loss, 4.5, 1e-12);
            assert_near(result.gradient_norm, 3, 0);
            assert_near(result.rank_wait_seconds, .25, 0);
            assert_int_equal(result.matched_anchors, 33);
            assert_int_equal(result.rank_seconds == NULL, unknown > 0 && batch >= unknown % 2);
            for (int32_t r = 0; r < 3 && result.rank_seconds != NULL; r++)
                assert_near(result.rank_seconds[r], (batch + 1) * 1.5 * (r + 1) + batch, 1e-12);
        }
}

int test_cuda_ranks_modes(void)
{
    int failures;
    if (process_rank(parts, sizeof parts / sizeof *parts, &failures))
        return failures;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_added_up), cmocka_unit_test(in_8_bits),
        cmocka_unit_test(normalised_together),  cmocka_unit_test(weights_are_compared),
        cmocka_unit_test(times_are_known),      cmocka_unit_test(settings_are_heard),
    };
    return cmocka_run_group_tests_name("cuda_ranks_modes", tests, NULL, NULL);
}
