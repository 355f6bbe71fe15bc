/* bn_conv.h: the convolutions of training (bn_conv_* of ops/ops.h), parts that share the work:
 *
 *   bn_matrix.c          1x1, stride 1: strips of pixels go through the cache, where batch norm,
 *                        product and sums meet
 *   bn_dwconv.isa.c      depthwise 3x3: a ring of rows does the same (bn_dwconv_loops.h: its inner
 *                        loops)
 *   bn_compose.c         any other: the operands are made first, the plain operation runs, sums are
 *                        taken last
 *   bn_conv.c            chooses among these
 */
#ifndef DET_OPS_CPU_BN_BN_CONV_H
#define DET_OPS_CPU_BN_BN_CONV_H

#include "ops/cpu/conv/conv_view.h"
#include "ops/cpu/gemm/pairs.h"
#include "ops/cpu/rows/rows.h"

/* What a call is about. */
struct detk_bn_forward {
    struct det_operand in;
    const float *w, *bias;
    float *out, *mean, *variance;
};

struct detk_bn_backward {
    struct det_operand in;
    struct det_gradient dout;
    const float *w;
    struct det_gradient_to to;
    float *dw;
    bool accumulate;
};

/* The plain operations and the kernels of one instruction set. */
struct detk_isa {
    const struct detk_gemm *gemm;
    const struct detk_rows *rows;
    const struct detk_pairs *pairs; /* bn_matrix.c multiplies in bf16; NULL: in float32 */
    size_t (*conv_workspace)(const struct det_conv_shape *s, int threads);
    size_t (*dwconv_workspace)(const struct det_conv_shape *s, int threads);
    void (*dwconv_forward)(const struct det_exec *x, const struct det_conv_shape *s,
                           const float *in, const float *w, const float *bias,
                           enum det_activation act, float *out);
    void (*dwconv_backward_data)(const struct det_exec *x, const struct det_conv_shape *s,
                                 const float *dout, const float *w, float *din, bool accumulate);
    void (*dwconv_backward_weight)(const struct det_exec *x, const struct det_conv_shape *s,
                                   const float *in, const float *dout, float *dw, bool accumulate);
    size_t (*bn_dwconv_workspace)(const struct det_conv_shape *s, int threads);
    void (*bn_dwconv_forward)(const struct det_exec *x, const struct det_conv_shape *s,
                              const struct detk_bn_forward *call);
    void (*bn_dwconv_backward)(const struct det_exec *x, const struct det_conv_shape *s,
                               const struct detk_bn_backward *call);
};

size_t detk_bn_matrix_bytes(const struct detk_isa *isa, const struct det_conv_shape *s,
                            int threads);
void detk_bn_matrix_forward(const struct detk_isa *isa, const struct det_exec *x,
                            const struct det_conv_shape *s, const struct detk_bn_forward *call);
void detk_bn_matrix_backward(const struct detk_isa *isa, const struct det_exec *x,
                             const struct det_conv_shape *s, const struct detk_bn_backward *call);

size_t detk_bn_compose_bytes(const struct detk_isa *isa, const struct det_conv_shape *s,
                             bool depthwise, int threads);
void detk_bn_compose_forward(const struct detk_isa *isa, const struct det_exec *x,
                             const struct det_conv_shape *s, bool depthwise,
                             const struct detk_bn_forward *call);
void detk_bn_compose_backward(const struct detk_isa *isa, const struct det_exec *x,
                              const struct det_conv_shape *s, bool depthwise,
                              const struct detk_bn_backward *call);

/* The sums of det_gradient_to alone; feeds is workspace. */
size_t detk_bn_sums_bytes(int64_t rows, int32_t c);
void detk_bn_sums(const struct detk_rows *table, const struct det_exec *x, void *feeds,
                  int64_t rows, int32_t c, const struct det_gradient_to *to);

/* Floats from row to row of scratch memory with c of them in each: an odd number of cache lines, so
 * that a column of many rows does not fall into few sets of the first-level cache. */
static inline int64_t detk_scratch_row(int32_t c)
{
    const int64_t lines = ((int64_t)c + 15) / 16;
    return (lines + 1 - lines % 2) * 16;
}

/* The next `bytes` (rounded up to cache lines) of a workspace; NULL while only counting. */
static inline void *detk_place(void *memory, size_t *used, size_t bytes)
{
    void *at = memory == NULL ? NULL : (char *)memory + *used;
    *used += (bytes + 63) / 64 * 64;
    return at;
}

#endif
