/* elementwise: additions and upsampling against ref; casts, levels and the finite check against
 * their definitions. */
#include <math.h>

#include "cuda/support/device.h"
#include "elementwise.h"
#include "ops/ops.h"

static const struct det_exec exec = {.pool = NULL};

/* Sums of two values of `type` round once: the bound is the type's, the float sum is exact. */
static void check(const char *what, enum detk_type type, const void *device, const float *wanted,
                  size_t count)
{
    float *got = malloc((count + 1) * sizeof *got);
    assert_non_null(got);
    test_device_read_values(type, got, device, count);
    const double error = test_relative_l2(got, wanted, count);
    if (!(error <= (type == DETK_F32 ? 1e-7 : 1.0 / 256)))
        fail_msg("%s: type %d, %zu values: relative error %.3g", what, (int)type, count, error);
    free(got);
}

/* Around a vector, a block's share, and several of these. */
static const size_t counts[] = {1, 3, 4, 5, 8, 9, 1023, 4095, 4096, 4097, 8193, 20001};

static void sums_agree(void **state)
{
    (void)state;
    for (int type = DETK_F32; type <= DETK_BF16; type++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            for (int accumulate = 0; accumulate < 2; accumulate++) {
                const enum detk_type t = (enum detk_type)type;
                const size_t count = counts[i];
                float *a = test_values(t, count, 1, 1), *b = test_values(t, count, 2, 1),
                      *sum = test_values(t, count, 3, 1);
                void *device_a = test_device_values(t, a, count);
                void *device_b = test_device_values(t, b, count);
                void *out = test_device_values(t, sum, count);
                det_ops_ref()->add_forward(&exec, (int64_t)count, a, b, sum);
                assert_cuda(detk_add(0, t, (int64_t)count, device_a, device_b, out));
                check("add", t, out, sum, count);
                det_ops_ref()->accumulate(&exec, (int64_t)count, a, b, accumulate);
                assert_cuda(detk_accumulate(0, t, (int64_t)count, device_a, device_b, accumulate));
                check("accumulate", t, device_b, b, count);
                free(a);
                free(b);
                free(sum);
                test_device_free(device_a);
                test_device_free(device_b);
                test_device_free(out);
            }
    assert_cuda(detk_add(0, DETK_F32, 0, NULL, NULL, NULL));
}

struct grid {
    int32_t n, h, w, c, out_h, out_w;
};
static const struct grid grids[] = {
    {1, 1, 1, 1, 1, 1},  {1, 1, 1, 8, 2, 2},       {2, 3, 5, 7, 5, 10}, {1, 4, 3, 24, 8, 5},
    {3, 2, 2, 33, 3, 3}, {1, 10, 10, 128, 20, 20}, {2, 5, 5, 4, 10, 9},
};

static void upsampling_agrees(void **state)
{
    (void)state;
    for (int type = DETK_F32; type <= DETK_BF16; type++)
        for (size_t i = 0; i < sizeof grids / sizeof *grids; i++)
            for (int accumulate = 0; accumulate < 2; accumulate++) {
                const enum detk_type t = (enum detk_type)type;
                const struct grid g = grids[i];
                const size_t low_count = (size_t)g.n * (size_t)g.h * (size_t)g.w * (size_t)g.c;
                const size_t count = (size_t)g.n * (size_t)g.out_h * (size_t)g.out_w * (size_t)g.c;
                float *low = test_values(t, low_count, 1, 1), *fine = test_values(t, count, 2, 1);
                float *out = test_values(t, count, 3, 1);
                void *device_low = test_device_values(t, low, low_count);
                void *device_fine = test_device_values(t, fine, count);
                det_ops_ref()->upsample_add_forward(&exec, g.n, g.h, g.w, g.c, g.out_h, g.out_w,
                                                    low, fine, out);
                det_ops_ref()->upsample_backward(&exec, g.n, g.h, g.w, g.c, g.out_h, g.out_w, fine,
                                                 low, accumulate);
                void *dlow = test_device_alloc(low_count * sizeof(float));
                assert_cuda(detk_accumulate(0, t, (int64_t)low_count, device_low, dlow, false));
                assert_cuda(detk_upsample_backward(0, t, g.n, g.h, g.w, g.c, g.out_h, g.out_w,
                                                   device_fine, dlow, accumulate));
                check("upsample backward", t, dlow, low, low_count);
                /* In place. */
                assert_cuda(detk_upsample_add(0, t, g.n, g.h, g.w, g.c, g.out_h, g.out_w,
                                              device_low, device_fine, device_fine));
                check("upsample", t, device_fine, out, count);
                free(low);
                free(fine);
                free(out);
                test_device_free(device_low);
                test_device_free(device_fine);
                test_device_free(dlow);
            }
}

static void casts_round_to_nearest_even(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t offset = 0; offset < 3; offset++) {
            const size_t count = counts[i];
            float *values = test_values(DETK_F32, count, 1, 1),
                  *wanted = malloc(count * sizeof *wanted);
            float *got = malloc(count * sizeof *got);
            if (count > 5) {
                values[2] = NAN;
                values[3] = INFINITY;
                values[4] = 1.00390625f; /* between two: to the even one */
                values[5] = 1.01171875f;
            }
            memcpy(wanted, values, count * sizeof *wanted);
            test_round(DETK_BF16, wanted, count);
            float *from = test_device_copy(values, count * sizeof *values);
            float *back = test_device_alloc(count * sizeof *back);
            uint16_t *halves = test_device_alloc((count + offset) * sizeof *halves);
            assert_cuda(detk_cast_to_bf16(0, (int64_t)count, from, halves + offset));
            assert_cuda(detk_cast_to_f32(0, (int64_t)count, halves + offset, back));
            test_device_read(got, back, count * sizeof *got);
            for (size_t k = 0; k < count; k++)
                if (isnan(wanted[k]) ? !isnan(got[k]) : !(got[k] == wanted[k]))
                    fail_msg("%g becomes %g, expected %g", (double)values[k], (double)got[k],
                             (double)wanted[k]);
            free(values);
            free(wanted);
            free(got);
            test_device_free(from);
            test_device_free(back);
            test_device_free(halves);
        }
}

/* Each flat value comes from its place and goes back there. */
static void levels_are_copied(void **state)
{
    (void)state;
    enum { LEVELS = 3, WIDTH = 5, PER_CELL = 2, BATCH = 2 };
    static const int64_t cells[LEVELS] = {60, 12, 1};
    for (int type = DETK_F32; type <= DETK_BF16; type++) {
        const enum detk_type t = (enum detk_type)type;
        struct detk_levels levels = {.levels = LEVELS, .n = BATCH, .width = WIDTH};
        float *values[LEVELS];
        for (int l = 0; l < LEVELS; l++) {
            levels.values[l] = cells[l] * PER_CELL * WIDTH;
            levels.anchors += cells[l] * PER_CELL;
            values[l] = test_values(DETK_F32, (size_t)levels.values[l] * BATCH, (uint32_t)l, 1);
            levels.tensor[l] =
                test_device_values(DETK_F32, values[l], (size_t)levels.values[l] * BATCH);
        }
        const size_t of_image = (size_t)levels.anchors * WIDTH;
        float *flat = malloc(of_image * BATCH * sizeof *flat);
        float *device = test_device_alloc(of_image * BATCH * sizeof *flat);
        assert_cuda(detk_gather_levels(0, &levels, device));
        test_device_read(flat, device, of_image * BATCH * sizeof *flat);
        size_t at = 0;
        for (int n = 0; n < BATCH; n++)
            for (int l = 0; l < LEVELS; l++)
                for (int64_t i = 0; i < levels.values[l]; i++)
                    assert_near(flat[at++], values[l][(int64_t)n * levels.values[l] + i], 0);
        /* Back into other tensors. */
        for (int l = 0; l < LEVELS; l++) {
            const size_t count = (size_t)levels.values[l] * BATCH;
            test_device_free(levels.tensor[l]);
            levels.tensor[l] = test_device_alloc(count * (t == DETK_F32 ? 4 : 2));
        }
        assert_cuda(detk_scatter_levels(0, t, &levels, device));
        for (int l = 0; l < LEVELS; l++) {
            check("scatter", t, levels.tensor[l], values[l], (size_t)levels.values[l] * BATCH);
            test_device_free(levels.tensor[l]);
            free(values[l]);
        }
        free(flat);
        test_device_free(device);
    }
}

static int32_t flag_after(enum detk_type type, const float *values, size_t count, int32_t before)
{
    void *device = test_device_values(type, values, count);
    int32_t *flag = test_device_copy(&before, sizeof before), after;
    assert_cuda(detk_check_finite(0, type, (int64_t)count, device, flag));
    test_device_read(&after, flag, sizeof after);
    test_device_free(device);
    test_device_free(flag);
    return after;
}

static void non_finite_values_are_found(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int type = DETK_F32; type <= DETK_BF16; type++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            const enum detk_type t = (enum detk_type)type;
            float *values = test_values(t, counts[i], 1, 1);
            values[0] = 3e38f;
            test_round(t, values, 1);
            assert_int_equal(flag_after(t, values, counts[i], 1), 1);
            assert_int_equal(flag_after(t, values, counts[i], 0), 0);
            /* The first, one in the middle, the last; each kind at each place. */
            for (size_t k = 0; k < 9; k++) {
                const size_t at = k / 3 * (counts[i] - 1) / 2;
                const float kept = values[at];
                values[at] = bad[k % 3];
                assert_int_equal(flag_after(t, values, counts[i], 1), 0);
                values[at] = kept;
            }
            free(values);
        }
}

int test_cuda_elementwise(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_agree),
        cmocka_unit_test(upsampling_agrees),
        cmocka_unit_test(casts_round_to_nearest_even),
        cmocka_unit_test(levels_are_copied),
        cmocka_unit_test(non_finite_values_are_found),
    };
    return cmocka_run_group_tests_name("cuda_elementwise", tests, NULL, NULL);
}
