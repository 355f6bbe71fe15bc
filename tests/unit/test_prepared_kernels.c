/* The kernels under the prepared network (blocked.h) in all their forms, against plain sums. */
#include <float.h>
#include <math.h>

#include "devices/cpu/prepared/prepared_weights.h"
#include "ops/cpu/isa/bf16.h"
#include "support/forms.h"
#include "support/ops.h"
#include "support/test.h"

/* A tensor in blocks between guards; every lane that no channel uses is NaN and must not matter. */
struct blocks {
    struct detk_map map;
    float *memory;
};

static struct blocks blocks_of(const struct form *form, int32_t h, int32_t w, int32_t c,
                               bool framed, const float *plain)
{
    struct blocks b;
    size_t words = 0;
    b.map = detk_map_blocked(form->kernels, NULL, h, w, c, framed, 1, &words);
    b.memory = ops_buffer(words, NULL);
    memset(b.memory, 0xFF, words * sizeof(float)); /* a NaN in both forms */
    detk_map_place(&b.map, b.memory);
    if (plain != NULL)
        detk_map_write(&b.map, 0, plain);
    return b;
}

static float *plain_of(const struct blocks *b)
{
    float *plain = ops_buffer((size_t)b->map.h * (size_t)b->map.w * (size_t)b->map.c, NULL);
    detk_map_read(&b->map, 0, plain);
    return plain;
}

/* The reference's convolution and the sum of the squares of its terms. */
struct wanted {
    float *value, *norm2;
};

static struct wanted convolve(const struct det_conv_shape *s, bool depthwise, const float *in,
                              const float *w, const float *bias, enum det_activation act)
{
    const struct det_ops *ref = det_ops_ref();
    const struct det_exec x = {0};
    const size_t count = (size_t)s->out_h * (size_t)s->out_w * (size_t)s->out_c;
    float *in2 = ops_squares(in), *w2 = ops_squares(w), *bias2 = ops_squares(bias);
    struct wanted want = {ops_buffer(count, NULL), ops_buffer(count, NULL)};
    (depthwise ? ref->dwconv_forward : ref->conv_forward)(&x, s, in, w, bias, act, want.value);
    (depthwise ? ref->dwconv_forward : ref->conv_forward)(&x, s, in2, w2, bias2,
                                                          DET_ACTIVATION_NONE, want.norm2);
    ops_free(in2);
    ops_free(w2);
    ops_free(bias2);
    return want;
}

static void drop_wanted(struct wanted *want)
{
    ops_free(want->value);
    ops_free(want->norm2);
}

enum target { TO_BLOCKS, TO_FRAMED, TO_PLAIN, TARGETS };

static void check_pointwise(struct det_env *env, const struct form *form, int32_t h, int32_t w,
                            int32_t in_c, int32_t out_c, int variant, float special)
{
    const enum target target = (enum target)(variant % TARGETS);
    const bool relu6 = variant & 1, residual = (variant & 2) != 0 && !relu6 && target != TO_PLAIN;
    char name[128];
    snprintf(name, sizeof name, "%s pointwise %dx%d %d -> %d variant %d special %g", form->name, h,
             w, in_c, out_c, variant, (double)special);
    const struct det_conv_shape s = det_conv_same(1, h, w, in_c, out_c, 1, 1);
    const size_t pixels = (size_t)h * (size_t)w, count = pixels * (size_t)out_c;
    float *in = ops_random(pixels * (size_t)in_c, 1);
    float *weights = ops_random((size_t)in_c * (size_t)out_c, 2);
    float *bias = ops_random((size_t)out_c, 3), *added = ops_random(count, 4);
    for (size_t i = 0; i < ops_count(in); i++)
        in[i] *= 4;
    if (special != 0)
        in[ops_count(in) / 2] = special;
    form_round(form, in);
    form_round(form, weights);
    form_round(form, added);
    struct wanted want =
        convolve(&s, false, in, weights, bias, relu6 ? DET_ACTIVATION_RELU6 : DET_ACTIVATION_NONE);
    for (size_t i = 0; i < count && residual; i++) {
        want.value[i] += added[i];
        want.norm2[i] += added[i] * added[i];
    }
    struct detk_pointwise p;
    assert_ok(env, detk_pointwise_pack(env, form->kernels, in_c, out_c, weights, bias, relu6, &p));
    struct blocks from = blocks_of(form, h, w, in_c, (variant & 4) != 0, in);
    struct blocks add = blocks_of(form, h, w, out_c, false, added);
    struct blocks to = blocks_of(form, h, w, out_c, target == TO_FRAMED, NULL);
    float *got = ops_buffer(count, NULL);
    const struct detk_map plain = detk_map_plain(got, h, w, out_c, 0);
    for (int32_t i = 0; i < p.panels; i++) { /* in two parts, as tasks would */
        const struct detk_map *out = target == TO_PLAIN ? &plain : &to.map;
        const struct detk_map *sum = residual ? &add.map : NULL;
        detk_pointwise_run(&p, i, &from.map, 0, sum, out, 0, 0, h / 2);
        detk_pointwise_run(&p, i, &from.map, h / 2, sum, out, 0, h / 2, h);
    }
    if (target != TO_PLAIN)
        detk_map_read(&to.map, 0, got);
    ops_compare_rounded(name, got, want.value, want.norm2,
                        target == TO_PLAIN ? 0 : form_rounding(form));
    detk_pointwise_free(env, &p);
    drop_wanted(&want);
    float *const buffers[] = {in, weights, bias, added, from.memory, add.memory, to.memory, got};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        ops_free(buffers[i]);
}

static void pointwise_equals_plain_sums(void **state)
{
    (void)state;
    /* Around a block, around the lengths at which sums are cut, around panels and vectors. */
    static const int32_t ins[] = {1, 8, 15, 16, 17, 24, 255, 256, 257, 530};
    static const int32_t outs[] = {1, 7, 8, 12, 16, 24, 31, 40, 48, 56, 100};
    static const int32_t sizes[][2] = {{1, 1}, {1, 5}, {3, 7}, {2, 14}, {5, 6}};
    static const float special[] = {NAN, 0, 0, INFINITY, 0, 0, -INFINITY};
    struct form list[FORMS_MAX];
    const int count = forms(list);
    struct test_env t;
    test_env_init(&t);
    int variant = 0;
    for (int table = 0; table < count; table++) {
        for (size_t i = 0; i < sizeof ins / sizeof ins[0]; i++) {
            for (size_t j = 0; j < sizeof outs / sizeof outs[0]; j++, variant++) {
                const int32_t *size = sizes[variant % 5];
                check_pointwise(&t.env, &list[table], size[0], size[1], ins[i], outs[j], variant,
                                special[variant % 7]);
            }
        }
        /* Every height of a tile, of each width. */
        for (int32_t w = 1; w <= 30; w++)
            for (int32_t out = 8; out <= 56; out += 8)
                check_pointwise(&t.env, &list[table], 1, w, 17 + out / 8 % 2, out, w % 8, 0);
    }
    test_env_check(&t);
}

static void check_depthwise(struct det_env *env, const struct form *form, int32_t h, int32_t w,
                            int32_t c, int32_t stride, bool relu6, float special)
{
    char name[128];
    snprintf(name, sizeof name, "%s depthwise %dx%dx%d stride %d relu6 %d special %g", form->name,
             h, w, c, stride, relu6, (double)special);
    const struct det_conv_shape s = det_conv_same(1, h, w, c, c, 3, stride);
    float *in = ops_random((size_t)h * (size_t)w * (size_t)c, 1);
    float *weights = ops_random(9 * (size_t)c, 2), *bias = ops_random((size_t)c, 3);
    for (size_t i = 0; i < ops_count(in); i++)
        in[i] *= 4;
    if (special != 0) {
        in[ops_count(in) / 2] = special;
        in[0] = -special; /* where both meet in a sum, infinities make a NaN */
    }
    form_round(form, in);
    struct wanted want =
        convolve(&s, true, in, weights, bias, relu6 ? DET_ACTIVATION_RELU6 : DET_ACTIVATION_NONE);
    struct detk_depthwise d;
    assert_ok(env, detk_depthwise_pack(env, form->kernels, &s, weights, bias, relu6, &d));
    struct blocks from = blocks_of(form, h, w, c, true, in);
    struct blocks to = blocks_of(form, s.out_h, s.out_w, c, false, NULL);
    const float **rows = calloc((size_t)h + 4, sizeof *rows);
    for (int32_t block = 0; block < detk_blocks(c); block++) {
        for (int32_t i = 0; i < (s.out_h - 1) * stride + 3; i++)
            rows[i] = detk_map_at(&from.map, 0, block, i - s.pad_top, -s.pad_left);
        detk_depthwise_run(&d, block, rows, s.out_h, s.out_w, detk_map_at(&to.map, 0, block, 0, 0),
                           to.map.row);
    }
    float *got = plain_of(&to);
    /* The frame is zeros and weights are finite: no NaN may spread. */
    ops_compare_rounded(name, got, want.value, want.norm2, form_rounding(form));
    free(rows);
    detk_depthwise_free(env, &d);
    drop_wanted(&want);
    float *const buffers[] = {in, weights, bias, from.memory, to.memory, got};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        ops_free(buffers[i]);
}

static void depthwise_equals_plain_sums(void **state)
{
    (void)state;
    static const int32_t sizes[][2] = {{1, 1}, {1, 2}, {2, 1},  {3, 3},   {5, 4},
                                       {4, 7}, {9, 8}, {7, 33}, {3, 171}, {45, 9}};
    static const int32_t channels[] = {1, 8, 16, 20, 33};
    static const float special[] = {NAN, 0, INFINITY, 0, -INFINITY, 0, 0};
    struct form list[FORMS_MAX];
    const int count = forms(list);
    struct test_env t;
    test_env_init(&t);
    int variant = 0;
    for (int table = 0; table < count; table++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (size_t j = 0; j < sizeof channels / sizeof channels[0]; j++)
                for (int32_t stride = 1; stride <= 2; stride++, variant++)
                    check_depthwise(&t.env, &list[table], sizes[i][0], sizes[i][1], channels[j],
                                    stride, (variant & 2) != 0, special[variant % 7]);
    test_env_check(&t);
}

static void narrowing_rounds_to_nearest(void **state)
{
    (void)state;
    static const int32_t pixels[] = {1, 2, 3, 8, 17, 40};
    struct form list[FORMS_MAX];
    const int count = forms(list);
    for (int t = 0; t < count; t++) {
        assert_true((list[t].kernels->narrow != NULL) == list[t].kernels->bf16);
        for (size_t p = 0; p < sizeof pixels / sizeof pixels[0] && list[t].kernels->bf16; p++) {
            const size_t values = (size_t)pixels[p] * DETK_BLOCK;
            float *from = ops_buffer(values, NULL), *to = ops_buffer(values / 2, NULL);
            for (size_t i = 0; i < values; i++)
                from[i] = bf16_hostile(i);
            list[t].kernels->narrow(from, pixels[p], NULL, to);
            for (size_t i = 0; i < values; i++) {
                const uint16_t want = bf16_wanted(list[t].ops, from[i]);
                if (bf16_half(to, i) != want)
                    fail_msg("%s: %a of %d pixels is narrowed to %04x, not %04x", list[t].name,
                             (double)from[i], pixels[p], bf16_half(to, i), want);
            }
            ops_free(from);
            ops_free(to);
        }
    }
}

/* Value `index` of words. */
static float value_of(const struct form *form, const float *words, size_t index)
{
    return form->kernels->bf16 ? detk_from_bf16(bf16_half(words, index)) : words[index];
}

static void check_upsampled(const struct form *form, int32_t w)
{
    const int32_t half = (w + 1) / 2;
    struct blocks low = blocks_of(form, 1, half, DETK_BLOCK, false, NULL);
    struct blocks to = blocks_of(form, 1, w, DETK_BLOCK, false, NULL);
    float *added = ops_random((size_t)half * DETK_BLOCK, 1);
    float *plain = ops_random((size_t)w * DETK_BLOCK, 2);
    /* Infinities of either sign and NaN meet numbers and each other. */
    static const float special[] = {INFINITY, -INFINITY, NAN, FLT_MAX};
    for (size_t i = 0; i < 4; i++) {
        added[i] = special[i];
        plain[i + 2] = special[i];
        plain[ops_count(plain) - 1 - i] = special[i];
    }
    detk_map_write(&low.map, 0, added);
    detk_map_write(&to.map, 0, plain);
    float *before = ops_buffer(ops_count(to.memory), to.memory);
    form->kernels->add_upsampled(low.memory, w, NULL, to.memory);
    for (size_t i = 0; i < (size_t)w * DETK_BLOCK; i++) {
        const size_t x = i / DETK_BLOCK, channel = i % DETK_BLOCK;
        float want =
            value_of(form, before, i) + value_of(form, low.memory, x / 2 * DETK_BLOCK + channel);
        if (form->kernels->bf16)
            want = detk_from_bf16(detk_to_bf16(want));
        const float got = value_of(form, to.memory, i);
        if (isnan(want) ? !isnan(got) : !(got == want))
            fail_msg("%s: pixel %zu of %d, channel %zu: %a, not %a", form->name, x, w, channel,
                     (double)got, (double)want);
    }
    float *const buffers[] = {low.memory, to.memory, added, plain, before};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        ops_free(buffers[i]);
}

/* A row of odd length takes the last pixel of the low one once. */
static void upsampled_rows_are_added(void **state)
{
    (void)state;
    struct form list[FORMS_MAX];
    const int count = forms(list);
    for (int t = 0; t < count; t++)
        for (int32_t w = 1; w <= 9; w++)
            check_upsampled(&list[t], w);
}

int test_prepared_kernels(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pointwise_equals_plain_sums),
        cmocka_unit_test(depthwise_equals_plain_sums),
        cmocka_unit_test(upsampled_rows_are_added),
        cmocka_unit_test(narrowing_rounds_to_nearest),
    };
    return cmocka_run_group_tests_name("prepared_kernels", tests, NULL, NULL);
}
