/* Mean and variance per channel without cancellation. A thread sums its rows as distances from the
 * first of them: since that is one of the values, the sum of squared distances is at most about as
 * many times that from the mean as it has rows. Of the threads of a block, and of the strips, the
 * mean of all comes first, from that of one, so that equal values give just that, and then the
 * distances from it. In an order that the sizes give. */
#include "bn.cuh"

/* Mean, and sum of squared distances from it, of one thread's rows. */
template <typename T, int N>
__device__ __forceinline__ void thread_moments(const T *from, unsigned step, int count,
                                               float (&mean)[N], float (&distances)[N])
{
    bn_row<T, N> rows[BN_AHEAD];
    float first[N], sum[N] = {}, square[N] = {};
    bn_load_rows<T, N>(from, step, count, rows);
    bn_unpack<T, N>(rows[0], first);
    for (int left = count; left > 0;) {
#pragma unroll
        for (int k = 0; k < BN_AHEAD; k++) {
            float value[N];
            if (k >= left)
                break;
            bn_unpack<T, N>(rows[k], value);
#pragma unroll
            for (int i = 0; i < N; i++) {
                const float off = value[i] - first[i];
                sum[i] += off;
                square[i] += off * off;
            }
        }
        left -= BN_AHEAD;
        from += (int64_t)step * BN_AHEAD;
        bn_load_rows<T, N>(from, step, left, rows);
    }
    const float share = 1.0f / (float)count;
#pragma unroll
    for (int i = 0; i < N; i++) {
        const float off = sum[i] * share;
        mean[i] = first[i] + off;
        distances[i] = square[i] - sum[i] * off;
    }
}

/* partial [strip][2][c]: mean and sum of squared distances. With one strip that is the result, the
 * sum divided by `rows`. */
template <typename T, int N>
__global__ void __launch_bounds__(BN_THREADS, BN_RESIDENT)
    detk_bn_strip_moments(const struct det_strips strips, int c, const T *in, float *mean_out,
                          float *variance_out, float *partial)
{
    DET_DYNAMIC_SHARED(float, sums); /* [block.y][block.x][N] */
    DET_SHARED(float, start, [BN_LANES * N]);
    const int at = (int)threadIdx.x * N, channel = det_tile_vector() * N;
    const int count = channel < c ? det_strip_count(strips) : 0;
    float mean[N] = {}, distances[N] = {}, sum[1][N];
    if (count > 0)
        thread_moments<T, N>(in + (det_strip_begin(strips) + threadIdx.y) * c + channel, bn_step(c),
                             count, mean, distances);
#pragma unroll
    for (int i = 0; i < N; i++)
        if (threadIdx.y == 0)
            start[at + i] = mean[i];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < N; i++) {
        mean[i] -= start[at + i];
        sum[0][i] = count > 0 ? (float)count * mean[i] : 0.0f;
    }
    det_sum_block<1, N>(sum, sums);
    const float rows = (float)(det_strip_end(strips) - det_strip_begin(strips));
    const float share = 1.0f / rows;
    const int i = bn_thread(), k = bn_own_channel<N>(c);
    const float strip_mean = k < 0 ? 0.0f : start[i] + sums[i] * share;
#pragma unroll
    for (int j = 0; j < N; j++) {
        const float off = mean[j] - sums[at + j] * share;
        sum[0][j] = count > 0 ? distances[j] + (float)count * off * off : 0.0f;
    }
    __syncthreads(); /* the first sums are read */
    det_sum_block<1, N>(sum, sums);
    if (k < 0)
        return;
    const float strip_distances = sums[i];
    if (strips.strips == 1) {
        mean_out[k] = strip_mean;
        variance_out[k] = strip_distances * share;
    } else {
        partial[(int64_t)blockIdx.x * 2 * c + k] = strip_mean;
        partial[((int64_t)blockIdx.x * 2 + 1) * c + k] = strip_distances;
    }
}

/* The strips' pairs: the mean of all, then the distances from it. */
static __global__ void __launch_bounds__(DET_STRIPS_THREADS, 1)
    detk_bn_merge_moments(const struct det_strips strips, int c, const float *partial, float *mean,
                          float *variance)
{
    DET_SHARED(float, totals, [DET_STRIPS_THREADS]);
    DET_SHARED(float, squares, [DET_STRIPS_THREADS]);
    const int k = (int)(blockIdx.x * blockDim.x + threadIdx.x), y = (int)threadIdx.y;
    const int lanes = (int)blockDim.y, ahead = DET_STRIPS_AHEAD * lanes;
    const int end = k < c ? strips.strips : 0;
    const unsigned step = (unsigned)lanes * 2 * (unsigned)c; /* less than the workspace */
    const float *const mine = partial + (int64_t)y * 2 * c + k;
    const float rows = (float)strips.rows, share = 1.0f / rows;
    const float start = k < c ? partial[k] : 0.0f;
    const float whole = (float)strips.strip_rows;
    const float last = (float)(strips.rows - (strips.strips - 1) * strips.strip_rows);

    float total = 0, distances = 0;
    const float *from = mine;
    for (int strip = y; strip < end; strip += ahead) {
        float means[DET_STRIPS_AHEAD], some[DET_STRIPS_AHEAD];
#pragma unroll
        for (int j = 0; j < DET_STRIPS_AHEAD; j++) {
            const bool there = strip + j * lanes < end;
            means[j] = there ? from[(int64_t)step * j] : start;
            some[j] = there ? from[(int64_t)step * j + c] : 0.0f;
        }
#pragma unroll
        for (int j = 0; j < DET_STRIPS_AHEAD; j++) {
            total += (strip + j * lanes < end - 1 ? whole : last) * (means[j] - start);
            distances += some[j];
        }
        from += (int64_t)step * DET_STRIPS_AHEAD;
    }
    const float all = start + det_sum_lanes(totals, total) * share;

    from = mine;
    for (int strip = y; strip < end; strip += ahead) {
        float means[DET_STRIPS_AHEAD];
#pragma unroll
        for (int j = 0; j < DET_STRIPS_AHEAD; j++)
            means[j] = strip + j * lanes < end ? from[(int64_t)step * j] : all;
#pragma unroll
        for (int j = 0; j < DET_STRIPS_AHEAD; j++) {
            const float from_all = means[j] - all;
            distances += (strip + j * lanes < end - 1 ? whole : last) * from_all * from_all;
        }
        from += (int64_t)step * DET_STRIPS_AHEAD;
    }
    distances = det_sum_lanes(squares, distances);
    if (threadIdx.y != 0 || k >= c)
        return;
    mean[k] = all;
    variance[k] = distances * share;
}

template <typename T, int N>
static cudaError_t launch_statistics(cudaStream_t stream, int64_t rows, int32_t c, const T *in,
                                     float *mean, float *variance, float *partial)
{
    const struct det_strips strips = bn_strips(rows, c, N, BN_RESIDENT);
    const size_t shared = (size_t)strips.tile.block.x * strips.tile.block.y * N * sizeof(float);
    DET_LAUNCH((detk_bn_strip_moments<T, N>), det_strips_grid(strips), strips.tile.block, shared,
               stream, strips, c, in, mean, variance, partial);
    if (strips.strips > 1) {
        const dim3 block = det_strips_block(strips.strips);
        DET_LAUNCH(detk_bn_merge_moments, dim3((unsigned)det_ceil_div(c, block.x)), block, 0,
                   stream, strips, c, partial, mean, variance);
    }
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
        const int32_t some = bn_strips(rows, c, vector, BN_RESIDENT).strips;
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
