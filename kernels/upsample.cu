/* Nearest x2 upsampling fused with the addition of the lateral feature, and its gradient. In
 * elementwise.h. */
#include "elementwise.h"
#include "tile.cuh"
#include "vec.cuh"

#define UPSAMPLE_THREADS 256
#define UPSAMPLE_LANES   32

struct sizes {
    int32_t h, w, c, out_h, out_w;
};

/* A thread owns one vector of one output pixel. */
template <typename T, int N>
__global__ void __launch_bounds__(UPSAMPLE_THREADS)
    detk_upsample_add_pixels(unsigned pixels, const struct sizes s, const T *low, const T *lateral,
                             T *out)
{
    const int channel = det_tile_vector() * N;
    const unsigned pixel = det_tile_pixel();
    if (channel >= s.c || pixel >= pixels)
        return;
    const unsigned x = pixel % (unsigned)s.out_w, row = pixel / (unsigned)s.out_w;
    const unsigned y = row % (unsigned)s.out_h, n = row / (unsigned)s.out_h;
    const int64_t from = ((int64_t)n * s.h + y / 2) * s.w + x / 2;
    float coarse[N], fine[N];
    det_load<T, N>(low + from * s.c + channel, coarse);
    det_load<T, N>(lateral + (int64_t)pixel * s.c + channel, fine);
#pragma unroll
    for (int i = 0; i < N; i++)
        fine[i] += coarse[i];
    det_store<T, N>(out + (int64_t)pixel * s.c + channel, fine);
}

/* A thread owns one vector of one pixel of dlow: four outputs, fewer at an odd edge. */
template <typename T, int N>
__global__ void __launch_bounds__(UPSAMPLE_THREADS)
    detk_upsample_gather(unsigned pixels, const struct sizes s, const T *dout, T *dlow,
                         bool accumulate)
{
    const int channel = det_tile_vector() * N;
    const unsigned pixel = det_tile_pixel();
    if (channel >= s.c || pixel >= pixels)
        return;
    const unsigned x = pixel % (unsigned)s.w, row = pixel / (unsigned)s.w;
    const unsigned y = row % (unsigned)s.h, n = row / (unsigned)s.h;
    T *const to = dlow + (int64_t)pixel * s.c + channel;
    /* All loads are asked for before the first is used: at an odd edge, and where nothing was there
     * before, of a value that is not used. */
    float value[2][2][N], before[N] = {}, sum[N] = {};
#pragma unroll
    for (int dy = 0; dy < 2; dy++) {
#pragma unroll
        for (int dx = 0; dx < 2; dx++) {
            const int oy = min((int)y * 2 + dy, s.out_h - 1);
            const int ox = min((int)x * 2 + dx, s.out_w - 1);
            const T *const from =
                dout + (((int64_t)n * s.out_h + oy) * s.out_w + ox) * s.c + channel;
            det_load<T, N>(from, value[dy][dx]);
            if (dy == 0 && dx == 0)
                det_load<T, N>(accumulate ? to : from, before);
        }
    }
#pragma unroll
    for (int dy = 0; dy < 2; dy++) {
#pragma unroll
        for (int dx = 0; dx < 2; dx++) {
            const bool there = (int)y * 2 + dy < s.out_h && (int)x * 2 + dx < s.out_w;
#pragma unroll
            for (int i = 0; i < N; i++)
                sum[i] += there ? value[dy][dx][i] : 0.0f;
        }
    }
#pragma unroll
    for (int i = 0; i < N; i++)
        sum[i] += accumulate ? before[i] : 0.0f;
    det_store<T, N>(to, sum);
}

template <typename T, int N>
static cudaError_t launch_add(cudaStream_t stream, int32_t n, const struct sizes &s, const T *low,
                              const T *lateral, T *out)
{
    const unsigned pixels = (unsigned)n * (unsigned)s.out_h * (unsigned)s.out_w;
    const struct det_tile tile = det_tile_of(s.c / N, UPSAMPLE_LANES, UPSAMPLE_THREADS);
    DET_LAUNCH((detk_upsample_add_pixels<T, N>), det_tile_grid(tile, pixels), tile.block, 0, stream,
               pixels, s, low, lateral, out);
    return cudaGetLastError();
}

template <typename T, int N>
static cudaError_t launch_gather(cudaStream_t stream, int32_t n, const struct sizes &s,
                                 const T *dout, T *dlow, bool accumulate)
{
    const unsigned pixels = (unsigned)n * (unsigned)s.h * (unsigned)s.w;
    const struct det_tile tile = det_tile_of(s.c / N, UPSAMPLE_LANES, UPSAMPLE_THREADS);
    DET_LAUNCH((detk_upsample_gather<T, N>), det_tile_grid(tile, pixels), tile.block, 0, stream,
               pixels, s, dout, dlow, accumulate);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t add_upsampled(cudaStream_t stream, int32_t n, const struct sizes &s,
                                 const void *low, const void *lateral, void *out)
{
    const T *a = static_cast<const T *>(low), *b = static_cast<const T *>(lateral);
    T *to = static_cast<T *>(out);
    return s.c % det_vector_of<T> == 0 ? launch_add<T, det_vector_of<T>>(stream, n, s, a, b, to)
                                       : launch_add<T, 1>(stream, n, s, a, b, to);
}

template <typename T>
static cudaError_t gather(cudaStream_t stream, int32_t n, const struct sizes &s, const void *dout,
                          void *dlow, bool accumulate)
{
    const T *from = static_cast<const T *>(dout);
    T *to = static_cast<T *>(dlow);
    return s.c % det_vector_of<T> == 0
               ? launch_gather<T, det_vector_of<T>>(stream, n, s, from, to, accumulate)
               : launch_gather<T, 1>(stream, n, s, from, to, accumulate);
}

cudaError_t detk_upsample_add(cudaStream_t stream, enum detk_type type, int32_t n, int32_t h,
                              int32_t w, int32_t c, int32_t out_h, int32_t out_w, const void *low,
                              const void *lateral, void *out)
{
    const struct sizes s = {h, w, c, out_h, out_w};
    if (n == 0 || c == 0)
        return cudaSuccess;
    return type == DETK_F32 ? add_upsampled<float>(stream, n, s, low, lateral, out)
                            : add_upsampled<__nv_bfloat16>(stream, n, s, low, lateral, out);
}

cudaError_t detk_upsample_backward(cudaStream_t stream, enum detk_type type, int32_t n, int32_t h,
                                   int32_t w, int32_t c, int32_t out_h, int32_t out_w,
                                   const void *dout, void *dlow, bool accumulate)
{
    const struct sizes s = {h, w, c, out_h, out_w};
    if (n == 0 || c == 0)
        return cudaSuccess;
    return type == DETK_F32 ? gather<float>(stream, n, s, dout, dlow, accumulate)
                            : gather<__nv_bfloat16>(stream, n, s, dout, dlow, accumulate);
}
