/* q8.h: contract of the operations in 8 bits. A real number is scale * (q - zero), q a whole number
 * of -128 .. 127; a tensor has one scale and one zero, the weights of a convolution a scale for
 * each output channel and zero 0. Sums are exact in 32 bits, and what becomes of them is fixed to
 * the bit: every implementation gives the same whole numbers as `ref` does.
 *
 * Source: TFLite's 8-bit quantization specification, which leaves open how a sum is rescaled. Here
 * it is as XNNPACK has it, LiteRT's default: that of a convolution in float32 (its
 * qs8-requantization, fp32), as ONNX Runtime has it too (MlasRequantizeOutput()), a sum of two
 * tensors in 32 bits (its qs8-vadd). docs/quantisation.md tells more.
 */
#ifndef DET_OPS_Q8_H
#define DET_OPS_Q8_H

#include <math.h>

#include "ops/ops.h"

#include "ops/q8_types.h"

/* A step of a convolution's sum in steps of its result, from the scales of input, weights and
 * result. */
static inline float det_q8_scale_of(float in, float weight, float out)
{
    const float step = in * weight;
    return step / out;
}

/* A convolution's sum in steps of its result: the sum as float32, the product as float32, the
 * nearest whole number, halves to even. Beyond +-1024, which is clamped anyway, it is that. */
static inline int32_t det_q8_steps(int32_t sum, float scale)
{
    const float round = 0x1.8p23f; /* behind it float32 has whole numbers alone */
    const float product = (float)sum * scale;
    const float limited = product < -1024.0f ? -1024.0f : product > 1024.0f ? 1024.0f : product;
    return (int32_t)((limited + round) - round);
}

static inline int8_t det_q8_clamp(int64_t value, int32_t low, int32_t high)
{
    return (int8_t)(value < low ? low : value > high ? high : value);
}

/* A convolution, dense (weights HWIO) or depthwise (HWC, multiplier 1):
 * out = clamp(zero + steps(bias + sum of (in - in_zero) * weight)). Taps outside the image add
 * nothing. */
struct det_q8_conv {
    int32_t in_zero;
    const int8_t *weights;
    const int32_t *bias;     /* [out_c] */
    const float *scale;      /* [out_c], det_q8_scale_of() */
    struct det_q8_target to; /* real 0 is among its values: low <= zero <= high */
};

/* The most products that one sum may have: 255 * 127 each, and a bias of 2^30. */
#define DET_Q8_MOST_TERMS 33000
#define DET_Q8_MOST_BIAS  (1 << 30)

/* Of tensors with these scales: `a` and `b` are a_scale / out_scale and b_scale / out_scale, the
 * larger with 20 to 21 bits. */
struct det_q8_add det_q8_add_of(float a_scale, int32_t a_zero, float b_scale, int32_t b_zero,
                                float out_scale, struct det_q8_target to);

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
