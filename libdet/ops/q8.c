#include "ops/q8.h"

/* A scale in steps of 2^-shift; what is larger than any sum that is not clamped becomes 2^21. */
static int32_t multiplier(float scale, int32_t shift)
{
    return (int32_t)lrintf(fminf(ldexpf(scale, shift), 0x1p21f));
}

struct det_q8_add det_q8_add_of(float a_scale, int32_t a_zero, float b_scale, int32_t b_zero,
                                float out_scale, struct det_q8_target to)
{
    const float a = a_scale / out_scale, b = b_scale / out_scale;
    int exponent = 0; /* the larger is of 2^(exponent - 1) .. 2^exponent */
    frexpf(fmaxf(a, b), &exponent);
    const int32_t shift = exponent > 20 ? 1 : exponent < -9 ? 30 : 21 - exponent;
    return (struct det_q8_add){.a_zero = a_zero,
                               .b_zero = b_zero,
                               .a = multiplier(a, shift),
                               .b = multiplier(b, shift),
                               .shift = shift,
                               .to = to};
}

int8_t det_q8_of(float value, float scale, int32_t zero)
{
    /* Halves away from zero, as TfLiteRound(). */
    const float steps = roundf(value / scale);
    if (!(steps >= -512.0f)) /* NaN too */
        return isnan(steps) ? (int8_t)zero : (int8_t)-128;
    return det_q8_clamp(steps > 512.0f ? 512 : (int64_t)steps + zero, -128, 127);
}
