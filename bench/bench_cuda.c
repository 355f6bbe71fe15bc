/* bench_cuda: times whole training steps and batch-1 inference on a GPU, wall clock around calls that end in a wait, medians:
 * `bench_cuda [--device cuda:I] [--sizes 320,640] [--batches 8] [--repeat 50]`. JSON lines on stdout. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "backend/ops.h"
#include "base/mem.h"
#include "detect/input.h"
#include "model/postprocess.h"
#include "train/learner.h"

enum { MOST = 8 };

struct arguments {
    const char *device;
    long sizes[MOST], batches[MOST];
    int size_count, batch_count;
    long repeat;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *job, const char *device, long size, long batch, double *seconds,
                  long count, size_t bytes)
{
    qsort(seconds, (size_t)count, sizeof *seconds, by_value);
    printf("{\"job\": \"%s\", \"device\": \"%s\", \"size\": %ld, \"batch\": %ld, \"p50_ms\": %.4f, "
           "\"p99_ms\": %.4f, \"runs\": %ld, \"bytes\": %zu}\n",
           job, device, size, batch, seconds[count / 2] * 1e3, seconds[count * 99 / 100] * 1e3,
           count, bytes);
    fflush(stdout);
}

/* Eight boxes an image on grey noise: what is in the pictures does not change the work. */
static det_status fill(struct det_env *env, float *images, size_t count,
                       struct det_ground_truth *truths, long batch)
{
    for (size_t i = 0; i < count; i++)
        images[i] = (float)(i * 2654435761U % 255U);
    for (long n = 0; n < batch; n++) {
        DET_TRY_RETURN(det_ground_truth_reserve(env, &truths[n], 8));
        truths[n].count = 8;
        for (int g = 0; g < 8; g++) {
            const float at = 0.1f * (float)g;
            const float box[] = {at, at, at + 0.2f, at + 0.15f};
            memcpy(truths[n].boxes[g], box, sizeof box);
            truths[n].class_index[g] = 0;
            truths[n].weight[g] = 1;
        }
    }
    return DET_OK;
}

static det_status time_training(struct det_env *env, const struct det_backend *backend,
                                struct det_device *device, const char *name, long size, long batch,
                                long repeat, double *seconds)
{
    struct det_model_spec spec;
    struct det_learner_settings settings;
    struct det_learner *learner = NULL;
    struct det_ground_truth *truths = NULL;
    float *images = NULL;
    struct det_step_result result;
    det_status status = DET_OK;
    const size_t count = (size_t)batch * (size_t)size * (size_t)size * 3;
    det_model_spec_default(&spec, (int32_t)size, 1);
    det_learner_settings_default(&settings);
    settings.batch_size = (int32_t)batch;
    DET_TRY(det_alloc(env, &images, count, sizeof *images, "images"));
    DET_TRY(det_alloc(env, &truths, (size_t)batch, sizeof *truths, "boxes"));
    DET_TRY(fill(env, images, count, truths, batch));
    DET_TRY(det_learner_create(env, &spec, &settings, backend, device, 1, &learner));
    for (long i = -3; i < repeat; i++) {
        const double start = now();
        DET_TRY(det_learner_step(env, learner, images, truths, 1e-6f, &result));
        if (i >= 0)
            seconds[i] = now() - start;
    }
    print("training", name, size, batch, seconds, repeat, backend->step_bytes(learner->step));
fail:
    det_learner_destroy(env, &learner);
    for (long n = 0; truths != NULL && n < batch; n++)
        det_ground_truth_free(env, &truths[n]);
    det_free(env, &truths);
    det_free(env, &images);
    return status;
}

/* From a picture of the network's size to its detections. */
static det_status time_inference(struct det_env *env, const struct det_backend *backend,
                                 struct det_device *device, const char *name, long size,
                                 long repeat, double *seconds)
{
    struct det_model_spec spec;
    struct det_graph graph = {0};
    float *params = NULL, (*anchors)[4] = NULL;
    uint8_t *pixels = NULL;
    int32_t anchor_count = 0;
    struct det_runner *runner = NULL;
    const struct det_detections *found = NULL;
    det_status status = DET_OK;
    det_model_spec_default(&spec, (int32_t)size, 1);
    const struct det_postprocess_settings post = {
        .score_threshold = spec.score_threshold,
        .iou_threshold = spec.iou_threshold,
        .max_detections_per_class = spec.max_per_class,
        .max_total_detections = spec.max_total,
        .change_coordinate_frame = true,
        .coder = {spec.y_scale, spec.x_scale, spec.height_scale, spec.width_scale},
    };
    DET_TRY(det_graph_build(env, &spec, true, &graph));
    DET_TRY(det_alloc(env, &params, graph.param_floats, sizeof *params, "parameters"));
    det_graph_init_params(&graph, 1, params);
    DET_TRY(det_spec_anchors(env, &spec, &anchors, &anchor_count));
    DET_TRY(det_alloc(env, &pixels, (size_t)size * (size_t)size, 3, "picture"));
    for (size_t i = 0; i < (size_t)size * (size_t)size * 3; i++)
        pixels[i] = (uint8_t)(i * 2654435761U >> 24);
    const struct det_runner_settings settings = {
        .spec = &spec,
        .graph = &graph,
        .params = params,
        .batch = 1,
        .postprocess = &post,
        .anchors = (const float(*)[4])anchors,
        .anchor_count = anchor_count,
    };
    const det_image_view view = {.pixels = pixels, .width = (int32_t)size, .height = (int32_t)size};
    const struct det_frame frame = det_frame_of(&spec, (int32_t)size, (int32_t)size);
    DET_TRY(backend->runner_create(env, device, &settings, &runner));
    for (long i = -3; i < repeat; i++) {
        const double start = now();
        DET_TRY(backend->runner_set_picture(env, runner, 0, &view, &frame));
        DET_TRY(det_backend_run(env, backend, runner));
        DET_TRY(backend->runner_detections(env, runner, 0, &found));
        if (i >= 0)
            seconds[i] = now() - start;
    }
    print("inference", name, size, 1, seconds, repeat, backend->runner_bytes(runner));
fail:
    if (runner != NULL)
        backend->runner_destroy(env, &runner);
    det_free(env, &pixels);
    det_free(env, &anchors);
    det_free(env, &params);
    det_graph_free(env, &graph);
    return status;
}

static det_status time_all(struct det_env *env, const struct arguments *a,
                           enum det_precision precision, double *seconds)
{
    const char *reason = NULL;
    const struct det_device_settings settings = {.precision = precision,
                                                 .ops = det_ops_cpu("auto", &reason)};
    const struct det_backend *backend = NULL;
    struct det_device *device = NULL;
    char name[300];
    det_status status = DET_OK;
    DET_TRY_RETURN(det_backend_open(env, a->device, &settings, &backend, &device));
    backend->device_describe(device, name, sizeof name);
    for (int s = 0; s < a->size_count; s++) {
        DET_TRY(time_inference(env, backend, device, name, a->sizes[s], a->repeat, seconds));
        for (int b = 0; b < a->batch_count; b++)
            DET_TRY(time_training(env, backend, device, name, a->sizes[s], a->batches[b], a->repeat,
                                  seconds));
    }
fail:
    backend->device_close(env, &device);
    return status;
}

/* "8,64" */
static int parse_list(const char *text, long *values)
{
    int count = 0;
    for (char *end = NULL; count < MOST; text = end + 1) {
        const long value = strtol(text, &end, 10);
        if (end == text || value < 1)
            return 0;
        values[count++] = value;
        if (*end != ',')
            return *end == '\0' ? count : 0;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct arguments a = {.device = "cuda",
                          .sizes = {320, 640},
                          .batches = {8},
                          .size_count = 2,
                          .batch_count = 1,
                          .repeat = 50};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--device") == 0)
            a.device = argv[i + 1];
        else if (strcmp(argv[i], "--sizes") == 0)
            a.size_count = parse_list(argv[i + 1], a.sizes);
        else if (strcmp(argv[i], "--batches") == 0)
            a.batch_count = parse_list(argv[i + 1], a.batches);
        else if (strcmp(argv[i], "--repeat") == 0)
            a.repeat = strtol(argv[i + 1], NULL, 10);
        else
            a.repeat = 0;
    }
    if (argc % 2 == 0 || a.repeat < 1 || a.size_count < 1 || a.batch_count < 1) {
        fprintf(stderr,
                "usage: bench_cuda [--device D] [--sizes N,N] [--batches N,N] [--repeat N]\n");
        return 2;
    }
    static const enum det_precision precisions[] = {DET_PRECISION_F32, DET_PRECISION_TF32,
                                                    DET_PRECISION_BF16};
    struct det_env env;
    double *seconds = calloc((size_t)a.repeat, sizeof *seconds);
    det_env_default(&env);
    det_status status = seconds != NULL ? DET_OK : DET_STATUS_OUT_OF_MEMORY;
    for (size_t p = 0; status == DET_OK && p < 3; p++)
        status = time_all(&env, &a, precisions[p], seconds);
    if (status != DET_OK)
        fprintf(stderr, "bench_cuda: %s\n", env.error);
    free(seconds);
    return status != DET_OK;
}
