/* q8_finish.h: from sums in 32 bits to stored values in 8, as ops/q8.h has it to the bit: what the
 * kernels of blocked.h's 8-bit form are given for it, and the definition for single values.
 *
 * A stored value is q + 128, 0 .. 255, so that products of unsigned with signed bytes apply; zeros
 * and limits are moved likewise.
 *
 * A convolution's sum is rescaled in float32 by definition. A sum of two tensors vectors estimate in
 * float32: where the estimate lies more than DETK_Q8_NEAR from the middle between two whole numbers
 * it is rounded as the exact one is; the others are made exactly. */
#ifndef DET_OPS_CPU_BLOCKED_Q8_FINISH_H
#define DET_OPS_CPU_BLOCKED_Q8_FINISH_H

#include "ops/q8.h"

#define DETK_Q8_NEAR (1.0f / 8192)
#define DETK_Q8_BIAS 128 /* of stored values */

/* Of some columns. */
struct detk_q8_finish {
    const float *scale;
    int32_t zero, low, high; /* stored */
    float real_scale;        /* of the results: for float32 ones */
};

/* Of the columns from `first` on. */
static inline struct detk_q8_finish detk_q8_finish_from(const struct detk_q8_finish *finish,
                                                        int32_t first)
{
    struct detk_q8_finish f = *finish;
    f.scale += first;
    return f;
}

/* Sums of two stored tensors. `a` and `b`: the real factors of (value - zero) to the result's
 * steps. */
struct detk_q8_sum {
    struct det_q8_add add;
    float a, b;
    bool exact;
};

/* Up to here estimates serve: each part is at most 255 * 1.5, wrong by 2^-24 of it, the inner and
 * the outer sum are rounded by 2^-15 and 2^-16 at most, and the exact rounding of the two parts
 * moves the result by one step: together below 2^-13. */
#define DETK_Q8_MOST_PART 1.5
#define DETK_Q8_MOST_STEP (1.0 / 131072)

static inline double detk_q8_real_factor(struct det_q8_factor factor)
{
    double value = factor.mantissa;
    for (int32_t i = 0; i < factor.shift; i++)
        value /= 2;
    return value;
}

static inline struct detk_q8_sum detk_q8_sum_of(const struct det_q8_add *add)
{
    const double out = detk_q8_real_factor(add->out), one = 1 << DET_Q8_ADD_SHIFT;
    const double a = one * detk_q8_real_factor(add->a) * out;
    const double b = one * detk_q8_real_factor(add->b) * out;
    return (struct detk_q8_sum){
        .add = *add,
        .a = (float)a,
        .b = (float)b,
        .exact = out > DETK_Q8_MOST_STEP || a > DETK_Q8_MOST_PART || b > DETK_Q8_MOST_PART,
    };
}

static inline uint8_t detk_q8_finish_one(const struct detk_q8_finish *f, int32_t column,
                                         int32_t sum)
{
    const int32_t value = f->zero + det_q8_steps(sum, f->scale[column]);
    return (uint8_t)(value < f->low ? f->low : value > f->high ? f->high : value);
}

static inline uint8_t detk_q8_sum_one(const struct detk_q8_sum *s, uint8_t a, uint8_t b)
{
    const struct det_q8_add *q = &s->add;
    const int32_t one = 1 << DET_Q8_ADD_SHIFT;
    const int64_t left = det_q8_rescale((a - DETK_Q8_BIAS - q->a_zero) * one, q->a);
    const int64_t right = det_q8_rescale((b - DETK_Q8_BIAS - q->b_zero) * one, q->b);
    const int64_t sum = q->to.zero + det_q8_rescale((int32_t)(left + right), q->out);
    return (uint8_t)(det_q8_clamp(sum, q->to.low, q->to.high) + DETK_Q8_BIAS);
}

static inline float detk_q8_real(const struct detk_q8_finish *f, uint8_t value)
{
    return f->real_scale * (float)(value - f->zero);
}

#endif
