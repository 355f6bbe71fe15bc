/* The emulation itself: what it runs is right under every schedule, and what is wrong it finds. */
#ifdef DET_CUDA_EMU

#include "cublasLt.h"
#include "cuda/planted/planted.h"
#include "cuda/support/device.h"
#include "cuda_emu_counts.h"

enum { COUNT = 200, PADDED = 256, WARP_BLOCKS = 2, WARP_THREADS = 96 * WARP_BLOCKS };

static const char *const schedules[] = {"forward", "backward", "random:1", "random:2"};

/* The device is as it was: no error pending, nothing leaked. */
struct fixture {
    struct cuda_emu_counts before;
};

static void begin(struct fixture *f)
{
    f->before = cuda_emu_read_counts();
    cuda_emu_capture_reports(1);
    cuda_emu_take_reports();
}

static void end(struct fixture *f)
{
    const struct cuda_emu_counts after = cuda_emu_read_counts();
    cuda_emu_capture_reports(0);
    cudaGetLastError();
    assert_int_equal(after.live_device_blocks, f->before.live_device_blocks);
    assert_int_equal(after.live_pinned_blocks, f->before.live_pinned_blocks);
    assert_int_equal(after.live_streams, f->before.live_streams);
    assert_int_equal(after.live_events, f->before.live_events);
    assert_int_equal(after.live_graphs, f->before.live_graphs);
    assert_int_equal(after.live_execs, f->before.live_execs);
    assert_int_equal(after.live_handles, f->before.live_handles);
    const char *schedule = getenv("DET_EMU_SCHEDULE");
    cuda_emu_set_schedule(schedule);
}

/* The status is `wanted`, and a report holds `text`, or one of two with a | between (the second is
 * what nvcc's PTX may show first); NULL: there is no report. */
static bool holds(const char *reports, const char *text)
{
    char first[128];
    const char *bar = strchr(text, '|');
    if (bar == NULL)
        return strstr(reports, text) != NULL;
    snprintf(first, sizeof first, "%.*s", (int)(bar - text), text);
    return strstr(reports, first) != NULL || strstr(reports, bar + 1) != NULL;
}

static void expect_report(cudaError_t got, cudaError_t wanted, const char *text)
{
    const char *reports = cuda_emu_take_reports();
    if (got != wanted)
        fail_msg("got %s, expected %s; reports: %s", cudaGetErrorName(got),
                 cudaGetErrorName(wanted), reports);
    if (text == NULL && reports[0] != '\0')
        fail_msg("unexpected report: %s", reports);
    if (text != NULL && !holds(reports, text))
        fail_msg("reports \"%s\" lack \"%s\"", reports, text);
    cudaGetLastError();
}

static cudaError_t run_block_sums(enum planted_bug bug)
{
    float in[COUNT], out[4] = {0}, wanted[4] = {0};
    for (int i = 0; i < COUNT; i++) {
        in[i] = (float)(i % 7);
        wanted[i / 64] += in[i];
    }
    float *device_in = test_device_copy(in, sizeof in);
    float *device_out = test_device_alloc(sizeof out);
    const cudaError_t error = planted_block_sums(device_out, device_in, COUNT, bug, NULL);
    if (error == cudaSuccess) {
        test_device_read(out, device_out, sizeof out);
        for (int i = 0; i < 4; i++)
            assert_near(out[i], wanted[i], 0);
    }
    cudaFree(device_in);
    cudaFree(device_out);
    return error;
}

static cudaError_t run_reverse(enum planted_bug bug)
{
    float in[COUNT], out[COUNT];
    for (int i = 0; i < COUNT; i++)
        in[i] = (float)i;
    float *device_in = test_device_copy(in, sizeof in);
    float *device_out = test_device_alloc(sizeof out);
    const cudaError_t error = planted_reverse(device_out, device_in, COUNT, bug, NULL);
    if (error == cudaSuccess) {
        test_device_read(out, device_out, sizeof out);
        for (int i = 0; i < COUNT; i++) {
            const int base = i / 64 * 64, size = COUNT - base < 64 ? COUNT - base : 64;
            assert_near(out[i], in[base + size - 1 - (i - base)], 0);
        }
    }
    cudaFree(device_in);
    cudaFree(device_out);
    return error;
}

static cudaError_t run_warp_sums(enum planted_bug bug)
{
    int in[WARP_THREADS], out[WARP_THREADS], wanted[WARP_BLOCKS] = {0};
    unsigned ok = 0;
    for (int i = 0; i < WARP_THREADS; i++) {
        in[i] = i * i % 31;
        wanted[i / 96] += in[i];
    }
    int *device_in = test_device_copy(in, sizeof in);
    int *device_out = test_device_alloc(sizeof out);
    unsigned *device_ok = test_device_copy(&ok, sizeof ok);
    const cudaError_t error =
        planted_warp_sums(device_out, device_ok, device_in, WARP_BLOCKS, bug, NULL);
    if (error == cudaSuccess) {
        test_device_read(&ok, device_ok, sizeof ok);
        test_device_read(out, device_out, sizeof out);
        assert_int_equal(ok, WARP_THREADS);
        for (int i = 0; i < WARP_THREADS; i++)
            assert_int_equal(out[i], wanted[i / 96]);
    }
    cudaFree(device_in);
    cudaFree(device_out);
    cudaFree(device_ok);
    return error;
}

static void correct_kernels_pass(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (size_t s = 0; s < sizeof schedules / sizeof schedules[0]; s++) {
        cuda_emu_set_schedule(schedules[s]);
        expect_report(run_block_sums(PLANTED_NONE), cudaSuccess, NULL);
        expect_report(run_reverse(PLANTED_NONE), cudaSuccess, NULL);
        expect_report(run_warp_sums(PLANTED_NONE), cudaSuccess, NULL);
    }
    end(&f);
}

static void planted_bugs_are_found(void **state)
{
    (void)state;
    struct fixture f;
    static const struct {
        cudaError_t (*run)(enum planted_bug bug);
        enum planted_bug bug;
        const char *report;
    } plants[] = {
        {run_block_sums, PLANTED_NO_BARRIER, "race|where no thread of the block has written"},
        {run_block_sums, PLANTED_NO_SECOND_BARRIER, "race"},
        {run_block_sums, PLANTED_SHARED_INDEX,
         "index 64 of shared sums, which has 64|byte 256 of shared sums, which has 256"},
        {run_block_sums, PLANTED_UNINITIALISED, "reads sums where no thread of the block has"},
        {run_block_sums, PLANTED_DIVERGED_BARRIER, "barrier divergence|race"},
        {run_block_sums, PLANTED_EARLY_EXIT, "barrier divergence"},
        {run_reverse, PLANTED_NO_TAIL_GUARD,
         "block of 800 bytes was overwritten|is outside device memory"},
        {run_reverse, PLANTED_MISALIGNED, "misaligned"},
        {run_warp_sums, PLANTED_SHUFFLE_MASK, "warp divergence"},
        {run_warp_sums, PLANTED_NO_WARP_BARRIER, "race|where no thread of the block has written"},
    };
    begin(&f);
    for (size_t s = 0; s < sizeof schedules / sizeof schedules[0]; s++) {
        cuda_emu_set_schedule(schedules[s]);
        for (size_t i = 0; i < sizeof plants / sizeof plants[0]; i++)
            expect_report(plants[i].run(plants[i].bug), cudaErrorLaunchFailure, plants[i].report);
        /* A launch that was given up leaves the engine fit for the next. */
        expect_report(run_block_sums(PLANTED_NONE), cudaSuccess, NULL);
    }
    end(&f);
}

static void schedules_differ(void **state)
{
    (void)state;
    struct fixture f;
    int turns[4][64], zero = 0;
    begin(&f);
    for (int s = 0; s < 4; s++) {
        cuda_emu_set_schedule(schedules[s]);
        int *out = test_device_alloc(sizeof turns[s]), *turn = test_device_copy(&zero, sizeof zero);
        expect_report(planted_order(out, turn, NULL), cudaSuccess, NULL);
        test_device_read(turns[s], out, sizeof turns[s]);
        test_device_free(out);
        test_device_free(turn);
    }
    for (int t = 0; t < 64; t++) {
        assert_int_equal(turns[0][t], t);
        assert_int_equal(turns[1][t], 63 - t);
    }
    assert_memory_not_equal(turns[2], turns[0], sizeof turns[0]);
    assert_memory_not_equal(turns[2], turns[3], sizeof turns[0]);
    end(&f);
}

/* A kernel's result used by a copy on another stream, with and without an event between. */
static void wrong_stream_order_is_found(void **state)
{
    (void)state;
    struct fixture f;
    cudaStream_t compute, copy;
    cudaEvent_t done;
    float *host;
    begin(&f);
    assert_cuda(cudaStreamCreateWithFlags(&compute, cudaStreamNonBlocking));
    assert_cuda(cudaStreamCreateWithFlags(&copy, cudaStreamNonBlocking));
    assert_cuda(cudaEventCreateWithFlags(&done, cudaEventDisableTiming));
    assert_cuda(cudaMallocHost((void **)&host, 4 * sizeof *host));
    float values[256];
    test_fill(values, 256, 1);
    float *in = test_device_copy(values, sizeof values);
    float *out = test_device_alloc(4 * sizeof *out);
    assert_cuda(cudaDeviceSynchronize());
    for (int right = 0; right < 2; right++) {
        assert_cuda(planted_block_sums(out, in, 256, PLANTED_NONE, compute));
        assert_cuda(cudaEventRecord(done, compute));
        if (right)
            assert_cuda(cudaStreamWaitEvent(copy, done, 0));
        const cudaError_t error =
            cudaMemcpyAsync(host, out, 4 * sizeof *host, cudaMemcpyDeviceToHost, copy);
        expect_report(error, right ? cudaSuccess : cudaErrorLaunchFailure,
                      right ? NULL : "stream order");
        /* The next kernel may not overwrite what the copy reads. */
        if (right)
            expect_report(planted_block_sums(out, in, 256, PLANTED_NONE, compute),
                          cudaErrorLaunchFailure, "stream order");
        cudaGetLastError();
        assert_cuda(cudaDeviceSynchronize());
    }
    float sum = 0;
    for (int i = 0; i < 64; i++)
        sum += values[i];
    assert_near(host[0], sum, 1e-4);
    test_device_free(in);
    test_device_free(out);
    assert_cuda(cudaFreeHost(host));
    assert_cuda(cudaEventDestroy(done));
    assert_cuda(cudaStreamDestroy(compute));
    assert_cuda(cudaStreamDestroy(copy));
    end(&f);
}

/* What a copy brings is there after a wait, not before. */
static void copies_to_the_host_need_a_wait(void **state)
{
    (void)state;
    struct fixture f;
    cudaStream_t stream;
    int *host;
    const int value = 42;
    begin(&f);
    assert_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    assert_cuda(cudaMallocHost((void **)&host, sizeof *host));
    int *device = test_device_copy(&value, sizeof value);
    *host = 42;
    assert_cuda(cudaMemcpyAsync(host, device, sizeof *host, cudaMemcpyDeviceToHost, stream));
    assert_int_not_equal(*host, 42);
    assert_cuda(cudaStreamSynchronize(stream));
    assert_int_equal(*host, 42);
    test_device_free(device);
    assert_cuda(cudaFreeHost(host));
    assert_cuda(cudaStreamDestroy(stream));
    end(&f);
}

/* Records a copy in, sums, and a copy out over two streams; `joined`: the second is waited for. */
static cudaError_t capture(cudaStream_t first, cudaStream_t second, cudaEvent_t fork,
                           cudaEvent_t join, float *host, float *in, float *out, bool joined,
                           cudaGraph_t *graph)
{
    assert_cuda(cudaStreamBeginCapture(first, cudaStreamCaptureModeThreadLocal));
    assert_cuda(cudaMemcpyAsync(in, host, 256 * sizeof *in, cudaMemcpyHostToDevice, first));
    assert_cuda(cudaEventRecord(fork, first));
    assert_cuda(cudaStreamWaitEvent(second, fork, 0));
    assert_cuda(planted_block_sums(out, in, 256, PLANTED_NONE, second));
    assert_cuda(cudaEventRecord(join, second));
    if (joined)
        assert_cuda(cudaStreamWaitEvent(first, join, 0));
    if (joined)
        assert_cuda(
            cudaMemcpyAsync(host + 256, out, 4 * sizeof *out, cudaMemcpyDeviceToHost, first));
    return cudaStreamEndCapture(first, graph);
}

static void graphs_replay(void **state)
{
    (void)state;
    struct fixture f;
    cudaStream_t streams[2];
    cudaEvent_t events[2];
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    float *host;
    begin(&f);
    for (int i = 0; i < 2; i++) {
        assert_cuda(cudaStreamCreateWithFlags(&streams[i], cudaStreamNonBlocking));
        assert_cuda(cudaEventCreateWithFlags(&events[i], cudaEventDisableTiming));
    }
    assert_cuda(cudaMallocHost((void **)&host, 260 * sizeof *host));
    float *in = test_device_alloc(256 * sizeof *in), *out = test_device_alloc(4 * sizeof *out);
    assert_cuda(cudaDeviceSynchronize());
    expect_report(
        capture(streams[0], streams[1], events[0], events[1], host, in, out, false, &graph),
        cudaErrorStreamCaptureUnjoined, NULL);
    assert_null(graph);
    expect_report(
        capture(streams[0], streams[1], events[0], events[1], host, in, out, true, &graph),
        cudaSuccess, NULL);
    size_t nodes = 0;
    assert_cuda(cudaGraphGetNodes(graph, NULL, &nodes));
    assert_int_equal(nodes, 3);
    assert_cuda(cudaGraphInstantiate(&exec, graph, 0));
    assert_cuda(cudaGraphDestroy(graph));
    for (int run = 0; run < 3; run++) {
        for (int i = 0; i < 256; i++)
            host[i] = (float)run;
        assert_cuda(cudaGraphLaunch(exec, streams[0]));
        assert_cuda(cudaStreamSynchronize(streams[0]));
        assert_near(host[256], 64 * run, 0);
    }
    /* No waits and no allocations while recording. */
    assert_cuda(cudaStreamBeginCapture(streams[0], cudaStreamCaptureModeThreadLocal));
    expect_report(cudaStreamSynchronize(streams[0]), cudaErrorStreamCaptureUnsupported,
                  "while a stream is capturing");
    expect_report(cudaStreamEndCapture(streams[0], &graph), cudaErrorStreamCaptureInvalidated,
                  NULL);
    test_device_free(in);
    test_device_free(out);
    assert_cuda(cudaGraphExecDestroy(exec));
    assert_cuda(cudaFreeHost(host));
    for (int i = 0; i < 2; i++) {
        assert_cuda(cudaEventDestroy(events[i]));
        assert_cuda(cudaStreamDestroy(streams[i]));
    }
    end(&f);
}

static void bad_calls_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    float values[4] = {0};
    begin(&f);
    float *device = test_device_copy(values, sizeof values);
    void *none = NULL;
    expect_report(planted_block_sums(device, values, 4, PLANTED_NONE, NULL), cudaErrorLaunchFailure,
                  "is no device memory");
    expect_report(planted_block_sums(device, device, 0, PLANTED_NONE, NULL),
                  cudaErrorInvalidConfiguration, "grid (0,1,1)");
    expect_report(cudaMemcpy(device, values, sizeof values, cudaMemcpyDeviceToHost),
                  cudaErrorInvalidValue, "are not host memory");
    expect_report(cudaMemcpy(device, values, 5 * sizeof *values, cudaMemcpyHostToDevice),
                  cudaErrorInvalidValue, "are not device memory of that size");
    expect_report(cudaFree(device + 1), cudaErrorInvalidValue, "no such block");
    cuda_emu_set_memory(1000);
    expect_report(cudaMalloc(&none, 2000), cudaErrorMemoryAllocation, NULL);
    cuda_emu_set_memory(0);
    cuda_emu_fail_at(1);
    expect_report(cudaMalloc(&none, 16), cudaErrorMemoryAllocation, NULL);
    cuda_emu_set_machine(0, CUDART_VERSION);
    int count = -1;
    expect_report(cudaGetDeviceCount(&count), cudaErrorNoDevice, NULL);
    cuda_emu_set_machine(1, 11000);
    expect_report(cudaSetDevice(0), cudaErrorInsufficientDriver, NULL);
    cuda_emu_set_machine(1, CUDART_VERSION);
    expect_report(cudaSetDevice(1), cudaErrorInvalidDevice, NULL);
    test_device_free(device);
    end(&f);
}

/* Column-major [M, N] = [M, K] x [K, N] + bias[M], in float. */
enum { M = 5, N = 3, K = 4 };

struct product {
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulHeuristicResult_t plan;
};

static void open_product(struct product *p, const void *bias)
{
    const uint64_t workspace = 1 << 20;
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    cublasLtMatmulPreference_t preference;
    int found = 0;
    assert_int_equal(cublasLtCreate(&p->handle), 0);
    assert_int_equal(cublasLtMatmulDescCreate(&p->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F), 0);
    assert_int_equal(cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_EPILOGUE,
                                                    &epilogue, sizeof epilogue),
                     0);
    assert_int_equal(cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                    &bias, sizeof bias),
                     0);
    assert_int_equal(cublasLtMatrixLayoutCreate(&p->a, CUDA_R_32F, M, K, M), 0);
    assert_int_equal(cublasLtMatrixLayoutCreate(&p->b, CUDA_R_32F, K, N, K), 0);
    assert_int_equal(cublasLtMatrixLayoutCreate(&p->d, CUDA_R_32F, M, N, M), 0);
    assert_int_equal(cublasLtMatmulPreferenceCreate(&preference), 0);
    assert_int_equal(cublasLtMatmulPreferenceSetAttribute(preference,
                                                          CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                          &workspace, sizeof workspace),
                     0);
    assert_int_equal(cublasLtMatmulAlgoGetHeuristic(p->handle, p->operation, p->a, p->b, p->d, p->d,
                                                    preference, 1, &p->plan, &found),
                     0);
    assert_int_equal(found, 1);
    assert_int_equal(cublasLtMatmulPreferenceDestroy(preference), 0);
}

static void close_product(struct product *p)
{
    assert_int_equal(cublasLtMatrixLayoutDestroy(p->a), 0);
    assert_int_equal(cublasLtMatrixLayoutDestroy(p->b), 0);
    assert_int_equal(cublasLtMatrixLayoutDestroy(p->d), 0);
    assert_int_equal(cublasLtMatmulDescDestroy(p->operation), 0);
    assert_int_equal(cublasLtDestroy(p->handle), 0);
}

static int run_product(const struct product *p, cublasLtMatrixLayout_t d_layout, const float *a,
                       const float *b, float *d, void *workspace, size_t bytes)
{
    const float one = 1, zero = 0;
    return (int)cublasLtMatmul(p->handle, p->operation, &one, a, p->a, b, p->b, &zero, d, d_layout,
                               d, d_layout, &p->plan.algo, workspace, bytes, NULL);
}

static void products_check_their_arguments(void **state)
{
    (void)state;
    struct fixture f;
    struct product p;
    float a[M * K], b[K * N], bias[M], d[M * N];
    begin(&f);
    test_fill(a, M * K, 1);
    test_fill(b, K * N, 2);
    test_fill(bias, M, 3);
    float *device_a = test_device_copy(a, sizeof a), *device_b = test_device_copy(b, sizeof b);
    float *device_bias = test_device_copy(bias, sizeof bias),
          *device_d = test_device_alloc(sizeof d);
    open_product(&p, device_bias);
    void *workspace = test_device_alloc(p.plan.workspaceSize);
    const size_t bytes = p.plan.workspaceSize;
    assert_int_equal(run_product(&p, p.d, device_a, device_b, device_d, workspace, bytes), 0);
    test_device_read(d, device_d, sizeof d);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            double sum = (double)bias[i];
            for (int k = 0; k < K; k++)
                sum += (double)a[k * M + i] * (double)b[j * K + k];
            assert_near(d[j * M + i], sum, 1e-6);
        }
    assert_string_equal(cuda_emu_take_reports(), "");
    cublasLtMatrixLayout_t narrow;
    assert_int_equal(cublasLtMatrixLayoutCreate(&narrow, CUDA_R_32F, M, N, M - 1), 0);
    const int invalid = CUBLAS_STATUS_INVALID_VALUE;
    assert_int_equal(run_product(&p, narrow, device_a, device_b, device_d, workspace, bytes),
                     invalid);
    expect_report(cudaSuccess, cudaSuccess, "leading dimension");
    assert_int_equal(run_product(&p, p.d, device_a, device_b, device_d, workspace, bytes - 1),
                     invalid);
    expect_report(cudaSuccess, cudaSuccess, "workspace");
    assert_int_equal(run_product(&p, p.d, device_a + 1, device_b, device_d, workspace, bytes),
                     invalid);
    expect_report(cudaSuccess, cudaSuccess, "aligned worse");
    assert_int_equal(run_product(&p, p.d, a, device_b, device_d, workspace, bytes), invalid);
    expect_report(cudaSuccess, cudaSuccess, "device memory|aligned worse");
    assert_int_equal(cublasLtMatrixLayoutDestroy(narrow), 0);
    close_product(&p);
    test_device_free(workspace);
    test_device_free(device_a);
    test_device_free(device_b);
    test_device_free(device_bias);
    test_device_free(device_d);
    end(&f);
}

int test_cuda_emu(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(correct_kernels_pass),
        cmocka_unit_test(planted_bugs_are_found),
        cmocka_unit_test(schedules_differ),
        cmocka_unit_test(wrong_stream_order_is_found),
        cmocka_unit_test(copies_to_the_host_need_a_wait),
        cmocka_unit_test(graphs_replay),
        cmocka_unit_test(bad_calls_are_refused),
        cmocka_unit_test(products_check_their_arguments),
    };
    return cmocka_run_group_tests_name("cuda_emu", tests, NULL, NULL);
}

#else

int test_cuda_emu(void);

/* On a GPU there is no emulation to test. */
int test_cuda_emu(void)
{
    return 0;
}

#endif
