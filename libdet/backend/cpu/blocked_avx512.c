/* blocked_avx512.c: the kernels of blocked.h for AVX512: up to 28 accumulators of
 * the 32 registers. */
#define DET_ISA       avx512
#define DET_ISA_WIDTH 16
#include "backend/cpu/blocked_dw.h"
#include "backend/cpu/blocked_tile.h"
#include "backend/cpu/blocked_upsample.h"
#include "backend/cpu/gemm.h"

TILE(1, 1)
TILE(1, 2)
TILE(1, 3)
TILE(1, 4)
TILE(1, 5)
TILE(1, 6)
TILE(1, 7)
TILE(1, 8)
TILE(1, 9)
TILE(1, 10)
TILE(1, 11)
TILE(1, 12)
TILE(1, 13)
TILE(1, 14)
TILE(2, 1)
TILE(2, 2)
TILE(2, 3)
TILE(2, 4)
TILE(2, 5)
TILE(2, 6)
TILE(2, 7)
TILE(2, 8)
TILE(2, 9)
TILE(2, 10)
TILE(2, 11)
TILE(2, 12)
TILE(2, 13)
TILE(2, 14)
TILE(3, 1)
TILE(3, 2)
TILE(3, 3)
TILE(3, 4)
TILE(3, 5)
TILE(3, 6)
TILE(3, 7)
TILE(3, 8)
TILE(3, 9)

const struct detk_blocked detk_blocked_avx512 = {
    .lanes = 16,
    .panel_vectors = 2,
    .most_vectors = 3,
    .most_terms = 256,
    .max_rows = {14, 14, 9},
    .tile = {{tile_1_1, tile_1_2, tile_1_3, tile_1_4, tile_1_5, tile_1_6, tile_1_7, tile_1_8,
              tile_1_9, tile_1_10, tile_1_11, tile_1_12, tile_1_13, tile_1_14},
             {tile_2_1, tile_2_2, tile_2_3, tile_2_4, tile_2_5, tile_2_6, tile_2_7, tile_2_8,
              tile_2_9, tile_2_10, tile_2_11, tile_2_12, tile_2_13, tile_2_14},
             {tile_3_1, tile_3_2, tile_3_3, tile_3_4, tile_3_5, tile_3_6, tile_3_7, tile_3_8,
              tile_3_9}},
    .dw = dw_rows,
    .add_upsampled = add_upsampled,
    .gemm = &detk_gemm_avx512,
};
