/* blocked_sse2.c: the kernels of blocked.h for SSE2. */
#define DET_ISA       sse2
#define DET_ISA_WIDTH 4
#define BLOCKED_TABLE detk_blocked_sse2
#define BLOCKED_GEMM  detk_gemm_sse2
#include "backend/cpu/blocked_table.h"
