/* The prepared network in 8 bits: the kernels of each instruction set (blocked.h) against the plain
 * operations of ops/q8.h: equal integers. Whole networks: test_prepared_mixed.c. */
#include <math.h>

#include "devices/cpu/prepared/prepared_beside.h"
#include "devices/cpu/prepared/prepared_steps.h"
#include "devices/cpu/prepared/prepared_strassen.h"
#include "ops/conv_shape.h"
#include "support/forms.h"
#include "support/mem.h"
#include "support/q8_layers.h"
#include "support/test.h"

static struct det_q8_add draw_add(void)
{
    static const int32_t zeros[] = {-128, 127, 0, 17};
    const float a = (float)q8_draw(1, 400), b = (float)q8_draw(1, 400);
    const float out = q8_draw(1, 5) == 1 ? 3 : (float)q8_draw(100, 900);
    const struct det_q8_target to = {zeros[q8_draw(0, 3)], q8_draw(0, 2) == 0 ? -100 : -128, 127};
    /* Now and then equal scales: ties. */
    if (q8_draw(0, 2) == 0)
        return det_q8_add_of(1, zeros[q8_draw(0, 3)], 1, zeros[q8_draw(0, 3)], 2, to);
    return det_q8_add_of(a, zeros[q8_draw(0, 3)], b, zeros[q8_draw(0, 3)], out, to);
}

enum target { TO_BLOCKS, TO_FRAMED, TO_PLAIN, TARGETS };

static void check_pointwise(struct det_env *env, const struct form *set, int32_t h, int32_t w,
                            int32_t in_c, int32_t out_c, int variant)
{
    const struct detk_blocked *k = set->kernels;
    const enum target target = (enum target)(variant % TARGETS);
    const bool residual = (variant & 2) != 0 && target != TO_PLAIN;
    const size_t count = (size_t)h * (size_t)w * (size_t)out_c;
    char name[128];
    snprintf(name, sizeof name, "%s pointwise %dx%d %d -> %d variant %d", set->name, h, w, in_c,
             out_c, variant);
    const struct det_conv_shape s = det_conv_same(1, h, w, in_c, out_c, 1, 1);
    const enum q8_kind kind = (enum q8_kind)(variant / 3 % Q8_KINDS);
    struct q8_layer l = q8_layer_make(in_c, out_c, kind);
    int8_t *in = q8_filled((size_t)(h * w * in_c), (enum q8_filling)(variant / 2 % Q8_FILLINGS));
    int8_t *added = q8_filled(count, Q8_RANDOM), *want = q8_bytes(count);
    const struct det_exec x = {0};
    const struct det_q8_add add = draw_add();
    detk_q8_conv__ref(&x, &s, &l.q, in, want);
    if (residual)
        detk_q8_add__ref(&x, (int64_t)count, &add, added, want, want);
    struct detk_pointwise p;
    assert_ok(env, detk_q8_pointwise_pack(env, k, in_c, out_c, &l.q, 0.37f, &p));
    if (variant % 7 != 0)
        assert_ok(env, detk_strassen_pack(env, &p));
    q8_check_sums(name, k, &p.finish, &l, kind);
    p.sum = detk_q8_sum_of(&add);
    struct q8_blocks from = q8_blocks_of(k, l.q.in_zero, h, w, in_c, (variant & 4) != 0, in);
    struct q8_blocks sum = q8_blocks_of(k, 0, h, w, out_c, false, added);
    struct q8_blocks to = q8_blocks_of(k, l.q.to.zero, h, w, out_c, target == TO_FRAMED, NULL);
    float *got = ops_buffer(count, NULL);
    const struct detk_map plain = detk_map_plain(got, h, w, out_c, 0);
    float *words = ops_buffer(detk_beside_words(&p, h, w), NULL);
    const struct detk_beside beside = detk_beside_of_map(NULL, &p, &from.map, 0, 1, words);
    struct detk_map upper = from.map, lower = from.map;
    upper.beside = beside;
    lower.beside = detk_beside_from(beside, h / 2, w);
    for (int32_t i = 0; i < p.panels; i++) { /* in two parts, as tasks would */
        const struct detk_map *out = target == TO_PLAIN ? &plain : &to.map;
        const struct detk_map *a = residual ? &sum.map : NULL;
        detk_pointwise_run(&p, i, &upper, 0, a, out, 0, 0, h / 2);
        detk_pointwise_run(&p, i, &lower, h / 2, a, out, 0, h / 2, h);
    }
    ops_free(words);
    for (size_t i = 0; i < count && target == TO_PLAIN; i++)
        if (got[i] != det_q8_real(want[i], 0.37f, l.q.to.zero))
            fail_msg("%s: output %zu is %g, not %d", name, i, (double)got[i], want[i]);
    if (target != TO_PLAIN)
        q8_check_rows(name, &to, want, 0, h);
    detk_pointwise_free(env, &p);
    q8_layer_drop(&l);
    q8_drop_bytes(in);
    q8_drop_bytes(added);
    q8_drop_bytes(want);
    ops_free(from.memory);
    ops_free(sum.memory);
    ops_free(to.memory);
    ops_free(got);
}

static void pointwise_equals_plain_sums(void **state)
{
    (void)state;
    static const int32_t ins[] = {1, 3, 4, 5, 15, 16, 17, 24, 255, 530};
    static const int32_t outs[] = {1, 7, 8, 12, 16, 24, 31, 40, 48, 56, 100};
    static const int32_t sizes[][2] = {{1, 1},  {1, 5},  {3, 7},  {2, 14},
                                       {5, 12}, {3, 16}, {4, 20}, {5, 6}};
    struct form list[FORMS_MAX];
    const int count = forms_q8(list);
    struct test_env t;
    test_env_init(&t);
    int variant = 0;
    for (int table = 0; table < count; table++) {
        for (size_t i = 0; i < sizeof ins / sizeof ins[0]; i++) {
            for (size_t j = 0; j < sizeof outs / sizeof outs[0]; j++, variant++) {
                const int32_t *size = sizes[variant % 8];
                check_pointwise(&t.env, &list[table], size[0], size[1], ins[i], outs[j], variant);
            }
        }
        /* Every height of a tile, of each width. */
        for (int32_t w = 1; w <= 30; w++)
            for (int32_t out = 8; out <= 56; out += 8)
                check_pointwise(&t.env, &list[table], 1, w, 17 + out / 8 % 2, out, variant++);
    }
    test_env_check(&t);
}

static void check_depthwise(struct det_env *env, const struct form *set, int32_t h, int32_t w,
                            int32_t c, int32_t stride, int variant)
{
    const struct detk_blocked *k = set->kernels;
    char name[128];
    snprintf(name, sizeof name, "%s depthwise %dx%dx%d stride %d variant %d", set->name, h, w, c,
             stride, variant);
    const struct det_conv_shape s = det_conv_same(1, h, w, c, c, 3, stride);
    const enum q8_kind kind = (enum q8_kind)(variant / 2 % Q8_KINDS);
    struct q8_layer l = q8_layer_make(9, c, kind);
    int8_t *in = q8_filled((size_t)(h * w * c), (enum q8_filling)(variant / 3 % Q8_FILLINGS));
    int8_t *want = q8_bytes((size_t)(s.out_h * s.out_w * c));
    const struct det_exec x = {0};
    detk_q8_dwconv__ref(&x, &s, &l.q, in, want);
    struct detk_depthwise d;
    assert_ok(env, detk_q8_depthwise_pack(env, k, &s, &l.q, &d));
    q8_check_sums(name, k, &d.finish, &l, kind);
    struct q8_blocks from = q8_blocks_of(k, l.q.in_zero, h, w, c, true, in);
    struct q8_blocks to = q8_blocks_of(k, l.q.to.zero, s.out_h, s.out_w, c, false, NULL);
    const float **rows = malloc((size_t)(h + 3) * 2 * sizeof *rows);
    for (int32_t block = 0; block < detk_blocks(c); block++) {
        for (int32_t i = 0; i < (s.out_h - 1) * stride + 3; i++)
            rows[i] = detk_map_at(&from.map, 0, block, i - s.pad_top, -s.pad_left);
        detk_depthwise_run(&d, block, rows, s.out_h, s.out_w, detk_map_at(&to.map, 0, block, 0, 0),
                           to.map.row);
    }
    q8_check_rows(name, &to, want, 0, s.out_h);
    free(rows);
    detk_depthwise_free(env, &d);
    q8_layer_drop(&l);
    q8_drop_bytes(in);
    q8_drop_bytes(want);
    ops_free(from.memory);
    ops_free(to.memory);
}

static void depthwise_equals_plain_sums(void **state)
{
    (void)state;
    static const int32_t sizes[][2] = {{1, 1}, {2, 3},  {3, 1},  {5, 4},  {4, 5},   {6, 6},
                                       {7, 9}, {3, 17}, {2, 40}, {9, 12}, {10, 10}, {1, 330}};
    struct form list[FORMS_MAX];
    const int count = forms_q8(list);
    struct test_env t;
    test_env_init(&t);
    int variant = 0;
    for (int table = 0; table < count; table++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (int32_t c = 1; c <= 35; c += 1 + c / 17 * 15)
                for (int32_t stride = 1; stride <= 2; stride++)
                    check_depthwise(&t.env, &list[table], sizes[i][0], sizes[i][1], c, stride,
                                    variant++);
    test_env_check(&t);
}

static void check_dense(struct det_env *env, const struct form *set, const struct det_conv_shape *s,
                        int variant)
{
    const struct detk_blocked *k = set->kernels;
    const int32_t taps = s->kernel_h * s->kernel_w;
    const bool plain = variant % 3 == 2;
    const size_t count = (size_t)(s->n * s->out_h * s->out_w * s->out_c);
    char name[128];
    snprintf(name, sizeof name, "%s dense %dx%dx%d -> %d kernel %d stride %d variant %d", set->name,
             s->in_h, s->in_w, s->in_c, s->out_c, s->kernel_h, s->stride, variant);
    const enum q8_kind kind = (enum q8_kind)((variant + variant / 12) % Q8_KINDS);
    struct q8_layer l = q8_layer_make(taps * s->in_c, s->out_c, kind);
    int8_t *in = q8_filled((size_t)(s->in_h * s->in_w * s->in_c),
                           (enum q8_filling)(variant / Q8_KINDS % Q8_FILLINGS));
    int8_t *want = q8_bytes(count);
    const struct det_exec x = {0};
    detk_q8_conv__ref(&x, s, &l.q, in, want);
    struct q8_blocks from =
        q8_blocks_of(k, l.q.in_zero, s->in_h, s->in_w, s->in_c, variant % 2, in);
    struct q8_blocks to = q8_blocks_of(k, l.q.to.zero, s->out_h, s->out_w, s->out_c, true, NULL);
    float *got = ops_buffer(count, NULL);
    struct detk_dense_step step = {.view = detk_view_of(s), .in = from.map, .out = to.map};
    if (plain)
        step.out = detk_map_plain(got, s->out_h, s->out_w, s->out_c, 0);
    assert_ok(env, detk_q8_dense_pack(env, k, s, &l.q, 0.37f, &step.product));
    if (variant % 7 != 0)
        assert_ok(env, detk_strassen_pack(env, &step.product));
    q8_check_sums(name, k, &step.product.finish, &l, kind);
    detk_dense_plan(&step);
    if (variant % 5 == 0) { /* as many threads would cut it */
        step.tasks.band = 1;
        step.tasks.bands = s->out_h;
        step.tasks.groups = step.product.panels;
    }
    float *scratch = ops_buffer(step.scratch_floats, NULL);
    const struct detk_run run = {
        .batch = 1, .scratch = scratch, .scratch_floats = step.scratch_floats};
    detk_dense_run(&step, &run);
    for (size_t i = 0; i < count && plain; i++)
        if (got[i] != det_q8_real(want[i], 0.37f, l.q.to.zero))
            fail_msg("%s: output %zu is %g, not %d", name, i, (double)got[i], want[i]);
    if (!plain)
        q8_check_rows(name, &to, want, 0, s->out_h);
    detk_pointwise_free(env, &step.product);
    q8_layer_drop(&l);
    q8_drop_bytes(in);
    q8_drop_bytes(want);
    ops_free(from.memory);
    ops_free(to.memory);
    ops_free(got);
    ops_free(scratch);
}

static void dense_equals_plain_sums(void **state)
{
    (void)state;
    static const int32_t sizes[][2] = {{1, 1}, {2, 3}, {5, 4}, {4, 5}, {7, 9}, {1, 40}, {17, 2}};
    static const int32_t channels[][2] = {{1, 1}, {3, 24}, {16, 8}, {17, 40}, {40, 19}};
    struct form list[FORMS_MAX];
    const int count = forms_q8(list);
    struct test_env t;
    test_env_init(&t);
    int variant = 0;
    for (int table = 0; table < count; table++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (size_t c = 0; c < sizeof channels / sizeof channels[0]; c++)
                for (int32_t kernel = 1; kernel <= 7; kernel += 2)
                    for (int32_t stride = 1; stride <= 3; stride++) {
                        const struct det_conv_shape s =
                            det_conv_same(1, sizes[i][0], sizes[i][1], channels[c][0],
                                          channels[c][1], kernel, stride);
                        check_dense(&t.env, &list[table], &s, variant++);
                    }
    test_env_check(&t);
}

static void an_upsampled_map_is_added(void **state)
{
    (void)state;
    struct form list[FORMS_MAX];
    const int count = forms_q8(list);
    const struct det_exec x = {0};
    for (int table = 0; table < count; table++) {
        for (int32_t w = 1; w <= 40; w++) {
            const int32_t low_w = (w + 1) / 2;
            const struct det_q8_add add = draw_add();
            const struct detk_q8_sum sum = detk_q8_sum_of(&add);
            int8_t *low = q8_filled((size_t)low_w * 16, Q8_RANDOM);
            int8_t *to = q8_filled((size_t)w * 16, Q8_RANDOM), *want = q8_bytes((size_t)w * 16);
            detk_q8_upsample_add__ref(&x, 1, 1, low_w, 16, 1, w, &add, low, to, want);
            const struct detk_blocked *k = list[table].kernels;
            float *from = q8_words(k, low, low_w * 16), *sums = q8_words(k, to, w * 16);
            k->add_upsampled(from, w, &sum, sums);
            for (int32_t i = 0; i < w * 16; i++)
                assert_int_equal(q8_stored(k, sums, i) - 128, want[i]);
            ops_free(from);
            ops_free(sums);
            q8_drop_bytes(low);
            q8_drop_bytes(to);
            q8_drop_bytes(want);
        }
    }
}

/* Floats to q8_stored values and back, at halves, at the ends, infinite and not a number. */
static void floats_are_narrowed_and_widened(void **state)
{
    (void)state;
    struct form list[FORMS_MAX];
    const int count = forms_q8(list);
    enum { VALUES = 160 };
    float from[VALUES], back[VALUES];
    for (int table = 0; table < count; table++) {
        const struct detk_blocked *k = list[table].kernels;
        float *words = ops_buffer((size_t)(VALUES / detk_q8_word_values(k)), NULL);
        for (int32_t zero = -128; zero <= 127; zero += 51) {
            const struct det_q8_tensor tensor = {zero == -26 ? 0.5f : 0.0371f, zero};
            for (int i = 0; i < VALUES; i++)
                from[i] = tensor.scale * (float)q8_draw(-700, 700) / 2;
            from[3] = NAN;
            from[5] = INFINITY;
            from[6] = -INFINITY;
            from[7] = 0.49999997f * 0.5f; /* below a half of steps of .5 */
            k->narrow(from, VALUES / 16, &tensor, words);
            k->widen(words, VALUES / 16, &tensor, back);
            for (int i = 0; i < VALUES; i++) {
                const int8_t q = det_q8_of(from[i], tensor.scale, tensor.zero);
                assert_int_equal(q8_stored(k, words, i), q + 128);
                assert_true(back[i] == det_q8_real(q, tensor.scale, tensor.zero));
            }
        }
        for (int i = 0; i < VALUES; i++)
            from[i] = (float)q8_draw(-40, 560) / 255 - 1;
        from[9] = NAN;
        from[10] = INFINITY;
        from[11] = -INFINITY;
        from[12] = 1e30f;
        from[13] = -1e30f;
        k->narrow_input(from, VALUES - 3, words);
        for (int i = 0; i < VALUES - 3; i++) {
            const float level = floorf(from[i] * 127.5f + 128.0f);
            assert_int_equal(q8_stored(k, words, i), i == 9        ? 0
                                                     : level < 0   ? 0
                                                     : level > 255 ? 255
                                                                   : level);
        }
        ops_free(words);
    }
}

int test_prepared_q8(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pointwise_equals_plain_sums),
        cmocka_unit_test(depthwise_equals_plain_sums),
        cmocka_unit_test(dense_equals_plain_sums),
        cmocka_unit_test(an_upsampled_map_is_added),
        cmocka_unit_test(floats_are_narrowed_and_widened),
    };
    return cmocka_run_group_tests_name("prepared q8", tests, NULL, NULL);
}
