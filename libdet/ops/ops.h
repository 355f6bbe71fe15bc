/* ops.h: the table of operations that a compute backend fills. One table per backend and
 * instruction set; the network (model/graph.h) is data, the executor (model/net.h) walks it and
 * calls these.
 *
 * Tensors are float32, NHWC, contiguous, 64-byte aligned; dense weights HWIO, depthwise weights HWC
 * (TensorFlow's [H,W,C,1]). "rows" is N*H*W of an activation, "c" its channels. Operations cannot
 * fail: shapes were checked and the workspace was sized when the network was planned. Outputs never
 * overlap inputs unless said.
 *
 * Numbers: sums in any fixed order that does not depend on the number of threads, so that the same
 * binary on the same instruction set gives the same bits for any thread count. `accumulate` false:
 * the output is written; true: added to. NaN in an operand reaches every result it takes part in; a
 * dense convolution may also multiply it with the zeros of the padding, where `ref` skips the tap.
 * Agreement with `ref` (which sums in double): 1e-5 relative to the l2 norm of the terms, see
 * tests/unit/test_ops.c.
 */
#ifndef DET_OPS_OPS_H
#define DET_OPS_OPS_H

#include "base/pool.h"
#include "ops/fake_quant.h"
#include "ops/op_list.h"
#include "ops/shape.h"
#include "support/env.h"

/* What every call gets: where to run and where to scribble. One per thread of control. */
struct det_exec {
    struct det_pool *pool; /* NULL: calling thread only */
    void *workspace;       /* 64-byte aligned; contents mean nothing between calls */
    size_t workspace_bytes;
};

struct detk_blocked; /* ops/cpu/blocked/blocked.h */

/* Training keeps the result x of a convolution; the batch norm behind it is applied by whoever
 * reads it, and its gradient likewise, so that neither is stored. Arrays of c values per
 * channel. */

/* value = act((x - mean) * scale + beta), scale = gamma / sqrt(variance + epsilon). */
struct det_bn {
    const float *mean, *scale, *beta;
    enum det_activation act;
};

/* An activation: x [rows, c] itself, or normalised when there is a norm. */
struct det_operand {
    const float *x;
    const struct det_bn *bn; /* NULL: none */
};

/* The gradient of a convolution's result x: dy itself; or, when a batch norm reads x and dy is the
 * gradient behind that norm, dy * scale + constant + slope * (x - mean), dy counting as 0 where the
 * activation of (x - mean) * scale + beta does not let it pass. */
struct det_gradient {
    const float *dy, *x;
    const struct det_bn *bn;       /* NULL: none */
    const float *constant, *slope; /* with a norm */
};

/* Where the gradient of a convolution's input goes. */
struct det_gradient_to {
    float *din; /* NULL: nobody wants it */
    bool accumulate;
    /* With `sums`, din is complete after the call and lies behind the batch norm `norm` of x:
     * sums[0..c) is the sum over rows of the gradient that passes the activation, sums[c..2c) that
     * of its product with x - mean. */
    const float *x;
    const struct det_bn *bn;
    double *sums;
};

struct det_ops {
    const char *name; /* det_ops_cpu_name() */
    /* The same with --precision bf16: the prepared network's kernels and 1x1 convolutions of
     * training multiply in bf16 (ops/cpu/blocked/blocked.h, ops/cpu/gemm/pairs.h), all else is
     * float32. NULL: none. */
    const struct det_ops *bf16;
    bool multiplies_bf16;               /* the instruction set itself, not by widening to float32 */
    const struct detk_blocked *blocked; /* kernels of the prepared network, NULL: none */
    const struct detk_blocked *q8;      /* those of its 8-bit form, NULL: none */

#define DET_SLOT(set, name, gradient, result, parameters) result(*name) parameters;
    DET_OP_LIST(DET_SLOT, )
#undef DET_SLOT
};

/* Plain C, obviously right, portable: the oracle of every other table. */
const struct det_ops *det_ops_ref(void);

/* The CPU table of an instruction set: a name of det_ops_cpu_name(), "auto" for the last of them
 * that can be used, or "generic" for what any machine of this architecture has. NULL when this
 * processor or operating system lacks it or the name is unknown; then *reason says why (static
 * text). */
const struct det_ops *det_ops_cpu(const char *instruction_set, const char **reason);

/* The tables of this build, slowest first: "ref", then on x86-64 "sse2", "avx2",
 * "avxvnni", "avx512", "avx512vnni", "avx512bf16", elsewhere "generic". NULL behind the last. */
const char *det_ops_cpu_name(int index);

#endif
