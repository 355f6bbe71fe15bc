/* floats.h: which convolutions of a network in 8 bits go back to float32 when it is not good
 * enough: those that add most to the squared error for their multiplications.
 *
 * Weights that levels share are one layer.
 */
#ifndef DET_QUANTISE_FLOATS_H
#define DET_QUANTISE_FLOATS_H

#include "model/quantised.h"

/* The share of the network's multiplications that is in float32. `eight_bits` per operation. */
double det_floats_share(const struct det_graph *graph, const bool *eight_bits);

/* Takes the `count` worst layers by their `errors`, per operation, out of `eight_bits`, each with
 * what runs as one with it, passing over those with which the share would be more than `most`. How
 * many there were is *taken. */
det_status det_floats_take_worst(struct det_env *env, const struct det_graph *graph,
                                 const float *errors, int32_t count, double most, bool *eight_bits,
                                 int32_t *taken);

#endif
