/* Additions in 8 bits, and the way from and to float32. In q8.h. */
#include "q8.cuh"
#include "tile.cuh"

#define Q8_THREADS 256
#define Q8_LANES   64
/* Values of a thread: where all is in 8 bits, and where one side is float32. */
#define Q8_VALUES      16
#define Q8_CAST_VALUES 4

/* V values, aligned, in accesses of up to 16 bytes, or the `whole` that there are; the rest are
 * zero. */
template <typename T, int V>
__device__ __forceinline__ void q8_load_some(const T *from, int whole, T (&values)[V])
{
    constexpr int N = V < 16 / (int)sizeof(T) ? V : 16 / (int)sizeof(T);
    if (whole == V) {
#pragma unroll
        for (int i = 0; i < V; i += N) {
            const det_pack<T, N> pack = det_load_pack<T, N>(from + i);
#pragma unroll
            for (int k = 0; k < N; k++)
                values[i + k] = pack.at[k];
        }
        return;
    }
#pragma unroll
    for (int i = 0; i < V; i++)
        values[i] = i < whole ? from[i] : (T)0;
}

template <typename T, int V>
__device__ __forceinline__ void q8_store_some(T *to, int whole, const T (&values)[V])
{
    constexpr int N = V < 16 / (int)sizeof(T) ? V : 16 / (int)sizeof(T);
    if (whole == V) {
#pragma unroll
        for (int i = 0; i < V; i += N) {
            det_pack<T, N> pack;
#pragma unroll
            for (int k = 0; k < N; k++)
                pack.at[k] = values[i + k];
            det_store_pack<T, N>(to + i, pack);
        }
        return;
    }
#pragma unroll
    for (int i = 0; i < V; i++)
        if (i < whole)
            to[i] = values[i];
}

/* This thread's first value, and how many it has: 0 behind the end. */
template <int V> __device__ __forceinline__ int64_t q8_first_value(int64_t count, int *whole)
{
    const int64_t first = ((int64_t)blockIdx.x * Q8_THREADS + threadIdx.x) * V;
    const int64_t left = count - first;
    *whole = (int)(left < 0 ? 0 : left < V ? left : V);
    return first;
}

static dim3 q8_blocks(int64_t count, int values)
{
    return dim3((unsigned)det_ceil_div(count, (int64_t)Q8_THREADS * values));
}

/* --- sums --- */

static __global__ void __launch_bounds__(Q8_THREADS)
    detk_q8_add_values(int64_t count, const struct det_q8_add add, const int8_t *a, const int8_t *b,
                       int8_t *out)
{
    int whole = 0;
    const int64_t first = q8_first_value<Q8_VALUES>(count, &whole);
    int8_t left[Q8_VALUES], right[Q8_VALUES];
    if (whole == 0)
        return;
    q8_load_some(a + first, whole, left);
    q8_load_some(b + first, whole, right);
#pragma unroll
    for (int i = 0; i < Q8_VALUES; i++)
        left[i] = q8_add_one(add, left[i], right[i]);
    q8_store_some(out + first, whole, left);
}

cudaError_t detk_q8_add(cudaStream_t stream, int64_t count, const struct det_q8_add *add,
                        const int8_t *a, const int8_t *b, int8_t *out)
{
    if (count == 0)
        return cudaSuccess;
    DET_LAUNCH(detk_q8_add_values, q8_blocks(count, Q8_VALUES), dim3(Q8_THREADS), 0, stream, count,
               *add, a, b, out);
    return cudaGetLastError();
}

struct q8_sizes {
    int32_t h, w, c, out_h, out_w;
};

/* A thread owns N channels of one output pixel. */
template <int N>
__global__ void __launch_bounds__(Q8_THREADS)
    detk_q8_upsample_add_pixels(unsigned pixels, const struct q8_sizes s,
                                const struct det_q8_add add, const int8_t *low,
                                const int8_t *lateral, int8_t *out)
{
    const int channel = det_tile_vector() * N;
    const unsigned pixel = det_tile_pixel();
    if (channel >= s.c || pixel >= pixels)
        return;
    const unsigned x = pixel % (unsigned)s.out_w, row = pixel / (unsigned)s.out_w;
    const unsigned y = row % (unsigned)s.out_h, n = row / (unsigned)s.out_h;
    const int64_t from = ((int64_t)n * s.h + y / 2) * s.w + x / 2;
    const det_pack<int8_t, N> coarse = det_load_pack<int8_t, N>(low + from * s.c + channel);
    det_pack<int8_t, N> fine = det_load_pack<int8_t, N>(lateral + (int64_t)pixel * s.c + channel);
#pragma unroll
    for (int i = 0; i < N; i++)
        fine.at[i] = q8_add_one(add, coarse.at[i], fine.at[i]);
    det_store_pack<int8_t, N>(out + (int64_t)pixel * s.c + channel, fine);
}

template <int N>
static void launch_q8_upsample(cudaStream_t stream, int32_t n, const struct q8_sizes &s,
                               const struct det_q8_add *add, const int8_t *low,
                               const int8_t *lateral, int8_t *out)
{
    const unsigned pixels = (unsigned)n * (unsigned)s.out_h * (unsigned)s.out_w;
    const struct det_tile tile = det_tile_of(s.c / N, Q8_LANES, Q8_THREADS);
    DET_LAUNCH((detk_q8_upsample_add_pixels<N>), det_tile_grid(tile, pixels), tile.block, 0, stream,
               pixels, s, *add, low, lateral, out);
}

cudaError_t detk_q8_upsample_add(cudaStream_t stream, int32_t n, int32_t h, int32_t w, int32_t c,
                                 int32_t out_h, int32_t out_w, const struct det_q8_add *add,
                                 const int8_t *low, const int8_t *lateral, int8_t *out)
{
    const struct q8_sizes s = {h, w, c, out_h, out_w};
    if (n == 0 || c == 0)
        return cudaSuccess;
    if (c % Q8_VECTOR == 0)
        launch_q8_upsample<Q8_VECTOR>(stream, n, s, add, low, lateral, out);
    else
        launch_q8_upsample<1>(stream, n, s, add, low, lateral, out);
    return cudaGetLastError();
}

/* --- from and to float32 --- */

/* det_q8_of(): halves away from zero, NaN is zero. */
__device__ __forceinline__ int8_t q8_of(float value, const struct det_q8_tensor &tensor)
{
    const float steps = roundf(__fdiv_rn(value, tensor.scale));
    if (!(steps >= -512.0f))
        return (int8_t)(steps != steps ? tensor.zero : -128);
    const int whole = steps > 512.0f ? 512 : (int)steps;
    return (int8_t)max(min(whole + tensor.zero, 127), -128);
}

static __global__ void __launch_bounds__(Q8_THREADS)
    detk_q8_narrow_values(int64_t count, const struct det_q8_tensor tensor, const float *from,
                          int8_t *to)
{
    int whole = 0;
    const int64_t first = q8_first_value<Q8_CAST_VALUES>(count, &whole);
    float values[Q8_CAST_VALUES];
    int8_t narrow[Q8_CAST_VALUES];
    if (whole == 0)
        return;
    q8_load_some(from + first, whole, values);
#pragma unroll
    for (int i = 0; i < Q8_CAST_VALUES; i++)
        narrow[i] = q8_of(values[i], tensor);
    q8_store_some(to + first, whole, narrow);
}

static __global__ void __launch_bounds__(Q8_THREADS)
    detk_q8_widen_values(int64_t count, const struct det_q8_tensor tensor, const int8_t *from,
                         float *to)
{
    int whole = 0;
    const int64_t first = q8_first_value<Q8_CAST_VALUES>(count, &whole);
    int8_t narrow[Q8_CAST_VALUES];
    float values[Q8_CAST_VALUES];
    if (whole == 0)
        return;
    q8_load_some(from + first, whole, narrow);
#pragma unroll
    for (int i = 0; i < Q8_CAST_VALUES; i++)
        values[i] = __fmul_rn(tensor.scale, (float)(narrow[i] - tensor.zero));
    q8_store_some(to + first, whole, values);
}

cudaError_t detk_q8_narrow(cudaStream_t stream, int64_t count, struct det_q8_tensor tensor,
                           const float *from, int8_t *to)
{
    if (count == 0)
        return cudaSuccess;
    DET_LAUNCH(detk_q8_narrow_values, q8_blocks(count, Q8_CAST_VALUES), dim3(Q8_THREADS), 0, stream,
               count, tensor, from, to);
    return cudaGetLastError();
}

cudaError_t detk_q8_widen(cudaStream_t stream, int64_t count, struct det_q8_tensor tensor,
                          const int8_t *from, float *to)
{
    if (count == 0)
        return cudaSuccess;
    DET_LAUNCH(detk_q8_widen_values, q8_blocks(count, Q8_CAST_VALUES), dim3(Q8_THREADS), 0, stream,
               count, tensor, from, to);
    return cudaGetLastError();
}
