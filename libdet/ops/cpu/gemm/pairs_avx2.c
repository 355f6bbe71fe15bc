/* pairs_avx2.c: see pairs.h; this set has no products of bf16. */
#define DET_ISA       avx2
#define DET_ISA_WIDTH 8
#define PAIRS         detk_pairs_avx2
#define TABLE         detk_gemm_words_avx2
#include "ops/cpu/gemm/pairs_kernel.h"
