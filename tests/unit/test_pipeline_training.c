/* pipeline.config: networks, augmentations, optimizers and learning rates: what they are by
 * default, and what is refused. */
#include "support/raccoon_config.h"
#include "support/text.h"

/* Fields that training does not read stop what reads them, and only that. */
static void refusals_wait_for_their_stage(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *message;
        enum det_pipeline_stage stage;
    } cases[] = {
        {"score_converter: SIGMOID", "",
         "field `model.ssd.post_processing.score_converter` must be SIGMOID", DET_STAGE_INFERENCE},
        {"score_converter: SIGMOID", "score_converter: SIGMOID logit_scale: 2",
         "field `model.ssd.post_processing.logit_scale` is not supported", DET_STAGE_INFERENCE},
        {"batch_non_max_suppression {", "batch_non_max_suppression { use_combined_nms: true",
         "batch_non_max_suppression.use_combined_nms` is not supported", DET_STAGE_INFERENCE},
        {"max_detections_per_class: 100", "max_detections_per_class: -1",
         "field `max_detections_per_class`: found -1, expected 1 to 1000000", DET_STAGE_INFERENCE},
        {"eval_config {", "eval_config { eval_instance_masks: true",
         "field `eval_config.eval_instance_masks` is not supported", DET_STAGE_EVALUATION},
        {"eval_config {", "eval_config { max_num_boxes_to_visualize: -1",
         "field `max_num_boxes_to_visualize`: found -1", DET_STAGE_EVALUATION},
        {"eval_input_reader {", "eval_input_reader { sample_1_of_n_examples: 10",
         "field `eval_input_reader.sample_1_of_n_examples` is not supported: all records are read",
         DET_STAGE_EVALUATION},
    };
    struct test_env t;
    test_env_init(&t);
    char *text = raccoon_text();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct det_pipeline_config c;
        char *late = text_edited(text, cases[i].from, cases[i].to);
        t.env.error[0] = '\0';
        assert_ok(&t.env, parse_config(&t.env, late, &c));
        assert_string_equal(t.env.error, "");
        for (int stage = 0; stage < DET_STAGE_COUNT; stage++)
            if (stage < (int)cases[i].stage)
                assert_ok(&t.env, det_pipeline_config_check_stage(&t.env, &c, stage));
            else
                assert_fails(&t.env, DET_STATUS_UNSUPPORTED, cases[i].message,
                             det_pipeline_config_check_stage(&t.env, &c, stage));
        det_pipeline_config_free(&t.env, &c);
        free(late);
    }
    free(text);
    test_env_check(&t);
}

/* The network is told first, not the first field of it that libdet does not have. */
static void other_networks_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"model { ssd { feature_extractor { type: 'ssd_efficientnet-b0_bifpn_keras' "
         "conv_hyperparams { "
         "force_use_bias: true } bifpn { } } } }",
         "(this is EfficientDet; libdet does SSD MobileNet V2 FPN and FPNLite)"},
        {"model { ssd { nonsense: 1 feature_extractor { type: 'ssd_mobilenet_v2_keras' } } }",
         "(this is SSD MobileNet V2 without FPN;"},
        {"model { ssd { feature_extractor { type: 'ssd_mobilenet_v2_fpn' } } }",
         "(this is the TensorFlow 1 form of it;"},
        {"model { ssd { feature_extractor { type: 'ssd_mobilenet_v1_fpn_keras' } } }",
         "(this is SSD MobileNet V1 FPN;"},
        {"model { ssd { feature_extractor { type: 'ssd_resnet101_v1_fpn_keras' } } }",
         "(this is SSD ResNet (RetinaNet);"},
        {"model { ssd { feature_extractor { type: 'my_own' } } }",
         "\"my_own\" is not supported: \"ssd_mobilenet_v2_fpn_keras\" is"},
        {"model {\n faster_rcnn { first_stage_nms_iou_threshold: 0.7 } }",
         "dir/c:2:2: field `model.faster_rcnn` is not supported: this is Faster R-CNN; libdet does "
         "SSD MobileNet V2 FPN and FPNLite"},
        {"model { center_net { } }", "this is CenterNet;"},
    };
    struct test_env t;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct det_pipeline_config c;
        assert_fails(&t.env, DET_STATUS_UNSUPPORTED, cases[i].message,
                     parse_config(&t.env, cases[i].text, &c));
    }
    test_env_check(&t);
}

static void every_augmentation_has_its_defaults(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    char *text = raccoon_text();
    for (int32_t kind = 1; kind < DET_AUGMENTATION_COUNT_; kind++) {
        struct det_pipeline_config c;
        struct det_text step = {0};
        const char *inside =
            kind == DET_AUGMENTATION_NORMALIZE_IMAGE         ? "original_maxval: 255"
            : kind == DET_AUGMENTATION_RESIZE_IMAGE          ? "new_height: 3 new_width: 4"
            : kind == DET_AUGMENTATION_RANDOM_RESIZE_METHOD  ? "target_height: 3 target_width: 4"
            : kind == DET_AUGMENTATION_SUBTRACT_CHANNEL_MEAN ? "means: [1, 2, 3]"
            : kind == DET_AUGMENTATION_DROP_LABEL_PROBABILISTICALLY ? "label: 1"
            : kind == DET_AUGMENTATION_REMAP_LABELS ? "original_labels: [4, 5] new_label: 1"
                                                    : "";
        assert_ok(&t.env,
                  det_text_printf(&t.env, &step, "%s { %s", det_augmentation_name(kind), inside));
        char *good = text_edited(text, "random_horizontal_flip {", step.data);
        assert_ok(&t.env, parse_config(&t.env, good, &c));
        const struct det_augmentation *a = &c.train.augmentations[0];
        assert_int_equal(a->kind, kind);
        if (kind == DET_AUGMENTATION_SSD_RANDOM_CROP) {
            assert_int_equal(a->as.ssd_random_crop.count, 7);
            assert_near(a->as.ssd_random_crop.operations[6].overlap_thresh, 1, 0);
            assert_near(a->as.ssd_random_crop.operations[0].random_coef, .15f, 0);
        }
        if (kind == DET_AUGMENTATION_SSD_RANDOM_CROP_PAD)
            assert_int_equal(a->as.ssd_random_crop.count, 6);
        if (kind == DET_AUGMENTATION_RANDOM_CROP_PAD_IMAGE) {
            assert_near(a->as.crop.max_padded_size_ratio[1], 2, 0);
            assert_false(a->as.crop.has_pad_color);
        }
        if (kind == DET_AUGMENTATION_REMAP_LABELS)
            assert_int_equal(a->as.remap_labels.original_labels[1], 5);
        if (kind == DET_AUGMENTATION_RANDOM_SQUARE_CROP_BY_SCALE)
            assert_int_equal(a->as.random_square_crop_by_scale.max_border, 128);
        if (kind == DET_AUGMENTATION_RANDOM_ADJUST_HUE)
            assert_near(a->as.random_adjust.max_delta, .02f, 0);
        det_pipeline_config_free(&t.env, &c);
        det_text_free(&t.env, &step);
        free(good);
    }
    struct det_pipeline_config c;
    char *good =
        text_edited(text, "random_horizontal_flip {",
                    "ssd_random_crop_pad { operations { min_aspect_ratio: .5 max_aspect_ratio: 2 "
                    "max_area: 1 min_padded_size_ratio: [1, 1.5] } operations { "
                    "min_aspect_ratio: 1 max_aspect_ratio: 1 max_area: 1 pad_color_g: 7 }");
    assert_ok(&t.env, parse_config(&t.env, good, &c));
    const struct det_crop_rule *rules = c.train.augmentations[0].as.ssd_random_crop.operations;
    assert_int_equal(c.train.augmentations[0].as.ssd_random_crop.count, 2);
    assert_near(rules[0].min_padded_size_ratio[1], 1.5, 0);
    assert_true(rules[1].has_pad_color && rules[1].clip_boxes);
    assert_near(rules[1].pad_color[1], 7, 0);
    det_pipeline_config_free(&t.env, &c);
    free(good);
    free(text);
    assert_string_equal(det_augmentation_name(-1), "unknown");
    test_env_check(&t);
}

static void optimizers_and_schedules(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t optimizer, schedule;
    } cases[] = {
        {"adam_optimizer { learning_rate { constant_learning_rate { } } }", DET_OPTIMIZER_ADAM,
         DET_LEARNING_RATE_CONSTANT},
        {"rms_prop_optimizer { learning_rate { exponential_decay_learning_rate { } } }",
         DET_OPTIMIZER_RMS_PROP, DET_LEARNING_RATE_EXPONENTIAL_DECAY},
        {"momentum_optimizer { learning_rate { manual_step_learning_rate { schedule { step: 5 "
         "learning_rate: .5 } schedule { step: 9 } } } }",
         DET_OPTIMIZER_MOMENTUM, DET_LEARNING_RATE_MANUAL_STEP},
    };
    struct test_env t;
    test_env_init(&t);
    char *text = raccoon_text();
    char *open = text_edited(text, "momentum_optimizer {", "@ momentum_optimizer {");
    char *start = strstr(open, "@"), *end = strstr(start, "use_moving_average: false");
    assert_non_null(end);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct det_pipeline_config c;
        struct det_text all = {0};
        assert_ok(&t.env, det_text_append(&t.env, &all, open, (size_t)(start - open)));
        assert_ok(&t.env, det_text_printf(&t.env, &all, "%s\n%s", cases[i].text,
                                          end + strlen("use_moving_average: false")));
        assert_ok(&t.env, parse_config(&t.env, all.data, &c));
        assert_int_equal(c.train.optimizer.kind, cases[i].optimizer);
        assert_true(c.train.optimizer.use_moving_average);
        const struct det_learning_rate_config *rate = &c.train.optimizer.learning_rate;
        assert_int_equal(rate->kind, cases[i].schedule);
        assert_near(det_pipeline_config_base_learning_rate(&c), .002f, 0);
        det_pipeline_config_scale_learning_rate(&c, 2);
        assert_near(det_pipeline_config_base_learning_rate(&c), .004f, 0);
        if (cases[i].optimizer == DET_OPTIMIZER_ADAM)
            assert_near(c.train.optimizer.epsilon, 1e-8f, 0);
        if (cases[i].schedule == DET_LEARNING_RATE_EXPONENTIAL_DECAY)
            assert_true(rate->as.exponential_decay.staircase);
        if (cases[i].schedule == DET_LEARNING_RATE_MANUAL_STEP) {
            assert_int_equal(rate->as.manual_step.count, 2);
            assert_near(rate->as.manual_step.schedule[0].learning_rate, 1, 0);
            assert_near(rate->as.manual_step.schedule[1].learning_rate, .004f, 0);
        }
        det_pipeline_config_free(&t.env, &c);
        det_text_free(&t.env, &all);
    }
    free(open);
    free(text);
    test_env_check(&t);
}

/* The line is that of the optimizer that is used, and within it of what is wrong: marked by
 * "#!". */
static void wrong_schedules_name_their_line(void **state)
{
    (void)state;
#define RATE(optimizer, rate)       optimizer "_optimizer {\n learning_rate {\n" rate "}\n}\n"
#define MANUAL(optimizer, schedule) RATE(optimizer, "manual_step_learning_rate {" schedule "}\n")
    static const struct {
        const char *text, *message;
    } cases[] = {
        {MANUAL("momentum", " #!\n"), "has no schedule { step: ... learning_rate: ... }"},
        {MANUAL("adam", "\n schedule { step: 0 } #!\n schedule { step: 3 }\n"),
         "step of the first schedule is 0, expected 1 or more"},
        {MANUAL("rms_prop", "\n schedule { step: 4 }\n schedule { step: 4 } #!\n"),
         "steps of the schedule must rise: 4 follows 4"},
        {MANUAL("adam", "\n schedule { step: 4 }\n schedule { step: 9 }\n"
                        "schedule { step: 8 learning_rate: 1 } #!\n"),
         "steps of the schedule must rise: 8 follows 9"},
        {RATE("rms_prop", "cosine_decay_learning_rate { total_steps: 9\n warmup_steps: 10 #!\n}"),
         "warmup_steps 10 exceeds total_steps 9"},
        {RATE("adam", "cosine_decay_learning_rate {\n learning_rate_base: .1 #!\n"
                      "warmup_learning_rate: .2 }"),
         "learning_rate_base 0.1 is below warmup_learning_rate 0.2"},
        {"adam_optimizer { #!\n}\n", "adam_optimizer.learning_rate` must have a constant_"},
    };
#undef MANUAL
#undef RATE
    struct test_env t;
    test_env_init(&t);
    char *text = raccoon_text();
    const char *start = strstr(text, "momentum_optimizer {"),
               *end = strstr(text, "use_moving_average: false");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct det_pipeline_config c;
        struct det_text all = {0};
        char place[32];
        int line = 1;
        assert_ok(&t.env, det_text_append(&t.env, &all, text, (size_t)(start - text)));
        assert_ok(&t.env, det_text_printf(&t.env, &all, "%s%s", cases[i].text, end));
        for (const char *at = strstr(all.data, "#!"); at > all.data; at--)
            line += at[-1] == '\n';
        snprintf(place, sizeof place, ":%d:", line);
        assert_fails(&t.env, DET_STATUS_PARSE, cases[i].message,
                     parse_config(&t.env, all.data, &c));
        assert_contains(t.env.error, place);
        det_text_free(&t.env, &all);
    }
    free(text);
    test_env_check(&t);
}

/* Without a warm-up its rate means nothing. */
static void a_warm_up_of_no_steps_may_have_any_rate(void **state)
{
    (void)state;
    struct test_env t;
    struct det_pipeline_config c;
    test_env_init(&t);
    char *text = raccoon_text();
    char *no_steps = text_edited(text, "warmup_steps: 50", "warmup_steps: 0");
    char *rate = text_edited(no_steps, "learning_rate_base:", "warmup_learning_rate: 9 #");
    assert_ok(&t.env, parse_config(&t.env, rate, &c));
    det_pipeline_config_free(&t.env, &c);
    free(rate);
    free(no_steps);
    free(text);
    test_env_check(&t);
}

int test_pipeline_training(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_wait_for_their_stage),
        cmocka_unit_test(other_networks_are_named),
        cmocka_unit_test(every_augmentation_has_its_defaults),
        cmocka_unit_test(optimizers_and_schedules),
        cmocka_unit_test(wrong_schedules_name_their_line),
        cmocka_unit_test(a_warm_up_of_no_steps_may_have_any_rate),
    };
    return cmocka_run_group_tests_name("pipeline_training", tests, NULL, NULL);
}
