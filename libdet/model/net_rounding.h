/* net_rounding.h: what a folded network does in training beside its operations: it rounds each
 * tensor as 8 bits will, learns its range, and remembers which values pass their gradient: those
 * inside the range and inside the activation's limits.
 *
 * A tensor's range on a batch is the moving average with that batch in it, as
 * MovingAvgQuantize() of tf.contrib.quantize has it. The levels' outputs of one kind have one range
 * (model/quantised.h), so they are rounded when all are there. The input is rounded to whole grey
 * levels. */
#ifndef DET_MODEL_NET_ROUNDING_H
#define DET_MODEL_NET_ROUNDING_H

#include "model/act_ranges.h"
#include "model/net_plan.h"

struct det_net_rounding {
    const struct det_act_ranges *ranges; /* before this batch; NULL: nothing is rounded */
    float *low, *high;                   /* per tensor: with it */
    size_t *offsets;                     /* per tensor, in `passes` */
    uint8_t *passes;                     /* a bit for each value of each tensor */
};

/* Nothing but for TRAIN_FOLDED. */
det_status det_net_rounding_create(struct det_env *env, const struct det_graph *graph,
                                   int32_t batch, enum det_net_mode mode,
                                   struct det_net_rounding *rounding);
void det_net_rounding_free(struct det_env *env, struct det_net_rounding *rounding);
/* Bytes that the above takes. */
size_t det_net_rounding_bytes(const struct det_graph *graph, int32_t batch, enum det_net_mode mode);

/* The network's input, [count] normalised pixels. */
void det_net_rounding_input(const struct det_net_rounding *rounding, float *input, int64_t count);
/* What an operation has made, unless it is one of the network's outputs. */
void det_net_rounding_made(const struct det_net_rounding *rounding, const struct det_graph *graph,
                           const struct det_ops *ops, const struct det_exec *x, int32_t op,
                           int32_t batch, float *made);
/* All outputs; `values` per tensor. */
void det_net_rounding_outputs(const struct det_net_rounding *rounding,
                              const struct det_graph *graph, const struct det_ops *ops,
                              const struct det_exec *x, int32_t batch, float *const *values);

#endif
