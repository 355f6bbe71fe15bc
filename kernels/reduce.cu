#include "reduce.cuh"

/* A thread adds up every blockDim.y-th strip, several loads on their way; the block its threads. */
static __global__ void __launch_bounds__(DET_STRIPS_THREADS, 2)
    detk_add_strips(int strips, int count, const float *partial, int split, float *first,
                    float *second, bool accumulate)
{
    DET_SHARED(float, sums, [DET_STRIPS_THREADS]);
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x), lanes = (int)blockDim.y;
    const unsigned step = (unsigned)lanes * (unsigned)count; /* less than the workspace */
    const float *from = partial + (int64_t)threadIdx.y * count + i;
    const bool mine = threadIdx.y == 0 && i < count;
    float *const out = !mine ? nullptr : i < split ? first + i : second + (i - split);
    const float before = mine && accumulate ? *out : 0.0f;
    float sum = 0;
    for (int strip = (int)threadIdx.y; i < count && strip < strips;
         strip += DET_STRIPS_AHEAD * lanes) {
        float some[DET_STRIPS_AHEAD];
#pragma unroll
        for (int j = 0; j < DET_STRIPS_AHEAD; j++)
            some[j] = strip + j * lanes < strips ? from[(int64_t)step * j] : 0.0f;
#pragma unroll
        for (int j = 0; j < DET_STRIPS_AHEAD; j++)
            sum += some[j];
        from += (int64_t)step * DET_STRIPS_AHEAD;
    }
    sum = det_sum_lanes(sums, sum);
    if (mine)
        *out = before + sum;
}

cudaError_t det_add_strips(cudaStream_t stream, int32_t strips, int32_t count, const float *partial,
                           int32_t split, float *first, float *second, bool accumulate)
{
    const dim3 block = det_strips_block(strips);
    DET_LAUNCH(detk_add_strips, dim3((unsigned)det_ceil_div(count, block.x)), block, 0, stream,
               strips, count, partial, split, first, second, accumulate);
    return cudaGetLastError();
}
