/* q8_finish.h: from sums in 32 bits to stored values in 8, as ops/q8.h has it to the bit: what the
 * kernels of blocked.h's 8-bit form are given for it, and the definition for single values.
 *
 * A stored value is q + 128, 0 .. 255, so that products of unsigned with signed bytes apply; zeros
 * and limits are moved likewise.
 *
 * Vectors estimate in float32 first, in fixed point: a word's upper half counts whole steps. To an
 * estimate are added half a step, so that cutting off rounds, and the most by which it may be wrong
 * (DETK_Q8_ERROR). So its whole steps are right unless less than twice that is left behind them; and
 * only then results are made exactly.
 *
 * Only results of -1 .. 255 count; what lies beyond is clamped on the same side all the same. So
 * sum * scale is at most 256 in magnitude; the sum in float32 and `scale` are each wrong by 2^-24 of
 * it, by one of the 65536 parts of a step, and the fused sum with the zero and the whole number by
 * less than one together. */
#ifndef DET_OPS_CPU_BLOCKED_Q8_FINISH_H
#define DET_OPS_CPU_BLOCKED_Q8_FINISH_H

#include "ops/q8.h"

#define DETK_Q8_BIAS      128 /* of stored values */
#define DETK_Q8_FIXED_ONE 65536.0f
#define DETK_Q8_ERROR     3
/* Words hold so many steps. */
#define DETK_Q8_MOST_STEPS 32000

/* Of some columns. */
struct detk_q8_finish {
    const float *scale; /* the factors, rounded */
    const int32_t *mantissa, *shift;
    int32_t zero, low, high; /* stored */
    bool exact;              /* a factor or a sum may be too large for estimates */
    float real_scale;        /* of the results: for float32 ones */
};

/* What an estimate begins with. Exact. */
static inline float detk_q8_fixed_zero(const struct detk_q8_finish *f)
{
    return ((float)f->zero + 0.5f) * DETK_Q8_FIXED_ONE + DETK_Q8_ERROR;
}

/* Of the columns from `first` on. */
static inline struct detk_q8_finish detk_q8_finish_from(const struct detk_q8_finish *finish,
                                                        int32_t first)
{
    struct detk_q8_finish f = *finish;
    f.scale += first;
    f.mantissa += first;
    f.shift += first;
    return f;
}

/* Sums of two stored tensors. `a` and `b`: the real factors of (value - zero) to the result's
 * steps. */
struct detk_q8_sum {
    struct det_q8_add add;
    float a, b;
    float zero; /* what an estimate of a * A + b * B of stored values begins with */
    bool exact;
};

/* Up to here estimates serve. Of a sum of two tensors each part is at most 255 * 1.5: its factor is
 * wrong by 1.5 of 65536 parts of a step; `zero`, of at most 1024 steps, by 2; the inner sum, below
 * 2048, is rounded by 4, the outer one and the whole number by one together; the exact rounding of
 * the two parts moves the result by half a part: together below 11. */
#define DETK_Q8_MOST_SCALE 0.5
#define DETK_Q8_MOST_PART  1.5
#define DETK_Q8_MOST_STEP  (1.0 / 131072)
#define DETK_Q8_SUM_ERROR  12

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
    const double zero = DETK_Q8_BIAS + add->to.zero - (DETK_Q8_BIAS + add->a_zero) * a -
                        (DETK_Q8_BIAS + add->b_zero) * b;
    return (struct detk_q8_sum){
        .add = *add,
        .a = (float)a,
        .b = (float)b,
        .zero = (float)((zero + 0.5) * DETK_Q8_FIXED_ONE + DETK_Q8_SUM_ERROR),
        .exact = out > DETK_Q8_MOST_STEP || a > DETK_Q8_MOST_PART || b > DETK_Q8_MOST_PART,
    };
}

static inline uint8_t detk_q8_finish_one(const struct detk_q8_finish *f, int32_t column,
                                         int32_t sum)
{
    const struct det_q8_factor factor = {f->mantissa[column], f->shift[column]};
    const int64_t value = f->zero + det_q8_rescale(sum, factor);
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
