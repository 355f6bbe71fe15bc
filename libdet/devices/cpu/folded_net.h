/* folded_net.h: a folded network on the CPU, in float32 or in 8 bits, by the fastest that there is
 * for it: prepared/prepared.h, or q8_net.h where 8 bits have no kernels. */
#ifndef DET_DEVICES_CPU_FOLDED_NET_H
#define DET_DEVICES_CPU_FOLDED_NET_H

#include "devices/cpu/prepared/prepared.h"
#include "devices/cpu/q8_net.h"

struct det_folded_net {
    struct det_prepared *prepared; /* or */
    struct det_q8_net *q8;
    float *input;                    /* [N, H, W, 3], normalised pixels; keeps its contents */
    const float *encodings, *logits; /* [N, A, 4] and [N, A, K + 1] */
    size_t bytes;                    /* that it took */
};

/* `graph`, `quantised` (NULL: float32), `params`, `ops` (with ops->blocked) and `pool` must outlive
 * it. */
det_status det_folded_net_create(struct det_env *env, const struct det_graph *graph,
                                 const struct det_quantised *quantised, const float *params,
                                 const struct det_ops *ops, struct det_pool *pool, int32_t batch,
                                 struct det_folded_net *net);
void det_folded_net_forward(struct det_folded_net *net);
void det_folded_net_free(struct det_env *env, struct det_folded_net *net);

#endif
