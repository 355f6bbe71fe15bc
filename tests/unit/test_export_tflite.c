/* export/tflite*.c, read_tflite*.c: what is written is proved for networks of all kinds, mistakes
 * are found, damage does no harm. */
#include "export/tflite.h"
#include "formats/zip_stored.h"
#include "support/exports.h"
#include "support/formula.h"
#include "support/workspace.h"

enum { SIDE = 96, CLASSES = 3 };

static const char *const names[CLASSES] = {"Waschbär", NULL, "浣熊\nund \"Co\""};

/* A small network. */
static struct det_model_spec small_spec(void)
{
    struct det_model_spec spec;
    formula_spec(&spec, SIDE, CLASSES);
    return spec;
}

static void open_model(struct exports_setup *s, const struct det_model_spec *spec)
{
    exports_start(s);
    assert_ok(s->env, det_model_create(s->env, spec, false,
                                       spec->num_classes == CLASSES ? names : NULL, &s->model));
    formula_params(&s->model->graph, s->model->owned);
    s->model->step = 500;
}

static det_export_settings settings_of(det_export_outputs outputs, det_export_input input,
                                       det_export_precision precision)
{
    det_export_settings settings;
    det_export_settings_default(&settings);
    settings.outputs = outputs;
    settings.input = input;
    settings.precision = precision;
    return settings;
}

/* Exports, proof and all. */
static det_export *export_proved(struct exports_setup *s, const det_export_settings *settings)
{
    det_export *exported = NULL;
    det_export_proof proof = {.struct_size = sizeof proof};
    assert_context_ok(s->context,
                      det_export_create(s->context, s->model, "tflite", settings, &exported));
    assert_context_ok(s->context, det_export_proof_of(s->context, exported, &proof));
    assert_int_equal(proof.proved, 1);
    assert_true(proof.tensors > 50 &&
                proof.scores <=
                    (settings != NULL && settings->precision == DET_EXPORT_FLOAT16 ? .1 : 1e-4));
    return exported;
}

static void all_settings_are_proved(void **state)
{
    (void)state;
    static const det_export_outputs outputs[] = {DET_EXPORT_OUTPUTS_DETECTIONS,
                                                 DET_EXPORT_OUTPUTS_RAW};
    static const det_export_input inputs[] = {DET_EXPORT_INPUT_FLOAT_NHWC, DET_EXPORT_INPUT_IMAGE};
    const struct det_model_spec spec = small_spec();
    struct exports_setup s;
    open_model(&s, &spec);
    for (int i = 0; i < 8; i++) {
        const det_export_settings settings =
            settings_of(outputs[i & 1], inputs[i >> 1 & 1],
                        i >> 2 == 0 ? DET_EXPORT_FLOAT32 : DET_EXPORT_FLOAT16);
        det_export *exported = export_proved(&s, &settings);
        det_export_destroy(&exported);
    }
    det_export_settings settings =
        settings_of(DET_EXPORT_OUTPUTS_RAW, DET_EXPORT_INPUT_AUTO, DET_EXPORT_FLOAT32);
    settings.batch = 3;
    det_export *exported = export_proved(&s, &settings);
    assert_contains(det_export_signature(exported), "[3, 96, 96, 3]");
    det_export_destroy(&exported);
    settings = settings_of(DET_EXPORT_OUTPUTS_AUTO, DET_EXPORT_INPUT_AUTO, DET_EXPORT_FLOAT32);
    settings.fast_nms = 1;
    exported = export_proved(&s, &settings);
    det_export_destroy(&exported);
    exports_end(&s);
}

static void prove(const struct det_model_spec *spec, det_export_input input)
{
    struct exports_setup s;
    open_model(&s, spec);
    const det_export_settings settings =
        settings_of(DET_EXPORT_OUTPUTS_AUTO, input, DET_EXPORT_FLOAT32);
    det_export *exported = export_proved(&s, &settings);
    det_export_destroy(&exported);
    exports_end(&s);
}

static void networks_of_all_kinds_are_proved(void **state)
{
    (void)state;
    static const float alphas[] = {0.35F, 0.75F, 1.4F};
    for (size_t i = 0; i < sizeof alphas / sizeof *alphas; i++) {
        struct det_model_spec spec = small_spec();
        spec.depth_multiplier = alphas[i];
        prove(&spec, DET_EXPORT_INPUT_AUTO);
    }
    for (uint32_t bits = 0; bits < 16; bits++) {
        struct det_model_spec spec = small_spec();
        exports_vary_spec(&spec, bits);
        spec.num_classes = bits == 7 ? 1000 : bits % 4 == 0 ? 1 : CLASSES;
        spec.input_height = 64 + 7 * (int32_t)bits; /* no multiples of 32 */
        spec.input_width = 130 - 3 * (int32_t)bits;
        prove(&spec, bits % 2 == 0 ? DET_EXPORT_INPUT_AUTO : DET_EXPORT_INPUT_IMAGE);
    }
}

static void padding_is_part_of_the_file(void **state)
{
    (void)state;
    struct det_model_spec spec = small_spec();
    spec.pad_to_multiple = 64;
    spec.input_width = 70;
    prove(&spec, DET_EXPORT_INPUT_AUTO);
    prove(&spec, DET_EXPORT_INPUT_IMAGE);
    spec.pad_to_multiple = 1;
    spec.input_width = spec.input_height;
    spec.resize_mode = DET_RESIZE_KEEP_ASPECT;
    spec.min_dimension = 64;
    spec.max_dimension = SIDE;
    prove(&spec, DET_EXPORT_INPUT_AUTO);
}

static void thresholds_are_the_models(void **state)
{
    (void)state;
    struct det_model_spec spec = small_spec();
    struct exports_setup s;
    spec.iou_threshold = 0;
    spec.max_per_class = 3;
    spec.max_total = 5;
    open_model(&s, &spec);
    det_export *exported = export_proved(&s, NULL);
    assert_contains(det_export_signature(exported), "float32 [1, 5, 4]");
    det_export_destroy(&exported);
    det_export_settings settings;
    det_export_settings_default(&settings);
    settings.score_threshold = 0.5F;
    settings.iou_threshold = 1;
    settings.max_detections = 1;
    exported = export_proved(&s, &settings);
    assert_contains(det_export_signature(exported), "float32 [1, 1, 4]");
    det_export_destroy(&exported);
    exports_end(&s);
}

static void the_signature_says_what_there_is(void **state)
{
    (void)state;
    const struct det_model_spec spec = small_spec();
    struct exports_setup s;
    open_model(&s, &spec);
    const det_export_settings settings =
        settings_of(DET_EXPORT_OUTPUTS_AUTO, DET_EXPORT_INPUT_IMAGE, DET_EXPORT_FLOAT32);
    det_export *exported = export_proved(&s, &settings);
    const char *text = det_export_signature(exported);
    assert_contains(text, "serving_default_input:0: uint8 [1, height, width, 3]");
    assert_contains(text, "TFLite_Detection_PostProcess: float32 [1, 100, 4]");
    assert_contains(text, "TFLite_Detection_PostProcess:3: float32 [1]");
    det_export_destroy(&exported);
    exports_end(&s);
}

static size_t file_bytes(const det_export *exported)
{
    return exported->files[0].data.length;
}

/* How often the bytes are in the file; *first: where. */
static size_t find(const det_export *exported, const void *bytes, size_t count, size_t *first)
{
    size_t found = 0;
    const char *data = exported->files[0].data.data;
    for (size_t i = 0; i + count <= file_bytes(exported); i++)
        if (memcmp(data + i, bytes, count) == 0 && found++ == 0)
            *first = i;
    return found;
}

static void weights_are_stored_once(void **state)
{
    (void)state;
    struct det_model_spec spec = small_spec();
    struct exports_setup s;
    spec.head_layers = 2;
    spec.share_tower = false;
    open_model(&s, &spec);
    struct det_inference inference;
    assert_ok(s.env, det_inference_open(s.env, s.model, &spec, DET_INFERENCE_FOLDED, &inference));
    det_export *exported = export_proved(&s, NULL), *again = export_proved(&s, NULL);
    size_t shared = 0, first = 0;
    for (int32_t i = 0; i < inference.graph->param_count; i++) {
        const struct det_param *param = &inference.graph->params[i];
        if (param->role != DET_PARAM_DEPTHWISE || strstr(param->key, "_head_scope_conv") == NULL)
            continue;
        assert_int_equal(
            find(exported, inference.params + param->offset, param->count * sizeof(float), &first),
            1);
        assert_int_equal(first % 16, 0);
        shared++;
    }
    assert_int_equal(shared, 4); /* two towers of two layers, for five levels */
    /* The same model makes the same file. */
    assert_int_equal(file_bytes(exported), file_bytes(again));
    assert_memory_equal(exported->files[0].data.data, again->files[0].data.data,
                        file_bytes(exported));
    const det_export_settings half =
        settings_of(DET_EXPORT_OUTPUTS_AUTO, DET_EXPORT_INPUT_AUTO, DET_EXPORT_FLOAT16);
    det_export_destroy(&again);
    again = export_proved(&s, &half);
    assert_true(file_bytes(again) < file_bytes(exported) * 3 / 4);
    det_export_destroy(&again);
    det_export_destroy(&exported);
    det_inference_close(s.env, &inference);
    exports_end(&s);
}

static void class_names_are_packed_in(void **state)
{
    (void)state;
    const struct det_model_spec spec = small_spec();
    static const char expected[] = "Waschbär\n???\n浣熊 und \"Co\"\n";
    struct exports_setup s;
    struct det_zip_file file;
    open_model(&s, &spec);
    det_export *exported = export_proved(&s, NULL);
    const struct det_text *data = &exported->files[0].data;
    assert_string_equal(exported->files[0].name, "model.tflite");
    assert_memory_equal(data->data + 4, "TFL3", 4);
    assert_ok(s.env, det_zip_find(s.env, data->data, data->length, DET_TFLITE_LABEL_FILE, &file));
    assert_int_equal(file.bytes, sizeof expected - 1);
    assert_memory_equal(file.data, expected, sizeof expected - 1);
    det_export_destroy(&exported);
    exports_end(&s);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const struct {
        det_export_outputs outputs;
        det_export_input input;
        int32_t batch;
        const char *says;
    } cases[] = {
        {DET_EXPORT_OUTPUTS_AUTO, DET_EXPORT_INPUT_FLOAT_NCHW, 1, "[N, H, W, 3] alone"},
        {DET_EXPORT_OUTPUTS_DECODED, DET_EXPORT_INPUT_AUTO, 1, "either detections or raw"},
        {DET_EXPORT_OUTPUTS_EFFICIENT_NMS, DET_EXPORT_INPUT_AUTO, 1, "either detections or raw"},
        {DET_EXPORT_OUTPUTS_AUTO, DET_EXPORT_INPUT_AUTO, 2, "one image at once"},
        {DET_EXPORT_OUTPUTS_RAW, DET_EXPORT_INPUT_AUTO, 0, "a fixed batch"},
    };
    struct det_model_spec spec = small_spec();
    struct exports_setup s;
    det_export *exported = NULL;
    open_model(&s, &spec);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        det_export_settings settings =
            settings_of(cases[i].outputs, cases[i].input, DET_EXPORT_FLOAT32);
        settings.batch = cases[i].batch;
        assert_context_fails(s.context, DET_STATUS_UNSUPPORTED, cases[i].says,
                             det_export_create(s.context, s.model, "tflite", &settings, &exported));
        assert_null(exported);
    }
    /* A weight that half precision has not. */
    const det_export_settings half =
        settings_of(DET_EXPORT_OUTPUTS_AUTO, DET_EXPORT_INPUT_AUTO, DET_EXPORT_FLOAT16);
    s.model->owned[s.model->graph.params[0].offset] = 1e9F;
    assert_context_fails(s.context, DET_STATUS_UNSUPPORTED, "half precision",
                         det_export_create(s.context, s.model, "tflite", &half, &exported));
    exports_end(&s);
    spec.resize_mode = DET_RESIZE_KEEP_ASPECT;
    spec.min_dimension = 64;
    spec.max_dimension = SIDE;
    open_model(&s, &spec);
    const det_export_settings image =
        settings_of(DET_EXPORT_OUTPUTS_AUTO, DET_EXPORT_INPUT_IMAGE, DET_EXPORT_FLOAT32);
    assert_context_fails(s.context, DET_STATUS_UNSUPPORTED, "keep_aspect_ratio_resizer",
                         det_export_create(s.context, s.model, "tflite", &image, &exported));
    exports_end(&s);
}

/* --- mistakes --- */

struct draft {
    struct exports_setup s;
    struct exports_file file;
};

static void open_draft(struct draft *d, det_export_outputs outputs)
{
    const struct det_model_spec spec = small_spec();
    const det_export_settings settings =
        settings_of(outputs, DET_EXPORT_INPUT_FLOAT_NHWC, DET_EXPORT_FLOAT32);
    open_model(&d->s, &spec);
    exports_open_model(&d->file, d->s.env, d->s.model, "tflite", &settings);
    d->s.model = NULL;
}

static void close_draft(struct draft *d)
{
    exports_close(&d->file);
    exports_end(&d->s);
}

/* The parameter of that role whose key has `part` in it. */
static const struct det_param *param_of(const struct draft *d, enum det_param_role role,
                                        const char *part)
{
    const struct det_graph *graph = d->file.job.inference.graph;
    for (int32_t i = 0; i < graph->param_count; i++)
        if (graph->params[i].role == role && strstr(graph->params[i].key, part) != NULL)
            return &graph->params[i];
    fail_msg("no parameter %s", part);
    return NULL;
}

/* Where the bytes are for the first time. */
static char *place_of(struct draft *d, const void *bytes, size_t count)
{
    size_t at = 0;
    assert_true(find(&d->file.exported, bytes, count, &at) >= 1);
    return d->file.exported.files[0].data.data + at;
}

static void swapped_weights_are_found(void **state)
{
    (void)state;
    struct draft d;
    open_draft(&d, DET_EXPORT_OUTPUTS_DETECTIONS);
    assert_ok(d.s.env, exports_prove(&d.file));
    const struct det_param *kernel = param_of(&d, DET_PARAM_DEPTHWISE, "weights-3");
    float *at = (float *)(void *)place_of(&d, d.file.job.inference.params + kernel->offset,
                                          kernel->count * sizeof(float));
    const float first = at[0];
    assert_true(first != at[1]);
    at[0] = at[1];
    at[1] = first;
    assert_fails(d.s.env, DET_STATUS_MISMATCH, "value 0", exports_prove(&d.file));
    close_draft(&d);
}

/* Anchors are no weight: what they make is compared. */
static void a_wrong_anchor_is_found(void **state)
{
    (void)state;
    struct draft d;
    open_draft(&d, DET_EXPORT_OUTPUTS_DETECTIONS);
    const float *box = d.file.job.inference.anchors[20];
    const float height = box[2] - box[0], width = box[3] - box[1];
    const float center[4] = {box[0] + height / 2, box[1] + width / 2, height, width};
    float *at = (float *)(void *)place_of(&d, center, sizeof center);
    at[2] *= 1.01F;
    assert_fails(d.s.env, DET_STATUS_MISMATCH, "anchor 20", exports_prove(&d.file));
    close_draft(&d);
    /* Of raw outputs they are in the metadata, at any alignment. */
    open_draft(&d, DET_EXPORT_OUTPUTS_RAW);
    const float turned[4] = {center[1], center[0], width, height};
    memset(place_of(&d, turned, sizeof turned), 0, sizeof(float));
    assert_fails(d.s.env, DET_STATUS_MISMATCH, "anchor 20", exports_prove(&d.file));
    close_draft(&d);
}

static void a_wrong_threshold_is_found(void **state)
{
    (void)state;
    struct draft d;
    open_draft(&d, DET_EXPORT_OUTPUTS_DETECTIONS);
    const float iou = d.file.job.inference.postprocess.iou_threshold, other = 0.65F;
    memcpy(place_of(&d, &iou, sizeof iou), &other, sizeof other);
    assert_fails(d.s.env, DET_STATUS_MISMATCH, "thresholds", exports_prove(&d.file));
    close_draft(&d);
}

/* Room for fewer detections than there are, which the first of them would not show; suppression
 * across classes. */
static void wrong_limits_are_found(void **state)
{
    (void)state;
    static const uint8_t limits[] = {100, 0, 0, 0, 0, 0, 0xa0, 0x40, 1, 0, 0, 0, 100, 0, 0, 0};
    static const uint8_t places[] = {0, 12};
    for (size_t i = 0; i < sizeof places; i++) {
        struct draft d;
        open_draft(&d, DET_EXPORT_OUTPUTS_DETECTIONS);
        place_of(&d, limits, sizeof limits)[places[i]] = 99;
        assert_fails(d.s.env, DET_STATUS_MISMATCH, "99", exports_prove(&d.file));
        close_draft(&d);
    }
    struct draft d;
    open_draft(&d, DET_EXPORT_OUTPUTS_DETECTIONS);
    d.file.job.settings.fast_nms = 1;
    assert_fails(d.s.env, DET_STATUS_MISMATCH, "of each", exports_prove(&d.file));
    close_draft(&d);
}

/* The file says something else than the network does in a field of an operator. */
static void wrong_options_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        size_t bytes;
        det_status status;
        const char *says;
    } cases[] = {
        {"max_classes", "may_classes", 11, DET_STATUS_UNSUPPORTED, "options that we write"},
        {DET_TFLITE_DETECTION_POSTPROCESS "\0\0", "TFLite_Detection_PostProcesz\0\0", 28,
         DET_STATUS_UNSUPPORTED, "custom operator"},
        {"TFL3", "TFL2", 4, DET_STATUS_CORRUPT, "TFL3"},
        {"M001", "M002", 4, DET_STATUS_CORRUPT, "M001"},
        {"output_0", "output_9", 8, DET_STATUS_CORRUPT, "signature"},
        {"location", "locatiom", 8, DET_STATUS_CORRUPT, "in their order"},
        {DET_TFLITE_METADATA_NAME, "TFLITE_NETADATA", 15, DET_STATUS_CORRUPT, "there is none"},
        {"\0\0\377\102\1\0\0\0\0\0\377\102", "\0\0\377\102\1\0\0\0\0\0\0\102", 12,
         DET_STATUS_CORRUPT, "normalisation"},
        {"???\n", "????", 4, DET_STATUS_CORRUPT, "damaged zip"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct draft d;
        open_draft(&d, DET_EXPORT_OUTPUTS_DETECTIONS);
        memcpy(place_of(&d, cases[i].from, cases[i].bytes), cases[i].to, cases[i].bytes);
        assert_fails(d.s.env, cases[i].status, cases[i].says, exports_prove(&d.file));
        close_draft(&d);
    }
}

/* --- damage --- */

/* Bytes of tables, one in each step, and the file's ends. */
static void damaged_files_do_no_harm(void **state)
{
    (void)state;
    static const det_export_outputs outputs[] = {DET_EXPORT_OUTPUTS_DETECTIONS,
                                                 DET_EXPORT_OUTPUTS_RAW};
    enum { STEP = 61, CUTS = 40 };
    for (int i = 0; i < 2; i++) {
        struct draft d;
        open_draft(&d, outputs[i]);
        exports_damage(exports_bytes(&d.file), STEP, 60000, 40 * STEP, CUTS, exports_read_damaged,
                       &d.file);
        close_draft(&d);
    }
}

static void a_failed_allocation_is_told(void **state)
{
    (void)state;
    struct draft d;
    open_draft(&d, DET_EXPORT_OUTPUTS_RAW);
    test_each_allocation_fails(exports_write_and_read, &d.file);
    close_draft(&d);
}

int test_export_tflite(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_settings_are_proved),
        cmocka_unit_test(networks_of_all_kinds_are_proved),
        cmocka_unit_test(padding_is_part_of_the_file),
        cmocka_unit_test(thresholds_are_the_models),
        cmocka_unit_test(the_signature_says_what_there_is),
        cmocka_unit_test(weights_are_stored_once),
        cmocka_unit_test(class_names_are_packed_in),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(swapped_weights_are_found),
        cmocka_unit_test(a_wrong_anchor_is_found),
        cmocka_unit_test(a_wrong_threshold_is_found),
        cmocka_unit_test(wrong_limits_are_found),
        cmocka_unit_test(wrong_options_are_found),
        cmocka_unit_test(damaged_files_do_no_harm),
        cmocka_unit_test(a_failed_allocation_is_told),
    };
    return cmocka_run_group_tests_name("export_tflite", tests, NULL, NULL);
}
