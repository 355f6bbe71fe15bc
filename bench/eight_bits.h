/* eight_bits.h: a network in 8 bits to be timed: no pictures are needed, and no sense is in its
 * numbers. */
#ifndef DET_BENCH_EIGHT_BITS_H
#define DET_BENCH_EIGHT_BITS_H

#include "model/quantised.h"

/* All of a folded network, whose weights become what those of 8 bits stand for. To be released with
 * det_quantised_destroy(). */
det_status eight_bits_make(struct det_env *env, const struct det_graph *graph, float *params,
                           struct det_quantised **quantised);

#endif
