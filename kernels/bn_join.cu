/* Batch norms of several ranks become one: a thread a channel, over the ranks in their order. */
#include "bn.cuh"

static __global__ void __launch_bounds__(BN_THREADS)
    detk_bn_join_moments(int ranks, int c, const float *all, float *mean, float *variance)
{
    const int k = (int)(blockIdx.x * BN_THREADS + threadIdx.x);
    if (k >= c)
        return;
    double middle = 0, distances = 0;
    for (int r = 0; r < ranks; r++)
        middle += (double)all[(int64_t)2 * c * r + k];
    middle /= ranks;
    for (int r = 0; r < ranks; r++) {
        const double off = (double)all[(int64_t)2 * c * r + k] - middle;
        distances += (double)all[(int64_t)2 * c * r + c + k] + off * off;
    }
    mean[k] = (float)middle;
    variance[k] = (float)(distances / ranks);
}

static __global__ void __launch_bounds__(BN_THREADS)
    detk_bn_join_shares(int ranks, int c, const float *all, float *first, float *second)
{
    const int k = (int)(blockIdx.x * BN_THREADS + threadIdx.x);
    if (k >= c)
        return;
    double a = 0, b = 0;
    for (int r = 0; r < ranks; r++) {
        a += (double)all[(int64_t)2 * c * r + k];
        b += (double)all[(int64_t)2 * c * r + c + k];
    }
    first[k] = (float)(a / ranks);
    second[k] = (float)(b / ranks);
}

static dim3 join_blocks(int32_t c)
{
    return dim3((unsigned)det_ceil_div(c, BN_THREADS));
}

cudaError_t detk_bn_join_statistics(cudaStream_t stream, int32_t ranks, int32_t c, const float *all,
                                    float *mean, float *variance)
{
    if (c == 0)
        return cudaSuccess;
    DET_LAUNCH(detk_bn_join_moments, join_blocks(c), dim3(BN_THREADS), 0, stream, (int)ranks,
               (int)c, all, mean, variance);
    return cudaGetLastError();
}

cudaError_t detk_bn_join_sums(cudaStream_t stream, int32_t ranks, int32_t c, const float *all,
                              float *first, float *second)
{
    if (c == 0)
        return cudaSuccess;
    DET_LAUNCH(detk_bn_join_shares, join_blocks(c), dim3(BN_THREADS), 0, stream, (int)ranks, (int)c,
               all, first, second);
    return cudaGetLastError();
}
