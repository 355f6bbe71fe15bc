#include "devices/cuda/cuda_q8_conv.h"

#include <string.h>

#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_q8_passes.h"
#include "devices/cuda/cuda_tune.h"
#include "im2col.h"

static int64_t rows_of(const struct det_conv_shape *s)
{
    return (int64_t)s->n * s->out_h * s->out_w;
}

static int32_t rounded_up(int32_t value, int32_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

/* --- planning --- */

static size_t weights_bytes(const struct det_cuda_q8_conv *c)
{
    const struct det_conv_shape *s = &c->shape;
    const struct det_cuda_matmul_shape *product = &c->product.problem.shape;
    if (!c->depthwise)
        return (size_t)product->n * (size_t)product->k;
    if (detk_q8_dwconv_packed(s))
        return 3 * (size_t)s->out_c * sizeof(int32_t);
    return (size_t)s->kernel_h * (size_t)s->kernel_w * (size_t)s->out_c;
}

/* All of the same size: the last one does some rows again that the one before has done. */
static void plan_passes(struct det_cuda_q8_conv *c, int32_t k, int32_t n)
{
    const int64_t sums = (int64_t)n * (int64_t)sizeof(int32_t), patch = c->columns ? k : 0;
    c->passes = det_cuda_q8_passes(rows_of(&c->shape), sums > patch ? sums : patch);
    c->pass_rows = det_ceil_div(rows_of(&c->shape), c->passes);
}

/* The product of rows and sums that are multiples of `multiple`: 4, which cublasLt's documentation
 * asks for, or 16, which it calls better. Patches have 16 in any case. */
static det_status plan_product(struct det_env *env, const struct det_device *device,
                               int32_t multiple, struct det_cuda_q8_conv *c)
{
    const struct det_conv_shape *s = &c->shape;
    c->columns = s->kernel_h != 1 || s->kernel_w != 1 || s->stride != 1 || s->in_c % multiple != 0;
    const int32_t k = c->columns ? detk_im2col_q8_width(s) : s->in_c;
    const int32_t n = rounded_up(s->out_c, multiple);
    struct det_cuda_layout workspace = {0};
    plan_passes(c, k, n);
    const struct det_cuda_matmul_shape shape = {
        .rows = c->pass_rows, .k = k, .n = n, .in_stride = k, .out_type = DETK_F32};
    DET_TRY_RETURN(
        det_cuda_matmul_create(env, device, DET_CUDA_FORWARD_Q8, &shape, false, &c->product));
    (void)det_cuda_layout_add(&workspace, c->columns ? (size_t)c->pass_rows : 0, (size_t)k);
    c->sums_at = det_cuda_layout_add(&workspace, (size_t)c->pass_rows, (size_t)n * sizeof(int32_t));
    c->product_at = det_cuda_layout_add(&workspace, c->product.workspace_bytes, 1);
    c->workspace_bytes = workspace.bytes;
    return DET_OK;
}

static det_status plan_dense(struct det_env *env, const struct det_device *device,
                             struct det_cuda_q8_conv *c)
{
    const det_status status = plan_product(env, device, 4, c);
    if (status != DET_STATUS_UNSUPPORTED)
        return status;
    DET_TRY_RETURN(det_forgive(env, status, DET_STATUS_UNSUPPORTED));
    return plan_product(env, device, 16, c);
}

det_status det_cuda_q8_conv_create(struct det_env *env, const struct det_device *device,
                                   const struct det_conv_shape *shape, bool depthwise,
                                   struct det_cuda_layout *constants, struct det_cuda_q8_conv *c)
{
    const size_t channels = (size_t)shape->out_c;
    *c = (struct det_cuda_q8_conv){.shape = *shape, .depthwise = depthwise};
    if (!depthwise)
        DET_TRY_RETURN(plan_dense(env, device, c));
    c->weights_at = det_cuda_layout_add(constants, weights_bytes(c), 1);
    c->bias_at = det_cuda_layout_add(constants, channels, sizeof(int32_t));
    c->scales_at = det_cuda_layout_add(constants, channels, sizeof(float));
    return DET_OK;
}

void det_cuda_q8_conv_destroy(struct det_cuda_q8_conv *c)
{
    det_cuda_matmul_destroy(&c->product);
}

/* --- constants --- */

/* [out_c][k], from HWIO. */
static void pack_dense(const struct det_cuda_q8_conv *c, const int8_t *weights, int8_t *to)
{
    const struct det_conv_shape *s = &c->shape;
    const size_t taps = (size_t)s->kernel_h * (size_t)s->kernel_w * (size_t)s->in_c;
    const size_t k = (size_t)c->product.problem.shape.k, channels = (size_t)s->out_c;
    for (size_t t = 0; t < taps; t++) {
        for (size_t o = 0; o < channels; o++)
            to[o * k + t] = weights[t * channels + o];
    }
}

static void pack_depthwise(const struct det_cuda_q8_conv *c, const int8_t *weights, uint8_t *to)
{
    const size_t channels = (size_t)c->shape.out_c;
    if (!detk_q8_dwconv_packed(&c->shape)) {
        memcpy(to, weights, weights_bytes(c));
        return;
    }
    for (size_t tap = 0; tap < 9; tap++) {
        for (size_t o = 0; o < channels; o++)
            to[(tap / 3 * channels + o) * 4 + tap % 3] = (uint8_t)weights[tap * channels + o];
    }
}

static int32_t sum_of_weights(const struct det_cuda_q8_conv *c, const int8_t *weights,
                              int32_t channel)
{
    const struct det_conv_shape *s = &c->shape;
    const int32_t taps = s->kernel_h * s->kernel_w * (c->depthwise ? 1 : s->in_c);
    int32_t sum = 0;
    for (int32_t t = 0; t < taps; t++)
        sum += weights[(size_t)t * (size_t)s->out_c + (size_t)channel];
    return sum;
}

void det_cuda_q8_conv_pack(struct det_cuda_q8_conv *c, const struct det_q8_conv *layer,
                           uint8_t *constants)
{
    int32_t *bias = (int32_t *)(void *)(constants + c->bias_at);
    c->in_zero = layer->in_zero;
    c->to = layer->to;
    if (c->depthwise)
        pack_depthwise(c, layer->weights, constants + c->weights_at);
    else
        pack_dense(c, layer->weights, (int8_t *)(constants + c->weights_at));
    /* No more than DET_Q8_MOST_BIAS and DET_Q8_MOST_TERMS products of 128 * 127: within 32 bits. */
    for (int32_t o = 0; o < c->shape.out_c; o++)
        bias[o] = layer->bias[o] - layer->in_zero * sum_of_weights(c, layer->weights, o);
    memcpy(constants + c->scales_at, layer->scale, (size_t)c->shape.out_c * sizeof *layer->scale);
}

/* --- running --- */

static struct detk_q8_scaling scaling_of(const struct det_cuda_q8_conv *c, const uint8_t *constants)
{
    return (struct detk_q8_scaling){
        .bias = (const int32_t *)(const void *)(constants + c->bias_at),
        .scales = (const float *)(const void *)(constants + c->scales_at),
        .to = c->to,
    };
}

/* Rows `first` and on: their patches, where they are made, their sums, and these in 8 bits. */
static det_status run_pass(struct det_env *env, const struct det_device *device,
                           const struct det_cuda_q8_conv *c, const uint8_t *constants,
                           const int8_t *in, int64_t first, const struct detk_q8_addend *addend,
                           int8_t *out, uint8_t *workspace, const char *what)
{
    const struct det_conv_shape *s = &c->shape;
    const struct detk_q8_scaling scaling = scaling_of(c, constants);
    int32_t *sums = (int32_t *)(void *)(workspace + c->sums_at);
    const int8_t *rows = in + first * s->in_c;
    if (c->columns) {
        rows = (const int8_t *)workspace;
        DET_TRY_RETURN(det_cuda_check(env,
                                      detk_im2col_q8(device->stream, s, first, c->pass_rows,
                                                     (int8_t)c->in_zero, in, (int8_t *)workspace),
                                      what));
    }
    DET_TRY_RETURN(det_cuda_matmul_run(env, device, &c->product, rows, constants + c->weights_at,
                                       NULL, sums, false, workspace + c->product_at, what));
    return det_cuda_check(env,
                          detk_q8_finish(device->stream, first, c->pass_rows, s->out_c,
                                         c->product.problem.shape.n, sums, &scaling, addend, out),
                          what);
}

det_status det_cuda_q8_conv_forward(struct det_env *env, const struct det_device *device,
                                    const struct det_cuda_q8_conv *c, const uint8_t *constants,
                                    const int8_t *in, const struct detk_q8_addend *addend,
                                    int8_t *out, void *workspace, const char *what)
{
    const struct detk_q8_scaling scaling = scaling_of(c, constants);
    if (c->depthwise)
        return det_cuda_check(env,
                              detk_q8_dwconv(device->stream, &c->shape, in, c->in_zero,
                                             constants + c->weights_at, &scaling, out),
                              what);
    const int64_t last = rows_of(&c->shape) - c->pass_rows;
    for (int64_t pass = 0; pass < c->passes; pass++) {
        const int64_t first = pass * c->pass_rows < last ? pass * c->pass_rows : last;
        DET_TRY_RETURN(run_pass(env, device, c, constants, in, first, addend, out,
                                (uint8_t *)workspace, what));
    }
    return DET_OK;
}

det_status det_cuda_q8_conv_tune(struct det_env *env, struct det_cuda_tuner *tuner,
                                 struct det_cuda_q8_conv *c, const uint8_t *constants,
                                 const int8_t *in, void *workspace)
{
    uint8_t *at = workspace;
    if (c->depthwise)
        return DET_OK;
    return det_cuda_matmul_tune(env, tuner, &c->product, c->columns ? workspace : in,
                                constants + c->weights_at, NULL, at + c->sums_at,
                                at + c->product_at);
}
