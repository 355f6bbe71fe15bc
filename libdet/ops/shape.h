/* shape.h: the shape of a convolution and the activation behind it: what CPU operations and CUDA
 * kernels share. C and C++. */
#ifndef DET_OPS_SHAPE_H
#define DET_OPS_SHAPE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A 2-D convolution, dense or depthwise (then in_c == out_c). Padding is explicit: top and left as
 * given, bottom and right whatever the output size needs; out-of-image taps read zero. TensorFlow's
 * SAME: det_conv_same(). */
struct det_conv_shape {
    int32_t n, in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w, stride;
    int32_t pad_top, pad_left;
};

/* Output size and padding of TensorFlow's SAME: out = ceil(in / stride), the smaller half of the
 * padding first. */
struct det_conv_shape det_conv_same(int32_t n, int32_t in_h, int32_t in_w, int32_t in_c,
                                    int32_t out_c, int32_t kernel, int32_t stride);

enum det_activation { DET_ACTIVATION_NONE = 0, DET_ACTIVATION_RELU6 = 1 };

#ifdef __cplusplus
}
#endif
#endif
