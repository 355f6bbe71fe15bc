/* pairs.h: products in bf16 for training (bn_matrix.c): the micro-kernels of gemm.h on words of
 * four bytes, each two bf16 that are neighbours along the sum, and what makes such words of
 * float32. A step of gemm.h's sums is a word: its first products, then its second; rounding as
 * simd_bf16.h says. Results are float32. One table for each set of bf16.
 */
#ifndef DET_OPS_CPU_GEMM_PAIRS_H
#define DET_OPS_CPU_GEMM_PAIRS_H

#include "ops/cpu/gemm/gemm.h"

struct detk_pairs {
    const struct detk_gemm *gemm;
    /* to[r][k] = channels 2k and 2k + 1 of row r; for the sum over channels. The one behind the
     * last of an odd c is 0. */
    void (*of_channels)(const float *from, int64_t from_row, int64_t rows, int32_t c, float *to,
                        int64_t to_row);
    /* to[k][j] = channel j of rows 2k and 2k + 1; for the sum over rows. The one behind the last of
     * an odd count is 0. */
    void (*of_rows)(const float *from, int64_t from_row, int64_t rows, int32_t c, float *to,
                    int64_t to_row);
};

extern const struct detk_gemm detk_gemm_words_generic, detk_gemm_words_avx2, detk_gemm_words_avx512;
extern const struct detk_gemm detk_gemm_words_avx512bf16;
extern const struct detk_pairs detk_pairs_generic;
extern const struct detk_pairs detk_pairs_avx2;
extern const struct detk_pairs detk_pairs_avx512;
extern const struct detk_pairs detk_pairs_avx512bf16;

#endif
