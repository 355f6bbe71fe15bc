/* export/tflite*.c of models in 8 bits: what is written is proved to the last integer, whatever the
 * network, its scales and its zeros; mistakes are found, damage does no harm. */
#include "export/tflite.h"
#include "model/quantised.h"
#include "support/exports.h"
#include "support/workspace.h"

enum { PICTURES = 2, SIDE = 96 };

static uint8_t pictures[PICTURES][SIDE * SIDE * 3];

/* All in 8 bits. */
static det_model *quantised(struct exports_setup *s, const struct det_model_spec *spec)
{
    struct exports_squares squares = {pictures[0], SIDE};
    const det_sample_source source = {.struct_size = sizeof source,
                                      .user = &squares,
                                      .count = PICTURES,
                                      .fill = exports_fill_square};
    det_quantisation_settings settings;
    det_model *model = NULL, *made = NULL;
    for (size_t i = 0; i < sizeof pictures; i++)
        pictures[i / sizeof *pictures][i % sizeof *pictures] =
            (uint8_t)(i * 7 / 3 + i / 3 % SIDE * i / 900);
    det_quantisation_settings_default(&settings);
    settings.samples = &source;
    settings.observer = DET_OBSERVER_MINMAX;
    settings.floats = DET_QUANTISATION_FLOATS_NONE;
    settings.equalise = 0;
    assert_ok(s->env, exports_model(s->env, spec, NULL, &model));
    assert_context_ok(s->context, det_model_quantise(s->context, model, &settings, &made));
    det_model_destroy(&model);
    return made;
}

static void open_model(struct exports_setup *s, const struct det_model_spec *spec)
{
    exports_start(s);
    s->model = quantised(s, spec);
}

static struct det_model_spec small_spec(void)
{
    struct det_model_spec spec;
    exports_spec(&spec, SIDE, SIDE, 3);
    return spec;
}

static det_export_settings settings_of(det_export_outputs outputs, det_export_input input)
{
    det_export_settings settings;
    det_export_settings_default(&settings);
    settings.outputs = outputs;
    settings.input = input;
    return settings;
}

/* Exports, proof and all: nothing differs. */
static det_export *export_proved(struct exports_setup *s, const det_export_settings *settings)
{
    det_export *exported = NULL;
    det_export_proof proof = {.struct_size = sizeof proof};
    assert_context_ok(s->context,
                      det_export_create(s->context, s->model, "tflite", settings, &exported));
    assert_context_ok(s->context, det_export_proof_of(s->context, exported, &proof));
    assert_int_equal(proof.proved, 1);
    assert_true(proof.tensors > 50 && proof.encodings == 0 && proof.scores == 0);
    return exported;
}

/* Before real numbers are made of the results there are none, unless the input is floats. */
static void check_whole(struct exports_setup *s, const det_export *exported)
{
    struct det_program program;
    det_program_init(&program);
    assert_ok(s->env, det_tflite_read(s->env, exported, &program));
    int32_t convolutions = 0;
    for (int32_t n = 0; program.nodes[n].kind != DET_NODE_Q8_TO_FLOAT; n++) {
        const enum det_node_kind kind = program.nodes[n].kind;
        convolutions += kind == DET_NODE_Q8_CONV;
        if (kind != DET_NODE_Q8_CONV && kind != DET_NODE_Q8_ADD && kind != DET_NODE_SUB &&
            kind != DET_NODE_RESIZE && kind != DET_NODE_SLICE && kind != DET_NODE_CONCAT &&
            kind != DET_NODE_RESHAPE && kind != DET_NODE_PAD)
            fail_msg("node %d is of kind %d", n, (int)kind);
    }
    int32_t all = 0;
    for (int32_t i = 0; i < s->model->graph.op_count; i++)
        all += det_op_is_convolution(&s->model->graph.ops[i]);
    assert_int_equal(convolutions, all);
    det_program_free(s->env, &program);
}

static void all_settings_are_proved(void **state)
{
    (void)state;
    static const struct {
        det_export_input input;
        const char *says;
    } inputs[] = {{DET_EXPORT_INPUT_AUTO, "input:0: uint8 [1, 96, 96, 3] RGB, 0 to 255\n"},
                  {DET_EXPORT_INPUT_UINT8, "input:0: uint8 [1, 96, 96, 3] RGB, 0 to 255\n"},
                  {DET_EXPORT_INPUT_INT8, "input:0: int8 [1, 96, 96, 3] RGB, 0 to 255 less 128\n"},
                  {DET_EXPORT_INPUT_FLOAT_NHWC, "input:0: float32 [1, 96, 96, 3] RGB, x * 2"}};
    const struct det_model_spec spec = small_spec();
    struct exports_setup s;
    open_model(&s, &spec);
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        det_export_settings settings = settings_of(DET_EXPORT_OUTPUTS_AUTO, inputs[i].input);
        det_export *exported = export_proved(&s, &settings);
        assert_contains(det_export_signature(exported), inputs[i].says);
        assert_contains(det_export_signature(exported), "PostProcess:2: float32 [1, 20] scores\n");
        if (inputs[i].input != DET_EXPORT_INPUT_FLOAT_NHWC)
            check_whole(&s, exported);
        det_export_destroy(&exported);
        settings.outputs = DET_EXPORT_OUTPUTS_RAW;
        settings.batch = 1 + (int32_t)i % 2;
        exported = export_proved(&s, &settings);
        assert_contains(det_export_signature(exported), "box_encodings: int8 [");
        assert_contains(det_export_signature(exported), "3] logits of the classes: ");
        assert_contains(det_export_signature(exported), " * (value - ");
        det_export_destroy(&exported);
    }
    det_export_settings settings = settings_of(DET_EXPORT_OUTPUTS_AUTO, DET_EXPORT_INPUT_AUTO);
    settings.fast_nms = 1;
    det_export *exported = export_proved(&s, &settings);
    det_export_destroy(&exported);
    exports_end(&s);
}

static void prove(const struct det_model_spec *spec, det_export_input input)
{
    struct exports_setup s;
    open_model(&s, spec);
    const det_export_settings settings = settings_of(DET_EXPORT_OUTPUTS_AUTO, input);
    det_export *exported = export_proved(&s, &settings);
    det_export_destroy(&exported);
    exports_end(&s);
}

static void networks_of_all_kinds_are_proved(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 8; bits++) {
        struct det_model_spec spec = small_spec();
        exports_vary_spec(&spec, bits);
        spec.num_classes = bits == 7 ? 90 : bits % 4 == 0 ? 1 : 3;
        spec.input_height = 64 + 7 * (int32_t)bits; /* no multiples of 32 */
        spec.input_width = 100 - 3 * (int32_t)bits;
        prove(&spec, bits % 2 == 0 ? DET_EXPORT_INPUT_AUTO : DET_EXPORT_INPUT_INT8);
    }
}

static void padding_is_part_of_the_file(void **state)
{
    (void)state;
    struct det_model_spec spec = small_spec();
    spec.pad_to_multiple = 64;
    spec.input_width = 70;
    prove(&spec, DET_EXPORT_INPUT_UINT8);
    prove(&spec, DET_EXPORT_INPUT_INT8);
    prove(&spec, DET_EXPORT_INPUT_FLOAT_NHWC);
    spec.pad_to_multiple = 1;
    spec.input_width = spec.input_height;
    spec.resize_mode = DET_RESIZE_KEEP_ASPECT;
    spec.min_dimension = 64;
    spec.max_dimension = SIDE;
    prove(&spec, DET_EXPORT_INPUT_AUTO);
}

/* Zeros at both ends, scales far from those of their neighbours; a channel of zeros. */
static void hostile_scales_are_proved(void **state)
{
    (void)state;
    static const int32_t zeros[] = {-128, 127, 0, -1, 64};
    static const float factors[] = {1, 0.01F, 60, 1, 0.5F, 3};
    const struct det_model_spec spec = small_spec();
    struct exports_setup s;
    open_model(&s, &spec);
    const struct det_graph *g = &s.model->graph;
    for (int32_t i = 0; i < g->op_count; i++) {
        struct det_q8_tensor *t = &s.model->quantised->tensors[g->ops[i].out];
        bool joined = false;
        for (int32_t l = 0; l < g->levels; l++)
            joined |= g->ops[i].out == g->box_outputs[l] || g->ops[i].out == g->class_outputs[l];
        if (!joined)
            *t = (struct det_q8_tensor){t->scale * factors[i % 6], zeros[i % 5]};
        if (g->ops[i].weight >= 0 && i % 4 == 0)
            memset(s.model->quantised->weights[g->ops[i].weight].values, 0,
                   g->params[g->ops[i].weight].count);
    }
    const det_export_settings raw = settings_of(DET_EXPORT_OUTPUTS_RAW, DET_EXPORT_INPUT_AUTO);
    det_export *exported = export_proved(&s, &raw);
    det_export_destroy(&exported);
    exported = export_proved(&s, NULL);
    det_export_destroy(&exported);
    exports_end(&s);
}

static void refuse(struct exports_setup *s, const det_model *model, const char *format,
                   const det_export_settings *settings, const char *says)
{
    det_export *exported = NULL;
    assert_context_fails(s->context, DET_STATUS_UNSUPPORTED, says,
                         det_export_create(s->context, model, format, settings, &exported));
    assert_null(exported);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    const struct det_model_spec spec = small_spec();
    struct exports_setup s;
    det_model *floats = NULL;
    open_model(&s, &spec);
    det_export_settings settings = settings_of(DET_EXPORT_OUTPUTS_AUTO, DET_EXPORT_INPUT_IMAGE);
    refuse(&s, s.model, "tflite", &settings, "resized in float32 in front of the 8 bits");
    settings.input = DET_EXPORT_INPUT_FLOAT_NCHW;
    refuse(&s, s.model, "tflite", &settings, "[N, H, W, 3] alone");
    settings.input = DET_EXPORT_INPUT_AUTO;
    settings.precision = DET_EXPORT_FLOAT16;
    refuse(&s, s.model, "tflite", &settings, "float16: the model is in 8 bits");
    refuse(&s, s.model, "ncnn", NULL, "the model is in 8 bits, which ncnn does not have here");
    refuse(&s, s.model, "tf_checkpoint", NULL, "export the float32 model");
    settings = settings_of(DET_EXPORT_OUTPUTS_AUTO, DET_EXPORT_INPUT_UINT8);
    refuse(&s, s.model, "det", &settings, "det: an input of uint8 or int8 is for tflite");
    assert_ok(s.env, exports_model(s.env, &spec, NULL, &floats));
    refuse(&s, floats, "tflite", &settings, "for tflite and a model in 8 bits");
    settings.input = DET_EXPORT_INPUT_INT8;
    refuse(&s, floats, "onnx", &settings, "onnx: an input of uint8 or int8");
    det_model_destroy(&floats);
    /* A step of a sum that XNNPACK does not take. */
    const struct det_graph *g = &s.model->graph;
    float *scale = &s.model->quantised->weights[g->ops[0].weight].scales[1], kept = *scale;
    *scale = 1e6F;
    refuse(&s, s.model, "tflite", NULL, "one step of the sum of channel 1 is");
    *scale = kept;
    /* A layer that stayed in float32 is named. */
    s.model->quantised->eight_bits[g->op_count - 1] = false;
    refuse(&s, s.model, "tflite", NULL, g->ops[g->op_count - 1].name);
    refuse(&s, s.model, "tflite", NULL,
           "stays in float32: quantise the float32 model with --int8_");
    exports_end(&s);
}

/* --- mistakes --- */

struct draft {
    struct exports_setup s;
    struct exports_file file;
};

static void open_draft(struct draft *d, det_export_outputs outputs, det_export_input input)
{
    const struct det_model_spec spec = small_spec();
    const det_export_settings settings = settings_of(outputs, input);
    exports_start(&d->s);
    exports_open_model(&d->file, d->s.env, quantised(&d->s, &spec), "tflite", &settings);
}

static void close_draft(struct draft *d)
{
    exports_close(&d->file);
    exports_end(&d->s);
}

/* Operation `index` among the convolutions that are depthwise. */
static int32_t depthwise_op(const struct draft *d, int index)
{
    const struct det_graph *g = &d->file.model->graph;
    for (int32_t i = 0; i < g->op_count; i++)
        if (g->ops[i].kind == DET_OP_DWCONV && index-- == 0)
            return i;
    fail_msg("no such convolution");
    return -1;
}

static void wrong_weights_are_found(void **state)
{
    (void)state;
    struct draft d;
    open_draft(&d, DET_EXPORT_OUTPUTS_AUTO, DET_EXPORT_INPUT_AUTO);
    assert_ok(d.s.env, exports_prove(&d.file));
    const struct det_op *op = &d.file.model->graph.ops[depthwise_op(&d, 1)];
    const size_t count = d.file.model->graph.params[op->weight].count;
    const struct det_q8_weights *w = &d.file.model->quantised->weights[op->weight];
    int8_t *values = malloc(count);
    memcpy(values, w->values, count);
    values[7] = values[7] > 0 ? -1 : 1;
    exports_replace(&d.file, w->values, count, 0, values);
    assert_fails(d.s.env, DET_STATUS_MISMATCH, "value 7 is", exports_prove(&d.file));
    exports_replace(&d.file, values, count, 0, w->values);
    values[7] = -128;
    exports_replace(&d.file, w->values, count, 0, values);
    assert_fails(d.s.env, DET_STATUS_MISMATCH, "value 7 is -128", exports_prove(&d.file));
    free(values);
    close_draft(&d);
}

static void wrong_biases_and_scales_are_found(void **state)
{
    (void)state;
    struct draft d;
    struct det_q8_layer layer;
    open_draft(&d, DET_EXPORT_OUTPUTS_RAW, DET_EXPORT_INPUT_INT8);
    const struct det_graph *g = &d.file.model->graph;
    const struct det_quantised *q = d.file.model->quantised;
    const int32_t index = depthwise_op(&d, 1);
    const struct det_op *op = &g->ops[index];
    const size_t channels = (size_t)g->tensors[op->out].channels;
    assert_ok(d.s.env,
              det_q8_layer_create(d.s.env, g, q, d.file.job.inference.params, index, &layer));
    int32_t *bias = malloc(channels * sizeof *bias);
    memcpy(bias, layer.bias, channels * sizeof *bias);
    bias[channels - 1]++;
    exports_replace(&d.file, layer.bias, channels * sizeof *bias, 0, bias);
    assert_fails(d.s.env, DET_STATUS_MISMATCH, "bias", exports_prove(&d.file));
    exports_replace(&d.file, bias, channels * sizeof *bias, 0, layer.bias);
    assert_ok(d.s.env, exports_prove(&d.file));
    /* One scale of the weights, of which the biases' scales are made. */
    float *scales = malloc(channels * sizeof *scales);
    memcpy(scales, q->weights[op->weight].scales, channels * sizeof *scales);
    scales[1] *= 1.01F;
    exports_replace(&d.file, q->weights[op->weight].scales, channels * sizeof *scales, 0, scales);
    assert_fails(d.s.env, DET_STATUS_UNSUPPORTED, "in steps of the sum", exports_prove(&d.file));
    free(scales);
    free(bias);
    det_q8_layer_free(d.s.env, &layer);
    close_draft(&d);
}

/* A result's scale that is another one is seen by what reads it. */
static void wrong_results_are_found(void **state)
{
    (void)state;
    struct draft d;
    open_draft(&d, DET_EXPORT_OUTPUTS_RAW, DET_EXPORT_INPUT_INT8);
    const struct det_graph *g = &d.file.model->graph;
    const float scale = d.file.model->quantised->tensors[g->box_outputs[0]].scale;
    const float wrong[] = {scale * 1.5F, -scale, (float)NAN};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        exports_replace(&d.file, &scale, sizeof scale, 0, &wrong[i]);
        const det_status status = exports_prove(&d.file);
        assert_true(status == DET_STATUS_MISMATCH || status == DET_STATUS_CORRUPT ||
                    status == DET_STATUS_UNSUPPORTED);
        exports_replace(&d.file, &wrong[i], sizeof scale, 0, &scale);
    }
    assert_ok(d.s.env, exports_prove(&d.file));
    close_draft(&d);
}

/* --- damage --- */

/* Bytes of tables, one in each step, and the file's ends. */
static void damaged_files_do_no_harm(void **state)
{
    (void)state;
    static const det_export_input inputs[] = {DET_EXPORT_INPUT_UINT8, DET_EXPORT_INPUT_FLOAT_NHWC};
    enum { STEP = 67, CUTS = 30 };
    for (int i = 0; i < 2; i++) {
        struct draft d;
        open_draft(&d, i == 0 ? DET_EXPORT_OUTPUTS_RAW : DET_EXPORT_OUTPUTS_AUTO, inputs[i]);
        exports_damage(exports_bytes(&d.file), STEP, 90000, 20 * STEP, CUTS, exports_read_damaged,
                       &d.file);
        close_draft(&d);
    }
}

static void a_failed_allocation_is_told(void **state)
{
    (void)state;
    struct draft d;
    open_draft(&d, DET_EXPORT_OUTPUTS_RAW, DET_EXPORT_INPUT_AUTO);
    test_each_allocation_fails(exports_write_and_read, &d.file);
    close_draft(&d);
}

int test_export_tflite_q8(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_settings_are_proved),
        cmocka_unit_test(networks_of_all_kinds_are_proved),
        cmocka_unit_test(padding_is_part_of_the_file),
        cmocka_unit_test(hostile_scales_are_proved),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(wrong_weights_are_found),
        cmocka_unit_test(wrong_biases_and_scales_are_found),
        cmocka_unit_test(wrong_results_are_found),
        cmocka_unit_test(damaged_files_do_no_harm),
        cmocka_unit_test(a_failed_allocation_is_told),
    };
    return cmocka_run_group_tests_name("export_tflite_q8", tests, NULL, NULL);
}
