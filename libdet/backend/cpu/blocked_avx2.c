/* blocked_avx2.c: the kernels of blocked.h for AVX2: 12 accumulators of the 16
 * registers. */
#define DET_ISA       avx2
#define DET_ISA_WIDTH 8
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
TILE(2, 1)
TILE(2, 2)
TILE(2, 3)
TILE(2, 4)
TILE(2, 5)
TILE(2, 6)
TILE(3, 1)
TILE(3, 2)
TILE(3, 3)
TILE(3, 4)

const struct detk_blocked detk_blocked_avx2 = {
    .lanes = 8,
    .panel_vectors = 2,
    .most_vectors = 3,
    .most_terms = 256,
    .max_rows = {12, 6, 4},
    .tile = {{tile_1_1, tile_1_2, tile_1_3, tile_1_4, tile_1_5, tile_1_6, tile_1_7, tile_1_8,
              tile_1_9, tile_1_10, tile_1_11, tile_1_12},
             {tile_2_1, tile_2_2, tile_2_3, tile_2_4, tile_2_5, tile_2_6},
             {tile_3_1, tile_3_2, tile_3_3, tile_3_4}},
    .dw = dw_rows,
    .add_upsampled = add_upsampled,
    .gemm = &detk_gemm_avx2,
};
