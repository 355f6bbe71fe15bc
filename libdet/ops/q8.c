#include "ops/q8.h"

struct det_q8_factor det_q8_factor_of(double value)
{
    int exponent = 0;
    const double fraction = frexp(value, &exponent);
    int64_t mantissa = (int64_t)round(fraction * 2147483648.0);
    if (mantissa == (int64_t)1 << 31) {
        mantissa /= 2;
        exponent++;
    }
    if (value <= 0 || exponent < -31)
        return (struct det_q8_factor){0, 1};
    return (struct det_q8_factor){(int32_t)mantissa, 31 - exponent};
}

struct det_q8_add det_q8_add_of(double a_scale, int32_t a_zero, double b_scale, int32_t b_zero,
                                double out_scale, struct det_q8_target to)
{
    const double common = 2 * fmax(a_scale, b_scale);
    return (struct det_q8_add){
        .a_zero = a_zero,
        .b_zero = b_zero,
        .a = det_q8_factor_of(a_scale / common),
        .b = det_q8_factor_of(b_scale / common),
        .out = det_q8_factor_of(common / ((double)(1 << DET_Q8_ADD_SHIFT) * out_scale)),
        .to = to,
    };
}

int8_t det_q8_of(float value, float scale, int32_t zero)
{
    /* Halves away from zero, as TfLiteRound(). */
    const float steps = roundf(value / scale);
    if (!(steps >= -512.0f)) /* NaN too */
        return isnan(steps) ? (int8_t)zero : (int8_t)-128;
    return det_q8_clamp(steps > 512.0f ? 512 : (int64_t)steps + zero, -128, 127);
}
