/* q8_types.h: how numbers in 8 bits are scaled (q8.h): what CPU operations and CUDA kernels share.
 * C and C++. */
#ifndef DET_OPS_Q8_TYPES_H
#define DET_OPS_Q8_TYPES_H

#include <stdint.h>

struct det_q8_tensor {
    float scale; /* 0: in float32 only */
    int32_t zero;
};

/* Where a result goes: real 0 is `zero`; -128 <= low <= high <= 127, an activation's limits in
 * them. */
struct det_q8_target {
    int32_t zero, low, high;
};

/* A sum of two tensors of different scales, out = clamp(zero + sum), with the sum in steps of
 * 2^-shift of the result's, halves upwards: ((a - a_zero) * a + (b - b_zero) * b + half) >> shift.
 */
struct det_q8_add {
    int32_t a_zero, b_zero;
    int32_t a, b;  /* 0 .. 2^21 */
    int32_t shift; /* 1 .. 30 */
    struct det_q8_target to;
};

#endif
