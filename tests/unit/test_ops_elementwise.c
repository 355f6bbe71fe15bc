/* Addition, accumulation and upsampling of every table against the reference: the same bits, but
 * for the sums of the upsampling's gradient. */
#include <math.h>

#include "support/ops.h"

static void additions_agree(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 3, 4, 5, 15, 16, 17, 33, 130, 65535, 65536, 65537, 200001};
    const struct det_ops *tables[OPS_TABLES_MAX];
    const int tables_count = ops_tables(tables);
    struct ops_rig rig;
    ops_rig_open(&rig);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const size_t count = counts[i];
        float *a = ops_random(count, 1), *b = ops_random(count, 2);
        a[count / 2] = NAN;
        for (int t = 0; t < tables_count; t++) {
            for (int threads = 1; threads <= OPS_THREADS; threads++) {
                const struct det_exec x = ops_exec(&rig, threads, 0);
                float *out = ops_buffer(count, NULL);
                float *onto_a = ops_buffer(count, a), *onto_b = ops_buffer(count, b);
                float *sum = ops_buffer(count, b), *copy = ops_buffer(count, NULL);
                tables[t]->add_forward(&x, (int64_t)count, a, b, out);
                tables[t]->add_forward(&x, (int64_t)count, onto_a, b, onto_a);
                tables[t]->add_forward(&x, (int64_t)count, a, onto_b, onto_b);
                tables[t]->accumulate(&x, (int64_t)count, a, sum, true);
                tables[t]->accumulate(&x, (int64_t)count, a, copy, false);
                for (size_t j = 0; j < count; j++) {
                    if (j == count / 2) {
                        assert_true(isnan(out[j]) && isnan(onto_a[j]) && isnan(onto_b[j]) &&
                                    isnan(sum[j]) && isnan(copy[j]));
                        continue;
                    }
                    const float want = a[j] + b[j];
                    if (out[j] != want || onto_a[j] != want || onto_b[j] != want ||
                        sum[j] != want || copy[j] != a[j])
                        fail_msg("%s: value %zu of %zu", tables[t]->name, j, count);
                }
                ops_free(out);
                ops_free(onto_a);
                ops_free(onto_b);
                ops_free(sum);
                ops_free(copy);
                ops_exec_done(&rig);
            }
        }
        ops_free(a);
        ops_free(b);
    }
    ops_rig_close(&rig);
}

static void check_upsampling(struct ops_rig *rig, int32_t n, int32_t h, int32_t w, int32_t c,
                             int32_t out_h, int32_t out_w, bool accumulate)
{
    const struct det_ops *tables[OPS_TABLES_MAX];
    const int tables_count = ops_tables(tables);
    const size_t low_size = (size_t)n * (size_t)h * (size_t)w * (size_t)c;
    const size_t high_size = (size_t)n * (size_t)out_h * (size_t)out_w * (size_t)c;
    float *low = ops_random(low_size, 1), *high = ops_random(high_size, 2);
    low[low_size / 2] = NAN;
    high[high_size / 3] = NAN;
    float *want = ops_buffer(high_size, NULL), *want_low = ops_buffer(low_size, low);
    const struct det_exec plain = {0};
    det_ops_ref()->upsample_add_forward(&plain, n, h, w, c, out_h, out_w, low, high, want);
    det_ops_ref()->upsample_backward(&plain, n, h, w, c, out_h, out_w, high, want_low, accumulate);
    for (int t = 0; t < tables_count; t++) {
        char name[128];
        snprintf(name, sizeof name, "%s upsampling %dx%dx%dx%d to %dx%d", tables[t]->name, n, h, w,
                 c, out_h, out_w);
        for (int threads = 1; threads <= OPS_THREADS; threads++) {
            const struct det_exec x = ops_exec(rig, threads, 0);
            float *out = ops_buffer(high_size, NULL), *dlow = ops_buffer(low_size, low);
            tables[t]->upsample_add_forward(&x, n, h, w, c, out_h, out_w, low, high, out);
            tables[t]->upsample_backward(&x, n, h, w, c, out_h, out_w, high, dlow, accumulate);
            ops_compare(name, out, want, NULL, false);
            ops_compare(name, dlow, want_low, NULL, false);
            ops_free(out);
            ops_free(dlow);
            ops_exec_done(rig);
        }
    }
    ops_free(low);
    ops_free(high);
    ops_free(want);
    ops_free(want_low);
}

static void upsampling_agrees(void **state)
{
    (void)state;
    static const int32_t channels[] = {1, 3, 8, 16, 17, 33, 128};
    static const int32_t sizes[][2] = {{1, 1}, {1, 5}, {3, 2}, {5, 5}, {20, 20}};
    struct ops_rig rig;
    ops_rig_open(&rig);
    for (size_t c = 0; c < sizeof channels / sizeof channels[0]; c++) {
        for (size_t z = 0; z < sizeof sizes / sizeof sizes[0]; z++) {
            for (int32_t odd = 0; odd < 4; odd++)
                check_upsampling(&rig, 1 + odd % 3, sizes[z][0], sizes[z][1], channels[c],
                                 2 * sizes[z][0] - odd % 2, 2 * sizes[z][1] - odd / 2, odd >= 2);
        }
    }
    ops_rig_close(&rig);
}

int test_ops_elementwise(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(additions_agree),
        cmocka_unit_test(upsampling_agrees),
    };
    return cmocka_run_group_tests_name("ops_elementwise", tests, NULL, NULL);
}
