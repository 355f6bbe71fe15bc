/* Mean and variance per channel without cancellation: each thread keeps Welford's mean and sum of
 * squared distances of its rows; the pairs are merged in a fixed order, first in the block, then
 * over the blocks. */
#include "bn.cuh"

/* Of `count` rows so far. */
struct moments {
    float count, mean, distances; /* sum of (x - mean)^2 */
};

/* Adds what other rows gave (Chan, Golub, LeVeque). */
__device__ __forceinline__ void merge(struct moments &a, float count, float mean, float distances)
{
    if (count == 0)
        return;
    const float total = a.count + count, share = count / total, delta = mean - a.mean;
    a.mean += delta * share;
    a.distances += distances + delta * delta * a.count * share;
    a.count = total;
}

/* Rows y, y + step, ... below `rows`. */
__device__ __forceinline__ float rows_of(int64_t rows, int y, int step)
{
    return rows > y ? (float)((rows - y + step - 1) / step) : 0.0f;
}

/* partial [strip][2][c]: mean and sum of squared distances. With one strip that is the result, the
 * sum divided by `rows`. */
template <typename T, int N>
__global__ void __launch_bounds__(BN_THREADS, BN_RESIDENT)
    detk_bn_strip_moments(const struct det_strips strips, int c, const T *in, float *mean_out,
                          float *variance_out, float *partial)
{
    DET_DYNAMIC_SHARED(float, shared); /* [2][block.y][block.x][N] */
    const int width = (int)blockDim.x * N, height = (int)blockDim.y, y = (int)threadIdx.y;
    const int channel = det_tile_vector() * N;
    const int64_t begin = det_strip_begin(strips), end = det_strip_end(strips);
    float mean[N] = {}, distances[N] = {}, count = 0;
    for (int64_t row = begin + y; channel < c && row < end; row += height) {
        float value[N];
        det_load<T, N>(in + row * c + channel, value);
        count += 1;
        const float share = 1.0f / count;
#pragma unroll
        for (int i = 0; i < N; i++) {
            const float delta = value[i] - mean[i];
            mean[i] += delta * share;
            distances[i] += delta * (value[i] - mean[i]);
        }
    }
#pragma unroll
    for (int i = 0; i < N; i++) {
        const int at = y * width + (int)threadIdx.x * N + i;
        shared[at] = mean[i];
        shared[height * width + at] = distances[i];
    }
    __syncthreads();
    const int thread = y * (int)blockDim.x + (int)threadIdx.x;
    for (int i = thread; i < width; i += (int)blockDim.x * height) {
        const int k = (int)blockIdx.y * width + i;
        if (k >= c)
            continue;
        struct moments all = {0, 0, 0};
        for (int other = 0; other < height; other++)
            merge(all, rows_of(end - begin, other, height), shared[other * width + i],
                  shared[height * width + other * width + i]);
        if (strips.strips == 1) {
            mean_out[k] = all.mean;
            variance_out[k] = all.distances / (float)strips.rows;
        } else {
            partial[(int64_t)blockIdx.x * 2 * c + k] = all.mean;
            partial[((int64_t)blockIdx.x * 2 + 1) * c + k] = all.distances;
        }
    }
}

/* The strips' pairs: every DET_STRIPS_Y-th by one thread, then those. */
static __global__ void __launch_bounds__(DET_STRIPS_X *DET_STRIPS_Y)
    detk_bn_merge_moments(const struct det_strips strips, int c, const float *partial, float *mean,
                          float *variance)
{
    DET_SHARED(float, counts, [DET_STRIPS_Y]);
    DET_SHARED(float, means, [DET_STRIPS_Y][DET_STRIPS_X]);
    DET_SHARED(float, distances, [DET_STRIPS_Y][DET_STRIPS_X]);
    const int x = (int)threadIdx.x, y = (int)threadIdx.y;
    const int k = (int)blockIdx.x * DET_STRIPS_X + x;
    struct moments some = {0, 0, 0};
    for (int strip = y; k < c && strip < strips.strips; strip += DET_STRIPS_Y) {
        const int64_t begin = (int64_t)strip * strips.strip_rows, left = strips.rows - begin;
        merge(some, (float)(left < strips.strip_rows ? left : strips.strip_rows),
              partial[(int64_t)strip * 2 * c + k], partial[((int64_t)strip * 2 + 1) * c + k]);
    }
    if (x == 0) /* channel k < c: the same for all x that matter */
        counts[y] = some.count;
    means[y][x] = some.mean;
    distances[y][x] = some.distances;
    __syncthreads();
    if (y != 0 || k >= c)
        return;
    struct moments all = {0, 0, 0};
    for (int other = 0; other < DET_STRIPS_Y; other++)
        merge(all, counts[other], means[other][x], distances[other][x]);
    mean[k] = all.mean;
    variance[k] = all.distances / (float)strips.rows;
}

template <typename T, int N>
static cudaError_t launch_statistics(cudaStream_t stream, int64_t rows, int32_t c, const T *in,
                                     float *mean, float *variance, float *partial)
{
    const struct det_strips strips = bn_strips(rows, c, N);
    const size_t shared = (size_t)strips.tile.block.x * strips.tile.block.y * N * 2 * sizeof(float);
    DET_LAUNCH((detk_bn_strip_moments<T, N>), det_strips_grid(strips), strips.tile.block, shared,
               stream, strips, c, in, mean, variance, partial);
    if (strips.strips > 1)
        DET_LAUNCH(detk_bn_merge_moments, dim3((unsigned)det_ceil_div(c, DET_STRIPS_X)),
                   dim3(DET_STRIPS_X, DET_STRIPS_Y), 0, stream, strips, c, partial, mean, variance);
    return cudaGetLastError();
}

template <typename T>
static cudaError_t statistics(cudaStream_t stream, int64_t rows, int32_t c, const void *in,
                              float *mean, float *variance, void *workspace)
{
    const T *from = static_cast<const T *>(in);
    float *partial = static_cast<float *>(workspace);
    return bn_vector<T>(c) > 1
               ? launch_statistics<T, det_vector_of<T>>(stream, rows, c, from, mean, variance,
                                                        partial)
               : launch_statistics<T, 1>(stream, rows, c, from, mean, variance, partial);
}

/* Two floats a channel and strip, for the split with the most strips. */
size_t detk_bn_workspace(int64_t rows, int32_t c)
{
    const int vectors[] = {1, bn_vector<float>(c), bn_vector<__nv_bfloat16>(c)};
    int32_t strips = 0;
    for (const int vector : vectors) {
        const int32_t some = bn_strips(rows, c, vector).strips;
        strips = some > strips ? some : strips;
    }
    return (size_t)strips * 2 * (size_t)c * sizeof(float);
}

cudaError_t detk_bn_statistics(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t c,
                               const void *in, float *mean, float *variance, void *workspace)
{
    if (rows == 0 || c == 0)
        return cudaSuccess;
    return type == DETK_F32
               ? statistics<float>(stream, rows, c, in, mean, variance, workspace)
               : statistics<__nv_bfloat16>(stream, rows, c, in, mean, variance, workspace);
}
