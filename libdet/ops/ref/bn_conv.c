/* The convolutions of training: batch norm's values and gradients are made in the workspace, then
 * the plain operations run, then the sums are taken. */
#include <string.h>

#include "ops/ref/ref_ops.h"

static int64_t in_rows(const struct det_conv_shape *s)
{
    return (int64_t)s->n * s->in_h * s->in_w;
}

static int64_t out_rows(const struct det_conv_shape *s)
{
    return (int64_t)s->n * s->out_h * s->out_w;
}

size_t detk_bn_conv_workspace__ref(const struct det_conv_shape *s, bool depthwise, int threads)
{
    (void)depthwise;
    (void)threads;
    return (size_t)(in_rows(s) * s->in_c + out_rows(s) * s->out_c) * sizeof(float);
}

/* The normalised value before the activation, rounded to float as it decides what passes
 * backward. */
static float normalised(const struct det_bn *n, float x, int32_t channel)
{
    return (float)(((double)x - n->mean[channel]) * n->scale[channel] + n->beta[channel]);
}

static float value(const struct det_operand *in, int64_t row, int32_t channel, int32_t c)
{
    const float x = in->x[row * c + channel];
    if (in->bn == NULL)
        return x;
    return (float)det_ref_activate(normalised(in->bn, x, channel), in->bn->act);
}

static const float *values(const struct det_operand *in, int64_t rows, int32_t c, float *memory)
{
    if (in->bn == NULL)
        return in->x;
    for (int64_t row = 0; row < rows; row++) {
        for (int32_t j = 0; j < c; j++)
            memory[row * c + j] = value(in, row, j, c);
    }
    return memory;
}

/* What of dy passes the activation behind the norm of x. */
static double passed(const struct det_bn *n, float dy, float x, int32_t channel)
{
    return det_ref_passes(normalised(n, x, channel), n->act) ? (double)dy : 0.0;
}

static const float *gradients(const struct det_gradient *g, int64_t rows, int32_t c, float *memory)
{
    if (g->bn == NULL)
        return g->dy;
    for (int64_t row = 0; row < rows; row++) {
        for (int32_t j = 0; j < c; j++) {
            const int64_t at = row * c + j;
            const double distance = (double)g->x[at] - g->bn->mean[j];
            memory[at] = (float)(passed(g->bn, g->dy[at], g->x[at], j) * g->bn->scale[j] +
                                 g->constant[j] + g->slope[j] * distance);
        }
    }
    return memory;
}

/* Mean, then mean squared distance from it: no cancellation. */
static void statistics(int64_t rows, int32_t c, const float *x, float *mean, float *variance)
{
    for (int32_t j = 0; j < c; j++) {
        double sum = 0, squares = 0;
        for (int64_t row = 0; row < rows; row++)
            sum += x[row * c + j];
        sum /= (double)rows;
        for (int64_t row = 0; row < rows; row++) {
            const double distance = x[row * c + j] - sum;
            squares += distance * distance;
        }
        mean[j] = (float)sum;
        variance[j] = (float)(squares / (double)rows);
    }
}

void detk_bn_conv_forward__ref(const struct det_exec *x, const struct det_conv_shape *s,
                               bool depthwise, const struct det_operand *in, const float *w,
                               const float *bias, float *out, float *mean, float *variance)
{
    const float *made = values(in, in_rows(s), s->in_c, x->workspace);
    (depthwise ? detk_dwconv_forward__ref : detk_conv_forward__ref)(x, s, made, w, bias,
                                                                    DET_ACTIVATION_NONE, out);
    if (mean != NULL)
        statistics(out_rows(s), s->out_c, out, mean, variance);
}

void detk_bn_conv_backward__ref(const struct det_exec *x, const struct det_conv_shape *s,
                                bool depthwise, const struct det_operand *in,
                                const struct det_gradient *dout, const float *w,
                                const struct det_gradient_to *to, float *dw, bool accumulate)
{
    float *memory = x->workspace;
    const float *made = values(in, in_rows(s), s->in_c, memory);
    const float *gradient = gradients(dout, out_rows(s), s->out_c, memory + in_rows(s) * s->in_c);
    (depthwise ? detk_dwconv_backward_weight__ref
               : detk_conv_backward_weight__ref)(x, s, made, gradient, dw, accumulate);
    if (to->din != NULL)
        (depthwise ? detk_dwconv_backward_data__ref
                   : detk_conv_backward_data__ref)(x, s, gradient, w, to->din, to->accumulate);
    if (to->sums != NULL)
        detk_bn_sums__ref(x, in_rows(s), s->in_c, to);
}

size_t detk_bn_sums_workspace__ref(int64_t rows, int32_t c)
{
    (void)rows;
    (void)c;
    return 0;
}

void detk_bn_sums__ref(const struct det_exec *x, int64_t rows, int32_t c,
                       const struct det_gradient_to *to)
{
    (void)x;
    memset(to->sums, 0, 2 * (size_t)c * sizeof *to->sums);
    for (int64_t row = 0; row < rows; row++) {
        for (int32_t j = 0; j < c; j++) {
            const int64_t at = row * c + j;
            const double dy = passed(to->bn, to->din[at], to->x[at], j);
            to->sums[j] += dy;
            to->sums[c + j] += dy * ((double)to->x[at] - to->bn->mean[j]);
        }
    }
}

void detk_bn_add__ref(const struct det_exec *x, int64_t rows, int32_t c,
                      const struct det_operand *a, const struct det_operand *b, float *out)
{
    (void)x;
    for (int64_t row = 0; row < rows; row++) {
        for (int32_t j = 0; j < c; j++)
            out[row * c + j] = value(a, row, j, c) + (b != NULL ? value(b, row, j, c) : 0);
    }
}
