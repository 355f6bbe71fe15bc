/* blocked_q8_256.h: the kernels of blocked.h's 8-bit form by vectors of 256 bits, included by
 * blocked_q8_SET.c, which defines before
 *   WORDS               of a pixel's block: how wide stored values are (blocked.h)
 *   load_values()       a pixel's block as 16 numbers of 16 bits
 *   store_values()      and back; they are 0 .. 255
 *   store_half()        the first eight of them
 *   add_products()      to eight sums, those of one word of a pixel with words of eight columns
 * and behind dw_rows(), from what is here for 3x3 convolutions. */
#include <immintrin.h>
#include <stdbool.h>

#include "ops/cpu/blocked/blocked.h"
#include "ops/cpu/blocked/q8_finish.h"
#include "ops/cpu/gemm/gemm.h"

#define LANES      8
#define INLINE     static inline __attribute__((always_inline))
#define UNROLL_ALL _Pragma("GCC unroll 16")
/* Terms of a word. */
#define WORD_TERMS (DETK_BLOCK / WORDS)

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
INLINE __m256i add_products(__m256i sum, __m256i pixel, __m256i columns);

/* --- results --- */

/* What the results of 16 columns are made with, or of eight: `second` is unused then. In registers
 * or on the stack: what a kernel writes could be what it is made from. */
struct finish {
    const struct detk_q8_finish *of;
    __m256 first, second, zero, limit;
    __m256i low, high;
};

/* The distance from a whole number from which on a result is made exactly. */
INLINE __m256 limit_of(bool all)
{
    return _mm256_set1_ps(all ? 0.0f : 0.5f - DETK_Q8_NEAR);
}

INLINE struct finish finish_with(const struct detk_q8_finish *f, __m256 first, __m256 second)
{
    return (struct finish){
        .of = f,
        .first = first,
        .second = second,
        .zero = _mm256_set1_ps((float)f->zero),
        .limit = limit_of(f->exact),
        .low = _mm256_set1_epi16((int16_t)f->low),
        .high = _mm256_set1_epi16((int16_t)f->high),
    };
}

INLINE __m256 estimate(__m256i sum, __m256 scale, __m256 zero)
{
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), scale, zero);
}

/* The nearest whole number, and how far away it is. */
INLINE __m256i nearest(__m256 value, __m256 *distance)
{
    const __m256i q = _mm256_cvtps_epi32(value);
    const __m256 rest = _mm256_sub_ps(value, _mm256_cvtepi32_ps(q));
    *distance = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), rest);
    return q;
}

/* The lanes that lie as far away as `limit`. */
INLINE int reach(__m256 distance, __m256 limit)
{
    return _mm256_movemask_ps(_mm256_cmp_ps(distance, limit, _CMP_GE_OQ));
}

INLINE __m256i clamp(__m256i values, __m256i low, __m256i high)
{
    return _mm256_min_epi16(_mm256_max_epi16(values, low), high);
}

/* Replaces the results of `lanes` by exact ones. */
static __attribute__((noinline)) __m256i finish_exactly(const struct detk_q8_finish *f,
                                                        __m256i values, __m256i first,
                                                        __m256i second, int lanes)
{
    int32_t sums[DETK_BLOCK];
    int16_t results[DETK_BLOCK];
    store_sums(sums, first);
    store_sums(sums + LANES, second);
    _mm256_storeu_si256((__m256i *)(void *)results, values);
    for (int j = 0; j < DETK_BLOCK; j++) {
        if ((lanes >> j & 1) != 0)
            results[j] = detk_q8_finish_one(f, j, sums[j]);
    }
    return load(results);
}

INLINE __m256i finish_block(const struct finish *f, __m256i first, __m256i second)
{
    __m256 near_a, near_b;
    const __m256i a = nearest(estimate(first, f->first, f->zero), &near_a);
    const __m256i b = nearest(estimate(second, f->second, f->zero), &near_b);
    const __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xD8);
    const __m256i values = clamp(both, f->low, f->high);
    if (__builtin_expect(reach(_mm256_max_ps(near_a, near_b), f->limit), 0) == 0)
        return values;
    return finish_exactly(f->of, values, first, second,
                          reach(near_a, f->limit) | reach(near_b, f->limit) << LANES);
}

/* Of eight columns; the others of the result mean nothing. */
INLINE __m256i finish_half(const struct finish *f, __m256i sum)
{
    __m256 near;
    const __m256i q = nearest(estimate(sum, f->first, f->zero), &near);
    const __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(q, q), 0xD8);
    const __m256i values = clamp(both, f->low, f->high);
    const int lanes = reach(near, f->limit);
    return __builtin_expect(lanes, 0) == 0 ? values
                                           : finish_exactly(f->of, values, sum, sum, lanes);
}

INLINE __m256 real_half(__m256i values, const int half)
{
    const __m128i eight =
        half == 0 ? _mm256_castsi256_si128(values) : _mm256_extracti128_si256(values, 1);
    return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(eight));
}

static __attribute__((noinline)) __m256i add_exactly(const struct detk_q8_sum *s, __m256i a,
                                                     __m256i b)
{
    int16_t left[DETK_BLOCK], right[DETK_BLOCK];
    _mm256_storeu_si256((__m256i *)(void *)left, a);
    _mm256_storeu_si256((__m256i *)(void *)right, b);
    for (int j = 0; j < DETK_BLOCK; j++)
        left[j] = detk_q8_sum_one(s, (uint8_t)left[j], (uint8_t)right[j]);
    return load(left);
}

/* For sums of two stored tensors. */
struct sum {
    const struct detk_q8_sum *of;
    __m256 a_zero, b_zero, a, b, zero, limit;
    __m256i low, high;
};

INLINE struct sum sum_with(const struct detk_q8_sum *s)
{
    const struct det_q8_add *add = &s->add;
    return (struct sum){
        .of = s,
        .a_zero = _mm256_set1_ps((float)(add->a_zero + DETK_Q8_BIAS)),
        .b_zero = _mm256_set1_ps((float)(add->b_zero + DETK_Q8_BIAS)),
        .a = _mm256_set1_ps(s->a),
        .b = _mm256_set1_ps(s->b),
        .zero = _mm256_set1_ps((float)(add->to.zero + DETK_Q8_BIAS)),
        .limit = limit_of(s->exact),
        .low = _mm256_set1_epi16((int16_t)(add->to.low + DETK_Q8_BIAS)),
        .high = _mm256_set1_epi16((int16_t)(add->to.high + DETK_Q8_BIAS)),
    };
}

/* Of 16 values each. */
INLINE __m256i add_blocks(const struct sum *s, __m256i a, __m256i b)
{
    __m256 near[2];
    __m256i q[2];
    UNROLL_ALL for (int i = 0; i < 2; i++)
    {
        const __m256 inner =
            _mm256_fmadd_ps(_mm256_sub_ps(real_half(b, i), s->b_zero), s->b, s->zero);
        q[i] = nearest(_mm256_fmadd_ps(_mm256_sub_ps(real_half(a, i), s->a_zero), s->a, inner),
                       &near[i]);
    }
    if (__builtin_expect(reach(_mm256_max_ps(near[0], near[1]), s->limit), 0) != 0)
        return add_exactly(s->of, a, b);
    return clamp(_mm256_permute4x64_epi64(_mm256_packs_epi32(q[0], q[1]), 0xD8), s->low, s->high);
}

/* --- products --- */

/* Out of line: only a network's outputs are so. */
static __attribute__((noinline)) void write_reals(const struct detk_pixel_tile *t, float *c,
                                                  const int32_t *sums)
{
    for (int32_t j = 0; j < t->cols; j++)
        c[j] = detk_q8_real(t->finish, detk_q8_finish_one(t->finish, j, sums[j]));
}

INLINE void write_plain(const struct detk_pixel_tile *t, float *c, const __m256i *sum,
                        const int vectors)
{
    int32_t sums[DETK_TILE_MAX_VECTORS * LANES];
    UNROLL_ALL for (int v = 0; v < vectors; v++) store_sums(sums + v * LANES, sum[v]);
    write_reals(t, c, sums);
}

/* Blocks of columns of a tile. */
#define TILE_BLOCKS ((DETK_TILE_MAX_VECTORS + 1) / 2)

INLINE void write_pixel(const struct detk_pixel_tile *t, const struct finish *finish,
                        const struct sum *join, const float *add, float *c, const __m256i *sum,
                        const int vectors)
{
    UNROLL_ALL for (int v = 0; v < vectors; v += 2)
    {
        const bool whole = v + 1 < vectors;
        __m256i values = whole ? finish_block(&finish[v / 2], sum[v], sum[v + 1])
                               : finish_half(&finish[v / 2], sum[v]);
        if (add != NULL)
            values = add_blocks(join, load_values(add + v / 2 * t->add_block), values);
        if (whole)
            store_values(c + v / 2 * t->c_block, values);
        else
            store_half(c + v / 2 * t->c_block, values);
    }
}

INLINE void step(__m256i (*sum)[DETK_TILE_MAX_VECTORS], const float *a, const float *b,
                 const int rows, const int vectors)
{
    __m256i right[DETK_TILE_MAX_VECTORS];
    UNROLL_ALL for (int v = 0; v < vectors; v++) right[v] = load(b + v * LANES);
    UNROLL_ALL for (int i = 0; i < rows; i++)
    {
        const __m256i left = _mm256_castps_si256(_mm256_broadcast_ss(a + i * WORDS));
        UNROLL_ALL for (int v = 0; v < vectors; v++)
        {
            sum[i][v] = add_products(sum[i][v], left, right[v]);
            /* One after the other: sums of several products at once would need more registers than
             * there are. */
            __asm__("" : "+x"(sum[i][v]));
        }
    }
}

INLINE void one_tile(const struct detk_pixel_tile *t, const float *a,
                     __m256i (*sum)[DETK_TILE_MAX_VECTORS], const int rows, const int vectors)
{
    UNROLL_ALL for (int v = 0; v < vectors; v++)
    {
        const __m256i bias = load(t->bias + v * LANES);
        UNROLL_ALL for (int i = 0; i < rows; i++) sum[i][v] = bias;
    }
    const float *b = t->b;
    int32_t left = t->terms;
    for (; left >= DETK_BLOCK; left -= DETK_BLOCK, a += t->a_block) {
        UNROLL_ALL for (int s = 0; s < WORDS; s++, b += vectors * LANES)
            step(sum, a + s, b, rows, vectors);
    }
    for (; left > 0; left -= WORD_TERMS, a++, b += vectors * LANES)
        step(sum, a, b, rows, vectors);
}

INLINE void tiles(const struct detk_pixel_tile *t, const int rows, const int vectors)
{
    const float *a = t->a, *add = t->add;
    const struct sum join = sum_with(t->sum);
    struct detk_q8_finish of[TILE_BLOCKS];
    struct finish finish[TILE_BLOCKS];
    float *c = t->c;
    UNROLL_ALL for (int v = 0; v < vectors; v += 2)
    {
        of[v / 2] = detk_q8_finish_from(t->finish, v * LANES);
        const __m256 first = _mm256_loadu_ps(t->finish->scale + v * LANES);
        finish[v / 2] = finish_with(
            &of[v / 2], first,
            v + 1 < vectors ? _mm256_loadu_ps(t->finish->scale + (v + 1) * LANES) : first);
    }
    for (int64_t left = t->tiles; left > 0; left--) {
        __m256i sum[DETK_TILE_MAX_ROWS][DETK_TILE_MAX_VECTORS];
        one_tile(t, a, sum, rows, vectors);
        UNROLL_ALL for (int i = 0; i < rows; i++)
        {
            if (__builtin_expect(t->plain, 0))
                write_plain(t, c + i * t->c_pixel, sum[i], vectors);
            else
                write_pixel(t, finish, &join, add == NULL ? NULL : add + i * WORDS,
                            c + i * t->c_pixel, sum[i], vectors);
        }
        a += rows * WORDS;
        c += rows * t->c_pixel;
        if (add != NULL)
            add += rows * WORDS;
    }
}

#define TILE(vectors, rows)                                              \
    static void tile_##vectors##_##rows(const struct detk_pixel_tile *t) \
    {                                                                    \
        tiles(t, rows, vectors);                                         \
    }
#define ROWS_4(X, v)     X(v, 1) X(v, 2) X(v, 3) X(v, 4)
#define ROWS_6(X, v)     ROWS_4(X, v) X(v, 5) X(v, 6)
#define ROWS_12(X, v)    ROWS_6(X, v) X(v, 7) X(v, 8) X(v, 9) X(v, 10) X(v, 11) X(v, 12)
#define NAME_OF(v, rows) tile_##v##_##rows,
ROWS_12(TILE, 1)
ROWS_6(TILE, 2)
ROWS_4(TILE, 3)

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
INLINE __m256i steps_of(__m256 value, __m256 scale, __m256i zero)
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
        const __m256i first = steps_of(_mm256_loadu_ps(from), scale, zero);
        const __m256i second = steps_of(_mm256_loadu_ps(from + LANES), scale, zero);
        const __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), 0xD8);
        store_values(to, clamp(both, _mm256_setzero_si256(), _mm256_set1_epi16(255)));
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

/* Of eight normalised pixel values (det_q8_grey_level()). */
INLINE __m256i grey_levels(const float *from)
{
    const __m256 level = _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(from), _mm256_set1_ps(127.5f)),
                                       _mm256_set1_ps(128.0f));
    /* The second operand where the first is NaN: 0. */
    const __m256 limited =
        _mm256_min_ps(_mm256_max_ps(level, _mm256_setzero_ps()), _mm256_set1_ps(255.0f));
    return _mm256_cvttps_epi32(limited);
}

static void narrow_input(const float *from, int32_t count, uint8_t *to)
{
    int32_t i = 0;
    for (; i + DETK_BLOCK <= count; i += DETK_BLOCK) {
        const __m256i both = _mm256_permute4x64_epi64(
            _mm256_packs_epi32(grey_levels(from + i), grey_levels(from + i + LANES)), 0xD8);
        _mm_storeu_si128((__m128i *)(void *)(to + i), bytes_of(both));
    }
    for (; i < count; i++)
        to[i] = (uint8_t)det_q8_grey_level(from[i]);
}

static void dw_rows(const struct detk_dw_rows *job);

const struct detk_blocked BLOCKED_TABLE = {
    .q8 = true,
    .words = WORDS,
    .lanes = LANES,
    .panel_vectors = 2,
    .most_vectors = 3,
    .most_terms = INT32_MAX,
    .max_rows = {12, 6, 4},
    .tile = {{ROWS_12(NAME_OF, 1)}, {ROWS_6(NAME_OF, 2)}, {ROWS_4(NAME_OF, 3)}},
    .dw = dw_rows,
    .add_upsampled = add_upsampled,
    .narrow = narrow,
    .widen = widen,
    .narrow_input = narrow_input,
    .gemm = &detk_gemm_avx2,
};
