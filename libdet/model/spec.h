/* spec.h: everything that determines the network and its outputs, as plain numbers. Made from a
 * pipeline.config (model/from_config.h), stored in every .det file, so that a weight file needs no
 * config to run. Source: research/object_detection/protos/ssd.proto and the builders in
 * research/object_detection/builders. */
#ifndef DET_MODEL_SPEC_H
#define DET_MODEL_SPEC_H

#include "support/env.h"

enum {
    DET_MIN_LEVEL = 2, /* block_2 output, stride 4 */
    DET_MAX_LEVELS = 8,
    DET_MAX_ASPECTS = 8,
    /* Of any tensor: what a row, a pixel or an image has of them is counted in int32_t in
     * places. */
    DET_MOST_CHANNELS = 1 << 20,
    DET_MOST_VALUES = INT32_MAX, /* of one image */
};

enum det_init_kind {
    DET_INIT_CONSTANT,         /* value a */
    DET_INIT_NORMAL,           /* mean a, stddev b */
    DET_INIT_TRUNCATED_NORMAL, /* mean a, stddev b, redrawn beyond two stddev */
    DET_INIT_GLOROT_UNIFORM,   /* Keras' default */
    DET_INIT_VARIANCE_SCALING, /* factor a, mode and distribution below (slim's formula) */
};

enum det_init_fan { DET_INIT_FAN_IN, DET_INIT_FAN_OUT, DET_INIT_FAN_AVG };

struct det_init_spec {
    enum det_init_kind kind;
    float a, b;
    enum det_init_fan fan_mode; /* VARIANCE_SCALING */
    bool uniform;               /* VARIANCE_SCALING */
};

/* The `conv_hyperparams` of one part of the network. */
struct det_hyper_spec {
    struct det_init_spec init; /* dense and depthwise kernels */
    float l2;                  /* loss term l2 * sum(w^2) / 2 */
    float bn_decay, bn_epsilon;
    bool bn_scale, bn_center;
};

enum det_resize_mode { DET_RESIZE_FIXED, DET_RESIZE_KEEP_ASPECT };

struct det_model_spec {
    int32_t num_classes; /* K */

    /* image_resizer: what the network sees is input_height x input_width (for KEEP_ASPECT the
     * padded maximum) */
    enum det_resize_mode resize_mode;
    int32_t input_height, input_width;
    int32_t min_dimension, max_dimension; /* KEEP_ASPECT */
    bool pad_to_max;                      /* KEEP_ASPECT */
    int32_t pad_to_multiple;              /* of the network's input, zeros below and right; >= 1 */

    /* feature_extractor */
    float depth_multiplier;
    int32_t min_depth;
    int32_t min_level, max_level;
    int32_t fpn_depth; /* additional_layer_depth, before the depth multiplier */
    bool fpn_depthwise;
    struct det_hyper_spec backbone, fpn;

    /* weight_shared_convolutional_box_predictor */
    int32_t head_depth, head_layers, head_kernel;
    bool head_depthwise, share_tower, hyper_on_heads;
    float class_bias_init;
    struct det_hyper_spec head;

    /* multiscale_anchor_generator */
    float anchor_scale;
    int32_t scales_per_octave, aspect_count;
    float aspects[DET_MAX_ASPECTS];
    bool normalize_anchors;

    /* faster_rcnn_box_coder */
    float y_scale, x_scale, height_scale, width_scale;

    /* post_processing */
    float score_threshold, iou_threshold;
    int32_t max_per_class, max_total;

    bool freeze_batchnorm; /* training with the moving statistics */
};

/* A valid spec of the zoo's FPNLite at `size` x `size` for K classes; what tests and files start
 * from. */
void det_model_spec_default(struct det_model_spec *spec, int32_t size, int32_t num_classes);

/* Whatever a spec comes from: INVALID_ARGUMENT naming the first value that cannot be built,
 * UNSUPPORTED for what is sound but too large for this library. With det_graph_build(), which
 * checks the size of each tensor, the one place that keeps products and quotients of these numbers
 * sound. */
det_status det_model_spec_check(struct det_env *env, const struct det_model_spec *spec);

/* Channels of the feature pyramid: fpn_depth times the depth multiplier, at least min_depth. */
int32_t det_model_spec_pyramid_depth(const struct det_model_spec *spec);

/* Anchors per feature map cell. */
int32_t det_model_spec_anchors_per_cell(const struct det_model_spec *spec);

#endif
