/* Convolutions in 8 bits: the definition written as loops. */
#include "ops/conv_shape.h"
#include "ops/q8.h"
#include "ops/ref/ref_ops.h"

struct job {
    const struct det_conv_shape *s;
    const struct det_q8_conv *q;
    const int8_t *in;
    int8_t *out;
};

/* Of one pixel: sums of `count` channels from `first` on. */
static void add_tap(const struct job *job, const int8_t *in, const int8_t *w, int32_t count,
                    int32_t *sum)
{
    for (int32_t i = 0; i < job->s->in_c; i++, w += job->s->out_c) {
        const int32_t value = in[i] - job->q->in_zero;
        for (int32_t j = 0; j < count; j++)
            sum[j] += value * w[j];
    }
}

static void add_depthwise_tap(const struct job *job, const int8_t *in, const int8_t *w,
                              int32_t count, int32_t *sum)
{
    for (int32_t j = 0; j < count; j++)
        sum[j] += (in[j] - job->q->in_zero) * w[j];
}

static void finish(const struct job *job, int32_t first, int32_t count, const int32_t *sum,
                   int8_t *out)
{
    const struct det_q8_target to = job->q->to;
    for (int32_t j = 0; j < count; j++)
        out[j] =
            det_q8_clamp(to.zero + det_q8_steps(sum[j], job->q->scale[first + j]), to.low, to.high);
}

static void convolve_row(const struct job *job, int32_t task, bool depthwise)
{
    const struct det_conv_shape *s = job->s;
    const int32_t n = task / s->out_h, oy = task % s->out_h;
    const int64_t tap = depthwise ? s->out_c : (int64_t)s->in_c * s->out_c;
    const struct det_range ky = det_taps_inside(oy, s->stride, s->pad_top, s->kernel_h, s->in_h);
    for (int32_t ox = 0; ox < s->out_w; ox++) {
        const struct det_range kx =
            det_taps_inside(ox, s->stride, s->pad_left, s->kernel_w, s->in_w);
        int8_t *out = job->out + (((int64_t)n * s->out_h + oy) * s->out_w + ox) * s->out_c;
        for (int32_t first = 0; first < s->out_c; first += DET_REF_BLOCK) {
            const int32_t count = det_ref_min(DET_REF_BLOCK, s->out_c - first);
            int32_t sum[DET_REF_BLOCK];
            for (int32_t j = 0; j < count; j++)
                sum[j] = job->q->bias[first + j];
            for (int32_t y = ky.begin; y < ky.end; y++) {
                for (int32_t x = kx.begin; x < kx.end; x++) {
                    const int64_t iy = (int64_t)oy * s->stride - s->pad_top + y;
                    const int64_t ix = (int64_t)ox * s->stride - s->pad_left + x;
                    const int8_t *in =
                        job->in + ((n * (int64_t)s->in_h + iy) * s->in_w + ix) * s->in_c;
                    const int8_t *w =
                        job->q->weights + ((int64_t)y * s->kernel_w + x) * tap + first;
                    if (depthwise)
                        add_depthwise_tap(job, in + first, w, count, sum);
                    else
                        add_tap(job, in, w, count, sum);
                }
            }
            finish(job, first, count, sum, out + first);
        }
    }
}

static void dense_row(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    convolve_row(argument, task, false);
}

static void depthwise_row(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    convolve_row(argument, task, true);
}

void detk_q8_conv__ref(const struct det_exec *x, const struct det_conv_shape *s,
                       const struct det_q8_conv *q, const int8_t *in, int8_t *out)
{
    struct job job = {.s = s, .q = q, .in = in, .out = out};
    det_pool_run(x->pool, s->n * s->out_h, dense_row, &job);
}

void detk_q8_dwconv__ref(const struct det_exec *x, const struct det_conv_shape *s,
                         const struct det_q8_conv *q, const int8_t *in, int8_t *out)
{
    struct job job = {.s = s, .q = q, .in = in, .out = out};
    det_pool_run(x->pool, s->n * s->out_h, depthwise_row, &job);
}
