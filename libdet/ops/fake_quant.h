/* fake_quant.h: what training with 8 bits in it does to a tensor: each value becomes the nearest
 * that 8 bits have, and the gradient passes where the value lay inside their range.
 *
 * Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
 * Integer-Arithmetic-Only Inference" (2018), section 3; FakeQuantWithMinMaxVars and its gradient of
 * TensorFlow.
 */
#ifndef DET_OPS_FAKE_QUANT_H
#define DET_OPS_FAKE_QUANT_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

struct det_fake_quant {
    float scale, inverse; /* 0: values stay as they are, `passes` is written all the same */
    float least, most;    /* whole steps from real 0: -128 - zero .. 127 - zero */
    /* both inclusive: of the range, and of an activation that has been applied */
    float pass_low, pass_high;
};

/* Halves to even; NaN stays. Adding 1.5 * 2^23 leaves no bits behind the point. */
static inline float det_fake_quant_value(const struct det_fake_quant *q, float value)
{
    const float whole = 12582912.0f;
    float steps = value * q->inverse;
    steps = steps < q->least ? q->least : steps > q->most ? q->most : steps;
    return q->scale > 0 ? (steps + whole - whole) * q->scale : value;
}

static inline bool det_fake_quant_passes(const struct det_fake_quant *q, float value)
{
    return value >= q->pass_low && value <= q->pass_high;
}

/* Bytes of a bit for each of `count` values. */
static inline int64_t det_fake_quant_bytes(int64_t count)
{
    return (count + 7) / 8;
}

#endif
