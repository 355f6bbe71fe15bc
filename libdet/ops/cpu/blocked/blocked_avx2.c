/* blocked_avx2.c: the kernels of blocked.h for AVX2. */
#define DET_ISA       avx2
#define DET_ISA_WIDTH 8
#define BLOCKED_TABLE detk_blocked_avx2
#define BLOCKED_GEMM  detk_gemm_avx2
#include "ops/cpu/blocked/blocked_table.h"
