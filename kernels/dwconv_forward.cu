#include "dwconv.cuh"
#include "dwconv.h"

/* Bias, or zero. */
template <int N>
__device__ __forceinline__ void first_sum(const float *bias, int channel, float (&sum)[N])
{
#pragma unroll
    for (int i = 0; i < N; i++)
        sum[i] = 0;
    if (bias != NULL)
        dwconv_load_floats<N>(bias + channel, sum);
}

/* DWCONV_PIXELS outputs of a row. Kernel row by kernel row, the columns under it are loaded once
 * and used for every output that they belong to. */
template <typename T, int N, int STRIDE, enum detk_load_kind KIND>
__global__ void __launch_bounds__(DWCONV_THREADS, DWCONV_RESIDENT)
    detk_dwconv_forward_3x3(const struct det_conv_shape s, const T *in, const struct detk_load load,
                            const float *w, const float *bias, enum det_activation act, T *out)
{
    constexpr int columns = (DWCONV_PIXELS - 1) * STRIDE + 3;
    const int c = s.in_c, groups = (s.out_w + DWCONV_PIXELS - 1) / DWCONV_PIXELS;
    const int channel = det_tile_vector() * N;
    const unsigned group = det_tile_pixel();
    const int row = (int)(group / (unsigned)groups);
    const int image = row / s.out_h;
    if (channel >= c || image >= s.n)
        return;
    const int ox = (int)(group % (unsigned)groups) * DWCONV_PIXELS;
    const int top = row % s.out_h * STRIDE - s.pad_top, left = ox * STRIDE - s.pad_left;

    const dwconv_load<N, KIND> loading(load, channel);
    float sum[DWCONV_PIXELS][N];
#pragma unroll
    for (int p = 0; p < DWCONV_PIXELS; p++)
        first_sum<N>(bias, channel, sum[p]);
#pragma unroll
    for (int ky = 0; ky < 3; ky++) {
        if (!det_inside(top + ky, s.in_h))
            continue;
        const int64_t in_row = (int64_t)image * s.in_h + top + ky;
        float value[columns][N], tap[3][N];
        dwconv_load_columns<T, N>(in + in_row * s.in_w * c + channel, left, s.in_w, c, value);
        dwconv_load_taps<N>(w + (int64_t)ky * 3 * c + channel, c, tap);
#pragma unroll
        for (int j = 0; j < columns; j++) {
            if (!det_inside(left + j, s.in_w))
                continue;
            loading.apply(value[j]);
#pragma unroll
            for (int p = 0; p < DWCONV_PIXELS; p++) {
                const int kx = j - p * STRIDE;
                if (kx >= 0 && kx < 3)
                    dwconv_multiply_add<N>(value[j], tap[kx], sum[p]);
            }
        }
    }
    T *to = out + ((int64_t)row * s.out_w + ox) * c + channel;
#pragma unroll
    for (int p = 0; p < DWCONV_PIXELS; p++) {
        if (ox + p < s.out_w) {
            dwconv_activate<N>(act, sum[p]);
            det_store<T, N>(to + (int64_t)p * c, sum[p]);
        }
    }
}

/* The outputs of a strip of `strip_rows` rows, stride 1. The columns of a row of the input are
 * loaded once, while the row above is worked on, and used for every output that they belong to. */
template <typename T, int N, enum detk_load_kind KIND>
__global__ void __launch_bounds__(DWCONV_THREADS, DWCONV_STRIP_RESIDENT)
    detk_dwconv_forward_strip(const struct det_conv_shape s, int strip_rows, const T *in,
                              const struct detk_load load, const float *w, const float *bias,
                              enum det_activation act, T *out)
{
    constexpr int columns = DWCONV_PIXELS + 2;
    const int c = s.in_c, groups = (s.out_w + DWCONV_PIXELS - 1) / DWCONV_PIXELS;
    const int strips = (s.out_h + strip_rows - 1) / strip_rows;
    const int channel = det_tile_vector() * N;
    const unsigned group = det_tile_pixel();
    const int strip = (int)(group / (unsigned)groups);
    const int image = strip / strips;
    if (channel >= c || image >= s.n)
        return;
    const int ox = (int)(group % (unsigned)groups) * DWCONV_PIXELS;
    const int oy = strip % strips * strip_rows, rows = min(strip_rows, s.out_h - oy);
    const int top = oy - s.pad_top, left = ox - s.pad_left;

    const dwconv_load<N, KIND> loading(load, channel);
    const auto begin = [&](float(&sum)[DWCONV_PIXELS][N]) {
#pragma unroll
        for (int p = 0; p < DWCONV_PIXELS; p++)
            first_sum<N>(bias, channel, sum[p]);
    };
    dwconv_next_row<T, N, columns> next;
    const auto fetch = [&](int at) {
        if (at < rows + 2 && det_inside(top + at, s.in_h)) {
            const int64_t in_row = (int64_t)image * s.in_h + top + at;
            next.fetch(in + in_row * s.in_w * c + channel, left, s.in_w, c);
        }
    };
    const auto add = [&](int at, float(&sums)[3][DWCONV_PIXELS][N]) {
        float value[columns][N];
        next.take(value);
        fetch(at + 1);
        if (!det_inside(top + at, s.in_h))
            return;
#pragma unroll
        for (int j = 0; j < columns; j++)
            loading.apply(value[j]);
#pragma unroll
        for (int ky = 0; ky < 3; ky++) {
            if (!det_inside(at - ky, rows))
                continue;
            float tap[3][N];
            dwconv_load_taps<N>(w + (int64_t)ky * 3 * c + channel, c, tap);
#pragma unroll
            for (int j = 0; j < columns; j++) {
                if (!det_inside(left + j, s.in_w))
                    continue;
#pragma unroll
                for (int p = 0; p < DWCONV_PIXELS; p++) {
                    const int kx = j - p;
                    if (kx >= 0 && kx < 3)
                        dwconv_multiply_add<N>(value[j], tap[kx], sums[ky][p]);
                }
            }
        }
    };
    const auto end = [&](int row, float(&sum)[DWCONV_PIXELS][N]) {
        T *to = out + (((int64_t)image * s.out_h + oy + row) * s.out_w + ox) * c + channel;
#pragma unroll
        for (int p = 0; p < DWCONV_PIXELS; p++) {
            if (ox + p < s.out_w) {
                dwconv_activate<N>(act, sum[p]);
                det_store<T, N>(to + (int64_t)p * c, sum[p]);
            }
        }
    };
    fetch(0);
    dwconv_march<N>(rows, begin, add, end);
}

/* Any kernel and stride, an output of one channel. The taps are not unrolled: ptxas spills. */
template <typename T, enum detk_load_kind KIND>
__global__ void __launch_bounds__(DWCONV_THREADS, DWCONV_RESIDENT)
    detk_dwconv_forward_any(const struct det_conv_shape s, const T *in, const struct detk_load load,
                            const float *w, const float *bias, enum det_activation act, T *out)
{
    const int c = s.in_c;
    const int channel = det_tile_vector();
    const unsigned pixel = det_tile_pixel();
    const int row = (int)(pixel / (unsigned)s.out_w);
    const int image = row / s.out_h;
    if (channel >= c || image >= s.n)
        return;
    const int top = row % s.out_h * s.stride - s.pad_top;
    const int left = (int)(pixel % (unsigned)s.out_w) * s.stride - s.pad_left;

    const dwconv_load<1, KIND> loading(load, channel);
    float sum[1];
    first_sum<1>(bias, channel, sum);
    for (int ky = 0; ky < s.kernel_h; ky++) {
        if (!det_inside(top + ky, s.in_h))
            continue;
        const int64_t in_row = (int64_t)image * s.in_h + top + ky;
#pragma unroll 1
        for (int kx = 0; kx < s.kernel_w; kx++) {
            if (!det_inside(left + kx, s.in_w))
                continue;
            float value[1], tap[1];
            det_load<T, 1>(in + (in_row * s.in_w + left + kx) * c + channel, value);
            loading.apply(value);
            dwconv_load_floats<1>(w + ((int64_t)ky * s.kernel_w + kx) * c + channel, tap);
            dwconv_multiply_add<1>(value, tap, sum);
        }
    }
    dwconv_activate<1>(act, sum);
    det_store<T, 1>(out + (int64_t)pixel * c + channel, sum);
}

struct arguments {
    const struct detk_load *load;
    const float *w, *bias;
    enum det_activation act;
};

template <typename T, enum detk_load_kind KIND>
static cudaError_t launch_any(cudaStream_t stream, const struct det_conv_shape *s, const T *in,
                              const struct arguments &a, T *out)
{
    const struct det_tile tile = dwconv_tile(s, 1);
    DET_LAUNCH((detk_dwconv_forward_any<T, KIND>),
               det_tile_grid(tile, (int64_t)s->n * s->out_h * s->out_w), tile.block, 0, stream, *s,
               in, *a.load, a.w, a.bias, a.act, out);
    return cudaGetLastError();
}

template <typename T, int N, enum detk_load_kind KIND>
static cudaError_t launch_3x3(cudaStream_t stream, const struct det_conv_shape *s, const T *in,
                              const struct arguments &a, T *out)
{
    const struct det_tile tile = dwconv_tile(s, N);
    const dim3 grid = det_tile_grid(tile, (int64_t)s->n * s->out_h * dwconv_groups(s->out_w));
    if (s->stride == 1)
        DET_LAUNCH((detk_dwconv_forward_3x3<T, N, 1, KIND>), grid, tile.block, 0, stream, *s, in,
                   *a.load, a.w, a.bias, a.act, out);
    else
        DET_LAUNCH((detk_dwconv_forward_3x3<T, N, 2, KIND>), grid, tile.block, 0, stream, *s, in,
                   *a.load, a.w, a.bias, a.act, out);
    return cudaGetLastError();
}

template <typename T, enum detk_load_kind KIND>
static cudaError_t launch_strips(cudaStream_t stream, const struct det_conv_shape *s, int32_t rows,
                                 const T *in, const struct arguments &a, T *out)
{
    constexpr int n = DWCONV_STRIP_VECTOR;
    const struct det_tile tile = dwconv_tile(s, n);
    const int64_t strips = s->n * det_ceil_div(s->out_h, rows);
    DET_LAUNCH((detk_dwconv_forward_strip<T, n, KIND>),
               det_tile_grid(tile, strips * dwconv_groups(s->out_w)), tile.block, 0, stream, *s,
               rows, in, *a.load, a.w, a.bias, a.act, out);
    return cudaGetLastError();
}

/* Vectors of n channels where parameters and channels allow it, strips where there are enough of
 * them. */
template <typename T, int n, enum detk_load_kind KIND>
static cudaError_t forward(cudaStream_t stream, const struct det_conv_shape *s, const void *in,
                           const struct arguments &a, void *out)
{
    const T *from = static_cast<const T *>(in);
    T *to = static_cast<T *>(out);
    const int32_t rows = dwconv_strip_rows(s, s->out_h, dwconv_groups(s->out_w));
    if (rows > 1 && dwconv_vectors_fit(s, DWCONV_STRIP_VECTOR, a.w, a.bias))
        return launch_strips<T, KIND>(stream, s, rows, from, a, to);
    return dwconv_vectors_fit(s, n, a.w, a.bias) ? launch_3x3<T, n, KIND>(stream, s, from, a, to)
                                                 : launch_any<T, KIND>(stream, s, from, a, to);
}

/* Eight channels of bf16 and what is done to them are too many for the registers: four. */
template <typename T>
static cudaError_t for_kind(cudaStream_t stream, const struct det_conv_shape *s, const void *in,
                            const struct arguments &a, void *out)
{
    switch (a.load->kind) {
    case DETK_LOAD_PLAIN:
        return forward<T, det_vector_of<T>, DETK_LOAD_PLAIN>(stream, s, in, a, out);
    case DETK_LOAD_RELU6:
        return forward<T, 4, DETK_LOAD_RELU6>(stream, s, in, a, out);
    case DETK_LOAD_NORM_RELU6:
        return forward<T, 4, DETK_LOAD_NORM_RELU6>(stream, s, in, a, out);
    }
    return cudaErrorInvalidValue;
}

cudaError_t detk_dwconv_forward(cudaStream_t stream, enum detk_type type,
                                const struct det_conv_shape *shape, const void *in,
                                const struct detk_load *load, const float *w, const float *bias,
                                enum det_activation act, void *out)
{
    const struct arguments a = {load, w, bias, act};
    if (shape->n == 0)
        return cudaGetLastError();
    return type == DETK_F32 ? for_kind<float>(stream, shape, in, a, out)
                            : for_kind<__nv_bfloat16>(stream, shape, in, a, out);
}
