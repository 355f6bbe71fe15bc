/* blocked_q8_avx2.c: the kernels of blocked.h's 8-bit form for AVX2, values of 16 bits.
 *
 * vpmaddubsw would take bytes, but its sums of two products end at 16 bits, and two weights of one
 * sign that add up to more than 128 leave them. Of a trained network's panels 22 to 100 % of the
 * rows hold such a pair, so vpmaddwd of numbers widened once is the faster one too. */
#define BLOCKED_TABLE detk_blocked_q8_avx2
#define WORDS         8
#include "ops/cpu/blocked/blocked_q8_256.h"

INLINE __m256i load_values(const float *from)
{
    return load(from);
}

INLINE void store_values(float *to, __m256i values)
{
    _mm256_storeu_si256((__m256i *)(void *)to, values);
}

INLINE void store_half(float *to, __m256i values)
{
    _mm_storeu_si128((__m128i *)(void *)to, _mm256_castsi256_si128(values));
}

INLINE __m256i add_products(__m256i sum, __m256i pixel, __m256i columns)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pixel, columns));
}

/* --- depthwise --- */

/* A vector is one pixel; unpacked within 128 bits it is of channels 0..3 and 8..11 (even) and of
 * 4..7 and 12..15 (odd). Words of two: rows 0 and 1 of a column, and row 2 of two neighbouring
 * columns, so that only one of ten products of words is half empty. */
struct halves {
    __m256i even, odd;
};

INLINE struct halves interleave(__m256i a, __m256i b)
{
    return (struct halves){_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)};
}

/* Row 0 and 1 of a column. */
INLINE struct halves column_at(const float *const *rows, int64_t x)
{
    return interleave(load(rows[0] + x * WORDS), load(rows[1] + x * WORDS));
}

/* Row 2 of column x and the next; behind the last, column end - 1, stand zeros. */
INLINE struct halves two_at(const float *const *rows, int64_t x, int64_t end)
{
    const __m256i none = _mm256_setzero_si256();
    return interleave(x < end ? load(rows[2] + x * WORDS) : none,
                      x + 1 < end ? load(rows[2] + (x + 1) * WORDS) : none);
}

/* Words of channels 0..3 and 8..11, and of 4..7 and 12..15. */
INLINE struct halves words_of(const void *words)
{
    const __m256i first = load(words), second = load((const float *)words + LANES);
    return (struct halves){_mm256_permute2x128_si256(first, second, 0x20),
                           _mm256_permute2x128_si256(first, second, 0x31)};
}

/* Of one output pixel: its columns by rows 0 and 1; row 2 by the columns from one on that begins a
 * pair, [0], and from one on that ends it, [1]. */
struct dw_weights {
    struct halves rows_01[3], row_2[2][2], bias;
    struct finish finish;
};

/* Bytes as the upper halves of numbers, which are shifted down: byte `row` of each word of `low` in
 * the first number of a word, that of `high` in the second. -1: none. */
INLINE __m256i two_weights(__m256i low, int low_row, __m256i high, int high_row)
{
    const __m256i byte = _mm256_set1_epi32(0xFF);
    const __m256i none = _mm256_setzero_si256();
    const __m256i l =
        low_row < 0 ? none : _mm256_and_si256(_mm256_srli_epi32(low, 8 * low_row), byte);
    const __m256i h =
        high_row < 0 ? none : _mm256_and_si256(_mm256_srli_epi32(high, 8 * high_row), byte);
    return _mm256_srai_epi16(_mm256_or_si256(_mm256_slli_epi32(l, 8), _mm256_slli_epi32(h, 24)), 8);
}

INLINE struct halves pair_of(struct halves low, int low_row, struct halves high, int high_row)
{
    return (struct halves){two_weights(low.even, low_row, high.even, high_row),
                           two_weights(low.odd, low_row, high.odd, high_row)};
}

/* From words of one column's three rows. */
INLINE struct dw_weights dw_weights_of(const struct detk_dw_rows *job)
{
    struct dw_weights k;
    struct halves w[3];
    UNROLL_ALL for (int x = 0; x < 3; x++)
    {
        w[x] = words_of(job->w + x * DETK_BLOCK);
        k.rows_01[x] = pair_of(w[x], 0, w[x], 1);
    }
    k.row_2[0][0] = pair_of(w[0], 2, w[1], 2);
    k.row_2[0][1] = pair_of(w[2], 2, w[2], -1);
    k.row_2[1][0] = pair_of(w[0], -1, w[0], 2);
    k.row_2[1][1] = pair_of(w[1], 2, w[2], 2);
    k.bias = words_of(job->bias);
    const struct halves scale = words_of(job->finish->scale);
    k.finish =
        finish_with(job->finish, _mm256_castsi256_ps(scale.even), _mm256_castsi256_ps(scale.odd));
    return k;
}

INLINE struct halves add_two(struct halves sum, struct halves in, struct halves w)
{
    return (struct halves){add_products(sum.even, in.even, w.even),
                           add_products(sum.odd, in.odd, w.odd)};
}

/* From the columns a, b, c, whose third row is in `first` and `second`, from the second number of
 * `first` on if `odd`. */
INLINE void dw_pixel(const struct dw_weights *k, const struct halves columns[3],
                     struct halves first, struct halves second, const int odd, float *out)
{
    const struct finish *f = &k->finish;
    struct halves sum = k->bias;
    UNROLL_ALL for (int x = 0; x < 3; x++) sum = add_two(sum, columns[x], k->rows_01[x]);
    sum = add_two(add_two(sum, first, k->row_2[odd][0]), second, k->row_2[odd][1]);
    const __m256i steps = _mm256_packs_epi32(steps_of(sum.even, f->first, f->most),
                                             steps_of(sum.odd, f->second, f->most));
    store_values(out, stored(steps, f));
}

/* Two pixels at a time. */
INLINE void dw_row_1(const struct detk_dw_rows *job, const struct dw_weights *k,
                     const float *const *rows, float *out)
{
    const int64_t in_w = (int64_t)job->out_w + 2;
    struct halves columns[4] = {column_at(rows, 0), column_at(rows, 1)};
    struct halves first = two_at(rows, 0, in_w);
    for (int64_t x = 0; x < job->out_w; x += 2, out += 2 * WORDS) {
        const struct halves second = two_at(rows, x + 2, in_w);
        columns[2] = column_at(rows, x + 2);
        dw_pixel(k, columns, first, second, 0, out);
        if (x + 1 == job->out_w)
            break;
        columns[3] = column_at(rows, x + 3);
        dw_pixel(k, columns + 1, first, second, 1, out + WORDS);
        columns[0] = columns[2];
        columns[1] = columns[3];
        first = second;
    }
}

INLINE void dw_row_2(const struct detk_dw_rows *job, const struct dw_weights *k,
                     const float *const *rows, float *out)
{
    const int64_t in_w = 2 * (int64_t)job->out_w + 1;
    struct halves columns[3] = {column_at(rows, 0)};
    struct halves first = two_at(rows, 0, in_w);
    for (int64_t x = 0; x < job->out_w; x++, out += WORDS) {
        const struct halves second = two_at(rows, 2 * x + 2, in_w);
        columns[1] = column_at(rows, 2 * x + 1);
        columns[2] = column_at(rows, 2 * x + 2);
        dw_pixel(k, columns, first, second, 0, out);
        columns[0] = columns[2];
        first = second;
    }
}

#include "ops/cpu/blocked/blocked_q8_256_dw.h"
