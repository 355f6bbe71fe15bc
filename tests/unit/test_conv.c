/* The dense convolutions of ops/cpu against double loops: shapes chosen at the edges of tiles,
 * panels and blocks, every instruction set that this machine has, every thread count the same bits,
 * nothing written out of bounds. */
#include <math.h>

#include "ops/cpu/conv/conv_view.h"
#include "ops/cpu/isa/cpu_ops.h"
#include "support/mem.h"
#include "support/test.h"

struct isa {
    const char *name;
    const struct detk_gemm *gemm;
    size_t (*workspace)(const struct det_conv_shape *shape, int threads);
    void (*forward)(const struct det_exec *x, const struct det_conv_shape *s, const float *in,
                    const float *w, const float *bias, enum det_activation act, float *out);
};

#define ISA(isa) {#isa, &detk_gemm_##isa, detk_conv_workspace__##isa, detk_conv_forward__##isa},

static const struct isa isas[] = {DETK_ISAS(ISA)};

static bool supported(const struct isa *isa)
{
    const char *reason;
    return det_ops_cpu(isa->name, &reason) != NULL;
}

/* A block of floats between guards, and whether it was left alone outside. */
#define GUARD 64
#define MAGIC 12345.678f

struct guarded {
    float *base;
    size_t count;
};

static float *guarded_new(struct guarded *g, size_t count, float fill)
{
    /* The block starts on a cache line, as tensors and workspaces do. */
    const size_t bytes = ((count + 2 * GUARD) * sizeof(float) + 63) / 64 * 64;
    g->base = aligned_alloc(64, bytes);
    assert_non_null(g->base);
    g->count = count;
    for (size_t i = 0; i < count + 2 * GUARD; i++)
        g->base[i] = i < GUARD || i >= GUARD + count ? MAGIC : fill;
    return g->base + GUARD;
}

static void guarded_free(struct guarded *g, const char *what)
{
    for (size_t i = 0; i < GUARD; i++) {
        if (g->base[i] != MAGIC || g->base[GUARD + g->count + i] != MAGIC)
            fail_msg("%s: written out of bounds (guard %zu)", what, i);
    }
    free(g->base);
}

/* A tensor's expected values, with the l2 norm of the terms of each. */
struct expected {
    double *sum, *norm;
    size_t count;
};

static struct expected expected_new(size_t count)
{
    struct expected e = {calloc(count, sizeof(double)), calloc(count, sizeof(double)), count};
    assert_non_null(e.sum);
    assert_non_null(e.norm);
    return e;
}

static void expected_free(struct expected *e)
{
    free(e->sum);
    free(e->norm);
}

static void expected_add(struct expected *e, size_t i, double term)
{
    e->sum[i] += term;
    e->norm[i] += term * term;
}

struct sizes {
    size_t in, out, w;
};

static struct sizes sizes_of(const struct det_conv_shape *s)
{
    return (struct sizes){(size_t)s->n * (size_t)s->in_h * (size_t)s->in_w * (size_t)s->in_c,
                          (size_t)s->n * (size_t)s->out_h * (size_t)s->out_w * (size_t)s->out_c,
                          (size_t)s->kernel_h * (size_t)s->kernel_w * (size_t)s->in_c *
                              (size_t)s->out_c};
}

enum pass { FORWARD, DATA, WEIGHT, PASSES };
static const char *const pass_names[PASSES] = {"forward", "backward data", "backward weight"};

/* All three passes are the same sum over (pixel, tap, in channel, out channel). */
static void naive(const struct det_conv_shape *s, enum pass pass, const float *in, const float *w,
                  const float *dout, struct expected *e)
{
    for (int n = 0; n < s->n; n++)
        for (int y = 0; y < s->out_h; y++)
            for (int x = 0; x < s->out_w; x++)
                for (int ky = 0; ky < s->kernel_h; ky++)
                    for (int kx = 0; kx < s->kernel_w; kx++) {
                        const int iy = y * s->stride - s->pad_top + ky;
                        const int ix = x * s->stride - s->pad_left + kx;
                        if (iy < 0 || iy >= s->in_h || ix < 0 || ix >= s->in_w)
                            continue;
                        for (int ci = 0; ci < s->in_c; ci++) {
                            const size_t i =
                                (size_t)(((n * s->in_h + iy) * s->in_w + ix) * s->in_c + ci);
                            for (int co = 0; co < s->out_c; co++) {
                                const size_t o =
                                    (size_t)(((n * s->out_h + y) * s->out_w + x) * s->out_c + co);
                                const size_t k =
                                    (size_t)(((ky * s->kernel_w + kx) * s->in_c + ci) * s->out_c +
                                             co);
                                if (pass == FORWARD)
                                    expected_add(e, o, (double)in[i] * (double)w[k]);
                                else if (pass == DATA)
                                    expected_add(e, i, (double)dout[o] * (double)w[k]);
                                else
                                    expected_add(e, k, (double)in[i] * (double)dout[o]);
                            }
                        }
                    }
}

static void check(const struct det_conv_shape *s, const char *isa, const char *what,
                  const struct expected *e, const float *before, const float *bias,
                  enum det_activation act, const float *got)
{
    for (size_t i = 0; i < e->count; i++) {
        double wanted = e->sum[i], norm = e->norm[i];
        const double other = before != NULL ? (double)before[i]
                             : bias != NULL ? (double)bias[i % (size_t)s->out_c]
                                            : 0;
        wanted += other;
        norm += other * other;
        if (act == DET_ACTIVATION_RELU6)
            wanted = wanted < 0 ? 0 : wanted > 6 ? 6 : wanted;
        if (!(fabs((double)got[i] - wanted) <= 1e-5 * sqrt(norm)))
            fail_msg("%s %s: %d x %d x %d x %d -> %d x %d x %d, kernel %d x %d stride %d: element "
                     "%zu is %.9g, expected %.9g (norm %.3g)",
                     isa, what, s->n, s->in_h, s->in_w, s->in_c, s->out_h, s->out_w, s->out_c,
                     s->kernel_h, s->kernel_w, s->stride, i, (double)got[i], wanted, sqrt(norm));
    }
}

static struct det_pool *pools[3]; /* of 1, 2, 3 threads; [0] stays NULL */

static void run_pass(const struct isa *isa, enum pass pass, const struct det_exec *x,
                     const struct det_conv_shape *s, const float *in, const float *w,
                     const float *dout, const float *bias, enum det_activation act, bool accumulate,
                     float *to)
{
    if (pass == FORWARD)
        isa->forward(x, s, in, w, bias, act, to);
    else if (pass == DATA)
        detk_conv_pixels_backward(isa->gemm, x, s, dout, w, to, accumulate);
    else
        detk_conv_weights(isa->gemm, x, s, in, dout, to, accumulate);
}

static void check_shape(const struct det_conv_shape *s)
{
    const struct sizes size = sizes_of(s);
    struct guarded gin, gout, gw, gbias;
    float *in = guarded_new(&gin, size.in, 0), *dout = guarded_new(&gout, size.out, 0);
    float *w = guarded_new(&gw, size.w, 0), *bias = guarded_new(&gbias, (size_t)s->out_c, 0);
    test_fill(in, size.in, 1);
    test_fill(dout, size.out, 2);
    test_fill(w, size.w, 3);
    test_fill(bias, (size_t)s->out_c, 4);
    for (enum pass pass = FORWARD; pass < PASSES; pass++) {
        const size_t count = pass == FORWARD ? size.out : pass == DATA ? size.in : size.w;
        struct expected e = expected_new(count);
        naive(s, pass, in, w, dout, &e);
        struct guarded gbefore, gfirst;
        float *before = guarded_new(&gbefore, count, 0), *first = guarded_new(&gfirst, count, 0);
        test_fill(before, count, 5);
        for (size_t k = 0; k < sizeof isas / sizeof isas[0]; k++) {
            const struct isa *isa = &isas[k];
            if (!supported(isa))
                continue;
            for (int variant = 0; variant < (pass == FORWARD ? 4 : 2); variant++) {
                const float *b = variant & 1 ? bias : NULL;
                const enum det_activation act =
                    variant & 2 ? DET_ACTIVATION_RELU6 : DET_ACTIVATION_NONE;
                const bool accumulate = pass != FORWARD && (variant & 1);
                for (int threads = 1; threads <= 3; threads++) {
                    const size_t bytes = isa->workspace(s, threads);
                    assert_int_equal(bytes % sizeof(float), 0);
                    struct guarded gwork, gto;
                    float *work = guarded_new(&gwork, bytes / sizeof(float), NAN);
                    float *to = guarded_new(&gto, count, NAN);
                    if (accumulate)
                        memcpy(to, before, count * sizeof *to);
                    const struct det_exec x = {pools[threads - 1], work, bytes};
                    run_pass(isa, pass, &x, s, in, w, dout, b, act, accumulate, to);
                    if (threads == 1) {
                        check(s, isa->name, pass_names[pass], &e, accumulate ? before : NULL,
                              pass == FORWARD ? b : NULL, pass == FORWARD ? act : 0, to);
                        memcpy(first, to, count * sizeof *to);
                    } else if (memcmp(first, to, count * sizeof *to) != 0) {
                        fail_msg("%s %s: %d threads give other bits than 1", isa->name,
                                 pass_names[pass], threads);
                    }
                    guarded_free(&gto, pass_names[pass]);
                    guarded_free(&gwork, "workspace");
                }
            }
        }
        guarded_free(&gbefore, "before");
        guarded_free(&gfirst, "first");
        expected_free(&e);
    }
    guarded_free(&gin, "in");
    guarded_free(&gout, "dout");
    guarded_free(&gw, "w");
    guarded_free(&gbias, "bias");
}

/* det_conv_same() for a kernel that need not be square. */
static struct det_conv_shape same(int n, int h, int w, int in_c, int out_c, int kernel_h,
                                  int kernel_w, int stride)
{
    const int oh = (h + stride - 1) / stride, ow = (w + stride - 1) / stride;
    const int ph = (oh - 1) * stride + kernel_h - h, pw = (ow - 1) * stride + kernel_w - w;
    return (struct det_conv_shape){.n = n,
                                   .in_h = h,
                                   .in_w = w,
                                   .in_c = in_c,
                                   .out_h = oh,
                                   .out_w = ow,
                                   .out_c = out_c,
                                   .kernel_h = kernel_h,
                                   .kernel_w = kernel_w,
                                   .stride = stride,
                                   .pad_top = ph > 0 ? ph / 2 : 0,
                                   .pad_left = pw > 0 ? pw / 2 : 0};
}

static void check_matrix(int rows, int in_c, int out_c)
{
    const struct det_conv_shape s = same(1, 1, rows, in_c, out_c, 1, 1, 1);
    check_shape(&s);
}

static int set_up(void **state)
{
    struct test_env *t = malloc(sizeof *t);
    assert_non_null(t);
    test_env_init(t);
    for (int threads = 2; threads <= 3; threads++)
        assert_ok(&t->env, det_pool_create(&t->env, threads, &pools[threads - 1]));
    for (size_t k = 0; k < sizeof isas / sizeof isas[0]; k++) {
        if (!supported(&isas[k]))
            print_message("skipped: this processor has no %s\n", isas[k].name);
    }
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct test_env *t = *state;
    for (int i = 1; i < 3; i++)
        det_pool_destroy(&t->env, &pools[i]);
    test_env_check(t);
    free(t);
    return 0;
}

/* Tile heights and panel widths of every table, one less and one more; one; primes. */
static void matrix_products_at_tile_edges(void **state)
{
    (void)state;
    static const int rows[] = {1, 2, 5, 6, 7, 13, 14, 15, 28, 29, 31, 43};
    static const int channels[] = {1, 3, 4, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 67};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t j = 0; j < sizeof channels / sizeof channels[0]; j++) {
            const size_t other = (j * 7 + i) % (sizeof channels / sizeof channels[0]);
            check_matrix(rows[i], channels[other], channels[j]);
        }
    }
}

/* Several row blocks, column blocks, packing tasks, chunks and ranges. */
static void matrix_products_in_several_tasks(void **state)
{
    (void)state;
    check_matrix(9, 320, 128);
    check_matrix(100, 320, 257);
    check_matrix(257, 160, 193);
    check_matrix(1023, 16, 96);
    check_matrix(2049, 24, 31);
    check_matrix(4099, 33, 12);
    check_matrix(5003, 7, 16);
    check_matrix(72, 960, 67);
    check_matrix(67, 130, 961);
}

static void windows(void **state)
{
    (void)state;
    static const int kernels[] = {1, 2, 3, 5};
    static const int edges[][2] = {{1, 1}, {2, 3}, {5, 4}, {7, 7}, {8, 16}, {17, 15}};
    static const int channels[][2] = {{1, 1}, {3, 32}, {5, 7}, {17, 9}, {32, 3}, {16, 33}};
    size_t turn = 0;
    for (size_t k = 0; k < 4; k++)
        for (int stride = 1; stride <= 3; stride++)
            for (size_t e = 0; e < 6; e++)
                for (int n = 1; n <= 3; n += 2, turn++) {
                    const struct det_conv_shape s = same(
                        n, edges[e][0], edges[e][1], channels[turn % 6][0], channels[turn % 6][1],
                        kernels[k], kernels[(k + turn % 2) % 4], stride);
                    check_shape(&s);
                }
}

/* Padding that is not SAME's: none, and more than the kernel needs; a stride larger than the
 * kernel. */
static void windows_with_other_padding(void **state)
{
    (void)state;
    for (int pad = 0; pad <= 4; pad++) {
        for (int stride = 1; stride <= 4; stride++) {
            struct det_conv_shape s = same(2, 11, 9, 6, 10, 3, 3, stride);
            s.pad_top = pad;
            s.pad_left = pad / 2;
            s.out_h = (11 + 2 * pad - 3) / stride + 1;
            s.out_w = (9 + pad - 3) / stride + 1;
            check_shape(&s);
            s = same(2, 11, 9, 6, 10, 1, 1, stride);
            s.pad_top = pad;
            s.out_h = (11 + 2 * pad - 1) / stride + 1;
            check_shape(&s);
        }
    }
}

static void windows_in_several_tasks(void **state)
{
    (void)state;
    const struct det_conv_shape stem = same(2, 97, 110, 3, 32, 3, 3, 2);
    check_shape(&stem);
    const struct det_conv_shape dense = same(2, 20, 21, 65, 40, 3, 3, 1);
    check_shape(&dense);
    const struct det_conv_shape down = same(1, 19, 40, 48, 70, 3, 3, 2);
    check_shape(&down);
}

static void relu6_keeps_nan(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof isas / sizeof isas[0]; k++) {
        if (!supported(&isas[k]))
            continue;
        /* Whole vectors and a part of one. */
        enum { ROWS = 3, COLS = 67 };
        const struct det_conv_shape s = same(1, 1, ROWS, 1, COLS, 1, 1, 1);
        const float in[ROWS] = {1, NAN, -1};
        float w[COLS], out[ROWS * COLS];
        for (int j = 0; j < COLS; j++)
            w[j] = (float)(j - 10);
        const size_t bytes = isas[k].workspace(&s, 1);
        float *work = aligned_alloc(64, (bytes + 127) / 64 * 64);
        const struct det_exec x = {NULL, work, bytes};
        isas[k].forward(&x, &s, in, w, NULL, DET_ACTIVATION_RELU6, out);
        for (int j = 0; j < COLS; j++) {
            const float value = (float)(j - 10);
            assert_near(out[j], value < 0 ? 0 : value > 6 ? 6 : value, 0);
            assert_true(isnan(out[COLS + j]));
            assert_near(out[2 * COLS + j], value > 0 ? 0 : value < -6 ? 6 : -value, 0);
        }
        free(work);
    }
}

/* 200,000 terms of one sign: sums have to be staged. */
static void long_sums_stay_accurate(void **state)
{
    (void)state;
    enum { ROWS = 200003 };
    const struct det_conv_shape s = same(1, 1, ROWS, 1, 1, 1, 1, 1);
    float *in = malloc(ROWS * sizeof *in), *dout = malloc(ROWS * sizeof *dout), dw = 0;
    assert_non_null(in);
    assert_non_null(dout);
    test_fill(in, ROWS, 1);
    double sum = 0;
    for (int i = 0; i < ROWS; i++) {
        in[i] = fabsf(in[i]);
        dout[i] = 1.1f;
        sum += (double)in[i] * (double)dout[i];
    }
    for (size_t k = 0; k < sizeof isas / sizeof isas[0]; k++) {
        if (!supported(&isas[k]))
            continue;
        const size_t bytes = isas[k].workspace(&s, 2);
        float *work = aligned_alloc(64, (bytes + 127) / 64 * 64);
        const struct det_exec x = {pools[1], work, bytes};
        detk_conv_weights(isas[k].gemm, &x, &s, in, dout, &dw, false);
        assert_near(dw, sum, sum * 1e-6);
        free(work);
    }
    free(in);
    free(dout);
}

/* Results of 16 MiB and more are stored past the caches: every 101st pixel is checked, and the bits
 * of two threads against one. */
static void large_results(void **state)
{
    (void)state;
    for (int kernel = 1; kernel <= 3; kernel += 2) {
        enum { OUT_C = 48, EDGE = 299 };
        const struct det_conv_shape s = same(1, EDGE, EDGE + 1, 2, OUT_C, kernel, kernel, 1);
        const struct sizes size = sizes_of(&s);
        float *in = malloc(size.in * sizeof *in), *w = malloc(size.w * sizeof *w);
        assert_non_null(in);
        assert_non_null(w);
        test_fill(in, size.in, 1);
        test_fill(w, size.w, 2);
        for (size_t k = 0; k < sizeof isas / sizeof isas[0]; k++) {
            if (!supported(&isas[k]))
                continue;
            struct guarded gout[2];
            float *out[2];
            for (int i = 0; i < 2; i++) {
                const size_t bytes = isas[k].workspace(&s, i + 1);
                struct guarded gwork;
                float *work = guarded_new(&gwork, bytes / sizeof(float), NAN);
                const struct det_exec x = {pools[i], work, bytes};
                out[i] = guarded_new(&gout[i], size.out, NAN);
                isas[k].forward(&x, &s, in, w, NULL, DET_ACTIVATION_NONE, out[i]);
                guarded_free(&gwork, "workspace");
            }
            assert_memory_equal(out[0], out[1], size.out * sizeof(float));
            for (int p = 0; p < EDGE * (EDGE + 1); p += 101) {
                for (int j = 0; j < OUT_C; j++) {
                    double sum = 0;
                    for (int t = 0; t < kernel * kernel; t++) {
                        const int y = p / (EDGE + 1) + t / kernel - s.pad_top;
                        const int x = p % (EDGE + 1) + t % kernel - s.pad_left;
                        for (int c = 0; c < 2 && y >= 0 && y < EDGE && x >= 0 && x <= EDGE; c++)
                            sum += (double)in[(y * (EDGE + 1) + x) * 2 + c] *
                                   (double)w[(t * 2 + c) * OUT_C + j];
                    }
                    assert_near(out[0][p * OUT_C + j], sum, 1e-5);
                }
            }
            guarded_free(&gout[0], "out");
            guarded_free(&gout[1], "out");
        }
        free(in);
        free(w);
    }
}

static void workspace_is_bounded(void **state)
{
    (void)state;
    static const int layers[][4] = {/* n, edge, in, out */
                                    {8, 160, 32, 16},  {8, 160, 16, 96},   {8, 80, 144, 24},
                                    {8, 20, 576, 96},  {8, 10, 320, 1280}, {64, 320, 16, 96},
                                    {8, 10, 960, 320}, {8, 40, 1280, 1280}};
    for (size_t k = 0; k < sizeof isas / sizeof isas[0]; k++) {
        for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
            const int *l = layers[i];
            const struct det_conv_shape s = same(l[0], l[1], l[1], l[2], l[3], 1, 1, 1);
            assert_true(isas[k].workspace(&s, 64) <= 64u << 20);
        }
    }
}

int test_conv(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrix_products_at_tile_edges),
        cmocka_unit_test(matrix_products_in_several_tasks),
        cmocka_unit_test(windows),
        cmocka_unit_test(windows_with_other_padding),
        cmocka_unit_test(windows_in_several_tasks),
        cmocka_unit_test(relu6_keeps_nan),
        cmocka_unit_test(long_sums_stay_accurate),
        cmocka_unit_test(large_results),
        cmocka_unit_test(workspace_is_bounded),
    };
    return cmocka_run_group_tests_name("conv", tests, set_up, tear_down);
}
