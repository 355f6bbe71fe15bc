/* select.cuh: the largest keys of a list, up to 512 at a time, in falling order: how a block walks
 * down a long list of scored things when it seldom needs more than the first few, and never knows
 * how many. A list is one of keys, or of scores whose places are the indices.
 *
 * A key is a score's bits above, the complement of an index below. Scores are never negative, so
 * that their bits rise with them; of equal scores the lower index makes the larger key. Keys are
 * unique, and so the result does not depend on the order of the list.
 *
 * Cost of a round: at most one key in a thread is sorted. Where what is left does not fit, the list
 * is read once more, and twice for each histogram of 2048 bins over what keys there are: mostly
 * one, seldom more. */
#ifndef DET_KERNELS_SELECT_CUH
#define DET_KERNELS_SELECT_CUH

#include <stdint.h>

#include "launch.cuh"

#define DET_SELECT_THREADS 512 /* of a block, and most keys of a round */
#define DET_SELECT_WARPS   (DET_SELECT_THREADS / 32)
#define DET_EVERY_LANE     0xFFFFFFFFU

#define DET_SELECT_LOADS 8 /* of a thread, at a time */

/* Histograms: bins in all and of a thread. */
#define DET_SELECT_BINS     2048
#define DET_SELECT_OWN_BINS (DET_SELECT_BINS / DET_SELECT_THREADS)

__device__ __forceinline__ uint64_t det_key(float score, uint32_t index)
{
    return (uint64_t)__float_as_uint(score) << 32 | (UINT32_MAX - index);
}

__device__ __forceinline__ uint32_t det_key_index(uint64_t key)
{
    return UINT32_MAX - (uint32_t)key;
}

__device__ __forceinline__ float det_key_score(uint64_t key)
{
    return __uint_as_float((uint32_t)(key >> 32));
}

/* The narrowest bins, 2^shift keys wide, that reach from 0 to `last`. */
__device__ __forceinline__ int det_bin_shift(uint64_t last)
{
    int shift = 0;
#pragma unroll
    for (int by = 32; by > 0; by /= 2)
        shift += last >> (shift + by) >= DET_SELECT_BINS ? by : 0;
    return last >> shift >= DET_SELECT_BINS ? shift + 1 : shift;
}

/* A walk down a list. Every thread of the block has the same one. */
struct det_walk {
    const uint64_t *keys;
    const float *scores; /* or, where not NULL: those above the threshold */
    float threshold;
    uint32_t count; /* of either */
    uint32_t left;  /* keys that have not been returned, */
    uint64_t below; /* all of them below this */
};

__device__ __forceinline__ det_walk det_walk_keys(const uint64_t *keys, uint32_t count)
{
    return {keys, NULL, 0, count, count, UINT64_MAX};
}

/* Of `count` scores, `left` are above the threshold and have keys below `below`. */
__device__ __forceinline__ det_walk det_walk_scores(const float *scores, float threshold,
                                                    uint32_t count, uint32_t left, uint64_t below)
{
    return {NULL, scores, threshold, count, left, below};
}

/* UINT64_MAX where there is none. */
__device__ __forceinline__ uint64_t det_walk_key(const det_walk &walk, size_t at)
{
    if (at >= walk.count)
        return UINT64_MAX;
    if (walk.scores == NULL)
        return walk.keys[at];
    const float score = walk.scores[at];
    return score > walk.threshold ? det_key(score, (uint32_t)at) : UINT64_MAX;
}

/* Calls visit(key) for each of the walk's keys that is left. Loads are issued several at a time, so
 * that their latencies overlap. */
template <typename Visit>
__device__ __forceinline__ void det_visit_left(const det_walk &walk, const Visit &visit)
{
    for (size_t i = threadIdx.x; i < walk.count; i += DET_SELECT_LOADS * DET_SELECT_THREADS) {
        uint64_t key[DET_SELECT_LOADS];
#pragma unroll
        for (int k = 0; k < DET_SELECT_LOADS; k++)
            key[k] = det_walk_key(walk, i + (size_t)k * DET_SELECT_THREADS);
#pragma unroll
        for (int k = 0; k < DET_SELECT_LOADS; k++)
            if (key[k] < walk.below)
                visit(key[k]);
    }
}

/* The sum of `value` over the threads above this one. */
__device__ __forceinline__ uint32_t det_sum_above(uint32_t value)
{
    DET_SHARED(uint32_t, warp_sums, [DET_SELECT_WARPS]);
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    uint32_t sum = value; /* of this lane and those above */
    for (unsigned by = 1; by < 32; by *= 2) {
        const uint32_t other = __shfl_down_sync(DET_EVERY_LANE, sum, by);
        sum += lane + by < 32 ? other : 0;
    }
    if (lane == 0)
        warp_sums[warp] = sum;
    __syncthreads();
#pragma unroll
    for (unsigned above = 1; above < DET_SELECT_WARPS; above++)
        sum += above > warp ? warp_sums[above] : 0;
    return sum - value;
}

/* Where a histogram is cut: */
struct det_cut {
    uint32_t bin; /* the lowest such that it and those above hold no more than there is room for, */
    uint32_t held; /* what these hold, */
    uint32_t all;  /* and what all hold */
};

/* For all threads of the block together. The bin is one past the last where even the last holds too
 * many. */
template <typename Bins> __device__ __forceinline__ det_cut det_find_cut(Bins in_bin, uint32_t room)
{
    DET_SHARED(uint32_t, cut, [3]);
    uint32_t own_bin[DET_SELECT_OWN_BINS], own = 0;
#pragma unroll
    for (uint32_t i = 0; i < DET_SELECT_OWN_BINS; i++) {
        own_bin[i] = in_bin[threadIdx.x * DET_SELECT_OWN_BINS + i];
        own += own_bin[i];
    }
    uint32_t above = det_sum_above(own);
    const uint32_t from_here = above + own;
    if (threadIdx.x == 0)
        cut[2] = from_here;
    if (above <= room && (from_here > room || threadIdx.x == 0)) { /* one thread */
        uint32_t bin = (threadIdx.x + 1) * DET_SELECT_OWN_BINS;
        bool fits = true;
#pragma unroll
        for (int i = DET_SELECT_OWN_BINS - 1; i >= 0; i--) {
            fits = fits && above + own_bin[i] <= room;
            above += fits ? own_bin[i] : 0;
            bin -= fits ? 1 : 0;
        }
        cut[0] = bin;
        cut[1] = above;
    }
    __syncthreads();
    return {cut[0], cut[1], cut[2]};
}

/* Keys from `low` up, below `high`. */
struct det_keys {
    uint64_t low, high;
};

/* The least and the largest of the walk's keys among `keys`. */
__device__ __forceinline__ det_keys det_range_of(const det_walk &walk, const det_keys &keys)
{
    DET_SHARED(uint64_t, lows, [DET_SELECT_WARPS]);
    DET_SHARED(uint64_t, highs, [DET_SELECT_WARPS]);
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    uint64_t low = UINT64_MAX, high = 0;
    det_visit_left(walk, [&](uint64_t key) {
        if (key < keys.low || key >= keys.high)
            return;
        low = key < low ? key : low;
        high = key > high ? key : high;
    });
    for (int with = 16; with > 0; with /= 2) {
        const uint64_t other_low = __shfl_xor_sync(DET_EVERY_LANE, low, with);
        const uint64_t other_high = __shfl_xor_sync(DET_EVERY_LANE, high, with);
        low = other_low < low ? other_low : low;
        high = other_high > high ? other_high : high;
    }
    if (lane == 0) {
        lows[warp] = low;
        highs[warp] = high;
    }
    __syncthreads();
#pragma unroll
    for (uint32_t w = 0; w < DET_SELECT_WARPS; w++) {
        const uint64_t other_low = lows[w], other_high = highs[w];
        low = other_low < low ? other_low : low;
        high = other_high > high ? other_high : high;
    }
    return {low, high};
}

/* Counts the walk's keys among `keys` in bins 2^shift keys wide, and cuts them. */
__device__ __forceinline__ det_cut det_cut_bins(const det_walk &walk, const det_keys &keys,
                                                int shift, uint32_t room)
{
    DET_SHARED(uint32_t, in_bin, [DET_SELECT_BINS]);
    for (uint32_t bin = threadIdx.x; bin < DET_SELECT_BINS; bin += DET_SELECT_THREADS)
        in_bin[bin] = 0;
    __syncthreads();
    det_visit_left(walk, [&](uint64_t key) {
        if (key >= keys.low && key < keys.high)
            atomicAdd(&in_bin[(key - keys.low) >> shift], 1U);
    });
    __syncthreads();
    return det_find_cut(in_bin, room);
}

/* A key such that what is left from it up is all, or a round at least half full. */
__device__ __forceinline__ uint64_t det_round_bound(const det_walk &walk)
{
    if (walk.left <= DET_SELECT_THREADS)
        return 0;
    det_keys keys = {0, walk.below};
    uint32_t taken = 0;
    for (;;) {
        /* Where keys are, bins are: scores may be nearly equal. */
        const det_keys range = det_range_of(walk, keys);
        const int shift = det_bin_shift(range.high - range.low);
        const det_cut cut =
            det_cut_bins(walk, {range.low, range.high + 1}, shift, DET_SELECT_THREADS - taken);
        const uint64_t bound = range.low + ((uint64_t)cut.bin << shift);
        taken += cut.held;
        /* Bins of one key end this: they fill the round. */
        if (taken >= DET_SELECT_THREADS / 2)
            return bound;
        /* The bin below holds too many: divide it. */
        keys = {bound - ((uint64_t)1 << shift), bound};
    }
}

/* The block's keys in falling order, the first to thread 0. Only `count` are not 0, those of the
 * first threads. A bitonic sort of as many, rounded up to a power of two: a warp's lanes exchange
 * by shuffles, warps through memory, by turns: one barrier a step. */
__device__ __forceinline__ uint64_t det_sort_keys(uint64_t key, uint32_t count)
{
    DET_SHARED(uint64_t, exchanged, [2][DET_SELECT_THREADS]);
    const uint32_t thread = threadIdx.x;
    int turn = 0;
    for (uint32_t size = 2; size / 2 < count; size *= 2)
        for (uint32_t step = size / 2; step > 0; step /= 2) {
            uint64_t other;
            if (step < 32) {
                other = __shfl_xor_sync(DET_EVERY_LANE, key, step);
            } else {
                exchanged[turn][thread] = key;
                __syncthreads();
                other = exchanged[turn][thread ^ step];
                turn = 1 - turn;
            }
            const bool falling = (thread & size) == 0, first = (thread & step) == 0;
            key = (other > key) == (first == falling) ? other : key;
        }
    return key;
}

/* The walk's next keys in falling order, the first to thread 0, one to each thread; 0 to the
 * threads that are too many. For all threads of the block together. At least one key, up to
 * DET_SELECT_THREADS, while walk->left > 0. */
__device__ __forceinline__ uint64_t det_walk_next(det_walk *walk)
{
    DET_SHARED(uint64_t, round, [DET_SELECT_THREADS]);
    DET_SHARED(uint32_t, gathered, [1]);
    const uint32_t thread = threadIdx.x;
    const uint64_t bound = det_round_bound(*walk);
    round[thread] = 0;
    if (thread == 0)
        gathered[0] = 0;
    __syncthreads();
    det_visit_left(*walk, [&](uint64_t key) {
        if (key >= bound)
            round[atomicAdd(&gathered[0], 1U)] = key;
    });
    __syncthreads();
    const uint32_t taken = gathered[0];
    const uint64_t gathered_key = round[thread];
    __syncthreads(); /* before the next round is gathered */
    walk->left -= taken;
    walk->below = bound;
    return det_sort_keys(gathered_key, taken);
}

#endif
