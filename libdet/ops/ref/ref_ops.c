/* The reference's table. */
#include "ops/ref/ref_ops.h"

static size_t conv_workspace(const struct det_conv_shape *shape, bool depthwise, int threads)
{
    return depthwise ? detk_dwconv_workspace__ref(shape, threads)
                     : detk_conv_workspace__ref(shape, threads);
}

static const struct det_ops ref_ops = {
    .name = "ref",
    .conv_workspace = conv_workspace,
    .bias_workspace = detk_bias_workspace__ref,
    .conv_forward = detk_conv_forward__ref,
    .conv_backward_data = detk_conv_backward_data__ref,
    .conv_backward_weight = detk_conv_backward_weight__ref,
    .dwconv_forward = detk_dwconv_forward__ref,
    .dwconv_backward_data = detk_dwconv_backward_data__ref,
    .dwconv_backward_weight = detk_dwconv_backward_weight__ref,
    .bias_backward = detk_bias_backward__ref,
    .norm_conv_workspace = detk_norm_conv_workspace__ref,
    .norm_conv_forward = detk_norm_conv_forward__ref,
    .norm_conv_backward = detk_norm_conv_backward__ref,
    .norm_sums_workspace = detk_norm_sums_workspace__ref,
    .norm_sums = detk_norm_sums__ref,
    .norm_add = detk_norm_add__ref,
    .add_forward = detk_add_forward__ref,
    .accumulate = detk_accumulate__ref,
    .upsample_add_forward = detk_upsample_add_forward__ref,
    .upsample_backward = detk_upsample_backward__ref,
};

const struct det_ops *det_ops_ref(void)
{
    return &ref_ops;
}
