/* Whole jobs through the public API with device "cuda": training with resume, evaluation,
 * detection, against the CPU. */
#include <math.h>

#include "devices/backend.h"
#include "devices/context.h"
#include "model/model.h"
#include "support/workspace.h"

/* Its results are compared bit for bit. */
static det_context *context_on(const char *device)
{
    det_context_settings settings;
    det_context *context = NULL;
    det_context_settings_default(&settings);
    settings.device = device;
    settings.deterministic = 1;
    settings.threads = 1;
    assert_int_equal(det_context_create(&context, &settings), DET_OK);
    return context;
}

/* The backend without its own way for pictures: the host makes their floats. */
static const struct det_backend *of_floats(const struct det_backend *backend)
{
    static struct det_backend floats;
    floats = *backend;
    floats.step_stage_pictures = NULL;
    return &floats;
}

/* Steps from where the model folder stands to `until`; *loss is the first step's. */
static void train_as(const struct workspace *w, const char *device, bool as_floats, int64_t until,
                     double *loss)
{
    det_context *context = context_on(device);
    struct det_compute *compute = det_context_compute(context);
    if (as_floats)
        compute->backend = of_floats(compute->backend);
    det_pipeline_config *config = NULL;
    det_trainer *trainer = NULL;
    det_trainer_settings settings;
    det_step_report report = {.struct_size = sizeof report};
    det_trainer_settings_default(&settings);
    settings.model_dir = w->model_dir;
    settings.num_steps = until;
    assert_context_ok(context, det_pipeline_config_load(context, w->config, &config));
    assert_context_ok(context, det_trainer_create(context, config, &settings, &trainer));
    assert_context_ok(context, det_trainer_step(trainer, &report));
    *loss = report.total_loss;
    assert_context_ok(context, det_trainer_run(trainer, NULL, NULL));
    det_trainer_destroy(&trainer);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
}

static void train(const struct workspace *w, const char *device, int64_t until, double *loss)
{
    train_as(w, device, false, until, loss);
}

/* The file of a step, malloc. */
static char *checkpoint(const struct workspace *w, int step, size_t *bytes)
{
    char path[400];
    snprintf(path, sizeof path, "%s/ckpt-%d.det", w->model_dir, step);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *data = malloc(8 << 20);
    assert_non_null(data);
    *bytes = fread(data, 1, 8 << 20, file);
    assert_int_equal(fclose(file), 0);
    return data;
}

static void training_resumes_bit_for_bit(void **state)
{
    (void)state;
    struct workspace w;
    size_t whole_bytes, parts_bytes;
    double first, on_cpu, unused;
    workspace_make(&w, "cuda-train");
    train(&w, "cpu", 1, &on_cpu);
    test_remove_tree(w.model_dir);
    train(&w, "cuda", 5, &first);
    assert_near(first, on_cpu, 1e-5 * on_cpu);
    char *whole = checkpoint(&w, 5, &whole_bytes);
    test_remove_tree(w.model_dir);
    train(&w, "cuda", 2, &unused);
    train(&w, "cuda:0", 5, &unused);
    char *parts = checkpoint(&w, 5, &parts_bytes);
    assert_int_equal(whole_bytes, parts_bytes);
    assert_memory_equal(whole, parts, whole_bytes);
    free(whole);
    free(parts);
    workspace_remove(&w);
}

/* Flips, crops and colours that the device does, noise and pads that the host does, in the same
 * batches: what is learned is what is learned of the host's floats, to the bit, in one run and in
 * two. */
static void pictures_are_learned_as_floats_are(void **state)
{
    (void)state;
    struct workspace w;
    size_t bytes[3];
    char *files[3];
    double losses[3], unused;
    workspace_make(&w, "cuda-pictures");
    workspace_edit_config(&w, "  optimizer {",
                          "  data_augmentation_options { random_distort_color { } }\n"
                          "  data_augmentation_options { random_rgb_to_gray { probability: .3 } }\n"
                          "  data_augmentation_options { random_patch_gaussian { random_coef: .6\n"
                          "    min_patch_size: 5 max_patch_size: 20 } }\n"
                          "  data_augmentation_options { random_adjust_contrast { } }\n"
                          "  data_augmentation_options { random_vertical_flip { } }\n"
                          "  optimizer {");
    for (int i = 0; i < 3; i++) {
        if (i == 2)
            train_as(&w, "cuda", false, 3, &losses[i]);
        train_as(&w, "cuda", i == 1, 5, i == 2 ? &unused : &losses[i]);
        files[i] = checkpoint(&w, 5, &bytes[i]);
        test_remove_tree(w.model_dir);
        assert_true(losses[i] == losses[0]);
        assert_int_equal(bytes[i], bytes[0]);
        assert_memory_equal(files[i], files[0], bytes[0]);
    }
    for (int i = 0; i < 3; i++)
        free(files[i]);
    workspace_remove(&w);
}

struct figures {
    double coco[DET_COCO_STAT_COUNT];
    det_evaluation_losses losses;
    size_t count;
    det_detection detections[100];
    float top_score;
    int32_t top_class;
};

/* Evaluates a model and looks at one picture with it. */
static void measure_model(const struct workspace *w, const char *device, const char *path,
                          int as_exported, struct figures *f)
{
    det_context *context = context_on(device);
    det_pipeline_config *config = NULL;
    det_model *model = NULL;
    det_evaluation *evaluation = NULL;
    det_detector *detector = NULL;
    det_evaluation_settings evaluating;
    det_detector_settings detecting;
    const det_detection *found = NULL;
    uint8_t pixels[40 * 30 * 3];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 7);
    const det_image_view view = {.pixels = pixels, .width = 40, .height = 30};
    det_evaluation_settings_default(&evaluating);
    evaluating.as_exported = as_exported;
    det_detector_settings_default(&detecting);
    detecting.score_threshold = 0;
    assert_context_ok(context, det_pipeline_config_load(context, w->config, &config));
    assert_context_ok(context, det_model_load(context, path, &model));
    assert_context_ok(context,
                      det_evaluation_run(context, config, model, &evaluating, &evaluation));
    memcpy(f->coco, det_evaluation_coco(evaluation)->stats, sizeof f->coco);
    f->losses.struct_size = sizeof f->losses;
    assert_int_equal(det_evaluation_get_losses(evaluation, &f->losses), DET_OK);
    assert_context_ok(context, det_detector_create(context, model, &detecting, &detector));
    assert_context_ok(context, det_detector_run(detector, &view, &found, &f->count));
    assert_true(f->count > 0 && f->count <= 100);
    assert_context_ok(context, det_detector_top_score(detector, 0, &f->top_score, &f->top_class));
    memcpy(f->detections, found, f->count * sizeof *found);
    det_detector_destroy(&detector);
    det_evaluation_destroy(&evaluation);
    det_model_destroy(&model);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
}

/* The newest checkpoint. */
static void measure(const struct workspace *w, const char *device, int as_exported,
                    struct figures *f)
{
    det_context *context = context_on(device);
    det_checkpoint_info info;
    assert_context_ok(context, det_checkpoint_find(context, w->model_dir, &info));
    measure_model(w, device, info.path, as_exported, f);
    det_context_destroy(&context);
}

static void evaluation_and_detection_agree(void **state)
{
    (void)state;
    struct workspace w;
    double unused;
    workspace_make(&w, "cuda-measure");
    train(&w, "cpu", 12, &unused);
    for (int as_exported = 0; as_exported < 2; as_exported++) {
        static struct figures cpu, gpu;
        measure(&w, "cpu", as_exported, &cpu);
        measure(&w, "cuda", as_exported, &gpu);
        for (int i = 0; i < DET_COCO_STAT_COUNT; i++)
            assert_near(gpu.coco[i], cpu.coco[i], 1e-3);
        assert_near(gpu.losses.localization, cpu.losses.localization, 1e-4);
        assert_near(gpu.losses.classification, cpu.losses.classification, 1e-4);
        assert_near(gpu.losses.regularization, cpu.losses.regularization, 1e-9);
        assert_int_equal(gpu.count, cpu.count);
        assert_near(gpu.top_score, cpu.top_score, 1e-5);
        assert_near(cpu.top_score, cpu.detections[0].score, 1e-6);
        assert_int_equal(gpu.top_class, cpu.top_class);
        assert_near(gpu.detections[0].score, cpu.detections[0].score, 1e-5);
        assert_near(gpu.detections[0].ymin, cpu.detections[0].ymin, 1e-4);
        assert_int_equal(gpu.detections[0].class_id, cpu.detections[0].class_id);
    }
    workspace_remove(&w);
}

static int fill_noise(void *user, size_t index, det_labelled_sample *sample)
{
    static uint8_t pixels[40 * 30 * 3];
    (void)user;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)((i + index) * 2654435761U >> 24);
    sample->pixels.pixels = pixels;
    sample->pixels.width = 40;
    sample->pixels.height = 30;
    return 0;
}

/* The newest checkpoint in 8 bits, made on the CPU, as a file. */
static void quantise(const struct workspace *w, det_quantisation_floats floats, const char *path)
{
    static const det_sample_source source = {
        .struct_size = sizeof(det_sample_source), .count = 4, .fill = fill_noise};
    det_context *context = context_on("cpu");
    det_model *model = NULL, *made = NULL;
    det_checkpoint_info info;
    det_quantisation_settings settings;
    det_quantisation_settings_default(&settings);
    settings.samples = &source;
    settings.floats = floats;
    assert_context_ok(context, det_checkpoint_find(context, w->model_dir, &info));
    assert_context_ok(context, det_model_load(context, info.path, &model));
    assert_context_ok(context, det_model_quantise(context, model, &settings, &made));
    assert_context_ok(context, det_model_save(context, made, path));
    det_model_destroy(&made);
    det_model_destroy(&model);
    det_context_destroy(&context);
}

/* Equal outputs: equal figures. */
static void models_in_8_bits_agree(void **state)
{
    (void)state;
    static struct figures cpu, gpu;
    struct workspace w;
    double unused;
    char path[600];
    workspace_make(&w, "cuda-eight-bits");
    train(&w, "cpu", 12, &unused);
    snprintf(path, sizeof path, "%s/eight.det", w.model_dir);
    for (int some = 0; some < 2; some++) {
        quantise(&w, some ? DET_QUANTISATION_FLOATS_AUTO : DET_QUANTISATION_FLOATS_NONE, path);
        measure_model(&w, "cpu", path, 1, &cpu);
        measure_model(&w, "cuda", path, 1, &gpu);
        for (int i = 0; i < DET_COCO_STAT_COUNT; i++)
            assert_near(gpu.coco[i], cpu.coco[i], 1e-3);
        assert_near(gpu.losses.localization, cpu.losses.localization, 1e-5);
        assert_near(gpu.losses.classification, cpu.losses.classification, 1e-5);
        assert_int_equal(gpu.count, cpu.count);
        assert_near(gpu.top_score, cpu.top_score, 1e-6);
        for (size_t i = 0; i < cpu.count; i++) {
            assert_near(gpu.detections[i].score, cpu.detections[i].score, 1e-6);
            assert_near(gpu.detections[i].ymin, cpu.detections[i].ymin, 1e-5);
            assert_int_equal(gpu.detections[i].class_id, cpu.detections[i].class_id);
        }
    }
    workspace_remove(&w);
}

/* The logger gets the sentence, since there is no context to ask. */
static char logged[512];

static void write_log(void *user, det_log_level level, const char *message)
{
    (void)user;
    if (level == DET_LOG_ERROR)
        snprintf(logged, sizeof logged, "%s", message);
}

static void expect_refusal(const char *device, const char *precision, det_status status,
                           const char *text)
{
    det_context_settings settings;
    det_context *context = NULL;
    det_context_settings_default(&settings);
    settings.logger = &(det_logger){.struct_size = sizeof(det_logger), .write = write_log};
    settings.device = device;
    settings.precision = precision;
    logged[0] = '\0';
    assert_int_equal(det_context_create(&context, &settings), status);
    assert_null(context);
    if (strstr(logged, text) == NULL)
        fail_msg("device %s, precision %s: \"%s\" lacks \"%s\"", device, precision, logged, text);
}

static void what_cannot_be_is_said(void **state)
{
    (void)state;
    expect_refusal("cuda:7", "auto", DET_STATUS_DEVICE, "cuda:7");
    expect_refusal("cuda:", "auto", DET_STATUS_INVALID_ARGUMENT, "expected auto, cpu, cuda");
    expect_refusal("cuda:1x", "auto", DET_STATUS_INVALID_ARGUMENT, "expected auto, cpu, cuda");
    expect_refusal("gpu", "auto", DET_STATUS_INVALID_ARGUMENT, "expected auto, cpu, cuda");
    expect_refusal("cuda", "f16", DET_STATUS_INVALID_ARGUMENT,
                   "expected auto, f32, tf32, bf16 or int8");
    expect_refusal("cpu", "tf32", DET_STATUS_UNSUPPORTED, "tf32 needs CUDA");
}

/* Statistics taken anew over the same pictures on either device. */
static void recalibration_agrees(void **state)
{
    (void)state;
    struct workspace w;
    double unused;
    det_context *contexts[2] = {context_on("cpu"), context_on("cuda")};
    det_model *models[2] = {NULL};
    workspace_make(&w, "cuda-recalibrate");
    train(&w, "cpu", 12, &unused);
    for (int i = 0; i < 2; i++) {
        det_pipeline_config *config = NULL;
        det_model *model = NULL;
        assert_context_ok(contexts[i], det_pipeline_config_load(contexts[i], w.config, &config));
        assert_context_ok(contexts[i],
                          det_model_load_checkpoint(contexts[i], config, w.model_dir, &model));
        assert_context_ok(contexts[i],
                          det_model_recalibrate(contexts[i], config, model, NULL, &models[i]));
        assert_int_equal(det_model_recalibrated_images(models[i]), 10);
        det_model_destroy(&model);
        det_pipeline_config_destroy(&config);
    }
    /* What the differences change in a normalised value, over all channels. */
    const struct det_graph *graph = &models[0]->graph;
    double off = 0, whole = 0;
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        if (op->kind != DET_OP_BATCH_NORM)
            continue;
        const size_t mean = graph->params[op->mean].offset;
        const size_t variance = graph->params[op->variance].offset;
        for (size_t c = 0; c < graph->params[op->mean].count; c++, whole++) {
            const float *cpu = models[0]->recalibrated, *gpu = models[1]->recalibrated;
            const double deviation = sqrt((double)(cpu[variance + c] + op->epsilon));
            const double shift = (double)(gpu[mean + c] - cpu[mean + c]) / deviation;
            const double scale = sqrt((double)(gpu[variance + c] + op->epsilon)) / deviation - 1;
            off += shift * shift + scale * scale;
        }
    }
    assert_near(sqrt(off / whole), 0, 1e-3);
    for (int i = 0; i < 2; i++) {
        det_model_destroy(&models[i]);
        det_context_destroy(&contexts[i]);
    }
    workspace_remove(&w);
}

int test_cuda_jobs(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_resumes_bit_for_bit),
        cmocka_unit_test(pictures_are_learned_as_floats_are),
        cmocka_unit_test(evaluation_and_detection_agree),
        cmocka_unit_test(models_in_8_bits_agree),
        cmocka_unit_test(recalibration_agrees),
        cmocka_unit_test(what_cannot_be_is_said),
    };
    return cmocka_run_group_tests_name("cuda_jobs", tests, NULL, NULL);
}
