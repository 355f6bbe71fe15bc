/* ONNX files of models in 8 bits, in the form QDQ: every kind of output, input and batch proves
 * itself for networks of all shapes, each 8-bit number that is not the network's is found, and what
 * engines can make whole numbers of is written in the form that they look for. */
#include <math.h>

#include "base/context.h"
#include "base/rng.h"
#include "det/quantisation.h"
#include "export/onnx_proto.h"
#include "model/quantised.h"
#include "support/export_shapes.h"
#include "support/exports.h"
#include "support/mem.h"

enum { PICTURES = 3, SIDE = 48 };

static uint8_t pictures[PICTURES][SIDE * SIDE * 3];

static void draw_pictures(void)
{
    struct det_rng rng;
    det_rng_init(&rng, 3, 0, 0);
    for (int p = 0; p < PICTURES; p++)
        for (int i = 0; i < SIDE * SIDE * 3; i++)
            pictures[p][i] =
                (uint8_t)(110 + 100 * sin((i / 3 % SIDE) * .1 * (p + 1)) + det_rng_below(&rng, 40));
}

/* Not on the reference operations: there is much to run. */
static void start(struct exports_setup *f)
{
    det_context_settings settings;
    *f = (struct exports_setup){0};
    test_env_init(&f->t);
    det_context_settings_default(&settings);
    settings.allocator = test_env_hooks(&f->t);
    settings.device = "cpu";
    assert_int_equal(DET_OK, det_context_create(&f->context, &settings));
    f->env = det_context_env(f->context);
    draw_pictures();
}

/* The model of a spec in 8 bits. */
static det_model *make_model(struct exports_setup *f, const struct det_model_spec *spec,
                             det_quantisation_floats floats)
{
    struct exports_squares squares = {pictures[0], SIDE};
    const det_sample_source source = {.struct_size = sizeof source,
                                      .user = &squares,
                                      .count = PICTURES,
                                      .fill = exports_fill_square};
    det_model *model = NULL, *quantised = NULL;
    det_quantisation_settings s;
    det_quantisation_settings_default(&s);
    s.samples = &source;
    s.observer = DET_OBSERVER_MINMAX;
    s.floats = floats;
    assert_ok(f->env, exports_model(f->env, spec, NULL, &model));
    assert_ok(f->env, det_model_quantise(f->context, model, &s, &quantised));
    det_model_destroy(&model);
    return quantised;
}

static void open_file(struct exports_setup *f, struct exports_file *file,
                      const struct det_model_spec *spec, det_quantisation_floats floats,
                      const det_export_settings *settings)
{
    exports_open_model(file, f->env, make_model(f, spec, floats), "onnx", settings);
}

/* Raw outputs of float pictures: nothing around the network. */
static det_export_settings raw(void)
{
    det_export_settings s;
    det_export_settings_default(&s);
    s.outputs = DET_EXPORT_OUTPUTS_RAW;
    s.input = DET_EXPORT_INPUT_FLOAT_NCHW;
    return s;
}

static void proves(struct exports_setup *f, const struct det_model_spec *spec,
                   det_quantisation_floats floats, const det_export_settings *settings,
                   const char *what)
{
    struct exports_file file;
    open_file(f, &file, spec, floats, settings);
    const det_status status = exports_prove(&file);
    if (status != DET_OK)
        fail_msg("%s, outputs %d, input %d, batch %d: %s", what, (int)settings->outputs,
                 (int)settings->input, settings->batch, f->env->error);
    assert_int_equal(1, file.exported.proof.proved);
    assert_true(file.exported.proof.tensors > 100);
    exports_close(&file);
}

static void all_settings_are_proved(void **state)
{
    (void)state;
    struct exports_setup f;
    struct det_model_spec spec;
    start(&f);
    exports_spec(&spec, 96, 70, 3);
    for (int outputs = DET_EXPORT_OUTPUTS_RAW; outputs <= DET_EXPORT_OUTPUTS_EFFICIENT_NMS;
         outputs++)
        for (int input = DET_EXPORT_INPUT_IMAGE; input <= DET_EXPORT_INPUT_FLOAT_NCHW; input++) {
            det_export_settings s;
            det_export_settings_default(&s);
            s.outputs = (det_export_outputs)outputs;
            s.input = (det_export_input)input;
            s.batch = (outputs + input) % 3;
            proves(&f, &spec,
                   input == DET_EXPORT_INPUT_IMAGE ? DET_QUANTISATION_FLOATS_AUTO
                                                   : DET_QUANTISATION_FLOATS_NONE,
                   &s, "small");
        }
    exports_end(&f);
}

static void networks_of_all_shapes_are_proved(void **state)
{
    (void)state;
    struct exports_setup f;
    start(&f);
    for (size_t i = 0; export_shapes[i].what != NULL; i++) {
        struct det_model_spec spec;
        det_export_settings s;
        exports_spec(&spec, 96, 96, 2);
        export_shapes[i].change(&spec);
        det_export_settings_default(&s);
        s.batch = i % 2 == 0 ? 1 : 0;
        proves(&f, &spec, DET_QUANTISATION_FLOATS_AUTO, &s, export_shapes[i].what);
        s = raw();
        proves(&f, &spec, DET_QUANTISATION_FLOATS_NONE, &s, export_shapes[i].what);
    }
    exports_end(&f);
}

/* --- the form that engines look for --- */

/* How many nodes of this operator the file has. */
static int count_nodes(struct exports_file *file, const char *operator_name)
{
    char field[40];
    const struct det_text *data = exports_bytes(file);
    const int bytes =
        snprintf(field, sizeof field, "\"%c%s", (int)strlen(operator_name), operator_name);
    int count = 0;
    for (size_t at = 0; at + (size_t)bytes < data->length; at++)
        count += memcmp(data->data + at, field, (size_t)bytes) == 0;
    return count;
}

/* Convolutions, additions and upsamplings in 8 bits. */
static void count_operations(const struct exports_file *file, int *convolutions, int *others,
                             int *upsamplings)
{
    const struct det_inference *inference = &file->job.inference;
    *convolutions = *others = *upsamplings = 0;
    for (int32_t i = 0; i < inference->graph->op_count; i++) {
        const struct det_op *op = &inference->graph->ops[i];
        if (!inference->quantised->eight_bits[i])
            continue;
        *convolutions += det_op_is_convolution(op);
        *others += !det_op_is_convolution(op);
        *upsamplings += op->kind == DET_OP_UPSAMPLE_ADD;
    }
}

/* One QuantizeLinear for what each operation makes and no clipping between: what ONNX Runtime and
 * OpenVINO make whole numbers of. */
static void nothing_stands_between(void **state)
{
    (void)state;
    struct exports_setup f;
    struct det_model_spec spec;
    struct exports_file file;
    int convolutions = 0, others = 0, upsamplings = 0;
    start(&f);
    exports_spec(&spec, 96, 96, 2);
    const det_export_settings s = raw();
    open_file(&f, &file, &spec, DET_QUANTISATION_FLOATS_NONE, &s);
    count_operations(&file, &convolutions, &others, &upsamplings);
    assert_true(convolutions > 60 && others > 8 && upsamplings > 1);
    assert_int_equal(convolutions, count_nodes(&file, "Conv"));
    assert_int_equal(0, count_nodes(&file, "Clip"));
    assert_int_equal(1 + convolutions + others + upsamplings, count_nodes(&file, "QuantizeLinear"));
    exports_close(&file);
    exports_end(&f);
}

/* A range beyond the activation's: what it does not do is clipped, with the same result. */
static void activations_are_clipped_where_they_must(void **state)
{
    (void)state;
    struct exports_setup f;
    struct det_model_spec spec;
    struct exports_file file;
    start(&f);
    exports_spec(&spec, 96, 96, 2);
    const det_export_settings s = raw();
    det_model *model = make_model(&f, &spec, DET_QUANTISATION_FLOATS_NONE);
    int wide = 0;
    for (int32_t i = 0; i < model->graph.op_count; i++) {
        const struct det_op *op = &model->graph.ops[i];
        if (op->act != DET_ACTIVATION_RELU6 || i % 5 != 0)
            continue;
        model->quantised->tensors[op->out] = det_q8_tensor_of(i % 2 == 0 ? 0 : -1, 7);
        wide++;
    }
    exports_open_model(&file, f.env, model, "onnx", &s);
    assert_true(wide > 5);
    assert_int_equal(wide, count_nodes(&file, "Clip"));
    assert_ok(f.env, exports_prove(&file));
    exports_close(&file);
    exports_end(&f);
}

/* --- what is wrong is found --- */

/* The raw bytes of the initialiser called `name`. */
static uint8_t *raw_of(struct exports_file *file, const char *name)
{
    struct det_text *data = exports_bytes(file);
    const size_t length = strlen(name);
    for (size_t at = 0; at + length + 2 < data->length; at++) {
        uint8_t *end = (uint8_t *)data->data + at + length;
        if (memcmp(data->data + at, name, length) != 0 || end[0] != (9 << 3 | 2))
            continue;
        for (end++; (*end & 0x80) != 0; end++)
            ;
        return end + 1;
    }
    fail_msg("there is no %s", name);
    return NULL;
}

#define KERNEL "model/_feature_extractor/classification_backbone/layer_with_weights-1/folded_kernel"
#define BIAS   "model/_feature_extractor/classification_backbone/layer_with_weights-1/folded_bias"

static void wrong_numbers_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int byte; /* which is changed by one */
        const char *message;
    } wrong[] = {{KERNEL "/.INT8", 3, "one of the 8-bit weights is not the network's"},
                 {KERNEL "/.SCALE", 0, "one of the weights' scales"},
                 {KERNEL "/.ZERO", 1, "one of the weights' scales"},
                 {BIAS "/.INT32_0", 4, "one of the biases is not"},
                 {BIAS "/.INT32_0/.SCALE", 4, "one of the biases' scales"},
                 {"tensor_0/.ZERO", 0, "scale or zero of what it reads"},
                 {"tensor_1/.SCALE", 0, "scale or zero of what it makes"},
                 {"tensor_2/.ZERO", 0, "scale or zero of what it makes"},
                 {"input/half_level", 2, "the level at which pixels are rounded"}};
    struct exports_setup f;
    struct det_model_spec spec;
    struct exports_file file;
    start(&f);
    exports_spec(&spec, 96, 96, 2);
    const det_export_settings s = raw();
    open_file(&f, &file, &spec, DET_QUANTISATION_FLOATS_NONE, &s);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t *byte = raw_of(&file, wrong[i].name) + wrong[i].byte;
        *byte ^= 1;
        assert_fails(f.env, DET_STATUS_MISMATCH, wrong[i].message, exports_prove(&file));
        *byte ^= 1;
    }
    assert_ok(f.env, exports_prove(&file));
    exports_close(&file);
    exports_end(&f);
}

/* Parts that are joined wrongly make more than rounding does. */
static void wrong_joints_are_found(void **state)
{
    (void)state;
    struct exports_setup f;
    struct det_model_spec spec;
    struct exports_file file;
    start(&f);
    exports_spec(&spec, 96, 96, 2);
    const det_export_settings s = raw();
    open_file(&f, &file, &spec, DET_QUANTISATION_FLOATS_NONE, &s);
    /* Channels last, of the first level's boxes: by columns instead of by rows. */
    struct det_text *data = exports_bytes(&file);
    char *order = NULL;
    for (size_t at = 0; order == NULL && at + 15 < data->length; at++)
        if (memcmp(data->data + at, "perm\240\001\007\100\000\100\002\100\003\100\001", 15) == 0)
            order = data->data + at;
    assert_non_null(order);
    order[10] = 3;
    order[12] = 2;
    assert_fails(f.env, DET_STATUS_MISMATCH, "what rounding to 8 bits makes allows",
                 exports_prove(&file));
    exports_close(&file);
    exports_end(&f);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    struct exports_setup f;
    struct det_model_spec spec;
    struct exports_file file;
    struct det_rng rng;
    start(&f);
    exports_spec(&spec, 64, 64, 1);
    const det_export_settings s = raw();
    open_file(&f, &file, &spec, DET_QUANTISATION_FLOATS_AUTO, &s);
    struct det_text *data = exports_bytes(&file);
    const size_t length = data->length;
    for (size_t cut = 0; cut < length; cut += cut < 4000 || cut + 4000 > length ? 37 : 1973) {
        data->length = cut;
        assert_int_not_equal(DET_OK, exports_prove_structure(&file));
    }
    data->length = length;
    det_rng_init(&rng, 6, 0, 0);
    int refused = 0;
    for (int i = 0; i < 400; i++) {
        const size_t at = det_rng_below(&rng, (uint32_t)length);
        const char before = data->data[at];
        data->data[at] ^= (char)(1 << det_rng_below(&rng, 8));
        refused += (i % 4 == 0 ? exports_prove(&file) : exports_prove_structure(&file)) != DET_OK;
        data->data[at] = before;
    }
    assert_true(refused > 200);
    assert_ok(f.env, exports_prove(&file));
    exports_close(&file);
    exports_end(&f);
}

static void allocations_may_fail(void **state)
{
    (void)state;
    struct exports_setup f;
    struct det_model_spec spec;
    struct exports_file file;
    start(&f);
    exports_spec(&spec, 64, 64, 1);
    const det_export_settings s = raw();
    open_file(&f, &file, &spec, DET_QUANTISATION_FLOATS_AUTO, &s);
    for (long n = 1;; n += 23) {
        struct test_env t;
        struct det_export exported = {0};
        test_env_init(&t);
        test_env_fail_at(&t, n);
        det_status status = file.writer->write(&t.env, &file.job, &exported);
        if (status == DET_OK)
            status = det_export_prove(&t.env, NULL, file.writer, &file.job, &exported);
        exports_free(&t.env, &exported);
        test_env_check(&t);
        if (status == DET_OK)
            break;
        assert_int_equal(DET_STATUS_OUT_OF_MEMORY, status);
    }
    exports_close(&file);
    exports_end(&f);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct exports_setup f;
    struct det_model_spec spec;
    det_export *exported = NULL;
    start(&f);
    exports_spec(&spec, 64, 64, 1);
    det_model *model = make_model(&f, &spec, DET_QUANTISATION_FLOATS_NONE);
    det_export_settings s = raw();
    s.onnx_opset = DET_ONNX_OPSET_OLD;
    assert_fails(f.env, DET_STATUS_UNSUPPORTED, "one for each channel; that needs opset 13",
                 det_export_create(f.context, model, "onnx", &s, &exported));
    s = raw();
    s.precision = DET_EXPORT_FLOAT16;
    assert_fails(f.env, DET_STATUS_UNSUPPORTED, "float16: the model is in 8 bits",
                 det_export_create(f.context, model, "onnx", &s, &exported));
    s = raw();
    assert_fails(f.env, DET_STATUS_UNSUPPORTED, "in 8 bits, which ncnn does not have",
                 det_export_create(f.context, model, "ncnn", &s, &exported));
    assert_null(exported);
    det_model_destroy(&model);
    exports_end(&f);
}

int test_export_onnx_eight_bits(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_settings_are_proved),
        cmocka_unit_test(networks_of_all_shapes_are_proved),
        cmocka_unit_test(nothing_stands_between),
        cmocka_unit_test(activations_are_clipped_where_they_must),
        cmocka_unit_test(wrong_numbers_are_found),
        cmocka_unit_test(wrong_joints_are_found),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests_name("export_onnx_eight_bits", tests, NULL, NULL);
}
