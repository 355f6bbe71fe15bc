/* Dense convolution, direct: the definition written as loops. */
#include "ops/conv_shape.h"
#include "ops/ref/ref_ops.h"

struct job {
    const struct det_conv_shape *s;
    const float *in, *w, *bias, *dout;
    enum det_activation act;
    bool accumulate;
    float *to; /* out, din or dw */
};

/* One row of one output image. */
static void forward_row(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const struct det_conv_shape *s = job->s;
    const int32_t n = task / s->out_h, oy = task % s->out_h;
    const struct det_range ky = det_taps_inside(oy, s->stride, s->pad_top, s->kernel_h, s->in_h);
    for (int32_t ox = 0; ox < s->out_w; ox++) {
        const struct det_range kx =
            det_taps_inside(ox, s->stride, s->pad_left, s->kernel_w, s->in_w);
        float *out = job->to + (((int64_t)n * s->out_h + oy) * s->out_w + ox) * s->out_c;
        for (int32_t first = 0; first < s->out_c; first += DET_REF_BLOCK) {
            const int32_t count = det_ref_min(DET_REF_BLOCK, s->out_c - first);
            double sum[DET_REF_BLOCK];
            for (int32_t j = 0; j < count; j++)
                sum[j] = job->bias != NULL ? (double)job->bias[first + j] : 0.0;
            for (int32_t y = ky.begin; y < ky.end; y++) {
                for (int32_t x = kx.begin; x < kx.end; x++) {
                    const int64_t iy = (int64_t)oy * s->stride - s->pad_top + y;
                    const int64_t ix = (int64_t)ox * s->stride - s->pad_left + x;
                    const float *in =
                        job->in + ((n * (int64_t)s->in_h + iy) * s->in_w + ix) * s->in_c;
                    const float *w =
                        job->w + ((int64_t)y * s->kernel_w + x) * s->in_c * s->out_c + first;
                    for (int32_t ci = 0; ci < s->in_c; ci++, w += s->out_c) {
                        const double value = in[ci];
                        for (int32_t j = 0; j < count; j++)
                            sum[j] += value * w[j];
                    }
                }
            }
            for (int32_t j = 0; j < count; j++)
                out[first + j] = (float)det_ref_activate(sum[j], job->act);
        }
    }
}

void detk_conv_forward__ref(const struct det_exec *x, const struct det_conv_shape *s,
                            const float *in, const float *w, const float *bias,
                            enum det_activation act, float *out)
{
    struct job job = {.s = s, .in = in, .w = w, .bias = bias, .act = act, .to = out};
    det_pool_run(x->pool, s->n * s->out_h, forward_row, &job);
}

/* Four sums, for speed only. */
static double dot(const float *a, const float *b, int32_t count)
{
    double sum[4] = {0, 0, 0, 0};
    int32_t i = 0;
    for (; i + 4 <= count; i += 4) {
        for (int32_t j = 0; j < 4; j++)
            sum[j] += (double)a[i + j] * b[i + j];
    }
    for (; i < count; i++)
        sum[0] += (double)a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* One row of one input image. */
static void backward_data_row(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const struct det_conv_shape *s = job->s;
    const int32_t n = task / s->in_h, iy = task % s->in_h;
    for (int32_t ix = 0; ix < s->in_w; ix++) {
        float *din = job->to + (((int64_t)n * s->in_h + iy) * s->in_w + ix) * s->in_c;
        for (int32_t ci = 0; ci < s->in_c; ci++) {
            double sum = job->accumulate ? (double)din[ci] : 0.0;
            for (int32_t ky = 0; ky < s->kernel_h; ky++) {
                const int32_t oy = det_output_of_tap(iy, ky, s->stride, s->pad_top, s->out_h);
                if (oy < 0)
                    continue;
                for (int32_t kx = 0; kx < s->kernel_w; kx++) {
                    const int32_t ox = det_output_of_tap(ix, kx, s->stride, s->pad_left, s->out_w);
                    if (ox < 0)
                        continue;
                    sum +=
                        dot(job->dout + ((n * (int64_t)s->out_h + oy) * s->out_w + ox) * s->out_c,
                            job->w + (((int64_t)ky * s->kernel_w + kx) * s->in_c + ci) * s->out_c,
                            s->out_c);
                }
            }
            din[ci] = (float)sum;
        }
    }
}

void detk_conv_backward_data__ref(const struct det_exec *x, const struct det_conv_shape *s,
                                  const float *dout, const float *w, float *din, bool accumulate)
{
    struct job job = {.s = s, .dout = dout, .w = w, .to = din, .accumulate = accumulate};
    det_pool_run(x->pool, s->n * s->in_h, backward_data_row, &job);
}

/* The weights [ky, kx, ci, :]. */
static void backward_weight_channel(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const struct det_conv_shape *s = job->s;
    const int32_t ci = task % s->in_c, tap = task / s->in_c;
    const int32_t ky = tap / s->kernel_w, kx = tap % s->kernel_w;
    float *dw = job->to + (int64_t)task * s->out_c;
    for (int32_t first = 0; first < s->out_c; first += DET_REF_BLOCK) {
        const int32_t count = det_ref_min(DET_REF_BLOCK, s->out_c - first);
        double sum[DET_REF_BLOCK];
        for (int32_t j = 0; j < count; j++)
            sum[j] = job->accumulate ? (double)dw[first + j] : 0.0;
        for (int32_t n = 0; n < s->n; n++) {
            for (int32_t oy = 0; oy < s->out_h; oy++) {
                const int64_t iy = (int64_t)oy * s->stride - s->pad_top + ky;
                if (iy < 0 || iy >= s->in_h)
                    continue;
                for (int32_t ox = 0; ox < s->out_w; ox++) {
                    const int64_t ix = (int64_t)ox * s->stride - s->pad_left + kx;
                    if (ix < 0 || ix >= s->in_w)
                        continue;
                    const double value =
                        job->in[((n * (int64_t)s->in_h + iy) * s->in_w + ix) * s->in_c + ci];
                    const float *dout = job->dout +
                                        ((n * (int64_t)s->out_h + oy) * s->out_w + ox) * s->out_c +
                                        first;
                    for (int32_t j = 0; j < count; j++)
                        sum[j] += value * dout[j];
                }
            }
        }
        for (int32_t j = 0; j < count; j++)
            dw[first + j] = (float)sum[j];
    }
}

void detk_conv_backward_weight__ref(const struct det_exec *x, const struct det_conv_shape *s,
                                    const float *in, const float *dout, float *dw, bool accumulate)
{
    struct job job = {.s = s, .in = in, .dout = dout, .to = dw, .accumulate = accumulate};
    det_pool_run(x->pool, s->kernel_h * s->kernel_w * s->in_c, backward_weight_channel, &job);
}

size_t detk_conv_workspace__ref(const struct det_conv_shape *s, int threads)
{
    (void)s;
    (void)threads;
    return 0;
}
