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

INLINE __m512i four_words_of(__m128i words)
{
    return _mm512_broadcast_i32x4(words);
}

/* Of the 64 bits that a pixel is two of: those of so many pixels, at most four. */
INLINE __mmask8 mask_of(int64_t pixels)
{
    return (__mmask8)(pixels >= 4 ? 0xFF : (1u << 2 * pixels) - 1);
}

/* --- results --- */

/* Fixed-point estimates of results (q8_finish.h): whole steps in the upper halves of words. `scale`
 * and `zero` as detk_q8_fixed_zero() has them. */
INLINE __m512i fixed(__m512i sum, __m512 scale, __m512 zero)
{
    return _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, zero));
}

INLINE __m512i smaller(const __m512i value[4], const int count)
{
    __m512i least = value[0];
    UNROLL_ALL for (int i = 1; i < count; i++) least = _mm512_min_epu16(least, value[i]);
    return least;
}

/* Whether one of the estimates does not tell how to round. */
INLINE bool is_near(const __m512i value[4], const int count, const int error)
{
    return _mm512_mask_cmplt_epu16_mask(0x55555555, smaller(value, count),
                                        _mm512_set1_epi16((short)(2 * error))) != 0;
}

/* The upper halves of both, one of a, one of b, .. */
INLINE __m512i upper_halves(__m512i a, __m512i b)
{
    return _mm512_mask_blend_epi16(0xAAAAAAAA, _mm512_srli_epi32(a, 16), b);
}

/* The whole steps as bytes: in each lane of 128 bits four of value[0], four of value[1], .. */
INLINE __m512i whole_steps(const __m512i value[4], const int count)
{
    const __m512i none = _mm512_setzero_si512();
    const __m512i order =
        four_words_of(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15));
    const __m512i first = upper_halves(value[0], count > 1 ? value[1] : none);
    const __m512i second = count > 2 ? upper_halves(value[2], count > 3 ? value[3] : none) : none;
    return _mm512_shuffle_epi8(_mm512_packus_epi16(first, second), order);
}

struct limits {
    __m512i low, high;
};

INLINE struct limits limits_of(int32_t low, int32_t high)
{
    return (struct limits){_mm512_set1_epi8((char)low), _mm512_set1_epi8((char)high)};
}

INLINE __m512i clamp(__m512i bytes, struct limits to)
{
    return _mm512_min_epu8(_mm512_max_epu8(bytes, to.low), to.high);
}

INLINE __m512i four_words(const void *from)
{
    return four_words_of(_mm_loadu_si128(from));
}

/* Of the lower halves of 64 bits each; the upper ones of the result are 0. */
INLINE __m512i rescale(const struct detk_q8_finish *f, __m512i sum, __m512i mantissa, __m512i shift)
{
    const __m512i one = _mm512_set1_epi64(1);
    const __m512i bits = _mm512_and_si512(shift, _mm512_set1_epi64(63));
    const __m512i half = _mm512_sllv_epi64(one, _mm512_sub_epi64(bits, one));
    const __m512i product = _mm512_add_epi64(_mm512_mul_epi32(sum, mantissa), half);
    const __m512i value =
        _mm512_add_epi64(_mm512_srav_epi64(product, bits), _mm512_set1_epi64(f->zero));
    return _mm512_min_epi64(_mm512_max_epi64(value, _mm512_set1_epi64(f->low)),
                            _mm512_set1_epi64(f->high));
}

/* Four vectors of results exactly, in the order of whole_steps(). `step` 0: each vector is of columns
 * first .. first + 15; 4: each fourth of vector i is of columns first + i * 4 .. first + i * 4 + 3. */
static __attribute__((noinline)) __m512i finish_exactly(const struct detk_q8_finish *f,
                                                        int32_t first, int32_t step, __m512i sum0,
                                                        __m512i sum1, __m512i sum2, __m512i sum3)
{
    const __m512i sum[4] = {sum0, sum1, sum2, sum3};
    __m512i q[4];
    for (int32_t i = 0; i < 4; i++) {
        const void *m = f->mantissa + first + i * step, *s = f->shift + first + i * step;
        const __m512i mantissa = step == 0 ? load(m) : four_words(m);
        const __m512i shift = step == 0 ? load(s) : four_words(s);
        const __m512i odd = rescale(f, _mm512_srli_epi64(sum[i], 32),
                                    _mm512_srli_epi64(mantissa, 32), _mm512_srli_epi64(shift, 32));
        q[i] = _mm512_or_si512(rescale(f, sum[i], mantissa, shift), _mm512_slli_epi64(odd, 32));
    }
    return _mm512_packus_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
}

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
    struct limits limits;
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
    /* Each fourth of a vector becomes one word of each lane again. */
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i value[4];
    UNROLL_ALL for (int i = 0; i < 4; i++)
    {
        const __m512 inner = _mm512_fmadd_ps(bytes_of(b, i), k->b, k->zero);
        value[i] = _mm512_cvtps_epi32(_mm512_fmadd_ps(bytes_of(a, i), k->a, inner));
    }
    if (__builtin_expect(k->sum->exact || is_near(value, 4, DETK_Q8_SUM_ERROR), 0))
        return add_exactly(k->sum, a, b);
    return _mm512_permutexvar_epi32(order, clamp(whole_steps(value, 4), k->limits));
}

/* --- products --- */

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

/* The sums of a tile's rows, one vector of columns after the other. Kept in memory, so that what
 * becomes of them is one loop for all heights. */
INLINE void multiply(const struct detk_pixel_tile *t, const float *a, const int rows,
                     const int vectors, __m512i *to)
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
    UNROLL_ALL for (int v = 0; v < vectors; v++)
    {
        UNROLL_ALL for (int i = 0; i < rows; i++) to[v * rows + i] = sum[i][v];
    }
}

/* --- what becomes of a tile --- */

/* Of one vector of columns. */
struct finisher {
    const struct detk_q8_finish *finish;
    int32_t column;
    __m512 scale, zero;
    struct limits limits;
};

INLINE __m512i finish_rows(const struct finisher *k, const __m512i *sum, const int rows)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i value[4];
    UNROLL_ALL for (int i = 0; i < rows; i++) value[i] = fixed(sum[i], k->scale, k->zero);
    __m512i bytes = whole_steps(value, rows);
    if (__builtin_expect(k->finish->exact || is_near(value, rows, DETK_Q8_ERROR), 0))
        bytes = finish_exactly(k->finish, k->column, 0, sum[0], sum[rows > 1 ? 1 : 0],
                               sum[rows > 2 ? 2 : 0], sum[rows > 3 ? 3 : 0]);
    return _mm512_permutexvar_epi32(order, clamp(bytes, k->limits));
}

INLINE void finish_part(const struct finisher *k, const __m512i *sum, float *c, const int rows)
{
    _mm512_mask_storeu_epi64(c, mask_of(rows), finish_rows(k, sum, rows));
}

/* To blocks of columns `c_block` apart. */
static __attribute__((noinline)) void finish_tile(const struct detk_q8_finish *f,
                                                  const __m512i *sum, int32_t rows, int32_t vectors,
                                                  float *c, ptrdiff_t c_block)
{
    struct finisher k = {.finish = f,
                         .zero = _mm512_set1_ps(detk_q8_fixed_zero(f->zero)),
                         .limits = limits_of(f->low, f->high)};
    for (int32_t v = 0; v < vectors; v++, sum += rows, c += c_block) {
        k.column = v * LANES;
        k.scale =
            _mm512_mul_ps(_mm512_loadu_ps(f->scale + k.column), _mm512_set1_ps(DETK_Q8_FIXED_ONE));
        int32_t i = 0;
        for (; i + 4 <= rows; i += 4)
            _mm512_storeu_si512(c + i * WORDS, finish_rows(&k, sum + i, 4));
        switch (rows - i) {
        case 3:
            finish_part(&k, sum + i, c + i * WORDS, 3);
            break;
        case 2:
            finish_part(&k, sum + i, c + i * WORDS, 2);
            break;
        case 1:
            finish_part(&k, sum + i, c + i * WORDS, 1);
            break;
        default:
            break;
        }
    }
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
    __m512i sum[DETK_TILE_MAX_ROWS * DETK_TILE_MAX_VECTORS];
    float blocks[DETK_TILE_MAX_ROWS * DETK_TILE_MAX_VECTORS * WORDS];
    for (int64_t left = t->tiles; left > 0; left--) {
        multiply(t, a, rows, vectors, sum);
        if (t->plain) {
            finish_tile(t->finish, sum, rows, vectors, blocks, rows * WORDS);
            write_plain(t, blocks, c, rows, vectors);
        } else {
            finish_tile(t->finish, sum, rows, vectors, c, t->c_block);
            if (add != NULL)
                add_tile(t, add, c, rows, vectors);
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
    __m512i w[3][4], bias[4];
    __m512 scale[4], zero;
    struct limits limits;
};

INLINE struct dw_weights dw_weights_of(const struct detk_dw_rows *job)
{
    struct dw_weights k;
    UNROLL_ALL for (int i = 0; i < 4; i++)
    {
        UNROLL_ALL for (int x = 0; x < 3; x++) k.w[x][i] =
            four_words(job->w + x * DETK_BLOCK + i * 4);
        k.bias[i] = four_words(job->bias + i * 4);
        k.scale[i] = _mm512_mul_ps(_mm512_castsi512_ps(four_words(job->finish->scale + i * 4)),
                                   _mm512_set1_ps(DETK_Q8_FIXED_ONE));
    }
    k.zero = _mm512_set1_ps(detk_q8_fixed_zero(job->finish->zero));
    k.limits = limits_of(job->finish->low, job->finish->high);
    return k;
}

INLINE void dw_finish(const struct detk_dw_rows *job, const struct dw_weights *k,
                      const __m512i sum[4], float *out, int64_t pixels)
{
    __m512i value[4];
    UNROLL_ALL for (int i = 0; i < 4; i++) value[i] = fixed(sum[i], k->scale[i], k->zero);
    __m512i bytes = whole_steps(value, 4);
    if (__builtin_expect(job->finish->exact || is_near(value, 4, DETK_Q8_ERROR), 0))
        bytes = finish_exactly(job->finish, 0, 4, sum[0], sum[1], sum[2], sum[3]);
    bytes = clamp(bytes, k->limits);
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
    .tile = {{ROWS_12(NAME_OF, 1)}, {ROWS_12(NAME_OF, 2)}, {ROWS_8(NAME_OF, 3)}},
    .dw = dw_rows,
    .add_upsampled = add_upsampled,
    .narrow = narrow,
    .widen = widen,
    .narrow_input = narrow_input,
    .gemm = &detk_gemm_avx512,
};
