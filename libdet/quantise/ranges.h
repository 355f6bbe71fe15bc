/* ranges.h: a network in 8 bits from what was seen of it. */
#ifndef DET_QUANTISE_RANGES_H
#define DET_QUANTISE_RANGES_H

#include "model/quantised.h"
#include "quantise/observe.h"

struct det_ranges_choice {
    det_quantisation_observer observer; /* not AUTO */
    const bool *eight_bits;             /* per operation: which convolutions are */
    bool correct_biases;
    /* NULL, or per tensor the ranges that are taken in place of the observer's; then nothing needs
     * to have been observed unless biases are corrected */
    const struct det_real_range *trained;
};

/* Scales and zeros of all tensors, weights rounded. `params`: the float32 network; `real`: the
 * block of what the 8-bit weights stand for, with biases corrected, is written; `observed` per
 * tensor. */
det_status det_ranges_make(struct det_env *env, const struct det_graph *graph,
                           struct det_observed *observed, const float *params,
                           const struct det_ranges_choice *choice, float *real,
                           struct det_quantised **quantised);

#endif
