/* net_bns.h: the batch norms of a network as its other operations apply them (bn_conv_* of
 * ops/ops.h): which results are not stored because their readers normalise what they load, which
 * convolution takes a norm's statistics, which one its gradient's sums, and each norm's
 * coefficients. */
#ifndef DET_MODEL_NET_NORMS_H
#define DET_MODEL_NET_NORMS_H

#include "model/net_plan.h"

struct det_net_bn {
    struct det_bn bn; /* pointers into the arrays below, or into the parameters */
    int32_t op, channels;
    float *mean, *variance;          /* of the batch */
    float *scale, *constant, *slope; /* as det_bn and det_gradient have them */
    bool fed;                        /* a convolution takes the sums, see fed_by */
    double *sums;                    /* as det_gradient_to has them */
};

struct det_net_bns {
    struct det_net_bn *bns;
    int32_t count;
    bool *unstored;     /* per tensor: a batch norm's result that its readers make */
    int32_t *of_result; /* per tensor: the norm whose result it is, or -1 */
    int32_t *of_maker;  /* per operation: the norm that reads what it makes, or -1 */
    /* per operation: the norm whose gradient is complete with its backward, or -1 */
    int32_t *fed_by;
    float *coefficients;
    double *sums;
};

/* INTERNAL for a graph with a batch norm that is not the only reader of a convolution's result. */
det_status det_net_bns_create(struct det_env *env, const struct det_graph *graph,
                              enum det_net_mode mode, struct det_net_bns *bns);
void det_net_bns_free(struct det_env *env, struct det_net_bns *bns);

/* Bytes that the above takes. */
size_t det_net_bns_bytes(const struct det_graph *graph);

/* Before the readers run: the scale, from the batch's statistics or the moving ones. */
void det_net_bn_prepare(const struct det_graph *graph, enum det_net_mode mode, const float *params,
                        struct det_net_bn *bn);
/* When the sums are there: the gradients of gamma and beta, and what the gradient before the norm
 * is made with. `ranks` have `rows` each, and sums of all; the gradients are a mean over them
 * (model/net_sync.h), otherwise it is 1. */
void det_net_bn_finish(const struct det_graph *graph, enum det_net_mode mode, const float *params,
                       int64_t rows, int32_t ranks, struct det_net_bn *bn, float *gradients);

#endif
