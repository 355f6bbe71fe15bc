/* pairs_avx512bf16.c: see pairs.h. */
#define DET_ISA       avx512bf16
#define DET_ISA_WIDTH 16
#define DET_ISA_BF16
#define PAIRS detk_pairs_avx512bf16
#define TABLE detk_gemm_words_avx512bf16
#include "ops/cpu/gemm/pairs_kernel.h"
