/* cuda_branches.h: what leads to the outputs of one level alone, its heads, runs side by side with
 * that of the other levels. A GPU is filled by the heads of the largest level at most; those of the
 * others, one after the other, would cost the time that a launch takes and no arithmetic. All that
 * several levels need comes first.
 *
 *     stream    trunk .. | level 0 .................... | outputs
 *     side 0             | level 1 ..                   |
 *     side 1             | level 2 ..                   |
 *
 * Only forward: the heads' weights are shared by the levels, whose gradients are added in an
 * order. */
#ifndef DET_DEVICES_CUDA_BRANCHES_H
#define DET_DEVICES_CUDA_BRANCHES_H

#include "devices/cuda/cuda_device.h"
#include "model/graph.h"
#include "model/net_plan.h"

struct det_cuda_net;

/* The stream and the sides: levels beyond share them. */
#define DET_CUDA_LANES (DET_CUDA_SIDES + 1)

struct det_cuda_branches {
    int32_t *lane_of; /* per operation; -1: of the trunk */
    int32_t lanes;    /* 0: everything runs one after the other */
    size_t workspace_at[DET_CUDA_LANES];
};

/* Who leads where, and the number of the last operations that may run side by side, 0 where none
 * do: in a training in 8 bits, whose ranges are learnt one after the other, and in inference of many
 * pictures, which gains nothing and would need more memory for tensors that live at the same
 * time. */
det_status det_cuda_branches_find(struct det_env *env, struct det_cuda_net *net, int32_t *at_once);
void det_cuda_branches_free(struct det_env *env, struct det_cuda_net *net);

/* To be called when all operations are planned: need[operation] bytes of workspace each. Lanes have
 * workspaces of their own, in the network's, which grows. */
void det_cuda_branches_place(struct det_cuda_net *net, const size_t *need);

/* All operations forward. */
det_status det_cuda_branches_forward(struct det_env *env, const struct det_cuda_net *net);

#endif
