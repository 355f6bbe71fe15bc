/* What is told when a machine cannot do it, or a kernel breaks: a status with its cause, nothing
 * left behind, and a process that goes on. Memory that is not there is in test_cuda_step_life.c and
 * test_cuda_runner.c. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cuda/support/tiny.h"
#include "devices/context.h"
#include "devices/cuda/cuda_device.h"
#include "elementwise.h"

/* --- another process --- */

/* What a process of its own is to do: the same program again, which finds this in its
 * environment. */
static const char task[] = "DET_CUDA_FAILURES_TASK";

static void work(void)
{
    struct tiny tiny;
    struct det_step_result result;
    tiny_open(&tiny, &(struct tiny_settings){0});
    for (int i = 0; i < 2; i++)
        assert_ok(tiny.env,
                  det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    tiny_close(&tiny);
}

/* The next kernel traps: on a GPU one that is given memory that is not there. */
static void set_trap(const struct tiny *tiny)
{
#ifdef DET_CUDA_EMU
    (void)tiny;
    cuda_emu_trap_at(1);
#else
    (void)detk_cast_to_bf16(tiny->device->stream, 4, (const float *)(uintptr_t)64,
                            (void *)(uintptr_t)128);
#endif
}

static void trap(void)
{
    struct tiny tiny;
    struct det_step_result result;
    tiny_open(&tiny, &(struct tiny_settings){0});
    set_trap(&tiny);
    assert_fails(tiny.env, DET_STATUS_DEVICE, "an illegal memory access was encountered",
                 det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    tiny_close(&tiny);
}

static void run_process(const char *what)
{
    char program[512], command[700];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    assert_true(length > 0);
    program[length] = '\0';
    snprintf(command, sizeof command, "%s=%s '%s' cuda_failures >&2", task, what, program);
    const int status = system(command);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the process that is to %s ended with %d", what, status);
}

/* The plain way on after a kernel has trapped: the process ends, a new one begins. Others on the
 * same GPU notice nothing. */
static void a_new_process_goes_on(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_step_result result;
    tiny_open(&tiny, &(struct tiny_settings){0});
    for (int i = 0; i < 2; i++) {
        assert_ok(tiny.env,
                  det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
        run_process("trap");
    }
    assert_ok(tiny.env,
              det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    tiny_close(&tiny);
    run_process("work");
}

/* --- in this process --- */

#ifdef DET_CUDA_EMU

static char logged[512];

static void write_log(void *user, det_log_level level, const char *message)
{
    (void)user;
    if (level == DET_LOG_ERROR)
        snprintf(logged, sizeof logged, "%s", message);
}

/* NULL and the logged cause, or the device that was opened. */
static det_context *context_on(const char *device, det_status wanted)
{
    det_context_settings settings;
    det_context *context = NULL;
    det_context_settings_default(&settings);
    settings.logger = &(det_logger){.struct_size = sizeof(det_logger), .write = write_log};
    settings.device = device;
    settings.threads = 1;
    logged[0] = '\0';
    assert_int_equal(det_context_create(&context, &settings), wanted);
    return context;
}

static void expect_cause(const char *device, const char *text)
{
    assert_null(context_on(device, DET_STATUS_DEVICE));
    if (strstr(logged, text) == NULL)
        fail_msg("device %s: \"%s\" lacks \"%s\"", device, logged, text);
}

static void expect_device(const char *device, const char *backend)
{
    det_context *context = context_on(device, DET_OK);
    assert_string_equal(det_context_compute(context)->backend->name, backend);
    det_context_destroy(&context);
}

/* Asked for and not there is an error with the cause; "auto" computes on the CPU then. */
static void machines(void **state)
{
    (void)state;
    const struct cuda_emu_counts before = cuda_emu_read_counts();
    char chosen[32] = ""; /* the runner's choice for other tests */
    if (getenv("DET_DEVICE") != NULL)
        snprintf(chosen, sizeof chosen, "%s", getenv("DET_DEVICE"));
    unsetenv("DET_DEVICE");
    expect_device("auto", "cuda");
    cuda_emu_set_machine(0, 13000);
    expect_cause("cuda", "no CUDA-capable device is detected");
    expect_device("auto", "cpu");
    cuda_emu_set_machine(1, 11080);
    expect_cause("cuda", "CUDA driver version is insufficient");
    expect_device("auto", "cpu");
    cuda_emu_set_machine(2, 13000);
    expect_cause("cuda:2", "there are 2 GPUs");
    expect_device("cuda:1", "cuda");
    cuda_emu_set_machine(1, 13000);
    expect_device("cuda", "cuda");
    if (chosen[0] != '\0')
        setenv("DET_DEVICE", chosen, 1);
    const struct cuda_emu_counts after = cuda_emu_read_counts();
    assert_int_equal(after.live_streams, before.live_streams);
    assert_int_equal(after.live_handles, before.live_handles);
    assert_int_equal(after.resets, before.resets);
}

/* A kernel traps in the n-th step, at its start or far into it. */
static void break_a_step(int steps_before, long kernel)
{
    struct tiny tiny;
    struct det_step_result result;
    const struct cuda_emu_counts before = cuda_emu_read_counts();
    tiny_open(&tiny, &(struct tiny_settings){0});
    for (int i = 0; i < steps_before; i++)
        assert_ok(tiny.env,
                  det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    cuda_emu_trap_at(kernel);
    for (int i = 0; i < 2; i++) /* it does not go away */
        assert_fails(
            tiny.env, DET_STATUS_DEVICE, "an illegal memory access was encountered",
            det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    assert_fails(tiny.env, DET_STATUS_DEVICE, "an illegal memory access was encountered",
                 det_learner_pull(tiny.env, tiny.gpu));
    tiny_close(&tiny); /* asserts that nothing is left */
    assert_int_equal(cuda_emu_read_counts().resets - before.resets, 1);
    tiny_open(&tiny, &(struct tiny_settings){0});
    assert_ok(tiny.env,
              det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
    tiny_close(&tiny);
    assert_int_equal(cuda_emu_read_counts().resets - before.resets, 1);
}

static void broken_kernels(void **state)
{
    (void)state;
    break_a_step(0, 1);
    break_a_step(1, 300); /* while the step is recorded nothing runs: it is the replay's */
    break_a_step(3, 200);
}

/* Between two steps: the batch that is staged next meets it. */
static void broken_while_staging(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_step_result result;
    tiny_open(&tiny, &(struct tiny_settings){0});
    assert_ok(tiny.env, det_learner_stage(tiny.env, tiny.gpu, tiny.images, tiny.truths));
    cuda_emu_trap_at(1);
    assert_fails(tiny.env, DET_STATUS_DEVICE, "an illegal memory access was encountered",
                 det_learner_begin(tiny.env, tiny.gpu, 0.01f));
    assert_fails(tiny.env, DET_STATUS_DEVICE, "an illegal memory access was encountered",
                 det_learner_stage(tiny.env, tiny.gpu, tiny.images, tiny.truths));
    assert_fails(tiny.env, DET_STATUS_INTERNAL, "the end of no training step",
                 det_learner_end(tiny.env, tiny.gpu, &result));
    tiny_close(&tiny);
}

#endif

static void the_task(void **state)
{
    (void)state;
    if (strcmp(getenv(task), "trap") == 0)
        trap();
    else
        work();
}

/* Within a process a GPU is not broken on purpose: what follows would not be sure of it. */
int test_cuda_failures(void)
{
    const struct CMUnitTest only[] = {cmocka_unit_test(the_task)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_process_goes_on),
#ifdef DET_CUDA_EMU
        cmocka_unit_test(machines),
        cmocka_unit_test(broken_kernels),
        cmocka_unit_test(broken_while_staging),
#endif
    };
    if (getenv(task) != NULL)
        return cmocka_run_group_tests_name("cuda_failures, a task", only, NULL, NULL);
    return cmocka_run_group_tests_name("cuda_failures", tests, NULL, NULL);
}
