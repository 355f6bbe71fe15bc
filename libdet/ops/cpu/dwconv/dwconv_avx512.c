/* dwconv_kernel.h for AVX-512. */
#define DET_ISA       avx512
#define DET_ISA_WIDTH 16
#include "ops/cpu/dwconv/dwconv_kernel.h"
