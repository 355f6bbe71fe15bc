/* Sums of 32 bits to 8, with an addition behind them where there is one. In q8.h. A thread stays at
 * its channels, whose bias and scales it keeps, and takes Q8_FINISH_ROWS rows: their sums are all
 * on their way before the first is looked at. */
#include "q8.cuh"
#include "tile.cuh"

#define Q8_FINISH_THREADS 256
#define Q8_FINISH_LANES   64
#define Q8_FINISH_ROWS    4

enum q8_added { Q8_NOTHING, Q8_SAME, Q8_UPSAMPLED };

/* The row of b that is added to row `row` of the result. */
template <q8_added ADDED>
__device__ __forceinline__ int64_t row_of_addend(const struct detk_q8_addend &a, int64_t row)
{
    if constexpr (ADDED != Q8_UPSAMPLED)
        return row;
    const int64_t line = row / a.out_w, image = line / a.out_h;
    const int y = (int)(line - image * a.out_h), x = (int)(row - line * a.out_w);
    return (image * a.h + y / 2) * a.w + x / 2;
}

/* N channels: their sums are a vector in any case, what is 8 bits where c is a multiple. */
template <int N, q8_added ADDED>
__global__ void __launch_bounds__(Q8_FINISH_THREADS)
    detk_q8_finish_rows(int64_t first, int64_t rows, int32_t c, int32_t pitch, const int32_t *sums,
                        const struct detk_q8_scaling scaling, const struct detk_q8_addend addend,
                        int8_t *out)
{
    const int channel = det_tile_vector() * N;
    const int64_t begin = (int64_t)blockIdx.x * blockDim.y * Q8_FINISH_ROWS + threadIdx.y;
    if (channel >= c)
        return;
    const q8_scaler<N> scaler(scaling, channel);
    det_pack<int32_t, N> sum[Q8_FINISH_ROWS];
#pragma unroll
    for (int k = 0; k < Q8_FINISH_ROWS; k++) {
        const int64_t row = begin + k * (int)blockDim.y;
        if (row < rows)
            sum[k] = det_load_pack<int32_t, N>(sums + row * pitch + channel);
    }
#pragma unroll
    for (int k = 0; k < Q8_FINISH_ROWS; k++) {
        const int64_t row = begin + k * (int)blockDim.y;
        if (row >= rows)
            return;
        det_pack<int8_t, N> result;
#pragma unroll
        for (int i = 0; i < N; i++)
            result.at[i] = scaler.apply(i, sum[k].at[i] + scaler.bias.at[i]);
        if constexpr (ADDED != Q8_NOTHING) {
            const int64_t from = row_of_addend<ADDED>(addend, first + row);
            const det_pack<int8_t, N> b = det_load_pack<int8_t, N>(addend.b + from * c + channel);
#pragma unroll
            for (int i = 0; i < N; i++)
                result.at[i] = q8_add_one(addend.add, result.at[i], b.at[i]);
        }
        det_store_pack<int8_t, N>(out + (first + row) * c + channel, result);
    }
}

struct q8_sums {
    int64_t first, rows;
    int32_t c, pitch;
    const int32_t *sums;
    const struct detk_q8_scaling *scaling;
    const struct detk_q8_addend *addend;
    int8_t *out;
};

template <int N, q8_added ADDED>
static void launch_finish(cudaStream_t stream, const struct q8_sums &f)
{
    const struct detk_q8_addend none = {};
    const struct det_tile tile = det_tile_of(f.c / N, Q8_FINISH_LANES, Q8_FINISH_THREADS);
    DET_LAUNCH((detk_q8_finish_rows<N, ADDED>),
               det_tile_grid(tile, det_ceil_div(f.rows, Q8_FINISH_ROWS)), tile.block, 0, stream,
               f.first, f.rows, f.c, f.pitch, f.sums, *f.scaling,
               f.addend != NULL ? *f.addend : none, f.out);
}

template <int N> static void finish_rows(cudaStream_t stream, const struct q8_sums &f)
{
    if (f.addend == NULL)
        launch_finish<N, Q8_NOTHING>(stream, f);
    else if (f.addend->upsampled)
        launch_finish<N, Q8_UPSAMPLED>(stream, f);
    else
        launch_finish<N, Q8_SAME>(stream, f);
}

cudaError_t detk_q8_finish(cudaStream_t stream, int64_t first, int64_t rows, int32_t c,
                           int32_t pitch, const int32_t *sums,
                           const struct detk_q8_scaling *scaling,
                           const struct detk_q8_addend *addend, int8_t *out)
{
    const struct q8_sums f = {first, rows, c, pitch, sums, scaling, addend, out};
    if (rows == 0)
        return cudaSuccess;
    if (c % Q8_VECTOR == 0)
        finish_rows<Q8_VECTOR>(stream, f);
    else
        finish_rows<1>(stream, f);
    return cudaGetLastError();
}
