/* q8_avx512.h: what the 8-bit kernels for AVX-512 share: from sums to stored values. Four vectors
 * of sums, of one pixel each, become one of bytes.
 *
 * Packing goes by lanes of 128 bits: one permutation in the end brings a pixel's bytes together. */
#ifndef DET_OPS_CPU_BLOCKED_Q8_AVX512_H
#define DET_OPS_CPU_BLOCKED_Q8_AVX512_H

#include <immintrin.h>

#include "ops/cpu/blocked/q8_finish.h"

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

INLINE void store_pixels(__m512i bytes, int64_t pixels, float *to)
{
    if (pixels >= 4)
        _mm512_storeu_si512(to, bytes);
    else
        _mm512_mask_storeu_epi64(to, mask_of(pixels), bytes);
}

/* Word i of each lane becomes a word of lane i, and back. */
INLINE __m512i transposed(__m512i words)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, words);
}

/* What becomes of a layer's sums, but for their scales. */
struct detk_q8_finisher {
    __m512 most; /* steps above the zero */
    __m512i zero, low;
};

INLINE struct detk_q8_finisher finisher_of(const struct detk_q8_finish *f)
{
    return (struct detk_q8_finisher){.most = _mm512_set1_ps((float)(f->high - f->zero)),
                                     .zero = _mm512_set1_epi16((short)f->zero),
                                     .low = _mm512_set1_epi8((char)f->low)};
}

/* Of columns. */
struct detk_q8_scale {
    __m512 scale, above; /* 2^23 times that */
};

INLINE struct detk_q8_scale scale_of(const float *scale)
{
    const __m512 s = _mm512_loadu_ps(scale);
    return (struct detk_q8_scale){s, _mm512_mul_ps(s, _mm512_set1_ps(0x1p23f))};
}

INLINE __m512 raised_steps(__m512i sum, struct detk_q8_scale s)
{
#ifdef __AVX512F__
    return _mm512_fmsub_ps(_mm512_castsi512_ps(sum), s.scale, s.above);
#else /* what emulates it rounds twice */
    return _mm512_mul_ps(
        _mm512_cvtepi32_ps(_mm512_sub_epi32(sum, _mm512_set1_epi32(DETK_Q8_RAISE))), s.scale);
#endif
}

/* det_q8_steps(); of any sums those within the upper limit. What is too low for 32 bits becomes the
 * lowest number there is. */
INLINE __m512i steps_of(__m512i sum, struct detk_q8_scale s, __m512 most,
                        const enum detk_q8_sums sums)
{
    if (sums == DETK_Q8_RAISED)
        return _mm512_cvtps_epi32(raised_steps(sum, s));
    const __m512 steps = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), s.scale);
    if (sums == DETK_Q8_SMALL)
        return _mm512_cvtps_epi32(steps);
    return _mm512_cvtps_epi32(_mm512_min_ps(steps, most));
}

/* The first `count` of four vectors of steps as stored values, one after the other. */
INLINE __m512i stored(const __m512i step[4], const int count, struct detk_q8_finisher k,
                      const enum detk_q8_sums sums)
{
    const __m512i none = _mm512_setzero_si512();
    const __m512i first = _mm512_packs_epi32(step[0], count > 1 ? step[1] : none);
    const __m512i second =
        count > 2 ? _mm512_packs_epi32(step[2], count > 3 ? step[3] : none) : none;
    if (sums == DETK_Q8_RAISED)
        return transposed(_mm512_packus_epi16(first, second));
    const __m512i bytes =
        _mm512_packus_epi16(_mm512_adds_epi16(first, k.zero), _mm512_adds_epi16(second, k.zero));
    return transposed(sums == DETK_Q8_SMALL ? bytes : _mm512_max_epu8(bytes, k.low));
}

#endif
