/* cudnn_norm.cc: batch norm of rows [n * h * w, c] in training, forward and backward: a peer that
 * bench_cuda times. It wants room it does not need, as cuDNN does, and looks whether it has it. */
#include <math.h>

#include "cudnn_emu.h"

using namespace det_emu;

namespace det_emu
{

struct rows {
    size_t count, channels;
    bool bf16;
    size_t bytes;
};

/* All tensors alike, parameters one float a channel. */
static const char *gather(cudnnHandle_t handle, cudnnTensorDescriptor_t x,
                          cudnnTensorDescriptor_t other, cudnnTensorDescriptor_t parameters,
                          rows *r)
{
    for (const void *one :
         {(const void *)handle, (const void *)x, (const void *)other, (const void *)parameters})
        if (!cudnn_lives(one))
            return "a handle or descriptor does not live";
    if (!x->set || !other->set || !parameters->set)
        return "a descriptor was not set";
    if (x->type != other->type || x->n != other->n || x->h != other->h || x->w != other->w ||
        x->c != other->c)
        return "the tensors of a batch norm differ";
    if (parameters->type != CUDNN_DATA_FLOAT || parameters->n != 1 || parameters->h != 1 ||
        parameters->w != 1 || parameters->c != x->c)
        return "the parameters of a batch norm are not one float a channel";
    *r = {(size_t)x->n * x->h * x->w, (size_t)x->c, x->type == CUDNN_DATA_BFLOAT16, 0};
    r->bytes = cudnn_bytes(r->count * r->channels, x->type);
    return nullptr;
}

static cudnnStatus_t run(cudnnHandle_t handle, const char *name, std::vector<access> accesses,
                         std::function<void()> action)
{
    for (const access &a : accesses)
        if (!device_range(a.pointer, a.bytes) || (uintptr_t)a.pointer % 16 != 0)
            return cudnn_refuse("a tensor of a batch norm is not in device memory, or misaligned");
    const cudaError_t error = issue(handle->stream, name, std::move(accesses), [=] {
        action();
        return true;
    });
    return error == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
}

/* Bytes of workspace and between the passes, of mode PERSISTENT. */
static const size_t room = 4096, between = 64;

static const char *lacks(cudnnBatchNormMode_t mode, const void *workspace, size_t workspace_bytes,
                         const void *reserve, size_t reserve_bytes)
{
    if (mode != CUDNN_BATCHNORM_SPATIAL_PERSISTENT)
        return nullptr;
    return workspace_bytes < room || reserve_bytes < between || !device_range(workspace, room) ||
                   !device_range(reserve, between)
               ? "a batch norm lacks its workspace"
               : nullptr;
}

} // namespace det_emu

extern "C" {

cudnnStatus_t cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t,
    const cudnnTensorDescriptor_t x, const cudnnTensorDescriptor_t, const cudnnTensorDescriptor_t y,
    const cudnnTensorDescriptor_t parameters, const cudnnActivationDescriptor_t, size_t *bytes)
{
    rows r;
    const char *why = gather(handle, x, y, parameters, &r);
    *bytes = mode == CUDNN_BATCHNORM_SPATIAL_PERSISTENT ? room : 0;
    return why == nullptr ? CUDNN_STATUS_SUCCESS : cudnn_refuse(why);
}

cudnnStatus_t cudnnGetBatchNormalizationBackwardExWorkspaceSize(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t,
    const cudnnTensorDescriptor_t x, const cudnnTensorDescriptor_t,
    const cudnnTensorDescriptor_t dy, const cudnnTensorDescriptor_t, const cudnnTensorDescriptor_t,
    const cudnnTensorDescriptor_t parameters, const cudnnActivationDescriptor_t, size_t *bytes)
{
    rows r;
    const char *why = gather(handle, x, dy, parameters, &r);
    *bytes = mode == CUDNN_BATCHNORM_SPATIAL_PERSISTENT ? room : 0;
    return why == nullptr ? CUDNN_STATUS_SUCCESS : cudnn_refuse(why);
}

cudnnStatus_t cudnnGetBatchNormalizationTrainingExReserveSpaceSize(
    cudnnHandle_t, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t,
    const cudnnActivationDescriptor_t, const cudnnTensorDescriptor_t, size_t *bytes)
{
    *bytes = mode == CUDNN_BATCHNORM_SPATIAL_PERSISTENT ? between : 0;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBatchNormalizationForwardTrainingEx(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t, const void *,
    const void *, const cudnnTensorDescriptor_t x_desc, const void *x,
    const cudnnTensorDescriptor_t, const void *, const cudnnTensorDescriptor_t y_desc, void *y,
    const cudnnTensorDescriptor_t parameters_desc, const void *scale, const void *bias, double,
    void *moving_mean, void *moving_variance, double epsilon, void *saved_mean, void *saved_inverse,
    cudnnActivationDescriptor_t, void *workspace, size_t workspace_bytes, void *reserve,
    size_t reserve_bytes)
{
    rows r;
    const char *why = gather(handle, x_desc, y_desc, parameters_desc, &r);
    if (why == nullptr)
        why = lacks(mode, workspace, workspace_bytes, reserve, reserve_bytes);
    if (why == nullptr && (moving_mean != nullptr || moving_variance != nullptr))
        why = "moving statistics are not emulated";
    if (why != nullptr)
        return cudnn_refuse(why);
    const size_t channel_bytes = r.channels * sizeof(float);
    return run(handle, "cudnnBatchNormalizationForwardTrainingEx",
               {{x, r.bytes, false},
                {y, r.bytes, true},
                {scale, channel_bytes, false},
                {bias, channel_bytes, false},
                {saved_mean, channel_bytes, true},
                {saved_inverse, channel_bytes, true}},
               [=] {
                   for (size_t c = 0; c < r.channels; c++) {
                       double sum = 0, squares = 0;
                       for (size_t i = c; i < r.count * r.channels; i += r.channels) {
                           const double value = (double)value_at(x, r.bf16, i);
                           sum += value;
                           squares += value * value;
                       }
                       const double mean = sum / (double)r.count;
                       const double inverse =
                           1 / sqrt(fmax(squares / (double)r.count - mean * mean, 0) + epsilon);
                       ((float *)saved_mean)[c] = (float)mean;
                       ((float *)saved_inverse)[c] = (float)inverse;
                       for (size_t i = c; i < r.count * r.channels; i += r.channels)
                           set_value(y, r.bf16, i,
                                     (float)(((double)value_at(x, r.bf16, i) - mean) * inverse) *
                                             ((const float *)scale)[c] +
                                         ((const float *)bias)[c]);
                   }
               });
}

cudnnStatus_t cudnnBatchNormalizationBackwardEx(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t, const void *,
    const void *, const void *, const void *, const cudnnTensorDescriptor_t x_desc, const void *x,
    const cudnnTensorDescriptor_t, const void *, const cudnnTensorDescriptor_t dy_desc,
    const void *dy, const cudnnTensorDescriptor_t, void *, const cudnnTensorDescriptor_t dx_desc,
    void *dx, const cudnnTensorDescriptor_t parameters_desc, const void *scale, const void *,
    void *dscale, void *dbias, double, const void *saved_mean, const void *saved_inverse,
    cudnnActivationDescriptor_t, void *workspace, size_t workspace_bytes, void *reserve,
    size_t reserve_bytes)
{
    rows r, same;
    const char *why = gather(handle, x_desc, dy_desc, parameters_desc, &r);
    if (why == nullptr)
        why = gather(handle, x_desc, dx_desc, parameters_desc, &same);
    if (why == nullptr)
        why = lacks(mode, workspace, workspace_bytes, reserve, reserve_bytes);
    if (why != nullptr)
        return cudnn_refuse(why);
    const size_t channel_bytes = r.channels * sizeof(float);
    return run(handle, "cudnnBatchNormalizationBackwardEx",
               {{x, r.bytes, false},
                {dy, r.bytes, false},
                {dx, r.bytes, true},
                {scale, channel_bytes, false},
                {dscale, channel_bytes, true},
                {dbias, channel_bytes, true},
                {saved_mean, channel_bytes, false},
                {saved_inverse, channel_bytes, false}},
               [=] {
                   for (size_t c = 0; c < r.channels; c++) {
                       const double mean = (double)((const float *)saved_mean)[c];
                       const double inverse = (double)((const float *)saved_inverse)[c];
                       double sum = 0, product = 0;
                       for (size_t i = c; i < r.count * r.channels; i += r.channels) {
                           const double gradient = (double)value_at(dy, r.bf16, i);
                           sum += gradient;
                           product += gradient * ((double)value_at(x, r.bf16, i) - mean) * inverse;
                       }
                       ((float *)dbias)[c] = (float)sum;
                       ((float *)dscale)[c] = (float)product;
                       const double n = (double)r.count;
                       for (size_t i = c; i < r.count * r.channels; i += r.channels) {
                           const double normal = ((double)value_at(x, r.bf16, i) - mean) * inverse;
                           set_value(dx, r.bf16, i,
                                     (float)((double)((const float *)scale)[c] * inverse *
                                             ((double)value_at(dy, r.bf16, i) - sum / n -
                                              normal * product / n)));
                       }
                   }
               });
}

} // extern "C"
