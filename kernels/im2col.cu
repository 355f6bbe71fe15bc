#include "im2col.h"

#include "tile.cuh"
#include "vec.cuh"

#define IM2COL_THREADS 256

/* A column of a patch. */
struct tap {
    int ky, kx, channel;
};

__device__ __forceinline__ struct tap tap_of(const struct det_conv_shape &s, int column)
{
    const int k = column / s.in_c;
    return {k / s.kernel_w, k % s.kernel_w, column % s.in_c};
}

__device__ __forceinline__ void next_channel(const struct det_conv_shape &s, struct tap *tap)
{
    if (++tap->channel < s.in_c)
        return;
    tap->channel = 0;
    if (++tap->kx < s.kernel_w)
        return;
    tap->kx = 0;
    tap->ky++;
}

/* Patches `first` .. `first` + `count` - 1, and what stands in them outside the image. */
template <typename T> struct patches {
    int64_t first, count;
    T outside;
};

/* N columns of one row, copied as they are. They are one piece of the input where N divides the
 * channels (WHOLE), else each is fetched alone. Columns beyond the kernel have ky >= kernel_h. */
template <typename T, int N, bool WHOLE>
__global__ void __launch_bounds__(IM2COL_THREADS)
    detk_im2col_rows(const struct det_conv_shape s, const struct patches<T> p, int width,
                     const T *in, T *columns)
{
    const int column = det_tile_vector() * N;
    const unsigned at = det_tile_pixel();
    if (column >= width || at >= p.count)
        return;
    const unsigned pixel = (unsigned)p.first + at;
    const int row = (int)(pixel / (unsigned)s.out_w);
    const int image = row / s.out_h;
    const int top = row % s.out_h * s.stride - s.pad_top;
    const int left = (int)(pixel % (unsigned)s.out_w) * s.stride - s.pad_left;
    const int64_t first_row = (int64_t)image * s.in_h;

    struct tap tap = tap_of(s, column);
    det_pack<T, N> value;
    constexpr int step = WHOLE ? N : 1;
#pragma unroll
    for (int i = 0; i < N; i += step) {
        const int iy = top + tap.ky, ix = left + tap.kx;
        det_pack<T, step> piece;
#pragma unroll
        for (int k = 0; k < step; k++)
            piece.at[k] = p.outside;
        if (tap.ky < s.kernel_h && det_inside(iy, s.in_h) && det_inside(ix, s.in_w))
            piece = det_load_pack<T, step>(in + ((first_row + iy) * s.in_w + ix) * s.in_c +
                                           tap.channel);
#pragma unroll
        for (int k = 0; k < step; k++)
            value.at[i + k] = piece.at[k];
        next_channel(s, &tap);
    }
    det_store_pack<T, N>(columns + (int64_t)at * width + column, value);
}

/* N channels of one input: the sum over the patches that it is in. */
template <typename T, int N>
__global__ void __launch_bounds__(IM2COL_THREADS)
    detk_col2im_pixels(const struct det_conv_shape s, int width, const T *columns, T *din,
                       bool accumulate)
{
    const int channel = det_tile_vector() * N;
    const unsigned pixel = det_tile_pixel();
    const int row = (int)(pixel / (unsigned)s.in_w);
    const int image = row / s.in_h;
    if (channel >= s.in_c || image >= s.n)
        return;
    const int below = row % s.in_h + s.pad_top;
    const int right = (int)(pixel % (unsigned)s.in_w) + s.pad_left;
    T *to = din + (int64_t)pixel * s.in_c + channel;

    float sum[N] = {};
    if (accumulate)
        det_load<T, N>(to, sum);
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
            const int column = (ky * s.kernel_w + kx) * s.in_c + channel;
            float value[N];
            det_load<T, N>(columns + (out_row * s.out_w + x / s.stride) * width + column, value);
#pragma unroll
            for (int i = 0; i < N; i++)
                sum[i] += value[i];
        }
    }
    det_store<T, N>(to, sum);
}

template <typename T>
static void im2col(cudaStream_t stream, const struct det_conv_shape *s,
                   const struct patches<T> &patches, int32_t width, const void *in, void *columns)
{
    constexpr int n = det_vector_of<T>;
    const T *from = static_cast<const T *>(in);
    T *to = static_cast<T *>(columns);
    const struct det_tile tile = det_tile_of(width / n, IM2COL_THREADS, IM2COL_THREADS);
    const dim3 grid = det_tile_grid(tile, patches.count);
    if (s->in_c % n == 0)
        DET_LAUNCH((detk_im2col_rows<T, n, true>), grid, tile.block, 0, stream, *s, patches, width,
                   from, to);
    else
        DET_LAUNCH((detk_im2col_rows<T, n, false>), grid, tile.block, 0, stream, *s, patches, width,
                   from, to);
}

template <typename T, int N>
static void col2im(cudaStream_t stream, const struct det_conv_shape *s, int32_t width,
                   const void *columns, void *din, bool accumulate)
{
    const struct det_tile tile = det_tile_of(s->in_c / N, IM2COL_THREADS, IM2COL_THREADS);
    const dim3 grid = det_tile_grid(tile, (int64_t)s->n * s->in_h * s->in_w);
    DET_LAUNCH((detk_col2im_pixels<T, N>), grid, tile.block, 0, stream, *s, width,
               static_cast<const T *>(columns), static_cast<T *>(din), accumulate);
}

static int32_t width_in(const struct det_conv_shape *s, int32_t n)
{
    return (s->kernel_h * s->kernel_w * s->in_c + n - 1) / n * n;
}

int32_t detk_im2col_width(enum detk_type type, const struct det_conv_shape *shape)
{
    return width_in(shape, type == DETK_F32 ? det_vector_of<float> : det_vector_of<__nv_bfloat16>);
}

cudaError_t detk_im2col(cudaStream_t stream, enum detk_type type,
                        const struct det_conv_shape *shape, const void *in, void *columns)
{
    const int32_t width = detk_im2col_width(type, shape);
    const int64_t rows = (int64_t)shape->n * shape->out_h * shape->out_w;
    if (rows == 0)
        return cudaGetLastError();
    if (type == DETK_F32)
        im2col<float>(stream, shape, {0, rows, 0.0f}, width, in, columns);
    else
        im2col<__nv_bfloat16>(stream, shape, {0, rows, __float2bfloat16_rn(0.0f)}, width, in,
                              columns);
    return cudaGetLastError();
}

int32_t detk_im2col_q8_width(const struct det_conv_shape *shape)
{
    return width_in(shape, det_vector_of<int8_t>);
}

cudaError_t detk_im2col_q8(cudaStream_t stream, const struct det_conv_shape *shape, int64_t first,
                           int64_t rows, int8_t outside, const int8_t *in, int8_t *columns)
{
    if (rows > 0)
        im2col<int8_t>(stream, shape, {first, rows, outside}, detk_im2col_q8_width(shape), in,
                       columns);
    return cudaGetLastError();
}

cudaError_t detk_col2im(cudaStream_t stream, enum detk_type type,
                        const struct det_conv_shape *shape, const void *columns, void *din,
                        bool accumulate)
{
    typedef __nv_bfloat16 bf16;
    const int32_t width = detk_im2col_width(type, shape);
    constexpr int n32 = det_vector_of<float>, n16 = det_vector_of<bf16>;
    if (shape->n == 0)
        return cudaGetLastError();
    if (type == DETK_F32 && shape->in_c % n32 == 0)
        col2im<float, n32>(stream, shape, width, columns, din, accumulate);
    else if (type == DETK_F32)
        col2im<float, 1>(stream, shape, width, columns, din, accumulate);
    else if (shape->in_c % n16 == 0)
        col2im<bf16, n16>(stream, shape, width, columns, din, accumulate);
    else
        col2im<bf16, 1>(stream, shape, width, columns, din, accumulate);
    return cudaGetLastError();
}
