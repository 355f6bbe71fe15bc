/* Training with 8 bits in it: every table gives the reference's bits; the reference's gradient is
 * the slope of what rounding leaves of a line. */
#include <math.h>

#include "model/quantised.h"
#include "support/ops.h"

/* Of a range as networks have it, with relu6's limits or without. */
static struct det_fake_quant quant_of(double low, double high, bool relu6)
{
    const struct det_q8_tensor t = det_q8_tensor_of(low, high);
    struct det_fake_quant q = {.scale = t.scale,
                               .inverse = 1 / t.scale,
                               .least = (float)(-128 - t.zero),
                               .most = (float)(127 - t.zero)};
    q.pass_low = relu6 ? nextafterf(0, 1) : q.least * q.scale;
    q.pass_high = relu6 ? nextafterf(6, 0) : q.most * q.scale;
    return q;
}

static const struct {
    double low, high;
    bool relu6;
} ranges[] = {{0, 6, true},  {-1, 1, false},    {-.3, 2, false},     {-4, 0, false},
              {0, 0, false}, {0, 1e-20, false}, {-1e30, 1e30, false}};
enum { RANGES = sizeof ranges / sizeof ranges[0] };

/* What hides in tensors: nothing, ends, halves, neighbours of ends, NaN and infinities. */
static void plant(float *values, size_t count, const struct det_fake_quant *q)
{
    const float hostile[] = {0,
                             -0.0f,
                             q->pass_low,
                             q->pass_high,
                             nextafterf(q->pass_low, -INFINITY),
                             nextafterf(q->pass_high, INFINITY),
                             .5f * q->scale,
                             1.5f * q->scale,
                             -.5f * q->scale,
                             NAN,
                             INFINITY,
                             -INFINITY,
                             1e-40f,
                             3e38f,
                             -3e38f};
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++)
        if (2 * i < count)
            values[2 * i] = hostile[i];
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++)
        if (2 * i + 1 < count)
            values[count - 1 - i] = hostile[i];
}

static const size_t counts[] = {1,  2,  7,  8,  9,   15,    16,    17,    31,
                                32, 33, 47, 64, 127, 65535, 65536, 65537, 200003};
enum { COUNTS = sizeof counts / sizeof counts[0] };

static void check_bits(const char *what, const uint8_t *got, const uint8_t *want, size_t count)
{
    for (size_t i = 0; i < (size_t)det_fake_quant_bytes((int64_t)count); i++)
        if (got[i] != want[i])
            fail_msg("%s: bits %zu are %02x, expected %02x", what, i, got[i], want[i]);
}

static void check_table(struct ops_rig *rig, const struct det_ops *ops, size_t count, int range)
{
    const struct det_fake_quant q =
        quant_of(ranges[range].low, ranges[range].high, ranges[range].relu6);
    const struct det_exec plain = {0};
    const struct det_ops *ref = det_ops_ref();
    const size_t bytes = (size_t)det_fake_quant_bytes((int64_t)count);
    float *values = ops_random(count, (uint32_t)(count + (size_t)range));
    for (size_t i = 0; i < count; i++)
        values[i] *= 1.3f * (q.pass_high > -q.pass_low ? q.pass_high : -q.pass_low);
    plant(values, count, &q);
    float *want = ops_buffer(count, values), *gradient = ops_random(count, 9), seen[2], range_of[2];
    uint8_t *wanted = malloc(bytes), *passes = malloc(bytes + 1);
    char what[128];
    ref->value_range(&plain, (int64_t)count, values, seen);
    ref->fake_quant_forward(&plain, (int64_t)count, &q, want, wanted);
    float *want_gradient = ops_buffer(count, gradient);
    gradient[count / 2] = want_gradient[count / 2] = NAN;
    ref->fake_quant_backward(&plain, (int64_t)count, wanted, want_gradient);
    for (int threads = 1; threads <= OPS_THREADS; threads++) {
        snprintf(what, sizeof what, "%s: %zu values of range %d, %d threads", ops->name, count,
                 range, threads);
        const struct det_exec x =
            ops_exec(rig, threads, ops->value_range_workspace((int64_t)count));
        float *got = ops_buffer(count, values), *din = ops_buffer(count, gradient);
        memset(passes, 0xa5, bytes + 1);
        ops->value_range(&x, (int64_t)count, values, range_of);
        assert_memory_equal(range_of, seen, sizeof seen);
        ops->fake_quant_forward(&x, (int64_t)count, &q, got, passes);
        ops_same(what, got, want);
        check_bits(what, passes, wanted, count);
        assert_int_equal(passes[bytes], 0xa5);
        ops->fake_quant_backward(&x, (int64_t)count, passes, din);
        ops_same(what, din, want_gradient);
        const struct det_fake_quant none = {.pass_low = q.pass_low, .pass_high = q.pass_high};
        float *same = ops_buffer(count, values);
        ops->fake_quant_forward(&x, (int64_t)count, &none, same, passes);
        ops_same(what, same, values);
        check_bits(what, passes, wanted, count);
        ops_free(got);
        ops_free(din);
        ops_free(same);
        ops_exec_done(rig);
    }
    ops_free(values);
    ops_free(want);
    ops_free(gradient);
    ops_free(want_gradient);
    free(wanted);
    free(passes);
}

static void tables_agree_to_the_bit(void **state)
{
    (void)state;
    const struct det_ops *tables[OPS_TABLES_MAX];
    const int tables_count = ops_tables(tables);
    struct ops_rig rig;
    ops_rig_open(&rig);
    for (int t = 0; t < tables_count; t++)
        for (int i = 0; i < COUNTS; i++)
            for (int r = 0; r < RANGES; r++)
                check_table(&rig, tables[t], counts[i], r);
    ops_rig_close(&rig);
}

/* The numbers are those that 8 bits have: what det_q8_of() stores and det_q8_real() reads. */
static void values_are_those_of_8_bits(void **state)
{
    (void)state;
    const struct det_exec plain = {0};
    for (int r = 0; r < 4; r++) {
        const struct det_q8_tensor t = det_q8_tensor_of(ranges[r].low, ranges[r].high);
        const struct det_fake_quant q = quant_of(ranges[r].low, ranges[r].high, false);
        for (int i = -3000; i <= 3000; i++) {
            float value = (float)i * .0031f;
            uint8_t passes = 0;
            const float stored = det_q8_real(det_q8_of(value, t.scale, t.zero), t.scale, t.zero);
            det_ops_ref()->fake_quant_forward(&plain, 1, &q, &value, &passes);
            assert_near(value, stored, 1e-6);
        }
    }
}

/* Straight through: over a whole number of steps the rounded value rises like a line of slope 1
 * inside the range, of slope 0 outside; there and only there the gradient passes. */
static void gradient_is_the_slope_over_steps(void **state)
{
    (void)state;
    const struct det_exec plain = {0};
    for (int r = 0; r < 4; r++) {
        const struct det_fake_quant q = quant_of(ranges[r].low, ranges[r].high, false);
        const float step = 4 * q.scale;
        for (int i = -2000; i <= 2000; i++) {
            const float at = (float)i * .0047f;
            float below = at - step, above = at + step, value = at, gradient = 1;
            uint8_t passes = 0;
            if (fabsf(at - q.pass_low) <= step || fabsf(at - q.pass_high) <= step)
                continue; /* the slope is that of both sides */
            det_ops_ref()->fake_quant_forward(&plain, 1, &q, &below, &passes);
            det_ops_ref()->fake_quant_forward(&plain, 1, &q, &above, &passes);
            det_ops_ref()->fake_quant_forward(&plain, 1, &q, &value, &passes);
            det_ops_ref()->fake_quant_backward(&plain, 1, &passes, &gradient);
            assert_near((above - below) / (2 * step), gradient, .13);
            assert_true(gradient == (at > q.pass_low && at < q.pass_high ? 1 : 0));
        }
    }
}

int test_ops_fake_quant(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_agree_to_the_bit),
        cmocka_unit_test(values_are_those_of_8_bits),
        cmocka_unit_test(gradient_is_the_slope_over_steps),
    };
    return cmocka_run_group_tests_name("ops_fake_quant", tests, NULL, NULL);
}
