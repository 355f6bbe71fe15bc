#include "support/q8_layers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/ops.h"
#include "support/test.h"

static uint32_t state_of_draws;

int32_t q8_draw(int32_t low, int32_t high)
{
    state_of_draws = state_of_draws * 1664525U + 1013904223U;
    const uint64_t range = (uint64_t)((int64_t)high - low + 1);
    return (int32_t)(low + (int64_t)((uint64_t)(state_of_draws >> 8) * range >> 24));
}

int8_t *q8_bytes(size_t count)
{
    float *buffer = ops_buffer((count + 3) / 4, NULL);
    return (int8_t *)buffer;
}

void q8_drop_bytes(int8_t *bytes)
{
    ops_free((float *)(void *)bytes);
}

int8_t *q8_filled(size_t count, enum q8_filling how)
{
    int8_t *to = q8_bytes(count);
    for (size_t i = 0; i < count; i++)
        to[i] = (int8_t)(how == Q8_LOWEST    ? -128
                         : how == Q8_HIGHEST ? 127
                         : how == Q8_ENDS    ? (q8_draw(0, 1) ? 127 : -128)
                                             : q8_draw(-128, 127));
    return to;
}

int32_t q8_stored(const struct detk_blocked *k, const float *words, int32_t index)
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

float *q8_words(const struct detk_blocked *k, const int8_t *values, int32_t count)
{
    float *words = ops_buffer((size_t)(count / detk_q8_word_values(k)), NULL);
    for (int32_t i = 0; i < count; i++)
        store(k, words, i, values[i] + 128);
    return words;
}

struct q8_blocks q8_blocks_of(const struct detk_blocked *k, int32_t zero, int32_t h, int32_t w,
                              int32_t c, bool framed, const int8_t *plain)
{
    struct q8_blocks b;
    const struct det_q8_tensor tensor = {1, zero};
    size_t words = 0;
    b.map = detk_map_blocked(k, &tensor, h, w, c, framed, 1, &words);
    b.memory = ops_buffer(words, NULL);
    for (int32_t i = 0; i < (int32_t)words * detk_q8_word_values(k); i++)
        store(k, b.memory, i, q8_draw(0, 255));
    detk_map_place(&b.map, b.memory);
    for (int32_t i = 0; plain != NULL && i < h * w * c; i++)
        store(k, detk_map_at(&b.map, 0, i % c / 16, i / c / w, i / c % w), i % c % 16,
              plain[i] + 128);
    detk_map_zero_frame(&b.map, 0, 0, detk_blocks(c), 0, h);
    return b;
}

void q8_check_rows(const char *name, const struct q8_blocks *got, const int8_t *want, int32_t y,
                   int32_t end)
{
    const struct detk_map *m = &got->map;
    for (int32_t i = y * m->w * m->c; i < end * m->w * m->c; i++) {
        const float *at = detk_map_at(m, 0, i % m->c / 16, i / m->c / m->w, i / m->c % m->w);
        const int32_t value = q8_stored(m->q8, at, i % m->c % 16) - 128;
        if (value != want[i])
            fail_msg("%s: value %d is %d, not %d", name, i, value, want[i]);
    }
}

static float draw_scale(enum q8_kind kind, int32_t terms)
{
    if (kind == Q8_TIES) /* powers of two: every other sum is a tie */
        return ldexpf(1, -1 - q8_draw(0, 8));
    if (kind == Q8_HUGE_SCALES) {
        static const float ends[] = {0x1p29f, 0x1p28f, 0x1p-31f, 0, 1e-40f, 1};
        return ends[q8_draw(0, 5)];
    }
    if (kind == Q8_SATURATING)
        return (float)q8_draw(60, 120) / ((float)terms * 255 * 127);
    if (kind == Q8_RAISED || kind == Q8_TOO_HIGH) {
        static const float some[] = {0x1p-15f, 0x1p-16f, 0x1p-1f, 3, 0x1.fffffep6f, 0, 1e-40f};
        return q8_draw(0, 1) == 0 ? some[q8_draw(0, 6)] : ldexpf((float)q8_draw(100, 299), -23);
    }
    return ldexpf((float)q8_draw(100, 299), -15) / sqrtf((float)terms);
}

static bool may_be_raised(enum q8_kind kind)
{
    return kind == Q8_RAISED || kind == Q8_TOO_HIGH;
}

/* A layer's results are steps above 0, and the sums of its columns of at most `most`. */
static void raise(struct q8_layer *l, int32_t terms, int32_t out_c, int32_t most)
{
    const int32_t end = (1 << 22) / (255 * terms);
    for (int32_t j = 0; j < out_c; j++) {
        int32_t left = most;
        for (int32_t k = 0; k < terms; k++) {
            int8_t *w = &l->weights[k * out_c + j];
            *w = (int8_t)(*w * (end < 127 ? end : 127) / 127);
            left -= 255 * abs(*w);
        }
        const int32_t bias = j % 3 == 0 ? left : q8_draw(0, left / 1000);
        l->bias[j] = q8_draw(0, 1) == 0 ? bias : -bias;
    }
    l->q.to.zero = -128;
    l->q.to.low = -128;
}

struct q8_layer q8_layer_make(int32_t terms, int32_t out_c, enum q8_kind kind)
{
    static const int32_t zeros[] = {-128, 127, 0, -3, 50};
    struct q8_layer l = {.weights = malloc((size_t)(terms * out_c)),
                         .bias = malloc((size_t)out_c * sizeof *l.bias),
                         .scales = malloc((size_t)out_c * sizeof *l.scales)};
    for (int32_t i = 0; i < terms * out_c; i++) {
        const int32_t end = (i % out_c % 2 == 0 ? i % out_c : i / out_c) / 2 % 2 == 0 ? 127 : -127;
        l.weights[i] = (int8_t)(i % out_c == 3          ? 0
                                : kind == Q8_TIES       ? q8_draw(0, 1)
                                : kind == Q8_SATURATING ? end
                                                        : q8_draw(-127, 127));
    }
    for (int32_t j = 0; j < out_c; j++) {
        l.bias[j] =
            j % 5 == 4 && kind != Q8_TIES ? q8_draw(-(1 << 30), 1 << 30) : q8_draw(-9000, 9000);
        l.scales[j] = draw_scale(kind, terms);
    }
    struct det_q8_target to = {zeros[q8_draw(0, 4)], -128, 127};
    if (kind == Q8_SATURATING)
        to.zero = q8_draw(-10, 10);
    if (q8_draw(0, 1) == 1 && kind != Q8_SATURATING)
        to.low = to.zero;
    if (q8_draw(0, 3) == 0)
        to.high = q8_draw(to.zero, 127);
    l.q = (struct det_q8_conv){zeros[q8_draw(0, 4)], l.weights, l.bias, l.scales, to};
    if (may_be_raised(kind))
        raise(&l, terms, out_c, kind == Q8_RAISED ? (1 << 23) - 1 : 1 << 23);
    return l;
}

void q8_check_sums(const char *name, const struct detk_blocked *k,
                   const struct detk_q8_finish *finish, const struct q8_layer *l, enum q8_kind kind)
{
    static const char *const names[] = {"any", "small", "raised"};
    const bool all_values = l->q.to.low == -128 && l->q.to.high == 127;
    const enum detk_q8_sums want = !all_values                      ? DETK_Q8_ANY
                                   : kind == Q8_RAISED && k->raises ? DETK_Q8_RAISED
                                                                    : DETK_Q8_SMALL;
    const bool certain = !all_values || kind == Q8_SATURATING || may_be_raised(kind);
    if (certain && finish->sums != want)
        fail_msg("%s: sums are %s, not %s", name, names[finish->sums], names[want]);
}

void q8_layer_drop(struct q8_layer *l)
{
    free(l->weights);
    free(l->bias);
    free(l->scales);
}
