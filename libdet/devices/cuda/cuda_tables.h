/* cuda_tables.h: the tables that let one launch serve all variables or all batch norms, as
 * kernels/optimizer.h and kernels/bn.h want them; made on the host, copied to the device. */
#ifndef DET_DEVICES_CUDA_TABLES_H
#define DET_DEVICES_CUDA_TABLES_H

#include "bn.h"
#include "devices/cuda/cuda_net.h"
#include "optimizer.h"

/* Pieces of the variables that are trained or regularised, in their order. */
int32_t det_cuda_chunk_count(const struct det_graph *graph);
/* Of one variable. */
int32_t det_cuda_param_chunks(const struct det_param *param);
/* `trainable` per parameter. */
void det_cuda_fill_chunks(const struct det_graph *graph, const bool *trainable,
                          struct detk_chunk *chunks);

int32_t det_cuda_norm_count(const struct det_graph *graph);
/* One entry per batch norm and rank [ranks * det_cuda_norm_count()], those that share moving
 * statistics adjacent, rank by rank and in the order of the graph; heads [count + 1] as in
 * detk_bn_update_moving(). The batch's statistics [ranks][plan.statistics_floats]: of one rank
 * alone net->statistics. Returns the number of runs. The net is bound. */
int32_t det_cuda_fill_moving(const struct det_cuda_net *net, const float *statistics, int32_t ranks,
                             struct detk_bn_moving *entries, int32_t *heads);

#endif
