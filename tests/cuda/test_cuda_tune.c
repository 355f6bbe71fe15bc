/* Algorithms chosen by their times: which of cublasLt's, whose weights' gradient, and what may go
 * wrong meanwhile. The emulation pretends the times; on a GPU a step with whatever was chosen must
 * agree with the CPU. */
#include "devices/cuda/cuda_tune.h"

#include "cuda/support/device.h"
#include "cuda/support/tiny.h"

/* With the batch norms frozen, as test_cuda_step.c has it. */
static void tuned_steps_agree(void **state)
{
    (void)state;
    struct tiny tiny;
    struct det_step_result cpu, gpu;
    tiny_open(&tiny, &(struct tiny_settings){.freeze_batchnorm = true});
    for (int i = 0; i < 3; i++) {
        tiny_steps(&tiny, 0.01f, &cpu, &gpu);
        tiny_compare_results(&cpu, &gpu, 1e-5, 1e-3);
    }
    tiny_close(&tiny);
}

#ifdef DET_CUDA_EMU

#include "cuda_emu_counts.h"
#include "devices/context.h"
#include "devices/cuda/cuda_conv.h"
#include "devices/cuda/cuda_step.h"

enum {
    ALLOC_FAILED = 3,
    INVALID_VALUE = 7,
    EXECUTION_FAILED = 13,
    INTERNAL_ERROR = 14,
    NOT_SUPPORTED = 15
};
enum { SCRATCH_BYTES = 1 << 20 };

struct fixture {
    struct test_env t;
    struct det_device *device;
    struct det_cuda_conv conv;
    struct det_cuda_conv_operands operands;
    struct det_cuda_tuner tuner;
    void *scratch, *workspace, *memory[7];
    long alive;
};

static long alive(void)
{
    const struct cuda_emu_counts c = cuda_emu_read_counts();
    return c.live_device_blocks + c.live_streams + c.live_events + c.live_handles;
}

static void open_device(struct fixture *f, const struct det_device_settings *settings)
{
    *f = (struct fixture){.alive = alive()};
    test_env_init(&f->t);
    assert_ok(&f->t.env, det_cuda_device_open(&f->t.env, settings, &f->device));
}

static void close_device(struct fixture *f)
{
    det_cuda_device_close(&f->t.env, &f->device);
    cuda_emu_set_algorithms(NULL, 0);
    test_env_check(&f->t);
    assert_int_equal(alive(), f->alive);
}

/* A convolution with all that a training asks of it, and a tuner that has time. */
static void open_conv(struct fixture *f, const struct det_conv_shape *s)
{
    const struct det_cuda_conv_uses uses = {.backward_data = true, .backward_weight = true};
    const size_t in = (size_t)s->n * (size_t)s->in_h * (size_t)s->in_w * (size_t)s->in_c * 4;
    const size_t out = (size_t)s->n * (size_t)s->out_h * (size_t)s->out_w * (size_t)s->out_c * 4;
    const size_t weights =
        (size_t)s->kernel_h * (size_t)s->kernel_w * (size_t)s->in_c * (size_t)s->out_c * 4;
    const size_t bytes[7] = {in, out, out, in, weights, weights, weights};
    assert_ok(&f->t.env, det_cuda_conv_create(&f->t.env, f->device, s, &uses, &f->conv));
    for (int i = 0; i < 7; i++)
        f->memory[i] = test_device_alloc(bytes[i]);
    f->operands = (struct det_cuda_conv_operands){
        .in = f->memory[0],
        .out = f->memory[1],
        .dout = f->memory[2],
        .din = f->memory[3],
        .weight = {.master = f->memory[4], .typed = f->memory[5]},
        .dweight = f->memory[6],
    };
    f->workspace = test_device_alloc(f->conv.workspace_bytes);
    f->scratch = test_device_alloc(SCRATCH_BYTES);
    assert_cuda(cudaDeviceSynchronize()); /* they are filled on another stream */
    assert_ok(&f->t.env,
              det_cuda_tuner_open(&f->t.env, f->device, f->scratch, SCRATCH_BYTES, &f->tuner));
    f->tuner.deadline_ns = UINT64_MAX;
}

static det_status tune(struct fixture *f)
{
    return det_cuda_conv_tune(&f->t.env, &f->tuner, &f->conv, &f->operands, f->workspace);
}

static void close_conv(struct fixture *f)
{
    assert_cuda(cudaDeviceSynchronize());
    det_cuda_tuner_close(&f->tuner);
    det_cuda_conv_destroy(&f->conv);
    for (int i = 0; i < 7; i++)
        test_device_free(f->memory[i]);
    test_device_free(f->workspace);
    test_device_free(f->scratch);
}

static struct det_conv_shape small(void)
{
    return det_conv_same(1, 5, 7, 8, 16, 1, 1);
}

/* Which algorithm a forward pass runs, -1: none or several. */
static int that_runs(struct fixture *f, const struct cuda_emu_algorithm *offers, int count)
{
    long before[DET_CUDA_CANDIDATES + 2];
    int found = -1;
    for (int i = 0; i < count; i++)
        before[i] = offers[i].runs;
    assert_ok(&f->t.env,
              det_cuda_conv_forward(&f->t.env, f->device, &f->conv, f->operands.in,
                                    f->operands.weight, (struct det_cuda_param){0},
                                    DET_ACTIVATION_NONE, f->operands.out, f->workspace, "test"));
    for (int i = 0; i < count; i++)
        if (offers[i].runs != before[i])
            found = found < 0 && offers[i].runs == before[i] + 1 ? i : -2;
    return found;
}

static void expect(const char *what, struct cuda_emu_algorithm *offers, int count,
                   const struct det_device_settings *settings, int wanted)
{
    struct fixture f;
    const struct det_conv_shape s = small();
    open_device(&f, settings);
    cuda_emu_set_algorithms(offers, count);
    open_conv(&f, &s);
    assert_ok(&f.t.env, tune(&f));
    const int got = that_runs(&f, offers, count);
    if (got != wanted)
        fail_msg("%s: algorithm %d is run, expected %d", what, got, wanted);
    close_conv(&f);
    close_device(&f);
}

/* Times of runs are a microsecond more each: what any operation takes. */
static void the_fastest_is_taken(void **state)
{
    (void)state;
    const struct det_device_settings usual = {.index = 0}, bf16 = {.precision = DET_PRECISION_BF16};
    struct cuda_emu_algorithm a[] = {{.microseconds = 30},
                                     {.microseconds = 20, .workspace_bytes = 100},
                                     {.microseconds = 10, .workspace_bytes = 8192},
                                     {.microseconds = 15}};
    expect("the third", a, 4, &usual, 2);
    expect("the third in bf16", a, 4, &bf16, 2);
    a[0].microseconds = 9;
    expect("the first", a, 4, &usual, 0);
    /* Who is far behind is run twice for each of the three products, once of them uncounted. */
    struct cuda_emu_algorithm alone[] = {{.microseconds = 10}, {.microseconds = 40}};
    expect("the faster", alone, 2, &usual, 0);
    assert_true(alone[0].runs > 0 && alone[1].runs == 3 * 2);
    /* More than are asked for. */
    struct cuda_emu_algorithm many[DET_CUDA_CANDIDATES + 2];
    for (int i = 0; i < DET_CUDA_CANDIDATES + 2; i++)
        many[i] = (struct cuda_emu_algorithm){.microseconds = 50 - 3 * i};
    expect("the last asked for", many, DET_CUDA_CANDIDATES + 2, &usual, DET_CUDA_CANDIDATES - 1);
}

static void noise_does_not_decide(void **state)
{
    (void)state;
    const struct det_device_settings usual = {.index = 0};
    struct cuda_emu_algorithm a[] = {
        {.microseconds = 99}, {.microseconds = 98}, {.microseconds = 97}};
    expect("two hundredths faster", a, 3, &usual, 0);
    a[2].microseconds = 95;
    expect("four hundredths faster", a, 3, &usual, 2);
    a[1].microseconds = 95.5;
    expect("the earlier of two alike", a, 3, &usual, 1);
}

static void who_cannot_run_is_passed_over(void **state)
{
    (void)state;
    const struct det_device_settings usual = {.index = 0};
    static const int answers[] = {NOT_SUPPORTED, INVALID_VALUE, INTERNAL_ERROR, ALLOC_FAILED};
    for (int i = 0; i < 4; i++) {
        struct cuda_emu_algorithm a[] = {{.microseconds = 1, .answer = answers[i]},
                                         {.microseconds = 30},
                                         {.microseconds = 2, .answer = answers[i]},
                                         {.microseconds = 20}};
        expect("those that run", a, 4, &usual, 3);
        assert_int_equal(a[0].runs + a[2].runs, 0);
    }
    struct cuda_emu_algorithm offered[] = {
        {.microseconds = 1, .state = NOT_SUPPORTED},
        {.microseconds = 2, .workspace_bytes = (size_t)64 << 20}, /* more than is given */
        {.microseconds = 5},
        {.microseconds = 4}};
    expect("those offered in earnest", offered, 4, &usual, 3);
    assert_int_equal(offered[0].runs + offered[1].runs, 0);
}

static void none_can_run(void **state)
{
    (void)state;
    struct fixture f;
    const struct det_conv_shape s = small();
    struct cuda_emu_algorithm a[] = {{.answer = NOT_SUPPORTED}, {.answer = INVALID_VALUE}};
    open_device(&f, &(struct det_device_settings){.index = 0});
    cuda_emu_set_algorithms(a, 2);
    open_conv(&f, &s);
    assert_fails(&f.t.env, DET_STATUS_DEVICE,
                 "none of 2 algorithms for a product of 35 x 8 x 16 can be run", tune(&f));
    /* The device's own failure is no answer of an algorithm's. */
    a[0].answer = EXECUTION_FAILED;
    assert_fails(&f.t.env, DET_STATUS_DEVICE, "timing a matrix product: cublasLt: status 13",
                 tune(&f));
    close_conv(&f);
    a[0].state = a[1].state = NOT_SUPPORTED;
    const struct det_cuda_conv_uses uses = {0};
    assert_fails(&f.t.env, DET_STATUS_UNSUPPORTED,
                 "cublasLt has no algorithm for a product of 35 x 8 x 16",
                 det_cuda_conv_create(&f.t.env, f.device, &s, &uses, &f.conv));
    close_device(&f);
}

/* Where it is asked not to, or must not: cublasLt's first, and nobody runs anything. */
static void nothing_is_timed(void **state)
{
    (void)state;
    const struct det_device_settings settings[] = {{.deterministic = true}, {.no_tuning = true}};
    for (int i = 0; i < 2; i++) {
        struct cuda_emu_algorithm a[] = {{.microseconds = 30}, {.microseconds = 10}};
        expect("the first", a, 2, &settings[i], 0);
        assert_int_equal(a[0].runs, 1);
        assert_int_equal(a[1].runs, 0);
        struct tiny tiny;
        struct det_step_result result;
        cuda_emu_set_algorithms(a, 2);
        tiny_open(&tiny, &(struct tiny_settings){.device = settings[i]});
        assert_ok(tiny.env,
                  det_learner_step(tiny.env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &result));
        tiny_close(&tiny);
        assert_int_equal(a[1].runs, 0);
        cuda_emu_set_algorithms(NULL, 0);
    }
}

/* The public setting is the device's. */
static void the_setting_arrives(void **state)
{
    (void)state;
    for (int no_tuning = 0; no_tuning < 2; no_tuning++) {
        det_context_settings settings;
        det_context *context = NULL;
        det_context_settings_default(&settings);
        assert_int_equal(settings.no_tuning, 0);
        settings.device = "cuda";
        settings.threads = 1;
        settings.no_tuning = no_tuning;
        assert_int_equal(det_context_create(&context, &settings), DET_OK);
        assert_int_equal(det_cuda_tunes(det_context_compute(context)->device), !no_tuning);
        det_context_destroy(&context);
    }
}

static long all_runs(const struct cuda_emu_algorithm *a, int count)
{
    long runs = 0;
    for (int i = 0; i < count; i++)
        runs += a[i].runs;
    return runs;
}

/* By this convolution again, by another one of the same device; not when a number differs. */
static void equal_problems_are_timed_once(void **state)
{
    (void)state;
    struct fixture f;
    struct cuda_emu_algorithm a[] = {{.microseconds = 30}, {.microseconds = 10}};
    const struct det_conv_shape s = small(), other = det_conv_same(1, 5, 7, 8, 24, 1, 1);
    open_device(&f, &(struct det_device_settings){.index = 0});
    cuda_emu_set_algorithms(a, 2);
    open_conv(&f, &s);
    assert_ok(&f.t.env, tune(&f));
    assert_int_equal(f.device->choice_count, 3);
    const long runs = all_runs(a, 2);
    assert_ok(&f.t.env, tune(&f));
    close_conv(&f);
    open_conv(&f, &s);
    assert_false(det_cuda_conv_has_candidates(&f.conv));
    assert_ok(&f.t.env, tune(&f));
    assert_int_equal(all_runs(a, 2), runs);
    assert_int_equal(that_runs(&f, a, 2), 1);
    close_conv(&f);
    open_conv(&f, &other);
    assert_true(det_cuda_conv_has_candidates(&f.conv));
    assert_ok(&f.t.env, tune(&f));
    assert_int_equal(f.device->choice_count, 6);
    /* Two alike, planned before either was timed, as in a network. */
    struct det_cuda_conv twin;
    const struct det_conv_shape third = det_conv_same(1, 5, 7, 16, 24, 1, 1);
    const struct det_cuda_conv_uses uses = {0};
    close_conv(&f);
    assert_ok(&f.t.env, det_cuda_conv_create(&f.t.env, f.device, &third, &uses, &twin));
    open_conv(&f, &third);
    assert_ok(&f.t.env, tune(&f));
    const long then = all_runs(a, 2);
    assert_ok(&f.t.env, det_cuda_conv_tune(&f.t.env, &f.tuner, &twin, &f.operands, f.workspace));
    assert_int_equal(all_runs(a, 2), then);
    assert_false(det_cuda_conv_has_candidates(&twin));
    det_cuda_conv_destroy(&twin);
    close_conv(&f);
    close_device(&f);
}

/* No time is left, or no memory for code: the first choice, and the next network times it. */
static void leave(bool time)
{
    struct fixture f;
    struct cuda_emu_algorithm a[] = {{.microseconds = 30}, {.microseconds = 10}};
    const struct det_conv_shape s = small();
    open_device(&f, &(struct det_device_settings){.index = 0});
    cuda_emu_set_algorithms(a, 2);
    open_conv(&f, &s);
    if (time)
        f.tuner.deadline_ns = 0;
    else
        cuda_emu_set_memory((size_t)64 << 20);
    assert_ok(&f.t.env, tune(&f));
    cuda_emu_set_memory(0);
    assert_int_equal(f.tuner.left, 3);
    assert_int_equal(f.device->choice_count, 0);
    assert_int_equal(all_runs(a, 2), 0);
    assert_int_equal(that_runs(&f, a, 2), 0);
    close_conv(&f);
    open_conv(&f, &s);
    assert_ok(&f.t.env, tune(&f));
    assert_int_equal(that_runs(&f, a, 2), 1);
    close_conv(&f);
    close_device(&f);
}

static void time_and_memory_are_bounded(void **state)
{
    (void)state;
    leave(true);
    leave(false);
}

static void expect_way(const struct det_conv_shape *s, double library_us,
                       enum det_cuda_weight_way by_size, enum det_cuda_weight_way by_time)
{
    struct fixture f;
    struct cuda_emu_algorithm a[] = {{.microseconds = library_us},
                                     {.microseconds = library_us + 10}};
    open_device(&f, &(struct det_device_settings){.index = 0});
    cuda_emu_set_algorithms(a, 2);
    open_conv(&f, s);
    assert_int_equal(f.conv.weight_way, by_size);
    assert_ok(&f.t.env, tune(&f));
    assert_int_equal(f.conv.weight_way, by_time);
    const long runs = all_runs(a, 2);
    close_conv(&f);
    /* It is known then. */
    open_conv(&f, s);
    assert_int_equal(f.conv.weight_way, by_time);
    assert_ok(&f.t.env, tune(&f));
    assert_int_equal(all_runs(a, 2), runs);
    assert_ok(&f.t.env, det_cuda_conv_backward_weight(&f.t.env, f.device, &f.conv, f.operands.in,
                                                      f.operands.dout, f.operands.dweight, false,
                                                      f.workspace, "test"));
    assert_int_equal(all_runs(a, 2) - runs, by_time == DET_CUDA_WEIGHT_LIBRARY);
    close_conv(&f);
    close_device(&f);
}

/* Our kernel is two operations, cublasLt's one, or two with the patches' copy. */
static void weight_gradients_go_to_the_faster(void **state)
{
    (void)state;
    const enum det_cuda_weight_way library = DET_CUDA_WEIGHT_LIBRARY;
    const struct det_conv_shape own = det_conv_same(2, 110, 110, 8, 8, 1, 1);
    const struct det_conv_shape near = det_conv_same(2, 80, 60, 8, 8, 1, 1);
    const struct det_conv_shape image = det_conv_same(2, 100, 90, 3, 8, 3, 2);
    const struct det_conv_shape far = small();
    expect_way(&own, 5, DET_CUDA_WEIGHT_ROWS, DET_CUDA_WEIGHT_ROWS);
    expect_way(&own, 0, DET_CUDA_WEIGHT_ROWS, library);
    expect_way(&near, 5, library, DET_CUDA_WEIGHT_ROWS);
    expect_way(&near, 0, library, library);
    expect_way(&image, 5, DET_CUDA_WEIGHT_IMAGE, DET_CUDA_WEIGHT_IMAGE);
    expect_way(&image, 0, DET_CUDA_WEIGHT_IMAGE, DET_CUDA_WEIGHT_IMAGE);
    expect_way(&far, 100, library, library);
}

/* --- whole networks --- */

static struct cuda_emu_algorithm offers[] = {{.microseconds = 12},
                                             {.microseconds = 6, .workspace_bytes = 70000},
                                             {.microseconds = 3, .answer = NOT_SUPPORTED}};

static bool has_line(const char *log, const char *a, const char *b)
{
    const char *line = strstr(log, a);
    return line != NULL && strstr(line, b) != NULL;
}

struct kept_log {
    char text[1 << 16];
};

static void keep_log(void *user, det_log_level level, const char *message)
{
    struct kept_log *log = user;
    const size_t length = strlen(log->text);
    if (level == DET_LOG_DEBUG)
        snprintf(log->text + length, sizeof log->text - length, "%s\n", message);
}

/* A step's products are timed before it is recorded; another step of the device finds the table;
 * all is as on the CPU. */
static void a_step_is_tuned(void **state)
{
    (void)state;
    static struct kept_log log;
    struct tiny tiny;
    struct det_step_result cpu, gpu;
    struct det_step *second = NULL;
    cuda_emu_set_algorithms(offers, 3);
    tiny_open(&tiny, &(struct tiny_settings){.freeze_batchnorm = true});
    assert_true(tiny.device->choice_count > 20);
    assert_true(offers[1].runs > offers[0].runs / 2);
    tiny.env->logger = (det_logger){.user = &log, .write = keep_log};
    long runs = 0;
    for (int i = 0; i < 50 && all_runs(offers, 3) != runs; i++) { /* where two seconds are short */
        runs = all_runs(offers, 3);
        assert_ok(tiny.env, tiny.backend->step_create(tiny.env, tiny.device, tiny.gpu, &second));
        tiny.backend->step_destroy(tiny.env, &second);
    }
    assert_int_equal(all_runs(offers, 3), runs);
    for (int i = 0; i < 3; i++) {
        tiny_steps(&tiny, 0.01f, &cpu, &gpu);
        tiny_compare_results(&cpu, &gpu, 1e-5, 1e-3);
    }
    assert_true(cuda_emu_read_counts().graph_launches > 0);
    /* Another device has a table of its own, and says what it does. */
    struct det_device *device = NULL;
    assert_ok(tiny.env, tiny.backend->device_open(tiny.env, &tiny.device->settings, &device));
    assert_ok(tiny.env, tiny.backend->step_create(tiny.env, device, tiny.gpu, &second));
    assert_true(
        has_line(log.text, "cublasLt: forward, ", "takes algorithm 2 of 3, us: 13.0 7.0 -"));
    assert_true(has_line(log.text, "cublasLt: weights' gradient, ", ", float32: takes"));
    assert_true(has_line(log.text, "products timed, ", "were left for lack of time or memory"));
    tiny.backend->step_destroy(tiny.env, &second);
    tiny.backend->device_close(tiny.env, &device);
    tiny.env->logger = (det_logger){0};
    tiny_close(&tiny);
    cuda_emu_set_algorithms(NULL, 0);
}

/* Each operation, each event and each allocation of the device's refused in turn: no step, nothing
 * left, and then one after all. The device is a new one each time: its table is empty. */
static void refusals_leave_nothing(void **state)
{
    (void)state;
    struct tiny tiny;
    tiny_open(&tiny, &(struct tiny_settings){0});
    cuda_emu_set_algorithms(offers, 3);
    cuda_emu_set_dry(1);
    void (*const fail_at[])(long) = {cuda_emu_fail_operation_at, cuda_emu_fail_at};
    for (int kind = 0; kind < 2; kind++) {
        bool failed = true;
        for (long n = 1; failed; n += kind == 1 || n < 60 ? 1 : 61) {
            struct det_device *device = NULL;
            struct det_step *step = NULL;
            assert_ok(tiny.env,
                      tiny.backend->device_open(tiny.env, &tiny.device->settings, &device));
            const long before = alive();
            fail_at[kind](n);
            const det_status status = tiny.backend->step_create(tiny.env, device, tiny.gpu, &step);
            fail_at[kind](0);
            failed = status != DET_OK;
            if (failed) {
                assert_null(step);
                assert_int_equal(alive(), before);
                assert_int_equal(status, kind == 0 ? DET_STATUS_DEVICE : DET_STATUS_OUT_OF_MEMORY);
            } else {
                assert_true(n > (kind == 0 ? 500 : 4));
            }
            tiny.backend->step_destroy(tiny.env, &step);
            tiny.backend->device_close(tiny.env, &device);
        }
    }
    cuda_emu_set_dry(0);
    cuda_emu_set_algorithms(NULL, 0);
    tiny_close(&tiny);
}

#endif

int test_cuda_tune(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tuned_steps_agree),
#ifdef DET_CUDA_EMU
        cmocka_unit_test(the_fastest_is_taken),
        cmocka_unit_test(noise_does_not_decide),
        cmocka_unit_test(who_cannot_run_is_passed_over),
        cmocka_unit_test(none_can_run),
        cmocka_unit_test(nothing_is_timed),
        cmocka_unit_test(the_setting_arrives),
        cmocka_unit_test(equal_problems_are_timed_once),
        cmocka_unit_test(time_and_memory_are_bounded),
        cmocka_unit_test(weight_gradients_go_to_the_faster),
        cmocka_unit_test(a_step_is_tuned),
        cmocka_unit_test(refusals_leave_nothing),
#endif
    };
    return cmocka_run_group_tests_name("cuda_tune", tests, NULL, NULL);
}
