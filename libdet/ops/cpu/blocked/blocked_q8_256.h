/* blocked_q8_256.h: the kernels of blocked.h's 8-bit form by vectors of 256 bits, included by
 * blocked_q8_SET.c, which defines before
 *   WORDS               of a pixel's block: how wide stored values are (blocked.h)
 *   TILE_VECTORS        of a tile, at most: two or three
 *   load_values()       a pixel's block as 16 numbers of 16 bits
 *   store_values()      and back; they are 0 .. 255
 *   store_half()        the first eight of them
 *   values_of()         two vectors of steps as such values, perhaps without their limits yet
 *   limit()             which this sets, of two pixels' blocks
 *   tile_sums()         the sums of a tile of pixels
 * and behind dw_rows(), from what is here for 3x3 convolutions, and the table. */
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "ops/cpu/blocked/blocked.h"
#include "ops/cpu/blocked/q8_finish.h"
#include "ops/cpu/gemm/gemm.h"

#define LANES      8
#define INLINE     static inline __attribute__((always_inline))
#define UNROLL_ALL _Pragma("GCC unroll 16")
/* Of a pixel's block. */
#define BLOCK_BYTES (WORDS * (int)sizeof(float))

INLINE __m256i load(const void *from)
{
    return _mm256_loadu_si256(from);
}

INLINE void store_sums(int32_t *to, __m256i sums)
{
    _mm256_storeu_si256((__m256i *)(void *)to, sums);
}

/* 16 values of 0 .. 255. */
INLINE __m128i bytes_of(__m256i values)
{
    return _mm_packus_epi16(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
}

INLINE __m256i load_values(const float *from);
INLINE void store_values(float *to, __m256i values);
INLINE void store_half(float *to, __m256i values);
INLINE void tile_sums(const struct detk_pixel_tile *t, const float *a, const int32_t *pairs,
                      const float *ahead, __m256i (*sum)[DETK_TILE_MAX_VECTORS], const int rows,
                      const int vectors);
struct finish;
INLINE __m256i values_of(__m256i first, __m256i second, const struct finish *f,
                         const enum detk_q8_sums sums);
INLINE void limit(__m256i values[2], const enum detk_q8_sums sums);

/* --- results --- */

/* What the results of some columns are made with, but for their scales. In registers or on the
 * stack: what a kernel writes could be what it is made from. */
struct finish {
    __m256i most; /* steps above the zero: bits of a float */
    __m256i zero, low, high;
};

INLINE struct finish finish_with(const struct detk_q8_finish *f)
{
    return (struct finish){
        .most = _mm256_castps_si256(_mm256_set1_ps((float)(f->high - f->zero))),
        .zero = _mm256_set1_epi16((int16_t)f->zero),
        .low = _mm256_set1_epi16((int16_t)f->low),
        .high = _mm256_set1_epi16((int16_t)f->high),
    };
}

/* Of columns. */
struct scale {
    __m256 scale, above; /* 2^23 times that */
};

INLINE struct scale scale_from(__m256 scale)
{
    return (struct scale){scale, _mm256_mul_ps(scale, _mm256_set1_ps(0x1p23f))};
}

INLINE __m256 raised_steps(__m256i sum, const struct scale *s)
{
#ifdef __FMA__
    return _mm256_fmsub_ps(_mm256_castsi256_ps(sum), s->scale, s->above);
#else /* what emulates it rounds twice */
    return _mm256_mul_ps(
        _mm256_cvtepi32_ps(_mm256_sub_epi32(sum, _mm256_set1_epi32(DETK_Q8_RAISE))), s->scale);
#endif
}

/* det_q8_steps(); of any sums those within the upper limit. What is too low for 32 bits becomes the
 * lowest number there is. The limit is not negative, so the numbers of the bits are in the order
 * that counts, and more units compare those than floats. */
INLINE __m256i steps_of(__m256i sum, const struct scale *s, const struct finish *f,
                        const enum detk_q8_sums sums)
{
    if (sums == DETK_Q8_RAISED)
        return _mm256_cvtps_epi32(raised_steps(sum, s));
    const __m256 steps = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), s->scale);
    if (sums == DETK_Q8_SMALL)
        return _mm256_cvtps_epi32(steps);
    return _mm256_cvtps_epi32(
        _mm256_castsi256_ps(_mm256_min_epi32(_mm256_castps_si256(steps), f->most)));
}

/* From steps to numbers that limits of 0 and 255 make values of. Packing goes by halves of 128
 * bits. */
INLINE __m256i numbers_of(__m256i first, __m256i second, const struct finish *f,
                          const enum detk_q8_sums sums)
{
    const __m256i steps = _mm256_packs_epi32(first, second);
    if (sums == DETK_Q8_RAISED)
        return steps;
    const __m256i numbers = _mm256_adds_epi16(steps, f->zero);
    return sums == DETK_Q8_SMALL ? numbers : _mm256_max_epi16(numbers, f->low);
}

INLINE __m256 real_half(__m256i values, const int half)
{
    const __m128i eight =
        half == 0 ? _mm256_castsi256_si128(values) : _mm256_extracti128_si256(values, 1);
    return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(eight));
}

/* For sums of two stored tensors. The factors of both in words of two halves: of their upper bits,
 * and SUM_BITS lower ones. */
struct sum {
    __m256i upper, lower, bias, zero, low, high;
    __m128i shift;
};

#define SUM_BITS 11

INLINE __m256i two_halves(int32_t a, int32_t b)
{
    return _mm256_set1_epi32(a | (int32_t)((uint32_t)b << 16));
}

INLINE struct sum sum_with(const struct detk_q8_sum *s)
{
    const int32_t mask = (1 << SUM_BITS) - 1;
    return (struct sum){
        .upper = two_halves(s->a >> SUM_BITS, s->b >> SUM_BITS),
        .lower = two_halves(s->a & mask, s->b & mask),
        .bias = _mm256_set1_epi32(s->bias),
        .zero = _mm256_set1_epi16((int16_t)s->zero),
        .low = _mm256_set1_epi16((int16_t)s->low),
        .high = _mm256_set1_epi16((int16_t)s->high),
        .shift = _mm_cvtsi32_si128(s->shift),
    };
}

/* detk_q8_sum_one() of 16 values each. Unpacking and packing go by the same halves, so nothing
 * changes its place. */
INLINE __m256i add_blocks(const struct sum *s, __m256i a, __m256i b)
{
    const __m256i both[2] = {_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)};
    __m256i sum[2];
    UNROLL_ALL for (int i = 0; i < 2; i++)
    {
        const __m256i upper = _mm256_slli_epi32(_mm256_madd_epi16(both[i], s->upper), SUM_BITS);
        const __m256i lower = _mm256_add_epi32(_mm256_madd_epi16(both[i], s->lower), s->bias);
        sum[i] = _mm256_sra_epi32(_mm256_add_epi32(upper, lower), s->shift);
    }
    const __m256i steps = _mm256_adds_epi16(_mm256_packs_epi32(sum[0], sum[1]), s->zero);
    return _mm256_min_epi16(_mm256_max_epi16(steps, s->low), s->high);
}

/* --- products --- */

/* A pixel's results of one vector or of two. As packing goes, the columns of two are crossed
 * (blocked.h). */
INLINE __m256i block_of(const __m256i *sum, const struct scale *scale, const struct finish *f,
                        const int vectors, const enum detk_q8_sums sums)
{
    const __m256i first = steps_of(sum[0], &scale[0], f, sums);
    return values_of(first, vectors > 1 ? steps_of(sum[1], &scale[1], f, sums) : first, f, sums);
}

INLINE void write_block(float *to, __m256i values, const int vectors)
{
    if (vectors > 1)
        store_values(to, values);
    else
        store_half(to, _mm256_permute4x64_epi64(values, 0xD8));
}

INLINE void write_tile_of(const enum detk_q8_sums sums, const struct finish *f,
                          const struct scale *scale, float *c, ptrdiff_t c_block,
                          __m256i (*sum)[DETK_TILE_MAX_VECTORS], const int rows, const int vectors)
{
    UNROLL_ALL for (int v = 0; v < vectors; v += 2, c += c_block)
    {
        const int left = vectors - v, at_once = sums == DETK_Q8_SMALL && rows > 1 ? 2 : 1;
        UNROLL_ALL for (int i = 0; i < rows; i += at_once)
        {
            const int next = i + at_once <= rows ? i + at_once - 1 : i;
            __m256i values[2] = {block_of(&sum[i][v], &scale[v], f, left, sums),
                                 block_of(&sum[next][v], &scale[v], f, left, sums)};
            limit(values, sums);
            write_block(c + i * WORDS, values[0], left);
            if (next > i)
                write_block(c + next * WORDS, values[1], left);
        }
    }
}

INLINE void write_tile(enum detk_q8_sums sums, const struct finish *f, const struct scale *scale,
                       float *c, ptrdiff_t c_block, __m256i (*sum)[DETK_TILE_MAX_VECTORS],
                       const int rows, const int vectors, const bool any)
{
    if (any)
        write_tile_of(DETK_Q8_ANY, f, scale, c, c_block, sum, rows, vectors);
    else if (sums == DETK_Q8_RAISED)
        write_tile_of(DETK_Q8_RAISED, f, scale, c, c_block, sum, rows, vectors);
    else
        write_tile_of(DETK_Q8_SMALL, f, scale, c, c_block, sum, rows, vectors);
}

/* To a line's results. */
static __attribute__((noinline)) void add_line(const struct detk_pixel_tile *t, const float *add,
                                               float *c, int32_t pixels, int32_t vectors)
{
    const struct sum join = sum_with(t->sum);
    for (int32_t v = 0; v < vectors; v += 2, add += t->add_block, c += t->c_block) {
        for (int32_t i = 0; i < pixels; i++) {
            const __m256i values = add_blocks(&join, load_values(add + (ptrdiff_t)i * WORDS),
                                              load_values(c + (ptrdiff_t)i * WORDS));
            if (v + 1 < vectors)
                store_values(c + (ptrdiff_t)i * WORDS, values);
            else
                store_half(c + (ptrdiff_t)i * WORDS, values);
        }
    }
}

/* The first `count`, at least one, of eight numbers. A masked store takes as long as a dozen. */
INLINE void store_some(float *to, __m256 numbers, int32_t count)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    if (count >= LANES)
        _mm256_storeu_ps(to, numbers);
    else if (count == LANES / 2)
        _mm_storeu_ps(to, _mm256_castps256_ps128(numbers));
    else
        _mm256_maskstore_ps(to, _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane), numbers);
}

/* From blocks, `rows` pixels each, to float32 NHWC. */
static __attribute__((noinline)) void write_plain(const struct detk_pixel_tile *t,
                                                  const float *blocks, float *c, int32_t rows,
                                                  int32_t cols)
{
    const __m256 scale = _mm256_set1_ps(t->finish->real_scale);
    const __m256 zero = _mm256_set1_ps((float)t->finish->zero);
    for (int32_t j = 0; j < cols; j += DETK_BLOCK, blocks += (ptrdiff_t)rows * WORDS) {
        for (int32_t i = 0; i < rows; i++) {
            const __m256i values = load_values(blocks + (ptrdiff_t)i * WORDS);
            UNROLL_ALL for (int half = 0; half < 2; half++)
            {
                const int32_t at = j + half * LANES;
                if (at < cols)
                    store_some(c + i * t->c_pixel + at,
                               _mm256_mul_ps(scale, _mm256_sub_ps(real_half(values, half), zero)),
                               cols - at);
            }
        }
    }
}

/* Blocks of columns of a tile. */
#define TILE_BLOCKS ((DETK_TILE_MAX_VECTORS + 1) / 2)

INLINE void tiles_of(const struct detk_pixel_tile *t, const int rows, const int vectors,
                     const bool any)
{
    /* A copy: what is written could be where it lies. */
    const struct detk_pixel_tile job = *t;
    const ptrdiff_t c_block = job.plain ? rows * WORDS : job.c_block;
    const struct finish finish = finish_with(t->finish);
    const enum detk_q8_sums sums = t->finish->sums;
    struct scale scale[DETK_TILE_MAX_VECTORS];
    UNROLL_ALL for (int v = 0; v < vectors; v++) scale[v] =
        scale_from(_mm256_loadu_ps(t->finish->scale + v * LANES));
    float blocks[TILE_BLOCKS * DETK_TILE_MAX_ROWS * WORDS];
    for (int32_t line = 0; line < job.lines; line++) {
        const float *a = job.a + line * job.a_line, *ahead = job.ahead + line * job.ahead_line;
        const int32_t *pairs = job.pairs == NULL ? NULL : job.pairs + line * job.pairs_line;
        float *c = job.c + line * job.c_line;
        for (int32_t left = job.tiles; left > 0; left--) {
            __m256i sum[DETK_TILE_MAX_ROWS][DETK_TILE_MAX_VECTORS];
            tile_sums(&job, a, pairs, ahead, sum, rows, vectors);
            ahead += job.terms / DETK_BLOCK * DETK_BLOCK;
            write_tile(sums, &finish, scale, job.plain ? blocks : c, c_block, sum, rows, vectors,
                       any);
            if (__builtin_expect(job.plain, 0))
                write_plain(t, blocks, c, rows, job.cols);
            a += rows * WORDS;
            c += rows * job.c_pixel;
            if (pairs != NULL)
                pairs += rows;
        }
        if (job.add != NULL && !job.plain)
            add_line(t, job.add + line * job.add_line, job.c + line * job.c_line, job.tiles * rows,
                     vectors);
    }
}

/* Of any sums, which are rare: row by row, as they would be as much code again for all tiles. */
static __attribute__((noinline)) void any_tiles(const struct detk_pixel_tile *t, int rows,
                                                int vectors)
{
    struct detk_pixel_tile job = *t;
    job.tiles *= rows;
    if (vectors == 1)
        tiles_of(&job, 1, 1, true);
    else if (vectors == 2 || TILE_VECTORS == 2)
        tiles_of(&job, 1, 2, true);
    else
        tiles_of(&job, 1, TILE_VECTORS, true);
}

INLINE void tiles(const struct detk_pixel_tile *t, const int rows, const int vectors)
{
    if (t->finish->sums == DETK_Q8_ANY)
        any_tiles(t, rows, vectors);
    else
        tiles_of(t, rows, vectors, false);
}

#define TILE(vectors, rows)                                              \
    static void tile_##vectors##_##rows(const struct detk_pixel_tile *t) \
    {                                                                    \
        tiles(t, rows, vectors);                                         \
    }
#define ROWS_4(X, v)     X(v, 1) X(v, 2) X(v, 3) X(v, 4)
#define ROWS_6(X, v)     ROWS_4(X, v) X(v, 5) X(v, 6)
#define ROWS_8(X, v)     ROWS_6(X, v) X(v, 7) X(v, 8)
#define ROWS_12(X, v)    ROWS_8(X, v) X(v, 9) X(v, 10) X(v, 11) X(v, 12)
#define NAME_OF(v, rows) tile_##v##_##rows,

/* --- the rest --- */

static void add_upsampled(const float *low, int32_t w, const struct detk_q8_sum *sum, float *to)
{
    const struct sum join = sum_with(sum);
    for (int32_t x = 0; x < w; x++, to += WORDS) {
        const __m256i a = load_values(low + (ptrdiff_t)(x / 2) * WORDS);
        store_values(to, add_blocks(&join, a, load_values(to)));
    }
}

/* det_q8_of() and the zero: the quotient, rounded with halves away from zero. */
INLINE __m256i rounded(__m256 value, __m256 scale, __m256i zero)
{
    const __m256 half = _mm256_set1_ps(0.5f), most = _mm256_set1_ps(512.0f);
    const __m256 quotient = _mm256_div_ps(value, scale);
    const __m256 number = _mm256_cmp_ps(quotient, quotient, _CMP_ORD_Q);
    const __m256 limited = _mm256_and_ps(
        number, _mm256_max_ps(_mm256_min_ps(quotient, most), _mm256_set1_ps(-512.0f)));
    /* What is left behind the whole steps is exact. */
    const __m256i whole = _mm256_cvttps_epi32(limited);
    const __m256 rest = _mm256_sub_ps(limited, _mm256_cvtepi32_ps(whole));
    const __m256i up = _mm256_castps_si256(_mm256_cmp_ps(rest, half, _CMP_GE_OQ));
    const __m256i down =
        _mm256_castps_si256(_mm256_cmp_ps(rest, _mm256_set1_ps(-0.5f), _CMP_LE_OQ));
    return _mm256_add_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, up), down), zero);
}

static void narrow(const float *from, int32_t pixels, const struct det_q8_tensor *tensor, float *to)
{
    const __m256 scale = _mm256_set1_ps(tensor->scale);
    const __m256i zero = _mm256_set1_epi32(tensor->zero + DETK_Q8_BIAS);
    for (int32_t i = 0; i < pixels; i++, from += DETK_BLOCK, to += WORDS) {
        const __m256i first = rounded(_mm256_loadu_ps(from), scale, zero);
        const __m256i second = rounded(_mm256_loadu_ps(from + LANES), scale, zero);
        const __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), 0xD8);
        store_values(to, _mm256_min_epi16(_mm256_max_epi16(both, _mm256_setzero_si256()),
                                          _mm256_set1_epi16(255)));
    }
}

static void widen(const float *from, int32_t pixels, const struct det_q8_tensor *tensor, float *to)
{
    const __m256 scale = _mm256_set1_ps(tensor->scale);
    const __m256 zero = _mm256_set1_ps((float)(tensor->zero + DETK_Q8_BIAS));
    for (int32_t i = 0; i < pixels; i++, from += WORDS, to += DETK_BLOCK) {
        const __m256i values = load_values(from);
        UNROLL_ALL for (int half = 0; half < 2; half++) _mm256_storeu_ps(
            to + half * LANES, _mm256_mul_ps(scale, _mm256_sub_ps(real_half(values, half), zero)));
    }
}

/* Of eight normalised pixel values (det_q8_grey_level()); what is to be 0 is that or below. */
INLINE __m256i grey_levels(const float *from)
{
    const __m256 level = _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(from), _mm256_set1_ps(127.5f)),
                                       _mm256_set1_ps(128.0f));
    /* NaN stays what it is, the second operand, and becomes the least of all whole numbers. */
    return _mm256_cvttps_epi32(_mm256_min_ps(_mm256_set1_ps(255.0f), level));
}

static void narrow_input(const float *from, int32_t count, void *to)
{
    char *at = to;
    int32_t i = 0;
    for (; i + DETK_BLOCK <= count; i += DETK_BLOCK, at += BLOCK_BYTES) {
        const __m256i both =
            _mm256_packus_epi32(grey_levels(from + i), grey_levels(from + i + LANES));
        store_values((float *)(void *)at, _mm256_permute4x64_epi64(both, 0xD8));
    }
    for (; i < count; i++, at += BLOCK_BYTES / DETK_BLOCK) {
        const uint16_t level = (uint16_t)det_q8_grey_level(from[i]);
        memcpy(at, &level, BLOCK_BYTES / DETK_BLOCK);
    }
}
