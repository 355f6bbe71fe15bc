/* dwconv.h: depthwise convolution, kernel 3x3 (any odd kernel up to 7 by a slower path), stride 1
 * or 2, multiplier 1, and its gradients. w [kernel_h, kernel_w, c] float32. Agrees with
 * det_ops.dwconv_* (ref/dwconv). An image's output and gradient have the same bits whatever else is
 * in its batch. */
#ifndef DET_KERNELS_DWCONV_H
#define DET_KERNELS_DWCONV_H

#include "kernel.h"

DETK_BEGIN

/* What happens to a value of the input as it is loaded, so that no pass of its own need store it.
 * Padding stays zero. */
enum detk_load_kind {
    DETK_LOAD_PLAIN,
    DETK_LOAD_RELU6,      /* forward only */
    DETK_LOAD_NORM_RELU6, /* the batch norm before the convolution, then ReLU6 */
};
struct detk_load {
    enum detk_load_kind kind;
    const float *gamma, *beta, *mean, *variance; /* [c], NORM_RELU6 only */
    float epsilon;
};

/* out = act(conv(load(in), w) + bias); bias [c] or NULL. */
cudaError_t detk_dwconv_forward(cudaStream_t stream, enum detk_type type,
                                const struct det_conv_shape *shape, const void *in,
                                const struct detk_load *load, const float *w, const float *bias,
                                enum det_activation act, void *out);
/* din (+)= gradient of the input. */
cudaError_t detk_dwconv_backward_data(cudaStream_t stream, enum detk_type type,
                                      const struct det_conv_shape *shape, const void *dout,
                                      const float *w, void *din, bool accumulate);
/* dw (+)= gradient of the weights with load(in) as input, float32. Two stages: blocks' partial
 * sums, then their sum in order. */
size_t detk_dwconv_backward_weight_workspace(enum detk_type type,
                                             const struct det_conv_shape *shape);
cudaError_t detk_dwconv_backward_weight(cudaStream_t stream, enum detk_type type,
                                        const struct det_conv_shape *shape, const void *in,
                                        const struct detk_load *load, const void *dout, float *dw,
                                        bool accumulate, void *workspace);

DETK_END
#endif
