/* bn.cuh: what the parts of batch norm share. A thread owns a vector of N channels and every
 * block.y-th row of a strip. */
#ifndef DET_KERNELS_BN_CUH
#define DET_KERNELS_BN_CUH

#include "bn.h"
#include "reduce.cuh"
#include "relu6.cuh"
#include "vec.cuh"

#define BN_THREADS  256
#define BN_RESIDENT 4
#define BN_LANES    32
/* Blocks wanted: BN_RESIDENT on each of 132 multiprocessors. */
#define BN_BLOCKS (132 * BN_RESIDENT)
/* Rows a thread takes at least, so that what it does per channel (a square root, a division) is
 * worth it. */
#define BN_ROWS 8

/* Channels of a vector: 16 bytes, where the channels are a multiple of that. */
template <typename T> static inline int bn_vector(int32_t c)
{
    return c % det_vector_of<T> == 0 ? det_vector_of<T> : 1;
}

static inline struct det_strips bn_strips(int64_t rows, int32_t c, int vector)
{
    return det_strips_of(rows, c / vector, BN_LANES, BN_THREADS, BN_BLOCKS, BN_ROWS);
}

/* N parameters from `channel` on: any alignment. */
template <int N>
__device__ __forceinline__ void bn_load(const float *from, int channel, float (&to)[N])
{
#pragma unroll
    for (int i = 0; i < N; i++)
        to[i] = det_load_one(from + channel + i);
}

/* One thread's channels of a batch norm. */
template <int N> struct bn_channels {
    float mean[N], beta[N], inverse[N], scale[N];
};

template <int N>
__device__ __forceinline__ void
bn_load_channels(const float *gamma, const float *beta, const float *mean, const float *variance,
                 float epsilon, int channel, struct bn_channels<N> &p)
{
    bn_load<N>(mean, channel, p.mean);
    bn_load<N>(beta, channel, p.beta);
#pragma unroll
    for (int i = 0; i < N; i++) {
        p.inverse[i] = 1.0f / sqrtf(det_load_one(variance + channel + i) + epsilon);
        p.scale[i] = det_load_one(gamma + channel + i) * p.inverse[i];
    }
}

/* The value before the activation: rounded alike wherever it is computed, so that the gradient's
 * mask fits the output. */
__device__ __forceinline__ float bn_value(float in, float mean, float scale, float beta)
{
    return __fmaf_rn(__fsub_rn(in, mean), scale, beta);
}

/* min(max(x, 0), 6), but NaN stays. */
__device__ __forceinline__ float bn_activate(float value, bool relu6)
{
    return relu6 ? det_relu6(value) : value;
}

/* The gradient behind the activation; from a NaN it passes. */
__device__ __forceinline__ float bn_gradient(float value, float gradient, bool relu6)
{
    return !relu6 || !(value <= 0.0f || value >= 6.0f) ? gradient : 0.0f;
}

#endif
