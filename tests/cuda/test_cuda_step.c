/* Training steps of the CUDA backend against the CPU's. */
#include <math.h>

#include "cuda/support/tiny.h"

enum { STEPS = 3 };

/* How far CUDA may be from the CPU, relative. */
struct bounds {
    double losses, norm, params, slots, moving;
};

static const struct bounds exact = {1e-5, 5e-5, 1e-6, 5e-4, 1e-6};
/* With the batch's statistics: what depends on the forward pass only is as near, gradients are
 * not. */
static const struct bounds near = {1e-5, 1e-2, 1e-4, 3e-2, 5e-5};
/* Activations of eight bits of mantissa: figures agree in their first digits, and with the batch's
 * statistics the gradients are those of another, like network. */
static const struct bounds rough = {5e-3, 2e-2, 1e-4, 1e-1, 1e-6};
static const struct bounds rougher = {3e-2, 5e-1, 3e-3, 3, 1e-1};

static void agree(const struct tiny_settings *settings, struct bounds bounds)
{
    struct tiny tiny;
    tiny_open(&tiny, settings);
    for (int i = 0; i < STEPS; i++) {
        struct det_step_result cpu, gpu;
        tiny_steps(&tiny, settings->rule == DET_UPDATE_ADAM ? 1e-4f : 0.01f, &cpu, &gpu);
        tiny_compare_results(&cpu, &gpu, bounds.losses, bounds.norm);
        tiny_compare_params(&tiny, bounds.params, bounds.slots);
        tiny_compare_moving(&tiny, bounds.moving);
        if (!settings->freeze_batchnorm)
            tiny_follow(&tiny);
    }
    tiny_close(&tiny);
}

static void frozen_batch_norms(void **state)
{
    (void)state;
    agree(&(struct tiny_settings){.freeze_batchnorm = true}, exact);
    agree(&(struct tiny_settings){.freeze_batchnorm = true,
                                  .clip_norm = 0.5f,
                                  .device.no_graph = true},
          exact);
}

/* Levels side by side: with and without levels that are made of others, one alone. */
static void pyramids_of_all_heights(void **state)
{
    (void)state;
    static const int32_t levels[][2] = {{3, 5}, {3, 6}, {4, 6}, {4, 5}, {5, 5}};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        agree(&(struct tiny_settings){.freeze_batchnorm = true,
                                      .min_level = levels[i][0],
                                      .max_level = levels[i][1],
                                      .own_towers = i < 2},
              exact);
    }
}

static void rmsprop(void **state)
{
    (void)state;
    agree(&(struct tiny_settings){.freeze_batchnorm = true,
                                  .rule = DET_UPDATE_RMSPROP,
                                  .device.deterministic = true},
          exact);
}

static void adam(void **state)
{
    (void)state;
    /* Its first steps are as long for a gradient that is rounding as for any other. */
    struct bounds bounds = exact;
    bounds.params = 1e-4;
    agree(&(struct tiny_settings){.freeze_batchnorm = true, .rule = DET_UPDATE_ADAM}, bounds);
}

static void averages(void **state)
{
    (void)state;
    agree(&(struct tiny_settings){.freeze_batchnorm = true, .average_decay = 0.3f}, exact);
    agree(&(struct tiny_settings){.freeze_batchnorm = true,
                                  .average_decay = 0.3f,
                                  .rule = DET_UPDATE_RMSPROP,
                                  .device.no_graph = true},
          exact);
}

/* Weights stay until the last of the batches, moving statistics go on with each; a batch that fails
 * begins the update anew. */
static void accumulation(void **state)
{
    (void)state;
    enum { BATCHES = 3 };
    struct tiny tiny;
    tiny_open(&tiny, &(struct tiny_settings){.freeze_batchnorm = true,
                                             .accumulate = BATCHES,
                                             .clip_norm = 0.5f,
                                             .average_decay = 0.3f});
    const size_t bytes = tiny.gpu->graph.param_floats * sizeof(float);
    float *before = malloc(bytes);
    assert_non_null(before);
    bool failed = false;
    for (int i = 0; i < 3 * BATCHES; i++) {
        struct det_step_result cpu, gpu;
        memcpy(before, tiny.gpu->params, bytes);
        tiny_boxes(&tiny, 3 + i % BATCHES);
        if (i == BATCHES + 1 && !failed) { /* in the middle of the second update */
            failed = true;
            const float pixel = tiny.images[5];
            tiny.images[5] = NAN;
            for (int k = 0; k < 2; k++)
                assert_fails(tiny.env, DET_STATUS_NON_FINITE, "loss is",
                             det_learner_step(tiny.env, k == 0 ? tiny.cpu : tiny.gpu, tiny.images,
                                              tiny.truths, 0.01f, &gpu));
            tiny.images[5] = pixel;
            i = BATCHES;
        }
        tiny_steps(&tiny, 0.01f, &cpu, &gpu);
        tiny_compare_results(&cpu, &gpu, exact.losses, exact.norm);
        tiny_compare_params(&tiny, exact.params, exact.slots);
        assert_int_equal(tiny.gpu->updates, tiny.cpu->updates);
        if (i % BATCHES < BATCHES - 1)
            assert_memory_equal(before, tiny.gpu->params, bytes);
        else
            assert_memory_not_equal(before, tiny.gpu->params, bytes);
    }
    free(before);
    tiny_close(&tiny);
}

static void batch_statistics(void **state)
{
    (void)state;
    agree(&(struct tiny_settings){0}, near);
    agree(&(struct tiny_settings){.accumulate = 2}, near);
}

static void bf16(void **state)
{
    (void)state;
    struct tiny_settings settings = {.device.precision = DET_PRECISION_BF16,
                                     .freeze_batchnorm = true};
    agree(&settings, rough);
    settings.freeze_batchnorm = false;
    agree(&settings, rougher);
}

/* The halves of a step, and what lies between them. */
static void gradients_apart(void **state)
{
    (void)state;
    struct tiny tiny;
    tiny_open(&tiny, &(struct tiny_settings){.freeze_batchnorm = true});
    struct det_step_result cpu, gpu;
    assert_ok(tiny.env, det_learner_gradients(tiny.env, tiny.cpu, tiny.images, tiny.truths, &cpu));
    assert_ok(tiny.env, tiny.backend->step_gradients(tiny.env, tiny.gpu->step, tiny.images,
                                                     tiny.truths, &gpu));
    tiny_compare_results(&cpu, &gpu, exact.losses, exact.norm);
    assert_ok(tiny.env, tiny.backend->step_pull_gradients(tiny.env, tiny.gpu->step));
    for (int32_t p = 0; p < tiny.cpu->graph.param_count; p++) {
        const struct det_param *param = &tiny.cpu->graph.params[p];
        if (!param->trainable)
            continue;
        const double error = test_relative_l2(tiny.gpu->gradients + param->offset,
                                              tiny.cpu->gradients + param->offset, param->count);
        if (!(error <= 1e-4))
            fail_msg("gradient of %s: relative l2 %.3g", param->key, error);
    }
    tiny_compare_params(&tiny, 0, 0); /* nothing was updated */
    assert_ok(tiny.env, det_learner_update(tiny.env, tiny.cpu, 0.01f, &cpu));
    assert_ok(tiny.env, tiny.backend->step_update(tiny.env, tiny.gpu->step, 0.01f, &gpu));
    tiny_compare_params(&tiny, exact.params, exact.slots);
    tiny_close(&tiny);
}

int test_cuda_step(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frozen_batch_norms),
        cmocka_unit_test(pyramids_of_all_heights),
        cmocka_unit_test(rmsprop),
        cmocka_unit_test(adam),
        cmocka_unit_test(averages),
        cmocka_unit_test(accumulation),
        cmocka_unit_test(batch_statistics),
        cmocka_unit_test(bf16),
        cmocka_unit_test(gradients_apart),
    };
    return cmocka_run_group_tests_name("cuda_step", tests, NULL, NULL);
}
