/* prepared.h: inference of a folded graph on the CPU as fast as it goes: weights packed once,
 * tensors in channel blocks (blocked.h), operations fused (prepared_units.h). The answers are those
 * of model/net.h's DET_NET_INFER within rounding.
 *
 * Nothing is allocated after creation. The same bits for any number of threads: work is cut in ways
 * that no result depends on. One prepared network belongs to one thread of control.
 */
#ifndef DET_DEVICES_CPU_PREPARED_PREPARED_H
#define DET_DEVICES_CPU_PREPARED_PREPARED_H

#include "devices/cpu/prepared/prepared_units.h"

struct det_prepared;

/* `graph` (folded), `ops` (with ops->blocked), `quantised` (or NULL; else with ops->q8, and ops is
 * not one of bf16) and `pool` must outlive it; the weights are copied out of `params`. In 8 bits
 * the answers are those of q8_net.h: the same integers, where nothing that is in float32 comes
 * before them, whose sums may have another order. With the table of --precision bf16 tensors
 * are stored and dense 1x1 convolutions multiplied in bf16 (blocked.h), all else is float32,
 * operations that have no fused form included. */
det_status det_prepared_create(struct det_env *env, const struct det_graph *graph,
                               const struct det_quantised *quantised, const float *params,
                               const struct det_ops *ops, struct det_pool *pool, int32_t batch,
                               struct det_prepared **net);
void det_prepared_destroy(struct det_env *env, struct det_prepared **net);

/* [N, H, W, 3], normalised pixels as det_net_input(); keeps its contents. */
float *det_prepared_input(struct det_prepared *net);
void det_prepared_forward(struct det_prepared *net);

/* For who times the network's parts: det_prepared_forward() is step 0, 1, ... in this order. Its
 * units, how many in *units; NULL behind the last step. */
const struct detk_unit *det_prepared_step(const struct det_prepared *net, int32_t step,
                                          int32_t *units);
void det_prepared_run_step(struct det_prepared *net, int32_t step);

/* [N, A, 4] and [N, A, K + 1], levels in rising order. */
const float *det_prepared_encodings(const struct det_prepared *net);
const float *det_prepared_logits(const struct det_prepared *net);

/* All that creation allocated. */
size_t det_prepared_bytes(const struct det_prepared *net);

#endif
