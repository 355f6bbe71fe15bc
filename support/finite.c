#include "support/finite.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Blocks of a fixed size without a way out: the compiler makes vectors of them. */
bool det_all_finite(const float *values, size_t count)
{
    enum { BLOCK = 16 };
    const uint32_t infinity = 0x7F800000; /* the exponent's bits: all set in what is not finite */
    uint32_t bits[BLOCK], bad = 0;
    for (; count >= BLOCK; count -= BLOCK, values += BLOCK) {
        memcpy(bits, values, sizeof bits);
        for (int i = 0; i < BLOCK; i++)
            bad |= (bits[i] & infinity) == infinity;
    }
    for (size_t i = 0; i < count; i++)
        bad |= isfinite(values[i]) ? 0U : 1U;
    return bad == 0;
}
