/* bn_dwconv_loops.h: the inner loops of bn_dwconv.isa.c.
 *
 * Rows that are multiplied are in scratch memory, in blocks of 16 channels: [c / 16][pixels][16],
 * blocks an odd number of cache lines apart. A loop stays in one vector of channels, whose pixels
 * are then a fixed distance apart, with the nine weights or the nine sums in registers; these are
 * in memory as [c / V_WIDTH][9][V_WIDTH], zeros behind c.
 *
 * Everything that a loop multiplies is in the cache, so the memory would be idle meanwhile: each
 * loop fetches some lines of what this row will write and the next one will read. A line now and
 * then, not many at once: so many can be on their way, the processor drops what is more. */
#ifndef DET_OPS_CPU_BN_BN_DWCONV_LOOPS_H
#define DET_OPS_CPU_BN_BN_DWCONV_LOOPS_H

#include "ops/cpu/bn/bn_dwconv.h"
#include "ops/cpu/conv/ahead.h"
#include "ops/cpu/isa/simd.h"

#include <string.h>

#define LINE     DETK_AHEAD_LINE /* floats of a cache line: channels of a block */
#define TOGETHER 2 /* pixels for each load of the norm's values: memory wants to be read in order */
#define UNROLL   _Pragma("GCC unroll 4")
#define NINE     (9 * V_WIDTH)

V_INLINE void fetch_next(struct detk_fetch *f)
{
    __builtin_prefetch(f->at, 0, 2);
    f->at += f->step;
}

/* Runs the call for c channels, as an expression of j, lanes and `at`, where channel j is in a row
 * of blocks. */
#define FOR_VECTORS(c, block, call)                           \
    do {                                                      \
        int32_t j = 0;                                        \
        for (; j + V_WIDTH <= (c); j += V_WIDTH) {            \
            const int lanes = V_WIDTH;                        \
            const int64_t at = j / LINE * (block) + j % LINE; \
            call;                                             \
        }                                                     \
        if (j < (c)) {                                        \
            const int lanes = (int)((c)-j);                   \
            const int64_t at = j / LINE * (block) + j % LINE; \
            call;                                             \
        }                                                     \
    } while (0)

/* Filling a row. */

/* Fetches a line for each that is filled; f may be NULL. */
V_INLINE void fetch_group(struct detk_fetch *f)
{
    if (f == NULL)
        return;
    UNROLL
    for (int i = 0; i < TOGETHER * V_WIDTH; i += LINE)
        fetch_next(f);
}

V_INLINE void fill_value(const struct det_bn *n, const float *x, int32_t c, float *to, int count,
                         bool bn, bool relu6, struct detk_fetch *f, int32_t j, int lanes)
{
    fetch_group(f);
    v_f32 mean = v_zero(), scale = v_zero(), beta = v_zero();
    if (bn) {
        mean = v_load(n->mean + j, lanes);
        scale = v_load(n->scale + j, lanes);
        beta = v_load(n->beta + j, lanes);
    }
    UNROLL
    for (int i = 0; i < count; i++) {
        v_f32 value = v_load(x + i * (int64_t)c + j, lanes);
        if (bn)
            value = v_normalised(v_sub(value, mean), scale, beta);
        v_store_all(to + i * LINE, relu6 ? v_relu6(value) : value);
    }
}

V_INLINE void fill_values_as(const struct det_bn *n, const float *x, int32_t c, int32_t count,
                             float *to, int64_t block, bool bn, bool relu6,
                             struct detk_ahead *ahead)
{
    for (; count >= TOGETHER;
         count -= TOGETHER, x += (int64_t)TOGETHER * c, to += TOGETHER * LINE) {
        struct detk_fetch f = detk_ahead_take(ahead, TOGETHER * (int64_t)c / LINE, x);
        FOR_VECTORS(c, block, fill_value(n, x, c, to + at, TOGETHER, bn, relu6, &f, j, lanes));
    }
    for (; count > 0; count--, x += c, to += LINE)
        FOR_VECTORS(c, block, fill_value(n, x, c, to + at, 1, bn, relu6, NULL, j, lanes));
}

/* Values of `count` pixels that begin at x. */
static void fill_values(const struct det_bn *n, const float *x, int32_t c, int32_t count, float *to,
                        int64_t block, struct detk_ahead *ahead)
{
    if (n == NULL)
        fill_values_as(n, x, c, count, to, block, false, false, ahead);
    else if (n->act == DET_ACTIVATION_RELU6)
        fill_values_as(n, x, c, count, to, block, true, true, ahead);
    else
        fill_values_as(n, x, c, count, to, block, true, false, ahead);
}

V_INLINE void fill_gradient(const struct det_gradient *g, const float *dy, const float *x,
                            int32_t c, float *to, int count, bool relu6, struct detk_fetch *f,
                            int32_t j, int lanes)
{
    fetch_group(f);
    const struct det_bn *n = g->bn;
    const v_f32 mean = v_load(n->mean + j, lanes), scale = v_load(n->scale + j, lanes);
    const v_f32 slope = v_load(g->slope + j, lanes), constant = v_load(g->constant + j, lanes);
    const v_f32 beta = relu6 ? v_load(n->beta + j, lanes) : v_zero();
    UNROLL
    for (int i = 0; i < count; i++) {
        const v_f32 distance = v_sub(v_load(x + i * (int64_t)c + j, lanes), mean);
        v_f32 d = v_load(dy + i * (int64_t)c + j, lanes);
        if (relu6)
            d = v_passed(d, v_normalised(distance, scale, beta));
        v_store_all(to + i * LINE, v_fma(d, scale, v_fma(distance, slope, constant)));
    }
}

V_INLINE void fill_gradients_as(const struct det_gradient *g, const float *dy, const float *x,
                                int32_t c, int32_t count, float *to, int64_t block, bool relu6,
                                struct detk_ahead *ahead)
{
    const int64_t step = (int64_t)TOGETHER * c;
    for (; count >= TOGETHER; count -= TOGETHER, x += step, dy += step, to += TOGETHER * LINE) {
        struct detk_fetch f = detk_ahead_take(ahead, TOGETHER * (int64_t)c / LINE, x);
        FOR_VECTORS(c, block, fill_gradient(g, dy, x, c, to + at, TOGETHER, relu6, &f, j, lanes));
    }
    for (; count > 0; count--, x += c, dy += c, to += LINE)
        FOR_VECTORS(c, block, fill_gradient(g, dy, x, c, to + at, 1, relu6, NULL, j, lanes));
}

/* Gradients of `count` pixels from pixel `first` on. */
static void fill_gradients(const struct det_gradient *g, int32_t c, int64_t first, int32_t count,
                           float *to, int64_t block, struct detk_ahead *ahead)
{
    const float *dy = g->dy + first * c;
    if (g->bn == NULL)
        fill_values(NULL, dy, c, count, to, block, ahead);
    else if (g->bn->act == DET_ACTIVATION_RELU6)
        fill_gradients_as(g, dy, g->x + first * c, c, count, to, block, true, ahead);
    else
        fill_gradients_as(g, dy, g->x + first * c, c, count, to, block, false, ahead);
}

/* Zeros for `count` pixels of all blocks. */
static void fill_zeros(int32_t c, int32_t count, float *to, int64_t block)
{
    for (int32_t j = 0; j < c && count > 0; j += LINE, to += block)
        memset(to, 0, (size_t)count * LINE * sizeof *to);
}

/* Products. */

/* to += the column at `at` of `count` rows times column x of the kernel rows. */
V_INLINE void add_column(v_f32 *to, const v_f32 *column, v_f32 (*k)[3], int x, int count)
{
    UNROLL
    for (int r = 0; r < count; r++)
        *to = v_fma(column[r], k[r][x], *to);
}

V_INLINE void load_column(v_f32 *column, const float *const *rows, int64_t at, int count)
{
    UNROLL
    for (int r = 0; r < count; r++)
        column[r] = v_load_all(rows[r] + at);
}

/* Weights of `count` kernel rows, `step` apart. */
V_INLINE void load_weights(v_f32 (*k)[3], const float *w, int count, int step)
{
    UNROLL
    for (int r = 0; r < count; r++) {
        UNROLL
        for (int x = 0; x < 3; x++)
            k[r][x] = v_load_all(w + (r * step * 3 + x) * V_WIDTH);
    }
}

V_INLINE void put(float *to, v_f32 value, bool add, int lanes)
{
    v_store(to, add ? v_add(value, v_load(to, lanes)) : value, lanes);
}

/* One more column with stride 1: the last one for the output `first`, which is stored, the second
 * for the next and the first for the one behind it. */
V_INLINE void slide_column(v_f32 *first, v_f32 *second, v_f32 *third, const float *const *rows,
                           int64_t at, v_f32 (*k)[3], v_f32 start, float *out, bool add, int lanes)
{
    v_f32 column[3];
    load_column(column, rows, at, 3);
    add_column(first, column, k, 2, 3);
    put(out, *first, add, lanes);
    add_column(second, column, k, 1, 3);
    *third = start;
    add_column(third, column, k, 0, 3);
}

/* `count` outputs, `c` floats apart, from three rows. */
V_INLINE void slide_1(const float *const *rows, int32_t count, const float *w, v_f32 start,
                      float *out, int64_t c, bool add, struct detk_fetch f, int lanes)
{
    v_f32 k[3][3], column[3], first = start, second = start, third;
    load_weights(k, w, 3, 1);
    load_column(column, rows, 0, 3);
    add_column(&first, column, k, 0, 3);
    load_column(column, rows, LINE, 3);
    add_column(&first, column, k, 1, 3);
    add_column(&second, column, k, 0, 3);
    int64_t at = 2 * LINE;
    int32_t i = 0;
    for (; i + 3 <= count; i += 3, at += 3 * LINE, out += 3 * c) {
        fetch_next(&f);
        slide_column(&first, &second, &third, rows, at, k, start, out, add, lanes);
        fetch_next(&f);
        slide_column(&second, &third, &first, rows, at + LINE, k, start, out + c, add, lanes);
        slide_column(&third, &first, &second, rows, at + 2 * LINE, k, start, out + 2 * c, add,
                     lanes);
    }
    for (; i < count; i++, at += LINE, out += c) {
        slide_column(&first, &second, &third, rows, at, k, start, out, add, lanes);
        first = second;
        second = third;
    }
}

/* The same with stride 2. */
V_INLINE void slide_2(const float *const *rows, int32_t count, const float *w, v_f32 start,
                      float *out, int64_t c, struct detk_fetch f, int lanes)
{
    v_f32 k[3][3], column[3], sum = start;
    load_weights(k, w, 3, 1);
    load_column(column, rows, 0, 3);
    add_column(&sum, column, k, 0, 3);
    for (int32_t i = 0; i < count; i++, out += c) {
        fetch_next(&f);
        load_column(column, rows, (2 * i + 1) * LINE, 3);
        add_column(&sum, column, k, 1, 3);
        load_column(column, rows, (2 * i + 2) * LINE, 3);
        add_column(&sum, column, k, 2, 3);
        v_store(out, sum, lanes);
        sum = start;
        add_column(&sum, column, k, 0, 3);
    }
}

/* Stride 2 backward: pixels of a row of din from `count` (a constant, 1 or 2) rows of dout, the
 * lower one first, with kernel rows `w`, w + 2. Pixel P = ix + pad_left, of which those from begin
 * to end are made: an even one gets columns 0 and 2 of the kernel from dout columns P / 2 and the
 * one before, an odd one column 1 from P / 2. Rows begin with dout column -1. */
V_INLINE void spread(const float *const *rows, int count, int32_t begin, int32_t end,
                     const float *w, float *din, int64_t c, bool add, struct detk_fetch f,
                     int lanes)
{
    v_f32 k[2][3], before[2], column[2];
    load_weights(k, w, count, 2);
    load_column(before, rows, begin / 2 * LINE, count);
    for (int32_t p = begin; p < end;) {
        load_column(column, rows, (p / 2 + 1) * LINE, count);
        if (p % 2 == 0) {
            v_f32 sum = v_zero();
            add_column(&sum, before, k, 2, count);
            add_column(&sum, column, k, 0, count);
            fetch_next(&f);
            put(din, sum, add, lanes);
            din += c;
            p++;
        }
        if (p < end) {
            v_f32 sum = v_zero();
            add_column(&sum, column, k, 1, count);
            fetch_next(&f);
            put(din, sum, add, lanes);
            din += c;
            p++;
        }
        UNROLL
        for (int r = 0; r < count; r++)
            before[r] = column[r];
    }
}

/* Sums of the weights' gradient, of `count` kernel rows `step` apart. */
V_INLINE void load_sums(v_f32 (*sum)[3], const float *from, int count, int step)
{
    load_weights(sum, from, count, step);
}

V_INLINE void store_sums(float *to, v_f32 (*sum)[3], int count, int step)
{
    UNROLL
    for (int r = 0; r < count; r++) {
        UNROLL
        for (int x = 0; x < 3; x++)
            v_store_all(to + (r * step * 3 + x) * V_WIDTH, sum[r][x]);
    }
}

/* Stride 1: sums += products of `count` pixels of three rows of dout with a row of the input, which
 * begins where the first one's window does. */
V_INLINE void gather_1(const float *in, const float *const *rows, int32_t count, float *sums,
                       struct detk_fetch f)
{
    v_f32 sum[3][3], column[3], d[3];
    load_sums(sum, sums, 3, 1);
    column[0] = v_load_all(in);
    column[1] = v_load_all(in + LINE);
    for (int32_t i = 0; i < count; i++) {
        if (i % 2 == 0)
            fetch_next(&f);
        column[2] = v_load_all(in + (i + 2) * LINE);
        load_column(d, rows, i * LINE, 3);
        UNROLL
        for (int r = 0; r < 3; r++) {
            UNROLL
            for (int x = 0; x < 3; x++)
                sum[r][x] = v_fma(column[x], d[r], sum[r][x]);
        }
        column[0] = column[1];
        column[1] = column[2];
    }
    store_sums(sums, sum, 3, 1);
}

/* Stride 2: sums += products of `pairs` pairs of pixels of the input with `count` (1 or 2) rows of
 * dout, which begin one column earlier. */
V_INLINE void gather_2(const float *in, const float *const *rows, int count, int32_t pairs,
                       float *sums, struct detk_fetch f)
{
    v_f32 sum[2][3], before[2], d[2];
    load_sums(sum, sums, count, 2);
    load_column(before, rows, 0, count);
    for (int32_t i = 0; i < pairs; i++) {
        fetch_next(&f);
        const v_f32 even = v_load_all(in + 2 * i * LINE), odd = v_load_all(in + (2 * i + 1) * LINE);
        load_column(d, rows, (i + 1) * LINE, count);
        UNROLL
        for (int r = 0; r < count; r++) {
            sum[r][0] = v_fma(even, d[r], sum[r][0]);
            sum[r][1] = v_fma(odd, d[r], sum[r][1]);
            sum[r][2] = v_fma(even, before[r], sum[r][2]);
            before[r] = d[r];
        }
    }
    store_sums(sums, sum, count, 2);
}

#endif
