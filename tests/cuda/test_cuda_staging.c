/* Batches that are staged while a step or a run is under way: the same results as one after the
 * other, in the right order of streams. The tests of single steps and runs are in test_cuda_step*.c
 * and test_cuda_runner.c. */
#include "cuda/support/tiny.h"
#include "support/formula.h"

enum { STEPS = 6, FLOATS = TINY_BATCH * TINY_SIDE * TINY_SIDE * 3 };

/* Images and boxes of a step: each step has others. */
static void make_batch(struct tiny *tiny, int step)
{
    for (int32_t n = 0; n < TINY_BATCH; n++)
        formula_image(step * TINY_BATCH + n, TINY_SIDE, TINY_SIDE,
                      tiny->images + (size_t)n * FLOATS / TINY_BATCH);
    tiny_boxes(tiny, step == 3 ? 150 : 2 + step); /* the 4th has more than there is room for */
}

static void spoil_batch(struct tiny *tiny)
{
    for (size_t i = 0; i < FLOATS; i++)
        tiny->images[i] = -1e9f;
    tiny_boxes(tiny, 2);
}

/* Losses of some steps, and what was learned. The caller's memory is spoiled whenever it was handed
 * over. */
static float *trained(bool ahead, bool no_graph, double losses[STEPS])
{
    struct tiny tiny;
    tiny_open(&tiny,
              &(struct tiny_settings){.device = {.no_graph = no_graph, .deterministic = true}});
    const size_t bytes = tiny.gpu->graph.param_floats * sizeof(float);
    for (int i = 0; i < STEPS; i++) {
        struct det_step_result result;
        if (!ahead || i == 0) {
            make_batch(&tiny, i);
            assert_ok(tiny.env, det_learner_stage(tiny.env, tiny.gpu, tiny.images, tiny.truths));
            spoil_batch(&tiny);
        }
        assert_ok(tiny.env, det_learner_begin(tiny.env, tiny.gpu, 0.01f));
        if (ahead && i + 1 < STEPS) {
            make_batch(&tiny, i + 1);
            assert_ok(tiny.env, det_learner_stage(tiny.env, tiny.gpu, tiny.images, tiny.truths));
            spoil_batch(&tiny);
        }
        assert_ok(tiny.env, det_learner_end(tiny.env, tiny.gpu, &result));
        losses[i] = result.total_loss;
    }
    assert_ok(tiny.env, det_learner_pull(tiny.env, tiny.gpu));
    float *params = malloc(bytes);
    assert_non_null(params);
    memcpy(params, tiny.gpu->params, bytes);
    tiny_close(&tiny);
    return params;
}

static void steps_are_the_same(void **state)
{
    (void)state;
    double one_by_one[STEPS], ahead[STEPS], eager[STEPS];
    struct det_model_spec spec;
    struct det_graph graph;
    struct test_env t;
    test_env_init(&t);
    tiny_spec(&spec);
    assert_ok(&t.env, det_graph_build(&t.env, &spec, false, &graph));
    const size_t bytes = graph.param_floats * sizeof(float);
    det_graph_free(&t.env, &graph);
    test_env_check(&t);
    float *a = trained(false, false, one_by_one), *b = trained(true, false, ahead);
    float *c = trained(true, true, eager);
    assert_memory_equal(one_by_one, ahead, sizeof ahead);
    assert_memory_equal(one_by_one, eager, sizeof eager);
    assert_memory_equal(a, b, bytes);
    assert_memory_equal(a, c, bytes);
    for (int i = 1; i < STEPS; i++)
        assert_true(one_by_one[i] != one_by_one[0]);
    free(a);
    free(b);
    free(c);
}

/* Only the last batch staged counts; what is out of order is refused and leaves all as it was. */
static void misuse(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_step_result result, again;
    tiny_open(&tiny, &(struct tiny_settings){.device.deterministic = true});
    assert_fails(tiny.env, DET_STATUS_INTERNAL, "a training step without a batch",
                 det_learner_begin(tiny.env, tiny.gpu, 0));
    assert_fails(tiny.env, DET_STATUS_INTERNAL, "the end of no training step",
                 det_learner_end(tiny.env, tiny.gpu, &result));
    assert_ok(tiny.env, det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0, &result));
    spoil_batch(&tiny);
    assert_ok(tiny.env, det_learner_stage(tiny.env, tiny.gpu, tiny.images, tiny.truths));
    for (int32_t n = 0; n < TINY_BATCH; n++)
        formula_image(n, TINY_SIDE, TINY_SIDE, tiny.images + (size_t)n * FLOATS / TINY_BATCH);
    tiny_boxes(&tiny, 3);
    assert_ok(tiny.env, det_learner_stage(tiny.env, tiny.gpu, tiny.images, tiny.truths));
    assert_ok(tiny.env, det_learner_begin(tiny.env, tiny.gpu, 0));
    assert_fails(tiny.env, DET_STATUS_INTERNAL, "without the end of the one before",
                 det_learner_begin(tiny.env, tiny.gpu, 0));
    /* A batch that is refused while a step is under way takes nothing from it. */
    tiny.truths[0].class_index[0] = TINY_CLASSES;
    assert_fails(tiny.env, DET_STATUS_INVALID_ARGUMENT, "image 0 of the batch, object 0",
                 det_learner_stage(tiny.env, tiny.gpu, tiny.images, tiny.truths));
    assert_ok(tiny.env, det_learner_end(tiny.env, tiny.gpu, &again));
    assert_true(again.classification_loss == result.classification_loss);
    assert_true(again.localization_loss == result.localization_loss);
    /* One staged and never begun is no obstacle to the end. */
    tiny.truths[0].class_index[0] = 0;
    assert_ok(tiny.env, det_learner_stage(tiny.env, tiny.gpu, tiny.images, tiny.truths));
    tiny_close(&tiny);
}

#ifdef DET_CUDA_EMU

/* Staging costs no wait and no memory, and both batches have their recording. */
static void counts(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_step_result result;
    tiny_open(&tiny, &(struct tiny_settings){0});
    assert_ok(tiny.env, det_learner_stage(tiny.env, tiny.gpu, tiny.images, tiny.truths));
    const struct cuda_emu_counts created = cuda_emu_read_counts();
    for (int i = 0; i < 6; i++) {
        const struct cuda_emu_counts before = cuda_emu_read_counts();
        assert_ok(tiny.env, det_learner_begin(tiny.env, tiny.gpu, 0.01f));
        assert_ok(tiny.env, det_learner_stage(tiny.env, tiny.gpu, tiny.images, tiny.truths));
        assert_int_equal(cuda_emu_read_counts().host_waits, before.host_waits);
        assert_ok(tiny.env, det_learner_end(tiny.env, tiny.gpu, &result));
        const struct cuda_emu_counts after = cuda_emu_read_counts();
        assert_int_equal(after.host_waits - before.host_waits, 1);
        assert_int_equal(after.captures - before.captures, i == 2 || i == 3);
        assert_int_equal(after.graph_launches - before.graph_launches, i >= 2);
        assert_int_equal(after.unpinned_copies - before.unpinned_copies, 0);
        assert_int_equal(after.reports - before.reports, 0);
    }
    const struct cuda_emu_counts end = cuda_emu_read_counts();
    assert_int_equal(end.device_allocations, created.device_allocations);
    assert_int_equal(end.pinned_allocations, created.pinned_allocations);
    tiny_close(&tiny);
}

/* What the backend's own wait for an upload is good for: without it the emulation finds the wrong
 * order, launched one by one or as a recording. */
static void a_forgotten_wait_is_found(void **state)
{
    (void)state;
    for (int no_graph = 0; no_graph < 2; no_graph++) {
        struct tiny tiny;
        struct det_step_result result;
        tiny_open(&tiny, &(struct tiny_settings){.device.no_graph = no_graph != 0});
        for (int i = 0; i < 2; i++)
            assert_ok(tiny.env,
                      det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0, &result));
        cuda_emu_capture_reports(1);
        cuda_emu_ignore_waits(1);
        assert_fails(tiny.env, DET_STATUS_DEVICE, "CUDA",
                     det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0, &result));
        cuda_emu_ignore_waits(0);
        const char *reports = cuda_emu_take_reports();
        if (strstr(reports, "stream order") == NULL)
            fail_msg("reports \"%s\" lack a stream order", reports);
        cuda_emu_capture_reports(0);
        /* The backend goes on. */
        assert_ok(tiny.env,
                  det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0, &result));
        tiny_close(&tiny);
    }
}

#endif

int test_cuda_staging(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_the_same),
        cmocka_unit_test(misuse),
#ifdef DET_CUDA_EMU
        cmocka_unit_test(counts),
        cmocka_unit_test(a_forgotten_wait_is_found),
#endif
    };
    return cmocka_run_group_tests_name("cuda_staging", tests, NULL, NULL);
}
