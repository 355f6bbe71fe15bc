/* q8_types.h: how numbers in 8 bits are scaled (q8.h): what CPU operations and CUDA kernels share.
 * C and C++. */
#ifndef DET_OPS_Q8_TYPES_H
#define DET_OPS_Q8_TYPES_H

#include <stdint.h>

struct det_q8_tensor {
    float scale; /* 0: in float32 only */
    int32_t zero;
};

/* mantissa / 2^shift. The mantissa is 0 or of 2^30 .. 2^31 - 1, the shift of 1 .. 62. */
struct det_q8_factor {
    int32_t mantissa, shift;
};

/* Where a result goes: real 0 is `zero`; -128 <= low <= high <= 127, an activation's limits in
 * them. */
struct det_q8_target {
    int32_t zero, low, high;
};

/* A sum of two tensors of different scales, both brought to 2^20 times a common one:
 * out = clamp(zero + rescale(rescale((a - a_zero) * 2^20, a) + rescale((b - b_zero) * 2^20,
 * b))). */
struct det_q8_add {
    int32_t a_zero, b_zero;
    struct det_q8_factor a, b, out;
    struct det_q8_target to;
};

#define DET_Q8_ADD_SHIFT 20

#endif
