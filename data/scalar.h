/* scalar.h: float helpers that compile to an instruction or two (libm's fminf and floorf are calls
 * at -O2). */
#ifndef DEMO_SCALAR_H
#define DEMO_SCALAR_H

#include <stdint.h>

static inline float minf(float a, float b)
{
    return a < b ? a : b;
}

static inline float maxf(float a, float b)
{
    return a > b ? a : b;
}

static inline float clampf(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

/* floor for |x| < 2^30 */
static inline int32_t floori(float x)
{
    const int32_t i = (int32_t)x;
    return i - (x < (float)i);
}

/* x - floor(x) */
static inline float fraction(float x)
{
    return x - (float)floori(x);
}

#endif
