#include "cudnn_peer.h"

#include "devices/cuda/cuda_libraries.h"

#ifndef DET_CUDA_EMU
#include <dlfcn.h>
#endif

enum { MOST_ALGORITHMS = 16, ALIGN = 256 };
#define MOST_WORKSPACE ((size_t)512 << 20)

/* The library loads no more of cuDNN than it uses; these three are the peer's. Batch norm by this
 * interface is deprecated, but the only one besides graphs. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
struct functions {
    __typeof__(cudnnSetConvolutionGroupCount) *groups;
    __typeof__(cudnnBatchNormalizationForwardTraining) *norm_forward;
    __typeof__(cudnnBatchNormalizationBackward) *norm_backward;
};

#ifdef DET_CUDA_EMU
static struct functions find(void)
{
    return (struct functions){cudnnSetConvolutionGroupCount, cudnnBatchNormalizationForwardTraining,
                              cudnnBatchNormalizationBackward};
}
#else
#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
/* open() has loaded it: its name is enough, wherever it lies. */
static struct functions find(void)
{
    struct functions f = {0};
    void *library = dlopen("libcudnn.so." TEXT(CUDNN_MAJOR), RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return f;
    *(void **)&f.groups = dlsym(library, "cudnnSetConvolutionGroupCount");
    *(void **)&f.norm_forward = dlsym(library, "cudnnBatchNormalizationForwardTraining");
    *(void **)&f.norm_backward = dlsym(library, "cudnnBatchNormalizationBackward");
    return f;
}
#endif

static det_status check(struct det_env *env, cudnnStatus_t error)
{
    if (error == CUDNN_STATUS_SUCCESS)
        return DET_OK;
    return det_fail(env, DET_STATUS_UNSUPPORTED, "cuDNN as a peer: %s", cudnnGetErrorString(error));
}

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* in, out and a gradient of out's or in's size, weights or parameters, workspace. */
static det_status take_memory(struct det_env *env, struct cudnn_peer *p, size_t in, size_t out,
                              size_t weight)
{
    const size_t larger = aligned(in > out ? in : out);
    const size_t bytes = 3 * larger + aligned(weight) + p->workspace_bytes + ALIGN;
    if (cudaMalloc(&p->memory, bytes) != cudaSuccess) {
        (void)cudaGetLastError();
        return det_fail(env, DET_STATUS_UNSUPPORTED, "cuDNN as a peer: no %zu bytes", bytes);
    }
    uint8_t *at = p->memory;
    p->in_at = at;
    p->out_at = at + larger;
    p->gradient_at = at + 2 * larger;
    p->weight_at = at + 3 * larger;
    p->workspace = at + 3 * larger + aligned(weight);
    return cudaMemsetAsync(p->memory, 0, bytes, p->device->stream) == cudaSuccess
               ? DET_OK
               : det_fail(env, DET_STATUS_DEVICE, "cuDNN as a peer: clearing its memory");
}

static det_status open(struct det_env *env, const struct det_device *device, struct cudnn_peer *p)
{
    *p = (struct cudnn_peer){.device = device};
    DET_TRY_RETURN(det_cuda_cudnn_load(env));
    DET_TRY_RETURN(check(env, cudnnCreate(&p->cudnn)));
    DET_TRY_RETURN(check(env, cudnnSetStream(p->cudnn, device->stream)));
    DET_TRY_RETURN(check(env, cudnnCreateTensorDescriptor(&p->in)));
    return check(env, cudnnCreateTensorDescriptor(&p->out));
}

static cudnnDataType_t type_of(const struct det_device *device)
{
    return device->type == DETK_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

/* The best algorithm of each pass whose workspace is bearable. */
static det_status choose(struct det_env *env, struct cudnn_peer *p, bool training)
{
    cudnnConvolutionFwdAlgoPerf_t forward[MOST_ALGORITHMS];
    cudnnConvolutionBwdDataAlgoPerf_t data[MOST_ALGORITHMS];
    cudnnConvolutionBwdFilterAlgoPerf_t weight[MOST_ALGORITHMS];
    int count = 0, taken = 0;
#define TAKE(list, algorithm)                                                              \
    for (int i = 0; i < count; i++)                                                        \
        if (list[i].status == CUDNN_STATUS_SUCCESS && list[i].memory <= MOST_WORKSPACE) {  \
            p->algorithm = list[i].algo;                                                   \
            p->workspace_bytes =                                                           \
                list[i].memory > p->workspace_bytes ? list[i].memory : p->workspace_bytes; \
            taken++;                                                                       \
            break;                                                                         \
        }
    DET_TRY_RETURN(check(
        env, cudnnGetConvolutionForwardAlgorithm_v7(p->cudnn, p->in, p->filter, p->convolution,
                                                    p->out, MOST_ALGORITHMS, &count, forward)));
    TAKE(forward, forward)
    if (training) {
        DET_TRY_RETURN(check(env, cudnnGetConvolutionBackwardDataAlgorithm_v7(
                                      p->cudnn, p->filter, p->out, p->convolution, p->in,
                                      MOST_ALGORITHMS, &count, data)));
        TAKE(data, backward_data)
        DET_TRY_RETURN(check(env, cudnnGetConvolutionBackwardFilterAlgorithm_v7(
                                      p->cudnn, p->in, p->out, p->convolution, p->filter,
                                      MOST_ALGORITHMS, &count, weight)));
        TAKE(weight, backward_weight)
    }
#undef TAKE
    if (taken == (training ? 3 : 1))
        return DET_OK;
    return det_fail(env, DET_STATUS_UNSUPPORTED, "cuDNN as a peer: no algorithm");
}

det_status cudnn_peer_conv(struct det_env *env, const struct det_device *device,
                           const struct det_conv_shape *s, bool depthwise, bool training,
                           struct cudnn_peer *p)
{
    const struct functions f = find();
    const cudnnDataType_t type = type_of(device);
    const int32_t filter_c = depthwise ? 1 : s->in_c;
    const size_t element = det_cuda_element_bytes(device);
    DET_TRY_RETURN(open(env, device, p));
    p->depthwise = depthwise;
    if (depthwise && f.groups == NULL)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "cuDNN as a peer: no groups");
    DET_TRY_RETURN(check(env, cudnnCreateFilterDescriptor(&p->filter)));
    DET_TRY_RETURN(check(env, cudnnCreateConvolutionDescriptor(&p->convolution)));
    DET_TRY_RETURN(check(env, cudnnSetTensor4dDescriptor(p->in, CUDNN_TENSOR_NHWC, type, s->n,
                                                         s->in_c, s->in_h, s->in_w)));
    DET_TRY_RETURN(check(env, cudnnSetTensor4dDescriptor(p->out, CUDNN_TENSOR_NHWC, type, s->n,
                                                         s->out_c, s->out_h, s->out_w)));
    DET_TRY_RETURN(
        check(env, cudnnSetFilter4dDescriptor(p->filter, type, CUDNN_TENSOR_NHWC, s->out_c,
                                              filter_c, s->kernel_h, s->kernel_w)));
    DET_TRY_RETURN(check(env, cudnnSetConvolution2dDescriptor(
                                  p->convolution, s->kernel_h / 2, s->kernel_w / 2, s->stride,
                                  s->stride, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT)));
    DET_TRY_RETURN(check(env, cudnnSetConvolutionMathType(
                                  p->convolution, device->settings.precision == DET_PRECISION_F32
                                                      ? CUDNN_FMA_MATH
                                                      : CUDNN_TENSOR_OP_MATH)));
    if (depthwise)
        DET_TRY_RETURN(check(env, f.groups(p->convolution, s->in_c)));
    DET_TRY_RETURN(choose(env, p, training));
    return take_memory(
        env, p, (size_t)s->n * (size_t)s->in_h * (size_t)s->in_w * (size_t)s->in_c * element,
        (size_t)s->n * (size_t)s->out_h * (size_t)s->out_w * (size_t)s->out_c * element,
        2 * aligned((size_t)s->out_c * (size_t)filter_c * (size_t)s->kernel_h *
                    (size_t)s->kernel_w * element));
}

det_status cudnn_peer_norm(struct det_env *env, const struct det_device *device, int32_t n,
                           int32_t h, int32_t w, int32_t c, struct cudnn_peer *p)
{
    const cudnnDataType_t type = type_of(device);
    const size_t bytes = (size_t)n * (size_t)h * (size_t)w * (size_t)c;
    DET_TRY_RETURN(open(env, device, p));
    p->norm = true;
    DET_TRY_RETURN(check(env, cudnnCreateTensorDescriptor(&p->parameters)));
    DET_TRY_RETURN(
        check(env, cudnnSetTensor4dDescriptor(p->in, CUDNN_TENSOR_NHWC, type, n, c, h, w)));
    DET_TRY_RETURN(
        check(env, cudnnSetTensor4dDescriptor(p->out, CUDNN_TENSOR_NHWC, type, n, c, h, w)));
    DET_TRY_RETURN(check(env, cudnnSetTensor4dDescriptor(p->parameters, CUDNN_TENSOR_NHWC,
                                                         CUDNN_DATA_FLOAT, 1, c, 1, 1)));
    return take_memory(env, p, bytes * det_cuda_element_bytes(device),
                       bytes * det_cuda_element_bytes(device),
                       6 * aligned((size_t)c * sizeof(float)));
}

void cudnn_peer_close(struct cudnn_peer *p)
{
    if (p->memory != NULL)
        (void)cudaFree(p->memory);
    if (p->convolution != NULL)
        (void)cudnnDestroyConvolutionDescriptor(p->convolution);
    if (p->filter != NULL)
        (void)cudnnDestroyFilterDescriptor(p->filter);
    cudnnTensorDescriptor_t tensors[] = {p->in, p->out, p->parameters};
    for (int i = 0; i < 3; i++)
        if (tensors[i] != NULL)
            (void)cudnnDestroyTensorDescriptor(tensors[i]);
    if (p->cudnn != NULL)
        (void)cudnnDestroy(p->cudnn);
    *p = (struct cudnn_peer){0};
}

static const float one = 1, zero = 0;

/* Parameter `index` of a batch norm, or the second copy of a filter: rows of `weight_at`. */
static void *row(const struct cudnn_peer *p, int index, size_t bytes)
{
    return (uint8_t *)p->weight_at + (size_t)index * aligned(bytes);
}

static size_t channel_bytes(const struct cudnn_peer *p)
{
    return ((size_t)((uint8_t *)p->workspace - (uint8_t *)p->weight_at)) / 6;
}

enum { SCALE, BIAS, MEAN, INVERSE, SCALE_GRADIENT, BIAS_GRADIENT };

det_status cudnn_peer_forward(struct det_env *env, const struct cudnn_peer *p)
{
    if (!p->norm)
        return check(env,
                     cudnnConvolutionForward(p->cudnn, &one, p->in, p->in_at, p->filter,
                                             p->weight_at, p->convolution, p->forward, p->workspace,
                                             p->workspace_bytes, &zero, p->out, p->out_at));
    const struct functions f = find();
    const size_t bytes = channel_bytes(p);
    if (f.norm_forward == NULL)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "cuDNN as a peer: no batch norm");
    return check(env, f.norm_forward(p->cudnn, CUDNN_BATCHNORM_SPATIAL_PERSISTENT, &one, &zero,
                                     p->in, p->in_at, p->out, p->out_at, p->parameters,
                                     row(p, SCALE, bytes), row(p, BIAS, bytes), 0, NULL, NULL, 1e-3,
                                     row(p, MEAN, bytes), row(p, INVERSE, bytes)));
}

det_status cudnn_peer_backward(struct det_env *env, const struct cudnn_peer *p, bool input_gradient)
{
    if (!p->norm) {
        const size_t half = ((size_t)((uint8_t *)p->workspace - (uint8_t *)p->weight_at)) / 2;
        DET_TRY_RETURN(check(env, cudnnConvolutionBackwardFilter(
                                      p->cudnn, &one, p->in, p->in_at, p->out, p->out_at,
                                      p->convolution, p->backward_weight, p->workspace,
                                      p->workspace_bytes, &zero, p->filter, row(p, 1, half))));
        if (!input_gradient)
            return DET_OK;
        return check(env, cudnnConvolutionBackwardData(
                              p->cudnn, &one, p->filter, p->weight_at, p->out, p->out_at,
                              p->convolution, p->backward_data, p->workspace, p->workspace_bytes,
                              &zero, p->in, p->gradient_at));
    }
    const struct functions f = find();
    const size_t bytes = channel_bytes(p);
    if (f.norm_backward == NULL)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "cuDNN as a peer: no batch norm");
    return check(env, f.norm_backward(p->cudnn, CUDNN_BATCHNORM_SPATIAL_PERSISTENT, &one, &zero,
                                      &one, &zero, p->in, p->in_at, p->out, p->out_at, p->in,
                                      p->gradient_at, p->parameters, row(p, SCALE, bytes),
                                      row(p, SCALE_GRADIENT, bytes), row(p, BIAS_GRADIENT, bytes),
                                      1e-3, row(p, MEAN, bytes), row(p, INVERSE, bytes)));
}
