/* The convolutions of training (bn_conv_*, bn_sums, bn_add) of every table against the reference:
 * values, statistics, gradients, sums; the same bits for any number of threads. Dense ones with
 * products in bf16 too. */
#include <math.h>

#include "ops/cpu/isa/bf16.h"
#include "support/ops.h"

struct norm_case {
    struct det_conv_shape s;
    bool depthwise, bias, accumulate;
    bool bn_in, norm_out;    /* a batch norm applies to the operand; to the result */
    enum det_activation act; /* of both norms */
    float offset;            /* of the result: a mean far off zero */
    bool nan;
};

struct norm_data {
    float *in, *w, *bias, *dy, *x, *old_din, *old_dw;
    float *bn_in[3], *norm_out[5]; /* mean, scale, beta (, constant, slope) */
};

/* in the order of run() */
enum { OUT, MEAN, VARIANCE, DIN, DW, RESULTS };

struct norm_result {
    float *values[RESULTS];
    double *sums;
};

static size_t in_size(const struct norm_case *k)
{
    return (size_t)k->s.n * (size_t)k->s.in_h * (size_t)k->s.in_w * (size_t)k->s.in_c;
}

static size_t out_size(const struct norm_case *k)
{
    return (size_t)k->s.n * (size_t)k->s.out_h * (size_t)k->s.out_w * (size_t)k->s.out_c;
}

static size_t weight_size(const struct norm_case *k)
{
    return (size_t)k->s.kernel_h * (size_t)k->s.kernel_w * (size_t)k->s.out_c *
           (k->depthwise ? 1 : (size_t)k->s.in_c);
}

static struct norm_data make_data(const struct norm_case *k, uint32_t seed)
{
    const size_t in_c = (size_t)k->s.in_c, out_c = (size_t)k->s.out_c;
    struct norm_data d = {
        .in = ops_random(in_size(k), seed),
        .w = ops_random(weight_size(k), seed + 1),
        .bias = ops_random(out_c, seed + 2),
        .dy = ops_random(out_size(k), seed + 3),
        .x = ops_random(out_size(k), seed + 4),
        .old_din = ops_random(in_size(k), seed + 5),
        .old_dw = ops_random(weight_size(k), seed + 6),
    };
    for (int i = 0; i < 5; i++) {
        if (i < 3)
            d.bn_in[i] = ops_random(in_c, seed + 7 + (uint32_t)i);
        d.norm_out[i] = ops_random(out_c, seed + 10 + (uint32_t)i);
    }
    for (size_t j = 0; j < in_c; j++)
        d.bn_in[1][j] *= 5; /* some reach 6, some are negative */
    for (size_t j = 0; j < out_c; j++) {
        d.norm_out[1][j] *= 5;
        d.bias[j] += k->offset;
    }
    if (k->nan) {
        d.in[in_size(k) / 2] = NAN;
        d.dy[out_size(k) / 3] = NAN;
    }
    return d;
}

static void free_data(struct norm_data *d)
{
    float *buffers[] = {d->in, d->w, d->bias, d->dy, d->x, d->old_din, d->old_dw};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        ops_free(buffers[i]);
    for (int i = 0; i < 5; i++) {
        if (i < 3)
            ops_free(d->bn_in[i]);
        ops_free(d->norm_out[i]);
    }
}

static struct norm_result run(const struct det_ops *ops, struct ops_rig *rig, int threads,
                              const struct norm_case *k, const struct norm_data *d)
{
    const struct det_conv_shape *s = &k->s;
    const struct det_bn bn_in = {d->bn_in[0], d->bn_in[1], d->bn_in[2], k->act};
    const struct det_bn norm_out = {d->norm_out[0], d->norm_out[1], d->norm_out[2], k->act};
    const struct det_operand in = {d->in, k->bn_in ? &bn_in : NULL};
    const struct det_gradient dout = {d->dy, d->x, k->norm_out ? &norm_out : NULL, d->norm_out[3],
                                      d->norm_out[4]};
    const size_t bytes = ops->bn_conv_workspace(s, k->depthwise, threads);
    struct norm_result r = {.sums = calloc(2 * (size_t)s->in_c, sizeof(double))};
    assert_non_null(r.sums);
    r.values[OUT] = ops_buffer(out_size(k), NULL);
    r.values[MEAN] = ops_buffer((size_t)s->out_c, NULL);
    r.values[VARIANCE] = ops_buffer((size_t)s->out_c, NULL);
    struct det_exec x = ops_exec(rig, threads, bytes);
    ops->bn_conv_forward(&x, s, k->depthwise, &in, d->w, k->bias ? d->bias : NULL, r.values[OUT],
                         r.values[MEAN], r.values[VARIANCE]);
    ops_exec_done(rig);
    r.values[DIN] = ops_buffer(in_size(k), k->accumulate ? d->old_din : NULL);
    r.values[DW] = ops_buffer(weight_size(k), k->accumulate ? d->old_dw : NULL);
    const struct det_gradient_to to = {.din = r.values[DIN],
                                       .accumulate = k->accumulate,
                                       .x = d->in,
                                       .bn = &bn_in,
                                       .sums = k->bn_in ? r.sums : NULL};
    x = ops_exec(rig, threads, bytes);
    ops->bn_conv_backward(&x, s, k->depthwise, &in, &dout, d->w, &to, r.values[DW], k->accumulate);
    ops_exec_done(rig);
    return r;
}

static void free_result(struct norm_result *r)
{
    for (int i = 0; i < RESULTS; i++)
        ops_free(r->values[i]);
    free(r->sums);
}

/* Sums of the squares of each result's terms: the plain reference on the squares of the
 * operands. */
static struct norm_result bns(struct ops_rig *rig, const struct norm_case *k,
                              const struct norm_data *d)
{
    struct norm_case plain = *k;
    plain.bn_in = plain.norm_out = false;
    const struct det_bn bn_in = {d->bn_in[0], d->bn_in[1], d->bn_in[2], k->act};
    struct norm_data squares = *d;
    squares.in = ops_buffer(in_size(k), NULL);
    const struct det_operand in = {d->in, k->bn_in ? &bn_in : NULL};
    const struct det_exec exec = {0};
    det_ops_ref()->bn_add(&exec, (int64_t)(in_size(k) / (size_t)k->s.in_c), k->s.in_c, &in, NULL,
                          squares.in);
    for (size_t i = 0; i < in_size(k); i++)
        squares.in[i] = squares.in[i] * squares.in[i] + 1;
    squares.dy = ops_squares(d->dy);
    for (size_t i = 0; i < out_size(k) && k->norm_out; i++)
        squares.dy[i] = (squares.dy[i] + 1) * 25; /* scale up to 5, constant and slope to 1 */
    squares.w = ops_squares(d->w);
    squares.bias = ops_squares(d->bias);
    squares.old_din = ops_squares(d->old_din);
    squares.old_dw = ops_squares(d->old_dw);
    struct norm_result r = run(det_ops_ref(), rig, 1, &plain, &squares);
    ops_free(squares.in);
    ops_free(squares.dy);
    ops_free(squares.w);
    ops_free(squares.bias);
    ops_free(squares.old_din);
    ops_free(squares.old_dw);
    return r;
}

/* Against doubles of what the table itself made: nothing may have cancelled. */
static void check_statistics(const char *name, const struct norm_case *k,
                             const struct norm_result *r)
{
    const size_t c = (size_t)k->s.out_c, rows = out_size(k) / c;
    for (size_t j = 0; j < c; j++) {
        double mean = 0, variance = 0;
        for (size_t i = 0; i < rows; i++)
            mean += r->values[OUT][i * c + j];
        mean /= (double)rows;
        for (size_t i = 0; i < rows; i++) {
            const double distance = r->values[OUT][i * c + j] - mean;
            variance += distance * distance;
        }
        variance /= (double)rows;
        const double mean_error = fabs(r->values[MEAN][j] - mean);
        const double variance_error = fabs(r->values[VARIANCE][j] - variance);
        if (isnan(mean) ? !isnan(r->values[MEAN][j]) || !isnan(r->values[VARIANCE][j])
                        : !(mean_error <= 1e-6 * sqrt(variance) + 1e-7 * fabs(mean) + 1e-30) ||
                              !(variance_error <= 5e-6 * variance + 1e-14 * mean * mean + 1e-30))
            fail_msg("%s: channel %zu: mean %.9g, variance %.9g, expected %.9g, %.9g", name, j,
                     (double)r->values[MEAN][j], (double)r->values[VARIANCE][j], mean, variance);
    }
}

static void check_sums(const char *name, const struct norm_case *k, const struct norm_data *d,
                       const struct norm_result *r, const double *sums)
{
    const size_t c = (size_t)k->s.in_c;
    for (size_t j = 0; j < c; j++) {
        double want[2] = {0, 0}, squares[2] = {0, 0};
        for (size_t i = j; i < in_size(k); i += c) {
            const double distance = (double)d->in[i] - d->bn_in[0][j];
            const float value = (float)(distance * d->bn_in[1][j] + d->bn_in[2][j]);
            const bool stops = k->act == DET_ACTIVATION_RELU6 && (value <= 0 || value >= 6);
            const double dy = stops ? 0 : (double)r->values[DIN][i];
            want[0] += dy;
            want[1] += dy * distance;
            squares[0] += dy * dy;
            squares[1] += dy * dy * distance * distance;
        }
        for (size_t i = 0; i < 2; i++) {
            const double got = sums[i * c + j];
            if (isnan(want[i]) ? !isnan(got)
                               : !(fabs(got - want[i]) <= 1e-5 * sqrt(squares[i]) + 1e-30))
                fail_msg("%s: channel %zu: sum %zu is %.9g, expected %.9g", name, j, i, got,
                         want[i]);
        }
    }
}

static void check_threads(const char *name, const struct det_ops *ops, struct ops_rig *rig,
                          const struct norm_case *k, const struct norm_data *d,
                          const struct norm_result *got)
{
    for (int threads = 2; threads <= OPS_THREADS; threads++) {
        struct norm_result again = run(ops, rig, threads, k, d);
        for (int i = 0; i < RESULTS; i++)
            ops_same(name, again.values[i], got->values[i]);
        assert_memory_equal(again.sums, got->sums, 2 * (size_t)k->s.in_c * sizeof(double));
        free_result(&again);
    }
}

static void check_norm_sums(const char *name, const struct det_ops *ops, struct ops_rig *rig,
                            const struct norm_case *k, const struct norm_data *d,
                            const struct norm_result *r)
{
    const int64_t rows = (int64_t)(in_size(k) / (size_t)k->s.in_c);
    const struct det_bn bn_in = {d->bn_in[0], d->bn_in[1], d->bn_in[2], k->act};
    double *sums = calloc(2 * (size_t)k->s.in_c, sizeof *sums);
    assert_non_null(sums);
    const struct det_gradient_to to = {
        .din = r->values[DIN], .x = d->in, .bn = &bn_in, .sums = sums};
    const struct det_exec x = ops_exec(rig, 2, ops->bn_sums_workspace(rows, k->s.in_c));
    ops->bn_sums(&x, rows, k->s.in_c, &to);
    ops_exec_done(rig);
    check_sums(name, k, d, r, sums);
    free(sums);
}

/* What results may differ by, of their terms. Operands that a batch norm makes are rounded to bf16
 * (by 1/256 at most) only after it, both of a product perhaps; the others are already. */
static double share_of(const struct norm_case *k, int result, bool bf16)
{
    const bool made = result == OUT   ? k->bn_in
                      : result == DIN ? k->norm_out
                                      : k->bn_in || k->norm_out;
    return bf16 && made ? 1.0 / 64 : 1e-5;
}

static void round_to_bf16(float *values)
{
    for (size_t i = 0; i < ops_count(values); i++)
        values[i] = detk_from_bf16(detk_to_bf16(values[i]));
}

static void check_precision(struct ops_rig *rig, const struct norm_case *k, uint32_t seed,
                            bool bf16)
{
    static const char *const result_names[RESULTS] = {"out", "mean", "variance", "din", "dw"};
    const struct det_ops *tables[OPS_TABLES_MAX];
    const int count = bf16 ? ops_bf16_tables(tables) : ops_tables(tables);
    const struct det_conv_shape *s = &k->s;
    struct norm_data d = make_data(k, seed);
    if (bf16) {
        round_to_bf16(d.in);
        round_to_bf16(d.w);
        round_to_bf16(d.dy);
    }
    /* Of terms without a NaN: it may not pass an activation, and the others are still to be
     * compared. */
    struct norm_case finite = *k;
    finite.nan = false;
    struct norm_data terms = make_data(&finite, seed);
    struct norm_result want = run(det_ops_ref(), rig, 1, k, &d), norm2 = bns(rig, k, &terms);
    free_data(&terms);
    for (int t = 0; t < count; t++) {
        char name[240];
        struct norm_result got = run(tables[t], rig, 1, k, &d);
        for (int i = 0; i < RESULTS; i++) {
            snprintf(name, sizeof name,
                     "%s%s %s %s %dx%dx%dx%d to %d, kernel %d stride %d pad %d, bias %d accumulate "
                     "%d norms %d %d act %d offset %g",
                     tables[t]->name, bf16 ? " bf16" : "", k->depthwise ? "depthwise" : "dense",
                     result_names[i], s->n, s->in_h, s->in_w, s->in_c, s->out_c, s->kernel_h,
                     s->stride, s->pad_top, k->bias, k->accumulate, k->bn_in, k->norm_out, k->act,
                     (double)k->offset);
            if (i == MEAN || i == VARIANCE)
                check_statistics(name, k, &got);
            else
                ops_compare_terms(name, got.values[i], want.values[i], norm2.values[i],
                                  share_of(k, i, bf16), k->nan);
        }
        if (k->bn_in) {
            check_sums(name, k, &d, &got, got.sums);
            check_norm_sums(name, tables[t], rig, k, &d, &got);
        }
        check_threads(name, tables[t], rig, k, &d, &got);
        free_result(&got);
    }
    free_result(&want);
    free_result(&norm2);
    free_data(&d);
}

static void check_case(struct ops_rig *rig, const struct norm_case *k, uint32_t seed)
{
    check_precision(rig, k, seed, false);
    if (!k->depthwise)
        check_precision(rig, k, seed, true);
}

/* Each combination of flags comes up, one per shape. */
static void check_shape(struct ops_rig *rig, struct det_conv_shape s, bool depthwise,
                        uint32_t *serial)
{
    const uint32_t i = (*serial)++ * 5;
    const struct norm_case k = {
        .s = s,
        .depthwise = depthwise,
        .bias = (i & 1) != 0,
        .accumulate = (i & 2) != 0,
        .bn_in = (i & 4) != 0,
        .norm_out = (i & 8) != 0,
        .act = (i & 16) != 0 ? DET_ACTIVATION_RELU6 : DET_ACTIVATION_NONE,
        .nan = i % 64 >= 56,
    };
    check_case(rig, &k, i);
}

static void products_agree(void **state)
{
    (void)state;
    static const int32_t channels[] = {1, 3, 7, 8, 15, 16, 17, 24, 33, 130};
    static const int32_t sizes[][3] = {{1, 1, 1}, {1, 2, 3}, {2, 5, 7}, {3, 9, 17}, {1, 25, 33}};
    struct ops_rig rig;
    ops_rig_open(&rig);
    uint32_t serial = 0;
    for (size_t a = 0; a < sizeof channels / sizeof channels[0]; a++) {
        for (size_t b = 0; b < sizeof channels / sizeof channels[0]; b++) {
            const int32_t *z = sizes[(a + 3 * b) % 5];
            check_shape(&rig, det_conv_same(z[0], z[1], z[2], channels[a], channels[b], 1, 1),
                        false, &serial);
        }
    }
    ops_rig_close(&rig);
}

/* Many strips and tasks; so many weights that their gradient is cut into ranges. */
static void large_products_agree(void **state)
{
    (void)state;
    static const int32_t shapes[][5] = {
        {2, 40, 50, 24, 40}, {1, 30, 41, 40, 16}, {3, 9, 10, 272, 250}, {1, 3, 2, 300, 320}};
    struct ops_rig rig;
    ops_rig_open(&rig);
    for (uint32_t i = 0; i < 4; i++) {
        const int32_t *z = shapes[i];
        for (uint32_t flags = 0; flags < 2; flags++) {
            const struct norm_case k = {
                .s = det_conv_same(z[0], z[1], z[2], z[3], z[4], 1, 1),
                .accumulate = flags == 1,
                .bn_in = true,
                .norm_out = true,
                .act = DET_ACTIVATION_RELU6,
            };
            check_case(&rig, &k, 50 + i + 7 * flags);
        }
    }
    ops_rig_close(&rig);
}

static void other_convolutions_agree(void **state)
{
    (void)state;
    struct ops_rig rig;
    ops_rig_open(&rig);
    uint32_t serial = 0;
    for (int32_t kernel = 1; kernel <= 3; kernel++) {
        for (int32_t stride = 1; stride <= 2; stride++) {
            for (int32_t c = 3; c < 40; c += 17) {
                check_shape(&rig, det_conv_same(2, 7, 6, c, c + 5, kernel, stride), false, &serial);
                check_shape(&rig, det_conv_same(2, 6, 9, c, c, kernel, stride), kernel == 2,
                            &serial);
            }
        }
    }
    ops_rig_close(&rig);
}

static void depthwise_agrees(void **state)
{
    (void)state;
    static const int32_t channels[] = {1, 3, 7, 8, 15, 16, 17, 24, 31, 32, 33, 96};
    static const int32_t sizes[][2] = {{1, 1}, {1, 5}, {2, 2}, {3, 3}, {4, 7}, {17, 9}, {43, 10}};
    struct ops_rig rig;
    ops_rig_open(&rig);
    uint32_t serial = 0;
    for (size_t c = 0; c < sizeof channels / sizeof channels[0]; c++) {
        for (size_t z = 0; z < sizeof sizes / sizeof sizes[0]; z++) {
            for (int32_t stride = 1; stride <= 3; stride++) {
                const int32_t n = 1 + (int32_t)(serial % 3);
                check_shape(
                    &rig,
                    det_conv_same(n, sizes[z][0], sizes[z][1], channels[c], channels[c], 3, stride),
                    true, &serial);
            }
        }
    }
    /* Padding that is not TensorFlow's. */
    for (int32_t pad = 0; pad <= 3; pad++) {
        for (int32_t out = 4; out <= 7; out++) {
            const struct det_conv_shape s = {1, 6, 6, 19, out, out, 19, 3, 3, 1, pad, 3 - pad};
            const struct det_conv_shape t = {2, 6, 6, 19, out, out, 19, 3, 3, 2, pad, pad / 2};
            check_shape(&rig, s, true, &serial);
            check_shape(&rig, t, true, &serial);
        }
    }
    /* Rows so long that they are cut. */
    for (int32_t wide = 64; wide <= 67; wide++) {
        for (int32_t pad = 0; pad <= 1; pad++) {
            const struct det_conv_shape s = {1, 3, wide, 260, 3, wide, 260, 3, 3, 1, 1, 2 * pad};
            const struct det_conv_shape t = {1,   3, wide, 260, 2, (wide + pad) / 2,
                                             260, 3, 3,    2,   0, pad};
            check_shape(&rig, s, true, &serial);
            check_shape(&rig, t, true, &serial);
        }
    }
    ops_rig_close(&rig);
}

/* Means a thousand deviations off. */
static void statistics_do_not_cancel(void **state)
{
    (void)state;
    struct ops_rig rig;
    ops_rig_open(&rig);
    const struct norm_case matrix = {
        .s = det_conv_same(2, 60, 70, 5, 19, 1, 1), .bias = true, .offset = 1000};
    const struct norm_case window = {
        .s = det_conv_same(2, 41, 40, 3, 19, 3, 2), .bias = true, .offset = 1000};
    check_case(&rig, &matrix, 1);
    check_case(&rig, &window, 2);
    ops_rig_close(&rig);
}

static void additions_agree(void **state)
{
    (void)state;
    struct ops_rig rig;
    ops_rig_open(&rig);
    const struct det_ops *tables[OPS_TABLES_MAX];
    const int count = ops_tables(tables);
    static const int32_t shapes[][2] = {{1, 1}, {3, 7}, {5, 16}, {40, 33}, {5000, 24}};
    for (uint32_t i = 0; i < 5 * 8; i++) {
        const int32_t rows = shapes[i / 8][0], c = shapes[i / 8][1];
        const size_t size = (size_t)rows * (size_t)c;
        float *a = ops_random(size, i), *b = ops_random(size, i + 1);
        float *n[3];
        for (uint32_t j = 0; j < 3; j++)
            n[j] = ops_random((size_t)c, i + 2 + j);
        const struct det_bn bn = {n[0], n[1], n[2],
                                  i & 1 ? DET_ACTIVATION_RELU6 : DET_ACTIVATION_NONE};
        const struct det_operand left = {a, i & 2 ? &bn : NULL}, right = {b, &bn};
        float *want = ops_buffer(size, NULL);
        struct det_exec x = ops_exec(&rig, 1, 0);
        det_ops_ref()->bn_add(&x, rows, c, &left, i & 4 ? &right : NULL, want);
        ops_exec_done(&rig);
        for (int t = 0; t < count; t++) {
            float *got = ops_buffer(size, NULL);
            x = ops_exec(&rig, 2, 0);
            tables[t]->bn_add(&x, rows, c, &left, i & 4 ? &right : NULL, got);
            ops_exec_done(&rig);
            ops_compare(tables[t]->name, got, want, NULL, false);
            ops_free(got);
        }
        ops_free(a);
        ops_free(b);
        ops_free(want);
        for (int j = 0; j < 3; j++)
            ops_free(n[j]);
    }
    ops_rig_close(&rig);
}

int test_ops_bn(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_agree),           cmocka_unit_test(large_products_agree),
        cmocka_unit_test(other_convolutions_agree), cmocka_unit_test(depthwise_agrees),
        cmocka_unit_test(statistics_do_not_cancel), cmocka_unit_test(additions_agree),
    };
    return cmocka_run_group_tests_name("ops_bn", tests, NULL, NULL);
}
