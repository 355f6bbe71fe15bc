/* The fast tables, and which of them this machine can run. */
#include <string.h>

#include "ops/cpu/blocked/blocked.h"
#include "ops/cpu/conv/conv_ops.h"
#include "ops/cpu/isa/cpu_features.h"
#include "ops/cpu/isa/cpu_ops.h"

#define CPU_WORKSPACE(isa)                                                                 \
    static size_t conv_workspace_##isa(const struct det_conv_shape *shape, bool depthwise, \
                                       int threads)                                        \
    {                                                                                      \
        return depthwise ? DET_OP(dwconv_workspace, isa)(shape, threads)                   \
                         : DET_OP(conv_workspace, isa)(shape, false, threads);             \
    }

DETK_ISAS(CPU_WORKSPACE)

/* What the two tables of a set share, by the functions of `isa`. */
#define CPU_PARTS(text, isa, native_bf16)                                                         \
    .name = text, .multiplies_bf16 = native_bf16, .conv_workspace = conv_workspace_##isa,         \
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

#define CPU_TABLE(text, set, isa, native_bf16)                          \
    static const struct det_ops set##_bf16_ops = {                      \
        CPU_PARTS(text, isa, native_bf16),                              \
        .blocked = &detk_blocked_bf16_##set,                            \
        .norm_conv_workspace = DET_OP(norm_conv_workspace, bf16_##set), \
        .norm_conv_forward = DET_OP(norm_conv_forward, bf16_##set),     \
        .norm_conv_backward = DET_OP(norm_conv_backward, bf16_##set),   \
    };                                                                  \
    static const struct det_ops set##_ops = {                           \
        CPU_PARTS(text, isa, native_bf16),                              \
        .bf16 = &set##_bf16_ops,                                        \
        .blocked = &detk_blocked_##isa,                                 \
        .norm_conv_workspace = DET_OP(norm_conv_workspace, isa),        \
        .norm_conv_forward = DET_OP(norm_conv_forward, isa),            \
        .norm_conv_backward = DET_OP(norm_conv_backward, isa),          \
    };

DETK_SETS(CPU_TABLE)

/* Slowest first. */
#define CPU_SET(text, set, isa, native_bf16) {&set##_ops, detk_why_not_##set},
static const struct {
    const struct det_ops *ops;
    const char *(*why_not)(void);
} sets[] = {DETK_SETS(CPU_SET)};

enum { SETS = sizeof sets / sizeof *sets };

const struct det_ops *det_ops_cpu(const char *instruction_set, const char **reason)
{
    int i = SETS - 1;
    *reason = NULL;
    if (strcmp(instruction_set, "ref") == 0)
        return det_ops_ref();
    if (strcmp(instruction_set, "generic") == 0)
        return sets[0].ops;
    if (strcmp(instruction_set, "auto") == 0) {
        while (sets[i].why_not() != NULL)
            i--;
        return sets[i].ops;
    }
    while (i >= 0 && strcmp(instruction_set, sets[i].ops->name) != 0)
        i--;
#define CPU_NAME(text, set, isa, native_bf16) ", " text
    *reason = i < 0 ? "unknown instruction set, expected auto, ref" DETK_SETS(CPU_NAME)
                    : sets[i].why_not();
    return *reason == NULL ? sets[i].ops : NULL;
}

const char *det_ops_cpu_name(int index)
{
    if (index == 0)
        return det_ops_ref()->name;
    return index > 0 && index <= SETS ? sets[index - 1].ops->name : NULL;
}
