/* The sums of several ranks' gradients become their means; in optimizer.h. */
#include "block_sum.cuh"
#include "optimizer.cuh"

/* Means in the sums' place, and their squares [chunk]. */
static __global__ void __launch_bounds__(OPTIMIZER_THREADS)
    detk_mean_chunk(const struct detk_chunk *chunks, float share,
                    const struct detk_step_result *step, float *gradients, double *squares)
{
    const struct detk_chunk chunk = chunks[blockIdx.x];
    const bool taken = chunk.trainable != 0 && step->finite != 0;
    struct det_two_sums mine = {0, 0};
    det_each_of_chunk(chunk, [&](int64_t at, int whole) {
        float gradient[4];
        if (!taken)
            return;
        det_load_four(gradients + at, whole, gradient);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            gradient[i] = __fmul_rn(gradient[i], share);
            mine.first += (double)gradient[i] * (double)gradient[i];
        }
        det_store_four(gradients + at, whole, gradient);
    });
    const struct det_two_sums all = det_block_sum<OPTIMIZER_THREADS>(mine);
    if (threadIdx.x == 0)
        squares[blockIdx.x] = all.first;
}

static __global__ void __launch_bounds__(OPTIMIZER_THREADS)
    detk_mean_step(int chunk_count, const double *squares, float clip_norm, const int32_t *left,
                   struct detk_step_result *step)
{
    struct det_two_sums mine = {0, 0};
    for (int k = (int)threadIdx.x; k < chunk_count; k += OPTIMIZER_THREADS)
        mine.first += squares[k];
    const struct det_two_sums all = det_block_sum<OPTIMIZER_THREADS>(mine);
    if (threadIdx.x != 0)
        return;
    struct detk_step_result s = *step;
    if (*static_cast<const volatile int32_t *>(left) != 0)
        s.finite = 0;
    if (s.finite != 0) {
        s.gradient_norm = sqrt(all.first);
        det_judge_step(clip_norm, &s);
    } else {
        /* this rank's own figures may be */
        s.update = 0;
    }
    *step = s;
}

cudaError_t detk_mean_gradients(cudaStream_t stream, const struct detk_chunk *chunks,
                                int32_t chunk_count, int32_t ranks, float clip_norm,
                                const int32_t *left, float *gradients,
                                struct detk_step_result *step, void *workspace)
{
    double *const squares = static_cast<double *>(workspace);
    if (chunk_count > 0)
        DET_LAUNCH(detk_mean_chunk, dim3((unsigned)chunk_count), dim3(OPTIMIZER_THREADS), 0, stream,
                   chunks, (float)(1.0 / ranks), step, gradients, squares);
    DET_LAUNCH(detk_mean_step, dim3(1), dim3(OPTIMIZER_THREADS), 0, stream, chunk_count, squares,
               clip_norm, left, step);
    return cudaGetLastError();
}
