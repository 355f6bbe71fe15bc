/* Additions, casts, the check for NaN and infinity: a thread takes a vector of 16 bytes; what is
 * left over goes one by one. With several vectors a thread would wait for each before it asked for
 * the next, and small tensors would have few threads. */
#include "elementwise.h"

#include "tile.cuh"
#include "vec.cuh"

#define ELEMENTWISE_THREADS 256

/* Blocks for `count` values in vectors of n. */
static dim3 blocks_for(int64_t count, int n)
{
    return dim3((unsigned)det_ceil_div(count, (int64_t)n * ELEMENTWISE_THREADS));
}

/* Calls body(first, whole) for this thread's vector: values first .. first + N - 1, fewer at the
 * end of the array. */
template <int N, typename F> __device__ __forceinline__ void with_vector(int64_t count, F body)
{
    const int64_t first = ((int64_t)blockIdx.x * ELEMENTWISE_THREADS + threadIdx.x) * N;
    if (first < count)
        body(first, count - first < N ? (int)(count - first) : N);
}

/* N values, or the `whole` that there are; the rest are zero. */
template <typename T, int N>
__device__ __forceinline__ void load_some(const T *from, int whole, float (&values)[N])
{
    if (whole == N) {
        det_load<T, N>(from, values);
        return;
    }
#pragma unroll
    for (int i = 0; i < N; i++)
        values[i] = i < whole ? det_to_float(from[i]) : 0.0f;
}

template <typename T, int N>
__device__ __forceinline__ void store_some(T *to, int whole, const float (&values)[N])
{
    if (whole == N) {
        det_store<T, N>(to, values);
        return;
    }
#pragma unroll
    for (int i = 0; i < N; i++)
        if (i < whole)
            to[i] = det_from_float<T>(values[i]);
}

/* --- sums --- */

template <typename T>
__global__ void __launch_bounds__(ELEMENTWISE_THREADS)
    detk_add_values(int64_t count, const T *a, const T *b, T *out)
{
    constexpr int N = det_vector_of<T>;
    with_vector<N>(count, [=](int64_t first, int whole) {
        float left[N], right[N];
        if (whole < N) {
#pragma unroll 1
            for (int i = 0; i < whole; i++)
                out[first + i] =
                    det_from_float<T>(det_to_float(a[first + i]) + det_to_float(b[first + i]));
            return;
        }
        det_load<T, N>(a + first, left);
        det_load<T, N>(b + first, right);
#pragma unroll
        for (int i = 0; i < N; i++)
            left[i] += right[i];
        det_store<T, N>(out + first, left);
    });
}

template <typename T>
static cudaError_t add(cudaStream_t stream, int64_t count, const void *a, const void *b, void *out)
{
    DET_LAUNCH((detk_add_values<T>), blocks_for(count, det_vector_of<T>), dim3(ELEMENTWISE_THREADS),
               0, stream, count, static_cast<const T *>(a), static_cast<const T *>(b),
               static_cast<T *>(out));
    return cudaGetLastError();
}

cudaError_t detk_add(cudaStream_t stream, enum detk_type type, int64_t count, const void *a,
                     const void *b, void *out)
{
    if (count == 0)
        return cudaSuccess;
    return type == DETK_F32 ? add<float>(stream, count, a, b, out)
                            : add<__nv_bfloat16>(stream, count, a, b, out);
}

cudaError_t detk_accumulate(cudaStream_t stream, enum detk_type type, int64_t count,
                            const void *from, void *to, bool accumulate)
{
    if (count == 0)
        return cudaSuccess;
    if (accumulate)
        return detk_add(stream, type, count, to, from, to);
    const size_t bytes = type == DETK_F32 ? sizeof(float) : sizeof(__nv_bfloat16);
    return cudaMemcpyAsync(to, from, (size_t)count * bytes, cudaMemcpyDeviceToDevice, stream);
}

/* --- casts --- */

/* Four values a thread where both sides are aligned for it, else one. */
template <typename From, typename To, int N>
__global__ void __launch_bounds__(ELEMENTWISE_THREADS)
    detk_cast_values(int64_t count, const From *from, To *to)
{
    with_vector<N>(count, [=](int64_t first, int whole) {
        float values[N];
        load_some<From, N>(from + first, whole, values);
        store_some<To, N>(to + first, whole, values);
    });
}

template <typename From, typename To>
static cudaError_t cast(cudaStream_t stream, int64_t count, const From *from, To *to)
{
    constexpr int N = 4;
    const bool aligned = reinterpret_cast<uintptr_t>(from) % (N * sizeof(From)) == 0 &&
                         reinterpret_cast<uintptr_t>(to) % (N * sizeof(To)) == 0;
    if (count == 0)
        return cudaSuccess;
    if (aligned)
        DET_LAUNCH((detk_cast_values<From, To, N>), blocks_for(count, N), dim3(ELEMENTWISE_THREADS),
                   0, stream, count, from, to);
    else
        DET_LAUNCH((detk_cast_values<From, To, 1>), blocks_for(count, 1), dim3(ELEMENTWISE_THREADS),
                   0, stream, count, from, to);
    return cudaGetLastError();
}

cudaError_t detk_cast_to_bf16(cudaStream_t stream, int64_t count, const float *from, void *to)
{
    return cast<float, __nv_bfloat16>(stream, count, from, static_cast<__nv_bfloat16 *>(to));
}

cudaError_t detk_cast_to_f32(cudaStream_t stream, int64_t count, const void *from, float *to)
{
    return cast<__nv_bfloat16, float>(stream, count, static_cast<const __nv_bfloat16 *>(from), to);
}

/* --- NaN and infinity --- */

template <typename T>
__global__ void __launch_bounds__(ELEMENTWISE_THREADS)
    detk_find_non_finite(int64_t count, const T *values, int32_t *flag)
{
    constexpr int N = det_vector_of<T>;
    bool finite = true;
    with_vector<N>(count, [&](int64_t first, int whole) {
        float some[N];
        load_some<T, N>(values + first, whole, some);
#pragma unroll
        for (int i = 0; i < N; i++)
            finite = finite && some[i] - some[i] == 0.0f;
    });
    /* Whichever thread comes first, the flag ends up the same. */
    if (!finite)
        atomicAnd(flag, 0);
}

template <typename T>
static cudaError_t find_non_finite(cudaStream_t stream, int64_t count, const void *values,
                                   int32_t *flag)
{
    DET_LAUNCH((detk_find_non_finite<T>), blocks_for(count, det_vector_of<T>),
               dim3(ELEMENTWISE_THREADS), 0, stream, count, static_cast<const T *>(values), flag);
    return cudaGetLastError();
}

cudaError_t detk_check_finite(cudaStream_t stream, enum detk_type type, int64_t count,
                              const void *values, int32_t *flag)
{
    if (count == 0)
        return cudaSuccess;
    return type == DETK_F32 ? find_non_finite<float>(stream, count, values, flag)
                            : find_non_finite<__nv_bfloat16>(stream, count, values, flag);
}
