/* gemm_simd.h: what gemm_kernel.h is written with, by the vectors of simd.h, but for
 * multiply_add. */
#ifndef DET_OPS_CPU_GEMM_GEMM_SIMD_H
#define DET_OPS_CPU_GEMM_GEMM_SIMD_H

#include "ops/cpu/isa/simd.h"

#define LANES V_WIDTH
#if DET_ISA_WIDTH == 16
#define MAX_ROWS 14
#else
#define MAX_ROWS 6
#endif
#define FENCE               NULL
#define vec                 v_f32
#define load(p)             v_load_all(p)
#define store(p, v)         v_store_all(p, v)
#define load_part(p, n)     v_load(p, n)
#define store_part(p, v, n) v_store(p, v, n)
#define stream(p, v)        v_store_all(p, v)
#define broadcast(p)        v_set(*(p))
#define set1(x)             v_set(x)
#define add(a, b)           v_add(a, b)
#define clamp(v)            v_relu6(v)

#endif
