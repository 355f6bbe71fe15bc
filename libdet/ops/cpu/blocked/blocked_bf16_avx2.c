/* blocked_bf16_avx2.c: the kernels of blocked.h in bf16 for AVX2, which has no products of bf16. */
#define DET_ISA       avx2
#define DET_ISA_WIDTH 8
#define DET_FORM_BF16
#define BLOCKED_TABLE detk_blocked_bf16_avx2
#define BLOCKED_GEMM  detk_gemm_avx2
#include "ops/cpu/blocked/blocked_table.h"
