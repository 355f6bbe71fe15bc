#include "devices/cuda/cuda_branches.h"

#include <string.h>

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

/* Whether an operation of the lane is all that is done backward to what reads a tensor. */
static bool only_lane_reads(const struct det_graph *g, const int32_t *back_lane_of, int32_t tensor,
                            int32_t lane)
{
    for (int32_t i = 0; tensor >= 0 && i < g->op_count; i++) {
        if ((g->ops[i].in == tensor || g->ops[i].in2 == tensor) && back_lane_of[i] != lane)
            return false;
    }
    return true;
}

/* An operation stays in its lane where its output's gradient comes from there alone and its inputs'
 * go there alone. Who leaves may take others along. */
static void find_back_lanes(const struct det_graph *g, const int32_t *lane_of,
                            int32_t *back_lane_of)
{
    memcpy(back_lane_of, lane_of, (size_t)g->op_count * sizeof *lane_of);
    for (bool changed = true; changed;) {
        changed = false;
        for (int32_t i = 0; i < g->op_count; i++) {
            const struct det_op *op = &g->ops[i];
            const int32_t lane = back_lane_of[i];
            if (lane < 0 || (only_lane_reads(g, back_lane_of, op->out, lane) &&
                             only_lane_reads(g, back_lane_of, op->in, lane) &&
                             only_lane_reads(g, back_lane_of, op->in2, lane)))
                continue;
            back_lane_of[i] = -1;
            changed = true;
        }
    }
}

static void include(const struct det_graph *g, int32_t param, size_t *begin, size_t *end)
{
    if (param < 0)
        return;
    const struct det_param *p = &g->params[param];
    if (p->offset < *begin)
        *begin = p->offset;
    if (p->offset + p->count > *end)
        *end = p->offset + p->count;
}

/* The parameters that operations side by side have gradients of, from a multiple of DETK_ALIGN
 * bytes on, so that what is aligned stays so. */
static void find_gradients(const struct det_graph *g, struct det_cuda_branches *b)
{
    const size_t step = DETK_ALIGN / sizeof(float);
    size_t begin = SIZE_MAX, end = 0;
    for (int32_t i = 0; i < g->op_count; i++) {
        const struct det_op *op = &g->ops[i];
        const int32_t params[] = {op->weight, op->bias, op->gamma, op->beta};
        for (int k = 0; k < 4 && b->back_lane_of[i] >= 0; k++)
            include(g, params[k], &begin, &end);
    }
    if (end == 0)
        return;
    b->first_gradient = begin / step * step;
    b->gradient_floats = end - b->first_gradient;
}

static int32_t operations_from_first(const struct det_graph *g, const int32_t *lane_of)
{
    for (int32_t i = 0; i < g->op_count; i++) {
        if (lane_of[i] >= 0)
            return g->op_count - i;
    }
    return 0;
}

det_status det_cuda_branches_find(struct det_env *env, struct det_cuda_net *net, int32_t *at_once,
                                  int32_t *back_at_once)
{
    const struct det_graph *g = net->graph;
    struct det_cuda_branches *b = &net->branches;
    const size_t operations = (size_t)g->op_count;
    uint32_t *levels = NULL;
    det_status status = DET_OK;
    *at_once = *back_at_once = 0;
    if (!side_by_side(net))
        return DET_OK;
    DET_TRY(det_alloc(env, &levels, (size_t)g->tensor_count, sizeof *levels, "network"));
    DET_TRY(det_alloc(env, &b->lane_of, operations, sizeof *b->lane_of, "network"));
    DET_TRY(det_alloc(env, &b->back_lane_of, operations, sizeof *b->back_lane_of, "network"));
    find_levels(g, levels);
    b->lanes = g->levels < DET_CUDA_LANES ? g->levels : DET_CUDA_LANES;
    for (int32_t i = 0; i < g->op_count; i++)
        b->lane_of[i] = lane_of(g, levels[g->ops[i].out]);
    *at_once = operations_from_first(g, b->lane_of);
    if (det_net_is_training(net->mode)) {
        find_back_lanes(g, b->lane_of, b->back_lane_of);
        find_gradients(g, b);
        *back_at_once = operations_from_first(g, b->back_lane_of);
    }
fail:
    det_free(env, &levels);
    return status;
}

void det_cuda_branches_free(struct det_env *env, struct det_cuda_net *net)
{
    det_free(env, &net->branches.lane_of);
    det_free(env, &net->branches.back_lane_of);
    det_free(env, &net->branches.adds_param);
    net->branches.lanes = 0;
}

/* From one side's gradients to the next one's. */
static size_t floats_of_side(const struct det_cuda_branches *b)
{
    const size_t step = DETK_ALIGN / sizeof(float);
    return (b->gradient_floats + step - 1) / step * step;
}

/* Of all sides together. */
static size_t side_gradients(const struct det_cuda_net *net)
{
    const struct det_cuda_branches *b = &net->branches;
    return b->lanes < 2 ? 0 : (size_t)(b->lanes - 1) * floats_of_side(b);
}

/* Side by side nobody is the first to write a gradient that levels share: all add to zeros. */
static det_status find_adding(struct det_env *env, struct det_cuda_net *net)
{
    const struct det_graph *g = net->graph;
    struct det_cuda_branches *b = &net->branches;
    if (b->gradient_floats == 0)
        return DET_OK;
    DET_TRY_RETURN(det_alloc(env, &b->adds_param, (size_t)g->op_count, sizeof(bool), "network"));
    for (int32_t i = 0; i < g->op_count; i++) {
        const int32_t weight = g->ops[i].weight;
        const size_t end = b->first_gradient + b->gradient_floats;
        b->adds_param[i] = net->plan.accumulate_param[i] ||
                           (weight >= 0 && g->params[weight].offset >= b->first_gradient &&
                            g->params[weight].offset < end);
    }
    return DET_OK;
}

/* Its handle has one stream. */
static bool cudnn_serves_a_lane(const struct det_cuda_net *net)
{
    const struct det_cuda_branches *b = &net->branches;
    for (int32_t i = 0; b->lanes > 0 && i < net->graph->op_count; i++) {
        if (b->lane_of[i] >= 0 && net->convs[i].method == DET_CUDA_CONV_LIBRARY)
            return true;
    }
    return false;
}

det_status det_cuda_branches_place(struct det_env *env, struct det_cuda_net *net,
                                   const size_t *need, struct det_cuda_layout *layout)
{
    struct det_cuda_branches *b = &net->branches;
    struct det_cuda_layout workspace = {0};
    if (cudnn_serves_a_lane(net))
        b->lanes = 0;
    for (int32_t lane = 0; lane < b->lanes; lane++) {
        size_t most = 0;
        for (int32_t i = 0; i < net->graph->op_count; i++)
            if (b->lane_of[i] == lane && need[i] > most)
                most = need[i];
        b->workspace_at[lane] = det_cuda_layout_add(&workspace, most, 1);
    }
    layout->too_large |= workspace.too_large;
    if (workspace.bytes > net->workspace_bytes)
        net->workspace_bytes = workspace.bytes;
    b->gradients_at = det_cuda_layout_add(layout, side_gradients(net), sizeof(float));
    return find_adding(env, net);
}

typedef det_status (*lane_work)(struct det_env *env, const struct det_cuda_net *net, int32_t lane);

static det_status lane_forward(struct det_env *env, const struct det_cuda_net *net, int32_t lane)
{
    for (int32_t i = 0; i < net->graph->op_count; i++) {
        if (net->branches.lane_of[i] == lane)
            DET_TRY_RETURN(det_cuda_net_forward_op(env, net, i));
    }
    return DET_OK;
}

static det_status lane_backward(struct det_env *env, const struct det_cuda_net *net, int32_t lane)
{
    for (int32_t i = net->graph->op_count - 1; i >= 0; i--) {
        if (net->branches.back_lane_of[i] == lane)
            DET_TRY_RETURN(det_cuda_net_backward_op(env, net, i));
    }
    return DET_OK;
}

static float *gradients_of_side(const struct det_cuda_net *net, int32_t side)
{
    return net->branches.gradients + (size_t)side * floats_of_side(&net->branches);
}

/* The same network, on the lane's stream, in its workspace and with its gradients. */
static det_status run_beside(struct det_env *env, const struct det_cuda_net *net, lane_work work,
                             int32_t lane)
{
    struct det_device device = *net->device;
    struct det_cuda_net beside = *net;
    beside.device = &device;
    beside.workspace = (uint8_t *)net->workspace + net->branches.workspace_at[lane];
    beside.plan.accumulate_param = net->branches.adds_param;
    if (lane > 0) {
        device.stream = net->device->sides[lane - 1];
        beside.gradients = gradients_of_side(net, lane - 1);
        beside.gradients_from = net->branches.first_gradient;
    }
    return work(env, &beside, lane);
}

static det_status run_lanes(struct det_env *env, const struct det_cuda_net *net, lane_work work)
{
    const int32_t sides = net->branches.lanes - 1;
    DET_TRY_RETURN(det_cuda_device_fork(env, net->device, sides));
    det_status status = DET_OK;
    for (int32_t lane = sides; lane >= 0 && status == DET_OK; lane--)
        status = run_beside(env, net, work, lane);
    /* After a failure, too: who waits for the stream waits for all that was begun. */
    const det_status joined = det_cuda_device_join(env, net->device, sides);
    return status != DET_OK ? status : joined;
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
    DET_TRY_RETURN(lane_forward(env, net, -1));
    return run_lanes(env, net, lane_forward);
}

/* Levels add their gradients to zeros. */
static det_status clear_gradients(struct det_env *env, const struct det_cuda_net *net)
{
    const struct det_cuda_branches *b = &net->branches;
    const cudaStream_t stream = net->device->stream;
    static const char what[] = "clearing the heads' gradients";
    DET_TRY_RETURN(det_cuda_check(env,
                                  cudaMemsetAsync(net->gradients + b->first_gradient, 0,
                                                  b->gradient_floats * sizeof(float), stream),
                                  what));
    return det_cuda_check(
        env, cudaMemsetAsync(b->gradients, 0, side_gradients(net) * sizeof(float), stream), what);
}

static det_status add_gradients(struct det_env *env, const struct det_cuda_net *net)
{
    const struct det_cuda_branches *b = &net->branches;
    for (int32_t side = 0; side < b->lanes - 1; side++)
        DET_TRY_RETURN(det_cuda_check(
            env,
            detk_accumulate(net->device->stream, DETK_F32, (int64_t)b->gradient_floats,
                            gradients_of_side(net, side), net->gradients + b->first_gradient, true),
            "adding up the heads' gradients"));
    return DET_OK;
}

det_status det_cuda_branches_backward(struct det_env *env, const struct det_cuda_net *net,
                                      struct det_cuda_net *rest)
{
    const struct det_cuda_branches *b = &net->branches;
    *rest = *net;
    rest->branches.back_lane_of = NULL;
    if (b->lanes == 0 || b->gradient_floats == 0 || net->sync != NULL)
        return DET_OK;
    rest->branches.back_lane_of = b->back_lane_of;
    rest->plan.accumulate_param = b->adds_param;
    DET_TRY_RETURN(clear_gradients(env, net));
    DET_TRY_RETURN(run_lanes(env, net, lane_backward));
    return add_gradients(env, net);
}

bool det_cuda_branches_left(const struct det_cuda_net *rest, int32_t index)
{
    return rest->branches.back_lane_of == NULL || rest->branches.back_lane_of[index] < 0;
}
