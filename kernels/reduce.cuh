/* reduce.cuh: sums over the pixels of [pixels, channels], in an order that depends on sizes alone:
 * the threads of a block sum a strip, interleaved; the block adds up its threads in order; a second
 * kernel adds up the strips in order. */
#ifndef DET_KERNELS_REDUCE_CUH
#define DET_KERNELS_REDUCE_CUH

#include "kernel.h"
#include "tile.cuh"

/* Threads of a block that goes over strips, and the most of them along the strips: the others have
 * adjacent channels, 32 bytes of them at least. */
#define DET_STRIPS_THREADS 512
#define DET_STRIPS_LANES   64
/* Strips whose loads a thread has on their way together: as many of 64 threads are more than a
 * device's resident blocks. */
#define DET_STRIPS_AHEAD 9

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

/* x: channels, y: strips, a power of two. */
static inline dim3 det_strips_block(int32_t strips)
{
    unsigned lanes = 1;
    while (lanes < DET_STRIPS_LANES && (int64_t)lanes * DET_STRIPS_AHEAD < strips)
        lanes *= 2;
    return dim3(DET_STRIPS_THREADS / lanes, lanes);
}

/* The sum of `mine` over the threads with the same x of such a block, for each of them; `sums` is
 * shared, [DET_STRIPS_THREADS], and used once. */
template <typename S> __device__ __forceinline__ float det_sum_lanes(S &sums, float mine)
{
    const int width = (int)blockDim.x, y = (int)threadIdx.y;
    const int at = y * width + (int)threadIdx.x;
    sums[at] = mine;
    for (int half = (int)blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if (y < half) {
            mine += sums[at + half * width];
            sums[at] = mine;
        }
    }
    __syncthreads();
    return sums[threadIdx.x];
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

/* Rows of this thread: every block.y-th of the block's, from threadIdx.y on. */
__device__ __forceinline__ int det_strip_count(const struct det_strips &s)
{
    const int left = (int)(det_strip_end(s) - det_strip_begin(s)) - (int)threadIdx.y;
    return left > 0 ? (int)(((unsigned)left + blockDim.y - 1) / blockDim.y) : 0;
}

/* Adds up the threads of a block that have the same channels, in an order that the block's sides
 * give: sums, shared, [block.y][TAPS][block.x][N], has the totals in its first row, to be read
 * behind the barrier at its end. Where there are more threads than totals, several share the rows
 * of one. */
template <int TAPS, int N, typename S>
__device__ __forceinline__ void det_sum_block(const float (&sum)[TAPS][N], const S &sums)
{
    const int totals = TAPS * (int)blockDim.x * N;
    const int threads = (int)(blockDim.x * blockDim.y);
    const int thread = (int)(threadIdx.y * blockDim.x + threadIdx.x);
#pragma unroll
    for (int k = 0; k < TAPS; k++) {
#pragma unroll
        for (int i = 0; i < N; i++)
            sums[(int)threadIdx.y * totals + (k * (int)blockDim.x + (int)threadIdx.x) * N + i] =
                sum[k][i];
    }
    int rows = (int)blockDim.y;
    if (totals * 2 <= threads) {
        const int lanes = threads / totals, lane = thread / totals;
        __syncthreads();
        if (lane < lanes) {
            float total = 0;
            for (int i = thread; i < rows * totals; i += lanes * totals)
                total += sums[i];
            sums[thread] = total; /* that no other thread reads */
        }
        rows = lanes;
    }
    __syncthreads();
#pragma unroll 1
    for (int i = thread; i < totals; i += threads) {
        float total = 0;
        for (int y = 0; y < rows; y++)
            total += sums[y * totals + i];
        sums[i] = total;
    }
    __syncthreads();
}

/* Adds up the threads of a block that have the same channels and writes partial [strip][taps][c]
 * from tap `first_tap` on. */
template <int TAPS, int N>
__device__ __forceinline__ void det_write_strip(const float (&sum)[TAPS][N], int c, int all_taps,
                                                int first_tap, float *partial)
{
    DET_DYNAMIC_SHARED(float, sums); /* [block.y][TAPS][block.x][N] */
    const int width = (int)blockDim.x * N;
    det_sum_block<TAPS, N>(sum, sums);
    const int thread = (int)(threadIdx.y * blockDim.x + threadIdx.x);
#pragma unroll 1
    for (int i = thread; i < TAPS * width; i += (int)(blockDim.x * blockDim.y)) {
        const int channel = (int)blockIdx.y * width + i % width;
        if (channel < c)
            partial[((int64_t)blockIdx.x * all_taps + first_tap + i / width) * c + channel] =
                sums[i];
    }
}

/* Sums of partial [strips][count] in order; the first `split` are written or added to `first`, the
 * rest to `second`. */
cudaError_t det_add_strips(cudaStream_t stream, int32_t strips, int32_t count, const float *partial,
                           int32_t split, float *first, float *second, bool accumulate);

#endif
