#include "reduce.cuh"

/* Every DET_STRIPS_Y-th strip by one thread, then those. */
static __global__ void __launch_bounds__(DET_STRIPS_X *DET_STRIPS_Y)
    detk_add_strips(int strips, int count, const float *partial, int split, float *first,
                    float *second, bool accumulate)
{
    DET_SHARED(float, sums, [DET_STRIPS_Y][DET_STRIPS_X]);
    const int i = (int)(blockIdx.x * DET_STRIPS_X + threadIdx.x);
    float sum = 0;
    for (int strip = (int)threadIdx.y; i < count && strip < strips; strip += DET_STRIPS_Y)
        sum += partial[(int64_t)strip * count + i];
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || i >= count)
        return;
    float *const out = i < split ? first + i : second + (i - split);
    float total = accumulate ? *out : 0;
    for (int y = 0; y < DET_STRIPS_Y; y++)
        total += sums[y][threadIdx.x];
    *out = total;
}

cudaError_t det_add_strips(cudaStream_t stream, int32_t strips, int32_t count, const float *partial,
                           int32_t split, float *first, float *second, bool accumulate)
{
    DET_LAUNCH(detk_add_strips, dim3((unsigned)det_ceil_div(count, DET_STRIPS_X)),
               dim3(DET_STRIPS_X, DET_STRIPS_Y), 0, stream, strips, count, partial, split, first,
               second, accumulate);
    return cudaGetLastError();
}
