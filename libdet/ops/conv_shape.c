/* TensorFlow's SAME padding (tensorflow/core/framework/common_shape_fns.cc, GetWindowedOutputSize).
 */
#include "ops/conv_shape.h"

static int32_t padding_before(int32_t in, int32_t out, int32_t kernel, int32_t stride)
{
    const int64_t total = (int64_t)(out - 1) * stride + kernel - in;
    return total > 0 ? (int32_t)(total / 2) : 0;
}

struct det_conv_shape det_conv_same(int32_t n, int32_t in_h, int32_t in_w, int32_t in_c,
                                    int32_t out_c, int32_t kernel, int32_t stride)
{
    const int32_t out_h = (int32_t)(((int64_t)in_h + stride - 1) / stride);
    const int32_t out_w = (int32_t)(((int64_t)in_w + stride - 1) / stride);
    const struct det_conv_shape shape = {
        .n = n,
        .in_h = in_h,
        .in_w = in_w,
        .in_c = in_c,
        .out_h = out_h,
        .out_w = out_w,
        .out_c = out_c,
        .kernel_h = kernel,
        .kernel_w = kernel,
        .stride = stride,
        .pad_top = padding_before(in_h, out_h, kernel, stride),
        .pad_left = padding_before(in_w, out_w, kernel, stride),
    };
    return shape;
}
