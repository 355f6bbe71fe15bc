/* The prepared network in 8 bits: the kernels of each instruction set (blocked.h) against the plain
 * operations of ops/q8.h: equal integers. Whole networks: test_prepared_mixed.c. */
#include <math.h>

#include "devices/cpu/prepared/prepared_beside.h"
#include "devices/cpu/prepared/prepared_steps.h"
#include "devices/cpu/prepared/prepared_strassen.h"
#include "ops/conv_shape.h"
#include "support/forms.h"
#include "support/mem.h"
#include "support/test.h"

static uint32_t state_of_draws;

static int32_t draw(int32_t low, int32_t high)
{
    state_of_draws = state_of_draws * 1664525U + 1013904223U;
    const uint64_t range = (uint64_t)((int64_t)high - low + 1);
    return (int32_t)(low + (int64_t)((uint64_t)(state_of_draws >> 8) * range >> 24));
}

/* Integers between guards. */
static int8_t *bytes_of(size_t count)
{
    float *buffer = ops_buffer((count + 3) / 4, NULL);
    return (int8_t *)buffer;
}

static void drop_bytes(int8_t *bytes)
{
    ops_free((float *)(void *)bytes);
}

enum filling { RANDOM, LOWEST, HIGHEST, ENDS, FILLINGS };

static int8_t *filled(size_t count, enum filling how)
{
    int8_t *to = bytes_of(count);
    for (size_t i = 0; i < count; i++)
        to[i] = (int8_t)(how == LOWEST    ? -128
                         : how == HIGHEST ? 127
                         : how == ENDS    ? (draw(0, 1) ? 127 : -128)
                                          : draw(-128, 127));
    return to;
}

/* Stored value `index` of words: 8 or 16 bits. */
static int32_t stored(const struct detk_blocked *k, const float *words, int32_t index)
{
    uint16_t wide;
    if (detk_q8_word_values(k) == 4)
        return ((const uint8_t *)words)[index];
    memcpy(&wide, (const char *)words + (size_t)index * sizeof wide, sizeof wide);
    return wide;
}

static void store(const struct detk_blocked *k, float *words, int32_t index, int32_t value)
{
    const uint16_t wide = (uint16_t)value;
    if (detk_q8_word_values(k) == 4)
        ((uint8_t *)words)[index] = (uint8_t)value;
    else
        memcpy((char *)words + (size_t)index * sizeof wide, &wide, sizeof wide);
}

static float *stored_words(const struct detk_blocked *k, const int8_t *values, int32_t count)
{
    float *words = ops_buffer((size_t)(count / detk_q8_word_values(k)), NULL);
    for (int32_t i = 0; i < count; i++)
        store(k, words, i, values[i] + 128);
    return words;
}

/* A tensor in blocks between guards, what no channel uses at random. */
struct blocks {
    struct detk_map map;
    float *memory;
};

static struct blocks blocks_of(const struct detk_blocked *k, int32_t zero, int32_t h, int32_t w,
                               int32_t c, bool framed, const int8_t *plain)
{
    struct blocks b;
    const struct det_q8_tensor tensor = {1, zero};
    size_t words = 0;
    b.map = detk_map_blocked(k, &tensor, h, w, c, framed, 1, &words);
    b.memory = ops_buffer(words, NULL);
    for (int32_t i = 0; i < (int32_t)words * detk_q8_word_values(k); i++)
        store(k, b.memory, i, draw(0, 255));
    detk_map_place(&b.map, b.memory);
    for (int32_t i = 0; plain != NULL && i < h * w * c; i++)
        store(k, detk_map_at(&b.map, 0, i % c / 16, i / c / w, i / c % w), i % c % 16,
              plain[i] + 128);
    detk_map_zero_frame(&b.map, 0, 0, detk_blocks(c), 0, h);
    return b;
}

static void check_equal(const char *name, const struct blocks *got, const int8_t *want)
{
    const struct detk_map *m = &got->map;
    for (int32_t i = 0; i < m->h * m->w * m->c; i++) {
        const float *at = detk_map_at(m, 0, i % m->c / 16, i / m->c / m->w, i / m->c % m->w);
        const int32_t value = stored(m->q8, at, i % m->c % 16) - 128;
        if (value != want[i])
            fail_msg("%s: value %d is %d, not %d", name, i, value, want[i]);
    }
}

/* --- layers --- */

struct layer {
    struct det_q8_conv q;
    int8_t *weights;
    int32_t *bias;
    float *scales;
};

/* Scales: usual ones, those of exact ties, tiny, zero and huge ones. SATURATING: every weight at an
 * end, of one sign or of one for two terms, and results within their range: two products of 255
 * with 127 leave 16 bits. RAISED: sums up to the last that can be raised (q8_finish.h), on both
 * sides, behind a relu6; TOO_HIGH: up to the next one. */
enum kind { USUAL, TIES, HUGE_SCALES, SATURATING, RAISED, TOO_HIGH, KINDS };

static float draw_scale(enum kind kind, int32_t terms)
{
    if (kind == TIES) /* powers of two: every other sum is a tie */
        return ldexpf(1, -1 - draw(0, 8));
    if (kind == HUGE_SCALES) {
        static const float ends[] = {0x1p29f, 0x1p28f, 0x1p-31f, 0, 1e-40f, 1};
        return ends[draw(0, 5)];
    }
    if (kind == SATURATING)
        return (float)draw(60, 120) / ((float)terms * 255 * 127);
    if (kind == RAISED || kind == TOO_HIGH) {
        static const float some[] = {0x1p-15f, 0x1p-16f, 0x1p-1f, 3, 0x1.fffffep6f, 0, 1e-40f};
        return draw(0, 1) == 0 ? some[draw(0, 6)] : ldexpf((float)draw(100, 299), -23);
    }
    return ldexpf((float)draw(100, 299), -15) / sqrtf((float)terms);
}

static bool may_be_raised(enum kind kind)
{
    return kind == RAISED || kind == TOO_HIGH;
}

/* A layer's results are steps above 0, and the sums of its columns of at most `most`. */
static void raise(struct layer *l, int32_t terms, int32_t out_c, int32_t most)
{
    const int32_t end = (1 << 22) / (255 * terms);
    for (int32_t j = 0; j < out_c; j++) {
        int32_t left = most;
        for (int32_t k = 0; k < terms; k++) {
            int8_t *w = &l->weights[k * out_c + j];
            *w = (int8_t)(*w * (end < 127 ? end : 127) / 127);
            left -= 255 * abs(*w);
        }
        const int32_t bias = j % 3 == 0 ? left : draw(0, left / 1000);
        l->bias[j] = draw(0, 1) == 0 ? bias : -bias;
    }
    l->q.to.zero = -128;
    l->q.to.low = -128;
}

static struct layer layer_make(int32_t terms, int32_t out_c, enum kind kind)
{
    static const int32_t zeros[] = {-128, 127, 0, -3, 50};
    struct layer l = {.weights = malloc((size_t)(terms * out_c)),
                      .bias = malloc((size_t)out_c * sizeof *l.bias),
                      .scales = malloc((size_t)out_c * sizeof *l.scales)};
    for (int32_t i = 0; i < terms * out_c; i++) {
        const int32_t end = (i % out_c % 2 == 0 ? i % out_c : i / out_c) / 2 % 2 == 0 ? 127 : -127;
        l.weights[i] = (int8_t)(i % out_c == 3       ? 0
                                : kind == TIES       ? draw(0, 1)
                                : kind == SATURATING ? end
                                                     : draw(-127, 127));
    }
    for (int32_t j = 0; j < out_c; j++) {
        l.bias[j] = j % 5 == 4 && kind != TIES ? draw(-(1 << 30), 1 << 30) : draw(-9000, 9000);
        l.scales[j] = draw_scale(kind, terms);
    }
    struct det_q8_target to = {zeros[draw(0, 4)], -128, 127};
    if (kind == SATURATING)
        to.zero = draw(-10, 10);
    if (draw(0, 1) == 1 && kind != SATURATING)
        to.low = to.zero;
    if (draw(0, 3) == 0)
        to.high = draw(to.zero, 127);
    l.q = (struct det_q8_conv){zeros[draw(0, 4)], l.weights, l.bias, l.scales, to};
    if (may_be_raised(kind))
        raise(&l, terms, out_c, kind == RAISED ? (1 << 23) - 1 : 1 << 23);
    return l;
}

static void check_raised(const char *name, const struct detk_blocked *k,
                         const struct detk_q8_finish *finish, enum kind kind)
{
    if (may_be_raised(kind) && finish->raised != (kind == RAISED && k->raises))
        fail_msg("%s: sums are %s", name, finish->raised ? "raised" : "not raised");
}

static void layer_drop(struct layer *l)
{
    free(l->weights);
    free(l->bias);
    free(l->scales);
}

static struct det_q8_add draw_add(void)
{
    static const int32_t zeros[] = {-128, 127, 0, 17};
    const float a = (float)draw(1, 400), b = (float)draw(1, 400);
    const float out = draw(1, 5) == 1 ? 3 : (float)draw(100, 900);
    const struct det_q8_target to = {zeros[draw(0, 3)], draw(0, 2) == 0 ? -100 : -128, 127};
    /* Now and then equal scales: ties. */
    if (draw(0, 2) == 0)
        return det_q8_add_of(1, zeros[draw(0, 3)], 1, zeros[draw(0, 3)], 2, to);
    return det_q8_add_of(a, zeros[draw(0, 3)], b, zeros[draw(0, 3)], out, to);
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
    const enum kind kind = (enum kind)(variant / 3 % KINDS);
    struct layer l = layer_make(in_c, out_c, kind);
    int8_t *in = filled((size_t)(h * w * in_c), (enum filling)(variant / 2 % FILLINGS));
    int8_t *added = filled(count, RANDOM), *want = bytes_of(count);
    const struct det_exec x = {0};
    const struct det_q8_add add = draw_add();
    detk_q8_conv__ref(&x, &s, &l.q, in, want);
    if (residual)
        detk_q8_add__ref(&x, (int64_t)count, &add, added, want, want);
    struct detk_pointwise p;
    assert_ok(env, detk_q8_pointwise_pack(env, k, in_c, out_c, &l.q, 0.37f, &p));
    if (variant % 7 != 0)
        assert_ok(env, detk_strassen_pack(env, &p));
    check_raised(name, k, &p.finish, kind);
    p.sum = detk_q8_sum_of(&add);
    struct blocks from = blocks_of(k, l.q.in_zero, h, w, in_c, (variant & 4) != 0, in);
    struct blocks sum = blocks_of(k, 0, h, w, out_c, false, added);
    struct blocks to = blocks_of(k, l.q.to.zero, h, w, out_c, target == TO_FRAMED, NULL);
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
        check_equal(name, &to, want);
    detk_pointwise_free(env, &p);
    layer_drop(&l);
    drop_bytes(in);
    drop_bytes(added);
    drop_bytes(want);
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
    const enum kind kind = (enum kind)(variant / 2 % KINDS);
    struct layer l = layer_make(9, c, kind);
    int8_t *in = filled((size_t)(h * w * c), (enum filling)(variant / 3 % FILLINGS));
    int8_t *want = bytes_of((size_t)(s.out_h * s.out_w * c));
    const struct det_exec x = {0};
    detk_q8_dwconv__ref(&x, &s, &l.q, in, want);
    struct detk_depthwise d;
    assert_ok(env, detk_q8_depthwise_pack(env, k, &s, &l.q, &d));
    check_raised(name, k, &d.finish, kind);
    struct blocks from = blocks_of(k, l.q.in_zero, h, w, c, true, in);
    struct blocks to = blocks_of(k, l.q.to.zero, s.out_h, s.out_w, c, false, NULL);
    const float **rows = malloc((size_t)(h + 3) * 2 * sizeof *rows);
    for (int32_t block = 0; block < detk_blocks(c); block++) {
        for (int32_t i = 0; i < (s.out_h - 1) * stride + 3; i++)
            rows[i] = detk_map_at(&from.map, 0, block, i - s.pad_top, -s.pad_left);
        detk_depthwise_run(&d, block, rows, s.out_h, s.out_w, detk_map_at(&to.map, 0, block, 0, 0),
                           to.map.row);
    }
    check_equal(name, &to, want);
    free(rows);
    detk_depthwise_free(env, &d);
    layer_drop(&l);
    drop_bytes(in);
    drop_bytes(want);
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
    const enum kind kind = (enum kind)((variant + variant / 12) % KINDS);
    struct layer l = layer_make(taps * s->in_c, s->out_c, kind);
    int8_t *in =
        filled((size_t)(s->in_h * s->in_w * s->in_c), (enum filling)(variant / KINDS % FILLINGS));
    int8_t *want = bytes_of(count);
    const struct det_exec x = {0};
    detk_q8_conv__ref(&x, s, &l.q, in, want);
    struct blocks from = blocks_of(k, l.q.in_zero, s->in_h, s->in_w, s->in_c, variant % 2, in);
    struct blocks to = blocks_of(k, l.q.to.zero, s->out_h, s->out_w, s->out_c, true, NULL);
    float *got = ops_buffer(count, NULL);
    struct detk_dense_step step = {.view = detk_view_of(s), .in = from.map, .out = to.map};
    if (plain)
        step.out = detk_map_plain(got, s->out_h, s->out_w, s->out_c, 0);
    assert_ok(env, detk_q8_dense_pack(env, k, s, &l.q, 0.37f, &step.product));
    if (variant % 7 != 0)
        assert_ok(env, detk_strassen_pack(env, &step.product));
    check_raised(name, k, &step.product.finish, kind);
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
        check_equal(name, &to, want);
    detk_pointwise_free(env, &step.product);
    layer_drop(&l);
    drop_bytes(in);
    drop_bytes(want);
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
            int8_t *low = filled((size_t)low_w * 16, RANDOM);
            int8_t *to = filled((size_t)w * 16, RANDOM), *want = bytes_of((size_t)w * 16);
            detk_q8_upsample_add__ref(&x, 1, 1, low_w, 16, 1, w, &add, low, to, want);
            const struct detk_blocked *k = list[table].kernels;
            float *from = stored_words(k, low, low_w * 16), *sums = stored_words(k, to, w * 16);
            k->add_upsampled(from, w, &sum, sums);
            for (int32_t i = 0; i < w * 16; i++)
                assert_int_equal(stored(k, sums, i) - 128, want[i]);
            ops_free(from);
            ops_free(sums);
            drop_bytes(low);
            drop_bytes(to);
            drop_bytes(want);
        }
    }
}

/* Floats to stored values and back, at halves, at the ends, infinite and not a number. */
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
                from[i] = tensor.scale * (float)draw(-700, 700) / 2;
            from[3] = NAN;
            from[5] = INFINITY;
            from[6] = -INFINITY;
            from[7] = 0.49999997f * 0.5f; /* below a half of steps of .5 */
            k->narrow(from, VALUES / 16, &tensor, words);
            k->widen(words, VALUES / 16, &tensor, back);
            for (int i = 0; i < VALUES; i++) {
                const int8_t q = det_q8_of(from[i], tensor.scale, tensor.zero);
                assert_int_equal(stored(k, words, i), q + 128);
                assert_true(back[i] == det_q8_real(q, tensor.scale, tensor.zero));
            }
        }
        for (int i = 0; i < VALUES; i++)
            from[i] = (float)draw(-40, 560) / 255 - 1;
        from[9] = NAN;
        k->narrow_input(from, VALUES - 3, words);
        for (int i = 0; i < VALUES - 3; i++) {
            const float level = floorf(from[i] * 127.5f + 128.0f);
            assert_int_equal(stored(k, words, i), i == 9        ? 0
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
