/* blocked_generic.c: the kernels of blocked.h for any machine. */
#define DET_ISA       generic
#define DET_ISA_WIDTH 4
#define BLOCKED_TABLE detk_blocked_generic
#define BLOCKED_GEMM  detk_gemm_generic
#include "ops/cpu/blocked/blocked_table.h"
