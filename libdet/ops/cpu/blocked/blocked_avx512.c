/* blocked_avx512.c: the kernels of blocked.h for AVX-512. */
#define DET_ISA       avx512
#define DET_ISA_WIDTH 16
#define BLOCKED_TABLE detk_blocked_avx512
#define BLOCKED_GEMM  detk_gemm_avx512
#include "ops/cpu/blocked/blocked_table.h"
