/* optimizer.cuh: a block for each chunk of the parameters, its threads interleaved in vectors of four; chunks begin at multiples
 * of 16 floats. */
#ifndef DET_KERNELS_OPTIMIZER_CUH
#define DET_KERNELS_OPTIMIZER_CUH

#include "optimizer.h"
#include "vec.cuh"

#define OPTIMIZER_THREADS 256

/* Calls body(first, whole) for this thread's vectors of the chunk: four values from `first` on, or the `whole` that are left. */
template <typename F>
__device__ __forceinline__ void det_each_of_chunk(const struct detk_chunk &chunk, F body)
{
    for (int i = (int)threadIdx.x * 4; i < chunk.count; i += OPTIMIZER_THREADS * 4)
        body(chunk.offset + i, min(4, chunk.count - i));
}

__device__ __forceinline__ void det_load_four(const float *from, int whole, float (&to)[4])
{
    if (whole == 4) {
        det_load<float, 4>(from, to);
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        to[i] = i < whole ? from[i] : 0.0f;
}

__device__ __forceinline__ void det_store_four(float *to, int whole, const float (&from)[4])
{
    if (whole == 4) {
        det_store<float, 4>(to, from);
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (i < whole)
            to[i] = from[i];
}

#endif
