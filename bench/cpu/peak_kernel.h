/* peak_kernel.h: the two probes of the roofline for one instruction set. The including file defines
 * V (vector type), LANES, LOAD, STORE, SET1, FMA(a, b, c) = a * b + c, CHAINS and PROBE(name). */
#include <stddef.h>

#include "peak.h"

/* `steps` rounds of CHAINS independent multiply-adds in registers; flop = 2 * LANES * CHAINS *
 * steps. */
double PROBE(peak_fma)(long steps)
{
    V chain[CHAINS];
    const V factor = SET1(0.999f), term = SET1(0.001f);
#pragma GCC unroll 32
    for (int i = 0; i < CHAINS; i++)
        chain[i] = SET1((float)i);
    for (long s = 0; s < steps; s++) {
#pragma GCC unroll 32
        for (int i = 0; i < CHAINS; i++)
            chain[i] = FMA(chain[i], factor, term);
        V_KEEP(chain[0]);
    }
    float sum[LANES], total = 0;
#pragma GCC unroll 32
    for (int i = 1; i < CHAINS; i++)
        chain[0] = FMA(chain[i], factor, chain[0]);
    STORE(sum, chain[0]);
    for (int i = 0; i < LANES; i++)
        total += sum[i];
    return 2.0 * LANES * CHAINS * (double)steps + (total == 12345.0f);
}

/* a = b + s * c over `count` floats, a multiple of 4 * LANES. */
void PROBE(peak_triad)(float *a, const float *b, const float *c, size_t count)
{
    const V s = SET1(0.5f);
    for (size_t i = 0; i < count; i += 4 * LANES)
#pragma GCC unroll 4
        for (size_t k = 0; k < 4 * LANES; k += LANES)
            STORE(a + i + k, FMA(LOAD(c + i + k), s, LOAD(b + i + k)));
}

/* Sum of `count` floats, a multiple of 8 * LANES. */
float PROBE(peak_read)(const float *a, size_t count)
{
    V sums[8];
    const V one = SET1(1.0f);
#pragma GCC unroll 8
    for (int k = 0; k < 8; k++)
        sums[k] = SET1(0.0f);
    for (size_t i = 0; i < count; i += 8 * LANES)
#pragma GCC unroll 8
        for (size_t k = 0; k < 8; k++)
            sums[k] = FMA(LOAD(a + i + k * LANES), one, sums[k]);
    float sum[LANES], total = 0;
#pragma GCC unroll 8
    for (int k = 1; k < 8; k++)
        sums[0] = FMA(sums[k], one, sums[0]);
    STORE(sum, sums[0]);
    for (int i = 0; i < LANES; i++)
        total += sum[i];
    return total;
}
