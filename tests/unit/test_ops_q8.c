/* ops/q8.h: rescaling, and the plain operations in 8 bits against their definitions, worked out
 * another way: in double and long double, rounded where the definition rounds. */
#include <math.h>

#include "ops/q8.h"
#include "support/ops.h"

static uint32_t state_of_draws;

static int32_t draw(int32_t low, int32_t high)
{
    state_of_draws = state_of_draws * 1664525U + 1013904223U;
    const uint64_t range = (uint64_t)((int64_t)high - low + 1);
    return (int32_t)(low + (int64_t)((uint64_t)(state_of_draws >> 8) * range >> 24));
}

static void draw_bytes(int8_t *to, size_t count, int32_t low, int32_t high)
{
    for (size_t i = 0; i < count; i++)
        to[i] = (int8_t)draw(low, high);
}

/* --- rescaling --- */

/* The sum of a convolution: float32 twice, in double worked out with the same roundings. */
static void sums_are_scaled_in_float32_halves_to_even(void **state)
{
    (void)state;
    assert_int_equal(det_q8_steps(1, .5f), 0);
    assert_int_equal(det_q8_steps(3, .5f), 2);
    assert_int_equal(det_q8_steps(5, .5f), 2);
    assert_int_equal(det_q8_steps(-1, .5f), 0);
    assert_int_equal(det_q8_steps(-3, .5f), -2);
    assert_int_equal(det_q8_steps(-5, .5f), -2);
    /* 2^24 + 1 is 2^24 as float32; its 2^24th part and a half is a tie only then. */
    assert_int_equal(det_q8_steps((1 << 24) + 1, ldexpf(1.5f, -24)), 2);
    assert_int_equal(det_q8_steps((1 << 24) + 1, ldexpf(2.5f, -24)), 2);
    assert_int_equal(det_q8_steps(INT32_MAX, 1e9f), 1024);
    assert_int_equal(det_q8_steps(INT32_MIN, 1e9f), -1024);
    assert_int_equal(det_q8_steps(INT32_MIN, 0), 0);
    for (int i = 0; i < 20000; i++) {
        const int32_t sum = draw(INT32_MIN / 2, INT32_MAX / 2) >> draw(0, 24);
        const float scale = ldexpf((float)draw(1 << 23, (1 << 24) - 1), -draw(24, 50));
        const float product = (float)((double)(float)sum * (double)scale);
        const double wanted = nearbyint(fmin(fmax((double)product, -1024), 1024));
        assert_true(det_q8_steps(sum, scale) == wanted);
    }
}

static void reals_are_rounded_and_clamped(void **state)
{
    (void)state;
    assert_int_equal(det_q8_of(1.5f, 1, 0), 2);
    assert_int_equal(det_q8_of(-1.5f, 1, 0), -2);
    assert_int_equal(det_q8_of(.25f, .5f, -7), -6);
    assert_int_equal(det_q8_of(1e30f, 1, 0), 127);
    assert_int_equal(det_q8_of(-1e30f, 1, 127), -128);
    assert_int_equal(det_q8_of(INFINITY, 1, 0), 127);
    assert_int_equal(det_q8_of(-INFINITY, 1, 0), -128);
    assert_int_equal(det_q8_of(NAN, 1, 5), 5);
    for (int q = -128; q < 128; q++)
        assert_int_equal(det_q8_of(det_q8_real((int8_t)q, .037f, -3), .037f, -3), q);
}

/* --- convolutions --- */

struct layer {
    struct det_conv_shape s;
    struct det_q8_conv q;
    int8_t *in, *weights, *out;
    int32_t *bias;
    float *scales;
    size_t in_count, out_count;
};

static void layer_free(struct layer *l)
{
    free(l->in);
    free(l->weights);
    free(l->out);
    free(l->bias);
    free(l->scales);
}

/* `extreme`: every value at an end of its range. */
static struct layer layer_make(struct det_conv_shape s, bool depthwise, int32_t zero, bool extreme)
{
    struct layer l = {.s = s};
    const size_t taps = (size_t)s.kernel_h * (size_t)s.kernel_w, out_c = (size_t)s.out_c;
    const size_t weights = taps * (depthwise ? 1 : (size_t)s.in_c) * out_c;
    l.in_count = (size_t)s.n * (size_t)s.in_h * (size_t)s.in_w * (size_t)s.in_c;
    l.out_count = (size_t)s.n * (size_t)s.out_h * (size_t)s.out_w * out_c;
    l.in = malloc(l.in_count);
    l.weights = malloc(weights);
    l.out = malloc(l.out_count);
    l.bias = malloc(out_c * sizeof *l.bias);
    l.scales = malloc(out_c * sizeof *l.scales);
    draw_bytes(l.in, l.in_count, -128, 127);
    draw_bytes(l.weights, weights, -127, 127);
    for (size_t i = 0; i < l.in_count && extreme; i++)
        l.in[i] = l.in[i] < 0 ? -128 : 127;
    for (size_t i = 0; i < weights && extreme; i++)
        l.weights[i] = l.weights[i] < 0 ? -127 : 127;
    for (size_t c = 0; c < out_c; c++) {
        l.bias[c] = draw(-40000, 40000);
        l.scales[c] = ldexpf((float)draw(100, 199), -17 - draw(0, 3));
    }
    for (size_t i = 0; i < weights && out_c > 2; i += out_c)
        l.weights[i] = 0; /* a channel of zeros */
    l.q = (struct det_q8_conv){.in_zero = zero,
                               .weights = l.weights,
                               .bias = l.bias,
                               .scale = l.scales,
                               .to = {.zero = -zero / 2, .low = -zero / 2, .high = 101}};
    if (l.q.to.low > l.q.to.high)
        l.q.to.low = l.q.to.high;
    return l;
}

/* One result by its definition. */
static int8_t wanted_at(const struct layer *l, bool depthwise, int32_t n, int32_t y, int32_t x,
                        int32_t c)
{
    const struct det_conv_shape *s = &l->s;
    long double sum = l->bias[c];
    for (int32_t ky = 0; ky < s->kernel_h; ky++) {
        for (int32_t kx = 0; kx < s->kernel_w; kx++) {
            const int32_t iy = y * s->stride - s->pad_top + ky;
            const int32_t ix = x * s->stride - s->pad_left + kx;
            if (iy < 0 || iy >= s->in_h || ix < 0 || ix >= s->in_w)
                continue;
            const int8_t *in = l->in + ((n * s->in_h + iy) * s->in_w + ix) * s->in_c;
            const int32_t tap = ky * s->kernel_w + kx;
            for (int32_t i = 0; i < s->in_c; i++) {
                if (depthwise && i != c)
                    continue;
                const int32_t at =
                    depthwise ? tap * s->out_c + c : (tap * s->in_c + i) * s->out_c + c;
                sum += (long double)(in[i] - l->q.in_zero) * l->weights[at];
            }
        }
    }
    const float product = (float)((double)(float)sum * (double)l->scales[c]);
    const double steps = nearbyint((double)product) + l->q.to.zero;
    return (int8_t)fmin(fmax(steps, l->q.to.low), l->q.to.high);
}

static void check_layer(struct ops_rig *rig, struct det_conv_shape s, bool depthwise, int32_t zero,
                        bool extreme)
{
    struct layer l = layer_make(s, depthwise, zero, extreme);
    for (int threads = 1; threads <= OPS_THREADS; threads++) {
        struct det_exec x = ops_exec(rig, threads, 0);
        memset(l.out, 77, l.out_count);
        if (depthwise)
            detk_q8_dwconv__ref(&x, &s, &l.q, l.in, l.out);
        else
            detk_q8_conv__ref(&x, &s, &l.q, l.in, l.out);
        ops_exec_done(rig);
        size_t i = 0;
        for (int32_t n = 0; n < s.n; n++)
            for (int32_t y = 0; y < s.out_h; y++)
                for (int32_t ox = 0; ox < s.out_w; ox++)
                    for (int32_t c = 0; c < s.out_c; c++, i++)
                        assert_int_equal(l.out[i], wanted_at(&l, depthwise, n, y, ox, c));
    }
    layer_free(&l);
}

static void convolutions_are_their_definition(void **state)
{
    (void)state;
    static const struct {
        int32_t n, h, w, in_c, out_c, kernel, stride;
    } shapes[] = {{1, 1, 1, 1, 1, 1, 1},  {2, 3, 5, 3, 7, 3, 2},  {1, 5, 4, 70, 66, 1, 1},
                  {1, 6, 7, 17, 1, 3, 1}, {3, 2, 2, 4, 65, 3, 1}, {1, 1, 9, 5, 3, 5, 2},
                  {1, 4, 4, 130, 3, 1, 2}};
    static const int32_t zeros[] = {-128, -5, 0, 127};
    struct ops_rig rig;
    ops_rig_open(&rig);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (size_t z = 0; z < sizeof zeros / sizeof zeros[0]; z++) {
            const struct det_conv_shape dense =
                det_conv_same(shapes[i].n, shapes[i].h, shapes[i].w, shapes[i].in_c,
                              shapes[i].out_c, shapes[i].kernel, shapes[i].stride);
            const struct det_conv_shape depthwise =
                det_conv_same(shapes[i].n, shapes[i].h, shapes[i].w, shapes[i].in_c, shapes[i].in_c,
                              shapes[i].kernel, shapes[i].stride);
            check_layer(&rig, dense, false, zeros[z], z % 2 == 0);
            check_layer(&rig, depthwise, true, zeros[z], z % 2 == 0);
        }
    }
    ops_rig_close(&rig);
}

/* The longest sum that is allowed, of the largest products and with the largest bias. */
static void the_longest_sum_stays_in_32_bits(void **state)
{
    (void)state;
    struct ops_rig rig;
    ops_rig_open(&rig);
    const struct det_conv_shape s = det_conv_same(1, 1, 1, DET_Q8_MOST_TERMS, 1, 1, 1);
    struct layer l = layer_make(s, false, -128, true);
    memset(l.in, 127, l.in_count);
    memset(l.weights, 127, l.in_count);
    l.bias[0] = DET_Q8_MOST_BIAS;
    l.scales[0] = ldexpf(.7f, -25);
    l.q.to = (struct det_q8_target){-20, -128, 127};
    struct det_exec x = ops_exec(&rig, 1, 0);
    detk_q8_conv__ref(&x, &s, &l.q, l.in, l.out);
    assert_int_equal(l.out[0], wanted_at(&l, false, 0, 0, 0, 0));
    assert_int_equal(l.out[0], 25);
    ops_exec_done(&rig);
    layer_free(&l);
    ops_rig_close(&rig);
}

/* --- sums --- */

/* As XNNPACK's formula is, worked out in 64 bits and in long double; and near the real sum. */
static void sums_of_two_scales(void **state)
{
    (void)state;
    const struct det_exec x = {0};
    for (int round = 0; round < 40; round++) {
        const float a = (float)draw(1, 1000) / 5000, b = (float)draw(1, 1000) / 5000;
        const float out = (a + b) * (float)draw(40, 130) / 100;
        const int32_t za = draw(-128, 127), zb = draw(-128, 127), zo = draw(-128, 127);
        const struct det_q8_add q =
            det_q8_add_of(a, za, b, zb, out, (struct det_q8_target){zo, -128, 127});
        int8_t left[512], right[512], sums[512];
        draw_bytes(left, 512, -128, 127);
        draw_bytes(right, 512, -128, 127);
        left[0] = right[0] = 127;
        left[1] = right[1] = -128;
        detk_q8_add__ref(&x, 512, &q, left, right, sums);
        const int32_t larger = q.a > q.b ? q.a : q.b;
        assert_in_range(larger, 1 << 20, 1 << 21);
        for (int i = 0; i < 512; i++) {
            const int64_t exact = (int64_t)q.a * (left[i] - za) + (int64_t)q.b * (right[i] - zb);
            const long double steps = floorl(ldexpl((long double)exact, -q.shift) + .5L) + zo;
            assert_true(sums[i] == fminl(fmaxl(steps, -128), 127));
            const double real = (double)a * (left[i] - za) + (double)b * (right[i] - zb);
            assert_near(sums[i], fmin(fmax(real / (double)out + zo, -128), 127), .5 + 1e-3);
        }
    }
}

/* Scales so far apart that nothing, or everything, is left of a value. */
static void sums_of_scales_far_apart(void **state)
{
    (void)state;
    const struct det_exec x = {0};
    const struct det_q8_target to = {5, -128, 127};
    const struct {
        float a, b, out;
        int8_t left, right, wanted;
    } cases[] = {{1e-30f, 1e-30f, 1, 127, 127, 5},
                 {1e30f, 1e-30f, 1, 1, 127, 127},
                 {1e30f, 1, 1, -1, 127, -128},
                 {1e30f, 1e30f, 1e-30f, 0, 0, 5},
                 {1e30f, 1e30f, 1e-30f, 127, 0, 127},
                 {1, 1e-9f, 1, 3, 127, 8},
                 {.5f, .5f, 1, 1, 0, 6},
                 {.5f, .5f, 1, -1, 0, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct det_q8_add q = det_q8_add_of(cases[i].a, 0, cases[i].b, 0, cases[i].out, to);
        int8_t sum = 0;
        assert_in_range(q.shift, 1, 30);
        detk_q8_add__ref(&x, 1, &q, &cases[i].left, &cases[i].right, &sum);
        assert_int_equal(sum, cases[i].wanted);
    }
}

static void an_upsampled_map_is_added_and_cut(void **state)
{
    (void)state;
    const struct det_exec x = {0};
    enum { C = 3 };
    const struct det_q8_add q =
        det_q8_add_of(.1f, -3, .07f, 9, .2f, (struct det_q8_target){1, -100, 100});
    int8_t low[2 * 2 * 2 * C], lateral[2 * 3 * 4 * C], out[2 * 3 * 4 * C], one;
    draw_bytes(low, sizeof low, -128, 127);
    draw_bytes(lateral, sizeof lateral, -128, 127);
    detk_q8_upsample_add__ref(&x, 2, 2, 2, C, 3, 4, &q, low, lateral, out);
    for (int i = 0; i < (int)sizeof out; i++) {
        const int c = i % C, column = i / C % 4, row = i / C / 4 % 3, n = i / C / 12;
        detk_q8_add__ref(&x, 1, &q, &low[((n * 2 + row / 2) * 2 + column / 2) * C + c], &lateral[i],
                         &one);
        assert_int_equal(out[i], one);
    }
}

int test_ops_q8(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_scaled_in_float32_halves_to_even),
        cmocka_unit_test(reals_are_rounded_and_clamped),
        cmocka_unit_test(convolutions_are_their_definition),
        cmocka_unit_test(the_longest_sum_stays_in_32_bits),
        cmocka_unit_test(sums_of_two_scales),
        cmocka_unit_test(sums_of_scales_far_apart),
        cmocka_unit_test(an_upsampled_map_is_added_and_cut),
    };
    return cmocka_run_group_tests_name("ops q8", tests, NULL, NULL);
}
