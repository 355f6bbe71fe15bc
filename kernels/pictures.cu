#include "pictures.h"

#include "color.cuh"
#include "resize.cuh"
#include "tile.cuh"

#define THREADS 256
/* Of a pass over the pixels of a picture. */
#define SUM_BLOCKS 64

/* Sums of the channels before each contrast of a picture: [n][DET_MOST_COLORS][3]. */
typedef unsigned long long units;
#define SUMS (DET_MOST_COLORS * 3)

size_t detk_pictures_workspace(int32_t n)
{
    return (size_t)n * SUMS * sizeof(units);
}

/* The means of the block's picture for its first `count` contrasts, into shared memory [SUMS], as
 * take_means() of data/augment_color.c ends. All threads call it. */
template <typename Means>
__device__ __forceinline__ void take_means(const struct det_picture *p, const units *sums,
                                           int count, Means &means)
{
    if (count == 0)
        return;
    const int t = (int)threadIdx.x;
    if (t < 3 * count)
        means[t] = (float)((double)sums[(int64_t)blockIdx.y * SUMS + t] / (double)DET_COLOR_UNITS /
                           ((double)p->height * (double)p->width));
    __syncthreads();
}

/* The picture's operations on N pixels: all of them, or those before contrast number `end`. */
template <int N, typename Means>
__device__ __forceinline__ void color(const struct det_picture *p, int end, const Means &means,
                                      float (&pixels)[N][3])
{
    int contrast = 0;
    for (int k = 0; k < p->color_count; k++) {
        float mean[3] = {};
        if (p->colors[k].kind == DET_COLOR_CONTRAST) {
            if (contrast == end)
                return;
#pragma unroll
            for (int c = 0; c < 3; c++)
                mean[c] = means[contrast * 3 + c];
            contrast++;
        }
        det_color_pixels<N>(p->colors[k], mean, pixels);
    }
}

__device__ __forceinline__ void load_pixel(const uint8_t *from, float (&rgb)[3])
{
#pragma unroll
    for (int c = 0; c < 3; c++) {
        DET_CHECK_ACCESS(from + c, 1);
        rgb[c] = (float)from[c];
    }
}

__device__ __forceinline__ void copy_pixel(const float *from, float (&rgb)[3])
{
#pragma unroll
    for (int c = 0; c < 3; c++)
        rgb[c] = det_load_one(from + c);
}

/* --- the means of contrast number `contrast` --- */

static __global__ void __launch_bounds__(THREADS)
    detk_pictures_sum(const struct det_picture *pictures, int contrast, units *sums)
{
    DET_SHARED(float, means, [SUMS]);
    DET_SHARED(units, parts, [3][THREADS]);
    const struct det_picture *p = pictures + blockIdx.y;
    const int t = (int)threadIdx.x;
    if (contrast >= p->contrast_count)
        return;
    take_means(p, sums, contrast, means);
    const uint8_t *from = static_cast<const uint8_t *>(p->pixels);
    const unsigned pixels = (unsigned)p->height * (unsigned)p->width;
    units mine[3] = {};
    for (unsigned i = blockIdx.x * THREADS + threadIdx.x; i < pixels; i += SUM_BLOCKS * THREADS) {
        float rgb[1][3];
        load_pixel(from + (int64_t)i * 3, rgb[0]);
        color<1>(p, contrast, means, rgb);
#pragma unroll
        for (int c = 0; c < 3; c++)
            mine[c] += (units)__fmul_rn(__fdiv_rn(rgb[0][c], 255.0f), DET_COLOR_UNITS);
    }
#pragma unroll
    for (int c = 0; c < 3; c++)
        parts[c][t] = mine[c];
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half)
#pragma unroll
            for (int c = 0; c < 3; c++)
                parts[c][t] = parts[c][t] + parts[c][t + half];
    }
    __syncthreads();
    if (t < 3)
        atomicAdd(&sums[(int64_t)blockIdx.y * SUMS + contrast * 3 + t], (units)parts[t][0]);
}

/* --- the input --- */

/* The pixel at y, x of the frame, of a picture that is to be resized. */
template <typename Means>
__device__ __forceinline__ void blend_pixel(const struct det_picture *p, const Means &means, int y,
                                            int x, float (&rgb)[3])
{
    const det_tap ty = det_tap_at(y, p->height, det_step_of(p->height, p->frame_height));
    const det_tap tx = det_tap_at(x, p->width, det_step_of(p->width, p->frame_width));
    const int64_t top = p->flip_y ? p->height - 1 - ty.low : ty.low;
    const int64_t bottom = p->flip_y ? p->height - 1 - ty.high : ty.high;
    const int left = p->flip_x ? p->width - 1 - tx.low : tx.low;
    const int right = p->flip_x ? p->width - 1 - tx.high : tx.high;
    const uint8_t *from = static_cast<const uint8_t *>(p->pixels);
    float taps[4][3];
    load_pixel(from + (top * p->width + left) * 3, taps[0]);
    load_pixel(from + (top * p->width + right) * 3, taps[1]);
    load_pixel(from + (bottom * p->width + left) * 3, taps[2]);
    load_pixel(from + (bottom * p->width + right) * 3, taps[3]);
    color<4>(p, p->contrast_count, means, taps);
#pragma unroll
    for (int c = 0; c < 3; c++)
        rgb[c] = det_blend(det_blend(taps[0][c], taps[1][c], tx.share),
                           det_blend(taps[2][c], taps[3][c], tx.share), ty.share);
}

/* Of a picture of its frame's size. All shares are 0 there, and a + (b - a) * 0 is a: one pixel is
 * read and coloured, not four. */
template <typename Means>
__device__ __forceinline__ void copy_byte_pixel(const struct det_picture *p, const Means &means,
                                                int y, int x, float (&rgb)[3])
{
    const int64_t row = p->flip_y ? p->height - 1 - y : y;
    const int column = p->flip_x ? p->width - 1 - x : x;
    float own[1][3];
    load_pixel(static_cast<const uint8_t *>(p->pixels) + (row * p->width + column) * 3, own[0]);
    color<1>(p, p->contrast_count, means, own);
#pragma unroll
    for (int c = 0; c < 3; c++)
        rgb[c] = own[0][c];
}

/* A thread makes a pixel. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    detk_pictures_input(const struct det_picture *pictures, const units *sums, int h, int w,
                        int out_h, int out_w, T *out)
{
    DET_SHARED(float, means, [SUMS]);
    const struct det_picture *p = pictures + blockIdx.y;
    take_means(p, sums, p->contrast_count, means);
    const unsigned at = blockIdx.x * THREADS + threadIdx.x;
    const int y = (int)(at / (unsigned)out_w), x = (int)(at % (unsigned)out_w);
    if (y >= out_h)
        return;
    float rgb[3] = {p->outside[0], p->outside[1], p->outside[2]};
    if (y < p->frame_height && x < p->frame_width) {
        if (p->in_float)
            copy_pixel(
                static_cast<const float *>(p->pixels) + ((int64_t)y * p->frame_width + x) * 3, rgb);
        else if (p->height == p->frame_height && p->width == p->frame_width)
            copy_byte_pixel(p, means, y, x, rgb);
        else
            blend_pixel(p, means, y, x, rgb);
    }
    T *to = out + (((int64_t)blockIdx.y * out_h + y) * out_w + x) * 3;
#pragma unroll
    for (int c = 0; c < 3; c++) {
        const float value[1] = {y < h && x < w ? det_normalized(rgb[c]) : 0.0f};
        det_store<T, 1>(to + c, value);
    }
}

template <typename T>
static void launch_input(cudaStream_t stream, const struct det_picture *pictures, int32_t n,
                         int32_t h, int32_t w, int32_t out_h, int32_t out_w, void *out,
                         const units *sums)
{
    const dim3 grid((unsigned)det_ceil_div((int64_t)out_h * out_w, THREADS), (unsigned)n);
    DET_LAUNCH((detk_pictures_input<T>), grid, THREADS, 0, stream, pictures, sums, h, w, out_h,
               out_w, static_cast<T *>(out));
}

cudaError_t detk_pictures(cudaStream_t stream, enum detk_type type,
                          const struct det_picture *pictures, int32_t n, int32_t contrasts,
                          int32_t h, int32_t w, int32_t out_h, int32_t out_w, void *out,
                          void *workspace)
{
    units *sums = static_cast<units *>(workspace);
    if (n == 0)
        return cudaGetLastError();
    if (contrasts > 0) {
        const cudaError_t cleared = cudaMemsetAsync(sums, 0, detk_pictures_workspace(n), stream);
        if (cleared != cudaSuccess)
            return cleared;
    }
    for (int32_t i = 0; i < contrasts; i++)
        DET_LAUNCH(detk_pictures_sum, dim3(SUM_BLOCKS, (unsigned)n), THREADS, 0, stream, pictures,
                   i, sums);
    if (type == DETK_F32)
        launch_input<float>(stream, pictures, n, h, w, out_h, out_w, out, sums);
    else
        launch_input<__nv_bfloat16>(stream, pictures, n, h, w, out_h, out_w, out, sums);
    return cudaGetLastError();
}
