/* Depthwise convolution, multiplier 1: the definition written as loops. */
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
    const int32_t c = s->out_c, n = task / s->out_h, oy = task % s->out_h;
    const struct det_range ky = det_taps_inside(oy, s->stride, s->pad_top, s->kernel_h, s->in_h);
    for (int32_t ox = 0; ox < s->out_w; ox++) {
        const struct det_range kx =
            det_taps_inside(ox, s->stride, s->pad_left, s->kernel_w, s->in_w);
        const int64_t top = (int64_t)oy * s->stride - s->pad_top;
        const int64_t left = (int64_t)ox * s->stride - s->pad_left;
        float *out = job->to + ((int64_t)task * s->out_w + ox) * c;
        for (int32_t j = 0; j < c; j++) {
            double sum = job->bias != NULL ? (double)job->bias[j] : 0.0;
            for (int32_t y = ky.begin; y < ky.end; y++) {
                for (int32_t k = kx.begin; k < kx.end; k++) {
                    const int64_t pixel = (n * (int64_t)s->in_h + top + y) * s->in_w + left + k;
                    sum += (double)job->in[pixel * c + j] *
                           job->w[((int64_t)y * s->kernel_w + k) * c + j];
                }
            }
            out[j] = (float)det_ref_activate(sum, job->act);
        }
    }
}

void detk_dwconv_forward__ref(const struct det_exec *x, const struct det_conv_shape *s,
                              const float *in, const float *w, const float *bias,
                              enum det_activation act, float *out)
{
    struct job job = {.s = s, .in = in, .w = w, .bias = bias, .act = act, .to = out};
    det_pool_run(x->pool, s->n * s->out_h, forward_row, &job);
}

/* One row of one input image. */
static void backward_data_row(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const struct det_conv_shape *s = job->s;
    const int32_t c = s->in_c, n = task / s->in_h, iy = task % s->in_h;
    for (int32_t ix = 0; ix < s->in_w; ix++) {
        float *din = job->to + ((int64_t)task * s->in_w + ix) * c;
        for (int32_t j = 0; j < c; j++) {
            double sum = job->accumulate ? (double)din[j] : 0.0;
            for (int32_t ky = 0; ky < s->kernel_h; ky++) {
                const int32_t oy = det_output_of_tap(iy, ky, s->stride, s->pad_top, s->out_h);
                for (int32_t kx = 0; oy >= 0 && kx < s->kernel_w; kx++) {
                    const int32_t ox = det_output_of_tap(ix, kx, s->stride, s->pad_left, s->out_w);
                    if (ox < 0)
                        continue;
                    const int64_t pixel = (n * (int64_t)s->out_h + oy) * s->out_w + ox;
                    sum += (double)job->dout[pixel * c + j] *
                           job->w[((int64_t)ky * s->kernel_w + kx) * c + j];
                }
            }
            din[j] = (float)sum;
        }
    }
}

void detk_dwconv_backward_data__ref(const struct det_exec *x, const struct det_conv_shape *s,
                                    const float *dout, const float *w, float *din, bool accumulate)
{
    struct job job = {.s = s, .dout = dout, .w = w, .to = din, .accumulate = accumulate};
    det_pool_run(x->pool, s->n * s->in_h, backward_data_row, &job);
}

/* The weights [ky, kx, :]. */
static void backward_weight_tap(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const struct det_conv_shape *s = job->s;
    const int32_t c = s->in_c, ky = task / s->kernel_w, kx = task % s->kernel_w;
    float *dw = job->to + (int64_t)task * c;
    for (int32_t first = 0; first < c; first += DET_REF_BLOCK) {
        const int32_t count = det_ref_min(DET_REF_BLOCK, c - first);
        double sum[DET_REF_BLOCK];
        for (int32_t j = 0; j < count; j++)
            sum[j] = job->accumulate ? (double)dw[first + j] : 0.0;
        for (int64_t row = 0; row < (int64_t)s->n * s->out_h; row++) {
            const int64_t n = row / s->out_h;
            const int64_t iy = row % s->out_h * s->stride - s->pad_top + ky;
            for (int32_t ox = 0; iy >= 0 && iy < s->in_h && ox < s->out_w; ox++) {
                const int64_t ix = (int64_t)ox * s->stride - s->pad_left + kx;
                if (ix < 0 || ix >= s->in_w)
                    continue;
                const float *in = job->in + ((n * s->in_h + iy) * s->in_w + ix) * c + first;
                const float *dout = job->dout + (row * s->out_w + ox) * c + first;
                for (int32_t j = 0; j < count; j++)
                    sum[j] += (double)in[j] * dout[j];
            }
        }
        for (int32_t j = 0; j < count; j++)
            dw[first + j] = (float)sum[j];
    }
}

void detk_dwconv_backward_weight__ref(const struct det_exec *x, const struct det_conv_shape *s,
                                      const float *in, const float *dout, float *dw,
                                      bool accumulate)
{
    struct job job = {.s = s, .in = in, .dout = dout, .to = dw, .accumulate = accumulate};
    det_pool_run(x->pool, s->kernel_h * s->kernel_w, backward_weight_tap, &job);
}

size_t detk_dwconv_workspace__ref(const struct det_conv_shape *s, int threads)
{
    (void)s;
    (void)threads;
    return 0;
}
