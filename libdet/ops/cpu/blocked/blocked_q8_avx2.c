/* blocked_q8_avx2.c: the kernels of blocked.h's 8-bit form for AVX2, values of 16 bits.
 *
 * vpmaddubsw would take bytes, but its sums of two products end at 16 bits, and two weights of one
 * sign that add up to more than 128 leave them. Of a trained network's panels 22 to 100 % of the
 * rows hold such a pair, so numbers widened once and vpmaddwd are the faster ones too.
 *
 * A product with an addition behind it is two operations for 16 products, both for units that
 * multiply or could. Winograd's identity ("A new algorithm for inner product", 1968) takes half of
 * the multiplications away for additions, of which a core makes twice as many at a time:
 *   a0 w0 + a1 w1 = (a0 + w1) (a1 + w0) - a0 a1 - w0 w1
 * What it takes off is the same for all columns of a pixel (`pairs` of blocked.h), or for all
 * pixels of a column, in whose bias it is. All of it modulo 2^32, so the sums are exact. For few
 * columns, or of few terms, the pairs take longer than that saves: tiles without them multiply as
 * usual. */
#define BLOCKED_TABLE detk_blocked_q8_avx2
#define WORDS         8
#define TILE_VECTORS  2
#include "ops/cpu/blocked/blocked_q8_256.h"

INLINE __m256i load_values(const float *from)
{
    return load(from);
}

INLINE void store_values(float *to, __m256i values)
{
    _mm256_storeu_si256((__m256i *)(void *)to, values);
}

INLINE __m256i values_of(__m256i first, __m256i second, const struct finish *f,
                         const enum detk_q8_sums sums)
{
    if (sums == DETK_Q8_RAISED)
        return _mm256_min_epu16(_mm256_packus_epi32(first, second), f->high);
    return numbers_of(first, second, f, sums);
}

INLINE void limit(__m256i values[2], const enum detk_q8_sums sums)
{
    if (sums != DETK_Q8_SMALL)
        return;
    const __m256i bytes = _mm256_packus_epi16(values[0], values[1]);
    values[0] = _mm256_unpacklo_epi8(bytes, _mm256_setzero_si256());
    values[1] = _mm256_unpackhi_epi8(bytes, _mm256_setzero_si256());
}

INLINE void store_half(float *to, __m256i values)
{
    _mm_storeu_si128((__m128i *)(void *)to, _mm256_castsi256_si128(values));
}

INLINE __m256i word_at(const void *from)
{
    return _mm256_castps_si256(_mm256_broadcast_ss(from));
}

/* The same, so that the compiler makes one sum after the other: several at once would need more
 * registers than there are. */
INLINE __m256i in_order(__m256i sum)
{
    __asm__("" : "+x"(sum));
    return sum;
}

/* Words of a pixel's block that make a step: the first one's terms are paired with the second
 * one's. */
#define PAIRED 2

/* Words of pixels that are `pixel` apart, without the identity. */
INLINE void plain_words(__m256i (*sum)[DETK_TILE_MAX_VECTORS], const float *a, const int pixel,
                        const float *b, const int rows, const int vectors, const int words)
{
    UNROLL_ALL for (int s = 0; s < words; s++, b += vectors * LANES)
    {
        __m256i w[DETK_TILE_MAX_VECTORS];
        UNROLL_ALL for (int v = 0; v < vectors; v++) w[v] = load(b + v * LANES);
        UNROLL_ALL for (int i = 0; i < rows; i++)
        {
            const __m256i word = word_at(a + i * pixel + s);
            UNROLL_ALL for (int v = 0; v < vectors; v++) sum[i][v] =
                in_order(_mm256_add_epi32(sum[i][v], _mm256_madd_epi16(word, w[v])));
        }
    }
}

/* Two words of each pixel. */
INLINE void step(__m256i (*sum)[DETK_TILE_MAX_VECTORS], const float *a, const float *b,
                 const int rows, const int vectors, const bool paired)
{
    if (!paired) {
        plain_words(sum, a, WORDS, b, rows, vectors, PAIRED);
        return;
    }
    __m256i w[DETK_TILE_MAX_VECTORS][PAIRED];
    UNROLL_ALL for (int v = 0; v < vectors; v++)
    {
        w[v][0] = load(b + v * LANES);
        w[v][1] = load(b + (vectors + v) * LANES);
    }
    UNROLL_ALL for (int i = 0; i < rows; i++)
    {
        const __m256i first = word_at(a + i * WORDS), second = word_at(a + i * WORDS + 1);
        UNROLL_ALL for (int v = 0; v < vectors; v++)
        {
            const __m256i products = _mm256_madd_epi16(_mm256_add_epi16(first, w[v][0]),
                                                       _mm256_add_epi16(second, w[v][1]));
            sum[i][v] = in_order(_mm256_add_epi32(sum[i][v], products));
        }
    }
}

INLINE void sums_of_tile(const struct detk_pixel_tile *t, const float *a, const int32_t *pairs,
                         const float *ahead, __m256i (*sum)[DETK_TILE_MAX_VECTORS], const int rows,
                         const int vectors, const bool paired)
{
    const float *b = t->b;
    const ptrdiff_t a_block = t->a_block;
    int32_t left = t->terms;
    UNROLL_ALL for (int v = 0; v < vectors; v++)
    {
        const __m256i bias = load(t->bias + v * LANES);
        UNROLL_ALL for (int i = 0; i < rows; i++) sum[i][v] =
            paired ? _mm256_sub_epi32(bias, word_at(pairs + i)) : bias;
    }
    for (; left >= DETK_BLOCK; left -= DETK_BLOCK, a += a_block, ahead += DETK_BLOCK) {
        __builtin_prefetch(ahead, 0, 3);
        UNROLL_ALL for (int s = 0; s < WORDS; s += PAIRED, b += PAIRED * vectors * LANES)
            step(sum, a + s, b, rows, vectors, paired);
    }
    UNROLL_ALL for (int s = 0; s < WORDS; s += PAIRED)
    {
        if (left <= 2 * s)
            break;
        step(sum, a + s, b + s * vectors * LANES, rows, vectors, paired);
    }
}

INLINE void tile_sums(const struct detk_pixel_tile *t, const float *a, const int32_t *pairs,
                      const float *ahead, __m256i (*sum)[DETK_TILE_MAX_VECTORS], const int rows,
                      const int vectors)
{
    if (pairs == NULL)
        sums_of_tile(t, a, pairs, ahead, sum, rows, vectors, false);
    else
        sums_of_tile(t, a, pairs, ahead, sum, rows, vectors, true);
}

/* --- products of pairs --- */

/* Of two pixels' words: of 128 bits, two pairs of the first and then two of the second. */
INLINE __m256i pair_products(const float *first, const float *second)
{
    const __m256 a = _mm256_castsi256_ps(load(first)), b = _mm256_castsi256_ps(load(second));
    return _mm256_madd_epi16(_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88)),
                             _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xDD)));
}

/* Sums of four pixels from `a` on; of the first alone, if `count` is 1. */
INLINE __m128i pair_sums(const float *a, ptrdiff_t a_block, int32_t terms, const int count)
{
    const int at[4] = {0, count > 1 ? WORDS : 0, count > 2 ? 2 * WORDS : 0,
                       count > 3 ? 3 * WORDS : 0};
    __m256i sum[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (; terms >= DETK_BLOCK; terms -= DETK_BLOCK, a += a_block) {
        UNROLL_ALL for (int i = 0; i < 2; i++) sum[i] =
            _mm256_add_epi32(sum[i], pair_products(a + at[2 * i], a + at[2 * i + 1]));
    }
    if (terms > 0) {
        const __m256i begin = _mm256_setr_epi32(0, 4, 0, 4, 8, 12, 8, 12);
        const __m256i some = _mm256_cmpgt_epi32(_mm256_set1_epi32(terms), begin);
        UNROLL_ALL for (int i = 0; i < 2; i++) sum[i] = _mm256_add_epi32(
            sum[i], _mm256_and_si256(some, pair_products(a + at[2 * i], a + at[2 * i + 1])));
    }
    const __m256i halves = _mm256_hadd_epi32(sum[0], sum[1]);
    return _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
}

static void pairs_of(const float *a, ptrdiff_t a_block, int32_t terms, int32_t pixels, int32_t *to)
{
    int32_t i = 0;
    for (; i + 4 <= pixels; i += 4, a += (ptrdiff_t)4 * WORDS)
        _mm_storeu_si128((__m128i *)(void *)(to + i), pair_sums(a, a_block, terms, 4));
    for (; i < pixels; i++, a += WORDS)
        to[i] = _mm_cvtsi128_si32(pair_sums(a, a_block, terms, 1));
}

#include "ops/cpu/blocked/blocked_q8_dw_avx2.h"

ROWS_8(TILE, 1)
ROWS_4(TILE, 2)

/* --- panels of more than two vectors: by two, and what is left --- */

/* Of the columns behind the first two vectors. */
INLINE struct detk_pixel_tile behind_two(const struct detk_pixel_tile *t,
                                         struct detk_q8_finish *finish)
{
    struct detk_pixel_tile rest = *t;
    *finish = detk_q8_finish_from(t->finish, 2 * LANES);
    rest.finish = finish;
    rest.b += (ptrdiff_t)((t->terms + 3) / 4) * PAIRED * 2 * LANES;
    rest.bias += 2 * LANES;
    rest.c += t->c_block;
    rest.cols -= 2 * LANES;
    if (rest.add != NULL)
        rest.add += t->add_block;
    return rest;
}

INLINE struct detk_pixel_tile first_two(const struct detk_pixel_tile *t)
{
    struct detk_pixel_tile first = *t;
    first.cols = 2 * LANES;
    return first;
}

INLINE void wide_tiles(const struct detk_pixel_tile *t, detk_pixel_tile_fn first,
                       detk_pixel_tile_fn rest)
{
    struct detk_q8_finish finish;
    const struct detk_pixel_tile two = first_two(t), behind = behind_two(t, &finish);
    first(&two);
    rest(&behind);
}

/* Of one vector tiles may be twice as high. */
static void tile_1_twice_4(const struct detk_pixel_tile *t)
{
    const int rows = 8;
    struct detk_pixel_tile job = *t;
    const ptrdiff_t pixels = (ptrdiff_t)(t->tiles / 2) * rows;
    job.tiles = t->tiles / 2;
    if (job.tiles > 0)
        tile_1_8(&job);
    if (t->tiles % 2 == 0)
        return;
    job.tiles = 1;
    job.a += pixels * WORDS;
    if (job.pairs != NULL)
        job.pairs += pixels;
    job.c += pixels * job.c_pixel;
    if (job.add != NULL)
        job.add += pixels * WORDS;
    tile_1_4(&job);
}

#define WIDE_TILE(rows, of_one)                                \
    static void tile_3_##rows(const struct detk_pixel_tile *t) \
    {                                                          \
        wide_tiles(t, tile_2_##rows, of_one);                  \
    }                                                          \
    static void tile_4_##rows(const struct detk_pixel_tile *t) \
    {                                                          \
        wide_tiles(t, tile_2_##rows, tile_2_##rows);           \
    }
WIDE_TILE(1, tile_1_1)
WIDE_TILE(2, tile_1_2)
WIDE_TILE(3, tile_1_3)
WIDE_TILE(4, tile_1_twice_4)

#include "ops/cpu/blocked/blocked_q8_windows.h"

#include "ops/cpu/blocked/blocked_q8_strassen.h"

const struct detk_blocked BLOCKED_TABLE = {
    .q8 = true,
    .words = WORDS,
    .lanes = LANES,
    .panel_vectors = 4,
    .most_vectors = 4,
    .packed_vectors = 2,
    .most_terms = INT32_MAX,
    .max_rows = {8, 4, 4, 4},
    .row_group = 1,
    .raises = true,
    .crossed = true,
    .tile = {{ROWS_8(NAME_OF, 1)},
             {ROWS_4(NAME_OF, 2)},
             {ROWS_4(NAME_OF, 3)},
             {ROWS_4(NAME_OF, 4)}},
    .pairs = pairs_of,
    .strassen_sums = strassen_sums,
    .strassen = strassen_tiles,
    .dw = dw_rows,
    .add_upsampled = add_upsampled,
    .narrow = narrow,
    .widen = widen,
    .narrow_input = narrow_input,
    .pair_lines = pair_lines,
    .windows = {windows_1, windows_2, windows_3, windows_4},
    .gemm = &detk_gemm_avx2,
};
