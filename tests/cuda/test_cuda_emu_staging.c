/* The emulation itself: a pipeline of uploads and kernels on two streams, as the backend stages
 * batches, and the mistakes that it finds in it. */
#ifdef DET_CUDA_EMU

#include "cuda/planted/planted.h"
#include "cuda/support/device.h"
#include "cuda_emu_counts.h"

enum { COUNT = 256, BYTES = COUNT * sizeof(float) };

enum mistake {
    NONE,
    NO_WAIT,        /* the kernel does not wait for its upload */
    ONE_INPUT,      /* the next upload goes where a kernel is reading */
    STAGING_FILLED, /* the host fills pinned memory that is still being copied */
    STAGING_FREED,  /* or frees it after it has changed it */
};

struct pipeline {
    cudaStream_t copies, compute;
    cudaEvent_t uploaded[2];
    float *pinned[2], *input[2], *out;
};

static void fill(float *values, float value)
{
    for (int i = 0; i < COUNT; i++)
        values[i] = value;
}

static cudaError_t stage(struct pipeline *p, int pinned, int input, float value)
{
    fill(p->pinned[pinned], value);
    cudaError_t error = cudaMemcpyAsync(p->input[input], p->pinned[pinned], BYTES,
                                        cudaMemcpyHostToDevice, p->copies);
    if (error == cudaSuccess)
        error = cudaEventRecord(p->uploaded[input], p->copies);
    return error;
}

static cudaError_t begin(struct pipeline *p, int input, bool waits)
{
    cudaError_t error =
        waits ? cudaStreamWaitEvent(p->compute, p->uploaded[input], 0) : cudaSuccess;
    if (error == cudaSuccess)
        error = planted_block_sums(p->out, p->input[input], COUNT, PLANTED_NONE, p->compute);
    return error;
}

/* Three batches, one staged while the one before is computed on. */
static cudaError_t run(struct pipeline *p, enum mistake mistake)
{
    cudaError_t error = stage(p, 0, 0, 1);
    for (int i = 0; error == cudaSuccess && i < 3; i++) {
        const int input = mistake == ONE_INPUT ? 0 : i % 2;
        const int next = mistake == ONE_INPUT ? 0 : (i + 1) % 2;
        error = begin(p, input, mistake != NO_WAIT);
        if (error == cudaSuccess && i < 2)
            error = stage(p, mistake == STAGING_FILLED ? i % 2 : (i + 1) % 2, next, (float)(i + 2));
        if (error == cudaSuccess)
            error = cudaStreamSynchronize(p->compute);
    }
    if (error == cudaSuccess && mistake == STAGING_FREED) {
        error = stage(p, 0, 0, 1);
        fill(p->pinned[0], 2);
    }
    return error;
}

static void mistakes(void **state)
{
    (void)state;
    static const struct {
        enum mistake mistake;
        const char *report;
    } cases[] = {{NONE, ""},
                 {NO_WAIT, "stream order: reads"},
                 {ONE_INPUT, "stream order: writes"},
                 {STAGING_FILLED, "the host changed"},
                 {STAGING_FREED, "the host changed"}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct pipeline p;
        const struct cuda_emu_counts before = cuda_emu_read_counts();
        cuda_emu_capture_reports(1);
        cuda_emu_take_reports();
        assert_cuda(cudaStreamCreateWithFlags(&p.copies, cudaStreamNonBlocking));
        assert_cuda(cudaStreamCreateWithFlags(&p.compute, cudaStreamNonBlocking));
        for (int i = 0; i < 2; i++) {
            assert_cuda(cudaEventCreateWithFlags(&p.uploaded[i], cudaEventDisableTiming));
            assert_cuda(cudaMallocHost((void **)&p.pinned[i], BYTES));
            p.input[i] = test_device_alloc(BYTES);
        }
        p.out = test_device_alloc(BYTES);
        assert_cuda(cudaDeviceSynchronize());
        const cudaError_t error = run(&p, cases[c].mistake);
        for (int i = 0; i < 2; i++)
            (void)cudaFreeHost(p.pinned[i]);
        const char *reports = cuda_emu_take_reports();
        if (cases[c].mistake == NONE) {
            float sums[4];
            assert_int_equal(error, cudaSuccess);
            assert_string_equal(reports, "");
            test_device_read(sums, p.out, sizeof sums);
            assert_near(sums[0], 3 * 64, 0);
        } else if (strstr(reports, cases[c].report) == NULL) {
            fail_msg("mistake %d: reports \"%s\" lack \"%s\"", (int)cases[c].mistake, reports,
                     cases[c].report);
        }
        (void)cudaGetLastError();
        for (int i = 0; i < 2; i++) {
            assert_cuda(cudaEventDestroy(p.uploaded[i]));
            test_device_free(p.input[i]);
        }
        test_device_free(p.out);
        assert_cuda(cudaStreamDestroy(p.copies));
        assert_cuda(cudaStreamDestroy(p.compute));
        cuda_emu_capture_reports(0);
        const struct cuda_emu_counts after = cuda_emu_read_counts();
        assert_int_equal(after.live_pinned_blocks, before.live_pinned_blocks);
        assert_int_equal(after.live_device_blocks, before.live_device_blocks);
    }
}

int test_cuda_emu_staging(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mistakes)};
    return cmocka_run_group_tests_name("cuda_emu_staging", tests, NULL, NULL);
}

#else

int test_cuda_emu_staging(void);

/* On a GPU there is no emulation to test. */
int test_cuda_emu_staging(void)
{
    return 0;
}

#endif
