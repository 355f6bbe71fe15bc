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

/* One pixel of three rows as words of two: (row 0, row 1) and (row 2, 0), of channels 0..3 and
 * 8..11 in `even`, 4..7 and 12..15 in `odd`: what unpacking within 128 bits makes. */
struct column {
    __m256i even[2], odd[2];
};

INLINE struct column column_at(const float *const *rows, int64_t x)
{
    const __m256i zero = _mm256_setzero_si256();
    const __m256i r0 = load(rows[0] + x * WORDS), r1 = load(rows[1] + x * WORDS);
    const __m256i r2 = load(rows[2] + x * WORDS);
    return (struct column){{_mm256_unpacklo_epi16(r0, r1), _mm256_unpacklo_epi16(r2, zero)},
                           {_mm256_unpackhi_epi16(r0, r1), _mm256_unpackhi_epi16(r2, zero)}};
}

/* Words of channels 0..3 and 8..11, or 4..7 and 12..15. */
INLINE __m256i words_apart(const void *words, const int odd)
{
    const __m256i first = load(words), second = load((const float *)words + LANES);
    return odd == 0 ? _mm256_permute2x128_si256(first, second, 0x20)
                    : _mm256_permute2x128_si256(first, second, 0x31);
}

struct dw_weights {
    struct column w[3];
    __m256i bias[2];
    struct finish finish;
};

/* From words of one column's three rows. */
INLINE struct dw_weights dw_weights_of(const struct detk_dw_rows *job)
{
    const __m256i rows_01 = _mm256_set1_epi32(0x01800080),
                  row_2 = _mm256_set1_epi32((int)0x80800280);
    const __m256i word = _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0C0C0C0C, 0, 0x04040404,
                                           0x08080808, 0x0C0C0C0C);
    struct dw_weights k;
    UNROLL_ALL for (int odd = 0; odd < 2; odd++)
    {
        UNROLL_ALL for (int x = 0; x < 3; x++)
        {
            const __m256i bytes = words_apart(job->w + x * DETK_BLOCK, odd);
            __m256i *to = odd == 0 ? k.w[x].even : k.w[x].odd;
            /* Each byte becomes the upper half of a number; 0x80 and more make a zero. */
            to[0] =
                _mm256_srai_epi16(_mm256_shuffle_epi8(bytes, _mm256_add_epi8(rows_01, word)), 8);
            to[1] = _mm256_srai_epi16(_mm256_shuffle_epi8(bytes, _mm256_add_epi8(row_2, word)), 8);
        }
        k.bias[odd] = words_apart(job->bias, odd);
    }
    k.finish = finish_with(job->finish, _mm256_castsi256_ps(words_apart(job->finish->scale, 0)),
                           _mm256_castsi256_ps(words_apart(job->finish->scale, 1)));
    return k;
}

INLINE __m256i dw_sum(__m256i sum, const __m256i in[2], const __m256i w[2])
{
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(in[0], w[0]));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(in[1], w[1]));
}

INLINE void dw_pixel(const struct dw_weights *k, const struct column *a, const struct column *b,
                     const struct column *c, float *out)
{
    const struct finish *f = &k->finish;
    __m256i even = dw_sum(k->bias[0], a->even, k->w[0].even);
    __m256i odd = dw_sum(k->bias[1], a->odd, k->w[0].odd);
    even = dw_sum(dw_sum(even, b->even, k->w[1].even), c->even, k->w[2].even);
    odd = dw_sum(dw_sum(odd, b->odd, k->w[1].odd), c->odd, k->w[2].odd);
    __m256 near_even, near_odd;
    const __m256i q = nearest(estimate(even, f->first, f->zero), &near_even);
    const __m256i r = nearest(estimate(odd, f->second, f->zero), &near_odd);
    __m256i values = clamp(_mm256_packs_epi32(q, r), f->low, f->high);
    if (__builtin_expect(reach(_mm256_max_ps(near_even, near_odd), f->limit), 0) != 0)
        values = finish_exactly(f->of, values, _mm256_permute2x128_si256(even, odd, 0x20),
                                _mm256_permute2x128_si256(even, odd, 0x31), 0xFFFF);
    store_values(out, values);
}

INLINE void dw_row_1(const struct detk_dw_rows *job, const struct dw_weights *k,
                     const float *const *rows, float *out)
{
    struct column a = column_at(rows, 0), b = column_at(rows, 1);
    for (int64_t x = 0; x < job->out_w; x++) {
        const struct column c = column_at(rows, x + 2);
        dw_pixel(k, &a, &b, &c, out + x * WORDS);
        a = b;
        b = c;
    }
}

INLINE void dw_row_2(const struct detk_dw_rows *job, const struct dw_weights *k,
                     const float *const *rows, float *out)
{
    struct column a = column_at(rows, 0);
    for (int64_t x = 0; x < job->out_w; x++) {
        const struct column b = column_at(rows, 2 * x + 1), c = column_at(rows, 2 * x + 2);
        dw_pixel(k, &a, &b, &c, out + x * WORDS);
        a = c;
    }
}

static void dw_rows(const struct detk_dw_rows *job)
{
    const struct dw_weights k = dw_weights_of(job);
    for (int32_t y = 0; y < job->out_rows; y++) {
        const float *const *rows = job->rows + (ptrdiff_t)y * job->stride;
        float *out = job->out + y * job->out_row;
        if (job->stride == 1)
            dw_row_1(job, &k, rows, out);
        else
            dw_row_2(job, &k, rows, out);
    }
}
