#include "bias_act.h"

#include "relu6.cuh"
#include "vec.cuh"

namespace
{

constexpr int BLOCK = 256;
/* Enough blocks to fill any GPU several times over; larger arrays take several rounds. */
constexpr int64_t MOST_BLOCKS = 4096;

/* Each thread: N adjacent channels of one row at a time; N divides c, and c the values that the
 * grid takes in one round, so that a thread stays at its channels. */
template <typename T, int N>
__global__ void __launch_bounds__(BLOCK)
    detk_bias_act_kernel(int64_t packs, int32_t c, const float *bias, bool clamp, T *values)
{
    const int64_t first = (int64_t)blockIdx.x * BLOCK + threadIdx.x;
    const int64_t step = (int64_t)gridDim.x * BLOCK;
    const int32_t channel = (int32_t)(first * N % c);
    float added[N] = {};
    if (bias != nullptr) {
#pragma unroll
        for (int j = 0; j < N; j++)
            added[j] = det_load_one(bias + channel + j);
    }
    for (int64_t i = first; i < packs; i += step) {
        float x[N];
        det_load<T, N>(values + i * N, x);
#pragma unroll
        for (int j = 0; j < N; j++) {
            x[j] += added[j];
            if (clamp)
                x[j] = det_relu6(x[j]);
        }
        det_store<T, N>(values + i * N, x);
    }
}

/* The least number of blocks whose threads take a multiple of `packs_of_row` packs. */
int64_t blocks_of_rows(int64_t packs_of_row)
{
    int64_t common = BLOCK, rest = packs_of_row;
    while (rest != 0) {
        const int64_t next = common % rest;
        common = rest;
        rest = next;
    }
    return packs_of_row / common;
}

template <typename T, int N>
void launch(cudaStream_t stream, int64_t count, int32_t c, const float *bias,
            enum det_activation act, void *values)
{
    const int64_t packs = count / N, wanted = (packs + BLOCK - 1) / BLOCK;
    const int64_t unit = blocks_of_rows(c / N);
    const int64_t least = wanted < MOST_BLOCKS ? wanted : MOST_BLOCKS;
    const unsigned blocks = (unsigned)((least + unit - 1) / unit * unit);
    DET_LAUNCH((detk_bias_act_kernel<T, N>), blocks, BLOCK, 0, stream, packs, c, bias,
               act == DET_ACTIVATION_RELU6, (T *)values);
}

template <typename T>
void launch_for(cudaStream_t stream, int64_t count, int32_t c, const float *bias,
                enum det_activation act, void *values)
{
    if (c % det_vector_of<T> == 0)
        launch<T, det_vector_of<T>>(stream, count, c, bias, act, values);
    else
        launch<T, 1>(stream, count, c, bias, act, values);
}

} // namespace

cudaError_t detk_bias_act(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t c,
                          const float *bias, enum det_activation act, void *values)
{
    const int64_t count = rows * c;
    if (count == 0 || (bias == nullptr && act == DET_ACTIVATION_NONE))
        return cudaSuccess;
    if (type == DETK_BF16)
        launch_for<__nv_bfloat16>(stream, count, c, bias, act, values);
    else
        launch_for<float>(stream, count, c, bias, act, values);
    return cudaGetLastError();
}
