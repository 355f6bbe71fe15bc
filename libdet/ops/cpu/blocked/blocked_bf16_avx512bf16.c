/* blocked_bf16_avx512bf16.c: the kernels of blocked.h in bf16 for AVX512-BF16. */
#define DET_ISA       avx512bf16
#define DET_ISA_WIDTH 16
#define DET_ISA_BF16
#define DET_FORM_BF16
#define BLOCKED_TABLE detk_blocked_bf16_avx512bf16
#define BLOCKED_GEMM  detk_gemm_avx512
#include "ops/cpu/blocked/blocked_table.h"
