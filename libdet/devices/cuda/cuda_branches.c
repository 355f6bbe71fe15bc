#include "devices/cuda/cuda_branches.h"

#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_net.h"
#include "devices/cuda/cuda_net_ops.h"
#include "support/mem.h"

/* Cells of all pictures at the largest level, up to which inference runs levels side by side: eight
 * pictures of 640 x 640. */
#define MOST_ROWS (8 * 80 * 80)

static bool side_by_side(const struct det_cuda_net *net)
{
    const struct det_graph *g = net->graph;
    if (g->levels < 2 || net->mode == DET_NET_TRAIN_FOLDED)
        return false;
    return det_net_is_training(net->mode) ||
           det_net_rows(g, g->box_outputs[0], net->batch) <= MOST_ROWS;
}

/* A bit for each level whose outputs are made of a tensor. */
static void find_levels(const struct det_graph *g, uint32_t *levels)
{
    for (int32_t l = 0; l < g->levels; l++) {
        levels[g->box_outputs[l]] |= 1U << l;
        levels[g->class_outputs[l]] |= 1U << l;
    }
    for (int32_t i = g->op_count - 1; i >= 0; i--) {
        const struct det_op *op = &g->ops[i];
        levels[op->in] |= levels[op->out];
        if (op->in2 >= 0)
            levels[op->in2] |= levels[op->out];
    }
}

static int32_t lane_of(const struct det_graph *g, uint32_t levels)
{
    for (int32_t l = 0; l < g->levels; l++) {
        if (levels == 1U << l)
            return l % DET_CUDA_LANES;
    }
    return -1;
}

det_status det_cuda_branches_find(struct det_env *env, struct det_cuda_net *net, int32_t *at_once)
{
    const struct det_graph *g = net->graph;
    struct det_cuda_branches *b = &net->branches;
    uint32_t *levels = NULL;
    det_status status = DET_OK;
    *at_once = 0;
    if (!side_by_side(net))
        return DET_OK;
    DET_TRY(det_alloc(env, &levels, (size_t)g->tensor_count, sizeof *levels, "network"));
    DET_TRY(det_alloc(env, &b->lane_of, (size_t)g->op_count, sizeof *b->lane_of, "network"));
    find_levels(g, levels);
    b->lanes = g->levels < DET_CUDA_LANES ? g->levels : DET_CUDA_LANES;
    for (int32_t i = g->op_count - 1; i >= 0; i--) {
        b->lane_of[i] = lane_of(g, levels[g->ops[i].out]);
        if (b->lane_of[i] >= 0)
            *at_once = g->op_count - i;
    }
fail:
    det_free(env, &levels);
    return status;
}

void det_cuda_branches_free(struct det_env *env, struct det_cuda_net *net)
{
    det_free(env, &net->branches.lane_of);
    net->branches.lanes = 0;
}

static size_t aligned(size_t bytes)
{
    return (bytes + DETK_ALIGN - 1) / DETK_ALIGN * DETK_ALIGN;
}

void det_cuda_branches_place(struct det_cuda_net *net, const size_t *need)
{
    struct det_cuda_branches *b = &net->branches;
    size_t all = 0;
    for (int32_t lane = 0; lane < b->lanes; lane++) {
        size_t most = 0;
        for (int32_t i = 0; i < net->graph->op_count; i++) {
            /* cuDNN's handle has one stream. */
            if (b->lane_of[i] >= 0 && net->convs[i].method == DET_CUDA_CONV_LIBRARY)
                b->lanes = 0;
            if (b->lane_of[i] == lane && need[i] > most)
                most = need[i];
        }
        b->workspace_at[lane] = all;
        all += aligned(most);
    }
    if (all > net->workspace_bytes)
        net->workspace_bytes = all;
}

static det_status run_lane(struct det_env *env, const struct det_cuda_net *net, int32_t lane)
{
    for (int32_t i = 0; i < net->graph->op_count; i++) {
        if (net->branches.lane_of[i] == lane)
            DET_TRY_RETURN(det_cuda_net_forward_op(env, net, i));
    }
    return DET_OK;
}

/* The same network, on the lane's stream and in its workspace. */
static det_status run_beside(struct det_env *env, const struct det_cuda_net *net, int32_t lane)
{
    struct det_device device = *net->device;
    struct det_cuda_net beside = *net;
    beside.device = &device;
    beside.workspace = (uint8_t *)net->workspace + net->branches.workspace_at[lane];
    if (lane > 0)
        device.stream = net->device->sides[lane - 1];
    return run_lane(env, &beside, lane);
}

static det_status fork_lanes(struct det_env *env, const struct det_cuda_net *net)
{
    const struct det_device *d = net->device;
    static const char what[] = "levels side by side";
    DET_TRY_RETURN(det_cuda_check(env, cudaEventRecord(d->forked, d->stream), what));
    for (int32_t side = 0; side < net->branches.lanes - 1; side++)
        DET_TRY_RETURN(
            det_cuda_check(env, cudaStreamWaitEvent(d->sides[side], d->forked, 0), what));
    return DET_OK;
}

static det_status join_lanes(struct det_env *env, const struct det_cuda_net *net)
{
    const struct det_device *d = net->device;
    static const char what[] = "levels side by side";
    for (int32_t side = 0; side < net->branches.lanes - 1; side++) {
        DET_TRY_RETURN(det_cuda_check(env, cudaEventRecord(d->joined[side], d->sides[side]), what));
        DET_TRY_RETURN(
            det_cuda_check(env, cudaStreamWaitEvent(d->stream, d->joined[side], 0), what));
    }
    return DET_OK;
}

det_status det_cuda_branches_forward(struct det_env *env, const struct det_cuda_net *net)
{
    const struct det_cuda_branches *b = &net->branches;
    /* Batch norms of all ranks are gathered by one stream, in the order of the operations. */
    if (b->lanes == 0 || net->sync != NULL) {
        for (int32_t i = 0; i < net->graph->op_count; i++)
            DET_TRY_RETURN(det_cuda_net_forward_op(env, net, i));
        return DET_OK;
    }
    DET_TRY_RETURN(run_lane(env, net, -1));
    DET_TRY_RETURN(fork_lanes(env, net));
    det_status status = DET_OK;
    for (int32_t lane = b->lanes - 1; lane >= 0 && status == DET_OK; lane--)
        status = run_beside(env, net, lane);
    /* After a failure, too: who waits for the stream waits for all that was begun. */
    const det_status joined = join_lanes(env, net);
    return status != DET_OK ? status : joined;
}
