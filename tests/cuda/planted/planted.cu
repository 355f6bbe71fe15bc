#include "planted.h"

#include "vec.cuh"

enum { BLOCK = 64 };

static __global__ void __launch_bounds__(BLOCK)
    block_sums(float *out, const float *in, int count, planted_bug bug)
{
    DET_SHARED(float, sums, [BLOCK]);
    const int t = (int)threadIdx.x, i = (int)blockIdx.x * BLOCK + t;
    if (bug == PLANTED_EARLY_EXIT && i >= count)
        return;
    for (int round = 0; round < 2; round++) {
        if (bug != PLANTED_UNINITIALISED || i < count)
            sums[t] = i < count ? in[i] : 0.0f;
        if (bug != PLANTED_NO_BARRIER)
            __syncthreads();
        for (int half = BLOCK / 2; half > 0; half /= 2) {
            if (t < half)
                sums[t] +=
                    sums[t + half +
                         (bug == PLANTED_SHARED_INDEX && t == half - 1 && half == BLOCK / 2)];
            if (bug != PLANTED_DIVERGED_BARRIER || t < half)
                __syncthreads();
        }
        if (t == BLOCK - 1)
            out[blockIdx.x] = sums[0];
        if (bug != PLANTED_NO_SECOND_BARRIER)
            __syncthreads();
    }
}

cudaError_t planted_block_sums(float *out, const float *in, int count, planted_bug bug,
                               cudaStream_t stream)
{
    DET_LAUNCH(block_sums, (unsigned)((count + BLOCK - 1) / BLOCK), BLOCK, 0, stream, out, in,
               count, bug);
    return cudaGetLastError();
}

/* Thread t of a block owns 4 elements. */
static __global__ void __launch_bounds__(BLOCK / 4)
    reverse(float *out, const float *in, int count, planted_bug bug)
{
    DET_DYNAMIC_SHARED(float, tile);
    const int base = (int)blockIdx.x * BLOCK, first = (int)threadIdx.x * 4;
    const int size = min(BLOCK, count - base);
    const bool inside = base + first < count;
    float values[4];
    if (inside) {
        det_load(in + base + first + (bug == PLANTED_MISALIGNED ? 1 : 0), values);
        for (int k = 0; k < 4; k++)
            tile[first + k] = values[k];
    }
    __syncthreads();
    if (inside) {
        for (int k = 0; k < 4; k++)
            values[k] = tile[size - 1 - first - k];
        det_store(out + base + first, values);
    }
    if (!inside && bug == PLANTED_NO_TAIL_GUARD)
        out[base + first] = 0;
}

cudaError_t planted_reverse(float *out, const float *in, int count, planted_bug bug,
                            cudaStream_t stream)
{
    DET_LAUNCH(reverse, (unsigned)((count + BLOCK - 1) / BLOCK), BLOCK / 4, BLOCK * sizeof(float),
               stream, out, in, count, bug);
    return cudaGetLastError();
}

enum { WARPS = 3 };

static __device__ int shared_sum(int value, planted_bug bug)
{
    DET_SHARED(int, mine, [WARPS][32]);
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    mine[warp][lane] = value;
    if (bug != PLANTED_NO_WARP_BARRIER)
        __syncwarp();
    int sum = 0;
    for (int other = 0; other < 32; other++)
        sum += mine[warp][other];
    return sum;
}

static __global__ void __launch_bounds__(WARPS * 32)
    warp_sums(int *out, unsigned *ok, const int *in, planted_bug bug)
{
    DET_SHARED(int, total, [1]);
    const int t = (int)threadIdx.x, lane = t % 32, i = (int)(blockIdx.x * blockDim.x) + t;
    const int value = in[i];
    int by_xor = value, by_down = value, by_up = value;
    if (t == 0)
        total[0] = 0;
    __syncthreads();
    atomicAdd(&total[0], value);
    for (int step = 16; step > 0; step /= 2) {
        by_xor += __shfl_xor_sync(0xFFFFFFFFU, by_xor, step);
        by_down += __shfl_down_sync(0xFFFFFFFFU, by_down, step);
    }
    for (int step = 1; step < 32; step *= 2) {
        const int other = __shfl_up_sync(0xFFFFFFFFU, by_up, step);
        by_up += lane >= step ? other : 0;
    }
    by_down = __shfl_sync(0xFFFFFFFFU, by_down, 0);
    by_up = __shfl_sync(0xFFFFFFFFU, by_up, 31);
    /* Pairs within halves of the warp, of 8 bytes. */
    const long long pair = __shfl_xor_sync(0xFFFFFFFFU, (long long)value << 32, 1, 2);
    if (bug == PLANTED_SHUFFLE_MASK && lane < 16)
        by_xor += __shfl_xor_sync(0xFFFFFFFFU, 0, 1);
    const unsigned odd = __ballot_sync(0xFFFFFFFFU, value & 1);
    const bool votes = __popc(odd) == __popc(__ballot_sync(0xFFFFFFFFU, (value & 1) != 0)) &&
                       (odd >> lane & 1) == (unsigned)(value & 1) &&
                       __any_sync(0xFFFFFFFFU, lane == 5) && !__all_sync(0xFFFFFFFFU, lane == 5);
    const int by_shared = shared_sum(value, bug);
    __syncthreads();
    const int first_lanes = __syncthreads_count(lane == 0);
    const bool block = first_lanes == WARPS && __syncthreads_and(1) && !__syncthreads_and(t != 3) &&
                       __syncthreads_or(t == 3) && !__syncthreads_or(0);
    const bool sums = by_xor == by_shared && by_down == by_shared && by_up == by_shared;
    out[i] = total[0];
    if (votes && block && sums && pair >> 32 == in[i ^ 1])
        atomicAdd(ok, 1U);
}

cudaError_t planted_warp_sums(int *out, unsigned *ok, const int *in, int blocks, planted_bug bug,
                              cudaStream_t stream)
{
    DET_LAUNCH(warp_sums, (unsigned)blocks, WARPS * 32, 0, stream, out, ok, in, bug);
    return cudaGetLastError();
}

static __global__ void __launch_bounds__(BLOCK) order(int *out, int *turn)
{
    out[threadIdx.x] = atomicAdd(turn, 1);
}

cudaError_t planted_order(int *out, int *turn, cudaStream_t stream)
{
    DET_LAUNCH(order, 1, BLOCK, 0, stream, out, turn);
    return cudaGetLastError();
}
