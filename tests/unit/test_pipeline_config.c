/* pipeline.config: the two real ones, every kind of error, damaged files, failing allocations. */
#include "formats/pipeline_paths.h"
#include "formats/pipeline_schema.h"
#include "support/mem.h"
#include "support/raccoon_config.h"

static void reads_the_zoo_config(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_pipeline_config c;
    char path[256];
    assert_ok(&t.env, det_pipeline_config_read(
                          &t.env, test_golden(path, "configs/zoo_fpnlite_640.config"), &c));
    assert_string_equal(c.directory, "tests/golden/configs");
    char *text = test_read_text(path);
    assert_string_equal(c.text, text);
    free(text);
    int32_t height = 0, width = 0;
    det_pipeline_config_input_size(&c, &height, &width);
    assert_int_equal(height, 640);
    assert_int_equal(width, 640);
    assert_int_equal(c.ssd.num_classes, 1);
    const struct det_feature_extractor_config *f = &c.ssd.feature_extractor;
    assert_near(f->depth_multiplier, 1, 0);
    assert_int_equal(f->min_depth, 16);
    assert_true(f->use_depthwise && f->override_base_feature_extractor_hyperparams);
    assert_int_equal(f->pad_to_multiple, 1);
    assert_int_equal(f->fpn.additional_layer_depth, 128);
    assert_true(f->has_conv_hyperparams);
    const struct det_hyperparams *h = &c.ssd.box_predictor.conv_hyperparams;
    assert_int_equal(h->regularizer.kind, DET_REGULARIZER_L2);
    assert_near(h->regularizer.weight, 4e-5f, 0);
    assert_int_equal(h->initializer.kind, DET_INITIALIZER_RANDOM_NORMAL);
    assert_near(h->initializer.stddev, .01f, 0);
    assert_int_equal(h->activation, DET_CONFIG_ACTIVATION_RELU_6);
    assert_true(h->has_batch_norm && h->batch_norm.scale && h->batch_norm.center);
    assert_near(h->batch_norm.decay, .997f, 0);
    assert_near(h->batch_norm.epsilon, .001f, 0);
    assert_near(c.ssd.box_coder.width_scale, 5, 0);
    assert_true(c.ssd.matcher.force_match_for_each_row);
    assert_int_equal(c.ssd.box_predictor.num_layers_before_predictor, 4);
    assert_near(c.ssd.box_predictor.class_prediction_bias_init, -4.6f, 0);
    assert_true(c.ssd.box_predictor.share_prediction_tower);
    assert_int_equal(c.ssd.anchor_generator.aspect_ratios.count, 3);
    assert_near(c.ssd.anchor_generator.aspect_ratios.values[2], .5, 0);
    assert_near(c.ssd.post_processing.nms.iou_threshold, .6f, 0);
    assert_near(c.ssd.post_processing.nms.score_threshold, 1e-8f, 0);
    assert_int_equal(c.ssd.loss.localization.kind, DET_LOCALIZATION_LOSS_SMOOTH_L1);
    assert_near(c.ssd.loss.localization.delta, 1, 0);
    assert_int_equal(c.ssd.loss.classification.kind, DET_CLASSIFICATION_LOSS_SIGMOID_FOCAL);
    assert_true(c.ssd.loss.classification.has_alpha && !c.ssd.loss.has_hard_example_miner);
    assert_true(c.ssd.normalize_loc_loss_by_codesize && c.ssd.add_background_class);
    assert_near(c.ssd.negative_class_weight, 1, 0);
    assert_int_equal(c.train.batch_size, 128);
    assert_int_equal(c.train.augmentation_count, 2);
    assert_int_equal(c.train.augmentations[0].kind, DET_AUGMENTATION_RANDOM_HORIZONTAL_FLIP);
    assert_near(c.train.augmentations[0].as.flip.probability, .5, 0);
    const struct det_augmentation *crop = &c.train.augmentations[1];
    assert_int_equal(crop->kind, DET_AUGMENTATION_RANDOM_CROP_IMAGE);
    assert_int_equal(crop->position.line, 140);
    assert_near(crop->as.crop.max_aspect_ratio, 3, 0);
    assert_near(crop->as.crop.min_object_covered, 0, 0);
    assert_true(crop->as.crop.clip_boxes);
    assert_int_equal(c.train.optimizer.kind, DET_OPTIMIZER_MOMENTUM);
    assert_false(c.train.optimizer.use_moving_average);
    const struct det_learning_rate_config *rate = &c.train.optimizer.learning_rate;
    assert_int_equal(rate->kind, DET_LEARNING_RATE_COSINE_DECAY);
    assert_near(rate->as.cosine_decay.learning_rate_base, .08f, 0);
    assert_int_equal(rate->as.cosine_decay.total_steps, 50000);
    assert_int_equal(rate->as.cosine_decay.hold_base_rate_steps, 0);
    assert_near(det_pipeline_config_base_learning_rate(&c), .08f, 0);
    det_pipeline_config_scale_learning_rate(&c, .5f);
    assert_near(det_pipeline_config_base_learning_rate(&c), .04f, 0);
    assert_int_equal(c.train.num_steps, 50000);
    assert_string_equal(c.train.fine_tune_checkpoint_type, "detection");
    assert_string_equal(c.train_input_reader.label_map_path, "annotations/label_map.pbtxt");
    assert_true(c.train_input_reader.shuffle);
    assert_int_equal(c.train_input_reader.max_number_of_boxes, 100);
    assert_int_equal(c.eval_input_reader_count, 1);
    assert_false(c.eval_input_readers[0].shuffle);
    assert_string_equal(c.eval_input_readers[0].input_paths.values[0], "annotations/test.record");
    assert_string_equal(c.eval.metrics_set.values[0], "coco_detection_metrics");
    assert_int_equal(c.eval.num_visualizations, 10);
    const struct det_position at = det_pipeline_config_position(
        &c, "train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate."
            "learning_rate_base");
    assert_int_equal(at.line, 155);
    assert_int_equal(at.column, 11);
    assert_int_equal(det_pipeline_config_position(&c, "train_config.no_such").line, 134);
    assert_int_equal(det_pipeline_config_position(&c, "nothing").line, 1);
    det_pipeline_config_free(&t.env, &c);
    det_pipeline_config_free(&t.env, &c);
    test_env_check(&t);
}

static void reads_the_raccoon_config(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_pipeline_config c;
    char path[256];
    assert_ok(&t.env, det_pipeline_config_read(
                          &t.env, test_golden(path, "configs/raccoon_320.config"), &c));
    assert_int_equal(c.train.batch_size, 8);
    assert_int_equal(c.train.num_steps, 600);
    const char *field = NULL;
    assert_ok(&t.env, det_pipeline_config_override_string(&t.env, &c, &field, "other"));
    assert_string_equal(field, "other");
    assert_fails(&t.env, DET_STATUS_UNSUPPORTED, "raccoon_320.config:135:3: no 7",
                 det_pipeline_config_fail(&t.env, DET_STATUS_UNSUPPORTED, &c,
                                          "train_config.batch_size", "no %d", 7));
    det_pipeline_config_free(&t.env, &c);
    test_env_check(&t);
}

static void errors_name_field_and_position(void **state)
{
    (void)state;
    static const struct {
        det_status status;
        const char *from, *to, *message;
    } cases[] = {
        {DET_STATUS_PARSE, "num_classes: 1", "num_clases: 1",
         "dir/c:3:5: unknown field `num_clases` in Ssd; did you mean `num_classes`?"},
        {DET_STATUS_PARSE, "num_classes: 1", "qqqqqqqqq: 1",
         "dir/c:3:5: unknown field `qqqqqqqqq` in Ssd"},
        {DET_STATUS_PARSE, "num_classes: 1", "num_classes: 0",
         "dir/c:3:18: field `num_classes`: found 0, expected 1 to 100000"},
        {DET_STATUS_PARSE, "num_classes: 1", "",
         "dir/c:2:3: field `model.ssd.num_classes` is missing"},
        {DET_STATUS_PARSE, "num_classes: 1", "num_classes: 1.5", "expected a whole number"},
        {DET_STATUS_PARSE, "num_classes: 1", "num_classes { }",
         "field `num_classes`: found a message, expected a whole number"},
        {DET_STATUS_PARSE, "model {", "model: 3 x {",
         "dir/c:1:8: field `model`: found `3`, expected a message in { }"},
        {DET_STATUS_PARSE, "activation: RELU_6", "activation: RELU6",
         "dir/c:26:21: field `activation`: unknown value `RELU6`; did you mean `RELU_6`?"},
        {DET_STATUS_PARSE, "activation: RELU_6", "activation: 77",
         "field `activation`: found `77`, expected one of NONE, RELU, RELU_6, SWISH"},
        {DET_STATUS_PARSE, "activation: RELU_6", "activation: 'RELU_6'",
         "expected one of NONE, RELU"},
        {DET_STATUS_UNSUPPORTED, "activation: RELU_6", "activation: SWISH",
         "dir/c:26:9: field `model.ssd.feature_extractor.conv_hyperparams.activation` is not "
         "supported as SWISH"},
        {DET_STATUS_UNSUPPORTED, "weighted_smooth_l1 {", "weighted_iou {",
         "field `model.ssd.loss.localization_loss.weighted_iou` is not supported: "
         "weighted_smooth_l1 is"},
        {DET_STATUS_PARSE, "weighted_smooth_l1 {\n        }", "", "no localization loss is chosen"},
        {DET_STATUS_UNSUPPORTED, "ssd_mobilenet_v2_fpn_keras", "ssd_resnet50_v1_fpn_keras",
         "dir/c:11:7: feature extractor \"ssd_resnet50_v1_fpn_keras\" is not supported: "
         "\"ssd_mobilenet_v2_fpn_keras\" is (this is SSD ResNet (RetinaNet); libdet does SSD "
         "MobileNet V2 FPN and FPNLite)"},
        {DET_STATUS_UNSUPPORTED, "fixed_shape_resizer {", "identity_resizer {",
         "field `model.ssd.image_resizer.identity_resizer` is not supported"},
        {DET_STATUS_UNSUPPORTED, "height: 320", "height: 320 resize_method: AREA",
         "resize_method` is not supported: only BILINEAR is"},
        {DET_STATUS_UNSUPPORTED, "min_depth: 16", "pad_to_multiple: 128",
         "the input of 320 x 320 is not a multiple of it"},
        {DET_STATUS_UNSUPPORTED, "encode_background_as_zeros: true", "",
         "field `encode_background_as_zeros: false` is not supported"},
        {DET_STATUS_PARSE, "aspect_ratios: 0.5", "aspect_ratios: -1",
         "aspect_ratios`: found -1, expected 0.001 to 1000"},
        {DET_STATUS_PARSE, "gamma: 2.0", "gamma: nan",
         "field `gamma`: found `nan`, expected a finite number"},
        {DET_STATUS_PARSE, "batch_size: 8", "batch_size: -8",
         "field `batch_size`: found `-8`, expected a whole number from 0 to 4294967295"},
        {DET_STATUS_PARSE, "random_horizontal_flip {", "random_horizontl_flip {",
         "unknown field `random_horizontl_flip` in PreprocessingStep; did you mean "
         "`random_horizontal_flip`?"},
        {DET_STATUS_PARSE, "random_horizontal_flip {\n    }", "",
         "data_augmentation_options is empty, expected one option"},
        {DET_STATUS_PARSE, "min_aspect_ratio: 0.75", "min_aspect_ratio: 4",
         "random_crop_image: min_aspect_ratio must be above 0 and at most max_aspect_ratio"},
        {DET_STATUS_PARSE, "random_horizontal_flip {", "random_pad_image { pad_color: 3",
         "random_pad_image: pad_color has three values from 0 to 255"},
        {DET_STATUS_PARSE, "random_horizontal_flip {",
         "random_crop_pad_image { min_padded_size_ratio: [1, 2, 3]",
         "field `min_padded_size_ratio`: found 3 values, expected 2"},
        {DET_STATUS_PARSE, "warmup_steps: 50", "warmup_steps: 601",
         "warmup_steps 601 exceeds total_steps 600"},
        {DET_STATUS_PARSE, "momentum_optimizer_value: 0.8999999761581421",
         "momentum_optimizer_value: 1.1",
         "field `momentum_optimizer_value`: found 1.1, expected 0 to 1"},
        {DET_STATUS_UNSUPPORTED, "fine_tune_checkpoint_type: \"detection\"",
         "fine_tune_checkpoint_type: \"whole\"",
         "fine_tune_checkpoint_type \"whole\" is not supported"},
        {DET_STATUS_UNSUPPORTED, "train_input_reader {",
         "train_input_reader { num_additional_channels: 1",
         "field `train_input_reader.num_additional_channels` is not supported: images have three "
         "channels"},
        {DET_STATUS_UNSUPPORTED, "train_input_reader {",
         "train_input_reader { sample_from_datasets_weights: 0",
         "field `train_input_reader.sample_from_datasets_weights` is not supported"},
        {DET_STATUS_UNSUPPORTED, "train_input_reader {",
         "train_input_reader { sample_1_of_n_examples: 2", "all records are read"},
        {DET_STATUS_PARSE, "", "graph_rewriter: 3", "found `3`, expected a message in { }"},
        {DET_STATUS_PARSE, "", "[x.y]: 1", "unknown field `[x.y]` in TrainEvalPipelineConfig"},
    };
    struct test_env t;
    test_env_init(&t);
    char *text = raccoon_text();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct det_pipeline_config c;
        char *bad = text_edited(text, cases[i].from, cases[i].to);
        assert_fails(&t.env, cases[i].status, cases[i].message, parse_config(&t.env, bad, &c));
        assert_null(c.path);
        free(bad);
    }
    free(text);
    test_env_check(&t);
}

/* Refused fields with their default value, harmless fields with any. */
static void accepts_defaults_and_harmless_fields(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"train_input_reader {",
         "train_input_reader { load_instance_masks: true num_keypoints: 17 input_type: TF_EXAMPLE "
         "frame_index: 3 num_readers: 3 num_prefetch_batches: -1 mask_type: PNG_MASKS "
         "drop_remainder: false load_context_image_ids: true use_keypoint_label_map: true "
         "use_display_name: true shuffle_buffer_size: 0 sample_1_of_n_examples: 1"},
        {"batch_size: 8", "batch_size: 8 keep_checkpoint_every_n_hours: 1.5 "
                          "run_fine_tune_checkpoint_dummy_computation: false"},
        {"momentum_optimizer {", "momentum_optimizer {"},
        {"height: 320", "height: 320 resize_method: BILINEAR convert_to_grayscale: false"},
        {"min_depth: 16", "min_depth: 16 pad_to_multiple: 32 num_layers: 6"},
        {"batch_norm {", "sync_batch_norm {"},
        {"", "eval_input_reader { label_map_path: 'x' } graph_rewriter { quantization { delay: 9 "
             "weight_bits: 8 } }"},
        {"eval_config {", "eval_config { recall_upper_bound: 1 num_examples: 10 max_evals: 1"},
        {"eval_config {",
         "eval_config { metrics_set: 'pascal_voc_detection_metrics' "
         "image_classes_field_map_empty_to_ones: false keypoint_edge { start: 1 }"},
        {"coco_detection_metrics", "oid_V2_detection_metrics"},
    };
    struct test_env t;
    test_env_init(&t);
    char *text = raccoon_text();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct det_pipeline_config c;
        char *good = text_edited(text, cases[i].from, cases[i].to);
        assert_ok(&t.env, parse_config(&t.env, good, &c));
        assert_true(c.ssd.feature_extractor.conv_hyperparams.has_batch_norm);
        assert_int_equal(c.eval_input_reader_count,
                         strstr(cases[i].to, "graph_rewriter") != NULL ? 2 : 1);
        assert_ok(&t.env, det_pipeline_config_check_stage(&t.env, &c, DET_STAGE_EVALUATION));
        det_pipeline_config_free(&t.env, &c);
        free(good);
    }
    free(text);
    test_env_check(&t);
}

/* What is there twice: as text_format.Merge of protobuf reads it (checked with protobuf 4.25.3 on
 * the API's messages), and one warning with both lines. */
static void fields_twice_are_merged(void **state)
{
    (void)state;
    struct test_env t;
    struct test_warnings warnings = {{0}, 0};
    struct det_pipeline_config c;
    test_env_init(&t);
    t.env.logger = (det_logger){.user = &warnings, .write = test_keep_warning};
    char *text = raccoon_text();
    /* The last scalar; the same again is none. */
    char *two =
        text_edited(text, "num_classes: 1", "num_classes: 7\nnum_classes: 2 num_classes: 2");
    assert_ok(&t.env, parse_config(&t.env, two, &c));
    assert_int_equal(c.ssd.num_classes, 2);
    assert_string_equal(warnings.text,
                        "dir/c:4:1: `num_classes` counts instead of that of line 3, as TensorFlow "
                        "reads it\n");
    assert_int_equal(det_pipeline_config_position(&c, "model.ssd.num_classes").line, 4);
    det_pipeline_config_free(&t.env, &c);
    free(two);
    /* The last member of a oneof, whatever was refused of the ones before; back again it is new. */
    warnings = (struct test_warnings){{0}, 0};
    two = text_edited(text, "random_horizontal_flip {",
                      "rgb_to_gray { }\nrandom_vertical_flip { probability: 0.25 } "
                      "random_horizontal_flip { probability: 0.75 }\nrandom_vertical_flip {");
    assert_ok(&t.env, parse_config(&t.env, two, &c));
    assert_int_equal(c.train.augmentation_count, 2);
    assert_int_equal(c.train.augmentations[0].kind, DET_AUGMENTATION_RANDOM_VERTICAL_FLIP);
    assert_near(c.train.augmentations[0].as.flip.probability, .5, 0);
    assert_int_equal(warnings.count, 3);
    assert_contains(warnings.text, "`random_vertical_flip` replaces `random_horizontal_flip` of "
                                   "line 138: only one of them can be set");
    det_pipeline_config_free(&t.env, &c);
    free(two);
    two = text_edited(text, "fixed_shape_resizer {", "identity_resizer { } fixed_shape_resizer {");
    assert_ok(&t.env, parse_config(&t.env, two, &c));
    assert_int_equal(c.ssd.image_resizer.kind, DET_RESIZER_FIXED_SHAPE);
    det_pipeline_config_free(&t.env, &c);
    free(two);
    two = text_edited(text, "ssd {", "faster_rcnn { } ssd {");
    assert_ok(&t.env, parse_config(&t.env, two, &c));
    det_pipeline_config_free(&t.env, &c);
    free(two);
    /* Messages become one, in a oneof too. */
    warnings = (struct test_warnings){{0}, 0};
    two = text_edited(text, "",
                      "train_config { num_steps: 3 optimizer { momentum_optimizer { "
                      "momentum_optimizer_value: 0.5 } } }\n"
                      "eval_config { min_score_threshold: 0.25 }\n"
                      "eval_config { metrics_set: 'x' }\n");
    assert_ok(&t.env, parse_config(&t.env, two, &c));
    assert_int_equal(c.train.num_steps, 3);
    assert_int_equal(c.train.batch_size, 8);
    assert_near(c.train.optimizer.momentum_optimizer_value, .5, 0);
    assert_int_equal(c.train.optimizer.learning_rate.kind, DET_LEARNING_RATE_COSINE_DECAY);
    assert_int_equal(c.train.augmentation_count, 2);
    assert_near(c.eval.min_score_threshold, .25, 0);
    assert_int_equal(c.eval.metrics_set.count, 2);
    assert_contains(warnings.text, "`train_config` is merged with that of line 134");
    assert_contains(warnings.text, "`eval_config` is merged with that of line");
    assert_contains(warnings.text, "`momentum_optimizer_value` counts instead of that of line");
    det_pipeline_config_free(&t.env, &c);
    free(two);
    /* Two readers of evaluation stay two, as the field is a list. */
    two = text_edited(text, "", "eval_input_reader { } eval_input_reader { }");
    assert_ok(&t.env, parse_config(&t.env, two, &c));
    assert_int_equal(c.eval_input_reader_count, 3);
    det_pipeline_config_free(&t.env, &c);
    free(two);
    /* However many there are, it stays quick and the log short. */
    warnings = (struct test_warnings){{0}, 0};
    struct det_text many = {0};
    assert_ok(&t.env, det_text_append(&t.env, &many, text, strlen(text)));
    for (int i = 0; i < 20000; i++)
        assert_ok(&t.env,
                  det_text_printf(&t.env, &many,
                                  "eval_config { metrics_set: 'm' num_examples: %d }\n", i));
    assert_ok(&t.env, parse_config(&t.env, many.data, &c));
    assert_int_equal(c.eval.metrics_set.count, 20001);
    assert_int_equal(warnings.count, 11);
    assert_contains(warnings.text, "more fields are there more than once");
    det_pipeline_config_free(&t.env, &c);
    det_text_free(&t.env, &many);
    free(text);
    test_env_check(&t);
}

/* Cut at every byte, and with every byte changed: never a crash, a leak or a success with a broken
 * file. */
static void damaged_files(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    char *text = raccoon_text();
    const size_t bytes = strlen(text);
    struct det_pipeline_config c;
    for (size_t cut = 0; cut < bytes; cut++) {
        /* A copy of exactly that size, so that AddressSanitizer sees a read past the end. */
        char *copy = malloc(cut + 1);
        assert_non_null(copy);
        memcpy(copy + 1, text, cut);
        if (det_pipeline_config_read_text(&t.env, "c", copy + 1, cut, &c) != DET_OK)
            assert_true(strncmp(t.env.error, "c:", 2) == 0);
        det_pipeline_config_free(&t.env, &c);
        free(copy);
    }
    static const char marks[] = {'\0', '{', '}', '"', '\\', '9', '\xff', '-', '[', ':', ' '};
    for (size_t at = 0; at < bytes; at++) {
        const char saved = text[at];
        text[at] = marks[at % sizeof marks];
        if (det_pipeline_config_read_text(&t.env, "c", text, bytes, &c) != DET_OK)
            assert_true(strncmp(t.env.error, "c:", 2) == 0);
        det_pipeline_config_free(&t.env, &c);
        text[at] = saved;
    }
    free(text);
    test_env_check(&t);
}

static det_status parse_text(struct det_env *env, void *argument)
{
    struct det_pipeline_config c;
    char *out = NULL;
    det_status status = parse_config(env, argument, &c);
    if (status == DET_OK)
        status = det_pipeline_path_find(env, &c, "Makefile", DET_PATH_FILE, &out);
    if (status == DET_OK)
        status = det_pipeline_paths_check(
            env, &c,
            (struct det_pipeline_reading){
                .train_input = true, .eval_input = true, .fine_tune_checkpoint = true});
    det_free(env, &out);
    det_pipeline_config_free(env, &c);
    return status == DET_STATUS_NOT_FOUND ? DET_OK : status; /* its files are not here */
}

static void failed_allocations(void **state)
{
    (void)state;
    char *text = raccoon_text();
    char *more = text_edited(text, "random_horizontal_flip {", "ssd_random_crop {");
    test_each_allocation_fails(parse_text, more);
    free(more);
    free(text);
}

/* The tables themselves: no name twice in a message, a reason for each field that is not honoured.
 */
static void check_table(const struct det_schema_message *message)
{
    assert_true(message->count <= DET_SCHEMA_MOST_FIELDS);
    for (size_t i = 0; i < message->count; i++) {
        const struct det_schema_field *field = &message->fields[i];
        for (size_t other = 0; other < i; other++)
            assert_string_not_equal(field->name, message->fields[other].name);
        if (field->use != DET_SCHEMA_HONOURED)
            assert_non_null(field->reason);
        if (field->type == DET_SCHEMA_ENUM)
            assert_non_null(field->words);
        if (field->repeated) /* one stays, of many */
            assert_int_equal(field->oneof, 0);
        if (field->type == DET_SCHEMA_MESSAGE && field->use == DET_SCHEMA_HONOURED) {
            assert_non_null(field->message);
            check_table(field->message);
        }
    }
}

static void tables_are_complete(void **state)
{
    (void)state;
    check_table(&det_schema_pipeline);
}

int test_pipeline_config(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_complete),
        cmocka_unit_test(reads_the_zoo_config),
        cmocka_unit_test(reads_the_raccoon_config),
        cmocka_unit_test(errors_name_field_and_position),
        cmocka_unit_test(accepts_defaults_and_harmless_fields),
        cmocka_unit_test(fields_twice_are_merged),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests_name("pipeline_config", tests, NULL, NULL);
}
