/* q8.cuh: ops/q8.h's arithmetic for a thread: 4 adjacent channels, or 1 where rows are no vectors
 * of them. */
#ifndef DET_KERNELS_Q8_CUH
#define DET_KERNELS_Q8_CUH

#include "q8.h"
#include "vec.cuh"

#define Q8_VECTOR 4

/* det_q8_rescale(). */
__device__ __forceinline__ int64_t q8_rescale(int32_t value, struct det_q8_factor factor)
{
    const int64_t half = (int64_t)1 << (factor.shift - 1);
    return ((int64_t)value * factor.mantissa + half) >> factor.shift;
}

/* `zero` added and clamped. */
__device__ __forceinline__ int8_t q8_clamp(int64_t value, const struct det_q8_target &to)
{
    const int64_t steps = value + to.zero;
    return (int8_t)(steps < to.low ? to.low : steps > to.high ? to.high : (int)steps);
}

__device__ __forceinline__ int8_t q8_add_one(const struct det_q8_add &q, int8_t a, int8_t b)
{
    const int64_t left = q8_rescale((a - q.a_zero) * (1 << DET_Q8_ADD_SHIFT), q.a);
    const int64_t right = q8_rescale((b - q.b_zero) * (1 << DET_Q8_ADD_SHIFT), q.b);
    return q8_clamp(q8_rescale((int32_t)(left + right), q.out), q.to);
}

/* Bias and factors of a thread's channels. */
template <int N> struct q8_scaler {
    int32_t bias[N];
    struct det_q8_factor factors[N];

    __device__ __forceinline__ q8_scaler(const struct detk_q8_scaling &s, int channel)
    {
        const det_pack<int32_t, N> biases = det_load_pack<int32_t, N>(s.bias + channel);
#pragma unroll
        for (int i = 0; i < N; i++) {
            const det_pack<int32_t, 2> pair = det_load_pack<int32_t, 2>(
                reinterpret_cast<const int32_t *>(s.factors + channel + i));
            bias[i] = biases.at[i];
            factors[i] = {pair.at[0], pair.at[1]};
        }
    }

    __device__ __forceinline__ int8_t apply(int i, int32_t sum,
                                            const struct det_q8_target &to) const
    {
        return q8_clamp(q8_rescale(sum + bias[i], factors[i]), to);
    }
};

#endif
