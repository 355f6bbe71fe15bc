/* bn_dwconv.h: entries of bn_dwconv.isa.c, and which shapes they serve. */
#ifndef DET_OPS_CPU_BN_BN_DWCONV_H
#define DET_OPS_CPU_BN_BN_DWCONV_H

#include "ops/cpu/bn/bn_conv.h"
#include "ops/cpu/isa/cpu_ops.h"

#define DETK_DECLARE_BN_DWCONV(isa)                                                                \
    size_t DET_OP(bn_dwconv_workspace, isa)(const struct det_conv_shape *s, int threads);          \
    void DET_OP(bn_dwconv_forward, isa)(const struct det_exec *x, const struct det_conv_shape *s,  \
                                        const struct detk_bn_forward *call);                       \
    void DET_OP(bn_dwconv_backward, isa)(const struct det_exec *x, const struct det_conv_shape *s, \
                                         const struct detk_bn_backward *call);

DETK_ISAS(DETK_DECLARE_BN_DWCONV)

/* 3x3, stride 1 or 2, padding and sizes such that a padded row holds all taps: SAME in any case. */
static inline bool detk_bn_dwconv_serves(const struct det_conv_shape *s)
{
    if (s->kernel_h != 3 || s->kernel_w != 3 || s->pad_top < 0 || s->pad_left < 0)
        return false;
    if (s->stride == 1)
        return s->pad_top <= 2 && s->pad_left <= 2 && s->out_w <= s->in_w + s->pad_left;
    return s->stride == 2 && s->pad_left <= 1 && s->pad_top <= 1 &&
           (s->in_w - 1 + s->pad_left) / 2 <= s->out_w;
}

#endif
