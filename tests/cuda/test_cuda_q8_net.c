/* Networks in 8 bits by the CUDA backend against devices/cpu/q8_net.h, and against the CPU's
 * runner: equal numbers where all is in 8 bits. */
#include <limits.h>
#include <math.h>

#include "cuda/support/device.h"
#include "data/image_view.h"
#include "devices/backend.h"
#include "devices/cpu/q8_net.h"
#include "devices/cuda/cuda_runner.h"
#include "model/postprocess.h"
#include "support/cpu_device.h"
#include "support/mem.h"
#include "support/networks.h"

#ifdef DET_CUDA_EMU
#include "cuda_emu_counts.h"
#include "devices/cuda/cuda_fit.h"
#endif

struct fixture {
    struct test_env t;
    struct det_env *env;
    const struct det_backend *backend;
    struct det_device *device;
    struct det_runner *runner;
    struct det_model_spec spec;
    struct det_graph graph;
    struct det_quantised *quantised;
    float *params, *pixels, (*anchors)[4], (*windows)[4];
    struct det_postprocess_settings nms;
    struct det_runner_settings settings;
    size_t images, encodings, logits; /* values */
};

/* All but the runner. */
static void open_network(struct fixture *f, const struct network *n, enum network_floats floats,
                         const struct det_device_settings *device, bool evaluate)
{
    struct det_graph training;
    *f = (struct fixture){.backend = det_backend_cuda()};
    test_env_init(&f->t);
    f->env = &f->t.env;
    network_make(f->env, n, &training, &f->graph, &f->params, &f->pixels);
    det_graph_free(f->env, &training);
    network_quantise(f->env, &f->graph, floats, f->params, &f->quantised);
    det_model_spec_default(&f->spec, 64, n->classes);
    f->spec.input_height = n->height;
    f->spec.input_width = n->width;
    det_postprocess_settings_default(&f->nms);
    const size_t anchors = (size_t)f->graph.anchor_count, batch = (size_t)n->batch;
    assert_ok(f->env, det_alloc(f->env, &f->anchors, anchors, sizeof *f->anchors, "anchors"));
    assert_ok(f->env, det_alloc(f->env, &f->windows, batch, sizeof *f->windows, "windows"));
    for (size_t a = 0; a < anchors; a++)
        for (int i = 0; i < 4; i++)
            f->anchors[a][i] = .5F;
    for (size_t i = 0; i < batch; i++)
        f->windows[i][2] = f->windows[i][3] = 1;
    f->images = batch * (size_t)(n->height * n->width * 3);
    f->encodings = batch * anchors * 4;
    f->logits = batch * anchors * (size_t)f->graph.class_slots;
    f->settings = (struct det_runner_settings){
        .spec = &f->spec,
        .graph = &f->graph,
        .params = f->params,
        .quantised = f->quantised,
        .evaluate = evaluate,
        .outputs = true,
        .batch = n->batch,
        .postprocess = &f->nms,
        .anchors = (const float(*)[4])f->anchors,
        .anchor_count = f->graph.anchor_count,
    };
    assert_ok(f->env, f->backend->device_open(f->env, device, &f->device));
}

static void open_runner(struct fixture *f)
{
    assert_ok(f->env, f->backend->runner_create(f->env, f->device, &f->settings, &f->runner));
}

static void close_all(struct fixture *f)
{
    f->backend->runner_destroy(f->env, &f->runner);
    f->backend->device_close(f->env, &f->device);
    det_quantised_destroy(f->env, &f->quantised);
    det_graph_free(f->env, &f->graph);
    det_free(f->env, &f->params);
    det_free(f->env, &f->pixels);
    det_free(f->env, &f->anchors);
    det_free(f->env, &f->windows);
    test_env_check(&f->t);
}

/* Encodings, then logits, of a runner of either backend. */
static float *outputs_of(const struct fixture *f, const struct det_backend *backend,
                         struct det_runner *runner)
{
    const float *logits = NULL, *encodings = NULL;
    float *both = malloc((f->encodings + f->logits) * sizeof *both);
    assert_non_null(both);
    assert_ok(f->env, backend->runner_outputs(f->env, runner, &logits, &encodings));
    memcpy(both, encodings, f->encodings * sizeof *both);
    memcpy(both + f->encodings, logits, f->logits * sizeof *both);
    return both;
}

/* By the plain operations, of images 0 .. 255. */
static float *plain(struct fixture *f, const float *images)
{
    const char *reason = NULL;
    struct det_q8_net *net = NULL;
    float *both = malloc((f->encodings + f->logits) * sizeof *both);
    assert_non_null(both);
    assert_ok(f->env,
              det_q8_net_create(f->env, &f->graph, f->quantised, f->params,
                                det_ops_cpu("auto", &reason), NULL, f->settings.batch, &net));
    float *to = det_q8_net_input(net);
    for (size_t i = 0; i < f->images; i++)
        to[i] = 2.0f / 255.0f * images[i] - 1.0f;
    det_q8_net_forward(net);
    memcpy(both, det_q8_net_encodings(net), f->encodings * sizeof *both);
    memcpy(both + f->encodings, det_q8_net_logits(net), f->logits * sizeof *both);
    det_q8_net_destroy(f->env, &net);
    return both;
}

/* Of the largest: what float32 layers may differ by, and what that makes of a rounding to 8 bits
 * behind them. */
static double bound_of(enum network_floats floats)
{
    return floats == NETWORK_NONE ? 0 : floats == NETWORK_LAST ? 1e-5 : 0.05;
}

static void compare(const struct fixture *f, const char *name, const float *got, const float *want,
                    double bound)
{
    const size_t count = f->encodings + f->logits;
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)want[i]));
    const double error = test_max_abs_error(got, want, count);
    if (!(error <= bound * largest) || !(largest > 0))
        fail_msg("%s: differs by %g of %g", name, error, largest);
}

static void set_images(struct fixture *f, const float *images)
{
    assert_ok(f->env,
              f->backend->runner_set_images(f->env, f->runner, images, f->spec.input_height,
                                            f->spec.input_width, (const float(*)[4])f->windows));
}

/* Eager, recorded, replayed; the next images given while a run is under way. */
static void networks_equal_the_plain_ones(void **state)
{
    (void)state;
    enum { RUNS = 4 };
    for (size_t i = 0; i < NETWORKS - 1; i++)
        for (int floats = NETWORK_NONE; floats < NETWORK_FLOATS; floats++) {
            const struct det_device_settings device = {
                .precision = floats % 2 == 0 ? DET_PRECISION_INT8 : DET_PRECISION_F32,
                .deterministic = floats == NETWORK_SOME};
            struct fixture f;
            open_network(&f, &networks[i], (enum network_floats)floats, &device, true);
            open_runner(&f);
            float *images[RUNS];
            for (uint32_t run = 0; run < RUNS; run++) {
                images[run] = malloc(f.images * sizeof(float));
                assert_non_null(images[run]);
                test_fill(images[run], f.images, run + 3);
                for (size_t k = 0; k < f.images; k++)
                    images[run][k] = 127.5f + 140 * images[run][k];
            }
            set_images(&f, images[0]);
            for (int run = 0; run < RUNS; run++) {
                assert_ok(f.env, f.backend->runner_begin(f.env, f.runner));
                if (run + 1 < RUNS)
                    set_images(&f, images[run + 1]);
                assert_ok(f.env, f.backend->runner_end(f.env, f.runner));
                float *got = outputs_of(&f, f.backend, f.runner), *want = plain(&f, images[run]);
                char name[128];
                snprintf(name, sizeof name, "%s, floats %d, run %d", networks[i].name, floats, run);
                compare(&f, name, got, want, bound_of((enum network_floats)floats));
                free(got);
                free(want);
            }
            for (int run = 0; run < RUNS; run++)
                free(images[run]);
            close_all(&f);
        }
}

static void set_pictures(const struct fixture *f, const struct det_backend *backend,
                         struct det_runner *runner, const uint8_t *pixels, int32_t height,
                         int32_t width)
{
    const det_image_view view = {.pixels = pixels, .width = width, .height = height};
    const struct det_frame frame = {
        .height = f->spec.input_height - 3, .width = f->spec.input_width, .window = {0, 0, 1, 1}};
    for (int32_t n = 0; n < f->settings.batch; n++)
        assert_ok(f->env, backend->runner_set_picture(f->env, runner, n, &view, &frame));
}

/* The CPU's runner gets the same pictures: equal outputs, so equal detections. */
static void pictures(void **state)
{
    (void)state;
    static uint8_t pixels[70 * 90 * 3];
    const char *reason = NULL;
    struct fixture f;
    struct det_runner *cpu = NULL;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 2654435761U >> 24);
    open_network(&f, &networks[1], NETWORK_NONE, &(struct det_device_settings){0}, false);
    open_runner(&f);
    struct det_device *device = test_cpu_device(f.env, det_ops_cpu("generic", &reason), NULL);
    assert_ok(f.env, det_backend_cpu()->runner_create(f.env, device, &f.settings, &cpu));
    for (int run = 0; run < 3; run++) {
        const int32_t height = 70 - 11 * run, width = 90;
        set_pictures(&f, f.backend, f.runner, pixels, height, width);
        set_pictures(&f, det_backend_cpu(), cpu, pixels, height, width);
        assert_ok(f.env, det_backend_run(f.env, f.backend, f.runner));
        assert_ok(f.env, det_backend_run(f.env, det_backend_cpu(), cpu));
        float *got = outputs_of(&f, f.backend, f.runner);
        float *want = outputs_of(&f, det_backend_cpu(), cpu);
        compare(&f, "pictures", got, want, 0);
        free(got);
        free(want);
    }
    det_backend_cpu()->runner_destroy(f.env, &cpu);
    test_cpu_device_close(f.env, &device);
    close_all(&f);
}

/* A convolution with the addition behind it writes pass by pass: not over what it reads, nor what
 * is added. */
static void assert_apart(const struct det_cuda_net *net)
{
    const struct det_graph *g = net->graph;
    int32_t pairs = 0;
    for (int32_t i = 0; i + 1 < g->op_count; i++) {
        const struct det_op *op = &g->ops[i], *next = op + 1;
        if (!net->q8.with_next[i])
            continue;
        const int32_t read[] = {op->in, next->in == op->out ? next->in2 : next->in};
        const size_t to = net->q8.plan.bytes[next->out];
        const size_t bytes =
            (size_t)det_net_rows(g, next->out, net->batch) * (size_t)g->tensors[next->out].channels;
        for (int k = 0; k < 2; k++) {
            const size_t from = net->q8.plan.bytes[read[k]];
            const size_t count =
                (size_t)det_net_rows(g, read[k], net->batch) * (size_t)g->tensors[read[k]].channels;
            assert_true(from != DET_NO_FORM && to != DET_NO_FORM);
            assert_true(to >= from + count || from >= to + bytes);
        }
        assert_true(net->q8.plan.bytes[op->out] == DET_NO_FORM);
        pairs++;
    }
    assert_true(pairs > 4);
}

/* A tensor in 8 bits takes a byte, and sums of 32 bits no memory of the batch's size. */
static void memory(void **state)
{
    (void)state;
    size_t bytes[2] = {0};
    for (int eight = 0; eight < 2; eight++) {
        struct fixture f;
        open_network(&f, &networks[0], NETWORK_NONE, &(struct det_device_settings){0}, false);
        f.settings.batch = 16;
        f.settings.outputs = false;
        if (eight == 0)
            f.settings.quantised = NULL;
        open_runner(&f);
        bytes[eight] = f.runner->net.plan.arena_bytes;
        if (eight == 1)
            assert_apart(&f.runner->net);
        close_all(&f);
    }
    assert_true(bytes[1] < bytes[0] * 2 / 5);
}

static void what_cannot_be_is_said(void **state)
{
    (void)state;
    struct fixture f;
    open_network(&f, &networks[0], NETWORK_NONE,
                 &(struct det_device_settings){.precision = DET_PRECISION_BF16}, false);
    assert_fails(f.env, DET_STATUS_UNSUPPORTED, "precision bf16: the model is in 8 bits",
                 f.backend->runner_create(f.env, f.device, &f.settings, &f.runner));
    assert_null(f.runner);
    close_all(&f);
    open_network(&f, &networks[0], NETWORK_NONE,
                 &(struct det_device_settings){.precision = DET_PRECISION_INT8}, false);
    f.settings.quantised = NULL;
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "precision int8: the model is in float32",
                 f.backend->runner_create(f.env, f.device, &f.settings, &f.runner));
    f.settings.quantised = f.quantised;
    for (int32_t i = 0; i < f.graph.op_count; i++)
        if (f.graph.ops[i].bias >= 0)
            f.params[f.graph.params[f.graph.ops[i].bias].offset] = 3e30F;
    assert_fails(f.env, DET_STATUS_MISMATCH, "times the smallest step of its sum",
                 f.backend->runner_create(f.env, f.device, &f.settings, &f.runner));
    assert_null(f.runner);
    close_all(&f);
}

#ifdef DET_CUDA_EMU

/* After its first two runs a run is one launch and one wait. */
static void counts(void **state)
{
    (void)state;
    static const uint8_t pixels[40 * 50 * 3];
    struct fixture f;
    open_network(&f, &networks[0], NETWORK_FIRST, &(struct det_device_settings){0}, false);
    open_runner(&f);
    for (int run = 0; run < 4; run++) {
        const struct cuda_emu_counts before = cuda_emu_read_counts();
        set_pictures(&f, f.backend, f.runner, pixels, 40, 50);
        assert_ok(f.env, det_backend_run(f.env, f.backend, f.runner));
        const struct cuda_emu_counts after = cuda_emu_read_counts();
        assert_int_equal(after.host_waits - before.host_waits, 1);
        assert_int_equal(after.graph_launches - before.graph_launches, run >= 1);
        assert_int_equal(after.unpinned_copies - before.unpinned_copies, 0);
        assert_int_equal(after.reports - before.reports, 0);
    }
    close_all(&f);
}

/* Of the device's, and of the host's. */
static void each_allocation_fails(void **state)
{
    (void)state;
    struct fixture f;
    open_network(&f, &networks[0], NETWORK_LAST, &(struct det_device_settings){0}, false);
    for (int host = 0; host < 2; host++) {
        const struct cuda_emu_counts before = cuda_emu_read_counts();
        long failures = 0;
        for (long n = 1;; n++, failures++) {
            if (host)
                test_env_fail_at(&f.t, n);
            else
                cuda_emu_fail_at(n);
            const det_status status =
                f.backend->runner_create(f.env, f.device, &f.settings, &f.runner);
            test_env_fail_at(&f.t, 0);
            cuda_emu_fail_at(0);
            if (status == DET_OK)
                break;
            assert_true(status == DET_STATUS_OUT_OF_MEMORY || status == DET_STATUS_DEVICE);
            assert_null(f.runner);
            const struct cuda_emu_counts after = cuda_emu_read_counts();
            assert_int_equal(after.live_device_blocks, before.live_device_blocks);
            assert_int_equal(after.live_pinned_blocks, before.live_pinned_blocks);
            assert_int_equal(after.live_handles, before.live_handles);
        }
        assert_true(failures >= 4);
        f.backend->runner_destroy(f.env, &f.runner);
    }
    cuda_emu_set_memory(DET_CUDA_MARGIN + (24 << 20));
    f.settings.batch = 256;
    assert_fails(f.env, DET_STATUS_OUT_OF_MEMORY, "largest batch size that fits is",
                 f.backend->runner_create(f.env, f.device, &f.settings, &f.runner));
    cuda_emu_set_memory(0);
    close_all(&f);
}

/* Each operation of a run, launched one by one, is refused in turn. */
static void refused_operations_are_told(void **state)
{
    (void)state;
    static const uint8_t pixels[40 * 50 * 3];
    for (int evaluate = 0; evaluate < 2; evaluate++) {
        struct fixture f;
        open_network(&f, &networks[0], NETWORK_SOME,
                     &(struct det_device_settings){.no_graph = true}, evaluate != 0);
        open_runner(&f);
        cuda_emu_set_dry(1);
        long operations = LONG_MAX;
        for (long n = 0; n <= operations; n++) {
            if (evaluate)
                set_images(&f, f.pixels);
            else
                set_pictures(&f, f.backend, f.runner, pixels, 40, 50);
            const long before = cuda_emu_read_counts().operations;
            cuda_emu_fail_operation_at(n);
            const det_status status = det_backend_run(f.env, f.backend, f.runner);
            cuda_emu_fail_operation_at(0);
            if (n == 0)
                operations = cuda_emu_read_counts().operations - before;
            if ((status == DET_OK) != (n == 0))
                fail_msg("operation %ld of %ld is refused, the answer is %s", n, operations,
                         det_status_text(status));
        }
        assert_true(operations > 100);
        cuda_emu_set_dry(0);
        close_all(&f);
    }
}

#endif

int test_cuda_q8_net(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_equal_the_plain_ones),
        cmocka_unit_test(pictures),
        cmocka_unit_test(memory),
        cmocka_unit_test(what_cannot_be_is_said),
#ifdef DET_CUDA_EMU
        cmocka_unit_test(counts),
        cmocka_unit_test(each_allocation_fails),
        cmocka_unit_test(refused_operations_are_told),
#endif
    };
    return cmocka_run_group_tests_name("cuda_q8_net", tests, NULL, NULL);
}
