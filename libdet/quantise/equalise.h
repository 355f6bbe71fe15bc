/* equalise.h: channels that use a small part of their tensor's range are scaled up, and what reads
 * them is scaled down, before anything is rounded.
 *
 * Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction"
 * (2019), section 4.1. There the weights' ranges are made equal, since they had one scale a tensor;
 * here each output channel of the weights has its own, so it is the activations' ranges, seen on
 * pictures, that are. relu6 is no obstacle as long as a scaled channel stays below 6 where it did
 * not reach 6 before, which bounds the factor.
 */
#ifndef DET_QUANTISE_EQUALISE_H
#define DET_QUANTISE_EQUALISE_H

#include "model/graph.h"
#include "quantise/observe.h"

/* Changes `params` of a folded graph; `observed` per tensor. Tensors that one convolution writes
 * and one convolution reads are equalised, others left alone; those whose weights levels share, all
 * together. How many times something was is *count. */
det_status det_equalise(struct det_env *env, const struct det_graph *graph,
                        const struct det_observed *observed, float *params, int32_t *count);

#endif
