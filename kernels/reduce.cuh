/* reduce.cuh: sums over the pixels of [pixels, channels], in an order that depends on sizes alone:
 * the threads of a block sum a strip, interleaved; the block adds up its threads in order; a second
 * kernel adds up the strips in order. */
#ifndef DET_KERNELS_REDUCE_CUH
#define DET_KERNELS_REDUCE_CUH

#include "kernel.h"
#include "tile.cuh"

/* Threads of a block that goes over strips: channels and strips. */
#define DET_STRIPS_X 32
#define DET_STRIPS_Y 16

/* How `rows` are shared out: `strips` of `strip_rows`, the last perhaps shorter. */
struct det_strips {
    struct det_tile tile;
    int32_t strips;
    int64_t rows, strip_rows;
};

/* About `blocks` blocks in all, but no thread with fewer than `least` rows. */
static inline struct det_strips det_strips_of(int64_t rows, int32_t vectors, int32_t lanes,
                                              int32_t threads, int64_t blocks, int64_t least)
{
    struct det_strips s;
    s.tile = det_tile_of(vectors, lanes, threads);
    s.rows = rows;
    const int64_t most = det_ceil_div(rows, (int64_t)s.tile.block.y * least);
    const int64_t wanted = det_ceil_div(blocks, s.tile.channel_blocks);
    const int64_t strips = most < wanted ? most : wanted;
    s.strip_rows = det_ceil_div(rows, strips > 0 ? strips : 1);
    s.strips = rows > 0 ? (int32_t)det_ceil_div(rows, s.strip_rows) : 1;
    return s;
}

static inline dim3 det_strips_grid(const struct det_strips &s)
{
    return dim3((unsigned)s.strips, (unsigned)s.tile.channel_blocks);
}

/* The block's rows. */
__device__ __forceinline__ int64_t det_strip_begin(const struct det_strips &s)
{
    return (int64_t)blockIdx.x * s.strip_rows;
}
__device__ __forceinline__ int64_t det_strip_end(const struct det_strips &s)
{
    const int64_t end = det_strip_begin(s) + s.strip_rows;
    return end < s.rows ? end : s.rows;
}

/* Adds up the threads of a block that have the same channels, in order, and writes partial
 * [strip][taps][c] from tap `first_tap` on. */
template <int TAPS, int N>
__device__ __forceinline__ void det_write_strip(const float (&sum)[TAPS][N], int c, int all_taps,
                                                int first_tap, float *partial)
{
    DET_DYNAMIC_SHARED(float, sums); /* [block.y][TAPS][block.x][N] */
    const int width = (int)blockDim.x * N;
#pragma unroll
    for (int k = 0; k < TAPS; k++) {
#pragma unroll
        for (int i = 0; i < N; i++)
            sums[((int)threadIdx.y * TAPS + k) * width + (int)threadIdx.x * N + i] = sum[k][i];
    }
    __syncthreads();
    const int thread = (int)(threadIdx.y * blockDim.x + threadIdx.x);
    for (int i = thread; i < TAPS * width; i += (int)(blockDim.x * blockDim.y)) {
        float total = 0;
        for (int y = 0; y < (int)blockDim.y; y++)
            total += sums[y * TAPS * width + i];
        const int channel = (int)blockIdx.y * width + i % width;
        if (channel < c)
            partial[((int64_t)blockIdx.x * all_taps + first_tap + i / width) * c + channel] = total;
    }
}

/* Sums of partial [strips][count] in order; the first `split` are written or added to `first`, the
 * rest to `second`. */
cudaError_t det_add_strips(cudaStream_t stream, int32_t strips, int32_t count, const float *partial,
                           int32_t split, float *first, float *second, bool accumulate);

#endif
