/* vec.cuh: N values of float or bf16 in one access of up to 16 bytes, arithmetic in float. */
#ifndef DET_KERNELS_VEC_CUH
#define DET_KERNELS_VEC_CUH

#include <stdint.h>

#include "launch.cuh"

__device__ __forceinline__ float det_to_float(float value)
{
    return value;
}

__device__ __forceinline__ float det_to_float(__nv_bfloat16 value)
{
    return __bfloat162float(value);
}

template <typename T> __device__ __forceinline__ T det_from_float(float value);

template <> __device__ __forceinline__ float det_from_float<float>(float value)
{
    return value;
}

template <> __device__ __forceinline__ __nv_bfloat16 det_from_float<__nv_bfloat16>(float value)
{
    return __float2bfloat16_rn(value);
}

/* Values of T in 16 bytes. */
template <typename T> constexpr int det_vector_of = 16 / (int)sizeof(T);

template <typename T, int N> struct alignas(sizeof(T) * N) det_pack {
    T at[N];
};

/* N adjacent values as they are in memory; `from` is aligned to sizeof(T) * N. */
template <typename T, int N> __device__ __forceinline__ det_pack<T, N> det_load_pack(const T *from)
{
    DET_CHECK_ACCESS(from, sizeof(T) * N);
    return *reinterpret_cast<const det_pack<T, N> *>(from);
}

template <typename T, int N>
__device__ __forceinline__ void det_unpack(const det_pack<T, N> &pack, float (&values)[N])
{
#pragma unroll
    for (int i = 0; i < N; i++)
        values[i] = det_to_float(pack.at[i]);
}

/* Both: as floats. */
template <typename T, int N>
__device__ __forceinline__ void det_load(const T *from, float (&values)[N])
{
    det_unpack<T, N>(det_load_pack<T, N>(from), values);
}

/* One float that is looked at like a vector: of parameters, which may lie anywhere. */
__device__ __forceinline__ float det_load_one(const float *from)
{
    DET_CHECK_ACCESS(from, sizeof(float));
    return *from;
}

template <typename T, int N>
__device__ __forceinline__ void det_store_pack(T *to, const det_pack<T, N> &pack)
{
    DET_CHECK_ACCESS(to, sizeof(T) * N);
    *reinterpret_cast<det_pack<T, N> *>(to) = pack;
}

template <typename T, int N>
__device__ __forceinline__ void det_store(T *to, const float (&values)[N])
{
    det_pack<T, N> pack;
#pragma unroll
    for (int i = 0; i < N; i++)
        pack.at[i] = det_from_float<T>(values[i]);
    det_store_pack<T, N>(to, pack);
}

#endif
