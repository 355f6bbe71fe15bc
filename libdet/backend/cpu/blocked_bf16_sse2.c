/* blocked_bf16_sse2.c: the kernels of blocked.h in bf16 for SSE2, which has no products of bf16. */
#define DET_ISA       sse2
#define DET_ISA_WIDTH 4
#define DET_FORM_BF16
#define BLOCKED_TABLE detk_blocked_bf16_sse2
#define BLOCKED_GEMM  detk_gemm_sse2
#include "backend/cpu/blocked_table.h"
