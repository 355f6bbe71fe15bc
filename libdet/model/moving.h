/* moving.h: the moving statistics of all batch norms of a graph as one vector, for those who hand
 * them around: mean [c], then variance [c], of each batch norm in the graph's order. */
#ifndef DET_MODEL_MOVING_H
#define DET_MODEL_MOVING_H

#include "model/graph.h"

/* Values of the vector; 0 for a folded graph. */
size_t det_moving_count(const struct det_graph *graph);
/* Of each value the share that a batch changes it by: 1 - decay. */
void det_moving_rates(const struct det_graph *graph, float *rates);
/* From a parameter block, and back into one. */
void det_moving_take(const struct det_graph *graph, const float *params, float *moving);
void det_moving_put(const struct det_graph *graph, const float *moving, float *params);

#endif
