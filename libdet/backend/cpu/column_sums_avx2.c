/* column_sums_kernel.h for AVX2. */
#define DET_ISA       avx2
#define DET_ISA_WIDTH 8
#include "backend/cpu/column_sums_kernel.h"
