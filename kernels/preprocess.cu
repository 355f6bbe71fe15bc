#include "preprocess.h"

#include "resize.cuh"

#define PREPROCESS_THREADS 256

/* Values of a vector, or 1 where rows are not whole vectors. */
#define PREPROCESS_VECTOR 4

/* What a network in 8 bits reads: det_q8_grey_level() of a normalised value, less 128. */
struct grey_level {
    int8_t value;
};

template <> __device__ __forceinline__ grey_level det_from_float<grey_level>(float value)
{
    const float level = floorf(__fadd_rn(__fmul_rn(value, 127.5f), 128.0f));
    return {(int8_t)((int)(level >= 255.0f ? 255.0f : level > 0.0f ? level : 0.0f) - 128)};
}

/* --- from pixels --- */

struct layout {
    int bytes; /* of a pixel */
    bool grey, blue_first;
};

__device__ __forceinline__ layout layout_of(enum detk_pixels format)
{
    return {format == DETK_GRAY8                           ? 1
            : format == DETK_RGBA8 || format == DETK_BGRA8 ? 4
                                                           : 3,
            format == DETK_GRAY8, format == DETK_BGR8 || format == DETK_BGRA8};
}

/* A pixel's three values in the order that they stand in. */
__device__ __forceinline__ void load_values(const uint8_t *at, bool grey, float (&values)[3])
{
    const uint32_t first = at[0], second = grey ? first : at[1], third = grey ? first : at[2];
    values[0] = (float)first;
    values[1] = (float)second;
    values[2] = (float)third;
}

/* What an output pixel of column x reads of a row, blended. */
__device__ __forceinline__ void blend_row(const uint8_t *row, const layout &pixel,
                                          const det_tap &tx, float (&values)[3])
{
    float right[3];
    load_values(row + tx.low * pixel.bytes, pixel.grey, values);
    load_values(row + tx.high * pixel.bytes, pixel.grey, right);
#pragma unroll
    for (int k = 0; k < 3; k++)
        values[k] = det_blend(values[k], right[k], tx.share);
}

/* N adjacent pixels of the frame from x, y on; beyond its end the last one again: no branches, so
 * that all loads are on their way together. */
template <int N>
__device__ __forceinline__ void resize_pixels(const struct detk_image &image, const layout &pixel,
                                              int y, int x, float (&values)[N][3])
{
    const float step = det_step_of(image.width, image.frame_width);
    const det_tap ty = det_tap_at(y, image.height, det_step_of(image.height, image.frame_height));
    const uint8_t *top = image.pixels + ty.low * image.stride;
    const uint8_t *bottom = image.pixels + ty.high * image.stride;
#pragma unroll
    for (int i = 0; i < N; i++) {
        const det_tap tx = det_tap_at(min(x + i, image.frame_width - 1), image.width, step);
        float below[3];
        blend_row(top, pixel, tx, values[i]);
        blend_row(bottom, pixel, tx, below);
#pragma unroll
        for (int k = 0; k < 3; k++)
            values[i][k] = det_blend(values[i][k], below[k], ty.share);
    }
}

/* A thread makes N adjacent pixels of a row. In an image of its frame's size all shares are 0, and
 * a + (b - a) * 0 is a: one pixel is read there, not four. */
template <typename T, int N>
__global__ void __launch_bounds__(PREPROCESS_THREADS)
    detk_preprocess_image(const struct detk_image *images, int out_h, int out_w, T *out)
{
    const struct detk_image image = images[blockIdx.y];
    const unsigned first = (blockIdx.x * PREPROCESS_THREADS + threadIdx.x) * N;
    const int y = (int)(first / (unsigned)out_w), x = (int)(first % (unsigned)out_w);
    if (y >= out_h)
        return;
    const layout pixel = layout_of(image.format);
    const bool as_it_is = image.height == image.frame_height && image.width == image.frame_width;
    const int inside = y < image.frame_height ? min(image.frame_width - x, N) : 0;

    float values[N][3] = {};
    if (inside == N && as_it_is) {
        const uint8_t *from = image.pixels + y * image.stride + x * pixel.bytes;
#pragma unroll
        for (int i = 0; i < N; i++)
            load_values(from + i * pixel.bytes, pixel.grey, values[i]);
    } else if (inside > 0) {
        resize_pixels<N>(image, pixel, y, x, values);
    }
    float value[3][N]; /* as 3 vectors */
#pragma unroll
    for (int i = 0; i < N; i++)
#pragma unroll
        for (int k = 0; k < 3; k++) {
            const int at = 3 * i + k;
            const float own = det_normalized(pixel.blue_first ? values[i][2 - k] : values[i][k]);
            value[at / N][at % N] = i < inside ? own : 0;
        }
    T *to = out + (((int64_t)blockIdx.y * out_h + y) * out_w + x) * 3;
#pragma unroll
    for (int v = 0; v < 3; v++)
        det_store<T, N>(to + v * N, value[v]);
}

template <typename T, int N>
static void launch_images(cudaStream_t stream, const struct detk_image *images, int32_t n,
                          int32_t out_h, int32_t out_w, void *out)
{
    const unsigned groups = (unsigned)out_h * (unsigned)(out_w / N);
    const dim3 grid((groups + PREPROCESS_THREADS - 1) / PREPROCESS_THREADS, (unsigned)n);
    DET_LAUNCH((detk_preprocess_image<T, N>), grid, PREPROCESS_THREADS, 0, stream, images, out_h,
               out_w, static_cast<T *>(out));
}

template <typename T>
static void preprocess(cudaStream_t stream, const struct detk_image *images, int32_t n,
                       int32_t out_h, int32_t out_w, void *out)
{
    if (out_w % PREPROCESS_VECTOR == 0)
        launch_images<T, PREPROCESS_VECTOR>(stream, images, n, out_h, out_w, out);
    else
        launch_images<T, 1>(stream, images, n, out_h, out_w, out);
}

cudaError_t detk_preprocess(cudaStream_t stream, enum detk_type type,
                            const struct detk_image *images, int32_t n, int32_t out_h,
                            int32_t out_w, void *out)
{
    if (n == 0)
        return cudaGetLastError();
    if (type == DETK_F32)
        preprocess<float>(stream, images, n, out_h, out_w, out);
    else
        preprocess<__nv_bfloat16>(stream, images, n, out_h, out_w, out);
    return cudaGetLastError();
}

cudaError_t detk_preprocess_q8(cudaStream_t stream, const struct detk_image *images, int32_t n,
                               int32_t out_h, int32_t out_w, int8_t *out)
{
    if (n > 0)
        preprocess<grey_level>(stream, images, n, out_h, out_w, out);
    return cudaGetLastError();
}

/* --- from resized images --- */

/* A thread makes N adjacent values of a row; `width` and `out_width` are values of a row, 3 a
 * pixel. */
template <typename T, int N>
__global__ void __launch_bounds__(PREPROCESS_THREADS)
    detk_normalize_rows(const float *images, int n, int h, int width, int out_h, int out_width,
                        T *out)
{
    const int64_t at = ((int64_t)blockIdx.x * PREPROCESS_THREADS + threadIdx.x) * N;
    const int64_t row = at / out_width;
    const int x = (int)(at - row * out_width), image = (int)(row / out_h);
    const int y = (int)(row - (int64_t)image * out_h);
    if (image >= n)
        return;
    float value[N] = {0};
    if (y < h && x < width) {
        det_load<float, N>(images + ((int64_t)image * h + y) * width + x, value);
#pragma unroll
        for (int i = 0; i < N; i++)
            value[i] = det_normalized(value[i]);
    }
    det_store<T, N>(out + at, value);
}

template <typename T, int N>
static void launch_rows(cudaStream_t stream, const float *images, int32_t n, int32_t h,
                        int32_t width, int32_t out_h, int32_t out_width, void *out)
{
    const int64_t groups = (int64_t)n * out_h * (out_width / N);
    DET_LAUNCH((detk_normalize_rows<T, N>),
               (unsigned)((groups + PREPROCESS_THREADS - 1) / PREPROCESS_THREADS),
               PREPROCESS_THREADS, 0, stream, images, n, h, width, out_h, out_width,
               static_cast<T *>(out));
}

template <typename T>
static void normalize(cudaStream_t stream, const float *images, int32_t n, int32_t h, int32_t w,
                      int32_t out_h, int32_t out_w, void *out)
{
    if (w % PREPROCESS_VECTOR == 0 && out_w % PREPROCESS_VECTOR == 0)
        launch_rows<T, PREPROCESS_VECTOR>(stream, images, n, h, 3 * w, out_h, 3 * out_w, out);
    else
        launch_rows<T, 1>(stream, images, n, h, 3 * w, out_h, 3 * out_w, out);
}

cudaError_t detk_normalize(cudaStream_t stream, enum detk_type type, const float *images, int32_t n,
                           int32_t h, int32_t w, int32_t out_h, int32_t out_w, void *out)
{
    if (n == 0)
        return cudaGetLastError();
    if (type == DETK_F32)
        normalize<float>(stream, images, n, h, w, out_h, out_w, out);
    else
        normalize<__nv_bfloat16>(stream, images, n, h, w, out_h, out_w, out);
    return cudaGetLastError();
}

cudaError_t detk_normalize_q8(cudaStream_t stream, const float *images, int32_t n, int32_t h,
                              int32_t w, int32_t out_h, int32_t out_w, int8_t *out)
{
    if (n > 0)
        normalize<grey_level>(stream, images, n, h, w, out_h, out_w, out);
    return cudaGetLastError();
}
