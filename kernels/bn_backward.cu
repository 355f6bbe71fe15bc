/* Gradients of batch norm with its activation. With dy the gradient behind the activation and xhat
 * the normalised input: dbeta = sum dy, dgamma = sum dy xhat, din = scale (dy - (dbeta + xhat
 * dgamma) / rows), or scale dy where the statistics are constants. The output is not read: it is
 * computed again from the input. */
#include "bn.cuh"

/* Fewer blocks at once than BN_RESIDENT: eight channels of bf16 with their parameters want over 64
 * registers. */
#define BACKWARD_RESIDENT 3

/* partial [strip][2][c]: sums of dy and of dy xhat. */
template <typename T, int N>
__global__ void __launch_bounds__(BN_THREADS, BACKWARD_RESIDENT)
    detk_bn_gradient_sums(const struct det_strips strips, int c, const T *in, const T *dout,
                          const float *gamma, const float *beta, const float *mean,
                          const float *variance, float epsilon, bool relu6, float *partial)
{
    const int channel = det_tile_vector() * N;
    float sum[2][N] = {};
    if (channel < c) {
        struct bn_channels<N> p;
        bn_load_channels<N>(gamma, beta, mean, variance, epsilon, channel, p);
        const int64_t end = det_strip_end(strips);
        for (int64_t row = det_strip_begin(strips) + threadIdx.y; row < end; row += blockDim.y) {
            float value[N], gradient[N];
            det_load<T, N>(in + row * c + channel, value);
            det_load<T, N>(dout + row * c + channel, gradient);
#pragma unroll
            for (int i = 0; i < N; i++) {
                const float dy = bn_gradient(bn_value(value[i], p.mean[i], p.scale[i], p.beta[i]),
                                             gradient[i], relu6);
                sum[0][i] += dy;
                sum[1][i] += dy * ((value[i] - p.mean[i]) * p.inverse[i]);
            }
        }
    }
    det_write_strip<2, N>(sum, c, 2, 0, partial);
}

/* din (+)= the gradient. dbeta is nullptr where the statistics are constants. */
template <typename T, int N>
__global__ void __launch_bounds__(BN_THREADS, BACKWARD_RESIDENT)
    detk_bn_gradient_rows(const struct det_strips strips, int c, const T *in, const T *dout,
                          const float *gamma, const float *beta, const float *mean,
                          const float *variance, float epsilon, bool relu6, const float *dbeta,
                          const float *dgamma, T *din, bool accumulate)
{
    const int channel = det_tile_vector() * N;
    if (channel >= c)
        return;
    struct bn_channels<N> p;
    bn_load_channels<N>(gamma, beta, mean, variance, epsilon, channel, p);
    float mean_dy[N] = {}, mean_dy_xhat[N] = {};
    if (dbeta != nullptr) {
        const float share = 1.0f / (float)strips.rows;
        bn_load<N>(dbeta, channel, mean_dy);
        bn_load<N>(dgamma, channel, mean_dy_xhat);
#pragma unroll
        for (int i = 0; i < N; i++) {
            mean_dy[i] *= share;
            mean_dy_xhat[i] *= share * p.inverse[i];
        }
    }
    const int64_t end = det_strip_end(strips);
    for (int64_t row = det_strip_begin(strips) + threadIdx.y; row < end; row += blockDim.y) {
        float value[N], gradient[N], before[N] = {};
        det_load<T, N>(in + row * c + channel, value);
        det_load<T, N>(dout + row * c + channel, gradient);
        if (accumulate)
            det_load<T, N>(din + row * c + channel, before);
#pragma unroll
        for (int i = 0; i < N; i++) {
            const float dy = bn_gradient(bn_value(value[i], p.mean[i], p.scale[i], p.beta[i]),
                                         gradient[i], relu6);
            const float centred = dy - mean_dy[i] - (value[i] - p.mean[i]) * mean_dy_xhat[i];
            gradient[i] = before[i] + p.scale[i] * (dbeta != nullptr ? centred : dy);
        }
        det_store<T, N>(din + row * c + channel, gradient);
    }
}

/* What a call does of it. */
enum parts { SUMS = 1, ROWS = 2, FROZEN_ROWS = 4 };

struct arguments {
    const float *gamma, *beta, *mean, *variance;
    float epsilon;
    bool relu6, accumulate;
    int parts;
    float *dgamma, *dbeta, *partial;
};

template <typename T, int N>
static cudaError_t launch_gradients(cudaStream_t stream, int64_t rows, int32_t c, const T *in,
                                    const T *dout, T *din, const struct arguments &a)
{
    const struct det_strips strips = bn_strips(rows, c, N);
    const dim3 grid = det_strips_grid(strips), block = strips.tile.block;
    if ((a.parts & SUMS) != 0) {
        DET_LAUNCH((detk_bn_gradient_sums<T, N>), grid, block,
                   (size_t)block.x * block.y * N * 2 * sizeof(float), stream, strips, c, in, dout,
                   a.gamma, a.beta, a.mean, a.variance, a.epsilon, a.relu6, a.partial);
        const cudaError_t error =
            det_add_strips(stream, strips.strips, 2 * c, a.partial, c, a.dbeta, a.dgamma, false);
        if (error != cudaSuccess)
            return error;
    }
    if ((a.parts & ~SUMS) != 0)
        DET_LAUNCH((detk_bn_gradient_rows<T, N>), grid, block, 0, stream, strips, c, in, dout,
                   a.gamma, a.beta, a.mean, a.variance, a.epsilon, a.relu6,
                   (a.parts & ROWS) != 0 ? a.dbeta : nullptr, a.dgamma, din, a.accumulate);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t gradients(cudaStream_t stream, int64_t rows, int32_t c, const void *in,
                             const void *dout, void *din, const struct arguments &a)
{
    const T *x = static_cast<const T *>(in), *dy = static_cast<const T *>(dout);
    T *dx = static_cast<T *>(din);
    return bn_vector<T>(c) > 1
               ? launch_gradients<T, det_vector_of<T>>(stream, rows, c, x, dy, dx, a)
               : launch_gradients<T, 1>(stream, rows, c, x, dy, dx, a);
}

static cudaError_t backward(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t c,
                            const void *in, const void *dout, void *din, const struct arguments &a)
{
    if (rows == 0 || c == 0)
        return cudaSuccess;
    return type == DETK_F32 ? gradients<float>(stream, rows, c, in, dout, din, a)
                            : gradients<__nv_bfloat16>(stream, rows, c, in, dout, din, a);
}

cudaError_t detk_bn_backward(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t c,
                             const void *in, const void *dout, const float *gamma,
                             const float *beta, const float *mean, const float *variance,
                             float epsilon, enum det_activation act, void *din, bool accumulate,
                             float *dgamma, float *dbeta, void *workspace)
{
    const struct arguments a = {gamma,
                                beta,
                                mean,
                                variance,
                                epsilon,
                                act == DET_ACTIVATION_RELU6,
                                accumulate,
                                SUMS | ROWS,
                                dgamma,
                                dbeta,
                                static_cast<float *>(workspace)};
    return backward(stream, type, rows, c, in, dout, din, a);
}

cudaError_t detk_bn_backward_sums(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t c,
                                  const void *in, const void *dout, const float *gamma,
                                  const float *beta, const float *mean, const float *variance,
                                  float epsilon, enum det_activation act, float *dgamma,
                                  float *dbeta, void *workspace)
{
    const struct arguments a = {gamma,
                                beta,
                                mean,
                                variance,
                                epsilon,
                                act == DET_ACTIVATION_RELU6,
                                false,
                                SUMS,
                                dgamma,
                                dbeta,
                                static_cast<float *>(workspace)};
    return backward(stream, type, rows, c, in, dout, nullptr, a);
}

cudaError_t detk_bn_backward_rows(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t c,
                                  const void *in, const void *dout, const float *gamma,
                                  const float *beta, const float *mean, const float *variance,
                                  float epsilon, enum det_activation act, const float *dgamma,
                                  const float *dbeta, void *din, bool accumulate)
{
    const struct arguments a = {gamma,
                                beta,
                                mean,
                                variance,
                                epsilon,
                                act == DET_ACTIVATION_RELU6,
                                accumulate,
                                ROWS,
                                const_cast<float *>(dgamma),
                                const_cast<float *>(dbeta),
                                nullptr};
    return backward(stream, type, rows, c, in, dout, din, a);
}

cudaError_t detk_bn_frozen_backward(cudaStream_t stream, enum detk_type type, int64_t rows,
                                    int32_t c, const void *in, const void *dout, const float *gamma,
                                    const float *beta, const float *mean, const float *variance,
                                    float epsilon, enum det_activation act, void *din,
                                    bool accumulate, float *dgamma, float *dbeta, void *workspace)
{
    const struct arguments a = {gamma,
                                beta,
                                mean,
                                variance,
                                epsilon,
                                act == DET_ACTIVATION_RELU6,
                                accumulate,
                                SUMS | FROZEN_ROWS,
                                dgamma,
                                dbeta,
                                static_cast<float *>(workspace)};
    return backward(stream, type, rows, c, in, dout, din, a);
}
