/* population.h: the statistics that an exported network's batch norms need, those of the whole
 * population of pictures, from the statistics of batches: the mean of the batches' means, and the
 * mean of their variances plus the variance of their means. All batches are of one size.
 *
 * Source: Wu and Johnson, "Rethinking 'Batch' in BatchNorm" (2021), section 3 (PreciseBN). Moving
 * averages weight the last 1 / (1 - decay) batches, each seen with the weights of its time, and
 * what they began with besides. */
#ifndef DET_MODEL_POPULATION_H
#define DET_MODEL_POPULATION_H

#include "model/graph.h"

struct det_population {
    const struct det_graph *graph; /* training form; borrowed */
    int64_t batches;
    double *means, *variances; /* [graph.param_floats], at a batch norm's moving mean: of the
                                  batches' means and variances, the means of those so far */
    double *squares;           /* ... sums of the squared distances of the means from theirs */
};

det_status det_population_create(struct det_env *env, const struct det_graph *graph,
                                 struct det_population *population);
void det_population_free(struct det_env *env, struct det_population *population);

/* A batch is taken in: first counted, then each batch norm `op`'s mean and variance [c]. */
void det_population_count_batch(struct det_population *population);
void det_population_add(struct det_population *population, const struct det_op *op,
                        const float *mean, const float *variance);

/* Puts the statistics where the moving ones are in a block of parameters. NON_FINITE names the
 * first batch norm that has none. */
det_status det_population_store(struct det_env *env, const struct det_population *population,
                                float *params);

#endif
