/* The update rules, in the order of operations of model/optimizer.c, each rounded on its own: the
 * same bits as on the CPU as long as the gradients are the same. */
#include "optimizer.cuh"

/* The chunk's gradient times the clip factor. A factor of 1 changes nothing. */
static __device__ __forceinline__ void load_gradient(const float *gradients, int64_t at, int whole,
                                                     float clip, float (&to)[4])
{
    det_load_four(gradients + at, whole, to);
#pragma unroll
    for (int i = 0; i < 4; i++)
        to[i] = __fmul_rn(to[i], clip);
}

static __global__ void __launch_bounds__(OPTIMIZER_THREADS)
    detk_sgd_chunk(const struct detk_chunk *chunks, float momentum, const struct detk_hyper *hyper,
                   const struct detk_step_result *step, float *params, const float *gradients,
                   float *velocity)
{
    const struct detk_chunk chunk = chunks[blockIdx.x];
    if (chunk.trainable == 0 || step->update == 0)
        return;
    const float rate = hyper->learning_rate, clip = step->clip_factor;
    det_each_of_chunk(chunk, [&](int64_t at, int whole) {
        float g[4], v[4], w[4];
        load_gradient(gradients, at, whole, clip, g);
        det_load_four(velocity + at, whole, v);
        det_load_four(params + at, whole, w);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            v[i] = __fsub_rn(__fmul_rn(momentum, v[i]), __fmul_rn(rate, g[i]));
            w[i] = __fadd_rn(w[i], v[i]);
        }
        det_store_four(velocity + at, whole, v);
        det_store_four(params + at, whole, w);
    });
}

/* value + (target - value) * rate */
static __device__ __forceinline__ float towards(float value, float target, float rate)
{
    return __fadd_rn(value, __fmul_rn(__fsub_rn(target, value), rate));
}

static __global__ void __launch_bounds__(OPTIMIZER_THREADS)
    detk_rmsprop_chunk(const struct detk_chunk *chunks, const struct det_rmsprop settings,
                       const struct detk_hyper *hyper, const struct detk_step_result *step,
                       float *params, const float *gradients, float *mean_square, float *moment)
{
    const struct detk_chunk chunk = chunks[blockIdx.x];
    if (chunk.trainable == 0 || step->update == 0)
        return;
    const float rate = hyper->learning_rate, clip = step->clip_factor;
    const float rest = __fsub_rn(1.0f, settings.rho);
    const bool with_moment = settings.momentum > 0;
    det_each_of_chunk(chunk, [&](int64_t at, int whole) {
        float g[4], s[4], m[4] = {}, w[4];
        load_gradient(gradients, at, whole, clip, g);
        det_load_four(mean_square + at, whole, s);
        det_load_four(params + at, whole, w);
        if (with_moment)
            det_load_four(moment + at, whole, m);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float square = __fmul_rn(g[i], g[i]), push = __fmul_rn(rate, g[i]);
            if (with_moment) {
                s[i] = towards(s[i], square, rest);
                const float scale = __fsqrt_rn(__fadd_rn(s[i], settings.epsilon));
                m[i] = __fadd_rn(__fmul_rn(settings.momentum, m[i]), __fdiv_rn(push, scale));
                w[i] = __fsub_rn(w[i], m[i]);
            } else {
                s[i] = __fadd_rn(__fmul_rn(settings.rho, s[i]), __fmul_rn(rest, square));
                const float scale = __fadd_rn(__fsqrt_rn(s[i]), settings.epsilon);
                w[i] = __fsub_rn(w[i], __fdiv_rn(push, scale));
            }
        }
        det_store_four(mean_square + at, whole, s);
        det_store_four(params + at, whole, w);
        if (with_moment)
            det_store_four(moment + at, whole, m);
    });
}

static __global__ void __launch_bounds__(OPTIMIZER_THREADS)
    detk_adam_chunk(const struct detk_chunk *chunks, const struct det_adam settings,
                    const struct detk_hyper *hyper, const struct detk_step_result *step,
                    float *params, const float *gradients, float *first_moment,
                    float *second_moment)
{
    const struct detk_chunk chunk = chunks[blockIdx.x];
    if (chunk.trainable == 0 || step->update == 0)
        return;
    const float rate = hyper->learning_rate, clip = step->clip_factor;
    const float rest1 = __fsub_rn(1.0f, settings.beta1), rest2 = __fsub_rn(1.0f, settings.beta2);
    det_each_of_chunk(chunk, [&](int64_t at, int whole) {
        float g[4], m[4], v[4], w[4];
        load_gradient(gradients, at, whole, clip, g);
        det_load_four(first_moment + at, whole, m);
        det_load_four(second_moment + at, whole, v);
        det_load_four(params + at, whole, w);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            m[i] = towards(m[i], g[i], rest1);
            v[i] = towards(v[i], __fmul_rn(g[i], g[i]), rest2);
            const float scale = __fadd_rn(__fsqrt_rn(v[i]), settings.epsilon);
            w[i] = __fsub_rn(w[i], __fdiv_rn(__fmul_rn(rate, m[i]), scale));
        }
        det_store_four(first_moment + at, whole, m);
        det_store_four(second_moment + at, whole, v);
        det_store_four(params + at, whole, w);
    });
}

static __global__ void __launch_bounds__(OPTIMIZER_THREADS)
    detk_average_chunk(const struct detk_chunk *chunks, const struct detk_hyper *hyper,
                       const struct detk_step_result *step, const float *params, float *averages)
{
    const struct detk_chunk chunk = chunks[blockIdx.x];
    if (chunk.trainable == 0 || step->update == 0)
        return;
    const float rate = hyper->average_rate;
    det_each_of_chunk(chunk, [&](int64_t at, int whole) {
        float w[4], a[4];
        det_load_four(params + at, whole, w);
        det_load_four(averages + at, whole, a);
#pragma unroll
        for (int i = 0; i < 4; i++)
            a[i] = __fsub_rn(a[i], __fmul_rn(rate, __fsub_rn(a[i], w[i])));
        det_store_four(averages + at, whole, a);
    });
}

cudaError_t detk_sgd(cudaStream_t stream, const struct detk_chunk *chunks, int32_t chunk_count,
                     float momentum, const struct detk_hyper *hyper,
                     const struct detk_step_result *step, float *params, const float *gradients,
                     float *velocity)
{
    if (chunk_count > 0)
        DET_LAUNCH(detk_sgd_chunk, dim3((unsigned)chunk_count), dim3(OPTIMIZER_THREADS), 0, stream,
                   chunks, momentum, hyper, step, params, gradients, velocity);
    return cudaGetLastError();
}

cudaError_t detk_rmsprop(cudaStream_t stream, const struct detk_chunk *chunks, int32_t chunk_count,
                         const struct det_rmsprop *settings, const struct detk_hyper *hyper,
                         const struct detk_step_result *step, float *params, const float *gradients,
                         float *mean_square, float *moment)
{
    if (chunk_count > 0)
        DET_LAUNCH(detk_rmsprop_chunk, dim3((unsigned)chunk_count), dim3(OPTIMIZER_THREADS), 0,
                   stream, chunks, *settings, hyper, step, params, gradients, mean_square, moment);
    return cudaGetLastError();
}

cudaError_t detk_adam(cudaStream_t stream, const struct detk_chunk *chunks, int32_t chunk_count,
                      const struct det_adam *settings, const struct detk_hyper *hyper,
                      const struct detk_step_result *step, float *params, const float *gradients,
                      float *first_moment, float *second_moment)
{
    if (chunk_count > 0)
        DET_LAUNCH(detk_adam_chunk, dim3((unsigned)chunk_count), dim3(OPTIMIZER_THREADS), 0, stream,
                   chunks, *settings, hyper, step, params, gradients, first_moment, second_moment);
    return cudaGetLastError();
}

cudaError_t detk_average(cudaStream_t stream, const struct detk_chunk *chunks, int32_t chunk_count,
                         const struct detk_hyper *hyper, const struct detk_step_result *step,
                         const float *params, float *averages)
{
    if (chunk_count > 0)
        DET_LAUNCH(detk_average_chunk, dim3((unsigned)chunk_count), dim3(OPTIMIZER_THREADS), 0,
                   stream, chunks, hyper, step, params, averages);
    return cudaGetLastError();
}
