#include "devices/cuda/cuda_conv.h"

#include <math.h>

#include "bias_act.h"
#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_tune.h"
#include "im2col.h"
#include "weight_gradient.h"

static size_t round_up(size_t bytes)
{
    return (bytes + DETK_ALIGN - 1) / DETK_ALIGN * DETK_ALIGN;
}

static int64_t rows_of(const struct det_conv_shape *s)
{
    return (int64_t)s->n * s->out_h * s->out_w;
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void need(struct det_cuda_conv *c, size_t bytes)
{
    c->workspace_bytes = most(c->workspace_bytes, bytes);
}

/* The product that each pass is, of the input itself or of its columns. */
static struct det_cuda_matmul_shape product_shape(const struct det_device *device,
                                                  enum det_cuda_conv_method method,
                                                  const struct det_cuda_conv *c)
{
    const struct det_conv_shape *s = &c->shape;
    return (struct det_cuda_matmul_shape){
        .rows = rows_of(s),
        .k = s->kernel_h * s->kernel_w * s->in_c,
        .n = s->out_c,
        .in_stride = method == DET_CUDA_CONV_COLUMNS ? detk_im2col_width(device->type, s) : s->in_c,
        .out_type = c->out_type,
    };
}

static det_status plan_product(struct det_env *env, const struct det_device *device,
                               enum det_cuda_conv_method method, enum det_cuda_product product,
                               bool bias, struct det_cuda_conv *c, struct det_cuda_matmul *m)
{
    const struct det_cuda_matmul_shape shape = product_shape(device, method, c);
    if (method == DET_CUDA_CONV_COLUMNS)
        c->columns_bytes =
            round_up((size_t)shape.rows * (size_t)shape.in_stride * det_cuda_element_bytes(device));
    DET_TRY_RETURN(det_cuda_matmul_create(env, device, product, &shape, bias, m));
    need(c, c->columns_bytes + m->workspace_bytes);
    return DET_OK;
}

/* The passes that `method` and `weight_method` do not leave to cuDNN. */
static det_status plan_products(struct det_env *env, const struct det_device *device,
                                const struct det_cuda_conv_uses *uses, struct det_cuda_conv *c)
{
    if (c->method != DET_CUDA_CONV_LIBRARY) {
        DET_TRY_RETURN(
            plan_product(env, device, c->method, DET_CUDA_FORWARD, uses->bias, c, &c->forward));
        if (uses->backward_data)
            DET_TRY_RETURN(plan_product(env, device, c->method, DET_CUDA_BACKWARD_DATA, false, c,
                                        &c->backward_data));
    }
    if (uses->backward_weight && c->weight_method != DET_CUDA_CONV_LIBRARY &&
        (c->weight_way == DET_CUDA_WEIGHT_LIBRARY || c->weight_other != DET_CUDA_WEIGHT_LIBRARY))
        return plan_product(env, device, c->weight_method, DET_CUDA_BACKWARD_WEIGHT, false, c,
                            &c->backward_weight);
    return DET_OK;
}

/* Whether the weights' gradient is our own kernel's: by the sizes, or by the times of both, known
 * or to be taken. */
static void plan_weight_way(const struct det_device *device, const struct det_cuda_conv_uses *uses,
                            struct det_cuda_conv *c)
{
    const struct det_conv_shape *s = &c->shape;
    const int32_t element_bytes = (int32_t)det_cuda_element_bytes(device);
    if (!uses->backward_weight || c->weight_method == DET_CUDA_CONV_LIBRARY)
        return;
    const struct det_cuda_problem problem = {
        .product = DET_CUDA_BACKWARD_WEIGHT,
        .shape = product_shape(device, c->weight_method, c),
    };
    const struct det_cuda_choice *known = det_cuda_choice_find(device, &problem);
    c->weight_way = det_cuda_weight_way(s, element_bytes);
    if (known != NULL && known->way_timed)
        c->weight_way = known->way;
    else if (det_cuda_tunes(device))
        c->weight_other = det_cuda_weight_candidate(s, element_bytes);
    if (c->weight_way == DET_CUDA_WEIGHT_ROWS || c->weight_other == DET_CUDA_WEIGHT_ROWS)
        need(c, detk_weight_gradient_workspace(rows_of(s), s->in_c, s->out_c));
    if (c->weight_way == DET_CUDA_WEIGHT_IMAGE || c->weight_other == DET_CUDA_WEIGHT_IMAGE)
        need(c, detk_image_weight_gradient_workspace(s));
}

/* What cuDNN can do becomes its method. */
static det_status plan_library(struct det_env *env, struct det_device *device,
                               const struct det_cuda_conv_uses *uses, struct det_cuda_conv *c)
{
    const bool weights_too = uses->backward_weight && device->type == DETK_F32;
    const struct det_cuda_cudnn_uses passes = {
        .backward_data = uses->backward_data,
        .backward_weight = weights_too,
    };
    if (c->out_type != device->type || !det_cuda_cudnn_expressible(&c->shape))
        return DET_OK;
    const det_status status = det_cuda_cudnn_create(env, device, &c->shape, &passes, &c->library);
    if (status == DET_STATUS_UNSUPPORTED)
        return det_forgive(env, status, DET_STATUS_UNSUPPORTED);
    DET_TRY_RETURN(status);
    c->method = DET_CUDA_CONV_LIBRARY;
    if (weights_too)
        c->weight_method = DET_CUDA_CONV_LIBRARY;
    need(c, det_cuda_cudnn_workspace(&c->library));
    return DET_OK;
}

det_status det_cuda_conv_create(struct det_env *env, struct det_device *device,
                                const struct det_conv_shape *shape,
                                const struct det_cuda_conv_uses *uses, struct det_cuda_conv *c)
{
    const bool plain = shape->kernel_h == 1 && shape->kernel_w == 1 && shape->stride == 1;
    *c = (struct det_cuda_conv){
        .shape = *shape,
        .out_type = uses->float_out ? DETK_F32 : device->type,
        .method = plain ? DET_CUDA_CONV_PRODUCT : DET_CUDA_CONV_COLUMNS,
    };
    c->weight_method = c->method;
    det_status status = DET_OK;
    if (!plain)
        DET_TRY(plan_library(env, device, uses, c));
    plan_weight_way(device, uses, c);
    DET_TRY(plan_products(env, device, uses, c));
    return DET_OK;
fail:
    det_cuda_conv_destroy(c);
    return status;
}

void det_cuda_conv_destroy(struct det_cuda_conv *c)
{
    det_cuda_matmul_destroy(&c->forward);
    det_cuda_matmul_destroy(&c->backward_data);
    det_cuda_matmul_destroy(&c->backward_weight);
    det_cuda_cudnn_destroy(&c->library);
    *c = (struct det_cuda_conv){0};
}

/* What lies in the workspace behind the columns. */
static void *behind_columns(const struct det_cuda_conv *c, void *workspace)
{
    return (uint8_t *)workspace + c->columns_bytes;
}

/* The matrix whose rows are the patches: the input itself for 1x1. */
static det_status patches(struct det_env *env, const struct det_device *device,
                          const struct det_cuda_conv *c, enum det_cuda_conv_method method,
                          const void *in, void *workspace, const char *what, const void **matrix)
{
    *matrix = in;
    if (method != DET_CUDA_CONV_COLUMNS)
        return DET_OK;
    *matrix = workspace;
    return det_cuda_check(env, detk_im2col(device->stream, device->type, &c->shape, in, workspace),
                          what);
}

det_status det_cuda_conv_forward(struct det_env *env, const struct det_device *device,
                                 const struct det_cuda_conv *c, const void *in,
                                 struct det_cuda_param weight, struct det_cuda_param bias,
                                 enum det_activation act, void *out, void *workspace,
                                 const char *what)
{
    const float *bias_left = NULL; /* to be added */
    if (c->method == DET_CUDA_CONV_LIBRARY) {
        DET_TRY_RETURN(det_cuda_cudnn_forward(env, device, &c->library, &c->shape, in,
                                              weight.master, out, workspace, what));
        bias_left = bias.master;
    } else {
        const void *matrix = NULL;
        DET_TRY_RETURN(patches(env, device, c, c->method, in, workspace, what, &matrix));
        DET_TRY_RETURN(det_cuda_matmul_run(env, device, &c->forward, matrix, weight.typed,
                                           c->out_type == DETK_F32 ? bias.master : bias.typed, out,
                                           false, behind_columns(c, workspace), what));
    }
    return det_cuda_check(env,
                          detk_bias_act(device->stream, c->out_type, rows_of(&c->shape),
                                        c->shape.out_c, bias_left, act, out),
                          what);
}

det_status det_cuda_conv_backward_data(struct det_env *env, const struct det_device *device,
                                       const struct det_cuda_conv *c, const void *dout,
                                       struct det_cuda_param weight, void *din, bool accumulate,
                                       void *workspace, const char *what)
{
    switch (c->method) {
    case DET_CUDA_CONV_LIBRARY:
        return det_cuda_cudnn_backward_data(env, device, &c->library, &c->shape, dout,
                                            weight.master, din, accumulate, workspace, what);
    case DET_CUDA_CONV_COLUMNS:
        DET_TRY_RETURN(det_cuda_matmul_run(env, device, &c->backward_data, dout, weight.typed, NULL,
                                           workspace, false, behind_columns(c, workspace), what));
        return det_cuda_check(
            env, detk_col2im(device->stream, device->type, &c->shape, workspace, din, accumulate),
            what);
    case DET_CUDA_CONV_PRODUCT:
        break;
    }
    return det_cuda_matmul_run(env, device, &c->backward_data, dout, weight.typed, NULL, din,
                               accumulate, workspace, what);
}

det_status det_cuda_conv_backward_weight(struct det_env *env, const struct det_device *device,
                                         const struct det_cuda_conv *c, const void *in,
                                         const void *dout, float *dweight, bool accumulate,
                                         void *workspace, const char *what)
{
    const struct det_conv_shape *s = &c->shape;
    switch (c->weight_way) {
    case DET_CUDA_WEIGHT_ROWS:
        return det_cuda_check(env,
                              detk_weight_gradient(device->stream, device->type, rows_of(s),
                                                   s->in_c, s->out_c, in, s->in_c, dout, dweight,
                                                   accumulate, workspace),
                              what);
    case DET_CUDA_WEIGHT_IMAGE:
        return det_cuda_check(env,
                              detk_image_weight_gradient(device->stream, device->type, s, in, dout,
                                                         dweight, accumulate, workspace),
                              what);
    case DET_CUDA_WEIGHT_LIBRARY:
        break;
    }
    if (c->weight_method == DET_CUDA_CONV_LIBRARY)
        return det_cuda_cudnn_backward_weight(env, device, &c->library, s, in, dout, dweight,
                                              accumulate, workspace, what);
    const void *matrix = NULL;
    DET_TRY_RETURN(patches(env, device, c, c->weight_method, in, workspace, what, &matrix));
    return det_cuda_matmul_run(env, device, &c->backward_weight, matrix, dout, NULL, dweight,
                               accumulate, behind_columns(c, workspace), what);
}

/* A weights' gradient as a whole, while its ways are timed. */
struct weight_trial {
    const struct det_device *device;
    const struct det_cuda_conv *conv;
    const struct det_cuda_conv_operands *operands;
    void *workspace;
};

static det_status try_weight_way(struct det_env *env, const void *argument)
{
    const struct weight_trial *t = argument;
    return det_cuda_conv_backward_weight(env, t->device, t->conv, t->operands->in,
                                         t->operands->dout, t->operands->dweight, false,
                                         t->workspace, "timing a weights' gradient");
}

/* Both ways; what the sizes say stays, unless the other is clearly faster. */
static det_status time_weight_ways(struct det_env *env, const struct det_cuda_tuner *tuner,
                                   struct det_cuda_conv *c,
                                   const struct det_cuda_conv_operands *operands, void *workspace,
                                   enum det_cuda_weight_way *way)
{
    const struct weight_trial trial = {tuner->device, c, operands, workspace};
    const struct det_conv_shape *s = &c->shape;
    const bool own_is_usual = c->weight_way != DET_CUDA_WEIGHT_LIBRARY;
    float own_us = INFINITY, library_us = INFINITY;
    c->weight_way = c->weight_other;
    DET_TRY_RETURN(det_cuda_tuner_time(env, tuner, try_weight_way, &trial, INFINITY, &own_us));
    c->weight_way = DET_CUDA_WEIGHT_LIBRARY;
    DET_TRY_RETURN(det_cuda_tuner_time(env, tuner, try_weight_way, &trial, own_us, &library_us));
    const bool own = own_is_usual ? !(library_us < DET_CUDA_TUNE_MARGIN * own_us)
                                  : own_us < DET_CUDA_TUNE_MARGIN * library_us;
    *way = own ? c->weight_other : DET_CUDA_WEIGHT_LIBRARY;
    det_log(env, DET_LOG_DEBUG,
            "weights' gradient, %lld x %d x %d: takes %s, us: %.1f, cublasLt %.1f",
            (long long)rows_of(s), s->kernel_h * s->kernel_w * s->in_c, s->out_c,
            own ? "our kernel" : "cublasLt", (double)own_us, (double)library_us);
    return DET_OK;
}

static det_status tune_weight_way(struct det_env *env, struct det_cuda_tuner *tuner,
                                  struct det_cuda_conv *c,
                                  const struct det_cuda_conv_operands *operands, void *workspace)
{
    struct det_cuda_choice *known =
        det_cuda_choice_find(tuner->device, &c->backward_weight.problem);
    if (c->weight_other == DET_CUDA_WEIGHT_LIBRARY || known == NULL)
        return DET_OK;
    if (!known->way_timed)
        DET_TRY_RETURN(time_weight_ways(env, tuner, c, operands, workspace, &known->way));
    known->way_timed = true;
    c->weight_way = known->way;
    c->weight_other = DET_CUDA_WEIGHT_LIBRARY;
    return DET_OK;
}

det_status det_cuda_conv_tune(struct det_env *env, struct det_cuda_tuner *tuner,
                              struct det_cuda_conv *c, const struct det_cuda_conv_operands *o,
                              void *workspace)
{
    void *const behind = behind_columns(c, workspace);
    const bool columns = c->method == DET_CUDA_CONV_COLUMNS;
    const bool weight_columns = c->weight_method == DET_CUDA_CONV_COLUMNS;
    DET_TRY_RETURN(det_cuda_matmul_tune(
        env, tuner, &c->forward, columns ? workspace : o->in, o->weight.typed,
        c->out_type == DETK_F32 ? o->bias.master : o->bias.typed, o->out, behind));
    DET_TRY_RETURN(det_cuda_matmul_tune(env, tuner, &c->backward_data, o->dout, o->weight.typed,
                                        NULL, columns ? workspace : o->din, behind));
    DET_TRY_RETURN(det_cuda_matmul_tune(env, tuner, &c->backward_weight,
                                        weight_columns ? workspace : o->in, o->dout, NULL,
                                        o->dweight, behind));
    return tune_weight_way(env, tuner, c, o, workspace);
}
