/* q8_net.h: inference of a network in 8 bits (model/quantised.h) by the plain operations of
 * ops/q8.h, one after the other: what every faster way must equal to the bit. What is in float32
 * runs with the operations of `ops`.
 *
 * Nothing is allocated after creation. One net belongs to one thread of control.
 */
#ifndef DET_DEVICES_CPU_Q8_NET_H
#define DET_DEVICES_CPU_Q8_NET_H

#include "model/quantised.h"

struct det_q8_net;

/* `graph`, `quantised`, `params` (weights with the real values of the 8-bit ones, biases), `ops`
 * and `pool` must outlive it. */
det_status det_q8_net_create(struct det_env *env, const struct det_graph *graph,
                             const struct det_quantised *quantised, const float *params,
                             const struct det_ops *ops, struct det_pool *pool, int32_t batch,
                             struct det_q8_net **net);
void det_q8_net_destroy(struct det_env *env, struct det_q8_net **net);

/* [N, H, W, 3], normalised pixels as det_net_input(); keeps its contents. */
float *det_q8_net_input(struct det_q8_net *net);
void det_q8_net_forward(struct det_q8_net *net);

/* [N, A, 4] and [N, A, K + 1], levels in rising order. */
const float *det_q8_net_encodings(const struct det_q8_net *net);
const float *det_q8_net_logits(const struct det_q8_net *net);

/* All that creation allocated. */
size_t det_q8_net_bytes(const struct det_q8_net *net);

#endif
