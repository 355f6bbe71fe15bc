/* gemm.h: contract of the register-tiled micro-kernels under the dense convolutions, one table per
 * instruction set.
 *
 * A kernel computes one tile C[rows][cols] of a product, rows x (lanes * vectors) accumulators in
 * registers over the whole reduction, which runs over `segments` runs of `run` steps:
 *
 *     sum(i, j) = sum over g < segments, s < run of A(i, g, s) * b[(g * run + s) * b_step + j]
 *
 * A is read in place, one element at a time (broadcast); `b` has whole vectors, so a tail of
 * columns has to be packed and padded, but only `cols` columns of c and bias are touched. Two ways
 * to read A:
 *
 *     across   A(i, g, s) = a[i * a_row + g * a_segment + s]     forward, backward data:
 *                                                                c's rows are pixels
 *     down     A(i, g, s) = a[i + g * a_segment + s * a_step]    backward weight:
 *                                                                c's rows are input channels
 *
 * The order of the sum is that of (g, s), the same for every tile height, so a result does not
 * depend on the tiling of rows. There are kernels of every height 1..max_rows: the tail of the rows
 * costs no wasted work.
 *
 * At the end: accumulate ? c + sum : sum (+ bias), then clamped to [0, 6] if relu6. A NaN survives
 * relu6: the processor's min and max return their *second* operand when either is NaN, so the value
 * stands second.
 *
 * `ahead` hides the latency of memory where operands come from there: the hardware's prefetchers do
 * not follow a tile's many short rows. A step takes 6 cycles (6 x 16) to 28 (14 x 32) and reads one
 * line of every row in 16 of them, so that a line a step is about what the next tile will need.
 */
#ifndef DET_OPS_CPU_GEMM_GEMM_H
#define DET_OPS_CPU_GEMM_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DETK_GEMM_MAX_ROWS    14
#define DETK_GEMM_MAX_VECTORS 2

struct detk_tile {
    const float *a;
    ptrdiff_t a_row, a_step, a_segment; /* in floats */
    int32_t segments, run;              /* either may be 0: the sum is then 0 */
    const float *b;
    ptrdiff_t b_step;
    float *c;
    ptrdiff_t c_row;
    int32_t cols;             /* 1 .. lanes * vectors */
    const float *bias;        /* of the first column, or NULL; ignored when accumulate */
    int32_t tiles;            /* one after the other with the same b; 0: one */
    ptrdiff_t a_tile, c_tile; /* from tile to tile */
    bool accumulate, relu6;
    bool stream; /* store past the caches: c and c_row are whole cache lines, not accumulate */
    const float *ahead;   /* each step prefetches a line here and moves on; any address will do */
    ptrdiff_t ahead_step; /* 16 floats, or 0 to stay */
};

typedef void (*detk_tile_fn)(const struct detk_tile *tile);

struct detk_gemm {
    int32_t lanes;    /* floats of a vector */
    int32_t max_rows; /* at most DETK_GEMM_MAX_ROWS */
    /* Orders streamed stores before whatever tells other threads of them; NULL: the kernels ignore
     * `stream`. */
    void (*fence)(void);
    /* [vectors - 1][rows - 1] */
    detk_tile_fn across[DETK_GEMM_MAX_VECTORS][DETK_GEMM_MAX_ROWS];
    detk_tile_fn down[DETK_GEMM_MAX_VECTORS][DETK_GEMM_MAX_ROWS];
};

extern const struct detk_gemm detk_gemm_generic; /* 6 x 8 */
extern const struct detk_gemm detk_gemm_avx2;    /* 6 x 16 */
extern const struct detk_gemm detk_gemm_avx512;  /* 14 x 32 */

#endif
