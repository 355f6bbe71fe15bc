/* Ranges, rounding and its gradient: a thread takes eight values, whose bits are a byte. */
#include "fake_quant.h"

#include "optimizer.h"
#include "quant.cuh"
#include "tile.cuh"
#include "vec.cuh"

#define QUANT_THREADS 256
/* Blocks that go over a tensor to find its range. */
#define RANGE_BLOCKS 256
#define EIGHT        8

static dim3 quant_blocks(int64_t count)
{
    return dim3((unsigned)det_ceil_div(det_ceil_div(count, EIGHT), QUANT_THREADS));
}

/* The first of this thread's values. */
__device__ __forceinline__ int64_t first_value(void)
{
    return ((int64_t)blockIdx.x * QUANT_THREADS + threadIdx.x) * EIGHT;
}

/* Eight values, or the `whole` that there are; the rest are zero. */
template <typename T>
__device__ __forceinline__ void load_eight(const T *from, int whole, float (&values)[EIGHT])
{
    constexpr int N = det_vector_of<T>;
    if (whole == EIGHT) {
#pragma unroll
        for (int v = 0; v < EIGHT; v += N) {
            float some[N];
            det_load<T, N>(from + v, some);
#pragma unroll
            for (int i = 0; i < N; i++)
                values[v + i] = some[i];
        }
        return;
    }
#pragma unroll
    for (int i = 0; i < EIGHT; i++)
        values[i] = i < whole ? det_to_float(from[i]) : 0.0f;
}

template <typename T>
__device__ __forceinline__ void store_eight(T *to, int whole, const float (&values)[EIGHT])
{
    constexpr int N = det_vector_of<T>;
    if (whole == EIGHT) {
#pragma unroll
        for (int v = 0; v < EIGHT; v += N) {
            float some[N];
#pragma unroll
            for (int i = 0; i < N; i++)
                some[i] = values[v + i];
            det_store<T, N>(to + v, some);
        }
        return;
    }
#pragma unroll
    for (int i = 0; i < EIGHT; i++)
        if (i < whole)
            to[i] = det_from_float<T>(values[i]);
}

__device__ __forceinline__ int whole_of(int64_t count, int64_t first)
{
    return count - first < EIGHT ? (int)(count - first) : EIGHT;
}

/* --- ranges --- */

struct range {
    float low, high;
};

__device__ __forceinline__ struct range wider(struct range a, float low, float high)
{
    a.low = low < a.low ? low : a.low;
    a.high = high > a.high ? high : a.high;
    return a;
}

/* Of a block; valid in thread 0. */
__device__ __forceinline__ struct range block_range(struct range mine)
{
    DET_SHARED(float, low, [QUANT_THREADS]);
    DET_SHARED(float, high, [QUANT_THREADS]);
    const int t = (int)threadIdx.x;
    low[t] = mine.low;
    high[t] = mine.high;
    for (int half = QUANT_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half) {
            mine = wider(mine, low[t + half], high[t + half]);
            low[t] = mine.low;
            high[t] = mine.high;
        }
    }
    return mine;
}

template <typename T>
__global__ void __launch_bounds__(QUANT_THREADS)
    detk_range_of_values(int64_t count, const T *values, struct range *ranges)
{
    struct range mine = {0, 0};
    const int64_t stride = (int64_t)gridDim.x * QUANT_THREADS * EIGHT;
    for (int64_t first = first_value(); first < count; first += stride) {
        float eight[EIGHT];
        load_eight<T>(values + first, whole_of(count, first), eight);
#pragma unroll
        for (int i = 0; i < EIGHT; i++)
            mine = wider(mine, eight[i], eight[i]);
    }
    mine = block_range(mine);
    if (threadIdx.x == 0)
        ranges[blockIdx.x] = mine;
}

__device__ __forceinline__ float averaged(float before, float seen, float rate)
{
    return rate >= 1 ? seen : __fadd_rn(before, __fmul_rn(rate, __fsub_rn(seen, before)));
}

static __global__ void __launch_bounds__(QUANT_THREADS)
    detk_average_range(int blocks, const struct range *found, struct detk_ranges ranges, int tensor)
{
    struct range mine = {0, 0};
    for (int k = (int)threadIdx.x; k < blocks; k += QUANT_THREADS)
        mine = wider(mine, found[k].low, found[k].high);
    mine = block_range(mine);
    if (threadIdx.x != 0)
        return;
    const float rate = *ranges.rate;
    ranges.with_low[tensor] = averaged(ranges.low[tensor], mine.low, rate);
    ranges.with_high[tensor] = averaged(ranges.high[tensor], mine.high, rate);
}

size_t detk_learn_range_workspace(void)
{
    return RANGE_BLOCKS * sizeof(struct range);
}

cudaError_t detk_learn_range(cudaStream_t stream, enum detk_type type, int64_t count,
                             const void *values, const struct detk_ranges *ranges, int32_t tensor,
                             void *workspace)
{
    struct range *found = static_cast<struct range *>(workspace);
    dim3 blocks = quant_blocks(count);
    if (count == 0)
        return cudaSuccess;
    if (blocks.x > RANGE_BLOCKS)
        blocks.x = RANGE_BLOCKS;
    if (type == DETK_F32)
        DET_LAUNCH((detk_range_of_values<float>), blocks, dim3(QUANT_THREADS), 0, stream, count,
                   static_cast<const float *>(values), found);
    else
        DET_LAUNCH((detk_range_of_values<__nv_bfloat16>), blocks, dim3(QUANT_THREADS), 0, stream,
                   count, static_cast<const __nv_bfloat16 *>(values), found);
    DET_LAUNCH(detk_average_range, dim3(1), dim3(QUANT_THREADS), 0, stream, (int)blocks.x, found,
               *ranges, (int)tensor);
    return cudaGetLastError();
}

static __global__ void __launch_bounds__(QUANT_THREADS)
    detk_take_ranges(int tensors, struct detk_ranges ranges, const float *seen, int ranks,
                     float share, float *sums, const struct detk_hyper *hyper,
                     const struct detk_step_result *step)
{
    const int t = (int)(blockIdx.x * QUANT_THREADS + threadIdx.x);
    if (step->finite == 0 || t >= tensors)
        return;
    float low = seen[t], high = seen[tensors + t];
    if (sums != nullptr && hyper->batches_done > 0) {
        low = sums[t] + low;
        high = sums[tensors + t] + high;
    }
#pragma unroll 1 /* a few threads, registers that the kernel needs for nothing else */
    for (int r = 1; r < ranks; r++) {
        seen += 2 * tensors;
        low += seen[t];
        high += seen[tensors + t];
    }
    if (sums != nullptr && step->update == 0) {
        sums[t] = low;
        sums[tensors + t] = high;
        return;
    }
    ranges.low[t] = low * share;
    ranges.high[t] = high * share;
}

cudaError_t detk_keep_ranges(cudaStream_t stream, int32_t tensors, const struct detk_ranges *ranges,
                             const float *seen, int32_t ranks, int32_t batches, float *sums,
                             const struct detk_hyper *hyper, const struct detk_step_result *step)
{
    const float share = (float)(1.0 / ((double)batches * (double)ranks));
    DET_LAUNCH(detk_take_ranges, dim3((unsigned)det_ceil_div(tensors, QUANT_THREADS)),
               dim3(QUANT_THREADS), 0, stream, (int)tensors, *ranges, seen, (int)ranks, share, sums,
               hyper, step);
    return cudaGetLastError();
}

/* --- rounding --- */

/* NaN stays. */
__device__ __forceinline__ float clamped(float steps, float least, float most)
{
    return steps < least ? least : steps > most ? most : steps;
}

template <typename T>
__global__ void __launch_bounds__(QUANT_THREADS)
    detk_round_values(int64_t count, struct detk_ranges ranges, struct detk_alike alike, bool relu6,
                      T *values, uint8_t *passes)
{
    const int64_t first = first_value();
    if (first >= count)
        return;
    float low = 0, high = 0;
#pragma unroll /* what is indexed by a variable lies in local memory */
    for (int k = 0; k < DETK_MOST_ALIKE; k++) {
        if (k < alike.count) {
            low = fminf(low, ranges.with_low[alike.tensors[k]]);
            high = fmaxf(high, ranges.with_high[alike.tensors[k]]);
        }
    }
    const struct det_quant q = det_quant_of(low, high);
    const float inverse = 1 / q.scale;
    const float least = (float)(-128 - q.zero), most = (float)(127 - q.zero);
    float pass_low = least * q.scale, pass_high = most * q.scale;
    const int whole = whole_of(count, first);
    float eight[EIGHT];
    unsigned bits = 0;
    load_eight<T>(values + first, whole, eight);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        const float value = eight[i];
        const bool inside = value >= pass_low && value <= pass_high;
        const bool between = !relu6 || (value > 0 && value < 6);
        if (i < whole && inside && between)
            bits |= 1u << i;
        eight[i] = rintf(clamped(__fmul_rn(value, inverse), least, most)) * q.scale;
    }
    passes[first / EIGHT] = (uint8_t)bits;
    store_eight<T>(values + first, whole, eight);
}

cudaError_t detk_fake_quant_forward(cudaStream_t stream, enum detk_type type, int64_t count,
                                    const struct detk_ranges *ranges,
                                    const struct detk_alike *alike, bool relu6, void *values,
                                    uint8_t *passes)
{
    if (count == 0)
        return cudaSuccess;
    if (type == DETK_F32)
        DET_LAUNCH((detk_round_values<float>), quant_blocks(count), dim3(QUANT_THREADS), 0, stream,
                   count, *ranges, *alike, relu6, static_cast<float *>(values), passes);
    else
        DET_LAUNCH((detk_round_values<__nv_bfloat16>), quant_blocks(count), dim3(QUANT_THREADS), 0,
                   stream, count, *ranges, *alike, relu6, static_cast<__nv_bfloat16 *>(values),
                   passes);
    return cudaGetLastError();
}

template <typename T>
__global__ void __launch_bounds__(QUANT_THREADS)
    detk_pass_gradient(int64_t count, const uint8_t *passes, T *gradient)
{
    const int64_t first = first_value();
    if (first >= count)
        return;
    const int whole = whole_of(count, first);
    const unsigned bits = passes[first / EIGHT];
    float eight[EIGHT];
    load_eight<T>(gradient + first, whole, eight);
#pragma unroll
    for (int i = 0; i < EIGHT; i++)
        eight[i] = (bits >> i & 1) != 0 ? eight[i] : 0.0f;
    store_eight<T>(gradient + first, whole, eight);
}

cudaError_t detk_fake_quant_backward(cudaStream_t stream, enum detk_type type, int64_t count,
                                     const uint8_t *passes, void *gradient)
{
    if (count == 0)
        return cudaSuccess;
    if (type == DETK_F32)
        DET_LAUNCH((detk_pass_gradient<float>), quant_blocks(count), dim3(QUANT_THREADS), 0, stream,
                   count, passes, static_cast<float *>(gradient));
    else
        DET_LAUNCH((detk_pass_gradient<__nv_bfloat16>), quant_blocks(count), dim3(QUANT_THREADS), 0,
                   stream, count, passes, static_cast<__nv_bfloat16 *>(gradient));
    return cudaGetLastError();
}

/* --- pixels --- */

template <typename T>
__global__ void __launch_bounds__(QUANT_THREADS) detk_round_grey(int64_t count, T *values)
{
    const int64_t first = first_value();
    if (first >= count)
        return;
    const int whole = whole_of(count, first);
    float eight[EIGHT];
    load_eight<T>(values + first, whole, eight);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        const float level = floorf(__fadd_rn(__fmul_rn(eight[i], 127.5f), 128.0f));
        const float grey = level >= 255.0f ? 255.0f : level > 0.0f ? level : 0.0f;
        eight[i] = (grey - 127.5f) / 127.5f;
    }
    store_eight<T>(values + first, whole, eight);
}

cudaError_t detk_round_pixels(cudaStream_t stream, enum detk_type type, int64_t count, void *values)
{
    if (count == 0)
        return cudaSuccess;
    if (type == DETK_F32)
        DET_LAUNCH((detk_round_grey<float>), quant_blocks(count), dim3(QUANT_THREADS), 0, stream,
                   count, static_cast<float *>(values));
    else
        DET_LAUNCH((detk_round_grey<__nv_bfloat16>), quant_blocks(count), dim3(QUANT_THREADS), 0,
                   stream, count, static_cast<__nv_bfloat16 *>(values));
    return cudaGetLastError();
}
