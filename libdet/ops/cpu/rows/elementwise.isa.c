/* elementwise.isa.c: addition, accumulation and nearest x2 upsampling, for each instruction set.
 * All are bound by memory: tasks are runs of CHUNK values (or whole rows of about that size). */
#include <string.h>

#include "ops/cpu/isa/simd.h"

#define CHUNK 65536

struct flat_job {
    int64_t count;
    const float *a, *b; /* b NULL: copy */
    float *out;
};

V_INLINE void add_lanes(const float *a, const float *b, float *out, int lanes)
{
    v_store(out, v_add(v_load(a, lanes), v_load(b, lanes)), lanes);
}

static void add_chunk(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct flat_job *job = argument;
    const int64_t first = (int64_t)task * CHUNK;
    const int32_t count = (int32_t)(job->count - first < CHUNK ? job->count - first : CHUNK);
    const float *a = job->a + first;
    float *out = job->out + first;
    if (job->b == NULL) {
        memcpy(out, a, (size_t)count * sizeof *out);
        return;
    }
    const float *b = job->b + first;
    V_FOR_CHANNELS(count, add_lanes(a + j, b + j, out + j, lanes));
}

void DET_OP(add_forward, DET_ISA)(const struct det_exec *x, int64_t count, const float *a,
                                  const float *b, float *out)
{
    struct flat_job job = {.count = count, .a = a, .b = b, .out = out};
    det_pool_run(x->pool, (int32_t)((count + CHUNK - 1) / CHUNK), add_chunk, &job);
}

void DET_OP(accumulate, DET_ISA)(const struct det_exec *x, int64_t count, const float *from,
                                 float *to, bool accumulate)
{
    struct flat_job job = {.count = count, .a = from, .b = accumulate ? to : NULL, .out = to};
    det_pool_run(x->pool, (int32_t)((count + CHUNK - 1) / CHUNK), add_chunk, &job);
}

struct upsample_job {
    int64_t rows; /* n * h of the low map */
    int64_t rows_per_task;
    int32_t h, w, c, out_h, out_w;
    const float *low, *lateral, *dout;
    float *to;
    bool accumulate;
};

/* The rows of the low map that a task has. */
static int64_t rows_end(const struct upsample_job *job, int32_t task)
{
    const int64_t end = (task + 1) * job->rows_per_task;
    return end < job->rows ? end : job->rows;
}

/* The first row of the high map that a row of the low one covers, and whether it covers a second.
 */
static int64_t high_row(const struct upsample_job *job, int64_t row, bool *second)
{
    const int64_t y = 2 * (row % job->h);
    *second = y + 1 < job->out_h;
    return row / job->h * job->out_h + y;
}

/* One pixel of the low map onto two neighbours (or one, at an odd end). */
V_INLINE void upsample_add_pair(const float *low, const float *lateral, float *out, int32_t c,
                                bool pair, int lanes)
{
    const v_f32 value = v_load(low, lanes);
    v_store(out, v_add(value, v_load(lateral, lanes)), lanes);
    if (pair)
        v_store(out + c, v_add(value, v_load(lateral + c, lanes)), lanes);
}

static void upsample_add_rows(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct upsample_job *job = argument;
    const int32_t c = job->c;
    for (int64_t row = task * job->rows_per_task; row < rows_end(job, task); row++) {
        bool second;
        const int64_t first = high_row(job, row, &second);
        for (int64_t y = first; y <= first + second; y++) {
            const float *low = job->low + row * job->w * c;
            const float *lateral = job->lateral + y * job->out_w * c;
            float *out = job->to + y * job->out_w * c;
            for (int32_t column = 0; column < job->out_w; column += 2) {
                const bool pair = column + 1 < job->out_w;
                V_FOR_CHANNELS(c, upsample_add_pair(low + j, lateral + j, out + j, c, pair, lanes));
                low += c;
                lateral += 2 * c;
                out += 2 * c;
            }
        }
    }
}

/* The sum of a 2 x 2 block, or of what there is of it. */
V_INLINE void upsample_sum(const float *dout, int64_t row_size, float *to, int32_t c, bool pair,
                           bool second, bool accumulate, int lanes)
{
    v_f32 sum = v_load(dout, lanes);
    if (pair)
        sum = v_add(sum, v_load(dout + c, lanes));
    if (second) {
        v_f32 below = v_load(dout + row_size, lanes);
        if (pair)
            below = v_add(below, v_load(dout + row_size + c, lanes));
        sum = v_add(sum, below);
    }
    if (accumulate)
        sum = v_add(sum, v_load(to, lanes));
    v_store(to, sum, lanes);
}

static void upsample_backward_rows(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct upsample_job *job = argument;
    const int32_t c = job->c;
    const int64_t row_size = (int64_t)job->out_w * c;
    for (int64_t row = task * job->rows_per_task; row < rows_end(job, task); row++) {
        bool second;
        const float *dout = job->dout + high_row(job, row, &second) * row_size;
        float *to = job->to + row * job->w * c;
        for (int32_t column = 0; column < job->w; column++) {
            const bool pair = 2 * column + 1 < job->out_w;
            V_FOR_CHANNELS(c, upsample_sum(dout + j, row_size, to + j, c, pair, second,
                                           job->accumulate, lanes));
            dout += 2 * c;
            to += c;
        }
    }
}

static void run_upsample(const struct det_exec *x, struct upsample_job *job, det_task_fn function)
{
    const int64_t row_size = 4 * (int64_t)job->w * job->c;
    job->rows_per_task = row_size >= CHUNK ? 1 : CHUNK / row_size;
    det_pool_run(x->pool, (int32_t)((job->rows + job->rows_per_task - 1) / job->rows_per_task),
                 function, job);
}

void DET_OP(upsample_add_forward, DET_ISA)(const struct det_exec *x, int32_t n, int32_t h,
                                           int32_t w, int32_t c, int32_t out_h, int32_t out_w,
                                           const float *low, const float *lateral, float *out)
{
    struct upsample_job job = {.rows = (int64_t)n * h,
                               .h = h,
                               .w = w,
                               .c = c,
                               .out_h = out_h,
                               .out_w = out_w,
                               .low = low,
                               .lateral = lateral,
                               .to = out};
    run_upsample(x, &job, upsample_add_rows);
}

void DET_OP(upsample_backward, DET_ISA)(const struct det_exec *x, int32_t n, int32_t h, int32_t w,
                                        int32_t c, int32_t out_h, int32_t out_w, const float *dout,
                                        float *dlow, bool accumulate)
{
    struct upsample_job job = {.rows = (int64_t)n * h,
                               .h = h,
                               .w = w,
                               .c = c,
                               .out_h = out_h,
                               .out_w = out_w,
                               .dout = dout,
                               .to = dlow,
                               .accumulate = accumulate};
    run_upsample(x, &job, upsample_backward_rows);
}
