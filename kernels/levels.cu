/* Copies between the levels' tensors and the flat arrays of the losses. In elementwise.h. Widths
 * like 5 rule out vectors: neighbouring threads copy neighbouring values, which is all that memory
 * asks for. */
#include "elementwise.h"
#include "tile.cuh"
#include "vec.cuh"

#define LEVELS_THREADS 256

/* The place in the levels' tensors of value `i` of image `n`. */
template <typename T>
__device__ __forceinline__ T *level_value(const struct detk_levels &l, int n, int64_t i)
{
    int level = 0;
    while (i >= l.values[level])
        i -= l.values[level++];
    return static_cast<T *>(l.tensor[level]) + (int64_t)n * l.values[level] + i;
}

/* blockIdx.y is the image. */
static __global__ void __launch_bounds__(LEVELS_THREADS)
    detk_gather_values(const struct detk_levels levels, float *flat)
{
    const int64_t of_image = levels.anchors * levels.width;
    const int64_t i = (int64_t)blockIdx.x * LEVELS_THREADS + threadIdx.x;
    if (i < of_image)
        flat[(int64_t)blockIdx.y * of_image + i] = *level_value<float>(levels, (int)blockIdx.y, i);
}

template <typename T>
__global__ void __launch_bounds__(LEVELS_THREADS)
    detk_scatter_values(const struct detk_levels levels, const float *flat)
{
    const int64_t of_image = levels.anchors * levels.width;
    const int64_t i = (int64_t)blockIdx.x * LEVELS_THREADS + threadIdx.x;
    if (i < of_image)
        *level_value<T>(levels, (int)blockIdx.y, i) =
            det_from_float<T>(flat[(int64_t)blockIdx.y * of_image + i]);
}

static dim3 grid_of(const struct detk_levels *levels)
{
    return dim3((unsigned)det_ceil_div(levels->anchors * levels->width, LEVELS_THREADS),
                (unsigned)levels->n);
}

cudaError_t detk_gather_levels(cudaStream_t stream, const struct detk_levels *levels, float *flat)
{
    if (levels->n == 0 || levels->anchors == 0)
        return cudaSuccess;
    DET_LAUNCH(detk_gather_values, grid_of(levels), dim3(LEVELS_THREADS), 0, stream, *levels, flat);
    return cudaGetLastError();
}

cudaError_t detk_scatter_levels(cudaStream_t stream, enum detk_type type,
                                const struct detk_levels *levels, const float *flat)
{
    if (levels->n == 0 || levels->anchors == 0)
        return cudaSuccess;
    if (type == DETK_F32)
        DET_LAUNCH((detk_scatter_values<float>), grid_of(levels), dim3(LEVELS_THREADS), 0, stream,
                   *levels, flat);
    else
        DET_LAUNCH((detk_scatter_values<__nv_bfloat16>), grid_of(levels), dim3(LEVELS_THREADS), 0,
                   stream, *levels, flat);
    return cudaGetLastError();
}
