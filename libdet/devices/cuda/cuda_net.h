/* cuda_net.h: a graph made ready to run on the device: what model/net.h is on the CPU, with the
 * same plan of memory and the same order of operations. Activations and their gradients are of the
 * device's type, everything else is float32, the outputs too: rounded to the eight bits of bf16,
 * scores that differ become equal, and who comes first in suppression is chance.
 *
 * Life: plan (what memory it needs is placed in a layout, libraries are asked for their plans),
 * bind (the memory is there), tune (where times are to decide between plans: before anything is put
 * there), forward and backward as often as wanted: those only enqueue work on the device's stream,
 * so they may be recorded. */
#ifndef DET_DEVICES_CUDA_NET_H
#define DET_DEVICES_CUDA_NET_H

#include "devices/cuda/cuda_branches.h"
#include "devices/cuda/cuda_conv.h"
#include "devices/cuda/cuda_memory.h"
#include "devices/cuda/cuda_q8_net.h"
#include "elementwise.h"
#include "fake_quant.h"
#include "model/net_plan.h"

struct det_cuda_net {
    struct det_device *device;
    const struct det_graph *graph;
    int32_t batch;
    enum det_net_mode mode;
    struct det_net_plan plan;
    struct det_cuda_conv *convs; /* per operation, those of DET_OP_CONV in the device's type */
    struct det_cuda_q8 q8;       /* of a network in 8 bits */
    struct det_cuda_branches branches;
    /* per tensor: stored before its ReLU6, which its readers apply as they load */
    bool *late_relu6;
    /* per tensor: the batch norm that would have stored it: its readers load the norm's input and
     * normalise that. -1: the tensor is stored */
    int32_t *late_norm;
    size_t *passes_offsets; /* per tensor, in `passes`; TRAIN_FOLDED */
    size_t workspace_bytes; /* that the owner provides; shared with others between operations */

    /* Offsets in the layout. */
    size_t arena_at, statistics_at, encodings_at, logits_at, encoding_gradients_at,
        logit_gradients_at, typed_params_at, flags_at, passes_at;

    /* Device memory, known when bound. */
    uint8_t *arena;
    float *statistics; /* where the plan says */
    float *params;     /* the owner's block, laid out as the graph says */
    float *gradients;  /* the owner's, NULL unless training; from parameter gradients_from on */
    size_t gradients_from;
    void *typed_params; /* the same block in the device's type: params itself, or a bf16 copy */
    float *encodings, *logits;                   /* [N, A, 4], [N, A, K + 1] */
    float *encoding_gradients, *logit_gradients; /* the same shapes, NULL unless training */
    /* TRAIN_FOLDED: which gradients pass, a bit for each value; the owner's ranges */
    uint8_t *passes;
    struct detk_ranges ranges;
    const struct det_cuda_sync *sync; /* whose batch norms are those of all ranks; NULL: alone */
    int32_t *flags;                   /* per operation, for det_cuda_net_first_non_finite() */
    void *workspace;
    struct detk_levels box_levels, class_levels;                   /* of the outputs */
    struct detk_levels box_gradient_levels, class_gradient_levels; /* of their gradients */
};

/* `quantised`: NULL, or the network in 8 bits, on a device whose type is float32. */
det_status det_cuda_net_plan(struct det_env *env, struct det_device *device,
                             const struct det_graph *graph, const struct det_quantised *quantised,
                             int32_t batch, enum det_net_mode mode, struct det_cuda_layout *layout,
                             struct det_cuda_net *net);
void det_cuda_net_free(struct det_env *env, struct det_cuda_net *net);

/* `memory` is what the layout asked for; params and gradients are float32 blocks there, the
 * workspace has at least workspace_bytes. */
void det_cuda_net_bind(struct det_cuda_net *net, uint8_t *memory, float *params, float *gradients,
                       void *workspace);

/* Of a network in TRAIN_FOLDED mode: what it makes is rounded by these, as det_net_round() of
 * model/net.h has it; to be called before forward. The averages are the owner's to keep. */
void det_cuda_net_round(struct det_cuda_net *net, const struct detk_ranges *ranges);

/* Chooses among the libraries' algorithms by their times on the device, as cuda_tune.h has it. All
 * of the network's memory, parameters and gradients included, is overwritten. */
det_status det_cuda_net_tune(struct det_env *env, struct det_cuda_net *net);

/* Type of a tensor's values. */
static inline enum detk_type det_cuda_net_type(const struct det_cuda_net *net, int32_t tensor)
{
    return det_graph_is_output(net->graph, tensor) ? DETK_F32 : net->device->type;
}

/* [N, H, W, 3] of the device's type; NULL: it reads whole grey levels alone. */
void *det_cuda_net_input(const struct det_cuda_net *net);
/* The same as whole grey levels less 128 (det_q8_grey_level()); NULL: it reads none. */
int8_t *det_cuda_net_input_q8(const struct det_cuda_net *net);

/* Brings the bf16 copy of the parameters up to date; to be called whenever they have changed. */
det_status det_cuda_net_refresh_params(struct det_env *env, const struct det_cuda_net *net);
det_status det_cuda_net_forward(struct det_env *env, const struct det_cuda_net *net);
/* From the gradients of encodings and logits to those of all trainable parameters. */
det_status det_cuda_net_backward(struct det_env *env, const struct det_cuda_net *net);

/* Runs forward again, for itself alone, looks at each operation's output, waits. Name of the first
 * that holds NaN or infinity, NULL when all are finite. For after a failure: not recordable. */
det_status det_cuda_net_first_non_finite(struct det_env *env, const struct det_cuda_net *net,
                                         const char **name);

#endif
