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

/* What one output of a row adds up, tap by tap. `top` and `left` are its first tap's place. The
 * taps are not unrolled: ptxas spills. */
template <typename T, int N, enum detk_load_kind KIND>
__device__ __forceinline__ void
add_plainly(const struct det_conv_shape &s, int image, int top, int left, int channel, const T *in,
            const dwconv_load<N, KIND> &loading, const float *w, float (&sum)[N])
{
#pragma unroll 1
    for (int ky = 0; ky < s.kernel_h; ky++) {
        if (!det_inside(top + ky, s.in_h))
            continue;
        const int64_t in_row = (int64_t)image * s.in_h + top + ky;
#pragma unroll 1
        for (int kx = 0; kx < s.kernel_w; kx++) {
            if (!det_inside(left + kx, s.in_w))
                continue;
            float value[N], tap[N];
            det_load<T, N>(in + (in_row * s.in_w + left + kx) * s.in_c + channel, value);
            loading.apply(value);
            dwconv_load_floats<N>(w + ((int64_t)ky * s.kernel_w + kx) * s.in_c + channel, tap);
            dwconv_multiply_add<N>(value, tap, sum);
        }
    }
}

/* Stores a thread's results, of which `left` are inside the row. */
template <typename T, int N>
__device__ __forceinline__ void store_row(enum det_activation act, float (&sum)[DWCONV_PIXELS][N],
                                          T *to, int c, int left)
{
#pragma unroll
    for (int p = 0; p < DWCONV_PIXELS; p++) {
        dwconv_activate<N>(act, sum[p]);
        if (p < left)
            det_store<T, N>(to + p * c, sum[p]);
    }
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
    const int top = row % s.out_h * STRIDE - s.pad_top;

    const dwconv_columns<columns> at(ox * STRIDE - s.pad_left, s.in_w, c);
    const int64_t in_row = (int64_t)s.in_w * c;
    const T *from = in + ((int64_t)image * s.in_h + top) * in_row + channel;
    const float *taps = w + channel;
    const dwconv_load<N, KIND> loading(load, channel);
    float sum[DWCONV_PIXELS][N];
#pragma unroll
    for (int p = 0; p < DWCONV_PIXELS; p++)
        first_sum<N>(bias, channel, sum[p]);
#pragma unroll
    for (int ky = 0; ky < 3; ky++, from += in_row, taps += 3 * c) {
        if (!det_inside(top + ky, s.in_h))
            continue;
        dwconv_row<T, N, columns> columns_of_row;
        float tap[3][N];
        columns_of_row.fetch(from, at);
        dwconv_load_taps<N>(taps, c, tap);
        at.each([&](int j) {
            float value[N];
            columns_of_row.take(j, value);
            loading.apply(value);
            dwconv_add_column<N, STRIDE>(j, value, tap, sum);
        });
    }
    T *to = out + ((int64_t)row * s.out_w + ox) * c + channel;
    store_row<T, N>(act, sum, to, c, s.out_w - ox);
}

/* The outputs of a strip of `strip_rows` rows, stride 1. The columns of a row of the input are
 * loaded once, while the row above is worked on, and used for every output that they belong to.
 * What is outside the image is multiplied as 0, which is right where the taps are numbers. */
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
    const int top = oy - s.pad_top;

    const dwconv_columns<columns> at(ox - s.pad_left, s.in_w, c);
    const dwconv_load<N, KIND> loading(load, channel);
    T *to = out + (((int64_t)image * s.out_h + oy) * s.out_w + ox) * c + channel;
    float tap[3][3][N];
#pragma unroll
    for (int ky = 0; ky < 3; ky++)
        dwconv_load_taps<N>(w + channel + ky * 3 * c, c, tap[ky]);

    const auto end = [&](int, float(&sum)[DWCONV_PIXELS][N]) {
        store_row<T, N>(act, sum, to, c, s.out_w - ox);
        to += s.out_w * c;
    };
    const auto begin = [&](float(&sum)[DWCONV_PIXELS][N]) {
#pragma unroll
        for (int p = 0; p < DWCONV_PIXELS; p++)
            first_sum<N>(bias, channel, sum[p]);
    };
    if (!dwconv_finite(tap)) {
#pragma unroll 1
        for (int row = 0; row < rows; row++) {
            float sum[DWCONV_PIXELS][N];
            begin(sum);
#pragma unroll
            for (int p = 0; p < DWCONV_PIXELS; p++)
                add_plainly<T, N, KIND>(s, image, top + row, ox + p - s.pad_left, channel, in,
                                        loading, w, sum[p]);
            end(row, sum);
        }
        return;
    }

    /* A row outside is replaced by the nearest inside, like a column, and all of it hidden. */
    const auto row_of = [&](int row) {
        const int inside = image * s.in_h + min(max(top + row, 0), s.in_h - 1);
        return in + ((int64_t)inside * (s.in_w * c) + channel);
    };
    dwconv_row<T, N, columns> next;
    next.fetch(row_of(0), at);
    const auto add = [&](int row, float(&newest)[DWCONV_PIXELS][N],
                         float(&middle)[DWCONV_PIXELS][N], float(&oldest)[DWCONV_PIXELS][N]) {
        const T *following = row_of(row + 1);
        const unsigned hidden = det_inside(top + row, s.in_h) ? at.outside : ~0U;
#pragma unroll
        for (int j = 0; j < columns; j++) {
            float value[N];
            next.take(j, value);
            next.fetch(following, at, j);
            loading.apply(value);
#pragma unroll
            for (int i = 0; i < N; i++)
                value[i] = (hidden >> j & 1) != 0 ? 0.0f : value[i];
            dwconv_add_column<N, 1>(j, value, tap[0], newest);
            dwconv_add_column<N, 1>(j, value, tap[1], middle);
            dwconv_add_column<N, 1>(j, value, tap[2], oldest);
        }
    };
    dwconv_rotate<N>(rows, begin, add, end);
}

/* Any kernel and stride, an output of one channel. */
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
    add_plainly<T, 1, KIND>(s, image, top, left, channel, in, loading, w, sum);
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

template <typename T, int N, int STRIDE, enum detk_load_kind KIND>
static cudaError_t launch_3x3(cudaStream_t stream, const struct det_conv_shape *s, const T *in,
                              const struct arguments &a, T *out)
{
    const struct det_tile tile = dwconv_tile(s, N);
    DET_LAUNCH((detk_dwconv_forward_3x3<T, N, STRIDE, KIND>),
               det_tile_grid(tile, (int64_t)s->n * s->out_h * dwconv_groups(s->out_w)), tile.block,
               0, stream, *s, in, *a.load, a.w, a.bias, a.act, out);
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
 * them. Stride 2 reads nine columns a row, for which eight channels are too many. */
template <typename T, int n, enum detk_load_kind KIND>
static cudaError_t forward(cudaStream_t stream, const struct det_conv_shape *s, const void *in,
                           const struct arguments &a, void *out)
{
    const T *from = static_cast<const T *>(in);
    T *to = static_cast<T *>(out);
    const int32_t rows = dwconv_strip_rows(s, s->out_h, dwconv_groups(s->out_w));
    if (rows > 1 && dwconv_vectors_fit(s, DWCONV_STRIP_VECTOR, a.w, a.bias))
        return launch_strips<T, KIND>(stream, s, rows, from, a, to);
    if (s->stride == 2 && dwconv_vectors_fit(s, 4, a.w, a.bias))
        return launch_3x3<T, 4, 2, KIND>(stream, s, from, a, to);
    if (s->stride == 1 && dwconv_vectors_fit(s, n, a.w, a.bias))
        return launch_3x3<T, n, 1, KIND>(stream, s, from, a, to);
    return launch_any<T, KIND>(stream, s, from, a, to);
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
