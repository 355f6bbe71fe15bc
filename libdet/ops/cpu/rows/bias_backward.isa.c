/* bias_backward.isa.c: column sums, that is gradients of biases, for each instruction set.
 *
 * A task is a chunk of rows: BLOCK of them are added in floats, four at a time, then into the
 * chunk's doubles in the workspace; chunks are combined in order. Workspace: [chunks][padded c]
 * doubles, then as many floats, which a worker keeps in its first-level cache while it walks the
 * rows. */
#include <string.h>

#include "ops/cpu/isa/simd.h"

#define BLOCK           256
#define CHUNK           65536 /* values a task, at least */
#define CHUNK_ROWS      16    /* rows a task, at least */
#define CHUNKS_MAX      256
#define CHANNELS_A_TASK 64

struct sums_job {
    int64_t rows, rows_per_task;
    int32_t c, tasks;
    int64_t stride; /* padded c */
    const float *in;
    float *to;
    bool accumulate;
    double *totals;
    float *sums;
};

static void plan_chunks(struct sums_job *job, int64_t rows, int32_t c)
{
    const int64_t for_work = (CHUNK + c - 1) / c, for_memory = (rows + CHUNKS_MAX - 1) / CHUNKS_MAX;
    job->rows = rows;
    job->c = c;
    job->stride = v_padded(c);
    job->rows_per_task = for_work > for_memory ? for_work : for_memory;
    if (job->rows_per_task < CHUNK_ROWS)
        job->rows_per_task = CHUNK_ROWS;
    job->tasks = (int32_t)((rows + job->rows_per_task - 1) / job->rows_per_task);
}

size_t DET_OP(bias_workspace, DET_ISA)(int64_t rows, int32_t c)
{
    struct sums_job job;
    plan_chunks(&job, rows, c);
    return (size_t)job.tasks * (size_t)job.stride * (sizeof(double) + sizeof(float));
}

/* sum[j..] += the values of `count` (a constant, 4 or 1) rows. */
V_INLINE void sum_group(const float *in, int32_t c, int count, float *sum, int32_t j, int lanes)
{
    v_f32 s = v_load(in + j, lanes);
    if (count == 4) {
        const float *second = in + c, *third = second + c, *fourth = third + c;
        s = v_add(v_add(s, v_load(second + j, lanes)),
                  v_add(v_load(third + j, lanes), v_load(fourth + j, lanes)));
    }
    v_store_all(sum + j, v_add(v_load_all(sum + j), s));
}

static void sum_rows(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct sums_job *job = argument;
    const int32_t c = job->c;
    const int64_t left = job->rows - task * job->rows_per_task;
    const int64_t rows = left < job->rows_per_task ? left : job->rows_per_task;
    const float *in = job->in + task * job->rows_per_task * c;
    double *total = job->totals + task * job->stride;
    float *sum = job->sums + task * job->stride;
    memset(total, 0, (size_t)job->stride * sizeof *total);
    for (int64_t block = 0; block < rows; block += BLOCK) {
        const int64_t end = block + BLOCK < rows ? block + BLOCK : rows;
        memset(sum, 0, (size_t)job->stride * sizeof *sum);
        int64_t row = block;
        for (; row + 4 <= end; row += 4)
            V_FOR_CHANNELS(c, sum_group(in + row * c, c, 4, sum, j, lanes));
        for (; row < end; row++)
            V_FOR_CHANNELS(c, sum_group(in + row * c, c, 1, sum, j, lanes));
        for (int32_t j = 0; j < c; j += V_WIDTH)
            v_add_to_double(total + j, v_load_all(sum + j));
    }
}

static void finish_sums(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct sums_job *job = argument;
    const int32_t last = (task + 1) * CHANNELS_A_TASK, end = last < job->c ? last : job->c;
    for (int32_t j = task * CHANNELS_A_TASK; j < end; j++) {
        double sum = 0;
        for (int32_t t = 0; t < job->tasks; t++)
            sum += job->totals[t * job->stride + j];
        job->to[j] = (float)(job->accumulate ? job->to[j] + sum : sum);
    }
}

void DET_OP(bias_backward, DET_ISA)(const struct det_exec *x, int64_t rows, int32_t c,
                                    const float *dout, float *dbias, bool accumulate)
{
    struct sums_job job = {.in = dout, .to = dbias, .accumulate = accumulate};
    plan_chunks(&job, rows, c);
    job.totals = x->workspace;
    job.sums = (float *)(void *)(job.totals + job.tasks * job.stride);
    det_pool_run(x->pool, job.tasks, sum_rows, &job);
    det_pool_run(x->pool, (c + CHANNELS_A_TASK - 1) / CHANNELS_A_TASK, finish_sums, &job);
}
