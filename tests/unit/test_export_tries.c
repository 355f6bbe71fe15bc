/* det-export --precision int8 --eval: as long as AP falls by more than --max_drop, other
 * calibrations are made, then layers go back to float32, and each try is told. */
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/context.h"
#include "support/exports.h"
#include "support/records.h"
#include "support/run_tool.h"
#include "support/workspace.h"

static char out[1 << 16];

static const char *const names[] = {"cat", "dog"};

/* A picture with one box, where the model sees its best. */
static void write_record(det_context *context, const det_model *model, const char *path)
{
    struct det_env *env = det_context_env(context);
    det_detector_settings settings;
    det_detector_settings_default(&settings);
    settings.score_threshold = 0;
    struct det_writer writer;
    det_picture *picture = NULL;
    det_detector *detector = NULL;
    const det_detection *found = NULL;
    size_t bytes = 0, count = 0;
    unsigned char *jpeg = test_make_jpeg(48, 40, 5, &bytes);
    assert_context_ok(context, det_picture_decode(context, "a.jpg", jpeg, bytes, &picture));
    assert_context_ok(context, det_detector_create(context, model, &settings, &detector));
    const det_image_view view = det_picture_view(picture);
    assert_context_ok(context, det_detector_run(detector, &view, &found, &count));
    assert_true(count > 0);

    float ymin = found->ymin, xmin = found->xmin, ymax = found->ymax, xmax = found->xmax;
    struct det_bytes class_text = test_text(names[found->class_id - 1]);
    const struct det_example example = {
        .encoded = {jpeg, bytes},
        .filename = test_text("a.jpg"),
        .source_id = test_text("a.jpg"),
        .format = test_text("jpeg"),
        .height = 40,
        .width = 48,
        .box_count = 1,
        .ymin = &ymin,
        .xmin = &xmin,
        .ymax = &ymax,
        .xmax = &xmax,
        .class_text = &class_text,
    };
    assert_ok(env, det_writer_open(env, path, &writer));
    test_write_example(env, &writer, &example);
    assert_ok(env, det_writer_commit(env, &writer));
    det_detector_destroy(&detector);
    det_picture_destroy(&picture);
    free(jpeg);
}

/* m.det, with one bad layer or many, and r.tfrecord in the workspace. */
static void write_inputs(const struct workspace *w, int32_t depth, bool all)
{
    struct test_env t;
    struct det_model_spec spec;
    det_model *model = NULL;
    char path[400];
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    exports_spec(&spec, 96, 96, 2);
    spec.fpn_depth = 10 * depth; /* times alpha, .1 */
    spec.head_depth = depth;
    spec.score_threshold = 1e-8f;
    assert_ok(det_context_env(context),
              exports_model(det_context_env(context), &spec, names, &model));
    assert_true(exports_spoil(model, EXPORTS_SPOILT, all) > 0);
    snprintf(path, sizeof path, "%s/m.det", w->directory);
    assert_context_ok(context, det_model_save(context, model, path));
    snprintf(path, sizeof path, "%s/r.tfrecord", w->directory);
    write_record(context, model, path);
    det_model_destroy(&model);
    det_context_destroy(&context);
    test_env_check(&t);
}

static int run_export(const struct workspace *w, const char *output, const char *options)
{
    const char *at = w->directory;
    return run_tool(out, sizeof out,
                    "det-export --pipeline_config_path %s --checkpoint %s/m.det --output_directory "
                    "%s/%s --precision int8 --calibration %s/r.tfrecord --eval %s/r.tfrecord "
                    "--json %s/%s.json %s",
                    w->config, at, at, output, at, at, at, output, options);
}

static bool is_there(const struct workspace *w, const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", w->directory, name);
    return access(path, F_OK) == 0;
}

static double number_of(const cJSON *object, const char *name)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(object, name));
}

static const char *text_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItem(object, name));
}

/* None but the last is good, which alone has more layers in float32. */
static void check_json(const struct workspace *w, const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", w->directory, name);
    char *text = test_read_text(path);
    cJSON *tree = cJSON_Parse(text);
    const cJSON *int8 = cJSON_GetObjectItem(tree, "int8");
    const cJSON *tries = cJSON_GetObjectItem(int8, "tries");
    const int count = cJSON_GetArraySize(tries);
    const double float32 = number_of(int8, "ap_float32");
    const cJSON *first = cJSON_GetArrayItem(tries, 0), *last = cJSON_GetArrayItem(tries, count - 1);
    assert_in_range(count, 3, 5);
    for (int i = 0; i < count; i++) {
        const cJSON *one = cJSON_GetArrayItem(tries, i);
        const bool is_last = i == count - 1;
        assert_int_equal(float32 - number_of(one, "ap") <= .3, is_last);
        assert_int_equal(number_of(one, "float_share") > number_of(first, "float_share"), is_last);
        assert_string_equal(text_of(one, "observer"), "minmax");
        for (int k = 0; k < i && !is_last; k++) {
            const cJSON *other = cJSON_GetArrayItem(tries, k);
            assert_false(cJSON_Compare(cJSON_GetObjectItem(one, "equalised"),
                                       cJSON_GetObjectItem(other, "equalised"), true) &&
                         cJSON_Compare(cJSON_GetObjectItem(one, "biases_corrected"),
                                       cJSON_GetObjectItem(other, "biases_corrected"), true));
        }
    }
    assert_true(number_of(last, "float_share") < .25);
    assert_true(number_of(last, "ap") == number_of(int8, "ap"));
    assert_true(number_of(last, "float_share") == number_of(int8, "float_share"));
    cJSON_Delete(tree);
    free(text);
}

static void layers_go_back_until_it_is_good(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "export_tries");
    write_inputs(&w, 8, false);
    if (run_export(&w, "a", "--format det,onnx --observer minmax --max_drop 0.3") != 0)
        fail_msg("%s", out);
    assert_contains(out, "  try 1: minmax, channels as they are, biases corrected: AP ");
    assert_contains(out, ": minmax, channels equalised, biases corrected: AP ");
    assert_contains(out, ": minmax, channels as they are, biases as they are: AP ");
    assert_contains(out, " layers in float32, ");
    assert_true(is_there(&w, "a/model.det") && is_there(&w, "a/model.onnx"));
    check_json(&w, "a.json");
    workspace_remove(&w);
}

/* Formats of whole numbers alone have nothing else. */
static void all_in_8_bits_has_calibrations_alone(void **state)
{
    (void)state;
    static const char *const options[] = {"--format det,tflite --max_drop 0.3",
                                          "--int8_only --max_drop 0.3"};
    struct workspace w;
    workspace_make(&w, "export_tries_whole");
    write_inputs(&w, 8, false);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        assert_int_equal(run_export(&w, "b", options[i]), 1);
        assert_contains(out,
                        "more than --max_drop 0.3: nothing was written; the layers that cost most");
        assert_contains(out, "  try 2: ");
        assert_contains(out, ": percentile, channels equalised, biases as they are: AP ");
        assert_contains(out, "; the best of ");
        assert_null(strstr(out, " layers in float32, "));
        assert_false(is_there(&w, "b/model.det") || is_there(&w, "b/model.tflite"));
    }
    workspace_remove(&w);
}

static void too_much_in_float32_is_told(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "export_tries_all");
    /* A head that is most of the work, and bad all over. */
    workspace_edit_config(&w, "additional_layer_depth: 80", "additional_layer_depth: 640");
    workspace_edit_config(&w, "depth: 8 num_layers", "depth: 64 num_layers");
    write_inputs(&w, 64, true);
    assert_int_equal(run_export(&w, "a", "--max_drop 0.1"), 1);
    assert_contains(out, " layers in float32, ");
    assert_contains(out,
                    "more than --max_drop 0.1: nothing was written; the layers that cost most");
    assert_contains(out, "; the best of ");
    assert_false(is_there(&w, "a/model.det"));
    workspace_remove(&w);
}

int test_export_tries(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_go_back_until_it_is_good),
        cmocka_unit_test(all_in_8_bits_has_calibrations_alone),
        cmocka_unit_test(too_much_in_float32_is_told),
    };
    return cmocka_run_group_tests_name("export_tries", tests, NULL, NULL);
}
