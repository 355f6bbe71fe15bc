/* Several batches whose mean gradient makes one update; in optimizer.h. */
#include "block_sum.cuh"
#include "optimizer.cuh"

/* One batch's place in the update. */
struct turn {
    bool first, last;
    float share;
};

static __device__ __forceinline__ struct turn turn_of(const struct detk_hyper *hyper,
                                                      int32_t batches)
{
    struct turn t;
    t.first = hyper->batches_done == 0;
    t.last = hyper->batches_done + 1 == batches;
    t.share = (float)(1.0 / batches);
    return t;
}

/* Sums of the gradients; with the last batch their mean in the gradients' place, and its squares
 * [chunk]. */
static __global__ void __launch_bounds__(OPTIMIZER_THREADS)
    detk_accumulate_chunk(const struct detk_chunk *chunks, int32_t batches,
                          const struct detk_hyper *hyper, const struct detk_step_result *step,
                          float *gradients, float *sums, double *squares)
{
    const struct detk_chunk chunk = chunks[blockIdx.x];
    const struct turn turn = turn_of(hyper, batches);
    const bool taken = chunk.trainable != 0 && step->finite != 0;
    struct det_two_sums mine = {0, 0};
    det_each_of_chunk(chunk, [&](int64_t at, int whole) {
        float gradient[4], sum[4] = {};
        if (!taken)
            return;
        det_load_four(gradients + at, whole, gradient);
        if (!turn.first)
            det_load_four(sums + at, whole, sum);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            sum[i] = turn.first ? gradient[i] : __fadd_rn(sum[i], gradient[i]);
            gradient[i] = __fmul_rn(sum[i], turn.share);
            mine.first += (double)gradient[i] * (double)gradient[i];
        }
        det_store_four(sums + at, whole, sum);
        if (turn.last)
            det_store_four(gradients + at, whole, gradient);
    });
    const struct det_two_sums all = det_block_sum<OPTIMIZER_THREADS>(mine);
    if (threadIdx.x == 0)
        squares[blockIdx.x] = all.first;
}

static __global__ void __launch_bounds__(OPTIMIZER_THREADS)
    detk_accumulate_step(int chunk_count, const double *squares, int32_t batches, float clip_norm,
                         const struct detk_hyper *hyper, struct detk_step_result *so_far,
                         struct detk_step_result *step)
{
    struct det_two_sums mine = {0, 0};
    for (int k = (int)threadIdx.x; k < chunk_count; k += OPTIMIZER_THREADS)
        mine.first += squares[k];
    const struct det_two_sums all = det_block_sum<OPTIMIZER_THREADS>(mine);
    if (threadIdx.x != 0 || step->finite == 0)
        return;
    const struct turn turn = turn_of(hyper, batches);
    const double share = 1.0 / batches;
    struct detk_step_result sum = {};
    if (!turn.first)
        sum = *so_far;
    sum.localization_loss += step->localization_loss * share;
    sum.classification_loss += step->classification_loss * share;
    sum.regularization_loss += step->regularization_loss * share;
    sum.total_loss += step->total_loss * share;
    sum.matched_anchors += step->matched_anchors;
    *so_far = sum;
    if (turn.last) {
        sum.gradient_norm = sqrt(all.first);
        det_judge_step(clip_norm, &sum);
        *step = sum;
    } else {
        step->update = 0;
    }
}

cudaError_t detk_accumulate_gradients(cudaStream_t stream, const struct detk_chunk *chunks,
                                      int32_t chunk_count, int32_t batches, float clip_norm,
                                      const struct detk_hyper *hyper, float *gradients, float *sums,
                                      struct detk_step_result *so_far,
                                      struct detk_step_result *step, void *workspace)
{
    double *const squares = static_cast<double *>(workspace);
    if (chunk_count > 0)
        DET_LAUNCH(detk_accumulate_chunk, dim3((unsigned)chunk_count), dim3(OPTIMIZER_THREADS), 0,
                   stream, chunks, batches, hyper, step, gradients, sums, squares);
    DET_LAUNCH(detk_accumulate_step, dim3(1), dim3(OPTIMIZER_THREADS), 0, stream, chunk_count,
               squares, batches, clip_norm, hyper, so_far, step);
    return cudaGetLastError();
}
