/* blocked_q8_avx512vnni.c: the kernels of blocked.h's 8-bit form for AVX-512 VNNI: four products of
 * unsigned with signed bytes a lane. The depthwise one is in blocked_q8_dw_avx512vnni.c. */
#include <string.h>

#include "ops/cpu/blocked/blocked.h"
#include "ops/cpu/blocked/q8_avx512.h"
#include "ops/cpu/gemm/gemm.h"

/* --- sums of two tensors --- */

/* What stays in registers. The factors of both tensors in words of two halves: of their upper bits,
 * ADDER_BITS the lower ones. */
struct adder {
    __m512i upper, lower, bias, zero, low, high;
    __m128i shift;
};

#define ADDER_BITS 11

INLINE __m512i two_halves(int32_t a, int32_t b)
{
    return _mm512_set1_epi32(a | (int32_t)((uint32_t)b << 16));
}

INLINE struct adder adder_of(const struct detk_q8_sum *s)
{
    const int32_t mask = (1 << ADDER_BITS) - 1;
    return (struct adder){.upper = two_halves(s->a >> ADDER_BITS, s->b >> ADDER_BITS),
                          .lower = two_halves(s->a & mask, s->b & mask),
                          .bias = _mm512_set1_epi32(s->bias),
                          .zero = _mm512_set1_epi16((short)s->zero),
                          .low = _mm512_set1_epi8((char)s->low),
                          .high = _mm512_set1_epi8((char)s->high),
                          .shift = _mm_cvtsi32_si128(s->shift)};
}

/* detk_q8_sum_one(). Unpacking and packing go by the same lanes, so nothing changes its place. */
INLINE __m512i add_bytes(const struct adder *k, __m512i a, __m512i b)
{
    const __m512i none = _mm512_setzero_si512();
    const __m512i pairs[2] = {_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b)};
    __m512i sum[4];
    UNROLL_ALL for (int i = 0; i < 4; i++)
    {
        const __m512i both = i % 2 == 0 ? _mm512_unpacklo_epi8(pairs[i / 2], none)
                                        : _mm512_unpackhi_epi8(pairs[i / 2], none);
        const __m512i upper =
            _mm512_slli_epi32(_mm512_dpwssd_epi32(none, both, k->upper), ADDER_BITS);
        sum[i] = _mm512_add_epi32(_mm512_dpwssd_epi32(k->bias, both, k->lower), upper);
        sum[i] = _mm512_sra_epi32(sum[i], k->shift);
    }
    const __m512i first = _mm512_adds_epi16(_mm512_packs_epi32(sum[0], sum[1]), k->zero);
    const __m512i second = _mm512_adds_epi16(_mm512_packs_epi32(sum[2], sum[3]), k->zero);
    const __m512i bytes = _mm512_packus_epi16(first, second);
    return _mm512_min_epu8(_mm512_max_epu8(bytes, k->low), k->high);
}

/* --- products --- */

/* The same, so that the compiler keeps it in a register until here. */
INLINE __m512i register_of(__m512i value)
{
#ifdef __AVX512F__ /* where it is emulated there is none */
    __asm__("" : "+v"(value));
#endif
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

/* Rows first .. first + 3 of a tile's steps, as far as there are. */
INLINE void write_group(struct detk_q8_finisher k, __m512i (*step)[DETK_TILE_MAX_VECTORS],
                        const int rows, const int vector, const int first,
                        const enum detk_q8_sums kind, float *to)
{
    const int count = rows - first < 4 ? rows - first : 4;
    __m512i four[4];
    if (count <= 0)
        return;
    UNROLL_ALL for (int i = 0; i < count; i++) four[i] = step[first + i][vector];
    store_pixels(stored(four, count, k, kind), count, to + first * WORDS);
}

/* Written out: behind a loop that is not unrolled early the sums would lie in memory, and while
 * they are made, too. */
INLINE void write_vector(struct detk_q8_finisher k, __m512i (*step)[DETK_TILE_MAX_VECTORS],
                         const int rows, const int vector, const enum detk_q8_sums kind, float *to)
{
    write_group(k, step, rows, vector, 0, kind, to);
    write_group(k, step, rows, vector, 4, kind, to);
    write_group(k, step, rows, vector, 8, kind, to);
}

/* From sums to blocks of columns `c_block` apart. */
INLINE void write_tile(const struct detk_q8_finish *finish, __m512i (*sum)[DETK_TILE_MAX_VECTORS],
                       const int rows, const int vectors, const enum detk_q8_sums kind, float *c,
                       ptrdiff_t c_block)
{
    const struct detk_q8_finisher k = finisher_of(finish);
    UNROLL_ALL for (int v = 0; v < vectors; v++)
    {
        const struct detk_q8_scale scale = scale_of(finish->scale + v * LANES);
        UNROLL_ALL for (int i = 0; i < rows; i++) sum[i][v] =
            steps_of(register_of(sum[i][v]), scale, k.most, kind);
    }
    write_vector(k, sum, rows, 0, kind, c);
    if (vectors > 1)
        write_vector(k, sum, rows, 1, kind, c + c_block);
    if (vectors > 2)
        write_vector(k, sum, rows, 2, kind, c + 2 * c_block);
}

/* To blocks of columns `c_block` apart. */
INLINE void one_tile(const struct detk_pixel_tile *t, const float *a, float *c, ptrdiff_t c_block,
                     const int rows, const int vectors)
{
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
    if (t->finish->sums == DETK_Q8_RAISED)
        write_tile(t->finish, sum, rows, vectors, DETK_Q8_RAISED, c, c_block);
    else if (t->finish->sums == DETK_Q8_SMALL)
        write_tile(t->finish, sum, rows, vectors, DETK_Q8_SMALL, c, c_block);
    else
        write_tile(t->finish, sum, rows, vectors, DETK_Q8_ANY, c, c_block);
}

/* To a line's results. */
static __attribute__((noinline)) void add_line(const struct detk_pixel_tile *t, const float *add,
                                               float *c, int32_t pixels, int32_t vectors)
{
    const struct adder k = adder_of(t->sum);
    for (int32_t v = 0; v < vectors; v++, add += t->add_block, c += t->c_block) {
        for (int32_t i = 0; i < pixels; i += 4) {
            const __mmask8 mask = mask_of(pixels - i);
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
    float blocks[DETK_TILE_MAX_ROWS * DETK_TILE_MAX_VECTORS * WORDS];
    for (int32_t line = 0; line < t->lines; line++) {
        const float *a = t->a + line * t->a_line;
        float *c = t->c + line * t->c_line;
        for (int32_t left = t->tiles; left > 0; left--) {
            one_tile(t, a, t->plain ? blocks : c, t->plain ? rows * WORDS : t->c_block, rows,
                     vectors);
            if (t->plain)
                write_plain(t, blocks, c, rows, vectors);
            a += rows * WORDS;
            c += rows * t->c_pixel;
        }
        if (t->add != NULL && !t->plain)
            add_line(t, t->add + line * t->add_line, t->c + line * t->c_line, t->tiles * rows,
                     vectors);
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

static void narrow_input(const float *from, int32_t count, void *to)
{
    uint8_t *bytes = to;
    for (int32_t i = 0; i < count; i += LANES) {
        const int32_t left = count - i;
        const __mmask16 mask = (__mmask16)(left >= LANES ? 0xFFFF : (1u << left) - 1);
        const __m512 level = _mm512_add_ps(
            _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, from + i), _mm512_set1_ps(127.5f)),
            _mm512_set1_ps(128.0f));
        /* The second operand where the first is NaN: 0. */
        const __m512 limited =
            _mm512_min_ps(_mm512_max_ps(level, _mm512_setzero_ps()), _mm512_set1_ps(255.0f));
        _mm_mask_storeu_epi8(bytes + i, mask, _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(limited)));
    }
}

const struct detk_blocked detk_blocked_q8_avx512vnni = {
    .q8 = true,
    .words = WORDS,
    .lanes = LANES,
    .panel_vectors = 2,
    .most_vectors = 3,
    .packed_vectors = 3,
    .most_terms = INT32_MAX,
    .max_rows = {12, 12, 8},
    .row_group = 4,
    .raises = true,
    .tile = {{ROWS_12(NAME_OF, 1)}, {ROWS_12(NAME_OF, 2)}, {ROWS_8(NAME_OF, 3)}},
    .dw = detk_q8_dw_avx512vnni,
    .add_upsampled = add_upsampled,
    .narrow = narrow,
    .widen = widen,
    .narrow_input = narrow_input,
    .gemm = &detk_gemm_avx512,
};
