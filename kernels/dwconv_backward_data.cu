#include "dwconv.cuh"
#include "dwconv.h"

template <typename T, int N>
__device__ __forceinline__ void store_gradient(T *to, bool accumulate, float (&sum)[N])
{
    if (accumulate) {
        float before[N];
        det_load<T, N>(to, before);
#pragma unroll
        for (int i = 0; i < N; i++)
            sum[i] += before[i];
    }
    det_store<T, N>(to, sum);
}

/* Where the first group of inputs of a row begins: at -1 where that makes every group begin under
 * tap 2 of an output, so that the taps of its members are known to the compiler. */
template <int STRIDE>
__host__ __device__ static inline int first_group(const struct det_conv_shape &s)
{
    return -(s.pad_left & (STRIDE - 1));
}

template <int STRIDE>
__host__ __device__ static inline int groups_of(const struct det_conv_shape &s)
{
    return (s.in_w - first_group<STRIDE>(s) + DWCONV_PIXELS - 1) / DWCONV_PIXELS;
}

/* Columns of a row of outputs that DWCONV_PIXELS inputs take part in */
template <int STRIDE> constexpr int columns_of = (DWCONV_PIXELS + 1) / STRIDE + 1;

/* Adds to the inputs' gradients what a row of outputs has of them by a row of taps. The taps of all
 * columns are known to the compiler. */
template <int N, int STRIDE>
__device__ __forceinline__ void add_row(const struct det_conv_shape &s, int left,
                                        const float (&value)[columns_of<STRIDE>][N],
                                        const float (&tap)[3][N], float (&sum)[DWCONV_PIXELS][N])
{
#pragma unroll
    for (int j = 0; j < columns_of<STRIDE>; j++) {
        if (!det_inside(left + j, s.out_w))
            continue;
#pragma unroll
        for (int kx = 0; kx < 3; kx++) {
            const int p = j * STRIDE + kx - 2;
            if (p >= 0 && p < DWCONV_PIXELS)
                dwconv_multiply_add<N>(value[j], tap[kx], sum[p]);
        }
    }
}

/* `to` points to the first of the inputs, which may lie outside. */
template <typename T, int N>
__device__ __forceinline__ void store_row(const struct det_conv_shape &s, int ix, bool accumulate,
                                          float (&sum)[DWCONV_PIXELS][N], T *to)
{
#pragma unroll
    for (int p = 0; p < DWCONV_PIXELS; p++) {
        if (det_inside(ix + p, s.in_w))
            store_gradient<T, N>(to + (int64_t)p * s.in_c, accumulate, sum[p]);
    }
}

/* DWCONV_PIXELS inputs of a row. Tap ky of input row iy belongs to output row (iy + pad - ky) /
 * stride where that is whole; likewise for columns. The outputs of such a row are loaded once and
 * used for every input that they belong to. */
template <typename T, int N, int STRIDE>
__global__ void __launch_bounds__(DWCONV_THREADS, DWCONV_RESIDENT)
    detk_dwconv_backward_data_3x3(const struct det_conv_shape s, const T *dout, const float *w,
                                  T *din, bool accumulate)
{
    const int c = s.in_c, groups = groups_of<STRIDE>(s);
    const int channel = det_tile_vector() * N;
    const unsigned group = det_tile_pixel();
    const int row = (int)(group / (unsigned)groups);
    const int image = row / s.in_h;
    if (channel >= c || image >= s.n)
        return;
    const int iy = row % s.in_h;
    const int ix = first_group<STRIDE>(s) + (int)(group % (unsigned)groups) * DWCONV_PIXELS;
    const int left = (ix + s.pad_left - 2) / STRIDE; /* divides exactly */

    float sum[DWCONV_PIXELS][N] = {};
#pragma unroll
    for (int ky = 0; ky < 3; ky++) {
        const int position = iy + s.pad_top - ky;
        if (position % STRIDE != 0 || !det_inside(position / STRIDE, s.out_h))
            continue;
        const int64_t out_row = (int64_t)image * s.out_h + position / STRIDE;
        float value[columns_of<STRIDE>][N], tap[3][N];
        dwconv_load_columns<T, N>(dout + out_row * s.out_w * c + channel, left, s.out_w, c, value);
        dwconv_load_taps<N>(w + (int64_t)ky * 3 * c + channel, c, tap);
        add_row<N, STRIDE>(s, left, value, tap, sum);
    }
    store_row<T, N>(s, ix, accumulate, sum, din + ((int64_t)row * s.in_w + ix) * c + channel);
}

/* The inputs of a strip of `strip_rows` rows, stride 1, from the lowest row to the highest: so a
 * sum's taps come in the order that they have above. Of stride 2, outputs are a quarter of the
 * inputs: reading them again costs little. */
template <typename T, int N>
__global__ void __launch_bounds__(DWCONV_THREADS, DWCONV_STRIP_RESIDENT)
    detk_dwconv_backward_data_strip(const struct det_conv_shape s, int strip_rows, const T *dout,
                                    const float *w, T *din, bool accumulate)
{
    const int c = s.in_c, groups = groups_of<1>(s);
    const int strips = (s.in_h + strip_rows - 1) / strip_rows;
    const int channel = det_tile_vector() * N;
    const unsigned group = det_tile_pixel();
    const int strip = (int)(group / (unsigned)groups);
    const int image = strip / strips;
    if (channel >= c || image >= s.n)
        return;
    const int ix = (int)(group % (unsigned)groups) * DWCONV_PIXELS, left = ix + s.pad_left - 2;
    const int first = strip % strips * strip_rows;
    const int rows = min(strip_rows, s.in_h - first), last = first + rows - 1;

    const auto begin = [&](float(&sum)[DWCONV_PIXELS][N]) {
#pragma unroll
        for (int p = 0; p < DWCONV_PIXELS; p++) {
#pragma unroll
            for (int i = 0; i < N; i++)
                sum[p][i] = 0;
        }
    };
    dwconv_next_row<T, N, columns_of<1>> next;
    const auto fetch = [&](int at) {
        const int y = last - at + s.pad_top;
        if (at < rows + 2 && det_inside(y, s.out_h)) {
            const int64_t out_row = (int64_t)image * s.out_h + y;
            next.fetch(dout + out_row * s.out_w * c + channel, left, s.out_w, c);
        }
    };
    const auto add = [&](int at, float(&sums)[3][DWCONV_PIXELS][N]) {
        float value[columns_of<1>][N];
        next.take(value);
        fetch(at + 1);
        if (!det_inside(last - at + s.pad_top, s.out_h))
            return;
#pragma unroll
        for (int ky = 0; ky < 3; ky++) {
            if (!det_inside(at - ky, rows))
                continue;
            float tap[3][N];
            dwconv_load_taps<N>(w + (int64_t)ky * 3 * c + channel, c, tap);
            add_row<N, 1>(s, left, value, tap, sums[ky]);
        }
    };
    const auto end = [&](int row, float(&sum)[DWCONV_PIXELS][N]) {
        const int64_t in_row = (int64_t)image * s.in_h + last - row;
        store_row<T, N>(s, ix, accumulate, sum, din + (in_row * s.in_w + ix) * c + channel);
    };
    fetch(0);
    dwconv_march<N>(rows, begin, add, end);
}

/* Any kernel and stride, an input of one channel. The taps are not unrolled: ptxas spills. */
template <typename T>
__global__ void __launch_bounds__(DWCONV_THREADS)
    detk_dwconv_backward_data_any(const struct det_conv_shape s, const T *dout, const float *w,
                                  T *din, bool accumulate)
{
    const int c = s.in_c;
    const int channel = det_tile_vector();
    const unsigned pixel = det_tile_pixel();
    const int row = (int)(pixel / (unsigned)s.in_w);
    const int image = row / s.in_h;
    if (channel >= c || image >= s.n)
        return;
    const int below = row % s.in_h + s.pad_top;
    const int right = (int)(pixel % (unsigned)s.in_w) + s.pad_left;

    float sum[1] = {};
    for (int ky = 0; ky < s.kernel_h; ky++) {
        const int y = below - ky;
        if (y % s.stride != 0 || !det_inside(y / s.stride, s.out_h))
            continue;
        const int64_t out_row = (int64_t)image * s.out_h + y / s.stride;
#pragma unroll 1
        for (int kx = 0; kx < s.kernel_w; kx++) {
            const int x = right - kx;
            if (x % s.stride != 0 || !det_inside(x / s.stride, s.out_w))
                continue;
            float value[1], tap[1];
            det_load<T, 1>(dout + (out_row * s.out_w + x / s.stride) * c + channel, value);
            dwconv_load_floats<1>(w + ((int64_t)ky * s.kernel_w + kx) * c + channel, tap);
            dwconv_multiply_add<1>(value, tap, sum);
        }
    }
    store_gradient<T, 1>(din + (int64_t)pixel * c + channel, accumulate, sum);
}

template <typename T>
static cudaError_t launch_any(cudaStream_t stream, const struct det_conv_shape *s, const T *dout,
                              const float *w, T *din, bool accumulate)
{
    const struct det_tile tile = dwconv_tile(s, 1);
    DET_LAUNCH((detk_dwconv_backward_data_any<T>),
               det_tile_grid(tile, (int64_t)s->n * s->in_h * s->in_w), tile.block, 0, stream, *s,
               dout, w, din, accumulate);
    return cudaGetLastError();
}

template <typename T, int N>
static cudaError_t launch_3x3(cudaStream_t stream, const struct det_conv_shape *s, const T *dout,
                              const float *w, T *din, bool accumulate)
{
    const struct det_tile tile = dwconv_tile(s, N);
    const int64_t rows = (int64_t)s->n * s->in_h;
    if (s->stride == 1)
        DET_LAUNCH((detk_dwconv_backward_data_3x3<T, N, 1>),
                   det_tile_grid(tile, rows * groups_of<1>(*s)), tile.block, 0, stream, *s, dout, w,
                   din, accumulate);
    else
        DET_LAUNCH((detk_dwconv_backward_data_3x3<T, N, 2>),
                   det_tile_grid(tile, rows * groups_of<2>(*s)), tile.block, 0, stream, *s, dout, w,
                   din, accumulate);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t launch_strips(cudaStream_t stream, const struct det_conv_shape *s, int32_t rows,
                                 const T *dout, const float *w, T *din, bool accumulate)
{
    constexpr int n = DWCONV_STRIP_VECTOR;
    const struct det_tile tile = dwconv_tile(s, n);
    const int64_t strips = s->n * det_ceil_div(s->in_h, rows);
    DET_LAUNCH((detk_dwconv_backward_data_strip<T, n>),
               det_tile_grid(tile, strips * dwconv_groups(s->in_w)), tile.block, 0, stream, *s,
               rows, dout, w, din, accumulate);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t backward_data(cudaStream_t stream, const struct det_conv_shape *s,
                                 const void *dout, const float *w, void *din, bool accumulate)
{
    const T *from = static_cast<const T *>(dout);
    T *to = static_cast<T *>(din);
    constexpr int n = det_vector_of<T>;
    const int32_t rows = dwconv_strip_rows(s, s->in_h, dwconv_groups(s->in_w));
    if (rows > 1 && dwconv_vectors_fit(s, DWCONV_STRIP_VECTOR, w, NULL))
        return launch_strips<T>(stream, s, rows, from, w, to, accumulate);
    return dwconv_vectors_fit(s, n, w, NULL) ? launch_3x3<T, n>(stream, s, from, w, to, accumulate)
                                             : launch_any<T>(stream, s, from, w, to, accumulate);
}

cudaError_t detk_dwconv_backward_data(cudaStream_t stream, enum detk_type type,
                                      const struct det_conv_shape *shape, const void *dout,
                                      const float *w, void *din, bool accumulate)
{
    if (shape->n == 0)
        return cudaGetLastError();
    return type == DETK_F32 ? backward_data<float>(stream, shape, dout, w, din, accumulate)
                            : backward_data<__nv_bfloat16>(stream, shape, dout, w, din, accumulate);
}
