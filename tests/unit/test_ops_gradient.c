/* The reference's gradients against central differences of a loss sum(projection * output), summed
 * in double. */
#include <math.h>

#include "ops/ref/ref_ops.h"
#include "support/ops.h"

#define INPUTS_MAX 3

/* An operation with up to three differentiable inputs. */
struct gradient_case {
    const char *name;
    size_t in_count[INPUTS_MAX], out_count;
    double step, tolerance;
    void (*forward)(const struct gradient_case *k, float *const in[INPUTS_MAX], float *out);
    /* gradients of the inputs, given that of the output and the output */
    void (*backward)(const struct gradient_case *k, float *const in[INPUTS_MAX], const float *out,
                     const float *dout, float *const din[INPUTS_MAX]);
    struct det_conv_shape s;
    bool depthwise;
    int64_t rows;
    int32_t c;
    enum det_activation act;
    const float *mean, *variance;
};

static const struct det_exec plain = {0};
static const float epsilon = 1e-3f;

static double loss(const struct gradient_case *k, float *const in[INPUTS_MAX],
                   const float *projection)
{
    float *out = ops_buffer(k->out_count, NULL);
    k->forward(k, in, out);
    double sum = 0;
    for (size_t i = 0; i < k->out_count; i++)
        sum += (double)out[i] * (double)projection[i];
    ops_free(out);
    return sum;
}

static void check(const struct gradient_case *k, float *const in[INPUTS_MAX])
{
    float *projection = ops_random(k->out_count, 99), *out = ops_buffer(k->out_count, NULL);
    float *din[INPUTS_MAX] = {NULL, NULL, NULL};
    for (int i = 0; i < INPUTS_MAX && in[i] != NULL; i++)
        din[i] = ops_buffer(k->in_count[i], NULL);
    k->forward(k, in, out);
    k->backward(k, in, out, projection, din);
    for (int i = 0; i < INPUTS_MAX && in[i] != NULL; i++) {
        for (size_t j = 0; j < k->in_count[i]; j++) {
            const float value = in[i][j];
            const float above = value + (float)k->step, below = value - (float)k->step;
            in[i][j] = above;
            const double high = loss(k, in, projection);
            in[i][j] = below;
            const double low = loss(k, in, projection);
            in[i][j] = value;
            const double want = (high - low) / ((double)above - (double)below);
            const double error = fabs(din[i][j] - want);
            if (!(error <= k->tolerance * (1 + fabs(want))))
                fail_msg("%s: input %d, value %zu: %.9g, central difference %.9g", k->name, i, j,
                         (double)din[i][j], want);
        }
        ops_free(din[i]);
    }
    ops_free(projection);
    ops_free(out);
}

/* conv(in, w) + bias */

static void conv_forward(const struct gradient_case *k, float *const in[INPUTS_MAX], float *out)
{
    (k->depthwise ? det_ops_ref()->dwconv_forward : det_ops_ref()->conv_forward)(
        &plain, &k->s, in[0], in[1], in[2], DET_ACTIVATION_NONE, out);
}

static void conv_backward(const struct gradient_case *k, float *const in[INPUTS_MAX],
                          const float *out, const float *dout, float *const din[INPUTS_MAX])
{
    (void)out;
    (k->depthwise ? detk_dwconv_backward_data__ref
                  : detk_conv_backward_data__ref)(&plain, &k->s, dout, in[1], din[0], false);
    (k->depthwise ? detk_dwconv_backward_weight__ref
                  : detk_conv_backward_weight__ref)(&plain, &k->s, in[0], dout, din[1], false);
    det_ops_ref()->bias_backward(&plain, (int64_t)k->s.n * k->s.out_h * k->s.out_w, k->s.out_c,
                                 dout, din[2], false);
}

static void convolutions(void **state)
{
    (void)state;
    for (int i = 0; i < 16; i++) {
        const bool depthwise = (i & 1) != 0;
        const int32_t stride = (i & 2) != 0 ? 2 : 1, kernel = (i & 4) != 0 ? 3 : 1 + (i & 1);
        const int32_t in_c = 3, out_c = depthwise ? 3 : 4;
        const struct det_conv_shape s =
            det_conv_same(2, (i & 8) != 0 ? 5 : 4, 6, in_c, out_c, kernel, stride);
        const struct gradient_case k = {
            .name = depthwise ? "depthwise convolution" : "convolution",
            .in_count = {(size_t)(s.n * s.in_h * s.in_w * s.in_c),
                         (size_t)(kernel * kernel * out_c * (depthwise ? 1 : in_c)), (size_t)out_c},
            .out_count = (size_t)(s.n * s.out_h * s.out_w * s.out_c),
            .step = 0.25, /* linear: any step is exact */
            .tolerance = 1e-5,
            .forward = conv_forward,
            .backward = conv_backward,
            .s = s,
            .depthwise = depthwise,
        };
        float *in[INPUTS_MAX] = {ops_random(k.in_count[0], 1), ops_random(k.in_count[1], 2),
                                 ops_random(k.in_count[2], 3)};
        check(&k, in);
        for (int j = 0; j < INPUTS_MAX; j++)
            ops_free(in[j]);
    }
}

/* Batch norm of (in, gamma, beta) */

static void bn_forward(const struct gradient_case *k, float *const in[INPUTS_MAX], float *out)
{
    float mean[8], variance[8];
    if (k->mean != NULL)
        detk_bn_frozen_forward__ref(&plain, k->rows, k->c, in[0], in[1], in[2], k->mean,
                                    k->variance, epsilon, k->act, out);
    else
        detk_bn_forward__ref(&plain, k->rows, k->c, in[0], in[1], in[2], epsilon, k->act, out, mean,
                             variance);
}

static void bn_backward(const struct gradient_case *k, float *const in[INPUTS_MAX],
                        const float *out, const float *dout, float *const din[INPUTS_MAX])
{
    (void)out;
    float mean[8], variance[8];
    float *again = ops_buffer(k->out_count, NULL);
    if (k->mean != NULL) {
        detk_bn_frozen_backward__ref(&plain, k->rows, k->c, in[0], dout, in[1], in[2], k->mean,
                                     k->variance, epsilon, k->act, din[0], false, din[1], din[2]);
    } else {
        detk_bn_forward__ref(&plain, k->rows, k->c, in[0], in[1], in[2], epsilon, k->act, again,
                             mean, variance);
        detk_bn_backward__ref(&plain, k->rows, k->c, in[0], dout, in[1], in[2], mean, variance,
                              epsilon, k->act, din[0], false, din[1], din[2]);
    }
    ops_free(again);
}

static void batch_norm(void **state)
{
    (void)state;
    static const float mean[5] = {0.1f, -0.2f, 0, 0.3f, -0.1f};
    static const float variance[5] = {0.5f, 1, 0.25f, 2, 0.75f};
    for (int i = 0; i < 4; i++) {
        const struct gradient_case k = {
            .name = i >= 2 ? "frozen batch norm" : "batch norm",
            .in_count = {24 * 5, 5, 5},
            .out_count = 24 * 5,
            .step = 1.0 / 512,
            .tolerance = 3e-4,
            .forward = bn_forward,
            .backward = bn_backward,
            .rows = 24,
            .c = 5,
            .act = i % 2 == 0 ? DET_ACTIVATION_NONE : DET_ACTIVATION_RELU6,
            .mean = i >= 2 ? mean : NULL,
            .variance = variance,
        };
        float *in[INPUTS_MAX] = {ops_random(120, 4), ops_random(5, 5), ops_random(5, 6)};
        for (int j = 0; j < 5; j++) {
            in[1][j] += in[1][j] < 0 ? -2 : 2;
            in[2][j] += 4; /* cuts at 0 and at 6 */
        }
        if (k.act == DET_ACTIVATION_RELU6) {
            /* Away from the kinks: whatever comes near one moves off until none does. */
            float out[120];
            struct gradient_case linear = k;
            linear.act = DET_ACTIVATION_NONE;
            bool near = true;
            for (int round = 0; near && round < 1000; round++) {
                near = false;
                bn_forward(&linear, in, out);
                for (int j = 0; j < 120; j++) {
                    if (fabsf(out[j]) < 0.03f || fabsf(out[j] - 6) < 0.03f) {
                        in[0][j] += 0.03f;
                        near = true;
                    }
                }
            }
            assert_false(near);
            int cut = 0;
            for (int j = 0; j < 120; j++)
                cut += out[j] < 0 || out[j] > 6;
            assert_true(cut > 10 && cut < 110);
        }
        check(&k, in);
        for (int j = 0; j < INPUTS_MAX; j++)
            ops_free(in[j]);
    }
}

/* Upsampling of in[0], added to in[1]; also the plain sum of two. */

static void upsample_forward(const struct gradient_case *k, float *const in[INPUTS_MAX], float *out)
{
    det_ops_ref()->upsample_add_forward(&plain, 2, 3, 2, 3, k->s.out_h, k->s.out_w, in[0], in[1],
                                        out);
}

static void upsample_backward(const struct gradient_case *k, float *const in[INPUTS_MAX],
                              const float *out, const float *dout, float *const din[INPUTS_MAX])
{
    (void)in;
    (void)out;
    det_ops_ref()->upsample_backward(&plain, 2, 3, 2, 3, k->s.out_h, k->s.out_w, dout, din[0],
                                     false);
    det_ops_ref()->accumulate(&plain, (int64_t)k->out_count, dout, din[1], false);
}

static void add_forward(const struct gradient_case *k, float *const in[INPUTS_MAX], float *out)
{
    det_ops_ref()->add_forward(&plain, (int64_t)k->out_count, in[0], in[1], out);
}

static void add_backward(const struct gradient_case *k, float *const in[INPUTS_MAX],
                         const float *out, const float *dout, float *const din[INPUTS_MAX])
{
    (void)in;
    (void)out;
    det_ops_ref()->accumulate(&plain, (int64_t)k->out_count, dout, din[0], false);
    memset(din[1], 0, k->in_count[1] * sizeof(float));
    det_ops_ref()->accumulate(&plain, (int64_t)k->out_count, dout, din[1], true);
}

static void sums(void **state)
{
    (void)state;
    for (int32_t odd = 0; odd < 3; odd++) {
        struct gradient_case k = {
            .name = "upsampling",
            .step = 0.25,
            .tolerance = 1e-5,
            .forward = upsample_forward,
            .backward = upsample_backward,
            .s = {.out_h = 6 - odd % 2, .out_w = 4 - odd / 2},
        };
        k.out_count = (size_t)(2 * k.s.out_h * k.s.out_w * 3);
        k.in_count[0] = 2 * 3 * 2 * 3;
        k.in_count[1] = k.out_count;
        float *in[INPUTS_MAX] = {ops_random(k.in_count[0], 1), ops_random(k.in_count[1], 2), NULL};
        check(&k, in);
        ops_free(in[0]);
        ops_free(in[1]);
    }
    const struct gradient_case k = {
        .name = "sum",
        .in_count = {20, 20},
        .out_count = 20,
        .step = 0.25,
        .tolerance = 1e-5,
        .forward = add_forward,
        .backward = add_backward,
    };
    float *in[INPUTS_MAX] = {ops_random(20, 1), ops_random(20, 2), NULL};
    check(&k, in);
    ops_free(in[0]);
    ops_free(in[1]);
}

int test_ops_gradient(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions),
        cmocka_unit_test(batch_norm),
        cmocka_unit_test(sums),
    };
    return cmocka_run_group_tests_name("ops_gradient", tests, NULL, NULL);
}
