#include "devices/cuda/cuda_tune.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_fit.h"
#include "support/clock.h"
#include "support/mem.h"

static const char what[] = "timing algorithms";

static bool is_same(const struct det_cuda_problem *a, const struct det_cuda_problem *b)
{
    const struct det_cuda_matmul_shape *s = &a->shape, *t = &b->shape;
    return a->product == b->product && a->bias == b->bias && s->rows == t->rows && s->k == t->k &&
           s->n == t->n && s->in_stride == t->in_stride && s->out_type == t->out_type;
}

struct det_cuda_choice *det_cuda_choice_find(const struct det_device *device,
                                             const struct det_cuda_problem *problem)
{
    for (size_t i = 0; i < device->choice_count; i++)
        if (is_same(&device->choices[i].problem, problem))
            return &device->choices[i];
    return NULL;
}

det_status det_cuda_choice_add(struct det_env *env, struct det_device *device,
                               const struct det_cuda_choice *choice)
{
    DET_TRY_RETURN(det_grow(env, &device->choices, &device->choice_room, device->choice_count + 1,
                            sizeof *device->choices, "table of algorithms"));
    device->choices[device->choice_count++] = *choice;
    return DET_OK;
}

det_status det_cuda_tuner_open(struct det_env *env, struct det_device *device, void *memory,
                               size_t bytes, struct det_cuda_tuner *t)
{
    int l2_bytes = 0;
    *t = (struct det_cuda_tuner){.device = device, .flush = memory};
    t->deadline_ns = det_clock_ns() + DET_CUDA_TUNE_NS;
    DET_TRY_RETURN(det_cuda_check(
        env, cudaDeviceGetAttribute(&l2_bytes, cudaDevAttrL2CacheSize, device->index), what));
    t->flush_bytes = 2 * (size_t)l2_bytes < bytes ? 2 * (size_t)l2_bytes : bytes;
    DET_TRY_RETURN(det_cuda_check(env, cudaMemsetAsync(memory, 0, bytes, device->stream), what));
    DET_TRY_RETURN(det_cuda_check(env, cudaEventCreate(&t->begin), what));
    return det_cuda_check(env, cudaEventCreate(&t->end), what);
}

void det_cuda_tuner_close(struct det_cuda_tuner *t)
{
    if (t->begin != NULL)
        (void)cudaEventDestroy(t->begin);
    if (t->end != NULL)
        (void)cudaEventDestroy(t->end);
    t->begin = t->end = NULL;
}

det_status det_cuda_tuner_goes_on(struct det_env *env, const struct det_cuda_tuner *t,
                                  bool *goes_on)
{
    size_t free_bytes = 0, total = 0;
    DET_TRY_RETURN(det_cuda_check(env, cudaMemGetInfo(&free_bytes, &total), what));
    *goes_on = det_clock_ns() < t->deadline_ns && free_bytes >= DET_CUDA_MARGIN / 2;
    return DET_OK;
}

/* One run, from the same L2. */
static det_status time_once(struct det_env *env, const struct det_cuda_tuner *t,
                            det_cuda_timed_work work, const void *argument, float *microseconds)
{
    const cudaStream_t stream = t->device->stream;
    float milliseconds = 0;
    DET_TRY_RETURN(det_cuda_check(env, cudaMemsetAsync(t->flush, 0, t->flush_bytes, stream), what));
    DET_TRY_RETURN(det_cuda_check(env, cudaEventRecord(t->begin, stream), what));
    DET_TRY_RETURN(work(env, argument));
    DET_TRY_RETURN(det_cuda_check(env, cudaEventRecord(t->end, stream), what));
    DET_TRY_RETURN(det_cuda_check(env, cudaEventSynchronize(t->end), what));
    DET_TRY_RETURN(
        det_cuda_check(env, cudaEventElapsedTime(&milliseconds, t->begin, t->end), what));
    *microseconds = milliseconds * 1e3f;
    return DET_OK;
}

static det_status time_runs(struct det_env *env, const struct det_cuda_tuner *t,
                            det_cuda_timed_work work, const void *argument, float best,
                            float *microseconds)
{
    float one = 0;
    DET_TRY_RETURN(time_once(env, t, work, argument, &one)); /* not counted */
    for (int run = 0; run < DET_CUDA_TUNE_RUNS; run++) {
        DET_TRY_RETURN(time_once(env, t, work, argument, &one));
        *microseconds = fminf(*microseconds, one);
        if (one > DET_CUDA_TUNE_LEFT * best)
            break;
    }
    return DET_OK;
}

det_status det_cuda_tuner_time(struct det_env *env, const struct det_cuda_tuner *t,
                               det_cuda_timed_work work, const void *argument, float best,
                               float *microseconds)
{
    *microseconds = INFINITY;
    const det_status status = time_runs(env, t, work, argument, best, microseconds);
    if (status == DET_STATUS_UNSUPPORTED)
        *microseconds = INFINITY;
    return det_forgive(env, status, DET_STATUS_UNSUPPORTED);
}

void det_cuda_tuner_list(char *text, size_t bytes, float microseconds)
{
    const size_t length = strlen(text);
    if (isfinite(microseconds))
        snprintf(text + length, bytes - length, " %.1f", (double)microseconds);
    else
        snprintf(text + length, bytes - length, " -");
}
