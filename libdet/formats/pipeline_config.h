/* pipeline_config.h: pipeline.config (TrainEvalPipelineConfig of the TF Object Detection API) for
 * SSD models as plain C.
 *
 * Names and defaults are those of research/object_detection/protos; a message that is absent has
 * its defaults. Every field of the messages involved is in the tables (pipeline_schema*.c) as one
 * of
 *
 *   honoured      stored below
 *   harmless      cannot change a result on one machine: read, checked and dropped (the table gives
 *                 the reason)
 *   told          the same with a warning, where somebody might count on it
 *   refused       an error naming field, line and column, unless it has its default value; of what
 *                 training does not read (post_processing, eval_config, eval_input_reader) not
 *                 before inference or evaluation is asked for
 *
 * docs/config_fields.md lists them all. An unknown field is an error. What is there more than once
 * is merged as protobuf does it (det_schema_merge).
 *
 * All memory belongs to the config: strings and lists live until det_pipeline_config_free.
 */
#ifndef DET_FORMATS_PIPELINE_CONFIG_H
#define DET_FORMATS_PIPELINE_CONFIG_H

#include "det/pipeline_config.h"
#include "formats/pipeline_stage.h"
#include "formats/prototext.h"
#include "support/env.h"

struct det_float_list {
    size_t count;
    const float *values;
};

struct det_string_list {
    size_t count;
    const char *const *values;
};

/* ---- model ---- */

enum det_resizer_kind {
    DET_RESIZER_NONE,
    DET_RESIZER_FIXED_SHAPE,
    DET_RESIZER_KEEP_ASPECT_RATIO /* always with pad_to_max_dimension: one input size */
};

struct det_resizer_config {
    int32_t kind;                         /* enum det_resizer_kind */
    int32_t height, width;                /* fixed shape */
    int32_t min_dimension, max_dimension; /* keep aspect ratio */
    bool pad_to_max_dimension;
    /* 0 or 3 values, after normalisation; none: zeros */
    struct det_float_list per_channel_pad_value;
    /* Method is bilinear. */
};

enum det_regularizer_kind { DET_REGULARIZER_NONE, DET_REGULARIZER_L1, DET_REGULARIZER_L2 };

struct det_regularizer_config {
    int32_t kind; /* enum det_regularizer_kind */
    float weight; /* L2: the loss is weight * sum(w^2) / 2; L1: weight * sum(|w|) */
};

enum det_initializer_kind {
    DET_INITIALIZER_NONE, /* the layer's own default */
    DET_INITIALIZER_TRUNCATED_NORMAL,
    DET_INITIALIZER_VARIANCE_SCALING,
    DET_INITIALIZER_RANDOM_NORMAL
};

enum det_fan_mode { DET_FAN_IN = 0, DET_FAN_OUT = 1, DET_FAN_AVG = 2 };

struct det_initializer_config {
    int32_t kind;       /* enum det_initializer_kind */
    float mean, stddev; /* normal kinds */
    float factor;       /* variance scaling */
    bool uniform;
    int32_t mode; /* enum det_fan_mode */
};

enum det_config_activation {
    DET_CONFIG_ACTIVATION_NONE = 0,
    DET_CONFIG_ACTIVATION_RELU = 1,
    DET_CONFIG_ACTIVATION_RELU_6 = 2,
    DET_CONFIG_ACTIVATION_SWISH_ = 3 /* refused when read */
};

struct det_batch_norm_config {
    float decay;
    bool center;
    bool scale;
    float epsilon;
};

struct det_hyperparams {
    struct det_regularizer_config regularizer;
    struct det_initializer_config initializer;
    int32_t activation; /* enum det_config_activation */
    bool has_batch_norm;
    struct det_batch_norm_config batch_norm;
};

struct det_fpn_config {
    int32_t min_level, max_level;
    int32_t additional_layer_depth;
};

struct det_feature_extractor_config {
    const char *type; /* always "ssd_mobilenet_v2_fpn_keras" */
    float depth_multiplier;
    int32_t min_depth;
    bool has_conv_hyperparams;
    struct det_hyperparams conv_hyperparams;
    bool override_base_feature_extractor_hyperparams; /* false: the backbone has Keras' own */
    int32_t pad_to_multiple; /* the input size is a multiple of it: nothing to pad */
    bool use_depthwise;
    struct det_fpn_config fpn;
};

struct det_box_coder_config {
    float y_scale, x_scale, height_scale, width_scale; /* faster_rcnn_box_coder */
};

struct det_matcher_config {
    float matched_threshold, unmatched_threshold; /* argmax_matcher */
    bool ignore_thresholds;
    bool negatives_lower_than_unmatched;
    bool force_match_for_each_row;
};

struct det_clip_range {
    float min, max;
};

struct det_box_predictor_config {
    bool has_conv_hyperparams;
    struct det_hyperparams conv_hyperparams;
    bool apply_conv_hyperparams_to_heads; /* also to the separable layers that predict */
    int32_t num_layers_before_predictor;
    int32_t depth;
    int32_t kernel_size; /* odd */
    float class_prediction_bias_init;
    bool use_dropout; /* before the two final layers, training only */
    float dropout_keep_probability;
    bool share_prediction_tower;
    bool use_depthwise;
    bool has_box_encodings_clip_range;
    struct det_clip_range box_encodings_clip_range;
};

struct det_anchor_config {
    int32_t min_level, max_level;
    float anchor_scale;
    struct det_float_list aspect_ratios; /* at least one */
    int32_t scales_per_octave;
};

struct det_nms_config {
    float score_threshold;
    float iou_threshold;
    int32_t max_detections_per_class;
    int32_t max_total_detections;
};

enum det_score_converter {
    DET_SCORE_IDENTITY = 0,
    DET_SCORE_SIGMOID = 1, /* the only one that inference knows */
    DET_SCORE_SOFTMAX_ = 2
};

struct det_post_processing_config {
    struct det_nms_config nms;
    int32_t score_converter; /* enum det_score_converter */
};

enum det_localization_loss_kind { DET_LOCALIZATION_LOSS_NONE, DET_LOCALIZATION_LOSS_SMOOTH_L1 };

enum det_classification_loss_kind {
    DET_CLASSIFICATION_LOSS_NONE,
    DET_CLASSIFICATION_LOSS_SIGMOID,
    DET_CLASSIFICATION_LOSS_SIGMOID_FOCAL
};

enum det_miner_loss {
    DET_MINER_BOTH = 0,
    DET_MINER_CLASSIFICATION = 1,
    DET_MINER_LOCALIZATION = 2
};

struct det_hard_example_miner_config {
    int32_t num_hard_examples; /* 0: no limit */
    float iou_threshold;
    int32_t loss_type;                  /* enum det_miner_loss */
    int32_t max_negatives_per_positive; /* 0: no limit */
    int32_t min_negatives_per_image;
};

struct det_localization_loss_config {
    int32_t kind; /* enum det_localization_loss_kind */
    float delta;  /* smooth L1 */
};

struct det_classification_loss_config {
    int32_t kind;   /* enum det_classification_loss_kind */
    float gamma;    /* focal */
    bool has_alpha; /* focal: false = no balancing */
    float alpha;
};

struct det_loss_config {
    struct det_localization_loss_config localization;
    struct det_classification_loss_config classification;
    float localization_weight, classification_weight;
    bool has_hard_example_miner;
    struct det_hard_example_miner_config hard_example_miner;
};

struct det_ssd_config {
    int32_t num_classes;
    struct det_resizer_config image_resizer;
    struct det_feature_extractor_config feature_extractor;
    struct det_box_coder_config box_coder;
    struct det_matcher_config matcher;
    bool encode_background_as_zeros;
    float negative_class_weight;
    struct det_box_predictor_config box_predictor;
    struct det_anchor_config anchor_generator;
    struct det_post_processing_config post_processing;
    bool normalize_loss_by_num_matches;
    bool normalize_loc_loss_by_codesize;
    struct det_loss_config loss;
    bool freeze_batchnorm;
    bool add_background_class;
};

/* ---- train_config ---- */

/* X(ENUM, proto name, union member) in the order of PreprocessingStep. */
#define DET_AUGMENTATION_TABLE(X)                                                     \
    X(NORMALIZE_IMAGE, normalize_image)                                               \
    X(RANDOM_HORIZONTAL_FLIP, random_horizontal_flip)                                 \
    X(RANDOM_PIXEL_VALUE_SCALE, random_pixel_value_scale)                             \
    X(RANDOM_IMAGE_SCALE, random_image_scale)                                         \
    X(RANDOM_RGB_TO_GRAY, random_rgb_to_gray)                                         \
    X(RANDOM_ADJUST_BRIGHTNESS, random_adjust_brightness)                             \
    X(RANDOM_ADJUST_CONTRAST, random_adjust_contrast)                                 \
    X(RANDOM_ADJUST_HUE, random_adjust_hue)                                           \
    X(RANDOM_ADJUST_SATURATION, random_adjust_saturation)                             \
    X(RANDOM_DISTORT_COLOR, random_distort_color)                                     \
    X(RANDOM_JITTER_BOXES, random_jitter_boxes)                                       \
    X(RANDOM_CROP_IMAGE, random_crop_image)                                           \
    X(RANDOM_PAD_IMAGE, random_pad_image)                                             \
    X(RANDOM_CROP_PAD_IMAGE, random_crop_pad_image)                                   \
    X(RANDOM_CROP_TO_ASPECT_RATIO, random_crop_to_aspect_ratio)                       \
    X(RANDOM_BLACK_PATCHES, random_black_patches)                                     \
    X(RANDOM_RESIZE_METHOD, random_resize_method)                                     \
    X(SCALE_BOXES_TO_PIXEL_COORDINATES, scale_boxes_to_pixel_coordinates)             \
    X(RESIZE_IMAGE, resize_image)                                                     \
    X(SUBTRACT_CHANNEL_MEAN, subtract_channel_mean)                                   \
    X(SSD_RANDOM_CROP, ssd_random_crop)                                               \
    X(SSD_RANDOM_CROP_PAD, ssd_random_crop_pad)                                       \
    X(SSD_RANDOM_CROP_FIXED_ASPECT_RATIO, ssd_random_crop_fixed_aspect_ratio)         \
    X(SSD_RANDOM_CROP_PAD_FIXED_ASPECT_RATIO, ssd_random_crop_pad_fixed_aspect_ratio) \
    X(RANDOM_VERTICAL_FLIP, random_vertical_flip)                                     \
    X(RANDOM_ROTATION90, random_rotation90)                                           \
    X(RGB_TO_GRAY, rgb_to_gray)                                                       \
    X(CONVERT_CLASS_LOGITS_TO_SOFTMAX, convert_class_logits_to_softmax)               \
    X(RANDOM_ABSOLUTE_PAD_IMAGE, random_absolute_pad_image)                           \
    X(RANDOM_SELF_CONCAT_IMAGE, random_self_concat_image)                             \
    X(AUTOAUGMENT_IMAGE, autoaugment_image)                                           \
    X(DROP_LABEL_PROBABILISTICALLY, drop_label_probabilistically)                     \
    X(REMAP_LABELS, remap_labels)                                                     \
    X(RANDOM_JPEG_QUALITY, random_jpeg_quality)                                       \
    X(RANDOM_DOWNSCALE_TO_TARGET_PIXELS, random_downscale_to_target_pixels)           \
    X(RANDOM_PATCH_GAUSSIAN, random_patch_gaussian)                                   \
    X(RANDOM_SQUARE_CROP_BY_SCALE, random_square_crop_by_scale)                       \
    X(RANDOM_SCALE_CROP_AND_PAD_TO_SQUARE, random_scale_crop_and_pad_to_square)       \
    X(ADJUST_GAMMA, adjust_gamma)

enum det_augmentation_kind {
    DET_AUGMENTATION_NONE,
#define DET_AUGMENTATION_ENUM(name, field) DET_AUGMENTATION_##name,
    DET_AUGMENTATION_TABLE(DET_AUGMENTATION_ENUM)
#undef DET_AUGMENTATION_ENUM
        DET_AUGMENTATION_COUNT_
};

/* One crop rule: random_crop_image, and each operation of the ssd_random_crop family. */
struct det_crop_rule {
    float min_object_covered;
    float min_aspect_ratio, max_aspect_ratio;
    float min_area, max_area;
    float overlap_thresh;
    bool clip_boxes;
    float random_coef; /* probability of keeping the image as it is */
    /* the kinds that also pad; height, width */
    float min_padded_size_ratio[2], max_padded_size_ratio[2];
    bool has_pad_color; /* false: the image's mean colour */
    float pad_color[3]; /* 0..255 */
};

struct det_augmentation {
    int32_t kind; /* enum det_augmentation_kind, never NONE */
    struct det_position position;
    union {
        struct {
            float original_minval, original_maxval, target_minval, target_maxval;
        } normalize_image;
        struct {
            float probability;
        } flip; /* random_horizontal_flip, random_vertical_flip, random_rotation90 */
        struct {
            float minval, maxval;
        } random_pixel_value_scale;
        struct {
            float min_scale_ratio, max_scale_ratio;
        } random_image_scale;
        struct {
            float probability;
        } random_rgb_to_gray;
        struct {
            float max_delta;
        } random_adjust; /* brightness, hue */
        struct {
            float min_delta, max_delta;
        } random_adjust_range; /* contrast, saturation */
        struct {
            int32_t color_ordering; /* 0 or 1 */
        } random_distort_color;
        struct {
            float ratio;
            int32_t jitter_mode; /* enum det_jitter_mode */
        } random_jitter_boxes;
        struct det_crop_rule crop; /* random_crop_image, random_crop_pad_image */
        struct {
            int32_t min_image_height, min_image_width; /* 0: the image's own */
            int32_t max_image_height, max_image_width; /* 0: twice the image's own */
            struct det_float_list pad_color;           /* none (mean colour) or 3, 0..255 */
        } random_pad_image;
        struct {
            int32_t max_height_padding, max_width_padding; /* exclusive */
            struct det_float_list pad_color;
        } random_absolute_pad_image;
        struct {
            float aspect_ratio;
            float overlap_thresh;
            bool clip_boxes;
        } random_crop_to_aspect_ratio;
        struct {
            int32_t max_black_patches;
            float probability;
            float size_to_image_ratio;
        } random_black_patches;
        struct {
            int32_t target_height, target_width;
        } random_resize_method;
        struct {
            int32_t new_height, new_width;
            int32_t method; /* enum det_resize_image_method */
        } resize_image;
        struct {
            struct det_float_list means; /* 3 */
        } subtract_channel_mean;
        /* ssd_random_crop, _pad, _fixed_aspect_ratio, _pad_fixed_aspect_ratio. One rule is drawn
         * per image. When the config gives none these are the API's built-in ones. */
        struct {
            size_t count;
            const struct det_crop_rule *operations;
            float aspect_ratio; /* fixed_aspect_ratio kinds */
            struct det_float_list min_padded_size_ratio,
                max_padded_size_ratio; /* pad_fixed only: 2 each */
        } ssd_random_crop;
        struct {
            float temperature;
        } convert_class_logits_to_softmax;
        struct {
            float concat_vertical_probability, concat_horizontal_probability;
        } random_self_concat_image;
        struct {
            const char *policy_name;
        } autoaugment_image;
        struct {
            int32_t label;
            float drop_probability;
        } drop_label_probabilistically;
        struct {
            size_t original_label_count;
            const int32_t *original_labels;
            int32_t new_label;
        } remap_labels;
        struct {
            float random_coef;
            int32_t min_jpeg_quality, max_jpeg_quality;
        } random_jpeg_quality;
        struct {
            float random_coef;
            int32_t min_target_pixels, max_target_pixels;
        } random_downscale_to_target_pixels;
        struct {
            float random_coef;
            int32_t min_patch_size, max_patch_size;
            float min_gaussian_stddev, max_gaussian_stddev;
        } random_patch_gaussian;
        struct {
            int32_t max_border;
            float scale_min, scale_max;
            int32_t num_scales;
        } random_square_crop_by_scale;
        struct {
            int32_t output_size;
            float scale_min, scale_max;
        } random_scale_crop_and_pad_to_square;
        struct {
            float gamma, gain;
        } adjust_gamma;
    } as;
};

enum det_jitter_mode {
    DET_JITTER_DEFAULT = 0,
    DET_JITTER_EXPAND = 1,
    DET_JITTER_SHRINK = 2,
    DET_JITTER_EXPAND_SYMMETRIC = 4,
    DET_JITTER_SHRINK_SYMMETRIC = 5,
    DET_JITTER_EXPAND_SYMMETRIC_XY = 6,
    DET_JITTER_SHRINK_SYMMETRIC_XY = 7
};

enum det_resize_image_method {
    DET_RESIZE_IMAGE_AREA = 1,
    DET_RESIZE_IMAGE_BICUBIC = 2,
    DET_RESIZE_IMAGE_BILINEAR = 3,
    DET_RESIZE_IMAGE_NEAREST_NEIGHBOR = 4
};

/* "random_crop_image" and so on; never NULL. */
const char *det_augmentation_name(int32_t kind);

enum det_learning_rate_kind {
    DET_LEARNING_RATE_NONE,
    DET_LEARNING_RATE_CONSTANT,
    DET_LEARNING_RATE_EXPONENTIAL_DECAY,
    DET_LEARNING_RATE_MANUAL_STEP,
    DET_LEARNING_RATE_COSINE_DECAY
};

struct det_learning_rate_step {
    uint32_t step;
    float learning_rate;
    struct det_position position;
};

struct det_learning_rate_config {
    int32_t kind; /* enum det_learning_rate_kind, never NONE after reading */
    union {
        struct {
            float learning_rate;
        } constant;
        struct {
            float initial_learning_rate;
            uint32_t decay_steps;
            float decay_factor;
            bool staircase;
            float burnin_learning_rate; /* 0: the initial one */
            uint32_t burnin_steps;
            float min_learning_rate;
        } exponential_decay;
        struct {
            float initial_learning_rate;
            size_t count;
            const struct det_learning_rate_step *schedule; /* at least one, steps rise */
            bool warmup;
        } manual_step;
        struct {
            float learning_rate_base;
            uint32_t total_steps;
            float warmup_learning_rate;
            uint32_t warmup_steps;
            uint32_t hold_base_rate_steps;
        } cosine_decay;
    } as;
};

enum det_optimizer_kind {
    DET_OPTIMIZER_NONE,
    DET_OPTIMIZER_RMS_PROP,
    DET_OPTIMIZER_MOMENTUM,
    DET_OPTIMIZER_ADAM
};

struct det_optimizer_config {
    int32_t kind; /* enum det_optimizer_kind */
    struct det_learning_rate_config learning_rate;
    float momentum_optimizer_value; /* momentum, rms_prop */
    float decay;                    /* rms_prop */
    float epsilon;                  /* rms_prop, adam */
    bool use_moving_average;
    float moving_average_decay;
};

struct det_train_config {
    uint32_t batch_size;
    size_t augmentation_count;
    const struct det_augmentation *augmentations; /* in order */
    struct det_optimizer_config optimizer;
    float gradient_clipping_by_norm;       /* 0: none */
    const char *fine_tune_checkpoint;      /* "" : none */
    const char *fine_tune_checkpoint_type; /* "": see from_detection_checkpoint */
    bool from_detection_checkpoint;
    uint32_t num_steps;                                /* 0: no end */
    struct det_string_list update_trainable_variables; /* regular expressions on variable names */
    struct det_string_list freeze_variables;
    bool add_regularization_loss;
};

/* ---- eval_config, input readers ---- */

struct det_eval_config {
    uint32_t num_visualizations;
    struct det_string_list metrics_set;
    bool use_moving_averages;
    float min_score_threshold; /* of visualised boxes */
    int32_t max_num_boxes_to_visualize;
};

struct det_input_reader_config {
    struct det_position position;
    const char *name;
    const char *label_map_path;
    bool shuffle;
    int32_t max_number_of_boxes;        /* of an image that are learnt */
    struct det_string_list input_paths; /* files or patterns, as written */
};

/* ---- all ---- */

/* graph_rewriter.quantization: training with 8 bits' rounding in it. */
struct det_quantization_config {
    int32_t delay; /* steps before it begins */
    int32_t weight_bits, activation_bits;
};

struct det_pipeline_config {
    char *path;      /* as opened, or the name given to _parse */
    char *directory; /* folder of path */
    char *text;      /* the file's bytes, NUL-terminated */
    size_t text_bytes;

    struct det_ssd_config ssd;
    struct det_train_config train;
    bool has_train_config;
    struct det_input_reader_config train_input_reader;
    bool has_train_input_reader;
    struct det_quantization_config quantization;
    bool has_graph_rewriter;
    struct det_eval_config eval;
    size_t eval_input_reader_count;
    const struct det_input_reader_config *eval_input_readers;
    struct det_stage_refusals refusals; /* see det_pipeline_config_check_stage */

    /* Not of the file: det/pipeline_config.h. */
    det_class_match class_match;
    bool strict;

    struct det_prototext document; /* the tree, owner of all strings and lists */
    struct det_env *env;           /* set only for public handles */
};

det_status det_pipeline_config_read(struct det_env *env, const char *path,
                                    struct det_pipeline_config *config);
/* The directory is the folder part of `name`. */
det_status det_pipeline_config_read_text(struct det_env *env, const char *name, const char *text,
                                         size_t bytes, struct det_pipeline_config *config);
/* With fields set from outside (formats/pipeline_edit.h): `text` is then the changed one. */
det_status det_pipeline_config_read_with(struct det_env *env, const char *path,
                                         const char *const *assignments, size_t count,
                                         struct det_pipeline_config *config);
void det_pipeline_config_free(struct det_env *env, struct det_pipeline_config *config);

/* Where a field stands, by its path: "train_config.batch_size", "eval_input_reader.label_map_path"
 * (the first one). If it is not in the file, the position of the innermost message around it that
 * is (1:1 at worst). */
struct det_position det_pipeline_config_position(const struct det_pipeline_config *config,
                                                 const char *field);

/* Where the string `value` of this config stands in the file, told from equal ones by its address;
 * line 0 for one that is not from the file. */
struct det_position det_pipeline_config_value_position(const struct det_pipeline_config *config,
                                                       const char *value);

/* det_fail with "path:LINE:COL: " of that field in front. */
det_status det_pipeline_config_fail(struct det_env *env, det_status status,
                                    const struct det_pipeline_config *config, const char *field,
                                    const char *format, ...) DET_PRINTF(5, 6);

/* UNSUPPORTED when that stage, or one before it, reads something that cannot be honoured: the
 * message names field, line and column. */
det_status det_pipeline_config_check_stage(struct det_env *env,
                                           const struct det_pipeline_config *config,
                                           enum det_pipeline_stage stage);

/* The network's input size: of the fixed shape, or max_dimension both ways. */
void det_pipeline_config_input_size(const struct det_pipeline_config *config, int32_t *height,
                                    int32_t *width);

/* pipeline_learning_rate.c: PARSE naming line and field where the optimizer that is used has no
 * learning rate, or one that the API refuses. Reading a config asks. */
det_status det_pipeline_config_check_learning_rate(struct det_env *env,
                                                   const struct det_pipeline_config *config);
/* Multiplies every learning rate of the schedule (linear scaling with the batch size). */
void det_pipeline_config_scale_learning_rate(struct det_pipeline_config *config, float factor);
/* The schedule's main rate: constant, initial or base. */
float det_pipeline_config_base_learning_rate(const struct det_pipeline_config *config);

/* Of fine_tune_checkpoint_type; for messages. */
#define DET_CHECKPOINT_TYPES "\"detection\", \"full\", \"classification\" and \"fine_tune\""
bool det_pipeline_config_knows_checkpoint_type(const char *type);

/* Command-line overrides. Strings are copied. */
det_status det_pipeline_config_override_string(struct det_env *env,
                                               struct det_pipeline_config *config,
                                               const char **field, const char *value);

#endif
