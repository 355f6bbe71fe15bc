/* The translation of PTX itself: instructions give what PTX's manual says, and mistakes are found.
 * What nvcc makes of tests/cuda/planted/ is looked at by the group cuda_emu. */
#include "cuda/support/device.h"
#include "cuda_emu_counts.h"
#include "cuda_ptx/handwritten.h"

static const struct {
    const char *text;
    uint64_t in[4], out, fused;
    bool approximate;
} cases[] = {
#include "instructions.inc"
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* What the environment sets for the translation (tests/cuda_ptx/ptx.h). */
static uint32_t setting(const char *name)
{
    const char *text = getenv(name);
    return text != NULL ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

/* Any NaN is as good as another. */
static bool same_bits(uint64_t got, uint64_t wanted)
{
    const uint64_t nan = 0x7F800000;
    return got == wanted ||
           (wanted == 0x7FC00000 && got >> 32 == 0 && (got & nan) == nan && (got & 0x7FFFFF) != 0);
}

static void instructions_give_known_results(void **state)
{
    (void)state;
    uint64_t in[CASES][4], out[CASES];
    const uint32_t ulps = setting("DET_PTX_ULPS");
    const bool contracting = setting("DET_PTX_CONTRACT") != 0;
    int disturbed = 0;
    memset(out, 0, sizeof out);
    for (size_t i = 0; i < CASES; i++)
        memcpy(in[i], cases[i].in, sizeof in[i]);
    uint64_t(*device_in)[4] = test_device_copy(in, sizeof in);
    uint64_t *device_out = test_device_copy(out, sizeof out);
    assert_cuda(handwritten_instructions((const uint64_t(*)[4])device_in, device_out));
    test_device_read(out, device_out, sizeof out);
    for (size_t i = 0; i < CASES; i++) {
        const uint64_t wanted = contracting ? cases[i].fused : cases[i].out;
        if (same_bits(out[i], wanted))
            continue;
        const uint64_t steps = out[i] > wanted ? out[i] - wanted : wanted - out[i];
        if (!cases[i].approximate || steps > ulps)
            fail_msg("%s: got %#llx, expected %#llx", cases[i].text, (unsigned long long)out[i],
                     (unsigned long long)wanted);
        disturbed++;
    }
    assert_true((disturbed > 0) == (ulps > 0));
    test_device_free(device_in);
    test_device_free(device_out);
}

static void shuffles_keep_to_segments(void **state)
{
    (void)state;
    uint32_t out[4][32];
    uint32_t(*device_out)[32] = test_device_alloc(sizeof out);
    assert_cuda(handwritten_shuffles(device_out));
    test_device_read(out, device_out, sizeof out);
    for (int lane = 0; lane < 32; lane++) {
        const int wanted[4][2] = {
            {lane / 8 * 8 + 5, 8}, {lane - 3, 16}, {lane + 3, 8}, {lane ^ 4, 4}};
        for (int kind = 0; kind < 4; kind++) {
            const int from = wanted[kind][0], width = wanted[kind][1], begin = lane / width * width;
            const bool inside = (from >= begin || kind == 3) && from < begin + width;
            assert_int_equal(out[kind][lane], inside ? from + 1 + 1000 : lane + 1);
        }
    }
    test_device_free(device_out);
}

static cudaError_t run_spaces(enum handwritten_bug bug, int threads)
{
    uint32_t in[HANDWRITTEN_THREADS], out[HANDWRITTEN_THREADS];
    for (uint32_t i = 0; i < HANDWRITTEN_THREADS; i++)
        in[i] = (i * 7) << 16 | (i + 1);
    uint32_t *device_in = test_device_copy(in, sizeof in);
    uint32_t *device_out = test_device_alloc(sizeof out);
    const cudaError_t error = handwritten_spaces(device_in, device_out, bug, threads);
    if (error == cudaSuccess) {
        test_device_read(out, device_out, sizeof out);
        for (int i = 0; i < HANDWRITTEN_THREADS; i++) {
            const uint32_t other = in[HANDWRITTEN_THREADS - 1 - i];
            assert_int_equal(out[i], (other << 16 | other >> 16) + 1000);
        }
    }
    test_device_free(device_in);
    test_device_free(device_out);
    return error;
}

static void mistakes_are_found(void **state)
{
    (void)state;
    static const struct {
        enum handwritten_bug bug;
        int threads;
        cudaError_t error;
        const char *report;
    } plants[] = {
        {HANDWRITTEN_NONE, HANDWRITTEN_THREADS, cudaSuccess, ""},
        {HANDWRITTEN_PLAIN_READ, HANDWRITTEN_THREADS, cudaErrorLaunchFailure,
         ":40: block (0,0,0) thread (63,0,0): access of 4 bytes at"},
        {HANDWRITTEN_SHARED_MISALIGNED, HANDWRITTEN_THREADS, cudaErrorLaunchFailure,
         "of shared pairs is misaligned"},
        {HANDWRITTEN_SHARED_INDEX, HANDWRITTEN_THREADS, cudaErrorLaunchFailure,
         "access of 8 bytes at byte 512 of shared pairs, which has 512"},
        {HANDWRITTEN_NO_BARRIER, HANDWRITTEN_THREADS, cudaErrorLaunchFailure, "pairs"},
        {HANDWRITTEN_MISALIGNED, HANDWRITTEN_THREADS, cudaErrorLaunchFailure, "is misaligned"},
        {HANDWRITTEN_DYNAMIC_INDEX, HANDWRITTEN_THREADS, cudaErrorLaunchFailure,
         "access of 4 bytes at byte 4 of shared dynamic, which has 4"},
        {HANDWRITTEN_NONE, HANDWRITTEN_THREADS * 2, cudaErrorInvalidValue,
         "spaces: 128 threads a block, its launch bounds allow 64"},
    };
    static const char *const schedules[] = {"forward", "backward", "random:1", "random:2"};
    cuda_emu_capture_reports(1);
    for (size_t s = 0; s < sizeof schedules / sizeof schedules[0]; s++) {
        cuda_emu_set_schedule(schedules[s]);
        for (size_t i = 0; i < sizeof plants / sizeof plants[0]; i++) {
            const cudaError_t error = run_spaces(plants[i].bug, plants[i].threads);
            const char *reports = cuda_emu_take_reports();
            if (error != plants[i].error || strstr(reports, plants[i].report) == NULL ||
                (plants[i].report[0] == '\0' && reports[0] != '\0'))
                fail_msg("mistake %d: got %s and \"%s\", expected %s and \"%s\"", plants[i].bug,
                         cudaGetErrorName(error), reports, cudaGetErrorName(plants[i].error),
                         plants[i].report);
            cudaGetLastError();
        }
    }
    cuda_emu_capture_reports(0);
    cuda_emu_set_schedule(getenv("DET_EMU_SCHEDULE"));
}

static void ptx_is_what_runs(void **state)
{
    (void)state;
    const char *arch = getenv("DET_PTX_ARCH");
    assert_true(cuda_emu_ptx_arch() > 0);
    if (arch != NULL)
        assert_int_equal(cuda_emu_ptx_arch(), strtol(arch, NULL, 10));
}

int test_cuda_ptx(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ptx_is_what_runs),
        cmocka_unit_test(instructions_give_known_results),
        cmocka_unit_test(shuffles_keep_to_segments),
        cmocka_unit_test(mistakes_are_found),
    };
    return cmocka_run_group_tests_name("cuda_ptx", tests, NULL, NULL);
}
