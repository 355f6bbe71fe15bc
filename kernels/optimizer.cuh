/* optimizer.cuh: a block for each chunk of the parameters, its threads interleaved in vectors of
 * four; chunks begin at multiples of 16 floats. */
#ifndef DET_KERNELS_OPTIMIZER_CUH
#define DET_KERNELS_OPTIMIZER_CUH

#include "optimizer.h"
#include "vec.cuh"

#define OPTIMIZER_THREADS 256

/* Calls body(first, whole) for this thread's vectors of the chunk: four values from `first` on, or
 * the `whole` that are left. */
template <typename F>
__device__ __forceinline__ void det_each_of_chunk(const struct detk_chunk &chunk, F body)
{
    for (int i = (int)threadIdx.x * 4; i < chunk.count; i += OPTIMIZER_THREADS * 4)
        body(chunk.offset + i, min(4, chunk.count - i));
}

__device__ __forceinline__ void det_load_four(const float *from, int whole, float (&to)[4])
{
    if (whole == 4) {
        det_load<float, 4>(from, to);
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        to[i] = i < whole ? from[i] : 0.0f;
}

__device__ __forceinline__ void det_store_four(float *to, int whole, const float (&from)[4])
{
    if (whole == 4) {
        det_store<float, 4>(to, from);
        return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (i < whole)
            to[i] = from[i];
}

/* tf.clip_by_global_norm()'s factor, as det_clip_factor() computes it. */
__device__ __forceinline__ float det_clip_factor_of(double norm, float clip_norm)
{
    const float of_norm = __fdiv_rn(1.0f, (float)norm), of_clip = __fdiv_rn(1.0f, clip_norm);
    return __fmul_rn(clip_norm, of_norm < of_clip ? of_norm : of_clip);
}

__device__ __forceinline__ bool det_is_finite(double value)
{
    return value - value == 0;
}

/* What follows from a step's loss and norm: whether it updates, and by what gradients are
 * multiplied. */
__device__ __forceinline__ void det_judge_step(float clip_norm, struct detk_step_result *step)
{
    step->finite = det_is_finite(step->total_loss) && det_is_finite(step->gradient_norm) ? 1 : 0;
    step->update = step->finite;
    step->clip_factor = clip_norm > 0 && step->finite != 0
                            ? det_clip_factor_of(step->gradient_norm, clip_norm)
                            : 1.0f;
}

#endif
