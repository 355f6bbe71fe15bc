/* blocked_q8_avx512vnni.c: the kernels of blocked.h's 8-bit form for AVX-512 VNNI: four products of
 * unsigned with signed bytes a lane. The depthwise one is in blocked_q8_dw_avx512vnni.c. */
#include <string.h>

#include "ops/cpu/blocked/blocked.h"
#include "ops/cpu/blocked/q8_avx512.h"
#include "ops/cpu/gemm/gemm.h"

/* --- sums of two tensors --- */

INLINE __m512 bytes_of(__m512i bytes, const int quarter)
{
    const __m128i part = quarter == 0   ? _mm512_castsi512_si128(bytes)
                         : quarter == 1 ? _mm512_extracti32x4_epi32(bytes, 1)
                         : quarter == 2 ? _mm512_extracti32x4_epi32(bytes, 2)
                                        : _mm512_extracti32x4_epi32(bytes, 3);
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(part));
}

static __attribute__((noinline)) __m512i add_exactly(const struct detk_q8_sum *s, __m512i a,
                                                     __m512i b)
{
    _Alignas(64) uint8_t left[64], right[64];
    memcpy(left, &a, sizeof left);
    memcpy(right, &b, sizeof right);
    for (int i = 0; i < 64; i++)
        left[i] = detk_q8_sum_one(s, left[i], right[i]);
    return load(left);
}

/* What stays in registers. */
struct adder {
    const struct detk_q8_sum *sum;
    __m512 a, b, zero;
    struct detk_q8_limits limits;
};

INLINE struct adder adder_of(const struct detk_q8_sum *s)
{
    return (struct adder){
        .sum = s,
        .a = _mm512_set1_ps(s->a * DETK_Q8_FIXED_ONE),
        .b = _mm512_set1_ps(s->b * DETK_Q8_FIXED_ONE),
        .zero = _mm512_set1_ps(s->zero),
        .limits = limits_of(s->add.to.low + DETK_Q8_BIAS, s->add.to.high + DETK_Q8_BIAS),
    };
}

INLINE __m512i add_bytes(const struct adder *k, __m512i a, __m512i b)
{
    __m512i value[4];
    UNROLL_ALL for (int i = 0; i < 4; i++)
    {
        const __m512 inner = _mm512_fmadd_ps(bytes_of(b, i), k->b, k->zero);
        value[i] = _mm512_cvtps_epi32(_mm512_fmadd_ps(bytes_of(a, i), k->a, inner));
    }
    if (__builtin_expect(k->sum->exact || near_ones(value, 4, DETK_Q8_SUM_ERROR) != 0, 0))
        return add_exactly(k->sum, a, b);
    return whole_steps(value, 4, k->limits);
}

/* --- products --- */

/* The same, so that the compiler keeps it in a register until here. */
INLINE __m512i register_of(__m512i value)
{
    __asm__("" : "+v"(value));
    return value;
}

INLINE void step(__m512i (*sum)[DETK_TILE_MAX_VECTORS], const float *a, const float *b,
                 const int rows, const int vectors)
{
    __m512i right[DETK_TILE_MAX_VECTORS];
    UNROLL_ALL for (int v = 0; v < vectors; v++) right[v] = load(b + v * LANES);
    UNROLL_ALL for (int i = 0; i < rows; i++)
    {
        const __m512i left = _mm512_castps_si512(_mm512_set1_ps(a[i * WORDS]));
        UNROLL_ALL for (int v = 0; v < vectors; v++) sum[i][v] =
            _mm512_dpbusd_epi32(sum[i][v], left, right[v]);
    }
}

/* Exactly, of sums [vectors][rows]. */
static __attribute__((noinline)) void finish_tile(const struct detk_q8_finish *f,
                                                  const __m512i *sum, int32_t rows, int32_t vectors,
                                                  float *c, ptrdiff_t c_block)
{
    for (int32_t v = 0; v < vectors; v++, sum += rows, c += c_block) {
        for (int32_t i = 0; i < rows; i += 4) {
            const int32_t left = rows - i;
            const __m512i four[4] = {sum[i], sum[i + (left > 1 ? 1 : 0)],
                                     sum[i + (left > 2 ? 2 : 0)], sum[i + (left > 3 ? 3 : 0)]};
            store_pixels(finished(f, v, four), left, c + i * WORDS);
        }
    }
}

/* Writes the estimates of rows first .. first + 3, as far as there are: near_ones(). */
INLINE __mmask32 write_group(struct detk_q8_limits limits, __m512i (*value)[DETK_TILE_MAX_VECTORS],
                             const int rows, const int vector, const int first, float *to)
{
    const int count = rows - first < 4 ? rows - first : 4;
    __m512i four[4];
    if (count <= 0)
        return 0;
    UNROLL_ALL for (int i = 0; i < count; i++) four[i] = value[first + i][vector];
    store_pixels(whole_steps(four, count, limits), count, to + first * WORDS);
    return near_ones(four, count, DETK_Q8_ERROR);
}

INLINE __mmask32 write_vector(struct detk_q8_limits limits, __m512i (*value)[DETK_TILE_MAX_VECTORS],
                              const int rows, const int vector, float *to)
{
    return write_group(limits, value, rows, vector, 0, to) |
           write_group(limits, value, rows, vector, 4, to) |
           write_group(limits, value, rows, vector, 8, to);
}

/* To blocks of columns `c_block` apart. What follows the products is written out: behind loops that
 * are not unrolled early the sums would lie in memory, and while they are made, too. They are kept
 * for the case that an estimate does not tell how to round. */
INLINE void one_tile(const struct detk_pixel_tile *t, const float *a, float *c, ptrdiff_t c_block,
                     const int rows, const int vectors)
{
    const struct detk_q8_finish *f = t->finish;
    __m512i sum[DETK_TILE_MAX_ROWS][DETK_TILE_MAX_VECTORS];
    UNROLL_ALL for (int v = 0; v < vectors; v++)
    {
        const __m512i bias = load(t->bias + v * LANES);
        UNROLL_ALL for (int i = 0; i < rows; i++) sum[i][v] = bias;
    }
    const float *b = t->b;
    const ptrdiff_t a_block = t->a_block;
    int32_t left = t->terms;
    for (; left >= DETK_BLOCK; left -= DETK_BLOCK) {
        UNROLL_ALL for (int i = 0; i < rows; i += 4)
            __builtin_prefetch(a + (rows + i) * WORDS, 0, 3);
        UNROLL_ALL for (int s = 0; s < WORDS; s++)
            step(sum, a + s, b + s * vectors * LANES, rows, vectors);
        b += WORDS * vectors * LANES;
        a += a_block;
    }
    for (; left > 0; left -= 4, a++, b += vectors * LANES)
        step(sum, a, b, rows, vectors);
    UNROLL_ALL for (int v = 0; v < vectors; v++)
    {
        UNROLL_ALL for (int i = 0; i < rows; i++) sum[i][v] = register_of(sum[i][v]);
    }
    __m512i kept[DETK_TILE_MAX_ROWS * DETK_TILE_MAX_VECTORS];
    UNROLL_ALL for (int v = 0; v < vectors; v++)
    {
        UNROLL_ALL for (int i = 0; i < rows; i++) kept[v * rows + i] = sum[i][v];
    }
    const __m512 zero = zero_of(f);
    const struct detk_q8_limits limits = limits_of(f->low, f->high);
    UNROLL_ALL for (int v = 0; v < vectors; v++)
    {
        const __m512 scale = scale_of(f, v);
        UNROLL_ALL for (int i = 0; i < rows; i++) sum[i][v] = estimate(sum[i][v], scale, zero);
    }
    __mmask32 near = write_vector(limits, sum, rows, 0, c);
    if (vectors > 1)
        near |= write_vector(limits, sum, rows, 1, c + c_block);
    if (vectors > 2)
        near |= write_vector(limits, sum, rows, 2, c + 2 * c_block);
    if (__builtin_expect(f->exact || near != 0, 0))
        finish_tile(f, kept, rows, vectors, c, c_block);
}

static __attribute__((noinline)) void add_tile(const struct detk_pixel_tile *t, const float *add,
                                               float *c, int32_t rows, int32_t vectors)
{
    const struct adder k = adder_of(t->sum);
    for (int32_t v = 0; v < vectors; v++, add += t->add_block, c += t->c_block) {
        for (int32_t i = 0; i < rows; i += 4) {
            const __mmask8 mask = mask_of(rows - i);
            const __m512i a = _mm512_maskz_loadu_epi64(mask, add + i * WORDS);
            const __m512i b = _mm512_maskz_loadu_epi64(mask, c + i * WORDS);
            _mm512_mask_storeu_epi64(c + i * WORDS, mask, add_bytes(&k, a, b));
        }
    }
}

/* From [vectors][rows] blocks to plain float32. */
static __attribute__((noinline)) void write_plain(const struct detk_pixel_tile *t,
                                                  const float *blocks, float *c, int32_t rows,
                                                  int32_t vectors)
{
    const __m512 scale = _mm512_set1_ps(t->finish->real_scale);
    const __m512i zero = _mm512_set1_epi32(t->finish->zero);
    for (int32_t v = 0; v < vectors; v++) {
        const int32_t left = t->cols - v * LANES;
        const __mmask16 mask =
            (__mmask16)(left >= LANES ? 0xFFFF : (1u << (left < 0 ? 0 : left)) - 1);
        for (int32_t i = 0; i < rows; i++, blocks += WORDS) {
            const __m512i q = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)blocks));
            const __m512 steps = _mm512_cvtepi32_ps(_mm512_sub_epi32(q, zero));
            _mm512_mask_storeu_ps(c + i * t->c_pixel + v * LANES, mask,
                                  _mm512_mul_ps(scale, steps));
        }
    }
}

INLINE void tiles(const struct detk_pixel_tile *t, const int rows, const int vectors)
{
    const float *a = t->a, *add = t->add;
    float *c = t->c;
    float blocks[DETK_TILE_MAX_ROWS * DETK_TILE_MAX_VECTORS * WORDS];
    for (int64_t left = t->tiles; left > 0; left--) {
        one_tile(t, a, t->plain ? blocks : c, t->plain ? rows * WORDS : t->c_block, rows, vectors);
        if (t->plain)
            write_plain(t, blocks, c, rows, vectors);
        else if (add != NULL)
            add_tile(t, add, c, rows, vectors);
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
#define ROWS_8(X, v)     X(v, 1) X(v, 2) X(v, 3) X(v, 4) X(v, 5) X(v, 6) X(v, 7) X(v, 8)
#define ROWS_12(X, v)    ROWS_8(X, v) X(v, 9) X(v, 10) X(v, 11) X(v, 12)
#define NAME_OF(v, rows) tile_##v##_##rows,
ROWS_12(TILE, 1)
ROWS_12(TILE, 2)
ROWS_8(TILE, 3)

/* --- the rest --- */

static void add_upsampled(const float *low, int32_t w, const struct detk_q8_sum *sum, float *to)
{
    const __m512i twice = _mm512_setr_epi64(0, 1, 0, 1, 2, 3, 2, 3);
    const struct adder k = adder_of(sum);
    for (int32_t x = 0; x < w; x += 4, low += 2 * WORDS, to += 4 * WORDS) {
        const __mmask8 mask = mask_of(w - x);
        const __m512i a = _mm512_maskz_loadu_epi64(w - x > 2 ? 0xF : 0x3, low);
        const __m512i b = _mm512_maskz_loadu_epi64(mask, to);
        _mm512_mask_storeu_epi64(to, mask, add_bytes(&k, _mm512_permutexvar_epi64(twice, a), b));
    }
}

/* det_q8_of(): the quotient, rounded with halves away from zero. */
static void narrow(const float *from, int32_t pixels, const struct det_q8_tensor *tensor, float *to)
{
    const __m512 scale = _mm512_set1_ps(tensor->scale), half = _mm512_set1_ps(0.5f);
    const __m512i zero = _mm512_set1_epi32(tensor->zero + DETK_Q8_BIAS);
    for (int32_t i = 0; i < pixels; i++, from += DETK_BLOCK, to += WORDS) {
        const __m512 quotient = _mm512_div_ps(_mm512_loadu_ps(from), scale);
        const __mmask16 number = _mm512_cmp_ps_mask(quotient, quotient, _CMP_ORD_Q);
        const __m512 limited =
            _mm512_max_ps(_mm512_min_ps(quotient, _mm512_set1_ps(512.0f)), _mm512_set1_ps(-512.0f));
        /* What is left behind the whole steps is exact. */
        __m512i steps = _mm512_maskz_cvttps_epi32(number, limited);
        const __m512 rest = _mm512_sub_ps(limited, _mm512_cvtepi32_ps(steps));
        steps = _mm512_mask_add_epi32(steps, number & _mm512_cmp_ps_mask(rest, half, _CMP_GE_OQ),
                                      steps, _mm512_set1_epi32(1));
        steps = _mm512_mask_sub_epi32(
            steps, number & _mm512_cmp_ps_mask(rest, _mm512_set1_ps(-0.5f), _CMP_LE_OQ), steps,
            _mm512_set1_epi32(1));
        const __m512i value =
            _mm512_max_epi32(_mm512_add_epi32(steps, zero), _mm512_setzero_si512());
        _mm_storeu_si128((__m128i *)(void *)to, _mm512_cvtusepi32_epi8(value));
    }
}

static void widen(const float *from, int32_t pixels, const struct det_q8_tensor *tensor, float *to)
{
    const __m512i zero = _mm512_set1_epi32(tensor->zero + DETK_Q8_BIAS);
    for (int32_t i = 0; i < pixels; i++, from += WORDS, to += DETK_BLOCK) {
        const __m512i value =
            _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)from));
        _mm512_storeu_ps(to, _mm512_mul_ps(_mm512_set1_ps(tensor->scale),
                                           _mm512_cvtepi32_ps(_mm512_sub_epi32(value, zero))));
    }
}

static void narrow_input(const float *from, int32_t count, uint8_t *to)
{
    for (int32_t i = 0; i < count; i += LANES) {
        const int32_t left = count - i;
        const __mmask16 mask = (__mmask16)(left >= LANES ? 0xFFFF : (1u << left) - 1);
        const __m512 level = _mm512_add_ps(
            _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, from + i), _mm512_set1_ps(127.5f)),
            _mm512_set1_ps(128.0f));
        /* The second operand where the first is NaN: 0. */
        const __m512 limited =
            _mm512_min_ps(_mm512_max_ps(level, _mm512_setzero_ps()), _mm512_set1_ps(255.0f));
        _mm_mask_storeu_epi8(to + i, mask, _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(limited)));
    }
}

const struct detk_blocked detk_blocked_q8_avx512vnni = {
    .q8 = true,
    .words = WORDS,
    .lanes = LANES,
    .panel_vectors = 2,
    .most_vectors = 3,
    .most_terms = INT32_MAX,
    .max_rows = {12, 12, 8},
    .row_group = 4,
    .tile = {{ROWS_12(NAME_OF, 1)}, {ROWS_12(NAME_OF, 2)}, {ROWS_8(NAME_OF, 3)}},
    .dw = detk_q8_dw_avx512vnni,
    .add_upsampled = add_upsampled,
    .narrow = narrow,
    .widen = widen,
    .narrow_input = narrow_input,
    .gemm = &detk_gemm_avx512,
};
