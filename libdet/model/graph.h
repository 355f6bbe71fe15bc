/* graph.h: the network as data: tensors, parameters and operations in execution order.
 *
 * Two forms come from one builder: the training form with batch norms of their own, whose
 * parameters carry the keys of a TensorFlow checkpoint, and the folded form for inference, where
 * each batch norm is part of the convolution before it (det_graph_fold_params computes the values).
 *
 * Source: SSDMobileNetV2FpnKerasFeatureExtractor, KerasFpnTopDownFeatureMaps,
 * keras_models/mobilenet_v2.py and WeightSharedConvolutionalBoxPredictor of
 * research/object_detection; MobileNetV2 of tf.keras.applications. One difference: where the API
 * would fail because an upsampled map is one row or column larger than the map it is added to
 * (input size not a multiple of 32), the surplus is cut off.
 */
#ifndef DET_MODEL_GRAPH_H
#define DET_MODEL_GRAPH_H

#include "model/spec.h"
#include "ops/ops.h"

enum det_param_role {
    DET_PARAM_KERNEL,    /* [kh, kw, in, out] */
    DET_PARAM_DEPTHWISE, /* [kh, kw, c, 1] */
    DET_PARAM_POINTWISE, /* [1, 1, in, out] of a separable convolution */
    DET_PARAM_BIAS,      /* [out] */
    DET_PARAM_GAMMA,
    DET_PARAM_BETA,
    DET_PARAM_MOVING_MEAN,
    DET_PARAM_MOVING_VARIANCE,
};

struct det_param {
    char *key; /* TensorFlow checkpoint key without "/.ATTRIBUTES/VARIABLE_VALUE" */
    enum det_param_role role;
    int32_t dims;
    int32_t shape[4];
    size_t count;
    size_t offset; /* floats from the start of the parameter block, a multiple of 16 */
    struct det_init_spec init;
    float l2; /* 0: not regularised */
    /* false: moving statistics, and gamma/beta that the config switches off (not stored either) */
    bool trainable;
    bool stored;   /* is in a checkpoint */
    bool backbone; /* part of the classification backbone */
};

/* Output channels of a convolution's weights. */
static inline int32_t det_param_channels(const struct det_param *param)
{
    return param->role == DET_PARAM_DEPTHWISE ? param->shape[2] : param->shape[3];
}

/* X(kind, name): ADD: out = in + in2; UPSAMPLE_ADD: out = upsample2(in) + in2. */
#define DET_OP_KINDS(X)         \
    X(CONV, "conv")             \
    X(DWCONV, "dwconv")         \
    X(BATCH_NORM, "batch_norm") \
    X(ADD, "add")               \
    X(UPSAMPLE_ADD, "upsample_add")

enum det_op_kind {
#define DET_OP_KIND_ENUM(kind, name) DET_OP_##kind,
    DET_OP_KINDS(DET_OP_KIND_ENUM)
#undef DET_OP_KIND_ENUM
};
#define DET_OP_KIND_ONE(kind, name) +1
enum { DET_OP_KIND_COUNT = 0 DET_OP_KINDS(DET_OP_KIND_ONE) };
#undef DET_OP_KIND_ONE

const char *det_op_kind_name(enum det_op_kind kind);

struct det_op {
    enum det_op_kind kind;
    int32_t in, in2, out;                /* tensor indices, -1: none */
    int32_t weight, bias;                /* parameter indices, -1: none */
    int32_t gamma, beta, mean, variance; /* BATCH_NORM */
    int32_t kernel, stride;              /* convolutions, SAME padding */
    enum det_activation act;             /* convolutions of the folded form, BATCH_NORM */
    float epsilon, decay;                /* BATCH_NORM */
    bool head;                           /* BATCH_NORM of the box predictor */
    const char *name;                    /* for messages: the weight's or gamma's key */
};

/* Dense or depthwise. */
static inline bool det_op_is_convolution(const struct det_op *op)
{
    return op->kind == DET_OP_CONV || op->kind == DET_OP_DWCONV;
}

struct det_tensor {
    int32_t height, width, channels;
};

struct det_graph {
    struct det_tensor *tensors; /* [0] is the network's input */
    int32_t tensor_count;
    struct det_param *params;
    int32_t param_count;
    size_t param_floats; /* size of the parameter block */
    struct det_op *ops;
    int32_t op_count;
    bool folded;

    /* One entry per level, from min_level up. */
    int32_t levels;
    int32_t box_outputs[DET_MAX_LEVELS];   /* tensor [h, w, anchors_per_cell * 4] */
    int32_t class_outputs[DET_MAX_LEVELS]; /* tensor [h, w, anchors_per_cell * (K + 1)] */
    int32_t features[DET_MAX_LEVELS];      /* tensor of the feature map */
    int32_t anchors_per_cell, anchor_count, class_slots /* K + 1 */;

    size_t tensor_capacity, param_capacity, op_capacity;
};

det_status det_graph_build(struct det_env *env, const struct det_model_spec *spec, bool folded,
                           struct det_graph *graph);
void det_graph_free(struct det_env *env, struct det_graph *graph);

/* Index of the parameter with this key, -1 if there is none. */
int32_t det_graph_find_param(const struct det_graph *graph, const char *key);

/* Whether a tensor is one of the box_outputs or class_outputs. */
bool det_graph_is_output(const struct det_graph *graph, int32_t tensor);

/* Values of the folded form's block from the training form's: w' = w * gamma / sqrt(variance +
 * epsilon), b' = beta - mean * gamma / sqrt(variance + epsilon), in double. */
void det_graph_fold_params(const struct det_graph *training, const float *params,
                           const struct det_graph *folded, float *folded_params);

/* Draws every parameter's initial value; stream i of `seed` for parameter i. */
void det_graph_init_params(const struct det_graph *graph, uint64_t seed, float *params);

#endif
