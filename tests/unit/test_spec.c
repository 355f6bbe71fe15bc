/* model/spec.c: what a spec may say, whatever it comes from; and that whatever passes can be built,
 * run and trained. */
#include <math.h>

#include "devices/context.h"
#include "formats/weights.h"
#include "model/model.h"
#include "support/formula.h"
#include "support/json.h"
#include "support/json_writer.h"
#include "support/mem.h"
#include "support/test.h"
#include "train/learner.h"

#define MB ((size_t)1 << 20)

static void small_spec(struct det_model_spec *spec)
{
    formula_spec(spec, 64, 2);
    spec->backbone.init = spec->head.init =
        (struct det_init_spec){.kind = DET_INIT_VARIANCE_SCALING, .a = 1};
}

static void each_number_has_a_range(void **state)
{
    (void)state;
    struct test_env t;
    struct det_model_spec spec;
    test_env_init(&t);
    small_spec(&spec);
    assert_ok(&t.env, det_model_spec_check(&t.env, &spec));
#define BAD(part, ...)                                          \
    do {                                                        \
        small_spec(&spec);                                      \
        __VA_ARGS__;                                            \
        assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, part, \
                     det_model_spec_check(&t.env, &spec));      \
    } while (0)
    BAD("num_classes is 0", spec.num_classes = 0);
    BAD("num_classes is 100001", spec.num_classes = 100001);
    BAD("input height is 32", spec.input_height = 32);
    BAD("input width is 16385", spec.input_width = 16385);
    BAD("pad_to_multiple is 0", spec.pad_to_multiple = 0);
    BAD("resize mode is 7", spec.resize_mode = (enum det_resize_mode)7);
    BAD("min_dimension is 0", spec.resize_mode = DET_RESIZE_KEEP_ASPECT);
    BAD("max_dimension is -5", spec.resize_mode = DET_RESIZE_KEEP_ASPECT; spec.min_dimension = 1;
        spec.max_dimension = -5);
    BAD("expected a square of max_dimension 65", spec.resize_mode = DET_RESIZE_KEEP_ASPECT;
        spec.min_dimension = spec.max_dimension = 65);
    BAD("depth_multiplier is 0", spec.depth_multiplier = 0);
    BAD("depth_multiplier is nan", spec.depth_multiplier = NAN);
    BAD("depth_multiplier is 1e+30", spec.depth_multiplier = 1e30f);
    BAD("min_depth is -1", spec.min_depth = -1);
    BAD("the feature pyramid has no channels", spec.min_depth = 0; spec.fpn_depth = 9);
    BAD("min_level is 1", spec.min_level = 1);
    BAD("max_level is 4", spec.max_level = 4);
    BAD("max_level is 11", spec.max_level = 11);
    BAD("additional_layer_depth is 0", spec.fpn_depth = 0);
    BAD("box predictor depth is 0", spec.head_depth = 0);
    BAD("num_layers_before_predictor is -1", spec.head_layers = -1);
    BAD("kernel_size is 0", spec.head_kernel = 0);
    BAD("kernel_size is 16", spec.head_kernel = 16);
    BAD("scales_per_octave is 0", spec.scales_per_octave = 0);
    BAD("aspect_ratios is 0", spec.aspect_count = 0);
    BAD("aspect_ratios is 9", spec.aspect_count = 9);
    BAD("aspect ratio is -1", spec.aspects[1] = -1);
    BAD("aspect ratio is inf", spec.aspects[2] = INFINITY);
    BAD("anchor_scale is 0", spec.anchor_scale = 0);
    BAD("y_scale is 0", spec.y_scale = 0);
    BAD("x_scale is nan", spec.x_scale = NAN);
    BAD("height_scale is inf", spec.height_scale = INFINITY);
    BAD("width_scale is -1", spec.width_scale = -1);
    BAD("score_threshold is nan", spec.score_threshold = NAN);
    BAD("iou_threshold is 1.5", spec.iou_threshold = 1.5f);
    BAD("max_detections_per_class is 0", spec.max_per_class = 0);
    BAD("max_total_detections is 0", spec.max_total = 0);
    BAD("class_prediction_bias_init is nan", spec.class_bias_init = NAN);
    BAD("backbone hyperparams: model: batch norm epsilon is 0", spec.backbone.bn_epsilon = 0);
    BAD("feature extractor hyperparams: model: batch norm epsilon is inf",
        spec.fpn.bn_epsilon = INFINITY);
    BAD("box predictor hyperparams: model: batch norm decay is 1.5", spec.head.bn_decay = 1.5f);
    BAD("l2 weight is -1", spec.head.l2 = -1);
    BAD("initializer is 9", spec.fpn.init.kind = (enum det_init_kind)9);
    BAD("initializer's fan mode is -1", spec.fpn.init.fan_mode = (enum det_init_fan) - 1);
    BAD("initializer's stddev is nan", spec.fpn.init.b = NAN);
    BAD("initializer's factor is -1", spec.head.init.a = -1);
#undef BAD
    small_spec(&spec);
    spec.num_classes = 100000;
    spec.scales_per_octave = 64;
    assert_fails(&t.env, DET_STATUS_UNSUPPORTED, "at most 1048576 scores of a cell",
                 det_model_spec_check(&t.env, &spec));
    small_spec(&spec);
    spec.input_height = spec.input_width = 16384;
    spec.min_level = 2;
    spec.num_classes = 90;
    assert_fails(&t.env, DET_STATUS_UNSUPPORTED, "scores of an image",
                 det_model_spec_check(&t.env, &spec));
    struct det_graph graph;
    det_model_spec_default(&spec, 16384, 1);
    assert_ok(&t.env, det_model_spec_check(&t.env, &spec));
    assert_fails(&t.env, DET_STATUS_UNSUPPORTED, "a tensor of 8192 x 8192 x 32 values",
                 det_graph_build(&t.env, &spec, true, &graph));
    /* What a config may say passes to the last bit. */
    small_spec(&spec);
    spec.depth_multiplier = 0.01f;
    spec.anchor_scale = 1e-3f;
    spec.aspects[0] = 1e3f;
    spec.y_scale = 1e-6f;
    spec.head.bn_epsilon = 1e-12f;
    assert_ok(&t.env, det_model_spec_check(&t.env, &spec));
    test_env_check(&t);
}

/* --- files with another number in their spec --- */

/* A text with one value replaced. */
static char *replaced(const char *text, struct det_json value, const char *by)
{
    size_t bytes = 0;
    const char *at = det_json_source(value, &bytes);
    const size_t before = (size_t)(at - text), length = strlen(text);
    char *out = malloc(length + strlen(by) + 1);
    assert_non_null(out);
    memcpy(out, text, before);
    strcpy(out + before, by);
    strcat(out, at + bytes);
    return out;
}

static const char *const numbers[] = {"0",     "1",     "-1",         "2",   "3",
                                      "7",     "16",    "33",         "65",  "4096",
                                      "1e300", "1e999", "2147483647", "0.5", "1e-30"};

/* Writes `file` to `path` with another meta object. */
static void write_with_meta(struct test_env *t, const struct det_weights *file, const char *meta,
                            const char *path)
{
    struct det_weights_writer *writer = NULL;
    assert_ok(&t->env, det_weights_writer_create(&t->env, path, NULL, &writer));
    assert_ok(&t->env, det_weights_writer_set_meta(&t->env, writer, meta));
    for (size_t i = 0; i < det_weights_count(file); i++) {
        const struct det_weights_tensor *x = det_weights_tensor_at(file, i);
        assert_ok(&t->env, det_weights_writer_add(&t->env, writer, x->name, x->dtype, x->shape,
                                                  x->dims, x->data));
    }
    assert_ok(&t->env, det_weights_writer_finish(&t->env, &writer));
}

static void detect_once(det_context *context, const det_model *model)
{
    static const uint8_t pixels[40 * 30 * 3] = {1, 2, 3};
    const det_image_view view = {.pixels = pixels, .width = 40, .height = 30};
    const det_detection *found = NULL;
    det_detector_settings settings;
    det_detector *detector = NULL;
    size_t count = 0;
    det_detector_settings_default(&settings);
    settings.score_threshold = 0.001f;
    const det_status made = det_detector_create(context, model, &settings, &detector);
    if (made != DET_OK && made != DET_STATUS_OUT_OF_MEMORY && made != DET_STATUS_INVALID_ARGUMENT)
        fail_msg("%s: %s", det_status_text(made), det_context_error(context));
    if (made != DET_OK)
        return;
    const det_status ran = det_detector_run(detector, &view, &found, &count);
    if (ran != DET_OK && ran != DET_STATUS_NON_FINITE)
        fail_msg("%s: %s", det_status_text(ran), det_context_error(context));
    det_detector_destroy(&detector);
}

static void use_file(det_context *context, const char *path, const char *out)
{
    det_model *model = NULL;
    const det_status status = det_model_load(context, path, &model);
    if (status == DET_OK) {
        detect_once(context, model);
        assert_int_equal(det_model_export(context, model, out), DET_OK);
    } else if (status != DET_STATUS_CORRUPT && status != DET_STATUS_MISMATCH &&
               status != DET_STATUS_NOT_FOUND && status != DET_STATUS_UNSUPPORTED &&
               status != DET_STATUS_OUT_OF_MEMORY) {
        fail_msg("%s: %s", det_status_text(status), det_context_error(context));
    }
    det_model_destroy(&model);
}

static det_context *limited_context(const char *cpu, const char *precision)
{
    det_context *context = NULL;
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.threads = 1;
    settings.cpu = cpu;
    settings.precision = precision;
    settings.max_file_memory_bytes = 20 * MB;
    assert_int_equal(det_context_create(&context, &settings), DET_OK);
    return context;
}

static void any_number_in_a_file_is_refused_or_runs(void **state)
{
    (void)state;
    struct test_env t;
    struct det_model_spec spec;
    char directory[256], good[300], bad[300], out[300];
    test_env_init(&t);
    test_make_directory(directory, "spec");
    snprintf(good, sizeof good, "%s/good.det", directory);
    snprintf(bad, sizeof bad, "%s/bad.det", directory);
    snprintf(out, sizeof out, "%s/out.det", directory);
    small_spec(&spec);
    det_model *model = NULL;
    assert_ok(&t.env, det_model_create(&t.env, &spec, true, NULL, &model));
    assert_ok(&t.env, det_model_write(&t.env, model, good, NULL));
    det_model_destroy(&model);
    det_context *context = limited_context("auto", "auto");
    struct det_weights *file = NULL;
    assert_ok(&t.env, det_weights_open(&t.env, good, true, &file));
    size_t bytes = 0;
    const char *source = det_json_source(det_weights_meta(file), &bytes);
    char *const meta = strndup(source, bytes);
    struct det_json root;
    assert_ok(&t.env, det_json_parse(&t.env, "meta", meta, bytes, &root));
    struct det_json_entry entry;
    int changed = 0;
    const struct det_json all = det_json_get(root, "spec");
    for (bool more = det_json_first(all, &entry); more; more = det_json_next(&entry)) {
        struct det_json value = entry.value;
        struct det_json_entry first;
        if (det_json_first(value, &first))
            value = first.value; /* of the aspects */
        for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
            char *text = replaced(meta, value, numbers[n]);
            write_with_meta(&t, file, text, bad);
            use_file(context, bad, out);
            free(text);
            changed++;
        }
    }
    assert_true(changed > 800);
    /* The case that once divided by zero. */
    char *edited = replaced(meta, det_json_get(all, "min_depth"), "0");
    assert_ok(&t.env, det_json_parse(&t.env, "meta", edited, strlen(edited), &root));
    char *zero = replaced(edited, det_json_get(det_json_get(root, "spec"), "fpn_depth"), "9");
    write_with_meta(&t, file, zero, bad);
    assert_int_equal(det_model_load(context, bad, &model), DET_STATUS_CORRUPT);
    assert_contains(det_context_error(context), "the feature pyramid has no channels");
    free(zero);
    free(edited);
    free(meta);
    det_weights_close(&t.env, &file);
    det_context_destroy(&context);
    test_remove_tree(directory);
    test_env_check(&t);
}

/* --- specs of a program or a config: nothing in a file must fit them --- */

static void train_once(det_context *context, const struct det_model_spec *spec)
{
    struct det_env *env = det_context_env(context);
    const struct det_compute *compute = det_context_compute(context);
    struct det_learner_settings settings;
    struct det_learner *learner = NULL;
    struct det_ground_truth truth = {0};
    struct det_step_result result;
    det_learner_settings_default(&settings);
    settings.batch_size = 1;
    const struct det_budget before = det_budget_open(env, "training");
    const det_status made =
        det_learner_create(env, spec, &settings, compute->backend, compute->device, 1, &learner);
    det_budget_close(env, before);
    if (made != DET_OK && made != DET_STATUS_OUT_OF_MEMORY)
        fail_msg("%s: %s", det_status_text(made), env->error);
    if (made == DET_OK) {
        const size_t floats = (size_t)spec->input_height * (size_t)spec->input_width * 3;
        float *images = malloc(floats * sizeof *images);
        assert_non_null(images);
        for (size_t i = 0; i < floats; i++)
            images[i] = (float)(i * 7 % 256);
        assert_ok(env, det_ground_truth_reserve(env, &truth, 1));
        truth.count = 1;
        memcpy(truth.boxes[0], (float[4]){.25f, .25f, .75f, .75f}, sizeof truth.boxes[0]);
        truth.class_index[0] = 0;
        truth.weight[0] = 1;
        const det_status ran = det_learner_step(env, learner, images, &truth, .01f, &result);
        if (ran != DET_OK && ran != DET_STATUS_NON_FINITE)
            fail_msg("%s: %s", det_status_text(ran), env->error);
        det_ground_truth_free(env, &truth);
        free(images);
    }
    det_learner_destroy(env, &learner);
}

static void build_and_detect(det_context *context, const struct det_model_spec *spec, bool folded)
{
    struct det_env *env = det_context_env(context);
    det_model *model = NULL;
    const struct det_budget before = det_budget_open(env, "model");
    const det_status made = det_model_create(env, spec, folded, NULL, &model);
    det_budget_close(env, before);
    if (made == DET_OK) {
        det_graph_init_params(&model->graph, 1, model->owned);
        detect_once(context, model);
    } else if (made != DET_STATUS_OUT_OF_MEMORY && made != DET_STATUS_UNSUPPORTED) {
        fail_msg("%s: %s", det_status_text(made), env->error);
    }
    det_model_destroy(&model);
}

/* Whether a field decides which operations there are, and with which shapes: what the instruction
 * sets differ in. */
static bool decides_shapes(struct det_json key)
{
    static const char *const keys[] = {
        "num_classes", "input_height", "input_width",      "pad_to_multiple", "depth_multiplier",
        "min_depth",   "min_level",    "max_level",        "fpn_depth",       "head_depth",
        "head_layers", "head_kernel",  "scales_per_octave"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (det_json_equals(key, keys[i]))
            return true;
    return false;
}

static void try_spec(const struct det_model_spec *spec, bool shapes)
{
    const char *missing = NULL, *cpu = NULL;
    det_context *context = limited_context("auto", "auto");
    build_and_detect(context, spec, false);
    if (!shapes) {
        build_and_detect(context, spec, true);
        det_context_destroy(&context);
        return;
    }
    if (spec->input_height <= 65 && spec->input_width <= 65)
        train_once(context, spec);
    det_context_destroy(&context);
    for (int i = 0; (cpu = det_cpu_instruction_set(i, &missing)) != NULL; i++) {
        if (missing != NULL)
            continue;
        context = limited_context(cpu, i == 0 ? "f32" : "bf16"); /* ref has no bf16 */
        build_and_detect(context, spec, true);
        det_context_destroy(&context);
        if (i == 0)
            continue;
        context = limited_context(cpu, "f32");
        build_and_detect(context, spec, true);
        det_context_destroy(&context);
    }
}

static void any_spec_that_passes_runs_and_trains(void **state)
{
    (void)state;
    struct test_env t;
    struct det_model_spec spec;
    struct det_text json = {0};
    struct det_json_writer writer;
    struct det_json root;
    struct det_json_entry entry;
    int passed = 0;
    test_env_init(&t);
    small_spec(&spec);
    det_json_begin(&writer, &t.env, &json, DET_JSON_SPACED);
    det_model_spec_to_json(&writer, NULL, &spec);
    assert_ok(&t.env, det_json_end(&writer));
    assert_ok(&t.env, det_json_parse(&t.env, "spec", json.data, json.length, &root));
    for (bool more = det_json_first(root, &entry); more; more = det_json_next(&entry)) {
        if (det_json_kind(entry.value) != DET_JSON_NUMBER)
            continue;
        for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
            char *text = replaced(json.data, entry.value, numbers[n]);
            struct det_json changed;
            assert_ok(&t.env, det_json_parse(&t.env, "spec", text, strlen(text), &changed));
            const det_status status = det_model_spec_from_json(&t.env, "spec", changed, &spec);
            if (status == DET_OK)
                try_spec(&spec, decides_shapes(entry.key));
            else if (status != DET_STATUS_CORRUPT && status != DET_STATUS_UNSUPPORTED)
                fail_msg("%s: %s", det_status_text(status), t.env.error);
            passed += status == DET_OK;
            free(text);
        }
    }
    assert_true(passed > 100);
    det_text_free(&t.env, &json);
    test_env_check(&t);
}

int test_spec(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_number_has_a_range),
        cmocka_unit_test(any_number_in_a_file_is_refused_or_runs),
        cmocka_unit_test(any_spec_that_passes_runs_and_trains),
    };
    return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}
