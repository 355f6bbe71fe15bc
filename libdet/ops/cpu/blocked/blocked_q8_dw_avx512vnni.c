/* blocked_q8_dw_avx512vnni.c: the depthwise convolution of blocked.h's 8-bit form for AVX-512 VNNI.
 *
 * Pixels are brought into an order in which a word is four neighbours of one channel, so that a
 * product takes the taps of a row: for each place of an output's first tap within the four its
 * weights are moved by so many bytes. */
#include "ops/cpu/blocked/blocked.h"
#include "ops/cpu/blocked/q8_avx512.h"

/* Four pixels of a block from x on, each channel's four bytes in a word. `in_w`: only so many
 * pixels of the row are read. */
INLINE __m512i channels_at(const float *row, int64_t x, int64_t in_w)
{
    const __m512i order =
        four_words_of(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    const float *from = row + x * WORDS;
    const __m512i pixels = x + 4 <= in_w ? load(from)
                           : x >= in_w   ? _mm512_setzero_si512()
                                         : _mm512_maskz_loadu_epi64(mask_of(in_w - x), from);
    return _mm512_shuffle_epi8(transposed(pixels), order);
}

/* What stays: by row and by the place of an output's first tap within four pixels, or, the last
 * two, within the four before. */
struct dw_job {
    __m512i w[3][6];
    __m512i bias;
    struct detk_q8_scale scale;
    struct detk_q8_finisher finisher;
};

/* A row of weights, a word's bytes the columns and 0, from words of a column's three rows. */
INLINE __m512i row_weights(const __m512i column[3], const unsigned row)
{
    const __m512i byte = _mm512_set1_epi32(0xFF);
    __m512i w = _mm512_setzero_si512();
    UNROLL_ALL for (unsigned x = 0; x < 3; x++) w = _mm512_or_si512(
        w, _mm512_slli_epi32(_mm512_and_si512(_mm512_srli_epi32(column[x], 8 * row), byte), 8 * x));
    return w;
}

INLINE struct dw_job dw_job_of(const struct detk_dw_rows *job)
{
    const __m512i column[3] = {load(job->w), load(job->w + DETK_BLOCK),
                               load(job->w + 2 * DETK_BLOCK)};
    struct dw_job k = {.bias = load(job->bias),
                       .scale = scale_of(job->finish->scale),
                       .finisher = finisher_of(job->finish)};
    UNROLL_ALL for (unsigned r = 0; r < 3; r++)
    {
        const __m512i w = row_weights(column, r);
        UNROLL_ALL for (unsigned i = 0; i < 4; i++) k.w[r][i] = _mm512_slli_epi32(w, 8 * i);
        k.w[r][4] = _mm512_srli_epi32(w, 16);
        k.w[r][5] = _mm512_srli_epi32(w, 8);
    }
    return k;
}

/* Sums of four outputs from x on. `now`: the four pixels from the first one's taps on, of three
 * rows; becomes those that the next outputs begin with. */
INLINE void dw_sums(const struct dw_job *k, const float *const *rows, int64_t x, int64_t in_w,
                    const int stride, __m512i now[3], __m512i sum[4])
{
    __m512i more[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    UNROLL_ALL for (int i = 0; i < 4; i++) sum[i] = k->bias;
    UNROLL_ALL for (int r = 0; r < 3; r++)
    {
        const __m512i *w = k->w[r];
        const __m512i next = channels_at(rows[r], stride * x + 4, in_w);
        if (stride == 1) {
            UNROLL_ALL for (int i = 0; i < 4; i++) sum[i] =
                _mm512_dpbusd_epi32(sum[i], now[r], w[i]);
            more[0] = _mm512_dpbusd_epi32(more[0], next, w[4]);
            more[1] = _mm512_dpbusd_epi32(more[1], next, w[5]);
            now[r] = next;
        } else {
            const __m512i last = channels_at(rows[r], 2 * x + 8, in_w);
            sum[0] = _mm512_dpbusd_epi32(sum[0], now[r], w[0]);
            sum[1] = _mm512_dpbusd_epi32(sum[1], now[r], w[2]);
            sum[2] = _mm512_dpbusd_epi32(sum[2], next, w[0]);
            sum[3] = _mm512_dpbusd_epi32(sum[3], next, w[2]);
            more[0] = _mm512_dpbusd_epi32(more[0], next, w[4]);
            more[1] = _mm512_dpbusd_epi32(more[1], last, w[4]);
            now[r] = last;
        }
    }
    sum[stride == 1 ? 2 : 1] = _mm512_add_epi32(sum[stride == 1 ? 2 : 1], more[0]);
    sum[3] = _mm512_add_epi32(sum[3], more[1]);
}

/* Four outputs from x on, `pixels` of which are written. */
INLINE void dw_four(const struct dw_job *k, const float *const *rows, int64_t x, int64_t in_w,
                    const int stride, const enum detk_q8_sums kind, __m512i now[3], int64_t pixels,
                    float *out)
{
    __m512i sum[4];
    dw_sums(k, rows, x, in_w, stride, now, sum);
    UNROLL_ALL for (int i = 0; i < 4; i++) sum[i] =
        steps_of(sum[i], k->scale, k->finisher.most, kind);
    store_pixels(stored(sum, 4, k->finisher, kind), pixels, out + x * WORDS);
}

INLINE void dw_row(const struct dw_job *k, const float *const *rows, int64_t out_w,
                   const int stride, const enum detk_q8_sums kind, float *out)
{
    const int64_t in_w = (out_w - 1) * stride + 3;
    int64_t x = 0;
    __m512i now[3];
    UNROLL_ALL for (int r = 0; r < 3; r++) now[r] = channels_at(rows[r], 0, in_w);
    /* All that is read exists. */
    for (; stride * (x + 4) + 4 <= in_w; x += 4)
        dw_four(k, rows, x, INT64_MAX, stride, kind, now, 4, out);
    for (; x < out_w; x += 4)
        dw_four(k, rows, x, in_w, stride, kind, now, out_w - x, out);
}

INLINE void dw_rows(const struct detk_dw_rows *job, const int stride, const enum detk_q8_sums kind)
{
    const struct dw_job k = dw_job_of(job);
    float *out = job->out;
    for (int32_t y = 0; y < job->out_rows; y++, out += job->out_row)
        dw_row(&k, job->rows + (ptrdiff_t)y * stride, job->out_w, stride, kind, out);
}

INLINE void dw_of(const struct detk_dw_rows *job, const enum detk_q8_sums kind)
{
    if (job->stride == 1)
        dw_rows(job, 1, kind);
    else
        dw_rows(job, 2, kind);
}

void detk_q8_dw_avx512vnni(const struct detk_dw_rows *job)
{
    if (job->finish->sums == DETK_Q8_RAISED)
        dw_of(job, DETK_Q8_RAISED);
    else if (job->finish->sums == DETK_Q8_SMALL)
        dw_of(job, DETK_Q8_SMALL);
    else
        dw_of(job, DETK_Q8_ANY);
}
