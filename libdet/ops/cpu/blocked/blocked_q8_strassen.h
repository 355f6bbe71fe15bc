/* blocked_q8_strassen.h: products by Strassen's scheme (strassen.h), included by
 * blocked_q8_avx2.c behind its tiles. */
#ifndef DET_OPS_CPU_BLOCKED_BLOCKED_Q8_STRASSEN_H
#define DET_OPS_CPU_BLOCKED_BLOCKED_Q8_STRASSEN_H

#include "ops/cpu/blocked/strassen.h"

/* Pixels, and vectors of columns, of a quarter of a group's results. */
#define QUARTER_ROWS    4
#define QUARTER_VECTORS 2
#define EACH_SUM                                      \
    UNROLL_ALL for (int i = 0; i < QUARTER_ROWS; i++) \
        UNROLL_ALL for (int v = 0; v < QUARTER_VECTORS; v++)

/* --- sums of inputs --- */

/* Of four pixels' block: the first words of two steps, and the second ones. */
struct half {
    __m256i first, second;
};

/* Half 0 and half 1 of the channels; of lanes that `there` does not have, zeros. */
INLINE void halves_of(const float *a, const __m256i there[2], struct half to[2])
{
    const __m256i p0 = load(a), p1 = load(a + WORDS);
    const __m256i p2 = load(a + 2 * WORDS), p3 = load(a + 3 * WORDS);
    const __m256i low_01 = _mm256_unpacklo_epi32(p0, p1), high_01 = _mm256_unpackhi_epi32(p0, p1);
    const __m256i low_23 = _mm256_unpacklo_epi32(p2, p3), high_23 = _mm256_unpackhi_epi32(p2, p3);
    to[0].first = _mm256_and_si256(there[0], _mm256_unpacklo_epi64(low_01, low_23));
    to[0].second = _mm256_and_si256(there[0], _mm256_unpackhi_epi64(low_01, low_23));
    to[1].first = _mm256_and_si256(there[1], _mm256_unpacklo_epi64(high_01, high_23));
    to[1].second = _mm256_and_si256(there[1], _mm256_unpackhi_epi64(high_01, high_23));
}

INLINE struct half half_sum(struct half a, struct half b)
{
    return (struct half){_mm256_add_epi16(a.first, b.first), _mm256_add_epi16(a.second, b.second)};
}

INLINE struct half half_difference(struct half a, struct half b)
{
    return (struct half){_mm256_sub_epi16(a.first, b.first), _mm256_sub_epi16(a.second, b.second)};
}

/* What the products of a pixel's own pairs come to, of all blocks so far. */
struct own_pairs {
    __m256i m5, m4, c00, c11;
};

/* Stores a product's input and returns the products of its own pairs. */
INLINE __m256i put_half(struct half half, enum detk_strassen_product product, ptrdiff_t words,
                        float *to)
{
    to += product * words;
    store_sums((int32_t *)(void *)to, half.first);
    store_sums((int32_t *)(void *)(to + LANES), half.second);
    return _mm256_madd_epi16(half.first, half.second);
}

/* Of a block of two fours of pixels. */
INLINE void sums_of_block(const float *const fours[2], const __m256i there[2], ptrdiff_t words,
                          float *to, struct own_pairs *own)
{
    struct half a0[2], a1[2];
    halves_of(fours[0], there, a0);
    halves_of(fours[1], there, a1);
    const __m256i m1 = put_half(half_sum(a0[0], a1[1]), DETK_M1, words, to);
    const __m256i m2 = put_half(half_sum(a1[0], a1[1]), DETK_M2, words, to);
    const __m256i m3 = put_half(a0[0], DETK_M3, words, to);
    const __m256i m4 = put_half(a1[1], DETK_M4, words, to);
    const __m256i m5 = put_half(half_sum(a0[0], a0[1]), DETK_M5, words, to);
    const __m256i m6 = put_half(half_difference(a1[0], a0[0]), DETK_M6, words, to);
    const __m256i m7 = put_half(half_difference(a0[1], a1[1]), DETK_M7, words, to);
    const __m256i both = _mm256_add_epi32(_mm256_sub_epi32(m1, m2), m3);
    own->m5 = _mm256_sub_epi32(own->m5, _mm256_add_epi32(m3, m5));
    own->m4 = _mm256_sub_epi32(own->m4, _mm256_add_epi32(m2, m4));
    own->c00 = _mm256_add_epi32(own->c00, _mm256_add_epi32(both, m7));
    own->c11 = _mm256_add_epi32(own->c11, _mm256_add_epi32(both, m6));
}

/* Both steps of four pixels. */
INLINE void put_own_pairs(__m256i own, enum detk_strassen_of_pixels which, float *to)
{
    const __m128i sum =
        _mm_add_epi32(_mm256_castsi256_si128(own), _mm256_extracti128_si256(own, 1));
    _mm_storeu_si128((__m128i *)(void *)(to + which * QUARTER_ROWS), sum);
}

/* Lanes of the steps that a block of `terms` terms has, of half 0 and 1 of the channels. */
INLINE void lanes_there(int32_t terms, __m256i there[2])
{
    const __m256i count = _mm256_set1_epi32(terms);
    there[0] = _mm256_cmpgt_epi32(count, _mm256_setr_epi32(0, 0, 0, 0, 8, 8, 8, 8));
    there[1] = _mm256_cmpgt_epi32(count, _mm256_setr_epi32(4, 4, 4, 4, 12, 12, 12, 12));
}

/* Fours of pixels of lines, one after the other. */
struct fours {
    int32_t line_pixels, x;
    ptrdiff_t pixel, end; /* words from pixel to pixel, and from a line's end to the next line */
};

INLINE struct fours fours_of(int32_t line_pixels, ptrdiff_t pixel, ptrdiff_t line)
{
    return (struct fours){line_pixels, 0, pixel, line - line_pixels * pixel};
}

/* Words to the next. */
INLINE ptrdiff_t next_four(struct fours *fours)
{
    ptrdiff_t words = QUARTER_ROWS * fours->pixel;
    fours->x += QUARTER_ROWS;
    if (fours->x == fours->line_pixels) {
        fours->x = 0;
        words += fours->end;
    }
    return words;
}

static void strassen_sums(const float *a, ptrdiff_t a_line, ptrdiff_t a_block, int32_t line_pixels,
                          int32_t terms, int32_t groups, float *to)
{
    const ptrdiff_t words = detk_strassen_product_words(terms);
    struct fours fours = fours_of(line_pixels, WORDS, a_line);
    for (int32_t g = 0; g < groups; g++) {
        const float *block[2];
        block[0] = a;
        a += next_four(&fours);
        block[1] = a;
        a += next_four(&fours);
        struct own_pairs own = {_mm256_setzero_si256(), _mm256_setzero_si256(),
                                _mm256_setzero_si256(), _mm256_setzero_si256()};
        for (int32_t left = terms; left > 0; left -= DETK_BLOCK) {
            __m256i there[2];
            lanes_there(left, there);
            sums_of_block(block, there, words, to, &own);
            block[0] += a_block;
            block[1] += a_block;
            to += DETK_STRASSEN_BLOCK_WORDS;
        }
        to += (DETK_STRASSEN_PRODUCTS - 1) * words;
        put_own_pairs(own.m5, DETK_OF_M5, to);
        put_own_pairs(own.m4, DETK_OF_M4, to);
        put_own_pairs(own.c00, DETK_OF_C00, to);
        put_own_pairs(own.c11, DETK_OF_C11, to);
        to += DETK_OF_PIXELS * QUARTER_ROWS;
    }
}

/* --- products --- */

typedef __m256i quarter[QUARTER_ROWS][QUARTER_VECTORS];

/* Two words of each pixel: step 0 or 1 of a block. */
INLINE void strassen_step(quarter sum, const float *a, const float *b)
{
    __m256i w[QUARTER_VECTORS][PAIRED];
    UNROLL_ALL for (int v = 0; v < QUARTER_VECTORS; v++)
    {
        w[v][0] = load(b + v * LANES);
        w[v][1] = load(b + (QUARTER_VECTORS + v) * LANES);
    }
    UNROLL_ALL for (int i = 0; i < QUARTER_ROWS; i++)
    {
        const __m256i first = word_at(a + i), second = word_at(a + LANES + i);
        UNROLL_ALL for (int v = 0; v < QUARTER_VECTORS; v++)
        {
            const __m256i products = _mm256_madd_epi16(_mm256_add_epi16(first, w[v][0]),
                                                       _mm256_add_epi16(second, w[v][1]));
            sum[i][v] = in_order(_mm256_add_epi32(sum[i][v], products));
        }
    }
}

/* What is left of a group's products, in the order of enum detk_strassen_product. */
struct left {
    const float *a, *b;
    ptrdiff_t a_words;
    int32_t steps;
};

INLINE void strassen_product(struct left *left, quarter sum)
{
    const float *a = left->a;
    int32_t steps = left->steps;
    for (; steps >= 2; steps -= 2, a += DETK_STRASSEN_BLOCK_WORDS) {
        strassen_step(sum, a, left->b);
        strassen_step(sum, a + QUARTER_ROWS, left->b + DETK_STRASSEN_STEP_WORDS);
        left->b += 2 * DETK_STRASSEN_STEP_WORDS;
    }
    if (steps > 0) {
        strassen_step(sum, a, left->b);
        left->b += DETK_STRASSEN_STEP_WORDS;
    }
    left->a += left->a_words;
}

INLINE void from_columns(quarter sum, const float *columns, enum detk_strassen_of_columns which)
{
    EACH_SUM sum[i][v] = load(columns + which * QUARTER_VECTORS * LANES + v * LANES);
}

INLINE void from_pixels(quarter sum, const float *pixels, enum detk_strassen_of_pixels which)
{
    EACH_SUM sum[i][v] = word_at(pixels + which * QUARTER_ROWS + i);
}

/* Where results go; the quarter of pixels `four`, columns `k`. */
struct results {
    const struct detk_pixel_tile *job;
    struct finish finish;
    const struct scale *scale;
    float *four[2];
};

INLINE void write_quarter(const struct results *r, const int four, const int k, quarter sums)
{
    const struct detk_pixel_tile *t = r->job;
    __m256i sum[DETK_TILE_MAX_ROWS][DETK_TILE_MAX_VECTORS];
    float block[QUARTER_ROWS * WORDS];
    float *c = r->four[four];
    float *to = t->plain ? block : c + k * t->c_block;
    EACH_SUM sum[i][v] = sums[i][v];
    write_tile(t->finish->sums, &r->finish, r->scale + k * QUARTER_VECTORS, to, 0, sum,
               QUARTER_ROWS, QUARTER_VECTORS, false);
    if (__builtin_expect(t->plain, 0)) {
        const int32_t left = t->cols - k * DETK_BLOCK;
        write_plain(t, block, c + k * t->c_block, QUARTER_ROWS,
                    left < DETK_BLOCK ? left : DETK_BLOCK);
    }
}

/* Sums in memory: there are no registers for more than one product's. */
#define IN_MEMORY(sums) __asm__ volatile("" : "+m"(sums))

INLINE void one_group(struct left left, const float *pixels, const float *columns,
                      const struct results *r)
{
    quarter sum, c00, other, c11;
    from_columns(sum, columns, DETK_BY_M1);
    strassen_product(&left, sum);
    EACH_SUM c00[i][v] = sum[i][v];
    IN_MEMORY(c00);
    from_columns(sum, columns, DETK_BY_M3);
    strassen_product(&left, sum);
    EACH_SUM
    {
        c11[i][v] = _mm256_add_epi32(c00[i][v], sum[i][v]);
        other[i][v] = sum[i][v];
    }
    IN_MEMORY(c11);
    IN_MEMORY(other);
    from_pixels(sum, pixels, DETK_OF_M5);
    strassen_product(&left, sum);
    EACH_SUM
    {
        c00[i][v] = _mm256_sub_epi32(c00[i][v], sum[i][v]);
        sum[i][v] = _mm256_add_epi32(other[i][v], sum[i][v]);
    }
    IN_MEMORY(c00);
    write_quarter(r, 0, 1, sum);
    from_pixels(sum, pixels, DETK_OF_M4);
    strassen_product(&left, sum);
    EACH_SUM
    {
        c00[i][v] = _mm256_add_epi32(c00[i][v], sum[i][v]);
        other[i][v] = sum[i][v];
    }
    IN_MEMORY(c00);
    IN_MEMORY(other);
    from_columns(sum, columns, DETK_BY_M2);
    strassen_product(&left, sum);
    EACH_SUM
    {
        c11[i][v] = _mm256_sub_epi32(c11[i][v], sum[i][v]);
        sum[i][v] = _mm256_add_epi32(other[i][v], sum[i][v]);
    }
    IN_MEMORY(c11);
    write_quarter(r, 1, 0, sum);
    from_pixels(sum, pixels, DETK_OF_C00);
    EACH_SUM sum[i][v] = _mm256_sub_epi32(c00[i][v], sum[i][v]);
    strassen_product(&left, sum);
    write_quarter(r, 0, 0, sum);
    from_pixels(sum, pixels, DETK_OF_C11);
    EACH_SUM sum[i][v] = _mm256_sub_epi32(c11[i][v], sum[i][v]);
    strassen_product(&left, sum);
    from_columns(other, columns, DETK_TO_C11);
    EACH_SUM sum[i][v] = _mm256_add_epi32(sum[i][v], other[i][v]);
    write_quarter(r, 1, 1, sum);
}

#define LINE_WORDS 16 /* of a cache line */

/* The next panel's weights, which lie behind these, arrive a share with each group. */
INLINE const float *fetch_share(const float *ahead, ptrdiff_t share)
{
    for (ptrdiff_t i = 0; i < share; i += LINE_WORDS)
        __builtin_prefetch(ahead + i, 0, 3);
    return ahead + share;
}

/* `tiles` groups of pixels, of all lines, by 32 columns. */
static void strassen_tiles(const struct detk_pixel_tile *t)
{
    const int vectors = 2 * QUARTER_VECTORS;
    const struct detk_pixel_tile job = *t;
    const int32_t steps = detk_strassen_steps(job.terms);
    const float *columns = job.strassen + DETK_STRASSEN_PRODUCTS * steps * DETK_STRASSEN_STEP_WORDS;
    const ptrdiff_t words = detk_strassen_product_words(job.terms);
    const ptrdiff_t panel = detk_strassen_panel_words(job.terms);
    const ptrdiff_t share = panel / ((ptrdiff_t)job.tiles * LINE_WORDS) * LINE_WORDS + LINE_WORDS;
    const float *ahead = job.strassen + panel;
    struct scale scale[2 * QUARTER_VECTORS];
    UNROLL_ALL for (int v = 0; v < vectors; v++) scale[v] =
        scale_from(_mm256_loadu_ps(job.finish->scale + v * LANES));
    struct results results = {.job = &job, .finish = finish_with(job.finish), .scale = scale};
    struct fours fours = fours_of(job.line_pixels, job.c_pixel, job.c_line);
    const float *a = job.sums;
    float *c = job.c;
    for (int32_t left = job.tiles; left > 0; left--) {
        const struct left products = {a, job.strassen, words, steps};
        results.four[0] = c;
        c += next_four(&fours);
        results.four[1] = c;
        c += next_four(&fours);
        ahead = fetch_share(ahead, share);
        one_group(products, a + DETK_STRASSEN_PRODUCTS * words, columns, &results);
        a += detk_strassen_group_words(job.terms);
    }
    if (job.add == NULL || job.plain)
        return;
    int32_t pixels = job.tiles * DETK_STRASSEN_PIXELS;
    for (int32_t line = 0; pixels > 0; line++, pixels -= job.line_pixels)
        add_line(t, job.add + line * job.add_line, job.c + line * job.c_line,
                 pixels < job.line_pixels ? pixels : job.line_pixels, vectors);
}

#endif
