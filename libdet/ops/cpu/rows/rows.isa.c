/* rows.isa.c: rows.h for each instruction set. What may come from memory is read in order, row by
 * row: that is what the processor can fetch ahead. Sums, whose rows are in the cache, take them in
 * groups of GROUP, for which some channels' sums stay in registers. */
#include <string.h>

#include "ops/cpu/isa/simd.h"
#include "ops/cpu/rows/rows.h"

#define GROUP      8
#define SHIFT_ROWS 16
#define UNROLL     _Pragma("GCC unroll 8")

#define FOR_GROUPS(rows, call)                    \
    do {                                          \
        int64_t r = 0;                            \
        for (; r + GROUP <= (rows); r += GROUP) { \
            const int count = GROUP;              \
            call;                                 \
        }                                         \
        for (; r < (rows); r++) {                 \
            const int count = 1;                  \
            call;                                 \
        }                                         \
    } while (0)

V_INLINE void value_lanes(const struct det_bn *n, const float *x, float *to, bool relu6, int32_t j,
                          int lanes)
{
    const v_f32 distance = v_sub(v_load(x + j, lanes), v_load(n->mean + j, lanes));
    const v_f32 result =
        v_normalised(distance, v_load(n->scale + j, lanes), v_load(n->beta + j, lanes));
    v_store(to + j, relu6 ? v_relu6(result) : result, lanes);
}

static void value(const struct det_bn *n, int32_t c, const float *x, int64_t rows, float *to,
                  int64_t to_row)
{
    for (int64_t r = 0; r < rows; r++, x += c, to += to_row) {
        if (n == NULL)
            V_FOR_CHANNELS(c, v_store(to + j, v_load(x + j, lanes), lanes));
        else if (n->act == DET_ACTIVATION_RELU6)
            V_FOR_CHANNELS(c, value_lanes(n, x, to, true, j, lanes));
        else
            V_FOR_CHANNELS(c, value_lanes(n, x, to, false, j, lanes));
    }
}

V_INLINE void gradient_lanes(const struct det_gradient *g, const float *dy, const float *x,
                             float *to, bool relu6, int32_t j, int lanes)
{
    const struct det_bn *n = g->bn;
    const v_f32 scale = v_load(n->scale + j, lanes);
    const v_f32 distance = v_sub(v_load(x + j, lanes), v_load(n->mean + j, lanes));
    v_f32 d = v_load(dy + j, lanes);
    if (relu6)
        d = v_passed(d, v_normalised(distance, scale, v_load(n->beta + j, lanes)));
    const v_f32 rest = v_fma(distance, v_load(g->slope + j, lanes), v_load(g->constant + j, lanes));
    v_store(to + j, v_fma(d, scale, rest), lanes);
}

static void gradient(const struct det_gradient *g, int32_t c, int64_t first, int64_t rows,
                     float *to, int64_t to_row)
{
    const float *dy = g->dy + first * c;
    if (g->bn == NULL) {
        value(NULL, c, dy, rows, to, to_row);
        return;
    }
    const float *x = g->x + first * c;
    for (int64_t r = 0; r < rows; r++, x += c, dy += c, to += to_row) {
        if (g->bn->act == DET_ACTIVATION_RELU6)
            V_FOR_CHANNELS(c, gradient_lanes(g, dy, x, to, true, j, lanes));
        else
            V_FOR_CHANNELS(c, gradient_lanes(g, dy, x, to, false, j, lanes));
    }
}

V_INLINE v_f32 operand(const struct det_operand *a, int64_t at, int32_t j, int lanes)
{
    const v_f32 x = v_load(a->x + at + j, lanes);
    const struct det_bn *n = a->bn;
    if (n == NULL)
        return x;
    const v_f32 result = v_normalised(v_sub(x, v_load(n->mean + j, lanes)),
                                      v_load(n->scale + j, lanes), v_load(n->beta + j, lanes));
    return n->act == DET_ACTIVATION_RELU6 ? v_relu6(result) : result;
}

static void sum(const struct det_operand *a, const struct det_operand *b, int32_t c, int64_t first,
                int64_t rows, float *to)
{
    for (int64_t r = 0; r < rows; r++)
        V_FOR_CHANNELS(c, v_store(to + r * c + j,
                                  v_add(operand(a, (first + r) * c, j, lanes),
                                        operand(b, (first + r) * c, j, lanes)),
                                  lanes));
}

/* Statistics. */

/* shift = mean of `rows` rows. */
V_INLINE void set_shift(const struct detk_feed *f, const float *x, int64_t rows, v_f32 share,
                        int32_t j, int lanes)
{
    v_f32 total = v_zero();
    for (int64_t r = 0; r < rows; r++)
        total = v_add(total, v_load(x + r * f->c + j, lanes));
    v_store_all(f->shift + j, v_mul(total, share));
}

V_INLINE void add_statistics(const struct detk_feed *f, const float *x, int count, int32_t j,
                             int lanes)
{
    const int64_t c = f->c;
    const v_f32 shift = v_load_all(f->shift + j);
    v_f32 s = v_load_all(f->sum + j), q = v_load_all(f->products + j);
    v_f32 s2 = v_zero(), q2 = v_zero();
    UNROLL
    for (int r = 0; r < count; r += 2) {
        const v_f32 d = v_sub(v_load(x + r * c + j, lanes), shift);
        s = v_add(s, d);
        q = v_fma(d, d, q);
        if (count > 1) {
            const v_f32 e = v_sub(v_load(x + (r + 1) * c + j, lanes), shift);
            s2 = v_add(s2, e);
            q2 = v_fma(e, e, q2);
        }
    }
    v_store_all(f->sum + j, v_add(s, s2));
    v_store_all(f->products + j, v_add(q, q2));
}

static void end_statistics(struct detk_feed *f)
{
    if (f->pending == 0)
        return;
    const double count = (double)f->pending, inverse = 1 / count, before = (double)*f->rows;
    const double part = count / (before + count);
    for (int32_t j = 0; j < f->c; j++) {
        const double s = f->sum[j], delta = f->shift[j] + s * inverse - f->a[j];
        f->a[j] += delta * part;
        f->b[j] += (f->products[j] - s * s * inverse) + delta * delta * (before * part);
    }
    *f->rows += f->pending;
    f->pending = 0;
    const size_t bytes = (size_t)v_padded(f->c) * sizeof(float);
    memset(f->sum, 0, bytes);
    memset(f->products, 0, bytes);
}

static void feed_statistics(struct detk_feed *f, const float *x, int64_t rows)
{
    const int64_t c = f->c;
    while (rows > 0) {
        if (f->pending == 0) {
            const int64_t head = rows < SHIFT_ROWS ? rows : SHIFT_ROWS;
            const v_f32 share = v_set(1.0f / (float)head);
            V_FOR_CHANNELS(c, set_shift(f, x, head, share, j, lanes));
        }
        const int64_t room = DETK_FEED_ROWS - f->pending, now = rows < room ? rows : room;
        FOR_GROUPS(now, V_FOR_CHANNELS(c, add_statistics(f, x + r * c, count, j, lanes)));
        f->pending += now;
        x += now * c;
        rows -= now;
        if (f->pending == DETK_FEED_ROWS)
            end_statistics(f);
    }
}

/* Gradients. */

V_INLINE void add_gradient(const struct detk_feed *f, const struct det_bn *n, const float *dy,
                           const float *x, int count, bool relu6, int32_t j, int lanes)
{
    const int64_t c = f->c;
    const v_f32 mean = v_load(n->mean + j, lanes), scale = v_load(n->scale + j, lanes);
    const v_f32 beta = v_load(n->beta + j, lanes);
    v_f32 s = v_load_all(f->sum + j), p = v_load_all(f->products + j);
    v_f32 s2 = v_zero(), p2 = v_zero();
    UNROLL
    for (int r = 0; r < count; r++) {
        const v_f32 distance = v_sub(v_load(x + r * c + j, lanes), mean);
        v_f32 d = v_load(dy + r * c + j, lanes);
        if (relu6)
            d = v_passed(d, v_normalised(distance, scale, beta));
        if (r % 2 == 0) {
            s = v_add(s, d);
            p = v_fma(d, distance, p);
        } else {
            s2 = v_add(s2, d);
            p2 = v_fma(d, distance, p2);
        }
    }
    v_store_all(f->sum + j, v_add(s, s2));
    v_store_all(f->products + j, v_add(p, p2));
}

static void end_gradient(struct detk_feed *f)
{
    for (int32_t j = 0; j < f->c; j += V_WIDTH) {
        v_add_to_double(f->a + j, v_load_all(f->sum + j));
        v_add_to_double(f->b + j, v_load_all(f->products + j));
        v_store_all(f->sum + j, v_zero());
        v_store_all(f->products + j, v_zero());
    }
    *f->rows += f->pending;
    f->pending = 0;
}

static void feed_gradient(struct detk_feed *f, const struct det_bn *n, const float *dy,
                          const float *x, int64_t rows)
{
    const int64_t c = f->c;
    while (rows > 0) {
        const int64_t room = DETK_FEED_ROWS - f->pending, now = rows < room ? rows : room;
        if (n->act == DET_ACTIVATION_RELU6)
            FOR_GROUPS(now, V_FOR_CHANNELS(c, add_gradient(f, n, dy + r * c, x + r * c, count, true,
                                                           j, lanes)));
        else
            FOR_GROUPS(now, V_FOR_CHANNELS(c, add_gradient(f, n, dy + r * c, x + r * c, count,
                                                           false, j, lanes)));
        f->pending += now;
        x += now * c;
        dy += now * c;
        rows -= now;
        if (f->pending == DETK_FEED_ROWS)
            end_gradient(f);
    }
}

const struct detk_rows DETK_NAME(detk_rows) = {
    .value = value,
    .gradient = gradient,
    .sum = sum,
    .feed_statistics = feed_statistics,
    .feed_gradient = feed_gradient,
    .end_statistics = end_statistics,
    .end_gradient = end_gradient,
};
