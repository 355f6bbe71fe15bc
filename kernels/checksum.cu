/* Terms of integers, whose sum is the same in any order. */
#include "checksum.h"

#include "tile.cuh"
#include "vec.cuh"

#define CHECKSUM_THREADS 256
#define CHECKSUM_BLOCKS  256

__device__ __forceinline__ uint64_t checksum_term(float value, int64_t place)
{
    uint64_t x = ((uint64_t)place << 32 | __float_as_uint(value)) + 1;
    x *= 0x9E3779B97F4A7C15u;
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    return x ^ x >> 29;
}

/* Of a block; valid in thread 0. */
__device__ __forceinline__ uint64_t checksum_of_block(uint64_t mine)
{
    DET_SHARED(uint64_t, sums, [CHECKSUM_THREADS]);
    const int t = (int)threadIdx.x;
    sums[t] = mine;
    for (int half = CHECKSUM_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half) {
            mine += sums[t + half];
            sums[t] = mine;
        }
    }
    return mine;
}

static __global__ void __launch_bounds__(CHECKSUM_THREADS)
    detk_checksum_values(int64_t count, const float *values, uint64_t *partial)
{
    uint64_t mine = 0;
    const int64_t stride = (int64_t)gridDim.x * CHECKSUM_THREADS * 4;
    for (int64_t at = ((int64_t)blockIdx.x * CHECKSUM_THREADS + threadIdx.x) * 4; at < count;
         at += stride) {
        float four[4];
        if (count - at >= 4) {
            det_load<float, 4>(values + at, four);
#pragma unroll
            for (int i = 0; i < 4; i++)
                mine += checksum_term(four[i], at + i);
            continue;
        }
        for (int64_t i = at; i < count; i++)
            mine += checksum_term(values[i], i);
    }
    mine = checksum_of_block(mine);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = mine;
}

static __global__ void __launch_bounds__(CHECKSUM_THREADS)
    detk_checksum_total(int count, const uint64_t *partial, uint64_t *sum)
{
    uint64_t mine = 0;
    for (int i = (int)threadIdx.x; i < count; i += CHECKSUM_THREADS)
        mine += partial[i];
    mine = checksum_of_block(mine);
    if (threadIdx.x == 0)
        *sum = mine;
}

size_t detk_checksum_workspace(void)
{
    return CHECKSUM_BLOCKS * sizeof(uint64_t);
}

cudaError_t detk_checksum(cudaStream_t stream, int64_t count, const float *values, uint64_t *sum,
                          void *workspace)
{
    uint64_t *const partial = static_cast<uint64_t *>(workspace);
    const int64_t wanted = det_ceil_div(count, (int64_t)CHECKSUM_THREADS * 4);
    const int blocks = (int)(wanted < CHECKSUM_BLOCKS ? wanted : CHECKSUM_BLOCKS);
    if (blocks > 0)
        DET_LAUNCH(detk_checksum_values, dim3((unsigned)blocks), dim3(CHECKSUM_THREADS), 0, stream,
                   count, values, partial);
    DET_LAUNCH(detk_checksum_total, dim3(1), dim3(CHECKSUM_THREADS), 0, stream, blocks, partial,
               sum);
    return cudaGetLastError();
}
