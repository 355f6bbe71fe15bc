/* blocked_q8_avxvnni.c: the kernels of blocked.h's 8-bit form for AVX-VNNI: four products of
 * unsigned with signed bytes a lane of 256 bits. */
#define BLOCKED_TABLE detk_blocked_q8_avxvnni
#define WORDS         4
#define TILE_VECTORS  3
#include "ops/cpu/blocked/blocked_q8_256.h"

INLINE __m256i load_values(const float *from)
{
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)from));
}

INLINE void store_values(float *to, __m256i values)
{
    _mm_storeu_si128((__m128i *)(void *)to, bytes_of(values));
}

INLINE __m256i values_of(__m256i first, __m256i second, const struct finish *f,
                         const enum detk_q8_sums sums)
{
    return numbers_of(first, second, f, sums);
}

/* Packing to bytes does that. */
INLINE void limit(__m256i values[2], const enum detk_q8_sums sums)
{
    (void)values;
    (void)sums;
}

INLINE void store_half(float *to, __m256i values)
{
    _mm_storel_epi64((__m128i *)(void *)to, bytes_of(values));
}

INLINE __m256i add_products(__m256i sum, __m256i pixel, __m256i columns)
{
    return _mm256_dpbusd_avx_epi32(sum, pixel, columns);
}

INLINE void step(__m256i (*sum)[DETK_TILE_MAX_VECTORS], const float *a, const float *b,
                 const int rows, const int vectors)
{
    __m256i right[DETK_TILE_MAX_VECTORS];
    UNROLL_ALL for (int v = 0; v < vectors; v++) right[v] = load(b + v * LANES);
    UNROLL_ALL for (int i = 0; i < rows; i++)
    {
        const __m256i left = _mm256_castps_si256(_mm256_broadcast_ss(a + i * WORDS));
        UNROLL_ALL for (int v = 0; v < vectors; v++) sum[i][v] =
            add_products(sum[i][v], left, right[v]);
    }
}

INLINE void tile_sums(const struct detk_pixel_tile *t, const float *a, const int32_t *pairs,
                      const float *ahead, __m256i (*sum)[DETK_TILE_MAX_VECTORS], const int rows,
                      const int vectors)
{
    (void)pairs;
    (void)ahead;
    UNROLL_ALL for (int v = 0; v < vectors; v++)
    {
        const __m256i bias = load(t->bias + v * LANES);
        UNROLL_ALL for (int i = 0; i < rows; i++) sum[i][v] = bias;
    }
    const float *b = t->b;
    const ptrdiff_t a_block = t->a_block;
    int32_t left = t->terms;
    for (; left >= DETK_BLOCK; left -= DETK_BLOCK, a += a_block) {
        UNROLL_ALL for (int s = 0; s < WORDS; s++, b += vectors * LANES)
            step(sum, a + s, b, rows, vectors);
    }
    for (; left > 0; left -= 4, a++, b += vectors * LANES)
        step(sum, a, b, rows, vectors);
}

/* --- depthwise --- */

/* Two pixels of three rows, one in each 128 bits, as words (row 0, row 1, row 2, 0): of channels
 * 0..3, 4..7, .. */
struct columns {
    __m256i channels[4];
};

INLINE struct columns interleave(__m256i r0, __m256i r1, __m256i r2)
{
    const __m256i zero = _mm256_setzero_si256();
    const __m256i low = _mm256_unpacklo_epi8(r0, r1), high = _mm256_unpackhi_epi8(r0, r1);
    const __m256i low2 = _mm256_unpacklo_epi8(r2, zero), high2 = _mm256_unpackhi_epi8(r2, zero);
    return (struct columns){{_mm256_unpacklo_epi16(low, low2), _mm256_unpackhi_epi16(low, low2),
                             _mm256_unpacklo_epi16(high, high2),
                             _mm256_unpackhi_epi16(high, high2)}};
}

/* `pixels` exist; only so many are read. */
INLINE __m256i load_pixels(const float *from, int64_t pixels)
{
    if (__builtin_expect(pixels >= 2, 1))
        return load(from);
    return pixels <= 0
               ? _mm256_setzero_si256()
               : _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)from));
}

INLINE struct columns columns_at(const float *const *rows, int64_t x, int64_t in_w)
{
    return interleave(load_pixels(rows[0] + x * WORDS, in_w - x),
                      load_pixels(rows[1] + x * WORDS, in_w - x),
                      load_pixels(rows[2] + x * WORDS, in_w - x));
}

/* Of four pixels from x on: the even and the odd ones. */
INLINE void columns_apart(const float *const *rows, int64_t x, int64_t in_w, struct columns *even,
                          struct columns *odd)
{
    __m256i e[3], o[3];
    UNROLL_ALL for (int r = 0; r < 3; r++)
    {
        const __m256i first = load_pixels(rows[r] + x * WORDS, in_w - x);
        const __m256i second = load_pixels(rows[r] + (x + 2) * WORDS, in_w - x - 2);
        e[r] = _mm256_permute2x128_si256(first, second, 0x20);
        o[r] = _mm256_permute2x128_si256(first, second, 0x31);
    }
    *even = interleave(e[0], e[1], e[2]);
    *odd = interleave(o[0], o[1], o[2]);
}

INLINE __m256i four_words(const void *from)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(from));
}

struct dw_weights {
    __m256i w[3][4], bias[4];
    struct scale scale[4];
    struct finish finish;
};

INLINE struct dw_weights dw_weights_of(const struct detk_dw_rows *job)
{
    struct dw_weights k = {.finish = finish_with(job->finish)};
    UNROLL_ALL for (int i = 0; i < 4; i++)
    {
        UNROLL_ALL for (int x = 0; x < 3; x++) k.w[x][i] =
            four_words(job->w + x * DETK_BLOCK + i * 4);
        k.bias[i] = four_words(job->bias + i * 4);
        k.scale[i] = scale_from(_mm256_castsi256_ps(four_words(job->finish->scale + i * 4)));
    }
    return k;
}

INLINE __m256i dw_bytes(const struct dw_weights *k, const __m256i sum[4],
                        const enum detk_q8_sums kind)
{
    __m256i q[4];
    UNROLL_ALL for (int i = 0; i < 4; i++) q[i] = steps_of(sum[i], &k->scale[i], &k->finish, kind);
    return _mm256_packus_epi16(numbers_of(q[0], q[1], &k->finish, kind),
                               numbers_of(q[2], q[3], &k->finish, kind));
}

INLINE void dw_finish(const struct dw_weights *k, const __m256i sum[4],
                      const enum detk_q8_sums kind, float *out, int64_t pixels)
{
    const __m256i bytes = dw_bytes(k, sum, kind);
    if (__builtin_expect(pixels >= 2, 1))
        _mm256_storeu_si256((__m256i *)(void *)out, bytes);
    else
        _mm_storeu_si128((__m128i *)(void *)out, _mm256_castsi256_si128(bytes));
}

/* The second pixel of `first` and the first of `next`. */
INLINE __m256i moved(__m256i first, __m256i next)
{
    return _mm256_permute2x128_si256(first, next, 0x21);
}

INLINE void dw_row_1(const struct detk_dw_rows *job, const struct dw_weights *k,
                     const float *const *rows, const enum detk_q8_sums kind, float *out)
{
    const int64_t in_w = (int64_t)job->out_w + 2;
    struct columns now = columns_at(rows, 0, in_w);
    for (int64_t x = 0; x < job->out_w; x += 2) {
        const struct columns next = columns_at(rows, x + 2, in_w);
        __m256i sum[4];
        UNROLL_ALL for (int i = 0; i < 4; i++)
        {
            const __m256i a = now.channels[i], b = next.channels[i];
            sum[i] = add_products(k->bias[i], a, k->w[0][i]);
            sum[i] = add_products(sum[i], moved(a, b), k->w[1][i]);
            sum[i] = add_products(sum[i], b, k->w[2][i]);
        }
        dw_finish(k, sum, kind, out + x * WORDS, job->out_w - x);
        now = next;
    }
}

INLINE void dw_row_2(const struct detk_dw_rows *job, const struct dw_weights *k,
                     const float *const *rows, const enum detk_q8_sums kind, float *out)
{
    const int64_t in_w = 2 * (int64_t)job->out_w + 1;
    struct columns even, odd;
    columns_apart(rows, 0, in_w, &even, &odd);
    for (int64_t x = 0; x < job->out_w; x += 2) {
        struct columns next_even, next_odd;
        columns_apart(rows, 2 * x + 4, in_w, &next_even, &next_odd);
        __m256i sum[4];
        UNROLL_ALL for (int i = 0; i < 4; i++)
        {
            const __m256i a = even.channels[i];
            sum[i] = add_products(k->bias[i], a, k->w[0][i]);
            sum[i] = add_products(sum[i], odd.channels[i], k->w[1][i]);
            sum[i] = add_products(sum[i], moved(a, next_even.channels[i]), k->w[2][i]);
        }
        dw_finish(k, sum, kind, out + x * WORDS, job->out_w - x);
        even = next_even;
        odd = next_odd;
    }
}

INLINE void dw_all(const struct detk_dw_rows *job, const enum detk_q8_sums kind)
{
    const struct dw_weights k = dw_weights_of(job);
    for (int32_t y = 0; y < job->out_rows; y++) {
        const float *const *rows = job->rows + (ptrdiff_t)y * job->stride;
        float *out = job->out + y * job->out_row;
        if (job->stride == 1)
            dw_row_1(job, &k, rows, kind, out);
        else
            dw_row_2(job, &k, rows, kind, out);
    }
}

static void dw_rows(const struct detk_dw_rows *job)
{
    if (job->finish->sums == DETK_Q8_RAISED)
        dw_all(job, DETK_Q8_RAISED);
    else if (job->finish->sums == DETK_Q8_SMALL)
        dw_all(job, DETK_Q8_SMALL);
    else
        dw_all(job, DETK_Q8_ANY);
}

ROWS_12(TILE, 1)
ROWS_6(TILE, 2)
ROWS_4(TILE, 3)

const struct detk_blocked BLOCKED_TABLE = {
    .q8 = true,
    .words = WORDS,
    .lanes = LANES,
    .panel_vectors = 2,
    .most_vectors = 3,
    .packed_vectors = 3,
    .most_terms = INT32_MAX,
    .max_rows = {12, 6, 4},
    .row_group = 1,
    .raises = true,
    .crossed = true,
    .tile = {{ROWS_12(NAME_OF, 1)}, {ROWS_6(NAME_OF, 2)}, {ROWS_4(NAME_OF, 3)}},
    .dw = dw_rows,
    .add_upsampled = add_upsampled,
    .narrow = narrow,
    .widen = widen,
    .narrow_input = narrow_input,
    .gemm = &detk_gemm_avx2,
};
