/* bn.cuh: what the parts of batch norm share. A thread owns a vector of N channels and every
 * block.y-th row of a strip. */
#ifndef DET_KERNELS_BN_CUH
#define DET_KERNELS_BN_CUH

#include <type_traits>

#include "bn.h"
#include "reduce.cuh"
#include "relu6.cuh"
#include "vec.cuh"

#define BN_THREADS 256
#define BN_LANES   32
/* Blocks at once on a multiprocessor, of which there are as many as here. */
#define BN_RESIDENT   4
#define BN_PROCESSORS 132
/* Rows a thread takes at least: they are on their way at once. */
#define BN_ROWS 3
/* Rows whose loads a thread has on their way before it uses the first. */
#define BN_AHEAD 4

/* Channels of a vector: 16 bytes, where the channels are a multiple of that. */
template <typename T> static inline int bn_vector(int32_t c)
{
    return c % det_vector_of<T> == 0 ? det_vector_of<T> : 1;
}

/* For kernels of which `resident` blocks fit on a multiprocessor: all of them at once, not a few
 * more that come when the others are done. */
static inline struct det_strips bn_strips(int64_t rows, int32_t c, int vector, int resident)
{
    const int32_t vectors = c / vector, blocks = BN_PROCESSORS * resident;
    const int32_t beside = det_tile_of(vectors, BN_LANES, BN_THREADS).channel_blocks;
    return det_strips_of(rows, vectors, BN_LANES, BN_THREADS, blocks - blocks % beside, BN_ROWS);
}

/* N values of a row on their way, as words: taken apart when they are used. As values of 16 bits
 * the compiler would keep each in a register of its own. */
template <typename T, int N>
using bn_word = std::conditional_t<sizeof(T) * N % 4 == 0, unsigned, unsigned short>;
template <typename T, int N>
using bn_row = det_pack<bn_word<T, N>, (int)(sizeof(T) * N / sizeof(bn_word<T, N>))>;

/* Values between two rows of a thread: 32 bits, or the compiler would make 64-bit products of each
 * address. */
__device__ __forceinline__ unsigned bn_step(int c)
{
    return blockDim.y * (unsigned)c;
}

/* Up to COUNT rows, `step` values apart, of which `left` are there; the others stay as they are. */
template <typename T, int N, int COUNT>
__device__ __forceinline__ void bn_load_rows(const T *from, unsigned step, int left,
                                             bn_row<T, N> (&rows)[COUNT])
{
    constexpr int words = (int)(sizeof rows[0].at / sizeof rows[0].at[0]);
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        if (k < left)
            rows[k] = det_load_pack<bn_word<T, N>, words>(
                reinterpret_cast<const bn_word<T, N> *>(from + (int64_t)step * k));
}

template <typename T, int N>
__device__ __forceinline__ void bn_unpack(const bn_row<T, N> &row, float (&values)[N])
{
#pragma unroll
    for (int i = 0; i < N; i++) {
        if (sizeof(T) == sizeof(float))
            values[i] = __uint_as_float(row.at[i]);
        else
            values[i] = __uint_as_float(i % 2 != 0 ? row.at[i / 2] & 0xffff0000u
                                                   : (unsigned)row.at[i / 2] << 16);
    }
}

/* One thread's channels of a batch norm. */
template <int N> struct bn_channels {
    float mean[N], beta[N], scale[N];
};

/* What a block keeps of its channels, shared: [BN_KEPT][BN_LANES * N]. A block has no more channels
 * than threads: each computes those of one. */
enum bn_kept { BN_MEAN, BN_BETA, BN_SCALE, BN_INVERSE, BN_KEPT };

__device__ __forceinline__ int bn_thread(void)
{
    return (int)(threadIdx.y * blockDim.x + threadIdx.x);
}

/* The channel that this thread computes, or -1. */
template <int N> __device__ __forceinline__ int bn_own_channel(int c)
{
    const int i = bn_thread(), width = (int)blockDim.x * N;
    const int channel = (int)blockIdx.y * width + i;
    return i < width && channel < c ? channel : -1;
}

/* To be taken behind a barrier. */
template <typename S>
__device__ __forceinline__ void bn_keep(const float *gamma, const float *beta, const float *mean,
                                        const float *variance, float epsilon, int channel, S &kept)
{
    const int i = bn_thread();
    const float scale = det_load_one(gamma + channel), shift = det_load_one(beta + channel);
    const float middle = det_load_one(mean + channel);
    const float inverse = 1.0f / sqrtf(det_load_one(variance + channel) + epsilon);
    kept[BN_MEAN][i] = middle;
    kept[BN_BETA][i] = shift;
    kept[BN_SCALE][i] = scale * inverse;
    kept[BN_INVERSE][i] = inverse;
}

/* This thread's N of a row of what a block keeps. */
template <int N, typename S> __device__ __forceinline__ void bn_take(const S &kept, float (&to)[N])
{
#pragma unroll
    for (int i = 0; i < N; i++)
        to[i] = kept[(int)threadIdx.x * N + i];
}

template <int N, typename S>
__device__ __forceinline__ void bn_take_channels(const S &kept, struct bn_channels<N> &p)
{
    bn_take<N>(kept[BN_MEAN], p.mean);
    bn_take<N>(kept[BN_BETA], p.beta);
    bn_take<N>(kept[BN_SCALE], p.scale);
}

/* The value before the activation, from in - mean: rounded alike wherever it is computed, so that
 * the gradient's mask fits the output. */
__device__ __forceinline__ float bn_value(float centred, float scale, float beta)
{
    return __fmaf_rn(centred, scale, beta);
}

/* min(max(x, 0), 6), but NaN stays. */
__device__ __forceinline__ float bn_activate(float value, bool relu6)
{
    return relu6 ? det_relu6(value) : value;
}

/* The bounds between which a gradient passes the activation, or NaN, against which no comparison
 * holds. */
struct bn_bounds {
    float low, high;
};

__device__ __forceinline__ struct bn_bounds bn_bounds_of(bool relu6)
{
    const float none = __int_as_float(0x7fc00000);
    return {relu6 ? 0.0f : none, relu6 ? 6.0f : none};
}

/* The gradient behind the activation; from a NaN it passes. */
__device__ __forceinline__ float bn_gradient(float value, float gradient,
                                             const struct bn_bounds &bounds)
{
    return value <= bounds.low || value >= bounds.high ? 0.0f : gradient;
}

#endif
