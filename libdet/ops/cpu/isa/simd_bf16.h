/* simd_bf16.h: bf16 in vectors, beside simd.h. A word of four bytes is the values of two
 * neighbouring channels, the first in its low half; a bf16 is the upper half of the float32 it
 * stands for.
 *
 * Narrowing rounds to nearest, ties to even; a NaN stays one, an infinity too. A set with
 * DET_ISA_BF16 (AVX512-BF16, isas.h) has the processor's own instructions for that and for products
 * of pairs; these count denormal numbers, which are below 1.2e-38, as zero. Any other set does the
 * same by integer operations, two products for one. */
#ifndef DET_OPS_CPU_ISA_SIMD_BF16_H
#define DET_OPS_CPU_ISA_SIMD_BF16_H

#include "ops/cpu/isa/simd.h"

/* v_bf16_load(): V_WIDTH values from V_WIDTH / 2 words; v_bf16_store() narrows as many.
 * v_bf16_low() and v_bf16_high(): the first, the second value of each word; v_bf16_pair() makes
 * words of the two. */

#if DET_ISA_WIDTH == 16

V_INLINE v_f32 v_bf16_low(v_f32 words)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(words), 16));
}
V_INLINE v_f32 v_bf16_high(v_f32 words)
{
    const __m512i upper = _mm512_set1_epi32((int)0xFFFF0000U);
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(words), upper));
}
V_INLINE v_f32 v_bf16_load(const float *from)
{
    const __m256i halves = _mm256_loadu_si256((const __m256i *)(const void *)from);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
#ifdef DET_ISA_BF16
V_INLINE void v_bf16_store(float *to, v_f32 a)
{
    _mm256_storeu_si256((__m256i *)(void *)to, (__m256i)_mm512_cvtneps_pbh(a));
}
V_INLINE v_f32 v_bf16_pair(v_f32 first, v_f32 second)
{
    const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(first));
    const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(second));
    return _mm512_castsi512_ps(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}
/* sum + the two products of each word */
V_INLINE v_f32 v_bf16_dot(v_f32 a, v_f32 b, v_f32 sum)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}
#else
/* Rounded, in the upper halves; the lower ones hold anything. */
V_INLINE __m512i v_bf16_upper(v_f32 a)
{
    const __m512i bits = _mm512_castps_si512(a);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF));
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    return _mm512_mask_mov_epi32(_mm512_add_epi32(bits, half),
                                 _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), quiet);
}
V_INLINE void v_bf16_store(float *to, v_f32 a)
{
    _mm256_storeu_si256((__m256i *)(void *)to,
                        _mm512_cvtepi32_epi16(_mm512_srli_epi32(v_bf16_upper(a), 16)));
}
V_INLINE v_f32 v_bf16_pair(v_f32 first, v_f32 second)
{
    const v_f32 high = v_bf16_high(_mm512_castsi512_ps(v_bf16_upper(second)));
    return _mm512_castsi512_ps(
        _mm512_or_si512(_mm512_srli_epi32(v_bf16_upper(first), 16), _mm512_castps_si512(high)));
}
#endif

#elif DET_ISA_WIDTH == 8

V_INLINE v_f32 v_bf16_low(v_f32 words)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(words), 16));
}
V_INLINE v_f32 v_bf16_high(v_f32 words)
{
    return _mm256_and_ps(words, _mm256_castsi256_ps(_mm256_set1_epi32((int)0xFFFF0000U)));
}
V_INLINE v_f32 v_bf16_load(const float *from)
{
    const __m128i halves = _mm_loadu_si128((const __m128i *)(const void *)from);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
V_INLINE __m256i v_bf16_upper(v_f32 a)
{
    const __m256i bits = _mm256_castps_si256(a);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256 rounded =
        _mm256_blendv_ps(_mm256_castsi256_ps(_mm256_add_epi32(bits, half)),
                         _mm256_castsi256_ps(quiet), _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    return _mm256_castps_si256(rounded);
}
V_INLINE void v_bf16_store(float *to, v_f32 a)
{
    const __m256i upper = _mm256_srai_epi32(v_bf16_upper(a), 16);
    _mm_storeu_si128((__m128i *)(void *)to, _mm_packs_epi32(_mm256_castsi256_si128(upper),
                                                            _mm256_extracti128_si256(upper, 1)));
}
V_INLINE v_f32 v_bf16_pair(v_f32 first, v_f32 second)
{
    const v_f32 high = v_bf16_high(_mm256_castsi256_ps(v_bf16_upper(second)));
    return _mm256_or_ps(_mm256_castsi256_ps(_mm256_srli_epi32(v_bf16_upper(first), 16)), high);
}

#elif DET_ISA_WIDTH == 4

typedef uint16_t v_halves __attribute__((vector_size(16)));
typedef uint16_t v_few_halves __attribute__((vector_size(8)));

V_INLINE v_f32 v_bf16_low(v_f32 words)
{
    return (v_f32)((v_bits)words << 16);
}
V_INLINE v_f32 v_bf16_high(v_f32 words)
{
    return (v_f32)((v_bits)words & 0xFFFF0000U);
}
V_INLINE v_f32 v_bf16_load(const float *from)
{
    const v_few_halves zero = {0};
    v_few_halves halves;
    memcpy(&halves, from, sizeof halves);
    return (v_f32)__builtin_shufflevector(zero, halves, 0, 4, 1, 5, 2, 6, 3, 7);
}
V_INLINE v_f32 v_bf16_upper(v_f32 a)
{
    const v_bits bits = (v_bits)a, rounded = bits + (bits >> 16 & 1) + 0x7FFF;
    return v_select((v_bits)(a == a), (v_f32)rounded, (v_f32)(bits | 0x400000));
}
V_INLINE void v_bf16_store(float *to, v_f32 a)
{
    const v_halves halves = (v_halves)v_bf16_upper(a);
    const v_few_halves upper = __builtin_shufflevector(halves, halves, 1, 3, 5, 7);
    memcpy(to, &upper, sizeof upper);
}
V_INLINE v_f32 v_bf16_pair(v_f32 first, v_f32 second)
{
    const v_bits high = (v_bits)v_bf16_high(v_bf16_upper(second));
    return (v_f32)((v_bits)v_bf16_upper(first) >> 16 | high);
}

#endif

#endif
