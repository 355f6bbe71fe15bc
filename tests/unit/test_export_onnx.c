/* ONNX files: every kind of output, input, batch and precision proves itself for networks of all
 * shapes, and what is wrong in a file is found. That other engines agree is tests/engines'. */
#include <math.h>

#include "base/context.h"
#include "base/half.h"
#include "base/rng.h"
#include "export/onnx_parts.h"
#include "support/export_shapes.h"
#include "support/exports.h"
#include "support/mem.h"

static det_export_settings settings_of(det_export_outputs outputs, det_export_input input,
                                       det_export_precision precision, int32_t batch)
{
    det_export_settings s;
    det_export_settings_default(&s);
    s.outputs = outputs;
    s.input = input;
    s.precision = precision;
    s.batch = batch;
    return s;
}

static void proves(struct det_env *env, const struct det_model_spec *spec,
                   const det_export_settings *settings, const char *what)
{
    struct exports_file file;
    exports_open(&file, env, spec, "onnx", settings);
    const det_status status = exports_prove(&file);
    if (status != DET_OK)
        fail_msg("%s, outputs %d, input %d, precision %d, batch %d: %s", what,
                 (int)settings->outputs, (int)settings->input, (int)settings->precision,
                 settings->batch, env->error);
    assert_int_equal(1, file.exported.proof.proved);
    assert_true(file.exported.proof.tensors > 100);
    assert_true(settings->precision == DET_EXPORT_FLOAT32 ? file.exported.proof.scores < 1e-5
                                                          : file.exported.proof.scores > 1e-7);
    exports_close(&file);
}

static void all_settings_are_proved(void **state)
{
    (void)state;
    struct test_env t;
    struct det_model_spec spec;
    test_env_init(&t);
    exports_spec(&spec, 96, 70, 3);
    for (int outputs = DET_EXPORT_OUTPUTS_RAW; outputs <= DET_EXPORT_OUTPUTS_EFFICIENT_NMS;
         outputs++)
        for (int input = DET_EXPORT_INPUT_IMAGE; input <= DET_EXPORT_INPUT_FLOAT_NCHW; input++)
            for (int precision = DET_EXPORT_FLOAT32; precision <= DET_EXPORT_FLOAT16; precision++)
                for (int32_t batch = 0; batch <= 2; batch++) {
                    const det_export_settings s =
                        settings_of((det_export_outputs)outputs, (det_export_input)input,
                                    (det_export_precision)precision, batch);
                    proves(&t.env, &spec, &s, "small");
                }
    test_env_check(&t);
}

static void networks_of_all_shapes_are_proved(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    for (size_t i = 0; export_shapes[i].what != NULL; i++) {
        struct det_model_spec spec;
        exports_spec(&spec, 96, 96, 2);
        export_shapes[i].change(&spec);
        const det_export_settings image =
            settings_of(DET_EXPORT_OUTPUTS_DETECTIONS, DET_EXPORT_INPUT_IMAGE, DET_EXPORT_FLOAT32,
                        i % 2 == 0 ? 1 : 0);
        const det_export_settings floats = settings_of(
            DET_EXPORT_OUTPUTS_DECODED, DET_EXPORT_INPUT_FLOAT_NCHW, DET_EXPORT_FLOAT16, 1);
        proves(&t.env, &spec, &image, export_shapes[i].what);
        proves(&t.env, &spec, &floats, export_shapes[i].what);
        /* One limit is all that the plugin has: of one class the smaller, of several the only. */
        const det_export_settings plugin = settings_of(
            DET_EXPORT_OUTPUTS_EFFICIENT_NMS, DET_EXPORT_INPUT_IMAGE, DET_EXPORT_FLOAT32, 1);
        if (spec.num_classes == 1 || spec.max_per_class >= spec.max_total)
            proves(&t.env, &spec, &plugin, export_shapes[i].what);
    }
    test_env_check(&t);
}

/* The form for OpenCV before 4.7 is the same network. */
static void the_old_opset_is_proved(void **state)
{
    (void)state;
    struct test_env t;
    struct det_model_spec spec;
    test_env_init(&t);
    for (int outputs = DET_EXPORT_OUTPUTS_RAW; outputs <= DET_EXPORT_OUTPUTS_DECODED; outputs++)
        for (int32_t batch = 0; batch <= 2; batch++) {
            exports_spec(&spec, 96, 70, 3);
            det_export_settings s =
                settings_of((det_export_outputs)outputs,
                            batch == 1 ? DET_EXPORT_INPUT_FLOAT_NHWC : DET_EXPORT_INPUT_FLOAT_NCHW,
                            batch == 2 ? DET_EXPORT_FLOAT16 : DET_EXPORT_FLOAT32, batch);
            s.onnx_opset = 10;
            proves(&t.env, &spec, &s, "opset 10");
        }
    for (size_t i = 0; export_shapes[i].what != NULL; i++) {
        exports_spec(&spec, 96, 96, 2);
        export_shapes[i].change(&spec);
        det_export_settings s = settings_of(DET_EXPORT_OUTPUTS_DECODED, DET_EXPORT_INPUT_FLOAT_NCHW,
                                            DET_EXPORT_FLOAT32, 1);
        s.onnx_opset = 10;
        proves(&t.env, &spec, &s, export_shapes[i].what);
    }
    test_env_check(&t);
}

/* --- what is wrong is found --- */

static void mismatch(struct exports_file *file, const char *text)
{
    assert_fails(file->env, DET_STATUS_MISMATCH, text, exports_prove(file));
    exports_close(file);
}

/* The bytes of a packed number behind a name: "pads" has four of one byte each, as fields. */
static char *behind(struct exports_file *file, const char *name, int index)
{
    struct det_text *data = exports_bytes(file);
    const size_t length = strlen(name);
    for (size_t at = 0; at + length < data->length; at++)
        if (memcmp(data->data + at, name, length) == 0 && index-- == 0)
            return data->data + at + length;
    fail_msg("there is no %s", name);
    return NULL;
}

static float *weights_of(struct exports_file *file, const char *key)
{
    const struct det_graph *graph = file->job.inference.graph;
    const int32_t index = det_graph_find_param(graph, key);
    assert_true(index >= 0);
    /* The name's field is followed by that of the raw data: a tag, a length of some bytes. */
    char *at = behind(file, key, 0);
    assert_int_equal(9 << 3 | 2, at[0]);
    for (at++; (*at & 0x80) != 0; at++)
        ;
    return (float *)(void *)(at + 1);
}

#define FIRST_KERNEL \
    "model/_feature_extractor/classification_backbone/layer_with_weights-1/folded_kernel"

static void planted_mistakes_are_found(void **state)
{
    (void)state;
    struct test_env t;
    struct det_model_spec spec;
    struct exports_file file;
    const det_export_settings nms =
        settings_of(DET_EXPORT_OUTPUTS_DETECTIONS, DET_EXPORT_INPUT_IMAGE, DET_EXPORT_FLOAT32, 1);
    test_env_init(&t);
    exports_spec(&spec, 96, 96, 2);

    exports_open(&file, &t.env, &spec, "onnx", &nms);
    float two[2], turned[2];
    memcpy(two, weights_of(&file, FIRST_KERNEL), sizeof two);
    turned[0] = two[1];
    turned[1] = two[0];
    memcpy(weights_of(&file, FIRST_KERNEL), turned, sizeof turned);
    mismatch(&file, "layer_with_weights-1/folded_kernel");

    /* pads 0 0 1 1 of the first convolution become 1 1 0 0; each is a field of its own. */
    exports_open(&file, &t.env, &spec, "onnx", &nms);
    char *pads = behind(&file, "pads", 0);
    for (int i = 0; i < 24; i++)
        if (pads[i] == 8 << 3 && (pads[i + 1] == 0 || pads[i + 1] == 1)) {
            pads[i + 1] = !pads[i + 1];
            i++;
        }
    mismatch(&file, "padding above is 1, the network has 0");

    static const struct {
        const char *name;
        float wrong;
        const char *message;
    } values[] = {{"relu6/high", 5, "ReLU6"},
                  {"nms/score_threshold", 0.5F, "thresholds of 0.5"},
                  {"nms/iou_threshold", 0.5F, "0.5 for IoU"},
                  {"normalise/offset", 0.5F, "test picture"},
                  {"box_coder/half", 0.4F, "box of anchor 0"},
                  {"rank/first_id", 2, "detection 0"},
                  {"window/high", 0.3F, "detection"},
                  {"rank/no_area", 0.2F, "detection"}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        exports_open(&file, &t.env, &spec, "onnx", &nms);
        char *raw = NULL;
        /* As an input of a node the name may stand first. */
        for (int n = 0; raw == NULL; n++) {
            char *at = behind(&file, values[i].name, n);
            if (at[0] == (9 << 3 | 2) && at[1] == sizeof(float))
                raw = at + 2;
        }
        memcpy(raw, &values[i].wrong, sizeof values[i].wrong);
        mismatch(&file, values[i].message);
    }
    test_env_check(&t);
}

static void planted_mistakes_of_the_old_opset_are_found(void **state)
{
    (void)state;
    struct test_env t;
    struct det_model_spec spec;
    struct exports_file file;
    det_export_settings s =
        settings_of(DET_EXPORT_OUTPUTS_RAW, DET_EXPORT_INPUT_FLOAT_NCHW, DET_EXPORT_FLOAT32, 1);
    s.onnx_opset = 10;
    test_env_init(&t);
    exports_spec(&spec, 96, 96, 2);

    /* ReLU6 has its bounds as attributes of each node: name, type 1, then the number as field 2. */
    const float five = 5, one = 1;
    exports_open(&file, &t.env, &spec, "onnx", &s);
    char *max = behind(&file, "\n\003max\240\001\001\025", 0);
    memcpy(max, &five, sizeof five);
    mismatch(&file, "ReLU6");
    exports_open(&file, &t.env, &spec, "onnx", &s);
    char *min = behind(&file, "\n\003min\240\001\001\025", 0);
    memcpy(min, &one, sizeof one);
    mismatch(&file, "ReLU6");

    /* The other opset's name on these nodes, and one that there is not. */
    for (char opset = 11; opset <= 13; opset += 2) {
        exports_open(&file, &t.env, &spec, "onnx", &s);
        *(behind(&file, "B\004\n", 0) + 2) = opset;
        assert_fails(&t.env, DET_STATUS_UNSUPPORTED,
                     opset == 11 ? "operators of ``, version 11" : "bounds are not constants",
                     exports_prove(&file));
        exports_close(&file);
    }
    test_env_check(&t);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    struct test_env t;
    struct det_model_spec spec;
    struct exports_file file;
    struct det_rng rng;
    test_env_init(&t);
    exports_spec(&spec, 64, 64, 1);
    exports_open(&file, &t.env, &spec, "onnx", NULL);
    struct det_text *data = exports_bytes(&file);
    const size_t length = data->length;
    for (size_t cut = 0; cut < length; cut += cut < 4000 || cut + 4000 > length ? 37 : 9973) {
        data->length = cut;
        assert_int_not_equal(DET_OK, exports_prove_structure(&file));
    }
    data->length = length;
    assert_ok(&t.env, exports_prove_structure(&file));
    /* A byte that matters and one that does not are both no reason to crash. */
    det_rng_init(&rng, 5, 0, 0);
    int refused = 0;
    for (int i = 0; i < 600; i++) {
        const size_t at = det_rng_below(&rng, (uint32_t)length);
        const char before = data->data[at];
        data->data[at] ^= (char)(1 << det_rng_below(&rng, 8));
        refused += exports_prove_structure(&file) != DET_OK;
        data->data[at] = before;
    }
    assert_true(refused > 200);
    /* Behind the weights there is little but structure, and all of it is run. */
    for (int i = 0; i < 150; i++) {
        const size_t at = length - 1 - det_rng_below(&rng, 12000);
        const char before = data->data[at];
        data->data[at] ^= (char)(1 << det_rng_below(&rng, 8));
        if (exports_prove(&file) != DET_OK)
            refused++;
        data->data[at] = before;
    }
    assert_ok(&t.env, exports_prove(&file));
    exports_close(&file);
    test_env_check(&t);
}

static det_status write_small(struct det_env *env, void *argument)
{
    struct det_model_spec spec;
    det_model *model = NULL;
    const bool prove = *(const bool *)argument;
    struct det_export_job job = {0};
    struct det_export exported = {0};
    const struct det_export_writer *writer = det_export_writer_find("onnx");
    det_status status = DET_OK;
    exports_spec(&spec, 64, 64, 1);
    DET_TRY(exports_model(env, &spec, NULL, &model));
    det_export_settings_default(&job.settings);
    job.settings.precision = DET_EXPORT_FLOAT16;
    job.model = model;
    DET_TRY(det_export_job_open(env, writer, &job));
    DET_TRY(writer->write(env, &job, &exported));
    if (prove)
        DET_TRY(det_export_prove(env, NULL, writer, &job, &exported));
fail:
    exports_free(env, &exported);
    det_inference_close(env, &job.inference);
    det_model_destroy(&model);
    return status;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    bool prove = false;
    test_each_allocation_fails(write_small, &prove);
    /* With the proof they are thousands: every 41st of them. */
    prove = true;
    for (long n = 1;; n += 41) {
        struct test_env t;
        test_env_init(&t);
        test_env_fail_at(&t, n);
        const det_status status = write_small(&t.env, &prove);
        test_env_check(&t);
        if (status == DET_OK)
            break;
        assert_int_equal(DET_STATUS_OUT_OF_MEMORY, status);
    }
}

/* --- by the public calls --- */

static bool file_holds(const det_export_file *file, const char *text)
{
    const size_t length = strlen(text);
    for (size_t at = 0; at + length <= file->bytes; at++)
        if (memcmp((const char *)file->data + at, text, length) == 0)
            return true;
    return false;
}

static void files_say_what_they_are(void **state)
{
    (void)state;
    static const char *const names[4] = {"Waschbär", NULL, "浣熊", "\"x\""};
    struct test_env t;
    struct det_model_spec spec;
    det_context *context = NULL;
    det_context_settings context_settings;
    det_model *model = NULL;
    det_export *exported = NULL;
    det_export_file file = {.struct_size = sizeof file};
    test_env_init(&t);
    det_context_settings_default(&context_settings);
    context_settings.allocator = test_env_hooks(&t);
    assert_int_equal(DET_OK, det_context_create(&context, &context_settings));
    struct det_env *env = det_context_env(context);
    exports_spec(&spec, 96, 70, 4);
    assert_ok(env, exports_model(env, &spec, names, &model));
    assert_ok(env, det_export_create(context, model, "onnx", NULL, &exported));
    assert_ok(env, det_export_file_at(context, exported, 0, &file));
    assert_string_equal("model.onnx", file.name);
    assert_string_equal("input_tensor: uint8 [1, height, width, 3]\n"
                        "num_detections: float32 [1]\n"
                        "detection_boxes: float32 [1, 20, 4]\n"
                        "detection_scores: float32 [1, 20]\n"
                        "detection_classes: float32 [1, 20], from 1\n",
                        det_export_signature(exported));
    static const char *const texts[] = {
        "{\"1\": \"Waschbär\", \"3\": \"浣熊\", \"4\": \"\\\"x\\\"\"}",
        "\"height\": 96, \"width\": 70",
        "\"score_threshold\": 0.01, \"iou_threshold\": 0.6",
        "\"anchor_scale\": 4",
        "77",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_true(file_holds(&file, texts[i]));
    det_export_destroy(&exported);
    det_model_destroy(&model);
    det_context_destroy(&context);
    test_env_check(&t);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct test_env t;
    struct det_model_spec spec;
    struct exports_file file;
    test_env_init(&t);
    exports_spec(&spec, 64, 64, 2);
    spec.max_per_class = 5;
    det_export_settings s = settings_of(DET_EXPORT_OUTPUTS_EFFICIENT_NMS, DET_EXPORT_INPUT_IMAGE,
                                        DET_EXPORT_FLOAT32, 1);
    s.max_detections = 5;
    exports_open(&file, &t.env, &spec, "onnx", &s);
    struct det_export other = {0};
    file.job.inference.postprocess.max_total_detections = 6;
    assert_fails(&t.env, DET_STATUS_UNSUPPORTED, "no limit for a class, the model has 5 of 6",
                 file.writer->write(&t.env, &file.job, &other));
    assert_int_equal(0, other.file_count);

    /* The old opset has neither suppression of ours nor a resizing to a size; others are none. */
    static const struct {
        int32_t opset;
        det_export_outputs outputs;
        det_export_input input;
        const char *message;
    } opsets[] = {
        {10, DET_EXPORT_OUTPUTS_RAW, DET_EXPORT_INPUT_IMAGE, "opset 10 is for float input"},
        {10, DET_EXPORT_OUTPUTS_DETECTIONS, DET_EXPORT_INPUT_FLOAT_NCHW, "raw or decoded outputs"},
        {10, DET_EXPORT_OUTPUTS_EFFICIENT_NMS, DET_EXPORT_INPUT_FLOAT_NHWC, "need operators of"},
        {11, DET_EXPORT_OUTPUTS_RAW, DET_EXPORT_INPUT_FLOAT_NCHW, "opset 11: expected 13 or 10"},
        {-1, DET_EXPORT_OUTPUTS_DETECTIONS, DET_EXPORT_INPUT_IMAGE, "opset -1: expected"}};
    file.job.inference.postprocess.max_total_detections = 5;
    for (size_t i = 0; i < sizeof opsets / sizeof *opsets; i++) {
        file.job.settings.onnx_opset = opsets[i].opset;
        file.job.settings.outputs = opsets[i].outputs;
        file.job.settings.input = opsets[i].input;
        assert_fails(&t.env, DET_STATUS_UNSUPPORTED, opsets[i].message,
                     file.writer->write(&t.env, &file.job, &other));
        assert_int_equal(0, other.file_count);
    }

    /* Weights beyond what half precision holds. */
    struct det_export_job job = {.model = file.model};
    det_export_settings_default(&job.settings);
    job.settings.precision = DET_EXPORT_FLOAT16;
    const struct det_graph *graph = &file.model->graph;
    const int32_t bias = det_graph_find_param(
        graph, "model/_box_predictor/_prediction_heads/class_predictions_with_background/"
               "_class_predictor_layers/0/bias");
    file.model->owned[graph->params[bias].offset] = 7e4F;
    assert_fails(&t.env, DET_STATUS_UNSUPPORTED,
                 "has the value 70000, half precision ends at 65504",
                 det_export_job_open(&t.env, file.writer, &job));
    exports_close(&file);
    test_env_check(&t);
}

int test_export_onnx(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_settings_are_proved),
        cmocka_unit_test(networks_of_all_shapes_are_proved),
        cmocka_unit_test(the_old_opset_is_proved),
        cmocka_unit_test(planted_mistakes_are_found),
        cmocka_unit_test(planted_mistakes_of_the_old_opset_are_found),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(files_say_what_they_are),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests_name("export_onnx", tests, NULL, NULL);
}
