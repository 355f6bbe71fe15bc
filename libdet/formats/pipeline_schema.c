/* pipeline_schema.c: the tables of pipeline.config: the model and the whole file; training,
 * evaluation and input are in pipeline_schema_train.c, augmentations in
 * pipeline_schema_augmentation.c. Names and defaults as in research/object_detection/protos of the
 * TF Object Detection API; a test holds them against a list of all its fields. A field without a
 * range takes any finite value of its type. */
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
    {DET_FIELD(keras_initializer_by_name, STRING), .oneof = 1, .use = DET_SCHEMA_REFUSED,
     .reason = "use truncated_normal, variance_scaling or random_normal"},
};
static const struct det_schema_message initializer_message = DET_TABLE("Initializer", initializer);
#undef BASE

#define BASE struct det_batch_norm_config
static const struct det_schema_field batch_norm[] = {
    DET_FLOAT(decay, .999, 0, 1), DET_BOOL(center, 1), DET_BOOL(scale, 0),
    DET_FLOAT(epsilon, .001, 1e-12, 1),
    DET_HARMLESS(train, BOOL, "the API's Keras layers do not read it: freeze_batchnorm does that")};
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
    DET_REFUSED_ONEOF(group_norm, "batch_norm is"),
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
    DET_REFUSED_ONEOF(identity_resizer, ONE_SIZE),
    DET_REFUSED_ONEOF(conditional_shape_resizer, ONE_SIZE),
    DET_REFUSED_ONEOF(pad_to_multiple_resizer, ONE_SIZE),
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
    DET_REFUSED_ONEOF(bifpn, "fpn is"),
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
    DET_REFUSED_ONEOF(mean_stddev_box_coder, ONE_CODER),
    DET_REFUSED_ONEOF(square_box_coder, ONE_CODER),
    DET_REFUSED_ONEOF(keypoint_box_coder, ONE_CODER),
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
    DET_REFUSED_ONEOF(bipartite_matcher, "argmax_matcher is"),
};
static const struct det_schema_message matcher_message = DET_TABLE("Matcher", matcher);
#undef BASE

static const struct det_schema_message iou_message = {.name = "IouSimilarity"};
#define ONE_SIMILARITY "iou_similarity is"
static const struct det_schema_field similarity[] = {
    {DET_FIELD(iou_similarity, MESSAGE), .oneof = 1, .message = &iou_message},
    DET_REFUSED_ONEOF(neg_sq_dist_similarity, ONE_SIMILARITY),
    DET_REFUSED_ONEOF(ioa_similarity, ONE_SIMILARITY),
    DET_REFUSED_ONEOF(thresholded_iou_similarity, ONE_SIMILARITY),
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
    DET_BOOL(apply_conv_hyperparams_to_heads, 0),
    DET_REFUSED(apply_conv_hyperparams_pointwise, BOOL, 0,
                "regularizer and initializer go to the depthwise kernels only"),
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
    DET_REFUSED_ONEOF(convolutional_box_predictor, ONE_PREDICTOR),
    DET_REFUSED_ONEOF(mask_rcnn_box_predictor, ONE_PREDICTOR),
    DET_REFUSED_ONEOF(rfcn_box_predictor, ONE_PREDICTOR),
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
    DET_REFUSED_ONEOF(grid_anchor_generator, ONE_GENERATOR),
    DET_REFUSED_ONEOF(ssd_anchor_generator, ONE_GENERATOR),
    DET_REFUSED_ONEOF(flexible_grid_anchor_generator, ONE_GENERATOR),
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
    DET_REFUSED(use_class_agnostic_nms, BOOL, 0, "each class is suppressed on its own"),
    DET_HARMLESS(max_classes_per_detection, INT, "only read with use_class_agnostic_nms"),
    DET_REFUSED(soft_nms_sigma, FLOAT, 0, "the plain suppression is"),
    DET_HARMLESS(use_partitioned_nms, BOOL, SAME_NMS),
    DET_REFUSED(use_combined_nms, BOOL, 0, "the plain suppression is"),
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
    DET_REFUSED(logit_scale, FLOAT, 1, "logits are taken as they are"),
    DET_REFUSED(calibration_config, MESSAGE, 0, "scores are not calibrated"),
};
static const struct det_schema_message post_processing_message =
    DET_TABLE("PostProcessing", post_processing);
#undef BASE

/* ---- losses.proto ---- */

#define ANCHORWISE DET_HARMLESS(anchorwise_output, BOOL, "deprecated, nothing reads it")

#define BASE struct det_localization_loss_config
static const struct det_schema_field smooth_l1[] = {ANCHORWISE, DET_FLOAT(delta, 1, 1e-6, 1e6)};
static const struct det_schema_message smooth_l1_message =
    DET_TABLE("WeightedSmoothL1LocalizationLoss", smooth_l1);
#define ONE_LOCALIZATION "weighted_smooth_l1 is"
static const struct det_schema_field localization_loss[] = {
    DET_REFUSED_ONEOF(weighted_l2, ONE_LOCALIZATION),
    {DET_FIELD(weighted_smooth_l1, MESSAGE), .oneof = 1,
     DET_MARK_INT(kind, DET_LOCALIZATION_LOSS_SMOOTH_L1), .message = &smooth_l1_message},
    DET_REFUSED_ONEOF(weighted_iou, ONE_LOCALIZATION),
    DET_REFUSED_ONEOF(l1_localization_loss, ONE_LOCALIZATION),
    DET_REFUSED_ONEOF(weighted_giou, ONE_LOCALIZATION),
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
    DET_REFUSED_ONEOF(weighted_softmax, TWO_CLASSIFICATIONS),
    DET_REFUSED_ONEOF(weighted_logits_softmax, TWO_CLASSIFICATIONS),
    DET_REFUSED_ONEOF(bootstrapped_sigmoid, TWO_CLASSIFICATIONS),
    DET_REFUSED_ONEOF(penalty_reduced_logistic_focal_loss, TWO_CLASSIFICATIONS),
    DET_REFUSED_ONEOF(weighted_dice_classification_loss, TWO_CLASSIFICATIONS),
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
#define ONLY_EXPECTED "only read with expected_loss_weights"
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
    {DET_FIELD(post_processing, MESSAGE), DET_AT(post_processing), .stage = DET_STAGE_INFERENCE,
     .message = &post_processing_message},
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
    DET_TOLD(mask_head_config, MESSAGE, 0, "boxes are predicted, masks are not"),
};
static const struct det_schema_message ssd_message = DET_TABLE("Ssd", ssd);
#define ONE_MODEL "ssd is"
static const struct det_schema_field model[] = {
    {DET_FIELD(ssd, MESSAGE), .oneof = 1, .message = &ssd_message},
    DET_REFUSED_ONEOF(faster_rcnn, ONE_MODEL),
    DET_REFUSED_ONEOF(center_net, ONE_MODEL),
    DET_REFUSED_ONEOF(experimental_model, ONE_MODEL),
};
static const struct det_schema_message model_message = DET_TABLE("DetectionModel", model);
#undef BASE

/* ---- graph_rewriter.proto ---- */

/* Ranges are of the values' type: what cannot be done is told when a training is built. */
#define BASE struct det_quantization_config
static const struct det_schema_field quantization[] = {
    DET_INT(delay, 500000, 0, INT32_MAX),
    DET_INT(weight_bits, 8, 0, 0),
    DET_INT(activation_bits, 8, 0, 0),
    DET_HARMLESS(symmetric, BOOL, "weights are symmetric with and without it"),
};
static const struct det_schema_message quantization_message =
    DET_TABLE("Quantization", quantization);
static const struct det_schema_field graph_rewriter[] = {
    {DET_FIELD(quantization, MESSAGE), .message = &quantization_message},
};
static const struct det_schema_message graph_rewriter_message =
    DET_TABLE("GraphRewriter", graph_rewriter);
#undef BASE

/* ---- pipeline.proto ---- */

#define BASE struct det_pipeline_config
static const struct det_schema_field pipeline[] = {
    {DET_FIELD(model, MESSAGE), DET_AT(ssd), .message = &model_message},
    {DET_FIELD(train_config, MESSAGE), DET_AT(train), DET_MARK_BOOL(has_train_config),
     .message = &det_schema_train},
    {DET_FIELD(train_input_reader, MESSAGE), DET_AT(train_input_reader),
     DET_MARK_BOOL(has_train_input_reader), .message = &det_schema_input_reader},
    {DET_FIELD(eval_config, MESSAGE), DET_AT(eval), .stage = DET_STAGE_EVALUATION,
     .message = &det_schema_eval},
    {DET_FIELD(eval_input_reader, MESSAGE), DET_AT(eval_input_reader_count), .repeated = true,
     .stage = DET_STAGE_EVALUATION, .message = &det_schema_input_reader},
    {DET_FIELD(graph_rewriter, MESSAGE), DET_AT(quantization), DET_MARK_BOOL(has_graph_rewriter),
     .message = &graph_rewriter_message},
};
const struct det_schema_message det_schema_pipeline =
    DET_TABLE("TrainEvalPipelineConfig", pipeline);
#undef BASE
