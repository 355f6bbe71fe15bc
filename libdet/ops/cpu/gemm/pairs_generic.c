/* pairs_generic.c: see pairs.h; for any machine, so without products of bf16. */
#define DET_ISA       generic
#define DET_ISA_WIDTH 4
#define PAIRS         detk_pairs_generic
#define TABLE         detk_gemm_words_generic
#include "ops/cpu/gemm/pairs_kernel.h"
