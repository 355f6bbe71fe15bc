/* cuda_cudnn.h: a dense convolution by cuDNN's legacy interface: NHWC activations, weights copied
 * from HWIO to its KRSC on each pass (they change with each step; the copy is tiny beside the
 * convolution). Plans are made once, running neither allocates nor searches. */
#ifndef DET_DEVICES_CUDA_CUDNN_H
#define DET_DEVICES_CUDA_CUDNN_H

#include "devices/cuda/cuda_device.h"

struct det_cuda_cudnn {
    cudnnTensorDescriptor_t in, out;
    cudnnFilterDescriptor_t filter;
    cudnnConvolutionDescriptor_t convolution;
    cudnnConvolutionFwdAlgo_t forward;
    cudnnConvolutionBwdDataAlgo_t backward_data;
    cudnnConvolutionBwdFilterAlgo_t backward_weight;
    size_t filter_bytes; /* the weights' copy, or their gradient's, at the start of the workspace */
    size_t algorithm_bytes; /* behind it */
};

/* Whether its padding can be said: the same above as below, left as right. */
bool det_cuda_cudnn_expressible(const struct det_conv_shape *shape);

/* The backward passes that will be asked for. */
struct det_cuda_cudnn_uses {
    bool backward_data, backward_weight;
};

/* UNSUPPORTED when cuDNN has no algorithm for one of the passes: the caller has another way. With
 * `deterministic` only algorithms that cuDNN itself calls so are taken. */
det_status det_cuda_cudnn_create(struct det_env *env, struct det_device *device,
                                 const struct det_conv_shape *shape,
                                 const struct det_cuda_cudnn_uses *uses,
                                 struct det_cuda_cudnn *plan);
void det_cuda_cudnn_destroy(struct det_cuda_cudnn *plan);

static inline size_t det_cuda_cudnn_workspace(const struct det_cuda_cudnn *plan)
{
    return plan->filter_bytes + plan->algorithm_bytes;
}

/* out = conv(in, w); w HWIO float32. */
det_status det_cuda_cudnn_forward(struct det_env *env, const struct det_device *device,
                                  const struct det_cuda_cudnn *plan,
                                  const struct det_conv_shape *shape, const void *in,
                                  const float *weight, void *out, void *workspace,
                                  const char *what);
det_status det_cuda_cudnn_backward_data(struct det_env *env, const struct det_device *device,
                                        const struct det_cuda_cudnn *plan,
                                        const struct det_conv_shape *shape, const void *dout,
                                        const float *weight, void *din, bool accumulate,
                                        void *workspace, const char *what);
/* Its result is of the device's type before it becomes `dweight`: exact for float32 only. */
det_status det_cuda_cudnn_backward_weight(struct det_env *env, const struct det_device *device,
                                          const struct det_cuda_cudnn *plan,
                                          const struct det_conv_shape *shape, const void *in,
                                          const void *dout, float *dweight, bool accumulate,
                                          void *workspace, const char *what);

#endif
