/* ref_ops.h: the reference implementation of every operation, one file per family.
 *
 * Plain C, sums in double, no workspace, no instruction set. Tasks split the outputs only, so each
 * value is summed by one task in one order. NaN: an operation never turns a NaN input into a
 * number; relu6 keeps it, and the gradient passes where the output is NaN. */
#ifndef DET_OPS_REF_REF_OPS_H
#define DET_OPS_REF_REF_OPS_H

#include "ops/ops.h"

DET_DECLARE_OPS(ref)

/* As DET_PART_LIST's, of dense convolutions. */
void detk_conv_backward_data__ref(const struct det_exec *x, const struct det_conv_shape *s,
                                  const float *dout, const float *w, float *din, bool accumulate);
void detk_conv_backward_weight__ref(const struct det_exec *x, const struct det_conv_shape *s,
                                    const float *in, const float *dout, float *dw, bool accumulate);

/* Batch norm as an operation of its own, for tests: the fast tables have it fused with the
 * convolutions around it.
 *
 * With the batch's own statistics: mean and biased variance per channel are written,
 * out = act(gamma * (in - mean) / sqrt(variance + epsilon) + beta). */
void detk_bn_forward__ref(const struct det_exec *x, int64_t rows, int32_t c, const float *in,
                          const float *gamma, const float *beta, float epsilon,
                          enum det_activation act, float *out, float *mean, float *variance);
/* Its gradients. With RELU6 the gradient passes where the result lay between 0 and 6; the result is
 * computed again. din (+)=; dgamma and dbeta are written. din may be dout when accumulate is
 * false. */
void detk_bn_backward__ref(const struct det_exec *x, int64_t rows, int32_t c, const float *in,
                           const float *dout, const float *gamma, const float *beta,
                           const float *mean, const float *variance, float epsilon,
                           enum det_activation act, float *din, bool accumulate, float *dgamma,
                           float *dbeta);
/* Mean and variance are given (the moving ones) and constant. */
void detk_bn_frozen_forward__ref(const struct det_exec *x, int64_t rows, int32_t c, const float *in,
                                 const float *gamma, const float *beta, const float *mean,
                                 const float *variance, float epsilon, enum det_activation act,
                                 float *out);
void detk_bn_frozen_backward__ref(const struct det_exec *x, int64_t rows, int32_t c,
                                  const float *in, const float *dout, const float *gamma,
                                  const float *beta, const float *mean, const float *variance,
                                  float epsilon, enum det_activation act, float *din,
                                  bool accumulate, float *dgamma, float *dbeta);

/* Channels summed at once, in doubles on the stack. */
#define DET_REF_BLOCK 64

static inline int32_t det_ref_min(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* Both comparisons are false for NaN, which so passes through. */
static inline double det_ref_activate(double value, enum det_activation act)
{
    if (act == DET_ACTIVATION_RELU6)
        return value < 0 ? 0 : value > 6 ? 6 : value;
    return value;
}

/* Whether relu6 lets the gradient through, from its result; yes for NaN. */
static inline bool det_ref_passes(float out, enum det_activation act)
{
    return act != DET_ACTIVATION_RELU6 || !(out <= 0 || out >= 6);
}

#endif
