/* net_plan.h: what is decided about a network before memory is taken: which tensors live when and
 * where in one arena, which gradients share memory, which are written and which added to. Knows
 * nothing of who executes it: the CPU (model/net.h) and CUDA (devices/cuda/) run the same plan,
 * with elements and alignments of their own. */
#ifndef DET_MODEL_NET_PLAN_H
#define DET_MODEL_NET_PLAN_H

#include "model/graph.h"

enum det_net_mode {
    DET_NET_INFER, /* forward only, any form; batch norms use the moving statistics */
    /* forward only, training form; batch norms of the box predictor use the batch's statistics, the
     * others the moving ones: what eval_continuously() of the API computes. Its model is built for
     * training, and Keras finds learning phase 0 in the feature extractor but not in the box
     * predictor; established on goldens/trained_raccoon: both losses agree to all six digits */
    DET_NET_EVALUATE,
    DET_NET_TRAIN, /* training form; batch norms use the batch's statistics */
    /* training form; batch norms use the moving statistics (freeze_batchnorm) */
    DET_NET_TRAIN_FROZEN,
    /* folded form; batch norms are part of the convolutions, what is made may be rounded as 8 bits
     * will have it (det_net_round()) */
    DET_NET_TRAIN_FOLDED,
    /* forward only, training form; batch norms use the batch's statistics, which are what is
     * wanted */
    DET_NET_MEASURE,
};

struct det_net_plan_settings {
    int32_t batch;
    enum det_net_mode mode;
    size_t element_bytes; /* of a value of an activation or of its gradient: 4 or 2 */
    size_t output_bytes;  /* of a value, not of its gradient, of the graph's outputs */
    size_t alignment;     /* of each tensor's offset, a power of two */
    /* per tensor: nobody writes its value, it gets no memory; NULL: all are stored. Read while
     * planning only. An unstored result of a batch norm is read from the norm's input */
    const bool *unstored;
    /* the gradient behind a batch norm becomes the one before it only where the operation that made
     * the norm's input reads it: that result stays until then */
    bool late_norm_gradients;
    /* so many of the last operations run forward side by side, or in another order: what they read
     * or write shares no memory among them */
    int32_t at_once;
    int32_t back_at_once; /* the same backward, of values and gradients */
};

struct det_net_plan {
    struct det_net_plan_settings settings;
    size_t arena_bytes;
    size_t *value_offsets; /* per tensor, in the arena */
    /* per tensor; DET_NO_GRADIENT where none is kept, or when not training */
    size_t *gradient_offsets;
    bool *accumulate_in;  /* per operation: its gradient for `in` is added */
    bool *accumulate_in2; /* ... for `in2` */
    bool *skip_in2;       /* ... for `in2` is the output's own gradient: the same memory */
    /* per operation: its parameter gradients are added (weights shared by levels) */
    bool *accumulate_param;
    /* per operation, floats: a batch norm's mean [c], then its variance [c] */
    size_t *statistics_offsets;
    size_t statistics_floats;
};
#define DET_NO_GRADIENT SIZE_MAX

/* INVALID_ARGUMENT for a batch size that cannot be, or a folded graph in another mode than INFER
 * and TRAIN_FOLDED; INTERNAL for the other form in that one. */
det_status det_net_plan_create(struct det_env *env, const struct det_graph *graph,
                               const struct det_net_plan_settings *settings,
                               struct det_net_plan *plan);
void det_net_plan_free(struct det_env *env, struct det_net_plan *plan);

static inline bool det_net_is_training(enum det_net_mode mode)
{
    return mode == DET_NET_TRAIN || mode == DET_NET_TRAIN_FROZEN || mode == DET_NET_TRAIN_FOLDED;
}

/* Whether batch norm `op` takes the batch's own statistics. */
static inline bool det_net_uses_batch_statistics(enum det_net_mode mode, const struct det_op *op)
{
    return mode == DET_NET_TRAIN || mode == DET_NET_MEASURE ||
           (mode == DET_NET_EVALUATE && op->head);
}

/* Shape of a convolution of the graph. */
struct det_conv_shape det_net_conv_shape(const struct det_graph *graph, const struct det_op *op,
                                         int32_t batch);
/* N * H * W of a tensor. */
int64_t det_net_rows(const struct det_graph *graph, int32_t tensor, int32_t batch);

#endif
