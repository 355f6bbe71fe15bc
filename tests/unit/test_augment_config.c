/* model/from_config.h: every data_augmentation_options of the config reaches the parameters that
 * the operations read (data/augment.h), with every field and with the API's defaults: those of
 * protos/preprocessor.proto and, for lists that are empty, of core/preprocessor.py. */
#include "model/from_config.h"
#include "support/mem.h"
#include "support/test.h"
#include "support/text.h"

/* --- an option's parameters as text: all that are not 0 --- */

static void say(struct test_env *t, struct det_text *text, const char *name, double value)
{
    if (value != 0)
        assert_ok(&t->env, det_text_printf(&t->env, text, " %s=%.7g", name, value));
}

static bool pads_after_crop(enum det_augment_kind kind)
{
    return kind == DET_AUGMENT_CROP_PAD_IMAGE || kind == DET_AUGMENT_SSD_CROP_PAD ||
           kind == DET_AUGMENT_SSD_CROP_PAD_FIXED_ASPECT;
}

static bool reads_aspect(enum det_augment_kind kind)
{
    return kind == DET_AUGMENT_CROP_TO_ASPECT || kind == DET_AUGMENT_SSD_CROP_FIXED_ASPECT ||
           kind == DET_AUGMENT_SSD_CROP_PAD_FIXED_ASPECT;
}

static void describe_crop(struct test_env *t, struct det_text *text,
                          const struct det_augment_option *option, int32_t i)
{
    const struct det_crop_settings *crop = &option->crops[i];
    if (option->kind != DET_AUGMENT_CROP_TO_ASPECT) { /* which draws nothing else */
        say(t, text, "covered", (double)crop->min_object_covered);
        say(t, text, "aspect", (double)crop->min_aspect);
        say(t, text, "..", (double)crop->max_aspect);
        say(t, text, "area", (double)crop->min_area);
        say(t, text, "..", (double)crop->max_area);
        say(t, text, "coef", (double)crop->random_coef);
    }
    say(t, text, "overlap", (double)crop->overlap_thresh);
    say(t, text, "clip", crop->clip_boxes);
    if (!pads_after_crop(option->kind))
        return;
    say(t, text, "padded", (double)crop->min_padded[0]);
    say(t, text, "x", (double)crop->min_padded[1]);
    say(t, text, "..", (double)crop->max_padded[0]);
    say(t, text, "x", (double)crop->max_padded[1]);
    say(t, text, "color", crop->has_color);
    for (int c = 0; c < 3; c++)
        say(t, text, (const char *[]){"r", "g", "b"}[c], (double)crop->color[c]);
}

static void describe(struct test_env *t, struct det_text *text,
                     const struct det_augment_option *option)
{
    const double floats[] = {option->probability, option->probability_x,
                             option->random_coef, option->low,
                             option->high,        option->target_low,
                             option->target_high, option->gamma,
                             option->gain,        reads_aspect(option->kind) ? option->aspect : 0};
    static const char *const float_names[] = {
        "p", "px", "coef", "low", "high", "target_low", "target_high", "gamma", "gain", "aspect"};
    for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++)
        say(t, text, float_names[i], floats[i]);
    const int32_t integers[] = {
        option->ordering,  (int32_t)option->jitter, (int32_t)option->resample, option->from,
        option->to,        option->count,           option->border_px,         option->min_height,
        option->min_width, option->max_height,      option->max_width,         option->label,
        option->has_color, option->crop_count};
    static const char *const integer_names[] = {"ordering", "jitter", "resample", "from",  "to",
                                                "count",    "border", "min_h",    "min_w", "max_h",
                                                "max_w",    "label",  "color",    "crops"};
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++)
        say(t, text, integer_names[i], integers[i]);
    for (int c = 0; c < 3; c++)
        say(t, text, (const char *[]){"r", "g", "b"}[c], (double)option->color[c]);
    for (int32_t i = 0; i < option->label_count; i++)
        say(t, text, "of", option->labels[i]);
    for (int32_t i = 0; i < option->crop_count; i++) {
        assert_ok(&t->env, det_text_printf(&t->env, text, ";"));
        describe_crop(t, text, option, i);
    }
}

/* --- the table --- */

#define PADS         " padded=1 x=1 ..=2 x=2"
#define OVER(o)      "; covered=" o " aspect=0.5 ..=2 area=0.1 ..=1 coef=0.15 overlap=" o " clip=1"
#define OVER_1TO1(o) "; covered=" o " aspect=1 ..=1 area=0.1 ..=1 coef=0.15 overlap=" o " clip=1"
#define ANY          "; aspect=0.5 ..=2 area=0.1 ..=1 coef=0.15 clip=1"
#define ANY_1TO1     "; aspect=1 ..=1 area=0.1 ..=1 coef=0.15 clip=1"
#define CROP_FIELDS                                                         \
    "min_object_covered: .4 min_aspect_ratio: .25 max_aspect_ratio: 3 "     \
    "min_area: .0625 max_area: .75 overlap_thresh: .125 clip_boxes: false " \
    "random_coef: .875 "
#define CROP_SET "; covered=0.4 aspect=0.25 ..=3 area=0.0625 ..=0.75 coef=0.875 overlap=0.125"

static const struct option_case {
    const char *text, *expected;
} cases[] = {
    {"random_horizontal_flip { }", " p=0.5"},
    {"random_horizontal_flip { keypoint_flip_permutation: 1 probability: .25 }", " p=0.25"},
    {"random_vertical_flip { }", " p=0.5"},
    {"random_vertical_flip { probability: .75 }", " p=0.75"},
    {"random_rotation90 { }", " p=0.5"},
    {"random_rotation90 { probability: 1 }", " p=1"},

    {"random_crop_image { }",
     " crops=1; covered=1 aspect=0.75 ..=1.33 area=0.1 ..=1 overlap=0.3 clip=1"},
    {"random_crop_image { " CROP_FIELDS "}", " crops=1" CROP_SET},
    {"random_crop_pad_image { }",
     " crops=1; covered=1 aspect=0.75 ..=1.33 area=0.1 ..=1 overlap=0.3 clip=1" PADS},
    {"random_crop_pad_image { " CROP_FIELDS "min_padded_size_ratio: [1.5, 1.25] "
     "max_padded_size_ratio: [3, 4] pad_color: [7, 8, 9] }",
     " crops=1" CROP_SET " padded=1.5 x=1.25 ..=3 x=4 color=1 r=7 g=8 b=9"},
    {"random_crop_to_aspect_ratio { }", " aspect=1 crops=1; overlap=0.3 clip=1"},
    {"random_crop_to_aspect_ratio { aspect_ratio: 1.5 overlap_thresh: .5 clip_boxes: false }",
     " aspect=1.5 crops=1; overlap=0.5"},

    {"ssd_random_crop { }",
     " crops=7" ANY OVER("0.1") OVER("0.3") OVER("0.5") OVER("0.7") OVER("0.9") OVER("1")},
    {"ssd_random_crop { operations { " CROP_FIELDS "} operations { max_aspect_ratio: 2 "
     "min_aspect_ratio: 2 min_area: .5 max_area: 1 } }",
     " crops=2" CROP_SET "; aspect=2 ..=2 area=0.5 ..=1 clip=1"},
    {"ssd_random_crop_pad { }", " crops=6" OVER("0.1") PADS OVER("0.3") PADS OVER("0.5")
                                    PADS OVER("0.7") PADS OVER("0.9") PADS OVER("1") PADS},
    {"ssd_random_crop_pad { operations { " CROP_FIELDS "min_padded_size_ratio: [1.5, 1.25] "
     "max_padded_size_ratio: [3, 4] pad_color_r: 7 pad_color_g: 8 pad_color_b: 9 } operations { "
     "max_aspect_ratio: 2 min_aspect_ratio: 2 min_area: .5 max_area: 1 } }",
     " crops=2" CROP_SET " padded=1.5 x=1.25 ..=3 x=4 color=1 r=7 g=8 b=9"
     "; aspect=2 ..=2 area=0.5 ..=1 clip=1" PADS " color=1"},
    {"ssd_random_crop_fixed_aspect_ratio { }",
     " aspect=1 crops=7" ANY_1TO1 OVER_1TO1("0.1") OVER_1TO1("0.3") OVER_1TO1("0.5")
         OVER_1TO1("0.7") OVER_1TO1("0.9") OVER_1TO1("1")},
    {"ssd_random_crop_fixed_aspect_ratio { operations { min_object_covered: .4 min_area: .0625 "
     "max_area: .75 overlap_thresh: .125 clip_boxes: false random_coef: .875 } aspect_ratio: 1.5 }",
     " aspect=1.5 crops=1; covered=0.4 aspect=1.5 ..=1.5 area=0.0625 ..=0.75 coef=0.875 "
     "overlap=0.125"},
    {"ssd_random_crop_pad_fixed_aspect_ratio { }",
     " aspect=1 crops=7" ANY PADS OVER("0.1") PADS OVER("0.3") PADS OVER("0.5") PADS OVER("0.7")
         PADS OVER("0.9") PADS OVER("1") PADS},
    {"ssd_random_crop_pad_fixed_aspect_ratio { operations { " CROP_FIELDS "} aspect_ratio: 1.5 "
     "min_padded_size_ratio: [1.5, 1.25] max_padded_size_ratio: [3, 4] }",
     " aspect=1.5 crops=1" CROP_SET " padded=1.5 x=1.25 ..=3 x=4"},

    {"random_pad_image { }", ""},
    {"random_pad_image { min_image_height: 5 min_image_width: 6 max_image_height: 70 "
     "max_image_width: 80 pad_color: [7, 8, 9] }",
     " min_h=5 min_w=6 max_h=70 max_w=80 color=1 r=7 g=8 b=9"},
    {"random_absolute_pad_image { }", " max_h=1 max_w=1"},
    {"random_absolute_pad_image { max_height_padding: 5 max_width_padding: 6 pad_color: [0, 8, 9] "
     "}",
     " max_h=5 max_w=6 color=1 g=8 b=9"},
    {"random_square_crop_by_scale { }", " low=0.6 high=1.3 count=8 border=128"},
    {"random_square_crop_by_scale { max_border: 9 scale_min: .5 scale_max: 1.5 num_scales: 3 }",
     " low=0.5 high=1.5 count=3 border=9"},
    {"random_scale_crop_and_pad_to_square { }", " low=0.1 high=2 max_h=512 max_w=512"},
    {"random_scale_crop_and_pad_to_square { output_size: 64 scale_min: .5 scale_max: 1.5 }",
     " low=0.5 high=1.5 max_h=64 max_w=64"},
    {"random_self_concat_image { }", " p=0.1 px=0.1"},
    {"random_self_concat_image { concat_vertical_probability: .25 "
     "concat_horizontal_probability: .75 }",
     " p=0.25 px=0.75"},

    {"random_image_scale { }", " low=0.5 high=2"},
    {"random_image_scale { min_scale_ratio: .25 max_scale_ratio: 1.5 }", " low=0.25 high=1.5"},
    {"random_downscale_to_target_pixels { }", " from=300000 to=500000"},
    {"random_downscale_to_target_pixels { random_coef: .25 min_target_pixels: 5 "
     "max_target_pixels: 6 }",
     " coef=0.25 from=5 to=6"},
    {"resize_image { new_height: 30 new_width: 40 }", " max_h=30 max_w=40"},
    {"resize_image { new_height: 30 new_width: 40 method: NEAREST_NEIGHBOR }",
     " resample=1 max_h=30 max_w=40"},
    {"resize_image { new_height: 30 new_width: 40 method: BICUBIC }",
     " resample=2 max_h=30 max_w=40"},
    {"resize_image { new_height: 30 new_width: 40 method: AREA }", " resample=3 max_h=30 max_w=40"},
    {"random_resize_method { target_height: 30 target_width: 40 }", " max_h=30 max_w=40"},
    {"random_resize_method { target_width: 40 target_height: 50 }", " max_h=50 max_w=40"},

    {"random_adjust_brightness { }", " high=0.2"},
    {"random_adjust_brightness { max_delta: .5 }", " high=0.5"},
    {"random_adjust_contrast { }", " low=0.8 high=1.25"},
    {"random_adjust_contrast { min_delta: .5 max_delta: 2 }", " low=0.5 high=2"},
    {"random_adjust_saturation { }", " low=0.8 high=1.25"},
    {"random_adjust_saturation { min_delta: .5 max_delta: 2 }", " low=0.5 high=2"},
    {"random_adjust_hue { }", " high=0.02"},
    {"random_adjust_hue { max_delta: .25 }", " high=0.25"},
    {"random_distort_color { }", ""},
    {"random_distort_color { color_ordering: 1 }", " ordering=1"},
    {"random_rgb_to_gray { }", " p=0.1"},
    {"random_rgb_to_gray { probability: .75 }", " p=0.75"},
    {"random_pixel_value_scale { }", " low=0.9 high=1.1"},
    {"random_pixel_value_scale { minval: .5 maxval: 1.5 }", " low=0.5 high=1.5"},
    {"adjust_gamma { }", " gamma=1 gain=1"},
    {"adjust_gamma { gamma: 2 gain: .5 }", " gamma=2 gain=0.5"},
    {"normalize_image { original_maxval: 255 }", " high=255 target_high=1"},
    {"normalize_image { original_minval: 5 original_maxval: 250 target_minval: -1 "
     "target_maxval: 2 }",
     " low=5 high=250 target_low=-1 target_high=2"},
    {"subtract_channel_mean { means: [1, 2, 3] }", " color=1 r=1 g=2 b=3"},
    {"subtract_channel_mean { means: 123.5 means: 0 means: 5 }", " color=1 r=123.5 b=5"},

    {"random_black_patches { }", " p=0.5 high=0.1 count=10"},
    {"random_black_patches { max_black_patches: 3 probability: .25 size_to_image_ratio: .75 }",
     " p=0.25 high=0.75 count=3"},
    {"random_patch_gaussian { }", " high=1 from=1 to=250"},
    {"random_patch_gaussian { random_coef: .25 min_patch_size: 5 max_patch_size: 6 "
     "min_gaussian_stddev: .5 max_gaussian_stddev: .75 }",
     " coef=0.25 low=0.5 high=0.75 from=5 to=6"},
    {"random_jpeg_quality { }", " to=100"},
    {"random_jpeg_quality { random_coef: .25 min_jpeg_quality: 5 max_jpeg_quality: 60 }",
     " coef=0.25 from=5 to=60"},

    {"random_jitter_boxes { }", " high=0.05"},
    {"random_jitter_boxes { ratio: .25 jitter_mode: DEFAULT }", " high=0.25"},
    {"random_jitter_boxes { jitter_mode: EXPAND }", " high=0.05 jitter=1"},
    {"random_jitter_boxes { jitter_mode: SHRINK }", " high=0.05 jitter=2"},
    {"random_jitter_boxes { jitter_mode: EXPAND_SYMMETRIC }", " high=0.05 jitter=3"},
    {"random_jitter_boxes { jitter_mode: SHRINK_SYMMETRIC }", " high=0.05 jitter=4"},
    {"random_jitter_boxes { jitter_mode: EXPAND_SYMMETRIC_XY }", " high=0.05 jitter=5"},
    {"random_jitter_boxes { jitter_mode: SHRINK_SYMMETRIC_XY }", " high=0.05 jitter=6"},
    {"drop_label_probabilistically { label: 1 }", " p=1 label=1"},
    {"drop_label_probabilistically { label: 1 drop_probability: .25 }", " p=0.25 label=1"},
    {"remap_labels { original_labels: [4, 5] new_label: 1 }", " label=1 of=4 of=5"},
    {"remap_labels { new_label: 1 original_labels: 3 }", " label=1 of=3"},
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* The config of one class with all of the given options in place of its own first one; malloc. */
static char *config_with(const char *const *options, size_t count)
{
    static const char first[] =
        "data_augmentation_options {\n    random_horizontal_flip {\n    }\n  }";
    char path[256];
    char *text = test_read_text(test_golden(path, "configs/raccoon_320.config"));
    const char *at = strstr(text, first);
    assert_non_null(at);
    size_t bytes = strlen(text) + 1;
    for (size_t i = 0; i < count; i++)
        bytes += strlen(options[i]) + 40;
    char *result = malloc(bytes);
    assert_non_null(result);
    size_t used = (size_t)(at - text);
    memcpy(result, text, used);
    for (size_t i = 0; i < count; i++)
        used += (size_t)sprintf(result + used, "data_augmentation_options { %s }\n", options[i]);
    strcpy(result + used, at + strlen(first));
    free(text);
    return result;
}

static void every_field_arrives(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const char *texts[CASES];
    int seen[64] = {0};
    for (size_t i = 0; i < CASES; i++)
        texts[i] = cases[i].text;
    char *text = config_with(texts, CASES);
    struct det_pipeline_config config;
    struct det_augment_option *options = NULL;
    size_t count = 0;
    assert_ok(&t.env, det_pipeline_config_read_text(&t.env, "c", text, strlen(text), &config));
    assert_ok(&t.env, det_augment_from_config(&t.env, &config, &options, &count));
    assert_int_equal(count, CASES + 1); /* and the crop that the file has beside its flip */
    for (size_t i = 0; i < CASES; i++) {
        const char *name = det_augment_name(options[i].kind);
        assert_memory_equal(name, cases[i].text, strlen(name));
        struct det_text got = {0};
        describe(&t, &got, &options[i]);
        if (strcmp(got.data != NULL ? got.data : "", cases[i].expected) != 0)
            fail_msg("%s:\ngot     \"%s\"\nexpected\"%s\"", cases[i].text, got.data,
                     cases[i].expected);
        det_text_free(&t.env, &got);
        seen[options[i].kind]++;
    }
    for (int kind = 0; det_augment_name((enum det_augment_kind)kind) != NULL; kind++)
        if (seen[kind] < 2)
            fail_msg("%s: the table needs its defaults and all of its fields",
                     det_augment_name((enum det_augment_kind)kind));
    det_free(&t.env, &options);
    det_pipeline_config_free(&t.env, &config);
    free(text);
    test_env_check(&t);
}

/* What the config's reader lets pass, but the operation or the network cannot do. */
static void what_cannot_be_done_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
        det_status status;
    } bad[] = {
        {"rgb_to_gray { }", "`rgb_to_gray` is not supported: it leaves one channel",
         DET_STATUS_UNSUPPORTED},
        {"scale_boxes_to_pixel_coordinates { }", "normalised boxes", DET_STATUS_UNSUPPORTED},
        {"convert_class_logits_to_softmax { }", "multiclass scores", DET_STATUS_UNSUPPORTED},
        {"autoaugment_image { }", "its policies are not built", DET_STATUS_UNSUPPORTED},
        {"remap_labels { original_labels: 1 new_label: 2 }",
         "remap_labels: label 2, but the network has 1 classes", DET_STATUS_INVALID_ARGUMENT},
        {"drop_label_probabilistically { label: 2 }",
         "drop_label_probabilistically: label 2, but the network has 1 classes",
         DET_STATUS_INVALID_ARGUMENT},
        {"ssd_random_crop_fixed_aspect_ratio { operations { max_area: 1 } }", "min_area",
         DET_STATUS_INVALID_ARGUMENT},
    };
    struct test_env t;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *text = config_with(&bad[i].text, 1);
        struct det_pipeline_config config;
        struct det_augment_option *options = NULL;
        size_t count = 0;
        assert_ok(&t.env, det_pipeline_config_read_text(&t.env, "c", text, strlen(text), &config));
        assert_fails(&t.env, bad[i].status, bad[i].message,
                     det_augment_from_config(&t.env, &config, &options, &count));
        assert_memory_equal(t.env.error, "c:", 2); /* with its line */
        assert_null(options);
        assert_int_equal(count, 0);
        det_pipeline_config_free(&t.env, &config);
        free(text);
    }
    test_env_check(&t);
}

int test_augment_config(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_arrives),
        cmocka_unit_test(what_cannot_be_done_is_named),
    };
    return cmocka_run_group_tests_name("augment_config", tests, NULL, NULL);
}
