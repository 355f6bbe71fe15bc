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
    int bytes, red, green, blue; /* of a pixel, and where in it its colours are */
};

__device__ __forceinline__ layout layout_of(enum detk_pixels format)
{
    switch (format) {
    case DETK_RGB8:
        return {3, 0, 1, 2};
    case DETK_BGR8:
        return {3, 2, 1, 0};
    case DETK_RGBA8:
        return {4, 0, 1, 2};
    case DETK_BGRA8:
        return {4, 2, 1, 0};
    case DETK_GRAY8:
        break;
    }
    return {1, 0, 0, 0};
}

/* The two pixels of a source row that an output pixel reads, one colour. */
__device__ __forceinline__ float blend_pixels(const uint8_t *left, const uint8_t *right, int colour,
                                              float share)
{
    return det_blend((float)left[colour], (float)right[colour], share);
}

/* A thread makes N adjacent pixels of a row. An image of its frame's size needs no path of its own:
 * all shares are 0 then, and a + (b - a) * 0 is a. */
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
    const det_tap ty = det_tap_at(y, image.height, image.frame_height);
    const uint8_t *top = image.pixels + ty.low * image.stride;
    const uint8_t *bottom = image.pixels + ty.high * image.stride;
    const int colours[3] = {pixel.red, pixel.green, pixel.blue};

    float value[3][N]; /* N pixels of 3 colours, as 3 vectors */
#pragma unroll
    for (int i = 0; i < N; i++) {
        const bool inside = y < image.frame_height && x + i < image.frame_width;
        const det_tap tx =
            inside ? det_tap_at(x + i, image.width, image.frame_width) : det_tap{0, 0, 0};
        const int left = tx.low * pixel.bytes, right = tx.high * pixel.bytes;
#pragma unroll
        for (int k = 0; k < 3; k++) {
            const int at = 3 * i + k;
            value[at / N][at % N] = 0;
            if (inside)
                value[at / N][at % N] = det_normalized(det_blend(
                    blend_pixels(top + left, top + right, colours[k], tx.share),
                    blend_pixels(bottom + left, bottom + right, colours[k], tx.share), ty.share));
        }
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
