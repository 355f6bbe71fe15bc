/* pairs.set.c: pairs.h for each set of bf16 (isas.h). */
#include "ops/cpu/gemm/pairs.h"
#include "ops/cpu/gemm/gemm_simd.h"
#include "ops/cpu/isa/bf16.h"
#include "ops/cpu/isa/simd_bf16.h"

#ifdef DET_ISA_BF16
#define multiply_add(a, b, c) v_bf16_dot(a, b, c)
#else
#define multiply_add(a, b, c) \
    v_fma(v_bf16_high(a), v_bf16_high(b), v_fma(v_bf16_low(a), v_bf16_low(b), c))
#endif
#define TABLE DETK_NAME(detk_gemm_words)
#include "ops/cpu/gemm/gemm_kernel.h"

static float word_of(float first, float second)
{
    const uint32_t bits = detk_to_bf16(first) | (uint32_t)detk_to_bf16(second) << 16;
    float word;
    memcpy(&word, &bits, sizeof word);
    return word;
}

static void of_channels(const float *from, int64_t from_row, int64_t rows, int32_t c, float *to,
                        int64_t to_row)
{
    for (int64_t r = 0; r < rows; r++, from += from_row, to += to_row) {
        int32_t j = 0;
        for (; j + V_WIDTH <= c; j += V_WIDTH)
            v_bf16_store(to + j / 2, v_load_all(from + j));
        for (; j < c; j += 2)
            to[j / 2] = word_of(from[j], j + 1 < c ? from[j + 1] : 0);
    }
}

static void of_rows(const float *from, int64_t from_row, int64_t rows, int32_t c, float *to,
                    int64_t to_row)
{
    for (int64_t r = 0; r < rows; r += 2, from += 2 * from_row, to += to_row) {
        const float *below = r + 1 < rows ? from + from_row : NULL;
        int32_t j = 0;
        for (; j + V_WIDTH <= c; j += V_WIDTH)
            v_store_all(to + j, v_bf16_pair(v_load_all(from + j),
                                            below != NULL ? v_load_all(below + j) : v_zero()));
        for (; j < c; j++)
            to[j] = word_of(from[j], below != NULL ? below[j] : 0);
    }
}

const struct detk_pairs DETK_NAME(detk_pairs) = {
    .gemm = &TABLE,
    .of_channels = of_channels,
    .of_rows = of_rows,
};
