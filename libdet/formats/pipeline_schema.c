/* pipeline_schema.c: the tables of pipeline.config, from the whole file down to the single number;
 * augmentations are in pipeline_schema_augmentation.c. Names and defaults as in
 * research/object_detection/protos of the TF Object Detection API. A field without a range takes
 * any finite value of its type. */
#include "formats/pipeline_schema.h"

#include "formats/pipeline_config.h"

/* ---- hyperparams.proto ---- */

#define BASE struct det_regularizer_config
static const struct det_schema_field l1_l2[] = {DET_FLOAT(weight, 1, 0, 1e6)};
static const struct det_schema_message l1_message = DET_TABLE("L1Regularizer", l1_l2);
static const struct det_schema_message l2_message = DET_TABLE("L2Regularizer", l1_l2);
static const struct det_schema_field regularizer[] = {
    {DET_FIELD(l1_regularizer, MESSAGE), .oneof = 1, DET_MARK_INT(kind, DET_REGULARIZER_L1),
     .message = &l1_message},
    {DET_FIELD(l2_regularizer, MESSAGE), .oneof = 1, DET_MARK_INT(kind, DET_REGULARIZER_L2),
     .message = &l2_message},
};
static const struct det_schema_message regularizer_message = DET_TABLE("Regularizer", regularizer);
#undef BASE

#define BASE struct det_initializer_config
static const struct det_schema_field normal[] = {DET_FLOAT(mean, 0, 0, 0),
                                                 DET_FLOAT(stddev, 1, 0, 1e6)};
static const struct det_schema_message truncated_normal_message =
    DET_TABLE("TruncatedNormalInitializer", normal);
static const struct det_schema_message random_normal_message =
    DET_TABLE("RandomNormalInitializer", normal);
static const struct det_schema_word fan_modes[] = {
    {"FAN_IN", DET_FAN_IN}, {"FAN_OUT", DET_FAN_OUT}, {"FAN_AVG", DET_FAN_AVG}, {NULL, 0}};
static const struct det_schema_field variance_scaling[] = {
    DET_FLOAT(factor, 2, 1e-12, 1e6), DET_BOOL(uniform, 0), DET_ENUM(mode, fan_modes, DET_FAN_IN)};
static const struct det_schema_message variance_scaling_message =
    DET_TABLE("VarianceScalingInitializer", variance_scaling);
static const struct det_schema_field initializer[] = {
    {DET_FIELD(truncated_normal_initializer, MESSAGE), .oneof = 1,
     DET_MARK_INT(kind, DET_INITIALIZER_TRUNCATED_NORMAL), .message = &truncated_normal_message},
    {DET_FIELD(variance_scaling_initializer, MESSAGE), .oneof = 1,
     DET_MARK_INT(kind, DET_INITIALIZER_VARIANCE_SCALING), .message = &variance_scaling_message},
    {DET_FIELD(random_normal_initializer, MESSAGE), .oneof = 1,
     DET_MARK_INT(kind, DET_INITIALIZER_RANDOM_NORMAL), .message = &random_normal_message},
    DET_REFUSED(keras_initializer_by_name, STRING, 0,
                "use truncated_normal, variance_scaling or random_normal"),
};
static const struct det_schema_message initializer_message = DET_TABLE("Initializer", initializer);
#undef BASE

#define BASE struct det_batch_norm_config
static const struct det_schema_field batch_norm[] = {
    DET_FLOAT(decay, .999, 0, 1), DET_BOOL(center, 1), DET_BOOL(scale, 0),
    DET_FLOAT(epsilon, .001, 1e-12, 1), DET_BOOL(train, 1)};
static const struct det_schema_message batch_norm_message = DET_TABLE("BatchNorm", batch_norm);
#undef BASE

#define BASE struct det_hyperparams
static const struct det_schema_word ops[] = {{"CONV", 1}, {"FC", 2}, {NULL, 0}};
static const struct det_schema_word activations[] = {{"NONE", DET_CONFIG_ACTIVATION_NONE},
                                                     {"RELU", DET_CONFIG_ACTIVATION_RELU},
                                                     {"RELU_6", DET_CONFIG_ACTIVATION_RELU_6},
                                                     {"SWISH", DET_CONFIG_ACTIVATION_SWISH_},
                                                     {NULL, 0}};
static const struct det_schema_field hyperparams[] = {
    {DET_FIELD(op, ENUM), .use = DET_SCHEMA_REFUSED, .words = ops, .fallback = 1,
     .reason = "the network has convolutions only (CONV)"},
    DET_MESSAGE(regularizer, regularizer_message),
    DET_MESSAGE(initializer, initializer_message),
    DET_ENUM(activation, activations, DET_CONFIG_ACTIVATION_RELU),
    {DET_FIELD(batch_norm, MESSAGE), DET_AT(batch_norm), .oneof = 1, DET_MARK_BOOL(has_batch_norm),
     .message = &batch_norm_message},
    /* Over the one replica of one machine it is batch_norm. */
    {DET_FIELD(sync_batch_norm, MESSAGE), DET_AT(batch_norm), .oneof = 1,
     DET_MARK_BOOL(has_batch_norm), .message = &batch_norm_message},
    {DET_FIELD(group_norm, MESSAGE), .oneof = 1, .use = DET_SCHEMA_REFUSED,
     .reason = "batch_norm is"},
    DET_HARMLESS(
        regularize_depthwise, BOOL,
        "the API's Keras layers do not read it: depthwise kernels are regularised either way"),
    DET_REFUSED(force_use_bias, BOOL, 0, "convolutions before a batch norm have no bias"),
};
static const struct det_schema_message hyperparams_message = DET_TABLE("Hyperparams", hyperparams);
#undef BASE

/* ---- image_resizer.proto ---- */

#define BASE struct det_resizer_config
static const struct det_schema_word resize_types[] = {
    {"BILINEAR", 0}, {"NEAREST_NEIGHBOR", 1}, {"BICUBIC", 2}, {"AREA", 3}, {NULL, 0}};
#define RESIZE_METHOD                                                                     \
    {                                                                                     \
        DET_FIELD(resize_method, ENUM), .use = DET_SCHEMA_REFUSED, .words = resize_types, \
                                        .reason = "only BILINEAR is"                      \
    }
#define GRAYSCALE DET_REFUSED(convert_to_grayscale, BOOL, 0, "the network has three input channels")
static const struct det_schema_field fixed_shape[] = {
    DET_INT(height, 300, 1, 16384), DET_INT(width, 300, 1, 16384), RESIZE_METHOD, GRAYSCALE};
static const struct det_schema_message fixed_shape_message =
    DET_TABLE("FixedShapeResizer", fixed_shape);
static const struct det_schema_field keep_aspect_ratio[] = {
    DET_INT(min_dimension, 600, 1, 16384),
    DET_INT(max_dimension, 1024, 1, 16384),
    RESIZE_METHOD,
    DET_BOOL(pad_to_max_dimension, 0),
    GRAYSCALE,
    DET_LIST(per_channel_pad_value, FLOAT, per_channel_pad_value),
};
static const struct det_schema_message keep_aspect_ratio_message =
    DET_TABLE("KeepAspectRatioResizer", keep_aspect_ratio);
#define ONE_SIZE "use fixed_shape_resizer or keep_aspect_ratio_resizer"
static const struct det_schema_field image_resizer[] = {
    {DET_FIELD(fixed_shape_resizer, MESSAGE), .oneof = 1,
     DET_MARK_INT(kind, DET_RESIZER_FIXED_SHAPE), .message = &fixed_shape_message},
    {DET_FIELD(keep_aspect_ratio_resizer, MESSAGE), .oneof = 1,
     DET_MARK_INT(kind, DET_RESIZER_KEEP_ASPECT_RATIO), .message = &keep_aspect_ratio_message},
    DET_REFUSED(identity_resizer, MESSAGE, 0, ONE_SIZE),
    DET_REFUSED(conditional_shape_resizer, MESSAGE, 0, ONE_SIZE),
    DET_REFUSED(pad_to_multiple_resizer, MESSAGE, 0, ONE_SIZE),
};
static const struct det_schema_message image_resizer_message =
    DET_TABLE("ImageResizer", image_resizer);
#undef BASE

/* ---- ssd.proto: feature extractor ---- */

#define BASE struct det_fpn_config
static const struct det_schema_field fpn[] = {DET_INT(min_level, 3, 3, 5),
                                              DET_INT(max_level, 7, 3, 9),
                                              DET_INT(additional_layer_depth, 256, 1, 4096)};
static const struct det_schema_message fpn_message = DET_TABLE("FeaturePyramidNetworks", fpn);
#undef BASE

#define BASE struct det_feature_extractor_config
static const struct det_schema_field feature_extractor[] = {
    DET_STRING(type, ""),
    DET_FLOAT(depth_multiplier, 1, .01, 16),
    DET_INT(min_depth, 16, 1, 4096),
    {DET_FIELD(conv_hyperparams, MESSAGE), DET_AT(conv_hyperparams),
     DET_MARK_BOOL(has_conv_hyperparams), .message = &hyperparams_message},
    DET_BOOL(override_base_feature_extractor_hyperparams, 0),
    DET_INT(pad_to_multiple, 1, 1, 16384),
    DET_REFUSED(use_explicit_padding, BOOL, 0, "convolutions pad as TensorFlow's SAME does"),
    DET_BOOL(use_depthwise, 0),
    {DET_FIELD(fpn, MESSAGE), DET_AT(fpn), .oneof = 1, .message = &fpn_message},
    {DET_FIELD(bifpn, MESSAGE), .oneof = 1, .use = DET_SCHEMA_REFUSED, .reason = "fpn is"},
    DET_REFUSED(replace_preprocessor_with_placeholder, BOOL, 0,
                "images are always normalised by the feature extractor's own rule"),
    DET_HARMLESS(num_layers, INT,
                 "counts the maps of plain SSD; the FPN extractor does not read it"),
    DET_REFUSED(spaghettinet_arch_name, STRING, 0, "names another backbone"),
};
static const struct det_schema_message feature_extractor_message =
    DET_TABLE("SsdFeatureExtractor", feature_extractor);
#undef BASE

/* ---- box coder, matcher, similarity ---- */

#define BASE struct det_box_coder_config
static const struct det_schema_field faster_rcnn_coder[] = {
    DET_FLOAT(y_scale, 10, 1e-6, 1e6), DET_FLOAT(x_scale, 10, 1e-6, 1e6),
    DET_FLOAT(height_scale, 5, 1e-6, 1e6), DET_FLOAT(width_scale, 5, 1e-6, 1e6)};
static const struct det_schema_message faster_rcnn_coder_message =
    DET_TABLE("FasterRcnnBoxCoder", faster_rcnn_coder);
#define ONE_CODER "faster_rcnn_box_coder is"
static const struct det_schema_field box_coder[] = {
    {DET_FIELD(faster_rcnn_box_coder, MESSAGE), .oneof = 1, .message = &faster_rcnn_coder_message},
    DET_REFUSED(mean_stddev_box_coder, MESSAGE, 0, ONE_CODER),
    DET_REFUSED(square_box_coder, MESSAGE, 0, ONE_CODER),
    DET_REFUSED(keypoint_box_coder, MESSAGE, 0, ONE_CODER),
};
static const struct det_schema_message box_coder_message = DET_TABLE("BoxCoder", box_coder);
#undef BASE

#define BASE struct det_matcher_config
static const struct det_schema_field argmax_matcher[] = {
    DET_FLOAT(matched_threshold, .5, 0, 1),
    DET_FLOAT(unmatched_threshold, .5, 0, 1),
    DET_BOOL(ignore_thresholds, 0),
    DET_BOOL(negatives_lower_than_unmatched, 1),
    DET_BOOL(force_match_for_each_row, 0),
    DET_HARMLESS(use_matmul_gather, BOOL, "another way to compute the same"),
};
static const struct det_schema_message argmax_matcher_message =
    DET_TABLE("ArgMaxMatcher", argmax_matcher);
static const struct det_schema_field matcher[] = {
    {DET_FIELD(argmax_matcher, MESSAGE), .oneof = 1, .message = &argmax_matcher_message},
    DET_REFUSED(bipartite_matcher, MESSAGE, 0, "argmax_matcher is"),
};
static const struct det_schema_message matcher_message = DET_TABLE("Matcher", matcher);
#undef BASE

static const struct det_schema_message iou_message = {.name = "IouSimilarity"};
#define ONE_SIMILARITY "iou_similarity is"
static const struct det_schema_field similarity[] = {
    {DET_FIELD(iou_similarity, MESSAGE), .oneof = 1, .message = &iou_message},
    DET_REFUSED(neg_sq_dist_similarity, MESSAGE, 0, ONE_SIMILARITY),
    DET_REFUSED(ioa_similarity, MESSAGE, 0, ONE_SIMILARITY),
    DET_REFUSED(thresholded_iou_similarity, MESSAGE, 0, ONE_SIMILARITY),
};
static const struct det_schema_message similarity_message = {.name = "RegionSimilarityCalculator",
                                                             .fields = similarity,
                                                             .count = sizeof similarity /
                                                                      sizeof similarity[0]};

/* ---- box_predictor.proto ---- */

#define BASE struct det_clip_range
static const struct det_schema_field clip_range[] = {DET_FLOAT(min, 0, 0, 0),
                                                     DET_FLOAT(max, 0, 0, 0)};
static const struct det_schema_message clip_range_message =
    DET_TABLE("BoxEncodingsClipRange", clip_range);
#undef BASE

#define BASE struct det_box_predictor_config
static const struct det_schema_word predictor_converters[] = {
    {"IDENTITY", 0}, {"SIGMOID", 1}, {NULL, 0}};
static const struct det_schema_field weight_shared[] = {
    {DET_FIELD(conv_hyperparams, MESSAGE), DET_AT(conv_hyperparams),
     DET_MARK_BOOL(has_conv_hyperparams), .message = &hyperparams_message},
    DET_INT(num_layers_before_predictor, 0, 0, 64),
    DET_INT(depth, 0, 0, 4096),
    DET_INT(kernel_size, 3, 1, 15),
    DET_REFUSED(box_code_size, INT, 4, "a box has four numbers"),
    DET_FLOAT(class_prediction_bias_init, 0, 0, 0),
    DET_BOOL(use_dropout, 0),
    DET_FLOAT(dropout_keep_probability, .8, 1e-6, 1),
    DET_BOOL(share_prediction_tower, 0),
    DET_BOOL(use_depthwise, 0),
    DET_REFUSED(apply_conv_hyperparams_pointwise, BOOL, 0,
                "regularizer and initializer go to the depthwise kernels only"),
    DET_REFUSED(mask_head, MESSAGE, 0, "boxes are predicted, masks are not"),
    {DET_FIELD(score_converter, ENUM), .use = DET_SCHEMA_REFUSED, .words = predictor_converters,
     .reason = "scores are converted in post_processing"},
    {DET_FIELD(box_encodings_clip_range, MESSAGE), DET_AT(box_encodings_clip_range),
     DET_MARK_BOOL(has_box_encodings_clip_range), .message = &clip_range_message},
};
static const struct det_schema_message weight_shared_message =
    DET_TABLE("WeightSharedConvolutionalBoxPredictor", weight_shared);
#define ONE_PREDICTOR "weight_shared_convolutional_box_predictor is"
static const struct det_schema_field box_predictor[] = {
    {DET_FIELD(weight_shared_convolutional_box_predictor, MESSAGE), .oneof = 1,
     .message = &weight_shared_message},
    DET_REFUSED(convolutional_box_predictor, MESSAGE, 0, ONE_PREDICTOR),
    DET_REFUSED(mask_rcnn_box_predictor, MESSAGE, 0, ONE_PREDICTOR),
    DET_REFUSED(rfcn_box_predictor, MESSAGE, 0, ONE_PREDICTOR),
};
static const struct det_schema_message box_predictor_message =
    DET_TABLE("BoxPredictor", box_predictor);
#undef BASE

/* ---- anchors ---- */

#define BASE struct det_anchor_config
static const struct det_schema_field multiscale[] = {
    DET_INT(min_level, 3, 1, 12),
    DET_INT(max_level, 7, 1, 12),
    DET_FLOAT(anchor_scale, 4, 1e-3, 1e3),
    DET_LIST(aspect_ratios, FLOAT, aspect_ratios),
    DET_INT(scales_per_octave, 2, 1, 64),
    DET_REFUSED(normalize_coordinates, BOOL, 1, "anchors are in normalised coordinates"),
};
static const struct det_schema_message multiscale_message =
    DET_TABLE("MultiscaleAnchorGenerator", multiscale);
#define ONE_GENERATOR "multiscale_anchor_generator is"
static const struct det_schema_field anchor_generator[] = {
    {DET_FIELD(multiscale_anchor_generator, MESSAGE), .oneof = 1, .message = &multiscale_message},
    DET_REFUSED(grid_anchor_generator, MESSAGE, 0, ONE_GENERATOR),
    DET_REFUSED(ssd_anchor_generator, MESSAGE, 0, ONE_GENERATOR),
    DET_REFUSED(flexible_grid_anchor_generator, MESSAGE, 0, ONE_GENERATOR),
};
static const struct det_schema_message anchor_generator_message =
    DET_TABLE("AnchorGenerator", anchor_generator);
#undef BASE

/* ---- post_processing.proto ---- */

#define BASE     struct det_nms_config
#define SAME_NMS "another implementation of the same suppression"
static const struct det_schema_field nms[] = {
    DET_FLOAT(score_threshold, 0, -1e6, 1e6),
    DET_FLOAT(iou_threshold, .6, 0, 1),
    DET_INT(max_detections_per_class, 100, 1, 1000000),
    DET_INT(max_total_detections, 100, 1, 1000000),
    DET_HARMLESS(use_static_shapes, BOOL, "shapes of the graph on TPUs"),
    DET_BOOL(use_class_agnostic_nms, 0),
    DET_INT(max_classes_per_detection, 1, 1, 1000000),
    DET_FLOAT(soft_nms_sigma, 0, 0, 1e6),
    DET_HARMLESS(use_partitioned_nms, BOOL, SAME_NMS),
    DET_REFUSED(use_combined_nms, BOOL, 0, "the plain suppression is"),
    DET_REFUSED(combined_nms, BOOL, 0, "the plain suppression is"),
    DET_REFUSED(change_coordinate_frame, BOOL, 1,
                "boxes are relative to the image without padding"),
    DET_HARMLESS(use_hard_nms, BOOL, SAME_NMS),
    DET_HARMLESS(use_cpu_nms, BOOL, SAME_NMS),
};
static const struct det_schema_message nms_message = DET_TABLE("BatchNonMaxSuppression", nms);
#undef BASE

#define BASE struct det_post_processing_config
static const struct det_schema_word converters[] = {{"IDENTITY", DET_SCORE_IDENTITY},
                                                    {"SIGMOID", DET_SCORE_SIGMOID},
                                                    {"SOFTMAX", DET_SCORE_SOFTMAX_},
                                                    {NULL, 0}};
static const struct det_schema_field post_processing[] = {
    {DET_FIELD(batch_non_max_suppression, MESSAGE), DET_AT(nms), .message = &nms_message},
    DET_ENUM(score_converter, converters, DET_SCORE_IDENTITY),
    DET_FLOAT(logit_scale, 1, 1e-6, 1e6),
    DET_REFUSED(calibration_config, MESSAGE, 0, "scores are not calibrated"),
};
static const struct det_schema_message post_processing_message =
    DET_TABLE("PostProcessing", post_processing);
#undef BASE

/* ---- losses.proto ---- */

#define ANCHORWISE DET_HARMLESS(anchorwise_output, BOOL, "deprecated, nothing reads it")

#define BASE struct det_localization_loss_config
static const struct det_schema_field smooth_l1[] = {ANCHORWISE, DET_FLOAT(delta, 1, 1e-6, 1e6)};
static const struct det_schema_field weighted_l2[] = {ANCHORWISE};
static const struct det_schema_message smooth_l1_message =
    DET_TABLE("WeightedSmoothL1LocalizationLoss", smooth_l1);
static const struct det_schema_message l2_loss_message =
    DET_TABLE("WeightedL2LocalizationLoss", weighted_l2);
#define TWO_LOCALIZATIONS "weighted_smooth_l1 and weighted_l2 are"
static const struct det_schema_field localization_loss[] = {
    {DET_FIELD(weighted_l2, MESSAGE), .oneof = 1, DET_MARK_INT(kind, DET_LOCALIZATION_LOSS_L2),
     .message = &l2_loss_message},
    {DET_FIELD(weighted_smooth_l1, MESSAGE), .oneof = 1,
     DET_MARK_INT(kind, DET_LOCALIZATION_LOSS_SMOOTH_L1), .message = &smooth_l1_message},
    DET_REFUSED(weighted_iou, MESSAGE, 0, TWO_LOCALIZATIONS),
    DET_REFUSED(l1_localization_loss, MESSAGE, 0, TWO_LOCALIZATIONS),
    DET_REFUSED(weighted_giou, MESSAGE, 0, TWO_LOCALIZATIONS),
};
static const struct det_schema_message localization_loss_message =
    DET_TABLE("LocalizationLoss", localization_loss);
#undef BASE

#define BASE struct det_classification_loss_config
static const struct det_schema_field sigmoid_loss[] = {ANCHORWISE};
static const struct det_schema_message sigmoid_loss_message =
    DET_TABLE("WeightedSigmoidClassificationLoss", sigmoid_loss);
static const struct det_schema_field focal_loss[] = {
    ANCHORWISE,
    DET_FLOAT(gamma, 2, 0, 100),
    {DET_FIELD(alpha, FLOAT), DET_AT(alpha), DET_MARK_BOOL(has_alpha), .low = 0, .high = 1},
};
static const struct det_schema_message focal_loss_message =
    DET_TABLE("SigmoidFocalClassificationLoss", focal_loss);
#define TWO_CLASSIFICATIONS "weighted_sigmoid_focal and weighted_sigmoid are"
static const struct det_schema_field classification_loss[] = {
    {DET_FIELD(weighted_sigmoid, MESSAGE), .oneof = 1,
     DET_MARK_INT(kind, DET_CLASSIFICATION_LOSS_SIGMOID), .message = &sigmoid_loss_message},
    {DET_FIELD(weighted_sigmoid_focal, MESSAGE), .oneof = 1,
     DET_MARK_INT(kind, DET_CLASSIFICATION_LOSS_SIGMOID_FOCAL), .message = &focal_loss_message},
    DET_REFUSED(weighted_softmax, MESSAGE, 0, TWO_CLASSIFICATIONS),
    DET_REFUSED(weighted_logits_softmax, MESSAGE, 0, TWO_CLASSIFICATIONS),
    DET_REFUSED(bootstrapped_sigmoid, MESSAGE, 0, TWO_CLASSIFICATIONS),
    DET_REFUSED(penalty_reduced_logistic_focal_loss, MESSAGE, 0, TWO_CLASSIFICATIONS),
    DET_REFUSED(weighted_dice_classification_loss, MESSAGE, 0, TWO_CLASSIFICATIONS),
};
static const struct det_schema_message classification_loss_message =
    DET_TABLE("ClassificationLoss", classification_loss);
#undef BASE

#define BASE struct det_hard_example_miner_config
static const struct det_schema_word miner_losses[] = {{"BOTH", DET_MINER_BOTH},
                                                      {"CLASSIFICATION", DET_MINER_CLASSIFICATION},
                                                      {"LOCALIZATION", DET_MINER_LOCALIZATION},
                                                      {NULL, 0}};
static const struct det_schema_field miner[] = {
    DET_INT(num_hard_examples, 64, 0, 1000000000),
    DET_FLOAT(iou_threshold, .7, 0, 1),
    DET_ENUM(loss_type, miner_losses, DET_MINER_BOTH),
    DET_INT(max_negatives_per_positive, 0, 0, 1000000000),
    DET_INT(min_negatives_per_image, 0, 0, 1000000000),
};
static const struct det_schema_message miner_message = DET_TABLE("HardExampleMiner", miner);
#undef BASE

#define BASE struct det_loss_config
static const struct det_schema_word expected_weights[] = {
    {"NONE", 0}, {"EXPECTED_SAMPLING", 1}, {"REWEIGHTING_UNMATCHED_ANCHORS", 2}, {NULL, 0}};
#define ONLY_EXPECTED "only read with expected_loss_weights, which is refused"
static const struct det_schema_field loss[] = {
    {DET_FIELD(localization_loss, MESSAGE), DET_AT(localization),
     .message = &localization_loss_message},
    {DET_FIELD(classification_loss, MESSAGE), DET_AT(classification),
     .message = &classification_loss_message},
    {DET_FIELD(hard_example_miner, MESSAGE), DET_AT(hard_example_miner),
     DET_MARK_BOOL(has_hard_example_miner), .message = &miner_message},
    DET_FLOAT(classification_weight, 1, 0, 1e6),
    DET_FLOAT(localization_weight, 1, 0, 1e6),
    DET_REFUSED(random_example_sampler, MESSAGE, 0, "all anchors take part in the loss"),
    DET_REFUSED(equalization_loss, MESSAGE, 0, "all classes weigh the same"),
    {DET_FIELD(expected_loss_weights, ENUM), .use = DET_SCHEMA_REFUSED, .words = expected_weights,
     .reason = "only NONE is"},
    DET_HARMLESS(min_num_negative_samples, FLOAT, ONLY_EXPECTED),
    DET_HARMLESS(desired_negative_sampling_ratio, FLOAT, ONLY_EXPECTED),
};
static const struct det_schema_message loss_message = DET_TABLE("Loss", loss);
#undef BASE

/* ---- ssd.proto, model.proto ---- */

#define BASE struct det_ssd_config
static const struct det_schema_field ssd[] = {
    DET_INT(num_classes, 0, 1, 100000),
    DET_MESSAGE(image_resizer, image_resizer_message),
    DET_MESSAGE(feature_extractor, feature_extractor_message),
    DET_MESSAGE(box_coder, box_coder_message),
    DET_MESSAGE(matcher, matcher_message),
    {DET_FIELD(similarity_calculator, MESSAGE), .message = &similarity_message},
    DET_BOOL(encode_background_as_zeros, 0),
    DET_FLOAT(negative_class_weight, 1, 0, 1),
    DET_MESSAGE(box_predictor, box_predictor_message),
    DET_MESSAGE(anchor_generator, anchor_generator_message),
    DET_MESSAGE(post_processing, post_processing_message),
    DET_BOOL(normalize_loss_by_num_matches, 1),
    DET_BOOL(normalize_loc_loss_by_codesize, 0),
    DET_MESSAGE(loss, loss_message),
    DET_BOOL(freeze_batchnorm, 0),
    DET_HARMLESS(inplace_batchnorm_update, BOOL, "when TF1 graphs update the moving averages"),
    DET_BOOL(add_background_class, 1),
    DET_REFUSED(explicit_background_class, BOOL, 0, "class ids are 1..K without a background"),
    DET_REFUSED(use_confidences_as_targets, BOOL, 0, "targets are 0 and 1"),
    DET_REFUSED(implicit_example_weight, FLOAT, 1, "only 1 is"),
    DET_HARMLESS(return_raw_detections_during_predict, BOOL, "asks for additional outputs only"),
    DET_REFUSED(mask_head_config, MESSAGE, 0, "boxes are predicted, masks are not"),
};
static const struct det_schema_message ssd_message = DET_TABLE("Ssd", ssd);
#define ONE_MODEL "ssd is"
static const struct det_schema_field model[] = {
    {DET_FIELD(ssd, MESSAGE), .oneof = 1, .message = &ssd_message},
    DET_REFUSED(faster_rcnn, MESSAGE, 0, ONE_MODEL),
    DET_REFUSED(center_net, MESSAGE, 0, ONE_MODEL),
    DET_REFUSED(experimental_model, MESSAGE, 0, ONE_MODEL),
};
static const struct det_schema_message model_message = DET_TABLE("DetectionModel", model);
#undef BASE

/* ---- optimizer.proto ---- */

#define BASE struct det_learning_rate_config
#define RATE(field, member, value)                                                             \
    {                                                                                          \
        DET_FIELD(field, FLOAT), DET_AT(as.member), .fallback = (value), .low = 0, .high = 1e6 \
    }
#define STEPS(field, member, value, least)                                              \
    {                                                                                   \
        DET_FIELD(field, UINT), DET_AT(as.member), .fallback = (value), .low = (least), \
                                                   .high = 4294967295.                  \
    }
static const struct det_schema_field constant_rate[] = {
    RATE(learning_rate, constant.learning_rate, .002)};
static const struct det_schema_field exponential_rate[] = {
    RATE(initial_learning_rate, exponential_decay.initial_learning_rate, .002),
    STEPS(decay_steps, exponential_decay.decay_steps, 4000000, 1),
    RATE(decay_factor, exponential_decay.decay_factor, .95),
    {DET_FIELD(staircase, BOOL), DET_AT(as.exponential_decay.staircase), .fallback = 1},
    RATE(burnin_learning_rate, exponential_decay.burnin_learning_rate, 0),
    STEPS(burnin_steps, exponential_decay.burnin_steps, 0, 0),
    RATE(min_learning_rate, exponential_decay.min_learning_rate, 0),
};
static const struct det_schema_field cosine_rate[] = {
    RATE(learning_rate_base, cosine_decay.learning_rate_base, .002),
    STEPS(total_steps, cosine_decay.total_steps, 4000000, 1),
    RATE(warmup_learning_rate, cosine_decay.warmup_learning_rate, .0002),
    STEPS(warmup_steps, cosine_decay.warmup_steps, 10000, 0),
    STEPS(hold_base_rate_steps, cosine_decay.hold_base_rate_steps, 0, 0),
};
static const struct det_schema_message constant_rate_message =
    DET_TABLE("ConstantLearningRate", constant_rate);
static const struct det_schema_message exponential_rate_message =
    DET_TABLE("ExponentialDecayLearningRate", exponential_rate);
static const struct det_schema_message cosine_rate_message =
    DET_TABLE("CosineDecayLearningRate", cosine_rate);
#undef BASE
#define BASE struct det_learning_rate_step
static const struct det_schema_field rate_step[] = {
    {DET_FIELD(step, UINT), DET_AT(step)},
    DET_FLOAT(learning_rate, .002, 0, 1e6),
};
static const struct det_schema_message rate_step_message =
    DET_TABLE("LearningRateSchedule", rate_step);
#undef BASE
#define BASE struct det_learning_rate_config
static const struct det_schema_field manual_rate[] = {
    RATE(initial_learning_rate, manual_step.initial_learning_rate, .002),
    {DET_FIELD(schedule, MESSAGE), DET_AT(as.manual_step.count), .repeated = true,
     .message = &rate_step_message},
    {DET_FIELD(warmup, BOOL), DET_AT(as.manual_step.warmup)},
};
static const struct det_schema_message manual_rate_message =
    DET_TABLE("ManualStepLearningRate", manual_rate);
#define SCHEDULE(field, which, table)                                                         \
    {                                                                                         \
        DET_FIELD(field, MESSAGE), .oneof = 1, DET_MARK_INT(kind, DET_LEARNING_RATE_##which), \
                                   .message = &(table)                                        \
    }
static const struct det_schema_field learning_rate[] = {
    SCHEDULE(constant_learning_rate, CONSTANT, constant_rate_message),
    SCHEDULE(exponential_decay_learning_rate, EXPONENTIAL_DECAY, exponential_rate_message),
    SCHEDULE(manual_step_learning_rate, MANUAL_STEP, manual_rate_message),
    SCHEDULE(cosine_decay_learning_rate, COSINE_DECAY, cosine_rate_message),
};
static const struct det_schema_message learning_rate_message =
    DET_TABLE("LearningRate", learning_rate);
#undef BASE

#define BASE struct det_optimizer_config
static const struct det_schema_field rms_prop[] = {
    DET_MESSAGE(learning_rate, learning_rate_message),
    DET_FLOAT(momentum_optimizer_value, .9, 0, 1),
    DET_FLOAT(decay, .9, 0, 1),
    DET_FLOAT(epsilon, 1, 1e-12, 1e6),
};
static const struct det_schema_field momentum[] = {
    DET_MESSAGE(learning_rate, learning_rate_message),
    DET_FLOAT(momentum_optimizer_value, .9, 0, 1),
};
static const struct det_schema_field adam[] = {
    DET_MESSAGE(learning_rate, learning_rate_message),
    DET_FLOAT(epsilon, 1e-8, 1e-12, 1e6),
};
static const struct det_schema_message rms_prop_message = DET_TABLE("RMSPropOptimizer", rms_prop);
static const struct det_schema_message momentum_message = DET_TABLE("MomentumOptimizer", momentum);
static const struct det_schema_message adam_message = DET_TABLE("AdamOptimizer", adam);
static const struct det_schema_field optimizer[] = {
    {DET_FIELD(rms_prop_optimizer, MESSAGE), .oneof = 1, DET_MARK_INT(kind, DET_OPTIMIZER_RMS_PROP),
     .message = &rms_prop_message},
    {DET_FIELD(momentum_optimizer, MESSAGE), .oneof = 1, DET_MARK_INT(kind, DET_OPTIMIZER_MOMENTUM),
     .message = &momentum_message},
    {DET_FIELD(adam_optimizer, MESSAGE), .oneof = 1, DET_MARK_INT(kind, DET_OPTIMIZER_ADAM),
     .message = &adam_message},
    DET_BOOL(use_moving_average, 1),
    DET_FLOAT(moving_average_decay, .9999, 0, 1),
};
static const struct det_schema_message optimizer_message = DET_TABLE("Optimizer", optimizer);
#undef BASE

/* ---- train.proto ---- */

#define BASE     struct det_train_config
#define REPLICAS "there is one replica"
#define QUEUES   "sizes of TensorFlow's own queues"
static const struct det_schema_word checkpoint_versions[] = {
    {"UNKNOWN", 0}, {"V1", 1}, {"V2", 2}, {NULL, 0}};
static const struct det_schema_field train[] = {
    DET_UINT(batch_size, 32, 1, 1000000),
    {DET_FIELD(data_augmentation_options, MESSAGE), DET_AT(augmentation_count), .repeated = true,
     .message = &det_schema_augmentation},
    DET_HARMLESS(sync_replicas, BOOL, REPLICAS),
    DET_UINT(keep_checkpoint_every_n_hours, 1000, 0, 4294967295.),
    DET_MESSAGE(optimizer, optimizer_message),
    DET_FLOAT(gradient_clipping_by_norm, 0, 0, 3e38),
    DET_STRING(fine_tune_checkpoint, ""),
    DET_STRING(fine_tune_checkpoint_type, ""),
    {DET_FIELD(fine_tune_checkpoint_version, ENUM), .use = DET_SCHEMA_HARMLESS,
     .words = checkpoint_versions, .reason = "the checkpoint's own files tell"},
    DET_BOOL(from_detection_checkpoint, 0),
    DET_BOOL(load_all_detection_checkpoint_vars, 0),
    {DET_FIELD(num_steps, UINT), DET_AT(num_steps)},
    DET_HARMLESS(startup_delay_steps, FLOAT, REPLICAS),
    DET_FLOAT(bias_grad_multiplier, 0, 0, 3e38),
    DET_LIST(update_trainable_variables, STRING, update_trainable_variables),
    DET_LIST(freeze_variables, STRING, freeze_variables),
    DET_HARMLESS(replicas_to_aggregate, INT, REPLICAS),
    DET_HARMLESS(batch_queue_capacity, INT, QUEUES),
    DET_HARMLESS(num_batch_queue_threads, INT, QUEUES),
    DET_HARMLESS(prefetch_queue_capacity, INT, QUEUES),
    DET_BOOL(merge_multiple_label_boxes, 0),
    DET_REFUSED(use_multiclass_scores, BOOL, 0, "a box has one class"),
    DET_BOOL(add_regularization_loss, 1),
    DET_INT(max_number_of_boxes, 100, 0, 1000000),
    DET_HARMLESS(unpad_groundtruth_tensors, BOOL,
                 "ground truth is never padded here; padding has no weight"),
    DET_HARMLESS(retain_original_images, BOOL, "pictures for TensorBoard"),
    DET_HARMLESS(use_bfloat16, BOOL, "only read on TPUs"),
    DET_HARMLESS(summarize_gradients, BOOL, "histograms for TensorBoard"),
};
static const struct det_schema_message train_message = DET_TABLE("TrainConfig", train);
#undef BASE

/* ---- eval.proto ---- */

#define BASE     struct det_eval_config
#define TF1_LOOP "read by the loop of TF1 only"
static const struct det_schema_field eval[] = {
    DET_UINT(batch_size, 1, 1, 1000000),
    {DET_FIELD(num_visualizations, UINT), DET_AT(num_visualizations), .fallback = 10},
    {DET_FIELD(num_examples, UINT), DET_AT(num_examples), .fallback = 5000},
    DET_HARMLESS(eval_interval_secs, UINT,
                 "how often to look for a checkpoint is an option of the tool"),
    DET_HARMLESS(max_evals, UINT, TF1_LOOP),
    DET_HARMLESS(save_graph, BOOL, TF1_LOOP),
    DET_STRING(visualization_export_dir, ""),
    DET_HARMLESS(eval_master, STRING, TF1_LOOP),
    DET_LIST(metrics_set, STRING, metrics_set),
    DET_STRING(export_path, ""),
    DET_REFUSED(ignore_groundtruth, BOOL, 0, "evaluation needs ground truth; use det-detect"),
    DET_BOOL(use_moving_averages, 0),
    DET_REFUSED(eval_instance_masks, BOOL, 0, "masks are not predicted"),
    DET_FLOAT(min_score_threshold, .5, 0, 1),
    DET_INT(max_num_boxes_to_visualize, 20, 0, 1000000),
    DET_BOOL(skip_scores, 0),
    DET_BOOL(skip_labels, 0),
    DET_BOOL(visualize_groundtruth_boxes, 0),
    DET_STRING(groundtruth_box_visualization_color, "black"),
    DET_BOOL(keep_image_id_for_visualization_export, 0),
    DET_HARMLESS(retain_original_images, BOOL, "pictures are decoded again when they are needed"),
    DET_BOOL(include_metrics_per_category, 0),
    DET_BOOL(all_metrics_per_category, 0),
    DET_REFUSED(recall_lower_bound, FLOAT, 0, "the COCO metrics use all recalls"),
    DET_REFUSED(recall_upper_bound, FLOAT, 1, "the COCO metrics use all recalls"),
    DET_HARMLESS(retain_original_image_additional_channels, BOOL,
                 "there are no additional channels"),
    DET_REFUSED(force_no_resize, BOOL, 0, "the network has one input size"),
    DET_HARMLESS(use_dummy_loss_in_eval, BOOL, "leaves out the loss, never the metrics"),
    {DET_FIELD(keypoint_edge, MESSAGE), .repeated = true, .use = DET_SCHEMA_REFUSED,
     .reason = "keypoints are not predicted"},
    {DET_FIELD(parameterized_metric, MESSAGE), .repeated = true, .use = DET_SCHEMA_REFUSED,
     .reason = "keypoints are not predicted"},
    {DET_FIELD(super_categories, MESSAGE), .repeated = true, .use = DET_SCHEMA_REFUSED,
     .reason = "metrics are given per class and over all classes"},
    DET_REFUSED(skip_predictions_for_unlabeled_class, BOOL, 0, "all predictions count"),
};
static const struct det_schema_message eval_message = DET_TABLE("EvalConfig", eval);
#undef BASE

/* ---- input_reader.proto ---- */

#define BASE struct det_input_reader_config
static const struct det_schema_field tf_record[] = {DET_LIST(input_path, STRING, input_paths)};
static const struct det_schema_message tf_record_message =
    DET_TABLE("TFRecordInputReader", tf_record);
static const struct det_schema_word mask_types[] = {
    {"DEFAULT", 0}, {"NUMERICAL_MASKS", 1}, {"PNG_MASKS", 2}, {NULL, 0}};
static const struct det_schema_word input_types[] = {
    {"TF_EXAMPLE", 1}, {"INPUT_DEFAULT", 1}, {"TF_SEQUENCE_EXAMPLE", 2}, {NULL, 0}};
#define LOADER "parallel work of TensorFlow's loader"
static const struct det_schema_field input_reader[] = {
    DET_STRING(name, ""),
    DET_STRING(label_map_path, ""),
    DET_BOOL(shuffle, 1),
    {DET_FIELD(shuffle_buffer_size, UINT), DET_AT(shuffle_buffer_size), .fallback = 2048},
    {DET_FIELD(filenames_shuffle_buffer_size, UINT), DET_AT(filenames_shuffle_buffer_size),
     .fallback = 100},
    {DET_FIELD(num_epochs, UINT), DET_AT(num_epochs)},
    DET_UINT(sample_1_of_n_examples, 1, 1, 4294967295.),
    DET_HARMLESS(num_readers, UINT, LOADER),
    DET_HARMLESS(num_parallel_batches, UINT, LOADER),
    DET_HARMLESS(num_prefetch_batches, INT, LOADER),
    DET_HARMLESS(queue_capacity, UINT, LOADER),
    DET_HARMLESS(min_after_dequeue, UINT, LOADER),
    DET_HARMLESS(read_block_length, UINT, LOADER),
    DET_HARMLESS(prefetch_size, UINT, LOADER),
    DET_HARMLESS(num_parallel_map_calls, UINT, LOADER),
    DET_REFUSED(num_additional_channels, INT, 0, "images have three channels"),
    DET_REFUSED(num_keypoints, UINT, 0, "keypoints are not read"),
    {DET_FIELD(keypoint_type_weight, FLOAT), .repeated = true, .use = DET_SCHEMA_REFUSED,
     .reason = "keypoints are not read"},
    DET_INT(max_number_of_boxes, 100, 0, 1000000),
    DET_REFUSED(load_multiclass_scores, BOOL, 0, "a box has one class"),
    DET_REFUSED(load_context_features, BOOL, 0, "there is no context model"),
    DET_REFUSED(load_instance_masks, BOOL, 0, "masks are not predicted"),
    {DET_FIELD(mask_type, ENUM), .use = DET_SCHEMA_HARMLESS, .words = mask_types,
     .reason = "masks are not read"},
    DET_REFUSED(load_dense_pose, BOOL, 0, "poses are not predicted"),
    DET_REFUSED(load_track_id, BOOL, 0, "tracks are not predicted"),
    DET_REFUSED(load_keypoint_depth_features, BOOL, 0, "keypoints are not read"),
    DET_BOOL(use_display_name, 0),
    DET_HARMLESS(include_source_id, BOOL, "the id is always kept"),
    {DET_FIELD(input_type, ENUM), .use = DET_SCHEMA_REFUSED, .words = input_types, .fallback = 1,
     .reason = "records hold TF_EXAMPLE messages"},
    DET_REFUSED(frame_index, INT, -1, "records hold single images"),
    {DET_FIELD(sample_from_datasets_weights, FLOAT), .repeated = true, .use = DET_SCHEMA_REFUSED,
     .reason = "all records are drawn alike"},
    {DET_FIELD(tf_record_input_reader, MESSAGE), .oneof = 1, .message = &tf_record_message},
    {DET_FIELD(external_input_reader, MESSAGE), .oneof = 1, .use = DET_SCHEMA_REFUSED,
     .reason = "tf_record_input_reader is"},
    DET_REFUSED(expand_labels_hierarchy, BOOL, 0, "labels have no hierarchy"),
};
static const struct det_schema_message input_reader_message = {
    .name = "InputReader",
    .size = sizeof(BASE),
    .fields = input_reader,
    .count = sizeof input_reader / sizeof input_reader[0],
    .position_offset = offsetof(BASE, position),
    .has_position = true};
#undef BASE

/* ---- graph_rewriter.proto, pipeline.proto ---- */

static const struct det_schema_field graph_rewriter[] = {
    DET_REFUSED(quantization, MESSAGE, 0, "training is in floating point"),
};
static const struct det_schema_message graph_rewriter_message = {
    .name = "GraphRewriter", .fields = graph_rewriter, .count = 1};

#define BASE struct det_pipeline_config
static const struct det_schema_field pipeline[] = {
    {DET_FIELD(model, MESSAGE), DET_AT(ssd), .message = &model_message},
    {DET_FIELD(train_config, MESSAGE), DET_AT(train), DET_MARK_BOOL(has_train_config),
     .message = &train_message},
    {DET_FIELD(train_input_reader, MESSAGE), DET_AT(train_input_reader),
     DET_MARK_BOOL(has_train_input_reader), .message = &input_reader_message},
    {DET_FIELD(eval_config, MESSAGE), DET_AT(eval), .message = &eval_message},
    {DET_FIELD(eval_input_reader, MESSAGE), DET_AT(eval_input_reader_count), .repeated = true,
     .message = &input_reader_message},
    {DET_FIELD(graph_rewriter, MESSAGE), .message = &graph_rewriter_message},
};
const struct det_schema_message det_schema_pipeline =
    DET_TABLE("TrainEvalPipelineConfig", pipeline);
#undef BASE
