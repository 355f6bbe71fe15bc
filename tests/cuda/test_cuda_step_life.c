/* A training step of the CUDA backend as a thing: memory, recording, what changes from step to
 * step, failures. */
#include <math.h>

#include "cuda/support/tiny.h"
#include "devices/cuda/cuda_fit.h"

/* Parameters after some steps, recorded or not. */
static float *trained(bool no_graph, size_t *count)
{
    struct tiny tiny;
    tiny_open(&tiny,
              &(struct tiny_settings){.device = {.no_graph = no_graph, .deterministic = true}});
    for (int i = 0; i < 3; i++) {
        struct det_step_result result;
        assert_ok(tiny.env, det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths,
                                             0.02f / (float)(i + 1), &result));
    }
    assert_ok(tiny.env, tiny.backend->step_pull(tiny.env, tiny.gpu->step));
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
        tiny_compare_results(&cpu, &gpu, 1e-5, 5e-5);
    }
    tiny_compare_params(&tiny, 1e-6, 5e-4);
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
    tiny_compare_results(&cpu, &gpu, 1e-5, 5e-5);
    tiny_compare_params(&tiny, 1e-6, 5e-4);
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
    assert_ok(tiny.env, tiny.backend->step_push(tiny.env, tiny.gpu->step));
    float *before = malloc(bytes);
    assert_non_null(before);
    memcpy(before, tiny.gpu->params, bytes);
    for (int i = 0; i < 3; i++) { /* eager, recorded, replayed */
        assert_fails(
            tiny.env, DET_STATUS_NON_FINITE, tiny.gpu->graph.params[bad].key,
            det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.02f, &result));
        assert_true(isnan(result.total_loss));
    }
    assert_ok(tiny.env, tiny.backend->step_pull(tiny.env, tiny.gpu->step));
    assert_memory_equal(before, tiny.gpu->params, bytes);
    free(before);
    tiny.truths[0].class_index[0] = TINY_CLASSES;
    assert_fails(tiny.env, DET_STATUS_INVALID_ARGUMENT, "image 0 of the batch, object 0",
                 det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.02f, &result));
    tiny_close(&tiny);
}

/* A picture's last pixel is NaN: what is looked at of the first layer reaches as far. */
static void non_finite_picture(void **state)
{
    (void)state;
    const size_t floats = (size_t)TINY_BATCH * TINY_SIDE * TINY_SIDE * 3;
    struct tiny tiny;
    struct det_step_result result;
    tiny_open(&tiny, &(struct tiny_settings){0});
    tiny.images[floats - 1] = NAN;
    char text[200];
    snprintf(text, sizeof text, "first bad layer: %s", tiny.gpu->graph.ops[0].name);
    assert_fails(tiny.env, DET_STATUS_NON_FINITE, text,
                 det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.02f, &result));
    tiny_close(&tiny);
}

#ifdef DET_CUDA_EMU

/* After its first two runs a step is one launch and one wait, and never takes memory. */
static void counts(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_step_result result;
    tiny_open(&tiny, &(struct tiny_settings){0});
    const struct cuda_emu_counts created = cuda_emu_read_counts();
    /* Nobody else's work on the default stream waits for ours, nor ours for it. */
    assert_true(created.live_streams >= 2);
    assert_int_equal(created.live_blocking_streams, 0);
    const long host_allocations = test_env_allocations(&tiny.t);
    for (int i = 0; i < 4; i++) {
        const struct cuda_emu_counts before = cuda_emu_read_counts();
        assert_ok(tiny.env,
                  det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
        const struct cuda_emu_counts after = cuda_emu_read_counts();
        assert_int_equal(after.host_waits - before.host_waits, 1);
        assert_int_equal(after.device_waits,
                         before.device_waits); /* nobody else's work is waited for */
        assert_int_equal(after.captures - before.captures, i == 1);
        assert_int_equal(after.graph_launches - before.graph_launches, i >= 1);
        assert_int_equal(after.unpinned_copies - before.unpinned_copies, 0);
        assert_int_equal(after.reports - before.reports, 0);
    }
    const struct cuda_emu_counts end = cuda_emu_read_counts();
    assert_int_equal(end.device_allocations, created.device_allocations);
    assert_int_equal(end.pinned_allocations, created.pinned_allocations);
    assert_int_equal(test_env_allocations(&tiny.t), host_allocations);
    tiny_close(&tiny);
}

/* The number behind `label` in a message. */
static long number_behind(const char *message, const char *label)
{
    const char *at = strstr(message, label);
    if (at == NULL)
        fail_msg("\"%s\" lacks \"%s\"", message, label);
    return strtol(at + strlen(label), NULL, 10);
}

/* What fits is said, and is true. */
static void out_of_memory(void **state)
{
    (void)state;
    struct tiny tiny;
    tiny_open(&tiny, &(struct tiny_settings){0});
    const size_t bytes_of_two = cuda_emu_read_counts().live_device_bytes;
    tiny.backend->step_destroy(tiny.env, &tiny.gpu->step);
    struct det_step *step = NULL;
    cuda_emu_set_memory(DET_CUDA_MARGIN + bytes_of_two * 2);
    tiny.gpu->settings.batch_size = 64;
    assert_fails(tiny.env, DET_STATUS_OUT_OF_MEMORY, "with batch size 64 needs",
                 tiny.backend->step_create(tiny.env, tiny.device, tiny.gpu, &step));
    assert_null(step);
    const long fits = number_behind(tiny.env->error, "largest batch size that fits is ");
    assert_in_range(fits, 2, 16);
    tiny.gpu->settings.batch_size = (int32_t)fits + 1;
    assert_fails(tiny.env, DET_STATUS_OUT_OF_MEMORY, "largest batch size that fits is ",
                 tiny.backend->step_create(tiny.env, tiny.device, tiny.gpu, &step));
    assert_int_equal(number_behind(tiny.env->error, "largest batch size that fits is "), fits);
    tiny.gpu->settings.batch_size = (int32_t)fits;
    assert_ok(tiny.env, tiny.backend->step_create(tiny.env, tiny.device, tiny.gpu, &step));
    tiny.backend->step_destroy(tiny.env, &step);
    /* What is said of the bytes needed is said with the margin. */
    tiny.gpu->settings.batch_size = TINY_BATCH;
    cuda_emu_set_memory(DET_CUDA_MARGIN + bytes_of_two / 2);
    assert_fails(tiny.env, DET_STATUS_OUT_OF_MEMORY, "268435456 of them for code",
                 tiny.backend->step_create(tiny.env, tiny.device, tiny.gpu, &step));
    assert_true(number_behind(tiny.env->error, "needs ") > (long)DET_CUDA_MARGIN);
    cuda_emu_set_memory(100000);
    assert_fails(tiny.env, DET_STATUS_OUT_OF_MEMORY, "not even batch size 1 fits",
                 tiny.backend->step_create(tiny.env, tiny.device, tiny.gpu, &step));
    cuda_emu_set_memory(0);
    tiny_close(&tiny);
}

/* A plan that is said to fit leaves room for the code of its kernels, which takes memory when each
 * runs first. */
static void code_is_loaded_later(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_step_result result;
    tiny_open(&tiny, &(struct tiny_settings){0});
    const size_t bytes = cuda_emu_read_counts().live_device_bytes;
    tiny.backend->step_destroy(tiny.env, &tiny.gpu->step);
    cuda_emu_set_kernel_bytes(2 << 20);
    for (size_t memory = bytes;; memory += 8 << 20) { /* about the least with which it is made */
        cuda_emu_set_memory(memory);
        const det_status status =
            tiny.backend->step_create(tiny.env, tiny.device, tiny.gpu, &tiny.gpu->step);
        if (status == DET_OK)
            break;
        assert_int_equal(status, DET_STATUS_OUT_OF_MEMORY);
    }
    for (int i = 0; i < 3; i++)
        assert_ok(tiny.env,
                  det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    cuda_emu_set_kernel_bytes(0);
    cuda_emu_set_memory(0);
    tiny_close(&tiny);
}

/* Each allocation and each handle of the device's fails in turn, also the larger room for boxes: a
 * message, nothing left, and the backend goes on working. */
static void each_device_allocation_fails(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_step_result result;
    tiny_open(&tiny, &(struct tiny_settings){0});
    tiny.backend->step_destroy(tiny.env, &tiny.gpu->step);
    tiny.backend->device_close(tiny.env, &tiny.device);
    const struct det_device_settings settings = {0};
    long failures = 0;
    for (long n = 1;; n++) {
        cuda_emu_fail_at(n);
        det_status status = tiny.backend->device_open(tiny.env, &settings, &tiny.device);
        if (status == DET_OK)
            status = tiny.backend->step_create(tiny.env, tiny.device, tiny.gpu, &tiny.gpu->step);
        cuda_emu_fail_at(0);
        if (status == DET_OK)
            break;
        assert_true(status == DET_STATUS_OUT_OF_MEMORY || status == DET_STATUS_DEVICE);
        assert_true(tiny.env->error[0] != '\0');
        assert_null(tiny.gpu->step);
        tiny.backend->device_close(tiny.env, &tiny.device);
        failures++;
    }
    assert_true(failures >= 5);
    tiny_boxes(&tiny, 400);
    for (long n = 1; n <= 2; n++) {
        cuda_emu_fail_at(n);
        assert_fails(
            tiny.env, DET_STATUS_OUT_OF_MEMORY, "ground truth",
            det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    }
    cuda_emu_fail_at(0);
    assert_ok(tiny.env,
              det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    tiny_close(&tiny);
}

static det_status create_a_step(struct det_env *env, void *argument)
{
    struct tiny *tiny = argument;
    struct det_device *device = NULL;
    struct det_step *step = NULL;
    const struct det_device_settings settings = {0};
    DET_TRY_RETURN(tiny->backend->device_open(env, &settings, &device));
    const det_status status = tiny->backend->step_create(env, device, tiny->gpu, &step);
    tiny->backend->step_destroy(env, &step);
    tiny->backend->device_close(env, &device);
    return status;
}

static void each_host_allocation_fails(void **state)
{
    (void)state;
    struct tiny tiny;
    tiny_open(&tiny, &(struct tiny_settings){0});
    test_each_allocation_fails(create_a_step, &tiny);
    tiny_close(&tiny);
}

/* Machines that cannot do it say why. */
static void no_device(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const struct det_backend *backend = det_backend_cuda();
    struct det_device *device = NULL;
    struct det_device_settings settings = {.index = 1};
    assert_fails(&t.env, DET_STATUS_DEVICE, "cuda:1: there are 1 GPUs",
                 backend->device_open(&t.env, &settings, &device));
    settings.index = -1;
    cuda_emu_set_machine(0, 13000);
    assert_fails(&t.env, DET_STATUS_DEVICE, "looking for a GPU",
                 backend->device_open(&t.env, &settings, &device));
    assert_null(device);
    cuda_emu_set_machine(1, 13000);
    assert_ok(&t.env, backend->device_open(&t.env, &settings, &device));
    char text[300];
    backend->device_describe(device, text, sizeof text);
    assert_non_null(strstr(text, "cuda:0: "));
    assert_non_null(strstr(text, ", f32"));
    backend->device_close(&t.env, &device);
    test_env_check(&t);
}

/* The first device that can do the precision is taken, or why the one that was asked for cannot. */
static void capabilities(void **state)
{
    (void)state;
    static const struct {
        int first, second;
        enum det_precision precision;
        int32_t wanted, opened; /* opened -1: none */
        const char *said;
    } cases[] = {
        {75, 86, DET_PRECISION_F32, -1, 0, ": emulated on the CPU, f32"},
        {75, 86, DET_PRECISION_TF32, -1, 1, ": emulated on the CPU, tf32"},
        {75, 86, DET_PRECISION_BF16, -1, 1, ": emulated on the CPU, bf16"},
        {90, 86, DET_PRECISION_BF16, -1, 0, ": emulated on the CPU, bf16"},
        {80, 75, DET_PRECISION_TF32, 1, -1, "capability 7.5, precision tf32 needs 8.0"},
        {75, 90, DET_PRECISION_BF16, 0, -1, "capability 7.5, precision bf16 needs 8.0"},
        {70, 72, DET_PRECISION_F32, -1, -1,
         "cuda:1: emulated on the CPU has compute capability "
         "7.2, precision f32 needs 7.5"},
    };
    struct test_env t;
    test_env_init(&t);
    cuda_emu_set_machine(2, 13000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct det_device *device = NULL;
        char text[300];
        cuda_emu_set_capabilities(cases[i].first, cases[i].second);
        const struct det_device_settings settings = {.index = cases[i].wanted,
                                                     .precision = cases[i].precision};
        const det_status status = det_backend_cuda()->device_open(&t.env, &settings, &device);
        assert_int_equal(status, cases[i].opened < 0 ? DET_STATUS_DEVICE : DET_OK);
        if (status != DET_OK) {
            assert_contains(t.env.error, cases[i].said);
            continue;
        }
        det_backend_cuda()->device_describe(device, text, sizeof text);
        assert_contains(text, cases[i].said);
        assert_contains(text, cases[i].opened == 0 ? "cuda:0" : "cuda:1");
        det_backend_cuda()->device_close(&t.env, &device);
    }
    cuda_emu_set_capabilities(90, 90);
    cuda_emu_set_machine(1, 13000);
    test_env_check(&t);
}

#endif

int test_cuda_step_life(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_steps_give_the_same_bits),
        cmocka_unit_test(many_boxes),
        cmocka_unit_test(push),
        cmocka_unit_test(non_finite),
        cmocka_unit_test(non_finite_picture),
#ifdef DET_CUDA_EMU
        cmocka_unit_test(counts),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(code_is_loaded_later),
        cmocka_unit_test(each_device_allocation_fails),
        cmocka_unit_test(each_host_allocation_fails),
        cmocka_unit_test(no_device),
        cmocka_unit_test(capabilities),
#endif
    };
    return cmocka_run_group_tests_name("cuda_step_life", tests, NULL, NULL);
}
