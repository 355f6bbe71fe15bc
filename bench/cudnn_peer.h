/* cudnn_peer.h: an operation of the network done by cuDNN alone, to be timed beside libdet's: dense
 * and depthwise convolutions with their gradients, batch norm with batch statistics forward and
 * backward. On memory of its own; what is in it does not change the time. Each pass can be done in
 * several ways (cuDNN's algorithms), to be tried: cuDNN's own guess of the best can be far off.
 *
 * Where padding differs above and below (TensorFlow's SAME at stride 2) the peer pads both sides,
 * which cuDNN can express: the output has the same size. */
#ifndef DET_BENCH_CUDNN_PEER_H
#define DET_BENCH_CUDNN_PEER_H

#include <cudnn.h>

#include "devices/cuda/cuda_device.h"
#include "ops/conv_shape.h"

/* BACKWARD_WEIGHT of a batch norm is all of its gradients; it has no BACKWARD_DATA. */
enum cudnn_pass {
    CUDNN_PEER_FORWARD,
    CUDNN_PEER_BACKWARD_DATA,
    CUDNN_PEER_BACKWARD_WEIGHT,
    CUDNN_PEER_PASSES
};
enum { CUDNN_PEER_WAYS = 16 };

struct cudnn_ways {
    int count;
    int algorithms[CUDNN_PEER_WAYS]; /* of a batch norm: modes */
    int chosen;                      /* what cudnn_peer_run() takes */
};

/* The library loads no more of cuDNN than it uses; these are the peer's. Batch norm by this
 * interface is deprecated, but the only one besides graphs; its newer half, with a workspace, has
 * the kernels that are made for channels last. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#define CUDNN_PEER_FUNCTIONS(X)                                           \
    X(cudnnSetConvolutionGroupCount, groups)                              \
    X(cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize, room)     \
    X(cudnnGetBatchNormalizationBackwardExWorkspaceSize, room_backward)   \
    X(cudnnGetBatchNormalizationTrainingExReserveSpaceSize, room_between) \
    X(cudnnBatchNormalizationForwardTrainingEx, norm)                     \
    X(cudnnBatchNormalizationBackwardEx, norm_backward)
#define CUDNN_PEER_FUNCTION(function, name) __typeof__(function) *name;
struct cudnn_functions {
    CUDNN_PEER_FUNCTIONS(CUDNN_PEER_FUNCTION)
};

struct cudnn_peer {
    const struct det_device *device;
    struct cudnn_functions functions;
    cudnnHandle_t cudnn; /* of all operations, one after the other; the rest is of one */
    bool norm;           /* else a convolution */
    cudnnTensorDescriptor_t in, out, parameters; /* parameters: of a batch norm */
    cudnnFilterDescriptor_t filter;
    cudnnConvolutionDescriptor_t convolution;
    struct cudnn_ways ways[CUDNN_PEER_PASSES];
    size_t row_bytes; /* of one of `weight_at`'s rows: a filter, or a parameter of a batch norm */
    size_t workspace_bytes, reserve_bytes;
    void *memory, *in_at, *out_at, *gradient_at, *weight_at, *workspace, *reserve; /* one block */
};

/* UNSUPPORTED when cuDNN cannot be had. To be closed in any case. */
det_status cudnn_peer_open(struct det_env *env, const struct det_device *device,
                           struct cudnn_peer *peer);
void cudnn_peer_close(struct cudnn_peer *peer);

/* What a convolution computes; backward only if `training`. UNSUPPORTED when cuDNN has no way: then
 * there is no peer. The peer is to be cleared in any case before it takes another operation. */
det_status cudnn_peer_conv(struct det_env *env, struct cudnn_peer *peer,
                           const struct det_conv_shape *shape, bool depthwise, bool training);
/* Batch norm of [n, h, w, c]. */
det_status cudnn_peer_norm(struct det_env *env, struct cudnn_peer *peer, int32_t n, int32_t h,
                           int32_t w, int32_t c);
void cudnn_peer_clear(struct cudnn_peer *peer);

/* Enqueued on the device's stream. */
det_status cudnn_peer_run(struct det_env *env, const struct cudnn_peer *peer, enum cudnn_pass pass);

#endif
