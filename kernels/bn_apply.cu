/* Normalisation and activation: one read, one write. */
#include "bn.cuh"

template <typename T, int N>
__global__ void __launch_bounds__(BN_THREADS, BN_RESIDENT)
    detk_bn_apply_rows(const struct det_strips strips, int c, const T *in, const float *gamma,
                       const float *beta, const float *mean, const float *variance, float epsilon,
                       bool relu6, T *out)
{
    DET_SHARED(float, kept, [BN_KEPT][BN_LANES * N]);
    const int channel = det_tile_vector() * N, own = bn_own_channel<N>(c);
    const unsigned step = bn_step(c);
    const int64_t first = (det_strip_begin(strips) + threadIdx.y) * c + channel;
    const T *from = in + first;
    T *to = out + first;
    bn_row<T, N> rows[BN_AHEAD];
    int left = channel < c ? det_strip_count(strips) : 0;
    bn_load_rows<T, N>(from, step, left, rows);
    if (own >= 0)
        bn_keep(gamma, beta, mean, variance, epsilon, own, kept);
    __syncthreads();
    if (channel >= c)
        return;
    struct bn_channels<N> p;
    bn_take_channels<N>(kept, p);
    while (left > 0) {
#pragma unroll
        for (int k = 0; k < BN_AHEAD; k++) {
            float value[N];
            if (k >= left)
                break;
            bn_unpack<T, N>(rows[k], value);
#pragma unroll
            for (int i = 0; i < N; i++)
                value[i] = bn_activate(
                    bn_value(__fsub_rn(value[i], p.mean[i]), p.scale[i], p.beta[i]), relu6);
            det_store<T, N>(to + (int64_t)step * k, value);
        }
        left -= BN_AHEAD;
        from += (int64_t)step * BN_AHEAD;
        to += (int64_t)step * BN_AHEAD;
        bn_load_rows<T, N>(from, step, left, rows);
    }
}

template <typename T, int N>
static cudaError_t launch_apply(cudaStream_t stream, int64_t rows, int32_t c, const T *in,
                                const float *gamma, const float *beta, const float *mean,
                                const float *variance, float epsilon, bool relu6, T *out)
{
    const struct det_strips strips = bn_strips(rows, c, N, BN_RESIDENT);
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
