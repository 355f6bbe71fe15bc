/* Moving statistics of all batch norms in one launch: a block for each run of entries that share
 * them. */
#include "bn.cuh"

static __device__ __forceinline__ float moved(float moving, float statistic, float rate)
{
    return __fsub_rn(moving, __fmul_rn(__fsub_rn(moving, statistic), rate));
}

static __global__ void __launch_bounds__(BN_THREADS)
    detk_bn_move(const struct detk_bn_moving *entries, const int32_t *heads, const int32_t *finite)
{
    if (finite != nullptr && *finite == 0)
        return;
    const int first = heads[blockIdx.x], end = heads[blockIdx.x + 1];
    const struct detk_bn_moving shared = entries[first];
    for (int k = (int)threadIdx.x; k < shared.c; k += BN_THREADS) {
        float mean = shared.moving_mean[k], variance = shared.moving_variance[k];
        for (int e = first; e < end; e++) {
            const struct detk_bn_moving entry = entries[e];
            mean = moved(mean, entry.mean[k], entry.rate);
            variance = moved(variance, __fmul_rn(entry.variance[k], entry.unbiased), entry.rate);
        }
        shared.moving_mean[k] = mean;
        shared.moving_variance[k] = variance;
    }
}

cudaError_t detk_bn_update_moving(cudaStream_t stream, const struct detk_bn_moving *entries,
                                  const int32_t *heads, int32_t runs, const int32_t *finite)
{
    if (runs == 0)
        return cudaSuccess;
    DET_LAUNCH(detk_bn_move, dim3((unsigned)runs), dim3(BN_THREADS), 0, stream, entries, heads,
               finite);
    return cudaGetLastError();
}
