/* blocked_q8_avx512vnni.c: the kernels of blocked.h's 8-bit form for AVX-512 VNNI: four products of
 * unsigned with signed bytes a lane.
 *
 * Four vectors of sums become one of bytes. Packing goes by lanes of 128 bits: where these are
 * neighbouring pixels (depthwise) or the vectors are (products, with one permutation) nothing is
 * moved twice. */
#include <immintrin.h>
#include <string.h>

#include "ops/cpu/blocked/blocked.h"
#include "ops/cpu/blocked/q8_finish.h"
#include "ops/cpu/gemm/gemm.h"

#define WORDS      4 /* of a pixel's block */
#define LANES      16
#define INLINE     static inline __attribute__((always_inline))
#define UNROLL_ALL _Pragma("GCC unroll 16")

INLINE __m512i load(const void *from)
{
    return _mm512_loadu_si512(from);
}

/* Of the 64 bits that a pixel is two of: those of so many pixels, at most four. */
INLINE __mmask8 mask_of(int64_t pixels)
{
    return (__mmask8)(pixels >= 4 ? 0xFF : (1u << 2 * pixels) - 1);
}

/* --- results --- */

/* Four vectors of sums (det_q8_steps()), clamped by no more than packing does. What is too low for
 * 32 bits becomes the lowest number there is. */
INLINE __m512i finish(const __m512i sum[4], const __m512 scale[4], __m512i zero)
{
    __m512i q[4];
    UNROLL_ALL for (int i = 0; i < 4; i++)
    {
        const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[i]), scale[i]);
        q[i] = _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_min_ps(product, _mm512_set1_ps(1024.0f))),
                                zero);
    }
    return _mm512_packus_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
}

INLINE __m512i clamp(__m512i bytes, const struct detk_q8_finish *f)
{
    return _mm512_min_epu8(_mm512_max_epu8(bytes, _mm512_set1_epi8((char)f->low)),
                           _mm512_set1_epi8((char)f->high));
}

INLINE __m512i four_words(const void *from)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128(from));
}

/* Of four sums of columns 0..15 each. */
INLINE __m512i finish_rows(const struct detk_q8_finish *f, const __m512i sum[4], __m512 scale)
{
    const __m512 scales[4] = {scale, scale, scale, scale};
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i bytes = clamp(finish(sum, scales, _mm512_set1_epi32(f->zero)), f);
    return _mm512_permutexvar_epi32(order, bytes);
}

INLINE __m128i quarter_of(__m512i bytes, const int quarter)
{
    switch (quarter) {
    case 0:
        return _mm512_castsi512_si128(bytes);
    case 1:
        return _mm512_extracti32x4_epi32(bytes, 1);
    case 2:
        return _mm512_extracti32x4_epi32(bytes, 2);
    default:
        return _mm512_extracti32x4_epi32(bytes, 3);
    }
}

INLINE __m512i words_of(__m512i bytes, const int quarter)
{
    return _mm512_cvtepu8_epi32(quarter_of(bytes, quarter));
}

/* detk_q8_sum_one() */
INLINE __m512i add_bytes(const struct detk_q8_sum *s, __m512i a, __m512i b)
{
    const __m512i left = _mm512_set1_epi32(s->a), right = _mm512_set1_epi32(s->b);
    const __m512i bias = _mm512_set1_epi32(s->bias), zero = _mm512_set1_epi32(s->zero);
    const __m128i shift = _mm_cvtsi32_si128(s->shift);
    __m128i part[4];
    UNROLL_ALL for (int i = 0; i < 4; i++)
    {
        const __m512i sum =
            _mm512_add_epi32(_mm512_add_epi32(bias, _mm512_mullo_epi32(words_of(a, i), left)),
                             _mm512_mullo_epi32(words_of(b, i), right));
        const __m512i q = _mm512_add_epi32(_mm512_sra_epi32(sum, shift), zero);
        part[i] = _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, _mm512_setzero_si512()));
    }
    __m512i bytes = _mm512_castsi128_si512(part[0]);
    bytes = _mm512_inserti32x4(bytes, part[1], 1);
    bytes = _mm512_inserti32x4(bytes, part[2], 2);
    bytes = _mm512_inserti32x4(bytes, part[3], 3);
    return _mm512_min_epu8(_mm512_max_epu8(bytes, _mm512_set1_epi8((char)s->low)),
                           _mm512_set1_epi8((char)s->high));
}

/* --- products --- */

/* Up to four rows' sums of one vector of columns, to a plain result. */
static __attribute__((noinline)) void write_plain(const struct detk_pixel_tile *t,
                                                  const __m512i sum[4], int32_t vector,
                                                  int32_t rows, float *c)
{
    const struct detk_q8_finish *f = t->finish;
    const struct detk_q8_finish of = detk_q8_finish_from(f, vector * LANES);
    const int32_t left = t->cols - vector * LANES;
    const __mmask16 mask = (__mmask16)(left >= LANES ? 0xFFFF : (1u << (left < 0 ? 0 : left)) - 1);
    const __m512i bytes = finish_rows(&of, sum, _mm512_loadu_ps(of.scale));
    _Alignas(64) uint8_t values[64];
    _mm512_store_si512(values, bytes);
    for (int32_t i = 0; i < rows; i++) {
        const __m512i q = _mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)(values + i * 16)));
        const __m512 steps = _mm512_cvtepi32_ps(_mm512_sub_epi32(q, _mm512_set1_epi32(f->zero)));
        _mm512_mask_storeu_ps(c + i * t->c_pixel + vector * LANES, mask,
                              _mm512_mul_ps(_mm512_set1_ps(f->real_scale), steps));
    }
}

INLINE void write_rows(const struct detk_pixel_tile *t, const float *add, float *c,
                       const __m512i sum[4], const int rows, const int vector)
{
    const struct detk_q8_finish *f = t->finish;
    const ptrdiff_t at = vector * t->c_block;
    if (__builtin_expect(t->plain, 0)) {
        write_plain(t, sum, vector, rows, c);
        return;
    }
    const struct detk_q8_finish of = detk_q8_finish_from(f, vector * LANES);
    const __mmask8 mask = mask_of(rows);
    __m512i bytes = finish_rows(&of, sum, _mm512_loadu_ps(of.scale));
    if (add != NULL)
        bytes =
            add_bytes(t->sum, _mm512_maskz_loadu_epi64(mask, add + vector * t->add_block), bytes);
    if (rows == 4)
        _mm512_storeu_si512(c + at, bytes);
    else
        _mm512_mask_storeu_epi64(c + at, mask, bytes);
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

INLINE void one_tile(const struct detk_pixel_tile *t, const float *a, const float *add, float *c,
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
    UNROLL_ALL for (int i = 0; i < rows; i += 4)
    {
        const int count = rows - i < 4 ? rows - i : 4;
        UNROLL_ALL for (int v = 0; v < vectors; v++)
        {
            const __m512i none = _mm512_setzero_si512();
            const __m512i four[4] = {sum[i][v], count > 1 ? sum[i + 1][v] : none,
                                     count > 2 ? sum[i + 2][v] : none,
                                     count > 3 ? sum[i + 3][v] : none};
            write_rows(t, add == NULL ? NULL : add + i * WORDS, c + i * t->c_pixel, four, count, v);
        }
    }
}

INLINE void tiles(const struct detk_pixel_tile *t, const int rows, const int vectors)
{
    const float *a = t->a, *add = t->add;
    float *c = t->c;
    for (int64_t left = t->tiles; left > 0; left--) {
        one_tile(t, a, add, c, rows, vectors);
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

/* --- depthwise --- */

/* Four pixels of one block of three rows as words (row 0, row 1, row 2, 0): of channels 0..3, 4..7,
 * ..; lanes of 128 bits are pixels. */
struct columns {
    __m512i channels[4];
};

INLINE struct columns interleave(__m512i r0, __m512i r1, __m512i r2)
{
    const __m512i zero = _mm512_setzero_si512();
    const __m512i low = _mm512_unpacklo_epi8(r0, r1), high = _mm512_unpackhi_epi8(r0, r1);
    const __m512i low2 = _mm512_unpacklo_epi8(r2, zero), high2 = _mm512_unpackhi_epi8(r2, zero);
    return (struct columns){{_mm512_unpacklo_epi16(low, low2), _mm512_unpackhi_epi16(low, low2),
                             _mm512_unpacklo_epi16(high, high2),
                             _mm512_unpackhi_epi16(high, high2)}};
}

/* `pixels` exist; only so many are read. */
INLINE __m512i load_pixels(const float *from, int64_t pixels)
{
    if (__builtin_expect(pixels >= 4, 1))
        return load(from);
    return pixels <= 0 ? _mm512_setzero_si512() : _mm512_maskz_loadu_epi64(mask_of(pixels), from);
}

INLINE struct columns columns_at(const float *const *rows, int64_t x, int64_t in_w)
{
    const int64_t left = in_w - x;
    return interleave(load_pixels(rows[0] + x * WORDS, left),
                      load_pixels(rows[1] + x * WORDS, left),
                      load_pixels(rows[2] + x * WORDS, left));
}

/* Of eight pixels from x on: the even and the odd ones. */
INLINE void columns_apart(const float *const *rows, int64_t x, int64_t in_w, struct columns *even,
                          struct columns *odd)
{
    const __m512i evens = _mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13);
    const __m512i odds = _mm512_setr_epi64(2, 3, 6, 7, 10, 11, 14, 15);
    __m512i e[3], o[3];
    UNROLL_ALL for (int r = 0; r < 3; r++)
    {
        const __m512i first = load_pixels(rows[r] + x * WORDS, in_w - x);
        const __m512i second = load_pixels(rows[r] + (x + 4) * WORDS, in_w - x - 4);
        e[r] = _mm512_permutex2var_epi64(first, evens, second);
        o[r] = _mm512_permutex2var_epi64(first, odds, second);
    }
    *even = interleave(e[0], e[1], e[2]);
    *odd = interleave(o[0], o[1], o[2]);
}

/* What stays in registers. */
struct dw_weights {
    __m512i w[3][4], bias[4], zero;
    __m512 scale[4];
};

INLINE struct dw_weights dw_weights_of(const struct detk_dw_rows *job)
{
    struct dw_weights k;
    UNROLL_ALL for (int i = 0; i < 4; i++)
    {
        UNROLL_ALL for (int x = 0; x < 3; x++) k.w[x][i] =
            four_words(job->w + x * DETK_BLOCK + i * 4);
        k.bias[i] = four_words(job->bias + i * 4);
        k.scale[i] = _mm512_castsi512_ps(four_words(job->finish->scale + i * 4));
    }
    k.zero = _mm512_set1_epi32(job->finish->zero);
    return k;
}

INLINE void dw_finish(const struct detk_dw_rows *job, const struct dw_weights *k,
                      const __m512i sum[4], float *out, int64_t pixels)
{
    const __m512i bytes = clamp(finish(sum, k->scale, k->zero), job->finish);
    if (__builtin_expect(pixels >= 4, 1))
        _mm512_storeu_si512(out, bytes);
    else
        _mm512_mask_storeu_epi64(out, mask_of(pixels), bytes);
}

/* The pixel behind `first`'s first, ..: three of its and one of the next. */
INLINE __m512i moved(__m512i first, __m512i next, const int by)
{
    return by == 1 ? _mm512_alignr_epi64(next, first, 2) : _mm512_alignr_epi64(next, first, 4);
}

INLINE void dw_row_1(const struct detk_dw_rows *job, const struct dw_weights *k,
                     const float *const *rows, float *out)
{
    const int64_t in_w = (int64_t)job->out_w + 2;
    struct columns now = columns_at(rows, 0, in_w);
    for (int64_t x = 0; x < job->out_w; x += 4) {
        const struct columns next = columns_at(rows, x + 4, in_w);
        __m512i sum[4];
        UNROLL_ALL for (int i = 0; i < 4; i++)
        {
            const __m512i a = now.channels[i], b = next.channels[i];
            sum[i] = _mm512_dpbusd_epi32(k->bias[i], a, k->w[0][i]);
            sum[i] = _mm512_dpbusd_epi32(sum[i], moved(a, b, 1), k->w[1][i]);
            sum[i] = _mm512_dpbusd_epi32(sum[i], moved(a, b, 2), k->w[2][i]);
        }
        dw_finish(job, k, sum, out + x * WORDS, job->out_w - x);
        now = next;
    }
}

INLINE void dw_row_2(const struct detk_dw_rows *job, const struct dw_weights *k,
                     const float *const *rows, float *out)
{
    const int64_t in_w = 2 * (int64_t)job->out_w + 1;
    struct columns even, odd;
    columns_apart(rows, 0, in_w, &even, &odd);
    for (int64_t x = 0; x < job->out_w; x += 4) {
        struct columns next_even, next_odd;
        columns_apart(rows, 2 * x + 8, in_w, &next_even, &next_odd);
        __m512i sum[4];
        UNROLL_ALL for (int i = 0; i < 4; i++)
        {
            const __m512i a = even.channels[i];
            sum[i] = _mm512_dpbusd_epi32(k->bias[i], a, k->w[0][i]);
            sum[i] = _mm512_dpbusd_epi32(sum[i], odd.channels[i], k->w[1][i]);
            sum[i] = _mm512_dpbusd_epi32(sum[i], moved(a, next_even.channels[i], 1), k->w[2][i]);
        }
        dw_finish(job, k, sum, out + x * WORDS, job->out_w - x);
        even = next_even;
        odd = next_odd;
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

/* --- the rest --- */

static void add_upsampled(const float *low, int32_t w, const struct detk_q8_sum *sum, float *to)
{
    const __m512i twice = _mm512_setr_epi64(0, 1, 0, 1, 2, 3, 2, 3);
    for (int32_t x = 0; x < w; x += 4, low += 2 * WORDS, to += 4 * WORDS) {
        const __mmask8 mask = mask_of(w - x);
        const __m512i a = _mm512_maskz_loadu_epi64(w - x > 2 ? 0xF : 0x3, low);
        const __m512i b = _mm512_maskz_loadu_epi64(mask, to);
        _mm512_mask_storeu_epi64(to, mask, add_bytes(sum, _mm512_permutexvar_epi64(twice, a), b));
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
    .tile = {{ROWS_12(NAME_OF, 1)}, {ROWS_12(NAME_OF, 2)}, {ROWS_8(NAME_OF, 3)}},
    .dw = dw_rows,
    .add_upsampled = add_upsampled,
    .narrow = narrow,
    .widen = widen,
    .narrow_input = narrow_input,
    .gemm = &detk_gemm_avx512,
};
