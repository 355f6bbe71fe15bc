#include "base/half.h"

#include <string.h>

/* Layout: sign 1 bit, exponent 5 bits (bias 15), mantissa 10 bits; exponent 0 is subnormal in units
 * of 2^-24. */

float det_half_to_float(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half >> 15) << 31;
    const uint32_t exponent = half >> 10 & 31u, mantissa = half & 1023u;
    uint32_t bits = sign;
    if (exponent == 0) {
        const float small = (float)mantissa * 0x1p-24f;
        return sign != 0 ? -small : small;
    }
    bits |= exponent == 31 ? 0x7f800000u | mantissa << 13 : (exponent + 112) << 23 | mantissa << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint16_t det_float_to_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u); /* NaN */
    if (magnitude >= 0x477ff000u)
        return (uint16_t)(sign | 0x7c00u); /* 65520 and above round to infinity */
    if (magnitude < 0x38800000u) {
        /* Below 2^-14: adding 1/2 lets the float unit round to units of 2^-24. */
        float positive;
        memcpy(&positive, &magnitude, sizeof positive);
        const float shifted = positive + 0.5f;
        uint32_t rounded;
        memcpy(&rounded, &shifted, sizeof rounded);
        return (uint16_t)(sign | (rounded - 0x3f000000u));
    }
    const uint32_t odd = magnitude >> 13 & 1u;
    return (uint16_t)(sign | ((magnitude + 0xfffu + odd - 0x38000000u) >> 13));
}
