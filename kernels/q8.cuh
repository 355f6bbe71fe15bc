/* q8.cuh: ops/q8.h's arithmetic for a thread: 4 adjacent channels, or 1 where rows are no vectors
 * of them. */
#ifndef DET_KERNELS_Q8_CUH
#define DET_KERNELS_Q8_CUH

#include "q8.h"
#include "vec.cuh"

#define Q8_VECTOR 4

/* `zero` added and clamped. */
__device__ __forceinline__ int8_t q8_clamp(int32_t value, const struct det_q8_target &to)
{
    return (int8_t)min(max(value + to.zero, to.low), to.high);
}

__device__ __forceinline__ int8_t q8_add_one(const struct det_q8_add &q, int8_t a, int8_t b)
{
    const int32_t half = 1 << (q.shift - 1);
    const int32_t sum = (a - q.a_zero) * q.a + (b - q.b_zero) * q.b + half;
    return q8_clamp(sum >> q.shift, q.to);
}

/* Bias and scales of a thread's channels, and what their results are clamped to. */
template <int N> struct q8_scaler {
    det_pack<int32_t, N> bias;
    det_pack<float, N> scales;
    float low, high; /* less `zero` */
    int32_t zero;

    __device__ __forceinline__ q8_scaler(const struct detk_q8_scaling &s, int channel)
        : bias(det_load_pack<int32_t, N>(s.bias + channel)),
          scales(det_load_pack<float, N>(s.scales + channel)), low((float)(s.to.low - s.to.zero)),
          high((float)(s.to.high - s.to.zero)), zero(s.to.zero)
    {
    }

    /* clamp(zero + det_q8_steps(sum)) of a sum that has its bias. Clamped before it is rounded,
     * which is the same between whole numbers; rounded by an addition, after which the last bits
     * count ones: a GPU converts at an eighth of the speed. */
    __device__ __forceinline__ int8_t apply(int i, int32_t sum) const
    {
        const float product = __fmul_rn((float)sum, scales.at[i]);
        const float clamped = fminf(fmaxf(product, low), high);
        return (int8_t)(__float_as_uint(__fadd_rn(clamped, 12582912.0f)) + (uint32_t)zero);
    }
};

#endif
