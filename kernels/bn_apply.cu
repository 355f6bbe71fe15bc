/* Normalisation and activation: one read, one write. */
#include "bn.cuh"

template <typename T, int N>
__global__ void __launch_bounds__(BN_THREADS, BN_RESIDENT)
    detk_bn_apply_rows(const struct det_strips strips, int c, const T *in, const float *gamma,
                       const float *beta, const float *mean, const float *variance, float epsilon,
                       bool relu6, T *out)
{
    const int channel = det_tile_vector() * N;
    if (channel >= c)
        return;
    struct bn_channels<N> p;
    bn_load_channels<N>(gamma, beta, mean, variance, epsilon, channel, p);
    const int64_t end = det_strip_end(strips);
    for (int64_t row = det_strip_begin(strips) + threadIdx.y; row < end; row += blockDim.y) {
        float value[N];
        det_load<T, N>(in + row * c + channel, value);
#pragma unroll
        for (int i = 0; i < N; i++)
            value[i] = bn_activate(bn_value(value[i], p.mean[i], p.scale[i], p.beta[i]), relu6);
        det_store<T, N>(out + row * c + channel, value);
    }
}

template <typename T, int N>
static cudaError_t launch_apply(cudaStream_t stream, int64_t rows, int32_t c, const T *in,
                                const float *gamma, const float *beta, const float *mean,
                                const float *variance, float epsilon, bool relu6, T *out)
{
    /* Nothing is summed: four times as many blocks, for the tail. */
    const struct det_strips strips =
        det_strips_of(rows, c / N, BN_LANES, BN_THREADS, 4 * BN_BLOCKS, BN_ROWS);
    DET_LAUNCH((detk_bn_apply_rows<T, N>), det_strips_grid(strips), strips.tile.block, 0, stream,
               strips, c, in, gamma, beta, mean, variance, epsilon, relu6, out);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t apply(cudaStream_t stream, int64_t rows, int32_t c, const void *in,
                         const float *gamma, const float *beta, const float *mean,
                         const float *variance, float epsilon, bool relu6, void *out)
{
    const T *from = static_cast<const T *>(in);
    T *to = static_cast<T *>(out);
    return bn_vector<T>(c) > 1
               ? launch_apply<T, det_vector_of<T>>(stream, rows, c, from, gamma, beta, mean,
                                                   variance, epsilon, relu6, to)
               : launch_apply<T, 1>(stream, rows, c, from, gamma, beta, mean, variance, epsilon,
                                    relu6, to);
}

cudaError_t detk_bn_apply(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t c,
                          const void *in, const float *gamma, const float *beta, const float *mean,
                          const float *variance, float epsilon, enum det_activation act, void *out)
{
    const bool relu6 = act == DET_ACTIVATION_RELU6;
    if (rows == 0 || c == 0)
        return cudaSuccess;
    return type == DETK_F32
               ? apply<float>(stream, rows, c, in, gamma, beta, mean, variance, epsilon, relu6, out)
               : apply<__nv_bfloat16>(stream, rows, c, in, gamma, beta, mean, variance, epsilon,
                                      relu6, out);
}
