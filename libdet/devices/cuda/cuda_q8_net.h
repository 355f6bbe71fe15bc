/* cuda_q8_net.h: what a network in 8 bits (model/quantised.h) has beside one in float32: tensors in
 * bytes, convolutions of its own, and their constants. The part of struct det_cuda_net that
 * cuda_net.c and cuda_net_ops.c hand on to.
 *
 * An addition that alone reads the convolution before it is done with that convolution: the
 * residual of a block, the lateral of the pyramid. What is in float32 runs as it always does;
 * values pass from one form to the other behind the operation that made them. */
#ifndef DET_DEVICES_CUDA_Q8_NET_H
#define DET_DEVICES_CUDA_Q8_NET_H

#include "devices/cuda/cuda_q8_conv.h"
#include "model/quantised_plan.h"

struct det_cuda_net;
struct det_cuda_tuner;

struct det_cuda_q8 {
    const struct det_quantised *quantised; /* borrowed; NULL: the network is in float32 */
    struct det_quantised_plan plan;
    bool *with_next;                /* per operation: the addition behind it is done with it */
    struct det_cuda_q8_conv *convs; /* per operation, convolutions in 8 bits */
    struct det_cuda_layout layout;  /* of the constants */
    size_t constants_at;            /* in the network's layout */
    uint8_t *constants;             /* device memory, known when bound */
};

/* Whether an operation is in 8 bits. */
static inline bool det_cuda_q8_has(const struct det_cuda_q8 *q8, int32_t op)
{
    return q8->quantised != NULL && q8->quantised->eight_bits[op];
}

/* Decides where tensors lie, which becomes net->plan for those in float32. */
det_status det_cuda_q8_plan(struct det_env *env, struct det_cuda_net *net);
/* Of an operation in 8 bits: a convolution is planned; `needed` is its workspace. */
det_status det_cuda_q8_plan_op(struct det_env *env, struct det_cuda_net *net, int32_t op,
                               size_t *needed);
void det_cuda_q8_free(struct det_env *env, struct det_cuda_net *net);

/* The constants, of the network's parameters on the host, to the device. Waits. */
det_status det_cuda_q8_upload(struct det_env *env, struct det_cuda_net *net, const float *params);

/* A tensor in bytes; NULL: it has no such form. */
int8_t *det_cuda_q8_values(const struct det_cuda_net *net, int32_t tensor);

/* Each enqueues: an operation in 8 bits; the other form of what an operation of either kind made,
 * where somebody wants that. */
det_status det_cuda_q8_forward_op(struct det_env *env, const struct det_cuda_net *net, int32_t op);
det_status det_cuda_q8_convert(struct det_env *env, const struct det_cuda_net *net, int32_t op);

bool det_cuda_q8_has_candidates(const struct det_cuda_net *net, int32_t op);
det_status det_cuda_q8_tune_op(struct det_env *env, const struct det_cuda_net *net, int32_t op,
                               struct det_cuda_tuner *tuner);

#endif
