/* strassen.h: products of 8 bits with an eighth of the multiplications less: V. Strassen,
 * "Gaussian elimination is not optimal" (1969). A group of 8 pixels (two fours, i), its channels in
 * two halves (j) and 32 columns (two sixteens, k) are 2 x 2 matrices of matrices,
 *   C_ik = A_i0 B_0k + A_i1 B_1k,
 * which take seven products instead of eight:
 *   M1 = (A00 + A11) (B00 + B11)   C00 = M1 + M4 - M5 + M7
 *   M2 = (A10 + A11) B00           C01 = M3 + M5
 *   M3 = A00 (B01 - B11)           C10 = M2 + M4
 *   M4 = A11 (B10 - B00)           C11 = M1 - M2 + M3 + M6
 *   M5 = (A00 + A01) B11
 *   M6 = (A10 - A00) (B00 + B01)
 *   M7 = (A01 - A11) (B10 + B11)
 * All are whole numbers modulo 2^32, so the results are the same to the bit.
 *
 * Groups are of the pixels of some lines, one after the other; each four is of one line, so only so
 * many of a line count that this is so. The sums of inputs are made once for all columns, those of
 * weights when they are packed. The
 * channels' halves are parts of each block of 16: terms 0 .. 3 and 8 .. 11 are of half 0, the other
 * eight of half 1. A step is four terms of each; terms that do not exist are zeros.
 *
 * Each of the seven is made by Winograd's identity (`pairs` of blocked.h), which leaves what sums
 * of a pixel's and of a column's own terms have to take off again. */
#ifndef DET_OPS_CPU_BLOCKED_STRASSEN_H
#define DET_OPS_CPU_BLOCKED_STRASSEN_H

#include "ops/cpu/blocked/blocked.h"

#define DETK_STRASSEN_PIXELS   8
#define DETK_STRASSEN_COLUMNS  32
#define DETK_STRASSEN_PRODUCTS 7

/* Of a line of `count`. */
static inline int32_t detk_strassen_line(int32_t count)
{
    return count % (DETK_STRASSEN_PIXELS / 2) == 0
               ? count
               : count / DETK_STRASSEN_PIXELS * DETK_STRASSEN_PIXELS;
}

/* The order in which they are made, so that few sums wait at a time. */
enum detk_strassen_product {
    DETK_M1,
    DETK_M3,
    DETK_M5,
    DETK_M4,
    DETK_M2,
    DETK_M7,
    DETK_M6,
};

static inline int32_t detk_strassen_blocks(int32_t terms)
{
    return (terms + DETK_BLOCK - 1) / DETK_BLOCK;
}

/* Of one product. */
static inline int32_t detk_strassen_steps(int32_t terms)
{
    const int32_t rest = terms % DETK_BLOCK;
    return terms / DETK_BLOCK * 2 + (rest == 0 ? 0 : rest <= DETK_BLOCK / 2 ? 1 : 2);
}

/* A group's sums of inputs: of each product, block after block [2][2 steps][4 pixels] words, the
 * first words of the steps and then the second ones. Behind them what its four pixels' results
 * begin with, or get taken off: */
enum detk_strassen_of_pixels {
    DETK_OF_M5,  /* what M5 begins with: of C01 */
    DETK_OF_M4,  /* M4: of C10 */
    DETK_OF_C00, /* taken off it, as M5 and M4 have left it */
    DETK_OF_C11,
    DETK_OF_PIXELS
};
#define DETK_STRASSEN_BLOCK_WORDS 16

static inline ptrdiff_t detk_strassen_product_words(int32_t terms)
{
    return (ptrdiff_t)detk_strassen_blocks(terms) * DETK_STRASSEN_BLOCK_WORDS;
}

static inline ptrdiff_t detk_strassen_group_words(int32_t terms)
{
    return DETK_STRASSEN_PRODUCTS * detk_strassen_product_words(terms) +
           DETK_OF_PIXELS * DETK_STRASSEN_PIXELS / 2;
}

/* A panel's sums of weights: of each product [steps][2 words][16 columns]. Behind them, of 16
 * columns each, what products begin with, and what is added to C11 in the end. */
enum detk_strassen_of_columns { DETK_BY_M1, DETK_BY_M3, DETK_BY_M2, DETK_TO_C11, DETK_OF_COLUMNS };
#define DETK_STRASSEN_STEP_WORDS DETK_STRASSEN_COLUMNS

static inline ptrdiff_t detk_strassen_panel_words(int32_t terms)
{
    return DETK_STRASSEN_PRODUCTS * detk_strassen_steps(terms) * DETK_STRASSEN_STEP_WORDS +
           DETK_OF_COLUMNS * DETK_STRASSEN_COLUMNS / 2;
}

#endif
