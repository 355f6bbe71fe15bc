/* avx512.h: AVX-512's intrinsics on a processor that has AVX2 only, by SIMDe (Debian:
 * libsimde-dev). Included before all else in the _avx512.c files by CONFIG=isa-emu, so that they
 * are tested where no AVX-512 is; nobody ships this. */
#ifndef DET_TESTS_ISA_EMU_AVX512_H
#define DET_TESTS_ISA_EMU_AVX512_H

#include <stdint.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

/* For simd.h: there is no register as wide. */
#define V_KEEP(vector) (void)(vector)

/* Missing in SIMDe 0.7, or less strict there than a processor: masked lanes are not touched, and
 * what goes past the caches must be aligned. Loops over memory, so that AddressSanitizer sees each
 * access. */
static inline simde__m512 emulated_maskz_loadu_ps(uint16_t mask, const float *from)
{
    float lanes[16] = {0};
    for (int i = 0; i < 16; i++) {
        if ((mask >> i & 1) != 0)
            lanes[i] = from[i];
    }
    return simde_mm512_loadu_ps(lanes);
}

static inline void emulated_mask_storeu_ps(float *to, uint16_t mask, simde__m512 a)
{
    float lanes[16];
    simde_mm512_storeu_ps(lanes, a);
    for (int i = 0; i < 16; i++) {
        if ((mask >> i & 1) != 0)
            to[i] = lanes[i];
    }
}

static inline simde__m512d emulated_cvtps_pd(simde__m256 a)
{
    float from[8];
    double to[8];
    simde_mm256_storeu_ps(from, a);
    for (int i = 0; i < 8; i++)
        to[i] = (double)from[i];
    return simde_mm512_loadu_pd(to);
}

static inline simde__m256 emulated_extractf32x8_ps(simde__m512 a, int half)
{
    float lanes[16];
    simde_mm512_storeu_ps(lanes, a);
    return simde_mm256_loadu_ps(lanes + 8 * half);
}

static inline void emulated_stream_ps(float *to, simde__m512 a)
{
    if ((uintptr_t)to % 64 != 0)
        __builtin_trap();
    simde_mm512_store_ps(to, a);
}

static inline simde__m512i emulated_cvtepu16_epi32(simde__m256i a)
{
    uint16_t from[16];
    uint32_t to[16];
    simde_mm256_storeu_si256((simde__m256i *)(void *)from, a);
    for (int i = 0; i < 16; i++)
        to[i] = from[i];
    return simde_mm512_loadu_si512(to);
}

static inline simde__m256i emulated_cvtepi32_epi16(simde__m512i a)
{
    uint32_t from[16];
    uint16_t to[16];
    simde_mm512_storeu_si512(from, a);
    for (int i = 0; i < 16; i++)
        to[i] = (uint16_t)from[i];
    return simde_mm256_loadu_si256((const simde__m256i *)(const void *)to);
}

/* AVX512-BF16 as Intel's manual has it: denormal numbers count as zero on the way in and out, of a
 * pair the second product is added first, each sum rounded once. */
static inline float emulated_flush(float value)
{
    return value > -0x1p-126f && value < 0x1p-126f ? __builtin_copysignf(0.0f, value) : value;
}

static inline float emulated_from_bf16(uint32_t half)
{
    const uint32_t bits = half << 16;
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return emulated_flush(value);
}

static inline simde__m256i emulated_cvtneps_pbh(simde__m512 a)
{
    float from[16];
    uint16_t to[16];
    simde_mm512_storeu_ps(from, a);
    for (int i = 0; i < 16; i++) {
        const float value = emulated_flush(from[i]);
        uint32_t bits;
        __builtin_memcpy(&bits, &value, sizeof bits);
        bits += value != value ? 0x400000U & ~bits : 0x7FFFU + (bits >> 16 & 1U);
        to[i] = (uint16_t)(bits >> 16);
    }
    return simde_mm256_loadu_si256((const simde__m256i *)(const void *)to);
}

static inline simde__m512 emulated_dpbf16_ps(simde__m512 sum, simde__m512 a, simde__m512 b)
{
    float sums[16];
    uint32_t left[16], right[16];
    simde_mm512_storeu_ps(sums, sum);
    simde_mm512_storeu_ps(left, a);
    simde_mm512_storeu_ps(right, b);
    for (int i = 0; i < 16; i++) {
        sums[i] = emulated_flush(__builtin_fmaf(emulated_from_bf16(left[i] >> 16),
                                                emulated_from_bf16(right[i] >> 16),
                                                emulated_flush(sums[i])));
        sums[i] = emulated_flush(__builtin_fmaf(emulated_from_bf16(left[i] & 0xFFFFU),
                                                emulated_from_bf16(right[i] & 0xFFFFU), sums[i]));
    }
    return simde_mm512_loadu_ps(sums);
}

/* For the 8-bit kernels. */
static inline simde__m512 emulated_cvtepi32_ps(simde__m512i a)
{
    int32_t from[16];
    float to[16];
    simde_mm512_storeu_si512(from, a);
    for (int i = 0; i < 16; i++)
        to[i] = (float)from[i];
    return simde_mm512_loadu_ps(to);
}

/* To nearest, ties to even; what does not fit, and NaN, is the least integer. */
static inline simde__m512i emulated_cvtps_epi32(simde__m512 a)
{
    float from[16];
    int32_t to[16];
    simde_mm512_storeu_ps(from, a);
    for (int i = 0; i < 16; i++)
        to[i] = from[i] >= -0x1p31f && from[i] < 0x1p31f ? (int32_t)__builtin_rintf(from[i])
                                                         : INT32_MIN;
    return simde_mm512_loadu_si512(to);
}

static inline simde__m512i emulated_cvttps_epi32(uint16_t mask, simde__m512 a)
{
    float from[16];
    int32_t to[16];
    simde_mm512_storeu_ps(from, a);
    for (int i = 0; i < 16; i++) {
        to[i] = (mask >> i & 1) == 0                       ? 0
                : from[i] >= -0x1p31f && from[i] < 0x1p31f ? (int32_t)from[i]
                                                           : INT32_MIN;
    }
    return simde_mm512_loadu_si512(to);
}

static inline simde__m512i emulated_cvtepu8_epi32(simde__m128i a)
{
    uint8_t from[16];
    int32_t to[16];
    simde_mm_storeu_si128((simde__m128i *)(void *)from, a);
    for (int i = 0; i < 16; i++)
        to[i] = from[i];
    return simde_mm512_loadu_si512(to);
}

/* The lowest bytes; those of unsigned numbers up to 255, of larger ones 255. */
static inline simde__m128i emulated_low_bytes(simde__m512i a, uint32_t most)
{
    uint32_t from[16];
    uint8_t to[16];
    simde_mm512_storeu_si512(from, a);
    for (int i = 0; i < 16; i++)
        to[i] = (uint8_t)(from[i] > most ? most : from[i]);
    return simde_mm_loadu_si128((const simde__m128i *)(const void *)to);
}

static inline void emulated_mask_storeu_epi8(uint8_t *to, uint16_t mask, simde__m128i a)
{
    uint8_t from[16];
    simde_mm_storeu_si128((simde__m128i *)(void *)from, a);
    for (int i = 0; i < 16; i++) {
        if ((mask >> i & 1) != 0)
            to[i] = from[i];
    }
}

static inline simde__m512i emulated_maskz_loadu_epi64(uint8_t mask, const void *from)
{
    int64_t lanes[8] = {0};
    for (int i = 0; i < 8; i++) {
        if ((mask >> i & 1) != 0)
            __builtin_memcpy(&lanes[i], (const char *)from + 8 * i, sizeof lanes[i]);
    }
    return simde_mm512_loadu_si512(lanes);
}

static inline void emulated_mask_storeu_epi64(void *to, uint8_t mask, simde__m512i a)
{
    int64_t lanes[8];
    simde_mm512_storeu_si512(lanes, a);
    for (int i = 0; i < 8; i++) {
        if ((mask >> i & 1) != 0)
            __builtin_memcpy((char *)to + 8 * i, &lanes[i], sizeof lanes[i]);
    }
}

/* By the lowest 64 bits. */
static inline simde__m512i emulated_sra_epi32(simde__m512i a, simde__m128i by)
{
    int32_t lanes[16];
    uint64_t shift[2];
    simde_mm512_storeu_si512(lanes, a);
    simde_mm_storeu_si128((simde__m128i *)(void *)shift, by);
    for (int i = 0; i < 16; i++)
        lanes[i] >>= shift[0] > 31 ? 31 : shift[0];
    return simde_mm512_loadu_si512(lanes);
}

#undef _mm512_cvtepi32_epi8
#define _mm512_cvtepi32_epi8(a) emulated_low_bytes(a, UINT32_MAX)
#undef _mm512_cvtusepi32_epi8
#define _mm512_cvtusepi32_epi8(a) emulated_low_bytes(a, 255)
#undef _mm512_cvtepu8_epi32
#define _mm512_cvtepu8_epi32(a) emulated_cvtepu8_epi32(a)
#undef _mm512_cvttps_epi32
#define _mm512_cvttps_epi32(a) emulated_cvttps_epi32(0xFFFF, a)
#undef _mm512_maskz_cvttps_epi32
#define _mm512_maskz_cvttps_epi32(mask, a) emulated_cvttps_epi32(mask, a)
#undef _mm512_mask_storeu_epi64
#define _mm512_mask_storeu_epi64(to, mask, a) emulated_mask_storeu_epi64(to, mask, a)
#undef _mm512_maskz_loadu_epi64
#define _mm512_maskz_loadu_epi64(mask, from) emulated_maskz_loadu_epi64(mask, from)
#undef _mm512_sra_epi32
#define _mm512_sra_epi32(a, by) emulated_sra_epi32(a, by)
#undef _mm_mask_storeu_epi8
#define _mm_mask_storeu_epi8(to, mask, a) emulated_mask_storeu_epi8(to, mask, a)
#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps(a) emulated_cvtepi32_ps(a)
#undef _mm512_cvtps_epi32
#define _mm512_cvtps_epi32(a) emulated_cvtps_epi32(a)
#undef _mm512_cvtepu16_epi32
#define _mm512_cvtepu16_epi32(a) emulated_cvtepu16_epi32(a)
#undef _mm512_cvtepi32_epi16
#define _mm512_cvtepi32_epi16(a) emulated_cvtepi32_epi16(a)
#undef __m512bh
#define __m512bh simde__m512
#undef _mm512_cvtneps_pbh
#define _mm512_cvtneps_pbh(a) emulated_cvtneps_pbh(a)
#undef _mm512_dpbf16_ps
#define _mm512_dpbf16_ps(sum, a, b) emulated_dpbf16_ps(sum, a, b)
#undef _mm512_maskz_loadu_ps
#define _mm512_maskz_loadu_ps(mask, from) emulated_maskz_loadu_ps(mask, from)
#undef _mm512_mask_storeu_ps
#define _mm512_mask_storeu_ps(to, mask, a) emulated_mask_storeu_ps(to, mask, a)
#undef _mm512_cvtps_pd
#define _mm512_cvtps_pd(a) emulated_cvtps_pd(a)
#undef _mm512_extractf32x8_ps
#define _mm512_extractf32x8_ps(a, half) emulated_extractf32x8_ps(a, half)
#undef _mm512_mask_cmp_ps_mask
#define _mm512_mask_cmp_ps_mask(mask, a, b, how) \
    ((__mmask16)((mask)&simde_mm512_cmp_ps_mask(a, b, how)))
#undef _mm512_stream_ps
#define _mm512_stream_ps(to, a) emulated_stream_ps(to, a)

#endif
