/* blocked_sse2.c: the kernels of blocked.h for SSE2: 16 registers, of which
 * 8 accumulators, 4 vectors of b, a broadcast and a product. */
#define DET_ISA       sse2
#define DET_ISA_WIDTH 4
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
TILE(2, 1)
TILE(2, 2)
TILE(2, 3)
TILE(2, 4)
TILE(3, 1)
TILE(3, 2)
TILE(3, 3)
TILE(4, 1)
TILE(4, 2)

const struct detk_blocked detk_blocked_sse2 = {
    .lanes = 4,
    .panel_vectors = 4,
    .most_vectors = 4,
    .most_terms = 256,
    .max_rows = {6, 4, 3, 2},
    .tile = {{tile_1_1, tile_1_2, tile_1_3, tile_1_4, tile_1_5, tile_1_6},
             {tile_2_1, tile_2_2, tile_2_3, tile_2_4},
             {tile_3_1, tile_3_2, tile_3_3},
             {tile_4_1, tile_4_2}},
    .dw = dw_rows,
    .add_upsampled = add_upsampled,
    .gemm = &detk_gemm_sse2,
};
