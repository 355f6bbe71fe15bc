#include <immintrin.h>

#include "peak.h"

enum { CHAINS = 24, WORDS = 16 };

double peak_bf16__avx512bf16(long steps)
{
    __m512 chain[CHAINS];
    const __m512i pairs = _mm512_set1_epi32(0x3A833A83); /* .001 twice */
#pragma GCC unroll 32
    for (int i = 0; i < CHAINS; i++)
        chain[i] = _mm512_set1_ps((float)i);
    for (long s = 0; s < steps; s++) {
#pragma GCC unroll 32
        for (int i = 0; i < CHAINS; i++)
            chain[i] = _mm512_dpbf16_ps(chain[i], (__m512bh)pairs, (__m512bh)pairs);
        V_KEEP(chain[0]);
    }
    float sum[WORDS], total = 0;
#pragma GCC unroll 32
    for (int i = 1; i < CHAINS; i++)
        chain[0] = _mm512_add_ps(chain[0], chain[i]);
    _mm512_storeu_ps(sum, chain[0]);
    for (int i = 0; i < WORDS; i++)
        total += sum[i];
    return 4.0 * WORDS * CHAINS * (double)steps + (total == 12345.0f);
}
