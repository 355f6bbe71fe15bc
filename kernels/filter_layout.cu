#include "filter_layout.h"

#include "vec.cuh"

namespace
{

constexpr int TILE = 32, ROWS_AT_ONCE = 8;

/* to [columns, rows] (+)= from [rows, columns], a tile a block: read and written along rows of 32
 * neighbours. */
template <typename From, typename To>
__global__ void __launch_bounds__(TILE *ROWS_AT_ONCE)
    detk_transpose_kernel(int32_t rows, int32_t columns, const From *from, To *to, bool accumulate)
{
    DET_SHARED(float, tile, [TILE][TILE + 1]);
    const int32_t first_row = blockIdx.y * TILE, first_column = blockIdx.x * TILE;
    const int32_t x = threadIdx.x;
    for (int32_t y = threadIdx.y; y < TILE; y += ROWS_AT_ONCE) {
        const int32_t row = first_row + y, column = first_column + x;
        if (row < rows && column < columns)
            tile[y][x] = det_to_float(from[(int64_t)row * columns + column]);
    }
    __syncthreads();
    for (int32_t y = threadIdx.y; y < TILE; y += ROWS_AT_ONCE) {
        const int32_t row = first_row + x, column = first_column + y;
        if (row >= rows || column >= columns)
            continue;
        const int64_t at = (int64_t)column * rows + row;
        const float before = accumulate ? det_to_float(to[at]) : 0.0f;
        to[at] = det_from_float<To>(before + tile[x][y]);
    }
}

template <typename From, typename To>
cudaError_t transpose(cudaStream_t stream, int32_t rows, int32_t columns, const void *from,
                      void *to, bool accumulate)
{
    const dim3 blocks((unsigned)(columns + TILE - 1) / TILE, (unsigned)(rows + TILE - 1) / TILE);
    const dim3 threads(TILE, ROWS_AT_ONCE);
    DET_LAUNCH((detk_transpose_kernel<From, To>), blocks, threads, 0, stream, rows, columns,
               (const From *)from, (To *)to, accumulate);
    return cudaGetLastError();
}

int32_t taps_of(const struct det_conv_shape *shape)
{
    return shape->kernel_h * shape->kernel_w * shape->in_c;
}

} // namespace

cudaError_t detk_filter_to_krsc(cudaStream_t stream, enum detk_type type,
                                const struct det_conv_shape *shape, const float *hwio, void *krsc)
{
    const int32_t rows = taps_of(shape), columns = shape->out_c;
    return type == DETK_BF16
               ? transpose<float, __nv_bfloat16>(stream, rows, columns, hwio, krsc, false)
               : transpose<float, float>(stream, rows, columns, hwio, krsc, false);
}

cudaError_t detk_filter_from_krsc(cudaStream_t stream, enum detk_type type,
                                  const struct det_conv_shape *shape, const void *krsc, float *hwio,
                                  bool accumulate)
{
    const int32_t rows = shape->out_c, columns = taps_of(shape);
    return type == DETK_BF16
               ? transpose<__nv_bfloat16, float>(stream, rows, columns, krsc, hwio, accumulate)
               : transpose<float, float>(stream, rows, columns, krsc, hwio, accumulate);
}
