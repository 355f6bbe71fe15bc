/* fake_quant.isa.c: training with 8 bits in it, for each instruction set. All are bound by memory:
 * tasks are runs of CHUNK values, a multiple of what one step of a loop has. The values of a step
 * fill two bytes of bits. */
#include "ops/cpu/isa/simd.h"

#define CHUNK 65536
enum { STEP = 16, VECTORS = STEP / V_WIDTH };

struct job {
    int64_t count;
    const float *from;
    float *values;
    const struct det_fake_quant *q;
    const uint8_t *passed;
    uint8_t *passes;
    float (*ranges)[2]; /* per task */
};

static int32_t tasks_of(int64_t count)
{
    return (int32_t)((count + CHUNK - 1) / CHUNK);
}

static int64_t end_of(const struct job *job, int64_t first)
{
    return job->count - first < CHUNK ? job->count : first + CHUNK;
}

static float smaller(float a, float b)
{
    return a < b ? a : b;
}

static float larger(float a, float b)
{
    return a > b ? a : b;
}

static void range_chunk(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const int64_t first = (int64_t)task * CHUNK, end = end_of(job, first);
    v_f32 low[VECTORS], high[VECTORS];
    float lows[STEP], highs[STEP], range[2] = {0, 0};
    int64_t i = first;
    for (int v = 0; v < VECTORS; v++)
        low[v] = high[v] = v_zero();
    for (; i + STEP <= end; i += STEP) {
        for (int v = 0; v < VECTORS; v++) {
            const v_f32 value = v_load_all(job->from + i + v * V_WIDTH);
            low[v] = v_min(value, low[v]);
            high[v] = v_max(value, high[v]);
        }
    }
    for (int v = 0; v < VECTORS; v++) {
        v_store_all(lows + v * V_WIDTH, low[v]);
        v_store_all(highs + v * V_WIDTH, high[v]);
    }
    for (int v = 0; v < STEP; v++) {
        range[0] = smaller(lows[v], range[0]);
        range[1] = larger(highs[v], range[1]);
    }
    for (; i < end; i++) {
        range[0] = smaller(job->from[i], range[0]);
        range[1] = larger(job->from[i], range[1]);
    }
    job->ranges[task][0] = range[0];
    job->ranges[task][1] = range[1];
}

size_t DET_OP(value_range_workspace, DET_ISA)(int64_t count)
{
    return (size_t)tasks_of(count) * 2 * sizeof(float);
}

void DET_OP(value_range, DET_ISA)(const struct det_exec *x, int64_t count, const float *values,
                                  float range[2])
{
    struct job job = {.count = count, .from = values, .ranges = x->workspace};
    det_pool_run(x->pool, tasks_of(count), range_chunk, &job);
    range[0] = range[1] = 0;
    for (int32_t t = 0; t < tasks_of(count); t++) {
        range[0] = smaller(job.ranges[t][0], range[0]);
        range[1] = larger(job.ranges[t][1], range[1]);
    }
}

V_INLINE v_f32 rounded(v_f32 value, const struct det_fake_quant *q)
{
    const v_f32 whole = v_set(12582912.0f); /* as det_fake_quant_value() */
    v_f32 steps = v_mul(value, v_set(q->inverse));
    steps = v_min(v_set(q->most), v_max(v_set(q->least), steps));
    return v_mul(v_sub(v_add(steps, whole), whole), v_set(q->scale));
}

static void forward_chunk(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const struct det_fake_quant q = *job->q;
    const int64_t first = (int64_t)task * CHUNK, end = end_of(job, first);
    const v_f32 low = v_set(q.pass_low), high = v_set(q.pass_high);
    int64_t i = first;
    for (; i + STEP <= end; i += STEP) {
        uint32_t bits = 0;
        for (int v = 0; v < VECTORS; v++) {
            float *at = job->values + i + v * V_WIDTH;
            const v_f32 value = v_load_all(at);
            bits |= v_within(value, low, high) << v * V_WIDTH;
            if (q.scale > 0)
                v_store_all(at, rounded(value, &q));
        }
        job->passes[i / 8] = (uint8_t)bits;
        job->passes[i / 8 + 1] = (uint8_t)(bits >> 8);
    }
    for (; i < end; i++) {
        uint8_t *byte = &job->passes[i / 8];
        if (i % 8 == 0)
            *byte = 0;
        *byte = (uint8_t)(*byte | (unsigned)det_fake_quant_passes(&q, job->values[i]) << i % 8);
        job->values[i] = det_fake_quant_value(&q, job->values[i]);
    }
}

void DET_OP(fake_quant_forward, DET_ISA)(const struct det_exec *x, int64_t count,
                                         const struct det_fake_quant *q, float *values,
                                         uint8_t *passes)
{
    struct job job = {.count = count, .values = values, .q = q, .passes = passes};
    det_pool_run(x->pool, tasks_of(count), forward_chunk, &job);
}

static void backward_chunk(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const int64_t first = (int64_t)task * CHUNK, end = end_of(job, first);
    int64_t i = first;
    for (; i + STEP <= end; i += STEP) {
        const uint32_t bits = job->passed[i / 8] | (uint32_t)job->passed[i / 8 + 1] << 8;
        for (int v = 0; v < VECTORS; v++) {
            float *at = job->values + i + v * V_WIDTH;
            v_store_all(at, v_keep(v_load_all(at), bits >> v * V_WIDTH));
        }
    }
    for (; i < end; i++) {
        if ((job->passed[i / 8] >> i % 8 & 1) == 0)
            job->values[i] = 0;
    }
}

void DET_OP(fake_quant_backward, DET_ISA)(const struct det_exec *x, int64_t count,
                                          const uint8_t *passes, float *gradient)
{
    struct job job = {.count = count, .values = gradient, .passed = passes};
    det_pool_run(x->pool, tasks_of(count), backward_chunk, &job);
}
