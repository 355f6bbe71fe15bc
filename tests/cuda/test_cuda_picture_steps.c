/* Steps that learn from pictures (data/picture.h) do what steps on the host's floats do. The kernel
 * alone is in test_cuda_pictures.c, whole trainings are in test_cuda_jobs.c. */
#include "cuda/support/tiny.h"
#include "data/augment_ops.h"
#include "support/samples.h"

enum { STEPS = 6, SIDE_FLOATS = TINY_SIDE * TINY_SIDE * 3 };

/* The pictures of a step: bytes larger and smaller than the input, floats, more colours and
 * contrasts from step to step. */
static void make_batch(struct tiny *tiny, int step, float (*rooms)[SIDE_FLOATS],
                       struct det_picture *pictures)
{
    struct det_sample sample = {0};
    struct det_resizer resizer = {0};
    for (int n = 0; n < TINY_BATCH; n++) {
        const int number = step * TINY_BATCH + n;
        test_sample_make(tiny->env, &sample, 60 + 15 * n, 90, (uint64_t)number);
        struct det_rng rng;
        det_rng_init(&rng, 8, (uint64_t)number, 0);
        test_sample_color(tiny->env, &sample, DET_COLOR_HUE, &rng);
        for (int i = 1; i < step && n == 1; i += 2)
            test_sample_color(tiny->env, &sample, DET_COLOR_CONTRAST, &rng);
        if (number % 5 == 2)
            assert_ok(tiny->env, det_sample_to_float(tiny->env, &sample));
        pictures[n] = (struct det_picture){.outside = {127.5f, 127.5f, 127.5f}};
        assert_ok(tiny->env, det_picture_take(tiny->env, &resizer, &sample, TINY_SIDE - n * 8,
                                              TINY_SIDE, rooms[n], &pictures[n]));
        assert_int_equal(pictures[n].in_float, number % 5 == 2);
        assert_ok(tiny->env, det_picture_to_floats(tiny->env, &pictures[n], TINY_SIDE, TINY_SIDE,
                                                   tiny->images + n * SIDE_FLOATS));
    }
    det_sample_free(tiny->env, &sample);
    det_resizer_free(tiny->env, &resizer);
    tiny_boxes(tiny, step == 3 ? 150 : 2 + step);
}

/* Hands over what the step learns from, and spoils the memory it came from. */
static void stage(struct tiny *tiny, int step, bool as_floats)
{
    static float rooms[TINY_BATCH][SIDE_FLOATS];
    struct det_picture pictures[TINY_BATCH];
    make_batch(tiny, step, rooms, pictures);
    if (as_floats)
        assert_ok(tiny->env, det_learner_stage(tiny->env, tiny->gpu, tiny->images, tiny->truths));
    else
        assert_ok(tiny->env,
                  det_learner_stage_pictures(tiny->env, tiny->gpu, pictures, tiny->truths));
    memset(rooms, 0xEE, sizeof rooms);
    memset(pictures, 0xEE, sizeof pictures);
    memset(tiny->images, 0xEE, sizeof(float) * SIDE_FLOATS * TINY_BATCH);
}

static float *trained(bool as_floats, bool ahead, enum det_precision precision,
                      double losses[STEPS], size_t *bytes)
{
    struct tiny tiny;
    tiny_open(&tiny,
              &(struct tiny_settings){.device = {.deterministic = true, .precision = precision}});
    stage(&tiny, 0, as_floats);
    for (int i = 0; i < STEPS; i++) {
        struct det_step_result result;
        assert_ok(tiny.env, det_learner_begin(tiny.env, tiny.gpu, 0.01f));
        if (ahead && i + 1 < STEPS)
            stage(&tiny, i + 1, as_floats);
        assert_ok(tiny.env, det_learner_end(tiny.env, tiny.gpu, &result));
        if (!ahead && i + 1 < STEPS)
            stage(&tiny, i + 1, as_floats);
        losses[i] = result.total_loss;
    }
    assert_ok(tiny.env, det_learner_pull(tiny.env, tiny.gpu));
    *bytes = tiny.gpu->graph.param_floats * sizeof(float);
    float *params = malloc(*bytes);
    assert_non_null(params);
    memcpy(params, tiny.gpu->params, *bytes);
    tiny_close(&tiny);
    return params;
}

/* Learned from pictures, in either order, as from the host's floats. */
static void steps_are_the_same(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        const enum det_precision precision = i == 2 ? DET_PRECISION_BF16 : DET_PRECISION_F32;
        double floats[STEPS], pictures[STEPS];
        size_t bytes = 0;
        float *a = trained(true, false, precision, floats, &bytes);
        float *b = trained(false, i > 0, precision, pictures, &bytes);
        assert_memory_equal(floats, pictures, sizeof floats);
        assert_memory_equal(a, b, bytes);
        for (int k = 1; k < STEPS; k++)
            assert_true(floats[k] != floats[0]);
        free(a);
        free(b);
    }
}

/* Refused before anything of the batch is touched: the one staged before is learned from. */
static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    static float rooms[TINY_BATCH][SIDE_FLOATS];
    struct tiny tiny;
    struct det_step_result result;
    struct det_picture pictures[TINY_BATCH];
    tiny_open(&tiny, &(struct tiny_settings){0});
    make_batch(&tiny, 1, rooms, pictures);
    assert_ok(tiny.env, det_learner_stage_pictures(tiny.env, tiny.gpu, pictures, tiny.truths));
    pictures[1].frame_width = TINY_SIDE + 1;
    assert_fails(tiny.env, DET_STATUS_INTERNAL, "in an input of 80 x 80",
                 det_learner_stage_pictures(tiny.env, tiny.gpu, pictures, tiny.truths));
    assert_ok(tiny.env, det_learner_begin(tiny.env, tiny.gpu, 0));
    assert_ok(tiny.env, det_learner_end(tiny.env, tiny.gpu, &result));
    tiny_close(&tiny);
}

#ifdef DET_CUDA_EMU

/* Recorded once for each input; anew only when a picture has more contrasts than any before. No
 * wait, no memory. */
static void recordings_serve_all_batches(void **state)
{
    (void)state;
    enum { RUNS = 10 };
    /* Batches as of these steps: no contrast, then one, then two. The first run after a change is
     * not recorded, the second is. */
    static const int steps[RUNS] = {0, 0, 2, 2, 2, 5, 5, 1, 2, 5};
    static const int wanted[RUNS] = {0, 1, 0, 1, 0, 0, 1, 0, 0, 0};
    struct tiny tiny;
    struct det_step_result result;
    tiny_open(&tiny, &(struct tiny_settings){0});
    const struct cuda_emu_counts created = cuda_emu_read_counts();
    for (int i = 0; i < RUNS; i++) {
        static float rooms[TINY_BATCH][SIDE_FLOATS];
        struct det_picture pictures[TINY_BATCH];
        make_batch(&tiny, steps[i], rooms, pictures);
        tiny_boxes(&tiny, 3);
        const struct cuda_emu_counts before = cuda_emu_read_counts();
        assert_ok(tiny.env, det_learner_stage_pictures(tiny.env, tiny.gpu, pictures, tiny.truths));
        assert_int_equal(cuda_emu_read_counts().host_waits, before.host_waits);
        assert_ok(tiny.env, det_learner_begin(tiny.env, tiny.gpu, 0.01f));
        assert_ok(tiny.env, det_learner_end(tiny.env, tiny.gpu, &result));
        const struct cuda_emu_counts after = cuda_emu_read_counts();
        assert_int_equal(after.captures - before.captures, wanted[i]);
        assert_int_equal(after.unpinned_copies, before.unpinned_copies);
        assert_int_equal(after.reports, before.reports);
    }
    const struct cuda_emu_counts end = cuda_emu_read_counts();
    assert_int_equal(end.device_allocations, created.device_allocations);
    assert_int_equal(end.pinned_allocations, created.pinned_allocations);
    tiny_close(&tiny);
}

#endif

int test_cuda_picture_steps(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_the_same),
        cmocka_unit_test(what_does_not_fit_is_refused),
#ifdef DET_CUDA_EMU
        cmocka_unit_test(recordings_serve_all_batches),
#endif
    };
    return cmocka_run_group_tests_name("cuda_picture_steps", tests, NULL, NULL);
}
