/* A thread's tile of dw is 8 columns by 8 rows, or by the 9 of a row of the filter: for 64 products
 * it loads 16 values, so that neither the loads nor the rows' addresses bound it. Threads side by
 * side have the tiles of one row of the operands: what one has loaded the next finds in L1, and
 * from memory each value comes once. */
#include "weight_gradient.h"

#include "reduce.cuh"
#include "vec.cuh"

#define GRADIENT_THREADS  256
#define IMAGE_THREADS     192
#define GRADIENT_RESIDENT 2
/* Blocks wanted: as many as are resident on 132 multiprocessors. */
#define GRADIENT_BLOCKS (132 * GRADIENT_RESIDENT)
/* Rows, and pixels, whose loads a thread has on their way while it multiplies. */
#define AHEAD       2
#define IMAGE_AHEAD 3
/* Rows that a thread sums at least, so that the first stage is worth its second. */
#define GRADIENT_ROWS 64
/* Columns of a tile, and rows of the tile of a plain product. */
#define TILE 8
/* The image's channels, the filter's width and height, and the values of a patch in one row of
 * it. */
#define CHANNELS 3
#define FILTER   3
#define PIECE    (FILTER * CHANNELS)

/* First row and column of this thread's tile, of ROWS rows. */
struct corner {
    int row, column;
};

template <int ROWS> __device__ __forceinline__ struct corner corner_of(int tile, int n)
{
    const int across = (n + TILE - 1) / TILE;
    return {tile / across * ROWS, tile % across * TILE};
}

/* A tile's values of one row of an operand, of which count >= 1 are left from `from` on; a vector
 * divides them, or what is beyond lies in the row as well. Those beyond stay as they are: zero,
 * from before the loop. */
template <typename T>
__device__ __forceinline__ void load_piece(const T *from, int count, float (&values)[TILE])
{
    constexpr int vector = det_vector_of<T>;
#pragma unroll
    for (int i = 0; i < TILE; i += vector) {
        float part[vector];
        if (i > 0 && i >= count)
            continue;
        det_load<T, vector>(from + i, part);
#pragma unroll
        for (int j = 0; j < vector; j++)
            values[i + j] = part[j];
    }
}

__device__ __forceinline__ void add_products(float value, const float (&gradient)[TILE],
                                             float (&sum)[TILE])
{
#pragma unroll
    for (int i = 0; i < TILE; i++)
        sum[i] += value * gradient[i];
}

/* Adds up the threads of a block that have the same tile, in order, and writes the strip's dw, row
 * by row of the tiles. */
template <int ROWS>
__device__ __forceinline__ void write_tiles(const float (&sum)[ROWS][TILE], int k, int n,
                                            float *partial)
{
    DET_SHARED(float, sums, [GRADIENT_THREADS * TILE]); /* [block.y][block.x][TILE] */
    const int width = (int)blockDim.x * TILE;
    const int thread = (int)(threadIdx.y * blockDim.x + threadIdx.x);
    float *const strip = partial + (int64_t)blockIdx.x * k * n;
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
        if (row > 0)
            __syncthreads(); /* the sums before are read */
#pragma unroll
        for (int i = 0; i < TILE; i++)
            sums[thread * TILE + i] = sum[row][i];
        __syncthreads();
        for (int i = thread; i < width; i += (int)(blockDim.x * blockDim.y)) {
            const struct corner at = corner_of<ROWS>((int)(blockIdx.y * blockDim.x) + i / TILE, n);
            const int column = at.column + i % TILE;
            float total = 0;
            for (int y = 0; y < (int)blockDim.y; y++)
                total += sums[y * width + i];
            if (at.row + row < k && column < n)
                strip[(int64_t)(at.row + row) * n + column] = total;
        }
    }
}

/* COUNT rows' loads are on their way before the first is multiplied. */
template <typename T, int COUNT>
__device__ __forceinline__ void add_rows(const T *a, int64_t a_step, int rows, const T *b,
                                         int64_t b_step, int columns, float (&value)[AHEAD][TILE],
                                         float (&gradient)[AHEAD][TILE], float (&sum)[TILE][TILE])
{
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        load_piece<T>(a + i * a_step, rows, value[i]);
        load_piece<T>(b + i * b_step, columns, gradient[i]);
    }
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
#pragma unroll
        for (int j = 0; j < TILE; j++)
            add_products(value[i][j], gradient[i], sum[j]);
    }
}

template <typename T>
__global__ void __launch_bounds__(GRADIENT_THREADS, GRADIENT_RESIDENT)
    detk_weight_gradient_rows(const struct det_strips strips, int k, int n, int in_stride,
                              const T *in, const T *dout, float *partial)
{
    const struct corner at = corner_of<TILE>(det_tile_vector(), n);
    const int64_t end = at.row < k ? det_strip_end(strips) : 0;
    const int step = (int)blockDim.y, rows = k - at.row, columns = n - at.column;
    int64_t row = det_strip_begin(strips) + threadIdx.y;
    const T *a = in + row * in_stride + at.row, *b = dout + row * n + at.column;
    const int64_t a_step = (int64_t)step * in_stride, b_step = (int64_t)step * n;

    float sum[TILE][TILE] = {}, value[AHEAD][TILE] = {}, gradient[AHEAD][TILE] = {};
    for (; row + (AHEAD - 1) * step < end; row += AHEAD * step) {
        add_rows<T, AHEAD>(a, a_step, rows, b, b_step, columns, value, gradient, sum);
        a += AHEAD * a_step;
        b += AHEAD * b_step;
    }
    for (; row < end; row += step) {
        add_rows<T, 1>(a, a_step, rows, b, b_step, columns, value, gradient, sum);
        a += a_step;
        b += b_step;
    }
    write_tiles<TILE>(sum, k, n, partial);
}

/* What a patch has in one row of the image, from pixel `left` on; WHOLE: all of it lies in the
 * image. */
template <typename T, bool WHOLE>
__device__ __forceinline__ void load_pixels(const T *row, int left, int width,
                                            float (&values)[PIECE])
{
    const T *from = row + (int64_t)left * CHANNELS;
#pragma unroll
    for (int i = 0; i < PIECE; i++) {
        float one[1];
        if (!WHOLE && !det_inside(left + i / CHANNELS, width))
            continue;
        det_load<T, 1>(from + i, one);
        values[i] = one[0];
    }
}

/* COUNT pixels of a row of outputs, `step` apart. Padding takes part in nothing: a gradient there
 * that is NaN is not multiplied by zero. */
template <typename T, int COUNT, bool WHOLE>
__device__ __forceinline__ void
add_pixels(const T *pixels, int left, int left_step, int width, const T *from, int64_t from_step,
           int columns, float (&gradient)[IMAGE_AHEAD][TILE], float (&sum)[PIECE][TILE])
{
    float value[COUNT][PIECE];
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        load_pixels<T, WHOLE>(pixels, left + i * left_step, width, value[i]);
        load_piece<T>(from + i * from_step, columns, gradient[i]);
    }
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
#pragma unroll
        for (int j = 0; j < PIECE; j++)
            if (WHOLE || det_inside(left + i * left_step + j / CHANNELS, width))
                add_products(value[i][j], gradient[i], sum[j]);
    }
}

/* A thread has a row of the filter, a tile's columns, and every blockDim.y-th pixel of the strip's
 * rows of outputs. */
template <typename T>
__global__ void __launch_bounds__(IMAGE_THREADS, GRADIENT_RESIDENT)
    detk_image_weight_gradient_rows(const struct det_strips strips, const struct det_conv_shape s,
                                    const T *in, const T *dout, float *partial)
{
    const int n = s.out_c, step = (int)blockDim.y, left_step = step * s.stride;
    const struct corner at = corner_of<PIECE>(det_tile_vector(), n);
    const int end = at.row < FILTER * PIECE ? (int)det_strip_end(strips) : 0;
    const int columns = n - at.column;

    float sum[PIECE][TILE] = {}, gradient[IMAGE_AHEAD][TILE] = {};
    for (int line = (int)det_strip_begin(strips); line < end; line++) {
        const int iy = line % s.out_h * s.stride - s.pad_top + at.row / PIECE;
        if (!det_inside(iy, s.in_h))
            continue;
        const int64_t in_row = (int64_t)(line / s.out_h) * s.in_h + iy;
        const T *pixels = in + in_row * s.in_w * CHANNELS;
        const T *from = dout + ((int64_t)line * s.out_w + threadIdx.y) * n + at.column;
        int ox = (int)threadIdx.y, left = ox * s.stride - s.pad_left;
        while (ox < s.out_w) {
            const bool several = ox + (IMAGE_AHEAD - 1) * step < s.out_w && left >= 0 &&
                                 left + (IMAGE_AHEAD - 1) * left_step + FILTER <= s.in_w;
            const int count = several ? IMAGE_AHEAD : 1;
            if (several)
                add_pixels<T, IMAGE_AHEAD, true>(pixels, left, left_step, s.in_w, from,
                                                 (int64_t)step * n, columns, gradient, sum);
            else
                add_pixels<T, 1, false>(pixels, left, left_step, s.in_w, from, 0, columns, gradient,
                                        sum);
            ox += count * step;
            left += count * left_step;
            from += (int64_t)count * step * n;
        }
    }
    write_tiles<PIECE>(sum, FILTER * PIECE, n, partial);
}

static int32_t tiles_of(int32_t k, int32_t n, int32_t tile_rows)
{
    return (int32_t)(det_ceil_div(k, tile_rows) * det_ceil_div(n, TILE));
}

static struct det_strips product_strips(int64_t rows, int32_t k, int32_t n)
{
    return det_strips_of(rows, tiles_of(k, n, TILE), GRADIENT_THREADS, GRADIENT_THREADS,
                         GRADIENT_BLOCKS, GRADIENT_ROWS);
}

/* Strips of whole rows of outputs. */
static struct det_strips image_strips(const struct det_conv_shape *s)
{
    struct det_strips strips =
        det_strips_of((int64_t)s->n * s->out_h, tiles_of(FILTER * PIECE, s->out_c, PIECE),
                      IMAGE_THREADS, IMAGE_THREADS, 1, 1);
    const int64_t wanted = det_ceil_div(GRADIENT_BLOCKS, strips.tile.channel_blocks);
    strips.strip_rows = det_ceil_div(strips.rows, wanted);
    strips.strips = strips.rows > 0 ? (int32_t)det_ceil_div(strips.rows, strips.strip_rows) : 1;
    return strips;
}

static cudaError_t add_up(cudaStream_t stream, const struct det_strips &strips, int32_t count,
                          const float *partial, float *dw, bool accumulate)
{
    const cudaError_t error = cudaGetLastError();
    return error != cudaSuccess ? error
                                : det_add_strips(stream, strips.strips, count, partial, count, dw,
                                                 nullptr, accumulate);
}

template <typename T>
static cudaError_t launch_rows(cudaStream_t stream, int64_t rows, int32_t k, int32_t n,
                               const void *in, int32_t in_stride, const void *dout, float *dw,
                               bool accumulate, float *partial)
{
    const struct det_strips strips = product_strips(rows, k, n);
    DET_LAUNCH((detk_weight_gradient_rows<T>), det_strips_grid(strips), strips.tile.block, 0,
               stream, strips, k, n, in_stride, static_cast<const T *>(in),
               static_cast<const T *>(dout), partial);
    return add_up(stream, strips, k * n, partial, dw, accumulate);
}

template <typename T>
static cudaError_t launch_image(cudaStream_t stream, const struct det_conv_shape *s, const void *in,
                                const void *dout, float *dw, bool accumulate, float *partial)
{
    const struct det_strips strips = image_strips(s);
    DET_LAUNCH((detk_image_weight_gradient_rows<T>), det_strips_grid(strips), strips.tile.block, 0,
               stream, strips, *s, static_cast<const T *>(in), static_cast<const T *>(dout),
               partial);
    return add_up(stream, strips, FILTER * PIECE * s->out_c, partial, dw, accumulate);
}

size_t detk_weight_gradient_workspace(int64_t rows, int32_t k, int32_t n)
{
    return (size_t)product_strips(rows, k, n).strips * (size_t)k * (size_t)n * sizeof(float);
}

size_t detk_image_weight_gradient_workspace(const struct det_conv_shape *shape)
{
    return (size_t)image_strips(shape).strips * FILTER * PIECE * (size_t)shape->out_c *
           sizeof(float);
}

cudaError_t detk_weight_gradient(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t k,
                                 int32_t n, const void *in, int32_t in_stride, const void *dout,
                                 float *dw, bool accumulate, void *workspace)
{
    const auto run = type == DETK_F32 ? launch_rows<float> : launch_rows<__nv_bfloat16>;
    return run(stream, rows, k, n, in, in_stride, dout, dw, accumulate,
               static_cast<float *>(workspace));
}

cudaError_t detk_image_weight_gradient(cudaStream_t stream, enum detk_type type,
                                       const struct det_conv_shape *shape, const void *in,
                                       const void *dout, float *dw, bool accumulate,
                                       void *workspace)
{
    const auto run = type == DETK_F32 ? launch_image<float> : launch_image<__nv_bfloat16>;
    return run(stream, shape, in, dout, dw, accumulate, static_cast<float *>(workspace));
}
