/* A training in 8 bits on the device against the CPU's: weights, gradients, ranges, the change of
 * networks and exact resume. A value near the middle of two steps is rounded up by one and down by
 * the other: steps later agree as two roundings of one network do. */
#include <math.h>

#include "cuda/support/tiny.h"
#include "devices/cuda/cuda_step.h"

enum { DELAY = 2, STEPS = 5 };

static double relative(const float *got, const float *want, size_t count)
{
    return test_relative_l2(got, want, count);
}

/* The first step with 8 bits in it, from the same parameters. */
static void first_step(const struct tiny_settings *settings, double losses, double norm,
                       double ranges, double params)
{
    struct tiny tiny;
    struct det_step_result cpu, gpu;
    tiny_open(&tiny, settings);
    tiny_steps(&tiny, 0.01f, &cpu, &gpu);
    tiny_compare_results(&cpu, &gpu, losses, norm);
    tiny_compare_params(&tiny, params, 1);
    assert_int_equal(tiny.gpu->ranges.updates, 1);
    const size_t tensors = (size_t)tiny.cpu->ranges.count;
    const double low = relative(tiny.gpu->ranges.low, tiny.cpu->ranges.low, tensors);
    const double high = relative(tiny.gpu->ranges.high, tiny.cpu->ranges.high, tensors);
    if (!(low <= ranges && high <= ranges))
        fail_msg("ranges differ by %g and %g of themselves, at most %g", low, high, ranges);
    assert_true(tiny.gpu->ranges.high[5] > 0);
    tiny_close(&tiny);
}

static void a_step_agrees(void **state)
{
    (void)state;
    struct tiny_settings settings = {.quantise = true};
    first_step(&settings, 2e-2, 2e-1, 2e-2, 1e-3);
    settings.device.no_graph = true;
    settings.rule = DET_UPDATE_RMSPROP;
    first_step(&settings, 2e-2, 2e-1, 2e-2, 1e-2);
    settings.device.precision = DET_PRECISION_BF16;
    first_step(&settings, 5e-2, 5e-1, 5e-2, 1e-2);
}

/* Each batch of an update begins with the ranges before it. */
static void batches_of_an_update_agree(void **state)
{
    (void)state;
    enum { BATCHES = 3 };
    struct tiny tiny;
    struct det_step_result cpu, gpu;
    tiny_open(&tiny, &(struct tiny_settings){.quantise = true, .accumulate = BATCHES});
    for (int32_t b = 0; b < BATCHES; b++) {
        assert_int_equal(tiny.gpu->ranges.updates, 0);
        tiny_turn(&tiny, b);
        tiny_steps(&tiny, .01f, &cpu, &gpu);
    }
    assert_int_equal(tiny.cpu->ranges.updates, 1);
    assert_int_equal(tiny.gpu->ranges.updates, 1);
    assert_ok(tiny.env, det_learner_pull(tiny.env, tiny.gpu));
    const size_t tensors = (size_t)tiny.cpu->ranges.count;
    assert_true(relative(tiny.gpu->ranges.low, tiny.cpu->ranges.low, tensors) < 2e-2);
    assert_true(relative(tiny.gpu->ranges.high, tiny.cpu->ranges.high, tensors) < 2e-2);
    tiny_close(&tiny);
}

/* The weights that 8 bits have are the CPU's, to the bit but for what folds in another order. */
static void weights_agree(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_step_result cpu, gpu;
    struct det_fold fold;
    tiny_open(&tiny, &(struct tiny_settings){.quantise = true});
    for (int updates = 0; updates < 2; updates++) {
        tiny_follow(&tiny);
        memcpy(tiny.gpu->ranges.low, tiny.cpu->ranges.low,
               (size_t)tiny.cpu->ranges.count * sizeof(float));
        memcpy(tiny.gpu->ranges.high, tiny.cpu->ranges.high,
               (size_t)tiny.cpu->ranges.count * sizeof(float));
        assert_ok(tiny.env, det_learner_push(tiny.env, tiny.gpu));
        assert_ok(tiny.env, det_fold_create(tiny.env, &tiny.cpu->spec, &tiny.cpu->graph, &fold));
        det_fold_params(&fold, NULL, tiny.cpu->params, &tiny.cpu->ranges);
        assert_ok(tiny.env,
                  det_learner_gradients(tiny.env, tiny.gpu, tiny.images, tiny.truths, &gpu));
        const size_t floats = fold.graph.param_floats;
        float *folded = malloc(floats * sizeof *folded);
        assert_non_null(folded);
        assert_ok(tiny.env,
                  det_cuda_download(tiny.env, tiny.device, folded, tiny.gpu->step->fold.params,
                                    floats * sizeof *folded, "test"));
        size_t differ = 0, weights = 0;
        for (int32_t p = 0; p < fold.graph.param_count; p++) {
            const struct det_param *param = &fold.graph.params[p];
            for (size_t i = param->offset; i < param->offset + param->count; i++) {
                weights++;
                differ += fabsf(folded[i] - fold.params[i]) > 1e-6f * fabsf(fold.params[i]);
            }
        }
        if (differ > weights / 1000)
            fail_msg("%zu of %zu weights differ", differ, weights);
        /* The same gradients of the folded form give the same of the training form. */
        float *want = calloc(tiny.cpu->graph.param_floats, sizeof *want);
        assert_non_null(want);
        assert_ok(tiny.env, det_cuda_download(tiny.env, tiny.device, fold.gradients,
                                              tiny.gpu->step->fold.gradients,
                                              floats * sizeof(float), "test"));
        det_fold_gradients(&fold, NULL, tiny.cpu->params, want);
        for (int32_t p = 0; p < tiny.cpu->graph.param_count; p++) {
            const struct det_param *param = &tiny.cpu->graph.params[p];
            if (!param->trainable || param->l2 > 0) /* with weight decay added */
                continue;
            const double error =
                relative(tiny.gpu->gradients + param->offset, want + param->offset, param->count);
            if (!(error <= 1e-5))
                fail_msg("gradient of %s: relative error %g", param->key, error);
        }
        free(folded);
        free(want);
        det_fold_free(tiny.env, &fold);
        assert_ok(tiny.env,
                  det_learner_step(tiny.env, tiny.cpu, tiny.images, tiny.truths, 0.01f, &cpu));
        tiny.gpu->updates = tiny.cpu->updates;
        tiny.gpu->ranges.updates = tiny.cpu->ranges.updates;
    }
    tiny_close(&tiny);
}

/* Everything the device has of a training, as a checkpoint would. */
static void copy_state(struct tiny *tiny, struct det_learner *to, const struct det_learner *from)
{
    const size_t bytes = from->graph.param_floats * sizeof(float);
    memcpy(to->params, from->params, bytes);
    for (int32_t s = 0; s < from->slot_count; s++)
        memcpy(to->slots[s], from->slots[s], bytes);
    memcpy(to->ranges.low, from->ranges.low, (size_t)from->ranges.count * sizeof(float));
    memcpy(to->ranges.high, from->ranges.high, (size_t)from->ranges.count * sizeof(float));
    to->ranges.updates = from->ranges.updates;
    to->updates = from->updates;
    assert_ok(tiny->env, det_learner_push(tiny->env, to));
}

static void step(struct tiny *tiny, struct det_learner *learner)
{
    struct det_step_result result;
    assert_ok(tiny->env,
              det_learner_step(tiny->env, learner, tiny->images, tiny->truths, 0.01f, &result));
}

/* Stopped after any step and gone on with by a new learner: the same bits, over the change of
 * networks too, and with what was recorded. */
static void resume_is_exact(void **state)
{
    (void)state;
    for (int stop = 1; stop < STEPS; stop++) {
        struct tiny whole, parts;
        const struct tiny_settings settings = {
            .quantise = true, .quantise_delay = DELAY, .device.deterministic = true};
        tiny_open(&whole, &settings);
        for (int i = 0; i < STEPS; i++) {
            assert_int_equal(det_learner_rounds(whole.gpu), i >= DELAY);
            step(&whole, whole.gpu);
        }
        tiny_open(&parts, &settings);
        for (int i = 0; i < stop; i++)
            step(&parts, parts.gpu);
        assert_ok(parts.env, det_learner_pull(parts.env, parts.gpu));
        copy_state(&parts, parts.cpu, parts.gpu);
        struct tiny rest;
        tiny_open(&rest, &settings);
        copy_state(&rest, rest.gpu, parts.cpu);
        for (int i = stop; i < STEPS; i++)
            step(&rest, rest.gpu);
        assert_ok(whole.env, det_learner_pull(whole.env, whole.gpu));
        assert_ok(rest.env, det_learner_pull(rest.env, rest.gpu));
        assert_int_equal(rest.gpu->ranges.updates, STEPS - DELAY);
        assert_memory_equal(whole.gpu->params, rest.gpu->params,
                            whole.gpu->graph.param_floats * sizeof(float));
        assert_memory_equal(whole.gpu->ranges.high, rest.gpu->ranges.high,
                            (size_t)whole.gpu->ranges.count * sizeof(float));
        tiny_close(&rest);
        tiny_close(&parts);
        tiny_close(&whole);
    }
}

/* A batch that is not finite changes nothing, ranges neither. */
static void a_bad_batch_changes_nothing(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_step_result result;
    tiny_open(&tiny, &(struct tiny_settings){.quantise = true});
    step(&tiny, tiny.gpu);
    assert_ok(tiny.env, det_learner_pull(tiny.env, tiny.gpu));
    const size_t bytes = (size_t)tiny.gpu->ranges.count * sizeof(float);
    float *before = malloc(bytes);
    assert_non_null(before);
    memcpy(before, tiny.gpu->ranges.high, bytes);
    for (int32_t p = 0; p < tiny.gpu->graph.param_count; p++) {
        if (tiny.gpu->graph.params[p].role == DET_PARAM_GAMMA) {
            tiny.gpu->params[tiny.gpu->graph.params[p].offset] = NAN;
            break;
        }
    }
    assert_ok(tiny.env, det_learner_push(tiny.env, tiny.gpu));
    assert_fails(tiny.env, DET_STATUS_NON_FINITE, "first bad layer: ",
                 det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    assert_ok(tiny.env, det_learner_pull(tiny.env, tiny.gpu));
    assert_memory_equal(before, tiny.gpu->ranges.high, bytes);
    assert_int_equal(tiny.gpu->ranges.updates, 1);
    free(before);
    tiny_close(&tiny);
}

int test_cuda_rounding(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_agree),
        cmocka_unit_test(a_step_agrees),
        cmocka_unit_test(batches_of_an_update_agree),
        cmocka_unit_test(resume_is_exact),
        cmocka_unit_test(a_bad_batch_changes_nothing),
    };
    return cmocka_run_group_tests_name("cuda_rounding", tests, NULL, NULL);
}
