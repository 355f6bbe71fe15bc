/* bn_kernel.h: batch normalisation, forward and backward, and column sums. Included by the three
 * ISA files, see cpu_ops.h.
 *
 * All are bound by memory, so each reads its inputs once per pass: statistics and apply, or
 * reductions and apply; the frozen backward does both in one. A task is a chunk of rows. Within a
 * chunk, sums run over BLOCK rows in floats, four rows at a time, and then into the chunk's doubles
 * in the workspace; chunks are combined in order. Variance: a block sums (in - shift) and its
 * square, shift being the mean of the block's first rows; if those are far off the others, they
 * alone make the block's variance at least SHIFT_ROWS / BLOCK of the sum of squares, so little can
 * cancel. Blocks and chunks merge by Chan, Golub, LeVeque, "Updating formulae and a pairwise
 * algorithm for computing sample variances" (1979), eq. 2.1.
 *
 * Workspace: [chunks][2][padded c] doubles of sums, then SCRATCH_ARRAYS float arrays of padded c
 * for each chunk (which a worker keeps in its first-level cache while it walks the rows), then
 * COEFFICIENTS float arrays. */
#ifndef DET_BACKEND_CPU_BN_KERNEL_H
#define DET_BACKEND_CPU_BN_KERNEL_H

#include <math.h>
#include <string.h>

#include "backend/cpu/simd.h"

#define BLOCK           256
#define SHIFT_ROWS      16
#define CHUNK           65536 /* values a task, at least */
#define CHUNKS_MAX      256
#define SCRATCH_ARRAYS  3
#define COEFFICIENTS    3
#define CHANNELS_A_TASK 64

struct bn_job {
    int64_t rows, rows_per_task;
    int32_t c, tasks;
    int64_t stride; /* padded c */
    const float *in, *out, *dout, *gamma, *beta, *mean, *variance;
    float epsilon;
    enum det_activation act;
    bool accumulate;
    float *to; /* out, din, dbias */
    float *mean_out, *variance_out, *dgamma, *dbeta;
    double *sums;
    float *scratch, *coefficients;
};

static void plan_chunks(struct bn_job *job, int64_t rows, int32_t c)
{
    const int64_t for_work = (CHUNK + c - 1) / c, for_memory = (rows + CHUNKS_MAX - 1) / CHUNKS_MAX;
    job->rows = rows;
    job->c = c;
    job->stride = v_padded(c);
    job->rows_per_task = for_work > for_memory ? for_work : for_memory;
    if (job->rows_per_task < SHIFT_ROWS)
        job->rows_per_task = SHIFT_ROWS;
    job->tasks = (int32_t)((rows + job->rows_per_task - 1) / job->rows_per_task);
}

static size_t sums_bytes(const struct bn_job *job)
{
    return (size_t)job->tasks * 2 * (size_t)job->stride * sizeof(double);
}

static size_t scratch_bytes(const struct bn_job *job)
{
    return (size_t)job->tasks * SCRATCH_ARRAYS * (size_t)job->stride * sizeof(float);
}

size_t DET_OP(bn_workspace, DET_ISA)(int64_t rows, int32_t c, int threads)
{
    (void)threads;
    struct bn_job job;
    plan_chunks(&job, rows, c);
    return sums_bytes(&job) + scratch_bytes(&job) +
           COEFFICIENTS * (size_t)job.stride * sizeof(float);
}

static void start(const struct det_exec *x, struct bn_job *job, int64_t rows, int32_t c)
{
    plan_chunks(job, rows, c);
    char *at = x->workspace;
    job->sums = (double *)(void *)at;
    at += sums_bytes(job);
    job->scratch = (float *)(void *)at;
    at += scratch_bytes(job);
    job->coefficients = (float *)(void *)at;
}

static int64_t rows_of_task(const struct bn_job *job, int32_t task)
{
    const int64_t left = job->rows - task * job->rows_per_task;
    return left < job->rows_per_task ? left : job->rows_per_task;
}

static void run_channels(const struct det_exec *x, struct bn_job *job, det_task_fn function)
{
    det_pool_run(x->pool, (job->c + CHANNELS_A_TASK - 1) / CHANNELS_A_TASK, function, job);
}

/* The channels of a task of run_channels(). */
static int32_t channels_end(const struct bn_job *job, int32_t task)
{
    const int32_t end = (task + 1) * CHANNELS_A_TASK;
    return end < job->c ? end : job->c;
}

/* Column sums. */

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
    const struct bn_job *job = argument;
    const int32_t c = job->c;
    const int64_t rows = rows_of_task(job, task);
    const float *in = job->dout + task * job->rows_per_task * c;
    double *total = job->sums + 2 * task * job->stride;
    float *sum = job->scratch + SCRATCH_ARRAYS * task * job->stride;
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
    const struct bn_job *job = argument;
    for (int32_t j = task * CHANNELS_A_TASK; j < channels_end(job, task); j++) {
        double sum = 0;
        for (int32_t t = 0; t < job->tasks; t++)
            sum += job->sums[2 * t * job->stride + j];
        job->to[j] = (float)(job->accumulate ? job->to[j] + sum : sum);
    }
}

void DET_OP(bias_backward, DET_ISA)(const struct det_exec *x, int64_t rows, int32_t c,
                                    const float *dout, float *dbias, bool accumulate)
{
    struct bn_job job = {.dout = dout, .to = dbias, .accumulate = accumulate};
    start(x, &job, rows, c);
    det_pool_run(x->pool, job.tasks, sum_rows, &job);
    run_channels(x, &job, finish_sums);
}

/* Forward. */

/* Adds `count_b` values of mean mean_b and squared distances m2_b to `count_a` of mean *mean and
 * *m2. */
V_INLINE void merge(double *mean, double *m2, double count_a, double mean_b, double m2_b,
                    double count_b)
{
    const double share = count_b / (count_a + count_b);
    const double delta = mean_b - *mean;
    *mean += delta * share;
    *m2 += m2_b + delta * delta * (count_a * share);
}

/* The float sums of a block: of in - shift and of its square. */
struct shifted {
    float *shift, *sum, *squares;
};

/* shift = mean of `rows` rows, sums = 0. */
V_INLINE void shifted_start(const struct shifted *to, const float *in, int32_t c, int64_t rows,
                            v_f32 share, int32_t j, int lanes)
{
    v_f32 s = v_zero();
    for (int64_t row = 0; row < rows; row++)
        s = v_add(s, v_load(in + row * c + j, lanes));
    v_store_all(to->shift + j, v_mul(s, share));
    v_store_all(to->sum + j, v_zero());
    v_store_all(to->squares + j, v_zero());
}

V_INLINE void shifted_add(const struct shifted *to, const float *in, int32_t c, int count,
                          int32_t j, int lanes)
{
    const v_f32 shift = v_load_all(to->shift + j);
    v_f32 s = v_sub(v_load(in + j, lanes), shift);
    v_f32 q = v_mul(s, s);
    if (count == 4) {
        const float *second = in + c, *third = second + c, *fourth = third + c;
        const v_f32 d1 = v_sub(v_load(second + j, lanes), shift);
        const v_f32 d2 = v_sub(v_load(third + j, lanes), shift);
        const v_f32 d3 = v_sub(v_load(fourth + j, lanes), shift);
        s = v_add(v_add(s, d1), v_add(d2, d3));
        q = v_add(v_fma(d1, d1, q), v_fma(d2, d2, v_mul(d3, d3)));
    }
    v_store_all(to->sum + j, v_add(v_load_all(to->sum + j), s));
    v_store_all(to->squares + j, v_add(v_load_all(to->squares + j), q));
}

/* Mean and sum of squared distances of a chunk of rows. */
static void chunk_statistics(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct bn_job *job = argument;
    const int32_t c = job->c;
    const int64_t rows = rows_of_task(job, task);
    const float *in = job->in + task * job->rows_per_task * c;
    double *mean = job->sums + 2 * task * job->stride, *m2 = mean + job->stride;
    float *scratch = job->scratch + SCRATCH_ARRAYS * task * job->stride;
    const struct shifted to = {scratch, scratch + job->stride, scratch + 2 * job->stride};
    memset(mean, 0, 2 * (size_t)job->stride * sizeof *mean);
    for (int64_t block = 0; block < rows; block += BLOCK) {
        const int64_t end = block + BLOCK < rows ? block + BLOCK : rows;
        const int64_t head = end - block < SHIFT_ROWS ? end - block : SHIFT_ROWS;
        const v_f32 share = v_set(1.0f / (float)head);
        V_FOR_CHANNELS(c, shifted_start(&to, in + block * c, c, head, share, j, lanes));
        int64_t row = block;
        for (; row + 4 <= end; row += 4)
            V_FOR_CHANNELS(c, shifted_add(&to, in + row * c, c, 4, j, lanes));
        for (; row < end; row++)
            V_FOR_CHANNELS(c, shifted_add(&to, in + row * c, c, 1, j, lanes));
        const double count = (double)(end - block), inverse = 1 / count;
        const double before = (double)block, part = count / (before + count);
        for (int32_t j = 0; j < c; j++) { /* merge() with the divisions outside */
            const double s = to.sum[j], delta = to.shift[j] + s * inverse - mean[j];
            mean[j] += delta * part;
            m2[j] += (to.squares[j] - s * s * inverse) + delta * delta * (before * part);
        }
    }
}

/* Combines the chunks in order, and writes what apply_rows() needs. */
static void finish_statistics(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct bn_job *job = argument;
    for (int32_t j = task * CHANNELS_A_TASK; j < channels_end(job, task); j++) {
        double mean = job->sums[j], m2 = job->sums[job->stride + j];
        for (int32_t t = 1; t < job->tasks; t++) {
            const double *sums = job->sums + 2 * t * job->stride;
            merge(&mean, &m2, (double)(t * job->rows_per_task), sums[j], sums[job->stride + j],
                  (double)rows_of_task(job, t));
        }
        /* Rounding may leave a tiny negative; NaN stays. */
        const double variance = m2 < 0 ? 0 : m2 / (double)job->rows;
        job->mean_out[j] = (float)mean;
        job->variance_out[j] = (float)variance;
        job->coefficients[j] =
            (float)(job->gamma[j] / sqrt((double)job->variance_out[j] + job->epsilon));
    }
}

V_INLINE void apply_group(const struct bn_job *job, int64_t row, int count, bool relu6, int32_t j,
                          int lanes)
{
    const v_f32 mean = v_load(job->mean + j, lanes), beta = v_load(job->beta + j, lanes);
    const v_f32 scale = v_load(job->coefficients + j, lanes);
    for (int r = 0; r < count; r++) {
        const int64_t i = (row + r) * job->c + j;
        const v_f32 value = v_fma(v_sub(v_load(job->in + i, lanes), mean), scale, beta);
        v_store(job->to + i, relu6 ? v_relu6(value) : value, lanes);
    }
}

V_INLINE void apply_chunk(const struct bn_job *job, int32_t task, bool relu6)
{
    int64_t row = task * job->rows_per_task;
    const int64_t end = row + rows_of_task(job, task);
    for (; row + 4 <= end; row += 4)
        V_FOR_CHANNELS(job->c, apply_group(job, row, 4, relu6, j, lanes));
    for (; row < end; row++)
        V_FOR_CHANNELS(job->c, apply_group(job, row, 1, relu6, j, lanes));
}

static void apply_rows(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct bn_job *job = argument;
    if (job->act == DET_ACTIVATION_RELU6)
        apply_chunk(job, task, true);
    else
        apply_chunk(job, task, false);
}

void DET_OP(bn_forward, DET_ISA)(const struct det_exec *x, int64_t rows, int32_t c, const float *in,
                                 const float *gamma, const float *beta, float epsilon,
                                 enum det_activation act, float *out, float *mean, float *variance)
{
    struct bn_job job = {.in = in,
                         .gamma = gamma,
                         .beta = beta,
                         .mean = mean,
                         .epsilon = epsilon,
                         .act = act,
                         .to = out,
                         .mean_out = mean,
                         .variance_out = variance};
    start(x, &job, rows, c);
    det_pool_run(x->pool, job.tasks, chunk_statistics, &job);
    run_channels(x, &job, finish_statistics);
    det_pool_run(x->pool, job.tasks, apply_rows, &job);
}

static float *frozen_scale(const struct bn_job *job)
{
    for (int32_t j = 0; j < job->c; j++)
        job->coefficients[j] =
            (float)(job->gamma[j] / sqrt((double)job->variance[j] + job->epsilon));
    return job->coefficients;
}

void DET_OP(bn_frozen_forward, DET_ISA)(const struct det_exec *x, int64_t rows, int32_t c,
                                        const float *in, const float *gamma, const float *beta,
                                        const float *mean, const float *variance, float epsilon,
                                        enum det_activation act, float *out)
{
    struct bn_job job = {.in = in,
                         .gamma = gamma,
                         .beta = beta,
                         .mean = mean,
                         .variance = variance,
                         .epsilon = epsilon,
                         .act = act,
                         .to = out};
    start(x, &job, rows, c);
    frozen_scale(&job);
    det_pool_run(x->pool, job.tasks, apply_rows, &job);
}

/* Backward. With dy the gradient behind the activation: sums of dy and of dy * (in - mean), in one
 * pass that for the frozen form also writes din = scale * dy. */

/* `count` (a constant, 4 or 1) rows. */
V_INLINE void reduce_group(const struct bn_job *job, int64_t row, int count, bool relu6,
                           bool frozen, float *sum, float *products, int32_t j, int lanes)
{
    const v_f32 mean = v_load(job->mean + j, lanes);
    v_f32 s = v_zero(), p = v_zero();
    for (int r = 0; r < count; r++) {
        const int64_t i = (row + r) * job->c + j;
        v_f32 dy = v_load(job->dout + i, lanes);
        if (relu6)
            dy = v_passed(dy, v_load(job->out + i, lanes));
        s = v_add(s, dy);
        p = v_fma(dy, v_sub(v_load(job->in + i, lanes), mean), p);
        if (frozen) {
            dy = v_mul(dy, v_load(job->coefficients + j, lanes));
            if (job->accumulate)
                dy = v_add(dy, v_load(job->to + i, lanes));
            v_store(job->to + i, dy, lanes);
        }
    }
    v_store_all(sum + j, v_add(v_load_all(sum + j), s));
    v_store_all(products + j, v_add(v_load_all(products + j), p));
}

V_INLINE void reduce_chunk(const struct bn_job *job, int32_t task, bool relu6, bool frozen)
{
    const int32_t c = job->c;
    const int64_t first = task * job->rows_per_task, last = first + rows_of_task(job, task);
    double *total = job->sums + 2 * task * job->stride, *total_products = total + job->stride;
    float *sum = job->scratch + SCRATCH_ARRAYS * task * job->stride, *products = sum + job->stride;
    memset(total, 0, 2 * (size_t)job->stride * sizeof *total);
    for (int64_t block = first; block < last; block += BLOCK) {
        const int64_t end = block + BLOCK < last ? block + BLOCK : last;
        memset(sum, 0, 2 * (size_t)job->stride * sizeof *sum);
        int64_t row = block;
        for (; row + 4 <= end; row += 4)
            V_FOR_CHANNELS(c, reduce_group(job, row, 4, relu6, frozen, sum, products, j, lanes));
        for (; row < end; row++)
            V_FOR_CHANNELS(c, reduce_group(job, row, 1, relu6, frozen, sum, products, j, lanes));
        for (int32_t j = 0; j < c; j += V_WIDTH) {
            v_add_to_double(total + j, v_load_all(sum + j));
            v_add_to_double(total_products + j, v_load_all(products + j));
        }
    }
}

static void reduce_rows(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct bn_job *job = argument;
    if (job->act == DET_ACTIVATION_RELU6)
        reduce_chunk(job, task, true, false);
    else
        reduce_chunk(job, task, false, false);
}

static void reduce_rows_frozen(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct bn_job *job = argument;
    if (job->act == DET_ACTIVATION_RELU6)
        reduce_chunk(job, task, true, true);
    else
        reduce_chunk(job, task, false, true);
}

/* dgamma, dbeta, and the coefficients of din = scale * dy + constant + slope * (in - mean). */
static void finish_reduction(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct bn_job *job = argument;
    for (int32_t j = task * CHANNELS_A_TASK; j < channels_end(job, task); j++) {
        double sum = 0, products = 0;
        for (int32_t t = 0; t < job->tasks; t++) {
            sum += job->sums[2 * t * job->stride + j];
            products += job->sums[(2 * t + 1) * job->stride + j];
        }
        const double inverse = 1 / sqrt((double)job->variance[j] + job->epsilon);
        const double scale = job->gamma[j] * inverse, rows = (double)job->rows;
        job->dbeta[j] = (float)sum;
        job->dgamma[j] = (float)(products * inverse);
        job->coefficients[j] = (float)scale;
        job->coefficients[job->stride + j] = (float)(-scale * sum / rows);
        job->coefficients[2 * job->stride + j] =
            (float)(-scale * inverse * inverse * products / rows);
    }
}

V_INLINE void gradient_group(const struct bn_job *job, int64_t row, int count, bool relu6,
                             bool accumulate, int32_t j, int lanes)
{
    const float *coefficients = job->coefficients + j;
    const v_f32 mean = v_load(job->mean + j, lanes), scale = v_load(coefficients, lanes);
    const v_f32 constant = v_load(coefficients + job->stride, lanes);
    const v_f32 slope = v_load(coefficients + 2 * job->stride, lanes);
    for (int r = 0; r < count; r++) {
        const int64_t i = (row + r) * job->c + j;
        v_f32 dy = v_load(job->dout + i, lanes);
        if (relu6)
            dy = v_passed(dy, v_load(job->out + i, lanes));
        v_f32 value = v_fma(v_sub(v_load(job->in + i, lanes), mean), slope, constant);
        value = v_fma(dy, scale, value);
        if (accumulate)
            value = v_add(value, v_load(job->to + i, lanes));
        v_store(job->to + i, value, lanes);
    }
}

V_INLINE void gradient_chunk(const struct bn_job *job, int32_t task, bool relu6, bool accumulate)
{
    int64_t row = task * job->rows_per_task;
    const int64_t end = row + rows_of_task(job, task);
    for (; row + 4 <= end; row += 4)
        V_FOR_CHANNELS(job->c, gradient_group(job, row, 4, relu6, accumulate, j, lanes));
    for (; row < end; row++)
        V_FOR_CHANNELS(job->c, gradient_group(job, row, 1, relu6, accumulate, j, lanes));
}

static void gradient_rows(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct bn_job *job = argument;
    if (job->act == DET_ACTIVATION_RELU6) {
        if (job->accumulate)
            gradient_chunk(job, task, true, true);
        else
            gradient_chunk(job, task, true, false);
    } else {
        if (job->accumulate)
            gradient_chunk(job, task, false, true);
        else
            gradient_chunk(job, task, false, false);
    }
}

void DET_OP(bn_backward, DET_ISA)(const struct det_exec *x, int64_t rows, int32_t c,
                                  const float *in, const float *out, const float *dout,
                                  const float *gamma, const float *mean, const float *variance,
                                  float epsilon, enum det_activation act, float *din,
                                  bool accumulate, float *dgamma, float *dbeta)
{
    struct bn_job job = {.in = in,
                         .out = out,
                         .dout = dout,
                         .gamma = gamma,
                         .mean = mean,
                         .variance = variance,
                         .epsilon = epsilon,
                         .act = act,
                         .accumulate = accumulate,
                         .to = din,
                         .dgamma = dgamma,
                         .dbeta = dbeta};
    start(x, &job, rows, c);
    det_pool_run(x->pool, job.tasks, reduce_rows, &job);
    run_channels(x, &job, finish_reduction);
    det_pool_run(x->pool, job.tasks, gradient_rows, &job);
}

void DET_OP(bn_frozen_backward,
            DET_ISA)(const struct det_exec *x, int64_t rows, int32_t c, const float *in,
                     const float *out, const float *dout, const float *gamma, const float *mean,
                     const float *variance, float epsilon, enum det_activation act, float *din,
                     bool accumulate, float *dgamma, float *dbeta)
{
    struct bn_job job = {.in = in,
                         .out = out,
                         .dout = dout,
                         .gamma = gamma,
                         .mean = mean,
                         .variance = variance,
                         .epsilon = epsilon,
                         .act = act,
                         .accumulate = accumulate,
                         .to = din,
                         .dgamma = dgamma,
                         .dbeta = dbeta};
    start(x, &job, rows, c);
    frozen_scale(&job);
    det_pool_run(x->pool, job.tasks, reduce_rows_frozen, &job);
    run_channels(x, &job, finish_reduction);
}

#endif
