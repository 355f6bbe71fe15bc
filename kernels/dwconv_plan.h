/* dwconv_plan.h: how depthwise convolutions 3x3 and their gradients are split among threads; C and
 * C++, the roofline counts by it.
 *
 * A thread owns DWCONV_PIXELS adjacent pixels of one row, or of a strip of rows. Threads that own
 * one row each load every row of the other tensor three times (stride 2: one and a half). A thread
 * that owns a strip marches through it: it loads a row once and adds it to all the results that it
 * belongs to, which wait in registers. A result is added up in the same order by both, so that it
 * has the same bits. Strips make fewer threads; what is best depends on the shape:
 * dwconv_strip_rows(). */
#ifndef DET_KERNELS_DWCONV_PLAN_H
#define DET_KERNELS_DWCONV_PLAN_H

#include <stdbool.h>

#include "ops/shape.h"
#include "tile_plan.h"

#define DWCONV_THREADS 128
/* Blocks that share a multiprocessor at least: bounds the registers to 128 a thread. */
#define DWCONV_RESIDENT 4
/* The same of threads with strips: 168 registers, for three rows of results, one row and the next
 * on its way. */
#define DWCONV_STRIP_RESIDENT 3
/* Of an H100. */
#define DWCONV_MULTIPROCESSORS 132
/* Adjacent pixels of one thread: a 3-wide window then reads 6 columns for 4 results instead of
 * 12. */
#define DWCONV_PIXELS 4
/* Channels of a thread with a strip, for bf16 as well: the registers hold no more of three rows of
 * results. */
#define DWCONV_STRIP_VECTOR 4
/* Rows of a strip: with fewer, rows at its edges that neighbours load as well cost what is won, and
 * more win nothing. */
#define DWCONV_LEAST_ROWS 4
#define DWCONV_MOST_ROWS  32

/* The gradient of the weights always marches. 9 sums a channel, and three rows of gradients: 4
 * channels fill a thread's registers, for bf16 as well. */
#define DWCONV_WEIGHT_VECTOR 4
#define DWCONV_WEIGHT_LANES  32
/* Outputs of a group: adjacent pixels of a row, and at least so many rows where there are that
 * many. */
#define DWCONV_WEIGHT_PIXELS 2
#define DWCONV_WEIGHT_ROWS   8
/* Blocks that share a multiprocessor at least, and all that are wanted. */
#define DWCONV_WEIGHT_RESIDENT 3
#define DWCONV_WEIGHT_BLOCKS   (DWCONV_MULTIPROCESSORS * DWCONV_WEIGHT_RESIDENT)

static inline bool dwconv_is_3x3(const struct det_conv_shape *s)
{
    return s->kernel_h == 3 && s->kernel_w == 3 && (s->stride == 1 || s->stride == 2);
}

/* Whether vectors of `vector` channels serve it: 3x3 alone has kernels for them; other sizes, and
 * channels that are no vectors, go channel by channel. All networks whose predictor's depth is a
 * multiple of eight have vectors. */
static inline bool dwconv_has_vectors(const struct det_conv_shape *s, int32_t vector)
{
    return dwconv_is_3x3(s) && s->in_c % vector == 0;
}

/* Groups of pixels in a row of `width` results. */
static inline int32_t dwconv_groups(int32_t width)
{
    return (int32_t)det_ceil_div(width, DWCONV_PIXELS);
}

/* Stride 1: rows that a thread loads for `rows` rows of results, counted once more for every round
 * of blocks that must wait for others: the time that loading takes. */
static inline int64_t dwconv_time(const struct det_conv_shape *s, int32_t height, int32_t groups,
                                  int32_t rows)
{
    const struct det_tile_sides sides =
        det_tile_sides_of(s->in_c / DWCONV_STRIP_VECTOR, DWCONV_THREADS, DWCONV_THREADS);
    const int64_t items = (int64_t)s->n * det_ceil_div(height, rows) * groups;
    const int64_t blocks = det_ceil_div(items, sides.pixels) * sides.channel_blocks;
    const int64_t resident = rows == 1 ? DWCONV_RESIDENT : DWCONV_STRIP_RESIDENT;
    return det_ceil_div(blocks, DWCONV_MULTIPROCESSORS * resident) * (rows + 2);
}

/* Rows of the strips that `height` rows of results, of `groups` of pixels each, are cut into. 1: a
 * thread for each row, where strips would leave multiprocessors without work, and where there are
 * none: of kernels that are not 3x3, of channels that are no vectors of DWCONV_STRIP_VECTOR, and of
 * stride 2, which memory bounds as it is: rows of 9 columns would need more registers. */
static inline int32_t dwconv_strip_rows(const struct det_conv_shape *s, int32_t height,
                                        int32_t groups)
{
    int32_t best = 1;
    if (!dwconv_is_3x3(s) || s->stride != 1 || s->in_c % DWCONV_STRIP_VECTOR != 0)
        return best;
    int64_t least = dwconv_time(s, height, groups, best);
    for (int32_t rows = DWCONV_LEAST_ROWS; rows <= DWCONV_MOST_ROWS && rows <= height; rows++) {
        const int64_t time = dwconv_time(s, height, groups, rows);
        if (time < least) {
            least = time;
            best = rows;
        }
    }
    return best;
}

/* Rows of the other tensor that all strips together load, of an image: `height` rows of results in
 * strips of `rows`. */
static inline int64_t dwconv_loaded_rows(const struct det_conv_shape *s, int32_t height,
                                         int32_t rows)
{
    return (int64_t)height * s->stride + det_ceil_div(height, rows) * (3 - s->stride);
}

/* Rows that a group of outputs has for the gradient of the weights: more where there are `wanted`
 * groups all the same, because two rows at its edges are loaded for others as well. */
static inline int32_t dwconv_weight_rows(const struct det_conv_shape *s, int64_t wanted)
{
    const int64_t beside = s->n * det_ceil_div(s->out_w, DWCONV_WEIGHT_PIXELS);
    int32_t rows = DWCONV_MOST_ROWS;
    while (rows > DWCONV_WEIGHT_ROWS && det_ceil_div(s->out_h, rows) * beside < wanted)
        rows /= 2;
    return rows;
}

/* How many groups the gradient of the weights wants, so that the device is full. */
static inline int64_t dwconv_weight_groups(const struct det_tile_sides *sides)
{
    return det_ceil_div(DWCONV_WEIGHT_BLOCKS, sides->channel_blocks) * sides->pixels;
}

#endif
