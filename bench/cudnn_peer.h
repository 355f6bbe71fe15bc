/* cudnn_peer.h: an operation of the network done by cuDNN alone, to be timed beside libdet's: dense
 * and depthwise convolutions with their gradients, batch norm with batch statistics forward and
 * backward. On memory of its own; what is in it does not change the time.
 *
 * Where padding differs above and below (TensorFlow's SAME at stride 2) the peer pads both sides,
 * which cuDNN can express: the output has the same size. */
#ifndef DET_BENCH_CUDNN_PEER_H
#define DET_BENCH_CUDNN_PEER_H

#include <cudnn.h>

#include "devices/cuda/cuda_device.h"
#include "ops/conv_shape.h"

struct cudnn_peer {
    const struct det_device *device;
    bool norm, depthwise; /* else a dense convolution */
    cudnnHandle_t cudnn;
    cudnnTensorDescriptor_t in, out, parameters; /* parameters: of a batch norm */
    cudnnFilterDescriptor_t filter;
    cudnnConvolutionDescriptor_t convolution;
    cudnnConvolutionFwdAlgo_t forward;
    cudnnConvolutionBwdDataAlgo_t backward_data;
    cudnnConvolutionBwdFilterAlgo_t backward_weight;
    size_t workspace_bytes;
    void *memory, *in_at, *out_at, *gradient_at, *weight_at, *workspace; /* one block */
};

/* What a convolution computes; backward only if `training`. UNSUPPORTED when cuDNN has no
 * algorithm: then there is no peer. The peer is to be closed in any case. */
det_status cudnn_peer_conv(struct det_env *env, const struct det_device *device,
                           const struct det_conv_shape *shape, bool depthwise, bool training,
                           struct cudnn_peer *peer);
/* Batch norm of [n, h, w, c]. */
det_status cudnn_peer_norm(struct det_env *env, const struct det_device *device, int32_t n,
                           int32_t h, int32_t w, int32_t c, struct cudnn_peer *peer);
void cudnn_peer_close(struct cudnn_peer *peer);

/* Enqueued on the device's stream. Backward: the input's gradient, unless it is the network's first
 * operation, and the parameters'. */
det_status cudnn_peer_forward(struct det_env *env, const struct cudnn_peer *peer);
det_status cudnn_peer_backward(struct det_env *env, const struct cudnn_peer *peer,
                               bool input_gradient);

#endif
