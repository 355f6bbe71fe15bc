/* q8.h: contract of the operations in 8 bits. A real number is scale * (q - zero), q a whole number
 * of -128 .. 127; a tensor has one scale and one zero, the weights of a convolution a scale for
 * each output channel and zero 0. Sums are exact in 32 bits, and what becomes of them is fixed to
 * the bit: every implementation gives the same whole numbers as `ref` does.
 *
 * Source: TFLite's 8-bit quantization specification; rescaling is MultiplyByQuantizedMultiplier()
 * of tensorflow/lite/kernels/internal/common.cc as TFLITE_SINGLE_ROUNDING has it: rounded once,
 * halves upwards. docs/quantisation.md tells more.
 */
#ifndef DET_OPS_Q8_H
#define DET_OPS_Q8_H

#include <math.h>

#include "ops/ops.h"
#include "ops/q8_types.h"

/* The nearest to a value of 0 .. 2^29; what is below 2^-32 becomes 0, as TFLite has it
 * (QuantizeMultiplier()). */
struct det_q8_factor det_q8_factor_of(double value);

/* value * factor. */
static inline int64_t det_q8_rescale(int32_t value, struct det_q8_factor factor)
{
    const int64_t half = (int64_t)1 << (factor.shift - 1);
    return ((int64_t)value * factor.mantissa + half) >> factor.shift;
}

static inline int8_t det_q8_clamp(int64_t value, int32_t low, int32_t high)
{
    return (int8_t)(value < low ? low : value > high ? high : value);
}

/* A convolution, dense (weights HWIO) or depthwise (HWC, multiplier 1):
 * out = clamp(zero + rescale(bias + sum of (in - in_zero) * weight)). Taps outside the image add
 * nothing. */
struct det_q8_conv {
    int32_t in_zero;
    const int8_t *weights;
    const int32_t *bias;                /* [out_c] */
    const struct det_q8_factor *factor; /* [out_c] */
    struct det_q8_target to;
};

/* The most products that one sum may have: 255 * 127 each, and a bias of 2^30. */
#define DET_Q8_MOST_TERMS 33000
#define DET_Q8_MOST_BIAS  (1 << 30)

/* Of tensors with these scales (kernels/add.cc, PrepareQuantized()). */
struct det_q8_add det_q8_add_of(double a_scale, int32_t a_zero, double b_scale, int32_t b_zero,
                                double out_scale, struct det_q8_target to);

/* round(value / scale) + zero, halves away from zero, clamped; NaN becomes zero (real 0). */
int8_t det_q8_of(float value, float scale, int32_t zero);

/* A normalised pixel value, x * 2/255 - 1, as the nearest whole grey level 0 .. 255, halves
 * upwards; NaN becomes 0. */
static inline float det_q8_grey_level(float value)
{
    const float level = floorf(value * 127.5f + 128.0f);
    return level >= 255.0f ? 255.0f : level > 0.0f ? level : 0.0f;
}

static inline float det_q8_real(int8_t q, float scale, int32_t zero)
{
    return scale * (float)(q - zero);
}

/* --- plain C, obviously right: what all others must equal --- */

void detk_q8_conv__ref(const struct det_exec *x, const struct det_conv_shape *s,
                       const struct det_q8_conv *q, const int8_t *in, int8_t *out);
void detk_q8_dwconv__ref(const struct det_exec *x, const struct det_conv_shape *s,
                         const struct det_q8_conv *q, const int8_t *in, int8_t *out);
/* `out` may be `a` or `b`. */
void detk_q8_add__ref(const struct det_exec *x, int64_t count, const struct det_q8_add *q,
                      const int8_t *a, const int8_t *b, int8_t *out);
/* a: nearest x2 upsampling of low [n, h, w, c]; b: lateral [n, out_h, out_w, c], as
 * upsample_add_forward of op_list.h. */
void detk_q8_upsample_add__ref(const struct det_exec *x, int32_t n, int32_t h, int32_t w, int32_t c,
                               int32_t out_h, int32_t out_w, const struct det_q8_add *q,
                               const int8_t *low, const int8_t *lateral, int8_t *out);

#endif
