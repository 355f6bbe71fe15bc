/* cuda_net_ops.h: one operation of the graph on the device, forward and backward: what each kind
 * calls. Follows forward_op() and backward_op() of model/net.c operation by operation. */
#ifndef DET_DEVICES_CUDA_NET_OPS_H
#define DET_DEVICES_CUDA_NET_OPS_H

#include "devices/cuda/cuda_net.h"

det_status det_cuda_net_forward_op(struct det_env *env, const struct det_cuda_net *net,
                                   int32_t index);
det_status det_cuda_net_backward_op(struct det_env *env, const struct det_cuda_net *net,
                                    int32_t index);

/* Training in 8 bits (model/net_rounding.h): what is before and behind the operations, which round
 * their own results. */
det_status det_cuda_net_round_input(struct det_env *env, const struct det_cuda_net *net);
det_status det_cuda_net_round_outputs(struct det_env *env, const struct det_cuda_net *net);

struct det_cuda_tuner;
/* Algorithms of operation `index` by their times (cuda_tune.h); what its tensors and gradients hold
 * is lost. */
det_status det_cuda_net_tune_op(struct det_env *env, const struct det_cuda_net *net, int32_t index,
                                struct det_cuda_tuner *tuner);

/* What is before and behind the operations, in cuda_net.c: the levels' outputs become one array,
 * its gradients the levels'. */
det_status det_cuda_net_gather(struct det_env *env, const struct det_cuda_net *net);
det_status det_cuda_net_scatter(struct det_env *env, const struct det_cuda_net *net);

#endif
