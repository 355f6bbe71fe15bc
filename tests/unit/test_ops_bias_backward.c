/* Column sums (gradients of biases) of every table against the reference. */
#include <math.h>

#include "support/ops.h"

struct bias_case {
    int64_t rows;
    int32_t c;
    bool accumulate, nan;
    float offset;
};

static float *run(const struct det_ops *ops, struct ops_rig *rig, int threads,
                  const struct bias_case *k, const float *dout, const float *old)
{
    const struct det_exec x = ops_exec(rig, threads, ops->bias_workspace(k->rows, k->c));
    float *to = ops_buffer((size_t)k->c, k->accumulate ? old : NULL);
    ops->bias_backward(&x, k->rows, k->c, dout, to, k->accumulate);
    ops_exec_done(rig);
    return to;
}

static void check_case(struct ops_rig *rig, const struct bias_case *k, uint32_t seed)
{
    const struct det_ops *tables[OPS_TABLES_MAX];
    const int count = ops_tables(tables);
    const size_t values = (size_t)k->rows * (size_t)k->c, c = (size_t)k->c;
    float *dout = ops_random(values, seed), *old = ops_random(c, seed + 1);
    float *norm2 = ops_buffer(c, NULL); /* squares of the size of a sum's terms */
    for (size_t i = 0; i < values; i++)
        dout[i] += k->offset;
    for (size_t j = 0; j < c; j++) {
        norm2[j] = old[j] * old[j];
        for (size_t i = j; i < values; i += c)
            norm2[j] += dout[i] * dout[i];
    }
    if (k->nan)
        dout[values / 3] = NAN;
    float *want = run(det_ops_ref(), rig, 1, k, dout, old);
    for (int t = 0; t < count; t++) {
        char name[120];
        snprintf(name, sizeof name, "%s rows %lld c %d accumulate %d nan %d", tables[t]->name,
                 (long long)k->rows, k->c, k->accumulate, k->nan);
        float *got = run(tables[t], rig, 1, k, dout, old);
        ops_compare(name, got, want, norm2, false);
        for (int threads = 2; threads <= OPS_THREADS; threads++) {
            float *again = run(tables[t], rig, threads, k, dout, old);
            ops_same(name, again, got);
            ops_free(again);
        }
        ops_free(got);
    }
    ops_free(want);
    ops_free(norm2);
    ops_free(dout);
    ops_free(old);
}

static void tables_agree(void **state)
{
    (void)state;
    static const int32_t channels[] = {1, 3, 7, 8, 15, 16, 17, 24, 31, 32, 33, 96, 130};
    static const int64_t rows[] = {1, 2, 3, 5, 16, 17, 67, 255, 256, 259, 800};
    struct ops_rig rig;
    ops_rig_open(&rig);
    uint32_t flags = 0;
    for (size_t c = 0; c < sizeof channels / sizeof channels[0]; c++) {
        for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++, flags += 5) {
            const struct bias_case k = {
                .rows = rows[r],
                .c = channels[c],
                .accumulate = (flags & 2) != 0,
                .nan = (flags & 24) == 24,
                .offset = (flags & 32) != 0 ? 0.5f : 0,
            };
            check_case(&rig, &k, flags);
        }
    }
    ops_rig_close(&rig);
}

/* Many chunks. */
static void long_columns_agree(void **state)
{
    (void)state;
    static const struct bias_case cases[] = {
        {.rows = 20000, .c = 17},
        {.rows = 40000, .c = 8, .accumulate = true},
        {.rows = 1500, .c = 130, .nan = true},
        {.rows = 20000, .c = 7, .offset = 100},
        {.rows = 70000, .c = 1},
    };
    struct ops_rig rig;
    ops_rig_open(&rig);
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_case(&rig, &cases[i], i + 1);
    ops_rig_close(&rig);
}

int test_ops_bias_backward(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_agree),
        cmocka_unit_test(long_columns_agree),
    };
    return cmocka_run_group_tests_name("ops_bias_backward", tests, NULL, NULL);
}
