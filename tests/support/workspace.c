#include "support/workspace.h"

#include "support/io.h"
#include "support/records.h"

static const char config_text[] =
    "model { ssd {\n"
    "  num_classes: 2\n"
    "  image_resizer { fixed_shape_resizer { height: 96 width: 96 } }\n"
    "  feature_extractor {\n"
    "    type: 'ssd_mobilenet_v2_fpn_keras' depth_multiplier: 0.1 min_depth: 8\n"
    "    conv_hyperparams {\n"
    "      regularizer { l2_regularizer { weight: 4e-5 } }\n"
    "      initializer { random_normal_initializer { stddev: 0.05 } }\n"
    "      activation: RELU_6\n"
    "      batch_norm { decay: 0.9 scale: true epsilon: 0.001 }\n"
    "    }\n"
    "    use_depthwise: true override_base_feature_extractor_hyperparams: true\n"
    "    fpn { min_level: 3 max_level: 7 additional_layer_depth: 80 }\n"
    "  }\n"
    "  box_coder { faster_rcnn_box_coder { y_scale: 10 x_scale: 10 height_scale: 5 width_scale: 5 "
    "} }\n"
    "  matcher { argmax_matcher { matched_threshold: 0.5 unmatched_threshold: 0.5\n"
    "    ignore_thresholds: false negatives_lower_than_unmatched: true\n"
    "    force_match_for_each_row: true use_matmul_gather: true } }\n"
    "  similarity_calculator { iou_similarity { } }\n"
    "  box_predictor { weight_shared_convolutional_box_predictor {\n"
    "    conv_hyperparams {\n"
    "      regularizer { l2_regularizer { weight: 4e-5 } }\n"
    "      initializer { random_normal_initializer { stddev: 0.05 } }\n"
    "      activation: RELU_6\n"
    "      batch_norm { decay: 0.9 scale: true epsilon: 0.001 }\n"
    "    }\n"
    "    depth: 8 num_layers_before_predictor: 1 kernel_size: 3\n"
    "    class_prediction_bias_init: -4.6 share_prediction_tower: true use_depthwise: true } }\n"
    "  anchor_generator { multiscale_anchor_generator { min_level: 3 max_level: 7 anchor_scale: 4\n"
    "    aspect_ratios: [1, 2, 0.5] scales_per_octave: 2 } }\n"
    "  post_processing { batch_non_max_suppression { score_threshold: 1e-8 iou_threshold: 0.6\n"
    "    max_detections_per_class: 100 max_total_detections: 100 } score_converter: SIGMOID }\n"
    "  normalize_loss_by_num_matches: true normalize_loc_loss_by_codesize: true\n"
    "  encode_background_as_zeros: true\n"
    "  loss { localization_loss { weighted_smooth_l1 { } }\n"
    "    classification_loss { weighted_sigmoid_focal { gamma: 2 alpha: 0.25 } }\n"
    "    classification_weight: 1 localization_weight: 1 }\n"
    "} }\n"
    "train_config {\n"
    "  batch_size: 4 num_steps: 12\n"
    "  data_augmentation_options { random_horizontal_flip { } }\n"
    "  data_augmentation_options { random_crop_image { min_object_covered: 0 min_aspect_ratio: "
    "0.75\n"
    "    max_aspect_ratio: 3 min_area: 0.75 max_area: 1 overlap_thresh: 0 } }\n"
    "  optimizer { momentum_optimizer { learning_rate { cosine_decay_learning_rate {\n"
    "    learning_rate_base: 0.1 total_steps: 12 warmup_learning_rate: 0.02 warmup_steps: 3 } }\n"
    "    momentum_optimizer_value: 0.9 } use_moving_average: false }\n"
    "}\n"
    "train_input_reader { label_map_path: 'label_map.pbtxt'\n"
    "  tf_record_input_reader { input_path: 'train.tfrecord' } }\n"
    "eval_config { metrics_set: 'coco_detection_metrics' }\n"
    "eval_input_reader { label_map_path: 'label_map.pbtxt' shuffle: false num_epochs: 1\n"
    "  tf_record_input_reader { input_path: 'test.tfrecord' } }\n";

static const char label_map_text[] = "item { id: 1 name: 'cat' }\nitem { id: 2 name: 'dog' }\n";

static void write_text(const char *directory, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    struct det_env env;
    det_env_default(&env);
    assert_ok(&env, det_write_file(&env, path, text, strlen(text)));
}

void workspace_make(struct workspace *w, const char *name)
{
    char path[512];
    struct det_env env;
    det_env_default(&env);
    test_make_directory(w->directory, name);
    write_text(w->directory, "label_map.pbtxt", label_map_text);
    write_text(w->directory, "pipeline.config", config_text);
    snprintf(path, sizeof path, "%s/train.tfrecord", w->directory);
    test_write_records(&env, path, 10);
    snprintf(path, sizeof path, "%s/test.tfrecord", w->directory);
    test_write_records(&env, path, 10);
    snprintf(w->config, sizeof w->config, "%s/pipeline.config", w->directory);
    snprintf(w->model_dir, sizeof w->model_dir, "%s/run", w->directory);
}

void workspace_remove(const struct workspace *w)
{
    test_remove_tree(w->directory);
}

void workspace_edit_config(const struct workspace *w, const char *from, const char *to)
{
    char *text = test_read_text(w->config);
    char *at = strstr(text, from);
    assert_non_null(at);
    char *edited = malloc(strlen(text) + strlen(to) + 1);
    assert_non_null(edited);
    sprintf(edited, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    write_text(w->directory, "pipeline.config", edited);
    free(edited);
    free(text);
}

static det_context *make_context(struct test_env *t, int threads, const char *cpu)
{
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.allocator = test_env_hooks(t);
    settings.threads = threads;
    settings.cpu = cpu;
    det_context *context = NULL;
    assert_int_equal(det_context_create(&context, &settings), DET_OK);
    return context;
}

det_context *workspace_context(struct test_env *t, int threads)
{
    return make_context(t, threads, "ref");
}

det_context *workspace_machine(struct test_env *t, int threads)
{
    return make_context(t, threads, "auto");
}

det_status workspace_run_open(struct workspace_run *run, const struct workspace *w,
                              const det_trainer_settings *settings, int threads)
{
    *run = (struct workspace_run){0};
    test_env_init(&run->t);
    run->context = workspace_context(&run->t, threads);
    DET_TRY_RETURN(det_pipeline_config_load(run->context, w->config, &run->config));
    return settings == NULL
               ? DET_OK
               : det_trainer_create(run->context, run->config, settings, &run->trainer);
}

void workspace_run_close(struct workspace_run *run)
{
    det_trainer_destroy(&run->trainer);
    det_pipeline_config_destroy(&run->config);
    det_context_destroy(&run->context);
    test_env_check(&run->t);
}
