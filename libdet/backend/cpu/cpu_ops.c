/* The fast tables, and which of them this machine can run. */
#include <string.h>

#include "backend/cpu/blocked.h"
#include "backend/cpu/conv_ops.h"
#include "backend/cpu/cpu_features.h"
#include "backend/cpu/cpu_ops.h"

#define CPU_WORKSPACE(isa)                                                                 \
    static size_t conv_workspace_##isa(const struct det_conv_shape *shape, bool depthwise, \
                                       int threads)                                        \
    {                                                                                      \
        return depthwise ? DET_OP(dwconv_workspace, isa)(shape, threads)                   \
                         : DET_OP(conv_workspace, isa)(shape, false, threads);             \
    }

CPU_WORKSPACE(sse2)
CPU_WORKSPACE(avx2)
CPU_WORKSPACE(avx512)

/* What the tables of instruction set `set` share, by the functions of `isa`. */
#define CPU_PARTS(set, isa, native_bf16)                                                          \
    .name = #set, .multiplies_bf16 = native_bf16, .conv_workspace = conv_workspace_##isa,         \
    .bias_workspace = DET_OP(bias_workspace, isa), .conv_forward = DET_OP(conv_forward, isa),     \
    .conv_backward_data = DET_OP(conv_backward_data, isa),                                        \
    .conv_backward_weight = DET_OP(conv_backward_weight, isa),                                    \
    .dwconv_forward = DET_OP(dwconv_forward, isa),                                                \
    .dwconv_backward_data = DET_OP(dwconv_backward_data, isa),                                    \
    .dwconv_backward_weight = DET_OP(dwconv_backward_weight, isa),                                \
    .bias_backward = DET_OP(bias_backward, isa),                                                  \
    .norm_sums_workspace = DET_OP(norm_sums_workspace, isa), .norm_sums = DET_OP(norm_sums, isa), \
    .norm_add = DET_OP(norm_add, isa), .add_forward = DET_OP(add_forward, isa),                   \
    .accumulate = DET_OP(accumulate, isa),                                                        \
    .upsample_add_forward = DET_OP(upsample_add_forward, isa),                                    \
    .upsample_backward = DET_OP(upsample_backward, isa)

#define CPU_TABLE(set, isa, native_bf16)                                \
    static const struct det_ops set##_bf16_ops = {                      \
        CPU_PARTS(set, isa, native_bf16),                               \
        .blocked = &detk_blocked_bf16_##set,                            \
        .norm_conv_workspace = DET_OP(norm_conv_workspace, bf16_##set), \
        .norm_conv_forward = DET_OP(norm_conv_forward, bf16_##set),     \
        .norm_conv_backward = DET_OP(norm_conv_backward, bf16_##set),   \
    };                                                                  \
    static const struct det_ops set##_ops = {                           \
        CPU_PARTS(set, isa, native_bf16),                               \
        .bf16 = &set##_bf16_ops,                                        \
        .blocked = &detk_blocked_##isa,                                 \
        .norm_conv_workspace = DET_OP(norm_conv_workspace, isa),        \
        .norm_conv_forward = DET_OP(norm_conv_forward, isa),            \
        .norm_conv_backward = DET_OP(norm_conv_backward, isa),          \
    }

CPU_TABLE(sse2, sse2, false);
CPU_TABLE(avx2, avx2, false);
CPU_TABLE(avx512, avx512, false);
CPU_TABLE(avx512bf16, avx512, true);

const struct det_ops *det_ops_cpu(const char *instruction_set, const char **reason)
{
    *reason = NULL;
    if (strcmp(instruction_set, "ref") == 0)
        return det_ops_ref();
    __builtin_cpu_init();
    if (strcmp(instruction_set, "auto") == 0) {
        if (detk_why_not_avx512bf16() == NULL)
            return &avx512bf16_ops;
        if (detk_why_not_avx512() == NULL)
            return &avx512_ops;
        return detk_why_not_avx2() == NULL ? &avx2_ops : &sse2_ops;
    }
    if (strcmp(instruction_set, "sse2") == 0)
        return &sse2_ops;
    if (strcmp(instruction_set, "avx2") == 0) {
        *reason = detk_why_not_avx2();
        return *reason == NULL ? &avx2_ops : NULL;
    }
    if (strcmp(instruction_set, "avx512") == 0) {
        *reason = detk_why_not_avx512();
        return *reason == NULL ? &avx512_ops : NULL;
    }
    if (strcmp(instruction_set, "avx512bf16") == 0) {
        *reason = detk_why_not_avx512bf16();
        return *reason == NULL ? &avx512bf16_ops : NULL;
    }
    *reason = "unknown instruction set, expected auto, sse2, avx2, avx512, avx512bf16 or ref";
    return NULL;
}
