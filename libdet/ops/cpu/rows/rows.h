/* rows.h: what the convolutions of training do to some rows of an activation while these are in the
 * cache: batch norm applied or its gradient taken before they are multiplied, and sums taken of
 * what was made. One table per instruction set; rows.isa.c is the body.
 *
 * Sums run over up to DETK_FEED_ROWS rows in floats and then into doubles: one feed per task,
 * combined in the order of the tasks. Variance: the floats hold sums of x - shift and of its
 * square, shift being the mean of the first rows of the run; if those are far off the others, they
 * alone make the run's variance a good part of its sum of squares, so little can cancel. Runs and
 * tasks merge by Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing
 * sample variances" (1979), eq. 2.1. */
#ifndef DET_OPS_CPU_ROWS_ROWS_H
#define DET_OPS_CPU_ROWS_ROWS_H

#include "ops/ops.h"

#define DETK_FEED_ROWS 256

/* Sums of one task. Statistics: a, b are mean and sum of squared distances from it. Gradients: a, b
 * are the two sums of det_gradient_to. */
struct detk_feed {
    int32_t c;
    int64_t *rows;   /* in the doubles */
    int64_t pending; /* in the floats */
    double *a, *b;   /* [padded c] each, like the rest */
    float *shift, *sum, *products;
};

/* Bytes of a feed's arrays. */
size_t detk_feed_bytes(int32_t c);
/* Arrays of feed `task` of those that begin at `memory`, all sums zero. */
struct detk_feed detk_feed_start(void *memory, int32_t c, int32_t task);

struct detk_rows {
    /* to[r][0..c) = the value of x[r][0..c); norm NULL: a copy. Rows of x are c apart, of `to`
     * to_row. */
    void (*value)(const struct det_bn *bn, int32_t c, const float *x, int64_t rows, float *to,
                  int64_t to_row);
    /* to[r][0..c) = the gradient; dy and x are those of g at row `first`. */
    void (*gradient)(const struct det_gradient *g, int32_t c, int64_t first, int64_t rows,
                     float *to, int64_t to_row);
    /* to[r][0..c) = value of a + value of b */
    void (*sum)(const struct det_operand *a, const struct det_operand *b, int32_t c, int64_t first,
                int64_t rows, float *to);
    void (*feed_statistics)(struct detk_feed *feed, const float *x, int64_t rows);
    void (*feed_gradient)(struct detk_feed *feed, const struct det_bn *bn, const float *dy,
                          const float *x, int64_t rows);
    /* Empties the floats: after the last rows. */
    void (*end_statistics)(struct detk_feed *feed);
    void (*end_gradient)(struct detk_feed *feed);
};

extern const struct detk_rows detk_rows_generic;
extern const struct detk_rows detk_rows_avx2;
extern const struct detk_rows detk_rows_avx512;

/* Combine the ended feeds of tasks 0..tasks-1: the biased variance; the two sums one after the
 * other. */
void detk_feeds_statistics(const struct det_exec *x, void *memory, int32_t c, int32_t tasks,
                           float *mean, float *variance);
void detk_feeds_gradient(const struct det_exec *x, void *memory, int32_t c, int32_t tasks,
                         double *sums);

#endif
