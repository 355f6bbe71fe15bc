/* q8_avx512.h: what the 8-bit kernels for AVX-512 share: from sums to stored values. Four vectors of
 * sums, of one pixel each, become one of bytes.
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

struct detk_q8_limits {
    __m512i low, high;
};

INLINE struct detk_q8_limits limits_of(int32_t low, int32_t high)
{
    return (struct detk_q8_limits){_mm512_set1_epi8((char)low), _mm512_set1_epi8((char)high)};
}

/* --- estimates --- */

/* Of a vector of columns; what they are added to, detk_q8_fixed_zero(). */
INLINE __m512 scale_of(const struct detk_q8_finish *f, int32_t vector)
{
    return _mm512_mul_ps(_mm512_loadu_ps(f->scale + vector * LANES),
                         _mm512_set1_ps(DETK_Q8_FIXED_ONE));
}

INLINE __m512 zero_of(const struct detk_q8_finish *f)
{
    return _mm512_set1_ps(detk_q8_fixed_zero(f));
}

/* In fixed point, whole steps in the upper halves of words (q8_finish.h). */
INLINE __m512i estimate(__m512i sum, __m512 scale, __m512 zero)
{
    return _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, zero));
}

/* The first `count` of four estimates: not 0 where one does not tell how to round. */
INLINE __mmask32 near_ones(const __m512i value[4], const int count, const int error)
{
    __m512i least = value[0];
    UNROLL_ALL for (int i = 1; i < count; i++) least = _mm512_min_epu16(least, value[i]);
    return _mm512_mask_cmplt_epu16_mask(0x55555555, least, _mm512_set1_epi16((short)(2 * error)));
}

/* The upper halves of both, one of a, one of b, .. */
INLINE __m512i upper_halves(__m512i a, __m512i b)
{
    return _mm512_mask_blend_epi16(0xAAAAAAAA, _mm512_srli_epi32(a, 16), b);
}

/* The whole steps of the first `count` of four estimates as bytes, one after the other; within the
 * limits. */
INLINE __m512i whole_steps(const __m512i value[4], const int count, struct detk_q8_limits to)
{
    const __m512i none = _mm512_setzero_si512();
    const __m512i order =
        four_words_of(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15));
    const __m512i first = upper_halves(value[0], count > 1 ? value[1] : none);
    const __m512i second = count > 2 ? upper_halves(value[2], count > 3 ? value[3] : none) : none;
    const __m512i bytes = _mm512_shuffle_epi8(_mm512_packus_epi16(first, second), order);
    return transposed(_mm512_min_epu8(_mm512_max_epu8(bytes, to.low), to.high));
}

/* --- exactly --- */

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

/* As whole_steps(), of four sums of a vector of columns. */
INLINE __m512i finished(const struct detk_q8_finish *f, int32_t vector, const __m512i sum[4])
{
    const __m512i mantissa = load(f->mantissa + vector * LANES);
    const __m512i shift = load(f->shift + vector * LANES);
    const __m512i odd_mantissa = _mm512_srli_epi64(mantissa, 32);
    const __m512i odd_shift = _mm512_srli_epi64(shift, 32);
    __m512i q[4];
    UNROLL_ALL for (int i = 0; i < 4; i++)
    {
        const __m512i odd = rescale(f, _mm512_srli_epi64(sum[i], 32), odd_mantissa, odd_shift);
        q[i] = _mm512_or_si512(rescale(f, sum[i], mantissa, shift), _mm512_slli_epi64(odd, 32));
    }
    return transposed(
        _mm512_packus_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3])));
}

#endif
