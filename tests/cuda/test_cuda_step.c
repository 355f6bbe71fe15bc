/* Training steps of the CUDA backend against the CPU's. */
#include <math.h>

#include "cuda/support/tiny.h"

enum { STEPS = 3 };

/* How far CUDA may be from the CPU, relative. */
struct bounds {
    double losses, norm, params, slots, moving;
};

static const struct bounds exact = {1e-5, 5e-5, 1e-6, 5e-4, 1e-6};
/* With the batch's statistics: what depends on the forward pass only is as near, gradients are not. */
static const struct bounds near = {1e-5, 1e-2, 1e-4, 3e-2, 5e-5};
/* Activations of eight bits of mantissa: figures agree in their first digits, and with the batch's statistics the gradients are
 * those of another, like network. */
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

static void batch_statistics(void **state)
{
    (void)state;
    agree(&(struct tiny_settings){0}, near);
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
    assert_ok(tiny.env,
              tiny.backend->step_gradients(tiny.env, tiny.step, tiny.images, tiny.truths, &gpu));
    tiny_compare_results(&cpu, &gpu, exact.losses, exact.norm);
    assert_ok(tiny.env, tiny.backend->step_pull_gradients(tiny.env, tiny.step));
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
    det_learner_update(tiny.cpu, 0.01f, &cpu);
    assert_ok(tiny.env, tiny.backend->step_update(tiny.env, tiny.step, 0.01f, &gpu));
    tiny_compare_params(&tiny, exact.params, exact.slots);
    tiny_close(&tiny);
}

/* Parameters after some steps, recorded or not. */
static float *trained(bool no_graph, size_t *count)
{
    struct tiny tiny;
    tiny_open(&tiny, &(struct tiny_settings){.device.no_graph = no_graph});
    for (int i = 0; i < STEPS; i++) {
        struct det_step_result result;
        assert_ok(tiny.env, tiny.backend->step_run(tiny.env, tiny.step, tiny.images, tiny.truths,
                                                   0.02f / (float)(i + 1), &result));
        tiny.gpu->updates++;
    }
    assert_ok(tiny.env, tiny.backend->step_pull(tiny.env, tiny.step));
    *count = tiny.gpu->graph.param_floats;
    float *params = malloc(*count * sizeof *params);
    assert_non_null(params);
    memcpy(params, tiny.gpu->params, *count * sizeof *params);
    tiny_close(&tiny);
    return params;
}

static void recorded_steps_give_the_same_bits(void **state)
{
    (void)state;
    size_t count = 0;
    float *recorded = trained(false, &count), *eager = trained(true, &count);
    assert_memory_equal(recorded, eager, count * sizeof *eager);
    free(recorded);
    free(eager);
}

/* More boxes than there is room for: memory moves, and the recorded step with it. */
static void many_boxes(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_step_result cpu, gpu;
    tiny_open(&tiny, &(struct tiny_settings){.freeze_batchnorm = true});
    static const int32_t boxes[] = {3, 120, 1, 301};
    for (int i = 0; i < 4; i++) {
        tiny_boxes(&tiny, boxes[i]);
        tiny_steps(&tiny, 0.01f, &cpu, &gpu);
        tiny_compare_results(&cpu, &gpu, exact.losses, exact.norm);
    }
    tiny_compare_params(&tiny, exact.params, exact.slots);
    tiny_close(&tiny);
}

/* What the host changes is what the device goes on with: values, and which variables learn. */
static void push(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_step_result cpu, gpu;
    tiny_open(&tiny, &(struct tiny_settings){.freeze_batchnorm = true});
    tiny_steps(&tiny, 0.01f, &cpu, &gpu);
    for (size_t k = 0; k < tiny.cpu->graph.param_floats; k++) {
        tiny.cpu->params[k] *= 0.9f;
        tiny.cpu->slots[0][k] *= 0.5f;
    }
    for (int32_t p = 0; p < tiny.cpu->graph.param_count; p++) {
        tiny.cpu->trainable[p] &= !tiny.cpu->graph.params[p].backbone;
        tiny.gpu->trainable[p] = tiny.cpu->trainable[p];
    }
    tiny_follow(&tiny);
    tiny_steps(&tiny, 0.01f, &cpu, &gpu);
    tiny_compare_results(&cpu, &gpu, exact.losses, exact.norm);
    tiny_compare_params(&tiny, exact.params, exact.slots);
    for (int32_t p = 0; p < tiny.cpu->graph.param_count; p++) {
        const struct det_param *param = &tiny.cpu->graph.params[p];
        if (param->backbone)
            assert_memory_equal(tiny.gpu->params + param->offset, tiny.cpu->params + param->offset,
                                param->count * sizeof(float));
    }
    tiny_close(&tiny);
}

/* A step that is not finite says where it went wrong and changes nothing. */
static void non_finite(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_step_result result;
    tiny_open(&tiny, &(struct tiny_settings){0});
    const size_t bytes = tiny.gpu->graph.param_floats * sizeof(float);
    int32_t bad = 0;
    while (tiny.gpu->graph.params[bad].role != DET_PARAM_POINTWISE &&
           !(tiny.gpu->graph.params[bad].role == DET_PARAM_KERNEL && bad > 20))
        bad++;
    tiny.gpu->params[tiny.gpu->graph.params[bad].offset] = NAN;
    assert_ok(tiny.env, tiny.backend->step_push(tiny.env, tiny.step));
    float *before = malloc(bytes);
    assert_non_null(before);
    memcpy(before, tiny.gpu->params, bytes);
    for (int i = 0; i < 3; i++) { /* eager, recorded, replayed */
        assert_fails(
            tiny.env, DET_STATUS_NON_FINITE, tiny.gpu->graph.params[bad].key,
            tiny.backend->step_run(tiny.env, tiny.step, tiny.images, tiny.truths, 0.02f, &result));
        assert_true(isnan(result.total_loss));
    }
    assert_ok(tiny.env, tiny.backend->step_pull(tiny.env, tiny.step));
    assert_memory_equal(before, tiny.gpu->params, bytes);
    free(before);
    tiny.truths[0].class_index[0] = TINY_CLASSES;
    assert_fails(
        tiny.env, DET_STATUS_INVALID_ARGUMENT, "image 0 of the batch, object 0",
        tiny.backend->step_run(tiny.env, tiny.step, tiny.images, tiny.truths, 0.02f, &result));
    tiny_close(&tiny);
}

int test_cuda_step(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frozen_batch_norms),
        cmocka_unit_test(rmsprop),
        cmocka_unit_test(adam),
        cmocka_unit_test(batch_statistics),
        cmocka_unit_test(bf16),
        cmocka_unit_test(gradients_apart),
        cmocka_unit_test(recorded_steps_give_the_same_bits),
        cmocka_unit_test(many_boxes),
        cmocka_unit_test(push),
        cmocka_unit_test(non_finite),
    };
    return cmocka_run_group_tests_name("cuda_step", tests, NULL, NULL);
}
