/* blocked_bf16_generic.c: the kernels of blocked.h in bf16 for any machine: without products of bf16. */
#define DET_ISA       generic
#define DET_ISA_WIDTH 4
#define DET_FORM_BF16
#define BLOCKED_TABLE detk_blocked_bf16_generic
#define BLOCKED_GEMM  detk_gemm_generic
#include "ops/cpu/blocked/blocked_table.h"
