#include "im2col.h"

#include "tile.cuh"
#include "vec.cuh"

#define IM2COL_THREADS 256

/* Where columns are fetched alone: pixels of a thread that fetches N, least blocks of a
 * multiprocessor. */
#define IM2COL_PIXELS(N) (64 / (N))
#define IM2COL_RESIDENT  4

/* Patches `first` .. `first` + `count` - 1, and what stands in them outside the image. */
template <typename T> struct patches {
    int64_t first, count;
    T outside;
};

/* Which pixel of which image a patch is of. */
struct pixel {
    int image, y, x;
};

__device__ __forceinline__ struct pixel pixel_at(const struct det_conv_shape &s, unsigned pixel)
{
    const int row = (int)(pixel / (unsigned)s.out_w), image = row / s.out_h;
    return {image, row - image * s.out_h, (int)(pixel - (unsigned)row * (unsigned)s.out_w)};
}

/* The top left corner of its patch in the input. */
__device__ __forceinline__ int64_t first_of(const struct det_conv_shape &s,
                                            const struct pixel &pixel)
{
    const int top = pixel.y * s.stride - s.pad_top, left = pixel.x * s.stride - s.pad_left;
    return (((int64_t)pixel.image * s.in_h + top) * s.in_w + left) * s.in_c;
}

/* By how much that moves from a pixel to the `by`th next of its row, and more where the row ends
 * and where the image does. */
struct walk {
    int64_t to_pixel, to_row, to_image;
};

__device__ __forceinline__ struct walk walk_of(const struct det_conv_shape &s, int by)
{
    const int64_t row = (int64_t)s.in_w * s.in_c;
    return {(int64_t)by * s.stride * s.in_c, (row - (int64_t)s.out_w * s.in_c) * s.stride,
            (s.in_h - (int64_t)s.out_h * s.stride) * row};
}

/* N columns of one row, copied as they are: N divides the channels, so that they are one piece of
 * the input. Columns beyond the kernel have ky >= kernel_h. */
template <typename T, int N>
__global__ void __launch_bounds__(IM2COL_THREADS)
    detk_im2col_rows(const struct det_conv_shape s, const struct patches<T> p, int width,
                     const T *in, T *columns)
{
    const int column = det_tile_vector() * N;
    const unsigned at = det_tile_pixel();
    if (column >= width || at >= p.count)
        return;
    const struct pixel pixel = pixel_at(s, (unsigned)p.first + at);
    const int tap = column / s.in_c, ky = tap / s.kernel_w;
    const int iy = pixel.y * s.stride - s.pad_top + ky;
    const int ix = pixel.x * s.stride - s.pad_left + tap - ky * s.kernel_w;
    det_pack<T, N> piece;
#pragma unroll
    for (int k = 0; k < N; k++)
        piece.at[k] = p.outside;
    if (ky < s.kernel_h && det_inside(iy, s.in_h) && det_inside(ix, s.in_w))
        piece =
            det_load_pack<T, N>(in + (((int64_t)pixel.image * s.in_h + iy) * s.in_w + ix) * s.in_c +
                                column - tap * s.in_c);
    det_store_pack<T, N>(columns + (int64_t)at * width + column, piece);
}

/* The same value, but the compiler forgets where it comes from: else it computes it anew wherever
 * it is used. */
__device__ __forceinline__ unsigned opaque(unsigned value)
{
    asm volatile("" : "+r"(value));
    return value;
}

/* N columns of a patch that is wholly inside the image, `count` of them in the kernel. */
template <typename T, int N>
__device__ __forceinline__ void gather_inside(const T *patch, const unsigned (&offset)[N],
                                              int count, det_pack<T, N> &value)
{
#pragma unroll
    for (int i = 0; i < N; i++)
        if (i < count)
            value.at[i] = det_load_pack<T, 1>(patch + offset[i]).at[0];
}

/* Of any patch: the first column is number `at` of row `ky` of the kernel, the patch's top left
 * corner at row `top` of the image and value `left` of its rows. */
template <typename T, int N>
__device__ __forceinline__ void gather_at_edge(const struct det_conv_shape &s, const T *patch,
                                               const unsigned (&offset)[N], int ky, int at, int top,
                                               int left, det_pack<T, N> &value)
{
#pragma unroll
    for (int i = 0; i < N; i++) {
        if (ky < s.kernel_h && det_inside(top + ky, s.in_h) &&
            det_inside(left + at, s.in_w * s.in_c))
            value.at[i] = det_load_pack<T, 1>(patch + offset[i]).at[0];
        if (++at == s.kernel_w * s.in_c) {
            at = 0;
            ky++;
        }
    }
}

/* The same N columns of IM2COL_PIXELS(N) rows, each value fetched alone: where in the image they
 * are from a patch's corner on is found once. A row of the kernel is adjacent values of a row of
 * the image. */
template <typename T, int N>
__global__ void __launch_bounds__(IM2COL_THREADS, IM2COL_RESIDENT)
    detk_im2col_values(const struct det_conv_shape s, const struct patches<T> p, int width,
                       const T *in, T *columns)
{
    const int column = det_tile_vector() * N, kernel_row = s.kernel_w * s.in_c;
    unsigned at = blockIdx.x * (blockDim.y * IM2COL_PIXELS(N)) + threadIdx.y;
    if (column >= width || at >= p.count)
        return;
    const int first_ky = column / kernel_row, first_at = column - first_ky * kernel_row;
    const int count = s.kernel_h * kernel_row - column;
    unsigned offset[N];
#pragma unroll
    for (int i = 0, ky = first_ky, value = first_at; i < N; i++) {
        offset[i] = opaque((unsigned)(ky * s.in_w * s.in_c + value));
        if (++value == kernel_row) {
            value = 0;
            ky++;
        }
    }
    const struct walk walk = walk_of(s, (int)blockDim.y);
    struct pixel pixel = pixel_at(s, (unsigned)p.first + at);
    const T *patch = in + first_of(s, pixel);
    T *to = columns + (int64_t)at * width + column;
    for (int k = 0; k < IM2COL_PIXELS(N) && at < p.count; k++) {
        const int top = pixel.y * s.stride - s.pad_top, left = pixel.x * s.stride - s.pad_left;
        det_pack<T, N> value;
#pragma unroll
        for (int i = 0; i < N; i++)
            value.at[i] = p.outside;
        if (top >= 0 && left >= 0 && top + s.kernel_h <= s.in_h && left + s.kernel_w <= s.in_w)
            gather_inside<T, N>(patch, offset, count, value);
        else
            gather_at_edge<T, N>(s, patch, offset, (int)opaque((unsigned)first_ky),
                                 (int)opaque((unsigned)first_at), top, left * s.in_c, value);
        det_store_pack<T, N>(to, value);
        at += blockDim.y;
        to += (int64_t)blockDim.y * width;
        patch += walk.to_pixel;
        for (pixel.x += (int)blockDim.y; pixel.x >= s.out_w; pixel.x -= s.out_w) {
            patch += walk.to_row;
            if (++pixel.y < s.out_h)
                continue;
            pixel.y = 0;
            patch += walk.to_image;
        }
    }
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
    if (s->in_c % n == 0)
        DET_LAUNCH((detk_im2col_rows<T, n>), det_tile_grid(tile, patches.count), tile.block, 0,
                   stream, *s, patches, width, from, to);
    else
        DET_LAUNCH((detk_im2col_values<T, n>),
                   det_tile_grid(tile, det_ceil_div(patches.count, IM2COL_PIXELS(n))), tile.block,
                   0, stream, *s, patches, width, from, to);
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
