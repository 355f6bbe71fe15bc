/* pairs_avx512.c: see pairs.h; this set has no products of bf16. */
#define DET_ISA       avx512
#define DET_ISA_WIDTH 16
#define PAIRS         detk_pairs_avx512
#define TABLE         detk_gemm_words_avx512
#include "ops/cpu/gemm/pairs_kernel.h"
