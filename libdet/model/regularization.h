/* regularization.h: what the weights' decay adds to a model's loss. */
#ifndef DET_MODEL_REGULARIZATION_H
#define DET_MODEL_REGULARIZATION_H

#include "base/pool.h"
#include "model/graph.h"

/* Sum over regularised parameters (det_l2_loss() of optimizer.h), as the API adds to its loss. */
double det_regularization_loss(const struct det_graph *graph, struct det_pool *pool,
                               const float *params);

#endif
