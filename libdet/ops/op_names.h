/* op_names.h: declares the functions of a det_ops table for one implementation: detk_<op>__<isa>,
 * signatures as in devices/backend.h. In families, because not every implementation has all of
 * them. */
#ifndef DET_OPS_OP_NAMES_H
#define DET_OPS_OP_NAMES_H

#include "ops/ops.h"

/* Part of the declarator: DET_OP(norm_add, avx2) is detk_norm_add__avx2. */
#define DET_OP(op, isa)  DET_OP_(op, isa)
#define DET_OP_(op, isa) detk_##op##__##isa

#define DET_DECLARE_CONV_FAMILY(prefix, isa)                                                     \
    void DET_OP(prefix##_forward, isa)(const struct det_exec *x, const struct det_conv_shape *s, \
                                       const float *in, const float *w, const float *bias,       \
                                       enum det_activation act, float *out);                     \
    void DET_OP(prefix##_backward_data, isa)(const struct det_exec *x,                           \
                                             const struct det_conv_shape *s, const float *dout,  \
                                             const float *w, float *din, bool accumulate);       \
    void DET_OP(prefix##_backward_weight, isa)(const struct det_exec *x,                         \
                                               const struct det_conv_shape *s, const float *in,  \
                                               const float *dout, float *dw, bool accumulate);   \
    /* Bytes of workspace of the three above. */                                                 \
    size_t DET_OP(prefix##_workspace, isa)(const struct det_conv_shape *s, int threads)

#define DET_DECLARE_CONV(isa)   DET_DECLARE_CONV_FAMILY(conv, isa)
#define DET_DECLARE_DWCONV(isa) DET_DECLARE_CONV_FAMILY(dwconv, isa)

#define DET_DECLARE_COLUMN_SUMS(isa)                                                   \
    size_t DET_OP(bias_workspace, isa)(int64_t rows, int32_t c);                       \
    void DET_OP(bias_backward, isa)(const struct det_exec *x, int64_t rows, int32_t c, \
                                    const float *dout, float *dbias, bool accumulate)

#define DET_DECLARE_NORM_CONV(isa)                                                                \
    size_t DET_OP(norm_conv_workspace, isa)(const struct det_conv_shape *s, bool depthwise,       \
                                            int threads);                                         \
    void DET_OP(norm_conv_forward, isa)(const struct det_exec *x, const struct det_conv_shape *s, \
                                        bool depthwise, const struct det_operand *in,             \
                                        const float *w, const float *bias, float *out,            \
                                        float *mean, float *variance);                            \
    void DET_OP(norm_conv_backward,                                                               \
                isa)(const struct det_exec *x, const struct det_conv_shape *s, bool depthwise,    \
                     const struct det_operand *in, const struct det_gradient *dout,               \
                     const float *w, const struct det_gradient_to *to, float *dw, bool accumulate)

#define DET_DECLARE_NORM(isa)                                                            \
    DET_DECLARE_NORM_CONV(isa);                                                          \
    size_t DET_OP(norm_sums_workspace, isa)(int64_t rows, int32_t c);                    \
    void DET_OP(norm_sums, isa)(const struct det_exec *x, int64_t rows, int32_t c,       \
                                const struct det_gradient_to *to);                       \
    void DET_OP(norm_add, isa)(const struct det_exec *x, int64_t rows, int32_t c,        \
                               const struct det_operand *a, const struct det_operand *b, \
                               float *out)

#define DET_DECLARE_ELEMENTWISE(isa)                                                               \
    void DET_OP(add_forward, isa)(const struct det_exec *x, int64_t count, const float *a,         \
                                  const float *b, float *out);                                     \
    void DET_OP(accumulate, isa)(const struct det_exec *x, int64_t count, const float *from,       \
                                 float *to, bool accumulate);                                      \
    void DET_OP(upsample_add_forward, isa)(const struct det_exec *x, int32_t n, int32_t h,         \
                                           int32_t w, int32_t c, int32_t out_h, int32_t out_w,     \
                                           const float *low, const float *lateral, float *out);    \
    void DET_OP(upsample_backward, isa)(const struct det_exec *x, int32_t n, int32_t h, int32_t w, \
                                        int32_t c, int32_t out_h, int32_t out_w,                   \
                                        const float *dout, float *dlow, bool accumulate)

#endif
