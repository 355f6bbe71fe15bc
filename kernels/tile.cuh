/* tile.cuh: how threads cover [pixels, channels] of an NHWC tensor: x of a block runs along the
 * channels' vectors, so that a warp reads adjacent memory, y along the pixels. */
#ifndef DET_KERNELS_TILE_CUH
#define DET_KERNELS_TILE_CUH

#include "launch.cuh"
#include "tile_plan.h"

struct det_tile {
    dim3 block;             /* x: vectors, y: pixels */
    int32_t channel_blocks; /* of block.x vectors */
};

static inline struct det_tile det_tile_of(int32_t vectors, int32_t most, int32_t threads)
{
    const struct det_tile_sides sides = det_tile_sides_of(vectors, most, threads);
    return {dim3((unsigned)sides.vectors, (unsigned)sides.pixels), sides.channel_blocks};
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
