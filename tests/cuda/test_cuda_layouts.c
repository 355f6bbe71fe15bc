/* kernels/bias_act.h and kernels/filter_layout.h against a few lines of C. */
#include <math.h>

#include "bias_act.h"
#include "cuda/support/device.h"
#include "filter_layout.h"

/* The same bits, or both NaN. */
static void assert_same(const float *got, const float *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!(got[i] == wanted[i]) && !(isnan(got[i]) && isnan(wanted[i])))
            fail_msg("value %zu of %zu: got %g, expected %g", i, count, (double)got[i],
                     (double)wanted[i]);
    }
}

/* NaN among the values at the start, in the middle and at the end, and among the biases; infinities
 * too. */
static void check_bias_act(enum detk_type type, int64_t rows, int32_t c, bool bias,
                           enum det_activation act)
{
    const size_t count = (size_t)rows * (size_t)c;
    float *values = test_values(type, count, 1, 8), *b = test_values(DETK_F32, (size_t)c, 2, 1);
    values[count / 2] = INFINITY;
    values[count / 3] = -INFINITY;
    values[0] = values[count / 2 - count / 4] = values[count - 1] = NAN;
    if (rows % 2 == 0)
        b[c - 1] = NAN;
    float *wanted = malloc((count + 1) * sizeof *wanted);
    assert_non_null(wanted);
    for (size_t i = 0; i < count; i++) {
        const float x = bias ? values[i] + b[i % (size_t)c] : values[i];
        wanted[i] = act == DET_ACTIVATION_NONE ? x : x < 0 ? 0 : x > 6 ? 6 : x;
    }
    test_round(type, wanted, count);
    void *device = test_device_values(type, values, count);
    float *device_bias = test_device_copy(b, (size_t)c * sizeof *b);
    assert_cuda(detk_bias_act(0, type, rows, c, bias ? device_bias : NULL, act, device));
    test_device_read_values(type, values, device, count);
    assert_same(values, wanted, count);
    test_device_free(device);
    test_device_free(device_bias);
    free(values);
    free(b);
    free(wanted);
}

static void bias_act(void **state)
{
    (void)state;
    static const int32_t channels[] = {1, 3, 4, 8, 12, 17, 24, 33, 576};
    static const int64_t rows[] = {1, 2, 63, 64, 65, 400};
    for (int type = DETK_F32; type <= DETK_BF16; type++)
        for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
            for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
                check_bias_act(type, rows[k], channels[i], true, DET_ACTIVATION_NONE);
                check_bias_act(type, rows[k], channels[i], true, DET_ACTIVATION_RELU6);
                check_bias_act(type, rows[k], channels[i], false, DET_ACTIVATION_RELU6);
            }
    /* More than the most blocks take at once. */
    check_bias_act(DETK_F32, 4097, 1030, true, DET_ACTIVATION_RELU6);
}

static void check_filter(enum detk_type type, int32_t kernel, int32_t in_c, int32_t out_c)
{
    const struct det_conv_shape s = det_conv_same(1, 8, 8, in_c, out_c, kernel, 1);
    const size_t taps = (size_t)(kernel * kernel * in_c), count = taps * (size_t)out_c;
    float *hwio = test_values(DETK_F32, count, 1, 1), *old = test_values(DETK_F32, count, 2, 1);
    float *krsc = malloc(count * sizeof *krsc), *got = malloc(count * sizeof *got);
    float *wanted = malloc(count * sizeof *wanted);
    assert_true(krsc != NULL && got != NULL && wanted != NULL);
    for (size_t tap = 0; tap < taps; tap++)
        for (size_t o = 0; o < (size_t)out_c; o++)
            krsc[o * taps + tap] = hwio[tap * (size_t)out_c + o];
    test_round(type, krsc, count);
    void *device_hwio = test_device_copy(hwio, count * sizeof *hwio);
    void *device_krsc = test_device_values(type, old, count);
    assert_cuda(detk_filter_to_krsc(0, type, &s, device_hwio, device_krsc));
    test_device_read_values(type, got, device_krsc, count);
    assert_same(got, krsc, count);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        for (size_t tap = 0; tap < taps; tap++)
            for (size_t o = 0; o < (size_t)out_c; o++) {
                const size_t at = tap * (size_t)out_c + o;
                wanted[at] = krsc[o * taps + tap] + (accumulate ? old[at] : 0);
            }
        void *to = test_device_copy(old, count * sizeof *old);
        assert_cuda(detk_filter_from_krsc(0, type, &s, device_krsc, to, accumulate));
        test_device_read(got, to, count * sizeof *got);
        assert_same(got, wanted, count);
        test_device_free(to);
    }
    test_device_free(device_hwio);
    test_device_free(device_krsc);
    free(hwio);
    free(old);
    free(krsc);
    free(got);
    free(wanted);
}

static void filters(void **state)
{
    (void)state;
    static const int32_t channels[] = {1, 3, 31, 32, 33, 65};
    for (int type = DETK_F32; type <= DETK_BF16; type++)
        for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
            for (size_t o = 0; o < sizeof channels / sizeof *channels; o++)
                check_filter(type, 1, channels[i], channels[o]);
    check_filter(DETK_F32, 3, 5, 34);
    check_filter(DETK_BF16, 3, 16, 24);
}

int test_cuda_layouts(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bias_act),
        cmocka_unit_test(filters),
    };
    return cmocka_run_group_tests_name("cuda_layouts", tests, NULL, NULL);
}
