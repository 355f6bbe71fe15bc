/* cuda_branches.h: what leads to the outputs of one level alone, its heads, runs side by side with
 * that of the other levels. A GPU is filled by the heads of the largest level at most; those of the
 * others, one after the other, would cost the time that a launch takes and no arithmetic. All that
 * several levels need comes first, and backward last.
 *
 *     stream    trunk .. | level 0 .................... | outputs, losses
 *     side 0             | level 1 ..                   |
 *     side 1             | level 2 ..                   |
 *
 *     stream    | level 0 .................... | sums | trunk ..
 *     side 0    | level 1 ..                   |
 *     side 1    | level 2 ..                   |
 *
 * Backward each side has gradients of its own of the parameters, most of which the levels share;
 * they are added to the stream's in the order of the sides. An operation whose input others read
 * as well adds to a gradient of many, and waits with the trunk. */
#ifndef DET_DEVICES_CUDA_BRANCHES_H
#define DET_DEVICES_CUDA_BRANCHES_H

#include "devices/cuda/cuda_device.h"
#include "devices/cuda/cuda_memory.h"
#include "model/graph.h"
#include "model/net_plan.h"

struct det_cuda_net;

/* The stream and the sides: levels beyond share them. */
#define DET_CUDA_LANES (DET_CUDA_SIDES + 1)

struct det_cuda_branches {
    int32_t *lane_of, *back_lane_of; /* per operation; -1: of the trunk */
    int32_t lanes;                   /* 0: everything runs one after the other */
    size_t workspace_at[DET_CUDA_LANES];
    /* Of parameters whose gradients the sides have: where they begin in the parameters' block, how
     * many there are of each side, and where they are in the layout and in memory. */
    size_t first_gradient, gradient_floats, gradients_at;
    float *gradients;
    bool *adds_param; /* per operation: as the plan's accumulate_param, but to what was cleared */
};

/* Who leads where, and the numbers of the last operations that may run side by side, forward and
 * backward, 0 where none do: in a training in 8 bits, whose ranges are learnt one after the other,
 * and in inference of many pictures, which gains nothing and would need more memory for tensors
 * that live at the same time. */
det_status det_cuda_branches_find(struct det_env *env, struct det_cuda_net *net, int32_t *at_once,
                                  int32_t *back_at_once);
void det_cuda_branches_free(struct det_env *env, struct det_cuda_net *net);

/* To be called when all operations are planned: need[operation] bytes of workspace each. Lanes have
 * workspaces of their own, in the network's, which grows; the sides' gradients are placed. */
det_status det_cuda_branches_place(struct det_env *env, struct det_cuda_net *net,
                                   const size_t *need, struct det_cuda_layout *layout);

/* All operations. */
det_status det_cuda_branches_forward(struct det_env *env, const struct det_cuda_net *net);
/* Those side by side. `rest`: the network for the operations that are left, which the caller is to
 * do in their order, from the last to the first. */
det_status det_cuda_branches_backward(struct det_env *env, const struct det_cuda_net *net,
                                      struct det_cuda_net *rest);
bool det_cuda_branches_left(const struct det_cuda_net *rest, int32_t op);

#endif
