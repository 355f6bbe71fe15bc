/* Batch norm and column sums of every table against the reference. */
#include <math.h>

#include "support/ops.h"

struct bn_case {
    int64_t rows;
    int32_t c;
    enum det_activation act;
    bool accumulate, in_place; /* in_place: din is dout */
    float offset, spread;      /* of the input */
    bool nan, far_head;        /* far_head: the first rows are far off the rest */
};

struct bn_data {
    float *in, *gamma, *beta, *mean, *variance, *dout, *old;
};

enum { FORWARD, BACKWARD, FROZEN_FORWARD, FROZEN_BACKWARD, BIAS, OPS };
static const char *const op_names[OPS] = {"bn_forward", "bn_backward", "bn_frozen_forward",
                                          "bn_frozen_backward", "bias_backward"};

/* Up to three outputs. */
struct bn_result {
    float *values[3];
};

static const float epsilon = 1e-3f;

static void free_result(struct bn_result *r)
{
    for (int i = 0; i < 3; i++)
        ops_free(r->values[i]);
}

static struct bn_result run(const struct det_ops *ops, struct ops_rig *rig, int threads,
                            const struct bn_case *k, const struct bn_data *d, int op)
{
    const size_t count = (size_t)k->rows * (size_t)k->c, c = (size_t)k->c;
    const struct det_exec x = ops_exec(rig, threads, ops->bn_workspace(k->rows, k->c, threads));
    struct bn_result r = {{NULL, NULL, NULL}};
    if (op == FORWARD) {
        r.values[0] = ops_buffer(count, NULL);
        r.values[1] = ops_buffer(c, NULL);
        r.values[2] = ops_buffer(c, NULL);
        ops->bn_forward(&x, k->rows, k->c, d->in, d->gamma, d->beta, epsilon, k->act, r.values[0],
                        r.values[1], r.values[2]);
    } else if (op == FROZEN_FORWARD) {
        r.values[0] = ops_buffer(count, NULL);
        ops->bn_frozen_forward(&x, k->rows, k->c, d->in, d->gamma, d->beta, d->mean, d->variance,
                               epsilon, k->act, r.values[0]);
    } else if (op == BIAS) {
        r.values[0] = ops_buffer(c, k->accumulate ? d->gamma : NULL);
        ops->bias_backward(&x, k->rows, k->c, d->dout, r.values[0], k->accumulate);
    } else {
        r.values[0] = ops_buffer(count, k->accumulate ? d->old : k->in_place ? d->dout : NULL);
        r.values[1] = ops_buffer(c, NULL);
        r.values[2] = ops_buffer(c, NULL);
        (op == BACKWARD ? ops->bn_backward : ops->bn_frozen_backward)(
            &x, k->rows, k->c, d->in, k->in_place && !k->accumulate ? r.values[0] : d->dout,
            d->gamma, d->beta, d->mean, d->variance, epsilon, k->act, r.values[0], k->accumulate,
            r.values[1], r.values[2]);
    }
    ops_exec_done(rig);
    return r;
}

static void free_data(struct bn_data *d)
{
    ops_free(d->in);
    ops_free(d->gamma);
    ops_free(d->beta);
    ops_free(d->mean);
    ops_free(d->variance);
    ops_free(d->dout);
    ops_free(d->old);
}

static struct bn_data make_data(struct ops_rig *rig, const struct bn_case *k, uint32_t seed)
{
    const size_t count = (size_t)k->rows * (size_t)k->c, c = (size_t)k->c;
    struct bn_data d = {
        .in = ops_random(count, seed),
        .gamma = ops_random(c, seed + 1),
        .beta = ops_random(c, seed + 2),
        .dout = ops_random(count, seed + 3),
        .old = ops_random(count, seed + 4),
    };
    for (size_t i = 0; i < count; i++)
        d.in[i] =
            d.in[i] * k->spread + k->offset + (k->far_head && i / c < 20 ? 1000 * k->spread : 0);
    if (k->nan) {
        d.in[count / 2] = NAN;
        d.dout[count / 3] = NAN;
    }
    for (size_t j = 0; j < c; j++) {
        d.gamma[j] = d.gamma[j] * 3 + 1; /* some negative */
        d.beta[j] += 2;
    }
    /* Mean and variance as the forward pass gives them. */
    struct bn_result r = run(det_ops_ref(), rig, 1, k, &d, FORWARD);
    ops_free(r.values[0]);
    d.mean = r.values[1];
    d.variance = r.values[2];
    return d;
}

/* Squares of the size of each result's terms. */
static struct bn_result norms(const struct bn_case *k, const struct bn_data *d, int op)
{
    const size_t count = (size_t)k->rows * (size_t)k->c, c = (size_t)k->c;
    struct bn_result r = {{NULL, NULL, NULL}};
    if (op == BIAS) {
        r.values[0] = ops_buffer(c, NULL);
        for (size_t j = 0; j < c; j++) {
            r.values[0][j] = d->gamma[j] * d->gamma[j];
            for (size_t i = j; i < count; i += c)
                r.values[0][j] += d->dout[i] * d->dout[i];
        }
        return r;
    }
    r.values[0] = ops_buffer(count, NULL);
    r.values[1] = ops_buffer(c, NULL);
    r.values[2] = ops_buffer(c, NULL);
    for (size_t j = 0; j < c; j++) {
        const double mean = d->mean[j], variance = (double)d->variance[j] + (double)epsilon;
        const double scale = d->gamma[j] / sqrt(variance), shrink = 1 / (double)k->rows;
        double gradients = 0, products = 0;
        for (size_t i = j; i < count; i += c) {
            const double dy = d->dout[i], x = d->in[i] - mean;
            gradients += dy * dy;
            products += dy * dy * x * x / variance;
        }
        for (size_t i = j; i < count; i += c) {
            const double x = fabs(d->in[i] - mean) / sqrt(variance), beta = d->beta[j];
            const double roundings = fabs(scale * mean) * 0.01; /* of the mean itself, 1e-7 */
            double size = fabs(d->gamma[j] * x) + fabs(beta) + roundings;
            if (op == BACKWARD || op == FROZEN_BACKWARD)
                size = fabs(scale) * (fabs((double)d->dout[i]) + sqrt(gradients) * shrink +
                                      (x + roundings) * sqrt(products) * shrink) +
                       fabs((double)d->old[i]);
            r.values[0][i] = (float)(size * size);
        }
        if (op == FORWARD) {
            r.values[1][j] = (float)(mean * mean * 1e-4 + (double)d->variance[j]);
            r.values[2][j] = d->variance[j] * d->variance[j];
        } else {
            r.values[1][j] = (float)products;
            r.values[2][j] = (float)gradients;
        }
    }
    return r;
}

/* An output of exactly 0 or 6 has rounding on its side of the kink; values there do not count in
 * the comparison of gradients because both tables get the same `out`. */
static void check_case(struct ops_rig *rig, const struct bn_case *k, uint32_t seed)
{
    const struct det_ops *tables[OPS_TABLES_MAX];
    const int count = ops_tables(tables);
    struct bn_data d = make_data(rig, k, seed);
    for (int op = 0; op < OPS; op++) {
        struct bn_result want = run(det_ops_ref(), rig, 1, k, &d, op);
        struct bn_result norm2 = norms(k, &d, op);
        for (int t = 0; t < count; t++) {
            char name[160];
            snprintf(name, sizeof name,
                     "%s %s rows %lld c %d act %d accumulate %d in place %d offset %g spread %g",
                     tables[t]->name, op_names[op], (long long)k->rows, k->c, k->act, k->accumulate,
                     k->in_place, (double)k->offset, (double)k->spread);
            struct bn_result got = run(tables[t], rig, 1, k, &d, op);
            for (int i = 0; i < 3 && want.values[i] != NULL; i++)
                ops_compare(name, got.values[i], want.values[i], norm2.values[i], false);
            for (int threads = 2; threads <= OPS_THREADS; threads++) {
                struct bn_result again = run(tables[t], rig, threads, k, &d, op);
                for (int i = 0; i < 3 && want.values[i] != NULL; i++)
                    ops_same(name, again.values[i], got.values[i]);
                free_result(&again);
            }
            free_result(&got);
        }
        free_result(&want);
        free_result(&norm2);
    }
    free_data(&d);
}

static void tables_agree(void **state)
{
    (void)state;
    static const int32_t channels[] = {1, 3, 7, 8, 15, 16, 17, 24, 31, 32, 33, 96, 130};
    static const int64_t rows[] = {2, 3, 5, 16, 17, 67, 255, 256, 259, 800};
    struct ops_rig rig;
    ops_rig_open(&rig);
    uint32_t flags = 0;
    for (size_t c = 0; c < sizeof channels / sizeof channels[0]; c++) {
        for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++, flags += 5) {
            const struct bn_case k = {
                .rows = rows[r],
                .c = channels[c],
                .act = (flags & 1) != 0 ? DET_ACTIVATION_RELU6 : DET_ACTIVATION_NONE,
                .accumulate = (flags & 2) != 0,
                .in_place = (flags & 4) != 0,
                .nan = (flags & 24) == 24,
                .spread = 2,
                .offset = (flags & 32) != 0 ? 0.5f : 0,
            };
            check_case(&rig, &k, flags);
        }
    }
    ops_rig_close(&rig);
}

/* Many chunks, and inputs whose naive variance would cancel. */
static void hostile_statistics_agree(void **state)
{
    (void)state;
    static const struct bn_case cases[] = {
        {.rows = 20000, .c = 17, .spread = 1},
        {.rows = 40000, .c = 8, .spread = 1, .act = DET_ACTIVATION_RELU6},
        {.rows = 1500, .c = 130, .spread = 1, .act = DET_ACTIVATION_RELU6},
        {.rows = 20000, .c = 7, .spread = 1, .offset = 100},
        {.rows = 5000, .c = 33, .spread = 0.01f, .offset = 10},
        {.rows = 5000, .c = 33, .spread = 1, .offset = -100, .accumulate = true},
        {.rows = 20000, .c = 16, .spread = 1, .far_head = true},
        {.rows = 5000, .c = 24, .spread = 0, .offset = 3},
        {.rows = 1, .c = 24, .spread = 1},
        {.rows = 70000, .c = 1, .spread = 1, .in_place = true},
    };
    struct ops_rig rig;
    ops_rig_open(&rig);
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_case(&rig, &cases[i], i + 1);
    ops_rig_close(&rig);
}

/* The variance alone, to a digit's worth of a float, for a mean a thousand times the deviation. */
static void variance_does_not_cancel(void **state)
{
    (void)state;
    const struct bn_case k = {.rows = 30000, .c = 19, .spread = 1, .offset = 1000};
    struct ops_rig rig;
    ops_rig_open(&rig);
    struct bn_data d = make_data(&rig, &k, 3);
    const struct det_ops *tables[OPS_TABLES_MAX];
    const int count = ops_tables(tables);
    for (int t = 0; t < count; t++) {
        struct bn_result r = run(tables[t], &rig, 2, &k, &d, FORWARD);
        for (int32_t j = 0; j < k.c; j++) {
            assert_near(r.values[2][j], d.variance[j], 1e-6 * (double)d.variance[j]);
            assert_near(r.values[1][j], d.mean[j], 1e-4); /* an ulp is 6e-5 */
        }
        free_result(&r);
    }
    free_data(&d);
    ops_rig_close(&rig);
}

int test_ops_bn(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_agree),
        cmocka_unit_test(hostile_statistics_agree),
        cmocka_unit_test(variance_does_not_cancel),
    };
    return cmocka_run_group_tests_name("ops_bn", tests, NULL, NULL);
}
