/* pairs_sse2.c: see pairs.h; this set has no products of bf16. */
#define DET_ISA       sse2
#define DET_ISA_WIDTH 4
#define PAIRS         detk_pairs_sse2
#define TABLE         detk_gemm_words_sse2
#include "backend/cpu/pairs_kernel.h"
