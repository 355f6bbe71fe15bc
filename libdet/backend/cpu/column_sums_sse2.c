/* column_sums_kernel.h for SSE2. */
#define DET_ISA       sse2
#define DET_ISA_WIDTH 4
#include "backend/cpu/column_sums_kernel.h"
