/* block_sum.cuh: the sum of one double, or of two, over a block in a fixed order. */
#ifndef DET_KERNELS_BLOCK_SUM_CUH
#define DET_KERNELS_BLOCK_SUM_CUH

#include "launch.cuh"

struct det_two_sums {
    double first, second;
};

/* Of a one-dimensional block of THREADS, a power of 2. Valid in thread 0. Call once in a kernel. */
template <int THREADS>
__device__ __forceinline__ struct det_two_sums det_block_sum(struct det_two_sums mine)
{
    DET_SHARED(double, first, [THREADS]);
    DET_SHARED(double, second, [THREADS]);
    const int t = (int)threadIdx.x;
    first[t] = mine.first;
    second[t] = mine.second;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half) {
            mine.first += first[t + half];
            mine.second += second[t + half];
            first[t] = mine.first;
            second[t] = mine.second;
        }
    }
    /* Not read back by thread 0: nvcc would let all threads read, which is a race. */
    return mine;
}

#endif
