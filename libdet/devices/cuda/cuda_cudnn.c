#include "devices/cuda/cuda_cudnn.h"

#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_libraries.h"
#include "filter_layout.h"

/* More than this a convolution of this network does not need; algorithms that want more are passed
 * over. */
#define MOST_WORKSPACE  ((size_t)256 << 20)
#define MOST_ALGORITHMS 16

static const char planning[] = "planning a convolution";

static det_status check(struct det_env *env, cudnnStatus_t error, const char *what)
{
    if (error == CUDNN_STATUS_SUCCESS)
        return DET_OK;
    return det_fail(
        env, error == CUDNN_STATUS_ALLOC_FAILED ? DET_STATUS_OUT_OF_MEMORY : DET_STATUS_DEVICE,
        "%s: cuDNN: %s", what, cudnnGetErrorString(error));
}

bool det_cuda_cudnn_expressible(const struct det_conv_shape *s)
{
    return (s->in_h + 2 * s->pad_top - s->kernel_h) / s->stride + 1 == s->out_h &&
           (s->in_w + 2 * s->pad_left - s->kernel_w) / s->stride + 1 == s->out_w;
}

static det_status open_library(struct det_env *env, struct det_device *device)
{
    if (device->cudnn == NULL) {
        DET_TRY_RETURN(det_cuda_cudnn_load(env));
        DET_TRY_RETURN(check(env, cudnnCreate(&device->cudnn), "starting cuDNN"));
    }
    return check(env, cudnnSetStream(device->cudnn, device->stream), "starting cuDNN");
}

static det_status describe(struct det_env *env, const struct det_device *device,
                           const struct det_conv_shape *s, struct det_cuda_cudnn *p)
{
    const cudnnDataType_t type = device->type == DETK_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    const cudnnMathType_t math =
        device->settings.precision == DET_PRECISION_F32 ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH;
    DET_TRY_RETURN(check(env, cudnnCreateTensorDescriptor(&p->in), planning));
    DET_TRY_RETURN(check(env, cudnnCreateTensorDescriptor(&p->out), planning));
    DET_TRY_RETURN(check(env, cudnnCreateFilterDescriptor(&p->filter), planning));
    DET_TRY_RETURN(check(env, cudnnCreateConvolutionDescriptor(&p->convolution), planning));
    DET_TRY_RETURN(check(
        env,
        cudnnSetTensor4dDescriptor(p->in, CUDNN_TENSOR_NHWC, type, s->n, s->in_c, s->in_h, s->in_w),
        planning));
    DET_TRY_RETURN(check(env,
                         cudnnSetTensor4dDescriptor(p->out, CUDNN_TENSOR_NHWC, type, s->n, s->out_c,
                                                    s->out_h, s->out_w),
                         planning));
    DET_TRY_RETURN(check(env,
                         cudnnSetFilter4dDescriptor(p->filter, type, CUDNN_TENSOR_NHWC, s->out_c,
                                                    s->in_c, s->kernel_h, s->kernel_w),
                         planning));
    DET_TRY_RETURN(check(env,
                         cudnnSetConvolution2dDescriptor(p->convolution, s->pad_top, s->pad_left,
                                                         s->stride, s->stride, 1, 1,
                                                         CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
                         planning));
    return check(env, cudnnSetConvolutionMathType(p->convolution, math), planning);
}

/* Whether an algorithm that cuDNN proposes is one that we take. */
static bool acceptable(const struct det_device *device, cudnnStatus_t status, size_t memory,
                       cudnnDeterminism_t determinism, cudnnMathType_t math)
{
    const bool rounds =
        math == CUDNN_TENSOR_OP_MATH || math == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION;
    return status == CUDNN_STATUS_SUCCESS && memory <= MOST_WORKSPACE &&
           (!device->settings.deterministic || determinism == CUDNN_DETERMINISTIC) &&
           (!rounds || device->settings.precision != DET_PRECISION_F32);
}

static void need(struct det_cuda_cudnn *p, size_t bytes)
{
    if (bytes > p->algorithm_bytes)
        p->algorithm_bytes = bytes;
}

static det_status none_found(struct det_env *env, const char *pass)
{
    return det_fail(env, DET_STATUS_UNSUPPORTED, "cuDNN has no algorithm for a convolution's %s",
                    pass);
}

/* The three passes differ in types and functions only; cuDNN lists its algorithms best first. */
static det_status choose_forward(struct det_env *env, const struct det_device *device,
                                 struct det_cuda_cudnn *p)
{
    cudnnConvolutionFwdAlgoPerf_t found[MOST_ALGORITHMS];
    int count = 0;
    if (cudnnGetConvolutionForwardAlgorithm_v7(device->cudnn, p->in, p->filter, p->convolution,
                                               p->out, MOST_ALGORITHMS, &count,
                                               found) != CUDNN_STATUS_SUCCESS)
        return none_found(env, "output");
    for (int i = 0; i < count; i++) {
        if (!acceptable(device, found[i].status, found[i].memory, found[i].determinism,
                        found[i].mathType))
            continue;
        p->forward = found[i].algo;
        need(p, found[i].memory);
        return DET_OK;
    }
    return none_found(env, "output");
}

static det_status choose_backward_data(struct det_env *env, const struct det_device *device,
                                       struct det_cuda_cudnn *p)
{
    cudnnConvolutionBwdDataAlgoPerf_t found[MOST_ALGORITHMS];
    int count = 0;
    if (cudnnGetConvolutionBackwardDataAlgorithm_v7(device->cudnn, p->filter, p->out,
                                                    p->convolution, p->in, MOST_ALGORITHMS, &count,
                                                    found) != CUDNN_STATUS_SUCCESS)
        return none_found(env, "input gradient");
    for (int i = 0; i < count; i++) {
        if (!acceptable(device, found[i].status, found[i].memory, found[i].determinism,
                        found[i].mathType))
            continue;
        p->backward_data = found[i].algo;
        need(p, found[i].memory);
        return DET_OK;
    }
    return none_found(env, "input gradient");
}

static det_status choose_backward_weight(struct det_env *env, const struct det_device *device,
                                         struct det_cuda_cudnn *p)
{
    cudnnConvolutionBwdFilterAlgoPerf_t found[MOST_ALGORITHMS];
    int count = 0;
    if (cudnnGetConvolutionBackwardFilterAlgorithm_v7(device->cudnn, p->in, p->out, p->convolution,
                                                      p->filter, MOST_ALGORITHMS, &count,
                                                      found) != CUDNN_STATUS_SUCCESS)
        return none_found(env, "weight gradient");
    for (int i = 0; i < count; i++) {
        if (!acceptable(device, found[i].status, found[i].memory, found[i].determinism,
                        found[i].mathType))
            continue;
        p->backward_weight = found[i].algo;
        need(p, found[i].memory);
        return DET_OK;
    }
    return none_found(env, "weight gradient");
}

det_status det_cuda_cudnn_create(struct det_env *env, struct det_device *device,
                                 const struct det_conv_shape *s,
                                 const struct det_cuda_cudnn_uses *uses, struct det_cuda_cudnn *p)
{
    *p = (struct det_cuda_cudnn){0};
    det_status status = DET_OK;
    const size_t values = (size_t)s->kernel_h * (size_t)s->kernel_w * (size_t)s->in_c *
                          (size_t)s->out_c * det_cuda_element_bytes(device);
    p->filter_bytes = (values + DETK_ALIGN - 1) / DETK_ALIGN * DETK_ALIGN;
    DET_TRY(open_library(env, device));
    DET_TRY(describe(env, device, s, p));
    DET_TRY(choose_forward(env, device, p));
    if (uses->backward_data)
        DET_TRY(choose_backward_data(env, device, p));
    if (uses->backward_weight)
        DET_TRY(choose_backward_weight(env, device, p));
    return DET_OK;
fail:
    det_cuda_cudnn_destroy(p);
    return status;
}

void det_cuda_cudnn_destroy(struct det_cuda_cudnn *p)
{
    if (p->in != NULL)
        (void)cudnnDestroyTensorDescriptor(p->in);
    if (p->out != NULL)
        (void)cudnnDestroyTensorDescriptor(p->out);
    if (p->filter != NULL)
        (void)cudnnDestroyFilterDescriptor(p->filter);
    if (p->convolution != NULL)
        (void)cudnnDestroyConvolutionDescriptor(p->convolution);
    *p = (struct det_cuda_cudnn){0};
}

static void *behind_filter(const struct det_cuda_cudnn *p, void *workspace)
{
    return (uint8_t *)workspace + p->filter_bytes;
}

det_status det_cuda_cudnn_forward(struct det_env *env, const struct det_device *device,
                                  const struct det_cuda_cudnn *p, const struct det_conv_shape *s,
                                  const void *in, const float *weight, void *out, void *workspace,
                                  const char *what)
{
    const float one = 1, zero = 0;
    DET_TRY_RETURN(det_cuda_check(
        env, detk_filter_to_krsc(device->stream, device->type, s, weight, workspace), what));
    return check(env,
                 cudnnConvolutionForward(device->cudnn, &one, p->in, in, p->filter, workspace,
                                         p->convolution, p->forward, behind_filter(p, workspace),
                                         p->algorithm_bytes, &zero, p->out, out),
                 what);
}

det_status det_cuda_cudnn_backward_data(struct det_env *env, const struct det_device *device,
                                        const struct det_cuda_cudnn *p,
                                        const struct det_conv_shape *s, const void *dout,
                                        const float *weight, void *din, bool accumulate,
                                        void *workspace, const char *what)
{
    const float one = 1, beta = accumulate ? 1 : 0;
    DET_TRY_RETURN(det_cuda_check(
        env, detk_filter_to_krsc(device->stream, device->type, s, weight, workspace), what));
    return check(env,
                 cudnnConvolutionBackwardData(device->cudnn, &one, p->filter, workspace, p->out,
                                              dout, p->convolution, p->backward_data,
                                              behind_filter(p, workspace), p->algorithm_bytes,
                                              &beta, p->in, din),
                 what);
}

det_status det_cuda_cudnn_backward_weight(struct det_env *env, const struct det_device *device,
                                          const struct det_cuda_cudnn *p,
                                          const struct det_conv_shape *s, const void *in,
                                          const void *dout, float *dweight, bool accumulate,
                                          void *workspace, const char *what)
{
    const float one = 1, zero = 0;
    DET_TRY_RETURN(check(
        env,
        cudnnConvolutionBackwardFilter(device->cudnn, &one, p->in, in, p->out, dout, p->convolution,
                                       p->backward_weight, behind_filter(p, workspace),
                                       p->algorithm_bytes, &zero, p->filter, workspace),
        what));
    return det_cuda_check(
        env, detk_filter_from_krsc(device->stream, device->type, s, workspace, dweight, accumulate),
        what);
}
