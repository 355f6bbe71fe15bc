#include "cudnn_peer.h"

#include "devices/cuda/cuda_libraries.h"

#ifndef DET_CUDA_EMU
#include <dlfcn.h>
#endif

enum { ALIGN = 256 };
#define MOST_WORKSPACE ((size_t)512 << 20)

#ifdef DET_CUDA_EMU
#define FOUND(function, name) .name = function,
static bool find(struct cudnn_functions *f)
{
    *f = (struct cudnn_functions){CUDNN_PEER_FUNCTIONS(FOUND)};
    return true;
}
#else
#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
#define FOUND(function, name)                                     \
    if ((*(void **)&f->name = dlsym(library, #function)) == NULL) \
        return false;
/* The library has loaded it: its name is enough, wherever it lies. */
static bool find(struct cudnn_functions *f)
{
    void *library = dlopen("libcudnn.so." TEXT(CUDNN_MAJOR), RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return false;
    CUDNN_PEER_FUNCTIONS(FOUND)
    return true;
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

/* in, out and a gradient of out's or in's size, rows of weights or parameters, workspace, reserve.
 */
static det_status take_memory(struct det_env *env, struct cudnn_peer *p, size_t in, size_t out,
                              size_t row, size_t rows)
{
    const size_t larger = aligned(in > out ? in : out);
    p->row_bytes = aligned(row);
    const size_t front = 3 * larger + rows * p->row_bytes;
    const size_t bytes = front + aligned(p->workspace_bytes) + p->reserve_bytes + ALIGN;
    if (cudaMalloc(&p->memory, bytes) != cudaSuccess) {
        (void)cudaGetLastError();
        return det_fail(env, DET_STATUS_UNSUPPORTED, "cuDNN as a peer: no %zu bytes", bytes);
    }
    uint8_t *at = p->memory;
    p->in_at = at;
    p->out_at = at + larger;
    p->gradient_at = at + 2 * larger;
    p->weight_at = at + 3 * larger;
    p->workspace = at + front;
    p->reserve = at + front + aligned(p->workspace_bytes);
    return cudaMemsetAsync(p->memory, 0, bytes, p->device->stream) == cudaSuccess
               ? DET_OK
               : det_fail(env, DET_STATUS_DEVICE, "cuDNN as a peer: clearing its memory");
}

det_status cudnn_peer_open(struct det_env *env, const struct det_device *device,
                           struct cudnn_peer *p)
{
    *p = (struct cudnn_peer){.device = device};
    DET_TRY_RETURN(det_cuda_cudnn_load(env));
    if (!find(&p->functions))
        return det_fail(env, DET_STATUS_UNSUPPORTED, "cuDNN as a peer: it lacks a function");
    DET_TRY_RETURN(check(env, cudnnCreate(&p->cudnn)));
    return check(env, cudnnSetStream(p->cudnn, device->stream));
}

void cudnn_peer_close(struct cudnn_peer *p)
{
    cudnn_peer_clear(p);
    if (p->cudnn != NULL)
        (void)cudnnDestroy(p->cudnn);
    *p = (struct cudnn_peer){0};
}

void cudnn_peer_clear(struct cudnn_peer *p)
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
    *p = (struct cudnn_peer){.device = p->device, .functions = p->functions, .cudnn = p->cudnn};
}

static det_status describe(struct det_env *env, struct cudnn_peer *p,
                           const struct det_conv_shape *s)
{
    const cudnnDataType_t type =
        p->device->type == DETK_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    DET_TRY_RETURN(check(env, cudnnCreateTensorDescriptor(&p->in)));
    DET_TRY_RETURN(check(env, cudnnCreateTensorDescriptor(&p->out)));
    DET_TRY_RETURN(check(env, cudnnSetTensor4dDescriptor(p->in, CUDNN_TENSOR_NHWC, type, s->n,
                                                         s->in_c, s->in_h, s->in_w)));
    return check(env, cudnnSetTensor4dDescriptor(p->out, CUDNN_TENSOR_NHWC, type, s->n, s->out_c,
                                                 s->out_h, s->out_w));
}

/* --- convolutions --- */

static void add_way(struct cudnn_peer *p, enum cudnn_pass pass, int algorithm, cudnnStatus_t status,
                    size_t memory, bool rounds)
{
    struct cudnn_ways *w = &p->ways[pass];
    if (status != CUDNN_STATUS_SUCCESS || memory > MOST_WORKSPACE || w->count == CUDNN_PEER_WAYS ||
        (rounds && p->device->settings.precision == DET_PRECISION_F32))
        return;
    for (int i = 0; i < w->count; i++)
        if (w->algorithms[i] == algorithm)
            return;
    w->algorithms[w->count++] = algorithm;
    if (memory > p->workspace_bytes)
        p->workspace_bytes = memory;
}

/* All that cuDNN knows, in the order of its guess. */
static det_status list_ways(struct det_env *env, struct cudnn_peer *p, bool training)
{
    cudnnConvolutionFwdAlgoPerf_t forward[CUDNN_PEER_WAYS];
    cudnnConvolutionBwdDataAlgoPerf_t data[CUDNN_PEER_WAYS];
    cudnnConvolutionBwdFilterAlgoPerf_t weight[CUDNN_PEER_WAYS];
    int count = 0;
#define ADD(list, pass)                                                     \
    for (int i = 0; i < count; i++)                                         \
        add_way(p, pass, (int)list[i].algo, list[i].status, list[i].memory, \
                list[i].mathType == CUDNN_TENSOR_OP_MATH ||                 \
                    list[i].mathType == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION);
    DET_TRY_RETURN(check(
        env, cudnnGetConvolutionForwardAlgorithm_v7(p->cudnn, p->in, p->filter, p->convolution,
                                                    p->out, CUDNN_PEER_WAYS, &count, forward)));
    ADD(forward, CUDNN_PEER_FORWARD)
    if (training) {
        DET_TRY_RETURN(check(env, cudnnGetConvolutionBackwardDataAlgorithm_v7(
                                      p->cudnn, p->filter, p->out, p->convolution, p->in,
                                      CUDNN_PEER_WAYS, &count, data)));
        ADD(data, CUDNN_PEER_BACKWARD_DATA)
        DET_TRY_RETURN(check(env, cudnnGetConvolutionBackwardFilterAlgorithm_v7(
                                      p->cudnn, p->in, p->out, p->convolution, p->filter,
                                      CUDNN_PEER_WAYS, &count, weight)));
        ADD(weight, CUDNN_PEER_BACKWARD_WEIGHT)
    }
#undef ADD
    return DET_OK;
}

det_status cudnn_peer_conv(struct det_env *env, struct cudnn_peer *p,
                           const struct det_conv_shape *s, bool depthwise, bool training)
{
    const int32_t filter_c = depthwise ? 1 : s->in_c;
    const size_t element = det_cuda_element_bytes(p->device);
    DET_TRY_RETURN(describe(env, p, s));
    DET_TRY_RETURN(check(env, cudnnCreateFilterDescriptor(&p->filter)));
    DET_TRY_RETURN(check(env, cudnnCreateConvolutionDescriptor(&p->convolution)));
    DET_TRY_RETURN(
        check(env, cudnnSetFilter4dDescriptor(
                       p->filter, element == 2 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT,
                       CUDNN_TENSOR_NHWC, s->out_c, filter_c, s->kernel_h, s->kernel_w)));
    DET_TRY_RETURN(check(env, cudnnSetConvolution2dDescriptor(
                                  p->convolution, s->kernel_h / 2, s->kernel_w / 2, s->stride,
                                  s->stride, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT)));
    DET_TRY_RETURN(check(env, cudnnSetConvolutionMathType(
                                  p->convolution, p->device->settings.precision == DET_PRECISION_F32
                                                      ? CUDNN_FMA_MATH
                                                      : CUDNN_TENSOR_OP_MATH)));
    if (depthwise)
        DET_TRY_RETURN(check(env, p->functions.groups(p->convolution, s->in_c)));
    DET_TRY_RETURN(list_ways(env, p, training));
    return take_memory(
        env, p, (size_t)s->n * (size_t)s->in_h * (size_t)s->in_w * (size_t)s->in_c * element,
        (size_t)s->n * (size_t)s->out_h * (size_t)s->out_w * (size_t)s->out_c * element,
        (size_t)s->out_c * (size_t)filter_c * (size_t)s->kernel_h * (size_t)s->kernel_w * element,
        2);
}

/* --- batch norm --- */

enum { SCALE, BIAS, MEAN, INVERSE, SCALE_GRADIENT, BIAS_GRADIENT, PARAMETERS };

/* A row of `weight_at`: a parameter of a batch norm, or the second copy of a filter. */
static void *row(const struct cudnn_peer *p, int index)
{
    return (uint8_t *)p->weight_at + (size_t)index * p->row_bytes;
}

/* What each mode of a batch norm needs; one that cuDNN refuses is no way. */
static void list_modes(struct cudnn_peer *p)
{
    const struct cudnn_functions *f = &p->functions;
    static const cudnnBatchNormMode_t modes[] = {CUDNN_BATCHNORM_SPATIAL_PERSISTENT,
                                                 CUDNN_BATCHNORM_SPATIAL};
    for (int m = 0; m < 2; m++) {
        size_t there = 0, back = 0, reserve = 0;
        if (f->room(p->cudnn, modes[m], CUDNN_BATCHNORM_OPS_BN, p->in, NULL, p->out, p->parameters,
                    NULL, &there) != CUDNN_STATUS_SUCCESS ||
            f->room_backward(p->cudnn, modes[m], CUDNN_BATCHNORM_OPS_BN, p->in, p->out, p->out,
                             NULL, p->in, p->parameters, NULL, &back) != CUDNN_STATUS_SUCCESS ||
            f->room_between(p->cudnn, modes[m], CUDNN_BATCHNORM_OPS_BN, NULL, p->in, &reserve) !=
                CUDNN_STATUS_SUCCESS)
            continue;
        add_way(p, CUDNN_PEER_FORWARD, (int)modes[m], CUDNN_STATUS_SUCCESS, there, false);
        add_way(p, CUDNN_PEER_BACKWARD_WEIGHT, (int)modes[m], CUDNN_STATUS_SUCCESS, back, false);
        if (reserve > p->reserve_bytes)
            p->reserve_bytes = reserve;
    }
}

det_status cudnn_peer_norm(struct det_env *env, struct cudnn_peer *p, int32_t n, int32_t h,
                           int32_t w, int32_t c)
{
    const struct det_conv_shape shape = {
        .n = n, .in_h = h, .in_w = w, .in_c = c, .out_h = h, .out_w = w, .out_c = c};
    const size_t bytes =
        (size_t)n * (size_t)h * (size_t)w * (size_t)c * det_cuda_element_bytes(p->device);
    p->norm = true;
    DET_TRY_RETURN(describe(env, p, &shape));
    DET_TRY_RETURN(check(env, cudnnCreateTensorDescriptor(&p->parameters)));
    DET_TRY_RETURN(check(env, cudnnSetTensor4dDescriptor(p->parameters, CUDNN_TENSOR_NHWC,
                                                         CUDNN_DATA_FLOAT, 1, c, 1, 1)));
    list_modes(p);
    return take_memory(env, p, bytes, bytes, (size_t)c * sizeof(float), PARAMETERS);
}

/* --- running --- */

static const float one = 1, zero = 0;

static cudnnStatus_t run_conv(const struct cudnn_peer *p, enum cudnn_pass pass, int algorithm)
{
    switch (pass) {
    case CUDNN_PEER_FORWARD:
        return cudnnConvolutionForward(p->cudnn, &one, p->in, p->in_at, p->filter, p->weight_at,
                                       p->convolution, (cudnnConvolutionFwdAlgo_t)algorithm,
                                       p->workspace, p->workspace_bytes, &zero, p->out, p->out_at);
    case CUDNN_PEER_BACKWARD_DATA:
        return cudnnConvolutionBackwardData(p->cudnn, &one, p->filter, p->weight_at, p->out,
                                            p->out_at, p->convolution,
                                            (cudnnConvolutionBwdDataAlgo_t)algorithm, p->workspace,
                                            p->workspace_bytes, &zero, p->in, p->gradient_at);
    default:
        return cudnnConvolutionBackwardFilter(
            p->cudnn, &one, p->in, p->in_at, p->out, p->out_at, p->convolution,
            (cudnnConvolutionBwdFilterAlgo_t)algorithm, p->workspace, p->workspace_bytes, &zero,
            p->filter, row(p, 1));
    }
}

static cudnnStatus_t run_norm(const struct cudnn_peer *p, bool forward, cudnnBatchNormMode_t mode)
{
    const struct cudnn_functions *f = &p->functions;
    if (forward)
        return f->norm(p->cudnn, mode, CUDNN_BATCHNORM_OPS_BN, &one, &zero, p->in, p->in_at, NULL,
                       NULL, p->out, p->out_at, p->parameters, row(p, SCALE), row(p, BIAS), 0, NULL,
                       NULL, 1e-3, row(p, MEAN), row(p, INVERSE), NULL, p->workspace,
                       p->workspace_bytes, p->reserve, p->reserve_bytes);
    return f->norm_backward(
        p->cudnn, mode, CUDNN_BATCHNORM_OPS_BN, &one, &zero, &one, &zero, p->in, p->in_at, NULL,
        NULL, p->out, p->out_at, NULL, NULL, p->in, p->gradient_at, p->parameters, row(p, SCALE),
        NULL, row(p, SCALE_GRADIENT), row(p, BIAS_GRADIENT), 1e-3, row(p, MEAN), row(p, INVERSE),
        NULL, p->workspace, p->workspace_bytes, p->reserve, p->reserve_bytes);
}

det_status cudnn_peer_run(struct det_env *env, const struct cudnn_peer *p, enum cudnn_pass pass)
{
    const int algorithm = p->ways[pass].algorithms[p->ways[pass].chosen];
    if (!p->norm)
        return check(env, run_conv(p, pass, algorithm));
    return check(env, run_norm(p, pass == CUDNN_PEER_FORWARD, (cudnnBatchNormMode_t)algorithm));
}
