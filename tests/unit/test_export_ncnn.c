/* ncnn files: networks of all shapes prove themselves, what is wrong in a file is found, and what
 * ncnn cannot express is told. That ncnn agrees is tests/engines'. */
#include "base/rng.h"
#include "export/ncnn.h"
#include "support/export_shapes.h"
#include "support/exports.h"
#include "support/mem.h"

static void proves(struct det_env *env, const struct det_model_spec *spec,
                   det_export_precision precision, const char *what)
{
    struct exports_file file;
    det_export_settings settings;
    det_export_settings_default(&settings);
    settings.precision = precision;
    exports_open(&file, env, spec, "ncnn", &settings);
    det_status status = exports_prove(&file);
    if (status == DET_OK)
        status = det_prove_ncnn_anchors(env, &file.job, &file.exported);
    if (status != DET_OK)
        fail_msg("%s, precision %d: %s", what, (int)precision, env->error);
    assert_true(file.exported.proof.tensors > 100);
    assert_true(precision == DET_EXPORT_FLOAT32 ? file.exported.proof.scores < 1e-5
                                                : file.exported.proof.scores > 1e-7);
    exports_close(&file);
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
        proves(&t.env, &spec, i % 2 == 0 ? DET_EXPORT_FLOAT32 : DET_EXPORT_FLOAT16,
               export_shapes[i].what);
        proves(&t.env, &spec, i % 2 == 0 ? DET_EXPORT_FLOAT16 : DET_EXPORT_FLOAT32,
               export_shapes[i].what);
    }
    test_env_check(&t);
}

/* --- what is wrong is found --- */

static void open_small(struct exports_file *file, struct det_env *env)
{
    struct det_model_spec spec;
    exports_spec(&spec, 64, 64, 2);
    exports_open(file, env, &spec, "ncnn", NULL);
}

/* The first `from` of the layers becomes `to`, of another length or not. */
static void edit(struct exports_file *file, const char *from, const char *to)
{
    struct det_text *param = &file->exported.files[DET_NCNN_PARAM].data;
    struct det_text edited = {0};
    const char *at = strstr(param->data, from);
    if (at == NULL)
        fail_msg("there is no `%s`", from);
    assert_ok(file->env,
              det_text_append(file->env, &edited, param->data, (size_t)(at - param->data)));
    assert_ok(file->env, det_text_printf(file->env, &edited, "%s%s", to, at + strlen(from)));
    det_text_free(file->env, param);
    *param = edited;
}

static void planted_mistakes_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        det_status status;
        const char *text;
    } edits[] = {
        {"4=0 14=0 15=1 16=1", "4=1 14=1 15=0 16=0", DET_STATUS_MISMATCH, "padding above is 1"},
        {"-23310=2,0.0,6.0", "-23310=2,0.0,5.0", DET_STATUS_UNSUPPORTED, "is not ReLU6"},
        {" 9=3 -23310=2,0.0,6.0", "", DET_STATUS_MISMATCH, "ReLU6 (0: no, 1: yes) is 0"},
        {"3=2", "3=1", DET_STATUS_MISMATCH, "stride is 1"},
        {"logits 0=1 1=0", "logits 0=0 1=0", DET_STATUS_MISMATCH, ""},
        {"scores 1 1 logits scores", "scores 1 1 logits sc", DET_STATUS_CORRUPT, "is read"},
        {"Sigmoid", "Softmax", DET_STATUS_UNSUPPORTED, "a layer `Softmax`"},
        {"0=1 1=2.0 2=2.0", "0=2 1=2.0 2=2.0", DET_STATUS_UNSUPPORTED, "parameter 0"},
        {" 0=3\n", " 0=4\n", DET_STATUS_UNSUPPORTED, "parameter 0"},
        {" 5=1 ", " 5=1 5=1 ", DET_STATUS_CORRUPT, "is there twice"},
        {" 5=1 ", " 5=1 8=1 ", DET_STATUS_UNSUPPORTED, "is not known here"},
        {" 5=1 ", " 5=x ", DET_STATUS_CORRUPT, "is no number"},
        {" 5=1 ", " 77=1 ", DET_STATUS_UNSUPPORTED, "of another number"},
        {" 6=", " 6=7", DET_STATUS_CORRUPT, "that the kernel has not"},
        {"7767517", "7767518", DET_STATUS_CORRUPT, "is no .param of ncnn"},
    };
    struct test_env t;
    struct exports_file file;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        open_small(&file, &t.env);
        edit(&file, edits[i].from, edits[i].to);
        const det_status status = exports_prove(&file);
        if (status != edits[i].status || strstr(t.env.error, edits[i].text) == NULL)
            fail_msg("`%s` for `%s`: %s (%s)", edits[i].to, edits[i].from, t.env.error,
                     det_status_text(status));
        exports_close(&file);
    }
    /* Two weights in each other's place, behind the flag of the first convolution. */
    open_small(&file, &t.env);
    char *weights = exports_bytes(&file)->data + 4, first[4];
    memcpy(first, weights, 4);
    memcpy(weights, weights + 4, 4);
    memcpy(weights + 4, first, 4);
    assert_fails(&t.env, DET_STATUS_MISMATCH, "folded_kernel", exports_prove(&file));
    memcpy(weights + 4, weights, 4);
    memcpy(weights, first, 4);
    assert_ok(&t.env, exports_prove(&file));
    /* Anchors are the last of it. */
    assert_ok(&t.env, det_prove_ncnn_anchors(&t.env, &file.job, &file.exported));
    exports_bytes(&file)->data[exports_bytes(&file)->length - 2] ^= 1;
    assert_fails(&t.env, DET_STATUS_MISMATCH, "other anchors",
                 det_prove_ncnn_anchors(&t.env, &file.job, &file.exported));
    exports_close(&file);
    test_env_check(&t);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    struct test_env t;
    struct exports_file file;
    struct det_rng rng;
    test_env_init(&t);
    open_small(&file, &t.env);
    for (int f = DET_NCNN_BIN; f <= DET_NCNN_PARAM; f += DET_NCNN_PARAM - DET_NCNN_BIN) {
        struct det_text *data = &file.exported.files[f].data;
        const size_t length = data->length;
        for (size_t cut = 0; cut < length; cut += length / 150 + 1) {
            data->length = cut;
            assert_int_not_equal(DET_OK, exports_prove_structure(&file));
        }
        data->length = length;
    }
    det_rng_init(&rng, 5, 0, 0);
    struct det_text *param = &file.exported.files[DET_NCNN_PARAM].data;
    int refused = 0;
    for (int i = 0; i < 400; i++) {
        const size_t at = det_rng_below(&rng, (uint32_t)param->length);
        const char before = param->data[at];
        param->data[at] = (char)(before ^ 1 << det_rng_below(&rng, 8));
        refused += exports_prove(&file) != DET_OK;
        param->data[at] = before;
    }
    assert_true(refused > 200);
    assert_ok(&t.env, exports_prove(&file));
    exports_close(&file);
    test_env_check(&t);
}

/* Reading, by the failing env, of files that were written by another. */
static det_status read_file(struct det_env *env, void *argument)
{
    const struct exports_file *file = argument;
    struct det_program program;
    det_program_init(&program);
    const det_status status = det_read_ncnn(env, &file->exported, &program);
    det_program_free(env, &program);
    return status;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    struct test_env t;
    struct exports_file file;
    test_env_init(&t);
    open_small(&file, &t.env);
    test_each_allocation_fails(read_file, &file);
    exports_close(&file);
    test_env_check(&t);
}

/* --- what is told --- */

static void what_ncnn_cannot_do_is_told(void **state)
{
    (void)state;
    static const struct {
        det_export_outputs outputs;
        det_export_input input;
        int32_t batch;
        float score_threshold;
        const char *text;
    } wrong[] = {
        {DET_EXPORT_OUTPUTS_DETECTIONS, DET_EXPORT_INPUT_AUTO, 1, -1, "gives raw outputs"},
        {DET_EXPORT_OUTPUTS_RAW, DET_EXPORT_INPUT_IMAGE, 1, -1, "takes float NCHW"},
        {DET_EXPORT_OUTPUTS_RAW, DET_EXPORT_INPUT_FLOAT_NHWC, 1, -1, "takes float NCHW"},
        {DET_EXPORT_OUTPUTS_AUTO, DET_EXPORT_INPUT_AUTO, 0, -1, "not 0 (any number)"},
        {DET_EXPORT_OUTPUTS_AUTO, DET_EXPORT_INPUT_AUTO, 4, -1, "one image at once, not 4"},
        {DET_EXPORT_OUTPUTS_AUTO, DET_EXPORT_INPUT_AUTO, 1, .5F, "has no thresholds"},
    };
    struct test_env t;
    struct det_model_spec spec;
    test_env_init(&t);
    exports_spec(&spec, 64, 64, 2);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct det_export_job job = {0};
        struct det_export exported = {0};
        det_model *model = NULL;
        assert_ok(&t.env, exports_model(&t.env, &spec, NULL, &model));
        job.model = model;
        det_export_settings_default(&job.settings);
        job.settings.outputs = wrong[i].outputs;
        job.settings.input = wrong[i].input;
        job.settings.batch = wrong[i].batch;
        job.settings.score_threshold = wrong[i].score_threshold;
        assert_ok(&t.env, det_export_job_open(&t.env, &det_export_ncnn, &job));
        assert_fails(&t.env, DET_STATUS_UNSUPPORTED, wrong[i].text,
                     det_export_ncnn.write(&t.env, &job, &exported));
        assert_int_equal(exported.file_count, 0);
        det_inference_close(&t.env, &job.inference);
        det_model_destroy(&model);
    }
    test_env_check(&t);
}

static void labels_are_a_line_each(void **state)
{
    (void)state;
    static const char *const names[4] = {"w\xc3\xa4sche", NULL, "a\nb\tc", "\xff"};
    struct test_env t;
    struct det_model_spec spec;
    struct det_export_job job = {0};
    struct det_export exported = {0};
    det_model *model = NULL;
    test_env_init(&t);
    exports_spec(&spec, 64, 64, 4);
    assert_ok(&t.env, exports_model(&t.env, &spec, names, &model));
    job.model = model;
    det_export_settings_default(&job.settings);
    assert_ok(&t.env, det_export_job_open(&t.env, &det_export_ncnn, &job));
    assert_ok(&t.env, det_export_ncnn.write(&t.env, &job, &exported));
    assert_string_equal(exported.files[1].name, "model.labels.txt");
    assert_string_equal(exported.files[1].data.data, "w\xc3\xa4sche\n\na b c\n%FF\n");
    exports_free(&t.env, &exported);
    det_inference_close(&t.env, &job.inference);
    det_model_destroy(&model);
    test_env_check(&t);
}

int test_export_ncnn(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_of_all_shapes_are_proved),
        cmocka_unit_test(planted_mistakes_are_found),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(what_ncnn_cannot_do_is_told),
        cmocka_unit_test(labels_are_a_line_each),
    };
    return cmocka_run_group_tests_name("export_ncnn", tests, NULL, NULL);
}
