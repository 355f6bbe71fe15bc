/* elementwise_kernel.h for AVX2. */
#define DET_ISA       avx2
#define DET_ISA_WIDTH 8
#include "ops/cpu/rows/elementwise_kernel.h"
