/* dwconv_kernel.h for AVX2. */
#define DET_ISA       avx2
#define DET_ISA_WIDTH 8
#include "ops/cpu/dwconv/dwconv_kernel.h"
