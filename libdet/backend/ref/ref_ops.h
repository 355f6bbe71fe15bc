/* ref_ops.h: the reference implementation of every operation, one file per family.
 *
 * Plain C, sums in double, no workspace, no instruction set. Tasks split the outputs only, so each
 * value is summed by one task in one order. NaN: an operation never turns a NaN input into a
 * number; relu6 keeps it, and the gradient passes where the output is NaN. */
#ifndef DET_BACKEND_REF_REF_OPS_H
#define DET_BACKEND_REF_REF_OPS_H

#include "backend/op_names.h"

DET_DECLARE_CONV(ref);
DET_DECLARE_DWCONV(ref);
DET_DECLARE_BN(ref);
DET_DECLARE_ELEMENTWISE(ref);
DET_DECLARE_NORM(ref);

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
