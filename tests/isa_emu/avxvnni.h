/* avxvnni.h: AVX-VNNI's products on a processor that has AVX2 only. Included before all else in the
 * kernels for AVX-VNNI by CONFIG=isa-emu, so that they are tested where none is; nobody ships
 * this. */
#ifndef DET_TESTS_ISA_EMU_AVXVNNI_H
#define DET_TESTS_ISA_EMU_AVXVNNI_H

#include <immintrin.h>
#include <stdint.h>

/* Of each four bytes, unsigned times signed; the sum wraps. */
static inline __m256i emulated_dpbusd(__m256i sum, __m256i a, __m256i b)
{
    uint32_t sums[8];
    uint8_t left[32];
    int8_t right[32];
    _mm256_storeu_si256((__m256i *)(void *)sums, sum);
    _mm256_storeu_si256((__m256i *)(void *)left, a);
    _mm256_storeu_si256((__m256i *)(void *)right, b);
    for (int i = 0; i < 32; i++)
        sums[i / 4] += (uint32_t)(left[i] * right[i]);
    return _mm256_loadu_si256((const __m256i *)(const void *)sums);
}

#define _mm256_dpbusd_avx_epi32(sum, a, b) emulated_dpbusd(sum, a, b)

#endif
