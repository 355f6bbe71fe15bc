/* net_parts.h: what is behind a det_net, for the files that run it: net.c makes it and goes
 * forward, net_backward.c goes back, net_look.c looks at what they left. */
#ifndef DET_MODEL_NET_PARTS_H
#define DET_MODEL_NET_PARTS_H

#include "model/net.h"
#include "model/net_bns.h"
#include "model/net_rounding.h"
#include "model/net_sync.h"

struct det_net {
    const struct det_graph *graph;
    const struct det_ops *ops;
    struct det_exec exec;
    int32_t batch;
    enum det_net_mode mode;

    uint8_t *arena;
    float **values;    /* per tensor */
    float **gradients; /* per tensor, NULL where none is kept */
    struct det_net_plan plan;
    struct det_net_bns bns;
    struct det_net_rounding rounding;
    det_net_watch_fn watch; /* NULL: nobody */
    void *watch_user;
    det_net_passed_fn passed; /* NULL: nobody */
    void *passed_user;
    det_net_stop_fn stop; /* NULL: nobody is asked */
    void *stop_user;
    bool stopped;
    const struct det_net_sync *sync; /* NULL: the batch is all there is */
    float *encodings, *logits, *encoding_gradients, *logit_gradients;
};

/* The norm with an index of det_net_bns, NULL for -1. */
static inline struct det_net_bn *det_net_bn_at(const struct det_net *net, int32_t index)
{
    return index < 0 ? NULL : &net->bns.bns[index];
}

/* A tensor as an operand: what is stored, or how to make it. */
static inline struct det_operand det_net_operand(const struct det_net *net, int32_t tensor)
{
    const struct det_net_bn *bn = det_net_bn_at(net, net->bns.of_result[tensor]);
    if (bn == NULL || !net->bns.unstored[tensor])
        return (struct det_operand){net->values[tensor], NULL};
    return (struct det_operand){net->values[net->graph->ops[bn->op].in], &bn->bn};
}

static inline const float *det_net_param(const struct det_net *net, const float *params,
                                         int32_t index)
{
    return index < 0 ? NULL : params + net->graph->params[index].offset;
}

static inline bool det_net_is_stopped(struct det_net *net)
{
    net->stopped = net->stopped || (net->stop != NULL && net->stop(net->stop_user));
    return net->stopped;
}

/* Whether the statistics of a norm are those of all ranks. */
static inline bool det_net_is_synced(const struct det_net *net, const struct det_op *op)
{
    return net->sync != NULL && det_net_uses_batch_statistics(net->mode, op);
}

/* Between the per-level tensors [N, h, w, 6 * width] and the flat arrays [N, A, width]. */
enum det_net_copy { DET_NET_GATHER, DET_NET_SCATTER };
void det_net_copy_levels(const struct det_net *net, float *const *tensors, const int32_t *outputs,
                         int32_t width, float *flat, enum det_net_copy direction);

#endif
