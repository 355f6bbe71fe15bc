/* bn.h: batch norm with ReLU6: statistics, application, gradients. gamma, beta, mean, variance [c].
 * Agrees with det_ops.bn_* (ref/bn): biased variance without cancellation (each thread, block and
 * launch sums distances from a mean or a value of its own), the gradient passes ReLU6 where its
 * result, computed again, lies strictly between 0 and 6. */
#ifndef DET_KERNELS_BN_H
#define DET_KERNELS_BN_H

#include "kernel.h"

DETK_BEGIN

/* For every function below, and for column sums. */
size_t detk_bn_workspace(int64_t rows, int32_t c);

/* mean and biased variance per channel are written. */
cudaError_t detk_bn_statistics(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t c,
                               const void *in, float *mean, float *variance, void *workspace);
/* out = act(gamma * (in - mean) / sqrt(variance + epsilon) + beta); out may be in. */
cudaError_t detk_bn_apply(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t c,
                          const void *in, const float *gamma, const float *beta, const float *mean,
                          const float *variance, float epsilon, enum det_activation act, void *out);
/* Gradients of statistics + apply. din (+)=; dgamma, dbeta written; din may be dout without
 * accumulate. */
cudaError_t detk_bn_backward(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t c,
                             const void *in, const void *dout, const float *gamma,
                             const float *beta, const float *mean, const float *variance,
                             float epsilon, enum det_activation act, void *din, bool accumulate,
                             float *dgamma, float *dbeta, void *workspace);
/* The same in two: sums over the rows, which are dgamma and dbeta; and din with what these have
 * become: of several ranks that normalise together, their sums divided by the number of ranks. */
cudaError_t detk_bn_backward_sums(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t c,
                                  const void *in, const void *dout, const float *gamma,
                                  const float *beta, const float *mean, const float *variance,
                                  float epsilon, enum det_activation act, float *dgamma,
                                  float *dbeta, void *workspace);
cudaError_t detk_bn_backward_rows(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t c,
                                  const void *in, const void *dout, const float *gamma,
                                  const float *beta, const float *mean, const float *variance,
                                  float epsilon, enum det_activation act, const float *dgamma,
                                  const float *dbeta, void *din, bool accumulate);
/* Gradients of apply alone: mean and variance are constants (frozen batch norm). */
cudaError_t detk_bn_frozen_backward(cudaStream_t stream, enum detk_type type, int64_t rows,
                                    int32_t c, const void *in, const void *dout, const float *gamma,
                                    const float *beta, const float *mean, const float *variance,
                                    float epsilon, enum det_activation act, void *din,
                                    bool accumulate, float *dgamma, float *dbeta, void *workspace);
/* sums[c] (+)= column sums of in [rows, c]: the gradient of a bias. */
cudaError_t detk_bias_backward(cudaStream_t stream, enum detk_type type, int64_t rows, int32_t c,
                               const void *in, float *sums, bool accumulate, void *workspace);

/* Of ranks that normalise together, each with as many rows; all [ranks][2][c] is what each has of
 * its own: mean and variance become those of all rows; first and second, sums over the rows, the
 * sums of all ranks divided by their number. In double, in the order of the ranks, as
 * model/net_sync.c. */
cudaError_t detk_bn_join_statistics(cudaStream_t stream, int32_t ranks, int32_t c, const float *all,
                                    float *mean, float *variance);
cudaError_t detk_bn_join_sums(cudaStream_t stream, int32_t ranks, int32_t c, const float *all,
                              float *first, float *second);

/* One batch norm's moving statistics; the table lies in device memory. */
struct detk_bn_moving {
    const float *mean, *variance; /* of the batch, biased */
    float *moving_mean, *moving_variance;
    float unbiased; /* rows / (rows - 1), 1 for one row */
    float rate;     /* 1 - decay */
    int32_t c;
};
/* moving -= (moving - statistic) * rate for all entries, IN ORDER where entries share a moving
 * statistic: each entry's `moving_*` are updated after those of lower entries that name the same
 * memory. One launch; nothing happens when *finite is 0 (device memory; NULL: always updates).
 * `heads[e]` is the index of the first entry of each run of entries that share memory: entries of a
 * run are adjacent, `runs` of them, heads has runs + 1 elements. */
cudaError_t detk_bn_update_moving(cudaStream_t stream, const struct detk_bn_moving *entries,
                                  const int32_t *heads, int32_t runs, const int32_t *finite);

DETK_END
#endif
