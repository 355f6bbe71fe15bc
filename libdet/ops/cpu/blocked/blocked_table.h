/* blocked_table.h: the table of blocked.h for one instruction set and one form of the tensors. The
 * including file defines BLOCKED_TABLE (its name) and what blocked_form.h asks for. */
#include "ops/cpu/blocked/blocked_dw.h"
#include "ops/cpu/blocked/blocked_tile.h"
#include "ops/cpu/blocked/blocked_upsample.h"
#include "ops/cpu/gemm/gemm.h"

/* Tiles of each width, in vectors, up to the height for which the registers suffice. */
#if DET_ISA_WIDTH == 16 /* 28 accumulators of 32 registers */
#define PANEL_VECTORS 2
#define WIDTHS(X)     X(1, 14) X(2, 14) X(3, 9)
#elif DET_ISA_WIDTH == 8 /* 12 of 16 */
#define PANEL_VECTORS 2
#define WIDTHS(X)     X(1, 12) X(2, 6) X(3, 4)
#else /* 8 of 16: 4 vectors of b, a broadcast and a product */
#define PANEL_VECTORS 4
#define WIDTHS(X)     X(1, 6) X(2, 4) X(3, 3) X(4, 2)
#endif

#define UP_TO_2(X, v)  X(v, 1) X(v, 2)
#define UP_TO_3(X, v)  UP_TO_2(X, v) X(v, 3)
#define UP_TO_4(X, v)  UP_TO_3(X, v) X(v, 4)
#define UP_TO_6(X, v)  UP_TO_4(X, v) X(v, 5) X(v, 6)
#define UP_TO_9(X, v)  UP_TO_6(X, v) X(v, 7) X(v, 8) X(v, 9)
#define UP_TO_12(X, v) UP_TO_9(X, v) X(v, 10) X(v, 11) X(v, 12)
#define UP_TO_14(X, v) UP_TO_12(X, v) X(v, 13) X(v, 14)

#define TILES_OF(v, height)  UP_TO_##height(TILE, v)
#define HEIGHT_OF(v, height) height,
#define NAME_OF(v, rows)     tile_##v##_##rows,
#define NAMES_OF(v, height)  {UP_TO_##height(NAME_OF, v)},
#define COUNT_OF(v, height)  +1

WIDTHS(TILES_OF)

#ifdef DET_FORM_BF16
static void narrow(const float *from, int32_t pixels, const struct det_q8_tensor *tensor, float *to)
{
    (void)tensor;
    for (int64_t i = 0; i < (int64_t)pixels * DETK_BLOCK; i += V_WIDTH)
        v_bf16_store(to + i / 2, v_load_all(from + i));
}
#endif

const struct detk_blocked BLOCKED_TABLE = {
    .words = WORDS,
    .lanes = V_WIDTH,
    .panel_vectors = PANEL_VECTORS,
    .most_vectors = WIDTHS(COUNT_OF),
#ifdef DET_FORM_BF16
    .bf16 = true,
    .most_terms = INT32_MAX,
    .narrow = narrow,
#else
    .most_terms = 256,
#endif
    .max_rows = {WIDTHS(HEIGHT_OF)},
    .row_group = 1,
    .tile = {WIDTHS(NAMES_OF)},
    .dw = dw_rows,
    .add_upsampled = add_upsampled,
    .gemm = &DETK_NAME_OF(detk_gemm, DET_ISA_F32),
};
