/* Weight decay, the gradients' norm and the regularization loss in one pass over the parameters;
 * then one block adds up the chunks and says what the step has found. In optimizer.h. */
#include "block_sum.cuh"
#include "losses.h"
#include "optimizer.cuh"

/* Of a chunk, in the workspace: first the gradients' squares, second its part of the regularization
 * loss. */
typedef struct det_two_sums chunk_sums;

static __global__ void __launch_bounds__(OPTIMIZER_THREADS)
    detk_chunk_norm(const struct detk_chunk *chunks, bool regularize, const float *params,
                    float *gradients, chunk_sums *sums)
{
    const struct detk_chunk chunk = chunks[blockIdx.x];
    const float l2 = regularize ? chunk.l2 : 0.0f;
    const bool trainable = chunk.trainable != 0;
    chunk_sums mine = {0, 0};
    det_each_of_chunk(chunk, [&](int64_t at, int whole) {
        float weight[4] = {}, gradient[4] = {};
        if (l2 > 0)
            det_load_four(params + at, whole, weight);
        if (trainable)
            det_load_four(gradients + at, whole, gradient);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (trainable && l2 > 0)
                gradient[i] = __fadd_rn(gradient[i], __fmul_rn(l2, weight[i]));
            mine.first += (double)gradient[i] * (double)gradient[i];
            mine.second += (double)weight[i] * (double)weight[i];
        }
        if (trainable && l2 > 0)
            det_store_four(gradients + at, whole, gradient);
    });
    mine.second *= (double)l2 * 0.5;
    const chunk_sums all = det_block_sum<OPTIMIZER_THREADS>(mine);
    if (threadIdx.x == 0)
        sums[blockIdx.x] = all;
}

static __global__ void __launch_bounds__(OPTIMIZER_THREADS)
    detk_finish_step(int chunk_count, const chunk_sums *sums, float clip_norm,
                     const struct detk_loss_values *losses, struct detk_step_result *step)
{
    chunk_sums mine = {0, 0};
    for (int k = (int)threadIdx.x; k < chunk_count; k += OPTIMIZER_THREADS) {
        mine.first += sums[k].first;
        mine.second += sums[k].second;
    }
    const chunk_sums all = det_block_sum<OPTIMIZER_THREADS>(mine);
    if (threadIdx.x != 0)
        return;
    struct detk_step_result s;
    s.localization_loss = losses->localization;
    s.classification_loss = losses->classification;
    s.regularization_loss = all.second;
    s.total_loss = s.localization_loss + s.classification_loss + s.regularization_loss;
    s.gradient_norm = sqrt(all.first);
    s.matched_anchors = losses->matched;
    det_judge_step(clip_norm, &s);
    *step = s;
}

size_t detk_gradient_norm_workspace(int32_t chunks)
{
    return (size_t)chunks * sizeof(chunk_sums);
}

cudaError_t detk_gradient_norm_chunks(cudaStream_t stream, const struct detk_chunk *chunks,
                                      int32_t first, int32_t count, bool regularize,
                                      const float *params, float *gradients, void *workspace)
{
    if (count > 0)
        DET_LAUNCH(detk_chunk_norm, dim3((unsigned)count), dim3(OPTIMIZER_THREADS), 0, stream,
                   chunks + first, regularize, params, gradients,
                   static_cast<chunk_sums *>(workspace) + first);
    return cudaGetLastError();
}

cudaError_t detk_gradient_norm_finish(cudaStream_t stream, int32_t chunk_count, float clip_norm,
                                      const struct detk_loss_values *losses,
                                      struct detk_step_result *step, const void *workspace)
{
    DET_LAUNCH(detk_finish_step, dim3(1), dim3(OPTIMIZER_THREADS), 0, stream, chunk_count,
               static_cast<const chunk_sums *>(workspace), clip_norm, losses, step);
    return cudaGetLastError();
}

cudaError_t detk_gradient_norm(cudaStream_t stream, const struct detk_chunk *chunks,
                               int32_t chunk_count, bool regularize, float clip_norm,
                               const float *params, float *gradients,
                               const struct detk_loss_values *losses, struct detk_step_result *step,
                               void *workspace)
{
    const cudaError_t error = detk_gradient_norm_chunks(stream, chunks, 0, chunk_count, regularize,
                                                        params, gradients, workspace);
    return error != cudaSuccess
               ? error
               : detk_gradient_norm_finish(stream, chunk_count, clip_norm, losses, step, workspace);
}
