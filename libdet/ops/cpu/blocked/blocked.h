/* blocked.h: contract of the kernels under the prepared network (prepared.h), one table per
 * instruction set.
 *
 * Layout: a tensor is [N][ceil(C / 16)][H][W][16], planes of 16 channels ("blocks"), one cache line
 * a pixel. So a product's rows are neighbouring lines whatever the channel count, a depthwise
 * convolution reads whole lines one after the other, and no stride is a power of two unless W is.
 * Lanes beyond C mean nothing: nobody reads them into a result that counts. Where a depthwise
 * convolution reads a tensor, a frame of one zero pixel is around each plane ([H + 2][W + 2][16]),
 * which saves it all cases at the border.
 *
 * Memory is counted in words of four bytes. In the float32 form a word is one channel. In the bf16
 * form it is two, the first in the low half, so a pixel's block is half a line; weights of products
 * are rounded to bf16 once and lie in words of two neighbouring input channels. Products and sums,
 * bias, what is added, activation and all of the depthwise convolution are float32 in both forms;
 * the network's outputs too.
 *
 * In the 8-bit form (ops/q8.h) a word is four channels, the first in the lowest byte, and a pixel's
 * block is a quarter of a line. Stored values are q + 128; the frame holds the tensor's zero. Sums
 * are exact 32-bit integers, and so is what becomes of them (q8_finish.h): the same integers from
 * every instruction set. Weights of products lie in words of four neighbouring input channels,
 * those of the depthwise convolution in words of one column's three rows; biases are 32-bit
 * integers that hold what the zeros of stored values add to a sum. Where an instruction set has no
 * exact products of bytes, the same values have 16 bits: a word is two channels, of weights of
 * products too, and a pixel's block is half a line.
 *
 * Sums run over the channels in rising order, one accumulator per result, whatever the tile: the
 * same bits for any cut into tasks. A NaN survives relu6 (simd.h).
 */
#ifndef DET_OPS_CPU_BLOCKED_BLOCKED_H
#define DET_OPS_CPU_BLOCKED_BLOCKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct detk_gemm;
struct detk_q8_finish; /* q8_finish.h */
struct detk_q8_sum;
struct det_q8_tensor;

#define DETK_BLOCK            16 /* channels of a block */
#define DETK_TILE_MAX_VECTORS 4
#define DETK_TILE_MAX_ROWS    14

/* `tiles` times rows (pixels) x (vectors * lanes) results of a product of pixels with packed
 * weights, one tile's pixels after the other's, and that in each of `lines`, which begin `_line`
 * words after each other. */
struct detk_pixel_tile {
    int32_t tiles, lines;
    ptrdiff_t a_line, pairs_line, add_line, c_line, ahead_line;
    const float *a;    /* first pixel; the next is one block further */
    ptrdiff_t a_block; /* words from a channel block to the next */
    int32_t terms;     /* input channels */
    const float *b;    /* [terms][vectors * lanes], bf16: [ceil(terms / 2)][vectors * lanes],
                          8 bits: [ceil(terms / 4)][vectors * lanes], or of 2 terms a word */
    const float *bias; /* of these columns, whole vectors; NULL: go on from the sums in c */
    const float *add;  /* added at the end, laid out like c, or NULL */
    ptrdiff_t add_block;
    bool relu6;
    const int32_t *pairs; /* 8 bits: of these pixels, from detk_blocked.pairs(); NULL: without */
    const float *sums, *strassen;        /* detk_blocked.strassen(): of all lines, and weights */
    int32_t line_pixels;                 /* then */
    const struct detk_q8_finish *finish; /* 8 bits: of these columns */
    const struct detk_q8_sum *sum;       /* 8 bits: how `add` is added: a is `add`, b the result */
    float *c;
    ptrdiff_t c_pixel; /* words between pixels: a block's, or the channel count of a plain result */
    ptrdiff_t c_block; /* and between blocks of columns: 16 for a plain one */
    bool plain;        /* c is float32 NHWC */
    int32_t cols; /* < vectors * lanes: only so many are written; plain, needs bias, ignores add */
    const float *ahead; /* one line is fetched here for each 16 terms of a tile; any address */
};
typedef void (*detk_pixel_tile_fn)(const struct detk_pixel_tile *tile);

/* 3x3 depthwise convolution of some rows of one block. */
struct detk_dw_rows {
    const float *const *rows; /* output row y reads rows[y * stride + 0..2], each from the first
                                 output's leftmost tap on */
    int32_t stride;           /* 1 or 2 */
    int32_t out_rows, out_w;
    const float *w;    /* [9][16], 8 bits: [3][16] words */
    const float *bias; /* [16] */
    bool relu6;
    const struct detk_q8_finish *finish; /* 8 bits: of this block */
    float *out;
    ptrdiff_t out_row; /* words */
};

struct detk_blocked {
    bool bf16, q8; /* neither: float32 */
    int32_t words; /* of a block of one pixel */
    int32_t lanes;
    int32_t panel_vectors;  /* of a usual panel of columns: 16 or 32 of them */
    int32_t most_vectors;   /* the last panel may have this many */
    int32_t packed_vectors; /* 8 bits: so many of a panel's lie together, the next behind them */
    /* longer sums are cut, so that a panel's part stays in L1; only in float32, elsewhere c cannot
     * keep a sum */
    int32_t most_terms;
    int32_t max_rows[DETK_TILE_MAX_VECTORS]; /* [vectors - 1] */
    int32_t row_group; /* tiles of so many rows, or a multiple, waste nothing; divides max_rows */
    detk_pixel_tile_fn tile[DETK_TILE_MAX_VECTORS]
                           [DETK_TILE_MAX_ROWS]; /* [vectors - 1][rows - 1] */
    bool raises;                                 /* 8 bits: sums may be raised (q8_finish.h) */
    /* 8 bits: columns of a panel are crossed: where two vectors have 16 columns, the second and the
     * third four of them have changed places. */
    bool crossed;
    /* 8 bits, NULL: there are none. What products by Winograd's identity need: of each pixel the
     * sum of the products of terms k and k + 2, k + 1 and k + 3, k in steps of four. For those
     * products the word of k holds the weights of k + 2 and k + 3, that of k + 2 those of k and
     * k + 1, and the bias has taken off the products of these. */
    void (*pairs)(const float *a, ptrdiff_t a_block, int32_t terms, int32_t pixels, int32_t *to);
    /* 8 bits, NULL: there is none. Products by Strassen's scheme (strassen.h), for groups of pixels
     * by whole panels of 32 columns: what they read of the first `groups` of lines of
     * `line_pixels`, and as many groups' results: `tiles` in all lines together. */
    void (*strassen_sums)(const float *a, ptrdiff_t a_line, ptrdiff_t a_block, int32_t line_pixels,
                          int32_t terms, int32_t groups, float *to);
    detk_pixel_tile_fn strassen; /* not of any sums (q8_finish.h) */
    void (*dw)(const struct detk_dw_rows *job);
    /* to[x] += low[x / 2] for w pixels of one block; `sum` in 8 bits: a is `low`. */
    void (*add_upsampled)(const float *low, int32_t w, const struct detk_q8_sum *sum, float *to);
    /* Blocks of pixels from float32 to this form, 8 bits: a tensor's; NULL: it is float32. */
    void (*narrow)(const float *from, int32_t pixels, const struct det_q8_tensor *tensor,
                   float *to);
    /* And back; 8 bits only. */
    void (*widen)(const float *from, int32_t pixels, const struct det_q8_tensor *tensor, float *to);
    /* Normalised pixel values as stored ones (det_q8_input_tensor()), of as many bytes as they have
     * in this form; 8 bits only. */
    void (*narrow_input)(const float *from, int32_t count, void *to);
    /* 8 bits, NULL: there is none. Two lines of values, a multiple of 16, as one of words: a value
     * of the first and one of the second. */
    void (*pair_lines)(const char *first, const char *second, int64_t values, char *to);
    /* Then, for products of what 3x3 windows of 3 channels see at stride 2: `tiles` pixels of each
     * line. The first window's first two rows begin at `a` as words of such a line, its third at
     * a_block behind; terms are in that order. It reads 2 bytes behind a window. */
    detk_pixel_tile_fn windows[DETK_TILE_MAX_VECTORS]; /* [vectors - 1] */
    const struct detk_gemm *gemm; /* of the same instruction set, for the stem */
};

/* Values in a word of the 8-bit form. */
static inline int32_t detk_q8_word_values(const struct detk_blocked *kernels)
{
    return DETK_BLOCK / kernels->words;
}

extern const struct detk_blocked detk_blocked_generic; /* 2 x 16 */
extern const struct detk_blocked detk_blocked_avx2;    /* 6 x 16 */
extern const struct detk_blocked detk_blocked_avx512;  /* 14 x 32 */

/* The bf16 form. The first three multiply in float32 what they widen: the answers of AVX512-BF16
 * without its speed. */
extern const struct detk_blocked detk_blocked_bf16_generic;
extern const struct detk_blocked detk_blocked_bf16_avx2;
extern const struct detk_blocked detk_blocked_bf16_avx512;
extern const struct detk_blocked detk_blocked_bf16_avx512bf16;

/* The 8-bit form. */
void detk_q8_dw_avx512vnni(const struct detk_dw_rows *job);
extern const struct detk_blocked detk_blocked_q8_generic;
extern const struct detk_blocked detk_blocked_q8_avx2; /* values of 16 bits */
extern const struct detk_blocked detk_blocked_q8_avxvnni;
extern const struct detk_blocked detk_blocked_q8_avx512vnni;

#endif
