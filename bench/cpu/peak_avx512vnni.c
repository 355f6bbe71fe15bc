#include <immintrin.h>

#include "peak.h"

enum { CHAINS = 24, WORDS = 16 };

double peak_q8__avx512vnni(long steps)
{
    __m512i chain[CHAINS];
    const __m512i bytes = _mm512_set1_epi32(0x01020301);
#pragma GCC unroll 32
    for (int i = 0; i < CHAINS; i++)
        chain[i] = _mm512_set1_epi32(i);
    for (long s = 0; s < steps; s++) {
#pragma GCC unroll 32
        for (int i = 0; i < CHAINS; i++)
            /* gcc 12 copies each chain before and behind the intrinsic, and spills them. */
            __asm__("vpdpbusd %1, %1, %0" : "+v"(chain[i]) : "v"(bytes));
        V_KEEP(chain[0]);
    }
#pragma GCC unroll 32
    for (int i = 1; i < CHAINS; i++)
        chain[0] = _mm512_add_epi32(chain[0], chain[i]);
    return 8.0 * WORDS * CHAINS * (double)steps + (_mm512_reduce_add_epi32(chain[0]) == 12345);
}
