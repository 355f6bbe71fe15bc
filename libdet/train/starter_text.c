/* starter_text.c: the config as text, in the API's order of fields; a comment line stands above
 * each field that was chosen. */
#include <stdio.h>
#include <string.h>

#include "formats/prototext.h"
#include "support/number.h"
#include "train/starter.h"

/* Short decimals with a point, whatever the locale's separator is: "0.04", "320". */
static const char *number(char buffer[32], double value)
{
    snprintf(buffer, 32, "%.6g", value);
    return det_use_point(buffer);
}

static det_status put(struct det_env *env, struct det_text *text, const char *piece)
{
    return det_text_append(env, text, piece, strlen(piece));
}

static det_status put_number(struct det_env *env, struct det_text *text, const char *indent,
                             const char *field, double value)
{
    char buffer[32];
    return det_text_printf(env, text, "%s%s: %s\n", indent, field, number(buffer, value));
}

/* "0.81" of a share, "81 %". */
static int percent(double share)
{
    return (int)(100 * share + 0.5);
}

static det_status put_head(struct det_env *env, const struct det_starter_data *data,
                           const det_starter_choices *c, struct det_text *text)
{
    DET_TRY_RETURN(det_text_printf(env, text,
                                   "# SSD MobileNetV2 FPNLite for %zu pictures with %zu boxes.\n"
                                   "# The TensorFlow Object Detection API reads this file, too.\n"
                                   "# Paths are looked up from the working folder, then from this "
                                   "file's.\n"
                                   "model {\n"
                                   "  ssd {\n"
                                   "    # classes of the label map\n"
                                   "    num_classes: %d\n",
                                   data->images, data->boxes, data->classes));
    DET_TRY_RETURN(det_text_printf(
        env, text,
        "    # half of the boxes are at least %.0f pixels large at this size%s\n"
        "    image_resizer { fixed_shape_resizer { height: %d width: %d } }\n",
        c->median_side_px,
        c->input_px == 320 ? "; 640 finds smaller things and takes four times as long" : "",
        c->input_px, c->input_px));
    return DET_OK;
}

/* Both parts of the network have the same. */
static det_status put_hyper(struct det_env *env, const det_starter_choices *c, const char *indent,
                            struct det_text *text)
{
    char decay[32];
    return det_text_printf(
        env, text,
        "%sconv_hyperparams {\n"
        "%s  regularizer { l2_regularizer { weight: 0.00004 } }\n"
        "%s  initializer { random_normal_initializer { mean: 0.0 stddev: 0.01 } }\n"
        "%s  activation: RELU_6\n"
        "%s  # leaves a hundredth of what the averages begin with after these steps; the zoo's\n"
        "%s  # 0.997 would leave more, and the exported model would suffer\n"
        "%s  batch_norm { decay: %s scale: true epsilon: 0.001 }\n"
        "%s}\n",
        indent, indent, indent, indent, indent, indent, indent, number(decay, c->decay), indent);
}

static det_status put_network(struct det_env *env, const det_starter_choices *c,
                              struct det_text *text)
{
    DET_TRY_RETURN(put(env, text,
                       "    feature_extractor {\n"
                       "      type: \"ssd_mobilenet_v2_fpn_keras\"\n"
                       "      depth_multiplier: 1.0\n"
                       "      min_depth: 16\n"));
    DET_TRY_RETURN(put_hyper(env, c, "      ", text));
    DET_TRY_RETURN(
        put(env, text,
            "      use_depthwise: true\n"
            "      override_base_feature_extractor_hyperparams: true\n"
            "      fpn { min_level: 3 max_level: 7 additional_layer_depth: 128 }\n"
            "    }\n"
            "    box_coder { faster_rcnn_box_coder { y_scale: 10 x_scale: 10 height_scale: 5 "
            "width_scale: 5 } }\n"
            "    matcher {\n"
            "      argmax_matcher {\n"
            "        matched_threshold: 0.5 unmatched_threshold: 0.5 ignore_thresholds: false\n"
            "        negatives_lower_than_unmatched: true force_match_for_each_row: true\n"
            "        use_matmul_gather: true\n"
            "      }\n"
            "    }\n"
            "    similarity_calculator { iou_similarity { } }\n"
            "    box_predictor {\n"
            "      weight_shared_convolutional_box_predictor {\n"));
    DET_TRY_RETURN(put_hyper(env, c, "        ", text));
    return put(env, text,
               "        depth: 128\n"
               "        num_layers_before_predictor: 4\n"
               "        kernel_size: 3\n"
               "        class_prediction_bias_init: -4.6\n"
               "        share_prediction_tower: true\n"
               "        use_depthwise: true\n"
               "      }\n"
               "    }\n");
}

static det_status put_anchors(struct det_env *env, const det_starter_choices *c,
                              struct det_text *text)
{
    if (c->covered > c->covered_by_default)
        DET_TRY_RETURN(det_text_printf(
            env, text,
            "    # %d %% of the boxes meet an anchor of these sizes and shapes (IoU of 0.5), %d %% "
            "one of the zoo's\n",
            percent(c->covered), percent(c->covered_by_default)));
    else
        DET_TRY_RETURN(det_text_printf(
            env, text,
            "    # the zoo's sizes and shapes: %d %% of the boxes meet an anchor (IoU of 0.5)\n",
            percent(c->covered)));
    DET_TRY_RETURN(put(env, text,
                       "    anchor_generator {\n"
                       "      multiscale_anchor_generator {\n"
                       "        min_level: 3\n"
                       "        max_level: 7\n"));
    DET_TRY_RETURN(put_number(env, text, "        ", "anchor_scale", c->anchor_scale));
    for (int i = 0; i < 3; i++)
        DET_TRY_RETURN(put_number(env, text, "        ", "aspect_ratios", c->aspect_ratios[i]));
    return put(env, text,
               "        scales_per_octave: 2\n"
               "      }\n"
               "    }\n");
}

static det_status put_losses(struct det_env *env, const struct det_starter_data *data,
                             struct det_text *text)
{
    const size_t most = data->most_boxes > 100 ? data->most_boxes : 100;
    return det_text_printf(
        env, text,
        "    post_processing {\n"
        "      batch_non_max_suppression {\n"
        "        score_threshold: 0.00000001\n"
        "        iou_threshold: 0.6\n"
        "        max_detections_per_class: 100\n"
        "        # a picture has at most %zu boxes\n"
        "        max_total_detections: %zu\n"
        "        use_static_shapes: false\n"
        "      }\n"
        "      score_converter: SIGMOID\n"
        "    }\n"
        "    normalize_loss_by_num_matches: true\n"
        "    loss {\n"
        "      localization_loss { weighted_smooth_l1 { } }\n"
        "      classification_loss { weighted_sigmoid_focal { gamma: 2.0 alpha: 0.25 } }\n"
        "      classification_weight: 1.0\n"
        "      localization_weight: 1.0\n"
        "    }\n"
        "    encode_background_as_zeros: true\n"
        "    normalize_loc_loss_by_codesize: true\n"
        "    inplace_batchnorm_update: true\n"
        "    freeze_batchnorm: false\n"
        "  }\n"
        "}\n",
        data->most_boxes, most);
}

static det_status put_augmentation(struct det_env *env, const det_starter_choices *c,
                                   struct det_text *text)
{
    DET_TRY_RETURN(put(env, text,
                       c->flips
                           ? "  # things look the same mirrored; remove this where they do not\n"
                             "  data_augmentation_options { random_horizontal_flip { } }\n"
                           : "  # no random_horizontal_flip: a class is called left or right\n"));
    return put(
        env, text,
        "  # light changes. No random_crop_image, which the zoo's config has: it cuts things\n"
        "  # in two and shows them at sizes that small sets have no examples of; without it\n"
        "  # the sets of docs/recipes.md give as much or more\n"
        "  data_augmentation_options { random_adjust_brightness { max_delta: 0.15 } }\n"
        "  data_augmentation_options {\n"
        "    random_adjust_contrast { min_delta: 0.8 max_delta: 1.2 }\n"
        "  }\n"
        "  data_augmentation_options {\n"
        "    random_adjust_saturation { min_delta: 0.7 max_delta: 1.3 }\n"
        "  }\n");
}

static det_status put_optimizer(struct det_env *env, const det_starter_choices *c,
                                struct det_text *text)
{
    char rate[32], warm_up[32];
    return det_text_printf(env, text,
                           "  optimizer {\n"
                           "    momentum_optimizer {\n"
                           "      learning_rate {\n"
                           "        cosine_decay_learning_rate {\n"
                           "          # 0.04 for 8 pictures a step: for half as many half of it\n"
                           "          learning_rate_base: %s\n"
                           "          total_steps: %d\n"
                           "          warmup_learning_rate: %s\n"
                           "          warmup_steps: %d\n"
                           "        }\n"
                           "      }\n"
                           "      momentum_optimizer_value: 0.9\n"
                           "    }\n"
                           "    use_moving_average: false\n"
                           "  }\n",
                           number(rate, c->learning_rate), c->steps,
                           number(warm_up, c->learning_rate / 3), c->steps / 12);
}

static det_status put_training(struct det_env *env, const struct det_starter_data *data,
                               const det_starter_settings *settings, const det_starter_choices *c,
                               struct det_text *text)
{
    DET_TRY_RETURN(det_text_printf(
        env, text,
        "train_config {\n"
        "  # what this machine's memory holds, at most 8: small sets learn better from small "
        "steps\n"
        "  batch_size: %d\n",
        c->batch_size));
    DET_TRY_RETURN(put_augmentation(env, c, text));
    DET_TRY_RETURN(put_optimizer(env, c, text));
    if (settings->fine_tune_checkpoint != NULL) {
        DET_TRY_RETURN(put(env, text, "  fine_tune_checkpoint: "));
        DET_TRY_RETURN(det_prototext_put_string(env, text, settings->fine_tune_checkpoint));
        DET_TRY_RETURN(put(env, text,
                           "\n"
                           "  fine_tune_checkpoint_type: \"detection\"\n"
                           "  fine_tune_checkpoint_version: V2\n"));
    }
    const size_t most = data->most_boxes > 100 ? data->most_boxes : 100;
    return det_text_printf(env, text,
                           "  # each picture is seen some %.0f times\n"
                           "  num_steps: %d\n"
                           "  max_number_of_boxes: %zu\n"
                           "  unpad_groundtruth_tensors: false\n"
                           "}\n",
                           (double)c->steps * c->batch_size / (double)data->images, c->steps, most);
}

static det_status put_reader(struct det_env *env, const char *reader, const char *label_map,
                             const char *records, const char *extra, struct det_text *text)
{
    DET_TRY_RETURN(det_text_printf(env, text, "%s {\n  label_map_path: ", reader));
    DET_TRY_RETURN(det_prototext_put_string(env, text, label_map));
    DET_TRY_RETURN(
        det_text_printf(env, text, "\n%s  tf_record_input_reader { input_path: ", extra));
    DET_TRY_RETURN(det_prototext_put_string(env, text, records));
    return put(env, text, " }\n}\n");
}

det_status det_starter_text(struct det_env *env, const struct det_starter_data *data,
                            const det_starter_settings *settings,
                            const det_starter_choices *choices, struct det_text *text)
{
    char boxes[64] = "";
    DET_TRY_RETURN(put_head(env, data, choices, text));
    DET_TRY_RETURN(put_network(env, choices, text));
    DET_TRY_RETURN(put_anchors(env, choices, text));
    DET_TRY_RETURN(put_losses(env, data, text));
    DET_TRY_RETURN(put_training(env, data, settings, choices, text));
    if (data->most_boxes > 100)
        snprintf(boxes, sizeof boxes, "  max_number_of_boxes: %zu\n", data->most_boxes);
    DET_TRY_RETURN(put_reader(env, "train_input_reader", settings->label_map,
                              settings->train_records, boxes, text));
    DET_TRY_RETURN(put(env, text,
                       "eval_config { metrics_set: \"coco_detection_metrics\" "
                       "use_moving_averages: false }\n"));
    return put_reader(env, "eval_input_reader", settings->label_map, settings->test_records,
                      "  shuffle: false\n  num_epochs: 1\n", text);
}
