/* q8_finish.h: from sums in 32 bits to stored values in 8, as ops/q8.h has it to the bit: what the
 * kernels of blocked.h's 8-bit form are given for it, and the definition for single values.
 *
 * A stored value is q + 128, 0 .. 255, so that products of unsigned with signed bytes apply; zeros
 * and limits are moved likewise. */
#ifndef DET_OPS_CPU_BLOCKED_Q8_FINISH_H
#define DET_OPS_CPU_BLOCKED_Q8_FINISH_H

#include "ops/q8.h"

#define DETK_Q8_BIAS 128 /* of stored values */

/* The bits of the float 2^23. Behind it lie the whole numbers, so that DETK_Q8_RAISE + sum are the
 * bits of 2^23 + sum, and with a fused multiply and subtract
 *   (2^23 + sum) * scale - 2^23 * scale
 * is sum * scale, rounded once, as det_q8_steps() has it: no conversion is needed. Of a sum below 0
 * it is something else below 0. */
#define DETK_Q8_RAISE 0x4B000000

/* What is known of sums, which spares their rounding operations. */
enum detk_q8_sums {
    DETK_Q8_ANY,
    /* Their steps are whole numbers of 32 bits, and all 256 stored values are results. */
    DETK_Q8_SMALL,
    /* So are these, which are less than 2^23, and the zero is 0, as behind a relu6 whose range
     * begins with its 0: biases are raised by DETK_Q8_RAISE. */
    DETK_Q8_RAISED,
};

/* Of some columns. */
struct detk_q8_finish {
    const float *scale;
    int32_t zero, low, high; /* stored */
    float real_scale;        /* of the results: for float32 ones */
    enum detk_q8_sums sums;
};

/* Of the columns from `first` on. */
static inline struct detk_q8_finish detk_q8_finish_from(const struct detk_q8_finish *finish,
                                                        int32_t first)
{
    struct detk_q8_finish f = *finish;
    f.scale += first;
    return f;
}

/* Sums of two stored tensors: bias + a * value + b * value, modulo 2^32, in steps of 2^-shift. */
struct detk_q8_sum {
    int32_t a, b, bias, shift;
    int32_t zero, low, high; /* stored */
};

static inline struct detk_q8_sum detk_q8_sum_of(const struct det_q8_add *add)
{
    const uint32_t half = 1u << (add->shift - 1);
    const uint32_t zeros = (uint32_t)add->a * (uint32_t)(add->a_zero + DETK_Q8_BIAS) +
                           (uint32_t)add->b * (uint32_t)(add->b_zero + DETK_Q8_BIAS);
    return (struct detk_q8_sum){.a = add->a,
                                .b = add->b,
                                .bias = (int32_t)(half - zeros),
                                .shift = add->shift,
                                .zero = add->to.zero + DETK_Q8_BIAS,
                                .low = add->to.low + DETK_Q8_BIAS,
                                .high = add->to.high + DETK_Q8_BIAS};
}

static inline uint8_t detk_q8_clamp(int32_t value, int32_t low, int32_t high)
{
    return (uint8_t)(value < low ? low : value > high ? high : value);
}

static inline uint8_t detk_q8_finish_one(const struct detk_q8_finish *f, int32_t column,
                                         int32_t sum)
{
    return detk_q8_clamp(f->zero + det_q8_steps(sum, f->scale[column]), f->low, f->high);
}

static inline uint8_t detk_q8_sum_one(const struct detk_q8_sum *s, uint8_t a, uint8_t b)
{
    const uint32_t sum = (uint32_t)s->bias + (uint32_t)s->a * a + (uint32_t)s->b * b;
    return detk_q8_clamp(s->zero + ((int32_t)sum >> s->shift), s->low, s->high);
}

static inline float detk_q8_real(const struct detk_q8_finish *f, uint8_t value)
{
    return f->real_scale * (float)(value - f->zero);
}

#endif
