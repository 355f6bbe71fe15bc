/* planted.h: kernels with a mistake each, and their correct twins: what the emulation must find,
 * and must not find. Only for the emulation. */
#ifndef DET_TESTS_CUDA_PLANTED_H
#define DET_TESTS_CUDA_PLANTED_H

#include "kernel.h"

DETK_BEGIN

enum planted_bug {
    PLANTED_NONE,
    PLANTED_NO_BARRIER,        /* a removed __syncthreads() */
    PLANTED_NO_SECOND_BARRIER, /* the next round overwrites what others still read */
    PLANTED_SHARED_INDEX,      /* off by one in shared memory */
    PLANTED_NO_TAIL_GUARD,     /* the last block writes beyond the array */
    PLANTED_UNINITIALISED,     /* reads shared memory nobody wrote */
    PLANTED_DIVERGED_BARRIER,  /* a barrier in one branch */
    PLANTED_EARLY_EXIT,        /* threads return before a barrier */
    PLANTED_SHUFFLE_MASK,      /* a full mask in a branch of half a warp */
    PLANTED_NO_WARP_BARRIER,   /* lanes read each other's shared memory with no __syncwarp() */
    PLANTED_MISALIGNED,        /* a vector access at an odd element */
};

/* out[b] = sum of in[b * 64 .. b * 64 + 63] for count / 64 whole or partial blocks; block of 64
 * threads; twice over, to the same result. */
cudaError_t planted_block_sums(float *out, const float *in, int count, enum planted_bug bug,
                               cudaStream_t stream);
/* out[i] = in[count - 1 - i] within each block of 64, by dynamic shared memory and vectors of 4.
 * count: a multiple of 4. */
cudaError_t planted_reverse(float *out, const float *in, int count, enum planted_bug bug,
                            cudaStream_t stream);
/* out[i] = sum of in over the block of i, by atomics on shared memory. Sums over warps by three
 * kinds of shuffle and by shared memory, votes, and barriers that count must agree; ok[0] counts
 * the threads for which they do. Blocks of 96 threads. */
cudaError_t planted_warp_sums(int *out, unsigned *ok, const int *in, int blocks,
                              enum planted_bug bug, cudaStream_t stream);
/* The order in which the threads of one block of 64 run, out[thread] = turn. */
cudaError_t planted_order(int *out, int *turn, cudaStream_t stream);

DETK_END

#endif
