/* tile.cuh: how threads cover [pixels, channels] of an NHWC tensor: x of a block runs along the channels' vectors, so that
 * a warp reads adjacent memory, y along the pixels. */
#ifndef DET_KERNELS_TILE_CUH
#define DET_KERNELS_TILE_CUH

#include <stdint.h>

#include "launch.cuh"

static inline int64_t det_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

struct det_tile {
    dim3 block;             /* x: vectors, y: pixels */
    int32_t channel_blocks; /* of block.x vectors */
};

/* Blocks of at most `threads`, `most` of them along x. Vectors are shared out evenly: 36 as 2 x 18, not as 32 + 4. */
static inline struct det_tile det_tile_of(int32_t vectors, int32_t most, int32_t threads)
{
    struct det_tile tile;
    tile.channel_blocks = (int32_t)det_ceil_div(vectors, most);
    const int32_t x = (int32_t)det_ceil_div(vectors, tile.channel_blocks);
    tile.block = dim3((unsigned)x, (unsigned)(threads / x));
    return tile;
}

static inline dim3 det_tile_grid(const struct det_tile &tile, int64_t pixels)
{
    return dim3((unsigned)det_ceil_div(pixels, tile.block.y), (unsigned)tile.channel_blocks);
}

/* This thread's vector and pixel. */
__device__ __forceinline__ int det_tile_vector(void)
{
    return (int)(blockIdx.y * blockDim.x + threadIdx.x);
}

__device__ __forceinline__ unsigned det_tile_pixel(void)
{
    return blockIdx.x * blockDim.y + threadIdx.y;
}

/* 0 <= index < size in one comparison. */
__device__ __forceinline__ bool det_inside(int index, int size)
{
    return (unsigned)index < (unsigned)size;
}

#endif
