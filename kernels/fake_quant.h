/* fake_quant.h: training with 8 bits in it: ranges of tensors as moving averages, rounding to what
 * 8 bits have, gradients straight through. Agrees with det_ops.value_range, fake_quant_forward and
 * fake_quant_backward and with model/net_rounding.c, all of it on the device: nothing is known to
 * the host but how many batches the averages have seen. */
#ifndef DET_KERNELS_FAKE_QUANT_H
#define DET_KERNELS_FAKE_QUANT_H

#include "kernel.h"

DETK_BEGIN

/* Of all tensors of a network, device memory [tensors]. */
struct detk_ranges {
    float *low, *high;           /* the averages before this batch */
    float *with_low, *with_high; /* with it */
    const float *rate;           /* one: what this batch weighs; 1: all */
};

size_t detk_learn_range_workspace(void);
/* with_low and with_high of a tensor, from its values; NaN is passed over. */
cudaError_t detk_learn_range(cudaStream_t stream, enum detk_type type, int64_t count,
                             const void *values, const struct detk_ranges *ranges, int32_t tensor,
                             void *workspace);

/* Tensors that are rounded alike: one, or the levels' outputs of a kind. */
#define DETK_MOST_ALIKE 8
struct detk_alike {
    int32_t count;
    int32_t tensors[DETK_MOST_ALIKE];
};

/* Each value as 8 bits have it in the range with this batch, in place; passes [(count + 7) / 8]:
 * bit i % 8 of byte i / 8 says whether its gradient passes; `relu6`: the values are relu6's, and
 * pass strictly between its ends. */
cudaError_t detk_fake_quant_forward(cudaStream_t stream, enum detk_type type, int64_t count,
                                    const struct detk_ranges *ranges,
                                    const struct detk_alike *alike, bool relu6, void *values,
                                    uint8_t *passes);
/* 0 where the gradient does not pass. */
cudaError_t detk_fake_quant_backward(cudaStream_t stream, enum detk_type type, int64_t count,
                                     const uint8_t *passes, void *gradient);
/* Normalised pixels become whole grey levels, as det_q8_grey_level() has them. */
cudaError_t detk_round_pixels(cudaStream_t stream, enum detk_type type, int64_t count,
                              void *values);
struct detk_hyper;
struct detk_step_result;

/* The averages become those with this batch, of several ranks the mean of what the batch of each
 * has made of them: seen [ranks][2 * tensors], the low ones, then the high ones; of one alone
 * with_low, behind which with_high lies. With several batches an update they become the mean over
 * these, too, behind the last: sums [2 * tensors], in which hyper->batches_done of them are; NULL
 * for one batch. Added up in the order of the ranks, batch after batch, as det_reduction does.
 * Nothing where the step is not finite. */
cudaError_t detk_keep_ranges(cudaStream_t stream, int32_t tensors, const struct detk_ranges *ranges,
                             const float *seen, int32_t ranks, int32_t batches, float *sums,
                             const struct detk_hyper *hyper, const struct detk_step_result *step);

DETK_END
#endif
