#include "dwconv.cuh"
#include "dwconv.h"
#include "dwconv_rows.cuh"

/* Adds the gradient that is there already. */
template <typename T, int N>
__device__ __forceinline__ void add_gradient(const T *from, float (&sum)[N])
{
    float before[N];
    det_load<T, N>(from, before);
#pragma unroll
    for (int i = 0; i < N; i++)
        sum[i] += before[i];
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

/* Adds to the inputs' gradients what column j of a row of outputs has of them by a row of taps. The
 * taps of all columns are known to the compiler. */
template <int N, int STRIDE>
__device__ __forceinline__ void add_column(int j, const float (&value)[N], const float (&tap)[3][N],
                                           float (&sum)[DWCONV_PIXELS][N])
{
#pragma unroll
    for (int kx = 0; kx < 3; kx++) {
        const int p = j * STRIDE + kx - 2;
        if (p >= 0 && p < DWCONV_PIXELS)
            dwconv_multiply_add<N>(value, tap[kx], sum[p]);
    }
}

/* `to` points to the thread's channels of the row's column 0. */
template <typename T, int N>
__device__ __forceinline__ void store_row(const dwconv_columns<DWCONV_PIXELS> &inputs,
                                          bool accumulate, float (&sum)[DWCONV_PIXELS][N], T *to)
{
    if (accumulate) {
#pragma unroll
        for (int p = 0; p < DWCONV_PIXELS; p++) {
            if (inputs.inside(p))
                add_gradient<T, N>(to + inputs.offset[p], sum[p]);
        }
    }
#pragma unroll
    for (int p = 0; p < DWCONV_PIXELS; p++) {
        if (inputs.inside(p))
            det_store<T, N>(to + inputs.offset[p], sum[p]);
    }
}

/* Rows of outputs that are on their way before the first is used: all that an input has, where the
 * registers hold them; vectors of eight channels follow each other column by column. */
template <int N, int STRIDE> constexpr int rows_ahead = STRIDE == 2 ? 2 : N <= 4 ? 3 : 1;

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
    const dwconv_columns<columns_of<STRIDE>> columns(left, s.out_w, c);

    /* Every STRIDE-th row of taps meets outputs, from `first` on. */
    constexpr int most = 2 / STRIDE + 1, ahead = rows_ahead<N, STRIDE>;
    const int below = iy + s.pad_top, first = below & (STRIDE - 1), y = (below - first) / STRIDE;
    const int out_row_values = s.out_w * c;
    const T *from = dout + ((int64_t)image * s.out_h + y) * out_row_values + channel;
    dwconv_row<T, N, columns_of<STRIDE>> rows[ahead];
    const auto there = [&](int k) { return first + k * STRIDE < 3 && det_inside(y - k, s.out_h); };
#pragma unroll
    for (int k = 0; k < ahead; k++) {
        if (there(k))
            rows[k].fetch(from - (int64_t)k * out_row_values, columns);
    }
    float sum[DWCONV_PIXELS][N] = {};
#pragma unroll
    for (int k = 0; k < most; k++) {
        const bool next = k + ahead < most && there(k + ahead);
        const auto follow = [&](int j) {
            if (next)
                rows[k % ahead].fetch(from - (int64_t)(k + ahead) * out_row_values, columns, j);
        };
        if (!there(k)) {
#pragma unroll
            for (int j = 0; j < columns_of<STRIDE>; j++)
                follow(j);
            continue;
        }
        float tap[3][N];
        dwconv_load_taps<N>(w + (int64_t)(first + k * STRIDE) * 3 * c + channel, c, tap);
        columns.each(
            [&](int j) {
                float value[N];
                rows[k % ahead].take(j, value);
                add_column<N, STRIDE>(j, value, tap, sum);
            },
            follow);
    }
    const dwconv_columns<DWCONV_PIXELS> inputs(ix, s.in_w, c);
    T *to = din + (int64_t)row * s.in_w * c + channel;
    dwconv_keep(to);
    store_row<T, N>(inputs, accumulate, sum, to);
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
    const int ix = (int)(group % (unsigned)groups) * DWCONV_PIXELS;
    const int first = strip % strips * strip_rows;
    const int rows = min(strip_rows, s.in_h - first), last = first + rows - 1;
    const int bottom = last + s.pad_top; /* the row of outputs of step 0, perhaps outside */

    float tap[3][3][N];
#pragma unroll
    for (int ky = 0; ky < 3; ky++)
        dwconv_load_taps<N>(w + (int64_t)ky * 3 * c + channel, c, tap[ky]);
    const dwconv_columns<columns_of<1>> columns(ix + s.pad_left - 2, s.out_w, c);
    const int out_row_values = s.out_w * c, in_row_values = s.in_w * c;
    const int lowest = min(bottom, s.out_h - 1);
    const T *from = dout + ((int64_t)image * s.out_h + lowest) * out_row_values + channel;
    const int64_t in_row = (int64_t)image * s.in_h + last;
    T *to = din + in_row * in_row_values + channel;
    const dwconv_columns<DWCONV_PIXELS> inputs(ix, s.in_w, c);
    dwconv_row<T, N, columns_of<1>> row;

    const auto begin = [&](float(&sum)[DWCONV_PIXELS][N]) {
#pragma unroll
        for (int p = 0; p < DWCONV_PIXELS; p++) {
#pragma unroll
            for (int i = 0; i < N; i++)
                sum[p][i] = 0;
        }
    };
    const auto add = [&](int at, float(&sum0)[DWCONV_PIXELS][N], float(&sum1)[DWCONV_PIXELS][N],
                         float(&sum2)[DWCONV_PIXELS][N]) {
        if (!det_inside(bottom - at, s.out_h))
            return;
        const bool more = at < rows + 1 && bottom - at > 0;
        from -= out_row_values;
        columns.each(
            [&](int j) {
                float value[N];
                row.take(j, value);
                add_column<N, 1>(j, value, tap[0], sum0);
                add_column<N, 1>(j, value, tap[1], sum1);
                add_column<N, 1>(j, value, tap[2], sum2);
            },
            [&](int j) {
                if (more)
                    row.fetch(from, columns, j);
            });
    };
    const auto end = [&](int, float(&sum)[DWCONV_PIXELS][N]) {
        store_row<T, N>(inputs, accumulate, sum, to);
        to -= in_row_values;
    };
    if (lowest >= 0)
        row.fetch(from, columns);
    dwconv_rotate<N>(rows, begin, add, end);
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
    T *to = din + (int64_t)pixel * c + channel;
    if (accumulate)
        add_gradient<T, 1>(to, sum);
    det_store<T, 1>(to, sum);
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
