/* fake_quant: ranges, rounding, gradients and grey levels against ref, to the bit in float32. */
#include <math.h>

#include "cuda/support/device.h"
#include "fake_quant.h"
#include "model/optimizer.h"
#include "model/quantised.h"
#include "ops/ops.h"
#include "optimizer.h"

static const struct det_exec exec = {.pool = NULL};

/* Around a thread's share, a block's, and more than all blocks of a pass have. */
static const size_t counts[] = {1, 7, 8, 9, 17, 2047, 2048, 2049, 30001, 600007};
enum { COUNTS = sizeof counts / sizeof *counts, TENSORS = 5 };

/* Ranges on the device: before this batch, and room for those with it. */
struct device_ranges {
    struct detk_ranges at;
    float *memory;
};

static struct device_ranges open_ranges(const float low[TENSORS], const float high[TENSORS],
                                        float rate)
{
    float values[4 * TENSORS + 1] = {0};
    for (int t = 0; t < TENSORS; t++) {
        values[t] = values[2 * TENSORS + t] = low[t];
        values[TENSORS + t] = values[3 * TENSORS + t] = high[t];
    }
    values[4 * TENSORS] = rate;
    struct device_ranges r = {.memory = test_device_copy(values, sizeof values)};
    r.at = (struct detk_ranges){r.memory, r.memory + TENSORS, r.memory + 2 * TENSORS,
                                r.memory + 3 * TENSORS, r.memory + 4 * TENSORS};
    return r;
}

static void read_ranges(const struct device_ranges *r, float values[4 * TENSORS])
{
    test_device_read(values, r->memory, 4 * TENSORS * sizeof *values);
}

static void ranges_are_averaged(void **state)
{
    (void)state;
    static const float low[TENSORS] = {-1, 0, -.5f, 0, -3}, high[TENSORS] = {1, 0, 2, 6, 0};
    void *workspace = test_device_alloc(detk_learn_range_workspace());
    for (int type = DETK_F32; type <= DETK_BF16; type++) {
        for (size_t i = 0; i < COUNTS; i++) {
            for (int first = 0; first < 2; first++) {
                const enum detk_type t = (enum detk_type)type;
                const float rate = first ? 1 : det_average_rate(.999f, 7);
                float *values = test_values(t, counts[i], (uint32_t)i + 1, 3), seen[2];
                values[counts[i] / 2] = NAN;
                void *device = test_device_values(t, values, counts[i]);
                struct device_ranges r = open_ranges(low, high, rate);
                float got[4 * TENSORS];
                det_ops_ref()->value_range(&exec, (int64_t)counts[i], values, seen);
                assert_cuda(
                    detk_learn_range(0, t, (int64_t)counts[i], device, &r.at, 2, workspace));
                read_ranges(&r, got);
                const float want_low = first ? seen[0] : low[2] + rate * (seen[0] - low[2]);
                const float want_high = first ? seen[1] : high[2] + rate * (seen[1] - high[2]);
                assert_true(got[2] == low[2] && got[TENSORS + 2] == high[2]);
                assert_true(got[2 * TENSORS + 2] == want_low);
                assert_true(got[3 * TENSORS + 2] == want_high);
                assert_true(got[2 * TENSORS + 1] == low[1]);
                /* kept, but not of a batch that is not finite */
                for (int32_t finite = 0; finite < 2; finite++) {
                    const struct detk_step_result found = {.finite = finite, .update = finite};
                    struct detk_step_result *step = test_device_copy(&found, sizeof found);
                    assert_cuda(
                        detk_keep_ranges(0, TENSORS, &r.at, r.at.with_low, 1, 1, NULL, NULL, step));
                    read_ranges(&r, got);
                    assert_true(got[2] == (finite ? want_low : low[2]));
                    assert_true(got[TENSORS + 2] == (finite ? want_high : high[2]));
                    test_device_free(step);
                }
                free(values);
                test_device_free(device);
                test_device_free(r.memory);
            }
        }
    }
    test_device_free(workspace);
}

/* The mean of three batches' ranges, behind the last; one that is not finite changes nothing. */
static void ranges_of_an_update_are_a_mean(void **state)
{
    (void)state;
    enum { BATCHES = 3 };
    static const float low[TENSORS] = {-1, 0, -.5f, 0, -3}, high[TENSORS] = {1, 0, 2, 6, 0};
    struct device_ranges r = open_ranges(low, high, 1);
    float *sums = test_device_alloc(2 * TENSORS * sizeof *sums), got[4 * TENSORS];
    float sum[2 * TENSORS] = {0};
    for (int32_t b = 0; b < BATCHES; b++) {
        float with[2 * TENSORS];
        test_fill(with, 2 * TENSORS, (uint32_t)b + 1);
        assert_cuda(cudaMemcpy(r.at.with_low, with, sizeof with, cudaMemcpyHostToDevice));
        for (int32_t finite = 0; finite < 2; finite++) {
            const bool last = b == BATCHES - 1;
            const struct detk_hyper hyper = {.batches_done = b};
            const struct detk_step_result found = {.finite = finite, .update = finite && last};
            struct detk_hyper *at = test_device_copy(&hyper, sizeof hyper);
            struct detk_step_result *step = test_device_copy(&found, sizeof found);
            assert_cuda(
                detk_keep_ranges(0, TENSORS, &r.at, r.at.with_low, 1, BATCHES, sums, at, step));
            read_ranges(&r, got);
            for (int t = 0; t < 2 * TENSORS; t++) {
                const float before = t < TENSORS ? low[t] : high[t - TENSORS];
                if (finite)
                    sum[t] = b == 0 ? with[t] : sum[t] + with[t];
                assert_true(got[t] == (finite && last ? sum[t] * (float)(1.0 / BATCHES) : before));
            }
            test_device_free(at);
            test_device_free(step);
        }
    }
    test_device_free(sums);
    test_device_free(r.memory);
}

/* Of several ranks the mean over them and the batches, batch after batch, rank after rank, which is
 * the order of one process that has all batches. */
static void ranges_of_ranks_are_a_mean(void **state)
{
    (void)state;
    enum { RANKS = 3, VALUES = 2 * TENSORS };
    static const float low[TENSORS] = {-1, 0, -.5f, 0, -3}, high[TENSORS] = {1, 0, 2, 6, 0};
    for (int32_t ranks = 2; ranks <= RANKS; ranks++)
        for (int32_t batches = 1; batches <= 2; batches++) {
            struct device_ranges r = open_ranges(low, high, 1);
            float *sums = test_device_alloc(VALUES * sizeof *sums), sum[VALUES] = {0};
            float got[4 * TENSORS];
            for (int32_t b = 0; b < batches; b++) {
                const bool last = b + 1 == batches;
                const struct detk_hyper hyper = {.batches_done = b};
                const struct detk_step_result found = {.finite = 1, .update = last};
                float seen[RANKS][VALUES];
                test_fill(seen[0], RANKS * VALUES, (uint32_t)(b + 10 * ranks));
                struct detk_hyper *at = test_device_copy(&hyper, sizeof hyper);
                struct detk_step_result *step = test_device_copy(&found, sizeof found);
                float *all = test_device_copy(seen, sizeof seen);
                assert_cuda(detk_keep_ranges(0, TENSORS, &r.at, all, ranks, batches,
                                             batches > 1 ? sums : NULL, at, step));
                for (int32_t k = 0; k < ranks; k++)
                    for (int t = 0; t < VALUES; t++)
                        sum[t] = b + k == 0 ? seen[k][t] : sum[t] + seen[k][t];
                test_device_free(at);
                test_device_free(step);
                test_device_free(all);
            }
            read_ranges(&r, got);
            for (int t = 0; t < VALUES; t++)
                assert_true(got[t] == sum[t] * (float)(1.0 / (batches * ranks)));
            test_device_free(sums);
            test_device_free(r.memory);
        }
}

static struct det_fake_quant quant_of(float low, float high, bool relu6)
{
    const struct det_q8_tensor t = det_q8_tensor_of((double)low, (double)high);
    struct det_fake_quant q = {.scale = t.scale,
                               .inverse = 1 / t.scale,
                               .least = (float)(-128 - t.zero),
                               .most = (float)(127 - t.zero)};
    q.pass_low = q.least * q.scale;
    q.pass_high = q.most * q.scale;
    if (relu6) {
        q.pass_low = fmaxf(q.pass_low, nextafterf(0, 1));
        q.pass_high = fminf(q.pass_high, nextafterf(6, 0));
    }
    return q;
}

/* Ends, halves, NaN and infinities among the others. */
static void plant(float *values, size_t count, const struct det_fake_quant *q)
{
    const float hostile[] = {
        NAN,          INFINITY,       -INFINITY,       0,     6,    q->pass_low,
        q->pass_high, .5f * q->scale, 1.5f * q->scale, -0.0f, 3e38f};
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile && 3 * i < count; i++)
        values[3 * i] = hostile[i];
}

static void check_rounding(enum detk_type type, size_t count, bool relu6,
                           const struct detk_alike *alike)
{
    static const float low[TENSORS] = {-1, 0, -.5f, 0, -3}, high[TENSORS] = {1, 0, 2, 6, 0};
    float joint_low = 0, joint_high = 0;
    for (int k = 0; k < alike->count; k++) {
        joint_low = fminf(joint_low, low[alike->tensors[k]]);
        joint_high = fmaxf(joint_high, high[alike->tensors[k]]);
    }
    const struct det_fake_quant q = quant_of(joint_low, joint_high, relu6);
    struct device_ranges r = open_ranges(low, high, 1);
    const size_t bytes = (size_t)det_fake_quant_bytes((int64_t)count);
    float *values = test_values(type, count, (uint32_t)count, 4);
    float *gradient = test_values(type, count, 3, 1), *got = malloc(count * sizeof *got);
    plant(values, count, &q);
    test_round(type, values, count);
    void *device = test_device_values(type, values, count);
    void *device_gradient = test_device_values(type, gradient, count);
    uint8_t *passes = malloc(bytes), *got_passes = malloc(bytes);
    uint8_t *device_passes = test_device_alloc(bytes);
    assert_non_null(passes);
    assert_non_null(got_passes);
    det_ops_ref()->fake_quant_forward(&exec, (int64_t)count, &q, values, passes);
    det_ops_ref()->fake_quant_backward(&exec, (int64_t)count, passes, gradient);
    test_round(type, values, count);
    assert_cuda(detk_fake_quant_forward(0, type, (int64_t)count, &r.at, alike, relu6, device,
                                        device_passes));
    assert_cuda(detk_fake_quant_backward(0, type, (int64_t)count, device_passes, device_gradient));
    test_device_read_values(type, got, device, count);
    for (size_t i = 0; i < count; i++)
        if (got[i] != values[i] && !(isnan(got[i]) && isnan(values[i])))
            fail_msg("type %d, value %zu of %zu: %.9g, expected %.9g", (int)type, i, count,
                     (double)got[i], (double)values[i]);
    test_device_read(got_passes, device_passes, bytes);
    assert_memory_equal(got_passes, passes, bytes);
    test_device_read_values(type, got, device_gradient, count);
    for (size_t i = 0; i < count; i++)
        assert_true(got[i] == gradient[i]);
    free(values);
    free(gradient);
    free(got);
    free(passes);
    free(got_passes);
    test_device_free(device);
    test_device_free(device_gradient);
    test_device_free(device_passes);
    test_device_free(r.memory);
}

static void rounding_agrees(void **state)
{
    (void)state;
    static const struct detk_alike alikes[] = {{1, {0}}, {1, {1}}, {1, {3}}, {3, {4, 2, 1}}};
    for (int type = DETK_F32; type <= DETK_BF16; type++)
        for (size_t i = 0; i < COUNTS; i++)
            for (size_t a = 0; a < sizeof alikes / sizeof *alikes; a++)
                check_rounding((enum detk_type)type, counts[i], a == 2, &alikes[a]);
}

static void grey_levels_agree(void **state)
{
    (void)state;
    enum { VALUES = 3001 };
    for (int type = DETK_F32; type <= DETK_BF16; type++) {
        const enum detk_type t = (enum detk_type)type;
        float values[VALUES], got[VALUES];
        for (int i = 0; i < VALUES; i++)
            values[i] =
                (float)(i % 256) * (2.0f / 255) - 1 + (i < 256 ? 0 : .0011f * (float)(i % 3));
        test_round(t, values, VALUES);
        void *device = test_device_values(t, values, VALUES);
        for (int again = 0; again < 2; again++) {
            assert_cuda(detk_round_pixels(0, t, VALUES, device));
            test_device_read_values(t, got, device, VALUES);
            for (int i = 0; i < VALUES; i++) {
                float want = (det_q8_grey_level(values[i]) - 127.5f) / 127.5f;
                test_round(t, &want, 1);
                assert_true(got[i] == want);
                assert_true(i >= 256 || (int)det_q8_grey_level(values[i]) == i);
            }
        }
        test_device_free(device);
    }
}

static void nothing_is_no_work(void **state)
{
    (void)state;
    const struct detk_ranges none = {0};
    const struct detk_alike alone = {1, {0}};
    for (int type = DETK_F32; type <= DETK_BF16; type++) {
        const enum detk_type t = (enum detk_type)type;
        assert_cuda(detk_learn_range(0, t, 0, NULL, &none, 0, NULL));
        assert_cuda(detk_fake_quant_forward(0, t, 0, &none, &alone, false, NULL, NULL));
        assert_cuda(detk_fake_quant_backward(0, t, 0, NULL, NULL));
        assert_cuda(detk_round_pixels(0, t, 0, NULL));
    }
}

int test_cuda_fake_quant(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_averaged),
        cmocka_unit_test(ranges_of_an_update_are_a_mean),
        cmocka_unit_test(ranges_of_ranks_are_a_mean),
        cmocka_unit_test(rounding_agrees),
        cmocka_unit_test(grey_levels_agree),
        cmocka_unit_test(nothing_is_no_work),
    };
    return cmocka_run_group_tests_name("cuda_fake_quant", tests, NULL, NULL);
}
