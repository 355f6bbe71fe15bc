/* gemm_generic.c: micro-kernels of 6 x 8 floats for any machine: 12 accumulators, 2 vectors of b, 1
 * broadcast of the 16 registers that SSE2 has. Nothing is streamed: a panel is half a cache line,
 * which would be written twice. */
#include "ops/cpu/gemm/gemm_simd.h"

#define TABLE                 detk_gemm_generic
#define multiply_add(a, b, c) v_fma(a, b, c)
#include "ops/cpu/gemm/gemm_kernel.h"
