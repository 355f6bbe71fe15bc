/* cpu_ops.h: the fast CPU kernels, one set per instruction set, and what they share.
 *
 * NAME.isa.c, written with the vectors of simd.h, is compiled once for each (isas.h).
 *
 * Same bits for any number of threads: tasks are cut by shape alone, partial sums are added in task
 * order. NaN: an operation never turns a NaN input into a number. relu6 is min(6, max(0, x)) with x
 * as the second operand, which is what SSE's min and max return when either is NaN; the gradient
 * passes where the output is NaN. */
#ifndef DET_OPS_CPU_ISA_CPU_OPS_H
#define DET_OPS_CPU_ISA_CPU_OPS_H

#include "ops/cpu/isa/isas.h"
#include "ops/ops.h"

DETK_ISAS(DET_DECLARE_OPS)

/* With products in bf16 (pairs.h). */
#define DETK_DECLARE_BF16_OPS(bf16, isa) DET_BF16_OP_LIST(DET_DECLARE_OP, bf16_##bf16)
DETK_BF16_ISAS(DETK_DECLARE_BF16_OPS)

#endif
