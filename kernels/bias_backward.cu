/* The gradient of a bias. In bn.h with the sums of batch norm, whose split and workspace it
 * shares. */
#include "bn.cuh"

template <typename T, int N>
__global__ void __launch_bounds__(BN_THREADS, BN_RESIDENT)
    detk_bias_backward_strip(const struct det_strips strips, int c, const T *in, float *partial)
{
    const int channel = det_tile_vector() * N;
    const unsigned step = bn_step(c);
    const T *from = in + (det_strip_begin(strips) + threadIdx.y) * c + channel;
    bn_row<T, N> rows[BN_AHEAD];
    float sum[1][N] = {};
    for (int left = channel < c ? det_strip_count(strips) : 0; left > 0; left -= BN_AHEAD) {
        bn_load_rows<T, N>(from, step, left, rows);
#pragma unroll
        for (int k = 0; k < BN_AHEAD; k++) {
            float value[N];
            if (k >= left)
                break;
            bn_unpack<T, N>(rows[k], value);
#pragma unroll
            for (int i = 0; i < N; i++)
                sum[0][i] += value[i];
        }
        from += (int64_t)step * BN_AHEAD;
    }
    det_write_strip<1, N>(sum, c, 1, 0, partial);
}

template <typename T, int N>
static cudaError_t launch_sums(cudaStream_t stream, int64_t rows, int32_t c, const T *in,
                               float *sums, bool accumulate, float *partial)
{
    const struct det_strips strips = bn_strips(rows, c, N, BN_RESIDENT);
    const dim3 block = strips.tile.block;
    DET_LAUNCH((detk_bias_backward_strip<T, N>), det_strips_grid(strips), block,
               (size_t)block.x * block.y * N * sizeof(float), stream, strips, c, in, partial);
    const cudaError_t error = cudaGetLastError();
    return error != cudaSuccess
               ? error
               : det_add_strips(stream, strips.strips, c, partial, c, sums, nullptr, accumulate);
}

template <typename T>
static cudaError_t bias_backward(cudaStream_t stream, int64_t rows, int32_t c, const void *in,
                                 float *sums, bool accumulate, void *workspace)
{
    const T *from = static_cast<const T *>(in);
    float *partial = static_cast<float *>(workspace);
    return bn_vector<T>(c) > 1
               ? launch_sums<T, det_vector_of<T>>(stream, rows, c, from, sums, accumulate, partial)
               : launch_sums<T, 1>(stream, rows, c, from, sums, accumulate, partial);
}

cudaError_t detk_bias_backward(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t c,
                               const void *in, float *sums, bool accumulate, void *workspace)
{
    if (rows == 0 || c == 0)
        return cudaSuccess;
    return type == DETK_F32
               ? bias_backward<float>(stream, rows, c, in, sums, accumulate, workspace)
               : bias_backward<__nv_bfloat16>(stream, rows, c, in, sums, accumulate, workspace);
}
