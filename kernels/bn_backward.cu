/* Gradients of batch norm with its activation. With dy the gradient behind the activation and xhat
 * the normalised input: dbeta = sum dy, dgamma = sum dy xhat, din = scale (dy - (dbeta + xhat
 * dgamma) / rows), or scale dy where the statistics are constants. The output is not read: it is
 * computed again from the input. */
#include "bn.cuh"

/* Fewer blocks at once than BN_RESIDENT: eight channels of bf16 with their parameters want over 64
 * registers. The more rows of both operands a thread has on their way the better, and next the more
 * threads. */
#define SUMS_RESIDENT 3
#define SUMS_AHEAD    3
#define ROWS_RESIDENT 2
#define ROWS_AHEAD    4

template <typename T, int N>
__device__ __forceinline__ void add_row(const bn_row<T, N> &x, const bn_row<T, N> &dout,
                                        const struct bn_channels<N> &p,
                                        const struct bn_bounds &bounds, float (&sum)[2][N])
{
    float value[N], gradient[N];
    bn_unpack<T, N>(x, value);
    bn_unpack<T, N>(dout, gradient);
#pragma unroll
    for (int i = 0; i < N; i++) {
        const float centred = __fsub_rn(value[i], p.mean[i]);
        const float dy = bn_gradient(bn_value(centred, p.scale[i], p.beta[i]), gradient[i], bounds);
        sum[0][i] += dy;
        sum[1][i] += dy * centred; /* times 1 / deviation, at the end */
    }
}

/* partial [strip][2][c]: sums of dy and of dy xhat. */
template <typename T, int N>
__global__ void __launch_bounds__(BN_THREADS, SUMS_RESIDENT)
    detk_bn_gradient_sums(const struct det_strips strips, int c, const T *in, const T *dout,
                          const float *gamma, const float *beta, const float *mean,
                          const float *variance, float epsilon, bool relu6, float *partial)
{
    DET_SHARED(float, kept, [BN_KEPT][BN_LANES * N]);
    const int channel = det_tile_vector() * N, own = bn_own_channel<N>(c);
    const unsigned step = bn_step(c);
    const int64_t first = (det_strip_begin(strips) + threadIdx.y) * c + channel;
    const T *x = in + first, *dy = dout + first;
    bn_row<T, N> values[SUMS_AHEAD], gradients[SUMS_AHEAD];
    int left = channel < c ? det_strip_count(strips) : 0;
    bn_load_rows<T, N>(x, step, left, values);
    bn_load_rows<T, N>(dy, step, left, gradients);
    if (own >= 0)
        bn_keep(gamma, beta, mean, variance, epsilon, own, kept);
    __syncthreads();
    float sum[2][N] = {};
    if (channel < c) {
        struct bn_channels<N> p;
        bn_take_channels<N>(kept, p);
        const struct bn_bounds bounds = bn_bounds_of(relu6);
        while (left > 0) {
#pragma unroll
            for (int k = 0; k < SUMS_AHEAD; k++) {
                if (k >= left)
                    break;
                add_row<T, N>(values[k], gradients[k], p, bounds, sum);
            }
            left -= SUMS_AHEAD;
            x += (int64_t)step * SUMS_AHEAD;
            dy += (int64_t)step * SUMS_AHEAD;
            bn_load_rows<T, N>(x, step, left, values);
            bn_load_rows<T, N>(dy, step, left, gradients);
        }
        float inverse[N];
        bn_take<N>(kept[BN_INVERSE], inverse);
#pragma unroll
        for (int i = 0; i < N; i++)
            sum[1][i] *= inverse[i];
    }
    det_write_strip<2, N>(sum, c, 2, 0, partial);
}

/* What a row's gradient loses because the statistics moved with it: a constant, and a share of the
 * centred value. */
enum { MEAN_DY, MEAN_DY_XHAT, LOSSES };

template <int N> struct losses {
    float mean_dy[N], mean_dy_xhat[N];
    bool any; /* not where the statistics are constants */
};

template <typename T, int N>
__device__ __forceinline__ void
gradient_row(const bn_row<T, N> &x, const bn_row<T, N> &dout, const struct bn_channels<N> &p,
             const struct losses<N> &l, const struct bn_bounds &bounds, bool accumulate, T *din)
{
    float value[N], gradient[N], before[N] = {};
    bn_unpack<T, N>(x, value);
    bn_unpack<T, N>(dout, gradient);
    if (accumulate)
        det_load<T, N>(din, before);
#pragma unroll
    for (int i = 0; i < N; i++) {
        const float centred = __fsub_rn(value[i], p.mean[i]);
        const float dy = bn_gradient(bn_value(centred, p.scale[i], p.beta[i]), gradient[i], bounds);
        const float moved = dy - l.mean_dy[i] - centred * l.mean_dy_xhat[i];
        gradient[i] = before[i] + p.scale[i] * (l.any ? moved : dy);
    }
    det_store<T, N>(din, gradient);
}

/* din (+)= the gradient. dbeta is nullptr where the statistics are constants. */
template <typename T, int N>
__global__ void __launch_bounds__(BN_THREADS, ROWS_RESIDENT)
    detk_bn_gradient_rows(const struct det_strips strips, int c, const T *in, const T *dout,
                          const float *gamma, const float *beta, const float *mean,
                          const float *variance, float epsilon, bool relu6, const float *dbeta,
                          const float *dgamma, T *din, bool accumulate)
{
    DET_SHARED(float, kept, [BN_KEPT][BN_LANES * N]);
    DET_SHARED(float, lost, [LOSSES][BN_LANES * N]);
    const int channel = det_tile_vector() * N, own = bn_own_channel<N>(c);
    const unsigned step = bn_step(c);
    const int64_t first = (det_strip_begin(strips) + threadIdx.y) * c + channel;
    const T *x = in + first, *dy = dout + first;
    T *dx = din + first;
    bn_row<T, N> values[ROWS_AHEAD], gradients[ROWS_AHEAD];
    int left = channel < c ? det_strip_count(strips) : 0;
    const auto load = [&]() {
        bn_load_rows<T, N>(x, step, left, values);
        bn_load_rows<T, N>(dy, step, left, gradients);
    };
    load();
    if (own >= 0) {
        const int i = bn_thread();
        const float share = 1.0f / (float)strips.rows;
        const float sum_dy = dbeta != nullptr ? det_load_one(dbeta + own) : 0.0f;
        const float sum_dy_xhat = dbeta != nullptr ? det_load_one(dgamma + own) : 0.0f;
        bn_keep(gamma, beta, mean, variance, epsilon, own, kept);
        lost[MEAN_DY][i] = sum_dy * share;
        lost[MEAN_DY_XHAT][i] = sum_dy_xhat * (share * kept[BN_INVERSE][i]);
    }
    __syncthreads();
    if (channel >= c)
        return;
    struct bn_channels<N> p;
    struct losses<N> l;
    bn_take_channels<N>(kept, p);
    bn_take<N>(lost[MEAN_DY], l.mean_dy);
    bn_take<N>(lost[MEAN_DY_XHAT], l.mean_dy_xhat);
    l.any = dbeta != nullptr;
    const struct bn_bounds bounds = bn_bounds_of(relu6);
    while (left > 0) {
#pragma unroll
        for (int k = 0; k < ROWS_AHEAD; k++) {
            if (k >= left)
                break;
            gradient_row<T, N>(values[k], gradients[k], p, l, bounds, accumulate,
                               dx + (int64_t)step * k);
        }
        left -= ROWS_AHEAD;
        x += (int64_t)step * ROWS_AHEAD;
        dy += (int64_t)step * ROWS_AHEAD;
        dx += (int64_t)step * ROWS_AHEAD;
        load();
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
    if ((a.parts & SUMS) != 0) {
        const struct det_strips strips = bn_strips(rows, c, N, SUMS_RESIDENT);
        const dim3 block = strips.tile.block;
        DET_LAUNCH((detk_bn_gradient_sums<T, N>), det_strips_grid(strips), block,
                   (size_t)block.x * block.y * N * 2 * sizeof(float), stream, strips, c, in, dout,
                   a.gamma, a.beta, a.mean, a.variance, a.epsilon, a.relu6, a.partial);
        const cudaError_t error =
            det_add_strips(stream, strips.strips, 2 * c, a.partial, c, a.dbeta, a.dgamma, false);
        if (error != cudaSuccess)
            return error;
    }
    if ((a.parts & ~SUMS) != 0) {
        const struct det_strips strips = bn_strips(rows, c, N, ROWS_RESIDENT);
        DET_LAUNCH((detk_bn_gradient_rows<T, N>), det_strips_grid(strips), strips.tile.block, 0,
                   stream, strips, c, in, dout, a.gamma, a.beta, a.mean, a.variance, a.epsilon,
                   a.relu6, (a.parts & ROWS) != 0 ? a.dbeta : nullptr, a.dgamma, din, a.accumulate);
    }
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
